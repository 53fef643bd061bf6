"""Choosing the campaigns and lists that can answer questions, from the listing and reports."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from tap_zoho_campaigns_recipients.probing.answers import Answers
from tap_zoho_campaigns_recipients.zoho.endpoints import Endpoint

if t.TYPE_CHECKING:
    from tap_zoho_campaigns_recipients.probing.asking import Answered, Asker

MOST_REPORTS = 6
"""So many campaigns are looked at for lists of the sizes that are wanted."""
ENOUGH_ROWS = 1000

COUNTS: t.Final = {
    "sentcontacts": "emails_sent_count",
    "openedcontacts": "opens_count",
    "clickedcontacts": "unique_clicks_count",
    "unopenedcontacts": "unopened",
    "optoutcontacts": "unsub_count",
    "spamcontacts": "spams_count",
    "senthardbounce": "hardbounce_count",
    "sentsoftbounce": "softbounce_count",
    "unsentcontacts": "unsent_count",
}
"""The count in a report of each list (zoho-api.md 1.5)."""


@dataclass(frozen=True, slots=True)
class List:
    """A list of a campaign, with the number of rows that its report tells."""

    key: str
    action: str
    count: int


@dataclass(slots=True)
class Survey:
    """What is known of the account while the probe runs; nothing of it is written."""

    asker: Asker
    answers: Answers = field(default_factory=Answers)
    sent: list[dict[str, t.Any]] = field(default_factory=list)
    """Rows of campaigns that were sent, newest first."""
    reports: dict[str, dict[str, t.Any]] = field(default_factory=dict)
    """The counts of the campaigns looked at, by key."""
    responses: list[Answered] = field(default_factory=list)
    """All responses, for questions that any of them can answer."""
    served: dict[int, int] = field(default_factory=dict)
    """Rows of the longest list that came for a range."""
    refused_range: tuple[List, int, int] | None = None
    """A list with a range that was served and one that was refused."""
    is_listing_whole: bool = False
    """Whether the first page of the listing shows all campaigns that were sent."""

    def ask(self, endpoint: Endpoint, *arguments: t.Any, **parameters: t.Any) -> Answered:  # noqa: ANN401 - handed on
        """Send a request and keep the response."""
        answered = self.asker.ask(endpoint, *arguments, **parameters)
        self.responses.append(answered)
        return answered

    def ask_list(self, chosen: List, *arguments: t.Any, **parameters: t.Any) -> Answered:  # noqa: ANN401 - handed on
        """Request a page of a list."""
        return self.ask(
            Endpoint.RECIPIENTS,
            *arguments,
            campaignkey=chosen.key,
            action=chosen.action,
            **parameters,
        )

    def lists(self, *actions: str) -> list[List]:
        """Return lists of which a report tells the number of rows, the longest first."""
        found = [
            List(key, action, count)
            for key, report in self.reports.items()
            for action in actions or COUNTS
            if (count := number(report.get(COUNTS[action]))) is not None
        ]
        return sorted(found, key=lambda each: -each.count)

    def read_reports(self) -> None:
        """Look at the reports of some campaigns, until large and empty lists are known."""
        order = [*self.sent[:3], *self.sent[-1:], *self.sent[3:-1]]
        for row in order[:MOST_REPORTS]:
            key = str(row.get("campaign_key") or "")
            answered = self.ask(Endpoint.REPORT, campaignkey=key)
            found = answered.document.get("campaign-reports")
            if isinstance(found, list) and found and isinstance(found[0], dict):
                self.reports[key] = found[0]
            if self._is_enough():
                return

    def _is_enough(self) -> bool:
        lists = self.lists()
        return (
            any(each.count > ENOUGH_ROWS for each in lists)
            and any(not each.count for each in lists)
            and all(
                any(each.count > 1 for each in self.lists(action))
                for action in ("openedcontacts", "clickedcontacts")
            )
        )


def number(value: object) -> int | None:
    """Return a count, which may be text."""
    text = str(value)
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None
