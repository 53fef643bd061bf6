"""One run: what is read, in which order, several requests at a time.

The main thread decides and reads the responses; only the requests run in threads. Readers are
worked through in order. While the pages of the first one are written, the first pages of the next
ones are already in flight: most lists have a single page, so that looking ahead within one list
is not enough. The number of pages that are fetched ahead is bounded.
"""

from __future__ import annotations

import math
import typing as t
from functools import partial

from tap_zoho_campaigns_recipients.sync.details_reader import DetailsContext, DetailsReader
from tap_zoho_campaigns_recipients.sync.discovery import Discovery, Found
from tap_zoho_campaigns_recipients.sync.engagement_window import EngagementWindow
from tap_zoho_campaigns_recipients.sync.forecast import Forecast
from tap_zoho_campaigns_recipients.sync.list_bookmarks import save_reading_record
from tap_zoho_campaigns_recipients.sync.list_reader import ListContext, ListReader
from tap_zoho_campaigns_recipients.sync.page_requests import Timelines
from tap_zoho_campaigns_recipients.sync.progress import Progress
from tap_zoho_campaigns_recipients.sync.reader import Delivery
from tap_zoho_campaigns_recipients.sync.reader_queue import ReaderQueue
from tap_zoho_campaigns_recipients.sync.reading_plan import ReadingPlan
from tap_zoho_campaigns_recipients.sync.report_reader import ReportContext, ReportReader
from tap_zoho_campaigns_recipients.sync.reports import Reports
from tap_zoho_campaigns_recipients.sync.request_pool import RequestPool
from tap_zoho_campaigns_recipients.sync.run_log import RunLog
from tap_zoho_campaigns_recipients.sync.selected_stream import OF_LISTS, Content
from tap_zoho_campaigns_recipients.sync.skipped_campaigns import SkippedCampaigns
from tap_zoho_campaigns_recipients.sync.state_keeper import StateKeeper
from tap_zoho_campaigns_recipients.sync.summary import Summary
from tap_zoho_campaigns_recipients.zoho.campaigns import campaign_record
from tap_zoho_campaigns_recipients.zoho.pagination import PageLengths

if t.TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterator, Sequence

    from tap_zoho_campaigns_recipients.sync.bookmarks import State
    from tap_zoho_campaigns_recipients.sync.list_bookmarks import ListStreams
    from tap_zoho_campaigns_recipients.sync.reader import Reader, Record
    from tap_zoho_campaigns_recipients.sync.request_pool import WorkerThreads
    from tap_zoho_campaigns_recipients.sync.run_settings import RunSettings
    from tap_zoho_campaigns_recipients.sync.selected_stream import SelectedStream
    from tap_zoho_campaigns_recipients.zoho.account_offset import Observation
    from tap_zoho_campaigns_recipients.zoho.campaigns import Campaign
    from tap_zoho_campaigns_recipients.zoho.client import Client
    from tap_zoho_campaigns_recipients.zoho.clock import Clock
    from tap_zoho_campaigns_recipients.zoho.errors import TapError

IDLE_SECONDS = 1


class Scheduler:
    """One run of the tap over all selected streams."""

    def __init__(
        self,
        settings: RunSettings,
        client: Client,
        clock: Clock,
        logger: logging.Logger,
        streams: Sequence[SelectedStream],
        workers: WorkerThreads,
        state: State,
    ) -> None:
        """Send no request yet.

        Args:
            settings: The settings of the run.
            client: Sends requests.
            clock: The time.
            logger: Gets everything that the user should know.
            streams: The selected streams, in the order of reading.
            workers: The threads for requests.
            state: The state; it is changed as campaigns are read.
        """
        self.client = client
        self.streams = streams
        self.window = EngagementWindow(settings.engagement_window_days, clock, streams)
        self.summary = Summary()
        self.on_state_change: Callable[[], None] = _do_nothing
        """Called when a list was delivered completely: a STATE may follow."""
        self.on_mark: Callable[[], None] = _do_nothing
        """Called when a STATE must go out before the next rows: it marks readings that begin."""
        self.on_idle: Callable[[], None] = _do_nothing
        """Called about every second while responses are awaited."""
        self.lists = 0
        """The number of lists and reports that are not finished, over all streams."""
        self._settings = settings
        self._logger = logger
        self._clock = clock
        self._log = RunLog(logger)
        self._idle_at = -math.inf
        self._workers = workers
        self._requests = RequestPool(client, workers, self._while_waiting)
        self._state = state
        self._found = Found()
        self._keeper: StateKeeper | None = None
        self._reports = Reports(self.window, streams, logger)
        self._skipped = SkippedCampaigns(
            self.window, state.observations, logger, was_read_before=state.knows_campaigns
        )
        page_lengths = PageLengths(settings.page_size)
        self._plan = ReadingPlan(
            streams, self._skipped, self._report_reader, self._details_reader, self._list_reader
        )
        self._queue = ReaderQueue(self._requests, settings.max_parallel_requests)
        self._late_records: list[Record] = []
        self._late_bookmarks: list[Callable[[], None]] = []
        self._is_shared = False
        self._marks_ahead = 1
        self._report_context = ReportContext(
            reports=self._reports,
            summary=self.summary,
            may_finish=self._may_finish,
            lists_are_read=any(stream.content in OF_LISTS for stream in streams),
        )
        self._details_context = DetailsContext(
            reports=self._reports,
            window=self.window,
            summary=self.summary,
            log=self._log,
            known=lambda campaign: self._found.details.get(campaign.key),
            may_finish=self._may_finish,
        )
        self._list_context = ListContext(
            reports=self._reports,
            window=self.window,
            page_lengths=page_lengths,
            skipped=self._skipped,
            summary=self.summary,
            log=self._log,
            may_finish=self._may_finish,
            on_first_rows=self._mark,
            save_record=self._save_reading_record,
            campaigns_due=self._campaigns_due,
            timelines=Timelines(settings.response_format, self._log),
            response_format=settings.response_format,
            account_timezone=settings.account_timezone,
            reread_after_days=settings.reread_after_days,
        )
        forecast = Forecast(
            self._plan,
            self._reports,
            self._skipped,
            self.window,
            page_lengths,
            settings.reread_after_days,
        )
        self.progress = Progress(client, forecast, self.summary, clock, logger)

    @property
    def campaigns(self) -> list[Campaign]:
        """The campaigns of this run, oldest first."""
        return self._found.campaigns

    @property
    def why_empty(self) -> str:
        """Why there are no campaigns to read; empty if there are some."""
        return self._found.why_empty

    @property
    def times(self) -> list[Observation]:
        """The times of the listing that show the account's offset from UTC."""
        return self._found.times

    @property
    def expected_rows(self) -> float:
        """The estimated number of rows in lists that were never read.

        The estimate takes the reports that have arrived as typical. Lists that were read before
        are not included: whether they are read again is not known.
        """
        return self._reports.unread_rows * len(self.campaigns) / max(self._reports.known, 1)

    def discover(self, *, is_test: bool = False) -> None:
        """Find the campaigns to read.

        Args:
            is_test: Whether only the listing is of interest.

        Raises:
            TapError: The listing cannot be read, and either no campaign keys are given or this is
                a test; or the error ends the run.
        """
        read = [each for each in self.streams if each.content not in _NOT_READ]
        discovery = Discovery(
            self._settings, self._requests, self.window, read, self._logger, self._state
        )
        self._found = discovery.find(is_test=is_test)
        for campaign in self.campaigns:
            is_unread = discovery.is_unread(campaign)
            (self.summary.open if is_unread else self.summary.closed).add(campaign.key)
        self.lists = sum(
            not stream.is_finished(campaign) for stream in read for campaign in self.campaigns
        )
        self._keeper = StateKeeper(self._state, self._found, self.window, self.streams)
        self._keeper.warn_of_unaccounted(self._logger)

    # Reading

    def deliveries(self) -> Iterator[Delivery]:
        """Yield the records of all streams; a list that several are made of is read once.

        A list counts as delivered when what follows its last delivery is requested.

        Raises:
            TapError: The run must stop.
        """
        self._is_shared = True
        for stream in self.streams:
            if stream.content is Content.CAMPAIGNS:
                yield Delivery(stream, list(self._campaign_records(stream)))
        yield from self._read(self._plan.readers(self._found.in_order))

    def records(self, stream: SelectedStream) -> Iterator[Record]:
        """Yield the records of one stream, which is read by itself.

        `list_readings` has what was read for other streams before.

        Raises:
            TapError: The run must stop.
        """
        if stream.content is Content.CAMPAIGNS:
            yield from self._campaign_records(stream)
        elif stream.content is Content.READINGS:
            yield from self._late_records
            for save in self._late_bookmarks:
                save()
            self._late_records, self._late_bookmarks = [], []
        else:
            for target, records in self._read(self._plan.readers(self._found.in_order, stream)):
                if target is stream:
                    yield from records
                else:
                    self._late_records += records

    def _campaign_records(self, stream: SelectedStream) -> Iterator[Record]:
        for campaign in self.campaigns:
            # Of a key that neither listing nor details know, there is nothing to say.
            if campaign.row or campaign.parent_key:
                self.summary.rows[stream.name] += 1
                yield campaign_record(campaign, self._found.listed_at)

    def _read(self, readers: Iterator[Reader]) -> Iterator[Delivery]:
        self._queue.begin(readers)
        while (head := self._queue.head) is not None:
            while not head.is_done:
                self._queue.send_ahead()
                deliveries = head.pop_records()
                if deliveries is not None:
                    yield from deliveries
                elif not head.is_done:
                    self._queue.receive()
            if head.finish():
                self.on_state_change()
            self._queue.pop_head()

    def _report_reader(self, streams: Sequence[SelectedStream], campaign: Campaign) -> Reader:
        return ReportReader(self._report_context, streams, campaign)

    def _details_reader(self, stream: SelectedStream, campaign: Campaign) -> Reader:
        return DetailsReader(self._details_context, stream, campaign)

    def _list_reader(self, streams: ListStreams, campaign: Campaign) -> Reader:
        return ListReader(self._list_context, streams, campaign)

    def _mark(self, reader: Reader) -> None:
        """Have a STATE say that the reading of a settled list begins, before its first rows.

        One STATE marks the lists behind it too, twice as many with each, so that few are needed.
        A mark whose list is not read after all is removed, or costs one reading.
        """
        if not reader.mark():
            return
        for ahead in self._queue.ahead(self._marks_ahead):
            ahead.mark()
        self._marks_ahead *= 2
        self.on_mark()

    def _save_reading_record(
        self,
        stream: SelectedStream,
        campaign: Campaign,
        action: str,
        read_at_ms: int,
        closes: bool,  # noqa: FBT001 - a callback
    ) -> None:
        """Set the bookmark of `list_readings`, as soon as its record is delivered."""
        save = partial(save_reading_record, stream, campaign, action, read_at_ms, closes=closes)
        if self._is_shared:
            save()
        else:
            self._late_bookmarks.append(save)

    def _campaigns_due(self) -> int:
        """Return how many campaigns may have lists to read."""
        return len(self.summary.open)

    def _may_finish(self, stream: SelectedStream, campaign: Campaign) -> bool:
        """Whether a campaign may be closed for a stream: its A/B variants must be done too."""
        return not campaign.lacks_variants and all(
            stream.is_finished(each)
            or self._skipped.is_refused(each)
            or (stream.content not in OF_LISTS and self._reports.is_missing(each))
            for each in campaign.variants or ()
        )

    # The end

    def compact(self, *, is_last: bool = False) -> None:
        """Make the state small.

        Args:
            is_last: Whether this is the last time; otherwise only what has grown is compacted.
        """
        if self._keeper is not None:
            self._keeper.compact(is_last=is_last)

    def drop_gone(self) -> None:
        """Drop the bookmarks of campaigns that are gone."""
        if self._keeper is not None:
            self._keeper.drop_gone()

    def failure(self) -> TapError | None:
        """Return the error with which a run fails that came to its end, if it does."""
        return self._skipped.failure(self.campaigns)

    def interrupt(self, reason: BaseException) -> None:
        """Let the run end while it waits for a response; may be called from a signal handler."""
        self._workers.interrupt(reason)

    def stop(self) -> None:
        """Let no thread send a request or log a line any more."""
        self._workers.close()
        self.client.close()
        self.progress.close()

    def close(self) -> None:
        """Release the file or connection in which calls are counted."""
        self.client.limiter.close()

    def log_summary(self, *, has_failed: bool) -> None:
        """Log the result of the run in one line."""
        line = self.summary.line(
            refused=len(self._skipped),
            calls=self.client.calls,
            waited_seconds=self.client.waited_seconds,
            has_failed=has_failed,
        )
        self._logger.info("%s", line)

    def _while_waiting(self) -> None:
        now = self._clock.monotonic()
        if now - self._idle_at >= IDLE_SECONDS:
            self._idle_at = now
            self.on_idle()
        self.progress.tick(self._queue.readers, self._found.in_order)


_NOT_READ = (Content.CAMPAIGNS, Content.READINGS)


def _do_nothing() -> None:
    """The default of callbacks."""
