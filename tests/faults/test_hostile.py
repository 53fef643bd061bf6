"""Whatever a server answers ends in rows, or in one clear error: nothing breaks, nothing hangs."""

from __future__ import annotations

import copy
import json
import logging
import os
import socket
import subprocess
import sys
import time
import typing as t
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sandbox import Sandbox, make_account, make_campaign
from support import parsing
from support.parsing import KEY, LONGEST_LINE_CHARACTERS, NO_LINE, VALIDATORS
from support.tap_runs import (
    DETAILS,
    LISTING,
    RECIPIENTS,
    REPORT,
    FakeClock,
    command,
    run_tap,
    settings,
)
from tap_zoho_campaigns_recipients.zoho.errors import RunFailed, TokenRefused, UnreadableResponse

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.tap_runs import Outcome

TOKEN = "token"
LONGEST_RUN_SECONDS = 120
"""Far more than any takes; what hangs takes longer."""

DEEP: t.Any = None
for _ in range(300):
    DEEP = [DEEP]

WRONG: tuple[t.Any, ...] = (
    None,
    True,
    0,
    -1,
    1.5,
    10**30,
    1e300,
    "",
    "text",
    "null",
    "-1",
    "9" * 400,
    "a\x00b\nc\x1b[31md\u2028e\u202ef",
    "'; drop table campaigns; --",
    [],
    {},
    [None],
    [[]],
    ["text", 7, {}],
    {"a": {"b": None}},
    DEEP,
)
"""What may stand where something else belongs."""


@pytest.fixture
def clock() -> FakeClock:
    """Tells the time to both the tap and the sandbox."""
    return FakeClock()


@pytest.fixture
def zoho(clock: FakeClock) -> Iterator[Sandbox]:
    """An account of one A/B campaign."""
    account = make_account(0, now=clock.now)
    make_campaign(
        account,
        recipients=40,
        opened=4,
        clicked=2,
        type="abtesting",
        key=KEY,
        sent_at=clock.now - 86_400,
    )
    with Sandbox(account, clock=clock) as it:
        it.switches.token_limit = None
        yield it


def usual_response(
    zoho: Sandbox, endpoint: str, form: str = "JSON", action: str = "openedcontacts"
) -> t.Any:
    """Return what the sandbox answers, as it does without faults: parsed where it is JSON."""
    body = parsing.usual_response(zoho, endpoint, form, action)
    return json.loads(body) if form == "JSON" else body


def run(zoho: Sandbox, clock: FakeClock, **how: t.Any) -> Outcome:
    """Run the tap, and see that it ends in time, in whole lines, and with no more than an error."""
    begin = time.monotonic()
    streams = how.pop("streams", ["campaign_reports", "campaigns", "opened_contacts"])
    config = settings(zoho, **{"max_parallel_requests": 1, "campaign_keys": [KEY], **how})
    if how.get("campaign_keys") == []:
        del config["campaign_keys"]
    outcome = run_tap(config, streams=streams, clock=clock.fresh(), level=logging.DEBUG)
    assert time.monotonic() - begin < LONGEST_RUN_SECONDS
    for line in [*outcome.log, str(outcome.error)]:
        assert not NO_LINE.search(line), line[:300]
        assert len(line) < LONGEST_LINE_CHARACTERS, line[:300]
        assert "Traceback" not in line
    for stream, rows in outcome.records.items():
        for row in rows:
            VALIDATORS[stream].validate(row)
    return outcome


def answer(zoho: Sandbox, endpoint: str, body: t.Any, **how: t.Any) -> None:
    """Have the sandbox answer with this and nothing else, from now on."""
    zoho.faults.clear()
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    zoho.faults.add("body", endpoint=endpoint, body=text, times=10**6, **how)


def answer_rows(zoho: Sandbox, endpoint: str, document: t.Any, rows: list[t.Any]) -> None:
    """Have the sandbox answer with a list of these rows, on as many pages as are asked for."""
    (name,) = {"list_of_details", "recent_campaigns"} & set(document)
    key = KEY if endpoint == RECIPIENTS else None
    answer(
        zoho,
        endpoint,
        {**document, name: rows},
        campaign_key=key,
        when=lambda request: request.fromindex == 1,
    )
    last = json.dumps({**document, name: rows[-1:]}).encode()
    zoho.faults.add("body", endpoint=endpoint, campaign_key=key, body=last, times=10**6)


def places(value: t.Any, path: tuple[t.Any, ...] = ()) -> Iterator[tuple[t.Any, ...]]:
    """Yield each place in a document: all of it, each member, each first item."""
    yield path
    if isinstance(value, dict):
        for name, member in value.items():
            yield from places(member, (*path, name))
    elif isinstance(value, list) and value:
        yield from places(value[0], (*path, 0))


def spoilt(document: t.Any, path: tuple[t.Any, ...], value: t.Any) -> t.Any:
    """Return a document with something else in one place."""
    if not path:
        return value
    changed = copy.copy(document)
    changed[path[0]] = spoilt(document[path[0]], path[1:], value)
    return changed


# Wrong types


@pytest.mark.parametrize("endpoint", [RECIPIENTS, LISTING, REPORT, DETAILS])
def test_wrong_types_around_the_rows(zoho: Sandbox, clock: FakeClock, endpoint: str) -> None:
    """Whatever stands at any place of an envelope, the run ends in rows or in one line."""
    document = usual_response(zoho, endpoint)
    keys = [] if endpoint == LISTING else [KEY]
    for number, path in enumerate(places(document)):
        if len(path) > 2 and endpoint in {RECIPIENTS, LISTING}:
            continue  # these are the rows' own
        values = WRONG[number % 6 :: 6] if len(path) < 3 else [WRONG[number % len(WRONG)]]
        for value in values:
            answer(zoho, endpoint, spoilt(document, path, value))
            outcome = run(zoho, clock, campaign_keys=keys)
            if endpoint in {REPORT, DETAILS}:
                # An A/B variant that does not exist is a campaign that could not be read.
                assert isinstance(outcome.error, RunFailed | None)
                rows = [row for row in outcome.keys("opened_contacts") if row[0] == KEY]
                assert len(rows) == 4


def test_wrong_types_in_the_listing(zoho: Sandbox, clock: FakeClock) -> None:
    """A value of a campaign that cannot be read is null, and the campaign is read all the same."""
    document = usual_response(zoho, LISTING)
    (row,) = document["recent_campaigns"]
    rows = [
        {**row, "campaign_key": f"{KEY}{number}-{place}", name: value, "campaigntype": "normal"}
        for number, name in enumerate(sorted({*row} - {"campaign_key", "campaign_status"}))
        for place, value in enumerate(WRONG)
    ]
    answer_rows(zoho, LISTING, {**document, "total_record_count": len(rows)}, rows)
    outcome = run(zoho, clock, campaign_keys=[], streams=["campaigns"])
    assert outcome.error is None
    campaigns = {each["campaign_key"]: each for each in outcome.records["campaigns"]}
    assert campaigns.keys() == {each["campaign_key"] for each in rows}
    for each in rows:
        record = campaigns[each["campaign_key"]]
        if each["sent_time_gmt"] in ("text", [], True, 1.5):
            assert record["sent_time_utc"] is None
            assert record["sent_time"] is not None


def test_campaigns_without_a_usable_key(zoho: Sandbox, clock: FakeClock) -> None:
    """A listed campaign whose key is none is left out; the others are read."""
    document = usual_response(zoho, LISTING)
    (row,) = document["recent_campaigns"]
    wrong = [value for value in WRONG if not isinstance(value, bool | int | str)]
    rows = [{**row, "campaign_key": value} for value in [*wrong, "", "null"]]
    rows += [{}, {"a": DEEP}, row]
    answer_rows(zoho, LISTING, {**document, "total_record_count": str(len(rows))}, rows)
    outcome = run(zoho, clock, campaign_keys=[], streams=["campaigns"])
    assert outcome.error is None
    assert KEY in {each["campaign_key"] for each in outcome.records["campaigns"]}
    assert any(f"{len(rows) - 1} campaigns of the listing" in line for line in outcome.warnings)


@pytest.mark.parametrize("key", ["a\nb", "\x1b[2J", "x" * 1_000_000, "\u202e", "a\u2028b"], ids=len)
def test_key_that_cannot_be_asked_for(zoho: Sandbox, clock: FakeClock, key: str) -> None:
    """A key that would break a line or fill a URL is none, of a campaign as of an A/B variant."""
    document = usual_response(zoho, LISTING)
    document["recent_campaigns"][0] |= {"campaign_key": key, "campaign_name": key}
    answer(zoho, LISTING, document)
    details = usual_response(zoho, DETAILS)
    details["AB-split-details"][0]["a_child_campaignkey"] = key
    zoho.faults.add("body", endpoint=DETAILS, body=json.dumps(details).encode(), times=9)
    for keys in ([], [KEY]):
        outcome = run(zoho, clock, campaign_keys=keys)
        assert outcome.error is None
        assert any("no key that can be asked for" in line for line in outcome.warnings)
    assert key not in {each.campaign_key for each in zoho.requests}


@pytest.mark.parametrize("key", ["a&action=b#", "../..", "%00", "' or 1=1", "k" * 200])
def test_strange_key(zoho: Sandbox, clock: FakeClock, key: str) -> None:
    """Another key is sent as it came, whatever characters are in it."""
    document = usual_response(zoho, LISTING)
    document["recent_campaigns"][0] |= {"campaign_key": key, "campaigntype": "normal"}
    answer(zoho, LISTING, document)
    run(zoho, clock, campaign_keys=[])
    asked = {each.campaign_key for each in zoho.requests if each.endpoint == RECIPIENTS}
    assert asked == {key}


def test_wrong_types_in_rows(zoho: Sandbox, clock: FakeClock) -> None:
    """A value of a row that cannot be read is null and stands under `custom_fields`."""
    for action, stream in (
        ("clickedcontacts", "clicked_contacts"),
        ("openedcontacts", "opened_contacts"),
    ):
        document = usual_response(zoho, RECIPIENTS, action=action)
        row = {**document["list_of_details"][0], "contactfn": "A", "firstname": "B", "phone": "1"}
        rows = [
            {
                **row,
                "contactid": f"{number}",
                "contactemailaddress": f"{number}@b.example",
                name: value,
            }
            for number, (name, value) in enumerate(
                (name, value)
                for name in sorted({*row} - {"contactid", "contactemailaddress"})
                for value in WRONG
            )
        ]
        answer_rows(zoho, RECIPIENTS, document, rows)
        outcome = run(zoho, clock, streams=[stream], page_size=1000)
        assert outcome.error is None
        arrived = [row for row in outcome.records[stream] if row["campaign_key"] == KEY]
        assert len(arrived) == len(rows)
        for sent, record in zip(rows, arrived, strict=True):
            value = sent["phone"]
            if isinstance(value, dict | list):
                assert record["phone"] is None
                if value is not DEEP:
                    assert "phone" in record["custom_fields"]
        (warning,) = (line for line in outcome.warnings if "custom_fields" in line)
        assert "sent_time" in warning
        assert "phone" in warning


def test_rows_that_are_no_objects(zoho: Sandbox, clock: FakeClock) -> None:
    """They are counted, warned about and left out; the others arrive."""
    document = usual_response(zoho, RECIPIENTS)
    rows = document["list_of_details"]
    strange = [each for value in WRONG if not isinstance(value, dict) for each in (value, rows[0])]
    answer_rows(zoho, RECIPIENTS, document, [*strange, *rows[1:]])
    outcome = run(zoho, clock)
    assert outcome.error is None
    arrived = [row for row in outcome.keys("opened_contacts") if row[0] == KEY]
    assert len(arrived) == len(rows)
    assert any(f"{len(strange) // 2} rows are not objects" in line for line in outcome.warnings)


@pytest.mark.parametrize("rows", [[{}] * 3, [None] * 3, [{"phone": "1"}] * 40])
@pytest.mark.parametrize("endpoint", [LISTING, RECIPIENTS])
def test_page_of_nothing(zoho: Sandbox, clock: FakeClock, endpoint: str, rows: list[t.Any]) -> None:
    """A page of rows that are none, sent again whatever is asked for, is no loop."""
    name = "recent_campaigns" if endpoint == LISTING else "list_of_details"
    answer(zoho, endpoint, {**usual_response(zoho, endpoint), name: rows})
    keys = [] if endpoint == LISTING else [KEY]
    outcome = run(zoho, clock, campaign_keys=keys, page_size=20)
    assert isinstance(outcome.error, UnreadableResponse | RunFailed)
    assert zoho.calls(endpoint) < 150


@pytest.mark.parametrize(
    "document",
    [
        *({"access_token": value} for value in WRONG),
        {"access_token": "a\r\nX-Injected: yes"},
        {"access_token": "é"},
        *WRONG,
        *({"error": value} for value in WRONG),
        {"error": "invalid_code\nERROR made up", "error_description": "\x1b[31m" * 5_000},
    ],
    ids=lambda document: ascii(document)[:24],
)
def test_answers_of_the_accounts_server(zoho: Sandbox, clock: FakeClock, document: t.Any) -> None:
    """A response without a token that can be sent ends the run in one line, and nothing is sent."""
    answer(zoho, TOKEN, document)
    outcome = run(zoho, clock)
    token = document.get("access_token") if isinstance(document, dict) else None
    if isinstance(token, str) and token and token.isascii() and token.isprintable():
        assert not isinstance(outcome.error, TokenRefused)
        return
    assert isinstance(outcome.error, TokenRefused)
    assert [each.endpoint for each in zoho.requests if each.endpoint != TOKEN] == []


@pytest.mark.parametrize(
    "life",
    [*WRONG, float("nan"), float("inf"), -(10**400), "1e999", "nan"],
    ids=lambda life: ascii(life)[:12],
)
def test_lifetime_of_a_token(zoho: Sandbox, clock: FakeClock, life: t.Any) -> None:
    """Whatever is said about its life, a good token is used."""
    answer(zoho, TOKEN, {"access_token": zoho.account.access_token, "expires_in": life})
    outcome = run(zoho, clock)
    assert outcome.error is None
    assert zoho.calls(TOKEN) == 1


# Bodies that are built to do harm


def bomb(name: bytes = b"lol") -> bytes:
    """Return XML that unpacks to gigabytes."""
    entities = [b'<!ENTITY %s0 "%s">' % (name, name)]
    for level in range(1, 12):
        inside = (b"&%s%d;" % (name, level - 1)) * 10
        entities.append(b'<!ENTITY %s%d "%s">' % (name, level, inside))
    return (
        b'<?xml version="1.0"?><!DOCTYPE r [' + b"".join(entities) + b"]>"
        b'<response><code>0</code><contacts><contact><fl val="contact_email">'
        b"&%s11;</fl></contact></contacts></response>" % name
    )


@pytest.mark.parametrize("form", ["json", "xml"])
def test_xml_bomb(zoho: Sandbox, clock: FakeClock, form: str) -> None:
    """A document type is refused before anything in it is unpacked."""
    answer(zoho, RECIPIENTS, bomb())
    outcome = run(zoho, clock, response_format=form)
    assert isinstance(outcome.error, UnreadableResponse)
    assert "document type" in str(outcome.error)
    assert zoho.calls(RECIPIENTS) == 3 * 5


@pytest.mark.parametrize(
    "declaration",
    [
        '<!DOCTYPE r SYSTEM "{url}">',
        '<!DOCTYPE r [<!ENTITY a SYSTEM "{url}">]>',
        '<!DOCTYPE r [<!ENTITY % a SYSTEM "{url}"> %a;]>',
        '<!DOCTYPE r PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "{url}">',
        '<?xml-stylesheet href="{url}"?>',
    ],
)
def test_nothing_outside_is_fetched(zoho: Sandbox, clock: FakeClock, declaration: str) -> None:
    """No answer makes the tap fetch anything from elsewhere, nor a file into a record."""
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        elsewhere.settimeout(0.05)
        for url in (f"http://127.0.0.1:{elsewhere.getsockname()[1]}/x", "file:///etc/passwd"):
            xml = usual_response(zoho, RECIPIENTS, "XML")
            body = declaration.replace("{url}", url).encode() + xml[xml.index(b"<response") :]
            answer(zoho, RECIPIENTS, body.replace(b"<code>0", b"<x>&a;</x><code>0"))
            outcome = run(zoho, clock, response_format="xml")
            assert isinstance(outcome.error, UnreadableResponse)
            assert "root:" not in str(outcome.records)
        with pytest.raises(TimeoutError):
            elsewhere.accept()


LEVELS = 400_000


@pytest.mark.parametrize(
    "body",
    [
        b"[" * LEVELS,
        b'{"a":' * LEVELS,
        b'{"code":"0","list_of_details":' + b"[" * LEVELS + b"]" * LEVELS + b"}",
        b"<response>" * LEVELS,
        b"<response><code>0</code>" + b"<a>" * LEVELS + b"</a>" * LEVELS + b"</response>",
        b"<a " + b'b="c" ' * LEVELS + b"/>",
        b"<!--" + b"-" * LEVELS,
        b"<![CDATA[" * LEVELS,
        b"&" * LEVELS,
        b'{"code":"' + b"\\" * LEVELS,
        b"\xff\xfe" * LEVELS,
        '{"code":"0"}'.encode("utf-16"),
        '<?xml version="1.0" encoding="utf-16"?><response><code>0</code></response>'.encode(
            "utf-16"
        ),
        b'<?xml version="1.0" encoding="utf-7"?><response><code>0</code></response>',
        b"\x00" * LEVELS,
        b"\x1f\x8b" + b"\x00" * 100,
        b"%PDF-1.7",
        b"NaN",
        b'{"code":NaN}',
        b'{"code":"0","list_of_details":[' + b'{"contactid":"1"},' * 1000,
    ],
    ids=lambda body: ascii(body[:12]),
)
def test_bodies_that_are_none(zoho: Sandbox, clock: FakeClock, body: bytes) -> None:
    """Deep nesting, other encodings and plain noise are asked for again, then end in one line."""
    for form in ("json", "xml"):
        zoho.reset_log()
        answer(zoho, RECIPIENTS, body)
        outcome = run(zoho, clock, response_format=form)
        assert isinstance(outcome.error, UnreadableResponse)
        # Three lists in a row, and the run stops.
        assert zoho.calls(RECIPIENTS) == 3 * 5
        assert not outcome.records["opened_contacts"]


@pytest.mark.parametrize("endpoint", [REPORT, DETAILS])
def test_noise_for_what_is_not_needed(zoho: Sandbox, clock: FakeClock, endpoint: str) -> None:
    """Where report or details are noise, the lists are read whole all the same."""
    for body in (bomb(), b"[" * LEVELS, b"\xff", b'{"campaign-reports":[{"opens_count":"-9"}]}'):
        answer(zoho, endpoint, body)
        outcome = run(zoho, clock)
        assert outcome.error is None
        assert len([row for row in outcome.keys("opened_contacts") if row[0] == KEY]) == 4


@pytest.mark.parametrize("name", ["opens_count", "emails_sent_count", "unopened"])
def test_counts_that_mislead(zoho: Sandbox, clock: FakeClock, name: str) -> None:
    """A count that is far too high, negative or none costs calls, and no row."""
    document = usual_response(zoho, REPORT)
    (stream, rows) = ("opened_contacts", 4)
    for count in ("999999999999999", "-5", "4.5", "1e9", "0", "٣", "1_000", " 7 "):
        document["campaign-reports"][0][name] = count
        answer(zoho, REPORT, document, campaign_key=KEY)
        zoho.reset_log()
        outcome = run(zoho, clock, max_parallel_requests=8, page_size=2)
        assert outcome.error is None
        assert len([row for row in outcome.keys(stream) if row[0] == KEY]) == rows
        assert zoho.calls(RECIPIENTS, campaign_key=KEY) < 30


# Long values and control characters


LONG = "lång " * 300_000
CONTROL = "".join(chr(code) for code in [*range(1, 32), 127, 0x85, 0x2028, 0x2029, 0x202E, 0xFEFF])


def test_long_values(zoho: Sandbox, clock: FakeClock) -> None:
    """Values of a megabyte arrive whole, and show up in no line of the log."""
    document = usual_response(zoho, RECIPIENTS)
    for row in document["list_of_details"]:
        row |= {"phone": LONG, "contactfn": LONG, LONG: "x", "openreports": LONG}
    answer(zoho, RECIPIENTS, {**document, "message": LONG}, campaign_key=KEY)
    outcome = run(zoho, clock)
    assert outcome.error is None
    rows = [row for row in outcome.records["opened_contacts"] if row["campaign_key"] == KEY]
    assert len(rows) == 4
    for row in rows:
        assert (row["phone"], row["first_name"], row["open_reports"]) == (LONG, LONG, None)
        assert row["custom_fields"][LONG] == "x"


def test_long_words_of_errors(zoho: Sandbox, clock: FakeClock) -> None:
    """An error of a megabyte is one short line, whichever of its parts is long."""
    for document in (
        {"code": "13", "message": LONG},
        {"code": LONG, "message": "no"},
        {"status": "error", "Code": "6601", "message": LONG},
        {"code": "13", "message": "no", LONG: LONG},
    ):
        answer(zoho, RECIPIENTS, document)
        assert isinstance(run(zoho, clock).error, RunFailed)


def test_control_characters(zoho: Sandbox, clock: FakeClock) -> None:
    """In a value they arrive as they are, except for NUL; in a log they are spaces."""
    document = usual_response(zoho, RECIPIENTS)
    first, *others = document["list_of_details"]
    first |= {"phone": CONTROL, "contactln": "a\0b", CONTROL: CONTROL}
    answer(zoho, RECIPIENTS, {**document, "list_of_details": [first, *others]}, campaign_key=KEY)
    outcome = run(zoho, clock)
    assert outcome.error is None
    (row,) = (
        row
        for row in outcome.records["opened_contacts"]
        if row["contact_id"] == first["contactid"] and row["campaign_key"] == KEY
    )
    assert (row["phone"], row["last_name"]) == (CONTROL, "a\ufffdb")
    assert row["custom_fields"][CONTROL] == CONTROL
    answer(zoho, RECIPIENTS, {"code": f"1{CONTROL}3", "message": f"a{CONTROL}b"})
    assert isinstance(run(zoho, clock).error, RunFailed)


def test_names_of_fields(zoho: Sandbox, clock: FakeClock) -> None:
    """Ten thousand fields, or fields with the names of ours, do no harm."""
    document = usual_response(zoho, RECIPIENTS)
    first, second, *_ = document["list_of_details"]
    first |= {f"field {number}": str(number) for number in range(10_000)}
    second |= dict.fromkeys(("campaign_key", "list_read_at", "custom_fields", "action", ""), "x")
    answer(zoho, RECIPIENTS, document, campaign_key=KEY)
    outcome = run(zoho, clock)
    assert outcome.error is None
    rows = {
        row["contact_id"]: row
        for row in outcome.records["opened_contacts"]
        if row["campaign_key"] == KEY
    }
    assert len(rows) == 4
    assert len(rows[first["contactid"]]["custom_fields"]) >= 10_000
    assert rows[second["contactid"]]["custom_fields"]["campaign_key"] == "x"


# Memory


MEASURED = """
import resource, sys
from tap_zoho_campaigns_recipients.tap import TapZohoCampaignsRecipients
try:
    TapZohoCampaignsRecipients.cli(sys.argv[1:])
finally:
    print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has other units elsewhere")
def test_memory(zoho: Sandbox, tmp_path: Path) -> None:
    """No answer takes much more memory than its own size."""

    def peak_kib(body: bytes | None, form: str) -> int:
        zoho.faults.clear()
        if body is not None:
            answer(zoho, TOKEN if form == "token" else RECIPIENTS, body)
            form = "json" if form == "token" else form
        config = settings(zoho, retry_wait=0, response_format=form, campaign_keys=[KEY])
        words = command(config, tmp_path)
        words[1:3] = ["-c", MEASURED]
        done = subprocess.run(words, capture_output=True, check=False, timeout=120, env=os.environ)
        assert b"Traceback" not in done.stderr
        assert (done.returncode == 0) is (body is None)
        return int(done.stderr.split()[-1])

    usual = peak_kib(None, "json")
    for body, form in (
        (bomb(), "xml"),
        (b"[" * 8_000_000, "json"),
        (b'{"code":"0","list_of_details":[' + b"[]," * 1_000_000 + b"0]}", "json"),
        (b'{"code":"0","list_of_details":[' + b"{}," * 7_000_000 + b"{}]}", "json"),
        (b'{"access_token":"1","x":[' + b"{}," * 7_000_000 + b"0]}", "token"),
        (b"<response><code>0</code><x>" + b"x" * 8_000_000, "xml"),
    ):
        assert peak_kib(body, form) < usual + 200_000, body[:40]


# Anything at all


texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=9) | st.sampled_from(
    ["null", "0", "-1", "9" * 40, "[a, b]", "{a=b}", "02 Jan 2026, 05:00 AM", "a@b.example", "true"]
)
strange = st.sampled_from(WRONG) | st.text(max_size=5) | st.integers() | st.floats(allow_nan=False)
JSON = [number for number, (*_, form) in enumerate(parsing.QUESTIONS) if form == "json"]
XML = [number for number, (*_, form) in enumerate(parsing.QUESTIONS) if form == "xml"]
anything = hypothesis_settings(
    deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow]
)


@pytest.fixture(scope="module")
def samples() -> dict[int, bytes]:
    """What the sandbox answers without faults to each question."""
    return {data[0]: data[2:] for data in reversed(parsing.seeds())}


@anything
@given(data=st.data(), question=st.sampled_from(JSON))
def test_honest_json_with_anything_in_it(
    samples: dict[int, bytes], data: st.DataObject, question: int
) -> None:
    """JSON that is wrong in several places ends in records of the schema, or in one line."""
    document = json.loads(samples[question])
    for _ in range(data.draw(st.integers(1, 4))):
        path = data.draw(st.sampled_from(list(places(document))))
        document = spoilt(document, path, data.draw(strange))
    parsing.check(bytes([question, 0]) + json.dumps(document).encode())


@anything
@given(data=st.data(), question=st.sampled_from(XML))
def test_honest_xml_with_anything_in_it(
    samples: dict[int, bytes], data: st.DataObject, question: int
) -> None:
    """So does XML: with texts, tags and names of others, elements gone, doubled and nested."""
    root = ET.fromstring(samples[question])
    for _ in range(data.draw(st.integers(1, 4))):
        parents = [each for each in root.iter() if len(each)]
        parent = data.draw(st.sampled_from(parents))
        child = parent[data.draw(st.integers(0, len(parent) - 1))]
        change = data.draw(st.sampled_from(["text", "tag", "val", "gone", "again", "inside"]))
        if change == "text":
            child.text = data.draw(texts)
        elif change == "tag":
            child.tag = data.draw(st.sampled_from([*{each.tag for each in root.iter()}, "x"]))
        elif change == "val":
            child.set("val", data.draw(texts))
        elif change == "gone":
            parent.remove(child)
        elif change == "again":
            parent.append(copy.deepcopy(child))
        else:
            child.append(copy.deepcopy(parent))
    parsing.check(bytes([question, 0]) + ET.tostring(root))


@anything
@given(
    question=st.sampled_from(JSON + XML),
    status=st.integers(0, len(parsing.STATUSES) - 1),
    body=st.binary(max_size=200) | st.text(max_size=100).map(str.encode),
)
def test_noise(question: int, status: int, body: bytes) -> None:
    """Any bytes at all, with any status, end in one line or in nothing."""
    parsing.check(bytes([question, status]) + body)
