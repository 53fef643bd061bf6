"""From the bytes of a body to plain objects, in JSON and XML.

Whatever the bytes are, it takes bounded time and memory. Texts that no JSON or database can hold
are repaired: one odd character must not cost a page.
"""

from __future__ import annotations

import re
import sys
import typing as t
from xml.parsers.expat import ExpatError

import msgspec
import xmltodict

DEEPEST_XML: t.Final = 50
MOST_XML_TAGS: t.Final = 400_000
"""A page of 1000 rows has a tenth. An element takes a hundred times the memory of its tag."""
MOST_JSON_OBJECTS: t.Final = 2_000_000
"""An empty object takes thirty times the memory of its two bytes; no list has so many."""

XML_LISTS: t.Final = ("contact", "report")
"""Elements that are lists, whether there is one of them or many."""

_LEAF: t.Final = {"@val", "#text"}

_DOCUMENT_TYPE: t.Final = re.compile(rb"(?:<\?.*?\?>|<!--.*?-->|\s)*+<!DOCTYPE", re.DOTALL)
_DEEP_RUN: t.Final = re.compile(rb"(?:<[A-Za-z_][^<>]*(?<!/)>\s*+){%d}" % (DEEPEST_XML + 1))
_ENCODING: t.Final = re.compile(rb"<\?xml[^>]*\bencoding\s*=\s*[\"'](?!utf-?8[\"'])", re.IGNORECASE)
_CONTROL: t.Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|\xef\xbf[\xbe\xbf]")
_CHARACTER_REFERENCE: t.Final = re.compile(rb"&#(?:x([0-9A-Fa-f]{1,8})|([0-9]{1,9}));")
_JSON_ESCAPE: t.Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a pair of surrogates
    rb"|(\\u(?:[dD][89a-fA-F][0-9a-fA-F]{2}|0000))"  # half of a pair, or NUL
    rb"|\\."
)
_XML_CHARACTER: t.Final = re.compile("[\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_REPLACEMENT: t.Final = "\ufffd".encode()


class UnreadableBodyError(ValueError):
    """A body that cannot be read; the text says what it is instead, and quotes nothing."""


def object_from_body(body: bytes) -> tuple[dict[str, t.Any], t.Literal["json", "xml"]]:
    """Read a body.

    Args:
        body: The whole body, decompressed.

    Returns:
        The object in it, and its format.

    Raises:
        UnreadableBodyError: It has no object in JSON or XML.
    """
    body = body.removeprefix(b"\xef\xbb\xbf").strip()
    if not body:
        raise UnreadableBodyError("an empty body")
    is_xml = body.startswith(b"<")
    document = _from_xml(body) if is_xml else _from_json(body)
    if not isinstance(document, dict):
        raise UnreadableBodyError("something else than an object")
    return document, "xml" if is_xml else "json"


def _from_json(body: bytes) -> object:
    """Parse JSON.

    Raises:
        UnreadableBodyError: It is not JSON, is nested too deep, or has more objects and arrays
            than any list.
    """
    is_large = len(body) > 2 * MOST_JSON_OBJECTS
    if is_large and body.count(b"{") + body.count(b"[") > MOST_JSON_OBJECTS:
        raise UnreadableBodyError("more objects than any list has")
    if b"\\u0000" in body:
        body = _repaired_json(body)
    try:
        return msgspec.json.decode(body)
    except RecursionError:
        raise UnreadableBodyError("JSON that is nested too deep") from None
    except (UnicodeDecodeError, msgspec.MsgspecError):
        pass  # maybe because of one character
    try:
        return msgspec.json.decode(_repaired_json(body))
    except msgspec.MsgspecError as error:
        raise UnreadableBodyError(f"a body that is not JSON ({error})") from None


def _repaired_json(body: bytes) -> bytes:
    """Put U+FFFD in place of invalid UTF-8, control characters, lone surrogates and NUL."""
    valid = _CONTROL.sub(_REPLACEMENT, body.decode(errors="replace").encode())
    return _JSON_ESCAPE.sub(lambda match: b"\\ufffd" if match[1] else match[0], valid)


def _from_xml(body: bytes) -> object:
    """Parse XML to what the same response is in JSON.

    An element is an object of its elements, or its text, or None. `<fl val="x">` has the name `x`.
    Names that are repeated become lists. Other attributes, and text between elements, are left
    out. Document types are refused, so that there are no entities.

    Raises:
        UnreadableBodyError: It is not XML, is HTML, has a document type, or is nested too deep.
    """
    if _DOCUMENT_TYPE.match(body):
        raise UnreadableBodyError("a page in HTML, or XML with a document type")
    tags, closing = body.count(b"<"), body.count(b"</")
    if tags > MOST_XML_TAGS:
        raise UnreadableBodyError(_too_deep(body) or "more elements than any list has")
    never_closed = tags - body.count(b"<?") - body.count(b"/>") - 2 * closing
    if never_closed > DEEPEST_XML and b"<!" not in body:
        # Parsing would take seconds to come to the same.
        raise UnreadableBodyError(_too_deep(body) or "XML that is cut off")
    try:
        parsed = _parsed(body)
    except ExpatError:  # maybe because of one character
        try:
            parsed = _parsed(_repaired_xml(body))
        except ExpatError as error:
            raise UnreadableBodyError(
                _too_deep(body) or f"a body that is not XML ({error})"
            ) from None
    [(root, content)] = parsed.items()
    if root.lower() == "html":
        raise UnreadableBodyError("a page in HTML")
    return _plain(root, content, 1)


def _parsed(body: bytes) -> dict[str, t.Any]:
    try:
        return xmltodict.parse(body, strip_whitespace=False)
    except (LookupError, ValueError) as error:  # for encodings that the declaration names
        raise UnreadableBodyError(f"a body that is not XML ({error})") from None


def _too_deep(body: bytes) -> str | None:
    """Say so if a body that is not XML opens more elements than it may."""
    return "XML that is nested too deep" if _DEEP_RUN.search(body) else None


def _members(element: dict[str, t.Any], depth: int) -> dict[str, t.Any]:
    """Return the elements in an element by their names."""
    if depth >= DEEPEST_XML:
        raise UnreadableBodyError("XML that is nested too deep")
    members: dict[str, t.Any] = {}
    for tag, values in element.items():
        if tag[0] in "@#":
            continue
        is_list = tag in XML_LISTS
        for value in values if type(values) is list else [values]:
            name = value.get("@val", tag) if type(value) is dict else tag
            plain = _plain(tag, value, depth + 1)
            if name not in members:
                members[name] = [plain] if is_list else plain
            elif type(members[name]) is list:
                members[name].append(plain)
            else:
                members[name] = [members[name], plain]
    return members


def _plain(tag: str, value: t.Any, depth: int) -> t.Any:  # noqa: ANN401 - text or an object
    """Return the value of an element: an object of its elements, its text, or None."""
    if type(value) is dict:
        if value.keys() <= _LEAF:
            value = value.get("#text")
        elif members := _members(value, depth):
            return members
        else:
            value = value.get("#text")
    if value and tag != "fl":
        value = value.strip()
    return value or None


def _repaired_xml(body: bytes) -> bytes:
    """Put U+FFFD in place of what no XML can hold."""
    if not _ENCODING.match(body):
        try:
            body.decode()
        except UnicodeDecodeError:
            body = body.decode(errors="replace").encode()
    body = _CONTROL.sub(_REPLACEMENT, body)
    return _CHARACTER_REFERENCE.sub(_repaired_reference, body) if b"&#" in body else body


def _repaired_reference(match: re.Match[bytes]) -> bytes:
    point = int(match[1], 16) if match[1] else int(match[2])
    is_character = point <= sys.maxunicode and _XML_CHARACTER.match(chr(point))
    return match[0] if is_character else _REPLACEMENT
