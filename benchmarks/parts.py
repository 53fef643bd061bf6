"""The measurements: each serves its accounts, runs who is to be compared, and returns a table."""

from __future__ import annotations

import math
import statistics
import typing as t
from collections import Counter
from dataclasses import dataclass

from benchmarks.contenders import (
    AIRBYTE,
    BARE_LOOP,
    DLT,
    DLT_UNCOMPRESSED,
    PAGE_SIZE,
    PLAIN_SDK,
    TAP_JSON,
    TAP_XML,
)
from benchmarks.month import month_of_calls
from benchmarks.peers.order import ACTIONS, LISTING_PAGE_ROWS
from benchmarks.server import serving
from benchmarks.tables import Table, count, megabytes, number

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.contenders import Contender, Costs
    from benchmarks.server import Row, Server

DEFAULT_IN_FLIGHT = 4
MOST_IN_FLIGHT = 8
SENT = ("sentcontacts",)
SMALL_LIST_RECIPIENTS = 40
"""Such a campaign has 84 rows in its nine lists."""

CAMPAIGNS_AND_RUNS = {0: 9, 10: 9, 100: 5, 1_000: 0, 5_000: 1}
"""How often each number of campaigns is run: short runs vary more; 0: as often as all else."""

PEERS = (DLT, DLT_UNCOMPRESSED, AIRBYTE, PLAIN_SDK)

Say = t.Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Entry:
    """A contender with what it is told."""

    contender: Contender
    in_flight: int = DEFAULT_IN_FLIGHT
    actions: tuple[str, ...] = ACTIONS
    runs_once: bool = False
    """Whether one run says it all: it waits for one response after the other, or is far behind."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The medians of an entry's runs."""

    entry: Entry
    wall_s: float
    cpu_s: float
    peak_bytes: float
    last: Costs
    verdict: str
    """Whether the right rows came."""

    @property
    def cpu_us_per_row(self) -> float:
        """Processor time for each row, in microseconds."""
        return self.cpu_s / self.last.rows * 1e6


def measured(
    server: Server, entries: Sequence[Entry], runs: int, say: Say, *, checks_rows: bool = False
) -> list[Measured]:
    """Run all in turns, so that a slow minute of the machine hits each of them.

    Args:
        server: Serves the account.
        entries: What to run.
        runs: How often.
        say: Takes a line of progress.
        checks_rows: Whether the rows of all nine lists in the first run are compared with the
            sandbox's own account, one by one.
    """
    truth = server.truth() if checks_rows else None
    verdicts = ["" for _ in entries]
    results: list[list[Costs]] = [[] for _ in entries]
    for is_first in (n == 0 for n in range(runs)):
        for place, entry in enumerate(entries):
            if entry.runs_once and not is_first:
                continue
            costs = entry.contender.run(
                server,
                in_flight=entry.in_flight,
                actions=entry.actions,
                keeps_rows=is_first and checks_rows,
            )
            results[place].append(costs)
            if is_first and truth is not None:
                verdicts[place] = _verdict(truth, costs.delivered)
                costs.delivered.clear()
            say(
                f"    {entry.contender.name}, {entry.in_flight} in flight: {costs.rows} rows, "
                f"{costs.calls.total()} calls, {costs.cpu_s:.2f} s CPU, {costs.wall_s:.2f} s "
                f"{verdicts[place]}"
            )
    return [
        Measured(
            entry,
            statistics.median(each.wall_s for each in costs),
            statistics.median(each.cpu_s for each in costs),
            statistics.median(each.peak_bytes for each in costs),
            costs[-1],
            verdict,
        )
        for entry, costs, verdict in zip(entries, results, verdicts, strict=True)
    ]


def _verdict(truth: Counter[Row], delivered: Counter[Row]) -> str:
    missing, surplus = (truth - delivered).total(), (delivered - truth).total()
    return f"{missing} missing, {surplus} too many" if missing or surplus else "all, each once"


# Many rows, many lists


def many_rows(runs: int, say: Say) -> Table:
    """Measure long lists: what a row costs."""
    entries = [Entry(each) for each in (TAP_JSON, TAP_XML, BARE_LOOP, *PEERS)]
    with serving(6, 10_000) as server:
        return _comparison(
            "Many rows",
            "Six campaigns of 10 000 recipients, all nine lists, "
            f"{DEFAULT_IN_FLIGHT} requests in flight.",
            measured(server, entries, runs, say, checks_rows=True),
        )


def many_lists(runs: int, say: Say) -> Table:
    """Measure many small lists: what a call costs."""
    entries = [Entry(each, runs_once=each is PLAIN_SDK) for each in (TAP_JSON, BARE_LOOP, *PEERS)]
    with serving(300, SMALL_LIST_RECIPIENTS) as server:
        return _comparison(
            "Many small lists",
            f"300 campaigns of {SMALL_LIST_RECIPIENTS} recipients, all nine lists, "
            f"{DEFAULT_IN_FLIGHT} requests in flight. The plain SDK tap is run once.",
            measured(server, entries, runs, say, checks_rows=True),
        )


def _comparison(title: str, says: str, results: Sequence[Measured]) -> Table:
    table = Table(
        title,
        says,
        (
            "",
            "rows",
            "delivered",
            "calls",
            "wall s",
            "rows/s",
            "CPU s",
            "CPU µs/row",
            "CPU, tap = 1",
            "peak MB",
        ),
    )
    own = results[0].cpu_s
    for each in results:
        table.add(
            each.entry.contender.name,
            count(each.last.rows),
            each.verdict,
            count(each.last.calls.total()),
            number(each.wall_s),
            count(each.last.rows / each.wall_s),
            number(each.cpu_s),
            number(each.cpu_us_per_row),
            number(each.cpu_s / own),
            megabytes(each.peak_bytes),
        )
    return table


# Latency


def latency(runs: int, say: Say) -> Table:
    """Measure how much of a slow server's latency requests in parallel hide."""
    table = Table(
        "With a server's latency",
        "*Needed* are the pages of the listing and of the lists; the tap asks for each campaign's "
        "report besides. Where a program waits for one response after the other it is run once.",
        ("", "in flight", "wall s", "the tap with 1 = 1", "calls", "of them reports", "needed"),
    )
    for what, campaigns, recipients, seconds, actions in (
        ("one list of 60 000 rows, 0.2 s", 1, 60_000, 0.2, SENT),
        ("40 lists of one page, 0.25 s", 40, SMALL_LIST_RECIPIENTS, 0.25, SENT),
        ("12 campaigns, all nine lists, 0.2 s", 12, 1_000, 0.2, ACTIONS),
    ):
        is_one_list = campaigns == len(actions)
        entries = [
            Entry(TAP_JSON, 1, actions, runs_once=True),
            Entry(TAP_JSON, MOST_IN_FLIGHT, actions),
            Entry(DLT, MOST_IN_FLIGHT, actions, runs_once=is_one_list),
            Entry(AIRBYTE, MOST_IN_FLIGHT, actions, runs_once=is_one_list),
            Entry(PLAIN_SDK, 1, actions, runs_once=True),
        ]
        with serving(campaigns, recipients) as server:
            say(f"  {what}")
            sizes = Counter((key, action) for key, action, _ in server.truth(actions).elements())
            lists = campaigns * len(actions)
            pages = sum(math.ceil(size / PAGE_SIZE) for size in sizes.values())
            needed = math.ceil(campaigns / LISTING_PAGE_ROWS) + pages + lists - len(sizes)
            TAP_JSON.run(server, in_flight=MOST_IN_FLIGHT, actions=actions)
            server.wait_before_answers(seconds)
            results = measured(server, entries, runs, say)
        for each in results:
            table.add(
                f"{what}: {each.entry.contender.name}",
                str(each.entry.in_flight),
                number(each.wall_s),
                number(results[0].wall_s / each.wall_s),
                count(each.last.calls.total()),
                count(each.last.calls["campaignreports"]),
                count(needed),
            )
    return table


# Memory


def memory(runs: int, say: Say) -> Table:
    """Measure how memory grows with the rows of a run, and of one list."""
    table = Table(
        "Memory",
        f"`sent_contacts` alone, {DEFAULT_IN_FLIGHT} requests in flight.",
        ("lists", "rows each", "rows", "peak MB", "more than the line before, MB", "bytes a row"),
    )
    before: Measured | None = None
    for campaigns, recipients in ((20, 5_000), (20, 50_000), (1, 10_000), (1, 250_000)):
        with serving(campaigns, recipients) as server:
            say(f"  {campaigns} lists of {recipients}")
            [each] = measured(server, [Entry(TAP_JSON, actions=SENT)], runs, say)
        more = rows = 0.0
        is_pair = before is not None and before.last.rows < each.last.rows
        if before is not None and is_pair:
            more = each.peak_bytes - before.peak_bytes
            rows = each.last.rows - before.last.rows
        table.add(
            str(campaigns),
            count(recipients),
            count(each.last.rows),
            megabytes(each.peak_bytes),
            megabytes(more) if is_pair else "",
            number(more / rows) if is_pair else "",
        )
        before = each
    return table


# Scale


def scale(runs: int, say: Say) -> Table:
    """Measure whether a row costs the same however many campaigns there are."""
    table = Table(
        "From 10 to 5 000 campaigns",
        f"Campaigns of {SMALL_LIST_RECIPIENTS} recipients, all nine lists, all open, "
        f"{DEFAULT_IN_FLIGHT} requests in flight. *Less start*: without what a run costs that "
        "finds no campaign. The largest is run once.",
        (
            "campaigns",
            "rows",
            "calls",
            "CPU s",
            "CPU µs/row",
            "less start",
            "10 campaigns = 1",
            "peak MB",
            "output MB",
            "of it STATE",
        ),
    )
    start_s = first = 0.0
    for campaigns, often in CAMPAIGNS_AND_RUNS.items():
        with serving(campaigns, SMALL_LIST_RECIPIENTS) as server:
            say(f"  {campaigns} campaigns")
            [each] = measured(server, [Entry(TAP_JSON)], often or runs, say)
        if not campaigns:
            start_s = each.cpu_s
            table.add("0", "0", count(each.last.calls.total()), number(each.cpu_s))
            continue
        net_us = (each.cpu_s - start_s) / each.last.rows * 1e6
        first = first or net_us
        table.add(
            count(campaigns),
            count(each.last.rows),
            count(each.last.calls.total()),
            number(each.cpu_s),
            number(each.cpu_us_per_row),
            number(net_us),
            number(net_us / first),
            megabytes(each.peak_bytes),
            megabytes(each.last.output_bytes),
            f"{each.last.state_bytes / each.last.output_bytes:.1%}",
        )
    return table


PARTS: dict[str, Callable[[int, Say], Table]] = {
    "rows": many_rows,
    "lists": many_lists,
    "latency": latency,
    "memory": memory,
    "scale": scale,
    "month": month_of_calls,
}
