"""Settings as users give them: in files, in the environment, as text where numbers are meant."""

from __future__ import annotations

import difflib
import json
import math
import re
import typing as t
from contextlib import suppress
from decimal import Decimal

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from jsonschema import ValidationError

NEAR = 0.85
"""From this likeness on (of 1), a setting's name is taken for another one misspelled."""


def without_blanks(
    config: Mapping[str, t.Any], properties: Mapping[str, t.Any]
) -> dict[str, t.Any]:
    """Return a configuration without blank values, with texts trimmed and numbers as numbers.

    Orchestrators pass an unset variable as an empty text, environment variables are always text,
    and the SDK reads fractions as `Decimal`.

    Args:
        config: The configuration as it was given.
        properties: The properties of its JSON Schema.
    """
    cleaned: dict[str, t.Any] = {}
    for name, value in config.items():
        if value is None or (isinstance(value, str) and not value.strip()):
            continue
        kinds = properties.get(name, {}).get("type", [])
        if "integer" in kinds or "number" in kinds:
            cleaned[name] = _number(value, is_whole="integer" in kinds)
        else:
            cleaned[name] = _trimmed(value)
    return cleaned


def _trimmed(value: object) -> object:
    if isinstance(value, list):
        return [_trimmed(each) for each in value]
    return value.strip() if isinstance(value, str) else value


def _number(value: object, *, is_whole: bool) -> object:
    """Return a value as a number; the value itself if it is not a number."""
    if isinstance(value, str):
        match = re.fullmatch(r"\s*([+-]?[0-9]{1,18})(\.[0-9]{1,18})?\s*", value)
        if match is None or (match[2] and is_whole):
            return value
        return float(value) if match[2] else int(match[1])
    if is_whole:
        if isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value):
            return int(value)
        return value
    return float(value) if isinstance(value, Decimal) else value


def schema_problem(error: ValidationError) -> str:  # noqa: PLR0911 - a table
    """Describe a schema violation without the value, which may be a secret."""
    name = ".".join(str(part) for part in error.absolute_path) or "The configuration"
    limit: t.Any = error.validator_value
    match error.validator:
        case "type":
            said = [_KINDS.get(kind, kind) for kind in _listed(limit) if kind != "null"]
            return f"{name} must be {' or '.join(said)}"
        case "enum":
            return f"{name} must be one of {', '.join(str(value) for value in limit)}"
        case "minimum":
            return f"{name} must be {limit} or more"
        case "exclusiveMinimum":
            return f"{name} must be more than {limit}"
        case "maximum":
            return f"{name} must be {limit} or less"
        case "format":
            return f"{name} must be a {limit}"
        case "anyOf":
            inner = max(error.context or (), key=lambda each: len(each.absolute_path))
            if len(inner.absolute_path) > len(error.absolute_path):
                return schema_problem(inner)
            kinds = [kind for each in limit for kind in _listed(each.get("type"))]
            return f"{name} must be {' or '.join(_KINDS.get(kind, kind) for kind in kinds)}"
        case _:
            return f"{name} is not valid: it breaks the rule {error.validator}"


def _listed(kinds: str | list[str] | None) -> list[str]:
    return [kinds] if isinstance(kinds, str) else kinds or []


_KINDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "array": "a list",
    "object": "an object",
    "boolean": "true or false",
}


TRUTH = {
    **dict.fromkeys(("true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off"), False),
}


def is_quoted(value: object) -> bool:
    """Whether a value has quotation marks of its own, as `docker run --env-file` hands them on."""
    text = value.strip() if isinstance(value, str) else ""
    return len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"


def misspelled(names: Iterable[str], known: Collection[str]) -> dict[str, str]:
    """Return the names that are not known but nearly are, with the known ones."""
    found = {}
    for name in names:
        if name not in known and (near := difflib.get_close_matches(name, known, 1, NEAR)):
            found[name] = near[0]
    return found


def value_from_text(text: str, kinds: Sequence[str]) -> object:
    """Return the text of a variable as a value of these types; the text itself if it is not one.

    A list is JSON, or its entries separated by commas. A text of digits is an entry, although JSON
    would read a number.
    """
    if not text.strip():
        return text
    if "boolean" in kinds:
        return TRUTH.get(text.strip().lower(), text)
    if ("array" not in kinds and "object" not in kinds) or is_quoted(text):
        return text
    with suppress(ValueError, RecursionError):
        value = json.loads(text)
        if type(value) not in {int, float}:
            return value
    return [part.strip() for part in text.split(",") if part.strip()]


def environment_values(
    names: Sequence[str], prefix: str, environ: Mapping[str, str]
) -> dict[str, str]:
    """Return the variables of the environment for these settings, and for misspelled ones.

    Args:
        names: Names of settings.
        prefix: The prefix of their variables, such as ``TAP_ZOHO_CAMPAIGNS_RECIPIENTS_``.
        environ: The environment.
    """
    given = {
        variable.removeprefix(prefix).lower(): text
        for variable, text in environ.items()
        if variable.startswith(prefix)
    }
    wanted = {*names, *misspelled(given, names)}
    return {name: text for name, text in given.items() if name in wanted}
