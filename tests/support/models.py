"""Runs dbt on a database, and what its models must show, by the sandbox's account."""

from __future__ import annotations

import json
import math
import os
import subprocess
import typing as t
from collections import Counter, defaultdict
from datetime import UTC, datetime

from sandbox import wall_clock
from support.documents import ROOT
from support.tap_runs import RECIPIENT_ACTIONS
from support.truth import events_of_list, iso, sent_campaigns
from support.warehouse import SCHEMA, VENVS, Duckdb

if t.TYPE_CHECKING:
    from pathlib import Path

    from sandbox import Account, Campaign, Sandbox
    from support.warehouse import Record, Warehouse

Rows = list[dict[str, t.Any]]

PROJECT = ROOT / "transform"
MODELS = "analytics"
"""The schema of the models."""
TIMEOUT_S = 180
HOUR_S = 3_600
DAY_S = 86_400
COUNTS = {
    "sent": "sentcontacts",
    "opened": "openedcontacts",
    "unopened": "unopenedcontacts",
    "clicked": "clickedcontacts",
    "hard_bounced": "senthardbounce",
    "soft_bounced": "sentsoftbounce",
    "opted_out": "optoutcontacts",
    "complained": "spamcontacts",
    "unsent": "unsentcontacts",
}
"""The counts of a funnel, and the lists that they are of."""


class Dbt:
    """dbt, with the project on a database."""

    def __init__(self, warehouse: Warehouse, folder: Path) -> None:
        """Run nothing yet.

        Args:
            warehouse: The database that a loader has filled.
            folder: Where dbt keeps what it makes.
        """
        self.warehouse = warehouse
        if isinstance(warehouse, Duckdb):
            database = {"DBT_TARGET": "duckdb", "DBT_DUCKDB_PATH": str(warehouse.path)}
        else:
            host = warehouse.uri.partition("?host=")[2]  # type: ignore[attr-defined]
            database = {"DBT_TARGET": "postgres", "DBT_POSTGRES_HOST": host}
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("DBT_")},
            **database,
            "DBT_SCHEMA": MODELS,
            "DBT_PROJECT_DIR": str(PROJECT),
            "DBT_PROFILES_DIR": str(PROJECT),
            "DBT_TARGET_PATH": str(folder / "target"),
            "DBT_LOG_PATH": str(folder / "logs"),
        }

    def run(self, *words: str) -> str:
        """Run dbt; return what it printed."""
        done = subprocess.run(
            [VENVS / "dbt/bin/dbt", "--no-use-colors", *words],
            capture_output=True,
            text=True,
            check=False,
            env=self.environment,
            timeout=TIMEOUT_S,
        )
        assert done.returncode == 0, done.stdout[-3000:]
        return done.stdout

    def rows(self, model: str) -> Rows:
        """Return the rows of a model."""
        return self.warehouse.rows(f"select * from {MODELS}.{model}")


def only(streams: t.Iterable[str]) -> tuple[str, str]:
    """Return the option of dbt that says which streams are loaded."""
    return "--vars", json.dumps({"zoho_campaigns_streams": list(streams)})


def address(row: Record) -> str:
    """Return the address of a contact as the tap's records have it."""
    return (row["email"] or f"{row['contact_id']}@no-address.invalid").lower()


def naive(at: float | None) -> str | None:
    """Return a time as both databases show it: in UTC, without saying so."""
    text = iso(at)
    return text and datetime.fromisoformat(text).replace(tzinfo=None).isoformat()


def same_time(text: str | None) -> str | None:
    """Return a time of a database without the spelling that is its own."""
    return text and datetime.fromisoformat(text).isoformat()


class Truth:
    """The figures of an account."""

    def __init__(self, zoho: Sandbox) -> None:
        """Take the account as it is now."""
        self.zoho = zoho
        self.account: Account = zoho.account
        self.campaigns = [self.account.campaigns[key] for key in sent_campaigns(zoho)]

    def group(self, campaign: Campaign) -> list[Campaign]:
        """Return a campaign and its A/B variants."""
        return [campaign, *(campaign.variants or ())]

    def in_list(self, campaign: Campaign, action: str) -> set[str]:
        """Return who is in a list."""
        return {address(row) for row in self.account.rows(campaign.key, action)}

    def funnels(self) -> dict[str, dict[str, int]]:
        """Return the counts of each campaign, those of its variants among them."""
        return {
            campaign.key: {
                name: len(
                    set().union(*(self.in_list(each, action) for each in self.group(campaign)))
                )
                for name, action in COUNTS.items()
            }
            for campaign in self.campaigns
            if campaign.parent_key is None
        }

    def events(self, stream: str) -> list[tuple[Campaign, Record]]:
        """Return the events that the rows of a list tell."""
        return [
            (campaign, event)
            for campaign in self.campaigns
            for event in events_of_list(self.zoho, stream, campaign.key, 0)
        ]

    def recipients(self) -> dict[tuple[str, str], dict[str, t.Any]]:
        """Return what happened to each contact of each campaign."""
        found: dict[tuple[str, str], dict[str, t.Any]] = defaultdict(dict)
        for campaign in self.campaigns:
            for action in RECIPIENT_ACTIONS.values():
                for row in self.account.rows(campaign.key, action):
                    each = found[campaign.key, address(row)]
                    each["contact_id"] = row["contact_id"]
                    each.setdefault("lists", set()).add(action)
                    each["sent_at"] = naive(row["sent_at"])
                    if action == "clickedcontacts":
                        each["clicks"] = len(row["clicks"])
        for stream, name in (("open_events", "opened"), ("click_events", "clicked")):
            times: dict[tuple[str, str], list[float]] = defaultdict(list)
            for campaign, event in self.events(stream):
                at = datetime.fromisoformat(event["event_time_utc"]).timestamp()
                times[campaign.key, event["contact_email"]].append(at)
            for who, ats in times.items():
                found[who][f"first_{name}_at"] = naive(min(ats))
                found[who][f"last_{name}_at"] = naive(max(ats))
                if name == "opened":
                    found[who]["opens"] = len(ats)
        return dict(found)

    def links(self) -> dict[tuple[str, str], tuple[int, int]]:
        """Return contacts and clicks of each link."""
        contacts: dict[tuple[str, str], set[str]] = defaultdict(set)
        clicks = Counter[tuple[str, str]]()
        for campaign in self.campaigns:
            for row in self.account.rows(campaign.key, "clickedcontacts"):
                for _, url in row["clicks"]:
                    place = campaign.parent_key or campaign.key, url
                    contacts[place].add(address(row))
                    clicks[place] += 1
        return {place: (len(contacts[place]), clicks[place]) for place in contacts}

    def hours(self) -> dict[tuple[str, int], tuple[int, int]]:
        """Return opens and clicks by the hours after sending, as the account's clock shows them."""
        found: dict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0])
        for position, stream in enumerate(("open_events", "click_events")):
            for campaign, event in self.events(stream):
                who = self.account.contact(event["contact_id"], campaign.key)
                sent = wall_clock(campaign.time_sent(who), self.account.timezone)
                after = _clock(event["event_time"]) - _clock(sent)
                hour = math.floor(after.total_seconds() / HOUR_S)
                found[campaign.parent_key or campaign.key, hour][position] += 1
        return {place: (opens, clicks) for place, (opens, clicks) in found.items()}


def _clock(text: str) -> datetime:
    return datetime.strptime(text, "%d %b %Y, %I:%M %p").replace(tzinfo=UTC)


def tables(warehouse: Warehouse, streams: t.Iterable[str]) -> dict[str, str]:
    """Return all that the loaded tables hold, as one text for each."""
    return {
        stream: json.dumps(
            sorted(
                (
                    row["row"]
                    for row in warehouse.rows(f"select to_json(x) as row from {SCHEMA}.{stream} x")
                ),
                key=json.dumps,
            ),
            sort_keys=True,
        )
        for stream in streams
    }
