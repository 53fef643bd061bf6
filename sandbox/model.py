"""A Zoho Campaigns account: contacts, campaigns, and what became of each mail.

The nine lists and the report of a campaign are derived from the same events, so they overlap and
agree as they do at Zoho. Times are true epoch seconds; how Zoho spells them is no matter here.
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING, Any, Literal
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

ACTIONS = (
    "sentcontacts",
    "openedcontacts",
    "clickedcontacts",
    "unopenedcontacts",
    "optoutcontacts",
    "spamcontacts",
    "senthardbounce",
    "sentsoftbounce",
    "unsentcontacts",
)

PROFILE_FIELDS = (
    "companyname",
    "phone",
    "mobile",
    "jobtitle",
    "title",
    "address",
    "city",
    "state",
    "country",
    "zipcode",
    "website",
    "note",
    "secondary_email",
    "facebook_handle",
    "linkedin_handle",
    "twitter_handle",
    "timezone",
)
"""Standard profile fields under Zoho's JSON names."""

Refusal = str | tuple[str, str] | int
"""A code, a code with its message, or an HTTP status."""


@dataclass(eq=False, slots=True)
class Contact:
    """A contact with its *current* profile; `email` is None for one that was forgotten.

    `profile` (under `PROFILE_FIELDS`) and `custom` (lower-cased display names) are replaced, not
    changed in place: assigning any attribute drops the spellings kept in `spelt`.
    """

    id: str
    email: str | None
    first_name: str = ""
    last_name: str = ""
    status: str = "active"
    profile: dict[str, str] = field(default_factory=dict)
    custom: dict[str, str | float] = field(default_factory=dict)
    rtbf: bool | None = None
    spelt: dict[Hashable, str] = field(default_factory=dict, init=False, repr=False)

    def __setattr__(self, name: str, value: object) -> None:
        """Assign, and forget how the contact was spelt before."""
        object.__setattr__(self, name, value)
        if name != "spelt":
            object.__setattr__(self, "spelt", {})


@dataclass(slots=True)
class Mail:
    """What became of one campaign's mail: who got it, and what they did with it."""

    recipients: list[Contact] = field(default_factory=list)
    unsent: list[Contact] = field(default_factory=list)
    sent: dict[Contact, float] = field(default_factory=dict)
    """When, for those the mail did not reach with all others."""
    opens: dict[Contact, list[float]] = field(default_factory=dict)
    clicks: dict[Contact, list[tuple[float, str]]] = field(default_factory=dict)
    bounces: dict[Contact, tuple[Literal["hard", "soft"], float]] = field(default_factory=dict)
    optouts: dict[Contact, float] = field(default_factory=dict)
    spams: dict[Contact, float] = field(default_factory=dict)
    _views: dict[Hashable, list[Contact]] = field(default_factory=dict, repr=False)
    _twins: dict[Contact, Contact] = field(default_factory=dict, repr=False)
    _originals: dict[Contact, Contact] = field(default_factory=dict, repr=False)

    def touch(self) -> None:
        """Forget derived lists; needed after changing the attributes by hand."""
        self._views.clear()
        self._twins.clear()
        self._originals.clear()

    def contacts(self, action: str) -> list[Contact]:
        """The list of one action, in the order of sending. Not to be changed."""
        view = self._views.get(action)
        if view is None:
            view = self._views[action] = self._derive(action)
        return view

    def _derive(self, action: str) -> list[Contact]:
        if action == "unsentcontacts":
            return list(self.unsent)
        opens, bounces = self.opens, self.bounces
        belongs: dict[str, Callable[[Contact], bool]] = {
            "sentcontacts": lambda _: True,
            "openedcontacts": opens.__contains__,
            "clickedcontacts": self.clicks.__contains__,
            "unopenedcontacts": lambda c: c not in opens and c not in bounces,
            "optoutcontacts": self.optouts.__contains__,
            "spamcontacts": self.spams.__contains__,
            "senthardbounce": lambda c: c in bounces and bounces[c][0] == "hard",
            "sentsoftbounce": lambda c: c in bounces and bounces[c][0] == "soft",
        }
        return list(filter(belongs[action], self.recipients))

    def view(self, action: str, order: str = "stable", duplicates_every: int = 0) -> list[Contact]:
        """The list of one action as it is paged through: ordered, perhaps with duplicates."""
        if order == "stable" and not duplicates_every:
            return self.contacts(action)
        key = (action, order, duplicates_every)
        view = self._views.get(key)
        if view is None or order == "random":
            view = self._order(action, order)
            if duplicates_every:
                view = self._with_duplicates(view, duplicates_every)
            self._views[key] = view
        return view

    def _order(self, action: str, order: str) -> list[Contact]:
        contacts = list(self.contacts(action))
        match order:
            case "reverse":
                contacts.reverse()
            case "email":
                contacts.sort(key=lambda c: ((c.email or "").lower(), c.id))
            case "newest":
                position = {c: n for n, c in enumerate(contacts)}
                contacts.sort(key=lambda c: (-self.entered(c, action), position[c]))
            case "random":
                random.shuffle(contacts)
        return contacts

    def _with_duplicates(self, contacts: list[Contact], every: int) -> list[Contact]:
        """Put a twin with another id behind every contact whose id says so.

        By id, not by position, so that the rows that stay keep their order when a list moves.
        """
        result = []
        for contact in contacts:
            result.append(contact)
            if crc32(contact.id.encode()) % every == 0 and contact.email:
                if contact not in self._twins:
                    twin = self._twins[contact] = replace(contact, id=contact.id + "0")
                    self._originals[twin] = contact
                result.append(self._twins[contact])
        return result

    def original(self, contact: Contact) -> Contact:
        """The contact itself, or the one whose twin it is."""
        return self._originals.get(contact, contact)

    def entered(self, contact: Contact, action: str) -> float:
        """When the contact came to a list (0 for those who were there from the start)."""
        match action:
            case "openedcontacts":
                return self.opens[contact][0]
            case "clickedcontacts":
                return self.clicks[contact][0][0]
            case "optoutcontacts":
                return self.optouts[contact]
            case "spamcontacts":
                return self.spams[contact]
            case "senthardbounce" | "sentsoftbounce":
                return self.bounces[contact][1]
        return self.sent.get(contact, 0.0)


@dataclass(eq=False, slots=True)
class Campaign:
    """A campaign. Its mail is generated on first use if `plan` describes it."""

    key: str
    name: str
    id: str = "1293333000000000001"
    subject: str = ""
    type: Literal["normal", "abtesting"] = "normal"
    status: str = "Sent"
    from_email: str = "news@sandbox.example"
    reply_to: str = "reply@sandbox.example"
    folder_id: str = ""
    zuid: str = "738480939"
    preview: str = "campaigns.zoho.com/campaigns/ViewCampaign.zc?od=sandbox"
    is_hybrid: str = "false"
    created_at: float = 0.0
    sent_at: float | None = None
    """When sending was complete (the listing's sent_time); None: not sent."""
    spread_s: int = 0
    """Sending took so long: rows' times lie in [sent_at - spread_s, sent_at]."""
    sent_time_zone: str = "America/New_York"
    skew_ms: int | None = None
    """Another skew than the account's switch says."""
    parent_key: str | None = None
    variants: tuple[Campaign, Campaign] | None = None
    """The two A/B variants of an A/B campaign."""
    refusal: Refusal | None = None
    """Recipients of this campaign are refused with this."""
    report_error: Refusal | None = None
    details_error: Refusal | None = None
    is_hidden: bool = False
    """Whether a listing lacks it, though its total counts it."""
    plan: Callable[[], Mail] | None = field(default=None, repr=False)
    _mail: Mail | None = field(default=None, repr=False)

    @property
    def mail(self) -> Mail:
        """What became of the mail."""
        if self._mail is None:
            self._mail = self.plan() if self.plan else Mail()
        return self._mail

    def touch(self) -> None:
        """Forget lists derived so far, if any."""
        if self._mail is not None:
            self._mail.touch()

    def time_sent(self, contact: Contact) -> float:
        """When the mail went out to one contact."""
        late = self.mail.sent
        if late and contact in late:
            return late[contact]
        sent_at = self.sent_at or 0.0
        if not self.spread_s:
            return sent_at
        return sent_at - crc32(contact.id.encode()) % (self.spread_s + 1)


def _percent(part: float, whole: float) -> float:
    return 100 * part / whole if whole else 0.0


@dataclass(slots=True)
class Account:
    """A Zoho Campaigns account with its credentials. Changes are made under `lock`."""

    timezone: str = "America/New_York"
    """Zone of all wall-clock times."""
    zuid: str = "738480939"
    client_id: str = "1000.SANDBOXCLIENTID"
    client_secret: str = "sandbox-client-secret-5e7a"
    refresh_token: str = "1000.sandbox-refresh-token-c41d"
    grant_code: str = "1000.sandbox-grant-code-9b02"
    access_token: str = "1000.sandbox-lasting-access-token-77f0"
    """Made elsewhere; valid until revoked."""
    auth_token: str = "sandbox-legacy-authtoken-3d18"
    scope: str = "ZohoCampaigns.campaign.READ"
    profile_fields: Sequence[str] = PROFILE_FIELDS
    campaigns: dict[str, Campaign] = field(default_factory=dict)
    """By key, A/B variants included."""
    contacts: list[Contact] = field(default_factory=list)
    pool: list[Contact] = field(default_factory=list, repr=False)
    """Those of the contacts that were made up by number."""
    numbers: Iterator[int] = field(default_factory=count, repr=False)
    """Of the made-up campaigns."""
    now: Callable[[], float] = time.time
    """The time of events that name none; the sandbox sets its own clock."""
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    def add(self, campaign: Campaign) -> Campaign:
        """Add a campaign, and its A/B variants."""
        with self.lock:
            self.campaigns[campaign.key] = campaign
            for variant in campaign.variants or ():
                variant.parent_key = campaign.key
                self.campaigns[variant.key] = variant
        return campaign

    def contact(self, who: str | Contact, campaign_key: str | None = None) -> Contact:
        """Find a contact by address or id, among a campaign's recipients or in all the account.

        Raises:
            KeyError: no such contact.
        """
        mail = self.campaigns[campaign_key].mail if campaign_key else None
        among = mail.recipients if mail else self.contacts
        for contact in among:
            if contact is who or (
                isinstance(who, str)
                and (contact.id == who or (contact.email or "").lower() == who.lower())
            ):
                return contact
        raise KeyError(who)

    # Events

    def send(self, campaign_key: str, who: str | Contact, at: float | None = None) -> Contact:
        """Send the mail to one more contact; an unknown address becomes a new contact."""
        with self.lock:
            mail = self.campaigns[campaign_key].mail
            try:
                contact = self.contact(who)
            except KeyError:
                contact = (
                    who
                    if isinstance(who, Contact)
                    else Contact(id=f"404{len(self.contacts):012d}", email=who)
                )
                self.contacts.append(contact)
            if contact not in mail.recipients:
                mail.recipients.append(contact)
                mail.sent[contact] = self._at(at)
                mail.touch()
            return contact

    def open(self, campaign_key: str, who: str | Contact, at: float | None = None) -> None:
        """A recipient opens the mail (once more)."""
        with self.lock:
            mail, contact = self._recipient(campaign_key, who)
            mail.opens.setdefault(contact, []).append(self._at(at))
            mail.touch()

    def click(
        self,
        campaign_key: str,
        who: str | Contact,
        at: float | None = None,
        url: str = "https://shop.example/offer",
    ) -> None:
        """A recipient clicks a link (once more); that is not counted as an open."""
        with self.lock:
            mail, contact = self._recipient(campaign_key, who)
            mail.clicks.setdefault(contact, []).append((self._at(at), url))
            mail.touch()

    def bounce(
        self,
        campaign_key: str,
        who: str | Contact,
        at: float | None = None,
        kind: Literal["hard", "soft"] = "hard",
    ) -> None:
        """The mail to a recipient comes back."""
        with self.lock:
            mail, contact = self._recipient(campaign_key, who)
            mail.bounces[contact] = (kind, self._at(at))
            mail.touch()

    def optout(self, campaign_key: str, who: str | Contact, at: float | None = None) -> None:
        """A recipient unsubscribes."""
        with self.lock:
            mail, contact = self._recipient(campaign_key, who)
            mail.optouts[contact] = self._at(at)
            mail.touch()

    def spam(self, campaign_key: str, who: str | Contact, at: float | None = None) -> None:
        """A recipient marks the mail as spam."""
        with self.lock:
            mail, contact = self._recipient(campaign_key, who)
            mail.spams[contact] = self._at(at)
            mail.touch()

    def unsend(self, campaign_key: str, who: str | Contact) -> None:
        """The mail is not sent to a contact (whom it may have reached all the same)."""
        with self.lock:
            mail = self.campaigns[campaign_key].mail
            contact = self.contact(who)
            if contact not in mail.unsent:
                mail.unsent.append(contact)
                mail.touch()

    def remove(self, campaign_key: str, who: str | Contact) -> None:
        """A contact is gone from every list of a campaign."""
        with self.lock:
            mail = self.campaigns[campaign_key].mail
            contact = self.contact(who, campaign_key)
            mail.recipients.remove(contact)
            if contact in mail.unsent:
                mail.unsent.remove(contact)
            for events in (mail.opens, mail.clicks, mail.bounces, mail.optouts, mail.spams):
                events.pop(contact, None)
            mail.touch()

    def forget(self, who: str | Contact) -> None:
        """A contact uses the right to be forgotten: id and flag are all that is left."""
        with self.lock:
            contact = self.contact(who)
            contact.email, contact.first_name, contact.last_name = None, "", ""
            contact.profile, contact.custom, contact.rtbf = {}, {}, True
            for campaign in self.campaigns.values():
                campaign.touch()

    def move(self, campaign_key: str, kind: str, rng: random.Random) -> None:
        """Let an event of this kind happen to a random contact, if there is one to suit."""
        with self.lock:
            mail = self.campaigns[campaign_key].mail
            if kind == "send":
                self.send(campaign_key, f"late.{rng.getrandbits(48):x}@moves.example")
                return
            pools = {
                "open": mail.contacts("unopenedcontacts"),
                "click": mail.contacts("openedcontacts"),
                "bounce": mail.contacts("unopenedcontacts"),
            }
            pool = pools.get(kind, mail.recipients)
            if pool:
                getattr(self, kind)(campaign_key, rng.choice(pool))

    def _recipient(self, campaign_key: str, who: str | Contact) -> tuple[Mail, Contact]:
        return self.campaigns[campaign_key].mail, self.contact(who, campaign_key)

    def _at(self, at: float | None) -> float:
        return self.now() if at is None else at

    # The truth

    def rows(self, campaign_key: str, action: str) -> list[dict[str, Any]]:
        """What a list holds, whatever the switches say: one plain dict per contact, in order."""
        with self.lock:
            campaign = self.campaigns[campaign_key]
            mail = campaign.mail
            rows: list[dict[str, Any]] = []
            for contact in mail.contacts(action):
                row: dict[str, Any] = {
                    "contact_id": contact.id,
                    "email": contact.email,
                    "first_name": contact.first_name,
                    "last_name": contact.last_name,
                    "status": contact.status,
                    "profile": dict(contact.profile),
                    "custom": dict(contact.custom),
                    "rtbf": contact.rtbf,
                    "sent_at": campaign.time_sent(contact),
                }
                if action == "openedcontacts":
                    row["opens"] = list(mail.opens[contact])
                elif action == "clickedcontacts":
                    row["clicks"] = list(mail.clicks[contact])
                elif action in {"senthardbounce", "sentsoftbounce"}:
                    row["bounced_at"] = mail.bounces[contact][1]
                elif action == "optoutcontacts":
                    row["optout_at"] = mail.optouts[contact]
                rows.append(row)
            return rows

    def report(self, campaign_key: str, as_of: float | None = None) -> dict[str, int | float]:
        """Counts (int) and percentages (float) of a report, under Zoho's names.

        With `as_of` (epoch seconds) as they were at that time.
        """
        with self.lock:
            campaign = self.campaigns[campaign_key]
            if as_of is None:
                return _report(campaign.mail)
            return _report(_mail_as_of(campaign, as_of))


def _mail_as_of(campaign: Campaign, timestamp: float) -> Mail:
    mail = campaign.mail
    return Mail(
        recipients=[c for c in mail.recipients if campaign.time_sent(c) <= timestamp],
        unsent=mail.unsent,
        opens={c: early for c, opens in mail.opens.items() if (early := _until(opens, timestamp))},
        clicks={
            c: clicks
            for c, all_clicks in mail.clicks.items()
            if (clicks := [click for click in all_clicks if click[0] <= timestamp])
        },
        bounces={c: bounce for c, bounce in mail.bounces.items() if bounce[1] <= timestamp},
        optouts={c: at for c, at in mail.optouts.items() if at <= timestamp},
        spams={c: at for c, at in mail.spams.items() if at <= timestamp},
    )


def _until(times: list[float], timestamp: float) -> list[float]:
    return [at for at in times if at <= timestamp]


def _report(mail: Mail) -> dict[str, int | float]:
    size = {action: len(mail.contacts(action)) for action in ACTIONS}
    sent, opens, clicks = (size[a] for a in ("sentcontacts", "openedcontacts", "clickedcontacts"))
    bounces = size["senthardbounce"] + size["sentsoftbounce"]
    delivered = sent - bounces
    all_clicks = sum(map(len, mail.clicks.values()))
    return {
        "emails_sent_count": sent,
        "delivered_count": delivered,
        "delivered_percent": _percent(delivered, sent),
        "opens_count": opens,
        "open_percent": _percent(opens, delivered),
        "unopened": size["unopenedcontacts"],
        "unopened_percent": _percent(size["unopenedcontacts"], delivered),
        "unique_clicks_count": clicks,
        "unique_clicked_percent": _percent(clicks, delivered),
        "clicksperopenrate": _percent(all_clicks, opens),
        "bounces_count": bounces,
        "bounce_percent": _percent(bounces, sent),
        "hardbounce_count": size["senthardbounce"],
        "softbounce_count": size["sentsoftbounce"],
        "unsub_count": size["optoutcontacts"],
        "unsubscribe_percent": _percent(size["optoutcontacts"], delivered),
        "spams_count": size["spamcontacts"],
        "spam_percent": _percent(size["spamcontacts"], delivered),
        "complaints_count": 0,
        "complaints_percent": 0.0,
        "forwards_count": 0,
        "forward_percent": 0.0,
        "unsent_count": size["unsentcontacts"],
        "unsent_percent": _percent(size["unsentcontacts"], sent + size["unsentcontacts"]),
        "autoreply_count": 0,
    }
