"""Paging through one list while it may change: what to request next, and what is new.

Pages are cut from a list that moves: a contact who opens leaves the unopened list, and all rows
behind it move forward by one. A reader that pages by numbers alone skips one row for each row that
left. So each request after the first begins at the last row received. If the page has any row that
was received before, nothing can have slipped in between, as long as the server keeps the order of
the rows that stay: what comes behind that row is in the page, and what comes before it came before
it at that time as well, and was received. It does not matter which of the two pages was fetched
first. If the page has no such row, the paginator goes back until one is found or until row 1, from
where nothing can be missing either.

Plain values in, plain values out: nothing here knows of requests or of Zoho's fields.
"""

from __future__ import annotations

import math
import typing as t
from array import array
from dataclasses import dataclass, field

if t.TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

T = t.TypeVar("T")

SMALLEST_RANGE = 2
"""The shared row and one more: with less no page could bring anything new."""

VAIN_PAGES_ALLOWED = 20
VAIN_PAGES_ALLOWED_PER_NEWS = 10
"""So many pages, and so many for each that was not in vain, may bring nothing before the order of
rows is taken to be unstable. A list that moves by more than a page at every request needs some."""

SAME_PAGES_ALLOWED = 3
"""A page that comes again for three other indexes in a row is a server that ignores the index."""

ALIKE_PAGES_ALLOWED = 100
"""The same of pages without a row that can be delivered: such rows may all look alike."""


def pages_for(rows: float, page_rows: int) -> int:
    """Return the number of pages for a list, or for the rest of a list.

    Args:
        rows: Its rows, including the row that a page shares with the page before.
        page_rows: The number of rows of a page.
    """
    return max(math.ceil((rows - 1) / max(page_rows - 1, 1)), 1)


class FromIndexIgnored(Exception):
    """The server answers every `fromindex` with the same page."""


SURE_RANGE = 500
"""The most rows that Zoho was seen to serve in one page (zoho-api.md 1.1)."""


@dataclass(slots=True)
class PageLengths:
    """What is known of an endpoint's pages, shared by all its lists in a run."""

    asked: int
    """Rows to ask for, with `range`."""
    longest: dict[int, int] = field(default_factory=dict)
    """The longest page seen, by rows asked for: shorter than asked if the server has a cap."""
    capped: set[int] = field(default_factory=set)
    """Rows asked for where a list was seen to go on behind a page that was shorter."""
    large_works: bool = False
    """Whether a page of more than `SURE_RANGE` rows was asked for, and brought rows."""
    probe: object = None
    """What is finding out whether more than `SURE_RANGE` rows are served; nothing else tries."""
    _innocent_codes: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Leave room for the shared row."""
        self.asked = max(self.asked, SMALLEST_RANGE)

    @property
    def is_probing(self) -> bool:
        """Whether it is not known yet that the server serves more than `SURE_RANGE` rows."""
        return self.asked > SURE_RANGE and not self.large_works

    def may_blame_range(self, asked: int, code: str) -> bool:
        """Whether an error may come from a range above `SURE_RANGE`, so that a try is worth it.

        Args:
            asked: Rows asked for.
            code: The server's error code.
        """
        return asked > SURE_RANGE and not self.large_works and code not in self._innocent_codes

    def blame_range(self) -> None:
        """Ask for `SURE_RANGE` rows from now on."""
        self.asked = min(self.asked, SURE_RANGE)

    def clear_range(self, code: str) -> None:
        """Take note that an error comes for smaller ranges too."""
        self._innocent_codes.add(code)

    def halve(self, refused: int) -> bool:
        """Ask for half of a range that the server refused.

        Returns:
            Whether there is a smaller range to ask for.
        """
        self.asked = min(self.asked, max(refused // 2, SMALLEST_RANGE))
        return self.asked < refused

    def observe(self, asked: int, length: int) -> None:
        """Take note of a page with rows."""
        self.longest[asked] = max(length, self.longest.get(asked, 0))
        self.large_works = self.large_works or asked > SURE_RANGE

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


class FromIndexPaginator(t.Generic[T]):
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
        self.broken_off = False
        """Whether the server gave no more rows, though the list should go on."""
        self.delivered = 0
        """Rows that were new and had a key."""
        self.duplicates = 0
        """Rows whose key had come before, in a row of its own."""
        self.unkeyed = 0
        """Rows that cannot be delivered because they have no key."""
        self.moves = 0
        """How often a page did not begin with the row that it was to share."""
        self.unstable = False
        """Whether the server was seen not to keep the order of rows."""
        self._pages_with_news = 0
        self._pages_in_vain = 0
        self._same_pages = 0
        self._back_step = 0
        self._last: list[Hashable] = []
        self._last_index = 0
        self._overlap = 1
        self._empty_at: int | None = None
        self._asked_again = False
        self._shares_unkeyed = False
        self._keys: set[int] = set()
        # Identities are needed only where a list moves: as long as it does not, they are kept in
        # order, at eight bytes each.
        self._order = array("q")
        self._received: set[int] | None = None

    @property
    def rows(self) -> int:
        """Rows of the list that were received, deliverable or not."""
        return self.delivered + self.duplicates + self.unkeyed

    def look_ahead(self, most: int, first_rows: int = 0) -> list[int]:
        """Return the indexes that will be asked for, as far as the expected count tells.

        Args:
            most: How many at the most, the next one included; one or more.
            first_rows: The rows of the first page, if that has come and was not taken yet.
        """
        if self.done:
            return []
        page_rows = self.lengths.likely if self._last else first_rows
        is_last = not self._last and first_rows < self.lengths.longest.get(self.lengths.asked, 0)
        is_alone = is_last or self._back_step or self.lengths.is_probing
        if page_rows <= 1 or is_alone or self.expected is None:
            return [self.index]
        if page_rows < self.lengths.asked and self.lengths.asked not in self.lengths.capped:
            # A server with a cap, or a list that is shorter than expected: the next page tells.
            most = min(most, 1 if self._last else 2)
        step = page_rows - 1
        return [self.index, *range(self.index + step, self.expected, step)[: most - 1]]

    def advance(self, asked: int, page: Sequence[Row[T]]) -> list[T]:
        """Take the page at `index`, and move on.

        Args:
            asked: How many rows were asked for.
            page: The rows; none where the server said that there are none.

        Returns:
            What is new, in order.

        Raises:
            FromIndexIgnored: When the server sends the same page whatever index it is asked for.
        """
        if page:
            self.lengths.observe(asked, len(page))
        elif self._ends_empty():
            return []
        if self._last:
            shared = [row.identity for row in page[: self._overlap]]
            if shared != self._last[-self._overlap :]:
                self._moved()
        if self.index > 1 and not self._proves(page) and self._may_go_on():
            self._go_back(asked)
            return []
        if not page:
            self.done = self.broken_off = True
            return []
        rows = self.rows
        new = self._new(page)
        has_news = self.rows > rows
        if has_news and rows and len(self._last) < asked:
            self.lengths.capped.add(asked)
        is_same = self._notice_same(page)
        self.done = self._ends(asked, page, has_news=has_news, is_same=is_same) or not (
            self._may_go_on(has_news=has_news)
        )
        self._share(page)
        return new

    def _ends_empty(self) -> bool:
        """Whether an empty page is nothing to go back from; `done` says whether it is the end."""
        if not self._last:
            # The first page: if rows are expected, one such response proves nothing.
            self.done = self._asked_again or not self.expected
            self.broken_off = self.done and bool(self.expected)
            self._asked_again = True
            return True
        if self._empty_at is not None and self.index >= self._empty_at:
            self.done = self.broken_off = True
            return True
        if not self._back_step:
            self._empty_at = self.index
        return False

    def _moved(self) -> None:
        self.moves += 1
        if self._received is None:
            self._received = set(self._order)
            self._order = array("q")

    def _proves(self, page: Sequence[Row[T]]) -> bool:
        """Whether a page holds a row that was received, so that nothing slipped between.

        Rows that cannot be delivered are no proof, they may all look alike; unless there is none
        of the others to share.
        """
        if self._received is None:
            return bool(page)
        return any(
            hash(row.identity) in self._received
            for row in page
            if row.key is not None or self._shares_unkeyed
        )

    def _may_go_on(self, *, has_news: bool = False) -> bool:
        """Whether a page that brought nothing is worth another, or the order is not stable."""
        if has_news:
            self._pages_with_news += 1
            return True
        self._pages_in_vain += 1
        allowed = VAIN_PAGES_ALLOWED + VAIN_PAGES_ALLOWED_PER_NEWS * self._pages_with_news
        if self._pages_in_vain > allowed:
            self.unstable = True
        return not self.unstable or self._pages_in_vain <= VAIN_PAGES_ALLOWED

    def _go_back(self, asked: int) -> None:
        """Step back from a seam that does not hold; further with each time in a row."""
        step = max(min(asked, self.lengths.longest.get(asked, asked)) - 1, 1)
        self._back_step = self._back_step * 2 or step
        self.index = max(self.index - self._back_step, 1)

    def _new(self, page: Sequence[Row[T]]) -> list[T]:
        """Take in a page's rows; return what is new."""
        if self._received is None:
            fresh = page[self._overlap :] if self._last else page
            self._order.extend(hash(row.identity) for row in fresh)
        else:
            self._check_order(page)
            fresh = [row for row in page if hash(row.identity) not in self._received]
            self._received.update(hash(row.identity) for row in fresh)
        duplicates = self.duplicates
        new = []
        for _, key, item in fresh:
            if key is None:
                self.unkeyed += 1
                continue
            # A set of hashes is a third of a set of addresses. Among a million addresses two
            # share their 64 bits once in 37 million lists.
            key_hash = hash(key)
            if key_hash in self._keys:
                self.duplicates += 1
            else:
                self._keys.add(key_hash)
                new.append(item)
        self.delivered += len(new)
        if self._received is None and self.duplicates > duplicates:
            # The shared row was where it should be, maybe by chance.
            self._check_order(page)
        return new

    def _check_order(self, page: Sequence[Row[T]]) -> None:
        """Notice rows of the last page that come in another order."""
        places = {identity: place for place, identity in enumerate(self._last)}
        shared = [places[row.identity] for row in page if row.key and row.identity in places]
        if len(places) == len(self._last) and shared != sorted(shared):
            self.unstable = True

    def _notice_same(self, page: Sequence[Row[T]]) -> bool:
        """Return whether the page of another index came again; raise if that happens too often."""
        is_same = (
            not self._back_step
            and self.index != self._last_index
            and len(page) > self._overlap
            and [row.identity for row in page] == self._last
        )
        self._same_pages = self._same_pages + 1 if is_same else 0
        has_keys = any(row.key is not None for row in page)
        if self._same_pages >= (SAME_PAGES_ALLOWED if has_keys else ALIKE_PAGES_ALLOWED):
            raise FromIndexIgnored
        return is_same

    def _ends(self, asked: int, page: Sequence[Row[T]], *, has_news: bool, is_same: bool) -> bool:
        """Whether a page is the list's last one."""
        length = len(page)
        if length >= asked:
            return False
        if self._last and not has_news and not is_same:
            tail = [row.identity for row in page[-self._overlap :]]
            # A page that was gone back to, or is as long as any, may be cut just there.
            is_cut = length == self.lengths.longest[asked] or self._back_step
            if length <= (1 if self._back_step else self._overlap) or (
                tail == self._last[-self._overlap :] and not is_cut
            ):
                return True
        # If the list moved, rows that have left it since are among those received.
        if self.rows == self.expected and not self.moves:
            return True
        # A short page proves nothing while the count says that there are more rows.
        has_all = self.expected is None or self.rows >= self.expected
        return has_all and length < self.lengths.longest[asked]

    def _share(self, page: Sequence[Row[T]]) -> None:
        """Have the next page begin at the last row that proves a seam."""
        index = self.index
        place = next((at for at in range(len(page) - 1, 0, -1) if page[at].key is not None), None)
        self._overlap = 1 if place is None else len(page) - place
        self._shares_unkeyed = page[-self._overlap].key is None
        self.index += len(page) - self._overlap
        self._last = [row.identity for row in page]
        self._last_index = index
        self._back_step = 0
