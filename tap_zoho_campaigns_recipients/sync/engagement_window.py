"""The engagement window: whether a campaign's lists may still change."""

from __future__ import annotations

import typing as t

from tap_zoho_campaigns_recipients.zoho.timestamps import DAY_MS, iso_from_ms, ms_from_iso

if t.TYPE_CHECKING:
    import logging
    from collections.abc import Sequence

    from tap_zoho_campaigns_recipients.sync.bookmarks import Bookmark
    from tap_zoho_campaigns_recipients.sync.selected_stream import SelectedStream
    from tap_zoho_campaigns_recipients.zoho.campaigns import Campaign
    from tap_zoho_campaigns_recipients.zoho.clock import Clock

MOST_DIFFERENCE_SECONDS = 60
"""From here on the times that the tap writes follow Zoho's clock."""
MOST_DIFFERENCE_TO_CLOSE_SECONDS = 3600
"""From here on no campaign is closed."""


class EngagementWindow:
    """Tells which campaigns are past their engagement window, and the time of the run."""

    def __init__(self, days: int, clock: Clock, streams: Sequence[SelectedStream]) -> None:
        """Start with the machine's clock.

        Args:
            days: How long after it was sent a campaign's lists may still change.
            clock: The time.
            streams: The selected streams: their bookmarks know sent times that Zoho may not show.
        """
        self._days = days
        self._clock = clock
        self._streams = streams
        self.closes = True
        """Whether campaigns may be closed; not if the machine's clock is wrong."""
        self._latest: dict[str, int] = {}
        self.ahead_seconds = 0.0
        """How far Zoho's clock is ahead of the machine's, if they differ by more than a minute."""

    def compare_clocks(self, difference_seconds: float, logger: logging.Logger) -> None:
        """Follow Zoho's clock if the machine's is wrong.

        Args:
            difference_seconds: Zoho's clock less the machine's.
            logger: Gets a warning if no campaign can be closed.
        """
        if abs(difference_seconds) > MOST_DIFFERENCE_SECONDS:
            self.ahead_seconds = difference_seconds
        if abs(difference_seconds) > MOST_DIFFERENCE_TO_CLOSE_SECONDS:
            self.closes = False
            logger.warning(
                "The machine's clock is %.1f hours %s Zoho's: no campaign is closed in this run. "
                "Set the clock right",
                abs(difference_seconds) / 3600,
                "behind" if difference_seconds > 0 else "ahead of",
            )

    def now_ms(self) -> int:
        """Return the current time in epoch milliseconds."""
        return int((self._clock.time() + self.ahead_seconds) * 1000)

    def now_iso(self) -> str:
        """Return the current time as ISO 8601 text, as records hold it."""
        return iso_from_ms(self.now_ms())

    def is_closing(self, campaign: Campaign) -> bool:
        """Whether a reading that begins now is the campaign's last.

        If the sent time of the campaign is not known, the latest `sent_time` of its rows is used,
        plus one day because that time is skewed by an unknown amount.
        """
        sent_ms = campaign.sent_at_the_latest_ms
        if sent_ms is None and (latest_ms := self.latest_ms(campaign)) is not None:
            sent_ms = latest_ms + DAY_MS
        return self._is_over(sent_ms)

    def latest_ms(self, campaign: Campaign) -> int | None:
        """Return the latest `sent_time` of a campaign's rows, of all lists; skewed as they are.

        The value is kept for the whole run: when a list is finished its bookmark is gone, and the
        other lists of the campaign may be empty.
        """
        values = [
            ms_from_iso(bookmark.value)
            for stream in self._streams
            if stream.action and stream.state
            if (bookmark := stream.state.partitions.get(campaign.key))
            and bookmark.value is not None
        ]
        if campaign.key in self._latest:
            values.append(self._latest[campaign.key])
        if not values:
            return None
        self._latest[campaign.key] = max(values)
        return self._latest[campaign.key]

    def is_over(self, bookmark: Bookmark) -> bool:
        """Whether the window of a campaign that is known only by a bookmark has passed."""
        sent_ms = bookmark.sent_ms
        if sent_ms is None and bookmark.value is not None:
            sent_ms = ms_from_iso(bookmark.value) + DAY_MS
        return self._is_over(sent_ms)

    def _is_over(self, sent_ms: int | None) -> bool:
        return self.closes and sent_ms is not None and self.now_ms() > sent_ms + self._days * DAY_MS
