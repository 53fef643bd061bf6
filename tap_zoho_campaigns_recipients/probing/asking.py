"""Single requests whose responses are looked at as they came, within a budget of calls."""

from __future__ import annotations

import typing as t
from collections import Counter
from dataclasses import dataclass, field

from tap_zoho_campaigns_recipients.probing.shapes import code_text
from tap_zoho_campaigns_recipients.zoho.bodies import UnreadableBodyError, object_from_body
from tap_zoho_campaigns_recipients.zoho.errors import (
    TapError,
    Throttled,
    TooManyAtOnce,
    TransportFailed,
    Unauthorized,
)
from tap_zoho_campaigns_recipients.zoho.responses import parse_response
from tap_zoho_campaigns_recipients.zoho.transport import retry_after_seconds

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from tap_zoho_campaigns_recipients.zoho.auth import FixedAccessToken
    from tap_zoho_campaigns_recipients.zoho.clock import Clock
    from tap_zoho_campaigns_recipients.zoho.endpoints import Endpoint, ResponseFormat
    from tap_zoho_campaigns_recipients.zoho.rate_limit.limiter import Limiter
    from tap_zoho_campaigns_recipients.zoho.transport import HttpResponse, Transport

MOST_CALLS = 40
TRIES = 2
"""A request is sent once more where no response came, or one with HTTP 5xx."""
SERVER_ERROR = 500


class BudgetSpent(TapError):
    """All calls that the probe may make were made."""


@dataclass(slots=True)
class Answered:
    """A response, as it came."""

    endpoint: Endpoint
    status: int
    format: ResponseFormat | None
    """What the body is; None where it is neither JSON nor XML."""
    document: dict[str, t.Any] = field(default_factory=dict)
    asked: dict[str, str] = field(default_factory=dict)
    has_date: bool = False

    @property
    def code(self) -> str:
        """The code of the response as text; empty where it has none."""
        for name, value in self.document.items():
            if name.lower() == "code":
                return str(value)
        return ""

    @property
    def is_error(self) -> bool:
        """Whether the response says that the request failed."""
        return self.status >= 400 or self.code not in {"0", "200"}  # noqa: PLR2004 - HTTP's

    @property
    def rows(self) -> list[dict[str, t.Any]]:
        """The rows of a list, without what is no object."""
        found = self.document.get("list_of_details")
        if found is None and isinstance(self.document.get("contacts"), dict):
            found = self.document["contacts"].get("contact")
        if found is None:
            found = self.document.get("recent_campaigns")
        return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []

    @property
    def describes(self) -> str:
        """What the response is, without anything that it says."""
        if self.format is None:
            return f"HTTP {self.status} with neither JSON nor XML"
        if self.is_error:
            return f"HTTP {self.status}, code {code_text(self.code) or 'missing'} in {self.format}"
        return f"{len(self.rows)} rows in {self.format}"


class Asker:
    """Sends the probe's requests, one after the other."""

    def __init__(
        self,
        api_url: str,
        credentials: FixedAccessToken,
        transport: Transport,
        limiter: Limiter,
        clock: Clock,
        on_call: Callable[[int], None],
        on_wait: Callable[[], None],
    ) -> None:
        """Send nothing yet.

        Args:
            api_url: Scheme and host.
            credentials: The one holder of tokens.
            transport: Sends single requests.
            limiter: Counts calls, for all processes of the account.
            clock: The time.
            on_call: Called with the number of each call before it is made.
            on_wait: Called when the rate limit makes a call wait.
        """
        self._api_url = api_url
        self.credentials = credentials
        self._transport = transport
        self._limiter = limiter
        self._clock = clock
        self._on_call = on_call
        self._on_wait = on_wait
        self.calls: Counter[str] = Counter()
        """By endpoint."""
        self.prefers_form = credentials.sends_form
        """Whether parameters go into a form, if a question does not say."""

    @property
    def calls_left(self) -> int:
        """How many calls may still be made."""
        return MOST_CALLS - self.calls.total()

    def ask(
        self,
        endpoint: Endpoint,
        response_format: ResponseFormat = "json",
        *,
        as_form: bool | None = None,
        **parameters: str | int,
    ) -> Answered:
        """Send a request.

        Args:
            endpoint: Which endpoint.
            response_format: What to ask for; a parameter `resfmt` takes precedence.
            as_form: Whether parameters go into a form; None: as the API's documents have it.
            **parameters: Its parameters.

        Raises:
            BudgetSpent: No call is left.
            Throttled: Zoho says that the endpoint is locked.
            Unauthorized: Two tokens were refused.
            TokenRefused: The accounts server gives none.
            TransportFailed: No whole response came, twice.
        """
        sent = {"resfmt": response_format.upper()}
        sent |= {name: str(value) for name, value in parameters.items()}
        tries = 0
        while True:
            tries += 1
            token = self.credentials.token(lambda *_: self._clock.check())
            try:
                answered = self._answered(endpoint, sent, token, as_form=as_form)
            except Unauthorized:
                if tries > TRIES or not self.credentials.refused(token):
                    raise
            except TransportFailed:
                if tries >= TRIES:
                    raise
            else:
                if answered.status < SERVER_ERROR or tries >= TRIES:
                    self.credentials.accepted(token)
                    return answered

    def _answered(
        self, endpoint: Endpoint, sent: dict[str, str], token: str, *, as_form: bool | None
    ) -> Answered:
        if self.calls_left <= 0:
            raise BudgetSpent(f"All {MOST_CALLS} calls were made")
        if (locked := self._limiter.locked_for(endpoint)) > 0:
            raise Throttled(endpoint, "", f"still locked for {locked:.0f} s")
        self._on_call(self.calls.total() + 1)
        self._limiter.acquire(endpoint, self._on_wait)
        self.calls[endpoint] += 1
        headers: dict[str, str] = {}
        parameters = dict(sent)
        self.credentials.sign(token, headers, parameters)
        is_form = self.prefers_form if as_form is None else as_form
        response = self._transport.post(
            f"{self._api_url}{self.credentials.api_path}/{endpoint}",
            headers=headers,
            query=None if is_form else parameters,
            form=parameters if is_form else None,
        )
        self._stop_if_refused(endpoint, response)
        try:
            document, found = object_from_body(response.body)
        except UnreadableBodyError:
            document, found = {}, None
        return Answered(endpoint, response.status, found, document, sent, response.date is not None)

    def _stop_if_refused(self, endpoint: Endpoint, response: HttpResponse) -> None:
        """Raise what ends the probe: a lock, or a refused token; without Zoho's own words.

        A lock is noted where other processes of the account see it.
        """
        try:
            parse_response(endpoint, "json", response.status, response.body)
        except (Throttled, TooManyAtOnce) as error:
            seconds = retry_after_seconds(response.retry_after, response.date) or 0.0
            self._limiter.lock(endpoint, seconds)
            raise Throttled(endpoint, code_text(error.code), "") from None
        except Unauthorized as error:
            raise Unauthorized(endpoint, code_text(error.code), "") from None
        except TapError:
            pass
