"""Questions about requests and errors: where parameters are read, how errors are spelled."""

from __future__ import annotations

import typing as t

from tap_zoho_campaigns_recipients.zoho.endpoints import Endpoint

if t.TYPE_CHECKING:
    from tap_zoho_campaigns_recipients.probing.asking import Answered
    from tap_zoho_campaigns_recipients.probing.survey import List, Survey

FEW_ROWS = 5
NO_ACTION = "nosuchcontacts"
"""A recipient action that Zoho does not have, and answers with 1001 (seen live)."""
MISSING = ("903", "1003")


def ask_requests(survey: Survey, chosen: List) -> None:
    """Ask a list in ways that Zoho may refuse.

    Args:
        survey: The survey.
        chosen: A list with rows, if there is one.
    """
    answers = survey.answers
    if survey.asker.credentials.sends_form:
        answers.unknown("params_from", "the legacy API takes its token from a form only")
    else:
        found = {
            name: not survey.ask_list(chosen, as_form=as_form, range=FEW_ROWS).is_error
            for name, as_form in (("query", False), ("form", True))
        }
        names = [name for name, works in found.items() if works]
        if names:
            value = "both" if len(names) > 1 else names[0]
            answers.seen("params_from", value, f"a page was asked for with {' and '.join(found)}")
        else:
            answers.unknown("params_from", "neither query nor form brought a page")
    _ask_extra(survey, chosen)
    lower = survey.ask_list(chosen, resfmt="json", range=FEW_ROWS)
    if not lower.is_error and lower.format is not None:
        answers.seen("resfmt_case_sensitive", lower.format == "xml", lower.describes)
    else:
        answers.unknown("resfmt_case_sensitive", lower.describes)
    _ask_errors(survey, chosen)


def _ask_extra(survey: Survey, chosen: List) -> None:
    answered = survey.ask_list(chosen, range=FEW_ROWS, probe=1)
    if answered.code == "1002":
        survey.answers.seen("extra_parameter", "refused", answered.describes)
    elif not answered.is_error:
        survey.answers.seen("extra_parameter", "ignored", answered.describes)
    else:
        survey.answers.unknown("extra_parameter", answered.describes)


def _ask_errors(survey: Survey, chosen: List) -> None:
    answers = survey.answers
    missing = survey.ask(Endpoint.RECIPIENTS, action=chosen.action, range=FEW_ROWS)
    if missing.code in MISSING:
        answers.seen("missing_code", missing.code, missing.describes)
    else:
        answers.unknown("missing_code", missing.describes)
    in_json, in_xml = (
        survey.ask(
            Endpoint.RECIPIENTS, asked, campaignkey=chosen.key, action=NO_ACTION, range=FEW_ROWS
        )
        for asked in ("json", "xml")
    )
    formats = (in_json.format, in_xml.format)
    known = {("json", "xml"): "asked", ("xml", "xml"): "xml", ("json", "json"): "json"}
    if formats in known and in_json.is_error and in_xml.is_error:
        answers.seen("error_format", known[formats], "a wrong action was asked for in JSON and XML")
    spelled = (_spelling(in_json), _spelling(missing))
    evidence = f"a wrong action is spelled {spelled[0]}, a missing parameter {spelled[1]}"
    if spelled[0] == "capital_no_status" and spelled[1] in {"app", "app in XML"}:
        answers.seen("error_spelling", "seen", evidence)
    elif spelled[0] == spelled[1] and spelled[0] in KNOWN_SPELLINGS:
        answers.seen("error_spelling", spelled[0], evidence)
    else:
        answers.unknown("error_spelling", evidence)


KNOWN_SPELLINGS = ("app", "app_int", "gateway", "capital_no_status")


def _spelling(answered: Answered) -> str:
    """Return how an error is spelled, by the names of its parts."""
    names = answered.document.keys()
    if "Code" in names:
        return "gateway" if "status" in names else "capital_no_status"
    if "code" not in names:
        return "another"
    if answered.format == "xml":
        return "app in XML"
    return "app" if isinstance(answered.document["code"], str) else "app_int"
