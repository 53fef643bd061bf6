"""Waits until a call may be sent, and counts it."""

from __future__ import annotations

import logging
import math
import typing as t

from tap_zoho_campaigns_recipients.zoho.rate_limit.redis_store import RedisStore
from tap_zoho_campaigns_recipients.zoho.rate_limit.sqlite_store import SqliteStore, file_of
from tap_zoho_campaigns_recipients.zoho.rate_limit.store import StoreUnavailable, Window

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tap_zoho_campaigns_recipients.zoho.clock import Clock
    from tap_zoho_campaigns_recipients.zoho.rate_limit.store import Store

_LONGEST_SECONDS = 10 * 365 * 86_400
"""A longer period or lock means the same, and would not fit into the integer of a database."""
_LONGEST_SLEEP_SECONDS = 60.0
"""The store is looked at again at least this often: the machine's clock may have been set."""


class Limiter:
    """The budget of one account. Safe for use by many threads.

    Args:
        store: The setting `rate_limit_store`: ``file``, ``memory`` or a Redis URL.
        account: Names the account in the store; holds no secret.
        calls: So many calls of one endpoint may be sent …
        period_seconds: … in any so many seconds.
        clock: Tells the time that calls are counted under, and waits.
        directory: Where the file is, instead of the user's cache directory.
        logger: Gets a warning when the file is made anew or cannot be used.

    Raises:
        StoreUnavailable: When the store is Redis and cannot be used.
    """

    def __init__(
        self,
        *,
        store: str,
        account: str,
        calls: int,
        period_seconds: float,
        clock: Clock,
        directory: Path | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        self._clock = clock
        window = Window(calls, math.ceil(min(period_seconds, _LONGEST_SECONDS) * 1000))
        self._store: Store
        if store.startswith(("redis://", "rediss://")):
            self._store = RedisStore(store, account, window)
        elif store in {"file", "memory"}:
            path = None if store == "memory" else file_of(account, directory)
            warn = (logger or logging.getLogger(__name__)).warning
            self._store = SqliteStore(path, window, clock, warn)
        else:
            raise StoreUnavailable(
                "rate_limit_store must be file, memory, or a URL redis://… or rediss://…"
            )

    def acquire(self, endpoint: str, before_wait: Callable[[], None] | None = None) -> float:
        """Wait until a call of this endpoint may be sent, and count it.

        Args:
            endpoint: The endpoint's name.
            before_wait: Called whenever there is reason to wait, at least once a minute; what it
                raises ends the wait.

        Returns:
            The seconds waited; 0 when the call could be sent at once.

        Raises:
            Stopped: When the run ends.
            StoreUnavailable: When Redis has gone away.
        """
        waited_seconds = 0.0
        while True:
            self._clock.check()
            wait_seconds = self._store.take(endpoint)
            if not wait_seconds:
                return waited_seconds
            if before_wait:
                before_wait()
            wait_seconds = min(wait_seconds, _LONGEST_SLEEP_SECONDS)
            self._clock.sleep(wait_seconds)
            waited_seconds += wait_seconds

    def lock(self, endpoint: str, seconds: float) -> None:
        """Let every process of this account wait for so long; a longer lock stays as it is."""
        if seconds > 0:
            self._store.lock(endpoint, math.ceil(min(seconds, _LONGEST_SECONDS) * 1000))

    def locked_for(self, endpoint: str) -> float:
        """Return how many seconds the endpoint stays locked; 0 when it is not."""
        return self._store.locked_for(endpoint)

    def calls_left(self, endpoint: str) -> int:
        """Return how many calls could be sent now without waiting for the window."""
        return self._store.calls_left(endpoint)

    def seconds_until(self, endpoint: str, calls: int) -> float:
        """Return how long the limit makes so many more calls take, were they all sent at once.

        Nobody can know what other runs of the account will send meanwhile.
        """
        return self._store.seconds_until(endpoint, max(calls, 1))

    def close(self) -> None:
        """Let go of the file or the connection."""
        self._store.close()
