"""The samples of Zoho's documentation of getcampaignrecipientsdata arrive field by field."""

from __future__ import annotations

import typing as t

import pytest

from sandbox import Sandbox, seed_account
from support.tap_runs import FakeClock, legacy, run_tap, settings

if t.TYPE_CHECKING:
    from collections.abc import Iterator

NOTHING_SAID = {
    "parent_campaign_key": None,
    "last_name": None,
    "company_name": None,
    "phone": None,
    "mobile": None,
    "job_title": None,
    "title": None,
    "address": None,
    "city": None,
    "state": None,
    "country": None,
    "zip_code": None,
    "website": None,
    "note": None,
    "secondary_email": None,
    "facebook_handle": None,
    "linkedin_handle": None,
    "twitter_handle": None,
    "timezone": None,
    "is_forgotten": None,
    "custom_fields": None,
}
"""What the sample leaves out, and what it has as `""` or as `"null"`."""

READ_AT = "2026-09-21T14:13:20.000+00:00"


@pytest.fixture
def clock() -> FakeClock:
    """Tells 2026-09-21 14:13:20 UTC."""
    return FakeClock(1_790_000_000.0)


@pytest.fixture
def zoho(clock: FakeClock) -> Iterator[Sandbox]:
    """Serves the documentation's campaign, whose time zone is India's."""
    with Sandbox(seed_account(), clock=clock) as it:
        yield it


def only_key(zoho: Sandbox) -> str:
    (key,) = zoho.account.campaigns
    return key


def test_json_sample(zoho: Sandbox, clock: FakeClock) -> None:
    """The JSON sample of the documentation, from the legacy API, is this record."""
    outcome = run_tap(legacy(zoho), streams=["sent_contacts"], clock=clock)
    assert outcome.error is None
    assert outcome.records["sent_contacts"] == [
        {
            "campaign_key": only_key(zoho),
            "action": "sentcontacts",
            "contact_email": "john.doe@xyz.com",
            "contact_id": "303000014269257",
            "contact_status": "active",
            "first_name": "meganath.v",
            "sent_time": "2013-08-02T15:09:21.000+00:00",
            "sent_time_utc": "2013-08-02T07:09:21.000+00:00",
            "sent_date": "02 Aug 2013, 12:39 PM",
            "list_read_at": READ_AT,
            **NOTHING_SAID,
        }
    ]


@pytest.mark.parametrize(
    ("zone", "times"),
    [
        (None, {"sent_time": None, "sent_time_utc": None}),
        (
            "Asia/Kolkata",
            {
                "sent_time": "2013-08-02T15:09:00.000+00:00",
                "sent_time_utc": "2013-08-02T07:09:00.000+00:00",
            },
        ),
    ],
)
def test_xml_sample(
    zoho: Sandbox, clock: FakeClock, zone: str | None, times: dict[str, str | None]
) -> None:
    """The XML sample is the same record, less the id, the status and the seconds.

    Its time is known only with `account_timezone`.
    """
    config = legacy(zoho, response_format="xml", account_timezone=zone)
    outcome = run_tap(config, streams=["sent_contacts"], clock=clock)
    assert outcome.error is None
    assert outcome.records["sent_contacts"] == [
        {
            "campaign_key": only_key(zoho),
            "action": "sentcontacts",
            "contact_email": "john.doe@xyz.com",
            "contact_id": None,
            "contact_status": None,
            "first_name": "meganath.v",
            "sent_date": "02 Aug 2013, 12:39 PM",
            "list_read_at": READ_AT,
            **times,
            **NOTHING_SAID,
        }
    ]


def test_account_timezone_is_for_xml_only(zoho: Sandbox, clock: FakeClock) -> None:
    """`account_timezone` changes nothing of a JSON record."""
    plain, zoned = (
        run_tap(
            legacy(zoho, account_timezone=zone), streams=["sent_contacts"], clock=clock.fresh()
        ).records["sent_contacts"]
        for zone in (None, "Europe/Berlin")
    )
    assert zoned == plain
    assert len(plain) == 1


@pytest.mark.parametrize("response_format", ["json", "xml"])
def test_both_apis_give_the_same(zoho: Sandbox, clock: FakeClock, response_format: str) -> None:
    """Today's API and the legacy one, whose names differ, end in the same record."""
    old, new = (
        run_tap(make(zoho, response_format=response_format), clock=clock.fresh()).records
        for make in (legacy, settings)
    )
    assert new == old
    assert [name for name, records in old.items() if records] == [
        "campaigns",
        "campaign_reports",
        "list_readings",
        "sent_contacts",
        "unopened_contacts",
    ]


def test_requests_of_the_legacy_api(zoho: Sandbox, clock: FakeClock) -> None:
    """The legacy API is asked with everything in a form body, the authtoken in no URL."""
    run_tap(legacy(zoho), streams=["sent_contacts"], clock=clock)
    for request in zoho.requests:
        assert (request.method, request.where, request.api) == ("POST", "form", "1")
        assert request.path.startswith("/api/")
        assert request.params["authtoken"] == zoho.account.auth_token
        assert request.params["scope"] == "CampaignsAPI"
    (asked,) = [each for each in zoho.requests if each.endpoint == "getcampaignrecipientsdata"]
    assert {name: asked.params[name] for name in ("campaignkey", "action", "resfmt")} == {
        "campaignkey": only_key(zoho),
        "action": "sentcontacts",
        "resfmt": "JSON",
    }


def test_requests_of_todays_api(zoho: Sandbox, clock: FakeClock) -> None:
    """v1.1 is asked with the parameters in the query and the token in a header only."""
    run_tap(settings(zoho), streams=["sent_contacts"], clock=clock)
    asked = [each for each in zoho.requests if each.endpoint != "token"]
    assert [each.endpoint for each in asked] == [
        "recentcampaigns",
        "campaignreports",
        "getcampaignrecipientsdata",
    ]
    for request in asked:
        assert (request.method, request.where, request.api) == ("POST", "query", "1.1")
        assert request.headers["authorization"].startswith("Zoho-oauthtoken ")
        assert not any("token" in name for name in request.params)
