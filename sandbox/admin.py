"""The sandbox's own endpoints, for clients in another process: `/_sandbox/…`, JSON both ways."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any, Protocol

from sandbox.model import ACTIONS
from sandbox.responses import Reply, dump
from sandbox.switches import Limit, Moves, Switches

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from sandbox.faults import Faults, Logged
    from sandbox.model import Account
    from sandbox.oauth import TokenOffice

EVENTS = ("send", "open", "click", "bounce", "optout", "spam", "unsend", "remove")


class Missing(LookupError):
    """Something that a command needs was not given, or does not exist."""


class Sandbox(Protocol):
    """What these endpoints read and change."""

    account: Account
    switches: Switches
    faults: Faults
    requests: list[Logged]
    peak_in_flight: int
    tokens: TokenOffice

    @property
    def lock(self) -> AbstractContextManager[object]:
        """Shuts out requests meanwhile."""

    def time(self) -> float:
        """Return the time in epoch seconds."""

    def set_time(self, at: float) -> None:
        """Set the clock."""

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""

    def reset_log(self) -> None:
        """Forget the requests."""

    def unlock(self) -> None:
        """Unlock all endpoints."""

    def lock_endpoint(self, endpoint: str, seconds: float) -> None:
        """Lock an endpoint."""


def respond(sandbox: Sandbox, method: str, path: str, query: dict[str, str], body: bytes) -> Reply:
    """Answer a request to the sandbox itself; what is wrong with it is said with HTTP 400."""
    name = path.removeprefix("/_sandbox/")
    command = (GET if method == "GET" else POST).get(name)
    if command is None:
        return _refuse(f"no {method} {path}")
    try:
        wanted = json.loads(body) if body.strip() else dict(query)
        with sandbox.lock:
            return Reply(200, dump(command(sandbox, wanted)))
    except LookupError as error:
        return _refuse(error.args[0] if isinstance(error, Missing) else f"there is no {error}")
    except (ValueError, TypeError, AttributeError) as error:
        return _refuse(str(error))


def _refuse(message: str) -> Reply:
    return Reply(400, dump({"error": message}))


def _log(sandbox: Sandbox, _: dict[str, Any]) -> object:
    return [dataclasses.asdict(r) for r in sandbox.requests]


def _counts(sandbox: Sandbox, _: dict[str, Any]) -> object:
    counts: dict[str, int] = {}
    for request in sandbox.requests:
        counts[request.endpoint] = counts.get(request.endpoint, 0) + 1
    return {
        "calls": counts,
        "rows": sum(r.rows for r in sandbox.requests),
        "peak_in_flight": sandbox.peak_in_flight,
        "faults": dict(sandbox.faults.injected),
    }


def _truth(sandbox: Sandbox, wanted: dict[str, Any]) -> object:
    keys = [wanted["campaign_key"]] if "campaign_key" in wanted else sandbox.account.campaigns
    return {key: {action: sandbox.account.rows(key, action) for action in ACTIONS} for key in keys}


def _campaigns(sandbox: Sandbox, _: dict[str, Any]) -> object:
    fields = ("key", "name", "type", "status", "sent_at", "parent_key")
    return [{f: getattr(c, f) for f in fields} for c in sandbox.account.campaigns.values()]


def _switches(sandbox: Sandbox, wanted: dict[str, Any]) -> object:
    trial = dataclasses.replace(sandbox.switches)
    for name, value in wanted.items():
        trial.set(name, value)
    for name in wanted:
        setattr(sandbox.switches, name, getattr(trial, name))
    return {f.name: _plain(getattr(sandbox.switches, f.name)) for f in dataclasses.fields(Switches)}


def _plain(value: object) -> object:
    return dataclasses.asdict(value) if isinstance(value, Limit | Moves) else value


def _clock(sandbox: Sandbox, wanted: dict[str, Any]) -> object:
    if "set" in wanted:
        sandbox.set_time(float(wanted["set"]))
    sandbox.advance(float(wanted.get("advance", 0)))
    return {"time": sandbox.time()}


def _reset(sandbox: Sandbox, _: dict[str, Any]) -> object:
    sandbox.reset_log()
    sandbox.unlock()
    sandbox.faults.clear()
    sandbox.faults.injected.clear()
    return {}


def _fault(sandbox: Sandbox, wanted: dict[str, Any]) -> object:
    if "body" in wanted:
        wanted["body"] = wanted["body"].encode()
    sandbox.faults.add(**wanted)
    return {}


def _storm(sandbox: Sandbox, wanted: dict[str, Any]) -> object:
    sandbox.faults.storm(**wanted)
    return {}


def _revoke(sandbox: Sandbox, wanted: dict[str, Any]) -> object:
    sandbox.tokens.revoke_access_tokens()
    if wanted.get("refresh_token"):
        sandbox.tokens.revoke_refresh_token()
    return {}


def _lock(sandbox: Sandbox, wanted: dict[str, Any]) -> object:
    sandbox.lock_endpoint(wanted["endpoint"], float(wanted["seconds"]))
    return {}


def _event(kind: str) -> Callable[[Sandbox, dict[str, Any]], object]:
    def happen(sandbox: Sandbox, wanted: dict[str, Any]) -> object:
        details = dict(wanted)
        for name in ("campaign_key", "email"):
            if name not in details:
                raise Missing(f"{kind} needs {name}, in JSON or in the query")
        key, email = details.pop("campaign_key"), details.pop("email")
        if key not in sandbox.account.campaigns:
            raise Missing(f"there is no campaign {key}: GET /_sandbox/campaigns lists them")
        getattr(sandbox.account, kind)(key, email, **details)
        return {}

    return happen


GET: dict[str, Callable[[Any, dict[str, Any]], object]] = {
    "log": _log,
    "counts": _counts,
    "account": _truth,
    "campaigns": _campaigns,
    "switches": _switches,
    "clock": _clock,
}
POST: dict[str, Callable[[Any, dict[str, Any]], object]] = {
    "reset": _reset,
    "switches": _switches,
    "clock": _clock,
    "faults": _fault,
    "storm": _storm,
    "revoke": _revoke,
    "lock": _lock,
    **{kind: _event(kind) for kind in EVENTS},
}
