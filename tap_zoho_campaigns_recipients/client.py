"""One request to Zoho, until it has an answer: limit, token, retries, locks.

The retries are a loop of our own: what decides on the next try is which endpoint answered which
code, whether a token can be renewed, where parameters go and how long a lock lasts, and a library's
decorator would have to be handed each of these as a callback.
"""

from __future__ import annotations

import logging
import random
import threading
import typing as t
from collections import Counter, deque
from functools import partial

from tap_zoho_campaigns_recipients.answers import Endpoint, read_answer
from tap_zoho_campaigns_recipients.clock import Stopped
from tap_zoho_campaigns_recipients.errors import (
    BadAnswer,
    LockedBefore,
    MissingParameter,
    OtherFormat,
    Throttled,
    Transient,
    TransportFailed,
    Unauthorized,
    ZohoError,
)
from tap_zoho_campaigns_recipients.transport import retry_after_seconds

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_zoho_campaigns_recipients.answers import Answer, ResponseFormat
    from tap_zoho_campaigns_recipients.auth import FixedAccessToken
    from tap_zoho_campaigns_recipients.clock import Clock
    from tap_zoho_campaigns_recipients.errors import TapError
    from tap_zoho_campaigns_recipients.limiter import Limiter
    from tap_zoho_campaigns_recipients.settings import Settings
    from tap_zoho_campaigns_recipients.transport import Transport

TRIES = {
    Endpoint.RECIPIENTS: 5,
    Endpoint.LISTING: 5,
    Endpoint.REPORT: 2,
    Endpoint.DETAILS: 2,
}
"""How often a request is sent that fails."""

DISPENSABLE = {Endpoint.REPORT, Endpoint.DETAILS}
"""What a campaign can do without."""

MAX_LOCKS = 3
"""So many locks of an endpoint are waited out with no answer of it between."""

MAX_TOKENS = 3
"""A request whose token was refused so often is not tried with one more.

The run ends before, when two tokens in a row are refused; but not while Zoho accepts the same
tokens for other requests.
"""

SHORTEST_LOCK_SECONDS = 1.0
LOCK_RESOLUTION_SECONDS = 0.001
LOCK_REMINDER_SECONDS = 300

LONGEST_RETRY_WAIT_SECONDS = 120
"""A `Retry-After` of a server that has trouble of its own is obeyed for so long, or for
`rate_limit_lock_wait`."""

MOST_WAITS = 1_000
"""No wait that is still going on has begun before so many others had ended."""

LONGEST_WAIT_SECONDS = 86_400
"""No wait before a retry is longer, however large `retry_wait` is."""


class Client:
    """Sends requests for all threads of a run."""

    def __init__(
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
        self.limiter = limiter
        self._clock = clock
        self._logger = logger
        self._lock = threading.Lock()
        self._sends_form = credentials.sends_form
        self._form_works: dict[Endpoint, bool] = {}
        self._locks: Counter[Endpoint] = Counter()
        self._locks_in_a_row: Counter[Endpoint] = Counter()
        self._lock_mentioned_at: dict[Endpoint, float] = {}
        self.final: TapError | None = None
        """What ends the run: no request is sent any more, and each ends in this."""
        self._is_closed = False
        self.calls: Counter[Endpoint] = Counter()
        """Requests sent, by endpoint."""
        self.in_flight = 0
        """Of these, requests whose answer is awaited."""
        self._waits: deque[tuple[float, float]] = deque()
        """When requests waited for the limit, locks and retries: the latest, without overlaps."""
        self._waited_before = 0.0
        self.clock_difference_seconds: float | None = None
        """The server's clock less the machine's, from the first `Date` header."""

    def call(
        self,
        endpoint: Endpoint,
        parameters: dict[str, str],
        response_format: ResponseFormat = "json",
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
            StoreUnavailable: The limiter's store has gone away.
            Stopped: The run was ended.
        """
        tries = 0
        while True:
            try:
                return self._answered(endpoint, parameters, response_format)
            except (ZohoError, BadAnswer, TransportFailed) as error:
                error.where = error.where or _where(endpoint, parameters, error)
                tries += 1
                if error is self.final or not _is_worth_a_try(endpoint, error):
                    raise
                if tries >= TRIES[endpoint]:
                    if endpoint not in DISPENSABLE:
                        self.final = self.final or error
                    raise
                self._retry(endpoint, error, tries)

    @property
    def calls_sent(self) -> int:
        """Requests sent, of all endpoints together."""
        with self._lock:
            return self.calls.total()

    @property
    def waited_seconds(self) -> float:
        """How long any request was held back; several that waited side by side count once."""
        with self._lock:
            return self._waited_before + sum(end - begin for begin, end in self._waits)

    def close(self) -> None:
        """End: threads that are under way say nothing any more, for the run has its last word."""
        with self._lock:
            self._is_closed = True

    def _say(self, level: int, text: str, *values: object) -> None:
        with self._lock:
            if self._is_closed:
                raise Stopped
            self._logger.log(level, text, *values)

    def _answered(
        self, endpoint: Endpoint, parameters: dict[str, str], response_format: ResponseFormat
    ) -> Answer:
        """Send a request: after a lock, with a new token, with parameters where Zoho looks."""
        missed: TapError | None = None
        as_form = False
        refusals = 0
        while True:
            locks = self._known_locks(endpoint)
            if self._limited(endpoint):
                locks = self._known_locks(endpoint)
            token = self._credentials.token(self._retry)
            if self.final is not None:
                raise self.final
            if missed is None:
                as_form = self._form_works.get(endpoint, self._sends_form)
            try:
                return self._send(
                    endpoint, parameters, response_format, token, locks, as_form=as_form
                )
            except Throttled as error:
                self._locked(endpoint, error, locks)
            except (MissingParameter, OtherFormat, Unauthorized) as error:
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
        if isinstance(error, OtherFormat):
            return not self._form_works and not self._credentials.sends_form
        return self._form_works.get(endpoint) != as_form and (
            isinstance(error, MissingParameter) or self._credentials.sends_form
        )

    def _accepted(self, endpoint: Endpoint, token: str, locks: int, *, as_form: bool) -> None:
        """Take note that the token is good, the parameters were found, and no lock holds."""
        self._credentials.accepted(token)
        self._sends_form = self._form_works[endpoint] = as_form
        # An answer to what was sent before a lock says nothing about it.
        if locks == self._locks[endpoint]:
            self._locks_in_a_row[endpoint] = 0

    def _send(
        self,
        endpoint: Endpoint,
        parameters: dict[str, str],
        response_format: ResponseFormat,
        token: str,
        locks: int,
        *,
        as_form: bool,
    ) -> Answer:
        headers: dict[str, str] = {}
        sent = {"resfmt": response_format.upper(), **parameters}
        self._credentials.sign(token, headers, sent)
        with self._lock:
            self.calls[endpoint] += 1
            self.in_flight += 1
        try:
            response = self._transport.post(
                f"{self._settings.api_url}{self._credentials.api_path}/{endpoint}",
                headers=headers,
                query=None if as_form else sent,
                form=sent if as_form else None,
            )
        finally:
            with self._lock:
                self.in_flight -= 1
        if response.date is not None and self.clock_difference_seconds is None:
            self.clock_difference_seconds = response.date - self._clock.time()
        retry_after = retry_after_seconds(response.retry_after, response.date or self._clock.time())
        try:
            answer = read_answer(
                endpoint, response_format, response.status, response.body, retry_after
            )
        except (MissingParameter, Throttled, Transient, Unauthorized):
            raise
        except ZohoError:
            self._accepted(endpoint, token, locks, as_form=as_form)
            raise
        self._accepted(endpoint, token, locks, as_form=as_form)
        return answer

    def _known_locks(self, endpoint: Endpoint) -> int:
        """Return how many locks there were, each of which the limiter knows as well."""
        with self._lock:
            return self._locks[endpoint]

    def _limited(self, endpoint: Endpoint) -> bool:
        """Wait for the limit, and for a lock that this run or another one met.

        Returns:
            Whether there was anything to wait for.

        Raises:
            LockedBefore: Where another run met a lock that is longer than this one may wait.
        """
        waited = self.limiter.acquire(endpoint, partial(self._mention_lock, endpoint))
        if waited:
            self._note_wait(waited)
        return waited > 0

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
        self._note_wait(wait)

    def _note_wait(self, seconds: float) -> None:
        """Take down a wait that has just ended, as one with those that went on beside it."""
        with self._lock:
            end = self._clock.monotonic()
            begin = end - seconds
            while self._waits and self._waits[-1][1] >= begin:
                begin = min(self._waits.pop()[0], begin)
            self._waits.append((begin, end))
            if len(self._waits) > MOST_WAITS:
                begin, end = self._waits.popleft()
                self._waited_before += end - begin

    def _locked(self, endpoint: Endpoint, error: Throttled, locks: int) -> None:
        """Have every request of the endpoint wait, here and in the account's other processes.

        Args:
            endpoint: What Zoho locked.
            error: How it said so.
            locks: How many locks were known when the request was sent. If there are more by now,
                others that were on their way met the same lock before.

        Raises:
            Throttled: When there was enough waiting.
        """
        longest = self._settings.rate_limit_lock_wait
        with self._lock:
            is_new = locks == self._locks[endpoint]
            if is_new:
                self._locks[endpoint] += 1
                self._locks_in_a_row[endpoint] += 1
            if not longest or self._locks_in_a_row[endpoint] > MAX_LOCKS:
                raise self._finally(error)
            if not is_new:
                return
            wait = longest
            if error.retry_after_seconds is not None:
                wait = min(longest, max(error.retry_after_seconds, SHORTEST_LOCK_SECONDS))
            self.limiter.lock(endpoint, wait)
            self._lock_mentioned_at[endpoint] = self._clock.monotonic()
        self._say(
            logging.WARNING,
            'Zoho has locked %s (%s: "%s"): waiting %.0f s, then going on',
            endpoint,
            error.code,
            error.message,
            wait,
        )

    def _mention_lock(self, endpoint: Endpoint) -> None:
        """Say every few minutes that an endpoint is locked, if it is."""
        seconds = self.limiter.locked_for(endpoint)
        if not seconds:
            return
        if seconds > self._settings.rate_limit_lock_wait + LOCK_RESOLUTION_SECONDS:
            raise LockedBefore(endpoint, seconds)
        now = self._clock.monotonic()
        with self._lock:
            before = self._lock_mentioned_at.get(endpoint)
            if before is not None and now - before < LOCK_REMINDER_SECONDS:
                return
            self._lock_mentioned_at[endpoint] = now
        self._say(logging.INFO, "Zoho has locked %s: waiting %.0f s more", endpoint, seconds)


def _is_worth_a_try(endpoint: Endpoint, error: TapError) -> bool:
    if isinstance(error, Unauthorized | Throttled):
        return False
    if endpoint in DISPENSABLE:
        return True
    return isinstance(error, Transient | BadAnswer | TransportFailed)


def _where(endpoint: Endpoint, parameters: Mapping[str, str], error: TapError) -> str:
    """Say what a request was about, as far as its error does not by itself."""
    names = {"campaignkey": "campaign", "action": "action"}
    parts = [f"{word} {parameters[name]}" for name, word in names.items() if name in parameters]
    if isinstance(error, TransportFailed):
        parts.insert(0, endpoint)
    return ", ".join(parts)
