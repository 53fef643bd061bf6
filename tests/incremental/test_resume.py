"""Runs that are killed and resumed, and lists that move while they are read."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import typing as t
from collections import Counter
from itertools import pairwise

import pytest

from sandbox import Account, Moves, Sandbox, make_account, make_campaign
from support.tap_runs import RECIPIENT_ACTIONS, RECIPIENTS, FakeClock, command, run_tap, settings
from tap_zoho_campaigns_recipients.sync.bookmarks import load

if t.TYPE_CHECKING:
    from pathlib import Path

    from sandbox import Logged

LISTS = tuple(RECIPIENT_ACTIONS)


def everything(account: Account) -> set[tuple[str, str, str]]:
    """Return stream, campaign and address of every row of every list."""
    return {
        (stream, key, row["email"].lower())
        for key in account.campaigns
        for stream, action in RECIPIENT_ACTIONS.items()
        for row in account.rows(key, action)
        if row["email"]
    }


def whole_lines(output: bytes) -> list[dict[str, t.Any]]:
    """Return the messages of an output; a process that was killed may have left half a line."""
    return [json.loads(line) for line in output.splitlines(keepends=True) if line.endswith(b"\n")]


class Killer:
    """Kills a process after so many requests."""

    def __init__(self, zoho: Sandbox) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.calls_left = 0
        zoho.before_request = self.count

    def count(self, logged: Logged) -> None:
        """Count a request; the last one is not answered any more."""
        if logged.endpoint != RECIPIENTS:
            return
        self.calls_left -= 1
        if self.calls_left == 0 and self.process is not None:
            os.kill(self.process.pid, signal.SIGKILL)


def killed(
    zoho: Sandbox, folder: Path, state: dict[str, t.Any] | None, calls: int, **changes: t.Any
) -> tuple[list[dict[str, t.Any]], dict[str, t.Any] | None, bool]:
    """Run the tap as a process that is killed after so many recipient requests.

    Returns:
        Its messages, the last state that it wrote or the one it had, and whether it was killed.
    """
    killer = Killer(zoho)
    killer.calls_left = calls
    words = command(settings(zoho, **changes), folder, state=state)
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    killer.process = process
    output, _ = process.communicate(timeout=60)
    zoho.before_request = None
    messages = whole_lines(output)
    states = [message["value"] for message in messages if message["type"] == "STATE"]
    assert process.returncode in {0, -signal.SIGKILL}
    return messages, states[-1] if states else state, process.returncode != 0


def rows_of(messages: list[dict[str, t.Any]]) -> list[tuple[str, str, str]]:
    """Return stream, campaign and address of every recipient record."""
    return [
        (message["stream"], message["record"]["campaign_key"], message["record"]["contact_email"])
        for message in messages
        if message["type"] == "RECORD" and message["stream"] in LISTS
    ]


@pytest.mark.parametrize(("newest_days_ago", "recipients"), [(1, 5), (50, 40)])
def test_killed_nine_times(tmp_path: Path, newest_days_ago: float, recipients: int) -> None:
    """Twelve campaigns, killed nine times over and resumed: every row arrives.

    What was finished for good is not read again, and the recipient calls spent stay within twice
    what one run needs.
    """
    chance = random.Random(recipients)
    account = make_account(
        12,
        [recipients * (1 + number % 4) for number in range(12)],
        newest_days_ago=newest_days_ago,
        spacing_days=2,
    )
    with Sandbox(account) as zoho:
        zoho.switches.range_cap = 30
        zoho.switches.token_limit = None
        whole = run_tap(settings(zoho), streams=LISTS)
        needed = zoho.calls(RECIPIENTS)
        zoho.reset_log()

        rows: set[tuple[str, str, str]] = set()
        state: dict[str, t.Any] | None = None
        finished: set[tuple[str, str]] = set()
        kills = 0
        while kills < 9:
            before = len(zoho.requests)
            messages, state, was_killed = killed(
                zoho, tmp_path, state, chance.randint(needed // 20, needed // 8)
            )
            asked = {
                (each.action or "", each.campaign_key or "") for each in zoho.requests[before:]
            }
            assert not asked & finished
            rows.update(rows_of(messages))
            assert len(rows_of(messages)) == len(set(rows_of(messages)))
            finished |= finished_lists(account, state)
            kills += was_killed
            assert was_killed, "killed too late: nothing is left to do"
        messages, state, was_killed = killed(zoho, tmp_path, state, 10**9)
        rows.update(rows_of(messages))

        assert not was_killed
        assert rows == everything(account)
        assert zoho.calls(RECIPIENTS) <= 2 * needed
        assert whole.error is None


def finished_lists(account: Account, state: dict[str, t.Any] | None) -> set[tuple[str, str]]:
    """Return action and campaign of the lists that had their last read, as a state says."""
    keys = {**dict.fromkeys(LISTS, "sent_time"), "campaign_reports": "report_read_at"}
    return {
        (action, key)
        for stream, action in RECIPIENT_ACTIONS.items()
        for key, campaign in account.campaigns.items()
        if campaign.sent_at
        and load(state or {}, keys).streams[stream].is_finished(key, int(campaign.sent_at * 1000))
    }


@pytest.mark.parametrize(
    ("campaigns", "recipients", "fewest"),
    [(10, 40, 1), (12, 400, 18), (60, 300, 12), (3, 4000, 25)],
)
def test_states_are_little(campaigns: int, recipients: int, fewest: int) -> None:
    """All STATEs together are less than a twentieth of the output, and go out all along the run.

    With every list where lists are long; the shorter they are, the fewer there are on the way.
    """
    with Sandbox(make_account(campaigns, recipients)) as zoho:
        outcome = run_tap(settings(zoho), streams=LISTS)
    sizes = Counter[str]()
    places = []
    for message in outcome.messages:
        sizes[message["type"]] += len(json.dumps(message))
        if message["type"] == "STATE":
            places.append(sizes["RECORD"])
    assert sizes["STATE"] < sizes["RECORD"] / 20
    assert len(places) >= fewest
    if fewest > 1:
        longest = max(after - before for before, after in pairwise([0, *places]))
        assert longest < sizes["RECORD"] / 2


@pytest.mark.parametrize("streams", [["campaign_reports"], ["sent_contacts", "campaign_reports"]])
def test_states_are_little_beside_reports(streams: list[str]) -> None:
    """Rows of reports are output like others: not each of them is followed by a STATE."""
    with Sandbox(make_account(150, 60, spacing_days=0.1)) as zoho:
        outcome = run_tap(settings(zoho), streams=streams)
    sizes = Counter[str]()
    for message in outcome.messages:
        sizes[message["type"]] += len(json.dumps(message))
    before_last = sizes["STATE"] - len(json.dumps(outcome.messages[-1]))
    assert len(outcome.records["campaign_reports"]) == 150
    assert len(outcome.state["bookmarks"]["campaign_reports"]["partitions"]) == 150
    assert before_last < sizes["RECORD"] / 20


@pytest.mark.parametrize(("recipients", "seconds", "most"), [(4, 300, 3), (2000, 14, 999)])
def test_states_of_a_slow_run(recipients: int, seconds: int, most: int) -> None:
    """No more of a run is lost than ten seconds and a list, or five minutes where lists are short.

    For there the STATEs would soon be more than the rows.
    """
    clock = FakeClock()
    with Sandbox(make_account(12, recipients, now=clock.now), clock=clock) as zoho:
        zoho.before_request = lambda _: clock.sleep(4)
        outcome = run_tap(
            settings(zoho, max_parallel_requests=1, page_size=1000), streams=LISTS, clock=clock
        )
        calls = zoho.calls(RECIPIENTS)
    assert calls * 4 // seconds <= len(outcome.states) <= most


def test_interrupted_list(tmp_path: Path) -> None:
    """A list cut off in the middle is read anew from its beginning, with a new list_read_at."""
    account = Account()
    make_campaign(account, "news", recipients=100, days_ago=3)
    with Sandbox(account) as zoho:
        zoho.switches.range_cap = 10
        one = {"max_parallel_requests": 1}
        first, state, _ = killed(zoho, tmp_path, None, zoho_calls_before_sent(zoho, one) + 6, **one)
        zoho.reset_log()
        second, _, _ = killed(zoho, tmp_path, state, 10**9, **one)

    def moments(messages: list[dict[str, t.Any]]) -> set[str]:
        return {
            message["record"]["list_read_at"]
            for message in messages
            if message["type"] == "RECORD" and message["stream"] == "sent_contacts"
        }

    sent = [row for row in rows_of(second) if row[0] == "sent_contacts"]
    assert len(sent) == 100
    assert len(moments(first)) == len(moments(second)) == 1
    assert max(moments(first)) < min(moments(second))


def zoho_calls_before_sent(zoho: Sandbox, changes: dict[str, t.Any]) -> int:
    """Return how many recipient requests come before those for sent contacts."""
    run_tap(settings(zoho, **changes), streams=LISTS)
    actions = [each.action for each in zoho.requests if each.endpoint == RECIPIENTS]
    zoho.reset_log()
    return actions.index("sentcontacts")


@pytest.mark.parametrize("parallel", [1, 8])
@pytest.mark.parametrize("seed", range(12))
def test_lists_that_move(seed: int, parallel: int) -> None:
    """Contacts leave and come between any two requests: who stays is read, and nobody twice."""
    chance = random.Random(seed)
    clock = FakeClock()
    account = Account()
    account.now = clock.time
    for number in range(2):
        make_campaign(account, f"{number}", recipients=chance.randint(60, 160), days_ago=3 + number)
    with Sandbox(account, clock=clock) as zoho:
        zoho.switches.order = t.cast(
            "t.Any", chance.choice(["stable", "reverse", "email", "newest"])
        )
        zoho.switches.range_cap = chance.choice([None, 12])
        before = everything(account)
        zoho.switches.moves = Moves(rate=0.7, seed=seed, most=3)
        outcome = run_tap(
            settings(zoho, page_size=chance.choice([10, 20, 30]), max_parallel_requests=parallel),
            streams=LISTS,
            clock=clock.fresh(),
        )
        zoho.switches.moves = None
        stayed = before & everything(account)

    rows = [(stream, *key) for stream in LISTS for key in outcome.keys(stream)]
    assert outcome.error is None
    assert len(rows) == len(set(rows))
    assert stayed <= set(rows)
    assert not any("order" in line for line in outcome.warnings)


def test_order_that_does_not_stay() -> None:
    """A server that keeps no order is said so, once, and the run comes to its end."""
    with Sandbox(make_account(3, 200)) as zoho:
        zoho.switches.order = "random"
        outcome = run_tap(settings(zoho, page_size=50), streams=LISTS)
        assert outcome.error is None
        assert len([line for line in outcome.warnings if "does not keep the order" in line]) == 1
        assert zoho.calls(RECIPIENTS) < 300
        rows = [(stream, *key) for stream in LISTS for key in outcome.keys(stream)]
        assert len(rows) == len(set(rows))


def test_index_ignored() -> None:
    """A server that ignores fromindex is an error in words, not a loop."""
    with Sandbox(make_account(1, 200)) as zoho:
        zoho.switches.ignores_fromindex = True
        outcome = run_tap(settings(zoho, page_size=50), streams=["sent_contacts"])
        assert "the same page whatever fromindex says" in str(outcome.error)
        assert "sentcontacts" in str(outcome.error)
        assert zoho.calls(RECIPIENTS) < 12
