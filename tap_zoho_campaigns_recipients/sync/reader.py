"""What the scheduler knows of a reader: the requests it wants next, and the records it has."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tap_zoho_campaigns_recipients.sync.selected_stream import SelectedStream
    from tap_zoho_campaigns_recipients.zoho.campaigns import Campaign
    from tap_zoho_campaigns_recipients.zoho.endpoints import Endpoint, ResponseFormat
    from tap_zoho_campaigns_recipients.zoho.errors import TapError
    from tap_zoho_campaigns_recipients.zoho.responses import Response

Record = dict[str, t.Any]


class Delivery(t.NamedTuple):
    """Records on their way to a stream."""

    stream: SelectedStream
    records: Sequence[Record]


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A request that a reader wants sent."""

    reader: Reader
    endpoint: Endpoint
    parameters: dict[str, str]
    index: int = 0
    """For a page of a list: its `fromindex`."""
    asked: int = 0
    """For a page of a list: the number of rows asked for."""
    response_format: ResponseFormat = "json"


class Reader:
    """Reads something of one campaign. All methods are called from the main thread."""

    def __init__(self, streams: Sequence[SelectedStream], campaign: Campaign) -> None:
        """Send no request yet.

        Args:
            streams: The streams that get the records; at least one.
            campaign: The campaign to read.
        """
        self.streams = streams
        self.campaign = campaign
        self.is_done = False
        """Whether there are no more records to come."""

    def next_requests(self, pages: int) -> list[Call]:
        """Return the requests that can be sent now.

        Args:
            pages: The most pages to have in flight or in memory, including those that are.
        """
        raise NotImplementedError

    def accept_response(
        self, call: Call, response: Response | None, error: TapError | None
    ) -> None:
        """Accept the response to a request, or the error that came in its place.

        Raises:
            TapError: An error that ends the run.
        """
        raise NotImplementedError

    def pop_records(self) -> Iterable[Delivery] | None:
        """Return the next records in order; None while their response is awaited."""
        raise NotImplementedError

    def finish(self) -> bool:
        """Set the bookmarks, after all records were delivered.

        Returns:
            Whether the state has changed.
        """
        raise NotImplementedError

    def mark(self) -> bool:
        """Record in the state that this reading may have begun, if the state calls it settled.

        Returns:
            Whether the state has changed.
        """
        return False

    def drop(self) -> None:
        """Give up reading."""
        self.is_done = True

    @property
    def pages(self) -> int:
        """The number of pages in flight or in memory."""
        return 0

    @property
    def is_paging(self) -> bool:
        """Whether a page was read and another one follows."""
        return False

    def calls_to_come(self, page_rows: int) -> int | None:
        """Return how many pages have not been requested yet; None if that is not known.

        Args:
            page_rows: The number of rows that a page is likely to hold.
        """
        del page_rows
        return 0
