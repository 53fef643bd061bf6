"""The base of all streams: what the Singer SDK does otherwise, and why.

The overrides were written for singer-sdk 0.54 and are checked against the installed version by
`tests/documents/test_sdk_hooks.py`.
"""

from __future__ import annotations

import typing as t
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from singer_sdk import SchemaDirectory, Stream, StreamSchema
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.mapper import SameRecordTransform
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE

from tap_zoho_campaigns_recipients.singer.exit_codes import UnusableSettings
from tap_zoho_campaigns_recipients.singer.sdk_settings import failed_expression
from tap_zoho_campaigns_recipients.sync.selected_stream import SelectedStream
from tap_zoho_campaigns_recipients.zoho.errors import TapError, quoted

if t.TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from datetime import datetime
    from importlib.resources.abc import Traversable

    from singer_sdk.helpers._batch import BaseBatchFileEncoding, BatchConfig
    from singer_sdk.helpers.types import Context, Record
    from singer_sdk.singerlib import Catalog, RecordMessage

    from tap_zoho_campaigns_recipients.singer.message_writer import MessageWriter
    from tap_zoho_campaigns_recipients.sync.bookmarks import StreamState
    from tap_zoho_campaigns_recipients.sync.scheduler import Scheduler
    from tap_zoho_campaigns_recipients.sync.selected_stream import Content


def _schemas() -> Traversable:
    """Return the folder of schema files: in the package, or beside it in a checkout."""
    packaged = files("tap_zoho_campaigns_recipients") / "schemas"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "schemas"


class StreamMapFailed(TapError):
    """An expression of `stream_maps` cannot be applied to a record."""

    def __init__(self, stream: str, error: Exception) -> None:
        """Describe the failure without any text of the record.

        Args:
            stream: The name of the stream.
            error: What was raised. Its text may quote the record.
        """
        expression = failed_expression(error)
        which = f'the expression "{expression}"' if expression else "an expression"
        super().__init__(
            f"stream_maps: {which} failed on a record of {stream} ({type(error).__name__}): change "
            "it so that it fits every record"
        )


class BatchNotWritten(TapError):
    """A file that `batch_config` asks for cannot be written; its rows are not delivered."""

    advice = "Check batch_config, and that its storage can be written to"

    def __init__(self, stream: str, error: OSError | ImportError) -> None:
        """Describe the failure.

        Args:
            stream: The name of the stream.
            error: The exception. The text of an `OSError` may have the address of the storage.
        """
        reason = error.strerror if isinstance(error, OSError) else str(error)
        super().__init__(
            f"A batch of {stream} could not be written: {quoted(reason or type(error).__name__)}"
        )


class RunningTap(t.Protocol):
    """What a stream needs of its tap."""

    message_writer: MessageWriter

    @property
    def scheduler(self) -> Scheduler:
        """The run over all selected streams."""

    def selected_stream(self, stream_name: str) -> SelectedStream:
        """Return a stream as the scheduler knows it."""

    def time_extracted(self, record: Record) -> datetime:
        """Return when a record was extracted, which is not before its list was read."""

    def stop_run(self, error: TapError) -> None:
        """Let the run end with this error."""

    def take_back(self, stream_name: str, rows: int) -> None:
        """Count so many rows of a stream as not delivered after all."""

    def write_state(self) -> None:
        """Write a STATE if it has changed and is worth its bytes."""


class BaseStream(Stream):
    """A stream that is read in one pass over all campaigns, and whose state the tap keeps.

    The SDK's own state is not used: it searches the bookmark of a campaign for every record, never
    removes a bookmark, and compares times as text.
    """

    schema: t.ClassVar[StreamSchema[str]] = StreamSchema(SchemaDirectory(_schemas()))
    replication_key: t.ClassVar[str | None]
    content: t.ClassVar[Content]
    """What the records are made of."""
    action: t.ClassVar[str | None] = None
    """Zoho's name of the recipient action, for streams that are made of a list."""
    # The records fit the schema already. Replaces the conversion of every value.
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE

    _tap: RunningTap  # type: ignore[assignment]

    def selection(self, state: StreamState | None) -> SelectedStream:
        """Return the stream as the scheduler knows it.

        Args:
            state: The state of the stream.
        """
        return SelectedStream(
            self.name,
            self.content,
            self.schema["properties"],
            state if self.keeps_state else None,
            self.action,
        )

    @property
    def keeps_state(self) -> bool:
        """Whether bookmarks are used; not if the catalog chooses FULL_TABLE."""
        return self.replication_method != REPLICATION_FULL_TABLE

    @property
    def partitions(self) -> None:
        """None, so that the SDK makes one pass. Replaces one pass, with a STATE, per campaign."""
        return

    def get_records(self, context: Context | None) -> Iterator[Record]:
        """Yield the records of the stream, read by itself.

        An error that stops the run is kept for the last line of the log. The records just end here,
        so that the SDK writes no traceback.
        """
        del context
        try:
            yield from self._tap.scheduler.records(self._tap.selected_stream(self.name))
        except TapError as error:
            self._tap.stop_run(error)

    def begin(self) -> None:
        """Write what precedes the records.

        Replaces (together with `writing`) `sync`, which writes the SCHEMA of a stream only after
        all records of the streams before it.
        """
        self.log("Beginning sync of '%s' in %s mode", self.name, self.replication_method.lower())
        self._write_schema_message()
        if not self.keeps_state and self.emit_activate_version_messages:
            self._stream_version = self._initialized_at // 1000
            self._write_activate_version_message(self._stream_version)

    @contextmanager
    def writing(self) -> Iterator[Callable[[Sequence[Record]], None]]:
        """Give what writes records of the stream, and counts them in its metrics.

        Records that the SDK would not change go directly to the writer: their preparation for
        child streams, stream maps and selection costs more than everything else that is done.
        """
        passes_as_is, name = self._passes_as_is, self.name
        write_record = self._tap.message_writer.write_record
        with self.get_record_counter() as counter, self.get_sync_timer():

            def write(records: Sequence[Record]) -> None:
                written = 0
                try:
                    for record in records:
                        if passes_as_is:
                            write_record(name, record)
                        else:
                            self._write_record_message(record)
                        written += 1
                finally:
                    counter.increment(written)
                    if written < len(records):
                        self._tap.take_back(name, len(records) - written)

            yield write

    def apply_catalog(self, catalog: Catalog) -> None:
        """Take the catalog. If it has the schema of another version, fit the records to it.

        Replaces nothing; adds the conversion that `TYPE_CONFORMANCE_LEVEL` switches off.
        """
        super().apply_catalog(catalog)
        if self.effective_schema["properties"].keys() != self.schema["properties"].keys():
            self.TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.RECURSIVE

    def check_batches(self) -> None:
        """Refuse what the SDK would ignore in batch files, where it writes records as they are.

        Raises:
            UnusableSettings: What is deselected, mapped or flattened would be in the files.
        """
        config = self.config
        encoding = (config.get("batch_config") or {}).get("encoding") or {}
        problems = {
            "stream_maps": any(type(each) is not SameRecordTransform for each in self.stream_maps),
            "flattening_enabled": any(each.flattening_enabled for each in self.stream_maps),
            "deselected fields": not all(self.mask.values()),
            "another schema in the catalog": (
                self.TYPE_CONFORMANCE_LEVEL is not TypeConformanceLevel.NONE
            ),
            "a compression other than gzip": encoding.get("compression", "gzip") != "gzip",
            "a format other than jsonl": encoding.get("format", "jsonl") != "jsonl",
        }
        for name, is_used in problems.items():
            if is_used:
                raise UnusableSettings(
                    f"batch_config cannot be combined with {name} ({self.name}): leave one out"
                )

    @property
    def _passes_as_is(self) -> bool:
        """Whether records are written as they are: complete, not mapped, not flattened."""
        return (
            self._stream_version is None
            and self.TYPE_CONFORMANCE_LEVEL is TypeConformanceLevel.NONE
            and all(self.mask.values())
            and [type(stream_map) for stream_map in self.stream_maps] == [SameRecordTransform]
            and not self.stream_maps[0].flattening_enabled
        )

    def _sync_records(
        self, context: Context | None = None, *, write_messages: bool = True
    ) -> Generator[dict[str, t.Any], t.Any, t.Any]:
        """Yield the records. Replaces (private hook) the traceback of a map that fails."""
        try:
            yield from super()._sync_records(context, write_messages=write_messages)
        except StreamMapFailed as error:
            self._tap.stop_run(error)

    def get_batches(
        self, batch_config: BatchConfig, context: Context | None = None
    ) -> Iterator[tuple[BaseBatchFileEncoding, list[str]]]:
        """Yield the batches. Replaces the traceback if a batch cannot be written."""
        try:
            yield from super().get_batches(batch_config, context)
        except (OSError, ImportError) as error:
            self._tap.stop_run(BatchNotWritten(self.name, error))

    def _generate_record_messages(self, record: Record) -> Generator[RecordMessage, None, None]:
        """Yield the messages of a record.

        Replaces (private hook) the traceback, with the record in it, of an expression that fails,
        and the time of writing as the time of extraction.

        Raises:
            StreamMapFailed: An expression of the user cannot be applied to the record.
        """
        extracted = self._tap.time_extracted(record)
        try:
            for message in super()._generate_record_messages(record):
                message.time_extracted = extracted
                yield message
        except Exception as error:
            if not self.config.get("stream_maps"):
                raise
            raise StreamMapFailed(self.name, error) from None

    def get_replication_key_signpost(self, context: Context | None = None) -> None:
        """Return no signpost, because the tap keeps the bookmarks."""

    def _write_starting_replication_value(self, context: Context | None) -> None:
        """Do nothing. Replaces (private hook) what an interrupted run leaves in the state."""

    def _increment_stream_state(
        self, latest_record: Record, *, context: Context | None = None
    ) -> None:
        """Do nothing. Replaces (private hook) the linear search for a bookmark per record."""

    def _write_state_message(self) -> None:
        """Write the state of the tap. Replaces (private hook) that of the SDK, at the same time."""
        self._tap.message_writer.flush()
        self._tap.write_state()
