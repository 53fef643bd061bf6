"""Credentials: one holder for the whole run, whichever of the three ways in is configured.

No module of the SDK's fits: its OAuth authenticator writes "Bearer", has no margin before expiry,
takes an error with HTTP 200 for a token, and logs what the accounts server answered.
"""

from __future__ import annotations

import json
import threading
import typing as t
from contextlib import suppress
from http import HTTPStatus

from tap_zoho_campaigns_recipients.zoho.errors import TokenRefused, TransportFailed, quoted
from tap_zoho_campaigns_recipients.zoho.redaction import add_secrets
from tap_zoho_campaigns_recipients.zoho.transport import retry_after_seconds

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from tap_zoho_campaigns_recipients.zoho.clock import Clock
    from tap_zoho_campaigns_recipients.zoho.connection_settings import ConnectionSettings
    from tap_zoho_campaigns_recipients.zoho.errors import TapError
    from tap_zoho_campaigns_recipients.zoho.transport import HttpResponse, Transport

EXPIRY_MARGIN_SECONDS = 120
"""A token is renewed this long before Zoho would refuse it, or after half its life."""

LONGEST_TOKEN_ANSWER_BYTES = 1_000_000
"""A real token has less than a thousand."""

TOKEN_TRIES = 5
"""How often the accounts server is asked for one token, where no readable response comes."""

BeforeRetry: t.TypeAlias = "Callable[[str, TapError, int], None]"
"""Says that something failed with an error, for the nth time, and waits."""

MAX_LIFETIME_SECONDS = 86_400
"""A longer `expires_in` is in milliseconds: very old clients were answered so."""


class FixedAccessToken:
    """An OAuth access token made elsewhere: never refreshed."""

    api_path = "/api/v1.1"
    """Where the API lives on its host."""

    sends_form = False
    """Whether parameters go into a form body rather than into the query string."""

    def __init__(self, token: str) -> None:
        """Hold the token."""
        self._token = token

    def token(self, before_retry: BeforeRetry) -> str:
        """Return the token."""
        del before_retry
        return self._token

    def sign(self, token: str, headers: dict[str, str], parameters: dict[str, str]) -> None:
        """Put the token into Zoho's own kind of Authorization header."""
        del parameters
        headers["Authorization"] = f"Zoho-oauthtoken {token}"

    def refused(self, token: str) -> bool:
        """There is nothing to refresh."""
        del token
        return False

    def accepted(self, token: str) -> None:
        """Nothing depends on it."""


class LegacyAuthToken(FixedAccessToken):
    """An authtoken of the legacy API, sent as a parameter."""

    api_path = "/api"
    sends_form = True

    def sign(self, token: str, headers: dict[str, str], parameters: dict[str, str]) -> None:
        """Put the token and the scope that goes with it among the parameters."""
        del headers
        parameters["authtoken"] = token
        parameters["scope"] = "CampaignsAPI"


class RefreshedAccessToken(FixedAccessToken):
    """Access tokens made from a refresh token, one at a time for all threads of a run.

    Zoho allows ten token requests in ten minutes for a refresh token, so a token is kept for its
    whole life, and when several requests are refused at once only the first renews it.
    """

    def __init__(self, settings: ConnectionSettings, transport: Transport, clock: Clock) -> None:
        """Start without a token; the first request fetches one."""
        super().__init__("")
        self._settings = settings
        self._transport = transport
        self._clock = clock
        self._lock = threading.Lock()
        self._renew_at = 0.0
        self._refused_in_a_row: set[str] = set()
        self._failure: TokenRefused | None = None

    def token(self, before_retry: BeforeRetry) -> str:
        """Return a token that will not expire on its way, a new one if need be.

        Raises:
            TokenRefused: When the accounts server gives none; from then on always.
        """
        with self._lock:
            if self._failure is not None:
                raise self._failure
            if self._clock.time() >= self._renew_at:
                try:
                    self._renew(before_retry)
                except TokenRefused as error:
                    self._failure = error
                    raise
            return self._token

    def refused(self, token: str) -> bool:
        """Renew the token at its next use, unless two different ones were refused in a row."""
        with self._lock:
            self._refused_in_a_row.add(token)
            if token == self._token:
                self._renew_at = 0.0
            return len(self._refused_in_a_row) < 2  # noqa: PLR2004 - two in a row, as it says

    def accepted(self, token: str) -> None:
        """Forget the refusals before."""
        del token
        if self._refused_in_a_row:
            with self._lock:
                self._refused_in_a_row.clear()

    def _renew(self, before_retry: BeforeRetry) -> None:
        """Get a new token. The other threads wait: they need it too."""
        form = {
            "grant_type": "refresh_token",
            "client_id": self._settings.client_id or "",
            "client_secret": self._settings.client_secret or "",
            "refresh_token": self._settings.refresh_token or "",
        }
        for tries in range(1, TOKEN_TRIES + 1):
            self._clock.check()
            try:
                document = request_token(self._settings.accounts_url, form, self._transport)
            except TransportFailed as error:
                if tries == TOKEN_TRIES:
                    raise TokenRefused(str(error)) from None
                before_retry("the accounts server", error, tries)
            else:
                self._token = document["access_token"]
                add_secrets([self._token])
                lifetime = lifetime_seconds(document)
                margin = min(EXPIRY_MARGIN_SECONDS, lifetime / 2)
                self._renew_at = self._clock.time() + lifetime - margin
                return


def credentials(
    settings: ConnectionSettings, transport: Transport, clock: Clock
) -> FixedAccessToken:
    """Return the holder for the one way to authenticate that the settings give."""
    if settings.auth_token:
        return LegacyAuthToken(settings.auth_token)
    if settings.access_token:
        return FixedAccessToken(settings.access_token)
    return RefreshedAccessToken(settings, transport, clock)


def request_token(
    accounts_url: str, form: dict[str, str], transport: Transport
) -> dict[str, t.Any]:
    """Ask the accounts server for a token.

    The secrets go in a form body, so that they are in no URL.

    Args:
        accounts_url: Scheme and host of the accounts server.
        form: The grant, as Zoho's page on OAuth says.
        transport: Sends it.

    Returns:
        The response, with an ``access_token`` in it for certain.

    Raises:
        TokenRefused: When Zoho says no; the text says which setting is wrong.
        TransportFailed: When no readable response came; worth another try.
    """
    host = accounts_url.partition("://")[2]
    try:
        response = transport.post(
            f"{accounts_url}/oauth/v2/token", headers={"Accept": "application/json"}, form=form
        )
    except TransportFailed as error:
        raise _no_answer(
            f"The accounts server {host} gave no token: {Exception.__str__(error)}"
        ) from None
    document = None
    if len(response.body) <= LONGEST_TOKEN_ANSWER_BYTES:
        with suppress(ValueError, RecursionError):
            document = json.loads(response.body)
    if not isinstance(document, dict):
        raise _unreadable(host, response, "no JSON")
    token = document.get("access_token")
    # Anything else than printable ASCII cannot be in a header.
    if isinstance(token, str) and token.isascii() and token.isprintable() and token:
        return document
    raise _refusal(host, document, response)


def lifetime_seconds(document: dict[str, t.Any]) -> float:
    """Return how long a token lives, from a response of the accounts server."""
    for name in ("expires_in_sec", "expires_in"):
        try:
            seconds = float(document[name])
        except (KeyError, TypeError, ValueError, OverflowError):
            continue
        if seconds > 0:
            return seconds / 1000 if seconds > MAX_LIFETIME_SECONDS else seconds
    return 3600.0


TOO_MANY_TOKENS = "Access Denied"
"""The accounts server's word for it; other responses say the same in other words."""

_REFUSALS = {
    "invalid_code": "refresh_token is wrong, was revoked, or belongs to another data_center",
    "invalid_client": "client_id is wrong or belongs to another data_center",
    "invalid_client_secret": "client_secret is wrong",
}


_TOO_MANY = (
    "too many tokens were asked for. Wait half an hour and run again; other programs with this "
    "refresh_token count as well"
)
"""Zoho gives ten tokens in ten minutes; seen live: it takes up to half an hour to calm down."""


def _refusal(host: str, document: dict[str, t.Any], response: HttpResponse) -> TapError:
    """Say what a response without a token means."""
    error = quoted(str(document.get("error") or ""))
    description = quoted(str(document.get("error_description") or ""))
    if not error or response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _unreadable(host, response, "neither token nor refusal")
    says = f'The accounts server {host} answered "{error}"'
    if error in _REFUSALS:
        return TokenRefused(says, _REFUSALS[error], error)
    if description:
        says += f' ("{description}")'
    if error == TOO_MANY_TOKENS or "too many requests" in description.lower():
        return TokenRefused(says, _TOO_MANY, TOO_MANY_TOKENS)
    meaning = "check client_id, client_secret, refresh_token and data_center"
    return TokenRefused(says, meaning, error)


def _unreadable(host: str, response: HttpResponse, what: str) -> TapError:
    """Describe a response that is not in Zoho's format."""
    status = response.status
    says = f"The accounts server {host} answered HTTP {status} with {what}"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return TokenRefused(says, _TOO_MANY, TOO_MANY_TOKENS)
    if (
        status in {HTTPStatus.OK, HTTPStatus.REQUEST_TIMEOUT}
        or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    ):
        return _no_answer(says, retry_after_seconds(response.retry_after, response.date))
    return TokenRefused(says, "check accounts_url and data_center")


def _no_answer(says: str, retry_after: float | None = None) -> TransportFailed:
    error = TransportFailed(says)
    error.retry_after_seconds = retry_after
    error.advice = "Check the network and accounts_url, or run again later"
    return error
