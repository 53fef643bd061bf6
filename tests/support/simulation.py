"""Time for runs with several requests in flight, as a test sets it."""

from __future__ import annotations

import threading

from tap_zoho_campaigns_recipients.zoho.clock import Clock

BEGIN = 1_790_000_000.0
PATIENCE_S = 0.02


class Simulation(Clock):
    """Time that stands still while anybody works, and then goes on to the next who wakes.

    The threads of run and sandbox sleep by it, so that what happens does not depend on how fast
    the machine is.
    """

    def __init__(self, sleepers: int, now: float = BEGIN) -> None:
        """Begin.

        Args:
            sleepers: So many must sleep before time goes on; but where nobody has gone to sleep or
                woken for a while it goes on as well, for some may have nothing to do.
            now: When to begin, in epoch seconds.
        """
        super().__init__()
        self._now = now
        self._sleepers = sleepers
        self._wakes: list[float] = []
        self._changed = threading.Condition()
        self._told = threading.local()

    def time(self) -> float:
        self._told.time = self._now
        return self._now

    def monotonic(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        """Sleep from the moment that this thread was told last: then it decided to."""
        with self._changed:
            wakes = getattr(self._told, "time", self._now) + seconds
            self._wakes.append(wakes)
            self._changed.notify_all()
            try:
                self._sleep_until(wakes)
            finally:
                self._wakes.remove(wakes)

    def _sleep_until(self, wakes: float) -> None:
        while self._now < wakes:
            self.check()
            asleep = [each for each in self._wakes if each > self._now]
            if len(asleep) >= self._sleepers or not self._changed.wait(PATIENCE_S):
                self._now = max(self._now, min(asleep))
                self._changed.notify_all()

    def stop(self) -> None:
        super().stop()
        with self._changed:
            self._changed.notify_all()

    def fresh(self) -> Simulation:
        """Return a running clock that goes on from here: a run stops the one it had."""
        return Simulation(self._sleepers, self._now)
