"""Two runs of the tap, with changes between them, and what must have arrived after each."""

from __future__ import annotations

import json
import subprocess
import typing as t

from sandbox import Sandbox, make_account, make_campaign
from support.tap_runs import RECIPIENT_ACTIONS, command, settings
from support.truth import EVENTS, expected_events, expected_list, sent_campaigns
from support.warehouse import TIMEOUT_S, by_key, key_of, without_read_at

if t.TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from sandbox import Account

Record = dict[str, t.Any]
Lists = dict[str, list[Record]]
"""Rows by stream, except for when their list was read."""

TABLES = (*RECIPIENT_ACTIONS, *EVENTS)
"""The tables of contacts: of the nine lists, and of their opens and clicks."""


class TwoRuns(t.NamedTuple):
    """What the tap wrote in a full run and, after changes, in an incremental one."""

    first: bytes
    second: bytes
    before: Lists
    """What must be there after the first run."""
    after: Lists
    """What must be there after the second, in a table that is updated by key."""


def account(scale: int = 1) -> Account:
    """Three campaigns with unusual contacts among theirs, an A/B test, and a tiny one."""
    account = make_account(2, [260 * scale, 140 * scale], spacing_days=30)
    make_campaign(account, "A/B", recipients=30, type="abtesting", days_ago=9)
    make_campaign(account, "Tiny", recipients=3, opened=1, hard=0, soft=0, days_ago=2)
    account.rows(next(iter(account.campaigns)), "sentcontacts")  # makes the contacts
    odd = account.contacts[:3]
    odd[0].custom = {
        "last seen yymmdd": "260101",
        "score": 1.5,
        'a "quoted" name': "Ünïcödé 🍂 \\ back\nslash",
    }
    odd[1].profile = {
        **odd[1].profile,
        "note": 'said "no", twice; tab\there',
        "address": "1 High Street\nback\\slash",
        "phone": "null",
    }
    odd[2].rtbf = True
    odd[2].email = None
    return account


def run_tap_process(
    config: Record, folder: Path, state: Record | None = None, env: dict[str, str] | None = None
) -> bytes:
    """Run the tap as a process; return what it wrote.

    Args:
        config: Its configuration.
        folder: Where to put the files it needs.
        state: A state from before.
        env: Its environment; None: this process's.
    """
    return subprocess.run(
        command(config, folder, state=state),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
        env=env,
        timeout=TIMEOUT_S,
    ).stdout


def two_runs(folder: Path, env: dict[str, str] | None = None, **changes: t.Any) -> TwoRuns:
    """Run the tap, let contacts open, click and opt out and mail bounce, and run it again.

    Args:
        folder: Where to put the files it needs.
        env: Its environment; None: this process's.
        **changes: Settings beside those that lead to the sandbox.
    """
    with Sandbox(account()) as zoho:
        config = settings(zoho, **changes)
        first = run_tap_process(config, folder, env=env)
        before = true_lists(zoho)
        big, small, *_ = sent_campaigns(zoho)
        *_, someone, other = sorted(addresses(before["unopened_contacts"], big))
        *_, reader = sorted(addresses(before["opened_contacts"], small))
        zoho.account.open(big, someone)
        zoho.account.click(small, reader)
        zoho.account.optout(small, reader)
        zoho.account.bounce(big, other)
        second = run_tap_process(config, folder, last_state(first), env)
        return TwoRuns(first, second, before, once_or_now(before, true_lists(zoho)))


def true_lists(zoho: Sandbox) -> Lists:
    """What the sandbox knows to be in each list now, and all events, in the order of the key."""
    lists = {
        stream: by_key(
            without_read_at(record)
            for key in sent_campaigns(zoho)
            for record in expected_list(zoho, stream, key, read_at=0)
        )
        for stream in RECIPIENT_ACTIONS
    }
    events = expected_events(zoho, 0).items()
    return lists | {stream: by_key(map(without_read_at, rows)) for stream, rows in events}


def once_or_now(before: Lists, now: Lists) -> Lists:
    """What a table holds that is only ever updated by key."""
    return {
        stream: by_key({key_of(row): row for row in [*before[stream], *now[stream]]}.values())
        for stream in TABLES
    }


def last_state(messages: bytes) -> Record:
    """The value of the last STATE message."""
    states = [line for line in messages.splitlines() if b'"type":"STATE"' in line]
    return t.cast("Record", json.loads(states[-1])["value"])


def addresses(rows: Iterable[Record], campaign_key: str) -> set[str]:
    """The addresses of a campaign's rows."""
    return {row["contact_email"] for row in rows if row["campaign_key"] == campaign_key}
