"""What may stand in a log: no secret, in whatever spelling, whoever wrote the line."""

from __future__ import annotations

import json
import logging
import threading
import typing as t
from urllib.parse import quote, quote_plus, unquote

if t.TYPE_CHECKING:
    from collections.abc import Iterable

SHORTEST_SECRET_CHARACTERS = 4
"""Zoho's are ten times as long; leaving out less would leave lines that nobody can read."""

_spellings: tuple[str, ...] = ()
_adding = threading.Lock()


def add_secrets(secrets: Iterable[str]) -> None:
    """Have these left out of every line from now on.

    They are kept for the process and not for a run: a library that logs knows of no run.
    """
    global _spellings  # noqa: PLW0603 - replaced whole, so that readers need no lock
    with _adding:
        spellings = {
            spelling
            for secret in secrets
            for text in (secret, unquote(secret))
            for spelling in (text, quote(text, safe=""), quote_plus(text), json.dumps(text)[1:-1])
            if len(spelling) >= SHORTEST_SECRET_CHARACTERS
        }
        # The longest first: one may be a part of another.
        _spellings = tuple(sorted({*_spellings, *spellings}, key=len, reverse=True))


def without_secrets(text: str) -> str:
    """Return a text less the secrets in it."""
    for spelling in _spellings:
        text = text.replace(spelling, "********")
    return text


class SecretFilter(logging.Filter):
    """Takes secrets out of log lines."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record through, less its secrets."""
        text = record.getMessage()
        clean = without_secrets(text)
        if clean != text:
            record.msg, record.args = clean, ()
        if record.exc_info:
            trace = record.exc_text or logging.Formatter().formatException(record.exc_info)
            if without_secrets(trace) != trace:
                record.exc_text = without_secrets(trace)
                record.exc_info = None
        return True


def keep_secrets_out(secrets: Iterable[str]) -> None:
    """Keep secrets out of everything that is logged from now on."""
    add_secrets(secrets)
    # At DEBUG these write whole URLs, with the query where a token may stand.
    for name in ("urllib3", "requests"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    for handler in logging.getLogger().handlers:
        if not any(isinstance(each, SecretFilter) for each in handler.filters):
            handler.addFilter(SecretFilter())
