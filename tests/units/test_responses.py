"""The bytes of a response become plain rows, or the error that says how to go on."""

from __future__ import annotations

import json
import typing as t
from xml.sax.saxutils import escape, quoteattr

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tap_zoho_campaigns_recipients.zoho.endpoints import Endpoint
from tap_zoho_campaigns_recipients.zoho.error_codes import OUTCOMES
from tap_zoho_campaigns_recipients.zoho.errors import (
    CampaignRefused,
    InsufficientPrivileges,
    MissingParameter,
    RangeTooLarge,
    TapError,
    Throttled,
    Transient,
    Unauthorized,
    UnexpectedCode,
    UnexpectedFormat,
    UnreadableResponse,
    ZohoError,
)
from tap_zoho_campaigns_recipients.zoho.responses import Response, parse_response

if t.TYPE_CHECKING:
    from tap_zoho_campaigns_recipients.zoho.endpoints import ResponseFormat

RECIPIENTS, LISTING, REPORT, DETAILS = Endpoint

# The two samples of Zoho's legacy documentation of getcampaignrecipientsdata.
SAMPLE_JSON = (
    b'{"requestdetails":{"range":20,"action":"sentcontacts","fromindex":1},"status":"success",'
    b'"list_of_details":[{"phone":"null","timezone":"null","contactstatus":"active",'
    b'"contactemailaddress":"john.doe@xyz.com","sent_time":"1375456161000","lastname":"",'
    b'"sentdate":"02 Aug 2013, 12:39 PM","firstname":"meganath.v",'
    b'"contactid":"303000014269257","companyname":"null"}],'
    b'"code":"0","uri":"/api/getcampaignrecipientsdata","version":"1"}'
)
SAMPLE_XML = b"""<response uri="/api/getcampaignrecipientsdata" version="1">
<status>success</status>
<code>0</code>
<range>20</range>
<action>sentcontacts</action>
<fromindex>1</fromindex>
<campaign_details>
<fl val="email_status">Sent</fl>
<fl val="zuid">4179027</fl>
<fl val="campaign_name">Zoho Survey 7</fl>
<fl val="email_subject">Zoho Survey 7</fl>
</campaign_details>
<contacts>
<contact>
<fl val="added_time">02 Aug 2013, 12:39 PM</fl>
<fl val="first_name">meganath.v</fl>
<fl val="last_name"/>
<fl val="company_name"/>
<fl val="phone"/>
<fl val="contact_email">john.doe@xyz.com</fl>
</contact>
</contacts>
</response>"""


def dump(document: t.Any) -> bytes:
    return json.dumps(document).encode()


def read(
    document: t.Any,
    endpoint: Endpoint = RECIPIENTS,
    *,
    status: int = 200,
    response_format: ResponseFormat = "json",
    retry_after_seconds: float | None = None,
) -> Response:
    body = document if isinstance(document, bytes) else dump(document)
    return parse_response(endpoint, response_format, status, body, retry_after_seconds)


def failure(document: t.Any, endpoint: Endpoint = RECIPIENTS, **how: t.Any) -> TapError:
    """Return the error that a response ends in."""
    with pytest.raises(TapError) as caught:
        read(document, endpoint, **how)
    return caught.value


def test_endpoints() -> None:
    """An endpoint is the last part of its path."""
    assert list(map(str, Endpoint)) == [
        "getcampaignrecipientsdata",
        "recentcampaigns",
        "campaignreports",
        "getcampaigndetails",
    ]


# Lists and documents


def test_sample_json() -> None:
    """The JSON sample of the documentation gives its row, and its envelope beside it."""
    assert read(SAMPLE_JSON) == Response(
        rows=[
            {
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
        ],
        document={
            "requestdetails": {"range": 20, "action": "sentcontacts", "fromindex": 1},
            "status": "success",
            "code": "0",
            "uri": "/api/getcampaignrecipientsdata",
            "version": "1",
        },
    )


def test_sample_xml() -> None:
    """The XML sample of the documentation gives its row under the names of its `val`."""
    assert read(SAMPLE_XML, response_format="xml") == Response(
        rows=[
            {
                "added_time": "02 Aug 2013, 12:39 PM",
                "first_name": "meganath.v",
                "last_name": None,
                "company_name": None,
                "phone": None,
                "contact_email": "john.doe@xyz.com",
            }
        ],
        document={
            "status": "success",
            "code": "0",
            "range": "20",
            "action": "sentcontacts",
            "fromindex": "1",
            "campaign_details": {
                "email_status": "Sent",
                "zuid": "4179027",
                "campaign_name": "Zoho Survey 7",
                "email_subject": "Zoho Survey 7",
            },
        },
    )


@pytest.mark.parametrize(
    ("total", "read_as"),
    [
        ("10", 10),
        (10, 10),
        (0, 0),
        ("9" * 18, 10**18 - 1),
        ("9" * 19, None),
        ("many", None),
        (-1, None),
        (True, None),
        (None, None),
        ([], None),
    ],
)
def test_listing(total: t.Any, read_as: int | None) -> None:
    """The listing's rows come with their total, be it text or a number, or else without."""
    rows = [{"campaign_key": "3z1"}, {"campaign_key": "3z2"}]
    around = {
        "requestdetails": "{range=5, status=All, fromindex=1}",
        "code": 0,
        "total_record_count": total,
    }
    assert read({**around, "recent_campaigns": rows}, LISTING) == Response(rows, around, read_as)


@pytest.mark.parametrize("endpoint", [REPORT, DETAILS])
def test_document(endpoint: Endpoint) -> None:
    """A report and details come whole."""
    document = {
        "campaign-reports": [{"opens_count": "90"}],
        "campaign-by-loaction": {"United States of America": 102},
        "status": "success",
        "code": "0",
    }
    assert read(document, endpoint) == Response([], document)


@pytest.mark.parametrize("endpoint", [RECIPIENTS, LISTING])
@pytest.mark.parametrize("rows", [{}, {"list": None}, {"list": []}])
def test_no_rows(endpoint: Endpoint, rows: dict[str, t.Any]) -> None:
    """A list that is empty, null or absent has no rows."""
    name = "list_of_details" if endpoint == RECIPIENTS else "recent_campaigns"
    document = {"status": "success", "code": "0"} | ({name: rows["list"]} if rows else {})
    assert read(document, endpoint).rows == []


@pytest.mark.parametrize(
    "contacts", ["", "<contacts/>", "<contacts></contacts>", "<contacts>\n</contacts>"]
)
def test_no_rows_in_xml(contacts: str) -> None:
    """XML without contacts has no rows."""
    body = f"<response><status>success</status><code>0</code>{contacts}</response>".encode()
    assert read(body, response_format="xml").rows == []


@pytest.mark.parametrize(
    "words",
    [
        {"code": "0"},
        {"code": 0},
        {"code": 0.0},
        {"code": " 0 "},
        {"Code": "0", "Status": "SUCCESS"},
        {"code": "200"},
        {"code": 200},
        {"status": "success"},
        {"CODE": "0", "STATUS": "whatever"},
        {},
    ],
)
def test_success(words: dict[str, t.Any]) -> None:
    """Success is code 0 or 200, else the status, else what was asked for is there."""
    assert read({**words, "list_of_details": [{"contactid": "1"}]}).rows == [{"contactid": "1"}]


@pytest.mark.parametrize(
    ("endpoint", "response_format", "document"),
    [
        (RECIPIENTS, "json", {"status": "success"}),
        (RECIPIENTS, "json", {"list_of_details": []}),
        (RECIPIENTS, "xml", b"<response><a/><contacts/></response>"),
        (LISTING, "json", {"recent_campaigns": []}),
        (REPORT, "json", {"campaign-reports": []}),
        (DETAILS, "json", {"campaign-details": []}),
    ],
)
def test_success_without_code(
    endpoint: Endpoint, response_format: ResponseFormat, document: t.Any
) -> None:
    """A response without a code is one where its status says success or the content is there."""
    assert read(document, endpoint, response_format=response_format).rows == []


def test_nested_xml() -> None:
    """Elements in a contact are kept under their names, reports as a list be there one or many."""
    report = '<report><fl val="time">Feb 12, 2026 12:08 PM</fl></report>'
    body = (
        "<response><code>0</code><contacts>"
        f'<contact><fl val="contact_email">a@x.org</fl><reports>{report}</reports></contact>'
        f'<contact><reports>{report}{report}</reports><fl val="b"/><fl val="b">2</fl></contact>'
        "</contacts></response>"
    )
    once = {"time": "Feb 12, 2026 12:08 PM"}
    assert read(body.encode(), response_format="xml").rows == [
        {"contact_email": "a@x.org", "reports": {"report": [once]}},
        {"reports": {"report": [once, once]}, "b": [None, "2"]},
    ]


def test_whitespace_stays() -> None:
    """A value is the text that Zoho sent, its spaces and CDATA included, in either format."""
    body = (
        '<response><code>0</code><contacts><contact><fl val="note"> a <![CDATA[<b>&]]> </fl>'
        '<fl val="last seen">&lt;x&gt;</fl></contact></contacts></response>'
    )
    assert read(body.encode(), response_format="xml").rows == [
        {"note": " a <b>& ", "last seen": "<x>"}
    ]


def test_long_text_in_xml() -> None:
    """A long text is one text, however many pieces the parser hands it over in."""
    text = "a& " * 50_000
    body = (
        f'<response><code>0</code><contacts><contact><fl val="note">{escape(text)}</fl></contact>'
        "</contacts></response>"
    )
    assert read(body.encode(), response_format="xml").rows == [{"note": text}]


names = st.text(st.characters(categories=["L", "N", "P", "Zs"]), min_size=1, max_size=12)
texts = st.text(st.characters(categories=["L", "M", "N", "P", "S", "Zs"]))


@settings(deadline=None)
@given(st.lists(st.dictionaries(names, texts, min_size=1), min_size=1, max_size=4))
def test_same_rows_in_both_formats(rows: list[dict[str, str]]) -> None:
    """The same rows are the same in JSON and in XML, but that XML has no empty text."""
    contacts = "".join(
        "<contact>"
        + "".join(f"<fl val={quoteattr(n)}>{escape(text)}</fl>" for n, text in row.items())
        + "</contact>\n"
        for row in rows
    )
    body = f"<response><code>0</code><contacts>{contacts}</contacts></response>".encode()
    assert read(body, response_format="xml").rows == [
        {name: text or None for name, text in row.items()}
        for row in read({"code": "0", "list_of_details": rows}).rows
    ]


# Errors of Zoho's


@pytest.mark.parametrize(
    ("endpoint", "code", "kind"),
    [
        *((RECIPIENTS, code, None) for code in ("6303", "2502")),
        *((LISTING, code, None) for code in ("6101", "6303")),
        *(
            (RECIPIENTS, code, CampaignRefused)
            for code in ("6002", "6301", "6601", "2206", "6503", "6608")
        ),
        (RECIPIENTS, "6607", InsufficientPrivileges),
        *((endpoint, "6502", RangeTooLarge) for endpoint in (RECIPIENTS, LISTING)),
        *((endpoint, "6001", Transient) for endpoint in (RECIPIENTS, LISTING)),
        *((endpoint, code, Transient) for endpoint in Endpoint for code in ("2101", "2707")),
        *((endpoint, code, MissingParameter) for endpoint in Endpoint for code in ("903", "1003")),
        *((endpoint, "1007", Unauthorized) for endpoint in Endpoint),
        *((endpoint, "INVALID_OAUTHTOKEN", Unauthorized) for endpoint in Endpoint),
        *((endpoint, code, UnexpectedCode) for endpoint in Endpoint for code in ("1001", "7777")),
        *((endpoint, "6001", UnexpectedCode) for endpoint in (REPORT, DETAILS)),
        *((endpoint, "6303", UnexpectedCode) for endpoint in (REPORT, DETAILS)),
        *((endpoint, "6002", UnexpectedCode) for endpoint in (LISTING, REPORT, DETAILS)),
        *((LISTING, code, UnexpectedCode) for code in ("6601", "6607")),
    ],
)
def test_outcomes(endpoint: Endpoint, code: str, kind: type[ZohoError] | None) -> None:
    """The same code means what it means on its endpoint, in every spelling of the envelope.

    None stands for an empty list.
    """
    spellings: list[t.Any] = [
        {"status": "error", "code": code, "message": "Zoho's words"},
        {"message": "Zoho's words", "Code": code, "URI": "/api/v1.1/x", "status": "error"},
        {"Code": code, "Message": "Zoho's words"},
        {"error": {"code": code, "message": "Zoho's words"}},
        (
            f"<response><status>error</status><code>{code}</code>"
            "<message>Zoho's words</message></response>"
        ).encode(),
    ]
    if code.isdecimal():
        spellings.append({"status": "error", "code": int(code), "message": "Zoho's words"})
    for spelling in spellings:
        for response_format in ("json", "xml"):
            if kind is None:
                assert read(spelling, endpoint, response_format=response_format).rows == []
                continue
            error = failure(spelling, endpoint, response_format=response_format)
            assert isinstance(error, ZohoError)
            assert (type(error), error.endpoint, error.code, error.message) == (
                kind,
                endpoint,
                code,
                "Zoho's words",
            )
            assert f"code {code}" in str(error)
            assert "Zoho's words" in str(error)


def test_every_outcome_is_tested() -> None:
    """No line of the table of codes goes without its test."""
    [parametrize] = test_outcomes.pytestmark  # type: ignore[attr-defined]
    tested = {(endpoint, code) for endpoint, code, _ in parametrize.args[1]}
    tested |= {(None, code) for _, code in tested}
    assert tested >= set(OUTCOMES)


@pytest.mark.parametrize(
    ("endpoint", "code", "advice"),
    [
        (RECIPIENTS, "6002", "The campaign key is wrong, or the campaign was not sent yet"),
        (RECIPIENTS, "6301", "The campaign key is wrong"),
        (RECIPIENTS, "6601", "An A/B campaign that went to fewer than 4 recipients has none"),
        (RECIPIENTS, "2206", "The campaign was deleted"),
        (RECIPIENTS, "6503", "The campaign was deleted"),
        (RECIPIENTS, "6608", "The campaign was deleted"),
        (RECIPIENTS, "6607", "the scope ZohoCampaigns.campaign.READ"),
        (LISTING, "6601", "the scope ZohoCampaigns.campaign.READ"),
        (LISTING, "6607", "the scope ZohoCampaigns.campaign.READ"),
        (RECIPIENTS, "6502", "Choose a smaller page_size"),
    ],
)
def test_advice(endpoint: Endpoint, code: str, advice: str) -> None:
    """An error says in words what Zoho's number means."""
    assert f" {advice}" in str(failure({"status": "error", "code": code}, endpoint))


@pytest.mark.parametrize(
    "message",
    [
        "There are no contacts.",
        "Yet,There are NO contacts in this list.",
        "所选邮件列表中没有订阅者。",
    ],
)
def test_empty_in_words(message: str) -> None:
    """An unknown code whose words say that there are no contacts is an empty list of recipients."""
    document = {"status": "error", "code": "6302", "message": message}
    assert read(document) == Response([], document)
    assert type(failure(document, LISTING)) is UnexpectedCode
    assert type(failure({**document, "code": "6002"})) is CampaignRefused


@pytest.mark.parametrize(
    "document",
    [
        {"status": "error"},
        {"status": "Failure", "message": "?"},
        {"code": "0", "status": "error"},
        {"code": "200", "status": "failed", "list_of_details": [{}]},
        {"code": "13", "status": "success", "list_of_details": [{}]},
        {"code": "400", "message": "Bad request"},
    ],
)
def test_error_in_either_word(document: dict[str, t.Any]) -> None:
    """A code that is no success, or a status that is an error, each is enough for an error."""
    assert type(failure(document)) is UnexpectedCode


@pytest.mark.parametrize("name", ["message", "Message", "error_description", "title", "error"])
def test_message(name: str) -> None:
    """Zoho's words are shown, whatever their name."""
    error = failure({"code": "13", name: "Zoho's words"})
    assert isinstance(error, UnexpectedCode)
    assert error.message == "Zoho's words"


# HTTP statuses


@pytest.mark.parametrize(
    "body", [b"", b"<html>no</html>", b'{"code":"6303"}', b'{"code":"0","list_of_details":[]}']
)
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, Unauthorized),
        (408, Transient),
        (429, Throttled),
        (500, Transient),
        (502, Transient),
        (503, Transient),
        (504, Transient),
    ],
)
def test_status_decides(status: int, kind: type[ZohoError], body: bytes) -> None:
    """401, 408 and 429 mean the same whatever the body says, 5xx unless it speaks of a lock."""
    error = failure(body, status=status)
    assert type(error) is kind
    assert ("code 6303" if b"6303" in body else f"HTTP {status}") in str(error)


@pytest.mark.parametrize(
    "body",
    [
        b"<html><title>Too many requests</title></html>",
        b'{"error":{"title":"URL_ROLLING_THROTTLES_LIMIT_EXCEEDED"}}',
    ],
)
@pytest.mark.parametrize("status", [500, 503])
def test_lock_with_a_server_error(status: int, body: bytes) -> None:
    """A server error that speaks of a lock is one."""
    error = failure(body, status=status)
    assert type(error) is Throttled
    assert f"HTTP {status}" in str(error)


@pytest.mark.parametrize("body", [b"", b"<p>no</p>", b'{"code":"0","list_of_details":[]}', b"{}"])
@pytest.mark.parametrize("status", [300, 302, 400, 403, 404])
def test_status_of_its_own(status: int, body: bytes) -> None:
    """Any other status is named as an unexpected code where the body says nothing."""
    error = failure(body, status=status)
    assert type(error) is UnexpectedCode
    assert f"HTTP {status}" in str(error)


def test_body_decides() -> None:
    """With any other status it is the code in the body that counts."""
    assert read({"code": "6303"}, status=400).rows == []
    assert type(failure({"code": "6002"}, status=400)) is CampaignRefused
    assert type(failure({"code": 1007}, status=403)) is Unauthorized


# Locks


LOCKS = [
    "URL_ROLLING_THROTTLES_LIMIT_EXCEEDED",
    "RATE_LIMIT_EXCEEDED",
    "rate-limit exceeded",
    "Too many requests.",
    "Too many API calls in a short time",
    "You have made too many requests continuously. Please try again after some time.",
    "You have exceeded the API call limit. Please try again after 30 minutes.",
    "Sorry. You have crossed the maximum number of calls",
    "API usage limit reached",
    "The number of requests has exceeded the threshold",
    "Quota exceeded for API requests",
    "Request throttled",
    "Requests are too frequent",
    "This API is locked for 30 minutes",
    "API_LOCKED",
    "Locked",
    "This URL is temporarily blocked",
    "You are blocked for some time",
    "请求过于频繁",
    "API调用次数超过限制",
]


@pytest.mark.parametrize("words", LOCKS)
@pytest.mark.parametrize("endpoint", Endpoint)
def test_lock_in_words(endpoint: Endpoint, words: str) -> None:
    """A lock is known by its words, in whatever status, member or format they stand."""
    for status, document in [
        (200, {"status": "error", "code": "4000", "message": words}),
        (200, {"message": words}),
        (200, {"error": words}),
        (400, {"error": {"status_code": "400", "title": words, "error_type": "OTHER"}}),
        (403, {"status": "error", "errors": [{"details": {"reason": words}}]}),
        (403, {"Code": words}),
        (200, f"<response><status>error</status><message>{words}</message></response>".encode()),
        (403, f"<!DOCTYPE html><html><title>{words}</title></html>".encode()),
        (200, f"<html><body><h1>{words}</h1></body></html>".encode()),
        (400, words.encode()),
    ]:
        error = failure(document, endpoint, status=status, retry_after_seconds=90)
        assert isinstance(error, Throttled)
        assert error.retry_after_seconds == 90


@pytest.mark.parametrize(
    "words",
    [
        "The limit given exceeds the maximum.",
        "Maximum contact limit reached",
        "Your account is locked",
        "The campaign is locked",
        "Access denied",
        "Invalid API key",
        "You have entered a wrong URL.",
        "Problem in displaying the report. Please try again later.",
        "执行此操作的权限不足。请联系机构管理员。",
    ],
)
def test_no_lock(words: str) -> None:
    """Other limits and other locks are no lock of an endpoint."""
    assert type(failure({"status": "error", "code": "7777", "message": words})) is UnexpectedCode


def test_known_code_is_no_lock() -> None:
    """A code that the table knows stays what it is, whatever its words."""
    for code, kind in [("6502", RangeTooLarge), ("6002", CampaignRefused), ("1007", Unauthorized)]:
        assert type(failure({"code": code, "message": "Rate limit exceeded"})) is kind


def test_rows_do_not_lock() -> None:
    """Words of a recipient or a campaign lock nothing."""
    row = {"note": "Too many requests", "campaign_name": "API locked"}
    assert read({"code": "0", "list_of_details": [row]}).rows == [row]
    error = failure({"status": "error", "code": "13", "list_of_details": [row]})
    assert type(error) is UnexpectedCode
    cut = dump({"code": "0", "list_of_details": [row]})[:-4]
    assert type(failure(cut)) is UnreadableResponse
    assert type(failure(b"\n " + cut)) is UnreadableResponse
    assert type(failure(b"<response><contacts><contact>Too many requests")) is UnreadableResponse


def test_retry_after() -> None:
    """What the response says about waiting goes with a lock and with trouble of Zoho's own."""
    lock = failure(b"", status=429, retry_after_seconds=7.5)
    assert isinstance(lock, Throttled)
    trouble = failure(b"", status=503, retry_after_seconds=7.5)
    assert isinstance(trouble, Transient)
    assert (lock.retry_after_seconds, trouble.retry_after_seconds) == (7.5, 7.5)


# Answers that are none

BOMB = b"""<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;">]>
<response><code>0</code><contacts><contact><fl val="a">&d;</fl></contact></contacts></response>"""
OUTSIDE = b"""<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/passwd">]>
<response><code>0</code><contacts><contact><fl val="a">&a;</fl></contact></contacts></response>"""
OUTSIDE_DTD = (
    b"""<!DOCTYPE r SYSTEM "http://127.0.0.1:9/x.dtd"><response><code>0</code></response>"""
)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"Ann \\ud83d", "Ann \ufffd"),
        (b"\\ude00 Ann", "\ufffd Ann"),
        (b"\\ude00\\ud83d", "\ufffd\ufffd"),
        (b"\\ud83d\\ud83d\\ude00", "\ufffd\U0001f600"),
        (b"\\ud83d\\ude00 \\uD83D", "\U0001f600 \ufffd"),
        (b"\\\\ud83d \\ud83d", "\\ud83d \ufffd"),
        (b"a\\u0000b", "a\ufffdb"),
        (b"a\x00b", "a\ufffdb"),
        (b"a\x1fb", "a\ufffdb"),
        (b"a\xffb", "a\ufffdb"),
        (b"a\xed\xa0\xbdb", "a\ufffd\ufffd\ufffdb"),
    ],
)
def test_odd_character_in_json(raw: bytes, text: str) -> None:
    """Text that no JSON or database can hold is replaced, and costs neither row nor page."""
    body = SAMPLE_JSON.replace(b"meganath.v", raw)
    (row,) = read(body).rows
    assert row["firstname"] == text
    assert row["contactemailaddress"] == "john.doe@xyz.com"


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"Ann &#xD83D;", "Ann \ufffd"),
        (b"a&#0;b", "a\ufffdb"),
        (b"a&#1114112;b", "a\ufffdb"),
        (b"a&#xFFFE;&#x1F600;", "a\ufffd\U0001f600"),
        (b"a\x01b", "a\ufffdb"),
        (b"a\xffb", "a\ufffdb"),
        (b"a\xef\xbf\xbfb", "a\ufffdb"),
        (b"a&#10;b", "a\nb"),
    ],
)
def test_odd_character_in_xml(raw: bytes, text: str) -> None:
    """So it is in XML, where such characters come as bytes or as references."""
    body = SAMPLE_XML.replace(b"meganath.v", raw)
    (row,) = read(body, response_format="xml").rows
    assert row["first_name"] == text
    assert row["contact_email"] == "john.doe@xyz.com"


def test_odd_character_in_another_encoding() -> None:
    """XML that declares an encoding of its own is read in that encoding."""
    body = b'<?xml version="1.0" encoding="iso-8859-1"?>' + SAMPLE_XML.replace(b"meg", b"\xe9")
    (row,) = read(body, response_format="xml").rows
    assert row["first_name"] == "\xe9anath.v"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "an empty body"),
        (b" \n", "an empty body"),
        (b"not JSON", "a body that is not JSON"),
        (SAMPLE_JSON[:-9], "a body that is not JSON (Input data was truncated)"),
        (SAMPLE_JSON + b"}", "a body that is not JSON (JSON is malformed: trailing characters"),
        (SAMPLE_JSON.replace(b'"303000014269257"', b"1e999"), "a body that is not JSON"),
        (SAMPLE_JSON.replace(b'"303000014269257"', b"9" * 5000), "a body that is not JSON"),
        (b'{"a":' * 100_000, "JSON that is nested too deep"),
        (b"[]", "something else than an object"),
        (b'"text"', "something else than an object"),
        (b"null", "something else than an object"),
        (b"{}", "no word of success or error"),
        (b'{"status":"waiting"}', "no word of success or error"),
        (b"<html><body>Down for maintenance</body></html>", "a page in HTML"),
        (b"<!DOCTYPE html><html></html>", "a page in HTML, or XML with a document type"),
        (SAMPLE_XML[:-9], "a body that is not XML"),
        (SAMPLE_XML.replace(b"meganath", b"&nbsp;"), "a body that is not XML"),
        (b'<?xml version="1.0" encoding="gbk"?>' + SAMPLE_XML, "a body that is not XML"),
        (b'<?xml version="1.0" encoding="nonsense"?>' + SAMPLE_XML, "a body that is not XML"),
        (BOMB, "a page in HTML, or XML with a document type"),
        (OUTSIDE, "a page in HTML, or XML with a document type"),
        (OUTSIDE_DTD, "a page in HTML, or XML with a document type"),
        (b"<a>" * 100_000, "XML that is nested too deep"),
        (b"<response>" + b"<a>" * 49 + b"</a>" * 49, "a body that is not XML"),
        (b"<response>" + b"<a>" * 50, "XML that is nested too deep"),
        (b"<html><script>Too many requests</script></html>", "a page in HTML"),
        (b"<HTML>\n<SCRIPT>\nToo many requests\n</SCRIPT>\n</HTML>", "a page in HTML"),
        (b"<response/>", "something else than an object"),
        (b"<response>text</response>", "something else than an object"),
    ],
)
@pytest.mark.parametrize("response_format", ["json", "xml"])
def test_unreadable(body: bytes, says: str, response_format: ResponseFormat) -> None:
    """A body that is no response ends in one line that says what it is and quotes nothing."""
    error = failure(body, response_format=response_format)
    assert type(error) is UnreadableResponse
    assert str(error).startswith(f"getcampaignrecipientsdata answered with {says}")
    assert "\n" not in str(error)


def test_more_objects_than_any_list_has() -> None:
    """Two million objects and arrays are read; one more, of either kind, is refused unread."""
    inside = b"{}," * 999_999 + b"[]," * 999_998
    answer = read(b'{"code":"0","x":[' + inside + b"[]]}", REPORT)
    assert len(answer.document["x"]) == 1_999_998
    for more in (b"[]", b"{}"):
        error = failure(b'{"code":"0","x":[' + inside + b"[]," + more + b"]}", REPORT)
        assert str(error).startswith("campaignreports answered with more objects than any list has")


WRONG_TYPES: list[t.Any] = [True, [], ["0"], {}, {"code": "0"}]


@pytest.mark.parametrize("value", WRONG_TYPES)
@pytest.mark.parametrize("name", ["code", "Code", "status"])
def test_wrong_types_around_the_rows(name: str, value: t.Any) -> None:
    """A code or status that is neither text nor a number is no response."""
    envelope = {"code": "0", "status": "success", "list_of_details": [{"contactid": "1"}]}
    if name == "Code":
        del envelope["code"]
    error = failure(envelope | {name: value})
    assert type(error) is UnreadableResponse
    assert "answered with a code or status that is neither text nor a number." in str(error)


@pytest.mark.parametrize("value", [*WRONG_TYPES, 3, None])
def test_wrong_type_of_message(value: t.Any) -> None:
    """An error whose message is no text is an error without words."""
    error = failure({"code": "13", "message": value})
    assert isinstance(error, UnexpectedCode)
    assert (error.code, error.message) == ("13", "")


@pytest.mark.parametrize("rows", ["", "text", 3, True, {"contactid": "1"}, [None], ["a", 1, []]])
@pytest.mark.parametrize(
    ("endpoint", "name"), [(RECIPIENTS, "list_of_details"), (LISTING, "recent_campaigns")]
)
def test_no_list_of_rows(endpoint: Endpoint, name: str, rows: t.Any) -> None:
    """Something else in place of the rows is no response."""
    error = failure({"code": "0", name: rows}, endpoint)
    assert type(error) is UnreadableResponse
    assert str(error).startswith(f"{endpoint} answered with something else than rows in its list.")


@pytest.mark.parametrize("contacts", ["text", "<contact>text</contact>"])
def test_no_list_of_rows_in_xml(contacts: str) -> None:
    """The same holds in XML."""
    body = f"<response><code>0</code><contacts>{contacts}</contacts></response>".encode()
    assert type(failure(body, response_format="xml")) is UnreadableResponse


def test_empty_rows_in_xml() -> None:
    """An element without anything in it is a row without values."""
    body = b"<response><code>0</code><contacts><contact/><contact></contact></contacts></response>"
    answer = read(body, response_format="xml")
    assert (answer.rows, answer.unreadable_rows) == ([{}, {}], 0)


def test_unreadable_rows() -> None:
    """A row that is no object is counted, and keeps its place for those behind it."""
    row = {"contactid": "1"}
    answer = read({"code": "0", "list_of_details": [None, row, ["x"], row, 7]})
    assert answer.rows == [{"": None}, row, {"": ["x"]}, row, {"": 7}]
    assert answer.unreadable_rows == 3
    body = (
        b'<response><code>0</code><contacts><contact>x</contact><contact><fl val="contactid">1</fl>'
        b"</contact></contacts></response>"
    )
    answer = read(body, response_format="xml")
    assert (answer.rows, answer.unreadable_rows) == ([{"": "x"}, row], 1)


def test_other_format() -> None:
    """A success in another format than asked is no response; an error is understood."""
    for sample, response_format, says in [
        (SAMPLE_JSON, "xml", "getcampaignrecipientsdata was asked for xml, answered json"),
        (SAMPLE_XML, "json", "getcampaignrecipientsdata was asked for json, answered xml"),
    ]:
        error = failure(sample, response_format=response_format)
        assert type(error) is UnexpectedFormat
        assert str(error).startswith(says)


def test_escaped_nul() -> None:
    """An escaped NUL, which PostgreSQL takes in no text, becomes U+FFFD; other backslashes stay."""
    body = rb'{"code":"0","list_of_details":[{"a":"x\u0000\u0000y","b":"\\u0000","c":"\\\u0000"}]}'
    assert read(body).rows == [{"a": "x��y", "b": r"\u0000", "c": "\\�"}]


def test_byte_order_mark() -> None:
    """A byte order mark and spaces around a response do no harm."""
    assert read(b"\xef\xbb\xbf " + SAMPLE_JSON + b"\n") == read(SAMPLE_JSON)
    xml = b'\xef\xbb\xbf<?xml version="1.0" encoding="UTF-8" ?>\n' + SAMPLE_XML + b"\n"
    assert read(xml, response_format="xml") == read(SAMPLE_XML, response_format="xml")


def test_long_words() -> None:
    """Megabytes of words are looked through in no time, and shown in one short line."""
    words = "api limit " * 200_000
    error = failure({"code": "13", "message": words, "more": [words] * 5})
    assert type(error) is UnexpectedCode
    assert len(str(error)) < 400


def test_no_address_in_an_error() -> None:
    """An error shows no address of a recipient."""
    error = failure({"code": "13", "message": "No such contact: jane@example.org"})
    assert "jane" not in str(error)


# Anything at all

members = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(["0", "6303", "error", "success", "null", *LOCKS]),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(), inside, max_size=4),
    max_leaves=12,
)
NAMES = """code Code status message error list_of_details recent_campaigns campaign-reports
contacts total_record_count requestdetails"""
envelopes = st.dictionaries(st.sampled_from(NAMES.split()), members)
PARTS = """<response> </response> <code> </code> 0 6303 <contacts> </contacts> <contact> </contact>
<contact/> <fl> </fl> &amp; &x; <![CDATA[ ]]> <!-- --> <?x ?>"""
markup = st.lists(
    st.sampled_from([*PARTS.split(), "<!DOCTYPE x>", "<fl val='a'>", "<fl val=''>", "é", " "])
).map(lambda parts: "".join(parts).encode())


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Return a sample of which a part was cut out, changed or repeated."""
    body = draw(st.sampled_from([SAMPLE_JSON, SAMPLE_XML]))
    start, end = sorted(draw(st.tuples(*[st.integers(0, len(body))] * 2)))
    return body[:start] + draw(st.binary(max_size=8)) + body[end:]


@settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow]
)  # the first text loads Unicode's tables
@given(
    body=st.binary() | damaged() | markup | envelopes.map(msgspec.json.encode),
    endpoint=st.sampled_from(list(Endpoint)),
    response_format=st.sampled_from(["json", "xml"]),
    status=st.sampled_from([200] * 6 + [204, 302, 400, 401, 429, 500]),
)
@example(body=b"<fl val=''/>", endpoint=RECIPIENTS, response_format="xml", status=200)
def test_anything(
    body: bytes, endpoint: Endpoint, response_format: ResponseFormat, status: int
) -> None:
    """Whatever the bytes, they end in rows that are objects or in an error of one line."""
    try:
        answer = parse_response(endpoint, response_format, status, body)
    except TapError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017 - either end is right
    else:
        assert all(type(row) is dict for row in answer.rows)
        assert 0 <= answer.unreadable_rows <= len(answer.rows)


@pytest.mark.parametrize("code", [0.4, -0.4, 200.3, 0.5])
def test_code_that_is_hardly_a_number(code: float) -> None:
    """A fraction is the code that it is, and is not rounded to a success."""
    error = failure(json.dumps({"code": code, "list_of_details": []}).encode())
    assert type(error) is UnexpectedCode
    assert f"code {code}" in str(error)


def test_advice_on_an_http_status() -> None:
    """Only where nothing but an HTTP status tells what is wrong, the addresses may be."""
    assert str(failure(b"{", status=404)).endswith("HTTP 404. Check api_url and data_center")
    for status, body in ((404, b'{"code":"13"}'), (200, b'{"code":"13"}'), (500, b"{")):
        assert "Check api_url" not in str(failure(body, status=status))


@pytest.mark.parametrize("body", [b'{"code":"0","list', b"[1,", b"<response><code>0</co"])
def test_cut_body_with_an_http_error(body: bytes) -> None:
    """Nothing of a cut answer is quoted as if it were words."""
    error = failure(body, status=502)
    assert str(error).startswith("Zoho answered getcampaignrecipientsdata with HTTP 502. ")
