"""The account's offset from UTC, as the listing of campaigns shows it.

Each row of the listing has a wall-clock text and the true time of the same event (zoho-api.md 1.2,
5.1), so the offset is known for as many days as there are campaigns.
"""

from __future__ import annotations

import typing as t
from collections import Counter
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from tap_zoho_campaigns_recipients.zoho.timestamps import EPOCH, iso_from_ms, ms_from_value
from tap_zoho_campaigns_recipients.zoho.wall_clock import wall_clock_from_text

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

COMMON_ZONES: t.Final = (
    "America/Los_Angeles",
    "America/Denver",
    "America/Phoenix",
    "America/Chicago",
    "America/New_York",
    "America/Sao_Paulo",
    "UTC",
    "Europe/London",
    "Europe/Berlin",
    "Europe/Athens",
    "Africa/Johannesburg",
    "Asia/Dubai",
    "Asia/Kolkata",
    "Asia/Singapore",
    "Asia/Tokyo",
    "Australia/Sydney",
)
"""Zones that are named as likely; there are some for most offsets."""

_NAMES: t.Final = ("sent", "created", "updated")
_MINUTE_MS: t.Final = 60_000
_QUARTER: t.Final = 15
_MOST_MINUTES: t.Final = 15 * 60
SHARE_OF_CONTRADICTIONS: t.Final = 4
"""A zone is contradicted if one in so many of the times that can be compared differs."""


class Observation(t.NamedTuple):
    """A time of the listing in both forms."""

    wall_clock: datetime
    """Without a zone."""
    true_ms: int

    @property
    def offset_minutes(self) -> int:
        """The account's offset from UTC at that time, rounded to a quarter of an hour."""
        wall_ms = (self.wall_clock.replace(tzinfo=UTC) - EPOCH).total_seconds() * 1000
        minutes = (wall_ms - self.true_ms) / _MINUTE_MS
        return round(minutes / _QUARTER) * _QUARTER

    def fits(self, zone: ZoneInfo) -> bool:
        """Whether the offset is that of a zone at that time."""
        there = datetime.fromtimestamp(self.true_ms / 1000, zone)
        offset = there.utcoffset()
        return offset is not None and offset.total_seconds() / 60 == self.offset_minutes

    def __str__(self) -> str:
        """Return both forms and the offset."""
        wall_clock = self.wall_clock.isoformat(" ", "minutes")
        return f"{iso_from_ms(self.true_ms)[:16]}Z is {wall_clock}, {offset_text(self)}"


def offset_text(observation: Observation) -> str:
    """Return an offset as text, such as UTC-04:00."""
    sign = "-" if observation.offset_minutes < 0 else "+"
    hours, minutes = divmod(abs(observation.offset_minutes), 60)
    return f"UTC{sign}{hours:02d}:{minutes:02d}"


def observations(rows: Iterable[Mapping[str, t.Any]]) -> list[Observation]:
    """Return the times of listing rows that have both forms."""
    found = []
    for row in rows:
        for name in _NAMES:
            text, true_ms = (
                row.get(f"{name}_date_string"),
                ms_from_value(row.get(f"{name}_time_gmt")),
            )
            clock = wall_clock_from_text(text) if isinstance(text, str) else None
            if clock is not None and true_ms is not None:
                observation = Observation(clock, true_ms)
                if abs(observation.offset_minutes) <= _MOST_MINUTES:
                    found.append(observation)
    return found


def contradiction(zone: ZoneInfo, seen: Iterable[Observation]) -> Observation | None:
    """Return a time that a zone does not fit; None unless many do not."""
    known = list(seen)
    differing = [each for each in known if not each.fits(zone)]
    is_contradicted = len(differing) * SHARE_OF_CONTRADICTIONS >= len(known)
    return differing[0] if differing and is_contradicted else None


def fitting_zones(seen: Iterable[Observation]) -> list[str]:
    """Return the common zones that all times fit."""
    known = list(seen)
    return [name for name in COMMON_ZONES if known and _fits_all(name, known)]


def _fits_all(name: str, seen: Iterable[Observation]) -> bool:
    """Whether all times fit a zone; no time fits one that the system does not know."""
    try:
        zone = ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return all(each.fits(zone) for each in seen)


def advice(seen: Iterable[Observation]) -> str:
    """Return what the listing says about the zone of the account, in words."""
    known = list(seen)
    if not known:
        return "The listing does not show the account's offset from UTC"
    offsets = Counter(map(offset_text, known))
    zones = fitting_zones(known)
    likely = f", which fits {', '.join(zones)}" if zones else ""
    return f"The account's wall clock is {' or '.join(sorted(offsets))}{likely}"
