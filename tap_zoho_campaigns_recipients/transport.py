"""One HTTP exchange: bounded in time and size, to the host that was asked and no other.

The only module that knows `requests` and `urllib3`. What requests does around urllib3 takes longer
than all the rest of a call, and much of it is in the way here: redirects, cookies, .netrc. So it is
only asked, once for each host, what the environment says of proxies and certificates.
"""

from __future__ import annotations

import functools
import http.client
import io
import threading
import time
import typing as t
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH, select_proxy
from urllib3 import exceptions
from urllib3.util.ssl_ import create_urllib3_context

from tap_zoho_campaigns_recipients.errors import TransportFailed

if t.TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Mapping

MAX_BODY_BYTES = 64 * 1024 * 1024
"""A page of 1000 recipients is about a megabyte; no honest answer comes near this."""

BUFFER_BYTES = 32 * 1024
"""Headers, and a page of a few dozen rows, come in one piece."""

CHUNK_BYTES = 256 * 1024
"""So much is taken out of a connection at once, if it is there."""

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True, slots=True)
class Response:
    """What came back, whole."""

    status: int
    body: bytes
    date: float | None
    """The `Date` header in epoch seconds, if there is one that can be read."""
    retry_after: str | None
    """The `Retry-After` header as it came."""


class Transport:
    """Sends POST requests, one connection per thread.

    It measures time by itself: the sockets' own time-outs know no other clock either.
    """

    def __init__(self, *, user_agent: str, timeout_seconds: float) -> None:
        """Open nothing yet.

        Args:
            user_agent: The User-Agent header.
            timeout_seconds: How long to wait for a connection, and then for the whole answer.
        """
        self._headers = {"User-Agent": user_agent, "Accept-Encoding": "gzip, deflate"}
        self._timeout_seconds = timeout_seconds
        self._host = functools.cache(_Host)
        self._of_thread = threading.local()

    def post(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        query: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
    ) -> Response:
        """Send one request and read the whole answer.

        Redirects are not followed: they would carry credentials wherever a server says.

        Raises:
            TransportFailed: When no whole answer came. Its text holds no URL and no query.
        """
        is_answered = False
        try:
            host, pool = self._connections(url)
            with pool.urlopen(
                "POST",
                host.target(f"{url}?{urlencode(query)}" if query else url),
                body=None if form is None else urlencode(form),
                headers={**self._headers, **(FORM if form else {}), **headers},
                timeout=self._timeout_seconds,
                redirect=False,
                retries=False,
                assert_same_host=False,
                preload_content=False,
            ) as response:
                is_answered = True
                return Response(
                    status=response.status,
                    body=_read(response),
                    date=_epoch(response.headers.get("Date")),
                    retry_after=response.headers.get("Retry-After"),
                )
        except (exceptions.HTTPError, requests.RequestException, ValueError, OSError) as error:
            # Their own texts hold the URL with its query, where a token may stand.
            raise TransportFailed(self._words(error, is_answered=is_answered)) from None

    def _words(self, error: Exception, *, is_answered: bool) -> str:
        """Say what went wrong."""
        is_cut = isinstance(error, exceptions.ProtocolError | exceptions.DecodeError)
        if isinstance(error, exceptions.NewConnectionError) or (is_cut and not is_answered):
            return "The server could not be reached, or closed the connection"
        if is_cut:
            return "The connection broke in the middle of the answer"
        if isinstance(error, exceptions.TimeoutError):
            seconds = f"{self._timeout_seconds:g} seconds"
            return f"No whole answer came within request_timeout, {seconds}"
        if isinstance(error, exceptions.SSLError):
            return "The server's certificate could not be verified"
        if isinstance(error, exceptions.ProxyError):
            return "The proxy did not let the request through"
        return f"The request failed with {type(error).__name__}"

    def _connections(self, url: str) -> tuple[_Host, urllib3.HTTPConnectionPool]:
        """Return this thread's way to a host."""
        origin = "{}://{}".format(*urlsplit(url)[:2])
        ways: dict[str, tuple[_Host, urllib3.HTTPConnectionPool]] = vars(self._of_thread)
        if origin not in ways:
            host = self._host(origin)
            ways[origin] = host, host.pool()
        return ways[origin]


class _Host:
    """A host, and what the environment says of it: which proxy, and whose certificates count."""

    def __init__(self, origin: str) -> None:
        with requests.Session() as session:
            found = session.merge_environment_settings(origin, {}, None, None, None)
        proxy = select_proxy(origin, found["proxies"])
        if proxy and "://" not in proxy:
            proxy = f"http://{proxy}"
        self._origin = origin
        self._proxy = proxy
        self._tls: dict[str, t.Any] = {}
        if origin.startswith("https:"):
            bundle = found["verify"]
            context = _trusting(bundle if isinstance(bundle, str) else DEFAULT_CA_BUNDLE_PATH)
            self._tls = {"ssl_context": context, "cert_reqs": "CERT_REQUIRED"}

    def pool(self) -> urllib3.HTTPConnectionPool:
        """Return connections to the host, none of which is open yet."""
        if self._proxy:
            manager = HTTPAdapter().proxy_manager_for(self._proxy, **self._tls)
        else:
            manager = urllib3.PoolManager(**self._tls)
        pool: urllib3.HTTPConnectionPool = manager.connection_from_url(self._origin)
        pool.ConnectionCls = type(
            "TimelyConnection", (pool.ConnectionCls,), {"response_class": _TimelyResponse}
        )
        return pool

    def target(self, url: str) -> str:
        """Return what to ask for: a URL whole where a proxy takes it from there, else its path."""
        if self._proxy and not self._tls and not self._proxy.startswith("socks"):
            return url
        return url[len(self._origin) :]


def _trusting(bundle: str) -> ssl.SSLContext:
    """Return how to verify certificates.

    Raises:
        TransportFailed: When there are none to verify them by.
    """
    context = create_urllib3_context()
    try:
        if Path(bundle).is_dir():
            context.load_verify_locations(capath=bundle)
        else:
            context.load_verify_locations(cafile=bundle)
    except OSError:
        msg = f"No certificates in {bundle}: look at REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE"
        raise TransportFailed(msg) from None
    return context


class _TimelyResponse(http.client.HTTPResponse):
    """An answer of which all, its headers included, must come within the socket's time-out.

    By itself that bounds the wait for each piece, however small the pieces are.
    """

    def __init__(self, sock: socket.socket, *arguments: t.Any, **options: t.Any) -> None:  # noqa: ANN401 - handed on
        super().__init__(sock, *arguments, **options)
        self.fp = io.BufferedReader(_Timely(self.fp.detach(), sock), BUFFER_BYTES)


class _Timely(io.RawIOBase):
    """Reads from a socket for no longer than its time-out, from now on."""

    def __init__(self, raw: io.RawIOBase, connection: socket.socket) -> None:
        self._raw = raw
        self._connection = connection
        self._deadline = time.monotonic() + (connection.gettimeout() or 0)
        self._is_first = True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: t.Any) -> int | None:  # noqa: ANN401 - handed on
        if self._is_first:
            # All the time is left, and most answers come in one piece.
            self._is_first = False
            return self._raw.readinto(buffer)
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


def _read(response: urllib3.BaseHTTPResponse) -> bytes:
    """Read a body, looking at its size whenever something came."""
    chunks = []
    size = 0
    # `read` would wait for whole chunks, however slowly they come.
    while chunk := response.read1(CHUNK_BYTES, decode_content=True):
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            msg = f"The answer is larger than {MAX_BODY_BYTES >> 20} MiB"
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
        now: Epoch seconds by the server's own clock; None where it did not say.
    """
    if header is None:
        return None
    number = header.strip()
    if number.isascii() and number.isdigit():
        return float(number[:9])
    moment = _epoch(header)
    return None if moment is None or now is None else max(moment - now, 0.0)
