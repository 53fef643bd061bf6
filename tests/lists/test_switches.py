"""Whatever is not known about Zoho for sure may be either way, and every row arrives once."""

from __future__ import annotations

import random
import typing as t

import pytest

from sandbox import POSITIONS, Sandbox, make_account, make_campaign
from support.tap_runs import RECIPIENT_ACTIONS, FakeClock, legacy, run_tap, settings
from support.truth import PROFILE, expected_list, in_order, sent_campaigns

if t.TYPE_CHECKING:
    from sandbox import Account, Switches
    from support.tap_runs import Outcome
    from support.truth import Record

Positions = dict[str, t.Any]

SINGLE: list[Positions] = [{name: value} for name, values in POSITIONS.items() for value in values]
ZONE = "America/New_York"
REPORTS = {"opened_contacts": "open_reports", "clicked_contacts": "click_reports"}


def several_at_once(seed: int) -> Positions:
    """Half of the switches out of their default, drawn at random."""
    rng = random.Random(seed)
    return {name: rng.choice(values) for name, values in POSITIONS.items() if rng.random() < 1 / 2}


def name_of(positions: Positions) -> str:
    return ",".join(f"{name}={value}" for name, value in positions.items())


def account(clock: FakeClock) -> Account:
    """Several campaigns, one of them an A/B test, and some that were not sent."""
    it = make_account(0, now=clock.now)
    it.now = lambda: clock.now
    make_campaign(it, recipients=70, opened=41, clicked=21, days_ago=3, spread_s=90)
    make_campaign(it, recipients=60, opened=21, hard=20, soft=3, optout=2, spam=1, days_ago=4)
    make_campaign(it, recipients=40, days_ago=5, type="abtesting")
    make_campaign(it, recipients=1, opened=1, unsent=0, days_ago=6)
    make_campaign(it, recipients=2, opened=1, clicked=1, days_ago=7)
    make_campaign(it, recipients=3, unsent=21, days_ago=8)
    make_campaign(it, status="Draft", days_ago=1)
    make_campaign(it, status="Scheduled", days_ago=2)
    return it


def expected(zoho: Sandbox, stream: str, key: str, clock: FakeClock, form: str) -> list[Record]:
    """The records of a list under the sandbox's positions."""
    records, richer = (
        expected_list(
            zoho,
            stream,
            key,
            read_at=clock.now,
            response_format=each,
            account_timezone=ZONE if each == "xml" else None,
        )
        for each in (form, "json")
    )
    for record, rich in zip(records, richer, strict=True):
        if form == "xml" and zoho.switches.xml_fields == "all":
            for name in ("contact_id", "contact_status", "is_forgotten", *PROFILE, "custom_fields"):
                record[name] = rich[name]
        if not zoho.switches.gmt_fields:
            record["sent_time_utc" if form == "json" else "sent_time"] = None
        switches = zoho.switches
        if form == "json" and stream in REPORTS:
            spell_reports(record, stream, switches)
        if form == "xml" and switches.timeline != "xml" and stream in REPORTS:
            record[REPORTS[stream]] = None
    return records


def spell_reports(record: Record, stream: str, switches: Switches) -> None:
    """Put the labels of a row's reports as the sandbox has them."""
    reports = record[REPORTS[stream]] or ()
    for number, each in enumerate(reports, 1):
        if stream == "opened_contacts" and switches.openreports == "times":
            each["label"] = None
        elif switches.report_labels == "ids":
            each["label"] = str(303_000 + number)
    if stream == "clicked_contacts" and switches.clickreports == "absent":
        record["click_reports"] = None


def assert_every_row_once(zoho: Sandbox, outcome: Outcome, clock: FakeClock, form: str) -> None:
    """See every row of all nine lists, whole."""
    for stream in RECIPIENT_ACTIONS:
        assert in_order(outcome.records[stream]) == in_order(
            [
                record
                for key in sent_campaigns(zoho)
                for record in expected(zoho, stream, key, clock, form)
            ]
        ), stream


def assert_every_campaign_once(zoho: Sandbox, outcome: Outcome) -> None:
    """See each campaign that was sent, A/B variants included, in both streams of campaigns."""
    parents = [(key, zoho.account.campaigns[key].parent_key) for key in sent_campaigns(zoho)]
    has_reports = zoho.switches.reports not in {"missing", "http_500"}
    for stream, there in (("campaigns", parents), ("campaign_reports", parents * has_reports)):
        found = [
            (record["campaign_key"], record["parent_campaign_key"])
            for record in outcome.records[stream]
        ]
        assert sorted(found) == sorted(there), stream


def assert_all_arrives(positions: Positions, form: str, *, is_legacy: bool = False) -> None:
    """Run the tap against a sandbox in these positions."""
    clock = FakeClock()
    with Sandbox(account(clock), clock=clock) as zoho:
        for name, value in positions.items():
            zoho.switches.set(name, value)
        make = legacy if is_legacy else settings
        config = make(zoho, retry_wait=0, page_size=20, response_format=form, account_timezone=ZONE)
        outcome = run_tap(config, clock=clock.fresh())
        assert outcome.error is None
        assert_every_row_once(zoho, outcome, clock, form)
        assert_every_campaign_once(zoho, outcome)


@pytest.mark.parametrize("form", ["json", "xml"])
@pytest.mark.parametrize("positions", [{}, *SINGLE], ids=name_of)
def test_each_position(positions: Positions, form: str) -> None:
    """Under each position of each switch a full run delivers every row once."""
    assert_all_arrives(positions, form)


@pytest.mark.parametrize("seed", range(24))
def test_many_positions_at_once(seed: int) -> None:
    """The same where half of what is uncertain is other than expected, on either API."""
    form = "json" if seed % 2 else "xml"
    assert_all_arrives(several_at_once(seed), form, is_legacy=seed % 4 > 1)
