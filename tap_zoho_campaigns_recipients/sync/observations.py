"""What one run alone cannot prove: it is counted over several runs before anything follows."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from tap_zoho_campaigns_recipients.zoho.timestamps import DAY_MS

MISSING_DAYS = 3
"""A campaign that was missing from whole listings on so many days is taken to be gone."""

CHRONIC_MS = REST_MS = 7 * DAY_MS
"""What has failed in runs that span a week is tried once a week."""

DETAILS_RUNS, DETAILS_MS = 3, 7 * DAY_MS
"""An A/B campaign is closed without details after so many runs over so long a time."""


class Seen(t.NamedTuple):
    """An observation that was made several times."""

    times: int
    first_ms: int
    last_ms: int


def _again(seen: Seen | None, now_ms: int) -> Seen:
    if seen is None or not seen.first_ms <= now_ms:
        return Seen(1, now_ms, now_ms)
    return Seen(seen.times + 1, seen.first_ms, now_ms)


@dataclass(slots=True)
class Observations:
    """Observations by a hash of the campaign's key, or of its key and an action."""

    missing: dict[str, Seen] = field(default_factory=dict)
    """Campaigns with bookmarks that whole listings did not show; `times` counts days."""
    failed: dict[str, Seen] = field(default_factory=dict)
    """Campaigns and lists past their window that could not be read."""
    without_details: dict[str, Seen] = field(default_factory=dict)
    """A/B campaigns past their window whose variants could not be found."""
    listing_short_by: int | None = None
    """How many campaigns the last listing lacked, by its own total, when it was read to its end."""

    def is_gone(self, hashed: str, now_ms: int) -> bool:
        """Count that a whole listing lacks a campaign; return whether it is taken to be gone."""
        seen = self.missing.get(hashed)
        if seen is None or seen.last_ms // DAY_MS != now_ms // DAY_MS:
            self.missing[hashed] = _again(seen, now_ms)
        return self.missing[hashed].times >= MISSING_DAYS

    def fail(self, hashed: str, now_ms: int) -> None:
        """Count that a campaign or list past its window could not be read."""
        self.failed[hashed] = _again(self.failed.get(hashed), now_ms)

    def is_chronic(self, hashed: str) -> bool:
        """Whether it has failed in runs that span a week."""
        seen = self.failed.get(hashed)
        return seen is not None and seen.last_ms - seen.first_ms >= CHRONIC_MS

    def rests(self, hashed: str, now_ms: int) -> bool:
        """Whether it is not tried in this run, because it was tried in vain within the week."""
        return self.is_chronic(hashed) and 0 <= now_ms - self.failed[hashed].last_ms < REST_MS

    def lack_details(self, hashed: str, now_ms: int) -> bool:
        """Count that variants could not be found; return whether to go on without them."""
        seen = self.without_details[hashed] = _again(self.without_details.get(hashed), now_ms)
        return seen.times >= DETAILS_RUNS and now_ms - seen.first_ms >= DETAILS_MS
