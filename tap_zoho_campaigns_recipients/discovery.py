"""Finding the campaigns of a run: from the listing, from details, or by key alone."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from tap_zoho_campaigns_recipients.answers import Endpoint
from tap_zoho_campaigns_recipients.bookmarks import Listed, mark
from tap_zoho_campaigns_recipients.campaigns import (
    AB_TYPE,
    LISTING_PAGE_ROWS,
    SENT_STATUS,
    Campaign,
    add_details,
    campaign_from_listing,
    half,
    half_keys,
)
from tap_zoho_campaigns_recipients.errors import (
    CampaignRefused,
    RangeTooLarge,
    RunFailed,
    UnexpectedCode,
)
from tap_zoho_campaigns_recipients.parallel import ENDS_THE_RUN
from tap_zoho_campaigns_recipients.reading import IndexIgnored, PageLengths, Reading, Row

if t.TYPE_CHECKING:
    import logging
    from collections.abc import Mapping, Sequence

    from tap_zoho_campaigns_recipients.answers import Answer
    from tap_zoho_campaigns_recipients.bookmarks import Halves
    from tap_zoho_campaigns_recipients.parallel import Requests
    from tap_zoho_campaigns_recipients.plans import StreamPlan
    from tap_zoho_campaigns_recipients.settings import Settings
    from tap_zoho_campaigns_recipients.window import Window

MAX_CLOCK_DIFFERENCE_SECONDS = 3600

IGNORES_INDEX = (
    "Zoho answers {} with the same page whatever fromindex says: the list cannot be read"
)


@dataclass(slots=True)
class Found:
    """The campaigns of a run."""

    campaigns: list[Campaign] = field(default_factory=list)
    """Oldest first, a test half before the campaign it belongs to."""
    in_order: list[Campaign] = field(default_factory=list)
    """The same in the order of reading."""
    is_whole: bool = False
    """Whether all campaigns that there are were listed, under no filter but `start_date`."""
    listed: list[Listed] = field(default_factory=list)
    """All campaigns that were sent, as the state knows them."""
    keys: set[str] = field(default_factory=set)
    """The keys of all that there are, sent or not."""
    lacks_details: bool = False
    """Whether there may be test halves that are not known."""


class Discovery:
    """Finds a run's campaigns."""

    def __init__(
        self,
        settings: Settings,
        requests: Requests,
        window: Window,
        plans: Sequence[StreamPlan],
        logger: logging.Logger,
        halves: Halves,
    ) -> None:
        """Ask nothing yet.

        Args:
            settings: Which campaigns are wanted.
            requests: Sends requests.
            window: The engagement window.
            plans: The selected streams: what all of them have finished costs no request.
            logger: For warnings.
            halves: Which test halves the state knows; what details tell is added.
        """
        self._settings = settings
        self._requests = requests
        self._window = window
        self._plans = plans
        self._logger = logger
        self._halves = halves
        self._found = Found()

    def find(self, *, is_test: bool = False) -> Found:
        """Find the campaigns to read.

        Args:
            is_test: Whether this is only to see what Zoho lists: no details are asked for.

        Raises:
            TapError: Where the listing cannot be had and no keys are given, or this is a test.
        """
        listed = {campaign.key: campaign for campaign in self._listing(must=is_test)}
        self._compare_clocks()
        self._know_halves(listed)
        chosen = self._chosen(listed)
        if not is_test:
            self._ask_details([each for each in chosen if not each.is_listed], listed)
        chosen = [each for each in chosen if self._is_in_time(each)]
        if not is_test:
            tests = [each for each in chosen if each.is_listed and each.is_ab]
            self._ask_details(tests, listed)
        by_key = {each.key: each for each in chosen}
        for parent in chosen:
            by_key.update({each.key: each for each in parent.halves or ()})
        found = self._found
        found.campaigns = sorted(by_key.values(), key=_age)
        for each in found.campaigns:
            each.was_left_out = self._was_left_out(each.parent_key or each.key)
        found.in_order = sorted(found.campaigns, key=self._turn)
        found.keys = {*listed, *by_key}
        there = {**listed, **by_key}
        found.listed = [
            Listed(mark(each.key), each.listed_ms, hides_others=each.lacks_halves)
            for each in there.values()
            if each.status.lower() == SENT_STATUS or each.parent_key
        ]
        found.listed += self._hidden_halves(there)
        return found

    def is_unread(self, campaign: Campaign) -> bool:
        """Whether any selected stream still reads the campaign."""
        if not self._plans:
            return not self._window.is_closing(campaign)
        return not all(plan.is_finished(campaign) for plan in self._plans)

    def _listing(self, *, must: bool) -> list[Campaign]:
        reading: Reading[Campaign | None] = Reading(PageLengths(LISTING_PAGE_ROWS))
        campaigns: list[Campaign | None] = []
        try:
            while not reading.done:
                campaigns += self._listing_page(reading)
        except IndexIgnored:
            raise RunFailed(IGNORES_INDEX.format(Endpoint.LISTING)) from None
        except (UnexpectedCode, CampaignRefused, RangeTooLarge) as error:
            if must or not self._settings.campaign_keys or isinstance(error, ENDS_THE_RUN):
                raise
            self._logger.warning(
                "The campaigns cannot be listed, only campaign_keys are read: %s", error
            )
            return []
        if reading.unkeyed:
            self._logger.warning(
                "%d campaigns of the listing have no key that can be asked for, and were left out",
                reading.unkeyed,
            )
        if reading.unstable:
            self._logger.warning(
                "Zoho does not keep the order of campaigns between pages of the listing: some may "
                "be missing in this run"
            )
        self._found.is_whole = not self._settings.campaign_keys and not reading.unstable
        return [campaign for campaign in campaigns if campaign is not None]

    def _listing_page(self, reading: Reading[Campaign | None]) -> list[Campaign | None]:
        asked = reading.lengths.asked
        parameters = {
            "status": SENT_STATUS,
            "sort": "desc",
            "fromindex": str(reading.index),
            "range": str(asked),
        }
        try:
            answer = self._requests.call(Endpoint.LISTING, parameters)
        except RangeTooLarge:
            if not reading.lengths.halve(asked):
                raise
            return []
        reading.expected = answer.total
        page: list[Row[Campaign | None]] = []
        for row in answer.rows:
            campaign = campaign_from_listing(row)
            page.append(
                Row(None, None, None)
                if campaign is None
                else Row(campaign.key, campaign.key, campaign)
            )
        return reading.feed(asked, page)

    def _know_halves(self, listed: dict[str, Campaign]) -> None:
        """Tell test halves that the listing shows from campaigns, as far as the state knows them.

        Nobody asks for the details of a finished campaign, nor can be sure to get those of an open
        one.
        """
        keys = {mark(key): key for key in listed}
        for parent, halves in self._halves.items():
            for key in [keys[each] for each in halves if each in keys]:
                if parent in keys:
                    listed[key] = half(listed[keys[parent]], key, listed[key])

    def _hidden_halves(self, there: Mapping[str, Campaign]) -> list[Listed]:
        """Return the test halves that the state knows and nothing shows: they have a parent's time.

        Details named them while their parent was open. What is finished of them is put into the
        ranges with it.
        """
        marks = {mark(key): campaign for key, campaign in there.items()}
        return [
            Listed(each, marks[parent].listed_ms)
            for parent, halves in self._halves.items()
            if parent in marks
            for each in halves
            if each not in marks
        ]

    def _compare_clocks(self) -> None:
        """Close no campaign where the machine's clock is wrong."""
        difference = self._requests.client.clock_difference_seconds or 0.0
        if abs(difference) > MAX_CLOCK_DIFFERENCE_SECONDS:
            self._window.closes = False
            self._logger.warning(
                "The machine's clock is %.1f hours %s Zoho's: no campaign is closed in this run. "
                "Set the clock right",
                abs(difference) / 3600,
                "behind" if difference > 0 else "ahead of",
            )

    def _chosen(self, listed: Mapping[str, Campaign]) -> list[Campaign]:
        if not self._settings.campaign_keys:
            return [each for each in listed.values() if each.status.lower() == SENT_STATUS]
        chosen = [
            # Where the listing does not show it, the state may know that it is an A/B campaign.
            listed.get(key) or Campaign(key, kind=AB_TYPE if mark(key) in self._halves else "")
            for key in self._settings.campaign_keys
        ]
        for campaign in chosen:
            campaign.is_named = True
        return chosen

    def _ask_details(self, campaigns: Sequence[Campaign], listed: Mapping[str, Campaign]) -> None:
        """Ask for the test halves of A/B campaigns, and for what the listing does not show."""
        unread = [campaign for campaign in campaigns if self.is_unread(campaign)]
        for campaign in unread:
            parameters = {"campaignkey": campaign.key}
            if campaign.kind:
                parameters["campaigntype"] = campaign.kind
            self._requests.send(campaign, Endpoint.DETAILS, parameters)
        without_kind = []
        for _ in unread:
            campaign, answer, error = self._requests.next()
            if answer is None:
                self._found.lacks_details = True
                self._logger.warning("No details of a campaign. %s", error)
                continue
            if not campaign.kind and not campaign.is_listed:
                without_kind.append(campaign)
            self._add_details(campaign, answer, listed)
        tests = [campaign for campaign in without_kind if campaign.is_ab and not campaign.halves]
        if tests:
            # An A/B campaign shows its test halves only where its type was asked for.
            for campaign in tests:
                campaign.halves = None
            self._ask_details(tests, listed)

    def _add_details(
        self, campaign: Campaign, answer: Answer, listed: Mapping[str, Campaign]
    ) -> None:
        if not campaign.is_listed:
            add_details(campaign, answer.document)
        if campaign.is_ab:
            keys = half_keys(answer.document)
            campaign.halves = [half(campaign, key, listed.get(key)) for key in keys]
            if keys:
                self._halves[mark(campaign.key)] = tuple(mark(key) for key in keys)

    def _is_in_time(self, campaign: Campaign) -> bool:
        """Whether `start_date` lets a campaign through; one that is open in the state always is."""
        start_ms, sent_ms = self._settings.start_ms, campaign.sent_at_the_latest_ms
        if start_ms is None or sent_ms is None or sent_ms >= start_ms:
            return True
        halves = self._halves.get(mark(campaign.key), ())
        return any(
            campaign.key in plan.state.partitions
            or (halves and any(mark(key) in halves for key in plan.state.partitions))
            for plan in self._plans
            if plan.state
        )

    def _turn(self, campaign: Campaign) -> int:
        """Return when a campaign's turn is: open ones come first, each kind as old as they are.

        Campaigns that are past their window and could not be read before come last: they may be
        deleted, and three of them without a report would have the run ask for no other.
        """
        if not self._window.is_closing(campaign):
            return 0
        return 2 if campaign.was_left_out else 1

    def _was_left_out(self, key: str) -> bool:
        """Whether a campaign could not be read when others of its time were."""
        return any(
            mark(key) in plan.state.finished.without
            for plan in self._plans
            if plan.state is not None and plan.state.finished.without
        )


def _age(campaign: Campaign) -> tuple[bool, int, str, bool]:
    return (
        campaign.sent_ms is None,
        campaign.sent_ms or 0,
        campaign.parent_key or campaign.key,
        campaign.parent_key is None,
    )
