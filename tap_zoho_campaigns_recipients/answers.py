"""From the bytes of one answer to plain rows, or to a typed error.

The only module that knows JSON, XML, Zoho's envelopes and its error codes. It does no
input or output of its own, and whatever the bytes are it ends in an `Answer` or in one
of the errors of `errors`.
"""

from __future__ import annotations

import itertools
import re
import typing as t
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from xml.parsers import expat

import msgspec

from tap_zoho_campaigns_recipients.errors import (
    BadAnswer,
    CampaignRefused,
    InsufficientPrivileges,
    MissingParameter,
    OtherFormat,
    RangeTooLarge,
    Throttled,
    Transient,
    Unauthorized,
    UnexpectedCode,
)

if t.TYPE_CHECKING:
    from tap_zoho_campaigns_recipients.errors import ZohoError

ResponseFormat = t.Literal["json", "xml"]


class Endpoint(StrEnum):
    """The four endpoints that are read; the value is the last part of the URL's path."""

    RECIPIENTS = "getcampaignrecipientsdata"
    LISTING = "recentcampaigns"
    REPORT = "campaignreports"
    DETAILS = "getcampaigndetails"


class _Empty(Enum):
    """The type of `EMPTY`."""

    EMPTY = "an empty list"


EMPTY: t.Final = _Empty.EMPTY
"""The outcome of an error code by which Zoho says that a list has no rows."""

ANYWHERE: t.Final = None
"""Stands for every endpoint in `OUTCOMES`; a line for one endpoint goes first."""

OUTCOMES: t.Final[dict[tuple[Endpoint | None, str], type[ZohoError] | t.Literal[_Empty.EMPTY]]] = {
    (Endpoint.RECIPIENTS, "6303"): EMPTY,
    # Seen live on the sister endpoint getlistsubscribers, for a page past the end of a list.
    (Endpoint.RECIPIENTS, "2502"): EMPTY,
    (Endpoint.RECIPIENTS, "6002"): CampaignRefused,
    (Endpoint.RECIPIENTS, "6301"): CampaignRefused,
    (Endpoint.RECIPIENTS, "6601"): CampaignRefused,
    (Endpoint.RECIPIENTS, "2206"): CampaignRefused,
    (Endpoint.RECIPIENTS, "6503"): CampaignRefused,
    (Endpoint.RECIPIENTS, "6608"): CampaignRefused,
    (Endpoint.RECIPIENTS, "6607"): InsufficientPrivileges,
    (Endpoint.RECIPIENTS, "6502"): RangeTooLarge,
    (Endpoint.RECIPIENTS, "6001"): Transient,
    (Endpoint.LISTING, "6101"): EMPTY,
    (Endpoint.LISTING, "6303"): EMPTY,
    (Endpoint.LISTING, "6502"): RangeTooLarge,
    (Endpoint.LISTING, "6001"): Transient,
    (ANYWHERE, "2101"): Transient,
    (ANYWHERE, "2707"): Transient,
    (ANYWHERE, "903"): MissingParameter,
    (ANYWHERE, "1003"): MissingParameter,
    (ANYWHERE, "1007"): Unauthorized,
    # Zoho's other products say it so; two public clients of this API look for it too.
    (ANYWHERE, "INVALID_OAUTHTOKEN"): Unauthorized,
}
"""What each error code means, by endpoint: the same number means different things on different
endpoints. A code that is not here is `Throttled` where the words say so, else `UnexpectedCode`."""

ADVICE: t.Final[dict[tuple[Endpoint, str], str]] = {
    (Endpoint.RECIPIENTS, "6002"): "The campaign key is wrong, or the campaign was not sent yet",
    (Endpoint.RECIPIENTS, "6301"): "The campaign key is wrong",
    (Endpoint.RECIPIENTS, "6601"): "An A/B campaign that went to fewer than 4 recipients has none",
    (Endpoint.RECIPIENTS, "2206"): "The campaign was deleted",
    (Endpoint.RECIPIENTS, "6503"): "The campaign was deleted",
    (Endpoint.RECIPIENTS, "6608"): "The campaign was deleted",
    (Endpoint.LISTING, "6601"): InsufficientPrivileges.advice,
    (Endpoint.LISTING, "6607"): InsufficientPrivileges.advice,
}
"""What to tell the user where the error's own class cannot know it."""

_NO_CONTACTS: t.Final = re.compile(
    r"\bno (?:contacts?|subscribers?|recipients?)\b|没有[^。]{0,6}(?:订阅者|联系人|收件人)",
    re.IGNORECASE,
)
"""A recipients error with these words is an empty list, whatever its code: seen live with
"There are no contacts."; the legacy documentation words 6303 as 所选邮件列表中没有订阅者."""

# Together in one sentence, in any order, they say that there were too many calls.
_CALLS: t.Final = r"\b(?:api|calls?|requests?|hits|access|usage)\b"
_LIMIT: t.Final = r"\b(?:limits?|quota|threshold|maximum|number)\b"
_OVER: t.Final = r"\b(?:exceed|reach|cross)\w*"

_LOCKED: t.Final = r"\b(?:locked|blocked)\b"
_THROTTLE_WORDS: t.Final = re.compile(
    "|".join(
        (
            "throttl",
            r"\btoo many (?:\w+ ){0,3}?(?:requests?|calls?|hits|attempts|times)\b",
            r"\btoo (?:frequent|often|fast|quick)",
            r"\brate (?:limit|quota|exceed)",
            rf"(?:\A|\.)(?=[^.]*{_CALLS})(?=[^.]*{_LIMIT})[^.]*{_OVER}",
            r"\b(?:api|url|endpoint|method|access|requests?|calls?)\b[^.]{0,60}\blocked\b",
            rf"{_LOCKED}[^.]{{0,60}}\b(?:minutes?|mins?|hours?|seconds?|temporarily|time)\b",
            rf"\btemporarily {_LOCKED}",
            r"\A\W*locked\W*\Z",
            "过于频繁|频率|锁定|限流|(?:请求|调用|访问)[^。]{0,12}(?:过多|超出|超过|超限|上限)",
        )
    ),
    re.IGNORECASE,
)
"""Words of a lock. Zoho documents none and none was recorded: these are the wordings of its
other products (URL_ROLLING_THROTTLES_LIMIT_EXCEEDED) and of API gateways at large."""

_CONTENT: t.Final[dict[Endpoint, tuple[str, ...]]] = {
    Endpoint.RECIPIENTS: ("list_of_details", "contacts"),
    Endpoint.LISTING: ("recent_campaigns",),
    Endpoint.REPORT: ("campaign-reports",),
    Endpoint.DETAILS: ("campaign-details",),
}
"""Where an answer keeps what was asked for: with one of these it needs no word of success."""

_OUTCOME_OF_STATUS: t.Final[dict[int, type[ZohoError]]] = {
    401: Unauthorized,
    408: Transient,
    429: Throttled,
}
"""What an HTTP status means whatever the body; from 500 on all are `Transient`, but for a body that
speaks of a lock: no gateway's way to say so is known."""

_SUCCESS_CODES: t.Final = frozenset({"0", "200"})
_ERROR_STATUSES: t.Final = frozenset({"error", "failure", "failed"})
_HTTP_SUCCESS: t.Final = range(200, 300)
_HTTP_SERVER_ERROR: t.Final = 500

_LONGEST_PAGE_CHARACTERS: t.Final = 4_000
_LONGEST_WORDS_CHARACTERS: t.Final = 1_000
_MOST_WORDS: t.Final = 200
_LONGEST_TOTAL_DIGITS: t.Final = 18
_DEEPEST_XML: t.Final = 50
_MOST_JSON_OBJECTS: t.Final = 2_000_000
"""An empty object takes thirty times the memory of its two bytes; no honest answer has so many."""
_XML_LISTS: t.Final = frozenset({"contact", "report"})
"""Elements that are lists, be there one of them or many."""

_SPACES: t.Final = str.maketrans("_-", "  ")
_MARKUP: t.Final = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.DOTALL | re.IGNORECASE)
_NUL_ESCAPE: t.Final = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer that is no error."""

    rows: list[dict[str, t.Any]]
    """The rows of a list, under Zoho's names; none for a report or details."""
    document: dict[str, t.Any] = field(default_factory=dict)
    """The whole answer as Zoho sent it, but for the rows of a list."""
    total: int | None = None
    """How many rows the list has in all its pages; None where the answer does not say."""
    unreadable_rows: int = 0
    """How many of `rows` came as something else than an object. Each stands as
    `{"": what came}` at its place, so that the rows behind it keep theirs."""


class _UnreadableError(ValueError):
    """The body holds no envelope; the text says what it is instead, and quotes nothing."""


def read_answer(
    endpoint: Endpoint,
    response_format: ResponseFormat,
    status: int,
    body: bytes,
    retry_after_seconds: float | None = None,
) -> Answer:
    """Read one answer.

    Args:
        endpoint: Where the request went.
        response_format: What the request asked for. An error is understood in either format.
        status: The HTTP status.
        body: The whole body, decompressed.
        retry_after_seconds: What the `Retry-After` header says, if there is one.

    Returns:
        The rows, or the document. An error code that says "no rows" is an answer without rows.

    Raises:
        ZohoError: An error of Zoho's, of the class that `OUTCOMES` gives its code. Besides:
            `Unauthorized` for status 401, `Throttled` for 429 and for words that speak of a lock,
            `Transient` for 5xx and 408, `UnexpectedCode` for all other codes and statuses.
        BadAnswer: The body is neither what was asked for nor an error of Zoho's; `OtherFormat`
            where it is a success in the other format.
    """
    trouble = "no word of success or error"
    try:
        envelope = _opened(body)
    except _UnreadableError as unreadable:
        envelope = _Envelope(message=_words_of_page(body))
        trouble = str(unreadable)
    works = envelope.works(endpoint)
    if status in _HTTP_SUCCESS and works is None and not envelope.speaks_of_lock():
        raise BadAnswer(f"{endpoint} answered with {trouble}")
    if status not in _HTTP_SUCCESS or not works:
        outcome = _outcome(endpoint, status, envelope)
        if outcome is EMPTY:
            return Answer([], envelope.document)
        raise _error(outcome, endpoint, status, envelope, retry_after_seconds)
    if envelope.format != response_format:
        raise OtherFormat(f"{endpoint} was asked for {response_format}, answered {envelope.format}")
    if endpoint in {Endpoint.REPORT, Endpoint.DETAILS}:
        return Answer([], envelope.document)
    return _list(endpoint, envelope)


@dataclass(slots=True)
class _Envelope:
    """What stands around the rows, in whatever spelling."""

    format: ResponseFormat = "json"
    document: dict[str, t.Any] = field(default_factory=dict)
    code: str = ""
    status: str = ""
    message: str = ""

    def works(self, endpoint: Endpoint) -> bool | None:
        """Whether the request worked; None where the answer does not say."""
        if self.code:
            return self.code in _SUCCESS_CODES and self.status not in _ERROR_STATUSES
        if self.status in _ERROR_STATUSES:
            return False
        if self.status == "success" or any(name in self.document for name in _CONTENT[endpoint]):
            return True
        return None

    def speaks_of_lock(self) -> bool:
        """Whether any text beside the rows says that there were too many calls."""
        return any(_THROTTLE_WORDS.search(text.translate(_SPACES)) for text in self._texts())

    def _texts(self) -> t.Iterator[str]:
        yield self.message[:_LONGEST_WORDS_CHARACTERS]
        rows = {name for names in _CONTENT.values() for name in names}
        values = [value for name, value in self.document.items() if name not in rows]
        for value in itertools.islice(_leaves(values), _MOST_WORDS):
            if isinstance(value, str):
                yield value[:_LONGEST_WORDS_CHARACTERS]


def _leaves(values: list[t.Any]) -> t.Iterator[t.Any]:
    """Yield what stands in nested objects and arrays, the outermost first."""
    while values:
        inside: list[t.Any] = []
        for value in values:
            if isinstance(value, dict):
                inside.extend(value.values())
            elif isinstance(value, list):
                inside.extend(value)
            else:
                yield value
        values = inside


def _opened(body: bytes) -> _Envelope:
    """Parse a body and find its envelope.

    Raises:
        _UnreadableError: It is no object in JSON or XML, or says its code or status in no word.
    """
    body = body.removeprefix(b"\xef\xbb\xbf").strip()
    if not body:
        raise _UnreadableError("an empty body")
    is_xml = body.startswith(b"<")
    document = _xml_document(body) if is_xml else _json_document(body)
    if not isinstance(document, dict):
        raise _UnreadableError("something else than an object")
    members = {name.lower(): value for name, value in document.items()}
    error = members.get("error")
    if isinstance(error, dict):
        members = {name.lower(): value for name, value in error.items()} | members
    messages = (members.get(name) for name in ("message", "error_description", "title", "error"))
    return _Envelope(
        format="xml" if is_xml else "json",
        document=document,
        code=_word(members.get("code")),
        status=_word(members.get("status")).lower(),
        message=next((text for text in messages if isinstance(text, str) and text), ""),
    )


def _word(value: object) -> str:
    """Return a code or status as text.

    Raises:
        _UnreadableError: It is neither text nor a number.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:.0f}" if value == round(value) else str(value)
    raise _UnreadableError("a code or status that is neither text nor a number")


def _json_document(body: bytes) -> object:
    """Parse JSON; an escaped NUL, which no database keeps in a text, becomes U+FFFD.

    Raises:
        _UnreadableError: It is no JSON, holds invalid UTF-8, is nested too deep, or holds more
            objects and arrays than any list.
    """
    is_large = len(body) > 2 * _MOST_JSON_OBJECTS
    if is_large and body.count(b"{") + body.count(b"[") > _MOST_JSON_OBJECTS:
        raise _UnreadableError("more objects than any list has")
    if b"\\u0000" in body:
        body = _NUL_ESCAPE.sub(rb"\1\\ufffd", body)
    try:
        document: object = msgspec.json.decode(body)
    except UnicodeDecodeError:
        raise _UnreadableError("invalid UTF-8") from None
    except msgspec.MsgspecError as error:
        raise _UnreadableError(f"a body that is not JSON ({error})") from None
    except RecursionError:
        raise _UnreadableError("JSON that is nested too deep") from None
    return document


def _xml_document(body: bytes) -> object:
    """Parse XML to what the same answer is in JSON.

    An element is an object of the elements in it, or its text, or None; `<fl val="x">` goes by the
    name `x`. Names that come again become lists. Other attributes, and text between elements, are
    left out. Without document types there are no entities, and so no bombs.

    The standard library's expat, and not xmltodict, which is built on it: that takes three times as
    long for such rows, before `<fl>` is dealt with, and bounds no depth, so that 1.2 MB of nothing
    but `<a>` take 150 MB (xmltodict 1.0.4, measured).

    Raises:
        _UnreadableError: It is no XML or HTML, has a document type, or is nested too deep.
    """
    name = ""
    members: dict[str, t.Any] = {}
    texts: list[str] = []
    around: list[tuple[str, dict[str, t.Any]]] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal name, members
        if len(around) >= _DEEPEST_XML:
            raise _UnreadableError("XML that is nested too deep")
        around.append((name, members))
        name = attributes.get("val", tag)
        members = {}
        texts.clear()

    def end(tag: str) -> None:
        nonlocal name, members
        text = "".join(texts)
        value = members or (text if tag == "fl" else text.strip()) or None
        key = name
        name, members = around.pop()
        if key in members:
            same = members[key]
            if type(same) is list:
                same.append(value)
            else:
                members[key] = [same, value]
        else:
            members[key] = [value] if tag in _XML_LISTS else value

    def refuse(*_declaration: object) -> None:
        raise _UnreadableError("a page in HTML, or XML with a document type")

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = texts.append
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(body, True)  # noqa: FBT003 - expat takes no names
    except _UnreadableError:
        raise
    except (expat.ExpatError, LookupError, ValueError) as error:
        # The last two are for encodings that the declaration names.
        raise _UnreadableError(f"a body that is not XML ({error})") from None
    [(root, content)] = members.items()
    if root.lower() == "html":
        raise _UnreadableError("a page in HTML")
    return content


def _words_of_page(body: bytes) -> str:
    """Return what a page for people says, such as a gateway's; nothing of cut JSON or XML."""
    start = body[:_LONGEST_PAGE_CHARACTERS].lstrip()
    is_markup = start.startswith(b"<") and b"<html" not in start.lower()
    if is_markup or start.startswith((b"{", b"[")):
        return ""
    return " ".join(_MARKUP.sub(" ", start.decode(errors="replace")).split())


def _outcome(
    endpoint: Endpoint, status: int, envelope: _Envelope
) -> type[ZohoError] | t.Literal[_Empty.EMPTY]:
    """Decide what an answer means that is no success."""
    if status in _OUTCOME_OF_STATUS:
        return _OUTCOME_OF_STATUS[status]
    if status >= _HTTP_SERVER_ERROR:
        return Throttled if envelope.speaks_of_lock() else Transient
    for where in (endpoint, ANYWHERE):
        if (where, envelope.code) in OUTCOMES:
            return OUTCOMES[where, envelope.code]
    if envelope.speaks_of_lock():
        return Throttled
    if endpoint == Endpoint.RECIPIENTS and _NO_CONTACTS.search(envelope.message):
        return EMPTY
    return UnexpectedCode


def _error(
    kind: type[ZohoError],
    endpoint: Endpoint,
    status: int,
    envelope: _Envelope,
    retry_after_seconds: float | None,
) -> ZohoError:
    code = envelope.code
    if status not in _HTTP_SUCCESS and (not code or code in _SUCCESS_CODES):
        code = f"HTTP {status}"
    if issubclass(kind, Throttled | Transient):
        return kind(endpoint, code, envelope.message, retry_after_seconds)
    advice = ADVICE.get((endpoint, code))
    if kind is UnexpectedCode and code.startswith("HTTP "):
        advice = "Check api_url and data_center"
    return kind(endpoint, code, envelope.message, advice=advice)


def _list(endpoint: Endpoint, envelope: _Envelope) -> Answer:
    """Take the rows out of a successful answer; none where the list is null or absent.

    Raises:
        BadAnswer: Something else than rows stands in their place.
    """
    document = envelope.document
    if envelope.format == "xml":
        members = document.pop("contacts", None)
        if isinstance(members, dict):
            # An element with nothing in it is a row without values, as `{}` is in JSON.
            members = [{} if row is None else row for row in members.get("contact") or ()]
    else:
        members = document.pop(_CONTENT[endpoint][0], None)
    if members is None:
        members = []
    kinds = Counter(map(type, members)) if isinstance(members, list) else Counter()
    if not isinstance(members, list) or (members and not kinds[dict]):
        raise BadAnswer(f"{endpoint} answered with something else than rows in its list")
    unreadable = len(members) - kinds[dict]
    if unreadable:
        members = [member if type(member) is dict else {"": member} for member in members]
    return Answer(members, document, _total(document.get("total_record_count")), unreadable)


def _total(count: object) -> int | None:
    """Read a count that is text in some answers and a number in others."""
    text = str(count) if type(count) is int else count
    if isinstance(text, str) and text.isdecimal() and len(text) <= _LONGEST_TOTAL_DIGITS:
        return int(text)
    return None
