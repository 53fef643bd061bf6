"""Keeps secrets out of every text that leaves the process: logs, errors, files."""

from __future__ import annotations

import json
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
