"""The state: what of each stream and campaign was read, and what never needs to be read again.

The only module that knows the state's shape. Times are epoch milliseconds here, and ISO text in
the state. Version 1 of the state is read as well.

    {"version": 2,
     "bookmarks": {
       "opened_contacts": {
         "partitions": [                       the open campaigns
           {"context": {"campaign_key": "3z…"},
            "replication_key": "sent_time",
            "replication_key_value": "2026-10-01T08:00:00.000+00:00",
            "sent_time_utc": "2026-10-01T00:00:00.000+00:00",   when it was sent, if that is known
            "list_read_at": "2026-10-03T…",    when the last whole reading of the list began
            "report": {"opens_count": 90, …},  the counts of the report before that reading
            "report_hash": "…",                a hash of all its numbers, for compliance lists
            "rows": 90,                        the rows of that reading
            "settled": true,                   whether equal counts mean an unchanged list
            "reading": true,                   a reading has begun since, and may have been cut off
            "last_readings": 1,                last readings that were not complete ...
            "last_readings_since": "2026-…"}], ... and when the first of them began
         "finished": {                         the campaigns that had their last reading:
           "ranges": [[null, "2026-09-01T…", 12]],   all sent within these (and how many)
           "without": ["kX3…"],                except these,
           "named": ["p9Q…"]}},                and these, by a hash of their key
       "list_readings": {"partitions": [{…, "actions": {"openedcontacts": "2026-…"}}]}},
     "without": ["b7K…"],                      exceptions of all streams
     "halves": {"kX3…": ["m7A…", "b0C…"]},     A/B variants of A/B campaigns, by hashes too
     "observations": {"missing": {"kX3…": [2, "2026-…", "2026-…"]}, "failed": {…},
                      "without_details": {…}, "listing_short_by": 1}}
"""

from __future__ import annotations

import math
import typing as t
from copy import deepcopy
from dataclasses import dataclass, field, replace

from tap_zoho_campaigns_recipients.sync.finished import Finished, Range, key_hash
from tap_zoho_campaigns_recipients.sync.observations import Observations, Seen
from tap_zoho_campaigns_recipients.zoho.errors import TapError
from tap_zoho_campaigns_recipients.zoho.timestamps import (
    FIRST_MS,
    LAST_MS,
    iso_from_ms,
    ms_from_iso,
)

if t.TYPE_CHECKING:
    from collections.abc import Mapping

VERSION = 2

Variants = dict[str, tuple[str, ...]]
"""The key hashes of A/B variants, by the key hash of the A/B campaign that they belong to.

Only the details of an A/B campaign tell, and they are not requested any more once it is finished,
while the listing may go on showing its variants.
"""

OBSERVED = ("missing", "failed", "without_details")

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
    """The latest value of the replication key."""
    sent_ms: int | None = None
    """When the campaign was sent, if that is known."""
    read_at_ms: int | None = None
    """When the last whole reading began; None if that is not known."""
    report: Mapping[str, int | float] | None = None
    """The counts of the report as they were before that reading."""
    report_hash: str | None = None
    rows: int | None = None
    """The rows of that reading."""
    settled: bool = False
    """Whether the same counts mean that the list is the same."""
    is_reading: bool = False
    """Whether another reading has begun since, as far as this state knows."""
    last_readings: int = 0
    """How many last readings there were that were not complete."""
    last_readings_since_ms: int | None = None
    actions: Mapping[str, str] = field(default_factory=dict)
    """Of `list_readings`: the time of the latest record by action."""


@dataclass(slots=True)
class StreamState:
    """The state of one stream."""

    replication_key: str
    partitions: dict[str, Bookmark] = field(default_factory=dict)
    """Bookmarks of open campaigns, by key."""
    finished: Finished = field(default_factory=Finished)

    def is_finished(self, campaign_key: str, sent_ms: int | None) -> bool:
        """Whether a campaign had its last reading. An open one had not, whatever the ranges say."""
        return campaign_key not in self.partitions and self.finished.has(
            key_hash(campaign_key), sent_ms
        )

    def finish(self, campaign_key: str, sent_ms: int | None) -> None:
        """Record that a campaign had its last reading."""
        self.partitions.pop(campaign_key, None)
        self.finished = self.finished.add(key_hash(campaign_key), sent_ms)

    def leave_out(self, campaign_key: str) -> None:
        """Record that a campaign is not finished, whatever is said of others of its time."""
        self.finished = self.finished.leave_out(key_hash(campaign_key))

    def mark(self, campaign_key: str, *, is_reading: bool) -> None:
        """Record that a settled list is being read, or that it is not after all."""
        bookmark = self.partitions.get(campaign_key)
        if bookmark is not None and bookmark.is_reading != is_reading:
            self.partitions[campaign_key] = replace(bookmark, is_reading=is_reading)


@dataclass(slots=True)
class State:
    """The state of the tap."""

    streams: dict[str, StreamState]
    variants: Variants = field(default_factory=dict)
    observations: Observations = field(default_factory=Observations)

    @property
    def knows_campaigns(self) -> bool:
        """Whether any campaign was ever read."""
        return any(
            each.partitions or each.finished.ranges or each.finished.named
            for each in self.streams.values()
        )


def copy_of(state: State) -> State:
    """Return a copy that later changes of the state do not reach."""
    streams = {
        name: replace(each, partitions=dict(each.partitions))
        for name, each in state.streams.items()
    }
    observations = deepcopy(state.observations)
    return State(streams, dict(state.variants), observations)


def copy_marks(source: State, target: State) -> None:
    """Mark the readings in one state that are marked in another."""
    for name, stream in source.streams.items():
        for key, bookmark in stream.partitions.items():
            if bookmark.is_reading:
                target.streams[name].mark(key, is_reading=True)


# Reading


def load(state: Mapping[str, t.Any], replication_keys: Mapping[str, str]) -> State:
    """Read a state.

    Args:
        state: As it was given to the tap.
        replication_keys: The replication key of each stream that keeps a state, by its name.

    Raises:
        StateRefused: It is of a newer version, broken, or of another tap.
    """
    try:
        return _load(state, replication_keys)
    except _BROKEN as error:
        raise StateRefused(_IS_BROKEN) from error


def _load(state: Mapping[str, t.Any], replication_keys: Mapping[str, str]) -> State:
    streams = {name: StreamState(key) for name, key in replication_keys.items()}
    if not state:
        return State(streams)
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
            "Use a state of this tap, or none"
        )
        raise StateRefused(msg)
    shared = _hashes(state.get("without", []))
    for stream in streams.values():
        stream.finished = Finished(without=shared)
    for name, saved in bookmarks.items():
        if name in streams:
            stream = streams[name]
            stream.partitions = {
                str(part["context"]["campaign_key"]): _bookmark(part)
                for part in saved.get("partitions", [])
            }
            stream.finished = _finished(saved.get("finished", {}), shared)
    variants = {
        str(parent): tuple(str(each) for each in _listed(hashes))
        for parent, hashes in state.get("halves", {}).items()
    }
    return State(streams, variants, _observations(state.get("observations", {})))


def _listed(value: object) -> list[t.Any]:
    if not isinstance(value, list):
        raise TypeError(value)
    return value


def _hashes(value: object) -> frozenset[str]:
    return frozenset(str(each) for each in _listed(value))


def _bookmark(saved: Mapping[str, t.Any]) -> Bookmark:
    value = saved.get("replication_key_value")
    report = saved.get("report")
    rows, readings = saved.get("rows"), saved.get("last_readings", 0)
    if value is not None:
        _ms(value)
    if report is not None:
        report = {name: _number(number) for name, number in report.items()}
    if not isinstance(rows, int | None) or not isinstance(readings, int):
        raise TypeError(rows)
    actions = {str(name): str(read_at) for name, read_at in saved.get("actions", {}).items()}
    for read_at in actions.values():
        _ms(read_at)
    report_hash = saved.get("report_hash")
    return Bookmark(
        value,
        _ms_or_none(saved.get("sent_time_utc")),
        _ms_or_none(saved.get("list_read_at")),
        report,
        None if report_hash is None else str(report_hash),
        rows,
        settled=saved.get("settled") is True,
        is_reading=saved.get("reading") is True,
        last_readings=readings,
        last_readings_since_ms=_ms_or_none(saved.get("last_readings_since")),
        actions=actions,
    )


def _ms(saved: str) -> int:
    ms = ms_from_iso(saved)
    if not FIRST_MS <= ms <= LAST_MS:
        raise ValueError(saved)
    return ms


def _ms_or_none(saved: str | None) -> int | None:
    return None if saved is None else _ms(saved)


def _number(saved: object) -> int | float:
    number = float(saved) if isinstance(saved, str) else saved
    if not isinstance(number, int | float) or not math.isfinite(number):
        raise TypeError(saved)
    return number


def _finished(saved: Mapping[str, t.Any], shared: frozenset[str]) -> Finished:
    return Finished(
        tuple(
            Range(_ms_or_none(first), _ms(last), *(int(count) for count in counts))
            for first, last, *counts in saved.get("ranges", [])
        ),
        _hashes(saved.get("without", [])) | shared,
        _hashes(saved.get("named", [])),
    )


def _observations(saved: Mapping[str, t.Any]) -> Observations:
    short_by = saved.get("listing_short_by")
    if not isinstance(short_by, int | None) or isinstance(short_by, bool):
        raise TypeError(short_by)
    seen = {
        name: {
            str(hashed): Seen(int(times), _ms(first), _ms(last))
            for hashed, (times, first, last) in saved.get(name, {}).items()
        }
        for name in OBSERVED
    }
    return Observations(
        seen["missing"], seen["failed"], seen["without_details"], listing_short_by=short_by
    )


# Writing


def save(state: State) -> dict[str, t.Any]:
    """Return the state to write: plain values, without empty parts."""
    kept = [each.finished.without for each in state.streams.values() if _is_in_use(each.finished)]
    shared = frozenset.intersection(*kept) if kept else frozenset()
    bookmarks = {
        name: saved for name, stream in state.streams.items() if (saved := _saved(stream, shared))
    }
    parts: dict[str, t.Any] = {
        "without": sorted(shared),
        "halves": {parent: list(hashes) for parent, hashes in state.variants.items()},
        "observations": _saved_observations(state.observations),
    }
    return {"version": VERSION, "bookmarks": bookmarks} | _filled(parts)


def _is_in_use(finished: Finished) -> bool:
    return bool(finished.ranges or finished.named or finished.without)


def _filled(parts: Mapping[str, t.Any]) -> dict[str, t.Any]:
    return {name: part for name, part in parts.items() if part}


def _saved_observations(observations: Observations) -> dict[str, t.Any]:
    saved: dict[str, t.Any] = {
        name: {
            hashed: [seen.times, iso_from_ms(seen.first_ms), iso_from_ms(seen.last_ms)]
            for hashed, seen in getattr(observations, name).items()
        }
        for name in OBSERVED
    }
    return _filled(saved | {"listing_short_by": observations.listing_short_by})


def _saved(stream: StreamState, shared: frozenset[str]) -> dict[str, t.Any]:
    """Return one stream's part of the state."""
    finished = stream.finished
    parts = {
        "ranges": [
            [
                None if each.first_ms is None else iso_from_ms(each.first_ms),
                iso_from_ms(each.last_ms),
                *(() if each.count is None else (each.count,)),
            ]
            for each in finished.ranges
        ],
        "without": sorted(finished.without - shared),
        "named": sorted(finished.named),
    }
    return _filled(
        {
            "partitions": [
                _saved_bookmark(key, bookmark, stream.replication_key)
                for key, bookmark in stream.partitions.items()
            ],
            "finished": _filled(parts),
        }
    )


def _saved_bookmark(key: str, bookmark: Bookmark, replication_key: str) -> dict[str, t.Any]:
    saved: dict[str, t.Any] = {
        "context": {"campaign_key": key},
        "replication_key": replication_key,
        "replication_key_value": bookmark.value,
    }
    for name, ms in (
        ("sent_time_utc", bookmark.sent_ms),
        ("list_read_at", bookmark.read_at_ms),
        ("last_readings_since", bookmark.last_readings_since_ms),
    ):
        if ms is not None:
            saved[name] = iso_from_ms(ms)
    if bookmark.report is not None:
        # Loaders read a fraction as a decimal, which some of them cannot write out again.
        saved["report"] = {
            name: number if isinstance(number, int) else str(number)
            for name, number in bookmark.report.items()
        }
    if bookmark.rows is not None:
        saved["rows"] = bookmark.rows
    return saved | _filled(
        {
            "report_hash": bookmark.report_hash,
            "settled": bookmark.settled,
            "reading": bookmark.is_reading,
            "last_readings": bookmark.last_readings,
            "actions": dict(bookmark.actions),
        }
    )
