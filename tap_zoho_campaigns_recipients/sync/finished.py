"""Which campaigns had their last reading, in little space."""

from __future__ import annotations

import base64
import hashlib
import typing as t
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from functools import lru_cache

from tap_zoho_campaigns_recipients.zoho.timestamps import DAY_MS

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SETTLING_MS = 30 * DAY_MS
"""Finished campaigns become part of a range only when they were sent this long ago.

Until then each is named by itself: with a short engagement window, a campaign that was still being
sent could otherwise be listed later within a range that is said to be finished.
"""

MOST_BETWEEN = 5
"""This many campaigns that are not finished take as much space as a range of their own."""


@lru_cache(maxsize=16_384)
def key_hash(campaign_key: str) -> str:
    """Return something short for a campaign key: 66 bits of its hash."""
    digest = hashlib.sha256(campaign_key.encode()).digest()
    return base64.urlsafe_b64encode(digest[:9]).decode()[:11]


class Listed(t.NamedTuple):
    """A campaign of a whole listing, as far as the state needs to know it."""

    key_hash: str
    sent_ms: int | None
    hides_others: bool = False
    """Whether others may have been sent with it that are not listed: its A/B variants."""


@dataclass(frozen=True, slots=True)
class Range:
    """A range of sent time, both ends included, whose campaigns are finished."""

    first_ms: int | None
    """None: from the beginning."""
    last_ms: int
    count: int | None = None
    """How many campaigns are accounted for in it, exceptions included; None if not known."""

    def has(self, sent_ms: int) -> bool:
        """Whether a sent time is within."""
        return (self.first_ms is None or self.first_ms <= sent_ms) and sent_ms <= self.last_ms


@dataclass(frozen=True, slots=True)
class Finished:
    """The campaigns that had their last reading, in little space."""

    ranges: tuple[Range, ...] = ()
    without: frozenset[str] = frozenset()
    """Key hashes of campaigns that are not finished though they may be within a range.

    They are never dropped because of a listing: absence from it proves nothing."""
    named: frozenset[str] = frozenset()
    """Key hashes of campaigns that are finished, whenever they were sent."""

    def has(self, hashed: str, sent_ms: int | None) -> bool:
        """Whether a campaign is among them."""
        return hashed in self.named or (
            sent_ms is not None
            and bool(self.ranges)
            and hashed not in self.without
            and any(each.has(sent_ms) for each in self.ranges)
        )

    def add(self, hashed: str, sent_ms: int | None) -> Finished:
        """Return them with one more."""
        without = self.without - {hashed}
        added = replace(self, without=without)
        return added if added.has(hashed, sent_ms) else replace(added, named=self.named | {hashed})

    def leave_out(self, hashed: str) -> Finished:
        """Return them with an exception: a campaign is not finished, whatever the ranges say."""
        return replace(self, without=self.without | {hashed}, named=self.named - {hashed})

    def unaccounted(self, listed: Iterable[Listed]) -> int:
        """Return how many campaigns a listing shows in the ranges beyond those accounted for."""
        known = [each for each in self.ranges if each.count is not None]
        times = [each.sent_ms for each in listed if each.sent_ms is not None]
        return sum(max(sum(map(each.has, times)) - t.cast("int", each.count), 0) for each in known)

    def compact(self, listed: Iterable[Listed], *, until_ms: int) -> Finished:
        """Return the same in less space, as ranges of sent time.

        A range goes on from one finished campaign to the next if hardly any campaign between them
        is not finished. A time at which unlisted campaigns may have been sent is in no new range.

        Args:
            listed: Every campaign that there is, from a whole listing.
            until_ms: Campaigns sent later stay as they are.
        """
        sent = list(listed)
        done = {each.key_hash for each in sent if self.has(each.key_hash, each.sent_ms)}
        hiding = {each.sent_ms for each in sent if each.hides_others and each.key_hash not in done}
        pending = sorted(
            each.sent_ms
            for each in sent
            if each.sent_ms is not None and each.key_hash not in done
            for _ in range(1 + each.hides_others * MOST_BETWEEN)
        )
        spans = [(each.first_ms, each.last_ms) for each in self.ranges]
        spans += (
            (each.sent_ms, each.sent_ms)
            for each in sent
            if each.sent_ms is not None and each.sent_ms <= until_ms
            if each.key_hash in done and each.sent_ms not in hiding
        )
        ranges = tuple(
            Range(first_ms, last_ms, self._accounted(Range(first_ms, last_ms), sent))
            for first_ms, last_ms in _joined(spans, pending)
        )
        compacted = Finished(ranges, self.without - done)
        within = {each.key_hash for each in sent if compacted.has(each.key_hash, each.sent_ms)}
        return Finished(ranges, compacted.without | (within - done), self.named - within)

    def _accounted(self, new: Range, listed: Sequence[Listed]) -> int:
        """Return how many campaigns are accounted for in a range made of older ones."""
        old = [each for each in self.ranges if new.has(each.last_ms)]
        known = [each for each in old if each.count is not None]
        times = [
            each.sent_ms for each in listed if each.sent_ms is not None and new.has(each.sent_ms)
        ]
        return sum(t.cast("int", each.count) for each in known) + sum(
            not any(each.has(sent_ms) for each in known) for sent_ms in times
        )


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
