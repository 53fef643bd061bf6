"""The streams."""

from __future__ import annotations

import typing as t

from tap_zoho_campaigns_recipients.singer.base_stream import BaseStream
from tap_zoho_campaigns_recipients.sync.selected_stream import Content


class Campaigns(BaseStream):
    """The campaigns of this run."""

    name = "campaigns"
    content = Content.CAMPAIGNS
    primary_keys = ("campaign_key",)
    replication_key = None


class CampaignReports(BaseStream):
    """The report of each open campaign, once a run."""

    name = "campaign_reports"
    content = Content.REPORTS
    primary_keys = ("campaign_key",)
    replication_key = "report_read_at"


class CampaignLocations(BaseStream):
    """The opens of each open campaign by place, from the same reports."""

    name = "campaign_locations"
    content = Content.LOCATIONS
    primary_keys = ("campaign_key", "location")
    replication_key = "report_read_at"


class CampaignDetails(BaseStream):
    """The details of each campaign whose report has changed; costs calls of its own."""

    name = "campaign_details"
    content = Content.DETAILS
    primary_keys = ("campaign_key",)
    replication_key = "details_read_at"
    selected_by_default = False


class ListReadings(BaseStream):
    """The whole readings of lists: which rows are in a list now."""

    name = "list_readings"
    content = Content.READINGS
    primary_keys = ("campaign_key", "action")
    replication_key = "list_read_at"


class RecipientStream(BaseStream):
    """The list of one recipient action."""

    content = Content.RECIPIENTS
    primary_keys = ("campaign_key", "contact_email")
    replication_key = "sent_time"


class SentContacts(RecipientStream):
    """Who the campaign was sent to."""

    name = "sent_contacts"
    action = "sentcontacts"


class OpenedContacts(RecipientStream):
    """Who opened it. An open moves a contact here from the unopened list."""

    name = "opened_contacts"
    action = "openedcontacts"


class ClickedContacts(RecipientStream):
    """Who clicked a link in it."""

    name = "clicked_contacts"
    action = "clickedcontacts"


class UnopenedContacts(RecipientStream):
    """Who did not open it."""

    name = "unopened_contacts"
    action = "unopenedcontacts"


class OptoutContacts(RecipientStream):
    """Who opted out through it."""

    name = "optout_contacts"
    action = "optoutcontacts"


class SpamContacts(RecipientStream):
    """Who reported it as spam."""

    name = "spam_contacts"
    action = "spamcontacts"


class HardBounceContacts(RecipientStream):
    """Whose address does not exist."""

    name = "hard_bounce_contacts"
    action = "senthardbounce"


class SoftBounceContacts(RecipientStream):
    """Whose mailbox did not accept it this time."""

    name = "soft_bounce_contacts"
    action = "sentsoftbounce"


class UnsentContacts(RecipientStream):
    """Who it was not sent to."""

    name = "unsent_contacts"
    action = "unsentcontacts"


class EventStream(BaseStream):
    """The events in the rows of one list."""

    content = Content.EVENTS
    primary_keys = ("campaign_key", "contact_email", "event_number")
    replication_key = "list_read_at"


class OpenEvents(EventStream):
    """Each open, with its time."""

    name = "open_events"
    action = "openedcontacts"


class ClickEvents(EventStream):
    """Each click, with its time and its link."""

    name = "click_events"
    action = "clickedcontacts"


STREAMS: t.Final[tuple[type[BaseStream], ...]] = (
    CampaignDetails,
    CampaignLocations,
    CampaignReports,
    Campaigns,
    ClickEvents,
    ClickedContacts,
    HardBounceContacts,
    ListReadings,
    OpenEvents,
    OpenedContacts,
    OptoutContacts,
    SentContacts,
    SoftBounceContacts,
    SpamContacts,
    UnopenedContacts,
    UnsentContacts,
)

STREAM_NAMES: t.Final = tuple(t.cast("t.Any", stream).name for stream in STREAMS)
