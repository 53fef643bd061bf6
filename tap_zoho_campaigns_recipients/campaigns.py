"""Campaigns as the tap knows them: from the listing, from their details, or by key alone."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from tap_zoho_campaigns_recipients.moments import DAY_MS, iso_from_ms, ms_from_value

if t.TYPE_CHECKING:
    from collections.abc import Mapping

LISTING_PAGE_ROWS = 100
"""`range` of the listing: this much was seen to work live."""

AB_TYPE = "abtesting"
SENT_STATUS = "sent"

LONGEST_KEY_CHARACTERS = 200
"""Those seen live have 66."""

_NUMBER = re.compile(r"(-?[0-9]{1,18}(?:\.[0-9]{1,18})?) ?%?")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_NO_COUNT = 10**15
"""No honest count is so large."""


@dataclass(slots=True, eq=False)
class Campaign:
    """One campaign. Times are epoch milliseconds, None where they are not known."""

    key: str
    parent_key: str | None = None
    """For the test halves of an A/B campaign: the campaign they belong to."""
    kind: str = ""
    """Zoho's `campaigntype`."""
    status: str = ""
    name: str | None = None
    reported_ms: int | None = None
    """When it was sent, as Zoho reports it: skewed."""
    true_ms: int | None = None
    """When it was sent."""
    row: Mapping[str, t.Any] = field(default_factory=dict)
    """What Zoho says of it, under Zoho's names."""
    is_listed: bool = False
    """Whether the listing shows it, or its parent."""
    is_named: bool = False
    """Whether `campaign_keys` names it, or its parent."""
    halves: list[Campaign] | None = None
    """The test halves; None where they have not been asked for, or no answer came."""
    was_left_out: bool = False
    """Whether it is past its window, and could not be read when others of its time were."""
    own_sent_ms: int | None = None
    """For test halves that the listing shows as well: when they were sent themselves."""

    @property
    def skew_ms(self) -> int | None:
        """How far Zoho's epoch times of this campaign are ahead of the truth.

        Exactly eight hours on the US data center, unknown on the others; so it is taken from each
        campaign's own two times and never from a constant.
        """
        if self.reported_ms is None or self.true_ms is None:
            return None
        return self.reported_ms - self.true_ms

    @property
    def sent_ms(self) -> int | None:
        """The sent time to order campaigns by: the true one, or as good as it is known."""
        return self.reported_ms if self.true_ms is None else self.true_ms

    @property
    def listed_ms(self) -> int | None:
        """The sent time that tells whether it is finished; None where no listing shows it.

        What is finished is kept as ranges of sent time, but only of campaigns that were listed.
        """
        if self.own_sent_ms is not None:
            return self.own_sent_ms
        return self.sent_ms if self.is_listed else None

    @property
    def sent_at_the_latest_ms(self) -> int | None:
        """The sent time with a day added where only the skewed one is known."""
        if self.true_ms is None and self.reported_ms is not None:
            return self.reported_ms + DAY_MS
        return self.true_ms

    @property
    def is_ab(self) -> bool:
        """Whether it is an A/B campaign, whose test halves have keys of their own."""
        return self.kind.lower() == AB_TYPE and self.parent_key is None

    @property
    def lacks_halves(self) -> bool:
        """Whether it has test halves that nobody could name."""
        return self.is_ab and self.halves is None


def campaign_from_listing(row: Mapping[str, t.Any]) -> Campaign | None:
    """Read a row of `recentcampaigns`; None where it has no key that can be asked for."""
    return _campaign(row, is_listed=True) if _key(row.get("campaign_key")) else None


def add_details(campaign: Campaign, document: Mapping[str, t.Any]) -> None:
    """Take type and times from an answer of `getcampaigndetails`, for a campaign not listed."""
    row = _first(document, "campaign-details")
    if row:
        known = _campaign({**row, "campaign_key": campaign.key}, is_listed=False)
        campaign.kind = known.kind or campaign.kind
        campaign.name = known.name
        campaign.reported_ms = known.reported_ms
        campaign.true_ms = known.true_ms
        campaign.row = {**row, "campaign_status": document.get("campaign_status")}


def half_keys(document: Mapping[str, t.Any]) -> list[str]:
    """Return the keys of the test halves from an answer of `getcampaigndetails`."""
    split = _first(document, "AB-split-details")
    keys = (_key(split.get(name)) for name in ("a_child_campaignkey", "b_child_campaignkey"))
    return [key for key in keys if key]


def half(parent: Campaign, key: str, listed: Campaign | None) -> Campaign:
    """Return a test half: window and skew are the parent's, whatever the listing shows."""
    return Campaign(
        key=key,
        parent_key=parent.key,
        kind=listed.kind if listed else "",
        status=listed.status if listed else "",
        name=listed.name if listed else parent.name,
        reported_ms=parent.reported_ms,
        true_ms=parent.true_ms,
        row=listed.row if listed else {},
        is_listed=parent.is_listed,
        is_named=parent.is_named,
        own_sent_ms=listed.listed_ms if listed else None,
    )


def report_counts(document: Mapping[str, t.Any]) -> dict[str, int | float]:
    """Return the numbers of an answer of `campaignreports`, under Zoho's names.

    Live answers have all of them as text; what is not a number is left out.
    """
    row = _first(document, "campaign-reports")
    return {name: number for name, value in row.items() if (number := _number(value)) is not None}


def report_record(
    campaign: Campaign,
    document: Mapping[str, t.Any],
    properties: Mapping[str, t.Any],
    read_at: str,
) -> dict[str, t.Any]:
    """Return a record of `campaign_reports`.

    Args:
        campaign: Whose report it is.
        document: The answer of `campaignreports`.
        properties: The fields of the stream's schema.
        read_at: ISO text of the moment it was asked for.
    """
    counts = report_counts(document)
    record: dict[str, t.Any] = dict.fromkeys(properties)
    for name in properties:
        number = counts.get(name)
        if number is not None and "integer" in properties[name].get("type", ()):
            record[name] = int(number) if float(number).is_integer() else None
        elif number is not None:
            record[name] = number
    record["campaign_key"] = campaign.key
    record["parent_campaign_key"] = campaign.parent_key
    record["campaign_name"] = (
        _text(_first(document, "campaign-reports").get("campaign_name")) or campaign.name
    )
    record["report_read_at"] = read_at
    return record


_RECORD_NAMES = {
    "campaign_id": ("campaignId", "campaignid", "campaign_id"),
    "campaign_name": ("campaign_name",),
    "campaign_type": ("campaigntype", "campaign_type"),
    "campaign_status": ("campaign_status",),
    "subject": ("subject", "email_subject"),
    "from_email": ("from_email", "email_from"),
    "reply_to": ("reply_to",),
    "folder_id": ("folder_id",),
    "zuid": ("zuid",),
    "sent_time_zone": ("sent_time_zone",),
}
"""Fields of `campaigns` that are texts, and Zoho's names in the listing and in the details."""


def campaign_record(campaign: Campaign) -> dict[str, t.Any]:
    """Return a record of `campaigns`."""
    row = campaign.row
    record: dict[str, t.Any] = {
        "campaign_key": campaign.key,
        "parent_campaign_key": campaign.parent_key,
    }
    for name, names in _RECORD_NAMES.items():
        record[name] = next((text for each in names if (text := _text(row.get(each)))), None)
    record["campaign_name"] = record["campaign_name"] or campaign.name
    preview = _text(row.get("campaign_preview"))
    # Zoho gives the address without its scheme; another one may stand in its query.
    record["campaign_preview"] = (
        f"https://{preview}" if preview and not _SCHEME.match(preview) else preview
    )
    record["is_hybrid"] = {"true": True, "false": False}.get(
        (_text(row.get("is_hybrid")) or "").lower()
    )
    for name in ("created_time", "updated_time", "sent_time"):
        record[name] = _iso(row.get(name))
        record[f"{name}_utc"] = _iso(row.get(f"{name}_gmt"))
    return record


def _campaign(row: Mapping[str, t.Any], *, is_listed: bool) -> Campaign:
    return Campaign(
        key=_text(row["campaign_key"]) or "",
        kind=_text(row.get("campaigntype")) or "",
        status=_text(row.get("campaign_status")) or "",
        name=_text(row.get("campaign_name")),
        reported_ms=ms_from_value(row.get("sent_time")),
        true_ms=ms_from_value(row.get("sent_time_gmt")),
        row=row,
        is_listed=is_listed,
    )


def _first(document: Mapping[str, t.Any], name: str) -> Mapping[str, t.Any]:
    """Return the object that Zoho wraps in a list of one."""
    value = document.get(name)
    if isinstance(value, list) and value:
        value = value[0]
    return value if isinstance(value, dict) else {}


def _key(value: object) -> str | None:
    """Read a campaign's key; what would break a log line, or fill a URL, is none."""
    key = _text(value)
    return key if key and key.isprintable() and len(key) <= LONGEST_KEY_CHARACTERS else None


def _text(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return value if isinstance(value, str) and value not in {"", "null"} else None


def _iso(value: object) -> str | None:
    ms = ms_from_value(value)
    return None if ms is None else iso_from_ms(ms)


def _number(value: object) -> int | float | None:
    """Read a count or a percentage: text or a number, with a percent sign or without."""
    if isinstance(value, str):
        match = _NUMBER.fullmatch(value.strip())
        if match is None:
            return None
        value = float(match[1]) if "." in match[1] else int(match[1])
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) < _NO_COUNT else None  # no NaN either
