"""How a run ends that is told to, or whose reader goes: as real processes, over real pipes."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
import typing as t
from pathlib import Path

import pytest

from sandbox import Sandbox, make_account
from support.tap_runs import RECIPIENTS, command, run_tap, settings

if t.TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 5.0
"""What "within seconds" means here; the writer's patience comes on top where a reader is stuck."""


PACKAGE = "tap_zoho_campaigns_recipients"
PIPE_BYTES = 256 * 1024
"""The schemas alone would fill a pipe of 64 kB that nobody reads."""
FULL_BYTES = 10_000
"""A pipe is full with 65 536 bytes, on Linux, or with sixteen groups that are smaller."""


@pytest.fixture
def zoho() -> Iterator[Sandbox]:
    """An account whose sent contacts fill a pipe many times over."""
    with Sandbox(make_account(7, recipients=[300, 10, 10, 10, 300, 300, 300])) as it:
        yield it


@pytest.fixture
def small() -> Iterator[Sandbox]:
    """An account whose every row fits into a pipe."""
    with Sandbox(make_account(8, recipients=5)) as it:
        yield it


@contextlib.contextmanager
def tap(config: dict[str, t.Any], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start the tap; what it logs goes to a file, so that nothing but its output can fill up."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command(config, folder), stdout=subprocess.PIPE, stderr=log, pipesize=PIPE_BYTES
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def log_of(folder: Path) -> list[str]:
    text = (folder / "log").read_text()
    assert "Traceback" not in text
    return text.splitlines()


def read_until(process: subprocess.Popen[bytes], words: bytes) -> bytes:
    """Read the output until it holds these words."""
    assert process.stdout is not None
    output = b""
    while words not in output:
        piece = os.read(process.stdout.fileno(), 65_536)
        assert piece, "the output ended"
        output += piece
    return output


def rest(process: subprocess.Popen[bytes]) -> bytes:
    """Read the output to its end."""
    assert process.stdout is not None
    output = b""
    while piece := os.read(process.stdout.fileno(), 65_536):
        output += piece
    return output


def messages(output: bytes) -> list[dict[str, t.Any]]:
    """Return what was written, once it is sure to be whole lines with a STATE at the end."""
    assert output.endswith(b"\n")
    written = [json.loads(line) for line in output.splitlines()]
    assert written[-1]["type"] == "STATE"
    return written


def sent(written: list[dict[str, t.Any]]) -> set[tuple[str, str]]:
    return {
        (each["record"]["campaign_key"], each["record"]["contact_email"])
        for each in written
        if each["type"] == "RECORD" and each["stream"] == "sent_contacts"
    }


def everyone(zoho: Sandbox) -> set[tuple[str, str]]:
    return {
        (key, row["email"].lower())
        for key in zoho.account.campaigns
        for row in zoho.account.rows(key, "sentcontacts")
    }


def check_resumes(zoho: Sandbox, written: list[dict[str, t.Any]]) -> None:
    """Check that a run with the last STATE brings what is still missing."""
    again = run_tap(settings(zoho), state=written[-1]["value"])
    assert again.error is None
    assert sent(written) | sent(again.messages) == everyone(zoho)


SIGNALS = [signal.SIGTERM, signal.SIGINT]


@pytest.mark.parametrize("which", SIGNALS)
def test_signal_while_reading(zoho: Sandbox, tmp_path: Path, which: signal.Signals) -> None:
    """SIGTERM and SIGINT end a run within seconds, with whole lines and the state as the last."""
    zoho.switches.latency_s = 0.02
    with tap(settings(zoho), tmp_path) as process:
        output = read_until(process, b'{"type":"RECORD","stream":"sent_contacts"')
        begin = time.monotonic()
        process.send_signal(which)
        output += rest(process)
        assert process.wait(SECONDS) == 128 + which
        assert time.monotonic() - begin < SECONDS
    written = messages(output)
    assert sent(written) < everyone(zoho)
    *_, summary, last = log_of(tmp_path)
    assert "Run failed. " in summary
    assert last.endswith(f"Ended by {which.name}")
    check_resumes(zoho, written)


@pytest.mark.parametrize("waits_for", ["a lock", "a response", "a token", "a retry"])
@pytest.mark.parametrize("which", SIGNALS)
def test_signal_while_waiting(
    small: Sandbox, tmp_path: Path, which: signal.Signals, waits_for: str
) -> None:
    """So they do while the run waits, for whatever it is."""
    config = settings(small, retry_wait=600)
    if waits_for == "a lock":
        small.faults.add("lock", endpoint=RECIPIENTS, after=5, seconds=1800)
    elif waits_for == "a response":
        small.faults.add("slow", endpoint=RECIPIENTS, after=5, seconds=4, times=99)
    elif waits_for == "a token":
        small.faults.add("slow", endpoint="token", seconds=4)
    else:
        small.faults.add("500", endpoint=RECIPIENTS, after=5, times=99)
    with tap(config, tmp_path) as process:
        until(lambda: bool(small.faults.injected))
        time.sleep(0.2)
        begin = time.monotonic()
        process.send_signal(which)
        output = rest(process)
        assert process.wait(SECONDS) == 128 + which
        assert time.monotonic() - begin < 2
    written = messages(output)
    assert log_of(tmp_path)[-1].endswith(f"Ended by {which.name}")
    small.faults.clear()
    small.unlock()
    if which is signal.SIGTERM:
        check_resumes(small, written)


def until(condition: t.Callable[[], bool]) -> None:
    """Wait for something that happens in another thread or process."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def fill(process: subprocess.Popen[bytes]) -> None:
    """Wait until the tap has filled its pipe, and is stuck with it.

    How many bytes fill it depends on their groups: each takes a page of the pipe or more.
    """
    assert process.stdout is not None
    end = time.monotonic() + 60
    sizes = [0]
    while sizes[-1] < FULL_BYTES or len(set(sizes[-4:])) > 1:
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.25)
        sizes.append(buffered(process.stdout.fileno()))


def buffered(descriptor: int) -> int:
    """Return how many bytes wait in a pipe."""
    import array  # noqa: PLC0415
    import fcntl  # noqa: PLC0415
    import termios  # noqa: PLC0415

    count = array.array("i", [0])
    fcntl.ioctl(descriptor, termios.FIONREAD, count)
    return count[0]


def test_signal_while_rows_wait_for_their_batch(zoho: Sandbox, tmp_path: Path) -> None:
    """Ended in the middle of a batch, a run writes no STATE for rows that it has not handed on."""
    batches = tmp_path / "batches"
    batches.mkdir()
    encoding = {"format": "jsonl", "compression": "gzip"}
    storage = {"root": batches.as_uri()}
    config = settings(zoho, batch_config={"encoding": encoding, "storage": storage})
    with tap(config, tmp_path) as process:
        third_request = iter([False, False, True])
        zoho.before_request = lambda logged: (
            process.send_signal(signal.SIGTERM)
            if logged.action == "sentcontacts" and next(third_request, False)
            else None
        )
        output = rest(process)
        assert process.wait(SECONDS) == 128 + signal.SIGTERM
    log_of(tmp_path)
    written = [json.loads(line) for line in output.splitlines()]
    last_batch = max(place for place, each in enumerate(written) if each["type"] == "BATCH")
    assert [each["type"] for each in written[last_batch + 1 :] if each["type"] != "SCHEMA"] in (
        [],
        ["STATE"],
    )
    states = [each["value"] for each in written if each["type"] == "STATE"]
    assert "sent_contacts" not in states[-1]["bookmarks"]


def test_stalled_reader(zoho: Sandbox, tmp_path: Path) -> None:
    """A reader that stalls for a while loses nothing."""
    with tap(settings(zoho), tmp_path) as process:
        fill(process)
        output = rest(process)
        assert process.wait(SECONDS) == 0
    assert sent(messages(output)) == everyone(zoho)


@pytest.mark.parametrize("which", SIGNALS)
def test_signal_while_the_reader_stalls(
    zoho: Sandbox, tmp_path: Path, which: signal.Signals
) -> None:
    """Where a reader stalls and then goes on, it gets whole lines and the state as the last."""
    with tap(settings(zoho), tmp_path) as process:
        fill(process)
        process.send_signal(which)
        time.sleep(1.5)
        assert process.poll() is None
        output = rest(process)
        assert process.wait(SECONDS) == 128 + which
    written = messages(output)
    check_resumes(zoho, written)
    assert log_of(tmp_path)[-1].endswith(f"Ended by {which.name}")


def test_signal_while_a_reader_of_long_lines_stalls(tmp_path: Path) -> None:
    """The same holds for lines that are longer than what a pipe takes at once."""
    with Sandbox(make_account(2, recipients=50)) as zoho:
        for contact in zoho.account.contacts:
            contact.custom = {"biography": "x" * 20_000}
        with tap(settings(zoho), tmp_path) as process:
            fill(process)
            process.send_signal(signal.SIGTERM)
            time.sleep(1)
            output = rest(process)
            assert process.wait(SECONDS) == 128 + signal.SIGTERM
        written = messages(output)
        assert any(each["type"] == "RECORD" for each in written)


def test_reader_that_never_reads_again(zoho: Sandbox, tmp_path: Path) -> None:
    """Where it never reads again, the run ends all the same, in the middle of no line."""
    with tap(settings(zoho), tmp_path) as process:
        fill(process)
        begin = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 128 + signal.SIGTERM
        assert time.monotonic() - begin < 10
        output = rest(process)
    assert output.endswith(b"\n")
    assert all(json.loads(line) for line in output.splitlines())
    *_, warning, last = log_of(tmp_path)
    assert "the state was not written" in warning
    assert last.endswith("Ended by SIGTERM")


def test_closed_pipe(zoho: Sandbox, tmp_path: Path) -> None:
    """A reader that leaves, as `| head -1` does, ends the run within seconds, as a failure."""
    words = command(settings(zoho), tmp_path)
    line = " ".join(words) + f" 2> {tmp_path / 'log'} | head -1; exit ${{PIPESTATUS[0]}}"
    begin = time.monotonic()
    done = subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, check=False, timeout=20
    )
    assert time.monotonic() - begin < SECONDS
    assert done.returncode == 1
    assert [json.loads(each)["type"] for each in done.stdout.splitlines()] == ["SCHEMA"]
    assert log_of(tmp_path)[-1].endswith("The reader of the output is gone")


def test_closed_pipe_while_waiting(small: Sandbox, tmp_path: Path) -> None:
    """The run notices that its reader has left while it waits, too."""
    small.faults.add("lock", endpoint=RECIPIENTS, after=5, seconds=1800)
    with tap(settings(small), tmp_path) as process:
        until(lambda: bool(small.faults.injected))
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(SECONDS) == 1
    assert log_of(tmp_path)[-1].endswith("The reader of the output is gone")


def test_output_to_a_file(zoho: Sandbox, tmp_path: Path) -> None:
    """Output that is a file takes everything, and a signal leaves whole lines there as well."""
    zoho.switches.latency_s = 0.02
    target = tmp_path / "out.jsonl"
    with target.open("wb") as output, (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command(settings(zoho), tmp_path), stdout=output, stderr=log)
        until(lambda: b'"sent_contacts"' in target.read_bytes())
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 128 + signal.SIGTERM
    messages(target.read_bytes())
    log_of(tmp_path)


def test_signal_twice(zoho: Sandbox, tmp_path: Path) -> None:
    """A second signal does no harm to what the first one began."""
    with tap(settings(zoho), tmp_path) as process:
        fill(process)
        for which in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
            process.send_signal(which)
            time.sleep(0.2)
        output = rest(process)
        assert process.wait(SECONDS) in {128 + signal.SIGINT, 128 + signal.SIGTERM}
    messages(output)
    log_of(tmp_path)


INTERRUPTED = """
import os, runpy, signal, sys
class Interrupts:
    def find_spec(self, name, *_):
        if name == sys.argv[-1]:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupts())
runpy.run_module("tap_zoho_campaigns_recipients", run_name="__main__", alter_sys=True)
"""
"""Runs the tap as `python -m` does, and presses Ctrl-C while a certain module is imported."""


@pytest.mark.parametrize("module", ["tap", "singer_sdk", "requests", "settings"])
def test_interrupt_while_starting(small: Sandbox, tmp_path: Path, module: str) -> None:
    """Ctrl-C before the tap has begun ends it at once, as a failure, without a traceback."""
    name = module if module in {"singer_sdk", "requests"} else f"{PACKAGE}.{module}"
    words = command(settings(small), tmp_path)
    done = subprocess.run(
        [words[0], "-c", INTERRUPTED, *words[3:], name],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert done.returncode == -signal.SIGINT
    assert done.stdout + done.stderr == ""
    assert small.requests == []


def test_ignored_interrupt() -> None:
    """A tap that is started with SIGINT ignored, as in the background, starts all the same."""
    code = INTERRUPTED.replace("class", "signal.signal(signal.SIGINT, signal.SIG_IGN)\nclass")
    done = subprocess.run(
        [sys.executable, "-c", code, "--version", "requests"],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert (done.returncode, done.stderr) == (0, "")


def open_files() -> set[str]:
    """Return what this process has open, by number and target."""
    found = set()
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(f"{path.name} {path.readlink()}")
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
@pytest.mark.parametrize("end", ["whole", "failed", "refused", "files"])
def test_nothing_stays_behind(
    small: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """A run in a process that goes on leaves no thread, connection or file behind."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    config = settings(small, retry_wait=0, rate_limit_store="file", max_parallel_requests=8)
    if end == "failed":
        small.faults.add("500", endpoint=RECIPIENTS, after=9, times=10**6)
    elif end == "refused":
        config["refresh_token"] = "1000.wrong"
    elif end == "files":
        config["batch_config"] = {
            "encoding": {"format": "jsonl", "compression": "gzip"},
            "storage": {"root": (tmp_path / "batches").as_uri()},
        }
        (tmp_path / "batches").mkdir()
    threads = set(threading.enumerate())
    run_tap(config)  # what is imported or opened but once
    for _ in range(3):
        gc.collect()
        # The sandbox's own connections, each with a thread, end with the tap's.
        until(lambda: set(threading.enumerate()) <= threads)
        before = open_files()
        outcome = run_tap(config)
        assert (outcome.error is None) is (end in {"whole", "files"})
        until(lambda: set(threading.enumerate()) <= threads)
        until(lambda before=before: open_files() <= before)  # type: ignore[misc]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_full_disk(zoho: Sandbox, tmp_path: Path) -> None:
    """Where the output has no room, as on a full disk, the run says so in a line and fails."""
    with open("/dev/full", "wb") as full, (tmp_path / "log").open("w") as log:  # noqa: PTH123
        words = command(settings(zoho), tmp_path)
        code = subprocess.run(words, stdout=full, stderr=log, check=False, timeout=60).returncode
    assert code == 1
    assert log_of(tmp_path)[-1].endswith("The output takes no more: No space left on device")


def test_no_output(small: Sandbox, tmp_path: Path) -> None:
    """So does a run that was started with its standard output closed."""
    words = ["sh", "-c", 'exec "$@" >&-', "sh", *command(settings(small), tmp_path)]
    with (tmp_path / "log").open("w") as log:
        code = subprocess.run(words, stderr=log, check=False, timeout=60).returncode
    assert code == 1
    assert log_of(tmp_path)[-1].endswith("There is no standard output to write to")
