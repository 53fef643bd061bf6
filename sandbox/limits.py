"""The limit that Zoho documents: so many calls of one endpoint, else that endpoint is locked."""

from __future__ import annotations

from collections import deque
from email.utils import formatdate
from typing import TYPE_CHECKING

from sandbox.responses import Refused, Reply, dump, spell_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.api import Call
    from sandbox.switches import Switches


class Limits:
    """Counts the calls of each endpoint and locks it when there are too many."""

    def __init__(self, switches: Switches, now: Callable[[], float]) -> None:
        """Start with nothing counted; `now` gives epoch seconds."""
        self._switches = switches
        self._now = now
        self._calls: dict[str, deque[float]] = {}
        self._locked_until: dict[str, float] = {}

    def lock(self, endpoint: str, seconds: float) -> None:
        """Lock an endpoint from now on."""
        self._locked_until[endpoint] = self._now() + seconds

    def clear(self) -> None:
        """Lift all locks and forget the calls counted."""
        self._locked_until.clear()
        self._calls.clear()

    def is_locked(self, endpoint: str) -> bool:
        """Count a call, and tell whether its endpoint is (now) locked."""
        now = self._now()
        if now < self._locked_until.get(endpoint, 0.0):
            return True
        limit = self._switches.limit
        if limit is None:
            return False
        calls = self._calls.setdefault(endpoint, deque())
        while calls and calls[0] <= now - limit.period_s:
            calls.popleft()
        calls.append(now)
        if len(calls) <= limit.calls:
            return False
        calls.clear()
        self._locked_until[endpoint] = now + limit.lock_s
        return True

    def reply(self, endpoint: str, call: Call) -> Reply:
        """Answer as a locked endpoint does."""
        match self._switches.lock_shape:
            case "400_title":
                error = {
                    "status_code": "400",
                    "instance": call.uri,
                    "title": "URL_ROLLING_THROTTLES_LIMIT_EXCEEDED",
                    "error_type": "OPERATIONAL_VALIDATION_ERROR",
                }
                reply = Reply(400, dump({"error": error}))
            case "200_text":
                text = "You have exceeded the API call limit. Please try again after 30 minutes."
                error_of_api = Refused("400", text)
                reply = spell_error(error_of_api, self._switches, call.form, call.uri, call.version)
            case _:
                reply = Reply(429, dump({"message": "Too many requests."}))
        reply.code = "locked"
        habit = self._switches.retry_after
        until = self._locked_until.get(endpoint, 0.0)
        if habit == "remaining":
            reply.headers["Retry-After"] = str(max(1, round(until - self._now())))
        elif habit == "date":
            reply.headers["Retry-After"] = formatdate(max(until, self._now() + 1), usegmt=True)
        elif habit is not None:
            reply.headers["Retry-After"] = str(habit)
        return reply
