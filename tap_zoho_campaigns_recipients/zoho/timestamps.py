"""Timestamps: epoch milliseconds as Zoho sends them, ISO 8601 text as in records and state."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY_MS = 86_400_000

FIRST_MS = -62_135_596_800_000
LAST_MS = 253_402_300_799_999
"""The years 1 to 9999."""


def iso_from_ms(ms: int) -> str:
    """Return a timestamp as text, always equally long, so that texts compare as times do.

    Args:
        ms: Epoch milliseconds.

    Raises:
        OverflowError: Where the year would not be one from 1 to 9999.
    """
    minutes, rest = divmod(ms, 60_000)
    seconds, milliseconds = divmod(rest, 1_000)
    return f"{_minute(minutes)}:{seconds:02d}.{milliseconds:03d}+00:00"


@lru_cache(maxsize=8_192)
def _minute(minutes: int) -> str:
    """Return the part of a timestamp that it shares with others: nearly all of the work."""
    return (EPOCH + timedelta(minutes=minutes)).isoformat(timespec="minutes")[:-6]


def ms_from_iso(text: str) -> int:
    """Return the epoch milliseconds of a timestamp, whatever its offset; UTC if it has no offset.

    Raises:
        ValueError: The text is not a timestamp.
    """
    timestamp = datetime.fromisoformat(text)
    if timestamp.tzinfo is None:
        timestamp = timestamp.replace(tzinfo=UTC)
    return (timestamp - EPOCH) // timedelta(milliseconds=1)


def ms_from_value(value: object) -> int | None:
    """Read epoch milliseconds as Zoho sends them: digits as text, or a number.

    Returns:
        The milliseconds, or None for anything else and for years beyond 1 to 9999.
    """
    if isinstance(value, str):
        text = value.strip()
        if not text.removeprefix("-").isdecimal() or len(text) > 16 or not text.isascii():  # noqa: PLR2004 - digits of year 9999 and a sign
            return None
        value = int(text)
    elif isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if FIRST_MS <= value <= LAST_MS else None
