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
        self._latest: dict[str, int] = {}

    def now_ms(self) -> int:
        """Return the moment in epoch milliseconds."""
        return int(self._clock.time() * 1000)

    def now_iso(self) -> str:
        """Return the moment as records hold it."""
        return iso_from_ms(self.now_ms())

    def is_closing(self, campaign: Campaign) -> bool:
        """Whether a reading that begins now is the campaign's last.

        Where nothing tells when the campaign was sent, the latest `sent_time` of its rows does,
        with a day added: it is skewed, by nobody knows how much.
        """
        sent_ms = campaign.sent_at_the_latest_ms
        if sent_ms is None and (latest_ms := self.latest_ms(campaign)) is not None:
            sent_ms = latest_ms + DAY_MS
        return self._is_over(sent_ms)

    def latest_ms(self, campaign: Campaign) -> int | None:
        """Return the latest `sent_time` of a campaign's rows, of all lists; skewed as they are.

        It stays known for the run: a list that is finished takes its bookmark along, and others of
        the campaign may be empty and tell nothing.
        """
        values = [
            ms_from_iso(bookmark.value)
            for plan in self._plans
            if plan.action and plan.state
            if (bookmark := plan.state.partitions.get(campaign.key)) and bookmark.value is not None
        ]
        if campaign.key in self._latest:
            values.append(self._latest[campaign.key])
        if not values:
            return None
        self._latest[campaign.key] = max(values)
        return self._latest[campaign.key]

    def is_over(self, bookmark: Bookmark) -> bool:
        """Whether the window of a campaign has passed of which there is only a bookmark."""
        sent_ms = bookmark.sent_ms
        if sent_ms is None and bookmark.value is not None:
            sent_ms = ms_from_iso(bookmark.value) + DAY_MS
        return self._is_over(sent_ms)

    def _is_over(self, sent_ms: int | None) -> bool:
        return self.closes and sent_ms is not None and self.now_ms() > sent_ms + self._days * DAY_MS
