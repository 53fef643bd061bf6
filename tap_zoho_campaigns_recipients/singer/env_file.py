"""Reading and changing the entries of a `.env` file."""

from __future__ import annotations

import codecs
import io
import re
import tempfile
import typing as t
from pathlib import Path

from dotenv.parser import parse_stream

from tap_zoho_campaigns_recipients.zoho.errors import TapError

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from dotenv.parser import Binding

_PLAIN_VALUE = re.compile(r"[A-Za-z0-9._:/@%+-]+")


def bindings(path: Path) -> list[Binding]:
    """Return the entries and comments of a file, in order; none if the file does not exist.

    Raises:
        TapError: It cannot be read.
    """
    try:
        text = path.read_bytes().removeprefix(codecs.BOM_UTF8).decode(errors="surrogateescape")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise TapError(f"{path} cannot be read: {error.strerror}") from None
    return list(parse_stream(io.StringIO(text, newline="")))


def write_values(path: Path, values: Mapping[str, str]) -> None:
    """Put entries into a file, in place of those of the same name; the rest stays as it is.

    The file is replaced as a whole, with mode 0600: nobody reads it half written, and no other
    user reads it.
    A link is followed.

    Args:
        path: The file.
        values: Values by name, each of one line.

    Raises:
        TapError: It cannot be written.
    """
    missing = dict(values)
    parts = []
    for binding in bindings(path):
        old = binding.original.string
        if binding.key not in values:
            parts.append(old)
        elif binding.key in missing:
            blank = old[: len(old) - len(old.lstrip())]
            export = "export " if old.lstrip().startswith("export ") else ""
            end = "\r\n" if old.endswith("\r\n") else "\n"
            parts.append(f"{blank}{export}{binding.key}={_value(missing.pop(binding.key))}{end}")
    if parts and not parts[-1].endswith("\n"):
        parts.append("\n")
    parts += [f"{name}={_value(value)}\n" for name, value in missing.items()]
    content = "".join(parts).encode(errors="surrogateescape")
    target = path.resolve()
    try:
        # It is made with mode 0600.
        with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as file:
            new = Path(file.name)
            try:
                file.write(content)
                file.close()
                new.replace(target)
            except BaseException:
                new.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise TapError(f"{path} cannot be written: {error.strerror}") from None


def _value(value: str) -> str:
    """Return a value as an .env file has it; plain ones also as a shell would read them."""
    if _PLAIN_VALUE.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
