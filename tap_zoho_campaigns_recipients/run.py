"""One run: which lists are due, reading them side by side, and what became of each.

The main thread decides, in order; only requests run in threads. A list is a `ListJob` that says
which requests it wants next. The lists are worked off in order, and while the first one's pages
are written, the next ones' requests are already under way: most lists are a single page, so
looking ahead within one list would not be enough. What was fetched ahead is bounded to a few pages.
"""

from __future__ import annotations

import typing as t
from collections import Counter, deque
from dataclasses import dataclass, field
from functools import partial

from tap_zoho_campaigns_recipients import bookmarks
from tap_zoho_campaigns_recipients.answers import Endpoint
from tap_zoho_campaigns_recipients.campaigns import (
    LISTING_PAGE_ROWS,
    SENT_STATUS,
    Campaign,
    add_details,
    campaign_from_listing,
    half,
    half_keys,
    report_counts,
    report_record,
)
from tap_zoho_campaigns_recipients.errors import (
    CampaignRefused,
    InsufficientPrivileges,
    RangeTooLarge,
    RunFailed,
    TapError,
    Throttled,
    TokenRefused,
    Unauthorized,
    UnexpectedCode,
    ZohoError,
)
from tap_zoho_campaigns_recipients.limiter import StoreUnavailable
from tap_zoho_campaigns_recipients.moments import DAY_MS, iso_from_ms, ms_from_iso
from tap_zoho_campaigns_recipients.parallel import Workers
from tap_zoho_campaigns_recipients.reading import IndexIgnored, PageLengths, Reading, Row
from tap_zoho_campaigns_recipients.records import RecordMaker

if t.TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tap_zoho_campaigns_recipients.answers import Answer
    from tap_zoho_campaigns_recipients.client import Client
    from tap_zoho_campaigns_recipients.clock import Clock
    from tap_zoho_campaigns_recipients.settings import Settings

Record = dict[str, t.Any]

MAX_CLOCK_DIFFERENCE_SECONDS = 3600
REPORTLESS_CAMPAIGNS = 3
"""So many campaigns in a row without a report, and none is asked for any more."""
UNPRIVILEGED_CAMPAIGNS = 10
"""So many campaigns in a row refused for want of privileges, and the run stops."""
PROGRESS_SECONDS = 30

ENDS_THE_RUN = (Unauthorized, TokenRefused, Throttled, StoreUnavailable)
"""Errors that no campaign is to blame for, whatever was asked."""


@dataclass(frozen=True, slots=True, eq=False)
class StreamPlan:
    """What a run needs to know of a selected stream."""

    name: str
    properties: Mapping[str, t.Any]
    """The fields of its schema."""
    state: bookmarks.StreamState | None
    """Its state; None where everything is read and no state is kept."""
    action: str | None = None
    """Zoho's name of the recipient action; None for reports."""
    count: str | None = None
    """The report's count of the list's rows."""
    reflected_by: tuple[str, ...] = ()
    """The report's counts that could show a change of the list."""


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A request that a job wants."""

    job: Job
    endpoint: Endpoint
    parameters: dict[str, str]
    index: int = 0
    asked: int = 0


@dataclass(slots=True)
class Summary:
    """What became of the run, for its last line."""

    considered: set[str] = field(default_factory=set)
    read: set[str] = field(default_factory=set)
    unchanged_lists: int = 0
    closed: set[str] = field(default_factory=set)
    rows: Counter[str] = field(default_factory=Counter)


class Job(t.Protocol):
    """A piece of a stream, of one campaign."""

    plan: StreamPlan
    campaign: Campaign
    is_done: bool

    def wanted(self, most: int, *, is_head: bool) -> list[Call]:
        """Return requests that can be sent now, at most so many."""

    def receive(self, call: Call, answer: Answer | None, error: BaseException | None) -> None:
        """Take a request's answer, or what became of it."""

    def take(self) -> Iterator[Record] | None:
        """Return the next records in order; None while they are on their way."""

    def finish(self) -> None:
        """Take note that all records were delivered."""

    def drop(self) -> None:
        """Give up: let go of what was fetched."""


class Run:
    """One run of the tap over all selected streams."""

    def __init__(  # noqa: PLR0913 - the parts are made by the tap, each from its own settings
        self,
        settings: Settings,
        client: Client,
        clock: Clock,
        logger: logging.Logger,
        plans: Sequence[StreamPlan],
        workers: Workers,
    ) -> None:
        """Ask nothing yet.

        Args:
            settings: The run's settings.
            client: Sends requests.
            clock: The time.
            logger: For everything that the user should know.
            plans: The selected streams but `campaigns`, in the order in which they will be read.
            workers: Threads for requests.
        """
        self.settings = settings
        self.client = client
        self.clock = clock
        self.logger = logger
        self.plans = plans
        self.campaigns: list[Campaign] = []
        """The campaigns of this run, test halves before their parents, oldest first."""
        self.lengths = PageLengths(settings.page_size)
        self.summary = Summary()
        self.warned: set[str] = set()
        self.on_list_finished: Callable[[], None] = _nothing
        """Called when a list was delivered whole: a good moment for a STATE."""
        self._workers = workers
        parallel = settings.max_parallel_requests
        self._most_fetched = parallel if parallel == 1 else 2 * parallel
        self._fetched = 0
        self._window: deque[Job] = deque()
        self._source = self._jobs()
        self._source_is_empty = False
        self._reports = Reports(self)
        self._refused: dict[str, CampaignRefused] = {}
        self._failed: dict[str, TapError] = {}
        self._unprivileged_in_a_row = 0
        self._answered: set[str] = set()
        self._asked_by: dict[str, Job] = {}
        self._is_complete = False
        self._closes = True
        self._listed: list[tuple[str, int | None]] = []
        self._all_keys: set[str] = set()
        self._details_missing = False
        self._progress_at = clock.monotonic()

    # Finding campaigns

    def discover(self) -> None:
        """Find the campaigns to read.

        Raises:
            TapError: Where the listing cannot be had and no keys are given, or nothing can.
        """
        listed = {campaign.key: campaign for campaign in self._listing()}
        difference = self.client.clock_difference_seconds or 0.0
        if abs(difference) > MAX_CLOCK_DIFFERENCE_SECONDS:
            self._closes = False
            self.logger.warning(
                "The machine's clock is %.1f hours %s Zoho's: no campaign is closed in this run. "
                "Set the clock right",
                abs(difference) / 3600,
                "behind" if difference > 0 else "ahead of",
            )
        self._all_keys = set(listed)
        if self.settings.campaign_keys:
            chosen = [
                listed.get(key) or Campaign(key) for key in self.settings.campaign_keys
            ]
            for campaign in chosen:
                campaign.is_named = True
        else:
            chosen = [each for each in listed.values() if each.status.lower() == SENT_STATUS]
        unlisted = [each for each in chosen if not each.is_listed and self._is_unread(each)]
        self._ask_details(unlisted, listed)
        chosen = [each for each in chosen if self._is_in_time(each)]
        parents = [each for each in chosen if each.is_ab and each.halves is None]
        self._ask_details([each for each in parents if self._is_unread(each)], listed)
        by_key = {each.key: each for each in chosen}
        for parent in chosen:
            by_key.update({each.key: each for each in parent.halves or ()})
        self._all_keys |= set(by_key)
        self.campaigns = sorted(
            by_key.values(),
            key=lambda each: (
                each.sent_ms is None,
                each.sent_ms or 0,
                each.parent_key or each.key,
                each.parent_key is None,
            ),
        )
        self._listed = [
            (bookmarks.mark(each.key), each.sent_ms)
            for each in {**listed, **by_key}.values()
            if each.status.lower() == SENT_STATUS or each.parent_key
        ]

    def _listing(self) -> list[Campaign]:
        reading: Reading[Campaign] = Reading(PageLengths(LISTING_PAGE_ROWS))
        lengths = reading.lengths
        campaigns: list[Campaign] = []
        try:
            while not reading.done:
                asked = lengths.asked
                try:
                    answer = self._call(
                        Endpoint.LISTING,
                        {
                            "status": SENT_STATUS,
                            "sort": "desc",
                            "fromindex": str(reading.index),
                            "range": str(asked),
                        },
                    )
                except RangeTooLarge:
                    if not lengths.halve(asked):
                        raise
                    continue
                reading.expected = answer.total
                found = [campaign_from_listing(row) for row in answer.rows]
                page = [Row(each.key, each.key, each) for each in found if each is not None]
                campaigns += reading.feed(asked, page)
        except IndexIgnored:
            raise RunFailed(_IGNORES_INDEX.format("recentcampaigns")) from None
        except (*ENDS_THE_RUN,):
            raise
        except ZohoError as error:
            if not self.settings.campaign_keys or not isinstance(error, UnexpectedCode | CampaignRefused):
                raise
            self.logger.warning("The campaigns cannot be listed, only campaign_keys are read: %s", error)
            return []
        self._is_complete = not self.settings.campaign_keys
        return campaigns

    def _ask_details(self, campaigns: Sequence[Campaign], listed: Mapping[str, Campaign]) -> None:
        """Ask for the test halves of A/B campaigns, and for what the listing does not show."""
        for campaign in campaigns:
            parameters = {"campaignkey": campaign.key}
            if campaign.kind:
                parameters["campaigntype"] = campaign.kind
            self._submit(
                campaign,
                partial(self.client.call, Endpoint.DETAILS, parameters),
            )
        answers: dict[str, Answer | BaseException] = {}
        while len(answers) < len(campaigns):
            done = self._next()
            answers[done.ticket.key] = done.error or done.result
        unlisted_tests = []
        for campaign in campaigns:
            answer = answers[campaign.key]
            if isinstance(answer, BaseException):
                if not isinstance(answer, TapError) or isinstance(answer, ENDS_THE_RUN):
                    raise answer
                self._details_missing = True
                self.logger.warning("No details of a campaign. %s", answer)
                continue
            asked_kind = campaign.kind
            if not campaign.is_listed:
                add_details(campaign, answer.document)
            if campaign.is_ab:
                keys = half_keys(answer.document)
                campaign.halves = [half(campaign, key, listed.get(key)) for key in keys]
                if not keys and not asked_kind:
                    unlisted_tests.append(campaign)
        if unlisted_tests:
            # An A/B campaign shows its halves only where its type was asked for.
            self._ask_details(unlisted_tests, listed)

    def _is_unread(self, campaign: Campaign) -> bool:
        """Whether any selected stream still reads the campaign."""
        if not self.plans:
            return not self._is_closing(campaign)
        return any(
            plan.state is None or not plan.state.is_finished(campaign.key, campaign.sent_ms)
            for plan in self.plans
        )

    def _is_in_time(self, campaign: Campaign) -> bool:
        """Whether `start_date` lets the campaign through; one that is open in the state always is."""
        sent_ms = campaign.sent_at_the_latest_ms
        if self.settings.start_ms is None or sent_ms is None or sent_ms >= self.settings.start_ms:
            return True
        return any(plan.state and campaign.key in plan.state.partitions for plan in self.plans)

    def _is_closing(self, campaign: Campaign) -> bool:
        """Whether a reading that begins now is the campaign's last."""
        sent_ms = campaign.sent_at_the_latest_ms
        if sent_ms is None:
            values = [
                ms_from_iso(bookmark.value) + DAY_MS
                for plan in self.plans
                if plan.action
                and plan.state
                and (bookmark := plan.state.partitions.get(campaign.key))
                and bookmark.value
            ]
            sent_ms = max(values, default=None)
        return self._closes and sent_ms is not None and self._is_over(sent_ms)

    def _is_over(self, sent_ms: int) -> bool:
        return self._now_ms() > sent_ms + self.settings.engagement_window_days * DAY_MS

    def _now_ms(self) -> int:
        return int(self.clock.time() * 1000)

    # Reading

    def records(self, plan: StreamPlan) -> Iterator[Record]:
        """Yield the records of one stream; the streams must be asked in the order of `plans`.

        A list counts as delivered when the record after its last one is asked for.

        Raises:
            TapError: Where the run must stop.
        """
        while (head := self._head(plan)) is not None:
            while not head.is_done:
                self._fill()
                records = head.take()
                if records is not None:
                    yield from records
                elif not head.is_done:
                    self._receive()
            head.finish()
            self._window.popleft()

    def _jobs(self) -> Iterator[Job]:
        for plan in self.plans:
            for campaign in self.campaigns:
                self.summary.considered.add(campaign.key)
                if plan.state and plan.state.is_finished(campaign.key, campaign.sent_ms):
                    self.summary.closed.add(campaign.key)
                elif plan.action is None:
                    yield ReportJob(self, plan, campaign, is_last=self._is_closing(campaign))
                elif campaign.key not in self._refused and campaign.key not in self._failed:
                    yield ListJob(self, plan, plan.action, campaign)

    def _head(self, plan: StreamPlan) -> Job | None:
        """Return the stream's next job; what is left of streams before it was given up."""
        before = self.plans[: self.plans.index(plan)]
        self._extend(1)
        while self._window and self._window[0].plan in before:
            self._window.popleft().drop()
            self._extend(1)
        return self._window[0] if self._window and self._window[0].plan is plan else None

    def _extend(self, length: int) -> None:
        while len(self._window) < length and not self._source_is_empty:
            job = next(self._source, None)
            if job is None:
                self._source_is_empty = True
            else:
                self._window.append(job)

    def _fill(self) -> None:
        """Send requests ahead, the first job's before the next one's, as far as there is room."""
        position = 0
        while position == 0 or self._fetched < self._most_fetched:
            self._extend(position + 1)
            if position >= len(self._window) or position > self._most_fetched:
                return
            job = self._window[position]
            room = max(self._most_fetched - self._fetched, 1 if position == 0 else 0)
            for call in job.wanted(room, is_head=position == 0):
                self._fetched += 1
                self._submit(
                    call,
                    partial(
                        self.client.call,
                        call.endpoint,
                        call.parameters,
                        self.settings.response_format
                        if call.endpoint is Endpoint.RECIPIENTS
                        else "json",
                    ),
                )
            position += 1

    def consumed(self, pages: int = 1) -> None:
        """Make room for requests: a job has done with what was fetched for it."""
        self._fetched -= pages

    def _receive(self) -> None:
        done = self._next()
        call = done.ticket
        if done.error is not None and not isinstance(done.error, TapError):
            raise done.error
        if isinstance(done.error, ENDS_THE_RUN):
            raise done.error
        call.job.receive(call, done.result, done.error)

    def _submit(self, ticket: object, work: Callable[[], t.Any]) -> None:
        self._workers.submit(ticket, work)

    def _next(self) -> t.Any:  # noqa: ANN401 - a ticket is whatever was handed in
        while True:
            done = self._workers.next(timeout_seconds=1)
            self._log_progress()
            if done is not None:
                return done

    def _call(self, endpoint: Endpoint, parameters: dict[str, str]) -> Answer:
        self._submit(None, partial(self.client.call, endpoint, parameters))
        done = self._next()
        if done.error is not None:
            raise done.error
        return t.cast("Answer", done.result)

    # What jobs share

    @property
    def reports(self) -> Reports:
        """The reports of the run's campaigns."""
        return self._reports

    def is_closing(self, campaign: Campaign) -> bool:
        """Whether a reading that begins now is the campaign's last."""
        return self._is_closing(campaign)

    def now_iso(self) -> str:
        """Return the moment as records hold it."""
        return iso_from_ms(self._now_ms())

    def may_ask(self, job: Job) -> bool:
        """Whether a list's first page may be asked for now.

        A campaign that is refused shall cost one call, so until one of its lists has answered
        only one is asked.
        """
        key = job.campaign.key
        asker = self._asked_by.get(key)
        if asker is None or asker.is_done:
            self._asked_by[key] = asker = job
        return key in self._answered or asker is job

    def is_left_out(self, campaign: Campaign) -> bool:
        """Whether the campaign was refused or failed in this run."""
        return campaign.key in self._refused or campaign.key in self._failed

    def answered(self, campaign: Campaign) -> None:
        """Take note that Zoho gives this campaign's lists."""
        self._answered.add(campaign.key)
        self._unprivileged_in_a_row = 0

    def refuse(self, campaign: Campaign, error: CampaignRefused) -> None:
        """Leave a campaign out of this run.

        Raises:
            InsufficientPrivileges: When it is not this campaign but the user.
        """
        if campaign.key in self._refused:
            return
        self._refused[campaign.key] = error
        if isinstance(error, InsufficientPrivileges):
            self._unprivileged_in_a_row += 1
            if self._unprivileged_in_a_row >= UNPRIVILEGED_CAMPAIGNS and not self._answered:
                raise error
        if not campaign.is_named and not self._is_closing(campaign):
            self.logger.warning(
                "A campaign%s is left out in this run. %s", _called(campaign), error
            )

    def fail(self, campaign: Campaign, error: TapError) -> None:
        """Leave a campaign out, and have the run fail in its end."""
        self._failed.setdefault(campaign.key, error)

    def warn_once(self, what: str, text: str, *details: object) -> None:
        """Warn, but only the first time in a run."""
        if what not in self.warned:
            self.warned.add(what)
            self.logger.warning(text, *details)

    def may_finish(self, plan: StreamPlan, campaign: Campaign) -> bool:
        """Whether a campaign's last read is its stream's last: its test halves must be done too."""
        if not campaign.is_ab or plan.state is None:
            return True
        return campaign.halves is not None and all(
            plan.state.is_finished(each.key, each.sent_ms) or each.key in self._refused
            for each in campaign.halves
        )

    # The end

    def compact(self, plan: StreamPlan) -> None:
        """Make a stream's state small."""
        if plan.state is None or not self._is_complete:
            return
        plan.state.finished = plan.state.finished.compact(
            self._listed,
            start_ms=self.settings.start_ms,
            until_ms=self._now_ms() - bookmarks.SETTLING_MS,
        )

    def forget_gone(self) -> None:
        """Drop the bookmarks of campaigns that are in no listing any more, after their window."""
        if not self._is_complete or not self._closes or self._details_missing:
            return
        for plan in self.plans:
            if plan.state is None:
                continue
            for key, bookmark in list(plan.state.partitions.items()):
                sent_ms = bookmark.sent_ms
                if sent_ms is None and bookmark.value is not None:
                    sent_ms = ms_from_iso(bookmark.value) + DAY_MS
                if key not in self._all_keys and sent_ms is not None and self._is_over(sent_ms):
                    del plan.state.partitions[key]
            listed = {mark for mark, _ in self._listed}
            plan.state.finished = plan.state.finished.forget(plan.state.finished.without - listed)

    def failure(self) -> TapError | None:
        """Return what makes a run that came to its end a failure, if anything does."""
        by_key = {campaign.key: campaign for campaign in self.campaigns}
        refused = {key: error for key, error in self._refused.items() if by_key[key].is_named}
        closed = [key for key in self._refused if key not in refused and self._is_closing(by_key[key])]
        if closed:
            self.logger.warning(
                "%d campaigns past their engagement window are refused and were left out: %s%s",
                len(closed),
                ", ".join(closed[:5]),
                ", …" if len(closed) > 5 else "",  # noqa: PLR2004 - as the line before
            )
        unprivileged = [
            error for error in self._refused.values() if isinstance(error, InsufficientPrivileges)
        ]
        if unprivileged and len(unprivileged) == len(self._refused) and not self._answered:
            return unprivileged[0]
        wrong = {**self._failed, **refused}
        if not wrong:
            return None
        return RunFailed(
            f"{len(wrong)} of {len(self.campaigns)} campaigns could not be read, all others were: "
            + "; ".join(str(error) for error in wrong.values())
        )

    def log_summary(self) -> None:
        """Say what became of the run, in one line."""
        summary = self.summary
        open_keys = summary.considered - summary.closed
        calls = ", ".join(f"{name} {count}" for name, count in sorted(self.client.calls.items()))
        rows = ", ".join(f"{name} {count}" for name, count in sorted(summary.rows.items()))
        self.logger.info(
            "Run ended. Campaigns: %d open, %d read, left out: %d unchanged, %d closed, %d refused. "
            "Lists unchanged: %d. Rows: %s. Calls: %s. Waited %.0f s",
            len(open_keys),
            len(summary.read),
            len(open_keys - summary.read - set(self._refused) - set(self._failed)),
            len(summary.closed - open_keys),
            len(self._refused) + len(self._failed),
            summary.unchanged_lists,
            rows or "none",
            calls or "none",
            self.client.waited_seconds,
        )

    def _log_progress(self) -> None:
        now = self.clock.monotonic()
        if now - self._progress_at < PROGRESS_SECONDS:
            return
        self._progress_at = now
        if self._window:
            head = self._window[0]
            self.logger.info(
                "Reading %s: campaign %d of %d, %d rows so far",
                head.plan.name,
                self.campaigns.index(head.campaign) + 1,
                len(self.campaigns),
                self.summary.rows[head.plan.name],
            )


class Reports:
    """Each campaign's report, asked for once a run."""

    def __init__(self, run: Run) -> None:
        """Know none yet."""
        self._run = run
        self._asked: dict[str, str] = {}
        self._documents: dict[str, Mapping[str, t.Any] | None] = {}
        self._none_in_a_row = 0
        self._has_any = False

    def is_known(self, campaign: Campaign) -> bool:
        """Whether there is nothing to wait for."""
        key = campaign.key
        if key not in self._documents and key not in self._asked and self._gave_up:
            self._documents[key] = None
        return key in self._documents

    def document(self, campaign: Campaign) -> Mapping[str, t.Any] | None:
        """Return a known report; None where there is none."""
        return self._documents[campaign.key]

    def read_at(self, campaign: Campaign) -> str:
        """Return when a campaign's report was asked for."""
        return self._asked[campaign.key]

    def wanted(self, job: Job) -> list[Call]:
        """Return the request for a campaign's report, unless it is under way or must wait.

        Until one came, and after one that did not, one is asked for at a time: so an account that
        has no reports costs few calls.
        """
        key = job.campaign.key
        under_way = len(self._asked) - sum(1 for each in self._documents if each in self._asked)
        if key in self._asked or (under_way and (self._none_in_a_row or not self._has_any)):
            return []
        self._asked[key] = self._run.now_iso()
        return [Call(job, Endpoint.REPORT, {"campaignkey": key})]

    def receive(self, call: Call, answer: Answer | None, error: BaseException | None) -> None:
        """Keep a report, or that there is none."""
        campaign = call.job.campaign
        self._run.consumed()
        if answer is not None and report_counts(answer.document):
            self._documents[campaign.key] = answer.document
            self._none_in_a_row = 0
            self._has_any = True
            return
        self._documents[campaign.key] = None
        self._none_in_a_row += 1
        self._run.logger.warning(
            "No report of a campaign, its lists are read whole. %s",
            error or f"The one of campaign {campaign.key} has no counts",
        )
        if self._none_in_a_row == REPORTLESS_CAMPAIGNS:
            self._run.logger.warning(
                "%d campaigns in a row have no report: none is asked for in this run any more",
                REPORTLESS_CAMPAIGNS,
            )

    @property
    def _gave_up(self) -> bool:
        return self._none_in_a_row >= REPORTLESS_CAMPAIGNS


class ReportJob:
    """The row of one campaign in `campaign_reports`."""

    def __init__(self, run: Run, plan: StreamPlan, campaign: Campaign, *, is_last: bool) -> None:
        """Ask nothing yet."""
        self.plan = plan
        self.campaign = campaign
        self.is_done = False
        self._run = run
        self._is_last = is_last

    def wanted(self, most: int, *, is_head: bool) -> list[Call]:
        """Return the request for the report."""
        del most, is_head
        reports = self._run.reports
        return [] if reports.is_known(self.campaign) else reports.wanted(self)

    def receive(self, call: Call, answer: Answer | None, error: BaseException | None) -> None:
        """Hand on the report."""
        self._run.reports.receive(call, answer, error)

    def take(self) -> Iterator[Record] | None:
        """Return the record."""
        reports = self._run.reports
        if not reports.is_known(self.campaign):
            return None
        self.is_done = True
        document = reports.document(self.campaign)
        if document is None:
            return iter(())
        self._run.summary.rows[self.plan.name] += 1
        read_at = reports.read_at(self.campaign)
        return iter([report_record(self.campaign, document, self.plan.properties, read_at)])

    def finish(self) -> None:
        """Set the bookmark, or close the campaign."""
        state = self.plan.state
        if state is None or self._run.reports.document(self.campaign) is None:
            return
        campaign = self.campaign
        if self._is_last and self._run.may_finish(self.plan, campaign):
            state.finish(campaign.key, campaign.sent_ms if campaign.is_listed else None)
        else:
            read_at = self._run.reports.read_at(campaign)
            state.partitions[campaign.key] = bookmarks.Bookmark(read_at, campaign.true_ms)
        self._run.on_list_finished()


    def drop(self) -> None:
        """Give up; the report is kept for others."""
        self.is_done = True


class ListJob:
    """One list of one campaign: its report, its pages, its bookmark."""

    def __init__(self, run: Run, plan: StreamPlan, action: str, campaign: Campaign) -> None:
        """Ask nothing yet."""
        self.plan = plan
        self.campaign = campaign
        self.is_done = False
        self._run = run
        self._action = action
        self._is_planned = False
        self._is_last = False
        self._report: dict[str, int | float] | None = None
        self._reading: Reading[Record] | None = None
        self._maker: RecordMaker | None = None
        self._under_way: dict[int, int] = {}
        self._pages: dict[int, tuple[int, Answer]] = {}
        self._latest_sent: str | None = None
        self._unreadable_rows = 0

    def wanted(self, most: int, *, is_head: bool) -> list[Call]:
        """Return the request for the report, then for pages.

        Only the first list in line asks for more than its first page: what the others have
        fetched is kept in memory.
        """
        run = self._run
        if not self.is_done and run.is_left_out(self.campaign):
            self.drop()
        if self.is_done:
            return []
        if not self._is_planned:
            if not run.reports.is_known(self.campaign):
                return run.reports.wanted(self)
            if not run.may_ask(self):
                return []
            self._plan()
        if self._reading is None:
            return []
        asked = run.lengths.asked
        calls = []
        for index in self._reading.ahead(most if is_head else 1):
            if len(calls) < most and index not in self._pages and index not in self._under_way:
                self._under_way[index] = asked
                calls.append(
                    Call(
                        self,
                        Endpoint.RECIPIENTS,
                        {
                            "campaignkey": self.campaign.key,
                            "action": self._action,
                            "fromindex": str(index),
                            "range": str(asked),
                        },
                        index,
                        asked,
                    )
                )
        return calls

    def _plan(self) -> None:
        """Decide whether the list is read, and begin to."""
        run, plan, campaign = self._run, self.plan, self.campaign
        self._is_planned = True
        self._is_last = run.is_closing(campaign)
        document = run.reports.document(campaign)
        if document is not None:
            counts = report_counts(document)
            self._report = {name: counts[name] for name in plan.reflected_by if name in counts}
        if (
            plan.state is not None
            and not self._is_last
            and not bookmarks.read_again(
                plan.state.partitions.get(campaign.key), self._report, plan.count
            )
        ):
            run.summary.unchanged_lists += 1
            self.is_done = True
            return
        count = (self._report or {}).get(plan.count or "")
        self._reading = Reading(run.lengths, None if count is None else int(count))
        self._maker = RecordMaker(
            action=self._action,
            fields=tuple(plan.properties),
            campaign_key=campaign.key,
            parent_campaign_key=campaign.parent_key,
            skew_ms=campaign.skew_ms,
            account_timezone=run.settings.account_timezone,
            response_format=run.settings.response_format,
            list_read_at=run.now_iso(),
        )

    def receive(self, call: Call, answer: Answer | None, error: BaseException | None) -> None:
        """Keep a page until its turn, or let the campaign go."""
        run = self._run
        if call.endpoint is Endpoint.REPORT:
            run.reports.receive(call, answer, error)
            return
        asked = self._under_way.pop(call.index, None)
        if asked is None or self.is_done:
            run.consumed()
        elif answer is not None:
            run.answered(self.campaign)
            self._pages[call.index] = (asked, answer)
        elif isinstance(error, RangeTooLarge) and (
            run.lengths.asked < call.asked or run.lengths.halve(call.asked)
        ):
            run.consumed()
            run.warn_once("range", "Zoho refuses range %d: asking for less", call.asked)
        elif isinstance(error, CampaignRefused):
            run.consumed()
            run.refuse(self.campaign, error)
            self.drop()
        elif isinstance(error, UnexpectedCode | RangeTooLarge) or type(error) is ZohoError:
            run.consumed()
            run.fail(self.campaign, error)
            self.drop()
        else:
            raise error or AssertionError

    def drop(self) -> None:
        """Give up: let go of what was fetched."""
        self.is_done = True
        self._run.consumed(len(self._pages))
        self._pages.clear()
        self._reading = None

    def take(self) -> Iterator[Record] | None:
        """Return the records of the next page."""
        reading = self._reading
        if reading is None or reading.index not in self._pages:
            return None
        asked, answer = self._pages.pop(reading.index)
        self._run.consumed()
        maker = t.cast("RecordMaker", self._maker)
        page = []
        for row in answer.rows:
            record = maker.make(row)
            key = None if record is None else record["contact_email"]
            page.append(Row(maker.identity(row, record), key, record))
        try:
            new = reading.feed(asked, page)
        except IndexIgnored:
            where = f"getcampaignrecipientsdata (campaign {self.campaign.key}, action {self._action})"
            raise RunFailed(_IGNORES_INDEX.format(where)) from None
        self._unreadable_rows += answer.unreadable_rows
        self._keep_what_fits()
        self.is_done = reading.done
        self._run.summary.rows[self.plan.name] += len(new)
        latest = max((each["sent_time"] for each in new if each["sent_time"]), default=None)
        if latest is not None:
            self._latest_sent = max(latest, self._latest_sent or latest)
        return iter(t.cast("list[Record]", new))

    def _keep_what_fits(self) -> None:
        """Let go of pages that were fetched ahead and are not next after all."""
        reading = t.cast("Reading[Record]", self._reading)
        planned = set(reading.ahead(len(self._pages) + len(self._under_way) + 1))
        for index in [each for each in self._pages if each not in planned]:
            del self._pages[index]
            self._run.consumed()
        for index in [each for each in self._under_way if each not in planned]:
            del self._under_way[index]

    def finish(self) -> None:
        """Set the bookmark, or close the campaign; say what was odd about the list."""
        reading = self._reading
        if reading is None:
            return
        run, plan, campaign = self._run, self.plan, self.campaign
        run.summary.read.add(campaign.key)
        self._warn(reading)
        state = plan.state
        if state is None:
            return
        if self._is_last and run.may_finish(plan, campaign):
            state.finish(campaign.key, campaign.sent_ms if campaign.is_listed else None)
        else:
            value = self._latest_sent
            if value is None and campaign.reported_ms is not None:
                value = iso_from_ms(campaign.reported_ms)
            state.partitions[campaign.key] = bookmarks.after_reading(
                state.partitions.get(campaign.key),
                value=value,
                sent_ms=campaign.true_ms,
                report=self._report,
                count=plan.count,
                rows=reading.rows,
            )
        run.on_list_finished()

    def _warn(self, reading: Reading[Record]) -> None:
        logger, maker = self._run.logger, t.cast("RecordMaker", self._maker)
        where = f"{self.plan.name} of campaign {self.campaign.key}"
        if reading.unstable:
            self._run.warn_once(
                "order",
                "Zoho does not keep the order of rows between pages (first seen in %s): rows may be "
                "missing, they are read again in the next run",
                where,
            )
        if reading.expected is not None and reading.expected != reading.rows:
            logger.warning(
                "%s: %d rows were read, the report says %d", where, reading.rows, reading.expected
            )
        for count, what in (
            (reading.unkeyed, "rows have neither an address nor a contact ID and were left out"),
            (reading.duplicates, "rows repeat an address of the list and were left out"),
            (self._unreadable_rows, "rows are not objects and were left out"),
        ):
            if count:
                logger.warning("%s: %d %s", where, count, what)
        if maker.unread_values:
            fields = ", ".join(f"{name} {count}" for name, count in sorted(maker.unread_values.items()))
            logger.warning("%s: values that cannot be read stand in custom_fields: %s", where, fields)


_IGNORES_INDEX = "Zoho answers {} with the same page whatever fromindex says: the list cannot be read"


def _called(campaign: Campaign) -> str:
    return f' ("{campaign.name[:60]}")' if campaign.name else ""


def _nothing() -> None:
    """Do nothing."""

