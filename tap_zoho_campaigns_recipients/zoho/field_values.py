"""Values of fields as Zoho sends them: texts, numbers, flags, and maps and lists as text.

A reader takes any value, and returns what it means and how much of it could be read.
"""

from __future__ import annotations

import ast
import re
import typing as t
from decimal import Decimal

import msgspec

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Reader = Callable[[object], tuple[t.Any, int]]

_INTEGER: t.Final = re.compile(r"[+-]?[0-9]{1,18}(?:\.0{1,18})?")
_LARGEST_INTEGER: t.Final = 10**18 - 1
"""What fits into 64 bits, whatever the digits: more is no count and no time."""

_FLAGS: t.Final = {"1": True, "true": True, "0": False, "false": False}
_PAIR_SEPARATOR: t.Final = re.compile(r",(?=[^,=]++=)")
_SCHEME: t.Final = r"(?:[a-z][a-z0-9+.-]*+://|(?:mailto|tel|sms):)"
_URL: t.Final = re.compile(_SCHEME, re.IGNORECASE)
_URL_SEPARATOR: t.Final = re.compile(rf",(?=\s*+{_SCHEME})", re.IGNORECASE)

_TIME: t.Final = re.compile(r"[^=\[\]{}]*[0-9]{4}[^=\[\]{}]*")
_TIME_SEPARATOR: t.Final = re.compile(
    r"(?<=[0-9apAPmM]),\s*+(?=[A-Za-z]{3,9} [0-9]|[0-9]{1,2} [A-Za-z]|[0-9]{10})"
)
_TIMED: t.Final = re.compile(
    r"=\s*+(?:[A-Za-z]{3,9} [0-9]{1,2}, [0-9]{4}|[0-9]{1,2} [A-Za-z]{3,9} [0-9]{4}|[0-9]{10})[^=]*$"
)
"""The end of a pair whose value is a time."""
_LINK_PART: t.Final = re.compile(rf"\s*+{_SCHEME}", re.IGNORECASE)
_LINK_NAMES: t.Final = ("url", "link", "href")
_PYTHON_START: t.Final = re.compile(r"[\[{]\s*+[\"'\[{]")
_LONGEST_LITERAL_CHARACTERS: t.Final = 100_000

_JSON_START: t.Final = re.compile(r'\s*+(?:\{\s*+["}]|\[\s*+["\[{\]0-9tfn-])')

_DEEPEST_CUSTOM_FIELD: t.Final = 20


def is_link(text: str) -> bool:
    """Whether a text is a link."""
    return _URL.match(text) is not None


def integer_from_value(value: object) -> int | None:
    """Read a whole number that is text in some responses and a number in others.

    Returns:
        The number; None if it is not a number, or has more than 18 digits.
    """
    if isinstance(value, str):
        text = value.strip()
        return int(text.partition(".")[0]) if _INTEGER.fullmatch(text) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if abs(value) <= _LARGEST_INTEGER and value == int(value):
        return int(value)
    return None


# What a field cannot say of the value that Zoho sent. Not an enumeration: its members take longer
# to look up than the rest of most readers.
WHOLE: t.Final = 0
EXTRA: t.Final = 1
"""The value was read, and there is more in it."""
UNREAD: t.Final = 2
"""The value, or a part of it, is not of the field's type."""


def is_null(value: object) -> bool:
    """Whether Zoho says nothing: it writes that as null, as `""` and as `"null"`."""
    return value is None or value in ("", "null")


def read_text(value: object) -> tuple[str | None, int]:
    """Read a text; a number becomes one without exponent, a whole one without `.0`."""
    if is_null(value):
        return None, WHOLE
    if isinstance(value, str):
        return value, WHOLE
    if isinstance(value, bool | int):
        return str(value).lower(), WHOLE
    if isinstance(value, float):
        number = f"{Decimal(repr(value)):f}"
        return number.removesuffix(".0"), WHOLE
    return None, UNREAD


def read_flag(value: object) -> tuple[bool | None, int]:
    """Read a flag: `1`, `0`, `true` or `false`, as text or not."""
    if type(value) is str and value in _FLAGS:
        return _FLAGS[value], WHOLE
    flag = None if isinstance(value, dict | list) else _FLAGS.get(str(value).strip().lower())
    return flag, UNREAD if flag is None else WHOLE


def read_integer(value: object) -> tuple[int | None, int]:
    """Read a whole number."""
    number = integer_from_value(value)
    return number, UNREAD if number is None and not is_null(value) else WHOLE


def read_event_reports(value: object) -> tuple[list[t.Any] | None, int]:
    """Read the times of opens or clicks: a map from label to time, or a list of times.

    As an object or array, as text in JSON, as a Python literal, or as Java prints a map. A label
    with several times has a list of them.
    """
    if isinstance(value, str):
        text = value.strip()
        value = _from_json(text) or _from_python(text)
        if not value:
            pairs = _pairs_from_text(text)
            return pairs, UNREAD if pairs is None else WHOLE
    if isinstance(value, dict) and value.keys() == {"report"}:
        value = value["report"]  # as XML has it
    if isinstance(value, dict):
        value = [
            {"label": label, "time": time}
            for label, times in value.items()
            for time in (times if isinstance(times, list) else [times])
        ]
    if isinstance(value, list):
        value = [_event_report(member) for member in value]
    return _objects(value, _EVENT_REPORT)


def _event_report(member: object) -> object:
    """Return a report as label and time; a link under a name of its own is the label."""
    if isinstance(member, str | int) and _TIME.fullmatch(str(member)):
        return {"label": None, "time": member}
    if isinstance(member, dict) and is_null(member.get("label")):
        for name in _LINK_NAMES:
            if not is_null(member.get(name)):
                rest = {key: value for key, value in member.items() if key != name}
                return rest | {"label": member[name]}
    return member


def _from_python(text: str) -> object:
    """Return the object or array that a text holds as a Python literal; None if it does not."""
    if not _PYTHON_START.match(text) or len(text) > _LONGEST_LITERAL_CHARACTERS:
        return None
    try:
        value: object = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return value if isinstance(value, dict | list) else None


def object_from_map(value: object) -> Mapping[str, t.Any]:
    """Return a map that Zoho sends as an object, or as text in JSON or as Java prints it.

    Returns:
        Its members; none for anything else.
    """
    if isinstance(value, str):
        text = value.strip()
        value = _from_json(text) or {
            pair["label"]: pair["time"] for pair in _pairs_from_text(text) or () if pair["label"]
        }
    return value if isinstance(value, dict) else {}


def _pairs_from_text(text: str) -> list[dict[str, str | None]] | None:
    """Read `{key=value, key=value}`, whose times have commas of their own (seen live)."""
    brackets = text[:1] + text[-1:]
    if brackets not in {"{}", "[]"}:
        return None
    inside = text[1:-1].strip()
    if brackets == "[]":
        times = _TIME_SEPARATOR.split(inside) if inside else []
        is_times = all(_TIME.fullmatch(time.strip()) for time in times)
        return [{"label": None, "time": time.strip()} for time in times] if is_times else None
    parts: list[str] = []
    for part in _PAIR_SEPARATOR.split(inside) if inside else []:
        # A label that is a link may have commas and equals signs: its time ends the pair.
        if parts and _LINK_PART.match(parts[-1]) and not _TIMED.search(parts[-1]):
            parts[-1] += f",{part}"
        else:
            parts.append(part)
    pairs = [part.rpartition("=") for part in parts]
    if not all(sign for _, sign, _ in pairs):
        return None
    return [
        {"label": read_text(label.strip())[0], "time": read_text(time.strip())[0]}
        for label, _, time in pairs
    ]


def read_url_clicks(value: object) -> tuple[list[t.Any] | None, int]:
    """Read the clicks of each link: an array of `{url, count}` (seen live)."""
    if isinstance(value, str):
        value = _from_json(value)
    return _objects(value, _URL_CLICK)


def read_clicked_urls(value: object) -> tuple[list[str] | None, int]:
    """Read links: an array, or `[url, url]` as text (seen live), whose links may have commas."""
    if isinstance(value, str):
        value = _from_json(value) or _urls_from_text(value.strip())
    if not isinstance(value, list):
        return None, UNREAD
    texts = [read_text(member) for member in value]
    if any(loss for _, loss in texts):
        return None, UNREAD
    return [url for url, _ in texts if url is not None], WHOLE


def _urls_from_text(text: str) -> list[str] | None:
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    elif not _URL.match(text):
        return None
    return [url.strip() for url in _URL_SEPARATOR.split(text)]


def _from_json(text: str) -> object:
    """Return the object or array that a text holds in JSON; None if it is neither."""
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
        return None, UNREAD
    items = []
    worst = WHOLE
    for member in value:
        if not isinstance(member, dict) or readers.keys().isdisjoint(member):
            return None, UNREAD
        item = {}
        for name, reader in readers.items():
            item[name], loss = reader(member.get(name))
            worst = max(worst, loss)
        if not member.keys() <= readers.keys():
            worst = max(worst, EXTRA)
        items.append(item)
    return items, worst


_EVENT_REPORT: t.Final[Mapping[str, Reader]] = {"label": read_text, "time": read_text}
_URL_CLICK: t.Final[Mapping[str, Reader]] = {"url": read_text, "count": read_integer}

READERS: t.Final[dict[str, Reader]] = {
    "is_forgotten": read_flag,
    "open_reports": read_event_reports,
    "click_reports": read_event_reports,
    "click_count": read_integer,
    "clicked_urls": read_clicked_urls,
    "url_clicks": read_url_clicks,
}
"""The readers of the fields that are no texts; `sent_time` is read together with its twin."""


# Custom fields


class TooDeepError(ValueError):
    """A value is nested deeper than 20 levels."""


def plain_value(value: object, depth: int = 0) -> t.Any:  # noqa: ANN401 - it is JSON
    """Return a value of a custom field, with every null marker in it as null.

    A number that does not fit into 64 bits becomes text: no JSON writer or database takes it.

    Raises:
        TooDeepError: It is nested so deeply that what comes after the tap would break.
    """
    if is_null(value):
        return None
    if isinstance(value, dict | list):
        if depth == _DEEPEST_CUSTOM_FIELD:
            raise TooDeepError
        if isinstance(value, list):
            return [plain_value(member, depth + 1) for member in value]
        return {name: plain_value(member, depth + 1) for name, member in value.items()}
    if isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
        return str(value)
    return value
