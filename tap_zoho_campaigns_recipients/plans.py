"""What a run needs to know of a selected stream."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_zoho_campaigns_recipients.bookmarks import StreamState
    from tap_zoho_campaigns_recipients.campaigns import Campaign


@dataclass(frozen=True, slots=True, eq=False)
class StreamPlan:
    """A selected stream that is read campaign by campaign."""

    name: str
    properties: Mapping[str, t.Any]
    """The fields of its schema."""
    state: StreamState | None
    """Its state; None where everything is read and no state is kept."""
    action: str | None = None
    """Zoho's name of the recipient action; None for reports."""
    count: str | None = None
    """The report's count of the list's rows."""
    reflected_by: tuple[str, ...] = ()
    """The report's counts that could show a change of the list."""

    def is_finished(self, campaign: Campaign) -> bool:
        """Whether the campaign had its last read in this stream."""
        return self.state is not None and self.state.is_finished(campaign.key, campaign.listed_ms)

    def leave_out(self, campaign: Campaign) -> None:
        """Take note that a campaign could not be read past its window."""
        if self.state is not None:
            self.state.leave_out(campaign.key)

    def finish(self, campaign: Campaign) -> None:
        """Take note of a campaign's last read."""
        if self.state is not None:
            self.state.finish(campaign.key, campaign.listed_ms)
