"""Campaigns that Zoho refuses, or that cannot be read for another reason."""

from __future__ import annotations

import typing as t

from tap_zoho_campaigns_recipients.errors import InsufficientPrivileges, RunFailed, quoted

if t.TYPE_CHECKING:
    import logging
    from collections.abc import Iterable

    from tap_zoho_campaigns_recipients.campaigns import Campaign
    from tap_zoho_campaigns_recipients.errors import CampaignRefused, TapError
    from tap_zoho_campaigns_recipients.jobs import Job
    from tap_zoho_campaigns_recipients.window import Window

UNPRIVILEGED_CAMPAIGNS = 10
"""So many campaigns in a row refused for want of privileges, and the run stops."""

MOST_KEYS_SHOWN = 5


class Refusals:
    """Which campaigns are left out of a run, and what that makes of it."""

    def __init__(self, window: Window, logger: logging.Logger) -> None:
        """Know of none."""
        self._window = window
        self._logger = logger
        self._refused: dict[str, CampaignRefused] = {}
        self._failed: dict[str, TapError] = {}
        self._answered: set[str] = set()
        self._asked_by: dict[str, Job] = {}
        self._unprivileged_in_a_row = 0

    def __len__(self) -> int:
        """Return how many campaigns were left out."""
        return len(self._refused) + len(self._failed)

    def may_ask(self, job: Job) -> bool:
        """Whether a list's first page may be asked for now.

        A campaign that is refused shall cost one call, so until one of its lists has answered
        only one is asked.
        """
        key = job.campaign.key
        if key in self._answered:
            return True
        asker = self._asked_by.get(key)
        if asker is None or asker.is_done:
            self._asked_by[key] = asker = job
        return asker is job

    def answered(self, campaign: Campaign) -> None:
        """Take note that Zoho gives this campaign's lists."""
        self._answered.add(campaign.key)
        # A job that is not needed any more would keep in memory all that it has seen.
        self._asked_by.pop(campaign.key, None)
        self._unprivileged_in_a_row = 0

    def has_answered(self, campaign: Campaign) -> bool:
        """Whether Zoho gave any of the campaign's lists in this run."""
        return campaign.key in self._answered

    def is_refused(self, campaign: Campaign) -> bool:
        """Whether Zoho refused the campaign in this run."""
        return campaign.key in self._refused

    def is_left_out(self, campaign: Campaign) -> bool:
        """Whether the campaign was refused or failed in this run."""
        return campaign.key in self._refused or campaign.key in self._failed

    def refuse(self, campaign: Campaign, error: CampaignRefused) -> None:
        """Leave a campaign out of this run, and say so, unless the run's end will.

        Raises:
            InsufficientPrivileges: When it is not this campaign but the user.
        """
        if self.is_left_out(campaign):
            return
        self._refused[campaign.key] = error
        if not isinstance(error, InsufficientPrivileges):
            self._unprivileged_in_a_row = 0
        else:
            self._unprivileged_in_a_row += 1
            if self._unprivileged_in_a_row >= UNPRIVILEGED_CAMPAIGNS and not self._answered:
                raise error
        if not campaign.is_named and not self._window.is_closing(campaign):
            name = f' ("{quoted(campaign.name)[:60]}")' if campaign.name else ""
            self._logger.warning("A campaign%s is left out in this run. %s", name, error)

    def fail(self, campaign: Campaign, error: TapError) -> None:
        """Leave a campaign out, and have the run fail in its end."""
        self._failed.setdefault(campaign.key, error)

    def failure(self, campaigns: Iterable[Campaign]) -> TapError | None:
        """Return what makes a run that came to its end a failure, if anything does.

        Refused campaigns that are past their window are summed up here in one line.

        Args:
            campaigns: All campaigns of the run.
        """
        by_key = {campaign.key: campaign for campaign in campaigns}
        named = {key: error for key, error in self._refused.items() if by_key[key].is_named}
        closed = [
            key
            for key in self._refused
            if key not in named and self._window.is_closing(by_key[key])
        ]
        if closed:
            self._logger.warning(
                "%d campaigns past their engagement window are refused and were left out: %s%s",
                len(closed),
                ", ".join(closed[:MOST_KEYS_SHOWN]),
                ", …" if len(closed) > MOST_KEYS_SHOWN else "",
            )
        errors = list(self._refused.values())
        # Campaigns that were not asked for a list, finished or unchanged, were answered once.
        if errors and len(errors) == len(by_key):
            unprivileged = [each for each in errors if isinstance(each, InsufficientPrivileges)]
            if len(unprivileged) == len(errors):
                return unprivileged[0]
        wrong = {**self._failed, **named}
        if not wrong:
            return None
        return RunFailed(
            f"{len(wrong)} of {len(by_key)} campaigns could not be read, all others were: "
            + "; ".join(str(error) for error in wrong.values())
        )
