"""One request to Zoho, until it has an answer: limit, token, retries, locks.

The retries are a loop of our own: what decides on the next try is which endpoint answered which
code, whether a token can be renewed, where parameters go and how long a lock lasts, and a library's
decorator would have to be handed each of these as a callback.
"""

from __future__ import annotations

import random
import threading
import typing as t
from collections import Counter

from tap_zoho_campaigns_recipients.answers import Answer, Endpoint, read_answer
from tap_zoho_campaigns_recipients.errors import (
    BadAnswer,
    MissingParameter,
    TapError,
    Throttled,
    TokenRefused,
    Transient,
    TransportFailed,
    Unauthorized,
    ZohoError,
)
from tap_zoho_campaigns_recipients.transport import Response, retry_after_seconds

if t.TYPE_CHECKING:
    import logging

    from tap_zoho_campaigns_recipients.auth import FixedAccessToken
    from tap_zoho_campaigns_recipients.clock import Clock
    from tap_zoho_campaigns_recipients.limiter import Limiter
    from tap_zoho_campaigns_recipients.settings import Settings
    from tap_zoho_campaigns_recipients.transport import Transport

TRIES = {
    Endpoint.RECIPIENTS: 5,
    Endpoint.LISTING: 5,
    Endpoint.REPORT: 2,
    Endpoint.DETAILS: 2,
}
"""How often a request is sent that fails. A campaign can do without report and details."""

MAX_LOCKS = 3
"""A request that meets a lock so often, with no answer of its endpoint between, ends the run."""

LONGEST_RETRY_WAIT_SECONDS = 120
NO_PARAMETER_CODES_LEGACY = frozenset({"1007"})
"""The legacy API says 1007 also where it has not found the authtoken that was sent."""


class Client:
    """Sends requests for all threads of a run."""

    def __init__(  # noqa: PLR0913 - the parts are made by the tap, each from its own settings
        self,
        settings: Settings,
        credentials: FixedAccessToken,
        transport: Transport,
        limiter: Limiter,
        clock: Clock,
        logger: logging.Logger,
    ) -> None:
        """Send nothing yet.

        Args:
            settings: The run's settings.
            credentials: The one holder of tokens.
            transport: Sends single requests.
            limiter: Counts calls, for all processes of the account.
            clock: The time, and the waiting.
            logger: For waits and retries.
        """
        self._settings = settings
        self._credentials = credentials
        self._transport = transport
        self._limiter = limiter
        self._clock = clock
        self._logger = logger
        self._lock = threading.Lock()
        self._sends_form: dict[Endpoint, bool] = {}
        self._locks_in_a_row: Counter[Endpoint] = Counter()
        self.calls: Counter[Endpoint] = Counter()
        """Requests sent, by endpoint."""
        self.waited_seconds = 0.0
        """Time spent waiting for the limit, locks and retries, all threads together."""
        self.clock_difference_seconds: float | None = None
        """The server's clock less the machine's, from the first `Date` header."""

    def call(
        self,
        endpoint: Endpoint,
        parameters: dict[str, str],
        response_format: t.Literal["json", "xml"] = "json",
    ) -> Answer:
        """Send a request until it is answered.

        Args:
            endpoint: Which endpoint.
            parameters: Its parameters, but for `resfmt` and what credentials need.
            response_format: What to ask for.

        Raises:
            ZohoError: Zoho's own error, one class for each way to go on.
            BadAnswer: Five bodies in a row could not be read.
            TransportFailed: Five times in a row no whole answer came.
            TokenRefused: The accounts server gives no token.
            Stopped: The run was ended.
        """
        tries = 0
        while True:
            try:
                return self._answered(endpoint, parameters, response_format)
            except Throttled as error:
                self._locked(endpoint, error)
            except (Unauthorized, TokenRefused):
                raise
            except TapError as error:
                tries += 1
                if tries >= TRIES[endpoint] or not _is_worth_a_try(endpoint, error):
                    raise
                self._retry(endpoint, error, tries)

    def _answered(
        self, endpoint: Endpoint, parameters: dict[str, str], response_format: t.Literal["json", "xml"]
    ) -> Answer:
        """Send a request: with a new token if need be, and with parameters where Zoho looks."""
        missed: ZohoError | None = None
        while True:
            self._limited(endpoint)
            token = self._token()
            as_form = self._sends_form.get(endpoint, self._credentials.sends_form)
            if missed:
                as_form = not as_form
            try:
                answer = self._send(endpoint, parameters, response_format, token, as_form)
            except (MissingParameter, Unauthorized) as error:
                if missed:
                    raise missed from None
                if endpoint not in self._sends_form and self._may_be_elsewhere(error):
                    missed = error
                elif not (isinstance(error, Unauthorized) and self._credentials.refused(token)):
                    raise
                else:
                    self._logger.info("Zoho refused the access token: getting a new one")
            except ZohoError as error:
                if not isinstance(error, Throttled | Transient):
                    self._accepted(endpoint, token, as_form)
                raise
            else:
                self._accepted(endpoint, token, as_form)
                return answer

    def _may_be_elsewhere(self, error: ZohoError) -> bool:
        return isinstance(error, MissingParameter) or (
            self._credentials.sends_form and error.code in NO_PARAMETER_CODES_LEGACY
        )

    def _accepted(self, endpoint: Endpoint, token: str, as_form: bool) -> None:  # noqa: FBT001 - as of `_send`
        """Zoho looked at the request: the token is good, the parameters were found, no lock holds."""
        self._credentials.accepted(token)
        self._sends_form[endpoint] = as_form
        self._locks_in_a_row.pop(endpoint, None)

    def _send(  # noqa: PLR0913 - one request has so many parts
        self,
        endpoint: Endpoint,
        parameters: dict[str, str],
        response_format: t.Literal["json", "xml"],
        token: str,
        as_form: bool,  # noqa: FBT001 - it is where the parameters go, as Zoho looks for them
    ) -> Answer:
        headers: dict[str, str] = {}
        sent = {"resfmt": response_format.upper(), **parameters}
        self._credentials.sign(token, headers, sent)
        with self._lock:
            self.calls[endpoint] += 1
        response = self._transport.post(
            f"{self._settings.api_url}{self._credentials.api_path}/{endpoint}",
            headers=headers,
            query=None if as_form else sent,
            form=sent if as_form else None,
        )
        if response.date is not None and self.clock_difference_seconds is None:
            self.clock_difference_seconds = response.date - self._clock.time()
        return read_answer(
            endpoint,
            response_format,
            response.status,
            response.body,
            self._retry_after(response),
        )

    def _retry_after(self, response: Response) -> float | None:
        return retry_after_seconds(response.retry_after, response.date or self._clock.time())

    def _token(self) -> str:
        for tries in range(1, TRIES[Endpoint.RECIPIENTS] + 1):
            try:
                return self._credentials.token()
            except TransportFailed as error:
                if tries == TRIES[Endpoint.RECIPIENTS]:
                    raise TokenRefused(f"{error}. Check accounts_url and the network") from None
                self._retry("the accounts server", error, tries)
        raise AssertionError  # pragma: no cover - the last try raises

    def _limited(self, endpoint: Endpoint) -> None:
        waited = self._limiter.acquire(endpoint)
        if waited:
            with self._lock:
                self.waited_seconds += waited

    def _retry(self, what: str, error: TapError, tries: int) -> None:
        seconds = self._settings.retry_wait * 2 ** (tries - 1) * random.uniform(1, 1.25)  # noqa: S311
        if isinstance(error, Transient) and error.retry_after_seconds is not None:
            longest = max(LONGEST_RETRY_WAIT_SECONDS, self._settings.rate_limit_lock_wait)
            seconds = max(seconds, min(error.retry_after_seconds, longest))
        self._logger.info("Trying %s again in %.1f s, try %d failed: %s", what, seconds, tries, error)
        self._clock.sleep(seconds)
        with self._lock:
            self.waited_seconds += seconds

    def _locked(self, endpoint: Endpoint, error: Throttled) -> None:
        """Have every request of the endpoint wait, here and in the account's other processes."""
        longest = self._settings.rate_limit_lock_wait
        with self._lock:
            already = self._limiter.locked_for(endpoint) > 0
            if not already:
                self._locks_in_a_row[endpoint] += 1
            if longest == 0 or self._locks_in_a_row[endpoint] > MAX_LOCKS:
                raise error
            if already:
                return
            seconds = longest
            if error.retry_after_seconds is not None:
                seconds = min(error.retry_after_seconds, longest)
            self._limiter.lock(endpoint, seconds)
            self._logger.warning(
                "Zoho has locked %s (%s): waiting %.0f s, then going on", endpoint, error.code, seconds
            )


def _is_worth_a_try(endpoint: Endpoint, error: TapError) -> bool:
    if endpoint in {Endpoint.REPORT, Endpoint.DETAILS}:
        return True
    return isinstance(error, Transient | BadAnswer | TransportFailed)
