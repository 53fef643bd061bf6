"""Reads one list of one campaign: its report, its pages, its bookmarks."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from tap_zoho_campaigns_recipients.sync.list_bookmarks import ListBookmarks, ReadingResult
from tap_zoho_campaigns_recipients.sync.list_records import ListRecords
from tap_zoho_campaigns_recipients.sync.page_requests import PageRequests
from tap_zoho_campaigns_recipients.sync.reader import Delivery, Reader
from tap_zoho_campaigns_recipients.sync.report_reader import report_requests
from tap_zoho_campaigns_recipients.zoho.endpoints import Endpoint
from tap_zoho_campaigns_recipients.zoho.errors import (
    FROM_INDEX_IGNORED,
    CampaignRefused,
    RunFailed,
    Throttled,
    Transient,
    TransportFailed,
    UnreadableResponse,
    ZohoError,
)
from tap_zoho_campaigns_recipients.zoho.pagination import (
    FromIndexIgnored,
    FromIndexPaginator,
    pages_for,
)
from tap_zoho_campaigns_recipients.zoho.timestamps import iso_from_ms

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from zoneinfo import ZoneInfo

    from tap_zoho_campaigns_recipients.sync.change_detection import ReportView
    from tap_zoho_campaigns_recipients.sync.engagement_window import EngagementWindow
    from tap_zoho_campaigns_recipients.sync.list_bookmarks import ListStreams
    from tap_zoho_campaigns_recipients.sync.page_requests import Timelines
    from tap_zoho_campaigns_recipients.sync.reader import Call, Record
    from tap_zoho_campaigns_recipients.sync.reports import Reports
    from tap_zoho_campaigns_recipients.sync.run_log import RunLog
    from tap_zoho_campaigns_recipients.sync.selected_stream import SelectedStream
    from tap_zoho_campaigns_recipients.sync.skipped_campaigns import SkippedCampaigns
    from tap_zoho_campaigns_recipients.sync.summary import Summary
    from tap_zoho_campaigns_recipients.zoho.campaigns import Campaign
    from tap_zoho_campaigns_recipients.zoho.endpoints import ResponseFormat
    from tap_zoho_campaigns_recipients.zoho.errors import TapError
    from tap_zoho_campaigns_recipients.zoho.pagination import PageLengths
    from tap_zoho_campaigns_recipients.zoho.responses import Response


@dataclass(frozen=True, slots=True, kw_only=True)
class ListContext:
    """What all list readers of a run share."""

    reports: Reports
    window: EngagementWindow
    page_lengths: PageLengths
    skipped: SkippedCampaigns
    summary: Summary
    log: RunLog
    may_finish: Callable[[SelectedStream, Campaign], bool]
    """Whether a last reading may close the campaign for a stream."""
    on_first_rows: Callable[[ListReader], None]
    """Called before the first rows of a settled list go out."""
    save_record: Callable[[SelectedStream, Campaign, str, int, bool], None]
    """Sets the bookmark of `list_readings` when its record was delivered."""
    campaigns_due: Callable[[], int]
    """Returns how many campaigns may have lists to read."""
    timelines: Timelines
    response_format: ResponseFormat
    account_timezone: ZoneInfo | None
    reread_after_days: int


class ListReader(Reader):
    """Reads one list."""

    def __init__(self, context: ListContext, streams: ListStreams, campaign: Campaign) -> None:
        """Send no request yet.

        Args:
            context: What the run's list readers share.
            streams: The streams that get the records.
            campaign: The campaign that the list belongs to.
        """
        super().__init__(streams.of_rows, campaign)
        self._context = context
        self._action = streams.action
        self.list_streams = streams
        self._is_planned = False
        self._is_last = False
        self._bookmarks = ListBookmarks(streams, campaign, context.may_finish)
        self._report: ReportView | None = None
        self._paginator: FromIndexPaginator[Record | None] | None = None
        self._records: ListRecords | None = None
        self._requests = PageRequests(
            self,
            streams.action,
            context.page_lengths,
            context.timelines if streams.events is not None else None,
            context.response_format,
            context.log,
        )
        self._pages: dict[int, tuple[int, Response]] = {}
        self._began_at_ms: int | None = None
        """When the first page was requested, if that was before the report."""
        self._read_at_ms = 0

    # Requests

    def next_requests(self, pages: int) -> list[Call]:
        """Return the request for the report, then those for pages."""
        skipped, reports = self._context.skipped, self._context.reports
        if skipped.is_left_out(self.campaign):
            self.drop()
        if self.is_done:
            return []
        if not self._is_planned:
            page_first = self._asks_page_first
            if not page_first and not reports.is_known(self.campaign):
                return report_requests(self, reports)
            if self._requests.in_flight or not skipped.may_ask(self):
                return []
            if page_first:
                self._began_at_ms = self._context.window.now_ms()
                return self._requests.calls([1])
            self._plan()
        if self._paginator is None:
            return []
        _, first = self._pages.get(1, (0, None))
        indexes = self._paginator.look_ahead(pages, len(first.rows) if first else 0)
        fetched = {*self._pages, *self._requests.in_flight}
        return self._requests.calls([each for each in indexes if each not in fetched])

    @property
    def _asks_page_first(self) -> bool:
        """Whether a page is requested before the report.

        A campaign that was left out before is probably deleted, and its report would fail too. It
        is past its window, so whether its lists have changed does not matter; but one that waits
        for its next last reading is not read now.
        """
        context, campaign = self._context, self.campaign
        return (
            campaign.was_left_out
            and not context.skipped.has_answered(campaign)
            and context.window.is_closing(campaign)
            and self._bookmarks.is_due(
                None, context.window.now_ms(), context.reread_after_days, is_last=True
            )
        )

    # Whether to read

    def _plan(self) -> None:
        """Decide whether the list is read, and prepare to read it."""
        context, campaign = self._context, self.campaign
        self._is_planned = True
        # An A/B campaign whose variants could not be found is not finished in this run.
        self._is_last = context.window.is_closing(campaign) and not campaign.lacks_variants
        if self._is_last or self._began_at_ms is None:
            self._report = context.reports.view(campaign, self._action)
        now_ms = context.window.now_ms() if self._began_at_ms is None else self._began_at_ms
        days, is_last = context.reread_after_days, self._is_last
        if not self._bookmarks.is_due(self._report, now_ms, days, is_last=is_last):
            context.summary.unchanged_lists += 1
            context.summary.unchanged.add(campaign.key)
            self.drop()
            return
        self._read_at_ms = self._bookmarks.read_at_ms(now_ms)
        self._paginator = FromIndexPaginator(
            context.page_lengths, None if self._report is None else self._report.count
        )
        self._records = ListRecords(
            self.list_streams.recipients,
            self.list_streams.events,
            campaign,
            self._action,
            iso_from_ms(self._read_at_ms),
            context.account_timezone,
            context.response_format,
        )

    # Responses

    def accept_response(
        self, call: Call, response: Response | None, error: TapError | None
    ) -> None:
        """Keep a report, keep a page until it is its turn, or leave the list or campaign out."""
        context = self._context
        if call.endpoint is Endpoint.REPORT:
            context.reports.receive(self.campaign, response, error)
            return
        is_wanted = self._requests.done(call)
        if response is not None:
            context.skipped.answered(self.campaign, self._action)
            if is_wanted:
                self._pages[call.index] = (self._requests.worked(call, response), response)
        elif isinstance(error, CampaignRefused):
            context.skipped.refuse(self.campaign, error)
            for stream in self.streams:
                if not stream.is_finished(self.campaign):
                    stream.leave_out(self.campaign)
            self.drop()
        elif not self._requests.try_otherwise(call, error):
            self._fail(error)

    def _fail(self, error: TapError | None) -> None:
        """Leave the list or the campaign out.

        Raises:
            TapError: The error ends the run.
        """
        skipped = self._context.skipped
        if isinstance(error, Transient | UnreadableResponse | TransportFailed):
            if not self.is_done:
                due = self._context.campaigns_due()
                self.drop()
                skipped.fail_list(self.campaign, self._action, error, due)
        elif isinstance(error, ZohoError) and not isinstance(error, Throttled):
            skipped.fail(self.campaign, error)
            self.drop()
        else:
            raise error or AssertionError

    def drop(self) -> None:
        """Give up, and release what was fetched."""
        super().drop()
        self._requests.drop()
        self._pages.clear()
        if self._paginator is None or not self._paginator.rows:
            # Not one row went out.
            self._bookmarks.unmark()
        self._paginator = None

    @property
    def pages(self) -> int:
        """The number of pages in flight or in memory."""
        return len(self._pages) + len(self._requests.in_flight)

    @property
    def is_paging(self) -> bool:
        """Whether a page was read and another one follows."""
        paginator = self._paginator
        return paginator is not None and paginator.index > 1 and not paginator.done

    def calls_to_come(self, page_rows: int) -> int | None:
        """Return how many pages have not been requested yet, according to the report."""
        paginator = self._paginator
        if self.is_done:
            return 0
        if paginator is None or paginator.expected is None:
            return None
        pages = pages_for(paginator.expected - paginator.index + 1, page_rows)
        return max(pages - self.pages, 0)

    # Records

    def pop_records(self) -> list[Delivery] | None:
        """Return the records of the next page, and after the last one that of the reading."""
        paginator, records = self._paginator, self._records
        if paginator is None or records is None or paginator.index not in self._pages:
            return None
        asked, response = self._pages.pop(paginator.index)
        try:
            new = t.cast("list[Record]", paginator.advance(asked, records.page(response)))
        except FromIndexIgnored:
            where = f"{Endpoint.RECIPIENTS} (campaign {self.campaign.key}, action {self._action})"
            raise RunFailed(FROM_INDEX_IGNORED.format(where)) from None
        self._discard_pages_not_next(paginator)
        self.is_done = paginator.done
        if new:
            self._context.on_first_rows(self)
        deliveries = records.deliveries(new)
        if self.is_done and self._tells_of_reading:
            deliveries.append(self._record_of_reading(paginator.delivered))
        for stream, delivered in deliveries:
            self._context.summary.rows[stream.name] += len(delivered)
        return deliveries

    def mark(self) -> bool:
        """Record in the state that this reading may have begun, if the state calls it settled."""
        return self._bookmarks.mark()

    def _discard_pages_not_next(self, paginator: FromIndexPaginator[Record | None]) -> None:
        """Discard pages that were requested ahead and do not come next after all."""
        planned = set(paginator.look_ahead(self.pages + 1))
        for fetched in (self._pages, self._requests.in_flight):
            for index in [each for each in fetched if each not in planned]:
                del fetched[index]

    @property
    def _asks_for_events(self) -> bool:
        context, streams = self._context, self.list_streams
        return streams.events is not None and bool(context.timelines.parameters(streams.action))

    @property
    def _tells_of_reading(self) -> bool:
        return self.list_streams.readings is not None and self.list_streams.recipients is not None

    def _record_of_reading(self, delivered: int) -> Delivery:
        """Return the record of `list_readings`."""
        readings, recipients = self.list_streams.readings, self.list_streams.recipients
        assert readings is not None and recipients is not None  # noqa: S101, PT018 - asked before
        result = self._result
        record: Record = {
            "campaign_key": self.campaign.key,
            "parent_campaign_key": self.campaign.parent_key,
            "action": self._action,
            "list_read_at": iso_from_ms(result.read_at_ms),
            "rows_read": result.rows,
            "rows_delivered": delivered,
            "report_count": result.report_count,
            "is_complete": result.is_complete,
            "is_last": self._bookmarks.closes(recipients, result),
        }
        return Delivery(readings, [record])

    # The end

    @property
    def _result(self) -> ReadingResult:
        paginator, records = self._paginator, self._records
        assert paginator is not None and records is not None  # noqa: S101, PT018 - it was read
        own_ms = self.campaign.reported_ms
        if own_ms is None:
            own_ms = self._context.window.latest_ms(self.campaign)
        own = None if own_ms is None else iso_from_ms(own_ms)
        return ReadingResult(
            read_at_ms=self._read_at_ms,
            rows=paginator.rows,
            report=self._report,
            is_last=self._is_last,
            is_stable=not (paginator.unstable or paginator.broken_off),
            latest_sent=records.latest_sent or own,
        )

    def finish(self) -> bool:
        """Set the bookmarks, or close the campaign; warn about what was odd in the list."""
        paginator, records = self._paginator, self._records
        if paginator is None or records is None:
            return False
        context, campaign, result = self._context, self.campaign, self._result
        context.summary.read.add(campaign.key)
        records.warn(context.log, paginator)
        if paginator.rows and self._asks_for_events and not records.has_events:
            context.timelines.give_up("Zoho sends no reports in XML rows")
        changed = self._bookmarks.save(result, context.log)
        readings, recipients = self.list_streams.readings, self.list_streams.recipients
        if readings is not None and recipients is not None:
            closes = recipients.is_finished(campaign)
            context.save_record(readings, campaign, self._action, result.read_at_ms, closes)
        return changed
