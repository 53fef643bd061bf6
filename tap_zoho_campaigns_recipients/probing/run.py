"""One run of the probe: all questions, in the order of their worth."""

from __future__ import annotations

import typing as t

from tap_zoho_campaigns_recipients.probing.asking import BudgetSpent
from tap_zoho_campaigns_recipients.probing.questions_of_listing import (
    answer_reports,
    ask_details,
    ask_listing,
)
from tap_zoho_campaigns_recipients.probing.questions_of_lists import (
    ask_empty_list,
    ask_largest_range,
    ask_pages,
)
from tap_zoho_campaigns_recipients.probing.questions_of_requests import ask_requests
from tap_zoho_campaigns_recipients.probing.questions_of_rows import answer_rows, ask_rows
from tap_zoho_campaigns_recipients.probing.survey import List

if t.TYPE_CHECKING:
    from tap_zoho_campaigns_recipients.probing.survey import Survey


def ask_everything(survey: Survey) -> None:
    """Ask all questions; what was found out is in the survey, also where an error ends it.

    Raises:
        TapError: The probe cannot go on: refused credentials, a lock, no response.
    """
    try:
        ask_listing(survey)
        if survey.sent:
            _ask_campaigns(survey)
    except BudgetSpent:
        pass
    finally:
        answer_reports(survey)
        answer_rows(survey)


def _ask_campaigns(survey: Survey) -> None:
    survey.read_reports()
    ask_details(survey)
    ask_pages(survey)
    ask_empty_list(survey)
    ask_rows(survey)
    with_rows = [each for each in survey.lists() if each.count]
    newest = List(str(survey.sent[0].get("campaign_key")), "sentcontacts", 0)
    ask_requests(survey, with_rows[-1] if with_rows else newest)
    ask_largest_range(survey)
