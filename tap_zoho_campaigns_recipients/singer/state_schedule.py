"""When a STATE goes out: often where it is cheap, and so seldom that all of them stay small."""

from __future__ import annotations

STATE_SHARE = 28
"""All STATE messages together are likely to be less than this part of the output: a STATE goes out
after every list if lists are long, otherwise after several lists …"""
LIST_BYTES = 300
ROW_BYTES = 900
"""(a list takes about so much in a STATE, a row so much in the output) …"""
FEWEST_SECONDS, MOST_SECONDS = 10, 300
"""… and in a slow run after so many seconds: as many as keep these to a third of such a part, but
no more than the period of Zoho's limit."""


class StateSchedule:
    """Decides when a STATE is worth its bytes."""

    def __init__(self) -> None:
        """Start before the first list."""
        self.lists_since = 0
        """The number of lists that were finished since the last STATE."""
        self._began_at = self._written_at = 0.0

    def begin(self, now: float) -> None:
        """Start the clock.

        Args:
            now: Monotonic seconds, as in the other methods.
        """
        self._began_at = self._written_at = now

    def state_written(self, now: float) -> None:
        """Record that a STATE went out."""
        self.lists_since = 0
        self._written_at = now

    def is_due(
        self, now: float, *, lists: int, expected_rows: float, written: int, last_state: int
    ) -> bool:
        """Whether a STATE may go out.

        Args:
            now: Monotonic seconds.
            lists: The number of lists that this run may read.
            expected_rows: The estimated number of rows in them.
            written: The bytes of output so far.
            last_state: The bytes of the last STATE.
        """
        output_bytes = max(written, expected_rows * ROW_BYTES)
        # States grow from nothing to the last one: so many take half of its bytes each.
        most_states = 2 * (output_bytes / STATE_SHARE / max(lists * LIST_BYTES, 1) - 1)
        if self.lists_since * most_states >= lists:
            return True
        new_bytes = last_state + self.lists_since * LIST_BYTES
        bytes_per_second = written / max(now - self._began_at, 1)
        worth_seconds = 3 * new_bytes * STATE_SHARE / max(bytes_per_second, 1)
        return now - self._written_at >= min(max(FEWEST_SECONDS, worth_seconds), MOST_SECONDS)
