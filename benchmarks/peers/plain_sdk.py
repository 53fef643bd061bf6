"""A plain SDK tap: `python -m benchmarks.peers.plain_sdk order.json`.

Campaigns with nine child streams of `RESTStream`, as the SDK's template and its guide for parent
and child streams show it; the SDK's defaults in everything else.
"""

from __future__ import annotations

import typing as t

from singer_sdk import RESTStream, Tap
from singer_sdk import typing as th
from singer_sdk.pagination import OffsetPaginator

from benchmarks.peers.order import ACTIONS, LISTING_PAGE_ROWS, order_of_command_line

if t.TYPE_CHECKING:
    import requests
    from singer_sdk.helpers.types import Context, Record

Parameters = dict[str, t.Any]

CAMPAIGN_FIELDS = (
    "campaign_key",
    "campaignId",
    "campaign_name",
    "subject",
    "from_email",
    "reply_to",
    "campaign_status",
    "campaigntype",
    "campaign_preview",
    "folder_id",
    "is_hybrid",
    "zuid",
    "created_time",
    "created_time_gmt",
    "created_date_string",
    "updated_time",
    "updated_time_gmt",
    "updated_date_string",
    "sent_time",
    "sent_time_gmt",
    "sent_date_string",
    "sent_time_zone",
)

ROW_FIELDS = (
    "campaign_key",
    "action",
    "contactid",
    "contactemailaddress",
    "contactfn",
    "contactln",
    "contactstatus",
    "companyname",
    "jobtitle",
    "phone",
    "mobile",
    "title",
    "address",
    "city",
    "state",
    "country",
    "zipcode",
    "website",
    "note",
    "secondary_email",
    "facebook_handle",
    "linkedin_handle",
    "twitter_handle",
    "timezone",
    "rtbf",
    "last seen yymmdd",
    "plan",
    "sent_time",
    "sentdate",
    "openreports",
    "clickcount",
    "clickedurls",
    "clickreports",
)

URL_CLICKS = th.ArrayType(
    th.ObjectType(th.Property("url", th.StringType), th.Property("count", th.StringType))
)


class Pages(OffsetPaginator):
    """From row 1 on, until a page is not full."""

    def __init__(self, page_size: int, jsonpath: str) -> None:
        """Begin with row 1."""
        super().__init__(1, page_size)
        self._rows = jsonpath.removeprefix("$.").removesuffix("[*]")

    def has_more(self, response: requests.Response) -> bool:
        """Go on after a full page."""
        return len(response.json().get(self._rows) or ()) == self._page_size


class ZohoStream(RESTStream[int]):
    """What all streams share."""

    http_method = "POST"
    page_size = LISTING_PAGE_ROWS

    @property
    def url_base(self) -> str:
        """The API."""
        return f"{self.config['api_url']}/api/v1.1"

    @property
    def http_headers(self) -> dict[str, str]:
        """The token."""
        return {"Authorization": self.config["authorization"]}

    def get_new_paginator(self) -> Pages:
        """Page by rows."""
        return Pages(self.page_size, self.records_jsonpath)

    def get_url_params(self, context: Context | None, next_page_token: int | None) -> Parameters:
        """Ask for a page."""
        del context
        return {"resfmt": "JSON", "range": self.page_size, "fromindex": next_page_token}


class Campaigns(ZohoStream):
    """The campaigns."""

    name = "campaigns"
    path = "/recentcampaigns"
    records_jsonpath = "$.recent_campaigns[*]"
    primary_keys = ("campaign_key",)
    schema: t.ClassVar[dict[str, t.Any]] = th.PropertiesList(
        *(th.Property(name, th.StringType) for name in CAMPAIGN_FIELDS)
    ).to_dict()

    def get_url_params(self, context: Context | None, next_page_token: int | None) -> Parameters:
        """Ask for sent campaigns."""
        return super().get_url_params(context, next_page_token) | {"status": "sent"}

    def get_child_context(self, record: Record, context: Context | None) -> dict[str, str]:
        """Hand down the key."""
        del context
        return {"campaign_key": record["campaign_key"]}


class Contacts(ZohoStream):
    """One of the nine lists, of every campaign."""

    path = "/getcampaignrecipientsdata"
    records_jsonpath = "$.list_of_details[*]"
    parent_stream_type = Campaigns
    primary_keys = ("campaign_key", "contactid")
    schema: t.ClassVar[dict[str, t.Any]] = th.PropertiesList(
        *(th.Property(name, th.StringType) for name in ROW_FIELDS),
        th.Property("urlclicks", URL_CLICKS),
    ).to_dict()

    @property
    def page_size(self) -> int:  # type: ignore[override]
        """The rows of a page, from the settings."""
        return t.cast("int", self.config["page_size"])

    def get_url_params(self, context: Context | None, next_page_token: int | None) -> Parameters:
        """Ask for one list of one campaign."""
        key = (context or {})["campaign_key"]
        return super().get_url_params(context, next_page_token) | {
            "action": self.name,
            "campaignkey": key,
        }

    def post_process(self, row: Record, context: Context | None = None) -> Record:
        """Say which list the row is of; the SDK adds the campaign."""
        del context
        row["action"] = self.name
        return row


class PlainTap(Tap):
    """The tap."""

    name = "plain-sdk-tap"
    config_jsonschema: t.ClassVar[dict[str, t.Any]] = th.PropertiesList(
        th.Property("api_url", th.StringType, required=True),
        th.Property("authorization", th.StringType, required=True, secret=True),
        th.Property("page_size", th.IntegerType, required=True),
        th.Property("actions", th.ArrayType(th.StringType), required=True),
    ).to_dict()

    def discover_streams(self) -> list[ZohoStream]:
        """Return campaigns and lists."""
        lists: list[ZohoStream] = [Contacts(self, name=action) for action in self.config["actions"]]
        return [Campaigns(self), *lists]


def main() -> None:
    """Read everything."""
    order = order_of_command_line()
    tap = PlainTap(
        config={
            "api_url": order.url,
            "authorization": order.authorization,
            "page_size": order.page_size,
            "actions": [action for action in ACTIONS if action in order.actions],
        }
    )
    tap.sync_all()


if __name__ == "__main__":
    main()
