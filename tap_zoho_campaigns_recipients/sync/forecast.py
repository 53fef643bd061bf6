"""How many requests a run still has to send, going by the reports that have arrived."""

from __future__ import annotations

import math
import typing as t
from collections import Counter

from tap_zoho_campaigns_recipients.sync.change_detection import LISTS, is_changed, is_old
from tap_zoho_campaigns_recipients.sync.list_reader import ListReader
from tap_zoho_campaigns_recipients.zoho.endpoints import Endpoint
from tap_zoho_campaigns_recipients.zoho.pagination import pages_for

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tap_zoho_campaigns_recipients.sync.engagement_window import EngagementWindow
    from tap_zoho_campaigns_recipients.sync.list_bookmarks import ListStreams
    from tap_zoho_campaigns_recipients.sync.reader import Reader
    from tap_zoho_campaigns_recipients.sync.reading_plan import ReadingPlan
    from tap_zoho_campaigns_recipients.sync.reports import Reports
    from tap_zoho_campaigns_recipients.sync.skipped_campaigns import SkippedCampaigns
    from tap_zoho_campaigns_recipients.zoho.campaigns import Campaign
    from tap_zoho_campaigns_recipients.zoho.pagination import PageLengths

FEWEST_REPORTS = 5
"""The number of reports that must have arrived before other campaigns are taken to be similar."""


class Forecast:
    """Estimates the requests to come."""

    def __init__(
        self,
        plan: ReadingPlan,
        reports: Reports,
        skipped: SkippedCampaigns,
        window: EngagementWindow,
        page_lengths: PageLengths,
        reread_after_days: int,
    ) -> None:
        """Start before the first page.

        Args:
            plan: The order of reading.
            reports: The reports of the run.
            skipped: The campaigns that are left out.
            window: Tells which campaigns are past their window.
            page_lengths: The lengths of the pages seen.
            reread_after_days: After how many days an unchanged list is read again.
        """
        self._plan = plan
        self._reread_after_days = reread_after_days
        self._reports = reports
        self._skipped = skipped
        self._window = window
        self._page_lengths = page_lengths
        self._knows_page = False

    def observe(self, readers: Sequence[Reader]) -> None:
        """Notice when a full page was seen: its length is what pages have."""
        self._knows_page = self._knows_page or (bool(readers) and readers[0].is_paging)

    def calls_to_come(
        self, readers: Sequence[Reader], campaigns: Sequence[Campaign]
    ) -> Counter[Endpoint] | None:
        """Return the requests that are still to be sent; None if too few reports have arrived.

        Args:
            readers: The readers in the queue, in order; at least one.
            campaigns: The campaigns of the run in the order of reading.
        """
        lengths = self._page_lengths
        page_rows = lengths.likely if self._knows_page else lengths.asked
        usual: dict[str, float | None] = {}
        pages = 0.0
        reports = {
            reader.campaign.key
            for reader in readers
            if not isinstance(reader, ListReader) and not self._reports.is_known(reader.campaign)
        }
        for reader in readers:
            pages += reader.calls_to_come(page_rows) or 0
        for streams, campaign in self._to_come(readers, campaigns, page_rows):
            if not self._reports.is_known(campaign):
                reports.add(campaign.key)
            calls = self._calls_of(streams, campaign, page_rows)
            if calls is None and any(
                stream.bookmark(campaign) is None for stream in streams.of_rows
            ):
                # A list that was read before may not be read at all; this one is read.
                if streams.action not in usual:
                    usual[streams.action] = self._usual_calls(streams.action, campaigns, page_rows)
                calls = usual[streams.action]
            if calls is None:
                return None
            pages += calls
        return Counter({Endpoint.RECIPIENTS: math.ceil(pages), Endpoint.REPORT: len(reports)})

    def _to_come(
        self, readers: Sequence[Reader], campaigns: Sequence[Campaign], page_rows: int
    ) -> Iterator[tuple[ListStreams, Campaign]]:
        """Yield the lists whose requests no reader knows: waiting for a report, or not queued."""
        for reader in readers:
            if isinstance(reader, ListReader) and reader.calls_to_come(page_rows) is None:
                yield reader.list_streams, reader.campaign
        last = readers[-1]
        lists, begin = self._plan.lists, 0
        if isinstance(last, ListReader):
            actions = [each.action for each in lists]
            lists = lists[actions.index(last.list_streams.action) :]
            begin = campaigns.index(last.campaign) + 1
        for streams in lists:
            for campaign in campaigns[begin:]:
                if self._plan.is_read(streams, campaign):
                    yield streams, campaign
            begin = 0

    def _calls_of(self, streams: ListStreams, campaign: Campaign, page_rows: int) -> float | None:
        """Return the requests for one list; None if its report does not tell."""
        view = self._reports.view(campaign, streams.action)
        if view is None or view.count is None:
            return None
        if self._window.is_closing(campaign):
            return pages_for(view.count, page_rows)
        hashed, now_ms = f"{campaign.key} {streams.action}", self._window.now_ms()
        for stream in streams.of_rows:
            before = stream.bookmark(campaign)
            if is_changed(before, view) or is_old(
                before, hashed=hashed, now_ms=now_ms, reread_after_days=self._reread_after_days
            ):
                return pages_for(view.count, page_rows)
        return 0

    def _usual_calls(
        self, action: str, campaigns: Iterable[Campaign], page_rows: int
    ) -> float | None:
        """Return the mean number of requests for a list; None if too few reports are known."""
        count = LISTS[action].count
        reports = [report for each in campaigns if (report := self._reports.report(each))]
        rows = [each.numbers[count] for each in reports if count in each.numbers]
        if len(rows) < FEWEST_REPORTS:
            return None
        return sum(pages_for(each, page_rows) for each in rows) / len(rows)
