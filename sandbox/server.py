"""The sandbox itself: a loopback server with a clock, a request log, switches and faults."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING, Protocol, Self

from sandbox import admin
from sandbox.accounts import demo_account
from sandbox.api import ALIASES, ENDPOINTS, Call, resfmt
from sandbox.faults import Faults, Logged
from sandbox.limits import Limits
from sandbox.oauth import TokenOffice
from sandbox.responses import HTML_PAGE, Refused, Reply, spell_error
from sandbox.switches import Switches
from sandbox.wire import Server

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from sandbox.faults import Fault
    from sandbox.model import Account
    from sandbox.wire import Received

LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class Clock(Protocol):
    """Something that knows the time."""

    def time(self) -> float:
        """Epoch seconds."""
        ...


class Sandbox:
    """Zoho Campaigns on a loopback port; a context manager that serves on a thread."""

    def __init__(
        self,
        account: Account | None = None,
        *,
        switches: Switches | None = None,
        clock: Clock | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        """Make a sandbox of an account (default: the demo's), not yet serving.

        Raises:
            ValueError: `host` is not a loopback address.
        """
        if host not in LOOPBACK:
            raise ValueError(f"the sandbox binds to loopback only, not to {host}")
        self.account = account or demo_account()
        self.switches = switches or Switches()
        self.faults = Faults()
        self.requests: list[Logged] = []
        self.before_request: Callable[[Logged], object] | None = None
        """Called with each request before it is answered; may do anything."""
        self.failures: list[BaseException] = []
        """What went wrong in the sandbox itself; raised when the context ends."""
        self.in_flight = 0
        self.peak_in_flight = 0
        self._clock: Clock = clock or time
        self._offset_s = 0.0
        self.account.now = self.time
        self.tokens = TokenOffice(self.account, self.switches, self.time)
        self._limits = Limits(self.switches, self.time)
        self._rng = random.Random(0)
        self._rng_seed = 0
        self._server = Server((host, port), self)
        self._thread: threading.Thread | None = None
        bound_port = self._server.server_address[1]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{bound_port}"
        """Of the API and of the accounts server."""

    # Running

    def start(self) -> Self:
        """Serve on a thread."""
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        """End serving and close all connections."""
        if self._thread:
            self._server.shutdown()
            self._thread.join()
            self._thread = None
        self._server.server_close()
        self._server.close_connections()

    def __enter__(self) -> Self:
        """Serve."""
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End serving; raise what went wrong in the sandbox itself."""
        self.stop()
        if self.failures and kind is None:
            raise self.failures[0]

    @property
    def lock(self) -> threading.RLock:
        """Hold it to change the account while requests are served."""
        return self.account.lock

    # Time

    def time(self) -> float:
        """The sandbox's time, epoch seconds."""
        return self._clock.time() + self._offset_s

    def set_time(self, epoch_s: float) -> None:
        """Set the sandbox's clock, which runs on from there."""
        self._offset_s = epoch_s - self._clock.time()

    def advance(self, seconds: float) -> None:
        """Put the sandbox's clock forward."""
        self._offset_s += seconds

    def date(self) -> float | None:
        """Time of the Date header, epoch seconds; None if there is none."""
        if not self.switches.date_header:
            return None
        return self.time() + self.switches.date_skew_s

    # The log

    def calls(
        self,
        endpoint: str | None = None,
        action: str | None = None,
        campaign_key: str | None = None,
    ) -> int:
        """Count the requests logged, of an endpoint, of a list, of a campaign."""
        return sum(
            endpoint in {None, r.endpoint}
            and action in {None, r.action}
            and campaign_key in {None, r.campaign_key}
            for r in list(self.requests)
        )

    def reset_log(self) -> None:
        """Forget the requests logged so far."""
        self.requests.clear()
        self.peak_in_flight = self.in_flight

    # Limits

    def lock_endpoint(self, endpoint: str, seconds: float) -> None:
        """Lock an endpoint, as when another tool used up the account's calls."""
        self._limits.lock(endpoint, seconds)

    def unlock(self) -> None:
        """Lift all locks and forget the calls counted."""
        self._limits.clear()

    # Answering

    def respond(self, received: Received) -> tuple[Reply | None, Fault | None]:
        """Answer a request. No reply: the connection is reset."""
        if received.path.startswith("/_sandbox/"):
            return admin.respond(
                self, received.method, received.path, received.query, received.body
            ), None
        endpoint, version = _endpoint(received.path)
        logged = Logged(
            endpoint=endpoint,
            method=received.method,
            path=received.path,
            api=version if endpoint != "token" else "",
            params=received.query | received.form,
            where=received.where,
            headers=received.headers,
            at=self.time(),
        )
        with self.lock:
            self.requests.append(logged)
            self.in_flight += 1
            self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        try:
            if self.before_request:
                self.before_request(logged)
            fault = self.faults.take(logged)
            wait_s = self.switches.latency_s
            if fault and fault.kind == "slow":
                wait_s += fault.seconds
            if wait_s:
                time.sleep(wait_s)
            with self.lock:
                reply = self._reply(received, logged, version, fault)
            if reply:
                logged.status, logged.code, logged.rows = reply.status, reply.code, reply.rows
            return reply, fault
        finally:
            with self.lock:
                self.in_flight -= 1

    def _reply(
        self, received: Received, logged: Logged, version: str, fault: Fault | None
    ) -> Reply | None:
        switches = self.switches
        query = received.query if switches.params_from != "form" else {}
        form = received.form if switches.params_from != "query" else {}
        call = Call(
            account=self.account,
            switches=switches,
            params=query | form,
            version=version,
            uri=received.path,
            form=resfmt(query | form, switches),
            now=self.time(),
            rng=self._rng_of_moves(),
        )
        try:
            if fault:
                if fault.kind == "reset":
                    return None
                if fault.kind == "other_format":
                    call.form = "xml" if call.form == "json" else "json"
                if made := self._fault_reply(fault, call, logged.endpoint):
                    made.headers |= fault.headers
                    return made
            if logged.endpoint == "token":
                return self.tokens.respond(received.method, received.query | received.form)
            return self._api_reply(call, received, logged.endpoint)
        except Refused as error:
            return spell_error(error, switches, call.form, call.uri, version)

    def _api_reply(self, call: Call, received: Received, endpoint: str) -> Reply:
        if self.switches.redirect_to:
            return _redirect(self.switches.redirect_to.rstrip("/") + call.uri)
        if endpoint == "unknown" or received.method not in {"GET", "POST"}:
            raise Refused("1004")
        if self._limits.is_locked(endpoint):
            return self._limits.reply(endpoint, call)
        if call.version == "1":
            legacy = (call.params.get("authtoken"), call.params.get("scope"))
            authorised = legacy == (self.account.auth_token, "CampaignsAPI")
        else:
            kind, _, token = received.headers.get("authorization", "").partition(" ")
            authorised = kind == "Zoho-oauthtoken" and self.tokens.is_valid(token)
        if not authorised:
            raise Refused("1007")
        return ENDPOINTS[endpoint](call)

    def _fault_reply(self, fault: Fault, call: Call, endpoint: str) -> Reply | None:
        """The response that a fault gives; none where the real one is used (and perhaps spoilt)."""
        reply = None
        match fault.kind:
            case "http":
                raise Refused("", status=fault.status)
            case "code":
                raise Refused(fault.code, fault.message, fault.status)
            case "html":
                reply = Reply(200, HTML_PAGE, "text/html", code="html")
            case "empty":
                reply = Reply(200, b"", code="empty")
            case "body":
                reply = Reply(fault.status or 200, fault.body, fault.content_type, code="body")
            case "locked":
                reply = self._limits.reply(endpoint, call)
            case "lock":
                self._limits.lock(endpoint, fault.seconds)
                reply = self._limits.reply(endpoint, call)
            case "redirect":
                reply = _redirect(fault.location, fault.status or 302)
        return reply

    def _rng_of_moves(self) -> random.Random:
        """The random numbers of `Switches.moves`, started anew where its seed is another one."""
        moves = self.switches.moves
        if moves and moves.seed != self._rng_seed:
            self._rng, self._rng_seed = random.Random(moves.seed), moves.seed
        return self._rng


def _redirect(location: str, status: int = 302) -> Reply:
    return Reply(status, b"", headers={"Location": location}, code="redirect")


def _endpoint(path: str) -> tuple[str, str]:
    """The endpoint's name in the log, and the API's version."""
    if path == "/oauth/v2/token":
        return "token", "1.1"
    for prefix, version in (("/api/v1.1/", "1.1"), ("/api/", "1")):
        if path.startswith(prefix):
            name = path.removeprefix(prefix)
            name = ALIASES.get(name, name)
            return (name if name in ENDPOINTS else "unknown"), version
    return "unknown", "1.1"
