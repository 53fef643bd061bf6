"""Accounts to serve: the documentation's sample, one that looks real, and any size on demand."""

from __future__ import annotations

import dataclasses
import json
import random
import time
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sandbox.model import Account, Campaign, Contact, Mail

if TYPE_CHECKING:
    from collections.abc import Sequence

DAY_S = 86_400.0
SHARE_OF_REPEATERS = 0.3
FIRST_NAMES = ("Ada", "Björn", "Chloé", "Dmitri", "Esra", "Fatima", "Grace", "Hana", "Íñigo")
LAST_NAMES = ("Archer", "Bauer", "Castillo", "Dvořák", "Eriksson", "Fuchs", "García", "Ito")
URLS = (
    "https://shop.example/offer",
    "https://shop.example/list?a=1&b=2,3",
    "https://blog.example/2026/one-more-thing",
)


def campaign_key(seed: str) -> str:
    """Make a key of the form that Zoho's have: 3z and 64 hexadecimal digits."""
    return "3z" + sha256(seed.encode()).hexdigest()


def make_contact(number: int) -> Contact:
    """Make the n-th contact of every made-up account; always the same one."""
    first = FIRST_NAMES[number % len(FIRST_NAMES)]
    last = LAST_NAMES[number // 10 % len(LAST_NAMES)]
    profile = {
        "companyname": f"Company {number % 211}",
        "jobtitle": "Buyer" if number % 2 else "Engineer, senior",
        "city": "São Paulo" if number % 3 else "Köln",
        "country": "Brazil" if number % 3 else "Germany",
        "phone": f"+49 30 {number:07d}",
    }
    return Contact(
        id=f"303000{number:09d}",
        email=f"{'Reader' if number % 50 == 0 else 'reader'}.{number}@mail{number % 7}.example",
        first_name=first if number % 11 else "",
        last_name=last,
        profile=profile if number % 5 else {},
        custom={"last seen yymmdd": f"26{number % 12 + 1:02d}14", "plan": "gold"},
        rtbf=False if number % 4 else None,
    )


def _pool(account: Account, size: int) -> list[Contact]:
    """The first `size` made-up contacts of the account, who are made when first needed."""
    with account.lock:
        pool = account.pool
        if len(pool) < size:
            more = [make_contact(n) for n in range(len(pool), size)]
            pool.extend(more)
            account.contacts.extend(more)
        return pool[:size]


def make_campaign(  # noqa: PLR0913
    account: Account,
    name: str | None = None,
    *,
    recipients: int = 100,
    opened: int | None = None,
    clicked: int | None = None,
    optout: int | None = None,
    spam: int | None = None,
    hard: int | None = None,
    soft: int | None = None,
    unsent: int | None = None,
    days_ago: float = 5.0,
    sent_at: float | None = None,
    key: str | None = None,
    type: Literal["normal", "abtesting"] = "normal",  # noqa: A002
    status: str = "Sent",
    first_contact: int = 0,
    **attributes: Any,  # noqa: ANN401
) -> Campaign:
    """Add a campaign whose lists have exactly these sizes (left out: a usual share of all).

    The recipients are the account's contacts from `first_contact` on, so campaigns share them. An
    `abtesting` one gets two A/B variants of a tenth of its recipients each. A status other than
    `Sent` means that it was not sent. `attributes` are those of `Campaign`.

    Raises:
        ValueError: more opened than were delivered, or more clicked or bounced than were sent.
    """
    number = next(account.numbers)
    key = key or campaign_key(f"campaign {number}")
    timestamp = float(int(account.now()) - days_ago * DAY_S) if sent_at is None else sent_at
    is_sent = status == "Sent"
    attributes.setdefault("created_at", timestamp - 3 * 3600)
    attributes.setdefault("zuid", account.zuid)
    campaign = Campaign(
        key=key,
        name=f"Newsletter {number}" if name is None else name,
        type=type,
        status=status,
        sent_at=timestamp if is_sent else None,
        id=attributes.pop("id", f"1293333{number:012d}"),
        **attributes,
    )
    campaign.subject = campaign.subject or campaign.name
    if is_sent:
        share = {
            "opened": (opened, 0.3),
            "clicked": (clicked, 0.1),
            "optout": (optout, 0.01),
            "spam": (spam, 0.002),
            "hard": (hard, 0.02),
            "soft": (soft, 0.03),
            "unsent": (unsent, 0.01),
        }
        sizes = {
            what: int(recipients * rate) if given is None else given
            for what, (given, rate) in share.items()
        }
        bounced = sizes["hard"] + sizes["soft"]
        largest = max(sizes[what] for what in ("opened", "clicked", "optout", "spam"))
        if largest + bounced > recipients:
            raise ValueError(f"lists larger than the {recipients} recipients allow: {sizes}")
        now = account.now()

        def plan() -> Mail:
            size = first_contact + recipients + sizes["unsent"]
            contacts = _pool(account, size)[first_contact:]
            return _make_mail(campaign, contacts, recipients, sizes, now)

        campaign.plan = plan
        if type == "abtesting":
            campaign.variants = _make_variants(account, campaign, recipients, first_contact)
    return account.add(campaign)


def _make_variants(
    account: Account, parent: Campaign, recipients: int, first_contact: int
) -> tuple[Campaign, Campaign]:
    size = max(2, recipients // 10)
    scratch = dataclasses.replace(account, campaigns={})
    first, second = (
        make_campaign(
            scratch,
            f"{parent.name} ({variant})",
            recipients=size,
            opened=size // 2,
            clicked=size // 4,
            sent_at=(parent.sent_at or 0.0) - 4 * 3600,
            key=campaign_key(f"{parent.key} {variant}"),
            first_contact=first_contact + recipients + offset,
            zuid=parent.zuid,
            subject=f"{parent.subject} ({variant})",
            id=f"{parent.id}{offset}",
        )
        for variant, offset in (("A", 0), ("B", size))
    )
    return first, second


def _make_mail(
    campaign: Campaign, contacts: list[Contact], recipients: int, sizes: dict[str, int], now: float
) -> Mail:
    """Draw who opened, clicked, bounced… from the key, hence always the same."""
    rng = random.Random(campaign.key)
    sent_at = campaign.sent_at or 0.0
    span_s = min(max(now - sent_at, 60.0), 30 * DAY_S)

    def later() -> float:
        """Most events come early, some weeks after."""
        return float(int(sent_at + span_s * rng.random() ** 3))

    def again() -> bool:
        """Some open or click twice."""
        return rng.random() < SHARE_OF_REPEATERS

    everyone = contacts[:recipients]
    drawn = rng.sample(everyone, recipients)
    bounced = sizes["hard"] + sizes["soft"]
    delivered = drawn[bounced:]
    openers, others = delivered[: sizes["opened"]], delivered[sizes["opened"] :]
    # A tenth of the clickers have images switched off: they never count as openers.
    blind = max(sizes["clicked"] - len(openers), min(sizes["clicked"] // 10, len(others)))
    clickers = openers[: sizes["clicked"] - blind] + others[:blind]
    unsent = contacts[recipients : recipients + sizes["unsent"]]
    if len(unsent) > 1 and delivered:
        # One was counted as unsent whom the mail reached all the same.
        unsent = [delivered[0], *unsent[1:]]
    return Mail(
        recipients=everyone,
        unsent=unsent,
        opens={c: sorted(later() for _ in range(1 + again())) for c in openers},
        clicks={
            c: sorted((later(), rng.choice(URLS)) for _ in range(1 + again())) for c in clickers
        },
        bounces={
            c: ("hard" if n < sizes["hard"] else "soft", sent_at + 60.0 * (n % 90))
            for n, c in enumerate(drawn[:bounced])
        },
        optouts={c: later() for c in delivered[: sizes["optout"]]},
        spams={c: later() for c in reversed(delivered[len(delivered) - sizes["spam"] :])},
    )


def make_account(
    campaigns: int = 10,
    recipients: int | Sequence[int] = 100,
    *,
    now: float | None = None,
    newest_days_ago: float = 1.0,
    spacing_days: float = 1.0,
    **sizes: Any,  # noqa: ANN401
) -> Account:
    """Make an account of any size; lists are generated on first use.

    `recipients` per campaign, or one number for each in turn. `sizes` are passed to
    `make_campaign` (opened=0, unsent=7, …). Campaign n was sent `newest_days_ago` +
    n * `spacing_days` ago.
    """
    account = Account()
    timestamp = time.time() if now is None else now
    account.now = lambda: timestamp
    each = [recipients] if isinstance(recipients, int) else recipients
    for n in range(campaigns):
        make_campaign(
            account,
            recipients=each[n % len(each)],
            days_ago=newest_days_ago + n * spacing_days,
            **sizes,
        )
    account.now = time.time
    return account


def seed_account() -> Account:
    """Make the account of the documentation's sample: one campaign, one contact, sent in 2013."""
    account = Account(
        timezone="Asia/Kolkata", zuid="4179027", profile_fields=("phone", "timezone", "companyname")
    )
    sent_at = 1_375_427_361.0
    contact = Contact(
        id="303000014269257", email="john.doe@xyz.com", first_name="meganath.v", rtbf=None
    )
    account.contacts.append(contact)
    account.add(
        Campaign(
            key=campaign_key("Zoho Survey 7"),
            name="Zoho Survey 7",
            subject="Zoho Survey 7",
            zuid="4179027",
            created_at=sent_at - 3600,
            sent_at=sent_at,
            sent_time_zone="Asia/Kolkata",
            plan=lambda: Mail(recipients=[contact]),
        )
    )
    return account


UNUSUAL_CONTACTS: tuple[dict[str, Any], ...] = (
    {"first_name": "Zoë 🦊", "last_name": 'O\'Brien-"Quote"'},
    {"first_name": "小龍", "last_name": "李", "email": "Li.XiaoLong@Example.COM"},
    {"first_name": "Robert'); DROP TABLE", "last_name": "contacts;--"},
    {"first_name": "Jennifer", "last_name": "Null"},
    {"first_name": "مريم", "last_name": "الفاسي", "email": "o'neil+news@sub.mail.example"},
    {"profile": {"companyname": "Fish, Chips & <b>Peas</b>", "note": "line one\nline two\ttab"}},
    {"profile": {"companyname": "null", "zipcode": "01234", "note": "back\\slash {a=1, b=2}"}},
    {"profile": {"note": "long " * 400, "website": "https://example.com/?q=a&b=[c]"}},
    {"custom": {"last seen yymmdd": "", "größe (cm)": "180", "plan": "null", "tags": "a, b; c"}},
    {"custom": {"e mail": "second@mail.example", "action": "call back", "x=y": "{}"}},
    {"status": "unsub"},
    {"status": "bounce"},
)


def demo_account(now: float | None = None) -> Account:
    """Make an account as a real one looks, the same each time except for `now` (epoch seconds).

    Fourteen sent campaigns of 1 to 5 000 recipients (two of them A/B tests) over four years, two
    drafts, a scheduled and a stopped one; unusual names, custom fields, forgotten contacts.
    """
    account = Account()
    timestamp = time.time() if now is None else now
    account.now = lambda: timestamp
    everyone = _pool(account, 5_300)
    for n, unusual in enumerate(UNUSUAL_CONTACTS):
        for name, value in unusual.items():
            setattr(everyone[3 * n], name, value)
    for contact in (everyone[100], everyone[1_200]):
        account.forget(contact)
    for days_ago, size, name in (
        (2.0, 1_037, "Autumn sale — 20 % off 🍂"),
        (6.5, 500, 'Product news, "second" edition'),
        (13.0, 201, "null"),
        (24.0, 2_400, "Müller & Söhne: Einladung <Messe>"),
        (38.0, 200, "ニュースレター 第3号"),
        (55.0, 42, "It's only 'us'\nand a second line"),
        (75.0, 5_000, "Annual report"),
        (130.0, 1_000, "Spring, summer; autumn"),
        (200.0, 501, "  spaces around  "),
        (400.0, 499, "Conference {2025}"),
        (800.0, 199, "C:\\temp\\news"),
        (1_460.0, 1, "First try"),
    ):
        make_campaign(account, name, recipients=size, days_ago=days_ago, spread_s=90)
    test = make_campaign(account, "Subject test", recipients=480, days_ago=9.0, type="abtesting")
    for variant in test.variants[1:] if test.variants else ():
        for n, contact in enumerate(variant.mail.contacts("unopenedcontacts")[:9]):
            account.open(variant.key, contact, timestamp - DAY_S * (8.9 - n / 10))
    make_campaign(account, "Old subject test", recipients=240, days_ago=300.0, type="abtesting")
    list(account.campaigns.values())[4].zuid = "738481111"
    make_campaign(account, "Christmas (draft)", status="Draft", days_ago=1.0)
    make_campaign(account, "", status="Draft", days_ago=90.0)
    make_campaign(account, "Next week", status="Scheduled", days_ago=0.5)
    make_campaign(account, "Given up", status="Stopped", days_ago=33.0)
    account.now = time.time
    return account


def load_account(name: str, now: float | None = None) -> Account:
    """Make the account that a command line names.

    `demo`, `seed`, a JSON object, or the path of a file with one: `{"campaigns": 300,
    "recipients": 84}` holds arguments of `make_account`; where `campaigns` is an array, its items
    are arguments of `make_campaign`, and all other keys attributes of `Account`.

    Raises:
        OSError, ValueError, TypeError: no such file, no JSON, no such argument.
    """
    if name == "demo":
        return demo_account(now)
    if name == "seed":
        return seed_account()
    settings = json.loads(name if name.startswith("{") else Path(name).read_text(encoding="utf-8"))
    campaigns = settings.pop("campaigns", 10)
    if isinstance(campaigns, int):
        return make_account(campaigns, now=now, **settings)
    account = Account(**settings)
    timestamp = time.time() if now is None else now
    account.now = lambda: timestamp
    for campaign in campaigns:
        make_campaign(account, **campaign)
    account.now = time.time
    return account
