"""The requests for the pages of one list, and what to change in one that Zoho refuses."""

from __future__ import annotations

import typing as t

from tap_zoho_campaigns_recipients.sync.reader import Call
from tap_zoho_campaigns_recipients.zoho.endpoints import Endpoint
from tap_zoho_campaigns_recipients.zoho.errors import (
    MissingParameter,
    RangeTooLarge,
    UnexpectedCode,
)
from tap_zoho_campaigns_recipients.zoho.events import TIMELINE_TYPE
from tap_zoho_campaigns_recipients.zoho.pagination import SURE_RANGE

if t.TYPE_CHECKING:
    from tap_zoho_campaigns_recipients.sync.reader import Reader
    from tap_zoho_campaigns_recipients.sync.run_log import RunLog
    from tap_zoho_campaigns_recipients.zoho.endpoints import ResponseFormat
    from tap_zoho_campaigns_recipients.zoho.errors import TapError
    from tap_zoho_campaigns_recipients.zoho.pagination import PageLengths
    from tap_zoho_campaigns_recipients.zoho.responses import Response


class Timelines:
    """Whether XML rows are requested with their events, by the undocumented parameter `type`."""

    def __init__(self, response_format: ResponseFormat, log: RunLog) -> None:
        """Start with what was seen live: it works in XML (zoho-api.md 5.5).

        Args:
            response_format: The format of rows; JSON has the events without it.
            log: Gets one warning if it does not work.
        """
        self._is_on = response_format == "xml"
        self._log = log

    def parameters(self, action: str) -> dict[str, str]:
        """Return the parameter for a list."""
        return {"type": TIMELINE_TYPE[action]} if self._is_on and action in TIMELINE_TYPE else {}

    def give_up(self, reason: str) -> None:
        """Request rows without events from now on.

        Args:
            reason: What Zoho did.
        """
        self._is_on = False
        text = "%s: there are no events in XML, response_format json has them"
        self._log.warning_once("timeline", text, reason)


class PageRequests:
    """The requests for pages of one list that are in flight."""

    def __init__(
        self,
        reader: Reader,
        action: str,
        lengths: PageLengths,
        timelines: Timelines | None,
        response_format: ResponseFormat,
        log: RunLog,
    ) -> None:
        """Send nothing yet.

        Args:
            reader: The reader of the list.
            action: Zoho's name of the list.
            lengths: What is known of pages of lists.
            timelines: Whether rows are requested with their events; None if nobody wants them.
            response_format: The format to ask for.
            log: Gets a warning if Zoho refuses the range.
        """
        self._reader = reader
        self._action = action
        self._lengths = lengths
        self._timelines = timelines
        self._response_format = response_format
        self._log = log
        self.in_flight: dict[int, Call] = {}
        """By `fromindex`."""
        self._refused_type: UnexpectedCode | None = None
        self._blamed_code: str | None = None
        """The error that is put down to a range above `SURE_RANGE`, while that is being tried."""

    def calls(self, indexes: list[int]) -> list[Call]:
        """Return requests for the pages that begin at these rows."""
        lengths = self._lengths
        calls = []
        for index in indexes:
            asked = min(lengths.asked, SURE_RANGE) if self._blamed_code else lengths.asked
            is_probe = lengths.is_probing and asked > SURE_RANGE
            if is_probe and lengths.probe is not None:
                break  # another list is finding out whether this range works
            parameters = {
                "campaignkey": self._reader.campaign.key,
                "action": self._action,
                "fromindex": str(index),
                "range": str(asked),
            }
            if self._timelines and not self._refused_type:
                parameters |= self._timelines.parameters(self._action)
            call = Call(
                self._reader, Endpoint.RECIPIENTS, parameters, index, asked, self._response_format
            )
            if is_probe:
                lengths.probe = call
            self.in_flight[index] = call
            calls.append(call)
        return calls

    def done(self, call: Call) -> bool:
        """Take a request as done; return whether its page is still wanted."""
        if self._lengths.probe is call:
            self._lengths.probe = None
        is_wanted = self.in_flight.get(call.index) is call
        if is_wanted:
            del self.in_flight[call.index]
        return is_wanted

    def worked(self, call: Call, response: Response) -> int:
        """Learn from a response; return how many rows were asked for."""
        asked = response.rows_asked or call.asked
        if self._refused_type is not None and self._timelines is not None:
            self._timelines.give_up(f"Zoho refuses the parameter type ({self._refused_type.code})")
        if self._blamed_code and asked <= SURE_RANGE:
            self._blamed_code = None
            self._lengths.probe = None
            self._lengths.blame_range()
        return asked

    def drop(self) -> None:
        """Want none of the pages any more."""
        self.in_flight.clear()
        if self._lengths.probe is self:
            self._lengths.probe = None

    def try_otherwise(self, call: Call, error: TapError | None) -> bool:
        """Return whether to request the page again with one thing changed: `type`, or the range."""
        lengths = self._lengths
        if isinstance(error, RangeTooLarge):
            is_smaller = lengths.asked < call.asked or lengths.halve(call.asked)
            if is_smaller:
                text = "Zoho refuses range %d: asking for less"
                self._log.warning_once("range", text, call.asked)
            return is_smaller
        if not isinstance(error, UnexpectedCode) or isinstance(error, MissingParameter):
            return False
        if "type" in call.parameters:
            self._refused_type = self._refused_type or error
            return True
        return self._may_be_the_range(call, error)

    def _may_be_the_range(self, call: Call, error: UnexpectedCode) -> bool:
        lengths = self._lengths
        if self._blamed_code:
            lengths.clear_range(self._blamed_code)
            self._blamed_code = lengths.probe = None
            return False
        if lengths.may_blame_range(call.asked, error.code):
            # No other list asks for so many rows before this one has tried with less.
            self._blamed_code, lengths.probe = error.code, self
            return True
        return lengths.asked < call.asked
