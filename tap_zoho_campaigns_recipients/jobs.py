"""Pieces of a stream, of one campaign each: a list of recipients, or the row of a report."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from tap_zoho_campaigns_recipients import bookmarks
from tap_zoho_campaigns_recipients.answers import Endpoint
from tap_zoho_campaigns_recipients.campaigns import report_record
from tap_zoho_campaigns_recipients.discovery import IGNORES_INDEX
from tap_zoho_campaigns_recipients.errors import (
    CampaignRefused,
    RangeTooLarge,
    RunFailed,
    UnexpectedCode,
    ZohoError,
)
from tap_zoho_campaigns_recipients.moments import iso_from_ms
from tap_zoho_campaigns_recipients.progress import calls_for
from tap_zoho_campaigns_recipients.reading import IndexIgnored, Reading, Row
from tap_zoho_campaigns_recipients.records import RecordMaker

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from tap_zoho_campaigns_recipients.answers import Answer
    from tap_zoho_campaigns_recipients.campaigns import Campaign
    from tap_zoho_campaigns_recipients.errors import TapError
    from tap_zoho_campaigns_recipients.plans import StreamPlan
    from tap_zoho_campaigns_recipients.run import Run

Record = dict[str, t.Any]


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A request that a job wants."""

    job: Job
    endpoint: Endpoint
    parameters: dict[str, str]
    index: int = 0
    asked: int = 0


class Job:
    """A piece of a stream, of one campaign: the run sends what it wants and takes what it has."""

    def __init__(self, run: Run, plan: StreamPlan, campaign: Campaign) -> None:
        """Ask nothing yet."""
        self.plan = plan
        self.campaign = campaign
        self.is_done = False
        self._run = run

    def wanted(self, pages: int) -> list[Call]:
        """Return requests that can be sent now.

        Args:
            pages: How many may be under way or in memory, with those that are.
        """
        raise NotImplementedError

    def receive(self, call: Call, answer: Answer | None, error: TapError | None) -> None:
        """Take a request's answer, or what became of it."""
        raise NotImplementedError

    def take(self) -> Iterable[Record] | None:
        """Return the next records in order; None while they are on their way."""
        raise NotImplementedError

    def finish(self) -> None:
        """Take note that all records were delivered."""
        raise NotImplementedError

    def drop(self) -> None:
        """Give up."""
        self.is_done = True

    @property
    def pages(self) -> int:
        """How many pages are under way or in memory."""
        return 0

    @property
    def is_paging(self) -> bool:
        """Whether there was a page already, and it was not all."""
        return False

    def calls_to_come(self, page_rows: int) -> int | None:
        """Return how many requests for pages are not sent yet; None where nothing tells.

        Args:
            page_rows: How many rows a page is likely to hold.
        """
        del page_rows
        return 0

    def _report_wanted(self) -> list[Call]:
        if not self._run.reports.ask(self.campaign):
            return []
        return [Call(self, Endpoint.REPORT, {"campaignkey": self.campaign.key})]


class ReportJob(Job):
    """The row of one campaign in `campaign_reports`."""

    def wanted(self, pages: int) -> list[Call]:
        """Return the request for the report."""
        del pages
        if self._run.reports.is_known(self.campaign):
            return []
        return self._report_wanted()

    def receive(self, call: Call, answer: Answer | None, error: TapError | None) -> None:
        """Hand on the report."""
        self._run.receive_report(call.job.campaign, answer, error)

    def take(self) -> Iterable[Record] | None:
        """Return the record."""
        run, campaign = self._run, self.campaign
        if not run.reports.is_known(campaign):
            return None
        self.is_done = True
        document = run.reports.document(campaign)
        if document is None:
            return ()
        run.summary.rows[self.plan.name] += 1
        if not run.reads_lists:
            run.summary.read.add(campaign.key)
        read_at = run.reports.read_at(campaign)
        return [report_record(campaign, document, self.plan.properties, read_at)]

    def finish(self) -> None:
        """Set the bookmark, or close the campaign."""
        run, plan, campaign = self._run, self.plan, self.campaign
        if plan.state is None:
            return
        if run.reports.is_last(campaign) and run.may_finish(plan, campaign):
            # Also where Zoho has no report: past its window a campaign shall cost nothing.
            plan.finish(campaign)
        elif run.reports.document(campaign) is None:
            return
        else:
            read_at = run.reports.read_at(campaign)
            plan.state.partitions[campaign.key] = bookmarks.Bookmark(read_at, campaign.true_ms)
        run.on_list_finished()


class ListJob(Job):
    """One list of one campaign: its report, its pages, its bookmark."""

    def __init__(self, run: Run, plan: StreamPlan, campaign: Campaign, action: str) -> None:
        """Ask nothing yet."""
        super().__init__(run, plan, campaign)
        self._action = action
        self._is_planned = False
        self._is_last = False
        self._report: dict[str, int | float] | None = None
        self._reading: Reading[Record | None] | None = None
        self._maker: RecordMaker | None = None
        self._under_way: dict[int, Call] = {}
        self._pages: dict[int, tuple[int, Answer]] = {}
        self._began_at: str | None = None
        """When the first page was asked for, where that was before the report."""
        self._latest_sent: str | None = None
        self._unreadable_rows = 0

    def wanted(self, pages: int) -> list[Call]:
        """Return the request for the report, then for pages."""
        run, reading = self._run, self._reading
        if run.refusals.is_left_out(self.campaign):
            self.drop()
        if self.is_done:
            return []
        if not self._is_planned:
            is_doubtful = self._is_doubtful
            if not is_doubtful and not run.reports.is_known(self.campaign):
                return self._report_wanted()
            if self._under_way or not run.refusals.may_ask(self):
                return []
            if is_doubtful:
                self._began_at = run.window.now_iso()
                return [self._page_wanted(1)]
            self._plan()
            reading = self._reading
        if reading is None:
            return []
        _, first = self._pages.get(1, (0, None))
        return [
            self._page_wanted(index)
            for index in reading.ahead(pages, len(first.rows) if first else 0)
            if index not in self._pages and index not in self._under_way
        ]

    @property
    def _is_doubtful(self) -> bool:
        """Whether a page is asked for before the report.

        A campaign that was left out before is most likely deleted, and its report would fail as
        well. It is past its window: whether its lists changed does not matter.
        """
        run, campaign = self._run, self.campaign
        return (
            campaign.was_left_out
            and not run.refusals.has_answered(campaign)
            and run.window.is_closing(campaign)
        )

    def _page_wanted(self, index: int) -> Call:
        asked = self._run.lengths.asked
        parameters = {
            "campaignkey": self.campaign.key,
            "action": self._action,
            "fromindex": str(index),
            "range": str(asked),
        }
        call = Call(self, Endpoint.RECIPIENTS, parameters, index, asked)
        self._under_way[index] = call
        return call

    def _plan(self) -> None:
        """Decide whether the list is read, and begin to."""
        run, plan, campaign = self._run, self.plan, self.campaign
        self._is_planned = True
        # An A/B campaign whose test halves nobody could name is not finished in this run.
        self._is_last = run.window.is_closing(campaign) and not campaign.lacks_halves
        counts = run.reports.counts(campaign)
        if counts is not None and (self._is_last or self._began_at is None):
            self._report = {name: counts[name] for name in plan.reflected_by if name in counts}
        before = plan.state.partitions.get(campaign.key) if plan.state else None
        if not self._is_last and not bookmarks.read_again(before, self._report, plan.count):
            run.summary.unchanged_lists += 1
            run.summary.unchanged.add(campaign.key)
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
            list_read_at=self._began_at or run.window.now_iso(),
        )

    def receive(self, call: Call, answer: Answer | None, error: TapError | None) -> None:
        """Keep a page until its turn, or let the campaign go.

        Raises:
            TapError: Where it is one that ends the run.
        """
        run = self._run
        if call.endpoint is Endpoint.REPORT:
            run.receive_report(self.campaign, answer, error)
            return
        is_wanted = self._under_way.get(call.index) is call
        if is_wanted:
            del self._under_way[call.index]
        if answer is not None:
            run.refusals.answered(self.campaign)
            if is_wanted:
                self._pages[call.index] = (call.asked, answer)
        elif isinstance(error, CampaignRefused):
            run.refusals.refuse(self.campaign, error)
            if run.window.is_closing(self.campaign):
                self.plan.leave_out(self.campaign)
            self.drop()
        elif isinstance(error, RangeTooLarge) and (
            run.lengths.asked < call.asked or run.lengths.halve(call.asked)
        ):
            run.warn_once("range", "Zoho refuses range %d: asking for less", call.asked)
        elif isinstance(error, UnexpectedCode | RangeTooLarge) or type(error) is ZohoError:
            run.refusals.fail(self.campaign, error)
            self.drop()
        else:
            raise error or AssertionError

    def drop(self) -> None:
        """Give up: let go of what was fetched."""
        super().drop()
        self._under_way.clear()
        self._pages.clear()
        self._reading = None

    @property
    def pages(self) -> int:
        """How many pages are under way or in memory."""
        return len(self._pages) + len(self._under_way)

    @property
    def is_paging(self) -> bool:
        """Whether there was a page already, and it was not all."""
        return self._reading is not None and self._reading.index > 1 and not self._reading.done

    def calls_to_come(self, page_rows: int) -> int | None:
        """Return how many requests for pages are not sent yet, as far as the report tells."""
        reading = self._reading
        if self.is_done:
            return 0
        if reading is None or reading.expected is None:
            return None
        pages = calls_for(reading.expected - reading.index + 1, page_rows)
        return max(pages - self.pages, 0)

    def take(self) -> Iterable[Record] | None:
        """Return the records of the next page."""
        reading, maker = self._reading, self._maker
        if reading is None or maker is None or reading.index not in self._pages:
            return None
        asked, answer = self._pages.pop(reading.index)
        page: list[Row[Record | None]] = []
        for row in answer.rows:
            record = maker.make(row)
            key = None if record is None else record["contact_email"]
            page.append(Row(maker.identity(row, record), key, record))
        try:
            new = t.cast("list[Record]", reading.feed(asked, page))
        except IndexIgnored:
            where = f"{Endpoint.RECIPIENTS} (campaign {self.campaign.key}, action {self._action})"
            raise RunFailed(IGNORES_INDEX.format(where)) from None
        self._unreadable_rows += answer.unreadable_rows
        self._keep_what_fits(reading)
        self.is_done = reading.done
        self._run.summary.rows[self.plan.name] += len(new)
        latest = max((each["sent_time"] for each in new if each["sent_time"]), default=None)
        if latest is not None:
            self._latest_sent = max(latest, self._latest_sent or latest)
        return new

    def _keep_what_fits(self, reading: Reading[Record | None]) -> None:
        """Let go of pages that were fetched ahead and are not next after all."""
        planned = set(reading.ahead(self.pages + 1))
        for fetched in (self._pages, self._under_way):
            for index in [each for each in fetched if each not in planned]:
                del fetched[index]

    def finish(self) -> None:
        """Set the bookmark, or close the campaign; say what was odd about the list."""
        reading = self._reading
        if reading is None:
            return
        run, plan, campaign = self._run, self.plan, self.campaign
        run.summary.read.add(campaign.key)
        self._warn(reading)
        if plan.state is None:
            return
        if self._is_last and run.may_finish(plan, campaign):
            plan.finish(campaign)
        else:
            value, own_ms = self._latest_sent, campaign.reported_ms
            if own_ms is None:
                own_ms = run.window.latest_ms(campaign)
            if value is None and own_ms is not None:
                value = iso_from_ms(own_ms)
            plan.state.partitions[campaign.key] = bookmarks.after_reading(
                plan.state.partitions.get(campaign.key),
                value=value,
                sent_ms=campaign.true_ms,
                report=self._report,
                count=plan.count,
                rows=reading.rows,
            )
        run.on_list_finished()

    def _warn(self, reading: Reading[Record | None]) -> None:
        run, maker = self._run, t.cast("RecordMaker", self._maker)
        where = f"{self.plan.name} of campaign {self.campaign.key}"
        if reading.unstable:
            run.warn_once(
                "order",
                "Zoho does not keep the order of rows between pages (first seen in %s): rows may "
                "be missing",
                where,
            )
        if reading.expected is not None and reading.expected != reading.rows:
            run.logger.warning(
                "%s: %d rows were read, the report says %d", where, reading.rows, reading.expected
            )
        for count, what in (
            (
                reading.unkeyed - self._unreadable_rows,
                "rows have neither an address nor a contact ID and were left out",
            ),
            (reading.duplicates, "rows repeat an address of the list and were left out"),
            (self._unreadable_rows, "rows are not objects and were left out"),
        ):
            if count > 0:
                run.logger.warning("%s: %d %s", where, count, what)
        if maker.unread_values:
            fields = ", ".join(
                f"{name} {count}" for name, count in sorted(maker.unread_values.items())
            )
            run.logger.warning(
                "%s: values that cannot be read stand in custom_fields: %s", where, fields
            )
