"""The words with which Zoho says that there were too many calls."""

from __future__ import annotations

import re
import typing as t

# Together in one sentence, in any order, they say that there were too many calls.
_CALLS: t.Final = r"\b(?:api|calls?|requests?|hits|access|usage)\b"
_LIMIT: t.Final = r"\b(?:limits?|quota|threshold|maximum|number)\b"
_OVER: t.Final = r"\b(?:exceed|reach|cross)\w*"

_LOCKED: t.Final = r"\b(?:locked|blocked)\b"
_THROTTLE_WORDS: t.Final = re.compile(
    "|".join(
        (
            "throttl",
            r"\btoo many (?:\w+ ){0,3}?(?:requests?|calls?|hits|attempts|times)\b",
            r"\btoo (?:frequent|often|fast|quick)",
            r"\brate (?:limit|quota|exceed)",
            r"\bmore than [0-9]+ (?:\w+ ){0,2}?(?:requests?|calls?|hits)\b",
            r"\bhip required\b",
            rf"(?:\A|\.)(?=[^.]*{_CALLS})(?=[^.]*{_LIMIT})[^.]*{_OVER}",
            r"\b(?:api|url|endpoint|method|access|requests?|calls?)\b[^.]{0,60}\blocked\b",
            rf"{_LOCKED}[^.]{{0,60}}\b(?:minutes?|mins?|hours?|seconds?|temporarily|time)\b",
            rf"\btemporarily {_LOCKED}",
            r"\A\W*locked\W*\Z",
            "过于频繁|频率|锁定|限流|(?:请求|调用|访问)[^。]{0,12}(?:过多|超出|超过|超限|上限)",
        )
    ),
    re.IGNORECASE,
)
"""Words of a lock. Zoho documents none and none was recorded: these are the wordings of its
other products (URL_ROLLING_THROTTLES_LIMIT_EXCEEDED) and of API gateways at large."""

_TOO_MANY_AT_ONCE: t.Final = re.compile(r"\burl live throttles", re.IGNORECASE)
"""The gateway's word for too many requests at once, which is not a lock (zoho-api.md 5.5)."""

_WAIT: t.Final = re.compile(
    r"\bagain (?:after|in) ([0-9]{1,6}) ?(second|sec|minute|min|hour)s?\b", re.IGNORECASE
)
_UNIT_SECONDS: t.Final = {"second": 1, "sec": 1, "minute": 60, "min": 60, "hour": 3600}

_SPACES: t.Final = str.maketrans("_-", "  ")


def speaks_of_too_many_at_once(text: str) -> bool:
    """Whether a text says that too many requests were in flight."""
    return _TOO_MANY_AT_ONCE.search(text.translate(_SPACES)) is not None


def wait_from_words(text: str) -> float | None:
    """Return the seconds of "Try again after 22 minutes"; None if a text says no such thing."""
    match = _WAIT.search(text)
    return None if match is None else float(match[1]) * _UNIT_SECONDS[match[2].lower()]


def speaks_of_lock(text: str) -> bool:
    """Whether a text says that there were too many calls."""
    return _THROTTLE_WORDS.search(text.translate(_SPACES)) is not None
