"""What may stand in a log."""

from __future__ import annotations

import logging
import typing as t
from urllib.parse import quote, quote_plus

if t.TYPE_CHECKING:
    from collections.abc import Iterable


class SecretFilter(logging.Filter):
    """Takes secrets out of log lines, whoever wrote them: a server may echo what it was sent."""

    def __init__(self, secrets: Iterable[str]) -> None:
        """Keep the secrets, and how they look in a URL."""
        super().__init__()
        spellings = {
            spelling
            for secret in secrets
            for spelling in (secret, quote(secret, safe=""), quote_plus(secret))
        }
        self._secrets = sorted(spellings, key=len, reverse=True)

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record through, less its secrets."""
        text = record.getMessage()
        clean = self._clean(text)
        if clean != text:
            record.msg, record.args = clean, ()
        if record.exc_info:
            trace = record.exc_text or logging.Formatter().formatException(record.exc_info)
            if self._clean(trace) != trace:
                record.exc_text = self._clean(trace)
                record.exc_info = None
        return True

    def _clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "********")
        return text


def keep_secrets_out(secrets: Iterable[str]) -> None:
    """Keep secrets out of everything that is logged from now on."""
    # At DEBUG these write whole URLs, with the query where a token may stand.
    for name in ("urllib3", "requests"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    secret_filter = SecretFilter(secrets)
    for handler in logging.getLogger().handlers:
        handler.addFilter(secret_filter)
