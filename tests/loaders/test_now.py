"""Who is in a list now: the documented query, at every step of a history."""

from __future__ import annotations

import json
import typing as t

from sandbox import Account, Sandbox
from support.documents import code, read
from support.incremental import add, run
from support.tap_runs import RECIPIENT_ACTIONS, FakeClock
from support.warehouse import key_of, lists, load_into

if t.TYPE_CHECKING:
    from pathlib import Path

    from support.warehouse import Record, Warehouse

STREAMS = ("sent_contacts", "unopened_contacts", "opened_contacts", "optout_contacts")
SELECTED = (*STREAMS, "list_readings")
SETTINGS: dict[str, t.Any] = {"max_parallel_requests": 1, "page_size": 5}
Keys = dict[str, set[tuple[str, str, int]]]


def found(warehouse: Warehouse) -> Keys:
    """Return who is in which list by the documented query."""
    query = code(read("docs/sql.md"), "now.sql").removesuffix(";")
    tables = lists(
        warehouse, {stream: query.replace("unopened_contacts", stream) for stream in STREAMS}
    )
    return {stream: set(map(key_of, rows)) for stream, rows in tables.items()}


def truth(zoho: Sandbox) -> Keys:
    """Return who is in which list by the account."""
    return {
        stream: {
            (key, row["email"].lower(), 0)
            for key in zoho.account.campaigns
            for row in zoho.account.rows(key, RECIPIENT_ACTIONS[stream])
        }
        for stream in STREAMS
    }


def lines(messages: list[Record]) -> bytes:
    """Spell messages as the tap does."""
    return "".join(json.dumps(each) + "\n" for each in messages).encode()


def test_at_every_step(warehouse: Warehouse, tmp_path: Path) -> None:
    """The query is right after changes, for empty lists, lagging reports and readings cut off."""
    clock = FakeClock()
    account = Account()
    with Sandbox(account, clock=clock) as zoho:
        add(account, "news", 3, recipients=30, opened=9, optout=1)
        add(account, "tiny", 2, recipients=3, opened=2, hard=0, soft=0)

        outcome = run(zoho, clock, streams=SELECTED, **SETTINGS)
        state = load_into(warehouse, tmp_path, lines(outcome.messages))
        assert found(warehouse) == truth(zoho)

        # Contacts move from one list to others; the last one leaves the list of the tiny campaign.
        *_, late, later = account.rows("news", "unopenedcontacts")
        account.open("news", late["email"])
        account.optout("news", account.rows("news", "openedcontacts")[0]["email"])
        for row in account.rows("tiny", "unopenedcontacts"):
            account.open("tiny", row["email"])
        outcome = run(zoho, clock, state, streams=SELECTED, **SETTINGS)
        state = load_into(warehouse, tmp_path, lines(outcome.messages))
        now = truth(zoho)
        assert not any(key == "tiny" for key, *_ in now["unopened_contacts"])
        assert found(warehouse) == now

        # The report lags: it still counts somebody in the list that has become empty.
        zoho.switches.reports, zoho.switches.reports_as_of = "lagging", clock.now
        account.open("news", later["email"])
        outcome = run(zoho, clock, state, streams=SELECTED, **SETTINGS)
        state = load_into(warehouse, tmp_path, lines(outcome.messages))
        zoho.switches.reports_as_of = clock.now
        outcome = run(zoho, clock, state, streams=SELECTED, **SETTINGS)
        state = load_into(warehouse, tmp_path, lines(outcome.messages))
        assert found(warehouse) == truth(zoho)

        # A reading is cut off after its first page: who was in the list is still found.
        zoho.switches.reports = "ok"
        account.open("news", account.rows("news", "unopenedcontacts")[0]["email"])
        outcome = run(zoho, clock, state, streams=SELECTED, **SETTINGS)
        of_list = [
            number
            for number, each in enumerate(outcome.messages)
            if each.get("stream") == "unopened_contacts" and each["type"] == "RECORD"
        ]
        assert len(of_list) > 5
        cut_off = outcome.messages[: of_list[5]]
        before = found(warehouse)["unopened_contacts"]
        load_into(warehouse, tmp_path, lines(cut_off))
        assert found(warehouse)["unopened_contacts"] == before

        # The next run makes it good, from the last state that was written.
        states = [each["value"] for each in cut_off if each["type"] == "STATE"]
        outcome = run(zoho, clock, states[-1] if states else state, streams=SELECTED, **SETTINGS)
        load_into(warehouse, tmp_path, lines(outcome.messages))
        assert found(warehouse) == truth(zoho)
