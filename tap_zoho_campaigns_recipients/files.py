"""The files that a user hands over: `.env`, configuration, state and catalog."""

from __future__ import annotations

import io
import json
import typing as t
from contextlib import suppress

from dotenv import dotenv_values

from tap_zoho_campaigns_recipients.errors import TapError

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def dot_env(path: Path) -> dict[str, str]:
    """Return the variables of a `.env` file; none where there is no such file.

    Raises:
        TapError: Where it cannot be read.
    """
    try:
        return {name: text or "" for name, text in dotenv_values(path).items()}
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        problem = "is not text in UTF-8"
    msg = f"The file {path} {problem}"
    raise TapError(msg)


def config_file_problem(path: Path) -> str | None:
    """Say what is wrong with a file of settings; None where nothing is."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
    except FileNotFoundError:
        return "is not there"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except (ValueError, RecursionError):
        value = None
    return None if isinstance(value, dict) else "is not a JSON object"


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
        TapError: Where it does not.
    """
    if file is None:
        return None
    problem, value = "is not a JSON object", None
    with suppress(ValueError, RecursionError):
        text = file.read()
        if not text.strip():
            problem = "is empty"
        value = json.loads(text)
    if not isinstance(value, dict):
        msg = f"The {what} file {problem}: hand over another, or none"
        raise TapError(msg)
    if value and not is_right(value):
        msg = f"The {what} file holds no {what}: hand over another, or none"
        raise TapError(msg)
    change(value)
    return io.StringIO(json.dumps(value))


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
