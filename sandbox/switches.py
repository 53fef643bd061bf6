# ruff: noqa: ANN401, FBT003, RUF009 - a switch may hold anything, and is alone in its call
"""What is not known about Zoho for sure: one switch for each uncertain point.

The default of a switch is what was seen live, or, where nobody looked, what Zoho documents.
`POSITIONS` names the other positions under which a client still has to bring every row.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import types
import typing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `calls` of one endpoint in `period_s` seconds, else it locks for `lock_s`."""

    calls: int
    period_s: float
    lock_s: float


DOCUMENTED_LIMIT = Limit(calls=500, period_s=300, lock_s=1800)


@dataclass(frozen=True, slots=True)
class Moves:
    """Lists that move: before a recipients request, with probability `rate`, 1 to `most` events.

    Each event is drawn from `kinds` and hits a random contact of the campaign asked for. Nobody
    comes back to a list that they left, so who is in a list before and after a run was there
    all the while.
    """

    rate: float = 0.5
    seed: int = 0
    most: int = 3
    kinds: tuple[str, ...] = ("open", "click", "optout", "spam", "bounce", "send", "remove")


def _switch(default: T, *others: T, says: str) -> T:
    """Declare a switch: its default, the other positions worth testing, what it is about."""
    return field(default=default, metadata={"others": others, "says": says})


@dataclass(slots=True)
class Switches:
    """Positions of all switches; may be changed while the sandbox runs."""

    # Pages of a recipients list
    range_cap: int | None = _switch(
        None,
        200,
        20,
        says="A larger range is silently cut to this. No maximum is documented; 500 was served.",
    )
    range_error_above: int | None = _switch(
        None, 100, says="A larger range is answered with 6502, 'limit given exceeds maximum'."
    )
    range_error: Literal["6502", "1001", "1005", "http_400"] = _switch(
        "6502",
        says="How a range above range_error_above is refused: 6502 is in the catalogue, nobody saw"
        " it.",
    )
    page_bytes: int | None = _switch(
        None, says="A page ends when its rows have so many bytes in JSON, however many they are."
    )
    hides_every: int = _switch(
        0, says="Every n-th row of a list is left out after its page was cut: pages are short."
    )
    ends_at: int | None = _switch(
        None, says="A list has no page from this index on, though it has more rows."
    )
    echo: Literal["asked", "served", "default", "none"] = _switch(
        "asked",
        "served",
        "default",
        "none",
        says="Which range and fromindex requestdetails shows: asked for, served, always 20 and 1"
        " as in the documented sample, or no requestdetails at all.",
    )
    empty_list: Literal["6303", "empty", "null", "absent"] = _switch(
        "6303",
        "empty",
        "null",
        "absent",
        says="First page of an empty list. Code 6303 was seen live; null and absent on the legacy"
        " API.",
    )
    past_end: Literal["6303", "empty", "null", "absent", "2502"] = _switch(
        "6303",
        "empty",
        "null",
        "absent",
        "2502",
        says="A page past the end of a list. 2502 is what the sister endpoint getlistsubscribers"
        " answers.",
    )
    ignores_fromindex: bool = _switch(
        False, says="Every page is the first one: a client has to notice."
    )
    order: Literal["stable", "reverse", "email", "newest", "random"] = _switch(
        "stable",
        "reverse",
        "email",
        "newest",
        says="Order of the rows: as sent, reversed, by address, latest event first (newcomers"
        " come first), or another one at every request (no client can page through that).",
    )
    duplicates_every: int = _switch(
        0,
        10,
        says="Every n-th row comes twice, the second time with another contactid (a contact that"
        " was deleted and added again). Never reported, tolerated by clients.",
    )
    moves: Moves | None = _switch(None, says="Contacts enter and leave lists between requests.")

    # Requests
    params_from: Literal["both", "query", "form"] = _switch(
        "both",
        "query",
        "form",
        says="Where parameters are read from. Query string and form body were both seen to work.",
    )
    missing_code: Literal["903", "1003"] = _switch(
        "903", "1003", says="Code of a missing mandatory parameter; both are in the catalogue."
    )
    extra_parameter: Literal["ignored", "refused"] = _switch(
        "ignored",
        "refused",
        says="A parameter that the endpoint does not know. Code 1002 is in the catalogue.",
    )
    resfmt_case_sensitive: bool = _switch(
        False, True, says="Only upper case JSON is understood, all else is answered in XML."
    )

    # Errors
    error_spelling: Literal["seen", "app", "app_int", "gateway", "capital_no_status"] = _switch(
        "seen",
        "app",
        "app_int",
        "gateway",
        "capital_no_status",
        says="'seen': 1007 as the gateway spells it (Code, URI), 1001 as {Code: 1001, Message}"
        " without status, all else as the application does (status, code, message). The others"
        " force one spelling on every error.",
    )
    error_format: Literal["asked", "xml", "json"] = _switch(
        "asked",
        "xml",
        "json",
        says="Format of errors. An unknown URL is answered in XML, the gateway's 1007 in JSON,"
        " whatever was asked (unless forced here).",
    )
    code_type: Literal["text", "int"] = _switch(
        "text", "int", says='The code of a success: "0" in the documentation, 0 in a client.'
    )

    # Rows
    numbers: Literal["text", "int"] = _switch(
        "text", "int", says="Counts, ids and epoch times: text live, numbers perhaps elsewhere."
    )
    name_fields: Literal["contactfn", "firstname"] = _switch(
        "contactfn",
        "firstname",
        says="Names in v1.1 JSON rows: contactfn/contactln live, firstname/lastname documented"
        " (and always used on the legacy API).",
    )
    empties: Literal["null_text", "empty", "absent", "null"] = _switch(
        "null_text",
        "empty",
        "absent",
        "null",
        says='A field without a value: "null" (names: ""; XML: an empty element) as in the'
        ' documented sample, "", no key, or JSON null (XML: the word null).',
    )
    openreports: Literal["map_text", "object", "json_text", "literal_text", "times"] = _switch(
        "map_text",
        "object",
        "json_text",
        "literal_text",
        "times",
        says="openreports as {key=time, key=time}, a JSON object, JSON or a Python literal in a"
        " string, or an array of times. What the keys mean is unknown.",
    )
    clickreports: Literal["map_text", "object", "json_text", "literal_text", "absent"] = _switch(
        "map_text",
        "object",
        "json_text",
        "literal_text",
        "absent",
        says="The same for clickreports, whose keys are links here; or no such field.",
    )
    report_labels: Literal["telling", "ids"] = _switch(
        "telling",
        "ids",
        says="The keys of both maps: open_1 and links, or IDs that say nothing.",
    )
    timeline: Literal["xml", "ignored", "refused"] = _switch(
        "xml",
        "ignored",
        "refused",
        says="type=open_timeline and click_timeline add reports to XML rows (seen live by one"
        " client), are ignored, or are refused as an extra parameter (1002).",
    )
    timeline_json: Literal["ignored", "reports", "refused"] = _switch(
        "ignored",
        "reports",
        "refused",
        says="The same parameter in a request for JSON, which nobody has tried.",
    )
    clickedurls: Literal["text", "array"] = _switch(
        "text", "array", says='clickedurls as the string "[url, url]" (seen live) or an array.'
    )
    xml_fields: Literal["documented", "all"] = _switch(
        "documented",
        "all",
        says="XML rows hold the documented fields alone, or the JSON ones too (contact_id, status,"
        " profile, custom fields).",
    )

    # Times
    skew_ms: int = _switch(
        28_800_000,
        0,
        19_800_000,
        says="Epoch times are ahead of the true ones by this: eight hours on the US data centre,"
        " unknown elsewhere. The _gmt fields are true.",
    )
    gmt_fields: bool = _switch(True, False, says="Whether campaigns carry *_time_gmt fields.")
    utc_offset_minutes: int | None = _switch(
        None,
        says="Wall-clock texts are so far from UTC, whatever the account's time zone is.",
    )
    date_header: bool = _switch(True, False, says="Whether responses have a Date header.")

    # The listing
    listing_requestdetails: Literal["text", "object"] = _switch(
        "text", "object", says="requestdetails of recentcampaigns; documented as a text."
    )
    total_record_count: Literal["text", "int", "absent", "all_campaigns"] = _switch(
        "text",
        "int",
        "absent",
        "all_campaigns",
        says="Spelling of total_record_count; all_campaigns counts those the status leaves out.",
    )
    listing_status_filter: bool = _switch(
        True, False, says="Whether recentcampaigns honours its status parameter (seen live)."
    )
    listing_range_cap: int | None = _switch(
        None, 5, says="A larger range of recentcampaigns is silently cut; 100 and 200 were served."
    )
    listing_past_end: Literal["6101", "empty", "null"] = _switch(
        "6101",
        "empty",
        "null",
        says="A listing page with no campaign: 6101 is documented for an empty view.",
    )
    ab_children_listed: bool = _switch(
        False, True, says="Whether the A/B variants of an A/B campaign are in recentcampaigns."
    )
    drafts_sent_fields: Literal["absent", "empty", "null_text"] = _switch(
        "absent",
        "empty",
        "null_text",
        says="The sent_* fields of a campaign that was not sent; absent live.",
    )

    # Reports
    reports: Literal["ok", "missing", "http_500", "lagging", "wrong"] = _switch(
        "ok",
        "missing",
        "http_500",
        "lagging",
        "wrong",
        says="campaignreports: right, code 6001, HTTP 500, as of an earlier time"
        " (reports_as_of), or with counts that never agree with the lists.",
    )
    reports_as_of: float | None = _switch(
        None, says="The time of lagging reports, epoch seconds; default: a day ago."
    )
    locations: Literal["object", "map_text", "absent"] = _switch(
        "object",
        "map_text",
        "absent",
        says="Opens by country in a report: an object (seen live), {in=2} as documented, or none.",
    )
    location_name: Literal["campaign-by-loaction", "campaign-by-location"] = _switch(
        "campaign-by-loaction",
        "campaign-by-location",
        says="The name of that field in JSON; the first one is Zoho's spelling, seen live.",
    )
    useragentstats: Literal["counts", "absent"] = _switch(
        "counts", "absent", says="Devices and programs in the details: counts (seen live), or none."
    )
    report_percent: Literal["decimal", "sign", "two_decimals"] = _switch(
        "decimal", "sign", "two_decimals", says="Percentages as 50.3 (seen live), 50.3%, 50.28."
    )

    # Limits and tokens
    limit: Limit | None = _switch(
        None, says="Calls per endpoint; DOCUMENTED_LIMIT is Zoho's own. Default: no limit."
    )
    lock_shape: Literal["429", "400_title", "200_text"] = _switch(
        "429",
        says="How a locked endpoint answers. Nobody recorded it: 429, HTTP 400 with the title that"
        " other Zoho products give, or HTTP 200 with an error text.",
    )
    retry_after: int | Literal["remaining", "date"] | None = _switch(
        None, says="Retry-After of a lock: none, these seconds, those that remain, or an HTTP date."
    )
    token_limit: int | None = _switch(
        10, says="Token requests per token_period_s before 'Access Denied'."
    )
    grant_code_once: bool = _switch(True, says="A grant code is good once, and for ten minutes.")
    token_period_s: float = _switch(600.0, says="Period of token_limit.")
    token_throttle_status: Literal[200, 400] = _switch(
        200, 400, says="HTTP status of 'Access Denied': 200 by Zoho's post, 400 live."
    )
    token_lifetime_s: int = _switch(3600, says="How long an access token is valid.")
    expires_in: Literal["seconds", "milliseconds"] = _switch(
        "seconds", "milliseconds", says="Unit of expires_in; old clients got ms and expires_in_sec."
    )

    # The network
    latency_s: float = _switch(0.0, says="Each answer waits so long (real time).")
    date_skew_s: float = _switch(0.0, says="The Date header is ahead of the sandbox's clock.")
    redirect_to: str | None = _switch(
        None, says="API requests are redirected (302) to the same path of this host."
    )

    def set(self, name: str, value: Any) -> None:
        """Set one switch by name; `value` may be text as on a command line.

        Raises:
            ValueError: no such switch, or no such position.
        """
        hints = typing.get_type_hints(Switches)
        if name not in hints:
            raise ValueError(f"no switch {name!r}; there are: {', '.join(hints)}")
        setattr(self, name, _as_position(name, value, hints[name]))


def _as_position(name: str, value: Any, hint: Any) -> Any:
    """Read `value` as one of the types of `hint`."""
    alternatives = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    for reading in _readings(value):
        for alternative in alternatives:
            if typing.get_origin(alternative) is Literal:
                if reading in typing.get_args(alternative):
                    return reading
            elif alternative in {Limit, Moves} and isinstance(reading, dict):
                return alternative(**reading)
            elif type(reading) is alternative or (alternative is float and type(reading) is int):
                return reading
    raise ValueError(f"{name}={value!r} is no position of that switch: {hint}")


def _readings(value: Any) -> Iterator[Any]:
    """What a value may mean: text may be JSON, none, or a limit as calls/period/lock."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            yield json.loads(value)
        with contextlib.suppress(ValueError):
            calls, period, lock = value.split("/")
            yield Limit(int(calls), float(period), float(lock))
        if value.lower() == "none":
            yield None
    yield value


POSITIONS: dict[str, tuple[Any, ...]] = {
    f.name: tuple(p for p in f.metadata["others"] if p != f.default)
    for f in dataclasses.fields(Switches)
    if f.metadata["others"]
}
"""Per uncertain switch, its positions other than the default."""


def set_from_probe(switches: Switches, document: Any) -> None:
    """Set switches to what a probe has found out of an account's API.

    What was not answered, or is of another version and not known here, is left as it is.

    Raises:
        ValueError: The document is no probe's.
    """
    answers = document.get("answers") if isinstance(document, dict) else None
    if not isinstance(answers, dict):
        raise ValueError("the file is not a probe's: it has no answers")  # noqa: TRY004
    for name, answer in answers.items():
        if isinstance(answer, dict) and answer.get("confidence") in {"seen", "inferred"}:
            with contextlib.suppress(ValueError):
                switches.set(name, answer.get("value"))
