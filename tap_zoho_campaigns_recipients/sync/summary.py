"""What became of a run, for its last line."""

from __future__ import annotations

import typing as t
from collections import Counter
from dataclasses import dataclass, field

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_zoho_campaigns_recipients.zoho.endpoints import Endpoint


@dataclass(slots=True)
class Summary:
    """What became of a run. Campaigns are given by their keys."""

    open: set[str] = field(default_factory=set)
    """Not yet finished when the run began."""
    closed: set[str] = field(default_factory=set)
    """Finished before the run began."""
    read: set[str] = field(default_factory=set)
    """Of these a list was read, or the report where no list is selected."""
    unchanged: set[str] = field(default_factory=set)
    """Of these a list was left out, for its report showed no change."""
    unchanged_lists: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    """Rows by stream."""

    def line(
        self,
        *,
        refused: int,
        calls: Mapping[Endpoint, int],
        waited_seconds: float,
        has_failed: bool,
    ) -> str:
        """Return it in one line.

        Args:
            refused: Campaigns that Zoho refused, or that could not be read.
            calls: Requests sent, by endpoint.
            waited_seconds: How long requests were held back.
            has_failed: Whether the run has failed, or was ended.
        """
        return (
            f"Run {'failed' if has_failed else 'succeeded'}. "
            f"Campaigns: {len(self.open)} open, {len(self.read)} read, "
            f"left out: {len(self.unchanged - self.read)} unchanged, {len(self.closed)} closed, "
            f"{refused} refused. Lists unchanged: {self.unchanged_lists}. "
            f"Rows: {_counts(self.rows)}. Calls: {_counts(calls)}. Waited {waited_seconds:.0f} s"
        )


def _counts(counts: Mapping[str, int] | Mapping[Endpoint, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"
