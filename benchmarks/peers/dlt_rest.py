"""dlt's REST source, extracted: `python -m benchmarks.peers.dlt_rest order.json [--uncompressed]`.

Nine resources below one of campaigns, read in parallel. dlt's own offset paginator ends with an
empty page, which would cost another call for every list, or with a total, which Zoho does not
give: the subclass ends with a page that is not full. Normalising and loading are not measured.
By default dlt compresses what it extracts.
"""

from __future__ import annotations

import os
import sys
import typing as t

import dlt
from dlt.sources.helpers.rest_client.paginators import OffsetPaginator
from dlt.sources.rest_api import rest_api_source

from benchmarks.peers.order import LISTING_PAGE_ROWS, order_of_command_line

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from dlt.sources.helpers.requests import Response

    from benchmarks.peers.order import Order

Json = dict[str, t.Any]


class FullPages(OffsetPaginator):
    """From row 1 on, until a page is not full."""

    def __init__(self, page_size: int) -> None:
        """Begin with row 1."""
        super().__init__(
            limit=page_size,
            offset=1,
            offset_param="fromindex",
            limit_param="range",
            total_path=None,
        )

    def update_state(self, response: Response, data: list[t.Any] | None = None) -> None:
        """Go on after a full page."""
        super().update_state(response, data)
        if len(data or ()) < self.limit:
            self._has_next_page = False


def stamped(action: str) -> Callable[[Json], Json]:
    """Return what writes the list's name into a row."""

    def stamp(row: Json) -> Json:
        row["action"] = action
        return row

    return stamp


def lists_of_campaigns(order: Order) -> Json:
    """Write the configuration of the source."""
    campaigns = {
        "name": "campaigns",
        "endpoint": {
            "path": "recentcampaigns",
            "method": "POST",
            "params": {"resfmt": "JSON", "status": "sent"},
            "data_selector": "recent_campaigns",
            "paginator": FullPages(LISTING_PAGE_ROWS),
        },
    }
    lists = [
        {
            "name": action,
            "parallelized": True,
            "include_from_parent": ["campaign_key"],
            "processing_steps": [{"map": stamped(action)}],
            "endpoint": {
                "path": "getcampaignrecipientsdata",
                "method": "POST",
                "params": {
                    "resfmt": "JSON",
                    "action": action,
                    "campaignkey": "{resources.campaigns.campaign_key}",
                },
                "data_selector": "list_of_details",
                "paginator": FullPages(order.page_size),
            },
        }
        for action in order.actions
    ]
    return {
        "client": {
            "base_url": f"{order.url}/api/v1.1/",
            "auth": {
                "type": "api_key",
                "name": "Authorization",
                "api_key": order.authorization,
                "location": "header",
            },
        },
        "resources": [campaigns, *lists],
    }


def main() -> None:
    """Extract."""
    order = order_of_command_line()
    os.environ |= {
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "EXTRACT__WORKERS": str(order.in_flight),
        "EXTRACT__MAX_PARALLEL_ITEMS": str(max(order.in_flight, 1)),
        "DATA_WRITER__DISABLE_COMPRESSION": str("--uncompressed" in sys.argv),
    }
    pipeline = dlt.pipeline("recipients", pipelines_dir=order.folder, destination="filesystem")
    pipeline.extract(rest_api_source(t.cast("t.Any", lists_of_campaigns(order))))


if __name__ == "__main__":
    main()
