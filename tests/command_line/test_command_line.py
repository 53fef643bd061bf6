"""The command line, as users, orchestrators and the SDK's own tools call it."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
import sysconfig
import typing as t
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest
from singer_sdk.exceptions import ConfigValidationError

from sandbox import Sandbox, Switches, make_account, make_campaign
from support.tap_runs import (
    LISTING,
    RECIPIENT_ACTIONS,
    FakeClock,
    catalog,
    command,
    run_process,
    run_tap,
    settings,
)
from support.truth import assert_all_arrived
from tap_zoho_campaigns_recipients.tap import TapZohoCampaignsRecipients

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from support.tap_runs import Outcome

PREFIX = "TAP_ZOHO_CAMPAIGNS_RECIPIENTS_"
MODULE = [sys.executable, "-m", "tap_zoho_campaigns_recipients"]
SCRIPT = [str(Path(sysconfig.get_path("scripts")) / "tap-zoho-campaigns-recipients")]
SELECTED_STREAMS = sorted(
    [
        *RECIPIENT_ACTIONS,
        "campaign_locations",
        "campaign_reports",
        "campaigns",
        "click_events",
        "list_readings",
        "open_events",
    ]
)
"""Those that are selected by default."""
STREAMS = sorted([*SELECTED_STREAMS, "campaign_details"])
KEYS = {
    "campaigns": ["campaign_key"],
    "campaign_reports": ["campaign_key"],
    "campaign_locations": ["campaign_key", "location"],
    "list_readings": ["campaign_key", "action"],
    "open_events": ["campaign_key", "contact_email", "event_number"],
    "click_events": ["campaign_key", "contact_email", "event_number"],
}


@pytest.fixture(scope="module")
def zoho() -> Iterator[Sandbox]:
    """Two campaigns, one of them an A/B test."""
    account = make_account(1, 30, spam=1)
    make_campaign(account, recipients=40, type="abtesting")
    # Ten tokens in ten minutes are too few for these many runs.
    with Sandbox(account, switches=Switches(token_limit=None)) as it:
        yield it


@pytest.fixture(autouse=True)
def _fresh_log(zoho: Sandbox) -> None:
    zoho.reset_log()


def call(*arguments: str, folder: Path, program: list[str] = MODULE) -> tuple[int, str, list[str]]:
    """Call the tap without any setting; return code, output and lines of stderr."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    # From a checkout that is not installed it is found here.
    env["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [*program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=folder,
        env=env,
    )
    return done.returncode, done.stdout, done.stderr.splitlines()


# What it says about itself


def test_version(tmp_path: Path) -> None:
    """`--version` names the tap, its version and the SDK's."""
    code, output, _ = call("--version", folder=tmp_path)
    assert code == 0
    assert re.fullmatch(r"tap-zoho-campaigns-recipients v\S.*, Meltano SDK v\S+\n", output)


def test_discover_needs_no_settings(zoho: Sandbox, tmp_path: Path) -> None:
    """`--discover` writes a catalog of all streams without any setting or request."""
    code, output, _ = call("--discover", folder=tmp_path)
    assert code == 0
    entries = json.loads(output)["streams"]
    assert [entry["tap_stream_id"] for entry in entries] == STREAMS
    for entry in entries:
        file = Path(__file__).parents[2] / "schemas" / f"{entry['tap_stream_id']}.json"
        schema = json.loads(file.read_text(encoding="utf-8"))
        assert entry["schema"]["properties"] == schema["properties"]
    assert zoho.requests == []


@pytest.mark.parametrize("arguments", [[], ["--format=json"], ["--format=markdown"]])
def test_about(tmp_path: Path, arguments: list[str]) -> None:
    """`--about` names every setting, as text, as JSON and as Markdown."""
    code, output, _ = call("--about", *arguments, folder=tmp_path)
    assert code == 0
    names = list(TapZohoCampaignsRecipients.config_jsonschema["properties"])
    if arguments == ["--format=json"]:
        about = json.loads(output)
        assert about["name"] == "tap-zoho-campaigns-recipients"
        assert set(names) <= set(about["settings"]["properties"])
        assert {"catalog", "state", "discover", "about", "stream-maps", "batch"} <= set(
            about["capabilities"]
        )
    else:
        said = re.findall(
            r"^\| (\w+) \|" if arguments else r"^ +- Name: (\w+)$", output, re.MULTILINE
        )
        assert [name for name in said if name in names] == names


@pytest.mark.parametrize("option", ["--about", "--discover"])
def test_reader_who_has_seen_enough(tmp_path: Path, option: str) -> None:
    """A reader who goes away early, as `head` does, causes no trace and no word."""
    gone, pipe = os.pipe()
    os.close(gone)
    with os.fdopen(pipe, "wb") as output:
        done = subprocess.run(
            [*MODULE, option],
            stdout=output,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
    assert done.returncode == 1
    assert done.stderr == b""


@pytest.mark.skipif(not Path(SCRIPT[0]).exists(), reason="the package is not installed")
def test_console_script(tmp_path: Path) -> None:
    """The console script is the same program as `python -m`."""
    for arguments in (["--version"], ["--discover"]):
        script = call(*arguments, folder=tmp_path, program=SCRIPT)
        assert script[0] == 0
        assert script[1] == call(*arguments, folder=tmp_path)[1]


# The catalog


def test_replication_method_in_metadata(zoho: Sandbox, tmp_path: Path) -> None:
    """FULL_TABLE may stand in a stream's metadata, as Singer has it."""
    first = run_process(settings(zoho), tmp_path)
    entries = catalog(["sent_contacts"])
    for entry in entries["streams"]:
        root = next(each for each in entry["metadata"] if not each["breadcrumb"])
        root["metadata"]["replication-method"] = "FULL_TABLE"
    (tmp_path / "catalog.json").write_text(json.dumps(entries))
    chosen = ("--catalog", str(tmp_path / "catalog.json"))
    second = run_process(settings(zoho), tmp_path, *chosen, state=first.state)
    assert second.exit_code == 0
    assert sorted(second.keys("sent_contacts")) == sorted(first.keys("sent_contacts")) != []
    assert second.state == first.state


# --test


def test_connection_test(zoho: Sandbox, tmp_path: Path) -> None:
    """`--test` asks for the listing and says in words that all is well."""
    outcome = run_process(settings(zoho), tmp_path, "--test")
    assert outcome.exit_code == 0
    assert outcome.messages == []
    host = urlsplit(zoho.url).netloc
    assert (
        f"Credentials, scope and data center are right: {host} shows 2 campaigns to read. The "
        "account's wall clock is UTC-0"
    ) in outcome.log[-1]
    assert outcome.log[-1].endswith("which fits America/New_York")
    assert zoho.calls(LISTING) == len(zoho.requests) - zoho.calls("token") == 1


def test_connection_test_where_nothing_is_listed(zoho: Sandbox, tmp_path: Path) -> None:
    """`--test` fails where Zoho refuses the listing, also where `campaign_keys` does without."""
    zoho.faults.add("6601", endpoint=LISTING, times=99)
    outcome = run_process(settings(zoho, campaign_keys=["any"]), tmp_path, "--test")
    zoho.faults.clear()
    assert outcome.exit_code == 1
    assert "recentcampaigns with code 6601" in outcome.log[-1]
    assert not any("Traceback" in line or "are right" in line for line in outcome.log)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"refresh_token": "1000.wrong"}, ("refresh_token", "data_center")),
        ({"client_id": "1000.WRONG"}, ("client_id", "data_center")),
        ({"client_secret": "wrong"}, ("client_secret",)),
    ],
    ids="+".join,
)
def test_connection_test_with_wrong_credentials(
    tmp_path: Path, change: dict[str, str], words: tuple[str, ...]
) -> None:
    """`--test` with a wrong credential is one line that names the setting, and exit code 1."""
    with Sandbox(make_account(1, 2)) as zoho:
        outcome = run_process({**settings(zoho), **change}, tmp_path, "--test")
    assert outcome.exit_code == 3
    assert outcome.messages == []
    (line,) = [each for each in outcome.log if "ERROR" in each]
    assert line == outcome.log[-1]
    assert all(word in line for word in words)
    assert not any("Traceback" in each for each in outcome.log)


@pytest.mark.parametrize("way", ["access_token", "auth_token"])
def test_connection_test_with_a_wrong_token(zoho: Sandbox, tmp_path: Path, way: str) -> None:
    """A token that Zoho does not take is one line that names scope and data center."""
    none = dict.fromkeys(("client_id", "client_secret", "refresh_token"))
    outcome = run_process(settings(zoho, **none, **{way: "PLANTED-token"}), tmp_path, "--test")
    assert outcome.exit_code == 3
    (line,) = [each for each in outcome.log if "ERROR" in each]
    assert line == outcome.log[-1]
    assert "1007" in line
    assert "data_center" in line
    assert not any("PLANTED" in each for each in outcome.log)


@pytest.mark.parametrize("arguments", [["--test"], ["--test=schema"], []])
def test_without_settings(tmp_path: Path, arguments: list[str]) -> None:
    """Without credentials each way to run is one line and exit code 1."""
    code, output, log = call(*arguments, folder=tmp_path)
    assert (code, output) == (2, "")
    (line,) = [each for each in log if "INFO" not in each]
    assert line.endswith(
        "No credentials are given: set client_id, client_secret and refresh_token, or "
        "access_token, or auth_token"
    )


def test_schema_test(zoho: Sandbox, tmp_path: Path) -> None:
    """`--test=schema` writes the schemas and asks nothing."""
    outcome = run_process(settings(zoho), tmp_path, "--test=schema")
    assert outcome.exit_code == 0
    assert [(each["type"], each["stream"]) for each in outcome.messages] == [
        ("SCHEMA", stream) for stream in STREAMS
    ]
    assert zoho.requests == []


# Files


@pytest.mark.parametrize(
    ("content", "more", "problem"),
    [
        (None, [], "is not there"),
        (None, ["--test"], "is not there"),
        (None, ["--discover"], "is not there"),
        ("", [], "is not a JSON object"),
        ("{", [], "is not a JSON object"),
        ("[]", [], "is not a JSON object"),
        ('{"retry_wait": NaN}', [], "is not a JSON object"),
        (b"\xff\xfe{}", [], "is not a JSON object"),
    ],
)
def test_bad_config_file(
    tmp_path: Path, content: str | bytes | None, more: list[str], problem: str
) -> None:
    """A configuration file that is missing or broken is one line and exit code 1."""
    path = tmp_path / "config.json"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    code, output, log = call("--config", str(path), *more, folder=tmp_path)
    assert (code, output) == (2, "")
    assert log == [f"Error: The configuration file {path} {problem}"]


@pytest.mark.parametrize("option", ["--state", "--catalog"])
@pytest.mark.parametrize("content", ["", "{", "[]", "null", "[" * 100_000])
def test_bad_state_or_catalog(zoho: Sandbox, tmp_path: Path, option: str, content: str) -> None:
    """A state or catalog that is no JSON object is one line, before any request."""
    path = tmp_path / "broken.json"
    path.write_text(content)
    outcome = run_process(settings(zoho), tmp_path, option, str(path))
    assert outcome.exit_code == 2
    assert outcome.messages == []
    problem = "is not a JSON object" if content else "is empty"
    assert outcome.log[-1].endswith(
        f"The {option.removeprefix('--')} file {problem}: hand over another, or none"
    )
    assert not any("Traceback" in each for each in outcome.log)
    assert zoho.requests == []


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (
            {"version": 3, "bookmarks": {}},
            "is of version 3, this tap reads versions up to 2: upgrade the tap, or run a full",
        ),
        (
            {"version": 1, "bookmarks": {"opened_contacts": {"partitions": [{"context": {}}]}}},
            "cannot be read: it is broken. Restore an earlier one, or run a full refresh",
        ),
        (
            {"bookmarks": {"issues": {"replication_key_value": "2026-01-01"}}},
            "is not one of tap-zoho-campaigns-recipients: it has bookmarks of issues. Use a state",
        ),
    ],
    ids=["newer", "broken", "another tap's"],
)
def test_refused_state(zoho: Sandbox, tmp_path: Path, state: dict[str, t.Any], words: str) -> None:
    """A state of a newer version, a broken one and another tap's are one line each.

    The exit code is 1, nothing is written and nothing is asked for.
    """
    outcome = run_process(settings(zoho), tmp_path, state=state)
    assert outcome.exit_code == 2
    assert outcome.messages == []
    version, line = outcome.log
    assert "Meltano SDK" in version
    assert f"| The state {words}" in line
    assert "ERROR" in line
    assert zoho.requests == []


def test_state_before_there_were_versions(zoho: Sandbox) -> None:
    """A state that names no version is an early one, and read: nothing is asked for again."""
    first = run_tap(settings(zoho))
    early = {name: value for name, value in first.state.items() if name != "version"}
    assert early != first.state
    zoho.reset_log()
    second = run_tap(settings(zoho), state=early)
    assert second.error is None
    assert [each.action for each in zoho.requests if each.action] == []
    assert second.state["version"] == 2


def test_no_file_stays_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Python tells of files left open, it has none to tell of, also when the tap fails."""
    monkeypatch.setenv("PYTHONWARNINGS", "default::ResourceWarning")
    path = tmp_path / "catalog.json"
    path.write_text(json.dumps(catalog(["sent_contacts"])))
    for arguments in (["--discover"], ["--test"], []):
        _, _, log = call("--catalog", str(path), *arguments, folder=tmp_path)
        assert not any("ResourceWarning" in line for line in log), arguments


@pytest.mark.parametrize(
    "content",
    [
        {"streams": 1},
        {"streams": [{}]},
        {"streams": ["sent_contacts"]},
        {"streams": [{"tap_stream_id": "sent_contacts"}]},
        {"streams": [{"tap_stream_id": "sent_contacts", "schema": {}}]},
        {"bookmarks": {}},
    ],
    ids=str,
)
def test_file_that_is_no_catalog(zoho: Sandbox, tmp_path: Path, content: dict[str, t.Any]) -> None:
    """A catalog that is none is one line, before any request."""
    outcome = with_catalog(settings(zoho), content, tmp_path)
    assert outcome.exit_code == 2
    assert outcome.messages == []
    assert outcome.log[-1].endswith("The catalog file holds no catalog: hand over another, or none")
    assert not any("Traceback" in each for each in outcome.log)
    assert zoho.requests == []


def test_a_run_is_the_same_as_a_process_and_from_within(zoho: Sandbox, tmp_path: Path) -> None:
    """What a process writes to stdout is Singer messages and nothing else."""
    outcome = run_process(settings(zoho), tmp_path)
    inside = run_tap(settings(zoho))
    assert outcome.exit_code == 0

    def plain(outcome: Outcome) -> list[dict[str, t.Any]]:
        kept = json.loads(json.dumps(outcome.messages))
        for message in kept:
            message.pop("time_extracted", None)
            for name in READ_AT:
                (message.get("record") or {}).pop(name, None)
        return [message for message in kept if message["type"] != "STATE"]

    assert plain(outcome) == plain(inside)
    assert outcome.messages[-1]["type"] == "STATE"
    kinds = [message["type"] for message in outcome.messages]
    assert kinds.count("SCHEMA") == len(SELECTED_STREAMS)
    assert set(kinds) == {"SCHEMA", "RECORD", "STATE"}
    for message in outcome.messages:
        if message["type"] == "SCHEMA":
            keys = KEYS.get(message["stream"], ["campaign_key", "contact_email"])
            assert message["key_properties"] == keys


# What the SDK adds


def test_selection_of_streams(zoho: Sandbox) -> None:
    """Only the streams that the catalog selects are read, and asked for."""
    outcome = run_tap(settings(zoho), streams=["opened_contacts", "campaigns"])
    assert outcome.error is None
    assert sorted(outcome.records) == ["campaigns", "opened_contacts"]
    assert {each.action for each in zoho.requests if each.action} == {"openedcontacts"}
    schemas = [each["stream"] for each in outcome.messages if each["type"] == "SCHEMA"]
    assert schemas == ["campaigns", "opened_contacts"]


def test_no_stream_selected(zoho: Sandbox) -> None:
    """Where nothing is selected, nothing is asked, and a warning says so."""
    outcome = run_tap(settings(zoho), streams=[])
    assert outcome.error is None
    (warning,) = outcome.warnings
    assert warning.startswith("No stream is selected, so nothing is read: ")
    assert outcome.records == {}
    assert zoho.requests == []


def with_catalog(config: dict[str, t.Any], chosen: dict[str, t.Any], folder: Path) -> Outcome:
    (folder / "catalog.json").write_text(json.dumps(chosen))
    return run_process(config, folder, "--catalog", str(folder / "catalog.json"))


def test_selection_of_fields(zoho: Sandbox, tmp_path: Path) -> None:
    """A field that the catalog deselects is in neither schema nor records; keys always are."""
    chosen = catalog(["sent_contacts"])
    (entry,) = [each for each in chosen["streams"] if each["tap_stream_id"] == "sent_contacts"]
    for metadata in entry["metadata"]:
        if len(metadata["breadcrumb"]) == 2:
            name = metadata["breadcrumb"][1]
            metadata["metadata"]["selected"] = name in {"first_name", "contact_email", "action"}
    outcome = with_catalog(settings(zoho), chosen, tmp_path)
    assert outcome.exit_code == 0
    records = outcome.records["sent_contacts"]
    kept = {"first_name", "contact_email", "action", "campaign_key"}
    assert len(records) == 30 + 40 + 4 + 4
    whole = run_tap(settings(zoho), streams=["sent_contacts"]).records["sent_contacts"]
    for record, full in zip(records, whole, strict=True):
        # The replication key is selected too, as the SDK has it for keys.
        assert kept <= record.keys() <= {*kept, "sent_time"}
        assert record == {name: full[name] for name in record}
    (schema,) = [each["schema"] for each in outcome.messages if each["type"] == "SCHEMA"]
    assert set(schema["properties"]) == set(records[0])


def test_catalog_of_an_earlier_version(zoho: Sandbox, tmp_path: Path) -> None:
    """A catalog that does not know a field yet runs on without that field."""
    chosen = catalog(["sent_contacts"])
    (entry,) = [each for each in chosen["streams"] if each["tap_stream_id"] == "sent_contacts"]
    del entry["schema"]["properties"]["city"]
    entry["metadata"] = [each for each in entry["metadata"] if "city" not in each["breadcrumb"]]
    outcome = with_catalog(settings(zoho), chosen, tmp_path)
    assert outcome.exit_code == 0
    records = outcome.records["sent_contacts"]
    assert len(records) == 78
    assert "city" not in records[0]
    assert "country" in records[0]


def test_stream_maps(zoho: Sandbox) -> None:
    """Stream maps rename, compute, filter and leave out."""
    config = settings(
        zoho,
        stream_maps={
            "sent_contacts": {
                "__alias__": "recipients",
                "__filter__": "record['contact_email'].endswith('@mail1.example')",
                "domain": "contact_email.split('@')[1]",
                "custom_fields": None,
            },
            "campaigns": None,
        },
    )
    outcome = run_tap(config, streams=["sent_contacts", "campaigns"])
    assert outcome.error is None
    assert set(outcome.records) == {"recipients"}
    whole = run_tap(settings(zoho), streams=["sent_contacts"]).records["sent_contacts"]
    expected = [
        {name: value for name, value in record.items() if name != "custom_fields"}
        | {"domain": "mail1.example", "list_read_at": None}
        for record in whole
        if record["contact_email"].endswith("@mail1.example")
    ]
    arrived = [record | {"list_read_at": None} for record in outcome.records["recipients"]]
    assert arrived == expected
    assert expected


def test_flattening(zoho: Sandbox) -> None:
    """Flattening makes columns or texts of what is nested."""
    config = settings(zoho, flattening_enabled=True, flattening_max_depth=1)
    outcome = run_tap(config, streams=["clicked_contacts"])
    assert outcome.error is None
    whole = run_tap(settings(zoho), streams=["clicked_contacts"]).records["clicked_contacts"]
    flat = outcome.records["clicked_contacts"]
    assert len(flat) == len(whole) > 0
    for record, full in zip(flat, whole, strict=True):
        assert record["contact_email"] == full["contact_email"]
        assert record["click_count"] == full["click_count"]
        assert not any(isinstance(value, dict | list) for value in record.values())
        assert json.loads(record["url_clicks"]) == full["url_clicks"]


def test_batch(zoho: Sandbox, tmp_path: Path) -> None:
    """With a batch configuration the rows stand in gzipped JSONL files that messages name."""
    plain = run_tap(settings(zoho)).records
    config = settings(
        zoho,
        batch_config={
            "encoding": {"format": "jsonl", "compression": "gzip"},
            "storage": {"root": tmp_path.as_uri(), "prefix": "rows-"},
            "batch_size": 7,
        },
    )
    outcome = run_tap(config)
    assert outcome.error is None
    assert outcome.records == {}
    batched: dict[str, list[dict[str, t.Any]]] = {}
    seen_all: set[str] = set()
    for message in outcome.messages:
        if message["type"] != "BATCH":
            continue
        assert message["encoding"] == {"format": "jsonl", "compression": "gzip"}
        for url in message["manifest"]:
            lines = gzip.decompress(
                Path(url2pathname(urlsplit(url).path)).read_bytes()
            ).splitlines()
            assert 0 < len(lines) <= 7
            batched.setdefault(message["stream"], []).extend(map(json.loads, lines))
        seen_all.add(message["stream"])

    def timeless(records: list[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
        return [record | dict.fromkeys(record.keys() & READ_AT) for record in records]

    assert {name: timeless(records) for name, records in batched.items()} == {
        name: timeless(records) for name, records in plain.items() if records
    }
    assert outcome.messages[-1]["type"] == "STATE"


KEPT_KEYS = {name: name for name in ("campaign_key", "contact_email")}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"stream_maps": {"opened_contacts": {"first_name": None}}}, "stream_maps"),
        ({"stream_maps": {"opened_contacts": {"__filter__": "False"}}}, "stream_maps"),
        ({"stream_maps": {"opened_contacts": {"__alias__": "opens"}}}, "stream_maps"),
        ({"stream_maps": {"opened_contacts": {"__else__": None, **KEPT_KEYS}}}, "stream_maps"),
        ({"stream_maps": {"opened_contacts": None}}, "stream_maps"),
        ({"stream_maps": {"*_contacts": {"custom_fields": None}}}, "stream_maps"),
        ({"stream_maps": {"copy": {"__source__": "opened_contacts"}}}, "stream_maps"),
        ({"stream_maps": {"click_events": {"url": "md5(url)"}}}, "stream_maps"),
        ({"stream_maps": {"__else__": None, "campaigns": {}}}, "stream_maps"),
        ({"flattening_enabled": True, "flattening_max_depth": 2}, "flattening_enabled"),
    ],
)
def test_batch_that_would_ignore_what_was_asked(
    zoho: Sandbox, tmp_path: Path, changes: dict[str, t.Any], named: str
) -> None:
    """What batch files would not honor is refused by name, before any request."""
    config = settings(zoho, batch_config=batches_in(tmp_path), **changes)
    outcome = run_process(config, tmp_path)
    assert outcome.exit_code == 2
    assert f"batch_config cannot be combined with {named} (" in outcome.log[-1]
    assert zoho.requests == []
    assert not list(tmp_path.glob("rows-*"))


def test_batch_with_a_deselected_field(zoho: Sandbox, tmp_path: Path) -> None:
    """So is a field that the catalog deselects, and a compression other than gzip."""
    chosen = catalog(["opened_contacts"])
    (entry,) = (each for each in chosen["streams"] if each["tap_stream_id"] == "opened_contacts")
    entry["metadata"].append(
        {"breadcrumb": ["properties", "first_name"], "metadata": {"selected": False}}
    )
    path = tmp_path / "catalog.json"
    path.write_text(json.dumps(chosen))
    config = settings(zoho, batch_config=batches_in(tmp_path))
    outcome = run_process(config, tmp_path, "--catalog", str(path))
    assert "cannot be combined with deselected fields (opened_contacts)" in outcome.log[-1]
    plain = batches_in(tmp_path) | {"encoding": {"format": "jsonl", "compression": "none"}}
    outcome = run_process(settings(zoho, batch_config=plain), tmp_path)
    assert "cannot be combined with a compression other than gzip" in outcome.log[-1]
    assert zoho.requests == []


def batches_in(folder: Path) -> dict[str, t.Any]:
    """Return a batch configuration that writes to a folder."""
    return {
        "encoding": {"format": "jsonl", "compression": "gzip"},
        "storage": {"root": folder.as_uri(), "prefix": "rows-"},
    }


READ_AT = {"list_read_at", "listed_at", "report_read_at"}
"""What differs from run to run."""


def test_batch_state_comes_after_its_rows(zoho: Sandbox, tmp_path: Path) -> None:
    """Where rows are batched, no state tells of a list whose file has not been named yet."""
    config = settings(
        zoho,
        batch_config={
            "encoding": {"format": "jsonl", "compression": "gzip"},
            "storage": {"root": tmp_path.as_uri()},
            "batch_size": 1_000,
        },
    )
    outcome = run_tap(config, streams=["sent_contacts", "opened_contacts"])
    named: set[str] = set()
    for message in outcome.messages:
        if message["type"] == "BATCH":
            named.add(message["stream"])
        if message["type"] == "STATE":
            told = {
                stream
                for stream, state in message["value"]["bookmarks"].items()
                if state.get("partitions") or state.get("finished")
            }
            assert told <= named


@pytest.mark.skipif(sys.platform == "win32", reason="there is no ulimit")
def test_batch_that_cannot_be_written(tmp_path: Path) -> None:
    """A batch that cannot be written ends the run in a line, and no state tells of its rows."""
    with Sandbox(make_account(1, 1_000, opened=3)) as small:
        config = settings(
            small,
            batch_config={
                "encoding": {"format": "jsonl", "compression": "gzip"},
                "storage": {"root": tmp_path.as_uri()},
            },
        )
        # No file may be larger: as on a disk that is full when the longest list comes.
        limited = ["bash", "-c", 'ulimit -f 8; exec "$@"', "bash"]
        done = subprocess.run(
            limited + command(config, tmp_path),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 1
    log = done.stderr.splitlines()
    assert log[-1].endswith(
        "A batch of sent_contacts could not be written: File too large. Check batch_config, and "
        "that its storage can be written to"
    )
    assert "Run failed." in log[-2]
    assert "Traceback" not in done.stderr
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    batched = {each["stream"] for each in messages if each["type"] == "BATCH"}
    assert {"opened_contacts"} <= batched
    assert "sent_contacts" not in batched
    *_, state = (each["value"]["bookmarks"] for each in messages if each["type"] == "STATE")
    assert "opened_contacts" in state
    assert "sent_contacts" not in state


def test_bad_stream_map_is_refused_before_any_request(zoho: Sandbox) -> None:
    """What the SDK's own settings get wrong is refused by name as well."""
    with pytest.raises(ConfigValidationError) as caught:
        TapZohoCampaignsRecipients(config=settings(zoho, stream_maps=["x"]))
    assert [line.split()[0] for line in caught.value.errors] == ["stream_maps"]
    assert zoho.requests == []


@pytest.mark.parametrize(
    ("change", "what", "names"),
    [
        (
            {"stream_maps": {"sent_contacts": {"contact_email": "md5(contact_email"}}},
            "stream_maps",
            "md5(contact_email",
        ),
        ({"stream_maps": {"sent_contacts": {"__filter__": "city ="}}}, "stream_maps", "city ="),
        ({"stream_maps": {"campaigns": {"__key_properties__": ["id"]}}}, "stream_maps", "'id'"),
        (
            {
                "flattening_enabled": True,
                "flattening_max_depth": 1,
                "flattening_max_key_length": 15,
            },
            "flattening",
            "column name",
        ),
    ],
    ids=["expression", "filter", "key", "length"],
)
@pytest.mark.parametrize("option", [None, "--test"])
def test_mapping_that_does_not_fit(
    zoho: Sandbox,
    tmp_path: Path,
    change: dict[str, t.Any],
    what: str,
    names: str,
    option: str | None,
) -> None:
    """A map or a flattening that does not fit its stream is one line, before any request."""
    outcome = run_process(settings(zoho, **change), tmp_path, *filter(None, [option]))
    assert outcome.exit_code == 2
    assert outcome.messages == []
    assert f"{what} cannot be used: " in outcome.log[-1]
    # The rest of the line is the SDK's.
    assert names in outcome.log[-1]
    assert "Traceback" not in "\n".join(outcome.log)
    assert zoho.requests == []


def test_full_run_of_a_process(tmp_path: Path) -> None:
    """A process writes every row of every list, whole and once."""
    clock = FakeClock()
    account = make_account(2, 120, now=clock.now)
    with Sandbox(account) as zoho:
        outcome = run_process(settings(zoho, page_size=50), tmp_path)
        assert outcome.exit_code == 0
        read_at = {
            record.pop("list_read_at")
            for stream in RECIPIENT_ACTIONS
            for record in outcome.records[stream]
        }
        assert len(read_at) >= 1
        for stream in RECIPIENT_ACTIONS:
            for record in outcome.records[stream]:
                record["list_read_at"] = "1970-01-01T00:00:00.000+00:00"
        assert_all_arrived(zoho, outcome, read_at=0)


PAST = """
import datetime, sys
from singer_sdk.helpers import _compat
_compat._PYTHON_EOL_DATES[sys.version_info[:2]] = datetime.date(2020, 10, 1)
from tap_zoho_campaigns_recipients.__main__ import main
main()
"""


def test_an_old_python_fails_no_run(tmp_path: Path) -> None:
    """Where warnings are errors, a Python at the end of its life runs the tap all the same."""
    done = subprocess.run(
        [sys.executable, "-W", "error::FutureWarning", "-c", PAST, "--discover"],
        cwd=tmp_path,
        env={name: text for name, text in os.environ.items() if name != "PYTHONWARNINGS"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "end of" not in done.stderr
    assert json.loads(done.stdout)["streams"]
