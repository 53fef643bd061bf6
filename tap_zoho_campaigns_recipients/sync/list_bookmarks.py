"""What a whole reading of a list makes of the bookmarks of its streams."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from tap_zoho_campaigns_recipients.sync.bookmarks import Bookmark
from tap_zoho_campaigns_recipients.sync.change_detection import (
    LAST_READINGS,
    LAST_READINGS_MS,
    is_changed,
    is_old,
    is_settled,
    may_read_last,
)
from tap_zoho_campaigns_recipients.sync.selected_stream import Content
from tap_zoho_campaigns_recipients.zoho.timestamps import iso_from_ms, ms_from_iso

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from tap_zoho_campaigns_recipients.sync.change_detection import ReportView
    from tap_zoho_campaigns_recipients.sync.run_log import RunLog
    from tap_zoho_campaigns_recipients.sync.selected_stream import SelectedStream
    from tap_zoho_campaigns_recipients.zoho.campaigns import Campaign


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingResult:
    """A list that was read whole."""

    read_at_ms: int
    """When the reading began."""
    rows: int
    report: ReportView | None
    """What the report said before the reading."""
    is_last: bool
    """Whether the reading began after the engagement window had passed."""
    is_stable: bool
    """Whether the server kept the order of rows and gave all of them, as far as can be seen."""
    latest_sent: str | None
    """The latest `sent_time` of the rows, or that of the campaign if the rows have none."""

    @property
    def report_count(self) -> int | None:
        """The number of rows by the report; None if it does not tell."""
        return None if self.report is None else self.report.count

    @property
    def is_complete(self) -> bool:
        """Whether nothing says that rows are missing."""
        count = self.report_count
        return self.is_stable and (count is None or self.rows >= count)

    def closes(self, before: Bookmark | None) -> bool:
        """Whether a last reading is the end: it is complete, or was repeated enough.

        Args:
            before: The bookmark of the stream before the reading.
        """
        if not self.is_last or self.is_complete or before is None:
            return self.is_last and self.is_complete
        since_ms = before.last_readings_since_ms
        return (
            before.last_readings >= LAST_READINGS - 1
            and since_ms is not None
            and self.read_at_ms - since_ms >= LAST_READINGS_MS
        )


def bookmark_after(
    before: Bookmark | None, result: ReadingResult, campaign: Campaign, value: str | None
) -> Bookmark:
    """Return the bookmark of a list that was read whole and stays open.

    Args:
        before: The bookmark before the reading.
        result: The reading.
        campaign: The campaign that the list belongs to.
        value: The latest value of the replication key.
    """
    report, readings, since_ms = result.report, 0, None
    if result.is_last:
        readings = 1 + (before.last_readings if before else 0)
        since_ms = (before and before.last_readings_since_ms) or result.read_at_ms
    return Bookmark(
        value,
        campaign.true_ms,
        result.read_at_ms,
        None if report is None else report.counts,
        None if report is None else report.numbers_hash,
        result.rows,
        settled=is_settled(before, report, result.rows),
        last_readings=readings,
        last_readings_since_ms=since_ms,
    )


@dataclass(frozen=True, slots=True)
class ListStreams:
    """The selected streams that one list is read for."""

    action: str
    """Zoho's name of the list."""
    recipients: SelectedStream | None = None
    events: SelectedStream | None = None
    readings: SelectedStream | None = None
    """`list_readings`; it tells only of readings that `recipients` gets."""

    @property
    def of_rows(self) -> tuple[SelectedStream, ...]:
        """The streams that are made of the list's rows."""
        return tuple(each for each in (self.recipients, self.events) if each is not None)


class ListBookmarks:
    """The bookmarks of one list: one for each stream that it is read for."""

    def __init__(
        self,
        streams: ListStreams,
        campaign: Campaign,
        may_finish: Callable[[SelectedStream, Campaign], bool],
    ) -> None:
        """Change nothing yet.

        Args:
            streams: The streams that the list is read for.
            campaign: The campaign that the list belongs to.
            may_finish: Whether a last reading may close the campaign for a stream.
        """
        self._streams = streams
        self._campaign = campaign
        self._may_finish = may_finish
        self._marked: set[SelectedStream] = set()

    def mark(self) -> bool:
        """Record that a reading may have begun, if the state calls the list settled.

        Returns:
            Whether the state has changed.
        """
        changed = False
        for stream in self._streams.of_rows:
            before = stream.bookmark(self._campaign)
            if stream.state and before and before.settled and not before.is_reading:
                stream.state.mark(self._campaign.key, is_reading=True)
                self._marked.add(stream)
                changed = True
        return changed

    def unmark(self) -> None:
        """Record that the list was not read after all."""
        for stream in self._marked:
            if stream.state is not None:
                stream.state.mark(self._campaign.key, is_reading=False)
        self._marked.clear()

    def _before(self, stream: SelectedStream) -> Bookmark | None:
        """Return the bookmark, without the mark that this reading has set itself."""
        before = stream.bookmark(self._campaign)
        return replace(before, is_reading=False) if before and stream in self._marked else before

    def is_due(
        self, report: ReportView | None, now_ms: int, reread_after_days: int, *, is_last: bool
    ) -> bool:
        """Whether any stream needs the list read.

        Args:
            report: What the report says about the list; None without a report.
            now_ms: The time, in epoch milliseconds.
            reread_after_days: The setting.
            is_last: Whether this would be a last reading.
        """
        hashed = f"{self._campaign.key} {self._streams.action}"
        for stream in self._streams.of_rows:
            if stream.is_finished(self._campaign):
                continue
            before = self._before(stream)
            if stream.state is None:
                return True
            if is_last:
                if may_read_last(before, now_ms):
                    return True
            elif is_changed(before, report) or is_old(
                before, hashed=hashed, now_ms=now_ms, reread_after_days=reread_after_days
            ):
                return True
        return not is_last and self._lacks_record()

    def _lacks_record(self) -> bool:
        """Whether `list_readings` has no record yet of a list that is open."""
        recipients, readings = self._streams.recipients, self._streams.readings
        if recipients is None or readings is None or recipients.is_finished(self._campaign):
            return False
        known = readings.bookmark(self._campaign)
        return known is None or self._streams.action not in known.actions

    def read_at_ms(self, now_ms: int) -> int:
        """Return when a reading begins: now, but later than any that the state knows of."""
        times = [now_ms]
        for stream in self._streams.of_rows:
            before = stream.bookmark(self._campaign)
            if before is not None and before.read_at_ms is not None:
                times.append(before.read_at_ms + 1)
        known = self._streams.readings and self._streams.readings.bookmark(self._campaign)
        if known and self._streams.action in known.actions:
            times.append(ms_from_iso(known.actions[self._streams.action]) + 1)
        return max(times)

    def closes(self, stream: SelectedStream, result: ReadingResult) -> bool:
        """Whether a reading closes the list for a stream."""
        is_closed = stream.is_finished(self._campaign)
        is_end = is_closed or result.closes(self._before(stream))
        return is_end and self._may_finish(stream, self._campaign)

    def save(self, result: ReadingResult, log: RunLog) -> bool:
        """Set the bookmarks after a whole reading, or close the campaign.

        Returns:
            Whether the state has changed.
        """
        changed = False
        for stream in self._streams.of_rows:
            if stream.state is None or stream.is_finished(self._campaign):
                continue
            changed = True
            if not self.closes(stream, result):
                is_of_events = stream.content is Content.EVENTS
                value = iso_from_ms(result.read_at_ms) if is_of_events else result.latest_sent
                stream.state.partitions[self._campaign.key] = bookmark_after(
                    self._before(stream), result, self._campaign, value
                )
                continue
            if not result.is_complete:
                log.warning(
                    "%s of campaign %s is closed, though rows seem to be missing: %d rows were "
                    "read, the report says %s",
                    stream.name,
                    self._campaign.key,
                    result.rows,
                    result.report_count,
                )
            stream.finish(self._campaign)
        return changed


def save_reading_record(
    readings: SelectedStream, campaign: Campaign, action: str, read_at_ms: int, *, closes: bool
) -> None:
    """Set the bookmark of `list_readings` after its record of a reading was delivered.

    Args:
        readings: `list_readings`.
        campaign: The campaign that the list belongs to.
        action: Zoho's name of the list.
        read_at_ms: When the reading began.
        closes: Whether the list closed with it, so that nothing needs to be known of it any more.
    """
    if readings.state is None:
        return
    before = readings.bookmark(campaign)
    actions = dict(before.actions) if before else {}
    actions.pop(action, None)
    if not closes:
        actions[action] = iso_from_ms(read_at_ms)
    if actions:
        readings.state.partitions[campaign.key] = Bookmark(
            max(actions.values()), campaign.true_ms, actions=actions
        )
    else:
        readings.state.partitions.pop(campaign.key, None)
