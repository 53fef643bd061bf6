"""The time and waiting, handed to whatever needs them so that a test can set both."""

from __future__ import annotations

import threading
import time


class Stopped(BaseException):
    """The run is ending: raised in a thread that waits, or wants to, after `Clock.stop`.

    Not an `Exception`, so that no retry takes it for a failed request.
    """


class Clock:
    """The machine's clock, and sleeps that end as soon as the run does."""

    def __init__(self) -> None:
        """Start as a clock that runs."""
        self._stopped = threading.Event()

    def time(self) -> float:
        """Return the seconds since 1970 in UTC."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that only ever grow, for measuring how long something took."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait.

        Args:
            seconds: How long; nothing happens for zero and below.

        Raises:
            Stopped: When the run was ended before or during the wait.
        """
        if self._stopped.wait(max(seconds, 0)):
            raise Stopped

    def stop(self) -> None:
        """End every wait, now and from now on."""
        self._stopped.set()

    def check(self) -> None:
        """Go on only while the run does.

        Raises:
            Stopped: When the run was ended.
        """
        if self._stopped.is_set():
            raise Stopped
