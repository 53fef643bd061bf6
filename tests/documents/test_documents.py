"""What is written down in several places says the same in each of them."""

from __future__ import annotations

import json
import re
from itertools import chain
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from singer_sdk.about import AboutFormatter

from sandbox import Account
from support.documents import ROOT, block, read, table
from tap_zoho_campaigns_recipients.tap import TapZohoCampaignsRecipients

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX = "TAP_ZOHO_CAMPAIGNS_RECIPIENTS_"
KEYS: dict[str, list[str]] = {
    stream["tap_stream_id"]: list(stream["key_properties"])
    for stream in TapZohoCampaignsRecipients(validate_config=False).catalog_dict["streams"]
}
"""The key of each stream that --discover shows."""
ABOUT = TapZohoCampaignsRecipients._get_about_info()  # noqa: SLF001 - what --about prints
SDK_SETTINGS: dict[str, Any] = {"properties": {}}
TapZohoCampaignsRecipients.append_builtin_config(SDK_SETTINGS)
OWN_SETTINGS: dict[str, dict[str, Any]] = {
    name: schema
    for name, schema in ABOUT.settings["properties"].items()
    if name not in SDK_SETTINGS["properties"]
}
SCHEMAS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text(encoding="utf-8")) for path in ROOT.glob("schemas/*.json")
}
RECIPIENT_STREAMS = sorted(name for name in SCHEMAS if name.endswith("_contacts"))
KINDS = {
    "string": "string",
    "integer": "integer",
    "number": "string",  # Meltano 4.4 ends in a TypeError where a decimal comes from a variable
    "array": "array",
    "boolean": "boolean",
    "object": "object",
}
"""Meltano's word for a type of JSON Schema."""


def meltano_plugin(kind: str, name: str) -> dict[str, Any]:
    plugins = yaml.safe_load(read("meltano.yml"))["plugins"][kind]
    return next(plugin for plugin in plugins if plugin["name"] == name)


def meltano_tap() -> dict[str, Any]:
    return meltano_plugin("extractors", "tap-zoho-campaigns-recipients")


def meltano_setting(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """The entry of a setting in meltano.yml, except for the labels of its options."""
    kind = KINDS[next(kind for kind in schema["type"] if kind != "null")]
    if "enum" in schema:
        kind = "options"
    if schema.get("format") == "date-time":
        kind = "date_iso8601"
    setting = {
        "name": name,
        "label": schema["title"],
        "kind": kind,
        "description": schema["description"],
    }
    if schema.get("secret"):
        setting["sensitive"] = True
    if "default" in schema:
        setting["value"] = schema["default"]
    if "enum" in schema:
        setting["options"] = [value for value in schema["enum"] if value is not None]
    return setting


def test_meltano_yml_declares_every_setting_as_the_tap_does() -> None:
    """Each setting of the tap is in meltano.yml: name, label, kind, default, description."""
    declared = meltano_tap()["settings"]
    for setting in declared:
        if "options" in setting:
            setting["options"] = [option["value"] for option in setting["options"]]

    own = declared[: len(OWN_SETTINGS)]
    assert own == [meltano_setting(name, schema) for name, schema in OWN_SETTINGS.items()]


def test_meltano_yml_declares_what_the_sdk_adds() -> None:
    """After the tap's own settings stand those that the SDK gives every tap."""
    declared = [setting["name"] for setting in meltano_tap()["settings"]]
    assert declared == list(ABOUT.settings["properties"])


def test_meltano_yml_declares_the_capabilities() -> None:
    """meltano.yml names the capabilities that the tap says it has."""
    assert meltano_tap()["capabilities"] == sorted(str(each) for each in ABOUT.capabilities)


@pytest.mark.parametrize(
    ("kind", "name"),
    [("extractors", "tap-zoho-campaigns-recipients"), ("loaders", "target-postgres")],
)
def test_definitions_for_meltano_add_are_those_of_meltano_yml(kind: str, name: str) -> None:
    """A definition in plugins/ is that of meltano.yml; the tap comes from a package index."""
    plugin = meltano_plugin(kind, name)
    if kind == "extractors":
        plugin["pip_url"] = name
    definition = yaml.safe_load(read(f"plugins/{kind}/{name}.yml"))
    assert definition == plugin
    assert list(definition) == list(plugin)


def test_meltano_yml_knows_the_three_ways_to_authenticate() -> None:
    """Meltano checks that one of the three ways to authenticate is complete."""
    assert meltano_tap()["settings_group_validation"] == [
        ["client_id", "client_secret", "refresh_token"],
        ["access_token"],
        ["auth_token"],
    ]


def test_meltano_yml_needs_no_hub() -> None:
    """Every plugin says for itself where it comes from and what its settings are."""
    plugins = yaml.safe_load(read("meltano.yml"))["plugins"]
    for plugin in chain(plugins["extractors"], plugins["loaders"]):
        assert {"namespace", "pip_url", "executable", "settings"} <= set(plugin), plugin["name"]


@pytest.mark.parametrize(
    "loader", ["target-postgres", "target-duckdb", "target-jsonl", "target-csv"]
)
def test_loaders_are_the_same_in_meltano_yml_and_in_the_pins(loader: str) -> None:
    """What Meltano installs as a loader is what the pinned file of that loader is made from."""
    pip_url = meltano_plugin("loaders", loader)["pip_url"]
    assert pip_url.split() == read(f"requirements/{loader}.in").split()


def test_the_loader_page_names_the_versions_that_are_tested() -> None:
    """The loaders that docs/loaders.md calls proven are those that are pinned, in that version."""
    pins = {
        pin.strip()
        for path in ROOT.glob("requirements/*target-*.in")
        for pin in path.read_text().splitlines()
        if "target-" in pin
    }
    rows = table(read("docs/loaders.md"), "proven")
    assert {row[0].replace(" ", "==") for row in rows} == pins


def test_the_sandbox_environment_logs_in_to_the_sandbox() -> None:
    """The credentials of meltano.yml's environment `sandbox` are those of the sandbox."""
    environments = yaml.safe_load(read("meltano.yml"))["environments"]
    sandbox = next(each for each in environments if each["name"] == "sandbox")
    (tap,) = sandbox["config"]["plugins"]["extractors"]
    account = Account()
    assert {
        name: tap["config"][name] for name in ("client_id", "client_secret", "refresh_token")
    } == {
        "client_id": account.client_id,
        "client_secret": account.client_secret,
        "refresh_token": account.refresh_token,
    }


def test_env_example_names_every_setting_with_its_default() -> None:
    """.env.example has a line for each setting; those with a default show it, switched off."""
    lines = re.findall(rf"^(# )?{PREFIX}(\w+)=(.*)$", read(".env.example"), re.MULTILINE)
    assert [name.lower() for _, name, _ in lines] == list(OWN_SETTINGS)
    for off, name, value in lines:
        default = OWN_SETTINGS[name.lower()].get("default")
        assert default is None or (off, value) == ("# ", str(default)), name


def test_env_example_holds_no_value() -> None:
    """Copied as it is, .env.example sets nothing."""
    assert re.findall(r"^[^#\n]*=.+$", read(".env.example"), re.MULTILINE) == []


def test_the_settings_page_has_the_table_of_about() -> None:
    """The documented table of settings is the one that --about --format=markdown prints."""
    about = AboutFormatter.get_formatter("markdown").format_about(ABOUT)
    table = [line for line in about.splitlines() if line.startswith("|")]
    assert block(read("docs/settings.md"), "settings").splitlines() == table


@pytest.mark.parametrize("document", ["README.md", "docs/streams.md"])
def test_the_table_of_streams_has_every_stream_with_its_key(document: str) -> None:
    """The table of streams names each stream and its key."""
    rows = [
        [cell.strip(" `") for cell in line.strip("|").split("|")]
        for line in block(read(document), "streams").splitlines()[2:]
    ]
    keys = {row[0]: re.findall(r"\w+", row[2]) for row in rows}
    assert keys == KEYS


def test_the_documents_quote_the_measurements() -> None:
    """What the documents quote of the measurements is in their report, with date and machine."""
    quoted = block(read("docs/costs.md"), "benchmarks").splitlines()
    report = read("benchmarks/RESULTS.md").splitlines()
    assert quoted[0].startswith("Written by `make bench` on ")
    assert quoted[0] in report
    tables = [line for line in quoted if line.startswith("|")]
    assert len([line for line in tables if "this tap" in line]) >= 5
    assert [line for line in tables if line not in report] == []


def test_the_documents_quote_the_month() -> None:
    """Each line of the simulated month, and what the README says of it, is in the report."""
    report = [line for line in read("benchmarks/RESULTS.md").splitlines() if line[:1] == "|"]
    _, _, month = read("docs/costs.md").partition("| runs | calls |")
    rows = [line.split(" | ") for line in month.split("\n\n")[0].splitlines()[2:]]
    assert len(rows) == 4
    for _, calls, share, *_ in rows:
        assert any({calls, share} <= set(line.split(" | ")) for line in report), calls
    said = " ".join(block(read("README.md"), "costs").split())
    (of_month,) = re.findall(r"(\d[\d ]*) calls: (\S+%).* (\S+) times", said)
    calls, share, times = of_month
    assert any({calls, share} <= set(line.split(" | ")) and times in line for line in report)
    seconds, megabytes = re.findall(r"([\d.]+) s and at most ([\d.]+) MB", said)[0]
    (row,) = [line for line in report if line.startswith("| this tap, JSON | 127 320 ")]
    assert {seconds, megabytes} <= set(re.findall(r"[\d.]+", row))


def test_schemas_are_those_of_the_streams() -> None:
    """There is one schema file for each stream and no other."""
    assert sorted(SCHEMAS) == sorted(KEYS)


def parts(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema within a schema, with its path; the items of arrays end in ``[]``."""
    for name, part in schema.get("properties", {}).items():
        yield f"{path}{name}", part
        yield from parts(part, f"{path}{name}.")
    if "items" in schema:
        yield f"{path.removesuffix('.')}[]", schema["items"]
        yield from parts(schema["items"], f"{path.removesuffix('.')}[].")


@pytest.mark.parametrize("stream", sorted(SCHEMAS))
def test_every_field_is_described(stream: str) -> None:
    """Every field says in a sentence what it is, and what null means where it can be null."""
    for path, part in parts(SCHEMAS[stream]):
        if path.endswith("[]"):
            continue
        description = part["description"]
        assert re.fullmatch(r"[A-Z].*\.", description), path
        assert ("null" in part["type"]) == ("Null" in description), path


OPEN_OBJECTS = {"custom_fields", "segments[]", "ab_test", "other"}


@pytest.mark.parametrize("stream", sorted(SCHEMAS))
def test_schemas_are_strict(stream: str) -> None:
    """No object takes properties that are not declared, except those of the account's own."""
    for path, part in chain([("", SCHEMAS[stream])], parts(SCHEMAS[stream])):
        kinds = {part["type"]} if isinstance(part["type"], str) else set(part["type"]) - {"null"}
        assert len(kinds) == 1, path
        if kinds == {"object"}:
            assert part["additionalProperties"] is (path in OPEN_OBJECTS), path
        if kinds == {"array"}:
            assert "items" in part, path


STAMPED = {
    "action",
    "details_read_at",
    "is_complete",
    "is_last",
    "list_read_at",
    "listed_at",
    "opens",
    "report_read_at",
    "rows_delivered",
    "rows_read",
}


@pytest.mark.parametrize("stream", sorted(SCHEMAS))
def test_what_every_record_has_is_required_and_not_null(stream: str) -> None:
    """Keys, and what the tap itself stamps on a record, are required; all else may be null."""
    schema = SCHEMAS[stream]
    stamped = STAMPED & set(schema["properties"])
    assert set(schema["required"]) == {*KEYS[stream], *stamped}
    for name, field in schema["properties"].items():
        assert isinstance(field["type"], str) == (name in schema["required"]), name


def test_recipient_streams_share_their_fields() -> None:
    """What recipient streams have in common is the same in each, in the same order."""
    first, *others = (list(SCHEMAS[name]["properties"].items()) for name in RECIPIENT_STREAMS)
    shared = [item for item in first if all(item[0] in dict(other) for other in others)]

    def without_action(items: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
        return [item for item in items if item[0] != "action"]

    for stream in RECIPIENT_STREAMS:
        fields = SCHEMAS[stream]["properties"]
        mine = [(name, field) for name, field in fields.items() if name in dict(shared)]
        assert without_action(mine) == without_action(shared), stream


def test_only_their_own_streams_have_what_is_special() -> None:
    """Opens, clicks, bounces and opt-outs stand only in the streams that they belong to."""
    fields = {name: set(SCHEMAS[name]["properties"]) for name in RECIPIENT_STREAMS}
    shared = set.intersection(*fields.values())
    assert {name: own - shared for name, own in fields.items() if own - shared} == {
        "clicked_contacts": {"click_count", "click_reports", "clicked_urls", "url_clicks"},
        "hard_bounce_contacts": {"bounced_date"},
        "opened_contacts": {"open_reports"},
        "optout_contacts": {"optout_time"},
        "soft_bounce_contacts": {"bounced_date"},
    }


def test_pins_hold_names_versions_and_hashes_only() -> None:
    """Nothing in the pinned files says where packages are downloaded from."""
    pin = re.compile(r"[a-z0-9.-]+==[\w.]+( ; [^/]+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?")
    for path in ROOT.glob("requirements/*.txt"):
        for number, line in enumerate(read(f"requirements/{path.name}").splitlines(), start=1):
            assert pin.fullmatch(line), f"{path.name}:{number}"


def test_no_file_names_a_place_that_packages_are_downloaded_from() -> None:
    """No file of the repository holds a registry's host or the address of a package."""
    address = re.compile(
        r"[/][/](\w+\.)?(pypi|pythonhosted)\.|:[/]/\S+([/]simple|\.(whl|tar\.gz))\b"
    )
    left_out = {".git", ".venv", ".venvs", ".demo", ".meltano", "dist", "mutants", "output", "site"}
    named = [
        path.relative_to(ROOT)
        for top in ROOT.iterdir()
        if top.name not in left_out and not top.name.endswith(("_cache", ".hypothesis"))
        for path in ([top] if top.is_file() else top.rglob("*"))
        if path.is_file()
        and path.suffix != ".pyc"
        and address.search(path.read_text("utf-8", "replace"))
    ]
    assert named == []


def test_python_versions_are_the_same_everywhere() -> None:
    """The versions that the package names are those that are tested."""
    workflow = yaml.safe_load(read(".github/workflows/ci.yml"))
    tested = workflow["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert ABOUT.supported_python_versions == tested
