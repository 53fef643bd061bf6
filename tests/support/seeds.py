"""Plays many seeds side by side, in processes of their own, and names those that went wrong."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
import typing as t
from collections import Counter
from dataclasses import dataclass, field

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MOST_PROCESSES = 4
SEEDS_OF_A_PROCESS = 20
"""A run leaves its threads waiting for work: after some seeds the process is a new one."""


@dataclass
class Played:
    """What became of one seed."""

    seed: int
    trouble: str | None
    count: Counter[str] = field(default_factory=Counter)


def command(module: str, seed: int) -> str:
    """Return the command that plays a seed again."""
    return f"python -m support.{module} --seed {seed}"


def sums(played: Iterable[Played]) -> str:
    """Return what was counted."""
    total = sum((each.count for each in played), Counter[str]())
    return ", ".join(f"{what} {number}" for what, number in total.items())


def play_all(
    module: str,
    play: Callable[[int], Played],
    summary: Callable[[Iterable[Played]], str] = sums,
    say: Callable[[str], object] = sys.stdout.write,
) -> int:
    """Play the seeds that the command line chooses; return an exit code.

    Args:
        module: The module of this package that is run.
        play: Plays a seed; a function of a module.
        summary: Says what all of them did.
        say: Takes what is to be printed.
    """
    parser = argparse.ArgumentParser(prog=f"python -m support.{module}")
    parser.add_argument("seeds", nargs="?", type=int, default=500, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="this one only")
    chosen = parser.parse_args()
    seeds = range(chosen.first, chosen.first + chosen.seeds)
    if chosen.seed is not None:
        seeds = range(chosen.seed, chosen.seed + 1)
    begin = time.monotonic()
    played = []
    with multiprocessing.get_context("spawn").Pool(
        min(os.cpu_count() or 1, MOST_PROCESSES), maxtasksperchild=SEEDS_OF_A_PROCESS
    ) as pool:
        for each in pool.imap(play, seeds):
            played.append(each)
            if each.trouble:
                say(f"seed {each.seed}: {each.trouble}\n  again: {command(module, each.seed)}\n")
            elif len(played) % SEEDS_OF_A_PROCESS == 0:
                say(f"{len(played)} of {len(seeds)}, {time.monotonic() - begin:.0f} s\n")
            sys.stdout.flush()
        # Not left to `with`: it ends its processes by a signal, for which the tap has a handler.
        pool.close()
        pool.join()
    wrong = [each.seed for each in played if each.trouble]
    say(f"{len(played)} in {time.monotonic() - begin:.0f} s. {summary(played)}\n")
    say(f"{len(wrong)} went wrong: {wrong}\n" if wrong else "All is well.\n")
    return 1 if wrong else 0
