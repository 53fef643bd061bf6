"""Where a run is, while it runs: a line of the log now and then, and a live one at a terminal."""

from __future__ import annotations

import logging
import math
import os
import sys
import threading
import typing as t
from collections import Counter
from contextlib import suppress

from tap_zoho_campaigns_recipients.answers import Endpoint
from tap_zoho_campaigns_recipients.bookmarks import read_again

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tap_zoho_campaigns_recipients.campaigns import Campaign
    from tap_zoho_campaigns_recipients.clock import Clock
    from tap_zoho_campaigns_recipients.jobs import Job
    from tap_zoho_campaigns_recipients.plans import StreamPlan
    from tap_zoho_campaigns_recipients.run import Run

LOG_CONFIG_VARIABLE = "SINGER_SDK_LOG_CONFIG"
"""Names the configuration of structured logs, the SDK's own."""

LINE_SECONDS = 30
LIVE_SECONDS = 1
ESTIMATE_SECONDS = 10
"""The calls that are still to come are counted so often: that takes a look at every list."""

FEWEST_CALLS = 20
FEWEST_SECONDS = 5
"""What must have been seen before a pace is told from it, …"""
FEWEST_REPORTS = 5
"""… and the reports that are known before others are taken to be like them."""

SOON_SECONDS = 50
MOST_MINUTES = 100
"""What is told in minutes; above it in hours."""

DEFAULT_COLUMNS = 80


class Progress:
    """Says where a run is. For the main thread alone."""

    def __init__(self, run: Run, clock: Clock, logger: logging.Logger) -> None:
        """Say nothing yet.

        Args:
            run: The run.
            clock: The time.
            logger: For the line.
        """
        self._run = run
        self._clock = clock
        self._logger = logger
        self._live = LiveLine.at_terminal(logger)
        self._began = self._ticked = self._said = self._shown = clock.monotonic()
        self._held_seconds = 0.0
        self._calls = 0
        self._knows_page = False
        self._estimated: float | None = None
        self._estimate: float | None = None

    def tick(self, jobs: Sequence[Job]) -> None:
        """Say where the run is, if it is time to; to be called with every answer and every second.

        Args:
            jobs: What the run is at, in order; none while it looks for campaigns.
        """
        now, calls = self._clock.monotonic(), self._run.client.calls_sent
        if calls == self._calls and not self._run.client.in_flight:
            # Nothing could be sent: what the limit, a lock or a retry takes tells of no pace.
            self._held_seconds += now - self._ticked
        self._ticked, self._calls = now, calls
        self._knows_page = self._knows_page or (bool(jobs) and jobs[0].is_paging)
        if self._live and now - self._shown >= LIVE_SECONDS:
            self._shown = now
            self._live.show(self._text(jobs))
        if now - self._said >= LINE_SECONDS:
            self._said = now
            self._logger.info("%s", self._text(jobs))

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._live:
            self._live.close()

    def _text(self, jobs: Sequence[Job]) -> str:
        run = self._run
        if not jobs:
            return f"Looking for campaigns, {run.client.calls_sent} calls so far"
        head = jobs[0]
        endpoint = Endpoint.RECIPIENTS if head.plan.action else Endpoint.REPORT
        in_order = run.in_order
        done = in_order.index(head.campaign)
        parts = [
            f"Reading {head.plan.name}: {done} of {len(in_order)} campaigns done",
            f"{run.summary.rows[head.plan.name]} rows",
            f"{run.client.limiter.calls_left(endpoint)} calls left in the window",
        ]
        seconds = self._seconds_left(jobs)
        if seconds is not None:
            # Not at the end, where a narrow terminal would cut it off.
            parts.insert(1, f"{_in_words(seconds)} left")
        return ", ".join(parts)

    # How long it will take

    def _seconds_left(self, jobs: Sequence[Job]) -> float | None:
        """Return how long the run will take from now on; None where nothing honest can be said.

        It takes as long as the limit has it, or as the calls take at the pace of this run if that
        is longer. A lock that is still to come, and what other runs of the account use up, nobody
        knows.
        """
        now = self._clock.monotonic()
        if self._estimated is None or now - self._estimated >= ESTIMATE_SECONDS:
            self._estimated, self._estimate = now, self._estimated_seconds(jobs)
        if self._estimate is None:
            return None
        return max(self._estimate - (now - self._estimated), 0.0)

    def _estimated_seconds(self, jobs: Sequence[Job]) -> float | None:
        seconds = self._clock.monotonic() - self._began
        if self._calls < FEWEST_CALLS or seconds < FEWEST_SECONDS:
            return None
        calls = self._calls_to_come(jobs)
        if calls is None:
            return None
        limiter = self._run.client.limiter
        return max(
            calls.total() * (seconds - self._held_seconds) / self._calls,
            *(limiter.seconds_until(endpoint, calls[endpoint]) for endpoint in calls),
        )

    def _calls_to_come(self, jobs: Sequence[Job]) -> Counter[Endpoint] | None:
        """Return the requests that are still to be sent; None where reports do not tell."""
        run = self._run
        page_rows = run.lengths.likely if self._knows_page else run.lengths.asked
        counts = {
            campaign.key: counts
            for campaign in run.in_order
            if (counts := run.reports.counts(campaign)) is not None
        }
        usual: dict[str, float | None] = {}
        pages = 0.0
        reports: set[str] = set()
        for job in jobs:
            pages += job.calls_to_come(page_rows) or 0
        for plan, campaign in self._to_come(jobs, page_rows):
            if not run.reports.is_known(campaign):
                reports.add(campaign.key)
            if plan.action is None:
                continue
            calls = self._calls_of(plan, campaign, counts.get(campaign.key, {}), page_rows)
            if calls is None and not (plan.state and campaign.key in plan.state.partitions):
                # One that was read before is perhaps not read at all; this one is.
                if plan.name not in usual:
                    usual[plan.name] = _usual_calls(plan, counts.values(), page_rows)
                calls = usual[plan.name]
            if calls is None:
                return None
            pages += calls
        return Counter({Endpoint.RECIPIENTS: math.ceil(pages), Endpoint.REPORT: len(reports)})

    def _to_come(
        self, jobs: Sequence[Job], page_rows: int
    ) -> Iterator[tuple[StreamPlan, Campaign]]:
        """Yield what no job knows the calls of: those that wait for a report, and all behind."""
        run = self._run
        for job in jobs:
            if job.calls_to_come(page_rows) is None:
                yield job.plan, job.campaign
        begin = run.in_order.index(jobs[-1].campaign) + 1
        for plan in run.plans[run.plans.index(jobs[-1].plan) :]:
            for campaign in run.in_order[begin:]:
                if not plan.is_finished(campaign) and not run.refusals.is_left_out(campaign):
                    yield plan, campaign
            begin = 0

    def _calls_of(
        self,
        plan: StreamPlan,
        campaign: Campaign,
        counts: Mapping[str, int | float],
        page_rows: int,
    ) -> float | None:
        """Return the requests that one list takes; None where its report does not tell."""
        rows = counts.get(plan.count or "")
        if rows is None:
            return None
        report = {name: counts[name] for name in plan.reflected_by if name in counts}
        before = plan.state.partitions.get(campaign.key) if plan.state else None
        if not self._run.window.is_closing(campaign) and not read_again(before, report, plan.count):
            return 0
        return calls_for(rows, page_rows)


def calls_for(rows: float, page_rows: int) -> int:
    """Return how many requests a list takes, or the rest of one.

    Args:
        rows: Its rows, with the one that a page shares with the one before.
        page_rows: How many rows a page holds.
    """
    return max(math.ceil((rows - 1) / max(page_rows - 1, 1)), 1)


def _usual_calls(
    plan: StreamPlan, known: Iterable[Mapping[str, int | float]], page_rows: int
) -> float | None:
    """Return the mean requests of a stream's lists; None where too few are known."""
    count = plan.count or ""
    rows = [counts[count] for counts in known if count in counts]
    if len(rows) < FEWEST_REPORTS:
        return None
    return sum(calls_for(each, page_rows) for each in rows) / len(rows)


def _in_words(seconds: float) -> str:
    """Return a time as people say it that do not know better."""
    if seconds < SOON_SECONDS:
        return "less than a minute"
    minutes = round(seconds / 60)
    return f"about {minutes} min" if minutes < MOST_MINUTES else f"about {round(minutes / 60)} h"


class LiveLine:
    """A line at the bottom of the terminal, rewritten in place. What is logged pushes it on."""

    def __init__(self, terminal: t.TextIO) -> None:
        """Write nothing yet.

        Args:
            terminal: What to write to, and in place of what the log's handlers write to this.
        """
        self._terminal = terminal
        self._lock = threading.Lock()
        self._columns = 0
        self._handlers = [
            handler
            for handler in logging.getLogger().handlers
            if isinstance(handler, logging.StreamHandler) and handler.stream is terminal
        ]
        for handler in self._handlers:
            handler.setStream(t.cast("t.TextIO", self))

    @classmethod
    def at_terminal(cls, logger: logging.Logger) -> LiveLine | None:
        """Return one where someone looks on; None where none belongs.

        Not where the log is for machines, nor where the records themselves run down the screen.
        """
        if (
            LOG_CONFIG_VARIABLE in os.environ
            or not logger.isEnabledFor(logging.INFO)
            or not _is_terminal(sys.stderr)
            or _is_terminal(sys.stdout)
        ):
            return None
        return cls(sys.stderr)

    def show(self, text: str) -> None:
        """Show a text in place of the one before."""
        with self._lock:
            shown = text[: self._width() - 1]
            # Back to the first column: what another program writes shall not begin behind it.
            self._put(f"\r{shown:<{self._columns}}\r")
            self._columns = len(shown)

    def write(self, text: str) -> int:
        """Write what is logged, on a line of its own."""
        with self._lock:
            self._put(self._blank() + text)
            return len(text)

    def flush(self) -> None:
        """Nothing: everything is written at once."""

    def close(self) -> None:
        """Take the line away, and the log's handlers back to the terminal."""
        with self._lock:
            self._put(self._blank())
        for handler in self._handlers:
            handler.setStream(self._terminal)

    def _blank(self) -> str:
        blank = f"\r{'':<{self._columns}}\r" if self._columns else ""
        self._columns = 0
        return blank

    def _put(self, text: str) -> None:
        with suppress(OSError, ValueError):  # a terminal may go away, the run goes on
            self._terminal.write(text)
            self._terminal.flush()

    def _width(self) -> int:
        try:
            return os.get_terminal_size(self._terminal.fileno()).columns or DEFAULT_COLUMNS
        except (OSError, ValueError):
            return DEFAULT_COLUMNS


def _is_terminal(stream: t.TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False
