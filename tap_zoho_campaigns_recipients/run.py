"""One run: which lists are due, reading them side by side, and what became of each.

The main thread decides, in order; only requests run in threads. A list is a `ListJob` that says
which requests it wants next. The lists are worked off in order, and while the first one's pages
are written, the next ones' first pages are already under way: most lists are a single page, so
looking ahead within one list would not be enough. What was fetched ahead is bounded to a few pages.
"""

from __future__ import annotations

import math
import typing as t
from collections import deque
from itertools import islice

from tap_zoho_campaigns_recipients import bookmarks
from tap_zoho_campaigns_recipients.answers import Endpoint
from tap_zoho_campaigns_recipients.discovery import Discovery, Found
from tap_zoho_campaigns_recipients.jobs import ListJob, ReportJob
from tap_zoho_campaigns_recipients.parallel import Requests
from tap_zoho_campaigns_recipients.progress import Progress
from tap_zoho_campaigns_recipients.reading import PageLengths
from tap_zoho_campaigns_recipients.refusals import Refusals
from tap_zoho_campaigns_recipients.reports import Reports
from tap_zoho_campaigns_recipients.summary import Summary
from tap_zoho_campaigns_recipients.window import Window

if t.TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Collection, Iterator, Sequence

    from tap_zoho_campaigns_recipients.answers import Answer
    from tap_zoho_campaigns_recipients.campaigns import Campaign
    from tap_zoho_campaigns_recipients.client import Client
    from tap_zoho_campaigns_recipients.clock import Clock
    from tap_zoho_campaigns_recipients.errors import TapError
    from tap_zoho_campaigns_recipients.jobs import Call, Job, Record
    from tap_zoho_campaigns_recipients.parallel import Workers
    from tap_zoho_campaigns_recipients.plans import StreamPlan
    from tap_zoho_campaigns_recipients.settings import Settings

IDLE_SECONDS = 1

COMPACT_EVERY = 50
"""So many campaigns may stand in the state by themselves before it is made small: that takes a
look at every campaign there is."""


class Run:
    """One run of the tap over all selected streams."""

    def __init__(
        self,
        settings: Settings,
        client: Client,
        clock: Clock,
        logger: logging.Logger,
        plans: Sequence[StreamPlan],
        workers: Workers,
        halves: bookmarks.Halves,
    ) -> None:
        """Ask nothing yet.

        Args:
            settings: The run's settings.
            client: Sends requests.
            clock: The time.
            logger: For everything that the user should know.
            plans: The selected streams but `campaigns`, in the order in which they will be read.
            workers: Threads for requests.
            halves: Which test halves the state knows; what is found is added.
        """
        self.settings = settings
        self.client = client
        self.logger = logger
        self.plans = plans
        self.reads_lists = any(plan.action for plan in plans)
        """Whether any recipient stream is selected."""
        self.window = Window(settings.engagement_window_days, clock, plans)
        self.lengths = PageLengths(settings.page_size)
        self.reports = Reports(self.window, logger)
        self.refusals = Refusals(self.window, logger)
        self.summary = Summary()
        self.on_list_finished: Callable[[], None] = _nothing
        """Called when a list was delivered whole: a good moment for a STATE."""
        self.on_idle: Callable[[], None] = _nothing
        """Called every second or so while answers are waited for."""
        self.progress = Progress(self, clock, logger)
        self._clock = clock
        self._idle_at = -math.inf
        self._requests = Requests(client, workers, self._while_waiting)
        self._halves = halves
        self._found = Found()
        self._parallel = settings.max_parallel_requests
        self._source = self._jobs()
        self._jobs_ahead: deque[Job] = deque()
        self.lists = 0
        """How many lists and reports are open, of all streams together."""
        self._expected_rows = 0.0
        self._warned: set[str] = set()
        self._alone: dict[str, int] = {}

    @property
    def campaigns(self) -> list[Campaign]:
        """The campaigns of this run, oldest first."""
        return self._found.campaigns

    @property
    def in_order(self) -> list[Campaign]:
        """The same in the order of reading."""
        return self._found.in_order

    def discover(self, *, is_test: bool = False) -> None:
        """Find the campaigns to read.

        Args:
            is_test: Whether this is only to see what Zoho lists.

        Raises:
            TapError: Where the listing cannot be had and no keys are given, or nothing can.
        """
        discovery = Discovery(
            self.settings, self._requests, self.window, self.plans, self.logger, self._halves
        )
        self._found = discovery.find(is_test=is_test)
        for campaign in self.campaigns:
            summary = self.summary
            keys = summary.open if discovery.is_unread(campaign) else summary.closed
            keys.add(campaign.key)
        self.lists = sum(
            not plan.is_finished(campaign) for plan in self.plans for campaign in self.campaigns
        )

    @property
    def expected_rows(self) -> float:
        """How many recipients are in lists that were never read, going by the reports there are.

        Of a list that was read before nobody knows whether it will be again.
        """
        return self._expected_rows * len(self.campaigns) / max(self.reports.known, 1)

    def receive_report(
        self, campaign: Campaign, answer: Answer | None, error: TapError | None
    ) -> None:
        """Hand on a campaign's report, and take note of what it tells of the run's output."""
        self.reports.receive(campaign, answer, error)
        counts = self.reports.counts(campaign) or {}
        self._expected_rows += sum(
            counts.get(plan.count or "", 0)
            for plan in self.plans
            if not plan.is_finished(campaign)
            and not (plan.state and campaign.key in plan.state.partitions)
        )

    # Reading

    def records(self, plan: StreamPlan) -> Iterator[Record]:
        """Yield the records of one stream; the streams must be asked in the order of `plans`.

        A list counts as delivered when the record after its last one is asked for.

        Raises:
            TapError: Where the run must stop.
        """
        while (head := self._head(plan)) is not None:
            while not head.is_done:
                self._send_ahead()
                records = head.take()
                if records is not None:
                    yield from records
                elif not head.is_done:
                    self._receive()
            head.finish()
            self._jobs_ahead.popleft()

    def _jobs(self) -> Iterator[Job]:
        for plan in self.plans:
            for campaign in self._found.in_order:
                if plan.is_finished(campaign):
                    continue
                if plan.action is None:
                    yield ReportJob(self, plan, campaign)
                elif not self.refusals.is_left_out(campaign):
                    yield ListJob(self, plan, campaign, plan.action)

    def _head(self, plan: StreamPlan) -> Job | None:
        """Return the stream's next job; what is left of streams before it was given up."""
        while head := self._job(0):
            if head.plan is plan:
                return head
            if self.plans.index(head.plan) > self.plans.index(plan):
                return None
            self._jobs_ahead.popleft().drop()
        return None

    def _job(self, position: int) -> Job | None:
        """Return a job by its position in line."""
        missing = position + 1 - len(self._jobs_ahead)
        if missing > 0:
            self._jobs_ahead.extend(islice(self._source, missing))
        return self._jobs_ahead[position] if position < len(self._jobs_ahead) else None

    def _send_ahead(self) -> None:
        """Send the requests that the jobs want, the first one's before the next one's.

        The first may have as many pages under way or in memory as there are threads, and those
        behind it twice as many together: while a slow answer holds up the line, some have theirs
        already, and the threads shall not run out of work.
        """
        self._send(self._jobs_ahead[0].wanted(self._parallel))
        room = 0 if self._parallel == 1 else 2 * self._parallel
        position = 1
        while (
            room > 0
            and (free := self._parallel + 1 - self._requests.pending) > 0
            and (job := self._job(position))
        ):
            self._send(job.wanted(min(job.pages + free, room)))
            if job.is_done:
                # It has nothing to deliver: its list did not change, or its campaign is left out.
                del self._jobs_ahead[position]
            else:
                room -= max(job.pages, 1)
                position += 1

    def _send(self, calls: list[Call]) -> None:
        for call in calls:
            is_list = call.endpoint is Endpoint.RECIPIENTS
            response_format = self.settings.response_format if is_list else "json"
            self._requests.send(call, call.endpoint, call.parameters, response_format)

    def _receive(self) -> None:
        call, answer, error = self._requests.next()
        call.job.receive(call, answer, error)

    # What jobs share

    def warn_once(self, what: str, text: str, *details: object) -> None:
        """Warn, but only the first time in a run."""
        if what not in self._warned:
            self._warned.add(what)
            self.logger.warning(text, *details)

    def may_finish(self, plan: StreamPlan, campaign: Campaign) -> bool:
        """Whether a campaign's last read is its stream's last: its test halves must be done too."""
        return not campaign.lacks_halves and all(
            plan.is_finished(each)
            or self.refusals.is_refused(each)
            or (plan.action is None and self.reports.is_missing(each))
            for each in campaign.halves or ()
        )

    # The end

    def compact(self, *, is_last: bool = False) -> None:
        """Make the state small.

        Args:
            is_last: Whether all of it is, as far as it goes; else only what has grown.
        """
        # By a wrong clock young campaigns might seem to be old, and be put into a range.
        if not self._found.is_whole or not self.window.closes:
            return
        until_ms = self.window.now_ms() - bookmarks.SETTLING_MS
        for plan in self.plans:
            if plan.state is None:
                continue
            alone = self._alone.setdefault(plan.name, len(plan.state.finished.named))
            if is_last or len(plan.state.finished.named) - alone >= COMPACT_EVERY:
                finished = plan.state.finished.compact(self._found.listed, until_ms=until_ms)
                plan.state.finished = finished
                self._alone[plan.name] = len(finished.named)

    def forget_gone(self, states: Collection[bookmarks.StreamState]) -> None:
        """Drop the bookmarks of campaigns that are in no listing any more, after their window.

        Args:
            states: Those of all streams, selected or not.
        """
        found = self._found
        if not found.is_whole or found.lacks_details:
            return
        # With a start_date, test halves of older campaigns are not looked for.
        is_filtered = self.settings.start_ms is not None
        hidden = {mark for halves in self._halves.values() for mark in halves if is_filtered}
        for plan in self.plans:
            if plan.state is None:
                continue
            for key, bookmark in list(plan.state.partitions.items()):
                is_gone = key not in found.keys and bookmarks.mark(key) not in hidden
                if is_gone and self.window.is_over(bookmark):
                    del plan.state.partitions[key]
            if not is_filtered:
                plan.state.finished = plan.state.finished.forget(found.listed)
        self._forget_halves(states)

    def _forget_halves(self, states: Collection[bookmarks.StreamState]) -> None:
        """Drop test halves that neither the listing nor a state shows by itself."""
        if not self._halves:
            return
        keys = self._found.keys.union(*(state.partitions for state in states))
        marks = {bookmarks.mark(key) for key in keys}
        named = marks.union(*(state.finished.named for state in states))
        for parent, halves in list(self._halves.items()):
            if parent not in marks or named.isdisjoint(halves):
                del self._halves[parent]

    def failure(self) -> TapError | None:
        """Return what makes a run that came to its end a failure, if anything does."""
        return self.refusals.failure(self.campaigns)

    def log_summary(self) -> None:
        """Say what became of the run, in one line."""
        client, refused = self.client, len(self.refusals)
        self.logger.info(
            "%s",
            self.summary.line(
                refused=refused, calls=client.calls, waited_seconds=client.waited_seconds
            ),
        )

    def _while_waiting(self) -> None:
        now = self._clock.monotonic()
        if now - self._idle_at >= IDLE_SECONDS:
            self._idle_at = now
            self.on_idle()
        self.progress.tick(self._jobs_ahead)


def _nothing() -> None:
    """Do nothing."""
