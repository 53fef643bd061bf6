"""Reading one list page by page while it may change: what to ask next, and what is new.

Pages are cut from a list that others move: a contact who opens leaves the unopened list, and all
behind it step forward by one. Whoever pages on by numbers alone then skips one for each that left.
So each request after the first begins at the last row received. If the page brings any row that is
known already, nothing can have slipped in between, as long as the server keeps the order of the
rows that stay: the page holds all rows from the known one to its own end, and what comes before
the known one was received. If it brings none, the reading goes back until one is found or until
row 1, from where nothing can be missing either.

Plain values in, plain values out: nothing here knows of requests or of Zoho's fields.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

if t.TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

T = t.TypeVar("T")

SMALLEST_RANGE = 2
"""The shared row and one more: with less no page could bring anything new."""

VAIN_PAGES_ALLOWED = 20
"""So many pages, and two for each that was not in vain, may bring nothing before a reading ends."""

SAME_PAGES_ALLOWED = 2
"""A page that comes again for two other indexes in a row is a server that ignores the index."""


class IndexIgnored(Exception):  # noqa: N818 - it says what the server does
    """The server answers every `fromindex` with the same page."""


@dataclass(slots=True)
class PageLengths:
    """What is known of an endpoint's pages, shared by all its lists in a run."""

    asked: int
    """Rows to ask for, with `range`."""
    longest: dict[int, int] = field(default_factory=dict)
    """The longest page seen, by rows asked for: shorter than asked where the server has a cap."""

    def __post_init__(self) -> None:
        """Leave room for the shared row."""
        self.asked = max(self.asked, SMALLEST_RANGE)

    def halve(self, refused: int) -> bool:
        """Ask for half of a range that the server refused.

        Returns:
            Whether there is a smaller range to ask for.
        """
        self.asked = min(self.asked, max(refused // 2, SMALLEST_RANGE))
        return self.asked < refused

    def observe(self, asked: int, length: int) -> None:
        """Take note of a page."""
        self.longest[asked] = max(length, self.longest.get(asked, 0))

    @property
    def likely(self) -> int:
        """The length that a full page is likely to have."""
        return min(self.longest.get(self.asked, self.asked), self.asked)


class Row(t.NamedTuple, t.Generic[T]):
    """A row as the reading sees it."""

    identity: Hashable
    """Tells rows of a list apart at a seam."""
    key: str | None
    """What the row is delivered under, once a list; without one it cannot be delivered."""
    item: T
    """What is delivered."""


class Reading(t.Generic[T]):
    """One reading of one list."""

    def __init__(self, lengths: PageLengths, expected: int | None = None) -> None:
        """Start before row 1.

        Args:
            lengths: What is known of pages of this endpoint.
            expected: How many rows the list should have, if something tells.
        """
        self.lengths = lengths
        self.expected = expected
        self.index = 1
        """The index to ask for next."""
        self.done = False
        """Whether the end of the list was reached."""
        self.delivered = 0
        """Rows that were new and had a key."""
        self.duplicates = 0
        """Rows whose key had come before, in a row of its own."""
        self.unkeyed = 0
        """Rows that cannot be delivered for want of a key."""
        self.moves = 0
        """How often a seam did not hold."""
        self.unstable = False
        """Whether the server was seen not to keep the order of rows."""
        self._pages_with_news = 0
        self._pages_in_vain = 0
        self._seen: set[int] = set()
        self._last: list[Hashable] = []
        self._back_step = 0
        self._rereads = False
        self._same_pages = 0

    @property
    def rows(self) -> int:
        """Rows of the list that were received, deliverable or not."""
        return self.delivered + self.duplicates + self.unkeyed

    def ahead(self, most: int) -> list[int]:
        """Return the indexes that will be asked for, as far as the expected count tells.

        Args:
            most: How many at the most, the next one included.
        """
        indexes = [] if self.done else [self.index]
        step = self.lengths.likely - 1
        if self._last and self.expected is not None and not self._back_step and step > 0:
            while len(indexes) < most and indexes and indexes[-1] + step < self.expected:
                indexes.append(indexes[-1] + step)
        return indexes

    def feed(self, asked: int, page: Sequence[Row[T]]) -> list[T]:
        """Take the page at `index`, and move on.

        Args:
            asked: How many rows were asked for.
            page: The rows; none where the server said that there are none.

        Returns:
            What is new, in order.

        Raises:
            IndexIgnored: When the server sends the same page whatever index it is asked for.
        """
        index = self.index
        length = len(page)
        is_first = index == 1 and not self._last
        if length:
            self.lengths.observe(asked, length)
        known = dict(zip(self._last, range(len(self._last)), strict=True))
        if index > 1 and not self._holds(page, known) and self._may_go_on():
            self._go_back(asked)
            return []
        if not length:
            self.done = True
            return []
        new = self._new(page, known)
        identities = [row.identity for row in page]
        is_same = identities == self._last
        self._last = identities
        self._back_step = 0
        self.index = index + length - 1
        if new:
            self._rereads = False
            self._pages_with_news += 1
        is_short = length < asked
        if (
            (length == 1 and not is_first)
            or (is_short and self.rows == self.expected)
            or (is_short and self.lengths.longest[asked] > length)
        ):
            self.done = True
        elif is_same:
            self._same_pages += 1
            if self._same_pages >= SAME_PAGES_ALLOWED:
                raise IndexIgnored
        else:
            self._same_pages = 0
            if not new and not self._may_go_on():
                self.done = True
        return new

    def _holds(self, page: Sequence[Row[T]], known: dict[Hashable, int]) -> bool:
        """Whether the page shares a row with what was received, so that nothing slipped between."""
        return any(
            row.identity in known
            or (self._rereads and row.key is not None and hash(row.key) in self._seen)
            for row in page
        )

    def _may_go_on(self) -> bool:
        """Whether a page that brought nothing is worth another, or the order is not stable."""
        self._pages_in_vain += 1
        if self._pages_in_vain > VAIN_PAGES_ALLOWED + 2 * self._pages_with_news:
            self.unstable = True
        return not self.unstable or self._pages_in_vain <= VAIN_PAGES_ALLOWED

    def _go_back(self, asked: int) -> None:
        """Step back from a seam that does not hold; further with each time in a row."""
        self.moves += 1
        step = max(min(asked, self.lengths.longest.get(asked, asked)) - 1, 1)
        self._back_step = self._back_step * 2 or step
        self._rereads = True
        self.index = max(self.index - self._back_step, 1)

    def _new(self, page: Sequence[Row[T]], known: dict[Hashable, int]) -> list[T]:
        new = []
        seen = self._seen
        last_place = -1
        for identity, key, item in page:
            place = known.get(identity)
            if place is not None:
                if place < last_place:
                    self.unstable = True
                last_place = place
                continue
            if key is None:
                self.unkeyed += not self._rereads
                continue
            # A set of hashes is a third of a set of addresses. Among a million addresses two
            # share their 64 bits once in 37 million lists.
            mark = hash(key)
            if mark not in seen:
                seen.add(mark)
                new.append(item)
            elif not self._rereads:
                self.duplicates += 1
        self.delivered += len(new)
        return new
