"""What is read again and what never is: runs that follow one another, as the campaigns age."""

from __future__ import annotations

import itertools
import json
import typing as t
from datetime import UTC, datetime

import pytest

from support.incremental import (
    HOUR_S,
    LISTS,
    add,
    bookmarks,
    calls,
    campaigns_asked,
    delivered,
    everything,
    lists_asked,
    run,
    unopened,
)
from support.tap_runs import (
    DAY_S,
    DETAILS,
    LISTING,
    RECIPIENT_ACTIONS,
    RECIPIENTS,
    REPORT,
)

if t.TYPE_CHECKING:
    from sandbox import Campaign, Sandbox
    from support.tap_runs import (
        FakeClock,
    )


def iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


# Open campaigns


def test_late_open(zoho: Sandbox, clock: FakeClock) -> None:
    """A contact who opens five days after the mail was sent is in the next run's records.

    Zoho gives the row the same sent_time as all others.
    """
    campaign = add(zoho.account, "news", 0.1)
    first = run(zoho, clock)
    clock.advance(5 * DAY_S)
    late = unopened(zoho).lower()
    zoho.account.open("news", late)

    second = run(zoho, clock, first.state)

    assert ("news", late) not in first.keys("opened_contacts")
    assert ("news", late) in second.keys("opened_contacts")
    assert ("news", late) not in second.keys("unopened_contacts")
    sent = {row["sent_time_utc"] for row in second.records["opened_contacts"]}
    assert {datetime.fromisoformat(each).timestamp() for each in sent} == {campaign.sent_at}


def test_nothing_changed(zoho: Sandbox, clock: FakeClock) -> None:
    """Where nothing changed, 10 open and 30 closed campaigns cost ten reports and a listing."""
    for number in range(10):
        add(zoho.account, f"open {number}", number + 1)
    for number in range(30):
        add(zoho.account, f"closed {number}", 61 + number)
    first = run(zoho, clock, streams=None)

    second = run(zoho, clock, first.state, streams=None)

    assert calls(zoho) == {LISTING: 1, REPORT: 10}
    assert {stream: len(rows) for stream, rows in second.records.items()} == {
        "campaigns": 40,
        "campaign_locations": 10,
        "campaign_reports": 10,
    }
    assert delivered(first) == everything(zoho, *zoho.account.campaigns)


def test_one_open(zoho: Sandbox, clock: FakeClock) -> None:
    """After one new open its campaign's opened, unopened and clicked lists are read.

    So are those that compliance depends on, which are read after a change of any number.
    """
    for number in range(5):
        add(zoho.account, f"campaign {number}", number + 1)
    first = run(zoho, clock)
    zoho.account.open("campaign 3", unopened(zoho, "campaign 3"))

    second = run(zoho, clock, first.state)

    changed = {"openedcontacts", "unopenedcontacts", "clickedcontacts"}
    changed |= {"optoutcontacts", "spamcontacts"}
    assert lists_asked(zoho) == {("campaign 3", action) for action in changed}
    assert second.log[-1].startswith(
        "INFO Run succeeded. Campaigns: 5 open, 1 read, left out: 4 unchanged, 0 closed, "
        "0 refused. Lists unchanged: 40."
    )


@pytest.mark.parametrize(
    ("event", "streams"),
    [
        ("open", {"opened", "unopened", "clicked"}),
        ("click", {"clicked"}),
        ("optout", {"optout"}),
        ("spam", {"spam", "optout"}),
        ("hard", {"hard_bounce", "soft_bounce", "unopened"}),
        ("soft", {"hard_bounce", "soft_bounce", "unopened"}),
        ("send", {"sent", "unopened", "unsent"}),
    ],
)
def test_every_event_is_noticed(
    zoho: Sandbox, clock: FakeClock, event: str, streams: set[str]
) -> None:
    """Whatever happens to a contact, the lists that it changes are read again, and few others."""
    add(zoho.account, "news", 3, unsent=2)
    first = run(zoho, clock)
    who = unopened(zoho)
    account = zoho.account
    if event in {"hard", "soft"}:
        account.bounce("news", who, kind=t.cast("t.Literal['hard', 'soft']", event))
    elif event == "send":
        account.send("news", "newcomer@example.com")
    else:
        getattr(account, event)("news", who)

    second = run(zoho, clock, first.state)

    # Who opted out or complained did so in a mail that they opened, or not: both are possible.
    asked = {
        name for name, action in RECIPIENT_ACTIONS.items() if ("news", action) in lists_asked(zoho)
    }
    assert {f"{name}_contacts" for name in streams} <= asked
    assert everything(zoho, "news") <= delivered(first, second)
    assert len(asked) < len(LISTS)


def test_second_click(zoho: Sandbox, clock: FakeClock) -> None:
    """A second click of a contact changes no number of clickers, and is read all the same."""
    add(zoho.account, "news", 3, recipients=40)
    first = run(zoho, clock)
    clicker = zoho.account.rows("news", "clickedcontacts")[0]["email"]
    before = next(r for r in first.records["clicked_contacts"] if r["contact_email"] == clicker)
    report = zoho.account.report("news")
    zoho.account.click("news", clicker)
    assert zoho.account.report("news") != report

    second = run(zoho, clock, first.state)

    after = next(r for r in second.records["clicked_contacts"] if r["contact_email"] == clicker)
    assert after["click_count"] == before["click_count"] + 1


def test_list_read_at(zoho: Sandbox, clock: FakeClock) -> None:
    """All rows of one reading bear its moment: who left the list has an older one than the rest."""
    add(zoho.account, "news", 3, recipients=40)
    first = run(zoho, clock, page_size=10)
    zoho.account.open("news", unopened(zoho))
    second = run(zoho, clock, first.state, page_size=10)

    moments = [
        {row["list_read_at"] for row in each.records["unopened_contacts"]}
        for each in (first, second)
    ]
    assert [len(each) for each in moments] == [1, 1]
    assert max(moments[0]) < min(moments[1])


# The window


def test_last_read(zoho: Sandbox, clock: FakeClock) -> None:
    """When its window has passed, every list of a campaign is read once more, then never again.

    The last read happens though the report shows no change. After it the campaign costs neither
    recipient requests nor a report.
    """
    add(zoho.account, "news", 59)
    first = run(zoho, clock, streams=None)
    clock.advance(2 * DAY_S)

    last = run(zoho, clock, first.state, streams=None)
    assert lists_asked(zoho) == {("news", action) for action in RECIPIENT_ACTIONS.values()}
    assert delivered(last) == everything(zoho, "news")
    assert len(last.records["campaign_reports"]) == 1

    after = run(zoho, clock, last.state, streams=None)
    assert calls(zoho) == {LISTING: 1}
    assert set(after.records) == {"campaigns"}
    assert "partitions" not in json.dumps(after.state)


def test_window_ends_after_the_true_sent_time(zoho: Sandbox, clock: FakeClock) -> None:
    """The window is counted from the true sent time, not from the one that Zoho reports."""
    add(zoho.account, "just open", 60 - 4 / 24)
    add(zoho.account, "just closed", 60 - 0.5 / 24)
    state = run(zoho, clock).state
    assert set(bookmarks(run(zoho, clock, state), "sent_contacts")) == {"just open"}


@pytest.mark.parametrize("days", [0, 1, 30])
def test_length_of_the_window(zoho: Sandbox, clock: FakeClock, days: int) -> None:
    """engagement_window_days says how long a campaign stays open; 0: one read and no more."""
    for age in (0.1, 0.5, 2, 29, 31):
        add(zoho.account, f"{age} days", age)
    state = run(zoho, clock, engagement_window_days=days).state
    outcome = run(zoho, clock, state, engagement_window_days=days)
    still_open = {f"{age} days" for age in (0.1, 0.5, 2, 29, 31) if age < days}
    assert set(bookmarks(outcome, "opened_contacts")) == still_open
    assert campaigns_asked(zoho) == still_open


def test_late_run(zoho: Sandbox, clock: FakeClock) -> None:
    """A campaign that was read on day 2 and then not before day 200 still gets its last read."""
    add(zoho.account, "news", 2)
    first = run(zoho, clock)
    clock.advance(198 * DAY_S)
    last = run(zoho, clock, first.state)
    assert delivered(last) == everything(zoho, "news")
    run(zoho, clock, last.state)
    assert calls(zoho) == {LISTING: 1}


def test_first_read_of_an_old_campaign(zoho: Sandbox, clock: FakeClock) -> None:
    """The first read of a campaign past its window is its last one."""
    add(zoho.account, "old", 100)
    first = run(zoho, clock)
    assert delivered(first) == everything(zoho, "old")
    run(zoho, clock, first.state)
    assert calls(zoho) == {LISTING: 1}


def test_longer_window_reopens_nothing(zoho: Sandbox, clock: FakeClock) -> None:
    """Finished is final: a longer window opens no campaign again, a full refresh reads it."""
    add(zoho.account, "old", 40)
    add(zoho.account, "new", 5)
    state = run(zoho, clock, engagement_window_days=30).state
    run(zoho, clock, state, engagement_window_days=365)
    assert campaigns_asked(zoho) == {"new"}

    refresh = run(zoho, clock, engagement_window_days=365)
    assert delivered(refresh) == everything(zoho, "old", "new")


def test_shorter_window(zoho: Sandbox, clock: FakeClock) -> None:
    """A shorter window closes a campaign with a last read."""
    add(zoho.account, "news", 40)
    state = run(zoho, clock).state
    last = run(zoho, clock, state, engagement_window_days=30)
    assert delivered(last) == everything(zoho, "news")
    run(zoho, clock, last.state)
    assert calls(zoho) == {LISTING: 1}


@pytest.mark.parametrize("ahead_s", [-2 * DAY_S, -2 * HOUR_S, 2 * HOUR_S, 2 * DAY_S])
def test_wrong_clock(zoho: Sandbox, clock: FakeClock, ahead_s: float) -> None:
    """Where the machine's clock and Zoho's differ by more than an hour, no campaign is closed."""
    add(zoho.account, "old", 100)
    zoho.switches.date_skew_s = ahead_s
    first = run(zoho, clock)
    assert any("clock" in line and "no campaign is closed" in line for line in first.warnings)
    assert set(bookmarks(first, "sent_contacts")) == {"old"}

    zoho.switches.date_skew_s = 0
    last = run(zoho, clock, first.state)
    assert not any("clock" in line for line in last.warnings)
    assert delivered(last) == everything(zoho, "old")
    assert bookmarks(last, "sent_contacts") == {}


def test_clock_that_is_nearly_right(zoho: Sandbox, clock: FakeClock) -> None:
    """A difference of less than an hour is none."""
    add(zoho.account, "old", 100)
    zoho.switches.date_skew_s = 3000
    assert bookmarks(run(zoho, clock), "sent_contacts") == {}


def test_wrong_clock_makes_no_range(zoho: Sandbox, clock: FakeClock) -> None:
    """By a clock that is ahead no range grows over what was sent lately and is listed late."""
    for age in (2, 4, 6, 8):
        add(zoho.account, f"{age} days", age)
    first = run(zoho, clock, engagement_window_days=1)
    zoho.switches.date_skew_s = -100 * DAY_S
    clock.advance(100 * DAY_S)
    wrong = run(zoho, clock, first.state, engagement_window_days=1)
    assert wrong.state == first.state

    clock.advance(-100 * DAY_S)
    zoho.switches.date_skew_s = 0
    add(zoho.account, "late", 5)
    last = run(zoho, clock, wrong.state, engagement_window_days=1)
    assert delivered(last) == everything(zoho, "late")


# The state


def test_bookmark(zoho: Sandbox, clock: FakeClock) -> None:
    """An open campaign's bookmark is the latest sent_time read, or its own where there is none."""
    campaign = add(zoho.account, "news", 3, spam=0, spread_s=900)
    outcome = run(zoho, clock)

    sent = bookmarks(outcome, "sent_contacts")["news"]
    assert sent["context"] == {"campaign_key": "news"}
    assert sent["replication_key"] == "sent_time"
    assert sent["replication_key_value"] == max(
        row["sent_time"] for row in outcome.records["sent_contacts"]
    )
    assert campaign.sent_at is not None
    reported = campaign.sent_at + 8 * HOUR_S
    empty = bookmarks(outcome, "spam_contacts")["news"]["replication_key_value"]
    assert datetime.fromisoformat(empty).timestamp() == reported


def test_state_stays_small(zoho: Sandbox, clock: FakeClock) -> None:
    """With 300 closed and 3 open campaigns and two streams the state has less than 12 kB.

    And no closed campaign is asked for again.
    """
    for number in range(300):
        add(zoho.account, f"closed {number}", 61 + number / 2, recipients=2)
    for number in range(3):
        add(zoho.account, f"open {number}", 1 + number, recipients=2)
    streams = ("opened_contacts", "sent_contacts")
    first = run(zoho, clock, streams=streams)

    assert len(json.dumps(first.state)) < 3_000
    assert max(len(json.dumps(state)) for state in first.states) < 12_000
    run(zoho, clock, first.state, streams=streams)
    assert calls(zoho) == {LISTING: 4, REPORT: 3}


def test_state_does_not_grow_with_time(zoho: Sandbox, clock: FakeClock) -> None:
    """A state that is handed on from run to run does not grow with every campaign ever sent."""
    state = None
    sizes = []
    for month in range(24):
        clock.advance(30 * DAY_S)
        for number in range(2):
            add(zoho.account, f"{month} {number}", number, recipients=2)
        outcome = run(
            zoho, clock, state, streams=["opened_contacts"], start_date=iso(clock.now - 40 * DAY_S)
        )
        state = outcome.state
        sizes.append(len(json.dumps(state)))
    assert max(sizes[6:]) <= max(sizes[:6]) + 100
    assert max(sizes) < 4000


def test_earlier_start_date(zoho: Sandbox, clock: FakeClock) -> None:
    """After a run with start_date, one without it brings in the older campaigns."""
    for age in (1, 20, 40, 70, 100):
        add(zoho.account, f"{age} days", age)
    first = run(zoho, clock, start_date=iso(clock.now - 30 * DAY_S))
    assert delivered(first) == everything(zoho, "1 days", "20 days")

    second = run(zoho, clock, first.state)
    assert delivered(second) == everything(zoho, "40 days", "70 days", "100 days")
    run(zoho, clock, second.state)
    assert calls(zoho) == {LISTING: 1, REPORT: 3}


def test_earlier_start_date_among_finished_campaigns(zoho: Sandbox, clock: FakeClock) -> None:
    """What start_date keeps out among campaigns past their window is left to a later run."""
    for age in range(61, 161, 10):
        add(zoho.account, f"{age} days", age)
    first = run(zoho, clock, start_date=iso(clock.now - 100 * DAY_S))
    second = run(zoho, clock, first.state, start_date=iso(clock.now - 130 * DAY_S))
    third = run(zoho, clock, second.state)
    fourth = run(zoho, clock, third.state)

    ages = [
        {int(key.split()[0]) for _, key, _ in delivered(each)}
        for each in (first, second, third, fourth)
    ]
    assert ages == [{61, 71, 81, 91}, {101, 111, 121}, {131, 141, 151}, set()]


def test_rolling_start_date(zoho: Sandbox, clock: FakeClock) -> None:
    """A start_date that moves on drops no campaign that is open in the state."""
    add(zoho.account, "news", 10)
    state = run(zoho, clock, start_date=iso(clock.now - 14 * DAY_S)).state
    clock.advance(20 * DAY_S)
    zoho.account.open("news", unopened(zoho))
    start = iso(clock.now - 14 * DAY_S)
    second = run(zoho, clock, state, start_date=start, reread_after_days=0)
    assert delivered(second) == everything(
        zoho, "news", streams=["opened_contacts", "unopened_contacts", "clicked_contacts"]
    )
    clock.advance(40 * DAY_S)
    last = run(zoho, clock, second.state, start_date=iso(clock.now - 14 * DAY_S))
    assert delivered(last) == everything(zoho, "news")
    run(zoho, clock, last.state)
    assert campaigns_asked(zoho) == set()


def test_keys_and_then_none(zoho: Sandbox, clock: FakeClock) -> None:
    """After a run with one key in campaign_keys, one without reads the other campaigns."""
    for age in (1, 61, 71, 81):
        add(zoho.account, f"{age}-days", age)
    first = run(zoho, clock, campaign_keys=["71-days"])
    assert delivered(first) == everything(zoho, "71-days")

    second = run(zoho, clock, first.state)
    assert delivered(second) == everything(zoho, "1-days", "61-days", "81-days")
    run(zoho, clock, second.state)
    assert campaigns_asked(zoho) == {"1-days"}


def test_hidden_campaign_keeps_its_bookmark(zoho: Sandbox, clock: FakeClock) -> None:
    """A campaign that a filter hides keeps its bookmark, and is read on as if nothing had been."""
    add(zoho.account, "news", 3)
    add(zoho.account, "other", 2)
    first = run(zoho, clock)
    hidden = run(zoho, clock, first.state, campaign_keys=["other"])
    assert bookmarks(hidden, "sent_contacts") == bookmarks(first, "sent_contacts")
    run(zoho, clock, hidden.state)
    assert calls(zoho) == {LISTING: 1, REPORT: 2}


def test_gone_campaign(zoho: Sandbox, clock: FakeClock) -> None:
    """A campaign that three whole listings on different days lack loses its bookmark.

    Not before its window has passed. If it comes back, it is read.
    """
    gone = add(zoho.account, "gone", 3)
    add(zoho.account, "other", 3)
    first = run(zoho, clock, streams=None)
    with zoho.lock:
        del zoho.account.campaigns["gone"]
    second = run(zoho, clock, first.state, streams=None)
    assert bookmarks(second, "sent_contacts")["gone"] == bookmarks(first, "sent_contacts")["gone"]
    clock.advance(70 * DAY_S)
    state = second.state
    for _ in range(2):
        for _ in range(2):
            missed = run(zoho, clock, state, streams=None)
            assert "gone" in bookmarks(missed, "sent_contacts")
            state = missed.state
        clock.advance(DAY_S)
    state = run(zoho, clock, state, streams=None).state
    assert "gone" not in json.dumps(state)
    state = run(zoho, clock, state, streams=None).state

    with zoho.lock:
        zoho.account.campaigns["gone"] = gone
    back = run(zoho, clock, state, streams=None)
    assert delivered(back) == everything(zoho, "gone")


def test_newly_selected_stream(zoho: Sandbox, clock: FakeClock) -> None:
    """A newly selected stream reads everything; a deselected one keeps its state."""
    for age in (3, 100):
        add(zoho.account, f"{age} days", age)
    first = run(zoho, clock, streams=["sent_contacts"])
    second = run(zoho, clock, first.state, streams=["opened_contacts"])
    assert delivered(second) == everything(zoho, "3 days", "100 days", streams=["opened_contacts"])
    assert second.state["bookmarks"]["sent_contacts"] == first.state["bookmarks"]["sent_contacts"]
    third = run(zoho, clock, second.state, streams=["opened_contacts", "sent_contacts"])
    assert calls(zoho) == {LISTING: 1, REPORT: 1}
    assert third.records == {}


def test_full_table(zoho: Sandbox, clock: FakeClock) -> None:
    """With FULL_TABLE everything is read each time, and the state is neither used nor written."""
    for age in (3, 100):
        add(zoho.account, f"{age} days", age)
    state = run(zoho, clock).state
    full = run(zoho, clock, state, method="FULL_TABLE")
    assert delivered(full) == everything(zoho, "3 days", "100 days")
    assert full.state == state

    new = run(zoho, clock, method="FULL_TABLE")
    assert delivered(new) == everything(zoho, "3 days", "100 days")
    assert new.state == {"version": 2, "bookmarks": {}}


def test_full_table_of_test_halves(zoho: Sandbox, clock: FakeClock) -> None:
    """With FULL_TABLE what the state knows of A/B variants stays as it is, too."""
    parent = add(zoho.account, "test", 59, type="abtesting", recipients=40)
    state = run(zoho, clock, streams=["sent_contacts"]).state
    clock.advance(30 * DAY_S)
    streams = ["campaign_reports", "opened_contacts"]
    full = run(zoho, clock, state, streams=streams, method="FULL_TABLE")
    opened = ["opened_contacts"]
    assert delivered(full) == everything(zoho, *family(parent), streams=opened)
    assert full.state == state

    new = run(zoho, clock, streams=streams, method="FULL_TABLE")
    assert new.state == {"version": 2, "bookmarks": {}}


# Reports that are not right


def test_lagging_report(zoho: Sandbox, clock: FakeClock) -> None:
    """A report that lags behind its lists by a run costs no row."""
    add(zoho.account, "news", 3, recipients=30)
    zoho.switches.reports = "lagging"
    state = None
    outcomes = []
    for number in range(4):
        if number in {1, 2}:
            zoho.account.open("news", unopened(zoho))
        zoho.switches.reports_as_of = clock.now - 1
        outcomes.append(run(zoho, clock, state))
        state = outcomes[-1].state

    assert everything(zoho, "news") <= delivered(*outcomes)
    final = outcomes[-1].keys("opened_contacts") or outcomes[-2].keys("opened_contacts")
    assert everything(zoho, "news", streams=["opened_contacts"]) == {
        ("opened_contacts", *key) for key in final
    }
    zoho.switches.reports_as_of = clock.now - 1
    run(zoho, clock, run(zoho, clock, state).state)
    assert lists_asked(zoho) == set()


def test_report_that_never_agrees(zoho: Sandbox, clock: FakeClock) -> None:
    """A report whose counts never agree: after two equal results a list is settled.

    It is read again as soon as the counts change.
    """
    add(zoho.account, "news", 3, recipients=30)
    zoho.switches.reports = "wrong"
    first = run(zoho, clock)
    assert delivered(first) == everything(zoho, "news")
    second = run(zoho, clock, first.state)
    assert lists_asked(zoho) == {("news", action) for action in RECIPIENT_ACTIONS.values()}
    third = run(zoho, clock, second.state)
    assert lists_asked(zoho) == set()

    zoho.account.open("news", unopened(zoho))
    fourth = run(zoho, clock, third.state)
    assert everything(zoho, "news", streams=["opened_contacts"]) <= delivered(fourth)


@pytest.mark.parametrize("reports", ["missing", "http_500"])
def test_missing_reports(zoho: Sandbox, clock: FakeClock, reports: t.Any) -> None:
    """Without reports all lists are read whole each time, and few calls are spent on asking."""
    for age in (1, 2, 3, 4, 5, 100):
        add(zoho.account, f"{age} days", age)
    zoho.switches.reports = reports
    first = run(zoho, clock)
    assert delivered(first) == everything(zoho, *zoho.account.campaigns)
    assert calls(zoho)[REPORT] == 6

    second = run(zoho, clock, first.state)
    assert delivered(second) == everything(zoho, *(f"{age} days" for age in (1, 2, 3, 4, 5)))


def test_deleted_campaigns_hide_no_reports(zoho: Sandbox, clock: FakeClock) -> None:
    """Campaigns past their window that were deleted do not keep the reports of others away."""
    for age in (61, 62, 63, 64, 65):
        add(zoho.account, f"{age} days", age, refusal="2206", report_error="6001")
    for age in (1, 2, 3, 4, 66, 67):
        add(zoho.account, f"{age} days", age)
    one_at_a_time: dict[str, t.Any] = {"max_parallel_requests": 1}
    first = run(zoho, clock, **one_at_a_time)
    assert delivered(first) == everything(zoho, *(f"{age} days" for age in (1, 2, 3, 4, 66, 67)))
    run(zoho, clock, first.state, **one_at_a_time)
    assert {key for key, _ in lists_asked(zoho)} == {f"{age} days" for age in (61, 62, 63, 64, 65)}
    assert calls(zoho) == {LISTING: 1, REPORT: 4, RECIPIENTS: 5}


def test_completeness(zoho: Sandbox, clock: FakeClock) -> None:
    """Rows that differ from the report's count are one warning with both numbers."""
    add(zoho.account, "news", 3, recipients=30, opened=10)
    zoho.switches.reports = "lagging"
    zoho.switches.reports_as_of = clock.now + 1
    zoho.account.open("news", unopened(zoho), at=clock.now + 60)
    outcome = run(zoho, clock)
    assert (
        "opened_contacts of campaign news: 11 rows were read, the report says 10"
        in outcome.warnings
    )


# Campaigns that the listing does not show


def hide_all(zoho: Sandbox) -> None:
    """Have the listing show no campaign from now on."""
    empty = b'{"status":"success","code":"0","recent_campaigns":[],"total_record_count":"0"}'
    zoho.faults.add("body", endpoint=LISTING, times=99, body=empty, content_type="application/json")


def test_unlisted_key_with_details(zoho: Sandbox, clock: FakeClock) -> None:
    """A named key that the listing does not show gets its window from its details."""
    add(zoho.account, "new", 10)
    add(zoho.account, "old", 100)
    hide_all(zoho)
    chosen: dict[str, t.Any] = {"campaign_keys": ["new", "old"]}
    first = run(zoho, clock, **chosen)
    assert calls(zoho)[DETAILS] == 2
    assert set(bookmarks(first, "sent_contacts")) == {"new"}

    second = run(zoho, clock, first.state, **chosen)
    assert campaigns_asked(zoho) == {"new"}
    assert second.records == {}


def test_unlisted_key_within_a_finished_range(zoho: Sandbox, clock: FakeClock) -> None:
    """A named key that no listing showed is read, though all others of its time are finished."""
    for age in (90, 100, 110):
        add(zoho.account, f"{age}-days", age)
    hidden = zoho.account.campaigns.pop("100-days")
    first = run(zoho, clock)
    zoho.account.campaigns["100-days"] = hidden
    hide_all(zoho)
    second = run(zoho, clock, first.state, campaign_keys=["100-days"])
    assert calls(zoho)[DETAILS] == 1
    assert delivered(second) == everything(zoho, "100-days")


def test_unlisted_key_without_details(zoho: Sandbox, clock: FakeClock) -> None:
    """Without details the window counts from the latest sent_time of the campaign's rows."""
    add(zoho.account, "news", 57, details_error="6302")
    hide_all(zoho)
    chosen: dict[str, t.Any] = {"campaign_keys": ["news"]}
    first = run(zoho, clock, **chosen)
    assert set(bookmarks(first, "sent_contacts")) == {"news"}
    # Rows are skewed by nobody knows how much: a day is added.
    clock.advance(3.2 * DAY_S)
    second = run(zoho, clock, first.state, **chosen)
    assert set(bookmarks(second, "sent_contacts")) == {"news"}
    clock.advance(1.2 * DAY_S)
    last = run(zoho, clock, second.state, **chosen)
    assert delivered(last) == everything(zoho, "news")
    assert bookmarks(last, "sent_contacts") == {}
    run(zoho, clock, last.state, **chosen)
    assert campaigns_asked(zoho) == set()


@pytest.mark.parametrize("parallel", [1, 4])
def test_empty_lists_of_an_unlisted_key_without_details(
    zoho: Sandbox, clock: FakeClock, parallel: int
) -> None:
    """The rows of its other lists tell an empty list's window, though they are finished first."""
    add(zoho.account, "news", 57, details_error="6302", unsent=0)
    hide_all(zoho)
    chosen: dict[str, t.Any] = {"campaign_keys": ["news"], "max_parallel_requests": parallel}
    state = run(zoho, clock, **chosen).state
    clock.advance(6 * DAY_S)
    last = run(zoho, clock, state, **chosen)
    assert "partitions" not in json.dumps(last.state)

    # Where the run ends between the two, the empty list's bookmark knows.
    alone = run(zoho, clock, state, **chosen, streams=["sent_contacts"])
    rest = run(zoho, clock, alone.state, **chosen, streams=["spam_contacts", "unsent_contacts"])
    assert set(bookmarks(rest, "spam_contacts")) == set(bookmarks(rest, "unsent_contacts")) == set()


@pytest.mark.parametrize(("is_new", "answered"), [(False, 0), (True, 1)])
def test_unlisted_ab_key_whose_details_fail(
    zoho: Sandbox, clock: FakeClock, *, is_new: bool, answered: int
) -> None:
    """An unlisted A/B campaign does not finish in a run in which nobody can name its A/B variants.

    Neither one that the state knows to be such, nor one whose details fail when its type is known.
    """
    parent = add(zoho.account, "test", 57, type="abtesting", recipients=40)
    keys = family(parent)
    chosen: dict[str, t.Any] = {"campaign_keys": ["test"]}
    hide_all(zoho)
    state = None if is_new else run(zoho, clock, **chosen).state
    clock.advance(6 * DAY_S)
    failing = zoho.faults.add("6302", endpoint=DETAILS, after=answered, times=2)
    first = run(zoho, clock, state, **chosen)
    assert calls(zoho)[DETAILS] == answered + 2
    assert failing not in zoho.faults.waiting

    second = run(zoho, clock, first.state, **chosen)
    assert everything(zoho, *keys) <= delivered(first, second)
    assert "partitions" not in json.dumps(second.state)


def test_unlisted_key_without_anything(zoho: Sandbox, clock: FakeClock) -> None:
    """A key of which nothing tells when it was sent stays open."""
    add(zoho.account, "news", 300, recipients=0, details_error="6302")
    hide_all(zoho)
    state = run(zoho, clock, campaign_keys=["news"]).state
    clock.advance(300 * DAY_S)
    assert set(bookmarks(run(zoho, clock, state, campaign_keys=["news"]), "sent_contacts")) == {
        "news"
    }


# A/B tests


def family(parent: Campaign) -> set[str]:
    """Return the keys of an A/B campaign and of its two A/B variants."""
    return {parent.key, *(variant.key for variant in parent.variants or ())}


@pytest.mark.parametrize("listed", [False, True])
def test_halves_close_with_their_parent(zoho: Sandbox, clock: FakeClock, *, listed: bool) -> None:
    """A/B variants take window and skew from their parent and finish with it.

    Then neither lists nor reports nor details are asked for.
    """
    parent = add(zoho.account, "test", 59, type="abtesting", recipients=40)
    keys = family(parent)
    zoho.switches.ab_children_listed = listed
    first = run(zoho, clock, streams=None)
    assert len(keys) == 3
    assert calls(zoho)[DETAILS] == 1
    assert set(bookmarks(first, "sent_contacts")) == keys
    assert delivered(first) == everything(zoho, *keys)
    assert len({each["sent_time_utc"] for each in bookmarks(first, "sent_contacts").values()}) == 1

    clock.advance(2 * DAY_S)
    last = run(zoho, clock, first.state, streams=None)
    assert delivered(last) == everything(zoho, *keys)
    assert "partitions" not in json.dumps(last.state)

    run(zoho, clock, last.state, streams=None)
    assert calls(zoho) == {LISTING: 1}
    clock.advance(60 * DAY_S)
    run(zoho, clock, last.state, streams=None)
    assert calls(zoho) == {LISTING: 1}


def test_halves_that_nobody_names(zoho: Sandbox, clock: FakeClock) -> None:
    """An A/B campaign whose details fail stays open, and is read when its report shows a change."""
    parent = add(zoho.account, "test", 100, type="abtesting", recipients=40, details_error="6302")
    keys = family(parent)
    for age in (90, 110):
        add(zoho.account, f"{age} days", age)
    first = run(zoho, clock)
    second = run(zoho, clock, first.state)
    assert lists_asked(zoho) == set()
    assert set(bookmarks(second, "sent_contacts")) == {"test"}
    parent.details_error = None
    last = run(zoho, clock, second.state)
    assert delivered(last) == everything(zoho, *keys)
    run(zoho, clock, last.state)
    assert calls(zoho) == {LISTING: 1}


def test_refused_half(zoho: Sandbox, clock: FakeClock) -> None:
    """An A/B variant that Zoho refuses keeps its parent open no longer than the window."""
    parent = add(zoho.account, "test", 100, type="abtesting", recipients=40)
    assert parent.variants is not None
    parent.variants[0].refusal = "6601"
    first = run(zoho, clock)
    run(zoho, clock, first.state)
    assert calls(zoho) == {LISTING: 1}


def test_listed_half_of_a_finished_campaign(zoho: Sandbox, clock: FakeClock) -> None:
    """A/B variants that are listed still belong to their campaign when it is finished.

    Its details tell, but are asked for no more.
    """
    parent = add(zoho.account, "test", 100, type="abtesting", recipients=40)
    zoho.switches.ab_children_listed = True
    family_of = {key: None if key == "test" else "test" for key in family(parent)}
    state = None
    for details in (1, 0, 0):
        outcome = run(zoho, clock, state, streams=("campaigns", "sent_contacts"))
        state = outcome.state
        assert calls(zoho).get(DETAILS, 0) == details
        rows = outcome.records["campaigns"]
        assert {row["campaign_key"]: row["parent_campaign_key"] for row in rows} == family_of
    newly = run(zoho, clock, state, streams=("opened_contacts",))
    assert {
        row["campaign_key"]: row["parent_campaign_key"] for row in newly.records["opened_contacts"]
    } == family_of


def test_listed_half_that_is_read_later(zoho: Sandbox, clock: FakeClock) -> None:
    """An A/B variant that was refused until its campaign was finished keeps its parent's stamp."""
    parent = add(zoho.account, "test", 100, type="abtesting", recipients=40)
    zoho.switches.ab_children_listed = True
    assert parent.variants is not None
    late = parent.variants[0]
    late.refusal = "6601"
    first = run(zoho, clock, streams=("sent_contacts",))
    late.refusal = None
    second = run(zoho, clock, first.state, streams=("sent_contacts",))
    assert delivered(second) == everything(zoho, late.key, streams=("sent_contacts",))
    assert {row["parent_campaign_key"] for row in second.records["sent_contacts"]} == {"test"}


def test_variants_are_not_forgotten(zoho: Sandbox, clock: FakeClock) -> None:
    """The state keeps which A/B variants a campaign has, whatever a listing lacks."""
    add(zoho.account, "test", 59, type="abtesting", recipients=40)
    first = run(zoho, clock)
    assert len(first.state["halves"]) == 1
    clock.advance(2 * DAY_S)
    state = run(zoho, clock, first.state).state
    last = run(zoho, clock, state)
    assert calls(zoho) == {LISTING: 1}
    assert last.state["halves"] == first.state["halves"]


def test_variants_take_little_space(zoho: Sandbox, clock: FakeClock) -> None:
    """A finished A/B campaign takes less than 100 bytes of the state: the hashes of three keys.

    Not with a short window either, when each is named until it is old enough for a range.
    """
    state = None
    sizes = []
    for month in range(12):
        clock.advance(22 * DAY_S)
        add(zoho.account, f"{month}", 1, type="abtesting", recipients=20)
        for _ in range(2):
            outcome = run(zoho, clock, state, streams=["opened_contacts"], engagement_window_days=7)
            state = outcome.state
            clock.advance(7 * DAY_S)
        sizes.append(len(json.dumps(state)))
    assert all(after - before < 100 for before, after in itertools.pairwise(sizes[3:]))


def test_halves_that_a_deselected_stream_has_open(zoho: Sandbox, clock: FakeClock) -> None:
    """What is known of A/B variants is kept for a stream that is not selected in this run."""
    parent = add(zoho.account, "test", 59, type="abtesting", recipients=40)
    parent.refusal = "6601"
    first = run(zoho, clock, streams=["sent_contacts"])
    clock.advance(30 * DAY_S)
    other = run(zoho, clock, first.state, streams=["campaigns"])
    assert other.state == first.state
    start = iso(clock.time() - 30 * DAY_S)
    last = run(zoho, clock, other.state, streams=["sent_contacts"], start_date=start)
    variants = family(parent) - {"test"}
    assert delivered(last) == everything(zoho, *variants, streams=["sent_contacts"])


def test_open_halves_before_a_rolling_start_date(zoho: Sandbox, clock: FakeClock) -> None:
    """A/B variants that are open in the state get their last read, whatever start_date says."""
    parent = add(zoho.account, "test", 10, type="abtesting", recipients=40, refusal="6601")
    add(zoho.account, "other", 5)
    first = run(zoho, clock)
    variants = family(parent) - {"test"}
    assert variants < set(bookmarks(first, "sent_contacts"))
    clock.advance(70 * DAY_S)
    start = iso(clock.time() - 30 * DAY_S)
    last = run(zoho, clock, first.state, start_date=start)
    assert everything(zoho, *variants) <= delivered(last)
    assert "partitions" not in json.dumps(last.state)


# The listing


def test_listing_without_order(zoho: Sandbox, clock: FakeClock) -> None:
    """Where the listing's order is not stable either, the run says so once, and ends."""
    campaigns = [add(zoho.account, f"{age} days", age) for age in (1, 2, 3, 4)]

    def page(*order: int) -> bytes:
        rows = [{"campaign_key": campaigns[each].key, "campaign_status": "Sent"} for each in order]
        answer = {"status": "success", "code": "0", "total_record_count": "9"}
        return json.dumps({**answer, "recent_campaigns": rows}).encode()

    for body in (page(0, 1, 2), page(3, 2, 0), page(1, 2, 3)) * 20:
        kind = "application/json"
        zoho.faults.add("body", endpoint=LISTING, body=body, content_type=kind)
    outcome = run(zoho, clock)
    assert delivered(outcome) == everything(zoho, *(each.key for each in campaigns))
    (said,) = [line for line in outcome.warnings if "order of campaigns" in line]
    assert "may be missing" in said


# Refused campaigns


def test_refused_campaign_keeps_its_bookmark(zoho: Sandbox, clock: FakeClock) -> None:
    """A campaign that is refused in a run keeps its bookmark, and is tried again in the next."""
    campaign = add(zoho.account, "news", 3)
    add(zoho.account, "other", 2)
    first = run(zoho, clock)
    zoho.account.open("news", unopened(zoho))
    campaign.refusal = "6002"
    second = run(zoho, clock, first.state)
    assert zoho.calls(RECIPIENTS) == 1
    assert bookmarks(second, "opened_contacts") == bookmarks(first, "opened_contacts")
    campaign.refusal = None
    third = run(zoho, clock, second.state)
    assert everything(zoho, "news", streams=["opened_contacts"]) <= delivered(third)


def test_refused_campaign_past_its_window(zoho: Sandbox, clock: FakeClock) -> None:
    """A refused campaign among finished ones is tried once a run until it is read for good."""
    for age in (61, 71, 81):
        add(zoho.account, f"{age} days", age)
    refused = zoho.account.campaigns["71 days"]
    refused.refusal = "6002"
    first = run(zoho, clock)
    second = run(zoho, clock, first.state)
    assert zoho.calls(RECIPIENTS) == 1
    refused.refusal = None
    third = run(zoho, clock, second.state)
    assert delivered(third) == everything(zoho, "71 days")
    run(zoho, clock, third.state)
    assert calls(zoho) == {LISTING: 1}


@pytest.mark.parametrize("parallel", [1, 4])
def test_campaign_that_is_refused_no_more(zoho: Sandbox, clock: FakeClock, parallel: int) -> None:
    """The last read of a campaign that was refused before is held against its report as well."""
    for age in (61, 71, 81):
        add(zoho.account, f"{age} days", age, refusal="6607" if age == 71 else None)
    first = run(zoho, clock)
    zoho.account.campaigns["71 days"].refusal = None
    zoho.switches.reports = "wrong"
    second = run(zoho, clock, first.state, max_parallel_requests=parallel)
    assert delivered(second) == everything(zoho, "71 days")
    assert calls(zoho)[REPORT] == 1
    differing = [line for line in second.warnings if "the report says" in line]
    assert len(differing) == len(LISTS)
    for stream, rows in second.records.items():
        (read_at,) = {row["list_read_at"] for row in rows}
        action = RECIPIENT_ACTIONS[stream]
        began = min(each.at for each in zoho.requests if each.action == action)
        assert datetime.fromisoformat(read_at).timestamp() <= began


def test_deleted_campaigns_cost_one_call(zoho: Sandbox, clock: FakeClock) -> None:
    """Campaigns past their window that have neither lists nor report cost one call each a run.

    They are counted in one line.
    """
    add(zoho.account, "news", 70)
    deleted = [add(zoho.account, f"{age} days", age, refusal="2206").key for age in (61, 71, 81)]
    for key in deleted:
        zoho.faults.add("6001", endpoint=REPORT, campaign_key=key, times=99)
    state = run(zoho, clock, streams=None).state
    for _ in range(2):
        outcome = run(zoho, clock, state, streams=None)
        state = outcome.state
        assert calls(zoho) == {LISTING: 1, RECIPIENTS: 3}
        (said,) = outcome.warnings
        assert "3 campaigns past their engagement window are refused" in said


# The end


def test_summary(zoho: Sandbox, clock: FakeClock) -> None:
    """The last line of the log says what became of campaigns and rows, and what was spent."""
    add(zoho.account, "read", 1, recipients=5)
    add(zoho.account, "unchanged", 2, recipients=5)
    add(zoho.account, "closed", 90, recipients=5)
    streams = ["sent_contacts"]
    state = run(zoho, clock, streams=streams).state
    add(zoho.account, "refused", 1.5, refusal="6002")
    zoho.account.send("read", "newcomer@example.com")
    outcome = run(zoho, clock, state, streams=streams)
    assert outcome.log[-1] == (
        "INFO Run succeeded. Campaigns: 3 open, 1 read, left out: 1 unchanged, 1 closed, "
        "1 refused. Lists unchanged: 1. Rows: sent_contacts 6. "
        "Calls: campaignreports 3, getcampaignrecipientsdata 2, recentcampaigns 1. Waited 0 s"
    )
