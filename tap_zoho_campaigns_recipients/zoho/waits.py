"""How long requests of a run were held back by the limit, by locks and between retries."""

from __future__ import annotations

import threading
import typing as t
from collections import deque

if t.TYPE_CHECKING:
    from tap_zoho_campaigns_recipients.zoho.clock import Clock

MOST_WAITS = 1_000
"""So many of the latest waits are kept: no wait that is still going on began before them."""


class Waits:
    """The waits of all threads, without counting the same second twice."""

    def __init__(self, clock: Clock) -> None:
        """Start without any wait.

        Args:
            clock: The time.
        """
        self._clock = clock
        self._lock = threading.Lock()
        self._latest: deque[tuple[float, float]] = deque()
        """When the latest waits began and ended, without overlaps."""
        self._before_seconds = 0.0

    @property
    def total_seconds(self) -> float:
        """How long at least one request was held back."""
        with self._lock:
            return self._before_seconds + sum(end - begin for begin, end in self._latest)

    def note(self, seconds: float) -> None:
        """Record a wait that has just ended, together with those that went on beside it."""
        with self._lock:
            end = self._clock.monotonic()
            begin = end - seconds
            while self._latest and self._latest[-1][1] >= begin:
                begin = min(self._latest.pop()[0], begin)
            self._latest.append((begin, end))
            if len(self._latest) > MOST_WAITS:
                begin, end = self._latest.popleft()
                self._before_seconds += end - begin
