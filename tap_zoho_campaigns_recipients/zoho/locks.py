"""Locks of endpoints that this run or another run of the account met; waiting for their end."""

from __future__ import annotations

import logging
import threading
import typing as t
from collections import Counter
from functools import partial

from tap_zoho_campaigns_recipients.zoho.errors import LockedBefore

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from tap_zoho_campaigns_recipients.zoho.clock import Clock
    from tap_zoho_campaigns_recipients.zoho.endpoints import Endpoint
    from tap_zoho_campaigns_recipients.zoho.errors import Throttled
    from tap_zoho_campaigns_recipients.zoho.rate_limit.limiter import Limiter

MAX_LOCKS = 3
"""This many locks of an endpoint are waited for with no response of it in between."""

SHORTEST_LOCK_SECONDS = 1.0
LOCK_RESOLUTION_SECONDS = 0.001
LOCK_REMINDER_SECONDS = 300


class Locks:
    """The locks that Zoho has put on endpoints."""

    def __init__(
        self,
        limiter: Limiter,
        longest_wait_seconds: float,
        clock: Clock,
        log: Callable[..., None],
    ) -> None:
        """Start without any lock.

        Args:
            limiter: Keeps locks for all processes of the account.
            longest_wait_seconds: `rate_limit_lock_wait`.
            clock: The time.
            log: Logs a line: level, text, and what is put into the text.
        """
        self._limiter = limiter
        self._longest_wait_seconds = longest_wait_seconds
        self._clock = clock
        self._log = log
        self._mutex = threading.Lock()
        self._met: Counter[Endpoint] = Counter()
        self._in_a_row: Counter[Endpoint] = Counter()
        self._mentioned_at: dict[Endpoint, float] = {}

    def known(self, endpoint: Endpoint) -> int:
        """Return how many locks there were, each of which the limiter knows as well."""
        with self._mutex:
            return self._met[endpoint]

    def wait(self, endpoint: Endpoint) -> float:
        """Wait for the limit, and for a lock that this run or another one met.

        Returns:
            How long, in seconds.

        Raises:
            LockedBefore: Another run met a lock that is longer than this one may wait.
        """
        return self._limiter.acquire(endpoint, partial(self._mention, endpoint))

    def answered(self, endpoint: Endpoint, locks: int) -> None:
        """Record a response; one to what was sent before a lock says nothing about it.

        Args:
            endpoint: The endpoint that has answered.
            locks: How many locks were known when the request was sent.
        """
        with self._mutex:
            if locks == self._met[endpoint]:
                self._in_a_row[endpoint] = 0

    def met(self, endpoint: Endpoint, error: Throttled, locks: int) -> bool:
        """Have every request of the endpoint wait, here and in the account's other processes.

        Args:
            endpoint: What Zoho has locked.
            error: How it said so.
            locks: How many locks were known when the request was sent. If there are more by now,
                other requests that were in flight met the same lock before.

        Returns:
            Whether to wait; not if there was enough waiting.
        """
        longest = self._longest_wait_seconds
        with self._mutex:
            is_new = locks == self._met[endpoint]
            if is_new:
                self._met[endpoint] += 1
                self._in_a_row[endpoint] += 1
            if not longest or self._in_a_row[endpoint] > MAX_LOCKS:
                return False
            if not is_new:
                return True
            wait = longest
            if error.retry_after_seconds is not None:
                wait = min(longest, max(error.retry_after_seconds, SHORTEST_LOCK_SECONDS))
            self._limiter.lock(endpoint, wait)
            self._mentioned_at[endpoint] = self._clock.monotonic()
        self._log(
            logging.WARNING,
            'Zoho has locked %s (%s: "%s"): waiting %.0f s, then going on',
            endpoint,
            error.code,
            error.message,
            wait,
        )
        return True

    def _mention(self, endpoint: Endpoint) -> None:
        """Say every few minutes that an endpoint is locked, if it is."""
        seconds = self._limiter.locked_for(endpoint)
        if not seconds:
            return
        if seconds > self._longest_wait_seconds + LOCK_RESOLUTION_SECONDS:
            raise LockedBefore(endpoint, seconds)
        now = self._clock.monotonic()
        with self._mutex:
            before = self._mentioned_at.get(endpoint)
            if before is not None and now - before < LOCK_REMINDER_SECONDS:
                return
            self._mentioned_at[endpoint] = now
        self._log(logging.INFO, "Zoho has locked %s: waiting %.0f s more", endpoint, seconds)
