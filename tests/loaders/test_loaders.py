"""What loaders make of the tap's messages, each as released and in an environment of its own."""

from __future__ import annotations

import contextlib
import csv
import json
import subprocess
import typing as t
from datetime import UTC, datetime
from itertools import count

import pytest

from sandbox import Sandbox
from support.documents import code, read
from support.tap_runs import RECIPIENT_ACTIONS, RECIPIENTS, command, settings
from support.truth import sent_campaigns
from support.two_runs import (
    TABLES,
    account,
    addresses,
    last_state,
    once_or_now,
    run_tap_process,
    true_lists,
)
from support.warehouse import (
    SCHEMA,
    TIMEOUT_S,
    by_key,
    drop,
    lists,
    load,
    load_into,
    loader_command,
    loader_environment,
    without_read_at,
)

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandbox import Logged
    from support.two_runs import Lists
    from support.warehouse import Postgres, Warehouse

Record = dict[str, t.Any]
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
    """Every record that must arrive, except for when its list was read."""
    return true_lists(zoho)


def loaded_lists(warehouse: Warehouse) -> Lists:
    """What each table holds, in the order of the key."""
    return lists(warehouse, {stream: f"select * from {SCHEMA}.{stream}" for stream in TABLES})


def lists_now(warehouse: Warehouse) -> Lists:
    """What the documented query finds for each list."""
    query = code(read("docs/sql.md"), "now.sql").removesuffix(";")
    return lists(
        warehouse,
        {stream: query.replace("unopened_contacts", stream) for stream in RECIPIENT_ACTIONS},
    )


def without_events(tables: Lists) -> Lists:
    return {stream: tables[stream] for stream in RECIPIENT_ACTIONS}


def test_tables_hold_every_row_once_after_the_same_run_was_loaded_twice(
    warehouse: Warehouse, messages: bytes, expected: Lists, tmp_path: Path
) -> None:
    """Tables hold all fields of all lists and events row for row, also when loaded again."""
    for _ in range(2):
        assert load_into(warehouse, tmp_path, messages) == last_state(messages)
        assert loaded_lists(warehouse) == expected


def test_batches(postgres: Postgres, tmp_path: Path) -> None:
    """In BATCH mode, tables hold the same rows."""
    storage = {"root": f"file://{tmp_path}/batches"}
    encoding = {"format": "jsonl", "compression": "gzip"}
    with Sandbox(account()) as zoho:
        config = settings(zoho, batch_config={"encoding": encoding, "storage": storage})
        messages = run_tap_process(config, tmp_path)
        expected = true_lists(zoho)
    assert b'"type":"RECORD"' not in messages
    try:
        assert load_into(postgres, tmp_path, messages) == last_state(messages)
        assert loaded_lists(postgres) == expected
    finally:
        drop(postgres)


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
        if campaign.parent_key is None:  # the listing shows no A/B variants
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

    Rows that left a list stay in its table, as they were; the documented query tells who is in it.
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
    assert found == without_events(now)
    assert someone not in addresses(found["unopened_contacts"], big)
    assert someone in addresses(found["opened_contacts"], big)
    assert addresses(found["unopened_contacts"], tiny) == set()
    assert addresses(loaded_lists(warehouse)["unopened_contacts"], tiny) == last_two


def test_who_is_in_a_list_now_after_one_run(
    warehouse: Warehouse, messages: bytes, expected: Lists, tmp_path: Path
) -> None:
    """After the first run, the documented query finds all of every list."""
    load_into(warehouse, tmp_path, messages)
    assert lists_now(warehouse) == without_events(expected)


@pytest.mark.parametrize("everything", [False, True], ids=["tap", "tap and loader"])
def test_a_killed_run_is_made_good_by_the_next(
    warehouse: Warehouse, whole_run_calls: int, tmp_path: Path, *, everything: bool
) -> None:
    """A run that is killed, and run again with the last state that the loader wrote, lacks nothing.

    What was finished before, and is in that state, is not read again.
    """
    # With a page for each list as before, and enough rows to be worth a STATE before the end.
    with Sandbox(account(scale=3)) as zoho:
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
    assert lists_now(warehouse) == without_events(now)


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
    for stream, records in without_events(expected).items():
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
        second = run_tap_process(settings(zoho), tmp_path, last_state(messages))
        load(loader, config, tmp_path, second)
        now = true_lists(zoho)
    texts = ("campaign_key", "contact_email", "contact_id", "sent_date", "note", "first_name")
    for stream, records in without_events(once_or_now(before, now)).items():
        rows: list[Record] = []
        for path in sorted(tmp_path.glob(f"{stream}*")):
            with path.open(newline="", encoding="utf-8") as file:
                rows += csv.DictReader(file) if path.suffix == ".csv" else map(json.loads, file)
        latest = {(row["campaign_key"], row["contact_email"]): row for row in rows}
        kept = ({name: row[name] or None for name in texts} for row in latest.values())
        assert by_key(kept) == [{name: record[name] for name in texts} for record in records]
        if stream == "opened_contacts":
            assert len(rows) > len(latest)
