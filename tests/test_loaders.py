"""What loaders make of the tap's messages, each as released and in an environment of its own."""

from __future__ import annotations

import contextlib
import csv
import json
import subprocess
import sys
import typing as t
from datetime import UTC, datetime
from itertools import count

import pytest

from documents import code, read, table
from sandbox import Sandbox, make_account, make_campaign
from support import RECIPIENT_ACTIONS, RECIPIENTS, command, settings
from truth import expected_list, sent_campaigns
from warehouse import (
    TIMEOUT_S,
    Duckdb,
    by_key,
    from_warehouse,
    load,
    loader_command,
    loader_environment,
    without_read_at,
)

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from sandbox import Account, Logged
    from warehouse import Postgres, Warehouse

Record = dict[str, t.Any]
Lists = dict[str, list[Record]]
"""Rows by stream, but for when their list was read."""

SCHEMA = "zoho_campaigns"
"""The schema of the README's query."""

MATERIALS = {
    "postgresql": {
        "text": "text",
        "moment": "timestamp without time zone",
        "flag": "boolean",
        "count": "bigint",
        "object": "jsonb",
        "array": "ARRAY",
    },
    "duckdb": {
        "text": "VARCHAR",
        "moment": "TIMESTAMP",
        "flag": "BOOLEAN",
        "count": "HUGEINT",
        "object": "JSON",
        "array": "JSON",
    },
}
"""What each database makes a column of."""


def account() -> Account:
    """Three campaigns with unusual contacts among theirs, an A/B test, and a tiny one."""
    account = make_account(2, [260, 140], spacing_days=30)
    make_campaign(account, "A/B", recipients=30, type="abtesting", days_ago=9)
    make_campaign(account, "Tiny", recipients=3, opened=1, hard=0, soft=0, days_ago=2)
    account.rows(next(iter(account.campaigns)), "sentcontacts")  # makes the contacts
    odd = account.contacts[:3]
    odd[0].custom = {
        "last seen yymmdd": "260101",
        "score": 1.5,
        'a "quoted" name': "Ünïcödé 🍂 \\ back\nslash",
    }
    odd[1].profile = {**odd[1].profile, "note": 'said "no", twice; tab\there', "phone": "null"}
    odd[2].rtbf = True
    odd[2].email = None
    return account


@pytest.fixture(scope="module")
def zoho() -> Iterator[Sandbox]:
    """Serves the account; nobody changes it."""
    with Sandbox(account()) as it:
        yield it


@pytest.fixture(scope="module")
def messages(zoho: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What the tap writes of a full run."""
    return run_tap_process(settings(zoho), tmp_path_factory.mktemp("tap"))


@pytest.fixture(scope="module")
def whole_run_calls(zoho: Sandbox, messages: bytes) -> int:
    """How many calls for recipients a full run makes."""
    assert messages
    return zoho.calls(RECIPIENTS)


@pytest.fixture(scope="module")
def expected(zoho: Sandbox) -> Lists:
    """Every record that must arrive, but for when its list was read."""
    return true_lists(zoho)


@pytest.fixture(params=["postgresql", "duckdb"])
def warehouse(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Warehouse]:
    """A database without tables."""
    if request.param == "duckdb":
        if sys.version_info >= (3, 12):
            pytest.skip("target-duckdb 0.8 does not run on Python 3.12 and later")
        yield Duckdb(tmp_path / "warehouse.duckdb")
        return
    server: Postgres = request.getfixturevalue("postgres")
    assert server.rows(f"select 1 from pg_namespace where nspname = '{SCHEMA}'") == []
    yield server
    drop(server)


def drop(server: Postgres) -> None:
    """Take the tables away again."""
    subprocess.run(
        [f"{server.programs}/psql", "-X", "-q", "-c", f"drop schema {SCHEMA} cascade", server.uri],
        check=True,
        capture_output=True,
    )


def run_tap_process(
    config: dict[str, t.Any], folder: Path, state: dict[str, t.Any] | None = None
) -> bytes:
    """Run the tap as a process; return what it wrote."""
    return subprocess.run(
        command(config, folder, state=state),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
        timeout=TIMEOUT_S,
    ).stdout


def load_into(warehouse: Warehouse, folder: Path, messages: bytes) -> dict[str, t.Any]:
    """Hand messages to the database's loader; return the last state that it wrote."""
    states = load(warehouse.loader, warehouse.loader_config(SCHEMA), folder, messages)
    return t.cast("dict[str, t.Any]", json.loads(states.splitlines()[-1]))


def true_lists(zoho: Sandbox) -> Lists:
    """What the sandbox knows to be in each list now, in the order of the key."""
    return {
        stream: by_key(
            without_read_at(record)
            for key in sent_campaigns(zoho)
            for record in expected_list(zoho, stream, key, read_at=0)
        )
        for stream in RECIPIENT_ACTIONS
    }


def loaded_lists(warehouse: Warehouse) -> Lists:
    """What each table holds, in the order of the key."""
    return lists(
        warehouse, {stream: f"select * from {SCHEMA}.{stream}" for stream in RECIPIENT_ACTIONS}
    )


def lists_now(warehouse: Warehouse) -> Lists:
    """What the README's query finds for each list, with the count that the README gives for it."""
    query = code(read("README.md"), "now.sql").removesuffix(";")
    counts = dict(table(read("README.md"), "counts"))
    assert list(counts) == list(RECIPIENT_ACTIONS)
    return lists(
        warehouse,
        {
            stream: query.replace("unopened_contacts", stream).replace(
                "report.unopened", f"report.{counts[stream]}"
            )
            for stream in RECIPIENT_ACTIONS
        },
    )


def lists(warehouse: Warehouse, queries: dict[str, str]) -> Lists:
    """The rows of several queries, in the order of the key; asked at once, for that is faster."""
    parts = [
        f"select '{stream}' as stream, to_json(part) as record from ({query}) as part"
        for stream, query in queries.items()
    ]
    rows = warehouse.rows(" union all ".join(parts))
    return {
        stream: by_key(
            without_read_at(from_warehouse(row["record"]))
            for row in rows
            if row["stream"] == stream
        )
        for stream in queries
    }


def once_or_now(before: Lists, now: Lists) -> Lists:
    """What a table holds that is only ever updated by key."""
    return {
        stream: by_key(
            {
                (row["campaign_key"], row["contact_email"]): row
                for row in [*before[stream], *now[stream]]
            }.values()
        )
        for stream in RECIPIENT_ACTIONS
    }


def last_state(messages: bytes) -> object:
    states = [line for line in messages.splitlines() if b'"type":"STATE"' in line]
    return json.loads(states[-1])["value"]


def addresses(rows: Iterable[Record], campaign_key: str) -> set[str]:
    return {row["contact_email"] for row in rows if row["campaign_key"] == campaign_key}


def test_tables_hold_every_row_once_after_the_same_run_was_loaded_twice(
    warehouse: Warehouse, messages: bytes, expected: Lists, tmp_path: Path
) -> None:
    """Tables hold all fields of all nine lists row for row, and the same when loaded again."""
    for _ in range(2):
        assert load_into(warehouse, tmp_path, messages) == last_state(messages)
        assert loaded_lists(warehouse) == expected


def test_tables_of_campaigns_and_reports(
    warehouse: Warehouse, zoho: Sandbox, messages: bytes, tmp_path: Path
) -> None:
    """The tables of campaigns and of reports hold a row for each sent campaign, with its counts."""
    load_into(warehouse, tmp_path, messages)
    keys = sorted(sent_campaigns(zoho))
    campaigns = {row["campaign_key"]: row for row in whole_table(warehouse, "campaigns")}
    assert sorted(campaigns) == keys
    for key, row in campaigns.items():
        campaign = zoho.account.campaigns[key]
        assert row["parent_campaign_key"] == campaign.parent_key
        if campaign.parent_key is None:  # the listing shows no test halves
            assert campaign.sent_at is not None
            assert (row["campaign_name"], row["subject"], moment(row["sent_time_utc"])) == (
                campaign.name,
                campaign.subject,
                int(campaign.sent_at),
            )
    reports = {row["campaign_key"]: row for row in whole_table(warehouse, "campaign_reports")}
    assert sorted(reports) == keys
    for key, row in reports.items():
        report = zoho.account.report(key)
        assert report
        # Zoho rounds percentages to one decimal; counts are whole.
        assert {name: float(row[name]) for name in report} == pytest.approx(report, abs=0.05)


def whole_table(warehouse: Warehouse, stream: str) -> list[Record]:
    return warehouse.rows(f"select * from {SCHEMA}.{stream}")


def moment(text: str) -> int:
    """Epoch seconds of a moment that a database shows: without an offset, in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def test_columns_have_the_right_types(
    warehouse: Warehouse, messages: bytes, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Moments become timestamps, counts integers, flags booleans and nested values JSON."""
    load_into(warehouse, tmp_path, messages)
    columns = warehouse.rows(
        "select table_name, column_name, data_type from information_schema.columns "
        f"where table_schema = '{SCHEMA}'"
    )
    types = {(each["table_name"], each["column_name"]): each["data_type"] for each in columns}
    material = MATERIALS[request.node.callspec.params["warehouse"]]
    right = {
        ("sent_contacts", "contact_id"): material["text"],
        ("sent_contacts", "sent_time"): material["moment"],
        ("sent_contacts", "sent_time_utc"): material["moment"],
        ("sent_contacts", "list_read_at"): material["moment"],
        ("sent_contacts", "is_forgotten"): material["flag"],
        ("sent_contacts", "custom_fields"): material["object"],
        ("opened_contacts", "open_reports"): material["array"],
        ("clicked_contacts", "click_count"): material["count"],
        ("clicked_contacts", "url_clicks"): material["array"],
        ("campaign_reports", "opens_count"): material["count"],
        ("campaign_reports", "report_read_at"): material["moment"],
        ("campaigns", "is_hybrid"): material["flag"],
    }
    assert {column: types[column] for column in right} == right
    assert types["campaign_reports", "open_percent"] in {"numeric", "DOUBLE"}


def test_a_second_run_brings_what_changed(warehouse: Warehouse, tmp_path: Path) -> None:
    """After opens, clicks, an opt-out and a late bounce, one more run brings the tables up to date.

    Rows that left a list stay in its table, as they were; the README's query tells who is in it.
    """
    with Sandbox(account()) as zoho:
        state = load_into(warehouse, tmp_path, run_tap_process(settings(zoho), tmp_path))
        before = true_lists(zoho)
        big, small, _, *_ = sent_campaigns(zoho)
        tiny = next(key for key, each in zoho.account.campaigns.items() if each.name == "Tiny")
        *_, someone, other = sorted(addresses(before["unopened_contacts"], big))
        *_, reader = sorted(addresses(before["opened_contacts"], small))
        last_two = addresses(before["unopened_contacts"], tiny)
        assert len(last_two) == 2
        zoho.account.open(big, someone)
        zoho.account.click(small, reader)
        zoho.account.optout(small, reader)
        zoho.account.bounce(big, other)
        for address in last_two:
            zoho.account.open(tiny, address.removesuffix("@no-address.invalid"))
        zoho.reset_log()
        load_into(warehouse, tmp_path, run_tap_process(settings(zoho), tmp_path, state))
        now = true_lists(zoho)
        read_again = {(call.campaign_key, call.action) for call in zoho.requests if call.action}

    assert (big, "unsentcontacts") not in read_again
    assert loaded_lists(warehouse) == once_or_now(before, now)
    found = lists_now(warehouse)
    assert found == now
    assert someone not in addresses(found["unopened_contacts"], big)
    assert someone in addresses(found["opened_contacts"], big)
    assert addresses(found["unopened_contacts"], tiny) == set()
    assert addresses(loaded_lists(warehouse)["unopened_contacts"], tiny) == last_two


def test_who_is_in_a_list_now_after_one_run(
    warehouse: Warehouse, messages: bytes, expected: Lists, tmp_path: Path
) -> None:
    """After the first run, the README's query finds all of every list."""
    load_into(warehouse, tmp_path, messages)
    assert lists_now(warehouse) == expected


@pytest.mark.parametrize("everything", [False, True], ids=["tap", "tap and loader"])
def test_a_killed_run_is_made_good_by_the_next(
    warehouse: Warehouse, whole_run_calls: int, tmp_path: Path, *, everything: bool
) -> None:
    """A run that is killed, and run again with the last state that the loader wrote, lacks nothing.

    What was finished before, and is in that state, is not read again.
    """
    with Sandbox(account()) as zoho:
        config = settings(zoho, max_parallel_requests=1)
        with killed_at(whole_run_calls * 5 // 6, zoho) as victims:
            tap = subprocess.Popen(
                command(config, tmp_path), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
            loader = subprocess.Popen(
                loader_command(warehouse.loader, warehouse.loader_config(SCHEMA), tmp_path),
                stdin=tap.stdout,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=loader_environment(),
            )
            victims.extend([tap, loader] if everything else [tap])
            with tap, loader:
                assert tap.stdout is not None
                tap.stdout.close()
                states, _ = loader.communicate(timeout=TIMEOUT_S)
        assert tap.returncode < 0
        assert (loader.returncode < 0) == everything
        state = json.loads(states.splitlines()[-1]) if states else None
        zoho.reset_log()
        load_into(warehouse, tmp_path, run_tap_process(settings(zoho), tmp_path, state))
        if not everything:
            assert state is not None
            assert 0 < zoho.calls(RECIPIENTS) <= whole_run_calls // 2
        now = true_lists(zoho)

    assert loaded_lists(warehouse) == now
    assert lists_now(warehouse) == now


@contextlib.contextmanager
def killed_at(number: int, zoho: Sandbox) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Kill processes at once when a recipient request arrives that has this number."""
    victims: list[subprocess.Popen[bytes]] = []
    numbers = count(1)

    def strike(call: Logged) -> None:
        if call.endpoint == RECIPIENTS and next(numbers) == number:
            for victim in victims:
                victim.kill()

    zoho.before_request = strike
    yield victims
    zoho.before_request = None


def test_jsonl_files_hold_every_record(messages: bytes, expected: Lists, tmp_path: Path) -> None:
    """target-jsonl keeps the records as they are."""
    load("target-jsonl", {"destination_path": str(tmp_path)}, tmp_path, messages)
    for stream, records in expected.items():
        files = list(tmp_path.glob(f"{stream}*.jsonl"))
        rows = [json.loads(line) for path in files for line in path.read_text().splitlines()]
        assert by_key(without_read_at(row) for row in rows) == records, stream


def test_csv_files_hold_every_record(messages: bytes, expected: Lists, tmp_path: Path) -> None:
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


@pytest.mark.parametrize("loader", ["target-jsonl", "target-csv"])
def test_files_of_two_runs(loader: str, tmp_path: Path) -> None:
    """With the names that meltano.yml gives the files, they keep what both runs brought.

    The latest row of each key is the one that a database would hold.
    """
    config: dict[str, t.Any] = {"destination_path": str(tmp_path), "do_timestamp_file": False}
    if loader == "target-csv":
        names = "{stream_name}-{timestamp}.csv"
        config = {"output_path": str(tmp_path), "file_naming_scheme": names}
    with Sandbox(account()) as zoho:
        messages = run_tap_process(settings(zoho), tmp_path)
        load(loader, config, tmp_path, messages)
        before = true_lists(zoho)
        big = sent_campaigns(zoho)[0]
        *_, someone = sorted(addresses(before["unopened_contacts"], big))
        zoho.account.open(big, someone)
        state = t.cast("dict[str, t.Any]", last_state(messages))
        load(loader, config, tmp_path, run_tap_process(settings(zoho), tmp_path, state))
        now = true_lists(zoho)
    texts = ("campaign_key", "contact_email", "contact_id", "sent_date", "note", "first_name")
    for stream, records in once_or_now(before, now).items():
        rows: list[Record] = []
        for path in sorted(tmp_path.glob(f"{stream}*")):
            with path.open(newline="", encoding="utf-8") as file:
                rows += csv.DictReader(file) if path.suffix == ".csv" else map(json.loads, file)
        latest = {(row["campaign_key"], row["contact_email"]): row for row in rows}
        kept = ({name: row[name] or None for name in texts} for row in latest.values())
        assert by_key(kept) == [{name: record[name] for name in texts} for record in records]
        if stream == "opened_contacts":
            assert len(rows) > len(latest)
