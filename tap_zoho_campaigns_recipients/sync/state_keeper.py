"""What a run makes of the state as a whole: campaigns that are gone, and a small size."""

from __future__ import annotations

import typing as t

from tap_zoho_campaigns_recipients.sync.finished import SETTLING_MS, key_hash
from tap_zoho_campaigns_recipients.sync.selected_stream import Content

if t.TYPE_CHECKING:
    import logging
    from collections.abc import Sequence

    from tap_zoho_campaigns_recipients.sync.bookmarks import State
    from tap_zoho_campaigns_recipients.sync.discovery import Found
    from tap_zoho_campaigns_recipients.sync.engagement_window import EngagementWindow
    from tap_zoho_campaigns_recipients.sync.selected_stream import SelectedStream

COMPACT_EVERY = 50
"""The state is compacted when it names so many more finished campaigns than after the last time.
Compacting looks at every campaign."""


class StateKeeper:
    """Keeps the state of a run small and true."""

    def __init__(
        self,
        state: State,
        found: Found,
        window: EngagementWindow,
        streams: Sequence[SelectedStream],
    ) -> None:
        """Start with the state as it was loaded.

        Args:
            state: The state.
            found: The campaigns of the run.
            window: The engagement window.
            streams: The selected streams.
        """
        self._state = state
        self._found = found
        self._window = window
        self._streams = [each for each in streams if each.state is not None]
        self._named: dict[str, int] = {}

    def compact(self, *, is_last: bool = False) -> None:
        """Make the state small.

        Args:
            is_last: Whether this is the last time; otherwise only what has grown is compacted.
        """
        # By a wrong clock, young campaigns could seem old, and become part of a range.
        if not self._found.is_whole or not self._window.closes:
            return
        until_ms = self._window.now_ms() - SETTLING_MS
        for stream in self._streams:
            if stream.state is None:
                continue
            named = self._named.setdefault(stream.name, len(stream.state.finished.named))
            if is_last or len(stream.state.finished.named) - named >= COMPACT_EVERY:
                finished = stream.state.finished.compact(self._found.listed, until_ms=until_ms)
                stream.state.finished = finished
                self._named[stream.name] = len(finished.named)

    def warn_of_unaccounted(self, logger: logging.Logger) -> None:
        """Warn if the listing shows campaigns where all are said to be finished."""
        if not self._found.is_whole:
            return
        counts = [
            stream.state.finished.unaccounted(self._found.listed)
            for stream in self._streams
            if stream.state is not None
        ]
        if most := max(counts, default=0):
            logger.warning(
                "%d campaigns are listed now that were not listed when all others of their time "
                "were closed: only a full refresh reads them",
                most,
            )

    def drop_gone(self) -> None:
        """Drop bookmarks of campaigns past their window that no listing shows any more.

        One listing proves nothing: a campaign must be missing from whole listings on several days,
        and even then it would be read if it came back.
        """
        if not self._found.is_whole:
            return
        observations, now_ms = self._state.observations, self._window.now_ms()
        listed = {key_hash(key) for key in self._found.keys}
        # A variant is known to exist as long as its A/B campaign is.
        for parent, variants in self._state.variants.items():
            if parent in listed:
                listed.update(variants)
        kept: set[str] = set()
        for stream in self._streams:
            if stream.state is None:
                continue
            for key, bookmark in list(stream.state.partitions.items()):
                hashed = key_hash(key)
                if (
                    hashed not in listed
                    and self._window.is_over(bookmark)
                    and observations.is_gone(hashed, now_ms)
                ):
                    del stream.state.partitions[key]
                    if stream.content is not Content.READINGS:
                        stream.state.leave_out(key)
                else:
                    kept.add(hashed)
        for hashed in set(observations.missing) - (kept - listed):
            del observations.missing[hashed]
