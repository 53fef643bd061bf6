"""Reports of campaigns: the response of `campaignreports` as numbers, and as records."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from tap_zoho_campaigns_recipients.zoho.campaigns import first_object, text_or_none
from tap_zoho_campaigns_recipients.zoho.field_values import integer_from_value, object_from_map

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tap_zoho_campaigns_recipients.zoho.campaigns import Campaign

LOCATION_NAMES = ("campaign-by-loaction", "campaign-by-location")
"""Zoho's spelling, and the right one (zoho-api.md 1.5)."""

_NUMBER = re.compile(r"(-?[0-9]{1,18}(?:\.[0-9]{1,18})?) ?%?")
_NO_COUNT = 10**15
"""No real count is so large."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a report says."""

    numbers: dict[str, int | float]
    """Counts and percentages, under Zoho's names."""
    campaign_name: str | None = None
    locations: tuple[tuple[str, int], ...] = ()
    """The opens by location, as Zoho names it."""

    def __bool__(self) -> bool:
        """Whether it has any number; a report without one says nothing."""
        return bool(self.numbers)


def report_from_document(document: Mapping[str, t.Any]) -> Report:
    """Read a response of `campaignreports`.

    Live responses have all numbers as text; what is not a number is left out.
    """
    row = first_object(document, "campaign-reports")
    numbers = {
        name: number for name, value in row.items() if (number := _number(value)) is not None
    }
    return Report(numbers, text_or_none(row.get("campaign_name")), tuple(_locations(document)))


def report_record(
    campaign: Campaign, report: Report, properties: Mapping[str, t.Any], read_at: str
) -> dict[str, t.Any]:
    """Return a record of `campaign_reports`.

    Args:
        campaign: The campaign.
        report: Its report.
        properties: The fields of the stream's schema.
        read_at: When the report was requested, as ISO 8601 text.
    """
    record: dict[str, t.Any] = dict.fromkeys(properties)
    for name in properties:
        number = report.numbers.get(name)
        if number is not None and "integer" in properties[name].get("type", ()):
            record[name] = int(number) if float(number).is_integer() else None
        elif number is not None:
            record[name] = number
    return record | {
        "campaign_key": campaign.key,
        "parent_campaign_key": campaign.parent_key,
        "campaign_name": report.campaign_name or campaign.name,
        "report_read_at": read_at,
    }


def location_records(campaign: Campaign, report: Report, read_at: str) -> list[dict[str, t.Any]]:
    """Return the records of `campaign_locations`."""
    return [
        {
            "campaign_key": campaign.key,
            "parent_campaign_key": campaign.parent_key,
            "location": location,
            "opens": opens,
            "report_read_at": read_at,
        }
        for location, opens in report.locations
    ]


def _locations(document: Mapping[str, t.Any]) -> Iterator[tuple[str, int]]:
    seen: set[str] = set()
    for name in LOCATION_NAMES:
        for location, value in object_from_map(document.get(name)).items():
            opens = integer_from_value(value)
            place = location.strip()
            if opens is not None and place not in {"", "null", *seen}:
                seen.add(place)
                yield place, opens


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
