# ruff: noqa: SLF001 - it breaks what is private
"""One rule of the tap broken at a time: histories and storms must notice each.

python -m support.history_mutants          break every rule, and say which seed noticed it
python -m support.history_mutants --only "no re-reading"
"""

from __future__ import annotations

import argparse
import sys
import typing as t
from dataclasses import replace

from support import history, storm
from tap_zoho_campaigns_recipients.sync import (
    engagement_window,
    finished,
    list_bookmarks,
    list_reader,
    listing,
    state_keeper,
)
from tap_zoho_campaigns_recipients.sync.bookmarks import StreamState
from tap_zoho_campaigns_recipients.sync.scheduler import Scheduler
from tap_zoho_campaigns_recipients.zoho import pagination
from tap_zoho_campaigns_recipients.zoho.timestamps import DAY_MS

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_zoho_campaigns_recipients.sync.reader import Delivery

MOST_SEEDS = 40
"""A broken rule must be noticed within so many histories or storms."""


class Patch:
    """Replaces attributes, and puts them back."""

    def __init__(self) -> None:
        self._old: list[tuple[t.Any, str, t.Any]] = []

    def set(self, owner: t.Any, name: str, value: object) -> t.Any:
        old = getattr(owner, name)
        self._old.append((owner, name, old))
        setattr(owner, name, value)
        return old

    def undo(self) -> None:
        for owner, name, value in reversed(self._old):
            setattr(owner, name, value)


def no_rereading(patch: Patch) -> None:
    patch.set(list_bookmarks, "is_old", lambda *_, **__: False)


def closing_a_day_early(patch: Patch) -> None:
    old = engagement_window.EngagementWindow._is_over
    patch.set(
        engagement_window.EngagementWindow,
        "_is_over",
        lambda self, sent_ms: old(self, None if sent_ms is None else sent_ms - DAY_MS),
    )


def no_overlap(patch: Patch) -> None:
    old = pagination.FromIndexPaginator._share

    def share(self: t.Any, page: t.Any) -> None:
        old(self, page)
        self.index += self._overlap
        self._last = []

    patch.set(pagination.FromIndexPaginator, "_share", share)


def exceptions_forgotten(patch: Patch) -> None:
    patch.set(StreamState, "leave_out", lambda *_: None)
    old = finished.Finished.compact

    def compact(self: t.Any, listed: t.Any, *, until_ms: int) -> t.Any:
        known = {each.key_hash for each in listed}
        return replace(old(self, listed, until_ms=until_ms), without=self.without & known)

    patch.set(finished.Finished, "compact", compact)


def state_before_rows(patch: Patch) -> None:
    old = Scheduler._read

    def read(self: t.Any, readers: t.Any) -> Iterator[Delivery]:
        held: list[Delivery] = []
        for delivery in old(self, readers):
            held.append(delivery)
            if len(held) > 3:
                yield held.pop(0)
        yield from held

    patch.set(Scheduler, "_read", read)


def report_after_the_reading(patch: Patch) -> None:
    """Take the report's count from what was read, as a report that came later would say."""
    old = list_reader.ListReader.finish

    def finish(self: t.Any) -> bool:
        if self._report is not None and self._paginator is not None:
            first = next(iter(self._report.counts), "")
            counts = {**self._report.counts, first: self._paginator.rows}
            self._report = replace(self._report, counts=counts, count=self._paginator.rows)
        return bool(old(self))

    patch.set(list_reader.ListReader, "finish", finish)


def cut_off_readings_forgotten(patch: Patch) -> None:
    patch.set(list_bookmarks.ListBookmarks, "mark", lambda _: False)


def one_listing_is_proof(patch: Patch) -> None:
    patch.set(state_keeper.StateKeeper, "drop_gone", _drop_at_once)
    patch.set(listing, "_is_whole", lambda *_: True)


def _drop_at_once(self: t.Any) -> None:
    for stream in self._streams:
        for key in list(stream.state.partitions):
            if key not in self._found.keys:
                stream.state.finish(key, None)


def one_6303_is_proof(patch: Patch) -> None:
    old = pagination.FromIndexPaginator._ends_empty

    def ends_empty(self: t.Any) -> bool:
        self._asked_again = True
        ends = bool(old(self))
        self.broken_off = False
        return ends

    patch.set(pagination.FromIndexPaginator, "_ends_empty", ends_empty)
    patch.set(list_bookmarks.ReadingResult, "is_complete", property(lambda _: True))


def short_pages_are_proof(patch: Patch) -> None:
    old = pagination.FromIndexPaginator._ends

    def ends(self: t.Any, asked: int, page: t.Any, **how: t.Any) -> bool:
        return len(page) < asked or bool(old(self, asked, page, **how))

    patch.set(pagination.FromIndexPaginator, "_ends", ends)


RULES: dict[str, tuple[Callable[[Patch], None], str]] = {
    "no re-reading": (no_rereading, "history"),
    "closing a day early": (closing_a_day_early, "history"),
    "no overlap of pages": (no_overlap, "storm"),
    "exceptions forgotten": (exceptions_forgotten, "history"),
    "STATE before rows": (state_before_rows, "storm"),
    "report after the reading": (report_after_the_reading, "history"),
    "readings that were cut off forgotten": (cut_off_readings_forgotten, "history"),
    "one listing is proof": (one_listing_is_proof, "history"),
    "one 6303 is proof": (one_6303_is_proof, "history"),
    "short pages are proof": (short_pages_are_proof, "history"),
}
"""The broken rules, and what should notice each."""


def noticed_by(rule: str) -> tuple[int, str] | None:
    """Break a rule; return the seed that noticed it and what it said, None if none did."""
    break_it, by = RULES[rule]
    patch = Patch()
    break_it(patch)
    try:
        for seed in range(MOST_SEEDS):
            trouble = (
                history.play(seed).trouble
                if by == "history"
                else storm.blow(seed, with_processes=False).trouble
            )
            if trouble is not None:
                return seed, trouble.splitlines()[-1] if trouble else ""
    finally:
        patch.undo()
    return None


def main() -> int:
    """Break every rule, and say what noticed it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=RULES)
    only = parser.parse_args().only
    unnoticed = []
    for rule in [only] if only else RULES:
        found = noticed_by(rule)
        if found is None:
            unnoticed.append(rule)
        seed, said = found or ("-", f"not noticed by {MOST_SEEDS} seeds")
        sys.stdout.write(f"{rule}: {RULES[rule][1]} {seed}: {said[:150]}\n")
        sys.stdout.flush()
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main())
