"""Opens and clicks: one record each, from the rows of lists that are read anyway."""

from __future__ import annotations

import re
import typing as t
from zoneinfo import ZoneInfo

import pytest

from sandbox import Sandbox, make_campaign
from support.incremental import add, calls, lists_asked, run
from support.tap_runs import DAY_S, RECIPIENTS, run_tap, settings
from support.truth import EVENTS, expected_events
from tap_zoho_campaigns_recipients.zoho.events import event_records
from tap_zoho_campaigns_recipients.zoho.field_values import read_event_reports

if t.TYPE_CHECKING:
    from sandbox import Account
    from support.tap_runs import FakeClock
    from support.truth import Record

ZONE = "America/New_York"
OF_EVENTS = ("opened_contacts", "clicked_contacts")


def by_key(records: list[Record]) -> list[Record]:
    return sorted(
        records,
        key=lambda each: (each["campaign_key"], each["contact_email"], each["event_number"]),
    )


@pytest.mark.parametrize("form", ["json", "xml"])
def test_every_event_arrives(clock: FakeClock, account: Account, form: str) -> None:
    """Every open and click that Zoho's rows tell of is one record, counted in the order of time."""
    make_campaign(account, recipients=70, opened=41, clicked=21, days_ago=3)
    make_campaign(account, recipients=40, days_ago=5, type="abtesting")
    make_campaign(account, recipients=3, opened=0, days_ago=7)
    with Sandbox(account, clock=clock) as zoho:
        config = settings(zoho, response_format=form, account_timezone=account.timezone)
        outcome = run_tap(config, clock=clock.fresh())
        assert outcome.error is None
        truth = expected_events(zoho, clock.now, form)
        for stream in EVENTS:
            assert by_key(outcome.records[stream]) == by_key(truth[stream])
            assert len(truth[stream]) > 20


@pytest.mark.parametrize("form", ["json", "xml"])
def test_events_beside_their_lists_cost_no_call(zoho: Sandbox, clock: FakeClock, form: str) -> None:
    """Event streams that are selected beside their lists add no call, now or in later runs."""
    for number in range(5):
        add(zoho.account, f"{number}", number + 1, recipients=30)
    costs = []
    for streams in (OF_EVENTS, (*OF_EVENTS, *EVENTS)):
        first = run(zoho, clock, streams=streams, response_format=form)
        costs.append([calls(zoho)])
        run(zoho, clock, first.state, streams=streams, response_format=form)
        costs[-1].append(calls(zoho))
    assert costs[0] == costs[1]


def test_events_alone(zoho: Sandbox, clock: FakeClock) -> None:
    """Event streams that are selected alone read their two lists and no other."""
    add(zoho.account, "news", 3)
    outcome = run(zoho, clock, streams=EVENTS)
    assert lists_asked(zoho) == {("news", "openedcontacts"), ("news", "clickedcontacts")}
    assert set(outcome.records) <= set(EVENTS)
    assert outcome.records["open_events"]


def test_events_selected_later(zoho: Sandbox, clock: FakeClock) -> None:
    """An event stream that is selected later has its list read once, for all streams of it."""
    add(zoho.account, "news", 3)
    first = run(zoho, clock, streams=["opened_contacts"])
    second = run(zoho, clock, first.state, streams=["opened_contacts", "open_events"])
    assert lists_asked(zoho) == {("news", "openedcontacts")}
    assert second.records["opened_contacts"]
    assert second.records["open_events"]
    run(zoho, clock, second.state, streams=["opened_contacts", "open_events"])
    assert lists_asked(zoho) == set()


def test_second_open_adds_one_event(zoho: Sandbox, clock: FakeClock) -> None:
    """A second open adds exactly one row, and changes no number of the others."""
    add(zoho.account, "news", 3, recipients=30, opened=9)
    first = run(zoho, clock, streams=["open_events"])
    clock.advance(3600)
    reader = zoho.account.rows("news", "openedcontacts")[4]["email"]
    zoho.account.open("news", reader)
    clock.advance(8 * DAY_S)
    second = run(zoho, clock, first.state, streams=["open_events"])
    names = ("contact_email", "event_number", "event_time")
    before, after = (
        {tuple(each[name] for name in names) for each in outcome.records["open_events"]}
        for outcome in (first, second)
    )
    assert before < after
    ((email, number, _),) = after - before
    assert email == reader.lower()
    assert number == 1 + max(n for e, n, _ in before if e == email)


@pytest.mark.parametrize("timeline", ["ignored", "refused"])
def test_xml_without_timelines(zoho: Sandbox, clock: FakeClock, timeline: str) -> None:
    """Where XML has no timelines the lists are read all the same, and one warning says so."""
    for number in range(3):
        add(zoho.account, f"{number}", number + 1, recipients=20)
    zoho.switches.set("timeline", timeline)
    outcome = run(zoho, clock, streams=None, response_format="xml", account_timezone=ZONE)
    assert len([each for each in outcome.warnings if "there are no events in XML" in each]) == 1
    assert len(outcome.records["opened_contacts"]) == sum(
        len(zoho.account.rows(key, "openedcontacts")) for key in zoho.account.campaigns
    )
    if timeline == "refused":
        sent = [each for each in zoho.requests if "type" in each.params]
        assert len(sent) <= 4


def test_type_is_sent_only_for_events(zoho: Sandbox, clock: FakeClock) -> None:
    """`type` is in requests for the two lists in XML, and only if their events are selected."""
    add(zoho.account, "news", 3)
    run(zoho, clock, streams=None, response_format="xml", account_timezone=ZONE)
    sent = {
        (each.action, each.params.get("type"))
        for each in zoho.requests
        if each.endpoint == RECIPIENTS and "type" in each.params
    }
    assert sent == {("openedcontacts", "open_timeline"), ("clickedcontacts", "click_timeline")}
    run(zoho, clock, streams=OF_EVENTS, response_format="xml", account_timezone=ZONE)
    assert not any("type" in each.params for each in zoho.requests)
    run(zoho, clock, streams=None)
    assert not any("type" in each.params for each in zoho.requests)


OPENS: list[dict[str, t.Any]] = [
    {"label": "open_1", "time": "12 Feb 2026, 12:01 PM"},
    {"label": "open_2", "time": "Feb 13, 2026 1:08 AM"},
]
LINK = "https://shop.example/a,b?x=1&y=2"
CLICKS = [
    {"label": LINK, "time": "12 Feb 2026, 12:01 PM"},
    {"label": "https://shop.example/", "time": "Feb 13, 2026 1:08 AM"},
]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"open_1": OPENS[0]["time"], "open_2": OPENS[1]["time"]}, OPENS),
        ("{open_1=12 Feb 2026, 12:01 PM, open_2=Feb 13, 2026 1:08 AM}", OPENS),
        ('{"open_1": "12 Feb 2026, 12:01 PM", "open_2": "Feb 13, 2026 1:08 AM"}', OPENS),
        ("{'open_1': '12 Feb 2026, 12:01 PM', 'open_2': 'Feb 13, 2026 1:08 AM'}", OPENS),
        (OPENS, OPENS),
        ([each["time"] for each in OPENS], [{**each, "label": None} for each in OPENS]),
        (
            "[12 Feb 2026, 12:01 PM, Feb 13, 2026 1:08 AM]",
            [{**each, "label": None} for each in OPENS],
        ),
        ("['12 Feb 2026, 12:01 PM']", [{"label": None, "time": "12 Feb 2026, 12:01 PM"}]),
        (f"{{{LINK}=12 Feb 2026, 12:01 PM, https://shop.example/=Feb 13, 2026 1:08 AM}}", CLICKS),
        ({LINK: ["12 Feb 2026, 12:01 PM"], "https://shop.example/": [CLICKS[1]["time"]]}, CLICKS),
        (
            {"open_1": ["12 Feb 2026, 12:01 PM", "12 Feb 2026, 12:01 PM"]},
            [OPENS[0], OPENS[0]],
        ),
        ([{"url": LINK, "time": CLICKS[0]["time"]}], [CLICKS[0]]),
        ({"report": [{"time": "Feb 13, 2026 1:08 AM"}]}, [{**OPENS[1], "label": None}]),
        ({}, []),
        ("{}", []),
    ],
    ids=str,
)
def test_spellings_of_reports(value: object, expected: list[dict[str, t.Any]]) -> None:
    """Every spelling of openreports and clickreports gives the same labels and times."""
    read, loss = read_event_reports(value)
    assert (read, loss) == (expected, 0)


@pytest.mark.parametrize("value", ["soon", "{open_1}", "[1, {]", {"a": {"b": {}}}, 5.5])
def test_reports_that_cannot_be_read(value: object) -> None:
    """What cannot be read is said to be unread, so that it is kept in custom_fields."""
    _, loss = read_event_reports(value)
    assert loss > 0


def test_events_of_any_order() -> None:
    """Events are the same whatever the order of the map; unreadable times come last, in order."""
    reports: list[dict[str, t.Any]] = [
        {"label": "b", "time": "soon"},
        *OPENS,
        {"label": "a", "time": None},
        {"label": "open_0", "time": "12 Feb 2026, 12:01 PM"},
    ]
    record = {
        "campaign_key": "3z",
        "parent_campaign_key": None,
        "contact_email": "a@b.example",
        "contact_id": "1",
        "list_read_at": "2026-10-01T00:00:00.000+00:00",
    }
    expected = ["open_0", "open_1", "open_2"]
    for order in (reports, list(reversed(reports))):
        events = event_records({**record, "open_reports": order}, "openedcontacts", ZoneInfo(ZONE))
        assert [each["event_label"] for each in events[:3]] == expected
        assert [each["event_number"] for each in events] == [1, 2, 3, 4, 5]
        unread = [each["label"] for each in order if each["label"] in {"a", "b"}]
        assert [each["event_label"] for each in events[3:]] == unread
        assert events[1]["event_time_utc"] == "2026-02-12T17:01:00.000+00:00"
        assert events[4]["event_time_utc"] is None


def test_labels_that_say_nothing(zoho: Sandbox, clock: FakeClock) -> None:
    """Where labels are no links, events have the label and no URL; all else is the same."""
    zoho.switches.report_labels = "ids"
    add(zoho.account, "news", 3, recipients=30, opened=9, clicked=4)
    outcome = run(zoho, clock, streams=EVENTS)
    truth = expected_events(zoho, clock.now)
    for stream in EVENTS:
        records = outcome.records[stream]
        assert all(re.fullmatch(r"3030\d\d", each["event_label"]) for each in records)
        assert all(each.get("url") is None for each in records)
        times = [sorted(each["event_time"] for each in rows) for rows in (records, truth[stream])]
        assert times[0] == times[1] != []
