"""The rows of one reading of a list as records of its streams."""

from __future__ import annotations

import typing as t

from tap_zoho_campaigns_recipients.sync.reader import Delivery
from tap_zoho_campaigns_recipients.zoho.events import FIELDS_OF_EVENTS, event_records
from tap_zoho_campaigns_recipients.zoho.pagination import Row
from tap_zoho_campaigns_recipients.zoho.records import RecordMaker

if t.TYPE_CHECKING:
    from collections.abc import Sequence
    from zoneinfo import ZoneInfo

    from tap_zoho_campaigns_recipients.sync.reader import Record
    from tap_zoho_campaigns_recipients.sync.run_log import RunLog
    from tap_zoho_campaigns_recipients.sync.selected_stream import SelectedStream
    from tap_zoho_campaigns_recipients.zoho.campaigns import Campaign
    from tap_zoho_campaigns_recipients.zoho.endpoints import ResponseFormat
    from tap_zoho_campaigns_recipients.zoho.pagination import FromIndexPaginator
    from tap_zoho_campaigns_recipients.zoho.responses import Response


class ListRecords:
    """Makes the records of one reading."""

    def __init__(
        self,
        recipients: SelectedStream | None,
        events: SelectedStream | None,
        campaign: Campaign,
        action: str,
        list_read_at: str,
        account_timezone: ZoneInfo | None,
        response_format: ResponseFormat,
    ) -> None:
        """Prepare for any number of pages.

        Args:
            recipients: The stream that gets a record for each row.
            events: The stream that gets a record for each open or click.
            campaign: The campaign that the list belongs to.
            action: Zoho's name of the list.
            list_read_at: When the reading began, as ISO 8601 text.
            account_timezone: The zone of wall-clock times, if it is known.
            response_format: The format of the rows.
        """
        self._recipients = recipients
        self._events = events
        self._action = action
        self._account_timezone = account_timezone
        fields = tuple(recipients.properties) if recipients else FIELDS_OF_EVENTS[action]
        self._maker = RecordMaker(
            action=action,
            fields=fields,
            campaign_key=campaign.key,
            parent_campaign_key=campaign.parent_key,
            skew_ms=campaign.skew_ms,
            account_timezone=account_timezone,
            response_format=response_format,
            list_read_at=list_read_at,
        )
        self._where = f"{(recipients or events or self).name} of campaign {campaign.key}"
        self._unreadable_rows = 0
        self.latest_sent: str | None = None
        """The latest `sent_time` of the rows."""
        self.has_events = False
        """Whether any row had an event."""

    name = "a list"

    def page(self, response: Response) -> list[Row[Record | None]]:
        """Return the rows of a page as the paginator needs them."""
        maker = self._maker
        page: list[Row[Record | None]] = []
        for row in response.rows:
            record = maker.make(row)
            key = None if record is None else record["contact_email"]
            page.append(Row(maker.identity(row, record), key, record))
        self._unreadable_rows += response.unreadable_rows
        return page

    def deliveries(self, new: Sequence[Record]) -> list[Delivery]:
        """Return what each stream gets of new records."""
        latest = max((each["sent_time"] for each in new if each["sent_time"]), default=None)
        if latest is not None:
            self.latest_sent = max(latest, self.latest_sent or latest)
        deliveries = []
        if self._recipients is not None:
            deliveries.append(Delivery(self._recipients, new))
        if self._events is not None:
            zone, action = self._account_timezone, self._action
            events = [event for each in new for event in event_records(each, action, zone)]
            self.has_events = self.has_events or bool(events)
            deliveries.append(Delivery(self._events, events))
        return deliveries

    def warn(self, log: RunLog, paginator: FromIndexPaginator[Record | None]) -> None:
        """Warn about rows that could not all be read, or not reliably."""
        where = self._where
        if paginator.unstable:
            log.warning_once(
                "order",
                "Zoho does not keep the order of rows between pages (first seen in %s): rows may "
                "be missing",
                where,
            )
        if paginator.expected is not None and paginator.expected != paginator.rows:
            text = "%s: %d rows were read, the report says %d"
            log.warning(text, where, paginator.rows, paginator.expected)
        for count, what in (
            (
                paginator.unkeyed - self._unreadable_rows,
                "rows have neither an address nor a contact ID and were left out",
            ),
            (paginator.duplicates, "rows repeat an address of the list and were left out"),
            (self._unreadable_rows, "rows are not objects and were left out"),
        ):
            if count > 0:
                log.warning("%s: %d %s", where, count, what)
        if self._maker.unread_values:
            fields = ", ".join(
                f"{name} {count}" for name, count in sorted(self._maker.unread_values.items())
            )
            log.warning("%s: values that cannot be read are in custom_fields: %s", where, fields)
