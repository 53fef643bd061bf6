"""What can go wrong, as the user reads it.

TapError                      an expected failure; its text is one line: what, and what to do
├── ZohoError                 Zoho answered, with an error
│   ├── CampaignRefused       this campaign cannot be read (deleted, not sent, too small, …)
│   ├── InsufficientPrivileges  the user's role does not allow it
│   ├── RangeTooLarge         `range` is above Zoho's maximum
│   ├── Unauthorized          the token was refused
│   ├── PassingError          what may be over later
│   │   ├── Throttled         too many calls: the endpoint is locked for a while
│   │   │   └── LockedBefore  as another run found
│   │   └── Transient         Zoho's own trouble: worth another try
│   │       └── TooManyAtOnce too many requests in flight
│   └── UnexpectedCode        any other code
│       └── MissingParameter  a parameter is missing: it was sent where Zoho does not look
├── UnreadableResponse                 the body is not what was asked for: worth another try
│   └── UnexpectedFormat           JSON where XML was asked for, or the reverse
├── TransportFailed           no whole response came: worth another try
├── TokenRefused              the accounts server gives no access token
└── RunFailed                 the run cannot go on
    └── PartlyFailed          all was delivered but the campaigns and lists that it names
"""

from __future__ import annotations

import re
import unicodedata

from tap_zoho_campaigns_recipients.zoho.redaction import without_secrets

_LONGEST_QUOTE_CHARACTERS = 200

FROM_INDEX_IGNORED = (
    "Zoho answers {} with the same page whatever fromindex says: the list cannot be read"
)
"""The text of a `RunFailed`, with the place of the endpoint and the list."""

_ADDRESS = re.compile(r"[^\s@<>\"'=,;]+(?:@|%40|&#64;)[^\s@<>\"',;]+")
"""Also as it is written in a URL or a page, which a server may echo."""


def quoted(text: str) -> str:
    """Make a server's words fit for one line of a log.

    Control characters become spaces, secrets and e-mail addresses are left out (a server may echo
    what it was sent, and a log is no place for recipients), and what is longer than 200 characters
    is cut: after the secrets are gone, or a part of one would stay.
    """
    text = without_secrets(text)[:2000]
    plain = "".join(" " if unicodedata.category(char)[0] in "CZ" else char for char in text)
    line = _ADDRESS.sub("(an address)", " ".join(plain.split()))
    if len(line) > _LONGEST_QUOTE_CHARACTERS:
        return line[: _LONGEST_QUOTE_CHARACTERS - 1] + "…"
    return line


class TapError(Exception):
    """An expected failure. ``str()`` of it is one line without secrets."""

    advice = ""
    """What the user can do, or what the tap does; added to the line."""

    where = ""
    """The campaign and the action that a request was about; set by the client that sent it."""

    def __str__(self) -> str:
        """Return one line: what, where, advice."""
        where = self.where and f" ({self.where})"
        return f"{super().__str__()}{where}{self.advice and '. '}{self.advice}"


class ZohoError(TapError):
    """Zoho answered with an error of its own.

    Args:
        endpoint: The endpoint's name, such as ``recentcampaigns``.
        code: Zoho's code as text, such as ``6303``; empty where the response had none.
        message: Zoho's message, as it came.
        advice: What this code means, where the class cannot know it.
    """

    def __init__(
        self, endpoint: str, code: str, message: str, *, advice: str | None = None
    ) -> None:
        """Keep the parts of the response, made fit for one line."""
        if advice is not None:
            self.advice = advice
        self.endpoint = endpoint
        self.code = quoted(code)
        self.message = quoted(message)
        super().__init__(endpoint, code)

    def __str__(self) -> str:
        """Return one line: endpoint, where, code, message, advice."""
        where = self.where and f" ({self.where})"
        code = f"code {self.code}" if self.code else "no code"
        if self.code.startswith("HTTP "):
            code = self.code
        says = f': "{self.message}"' if self.message else ""
        advice = self.advice and f". {self.advice}"
        return f"Zoho answered {self.endpoint}{where} with {code}{says}{advice}"


class CampaignRefused(ZohoError):
    """The campaign cannot be read: deleted, unknown, not yet sent, or too small an A/B test."""


class InsufficientPrivileges(CampaignRefused):
    """6607 on a recipients request: the user's role or the scope does not allow it."""

    advice = (
        "The user who made the token needs a role that may see this campaign's recipients (an "
        "administrator must grant the detailed reports of other users' campaigns), and the scope "
        "ZohoCampaigns.campaign.READ. Zoho keeps the details of a report for five years"
    )


class RangeTooLarge(ZohoError):
    """6502: more rows were asked for than Zoho gives in one page."""

    advice = "Choose a smaller page_size"


class Unauthorized(ZohoError):
    """1007 or HTTP 401: the token is refused."""

    advice = (
        "Check that the token has the scope ZohoCampaigns.campaign.READ, that data_center is the "
        "region of your account, and that the token was not revoked"
    )


class PassingError(ZohoError):
    """What another request, later, may not meet.

    Args:
        endpoint: The endpoint's name.
        code: Zoho's code or the HTTP status as text.
        message: Zoho's message.
        retry_after_seconds: What the response's `Retry-After` says, if it has one.
    """

    def __init__(
        self, endpoint: str, code: str, message: str, retry_after_seconds: float | None = None
    ) -> None:
        """Keep the wait beside the response's parts."""
        super().__init__(endpoint, code, message)
        self.retry_after_seconds = retry_after_seconds


class Throttled(PassingError):
    """Too many calls: Zoho has locked this endpoint for a while."""

    advice = (
        "Zoho locks an endpoint for 30 minutes after 500 calls in 5: wait, or lower "
        "rate_limit_calls if other programs use the same account"
    )


class LockedBefore(Throttled):
    """Another run of the account met a lock that is longer than this one may wait.

    Args:
        endpoint: The endpoint's name.
        seconds: How long the lock still holds.
    """

    def __init__(self, endpoint: str, seconds: float) -> None:
        """Keep how long it holds."""
        super().__init__(endpoint, "", "", seconds)
        self.seconds = seconds

    def __str__(self) -> str:
        """Return one line."""
        return (
            f"Zoho has locked {self.endpoint} for {self.seconds:.0f} s more, as another run of "
            "this account found, and rate_limit_lock_wait is shorter. Run again later"
        )


class Transient(PassingError):
    """A 5xx status, or a code that Zoho's documentation says to try again."""

    advice = "Zoho has trouble of its own: run again later"


class TooManyAtOnce(Transient):
    """URL_LIVE_THROTTLES_LIMIT_EXCEEDED: too many requests are in flight, no endpoint is locked."""

    advice = "Lower max_parallel_requests"

    is_new = False
    """Whether fewer requests are in flight since: then it is no failed try."""


class UnexpectedCode(ZohoError):
    """A code that has no class of its own."""

    advice = "Zoho's list of error codes tells more"


class MissingParameter(UnexpectedCode):
    """903 or 1003: Zoho looked for a parameter elsewhere than where it was sent.

    Where Zoho finds it in neither place, it is a code like any other.
    """


class UnreadableResponse(TapError):
    """The body is not of the format that was asked for, or cannot be read at all."""

    advice = (
        "Run again later; if it stays so, check api_url and what is in between, such as a proxy"
    )


class UnexpectedFormat(UnreadableResponse):
    """The body is readable, but JSON where XML was asked for, or the reverse.

    Seen live: Zoho answers in XML where it has not found the parameter that asks for JSON.
    """


class TransportFailed(TapError):
    """No whole response came: no connection, a time-out, a reset, a body that was cut."""

    advice = "Check the network and api_url, or run again later"

    retry_after_seconds: float | None = None
    """What `Retry-After` says, where the accounts server answered that it cannot."""


class TokenRefused(TapError):
    """The accounts server gives no access token, and says why.

    Args:
        says: Who answered what.
        meaning: What that means for the settings; what to do.
        code: The accounts server's own word, such as ``invalid_code``; empty where it had none.
    """

    def __init__(self, says: str, meaning: str = "", code: str = "") -> None:
        """Keep the parts: what a response means depends on what was asked for."""
        super().__init__(f"{says}: {meaning}" if meaning else says)
        self.says = says
        self.code = code


class RunFailed(TapError):
    """The run cannot go on."""


class PartlyFailed(RunFailed):
    """All was delivered but the campaigns and lists that the text names."""
