"""A row under Zoho's names becomes a record under ours, and nothing of it is lost."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from tap_zoho_campaigns_recipients.zoho.field_values import integer_from_value
from tap_zoho_campaigns_recipients.zoho.records import SPELLINGS, RecordMaker, _layouts
from tap_zoho_campaigns_recipients.zoho.timestamps import iso_from_ms, ms_from_value

SCHEMAS = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in (Path(__file__).parents[2] / "schemas").glob("*_contacts.json")
}
US_SKEW_MS = 28_800_000
DEEP = 100_000


@pytest.fixture(autouse=True)
def no_layouts() -> None:
    """Have each test make its plans anew: make mutants could not tell else which ones need them."""
    _layouts.cache_clear()


def maker(stream: str = "sent_contacts", **changed: t.Any) -> RecordMaker:
    """Make a maker for a list of a campaign whose times are eight hours ahead, as in the US."""
    how: dict[str, t.Any] = {
        "action": "anyaction",
        "fields": list(SCHEMAS[stream]["properties"]),
        "campaign_key": "3z1",
        "parent_campaign_key": None,
        "skew_ms": US_SKEW_MS,
        "account_timezone": None,
        "response_format": "json",
        "list_read_at": "2026-02-14T08:00:00.000+00:00",
    }
    return RecordMaker(**{**how, **changed})


def said(
    row: dict[str, t.Any], stream: str = "sent_contacts", **changed: t.Any
) -> dict[str, t.Any]:
    """Return what a record says beside its null fields and those of the list."""
    record = maker(stream, **changed).make(row)
    assert record is not None
    listed = {"campaign_key", "parent_campaign_key", "action", "list_read_at"}
    return {
        name: value for name, value in record.items() if value is not None and name not in listed
    }


def read(field: str, stream: str, value: t.Any) -> tuple[t.Any, t.Any, int]:
    """Return what becomes of a value: the field, the custom fields, and how many went unread."""
    name = SPELLINGS[field][0]
    reader = maker(stream)
    record = reader.make({"contactid": "1", name: value})
    assert record is not None
    return record[field], (record["custom_fields"] or {}).get(name), reader.unread_values[field]


def deeply(value: t.Any, levels: int) -> t.Any:
    for _ in range(levels):
        value = [value]
    return value


# Whole rows


def test_sample_json() -> None:
    """The row of the documentation's JSON sample, field by field and in the schema's order."""
    row = {
        "phone": "null",
        "timezone": "null",
        "contactstatus": "active",
        "contactemailaddress": "john.doe@xyz.com",
        "sent_time": "1375456161000",
        "lastname": "",
        "sentdate": "02 Aug 2013, 12:39 PM",
        "firstname": "meganath.v",
        "contactid": "303000014269257",
        "companyname": "null",
    }
    record = maker(action="sentcontacts").make(row)
    assert record is not None
    assert list(record.items()) == [
        ("campaign_key", "3z1"),
        ("parent_campaign_key", None),
        ("action", "sentcontacts"),
        ("contact_email", "john.doe@xyz.com"),
        ("contact_id", "303000014269257"),
        ("contact_status", "active"),
        ("first_name", "meganath.v"),
        ("last_name", None),
        ("company_name", None),
        ("phone", None),
        ("mobile", None),
        ("job_title", None),
        ("title", None),
        ("address", None),
        ("city", None),
        ("state", None),
        ("country", None),
        ("zip_code", None),
        ("website", None),
        ("note", None),
        ("secondary_email", None),
        ("facebook_handle", None),
        ("linkedin_handle", None),
        ("twitter_handle", None),
        ("timezone", None),
        ("sent_time", "2013-08-02T15:09:21.000+00:00"),
        ("sent_time_utc", "2013-08-02T07:09:21.000+00:00"),
        ("sent_date", "02 Aug 2013, 12:39 PM"),
        ("list_read_at", "2026-02-14T08:00:00.000+00:00"),
        ("is_forgotten", None),
        ("custom_fields", None),
    ]


def test_sample_xml() -> None:
    """The row of the XML sample says the same to the minute, where the zone is known."""
    row = {
        "added_time": "02 Aug 2013, 12:39 PM",
        "first_name": "meganath.v",
        "last_name": None,
        "company_name": None,
        "phone": None,
        "contact_email": "john.doe@xyz.com",
    }
    known = {
        "contact_email": "john.doe@xyz.com",
        "first_name": "meganath.v",
        "sent_date": "02 Aug 2013, 12:39 PM",
    }
    kolkata = ZoneInfo("Asia/Kolkata")
    assert said(row, response_format="xml") == known
    assert said(row, response_format="xml", account_timezone=kolkata) == {
        **known,
        "sent_time": "2013-08-02T15:09:00.000+00:00",
        "sent_time_utc": "2013-08-02T07:09:00.000+00:00",
    }
    assert said(row, response_format="xml", account_timezone=kolkata, skew_ms=None) == {
        **known,
        "sent_time_utc": "2013-08-02T07:09:00.000+00:00",
    }
    assert said(row, response_format="json", account_timezone=kolkata) == known


def test_observed_names() -> None:
    """Every field that was seen live goes to its field."""
    row = {
        "contactid": "1",
        "contactemailaddress": " Jane.ROE@Example.ORG ",
        "contactstatus": "unsubscribed",
        "contactfn": "Jane",
        "contactln": "Roe",
        "companyname": "Roe & Co",
        "phone": "+49 30 1",
        "mobile": "+49 171 1",
        "jobtitle": "Head",
        "title": "Dr",
        "address": "1 Main St",
        "city": "Berlin",
        "state": "BE",
        "country": "Germany",
        "zipcode": "01099",
        "website": "https://roe.example",
        "note": "a, b",
        "secondary_email": "Jane@Example.net",
        "facebook_handle": "f",
        "linkedin_handle": "l",
        "twitter_handle": "t",
        "timezone": "Europe/Berlin",
        "sent_time": "1782518793123",
        "sentdate": "26 Jun 2026, 12:06 PM",
        "rtbf": "0",
        "last seen yymmdd": "260101",
    }
    assert said(row) == {
        "contact_email": "jane.roe@example.org",
        "contact_id": "1",
        "contact_status": "unsubscribed",
        "first_name": "Jane",
        "last_name": "Roe",
        "company_name": "Roe & Co",
        "phone": "+49 30 1",
        "mobile": "+49 171 1",
        "job_title": "Head",
        "title": "Dr",
        "address": "1 Main St",
        "city": "Berlin",
        "state": "BE",
        "country": "Germany",
        "zip_code": "01099",
        "website": "https://roe.example",
        "note": "a, b",
        "secondary_email": "Jane@Example.net",
        "facebook_handle": "f",
        "linkedin_handle": "l",
        "twitter_handle": "t",
        "timezone": "Europe/Berlin",
        "sent_time": "2026-06-27T00:06:33.123+00:00",
        "sent_time_utc": "2026-06-26T16:06:33.123+00:00",
        "sent_date": "26 Jun 2026, 12:06 PM",
        "is_forgotten": False,
        "custom_fields": {"last seen yymmdd": "260101"},
    }


def test_opened_row() -> None:
    """A row of the opened list has its opens."""
    row = {"contactemailaddress": "a@x.org", "openreports": {"1": "Feb 12, 2026 12:08 PM"}}
    assert said(row, "opened_contacts") == {
        "contact_email": "a@x.org",
        "open_reports": [{"label": "1", "time": "Feb 12, 2026 12:08 PM"}],
    }


def test_clicked_row() -> None:
    """A row of the clicked list has its clicks, their times and their links."""
    row = {
        "contactemailaddress": "a@x.org",
        "clickcount": "3",
        "clickedurls": "[https://a.example/?q=1,2, https://b.example]",
        "clickreports": "{https://b.example=Feb 12, 2026 12:08 PM}",
        "urlclicks": [
            {"url": "https://a.example/?q=1,2", "count": 1},
            {"url": "https://b.example", "count": "2"},
        ],
    }
    assert said(row, "clicked_contacts") == {
        "contact_email": "a@x.org",
        "click_count": 3,
        "clicked_urls": ["https://a.example/?q=1,2", "https://b.example"],
        "url_clicks": [
            {"url": "https://a.example/?q=1,2", "count": 1},
            {"url": "https://b.example", "count": 2},
        ],
        "click_reports": [{"label": "https://b.example", "time": "Feb 12, 2026 12:08 PM"}],
    }


@pytest.mark.parametrize(
    ("stream", "field", "name"),
    [
        ("hard_bounce_contacts", "bounced_date", "bouncedDate"),
        ("soft_bounce_contacts", "bounced_date", "bouncedDate"),
        ("optout_contacts", "optout_time", "optOutTime"),
    ],
)
def test_times_of_an_action(stream: str, field: str, name: str) -> None:
    """A bounce and an opt-out have their time as text."""
    row = {"contact_email": "a@x.org", name: "12 Feb 2026, 12:01 PM"}
    assert said(row, stream) == {"contact_email": "a@x.org", field: "12 Feb 2026, 12:01 PM"}


def test_fields_of_other_actions() -> None:
    """What a stream has no field for is kept under custom_fields, as it came."""
    row = {
        "contactid": "1",
        "openreports": "{1=Feb 12, 2026 12:08 PM}",
        "clickcount": "3",
        "urlclicks": [{"url": "https://a.example", "count": "null"}],
        "bouncedDate": "",
    }
    assert said(row) == {
        "contact_email": "1@no-address.invalid",
        "contact_id": "1",
        "custom_fields": {
            "openreports": "{1=Feb 12, 2026 12:08 PM}",
            "clickcount": "3",
            "urlclicks": [{"url": "https://a.example", "count": None}],
            "bouncedDate": None,
        },
    }


def test_what_a_list_has_in_common() -> None:
    """Campaign, parent, action and time of reading are those of the list in every record."""
    reader = maker(
        campaign_key="3z2", parent_campaign_key="3z1", action="openedcontacts", list_read_at="now"
    )
    for contact in ("1", "2"):
        record = reader.make({"contactid": contact})
        assert record is not None
        assert (
            record["campaign_key"],
            record["parent_campaign_key"],
            record["action"],
            record["list_read_at"],
        ) == ("3z2", "3z1", "openedcontacts", "now")


def test_records_are_apart() -> None:
    """A record keeps nothing of the one before it, whichever names a row has."""
    reader = maker()
    rows = [
        {"contactid": "1", "city": "Rome", "sent_time": "1", "x": "y"},
        {"contactid": "2"},
        {"contactid": "3", "city": "", "sent_time": "", "x": ""},
    ]
    records = [reader.make(row) for row in rows]
    assert records == [maker().make(row) for row in rows]


# Addresses


@pytest.mark.parametrize("email", [None, "", "null", "NULL", "  ", {"a": "b"}])
def test_no_address(email: t.Any) -> None:
    """A contact without an address goes by the id, one without both by nothing."""
    record = maker().make({"contactid": 303000014269257, "contactemailaddress": email})
    assert record is not None
    assert record["contact_email"] == "303000014269257@no-address.invalid"
    assert maker().make({"contactid": "null", "contactemailaddress": email}) is None
    assert maker().make({"contactemailaddress": email, "contactfn": "Jane"}) is None


def test_no_row() -> None:
    """What came in place of a row, or an empty one, has no record."""
    assert maker().make({"": "text"}) is None
    assert maker().make({}) is None


def test_identity() -> None:
    """A row is known by ID and address; without both, by all that is in it."""
    reader = maker()

    def identity(row: dict[str, t.Any]) -> t.Any:
        return reader.identity(row, reader.make(row))

    assert identity({"contactid": "1", "contact_email": "A@x.org"}) == ("1", "a@x.org")
    assert identity({"contact_email": "a@x.org", "city": "Rome"}) == (None, "a@x.org")
    assert identity({"contactid": 1}) == ("1", "1@no-address.invalid")
    rome, oslo = identity({"city": "Rome"}), identity({"city": "Oslo"})
    assert rome == identity({"city": "Rome"})
    assert rome != oslo
    assert {rome, oslo, identity({}), identity({"": deeply(1, 30)})}


# Names


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"contactfn": "A"}, {"first_name": "A"}),
        ({"firstname": "A"}, {"first_name": "A"}),
        ({"first_name": "A"}, {"first_name": "A"}),
        ({"ContactFN": "A"}, {"first_name": "A"}),
        ({"ZIPCODE": "1"}, {"zip_code": "1"}),
        ({"zip_code": "1"}, {"zip_code": "1"}),
        ({"zip code": "1"}, {"custom_fields": {"zip code": "1"}}),
        # The same said twice is said once.
        ({"contactfn": "A", "firstname": "A"}, {"first_name": "A"}),
        # What is null does not count.
        ({"contactfn": "", "firstname": "A", "first_name": "null"}, {"first_name": "A"}),
        # The first in the contract's order wins, wherever it is in the row.
        (
            {"first_name": "C", "firstname": "B", "contactfn": "A"},
            {"first_name": "A", "custom_fields": {"firstname": "B", "first_name": "C"}},
        ),
        (
            {"added_time": "b", "sentdate": "a"},
            {"sent_date": "a", "custom_fields": {"added_time": "b"}},
        ),
        (
            {"firstname": "B", "contactfn": "A", "lastname": "D", "contactln": "C"},
            {
                "first_name": "A",
                "last_name": "C",
                "custom_fields": {"firstname": "B", "lastname": "D"},
            },
        ),
        # The spelling in the right case goes before one in another.
        ({"CITY": "b", "city": "a"}, {"city": "a", "custom_fields": {"CITY": "b"}}),
        ({"CITY": "b", "city": None}, {"city": "b"}),
        # An unreadable one does not stand in the way of a readable one.
        (
            {"contactfn": ["A"], "firstname": "B"},
            {"first_name": "B", "custom_fields": {"contactfn": ["A"]}},
        ),
    ],
)
def test_spellings(row: dict[str, t.Any], expected: dict[str, t.Any]) -> None:
    """A field goes by several names: one value is taken, a different one is kept beside it."""
    row = {"contact_email": "a@x.org", **row}
    assert said(row) == {"contact_email": "a@x.org", **expected}


PROFILE = """company_name phone mobile job_title title address city state country zip_code website
note secondary_email facebook_handle linkedin_handle twitter_handle timezone"""
NAMES = {field: {field, field.replace("_", "")} for field in PROFILE.split()} | {
    "contact_email": {"contactemailaddress", "contact_email"},
    "contact_id": {"contactid", "contact_id"},
    "contact_status": {"contactstatus", "contact_status"},
    "first_name": {"contactfn", "firstname", "first_name"},
    "last_name": {"contactln", "lastname", "last_name"},
    "sent_time": {"sent_time"},
    "sent_date": {"sentdate", "added_time"},
    "is_forgotten": {"rtbf"},
    "open_reports": {"openreports", "open_reports", "reports"},
    "click_count": {"clickcount", "click_count"},
    "clicked_urls": {"clickedurls", "clicked_urls"},
    "url_clicks": {"urlclicks", "url_clicks"},
    "bounced_date": {"bouncedDate", "bounced_date"},
    "optout_time": {"optOutTime", "optout_time"},
}


@pytest.mark.parametrize(("field", "names"), NAMES.items())
def test_names(field: str, names: set[str]) -> None:
    """Every name of a field, in capitals too, goes to that field and to nothing else."""
    value = {"sent_time": "0", "is_forgotten": "1", "click_count": "7"}.get(field, "[https://a]")
    value = {"open_reports": "{1=x}", "url_clicks": '[{"url":"u"}]'}.get(field, value)
    stream = next(stream for stream in SCHEMAS if field in SCHEMAS[stream]["properties"])
    key = {} if field in {"contact_id", "contact_email"} else {"contact_email": "a@x.org"}
    expected = said({**key, SPELLINGS[field][0]: value}, stream)
    assert expected[field]
    assert "custom_fields" not in expected
    for name in (*names, *(name.upper() for name in names)):
        assert said({**key, name: value}, stream) == expected
    assert set(SPELLINGS[field]) == names


def test_spellings_of_sent_time() -> None:
    """Two sent times: the first is taken, a different second is kept."""
    row = {"contact_email": "a@x.org", "SENT_TIME": "60000", "sent_time": "0"}
    assert said(row, skew_ms=None) == {
        "contact_email": "a@x.org",
        "sent_time": "1970-01-01T00:00:00.000+00:00",
        "custom_fields": {"SENT_TIME": "60000"},
    }
    assert "custom_fields" not in said({**row, "sent_time": 60000})


# Texts


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (303000014269257, "303000014269257"),
        (-1, "-1"),
        (2**70, "1180591620717411303424"),
        (303000014269257.0, "303000014269257"),
        (1e22, "10000000000000000000000"),
        (0.1, "0.1"),
        (-1.5e-7, "-0.00000015"),
        (True, "true"),
        (False, "false"),
        ("", None),
        ("null", None),
        (None, None),
        ("Null", "Null"),
        (" ", " "),
    ],
)
def test_texts(value: t.Any, text: str | None) -> None:
    """A text stays, a number becomes one as it would be written by hand, a null marker null."""
    assert read("city", "sent_contacts", value) == (text, None, 0)


@pytest.mark.parametrize("value", [[], {}, ["Rome"], {"a": "Rome"}, [[["null"]]]])
def test_no_text(value: t.Any) -> None:
    """An object or array in the place of a text is counted and kept."""
    kept = [[[None]]] if value == [[["null"]]] else value
    assert read("city", "sent_contacts", value) == (None, kept, 1)


# Times


def test_iso_from_ms() -> None:
    """A moment is written in one way and one length, from the year 1 to 9999."""
    assert [iso_from_ms(ms) for ms in (-62135596800000, -1, 0, 1375456161001, 253402300799999)] == [
        "0001-01-01T00:00:00.000+00:00",
        "1969-12-31T23:59:59.999+00:00",
        "1970-01-01T00:00:00.000+00:00",
        "2013-08-02T15:09:21.001+00:00",
        "9999-12-31T23:59:59.999+00:00",
    ]
    for ms in (-62135596800001, 253402300800000):
        with pytest.raises(OverflowError):
            iso_from_ms(ms)


@given(*[st.integers(-62135596800000, 253402300799999)] * 2)
def test_moments_compare_as_texts(one: int, other: int) -> None:
    """The later moment is the greater text."""
    assert (one < other) == (iso_from_ms(one) < iso_from_ms(other))


@pytest.mark.parametrize(
    ("value", "ms"),
    [
        ("1375456161000", 1375456161000),
        (" 1375456161000 ", 1375456161000),
        ("1375456161000.0", None),
        (1375456161000, 1375456161000),
        (1375456161000.0, 1375456161000),
        ("-1", -1),
        ("0", 0),
        ("253402300799999", 253402300799999),
        ("-62135596800000", -62135596800000),
        ("253402300800000", None),
        (-62135596800001, None),
        ("9" * 5000, None),
        (10**400, None),
        (1e300, None),
        (float("inf"), None),
        (float("nan"), None),
        (1.5, None),
        (True, None),
        ("", None),
        ("null", None),
        ("1_000", None),
        ("\uff11\uff12", None),
        ("1e12", None),
        ("02 Aug 2013, 12:39 PM", None),
        (None, None),
        ([], None),
        ({}, None),
    ],
)
def test_ms_from_value(value: t.Any, ms: int | None) -> None:
    """Milliseconds are digits, as text or as a number, of a moment in the years 1 to 9999."""
    assert ms_from_value(value) == ms


def test_integer_from_value() -> None:
    """A whole number has up to 18 digits, as text or as a number."""
    assert integer_from_value("+" + "9" * 18) == integer_from_value(10**18 - 1) == 10**18 - 1
    assert integer_from_value("9" * 19) is integer_from_value(10**18) is None
    assert integer_from_value("7.0") == integer_from_value(7.0) == 7
    assert integer_from_value("7.5") is integer_from_value(7.5) is None


def test_sent_time() -> None:
    """The true instant is the reported one less the campaign's skew, if that is known."""
    row = {"contact_email": "a@x.org", "sent_time": 1375456161000}
    for skew_ms, true in [
        (US_SKEW_MS, "2013-08-02T07:09:21.000+00:00"),
        (0, "2013-08-02T15:09:21.000+00:00"),
        (-1, "2013-08-02T15:09:21.001+00:00"),
    ]:
        assert said(row, skew_ms=skew_ms) == {
            "contact_email": "a@x.org",
            "sent_time": "2013-08-02T15:09:21.000+00:00",
            "sent_time_utc": true,
        }
    assert "sent_time_utc" not in said(row, skew_ms=None)
    assert said({**row, "sent_time": "-62135596800000"}) == {
        "contact_email": "a@x.org",
        "sent_time": "0001-01-01T00:00:00.000+00:00",
    }


def test_many_sent_times() -> None:
    """Each record has the time of its own row, however the rows repeat."""
    reader = maker()
    times = ["60000", "60000", "0", None, "60000", "", "60000"]
    records = [reader.make({"contactid": "1", "sent_time": time}) for time in times]
    assert [record and record["sent_time"] for record in records] == [
        "1970-01-01T00:01:00.000+00:00",
        "1970-01-01T00:01:00.000+00:00",
        "1970-01-01T00:00:00.000+00:00",
        None,
        "1970-01-01T00:01:00.000+00:00",
        None,
        "1970-01-01T00:01:00.000+00:00",
    ]


@pytest.mark.parametrize("value", ["02 Aug 2013, 12:39 PM", "253402300800000", 1.5, [1], True])
def test_no_sent_time(value: t.Any) -> None:
    """What is no moment is null, counted and kept."""
    assert read("sent_time", "sent_contacts", value) == (None, value, 1)


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("02 Aug 2013, 12:39 PM", "2013-08-02T10:39:00"),
        ("2 Aug 2013, 1:39 pm", "2013-08-02T11:39:00"),
        ("02 Aug 2013, 12:39:21 AM", "2013-08-01T22:39:21"),
        ("2 august 2013 13:39", "2013-08-02T11:39:00"),
        (" 02 Jan 2013, 12:39 PM ", "2013-01-02T11:39:00"),
        ("26 Oct 2025, 02:30 AM", "2025-10-26T00:30:00"),
        ("30 Mar 2025, 02:30 AM", "2025-03-30T01:30:00"),
        ("31 Feb 2013, 12:39 PM", None),
        ("02 Aug 2013, 13:39 PM", None),
        ("02 Aug 2013, 12:60 PM", None),
        ("02 Aux 2013, 12:39 PM", None),
        ("01 Jan 0000, 12:39 PM", None),
        ("02 août 2013, 12:39", None),
        ("1375456161000", None),
        ("yesterday", None),
        ("x" * 1_000_000, None),
    ],
)
def test_wall_clock(text: str, utc: str | None) -> None:
    """The times of XML are read in the account's zone; the text stays, read or not."""
    reader = maker(
        response_format="xml", account_timezone=ZoneInfo("Europe/Berlin"), skew_ms=3_600_000
    )
    record = reader.make({"contact_email": "a@x.org", "added_time": text})
    assert record is not None
    assert record["sent_date"] == text
    assert record["sent_time_utc"] == (utc and f"{utc}.000+00:00")
    assert (record["sent_time"] is None) == (utc is None)
    assert reader.unread_values == ({} if utc else {"sent_time": 1})


def test_wall_clock_at_the_ends() -> None:
    """A time that skew or zone put out of the years is null."""
    first = {"contact_email": "a@x.org", "added_time": "01 Jan 0001, 12:00 AM"}
    last = {"contact_email": "a@x.org", "added_time": "31 Dec 9999, 11:59 PM"}
    utc, kolkata = ZoneInfo("UTC"), ZoneInfo("Asia/Kolkata")
    reading: dict[str, t.Any] = {"response_format": "xml", "skew_ms": US_SKEW_MS}
    assert "sent_time_utc" not in said(first, **reading, account_timezone=kolkata)
    assert said(last, **reading, account_timezone=utc) == {
        "contact_email": "a@x.org",
        "sent_date": "31 Dec 9999, 11:59 PM",
        "sent_time_utc": "9999-12-31T23:59:00.000+00:00",
    }


def test_true_times_at_the_ends() -> None:
    """The first and the last millisecond of the years are times, the ones beyond are none."""
    for skew_ms, ms, true in [
        (5, -62135596799995, "0001-01-01T00:00:00.000+00:00"),
        (6, -62135596799995, None),
        (-5, 253402300799994, "9999-12-31T23:59:59.999+00:00"),
        (-6, 253402300799994, None),
    ]:
        record = maker(skew_ms=skew_ms).make({"contactid": "1", "sent_time": ms})
        assert record is not None
        assert record["sent_time_utc"] == true


def test_unread_values_are_counted() -> None:
    """Each value that could not be read counts, in any number of rows."""
    reader = maker("clicked_contacts")
    for contact in ("1", "2", "3"):
        reader.make({"contactid": contact, "sent_time": "soon", "clickcount": "many"})
    assert reader.unread_values == {"sent_time": 3, "click_count": 3}

    reader = maker(response_format="xml", account_timezone=ZoneInfo("UTC"))
    for contact in ("1", "2", "3"):
        reader.make({"contactid": contact, "added_time": "soon"})
    assert reader.unread_values == {"sent_time": 3}


def test_sent_time_in_xml() -> None:
    """Should XML have the exact time, it goes before the text."""
    row = {"contact_email": "a@x.org", "sent_time": "0", "added_time": "02 Aug 2013, 12:39 PM"}
    zone = ZoneInfo("UTC")
    assert said(row, response_format="xml", account_timezone=zone, skew_ms=None) == {
        "contact_email": "a@x.org",
        "sent_time": "1970-01-01T00:00:00.000+00:00",
        "sent_date": "02 Aug 2013, 12:39 PM",
    }


# Flags, counts, links, opens


@pytest.mark.parametrize(
    ("value", "flag"),
    [
        *((value, True) for value in ("1", 1, True, "true", "TRUE", " 1 ")),
        *((value, False) for value in ("0", 0, False, "false")),
    ],
)
def test_is_forgotten(value: t.Any, flag: bool) -> None:  # noqa: FBT001 - a row of the table
    """The flag is read from text, number and boolean."""
    assert read("is_forgotten", "sent_contacts", value) == (flag, None, 0)


@pytest.mark.parametrize("value", ["yes", 2, "-1", [], {"a": 1}, [True]])
def test_is_not_a_flag(value: t.Any) -> None:
    """Anything else is kept."""
    assert read("is_forgotten", "sent_contacts", value) == (None, value, 1)


@pytest.mark.parametrize(("value", "count"), [("3", 3), (3, 3), (3.0, 3), ("0", 0), (" 7 ", 7)])
def test_click_count(value: t.Any, count: int) -> None:
    """A count is text or a number."""
    assert read("click_count", "clicked_contacts", value) == (count, None, 0)


@pytest.mark.parametrize("value", ["many", 1.5, True, [], {}, "9" * 19])
def test_no_click_count(value: t.Any) -> None:
    """Anything else is kept."""
    assert read("click_count", "clicked_contacts", value) == (None, value, 1)


@pytest.mark.parametrize(
    ("value", "urls"),
    [
        ("[https://a.example, https://b.example]", ["https://a.example", "https://b.example"]),
        ("[https://a.example,https://b.example]", ["https://a.example", "https://b.example"]),
        (
            "[https://a.example/x,y:?z=1, 2, HTTP://b.example,mailto:c@d.example]",
            ["https://a.example/x,y:?z=1, 2", "HTTP://b.example", "mailto:c@d.example"],
        ),
        ("https://a.example", ["https://a.example"]),
        ("HTTPS://a.example", ["HTTPS://a.example"]),
        ('[null, "https://a.example"]', ["https://a.example"]),
        (
            ' ["https://a.example", "https://b.example", ""] ',
            ["https://a.example", "https://b.example"],
        ),
        (["https://a.example", None, "null", 7], ["https://a.example", "7"]),
        ("[]", []),
        ([], []),
        ("[www.a.example]", ["www.a.example"]),
    ],
)
def test_clicked_urls(value: t.Any, urls: list[str]) -> None:
    """Links come as text in brackets or as an array; their own commas do not part them."""
    assert read("clicked_urls", "clicked_contacts", value) == (urls, None, 0)


@pytest.mark.parametrize("value", ["three", "[a", 3, {"a": "b"}, [["https://a.example"]]])
def test_no_clicked_urls(value: t.Any) -> None:
    """Anything else is kept."""
    assert read("clicked_urls", "clicked_contacts", value) == (None, value, 1)


@pytest.mark.parametrize(
    ("value", "clicks"),
    [
        ([{"url": "u", "count": "2"}], [{"url": "u", "count": 2}]),
        (
            [{"url": "u", "count": 2}, {"url": ""}],
            [{"url": "u", "count": 2}, {"url": None, "count": None}],
        ),
        ('[{"url":"u","count":2}]', [{"url": "u", "count": 2}]),
        ([{"count": "null"}], [{"url": None, "count": None}]),
        ([], []),
    ],
)
def test_url_clicks(value: t.Any, clicks: list[t.Any]) -> None:
    """Clicks by link are an array of objects."""
    assert read("url_clicks", "clicked_contacts", value) == (clicks, None, 0)


def test_more_in_url_clicks() -> None:
    """What has no place in the items is kept beside them, and counted where it was unreadable."""
    value = [{"url": "u", "count": "2", "time": "", "more": 1}]
    assert read("url_clicks", "clicked_contacts", value) == (
        [{"url": "u", "count": 2}],
        [{"url": "u", "count": "2", "time": None, "more": 1}],
        0,
    )
    assert read("url_clicks", "clicked_contacts", [{"url": "u", "count": "two"}]) == (
        [{"url": "u", "count": None}],
        [{"url": "u", "count": "two"}],
        1,
    )


@pytest.mark.parametrize("value", ["x", 1, {"url": "u", "count": 1}, ["u"], [{}], [{"a": 1}], [[]]])
def test_no_url_clicks(value: t.Any) -> None:
    """Anything else is kept."""
    assert read("url_clicks", "clicked_contacts", value) == (None, value, 1)


FIRST = {"label": "1", "time": "Feb 12, 2026 12:08 PM"}
SECOND = {"label": "a,b=c", "time": "Feb 13, 2026 1:08 AM"}


@pytest.mark.parametrize(
    ("value", "reports"),
    [
        ({"1": "Feb 12, 2026 12:08 PM", "a,b=c": "Feb 13, 2026 1:08 AM"}, [FIRST, SECOND]),
        ('{"1": "Feb 12, 2026 12:08 PM"}', [FIRST]),
        ("{1=Feb 12, 2026 12:08 PM}", [FIRST]),
        (
            "{1=Feb 12, 2026 12:08 PM, https://x/?a=b=Feb 13, 2026 1:08 AM,3=}",
            [
                FIRST,
                {"label": "https://x/?a=b", "time": "Feb 13, 2026 1:08 AM"},
                {"label": "3", "time": None},
            ],
        ),
        ([FIRST, SECOND], [FIRST, SECOND]),
        ([{"time": 7}], [{"label": None, "time": "7"}]),
        ({"": "null"}, [{"label": None, "time": None}]),
        ({}, []),
        ("{}", []),
        ("{ }", []),
        ([], []),
    ],
)
def test_open_reports(value: t.Any, reports: list[t.Any]) -> None:
    """Opens come as an object, as JSON text, as Java's map text or as an array of objects."""
    assert read("open_reports", "opened_contacts", value) == (reports, None, 0)


@pytest.mark.parametrize(
    "value",
    ["Feb 12, 2026 12:08 PM", "{Feb 12, 2026 12:08 PM=1}", "{1=x", "7", 7, ["x"], [{"a": 1}]],
)
def test_no_open_reports(value: t.Any) -> None:
    """Anything else is kept."""
    assert read("open_reports", "opened_contacts", value) == (None, value, 1)


# Hostile values


def test_nulls_in_custom_fields() -> None:
    """Null markers are null at every depth of a custom field."""
    row = {
        "contactid": "1",
        "a": "null",
        "b": ["", "null", None, "x"],
        "c": {"d": {"e": "", "f": ["null"]}},
        "g": 0,
        "h": False,
        "i": [],
    }
    assert said(row)["custom_fields"] == {
        "a": None,
        "b": [None, None, None, "x"],
        "c": {"d": {"e": None, "f": [None]}},
        "g": 0,
        "h": False,
        "i": [],
    }


def test_deep_values() -> None:
    """What is nested deeper than 20 levels is null and counted, and breaks nothing."""
    reader = maker()
    objects: t.Any = 1
    for _ in range(21):
        objects = {"a": objects}
    record = reader.make(
        {
            "contactid": "1",
            "c": objects["a"],
            "d": objects,
            "a": deeply(1, 20),
            "b": deeply(1, 21),
            "city": deeply(1, 900),
        }
    )
    assert record is not None
    assert record["custom_fields"] == {
        "city": None,
        "a": deeply(1, 20),
        "b": None,
        "c": objects["a"],
        "d": None,
    }
    assert reader.unread_values == {"city": 1, "custom_fields": 3}


@pytest.mark.parametrize(
    "field", ["is_forgotten", "open_reports", "click_count", "clicked_urls", "url_clicks"]
)
@pytest.mark.parametrize(
    "text", ["[" * DEEP, '{"a":' * DEEP, "{a=" * DEEP, "," * DEEP, "[" + ", " * DEEP + "]"]
)
def test_long_values(field: str, text: str) -> None:
    """A value of megabytes is read or kept in no time."""
    stream = next(stream for stream in SCHEMAS if field in SCHEMAS[stream]["properties"])
    value, kept, _ = read(field, stream, text)
    assert value is not None or kept == text


def test_large_numbers() -> None:
    """A number that 64 bits do not hold is text under custom_fields, so that it can be written."""
    row = {"contactid": "1", "a": 10**18 - 1, "b": 10**18, "c": [-(2**70)]}
    assert said(row)["custom_fields"] == {
        "a": 10**18 - 1,
        "b": "1000000000000000000",
        "c": ["-1180591620717411303424"],
    }


def test_many_names() -> None:
    """Rows of ever new names, and names without end, leave nothing behind in memory."""
    reader = maker()
    for number in range(2_500):
        assert reader.make({"contactid": "1", f"name {number}": "x"}) is not None
    assert reader.make({"contactid": "1", "n" * 1_000_000: "x"}) is not None
    assert len(reader._layouts) <= 1_000  # noqa: SLF001 - memory shows nowhere else
    assert max(sum(map(len, names)) for names in reader._layouts) < 10_001  # noqa: SLF001


# Anything at all

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | words
    | st.sampled_from(["null", "1375456161000", "02 Aug 2013, 12:39 PM", "{a=b}", "[https://a]"]),
    lambda inside: (
        st.lists(inside, max_size=3)
        | st.dictionaries(
            words | st.sampled_from(["url", "count", "label", "time"]), inside, max_size=3
        )
    ),
    max_leaves=8,
)
spellings = st.sampled_from([name for names in SPELLINGS.values() for name in names])
rows = st.dictionaries(spellings | spellings.map(str.upper) | words, values).map(
    lambda row: {"contactid": "1", **row}
)


def plain(value: t.Any) -> t.Any:
    """Return a value with null for null markers, and with large numbers as text."""
    if isinstance(value, dict):
        return {name: plain(member) for name, member in value.items()}
    if isinstance(value, list):
        return [plain(member) for member in value]
    if isinstance(value, int) and abs(value) >= 10**18:
        return str(value)
    return None if value in ("", "null") else value


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # Unicode's tables are large
@given(
    row=rows,
    stream=st.sampled_from(sorted(SCHEMAS)),
    skew_ms=st.none() | st.integers(-(10**11), 10**11),
    response_format=st.sampled_from(["json", "xml"]),
    zone=st.none() | st.sampled_from([ZoneInfo("Asia/Kolkata"), ZoneInfo("America/New_York")]),
)
def test_anything(
    row: dict[str, t.Any],
    stream: str,
    skew_ms: int | None,
    response_format: str,
    zone: ZoneInfo | None,
) -> None:
    """Any row gives a record that its schema allows, and no unknown value is lost or changed."""
    reader = maker(stream, skew_ms=skew_ms, response_format=response_format, account_timezone=zone)
    record = reader.make(row)
    if record is None:
        assert plain(row["contactid"]) is None or not isinstance(
            row["contactid"], str | int | float
        )
        return
    schema = SCHEMAS[stream]
    Draft202012Validator(schema, format_checker=FormatChecker()).validate(record)
    assert list(record) == list(schema["properties"])
    known = {
        name.lower()
        for field, names in SPELLINGS.items()
        for name in names
        if field in schema["properties"]
    }
    custom = record["custom_fields"] or {}
    assert {name: value for name, value in custom.items() if name.lower() not in known} == {
        name: plain(value) for name, value in row.items() if name.lower() not in known
    }
    for name, value in custom.items():
        assert value == plain(row[name])
    assert hash(reader.identity(row, record)) == hash(reader.identity(row, reader.make(row)))
