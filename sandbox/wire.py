"""HTTP/1.1 on a bare socket, because faults need one: it can be cut and reset anywhere."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import struct
import time
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qsl, urlsplit

from sandbox.responses import Reply

if TYPE_CHECKING:
    from sandbox.faults import Fault

MAX_LINE_BYTES = 65_536
PARTS_OF_A_REQUEST_LINE = 3


@dataclass(slots=True)
class Received:
    """A request as it stood on the wire."""

    method: str
    path: str
    query: dict[str, str]
    form: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def where(self) -> str:
        """Where its parameters stood."""
        if self.query and self.form:
            return "both"
        return "query" if self.query else "form" if self.form else "none"


class Application(Protocol):
    """What answers the requests of a server."""

    failures: list[BaseException]

    def respond(self, received: Received) -> tuple[Reply | None, Fault | None]:
        """Answer a request. No reply: the connection is reset."""
        ...

    def date(self) -> float | None:
        """Time of the Date header, epoch seconds; None if there is none."""
        ...


class Server(socketserver.ThreadingTCPServer):
    """A thread for each connection, as connections are few and live long."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 512

    def __init__(self, address: tuple[str, int], application: Application) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.application = application
        self._connections: set[socket.socket] = set()
        super().__init__(address, Connection)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection, and remember it."""
        connection, address = super().get_request()
        self._connections.add(connection)
        return connection, address

    def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]
        """Close without a word, so that a reset is a reset."""
        self._connections.discard(request)
        request.close()

    def close_connections(self) -> None:
        """Hang up on everyone."""
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients may hang up; all else went wrong in here."""


class Connection(socketserver.StreamRequestHandler):
    """One connection, kept alive; HTTP spoken by hand, as faults need the bare socket."""

    disable_nagle_algorithm = True
    rbufsize = 65_536
    server: Server

    def handle(self) -> None:
        """Answer requests until either side has had enough."""
        while (received := self._receive()) is not None:
            try:
                reply, fault = self.server.application.respond(received)
            except Exception as error:  # noqa: BLE001 - it is raised where the sandbox ends
                self.server.application.failures.append(error)
                reply, fault = Reply(500, repr(error).encode(), "text/plain"), None
            try:
                goes_on = self._send(reply, fault)
            except OSError:
                return
            if not goes_on or received.headers.get("connection", "").lower() == "close":
                return

    def _receive(self) -> Received | None:
        try:
            line = self.rfile.readline(MAX_LINE_BYTES).decode("latin-1")
            parts = line.split()
            if len(parts) != PARTS_OF_A_REQUEST_LINE:
                return None
            headers = {}
            while (line := self.rfile.readline(MAX_LINE_BYTES).decode("latin-1").strip()) != "":
                name, _, value = line.partition(":")
                headers[name.lower()] = value.strip()
            body = self.rfile.read(int(headers.get("content-length", 0)))
        except (OSError, ValueError):
            return None
        target = urlsplit(parts[1])
        is_form = headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
        form = dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
        return Received(
            method=parts[0],
            path=target.path,
            query=dict(parse_qsl(target.query, keep_blank_values=True)),
            form=form if is_form else {},
            headers=headers,
            body=body,
        )

    def _send(self, reply: Reply | None, fault: Fault | None) -> bool:
        """Send a response, or what a fault leaves of it; whether the connection goes on."""
        if reply is None:
            self._reset()
            return False
        date = self.server.application.date()
        headers = {
            "Server": "ZGS",
            **({} if date is None else {"Date": formatdate(date, usegmt=True)}),
            "Content-Type": reply.content_type,
            "Content-Length": str(len(reply.body)),
            **reply.headers,
        }
        head = f"HTTP/1.1 {reply.status} {_phrase(reply.status)}\r\n" + "".join(
            f"{name}: {value}\r\n" for name, value in headers.items()
        )
        wire = head.encode("latin-1") + b"\r\n" + reply.body
        half = len(wire) - (len(reply.body) + 1) // 2
        if fault and fault.kind in {"cut", "reset_mid_body"}:
            self.request.sendall(wire[:half])
            if fault.kind == "reset_mid_body":
                time.sleep(0.02)  # Otherwise the reset overtakes the half that was sent.
                self._reset()
            return False
        if fault and fault.kind == "slow_mid_body":
            self.request.sendall(wire[:half])
            time.sleep(fault.seconds)
            wire = wire[half:]
        self.request.sendall(wire)
        return True

    def _reset(self) -> None:
        """Let closing the socket send RST."""
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
