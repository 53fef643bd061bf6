"""What must become of any bytes that a server may answer: records of the schema, or one line."""

from __future__ import annotations

import copy
import json
import re
import typing as t
import urllib.request
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
from jsonschema import Draft202012Validator, FormatChecker

from sandbox import Sandbox, make_account, make_campaign
from tap_zoho_campaigns_recipients.zoho.campaigns import (
    Campaign,
    add_details,
    campaign_from_listing,
    campaign_record,
    variant_keys,
)
from tap_zoho_campaigns_recipients.zoho.details import details_record
from tap_zoho_campaigns_recipients.zoho.endpoints import Endpoint
from tap_zoho_campaigns_recipients.zoho.errors import TapError
from tap_zoho_campaigns_recipients.zoho.events import REPORTS_FIELD, event_records
from tap_zoho_campaigns_recipients.zoho.records import RecordMaker
from tap_zoho_campaigns_recipients.zoho.reports import (
    location_records,
    report_from_document,
    report_record,
)
from tap_zoho_campaigns_recipients.zoho.responses import parse_response

if t.TYPE_CHECKING:
    from collections.abc import Iterator

EVENT_STREAMS = {"openedcontacts": "open_events", "clickedcontacts": "click_events"}

ROOT = Path(__file__).parents[2]
SCHEMAS = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in (ROOT / "schemas").glob("*.json")
}
VALIDATORS = {
    name: Draft202012Validator(schema, format_checker=FormatChecker())
    for name, schema in SCHEMAS.items()
}
KEY = "3zhostile"
LONGEST_LINE_CHARACTERS = 2_000
NO_LINE = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029\u202e]")
"""What ends a line somewhere, or turns it round."""

READ_AT = "2026-02-14T08:00:00.000+00:00"
SKEW_MS = 28_800_000
ZONES = (None, ZoneInfo("America/New_York"))

STREAMS = {
    "sentcontacts": "sent_contacts",
    "openedcontacts": "opened_contacts",
    "clickedcontacts": "clicked_contacts",
    "senthardbounce": "hard_bounce_contacts",
    "optoutcontacts": "optout_contacts",
}
"""A stream of each set of fields, by Zoho's action."""

SPELLINGS: tuple[dict[str, t.Any], ...] = (
    {},
    {"name_fields": "firstname", "xml_fields": "all", "numbers": "int", "empties": "null"},
    {"openreports": "object", "clickedurls": "array"},
    {"openreports": "literal_text"},
)
"""Switches of the sandbox that change how answers look."""

Format = t.Literal["json", "xml"]

QUESTIONS: list[tuple[Endpoint, str, Format]] = [
    (Endpoint.LISTING, "", "json"),
    (Endpoint.REPORT, "", "json"),
    (Endpoint.DETAILS, "", "json"),
    *((Endpoint.RECIPIENTS, action, "json") for action in STREAMS),
    *((Endpoint.RECIPIENTS, action, "xml") for action in STREAMS),
]
STATUSES = (200, 200, 200, 200, 201, 302, 400, 401, 404, 408, 429, 500)


def check(data: bytes) -> int:
    """Read an input of the fuzzer; return how many records came of it.

    Args:
        data: A byte that chooses the question, one that chooses the HTTP status, and a body.

    Raises:
        AssertionError: Where an error is more than a line, or a record not one of its schema.
    """
    if len(data) < 2:
        return 0
    endpoint, action, form = QUESTIONS[data[0] % len(QUESTIONS)]
    status = STATUSES[data[1] % len(STATUSES)]
    try:
        said = parse_response(endpoint, form, status, data[2:])
    except TapError as error:
        line = str(error)
        assert not NO_LINE.search(line), line
        assert len(line) < LONGEST_LINE_CHARACTERS, line
        return 0
    assert all(type(row) is dict for row in said.rows)
    records = list(made(endpoint, said.rows, said.document, action or "openedcontacts", form))
    for stream, record in records:
        written = msgspec.json.encode(record)
        assert b"\\u0000" not in written.replace(b"\\\\", b""), record
        VALIDATORS[stream].validate(json.loads(written))
    return len(records)


def made(
    endpoint: Endpoint,
    rows: list[dict[str, t.Any]],
    document: dict[str, t.Any],
    action: str = "openedcontacts",
    form: Format = "json",
) -> Iterator[tuple[str, dict[str, t.Any]]]:
    """Yield the records that a response is made into, with the streams that they belong to."""
    if endpoint == Endpoint.RECIPIENTS:
        yield from made_of_list(rows, action, form)
    campaigns = [campaign_from_listing(row) for row in rows] if endpoint == Endpoint.LISTING else []
    for campaign in campaigns:
        if campaign is not None:
            yield "campaigns", campaign_record(campaign, READ_AT)
    if endpoint == Endpoint.REPORT:
        properties = SCHEMAS["campaign_reports"]["properties"]
        report = report_from_document(document)
        yield "campaign_reports", report_record(Campaign(KEY), report, properties, READ_AT)
        for record in location_records(Campaign(KEY), report, READ_AT):
            yield "campaign_locations", record
    if endpoint == Endpoint.DETAILS:
        campaign = Campaign(KEY)
        add_details(campaign, document)
        yield "campaigns", campaign_record(campaign, READ_AT)
        assert all(isinstance(key, str) for key in variant_keys(document))
        yield "campaign_details", details_record(campaign, document, READ_AT)


def made_of_list(
    rows: list[dict[str, t.Any]], action: str, form: Format
) -> Iterator[tuple[str, dict[str, t.Any]]]:
    """Yield the records that the rows of a list are made into, in each time zone."""
    stream = STREAMS[action]
    for zone in ZONES:
        maker = record_maker(action, form, zone)
        for row in rows:
            record = maker.make(copy.deepcopy(row))
            hash(maker.identity(row, record))
            alone = record_maker(action, form, zone).make(copy.deepcopy(row))
            assert record == alone, "a record depends on the rows before its own"
            if record is not None:
                yield stream, record
                if action in REPORTS_FIELD:
                    for event in event_records(record, action, zone):
                        yield EVENT_STREAMS[action], event


def record_maker(action: str, form: Format, zone: ZoneInfo | None) -> RecordMaker:
    return RecordMaker(
        action=action,
        fields=list(SCHEMAS[STREAMS[action]]["properties"]),
        campaign_key=KEY,
        parent_campaign_key=None,
        skew_ms=SKEW_MS,
        account_timezone=zone,
        response_format=form,
        list_read_at=READ_AT,
    )


def usual_response(
    zoho: Sandbox, endpoint: str, form: str = "JSON", action: str = "openedcontacts"
) -> bytes:
    """Return what the sandbox answers, as it does without faults."""
    query = f"resfmt={form}&campaignkey={KEY}&action={action}&campaigntype=abtesting&status=sent"
    request = urllib.request.Request(
        f"{zoho.url}/api/v1.1/{endpoint}?{query}",
        method="POST",
        headers={"Authorization": f"Zoho-oauthtoken {zoho.account.access_token}"},
    )
    with urllib.request.urlopen(request) as response:
        body: bytes = response.read()
    return body


def seeds() -> list[bytes]:
    """Return inputs with the usual responses to all questions, in several spellings."""
    account = make_account(0, now=1_790_000_000.0)
    make_campaign(
        account, recipients=6, opened=3, clicked=2, hard=1, optout=1, type="abtesting", key=KEY
    )
    inputs = []
    with Sandbox(account) as zoho:
        for spelling in SPELLINGS:
            for name, position in spelling.items():
                setattr(zoho.switches, name, position)
            for number, (endpoint, action, form) in enumerate(QUESTIONS):
                inputs.append(
                    bytes([number, 0]) + usual_response(zoho, endpoint, form.upper(), action)
                )
    return inputs
