"""How Zoho spells what it answers: rows, envelopes and errors, in JSON and in XML."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal
from xml.sax.saxutils import escape, quoteattr
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sandbox.model import Account, Campaign, Contact
    from sandbox.switches import Switches

Format = Literal["json", "xml"]

NOON_H = 12
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
HTML_PAGE = b"<!DOCTYPE html><html><head><title>Zoho</title></head><body>Sorry!</body></html>"
NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")

MESSAGES = {
    "903": "Mandatory field is missing.",
    "1003": "Mandatory field is missing.",
    "1001": "Pattern doesn't Match",
    "1004": "You have entered a wrong URL.",
    "1005": "Wrong data type.",
    "1007": "Unauthorized request.",
    "2101": "Please try again later.",
    "2206": "This campaign has been deleted.",
    "2502": "Yet,There are no contacts in this list.",
    "2707": "Problem in displaying the report. Please try again later.",
    "6001": "Problem in displaying the report. Please try again later.",
    "6002": "Invalid campaign key or the campaign has not been sent yet.",
    "6101": "No campaigns available in this view.",
    "6301": "Invalid campaign key.",
    "6302": "No details found.",
    "6303": "There are no contacts.",
    "6502": "The limit given exceeds the maximum.",
    "6503": "This campaign has been deleted.",
    "6601": "A/B campaign should be sent to at least 4 recipients.",
    "6607": "You do not have sufficient privileges. Contact your organization's admin.",
    "6608": "This campaign has been deleted.",
}


class Refused(Exception):
    """The API answers with an error: a code of Zoho's, or an HTTP status of its gateway."""

    def __init__(self, code: str, message: str | None = None, status: int = 0) -> None:
        """Refuse with the usual message and HTTP status of a code, or others.

        Without a code it is the gateway that refuses, with an HTML page.
        """
        super().__init__(code)
        self.code = code
        self.message = MESSAGES.get(code, "Error") if message is None else message
        self.status = status or (401 if code == "1007" else 200)


@dataclass(slots=True)
class Reply:
    """One HTTP answer, with what the request log notes about it."""

    status: int
    body: bytes
    content_type: str = "application/json;charset=UTF-8"
    headers: dict[str, str] = field(default_factory=dict)
    code: str = "0"
    rows: int = 0


# Times


@lru_cache(maxsize=100_000)
def _clock_face(minute: int, zone: str) -> tuple[datetime, str]:
    is_offset = zone.lstrip("-").isdigit()
    there = timezone(timedelta(minutes=int(zone))) if is_offset else ZoneInfo(zone)
    timestamp = datetime.fromtimestamp(minute * 60, there)
    half_of_day = "AM" if timestamp.hour < NOON_H else "PM"
    return timestamp, f"{timestamp.hour % 12 or 12}:{timestamp:%M} {half_of_day}"


def wall_clock(at: float, zone: str) -> str:
    """Spell a time as sentdate and its like do: `02 Aug 2013, 12:39 PM`."""
    timestamp, face = _clock_face(int(at // 60), zone)
    return f"{timestamp.day:02d} {MONTHS[timestamp.month - 1]} {timestamp.year}, {face:0>8}"


def timeline_clock(at: float, zone: str) -> str:
    """Spell a time as timeline reports do: `Feb 12, 2026 12:08 PM`."""
    timestamp, face = _clock_face(int(at // 60), zone)
    return f"{MONTHS[timestamp.month - 1]} {timestamp.day}, {timestamp.year} {face}"


def epoch_ms(at: float) -> int:
    """Milliseconds of a timestamp in epoch seconds."""
    return round(at * 1000)


# Envelopes


def dump(document: object) -> bytes:
    """Serialise JSON as the API does: compact, UTF-8."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode(
        errors="surrogatepass"
    )


def xml_text(text: object) -> str:
    """Escape character data; what XML 1.0 cannot hold is left out."""
    return escape(NOT_XML.sub("", str(text)))


def fl(name: str, text: object) -> str:
    """Make one `<fl val="name">` element."""
    head = f"<fl val={quoteattr(name)}"
    return f"{head}>{xml_text(text)}</fl>" if text != "" else f"{head}/>"


def xml_reply(inner: str, uri: str, version: str) -> bytes:
    """Wrap elements in the response element."""
    return f"<response uri={quoteattr(uri)} version={quoteattr(version)}>{inner}</response>".encode(
        errors="replace"
    )


def xml_of(document: Mapping[str, Any], uri: str, version: str) -> bytes:
    """Spell the JSON document of a report, of details or of a listing in XML."""
    parts = []
    for key, value in document.items():
        name = "campaign-by-location" if key == "campaign-by-loaction" else key
        if isinstance(value, list | dict):
            items = value if isinstance(value, list) else [value]
            inner = "".join(
                f"<item>{''.join(fl(k, v) for k, v in item.items())}</item>" for item in items
            )
            parts.append(f"<{name}>{inner}</{name}>")
        elif key not in {"uri", "version"}:
            parts.append(f"<{name}>{xml_text(value)}</{name}>")
    return xml_reply("".join(parts), uri, version)


def spell_error(error: Refused, switches: Switches, asked: Format, uri: str, version: str) -> Reply:
    """Spell an error, in the format asked for where the one who refuses reads resfmt."""
    code, message = error.code, error.message
    if not code:
        return Reply(error.status, HTML_PAGE, "text/html", code=str(error.status))
    spelling = switches.error_spelling
    if spelling == "seen":
        spelling = {"1007": "gateway", "1001": "capital_no_status"}.get(code, "app")  # type: ignore[assignment]
    number: str | int = int(code) if code.isdigit() else code
    document: dict[str, Any]
    match spelling:
        case "gateway":
            document = {
                "message": message,
                "version": version,
                "URI": uri,
                "Code": code,
                "status": "error",
            }
        case "capital_no_status":
            document = {"Code": number, "Message": message}
        case _:
            spelt = number if spelling == "app_int" else code
            document = {"status": "error", "code": spelt, "message": message}
    form = switches.error_format
    if form == "asked":
        unread: dict[str, Format] = {"1004": "xml", "1007": "json"}
        form = unread.get(code, asked)
    if form == "xml":
        inner = "".join(
            f"<{key}>{xml_text(value)}</{key}>"
            for key, value in document.items()
            if key not in {"version", "URI"}
        )
        body = xml_reply(inner, uri, version)
        return Reply(error.status, body, "text/xml;charset=UTF-8", code=code)
    return Reply(error.status, dump(document), code=code)


# Rows


@dataclass(slots=True, frozen=True)
class Speller:
    """Spells rows of recipients, campaigns and reports in one dialect of the API."""

    account: Account
    switches: Switches
    version: str
    """`1.1`, or `1` of the legacy API."""

    @property
    def zone(self) -> str:
        """The zone of wall-clock times: a name, or minutes from UTC."""
        minutes = self.switches.utc_offset_minutes
        return self.account.timezone if minutes is None else str(minutes)

    def number(self, value: int | str) -> int | str:
        """Spell a number."""
        text = str(value)
        return int(text) if self.switches.numbers == "int" and text.isdigit() else text

    def percent(self, value: float) -> str | float:
        """Spell a percentage."""
        match self.switches.report_percent:
            case "sign":
                return f"{value:.1f}%"
            case "two_decimals":
                text = f"{value:.2f}"
            case _:
                text = f"{value:.1f}"
        return float(text) if self.switches.numbers == "int" else text

    def skew_ms(self, campaign: Campaign) -> int:
        """How far a campaign's epoch times are ahead."""
        return self.switches.skew_ms if campaign.skew_ms is None else campaign.skew_ms

    def _put(
        self, row: dict[str, Any], name: str, value: str | float, without: str | None = None
    ) -> None:
        """Put a field that may have no value."""
        if value:
            row[name] = value
            return
        match self.switches.empties:
            case "null_text":
                row[name] = "null" if without is None else without
            case "empty":
                row[name] = ""
            case "null":
                row[name] = None

    def _contact(self, contact: Contact) -> dict[str, Any]:
        """The part of a JSON row that is the contact's, whatever the list."""
        row: dict[str, Any] = {"contactid": self.number(contact.id)}
        self._put(row, "contactemailaddress", contact.email or "")
        observed = self.version == "1.1" and self.switches.name_fields == "contactfn"
        first, last = ("contactfn", "contactln") if observed else ("firstname", "lastname")
        self._put(row, first, contact.first_name, "")
        self._put(row, last, contact.last_name, "")
        self._put(row, "contactstatus", contact.status)
        for name in self.account.profile_fields:
            self._put(row, name, contact.profile.get(name, ""))
        if contact.rtbf is not None:
            row["rtbf"] = self.number(int(contact.rtbf))
        for name, value in contact.custom.items():
            self._put(row, name, value)
        return row

    def json_rows(
        self, contacts: Iterable[Contact], campaign: Campaign, action: str, timeline: str = ""
    ) -> str:
        """Spell a page of a list as the inside of a JSON array."""
        s = self.switches
        dialect = ("json", self.version, s.name_fields, s.empties, s.numbers)
        skew_ms, zone, time_sent = self.skew_ms(campaign), self.zone, campaign.time_sent
        has_extras = action in {"openedcontacts", "clickedcontacts"}
        quote = "" if s.numbers == "int" else '"'
        times: dict[float, str] = {}
        rows = []
        for contact in contacts:
            mine = contact.spelt.get(dialect)
            if mine is None:
                text = json.dumps(self._contact(contact), ensure_ascii=False, separators=(",", ":"))
                mine = contact.spelt[dialect] = text[:-1]
            at = time_sent(contact)
            when = times.get(at)
            if when is None:
                when = times[at] = (
                    f',"sent_time":{quote}{epoch_ms(at) + skew_ms}{quote}'
                    f',"sentdate":"{wall_clock(at, zone)}"'
                )
            more = self._extras(contact, campaign, action) if has_extras else ""
            if timeline:
                more += self._json_timeline(contact, campaign, action, timeline)
            rows.append(f"{mine}{when}{more}}}")
        return ",".join(rows)

    def _extras(self, contact: Contact, campaign: Campaign, action: str) -> str:
        mail = campaign.mail
        contact = mail.original(contact)
        fields: dict[str, Any] = {}
        if action == "openedcontacts":
            opens = open_reports(mail.opens[contact], self.zone)
            fields["openreports"] = _reports(self._labelled(opens), self.switches.openreports)
        else:
            clicks = mail.clicks[contact]
            urls = list(dict.fromkeys(url for _, url in clicks))
            fields["clickcount"] = self.number(len(clicks))
            is_text = self.switches.clickedurls == "text"
            fields["clickedurls"] = f"[{', '.join(urls)}]" if is_text else urls
            if self.switches.clickreports != "absent":
                latest = {url: wall_clock(at, self.zone) for at, url in reversed(clicks)}
                form = self.switches.clickreports
                fields["clickreports"] = _reports(self._labelled(latest), form)
            fields["urlclicks"] = [
                {"url": url, "count": self.number(sum(u == url for _, u in clicks))} for url in urls
            ]
        return "," + json.dumps(fields, ensure_ascii=False, separators=(",", ":"))[1:-1]

    def _labelled(self, times: dict[str, str]) -> dict[str, str]:
        """Put IDs in place of labels that tell something, if the switch says so."""
        if self.switches.report_labels == "telling":
            return times
        return {str(303_000 + n): time for n, time in enumerate(times.values(), 1)}

    def _json_timeline(
        self, contact: Contact, campaign: Campaign, action: str, timeline: str
    ) -> str:
        mail, original = campaign.mail, campaign.mail.original(contact)
        if action == "openedcontacts" and timeline == "open_timeline":
            times = mail.opens[original]
        elif action == "clickedcontacts" and timeline == "click_timeline":
            times = [at for at, _ in mail.clicks[original]]
        else:
            return ""
        reports = [{"time": timeline_clock(at, self.zone)} for at in times]
        return f',"reports":{json.dumps(reports, separators=(",", ":"))}'

    def xml_rows(
        self, contacts: Iterable[Contact], campaign: Campaign, action: str, timeline: str
    ) -> str:
        """Spell a page of a list as the inside of `<contacts>`.

        `timeline` is the undocumented parameter type: open_timeline or click_timeline add reports.
        """
        s, zone, mail = self.switches, self.zone, campaign.mail
        dialect = ("xml", self.version, s.xml_fields, s.empties)
        rows = []
        for contact in contacts:
            mine = contact.spelt.get(dialect)
            if mine is None:
                mine = contact.spelt[dialect] = self._xml_contact(contact)
            original = mail.original(contact)
            more, reports = "", None
            if action in {"senthardbounce", "sentsoftbounce"}:
                more = fl("bouncedDate", wall_clock(mail.bounces[original][1], zone))
            elif action == "optoutcontacts":
                more = fl("optOutTime", wall_clock(mail.optouts[original], zone))
            elif action == "openedcontacts" and timeline == "open_timeline":
                reports = mail.opens[original]
            elif action == "clickedcontacts" and timeline == "click_timeline":
                reports = [at for at, _ in mail.clicks[original]]
            if reports is not None:
                times = "".join(
                    f"<report>{fl('time', timeline_clock(at, zone))}</report>" for at in reports
                )
                more = f"<reports>{times}</reports>"
            added = fl("added_time", wall_clock(campaign.time_sent(contact), zone))
            rows.append(f"<contact>{added}{mine}{more}</contact>")
        return "".join(rows)

    def _xml_contact(self, contact: Contact) -> str:
        fields: dict[str, str | float] = {
            "first_name": contact.first_name,
            "last_name": contact.last_name,
            "company_name": contact.profile.get("companyname", ""),
            "phone": contact.profile.get("phone", ""),
            "contact_email": contact.email or "",
        }
        if self.switches.xml_fields == "all":
            fields |= {"contact_id": contact.id, "contact_status": contact.status}
            fields |= {
                name: contact.profile.get(name, "")
                for name in self.account.profile_fields
                if name not in {"companyname", "phone"}
            }
            if contact.rtbf is not None:
                fields["rtbf"] = str(int(contact.rtbf))
            fields |= contact.custom
        without = "null" if self.switches.empties == "null" else ""
        if self.switches.empties == "absent":
            fields = {name: value for name, value in fields.items() if value}
        return "".join(fl(name, value or without) for name, value in fields.items())

    # Campaigns

    def times(self, campaign: Campaign) -> dict[str, Any]:
        """Spell the created, updated and sent times of a campaign."""
        fields: dict[str, Any] = {}
        skew_ms = self.skew_ms(campaign)
        for what, at in (
            ("created", campaign.created_at),
            ("updated", campaign.sent_at or campaign.created_at),
            ("sent", campaign.sent_at),
        ):
            names = [f"{what}_time", f"{what}_time_gmt", f"{what}_date_string"]
            values: list[Any]
            if at is None:
                habit = self.switches.drafts_sent_fields
                if habit == "absent":
                    continue
                values = ["null" if habit == "null_text" else ""] * 3
            else:
                ms = epoch_ms(at)
                values = [self.number(ms + skew_ms), self.number(ms), wall_clock(at, self.zone)]
            fields |= zip(names, values, strict=True)
            if not self.switches.gmt_fields:
                del fields[f"{what}_time_gmt"]
        fields["sent_time_zone"] = campaign.sent_time_zone
        return fields

    def listing_row(self, campaign: Campaign) -> dict[str, Any]:
        """Spell a row of recentcampaigns."""
        return {
            "campaign_key": campaign.key,
            "campaignId": self.number(campaign.id),
            "campaign_name": campaign.name,
            "subject": campaign.subject,
            "from_email": campaign.from_email,
            "reply_to": campaign.reply_to,
            "campaign_status": campaign.status,
            "campaigntype": campaign.type,
            "campaign_preview": campaign.preview,
            "folder_id": campaign.folder_id,
            "is_hybrid": campaign.is_hybrid,
            "zuid": self.number(campaign.zuid),
            **self.times(campaign),
        }

    def sent_listing_row(self, campaign: Campaign) -> dict[str, Any]:
        """Spell a row of recentsentcampaigns, whose sent_time is when sending began."""
        times = self.times(campaign)
        for name in ("updated_time", "updated_time_gmt", "updated_date_string"):
            times.pop(name, None)
        for name in ("sent_time", "sent_time_gmt"):
            if name in times:
                times[name] = self.number(int(times[name]) - 60_000)
        return {
            "campaignid": self.number(campaign.id),
            "campaign_key": campaign.key,
            "campaign_name": campaign.name,
            "campaign_status": campaign.status,
            "campaigntype": campaign.type,
            "from_name": "Sandbox",
            "previewtype": "1",
            "folder_id": campaign.folder_id,
            "is_hybrid": campaign.is_hybrid,
            "zuid": self.number(campaign.zuid),
            **times,
        }

    def report_row(self, campaign: Campaign, now: float) -> dict[str, Any]:
        """Spell the counts and percentages of a report."""
        switches = self.switches
        as_of = None
        if switches.reports == "lagging":
            as_of = now - 86_400 if switches.reports_as_of is None else switches.reports_as_of
        wrong_by = 3 if switches.reports == "wrong" else 0
        report = self.account.report(campaign.key, as_of)
        return {
            name: self.percent(value) if isinstance(value, float) else self.number(value + wrong_by)
            for name, value in report.items()
        } | {"campaign_name": campaign.name}

    def details_row(self, campaign: Campaign) -> dict[str, Any]:
        """Spell campaign-details of getcampaigndetails."""
        return {
            "campaign_key": campaign.key,
            "campaign_name": campaign.name,
            "campaign_preview": campaign.preview,
            "campaigntype": campaign.type,
            "email_from": campaign.from_email,
            "email_subject": campaign.subject,
            "email_type": "HTML",
            "folder_id": campaign.folder_id,
            "is_hybrid": campaign.is_hybrid,
            "preheader": "",
            "reply_to": campaign.reply_to,
            "sender_name": "Sandbox",
            "topic_id": "",
            "topic_name": "",
            "zuid": self.number(campaign.zuid),
            **self.times(campaign),
        }


def open_reports(opens: list[float], zone: str) -> dict[str, str]:
    """The labelled times of a contact's opens, as openreports has them."""
    return {f"open_{n}": wall_clock(at, zone) for n, at in enumerate(opens, 1)}


def _reports(times: dict[str, str], form: str) -> object:
    """Spell the labelled times of opens or clicks."""
    match form:
        case "map_text":
            return map_text(times)
        case "object":
            return times
        case "json_text":
            return json.dumps(times)
        case "times":
            return list(times.values())
        case _:
            return str(times)


def map_text(values: Mapping[str, object]) -> str:
    """Spell a map as Java prints one."""
    return "{" + ", ".join(f"{key}={value}" for key, value in values.items()) + "}"
