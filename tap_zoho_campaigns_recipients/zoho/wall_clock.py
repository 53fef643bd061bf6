"""Zoho's wall-clock texts: times of the account's zone, to the minute, without an offset.

Two forms were seen live: `02 Aug 2013, 12:39 PM` and, in timelines, `Feb 12, 2026 12:08 PM`.
"""

from __future__ import annotations

import re
import typing as t
from datetime import UTC, datetime
from functools import lru_cache

from tap_zoho_campaigns_recipients.zoho.timestamps import EPOCH

if t.TYPE_CHECKING:
    from datetime import tzinfo

_CLOCK: t.Final = r",? ([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?(?: ?([ap])m)?"
_DAY_FIRST: t.Final = re.compile(
    rf"(?P<day>[0-9]{{1,2}}) (?P<month>[a-z]{{3,9}}) (?P<year>[0-9]{{4}}){_CLOCK}", re.IGNORECASE
)
_MONTH_FIRST: t.Final = re.compile(
    rf"(?P<month>[a-z]{{3,9}}) (?P<day>[0-9]{{1,2}}), (?P<year>[0-9]{{4}}){_CLOCK}", re.IGNORECASE
)
_LONGEST_CHARACTERS: t.Final = 40
_NOON: t.Final = 12
_MONTH_NAMES: t.Final = (
    "january february march april may june july august september october november december"
)
_MONTHS: t.Final = {
    spelling: number
    for number, name in enumerate(_MONTH_NAMES.split(), start=1)
    for spelling in (name, name[:3])
}


@lru_cache(maxsize=8_192)
def wall_clock_from_text(text: str) -> datetime | None:
    """Read a wall-clock text.

    Seconds may follow the minutes, and day and hour may have one digit or two (both seen live).

    Returns:
        The time without a zone; None if the text is not a time.
    """
    if len(text) > _LONGEST_CHARACTERS:
        return None
    match = _DAY_FIRST.fullmatch(text.strip()) or _MONTH_FIRST.fullmatch(text.strip())
    if match is None:
        return None
    hour_text, minute, second, half_of_day = match.groups()[3:]
    hour = int(hour_text)
    if half_of_day:
        if hour > _NOON:
            return None
        hour = hour % _NOON + _NOON * (half_of_day in "pP")
    try:
        return datetime(  # noqa: DTZ001 - it has no zone
            int(match["year"]),
            _MONTHS[match["month"].lower()],
            int(match["day"]),
            hour,
            int(minute),
            int(second or 0),
        )
    except (KeyError, ValueError):
        return None


@lru_cache(maxsize=8_192)
def ms_from_wall_clock(text: str, zone: tzinfo) -> int | None:
    """Read a wall-clock text in a zone.

    A time that the zone has twice, at the end of summer time, is the earlier one.

    Returns:
        Epoch milliseconds; None if the text is not a time.
    """
    clock = wall_clock_from_text(text)
    if clock is None:
        return None
    try:
        timestamp = clock.replace(tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return int((timestamp - EPOCH).total_seconds()) * 1_000
