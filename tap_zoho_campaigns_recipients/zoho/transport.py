"""One HTTP exchange: bounded in time and size, to the host that was asked and no other.

The only module that knows `requests`.
"""

from __future__ import annotations

import functools
import json
import socket
import ssl
import threading
import time
import typing as t
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.cookiejar import DefaultCookiePolicy

import requests
from requests.adapters import HTTPAdapter

from tap_zoho_campaigns_recipients.zoho.errors import TransportFailed

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from urllib3.connection import HTTPConnection

MAX_BODY_BYTES = 64 * 1024 * 1024
LONGEST_SLEEP_SECONDS = 3600
"""A page of 1000 recipients is about a megabyte; no real response comes near this."""

CHUNK_BYTES = 256 * 1024
"""The body is read in pieces of this size, each checked against the limit."""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A complete response."""

    status: int
    body: bytes
    date: float | None
    """The `Date` header in epoch seconds, if there is one that can be read."""
    retry_after: str | None
    """The header `Retry-After`."""
    rate_limit: str | None
    """The header `X-Rate-Limit`."""


class Transport:
    """Sends POST requests, with a session for each thread.

    Time is measured by the operating system, not by an injected clock: socket time-outs know no
    other time either.
    """

    def __init__(self, *, user_agent: str, timeout_seconds: float) -> None:
        """Open no connection yet.

        Args:
            user_agent: The User-Agent header.
            timeout_seconds: How long connecting may take, and then the whole response.
        """
        self._headers = {"User-Agent": user_agent, "Accept-Encoding": "gzip, deflate"}
        self._timeout_seconds = timeout_seconds
        self._of_thread = threading.local()
        self._deadlines = _Deadlines(timeout_seconds)

    def close(self) -> None:
        """Close the connections of the calling thread."""
        session, _ = self._session()
        session.close()
        self._deadlines.end()

    def post(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        query: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
    ) -> HttpResponse:
        """Send one request and read the whole response.

        Redirects are not followed: they would carry credentials wherever a server says.

        Args:
            url: Where to, without a query.
            headers: Headers of this request.
            query: Parameters for the query.
            form: Parameters for a form body.

        Raises:
            TransportFailed: No whole response came. Its text has no URL and no query.
        """
        session, adapter = self._session()
        # Not by `session.post`: it looks for credentials in .netrc, and takes twice the time.
        request = requests.Request(
            "POST", url, headers={**self._headers, **headers}, params=query, data=form
        )
        try:
            with (
                self._deadlines.of(adapter),
                session.send(
                    request.prepare(),
                    timeout=min(self._timeout_seconds, threading.TIMEOUT_MAX),
                    allow_redirects=False,
                    stream=True,
                    **adapter.environment(session, url),
                ) as response,
            ):
                body = _read(response)
                if adapter.is_late:  # to the reader a connection that is shut down is at its end
                    raise requests.Timeout
                return HttpResponse(
                    status=response.status_code,
                    body=body,
                    date=_epoch(response.headers.get("Date")),
                    retry_after=response.headers.get("Retry-After"),
                    rate_limit=response.headers.get("X-Rate-Limit"),
                )
        except (requests.RequestException, ValueError, OSError) as error:
            # Their own texts have the URL with its query, where a token may be.
            raise TransportFailed(self._words(error, is_late=adapter.is_late)) from None

    def _session(self) -> tuple[requests.Session, _DeadlineAdapter]:
        """Return the session of this thread."""
        found: tuple[requests.Session, _DeadlineAdapter] | None
        found = getattr(self._of_thread, "session", None)
        if found is None:
            session, adapter = requests.Session(), _DeadlineAdapter()
            session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
            session.mount("https://", adapter)
            session.mount("http://", adapter)
            session.trust_env = False  # the adapter asks the environment once for each host
            found = self._of_thread.session = session, adapter
        return found

    def _words(self, error: Exception, *, is_late: bool) -> str:
        """Say what went wrong."""
        if is_late or isinstance(error, requests.Timeout):
            seconds = f"{self._timeout_seconds:g} seconds"
            return f"No complete response came within request_timeout, {seconds}"
        if type(error) is OSError and error.errno is None:  # by requests; it has no type for it
            return "There are no certificates where REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE says"
        causes = list(_causes(error))
        for kind, words in _REASONS:
            for cause in causes:
                if isinstance(cause, kind):
                    return words(cause)
        return f"The request failed with {type(error).__name__}"


class _DeadlineAdapter(HTTPAdapter):
    """An adapter for one thread whose connection is shut down at a deadline.

    The time-out of a socket bounds the wait for each piece of a response, however small the pieces
    are. The deadline bounds the whole response, headers included.
    """

    def __init__(self) -> None:
        self.is_late = False
        self.connection: HTTPConnection | None = None
        self.socket: socket.socket | None = None
        self._environments: dict[str, dict[str, t.Any]] = {}
        super().__init__()

    def environment(self, session: requests.Session, url: str) -> dict[str, t.Any]:
        """Return proxies and certificates for a URL, as requests finds them in the environment."""
        host = url.partition("://")[2].partition("/")[0]
        if host not in self._environments:
            session.trust_env = True
            found = session.merge_environment_settings(url, {}, None, None, None)
            session.trust_env = False
            self._environments[host] = {name: found[name] for name in ("proxies", "verify")}
        return self._environments[host]

    def send(self, request: requests.PreparedRequest, **options: t.Any) -> requests.Response:  # type: ignore[override]  # noqa: ANN401 - handed on
        """Send a request. A proxy without a scheme is an http proxy, also with a user name."""
        options["proxies"] = {
            kind: proxy if "://" in proxy else f"http://{proxy}"
            for kind, proxy in (options.get("proxies") or {}).items()
        }
        return super().send(request, **options)

    def get_connection_with_tls_context(self, *arguments: t.Any, **options: t.Any) -> t.Any:  # noqa: ANN401 - handed on
        """Return a pool whose connections tell the adapter that they are used."""
        pool: t.Any = super().get_connection_with_tls_context(*arguments, **options)
        if not issubclass(pool.ConnectionCls, _Observed):
            kinds = (_Observed, pool.ConnectionCls)
            pool.ConnectionCls = type("ObservedConnection", kinds, {"adapter": self})
        return pool

    def begin(self) -> None:
        """Forget the request before."""
        self.is_late, self.connection, self.socket = False, None, None

    def shut_down(self) -> None:
        """Shut the connection down, in whatever the request is."""
        self.is_late = True
        # A connection lets go of its socket when the response will be the last one.
        sock = self.socket or (self.connection and self.connection.sock)
        if sock:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


class _Deadlines:
    """Shuts connections down whose requests have taken too long, in a thread of its own.

    One thread for all requests: one for each would cost as much as the request itself.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Condition()
        self._late_at: dict[_DeadlineAdapter, float] = {}
        self._is_watching = False

    @contextmanager
    def of(self, adapter: _DeadlineAdapter) -> Iterator[None]:
        """Bound what an adapter does meanwhile."""
        adapter.begin()
        with self._lock:
            self._late_at[adapter] = time.monotonic() + self._seconds
            if not self._is_watching:
                self._is_watching = True
                threading.Thread(target=self._watch, name="deadlines", daemon=True).start()
        try:
            yield
        finally:
            with self._lock:
                del self._late_at[adapter]

    def end(self) -> None:
        """Let the thread end if nothing is left to watch."""
        with self._lock:
            self._lock.notify_all()

    def _watch(self) -> None:
        with self._lock:
            while self._late_at:
                now = time.monotonic()
                for adapter, late_at in self._late_at.items():
                    if late_at <= now and not adapter.is_late:
                        adapter.shut_down()
                waits = [late_at - now for late_at in self._late_at.values() if late_at > now]
                # Deadlines that come meanwhile are later than these.
                self._lock.wait(min([*waits, self._seconds, LONGEST_SLEEP_SECONDS]))
            self._is_watching = False


class _Observed:
    """Makes a connection tell the adapter when it is used."""

    adapter: _DeadlineAdapter

    def connect(self) -> None:
        """Connect, which includes the handshake of TLS."""
        self.adapter.connection = t.cast("HTTPConnection", self)
        super().connect()  # type: ignore[misc]

    def request(self, *arguments: t.Any, **options: t.Any) -> None:  # noqa: ANN401 - handed on
        """Send a request."""
        self.adapter.connection = connection = t.cast("HTTPConnection", self)
        super().request(*arguments, **options)  # type: ignore[misc]
        self.adapter.socket = connection.sock


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and the errors that caused it."""
    seen: list[BaseException | None] = [error]
    while seen:
        cause = seen.pop(0)
        if cause is not None:
            yield cause
            inner = (getattr(cause, "reason", None), *cause.args, cause.__context__)
            seen += [each for each in inner if isinstance(each, BaseException)]


def _tls_words(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"The server's certificate could not be verified: {error.verify_message}"
    if error.reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"}:
        return "The server does not speak TLS at this port: it may be a plain http address"
    return f"No TLS connection could be made ({error.reason or 'unknown reason'})"


_REASONS: t.Final[tuple[tuple[type[BaseException], Callable[[t.Any], str]], ...]] = (
    (requests.exceptions.ProxyError, lambda _: "The proxy did not let the request through"),
    (ssl.SSLError, _tls_words),
    (socket.gaierror, lambda _: "The name of the server does not resolve"),
    (
        requests.exceptions.ChunkedEncodingError,
        lambda _: "The connection broke in the middle of the response",
    ),
    (
        requests.exceptions.ContentDecodingError,
        lambda _: "The connection broke in the middle of the response",
    ),
    (
        requests.ConnectionError,
        lambda _: "The server could not be reached, or closed the connection",
    ),
)
"""What to say about an error that a request failed with, the most precise cause first."""


def _read(response: requests.Response) -> bytes:
    """Read a body, and stop when it is too large.

    Raises:
        TransportFailed: It is larger than `MAX_BODY_BYTES`.
    """
    chunks = []
    size = 0
    for chunk in response.iter_content(CHUNK_BYTES):
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            msg = f"The response is larger than {MAX_BODY_BYTES >> 20} MiB"
            raise TransportFailed(msg)
    return b"".join(chunks)


@functools.lru_cache(maxsize=16)
def _epoch(date: str | None) -> float | None:
    if not date:
        return None
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def retry_after_seconds(header: str | None, now: float | None) -> float | None:
    """Read a `Retry-After` header: seconds, or a date.

    Args:
        header: The header's text, if it was there.
        now: Epoch seconds by the server's own clock; None if it did not say.
    """
    if header is None:
        return None
    number = header.strip()
    if number.isascii() and number.isdigit():
        return float(number[:9])
    timestamp = _epoch(header)
    return None if timestamp is None or now is None else max(timestamp - now, 0.0)


def retry_after_from_rate_limit(header: str | None) -> float | None:
    """Read an `X-Rate-Limit` header of Zoho's gateway (zoho-api.md 5.5): the longest wait.

    Args:
        header: A JSON array of objects with `retry-after` in seconds, if the header was there.
    """
    try:
        windows = json.loads(header) if header else ()
    except ValueError:
        return None
    waits = [
        float(window["retry-after"])
        for window in (windows if isinstance(windows, list) else [windows])
        if isinstance(window, dict) and str(window.get("retry-after", "")).isdecimal()
    ]
    return max(waits, default=None)
