"""From a row as Zoho sends it to a record of ours.

The only module that knows Zoho's names for the fields of a recipient. Nothing that Zoho sent is
dropped: what no field of the stream stands for, and what cannot be read as the type of its field,
is kept under `custom_fields`.
"""

from __future__ import annotations

import hashlib
import re
import typing as t
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache

import msgspec

from tap_zoho_campaigns_recipients.moments import FIRST_MS, LAST_MS, iso_from_ms, ms_from_value

if t.TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence
    from zoneinfo import ZoneInfo

    from tap_zoho_campaigns_recipients.answers import ResponseFormat

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
    "open_reports": ("openreports", "open_reports"),
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
"""Stands in the address of a contact who has none, behind the contact's id."""

_INTEGER: t.Final = re.compile(r"[+-]?[0-9]{1,18}(?:\.0{1,18})?")
_LARGEST_INTEGER: t.Final = 10**18 - 1
"""What fits into 64 bits, whatever the digits: more is no count and no time."""

_WALL_CLOCK: t.Final = re.compile(
    r"([0-9]{1,2}) ([a-z]{3,9}) ([0-9]{4}),? ([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?(?: ?([ap])m)?",
    re.IGNORECASE,
)
_LONGEST_WALL_CLOCK_CHARACTERS: t.Final = 40
_HALF_DAY_HOURS: t.Final = 12
_MONTH_NAMES: t.Final = (
    "january february march april may june july august september october november december"
)
_MONTHS: t.Final = {
    spelling: number
    for number, name in enumerate(_MONTH_NAMES.split(), start=1)
    for spelling in (name, name[:3])
}
_FLAGS: t.Final = {"1": True, "true": True, "0": False, "false": False}
_PAIR_SEPARATOR: t.Final = re.compile(r",(?=[^,=]++=)")
_SCHEME: t.Final = r"(?:[a-z][a-z0-9+.-]*+://|(?:mailto|tel|sms):)"
_URL: t.Final = re.compile(_SCHEME, re.IGNORECASE)
_URL_SEPARATOR: t.Final = re.compile(rf",(?=\s*+{_SCHEME})", re.IGNORECASE)

_JSON_START: t.Final = re.compile(r'\s*+(?:\{\s*+["}]|\[\s*+["\[{\]0-9tfn-])')

_DEEPEST_CUSTOM_FIELD: t.Final = 20
_MOST_PLANS: t.Final = 1_000
_LONGEST_NAMES_CHARACTERS: t.Final = 10_000


# Times and numbers


def _iso_or_none(ms: int) -> str | None:
    return iso_from_ms(ms) if FIRST_MS <= ms <= LAST_MS else None


def integer_from_value(value: object) -> int | None:
    """Read a whole number that is text in some answers and a number in others.

    Returns:
        The number; None for what is none, or has more than 18 digits.
    """
    if isinstance(value, str):
        text = value.strip()
        return int(text.partition(".")[0]) if _INTEGER.fullmatch(text) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if abs(value) <= _LARGEST_INTEGER and value == int(value):
        return int(value)
    return None


@lru_cache(maxsize=8_192)
def _ms_from_wall_clock(text: str, zone: ZoneInfo) -> int | None:
    """Read a time like `02 Aug 2013, 12:39 PM` in a zone; None for what is none.

    Seconds may follow the minutes, and day and hour have one digit or two (both seen live). A
    time that a zone has twice, at the end of summer time, is the earlier one.
    """
    match = _WALL_CLOCK.fullmatch(text)
    if not match:
        return None
    day, month, year, hour_text, minute, second, half = match.groups()
    hour = int(hour_text)
    if half:
        if hour > _HALF_DAY_HOURS:
            return None
        hour = hour % _HALF_DAY_HOURS + _HALF_DAY_HOURS * (half in "pP")
    try:
        date = (int(year), _MONTHS[month.lower()], int(day))
        moment = datetime(*date, hour, int(minute), int(second or 0), tzinfo=zone)
        return int(moment.timestamp()) * 1_000
    except (KeyError, ValueError, OverflowError):
        return None


# Readers: one for each type of field


# What a field cannot say of the value that Zoho sent. Not an enumeration: its members take longer
# to look up than the rest of most readers.
_WHOLE: t.Final = 0
_EXTRA: t.Final = 1
"""The value was read, and more stands in it."""
_UNREAD: t.Final = 2
"""The value, or a part of it, is not of the field's type."""


def _is_null(value: object) -> bool:
    """Whether Zoho says nothing: it writes that as null, as `""` and as `"null"`."""
    return value is None or value in ("", "null")


def _text(value: object) -> tuple[str | None, int]:
    """Read a text; a number becomes one without exponent, a whole one without `.0`."""
    if _is_null(value):
        return None, _WHOLE
    if isinstance(value, str):
        return value, _WHOLE
    if isinstance(value, bool | int):
        return str(value).lower(), _WHOLE
    if isinstance(value, float):
        number = f"{Decimal(repr(value)):f}"
        return number.removesuffix(".0"), _WHOLE
    return None, _UNREAD


def _flag(value: object) -> tuple[bool | None, int]:
    if type(value) is str and value in _FLAGS:
        return _FLAGS[value], _WHOLE
    flag = None if isinstance(value, dict | list) else _FLAGS.get(str(value).strip().lower())
    return flag, _UNREAD if flag is None else _WHOLE


def _integer(value: object) -> tuple[int | None, int]:
    number = integer_from_value(value)
    return number, _UNREAD if number is None and not _is_null(value) else _WHOLE


def _open_reports(value: object) -> tuple[list[t.Any] | None, int]:
    """Read the times of opens: `{label: time}` as object, as JSON text or as Java's map text."""
    if isinstance(value, str):
        text = value.strip()
        value = _from_json(text)
        if not value:
            pairs = _pairs_from_text(text)
            return pairs, _UNREAD if pairs is None else _WHOLE
    if isinstance(value, dict):
        value = [{"label": label, "time": time} for label, time in value.items()]
    return _objects(value, _OPEN_REPORT)


def _pairs_from_text(text: str) -> list[dict[str, str | None]] | None:
    """Read `{key=time, key=time}`, whose times have commas of their own (seen live)."""
    if not (text.startswith("{") and text.endswith("}")):
        return None
    inside = text[1:-1].strip()
    parts = [part.rpartition("=") for part in _PAIR_SEPARATOR.split(inside)] if inside else []
    if not all(sign for _, sign, _ in parts):
        return None
    return [
        {"label": _text(label.strip())[0], "time": _text(time.strip())[0]}
        for label, _, time in parts
    ]


def _url_clicks(value: object) -> tuple[list[t.Any] | None, int]:
    """Read the clicks of each link: an array of `{url, count}` (seen live)."""
    if isinstance(value, str):
        value = _from_json(value)
    return _objects(value, _URL_CLICK)


def _clicked_urls(value: object) -> tuple[list[str] | None, int]:
    """Read links: an array, or `[url, url]` as text (seen live), whose links may have commas."""
    if isinstance(value, str):
        value = _from_json(value) or _urls_from_text(value.strip())
    if not isinstance(value, list):
        return None, _UNREAD
    texts = [_text(member) for member in value]
    if any(loss for _, loss in texts):
        return None, _UNREAD
    return [url for url, _ in texts if url is not None], _WHOLE


def _urls_from_text(text: str) -> list[str] | None:
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    elif not _URL.match(text):
        return None
    return [url.strip() for url in _URL_SEPARATOR.split(text)]


def _from_json(text: str) -> object:
    """Return the object or array that a text holds in JSON; None where it is none."""
    if not _JSON_START.match(text):
        # An error would say the same, and takes three times as long.
        return None
    try:
        value: object = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return None
    return value


def _objects(value: object, readers: Mapping[str, Reader]) -> tuple[list[t.Any] | None, int]:
    """Read an array of objects with these members."""
    if not isinstance(value, list):
        return None, _UNREAD
    items = []
    worst = _WHOLE
    for member in value:
        if not isinstance(member, dict) or readers.keys().isdisjoint(member):
            return None, _UNREAD
        item = {}
        for name, reader in readers.items():
            item[name], loss = reader(member.get(name))
            worst = max(worst, loss)
        if not member.keys() <= readers.keys():
            worst = max(worst, _EXTRA)
        items.append(item)
    return items, worst


_OPEN_REPORT: t.Final[Mapping[str, Reader]] = {"label": _text, "time": _text}
_URL_CLICK: t.Final[Mapping[str, Reader]] = {"url": _text, "count": _integer}

_READERS: t.Final[dict[str, Reader]] = {
    "is_forgotten": _flag,
    "open_reports": _open_reports,
    "click_count": _integer,
    "clicked_urls": _clicked_urls,
    "url_clicks": _url_clicks,
}
"""The readers of the fields that are no texts; `sent_time` is read together with its twin."""


# Custom fields


class _TooDeepError(ValueError):
    """A value is nested deeper than 20 levels."""


def _plain(value: object, depth: int = 0) -> t.Any:  # noqa: ANN401 - it is JSON
    """Return a value of a custom field, with every null marker in it as null.

    A number that does not fit into 64 bits becomes text: no JSON writer or database takes it.

    Raises:
        _TooDeepError: It is nested so deeply that what comes after the tap would break.
    """
    if _is_null(value):
        return None
    if isinstance(value, dict | list):
        if depth == _DEEPEST_CUSTOM_FIELD:
            raise _TooDeepError
        if isinstance(value, list):
            return [_plain(member, depth + 1) for member in value]
        return {name: _plain(member, depth + 1) for name, member in value.items()}
    if isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
        return str(value)
    return value


# Records


@dataclass(frozen=True, slots=True)
class _Plan:
    """Where the values of a row with certain names go."""

    texts: tuple[tuple[str, str], ...]
    """Name and field, for the texts: nearly all."""
    sent_times: tuple[str, ...]
    """Names of the sent time: one at the most, as far as anyone knows."""
    others: tuple[tuple[str, str], ...]
    """Name and field, for what is no text, and for a second spelling of a field."""
    custom: tuple[str, ...]
    """Names that no field of the stream stands for."""


class _Plans(dict[tuple[str, ...], _Plan]):
    """The plans of a stream by the names of a row: a page has few sets of names."""

    def __init__(self, fields: tuple[str, ...]) -> None:
        places = [
            (spelling, (field, rank))
            for field in fields
            for rank, spelling in enumerate(SPELLINGS.get(field, ()))
        ]
        self._exact = dict(places)
        self._folded = {spelling.lower(): place for spelling, place in places}

    def __missing__(self, names: tuple[str, ...]) -> _Plan:
        """Make a plan, and keep it where that costs little memory."""
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
            if field in _READERS:
                others += ranked
            elif field != "sent_time":
                texts.append(ranked[0])
                others += ranked[1:]
        sent_times = tuple(name for _, _, name in sorted(found.get("sent_time", ())))
        plan = _Plan(tuple(texts), sent_times, tuple(others), tuple(custom))
        if sum(map(len, names)) <= _LONGEST_NAMES_CHARACTERS:
            if len(self) >= _MOST_PLANS:
                self.clear()
            self[names] = plan
        return plan


@lru_cache(maxsize=64)
def _plans(fields: tuple[str, ...]) -> _Plans:
    """Return the plans of a stream, shared by all its lists."""
    return _Plans(fields)


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
            parent_campaign_key: For a half of an A/B test, the campaign that it belongs to.
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
        self._plans = _plans(tuple(fields))
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
            The record; None for a row that has neither an address nor an id.
        """
        plan = self._plans[tuple(row)]
        record = self._template.copy()
        custom = {name: self._kept(row[name]) for name in plan.custom}
        for name, field in plan.texts:
            value = row[name]
            if type(value) is str:
                if value and value != "null":
                    record[field] = value
            elif value is not None:
                self._set(record, custom, field, name, value)
        for name in plan.sent_times:
            self._set_sent_time(record, custom, name, row[name])
        for name, field in plan.others:
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
        if _is_null(value):
            return
        read, loss = _READERS.get(field, _text)(value)
        if record[field] is None:
            record[field] = read
        elif record[field] != read:
            loss = max(loss, _EXTRA)
        self._keep(custom, field, name, value, loss)

    def _set_sent_time(
        self, record: Record, custom: dict[str, t.Any], name: str, value: object
    ) -> None:
        """Read the reported time, and the true one from it; often it is that of the row before."""
        if type(value) is str and value == self._sent_as:
            record["sent_time"], record["sent_time_utc"] = self._sent
            return
        if _is_null(value):
            return
        ms = ms_from_value(value)
        if ms is None:
            self._keep(custom, "sent_time", name, value, _UNREAD)
            return
        sent = (
            iso_from_ms(ms),
            None if self._skew_ms is None else _iso_or_none(ms - self._skew_ms),
        )
        if record["sent_time"] is None:
            record["sent_time"], record["sent_time_utc"] = sent
        elif record["sent_time"] != sent[0]:
            self._keep(custom, "sent_time", name, value, _EXTRA)
        if isinstance(value, str):
            self._sent_as, self._sent = value, sent

    def _read_wall_clock(self, record: Record, zone: ZoneInfo) -> None:
        """Find both times where there is nothing but the text of XML, to the minute."""
        text = record["sent_date"]
        if text is None:
            return
        is_short = len(text) <= _LONGEST_WALL_CLOCK_CHARACTERS
        ms = _ms_from_wall_clock(text.strip(), zone) if is_short else None
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
        if loss == _UNREAD:
            self.unread_values[field] += 1

    def _kept(self, value: object) -> t.Any:  # noqa: ANN401 - it is JSON
        if type(value) is str:
            return value if value and value != "null" else None
        try:
            return _plain(value)
        except _TooDeepError:
            self.unread_values["custom_fields"] += 1
            return None
