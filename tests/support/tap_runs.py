"""Runs the tap against a sandbox, and reads what it said."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import logging
import subprocess
import sys
import threading
import typing as t
from collections import defaultdict
from dataclasses import dataclass, field

from tap_zoho_campaigns_recipients.tap import TapZohoCampaignsRecipients
from tap_zoho_campaigns_recipients.zoho.clock import Clock
from tap_zoho_campaigns_recipients.zoho.errors import TapError

if t.TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from sandbox import Sandbox

RECIPIENT_ACTIONS = {
    "sent_contacts": "sentcontacts",
    "opened_contacts": "openedcontacts",
    "clicked_contacts": "clickedcontacts",
    "unopened_contacts": "unopenedcontacts",
    "optout_contacts": "optoutcontacts",
    "spam_contacts": "spamcontacts",
    "hard_bounce_contacts": "senthardbounce",
    "soft_bounce_contacts": "sentsoftbounce",
    "unsent_contacts": "unsentcontacts",
}
"""The contract's table of streams: Zoho's `action` by stream."""

RECIPIENTS = "getcampaignrecipientsdata"
LISTING = "recentcampaigns"
REPORT = "campaignreports"
DETAILS = "getcampaigndetails"

DAY_S = 86_400


class FakeClock(Clock):
    """A clock that stands still until something waits or a test moves it.

    Handed to the sandbox as well (`Sandbox(clock=…)`), so that both agree on the time.
    """

    def __init__(self, now: float = 1_790_000_000.0) -> None:
        """Start at a moment, in epoch seconds."""
        super().__init__()
        self.now = now
        self.slept: list[float] = []
        self._moves = threading.Lock()

    def time(self) -> float:
        """Return the moment."""
        return self.now

    def monotonic(self) -> float:
        """Return the same."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Move on at once, as if it had waited."""
        self.check()
        with self._moves:
            self.slept.append(seconds)
            self.now += max(seconds, 0)

    def advance(self, seconds: float) -> None:
        """Move on."""
        with self._moves:
            self.now += seconds

    def fresh(self) -> FakeClock:
        """Return a running clock that goes on from here: a run stops the one it had."""
        return FakeClock(self.now)


@dataclass
class Outcome:
    """What a run wrote, said and ended with."""

    messages: list[dict[str, t.Any]]
    error: BaseException | None
    log: list[str] = field(default_factory=list)
    """Lines as ``LEVEL message``."""
    exit_code: int | None = None

    @property
    def records(self) -> dict[str, list[dict[str, t.Any]]]:
        """The records by stream, in order."""
        records = defaultdict(list)
        for message in self.messages:
            if message["type"] == "RECORD":
                records[message["stream"]].append(message["record"])
        return records

    @property
    def states(self) -> list[dict[str, t.Any]]:
        """The values of all STATE messages."""
        return [message["value"] for message in self.messages if message["type"] == "STATE"]

    @property
    def state(self) -> dict[str, t.Any]:
        """The value of the last STATE message."""
        return self.states[-1]

    @property
    def warnings(self) -> list[str]:
        """The warnings' texts."""
        return [line.partition(" ")[2] for line in self.log if line.startswith("WARNING ")]

    def keys(self, stream: str) -> list[tuple[str, str]]:
        """Campaign key and address of a stream's records, in order."""
        return [(row["campaign_key"], row["contact_email"]) for row in self.records[stream]]


def settings(zoho: Sandbox, **changes: t.Any) -> dict[str, t.Any]:
    """Return a configuration for the sandbox; a change to None takes a setting out.

    JSON without the account's time zone would have a warning of events in every run.
    """
    is_json = changes.get("response_format", "json") == "json"
    config = {
        "account_timezone": zoho.account.timezone if is_json else None,
        "client_id": zoho.account.client_id,
        "client_secret": zoho.account.client_secret,
        "refresh_token": zoho.account.refresh_token,
        "api_url": zoho.url,
        "accounts_url": zoho.url,
        "rate_limit_store": "memory",
        "rate_limit_calls": 1_000_000,
        **changes,
    }
    return {name: value for name, value in config.items() if value is not None}


def legacy(zoho: Sandbox, **changes: t.Any) -> dict[str, t.Any]:
    """Return a configuration for the sandbox's legacy API."""
    return settings(
        zoho,
        client_id=None,
        client_secret=None,
        refresh_token=None,
        auth_token=zoho.account.auth_token,
        **changes,
    )


@functools.cache
def _catalog_text() -> str:
    """Return the catalog as the tap discovers it; made once, for most tests want it."""
    tap = TapZohoCampaignsRecipients(validate_config=False, setup_mapper=False)
    return json.dumps(tap.catalog_dict)


def catalog(streams: Iterable[str], method: str | None = None) -> dict[str, t.Any]:
    """Return a catalog that selects these streams only.

    Args:
        streams: Their names.
        method: A replication method to choose for them.
    """
    chosen = set(streams)
    entries = json.loads(_catalog_text())
    for entry in entries["streams"]:
        root = next(each for each in entry["metadata"] if not each["breadcrumb"])
        root["metadata"]["selected"] = entry["tap_stream_id"] in chosen
        if method and entry["tap_stream_id"] in chosen:
            entry["replication_method"] = method
            root["metadata"]["forced-replication-method"] = method
    return t.cast("dict[str, t.Any]", entries)


def run_tap(
    config: dict[str, t.Any],
    *,
    state: dict[str, t.Any] | None = None,
    streams: Iterable[str] | None = None,
    method: str | None = None,
    clock: Clock | None = None,
    level: int = logging.INFO,
) -> Outcome:
    """Run the tap in this process.

    Args:
        config: Its configuration.
        state: A state from before.
        streams: What to select; None: everything.
        method: A replication method to choose for the selected streams.
        clock: The clock that it gets.
        level: What of the log to keep.
    """
    given = clock or Clock()
    tap_class = type(
        "TapUnderTest",
        (TapZohoCampaignsRecipients,),
        {"clock_class": staticmethod(lambda: given)},
    )
    written = io.StringIO()
    lines = _Lines(level)
    root = logging.getLogger()
    before = root.level
    root.addHandler(lines)
    root.setLevel(level)
    error: BaseException | None = None
    try:
        with contextlib.redirect_stdout(written):
            tap = tap_class(
                config=dict(config),
                state=json.loads(json.dumps(state)) if state is not None else None,
                catalog=catalog(streams, method) if streams is not None else None,
            )
            tap.sync_all()
    except TapError as failure:
        error = failure
    finally:
        root.removeHandler(lines)
        root.setLevel(before)
    return Outcome(
        [json.loads(line) for line in written.getvalue().split("\n") if line], error, lines.lines
    )


def run_process(
    config: dict[str, t.Any],
    folder: Path,
    *arguments: str,
    state: dict[str, t.Any] | None = None,
    env: dict[str, str] | None = None,
    cwd: Path | None = None,
) -> Outcome:
    """Run the tap as a user does: in a process of its own.

    Args:
        config: Its configuration.
        folder: Where to put the files it needs.
        *arguments: More of its command line.
        state: A state from before.
        env: Its environment; None: this process's.
        cwd: Its working folder; None: this process's.
    """
    done = subprocess.run(
        command(config, folder, *arguments, state=state),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=env,
        cwd=cwd,
    )
    messages = []
    for line in done.stdout.split("\n"):
        with contextlib.suppress(ValueError):
            messages.append(json.loads(line))
    return Outcome(messages, None, done.stderr.splitlines(), done.returncode)


def command(
    config: dict[str, t.Any],
    folder: Path,
    *arguments: str,
    state: dict[str, t.Any] | None = None,
) -> list[str]:
    """Return the command line of a process of the tap, and write the files it needs.

    Args:
        config: Its configuration.
        folder: Where to put the files.
        *arguments: More of its command line.
        state: A state from before.
    """
    (folder / "config.json").write_text(json.dumps(config))
    words = [sys.executable, "-m", "tap_zoho_campaigns_recipients"]
    words += ["--config", str(folder / "config.json"), *arguments]
    if state is not None:
        (folder / "state.json").write_text(json.dumps(state))
        words += ["--state", str(folder / "state.json")]
    return words


class _Lines(logging.Handler):
    """Keeps what is logged."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.lines.append(f"{record.levelname} {record.getMessage()}")
