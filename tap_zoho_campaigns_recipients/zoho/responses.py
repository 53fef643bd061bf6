"""From the bytes of one response to plain rows, or to a typed error.

It does no input or output, and whatever the bytes are it ends in a `Response` or in one of the
errors of `errors`.
"""

from __future__ import annotations

import itertools
import re
import typing as t
from collections import Counter
from dataclasses import dataclass, field

from tap_zoho_campaigns_recipients.zoho.bodies import UnreadableBodyError, object_from_body
from tap_zoho_campaigns_recipients.zoho.endpoints import CONTENT, Endpoint
from tap_zoho_campaigns_recipients.zoho.error_codes import (
    ADVICE,
    ANYWHERE,
    EMPTY,
    NO_CONTACTS,
    OUTCOME_OF_STATUS,
    OUTCOMES,
)
from tap_zoho_campaigns_recipients.zoho.errors import (
    Throttled,
    TooManyAtOnce,
    Transient,
    UnexpectedCode,
    UnexpectedFormat,
    UnreadableResponse,
)
from tap_zoho_campaigns_recipients.zoho.lock_words import (
    speaks_of_lock,
    speaks_of_too_many_at_once,
    wait_from_words,
)

if t.TYPE_CHECKING:
    from tap_zoho_campaigns_recipients.zoho.endpoints import ResponseFormat
    from tap_zoho_campaigns_recipients.zoho.error_codes import Outcome
    from tap_zoho_campaigns_recipients.zoho.errors import ZohoError

_SUCCESS_CODES: t.Final = frozenset({"0", "200"})
_ERROR_STATUSES: t.Final = frozenset({"error", "failure", "failed"})
_HTTP_SUCCESS: t.Final = range(200, 300)
_HTTP_SERVER_ERROR: t.Final = 500

_LONGEST_PAGE_CHARACTERS: t.Final = 4_000
_LONGEST_WORDS_CHARACTERS: t.Final = 1_000
_MOST_WORDS: t.Final = 200
_LONGEST_TOTAL_DIGITS: t.Final = 18

_MARKUP: t.Final = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.DOTALL | re.IGNORECASE)


@dataclass(slots=True)
class Response:
    """A response that is not an error."""

    rows: list[dict[str, t.Any]]
    """The rows of a list, under Zoho's names; none for a report or details."""
    document: dict[str, t.Any] = field(default_factory=dict)
    """The whole response as Zoho sent it, except for the rows of a list."""
    total: int | None = None
    """How many rows the list has in all its pages; None where the response does not say."""
    unreadable_rows: int = 0
    """How many of `rows` came as something else than an object. Each is `{"": what came}` in
    its place, so that the rows behind it keep theirs."""
    rows_asked: int | None = None
    """The `range` of the request, if it was made smaller than the caller had asked."""


def parse_response(
    endpoint: Endpoint,
    response_format: ResponseFormat,
    status: int,
    body: bytes,
    retry_after_seconds: float | None = None,
) -> Response:
    """Read one response.

    Args:
        endpoint: Where the request went.
        response_format: What the request asked for. An error is understood in either format.
        status: The HTTP status.
        body: The whole body, decompressed.
        retry_after_seconds: What the `Retry-After` header says, if there is one.

    Returns:
        The rows, or the document. An error code that says "no rows" is a response without rows.

    Raises:
        ZohoError: An error of Zoho's, of the class that `OUTCOMES` gives its code. Besides:
            `Unauthorized` for status 401, `Throttled` for 429 and for words that speak of a lock,
            `Transient` for 5xx and 408, `UnexpectedCode` for all other codes and statuses.
        UnreadableResponse: The body is neither what was asked for nor an error of Zoho's;
            `UnexpectedFormat` where it is a success in the other format.
    """
    trouble = "no word of success or error"
    try:
        envelope = _opened(body)
    except UnreadableBodyError as unreadable:
        envelope = _Envelope(message=_words_of_page(body))
        trouble = str(unreadable)
    works = envelope.works(endpoint)
    if status in _HTTP_SUCCESS and works is None and not envelope.speaks_of_lock():
        raise UnreadableResponse(f"{endpoint} answered with {trouble}")
    if status not in _HTTP_SUCCESS or not works:
        is_too_many = envelope.speaks_of_too_many_at_once()
        outcome = TooManyAtOnce if is_too_many else _outcome(endpoint, status, envelope)
        if outcome is EMPTY:
            return Response([], envelope.document)
        raise _error(outcome, endpoint, status, envelope, retry_after_seconds)
    if envelope.format != response_format:
        raise UnexpectedFormat(
            f"{endpoint} was asked for {response_format}, answered {envelope.format}"
        )
    if endpoint in {Endpoint.REPORT, Endpoint.DETAILS}:
        return Response([], envelope.document)
    return _list(endpoint, envelope)


@dataclass(slots=True)
class _Envelope:
    """What is around the rows, in whatever spelling."""

    format: ResponseFormat = "json"
    document: dict[str, t.Any] = field(default_factory=dict)
    code: str = ""
    status: str = ""
    message: str = ""

    def works(self, endpoint: Endpoint) -> bool | None:
        """Whether the request worked; None where the response does not say."""
        if self.code:
            return self.code in _SUCCESS_CODES and self.status not in _ERROR_STATUSES
        if self.status in _ERROR_STATUSES:
            return False
        if self.status == "success" or any(name in self.document for name in CONTENT[endpoint]):
            return True
        return None

    def speaks_of_lock(self) -> bool:
        """Whether any text beside the rows says that there were too many calls."""
        return any(map(speaks_of_lock, (self.code, *self._texts())))

    def speaks_of_too_many_at_once(self) -> bool:
        """Whether any text beside the rows says that too many requests were in flight."""
        return any(map(speaks_of_too_many_at_once, (self.code, *self._texts())))

    def wait_seconds(self) -> float | None:
        """Return how long to wait, by the words beside the rows."""
        waits = map(wait_from_words, self._texts())
        return next((seconds for seconds in waits if seconds is not None), None)

    def _texts(self) -> t.Iterator[str]:
        yield self.message[:_LONGEST_WORDS_CHARACTERS]
        rows = {name for names in CONTENT.values() for name in names}
        values = [value for name, value in self.document.items() if name not in rows]
        for value in itertools.islice(_leaves(values), _MOST_WORDS):
            if isinstance(value, str):
                yield value[:_LONGEST_WORDS_CHARACTERS]


def _leaves(values: list[t.Any]) -> t.Iterator[t.Any]:
    """Yield what is in nested objects and arrays, the outermost first."""
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
        UnreadableBodyError: It is no object in JSON or XML, or says its code or status in no word.
    """
    document, body_format = object_from_body(body)
    members = {name.lower(): value for name, value in document.items()}
    error = members.get("error")
    if isinstance(error, dict):
        members = {name.lower(): value for name, value in error.items()} | members
    messages = (members.get(name) for name in ("message", "error_description", "title", "error"))
    return _Envelope(
        format=body_format,
        document=document,
        code=_word(members.get("code")),
        status=_word(members.get("status")).lower(),
        message=next((text for text in messages if isinstance(text, str) and text), ""),
    )


def _word(value: object) -> str:
    """Return a code or status as text.

    Raises:
        UnreadableBodyError: It is neither text nor a number.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:.0f}" if value == round(value) else str(value)
    raise UnreadableBodyError("a code or status that is neither text nor a number")


def _words_of_page(body: bytes) -> str:
    """Return what a page for people says, such as a gateway's; nothing of cut JSON or XML."""
    start = body[:_LONGEST_PAGE_CHARACTERS].lstrip()
    is_markup = start.startswith(b"<") and b"<html" not in start.lower()
    if is_markup or start.startswith((b"{", b"[")):
        return ""
    return " ".join(_MARKUP.sub(" ", start.decode(errors="replace")).split())


def _outcome(endpoint: Endpoint, status: int, envelope: _Envelope) -> Outcome:
    """Decide what a response means that is no success."""
    if status in OUTCOME_OF_STATUS:
        return OUTCOME_OF_STATUS[status]
    if status >= _HTTP_SERVER_ERROR:
        return Throttled if envelope.speaks_of_lock() else Transient
    for where in (endpoint, ANYWHERE):
        if (where, envelope.code) in OUTCOMES:
            return OUTCOMES[where, envelope.code]
    if envelope.speaks_of_lock():
        return Throttled
    if endpoint == Endpoint.RECIPIENTS and NO_CONTACTS.search(envelope.message):
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
        if retry_after_seconds is None:
            retry_after_seconds = envelope.wait_seconds()
        return kind(endpoint, code, envelope.message, retry_after_seconds)
    advice = ADVICE.get((endpoint, code))
    if kind is UnexpectedCode and code.startswith("HTTP "):
        advice = "Check api_url and data_center"
    return kind(endpoint, code, envelope.message, advice=advice)


def _list(endpoint: Endpoint, envelope: _Envelope) -> Response:
    """Take the rows out of a successful response; none where the list is null or absent.

    Raises:
        UnreadableResponse: Something else than rows is in their place.
    """
    document = envelope.document
    if envelope.format == "xml":
        members = document.pop("contacts", None)
        if isinstance(members, dict):
            # An element with nothing in it is a row without values, as `{}` is in JSON.
            members = [{} if row is None else row for row in members.get("contact") or ()]
    else:
        members = document.pop(CONTENT[endpoint][0], None)
    if members is None:
        members = []
    kinds = Counter(map(type, members)) if isinstance(members, list) else Counter()
    if not isinstance(members, list) or (members and not kinds[dict]):
        raise UnreadableResponse(f"{endpoint} answered with something else than rows in its list")
    unreadable = len(members) - kinds[dict]
    if unreadable:
        members = [member if type(member) is dict else {"": member} for member in members]
    return Response(members, document, _total(document.get("total_record_count")), unreadable)


def _total(count: object) -> int | None:
    """Read a count that is text in some responses and a number in others."""
    text = str(count) if type(count) is int else count
    if isinstance(text, str) and text.isdecimal() and len(text) <= _LONGEST_TOTAL_DIGITS:
        return int(text)
    return None
