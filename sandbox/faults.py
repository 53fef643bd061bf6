"""What goes wrong between a client and a server, whatever the server is.

Not to be confused with the switches: those are about what Zoho means, these about accidents.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

END_OF_HTTP_STATUSES = 600
SURE_ENDPOINTS = {"getcampaignrecipientsdata", "recentcampaigns", "token"}
TOKEN_KINDS = {"500", "502", "503", "504", "html", "empty", "cut", "reset"}
RARE_KINDS = ("1007", "locked")
REQUESTS_BETWEEN_RARE_KINDS = 20

KINDS = {
    "http": "an HTTP status with an HTML page (status=503)",
    "html": "an HTML page with HTTP 200",
    "empty": "HTTP 200 with an empty body",
    "cut": "the connection ends in the middle of the body",
    "reset": "the connection is reset before the response",
    "reset_mid_body": "the connection is reset in the middle of the body",
    "slow": "the response comes after `seconds`",
    "slow_mid_body": "half the body comes after `seconds`",
    "other_format": "JSON where XML was asked, and the reverse",
    "code": "an error of Zoho's (code=, message=, status=200)",
    "body": "any bytes (body=, status=200, content_type=)",
    "locked": "one response as a locked endpoint gives it",
    "lock": "the endpoint is locked for `seconds`",
    "redirect": "a redirect (status=302) to `location`",
}

STORM_KINDS = (
    "500",
    "502",
    "503",
    "504",
    "html",
    "empty",
    "cut",
    "reset",
    "reset_mid_body",
    "slow",
    "other_format",
    "2101",
    "2707",
    "6001",
    "1007",
    "locked",
)


@dataclass(slots=True)
class Logged:
    """One request as the log keeps it."""

    endpoint: str
    """Zoho's name (an alias under the original name), `token`, or `unknown`."""
    method: str
    path: str
    api: str
    """`1.1`, `1` (legacy), or nothing."""
    params: dict[str, str]
    """Of query and form, merged."""
    where: str
    """Where the parameters stood: `query`, `form`, `both` or `none`."""
    headers: dict[str, str]
    """Under lower-case names."""
    at: float
    """Arrival by the sandbox's clock, epoch seconds."""
    status: int = 0
    """HTTP status answered; 0: none (yet)."""
    code: str = ""
    """Zoho's code answered, `0` for a success."""
    rows: int = 0
    fault: str | None = None

    @property
    def campaign_key(self) -> str | None:
        """The campaign asked for."""
        return self.params.get("campaignkey")

    @property
    def action(self) -> str | None:
        """The list asked for."""
        return self.params.get("action")

    @property
    def fromindex(self) -> int | None:
        """The first row asked for."""
        return _int_or_none(self.params.get("fromindex"))

    @property
    def range(self) -> int | None:
        """How many rows were asked for."""
        return _int_or_none(self.params.get("range"))


def _int_or_none(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None


@dataclass(slots=True)
class Fault:
    """A fault for the next requests it matches: after `after` of them, `times` times."""

    kind: str
    endpoint: str | None = None
    action: str | None = None
    campaign_key: str | None = None
    times: int = 1
    after: int = 0
    when: Callable[[Logged], bool] | None = None
    status: int = 0
    seconds: float = 1.0
    code: str = ""
    message: str | None = None
    body: bytes = b""
    content_type: str = "application/json;charset=UTF-8"
    headers: dict[str, str] = field(default_factory=dict)
    location: str = "https://elsewhere.example/"
    name: str = ""

    def __post_init__(self) -> None:
        """Read a bare HTTP status or a code of Zoho's as the kind it means."""
        self.name = self.name or self.kind
        if self.kind.isdigit():
            if int(self.kind) < END_OF_HTTP_STATUSES:
                self.kind, self.status = "http", int(self.kind)
            else:
                self.kind, self.code = "code", self.kind
        if self.kind not in KINDS:
            raise ValueError(f"no fault {self.kind!r}; there are: {', '.join(KINDS)}")

    def matches(self, request: Logged) -> bool:
        """Whether the fault is meant for this request."""
        return (
            self.endpoint in {None, request.endpoint}
            and self.action in {None, request.action}
            and self.campaign_key in {None, request.campaign_key}
            and (self.when is None or self.when(request))
        )


class Faults:
    """The faults that wait for requests, and a storm of random ones."""

    def __init__(self) -> None:
        """Start without faults."""
        self.waiting: list[Fault] = []
        self.injected: Counter[str] = Counter()
        """How many of each name were injected."""
        self._storm: Storm | None = None
        self._lock = threading.Lock()

    def add(self, kind: str, **details: object) -> Fault:
        """Let a fault happen; `details` are the attributes of `Fault`.

        A kind of digits is an HTTP status below 600, and a code of Zoho's above.
        """
        fault = Fault(kind, **details)  # type: ignore[arg-type]
        with self._lock:
            self.waiting.append(fault)
        return fault

    def storm(
        self,
        seed: int,
        rate: float = 0.1,
        *,
        kinds: Sequence[str] = STORM_KINDS,
        slow_s: float = 1.0,
        in_a_row: int = 2,
    ) -> None:
        """Let random faults of these kinds happen, from a seed, until `clear`."""
        with self._lock:
            self._storm = Storm(random.Random(seed), rate, tuple(kinds), slow_s, in_a_row)

    def clear(self) -> None:
        """No more faults."""
        with self._lock:
            self.waiting.clear()
            self._storm = None

    def take(self, request: Logged) -> Fault | None:
        """Take the fault that this request meets, if any."""
        with self._lock:
            for fault in self.waiting:
                if not fault.matches(request):
                    continue
                if fault.after > 0:
                    fault.after -= 1
                    continue
                fault.times -= 1
                if fault.times <= 0:
                    self.waiting.remove(fault)
                return self._note(fault, request)
            if self._storm and (stormy := self._storm.draw(request)):
                return self._note(stormy, request)
        return None

    def _note(self, fault: Fault, request: Logged) -> Fault:
        self.injected[fault.name] += 1
        request.fault = fault.name
        return fault


@dataclass(slots=True)
class Storm:
    """Random faults that a careful client survives.

    The same request meets at most `in_a_row` faults running (details and reports: one, as a client
    may well do without them). 1007 and locks come only after a number of requests were accepted
    since the last one.
    """

    rng: random.Random
    rate: float
    kinds: tuple[str, ...]
    slow_s: float
    in_a_row: int
    _running: Counter[tuple[str, ...]] = field(default_factory=Counter)
    _accepted: Counter[str] = field(default_factory=Counter)

    def draw(self, request: Logged) -> Fault | None:
        """Draw a fault, or none."""
        same = (request.endpoint, *(f"{k}={v}" for k, v in sorted(request.params.items())))
        allowed = self.in_a_row if request.endpoint in SURE_ENDPOINTS else 1
        kind = self.rng.choice(self.kinds)
        blows = self.rng.random() < self.rate
        if blows and self._running[same] < allowed and self._suits(kind, request):
            self._running[same] += 1
            self._accepted[kind] = 0
            return Fault(kind, seconds=self.slow_s)
        del self._running[same]
        self._accepted.update(RARE_KINDS)
        return None

    def _suits(self, kind: str, request: Logged) -> bool:
        if request.endpoint == "token":
            return kind in TOKEN_KINDS
        if kind in RARE_KINDS:
            return self._accepted[kind] >= REQUESTS_BETWEEN_RARE_KINDS
        return kind != "6001" or request.endpoint != "recentcampaigns"
