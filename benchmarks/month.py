"""Thirty simulated days: calls, and how late an open arrives.

An account of 60 campaigns of 2 000 to 50 000 recipients, one a day, whose opens decay as those of
real ones do. Rows and `page_size` are a fiftieth, which leaves the number of calls as it is. The
time is simulated: the tap runs in this process, against a sandbox in this process.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import random
import statistics
import typing as t
from dataclasses import dataclass, field

from benchmarks.contenders import AIRBYTE, DLT, PLAIN_SDK
from benchmarks.server import Server
from benchmarks.tables import Table, count
from sandbox import Account, Sandbox, make_campaign
from tap_zoho_campaigns_recipients.tap import TapZohoCampaignsRecipients
from tap_zoho_campaigns_recipients.zoho.clock import Clock

if t.TYPE_CHECKING:
    from collections.abc import Callable

DAY_S = 86_400
SCALE = 50
CAMPAIGNS, DAYS = 60, 30
SHARE_OF_OPENERS, SHARE_OF_CLICKERS, SHARE_OF_OPTOUTS, SHARE_OF_REPEATS = 0.3, 0.03, 0.002, 0.2
HALF_OF_OPENS_S = 8 * 3600
CASES = (
    ("nightly", DAY_S, 500, 7),
    ("nightly", DAY_S, 1000, 7),
    ("nightly", DAY_S, 1000, 0),
    ("hourly", 3600, 1000, 7),
)
"""How often the tap runs, the seconds between two runs, `page_size` and `reread_after_days`."""
ZOHO_CALLS_A_DAY = 500 * 12 * 24
"""What Zoho's limit lets through for one endpoint."""

THIS_TAP = "this tap without a state"
PEERS_PAGE_ROWS = 500 // SCALE

Say = t.Callable[[str], None]


class SimulatedClock(Clock):
    """A clock that moves when something waits."""

    def __init__(self, account_time: Time) -> None:
        super().__init__()
        self._time = account_time

    def time(self) -> float:
        """Return the simulated time."""
        return self._time.now

    def monotonic(self) -> float:
        """Return the same."""
        return self._time.now

    def sleep(self, seconds: float) -> None:
        """Move on."""
        self.check()
        self._time.now += max(seconds, 0)


@dataclass
class Time:
    """The simulated time, in epoch seconds."""

    now: float = 1_790_000_000.0


@dataclass
class Month:
    """What a month of runs has cost, and how late opens arrived."""

    calls: int = 0
    busiest_run: int = 0
    first_opens_s: list[float] = field(default_factory=list)
    repeats_s: list[float] = field(default_factory=list)
    calls_for_everything: dict[str, int] = field(default_factory=dict)
    """Calls of one run that reads everything, in the middle of the month, by the program's name."""


@dataclass(frozen=True, slots=True, order=True)
class Event:
    """Something that a contact does."""

    at: float
    kind: str
    key: str
    email: str


def play(every_s: float, page_rows: int, reread_after_days: int) -> Month:
    """Simulate a month.

    Args:
        every_s: Seconds between two runs.
        page_rows: `page_size`.
        reread_after_days: The setting.
    """
    rng, time = random.Random(1), Time()
    account = Account()
    account.now = lambda: time.now
    begin = time.now - (CAMPAIGNS - DAYS) * DAY_S
    events = _events(account, rng, begin)
    month = Month()
    with Sandbox(account, clock=SimulatedClock(time)) as zoho:
        zoho.switches.token_limit = None
        state: dict[str, t.Any] | None = None
        seen: dict[tuple[str, str], int] = {}
        opened: dict[tuple[str, str], list[float]] = {}
        hidden = dict(account.campaigns)
        end, next_event = time.now + DAYS * DAY_S, 0
        middle = time.now + DAYS * DAY_S / 2
        while time.now < end:
            account.campaigns = {
                key: each for key, each in hidden.items() if (each.sent_at or 0) <= time.now
            }
            while next_event < len(events) and events[next_event].at <= time.now:
                _happen(account, events[next_event], opened)
                next_event += 1
            zoho.reset_log()
            state, records = _run(zoho, time, state, page_rows, reread_after_days)
            calls = sum(each.endpoint != "token" for each in zoho.requests)
            is_first = not seen
            _arrive(records, seen, opened, None if is_first else month, time.now)
            if not is_first:
                month.calls += calls
                month.busiest_run = max(month.busiest_run, calls)
            if not month.calls_for_everything and time.now >= middle:
                month.calls_for_everything = _everything(zoho, time, page_rows)
            time.now += every_s
    return month


def _everything(zoho: Sandbox, time: Time, page_rows: int) -> dict[str, int]:
    """Count the calls of programs that read everything, and of this tap without a state."""
    zoho.reset_log()
    _run(zoho, time, None, page_rows, 0)
    calls = {THIS_TAP: sum(each.endpoint != "token" for each in zoho.requests)}
    server = Server(zoho.url, {})
    for peer in (DLT, AIRBYTE, PLAIN_SDK):
        costs = peer.run(server, in_flight=1, page_size=PEERS_PAGE_ROWS)
        calls[peer.name] = costs.calls.total() - costs.calls["token"]
    return calls


def _events(account: Account, rng: random.Random, begin: float) -> list[Event]:
    """Have the campaigns sent, and return what their recipients will do, in order."""
    events = []
    for number in range(CAMPAIGNS):
        size = round(2_000 * 25 ** rng.random()) // SCALE
        sent_at = begin + number * DAY_S + 9 * 3600
        campaign = make_campaign(
            account, f"{number}", sent_at=sent_at, recipients=size, opened=0, hard=size // 100
        )
        for contact in campaign.mail.contacts("unopenedcontacts"):
            email = contact.email or ""
            if rng.random() > SHARE_OF_OPENERS:
                continue
            at = sent_at + rng.expovariate(0.693 / HALF_OF_OPENS_S)
            events.append(Event(at, "open", campaign.key, email))
            if rng.random() < SHARE_OF_REPEATS:
                again = at + rng.expovariate(1 / (3 * DAY_S))
                events.append(Event(again, "open", campaign.key, email))
            if rng.random() < SHARE_OF_CLICKERS / SHARE_OF_OPENERS:
                events.append(Event(at + 60, "click", campaign.key, email))
            if rng.random() < SHARE_OF_OPTOUTS / SHARE_OF_OPENERS:
                events.append(Event(at + 90, "optout", campaign.key, email))
    return sorted(events)


def _happen(account: Account, event: Event, opened: dict[tuple[str, str], list[float]]) -> None:
    if event.key not in account.campaigns:
        return
    getattr(account, event.kind)(event.key, event.email, at=event.at)
    if event.kind == "open":
        opened.setdefault((event.key, event.email.lower()), []).append(event.at)


def _arrive(
    records: list[dict[str, t.Any]],
    seen: dict[tuple[str, str], int],
    opened: dict[tuple[str, str], list[float]],
    month: Month | None,
    now: float,
) -> None:
    """Note how late opens are that have arrived."""
    for record in records:
        who, number = (record["campaign_key"], record["contact_email"]), record["event_number"]
        if number > seen.get(who, 0):
            seen[who] = number
            times = sorted(opened.get(who, ()))
            if month is not None and number <= len(times):
                late_s = now - times[number - 1]
                (month.first_opens_s if number == 1 else month.repeats_s).append(late_s)


def _run(
    zoho: Sandbox,
    time: Time,
    state: dict[str, t.Any] | None,
    page_rows: int,
    reread_after_days: int,
) -> tuple[dict[str, t.Any], list[dict[str, t.Any]]]:
    """Run the tap; return its last state and the opens that came."""
    config = {
        "access_token": zoho.account.access_token,
        "api_url": zoho.url,
        "accounts_url": zoho.url,
        "page_size": page_rows,
        "reread_after_days": reread_after_days,
        "rate_limit_store": "memory",
        "rate_limit_calls": 1_000_000,
    }
    kind = type(
        "Tap",
        (TapZohoCampaignsRecipients,),
        {"clock_class": staticmethod(lambda: SimulatedClock(time))},
    )
    output = io.StringIO()
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(output):
            kind(config=config, state=json.loads(json.dumps(state)) if state else None).sync_all()
    finally:
        logging.disable(logging.NOTSET)
    messages = [json.loads(line) for line in output.getvalue().splitlines()]
    states = [each["value"] for each in messages if each["type"] == "STATE"]
    opens = [
        each["record"]
        for each in messages
        if each["type"] == "RECORD" and each["stream"] == "open_events"
    ]
    return states[-1], opens


def month_of_calls(runs: int, say: Say) -> Table:
    """Measure the calls of a month, nightly and hourly."""
    del runs
    table = Table(
        "Calls of a month",
        "Sixty campaigns of 2 000 to 50 000 recipients, one a day, over thirty simulated days; all "
        "default streams. Neighbouring pages share a row, which weighs more at this scale: there "
        "are up to a tenth too many calls. *Late*: from an open to the run that brought it, in "
        "days. *Everything each time* is one run in the middle of the month of a program that reads"
        " all lists of all campaigns with every run (pages of 500), times the runs of the month.",
        (
            "runs",
            "calls",
            "in the busiest run",
            "of Zoho's limit",
            "first opens late, median",
            "at worst",
            "repeats late, median",
            "at worst",
            "everything each time, one run",
            "in the month, times as many",
        ),
    )
    for name, every_s, page_size, days in CASES:
        month = play(every_s, page_size // SCALE, days)
        times = round(DAYS * DAY_S / every_s)
        a_day = month.calls / DAYS
        everything = month.calls_for_everything
        table.add(
            f"{name}, page_size {page_size}, reread_after_days {days}",
            count(month.calls),
            count(month.busiest_run),
            f"{a_day / ZOHO_CALLS_A_DAY:.2%}",
            _days(month.first_opens_s, statistics.median),
            _days(month.first_opens_s, max),
            _days(month.repeats_s, statistics.median),
            _days(month.repeats_s, max),
            ", ".join(f"{name} {count(calls)}" for name, calls in everything.items()),
            ", ".join(f"{calls * times / month.calls:.1f}" for calls in everything.values()),
        )
        say(f"    {' | '.join(table.rows[-1])}")
    return table


def _days(seconds: list[float], of: Callable[[list[float]], float]) -> str:
    return f"{of(seconds) / DAY_S:.2f}" if seconds else ""
