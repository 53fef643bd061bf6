"""The sandbox answers as Zoho Campaigns is known to answer."""

from __future__ import annotations

import ast
import http.client
import json
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit
from zoneinfo import ZoneInfo

import pytest

import sandbox as sandbox_package
from sandbox import (
    ACTIONS,
    DOCUMENTED_LIMIT,
    POSITIONS,
    Account,
    Campaign,
    Contact,
    Limit,
    Mail,
    Moves,
    Sandbox,
    Switches,
    campaign_key,
    demo_account,
    epoch_ms,
    load_account,
    make_account,
    make_campaign,
    seed_account,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parents[2]
V1_1 = "/api/v1.1/"
RECIPIENTS = "getcampaignrecipientsdata"
SENT_AT = 1_782_489_993.0  # 26 Jun 2026, 16:06:33 UTC
KEY = campaign_key("the campaign")


class FakeClock:
    def __init__(self, now: float = SENT_AT) -> None:
        self.now = now

    def time(self) -> float:
        return self.now


def account() -> Account:
    ada = Contact(id="101", email="Ada@mail.example", first_name="Ada", last_name="Archer")
    bo = Contact(
        id="102", email="bo@mail.example", custom={"last seen yymmdd": "260601"}, rtbf=False
    )
    forgotten = Contact(id="103", email=None, rtbf=True)
    contacts = [ada, bo, forgotten]
    account = Account(profile_fields=("companyname", "phone"), contacts=contacts)
    account.add(
        Campaign(
            key=KEY,
            name="Summer",
            subject="Sun & fun",
            created_at=SENT_AT - 60,
            sent_at=SENT_AT,
            sent_time_zone="Europe/Berlin",
            plan=lambda: Mail(
                recipients=[ada, bo, forgotten],
                opens={ada: [SENT_AT + 60, SENT_AT + 86_400]},
                clicks={ada: [(SENT_AT + 90, "https://a.example/?b=1,2"), (SENT_AT + 91, "u")]},
                bounces={forgotten: ("soft", SENT_AT + 30)},
                optouts={bo: SENT_AT + 120},
            ),
        )
    )
    return account


@pytest.fixture
def zoho() -> Iterator[Sandbox]:
    with Sandbox(account(), clock=FakeClock()) as running:
        yield running


def send(
    zoho: Sandbox | Process,
    path: str,
    params: Mapping[str, object] | None = None,
    *,
    method: str = "GET",
    form: Mapping[str, object] | None = None,
    token: str | None = "",
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(urlsplit(zoho.url).netloc, timeout=5)
    headers = {}
    if token is not None:
        headers["Authorization"] = f"Zoho-oauthtoken {token or zoho.account.access_token}"
    body = None
    if form is not None:
        method, body = "POST", urlencode(form)
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    target = path + ("?" + urlencode(params) if params else "")
    try:
        connection.request(method, target, body, headers)
        response = connection.getresponse()
        return response.status, dict(response.headers), response.read()
    finally:
        connection.close()


def ask(zoho: Sandbox, name: str, **params: object) -> Any:
    status, _, body = send(zoho, V1_1 + name, {"resfmt": "JSON", **params})
    assert status == 200
    return json.loads(body)


def page(zoho: Sandbox, action: str = "sentcontacts", **params: object) -> Any:
    return ask(zoho, RECIPIENTS, campaignkey=KEY, action=action, **params)


def xml_page(zoho: Sandbox, action: str, **params: object) -> str:
    _, _, body = send(zoho, V1_1 + RECIPIENTS, {"campaignkey": KEY, "action": action, **params})
    return body.decode()


# The documentation's samples


def test_seed_json() -> None:
    """The legacy API serves the documented JSON sample, field by field."""
    with Sandbox(seed_account()) as zoho:
        form = {
            "authtoken": zoho.account.auth_token,
            "scope": "CampaignsAPI",
            "campaignkey": next(iter(zoho.account.campaigns)),
            "action": "sentcontacts",
        }
        answer = send(zoho, f"/api/{RECIPIENTS}", form=form | {"resfmt": "JSON"}, token=None)
        assert (answer[0], json.loads(answer[2])) == (
            200,
            {
                "requestdetails": {"range": 20, "action": "sentcontacts", "fromindex": 1},
                "status": "success",
                "list_of_details": [
                    {
                        "phone": "null",
                        "timezone": "null",
                        "contactstatus": "active",
                        "contactemailaddress": "john.doe@xyz.com",
                        "sent_time": "1375456161000",
                        "lastname": "",
                        "sentdate": "02 Aug 2013, 12:39 PM",
                        "firstname": "meganath.v",
                        "contactid": "303000014269257",
                        "companyname": "null",
                    }
                ],
                "code": "0",
                "uri": "/api/getcampaignrecipientsdata",
                "version": "1",
            },
        )


def test_seed_xml() -> None:
    """The legacy API serves the documented XML sample, element by element."""
    with Sandbox(seed_account()) as zoho:
        query = {
            "authtoken": zoho.account.auth_token,
            "scope": "CampaignsAPI",
            "campaignkey": next(iter(zoho.account.campaigns)),
            "action": "sentcontacts",
            "resfmt": "XML",
        }
        _, headers, body = send(zoho, f"/api/{RECIPIENTS}", query, token=None)
        assert headers["Content-Type"] == "text/xml;charset=UTF-8"
        assert body.decode() == (
            '<response uri="/api/getcampaignrecipientsdata" version="1">'
            "<status>success</status><code>0</code><range>20</range>"
            "<action>sentcontacts</action><fromindex>1</fromindex>"
            '<campaign_details><fl val="email_status">Sent</fl><fl val="zuid">4179027</fl>'
            '<fl val="campaign_name">Zoho Survey 7</fl><fl val="email_subject">Zoho Survey 7</fl>'
            "</campaign_details><contacts><contact>"
            '<fl val="added_time">02 Aug 2013, 12:39 PM</fl><fl val="first_name">meganath.v</fl>'
            '<fl val="last_name"/><fl val="company_name"/><fl val="phone"/>'
            '<fl val="contact_email">john.doe@xyz.com</fl></contact></contacts></response>'
        )


# Recipients


def test_page(zoho: Sandbox) -> None:
    """A page of v1.1 holds rows with the observed names, skewed times and "null" for nothing."""
    sent = {"sent_time": "1782518793000", "sentdate": "26 Jun 2026, 12:06 PM"}
    nothing = {"companyname": "null", "phone": "null", "contactstatus": "active"}
    assert page(zoho) == {
        "requestdetails": {"range": 20, "action": "sent", "fromindex": 1},
        "status": "success",
        "list_of_details": [
            {
                "contactid": "101",
                "contactemailaddress": "Ada@mail.example",
                "contactfn": "Ada",
                "contactln": "Archer",
                **nothing,
                **sent,
            },
            {
                "contactid": "102",
                "contactemailaddress": "bo@mail.example",
                "contactfn": "",
                "contactln": "",
                "rtbf": "0",
                "last seen yymmdd": "260601",
                **nothing,
                **sent,
            },
            {
                "contactid": "103",
                "contactemailaddress": "null",
                "contactfn": "",
                "contactln": "",
                "rtbf": "1",
                **nothing,
                **sent,
            },
        ],
        "code": "0",
        "uri": "/api/v1.1/getcampaignrecipientsdata",
        "version": "1.1",
    }


def test_extras(zoho: Sandbox) -> None:
    """Opened and clicked rows say more in JSON; bounced, opted-out and timeline rows do in XML."""
    (opened,) = page(zoho, "openedcontacts")["list_of_details"]
    assert opened["openreports"] == "{open_1=26 Jun 2026, 12:07 PM, open_2=27 Jun 2026, 12:06 PM}"
    (clicked,) = page(zoho, "clickedcontacts")["list_of_details"]
    assert {name: clicked[name] for name in clicked if "click" in name} == {
        "clickcount": "2",
        "clickedurls": "[https://a.example/?b=1,2, u]",
        "clickreports": "{u=26 Jun 2026, 12:08 PM, https://a.example/?b=1,2=26 Jun 2026, 12:08 PM}",
        "urlclicks": [
            {"url": "https://a.example/?b=1,2", "count": "1"},
            {"url": "u", "count": "1"},
        ],
    }
    assert '<fl val="bouncedDate">26 Jun 2026, 12:07 PM</fl>' in xml_page(zoho, "sentsoftbounce")
    assert '<fl val="optOutTime">26 Jun 2026, 12:08 PM</fl>' in xml_page(zoho, "optoutcontacts")
    assert (
        '<reports><report><fl val="time">Jun 26, 2026 12:07 PM</fl></report>'
        '<report><fl val="time">Jun 27, 2026 12:06 PM</fl></report></reports>'
    ) in xml_page(zoho, "openedcontacts", type="open_timeline")


def test_spellings(zoho: Sandbox) -> None:
    """Numbers, names, empty values, reports and URLs are spelt as the switches say."""
    zoho.switches.numbers = "int"
    zoho.switches.name_fields = "firstname"
    zoho.switches.empties = "absent"
    zoho.switches.openreports = "object"
    zoho.switches.code_type = "int"
    zoho.switches.skew_ms = 0
    answer = page(zoho, "openedcontacts")
    assert (answer["code"], answer["list_of_details"]) == (
        0,
        [
            {
                "contactid": 101,
                "contactemailaddress": "Ada@mail.example",
                "firstname": "Ada",
                "lastname": "Archer",
                "contactstatus": "active",
                "sent_time": 1782489993000,
                "sentdate": "26 Jun 2026, 12:06 PM",
                "openreports": {
                    "open_1": "26 Jun 2026, 12:07 PM",
                    "open_2": "27 Jun 2026, 12:06 PM",
                },
            }
        ],
    )
    zoho.switches.empties = "null"
    zoho.switches.clickedurls = "array"
    (clicked,) = page(zoho, "clickedcontacts")["list_of_details"]
    assert (clicked["phone"], clicked["clickedurls"]) == (None, ["https://a.example/?b=1,2", "u"])
    zoho.switches.openreports = "literal_text"
    (opened,) = page(zoho, "openedcontacts")["list_of_details"]
    assert ast.literal_eval(opened["openreports"])["open_2"] == "27 Jun 2026, 12:06 PM"
    zoho.switches.xml_fields = "all"
    rows = ET.fromstring(xml_page(zoho, "sentcontacts")).iter("contact")
    bo = {fl.get("val"): fl.text for fl in list(rows)[1]}
    assert bo == {
        "added_time": "26 Jun 2026, 12:06 PM",
        "first_name": "null",
        "last_name": "null",
        "company_name": "null",
        "phone": "null",
        "contact_email": "bo@mail.example",
        "contact_id": "102",
        "contact_status": "active",
        "rtbf": "0",
        "last seen yymmdd": "260601",
    }


def test_paging() -> None:
    """Pages are 1-based, 20 rows where nothing is asked, and never say how many there are."""
    with Sandbox(make_account(1, 45, opened=0)) as zoho:
        (key,) = zoho.account.campaigns
        everyone = [row["contact_id"] for row in zoho.account.rows(key, "sentcontacts")]

        def ids(**params: object) -> list[str]:
            answer = ask(zoho, RECIPIENTS, campaignkey=key, action="sentcontacts", **params)
            return [row["contactid"] for row in answer["list_of_details"]]

        assert ids() == everyone[:20]
        assert ids(fromindex=21) == everyone[20:40]
        assert ids(fromindex=31, range=500) == everyone[30:]
        assert ids(fromindex=45, range=1) == everyone[44:]
        zoho.switches.range_cap = 10
        assert ids(fromindex=11, range=500) == everyone[10:20]
        zoho.switches.ignores_fromindex = True
        assert ids(fromindex=11, range=5) == everyone[:5]


def test_echo(zoho: Sandbox) -> None:
    """What requestdetails shows is what was asked, what was served, the defaults, or nothing."""
    zoho.switches.range_cap = 2
    seen = {}
    for echo in ("asked", "served", "default", "none"):
        zoho.switches.set("echo", echo)
        seen[echo] = page(zoho, range=500, fromindex=2).get("requestdetails")
    assert seen == {
        "asked": {"range": 500, "action": "sent", "fromindex": 2},
        "served": {"range": 2, "action": "sent", "fromindex": 2},
        "default": {"range": 20, "action": "sent", "fromindex": 1},
        "none": None,
    }


@pytest.mark.parametrize(("switch", "params"), [("empty_list", {}), ("past_end", {"fromindex": 9})])
def test_no_rows(zoho: Sandbox, switch: str, params: dict[str, object]) -> None:
    """An empty list, and a page past the end, are 6303, [], null or no key."""
    action = "sentcontacts" if params else "spamcontacts"
    assert page(zoho, action, **params) == {
        "status": "error",
        "code": "6303",
        "message": "There are no contacts.",
    }
    details = {"range": 20, "action": action.removesuffix("contacts"), "fromindex": 1} | params
    success = {
        "requestdetails": details,
        "status": "success",
        "code": "0",
        "uri": "/api/v1.1/getcampaignrecipientsdata",
        "version": "1.1",
    }
    for habit, rest in (
        ("empty", {"list_of_details": []}),
        ("null", {"list_of_details": None}),
        ("absent", {}),
    ):
        zoho.switches.set(switch, habit)
        assert page(zoho, action, **params) == success | rest
        has_contacts = "<contacts/>" in xml_page(zoho, action, **params)
        assert has_contacts == (habit == "empty")


def test_order_and_duplicates() -> None:
    """A list is served as sent, reversed, by address, newest first, or in no order at all."""
    with Sandbox(make_account(1, 300, opened=100, unsent=0)) as zoho:
        (key,) = zoho.account.campaigns
        truth = [row["contact_id"] for row in zoho.account.rows(key, "openedcontacts")]

        def ids() -> list[str]:
            answer = ask(zoho, RECIPIENTS, campaignkey=key, action="openedcontacts", range=500)
            return [row["contactid"] for row in answer["list_of_details"]]

        assert ids() == truth
        zoho.switches.order = "reverse"
        assert ids() == truth[::-1]
        zoho.switches.order = "newest"
        unopened = zoho.account.rows(key, "unopenedcontacts")[0]
        zoho.account.open(key, unopened["email"])
        assert ids()[0] == unopened["contact_id"]
        zoho.switches.order = "random"
        first, second = ids(), ids()
        assert sorted(first) == sorted(second) == sorted([*truth, unopened["contact_id"]])
        assert first != second
        zoho.switches.order = "stable"
        zoho.switches.duplicates_every = 10
        twice = ids()
        assert len(twice) == len(set(twice)) > len(truth) + 1


def test_overlap() -> None:
    """The nine lists overlap as they do at Zoho, and the report counts them."""
    account = make_account(1, 1_000, hard=20, soft=30, opened=300, clicked=100, unsent=8)
    (key,) = account.campaigns
    lists = {action: {row["contact_id"] for row in account.rows(key, action)} for action in ACTIONS}
    sent, opened = lists["sentcontacts"], lists["openedcontacts"]
    bounced = lists["senthardbounce"] | lists["sentsoftbounce"]
    for action in set(ACTIONS) - {"unsentcontacts"}:
        assert lists[action] <= sent
    assert lists["unopenedcontacts"] == sent - bounced - opened
    assert len(lists["clickedcontacts"] - opened) == 10
    assert len(lists["unsentcontacts"] & sent) == 1
    report = account.report(key)
    assert report["opens_count"] + report["unopened"] == report["delivered_count"] == 950
    assert report["unsent_count"] == 8
    assert {row["sent_at"] for row in account.rows(key, "sentcontacts")} == {
        account.campaigns[key].sent_at
    }


def test_events(zoho: Sandbox) -> None:
    """What happens to a mail is in the next response, with the row's sent_time unchanged."""
    zoho.advance(5 * 86_400)
    zoho.account.open(KEY, "bo@mail.example")
    assert [
        (row["contactid"], row["sent_time"])
        for row in page(zoho, "openedcontacts")["list_of_details"]
    ] == [("101", "1782518793000"), ("102", "1782518793000")]
    assert zoho.account.rows(KEY, "openedcontacts")[1]["opens"] == [SENT_AT + 5 * 86_400]
    assert page(zoho, "unopenedcontacts")["code"] == "6303"
    zoho.account.click(KEY, "102", url="v")
    zoho.account.spam(KEY, "102")
    zoho.account.send(KEY, "new@mail.example", at=SENT_AT + 3)
    zoho.account.bounce(KEY, "new@mail.example", kind="hard")
    zoho.account.unsend(KEY, "102")
    zoho.account.remove(KEY, "101")
    assert {action: [r["email"] for r in zoho.account.rows(KEY, action)] for action in ACTIONS} == {
        "sentcontacts": ["bo@mail.example", None, "new@mail.example"],
        "openedcontacts": ["bo@mail.example"],
        "clickedcontacts": ["bo@mail.example"],
        "unopenedcontacts": [],
        "optoutcontacts": ["bo@mail.example"],
        "spamcontacts": ["bo@mail.example"],
        "senthardbounce": ["new@mail.example"],
        "sentsoftbounce": [None],
        "unsentcontacts": ["bo@mail.example"],
    }
    assert zoho.account.rows(KEY, "sentcontacts")[2]["sent_at"] == SENT_AT + 3
    with pytest.raises(KeyError):
        zoho.account.open(KEY, "nobody@mail.example")


def test_moves() -> None:
    """Lists that move keep the order of the rows that stay, and nobody comes back."""
    with Sandbox(make_account(1, 400)) as zoho:
        (key,) = zoho.account.campaigns
        zoho.switches.moves = Moves(rate=1.0, seed=7)
        pages = [
            ask(zoho, RECIPIENTS, campaignkey=key, action="unopenedcontacts", range=500)
            for _ in range(20)
        ]
        lists = [[row["contactid"] for row in page["list_of_details"]] for page in pages]
        assert len(set(map(tuple, lists))) > 10
        for before, after in pairwise(lists):
            stay = set(before) & set(after)
            assert [c for c in before if c in stay] == [c for c in after if c in stay]
        gone: set[str] = set()
        for before, after in pairwise(lists):
            assert not gone & set(after)
            gone |= set(before) - set(after)


# Errors


def test_errors(zoho: Sandbox) -> None:
    """Errors come with HTTP 200, each in the spelling it was seen in."""
    assert page(zoho, "openedleads") == {"Code": 1001, "Message": "Pattern doesn't Match"}
    assert ask(zoho, RECIPIENTS, action="sentcontacts") == {
        "status": "error",
        "code": "903",
        "message": "Mandatory field is missing: campaignkey",
    }
    unknown = {"campaignkey": "3z00", "resfmt": "JSON"}
    codes = {
        RECIPIENTS: ask(zoho, RECIPIENTS, action="sentcontacts", **unknown)["code"],
        "campaignreports": ask(zoho, "campaignreports", **unknown)["code"],
        "getcampaigndetails": ask(zoho, "getcampaigndetails", **unknown)["code"],
    }
    assert codes == {RECIPIENTS: "6002", "campaignreports": "6001", "getcampaigndetails": "6301"}
    assert page(zoho, range="many")["code"] == "1005"
    zoho.switches.range_error_above = 100
    assert page(zoho, range=101)["code"] == "6502"
    assert send(zoho, V1_1 + "recentcampaign", {"resfmt": "JSON"})[2].decode() == (
        '<response uri="/api/v1.1/recentcampaign" version="1.1"><status>error</status>'
        "<code>1004</code><message>You have entered a wrong URL.</message></response>"
    )


def test_unauthorised(zoho: Sandbox) -> None:
    """A missing, unknown, expired or scopeless token is HTTP 401 with a capital Code."""
    refused = {
        "message": "Unauthorized request.",
        "version": "1.1",
        "URI": "/api/v1.1/recentcampaigns",
        "Code": "1007",
        "status": "error",
    }
    for token in (None, "1000.unknown"):
        status, _, body = send(zoho, V1_1 + "recentcampaigns", {"resfmt": "XML"}, token=token)
        assert (status, json.loads(body)) == (401, refused)
    zoho.account.scope = "ZohoCampaigns.contact.READ"
    status, _, body = send(zoho, V1_1 + "recentcampaigns")
    assert (status, json.loads(body)) == (401, refused)
    status, _, body = send(zoho, "/api/recentcampaigns", {"authtoken": "wrong"})
    legacy = refused | {"version": "1", "URI": "/api/recentcampaigns"}
    assert (status, json.loads(body)) == (401, legacy)


def test_error_spellings(zoho: Sandbox) -> None:
    """One spelling, and one format, can be forced on every error."""
    seen = {}
    for spelling in ("app", "app_int", "gateway", "capital_no_status"):
        zoho.switches.set("error_spelling", spelling)
        seen[spelling] = page(zoho, "spamcontacts")
    assert seen == {
        "app": {"status": "error", "code": "6303", "message": "There are no contacts."},
        "app_int": {"status": "error", "code": 6303, "message": "There are no contacts."},
        "gateway": {
            "message": "There are no contacts.",
            "version": "1.1",
            "URI": "/api/v1.1/getcampaignrecipientsdata",
            "Code": "6303",
            "status": "error",
        },
        "capital_no_status": {"Code": 6303, "Message": "There are no contacts."},
    }
    zoho.switches.error_spelling = "seen"
    zoho.switches.error_format = "json"
    assert json.loads(xml_page(zoho, "spamcontacts"))["code"] == "6303"
    zoho.switches.error_format = "xml"
    query = {"campaignkey": KEY, "action": "spamcontacts", "resfmt": "JSON"}
    assert send(zoho, V1_1 + RECIPIENTS, query)[2].decode() == (
        '<response uri="/api/v1.1/getcampaignrecipientsdata" version="1.1"><status>error</status>'
        "<code>6303</code><message>There are no contacts.</message></response>"
    )


def test_parameters(zoho: Sandbox) -> None:
    """Parameters are read from query and form, or from one of them; the rest is missing."""
    params: dict[str, object] = {"campaignkey": KEY, "action": "sentcontacts", "resfmt": "JSON"}

    def codes() -> list[str]:
        answers = [
            send(zoho, V1_1 + RECIPIENTS, params)[2],
            send(zoho, V1_1 + RECIPIENTS, params, method="POST")[2],
            send(zoho, V1_1 + RECIPIENTS, form=params)[2],
        ]
        return ["0" if b'"code":"0"' in a else "1003" if b"1003" in a else "?" for a in answers]

    zoho.switches.missing_code = "1003"
    assert codes() == ["0", "0", "0"]
    zoho.switches.params_from = "query"
    assert codes() == ["0", "0", "1003"]
    zoho.switches.params_from = "form"
    assert codes() == ["1003", "1003", "0"]
    assert [r.where for r in zoho.requests[:3]] == ["query", "query", "form"]
    zoho.switches.params_from = "both"
    assert page(zoho, resfmt="json")["code"] == "0"
    zoho.switches.resfmt_case_sensitive = True
    assert send(zoho, V1_1 + "recentcampaigns", {"resfmt": "json"})[2].startswith(b"<response")


def test_refusals(zoho: Sandbox) -> None:
    """A single campaign can be refused, with a code, a message or an HTTP status."""
    campaign = zoho.account.campaigns[KEY]
    campaign.refusal = "6601"
    assert page(zoho) == {
        "status": "error",
        "code": "6601",
        "message": "A/B campaign should be sent to at least 4 recipients.",
    }
    campaign.report_error = ("6610", "Oops")
    assert ask(zoho, "campaignreports", campaignkey=KEY) == {
        "status": "error",
        "code": "6610",
        "message": "Oops",
    }
    campaign.details_error = 503
    status, headers, _ = send(zoho, V1_1 + "getcampaigndetails", {"campaignkey": KEY})
    assert (status, headers["Content-Type"]) == (503, "text/html")


# Listing, reports, details


def test_listing(zoho: Sandbox) -> None:
    """The listing's values are texts, its times skewed except for the _gmt ones."""
    assert ask(zoho, "recentcampaigns", status="sent") == {
        "requestdetails": "{range=5, status=sent, fromindex=1}",
        "status": "success",
        "code": "0",
        "uri": "/api/v1.1/recentcampaigns",
        "version": "1.1",
        "recent_campaigns": [
            {
                "campaign_key": KEY,
                "campaignId": "1293333000000000001",
                "campaign_name": "Summer",
                "subject": "Sun & fun",
                "from_email": "news@sandbox.example",
                "reply_to": "reply@sandbox.example",
                "campaign_status": "Sent",
                "campaigntype": "normal",
                "campaign_preview": "campaigns.zoho.com/campaigns/ViewCampaign.zc?od=sandbox",
                "folder_id": "",
                "is_hybrid": "false",
                "zuid": "738480939",
                "created_time": "1782518733000",
                "created_time_gmt": "1782489933000",
                "created_date_string": "26 Jun 2026, 12:05 PM",
                "updated_time": "1782518793000",
                "updated_time_gmt": "1782489993000",
                "updated_date_string": "26 Jun 2026, 12:06 PM",
                "sent_time": "1782518793000",
                "sent_time_gmt": "1782489993000",
                "sent_date_string": "26 Jun 2026, 12:06 PM",
                "sent_time_zone": "Europe/Berlin",
            }
        ],
        "total_record_count": "1",
    }


def test_listing_pages() -> None:
    """The listing is paged, filtered by status, and sorted; variants of A/B tests are not in it."""
    account = make_account(6, 20, now=SENT_AT)
    make_campaign(account, "Test", type="abtesting", sent_at=SENT_AT)
    make_campaign(account, "Draft", status="Draft", sent_at=SENT_AT)
    with Sandbox(account) as zoho:

        def names(**params: object) -> list[str]:
            answer = ask(zoho, "recentcampaigns", **params)
            return [row["campaign_name"] for row in answer.get("recent_campaigns", [])]

        sent = ["Test", *(f"Newsletter {n}" for n in range(6))]
        assert names(status="sent") == sent[:5]
        assert names(status="sent", fromindex=6) == sent[5:]
        assert names(status="sent", range=100, sort="asc") == sent[::-1]
        assert names(status="drafts") == ["Draft"]
        assert sorted(names(range=100)) == sorted([*sent, "Draft"])
        assert ask(zoho, "recentcampaigns", status="sent", fromindex=8)["code"] == "6101"
        assert ask(zoho, "recentcampaigns", status="none")["Code"] == 1001
        (draft,) = ask(zoho, "recentcampaigns", status="drafts")["recent_campaigns"]
        assert {name for name in draft if name.startswith("sent_")} == {"sent_time_zone"}
        zoho.switches.total_record_count = "all_campaigns"
        zoho.switches.listing_range_cap = 3
        zoho.switches.listing_requestdetails = "object"
        answer = ask(zoho, "recentcampaigns", status="sent", range=100)
        assert (len(answer["recent_campaigns"]), answer["total_record_count"]) == (3, "8")
        assert answer["requestdetails"] == {"range": 100, "status": "sent", "fromindex": 1}
        zoho.switches.ab_children_listed = True
        zoho.switches.listing_range_cap = None
        assert {"Test (A)", "Test (B)"} <= set(names(status="sent", range=100))
        zoho.switches.listing_past_end = "empty"
        answer = ask(zoho, "recentcampaigns", status="sent", fromindex=100)
        assert answer["recent_campaigns"] == []


def test_sent_listing() -> None:
    """The list of recently sent campaigns holds the token user's own ones only."""
    account = make_account(3, 5, now=SENT_AT)
    list(account.campaigns.values())[1].zuid = "7"
    with Sandbox(account) as zoho:
        answer = ask(zoho, "recentsentcampaigns", limit=5)
        rows = answer["recent_sent_campaigns"]
        assert [row["campaign_name"] for row in rows] == ["Newsletter 0", "Newsletter 2"]
        assert (answer["total_record_count"], answer["fromindex"], answer["orderby"]) == (
            2,
            1,
            "CREATED",
        )


def test_report(zoho: Sandbox) -> None:
    """A report is all texts, and derived from the lists."""
    row = {
        "emails_sent_count": "3",
        "delivered_count": "2",
        "delivered_percent": "66.7",
        "opens_count": "1",
        "open_percent": "50.0",
        "unopened": "1",
        "unopened_percent": "50.0",
        "unique_clicks_count": "1",
        "unique_clicked_percent": "50.0",
        "clicksperopenrate": "200.0",
        "bounces_count": "1",
        "bounce_percent": "33.3",
        "hardbounce_count": "0",
        "softbounce_count": "1",
        "unsub_count": "1",
        "unsubscribe_percent": "50.0",
        "spams_count": "0",
        "spam_percent": "0.0",
        "complaints_count": "0",
        "complaints_percent": "0.0",
        "forwards_count": "0",
        "forward_percent": "0.0",
        "unsent_count": "0",
        "unsent_percent": "0.0",
        "autoreply_count": "0",
        "campaign_name": "Summer",
    }
    none = dict.fromkeys(
        ("facebook", "twitter", "linkedin", "other", "gplus", "pinterest", "tumblr"), "0"
    )
    answer = {
        "campaign-reports": [row],
        "campaign-reach": [{"total": "1", "emails": "1", **none}],
        "campaign-by-loaction": {"United States of America": 1},
        "campaign-details": [
            {
                "campaign_name": "Summer",
                "email_subject": "Sun & fun",
                "email_from": "news@sandbox.example",
                "sent_time": "26 Jun 2026, 12:06 PM",
            }
        ],
        "message": "Campaign report",
        "status": "success",
        "code": "0",
        "uri": "/api/v1.1/campaignreports",
        "version": "1.1",
    }
    assert ask(zoho, "campaignreports", campaignkey=KEY) == answer
    alias = ask(zoho, "getcampaignreports", campaignkey=KEY)
    assert alias == answer | {"uri": "/api/v1.1/getcampaignreports"}
    assert zoho.calls("campaignreports") == 2
    zoho.account.click(KEY, "101")
    (clicked_again,) = ask(zoho, "campaignreports", campaignkey=KEY)["campaign-reports"]
    assert clicked_again == row | {"clicksperopenrate": "300.0"}
    xml = send(zoho, V1_1 + "campaignreports", {"campaignkey": KEY})[2].decode()
    assert ET.fromstring(xml).find("campaign-by-location") is not None


def test_reports_that_err(zoho: Sandbox) -> None:
    """Reports may be missing, lag behind, disagree with the lists, or spell percentages oddly."""

    def report() -> Any:
        return ask(zoho, "campaignreports", campaignkey=KEY)["campaign-reports"][0]

    zoho.switches.reports = "lagging"
    zoho.switches.reports_as_of = SENT_AT + 10
    assert (report()["opens_count"], report()["unsub_count"], report()["unopened"]) == (
        "0",
        "0",
        "3",
    )
    zoho.switches.reports = "wrong"
    zoho.switches.numbers = "int"
    zoho.switches.report_percent = "sign"
    assert (report()["opens_count"], report()["open_percent"]) == (4, "50.0%")
    zoho.switches.report_percent = "two_decimals"
    assert report()["delivered_percent"] == 66.67
    zoho.switches.reports = "missing"
    assert ask(zoho, "campaignreports", campaignkey=KEY)["code"] == "6001"
    zoho.switches.reports = "http_500"
    assert send(zoho, V1_1 + "campaignreports", {"campaignkey": KEY})[0] == 500


def test_ab_test() -> None:
    """The A/B variants of an A/B campaign are reached only by the keys that its details give."""
    account = Account()
    parent = make_campaign(account, "Test", type="abtesting", recipients=100, opened=30)
    assert parent.variants
    first, second = parent.variants
    with Sandbox(account) as zoho:
        normal = ask(zoho, "getcampaigndetails", campaignkey=parent.key, campaigntype="normal")
        assert (normal["campaign-reports"], "AB-split-details" in normal) == ([], False)
        answer = ask(zoho, "getcampaigndetails", campaignkey=parent.key, campaigntype="abtesting")
        assert answer["campaign-reports"][0]["opens_count"] == "30"
        assert answer["AB-split-details"] == [
            {
                "a_open_count": "5",
                "a_click_count": "2",
                "a_child_campaignkey": first.key,
                "b_open_count": "5",
                "b_click_count": "2",
                "b_child_campaignkey": second.key,
            }
        ]
        assert answer["campaign-details"][0]["sent_time_gmt"] == str(epoch_ms(parent.sent_at or 0))
        ids = [
            {row["contact_id"] for row in account.rows(key, "sentcontacts")}
            for key in (parent.key, first.key, second.key)
        ]
        assert [len(some) for some in ids] == [100, 10, 10]
        assert len(set().union(*ids)) == 120
        answer = ask(zoho, RECIPIENTS, campaignkey=second.key, action="sentcontacts")
        assert {row["contactid"] for row in answer["list_of_details"]} == ids[2]


# Tokens and limits


def token(zoho: Sandbox, **changes: object) -> Any:
    account = zoho.account
    form = {
        "grant_type": "refresh_token",
        "client_id": account.client_id,
        "client_secret": account.client_secret,
        "refresh_token": account.refresh_token,
    } | changes
    status, _, body = send(zoho, "/oauth/v2/token", form=form, token=None)
    assert status == 200
    return json.loads(body)


def test_tokens(zoho: Sandbox) -> None:
    """A refresh token is worth access tokens that expire after an hour."""
    issued = token(zoho)
    assert issued == {
        "access_token": "1000.sandbox-access-token-000001",
        "scope": "ZohoCampaigns.campaign.READ",
        "api_domain": "https://www.zohoapis.com",
        "token_type": "Bearer",
        "expires_in": 3600,
    }

    def status() -> int:
        return send(zoho, V1_1 + "recentcampaigns", token=issued["access_token"])[0]

    assert status() == 200
    zoho.advance(3599)
    assert status() == 200
    zoho.advance(1)
    assert status() == 401
    zoho.switches.expires_in = "milliseconds"
    issued = token(zoho)
    assert (issued["expires_in"], issued["expires_in_sec"], status()) == (3_600_000, 3600, 200)
    zoho.tokens.revoke_access_tokens()
    assert status() == 401
    assert zoho.calls("token") == 2


def test_grant_code(zoho: Sandbox) -> None:
    """A grant code is worth a refresh token, once and for ten minutes."""
    grant = {"grant_type": "authorization_code", "code": zoho.account.grant_code}
    assert token(zoho, **grant)["refresh_token"] == zoho.account.refresh_token
    assert token(zoho, **grant) == {"error": "invalid_code"}
    with Sandbox(account(), clock=FakeClock()) as late:
        late.advance(601)
        assert token(late, **grant) == {"error": "invalid_code"}


def test_token_errors(zoho: Sandbox) -> None:
    """The token endpoint's errors come with HTTP 200."""
    assert token(zoho, client_id="x") == {"error": "invalid_client"}
    assert token(zoho, client_secret="x") == {"error": "invalid_client_secret"}
    assert token(zoho, refresh_token="x") == {"error": "invalid_code"}
    assert token(zoho, grant_type="x") == {"error": "unsupported_grant_type"}
    zoho.tokens.revoke_refresh_token()
    assert token(zoho) == {"error": "invalid_code"}
    for _ in range(5):
        token(zoho)
    denied = {
        "error_description": "You have made too many requests continuously."
        " Please try again after some time.",
        "error": "Access Denied",
        "status": "failure",
    }
    assert token(zoho) == denied
    zoho.advance(599)
    assert token(zoho) == denied
    zoho.advance(600)
    assert token(zoho) == {"error": "invalid_code"}


def test_active_tokens(zoho: Sandbox) -> None:
    """Of the access tokens of one refresh token the ten latest are valid."""
    zoho.switches.token_limit = None
    tokens = [token(zoho)["access_token"] for _ in range(12)]
    assert [zoho.tokens.is_valid(t) for t in tokens] == [False] * 2 + [True] * 10


def test_limit(zoho: Sandbox) -> None:
    """Too many calls of one endpoint lock that endpoint, and no other."""
    zoho.switches.limit = Limit(calls=3, period_s=10, lock_s=60)

    def statuses(count: int) -> list[int]:
        return [send(zoho, V1_1 + "recentcampaigns")[0] for _ in range(count)]

    assert statuses(3) == [200, 200, 200]
    zoho.advance(10)
    assert statuses(4) == [200, 200, 200, 429]
    assert page(zoho)["code"] == "0"
    zoho.advance(59)
    assert statuses(1) == [429]
    zoho.advance(1)
    assert statuses(1) == [200]
    assert Limit(500, 300, 1800) == DOCUMENTED_LIMIT


def test_lock_shapes(zoho: Sandbox) -> None:
    """A lock is a 429, a 400 with a title, or an error text; with or without Retry-After."""
    zoho.lock_endpoint("recentcampaigns", 90)
    zoho.switches.retry_after = "remaining"
    status, headers, body = send(zoho, V1_1 + "recentcampaigns")
    assert (status, headers["Retry-After"], json.loads(body)) == (
        429,
        "90",
        {"message": "Too many requests."},
    )
    zoho.switches.lock_shape = "400_title"
    zoho.switches.retry_after = "date"
    status, headers, body = send(zoho, V1_1 + "recentcampaigns")
    assert (status, headers["Retry-After"], json.loads(body)) == (
        400,
        "Fri, 26 Jun 2026 16:08:03 GMT",
        {
            "error": {
                "status_code": "400",
                "instance": "/api/v1.1/recentcampaigns",
                "title": "URL_ROLLING_THROTTLES_LIMIT_EXCEEDED",
                "error_type": "OPERATIONAL_VALIDATION_ERROR",
            }
        },
    )
    zoho.switches.lock_shape = "200_text"
    zoho.switches.retry_after = None
    status, headers, body = send(zoho, V1_1 + "recentcampaigns", {"resfmt": "JSON"})
    assert (status, "Retry-After" in headers, json.loads(body)) == (
        200,
        False,
        {
            "status": "error",
            "code": "400",
            "message": "You have exceeded the API call limit. Please try again after 30 minutes.",
        },
    )
    zoho.unlock()
    assert ask(zoho, "recentcampaigns")["code"] == "0"


# Faults


def test_faults_of_the_answer(zoho: Sandbox) -> None:
    """A fault hits the requests it is meant for, after and as often as it is told."""
    zoho.faults.add("503", endpoint=RECIPIENTS, action="sentcontacts", after=1, times=2)

    def statuses() -> list[int]:
        query = {"campaignkey": KEY, "action": "sentcontacts"}
        return [send(zoho, V1_1 + RECIPIENTS, query)[0] for _ in range(4)]

    assert page(zoho, "openedcontacts")["code"] == "0"
    assert statuses() == [200, 503, 503, 200]
    zoho.faults.add("html")
    assert send(zoho, V1_1 + RECIPIENTS)[2].startswith(b"<!DOCTYPE html>")
    zoho.faults.add("empty")
    assert send(zoho, V1_1 + RECIPIENTS)[2] == b""
    zoho.faults.add("2101")
    assert page(zoho)["code"] == "2101"
    zoho.faults.add("1007")
    status, _, body = send(zoho, V1_1 + RECIPIENTS)
    assert (status, json.loads(body)["Code"]) == (401, "1007")
    zoho.faults.add("code", code="9999", message="token abc is wrong")
    assert page(zoho)["message"] == "token abc is wrong"
    zoho.faults.add("body", body=b"\xff{", headers={"X-Odd": "1"})
    _, headers, body = send(zoho, V1_1 + RECIPIENTS)
    assert (headers["X-Odd"], body) == ("1", b"\xff{")
    zoho.faults.add("other_format")
    query = {"campaignkey": KEY, "action": "sentcontacts", "resfmt": "JSON"}
    assert send(zoho, V1_1 + RECIPIENTS, query)[2].startswith(b"<response")
    zoho.faults.add("locked")
    assert send(zoho, V1_1 + RECIPIENTS)[0] == 429
    zoho.faults.add("lock", seconds=60)
    assert [send(zoho, V1_1 + RECIPIENTS)[0] for _ in range(2)] == [429, 429]
    zoho.unlock()
    zoho.faults.add("redirect", location="https://elsewhere.example/x")
    status, headers, _ = send(zoho, V1_1 + RECIPIENTS)
    assert (status, headers["Location"]) == (302, "https://elsewhere.example/x")
    zoho.faults.add("500", when=lambda request: request.range == 7)
    assert page(zoho)["code"] == "0"
    assert send(zoho, V1_1 + RECIPIENTS, query | {"range": 7})[0] == 500
    assert zoho.faults.injected["503"] == 2
    assert [r.fault for r in zoho.requests if r.fault == "503"] == ["503", "503"]
    with pytest.raises(ValueError, match="no fault 'flood'"):
        zoho.faults.add("flood")


def test_faults_of_the_connection(zoho: Sandbox) -> None:
    """Connections are reset, cut and stalled where a fault says so."""
    query: dict[str, object] = {"campaignkey": KEY, "action": "sentcontacts"}
    zoho.faults.add("reset")
    with pytest.raises(ConnectionResetError):
        send(zoho, V1_1 + RECIPIENTS, query)
    assert zoho.requests[-1].status == 0
    zoho.faults.add("cut")
    with pytest.raises(http.client.IncompleteRead):
        send(zoho, V1_1 + RECIPIENTS, query)
    zoho.faults.add("reset_mid_body")
    with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
        send(zoho, V1_1 + RECIPIENTS, query)
    for kind in ("slow", "slow_mid_body"):
        zoho.faults.add(kind, seconds=0.01)
        assert send(zoho, V1_1 + RECIPIENTS, query)[2].endswith(b"</response>")
    assert zoho.faults.injected == dict.fromkeys(
        ("reset", "cut", "reset_mid_body", "slow", "slow_mid_body"), 1
    )


def test_storm(zoho: Sandbox) -> None:
    """A storm is the same for the same seed, and hits no request more than twice running."""

    def storm(seed: int) -> list[str | None]:
        zoho.reset_log()
        zoho.faults.storm(seed, rate=0.5, kinds=("500", "empty", "1007", "6001"))
        for _ in range(80):
            send(zoho, V1_1 + RECIPIENTS, {"campaignkey": KEY, "action": "sentcontacts"})
        zoho.faults.clear()
        return [r.fault for r in zoho.requests]

    first = storm(1)
    assert storm(1) == first
    assert storm(2) != first
    in_a_row = "".join("x" if fault else "." for fault in first)
    assert "xx" in in_a_row
    assert "xxx" not in in_a_row
    assert page(zoho)["code"] == "0"


def test_redirects(zoho: Sandbox) -> None:
    """The API can be made to redirect to another host."""
    zoho.switches.redirect_to = "https://elsewhere.example"
    status, headers, _ = send(zoho, V1_1 + "recentcampaigns")
    assert (status, headers["Location"]) == (
        302,
        "https://elsewhere.example/api/v1.1/recentcampaigns",
    )


# The sandbox itself


def test_log_and_clock(zoho: Sandbox) -> None:
    """Every request is logged with the sandbox's time, and the Date header shows it."""
    zoho.set_time(SENT_AT + 60)
    zoho.switches.date_skew_s = 7200
    query: dict[str, object] = {"campaignkey": KEY, "action": "sentcontacts", "range": 2}
    _, headers, _ = send(zoho, V1_1 + RECIPIENTS, query)
    assert headers["Date"] == "Fri, 26 Jun 2026 18:07:33 GMT"
    (logged,) = zoho.requests
    assert (logged.endpoint, logged.method, logged.api, logged.at) == (
        RECIPIENTS,
        "GET",
        "1.1",
        SENT_AT + 60,
    )
    assert (logged.campaign_key, logged.action, logged.range, logged.fromindex) == (
        KEY,
        "sentcontacts",
        2,
        None,
    )
    assert (logged.status, logged.code, logged.rows, logged.fault) == (200, "0", 2, None)
    assert zoho.calls() == zoho.calls(RECIPIENTS, "sentcontacts", KEY) == 1
    assert zoho.calls("recentcampaigns") == zoho.calls(action="openedcontacts") == 0
    zoho.reset_log()
    assert (zoho.requests, zoho.peak_in_flight) == ([], 0)


def test_hook(zoho: Sandbox) -> None:
    """A hook sees each request before it is answered, and may change anything."""

    def before(logged: sandbox_package.Logged) -> None:
        if logged.fromindex == 2:
            zoho.account.remove(KEY, "101")

    zoho.before_request = before
    ids = [
        [row["contactid"] for row in page(zoho, fromindex=n, range=1)["list_of_details"]]
        for n in (1, 2)
    ]
    assert ids == [["101"], ["103"]]


def test_failing_hook() -> None:
    """What goes wrong inside the sandbox fails the test that uses it."""

    def fails(_: object) -> None:
        raise LookupError("a mistake in the test")

    def use() -> None:
        with Sandbox(account()) as zoho:
            zoho.before_request = fails
            assert send(zoho, V1_1 + RECIPIENTS)[0] == 500

    with pytest.raises(LookupError, match="a mistake in the test"):
        use()


def test_positions() -> None:
    """Every position of every uncertain switch can be set, as a value and as text."""
    for name, positions in POSITIONS.items():
        for position in positions:
            switches = Switches()
            switches.set(name, position)
            assert getattr(switches, name) == position
            switches = Switches()
            switches.set(name, position if isinstance(position, str) else json.dumps(position))
            assert getattr(switches, name) == position
    switches.set("limit", "500/300/1800")
    assert switches.limit == DOCUMENTED_LIMIT
    switches = Switches()
    switches.set("limit", "none")
    switches.set("moves", '{"rate": 0.1}')
    assert switches == Switches(limit=None, moves=Moves(rate=0.1))
    with pytest.raises(ValueError, match="no switch 'colour'"):
        switches.set("colour", "blue")
    with pytest.raises(ValueError, match="echo='loud' is no position"):
        switches.set("echo", "loud")


def test_demo_account() -> None:
    """The demo's account is the same each time, and served whole in both formats."""
    first, second = demo_account(SENT_AT), demo_account(SENT_AT)
    assert [c.name for c in first.campaigns.values()] == [c.name for c in second.campaigns.values()]
    keys = [c.key for c in first.campaigns.values() if c.status == "Sent"]
    assert len(keys) == 18
    sizes = {len(first.rows(key, "sentcontacts")) for key in keys}
    assert {1, 42, 199, 200, 201, 499, 500, 501, 1_000, 1_037, 5_000} <= sizes
    for key in keys:
        for action in ACTIONS:
            assert first.rows(key, action) == second.rows(key, action)
    with Sandbox(first) as zoho:
        key = keys[0]
        truth = first.rows(key, "sentcontacts")
        query = {"campaignkey": key, "action": "sentcontacts", "range": 2_000}
        rows = ask(zoho, RECIPIENTS, **query)["list_of_details"]
        assert [row["contactid"] for row in rows] == [row["contact_id"] for row in truth]
        tree = ET.fromstring(send(zoho, V1_1 + RECIPIENTS, query)[2])
        emails = [fl.text for fl in tree.iter("fl") if fl.get("val") == "contact_email"]
        assert emails == [row["email"] for row in truth]
        assert None in emails


def test_account_file(tmp_path: Path) -> None:
    """An account can be described in a file, campaign by campaign."""
    path = tmp_path / "account.json"
    path.write_text(
        json.dumps(
            {
                "timezone": "Asia/Kolkata",
                "campaigns": [
                    {"name": "One", "recipients": 40, "opened": 7, "spread_s": 90, "days_ago": 3},
                    {"name": "Two", "recipients": 4, "type": "abtesting"},
                ],
            }
        )
    )
    account = load_account(str(path), SENT_AT)
    assert account.timezone == "Asia/Kolkata"
    one, two, *variants = account.campaigns.values()
    assert (one.name, one.sent_at) == ("One", SENT_AT - 3 * 86_400)
    assert [half.parent_key for half in variants] == [two.key, two.key]
    assert len(account.rows(one.key, "openedcontacts")) == 7
    times = {row["sent_at"] for row in account.rows(one.key, "sentcontacts")}
    assert SENT_AT - 3 * 86_400 - 90 <= min(times) < max(times) <= SENT_AT - 3 * 86_400
    assert load_account("seed").timezone == "Asia/Kolkata"
    assert len(load_account("demo").campaigns) == 22


def test_forgotten_contacts(zoho: Sandbox) -> None:
    """Of a contact who was forgotten the id is left, in every list."""
    zoho.account.forget("ada@mail.example")
    (row,) = zoho.account.rows(KEY, "openedcontacts")
    assert {name: value for name, value in row.items() if value} == {
        "contact_id": "101",
        "status": "active",
        "rtbf": True,
        "sent_at": SENT_AT,
        "opens": [SENT_AT + 60, SENT_AT + 86_400],
    }
    (answered,) = page(zoho, "openedcontacts")["list_of_details"]
    assert (answered["contactemailaddress"], answered["rtbf"]) == ("null", "1")


def test_sizes() -> None:
    """Lists that cannot be are refused."""
    with pytest.raises(ValueError, match="lists larger than the 10 recipients allow"):
        make_campaign(Account(), recipients=10, opened=10, hard=1)


def test_zone() -> None:
    """Wall clocks show the account's zone, summer and winter."""
    moment = SENT_AT + 180 * 86_400
    wall = sandbox_package.wall_clock(moment, "America/New_York")
    assert wall == "23 Dec 2026, 11:06 AM"
    assert sandbox_package.wall_clock(SENT_AT - 16 * 3600, str(ZoneInfo("UTC"))).endswith(
        "12:06 AM"
    )


class Process:
    """A sandbox in a process of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.account = Account()

    def admin(self, name: str, **wanted: object) -> Any:
        return self.talk("GET", name + ("?" + urlencode(wanted) if wanted else ""), None)

    def do(self, name: str, **wanted: object) -> Any:
        return self.talk("POST", name, json.dumps(wanted))

    def talk(self, method: str, name: str, body: str | None) -> Any:
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=5)
        connection.request(method, f"/_sandbox/{name}", body)
        response = connection.getresponse()
        answer = json.loads(response.read())
        connection.close()
        return answer if response.status == 200 else (response.status, answer)


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    port_file = tmp_path / "url"
    account = '{"campaigns": 2, "recipients": 30}'
    command = [sys.executable, "-m", "sandbox", "--account", account, "--set", "range_cap=10"]
    child = subprocess.Popen(
        [*command, "--port-file", port_file], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        assert child.stdout
        line = child.stdout.readline().strip()
        url = port_file.read_text()
        assert line == f"Zoho Campaigns sandbox at {url}"
        for line in child.stdout:
            if line == "Ctrl-C ends it.\n":
                break
        yield Process(url)
        child.send_signal(signal.SIGTERM)
        assert child.wait(5) == 0
    finally:
        child.kill()
        child.communicate()


def test_command_line(process: Process) -> None:
    """One command serves an account to other processes, until it is told to end."""
    first, second = (campaign["key"] for campaign in process.admin("campaigns"))
    truth = process.admin("account", campaign_key=second)
    email = truth[second]["unopenedcontacts"][0]["email"]
    assert process.do("open", campaign_key=second, email=email, at=5.0) == {}
    opened = process.admin("account")[second]["openedcontacts"]
    assert [row["opens"] for row in opened if row["email"] == email] == [[5.0]]
    query = {"campaignkey": first, "action": "sentcontacts", "range": 20}
    assert send(process, V1_1 + RECIPIENTS, query)[2].count(b"<contact>") == 10
    assert process.do("switches", range_cap=5)["range_cap"] == 5
    assert send(process, V1_1 + RECIPIENTS, query)[2].count(b"<contact>") == 5
    status, error = process.do("switches", range_cap="five")
    assert (status, "range_cap" in error["error"]) == (400, True)
    assert process.do("clock", set=SENT_AT)["time"] == pytest.approx(SENT_AT, abs=60)
    assert process.do("clock", advance=86_400)["time"] > SENT_AT + 80_000
    process.do("revoke")
    assert send(process, V1_1 + RECIPIENTS, query)[0] == 401
    assert process.admin("nonsense") == (400, {"error": "no GET /_sandbox/nonsense"})


def test_mistakes_from_afar(process: Process) -> None:
    """A mistake in a command is answered with what is missing or does not exist."""
    key = process.admin("campaigns")[0]["key"]
    for wanted, error in (
        ({}, "open needs campaign_key, in JSON or in the query"),
        ({"campaign_key": key}, "open needs email, in JSON or in the query"),
        (
            {"campaign_key": "3z0", "email": "a@b.example"},
            "there is no campaign 3z0: GET /_sandbox/campaigns lists them",
        ),
        ({"campaign_key": key, "email": "a@b.example"}, "there is no 'a@b.example'"),
    ):
        assert process.do("open", **wanted) == (400, {"error": error})


def started(*arguments: str) -> dict[str, str]:
    """Start a sandbox and return what it prints, and the campaigns that it has, as text."""
    command = [sys.executable, "-m", "sandbox", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        assert child.stdout
        lines: list[str] = []
        while not lines or lines[-1] != "Ctrl-C ends it.":
            lines.append(child.stdout.readline().strip())
        url = lines[0].split()[-1]
        campaigns = Process(url).admin("campaigns")
        tokens = [
            send(Process(url), "/oauth/v2/token", form=token_form(lines))[2] for _ in range(12)
        ]
        child.send_signal(signal.SIGINT)
        assert child.wait(5) == 0
    return {"printed": "\n".join(lines), "campaigns": str(campaigns), "last": tokens[-1].decode()}


def token_form(lines: list[str]) -> dict[str, str]:
    """Return the form of a token request with the credentials that were printed."""
    given = dict(line.split(maxsplit=1) for line in lines[2:5])
    return {**given, "grant_type": "refresh_token"}


def test_starts() -> None:
    """It prints what to log in with, has the same campaigns at each start, and is lenient."""
    first, second = started(), started("--strict")
    for text in ("1000.SANDBOXCLIENTID", "1000.sandbox-grant-code-9b02", "accounts_url"):
        assert text in first["printed"]
    assert first["campaigns"] == second["campaigns"]
    assert "access_token" in first["last"]
    assert "Access Denied" in second["last"]


def test_log_from_afar(process: Process) -> None:
    """Another process can make faults and locks, and count requests."""
    process.do("faults", kind="empty", endpoint="recentcampaigns")
    process.do("storm", seed=1, rate=0.0)
    process.do("lock", endpoint="campaignreports", seconds=60)
    assert send(process, V1_1 + "recentcampaigns")[2] == b""
    assert send(process, V1_1 + "campaignreports")[0] == 429
    send(process, V1_1 + "recentcampaigns")
    assert process.admin("counts") == {
        "calls": {"recentcampaigns": 2, "campaignreports": 1},
        "rows": 2,
        "peak_in_flight": 1,
        "faults": {"empty": 1},
    }
    assert [request["code"] for request in process.admin("log")] == ["empty", "locked", "0"]
    process.do("reset")
    assert process.admin("log") == []
    assert send(process, V1_1 + "campaignreports", {"campaignkey": "3z00"})[0] == 200


def test_loopback_only() -> None:
    """It serves nobody but this machine."""
    with pytest.raises(ValueError, match=r"loopback only, not to 0\.0\.0\.0"):
        Sandbox(host="0.0.0.0")
    command = [sys.executable, "-m", "sandbox", "--host", "192.0.2.1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stderr) == (
        2,
        "sandbox: the sandbox binds to loopback only, not to 192.0.2.1\n",
    )


def test_imports() -> None:
    """It needs nothing but Python, and shares no code with the tap."""
    allowed = sys.stdlib_module_names | {"sandbox"}
    for path in Path(sandbox_package.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names.append(node.module or "")
            assert {name.partition(".")[0] for name in names} <= allowed, path
