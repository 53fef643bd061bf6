"""The engagement window: whether a campaign's lists may still change."""

from __future__ import annotations

import typing as t

from tap_zoho_campaigns_recipients.moments import DAY_MS, iso_from_ms, ms_from_iso

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_zoho_campaigns_recipients.bookmarks import Bookmark
    from tap_zoho_campaigns_recipients.campaigns import Campaign
    from tap_zoho_campaigns_recipients.clock import Clock
    from tap_zoho_campaigns_recipients.plans import StreamPlan


class Window:
    """The engagement window of every campaign, and the run's idea of now."""

    def __init__(self, days: int, clock: Clock, plans: Sequence[StreamPlan]) -> None:
        """Keep what tells.

        Args:
            days: How long after it was sent a campaign's lists may still change.
            clock: The time.
            plans: The selected streams, whose bookmarks tell of campaigns that nothing else does.
        """
        self._days = days
        self._clock = clock
        self._plans = plans
        self.closes = True
        """Whether any campaign is closed: not where the machine's clock is wrong."""

    def now_ms(self) -> int:
        """Return the moment in epoch milliseconds."""
        return int(self._clock.time() * 1000)

    def now_iso(self) -> str:
        """Return the moment as records hold it."""
        return iso_from_ms(self.now_ms())

    def is_closing(self, campaign: Campaign) -> bool:
        """Whether a reading that begins now is the campaign's last.

        Where nothing tells when the campaign was sent, the latest `sent_time` of its rows does.
        """
        sent_ms = campaign.sent_at_the_latest_ms
        if sent_ms is None:
            values = (
                _latest_ms(bookmark)
                for plan in self._plans
                if plan.action and plan.state
                if (bookmark := plan.state.partitions.get(campaign.key))
            )
            sent_ms = max((value for value in values if value is not None), default=None)
        return self._is_over(sent_ms)

    def is_over(self, bookmark: Bookmark) -> bool:
        """Whether the window of a campaign has passed of which there is only a bookmark."""
        return self._is_over(_latest_ms(bookmark) if bookmark.sent_ms is None else bookmark.sent_ms)

    def _is_over(self, sent_ms: int | None) -> bool:
        return self.closes and sent_ms is not None and self.now_ms() > sent_ms + self._days * DAY_MS


def _latest_ms(bookmark: Bookmark) -> int | None:
    """Return a bookmark's moment, with a day added: it is skewed, by nobody knows how much."""
    return None if bookmark.value is None else ms_from_iso(bookmark.value) + DAY_MS
