"""No single observation is taken as proof: of deletion, of an end, of completeness, of the time."""

from __future__ import annotations

import json
import typing as t
from datetime import datetime

import pytest

from sandbox import Sandbox, make_account
from support.incremental import (
    LISTS,
    add,
    bookmarks,
    calls,
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
    RECIPIENTS,
    REPORT,
    FakeClock,
    run_tap,
    settings,
)
from tap_zoho_campaigns_recipients.zoho.errors import PartlyFailed, ZohoError

if t.TYPE_CHECKING:
    from support.tap_runs import Outcome

OPENED = "opened_contacts"


# 1. A gap in the listing


@pytest.mark.parametrize("gap", ["empty", "lacks it", "short of its total"])
def test_exception_survives_a_gap_in_the_listing(zoho: Sandbox, clock: FakeClock, gap: str) -> None:
    """A refused old campaign is read once Zoho allows it, whatever a listing lacked meanwhile."""
    for age in range(61, 67):
        add(zoho.account, f"{age} days", age)
    refused = zoho.account.campaigns["63 days"]
    refused.refusal = "6607"
    first = run(zoho, clock)

    with zoho.lock:
        kept = dict(zoho.account.campaigns)
        if gap == "empty":
            zoho.account.campaigns.clear()
        elif gap == "lacks it":
            del zoho.account.campaigns["63 days"]
        else:
            refused.is_hidden = True
    second = run(zoho, clock, first.state)
    assert second.records == {}
    with zoho.lock:
        zoho.account.campaigns.update(kept)
        refused.is_hidden = False
        refused.refusal = None
    third = run(zoho, clock, second.state)
    assert delivered(third) == everything(zoho, "63 days")


def test_open_campaign_that_is_missing_while_its_neighbours_close(
    zoho: Sandbox, clock: FakeClock
) -> None:
    """A campaign that is not listed on the night when those around it close is read afterwards."""
    for age in (56, 57, 58):
        add(zoho.account, f"{age} days", age)
    state = run(zoho, clock).state
    missing = zoho.account.campaigns["57 days"]
    clock.advance(40 * DAY_S)
    with zoho.lock:
        del zoho.account.campaigns["57 days"]
    state = run(zoho, clock, state).state
    with zoho.lock:
        zoho.account.campaigns["57 days"] = missing
    last = run(zoho, clock, state)
    assert delivered(last) == everything(zoho, "57 days")


def test_campaigns_that_turn_up_where_all_are_closed(zoho: Sandbox, clock: FakeClock) -> None:
    """Campaigns that were never listed when all of their time were closed are counted in a warning.

    A full refresh reads them.
    """
    for age in (100, 101, 103):
        add(zoho.account, f"{age} days", age)
    state = run(zoho, clock).state
    add(zoho.account, "102 days", 102)
    outcome = run(zoho, clock, state)
    assert outcome.records == {}
    assert outcome.warnings == [
        (
            "1 campaigns are listed now that were not listed when all others of their time were "
            "closed: only a full refresh reads them"
        )
    ]
    assert everything(zoho, "102 days") <= delivered(run(zoho, clock))


def test_short_listing(zoho: Sandbox, clock: FakeClock) -> None:
    """A listing that shows fewer campaigns than it counts is said to be short, once."""
    for number in range(5):
        add(zoho.account, f"{number}", number + 1)
    zoho.account.campaigns["3"].is_hidden = True
    first = run(zoho, clock)
    (warning,) = first.warnings
    assert warning == (
        "The listing shows 4 campaigns and counts 5: some may be missing in this run"
    )
    assert run(zoho, clock, first.state).warnings == []


# 2. A short page against the count


@pytest.mark.parametrize("response_format", ["json", "xml"])
def test_rows_that_are_hidden_after_the_cut(clock: FakeClock, response_format: str) -> None:
    """Short pages of a server that leaves rows out after cutting pages do not end a list."""
    with Sandbox(make_account(1, 3000, now=clock.now), clock=clock) as zoho:
        zoho.switches.hides_every = 700
        config = settings(zoho, page_size=500, response_format=response_format)
        outcome = run_tap(config, streams=["sent_contacts"], clock=clock.fresh())
        assert len(outcome.records["sent_contacts"]) == 3000 - 4


@pytest.mark.parametrize("bytes_", [20_000, 100_000, 5_000])
def test_pages_that_are_cut_by_bytes(clock: FakeClock, bytes_: int) -> None:
    """Pages of differing length bring every row, each once."""
    with Sandbox(make_account(1, 1500, now=clock.now), clock=clock) as zoho:
        zoho.switches.page_bytes = bytes_
        outcome = run_tap(settings(zoho), streams=["sent_contacts"], clock=clock.fresh())
        assert outcome.error is None
        assert len(outcome.keys("sent_contacts")) == len(set(outcome.keys("sent_contacts"))) == 1500


def test_list_that_ends_before_its_count(clock: FakeClock) -> None:
    """A list that has no page from some index on costs a few calls more than its pages.

    The reading is not complete, and list_readings says so.
    """
    with Sandbox(make_account(1, 1200, now=clock.now), clock=clock) as zoho:
        zoho.switches.ends_at = 1000
        config = settings(zoho, page_size=100, max_parallel_requests=1)
        streams = ["sent_contacts", "list_readings"]
        outcome = run_tap(config, streams=streams, clock=clock.fresh())
        assert outcome.error is None
        assert 1000 <= len(outcome.records["sent_contacts"]) <= 1100
        assert zoho.calls(RECIPIENTS) <= 11 + 4
        (reading,) = outcome.records["list_readings"]
        assert reading["is_complete"] is False
        assert reading["report_count"] == 1200
        assert reading["rows_read"] == len(outcome.records["sent_contacts"])


# 3. A last reading that is not complete


def test_last_reading_with_a_wrong_6303(zoho: Sandbox, clock: FakeClock) -> None:
    """One 6303 is asked again; a last reading that brings nothing is repeated in the next run."""
    add(zoho.account, "news", 59, recipients=30, opened=20)
    state = run(zoho, clock, streams=[OPENED]).state
    clock.advance(2 * DAY_S)
    zoho.faults.add("6303", endpoint=RECIPIENTS, times=2)
    empty = run(zoho, clock, state, streams=[OPENED])
    assert delivered(empty) == set()
    assert "news" in bookmarks(empty, OPENED)
    again = run(zoho, clock, empty.state, streams=[OPENED])
    assert delivered(again) == everything(zoho, "news", streams=[OPENED])
    assert bookmarks(again, OPENED) == {}


def test_one_wrong_6303(zoho: Sandbox, clock: FakeClock) -> None:
    """A first page without rows is asked for once more if the report counts some."""
    add(zoho.account, "news", 3, recipients=30, opened=20)
    zoho.faults.add("6303", endpoint=RECIPIENTS, times=1)
    outcome = run(zoho, clock, streams=[OPENED])
    assert delivered(outcome) == everything(zoho, "news", streams=[OPENED])


def test_last_reading_that_never_is_complete(zoho: Sandbox, clock: FakeClock) -> None:
    """It is made three times, the third at the earliest a day after the first, then it is closed.

    With one warning. After that the campaign costs nothing.
    """
    add(zoho.account, "news", 61, recipients=30)
    zoho.switches.hides_every = 7
    state: dict[str, t.Any] | None = None
    asked = []
    for _ in range(6):
        outcome = run(zoho, clock, state, streams=["sent_contacts"])
        state = outcome.state
        asked.append(bool(lists_asked(zoho)))
        clock.advance(8 * 3600)
    assert asked == [True, True, False, True, False, False]
    closing = [each for each in outcome.warnings if "is closed" in each]
    assert closing == []
    assert calls(zoho) == {LISTING: 1}


def test_last_reading_says_that_it_closed_incomplete(zoho: Sandbox, clock: FakeClock) -> None:
    """list_readings shows which lists were closed though rows seem to be missing."""
    add(zoho.account, "news", 61, recipients=30)
    zoho.switches.hides_every = 7
    state: dict[str, t.Any] | None = None
    readings = []
    for _ in range(3):
        outcome = run(zoho, clock, state, streams=["sent_contacts", "list_readings"])
        state = outcome.state
        readings += outcome.records["list_readings"]
        clock.advance(DAY_S)
    assert [(each["is_complete"], each["is_last"]) for each in readings] == [
        (False, False),
        (False, False),
        (False, True),
    ]
    assert (
        "sent_contacts of campaign news is closed, though rows seem to be missing: 26 rows were "
        "read, the report says 30" in outcome.warnings
    )


# 4. Details without variants


def test_details_without_variants_for_one_night(zoho: Sandbox, clock: FakeClock) -> None:
    """Details that name no variants do not undo those that are known."""
    parent = add(zoho.account, "test", 59, type="abtesting", recipients=40)
    keys = {"test", *(each.key for each in parent.variants or ())}
    first = run(zoho, clock)
    variants, parent.variants = parent.variants, None
    clock.advance(2 * DAY_S)
    last = run(zoho, clock, first.state)
    assert delivered(last) == everything(zoho, *keys)
    parent.variants = variants


def test_details_that_fail_for_a_stream_selected_later(zoho: Sandbox, clock: FakeClock) -> None:
    """Variants of which only hashes are known keep their parent open for a stream that lacks them.

    They are closed for the streams of earlier runs.
    """
    parent = add(zoho.account, "test", 61, type="abtesting", recipients=40)
    first = run(zoho, clock, streams=[OPENED])
    parent.details_error = "6302"
    second = run(zoho, clock, first.state, streams=[OPENED, "sent_contacts"])
    parent.details_error = None
    third = run(zoho, clock, second.state, streams=[OPENED, "sent_contacts"])
    keys = ["test", *(each.key for each in parent.variants or ())]
    sent = everything(zoho, *keys, streams=["sent_contacts"])
    assert {each for each in delivered(second, third) if each[0] == "sent_contacts"} == sent
    run(zoho, clock, third.state, streams=[OPENED, "sent_contacts"])
    assert calls(zoho) == {LISTING: 1}


def test_details_that_never_come(zoho: Sandbox, clock: FakeClock) -> None:
    """An old A/B campaign without details is closed after three runs and seven days."""
    for number in range(3):
        add(zoho.account, f"{number}", 100 + number, type="abtesting", details_error="6302")
    state: dict[str, t.Any] | None = None
    for _ in range(8):
        outcome = run(zoho, clock, state)
        state = outcome.state
        assert calls(zoho)[DETAILS] == 6
        clock.advance(DAY_S)
    assert sum("could not be found for a week" in each for each in outcome.warnings) == 3
    run(zoho, clock, state)
    assert calls(zoho) == {LISTING: 1}


def test_variants_beside_another_campaign_of_the_same_time(zoho: Sandbox, clock: FakeClock) -> None:
    """Unknown variants of an A/B campaign are read though one of the same millisecond is closed."""
    other = add(zoho.account, "other", 100)
    parent = add(zoho.account, "test", 100, type="abtesting", recipients=40, details_error="6302")
    parent.sent_at = other.sent_at
    for variant in parent.variants or ():
        variant.sent_at = other.sent_at
    state = run(zoho, clock).state
    state = run(zoho, clock, state).state
    parent.details_error = None
    last = run(zoho, clock, state)
    keys = [each.key for each in parent.variants or ()]
    assert everything(zoho, *keys) <= delivered(last)


# 5. A reading that was cut off


def test_cut_off_reading_of_a_settled_list(zoho: Sandbox, clock: FakeClock) -> None:
    """A STATE before the first rows marks the reading: whatever the report says, it is repeated."""
    add(zoho.account, "news", 3, recipients=300, opened=200)
    first = run(zoho, clock, streams=[OPENED])
    late = unopened(zoho)
    zoho.account.open("news", late)
    second = run(zoho, clock, first.state, streams=[OPENED], page_size=50)
    kinds = [message["type"] for message in second.messages]
    marked = second.states[0]
    assert kinds.index("STATE") < kinds.index("RECORD")
    assert marked["bookmarks"][OPENED]["partitions"][0]["reading"] is True

    again = run(zoho, clock, marked, streams=[OPENED])
    assert delivered(again) == everything(zoho, "news", streams=[OPENED])
    assert "reading" not in json.dumps(again.state["bookmarks"][OPENED])
    run(zoho, clock, again.state, streams=[OPENED])
    assert lists_asked(zoho) == set()


def test_marks_of_lists_that_are_not_read(zoho: Sandbox, clock: FakeClock) -> None:
    """One STATE marks several lists; a mark whose list is not read after all is removed."""
    for number in range(20):
        add(zoho.account, f"{number}", number + 1, recipients=30, opened=3)
    first = run(zoho, clock, streams=[OPENED])
    for number in range(0, 20, 2):
        zoho.account.open(f"{number}", unopened(zoho, f"{number}"))
    second = run(zoho, clock, first.state, streams=[OPENED])
    assert len(lists_asked(zoho)) == 10
    assert "reading" not in json.dumps(second.state["bookmarks"])
    marking = [state for state in second.states if '"reading"' in json.dumps(state["bookmarks"])]
    assert 1 <= len(marking) <= 5


# 6. The age of an unchanged list


def test_unchanged_list_is_read_again_after_a_week(zoho: Sandbox, clock: FakeClock) -> None:
    """A second open, which no count shows, arrives at most reread_after_days later."""
    add(zoho.account, "news", 1, recipients=30, opened=5)
    state = run(zoho, clock, streams=[OPENED]).state
    reader = zoho.account.rows("news", "openedcontacts")[0]["email"]
    zoho.account.open("news", reader)
    asked = []
    for _ in range(8):
        outcome = run(zoho, clock, state, streams=[OPENED])
        state = outcome.state
        asked.append(bool(lists_asked(zoho)))
        clock.advance(DAY_S - 3600)
    assert sum(asked) == 1
    assert asked[6] or asked[7]


def test_never_reread(zoho: Sandbox, clock: FakeClock) -> None:
    """With reread_after_days 0 an unchanged list is not read before its window has passed."""
    add(zoho.account, "news", 1)
    state = run(zoho, clock).state
    clock.advance(50 * DAY_S)
    run(zoho, clock, state, reread_after_days=0)
    assert lists_asked(zoho) == set()


def test_optout_that_comes_while_another_leaves(zoho: Sandbox, clock: FakeClock) -> None:
    """An opt-out that changes no count of opt-outs is read when any number has changed."""
    add(zoho.account, "news", 3, recipients=30, optout=2)
    state = run(zoho, clock, streams=["optout_contacts"]).state
    zoho.account.open("news", unopened(zoho))
    run(zoho, clock, state, streams=["optout_contacts"])
    assert lists_asked(zoho) == {("news", "optoutcontacts")}


# 7. Who is in a list now


def in_list_now(*outcomes: Outcome) -> set[tuple[str, str]]:
    """Return campaign and address of who is in the opened list, by the documented query."""
    rows: dict[t.Any, dict[str, t.Any]] = {}
    readings: dict[t.Any, dict[str, t.Any]] = {}
    for outcome in outcomes:
        for row in outcome.records["unopened_contacts"]:
            rows[row["campaign_key"], row["contact_email"]] = row
        for row in outcome.records["list_readings"]:
            readings[row["campaign_key"], row["action"]] = row
    return {
        key
        for key, row in rows.items()
        if row["list_read_at"] >= readings[key[0], "unopenedcontacts"]["list_read_at"]
    }


def test_list_that_became_empty(zoho: Sandbox, clock: FakeClock) -> None:
    """A list that became empty has a reading without rows: nobody is in it."""
    add(zoho.account, "news", 3, recipients=5, opened=3, hard=0, soft=0)
    streams = ["unopened_contacts", "list_readings"]
    first = run(zoho, clock, streams=streams)
    assert in_list_now(first) == {
        (key, email) for _, key, email in everything(zoho, "news", streams=["unopened_contacts"])
    }
    for row in zoho.account.rows("news", "unopenedcontacts"):
        zoho.account.open("news", row["email"])
    second = run(zoho, clock, first.state, streams=streams)
    (reading,) = second.records["list_readings"]
    assert (reading["rows_read"], reading["rows_delivered"]) == (0, 0)
    assert in_list_now(first, second) == set()


def test_clock_that_was_ahead_for_a_night(zoho: Sandbox, clock: FakeClock) -> None:
    """Times follow Zoho's clock where the machine's is wrong; readings are always later."""
    add(zoho.account, "news", 3, recipients=5, opened=3)
    streams = ["unopened_contacts", "list_readings"]
    first = run(zoho, clock, streams=streams)
    zoho.account.open("news", unopened(zoho))
    wrong = FakeClock(clock.now + 5 * DAY_S)
    second = run_tap(settings(zoho), state=first.state, streams=streams, clock=wrong)
    (reading,) = second.records["list_readings"]
    ahead = datetime.fromisoformat(reading["list_read_at"]).timestamp() - clock.now
    assert abs(ahead) < 60
    assert any("clock" in each for each in second.warnings)
    extracted = [
        message["time_extracted"] for message in second.messages if message["type"] == "RECORD"
    ]
    assert all(
        datetime.fromisoformat(each) >= datetime.fromisoformat(reading["list_read_at"])
        for each in extracted
    )


def test_readings_selected_later(zoho: Sandbox, clock: FakeClock) -> None:
    """list_readings that is selected later has each list of open campaigns read once more.

    Selected alone it reads nothing.
    """
    for age in (3, 100):
        add(zoho.account, f"{age} days", age)
    state = run(zoho, clock, streams=[OPENED]).state
    alone = run(zoho, clock, state, streams=["list_readings"])
    assert calls(zoho) == {LISTING: 1}
    assert alone.records == {}
    run(zoho, clock, alone.state, streams=[OPENED, "list_readings"])
    assert lists_asked(zoho) == {("3 days", "openedcontacts")}


# 8. One sick list


@pytest.mark.parametrize("fault", ["500", "html", "cut"])
def test_sick_list(zoho: Sandbox, clock: FakeClock, fault: str) -> None:
    """A list that cannot be read is left out; all others are read, and the run fails naming it."""
    for number in range(5):
        add(zoho.account, f"campaign {number}", number + 1)
    zoho.faults.add(
        fault, endpoint=RECIPIENTS, action="clickedcontacts", campaign_key="campaign 2", times=10**6
    )
    outcome = run(zoho, clock, fails=True, max_parallel_requests=1)
    assert isinstance(outcome.error, PartlyFailed)
    assert "campaign 2, action clickedcontacts" in str(outcome.error)
    lost = everything(zoho, "campaign 2", streams=["clicked_contacts"])
    assert delivered(outcome) == everything(zoho, *zoho.account.campaigns) - lost
    assert zoho.calls(RECIPIENTS, action="clickedcontacts", campaign_key="campaign 2") == 5


@pytest.mark.parametrize("parallel", [1, 4, 16])
def test_server_that_is_down(zoho: Sandbox, clock: FakeClock, parallel: int) -> None:
    """A server that is down altogether ends a run within 40 calls."""
    for number in range(60):
        add(zoho.account, f"campaign {number}", number * 0.9 + 0.5)
    for endpoint in (RECIPIENTS, REPORT):
        zoho.faults.add("503", endpoint=endpoint, times=10**6)
    outcome = run(zoho, clock, fails=True, max_parallel_requests=parallel)
    assert isinstance(outcome.error, ZohoError)
    assert sum(calls(zoho).values()) <= 40


def test_one_list_of_a_quiet_account(zoho: Sandbox, clock: FakeClock) -> None:
    """A sick list of a quiet account does not stop the run, and what is new arrives."""
    for number in range(20):
        add(zoho.account, f"campaign {number}", number + 1)
    state = run(zoho, clock).state
    for number in (4, 7):
        zoho.account.open(f"campaign {number}", unopened(zoho, f"campaign {number}"))
    zoho.faults.add(
        "500", endpoint=RECIPIENTS, action="openedcontacts", campaign_key="campaign 4", times=10**6
    )
    outcome = run(zoho, clock, state, fails=True)
    assert everything(zoho, "campaign 7", streams=[OPENED]) <= delivered(outcome)
    assert everything(zoho, "campaign 4", streams=["unopened_contacts"]) <= delivered(outcome)


def test_list_that_has_failed_for_a_week(zoho: Sandbox, clock: FakeClock) -> None:
    """An old list that failed in runs spanning a week is tried once a week, and fails no run."""
    add(zoho.account, "old", 70)
    add(zoho.account, "new", 3)
    zoho.faults.add(
        "500", endpoint=RECIPIENTS, action="openedcontacts", campaign_key="old", times=10**6
    )
    state: dict[str, t.Any] | None = None
    failed, tries = [], []
    for _ in range(16):
        zoho.reset_log()
        clock.advance(DAY_S + 60)
        outcome = run_tap(
            settings(zoho), state=state, streams=[OPENED, "sent_contacts"], clock=clock.fresh()
        )
        state = outcome.state
        failed.append(outcome.error is not None)
        tries.append(zoho.calls(RECIPIENTS, campaign_key="old", action="openedcontacts"))
    assert failed == [True] * 7 + [False] * 9
    assert tries == [5] * 8 + [0] * 6 + [5, 0]


# 11. One sign taken for all


def test_quiet_night_beside_campaigns_of_others(zoho: Sandbox, clock: FakeClock) -> None:
    """Twelve old campaigns that answer 6607 fail no quiet night."""
    for number in range(12):
        add(zoho.account, f"theirs {number}", 70 + number, refusal="6607")
    own = add(zoho.account, "own", 3)
    own.refusal = None
    state = run(zoho, clock).state
    for _ in range(2):
        outcome = run(zoho, clock, state)
        state = outcome.state
    assert outcome.error is None


def test_three_sick_reports_among_twenty(zoho: Sandbox, clock: FakeClock) -> None:
    """Three campaigns without a report cost their own tries, and nothing of the others."""
    for number in range(20):
        add(zoho.account, f"{number:02}", number + 1)
    state = run(zoho, clock).state
    for number in (3, 4, 5):
        zoho.account.campaigns[f"{number:02}"].report_error = "6001"
    run(zoho, clock, state)
    assert calls(zoho)[REPORT] == 17 + 3 * 2
    assert {key for key, _ in lists_asked(zoho)} == {"03", "04", "05"}


# Ranges


@pytest.mark.parametrize(
    ("position", "value"),
    [
        ({"range_cap": 500}, 500),
        ({"range_cap": 200}, 200),
        ({"range_error_above": 500, "range_error": "6502"}, 500),
        ({"range_error_above": 500, "range_error": "1001"}, 500),
        ({"range_error_above": 500, "range_error": "1005"}, 500),
        ({"range_error_above": 500, "range_error": "http_400"}, 500),
        ({}, 1000),
    ],
    ids=str,
)
def test_large_ranges(clock: FakeClock, position: dict[str, t.Any], value: int) -> None:
    """Where more than 500 rows are capped or refused, a run loses two calls at most."""
    costs = {}
    for page_size in (500, 1000):
        with Sandbox(make_account(4, [1700, 30, 900, 600], now=clock.now), clock=clock) as zoho:
            for name, at in position.items():
                setattr(zoho.switches, name, at)
            outcome = run_tap(
                settings(zoho, page_size=page_size), streams=LISTS, clock=clock.fresh()
            )
            assert outcome.error is None
            assert delivered(outcome) == everything(zoho, *zoho.account.campaigns)
            costs[page_size] = zoho.calls(RECIPIENTS)
    assert costs[1000] <= costs[500] + 2
    if value == 1000:
        assert costs[1000] < costs[500]


def test_range_is_not_blamed_for_a_campaign(zoho: Sandbox, clock: FakeClock) -> None:
    """A code that a smaller range gets too is the campaign's own: only that is left out."""
    add(zoho.account, "sick", 1, refusal="9999")
    add(zoho.account, "well", 2, recipients=600)
    outcome = run(zoho, clock, fails=True, streams=["sent_contacts"], max_parallel_requests=1)
    assert delivered(outcome) == everything(zoho, "well", streams=["sent_contacts"])
    asked = [
        (each.campaign_key, each.range) for each in zoho.requests if each.endpoint == RECIPIENTS
    ]
    assert asked in (
        [("well", 1000), ("sick", 1000)],
        [("sick", 1000), ("sick", 500), ("well", 1000)],
    )


def test_state_stays_small(zoho: Sandbox, clock: FakeClock) -> None:
    """300 closed and 3 open campaigns with two streams take less than 12 kB."""
    for number in range(300):
        add(zoho.account, f"{number}", 70 + number, recipients=2)
    for number in range(3):
        add(zoho.account, f"open {number}", number + 1, recipients=2)
    state = run(zoho, clock, streams=["sent_contacts", OPENED]).state
    assert len(json.dumps(state)) < 12_000
