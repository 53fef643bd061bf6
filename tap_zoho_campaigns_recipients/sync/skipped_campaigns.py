"""Campaigns and lists that are skipped: Zoho refuses them, or they cannot be read."""

from __future__ import annotations

import typing as t

from tap_zoho_campaigns_recipients.sync.finished import key_hash
from tap_zoho_campaigns_recipients.zoho.errors import InsufficientPrivileges, PartlyFailed, quoted

if t.TYPE_CHECKING:
    import logging
    from collections.abc import Iterable, Sequence

    from tap_zoho_campaigns_recipients.sync.engagement_window import EngagementWindow
    from tap_zoho_campaigns_recipients.sync.observations import Observations
    from tap_zoho_campaigns_recipients.sync.reader import Reader
    from tap_zoho_campaigns_recipients.zoho.campaigns import Campaign
    from tap_zoho_campaigns_recipients.zoho.errors import CampaignRefused, TapError

UNPRIVILEGED_CAMPAIGNS = 10
"""The run stops when so many campaigns in a row are refused because of missing privileges, if
there is no sign that any campaign can be read."""

FAILED_LISTS = 3
"""The run stops when so many lists in a row could not be read."""

MOST_NAMED = 5
"""A line of the log names at most so many campaigns."""


class SkippedCampaigns:
    """What is left out of a run, and what that means for it."""

    def __init__(
        self,
        window: EngagementWindow,
        observations: Observations,
        logger: logging.Logger,
        *,
        was_read_before: bool,
    ) -> None:
        """Start without any skipped campaign.

        Args:
            window: Tells the time, and which campaigns are past their window.
            observations: What failed in earlier runs; what fails is added.
            logger: Gets a warning for each skipped campaign.
            was_read_before: Whether any campaign was read in an earlier run.
        """
        self._window = window
        self._observations = observations
        self._logger = logger
        self._was_read_before = was_read_before
        self._refused: dict[str, CampaignRefused] = {}
        self._failed: dict[str, tuple[Campaign, TapError]] = {}
        self._failed_lists: dict[tuple[str, str], tuple[Campaign, TapError]] = {}
        self._resting: set[str] = set()
        self._answered: set[str] = set()
        self._asked_by: dict[str, Reader] = {}
        self._unprivileged_in_a_row = 0
        self._failed_in_a_row: list[str] = []

    def __len__(self) -> int:
        """Return how many campaigns were left out, some of them in part."""
        lists = {key for key, _ in self._failed_lists}
        return len({*self._refused, *self._failed, *self._resting, *lists})

    def rests(self, campaign: Campaign, action: str) -> bool:
        """Whether a list is not tried in this run, because it has failed for a week."""
        if not self._window.is_closing(campaign):
            return False
        now_ms = self._window.now_ms()
        rests = any(
            self._observations.rests(hashed, now_ms)
            for hashed in (_hash(campaign.key), _hash(campaign.key, action))
        )
        if rests:
            self._resting.add(campaign.key)
        return rests

    def may_ask(self, reader: Reader) -> bool:
        """Whether the first page of a list may be requested now.

        A refused campaign must cost only one call, so only one list of a campaign is requested
        until Zoho has answered one.
        """
        key = reader.campaign.key
        if key in self._answered:
            return True
        asker = self._asked_by.get(key)
        if asker is None or asker.is_done:
            self._asked_by[key] = asker = reader
        return asker is reader

    def answered(self, campaign: Campaign, action: str) -> None:
        """Record that Zoho has answered a request for a list of the campaign."""
        self._answered.add(campaign.key)
        # A reader that is kept would keep its pages in memory.
        self._asked_by.pop(campaign.key, None)
        self._unprivileged_in_a_row = 0
        self._failed_in_a_row.clear()
        for hashed in (_hash(campaign.key), _hash(campaign.key, action)):
            self._observations.failed.pop(hashed, None)

    def has_answered(self, campaign: Campaign) -> bool:
        """Whether Zoho has answered a request for a list of the campaign in this run."""
        return campaign.key in self._answered

    def is_refused(self, campaign: Campaign) -> bool:
        """Whether Zoho refused the campaign in this run, or it rests."""
        return campaign.key in self._refused or campaign.key in self._resting

    def is_left_out(self, campaign: Campaign) -> bool:
        """Whether the campaign as a whole was refused or failed in this run."""
        return campaign.key in self._refused or campaign.key in self._failed

    def refuse(self, campaign: Campaign, error: CampaignRefused) -> None:
        """Leave a campaign out of this run, and log it unless the end of the run will.

        Raises:
            InsufficientPrivileges: The user may not read any campaign.
        """
        if self.is_left_out(campaign):
            return
        self._failed_in_a_row.clear()
        self._refused[campaign.key] = error
        if not isinstance(error, InsufficientPrivileges):
            self._unprivileged_in_a_row = 0
        else:
            self._unprivileged_in_a_row += 1
            is_none_readable = not self._answered and not self._was_read_before
            if self._unprivileged_in_a_row >= UNPRIVILEGED_CAMPAIGNS and is_none_readable:
                raise error
        if self._window.is_closing(campaign):
            self._observations.fail(_hash(campaign.key), self._window.now_ms())
        elif not campaign.is_named:
            name = f' ("{quoted(campaign.name)[:60]}")' if campaign.name else ""
            self._logger.warning("A campaign%s is left out in this run. %s", name, error)

    def fail(self, campaign: Campaign, error: TapError) -> None:
        """Leave a campaign out, and let the run fail at its end."""
        self._failed.setdefault(campaign.key, (campaign, error))
        self._failed_in_a_row.clear()
        self._observe(campaign, _hash(campaign.key))

    def fail_list(self, campaign: Campaign, action: str, error: TapError, due: int) -> None:
        """Leave a list out, and let the run fail at its end.

        Args:
            campaign: The campaign that the list belongs to.
            action: Zoho's name of the list.
            error: Why no try succeeded.
            due: The number of campaigns that may have lists to read.

        Raises:
            TapError: So many lists have failed, with no other response in between, that Zoho seems
                to be down.
        """
        self._failed_lists.setdefault((campaign.key, action), (campaign, error))
        self._observe(campaign, _hash(campaign.key, action))
        self._failed_in_a_row.append(campaign.key)
        campaigns = len(set(self._failed_in_a_row))
        if len(self._failed_in_a_row) >= FAILED_LISTS and campaigns >= min(due, 2):
            raise error

    def _observe(self, campaign: Campaign, hashed: str) -> None:
        if self._window.is_closing(campaign):
            self._observations.fail(hashed, self._window.now_ms())

    def failure(self, campaigns: Sequence[Campaign]) -> TapError | None:
        """Return the error with which the run fails at its end, if it does.

        What is past its window and was refused, or has failed for a week, is logged in one line.

        Args:
            campaigns: All campaigns of the run.
        """
        by_key = {campaign.key: campaign for campaign in campaigns}
        named = {key for key in self._refused if by_key[key].is_named}
        chronic, wrong = self._sorted_failures()
        old = {key for key in self._refused if self._window.is_closing(by_key[key])} - named
        if summed := old | chronic | self._resting:
            self._logger.warning(
                "%d campaigns past their engagement window are refused and were left out: %s",
                len(summed),
                first_of(sorted(summed)),
            )
        errors = list(self._refused.values())
        # Campaigns whose lists were not requested, because they are finished or unchanged, were
        # readable once.
        if errors and len(errors) == len(by_key):
            unprivileged = [each for each in errors if isinstance(each, InsufficientPrivileges)]
            if len(unprivileged) == len(errors):
                return unprivileged[0]
        texts = [*wrong, *(str(self._refused[key]) for key in named)]
        if not texts:
            return None
        keys = {*self._failed, *(key for key, _ in self._failed_lists), *named} - chronic
        all_others = "none was read whole" if len(keys) == len(by_key) else "all others were"
        return PartlyFailed(
            f"{len(keys)} of {len(by_key)} campaigns could not be read whole, {all_others}: "
            + first_of(texts, "; ")
        )

    def _sorted_failures(self) -> tuple[set[str], list[str]]:
        """Return the keys of what has failed for a week, and the texts of all other failures."""
        chronic: set[str] = set()
        wrong: list[str] = []
        failures = [
            *((_hash(key), *failure) for key, failure in self._failed.items()),
            *((_hash(*where), *failure) for where, failure in self._failed_lists.items()),
        ]
        for hashed, campaign, error in failures:
            if self._window.is_closing(campaign) and self._observations.is_chronic(hashed):
                chronic.add(campaign.key)
            else:
                wrong.append(str(error))
        return chronic, wrong


def _hash(key: str, action: str = "") -> str:
    return key_hash(f"{key} {action}".rstrip())


def first_of(texts: Iterable[str], separator: str = ", ") -> str:
    """Return the first texts as one, and how many more there are."""
    listed = list(texts)
    more = len(listed) - MOST_NAMED
    shown = separator.join(listed[:MOST_NAMED])
    return f"{shown}{separator}and {more} more" if more > 0 else shown
