"""Questions about the rows of lists: fields, spellings, events."""

from __future__ import annotations

import ast
import json
import typing as t
from collections import Counter
from contextlib import suppress

from tap_zoho_campaigns_recipients.zoho.endpoints import Endpoint

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from tap_zoho_campaigns_recipients.probing.survey import Survey

PAGE_ROWS = 100
CLEAR_SHARE = 0.9
"""At least this share of missing values must be spelled in one way."""

PROFILE = (
    *("companyname", "phone", "mobile", "jobtitle", "title", "address", "city", "state"),
    *("country", "zipcode", "website", "note", "secondary_email", "facebook_handle"),
    *("linkedin_handle", "twitter_handle", "timezone"),
)
XML_ONLY_IN_ALL = {"contact_id", "contact_status"}

Rows = list[dict[str, t.Any]]


def ask_rows(survey: Survey) -> None:
    """Ask for pages of opened and clicked lists, in JSON and in XML."""
    opened = _page(survey, "openedcontacts")
    clicked = _page(survey, "clickedcontacts")
    _answer_form(survey, "openreports", opened)
    _answer_form(survey, "clickreports", clicked)
    if clicked and not any("clickreports" in row for row in clicked):
        survey.answers.seen("clickreports", "absent", f"in {len(clicked)} rows")
    urls = {type(row.get("clickedurls")) for row in clicked} & {str, list}
    if len(urls) == 1:
        form = "text" if urls == {str} else "array"
        survey.answers.seen("clickedurls", form, f"in {len(clicked)} rows")
    elif not clicked:
        survey.answers.unknown("clickedurls", "no list of clicks was found")
    _ask_timelines(survey)
    answer_rows(survey)


def _page(survey: Survey, action: str) -> Rows:
    lists = [each for each in survey.lists(action) if each.count]
    return survey.ask_list(lists[0], fromindex=1, range=PAGE_ROWS).rows if lists else []


def _answer_form(survey: Survey, name: str, rows: Rows) -> None:
    forms = {_form(row[name]) for row in rows if row.get(name)} - {""}
    if len(forms) == 1:
        survey.answers.seen(name, forms.pop(), f"in {len(rows)} rows")
    else:
        survey.answers.unknown(name, f"{len(forms)} forms in {len(rows)} rows")


def _form(value: object) -> str:
    """Return the form of a map of reports; empty where it is not known."""
    if isinstance(value, dict | list):
        return "object" if isinstance(value, dict) else "times"
    text = str(value).strip()
    if not text.startswith("{") or not text.strip("{} "):
        return ""
    for name, reads in (("json_text", json.loads), ("literal_text", ast.literal_eval)):
        with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
            if isinstance(reads(text), dict):
                return name
    return "map_text"


def _ask_timelines(survey: Survey) -> None:
    """Ask for a list of opens with `type`, which nobody documents."""
    lists = [each for each in survey.lists("openedcontacts") if each.count]
    for name, form, works in (
        ("timeline", "xml", "xml"),
        ("timeline_json", "json", "reports"),
    ):
        if not lists:
            survey.answers.unknown(name, "no list of opens was found")
            continue
        answered = survey.ask_list(lists[0], form, fromindex=1, range=20, type="open_timeline")
        if answered.code == "1002":
            survey.answers.seen(name, "refused", answered.describes)
        elif any("reports" in row for row in answered.rows):
            survey.answers.seen(name, works, answered.describes)
        elif answered.rows:
            survey.answers.seen(name, "ignored", answered.describes)
        else:
            survey.answers.unknown(name, answered.describes)


def answer_rows(survey: Survey) -> None:
    """Answer from all rows and documents that were seen."""
    answers = survey.answers
    rows = [
        row
        for each in survey.responses
        if each.endpoint is Endpoint.RECIPIENTS and each.format == "json"
        for row in each.rows
    ]
    xml_rows = [
        row
        for each in survey.responses
        if each.endpoint is Endpoint.RECIPIENTS and each.format == "xml"
        for row in each.rows
    ]
    if xml_rows:
        has_all = any(XML_ONLY_IN_ALL & row.keys() for row in xml_rows)
        form = "all" if has_all else "documented"
        answers.seen("xml_fields", form, f"in {len(xml_rows)} rows")
    _answer_kind(survey, "numbers", (row.get("contactid") for row in rows))
    codes = (
        each.document.get("code")
        for each in survey.responses
        if not each.is_error and each.format == "json"
    )
    _answer_kind(survey, "code_type", codes)
    for first, name in (("contactfn", "contactfn"), ("firstname", "firstname")):
        if any(first in row for row in rows):
            answers.seen("name_fields", name, f"in {len(rows)} rows")
            break
    _answer_empties(survey, rows)
    dates = {each.has_date for each in survey.responses}
    if len(dates) == 1:
        answers.seen("date_header", dates.pop(), f"in {len(survey.responses)} responses")


def _answer_kind(survey: Survey, name: str, values: Iterable[object]) -> None:
    kinds = Counter(type(value) for value in values if value is not None)
    if set(kinds) == {str} or set(kinds) == {int}:
        form = "text" if str in kinds else "int"
        survey.answers.seen(name, form, f"in {kinds.total()} values")
    else:
        survey.answers.unknown(name, f"{len(kinds)} kinds of values were seen")


def _answer_empties(survey: Survey, rows: Rows) -> None:
    """Answer how profile fields without a value are spelled; names are spelled differently."""
    known = {name for row in rows for name in PROFILE if name in row}
    found: Counter[str] = Counter()
    for row in rows:
        for name in known:
            value = row.get(name, "absent")
            if value is None:
                found["null"] += 1
            elif value in {"", "null", "absent"}:
                found[{"": "empty", "null": "null_text", "absent": "absent"}[value]] += 1
    most = found.most_common(1)
    if most and most[0][1] >= CLEAR_SHARE * found.total():
        survey.answers.seen("empties", most[0][0], f"in {most[0][1]} fields of {len(rows)} rows")
    else:
        survey.answers.unknown("empties", f"no spelling prevails in {len(rows)} rows")
