"""Each campaign's report, asked for once a run."""

from __future__ import annotations

import typing as t

from tap_zoho_campaigns_recipients.campaigns import report_counts

if t.TYPE_CHECKING:
    import logging
    from collections.abc import Mapping

    from tap_zoho_campaigns_recipients.answers import Answer
    from tap_zoho_campaigns_recipients.campaigns import Campaign
    from tap_zoho_campaigns_recipients.errors import TapError
    from tap_zoho_campaigns_recipients.window import Window

REPORTLESS_CAMPAIGNS = 3
"""So many campaigns in a row without a report, and none is asked for any more."""


class Reports:
    """The reports of a run's campaigns."""

    def __init__(self, window: Window, logger: logging.Logger) -> None:
        """Know none yet."""
        self._window = window
        self._logger = logger
        self._asked: dict[str, str] = {}
        self._documents: dict[str, Mapping[str, t.Any] | None] = {}
        self._counts: dict[str, dict[str, int | float]] = {}
        self._last: set[str] = set()
        self._empty: set[str] = set()
        self._under_way = 0
        self._none_in_a_row = 0

    @property
    def known(self) -> int:
        """How many campaigns have a report."""
        return len(self._counts)

    def is_known(self, campaign: Campaign) -> bool:
        """Whether there is nothing to wait for: a report, or certainty that none will come."""
        key = campaign.key
        return key in self._documents or (key not in self._asked and self._gave_up)

    def is_missing(self, campaign: Campaign) -> bool:
        """Whether a report was asked for and Zoho has none."""
        return self._documents.get(campaign.key, ...) is None

    def document(self, campaign: Campaign) -> Mapping[str, t.Any] | None:
        """Return a known report; None where there is none."""
        return self._documents.get(campaign.key)

    def counts(self, campaign: Campaign) -> dict[str, int | float] | None:
        """Return a known report's numbers, under Zoho's names; None where there is none."""
        return self._counts.get(campaign.key)

    def read_at(self, campaign: Campaign) -> str:
        """Return when a campaign's report was asked for, as ISO text."""
        return self._asked[campaign.key]

    def is_last(self, campaign: Campaign) -> bool:
        """Whether the window had passed when a campaign's report was asked for."""
        return campaign.key in self._last

    def ask(self, campaign: Campaign) -> bool:
        """Return whether a report is to be asked for now, and take note that it is.

        Until one came, and after one that did not, one is asked for at a time: so an account that
        has no reports costs few calls.
        """
        is_alone = self._none_in_a_row or not any(self._documents.values())
        if campaign.key in self._asked or (is_alone and self._under_way):
            return False
        if self._window.is_closing(campaign):
            self._last.add(campaign.key)
        self._asked[campaign.key] = self._window.now_iso()
        self._under_way += 1
        return True

    def receive(self, campaign: Campaign, answer: Answer | None, error: TapError | None) -> None:
        """Keep a report, or that there is none."""
        self._under_way -= 1
        counts = report_counts(answer.document) if answer is not None else None
        if answer is not None and counts:
            self._documents[campaign.key] = answer.document
            self._counts[campaign.key] = counts
            self._none_in_a_row = 0
            return
        if answer is not None and campaign.key not in self._empty:
            # An answer without counts is a failed try too, of which there are two.
            self._empty.add(campaign.key)
            del self._asked[campaign.key]
            return
        self._documents[campaign.key] = None
        self._none_in_a_row += 1
        self._logger.warning(
            "No report of a campaign, its lists are read whole. %s",
            error or f"The one of campaign {campaign.key} has no counts",
        )
        if self._none_in_a_row == REPORTLESS_CAMPAIGNS:
            self._logger.warning(
                "%d campaigns in a row have no report: none is asked for in this run any more",
                REPORTLESS_CAMPAIGNS,
            )

    @property
    def _gave_up(self) -> bool:
        return self._none_in_a_row >= REPORTLESS_CAMPAIGNS
