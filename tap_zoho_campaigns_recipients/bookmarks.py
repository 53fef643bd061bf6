"""The state: what of each stream and campaign was read, and what never needs to be read again.

The only module that knows the state's shape. All of it is pure functions over plain values; times
are epoch milliseconds here and ISO text in the state.

    {"version": 1,
     "bookmarks": {
       "opened_contacts": {
         "partitions": [                       the open campaigns
           {"context": {"campaign_key": "3z…"},
            "replication_key": "sent_time",
            "replication_key_value": "2026-10-01T08:00:00.000+00:00",
            "sent_time_utc": "2026-10-01T00:00:00.000+00:00",   when it was sent, if that is known
            "report": {"opens_count": 90, …},  the counts the list was last read whole at
            "rows": 90,                        the rows that it had
            "settled": true}],                 whether equal counts mean an unchanged list
         "finished": {                         the campaigns that had their last read:
           "ranges": [[null, "2026-09-01T…"]], all sent within these,
           "without": ["kX3…"],                but for these,
           "named": ["p9Q…"]}}},               and these, by a hash of their key
     "halves": {"kX3…": ["m7A…", "b0C…"]}}     test halves of A/B campaigns, by hashes too
"""

from __future__ import annotations

import base64
import hashlib
import math
import typing as t
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field, replace
from functools import lru_cache

from tap_zoho_campaigns_recipients.errors import TapError
from tap_zoho_campaigns_recipients.moments import (
    DAY_MS,
    FIRST_MS,
    LAST_MS,
    iso_from_ms,
    ms_from_iso,
)

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

VERSION = 1

SETTLING_MS = 30 * DAY_MS
"""Finished campaigns are told by their sent time only when it is this long ago.

Until then each stands by itself: with a short engagement window a campaign that was still being
sent could otherwise turn up, later, within a range that is said to be finished.
"""

MOST_BETWEEN = 5
"""So many campaigns that are not finished take as much space as a range of their own."""


Halves = dict[str, tuple[str, ...]]
"""The marks of test halves, by the mark of the A/B campaign that they belong to.

Only the details of an A/B campaign tell, and they are not asked for once it is finished, while the
listing may go on showing its halves.
"""

_BROKEN = (TypeError, ValueError, AttributeError, KeyError, OverflowError)
_IS_BROKEN = (
    "The state cannot be read: it is broken. Restore an earlier one, or run a full refresh "
    "without state"
)


class StateRefused(TapError):
    """The state that was given cannot be read."""


@dataclass(frozen=True, slots=True)
class Bookmark:
    """What is known of one list of an open campaign."""

    value: str | None = None
    """The replication key's value: the latest one read."""
    sent_ms: int | None = None
    """When the campaign was sent, if that is known."""
    report: Mapping[str, int | float] | None = None
    """The report's counts as they were before the list was last read whole."""
    rows: int | None = None
    """Rows of that reading."""
    settled: bool = False
    """Whether the same counts mean that the list is the same."""


class Listed(t.NamedTuple):
    """A campaign that there is, as far as the state needs to know it."""

    mark: str
    sent_ms: int | None
    hides_others: bool = False
    """Whether others may have been sent with it that are not listed: its test halves."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The campaigns that had their last read, in little space."""

    ranges: tuple[tuple[int | None, int], ...] = ()
    """From and to, both within; None: from the beginning."""
    without: frozenset[str] = frozenset()
    """Marks of campaigns within the ranges that are not finished."""
    named: frozenset[str] = frozenset()
    """Marks of campaigns that are finished, wherever they stand."""

    def has(self, mark: str, sent_ms: int | None) -> bool:
        """Whether a campaign is among them."""
        return mark in self.named or (
            sent_ms is not None
            and bool(self.ranges)
            and mark not in self.without
            and any(
                (low is None or low <= sent_ms) and sent_ms <= high for low, high in self.ranges
            )
        )

    def add(self, mark: str, sent_ms: int | None) -> Finished:
        """Return them with one more."""
        without = self.without - {mark}
        added = replace(self, without=without)
        return added if added.has(mark, sent_ms) else replace(added, named=self.named | {mark})

    def leave_out(self, mark: str) -> Finished:
        """Return them with a note that one is not finished that others of its time may be."""
        return replace(self, without=self.without | {mark})

    def compact(self, listed: Iterable[Listed], *, until_ms: int) -> Finished:
        """Return the same in less space, as ranges of sent time.

        A range goes on from one finished campaign to the next where hardly a campaign between them
        is not finished.

        Args:
            listed: Every campaign that there is.
            until_ms: Campaigns sent later stay as they are.
        """
        sent = [(each.mark, each.sent_ms, each.hides_others) for each in listed]
        done = {mark for mark, sent_ms, _ in sent if self.has(mark, sent_ms)}
        pending = sorted(
            sent_ms
            for mark, sent_ms, hides_others in sent
            if sent_ms is not None and mark not in done
            for _ in range(1 + hides_others * MOST_BETWEEN)
        )
        spans: list[tuple[int | None, int]] = list(self.ranges)
        spans += (
            (sent_ms, sent_ms)
            for mark, sent_ms, _ in sent
            if sent_ms is not None and sent_ms <= until_ms and mark in done
        )
        ranges = _joined(spans, pending)
        compacted = Finished(ranges, self.without - done)
        within = {mark for mark, sent_ms, _ in sent if compacted.has(mark, sent_ms)}
        return Finished(ranges, compacted.without | (within - done), self.named - within)

    def forget(self, listed: Iterable[Listed]) -> Finished:
        """Return them without the exceptions for campaigns that exist no more."""
        return replace(self, without=self.without & {each.mark for each in listed})


def _joined(
    spans: Iterable[tuple[int | None, int]], pending: Sequence[int]
) -> tuple[tuple[int | None, int], ...]:
    """Join spans of sent time, overlapping ones and those with little between them.

    Args:
        spans: In any order.
        pending: When the campaigns were sent that are not finished, in order.
    """
    joined: list[tuple[int | None, int]] = []
    for low, high in sorted(spans, key=lambda each: (each[0] is not None, each[0] or 0, each[1])):
        if joined:
            first, last = joined[-1]
            between = 0 if low is None else bisect_left(pending, low) - bisect_right(pending, last)
            if between <= MOST_BETWEEN:
                joined[-1] = (first, max(high, last))
                continue
        joined.append((low, high))
    return tuple(joined)


@dataclass(slots=True)
class StreamState:
    """The state of one stream."""

    replication_key: str
    partitions: dict[str, Bookmark] = field(default_factory=dict)
    """Bookmarks of open campaigns, by key."""
    finished: Finished = field(default_factory=Finished)

    def is_finished(self, campaign_key: str, sent_ms: int | None) -> bool:
        """Whether a campaign had its last read. An open one has not, whatever the ranges say."""
        return campaign_key not in self.partitions and self.finished.has(
            mark(campaign_key), sent_ms
        )

    def finish(self, campaign_key: str, sent_ms: int | None) -> None:
        """Take note of a campaign's last read."""
        self.partitions.pop(campaign_key, None)
        self.finished = self.finished.add(mark(campaign_key), sent_ms)

    def leave_out(self, campaign_key: str) -> None:
        """Take note that a campaign could not be read past its window."""
        self.finished = self.finished.leave_out(mark(campaign_key))


@lru_cache(maxsize=16_384)
def mark(campaign_key: str) -> str:
    """Return something short for a campaign key: 66 bits of its hash."""
    digest = hashlib.sha256(campaign_key.encode()).digest()
    return base64.urlsafe_b64encode(digest[:9]).decode()[:11]


def read_again(
    before: Bookmark | None, report: Mapping[str, int | float] | None, count: str | None
) -> bool:
    """Whether a list of an open campaign may have changed since it was last read whole.

    Args:
        before: The bookmark of that reading, if there was one.
        report: The counts, as they are now, that could reflect a change of the list.
        count: The name of the one that says how many rows it has. Without it the report says
            nothing.
    """
    return (
        before is None
        or not before.settled
        or report is None
        or count is None
        or count not in report
        or report != before.report
    )


def after_reading(
    before: Bookmark | None,
    *,
    value: str | None,
    sent_ms: int | None,
    report: Mapping[str, int | float] | None,
    count: str | None,
    rows: int,
) -> Bookmark:
    """Return the bookmark of a list that was read whole.

    A list whose rows and count differ is settled when it was read twice with equal results: the
    count is then taken to mean something else.

    Args:
        before: The bookmark of the reading before, if there was one.
        value: The replication key's latest value.
        sent_ms: When the campaign was sent, if that is known.
        report: The counts that could reflect a change of the list, fetched before its first page.
        count: The name of the one that says how many rows it has.
        rows: The rows received.
    """
    agrees = report is not None and count is not None and report.get(count) == rows
    again = before is not None and before.report == report and before.rows == rows
    return Bookmark(value, sent_ms, report, rows, settled=report is not None and (agrees or again))


def load(state: Mapping[str, t.Any], replication_keys: Mapping[str, str]) -> dict[str, StreamState]:
    """Read a state.

    Args:
        state: As it was handed to the tap.
        replication_keys: The replication key of each stream that keeps a state, by its name.

    Raises:
        StateRefused: Where it is of a newer version, broken, or of another tap.
    """
    try:
        return _load(state, replication_keys)
    except _BROKEN as error:
        raise StateRefused(_IS_BROKEN) from error


def load_halves(state: Mapping[str, t.Any]) -> Halves:
    """Read which test halves a state knows.

    Raises:
        StateRefused: Where it is broken.
    """
    try:
        return {
            str(parent): tuple(str(each) for each in _listed(marks))
            for parent, marks in state.get("halves", {}).items()
        }
    except _BROKEN as error:
        raise StateRefused(_IS_BROKEN) from error


def _listed(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError(value)
    return value


def _load(
    state: Mapping[str, t.Any], replication_keys: Mapping[str, str]
) -> dict[str, StreamState]:
    streams = {name: StreamState(key) for name, key in replication_keys.items()}
    if not state:
        return streams
    version = state.get("version", 0)
    if not isinstance(version, int) or version > VERSION:
        msg = (
            f"The state is of version {version!s:.20}, this tap reads versions up to {VERSION}: "
            "upgrade the tap, or run a full refresh without state"
        )
        raise StateRefused(msg)
    bookmarks = state.get("bookmarks", {})
    strangers = [str(name) for name in bookmarks if name not in {*streams, "campaigns"}]
    if strangers or not {"version", "bookmarks"} & set(state):
        what = f"it has bookmarks of {strangers[0]:.60}" if strangers else "it has no bookmarks"
        msg = (
            f"The state is not one of tap-zoho-campaigns-recipients: {what}. "
            "Hand over its own, or none"
        )
        raise StateRefused(msg)
    for name, saved in bookmarks.items():
        if name in streams:
            stream = streams[name]
            stream.partitions = {
                str(part["context"]["campaign_key"]): _bookmark(part)
                for part in saved.get("partitions", [])
            }
            stream.finished = _finished(saved.get("finished", {}))
    return streams


def _bookmark(saved: Mapping[str, t.Any]) -> Bookmark:
    value = saved.get("replication_key_value")
    report = saved.get("report")
    rows = saved.get("rows")
    if value is not None:
        _moment(value)
    if report is not None:
        report = {name: _number(number) for name, number in report.items()}
    if rows is not None and not isinstance(rows, int):
        raise TypeError(rows)
    sent = saved.get("sent_time_utc")
    return Bookmark(
        value,
        None if sent is None else _moment(sent),
        report,
        rows,
        settled=saved.get("settled") is True,
    )


def _moment(saved: str) -> int:
    ms = ms_from_iso(saved)
    if not FIRST_MS <= ms <= LAST_MS:
        raise ValueError(saved)
    return ms


def _number(saved: object) -> int | float:
    number = float(saved) if isinstance(saved, str) else saved
    if not isinstance(number, int | float) or not math.isfinite(number):
        raise TypeError(saved)
    return number


def _finished(saved: Mapping[str, t.Any]) -> Finished:
    return Finished(
        tuple(
            (None if low is None else _moment(low), _moment(high))
            for low, high in saved.get("ranges", [])
        ),
        frozenset(str(each) for each in saved.get("without", [])),
        frozenset(str(each) for each in saved.get("named", [])),
    )


def save(streams: Mapping[str, StreamState], halves: Halves | None = None) -> dict[str, t.Any]:
    """Return the state to write: plain values, nothing empty in it."""
    bookmarks = {name: saved for name, stream in streams.items() if (saved := save_stream(stream))}
    state: dict[str, t.Any] = {"version": VERSION, "bookmarks": bookmarks}
    if halves:
        state["halves"] = {parent: list(marks) for parent, marks in halves.items()}
    return state


def save_stream(stream: StreamState) -> dict[str, t.Any]:
    """Return one stream's part of the state."""
    saved: dict[str, t.Any] = {}
    if stream.partitions:
        saved["partitions"] = [
            _saved_bookmark(key, bookmark, stream.replication_key)
            for key, bookmark in stream.partitions.items()
        ]
    finished = stream.finished
    parts = {
        "ranges": [
            [None if low is None else iso_from_ms(low), iso_from_ms(high)]
            for low, high in finished.ranges
        ],
        "without": sorted(finished.without),
        "named": sorted(finished.named),
    }
    if any(parts.values()):
        saved["finished"] = {name: part for name, part in parts.items() if part}
    return saved


def _saved_bookmark(key: str, bookmark: Bookmark, replication_key: str) -> dict[str, t.Any]:
    saved: dict[str, t.Any] = {
        "context": {"campaign_key": key},
        "replication_key": replication_key,
        "replication_key_value": bookmark.value,
    }
    if bookmark.sent_ms is not None:
        saved["sent_time_utc"] = iso_from_ms(bookmark.sent_ms)
    if bookmark.report is not None:
        # Loaders read a fraction as a decimal, which some of them cannot write out again.
        saved["report"] = {
            name: number if isinstance(number, int) else str(number)
            for name, number in bookmark.report.items()
        }
    if bookmark.rows is not None:
        saved["rows"] = bookmark.rows
    if bookmark.settled:
        saved["settled"] = True
    return saved
