"""What stands in a log: no secret, whoever wrote the line; and what the SDK says, for who asks."""

from __future__ import annotations

import json
import logging
import threading
import typing as t
from pathlib import Path
from urllib.parse import quote, quote_plus, unquote

import singer_sdk

if t.TYPE_CHECKING:
    from collections.abc import Iterable

_SDK = str(Path(singer_sdk.__file__).parent)
_METRICS = "singer_sdk.metrics"

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
    for logger in _loggers():
        if logger.name.partition(".")[0] in {"urllib3", "requests"}:
            logger.setLevel(logging.CRITICAL)
    for handler in _handlers():
        if not any(isinstance(each, SecretFilter) for each in handler.filters):
            handler.addFilter(SecretFilter())


class _SdkFilter(logging.Filter):
    """Makes the SDK's lines at INFO lines at DEBUG, but for its metrics and the version.

    What a run does, the tap says itself; "Beginning sync of … in incremental mode", eleven times,
    tells nobody what to do.
    """

    def __init__(self, handler: logging.Handler) -> None:
        super().__init__()
        self._handler = handler

    def filter(self, record: logging.LogRecord) -> bool:
        """Let a record through, unless it is one for DEBUG and nobody asked for that."""
        if (
            record.levelno > logging.INFO
            or not record.pathname.startswith(_SDK)
            or record.name == _METRICS
            or record.funcName == "print_version"
        ):
            return True
        record.levelno, record.levelname = logging.DEBUG, logging.getLevelName(logging.DEBUG)
        is_wanted = logging.getLogger(record.name).isEnabledFor(logging.DEBUG)
        return is_wanted and self._handler.level <= logging.DEBUG


def keep_sdk_for_debug() -> None:
    """Have what the SDK says of itself in the log only where the log is at DEBUG."""
    for handler in _handlers():
        handler.addFilter(_SdkFilter(handler))


def _handlers() -> list[logging.Handler]:
    """Return all handlers: a configuration of the user's may have more than the root's."""
    return list(dict.fromkeys(handler for logger in _loggers() for handler in logger.handlers))


def _loggers() -> list[logging.Logger]:
    """Return all loggers: a configuration of the user's may name more than the root."""
    known = logging.getLogger().manager.loggerDict.values()
    return [logging.getLogger(), *(each for each in known if isinstance(each, logging.Logger))]
