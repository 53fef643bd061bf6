"""Reading a list page by page: plain values, and a list that moves between any two requests."""

from __future__ import annotations

import itertools
import math
import random
import typing as t
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_zoho_campaigns_recipients.reading import IndexIgnored, PageLengths, Reading, Row

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def row(name: object, *, key: str | None = "", identity: object = None) -> Row[object]:
    """Return a row that is delivered under its name; one that cannot be where `key` is None."""
    return Row(identity or name, str(name) if key == "" else key, name)


@dataclass
class Zoho:
    """A list, and what the server makes of requests for its pages."""

    rows: list[Row[t.Any]]
    cap: int | None = None
    """The server never gives more rows."""
    move: Callable[[Zoho], None] = lambda _: None
    """Called before each request is answered."""
    calls: list[tuple[int, int]] = field(default_factory=list)

    def page(self, index: int, asked: int) -> list[Row[t.Any]]:
        """Answer a request."""
        self.move(self)
        self.calls.append((index, asked))
        return self.rows[index - 1 : index - 1 + min(asked, self.cap or asked)]


@dataclass
class Moves:
    """Rows leave and come anywhere; nobody comes back, and who stays keeps the order."""

    random: random.Random
    leaving: int
    """At most so many before a request."""
    coming: int
    requests: int = 10**9
    """The list stands still after so many requests."""
    serial: Iterator[int] = field(default_factory=lambda: itertools.count(1_000_000))

    def __call__(self, zoho: Zoho) -> None:
        """Move the list."""
        if len(zoho.calls) >= self.requests:
            return
        for _ in range(self.random.randint(0, self.leaving)):
            if zoho.rows:
                del zoho.rows[self.random.randrange(len(zoho.rows))]
        for _ in range(self.random.randint(0, self.coming)):
            zoho.rows.insert(self.random.randint(0, len(zoho.rows)), row(next(self.serial)))


def read(
    zoho: Zoho,
    reading: Reading[t.Any],
    *,
    ahead: int = 1,
    chance: random.Random | None = None,
    most_calls: int = 5000,
) -> list[t.Any]:
    """Read a list as the tap does, with up to `ahead` pages fetched in any order."""
    pages: dict[int, tuple[int, list[Row[t.Any]]]] = {}
    items: list[t.Any] = []
    while not reading.done:
        wanted = reading.ahead(ahead)
        pages = {index: page for index, page in pages.items() if index in wanted}
        missing = [index for index in wanted if index not in pages]
        if chance:
            chance.shuffle(missing)
            missing = missing[: chance.randint(1, len(missing))] if missing else missing
        for index in missing:
            pages[index] = reading.lengths.asked, zoho.page(index, reading.lengths.asked)
            assert len(zoho.calls) <= most_calls, "a loop"
        if reading.index in pages:
            items += reading.feed(*pages.pop(reading.index))
    return items


def pages_needed(rows: int, page: int) -> int:
    """Requests that an unmoved list takes, each page after the first sharing a row."""
    return 1 if rows <= page else 1 + math.ceil((rows - page) / (page - 1))


# Lists that stand still


@settings(deadline=None)
@given(
    size=st.integers(0, 300),
    page=st.integers(2, 60),
    cap=st.none() | st.integers(2, 60),
    ahead=st.integers(1, 6),
    seed=st.integers(0, 9),
)
def test_still_list(size: int, page: int, cap: int | None, ahead: int, seed: int) -> None:
    """A list that stands still is read in order and whole, with one shared row a page.

    The report's count saves the request that would only show the end.
    """
    served = min(page, cap or page)
    zoho = Zoho([row(number) for number in range(size)], cap)
    reading: Reading[t.Any] = Reading(PageLengths(page, {page: served}), expected=size)

    items = read(zoho, reading, ahead=ahead, chance=random.Random(seed))

    assert items == list(range(size))
    assert (reading.rows, reading.moves, reading.unstable) == (size, 0, False)
    needed = pages_needed(size, served)
    ends_on_a_full_page = size >= served and (size - served) % (served - 1) == 0
    assert len(zoho.calls) == needed + (ends_on_a_full_page and served == page)


@settings(deadline=None)
@given(size=st.integers(0, 300), page=st.integers(2, 60), cap=st.none() | st.integers(2, 60))
def test_still_list_of_unknown_length(size: int, page: int, cap: int | None) -> None:
    """Without a count a list is read whole as well, whatever cap the server has."""
    zoho = Zoho([row(number) for number in range(size)], cap)

    assert read(zoho, Reading(PageLengths(page))) == list(range(size))
    assert len(zoho.calls) <= pages_needed(size, min(page, cap or page)) + 1


@settings(deadline=None)
@given(
    size=st.integers(0, 200),
    wrong=st.integers(0, 400),
    page=st.integers(2, 40),
    ahead=st.integers(1, 6),
    seed=st.integers(0, 9),
)
def test_wrong_count(size: int, wrong: int, page: int, ahead: int, seed: int) -> None:
    """A count that is wrong, in either direction, costs no row of a server that fills its pages."""
    zoho = Zoho([row(number) for number in range(size)])
    reading: Reading[t.Any] = Reading(PageLengths(page), expected=wrong)

    assert read(zoho, reading, ahead=ahead, chance=random.Random(seed)) == list(range(size))


def test_requests_of_a_still_list() -> None:
    """Each request after the first begins at the last row received, and asks for the same."""
    zoho = Zoho([row(number) for number in range(10)])
    read(zoho, Reading(PageLengths(4), expected=10))
    assert zoho.calls == [(1, 4), (4, 4), (7, 4), (10, 4)]

    zoho = Zoho([row(number) for number in range(9)])
    read(zoho, Reading(PageLengths(4), expected=9))
    assert zoho.calls == [(1, 4), (4, 4), (7, 4)]


def test_short_page_ends_after_a_longer_one() -> None:
    """A page shorter than another list's to the same range is the last, with no count to say so."""
    lengths = PageLengths(500)
    first = Zoho([row(number) for number in range(900)], cap=200)
    read(first, Reading(lengths))
    second = Zoho([row(number) for number in range(150)], cap=200)
    read(second, Reading(lengths))
    assert second.calls == [(1, 500)]

    third = Zoho([row(number) for number in range(200)], cap=200)
    assert len(read(third, Reading(lengths))) == 200
    assert third.calls == [(1, 500), (200, 500)]


def test_first_short_page_is_no_end() -> None:
    """A first page shorter than asked may be a cap: without a count it is not the end."""
    zoho = Zoho([row(number) for number in range(450)], cap=200)
    assert len(read(zoho, Reading(PageLengths(500)))) == 450
    assert zoho.calls == [(1, 500), (200, 500), (399, 500)]


def test_range_of_one() -> None:
    """A range of one row cannot share one: two are asked for."""
    zoho = Zoho([row(number) for number in range(5)])
    assert read(zoho, Reading(PageLengths(1))) == [0, 1, 2, 3, 4]
    assert {asked for _, asked in zoho.calls} == {2}


def test_halved_range() -> None:
    """A range that the server refuses is halved, down to two, and pages of either length fit."""
    lengths = PageLengths(40)
    reading: Reading[t.Any] = Reading(lengths, expected=100)
    zoho = Zoho([row(number) for number in range(100)])
    items = reading.feed(40, zoho.page(1, 40))
    assert lengths.halve(40)
    items += read(zoho, reading, ahead=3)
    assert items == list(range(100))
    assert {asked for _, asked in zoho.calls[1:]} == {20}

    assert [lengths.halve(lengths.asked) for _ in range(5)] == [True, True, True, False, False]
    assert lengths.asked == 2


def test_page_of_before_the_halving() -> None:
    """A page that was under way when the range was halved ends no list too early."""
    lengths = PageLengths(40)
    zoho = Zoho([row(number) for number in range(100)])
    reading: Reading[t.Any] = Reading(lengths, expected=100)
    items = reading.feed(40, zoho.page(1, 40))
    late = zoho.page(40, 40)
    lengths.halve(40)
    items += reading.feed(40, late)
    assert items + read(zoho, reading) == list(range(100))


# Rows that are odd


def test_repeated_address() -> None:
    """Where an address comes twice in a list the first row stands, and the others are counted."""
    rows = [row(number) for number in range(30)]
    rows.insert(20, row("twin", key="3"))
    reading: Reading[t.Any] = Reading(PageLengths(7), expected=31)

    assert read(Zoho(rows), reading) == list(range(30))
    assert (reading.duplicates, reading.rows) == (1, 31)


def test_rows_without_key() -> None:
    """A row that cannot be keyed is left out and counted once, wherever pages meet."""
    rows = [row(number, key=None if number % 3 else "") for number in range(50)]
    for page in range(2, 20):
        reading: Reading[t.Any] = Reading(PageLengths(page), expected=50)
        assert read(Zoho(list(rows)), reading) == list(range(0, 50, 3))
        assert (reading.unkeyed, reading.rows, reading.unstable) == (33, 50, False)


@pytest.mark.parametrize("page", [2, 3, 7, 60])
def test_rows_that_look_alike(page: int) -> None:
    """Rows that look all alike and cannot be keyed neither end a list nor start a loop."""
    rows = [row(number) for number in range(20)]
    rows[4:4] = rows[15:15] = [row("nobody", key=None)] * 12
    reading: Reading[t.Any] = Reading(PageLengths(page))
    assert read(Zoho(rows), reading) == list(range(20))
    assert (reading.unkeyed, reading.rows, reading.unstable) == (24, 44, False)


def test_rows_that_look_alike_prove_nothing() -> None:
    """Where a list moved, a row that cannot be told from others is no proof that none slipped."""
    alike = row("nobody", key=None)
    rows = [row(1), row(2), alike, row(4), row(5), alike, row(7), row(8), alike, row(10)]
    zoho = Zoho(rows)
    reading: Reading[t.Any] = Reading(PageLengths(4), expected=10)
    items = reading.feed(4, zoho.page(1, 4))
    del zoho.rows[:3]
    items += read(zoho, reading)
    assert items == [1, 2, 4, 5, 7, 8, 10]


def test_twin_proves_nothing() -> None:
    """Where a list moved, another row with a known address is no proof that none slipped."""
    rows = [row(number) for number in range(40)]
    rows.insert(30, row("twin", key="2"))
    zoho = Zoho(rows)
    reading: Reading[t.Any] = Reading(PageLengths(10))
    items = reading.feed(10, zoho.page(1, 10))
    items += reading.feed(10, zoho.page(10, 10))
    del zoho.rows[:10]
    items += read(zoho, reading)
    assert items == list(range(40))


# Lists that move


@settings(max_examples=400, deadline=None)
@given(
    seed=st.integers(0, 10**9),
    size=st.integers(0, 150),
    page=st.integers(2, 30),
    cap=st.none() | st.integers(2, 30),
    leaving=st.integers(0, 12),
    coming=st.integers(0, 4),
    ahead=st.integers(1, 8),
    counted=st.booleans(),
)
def test_moving_list(
    seed: int,
    size: int,
    page: int,
    cap: int | None,
    leaving: int,
    coming: int,
    ahead: int,
    counted: bool,  # noqa: FBT001 - drawn by name
) -> None:
    """Whatever leaves and comes between any two requests: who stays is delivered, nobody twice.

    The reading comes to an end, and all of it holds with pages fetched ahead in any order.
    """
    chance = random.Random(seed)
    zoho = Zoho([row(number) for number in range(size)], cap)
    # A list that for ever grows by more than a page at each request cannot be read by anybody.
    served = min(page, cap or page)
    zoho.move = Moves(chance, leaving, min(coming, (served - 1) // 2))
    # With a cap all pages are shorter than asked: a count from before the list moved may then
    # confirm an end where a full page ends by chance. The next run's report tells.
    expected = size if counted and served == page else None
    reading: Reading[t.Any] = Reading(PageLengths(page, {page: served}), expected)

    items = read(zoho, reading, ahead=ahead, chance=random.Random(seed))

    stayed = {each.item for each in zoho.rows if each.item < 1_000_000}
    assert stayed <= set(items)
    assert len(items) == len(set(items))
    assert not reading.unstable
    assert reading.duplicates == 0


def test_shrinking_list() -> None:
    """Where the seam does not hold, the reading goes back, further each time, to a known row."""
    zoho = Zoho([row(number) for number in range(60)])
    reading: Reading[t.Any] = Reading(PageLengths(10))
    items: list[t.Any] = []
    for index in (1, 10, 19):
        items += reading.feed(10, zoho.page(index, 10))
    del zoho.rows[:20]
    items += read(zoho, reading)

    assert zoho.calls[3:] == [(28, 10), (19, 10), (1, 10), (10, 10), (19, 10), (28, 10), (37, 10)]
    assert items == list(range(60))


def test_list_that_shrinks_to_nothing() -> None:
    """A list that all have left ends at row 1, not at the first empty page."""
    zoho = Zoho([row(number) for number in range(60)])
    reading: Reading[t.Any] = Reading(PageLengths(10))
    items = reading.feed(10, zoho.page(1, 10))
    zoho.rows.clear()
    items += read(zoho, reading)

    assert zoho.calls[1:] == [(10, 10), (1, 10)]
    assert items == list(range(10))
    assert reading.done


def test_list_that_grows_by_pages() -> None:
    """Newcomers in front of what was read, more than a page of them, make nobody come twice."""
    zoho = Zoho([row(number) for number in range(60)])
    reading: Reading[t.Any] = Reading(PageLengths(10), expected=60)
    items: list[t.Any] = []
    for index in (1, 10, 19):
        items += reading.feed(10, zoho.page(index, 10))
    zoho.rows[:0] = [row(number) for number in range(100, 125)]
    items += read(zoho, reading)

    assert [item for item in items if item < 100] == list(range(60))
    assert (reading.duplicates, reading.unstable) == (0, False)
    assert len(zoho.calls) <= 11


def test_count_of_a_list_that_moved() -> None:
    """Where the list moved, the report's count is no proof of its end: some left it since."""
    zoho = Zoho([row(number) for number in range(12)], cap=5)
    reading: Reading[t.Any] = Reading(PageLengths(10), expected=12)
    items = reading.feed(10, zoho.page(1, 10))
    zoho.rows[2:2] = [row(100), row(101), row(102)]
    items += reading.feed(10, zoho.page(5, 10))
    del zoho.rows[2:5]
    items += read(zoho, reading)
    assert {*range(12)} <= set(items)


@settings(max_examples=50, deadline=None)
@given(size=st.integers(90, 200), page=st.integers(40, 60), seed=st.integers(0, 99))
def test_order_that_does_not_stay(size: int, page: int, seed: int) -> None:
    """A server that sorts anew at every request is noticed, and ends in no loop."""
    chance = random.Random(seed)
    zoho = Zoho([row(number) for number in range(size)])
    zoho.move = lambda zoho: chance.shuffle(zoho.rows)
    reading: Reading[t.Any] = Reading(PageLengths(page))

    items = read(zoho, reading, most_calls=20 + 12 * size)

    assert reading.done
    assert reading.unstable or len(items) == size
    assert len(items) == len(set(items))


@pytest.mark.parametrize("ahead", [1, 4])
def test_index_ignored(ahead: int) -> None:
    """A server that answers every index with the same page is an error, after a few requests."""
    first = [row(number) for number in range(20)]
    zoho = Zoho(first)
    zoho.page = lambda index, asked: (zoho.calls.append((index, asked)), first)[1]  # type: ignore[method-assign, func-returns-value]

    with pytest.raises(IndexIgnored):
        read(zoho, Reading(PageLengths(20), expected=100), ahead=ahead)
    assert len(zoho.calls) <= 4 + ahead


def test_index_ignored_on_a_single_page() -> None:
    """A list that one page holds is read from such a server all the same, if the count says so."""
    zoho = Zoho([row(number) for number in range(20)])
    assert read(zoho, Reading(PageLengths(50), expected=20)) == list(range(20))
    assert zoho.calls == [(1, 50)]


@pytest.mark.parametrize("expected", [None, 0, 5])
def test_empty_list(expected: int | None) -> None:
    """A first page without rows is the end of an empty list."""
    zoho = Zoho([])
    assert read(zoho, Reading(PageLengths(50), expected)) == []
    assert zoho.calls == [(1, 50)]


def test_list_of_one() -> None:
    """A single row ends its list where the count confirms it, or when it comes alone once more."""
    zoho = Zoho([row(1)])
    assert read(zoho, Reading(PageLengths(50), expected=1)) == [1]
    assert read(zoho, Reading(PageLengths(50))) == [1]
    assert zoho.calls == [(1, 50), (1, 50), (1, 50)]
