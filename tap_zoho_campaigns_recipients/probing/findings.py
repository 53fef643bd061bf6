"""What the probe found out, as a file and as text for people."""

from __future__ import annotations

import json
import typing as t
from datetime import UTC, datetime

from tap_zoho_campaigns_recipients.probing.answers import QUESTIONS
from tap_zoho_campaigns_recipients.probing.shapes import field_shapes
from tap_zoho_campaigns_recipients.zoho.endpoints import Endpoint

if t.TYPE_CHECKING:
    from tap_zoho_campaigns_recipients.probing.answers import Answer
    from tap_zoho_campaigns_recipients.probing.survey import Survey

VERSION = 1


def document_of(
    survey: Survey, *, tap_version: str, data_center: str, probed_at: float
) -> dict[str, t.Any]:
    """Return what is written to the file.

    Args:
        survey: What was found out.
        tap_version: The version of this package.
        data_center: The setting, or `other` where hosts were given.
        probed_at: When, in epoch seconds.
    """
    time = datetime.fromtimestamp(probed_at, UTC)
    return {
        "version": VERSION,
        "tap_version": tap_version,
        "probed_at": time.isoformat(timespec="seconds"),
        "data_center": data_center,
        "calls": dict(survey.asker.calls),
        "answers": survey.answers.as_dict(),
        "shapes": _shapes(survey),
    }


def _shapes(survey: Survey) -> dict[str, t.Any]:
    """Return what rows look like, by the kind of the response."""
    kinds: dict[str, list[dict[str, t.Any]]] = {}
    for each in survey.responses:
        if each.endpoint is Endpoint.RECIPIENTS:
            action = each.asked.get("action", "")
            kinds.setdefault(f"{action} in {each.format}", []).extend(each.rows)
        elif each.endpoint is Endpoint.LISTING:
            kinds.setdefault("campaigns", []).extend(each.rows)
    kinds["reports"] = list(survey.reports.values())
    shapes: dict[str, t.Any] = {
        name: field_shapes(rows) for name, rows in sorted(kinds.items()) if rows
    }
    shapes["rows_served"] = {str(rows): served for rows, served in survey.served.items()}
    shapes["errors"] = sorted({each.describes for each in survey.responses if each.is_error})
    return shapes


def text_of(document: dict[str, t.Any]) -> str:
    """Return the file's form."""
    return json.dumps(document, indent=1, ensure_ascii=True) + "\n"


def summary_of(survey: Survey) -> str:
    """Return what people should know: first what is unexpected, then every answer."""
    answers = survey.answers
    lines = []
    unexpected = answers.unexpected()
    if unexpected:
        lines.append("Your account's API does not do what the tap assumes in these points:")
        for name in unexpected:
            question = QUESTIONS[name]
            found, assumed = _said(answers[name].value), _said(question.assumed)
            lines.append(f"  {question.text}: {found} (assumed: {assumed})")
            if question.advice:
                lines.append(f"    {question.advice}.")
        lines.append("")
    for confidence, title in (
        ("seen", "Seen:"),
        ("inferred", "Inferred:"),
        ("unknown", "No campaign of this account could answer:"),
    ):
        names = [name for name in QUESTIONS if answers[name].confidence == confidence]
        if names:
            lines.append(title)
            lines += [f"  {QUESTIONS[name].text}{_found(answers[name])}" for name in names]
    return "\n".join(lines)


def _found(answer: Answer) -> str:
    assumed = f"the tap assumes {_said(answer.assumed)}"
    if answer.confidence == "unknown":
        return f": {answer.evidence}; {assumed}"
    if answer.value == answer.assumed:
        assumed = "as the tap assumes"
    return f": {_said(answer.value)}, {assumed} ({answer.evidence})"


def _said(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
