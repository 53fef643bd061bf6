"""The files that a user gives: `.env`, configuration, state and catalog."""

from __future__ import annotations

import codecs
import io
import json
import typing as t
from contextlib import suppress

from dotenv import dotenv_values

from tap_zoho_campaigns_recipients.singer.config import TRUTH
from tap_zoho_campaigns_recipients.zoho.errors import TapError

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


_ENCODINGS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte order marks that Windows tools write; PowerShell's `>` writes UTF-16."""


class FileRefused(TapError):
    """A file that was given cannot be used."""


def _text(content: bytes) -> str:
    """Return the text of a file.

    Raises:
        UnicodeDecodeError: It is neither UTF-8 nor UTF-16 with a byte order mark.
    """
    for mark, encoding in _ENCODINGS:
        if content.startswith(mark):
            return content.decode(encoding)
    return content.decode()


def dot_env(path: Path) -> dict[str, str]:
    """Return the variables of a `.env` file; none if there is no such file.

    Raises:
        FileRefused: It cannot be read.
    """
    try:
        content = _text(path.read_bytes())
        values = dotenv_values(stream=io.StringIO(content))
        return {name: text or "" for name, text in values.items()}
    except FileNotFoundError:
        return {}
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        problem = "is not text in UTF-8"
    msg = f"The file {path} {problem}"
    raise FileRefused(msg)


def config_object(path: Path) -> dict[str, t.Any]:
    """Return the settings in a file, which is read once: it may be a pipe.

    Raises:
        FileRefused: It cannot be used.
    """
    problem = "is not a JSON object"
    try:
        value = json.loads(_text(path.read_bytes()), parse_constant=_refuse)
        if isinstance(value, dict):
            return value
    except FileNotFoundError:
        problem = "is not there"
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    except (ValueError, RecursionError):
        pass
    msg = f"The configuration file {path} {problem}"
    raise FileRefused(msg)


def _refuse(constant: str) -> None:
    msg = f"{constant} is no JSON"
    raise ValueError(msg)


def json_object(
    file: t.IO[str] | None,
    what: str,
    is_right: Callable[[dict[str, t.Any]], bool] = bool,
    change: Callable[[dict[str, t.Any]], object] = bool,
) -> t.IO[str] | None:
    """Return a file that is certain to hold a JSON object, and what belongs into it.

    Args:
        file: As it was handed over.
        what: What it should hold.
        is_right: Whether it does.
        change: Puts right what the SDK would not understand.

    Raises:
        FileRefused: Where it does not.
    """
    if file is None:
        return None
    problem, value = "is not a JSON object", None
    with suppress(ValueError, RecursionError):
        text = _text(_bytes(file))
        if not text.strip():
            problem = "is empty"
        elif _is_lines(text):
            problem = "holds several lines: only the last one is wanted (tail -n 1)"
        value = json.loads(text)
    if isinstance(value, dict) and value.get("type") == "STATE":
        # A line of a tap's output, where the state is in a message.
        value = value.get("value")
    if not isinstance(value, dict):
        msg = f"The {what} file {problem}: hand over another, or none"
        raise FileRefused(msg)
    if value and not is_right(value):
        msg = f"The {what} file holds no {what}: hand over another, or none"
        raise FileRefused(msg)
    change(value)
    return io.StringIO(json.dumps(value))


def _bytes(file: t.IO[str]) -> bytes:
    """Return the content of a file that was opened as text, whatever its encoding is."""
    buffer = getattr(file, "buffer", None)
    return buffer.read() if buffer else file.read().encode()


def _is_lines(text: str) -> bool:
    """Whether a text has several lines that are a JSON object each, like what a target writes."""
    lines = [line for line in text.splitlines() if line.strip()]
    with suppress(ValueError, RecursionError):
        return len(lines) > 1 and all(isinstance(json.loads(line), dict) for line in lines)
    return False


def prepare_catalog(catalog: dict[str, t.Any]) -> None:
    """Put right what the SDK would not understand in a catalog, stream by stream.

    Raises:
        FileRefused: `selected` is neither true nor false.
    """
    for stream in catalog.get("streams", []):
        # The SDK finds a stream by the one and its stream maps by the other.
        stream["stream"] = stream["tap_stream_id"]
        for each in stream.get("metadata", []):
            if isinstance(each, dict) and isinstance(each.get("metadata"), dict):
                _read_selection(stream, each["metadata"])
    choose_methods(catalog)


def _read_selection(stream: dict[str, t.Any], metadata: dict[str, t.Any]) -> None:
    """Turn a selection that is text into true or false: `meltano config set` stores text."""
    for name in ("selected", "selected-by-default"):
        value = metadata.get(name)
        if isinstance(value, str):
            value = metadata[name] = TRUTH.get(value.strip().lower(), value)
        if value is not None and not isinstance(value, bool):
            msg = f"The catalog file has {name} of {stream['stream']} neither true nor false"
            raise FileRefused(msg)


def choose_methods(catalog: dict[str, t.Any]) -> None:
    """Have a `replication-method` in a stream's metadata count, where Singer has it.

    The SDK looks at the stream's own `replication_method` alone, which discovery has filled in.
    """
    for stream in catalog.get("streams", []):
        for each in stream.get("metadata", []):
            if isinstance(each, dict) and not each.get("breadcrumb"):
                chosen = (each.get("metadata") or {}).get("replication-method")
                if isinstance(chosen, str):
                    stream["replication_method"] = chosen


def is_catalog(value: dict[str, t.Any]) -> bool:
    """Whether a file looks like what `--discover` writes, as far as the SDK relies on it."""
    streams = value.get("streams")
    return isinstance(streams, list) and all(
        isinstance(stream, dict)
        and isinstance(stream.get("tap_stream_id"), str)
        and isinstance(stream.get("schema"), dict)
        and isinstance(stream["schema"].get("properties"), dict)
        and isinstance(stream.get("metadata", []), list)
        for stream in streams
    )
