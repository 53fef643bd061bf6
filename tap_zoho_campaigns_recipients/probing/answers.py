# ruff: noqa: FBT003 - what is assumed may be a boolean
"""The questions of the probe, and the answers to them."""

from __future__ import annotations

import typing as t
from dataclasses import asdict, dataclass

Confidence = t.Literal["seen", "inferred", "unknown"]
Value = str | int | bool | None


class Question(t.NamedTuple):
    """A point on which Zoho's behaviour is not known for sure (zoho-api.md 7)."""

    text: str
    assumed: Value
    """What the tap assumes, and is made to survive the opposite of."""
    advice: str = ""
    """What another answer means for a user."""


_COPES = "The tap copes with it. Please send the file to the maintainers"
_FEWER = "Lists take more calls. The tap copes with it, page_size need not be changed"

QUESTIONS: t.Final[dict[str, Question]] = {
    "range_cap": Question("The most rows of a list in one page", None, _FEWER),
    "range_error_above": Question("The largest range that is not refused", None, _FEWER),
    "range_error": Question("How a larger range is refused", "6502", _COPES),
    "echo": Question("What requestdetails shows of range and fromindex", "asked", _COPES),
    "empty_list": Question("The first page of an empty list", "6303", _COPES),
    "past_end": Question("A page past the end of a list", "6303", _COPES),
    "ignores_fromindex": Question(
        "Whether fromindex is ignored",
        False,
        "Lists longer than a page cannot be read: please send the file to the maintainers",
    ),
    "order": Question(
        "The order of the rows",
        "stable",
        "If it is random, the tap warns that rows may be missing: read small campaigns only",
    ),
    "duplicates_every": Question("How often a contact comes twice in a list", 0, _COPES),
    "params_from": Question("Where parameters are read from", "both", _COPES),
    "missing_code": Question("The code of a missing parameter", "903", _COPES),
    "extra_parameter": Question("A parameter that is not known", "ignored", _COPES),
    "resfmt_case_sensitive": Question("Whether resfmt must be in capitals", False),
    "error_spelling": Question("How errors are spelled", "seen", _COPES),
    "error_format": Question("The format of errors", "asked", _COPES),
    "code_type": Question("Whether codes of success are text or numbers", "text", _COPES),
    "numbers": Question("Whether counts and IDs are text or numbers", "text", _COPES),
    "name_fields": Question("The names of the fields for names", "contactfn", _COPES),
    "empties": Question("How a field without a value is spelled", "null_text", _COPES),
    "openreports": Question("The form of openreports", "map_text", _COPES),
    "clickreports": Question("The form of clickreports", "map_text", _COPES),
    "clickedurls": Question("The form of clickedurls", "text", _COPES),
    "timeline": Question(
        "Whether XML rows show events with type=open_timeline",
        "xml",
        "Choose response_format json if you want open_events and click_events",
    ),
    "timeline_json": Question("Whether JSON rows do", "ignored", _COPES),
    "xml_fields": Question("Which fields XML rows have", "documented", _COPES),
    "skew_ms": Question("How far sent_time is ahead of the true time, in ms", 28_800_000, _COPES),
    "gmt_fields": Question(
        "Whether campaigns have true times (_gmt)",
        True,
        "sent_time_utc is null for this account: please send the file to the maintainers",
    ),
    "utc_offset_minutes": Question(
        "How far wall-clock texts are from UTC, in minutes",
        None,
        "Set account_timezone to a zone of this offset",
    ),
    "date_header": Question("Whether responses have a Date header", True, _COPES),
    "listing_requestdetails": Question(
        "The form of requestdetails in the list of campaigns", "text", _COPES
    ),
    "total_record_count": Question("The form of total_record_count", "text", _COPES),
    "listing_status_filter": Question(
        "Whether the list of campaigns honours its status parameter", True, _COPES
    ),
    "listing_range_cap": Question("The most campaigns in one page", None, _FEWER),
    "listing_past_end": Question("A page past the last campaign", "6101", _COPES),
    "ab_children_listed": Question("Whether A/B variants are listed", False, _COPES),
    "drafts_sent_fields": Question("The sent_* fields of a draft", "absent", _COPES),
    "reports": Question(
        "Whether reports agree with the lists",
        "ok",
        "Where reports are missing or wrong, lists are read whole every time",
    ),
    "report_percent": Question("How percentages are spelled", "decimal", _COPES),
    "locations": Question("The form of opens by country", "object", _COPES),
    "location_name": Question(
        "The name of opens by country in a report", "campaign-by-loaction", _COPES
    ),
    "useragentstats": Question("Whether details have useragentstats", "counts", _COPES),
}
"""By the name of the switch with which a model of the API can be made to do the same."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found out."""

    value: Value
    confidence: Confidence
    evidence: str
    assumed: Value


class Answers:
    """The answers so far; what was not answered is unknown."""

    def __init__(self) -> None:
        """Know nothing."""
        self._given: dict[str, Answer] = {}

    def seen(self, name: str, value: Value, evidence: str) -> None:
        """Note what a response has shown."""
        self._give(name, Answer(value, "seen", evidence, QUESTIONS[name].assumed))

    def inferred(self, name: str, value: Value, evidence: str) -> None:
        """Note what follows from responses, if nothing else than that happened."""
        self._give(name, Answer(value, "inferred", evidence, QUESTIONS[name].assumed))

    def unknown(self, name: str, evidence: str) -> None:
        """Note why there is no answer, unless there is one."""
        self._given.setdefault(name, Answer(None, "unknown", evidence, QUESTIONS[name].assumed))

    def _give(self, name: str, answer: Answer) -> None:
        self._given[name] = answer

    def __getitem__(self, name: str) -> Answer:
        """Return the answer to a question."""
        nothing = Answer(None, "unknown", "it was not asked", QUESTIONS[name].assumed)
        return self._given.get(name, nothing)

    def as_dict(self) -> dict[str, dict[str, t.Any]]:
        """Return all answers as plain values, in the order of the questions."""
        return {name: asdict(self[name]) for name in QUESTIONS}

    def unexpected(self) -> list[str]:
        """Return the names of answers that differ from what the tap assumes."""
        return [
            name
            for name in QUESTIONS
            if self[name].confidence != "unknown" and self[name].value != self[name].assumed
        ]
