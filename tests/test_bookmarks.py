"""The state as plain values: what is finished, what is read again, and what of it is written."""

from __future__ import annotations

import json
import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_zoho_campaigns_recipients.bookmarks import (
    MOST_BETWEEN,
    Bookmark,
    Finished,
    Listed,
    StateRefused,
    StreamState,
    after_reading,
    load,
    load_halves,
    mark,
    read_again,
    save,
    save_stream,
)
from tap_zoho_campaigns_recipients.moments import DAY_MS, iso_from_ms

if t.TYPE_CHECKING:
    from tap_zoho_campaigns_recipients.bookmarks import Halves

KEYS = {"opened_contacts": "sent_time", "campaign_reports": "report_read_at"}

NOW = 1_790_000_000_000

times = st.integers(0, 60).map(lambda day: NOW - day * DAY_MS)
marks = st.integers(0, 40).map(lambda number: mark(f"campaign {number}"))
ranges = st.tuples(st.none() | times, times).filter(
    lambda each: each[0] is None or each[0] <= each[1]
)
finished = st.builds(
    Finished,
    st.lists(ranges, max_size=4).map(tuple),
    st.frozensets(marks, max_size=10),
    st.frozensets(marks, max_size=10),
)
listings = st.lists(
    st.builds(Listed, marks, st.none() | times, st.booleans()), unique_by=lambda each: each.mark
)


# What is finished


@settings(max_examples=500, deadline=None)
@given(finished, listings, times)
def test_compacting_changes_nothing(before: Finished, listed: list[Listed], until_ms: int) -> None:
    """Made small, the state says the same of every listed campaign, finished or not."""
    after = before.compact(listed, until_ms=until_ms)

    for each in listed:
        assert after.has(each.mark, each.sent_ms) == before.has(each.mark, each.sent_ms)


@settings(deadline=None)
@given(finished, listings, times, st.lists(st.tuples(marks, times)))
def test_compacting_forgets_nothing(
    before: Finished, listed: list[Listed], until_ms: int, unlisted: list[tuple[str, int]]
) -> None:
    """What is finished stays so, also of campaigns that no listing shows any more."""
    after = before.compact(listed, until_ms=until_ms)

    names = {each.mark for each in listed}
    for name, sent_ms in unlisted:
        if name not in names:
            assert after.has(name, sent_ms) >= before.has(name, sent_ms)


@settings(deadline=None)
@given(finished, listings, times)
def test_compacting_twice(before: Finished, listed: list[Listed], until_ms: int) -> None:
    """What was made small once does not change when it is done again."""
    once = before.compact(listed, until_ms=until_ms)
    assert once.compact(listed, until_ms=until_ms) == once


@settings(deadline=None)
@given(listings, times, st.data())
def test_compacting_is_small(listed: list[Listed], until_ms: int, data: st.DataObject) -> None:
    """No finished campaign costs space of its own, and there are no more ranges than gaps."""
    done = data.draw(st.sets(st.sampled_from(listed))) if listed else set()
    before = Finished(named=frozenset(each.mark for each in done))

    after = before.compact(listed, until_ms=until_ms)

    old = {each.mark for each in listed if each.sent_ms is not None and each.sent_ms <= until_ms}
    assert not after.named & old
    pending = sum(1 + MOST_BETWEEN * each.hides_others for each in listed if each not in done)
    assert len(after.ranges) <= 1 + pending // (MOST_BETWEEN + 1)
    assert len(after.without) <= pending


@settings(deadline=None)
@given(listings, times, st.data())
def test_range_leaves_out_hidden_campaigns(
    listed: list[Listed], until_ms: int, data: st.DataObject
) -> None:
    """An A/B campaign that is not finished keeps its test halves open, though nobody knows them."""
    done = data.draw(st.sets(st.sampled_from(listed))) if listed else set()
    before = Finished(named=frozenset(each.mark for each in done))

    after = before.compact(listed, until_ms=until_ms)

    taken = {each.sent_ms for each in done}
    for each in listed:
        if each.hides_others and each not in done and each.sent_ms not in taken:
            assert not after.has(mark("its half"), each.sent_ms)


def test_three_hundred_campaigns_are_one_range() -> None:
    """Three hundred finished campaigns, two of them refused, are one range less two marks."""
    listed = [Listed(mark(str(day)), NOW - day * DAY_MS) for day in range(60, 360)]
    refused = frozenset({mark("100"), mark("101")})
    before = Finished(named=frozenset(each.mark for each in listed) - refused)

    after = before.compact(listed, until_ms=NOW - 30 * DAY_MS)

    assert after == Finished(((NOW - 359 * DAY_MS, NOW - 60 * DAY_MS),), refused, frozenset())


@pytest.mark.parametrize(("between", "ranges"), [(MOST_BETWEEN, 1), (MOST_BETWEEN + 1, 2)])
def test_range_over_open_campaigns(between: int, ranges: int) -> None:
    """A range goes on over five campaigns that are not finished, and ends where there are more."""
    listed = [Listed(mark(str(day)), NOW - day * DAY_MS) for day in range(60, 62 + between)]
    before = Finished(named=frozenset({listed[0].mark, listed[-1].mark}))

    after = before.compact(listed, until_ms=NOW)

    assert len(after.ranges) == ranges
    assert len(after.without) == (between if ranges == 1 else 0)


@pytest.mark.parametrize(
    ("ranges", "joined"),
    [
        ([(1, 10), (5, 6)], [(1, 10)]),
        ([(5, 6), (1, 10)], [(1, 10)]),
        ([(1, 5), (3, 9)], [(1, 9)]),
        ([(None, 4), (2, 3)], [(None, 4)]),
        ([(2, 9), (None, 4)], [(None, 9)]),
        ([(30, 40), (1, 2)], [(1, 2), (30, 40)]),
        ([(30, 40), (None, -5)], [(None, -5), (30, 40)]),
        ([(-9, -8), (None, 4)], [(None, 4)]),
        ([(1, 2), (0, 9)], [(0, 9)]),
    ],
)
def test_ranges_that_overlap(
    ranges: list[tuple[int | None, int]], joined: list[tuple[int | None, int]]
) -> None:
    """Ranges that overlap are one, whichever comes first; those far apart are kept in order."""
    pending = [Listed(mark(str(number)), 20) for number in range(MOST_BETWEEN + 1)]
    assert Finished(tuple(ranges)).compact(pending, until_ms=0).ranges == tuple(joined)


def test_young_campaigns_stand_by_themselves() -> None:
    """One that was sent after the time until which ranges may go is finished by its name."""
    listed = [Listed(mark(str(day)), NOW - day * DAY_MS) for day in range(50)]
    before = Finished(named=frozenset(each.mark for each in listed))

    after = before.compact(listed, until_ms=NOW - 30 * DAY_MS)

    young = frozenset(mark(str(day)) for day in range(30))
    assert after == Finished(((NOW - 49 * DAY_MS, NOW - 30 * DAY_MS),), frozenset(), young)


def test_mark() -> None:
    """A key's mark is the same in every version, or states would lose what is finished."""
    assert mark("3z4722336c98296efdd1198464a842f7ef") == "YdNS-nFm4hZ"


def test_campaigns_of_a_rolling_window_are_one_range() -> None:
    """Campaigns that finish one by one, all sent before a start_date, go on to be one range."""
    listed = [Listed(mark(str(day)), NOW - day * DAY_MS) for day in range(400)]
    state = Finished()
    for day in range(200, 100, -1):
        state = state.add(mark(str(day)), NOW - day * DAY_MS).compact(listed, until_ms=NOW)
    assert state == Finished(((NOW - 200 * DAY_MS, NOW - 101 * DAY_MS),), frozenset(), frozenset())


@settings(deadline=None)
@given(finished, marks, st.none() | times)
def test_adding(before: Finished, name: str, sent_ms: int | None) -> None:
    """A campaign that had its last read is finished, and nothing else is that was not before."""
    after = before.add(name, sent_ms)
    assert after.has(name, sent_ms)
    for number in range(41):
        other = mark(f"campaign {number}")
        if other != name:
            assert after.has(other, NOW) == before.has(other, NOW)


def test_exception_that_no_listing_shows() -> None:
    """A campaign that was left out of a range stays so, also where a listing does not show it."""
    state = Finished(((None, NOW),), frozenset({mark("refused")}))
    assert state.compact([Listed(mark("other"), NOW)], until_ms=NOW) == state


def test_forgetting() -> None:
    """The marks of campaigns that exist no more leave the state."""
    state = Finished(((None, NOW),), frozenset({"a", "b"}), frozenset({"c"}))
    kept = Finished(((None, NOW),), frozenset({"b"}), frozenset({"c"}))
    assert state.forget([Listed("b", NOW)]) == kept


def test_open_campaign_within_a_range() -> None:
    """A campaign that has a bookmark is open, whatever the ranges say."""
    state = StreamState("sent_time", {"key": Bookmark()}, Finished(((None, NOW),)))
    assert not state.is_finished("key", NOW)
    assert state.is_finished("other", NOW)
    assert not state.is_finished("other", None)
    state.finish("key", NOW)
    assert state.is_finished("key", NOW)
    assert state.partitions == {}


def test_campaign_that_could_not_be_read() -> None:
    """One that is left out of a range is not finished, nor is the range the less for it."""
    state = StreamState("sent_time", finished=Finished(((None, NOW),)))
    state.leave_out("refused")
    assert not state.is_finished("refused", NOW)
    assert state.is_finished("other", NOW)
    state.finish("refused", NOW)
    assert state == StreamState("sent_time", finished=Finished(((None, NOW),)))


# Whether a list is read again

OPENS = {"opens_count": 90, "unopened": 89}


@pytest.mark.parametrize(
    ("before", "report", "count", "expected"),
    [
        (None, OPENS, "opens_count", True),
        (Bookmark(report=OPENS, rows=90, settled=True), OPENS, "opens_count", False),
        (Bookmark(report=OPENS, rows=90, settled=False), OPENS, "opens_count", True),
        (Bookmark(report=OPENS, rows=90), OPENS, "opens_count", True),
        (
            Bookmark(report=OPENS, rows=90, settled=True),
            {**OPENS, "unopened": 88},
            "opens_count",
            True,
        ),
        (Bookmark(report=OPENS, rows=90, settled=True), {"opens_count": 90}, "opens_count", True),
        (Bookmark(report=OPENS, rows=90, settled=True), None, "opens_count", True),
        (Bookmark(report=OPENS, rows=90, settled=True), OPENS, None, True),
        (Bookmark(report={}, rows=90, settled=True), {}, "opens_count", True),
        (Bookmark(report=None, rows=90, settled=True), None, "opens_count", True),
        (
            Bookmark(report={"unopened": 89}, rows=90, settled=True),
            {"unopened": 89},
            "opens_count",
            True,
        ),
    ],
)
def test_read_again(
    before: Bookmark | None,
    report: dict[str, int | float] | None,
    count: str | None,
    expected: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """A list is left out only when it was read whole at exactly the counts of today's report."""
    assert read_again(before, report, count) is expected


@pytest.mark.parametrize(
    ("before", "report", "rows", "settled"),
    [
        (None, OPENS, 90, True),
        (None, OPENS, 91, False),
        (None, None, 90, False),
        (Bookmark(report=OPENS, rows=91), OPENS, 91, True),
        (Bookmark(report=OPENS, rows=91), OPENS, 92, False),
        (Bookmark(report={"opens_count": 89}, rows=91), OPENS, 91, False),
        (Bookmark(report=None, rows=91), None, 91, False),
        (Bookmark(report=OPENS, rows=91, settled=True), OPENS, 89, False),
    ],
)
def test_after_reading(
    before: Bookmark | None, report: dict[str, int | float] | None, rows: int, *, settled: bool
) -> None:
    """A list is settled when rows and count agree, or when two readings gave equal results."""
    after = after_reading(
        before, value="2026-10-01", sent_ms=5, report=report, count="opens_count", rows=rows
    )
    assert after == Bookmark("2026-10-01", 5, report, rows, settled=settled)


# What is written

numbers = st.integers(-(10**15), 10**15) | st.floats(allow_nan=False, allow_infinity=False)
bookmarks = st.builds(
    Bookmark,
    st.none() | times.map(iso_from_ms),
    st.none() | times,
    st.none() | st.dictionaries(st.sampled_from(["opens_count", "clicksperopenrate"]), numbers),
    st.none() | st.integers(0, 10**7),
    settled=st.booleans(),
)
streams = st.builds(
    StreamState, st.just("sent_time"), st.dictionaries(st.text(), bookmarks, max_size=5), finished
)


@settings(deadline=None)
@given(streams)
def test_round_trip(stream: StreamState) -> None:
    """What is written is read as it was, by way of any loader: there is no fraction in it."""
    saved = save({"opened_contacts": stream})
    text = json.dumps(saved)

    read = load(json.loads(text), KEYS)
    assert read["opened_contacts"] == stream
    assert json.dumps(save(read)) == text
    json.loads(text, parse_float=pytest.fail)


def test_state_of_an_open_campaign() -> None:
    """An open campaign is one partition, with the report's counts that its list was read at."""
    stream = StreamState("sent_time")
    stream.partitions["3z"] = Bookmark(
        iso_from_ms(NOW), NOW, {"opens_count": 9, "x": 3.5}, 9, settled=True
    )
    stream.finish("old", None)
    assert save({"opened_contacts": stream, "campaign_reports": StreamState("x")}) == {
        "version": 1,
        "bookmarks": {
            "opened_contacts": {
                "partitions": [
                    {
                        "context": {"campaign_key": "3z"},
                        "replication_key": "sent_time",
                        "replication_key_value": "2026-09-21T14:13:20.000+00:00",
                        "sent_time_utc": "2026-09-21T14:13:20.000+00:00",
                        "report": {"opens_count": 9, "x": "3.5"},
                        "rows": 9,
                        "settled": True,
                    }
                ],
                "finished": {"named": [mark("old")]},
            }
        },
    }


def test_nothing_is_written_of_nothing() -> None:
    """A stream of which nothing is known takes no space."""
    assert save_stream(StreamState("sent_time")) == {}
    assert save({name: StreamState(key) for name, key in KEYS.items()}) == {
        "version": 1,
        "bookmarks": {},
    }


def test_state_of_a_campaign_of_which_little_is_known() -> None:
    """What is not known is not written, but for the replication key's value."""
    stream = StreamState("sent_time", {"3z": Bookmark()})
    assert save_stream(stream) == {
        "partitions": [
            {
                "context": {"campaign_key": "3z"},
                "replication_key": "sent_time",
                "replication_key_value": None,
            }
        ]
    }


def test_halves() -> None:
    """The test halves that are known are written beside the bookmarks, and read again."""
    halves: Halves = {mark("parent"): (mark("a"), mark("b"))}
    state = json.loads(json.dumps(save({}, halves)))
    assert state["halves"] == {mark("parent"): [mark("a"), mark("b")]}
    assert load_halves(state) == halves
    assert load(state, KEYS) == load({}, KEYS)
    assert "halves" not in save({}, {})
    assert load_halves({}) == {}


# What is refused

broken: dict[str, t.Any] = {"bookmarks": {"opened_contacts": {"partitions": [{"context": {}}]}}}


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"version": 2, "bookmarks": {}}, "version 2, this tap reads versions up to 1: upgrade"),
        ({"version": "new", "bookmarks": {}}, "version new"),
        (broken, "is broken"),
        ({"bookmarks": []}, "is broken"),
        ({"bookmarks": {"opened_contacts": None}}, "is broken"),
        (
            {"bookmarks": {"contacts": {}}},
            "not one of tap-zoho-campaigns-recipients: it has bookmarks of contacts. Hand over its",
        ),
        ({"users": {"since": 5}}, "not one of tap-zoho-campaigns-recipients: it has no bookmarks"),
    ],
)
def test_refused_state(state: dict[str, t.Any], words: str) -> None:
    """A state of a newer version, a broken one and another tap's are refused in one line."""
    with pytest.raises(StateRefused) as refusal:
        load(state, KEYS)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


BROKEN = (
    "The state cannot be read: it is broken. Restore an earlier one, or run a full refresh "
    "without state"
)


@pytest.mark.parametrize(
    "part",
    [
        {"replication_key_value": "soon"},
        {"replication_key_value": 5},
        {"replication_key_value": "9999-12-31T23:59:59-12:00"},
        {"sent_time_utc": "0001-01-01T00:00:00+12:00"},
        {"rows": "90"},
        {"rows": 90.5},
        {"report": {"opens_count": "many"}},
        {"report": {"opens_count": "nan"}},
        {"report": {"opens_count": 1e999}},
        {"report": {"opens_count": None}},
        {"report": [["opens_count", 90]]},
        {"context": None},
    ],
    ids=str,
)
def test_broken_bookmark(part: dict[str, t.Any]) -> None:
    """A bookmark with anything in it that cannot be what was written is refused."""
    partition = {"context": {"campaign_key": "3z"}, **part}
    with pytest.raises(StateRefused) as refusal:
        load({"bookmarks": {"opened_contacts": {"partitions": [partition]}}}, KEYS)
    assert str(refusal.value) == BROKEN


@pytest.mark.parametrize(
    "moment", ["0001-01-01T00:00:00.000+00:00", "9999-12-31T23:59:59.999+00:00"]
)
def test_first_and_last_moment(moment: str) -> None:
    """Every time that can be written can be read."""
    part = {"context": {"campaign_key": "3z"}, "sent_time_utc": moment}
    state = {"bookmarks": {"opened_contacts": {"partitions": [part]}}}
    (saved,) = save(load(state, KEYS))["bookmarks"]["opened_contacts"]["partitions"]
    assert saved["sent_time_utc"] == moment


@pytest.mark.parametrize(
    "finished",
    [
        {"ranges": [[None, None]]},
        {"ranges": [[None]]},
        {"ranges": [["2026-10-01T08:00:00.000+00:00", "9999-12-31T23:59:59-12:00"]]},
        {"ranges": [["soon", "2026-10-01T08:00:00.000+00:00"]]},
        {"without": 5},
        {"named": None},
    ],
    ids=str,
)
def test_broken_ranges(finished: dict[str, t.Any]) -> None:
    """So is what is said to be finished."""
    with pytest.raises(StateRefused) as refusal:
        load({"bookmarks": {"opened_contacts": {"finished": finished}}}, KEYS)
    assert str(refusal.value) == BROKEN


@pytest.mark.parametrize("halves", [[], {"parent": "half"}, {"parent": {"a": 1}}, 5, None], ids=str)
def test_broken_halves(halves: t.Any) -> None:
    """So are test halves that are no lists of marks."""
    with pytest.raises(StateRefused) as refusal:
        load_halves({"halves": halves})
    assert str(refusal.value) == BROKEN


@pytest.mark.parametrize(
    "state", [{}, {"version": 1}, {"bookmarks": {}}, {"bookmarks": {"campaigns": {}}}]
)
def test_empty_state(state: dict[str, t.Any]) -> None:
    """An empty state is a first run."""
    assert load(state, KEYS) == {name: StreamState(key) for name, key in KEYS.items()}


words = st.sampled_from(
    [
        "version", "bookmarks", "opened_contacts", "campaign_reports", "campaigns", "partitions",
        "context", "campaign_key", "replication_key_value", "sent_time_utc", "report", "rows",
        "settled", "finished", "ranges", "without", "named", "2026-10-01T08:00:00.000+00:00",
        "9999-12-31T23:59:59-12:00", "nan", "1e999",
    ]
)  # fmt: skip
json_values: st.SearchStrategy[t.Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=5),
    max_leaves=12,
)


def replaced(value: t.Any, path: list[int], by: t.Any) -> t.Any:
    """Return a JSON value with one part of it, somewhere along the path, put in another's place."""
    if not path or not isinstance(value, dict | list) or not value:
        return by
    names = list(value) if isinstance(value, dict) else list(range(len(value)))
    name = names[path[0] % len(names)]
    copy = value.copy()
    copy[name] = replaced(value[name], path[1:], by)
    return copy


@settings(max_examples=500, deadline=None)
@given(streams, st.lists(st.integers(0, 9), max_size=8), json_values)
def test_any_state_is_read_or_refused(stream: StreamState, path: list[int], value: t.Any) -> None:
    """Whatever stands in the state file: it is read, and can be written again, or is refused."""
    state = replaced(save({"opened_contacts": stream}), path, value)
    try:
        states = load(state, KEYS)
    except StateRefused:
        return
    assert load(json.loads(json.dumps(save(states))), KEYS) == states
