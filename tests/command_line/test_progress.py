"""Where a run is: what it says while it runs, and whether that comes true."""

from __future__ import annotations

import json
import logging
import os
import pty
import re
import subprocess
import typing as t
from contextlib import suppress
from pathlib import Path

import pytest

from sandbox import Sandbox, make_account
from support.simulation import BEGIN, Simulation
from support.tap_runs import RECIPIENT_ACTIONS, catalog, command, run_process, run_tap, settings

if t.TYPE_CHECKING:
    from sandbox import Account
    from support.tap_runs import Outcome

LISTS = tuple(RECIPIENT_ACTIONS)
LINE = re.compile(
    r"Reading (?P<stream>\w+): (?P<done>\d+) of (?P<all>\d+) campaigns done"
    r"(, (?P<time>less than a minute|about (?P<minutes>\d+) min|about (?P<hours>\d+) h) left)?"
    r", (?P<rows>\d+) rows, (?P<calls>\d+) calls left in the window"
)


class Lines(logging.Handler):
    """Keeps the lines of progress, each with the time it was said at."""

    def __init__(self, clock: Simulation) -> None:
        super().__init__()
        self._clock = clock
        self.said: list[tuple[float, re.Match[str]]] = []

    def emit(self, record: logging.LogRecord) -> None:
        if match := LINE.fullmatch(record.getMessage()):
            self.said.append((self._clock.monotonic(), match))


def run(
    zoho: Sandbox, clock: Simulation, parallel: int, **how: t.Any
) -> tuple[Outcome, list[tuple[float, re.Match[str]]]]:
    """Run the tap under the simulated time, and return its lines of progress too."""
    lines = Lines(clock)
    logging.getLogger().addHandler(lines)
    options = {name: how.pop(name) for name in ("streams", "state") if name in how}
    config = settings(zoho, max_parallel_requests=parallel, **how)
    try:
        outcome = run_tap(config, clock=clock, **options)
    finally:
        logging.getLogger().removeHandler(lines)
    assert outcome.error is None
    return outcome, lines.said


def account(shape: str) -> Account:
    sizes = {
        "alike": [50] * 30,
        "different": [3, 400, 20, 900, 1, 77] * 5,
        "a large list": [9_000],
    }
    return make_account(len(sizes[shape]), sizes[shape], now=BEGIN)


def minutes_of(line: re.Match[str]) -> float:
    if line["hours"]:
        return 60.0 * int(line["hours"])
    return float(line["minutes"] or 0.5)


LIMIT = {"rate_limit_calls": 20, "rate_limit_period": 120, "page_size": 100}


def assert_comes_true(clock: Simulation, lines: list[tuple[float, re.Match[str]]]) -> None:
    """Check each estimate: it may be wrong by a tenth, or by a window and what is left unsaid."""
    for at, line in lines:
        assert line["time"]
        took = (clock.monotonic() - at) / 60
        assert abs(minutes_of(line) - took) <= max(0.1 * took, LIMIT["rate_limit_period"] / 60 + 1)


@pytest.mark.parametrize(
    ("shape", "parallel", "streams"),
    [
        ("alike", 8, None),
        ("different", 1, None),
        ("different", 8, LISTS),
        ("a large list", 1, LISTS),
        ("a large list", 8, None),
    ],
)
def test_estimate(shape: str, parallel: int, streams: t.Iterable[str] | None) -> None:
    """The time left that a run tells comes true, as long as nobody else uses the account."""
    clock = Simulation(parallel)
    with Sandbox(account(shape), clock=clock) as zoho:
        _, lines = run(zoho, clock, parallel, streams=streams, **LIMIT)
        assert len(lines) >= 8
        assert_comes_true(clock, lines)


def test_estimate_of_a_second_run() -> None:
    """Lists that did not change are not counted; until the reports are there, nothing is told."""
    clock = Simulation(1)
    with Sandbox(account("alike"), clock=clock) as zoho:
        state = run_tap(settings(zoho, max_parallel_requests=1), clock=clock).state
        for key in list(zoho.account.campaigns)[::2]:
            for row in zoho.account.rows(key, "unopenedcontacts")[:2]:
                zoho.account.open(key, row["email"])
        clock = clock.fresh()
        _, lines = run(zoho, clock, 1, state=state, **LIMIT)
        assert [line["time"] for _, line in lines if line["stream"] == "campaign_reports"] == [None]
        later = [each for each in lines if each[1]["stream"] != "campaign_reports"]
        assert later
        assert_comes_true(clock, later)


def test_numbers() -> None:
    """The line has the campaigns and rows that were read, and the calls that are left."""
    clock = Simulation(1)
    with Sandbox(account("alike"), clock=clock) as zoho:
        outcome, lines = run(zoho, clock, 1, streams=["sent_contacts"], **LIMIT)
        ((_, line),) = lines
        assert (line["done"], line["all"], line["rows"]) == ("20", "30", "1000")
        assert line["calls"] in {"20", "19"}  # the next one may be on its way
        assert len(outcome.records["sent_contacts"]) == 1500


def test_no_estimate_without_reports() -> None:
    """Where no report tells how long lists are, nothing is said of the time left."""
    clock = Simulation(1)
    with Sandbox(account("alike"), clock=clock) as zoho:
        zoho.switches.reports = "missing"
        _, lines = run(zoho, clock, 1, streams=LISTS, **LIMIT)
        assert len(lines) > 10
        assert not any(line["time"] for _, line in lines)


def test_discovery() -> None:
    """A run that is kept waiting while it looks for campaigns says so."""
    clock = Simulation(1)
    with Sandbox(make_account(450, 0, now=BEGIN), clock=clock) as zoho:
        zoho.switches.listing_range_cap = 100
        config = settings(zoho, rate_limit_calls=2, rate_limit_period=120)
        outcome = run_tap(config, streams=["campaigns"], clock=clock)
        line = "INFO Looking for campaigns, 3 calls so far, 1 calls left in the window"
        assert line in outcome.log


class Strolling(Simulation):
    """Time that goes on in small steps, so that what happens during a wait can be seen."""

    def _sleep_until(self, wakes: float) -> None:
        while self._now < wakes:
            self.check()
            self._changed.wait(0.02)
            self._now += 3


def test_limit_is_reached() -> None:
    """A run that waits for the rate limit says so, why, and when it goes on."""
    clock = Strolling(1)
    with Sandbox(account("alike"), clock=clock) as zoho:
        config = settings(zoho, max_parallel_requests=1, rate_limit_calls=20)
        outcome = run_tap(config, streams=["sent_contacts"], clock=clock)
    said = re.compile(
        r"INFO Reading sent_contacts: 20 of 30 campaigns done, .*1000 rows, the rate limit is "
        r"reached \(calls of earlier runs count\), going on in (\d+) s"
    )
    seconds = [int(match[1]) for line in outcome.log if (match := said.fullmatch(line))]
    assert seconds == sorted(seconds, reverse=True) != []
    assert 0 < seconds[0] <= 300


# At a terminal


def at_terminal(
    zoho: Sandbox, folder: Path, env: dict[str, str] | None = None, *, sees_rows: bool = False
) -> str:
    """Run the tap with a terminal for its log, and return all that was written to it."""
    master, slave = pty.openpty()
    config = settings(zoho, max_parallel_requests=1)
    with subprocess.Popen(
        command(config, folder, "--catalog", str(folder / "catalog.json")),
        stdout=slave if sees_rows else subprocess.DEVNULL,
        stderr=slave,
        env={**os.environ, **(env or {})},
    ) as process:
        os.close(slave)
        written = bytearray()
        with suppress(OSError):  # Linux says so at the end
            while part := os.read(master, 65_536):
                written += part
        os.close(master)
    assert process.returncode == 0
    return written.decode()


def screen(written: str) -> list[str]:
    """Return the lines that stand on the terminal in the end."""
    lines: list[str] = []
    for text in written.replace("\r\n", "\n").split("\n"):
        shown: list[str] = []
        for part in text.split("\r"):
            shown[: len(part)] = part
        lines.append("".join(shown).rstrip())
    return lines


@pytest.fixture
def slow(tmp_path: Path) -> t.Iterator[Sandbox]:
    """A sandbox that makes a run last two seconds at least."""
    (tmp_path / "catalog.json").write_text(json.dumps(catalog(LISTS[:2])))
    with Sandbox(make_account(4, 3)) as zoho:
        zoho.switches.latency_s = 0.13
        yield zoho


def test_live_line(slow: Sandbox, tmp_path: Path) -> None:
    """At a terminal a line says all the time where the run is; the log's lines stay whole."""
    written = at_terminal(slow, tmp_path)
    assert len(re.findall(r"\rReading \w+: \d of 4 campaigns done, ", written)) >= 1
    *lines, last = screen(written)
    assert last == ""
    assert "Run succeeded." in lines[-1]
    assert all(re.match(r"\d{4}-\d\d-\d\d \S+ \| [A-Z]+ +\| ", line) for line in lines)
    assert not any("campaigns done" in line for line in lines)


def test_no_live_line(slow: Sandbox, tmp_path: Path) -> None:
    """There is none in structured logs, nor with rows on the same terminal, nor in a file."""
    log_config = Path(__file__).parents[2] / "examples" / "structured-logs.json"
    for written in (
        at_terminal(slow, tmp_path, {"SINGER_SDK_LOG_CONFIG": str(log_config)}),
        at_terminal(slow, tmp_path, sees_rows=True),
        "\n".join(run_process(settings(slow, max_parallel_requests=1), tmp_path).log),
    ):
        assert "campaigns done" not in written
        assert "\r" not in written.replace("\r\n", "\n")
