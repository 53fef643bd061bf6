"""What the streams hold, and which campaigns they are about."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from jsonschema import Draft7Validator, FormatChecker

from sandbox import Sandbox, campaign_key, demo_account, make_account, make_campaign
from support.tap_runs import (
    DETAILS,
    LISTING,
    RECIPIENT_ACTIONS,
    RECIPIENTS,
    REPORT,
    FakeClock,
    run_tap,
    settings,
)
from support.truth import assert_all_arrived, expected_list, fields, iso
from tap_zoho_campaigns_recipients.tap import TapZohoCampaignsRecipients

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox import Account, Campaign, Logged
    from support.tap_runs import Outcome

SCHEMAS = Path(__file__).parents[2] / "schemas"

HOUR_S = 3_600
DAY_S = 24 * HOUR_S
SKEW_S = 8 * HOUR_S
"""How far ahead Zoho's epoch times are, in the sandbox's default position as on the US host."""

SENT_AT = 1_789_000_000.0
"""2026-09-10 00:26:40 UTC, eleven days and a half before the clock of these tests."""

STREAMS = (
    "campaign_details",
    "campaign_locations",
    "campaign_reports",
    "campaigns",
    "click_events",
    "clicked_contacts",
    "hard_bounce_contacts",
    "list_readings",
    "open_events",
    "opened_contacts",
    "optout_contacts",
    "sent_contacts",
    "soft_bounce_contacts",
    "spam_contacts",
    "unopened_contacts",
    "unsent_contacts",
)


@pytest.fixture
def clock() -> FakeClock:
    """Tells 2026-09-21 14:13:20 UTC to both the tap and the sandbox."""
    return FakeClock(1_790_000_000.0)


@pytest.fixture
def account(clock: FakeClock) -> Account:
    """An account without campaigns."""
    it = make_account(0, now=clock.now)
    it.now = lambda: clock.now
    return it


@pytest.fixture
def zoho(account: Account, clock: FakeClock) -> Iterator[Sandbox]:
    """Serves that account, to which tests add campaigns."""
    with Sandbox(account, clock=clock) as it:
        yield it


def keys(outcome: Outcome, stream: str = "campaigns") -> list[str]:
    return [record["campaign_key"] for record in outcome.records[stream]]


# What there is


def test_all_streams() -> None:
    """There are sixteen streams, with these keys and these ways to replicate."""
    entries = {
        entry["tap_stream_id"]: (
            list(entry["key_properties"]),
            entry["replication_method"],
            entry.get("replication_key"),
        )
        for entry in TapZohoCampaignsRecipients(validate_config=False).catalog_dict["streams"]
    }
    assert entries == {
        "campaigns": (["campaign_key"], "FULL_TABLE", None),
        "campaign_reports": (["campaign_key"], "INCREMENTAL", "report_read_at"),
        "campaign_locations": (["campaign_key", "location"], "INCREMENTAL", "report_read_at"),
        "campaign_details": (["campaign_key"], "INCREMENTAL", "details_read_at"),
        "list_readings": (["campaign_key", "action"], "INCREMENTAL", "list_read_at"),
        **dict.fromkeys(
            ("open_events", "click_events"),
            (["campaign_key", "contact_email", "event_number"], "INCREMENTAL", "list_read_at"),
        ),
        **dict.fromkeys(
            RECIPIENT_ACTIONS,
            (["campaign_key", "contact_email"], "INCREMENTAL", "sent_time"),
        ),
    }
    assert sorted(entries) == list(STREAMS)


@pytest.mark.parametrize("stream", RECIPIENT_ACTIONS)
def test_fields_of_recipient_streams(stream: str) -> None:
    """A recipient stream has the contract's fields and no other."""
    schema = json.loads((SCHEMAS / f"{stream}.json").read_text(encoding="utf-8"))
    differing = set(schema["properties"]) ^ set(fields(stream))
    assert not differing, (
        f"{sorted(differing)} is in schemas/{stream}.json or in the contract, not in both. A field "
        "of all recipient streams belongs into the schema of each of them, a field of one stream "
        "into OWN_FIELDS in tests/support/truth.py, Zoho's names for it into SPELLINGS in "
        "zoho/records.py. make docs-pages then writes docs/fields.md: see docs/contributing.md"
    )


def test_each_stream_asks_for_its_action(zoho: Sandbox, clock: FakeClock) -> None:
    """Each recipient stream asks for the action that the contract names, and for no other."""
    make_campaign(zoho.account, spam=1)
    for stream, action in RECIPIENT_ACTIONS.items():
        zoho.reset_log()
        outcome = run_tap(settings(zoho), streams=[stream], clock=clock.fresh())
        asked = {each.action for each in zoho.requests if each.endpoint == RECIPIENTS}
        assert asked == {action}
        assert list(outcome.records) == [stream]
        assert {record["action"] for record in outcome.records[stream]} == {action}


@pytest.mark.parametrize(
    ("response_format", "zone", "gmt_fields"),
    [
        ("json", None, True),
        ("json", None, False),
        ("xml", None, True),
        ("xml", "America/New_York", True),
        ("xml", "America/New_York", False),
    ],
)
def test_every_record_validates(
    clock: FakeClock, *, response_format: str, zone: str | None, gmt_fields: bool
) -> None:
    """Every record validates against its stream's schema, with format checks on."""
    checker = FormatChecker()
    assert "date-time" in checker.checkers
    with Sandbox(demo_account(clock.now), clock=clock) as zoho:
        zoho.switches.gmt_fields = gmt_fields
        # The largest say nothing that the others do not.
        for campaign in list(zoho.account.campaigns.values()):
            if len(campaign.mail.recipients) > 500:
                del zoho.account.campaigns[campaign.key]
        config = settings(zoho, response_format=response_format, account_timezone=zone)
        outcome = run_tap(config, clock=clock.fresh(), streams=STREAMS)
    assert outcome.error is None
    assert sorted(outcome.records) == list(STREAMS)
    for stream, records in outcome.records.items():
        schema = json.loads((SCHEMAS / f"{stream}.json").read_text(encoding="utf-8"))
        validator = Draft7Validator(schema, format_checker=checker)
        for record in records:
            validator.validate(record)


def test_demo_account_arrives_whole(clock: FakeClock) -> None:
    """Unusual names, custom fields and forgotten contacts arrive as they are, each row once."""
    with Sandbox(demo_account(clock.now), clock=clock) as zoho:
        outcome = run_tap(
            settings(zoho, account_timezone=zoho.account.timezone), clock=clock.fresh()
        )
        assert outcome.error is None
        assert not outcome.warnings
        assert_all_arrived(zoho, outcome, read_at=clock.now)


def test_time_of_a_row_and_of_its_campaign(zoho: Sandbox, clock: FakeClock) -> None:
    """A row's own time is skewed by what its own campaign's is."""
    usual = make_campaign(zoho.account, recipients=1, sent_at=SENT_AT, spread_s=90)
    other = make_campaign(zoho.account, recipients=1, sent_at=SENT_AT, skew_ms=19_800_000)
    outcome = run_tap(settings(zoho), streams=["sent_contacts"], clock=clock)
    times = {
        record["campaign_key"]: (record["sent_time"], record["sent_time_utc"])
        for record in outcome.records["sent_contacts"]
    }
    late_s = usual.time_sent(usual.mail.recipients[0]) - SENT_AT
    assert times == {
        usual.key: (iso(SENT_AT + late_s + SKEW_S), iso(SENT_AT + late_s)),
        other.key: ("2026-09-10T05:56:40.000+00:00", "2026-09-10T00:26:40.000+00:00"),
    }


# Campaigns and their reports


def test_campaigns(zoho: Sandbox, clock: FakeClock) -> None:
    """A record of `campaigns` has the contract's fields, as Zoho's listing says them."""
    campaign = make_campaign(
        zoho.account,
        "Autumn sale",
        id="1293333000006562002",
        sent_at=SENT_AT,
        created_at=SENT_AT - 7_200,
        folder_id="",
        zuid="738480939",
        subject="Only this week",
        preview="campaigns.zoho.com/campaigns/ViewCampaign.zc?od=1",
        sent_time_zone="Europe/Berlin",
    )
    outcome = run_tap(settings(zoho), streams=["campaigns"], clock=clock)
    assert outcome.records["campaigns"] == [
        {
            "campaign_key": campaign.key,
            "parent_campaign_key": None,
            "ab_variant": None,
            "campaign_id": "1293333000006562002",
            "campaign_name": "Autumn sale",
            "campaign_type": "normal",
            "campaign_status": "Sent",
            "subject": "Only this week",
            "from_email": "news@sandbox.example",
            "reply_to": "reply@sandbox.example",
            "campaign_preview": "https://campaigns.zoho.com/campaigns/ViewCampaign.zc?od=1",
            "folder_id": None,
            "zuid": "738480939",
            "is_hybrid": False,
            "created_time": "2026-09-10T06:26:40.000+00:00",
            "created_time_utc": "2026-09-09T22:26:40.000+00:00",
            "updated_time": "2026-09-10T08:26:40.000+00:00",
            "updated_time_utc": "2026-09-10T00:26:40.000+00:00",
            "sent_time": "2026-09-10T08:26:40.000+00:00",
            "sent_time_utc": "2026-09-10T00:26:40.000+00:00",
            "sent_time_zone": "Europe/Berlin",
            "listed_at": "2026-09-21T14:13:20.000+00:00",
        }
    ]
    assert [each.endpoint for each in zoho.requests] == ["token", LISTING]


@pytest.mark.parametrize(
    ("is_hybrid", "preview", "record"),
    [
        ("true", "https://x.example/1", {"is_hybrid": True}),
        ("", "http://x.example/1", {"is_hybrid": None, "campaign_preview": "http://x.example/1"}),
        ("null", "", {"is_hybrid": None, "campaign_preview": None}),
        (
            "false",
            "x.example/view?of=https://y.example",
            {"is_hybrid": False, "campaign_preview": "https://x.example/view?of=https://y.example"},
        ),
    ],
)
def test_odd_campaigns(
    zoho: Sandbox, clock: FakeClock, is_hybrid: str, preview: str, record: dict[str, t.Any]
) -> None:
    """A preview has a scheme, its own if it has one, and what Zoho does not say is null."""
    make_campaign(zoho.account, is_hybrid=is_hybrid, preview=preview, from_email="null")
    outcome = run_tap(settings(zoho), streams=["campaigns"], clock=clock)
    (campaign,) = outcome.records["campaigns"]
    assert campaign["from_email"] is None
    assert {name: campaign[name] for name in record} == record


@pytest.mark.parametrize("numbers", ["text", "int"])
@pytest.mark.parametrize("report_percent", ["decimal", "sign", "two_decimals"])
def test_campaign_reports(
    zoho: Sandbox, clock: FakeClock, report_percent: str, numbers: str
) -> None:
    """A record of `campaign_reports` has each count as an integer, each percentage as a number."""
    zoho.switches.set("report_percent", report_percent)
    zoho.switches.set("numbers", numbers)
    campaign = make_campaign(
        zoho.account,
        "Autumn sale",
        recipients=60,
        opened=30,
        clicked=10,
        hard=2,
        soft=4,
        optout=3,
        spam=1,
        unsent=15,
    )
    mail = campaign.mail
    for contact in mail.clicks:
        mail.clicks[contact] = [(SENT_AT, "https://x.example")]
    outcome = run_tap(settings(zoho), streams=["campaign_reports"], clock=clock)

    def percent(value: float) -> float:
        return round(value, 2 if report_percent == "two_decimals" else 1)

    assert outcome.records["campaign_reports"] == [
        {
            "campaign_key": campaign.key,
            "parent_campaign_key": None,
            "campaign_name": "Autumn sale",
            "report_read_at": "2026-09-21T14:13:20.000+00:00",
            "emails_sent_count": 60,
            "delivered_count": 54,
            "delivered_percent": 90.0,
            "opens_count": 30,
            "open_percent": percent(55.5555),
            "unopened": 24,
            "unopened_percent": percent(44.4444),
            "unique_clicks_count": 10,
            "unique_clicked_percent": percent(18.5185),
            "clicksperopenrate": percent(33.3333),
            "bounces_count": 6,
            "bounce_percent": 10.0,
            "hardbounce_count": 2,
            "softbounce_count": 4,
            "unsub_count": 3,
            "unsubscribe_percent": percent(5.5555),
            "spams_count": 1,
            "spam_percent": percent(1.8518),
            "complaints_count": 0,
            "complaints_percent": 0.0,
            "forwards_count": 0,
            "forward_percent": 0.0,
            "unsent_count": 15,
            "unsent_percent": 20.0,
            "autoreply_count": 0,
        }
    ]
    assert [each.endpoint for each in zoho.requests] == ["token", LISTING, REPORT]


def test_a_campaign_without_a_report_has_no_row(zoho: Sandbox, clock: FakeClock) -> None:
    """A campaign whose report does not come has no row in `campaign_reports`; the others do."""
    good, bad = (make_campaign(zoho.account, days_ago=number) for number in (2, 1))
    bad.report_error = "6001"
    outcome = run_tap(settings(zoho, retry_wait=0), streams=["campaign_reports"], clock=clock)
    assert outcome.error is None
    assert keys(outcome, "campaign_reports") == [good.key]


def test_one_report_serves_all_streams(zoho: Sandbox, clock: FakeClock) -> None:
    """A campaign's report is asked for once a run, for its row and for change detection."""
    make_campaign(zoho.account)
    make_campaign(zoho.account, days_ago=6)
    run_tap(settings(zoho), clock=clock)
    assert zoho.calls(REPORT) == 2


# Discovery


def test_only_sent_campaigns_are_discovered(zoho: Sandbox, clock: FakeClock) -> None:
    """Drafts, scheduled and stopped campaigns are not read, whether or not Zoho leaves them out."""
    sent = make_campaign(zoho.account, recipients=3)
    for status in ("Draft", "Scheduled", "Stopped", "In Progress", "In Testing"):
        make_campaign(zoho.account, status=status)
    for honoured in (True, False):
        zoho.reset_log()
        zoho.switches.listing_status_filter = honoured
        outcome = run_tap(settings(zoho), clock=clock.fresh())
        assert outcome.error is None
        assert keys(outcome) == keys(outcome, "campaign_reports") == [sent.key]
        asked = {each.campaign_key for each in zoho.requests if each.campaign_key}
        assert asked == {sent.key}


@pytest.mark.parametrize("total", ["text", "absent", "all_campaigns"])
@pytest.mark.parametrize(("campaigns", "cap"), [(99, None), (100, None), (101, None), (250, 60)])
def test_discovery_over_several_pages(
    clock: FakeClock, campaigns: int, cap: int | None, total: str
) -> None:
    """Every sent campaign is found, however many pages the listing has, and each is found once."""
    with Sandbox(make_account(campaigns, 0, now=clock.now), clock=clock) as zoho:
        make_campaign(zoho.account, status="Draft")
        zoho.switches.listing_range_cap = cap
        zoho.switches.set("total_record_count", total)
        outcome = run_tap(settings(zoho), streams=["campaigns"], clock=clock)
        sent = [each for each in zoho.account.campaigns.values() if each.sent_at]
        assert sorted(keys(outcome)) == sorted(each.key for each in sent)
        assert zoho.calls(LISTING) <= campaigns // ((cap or 100) - 1) + 2


def test_campaigns_come_oldest_first(clock: FakeClock) -> None:
    """Campaigns are read from the oldest to the newest."""
    with Sandbox(make_account(5, 2, now=clock.now), clock=clock) as zoho:
        outcome = run_tap(settings(zoho), clock=clock.fresh())
        by_age = sorted(zoho.account.campaigns.values(), key=lambda each: each.sent_at or 0)
        assert keys(outcome) == [each.key for each in by_age]
        assert list(dict.fromkeys(keys(outcome, "sent_contacts"))) == keys(outcome)


def test_account_without_campaigns(zoho: Sandbox, clock: FakeClock) -> None:
    """An account without any sent campaign gives no rows, no warning and no error."""
    outcome = run_tap(settings(zoho), clock=clock)
    assert outcome.error is None
    assert not outcome.warnings
    assert outcome.records == {}
    assert [each.endpoint for each in zoho.requests] == ["token", LISTING]


@pytest.mark.parametrize("skew_s", [SKEW_S, 0, 19_800])
def test_start_date_is_compared_with_the_true_instant(
    zoho: Sandbox, clock: FakeClock, skew_s: int
) -> None:
    """A campaign is left out if it was sent before `start_date`, whatever Zoho reports."""
    zoho.switches.skew_ms = skew_s * 1000
    start = SENT_AT
    before = make_campaign(zoho.account, sent_at=start - HOUR_S)
    on_time = make_campaign(zoho.account, sent_at=start)
    after = make_campaign(zoho.account, sent_at=start + HOUR_S)
    for text in (
        "2026-09-10T00:26:40Z",
        "2026-09-10T02:26:40+02:00",
        "2026-09-10T00:26:40",
    ):
        outcome = run_tap(settings(zoho, start_date=text), clock=clock.fresh())
        assert keys(outcome) == [on_time.key, after.key]
        assert set(keys(outcome, "sent_contacts")) == {on_time.key, after.key}
    assert zoho.calls(RECIPIENTS, campaign_key=before.key) == 0
    assert zoho.calls(REPORT, campaign_key=before.key) == 0


def test_start_date_lets_through_what_may_be_in_time(zoho: Sandbox, clock: FakeClock) -> None:
    """Where only the skewed time is known a campaign is kept that may be in time."""
    zoho.switches.gmt_fields = False
    campaign = make_campaign(zoho.account, sent_at=SENT_AT)
    make_campaign(zoho.account, sent_at=SENT_AT - 3 * DAY_S)
    outcome = run_tap(
        settings(zoho, start_date="2026-09-10T00:26:40Z"), streams=["campaigns"], clock=clock
    )
    assert keys(outcome) == [campaign.key]


def test_campaign_keys(zoho: Sandbox, clock: FakeClock) -> None:
    """With `campaign_keys` only these campaigns are read, each once."""
    first, second, _ = (make_campaign(zoho.account, days_ago=number) for number in (1, 2, 3))
    config = settings(zoho, campaign_keys=[first.key, second.key, first.key])
    outcome = run_tap(config, clock=clock)
    assert outcome.error is None
    assert keys(outcome) == keys(outcome, "campaign_reports") == [second.key, first.key]
    assert outcome.records["sent_contacts"] == [
        record
        for key in (second.key, first.key)
        for record in expected_list(zoho, "sent_contacts", key, read_at=clock.now)
    ]
    assert zoho.calls(DETAILS) == 0


def hide(zoho: Sandbox, campaign: Campaign) -> None:
    """Take a campaign out of the listing, which shows only those of status Sent."""
    zoho.account.campaigns[campaign.key].status = "Archived"


@pytest.mark.parametrize("gmt_fields", [True, False])
def test_key_that_the_listing_does_not_show(
    zoho: Sandbox, clock: FakeClock, *, gmt_fields: bool
) -> None:
    """A key that the listing does not show is still read; `getcampaigndetails` tells its times."""
    zoho.switches.gmt_fields = gmt_fields
    listed = make_campaign(zoho.account, days_ago=3)
    hidden = make_campaign(zoho.account, "Hidden", sent_at=SENT_AT, spread_s=90)
    hide(zoho, hidden)
    outcome = run_tap(settings(zoho, campaign_keys=[listed.key, hidden.key]), clock=clock)
    assert outcome.error is None
    expected = expected_list(zoho, "sent_contacts", hidden.key, read_at=clock.now)
    if not gmt_fields:
        expected = [record | {"sent_time_utc": None} for record in expected]
    arrived = [
        record
        for record in outcome.records["sent_contacts"]
        if record["campaign_key"] == hidden.key
    ]
    assert arrived == expected
    assert zoho.calls(DETAILS) == zoho.calls(DETAILS, campaign_key=hidden.key) == 1
    (campaign,) = [
        record for record in outcome.records["campaigns"] if record["campaign_key"] == hidden.key
    ]
    assert (campaign["campaign_name"], campaign["campaign_type"]) == ("Hidden", "normal")
    assert campaign["sent_time"] == "2026-09-10T08:26:40.000+00:00"
    assert campaign["sent_time_utc"] == ("2026-09-10T00:26:40.000+00:00" if gmt_fields else None)


def test_key_of_which_nothing_is_known(zoho: Sandbox, clock: FakeClock) -> None:
    """Without listing and details a named key is read all the same, its true times unknown.

    Of the campaign itself there is nothing to say: a row of nulls would take the place of what a
    table may know of it from before.
    """
    hidden = make_campaign(zoho.account, days_ago=3)
    hide(zoho, hidden)
    hidden.details_error = "6302"
    outcome = run_tap(settings(zoho, campaign_keys=[hidden.key], retry_wait=0), clock=clock)
    assert outcome.error is None
    assert outcome.records["sent_contacts"] == [
        record | {"sent_time_utc": None}
        for record in expected_list(zoho, "sent_contacts", hidden.key, read_at=clock.now)
    ]
    assert keys(outcome) == []


# A/B campaigns


def variants(campaign: Campaign) -> tuple[Campaign, Campaign]:
    assert campaign.variants is not None
    return campaign.variants


@pytest.fixture
def ab_test(zoho: Sandbox) -> Campaign:
    """An A/B campaign and its variants, between two others."""
    make_campaign(zoho.account, recipients=5, days_ago=2)
    campaign = make_campaign(
        zoho.account, "Subject test", recipients=60, days_ago=3, type="abtesting"
    )
    make_campaign(zoho.account, recipients=5, days_ago=4)
    return campaign


@pytest.mark.parametrize("listed", [False, True])
def test_halves(zoho: Sandbox, clock: FakeClock, ab_test: Campaign, *, listed: bool) -> None:
    """The variants of an A/B test are campaigns of their own in all streams, each read once.

    Be they in the listing or not; only A/B campaigns cost a call of `getcampaigndetails`.
    """
    zoho.switches.ab_children_listed = listed
    outcome = run_tap(settings(zoho), clock=clock)
    assert outcome.error is None
    assert_all_arrived(zoho, outcome, read_at=clock.now)
    first, second = variants(ab_test)
    for stream in ("campaigns", "campaign_reports"):
        parents = {
            record["campaign_key"]: record["parent_campaign_key"]
            for record in outcome.records[stream]
        }
        assert len(outcome.records[stream]) == len(parents) == 5
        assert {key: parent for key, parent in parents.items() if parent} == {
            first.key: ab_test.key,
            second.key: ab_test.key,
        }
    for variant in (first, second):
        assert zoho.calls(REPORT, campaign_key=variant.key) == 1
        assert zoho.calls(RECIPIENTS, campaign_key=variant.key) == len(RECIPIENT_ACTIONS)
    details = [each for each in zoho.requests if each.endpoint == DETAILS]
    assert [(each.campaign_key, each.params["campaigntype"]) for each in details] == [
        (ab_test.key, "abtesting")
    ]


def test_halves_come_before_their_parent(
    zoho: Sandbox, clock: FakeClock, ab_test: Campaign
) -> None:
    """A parent is read after its variants: its being finished says that they are."""
    outcome = run_tap(settings(zoho), streams=["campaigns"], clock=clock)
    first, second = variants(ab_test)
    order = keys(outcome)
    assert order.index(ab_test.key) > max(order.index(first.key), order.index(second.key))


def test_times_of_halves_are_their_parents(
    zoho: Sandbox, clock: FakeClock, ab_test: Campaign
) -> None:
    """Window and skew of a variant are its parent's."""
    ab_test.skew_ms = 19_800_000
    for variant in variants(ab_test):
        variant.skew_ms = 19_800_000
    outcome = run_tap(settings(zoho), streams=["sent_contacts"], clock=clock)
    for variant in variants(ab_test):
        times = {
            (record["sent_time"], record["sent_time_utc"])
            for record in outcome.records["sent_contacts"]
            if record["campaign_key"] == variant.key
        }
        assert times == {(iso((variant.sent_at or 0) + 19_800), iso(variant.sent_at))}


@pytest.mark.parametrize("is_listed", [True, False])
def test_named_ab_campaign_brings_its_halves(
    zoho: Sandbox, clock: FakeClock, ab_test: Campaign, *, is_listed: bool
) -> None:
    """An A/B campaign named in `campaign_keys` is read with its variants, listed or not."""
    if not is_listed:
        hide(zoho, ab_test)
    outcome = run_tap(settings(zoho, campaign_keys=[ab_test.key]), clock=clock)
    assert outcome.error is None
    variant_keys = [variant.key for variant in variants(ab_test)]
    assert sorted(keys(outcome)) == sorted([ab_test.key, *variant_keys])
    # One asked for without its type does not show its variants.
    assert zoho.calls(DETAILS) == (1 if is_listed else 2)


def test_ab_campaign_without_details(zoho: Sandbox, clock: FakeClock, ab_test: Campaign) -> None:
    """Where the details do not come, the A/B campaign is read without its variants."""
    ab_test.details_error = "6302"
    outcome = run_tap(settings(zoho, retry_wait=0), streams=["sent_contacts"], clock=clock)
    assert outcome.error is None
    assert ab_test.key in keys(outcome, "sent_contacts")
    assert len(set(keys(outcome, "sent_contacts"))) == 3
    assert sum("No details" in each for each in outcome.warnings) == 1
    assert zoho.calls(DETAILS) == 2


def test_keys_are_taken_as_they_are(zoho: Sandbox, clock: FakeClock) -> None:
    """A key with characters that mean something in a URL is sent as it is."""
    odd = make_campaign(zoho.account, recipients=3, key=campaign_key("x") + "&a=b c+d%20")
    outcome = run_tap(settings(zoho), streams=["sent_contacts"], clock=clock)
    assert outcome.error is None
    assert set(keys(outcome, "sent_contacts")) == {odd.key}


@pytest.mark.parametrize("event", ["sent", "deleted"])
def test_listing_that_moves(clock: FakeClock, event: str) -> None:
    """A campaign that comes or goes between two pages of the listing hides no other."""
    with Sandbox(make_account(30, 0, now=clock.now), clock=clock) as zoho:
        zoho.switches.listing_range_cap = 5
        there = {key for key, each in zoho.account.campaigns.items() if each.sent_at}
        newest = max(zoho.account.campaigns.values(), key=lambda each: each.sent_at or 0)

        def move(request: Logged) -> None:
            if request.endpoint == LISTING and request.fromindex == 9:
                zoho.before_request = None
                if event == "sent":
                    make_campaign(zoho.account, recipients=0, days_ago=0)
                else:
                    del zoho.account.campaigns[newest.key]

        zoho.before_request = move
        outcome = run_tap(settings(zoho), streams=["campaigns"], clock=clock)
        assert outcome.error is None
        assert len(keys(outcome)) == len(set(keys(outcome)))
        assert there - {newest.key} <= set(keys(outcome))
        assert zoho.before_request is None


def test_listing_that_repeats_its_page(zoho: Sandbox, clock: FakeClock) -> None:
    """A listing that ignores `fromindex` ends the run with an error within a few calls."""
    rows = [
        {"campaign_key": f"3z{number}", "campaign_status": "Sent", "campaigntype": "normal"}
        for number in range(100)
    ]
    body = {"recent_campaigns": rows, "code": "0", "status": "success"}
    zoho.faults.add("body", endpoint=LISTING, times=50, body=json.dumps(body).encode())
    outcome = run_tap(settings(zoho), streams=["campaigns"], clock=clock)
    assert str(outcome.error) == (
        "Zoho answers recentcampaigns with the same page whatever fromindex says: the list "
        "cannot be read"
    )
    assert zoho.calls(LISTING) <= 5


def test_report_with_odd_values(zoho: Sandbox, clock: FakeClock) -> None:
    """What is no number in a report is null; a name that it does not say is the listing's."""
    campaign = make_campaign(zoho.account, "Autumn sale", recipients=3)
    counts = {
        "emails_sent_count": "3",
        "delivered_count": " 3 ",
        "opens_count": "n/a",
        "unopened": None,
        "bounces_count": "",
        "hardbounce_count": "1.5",
        "softbounce_count": 2.0,
        "unsub_count": True,
        "spams_count": "1" * 30,
        "open_percent": "-",
        "unopened_percent": "33.3 %",
        "delivered_percent": 100,
        "bounce_percent": "NaN",
        "forwards_count": ["1"],
        "campaign_name": "null",
        "something_new": "7",
    }
    body = {"campaign-reports": [counts], "code": "0", "status": "success"}
    zoho.faults.add("body", endpoint=REPORT, times=9, body=json.dumps(body).encode())
    outcome = run_tap(settings(zoho), streams=["campaign_reports"], clock=clock)
    (record,) = outcome.records["campaign_reports"]
    assert {name: value for name, value in record.items() if value is not None} == {
        "campaign_key": campaign.key,
        "campaign_name": "Autumn sale",
        "report_read_at": "2026-09-21T14:13:20.000+00:00",
        "emails_sent_count": 3,
        "delivered_count": 3,
        "softbounce_count": 2,
        "unopened_percent": 33.3,
        "delivered_percent": 100,
    }
    schema = json.loads((SCHEMAS / "campaign_reports.json").read_text(encoding="utf-8"))
    assert sorted(record) == sorted(schema["properties"])
    Draft7Validator(schema).validate(record)
