"""The limiter: calls counted before they are sent, in a window and a lock that all runs share."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import resource
import signal
import sqlite3
import stat
import sys
import tempfile
import threading
import time
import traceback
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from support.redis_server import PASSWORD, run_redis
from tap_zoho_campaigns_recipients.zoho.clock import Clock, Stopped
from tap_zoho_campaigns_recipients.zoho.rate_limit.limiter import Limiter
from tap_zoho_campaigns_recipients.zoho.rate_limit.store import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.context import ForkServerProcess as SpawnedProcess
    from multiprocessing.synchronize import Barrier

ENDPOINT = "getcampaignrecipientsdata"
ACCOUNT = "campaigns.zoho.com-1f2e3d4c"
NOW = 1_700_000_000.0
TICK = 0.001
"""Times are counted in whole milliseconds."""


class SetClock(Clock):
    """A clock that a test sets; sleeping sets it forward."""

    def __init__(self, now: float = NOW) -> None:
        super().__init__()
        self.now = now

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.check()
        self.now += seconds


class RecordingClock(Clock):
    """The machine's clock; remembers per thread the last time it told: that of a grant."""

    def __init__(self) -> None:
        super().__init__()
        self._told = threading.local()

    def time(self) -> float:
        now = super().time()
        self._told.time = now
        return now

    @property
    def last_told(self) -> float:
        return float(getattr(self._told, "time", 0.0))


def limiter(clock: Clock, directory: Path | None = None, **options: Any) -> Limiter:
    defaults = {"store": "file" if directory else "memory", "account": ACCOUNT, "calls": 3}
    return Limiter(
        **{**defaults, "period_seconds": 10, **options}, clock=clock, directory=directory
    )


def the_file(directory: Path) -> Path:
    (found,) = directory.glob("*.sqlite3")
    return found


def most_in_a_window(times: list[float], period_seconds: float) -> int:
    window: deque[float] = deque()
    most = 0
    for now in sorted(times):
        window.append(now)
        while window[0] <= now - period_seconds:
            window.popleft()
        most = max(most, len(window))
    return most


# --- the window ---------------------------------------------------------------------------------


@given(
    calls=st.integers(1, 5),
    period_seconds=st.integers(1, 20),
    pauses=st.lists(st.one_of(st.just(0.0), st.floats(0, 15)), max_size=40),
)
def test_sliding_window(calls: int, period_seconds: int, pauses: list[float]) -> None:
    """A call waits exactly until fewer than `calls` were sent in the last `period_seconds`."""
    clock = SetClock()
    limit = limiter(clock, calls=calls, period_seconds=period_seconds)
    sent: list[float] = []
    for pause in pauses:
        clock.now += pause
        asked = clock.now
        waited = limit.acquire(ENDPOINT)
        assert waited == pytest.approx(clock.now - asked, abs=1e-6)
        free = sent[-calls] + period_seconds if len(sent) >= calls else 0
        assert max(free, asked) - 1e-6 <= clock.now <= max(free + 2 * TICK, asked) + 1e-6
        sent.append(clock.now)
    assert most_in_a_window(sent, period_seconds) <= calls
    limit.close()


def test_calls_left() -> None:
    """Each endpoint has a budget of its own, and it is known how much of it is left."""
    clock = SetClock()
    limit = limiter(clock)
    assert [limit.acquire(ENDPOINT) for _ in range(2)] == [0, 0]
    assert limit.calls_left(ENDPOINT) == 1
    assert limit.calls_left("campaignreports") == 3
    clock.now += 10 + TICK
    assert limit.calls_left(ENDPOINT) == 3
    limit.close()


@given(
    calls=st.integers(1, 5),
    period_seconds=st.integers(1, 20),
    pauses=st.lists(st.one_of(st.just(0.0), st.floats(0, 15)), max_size=15),
    locked_seconds=st.integers(0, 60),
    more=st.integers(1, 14),
)
def test_seconds_until(
    calls: int, period_seconds: int, pauses: list[float], locked_seconds: int, more: int
) -> None:
    """It is known beforehand how long the limit, or a lock, makes further calls take."""
    clock = SetClock()
    limit = limiter(clock, calls=calls, period_seconds=period_seconds)
    for pause in pauses:
        clock.now += pause
        limit.acquire(ENDPOINT)
    if locked_seconds > period_seconds:  # then no call before it counts after it
        limit.lock(ENDPOINT, locked_seconds)
    foretold = limit.seconds_until(ENDPOINT, more)
    began = clock.now
    for _ in range(more):
        limit.acquire(ENDPOINT)
    assert clock.now - began == pytest.approx(foretold, abs=0.02)
    limit.close()


@pytest.mark.usefixtures("empty_redis")
def test_seconds_until_in_redis(redis_url: str) -> None:
    """With Redis it is known as well."""
    limit = limiter(Clock(), store=redis_url, calls=3, period_seconds=100)
    assert limit.seconds_until(ENDPOINT, 3) == 0
    assert limit.seconds_until(ENDPOINT, 7) == 200
    for _ in range(3):
        limit.acquire(ENDPOINT)
    assert 80 < limit.seconds_until(ENDPOINT, 1) <= 100.001
    assert 280 < limit.seconds_until(ENDPOINT, 9) <= 300.001
    limit.lock(ENDPOINT, 1000)
    assert 1080 < limit.seconds_until(ENDPOINT, 4) <= 1100
    limit.close()


@pytest.mark.parametrize("store", ["memory", "redis"])
def test_settings_have_no_upper_bound(store: str, redis_url: str) -> None:
    """`rate_limit_calls` and `rate_limit_period` may be of any size."""
    options: dict[str, Any] = {
        "store": redis_url if store == "redis" else store,
        "account": "endless",
    }
    many = limiter(Clock(), calls=10**30, period_seconds=10**30, **options)
    assert [many.acquire(ENDPOINT) for _ in range(3)] == [0, 0, 0]
    assert many.calls_left(ENDPOINT) > 10**15
    assert many.seconds_until(ENDPOINT, 10**6) == 0
    clock = Clock()
    one = limiter(clock, calls=3, period_seconds=10**30, **options) if store == "redis" else many
    one.lock(ENDPOINT, 10**30)
    assert one.locked_for(ENDPOINT) > 10**8
    many.close()
    one.close()


def test_file_of_many_short_runs(tmp_path: Path) -> None:
    """The file does not grow with every run ever made, however few calls each of them makes."""
    clock = SetClock()
    for _ in range(100):
        limit = limiter(clock, tmp_path, calls=480, period_seconds=300)
        for endpoint in ["recentcampaigns", *[ENDPOINT] * 20]:
            limit.acquire(endpoint)
        limit.close()
        clock.now += 3600
    with closing(sqlite3.connect(the_file(tmp_path))) as file:
        assert file.execute("SELECT count(*) FROM calls").fetchone()[0] < 3 * 21


def test_end_of_the_run_ends_a_wait() -> None:
    """Whoever waits for a call stops as soon as the run ends; nobody sends one after that."""
    clock = Clock()
    limit = limiter(clock, calls=1, period_seconds=300)
    limit.acquire(ENDPOINT)
    with ThreadPoolExecutor(2) as pool:
        waits = [pool.submit(limit.acquire, ENDPOINT) for _ in range(2)]
        clock.stop()
        assert [type(wait.exception()) for wait in waits] == [Stopped, Stopped]
    with pytest.raises(Stopped):
        limit.acquire("recentcampaigns")
    limit.close()


def test_threads(tmp_path: Path) -> None:
    """Threads share one budget and use it up; one that waits keeps no other endpoint waiting."""
    clock = RecordingClock()
    limit = limiter(clock, tmp_path, calls=20, period_seconds=0.25)

    def acquire(_: int) -> float:
        limit.acquire(ENDPOINT)
        return clock.last_told

    with ThreadPoolExecutor(16) as pool:
        began = time.time()
        grants = [pool.submit(acquire, number) for number in range(80)]
        while limit.calls_left(ENDPOINT):
            time.sleep(0.001)
        assert limit.acquire("recentcampaigns") == 0
        times = sorted(grant.result() for grant in grants)
    assert most_in_a_window(times, 0.25) <= 20
    assert times[-1] - began < 3 * 0.25 / 0.9
    limit.close()


# --- the file that all runs of the machine share --------------------------------------------------


def test_one_run_after_another(tmp_path: Path) -> None:
    """What one run has sent counts for the next one, and for one beside it."""
    clock = SetClock()
    first = limiter(clock, tmp_path)
    for _ in range(3):
        first.acquire(ENDPOINT)
    beside = limiter(clock, tmp_path)
    assert beside.calls_left(ENDPOINT) == 0
    first.close()
    after = limiter(clock, tmp_path)
    assert after.acquire(ENDPOINT) == pytest.approx(10 + TICK)
    other = limiter(clock, tmp_path, account="campaigns.zoho.eu-1f2e3d4c")
    assert other.calls_left(ENDPOINT) == 3
    for each in (beside, after, other):
        each.close()


def test_other_settings(tmp_path: Path) -> None:
    """Runs with other limits count the same calls: a short period throws no call away early."""
    clock = SetClock()
    long = limiter(clock, tmp_path, calls=2, period_seconds=300)
    long.acquire(ENDPOINT)
    long.acquire(ENDPOINT)
    clock.now += 200
    short = limiter(clock, tmp_path, calls=2, period_seconds=1)
    assert short.acquire(ENDPOINT) == 0
    assert long.acquire(ENDPOINT) == pytest.approx(100 + TICK)
    long.close()
    short.close()


def test_file_is_private(tmp_path: Path) -> None:
    """Directory and file are the user's own, and small however long the runs go on."""
    clock = SetClock()
    directory = tmp_path / "cache" / "tap"
    limit = limiter(clock, directory, period_seconds=1)
    for _ in range(2000):
        limit.acquire(ENDPOINT)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}
    assert modes == {0o600}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert ACCOUNT in the_file(directory).name
    assert the_file(directory).stat().st_size < 200_000
    limit.close()


def test_users_cache_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is in the user's cache directory."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    limiter(SetClock(), None, store="file").close()
    assert len(list(tmp_path.rglob("tap-zoho-campaigns-recipients/*.sqlite3"))) == 1


PROCESSES = multiprocessing.get_context("forkserver")


def in_processes(count: int, work: Callable[..., None], *arguments: object) -> list[SpawnedProcess]:
    """Start processes that do the same work; each gets a barrier that all of them can wait at."""
    barrier = PROCESSES.Barrier(count + 1)
    started = [PROCESSES.Process(target=work, args=(barrier, *arguments)) for _ in range(count)]
    for process in started:
        process.start()
    barrier.wait(20)
    return started


def acquire_for(barrier: Barrier, seconds: float, options: dict[str, Any], results: Path) -> None:
    clock = RecordingClock()
    limit = Limiter(**options, account=ACCOUNT, clock=clock)
    times: list[float] = []
    barrier.wait(20)
    end = time.time() + seconds

    def work() -> None:
        while True:
            limit.acquire(ENDPOINT)
            if time.time() > end:
                return
            times.append(clock.last_told)

    with ThreadPoolExecutor(4) as pool:
        for worker in [pool.submit(work) for _ in range(4)]:
            worker.result()
    limit.close()
    (results / f"{os.getpid()}.json").write_text(json.dumps(times))


def results_of(processes: list[SpawnedProcess], results: Path) -> list[float]:
    for process in processes:
        process.join(20)
        assert process.exitcode == 0
    return sorted(time for file in results.glob("*.json") for time in json.loads(file.read_text()))


@pytest.mark.parametrize("garbage", [b"", b"no database " * 500], ids=["fresh", "corrupt"])
def test_processes(tmp_path: Path, garbage: bytes) -> None:
    """Processes never send more than `calls` together, and at least nine tenths of it."""
    store, results = tmp_path / "store", tmp_path / "results"
    results.mkdir()
    limiter(Clock(), store).close()
    the_file(store).write_bytes(garbage)
    options = {"store": "file", "directory": store, "calls": 24, "period_seconds": 0.5}
    times = results_of(in_processes(4, acquire_for, 1.5, options, results), results)
    assert most_in_a_window(times, 0.5) <= 24
    assert len(times) >= 0.9 * 3 * 24


def test_killed_run(tmp_path: Path) -> None:
    """A run that is killed in the middle of counting leaves a count that others go on with."""
    results = tmp_path / "results"
    results.mkdir()
    for delay_seconds in (0.02, 0.03, 0.05, 0.08):
        options = {"store": "file", "directory": tmp_path, "calls": 10**6, "period_seconds": 300}
        running = in_processes(2, acquire_for, 60, options, results)
        time.sleep(delay_seconds)
        for process in running:
            assert process.pid
            os.kill(process.pid, signal.SIGKILL)
        for process in running:
            process.join()
    clock = SetClock(time.time())
    limit = limiter(clock, tmp_path, calls=10**6, period_seconds=300)
    sent = 10**6 - limit.calls_left(ENDPOINT)
    assert sent > 0
    assert limit.acquire(ENDPOINT) == 0
    assert limit.calls_left(ENDPOINT) == 10**6 - sent - 1
    limit.close()


# --- a file that is of no use ---------------------------------------------------------------------


def fill_with(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def other_tables(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE calls (another TEXT)")
        connection.execute("CREATE TABLE locks (another TEXT)")
    connection.close()


@pytest.mark.parametrize("when", ["before", "during"])
@pytest.mark.parametrize("damage", [fill_with(b"x" * 9000), cut, other_tables])
def test_damaged_file(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[Path], object],
    when: str,
) -> None:
    """A file that cannot be read is made anew, with a warning, and shared again."""
    clock = SetClock()
    limit = limiter(clock, tmp_path)
    limit.acquire(ENDPOINT)
    if when == "before":
        limit.close()
    damage(the_file(tmp_path))
    if when == "before":
        limit = limiter(clock, tmp_path)
    assert limit.acquire(ENDPOINT) == 0
    beside = limiter(clock, tmp_path)
    assert beside.acquire(ENDPOINT) == 0
    assert limit.calls_left(ENDPOINT) == beside.calls_left(ENDPOINT) == 1
    (warning,) = [record.getMessage() for record in caplog.records]
    assert "cannot be read" in warning
    assert "is made anew" in warning
    limit.close()
    beside.close()


def test_removed_file(tmp_path: Path) -> None:
    """A run whose file was removed goes on with the one that other runs see."""
    clock = SetClock()
    limit = limiter(clock, tmp_path)
    the_file(tmp_path).unlink()
    beside = limiter(clock, tmp_path)
    beside.acquire(ENDPOINT)
    limit.acquire(ENDPOINT)
    assert limit.calls_left(ENDPOINT) == beside.calls_left(ENDPOINT) == 1
    limit.close()
    beside.close()


def assert_counts_in_memory(limit: Limiter, caplog: pytest.LogCaptureFixture) -> None:
    assert [limit.acquire(ENDPOINT) for _ in range(3)] == [0, 0, 0]
    assert limit.acquire(ENDPOINT) == pytest.approx(10 + TICK)
    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "this run counts in memory" in warning.getMessage()
    assert "\n" not in warning.getMessage()
    limit.close()


@pytest.mark.parametrize("name", ["file/below-it", "/proc/nothing-can-be-made-here", "relative"])
def test_directory_that_cannot_be_made(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """Where no directory can be made, or there is no home, one warning and calls in memory."""
    (tmp_path / "file").write_text("")
    directory = Path(name) if name == "relative" else tmp_path / name
    assert_counts_in_memory(limiter(SetClock(), directory), caplog)
    assert not Path("relative").exists()


def unprivileged(barrier: Barrier, directory: Path, log: Path) -> None:
    barrier.wait(20)
    logging.basicConfig(filename=log, force=True)
    if os.getuid() == 0:  # who may write anywhere
        os.seteuid(65534)
    limit = limiter(SetClock(), directory)
    assert [limit.acquire(ENDPOINT) for _ in range(3)] == [0, 0, 0]
    assert limit.acquire(ENDPOINT) == pytest.approx(10 + TICK)
    limit.close()


def test_read_only_directory(tmp_path: Path) -> None:
    """In a directory that the user may not write, one warning and calls in memory."""
    # Not below tmp_path, which another user may not enter.
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o555)
        (process,) = in_processes(1, unprivileged, directory, tmp_path / "log")
        process.join()
        directory.chmod(0o755)
        assert list(directory.iterdir()) == []
    assert process.exitcode == 0
    assert (tmp_path / "log").read_text().count("this run counts in memory") == 1


def with_a_full_disk(barrier: Barrier, directory: Path, log: Path) -> None:
    barrier.wait(20)
    logging.basicConfig(filename=log, force=True)
    clock = SetClock()
    limit = limiter(clock, directory, calls=10_000)
    limit.lock("campaignreports", 1800)
    for _ in range(100):
        limit.acquire(ENDPOINT)
    # No file may grow from here on: what a full disk is to a program.
    size = the_file(directory).stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    for _ in range(5000):
        assert limit.acquire(ENDPOINT) == 0
    assert limit.calls_left(ENDPOINT) == 10_000 - 5_100
    assert limit.locked_for("campaignreports") == 1800
    limit.close()


def test_full_disk(tmp_path: Path) -> None:
    """When the disk gets full, the run goes on in memory with all that was counted."""
    (process,) = in_processes(1, with_a_full_disk, tmp_path, tmp_path / "log")
    process.join()
    assert process.exitcode == 0
    assert (tmp_path / "log").read_text().count("this run counts in memory") == 1


# --- the lock -------------------------------------------------------------------------------------


def test_lock(tmp_path: Path) -> None:
    """A locked endpoint waits in every run of the account, others do not, and then it goes on."""
    clock = SetClock()
    one, two = limiter(clock, tmp_path), limiter(clock, tmp_path)
    one.lock(ENDPOINT, 1800)
    assert (one.locked_for(ENDPOINT), two.locked_for(ENDPOINT)) == (1800, 1800)
    assert two.acquire("recentcampaigns") == 0
    assert two.acquire(ENDPOINT) == pytest.approx(1800)
    assert one.acquire(ENDPOINT) == 0
    assert one.locked_for(ENDPOINT) == 0
    one.close()
    two.close()


def test_long_wait() -> None:
    """Whoever waits looks again every minute: the machine's clock may have been set."""
    clock = SetClock()
    limit = limiter(clock)
    limit.lock(ENDPOINT, 1800)
    ends = clock.now + 1800

    def set_forward(seconds: float) -> None:
        assert seconds <= 60
        clock.now += seconds + 3600

    clock.sleep = set_forward  # type: ignore[method-assign]
    assert limit.acquire(ENDPOINT) == 60
    assert clock.now > ends
    limit.close()


@given(locks=st.lists(st.tuples(st.integers(0, 50), st.integers(-1, 100)), min_size=1))
def test_lock_is_never_shortened(locks: list[tuple[int, int]]) -> None:
    """Of several locks the one that ends last holds; zero seconds are none."""
    clock = SetClock()
    limit = limiter(clock)
    until = clock.now
    for pause, seconds in locks:
        clock.now += pause
        limit.lock(ENDPOINT, seconds)
        until = max(until, clock.now + seconds)
        assert limit.locked_for(ENDPOINT) == pytest.approx(max(until - clock.now, 0), abs=TICK)
    limit.close()


def lock_in_process(barrier: Barrier, directory: Path) -> None:
    barrier.wait(20)
    limit = limiter(Clock(), directory)
    limit.lock(ENDPOINT, 0.2)
    limit.close()


def test_lock_by_another_process(tmp_path: Path) -> None:
    """A lock that one process meets is waited out by another, which does not call before."""
    (process,) = in_processes(1, lock_in_process, tmp_path)
    process.join()
    clock = RecordingClock()
    limit = limiter(clock, tmp_path)
    left = limit.locked_for(ENDPOINT)
    asked = clock.last_told
    assert 0 < left <= 0.2
    limit.acquire(ENDPOINT)
    assert asked + left <= clock.last_told + TICK < asked + left + 0.2
    limit.close()


# --- clocks ---------------------------------------------------------------------------------------


def test_clock_set_back(tmp_path: Path) -> None:
    """A clock that is set back makes nobody wait longer than a period, or than the lock was."""
    clock = SetClock()
    limit = limiter(clock, tmp_path)
    for _ in range(3):
        limit.acquire(ENDPOINT)
    limit.lock("campaignreports", 1800)
    clock.now -= 86_400
    assert limit.locked_for("campaignreports") == 1800
    assert limit.calls_left(ENDPOINT) == 0
    assert limit.acquire(ENDPOINT) == pytest.approx(10 + TICK)
    assert limit.acquire("campaignreports") == pytest.approx(1790, abs=2 * TICK)
    limit.close()


@given(
    moves=st.lists(
        st.one_of(st.floats(0, 5), st.floats(-100, 0)),
        max_size=40,
    )
)
def test_clock_that_jumps_back(moves: list[float]) -> None:
    """However often the clock is set back, there are never more calls in a period of real time."""
    clock = SetClock()
    limit = limiter(clock)
    real = 0.0
    sent: list[float] = []
    for move in moves:
        clock.now += move
        real += max(move, 0)
        real += limit.acquire(ENDPOINT)
        sent.append(real)
    assert most_in_a_window(sent, 10 - TICK) <= 3
    limit.close()


# --- Redis ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server, url = run_redis(tmp_path_factory.mktemp("redis"))
    with server:
        yield url
        server.terminate()


@pytest.fixture
def empty_redis(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
        yield client


def test_redis_workers(tmp_path: Path, redis_url: str, empty_redis: redis.Redis) -> None:
    """WorkerThreads with the same Redis share one budget and use at least nine tenths of it."""
    options = {"store": redis_url, "calls": 24, "period_seconds": 0.5}
    used = results_of(in_processes(2, acquire_for, 1.5, options, tmp_path), tmp_path)
    (key,) = empty_redis.keys("*:calls")
    granted: Any = empty_redis.zrange(key, 0, -1, withscores=True)
    assert most_in_a_window([score / 1000 for _, score in granted], 0.5) <= 24
    assert len(used) >= 0.9 * 3 * 24


@pytest.mark.usefixtures("empty_redis")
def test_redis_and_clocks_of_machines(redis_url: str) -> None:
    """Machines whose clocks differ share one budget all the same: Redis's clock counts."""
    late, early = (
        limiter(SetClock(NOW + hours * 3600), store=redis_url, period_seconds=300)
        for hours in (1, -1)
    )
    assert [late.acquire(ENDPOINT), early.acquire(ENDPOINT), late.acquire(ENDPOINT)] == [0, 0, 0]
    assert (late.calls_left(ENDPOINT), early.calls_left(ENDPOINT)) == (0, 0)
    assert early.calls_left("campaignreports") == 3
    late.close()
    early.close()


@pytest.mark.usefixtures("empty_redis")
def test_redis_lock(redis_url: str) -> None:
    """A lock that one worker meets is waited out by all of them, and never shortened."""
    one, two = (limiter(Clock(), store=redis_url) for _ in range(2))
    one.lock(ENDPOINT, 0.2)
    two.lock(ENDPOINT, 0.1)
    assert 0.1 < two.locked_for(ENDPOINT) <= 0.2
    assert two.locked_for("campaignreports") == 0
    began = time.monotonic()
    assert two.acquire(ENDPOINT) > 0
    assert 0.1 < time.monotonic() - began < 0.4
    assert one.acquire(ENDPOINT) == 0
    one.close()
    two.close()


def test_redis_forgets(redis_url: str, empty_redis: redis.Redis) -> None:
    """Every key has an end, and a Redis that forgot the scripts is no trouble."""
    limit = limiter(Clock(), store=redis_url)
    limit.acquire(ENDPOINT)
    limit.lock(ENDPOINT, 5)
    keys: Any = empty_redis.keys("*")
    assert len(keys) == 2
    assert all(empty_redis.ttl(key) > 0 for key in keys)
    empty_redis.script_flush()
    assert limit.calls_left(ENDPOINT) == 2
    limit.close()


def assert_in_plain_words(error: StoreUnavailable, *words: str) -> None:
    text = "".join(traceback.format_exception(error))
    assert PASSWORD not in text
    assert "\n" not in str(error)
    assert all(word in str(error) for word in ("rate_limit_store", *words))


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{PASSWORD}@127.0.0.1:1/0",
        f"redis://:{PASSWORD}@127.0.0.1:{PASSWORD}/0",
        f"redis://:{PASSWORD}@[{PASSWORD}/0",
        f"redis://user:{PASSWORD}#{PASSWORD}@127.0.0.1/0",
        f"redis://user:{PASSWORD}@{'x' * 70}.invalid/{PASSWORD}",
        f"rediss://:{PASSWORD}@127.0.0.1:1/0?unknown_option={PASSWORD}",
        f"redis://:{PASSWORD}@127.0.0.1:1/0?retry={PASSWORD}",
        f"redis://:{PASSWORD}@127.0.0.1:1/0?encoding={PASSWORD}",
    ],
)
def test_redis_out_of_reach(url: str) -> None:
    """A Redis that cannot be used is an error in one line, without the URL's password."""
    with pytest.raises(StoreUnavailable) as caught:
        limiter(Clock(), store=url)
    assert_in_plain_words(caught.value, "check that it runs")


def test_redis_wrong_password(redis_url: str) -> None:
    """A wrong password is such an error, and so is a TLS URL of a server without TLS."""
    with_tls = redis_url.replace("redis", "rediss", 1) + "?socket_timeout=0.1"
    for url in (redis_url.replace(PASSWORD, "another"), with_tls):
        with pytest.raises(StoreUnavailable) as caught:
            limiter(Clock(), store=url)
        assert_in_plain_words(caught.value)


def test_redis_goes_away(tmp_path: Path) -> None:
    """A Redis that goes away ends the run with such an error, but not its close."""
    server, url = run_redis(tmp_path)
    with server:
        limit = limiter(Clock(), store=url)
        limit.acquire(ENDPOINT)
        server.terminate()
    with pytest.raises(StoreUnavailable) as caught:
        limit.acquire(ENDPOINT)
    assert_in_plain_words(caught.value)
    limit.close()


def test_redis_package_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package for Redis the error says what to install; other stores need none."""
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(StoreUnavailable) as caught:
        limiter(Clock(), store=f"redis://:{PASSWORD}@127.0.0.1/0")
    assert_in_plain_words(caught.value, "tap-zoho-campaigns-recipients[redis]")
    limiter(Clock()).close()


def test_unknown_store() -> None:
    """A store of another kind is refused without repeating it."""
    with pytest.raises(StoreUnavailable) as caught:
        limiter(Clock(), store=f"postgres://:{PASSWORD}@127.0.0.1/0")
    assert_in_plain_words(caught.value, "file, memory")
