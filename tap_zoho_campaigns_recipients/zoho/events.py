"""Opens and clicks: one record for each, from the reports in a contact's record."""

from __future__ import annotations

import typing as t
from datetime import UTC

from tap_zoho_campaigns_recipients.zoho.field_values import is_link
from tap_zoho_campaigns_recipients.zoho.timestamps import iso_from_ms, ms_from_value
from tap_zoho_campaigns_recipients.zoho.wall_clock import ms_from_wall_clock

if t.TYPE_CHECKING:
    from zoneinfo import ZoneInfo

REPORTS_FIELD = {"openedcontacts": "open_reports", "clickedcontacts": "click_reports"}
"""The field with the events of a contact, by Zoho's name of the list."""

TIMELINE_TYPE = {"openedcontacts": "open_timeline", "clickedcontacts": "click_timeline"}
"""The value of `type` with which XML rows have events (zoho-api.md 1.1, 5.5)."""

FIELDS_OF_EVENTS = {
    action: (
        "campaign_key",
        "parent_campaign_key",
        "contact_email",
        "contact_id",
        "sent_time",
        "sent_time_utc",
        "sent_date",
        field,
        "list_read_at",
    )
    for action, field in REPORTS_FIELD.items()
}
"""The fields of a contact's record that its events need."""


def event_records(
    record: dict[str, t.Any], action: str, account_timezone: ZoneInfo | None
) -> list[dict[str, t.Any]]:
    """Return the events of a contact in the order of time, those of unreadable times last.

    Args:
        record: The contact's record.
        action: Zoho's name of the list.
        account_timezone: The zone of Zoho's wall-clock texts, if it is known.
    """
    found = []
    for place, report in enumerate(record[REPORTS_FIELD[action]] or ()):
        time, label = report["time"], report["label"]
        ms = _order_ms(time)
        order = (ms is None, place if ms is None else ms, label or "")
        found.append((order, time, label))
    events = []
    for number, (_, time, label) in enumerate(sorted(found, key=lambda each: each[0]), start=1):
        ms = ms_from_wall_clock(time, account_timezone) if time and account_timezone else None
        event = {
            "campaign_key": record["campaign_key"],
            "parent_campaign_key": record["parent_campaign_key"],
            "contact_email": record["contact_email"],
            "contact_id": record["contact_id"],
            "event_number": number,
            "event_time": time,
            "event_time_utc": None if ms is None else iso_from_ms(ms),
            "event_label": label,
            "list_read_at": record["list_read_at"],
        }
        if action == "clickedcontacts":
            event["url"] = label if label and is_link(label) else None
        events.append(event)
    return events


def _order_ms(time: str | None) -> int | None:
    """Return a number that orders the times of events; None if a time cannot be read."""
    if time is None:
        return None
    ms = ms_from_wall_clock(time, UTC)
    return ms_from_value(time) if ms is None else ms
