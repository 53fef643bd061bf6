"""Which lists are read again: what the report of a campaign says about each of its lists."""

from __future__ import annotations

import hashlib
import typing as t
from dataclasses import dataclass

from tap_zoho_campaigns_recipients.zoho.timestamps import DAY_MS

if t.TYPE_CHECKING:
    from tap_zoho_campaigns_recipients.sync.bookmarks import Bookmark

Counts = t.Mapping[str, int | float]

LAST_READINGS = 3
"""A last reading that is not complete is repeated until there were so many ..."""
LAST_READINGS_MS = DAY_MS
"""... of which the last one begins at least this long after the first."""


@dataclass(frozen=True, slots=True)
class ReflectingCounts:
    """The numbers of a campaign's report that can show a change of one list."""

    count: str
    """The number of rows of the list."""
    others: tuple[str, ...] = ()
    """Further numbers that change, if any number does, when the list changes."""
    any_number: bool = False
    """Whether a change of any number counts: compliance depends on the list."""


LISTS: t.Final[dict[str, ReflectingCounts]] = {
    "sentcontacts": ReflectingCounts("emails_sent_count", ("unsent_count",)),
    "openedcontacts": ReflectingCounts("opens_count", ("unopened", "forwards_count")),
    # A second click changes no number of clickers, but the clicks per open.
    "clickedcontacts": ReflectingCounts(
        "unique_clicks_count", ("clicksperopenrate", "opens_count")
    ),
    "unopenedcontacts": ReflectingCounts(
        "unopened", ("opens_count", "delivered_count", "bounces_count")
    ),
    "optoutcontacts": ReflectingCounts("unsub_count", any_number=True),
    "spamcontacts": ReflectingCounts("spams_count", any_number=True),
    "senthardbounce": ReflectingCounts("hardbounce_count", ("bounces_count",)),
    # A soft bounce may become a hard one.
    "sentsoftbounce": ReflectingCounts("softbounce_count", ("hardbounce_count", "bounces_count")),
    "unsentcontacts": ReflectingCounts("unsent_count", ("emails_sent_count",)),
}
"""The lists by Zoho's name of their action."""


@dataclass(frozen=True, slots=True)
class ReportView:
    """What a campaign's report says about one list."""

    counts: Counts
    count: int | None
    """The number of rows; None if the report does not tell."""
    numbers_hash: str | None = None
    """The hash of all numbers, for lists to which any number matters."""

    @classmethod
    def of(cls, numbers: Counts, action: str) -> ReportView:
        """Return the part of a report's numbers that reflects a list."""
        reflecting = LISTS[action]
        names = (reflecting.count, *reflecting.others)
        count = numbers.get(reflecting.count)
        return cls(
            {name: numbers[name] for name in names if name in numbers},
            None if count is None else int(count),
            numbers_hash(numbers) if reflecting.any_number else None,
        )


def numbers_hash(numbers: Counts) -> str:
    """Return a hash of all numbers of a report."""
    text = " ".join(f"{name}={float(numbers[name])!r}" for name in sorted(numbers))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def is_changed(before: Bookmark | None, report: ReportView | None) -> bool:
    """Whether a list may have changed since it was last read whole, as far as its report shows.

    Args:
        before: The bookmark of that reading, if there was one.
        report: What the report says now; None without a report.
    """
    return (
        before is None
        or not before.settled
        or before.is_reading
        or report is None
        or report.count is None
        or report.counts != before.report
        or report.numbers_hash != before.report_hash
    )


def is_old(before: Bookmark | None, *, hashed: str, now_ms: int, reread_after_days: int) -> bool:
    """Whether a list is read again whatever its report says, because its reading is old.

    Args:
        before: The bookmark of the last whole reading.
        hashed: A hash of campaign and action: up to a seventh of the days is taken off by it, so
            that the lists of a campaign are not all read in one night.
        now_ms: The time, in epoch milliseconds.
        reread_after_days: The setting; 0 means never.
    """
    if not reread_after_days or before is None:
        return False
    if before.read_at_ms is None or before.read_at_ms > now_ms:
        return True
    spread = int(hashlib.sha256(hashed.encode()).hexdigest()[:8], 16) / 0x1_0000_0000
    after_ms = reread_after_days * DAY_MS * (1 - spread / 7)
    return now_ms - before.read_at_ms >= after_ms


def may_read_last(before: Bookmark | None, now_ms: int) -> bool:
    """Whether a last reading may begin now; one after two incomplete ones waits for a day."""
    return (
        before is None
        or before.last_readings < LAST_READINGS - 1
        or before.last_readings_since_ms is None
        or not 0 <= now_ms - before.last_readings_since_ms < LAST_READINGS_MS
    )


def is_settled(before: Bookmark | None, report: ReportView | None, rows: int) -> bool:
    """Whether equal counts will mean an unchanged list, after a whole reading.

    If rows and count differ, the list is settled when it was read twice with equal results: the
    count is then taken to mean something else.

    Args:
        before: The bookmark of the reading before, if there was one.
        report: What the report said before the reading.
        rows: The rows received.
    """
    if report is None:
        return False
    again = before is not None and before.report == report.counts and before.rows == rows
    return report.count == rows or again
