"""Fault storms: random faults from a seed, checked against a model of what must arrive.

From a seed come an account, settings, faults, kills of the tap and days between runs. The tap runs,
is started again with the last STATE that reached stdout until a run succeeds, and all that it wrote
is held against what the sandbox knows to be true. Waits cost no time: the clock is an injected one.

    python -m support.storm 500         run the storms of seeds 0 to 499
    python -m support.storm --seed 17   run one again; with several requests in flight the threads'
                                        order is the machine's, so try a few times
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import typing as t
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from sandbox import POSITIONS, STORM_KINDS, Limit, Moves, Sandbox, make_account, make_campaign
from support.seeds import Played, play_all
from support.tap_runs import (
    DAY_S,
    DETAILS,
    LISTING,
    RECIPIENT_ACTIONS,
    RECIPIENTS,
    REPORT,
    FakeClock,
    catalog,
    command,
    legacy,
    settings,
)
from support.truth import iso
from tap_zoho_campaigns_recipients.tap import TapZohoCampaignsRecipients
from tap_zoho_campaigns_recipients.zoho.clock import Clock
from tap_zoho_campaigns_recipients.zoho.errors import TapError

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sandbox import Account, Campaign, Logged

List = tuple[str, str]
"""A stream and a campaign's key."""

STREAM_OF = {action: stream for stream, action in RECIPIENT_ACTIONS.items()}
ALL_STREAMS = (
    "campaign_locations",
    "campaign_reports",
    "campaigns",
    "click_events",
    "list_readings",
    "open_events",
    *RECIPIENT_ACTIONS,
)
EVENTS_OF = {"opened_contacts": "open_events", "clicked_contacts": "click_events"}
"""A list is read for both, and again while one of them has it open."""
CHECKED_STREAMS = ("campaign_reports", "campaigns", *RECIPIENT_ACTIONS)

LASTING_MOVES = ("open", "click", "optout", "spam", "bounce", "send")
"""Events of which each changes some count of the report for good: none can undo another's trace.

With `remove` among them a list may end with other people and the same counts, which no report
shows; then only what was read is checked, not what was left out as unchanged.
"""

SWITCHES = (
    "duplicates_every",
    "empty_list",
    "error_format",
    "error_spelling",
    "gmt_fields",
    "listing_past_end",
    "listing_range_cap",
    "listing_status_filter",
    "missing_code",
    "order",
    "params_from",
    "past_end",
    "range_cap",
    "range_error_above",
    "total_record_count",
    "xml_fields",
)
"""What a storm may turn, each seldom: all of them together are another test's affair."""

SIZES = (0, 1, 2, 4, 5, 6, 7, 9, 10, 11, 19, 20, 21, 28, 29, 37, 41, 60)
"""Recipients of a campaign: about the bounds of pages of 5, 10 and 20 rows that share one."""

REQUEST_TIMEOUT_SECONDS = 0.5
SLOW_SECONDS = 0.7
SHARE_OF_SLOW = 1 / 60
"""Answers slower than the time-out cost real time: they are rarer than other faults."""

ATTEMPTS_WITH_FAULTS = 5
MOST_ATTEMPTS = 9
SKEW_SLACK_SECONDS = 34 * 3600
READINGS_BEFORE_WAITING = 2
"""Where only the skewed time of sending is known, the window ends so much later at the most."""

ADDRESS = re.compile(r"[^\s@]+@[^\s@]+\.[a-z]+")
PIPE_BYTES = 4096


class Killed(BaseException):
    """Stands for `kill -9` where the tap runs in this process."""


class Lost(AssertionError):
    """A storm has shown something that must not be."""


class Pipe(io.StringIO):
    """A stdout that takes so many writes, and then the process is dead."""

    def __init__(self, writes_left: int | None) -> None:
        super().__init__()
        self.writes = 0
        self._left = writes_left

    def write(self, text: str) -> int:
        if self.writes == self._left:
            raise Killed
        self.writes += 1
        return super().write(text)


class RunClock(Clock):
    """One run's view of a time that goes on after it."""

    def __init__(self, shared: FakeClock) -> None:
        super().__init__()
        self._shared = shared

    def time(self) -> float:
        return self._shared.now

    def monotonic(self) -> float:
        return self._shared.now

    def sleep(self, seconds: float) -> None:
        self.check()
        self._shared.advance(max(seconds, 0))


class ScaledClock(Clock):
    """The clock of a process: starts when it is told to, and waits a thousand times faster."""

    def __init__(self, start: float) -> None:
        super().__init__()
        self._ahead = start - time.time()
        self._slept = 0.0

    def time(self) -> float:
        return time.time() + self._ahead + self._slept

    def monotonic(self) -> float:
        return time.monotonic() + self._slept

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds / 1000)
        self._slept += max(seconds, 0)


class Lines(logging.Handler):
    """Keeps what is logged."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        trace = "Traceback" if record.exc_info else ""
        self.lines.append(f"{record.levelname} {record.getMessage()}{trace}")


@dataclass
class Attempt:
    """One start of the tap."""

    agent: str
    """Its User-Agent, by which its requests are told from those of others."""
    streams: tuple[str, ...]
    started: float
    """By the shared clock, epoch seconds."""
    before: dict[List, frozenset[str]]
    """Who stood in each list when it started."""
    open_before: frozenset[List]
    """Lists of which no read so far can have been the last."""
    lines: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    moves: bool = False
    """Whether lists moved: a last reading that misses a row of its count is repeated."""
    how: t.Literal["whole", "failed", "killed", "told to end"] = "whole"
    ended: float = 0.0
    after: dict[List, frozenset[str]] = field(default_factory=dict)

    @property
    def messages(self) -> list[dict[str, t.Any]]:
        """What it wrote."""
        return [json.loads(line) for line in self.lines]


@dataclass
class Model:
    """What a target holds, and what may be read no more."""

    rows: dict[List, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    """`list_read_at` by address, of what a STATE that reached stdout stands behind."""
    finished: set[List] = field(default_factory=set)
    """Lists that had their last read for certain."""
    maybe_finished: set[List] = field(default_factory=set)
    """Lists of which a read may have been the last one."""
    moved: list[float] = field(default_factory=list)
    """When starts ended during which lists moved."""


def check(holds: object, what: str, *details: object) -> None:
    """End the storm where something does not hold."""
    if not holds:
        raise Lost(" ".join([what, *(f"{detail!r:.600}" for detail in details)]))


class Storm:
    """One storm."""

    def __init__(self, seed: int, folder: Path, *, with_processes: bool = False) -> None:
        """Draw everything that stays the same from run to run.

        Args:
            seed: Everything that is random comes from it.
            folder: For files of processes.
            with_processes: Whether some runs are processes, killed for real.
        """
        self.rng = rng = random.Random(seed)
        self.seed = seed
        self.folder = folder
        self.with_processes = with_processes
        self.clock = FakeClock()
        self.window_days = rng.choice((0, 2, 10, 30))
        self.zoho = Sandbox(self._account(), clock=self.clock)
        self.form = rng.choice(("json", "json", "xml"))
        self.is_legacy = rng.random() < 1 / 4
        self.removes = rng.random() < 1 / 4
        self.moves = (
            Moves(
                rate=rng.choice((0.1, 0.5)),
                seed=seed,
                most=rng.choice((1, 3)),
                kinds=(*LASTING_MOVES, "remove") if self.removes else LASTING_MOVES,
            )
            if rng.random() < 2 / 3
            else None
        )
        self.kinds = self._kinds()
        self.rate = rng.choice((0.02, 0.1, 0.3))
        self._turn_switches()
        self.config = self._settings()
        self.some_streams = rng.random() < 1 / 5
        self.model = Model()
        self.count: Counter[str] = Counter()
        self.state: dict[str, t.Any] | None = None
        self.writes = 60

    # What is drawn

    def _account(self) -> Account:
        rng = self.rng
        account = make_account(0, now=self.clock.now)
        account.now = lambda: self.clock.now
        for _ in range(rng.randint(2, 6)):
            size = rng.choice(SIZES)
            make_campaign(
                account,
                recipients=size,
                unsent=rng.choice((None, 0, 6)),
                sent_at=self.clock.now
                - DAY_S * rng.choice((0.1, 1, 3, 8, 25, 29.99, 45, 120))
                - rng.randrange(DAY_S // 10),
                type="abtesting" if size > 20 and rng.random() < 1 / 2 else "normal",
                spread_s=rng.choice((0, 0, 90)),
                first_contact=rng.randrange(50),
            )
        make_campaign(account, status="Draft", days_ago=2)
        for contact in account.contacts:
            if rng.random() < 1 / 40:
                account.forget(contact)
        return account

    def _kinds(self) -> tuple[str, ...]:
        # Where there is nothing to refresh, 1007 is final.
        kinds = [kind for kind in STORM_KINDS if kind != "1007" or not self.is_legacy]
        times = round(1 / SHARE_OF_SLOW / len(kinds))
        return (*[kind for kind in kinds if kind != "slow"] * times, "slow")

    def _turn_switches(self) -> None:
        rng, switches = self.rng, self.zoho.switches
        for name in SWITCHES:
            if rng.random() < 1 / 12:
                switches.set(name, rng.choice(POSITIONS[name]))
        if switches.range_error_above == 100:
            switches.range_error_above = 12
        if rng.random() < 1 / 10:
            switches.reports = "missing"
        switches.lock_shape = rng.choice(("429", "400_title", "200_text"))
        switches.token_limit = None
        if not self.with_processes and rng.random() < 1 / 8:
            switches.limit = Limit(calls=60, period_s=60, lock_s=120)
        # A Retry-After that lies is believed three times, then the run ends.
        switches.retry_after = rng.choice((None, "remaining", "date", *[7] * (not switches.limit)))

    def _settings(self) -> dict[str, t.Any]:
        rng, zoho = self.rng, self.zoho
        config = (legacy if self.is_legacy else settings)(
            zoho,
            response_format=self.form,
            page_size=rng.choice((5, 10, 20, 500)),
            max_parallel_requests=rng.choice((1, 2, 4, 8)),
            engagement_window_days=self.window_days,
            # Whether an unchanged list is read again is another test's affair.
            reread_after_days=0,
            account_timezone=rng.choice((None, "America/New_York")),
            request_timeout=REQUEST_TIMEOUT_SECONDS,
        )
        if config["max_parallel_requests"] == 1 and rng.random() < 1 / 2:
            # With others waiting at the same time, this clock makes a token old on its way.
            zoho.switches.token_lifetime_s = 300
        if zoho.switches.limit:
            # As many less than the limit as may be on their way.
            calls = zoho.switches.limit.calls - config["max_parallel_requests"]
            config |= {"rate_limit_calls": calls, "rate_limit_period": 60}
        if rng.random() < 1 / 10:
            config["rate_limit_lock_wait"] = 0
        if self.with_processes:
            config |= {"rate_limit_store": "file", "rate_limit_lock_wait": 30}
            config |= {"retry_wait": 0.05}
        sent = [each for each in self._campaigns() if each.parent_key is None]
        if rng.random() < 1 / 6:
            config["campaign_keys"] = [each.key for each in rng.sample(sent, (len(sent) + 1) // 2)]
        elif rng.random() < 1 / 6:
            rng.choice(self._campaigns()).refusal = rng.choice(("2206", "6601", "6607"))
        elif rng.random() < 1 / 6 and zoho.switches.gmt_fields:
            config["start_date"] = "2026-08-20T00:00:00Z"
        return config

    # What is true

    def _campaigns(self) -> list[Campaign]:
        return [each for each in self.zoho.account.campaigns.values() if each.sent_at is not None]

    def _parent(self, campaign: Campaign) -> Campaign:
        return self.zoho.account.campaigns[campaign.parent_key or campaign.key]

    def _considered(self) -> list[Campaign]:
        """The campaigns that settings let through."""
        keys, start = self.config.get("campaign_keys"), self.config.get("start_date")
        start_s = time.mktime(time.strptime(start, "%Y-%m-%dT%H:%M:%SZ")) if start else 0
        return [
            each
            for each in self._campaigns()
            if (not keys or self._parent(each).key in keys)
            and (self._parent(each).sent_at or 0) >= start_s - (time.timezone if start else 0)
        ]

    def _address(self, email: str | None, contact_id: str) -> str | None:
        if email:
            return email.lower()
        if self.form == "xml" and self.zoho.switches.xml_fields != "all":
            return None
        return f"{contact_id}@no-address.invalid"

    def _lists(self) -> dict[List, frozenset[str]]:
        """Who is in each list now, as far as they can be keyed."""
        with self.zoho.lock:
            return {
                (stream, campaign.key): frozenset(
                    address
                    for contact in campaign.mail.contacts(action)
                    if (address := self._address(contact.email, contact.id))
                )
                for campaign in self._considered()
                for stream, action in RECIPIENT_ACTIONS.items()
                if campaign.refusal is None
            }

    def _places(self) -> set[List]:
        return {
            (stream, campaign.key)
            for campaign in self._considered()
            if campaign.refusal is None
            for stream in CHECKED_STREAMS
        }

    # The storm

    def blow(self) -> None:
        """Run the tap again and again.

        Raises:
            Lost: When something does not hold.
        """
        try:
            with self.zoho:
                for number in range(self.rng.randint(2, 4)):
                    if number:
                        self._days_pass()
                    streams = ALL_STREAMS
                    if self.some_streams:
                        streams = tuple(name for name in ALL_STREAMS if self.rng.random() < 1 / 2)
                    self._run_until_it_succeeds(streams or ("sent_contacts",))
                self._end_in_calm()
        finally:
            injected = self.zoho.faults.injected
            self.count.update({f"fault {name}": number for name, number in injected.items()})

    def _days_pass(self) -> None:
        rng = self.rng
        for _ in range(rng.randint(0, 12)):
            campaign = rng.choice(self._campaigns())
            self.zoho.account.move(campaign.key, rng.choice(LASTING_MOVES), rng)
            self.clock.advance(rng.choice((0, 60, DAY_S / 3)))
        if rng.random() < 1 / 3 and self.zoho.account.contacts:
            who = rng.choice(self.zoho.account.contacts)
            self.zoho.account.unsend(rng.choice(self._campaigns()).key, who)
        self.clock.advance(rng.choice((60, DAY_S / 2, 3 * DAY_S, 40 * DAY_S)))

    def _run_until_it_succeeds(self, streams: tuple[str, ...]) -> None:
        self.count["runs"] += 1
        for number in range(MOST_ATTEMPTS):
            ill = number < ATTEMPTS_WITH_FAULTS
            self.zoho.faults.clear()
            self.zoho.switches.moves = self.moves if ill else None
            danger = self._danger() if ill else ""
            if not ill:
                self.zoho.unlock()
            if ill:
                self.zoho.faults.storm(
                    self.rng.getrandbits(32), self.rate, kinds=self.kinds, slow_s=SLOW_SECONDS
                )
            attempt = self._attempt(streams, danger)
            if attempt.how == "whole":
                return
            may_fail = danger or self.config.get("rate_limit_lock_wait") == 0
            check(may_fail or attempt.how != "failed", "the run failed:", attempt.log[-1:])
            self.clock.advance(self.rng.choice((0, 300, 3600)))
        raise Lost("no run succeeded")

    def _danger(self) -> str:
        """Draw what may end a run before its time."""
        faults, rng = self.zoho.faults, self.rng
        danger = rng.choice(("", "", "kill", "kill", "kill", "token", "stubborn", "lock"))
        if danger == "token":
            faults.add(rng.choice(("503", "reset", "html")), endpoint="token", times=5)
        elif danger == "stubborn":
            campaign = rng.choice(self._campaigns())
            kind = rng.choice(("500", "cut", "empty", "2101", "other_format"))
            action = rng.choice(list(STREAM_OF))
            faults.add(kind, campaign_key=campaign.key, action=action, times=8)
        elif danger == "lock" and not self.with_processes:
            endpoint = rng.choice((RECIPIENTS, RECIPIENTS, REPORT, LISTING))
            seconds = rng.choice((1, 6 if self.zoho.switches.retry_after == 7 else 3000))
            # With one lock right after another three waits in a row may bring no response.
            self.zoho.unlock()
            faults.add("lock", endpoint=endpoint, seconds=seconds, after=rng.randrange(6))
            # Not dangerous: it is waited for.
            return ""
        return danger

    def _end_in_calm(self) -> None:
        """See that nothing is read once nothing changes, and that a target holds the truth."""
        self.zoho.faults.clear()
        self.zoho.switches.moves = None
        # Rows that the count does not tell of are settled when they were read twice.
        for _ in range(3 if self.zoho.switches.duplicates_every else 2):
            # Calls that are counted in memory are forgotten between runs, though not by Zoho.
            self.clock.advance(61)
            before = self.zoho.faults.injected.total()
            attempt = self._attempt(ALL_STREAMS, "")
            check(attempt.how == "whole", "a run without faults failed:", attempt.log[-1:])
            check(before == self.zoho.faults.injected.total(), "there was a fault")
        if self.zoho.switches.reports == "ok":
            calls = [
                (each.action, each.campaign_key) for each in self._requests(attempt, RECIPIENTS)
            ]
            refused = {each.key for each in self._campaigns() if each.refusal}
            calls = [call for call in calls if call[1] not in refused]
            check(not calls, "unchanged lists were read again:", calls)
        for place, people in self._lists().items():
            if place in self.model.maybe_finished or self.removes:
                continue
            rows = self.model.rows.get(place, {})
            latest = max(rows.values(), default="")
            latest_rows = {address for address, read_at in rows.items() if read_at == latest}
            # A list that lost all its people leaves no newer row.
            check(
                not people or latest_rows == people, "the target holds", place, latest_rows ^ people
            )

    # One start of the tap

    def _attempt(self, streams: tuple[str, ...], danger: str) -> Attempt:
        self.count["starts"] += 1
        attempt = Attempt(
            agent=f"storm/{self.count['starts']}",
            streams=streams,
            started=self.clock.now,
            before=self._lists(),
            open_before=frozenset(self._places() - self.model.maybe_finished),
            moves=self.zoho.switches.moves is not None,
        )
        config = {**self.config, "user_agent": attempt.agent}
        if self.with_processes and (danger or self.rng.random() < 1 / 2):
            self._start_process(attempt, config, danger)
            # The process had a clock of its own, which may be ahead of this one.
            self.clock.advance(3600)
        else:
            self._start_here(attempt, config, danger)
        attempt.ended = self.clock.now
        attempt.after = self._lists()
        self._check_output(attempt)
        self._check_calls(attempt)
        self._take_rows(attempt)
        self._note_finished(attempt)
        if attempt.how == "whole":
            self._check_whole(attempt)
        elif attempt.how != "failed":
            self.count["kills"] += 1
        self.clock.advance(1)
        return attempt

    def _start_here(self, attempt: Attempt, config: dict[str, t.Any], danger: str) -> None:
        clock = RunClock(self.clock)
        stdout = Pipe(self.rng.randint(1, self.writes + 2) if danger == "kill" else None)
        handler = Lines(self.rng.choice((logging.DEBUG, logging.INFO)))
        root = logging.getLogger()
        level = root.level
        root.addHandler(handler)
        root.setLevel(handler.level)
        try:
            with contextlib.redirect_stdout(stdout):
                tap = _tap_class(clock)(
                    config=dict(config),
                    state=json.loads(json.dumps(self.state)) if self.state else None,
                    catalog=catalog(attempt.streams) if attempt.streams != ALL_STREAMS else None,
                )
                tap.sync_all()
        except TapError as error:
            attempt.how = "failed"
            handler.lines.append(f"ERROR {error}")
        except Killed:
            attempt.how = "killed"
        finally:
            root.removeHandler(handler)
            root.setLevel(level)
        if attempt.how == "whole":
            self.writes = stdout.writes
        attempt.lines = stdout.getvalue().split("\n")[:-1]
        attempt.log = handler.lines

    def _start_process(self, attempt: Attempt, config: dict[str, t.Any], danger: str) -> None:
        self.count["processes"] += 1
        (self.folder / "catalog.json").write_text(json.dumps(catalog(attempt.streams)))
        arguments = ("--catalog", str(self.folder / "catalog.json"))
        words = command(config, self.folder, *arguments, state=self.state)
        words[1:3] = [__file__, "--tap", repr(self.clock.now)]
        process = subprocess.Popen(
            words,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={
                **os.environ,
                "XDG_CACHE_HOME": str(self.folder),
                "HOME": str(self.folder),
                "PYTHONPATH": str(Path(__file__).parents[1]),
            },
        )
        sent: list[int] = []
        if danger == "kill":
            self.zoho.before_request = self._killer(attempt.agent, process, sent)
        try:
            stdout, stderr = process.communicate(timeout=120)
        finally:
            process.kill()
            self.zoho.before_request = None
        if signal.SIGKILL in sent and process.returncode != 0:
            check(process.returncode == -signal.SIGKILL, "exit code", process.returncode)
            attempt.how = "killed"
        elif signal.SIGTERM in sent and process.returncode != 0:
            check(process.returncode == 128 + signal.SIGTERM, "exit code", process.returncode)
            attempt.how = "told to end"
        elif process.returncode:
            attempt.how = "failed"
        whole, _, rest = stdout.rpartition(b"\n")
        if attempt.how != "killed" or len(rest) < PIPE_BYTES:
            check(not rest, "half a line was written:", rest)
        attempt.lines = whole.decode().split("\n") if whole else []
        attempt.log = stderr.decode().splitlines()

    def _killer(
        self, agent: str, process: subprocess.Popen[bytes], sent: list[int]
    ) -> t.Callable[[Logged], None]:
        """Return a hook that ends the process at one of its requests."""
        number = self.rng.randint(1, 40)
        kind = self.rng.choice((signal.SIGKILL, signal.SIGTERM))
        seen = Counter[str]()

        def kill(request: Logged) -> None:
            seen[request.headers.get("user-agent", "")] += 1
            if seen[agent] >= number and not sent:
                sent.append(kind)
                process.send_signal(kind)

        return kill

    # What must hold

    def _requests(self, attempt: Attempt, endpoint: str) -> Iterator[Logged]:
        for each in list(self.zoho.requests):
            # A process that is killed may leave half a request.
            is_ours = each.campaign_key and each.headers.get("user-agent") == attempt.agent
            if is_ours and each.endpoint == endpoint:
                yield each

    def _check_output(self, attempt: Attempt) -> None:
        """No traceback, no secret, no half line, nothing twice."""
        account = self.zoho.account
        log = "\n".join(attempt.log)
        everything = "\n".join([log, *attempt.lines])
        for secret in (
            account.client_secret,
            account.refresh_token,
            account.access_token,
            account.auth_token,
            "sandbox-access-token",
        ):
            check(secret not in everything, "a secret was written:", secret)
        check("Traceback" not in log, "there was a traceback:", log[-600:])
        check(not ADDRESS.search(log), "an address was logged:", ADDRESS.search(log))
        check("keep the order" not in log, "the order of rows was doubted")
        seen = set()
        read_at: dict[List, str] = {}
        for message in attempt.messages:
            if message["type"] != "RECORD":
                continue
            stream, row = message["stream"], message["record"]
            parts = ("contact_email", "event_number", "action", "location")
            key = (stream, row["campaign_key"], *map(row.get, parts))
            check(key not in seen, "twice in one run:", key)
            seen.add(key)
            if stream in RECIPIENT_ACTIONS:
                check(row["action"] == RECIPIENT_ACTIONS[stream], "another action", row)
                parent_key = account.campaigns[row["campaign_key"]].parent_key
                check(row["parent_campaign_key"] == parent_key, "another parent", row)
                began = read_at.setdefault((stream, row["campaign_key"]), row["list_read_at"])
                check(row["list_read_at"] == began, "two beginnings of one reading", row)
        if attempt.how != "killed":
            last = json.loads(attempt.lines[-1]) if attempt.lines else {}
            is_early = attempt.how == "told to end" and not seen
            check(is_early or last.get("type") == "STATE", "the last line is no STATE", last)
            check("@" not in json.dumps(last), "an address is in the state")

    def _check_calls(self, attempt: Attempt) -> None:
        """What is finished costs no request."""
        finished = self.model.finished
        for each in self._requests(attempt, RECIPIENTS):
            stream, key = STREAM_OF[each.action or ""], each.campaign_key or ""
            readers = {stream, EVENTS_OF.get(stream, stream)} & {*attempt.streams}
            places = {(name, key) for name in readers}
            check(not places <= finished, "finished, and read again:", places)
        if self.zoho.switches.reports != "ok":
            return
        planned = [name for name in attempt.streams if name not in {"campaigns", "list_readings"}]
        for endpoint in (REPORT, DETAILS):
            for each in self._requests(attempt, endpoint):
                asked = [(name, each.campaign_key or "") for name in planned]
                check(
                    not asked or not finished.issuperset(asked),
                    "finished, asked:",
                    endpoint,
                    each.campaign_key,
                )

    def _take_rows(self, attempt: Attempt) -> None:
        """Load what a STATE stands behind, as a target that knows nothing else would."""
        waiting: list[dict[str, t.Any]] = []
        for message in attempt.messages:
            if message["type"] == "RECORD" and message["stream"] in RECIPIENT_ACTIONS:
                waiting.append(message)
            elif message["type"] == "STATE":
                self.state = message["value"]
                for each in waiting:
                    row = each["record"]
                    rows = self.model.rows[each["stream"], row["campaign_key"]]
                    rows[row["contact_email"]] = row["list_read_at"]
                waiting = []
        check(not waiting or attempt.how == "killed", "records after the last STATE")

    def _unreported(self, attempt: Attempt) -> set[str]:
        """Campaigns whose report met a fault, so that the run may have gone on without it."""
        if "No report of a campaign" not in "".join(attempt.log):
            return set()
        if "no more reports are requested" in "".join(attempt.log):
            return {each.key for each in self._considered()}
        met = {each.campaign_key or "" for each in self._requests(attempt, REPORT) if each.fault}
        # An A/B campaign is finished with its A/B variants.
        return met | {self.zoho.account.campaigns[key].parent_key or key for key in met}

    def _note_finished(self, attempt: Attempt) -> None:
        slack = 0 if self.zoho.switches.gmt_fields else SKEW_SLACK_SECONDS
        unreported = self._unreported(attempt)
        if attempt.moves:
            self.model.moved.append(attempt.ended)
        # After two last readings that were not complete the next one waits for a day.
        recent = [moved for moved in self.model.moved if attempt.ended - moved <= DAY_S + slack]
        is_calm = not attempt.moves and len(recent) < READINGS_BEFORE_WAITING
        for campaign in self._considered():
            over = (self._parent(campaign).sent_at or 0) + self.window_days * DAY_S
            for stream in attempt.streams:
                place = (stream, campaign.key)
                if attempt.ended >= over:
                    self.model.maybe_finished.add(place)
                if attempt.how != "whole" or campaign.refusal or attempt.started <= over + slack:
                    continue
                is_reported = self.zoho.switches.reports == "ok" and campaign.key not in unreported
                is_list = stream in RECIPIENT_ACTIONS or stream in EVENTS_OF.values()
                if is_calm if is_list else is_reported:
                    self.model.finished.add(place)

    def _check_whole(self, attempt: Attempt) -> None:
        """Who was in a list all the while was delivered."""
        records: dict[str, list[dict[str, t.Any]]] = defaultdict(list)
        for message in attempt.messages:
            if message["type"] == "RECORD":
                records[message["stream"]].append(message["record"])
        asked = {
            (STREAM_OF[each.action or ""], each.campaign_key or "")
            for each in self._requests(attempt, RECIPIENTS)
        }
        for place, people in attempt.before.items():
            if place[0] not in attempt.streams:
                continue
            stayed = people & attempt.after[place]
            if place in asked:
                arrived = {
                    each["contact_email"]
                    for each in records[place[0]]
                    if each["campaign_key"] == place[1]
                }
                check(stayed <= arrived, "read, but lost:", place, stayed - arrived)
            elif place in attempt.open_before:
                check(place not in self.model.finished, "finished without a last read:", place)
            if place in attempt.open_before and not self.removes:
                rows = self.model.rows[place]
                check(stayed <= rows.keys(), "lost:", place, stayed - rows.keys())
        self._check_rows(records)
        if "campaigns" in attempt.streams:
            parents = {each.key for each in self._considered() if each.parent_key is None}
            there = {each["campaign_key"] for each in records["campaigns"]}
            check(parents <= there, "campaigns lost:", parents - there)
        if "campaign_reports" in attempt.streams and self.zoho.switches.reports == "ok":
            there = {each["campaign_key"] for each in records["campaign_reports"]}
            due = {key for stream, key in attempt.open_before if stream == "campaign_reports"}
            due -= self._unreported(attempt)
            check(due <= there, "reports lost:", due - there)

    def _check_rows(self, records: dict[str, list[dict[str, t.Any]]]) -> None:
        """Fields that tell whose a row is, and when it was sent, are right."""
        is_timed = self.form == "json" and self.zoho.switches.gmt_fields
        has_twins = self.zoho.switches.duplicates_every
        for stream in RECIPIENT_ACTIONS:
            for row in records[stream]:
                campaign = self.zoho.account.campaigns[row["campaign_key"]]
                try:
                    contact = self.zoho.account.contact(row["contact_email"])
                except KeyError:
                    number = row["contact_email"].partition("@")[0]
                    contact = self.zoho.account.contact(number)
                    check(contact.email is None, "who is that?", row)
                if self.form == "json":
                    ids = {contact.id, contact.id + "0"} if has_twins else {contact.id}
                    check(row["contact_id"] in ids, "another id", row)
                check((row["first_name"] or "") == contact.first_name, "another name", row)
                # A twin has a time of its own, and its row stands where it came first.
                is_twin = row["contact_id"] != contact.id
                if is_timed and not is_twin and row["sent_time_utc"] is not None:
                    true = iso(campaign.time_sent(contact))
                    check(row["sent_time_utc"] == true, "another time", row, true)


def _tap_class(clock: Clock) -> type[TapZohoCampaignsRecipients]:
    return type(
        "TapInAStorm",
        (TapZohoCampaignsRecipients,),
        {"clock_class": staticmethod(lambda: clock)},
    )


def blow(seed: int, *, with_processes: bool | None = None) -> Played:
    """Let one storm blow.

    Args:
        seed: The storm's seed.
        with_processes: Whether some runs are processes; None: of each sixteenth seed.
    """
    if with_processes is None:
        with_processes = seed % 16 == 15
    trouble = None
    with tempfile.TemporaryDirectory() as folder:
        storm = Storm(seed, Path(folder), with_processes=with_processes)
        try:
            storm.blow()
        except Lost as lost:
            trouble = str(lost)
        except Exception:  # noqa: BLE001 - whatever it is, the seed must be said
            trouble = traceback.format_exc()
    return Played(seed, trouble, storm.count)


def summary(weathers: Iterable[Played]) -> str:
    """Return what a number of storms did, in a few lines."""
    total = Counter[str]()
    for weather in weathers:
        total.update(weather.count)
    faults = {
        name.partition(" ")[2]: n for name, n in total.most_common() if name.startswith("fault ")
    }
    others = ", ".join(f"{total[name]} {name}" for name in ("runs", "starts", "kills", "processes"))
    kinds = ", ".join(f"{name} {n}" for name, n in faults.items())
    return f"{others}, {sum(faults.values())} faults: {kinds}"


if __name__ == "__main__":
    if sys.argv[1:2] == ["--tap"]:
        _tap_class(ScaledClock(float(sys.argv[2]))).cli(sys.argv[3:])
    else:
        sys.exit(play_all("storm", blow, summary))
