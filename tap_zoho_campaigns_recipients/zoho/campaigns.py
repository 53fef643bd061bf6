"""Campaigns as the tap knows them: from the listing, from their details, or by key alone."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from tap_zoho_campaigns_recipients.zoho.timestamps import DAY_MS, iso_from_ms, ms_from_value

if t.TYPE_CHECKING:
    from collections.abc import Mapping

LISTING_PAGE_ROWS = 100
"""`range` of the listing: this much was seen to work live."""

AB_TYPE = "abtesting"
SENT_STATUS = "sent"

LONGEST_KEY_CHARACTERS = 200
"""Those seen live have 66."""

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


@dataclass(slots=True, eq=False)
class Campaign:
    """One campaign. Times are epoch milliseconds, None where they are not known."""

    key: str
    parent_key: str | None = None
    """For the A/B variants of an A/B campaign: the campaign they belong to."""
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
    variants: list[Campaign] | None = None
    """The A/B variants; None where they have not been asked for, or no response came."""
    was_left_out: bool = False
    """Whether it is past its window, and could not be read when others of its time were."""
    own_sent_ms: int | None = None
    """For A/B variants that the listing shows as well: when they were sent themselves."""
    ab_variant: str | None = None
    """`a` or `b` for the A/B variants of an A/B campaign, if it is known which."""

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
        """Whether it is an A/B campaign, whose A/B variants have keys of their own."""
        return self.kind.lower() == AB_TYPE and self.parent_key is None

    @property
    def lacks_variants(self) -> bool:
        """Whether it has A/B variants that nobody could name."""
        return self.is_ab and self.variants is None


def campaign_from_listing(row: Mapping[str, t.Any]) -> Campaign | None:
    """Read a row of `recentcampaigns`; None where it has no key that can be asked for."""
    return _campaign(row, is_listed=True) if _key(row.get("campaign_key")) else None


def add_details(campaign: Campaign, document: Mapping[str, t.Any]) -> None:
    """Take type and times from a response of `getcampaigndetails`, for a campaign not listed."""
    row = first_object(document, "campaign-details")
    if row:
        known = _campaign({**row, "campaign_key": campaign.key}, is_listed=False)
        campaign.kind = known.kind or campaign.kind
        campaign.name = known.name
        campaign.reported_ms = known.reported_ms
        campaign.true_ms = known.true_ms
        campaign.row = {**row, "campaign_status": document.get("campaign_status")}


AB_VARIANTS = ("a", "b")


def variant_keys(document: Mapping[str, t.Any]) -> dict[str, str]:
    """Return the keys of the A/B variants from a response of `getcampaigndetails`.

    Returns:
        Which variant (`a` or `b`) each key belongs to.
    """
    split = first_object(document, "AB-split-details")
    keys = {_key(split.get(f"{letter}_child_campaignkey")): letter for letter in AB_VARIANTS}
    return {key: letter for key, letter in keys.items() if key}


def variant(parent: Campaign, key: str, letter: str | None, listed: Campaign | None) -> Campaign:
    """Return an A/B variant: window and skew are the parent's, whatever the listing shows.

    Args:
        parent: The A/B campaign.
        key: The key of the variant.
        letter: `a` or `b`; None if that is not known.
        listed: The variant as the listing shows it, if it does.
    """
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
        ab_variant=letter,
    )


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


def campaign_record(campaign: Campaign, listed_at: str) -> dict[str, t.Any]:
    """Return a record of `campaigns`.

    Args:
        campaign: The campaign.
        listed_at: When the listing of this run was read, as ISO 8601 text.
    """
    row = campaign.row
    record: dict[str, t.Any] = {
        "campaign_key": campaign.key,
        "parent_campaign_key": campaign.parent_key,
        "ab_variant": campaign.ab_variant,
        "listed_at": listed_at,
    }
    for name, names in _RECORD_NAMES.items():
        record[name] = next((text for each in names if (text := text_or_none(row.get(each)))), None)
    record["campaign_name"] = record["campaign_name"] or campaign.name
    preview = text_or_none(row.get("campaign_preview"))
    # Zoho gives the address without its scheme; its query may have another one.
    record["campaign_preview"] = (
        f"https://{preview}" if preview and not _SCHEME.match(preview) else preview
    )
    record["is_hybrid"] = {"true": True, "false": False}.get(
        (text_or_none(row.get("is_hybrid")) or "").lower()
    )
    for name in ("created_time", "updated_time", "sent_time"):
        record[name] = _iso(row.get(name))
        record[f"{name}_utc"] = _iso(row.get(f"{name}_gmt"))
    return record


def _campaign(row: Mapping[str, t.Any], *, is_listed: bool) -> Campaign:
    return Campaign(
        key=text_or_none(row["campaign_key"]) or "",
        kind=text_or_none(row.get("campaigntype")) or "",
        status=text_or_none(row.get("campaign_status")) or "",
        name=text_or_none(row.get("campaign_name")),
        reported_ms=ms_from_value(row.get("sent_time")),
        true_ms=ms_from_value(row.get("sent_time_gmt")),
        row=row,
        is_listed=is_listed,
    )


def first_object(document: Mapping[str, t.Any], name: str) -> Mapping[str, t.Any]:
    """Return the object that Zoho wraps in a list of one."""
    value = document.get(name)
    if isinstance(value, list) and value:
        value = value[0]
    return value if isinstance(value, dict) else {}


def _key(value: object) -> str | None:
    """Read a campaign's key; what would break a log line, or fill a URL, is none."""
    key = text_or_none(value)
    return key if key and key.isprintable() and len(key) <= LONGEST_KEY_CHARACTERS else None


def text_or_none(value: object) -> str | None:
    """Return a text, a number as text, or None for what Zoho leaves empty."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return value if isinstance(value, str) and value not in {"", "null"} else None


def _iso(value: object) -> str | None:
    ms = ms_from_value(value)
    return None if ms is None else iso_from_ms(ms)
