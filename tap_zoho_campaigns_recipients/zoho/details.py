"""Details of campaigns: the response of `getcampaigndetails` as a record (zoho-api.md 1.4)."""

from __future__ import annotations

import typing as t

from tap_zoho_campaigns_recipients.zoho.campaigns import first_object, text_or_none
from tap_zoho_campaigns_recipients.zoho.field_values import (
    TooDeepError,
    integer_from_value,
    object_from_map,
    plain_value,
)

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_zoho_campaigns_recipients.zoho.campaigns import Campaign

_DETAILS = "campaign-details"
_TEXTS = ("sender_name", "preheader", "topic_name", "email_type")
_AGENTS: t.Final[dict[str, tuple[str, ...]]] = {
    "mail_clients": ("emailclients_percent",),
    "browsers": ("browsers_percent",),
}
"""Fields of opens by program, and the objects in `useragentstats` that have them: raw counts,
despite their names."""
_DEVICES: t.Final[dict[str, str]] = {
    "computer": "computer_percent",
    "mobile": "mobile_percent",
    "tablet": "tablets_percent",
}
_LISTS = "associated_mailing_lists"
_SEGMENTS = "segments_info"
_AB_TEST = "AB-split-details"
_AGENT_STATS = "useragentstats"
_ENVELOPE = ("status", "code", "message", "uri", "url", "version", "requestdetails")


def details_record(
    campaign: Campaign, document: Mapping[str, t.Any], read_at: str
) -> dict[str, t.Any]:
    """Return a record of `campaign_details`.

    Args:
        campaign: The campaign.
        document: The response of `getcampaigndetails`.
        read_at: When it was requested, as ISO 8601 text.
    """
    details = first_object(document, _DETAILS)
    agents = object_from_map(document.get(_AGENT_STATS))
    lists, segments = _objects(document.get(_LISTS)), _objects(document.get(_SEGMENTS))
    ab_test = first_object(document, _AB_TEST)
    read = {
        _DETAILS if details else "",
        _LISTS if lists is not None else "",
        _SEGMENTS if segments is not None else "",
        _AB_TEST if ab_test else "",
        _AGENT_STATS if agents else "",
    }
    other = {
        name: value
        for name, value in document.items()
        if name not in read and name.lower() not in _ENVELOPE
    }
    rest = {name: value for name, value in details.items() if name not in _TEXTS}
    if rest:
        other[_DETAILS] = rest
    known_agents = {*_DEVICES.values(), *(name for names in _AGENTS.values() for name in names)}
    if unread := {name: value for name, value in agents.items() if name not in known_agents}:
        other[_AGENT_STATS] = unread
    return {
        "campaign_key": campaign.key,
        "parent_campaign_key": campaign.parent_key,
        "details_read_at": read_at,
        **{name: text_or_none(details.get(name)) for name in _TEXTS},
        "mailing_lists": None if lists is None else [_mailing_list(each) for each in lists],
        "segments": None if segments is None else _plain(segments),
        "devices": _devices(agents),
        **{
            field: next((_counts(agents[name]) for name in names if name in agents), None)
            for field, names in _AGENTS.items()
        },
        "ab_test": _plain(ab_test) if ab_test else None,
        "other": _plain(other) if other else None,
    }


def _objects(value: object) -> list[dict[str, t.Any]] | None:
    """Return an array of objects; None for anything else, an empty array included."""
    if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        return value
    return None


def _mailing_list(row: Mapping[str, t.Any]) -> dict[str, t.Any]:
    count = row.get("contacts count", row.get("contacts_count", row.get("contactscount")))
    return {
        "list_key": text_or_none(row.get("listkey")),
        "list_name": text_or_none(row.get("listname")),
        "contacts": integer_from_value(count),
    }


def _counts(value: object) -> list[dict[str, t.Any]]:
    return [
        {"name": name, "opens": integer_from_value(count)}
        for name, count in object_from_map(value).items()
    ]


def _devices(agents: Mapping[str, t.Any]) -> list[dict[str, t.Any]] | None:
    """Return the opens by device: one number each, or an object of numbers by program."""
    devices = []
    for device, name in _DEVICES.items():
        if name not in agents:
            continue
        inner = object_from_map(agents[name])
        if inner:
            devices += [
                {"name": f"{device}: {each}", "opens": integer_from_value(count)}
                for each, count in inner.items()
            ]
        else:
            devices.append({"name": device, "opens": integer_from_value(agents[name])})
    return devices or None


def _plain(value: object) -> t.Any:  # noqa: ANN401 - it is JSON
    try:
        return plain_value(value)
    except TooDeepError:
        return None
