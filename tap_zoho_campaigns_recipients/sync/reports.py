"""The reports of the campaigns, each requested once a run."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from tap_zoho_campaigns_recipients.sync.change_detection import LISTS, ReportView
from tap_zoho_campaigns_recipients.sync.selected_stream import OF_LISTS, Content
from tap_zoho_campaigns_recipients.zoho.reports import report_from_document

if t.TYPE_CHECKING:
    import logging
    from collections.abc import Sequence

    from tap_zoho_campaigns_recipients.sync.engagement_window import EngagementWindow
    from tap_zoho_campaigns_recipients.sync.selected_stream import SelectedStream
    from tap_zoho_campaigns_recipients.zoho.campaigns import Campaign
    from tap_zoho_campaigns_recipients.zoho.errors import TapError
    from tap_zoho_campaigns_recipients.zoho.reports import Report
    from tap_zoho_campaigns_recipients.zoho.responses import Response

REPORTLESS_CAMPAIGNS = 3
"""After so many campaigns in a row without a report no more reports are requested, if there is no
sign that the account has reports at all."""


class Reports:
    """The reports of a run's campaigns."""

    def __init__(
        self, window: EngagementWindow, streams: Sequence[SelectedStream], logger: logging.Logger
    ) -> None:
        """Start without any report.

        Args:
            window: Tells the time, and which campaigns are past their window.
            streams: The selected streams.
            logger: Gets a warning for each missing report.
        """
        self.unread_rows = 0.0
        """The records of lists that were never read, by the reports that have arrived."""
        # Each row has one event at least.
        self.known = 0
        """How many campaigns have a report."""
        self._lists = [each for each in streams if each.content in OF_LISTS]
        self._keeps_locations = any(each.content is Content.LOCATIONS for each in streams)
        self._has_reports = any(
            bookmark.report
            for each in streams
            if each.state
            for bookmark in each.state.partitions.values()
        )
        self._window = window
        self._logger = logger
        self._asked_ms: dict[str, int] = {}
        self._reports: dict[str, Report | None] = {}
        self._last: set[str] = set()
        self._empty: set[str] = set()
        self._in_flight = 0
        self._missing_in_a_row = 0

    def is_known(self, campaign: Campaign) -> bool:
        """Whether the report has arrived, or is certain not to arrive."""
        key = campaign.key
        return key in self._reports or (key not in self._asked_ms and self._gave_up)

    def is_missing(self, campaign: Campaign) -> bool:
        """Whether Zoho was asked for the report and has no report."""
        return self._reports.get(campaign.key, ...) is None

    def report(self, campaign: Campaign) -> Report | None:
        """Return the report; None without a report."""
        return self._reports.get(campaign.key)

    def view(self, campaign: Campaign, action: str) -> ReportView | None:
        """Return what the report says about a list; None without a report."""
        report = self._reports.get(campaign.key)
        return None if report is None else ReportView.of(report.numbers, action)

    def read_at_ms(self, campaign: Campaign) -> int:
        """Return when the report was requested, in epoch milliseconds."""
        return self._asked_ms[campaign.key]

    def is_last(self, campaign: Campaign) -> bool:
        """Whether the campaign was past its window when its report was requested."""
        return campaign.key in self._last

    def ask(self, campaign: Campaign) -> bool:
        """Return whether to request a report now, and record that it is requested.

        Reports are requested one at a time until the first has arrived, and after a missing one:
        an account without reports costs few calls.
        """
        is_alone = self._missing_in_a_row or not self.known
        if campaign.key in self._asked_ms or (is_alone and self._in_flight):
            return False
        if self._window.is_closing(campaign):
            self._last.add(campaign.key)
        self._asked_ms[campaign.key] = self._window.now_ms()
        self._in_flight += 1
        return True

    def receive(
        self, campaign: Campaign, response: Response | None, error: TapError | None
    ) -> None:
        """Keep a report, or record that it is missing."""
        self._in_flight -= 1
        report = report_from_document(response.document) if response is not None else None
        if report:
            if not self._keeps_locations:
                report = replace(report, locations=())
            self._reports[campaign.key] = report
            self.known += 1
            self._has_reports = True
            self._missing_in_a_row = 0
            self.unread_rows += sum(
                report.numbers.get(LISTS[stream.action].count, 0)
                for stream in self._lists
                if stream.action
                and not stream.is_finished(campaign)
                and stream.bookmark(campaign) is None
            )
            return
        if response is not None and campaign.key not in self._empty:
            # A response without counts is a failed try, and there are two tries.
            self._empty.add(campaign.key)
            del self._asked_ms[campaign.key]
            return
        self._reports[campaign.key] = None
        self._missing_in_a_row += 1
        self._logger.warning(
            "No report of a campaign, its lists are read whole. %s",
            error or f"The one of campaign {campaign.key} has no counts",
        )
        if self._gave_up and self._missing_in_a_row == REPORTLESS_CAMPAIGNS:
            self._logger.warning(
                "%d campaigns in a row have no report: no more reports are requested in this run",
                REPORTLESS_CAMPAIGNS,
            )

    @property
    def _gave_up(self) -> bool:
        return self._missing_in_a_row >= REPORTLESS_CAMPAIGNS and not self._has_reports
