"""The progress of a run: a log line now and then, and a live line on a terminal."""

from __future__ import annotations

import typing as t

from tap_zoho_campaigns_recipients.sync.live_line import LiveLine
from tap_zoho_campaigns_recipients.zoho.endpoints import Endpoint

if t.TYPE_CHECKING:
    import logging
    from collections.abc import Sequence

    from tap_zoho_campaigns_recipients.sync.forecast import Forecast
    from tap_zoho_campaigns_recipients.sync.reader import Reader
    from tap_zoho_campaigns_recipients.sync.summary import Summary
    from tap_zoho_campaigns_recipients.zoho.campaigns import Campaign
    from tap_zoho_campaigns_recipients.zoho.client import Client
    from tap_zoho_campaigns_recipients.zoho.clock import Clock

LINE_SECONDS = 30
FIRST_WAIT_SECONDS = 5
"""After so long without a line, the beginning of a wait for the rate limit is a line of its own."""
LIVE_SECONDS = 1
ESTIMATE_SECONDS = 10
"""How often the requests to come are counted: that takes a look at every list."""

FEWEST_CALLS = 20
FEWEST_SECONDS = 5
"""What must have been seen before the pace of the run is known."""

SOON_SECONDS = 50
MOST_MINUTES = 100
"""Up to here a duration is given in minutes, above it in hours."""


class Progress:
    """Reports the progress of a run. To be used from the main thread only."""

    def __init__(
        self,
        client: Client,
        forecast: Forecast,
        summary: Summary,
        clock: Clock,
        logger: logging.Logger,
    ) -> None:
        """Report nothing yet.

        Args:
            client: Knows the calls sent, and the rate limit.
            forecast: Estimates the calls to come.
            summary: Counts the rows.
            clock: The time.
            logger: Gets the lines.
        """
        self._client = client
        self._forecast = forecast
        self._summary = summary
        self._clock = clock
        self._logger = logger
        self._live = LiveLine.at_terminal(logger)
        self._began = self._ticked = self._logged = self._shown = clock.monotonic()
        self._held_seconds = 0.0
        self._has_told_wait = False
        self._calls = 0
        self._estimated: float | None = None
        self._estimate: float | None = None

    def tick(self, readers: Sequence[Reader], campaigns: Sequence[Campaign]) -> None:
        """Report the progress if it is time to; to be called at least once a second.

        Args:
            readers: The readers in the queue, in order; empty while campaigns are being found.
            campaigns: The campaigns of the run in the order of reading.
        """
        now, calls = self._clock.monotonic(), self._client.calls_sent
        is_held = calls == self._calls and not self._client.in_flight
        if is_held:
            # Nothing could be sent: waiting for the limit, a lock or a retry says nothing about
            # the pace.
            self._held_seconds += now - self._ticked
        else:
            self._has_told_wait = False
        self._ticked, self._calls = now, calls
        self._forecast.observe(readers)
        if self._live and now - self._shown >= LIVE_SECONDS:
            self._shown = now
            self._live.show(self._text(readers, campaigns))
        begins_wait = (
            is_held
            and not self._has_told_wait
            and now - self._logged >= FIRST_WAIT_SECONDS
            and not self._client.limiter.calls_left(_endpoint(readers))
        )
        if begins_wait or now - self._logged >= LINE_SECONDS:
            self._has_told_wait = is_held
            self._logged = now
            self._logger.info("%s", self._text(readers, campaigns))

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._live:
            self._live.close()

    def _text(self, readers: Sequence[Reader], campaigns: Sequence[Campaign]) -> str:
        limit = self._limit_text(_endpoint(readers))
        if not readers:
            calls = self._client.calls_sent
            return f"Looking for campaigns, {calls} calls so far, {limit}"
        head = readers[0]
        stream = head.streams[0]
        done = campaigns.index(head.campaign)
        parts = [
            f"Reading {stream.name}: {done} of {len(campaigns)} campaigns done",
            f"{self._summary.rows[stream.name]} rows",
            limit,
        ]
        seconds = self._seconds_left(readers, campaigns)
        if seconds is not None:
            # Not at the end, where a narrow terminal would cut it off.
            parts.insert(1, f"{_in_words(seconds)} left")
        return ", ".join(parts)

    def _limit_text(self, endpoint: str) -> str:
        """Describe what the rate limit leaves of an endpoint, and how long it holds the run up."""
        limiter = self._client.limiter
        if (seconds := limiter.locked_for(endpoint)) > 0:
            return f"waiting {seconds:.0f} s more until Zoho's lock of {endpoint} is over"
        if calls := limiter.calls_left(endpoint):
            return f"{calls} calls left in the window"
        return (
            "the rate limit is reached (calls of earlier runs count), going on in "
            f"{limiter.seconds_until(endpoint, 1):.0f} s"
        )

    def _seconds_left(
        self, readers: Sequence[Reader], campaigns: Sequence[Campaign]
    ) -> float | None:
        """Return how long the run will still take; None if that cannot be estimated.

        That is the time the rate limit needs for the calls to come, or the time they take at the
        pace of this run if that is longer. Future locks, and calls of other runs of the account,
        cannot be foreseen.
        """
        now = self._clock.monotonic()
        if self._estimated is None or now - self._estimated >= ESTIMATE_SECONDS:
            self._estimated = now
            self._estimate = self._estimated_seconds(readers, campaigns)
        if self._estimate is None:
            return None
        return max(self._estimate - (now - self._estimated), 0.0)

    def _estimated_seconds(
        self, readers: Sequence[Reader], campaigns: Sequence[Campaign]
    ) -> float | None:
        seconds = self._clock.monotonic() - self._began
        if self._calls < FEWEST_CALLS or seconds < FEWEST_SECONDS:
            return None
        calls = self._forecast.calls_to_come(readers, campaigns)
        if calls is None:
            return None
        limiter = self._client.limiter
        return max(
            calls.total() * (seconds - self._held_seconds) / self._calls,
            *(limiter.seconds_until(endpoint, calls[endpoint]) for endpoint in calls),
        )


def _endpoint(readers: Sequence[Reader]) -> str:
    """Return the endpoint that the run is waiting for."""
    if not readers:
        return Endpoint.LISTING
    return Endpoint.RECIPIENTS if readers[0].streams[0].action else Endpoint.REPORT


def _in_words(seconds: float) -> str:
    """Return a rough duration."""
    if seconds < SOON_SECONDS:
        return "less than a minute"
    minutes = round(seconds / 60)
    return f"about {minutes} min" if minutes < MOST_MINUTES else f"about {round(minutes / 60)} h"
