"""Finding the campaigns of a run: from the listing, from details, or by key alone."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from tap_zoho_campaigns_recipients.sync.finished import Listed, key_hash
from tap_zoho_campaigns_recipients.sync.listing import read_listing
from tap_zoho_campaigns_recipients.sync.selected_stream import Content
from tap_zoho_campaigns_recipients.zoho.account_offset import advice, contradiction, observations
from tap_zoho_campaigns_recipients.zoho.campaigns import (
    AB_TYPE,
    AB_VARIANTS,
    SENT_STATUS,
    Campaign,
    add_details,
    variant,
    variant_keys,
)
from tap_zoho_campaigns_recipients.zoho.endpoints import Endpoint

if t.TYPE_CHECKING:
    import logging
    from collections.abc import Mapping, Sequence

    from tap_zoho_campaigns_recipients.sync.bookmarks import State
    from tap_zoho_campaigns_recipients.sync.engagement_window import EngagementWindow
    from tap_zoho_campaigns_recipients.sync.request_pool import RequestPool
    from tap_zoho_campaigns_recipients.sync.run_settings import RunSettings
    from tap_zoho_campaigns_recipients.sync.selected_stream import SelectedStream
    from tap_zoho_campaigns_recipients.zoho.account_offset import Observation
    from tap_zoho_campaigns_recipients.zoho.responses import Response


@dataclass(slots=True)
class Found:
    """The campaigns of a run."""

    campaigns: list[Campaign] = field(default_factory=list)
    """Oldest first, an A/B variant before the campaign it belongs to."""
    in_order: list[Campaign] = field(default_factory=list)
    """The same in the order of reading."""
    is_whole: bool = False
    """Whether the listing can be taken to show all campaigns, and was used for this run."""
    listed: list[Listed] = field(default_factory=list)
    """All campaigns that were sent, as the state knows them."""
    keys: set[str] = field(default_factory=set)
    """The keys of all that were found, sent or not."""
    listed_at: str = ""
    """When the listing was read, as ISO 8601 text."""
    why_empty: str = ""
    """Why there are no campaigns to read; empty if there are some."""
    times: list[Observation] = field(default_factory=list)
    """The times of the listing that show the account's offset from UTC."""
    details: dict[str, Mapping[str, t.Any]] = field(default_factory=dict)
    """Responses of `getcampaigndetails` by campaign key."""


class Discovery:
    """Finds a run's campaigns."""

    def __init__(
        self,
        settings: RunSettings,
        requests: RequestPool,
        window: EngagementWindow,
        streams: Sequence[SelectedStream],
        logger: logging.Logger,
        state: State,
    ) -> None:
        """Send no request yet.

        Args:
            settings: Which campaigns are wanted.
            requests: Sends requests.
            window: The engagement window.
            streams: The selected streams that are read: what all have finished costs no request.
            logger: For warnings.
            state: Knows A/B variants of earlier runs; those that details name are added.
        """
        self._settings = settings
        self._requests = requests
        self._window = window
        self._streams = streams
        self._logger = logger
        self._state = state
        self._found = Found()

    def find(self, *, is_test: bool = False) -> Found:
        """Find the campaigns to read.

        Args:
            is_test: Whether only the listing is of interest: no details are requested.

        Raises:
            TapError: The listing cannot be read, and no keys are given or this is a test.
        """
        may_fail = bool(self._settings.campaign_keys) and not is_test
        listing = read_listing(self._requests, self._state, self._logger, may_fail=may_fail)
        listed = listing.campaigns
        difference = self._requests.client.clock_difference_seconds
        self._window.compare_clocks(difference or 0.0, self._logger)
        self._found.listed_at = self._window.now_iso()
        self._found.times = observations(each.row for each in listed.values())
        self._check_timezone()
        self._find_variants(listed)
        chosen = self._chosen(listed)
        if not is_test:
            self._ask_details([each for each in chosen if not each.is_listed], listed)
        sent = len(chosen)
        chosen = [each for each in chosen if self._is_in_time(each)]
        if not chosen:
            self._found.why_empty = _why_empty(len(listed), sent)
        if (self._settings.start_ms or 0) > self._window.now_ms():
            self._logger.warning(
                "start_date is in the future: campaigns sent until then are not read"
            )
        if not is_test:
            tests = [each for each in chosen if each.is_listed and each.is_ab]
            self._ask_details(tests, listed)
        by_key = {each.key: each for each in chosen}
        for parent in chosen:
            by_key.update({each.key: each for each in parent.variants or ()})
        found = self._found
        found.campaigns = sorted(by_key.values(), key=_age)
        for each in found.campaigns:
            each.was_left_out = self._was_left_out(each.parent_key or each.key)
        found.in_order = sorted(found.campaigns, key=self._turn)
        found.is_whole = listing.is_whole and not self._settings.campaign_keys
        found.keys = {*listed, *by_key}
        there = {**listed, **by_key}
        found.listed = [
            Listed(key_hash(each.key), each.listed_ms, hides_others=each.lacks_variants)
            for each in there.values()
            if each.status.lower() == SENT_STATUS or each.parent_key
        ]
        found.listed += self._hidden_variants(there)
        return found

    def is_unread(self, campaign: Campaign) -> bool:
        """Whether any selected stream still reads the campaign."""
        if not self._streams:
            return not self._window.is_closing(campaign)
        return not all(stream.is_finished(campaign) for stream in self._streams)

    def _check_timezone(self) -> None:
        """Warn if `account_timezone` is wrong, or is missing though events are wanted."""
        zone, times = self._settings.account_timezone, self._found.times
        if zone is None:
            if any(stream.content is Content.EVENTS for stream in self._streams):
                text = "event_time_utc is null without account_timezone. %s"
                self._logger.warning(text, advice(times))
        elif (wrong := contradiction(zone, times)) is not None:
            text = "account_timezone %s contradicts the listing, by which %s. %s"
            self._logger.warning(text, zone.key, wrong, advice(times))

    def _find_variants(self, listed: dict[str, Campaign]) -> None:
        """Turn listed campaigns into A/B variants, as far as the state knows them as such.

        The details of a finished campaign are not requested, and those of an open one may fail.
        """
        keys = {key_hash(key): key for key in listed}
        for parent, hashes in self._state.variants.items():
            if parent in keys:
                for hashed in hashes:
                    if hashed in keys:
                        key, letter = keys[hashed], _letter(hashes, hashed)
                        listed[key] = variant(listed[keys[parent]], key, letter, listed[key])

    def _known_variants(self, campaign: Campaign) -> dict[str, str | None] | None:
        """Return the A/B variants that are left to read; None if the state cannot tell.

        It has the keys of those that are open for any stream, and only hashes of the others.
        """
        hashes = self._state.variants.get(key_hash(campaign.key))
        if not hashes:
            return None
        states = self._state.streams.values()
        keys = {key_hash(key): key for state in states for key in state.partitions}
        for hashed in hashes:
            if hashed not in keys and not all(
                stream.state is not None and stream.state.finished.has(hashed, campaign.listed_ms)
                for stream in self._streams
            ):
                return None
        return {keys[each]: _letter(hashes, each) for each in hashes if each in keys}

    def _hidden_variants(self, there: Mapping[str, Campaign]) -> list[Listed]:
        """Return the A/B variants that only the state knows, with the sent time of their parent.

        Details named them while their parent was open. What is finished of them is put into the
        ranges with it.
        """
        hashes = {key_hash(key): campaign for key, campaign in there.items()}
        return [
            Listed(each, hashes[parent].listed_ms)
            for parent, variants in self._state.variants.items()
            if parent in hashes
            for each in variants
            if each not in hashes
        ]

    def _chosen(self, listed: Mapping[str, Campaign]) -> list[Campaign]:
        if not self._settings.campaign_keys:
            return [each for each in listed.values() if each.status.lower() == SENT_STATUS]
        chosen = [
            # Where the listing does not show it, the state may know that it is an A/B campaign.
            listed.get(key)
            or Campaign(key, kind=AB_TYPE if key_hash(key) in self._state.variants else "")
            for key in self._settings.campaign_keys
        ]
        for campaign in chosen:
            campaign.is_named = True
        return chosen

    def _ask_details(self, campaigns: Sequence[Campaign], listed: Mapping[str, Campaign]) -> None:
        """Request the A/B variants of A/B campaigns, and what the listing does not show."""
        unread = [campaign for campaign in campaigns if self.is_unread(campaign)]
        for campaign in unread:
            parameters = {"campaignkey": campaign.key}
            if campaign.kind:
                parameters["campaigntype"] = campaign.kind
            self._requests.send(campaign, Endpoint.DETAILS, parameters)
        without_kind = []
        for _ in unread:
            campaign, response, error = self._requests.next()
            if response is None:
                self._logger.warning("No details of a campaign. %s", error)
                self._set_variants(campaign, {}, listed)
                continue
            if not campaign.kind and not campaign.is_listed:
                without_kind.append(campaign)
            self._add_details(campaign, response, listed)
        tests = [campaign for campaign in without_kind if campaign.is_ab and not campaign.variants]
        if tests:
            # An A/B campaign shows its A/B variants only if its type is in the request.
            for campaign in tests:
                campaign.variants = None
            self._ask_details(tests, listed)
        elif unread:
            self._give_up_variants(unread)

    def _add_details(
        self, campaign: Campaign, response: Response, listed: Mapping[str, Campaign]
    ) -> None:
        self._found.details[campaign.key] = response.document
        if not campaign.is_listed:
            add_details(campaign, response.document)
        self._set_variants(campaign, variant_keys(response.document), listed)

    def _set_variants(
        self, campaign: Campaign, keys: Mapping[str, str], listed: Mapping[str, Campaign]
    ) -> None:
        """Give an A/B campaign its variants: those of its details, else those of earlier runs.

        Details that name no variants do not undo variants that are known.
        """
        if not campaign.is_ab:
            return
        known: Mapping[str, str | None] | None = keys or self._known_variants(campaign)
        if known is None:
            return
        campaign.variants = [
            variant(campaign, key, letter, listed.get(key)) for key, letter in known.items()
        ]
        if keys:
            self._state.variants[key_hash(campaign.key)] = tuple(map(key_hash, keys))

    def _give_up_variants(self, campaigns: Sequence[Campaign]) -> None:
        """Go on without variants that could not be found past the window for a week."""
        observations, now_ms = self._state.observations, self._window.now_ms()
        for campaign in campaigns:
            hashed = key_hash(campaign.key)
            if not campaign.lacks_variants:
                observations.without_details.pop(hashed, None)
            elif self._window.is_closing(campaign) and observations.lack_details(hashed, now_ms):
                campaign.variants = []
                observations.without_details.pop(hashed)
                self._logger.warning(
                    "The A/B variants of campaign %s could not be found for a week: it is closed "
                    "without them",
                    campaign.key,
                )

    def _is_in_time(self, campaign: Campaign) -> bool:
        """Whether `start_date` lets a campaign through; one that is open in the state always is."""
        start_ms, sent_ms = self._settings.start_ms, campaign.sent_at_the_latest_ms
        if start_ms is None or sent_ms is None or sent_ms >= start_ms:
            return True
        variants = self._state.variants.get(key_hash(campaign.key), ())
        return any(
            campaign.key in stream.state.partitions
            or (variants and any(key_hash(key) in variants for key in stream.state.partitions))
            for stream in self._streams
            if stream.state
        )

    def _turn(self, campaign: Campaign) -> int:
        """Return when a campaign's turn is: open ones come first, each kind as old as they are.

        Campaigns that are past their window and could not be read before come last: they may be
        deleted, and three of them without a report would have the run ask for no other.
        """
        if not self._window.is_closing(campaign):
            return 0
        return 2 if campaign.was_left_out else 1

    def _was_left_out(self, key: str) -> bool:
        """Whether a campaign could not be read when others of its time were."""
        return any(
            key_hash(key) in stream.state.finished.without
            for stream in self._streams
            if stream.state is not None and stream.state.finished.without
        )


def _why_empty(listed: int, sent: int) -> str:
    """Return why no campaign is to be read.

    Args:
        listed: How many campaigns Zoho listed.
        sent: How many were left when only those with the status Sent, or the named ones, counted.
    """
    if not listed and not sent:
        return (
            "Zoho lists no campaign for these credentials. If there are some, check data_center "
            "and which campaigns the user may see"
        )
    reasons = [
        f"{listed - sent} have another status than {SENT_STATUS.capitalize()}"
        if listed > sent
        else "",
        f"{sent} were sent before start_date" if sent else "",
    ]
    return f"Of {max(listed, sent)} campaigns {' and '.join(filter(None, reasons))}"


def _letter(hashes: Sequence[str], hashed: str) -> str | None:
    """Return which A/B variant a key hash of the state belongs to, if both are known."""
    is_known = len(hashes) == len(AB_VARIANTS) and hashed in hashes
    return AB_VARIANTS[hashes.index(hashed)] if is_known else None


def _age(campaign: Campaign) -> tuple[bool, int, str, bool]:
    return (
        campaign.sent_ms is None,
        campaign.sent_ms or 0,
        campaign.parent_key or campaign.key,
        campaign.parent_key is None,
    )
