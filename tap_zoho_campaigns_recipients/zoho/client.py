"""One request to Zoho, until it has a response: limit, token, retries, locks.

The retries are a loop of our own: what decides on the next try is which endpoint answered which
code, whether a token can be renewed, where parameters go and how long a lock lasts, and a library's
decorator would have to be handed each of these as a callback.
"""

from __future__ import annotations

import logging
import random
import threading
import typing as t
from collections import Counter

from tap_zoho_campaigns_recipients.zoho.clock import Stopped
from tap_zoho_campaigns_recipients.zoho.endpoints import Endpoint
from tap_zoho_campaigns_recipients.zoho.errors import (
    MissingParameter,
    Throttled,
    TooManyAtOnce,
    Transient,
    TransportFailed,
    Unauthorized,
    UnexpectedFormat,
    UnreadableResponse,
    ZohoError,
)
from tap_zoho_campaigns_recipients.zoho.in_flight import InFlight
from tap_zoho_campaigns_recipients.zoho.locks import Locks
from tap_zoho_campaigns_recipients.zoho.pagination import SURE_RANGE
from tap_zoho_campaigns_recipients.zoho.responses import parse_response
from tap_zoho_campaigns_recipients.zoho.retry_gate import RetryGate
from tap_zoho_campaigns_recipients.zoho.transport import (
    retry_after_from_rate_limit,
    retry_after_seconds,
)
from tap_zoho_campaigns_recipients.zoho.waits import Waits

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_zoho_campaigns_recipients.zoho.auth import FixedAccessToken
    from tap_zoho_campaigns_recipients.zoho.clock import Clock
    from tap_zoho_campaigns_recipients.zoho.connection_settings import ConnectionSettings
    from tap_zoho_campaigns_recipients.zoho.endpoints import ResponseFormat
    from tap_zoho_campaigns_recipients.zoho.errors import TapError
    from tap_zoho_campaigns_recipients.zoho.rate_limit.limiter import Limiter
    from tap_zoho_campaigns_recipients.zoho.responses import Response
    from tap_zoho_campaigns_recipients.zoho.transport import Transport

TRIES = {
    Endpoint.RECIPIENTS: 5,
    Endpoint.LISTING: 5,
    Endpoint.REPORT: 2,
    Endpoint.DETAILS: 2,
}
"""How often a request is sent that fails."""

SMALLER_FROM_TRY = 3
"""From this try on, a request for a page of a list asks for `SURE_RANGE` rows at most."""

DISPENSABLE = {Endpoint.REPORT, Endpoint.DETAILS}
"""What a campaign can do without."""

MAX_TOKENS = 3
"""A request whose token was refused so often is not tried with one more.

The run ends before, when two tokens in a row are refused; but not while Zoho accepts the same
tokens for other requests.
"""

LONGEST_RETRY_WAIT_SECONDS = 120
"""A `Retry-After` of a server that has trouble of its own is obeyed for so long, or for
`rate_limit_lock_wait`."""

LONGEST_WAIT_SECONDS = 86_400
"""No wait before a retry is longer, however large `retry_wait` is."""


class Client:
    """Sends requests for all threads of a run."""

    def __init__(
        self,
        settings: ConnectionSettings,
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
        self.limiter = limiter
        self._clock = clock
        self._logger = logger
        self._lock = threading.Lock()
        self._gate = RetryGate()
        self._sends_form = credentials.sends_form
        self._form_works: dict[Endpoint, bool] = {}
        self._locks = Locks(limiter, settings.rate_limit_lock_wait, clock, self._say)
        self.final: TapError | None = None
        """What ends the run: no request is sent any more, and each ends in this."""
        self._is_closed = False
        self.calls: Counter[Endpoint] = Counter()
        """Requests sent, by endpoint."""
        self._in_flight = InFlight(settings.max_parallel_requests)
        self._waits = Waits(clock)
        self.clock_difference_seconds: float | None = None
        """The server's clock less the machine's, from the first `Date` header."""

    def call(
        self,
        endpoint: Endpoint,
        parameters: dict[str, str],
        response_format: ResponseFormat = "json",
    ) -> Response:
        """Send a request until it is answered.

        Args:
            endpoint: Which endpoint.
            parameters: Its parameters, except for `resfmt` and what credentials need.
            response_format: What to ask for.

        Raises:
            ZohoError: Zoho's own error, one class for each way to go on.
            UnreadableResponse: Five bodies in a row could not be read.
            TransportFailed: Five times in a row no whole response came.
            TokenRefused: The accounts server gives no token.
            StoreUnavailable: The limiter's store has gone away.
            Stopped: The run was ended.
        """
        if endpoint is Endpoint.RECIPIENTS:
            return self._call_for_list(parameters, response_format)
        tries = 0
        while True:
            try:
                return self._answered(endpoint, parameters, response_format)
            except (ZohoError, UnreadableResponse, TransportFailed) as error:
                error.where = error.where or _where(endpoint, parameters, error)
                tries += 1
                if error is self.final or not _is_worth_a_try(endpoint, error):
                    raise
                if tries >= TRIES[endpoint]:
                    if endpoint not in DISPENSABLE:
                        self.final = self.final or error
                    raise
                self._retry(endpoint, error, tries)

    def _call_for_list(
        self, parameters: dict[str, str], response_format: ResponseFormat
    ) -> Response:
        """Send a request for a page of a list, one list at a time while Zoho has trouble."""
        endpoint, request = Endpoint.RECIPIENTS, object()
        list_name = f"{parameters.get('campaignkey')} {parameters.get('action')}"
        rows_asked, tries = None, 0
        try:
            while True:
                self._gate.enter(request, list_name)
                try:
                    response = self._answered(endpoint, parameters, response_format)
                except (ZohoError, UnreadableResponse, TransportFailed) as error:
                    error.where = error.where or _where(endpoint, parameters, error)
                    tries += 1
                    if error is self.final or not _is_worth_a_try(endpoint, error):
                        self._gate.answered()
                        raise
                    self._gate.failed()
                    if tries >= TRIES[endpoint]:
                        self._gate.give_up(request, list_name, error)
                        raise
                    self._retry(endpoint, error, tries)
                else:
                    self._gate.answered()
                    response.rows_asked = rows_asked
                    return response
                if tries >= SMALLER_FROM_TRY - 1 and int(parameters.get("range", 0)) > SURE_RANGE:
                    rows_asked = SURE_RANGE
                    parameters = {**parameters, "range": str(rows_asked)}
        finally:
            self._gate.leave(request)

    @property
    def in_flight(self) -> int:
        """The requests whose responses are awaited."""
        return self._in_flight.count

    @property
    def calls_sent(self) -> int:
        """Requests sent, of all endpoints together."""
        with self._lock:
            return self.calls.total()

    @property
    def waited_seconds(self) -> float:
        """How long any request was held back; several that waited at the same time count once."""
        return self._waits.total_seconds

    def close(self) -> None:
        """Let no thread log a line any more: the run has the last word."""
        with self._lock:
            self._is_closed = True
        self._gate.close()
        self._in_flight.close()

    def _say(self, level: int, text: str, *values: object) -> None:
        with self._lock:
            if self._is_closed:
                raise Stopped
            self._logger.log(level, text, *values)

    def _answered(
        self, endpoint: Endpoint, parameters: dict[str, str], response_format: ResponseFormat
    ) -> Response:
        """Send a request: after a lock, with a new token, with parameters where Zoho looks."""
        missed: TapError | None = None
        as_form = False
        refusals = 0
        while True:
            locks = self._locks.known(endpoint)
            if waited := self._locks.wait(endpoint):
                self._waits.note(waited)
                locks = self._locks.known(endpoint)
            token = self._credentials.token(self._retry)
            if self.final is not None:
                raise self.final
            if missed is None:
                as_form = self._form_works.get(endpoint, self._sends_form)
            try:
                return self._send(
                    endpoint, parameters, response_format, token, locks, as_form=as_form
                )
            except (Throttled, TooManyAtOnce) as error:
                self._throttled(endpoint, error, locks)
            except (MissingParameter, UnexpectedFormat, Unauthorized) as error:
                refusals += isinstance(error, Unauthorized)
                if missed is None and self._may_be_elsewhere(endpoint, error, as_form=as_form):
                    missed = error
                    as_form = not as_form
                elif (
                    not isinstance(error, Unauthorized)
                    # Not of different tokens: a server may hand out the same one again.
                    or refusals >= MAX_TOKENS
                    or not self._credentials.refused(token)
                ):
                    told = missed if missed and not isinstance(error, Unauthorized) else error
                    raise self._finally(told) from None
                else:
                    self._say(logging.INFO, "Zoho refused the access token: getting a new one")

    def _throttled(self, endpoint: Endpoint, error: Throttled | TooManyAtOnce, locks: int) -> None:
        """Wait, or let fewer requests be in flight.

        Raises:
            ZohoError: Neither helps.
        """
        if isinstance(error, Throttled):
            if not self._locks.met(endpoint, error, locks):
                raise self._finally(error)
            return
        if not error.is_new:
            raise error
        text = "Zoho has too many requests at once: going on with half as many in flight"
        self._say(logging.INFO, text)
        self._clock.sleep(self._settings.retry_wait)

    def _finally(self, error: TapError) -> TapError:
        """Return an error; where it ends the run, no request is sent any more."""
        if isinstance(error, Unauthorized | Throttled):
            self.final = self.final or error
        return error

    def _may_be_elsewhere(self, endpoint: Endpoint, error: TapError, *, as_form: bool) -> bool:
        """Whether Zoho may have looked for parameters elsewhere than where they were sent.

        The legacy API says 1007 where it has not found the authtoken. The listing needs no
        parameter: there only the format shows that Zoho found none.
        """
        if isinstance(error, UnexpectedFormat):
            return not self._form_works and not self._credentials.sends_form
        return self._form_works.get(endpoint) != as_form and (
            isinstance(error, MissingParameter) or self._credentials.sends_form
        )

    def _accepted(self, endpoint: Endpoint, token: str, locks: int, *, as_form: bool) -> None:
        """Take note that the token is good, the parameters were found, and no lock holds."""
        self._credentials.accepted(token)
        self._sends_form = self._form_works[endpoint] = as_form
        self._locks.answered(endpoint, locks)

    def _send(
        self,
        endpoint: Endpoint,
        parameters: dict[str, str],
        response_format: ResponseFormat,
        token: str,
        locks: int,
        *,
        as_form: bool,
    ) -> Response:
        headers: dict[str, str] = {}
        sent = {"resfmt": response_format.upper(), **parameters}
        self._credentials.sign(token, headers, sent)
        with self._in_flight.one_more() as most:
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
        retry_after = retry_after_seconds(response.retry_after, response.date or self._clock.time())
        if retry_after is None:
            retry_after = retry_after_from_rate_limit(response.rate_limit)
        try:
            parsed = parse_response(
                endpoint, response_format, response.status, response.body, retry_after
            )
        except TooManyAtOnce as error:
            error.is_new = self._in_flight.halve(most)
            raise
        except (MissingParameter, Throttled, Transient, Unauthorized):
            raise
        except ZohoError:
            self._accepted(endpoint, token, locks, as_form=as_form)
            raise
        self._accepted(endpoint, token, locks, as_form=as_form)
        return parsed

    def _retry(self, what: str, error: TapError, tries: int) -> None:
        """Wait before another try: longer each time, and not in step with other processes."""
        wait = self._settings.retry_wait * 2 ** (tries - 1) * random.uniform(1, 1.25)  # noqa: S311
        if isinstance(error, Transient | TransportFailed) and error.retry_after_seconds is not None:
            longest = max(LONGEST_RETRY_WAIT_SECONDS, self._settings.rate_limit_lock_wait)
            wait = max(wait, min(error.retry_after_seconds, longest))
        wait = min(wait, LONGEST_WAIT_SECONDS)
        text = "Trying %s again in %.1f s, try %d failed: %s"
        self._say(logging.INFO, text, what, wait, tries, error)
        self._clock.sleep(wait)
        self._waits.note(wait)


def _is_worth_a_try(endpoint: Endpoint, error: TapError) -> bool:
    if isinstance(error, Unauthorized | Throttled):
        return False
    if endpoint in DISPENSABLE:
        return True
    return isinstance(error, Transient | UnreadableResponse | TransportFailed)


def _where(endpoint: Endpoint, parameters: Mapping[str, str], error: TapError) -> str:
    """Say what a request was about, as far as its error does not by itself."""
    names = {"campaignkey": "campaign", "action": "action"}
    parts = [f"{word} {parameters[name]}" for name, word in names.items() if name in parameters]
    if isinstance(error, TransportFailed):
        parts.insert(0, endpoint)
    return ", ".join(parts)
