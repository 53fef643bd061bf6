"""From a row as Zoho sends it to a record of ours.

The only module that knows Zoho's names for the fields of a recipient. Nothing that Zoho sent is
dropped: what belongs to no field of the stream, and what cannot be read as the type of its field,
is kept under `custom_fields`.
"""

from __future__ import annotations

import hashlib
import typing as t
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from tap_zoho_campaigns_recipients.zoho.field_values import (
    EXTRA,
    READERS,
    UNREAD,
    TooDeepError,
    is_null,
    plain_value,
    read_text,
)
from tap_zoho_campaigns_recipients.zoho.timestamps import (
    FIRST_MS,
    LAST_MS,
    iso_from_ms,
    ms_from_value,
)
from tap_zoho_campaigns_recipients.zoho.wall_clock import ms_from_wall_clock

if t.TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence
    from zoneinfo import ZoneInfo

    from tap_zoho_campaigns_recipients.zoho.endpoints import ResponseFormat

    Reader = Callable[[object], tuple[t.Any, int]]

Record = dict[str, t.Any]

SPELLINGS: t.Final[dict[str, tuple[str, ...]]] = {
    "contact_email": ("contactemailaddress", "contact_email"),
    "contact_id": ("contactid", "contact_id"),
    "contact_status": ("contactstatus", "contact_status"),
    "first_name": ("contactfn", "firstname", "first_name"),
    "last_name": ("contactln", "lastname", "last_name"),
    "company_name": ("companyname", "company_name"),
    "phone": ("phone",),
    "mobile": ("mobile",),
    "job_title": ("jobtitle", "job_title"),
    "title": ("title",),
    "address": ("address",),
    "city": ("city",),
    "state": ("state",),
    "country": ("country",),
    "zip_code": ("zipcode", "zip_code"),
    "website": ("website",),
    "note": ("note",),
    "secondary_email": ("secondaryemail", "secondary_email"),
    "facebook_handle": ("facebookhandle", "facebook_handle"),
    "linkedin_handle": ("linkedinhandle", "linkedin_handle"),
    "twitter_handle": ("twitterhandle", "twitter_handle"),
    "timezone": ("timezone",),
    "sent_time": ("sent_time",),
    "sent_date": ("sentdate", "added_time"),
    "is_forgotten": ("rtbf",),
    "open_reports": ("openreports", "open_reports", "reports"),
    "click_reports": ("clickreports", "click_reports", "reports"),
    "click_count": ("clickcount", "click_count"),
    "clicked_urls": ("clickedurls", "clicked_urls"),
    "url_clicks": ("urlclicks", "url_clicks"),
    "bounced_date": ("bouncedDate", "bounced_date"),
    "optout_time": ("optOutTime", "optout_time"),
}
"""Zoho's names for each field, in the order in which they are preferred: JSON and XML differ, and
so do the documentation and what was seen live (`contactfn`, `contactln`). Letters may be of
either case, but the case given here goes first."""

NO_ADDRESS_DOMAIN: t.Final = "no-address.invalid"
"""The domain in the address of a contact who has none, behind the contact ID."""

_MOST_LAYOUTS: t.Final = 1_000
_LONGEST_NAMES_CHARACTERS: t.Final = 10_000


def _iso_or_none(ms: int) -> str | None:
    return iso_from_ms(ms) if FIRST_MS <= ms <= LAST_MS else None


@dataclass(frozen=True, slots=True)
class _RowLayout:
    """Where the values of a row with certain names go."""

    texts: tuple[tuple[str, str], ...]
    """Name and field, for the texts: nearly all."""
    sent_times: tuple[str, ...]
    """Names of the sent time: one at the most, as far as anyone knows."""
    others: tuple[tuple[str, str], ...]
    """Name and field, for what is no text, and for a second spelling of a field."""
    custom: tuple[str, ...]
    """Names that belong to no field of the stream."""


class _RowLayouts(dict[tuple[str, ...], _RowLayout]):
    """The layouts of a stream by the names of a row: a page has few sets of names."""

    def __init__(self, fields: tuple[str, ...]) -> None:
        places = [
            (spelling, (field, rank))
            for field in fields
            for rank, spelling in enumerate(SPELLINGS.get(field, ()))
        ]
        self._exact = dict(places)
        self._folded = {spelling.lower(): place for spelling, place in places}

    def __missing__(self, names: tuple[str, ...]) -> _RowLayout:
        """Make a layout, and keep it if that costs little memory."""
        found: dict[str, list[tuple[int, bool, str]]] = {}
        custom = []
        for name in names:
            is_exact = name in self._exact
            place = self._exact.get(name) or self._folded.get(name.lower())
            if place is None:
                custom.append(name)
            else:
                field, rank = place
                found.setdefault(field, []).append((rank, not is_exact, name))
        texts, others = [], []
        for field, spellings in found.items():
            ranked = [(name, field) for _, _, name in sorted(spellings)]
            if field in READERS:
                others += ranked
            elif field != "sent_time":
                texts.append(ranked[0])
                others += ranked[1:]
        sent_times = tuple(name for _, _, name in sorted(found.get("sent_time", ())))
        layout = _RowLayout(tuple(texts), sent_times, tuple(others), tuple(custom))
        if sum(map(len, names)) <= _LONGEST_NAMES_CHARACTERS:
            if len(self) >= _MOST_LAYOUTS:
                self.clear()
            self[names] = layout
        return layout


@lru_cache(maxsize=64)
def _layouts(fields: tuple[str, ...]) -> _RowLayouts:
    """Return the layouts of a stream, shared by all its lists."""
    return _RowLayouts(fields)


def _address(email: str | None, contact_id: str | None) -> str | None:
    """Return what a record is delivered under; None where Zoho gives nothing to make it of."""
    address = email and email.strip().lower()
    if address and address != "null":
        return address
    return contact_id and f"{contact_id}@{NO_ADDRESS_DOMAIN}".lower()


class RecordMaker:
    """Makes the records of one reading of one list."""

    def __init__(
        self,
        *,
        action: str,
        fields: Sequence[str],
        campaign_key: str,
        parent_campaign_key: str | None,
        skew_ms: int | None,
        account_timezone: ZoneInfo | None,
        response_format: ResponseFormat,
        list_read_at: str,
    ) -> None:
        """Prepare for any number of rows.

        Args:
            action: Zoho's name of the list.
            fields: The fields of the stream. Every record has all of them, in this order.
            campaign_key: The campaign that the list belongs to.
            parent_campaign_key: For an A/B variant, the campaign that it belongs to.
            skew_ms: The times that Zoho reports of this campaign less the true ones, in
                milliseconds; None where that is not known.
            account_timezone: The zone of the wall-clock times in XML; None where it is not known.
            response_format: The format of the rows.
            list_read_at: When the reading began, in ISO 8601.
        """
        self._template: Record = dict.fromkeys(fields) | {
            "campaign_key": campaign_key,
            "parent_campaign_key": parent_campaign_key,
            "action": action,
            "list_read_at": list_read_at,
        }
        self._layouts = _layouts(tuple(fields))
        self._skew_ms = skew_ms
        self._wall_clock_zone = account_timezone if response_format == "xml" else None
        self._sent_as = ""
        self._sent: tuple[str | None, str | None] = (None, None)
        self.unread_values: Counter[str] = Counter()
        """Values that could not be read as the type of their field, by field."""

    def make(self, row: dict[str, t.Any]) -> Record | None:
        """Make the record of a row.

        Args:
            row: A row under Zoho's names.

        Returns:
            The record; None for a row that has neither an address nor a contact ID.
        """
        layout = self._layouts[tuple(row)]
        record = self._template.copy()
        custom = {name: self._kept(row[name]) for name in layout.custom}
        for name, field in layout.texts:
            value = row[name]
            if type(value) is str:
                if value and value != "null":
                    record[field] = value
            elif value is not None:
                self._set(record, custom, field, name, value)
        for name in layout.sent_times:
            self._set_sent_time(record, custom, name, row[name])
        for name, field in layout.others:
            self._set(record, custom, field, name, row[name])
        if custom:
            record["custom_fields"] = custom
        if self._wall_clock_zone is not None and record["sent_time"] is None:
            self._read_wall_clock(record, self._wall_clock_zone)
        record["contact_email"] = email = _address(record["contact_email"], record["contact_id"])
        return record if email else None

    def identity(self, row: dict[str, t.Any], record: Record | None) -> Hashable:
        """Return what tells a row from the others of its list, where two pages meet.

        Args:
            row: The row.
            record: What `make` made of it.
        """
        if record is not None:
            return record["contact_id"], record["contact_email"]
        content = msgspec.json.encode(self._kept(row))
        return hashlib.blake2b(content, digest_size=16).digest()

    def _set(
        self, record: Record, custom: dict[str, t.Any], field: str, name: str, value: object
    ) -> None:
        """Read any value into any field but `sent_time`, unless a spelling before it did."""
        if is_null(value):
            return
        read, loss = READERS.get(field, read_text)(value)
        if record[field] is None:
            record[field] = read
        elif record[field] != read:
            loss = max(loss, EXTRA)
        self._keep(custom, field, name, value, loss)

    def _set_sent_time(
        self, record: Record, custom: dict[str, t.Any], name: str, value: object
    ) -> None:
        """Read the reported time, and the true one from it; often it is that of the row before."""
        if type(value) is str and value == self._sent_as:
            record["sent_time"], record["sent_time_utc"] = self._sent
            return
        if is_null(value):
            return
        ms = ms_from_value(value)
        if ms is None:
            self._keep(custom, "sent_time", name, value, UNREAD)
            return
        sent = (
            iso_from_ms(ms),
            None if self._skew_ms is None else _iso_or_none(ms - self._skew_ms),
        )
        if record["sent_time"] is None:
            record["sent_time"], record["sent_time_utc"] = sent
        elif record["sent_time"] != sent[0]:
            self._keep(custom, "sent_time", name, value, EXTRA)
        if isinstance(value, str):
            self._sent_as, self._sent = value, sent

    def _read_wall_clock(self, record: Record, zone: ZoneInfo) -> None:
        """Find both times where there is nothing but the text of XML, to the minute."""
        text = record["sent_date"]
        if text is None:
            return
        ms = ms_from_wall_clock(text, zone)
        if ms is None:
            self.unread_values["sent_time"] += 1
            return
        record["sent_time_utc"] = _iso_or_none(ms)
        if self._skew_ms is not None:
            record["sent_time"] = _iso_or_none(ms + self._skew_ms)

    def _keep(
        self, custom: dict[str, t.Any], field: str, name: str, value: object, loss: int
    ) -> None:
        """Keep a value beside its field where the field does not say all of it."""
        if loss:
            custom[name] = self._kept(value)
        if loss == UNREAD:
            self.unread_values[field] += 1

    def _kept(self, value: object) -> t.Any:  # noqa: ANN401 - it is JSON
        if type(value) is str:
            return value if value and value != "null" else None
        try:
            return plain_value(value)
        except TooDeepError:
            self.unread_values["custom_fields"] += 1
            return None
