"""Writes STATE messages: after lists as the schedule has it, and marks before the rows of some."""

from __future__ import annotations

import typing as t

from singer_sdk.singerlib.messages import StateMessage

from tap_zoho_campaigns_recipients.singer.state_schedule import StateSchedule
from tap_zoho_campaigns_recipients.sync import bookmarks

if t.TYPE_CHECKING:
    from tap_zoho_campaigns_recipients.singer.message_writer import MessageWriter
    from tap_zoho_campaigns_recipients.sync.scheduler import Scheduler
    from tap_zoho_campaigns_recipients.zoho.clock import Clock


class StateWriter:
    """Writes the state of a run."""

    def __init__(
        self,
        state: bookmarks.State,
        message_writer: MessageWriter,
        clock: Clock,
        *,
        is_in_batches: bool,
    ) -> None:
        """Write nothing yet.

        Args:
            state: The state, which the run changes.
            message_writer: Writes the messages.
            clock: The time.
            is_in_batches: Whether rows are safe only when their BATCH was written.
        """
        self.state = state
        self.scheduler: Scheduler | None = None
        """The run, as soon as there is one."""
        self._writer = message_writer
        self._clock = clock
        self._is_in_batches = is_in_batches
        self._delivered = bookmarks.copy_of(state)
        """The state after the last BATCH."""
        self._has_changed = False
        self._schedule = StateSchedule()

    def begin(self) -> None:
        """Start the clock of the schedule."""
        self._schedule.begin(self._clock.monotonic())

    def write_if_due(self) -> None:
        """Write a STATE if it has changed and is worth its bytes.

        If the SDK writes batches, only it knows when rows are safe, and asks at these times.
        """
        if self._has_changed and (self._is_in_batches or self._is_due()):
            self._has_changed = False
            self._write()

    def state_changed(self) -> None:
        """Write a STATE after a list, except where the SDK decides because it writes batches."""
        self._has_changed = True
        self._schedule.lists_since += 1
        if not self._is_in_batches:
            self.write_if_due()

    def readings_marked(self) -> None:
        """Write a STATE that marks readings before their first rows.

        In BATCH mode, rows of other lists may wait for their BATCH: the STATE has the marks, and
        otherwise what it had after the last BATCH.
        """
        if not self._is_in_batches:
            self._write()
            return
        bookmarks.copy_marks(self.state, self._delivered)
        self._writer.write_message(StateMessage(value=bookmarks.save(self._delivered)))

    def last_message(self) -> StateMessage:
        """Return the last STATE of the run."""
        if self.scheduler is not None:
            self.scheduler.compact(is_last=True)
        return StateMessage(value=bookmarks.save(self.state))

    def _write(self) -> None:
        self._schedule.state_written(self._clock.monotonic())
        if self.scheduler is not None:
            self.scheduler.compact()
        self._writer.write_message(StateMessage(value=bookmarks.save(self.state)))
        if self._is_in_batches:
            self._delivered = bookmarks.copy_of(self.state)

    def _is_due(self) -> bool:
        return self.scheduler is None or self._schedule.is_due(
            self._clock.monotonic(),
            lists=self.scheduler.lists,
            expected_rows=self.scheduler.expected_rows,
            written=self._writer.written_bytes,
            last_state=self._writer.last_state_bytes,
        )
