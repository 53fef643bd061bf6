"""What each of Zoho's errors ends in: the line, the calls, what was delivered, and the state."""

from __future__ import annotations

import itertools
import json
import logging
import os
import subprocess
import typing as t

import pytest

from sandbox import Sandbox, make_account, make_campaign
from support.tap_runs import (
    DETAILS,
    LISTING,
    RECIPIENT_ACTIONS,
    RECIPIENTS,
    REPORT,
    FakeClock,
    Outcome,
    command,
    legacy,
    run_process,
    run_tap,
    settings,
)
from tap_zoho_campaigns_recipients.settings import Settings
from tap_zoho_campaigns_recipients.sync.request_pool import RequestPool, WorkerThreads
from tap_zoho_campaigns_recipients.tap import TapZohoCampaignsRecipients
from tap_zoho_campaigns_recipients.zoho.auth import credentials
from tap_zoho_campaigns_recipients.zoho.client import Client
from tap_zoho_campaigns_recipients.zoho.clock import Clock
from tap_zoho_campaigns_recipients.zoho.endpoints import Endpoint
from tap_zoho_campaigns_recipients.zoho.errors import (
    InsufficientPrivileges,
    PartlyFailed,
    RunFailed,
    Throttled,
    TokenRefused,
    Unauthorized,
)
from tap_zoho_campaigns_recipients.zoho.rate_limit.limiter import Limiter
from tap_zoho_campaigns_recipients.zoho.rate_limit.store import StoreUnavailable
from tap_zoho_campaigns_recipients.zoho.transport import Transport

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandbox import Logged

SCOPE = "ZohoCampaigns.campaign.READ"
REFUSALS = ("6002", "6301", "6601", "2206", "6503", "6608")
TRANSIENT_FAULTS = (
    "500",
    "502",
    "503",
    "504",
    "html",
    "empty",
    "cut",
    "reset",
    "reset_mid_body",
    "other_format",
    "2101",
    "2707",
    "6001",
)


@pytest.fixture
def clock() -> FakeClock:
    """Tells the time to both the tap and the sandbox."""
    return FakeClock()


@pytest.fixture
def zoho(clock: FakeClock) -> Iterator[Sandbox]:
    """An account of three campaigns, sent one, two and three days ago to four people each."""
    with sandbox(clock) as it:
        yield it


def sandbox(clock: FakeClock, campaigns: int = 3, **how: t.Any) -> Sandbox:
    how = {"recipients": 4, "hard": 1, **how}
    return Sandbox(make_account(campaigns, now=clock.now, **how), clock=clock)


def keys(zoho: Sandbox) -> list[str]:
    """Return the keys of all campaigns, the oldest first."""
    return sorted(zoho.account.campaigns, key=lambda key: zoho.account.campaigns[key].sent_at or 0)


def line(outcome: Outcome) -> str:
    """Return the error's line, once it is sure to be one and to come after the summary."""
    text = str(outcome.error)
    assert outcome.error is not None
    assert "\n" not in text
    assert outcome.log[-1].startswith("INFO Run failed. ")
    return text


def sent_to(outcome: Outcome) -> set[str]:
    """Return the keys of the campaigns whose sent contacts arrived, each list whole."""
    rows = outcome.keys("sent_contacts")
    delivered = {key for key, _ in rows}
    assert len(set(rows)) == len(rows) == 4 * len(delivered)
    return delivered


def bookmarked(outcome: Outcome, stream: str = "sent_contacts") -> set[str]:
    """Return the keys of the campaigns that the last STATE has as read."""
    partitions = outcome.state["bookmarks"].get(stream, {}).get("partitions", [])
    return {each["context"]["campaign_key"] for each in partitions}


def run_sent(zoho: Sandbox, clock: FakeClock, **how: t.Any) -> Outcome:
    """Run the tap for one recipient stream, with one request at a time."""
    state = how.pop("state", None)
    streams = how.pop("streams", ["sent_contacts"])
    config = settings(zoho, **{"max_parallel_requests": 1, **how})
    return run_tap(config, streams=streams, clock=clock, state=state)


# Empty lists


def test_empty_list(zoho: Sandbox, clock: FakeClock) -> None:
    """Where Zoho says that a list is empty (6303), there are no rows and no warning."""
    outcome = run_sent(zoho, clock, streams=["clicked_contacts", "spam_contacts"])
    assert outcome.error is None
    assert {each.code for each in zoho.requests} >= {"6303"}
    assert not outcome.records["spam_contacts"]
    assert not outcome.warnings
    assert bookmarked(outcome, "spam_contacts") == set(keys(zoho))


def test_no_campaigns(clock: FakeClock) -> None:
    """Where Zoho says that there are no campaigns (6101), there are no rows and no warning."""
    with sandbox(clock, 0) as zoho:
        zoho.faults.add("6101", endpoint=LISTING, times=9)
        outcome = run_tap(settings(zoho), clock=clock)
        assert outcome.error is None
        assert outcome.records == {}
        assert not outcome.warnings
        assert zoho.calls(LISTING) == 1
        assert zoho.calls(RECIPIENTS) == 0


# Campaigns that are refused


@pytest.mark.parametrize("code", REFUSALS)
def test_refused_campaign(zoho: Sandbox, clock: FakeClock, code: str) -> None:
    """A discovered campaign that is refused costs one call and one warning, and the run goes on."""
    oldest, refused, newest = keys(zoho)
    zoho.account.campaigns[refused].refusal = (code, "Not this one.")
    outcome = run_tap(settings(zoho), clock=clock)
    assert outcome.error is None
    assert zoho.calls(RECIPIENTS, campaign_key=refused) == 1
    (warning,) = outcome.warnings
    for part in (refused, "action clickedcontacts", f"code {code}", '"Not this one."', "left out"):
        assert part in warning
    assert sent_to(outcome) == {oldest, newest}
    for stream in RECIPIENT_ACTIONS:
        assert bookmarked(outcome, stream) == {oldest, newest}


def test_name_of_a_refused_campaign(zoho: Sandbox, clock: FakeClock) -> None:
    """Its name is quoted as Zoho's words are: in one line, with no address of anybody."""
    refused = zoho.account.campaigns[keys(zoho)[1]]
    refused.name = "For who@example.com\r\nINFO \x1b[31m" + "x" * 100
    refused.refusal = "6601"
    (warning,) = run_tap(settings(zoho), clock=clock).warnings
    assert f'("For (an address) INFO [31m{"x" * 34}") is left out' in warning


@pytest.mark.parametrize("code", REFUSALS)
def test_bookmark_of_refused_campaign(zoho: Sandbox, clock: FakeClock, code: str) -> None:
    """The bookmark of a refused campaign stays as it is."""
    before = run_tap(settings(zoho), clock=clock)
    refused = keys(zoho)[1]
    zoho.account.campaigns[refused].refusal = code
    who = zoho.account.rows(refused, "unopenedcontacts")[0]["email"]
    zoho.account.open(refused, who)
    later = clock.fresh()
    after = run_tap(settings(zoho), clock=later, state=before.state)
    assert after.error is None
    assert len(after.warnings) == 1
    for stream in RECIPIENT_ACTIONS:
        was, is_now = (
            next(
                part
                for part in outcome.state["bookmarks"][stream]["partitions"]
                if part["context"]["campaign_key"] == refused
            )
            for outcome in (before, after)
        )
        assert was == is_now


def test_refused_campaigns_past_their_window(clock: FakeClock) -> None:
    """A refused campaign past its window is tried once a run; all such are summed in one line."""
    with sandbox(clock, 4, newest_days_ago=100) as zoho:
        gone = keys(zoho)[:3]
        for key in gone:
            zoho.account.campaigns[key].refusal = ("6503", "Deleted.")
        state = None
        for _ in range(3):
            zoho.reset_log()
            clock = clock.fresh()
            outcome = run_tap(settings(zoho), clock=clock, state=state)
            state = outcome.state
            assert outcome.error is None
            assert [zoho.calls(RECIPIENTS, campaign_key=key) for key in gone] == [1, 1, 1]
            (warning,) = outcome.warnings
            assert "3 campaigns past their engagement window are refused" in warning
        assert zoho.calls(RECIPIENTS) == 3


def test_refused_campaign_that_comes_back(clock: FakeClock) -> None:
    """A campaign that was refused past its window gets its last read once Zoho gives it."""
    with sandbox(clock, 2, newest_days_ago=100) as zoho:
        old = zoho.account.campaigns[keys(zoho)[0]]
        old.refusal = "6601"
        before = run_sent(zoho, clock)
        assert sent_to(before) == {keys(zoho)[1]}
        old.refusal = None
        after = run_sent(zoho, clock.fresh(), state=before.state)
        assert sent_to(after) == {old.key}
        assert not after.warnings


@pytest.mark.parametrize("code", [*REFUSALS, "6607"])
def test_refused_campaign_that_is_named(zoho: Sandbox, clock: FakeClock, code: str) -> None:
    """Where a campaign of `campaign_keys` is refused, all others are read, then the run fails."""
    oldest, refused, newest = keys(zoho)
    zoho.account.campaigns[refused].refusal = (code, "Not this one.")
    outcome = run_tap(settings(zoho, campaign_keys=keys(zoho)), clock=clock)
    assert isinstance(outcome.error, RunFailed)
    text = line(outcome)
    for part in (refused, "action clickedcontacts", f"code {code}", '"Not this one."', "1 of 3"):
        assert part in text
    assert oldest not in text
    assert zoho.calls(RECIPIENTS, campaign_key=refused) == 1
    assert sent_to(outcome) == {oldest, newest}
    assert bookmarked(outcome) == {oldest, newest}


def test_several_named_campaigns_refused(zoho: Sandbox, clock: FakeClock) -> None:
    """The run's error lists every refused campaign of `campaign_keys`."""
    oldest, *refused = keys(zoho)
    for key, code in zip(refused, ("6002", "2206"), strict=True):
        zoho.account.campaigns[key].refusal = code
    outcome = run_tap(settings(zoho, campaign_keys=keys(zoho)), clock=clock)
    text = line(outcome)
    assert all(part in text for part in (*refused, "6002", "2206", "2 of 3", "deleted"))
    assert sent_to(outcome) == {oldest}


# Privileges


def test_one_campaign_without_privileges(zoho: Sandbox, clock: FakeClock) -> None:
    """A single campaign refused with 6607 is left out like any refused one."""
    oldest, refused, newest = keys(zoho)
    zoho.account.campaigns[refused].refusal = "6607"
    outcome = run_tap(settings(zoho), clock=clock)
    assert outcome.error is None
    assert sent_to(outcome) == {oldest, newest}
    (warning,) = outcome.warnings
    assert "role" in warning
    assert SCOPE in warning


@pytest.mark.parametrize("parallel", [1, 8])
def test_ten_campaigns_without_privileges(clock: FakeClock, parallel: int) -> None:
    """When ten campaigns in a row are refused with 6607 and none has answered, the run stops."""
    with sandbox(clock, 30) as zoho:
        for campaign in zoho.account.campaigns.values():
            campaign.refusal = ("6607", "Insufficient privileges.")
        outcome = run_tap(settings(zoho, max_parallel_requests=parallel), clock=clock)
        assert isinstance(outcome.error, InsufficientPrivileges)
        text = line(outcome)
        assert all(part in text for part in ("6607", '"Insufficient privileges."', "role", SCOPE))
        assert 10 <= zoho.calls(RECIPIENTS) < 10 + 2 * parallel
        assert not outcome.records["sent_contacts"]
        assert bookmarked(outcome) == set()


def test_all_campaigns_without_privileges(zoho: Sandbox, clock: FakeClock) -> None:
    """When all campaigns are refused with 6607, the run stops and names role and scope."""
    for campaign in zoho.account.campaigns.values():
        campaign.refusal = "6607"
    outcome = run_tap(settings(zoho), clock=clock)
    assert isinstance(outcome.error, InsufficientPrivileges)
    text = line(outcome)
    assert "role" in text
    assert SCOPE in text
    assert zoho.calls(RECIPIENTS) == 3


def test_all_named_campaigns_without_privileges(zoho: Sandbox, clock: FakeClock) -> None:
    """The same holds where all of them are named in `campaign_keys`."""
    for campaign in zoho.account.campaigns.values():
        campaign.refusal = "6607"
    outcome = run_tap(settings(zoho, campaign_keys=keys(zoho)), clock=clock)
    assert isinstance(outcome.error, InsufficientPrivileges)
    assert SCOPE in line(outcome)


def test_an_answer_among_campaigns_without_privileges(clock: FakeClock) -> None:
    """When one campaign has answered, ten refused with 6607 do not stop the run."""
    with sandbox(clock, 14) as zoho:
        answers, *refused = keys(zoho)
        for key in refused:
            zoho.account.campaigns[key].refusal = "6607"
        outcome = run_tap(settings(zoho), clock=clock)
        assert outcome.error is None
        assert sent_to(outcome) == {answers}
        assert len(outcome.warnings) == 13


def test_unprivileged_campaign_among_unchanged(zoho: Sandbox, clock: FakeClock) -> None:
    """Nor does a single one while the others have not changed since they were read."""
    zoho.account.campaigns[keys(zoho)[1]].refusal = "6607"
    state = None
    for _ in range(2):
        outcome = run_tap(settings(zoho), clock=clock.fresh(), state=state)
        state = outcome.state
        assert outcome.error is None
        assert len(outcome.warnings) == 1
    assert not outcome.records["sent_contacts"]


# Other codes


def test_range_too_large(zoho: Sandbox, clock: FakeClock) -> None:
    """6502 halves the range, and the run goes on with what Zoho takes."""
    zoho.switches.range_error_above = 100
    outcome = run_sent(zoho, clock)
    assert outcome.error is None
    assert sent_to(outcome) == set(keys(zoho))
    asked = [each.range for each in zoho.requests if each.endpoint == RECIPIENTS]
    assert asked[:4] == [1000, 500, 250, 125]
    assert set(asked[4:]) == {62}


def test_range_too_large_without_end(zoho: Sandbox, clock: FakeClock) -> None:
    """Where Zoho refuses every range, the campaign fails instead of being asked for ever."""
    refused = keys(zoho)[0]
    zoho.faults.add("6502", endpoint=RECIPIENTS, campaign_key=refused, times=99)
    outcome = run_sent(zoho, clock)
    text = line(outcome)
    assert all(part in text for part in ("6502", refused, "action sentcontacts", "page_size"))
    assert zoho.calls(RECIPIENTS, campaign_key=refused) < 12
    assert sent_to(outcome) == set(keys(zoho)[1:])


@pytest.mark.parametrize("code", ["1001", "4711", "903"])
def test_any_other_code(zoho: Sandbox, clock: FakeClock, code: str) -> None:
    """Any other code leaves the campaign out, all others are read, then the run fails naming it."""
    oldest, strange, newest = keys(zoho)
    zoho.account.campaigns[strange].refusal = (code, "Strange things happen.")
    outcome = run_tap(settings(zoho), clock=clock)
    text = line(outcome)
    for part in (strange, f"code {code}", '"Strange things happen."', "action clickedcontacts"):
        assert part in text
    assert oldest not in text
    assert sent_to(outcome) == {oldest, newest}
    assert bookmarked(outcome) == {oldest, newest}


def test_http_status_that_means_nothing(zoho: Sandbox, clock: FakeClock) -> None:
    """An HTTP status without a word of Zoho's is named, and what to check."""
    zoho.faults.add("body", endpoint=LISTING, status=404, body=b"", times=9)
    text = line(run_sent(zoho, clock))
    assert "recentcampaigns with HTTP 404" in text
    assert "Check api_url and data_center" in text
    assert zoho.calls(LISTING) == 1


# The listing


@pytest.mark.parametrize("code", ["6601", "1004", "404"])
def test_no_listing(zoho: Sandbox, clock: FakeClock, code: str) -> None:
    """Where the listing is refused or absent, the run stops in words."""
    zoho.faults.add(code, endpoint=LISTING, times=9)
    outcome = run_tap(settings(zoho), clock=clock)
    text = line(outcome)
    assert LISTING in text
    assert code in text
    assert zoho.calls(LISTING) == 1
    assert zoho.calls(RECIPIENTS) == 0
    assert not outcome.records
    if code == "6601":
        assert SCOPE in text


@pytest.mark.parametrize("code", ["6601", "1004", "404"])
def test_no_listing_with_campaign_keys(zoho: Sandbox, clock: FakeClock, code: str) -> None:
    """With `campaign_keys` a listing that is refused or absent is one warning, and on."""
    zoho.faults.add(code, endpoint=LISTING, times=9)
    outcome = run_tap(settings(zoho, campaign_keys=keys(zoho)), clock=clock)
    assert outcome.error is None
    (warning,) = outcome.warnings
    assert LISTING in warning
    assert code in warning
    assert sent_to(outcome) == set(keys(zoho)) == bookmarked(outcome)


# Reports and details


@pytest.mark.parametrize("error", ["6001", 500, "4711"])
def test_no_report(zoho: Sandbox, clock: FakeClock, error: str | int) -> None:
    """A report that fails is tried twice and warned about once, and the lists are read whole."""
    without = keys(zoho)[1]
    zoho.account.campaigns[without].report_error = error
    outcome = run_tap(settings(zoho), clock=clock)
    assert outcome.error is None
    (warning,) = outcome.warnings
    assert all(part in warning for part in (without, str(error), REPORT))
    assert zoho.calls(REPORT, campaign_key=without) == 2
    assert sent_to(outcome) == set(keys(zoho)) == bookmarked(outcome)
    reported = {row["campaign_key"] for row in outcome.records["campaign_reports"]}
    assert reported == set(keys(zoho)) - {without}


@pytest.mark.parametrize(("times", "missing"), [(1, 0), (2, 1)])
def test_report_without_counts(zoho: Sandbox, clock: FakeClock, times: int, missing: int) -> None:
    """A report without a count is none: it is tried twice as well."""
    first = keys(zoho)[0]
    body = b'{"status":"success","code":"0","campaign-reports":[{"campaign_name":"x"}]}'
    zoho.faults.add("body", endpoint=REPORT, campaign_key=first, times=times, body=body)
    outcome = run_tap(settings(zoho), clock=clock)
    assert outcome.error is None
    assert zoho.calls(REPORT, campaign_key=first) == 2
    assert len(outcome.records["campaign_reports"]) == 3 - missing
    assert ["has no counts" in warning for warning in outcome.warnings] == [True] * missing
    assert sent_to(outcome) == set(keys(zoho)) == bookmarked(outcome)


def test_no_report_reads_lists_again(zoho: Sandbox, clock: FakeClock) -> None:
    """Without a report, the next run reads the lists again, whole."""
    without = keys(zoho)[1]
    zoho.account.campaigns[without].report_error = 500
    before = run_sent(zoho, clock)
    after = run_sent(zoho, clock.fresh(), state=before.state)
    assert sent_to(after) == {without}


@pytest.mark.parametrize("parallel", [1, 8])
def test_no_reports_at_all(clock: FakeClock, parallel: int) -> None:
    """After three campaigns in a row without a report, none is asked for in this run."""
    with sandbox(clock, 12) as zoho:
        zoho.switches.reports = "http_500"
        outcome = run_tap(settings(zoho, max_parallel_requests=parallel), clock=clock)
        assert outcome.error is None
        assert zoho.calls(REPORT) == 3 * 2
        assert sent_to(outcome) == set(keys(zoho))
        assert len(outcome.warnings) == 4
        assert "no more reports are requested" in outcome.warnings[-1]


def test_report_refused_with_1007(zoho: Sandbox, clock: FakeClock) -> None:
    """A report that is refused with 1007 for good stops the run: it is not "no report"."""
    zoho.faults.add("1007", endpoint=REPORT, times=99)
    outcome = run_tap(settings(zoho), clock=clock)
    assert isinstance(outcome.error, Unauthorized)
    assert zoho.calls(REPORT) == 2
    assert SCOPE in line(outcome)


def test_no_details(clock: FakeClock) -> None:
    """Details that fail are tried twice and warned about once; the campaign is still read."""
    with sandbox(clock, 0) as zoho:
        add_test(zoho, clock)
        parent = keys(zoho)[-1]
        zoho.account.campaigns[parent].details_error = 500
        outcome = run_sent(zoho, clock)
        assert outcome.error is None
        assert zoho.calls(DETAILS) == 2
        (warning,) = outcome.warnings
        assert all(part in warning for part in (DETAILS, parent, "HTTP 500"))
        assert {key for key, _ in outcome.keys("sent_contacts")} == {parent}


def add_test(zoho: Sandbox, clock: FakeClock) -> None:
    make_campaign(zoho.account, recipients=30, type="abtesting", sent_at=clock.now - 86_400)


# Refused tokens


def test_1007_in_the_middle(zoho: Sandbox, clock: FakeClock) -> None:
    """When Zoho refuses the token, it is refreshed once and the request is made again."""
    zoho.faults.add("1007", endpoint=RECIPIENTS, after=1)
    outcome = run_sent(zoho, clock)
    assert outcome.error is None
    assert not outcome.warnings
    assert sent_to(outcome) == set(keys(zoho))
    assert zoho.calls("token") == 2
    assert zoho.calls(RECIPIENTS) == 4
    asked = [each for each in zoho.requests if each.endpoint == RECIPIENTS]
    assert asked[1].params == asked[2].params


@pytest.mark.parametrize("code", ["1007", "401", "INVALID_OAUTHTOKEN"])
def test_token_refused_whatever_the_spelling(zoho: Sandbox, clock: FakeClock, code: str) -> None:
    """1007 is understood by its number, by HTTP 401, and by the word of Zoho's other products."""
    if code == "INVALID_OAUTHTOKEN":
        zoho.faults.add("body", endpoint=RECIPIENTS, body=json.dumps({"code": code}).encode())
    else:
        zoho.faults.add(code, endpoint=RECIPIENTS)
    outcome = run_sent(zoho, clock)
    assert outcome.error is None
    assert zoho.calls("token") == 2


def test_1007_twice(zoho: Sandbox, clock: FakeClock) -> None:
    """Two tokens refused in a row, with no request accepted in between, stop the run at once."""
    zoho.faults.add("1007", endpoint=RECIPIENTS, after=1, times=99)
    outcome = run_sent(zoho, clock)
    assert isinstance(outcome.error, Unauthorized)
    text = line(outcome)
    for part in ("1007", keys(zoho)[1], "action sentcontacts", SCOPE, "data_center"):
        assert part in text
    assert zoho.calls("token") == 2
    assert zoho.calls(RECIPIENTS) == 3
    assert sent_to(outcome) == {keys(zoho)[0]} == bookmarked(outcome)


def test_1007_again_later(zoho: Sandbox, clock: FakeClock) -> None:
    """A token that is refused after requests were accepted is refreshed again."""
    zoho.faults.add("1007", endpoint=RECIPIENTS, when=lambda call: call.fromindex == 1, times=1)
    zoho.faults.add("1007", endpoint=RECIPIENTS, after=1, times=1)
    outcome = run_sent(zoho, clock)
    assert outcome.error is None
    assert zoho.calls("token") == 3
    assert sent_to(outcome) == set(keys(zoho))


def test_1007_for_one_request_only(clock: FakeClock) -> None:
    """A request that is refused with every token does not ask for tokens without end."""
    with sandbox(clock, 40) as zoho:
        zoho.faults.add("1007", endpoint=RECIPIENTS, campaign_key=keys(zoho)[0], times=99)
        outcome = run_tap(settings(zoho, max_parallel_requests=8), clock=clock)
        assert isinstance(outcome.error, Unauthorized)
        assert zoho.calls("token") <= 3


def test_wrong_scope(zoho: Sandbox, clock: FakeClock) -> None:
    """A token without the scope stops the run at its first request, and the scope is named."""
    zoho.account.scope = "ZohoCampaigns.contact.READ"
    outcome = run_tap(settings(zoho), clock=clock)
    assert isinstance(outcome.error, Unauthorized)
    assert SCOPE in line(outcome)
    assert [each.endpoint for each in zoho.requests] == ["token", LISTING] * 2


def test_1007_with_access_token(zoho: Sandbox, clock: FakeClock) -> None:
    """With `access_token` there is nothing to refresh: 1007 stops the run at once."""
    config = settings(
        zoho,
        client_id=None,
        client_secret=None,
        refresh_token=None,
        access_token=zoho.account.access_token,
        max_parallel_requests=1,
    )
    zoho.faults.add("1007", endpoint=RECIPIENTS, after=1)
    outcome = run_tap(config, streams=["sent_contacts"], clock=clock)
    assert isinstance(outcome.error, Unauthorized)
    assert SCOPE in line(outcome)
    assert zoho.calls(RECIPIENTS) == 2
    assert zoho.calls("token") == 0
    assert sent_to(outcome) == {keys(zoho)[0]} == bookmarked(outcome)


def test_1007_on_the_legacy_api(zoho: Sandbox, clock: FakeClock) -> None:
    """On the legacy API 1007 stops the run, once a request was accepted, at once."""
    zoho.faults.add("1007", endpoint=RECIPIENTS, after=1)
    config = legacy(zoho, max_parallel_requests=1)
    outcome = run_tap(config, streams=["sent_contacts"], clock=clock)
    assert isinstance(outcome.error, Unauthorized)
    assert zoho.calls(RECIPIENTS) == 2
    assert sent_to(outcome) == {keys(zoho)[0]} == bookmarked(outcome)


def test_wrong_auth_token(zoho: Sandbox, clock: FakeClock) -> None:
    """A wrong authtoken is tried as form and as query, then the run stops."""
    outcome = run_tap({**legacy(zoho), "auth_token": "wrong-auth-token"}, clock=clock)
    assert isinstance(outcome.error, Unauthorized)
    assert "data_center" in line(outcome)
    assert [(each.endpoint, each.where) for each in zoho.requests] == [
        (LISTING, "form"),
        (LISTING, "query"),
    ]


def test_nothing_is_sent_after_the_end(clock: FakeClock) -> None:
    """Once a run must stop, requests that are waiting are not sent any more."""
    with sandbox(clock, 30) as zoho:
        refused = zoho.faults.add("1007", after=20, times=999)
        refused.when = lambda call: call.endpoint != "token"
        run_tap(settings(zoho, max_parallel_requests=8), clock=clock)
        assert zoho.calls("token") <= 3
        assert len(zoho.requests) <= 20 + 3 * 8 + 3


# The accounts server


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize(
    ("error", "names"),
    [
        ("invalid_code", "refresh_token is wrong, was revoked, or belongs to another data_center"),
        ("invalid_client", "client_id is wrong or belongs to another data_center"),
        ("invalid_client_secret", "client_secret is wrong"),
        ("Access Denied", "Wait half an hour"),
        ("unheard_of", "check client_id, client_secret, refresh_token and data_center"),
    ],
)
def test_token_refused(
    zoho: Sandbox, clock: FakeClock, error: str, names: str, status: int
) -> None:
    """An error of the accounts server, HTTP 200 included, stops the run and names the setting."""
    zoho.faults.add(
        "body", endpoint="token", status=status, body=json.dumps({"error": error}).encode(), times=9
    )
    outcome = run_tap(settings(zoho), clock=clock)
    assert isinstance(outcome.error, TokenRefused)
    text = line(outcome)
    assert f'"{error}"' in text
    assert names in text
    assert [each.endpoint for each in zoho.requests] == ["token"]


@pytest.mark.parametrize("wrong", ["client_id", "client_secret", "refresh_token"])
def test_wrong_credentials(zoho: Sandbox, clock: FakeClock, wrong: str) -> None:
    """Of wrong credentials the one that is wrong is named, and its value is not."""
    outcome = run_tap(settings(zoho, **{wrong: "1000.wrong-value"}), clock=clock)
    text = line(outcome)
    assert f"{wrong} is wrong" in text
    assert "wrong-value" not in text


@pytest.mark.parametrize("status", [200, 400])
def test_too_many_tokens(zoho: Sandbox, clock: FakeClock, status: t.Literal[200, 400]) -> None:
    """Where too many tokens were asked for, the run says how long to wait; its work is kept."""
    zoho.switches.token_limit = 1
    zoho.switches.token_throttle_status = status
    zoho.faults.add("1007", endpoint=RECIPIENTS, after=1)
    outcome = run_sent(zoho, clock)
    text = line(outcome)
    assert '"Access Denied"' in text
    assert "half an hour" in text
    assert zoho.calls("token") == 2
    assert sent_to(outcome) == {keys(zoho)[0]} == bookmarked(outcome)


@pytest.mark.parametrize("fault", ["500", "503", "html", "empty", "reset", "cut"])
def test_accounts_server_recovers(zoho: Sandbox, clock: FakeClock, fault: str) -> None:
    """An accounts server that gives no readable response is tried again, with growing waits."""
    zoho.faults.add(fault, endpoint="token", times=4)
    outcome = run_sent(zoho, clock)
    assert outcome.error is None
    assert zoho.calls("token") == 5
    assert_backoff(clock.slept)


def test_accounts_server_down(zoho: Sandbox, clock: FakeClock) -> None:
    """After five tries the run stops, and says what to check."""
    zoho.faults.add("reset", endpoint="token", times=99)
    outcome = run_tap(settings(zoho), clock=clock)
    assert isinstance(outcome.error, TokenRefused)
    assert "accounts_url" in line(outcome)
    assert zoho.calls("token") == 5
    assert_backoff(clock.slept)


def test_accounts_server_down_in_the_middle(clock: FakeClock) -> None:
    """Requests in flight share the five tries for a new token."""
    with sandbox(clock, 20) as zoho:
        zoho.faults.add("1007", endpoint=RECIPIENTS, after=40, times=8)
        zoho.faults.add("503", endpoint="token", after=1, times=99)
        outcome = run_tap(settings(zoho, max_parallel_requests=8), clock=clock)
        assert isinstance(outcome.error, TokenRefused)
        assert zoho.calls("token") == 1 + 5


# Trouble that passes


def assert_backoff(waits: list[float], first: float = 1.0, requests: int = 1) -> None:
    """Check that the four waits of each request double, each with up to a quarter more."""
    assert len(waits) == 4 * requests
    for number, wait in enumerate(waits):
        shortest = first * 2 ** (number % 4)
        assert shortest <= wait <= shortest * 1.25


@pytest.mark.parametrize("fault", TRANSIENT_FAULTS)
def test_trouble_that_passes(zoho: Sandbox, clock: FakeClock, fault: str) -> None:
    """A failed request is tried up to five times, waiting longer each time, and nothing is lost."""
    zoho.faults.add(fault, endpoint=RECIPIENTS, after=1, times=4)
    outcome = run_sent(zoho, clock)
    assert outcome.error is None
    assert sent_to(outcome) == set(keys(zoho)) == bookmarked(outcome)
    assert zoho.calls(RECIPIENTS) == 3 + 4
    assert_backoff(clock.slept)
    assert not outcome.warnings


@pytest.mark.parametrize("fault", TRANSIENT_FAULTS)
def test_trouble_that_stays(zoho: Sandbox, clock: FakeClock, fault: str) -> None:
    """After five tries a list is left out; the run fails in the end, naming what came."""
    zoho.faults.add(fault, endpoint=RECIPIENTS, after=1, times=99)
    outcome = run_sent(zoho, clock)
    assert isinstance(outcome.error, PartlyFailed)
    text = line(outcome)
    for part in (RECIPIENTS, keys(zoho)[1], keys(zoho)[2], "action sentcontacts", "again later"):
        assert part in text
    if fault.isdigit():
        assert fault in text
    assert zoho.calls(RECIPIENTS) == 1 + 2 * 5
    assert_backoff(clock.slept, requests=2)
    assert sent_to(outcome) == {keys(zoho)[0]} == bookmarked(outcome)


def test_time_out(zoho: Sandbox, clock: FakeClock) -> None:
    """A response slower than `request_timeout` is a failed request."""
    zoho.faults.add("slow", endpoint=RECIPIENTS, seconds=2.5, times=2)
    outcome = run_sent(zoho, clock, request_timeout=1.5)
    assert outcome.error is None
    assert sent_to(outcome) == set(keys(zoho))
    assert len(clock.slept) == 2
    assert any("request_timeout, 1.5 seconds" in each for each in outcome.log)


@pytest.mark.parametrize("fault", ["500", "html", "reset", "2101"])
def test_listing_with_trouble(zoho: Sandbox, clock: FakeClock, fault: str) -> None:
    """The listing is tried five times as well, also with `campaign_keys`; then the run stops."""
    zoho.faults.add(fault, endpoint=LISTING, times=99)
    outcome = run_tap(settings(zoho, campaign_keys=keys(zoho)), clock=clock)
    assert LISTING in line(outcome)
    assert zoho.calls(LISTING) == 5
    assert zoho.calls(RECIPIENTS) == 0


def test_retry_wait(zoho: Sandbox, clock: FakeClock) -> None:
    """The waits grow from `retry_wait`."""
    zoho.faults.add("500", endpoint=RECIPIENTS, times=4)
    run_sent(zoho, clock, retry_wait=7)
    assert_backoff(clock.slept, first=7)


def test_xml_with_trouble(zoho: Sandbox, clock: FakeClock) -> None:
    """JSON where XML was asked is a failed request, as the reverse is."""
    zoho.faults.add("other_format", endpoint=RECIPIENTS, times=2)
    outcome = run_sent(zoho, clock, response_format="xml")
    assert outcome.error is None
    assert sent_to(outcome) == set(keys(zoho))
    assert len(clock.slept) == 2


@pytest.mark.parametrize("endpoint", [RECIPIENTS, LISTING, "token"])
@pytest.mark.parametrize("header", ["40", "Mon, 21 Sep 2026 14:14:00 GMT"])
def test_retry_after_of_a_failed_request(
    zoho: Sandbox, clock: FakeClock, header: str, endpoint: str
) -> None:
    """`Retry-After` is obeyed, in seconds or as a date, where it is longer than the own wait."""
    assert clock.now == 1_790_000_000.0  # Mon, 21 Sep 2026 14:13:20 GMT
    zoho.faults.add("body", endpoint=endpoint, status=503, headers={"Retry-After": header})
    outcome = run_sent(zoho, clock)
    assert outcome.error is None
    assert clock.slept == [40.0]


# Locks


LOCK_SHAPES: tuple[t.Literal["429", "400_title", "200_text"], ...] = (
    "429",
    "400_title",
    "200_text",
)


@pytest.mark.parametrize("parallel", [1, 8])
@pytest.mark.parametrize("shape", LOCK_SHAPES)
def test_lock(
    clock: FakeClock, shape: t.Literal["429", "400_title", "200_text"], parallel: int
) -> None:
    """A lock, in each of its shapes, is waited out for `rate_limit_lock_wait`; nothing is lost."""
    with sandbox(clock, 10) as zoho:
        zoho.switches.lock_shape = shape
        zoho.before_request = once(RECIPIENTS, 5, lambda: zoho.lock_endpoint(RECIPIENTS, 900))
        config = settings(zoho, rate_limit_lock_wait=900, max_parallel_requests=parallel)
        outcome = run_tap(config, streams=["sent_contacts"], clock=clock)
        assert outcome.error is None
        assert sent_to(outcome) == set(keys(zoho)) == bookmarked(outcome)
        (warning,) = outcome.warnings
        assert f"locked {RECIPIENTS}" in warning
        assert "waiting 900 s" in warning
        refused = zoho.calls(RECIPIENTS) - 10
        assert 1 <= refused <= parallel


def once(endpoint: str, call: int, what: t.Callable[[], object]) -> t.Callable[[Logged], None]:
    """Return a hook of the sandbox that does something before an endpoint's nth call."""
    counter = itertools.count(1)

    def hook(request: Logged) -> None:
        if request.endpoint == endpoint and next(counter) == call:
            what()

    return hook


@pytest.mark.parametrize(("header", "wait"), [(30, 30), ("date", 30), (7200, 900)])
def test_lock_with_retry_after(
    zoho: Sandbox, clock: FakeClock, header: int | str, wait: int
) -> None:
    """`Retry-After` says how long to wait, but never longer than `rate_limit_lock_wait`."""
    zoho.switches.retry_after = header  # type: ignore[assignment]
    zoho.before_request = once(RECIPIENTS, 2, lambda: zoho.lock_endpoint(RECIPIENTS, wait))
    outcome = run_sent(zoho, clock, rate_limit_lock_wait=900)
    assert outcome.error is None
    assert sent_to(outcome) == set(keys(zoho))
    assert zoho.calls(RECIPIENTS) == 3 + 1
    assert wait <= sum(clock.slept) <= wait + 1


@pytest.mark.parametrize("parallel", [1, 8])
def test_lock_without_end(clock: FakeClock, parallel: int) -> None:
    """After three waits with no response between, the run stops with what it finished."""
    with sandbox(clock, 10) as zoho:
        zoho.before_request = once(RECIPIENTS, 2, lambda: zoho.lock_endpoint(RECIPIENTS, 10**6))
        config = settings(zoho, rate_limit_lock_wait=600, max_parallel_requests=parallel)
        outcome = run_tap(config, streams=["sent_contacts"], clock=clock)
        assert isinstance(outcome.error, Throttled)
        text = line(outcome)
        assert all(part in text for part in ("429", RECIPIENTS, "rate_limit_calls"))
        assert len(outcome.warnings) == 3
        assert 5 <= zoho.calls(RECIPIENTS) <= 1 + 4 * parallel
        assert sent_to(outcome) == {keys(zoho)[0]} == bookmarked(outcome)
        if parallel == 1:
            assert 1800 <= sum(clock.slept) <= 1801


def test_locks_with_answers_between(zoho: Sandbox, clock: FakeClock) -> None:
    """A lock after a response counts from the beginning."""
    for after in (0, 1, 2):
        zoho.faults.add("locked", endpoint=RECIPIENTS, after=after, times=3)
    outcome = run_sent(zoho, clock, rate_limit_lock_wait=10)
    assert outcome.error is None
    assert sent_to(outcome) == set(keys(zoho))
    assert len(outcome.warnings) == 9


@pytest.mark.parametrize("parallel", [1, 8])
@pytest.mark.parametrize("shape", LOCK_SHAPES)
def test_lock_without_waiting(
    clock: FakeClock, shape: t.Literal["429", "400_title", "200_text"], parallel: int
) -> None:
    """With `rate_limit_lock_wait` 0 a lock fails the run at once, with what it finished."""
    with sandbox(clock, 10) as zoho:
        zoho.switches.lock_shape = shape
        zoho.before_request = once(RECIPIENTS, 4, lambda: zoho.lock_endpoint(RECIPIENTS, 900))
        config = settings(zoho, rate_limit_lock_wait=0, max_parallel_requests=parallel)
        outcome = run_tap(config, streams=["sent_contacts"], clock=clock)
        assert isinstance(outcome.error, Throttled)
        line(outcome)
        assert clock.slept == []
        assert sent_to(outcome) <= set(keys(zoho)[:3])
        assert bookmarked(outcome) == sent_to(outcome)
        assert zoho.calls(RECIPIENTS) <= 3 + parallel


def test_lock_of_another_endpoint(zoho: Sandbox, clock: FakeClock) -> None:
    """A lock holds for its endpoint only; a locked report is waited for, it is not "no report"."""
    zoho.before_request = once(REPORT, 2, lambda: zoho.lock_endpoint(REPORT, 900))
    outcome = run_tap(settings(zoho, rate_limit_lock_wait=900), clock=clock)
    assert outcome.error is None
    assert len(outcome.records["campaign_reports"]) == 3
    assert sent_to(outcome) == set(keys(zoho))
    assert len(outcome.warnings) == 1


def test_lock_is_mentioned(zoho: Sandbox, clock: FakeClock) -> None:
    """A lock is mentioned in the log when it begins, and every few minutes while it lasts."""
    zoho.before_request = once(RECIPIENTS, 2, lambda: zoho.lock_endpoint(RECIPIENTS, 1800))
    outcome = run_sent(zoho, clock)
    said = [each.rpartition(": ")[2] for each in outcome.log if "has locked" in each]
    assert said[0] == "waiting 1800 s, then going on"
    assert said[1:] == [f"waiting {rest} s more" for rest in (1500, 1200, 900, 600, 300)]


def test_lock_of_another_process(tmp_path: Path) -> None:
    """A lock holds for the account's other processes: they wait, or fail at once with 0."""
    with Sandbox(make_account(3, recipients=4)) as zoho:
        zoho.switches.retry_after = 10
        zoho.lock_endpoint(RECIPIENTS, 600)
        env = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)}
        config = settings(zoho, rate_limit_store="file")
        folders = [tmp_path / name for name in ("first", "hasty", "patient")]
        for folder in folders:
            folder.mkdir()
        with subprocess.Popen(
            command({**config, "max_parallel_requests": 1}, folders[0]),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=env,
        ) as first:
            assert first.stderr is not None
            assert any("has locked" in each for each in first.stderr)
            zoho.unlock()
            zoho.reset_log()
            hasty = run_process({**config, "rate_limit_lock_wait": 0}, folders[1], env=env)
            assert hasty.exit_code == 4
            assert "as another run of this account found" in hasty.log[-1]
            assert zoho.calls(RECIPIENTS) == 0
            patient = run_process(config, folders[2], env=env)
            assert patient.exit_code == 0
            assert sent_to(patient) == set(keys(zoho))
            first.stderr.read()
            assert first.wait() == 0


# Ends, as a user sees them


def as_process(
    zoho: Sandbox, folder: Path, exit_code: int = 1, **changes: t.Any
) -> tuple[str, Outcome]:
    """Run the tap as a process, check how it ended, and return its last line."""
    config = settings(zoho, retry_wait=0, **changes)
    done = subprocess.run(
        command(config, folder), capture_output=True, text=True, check=False, timeout=60
    )
    log = done.stderr.splitlines()
    assert done.returncode == exit_code, done.stderr
    assert "Traceback" not in done.stderr
    lines = done.stdout.splitlines()
    messages = [json.loads(each) for each in lines]
    assert messages[-1]["type"] == "STATE"
    if exit_code:
        assert "Run failed. " in log[-2]
    return log[-1], Outcome(messages, None, log, done.returncode)


def test_process_with_refused_campaign(tmp_path: Path) -> None:
    """A discovered campaign that is refused does not fail the process."""
    with Sandbox(make_account(3, recipients=4)) as zoho:
        zoho.account.campaigns[keys(zoho)[0]].refusal = "6601"
        last, outcome = as_process(zoho, tmp_path, 0)
        assert "Run succeeded. Campaigns: 3 open, 2 read" in last
        assert "1 refused" in last
        assert sent_to(outcome) == set(keys(zoho)[1:]) == bookmarked(outcome)


def test_process_with_refused_campaign_that_is_named(tmp_path: Path) -> None:
    """One that is named does, after all others were delivered and bookmarked."""
    with Sandbox(make_account(3, recipients=4)) as zoho:
        refused, *others = keys(zoho)
        zoho.account.campaigns[refused].refusal = "6601"
        last, outcome = as_process(zoho, tmp_path, 5, campaign_keys=[refused, *others])
        assert refused in last
        assert "6601" in last
        assert sent_to(outcome) == set(others) == bookmarked(outcome)


@pytest.mark.parametrize(
    ("fault", "exit_code", "says"),
    [
        ("1007", 3, SCOPE),
        ("500", 1, "HTTP 500"),
        ("locked", 4, "HTTP 429"),
        ("reset", 1, "The server could not be reached, or closed the connection"),
    ],
)
def test_process_that_stops(tmp_path: Path, fault: str, exit_code: int, says: str) -> None:
    """An error that stops the run is the last line, after the summary and the STATE."""
    with Sandbox(make_account(3, recipients=4)) as zoho:
        zoho.faults.add(fault, endpoint=RECIPIENTS, after=5, times=99)
        last, outcome = as_process(
            zoho, tmp_path, exit_code, max_parallel_requests=1, rate_limit_lock_wait=0
        )
        assert says in last
        assert len(outcome.records["campaign_reports"]) == 3
        assert bookmarked(outcome, "clicked_contacts") == set(keys(zoho))
        assert not outcome.records["sent_contacts"]


def test_process_without_token(tmp_path: Path) -> None:
    """A refused token stops the process before anything was read."""
    with Sandbox(make_account(3, recipients=4)) as zoho:
        last, outcome = as_process(zoho, tmp_path, 3, refresh_token="1000.wrong")
        assert "refresh_token is wrong" in last
        assert "1000.wrong" not in "".join(outcome.log)
        assert not outcome.records


def test_process_with_bad_settings(tmp_path: Path) -> None:
    """Bad settings are one line each, before any request, without the value of a secret."""
    with Sandbox(make_account(1)) as zoho:
        config = settings(zoho, page_size=0, start_date="tomorrow", api_url="http://zoho.com")
        config["access_token"] = "1000.planted-secret"
        outcome = run_process(config, tmp_path)
        assert outcome.exit_code == 2
        assert outcome.messages == []
        assert zoho.requests == []
        text = "\n".join(outcome.log)
        assert "Traceback" not in text
        assert "planted-secret" not in text
        assert "page_size" in text


# What cannot even begin


def test_store_out_of_reach(zoho: Sandbox, clock: FakeClock) -> None:
    """A run whose Redis is out of reach asks nothing, and ends with state, summary and error."""
    state = run_sent(zoho, clock).state
    zoho.reset_log()
    outcome = run_tap(
        settings(zoho, rate_limit_store="redis://127.0.0.1:1/0"), state=state, clock=clock.fresh()
    )
    assert isinstance(outcome.error, StoreUnavailable)
    assert zoho.requests == []
    assert outcome.messages == [{"type": "STATE", "value": state}]
    assert outcome.log[-1].startswith("INFO Run failed. Campaigns: 0 open")


def test_report_beside_the_end() -> None:
    """What ends the run is no missing report, also where a report's request is the first to tell.

    Else a campaign past its window would be closed without its last report.
    """
    with Sandbox(make_account(1, 5)) as zoho:
        zoho.faults.add("locked", endpoint=RECIPIENTS)
        tap = TapZohoCampaignsRecipients(config=settings(zoho, rate_limit_lock_wait=0))
        config = Settings.from_config(tap.config, "test")
        clock, logger = Clock(), logging.getLogger(__name__)
        transport = Transport(user_agent="test", timeout_seconds=10)
        limiter = Limiter(
            store="memory", account="test", calls=100, period_seconds=1, clock=clock, logger=logger
        )
        tokens = credentials(config, transport, clock)
        client = Client(config, tokens, transport, limiter, clock, logger)
        workers = WorkerThreads(1, lambda: None)
        requests = RequestPool(client, workers, lambda: None)
        parameters = {"campaignkey": next(iter(zoho.account.campaigns))}
        with pytest.raises(Throttled) as ending:
            client.call(Endpoint.RECIPIENTS, {**parameters, "action": "sentcontacts"})
        requests.send(None, Endpoint.REPORT, parameters)
        with pytest.raises(Throttled) as told:
            requests.next()
        assert told.value is ending.value
        assert zoho.calls(REPORT) == 0
        workers.close()
        limiter.close()
