"""The records that must arrive, written down from what the sandbox knows to be true.

Nothing here is taken from the tap: names and types of fields are the contract's.
"""

from __future__ import annotations

import typing as t
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from sandbox import wall_clock
from support.tap_runs import RECIPIENT_ACTIONS

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox import Sandbox
    from support.tap_runs import Outcome

Record = dict[str, t.Any]

PROFILE = {
    "company_name": "companyname",
    "phone": "phone",
    "mobile": "mobile",
    "job_title": "jobtitle",
    "title": "title",
    "address": "address",
    "city": "city",
    "state": "state",
    "country": "country",
    "zip_code": "zipcode",
    "website": "website",
    "note": "note",
    "secondary_email": "secondary_email",
    "facebook_handle": "facebook_handle",
    "linkedin_handle": "linkedin_handle",
    "twitter_handle": "twitter_handle",
    "timezone": "timezone",
}
"""Fields of a contact's profile, and the sandbox's names for them."""

XML_PROFILE = ("company_name", "phone")
"""Those that Zoho documents of XML."""

OWN_FIELDS = {
    "opened_contacts": ("open_reports",),
    "clicked_contacts": ("click_count", "clicked_urls", "url_clicks", "click_reports"),
    "hard_bounce_contacts": ("bounced_date",),
    "soft_bounce_contacts": ("bounced_date",),
    "optout_contacts": ("optout_time",),
}
"""The fields that only some streams have."""

SHARED_FIELDS = (
    "campaign_key",
    "parent_campaign_key",
    "action",
    "contact_email",
    "contact_id",
    "contact_status",
    "first_name",
    "last_name",
    *PROFILE,
    "sent_time",
    "sent_time_utc",
    "sent_date",
    "list_read_at",
    "is_forgotten",
)

EVENTS = {"open_events": "openedcontacts", "click_events": "clickedcontacts"}
"""The event streams, and the actions of their lists."""

NOT_SAID = ("", "null", None)
"""What Zoho writes where it has nothing to say."""


def iso(at: float | None) -> str | None:
    """Spell a moment in epoch seconds as records have it."""
    if at is None:
        return None
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=round(at * 1000))
    return moment.isoformat(timespec="milliseconds")


def fields(stream: str) -> list[str]:
    """The fields of a recipient stream."""
    return [*SHARED_FIELDS, *OWN_FIELDS.get(stream, ()), "custom_fields"]


def said(value: str | None) -> str | None:
    return None if value in NOT_SAID else value


def expected_list(
    zoho: Sandbox,
    stream: str,
    campaign_key: str,
    *,
    read_at: float,
    response_format: str = "json",
    account_timezone: str | None = None,
    with_events: bool = True,
) -> list[Record]:
    """The records of one list, under the default position of every switch.

    Args:
        zoho: The sandbox.
        stream: A recipient stream.
        campaign_key: The campaign.
        read_at: When the list was read, epoch seconds.
        response_format: As the setting.
        account_timezone: As the setting.
        with_events: Whether the event streams are selected: XML has events only then.
    """
    make = _xml_record if response_format == "xml" else _json_record
    action = RECIPIENT_ACTIONS[stream]
    parent_key = zoho.account.campaigns[campaign_key].parent_key
    records = []
    for row in zoho.account.rows(campaign_key, action):
        record: Record = dict.fromkeys(fields(stream))
        record |= {
            "campaign_key": campaign_key,
            "parent_campaign_key": parent_key,
            "action": action,
            "list_read_at": iso(read_at),
            "sent_date": wall_clock(row["sent_at"], zoho.account.timezone),
            "first_name": said(row["first_name"]),
            "last_name": said(row["last_name"]),
        }
        if make(record, row, zoho, stream, account_timezone):
            records.append(record)
        if response_format == "xml" and with_events:
            record |= _xml_reports(row, stream, zoho.account.timezone)
    return records


def _xml_reports(row: Record, stream: str, zone: str) -> Record:
    """The times of opens or clicks as timelines have them: without labels."""
    if stream == "opened_contacts":
        name, times = "open_reports", row["opens"]
    elif stream == "clicked_contacts":
        name, times = "click_reports", [at for at, _ in row["clicks"]]
    else:
        return {}
    return {name: [{"label": None, "time": timeline_clock(at, zone)} for at in times] or None}


def timeline_clock(at: float, zone: str) -> str:
    """Spell a time as timelines do: `Feb 12, 2026 12:08 PM`."""
    face = datetime.fromtimestamp(at, ZoneInfo(zone))
    return f"{face:%b} {face.day}, {face:%Y} {face.hour % 12 or 12}:{face:%M %p}"


def _json_record(
    record: Record, row: Record, zoho: Sandbox, stream: str, account_timezone: str | None
) -> bool:
    del account_timezone
    zone = zoho.account.timezone
    skew_s = zoho.switches.skew_ms / 1000
    record |= {name: said(row["profile"].get(theirs)) for name, theirs in PROFILE.items()}
    record |= {
        "contact_email": (row["email"] or f"{row['contact_id']}@no-address.invalid").lower(),
        "contact_id": row["contact_id"],
        "contact_status": said(row["status"]),
        "sent_time": iso(row["sent_at"] + skew_s),
        "sent_time_utc": iso(row["sent_at"]),
        "is_forgotten": row["rtbf"],
    }
    custom = {name: said(value) for name, value in row["custom"].items()}
    if stream == "opened_contacts":
        record["open_reports"] = [
            {"label": f"open_{number}", "time": wall_clock(at, zone)}
            for number, at in enumerate(row["opens"], 1)
        ]
    if stream == "clicked_contacts":
        urls = list(dict.fromkeys(url for _, url in row["clicks"]))
        record["click_count"] = len(row["clicks"])
        record["clicked_urls"] = urls
        record["url_clicks"] = [
            {"url": url, "count": [each for _, each in row["clicks"]].count(url)} for url in urls
        ]
        latest = {url: wall_clock(at, zone) for at, url in reversed(row["clicks"])}
        record["click_reports"] = [{"label": url, "time": at} for url, at in latest.items()]
    record["custom_fields"] = custom or None
    return True


def _xml_record(
    record: Record, row: Record, zoho: Sandbox, stream: str, account_timezone: str | None
) -> bool:
    """XML rows have no id: a contact without an address cannot be told from others."""
    if not row["email"]:
        return False
    record |= {name: said(row["profile"].get(PROFILE[name])) for name in XML_PROFILE}
    record["contact_email"] = row["email"].lower()
    if account_timezone is not None:
        face = wall_clock(row["sent_at"], zoho.account.timezone)
        moment = datetime.strptime(face, "%d %b %Y, %I:%M %p").replace(
            tzinfo=ZoneInfo(account_timezone)
        )
        record["sent_time_utc"] = iso(moment.timestamp())
        record["sent_time"] = iso(moment.timestamp() + zoho.switches.skew_ms / 1000)
    if stream in {"hard_bounce_contacts", "soft_bounce_contacts"}:
        record["bounced_date"] = wall_clock(row["bounced_at"], zoho.account.timezone)
    if stream == "optout_contacts":
        record["optout_time"] = wall_clock(row["optout_at"], zoho.account.timezone)
    return True


def minute(at: float, timezone: str) -> float:
    """Return the time that a wall-clock text says: to the minute, of two equal ones the earlier."""
    clock = datetime.fromtimestamp(at // 60 * 60, ZoneInfo(timezone))
    return clock.replace(fold=0).timestamp()


def expected_events(zoho: Sandbox, read_at: float, form: str = "json") -> dict[str, list[Record]]:
    """Return all events that the account knows, as Zoho's rows tell them."""
    return {
        stream: [
            record
            for key in sent_campaigns(zoho)
            for record in events_of_list(zoho, stream, key, read_at, form)
        ]
        for stream in EVENTS
    }


def events_of_list(
    zoho: Sandbox, stream: str, key: str, read_at: float, form: str = "json"
) -> list[Record]:
    """Return the events that the rows of one list tell."""
    events: list[Record] = []
    zone = zoho.account.timezone
    for row in zoho.account.rows(key, EVENTS[stream]):
        if not row["email"] and form == "xml":
            continue
        if stream == "open_events":
            times = [(at, f"open_{n}") for n, at in enumerate(row["opens"], 1)]
        elif form == "xml":
            times = [(at, "") for at, _ in row["clicks"]]
        else:
            # The map has one time for each link.
            times = [(at, url) for url, at in {u: a for a, u in reversed(row["clicks"])}.items()]
        spell = timeline_clock if form == "xml" else wall_clock
        ordered = sorted((minute(at, zone), label, at) for at, label in times)
        for number, (_, label, at) in enumerate(ordered, 1):
            record = {
                "campaign_key": key,
                "parent_campaign_key": zoho.account.campaigns[key].parent_key,
                "contact_email": (
                    row["email"] or f"{row['contact_id']}@no-address.invalid"
                ).lower(),
                "contact_id": None if form == "xml" else row["contact_id"],
                "event_number": number,
                "event_time": spell(at, zone),
                "event_time_utc": iso(minute(at, zone)),
                "event_label": None if form == "xml" else label,
                "list_read_at": iso(read_at),
            }
            if stream == "click_events":
                record["url"] = record["event_label"]
            events.append(record)
    return events


def sent_campaigns(zoho: Sandbox) -> list[str]:
    """Keys of all campaigns that were sent, A/B variants included."""
    return [key for key, campaign in zoho.account.campaigns.items() if campaign.sent_at is not None]


def in_order(records: Iterable[Record]) -> list[Record]:
    """Sort by key: in which order campaigns come is no matter to those who load them."""
    return sorted(records, key=lambda record: (record["campaign_key"], record["contact_email"]))


def assert_all_arrived(
    zoho: Sandbox,
    outcome: Outcome,
    *,
    read_at: float,
    streams: Iterable[str] = RECIPIENT_ACTIONS,
    response_format: str = "json",
    account_timezone: str | None = None,
) -> None:
    """See every row of these lists of every sent campaign, whole and exactly once."""
    arrived = outcome.records
    for stream in streams:
        expected = [
            record
            for key in sent_campaigns(zoho)
            for record in expected_list(
                zoho,
                stream,
                key,
                read_at=read_at,
                response_format=response_format,
                account_timezone=account_timezone,
            )
        ]
        assert in_order(arrived[stream]) == in_order(expected), stream
