"""Histories: months of an account, night by night, checked against the truth after every run.

From a seed come an account, settings, and ninety days: campaigns are sent, opened and clicked,
contacts opt out and change their names, campaigns are deleted; nights are skipped, streams are
deselected, the tap is killed, and each night one thing may be wrong with Zoho or with the clock.
A warehouse that upserts by key takes what the tap wrote. After every run it is compared with what
the sandbox knows, by the documented query for who is in a list now.

    python -m support.history 500         run the histories of seeds 0 to 499
    python -m support.history --seed 17   run one again
"""

from __future__ import annotations

import contextlib
import json
import logging
import random
import sys
import traceback
import typing as t
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from sandbox import Account, Sandbox, make_campaign
from support.seeds import Played, play_all
from support.storm import Killed, Pipe
from support.tap_runs import (
    DAY_S,
    RECIPIENT_ACTIONS,
    RECIPIENTS,
    FakeClock,
    catalog,
    settings,
)
from support.truth import EVENTS, events_of_list
from support.warehouse import key_of
from tap_zoho_campaigns_recipients.tap import TapZohoCampaignsRecipients
from tap_zoho_campaigns_recipients.zoho.errors import TapError

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox import Campaign

DAYS = 90
STREAM_OF = {action: stream for stream, action in RECIPIENT_ACTIONS.items()}
STREAMS = (
    "campaigns",
    "campaign_reports",
    "campaign_locations",
    "list_readings",
    *EVENTS,
    *RECIPIENT_ACTIONS,
)
EVENTS_OF = {STREAM_OF[action]: stream for stream, action in EVENTS.items()}
SIZES = (0, 1, 3, 8, 20, 45)

TROUBLES = (
    "hidden campaign",
    "empty listing",
    "lying 6303",
    "sick list",
    "lagging report",
    "missing report",
    "wrong clock",
    "pages by bytes",
    "rows hidden after the cut",
    "details without variants",
    "kill",
    "kill",
)

List = tuple[str, str]
"""A stream and a campaign's key."""


class Wrong(AssertionError):
    """A history has shown something that must not be."""


def check(holds: object, what: str, *details: object) -> None:
    """End the history if something does not hold."""
    if not holds:
        raise Wrong(" ".join([what, *(f"{detail!r:.500}" for detail in details)]))


@dataclass
class Warehouse:
    """Tables that are updated by key."""

    rows: dict[List, dict[str, tuple[str, str]]] = field(default_factory=lambda: defaultdict(dict))
    """`list_read_at` and last name, by address."""
    readings: dict[List, dict[str, t.Any]] = field(default_factory=dict)
    events: dict[List, dict[tuple[str, int], dict[str, t.Any]]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    """Records by address and number."""

    def load(self, messages: Iterable[dict[str, t.Any]]) -> tuple[set[List], set[List]]:
        """Load records; return the lists of which rows came, and those of which a reading came."""
        touched, read = set(), set()
        for message in messages:
            if message["type"] != "RECORD":
                continue
            stream, record = message["stream"], message["record"]
            if stream in RECIPIENT_ACTIONS:
                place = (stream, record["campaign_key"])
                value = (record["list_read_at"], record["last_name"] or "")
                self.rows[place][record["contact_email"]] = value
                touched.add(place)
            elif stream in EVENTS:
                key = (record["contact_email"], record["event_number"])
                self.events[stream, record["campaign_key"]][key] = record
            elif stream == "list_readings":
                place = (STREAM_OF[record["action"]], record["campaign_key"])
                self.readings[place] = record
                read.add(place)
        return touched, read

    def now(self, place: List) -> dict[str, str]:
        """Return who is in a list now, with their last names, by the documented query."""
        rows = self.rows[place]
        if place in self.readings:
            since = self.readings[place]["list_read_at"]
        else:
            since = max((read_at for read_at, _ in rows.values()), default="")
        return {email: name for email, (read_at, name) in rows.items() if read_at >= since}


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


class History:
    """One history."""

    def __init__(self, seed: int) -> None:
        """Draw what stays the same.

        Args:
            seed: Everything that is random comes from it.
        """
        self.rng = rng = random.Random(seed)
        self.clock = FakeClock()
        self.account = Account()
        self.account.now = self.clock.time
        self.zoho = Sandbox(self.account, clock=self.clock)
        self.zoho.switches.token_limit = None
        self.zoho.switches.ab_children_listed = rng.random() < 1 / 3
        self.zoho.switches.range_cap = rng.choice((None, None, 7))
        self.window_days = rng.choice((2, 6, 14))
        self.reread_days = rng.choice((0, 3, 7))
        self.form = rng.choice(("json", "json", "xml"))
        self.page_size = rng.choice((4, 10, 500, 1000))
        self.parallel = rng.choice((1, 1, 4))
        self.warehouse = Warehouse()
        self.state: dict[str, t.Any] | None = None
        self.believed: dict[List, dict[str, str]] = {}
        """The truth at the last complete reading of each list."""
        self.short: dict[List, tuple[tuple[int, int] | None, int]] = {}
        """Rows and count of each list's last incomplete reading, and how often running."""
        self.mixed: set[List] = set()
        """Lists of which some rows came from a reading that was cut off."""
        self.refused_until: dict[str, float] = {}
        """Campaigns that are refused for weeks, and for a week more may not be tried."""
        self.count: Counter[str] = Counter()
        self.campaigns = 0

    # The days

    def play(self) -> None:
        """Play all days.

        Raises:
            Wrong: Something does not hold.
        """
        tail = self.window_days + 12
        with self.zoho:
            for day in range(DAYS):
                is_quiet = day >= DAYS - tail
                if not is_quiet:
                    self._day()
                else:
                    self._allow(everything=True)
                self.clock.advance(DAY_S * self.rng.uniform(0.9, 1.1) if not is_quiet else DAY_S)
                if is_quiet or self.rng.random() < 7 / 8:
                    is_calm = is_quiet or self.rng.random() < 1 / 2 or not self._sent()
                    trouble = "" if is_calm else self._trouble()
                    self._night(trouble, is_quiet=is_quiet)
            self._end()

    def _sent(self) -> list[Campaign]:
        return [each for each in self.account.campaigns.values() if each.sent_at is not None]

    def _is_open(self, campaign: Campaign) -> bool:
        return self.clock.now <= self._over(campaign)

    def _over(self, campaign: Campaign) -> float:
        """Return when the engagement window of a campaign has passed."""
        return (self._parent(campaign).sent_at or 0) + self.window_days * DAY_S

    def _parent(self, campaign: Campaign) -> Campaign:
        return self.account.campaigns.get(campaign.parent_key or campaign.key, campaign)

    def _day(self) -> None:
        rng, account = self.rng, self.account
        if rng.random() < 1 / 4 or not account.campaigns:
            size = rng.choice(SIZES)
            self.campaigns += 1
            make_campaign(
                account,
                f"campaign {self.campaigns}",
                key=f"3z{self.campaigns:04}",
                recipients=size,
                opened=0,
                days_ago=rng.random() / 2,
                type="abtesting" if size > 10 and rng.random() < 1 / 3 else "normal",
                first_contact=rng.randrange(60),
            )
        if rng.random() < 1 / 20:
            make_campaign(account, status="Draft", days_ago=1)
        for campaign in self._sent():
            if self._is_open(campaign):
                kinds = ("open", "open", "open", "click", "optout", "bounce", "spam", "send")
                for _ in range(rng.choice((0, 0, 1, 2, 4))):
                    account.move(campaign.key, rng.choice(kinds), rng)
        if rng.random() < 1 / 2 and account.contacts:
            contact = rng.choice(account.contacts)
            contact.last_name = f"Name {rng.randrange(1000)}"
            contact.spelt.clear()
        # Not variants: a refused one is not tried again after its A/B campaign was closed.
        plain = [each for each in self._sent() if each.type == "normal" and not each.parent_key]
        if rng.random() < 1 / 25 and plain:
            refused = rng.choice(plain)
            refused.refusal = "6607"
            self.refused_until[refused.key] = self.clock.now + rng.choice((2, 40)) * DAY_S
        self._allow()
        if rng.random() < 1 / 40 and self._sent():
            self._delete(rng.choice(self._sent()))

    def _allow(self, *, everything: bool = False) -> None:
        """Let campaigns be read again that were refused."""
        for key, until in self.refused_until.items():
            if (everything or until <= self.clock.now) and key in self.account.campaigns:
                if self.account.campaigns[key].refusal:
                    self.refused_until[key] = self.clock.now
                self.account.campaigns[key].refusal = None

    def _was_refused(self, key: str) -> bool:
        """Whether a campaign, or one of its family, was refused within the last days."""
        campaign = self.account.campaigns[key]
        parent = self._parent(campaign)
        family = (parent.key, *(each.key for each in parent.variants or ()))
        return any(self.clock.now <= self.refused_until.get(each, 0) + 9 * DAY_S for each in family)

    def _delete(self, campaign: Campaign) -> None:
        parent = self._parent(campaign)
        family = {parent.key, *(each.key for each in parent.variants or ())}
        for key in family:
            self.account.campaigns.pop(key, None)
        gone = [place for place in self.believed if place[1] in family]
        for place in gone:
            del self.believed[place]
        self.mixed -= {place for place in self.mixed if place[1] in family}

    # The nights

    def _trouble(self) -> str:  # noqa: C901 - one case for each
        rng, zoho, faults = self.rng, self.zoho, self.zoho.faults
        trouble = rng.choice(TROUBLES)
        campaign = rng.choice(self._sent())
        action = rng.choice(list(STREAM_OF))
        match trouble:
            case "hidden campaign":
                campaign.is_hidden = True
            case "empty listing":
                for each in self._sent():
                    each.is_hidden = True
            case "lying 6303":
                faults.add(
                    "6303", endpoint=RECIPIENTS, times=rng.choice((1, 2)), after=rng.randrange(5)
                )
            case "sick list":
                faults.add(
                    "500", endpoint=RECIPIENTS, campaign_key=campaign.key, action=action, times=99
                )
            case "lagging report":
                zoho.switches.reports = "lagging"
            case "missing report":
                campaign.report_error = "6001"
            case "pages by bytes":
                zoho.switches.page_bytes = rng.choice((900, 3000))
            case "rows hidden after the cut":
                zoho.switches.hides_every = rng.choice((3, 11))
            case "details without variants":
                for each in self._sent():
                    each.details_error = "6302"
        return trouble

    def _calm(self) -> None:
        zoho = self.zoho
        zoho.faults.clear()
        zoho.switches.reports = "ok"
        zoho.switches.page_bytes = None
        zoho.switches.hides_every = 0
        for each in self._sent():
            each.is_hidden = False
            each.report_error = each.details_error = None

    def _night(self, trouble: str, *, is_quiet: bool) -> None:
        rng = self.rng
        streams: tuple[str, ...] = STREAMS
        if not is_quiet and rng.random() < 1 / 8:
            chosen = [each for each in RECIPIENT_ACTIONS if rng.random() < 2 / 3]
            streams = ("campaigns", "campaign_reports", "list_readings", *chosen)
        truth = self._truth()
        self.zoho.reset_log()
        lines, how = self._run(streams, trouble)
        messages = [json.loads(line) for line in lines]
        states = [at for at, each in enumerate(messages) if each["type"] == "STATE"]
        if how == "killed" and rng.random() < 1 / 2:
            messages = messages[: states[-1] + 1] if states else []
        if states:
            self.state = messages[states[-1]]["value"]
        touched, read = self.warehouse.load(messages)
        self._calm()
        self.count["runs"] += 1
        self.count[trouble or "no trouble"] += 1
        self._check_readings(read, truth, trouble)
        if trouble != "lagging report":
            self._check_events(streams, read)
        self._check_kept(touched - read, truth)
        if how == "whole" and not trouble:
            self._check_calm(streams, read, truth)

    def _run(self, streams: tuple[str, ...], trouble: str) -> tuple[list[str], str]:
        stdout = Pipe(self.rng.randint(1, 80) if trouble == "kill" else None)
        ahead = self.rng.choice((-3, 2, 30)) * DAY_S if trouble == "wrong clock" else 0
        clock = FakeClock(self.clock.now + ahead)
        config = settings(
            self.zoho,
            page_size=self.rng.choice((self.page_size, self.page_size, 5)),
            engagement_window_days=self.window_days,
            reread_after_days=self.reread_days,
            response_format=self.form,
            max_parallel_requests=self.parallel,
            account_timezone="America/New_York",
            retry_wait=0,
        )
        how = "whole"
        kind = type(
            "TapInAHistory",
            (TapZohoCampaignsRecipients,),
            {"clock_class": staticmethod(lambda: clock)},
        )
        try:
            with contextlib.redirect_stdout(stdout):
                tap = kind(
                    config=config,
                    state=json.loads(json.dumps(self.state)) if self.state else None,
                    catalog=catalog(streams),
                )
                tap.sync_all()
        except TapError as error:
            how = "failed"
            # Where no campaign may be read, a run has to say so.
            is_refused = all(
                each.refusal or self._parent(each).is_hidden or each.is_hidden
                for each in self._sent()
            )
            is_expected = is_refused or trouble in {"sick list", "lying 6303"}
            check(is_expected, "a run failed:", trouble, str(error))
        except Killed:
            how = "killed"
        return stdout.getvalue().split("\n")[:-1], how

    def _truth(self) -> dict[List, dict[str, str]]:
        """Return who is in each list, with their last names."""
        with self.zoho.lock:
            return {
                (stream, campaign.key): {
                    (contact.email or "").lower(): contact.last_name
                    for contact in campaign.mail.contacts(action)
                }
                for campaign in self._sent()
                for stream, action in RECIPIENT_ACTIONS.items()
            }

    # What must hold

    def _check_readings(
        self, read: set[List], truth: dict[List, dict[str, str]], trouble: str
    ) -> None:
        """A reading is complete if it is said to be, and the last one not before its time."""
        for place in read:
            reading = self.warehouse.readings[place]
            self.mixed.discard(place)
            campaign = self.account.campaigns[place[1]]
            if reading["is_complete"]:
                now = self.warehouse.now(place)
                # A report that lags may confirm a page as the end that is not.
                is_true = trouble == "lagging report" or now == truth[place]
                check(is_true, "a complete reading is not the truth:", place, trouble)
                self.believed[place] = now
                self.short.pop(place, None)
            else:
                self.believed.pop(place, None)
                counts = reading["rows_read"], reading["report_count"]
                before, times = self.short.get(place, (None, 0))
                self.short[place] = counts, times + 1 if counts == before else 1
                check(trouble, "a reading is not complete without any trouble:", place)
            if reading["is_last"]:
                is_over = seconds(reading["list_read_at"]) >= self._over(campaign)
                check(is_over, "closed too early:", place)

    def _check_events(self, streams: tuple[str, ...], read: set[List]) -> None:
        """A complete reading has brought all events that its rows tell of."""
        for stream, key in read:
            reading, events = self.warehouse.readings[stream, key], EVENTS_OF.get(stream, "")
            if reading["is_complete"] and events in streams:
                read_at = reading["list_read_at"]
                known = [
                    each
                    for each in self.warehouse.events[events, key].values()
                    if each["list_read_at"] == read_at
                ]
                truth = events_of_list(self.zoho, events, key, seconds(read_at), self.form)
                # Which of the two hours is meant when clocks go back, no text of Zoho says. The
                # campaign that a variant belongs to is not known while its details cannot be had.
                unknown = {"event_time_utc": None, "parent_campaign_key": None}
                known, truth = (
                    [{**each, **unknown} for each in sorted(records, key=key_of)]
                    for records in (known, truth)
                )
                check(
                    known == truth,
                    "the events of a reading are not the truth:",
                    (events, key),
                )

    def _check_kept(self, cut_off: set[List], truth: dict[List, dict[str, str]]) -> None:
        """What was not read again is as it was at the last complete reading."""
        self.mixed |= cut_off
        for place, people in self.believed.items():
            now = self.warehouse.now(place)
            if place in self.mixed:
                missing = people.keys() & truth.get(place, people).keys() - now.keys()
                check(not missing, "rows are missing from a list that was cut off:", place, missing)
            else:
                check(now == people, "a list has changed that was not read:", place)

    def _check_calm(
        self, streams: tuple[str, ...], read: set[List], truth: dict[List, dict[str, str]]
    ) -> None:
        """After a run without trouble every list is known, recent enough, and whole."""
        for place, people in truth.items():
            if place[0] not in streams or self._was_refused(place[1]):
                continue
            check(place in self.warehouse.readings, "a list was never read:", place)
            check(place not in self.mixed, "a reading that was cut off was not repeated:", place)
            campaign = self.account.campaigns[place[1]]
            if not self._is_open(campaign):
                continue
            known = self.believed.get(place)
            # Twice short by the same number, it is settled until it is due by its age.
            is_settled = self.short.get(place, (None, 0))[1] >= 2
            check(known is not None or is_settled, "an open list was not read whole:", place)
            if known is not None and len(known) != len(people):
                check(place in read, "a list changed its count and was not read:", place)
            if self.reread_days:
                read_at = seconds(self.warehouse.readings[place]["list_read_at"])
                age_days = (self.clock.now - read_at) / DAY_S
                check(age_days <= self.reread_days, "a list is out of date:", place, age_days)

    def _end(self) -> None:
        """Weeks after the last event, everything is closed, and the warehouse holds the truth."""
        truth = self._truth()
        for place, people in truth.items():
            check(place in self.warehouse.readings, "a list was never read:", place)
            check(self.warehouse.readings[place]["is_last"], "a list was not closed:", place)
            over = self._over(self.account.campaigns[place[1]])
            if over > self.clock.now - (self.window_days + 10) * DAY_S:
                # Nothing has happened to it since it was closed.
                now = self.warehouse.now(place)
                check(now.keys() == people.keys(), "the warehouse is not the truth:", place)
        self.zoho.reset_log()
        self._night("", is_quiet=True)
        check(not self.zoho.calls(RECIPIENTS), "closed lists were read again")


def play(seed: int) -> Played:
    """Play one history."""
    logging.disable(logging.CRITICAL)
    history = History(seed)
    trouble = None
    try:
        history.play()
    except Wrong as wrong:
        trouble = str(wrong)
    except Exception:  # noqa: BLE001 - whatever it is, the seed must be said
        trouble = traceback.format_exc()
    finally:
        logging.disable(logging.NOTSET)
    return Played(seed, trouble, history.count)


if __name__ == "__main__":
    sys.exit(play_all("history", play))
