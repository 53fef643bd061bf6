"""The state as plain values: what is finished, what is read again, and what of it is written."""

from __future__ import annotations

import json
import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_zoho_campaigns_recipients.sync.bookmarks import (
    Bookmark,
    State,
    StateRefused,
    StreamState,
    load,
    save,
)
from tap_zoho_campaigns_recipients.sync.change_detection import (
    ReportView,
    is_changed,
    is_old,
    is_settled,
)
from tap_zoho_campaigns_recipients.sync.finished import (
    MOST_BETWEEN,
    Finished,
    Listed,
    Range,
    key_hash,
)
from tap_zoho_campaigns_recipients.sync.observations import Observations, Seen
from tap_zoho_campaigns_recipients.zoho.timestamps import DAY_MS, iso_from_ms

KEYS = {"opened_contacts": "sent_time", "campaign_reports": "report_read_at"}

NOW = 1_790_000_000_000

times = st.integers(0, 60).map(lambda day: NOW - day * DAY_MS)
hashes = st.integers(0, 40).map(lambda number: key_hash(f"campaign {number}"))
ranges = st.builds(Range, st.none() | times, times, st.none() | st.integers(0, 99)).filter(
    lambda each: each.first_ms is None or each.first_ms <= each.last_ms
)
finished = st.builds(
    Finished,
    st.lists(ranges, max_size=4).map(tuple),
    st.frozensets(hashes, max_size=10),
    st.frozensets(hashes, max_size=10),
)
listings = st.lists(
    st.builds(Listed, hashes, st.none() | times, st.booleans()),
    unique_by=lambda each: each.key_hash,
)


# What is finished


@settings(max_examples=500, deadline=None)
@given(finished, listings, times)
def test_compacting_changes_nothing(before: Finished, listed: list[Listed], until_ms: int) -> None:
    """Made small, the state says the same of every listed campaign, finished or not."""
    after = before.compact(listed, until_ms=until_ms)

    for each in listed:
        assert after.has(each.key_hash, each.sent_ms) == before.has(each.key_hash, each.sent_ms)


@settings(deadline=None)
@given(finished, listings, times, st.lists(st.tuples(hashes, times)))
def test_compacting_forgets_nothing(
    before: Finished, listed: list[Listed], until_ms: int, unlisted: list[tuple[str, int]]
) -> None:
    """What is finished stays so, also of campaigns that no listing shows any more."""
    after = before.compact(listed, until_ms=until_ms)

    names = {each.key_hash for each in listed}
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
    """No finished campaign costs space of its own, and there are no more ranges than gaps.

    Except for one that was sent at a time at which there may be others that are not listed.
    """
    done = data.draw(st.sets(st.sampled_from(listed))) if listed else set()
    before = Finished(named=frozenset(each.key_hash for each in done))

    after = before.compact(listed, until_ms=until_ms)

    hiding = {each.sent_ms for each in listed if each.hides_others and each not in done}
    old = {
        each.key_hash
        for each in listed
        if each.sent_ms is not None and each.sent_ms <= until_ms and each.sent_ms not in hiding
    }
    assert not after.named & old
    pending = sum(1 + MOST_BETWEEN * each.hides_others for each in listed if each not in done)
    assert len(after.ranges) <= 1 + pending // (MOST_BETWEEN + 1)
    assert len(after.without) <= pending


@settings(deadline=None)
@given(listings, times, st.data())
def test_range_leaves_out_hidden_campaigns(
    listed: list[Listed], until_ms: int, data: st.DataObject
) -> None:
    """An A/B campaign that is not finished keeps its unknown A/B variants open."""
    done = data.draw(st.sets(st.sampled_from(listed))) if listed else set()
    before = Finished(named=frozenset(each.key_hash for each in done))

    after = before.compact(listed, until_ms=until_ms)

    taken = {each.sent_ms for each in done}
    for each in listed:
        if each.hides_others and each not in done and each.sent_ms not in taken:
            assert not after.has(key_hash("its half"), each.sent_ms)


def test_three_hundred_campaigns_are_one_range() -> None:
    """Three hundred finished campaigns, two of them refused, are one range less two marks."""
    listed = [Listed(key_hash(str(day)), NOW - day * DAY_MS) for day in range(60, 360)]
    refused = frozenset({key_hash("100"), key_hash("101")})
    before = Finished(named=frozenset(each.key_hash for each in listed) - refused)

    after = before.compact(listed, until_ms=NOW - 30 * DAY_MS)

    assert after == Finished((Range(NOW - 359 * DAY_MS, NOW - 60 * DAY_MS, 300),), refused)


@pytest.mark.parametrize(("between", "ranges"), [(MOST_BETWEEN, 1), (MOST_BETWEEN + 1, 2)])
def test_range_over_open_campaigns(between: int, ranges: int) -> None:
    """A range goes on over five campaigns that are not finished, and ends where there are more."""
    listed = [Listed(key_hash(str(day)), NOW - day * DAY_MS) for day in range(60, 62 + between)]
    before = Finished(named=frozenset({listed[0].key_hash, listed[-1].key_hash}))

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
    pending = [Listed(key_hash(str(number)), 20) for number in range(MOST_BETWEEN + 1)]
    after = Finished(tuple(Range(*each) for each in ranges)).compact(pending, until_ms=0)
    assert [(each.first_ms, each.last_ms) for each in after.ranges] == joined


def test_young_campaigns_stand_by_themselves() -> None:
    """One that was sent after the time until which ranges may go is finished by its name."""
    listed = [Listed(key_hash(str(day)), NOW - day * DAY_MS) for day in range(50)]
    before = Finished(named=frozenset(each.key_hash for each in listed))

    after = before.compact(listed, until_ms=NOW - 30 * DAY_MS)

    young = frozenset(key_hash(str(day)) for day in range(30))
    assert after == Finished((Range(NOW - 49 * DAY_MS, NOW - 30 * DAY_MS, 20),), named=young)


def test_key_hash() -> None:
    """The hash of a key is the same in every version, or states would lose what is finished."""
    assert key_hash("3z4722336c98296efdd1198464a842f7ef") == "YdNS-nFm4hZ"


def test_campaigns_of_a_rolling_window_are_one_range() -> None:
    """Campaigns that finish one by one, all sent before a start_date, go on to be one range."""
    listed = [Listed(key_hash(str(day)), NOW - day * DAY_MS) for day in range(400)]
    state = Finished()
    for day in range(200, 100, -1):
        state = state.add(key_hash(str(day)), NOW - day * DAY_MS).compact(listed, until_ms=NOW)
    assert state == Finished((Range(NOW - 200 * DAY_MS, NOW - 101 * DAY_MS, 100),))


@settings(deadline=None)
@given(finished, hashes, st.none() | times)
def test_adding(before: Finished, name: str, sent_ms: int | None) -> None:
    """A campaign that had its last read is finished, and nothing else is that was not before."""
    after = before.add(name, sent_ms)
    assert after.has(name, sent_ms)
    for number in range(41):
        other = key_hash(f"campaign {number}")
        if other != name:
            assert after.has(other, NOW) == before.has(other, NOW)


def test_exception_that_no_listing_shows() -> None:
    """A campaign that was left out of a range stays so, also where a listing does not show it."""
    state = Finished((Range(None, NOW, 2),), frozenset({key_hash("refused")}))
    assert state.compact([Listed(key_hash("other"), NOW)], until_ms=NOW) == state


def test_campaigns_that_were_never_listed() -> None:
    """What a listing shows in a range beyond the campaigns that were finished there is counted."""
    listed = [Listed(key_hash(str(day)), NOW - day * DAY_MS) for day in range(60, 70)]
    state = Finished(named=frozenset(each.key_hash for each in listed))
    closed = state.compact(listed, until_ms=NOW)
    assert closed.unaccounted(listed) == 0
    late = [Listed(key_hash("late"), NOW - 65 * DAY_MS), Listed(key_hash("new"), NOW)]
    assert closed.unaccounted([*listed, *late]) == 1
    assert closed.compact([*listed, *late], until_ms=NOW).unaccounted([*listed, *late]) == 1


def test_unlisted_variants_of_the_same_millisecond() -> None:
    """A time at which unlisted A/B variants may have been sent does not become part of a range."""
    listed = [Listed(key_hash("other"), NOW), Listed(key_hash("test"), NOW, hides_others=True)]
    state = Finished(named=frozenset({key_hash("other")}))
    assert not state.compact(listed, until_ms=NOW).has(key_hash("a variant"), NOW)


def test_open_campaign_within_a_range() -> None:
    """A campaign that has a bookmark is open, whatever the ranges say."""
    state = StreamState("sent_time", {"key": Bookmark()}, Finished((Range(None, NOW),)))
    assert not state.is_finished("key", NOW)
    assert state.is_finished("other", NOW)
    assert not state.is_finished("other", None)
    state.finish("key", NOW)
    assert state.is_finished("key", NOW)
    assert state.partitions == {}


def test_campaign_that_could_not_be_read() -> None:
    """One that is left out of a range is not finished, nor is the range the less for it."""
    state = StreamState("sent_time", finished=Finished((Range(None, NOW),)))
    state.leave_out("refused")
    assert not state.is_finished("refused", NOW)
    assert state.is_finished("other", NOW)
    state.finish("refused", NOW)
    assert state == StreamState("sent_time", finished=Finished((Range(None, NOW),)))


# Whether a list is read again

OPENS: dict[str, int | float] = {"opens_count": 90, "unopened": 89, "forwards_count": 0}
SETTLED = Bookmark(report=OPENS, rows=90, settled=True)


@pytest.mark.parametrize(
    ("before", "numbers", "expected"),
    [
        (None, OPENS, True),
        (SETTLED, OPENS, False),
        (SETTLED, {**OPENS, "unsub_count": 7}, False),
        (Bookmark(report=OPENS, rows=90), OPENS, True),
        (Bookmark(report=OPENS, rows=90, settled=True, is_reading=True), OPENS, True),
        (SETTLED, {**OPENS, "unopened": 88}, True),
        (SETTLED, {"opens_count": 90}, True),
        (SETTLED, None, True),
        (Bookmark(report={}, rows=90, settled=True), {}, True),
        (Bookmark(report=None, rows=90, settled=True), None, True),
        (Bookmark(report={"unopened": 89}, rows=90, settled=True), {"unopened": 89}, True),
    ],
)
def test_changed(
    before: Bookmark | None,
    numbers: dict[str, int | float] | None,
    expected: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """A list is left out only if it was read whole at exactly the counts of today's report."""
    report = None if numbers is None else ReportView.of(numbers, "openedcontacts")
    assert is_changed(before, report) is expected


@pytest.mark.parametrize("action", ["optoutcontacts", "spamcontacts"])
def test_lists_that_compliance_depends_on(action: str) -> None:
    """They are read again when any number of the report has changed, percentages included."""
    numbers = {"unsub_count": 1, "spams_count": 0, "open_percent": 50.3}
    view = ReportView.of(numbers, action)
    before = Bookmark(report=view.counts, report_hash=view.numbers_hash, rows=1, settled=True)
    assert not is_changed(before, ReportView.of(dict(reversed(numbers.items())), action))
    assert is_changed(before, ReportView.of({**numbers, "open_percent": 50.4}, action))
    assert is_changed(before, ReportView.of({**numbers, "bounces_count": 1}, action))


@pytest.mark.parametrize(
    ("days_ago", "reread_after_days", "expected"),
    [(5.9, 7, False), (7, 7, True), (400, 0, False), (None, 7, True), (-1, 7, True), (1, 1, True)],
)
def test_old(days_ago: float | None, reread_after_days: int, *, expected: bool) -> None:
    """An unchanged list is read again when its reading is old, of unknown time or in the future."""
    read_at_ms = None if days_ago is None else NOW - int(days_ago * DAY_MS)
    before = Bookmark(read_at_ms=read_at_ms)
    for number in range(50):
        assert (
            is_old(before, hashed=str(number), now_ms=NOW, reread_after_days=reread_after_days)
            is expected
        )


def test_lists_do_not_fall_due_in_one_night() -> None:
    """Up to a seventh is taken off, by a hash of campaign and action: every night has some."""
    due = [0] * 3
    for number in range(700):
        for night, days in enumerate((6, 6.5, 7)):
            before = Bookmark(read_at_ms=NOW - int(days * DAY_MS))
            due[night] += is_old(before, hashed=str(number), now_ms=NOW, reread_after_days=7)
    assert due[0] == 0
    assert 300 < due[1] < 400
    assert due[2] == 700


@pytest.mark.parametrize(
    ("before", "numbers", "rows", "settled"),
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
def test_settled(
    before: Bookmark | None, numbers: dict[str, int | float] | None, rows: int, *, settled: bool
) -> None:
    """A list is settled when rows and count agree, or when two readings gave equal results."""
    report = None if numbers is None else ReportView.of(numbers, "openedcontacts")
    assert is_settled(before, report, rows) is settled


# What is written

numbers = st.integers(-(10**15), 10**15) | st.floats(allow_nan=False, allow_infinity=False)
bookmarks = st.builds(
    Bookmark,
    st.none() | times.map(iso_from_ms),
    st.none() | times,
    st.none() | times,
    st.none() | st.dictionaries(st.sampled_from(["opens_count", "clicksperopenrate"]), numbers),
    st.none() | st.text(min_size=1),
    st.none() | st.integers(0, 10**7),
    settled=st.booleans(),
    is_reading=st.booleans(),
    last_readings=st.integers(0, 3),
    last_readings_since_ms=st.none() | times,
    actions=st.dictionaries(st.text(), times.map(iso_from_ms)),
)
streams = st.builds(
    StreamState, st.just("sent_time"), st.dictionaries(st.text(), bookmarks, max_size=5), finished
)
seen = st.dictionaries(hashes, st.builds(Seen, st.integers(1, 9), times, times), max_size=2)
states = st.builds(
    State,
    st.fixed_dictionaries(dict.fromkeys(KEYS, streams)),
    st.dictionaries(hashes, st.lists(hashes, max_size=2).map(tuple)),
    st.builds(Observations, seen, seen, seen, st.none() | st.integers(1, 9)),
)


@settings(deadline=None)
@given(states)
def test_round_trip(state: State) -> None:
    """What is written is read as it was, through any loader: there is no fraction in it."""
    for name, stream in state.streams.items():
        stream.replication_key = KEYS[name]
    text = json.dumps(save(state))

    read = load(json.loads(text), KEYS)
    assert meaning(read) == meaning(state)
    assert save(read) == json.loads(text)
    json.loads(text, parse_float=pytest.fail)


def meaning(state: State) -> t.Any:
    """Return what a state says: an exception means something only beside what is finished."""
    streams = {
        name: (
            stream.partitions,
            stream.finished if stream.finished.ranges or stream.finished.named else None,
        )
        for name, stream in state.streams.items()
    }
    return streams, state.variants, state.observations


def test_state_of_an_open_campaign() -> None:
    """An open campaign is one partition, with the counts at which its list was read."""
    stream = StreamState("sent_time")
    stream.partitions["3z"] = Bookmark(
        iso_from_ms(NOW), NOW, NOW, {"opens_count": 9, "x": 3.5}, rows=9, settled=True
    )
    stream.finish("old", None)
    state = State({"opened_contacts": stream, "campaign_reports": StreamState("x")})
    assert save(state) == {
        "version": 2,
        "bookmarks": {
            "opened_contacts": {
                "partitions": [
                    {
                        "context": {"campaign_key": "3z"},
                        "replication_key": "sent_time",
                        "replication_key_value": "2026-09-21T14:13:20.000+00:00",
                        "sent_time_utc": "2026-09-21T14:13:20.000+00:00",
                        "list_read_at": "2026-09-21T14:13:20.000+00:00",
                        "report": {"opens_count": 9, "x": "3.5"},
                        "rows": 9,
                        "settled": True,
                    }
                ],
                "finished": {"named": [key_hash("old")]},
            }
        },
    }


def test_state_of_version_1() -> None:
    """A state of version 1 is read; its ranges have no count, its readings no time."""
    saved = {
        "version": 1,
        "bookmarks": {
            "opened_contacts": {
                "partitions": [
                    {
                        "context": {"campaign_key": "3z"},
                        "replication_key": "sent_time",
                        "replication_key_value": iso_from_ms(NOW),
                        "report": {"opens_count": 9},
                        "rows": 9,
                        "settled": True,
                    }
                ],
                "finished": {
                    "ranges": [[None, iso_from_ms(NOW)]],
                    "without": ["a"],
                    "named": ["b"],
                },
            }
        },
        "halves": {"p": ["c", "d"]},
    }
    state = load(saved, KEYS)
    assert state.streams["opened_contacts"] == StreamState(
        "sent_time",
        {"3z": Bookmark(iso_from_ms(NOW), report={"opens_count": 9}, rows=9, settled=True)},
        Finished((Range(None, NOW),), frozenset("a"), frozenset("b")),
    )
    assert state.variants == {"p": ("c", "d")}


def test_exceptions_of_all_streams_are_kept_once() -> None:
    """An exception that all streams share is written once."""
    streams = {
        name: StreamState(key, finished=Finished((Range(None, NOW, 5),), frozenset({"all", name})))
        for name, key in KEYS.items()
    }
    saved = save(State(streams))
    assert saved["without"] == ["all"]
    for name in KEYS:
        assert saved["bookmarks"][name]["finished"]["without"] == [name]
    assert load(saved, KEYS) == State(streams)


def test_nothing_is_written_of_nothing() -> None:
    """A stream of which nothing is known takes no space."""
    state = State({name: StreamState(key) for name, key in KEYS.items()})
    assert save(state) == {"version": 2, "bookmarks": {}}


def test_state_of_a_campaign_of_which_little_is_known() -> None:
    """What is not known is not written, except for the value of the replication key."""
    state = State({"opened_contacts": StreamState("sent_time", {"3z": Bookmark()})})
    assert save(state)["bookmarks"]["opened_contacts"] == {
        "partitions": [
            {
                "context": {"campaign_key": "3z"},
                "replication_key": "sent_time",
                "replication_key_value": None,
            }
        ]
    }


# What is refused

broken: dict[str, t.Any] = {"bookmarks": {"opened_contacts": {"partitions": [{"context": {}}]}}}


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"version": 3, "bookmarks": {}}, "version 3, this tap reads versions up to 2: upgrade"),
        ({"version": "new", "bookmarks": {}}, "version new"),
        (broken, "is broken"),
        ({"bookmarks": []}, "is broken"),
        ({"bookmarks": {"opened_contacts": None}}, "is broken"),
        (
            {"bookmarks": {"contacts": {}}},
            "not one of tap-zoho-campaigns-recipients: it has bookmarks of contacts. Use a state",
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
        {"last_readings": "one"},
        {"list_read_at": "soon"},
        {"actions": {"openedcontacts": 5}},
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


@pytest.mark.parametrize(
    "variants", [[], {"parent": "half"}, {"parent": {"a": 1}}, 5, None], ids=str
)
def test_broken_variants(variants: t.Any) -> None:
    """So are A/B variants that are no lists of key hashes."""
    with pytest.raises(StateRefused) as refusal:
        load({"version": 1, "halves": variants}, KEYS)
    assert str(refusal.value) == BROKEN


@pytest.mark.parametrize(
    "state", [{}, {"version": 1}, {"bookmarks": {}}, {"bookmarks": {"campaigns": {}}}]
)
def test_empty_state(state: dict[str, t.Any]) -> None:
    """An empty state is a first run."""
    assert load(state, KEYS) == State({name: StreamState(key) for name, key in KEYS.items()})


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


@settings(max_examples=200, deadline=None)
@given(states, st.lists(st.integers(0, 9), max_size=8), json_values)
def test_any_state_is_read_or_refused(state: State, path: list[int], value: t.Any) -> None:
    """Whatever is in the state file: it is read, and can be written again, or is refused."""
    changed = replaced(save(state), path, value)
    try:
        read = load(changed, KEYS)
    except StateRefused:
        return
    assert meaning(load(json.loads(json.dumps(save(read))), KEYS)) == meaning(read)
