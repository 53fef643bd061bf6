"""A selected stream, as a run knows it."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from enum import Enum

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_zoho_campaigns_recipients.sync.bookmarks import Bookmark, StreamState
    from tap_zoho_campaigns_recipients.zoho.campaigns import Campaign


class Content(Enum):
    """What the records of a stream are made of."""

    CAMPAIGNS = "a row of the listing"
    REPORTS = "a report"
    LOCATIONS = "the places in a report"
    DETAILS = "the details of a campaign"
    RECIPIENTS = "the rows of a list"
    EVENTS = "the opens or clicks in the rows of a list"
    READINGS = "the readings of lists"


OF_LISTS = (Content.RECIPIENTS, Content.EVENTS)
"""The contents for which lists are read; `READINGS` only tells of what is read for these."""


@dataclass(frozen=True, slots=True, eq=False)
class SelectedStream:
    """A selected stream."""

    name: str
    content: Content
    properties: Mapping[str, t.Any]
    """The fields of its schema."""
    state: StreamState | None
    """Its state; None if everything is read and no state is kept."""
    action: str | None = None
    """Zoho's name of the recipient action that the stream is made of."""

    def is_finished(self, campaign: Campaign) -> bool:
        """Whether the campaign had its last reading for this stream."""
        return self.state is not None and self.state.is_finished(campaign.key, campaign.listed_ms)

    def bookmark(self, campaign: Campaign) -> Bookmark | None:
        """Return the bookmark of an open campaign, if it has one."""
        return self.state.partitions.get(campaign.key) if self.state else None

    def leave_out(self, campaign: Campaign) -> None:
        """Record that a campaign could not be read, whatever is said of others of its time."""
        if self.state is not None:
            self.state.leave_out(campaign.key)

    def finish(self, campaign: Campaign) -> None:
        """Record the last reading of a campaign."""
        if self.state is not None:
            self.state.finish(campaign.key, campaign.listed_ms)
