"""Runs that follow one another, and what they asked for and delivered."""

from __future__ import annotations

import typing as t
from collections import Counter

from sandbox import make_campaign
from support.tap_runs import RECIPIENT_ACTIONS, RECIPIENTS, run_tap, settings

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox import Account, Campaign, Sandbox
    from support.tap_runs import FakeClock, Outcome

LISTS = tuple(RECIPIENT_ACTIONS)
HOUR_S = 3600


def add(account: Account, name: str, days_ago: float, **shape: t.Any) -> Campaign:
    """Have a campaign of twelve recipients sent so long ago."""
    return make_campaign(account, name, key=name, days_ago=days_ago, **{"recipients": 12, **shape})


def run(
    zoho: Sandbox,
    clock: FakeClock,
    state: dict[str, t.Any] | None = None,
    *,
    streams: Iterable[str] | None = LISTS,
    method: str | None = None,
    fails: bool = False,
    **changes: t.Any,
) -> Outcome:
    """Run the tap an hour later, with the log of requests empty."""
    clock.advance(HOUR_S)
    zoho.reset_log()
    outcome = run_tap(
        settings(zoho, **changes),
        state=state,
        streams=streams,
        method=method,
        clock=clock.fresh(),
    )
    assert (outcome.error is not None) is fails, outcome.error
    return outcome


def calls(zoho: Sandbox) -> dict[str, int]:
    """Count the requests by endpoint, without those for tokens."""
    counts = Counter(logged.endpoint for logged in zoho.requests if logged.endpoint != "token")
    return dict(counts)


def lists_asked(zoho: Sandbox) -> set[tuple[str, str]]:
    """Return which lists were asked for: campaign key and action."""
    return {
        (logged.campaign_key or "", logged.action or "")
        for logged in zoho.requests
        if logged.endpoint == RECIPIENTS
    }


def campaigns_asked(zoho: Sandbox) -> set[str]:
    """Return the campaigns that any request was about."""
    return {logged.campaign_key for logged in zoho.requests if logged.campaign_key}


def bookmarks(outcome: Outcome, stream: str) -> dict[str, dict[str, t.Any]]:
    """Return a stream's partitions by campaign key."""
    partitions = outcome.state["bookmarks"].get(stream, {}).get("partitions", [])
    return {partition["context"]["campaign_key"]: partition for partition in partitions}


def everything(zoho: Sandbox, *keys: str, streams: Iterable[str] = LISTS) -> set[tuple[str, ...]]:
    """Return what the lists of these campaigns hold: stream, key and address of every row."""
    return {
        (stream, key, row["email"].lower())
        for key in keys
        for stream in streams
        for row in zoho.account.rows(key, RECIPIENT_ACTIONS[stream])
    }


def delivered(*outcomes: Outcome) -> set[tuple[str, ...]]:
    """Return what arrived: stream, key and address of every record."""
    return {
        (stream, *key)
        for outcome in outcomes
        for stream in outcome.records
        if stream in RECIPIENT_ACTIONS
        for key in outcome.keys(stream)
    }


def unopened(zoho: Sandbox, key: str = "news") -> str:
    """Return somebody who has not opened a campaign."""
    return str(zoho.account.rows(key, "unopenedcontacts")[0]["email"])
