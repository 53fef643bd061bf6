"""The dbt models show what happened in the account, on both databases."""

from __future__ import annotations

import json
import typing as t

import pytest

from sandbox import Account, Sandbox
from support.documents import ROOT
from support.incremental import add, run
from support.models import COUNTS, Dbt, Truth, naive, only, same_time, tables
from support.tap_runs import RECIPIENT_ACTIONS, FakeClock
from support.warehouse import SCHEMA, drop, load_into

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.tap_runs import Outcome
    from support.warehouse import Warehouse

pytestmark = pytest.mark.xdist_group("models")

SELECTED = sorted({path.stem for path in (ROOT / "schemas").glob("*.json")} - {"campaign_details"})
TABLES = (*RECIPIENT_ACTIONS, "open_events", "click_events")
SETTINGS: dict[str, t.Any] = {"account_timezone": "America/New_York"}


@pytest.fixture
def dbt(warehouse: Warehouse, tmp_path: Path) -> Iterator[Dbt]:
    """dbt on a database without tables and models."""
    yield Dbt(warehouse, tmp_path)
    if warehouse.loader == "target-postgres":
        drop(t.cast("t.Any", warehouse), "analytics")


def make_account() -> Account:
    """An account with an A/B test, contacts in several campaigns and an empty campaign."""
    account = Account()
    add(
        account, "news", 3, recipients=60, opened=25, clicked=11, hard=2, soft=3, optout=2, unsent=2
    )
    add(account, "more", 9, recipients=30, opened=12, clicked=7, spam=1)
    add(account, "test", 5, recipients=100, opened=40, clicked=15, type="abtesting")
    add(account, "nobody", 2, recipients=0, opened=0)
    return account


def load(dbt: Dbt, folder: Path, outcome: Outcome) -> dict[str, t.Any]:
    """Load what a run of the tap wrote; return its state."""
    lines = "".join(json.dumps(each) + "\n" for each in outcome.messages)
    return load_into(dbt.warehouse, folder, lines.encode())


def assert_models(dbt: Dbt, zoho: Sandbox) -> None:
    """See that all models show what the account says."""
    truth = Truth(zoho)
    campaigns = {row["campaign_key"]: row for row in dbt.rows("zoho_campaigns__campaigns")}
    funnels = truth.funnels()
    assert {key: {name: row[name] for name in COUNTS} for key, row in campaigns.items()} == funnels
    for key, row in campaigns.items():
        funnel = funnels[key]
        delivered = funnel["sent"] - funnel["hard_bounced"] - funnel["soft_bounced"]
        assert row["delivered"] == delivered
        assert row["open_rate"] == pytest.approx(
            funnel["opened"] / delivered if delivered else None
        )
        assert row["click_rate"] == pytest.approx(
            funnel["clicked"] / delivered if delivered else None
        )
        assert row["is_ab_test"] is (key == "test")
        assert row["agrees_with_report"] is True
    assert_recipients(dbt, truth)
    assert {
        (row["campaign_key"], row["url"]): (row["contacts"], row["clicks"])
        for row in dbt.rows("zoho_campaigns__links")
    } == truth.links()
    assert {
        (row["campaign_key"], row["hours_after_sending"]): (row["opens"], row["clicks"])
        for row in dbt.rows("zoho_campaigns__engagement_by_hour")
    } == truth.hours()
    (test,) = dbt.rows("zoho_campaigns__ab_tests")
    variants = zoho.account.campaigns["test"].variants or ()
    for side, variant in zip("ab", variants, strict=True):
        assert test[f"{side}_campaign_key"] == variant.key
        assert test[f"{side}_sent"] == len(truth.in_list(variant, "sentcontacts"))
        assert test[f"{side}_opened"] == len(truth.in_list(variant, "openedcontacts"))
        assert test[f"{side}_clicked"] == len(truth.in_list(variant, "clickedcontacts"))


def assert_recipients(dbt: Dbt, truth: Truth) -> None:
    """See that each contact's row of a campaign, and of all campaigns, is right."""
    rows = {
        (row["campaign_key"], row["contact_email"]): row
        for row in dbt.rows("zoho_campaigns__campaign_recipients")
        if row["is_in_list_now"]
    }
    expected = truth.recipients()
    assert rows.keys() == expected.keys()
    for who, row in rows.items():
        there = expected[who]
        lists = there["lists"]
        bounce = "hard" if "senthardbounce" in lists else None
        assert {
            name: same_time(row[name]) if name.endswith("_at") else row[name]
            for name in (
                *("contact_id", "sent_at", "is_sent", "is_opened", "opens", "first_opened_at"),
                *("last_opened_at", "is_clicked", "clicks", "first_clicked_at", "last_clicked_at"),
                *("bounce_type", "is_opted_out", "is_complained", "is_unsent"),
            )
        } == {
            "contact_id": there["contact_id"],
            "sent_at": there["sent_at"],
            "is_sent": "sentcontacts" in lists,
            "is_opened": "openedcontacts" in lists,
            "opens": there.get("opens", 0),
            "first_opened_at": there.get("first_opened_at"),
            "last_opened_at": there.get("last_opened_at"),
            "is_clicked": "clickedcontacts" in lists,
            "clicks": there.get("clicks", 0),
            "first_clicked_at": there.get("first_clicked_at"),
            "last_clicked_at": there.get("last_clicked_at"),
            "bounce_type": "soft" if "sentsoftbounce" in lists else bounce,
            "is_opted_out": "optoutcontacts" in lists,
            "is_complained": "spamcontacts" in lists,
            "is_unsent": "unsentcontacts" in lists,
        }, who
    contacts = {row["contact_email"]: row for row in dbt.rows("zoho_campaigns__contacts")}
    for email, row in contacts.items():
        own = {key: each for (key, who), each in expected.items() if who == email}
        if not own:
            continue  # A forgotten contact, under the address of before.
        assert row["campaigns_sent"] == sum(
            "sentcontacts" in each["lists"] for each in own.values()
        )
        assert row["campaigns_opened"] == sum(
            "openedcontacts" in each["lists"] for each in own.values()
        )
        assert row["opens"] == sum(each.get("opens", 0) for each in own.values())
        assert same_time(row["last_sent_at"]) == max(each["sent_at"] for each in own.values())


def test_models(dbt: Dbt, tmp_path: Path) -> None:
    """All models are right: after the first load, after changes, and without the forgotten."""
    clock, account = FakeClock(), make_account()
    with Sandbox(account, clock=clock) as zoho:
        state = load(dbt, tmp_path, run(zoho, clock, streams=SELECTED, **SETTINGS))
        # Unit tests and data tests too.
        assert " ERROR=0 " in dbt.run("build")
        assert_models(dbt, zoho)

        mail = account.campaigns["news"].mail
        late, again, leaver = (
            mail.contacts("unopenedcontacts")[0],
            mail.contacts("openedcontacts")[0],
            mail.recipients[30],
        )
        forgotten = mail.contacts("clickedcontacts")[1]
        was = (forgotten.email or "", forgotten.first_name, forgotten.last_name, forgotten.id)
        assert sum(forgotten in each.mail.recipients for each in account.campaigns.values()) > 1
        clock.advance(4 * 86_400)
        account.open("news", late)
        account.open("news", again)
        account.click("news", again, url="https://shop.example/new")
        account.optout("news", leaver)
        account.bounce("more", account.campaigns["more"].mail.contacts("unopenedcontacts")[0])
        account.forget(forgotten)
        changed = run(zoho, clock, state, streams=SELECTED, reread_after_days=1, **SETTINGS)
        load(dbt, tmp_path, changed)
        dbt.run("run")
        assert_models(dbt, zoho)
        assert_deleted(dbt, was)
        dbt.run("run")
        assert_models(dbt, zoho)
        emails = {row["contact_email"] for row in dbt.rows("zoho_campaigns__contacts")}
        assert was[0] not in emails
        assert f"{was[3]}@no-address.invalid" in emails


def assert_deleted(dbt: Dbt, was: tuple[str, str, str, str]) -> None:
    """See that the operation deletes the rows of one contact, and those of nobody else."""
    email, first_name, last_name, contact_id = was
    before = tables(dbt.warehouse, TABLES)
    to_go = dbt.rows("zoho_campaigns__forgotten_contacts")
    assert {(row["contact_email"], row["contact_id"]) for row in to_go} == {(email, contact_id)}

    dry = dbt.run("run-operation", "delete_forgotten_contacts")
    assert "would be deleted" in dry
    assert tables(dbt.warehouse, TABLES) == before

    said = dbt.run("run-operation", "delete_forgotten_contacts", "--args", "{dry_run: false}")
    assert "deleted" in said
    for private in (email, last_name):
        assert private not in dry + said
    after = tables(dbt.warehouse, TABLES)
    for stream, text in before.items():
        others = [row for row in json.loads(text) if row["contact_email"] != email]
        assert json.loads(after[stream]) == others
        if first_name:
            assert not any(
                row.get("last_name") == last_name and row["contact_id"] == contact_id
                for row in others
            )
    assert email in json.dumps(before)
    assert email not in json.dumps(after)
    assert dbt.rows("zoho_campaigns__forgotten_contacts") == []


def test_some_streams(dbt: Dbt, tmp_path: Path) -> None:
    """Models of streams that are not loaded are left out; columns of such streams are null."""
    streams = ["campaigns", "sent_contacts", "opened_contacts"]
    clock, account = FakeClock(), make_account()
    with Sandbox(account, clock=clock) as zoho:
        load(dbt, tmp_path, run(zoho, clock, streams=streams, **SETTINGS))
        assert " ERROR=0 " in dbt.run("build", *only(streams))
        funnels = Truth(zoho).funnels()
    rows = {row["campaign_key"]: row for row in dbt.rows("zoho_campaigns__campaigns")}
    assert {key: (row["sent"], row["opened"]) for key, row in rows.items()} == {
        key: (funnel["sent"], funnel["opened"]) for key, funnel in funnels.items()
    }
    for row in rows.values():
        assert row["clicked"] is row["delivered"] is row["open_rate"] is None
        assert row["reported_sent"] is row["agrees_with_report"] is None
    models = dbt.warehouse.rows(
        "select table_name from information_schema.tables "
        "where table_schema = 'analytics' and table_name like 'zoho_campaigns__%'"
    )
    assert {row["table_name"].removeprefix("zoho_campaigns__") for row in models} == {
        *("campaigns", "campaign_recipients", "contacts", "ab_tests", "forgotten_contacts"),
    }


# Who is forgotten

ROWS = [
    # stream, campaign, address, id, flag
    ("sent_contacts", "c1", "ann@x.example", "1", None),
    ("sent_contacts", "c2", "1@no-address.invalid", "1", True),
    ("opened_contacts", "c1", "ann@x.example", None, None),
    ("sent_contacts", "c3", "flagged@x.example", "2", True),
    ("clicked_contacts", "c1", "flagged@x.example", "2", False),
    ("sent_contacts", "c4", "reused@x.example", "3", None),
    ("sent_contacts", "c5", "3@no-address.invalid", "3", None),
    ("sent_contacts", "c5", "reused@x.example", "33", None),
    ("opened_contacts", "c5", "reused@x.example", None, None),
    ("sent_contacts", "c1", "bob@x.example", "4", False),
    ("opened_contacts", "c1", "without.id@x.example", None, None),
]


def test_who_is_forgotten(dbt: Dbt, tmp_path: Path) -> None:
    """A forgotten contact's rows go by ID, and by address where it is nobody else's now."""
    messages = []
    for stream in ("sent_contacts", "opened_contacts", "clicked_contacts"):
        schema = json.loads((ROOT / "schemas" / f"{stream}.json").read_text(encoding="utf-8"))
        messages.append(
            {
                "type": "SCHEMA",
                "stream": stream,
                "schema": schema,
                "key_properties": ["campaign_key", "contact_email"],
            }
        )
        messages += [
            {
                "type": "RECORD",
                "stream": stream,
                "record": {
                    "campaign_key": campaign,
                    "contact_email": email,
                    "contact_id": contact_id,
                    "is_forgotten": flag,
                    "action": RECIPIENT_ACTIONS[stream],
                    "list_read_at": naive(0) or "",
                },
            }
            for name, campaign, email, contact_id, flag in ROWS
            if name == stream
        ]
    messages.append({"type": "STATE", "value": {"bookmarks": {}}})
    lines = "".join(json.dumps(each) + "\n" for each in messages)
    load_into(dbt.warehouse, tmp_path, lines.encode())
    streams = ["sent_contacts", "opened_contacts", "clicked_contacts"]
    dbt.run("run", "--select", "zoho_campaigns__forgotten_contacts", *only(streams))
    found = dbt.rows("zoho_campaigns__forgotten_contacts")
    assert {(row["stream"], row["campaign_key"], row["contact_email"]) for row in found} == {
        ("sent_contacts", "c1", "ann@x.example"),
        ("opened_contacts", "c1", "ann@x.example"),
        ("sent_contacts", "c3", "flagged@x.example"),
        ("clicked_contacts", "c1", "flagged@x.example"),
        ("sent_contacts", "c4", "reused@x.example"),
    }
    words = ("run-operation", "delete_forgotten_contacts", "--args", "{dry_run: false}")
    assert "5 rows deleted" in dbt.run(*words, *only(streams))
    assert "No row of a forgotten contact was found" in dbt.run(*words, *only(streams))
    left = dbt.warehouse.rows(
        " union all ".join(
            f"select campaign_key, contact_email from {SCHEMA}.{stream}" for stream in streams
        )
    )
    assert {(row["campaign_key"], row["contact_email"]) for row in left} == {
        ("c2", "1@no-address.invalid"),
        ("c5", "3@no-address.invalid"),
        ("c5", "reused@x.example"),
        ("c1", "bob@x.example"),
        ("c1", "without.id@x.example"),
    }
