# ruff: noqa: FBT003 - an answer may be a boolean
"""Questions about the list of campaigns, reports and details."""

from __future__ import annotations

import re
import typing as t

from tap_zoho_campaigns_recipients.probing.survey import number
from tap_zoho_campaigns_recipients.zoho.account_offset import observations
from tap_zoho_campaigns_recipients.zoho.campaigns import AB_TYPE, SENT_STATUS
from tap_zoho_campaigns_recipients.zoho.endpoints import Endpoint

if t.TYPE_CHECKING:
    from tap_zoho_campaigns_recipients.probing.asking import Answered
    from tap_zoho_campaigns_recipients.probing.survey import Survey

PAGE_ROWS = 100
FAR_INDEX = 1_000_001
ENOUGH_PERCENTAGES = 6
SERVER_ERROR = 500
VARIANT_KEYS = ("a_child_campaignkey", "b_child_campaignkey")


def ask_listing(survey: Survey) -> None:
    """Ask what the list of campaigns shows, and find the campaigns for all other questions."""
    first = _page(survey, SENT_STATUS, 1)
    if first.format == "xml" and not survey.asker.prefers_form:
        # Where Zoho reads no parameters from the query, it does not know that JSON is wanted.
        survey.asker.prefers_form = True
        first = _page(survey, SENT_STATUS, 1)
    everything = _page(survey, "all", 1)
    rows = first.rows
    survey.sent = [row for row in rows if _is_sent(row)]
    _answer_paging(survey, first)
    if not rows:
        return
    _answer_statuses(survey, first, everything)
    _answer_times(survey, rows)
    details = first.document.get("requestdetails")
    if isinstance(details, str | dict):
        form = "text" if isinstance(details, str) else "object"
        survey.answers.seen("listing_requestdetails", form, "in the first page")


def _page(survey: Survey, status: str, index: int) -> Answered:
    return survey.ask(
        Endpoint.LISTING, status=status, sort="desc", fromindex=index, range=PAGE_ROWS
    )


def _is_sent(row: dict[str, t.Any]) -> bool:
    return str(row.get("campaign_status", "")).lower() == SENT_STATUS


def _answer_paging(survey: Survey, first: Answered) -> None:
    answers, count = survey.answers, len(first.rows)
    if not count:
        _answer_past_end(survey, first)
        return
    after = _page(survey, SENT_STATUS, count + 1)
    if not after.rows:
        survey.is_listing_whole = True
        _answer_past_end(survey, after)
        answers.unknown("listing_range_cap", f"all {count} campaigns came in one page")
        return
    if count < PAGE_ROWS:
        text = f"{count} campaigns came where {PAGE_ROWS} were asked for, and there are more"
        answers.seen("listing_range_cap", count, text)
    else:
        answers.inferred("listing_range_cap", None, f"{count} campaigns came in one page")
    _answer_past_end(survey, _page(survey, SENT_STATUS, FAR_INDEX))


def _answer_past_end(survey: Survey, answered: Answered) -> None:
    if answered.code == "6101":
        value = "6101"
    elif answered.is_error or answered.rows:
        survey.answers.unknown("listing_past_end", answered.describes)
        return
    else:
        value = "empty" if answered.document.get("recent_campaigns") == [] else "null"
    survey.answers.seen("listing_past_end", value, answered.describes)


def _answer_statuses(survey: Survey, first: Answered, everything: Answered) -> None:
    """Answer what needs campaigns that were not sent."""
    answers, others = survey.answers, [row for row in everything.rows if not _is_sent(row)]
    unsent = sum(not _is_sent(row) for row in first.rows)
    if unsent:
        answers.seen("listing_status_filter", False, f"{unsent} campaigns came that were not sent")
    elif others:
        answers.seen("listing_status_filter", True, f"{len(others)} campaigns were left out")
    else:
        answers.unknown("listing_status_filter", "all campaigns were sent")
    drafts = [row for row in others if str(row.get("campaign_status", "")).lower() == "draft"]
    if drafts:
        value = drafts[0].get("sent_time", "absent")
        forms = {"absent": "absent", "": "empty", "null": "null_text"}
        if value in forms:
            answers.seen("drafts_sent_fields", forms[value], f"in {len(drafts)} drafts")
    else:
        answers.unknown("drafts_sent_fields", "the account shows no draft")
    _answer_total(survey, first, everything, has_others=bool(others) and not unsent)


def _answer_total(
    survey: Survey, first: Answered, everything: Answered, *, has_others: bool
) -> None:
    answers, total = survey.answers, first.document.get("total_record_count")
    if total is None:
        answers.seen("total_record_count", "absent", "in the first page")
    elif not has_others or not survey.is_listing_whole:
        answers.unknown(
            "total_record_count", "whether it counts unsent campaigns too does not show"
        )
    elif number(total) == len(first.rows):
        form = "int" if isinstance(total, int) else "text"
        answers.seen("total_record_count", form, f"{len(first.rows)} campaigns, all were counted")
    elif total == everything.document.get("total_record_count"):
        answers.seen(
            "total_record_count", "all_campaigns", "it counts campaigns that are not shown"
        )


def _answer_times(survey: Survey, rows: list[dict[str, t.Any]]) -> None:
    answers = survey.answers
    has_gmt = any("sent_time_gmt" in row for row in rows)
    answers.seen("gmt_fields", has_gmt, f"in {len(rows)} campaigns")
    pairs = [(row.get("sent_time"), row.get("sent_time_gmt")) for row in rows]
    skews = {
        int(str(sent)) - int(str(true))
        for sent, true in pairs
        if re.fullmatch("[0-9]{13}", str(sent)) and re.fullmatch("[0-9]{13}", str(true))
    }
    if len(skews) == 1:
        answers.seen("skew_ms", skews.pop(), f"the same in {len(rows)} campaigns")
    else:
        answers.unknown("skew_ms", f"{len(skews)} different values were seen")
    offsets = sorted({each.offset_minutes for each in observations(rows)})
    if len(offsets) == 1:
        answers.seen("utc_offset_minutes", offsets[0], f"the same in {len(rows)} campaigns")
    else:
        seen = " and ".join(str(each) for each in offsets) or "no"
        answers.unknown("utc_offset_minutes", f"{seen} minutes were seen: summer time, for one")


def ask_details(survey: Survey) -> None:
    """Ask what details show: A/B variants, devices."""
    answers = survey.answers
    tests = [row for row in survey.sent if row.get("campaigntype") == AB_TYPE]
    row = (tests or survey.sent)[0]
    answered = survey.ask(
        Endpoint.DETAILS,
        campaignkey=str(row.get("campaign_key")),
        campaigntype=AB_TYPE if tests else "normal",
    )
    if answered.document.get("campaign-reports"):
        has_stats = "useragentstats" in answered.document
        form = "counts" if has_stats else "absent"
        answers.seen("useragentstats", form, "in the details of one campaign")
    if not tests:
        answers.unknown("ab_children_listed", "the account shows no A/B test")
        return
    split = answered.document.get("AB-split-details")
    split = split[0] if isinstance(split, list) and split else {}
    variants = {split.get(name) for name in VARIANT_KEYS} - {None} if split else set()
    keys = {each.get("campaign_key") for each in survey.sent}
    if variants & keys:
        answers.seen("ab_children_listed", True, "the variants of an A/B test are listed")
    elif variants and survey.is_listing_whole:
        answers.seen("ab_children_listed", False, "the variants of an A/B test are not listed")
    else:
        answers.unknown("ab_children_listed", "details name no variants, or the list is long")


def answer_reports(survey: Survey) -> None:
    """Answer from the reports that were looked at."""
    answers = survey.answers
    reports = [each for each in survey.responses if each.endpoint is Endpoint.REPORT]
    if not reports:
        return
    errors = {each.code if each.status < SERVER_ERROR else "http_500" for each in reports}
    if errors == {"6001"}:
        answers.seen("reports", "missing", f"code 6001 for {len(reports)} campaigns")
    elif errors == {"http_500"}:
        answers.seen("reports", "http_500", f"HTTP 5xx for {len(reports)} campaigns")
    else:
        answers.unknown("reports", _agreement(survey))
    good = [each for each in reports if not each.is_error]
    names = {name for each in good for name in each.document if "-by-lo" in name}
    if len(names) == 1 and (name := names.pop()) in {
        "campaign-by-loaction",
        "campaign-by-location",
    }:
        answers.seen("location_name", name, f"in {len(good)} reports")
        forms = {type(each.document.get(name)) for each in good}
        if forms in ({dict}, {str}):
            form = "object" if forms == {dict} else "map_text"
            answers.seen("locations", form, f"in {len(good)} reports")
    elif good and not names:
        answers.seen("locations", "absent", f"in {len(good)} reports")
    _answer_percentages(survey)


def _agreement(survey: Survey) -> str:
    """Return in how many lists that came whole there were as many rows as reports count."""
    counts = {(each.key, each.action): each.count for each in survey.lists()}
    whole = [
        counts[place] == len(each.rows)
        for each in survey.responses
        if each.endpoint is Endpoint.RECIPIENTS
        and each.asked.get("fromindex") == "1"
        and len(each.rows) < int(each.asked.get("range", 0))
        and (place := (each.asked.get("campaignkey", ""), each.asked.get("action", ""))) in counts
    ]
    return f"{sum(whole)} of {len(whole)} lists had as many rows as their report counts"


def _answer_percentages(survey: Survey) -> None:
    values = [
        value
        for report in survey.reports.values()
        for name, value in report.items()
        if "percent" in name or name == "clicksperopenrate"
    ]
    texts = [str(value) for value in values]
    evidence = f"in {len(texts)} values"
    if any(text.endswith("%") for text in texts):
        survey.answers.seen("report_percent", "sign", evidence)
    elif any(re.search(r"\.[0-9]{2}$", text) for text in texts):
        survey.answers.seen("report_percent", "two_decimals", evidence)
    elif any(isinstance(value, str) for value in values) or (
        sum(not text.endswith(".0") for text in texts) >= ENOUGH_PERCENTAGES
    ):
        survey.answers.seen("report_percent", "decimal", evidence)
