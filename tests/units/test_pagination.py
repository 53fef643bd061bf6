"""Reading a list page by page: plain values, and a list that moves between any two requests."""

from __future__ import annotations

import itertools
import math
import random
import typing as t
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tap_zoho_campaigns_recipients.zoho.pagination import (
    FromIndexIgnored,
    FromIndexPaginator,
    PageLengths,
    Row,
)

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
    reading: FromIndexPaginator[t.Any],
    *,
    ahead: int = 1,
    chance: random.Random | None = None,
    most_calls: int = 5000,
) -> list[t.Any]:
    """Read a list as the tap does, with up to `ahead` pages fetched in any order."""
    pages: dict[int, tuple[int, list[Row[t.Any]]]] = {}
    items: list[t.Any] = []
    while not reading.done:
        wanted = reading.look_ahead(ahead)
        pages = {index: page for index, page in pages.items() if index in wanted}
        missing = [index for index in wanted if index not in pages]
        if chance:
            chance.shuffle(missing)
            missing = missing[: chance.randint(1, len(missing))] if missing else missing
        for index in missing:
            pages[index] = reading.lengths.asked, zoho.page(index, reading.lengths.asked)
            assert len(zoho.calls) <= most_calls, "a loop"
        if reading.index in pages:
            items += reading.advance(*pages.pop(reading.index))
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
    reading: FromIndexPaginator[t.Any] = FromIndexPaginator(
        PageLengths(page, {page: served}), expected=size
    )

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

    assert read(zoho, FromIndexPaginator(PageLengths(page))) == list(range(size))
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
    reading: FromIndexPaginator[t.Any] = FromIndexPaginator(PageLengths(page), expected=wrong)

    assert read(zoho, reading, ahead=ahead, chance=random.Random(seed)) == list(range(size))


def test_requests_of_a_still_list() -> None:
    """Each request after the first begins at the last row received, and asks for the same."""
    zoho = Zoho([row(number) for number in range(10)])
    read(zoho, FromIndexPaginator(PageLengths(4), expected=10))
    assert zoho.calls == [(1, 4), (4, 4), (7, 4), (10, 4)]

    zoho = Zoho([row(number) for number in range(9)])
    read(zoho, FromIndexPaginator(PageLengths(4), expected=9))
    assert zoho.calls == [(1, 4), (4, 4), (7, 4)]


def test_short_page_ends_after_a_longer_one() -> None:
    """A page shorter than another list's to the same range is the last, with no count to say so."""
    lengths = PageLengths(500)
    first = Zoho([row(number) for number in range(900)], cap=200)
    read(first, FromIndexPaginator(lengths))
    second = Zoho([row(number) for number in range(150)], cap=200)
    read(second, FromIndexPaginator(lengths))
    assert second.calls == [(1, 500)]

    third = Zoho([row(number) for number in range(200)], cap=200)
    assert len(read(third, FromIndexPaginator(lengths))) == 200
    assert third.calls == [(1, 500), (200, 500)]


def test_first_short_page_is_no_end() -> None:
    """A first page shorter than asked may be a cap: without a count it is not the end."""
    zoho = Zoho([row(number) for number in range(450)], cap=200)
    assert len(read(zoho, FromIndexPaginator(PageLengths(500)))) == 450
    assert zoho.calls == [(1, 500), (200, 500), (399, 500)]


def test_range_of_one() -> None:
    """A range of one row cannot share one: two are asked for."""
    zoho = Zoho([row(number) for number in range(5)])
    assert read(zoho, FromIndexPaginator(PageLengths(1))) == [0, 1, 2, 3, 4]
    assert {asked for _, asked in zoho.calls} == {2}


def test_halved_range() -> None:
    """A range that the server refuses is halved, down to two, and pages of either length fit."""
    lengths = PageLengths(40)
    reading: FromIndexPaginator[t.Any] = FromIndexPaginator(lengths, expected=100)
    zoho = Zoho([row(number) for number in range(100)])
    items = reading.advance(40, zoho.page(1, 40))
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
    reading: FromIndexPaginator[t.Any] = FromIndexPaginator(lengths, expected=100)
    items = reading.advance(40, zoho.page(1, 40))
    late = zoho.page(40, 40)
    lengths.halve(40)
    items += reading.advance(40, late)
    assert items + read(zoho, reading) == list(range(100))


# Rows that are odd


def test_repeated_address() -> None:
    """Where an address comes twice in a list the first row stands, and the others are counted."""
    rows = [row(number) for number in range(30)]
    rows.insert(20, row("twin", key="3"))
    reading: FromIndexPaginator[t.Any] = FromIndexPaginator(PageLengths(7), expected=31)

    assert read(Zoho(rows), reading) == list(range(30))
    assert (reading.duplicates, reading.rows) == (1, 31)


def test_rows_without_key() -> None:
    """A row that cannot be keyed is left out and counted once, wherever pages meet."""
    rows = [row(number, key=None if number % 3 else "") for number in range(50)]
    for page in range(2, 20):
        reading: FromIndexPaginator[t.Any] = FromIndexPaginator(PageLengths(page), expected=50)
        assert read(Zoho(list(rows)), reading) == list(range(0, 50, 3))
        assert (reading.unkeyed, reading.rows, reading.unstable) == (33, 50, False)


@pytest.mark.parametrize("page", [2, 3, 7, 60])
def test_rows_that_look_alike(page: int) -> None:
    """Rows that look all alike and cannot be keyed neither end a list nor start a loop."""
    rows = [row(number) for number in range(20)]
    rows[4:4] = rows[15:15] = [row("nobody", key=None)] * 12
    reading: FromIndexPaginator[t.Any] = FromIndexPaginator(PageLengths(page))
    assert read(Zoho(rows), reading) == list(range(20))
    assert (reading.unkeyed, reading.rows, reading.unstable) == (24, 44, False)


def test_rows_that_look_alike_prove_nothing() -> None:
    """Where a list moved, a row that cannot be told from others is no proof that none slipped."""
    alike = row("nobody", key=None)
    rows = [row(1), row(2), alike, row(4), row(5), alike, row(7), row(8), alike, row(10)]
    zoho = Zoho(rows)
    reading: FromIndexPaginator[t.Any] = FromIndexPaginator(PageLengths(4), expected=10)
    items = reading.advance(4, zoho.page(1, 4))
    del zoho.rows[:3]
    items += read(zoho, reading)
    assert items == [1, 2, 4, 5, 7, 8, 10]


def test_twin_proves_nothing() -> None:
    """Where a list moved, another row with a known address is no proof that none slipped."""
    rows = [row(number) for number in range(40)]
    rows.insert(30, row("twin", key="2"))
    zoho = Zoho(rows)
    reading: FromIndexPaginator[t.Any] = FromIndexPaginator(PageLengths(10))
    items = reading.advance(10, zoho.page(1, 10))
    items += reading.advance(10, zoho.page(10, 10))
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
    reading: FromIndexPaginator[t.Any] = FromIndexPaginator(
        PageLengths(page, {page: served}), expected
    )

    items = read(zoho, reading, ahead=ahead, chance=random.Random(seed))

    stayed = {each.item for each in zoho.rows if each.item < 1_000_000}
    assert stayed <= set(items)
    assert len(items) == len(set(items))
    assert not reading.unstable
    assert reading.duplicates == 0


def test_shrinking_list() -> None:
    """Where the seam does not hold, the reading goes back, further each time, to a known row."""
    zoho = Zoho([row(number) for number in range(60)])
    reading: FromIndexPaginator[t.Any] = FromIndexPaginator(PageLengths(10))
    items: list[t.Any] = []
    for index in (1, 10, 19):
        items += reading.advance(10, zoho.page(index, 10))
    del zoho.rows[:20]
    items += read(zoho, reading)

    assert zoho.calls[3:] == [(28, 10), (19, 10), (1, 10), (10, 10), (19, 10), (28, 10), (37, 10)]
    assert items == list(range(60))


def test_list_that_shrinks_to_nothing() -> None:
    """A list that all have left ends at row 1, not at the first empty page."""
    zoho = Zoho([row(number) for number in range(60)])
    reading: FromIndexPaginator[t.Any] = FromIndexPaginator(PageLengths(10))
    items = reading.advance(10, zoho.page(1, 10))
    zoho.rows.clear()
    items += read(zoho, reading)

    assert zoho.calls[1:] == [(10, 10), (1, 10)]
    assert items == list(range(10))
    assert reading.done


def test_list_that_grows_by_pages() -> None:
    """Newcomers in front of what was read, more than a page of them, make nobody come twice."""
    zoho = Zoho([row(number) for number in range(60)])
    reading: FromIndexPaginator[t.Any] = FromIndexPaginator(PageLengths(10), expected=60)
    items: list[t.Any] = []
    for index in (1, 10, 19):
        items += reading.advance(10, zoho.page(index, 10))
    zoho.rows[:0] = [row(number) for number in range(100, 125)]
    items += read(zoho, reading)

    assert [item for item in items if item < 100] == list(range(60))
    assert (reading.duplicates, reading.unstable) == (0, False)
    assert len(zoho.calls) <= 11


def test_count_of_a_list_that_moved() -> None:
    """Where the list moved, the report's count is no proof of its end: some left it since."""
    zoho = Zoho([row(number) for number in range(12)], cap=5)
    reading: FromIndexPaginator[t.Any] = FromIndexPaginator(PageLengths(10), expected=12)
    items = reading.advance(10, zoho.page(1, 10))
    zoho.rows[2:2] = [row(100), row(101), row(102)]
    items += reading.advance(10, zoho.page(5, 10))
    del zoho.rows[2:5]
    items += read(zoho, reading)
    assert {*range(12)} <= set(items)


@settings(max_examples=50, deadline=None)
@given(size=st.integers(90, 200), page=st.integers(40, 60), seed=st.integers(0, 99))
@example(size=104, page=56, seed=55)  # the shared row is where it should be, by chance
def test_order_that_does_not_stay(size: int, page: int, seed: int) -> None:
    """A server that sorts anew at every request is noticed, and ends in no loop."""
    chance = random.Random(seed)
    zoho = Zoho([row(number) for number in range(size)])
    zoho.move = lambda zoho: chance.shuffle(zoho.rows)
    reading: FromIndexPaginator[t.Any] = FromIndexPaginator(PageLengths(page))

    items = read(zoho, reading, most_calls=20 + 12 * size)

    assert reading.done
    assert reading.unstable or len(items) == size
    assert len(items) == len(set(items))


def test_shared_row_by_chance() -> None:
    """A page that begins as it should, and then repeats rows of the one before, is noticed."""
    reading: FromIndexPaginator[t.Any] = FromIndexPaginator(PageLengths(4))
    items = reading.advance(4, [row(0), row(1), row(2), row(3)])
    items += reading.advance(4, [row(3), row(1), row(4), row(0)])
    assert items == [0, 1, 2, 3, 4]
    assert (reading.duplicates, reading.moves, reading.unstable) == (2, 0, True)


@pytest.mark.parametrize("ahead", [1, 4])
def test_index_ignored(ahead: int) -> None:
    """A server that answers every index with the same page is an error, after a few requests."""
    first = [row(number) for number in range(20)]
    zoho = Zoho(first)
    zoho.page = lambda index, asked: (zoho.calls.append((index, asked)), first)[1]  # type: ignore[method-assign, func-returns-value]

    with pytest.raises(FromIndexIgnored):
        read(zoho, FromIndexPaginator(PageLengths(20), expected=100), ahead=ahead)
    assert len(zoho.calls) <= 4 + ahead


def test_index_ignored_on_a_single_page() -> None:
    """A list that one page holds is read from such a server all the same, if the count says so."""
    zoho = Zoho([row(number) for number in range(20)])
    assert read(zoho, FromIndexPaginator(PageLengths(50), expected=20)) == list(range(20))
    assert zoho.calls == [(1, 50)]


@pytest.mark.parametrize("expected", [None, 0, 5])
def test_empty_list(expected: int | None) -> None:
    """A first page without rows is the end, after a second try if the report counts rows."""
    zoho = Zoho([])
    paginator = FromIndexPaginator[int](PageLengths(50), expected)
    assert read(zoho, paginator) == []
    assert zoho.calls == [(1, 50)] * (2 if expected else 1)
    assert paginator.broken_off is bool(expected)


def test_list_of_one() -> None:
    """A single row ends its list where the count confirms it, or when it comes alone once more."""
    zoho = Zoho([row(1)])
    assert read(zoho, FromIndexPaginator(PageLengths(50), expected=1)) == [1]
    assert read(zoho, FromIndexPaginator(PageLengths(50))) == [1]
    assert zoho.calls == [(1, 50), (1, 50), (1, 50)]


# Requests ahead


def first_page(asked: int = 10, **how: t.Any) -> tuple[FromIndexPaginator[t.Any], Zoho]:
    """Return a reading that has taken the first page of a list of 100."""
    zoho = Zoho([row(number) for number in range(100)])
    reading: FromIndexPaginator[t.Any] = FromIndexPaginator(PageLengths(asked), **how)
    reading.advance(asked, zoho.page(1, asked))
    return reading, zoho


def test_requests_ahead() -> None:
    """Where the count tells how long a list is, its next pages are asked for ahead, no more."""
    assert FromIndexPaginator[t.Any](PageLengths(10), expected=100).look_ahead(4) == [1]

    reading, _ = first_page(expected=40)
    assert reading.look_ahead(1) == [10]
    assert reading.look_ahead(3) == [10, 19, 28]
    assert reading.look_ahead(9) == [10, 19, 28, 37]

    reading, _ = first_page(expected=37)
    assert reading.look_ahead(9) == [10, 19, 28]


def test_requests_ahead_before_the_first_page_is_taken() -> None:
    """The first page tells the next ones when it has come, be it taken or not; a short one none."""
    lengths = PageLengths(10)
    reading: FromIndexPaginator[t.Any] = FromIndexPaginator(lengths, expected=40)
    assert reading.look_ahead(4) == [1]
    assert reading.look_ahead(4, 10) == [1, 10, 19, 28]
    lengths.observe(10, 10)
    assert reading.look_ahead(4, 10) == [1, 10, 19, 28]
    assert reading.look_ahead(4, 9) == [1]


def test_requests_ahead_of_short_pages() -> None:
    """Behind a short page one more is asked for, until a list went on behind such a page."""
    zoho = Zoho([row(number) for number in range(20)], 6)
    lengths = PageLengths(10)
    reading: FromIndexPaginator[t.Any] = FromIndexPaginator(lengths, expected=30)
    assert reading.look_ahead(4, 6) == [1, 6]
    reading.advance(10, zoho.page(1, 10))
    assert reading.look_ahead(4) == [6]
    reading.advance(10, zoho.page(6, 10))
    assert reading.look_ahead(4) == [11, 16, 21, 26]
    assert FromIndexPaginator[t.Any](lengths, expected=30).look_ahead(4, 6) == [1, 6, 11, 16]


def test_no_requests_ahead_without_a_count() -> None:
    """Without a count only the next page is asked for, and none once a list has ended."""
    reading, zoho = first_page()
    assert reading.look_ahead(4) == [10]
    read(zoho, reading)
    assert reading.look_ahead(4) == []

    reading, zoho = first_page(expected=100)
    read(zoho, reading, ahead=3)
    assert reading.look_ahead(4) == []


def test_requests_ahead_with_small_pages() -> None:
    """With a range of two each page brings one row; a server that gives but one ends no loop."""
    reading, _ = first_page(asked=2, expected=5)
    assert reading.look_ahead(9) == [2, 3, 4]

    lone: FromIndexPaginator[t.Any] = FromIndexPaginator(PageLengths(2, {2: 1}), expected=5)
    lone.advance(2, [row(0)])
    assert lone.look_ahead(9) == [1]


def test_no_requests_ahead_while_going_back() -> None:
    """While a reading goes back nothing is asked for ahead; afterwards it is again."""
    reading, zoho = first_page(expected=100)
    del zoho.rows[:10]
    assert reading.advance(10, zoho.page(10, 10)) == []
    assert reading.look_ahead(4) == [1]
    reading.advance(10, zoho.page(1, 10))
    assert reading.look_ahead(4) == [10, 19, 28, 37]


def test_empty_list_tells_no_cap() -> None:
    """An empty list says nothing about how long the server's pages are."""
    lengths = PageLengths(10)
    assert read(Zoho([]), FromIndexPaginator(lengths)) == []
    assert lengths.likely == 10
    reading: FromIndexPaginator[t.Any] = FromIndexPaginator(lengths, expected=30)
    reading.advance(10, [row(number) for number in range(10)])
    assert reading.look_ahead(9) == [10, 19, 28]


# Where pages meet


def test_page_that_ends_in_rows_without_key() -> None:
    """The next page begins at the last row with a key, a row that can be told from others."""
    nobody = row("nobody", key=None)
    rows = [*map(row, range(3)), nobody, *map(row, range(4, 6)), nobody, nobody, row(8), nobody]
    zoho = Zoho(rows)
    reading: FromIndexPaginator[t.Any] = FromIndexPaginator(PageLengths(4))
    assert read(zoho, reading) == [0, 1, 2, 4, 5, 8]
    assert zoho.calls == [(1, 4), (3, 4), (6, 4), (9, 4)]
    assert (reading.unkeyed, reading.moves) == (4, 0)


def test_row_without_key_that_leaves_where_pages_meet() -> None:
    """A row that left from between the shared one and the new ones takes none of these along."""
    nobody = row("nobody", key=None)
    zoho = Zoho([row(0), row(1), row(2), nobody, row(4)])
    reading: FromIndexPaginator[t.Any] = FromIndexPaginator(PageLengths(4), expected=5)
    items = reading.advance(4, zoho.page(1, 4))
    zoho.rows.remove(nobody)
    items += read(zoho, reading)
    assert items == [0, 1, 2, 4]
    assert reading.moves > 0


def test_halved_range_where_pages_share_many_rows() -> None:
    """A range that was halved to no more than the shared rows ends no list."""
    nobody = row("nobody", key=None)
    zoho = Zoho([*map(row, range(3)), *[nobody] * 5, *map(row, range(8, 20))])
    lengths = PageLengths(8)
    reading: FromIndexPaginator[t.Any] = FromIndexPaginator(lengths)
    items = reading.advance(8, zoho.page(1, 8))
    lengths.halve(8)
    items += read(zoho, reading)
    assert items == [0, 1, 2, *range(8, 20)]
    assert reading.unkeyed == 5


def test_halved_range_behind_the_last_page() -> None:
    """A page that holds nothing but the rows it was to share is the last, whatever was asked."""
    nobody = row("nobody", key=None)
    zoho = Zoho([row(0), row(1), row(2), nobody, nobody])
    lengths = PageLengths(40)
    reading: FromIndexPaginator[t.Any] = FromIndexPaginator(lengths)
    items = reading.advance(40, zoho.page(1, 40))
    lengths.halve(40)
    items += read(zoho, reading)
    assert items == [0, 1, 2]
    assert zoho.calls == [(1, 40), (3, 20)]


def test_page_with_a_key_in_its_second_row() -> None:
    """That row may be the second one of a page, and is not the first: so each page goes on."""
    nobody = row("nobody", key=None)
    zoho = Zoho([row(0), row(1), nobody, nobody, nobody, nobody, row(6), row(7)])
    assert read(zoho, FromIndexPaginator(PageLengths(4))) == [0, 1, 6, 7]
    assert zoho.calls == [(1, 4), (2, 4), (5, 4), (8, 4)]


def test_pages_of_rows_without_key_in_a_list_that_moved() -> None:
    """Where a page has no other row to share, one without a key proves the seam."""
    strangers = [row(f"stranger {number}", key=None) for number in range(12)]
    zoho = Zoho([*map(row, range(6)), *strangers, *map(row, range(20, 26))])
    reading: FromIndexPaginator[t.Any] = FromIndexPaginator(PageLengths(4))
    items = reading.advance(4, zoho.page(1, 4))
    del zoho.rows[1]
    items += read(zoho, reading)

    assert items == [0, 1, 2, 3, 4, 5, *range(20, 26)]
    assert (reading.unkeyed, reading.moves) == (12, 2)
    assert [index for index, _ in zoho.calls] == [1, 4, 1, 4, 5, 8, 11, 14, 17, 20, 23]


def test_order_of_rows_that_look_alike() -> None:
    """Rows of which a page has several say nothing about the order that a server keeps."""
    twin, nobody = row("twin", key="0"), row("nobody", key=None)
    for alike in (twin, nobody):
        reading: FromIndexPaginator[t.Any] = FromIndexPaginator(PageLengths(8))
        reading.advance(8, [row(0), row(1), alike, row(2), row(3), alike, row(4), row(5)])
        reading.advance(8, [row(3), alike, row(4), alike, row(5), row(6), row(7), row(8)])
        assert (reading.moves, reading.unstable) == (1, False)

    one: FromIndexPaginator[t.Any] = FromIndexPaginator(PageLengths(4))
    one.advance(4, [row(0), row(1), nobody, row(3)])
    one.advance(4, [row(1), nobody, row(3), nobody])
    assert (one.moves, one.unstable) == (1, False)


# What going back costs, and when it ends


def test_going_back_in_long_strides() -> None:
    """Each step back in a row is twice as long as the one before."""
    zoho = Zoho([row(number) for number in range(400)])
    reading: FromIndexPaginator[t.Any] = FromIndexPaginator(PageLengths(10))
    items: list[t.Any] = []
    while len(items) < 300:
        items += reading.advance(10, zoho.page(reading.index, 10))
    zoho.calls.clear()
    del zoho.rows[:250]
    items += reading.advance(10, zoho.page(reading.index, 10))
    for _ in range(4):
        items += reading.advance(10, zoho.page(reading.index, 10))
    assert [index for index, _ in zoho.calls] == [307, 298, 280, 244, 172]
    assert items + read(zoho, reading) == list(range(400))


def test_going_back_from_a_cap() -> None:
    """A step back is as long as the pages that the server gives, not as those asked for."""
    zoho = Zoho([row(number) for number in range(60)], cap=10)
    reading: FromIndexPaginator[t.Any] = FromIndexPaginator(PageLengths(500))
    items: list[t.Any] = []
    for index in (1, 10, 19):
        items += reading.advance(500, zoho.page(index, 500))
    del zoho.rows[:8]
    items += read(zoho, reading)
    assert [index for index, _ in zoho.calls[3:6]] == [28, 19, 28]
    assert items == list(range(60))


def test_going_back_right_after_a_halving() -> None:
    """Of a range that no page has come of yet, a step back is as long as what is asked for."""
    zoho = Zoho([row(number) for number in range(100)])
    lengths = PageLengths(40)
    reading: FromIndexPaginator[t.Any] = FromIndexPaginator(lengths)
    items = reading.advance(40, zoho.page(1, 40))
    assert lengths.halve(40)
    zoho.rows.clear()
    items += read(zoho, reading)
    assert zoho.calls[1:] == [(40, 20), (21, 20), (1, 20)]
    assert items == list(range(40))


def test_going_back_with_the_smallest_range() -> None:
    """With a range of two the first step back is one row."""
    zoho = Zoho([row(number) for number in range(9)])
    reading: FromIndexPaginator[t.Any] = FromIndexPaginator(PageLengths(2))
    items: list[t.Any] = []
    for index in (1, 2, 3, 4):
        items += reading.advance(2, zoho.page(index, 2))
    del zoho.rows[:2]
    items += read(zoho, reading)
    assert [index for index, _ in zoho.calls[4:]] == [5, 4, 2, 3, 4, 5, 6, 7]
    assert items == list(range(9))


def test_count_met_by_chance() -> None:
    """Where newcomers made up the count it ends nothing: rows of before are still to come."""
    zoho = Zoho([row(number) for number in range(10)], cap=4)
    reading: FromIndexPaginator[t.Any] = FromIndexPaginator(PageLengths(10), expected=10)
    items = reading.advance(10, zoho.page(1, 10))
    zoho.rows[3:3] = [row(100), row(101)]
    items += reading.advance(10, zoho.page(4, 10))
    items += reading.advance(10, zoho.page(7, 10))
    assert (reading.rows, reading.moves, reading.done) == (10, 1, False)
    items += read(zoho, reading)
    assert sorted(items) == [*range(10), 100, 101]


def answering(pages: Iterator[list[Row[t.Any]]]) -> Zoho:
    """Return a server that answers with these pages in turn, whatever it is asked for."""
    zoho = Zoho([])
    zoho.page = lambda index, asked: (zoho.calls.append((index, asked)), next(pages))[1]  # type: ignore[method-assign, func-returns-value]
    return zoho


def test_pages_in_turn() -> None:
    """Two lists that come in turn are read for thirty requests in vain, and then no more.

    Twenty are always allowed, and ten more for each page that brought something.
    """
    first, second = [*map(row, range(20))], [*map(row, range(50, 70))]
    zoho = answering(itertools.cycle([first, second]))
    reading: FromIndexPaginator[t.Any] = FromIndexPaginator(PageLengths(20))
    assert sorted(read(zoho, reading)) == [*range(20), *range(50, 70)]
    assert reading.unstable
    assert len(zoho.calls) == 33
    assert reading.moves == 32


def test_known_rows_in_another_order() -> None:
    """Where rows come in another order, twenty pages may bring nothing, and no more."""
    rows = [row(number) for number in range(17)]
    orders = (
        rows[turn:] + rows[:turn] for turn in itertools.chain([0], range(1, 17), range(9, 17))
    )
    zoho = answering(orders)
    reading: FromIndexPaginator[t.Any] = FromIndexPaginator(PageLengths(17))
    assert read(zoho, reading) == list(range(17))
    assert reading.unstable
    assert len(zoho.calls) == 22


def test_tail_that_is_always_another() -> None:
    """A list that is replaced behind its first page at every request is no ignored index."""
    first = [row(number) for number in range(10)]
    others = ([row(100 * page + number) for number in range(10)] for page in range(1, 6))
    tail = [row(number) for number in range(9, 15)]
    pages = itertools.chain(*zip(itertools.repeat(first), others, strict=False), [first, tail])
    reading: FromIndexPaginator[t.Any] = FromIndexPaginator(PageLengths(10))
    assert read(answering(pages), reading) == list(range(15))


@pytest.mark.parametrize(
    ("page", "calls"),
    [
        ([*map(row, range(20))], 4),
        ([*map(row, range(19)), row("nobody", key=None)], 4),
        ([row("nobody", key=None)] * 20, 101),
    ],
    ids=["keys", "one without", "all alike"],
)
def test_requests_until_an_index_is_ignored(page: list[Row[t.Any]], calls: int) -> None:
    """Four equal pages are enough to tell; of rows that all look alike it takes a hundred more."""
    zoho = answering(itertools.repeat(page))
    with pytest.raises(FromIndexIgnored):
        read(zoho, FromIndexPaginator(PageLengths(20)))
    assert len(zoho.calls) == calls
