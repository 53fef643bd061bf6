"""Whole runs under the limit: never locked, and hardly a call less than allowed.

The sandbox locks at 32 calls in 3 seconds, as Zoho does at 500 in 300; the runs allow themselves
24. Up to eight requests are in flight, and each of them may arrive late.
"""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import threading
import typing as t
from collections import Counter
from contextlib import closing

import pytest

from sandbox import Limit, Sandbox, make_account
from support.redis_server import run_redis
from support.simulation import BEGIN, Simulation
from support.tap_runs import RECIPIENT_ACTIONS, RECIPIENTS, FakeClock, command, run_tap, settings
from tap_zoho_campaigns_recipients.settings import Settings
from tap_zoho_campaigns_recipients.tap import TapZohoCampaignsRecipients
from tap_zoho_campaigns_recipients.zoho.rate_limit.limiter import Limiter

if t.TYPE_CHECKING:
    from pathlib import Path

    from sandbox import Account, Logged
    from support.tap_runs import Outcome

CALLS, PERIOD_S = 24, 3
SANDBOX_LIMIT = Limit(32, PERIOD_S, 60)
LISTS = tuple(RECIPIENT_ACTIONS)
PAGE_ROWS = 40


def limited(zoho: Sandbox, parallel: int, **changes: t.Any) -> dict[str, t.Any]:
    """Return a configuration with the limit of these tests; a lock would fail the run."""
    return settings(
        zoho,
        **{
            "max_parallel_requests": parallel,
            "rate_limit_calls": CALLS,
            "rate_limit_period": PERIOD_S,
            "rate_limit_lock_wait": 0,
            **changes,
        },
    )


def assert_never_locked(zoho: Sandbox) -> None:
    assert not [each for each in zoho.requests if each.code == "locked"]


def rows(outcome: Outcome) -> Counter[str]:
    return Counter({name: len(outcome.records[name]) for name in LISTS})


def accounts(shape: str, seed: int) -> Account:
    chance = random.Random(seed)
    if shape == "a large list":
        return make_account(1, PAGE_ROWS * chance.randrange(75, 100), now=BEGIN)
    sizes = [chance.randrange(PAGE_ROWS) for _ in range(chance.randrange(14, 20))]
    return make_account(len(sizes), sizes, now=BEGIN)


def grants(folder: Path) -> list[float]:
    """Return when the limiter let each call of a list go."""
    (file,) = folder.rglob("*.sqlite3")
    with closing(sqlite3.connect(file)) as connection:
        query = "SELECT at FROM calls WHERE endpoint = ? ORDER BY number"
        return [at / 1000 for (at,) in connection.execute(query, [RECIPIENTS])]


# A run by itself


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("parallel", [1, 8])
@pytest.mark.parametrize("shape", ["many small lists", "a large list"])
def test_limit_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: str, parallel: int, seed: int
) -> None:
    """While there is work, no more than a tenth of the calls that the limit allows are left out."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    clock = Simulation(parallel)
    with Sandbox(accounts(shape, seed), clock=clock) as zoho:
        zoho.switches.limit = SANDBOX_LIMIT
        streams = ["sent_contacts"] if shape == "a large list" else LISTS
        config = limited(zoho, parallel, page_size=PAGE_ROWS, rate_limit_store="file")
        outcome = run_tap(config, streams=streams, clock=clock)
        assert outcome.error is None
        assert_never_locked(zoho)
        times = grants(tmp_path)
        assert len(times) == zoho.calls(RECIPIENTS) >= 3 * CALLS
        for first, later in zip(times, times[CALLS:], strict=False):
            assert PERIOD_S < later - first <= PERIOD_S / 0.9


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("shape", ["many small lists", "a large list"])
def test_calls_that_arrive_late(shape: str, seed: int) -> None:
    """However late each call arrives, the margin between the two limits covers what is in flight.

    So a full run with eight in flight is not locked.
    """
    chance = random.Random(seed)
    clock = Simulation(8)
    with Sandbox(accounts(shape, seed), clock=clock) as zoho:
        zoho.switches.limit = SANDBOX_LIMIT

        def arrive_late(request: Logged) -> None:
            clock.time()
            if request.endpoint == RECIPIENTS and chance.random() < 0.5:
                clock.sleep(chance.uniform(0, 2 * PERIOD_S))

        zoho.before_request = arrive_late
        outcome = run_tap(limited(zoho, 8, page_size=PAGE_ROWS), streams=LISTS, clock=clock)
        assert outcome.error is None
        assert_never_locked(zoho)
        account = zoho.account
        assert rows(outcome) == {
            stream: sum(len(account.rows(key, action)) for key in account.campaigns)
            for stream, action in RECIPIENT_ACTIONS.items()
        }


# Several processes


def start(zoho: Sandbox, folder: Path, name: str, **changes: t.Any) -> subprocess.Popen[str]:
    """Start a process of the tap with a user agent of its own."""
    (folder / name).mkdir()
    cache = str(folder / "cache")
    return subprocess.Popen(
        command(limited(zoho, 4, user_agent=name, **changes), folder / name),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "XDG_CACHE_HOME": cache, "HOME": cache},
    )


def finish(process: subprocess.Popen[str]) -> None:
    _, log = process.communicate(timeout=120)
    assert process.returncode == 0, log


def assert_side_by_side(zoho: Sandbox, folder: Path, **changes: t.Any) -> None:
    """Run two processes at once, and check that they share one budget."""
    zoho.switches.limit = SANDBOX_LIMIT
    both_are_there = threading.Barrier(2)
    waited: set[str] = set()

    def wait_for_each_other(request: Logged) -> None:
        name = request.headers["user-agent"]
        if request.endpoint == RECIPIENTS and name not in waited:
            waited.add(name)
            both_are_there.wait(60)

    zoho.before_request = wait_for_each_other
    processes = [start(zoho, folder, name, **changes) for name in ("one", "two")]
    for process in processes:
        finish(process)
    assert_never_locked(zoho)
    lists = len(zoho.account.campaigns) * len(LISTS)
    calls = Counter(
        each.headers["user-agent"] for each in zoho.requests if each.endpoint == RECIPIENTS
    )
    assert calls == {"one": lists, "two": lists}


@pytest.mark.parametrize("repetition", range(2))
def test_two_processes_at_once(tmp_path: Path, repetition: int) -> None:
    """Two processes at once, with four requests in flight each, are not locked."""
    with Sandbox(make_account(4, 10 + repetition)) as zoho:
        assert_side_by_side(zoho, tmp_path, rate_limit_store="file")


def test_two_workers_with_redis(tmp_path: Path) -> None:
    """Two workers that name the same Redis share one budget."""
    server, url = run_redis(tmp_path)
    with server, Sandbox(make_account(4, 10)) as zoho:
        try:
            assert_side_by_side(zoho, tmp_path, rate_limit_store=url)
        finally:
            server.terminate()


def test_run_right_after_another(tmp_path: Path) -> None:
    """A run right after another one counts the calls of that one."""
    with Sandbox(make_account(3, 10)) as zoho:
        zoho.switches.limit = SANDBOX_LIMIT
        for name in ("one", "two"):
            finish(start(zoho, tmp_path, name, rate_limit_store="file"))
        assert_never_locked(zoho)
        assert zoho.calls(RECIPIENTS) == 2 * 3 * len(LISTS)


# Settings that leave too little


def configured(**changes: t.Any) -> Settings:
    """Return the settings of a run against Zoho itself."""
    tap = TapZohoCampaignsRecipients(config={"access_token": "1000.token", **changes})
    return Settings.from_config(tap.config, "test")


@pytest.mark.parametrize(
    ("calls", "period_s", "parallel", "fitting"),
    [
        (480, 300, 4, None),
        (480, 300, 16, None),
        (496, 300, 4, None),
        (497, 300, 4, 496),
        (485, 300, 16, 484),
        (10**9, 300, 1, 499),
        (496, 86_400, 4, None),
        (480, 299, 4, 248),
        (480, 100, 4, 165),
        (165, 100, 4, None),
        (1, 1, 16, None),
        (2, 1, 16, 1),
    ],
)
def test_margin(calls: int, period_s: int, parallel: int, fitting: int | None) -> None:
    """Settings that leave less between the limits than may be in flight are warned about."""
    limits = {"rate_limit_period": period_s, "max_parallel_requests": parallel}
    warning = configured(rate_limit_calls=calls, **limits).limit_warning
    if fitting is None:
        assert warning is None
        return
    assert warning is not None
    assert warning.endswith(f": set rate_limit_calls to {fitting} or less")
    assert "\n" not in warning
    assert configured(rate_limit_calls=fitting, **limits).limit_warning is None
    assert configured(rate_limit_calls=fitting + 1, **limits).limit_warning


def test_margin_is_zohos() -> None:
    """On a loopback address there is no warning: what answers there has a limit of its own."""
    lifted = {"rate_limit_calls": 10**6, "api_url": "http://127.0.0.1:8080"}
    assert configured(**lifted).limit_warning is None
    assert configured(**{**lifted, "api_url": "https://proxy.example"}).limit_warning


@pytest.mark.parametrize("period_s", [7, 100, 150, 299, 300, 301])
def test_most_calls_in_zohos_window(period_s: int) -> None:
    """The warning's number is what the limiter can really let go within 300 seconds."""
    clock = FakeClock()
    limit = Limiter(store="memory", account="test", calls=3, period_seconds=period_s, clock=clock)
    times: list[float] = []
    while not times or times[-1] - times[0] < 1500:
        limit.acquire(RECIPIENTS)
        times.append(clock.now)
    limit.close()
    most = max(sum(first <= each < first + 300 for each in times) for first in times)
    warning = configured(
        rate_limit_calls=3000, rate_limit_period=period_s, max_parallel_requests=1
    ).limit_warning
    assert warning is not None
    assert f" up to {most * 1000 + 1} calls " in warning


def test_margin_is_warned_about_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """The warning comes once, before the first request."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")  # Zoho itself is not to be reached
    config = {"access_token": "1000.token", "rate_limit_calls": 500, "rate_limit_store": "memory"}
    outcome = run_tap({**config, "retry_wait": 0})
    (number,) = [number for number, line in enumerate(outcome.log) if "rate_limit_calls" in line]
    assert outcome.log[number].startswith("WARNING ")
    assert not [line for line in outcome.log[:number] if "again" in line]
    assert [line for line in outcome.log[number:] if "again" in line]
