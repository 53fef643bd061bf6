"""The endpoints: from a request's parameters and the account to a response."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.model import ACTIONS
from sandbox.responses import Refused, Reply, Speller, dump, fl, map_text, xml_of, xml_reply

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping

    from sandbox.model import Account, Campaign, Contact, Refusal
    from sandbox.responses import Format
    from sandbox.switches import Switches

ALIASES = {"getcampaignreports": "campaignreports"}
KNOWN_PARAMETERS = {
    *("campaignkey", "action", "resfmt", "version", "fromindex", "range", "type"),
    *("authtoken", "scope"),
}
"""What getcampaignrecipientsdata reads."""
DEFAULT_RANGE = 20
DEFAULT_LISTING_RANGE = 5
STATUS_LABELS = {
    "drafts": "Draft",
    "scheduled": "Scheduled",
    "inprogress": "In Progress",
    "sent": "Sent",
    "stopped": "Stopped",
    "canceled": "Canceled",
    "tobereviewed": "To be reviewed",
    "reviewed": "Reviewed",
    "paused": "Paused",
    "intesting": "In Testing",
}


def resfmt(params: Mapping[str, str], switches: Switches) -> Format:
    """Tell which format is asked for. Left out, it is XML."""
    asked = params.get("resfmt", "XML")
    if not switches.resfmt_case_sensitive:
        asked = asked.upper()
    return "json" if asked == "JSON" else "xml"


@dataclass(slots=True)
class Call:
    """One request to an endpoint, its parameters as the API reads them."""

    account: Account
    switches: Switches
    params: Mapping[str, str]
    version: str
    uri: str
    form: Format
    now: float
    rng: random.Random
    """Of `Switches.moves`."""

    @property
    def speller(self) -> Speller:
        """Spells in the dialect of this call."""
        return Speller(self.account, self.switches, self.version)

    def need(self, name: str) -> str:
        """Read a mandatory parameter."""
        value = self.params.get(name)
        if not value:
            raise Refused(self.switches.missing_code, f"Mandatory field is missing: {name}")
        return value

    def number(self, name: str, default: int) -> int:
        """Read a parameter that counts from 1."""
        text = self.params.get(name) or str(default)
        if not text.isdigit():
            raise Refused("1005")
        if int(text) < 1:
            raise Refused("1001")
        return int(text)

    def code(self) -> str | int:
        """Spell the code of a success."""
        return 0 if self.switches.code_type == "int" else "0"

    def reply(self, document: dict[str, Any], rows: int = 0) -> Reply:
        """Answer with a document in the format asked for."""
        if self.form == "xml":
            body = xml_of(document, self.uri, self.version)
            return Reply(200, body, "text/xml;charset=UTF-8", rows=rows)
        return Reply(200, dump(document), rows=rows)

    def success(self) -> dict[str, Any]:
        """The part of the envelope that all successes share."""
        return {
            "status": "success",
            "code": self.code(),
            "uri": self.uri,
            "version": self.version,
        }


def _refuse(refusal: Refusal | None) -> None:
    """Refuse where a campaign says so."""
    if isinstance(refusal, int):
        raise Refused("", status=refusal)
    if isinstance(refusal, str):
        raise Refused(refusal)
    if refusal is not None:
        raise Refused(*refusal)


@dataclass(frozen=True, slots=True)
class Page:
    """What one request to the recipients endpoint brings."""

    campaign: Campaign
    action: str
    contacts: list[Contact]
    echo: dict[str, int] | None
    """The range and fromindex that requestdetails shows."""
    habit: str
    """The list: its `rows`, or `empty`, `null` or `absent` if it has none."""


def recipients(call: Call) -> Reply:
    """getcampaignrecipientsdata: a page of one of the nine lists."""
    key, action = call.need("campaignkey"), call.need("action")
    if action not in ACTIONS:
        raise Refused("1001")
    campaign = call.account.campaigns.get(key)
    if campaign is None or campaign.sent_at is None:
        raise Refused("6002")
    _refuse(campaign.refusal)
    timeline = call.switches.timeline if call.form == "xml" else call.switches.timeline_json
    if "type" in call.params and timeline == "refused":
        raise Refused("1002")
    if call.switches.extra_parameter == "refused" and call.params.keys() - KNOWN_PARAMETERS:
        raise Refused("1002")
    page = _cut_page(call, campaign, action)
    if call.form == "xml":
        body = xml_reply(_xml_page(call, page), call.uri, call.version)
        return Reply(200, body, "text/xml;charset=UTF-8", rows=len(page.contacts))
    return Reply(200, _json_page(call, page), rows=len(page.contacts))


def _cut_page(call: Call, campaign: Campaign, action: str) -> Page:
    switches = call.switches
    asked = call.number("range", DEFAULT_RANGE)
    fromindex = call.number("fromindex", 1)
    if switches.range_error_above is not None and asked > switches.range_error_above:
        if switches.range_error == "http_400":
            _refuse(400)
        raise Refused(switches.range_error)
    _move(call, campaign.key)
    served = asked if switches.range_cap is None else min(asked, switches.range_cap)
    start = 0 if switches.ignores_fromindex else fromindex - 1
    everyone = campaign.mail.view(action, switches.order, switches.duplicates_every)
    contacts = everyone[start : start + served]
    if switches.ends_at is not None and start + 1 >= switches.ends_at:
        contacts = []
    if switches.page_bytes is not None:
        contacts = _within(call, campaign, action, contacts)
    if switches.hides_every:
        contacts = [
            contact
            for place, contact in enumerate(contacts, start + 1)
            if place % switches.hides_every
        ]
    habit = "rows"
    if not contacts:
        habit = switches.past_end if everyone else switches.empty_list
        if habit.isdigit():
            raise Refused(habit)
    echo = {
        "asked": {"range": asked, "fromindex": fromindex},
        "served": {"range": served, "fromindex": fromindex},
        "default": {"range": DEFAULT_RANGE, "fromindex": 1},
        "none": None,
    }[switches.echo]
    return Page(campaign, action, contacts, echo, habit)


def _within(call: Call, campaign: Campaign, action: str, contacts: list[Contact]) -> list[Contact]:
    """Return as many contacts as have room in a page of limited size; one at least."""
    room = call.switches.page_bytes or 0
    for count, contact in enumerate(contacts):
        room -= len(call.speller.json_rows([contact], campaign, action))
        if room < 0:
            return contacts[: max(count, 1)]
    return contacts


def _json_page(call: Call, page: Page) -> bytes:
    head: dict[str, Any] = {}
    if page.echo:
        is_legacy = call.version == "1"
        action = page.action if is_legacy else page.action.removesuffix("contacts")
        head["requestdetails"] = {"range": page.echo["range"], "action": action} | page.echo
    head["status"] = "success"
    tail = {name: value for name, value in call.success().items() if name != "status"}
    if page.habit in {"null", "absent"}:
        return dump(head | ({"list_of_details": None} if page.habit == "null" else {}) | tail)
    timeline = ""
    if call.switches.timeline_json == "reports":
        timeline = call.params.get("type", "")
    rows = call.speller.json_rows(page.contacts, page.campaign, page.action, timeline)
    array = rows.encode(errors="surrogatepass")
    return b"".join((dump(head)[:-1], b',"list_of_details":[', array, b"],", dump(tail)[1:]))


def _xml_page(call: Call, page: Page) -> str:
    parts = [f"<status>success</status><code>{call.code()}</code>"]
    if page.echo:
        parts.append(
            f"<range>{page.echo['range']}</range><action>{page.action}</action>"
            f"<fromindex>{page.echo['fromindex']}</fromindex>"
        )
    campaign = page.campaign
    details = (
        fl("email_status", campaign.status),
        fl("zuid", campaign.zuid),
        fl("campaign_name", campaign.name),
        fl("email_subject", campaign.subject),
    )
    parts.append(f"<campaign_details>{''.join(details)}</campaign_details>")
    if page.habit == "rows":
        is_honoured = call.switches.timeline == "xml"
        timeline = call.params.get("type", "") if is_honoured else ""
        rows = call.speller.xml_rows(page.contacts, campaign, page.action, timeline)
        parts.append(f"<contacts>{rows}</contacts>")
    elif page.habit == "empty":
        parts.append("<contacts/>")
    return "".join(parts)


def _move(call: Call, key: str) -> None:
    """Let contacts come and go, where the switch says so."""
    moves = call.switches.moves
    if moves and call.rng.random() < moves.rate:
        for _ in range(call.rng.randint(1, moves.most)):
            call.account.move(key, call.rng.choice(moves.kinds), call.rng)


def listing(call: Call) -> Reply:
    """recentcampaigns: a page of the account's campaigns."""
    switches = call.switches
    asked_range = call.number("range", DEFAULT_LISTING_RANGE)
    start = call.number("fromindex", 1)
    status = call.params.get("status", "all")
    sort = call.params.get("sort", "desc").lower()
    label = STATUS_LABELS.get(status.lower())
    if (label is None and status.lower() != "all") or sort not in {"asc", "desc"}:
        raise Refused("1001")
    everything = _listed(call.account, switches, descending=sort == "desc")
    view = everything
    if label and switches.listing_status_filter:
        view = [c for c in everything if c.status == label]
    cap = switches.listing_range_cap
    page = view[start - 1 : start - 1 + (asked_range if cap is None else min(asked_range, cap))]
    if not page and switches.listing_past_end == "6101":
        raise Refused("6101")
    asked: Any = {"range": asked_range, "status": status, "fromindex": start}
    if switches.listing_requestdetails == "text":
        asked = "{" + ", ".join(f"{k}={v}" for k, v in asked.items()) + "}"
    document = {"requestdetails": asked, **call.success()}
    if call.version == "1":
        document |= {
            "campaign_count": str(len(page)),
            "range": str(asked_range),
            "fromindex": str(start),
        }
    rows = [call.speller.listing_row(c) for c in page]
    document["recent_campaigns"] = rows or (None if switches.listing_past_end == "null" else [])
    total = len(everything if switches.total_record_count == "all_campaigns" else view)
    total += sum(c.is_hidden for c in call.account.campaigns.values())
    if switches.total_record_count != "absent":
        is_int = switches.total_record_count == "int"
        document["total_record_count"] = total if is_int else str(total)
    return call.reply(document, len(page))


def _listed(account: Account, switches: Switches, *, descending: bool) -> list[Campaign]:
    campaigns = [
        c
        for c in account.campaigns.values()
        if (switches.ab_children_listed or c.parent_key is None) and not c.is_hidden
    ]
    campaigns.sort(key=lambda c: (c.sent_at or c.created_at, c.key), reverse=descending)
    return campaigns


def sent_listing(call: Call) -> Reply:
    """recentsentcampaigns: the token user's own campaigns only."""
    limit = call.number("limit", DEFAULT_LISTING_RANGE)
    call.need("limit")
    own = [
        c
        for c in _listed(call.account, call.switches, descending=True)
        if c.zuid == call.account.zuid and c.status == "Sent"
    ]
    rows = [call.speller.sent_listing_row(c) for c in own[:limit]]
    document = {
        "recent_sent_campaigns": rows,
        "fromindex": 1,
        "range": limit,
        "total_record_count": len(own),
        "orderby": "CREATED",
        **call.success(),
    }
    return call.reply(document, len(rows))


def report(call: Call) -> Reply:
    """campaignreports: counts and percentages of a campaign."""
    campaign = call.account.campaigns.get(call.need("campaignkey"))
    if campaign is None or campaign.sent_at is None or call.switches.reports == "missing":
        raise Refused("6001")
    if call.switches.reports == "http_500":
        _refuse(500)
    _refuse(campaign.report_error)
    document = {
        **_report_parts(call, campaign),
        "campaign-details": [
            {
                "campaign_name": campaign.name,
                "email_subject": campaign.subject,
                "email_from": campaign.from_email,
                "sent_time": call.speller.times(campaign)["sent_date_string"],
            }
        ],
        "message": "Campaign report",
        **call.success(),
    }
    return call.reply(document)


def _report_parts(call: Call, campaign: Campaign) -> dict[str, Any]:
    opens = len(campaign.mail.contacts("openedcontacts"))
    number = call.speller.number
    reach = {"total": number(opens), "emails": number(opens)} | dict.fromkeys(
        ("facebook", "twitter", "linkedin", "other", "gplus", "pinterest", "tumblr"), number(0)
    )
    parts: dict[str, Any] = {
        "campaign-reports": [call.speller.report_row(campaign, call.now)],
        "campaign-reach": [reach],
    }
    if call.switches.locations != "absent":
        places = {"United States of America": opens} if opens else {}
        is_text = call.switches.locations == "map_text"
        parts[call.switches.location_name] = map_text(places) if is_text else places
    return parts


def details(call: Call) -> Reply:
    """getcampaigndetails: what a campaign is; the A/B variants of an A/B campaign are here."""
    campaign = call.account.campaigns.get(call.need("campaignkey"))
    if campaign is None:
        raise Refused("6301")
    _refuse(campaign.details_error)
    asked_type = call.params.get("campaigntype", "normal")
    document: dict[str, Any] = {"campaign-details": [call.speller.details_row(campaign)]}
    if campaign.sent_at is not None and asked_type == campaign.type:
        document |= _report_parts(call, campaign)
        agents = {"computer_percent": {"Windows": 3}, "mobile_percent": {"iPhone": 2}}
        if call.switches.useragentstats == "counts":
            document["useragentstats"] = agents
    else:
        document |= {"campaign-reports": [], "campaign-reach": []}
    if campaign.variants and asked_type == "abtesting":
        split: dict[str, Any] = {}
        for name, variant in zip("ab", campaign.variants, strict=True):
            for what, action in (("open", "openedcontacts"), ("click", "clickedcontacts")):
                count = len(variant.mail.contacts(action))
                split[f"{name}_{what}_count"] = call.speller.number(count)
            split[f"{name}_child_campaignkey"] = variant.key
        document["AB-split-details"] = [split]
    lists = {"listkey": "3z5e", "listname": "Readers", "contacts count": "1"}
    document |= {
        "associated_mailing_lists": [lists],
        "segments_info": [],
        "campaign_status": campaign.status,
        **call.success(),
    }
    return call.reply(document)


ENDPOINTS: dict[str, Callable[[Call], Reply]] = {
    "getcampaignrecipientsdata": recipients,
    "recentcampaigns": listing,
    "recentsentcampaigns": sent_listing,
    "campaignreports": report,
    "getcampaigndetails": details,
}
