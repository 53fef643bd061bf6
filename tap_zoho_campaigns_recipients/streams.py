"""The eleven streams."""

from __future__ import annotations

import typing as t
from importlib.resources import files
from pathlib import Path

from singer_sdk import SchemaDirectory, Stream, StreamSchema
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.mapper import SameRecordTransform
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE

from tap_zoho_campaigns_recipients.campaigns import campaign_record
from tap_zoho_campaigns_recipients.errors import TapError, quoted

if t.TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator
    from importlib.resources.abc import Traversable

    from singer_sdk.helpers._batch import BaseBatchFileEncoding, BatchConfig
    from singer_sdk.helpers.types import Context, Record
    from singer_sdk.singerlib import Catalog, RecordMessage

    from tap_zoho_campaigns_recipients.tap import TapZohoCampaignsRecipients


def _schemas() -> Traversable:
    """Return the folder of schema files: in the package, or beside it in a checkout."""
    packaged = files(__package__) / "schemas"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent / "schemas"


class StreamMapFailed(TapError):
    """An expression of `stream_maps` cannot be applied to a record."""

    def __init__(self, stream: str, kind: str) -> None:
        """Say to what.

        Args:
            stream: The stream's name.
            kind: The name of what was raised.
        """
        super().__init__(
            f"stream_maps cannot be applied to {stream} ({kind}): check its expressions, and that "
            "stream_map_config has all that they need"
        )


class BatchNotWritten(TapError):
    """A file of rows that `batch_config` asks for cannot be written; the rows in it are lost."""

    advice = "Check batch_config, and that its storage can be written to"

    def __init__(self, stream: str, error: OSError | ImportError) -> None:
        """Say why.

        Args:
            stream: The stream's name.
            error: What was raised. The text of an `OSError` may hold the address of the storage.
        """
        reason = error.strerror if isinstance(error, OSError) else str(error)
        super().__init__(
            f"A batch of {stream} could not be written: {quoted(reason or type(error).__name__)}"
        )


class ZohoStream(Stream):
    """What all streams share: one pass over all campaigns, and a state that the tap keeps.

    The SDK's own state keeping is left out: it searches a campaign's bookmark anew for every
    record, takes no bookmark out again, and compares times as text.
    """

    schema: t.ClassVar[StreamSchema[str]] = StreamSchema(SchemaDirectory(_schemas()))
    replication_key: t.ClassVar[str | None]
    # The records are made to fit the schema: nothing is left for the SDK to conform.
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE

    _tap: TapZohoCampaignsRecipients

    @property
    def keeps_state(self) -> bool:
        """Whether bookmarks are used: not where the catalog chooses FULL_TABLE."""
        return self.replication_method != REPLICATION_FULL_TABLE

    @property
    def partitions(self) -> None:
        """None: the SDK shall not walk through campaigns by itself."""
        return

    def get_records(self, context: Context | None) -> Iterator[Record]:
        """Yield the stream's records.

        What stops the run is kept for the tap's last line; here the records just end, so that the
        SDK writes no traceback.
        """
        del context
        try:
            yield from self.zoho_records()
        except TapError as error:
            self._tap.stop_run(error)

    def zoho_records(self) -> Iterable[Record]:
        """Return the stream's records.

        Raises:
            TapError: Where the run must stop.
        """
        raise NotImplementedError

    def apply_catalog(self, catalog: Catalog) -> None:
        """Take the catalog; where it holds the schema of another version, fit the records to it."""
        super().apply_catalog(catalog)
        if self.effective_schema["properties"].keys() != self.schema["properties"].keys():
            self.TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.RECURSIVE

    @property
    def _passes_as_is(self) -> bool:
        """Whether records leave as they are: no field deselected, nothing mapped or flattened."""
        return (
            self.ABORT_AT_RECORD_COUNT is None
            and self.TYPE_CONFORMANCE_LEVEL is TypeConformanceLevel.NONE
            and all(self.mask.values())
            and [type(stream_map) for stream_map in self.stream_maps] == [SameRecordTransform]
            and not self.stream_maps[0].flattening_enabled
        )

    def _sync_records(
        self, context: Context | None = None, *, write_messages: bool = True
    ) -> Generator[dict[str, t.Any], t.Any, t.Any]:
        """Write the records; straight to the writer where the SDK would not touch them.

        The SDK's own way prepares each record for child streams, stream maps and selection. That
        costs more than everything else that is done to a record, so it is gone only if needed.
        """
        if not (write_messages and self._passes_as_is):
            try:
                yield from super()._sync_records(context, write_messages=write_messages)
            except StreamMapFailed as error:
                self._tap.stop_run(error)
            return
        write_record = self._tap.message_writer.write_record
        with self.get_record_counter() as counter, self.get_sync_timer():
            for record in self.get_records(context):
                write_record(self.name, record)
                counter.increment()
        self._write_state_message()

    def get_batches(
        self, batch_config: BatchConfig, context: Context | None = None
    ) -> Iterator[tuple[BaseBatchFileEncoding, list[str]]]:
        """Yield the batches; one that cannot be written ends the run."""
        try:
            yield from super().get_batches(batch_config, context)
        except (OSError, ImportError) as error:
            self._tap.stop_run(BatchNotWritten(self.name, error))

    def _generate_record_messages(self, record: Record) -> Generator[RecordMessage, None, None]:
        """Yield what becomes of a record.

        Raises:
            StreamMapFailed: Where an expression of the user's cannot be applied to it.
        """
        try:
            yield from super()._generate_record_messages(record)
        except Exception as error:
            if not self.config.get("stream_maps"):
                raise
            # Its text may hold what stands in the row.
            raise StreamMapFailed(self.name, type(error).__name__) from None

    def get_replication_key_signpost(self, context: Context | None = None) -> None:
        """Nothing: bookmarks are the tap's."""

    def _write_starting_replication_value(self, context: Context | None) -> None:
        """Nothing: bookmarks are the tap's."""

    def _increment_stream_state(
        self, latest_record: Record, *, context: Context | None = None
    ) -> None:
        """Nothing: bookmarks are the tap's."""

    def _write_state_message(self) -> None:
        """Write the tap's state, when the SDK says that what came before it is safe."""
        self._tap.message_writer.flush()
        self._tap.write_state()


class Campaigns(ZohoStream):
    """The campaigns of this run."""

    name = "campaigns"
    primary_keys = ("campaign_key",)
    replication_key = None

    def zoho_records(self) -> Iterable[Record]:
        """Return a record for each campaign of the filtered listing."""
        for campaign in self._tap.run.campaigns:
            # Of a key that neither listing nor details know, there is nothing to say.
            if campaign.row or campaign.parent_key:
                self._tap.run.summary.rows[self.name] += 1
                yield campaign_record(campaign)


class PlannedStream(ZohoStream):
    """A stream that is read campaign by campaign."""

    action: str | None = None
    """Zoho's name of the recipient action."""
    count: str | None = None
    """The report's count of the list's rows."""
    reflected_by: tuple[str, ...] = ()
    """The report's counts of which one changes, as far as any does, when the list changes."""

    def zoho_records(self) -> Iterable[Record]:
        """Return the records of all lists that are due."""
        return self._tap.run.records(self._tap.plan(self.name))


class CampaignReports(PlannedStream):
    """Each open campaign's report, once a run."""

    name = "campaign_reports"
    primary_keys = ("campaign_key",)
    replication_key = "report_read_at"


class RecipientStream(PlannedStream):
    """One recipient action."""

    primary_keys = ("campaign_key", "contact_email")
    replication_key = "sent_time"


class SentContacts(RecipientStream):
    """Who the campaign was sent to."""

    name = "sent_contacts"
    action = "sentcontacts"
    count = "emails_sent_count"
    reflected_by = ("emails_sent_count", "unsent_count")


class OpenedContacts(RecipientStream):
    """Who opened it. An open moves a contact here from the unopened."""

    name = "opened_contacts"
    action = "openedcontacts"
    count = "opens_count"
    reflected_by = ("opens_count", "unopened", "forwards_count")


class ClickedContacts(RecipientStream):
    """Who clicked. A second click changes no number of clickers, but the clicks per open."""

    name = "clicked_contacts"
    action = "clickedcontacts"
    count = "unique_clicks_count"
    reflected_by = ("unique_clicks_count", "clicksperopenrate", "opens_count")


class UnopenedContacts(RecipientStream):
    """Who did not open it: delivered less opened."""

    name = "unopened_contacts"
    action = "unopenedcontacts"
    count = "unopened"
    reflected_by = ("unopened", "opens_count", "delivered_count", "bounces_count")


class OptoutContacts(RecipientStream):
    """Who opted out through it."""

    name = "optout_contacts"
    action = "optoutcontacts"
    count = "unsub_count"
    reflected_by = ("unsub_count", "spams_count", "complaints_count")


class SpamContacts(RecipientStream):
    """Who reported it as spam."""

    name = "spam_contacts"
    action = "spamcontacts"
    count = "spams_count"
    reflected_by = ("spams_count", "complaints_count")


class HardBounceContacts(RecipientStream):
    """Whose address does not exist."""

    name = "hard_bounce_contacts"
    action = "senthardbounce"
    count = "hardbounce_count"
    reflected_by = ("hardbounce_count", "bounces_count")


class SoftBounceContacts(RecipientStream):
    """Whose mailbox did not take it this time. A soft bounce may become a hard one."""

    name = "soft_bounce_contacts"
    action = "sentsoftbounce"
    count = "softbounce_count"
    reflected_by = ("softbounce_count", "hardbounce_count", "bounces_count")


class UnsentContacts(RecipientStream):
    """Who it was not sent to."""

    name = "unsent_contacts"
    action = "unsentcontacts"
    count = "unsent_count"
    reflected_by = ("unsent_count", "emails_sent_count")


STREAMS: tuple[type[ZohoStream], ...] = (
    CampaignReports,
    Campaigns,
    ClickedContacts,
    HardBounceContacts,
    OpenedContacts,
    OptoutContacts,
    SentContacts,
    SoftBounceContacts,
    SpamContacts,
    UnopenedContacts,
    UnsentContacts,
)
