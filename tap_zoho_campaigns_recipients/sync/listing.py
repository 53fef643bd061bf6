"""The listing of campaigns, and whether it can be trusted to show all of them."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from tap_zoho_campaigns_recipients.sync.request_pool import ENDS_THE_RUN
from tap_zoho_campaigns_recipients.zoho.campaigns import (
    LISTING_PAGE_ROWS,
    SENT_STATUS,
    Campaign,
    campaign_from_listing,
)
from tap_zoho_campaigns_recipients.zoho.endpoints import Endpoint
from tap_zoho_campaigns_recipients.zoho.errors import (
    FROM_INDEX_IGNORED,
    CampaignRefused,
    RangeTooLarge,
    RunFailed,
    UnexpectedCode,
)
from tap_zoho_campaigns_recipients.zoho.pagination import (
    FromIndexIgnored,
    FromIndexPaginator,
    PageLengths,
    Row,
)

if t.TYPE_CHECKING:
    import logging

    from tap_zoho_campaigns_recipients.sync.bookmarks import State
    from tap_zoho_campaigns_recipients.sync.request_pool import RequestPool

Paginator = FromIndexPaginator[Campaign | None]


@dataclass(frozen=True, slots=True)
class Listing:
    """The campaigns that were listed."""

    campaigns: dict[str, Campaign] = field(default_factory=dict)
    """By key."""
    is_whole: bool = False
    """Whether all campaigns that there are can be taken to be listed."""


def read_listing(
    requests: RequestPool, state: State, logger: logging.Logger, *, may_fail: bool
) -> Listing:
    """Read the listing of sent campaigns.

    Args:
        requests: Sends the requests.
        state: What earlier runs knew; it keeps by how many campaigns the listing was short.
        logger: For warnings.
        may_fail: Whether to go on without a listing if Zoho refuses it.

    Raises:
        TapError: The listing cannot be read.
    """
    paginator: Paginator = FromIndexPaginator(PageLengths(LISTING_PAGE_ROWS))
    campaigns: list[Campaign | None] = []
    try:
        while not paginator.done:
            campaigns += _page(requests, paginator)
    except FromIndexIgnored:
        raise RunFailed(FROM_INDEX_IGNORED.format(Endpoint.LISTING)) from None
    except (UnexpectedCode, CampaignRefused, RangeTooLarge) as error:
        if not may_fail or isinstance(error, ENDS_THE_RUN):
            raise
        logger.warning("The campaigns cannot be listed, only campaign_keys are read: %s", error)
        return Listing()
    if paginator.unkeyed:
        logger.warning(
            "%d campaigns of the listing have no key that can be asked for, and were left out",
            paginator.unkeyed,
        )
    if paginator.unstable:
        logger.warning(
            "Zoho does not keep the order of campaigns between pages of the listing: some may "
            "be missing in this run"
        )
    by_key = {campaign.key: campaign for campaign in campaigns if campaign is not None}
    return Listing(by_key, _is_whole(paginator, state, logger))


def _page(requests: RequestPool, paginator: Paginator) -> list[Campaign | None]:
    asked = paginator.lengths.asked
    parameters = {
        "status": SENT_STATUS,
        "sort": "desc",
        "fromindex": str(paginator.index),
        "range": str(asked),
    }
    try:
        response = requests.call(Endpoint.LISTING, parameters)
    except RangeTooLarge:
        if not paginator.lengths.halve(asked):
            raise
        return []
    paginator.expected = response.total
    page: list[Row[Campaign | None]] = []
    for row in response.rows:
        campaign = campaign_from_listing(row)
        key = None if campaign is None else campaign.key
        page.append(Row(key, key, campaign))
    return paginator.advance(asked, page)


def _is_whole(paginator: Paginator, state: State, logger: logging.Logger) -> bool:
    """Whether the listing shows all campaigns, as far as that can be known."""
    observations = state.observations
    if not paginator.rows and state.knows_campaigns:
        logger.warning(
            "Zoho lists no campaign, though earlier runs read some: what is known of them is kept"
        )
        return False
    short_by = (paginator.expected or 0) - paginator.rows
    before = observations.listing_short_by
    observations.listing_short_by = short_by if short_by > 0 else None
    if short_by <= 0:
        return not paginator.unstable
    if short_by != before:
        logger.warning(
            "The listing shows %d campaigns and counts %d: some may be missing in this run",
            paginator.rows,
            paginator.expected,
        )
    return short_by == before and not (paginator.unstable or paginator.broken_off)
