"""The queries about events that the documents show, in both databases."""

from __future__ import annotations

import json
import math
import typing as t
from collections import defaultdict
from datetime import UTC, datetime

import pytest

from sandbox import Account, Sandbox
from support.documents import code, read
from support.incremental import add, run
from support.tap_runs import FakeClock
from support.truth import expected_events
from support.warehouse import load_into

if t.TYPE_CHECKING:
    from pathlib import Path

    from support.warehouse import Record, Warehouse

STREAMS = ("campaigns", "open_events", "click_events")
MINUTE_S = 60


def seconds(text: str) -> float:
    """Return a time that a database or a record shows, in epoch seconds."""
    time = datetime.fromisoformat(text)
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


@pytest.fixture
def loaded(
    warehouse: Warehouse, tmp_path: Path
) -> tuple[Warehouse, dict[str, list[Record]], Account]:
    """A database with the events of two campaigns, and the truth about them."""
    clock, account = FakeClock(), Account()
    with Sandbox(account, clock=clock) as zoho:
        add(account, "news", 3, recipients=60, opened=25, clicked=11)
        add(account, "more", 9, recipients=30, opened=12, clicked=7)
        outcome = run(zoho, clock, streams=STREAMS)
        truth = expected_events(zoho, clock.now)
    messages = "".join(json.dumps(each) + "\n" for each in outcome.messages)
    load_into(warehouse, tmp_path, messages.encode())
    return warehouse, truth, account


def rows(warehouse: Warehouse, name: str) -> list[Record]:
    """Return the rows of a query of the documents."""
    return warehouse.rows(code(read("README.md"), name).removesuffix(";"))


def test_queries_of_events(
    loaded: tuple[Warehouse, dict[str, list[Record]], Account],
) -> None:
    """First and last opens, opens by hour after sending, and clicks of links are the account's."""
    warehouse, truth, account = loaded
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    hours: dict[tuple[str, int], int] = defaultdict(int)
    for event in truth["open_events"]:
        key, at = event["campaign_key"], seconds(event["event_time_utc"])
        times[key, event["contact_email"]].append(at)
        sent_at = math.floor((account.campaigns[key].sent_at or 0) * 1000) / 1000
        hours[key, math.floor((at - sent_at) / 3600)] += 1
    assert {
        (row["campaign_key"], row["contact_email"]): (
            row["opens"],
            seconds(row["first_open"]),
            seconds(row["last_open"]),
        )
        for row in rows(warehouse, "opens.sql")
    } == {who: (len(at), min(at), max(at)) for who, at in times.items()}
    assert {
        (row["campaign_key"], int(row["hour"])): row["opens"]
        for row in rows(warehouse, "hours.sql")
    } == hours
    clicks: dict[tuple[str, str], list[str]] = defaultdict(list)
    for event in truth["click_events"]:
        clicks[event["campaign_key"], event["url"]].append(event["contact_email"])
    assert {
        (row["campaign_key"], row["url"]): (row["clicks"], row["contacts"])
        for row in rows(warehouse, "clicks.sql")
    } == {link: (len(who), len(set(who))) for link, who in clicks.items()}
