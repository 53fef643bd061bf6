"""The queries about events that the documents show, in both databases."""

from __future__ import annotations

import json
import math
import typing as t
from collections import defaultdict
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

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

STREAMS = (
    "campaigns",
    "sent_contacts",
    "opened_contacts",
    "clicked_contacts",
    "optout_contacts",
    "hard_bounce_contacts",
    "soft_bounce_contacts",
    "open_events",
    "click_events",
    "list_readings",
)


def seconds(text: str) -> float:
    """Return a time that a database or a record shows, in epoch seconds."""
    time = datetime.fromisoformat(text)
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


@pytest.fixture
def loaded(
    warehouse: Warehouse, tmp_path: Path
) -> tuple[Warehouse, dict[str, list[Record]], Account]:
    """A database with five campaigns, one of them an A/B test, and the truth about them."""
    clock, account = FakeClock(), Account()
    with Sandbox(account, clock=clock) as zoho:
        add(account, "news", 3, recipients=60, opened=25, clicked=11, optout=4)
        add(account, "more", 9, recipients=30, opened=12, clicked=7)
        add(account, "test", 24, recipients=40, opened=9, clicked=2, type="abtesting")
        add(account, "august", 41, recipients=20, opened=9, hard=2, soft=1)
        add(account, "july", 62, recipients=20, opened=9)
        outcome = run(zoho, clock, streams=STREAMS)
        truth = expected_events(zoho, clock.now)
    messages = "".join(json.dumps(each) + "\n" for each in outcome.messages)
    load_into(warehouse, tmp_path, messages.encode())
    return warehouse, truth, account


def rows(warehouse: Warehouse, name: str, **changes: str) -> list[Record]:
    """Return the rows of a query of the documents.

    Args:
        warehouse: The database.
        name: The query's mark.
        **changes: What to put in place of a word that must be in it.
    """
    query = code(read("docs/sql.md"), name).removesuffix(";")
    for word, text in changes.items():
        assert word in query
        query = query.replace(word, text)
    return warehouse.rows(query)


def people(account: Account, key: str, action: str) -> set[str]:
    """Return who is in a list of the account."""
    return {row["email"].lower() for row in account.rows(key, action)}


def test_queries_of_events(
    loaded: tuple[Warehouse, dict[str, list[Record]], Account],
) -> None:
    """First and last opens, opens by hour after sending, and clicks of links are the account's."""
    warehouse, truth, account = loaded
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    hours: dict[tuple[str, int], int] = defaultdict(int)
    times_sent = {
        (key, row["email"].lower()): math.floor(row["sent_at"] * 1000) / 1000
        for key in account.campaigns
        for row in account.rows(key, "openedcontacts")
    }
    for event in truth["open_events"]:
        key, at = event["campaign_key"], seconds(event["event_time_utc"])
        times[key, event["contact_email"]].append(at)
        sent_at = times_sent[key, event["contact_email"]]
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


def test_open_rate(loaded: tuple[Warehouse, dict[str, list[Record]], Account]) -> None:
    """Last month's open rate has each campaign of that month once, an A/B test as a whole.

    The A/B test was sent on the last days of August, its variants some hours before.
    """
    warehouse, _, account = loaded
    expected = {}
    for key in ("test", "august"):
        campaign = account.campaigns[key]
        keys = [key, *(each.key for each in campaign.variants or ())]
        sent = set[str]().union(*(people(account, each, "sentcontacts") for each in keys))
        opened = set[str]().union(*(people(account, each, "openedcontacts") for each in keys))
        bounces = [
            people(account, each, action)
            for each in keys
            for action in ("senthardbounce", "sentsoftbounce")
        ]
        delivered = sent - set[str]().union(*bounces)
        assert opened <= delivered < sent
        rate = round(100 * len(opened) / len(delivered), 1)
        expected[campaign.name] = (len(sent), len(delivered), len(opened), rate)
    assert expected["test"][0] == 40 + 4 + 4
    assert {
        row["campaign_name"]: (
            row["sent"],
            row["delivered"],
            row["opened"],
            float(row["open_rate_percent"]),
        )
        for row in rows(warehouse, "open-rate.sql", current_date="date '2026-09-21'")
    } == expected


def test_asleep(loaded: tuple[Warehouse, dict[str, list[Record]], Account]) -> None:
    """Who opened none of the mails of 90 days, and did not opt out, is there with their number."""
    warehouse, _, account = loaded
    today = max(each.sent_at or 0 for each in account.campaigns.values()) + 30 * 86_400
    since = today // 86_400 * 86_400 - 90 * 86_400
    sent: dict[str, int] = defaultdict(int)
    awake = set[str]()
    for key in account.campaigns:
        for row in account.rows(key, "sentcontacts"):
            sent[row["email"].lower()] += row["sent_at"] >= since
        for row in account.rows(key, "openedcontacts"):
            awake |= {row["email"].lower()} if row["sent_at"] >= since else set()
        awake |= people(account, key, "optoutcontacts")
    expected = {who: number for who, number in sent.items() if number and who not in awake}
    assert 0 < len(expected) < len(sent)
    day = datetime.fromtimestamp(today, UTC).date()
    found = rows(warehouse, "asleep.sql", current_date=f"date '{day}'")
    assert {row["contact_email"]: row["campaigns"] for row in found} == expected


def test_variants_have_no_time(
    loaded: tuple[Warehouse, dict[str, list[Record]], Account],
) -> None:
    """The row of an A/B variant that Zoho does not list has no time of sending."""
    warehouse, *_ = loaded
    found = warehouse.rows(
        "select parent_campaign_key, sent_time_utc from zoho_campaigns.campaigns "
        "where parent_campaign_key is not null"
    )
    assert [tuple(row.values()) for row in found] == [("test", None)] * 2


def test_who_clicked(loaded: tuple[Warehouse, dict[str, list[Record]], Account]) -> None:
    """Each click of the links that begin with an address is there, with contact and time."""
    warehouse, truth, account = loaded
    expected = sorted(
        (seconds(event["event_time_utc"]), event["contact_email"], event["url"])
        for event in truth["click_events"]
        if event["url"].startswith("https://shop.example/")
    )
    assert 0 < len(expected) < len(truth["click_events"])
    found = rows(warehouse, "who-clicked.sql")
    assert (
        sorted((seconds(row["event_time_utc"]), row["contact_email"], row["url"]) for row in found)
        == expected
    )
    assert {row["campaign_name"] for row in found} <= {
        each.name for each in account.campaigns.values()
    } | {None}


def test_opens_by_local_hour(
    loaded: tuple[Warehouse, dict[str, list[Record]], Account],
) -> None:
    """Opens are counted by the hour of the time zone that the query names."""
    warehouse, truth, _ = loaded
    hours: dict[int, int] = defaultdict(int)
    for event in truth["open_events"]:
        at = datetime.fromtimestamp(seconds(event["event_time_utc"]), ZoneInfo("Europe/Berlin"))
        hours[at.hour] += 1
    found = rows(warehouse, "local-hours.sql")
    assert {int(row["hour"]): row["opens"] for row in found} == hours
    assert [int(row["hour"]) for row in found] == sorted(hours)


def test_unnesting(loaded: tuple[Warehouse, dict[str, list[Record]], Account]) -> None:
    """Clicks by link of each contact are rows, in the words of either database."""
    warehouse, _, account = loaded
    is_postgres = warehouse.loader == "target-postgres"
    name = "unnest-postgresql.sql" if is_postgres else "unnest-duckdb.sql"
    expected: dict[tuple[str, str], int] = defaultdict(int)
    for key in account.campaigns:
        for event in events_of_clicks(account, key):
            expected[event] += 1
    found: dict[tuple[str, str], int] = defaultdict(int)
    for row in rows(warehouse, name):
        found[row["contact_email"], row["url"]] += row["clicks"]
    assert found == expected


def events_of_clicks(account: Account, key: str) -> list[tuple[str, str]]:
    """Return who clicked which link of a campaign, once for each click."""
    return [
        (row["email"].lower(), url)
        for row in account.rows(key, "clickedcontacts")
        for _, url in row["clicks"]
    ]


def test_custom_fields(loaded: tuple[Warehouse, dict[str, list[Record]], Account]) -> None:
    """A field of the account's own is found under the name that Zoho gave it."""
    warehouse, _, account = loaded
    found = rows(warehouse, "custom.sql")
    assert {row["plan"] for row in found} == {"gold"}
    keys = account.campaigns
    assert len(found) == sum(len(account.rows(key, "sentcontacts")) for key in keys)


def test_incomplete_lists(
    loaded: tuple[Warehouse, dict[str, list[Record]], Account],
) -> None:
    """Readings that may lack rows are found; here there are none."""
    warehouse, *_ = loaded
    assert rows(warehouse, "incomplete.sql") == []
    incomplete = rows(warehouse, "incomplete.sql", **{"where not is_complete": "where is_complete"})
    assert len(incomplete) == 6 * 7
