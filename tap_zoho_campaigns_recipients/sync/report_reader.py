"""Reads the report of one campaign for the streams that are made of reports."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from tap_zoho_campaigns_recipients.sync.bookmarks import Bookmark
from tap_zoho_campaigns_recipients.sync.reader import Call, Delivery, Reader
from tap_zoho_campaigns_recipients.sync.selected_stream import Content
from tap_zoho_campaigns_recipients.zoho.endpoints import Endpoint
from tap_zoho_campaigns_recipients.zoho.reports import location_records, report_record
from tap_zoho_campaigns_recipients.zoho.timestamps import iso_from_ms

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tap_zoho_campaigns_recipients.sync.reports import Reports
    from tap_zoho_campaigns_recipients.sync.selected_stream import SelectedStream
    from tap_zoho_campaigns_recipients.sync.summary import Summary
    from tap_zoho_campaigns_recipients.zoho.campaigns import Campaign
    from tap_zoho_campaigns_recipients.zoho.errors import TapError
    from tap_zoho_campaigns_recipients.zoho.responses import Response


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportContext:
    """What all report readers of a run share."""

    reports: Reports
    summary: Summary
    may_finish: Callable[[SelectedStream, Campaign], bool]
    """Whether the last report may close the campaign for the stream."""
    lists_are_read: bool
    """Whether any stream of recipients or events is selected too."""


def report_requests(reader: Reader, reports: Reports) -> list[Call]:
    """Return the request for a reader's report, unless it was sent or has to wait."""
    campaign = reader.campaign
    if not reports.ask(campaign):
        return []
    return [Call(reader, Endpoint.REPORT, {"campaignkey": campaign.key})]


class ReportReader(Reader):
    """Reads one report."""

    def __init__(
        self, context: ReportContext, streams: Sequence[SelectedStream], campaign: Campaign
    ) -> None:
        """Send no request yet.

        Args:
            context: What the run's report readers share.
            streams: `campaign_reports`, `campaign_locations` or both.
            campaign: The campaign whose report is read.
        """
        super().__init__(streams, campaign)
        self._context = context

    def next_requests(self, pages: int) -> list[Call]:
        """Return the request for the report."""
        del pages
        reports = self._context.reports
        return [] if reports.is_known(self.campaign) else report_requests(self, reports)

    def accept_response(
        self, call: Call, response: Response | None, error: TapError | None
    ) -> None:
        """Keep the report."""
        del call
        self._context.reports.receive(self.campaign, response, error)

    def pop_records(self) -> list[Delivery] | None:
        """Return the records; none if Zoho has no report."""
        reports, summary, campaign = self._context.reports, self._context.summary, self.campaign
        if not reports.is_known(campaign):
            return None
        self.is_done = True
        report = reports.report(campaign)
        if report is None:
            return []
        if not self._context.lists_are_read:
            summary.read.add(campaign.key)
        read_at = iso_from_ms(reports.read_at_ms(campaign))
        deliveries = []
        for stream in self.streams:
            if stream.content is Content.LOCATIONS:
                records = location_records(campaign, report, read_at)
            else:
                records = [report_record(campaign, report, stream.properties, read_at)]
            summary.rows[stream.name] += len(records)
            deliveries.append(Delivery(stream, records))
        return deliveries

    def finish(self) -> bool:
        """Set the bookmarks, or close the campaign."""
        changed = [self._finish(stream) for stream in self.streams]
        return any(changed)

    def _finish(self, stream: SelectedStream) -> bool:
        reports, campaign = self._context.reports, self.campaign
        if stream.state is None or stream.is_finished(campaign):
            return False
        if reports.is_last(campaign) and self._context.may_finish(stream, campaign):
            # Also without a report: after its window a campaign must not cost any requests.
            stream.finish(campaign)
            return True
        if reports.report(campaign) is None:
            return False
        read_at = iso_from_ms(reports.read_at_ms(campaign))
        stream.state.partitions[campaign.key] = Bookmark(read_at, campaign.true_ms)
        return True
