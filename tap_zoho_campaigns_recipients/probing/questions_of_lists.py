"""Questions about pages of recipients: their size, their order, their end."""

from __future__ import annotations

import typing as t

from tap_zoho_campaigns_recipients.probing.survey import ENOUGH_ROWS, List

if t.TYPE_CHECKING:
    from tap_zoho_campaigns_recipients.probing.asking import Answered
    from tap_zoho_campaigns_recipients.probing.survey import Survey

RANGES = (20, 200, 500, ENOUGH_ROWS)
ENOUGH_FOR_ORDER = 20
ENOUGH_FOR_DUPLICATES = 100
DEFAULT_ECHO = (20, 1)
RANGE_CODES = ("6502", "1001", "1005")
HTTP_BAD_REQUEST = 400
REPEATED_ROWS = 50
FAR_BEHIND = 1_000_001
"""An index past the end of any list, where no report tells of a shorter one."""
SMALLEST_CAP = 10
"""Of fewer rows, lists of different widths may have the same number in so many bytes."""
BEHIND_INDEX = 11
"""Far enough from the first row that no contact moves there between two requests."""


def ask_pages(survey: Survey) -> None:
    """Ask for pages of the longest list, and past its end."""
    lists = survey.lists()
    longest = lists[0] if lists and lists[0].count else _unknown_list(survey)
    served: dict[int, Answered] = {}
    for rows in RANGES:
        served[rows] = survey.ask_list(longest, fromindex=1, range=rows)
        if rows >= len(served[rows].rows) + ENOUGH_ROWS:
            break
    good = {rows: each for rows, each in served.items() if not each.is_error}
    refused = {rows: each for rows, each in served.items() if each.is_error}
    if not good:
        return
    survey.served = {rows: len(each.rows) for rows, each in good.items()}
    widest = good[max(good)]
    _answer_order(survey, longest, widest)
    cap = _answer_end(survey, longest, good, is_refused=bool(refused))
    _answer_echo(survey, good, cap)
    if refused:
        _answer_refusal(survey, refused[min(refused)], longest, max(good), min(refused))
    elif max(good) >= ENOUGH_ROWS:
        survey.answers.seen("range_error_above", None, f"range {max(good)} was served")


def _unknown_list(survey: Survey) -> List:
    """Return a list of the newest campaign, of which no report tells the number of rows."""
    return List(str(survey.sent[0].get("campaign_key")), "sentcontacts", 0)


def _identity(row: dict[str, t.Any]) -> str:
    return str(row.get("contactemailaddress") or row.get("contactid"))


def _answer_echo(survey: Survey, good: dict[int, Answered], cap: int | None) -> None:
    """Answer what is shown of `range`; asked for and served differ only where pages are cut."""
    answers = survey.answers
    possible = {"asked", "served", "default"}
    for asked, answered in good.items():
        details = answered.document.get("requestdetails")
        if details is None:
            answers.seen("echo", "none", "no requestdetails in a page")
            return
        if not isinstance(details, dict):
            answers.unknown("echo", "requestdetails is not an object")
            return
        shown = (str(details.get("range")), str(details.get("fromindex")))
        fitting = {
            "asked": (str(asked), "1"),
            "served": (str(asked if cap is None else min(asked, cap)), "1"),
            "default": tuple(map(str, DEFAULT_ECHO)),
        }
        possible &= {name for name, expected in fitting.items() if expected == shown}
    if len(possible) == 1:
        answers.seen("echo", possible.pop(), f"in pages of {', '.join(map(str, good))} rows")
    else:
        answers.unknown("echo", "no page was cut")


def _answer_order(survey: Survey, longest: List, widest: Answered) -> None:
    """Ask for the beginning of a list once more, and for a row behind it."""
    answers = survey.answers
    rows = [_identity(row) for row in widest.rows]
    if len(rows) < 2:  # noqa: PLR2004 - there is no order of one
        for name in ("order", "ignores_fromindex", "duplicates_every"):
            answers.unknown(name, "no list of two rows was found")
        return
    again = survey.ask_list(longest, fromindex=1, range=REPEATED_ROWS)
    # Contacts may enter and leave the list meanwhile: only those that stayed have an order.
    stayed = [each for each in map(_identity, again.rows) if each in rows]
    places = [rows.index(each) for each in dict.fromkeys(stayed)]
    addresses = [str(row.get("contactemailaddress")).lower() for row in widest.rows]
    if places != sorted(places):
        answers.seen("order", "random", f"{len(places)} rows came in another order")
        answers.unknown("ignores_fromindex", "rows come in another order each time")
        return
    if len(set(addresses)) >= ENOUGH_FOR_ORDER and addresses == sorted(addresses):
        answers.inferred("order", "email", f"{len(addresses)} rows came by address")
    else:
        answers.unknown("order", f"{len(places)} rows came in the same order twice")
    index = min(BEHIND_INDEX, len(rows))
    behind = survey.ask_list(longest, fromindex=index, range=1)
    found = _identity(behind.rows[0]) if behind.rows else ""
    if found in rows and rows.index(found) in {0, index - 2, index - 1, index}:
        ignores = found == rows[0]
        answers.seen("ignores_fromindex", ignores, f"one row was asked for from index {index}")
    else:
        answers.unknown("ignores_fromindex", f"the row at index {index} was another one")
    _answer_duplicates(survey, addresses)


def _answer_duplicates(survey: Survey, addresses: list[str]) -> None:
    """Answer whether a contact comes twice; how often cannot be told from a few that do."""
    # A forgotten contact has no address.
    known = [address for address in addresses if "@" in address]
    twice = len(known) - len(set(known))
    if not twice and len(known) >= ENOUGH_FOR_DUPLICATES:
        survey.answers.inferred("duplicates_every", 0, f"no contact of {len(known)} came twice")
    else:
        survey.answers.unknown("duplicates_every", f"{twice} of {len(known)} came twice")


def _answer_end(
    survey: Survey, longest: List, good: dict[int, Answered], *, is_refused: bool
) -> int | None:
    """Ask for the next page: the list is at its end, or its pages are cut.

    Returns:
        The number of rows at which pages are cut, if they are.
    """
    answers, asked = survey.answers, max(good)
    count = len(good[asked].rows)
    behind = survey.ask_list(longest, fromindex=count + 1, range=asked)
    if not behind.rows:
        if not is_refused:
            answers.unknown("range_cap", f"the longest list has {count} rows, and all came")
        _answer_past_end(survey, behind)
        return None
    _ask_past_end(survey, longest)
    if count >= ENOUGH_ROWS:
        answers.seen("range_cap", None, f"{count} rows came in one page")
    elif count >= asked:
        answers.unknown("range_cap", f"{count} rows came, and more were refused")
    elif (
        len(behind.rows) == count >= SMALLEST_CAP
        # Where rows are hidden after the cut, the last row of a page comes again.
        and not {*map(_identity, behind.rows)} & {*map(_identity, good[asked].rows)}
        and all(len(each.rows) == min(rows, count) for rows, each in good.items())
        and _is_cut_elsewhere(survey, longest, asked, count)
    ):
        text = f"{count} rows came where {asked} were asked for, in two lists"
        answers.seen("range_cap", count, text)
        return count
    else:
        answers.unknown("range_cap", "pages were cut, but maybe not at a number of rows")
    return None


def _is_cut_elsewhere(survey: Survey, longest: List, asked: int, count: int) -> bool:
    """Whether a list with rows of another width is cut at the same number of rows.

    A page may end at a number of bytes instead.
    """
    wide = ("openedcontacts", "clickedcontacts")
    actions = ("sentcontacts", "unopenedcontacts") if longest.action in wide else wide
    longer = [each for each in survey.lists(*actions) if each.count > count]
    return bool(longer) and len(survey.ask_list(longer[0], fromindex=1, range=asked).rows) == count


def _ask_past_end(survey: Survey, longest: List) -> None:
    """Ask for a page behind the last row of a list that has rows."""
    smallest = [each for each in survey.lists() if each.count > 0]
    chosen, index = longest, FAR_BEHIND
    # The report may be wrong: of an empty list there is no page past the end.
    if smallest and survey.ask_list(smallest[-1], fromindex=1, range=1).rows:
        chosen, index = smallest[-1], smallest[-1].count + 1
    _answer_past_end(survey, survey.ask_list(chosen, fromindex=index, range=1))


def _answer_past_end(survey: Survey, behind: Answered) -> None:
    form = _form_of_no_rows(behind)
    if not behind.rows and form in {"6303", "2502", "empty", "null", "absent"}:
        survey.answers.seen("past_end", form, behind.describes)
    else:
        survey.answers.unknown("past_end", behind.describes)


def _form_of_no_rows(answered: Answered) -> str:
    if answered.is_error:
        return answered.code
    if "list_of_details" not in answered.document:
        return "absent"
    return "null" if answered.document["list_of_details"] is None else "empty"


def ask_empty_list(survey: Survey) -> None:
    """Ask for a list of which the report counts no row."""
    empty = [each for each in survey.lists() if not each.count]
    if not empty:
        survey.answers.unknown("empty_list", "no empty list was found")
        return
    answered = survey.ask_list(empty[0], fromindex=1, range=20)
    form = _form_of_no_rows(answered)
    if not answered.rows and form in {"6303", "empty", "null", "absent"}:
        survey.answers.seen("empty_list", form, answered.describes)
    else:
        survey.answers.unknown("empty_list", answered.describes)


def _answer_refusal(
    survey: Survey, refusal: Answered, longest: List, served: int, refused: int
) -> None:
    """Find the largest range that is not refused, with the calls that are left."""
    answers = survey.answers
    if refusal.code in RANGE_CODES:
        answers.seen("range_error", refusal.code, refusal.describes)
    elif refusal.status == HTTP_BAD_REQUEST:
        answers.seen("range_error", "http_400", refusal.describes)
    survey.refused_range = (longest, served, refused)


def ask_largest_range(survey: Survey) -> None:
    """Find the largest range that is not refused, with the calls that are left."""
    if survey.refused_range is None:
        return
    longest, served, refused = survey.refused_range
    while refused - served > 1 and survey.asker.calls_left:
        middle = (served + refused) // 2
        if survey.ask_list(longest, fromindex=1, range=middle).is_error:
            refused = middle
        else:
            served = middle
    if refused - served == 1:
        text = f"range {served} was served, {refused} refused"
        survey.answers.seen("range_error_above", served, text)
    else:
        survey.answers.unknown("range_error_above", f"between {served} and {refused}")
