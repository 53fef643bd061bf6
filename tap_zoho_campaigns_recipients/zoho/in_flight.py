"""How many requests are in flight at once, and fewer if Zoho says that these are too many."""

from __future__ import annotations

import threading
import typing as t
from contextlib import contextmanager

from tap_zoho_campaigns_recipients.zoho.clock import Stopped

if t.TYPE_CHECKING:
    from collections.abc import Iterator


class InFlight:
    """Bounds the requests that are in flight, over all endpoints."""

    def __init__(self, most: int) -> None:
        """Start with the setting.

        Args:
            most: `max_parallel_requests`.
        """
        self._condition = threading.Condition()
        self._most = most
        self._is_closed = False
        self.count = 0
        """The requests whose responses are awaited."""

    @contextmanager
    def one_more(self) -> Iterator[int]:
        """Wait until there is room for a request, and count it; gives the bound at that time.

        Raises:
            Stopped: The run has ended.
        """
        with self._condition:
            while self.count >= self._most and not self._is_closed:
                self._condition.wait()
            if self._is_closed:
                raise Stopped
            self.count += 1
            most = self._most
        try:
            yield most
        finally:
            with self._condition:
                self.count -= 1
                self._condition.notify_all()

    def halve(self, most: int) -> bool:
        """Let half as many requests be in flight for the rest of the run.

        Args:
            most: The bound when the request was sent that there was no room for. If it is lower by
                now, another request has had the same response.

        Returns:
            Whether the bound is lower than that.
        """
        with self._condition:
            if self._most == most:
                self._most = max(most // 2, 1)
            return self._most < most

    def close(self) -> None:
        """Let no request be sent any more."""
        with self._condition:
            self._is_closed = True
            self._condition.notify_all()
