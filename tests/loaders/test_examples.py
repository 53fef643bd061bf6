"""The documented examples do what is said of them."""

from __future__ import annotations

import csv
import hashlib
import json
import typing as t

import pytest
import yaml

from sandbox import Sandbox, make_account
from support.documents import ROOT, code, read, table
from support.project import TAP
from support.shell import run_in_shell
from support.tap_runs import RECIPIENT_ACTIONS, RECIPIENTS, settings
from support.truth import expected_list, sent_campaigns
from support.warehouse import by_key, from_warehouse, without_read_at

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.project import Project
    from support.warehouse import Postgres

pytestmark = pytest.mark.xdist_group("meltano")

Record = dict[str, t.Any]

SALT = "pepper and salt"


@pytest.fixture(scope="module")
def zoho() -> Iterator[Sandbox]:
    """Three campaigns; nobody changes them."""
    with Sandbox(make_account(3, [30, 12, 4])) as it:
        yield it


def true_rows(zoho: Sandbox, stream: str) -> list[Record]:
    """What must arrive of a list of every campaign, except for when it was read."""
    return by_key(
        without_read_at(record)
        for key in sent_campaigns(zoho)
        for record in expected_list(zoho, stream, key, read_at=0)
    )


def pseudonym(address: str) -> str:
    return hashlib.sha256((SALT + address).encode()).hexdigest()


def jsonl(path: Path) -> list[Record]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_example_is_documented() -> None:
    """The table of examples has each file of examples/ and the plugin that it makes."""
    files = {path.name: yaml.safe_load(path.read_text()) for path in ROOT.glob("examples/*.yml")}
    plugins = {name: file["plugins"]["extractors"] for name, file in files.items()}
    assert all(plugin["inherit_from"] == TAP for (plugin,) in plugins.values())
    rows = {f"[{name}](../examples/{name})": plugin["name"] for name, (plugin,) in plugins.items()}
    assert {file: plugin for file, plugin, _ in table(read("docs/examples.md"), "examples")} == rows


def test_pseudonyms(project: Project, zoho: Sandbox, tmp_path: Path) -> None:
    """Addresses are salted hashes, whoever they belong to, and what names a contact is gone."""
    run = ("run", f"{TAP}--pseudonyms", "target-jsonl")
    own = project.variables(zoho, tmp_path)
    project.succeed(*run, **own, RECIPIENT_SALT=SALT)
    kept = {
        "campaign_key",
        "parent_campaign_key",
        "action",
        "contact_status",
        "country",
        "timezone",
        "sent_time",
        "sent_time_utc",
        "sent_date",
        "is_forgotten",
    }
    for stream in ("sent_contacts", "opened_contacts", "unopened_contacts"):
        expected = [
            {name: record[name] for name in kept}
            | {
                "contact_email": hashlib.sha256(
                    (SALT + record["contact_email"]).encode()
                ).hexdigest()
            }
            | {name: record[name] for name in record if name == "open_reports"}
            for record in true_rows(zoho, stream)
        ]
        rows = map(without_read_at, jsonl(tmp_path / f"{stream}.jsonl"))
        assert by_key(rows) == by_key(expected), stream
    said = "".join(path.read_text() for path in tmp_path.glob("*.jsonl"))
    for row in true_rows(zoho, "sent_contacts"):
        assert row["contact_email"] not in said
        assert row["contact_id"] not in said


def test_pseudonyms_without_a_salt(project: Project, zoho: Sandbox, tmp_path: Path) -> None:
    """Where the salt was forgotten, the run says so in a line and no recipient is delivered."""
    zoho.reset_log()
    done = project("run", f"{TAP}--pseudonyms", "target-jsonl", **project.variables(zoho, tmp_path))
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert "stream_map_config has no value for RECIPIENT_SALT, which stream_maps" in said
    assert "Traceback" not in said
    assert "Unexpected error" not in said
    assert list(tmp_path.glob("*.jsonl")) == []
    assert zoho.requests == []


def test_three_streams(project: Project, zoho: Sandbox, tmp_path: Path) -> None:
    """Only three streams arrive, and no call is made for any other list."""
    zoho.reset_log()
    project.succeed(
        "run", f"{TAP}--engagement", "target-jsonl", **project.variables(zoho, tmp_path)
    )
    names = ["campaigns", "clicked_contacts", "opened_contacts"]
    assert sorted(path.stem for path in tmp_path.glob("*.jsonl")) == names
    actions = {call.action for call in zoho.requests if call.endpoint == RECIPIENTS}
    assert actions == {"openedcontacts", "clickedcontacts"}
    rows = map(without_read_at, jsonl(tmp_path / "opened_contacts.jsonl"))
    assert by_key(rows) == true_rows(zoho, "opened_contacts")


def test_flattened(project: Project, zoho: Sandbox, tmp_path: Path) -> None:
    """In a CSV file, nested fields are JSON, and nothing of them is lost."""
    project.succeed("run", f"{TAP}--flat", "target-csv", **project.variables(zoho, tmp_path))
    nested = ("open_reports", "click_reports", "clicked_urls", "url_clicks", "custom_fields")
    for stream in ("opened_contacts", "clicked_contacts"):
        (path,) = tmp_path.glob(f"{stream}-*.csv")
        with path.open(newline="", encoding="utf-8") as file:
            rows = by_key(csv.DictReader(file))
        records = true_rows(zoho, stream)
        assert len(rows) == len(records)
        for row, record in zip(rows, records, strict=True):
            for name in record.keys() & nested:
                assert json.loads(row[name] or "null") == record[name]
            for name in record.keys() - nested - {"click_count", "is_forgotten"}:
                if not name.startswith("sent_time"):
                    assert (row[name] or None) == record[name]


def test_batches(project: Project, zoho: Sandbox, postgres: Postgres, tmp_path: Path) -> None:
    """Rows that went through gzipped files are those that Zoho has, in every table."""
    schema = "batches"
    project.succeed(
        "run",
        f"{TAP}--batches",
        "target-postgres",
        **project.variables(zoho, tmp_path),
        TARGET_POSTGRES_SQLALCHEMY_URL=postgres.loader_uri,
        TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA=schema,
    )
    files = (project.folder / "output/batches").glob("*.json.gz")
    assert {path.read_bytes()[:2] for path in files} == {b"\x1f\x8b"}
    for stream in RECIPIENT_ACTIONS:
        rows = postgres.rows(f"select * from {schema}.{stream}")
        loaded = by_key(without_read_at(from_warehouse(row)) for row in rows)
        assert loaded == true_rows(zoho, stream), stream


def test_structured_logs(zoho: Sandbox, tmp_path: Path) -> None:
    """With the logging file every line of the log is a JSON object, metrics included."""
    (tmp_path / "config.json").write_text(json.dumps(settings(zoho)))
    run_in_shell(code(read("docs/operation.md"), "logs"), tmp_path)
    lines = jsonl(tmp_path / "log.jsonl")
    assert {"level", "message", "ts", "logger_name"} <= set.intersection(*map(set, lines))
    assert any(line["message"].startswith("Run succeeded") for line in lines)
    counted = [line for line in lines if line.get("metric_info", {}).get("metric")]
    assert counted, lines[-3:]
