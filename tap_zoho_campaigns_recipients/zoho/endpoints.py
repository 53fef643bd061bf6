"""The four endpoints that are read."""

from __future__ import annotations

import typing as t
from enum import StrEnum

ResponseFormat = t.Literal["json", "xml"]


class Endpoint(StrEnum):
    """The four endpoints that are read; the value is the last part of the URL's path."""

    RECIPIENTS = "getcampaignrecipientsdata"
    LISTING = "recentcampaigns"
    REPORT = "campaignreports"
    DETAILS = "getcampaigndetails"


CONTENT: t.Final[dict[Endpoint, tuple[str, ...]]] = {
    Endpoint.RECIPIENTS: ("list_of_details", "contacts"),
    Endpoint.LISTING: ("recent_campaigns",),
    Endpoint.REPORT: ("campaign-reports",),
    Endpoint.DETAILS: ("campaign-details",),
}
"""Where a response keeps what was asked for: with one of these it needs no word of success."""
