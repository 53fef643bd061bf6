"""What is in a log: no secret, whoever wrote the line; the SDK's own lines only at DEBUG."""

from __future__ import annotations

import json
import logging
import typing as t
from pathlib import Path

import singer_sdk
from singer_sdk.logging import StructuredFormatter

from tap_zoho_campaigns_recipients.zoho.redaction import add_secrets, without_secrets

if t.TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping

_SDK = str(Path(singer_sdk.__file__).parent)
_METRICS = "singer_sdk.metrics"


LEVEL_VARIABLE = "LOGLEVEL"


def repair_log_level(prefix: str, environ: MutableMapping[str, str]) -> None:
    """Put a level that Python knows in place of one that it does not, which is no reason to fail.

    The variable may be meant for another program: `trace` is DEBUG here, and another word INFO.

    Args:
        prefix: The prefix of the tap's own variables.
        environ: The environment.
    """
    own = prefix + LEVEL_VARIABLE
    level = (environ.get(own) or environ.get(LEVEL_VARIABLE) or "").strip().upper()
    if level in logging.getLevelNamesMapping():
        environ[own] = level
    elif level:
        environ[own] = "DEBUG" if level in {"TRACE", "VERBOSE", "ALL"} else "INFO"


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
    # At DEBUG these write whole URLs, with a query that may hold a token.
    for logger in _loggers():
        if logger.name.partition(".")[0] in {"urllib3", "requests"}:
            logger.setLevel(logging.CRITICAL)
    for handler in _handlers():
        if not any(isinstance(each, SecretFilter) for each in handler.filters):
            handler.addFilter(SecretFilter())


class _SdkFilter(logging.Filter):
    """Makes the SDK's lines at INFO lines at DEBUG, except for its metrics and the version.

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


class _MetricFormatter(logging.Formatter):
    """Puts the stream into the message of a structured metric.

    The SDK's formatter makes every message "METRIC", and Meltano's console shows of the rest only
    the metric's name and value.
    """

    def __init__(self, formatter: StructuredFormatter) -> None:
        super().__init__()
        self._formatter = formatter

    def format(self, record: logging.LogRecord) -> str:
        """Format a record."""
        text = self._formatter.format(record)
        if record.name != _METRICS:
            return text
        line = json.loads(text)
        if stream := line.get("metric_info", {}).get("tags", {}).get("stream"):
            line["message"] = f"METRIC {stream}"
        return json.dumps(line, separators=(",", ":"))


def keep_sdk_for_debug() -> None:
    """Have what the SDK says of itself in the log only where the log is at DEBUG."""
    for handler in _handlers():
        handler.addFilter(_SdkFilter(handler))


def name_streams_in_metrics() -> None:
    """Have the message of each structured metric say which stream it is about."""
    for handler in _handlers():
        if isinstance(handler.formatter, StructuredFormatter):
            handler.setFormatter(_MetricFormatter(handler.formatter))


def _handlers() -> list[logging.Handler]:
    """Return all handlers: a configuration of the user's may have more than the root's."""
    return list(dict.fromkeys(handler for logger in _loggers() for handler in logger.handlers))


def _loggers() -> list[logging.Logger]:
    """Return all loggers: a configuration of the user's may name more than the root."""
    known = logging.getLogger().manager.loggerDict.values()
    return [logging.getLogger(), *(each for each in known if isinstance(each, logging.Logger))]
