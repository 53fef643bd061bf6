"""Reads the details of one campaign for the stream `campaign_details`."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from tap_zoho_campaigns_recipients.sync.bookmarks import Bookmark
from tap_zoho_campaigns_recipients.sync.change_detection import numbers_hash
from tap_zoho_campaigns_recipients.sync.reader import Call, Delivery, Reader
from tap_zoho_campaigns_recipients.sync.report_reader import report_requests
from tap_zoho_campaigns_recipients.zoho.details import details_record
from tap_zoho_campaigns_recipients.zoho.endpoints import Endpoint
from tap_zoho_campaigns_recipients.zoho.timestamps import iso_from_ms

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tap_zoho_campaigns_recipients.sync.engagement_window import EngagementWindow
    from tap_zoho_campaigns_recipients.sync.reports import Reports
    from tap_zoho_campaigns_recipients.sync.run_log import RunLog
    from tap_zoho_campaigns_recipients.sync.selected_stream import SelectedStream
    from tap_zoho_campaigns_recipients.sync.summary import Summary
    from tap_zoho_campaigns_recipients.zoho.campaigns import Campaign
    from tap_zoho_campaigns_recipients.zoho.errors import TapError
    from tap_zoho_campaigns_recipients.zoho.responses import Response


@dataclass(frozen=True, slots=True, kw_only=True)
class DetailsContext:
    """What all details readers of a run share."""

    reports: Reports
    window: EngagementWindow
    summary: Summary
    log: RunLog
    known: Callable[[Campaign], Mapping[str, t.Any] | None]
    """Returns the details that were requested when the campaigns were found."""
    may_finish: Callable[[SelectedStream, Campaign], bool]
    """Whether the last reading may close the campaign for the stream."""


class DetailsReader(Reader):
    """Reads the details of a campaign whose report has changed, and before it closes."""

    def __init__(self, context: DetailsContext, stream: SelectedStream, campaign: Campaign) -> None:
        """Send no request yet.

        Args:
            context: What the run's details readers share.
            stream: `campaign_details`.
            campaign: The campaign whose details are read.
        """
        super().__init__([stream], campaign)
        self._context = context
        self._stream = stream
        self._document: Mapping[str, t.Any] | None = None
        self._read_at_ms: int | None = None
        self._is_last = False
        self._has_failed = False

    def next_requests(self, pages: int) -> list[Call]:
        """Return the request for the report, then that for the details if they are due."""
        del pages
        reports, campaign = self._context.reports, self.campaign
        if self.is_done or self._read_at_ms is not None:
            return []
        if not reports.is_known(campaign):
            return report_requests(self, reports)
        self._is_last = self._context.window.is_closing(campaign)
        report, before = reports.report(campaign), self._stream.bookmark(campaign)
        is_changed = report is not None and (
            before is None or before.report_hash != numbers_hash(report.numbers)
        )
        if not (self._is_last or is_changed or before is None):
            self.drop()
            return []
        self._read_at_ms = self._context.window.now_ms()
        self._document = self._context.known(campaign)
        if self._document is not None:
            return []
        parameters = {"campaignkey": campaign.key}
        if campaign.kind:
            parameters["campaigntype"] = campaign.kind
        return [Call(self, Endpoint.DETAILS, parameters)]

    def accept_response(
        self, call: Call, response: Response | None, error: TapError | None
    ) -> None:
        """Keep the report or the details."""
        if call.endpoint is Endpoint.REPORT:
            self._context.reports.receive(self.campaign, response, error)
        elif response is not None:
            self._document = response.document
        else:
            self._context.log.warning("No details of a campaign. %s", error)
            self._has_failed = True

    def pop_records(self) -> list[Delivery] | None:
        """Return the record; none if Zoho has no details."""
        if self._document is None and not self._has_failed:
            return None
        self.is_done = True
        if self._document is None or self._read_at_ms is None:
            return []
        record = details_record(self.campaign, self._document, iso_from_ms(self._read_at_ms))
        self._context.summary.rows[self._stream.name] += 1
        return [Delivery(self._stream, [record])]

    def finish(self) -> bool:
        """Set the bookmark, or close the campaign."""
        stream, campaign = self._stream, self.campaign
        if stream.state is None or self._read_at_ms is None:
            return False
        if self._is_last and self._context.may_finish(stream, campaign):
            # Also without details: after its window a campaign must not cost any requests.
            stream.finish(campaign)
            return True
        if self._has_failed:
            return False
        report = self._context.reports.report(campaign)
        stream.state.partitions[campaign.key] = Bookmark(
            iso_from_ms(self._read_at_ms),
            campaign.true_ms,
            report_hash=None if report is None else numbers_hash(report.numbers),
        )
        return True
