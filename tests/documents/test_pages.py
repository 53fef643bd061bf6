"""The pages of the documentation that are made from something else, or speak of the code."""

from __future__ import annotations

import ast
import json
import re
from datetime import timedelta

import pytest
import yaml

from docs_build import demo_picture, fields
from many_accounts.deployment import Deployment
from support.documents import ROOT, code, read, table
from support.tap_runs import RECIPIENT_ACTIONS

MERMAID = re.compile(r"```mermaid\n(erDiagram\n.*?)```", re.DOTALL)


def test_the_readme_is_short() -> None:
    """The README is a front page: at most 200 lines."""
    assert len(read("README.md").splitlines()) <= 200


def test_the_page_of_fields_is_made_from_the_schemas() -> None:
    """docs/fields.md is what `make docs-pages` writes."""
    assert read(fields.PAGE) == fields.page()


def test_the_picture_of_tables_has_their_keys() -> None:
    """The ER pictures show each table with the key of its stream, and no other table."""
    shown: dict[str, list[str]] = {}
    for picture in MERMAID.findall(read(fields.PAGE)):
        for name, body in re.findall(
            r"^    (\w+) \{\n(.*?)^    \}", picture, re.DOTALL | re.MULTILINE
        ):
            shown[name] = re.findall(r"^ +\w+ (\w+) PK", body, re.MULTILINE)
    assert shown == {name: stream.keys for name, stream in fields.streams().items()}


def test_the_picture_of_tables_has_their_relations() -> None:
    """Each table belongs to `campaigns`, each table of events to its list."""
    relations = set()
    for picture in MERMAID.findall(read(fields.PAGE)):
        relations |= set(re.findall(r"^    (\w+) \S+--\S+ (\w+) :", picture, re.MULTILINE))
    of_campaigns = {("campaigns", name) for name in fields.streams()}
    events = {("opened_contacts", "open_events"), ("clicked_contacts", "click_events")}
    assert relations == of_campaigns - {("campaigns", name) for _, name in events} | events


def test_the_picture_of_the_demo_is_made_from_its_output() -> None:
    """docs/images/demo.svg shows the output in docs/images/demo.txt, and needs no other file."""
    drawn = read(demo_picture.PICTURE)
    assert drawn == demo_picture.picture(read(demo_picture.OUTPUT))
    assert re.findall(r"href|src=|url\(|@import|<script", drawn) == []


def test_the_output_of_the_demo_is_that_of_a_run() -> None:
    """The table that is shown counts the rows of the first run, and what the second one brought."""
    output = read(demo_picture.OUTPUT)
    log = " ".join(output.split())
    shown = [line.split("|") for line in output.splitlines() if line.count("|") == 7][1:]
    changes = [line.split("|") for line in output.splitlines() if line.count("|") == 3][1:]
    grown = {figure.strip(): int(now) - int(before) for _, figure, before, now in changes}
    assert grown == {"opened": 1, "clicked": 1, "opted out": 1}
    for column, stream, figure in (
        (2, "sent_contacts", ""),
        (3, "opened_contacts", "opened"),
        (4, "clicked_contacts", "clicked"),
        (6, "optout_contacts", "opted out"),
    ):
        counted = int(re.findall(rf"(?<!\w){stream} (\d+)", log)[0])
        assert sum(int(row[column]) for row in shown) == counted + grown.get(figure, 0), stream


def test_what_the_output_of_the_demo_leaves_out() -> None:
    """Of what the demo prints, the log of Meltano, metrics and folders are left out."""
    prefix = "2026-11-27T03:46:24.650334Z [info     ] "
    tap = "tap-zoho-campaigns-recipients"
    printed = [
        ".venvs/pgserver/bin/python -m demo",
        "PostgreSQL keeps its data in .demo/postgres.",
        f"{prefix}meltano      Installing 2 plugins",
        f"{prefix}{tap} METRIC campaigns        metric_name=record_count metric_value=18",
        f"{prefix}{tap} Found 18 campaigns",
        "",
        "Look further:",
    ]
    assert demo_picture.shown("\n".join(printed)) == (
        "$ make demo\nPostgreSQL keeps its data in .demo/postgres.\nFound 18 campaigns\n"
    )


def constants() -> str:
    """All texts in the code of the tap, one a line; `…` stands for what is filled in."""
    texts = []
    for path in (ROOT / "tap_zoho_campaigns_recipients").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        inner = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                inner |= set(map(id, node.values))
                parts = [
                    part.value if isinstance(part, ast.Constant) else "…" for part in node.values
                ]
                texts.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and id(node) not in inner:
                texts.append(re.sub(r"%[.\d]*[sdf]", "…", str(node.value)))
    return "\n".join(texts)


CONSTANTS = constants()
QUOTES = [
    match[1] for match in re.finditer(r"^\| `([^`]+)` \|", read("docs/errors.md"), re.MULTILINE)
]


def is_said(part: str, most_pieces: int = 4) -> bool:
    """Whether a part of a message is a text of the code, or some of them one after the other."""
    if len(part) < 3 or part in CONSTANTS:
        return True
    return most_pieces > 1 and any(
        part[:end] in CONSTANTS and is_said(part[end:], most_pieces - 1)
        for end in range(len(part) - 1, 1, -1)
    )


@pytest.mark.parametrize("quote", QUOTES)
def test_errors_are_quoted_as_the_log_has_them(quote: str) -> None:
    """What docs/errors.md quotes is in the code, word for word; `…` stands for anything."""
    for part in re.split(r"…|\d{4}", quote):
        assert is_said(part.strip()), part


def test_every_warning_and_error_is_documented() -> None:
    """docs/errors.md quotes what the code logs as a warning."""
    page = read("docs/errors.md")
    missing = []
    for path in (ROOT / "tap_zoho_campaigns_recipients").rglob("*.py"):
        if "probing" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            if node.func.attr not in {"warning", "warning_once"}:
                continue
            for argument in node.args:
                if isinstance(argument, ast.Constant) and " " in str(argument.value):
                    parts = re.split(r"%[.\d]*[sdf]", str(argument.value))
                    if any(part.strip() and part.strip() not in page for part in parts):
                        missing.append(argument.value)
    assert missing == []


def test_exit_codes_are_documented() -> None:
    """docs/operation.md has each exit code of the tap."""
    from tap_zoho_campaigns_recipients.singer import exit_codes  # noqa: PLC0415

    codes = re.findall(r"^\| (\d) \|", read("docs/operation.md"), re.MULTILINE)
    named = {
        value for name, value in vars(exit_codes).items() if name.isupper() and type(value) is int
    }
    assert {int(each) for each in codes} >= named


def test_every_page_is_in_the_navigation() -> None:
    """mkdocs.yml names each page once."""
    nav = yaml.safe_load(read("mkdocs.yml").replace("!!python/name:", ""))["nav"]
    pages = [
        page for part in nav for group in part.values() for each in group for page in each.values()
    ]
    assert sorted(pages) == sorted(path.name for path in ROOT.glob("docs/*.md"))


def test_the_site_fetches_no_font() -> None:
    """The theme takes no font from another host."""
    assert "font: false" in read("mkdocs.yml")


def test_the_readme_links_every_page() -> None:
    """The README says where each page is."""
    readme = read("README.md")
    left_out = {"index.md"}
    missing = [
        path.name
        for path in ROOT.glob("docs/*.md")
        if path.name not in left_out and f"](docs/{path.name})" not in readme
    ]
    assert missing == []


def test_streams_that_cost_a_list() -> None:
    """The streams that cost calls of a list of their own are the nine lists."""
    rows = table(read("docs/streams.md"), "streams")
    assert {row[0] for row in rows if row[4].strip() == "its list"} == set(RECIPIENT_ACTIONS)


def test_the_table_of_the_deployment_has_every_variable() -> None:
    """docs/many-accounts.md has each variable of the DAGs, with its default; times in seconds."""
    rows = table(read("docs/many-accounts.md"), "deployment")
    defaults = {
        f"ZOHO_CAMPAIGNS_{name.upper()}": f"{value.total_seconds():.0f}"
        if isinstance(value, timedelta)
        else str(value).removeprefix(f"{ROOT}/")
        for name, value in vars(Deployment()).items()
    }
    defaults["ZOHO_CAMPAIGNS_PROJECT"] = "the clone"
    for name in ("MODELS", "SHARED_LIMITS"):
        defaults[f"ZOHO_CAMPAIGNS_{name}"] = "true"
    assert {row[0]: row[1] for row in rows} == defaults


def test_the_list_of_accounts_is_the_example() -> None:
    """The list of accounts in docs/many-accounts.md is orchestrate/accounts.example.json."""
    shown = json.loads(code(read("docs/many-accounts.md"), "accounts"))
    assert shown == json.loads(read("orchestrate/accounts.example.json"))


def test_an_account_may_have_each_setting_that_is_no_secret() -> None:
    """What `config` of an account may hold is what meltano.yml declares, except for secrets."""
    source = ast.parse(read("orchestrate/dags/many_accounts/accounts.py"))
    names = {
        target.id: ast.literal_eval(node.value.args[0])
        for node in source.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id == "SETTINGS"
    }
    plugins = yaml.safe_load(read("meltano.yml"))["plugins"]["extractors"]
    declared = {
        each["name"]
        for each in plugins[0]["settings"]
        if not each.get("sensitive") and each["name"] != "client_id"
    }
    assert set(names["SETTINGS"]) == declared
