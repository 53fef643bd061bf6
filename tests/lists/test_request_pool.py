"""Requests side by side: how many, in which order their rows come, and what an error does."""

from __future__ import annotations

import random
import subprocess
import threading
import time
import typing as t

import pytest

from sandbox import Moves, Sandbox, make_account, make_campaign
from support.tap_runs import (
    LISTING,
    RECIPIENT_ACTIONS,
    RECIPIENTS,
    REPORT,
    FakeClock,
    command,
    run_tap,
    settings,
)

if t.TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from sandbox import Account, Logged
    from support.tap_runs import Outcome

LISTS = tuple(RECIPIENT_ACTIONS)
SECONDS_ALLOWED = 30


def run(
    zoho: Sandbox,
    parallel: int,
    *,
    state: dict[str, t.Any] | None = None,
    streams: Iterable[str] | None = LISTS,
    clock: FakeClock | None = None,
    **changes: t.Any,
) -> Outcome:
    """Run the tap in a thread; one that never ends fails the test instead of holding it up."""
    outcomes: list[Outcome] = []

    def work() -> None:
        config = settings(zoho, max_parallel_requests=parallel, retry_wait=0, **changes)
        outcomes.append(run_tap(config, state=state, streams=streams, clock=clock))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(SECONDS_ALLOWED)
    assert outcomes, "the run never ended"
    return outcomes[0]


def rows(outcome: Outcome) -> list[tuple[str, str, str]]:
    """Return stream, campaign and address of every recipient record, in order."""
    return [
        (message["stream"], message["record"]["campaign_key"], message["record"]["contact_email"])
        for message in outcome.messages
        if message["type"] == "RECORD" and message["stream"] in LISTS
    ]


@pytest.mark.parametrize("parallel", [1, 3, 8])
@pytest.mark.parametrize("shape", ["one large list", "many small lists"])
def test_requests_in_flight(parallel: int, shape: str) -> None:
    """As many requests are in flight as max_parallel_requests says, and never more.

    Be it one large list, whose pages are fetched ahead, or many small ones.
    """
    account = make_account(1, 900) if shape == "one large list" else make_account(30, 5)
    with Sandbox(account) as zoho:
        zoho.switches.latency_s = 0.05
        outcome = run(zoho, parallel, streams=["sent_contacts"], page_size=30)
        assert outcome.error is None
        assert zoho.peak_in_flight == parallel


@pytest.mark.parametrize("parallel", [4, 8])
def test_large_list_among_small_ones(parallel: int) -> None:
    """A large list is fetched ahead by as much, also with small ones waiting behind it."""
    with Sandbox(make_account(20, [5] * 5 + [2000] + [5] * 14)) as zoho:
        zoho.switches.latency_s = 0.05
        started = time.monotonic()
        outcome = run(zoho, parallel, streams=["sent_contacts"], page_size=30)
        seconds = time.monotonic() - started
        assert len(rows(outcome)) == 2000 + 19 * 5
        assert zoho.peak_in_flight == parallel
        assert seconds < 0.05 * (zoho.calls() / parallel) * 1.5 + 1


def test_pages_behind_a_slow_answer() -> None:
    """While a page of one list is waited for, others get further than their first one."""
    account = make_account(6, 100)
    *others, first = account.campaigns  # the oldest one is read first
    with Sandbox(account) as zoho:
        second_pages: set[str | None] = set()
        got_further = threading.Event()

        def dawdle(logged: Logged) -> None:
            if logged.endpoint != RECIPIENTS or logged.fromindex == 1:
                return
            if logged.campaign_key == first:
                assert got_further.wait(10)
                return
            second_pages.add(logged.campaign_key)
            if len(second_pages) == 2:
                got_further.set()

        zoho.before_request = dawdle
        outcome = run(zoho, 4, streams=["sent_contacts"], page_size=50)
        assert got_further.is_set()
        assert len(rows(outcome)) == len(set(rows(outcome))) == 6 * 100
        assert second_pages == set(others)


@pytest.mark.parametrize("parallel", [2, 8, 16])
def test_order_and_calls(parallel: int) -> None:
    """The records come in the same order whatever is in flight, for next to the same calls."""
    chance = random.Random(parallel)
    with Sandbox(make_account(8, [chance.choice([1, 30, 100, 400]) for _ in range(8)])) as zoho:
        expected = run(zoho, 1, page_size=50)
        calls = zoho.calls(RECIPIENTS)
        zoho.reset_log()

        def dawdle(_: Logged) -> None:
            time.sleep(chance.random() * 0.004)

        zoho.before_request = dawdle
        outcome = run(zoho, parallel, page_size=50)
        assert rows(outcome) == rows(expected)
        assert calls <= zoho.calls(RECIPIENTS) <= calls * 1.05
        assert zoho.calls(LISTING) == 1
        assert zoho.calls(REPORT) == 8


def changed(zoho: Sandbox) -> dict[str, t.Any]:
    """Read everything, then let contacts open every second campaign's mail; return the state."""
    state = run(zoho, 1, page_size=50, streams=None).state
    for key in list(zoho.account.campaigns)[::2]:
        for row in zoho.account.rows(key, "unopenedcontacts")[:3]:
            zoho.account.open(key, row["email"])
    return state


def unchanged(zoho: Sandbox) -> dict[str, t.Any]:
    """Read everything; return the state."""
    return run(zoho, 1, page_size=50, streams=None).state


SITUATIONS: dict[str, dict[str, t.Any]] = {
    "first run": {},
    "nothing changed": {"prepare": unchanged},
    "some changed": {"prepare": changed},
    "past the window": {"engagement_window_days": 0},
    "XML": {"response_format": "xml", "account_timezone": "America/New_York"},
    "capped range": {"switches": {"range_cap": 20}},
    "no reports": {"switches": {"reports": "missing"}},
    "reports are late": {"switches": {"reports": "lagging"}},
    "empty lists are refused": {"switches": {"empty_list": "6303"}},
    "parameters in the form only": {"switches": {"params_from": "form"}},
    "trouble that passes": {"faults": ["502", "reset", "2101"]},
    "refused campaigns": {"refused": "6601"},
}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_calls_in_every_situation(situation: str) -> None:
    """With eight in flight a run makes at most a twentieth more calls than with one."""
    how = dict(SITUATIONS[situation])
    switches, faults = how.pop("switches", {}), how.pop("faults", [])
    prepare, refused = how.pop("prepare", None), how.pop("refused", None)
    calls = {}
    for parallel in (1, 8):
        account = make_account(16, [1, 40, 170, 12] * 4)
        make_campaign(account, "test", type="abtesting", recipients=80, days_ago=3)
        for key in list(account.campaigns)[3::5]:
            account.campaigns[key].refusal = refused
        with Sandbox(account) as zoho:
            for name, value in switches.items():
                zoho.switches.set(name, str(value))
            state = prepare(zoho) if prepare else None
            for number, fault in enumerate(faults):
                zoho.faults.add(fault, endpoint=RECIPIENTS, after=10 * number, times=2)
            zoho.switches.latency_s = 0.002
            zoho.reset_log()
            outcome = run(zoho, parallel, page_size=50, state=state, streams=None, **how)
            assert outcome.error is None
            calls[parallel] = zoho.calls()
    assert calls[8] <= calls[1] * 1.05


def test_capped_range() -> None:
    """Where a server gives less than asked, what was fetched ahead is not in vain."""
    with Sandbox(make_account(3, 300)) as zoho:
        zoho.switches.range_cap = 20
        run(zoho, 1, page_size=500)
        calls = zoho.calls(RECIPIENTS)
        zoho.reset_log()
        outcome = run(zoho, 8, page_size=500)
        assert len(rows(outcome)) == len(set(rows(outcome)))
        assert zoho.calls(RECIPIENTS) <= calls * 1.05


def test_refused_range() -> None:
    """Where a range is refused while others are under way, it is halved for all of them."""
    with Sandbox(make_account(4, 300)) as zoho:
        zoho.switches.range_error_above = 40
        expected = {
            (stream, key, row["email"].lower())
            for key in zoho.account.campaigns
            for stream, action in RECIPIENT_ACTIONS.items()
            for row in zoho.account.rows(key, action)
        }
        outcome = run(zoho, 8, page_size=500)
        assert outcome.error is None
        assert set(rows(outcome)) == expected
        refused = [each for each in zoho.requests if each.code == "6502"]
        assert len(refused) <= 4 * 8
        assert len([line for line in outcome.warnings if "refuses range" in line]) == 1


@pytest.mark.parametrize("code", ["6002", "9999"])
def test_refused_campaign_costs_one_call(code: str) -> None:
    """A campaign that is refused costs one call for all of its lists, with eight in flight too."""
    account = make_account(9, 20)
    refused = list(account.campaigns)[::3]
    for key in refused:
        account.campaigns[key].refusal = code
    with Sandbox(account) as zoho:
        zoho.switches.latency_s = 0.05
        outcome = run(zoho, 8)
        for key in refused:
            assert zoho.calls(RECIPIENTS, campaign_key=key) == 1
        assert {key for _, key, _ in rows(outcome)} == set(account.campaigns) - set(refused)
        assert (outcome.error is not None) is (code == "9999")


def test_single_refused_campaign_among_its_lists() -> None:
    """An account with a single campaign, refused, costs one call."""
    account = make_account(1, 20)
    next(iter(account.campaigns.values())).refusal = "6601"
    with Sandbox(account) as zoho:
        zoho.switches.latency_s = 0.05
        run(zoho, 8)
        assert zoho.calls(RECIPIENTS) == 1


def test_account_without_reports() -> None:
    """Without reports few are asked for, and the lists are read side by side all the same."""
    with Sandbox(make_account(12, 20)) as zoho:
        zoho.switches.reports = "missing"
        zoho.switches.latency_s = 0.05
        outcome = run(zoho, 8)
        assert outcome.error is None
        assert zoho.calls(REPORT) == 6
        assert zoho.peak_in_flight == 8


@pytest.mark.parametrize("parallel", [1, 8])
def test_error_ends_the_run_at_once(parallel: int) -> None:
    """A request that fails for good ends the run soon; what was finished is in the state."""
    clock = FakeClock()
    with Sandbox(make_account(20, 20, now=clock.now), clock=clock) as zoho:
        zoho.faults.add("502", endpoint=RECIPIENTS, action="openedcontacts", times=10**6, after=5)
        outcome = run(zoho, parallel, clock=clock.fresh())
        assert outcome.error is not None
        assert "HTTP 502" in str(outcome.error)
        # Three lists are tried five times each.
        assert zoho.calls(RECIPIENTS) <= 20 + 20 + 5 + 3 * 5 + 2 * parallel
        state = outcome.state["bookmarks"]
        assert len(state["clicked_contacts"]["partitions"]) == 20
        assert len(state["hard_bounce_contacts"]["partitions"]) == 20
        assert len(state.get("opened_contacts", {}).get("partitions", [])) <= 5

        zoho.faults.clear()
        zoho.reset_log()
        again = run(zoho, parallel, state=outcome.state, clock=clock.fresh())
        assert again.error is None
        assert zoho.calls(RECIPIENTS, action="clickedcontacts") == 0


@pytest.mark.parametrize("parallel", [1, 8])
@pytest.mark.parametrize("fault", ["1007", "502", "locked"])
def test_calls_after_a_fatal_answer(parallel: int, fault: str) -> None:
    """After the response that ends a run, hardly more is sent than what is in flight already."""
    clock = FakeClock()
    with Sandbox(make_account(20, 20, now=clock.now), clock=clock) as zoho:
        zoho.switches.latency_s = 0.05
        zoho.faults.add(fault, endpoint=RECIPIENTS, after=29, times=10**6)
        outcome = run(zoho, parallel, clock=clock.fresh(), rate_limit_lock_wait=0)
        assert outcome.error is not None
        after = zoho.calls(RECIPIENTS) - 29
        # Each in flight is refused too: once, or with a new token once more. Of lists that fail,
        # three are tried five times each.
        assert after <= {"1007": 3 * parallel, "502": 3 * 5 + parallel, "locked": parallel}[fault]
        delivered = {(stream, key) for stream, key, _ in rows(outcome)}
        bookmarks = outcome.state["bookmarks"]
        finished = {
            (stream, partition["context"]["campaign_key"])
            for stream in bookmarks
            for partition in bookmarks[stream]["partitions"]
        }
        assert len(finished) >= 29 - 2 * parallel
        assert len(delivered - finished) <= 1


def test_reader_that_stalls(tmp_path: Path) -> None:
    """What is fetched ahead is a few pages, however large a list is and however slow its reader."""
    with Sandbox(make_account(3, 4000)) as zoho:
        config = settings(zoho, max_parallel_requests=8, page_size=100)
        process = subprocess.Popen(
            command(config, tmp_path), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert process.stdout is not None
        try:
            while b'"RECORD"' not in process.stdout.readline():
                pass  # the schemas alone fill the pipe
            calls = -1
            while calls < 3 or zoho.calls(RECIPIENTS) > calls:
                calls = zoho.calls(RECIPIENTS)
                time.sleep(0.5)
        finally:
            process.kill()
            process.communicate()
        # The pipe holds 64 kB, which is a page, and as much is being written.
        assert calls <= 2 + 2 * 8


def kinds_of_trouble(account: Account, chance: random.Random) -> None:
    """Give each campaign one of the things that can be wrong with it."""
    for campaign in account.campaigns.values():
        campaign.refusal = chance.choice([None, None, None, "6002", "6607", "9999", "6601"])
        campaign.report_error = chance.choice([None, None, "6001", "6302"])


@pytest.mark.parametrize("seed", range(16))
def test_every_run_comes_to_its_end(seed: int) -> None:
    """Whatever is refused, missing or unchanged, and in whatever order the answers come.

    The run ends, and all that can be read arrives.
    """
    chance = random.Random(seed)
    account = make_account(
        10, [chance.choice([0, 1, 5, 40]) for _ in range(10)], spacing_days=chance.choice([1, 15])
    )
    make_campaign(account, "test", type="abtesting", recipients=40, days_ago=chance.choice([3, 90]))
    parallel = chance.choice([2, 3, 8, 16])
    with Sandbox(account) as zoho:
        dice = random.Random(seed)
        zoho.before_request = lambda _: time.sleep(dice.random() * 0.003)
        state = None
        if chance.random() < 0.5:
            state = run(zoho, parallel, page_size=10).state
            for key in chance.sample(list(account.campaigns), 3):
                for row in account.rows(key, "unopenedcontacts")[:2]:
                    account.open(key, row["email"])
        kinds_of_trouble(account, chance)
        zoho.switches.moves = chance.choice([None, Moves(rate=0.3, seed=seed)])
        zoho.switches.range_error_above = chance.choice([None, 4])
        zoho.switches.reports = t.cast("t.Any", chance.choice(["ok", "ok", "missing", "wrong"]))
        zoho.reset_log()
        outcome = run(
            zoho, parallel, page_size=10, state=state, streams=chance.choice([LISTS, None])
        )

        assert zoho.peak_in_flight <= parallel
        assert len(rows(outcome)) == len(set(rows(outcome)))
        for key, campaign in account.campaigns.items():
            if campaign.refusal:
                assert zoho.calls(RECIPIENTS, campaign_key=key) <= 3  # more only for its range
        assert outcome.log[-1].startswith(("INFO Run succeeded.", "INFO Run failed."))
