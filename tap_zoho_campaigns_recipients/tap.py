"""The tap: settings, streams, one run over them, and how it ends."""

from __future__ import annotations

import hashlib
import logging
import os
import signal
import typing as t
from pathlib import Path
from urllib.parse import urlsplit

import click
from singer_sdk import Tap
from singer_sdk.exceptions import ConfigValidationError, MappingError
from singer_sdk.helpers._classproperty import classproperty
from singer_sdk.plugin_base import JSONSchemaValidator
from singer_sdk.singerlib.messages import StateMessage
from singer_sdk.tap_base import CliTestOptionValue

from tap_zoho_campaigns_recipients import bookmarks
from tap_zoho_campaigns_recipients.auth import credentials
from tap_zoho_campaigns_recipients.client import Client
from tap_zoho_campaigns_recipients.clock import Clock
from tap_zoho_campaigns_recipients.ends import Ended, closed_on_error, expected_errors
from tap_zoho_campaigns_recipients.errors import TapError, quoted
from tap_zoho_campaigns_recipients.files import (
    choose_methods,
    config_file_problem,
    dot_env,
    is_catalog,
    json_object,
)
from tap_zoho_campaigns_recipients.limiter import Limiter
from tap_zoho_campaigns_recipients.logs import keep_sdk_for_debug, keep_secrets_out
from tap_zoho_campaigns_recipients.parallel import Workers
from tap_zoho_campaigns_recipients.plans import StreamPlan
from tap_zoho_campaigns_recipients.progress import LOG_CONFIG_VARIABLE
from tap_zoho_campaigns_recipients.run import Run
from tap_zoho_campaigns_recipients.settings import (
    JSON_SCHEMA,
    Settings,
    environment_values,
    problems,
    schema_problem,
    value_from_text,
    without_blanks,
)
from tap_zoho_campaigns_recipients.streams import STREAMS, BatchNotWritten, PlannedStream
from tap_zoho_campaigns_recipients.summary import Summary
from tap_zoho_campaigns_recipients.transport import Transport
from tap_zoho_campaigns_recipients.writer import LineWriter

if t.TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from singer_sdk.plugin_base import _ConfigInput

    from tap_zoho_campaigns_recipients.streams import ZohoStream

STATE_SHARE = 28
"""A STATE goes out after so many lists that all of them together are likely to be less than this
part of the run's output: with every list where lists are long …"""
LIST_BYTES = 300
ROW_BYTES = 900
"""(a list takes about so much in a STATE, a row in the output) …"""
FEWEST_SECONDS, MOST_SECONDS = 10, 300
"""… and in a slow run after so many seconds: as keeps these to a third of such a part, but no more
than Zoho's limit is counted over."""


class TapZohoCampaignsRecipients(Tap):
    """Who was sent, opened, clicked, bounced, opted out of or reported each Zoho campaign."""

    name = "tap-zoho-campaigns-recipients"
    package_name = "tap-zoho-campaigns-recipients"
    config_jsonschema: t.ClassVar[dict[str, t.Any]] = JSON_SCHEMA
    message_writer_class = LineWriter

    clock_class: type[Clock] = Clock
    """What tells the time and waits; another one in tests."""

    message_writer: LineWriter

    def __init__(self, **options: t.Any) -> None:  # noqa: ANN401 - the SDK's own
        """Check settings and state; ask nothing yet.

        Args:
            **options: As of the SDK's `Tap`.

        Raises:
            ConfigValidationError: With one line for each setting that is wrong.
            StateRefused: Where the state is not one of this tap.
        """
        if isinstance(options.get("config"), dict):
            options["config"] = without_blanks(options["config"])
        self.clock = self.clock_class()
        self._run: Run | None = None
        self._workers: Workers | None = None
        self._limiter: Limiter | None = None
        self._is_over = False
        self._stopped_by: TapError | None = None
        self._states: dict[str, bookmarks.StreamState] = {}
        self._halves: bookmarks.Halves = {}
        self._state_is_new = False
        self._lists_since_state = 0
        self._state_at = self._began_at = 0.0
        super().__init__(**options)
        if LOG_CONFIG_VARIABLE not in os.environ and self.metrics_logger.level == logging.INFO:
            # They are for machines, which read structured logs; people have the summary.
            self.metrics_logger.setLevel(logging.WARNING)

    # Settings

    @classproperty
    def _env_var_config(cls) -> dict[str, t.Any]:  # noqa: N805 - as the SDK has it
        """Settings from the environment, and below it from `.env` in the working folder.

        Read as `without_blanks` and `problems` expect them. The SDK reads numbers with `int`,
        which ends in a traceback for anything else, and looks for a `.env` in all folders above.
        """
        schema = cls.config_jsonschema
        cls.append_builtin_config(schema)
        file = dot_env(Path.cwd() / ".env")
        values: dict[str, t.Any] = {}
        for name, text in environment_values(
            list(schema["properties"]), cls._env_var_prefix, {**file, **os.environ}
        ).items():
            values[name] = value_from_text(text, schema["properties"][name].get("type", []))
        return without_blanks(values)

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        """Check the settings; no error holds a value, for it may be a secret."""
        schema = self.config_jsonschema
        self.append_builtin_config(schema)
        self._config = without_blanks(self._config)
        errors = sorted(
            {
                schema_problem(error)
                for error in JSONSchemaValidator(schema).iter_errors(self._config)
            }
        )
        if not errors:
            errors = problems(self._config)
        if errors and raise_errors:
            msg = "Config validation failed"
            raise ConfigValidationError(msg, errors=errors, schema=schema)
        return errors

    def setup_mapper(self) -> None:
        """Prepare stream maps and flattening: only here it shows whether they fit the streams.

        Raises:
            ConfigValidationError: Where they do not.
        """
        try:
            super().setup_mapper()
        except (MappingError, NotImplementedError, ValueError) as error:
            # Flattening has no errors of its own: names that become the same are a `ValueError`.
            what = "flattening" if isinstance(error, ValueError) else "stream_maps"
            msg = "Config validation failed"
            line = f"{what} cannot be used: {quoted(str(error))}"
            raise ConfigValidationError(msg, errors=[line], schema=self.config_jsonschema) from None

    # Streams and state

    def discover_streams(self) -> Sequence[ZohoStream]:
        """Return all streams; no request is needed."""
        return [stream(self) for stream in STREAMS]

    def load_state(self, state: dict[str, t.Any]) -> None:
        """Read the state.

        Raises:
            StateRefused: Where it is not one of this tap.
        """
        keys = {
            stream.name: stream.replication_key  # type: ignore[misc]
            for stream in STREAMS
            if isinstance(stream.replication_key, str)
        }
        self._states = bookmarks.load(state, keys)
        self._halves = bookmarks.load_halves(state)

    def write_state(self) -> None:
        """Write a STATE if there is news that is worth its bytes.

        Where the SDK writes batches, only it knows when rows are safe: there it always is.
        """
        if not self._state_is_new or not (self.config.get("batch_config") or self._may_write_state):
            return
        self._state_is_new = False
        self._lists_since_state = 0
        self._state_at = self.clock.monotonic()
        self.write_message(StateMessage(value=self._state_value()))

    @property
    def _may_write_state(self) -> bool:
        if self._run is None:
            return True
        writer, run = self.message_writer, self._run
        last_bytes = run.lists * LIST_BYTES
        output_bytes = max(writer.written_bytes, run.expected_rows * ROW_BYTES)
        # States grow from nothing to the last one: so many take half of its bytes each.
        most_states = 2 * (output_bytes / STATE_SHARE / max(last_bytes, 1) - 1)
        now = self.clock.monotonic()
        new_bytes = writer.last_state_bytes + self._lists_since_state * LIST_BYTES
        second_bytes = writer.written_bytes / max(now - self._began_at, 1)
        worth_seconds = 3 * new_bytes * STATE_SHARE / max(second_bytes, 1)
        return self._lists_since_state * most_states >= run.lists or now - self._state_at >= min(
            max(FEWEST_SECONDS, worth_seconds), MOST_SECONDS
        )

    def _state_value(self, *, is_last: bool = False) -> dict[str, t.Any]:
        if self._run is not None:
            self._run.compact(is_last=is_last)
        return bookmarks.save(self._states, self._halves)

    def _list_finished(self) -> None:
        """Write a STATE, but leave it to the SDK where it writes batches."""
        self._state_is_new = True
        self._lists_since_state += 1
        if not self.config.get("batch_config"):
            self.write_state()

    # The run

    @property
    def run(self) -> Run:
        """The run over all selected streams; the first use finds the campaigns.

        Raises:
            TapError: Where they cannot be found.
        """
        if self._run is None:
            self._run = self._new_run()
            self._run.discover()
        return self._run

    def plan(self, stream_name: str) -> StreamPlan:
        """Return the run's part of one stream."""
        return next(plan for plan in self.run.plans if plan.name == stream_name)

    def stop_run(self, error: TapError) -> None:
        """Have the run end with this error, after its state and summary."""
        self._stopped_by = self._stopped_by or error

    def _new_run(self) -> Run:
        settings = Settings.from_config(self.config, f"{self.name}/{self.plugin_version}")
        keep_secrets_out(settings.secrets)
        if settings.limit_warning:
            self.logger.warning(settings.limit_warning)
        transport = Transport(
            user_agent=settings.user_agent,
            timeout_seconds=settings.request_timeout,
        )
        self._limiter = Limiter(
            store=settings.rate_limit_store,
            account=_account(settings),
            calls=settings.rate_limit_calls,
            period_seconds=settings.rate_limit_period,
            clock=self.clock,
            logger=self.logger,
        )
        client = Client(
            settings,
            credentials(settings, transport, self.clock),
            transport,
            self._limiter,
            self.clock,
            self.logger,
        )
        self._workers = Workers(settings.max_parallel_requests)
        plans = [
            StreamPlan(
                name=stream.name,
                properties=stream.schema["properties"],
                state=self._states[stream.name] if stream.keeps_state else None,
                action=stream.action,
                count=stream.count,
                reflected_by=stream.reflected_by,
            )
            for stream in self.streams.values()
            if isinstance(stream, PlannedStream) and stream.selected
        ]
        # Where no stream keeps a state, what it knows of test halves is neither used nor written.
        is_stateless = bool(plans) and all(plan.state is None for plan in plans)
        halves = {} if is_stateless else self._halves
        run = Run(settings, client, self.clock, self.logger, plans, self._workers, halves)
        run.on_list_finished = self._list_finished
        run.on_idle = self.message_writer.check
        return run

    def sync_all(self) -> None:  # type: ignore[misc]
        """Read all selected streams, and end honestly.

        The SDK's own method is marked final; it has no place for reading on after a campaign
        failed, nor for a last STATE and a summary before the error.

        Raises:
            TapError: Where the run failed; what it finished is in the state.
            Ended: Where it was told to end from outside.
        """
        ended: Ended | None = None
        try:
            self._sync()
        except Ended as reason:
            ended = reason
        except TapError as error:
            self.stop_run(error)
        finally:
            self._end_threads()
        failure = self._stopped_by
        if self._run is not None and ended is None and failure is None:
            failure = self._run.failure()
            self._run.forget_gone(self._states.values())
        # Rows that wait in a batch are lost where the run is ended from outside, or where the batch
        # cannot be written: then only the STATE after the last BATCH holds.
        is_cut = ended is not None or isinstance(failure, BatchNotWritten)
        is_in_batch = is_cut and bool(self.config.get("batch_config"))
        state = None if is_in_batch else StateMessage(value=self._state_value(is_last=True))
        is_whole = self.message_writer.close(state)
        if self._run is not None:
            self._run.log_summary()
        else:
            self.logger.info("%s", Summary().line(refused=0, calls={}, waited_seconds=0))
        if self._limiter is not None:
            self._limiter.close()
        self._is_over = True
        if ended is not None:
            if not is_whole:
                self.logger.warning(
                    "The reader did not take the last lines: the state was not written"
                )
            raise ended
        if failure is not None:
            raise failure

    def _end_threads(self) -> None:
        """Have no request sent or waited for any more, and no line logged by one."""
        self.clock.stop()
        if self._workers is not None:
            self._workers.close()
        if self._run is not None:
            self._run.client.close()
            self._run.progress.close()

    def _sync(self) -> None:
        selected = [stream for stream in self.streams.values() if stream.selected]
        if not selected:
            self.logger.warning(
                "No stream is selected, so nothing is read: select some in the catalog, or with "
                "meltano select"
            )
            return
        self.logger.info("Reading %s", ", ".join(stream.name for stream in selected))
        self._state_at = self._began_at = self.clock.monotonic()
        campaigns = self.run.campaigns
        self.logger.info("Found %d campaigns", len(campaigns))
        for stream in selected:
            stream.sync()
            if self._stopped_by is not None:
                return
            self.write_state()

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        """End the run: only say so here, for the main thread may be in the middle of a line."""
        del frame
        reason = Ended(f"Ended by {signal.Signals(signum).name}", 128 + signum)
        if self._workers is None or self._is_over:
            raise reason
        self.message_writer.end(reason)
        self._workers.interrupt(reason)

    def test_connection(self) -> str:
        """Ask for the listing, and say in words what that shows.

        Raises:
            TapError: Where credentials, scope or data center do not fit, or Zoho lists nothing.
        """
        run = self._run = self._new_run()
        run.discover(is_test=True)
        host = urlsplit(run.settings.api_url).netloc
        return (
            f"Credentials, scope and data center are right: {host} shows "
            f"{len(run.campaigns)} campaigns to read"
        )

    # Command line

    @classmethod
    def get_singer_command(cls) -> click.Command:
        """Return the command; the SDK asks for it when it has set up the log."""
        keep_sdk_for_debug()
        return super().get_singer_command()

    @classmethod
    def cb_config(
        cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]
    ) -> _ConfigInput:
        """Read the configuration files; say in a line where one cannot be read."""
        for path in value:
            if path != "ENV" and (problem := config_file_problem(Path(path))):
                msg = f"The configuration file {path} {problem}"
                raise click.ClickException(msg)
        return super().cb_config(ctx, param, value)

    @classmethod
    def cb_discover(cls, ctx: click.Context, param: click.Option, value: bool) -> None:  # noqa: FBT001 - the SDK's own
        """Write the catalog; say in a line where `.env` cannot be read."""
        with expected_errors(cls.logger), closed_on_error(ctx):
            super().cb_discover(ctx, param, value)

    @classmethod
    def cb_test(cls, ctx: click.Context, param: click.Option, value: str) -> None:
        """Test the connection, in words instead of a record of each stream."""
        with expected_errors(cls.logger), closed_on_error(ctx):
            if value != CliTestOptionValue.All.value:
                super().cb_test(ctx, param, value)
                return
            config = ctx.params["config"]
            tap = cls(config=config.config, parse_env_config=config.parse_env)
            cls.logger.info(tap.test_connection())
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
        """Run the tap; an expected failure is one line and an exit code."""
        with expected_errors(cls.logger):
            super().invoke(
                about=about,
                about_format=about_format,
                config=config,
                state=json_object(state, "state"),
                catalog=json_object(catalog, "catalog", is_catalog, choose_methods),
            )


def _account(settings: Settings) -> str:
    """Return what tells accounts apart where calls are counted; no secret can be read from it."""
    identity = settings.client_id or settings.auth_token or ""
    digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
    host = urlsplit(settings.api_url).netloc
    return f"{host}-{digest}" if identity else host
