"""What a run reads, in order: the reports first, then list by list over all campaigns."""

from __future__ import annotations

import typing as t

from tap_zoho_campaigns_recipients.sync.list_bookmarks import ListStreams
from tap_zoho_campaigns_recipients.sync.selected_stream import OF_LISTS, Content

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tap_zoho_campaigns_recipients.sync.reader import Reader
    from tap_zoho_campaigns_recipients.sync.selected_stream import SelectedStream
    from tap_zoho_campaigns_recipients.sync.skipped_campaigns import SkippedCampaigns
    from tap_zoho_campaigns_recipients.zoho.campaigns import Campaign

OF_REPORTS = (Content.REPORTS, Content.LOCATIONS)


class ReadingPlan:
    """The order of reading."""

    def __init__(
        self,
        streams: Sequence[SelectedStream],
        skipped: SkippedCampaigns,
        report_reader: Callable[[Sequence[SelectedStream], Campaign], Reader],
        details_reader: Callable[[SelectedStream, Campaign], Reader],
        list_reader: Callable[[ListStreams, Campaign], Reader],
    ) -> None:
        """Plan a run.

        Args:
            streams: The selected streams in order.
            skipped: The campaigns that are left out.
            report_reader: Makes the reader of a report.
            details_reader: Makes the reader of details.
            list_reader: Makes the reader of a list.
        """
        self._streams = streams
        self._skipped = skipped
        self._report_reader = report_reader
        self._details_reader = details_reader
        self._list_reader = list_reader
        self.lists = self._lists(streams)
        """The lists to read, each for all streams that it is read for."""

    def readers(
        self, campaigns: Sequence[Campaign], only: SelectedStream | None = None
    ) -> Iterator[Reader]:
        """Yield a reader for each campaign and what is read of it.

        Args:
            campaigns: In the order of reading.
            only: A stream that is read by itself; otherwise all are read together.
        """
        streams = self._streams if only is None else [only]
        of_reports = sorted(
            (each for each in streams if each.content in OF_REPORTS),
            key=lambda each: OF_REPORTS.index(each.content),
        )
        for campaign in campaigns:
            if not all(stream.is_finished(campaign) for stream in of_reports):
                yield self._report_reader(of_reports, campaign)
        for stream in streams:
            if stream.content is Content.DETAILS:
                for campaign in campaigns:
                    if not stream.is_finished(campaign):
                        yield self._details_reader(stream, campaign)
        for each in self.lists if only is None else self._lists(streams):
            for campaign in campaigns:
                if self.is_read(each, campaign) and not self._skipped.rests(campaign, each.action):
                    yield self._list_reader(each, campaign)

    def is_read(self, streams: ListStreams, campaign: Campaign) -> bool:
        """Whether a list of a campaign may be read in this run."""
        return not self._skipped.is_left_out(campaign) and not all(
            stream.is_finished(campaign) for stream in streams.of_rows
        )

    def _lists(self, streams: Sequence[SelectedStream]) -> list[ListStreams]:
        readings = next((each for each in self._streams if each.content is Content.READINGS), None)
        lists = []
        for action in dict.fromkeys(
            each.action for each in streams if each.content in OF_LISTS and each.action
        ):
            of_action = {each.content: each for each in streams if each.action == action}
            recipients = of_action.get(Content.RECIPIENTS)
            lists.append(
                ListStreams(
                    action,
                    recipients,
                    of_action.get(Content.EVENTS),
                    readings if recipients is not None else None,
                )
            )
        return lists
