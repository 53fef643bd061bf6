"""The base of the tap: what the Singer SDK does otherwise, and why.

The overrides were written for singer-sdk 0.54 and are checked against the installed version by
`tests/documents/test_sdk_hooks.py`.
"""

from __future__ import annotations

import logging
import os
import signal
import typing as t
from contextlib import ExitStack
from datetime import UTC, datetime

import click
from singer_sdk.tap_base import CliTestOptionValue

from tap_zoho_campaigns_recipients.singer.base_stream import BatchNotWritten
from tap_zoho_campaigns_recipients.singer.configured_tap import ConfiguredTap
from tap_zoho_campaigns_recipients.singer.exit_codes import (
    Shutdown,
    closed_on_error,
    expected_errors,
)
from tap_zoho_campaigns_recipients.singer.files import (
    is_catalog,
    json_object,
    prepare_catalog,
)
from tap_zoho_campaigns_recipients.singer.logs import keep_sdk_for_debug, name_streams_in_metrics
from tap_zoho_campaigns_recipients.singer.message_writer import MessageWriter
from tap_zoho_campaigns_recipients.singer.state_writer import StateWriter
from tap_zoho_campaigns_recipients.sync import bookmarks
from tap_zoho_campaigns_recipients.sync.live_line import LOG_CONFIG_VARIABLE
from tap_zoho_campaigns_recipients.sync.selected_stream import Content
from tap_zoho_campaigns_recipients.sync.summary import Summary
from tap_zoho_campaigns_recipients.zoho.clock import Clock
from tap_zoho_campaigns_recipients.zoho.errors import TapError

if t.TYPE_CHECKING:
    from types import FrameType

    from singer_sdk.plugin_base import _ConfigInput

    from tap_zoho_campaigns_recipients.singer.base_stream import BaseStream
    from tap_zoho_campaigns_recipients.sync.scheduler import Scheduler
    from tap_zoho_campaigns_recipients.sync.selected_stream import SelectedStream


class BaseTap(ConfiguredTap):
    """A tap whose run is one scheduler over all streams, with a state of its own."""

    message_writer_class = MessageWriter

    clock_class: type[Clock] = Clock
    """Tells the time and waits; replaced in tests."""

    message_writer: MessageWriter
    _run_state: StateWriter

    def __init__(self, **options: t.Any) -> None:  # noqa: ANN401 - the SDK's own
        """Check settings and state; send no request.

        Args:
            **options: As for the SDK's `Tap`.

        Raises:
            ConfigValidationError: With one line for each setting that is wrong.
            StateRefused: The state is not one of this tap.
        """
        self.clock = self.clock_class()
        self._scheduler: Scheduler | None = None
        self._error: TapError | None = None
        self._is_over = False
        super().__init__(**options)
        if LOG_CONFIG_VARIABLE not in os.environ and self.metrics_logger.level == logging.INFO:
            # Metrics are for machines, which read structured logs; people have the summary.
            self.metrics_logger.setLevel(logging.WARNING)

    # What the tap defines

    def new_scheduler(self) -> Scheduler:
        """Return a new run over all selected streams."""
        raise NotImplementedError

    def connection_report(self, scheduler: Scheduler) -> str:
        """Describe what a test of the connection has shown."""
        raise NotImplementedError

    # State

    def load_state(self, state: dict[str, t.Any]) -> None:
        """Read the state. Replaces the SDK's state, which the streams do not use.

        Raises:
            StateRefused: It is not one of this tap.
        """
        keys = {
            stream.name: stream.replication_key
            for stream in self.discover_streams()
            if isinstance(stream.replication_key, str)
        }
        self._run_state = StateWriter(
            bookmarks.load(state, keys),
            self.message_writer,
            self.clock,
            is_in_batches=bool(self.config.get("batch_config")),
        )

    def write_state(self) -> None:
        """Write a STATE if it is due."""
        self._run_state.write_if_due()

    # The run

    @property
    def scheduler(self) -> Scheduler:
        """The run over all selected streams. Its first use finds the campaigns.

        Raises:
            TapError: They cannot be found.
        """
        if self._scheduler is None:
            scheduler = self._scheduler = self.new_scheduler()
            self._run_state.scheduler = scheduler
            scheduler.on_state_change = self._run_state.state_changed
            scheduler.on_mark = self._run_state.readings_marked
            scheduler.on_idle = self.message_writer.check
            scheduler.discover()
        return self._scheduler

    def selected_stream(self, stream_name: str) -> SelectedStream:
        """Return a stream as the scheduler knows it."""
        return next(each for each in self.scheduler.streams if each.name == stream_name)

    def time_extracted(self, record: t.Mapping[str, t.Any] | None = None) -> datetime:
        """Return when a record was extracted: now by Zoho's clock, not before its list was read."""
        ahead = self._scheduler.window.ahead_seconds if self._scheduler else 0.0
        now = datetime.fromtimestamp(self.clock.time() + ahead, UTC)
        read_at = record.get("list_read_at") if record else None
        return max(now, datetime.fromisoformat(read_at)) if read_at else now

    def stop_run(self, error: TapError) -> None:
        """Let the run end with this error, after its state and summary."""
        self._error = self._error or error

    def take_back(self, stream_name: str, rows: int) -> None:
        """Count so many rows of a stream as not delivered after all."""
        self.scheduler.summary.rows[stream_name] -= rows

    def sync_all(self) -> None:  # type: ignore[misc]
        """Read all selected streams.

        Replaces a method that is marked final for type checkers. The SDK's has no place for reading
        on after a campaign has failed, nor for a last STATE and a summary before the error.

        Raises:
            TapError: The run has failed; what it finished is in the state.
            Shutdown: It was ended from outside.
        """
        ended: BaseException | None = None
        try:
            self._sync()
        except TapError as problem:
            self.stop_run(problem)
        except (Shutdown, Exception) as reason:  # noqa: BLE001 - it is raised again below
            ended = reason
        finally:
            # No request is sent or waited for any more, and no thread logs a line.
            self.clock.stop()
            if self._scheduler is not None:
                self._scheduler.stop()
        scheduler, error = self._scheduler, self._error
        if scheduler is not None and ended is None and error is None:
            error = scheduler.failure()
            scheduler.drop_gone()
        # Rows in an unfinished batch are lost if the run is cut off, or if the batch cannot be
        # written: then only the STATE after the last BATCH holds.
        is_cut = ended is not None or isinstance(error, BatchNotWritten)
        is_in_batch = is_cut and bool(self.config.get("batch_config"))
        state = None if is_in_batch else self._run_state.last_message()
        is_whole = self.message_writer.close(state)
        has_failed = ended is not None or error is not None
        if scheduler is not None:
            scheduler.log_summary(has_failed=has_failed)
            scheduler.close()
        else:
            self.logger.info(
                "%s", Summary().line(refused=0, calls={}, waited_seconds=0, has_failed=has_failed)
            )
        self._is_over = True
        if ended is not None and not is_whole:
            self.logger.warning("The reader did not take the last lines: the state was not written")
        if ended or error:
            raise t.cast("BaseException", ended or error)

    def _sync(self) -> None:
        streams = t.cast("t.Iterable[BaseStream]", self.streams.values())
        # `list_readings` is last: in BATCH mode it has what the others read.
        selected = sorted(
            (stream for stream in streams if stream.selected),
            key=lambda stream: stream.content is Content.READINGS,
        )
        if not selected:
            self.logger.warning(
                "No stream is selected, so nothing is read: select some in the catalog, or with "
                "meltano select"
            )
            return
        if self.config.get("batch_config"):
            for stream in selected:
                stream.check_batches()
        self.logger.info("Reading %s", ", ".join(stream.name for stream in selected))
        self._run_state.begin()
        found = f"Found {len(self.scheduler.campaigns)} campaigns"
        why = self.scheduler.why_empty
        self.logger.info("%s", f"{found}. {why}" if why else found)
        if self.config.get("batch_config"):
            for stream in selected:
                stream.sync()
                if self._error is not None:
                    return
                self.write_state()
            return
        for stream in selected:
            stream.begin()
        with ExitStack() as stack:
            write = {stream.name: stack.enter_context(stream.writing()) for stream in selected}
            for target, records in self.scheduler.deliveries():
                if records:
                    self.message_writer.extracted_at = self.time_extracted(records[0])
                    write[target.name](records)

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        """End the run after a signal.

        Replaces (private hook) exit code 0, and a STATE that is written from the signal handler, in
        the middle of whatever line is being written.
        """
        del frame
        reason = Shutdown(f"Ended by {signal.Signals(signum).name}", 128 + signum)
        if self._scheduler is None or self._is_over:
            raise reason
        self.message_writer.end(reason)
        self._scheduler.interrupt(reason)

    # Command line

    @classmethod
    def get_singer_command(cls) -> click.Command:
        """Return the command.

        Adds a filter (the SDK's own lines are for DEBUG), and says what `--test` does here.
        """
        keep_sdk_for_debug()
        name_streams_in_metrics()
        command = super().get_singer_command()
        for option in command.params:
            if isinstance(option, click.Option) and option.name == "test":
                option.help = (
                    "Read the list of campaigns, say whether credentials and settings work, and "
                    "end. With --test=schema write the SCHEMA messages, with --test=records a "
                    "record of each stream."
                )
        return command

    @classmethod
    def cb_discover(cls, ctx: click.Context, param: click.Option, value: bool) -> None:  # noqa: FBT001 - the SDK's own
        """Write the catalog. Replaces the traceback if `.env` cannot be read."""
        with expected_errors(cls.logger), closed_on_error(ctx):
            super().cb_discover(ctx, param, value)

    @classmethod
    def cb_test(cls, ctx: click.Context, param: click.Option, value: str) -> None:
        """Test the connection in words. Replaces reading a record of each stream."""
        with expected_errors(cls.logger), closed_on_error(ctx):
            if value != CliTestOptionValue.All.value:
                super().cb_test(ctx, param, value)
                return
            config = ctx.params["config"]
            tap = cls(config=config.config, parse_env_config=config.parse_env)
            scheduler = tap._scheduler = tap.new_scheduler()
            scheduler.discover(is_test=True)
            cls.logger.info(tap.connection_report(scheduler))
        ctx.exit()

    @classmethod
    def invoke(  # type: ignore[override]
        cls,
        *,
        about: bool = False,
        about_format: str | None = None,
        config: _ConfigInput | None = None,
        state: t.IO[str] | None = None,
        catalog: t.IO[str] | None = None,
    ) -> None:
        """Run the tap. Replaces tracebacks of expected failures by one line and an exit code."""
        with expected_errors(cls.logger):
            super().invoke(
                about=about,
                about_format=about_format,
                config=config,
                state=json_object(state, "state"),
                catalog=json_object(catalog, "catalog", is_catalog, prepare_catalog),
            )
