"""One HTTP exchange: bounded in time and size, to the host that was asked and no other.

The only module that knows `requests`.
"""

from __future__ import annotations

import threading
import time
import typing as t
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import requests
import urllib3
from requests.adapters import HTTPAdapter

from tap_zoho_campaigns_recipients.errors import TransportFailed

if t.TYPE_CHECKING:
    from collections.abc import Mapping

MAX_BODY_BYTES = 64 * 1024 * 1024
"""A page of 1000 recipients is about a megabyte; no honest answer comes near this."""

CHUNK_BYTES = 256 * 1024
"""So much is taken out of a connection at once, if it is there."""


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
            timeout_seconds: How long one exchange may take. A server that sends a little now and
                then can make it twice as long.
        """
        self._headers = {"User-Agent": user_agent, "Accept-Encoding": "gzip, deflate"}
        self._timeout_seconds = timeout_seconds
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
        deadline = time.monotonic() + self._timeout_seconds
        try:
            with self._session().post(
                url,
                params=query,
                data=form,
                headers=headers,
                timeout=self._timeout_seconds,
                allow_redirects=False,
                stream=True,
            ) as response:
                body = self._read(response, deadline)
                return Response(
                    status=response.status_code,
                    body=body,
                    date=_epoch(response.headers.get("Date")),
                    retry_after=response.headers.get("Retry-After"),
                )
        # The errors' own texts hold the URL with its query, where a token may stand.
        except requests.Timeout:
            raise TransportFailed(self._too_slow()) from None
        except requests.exceptions.SSLError:
            msg = "The server's certificate could not be verified"
            raise TransportFailed(msg) from None
        except requests.exceptions.ProxyError:
            msg = "The proxy did not let the request through"
            raise TransportFailed(msg) from None
        except requests.ConnectionError:
            msg = "The server could not be reached, or closed the connection"
            raise TransportFailed(msg) from None
        except urllib3.exceptions.ReadTimeoutError:
            raise TransportFailed(self._too_slow()) from None
        except (urllib3.exceptions.ProtocolError, urllib3.exceptions.DecodeError):
            msg = "The connection broke in the middle of the answer"
            raise TransportFailed(msg) from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            msg = f"The request failed with {type(error).__name__}"
            raise TransportFailed(msg) from None

    def _read(self, response: requests.Response, deadline: float) -> bytes:
        """Read a body, looking at clock and size whenever something came."""
        chunks = []
        size = 0
        raw: urllib3.HTTPResponse = response.raw
        # `iter_content` would wait for whole chunks, however slowly they come.
        while chunk := raw.read1(CHUNK_BYTES, decode_content=True):
            chunks.append(chunk)
            size += len(chunk)
            if size > MAX_BODY_BYTES:
                msg = f"The answer is larger than {MAX_BODY_BYTES >> 20} MiB"
                raise TransportFailed(msg)
            if time.monotonic() > deadline:
                raise TransportFailed(self._too_slow())
        return b"".join(chunks)

    def _too_slow(self) -> str:
        return f"No whole answer came within request_timeout, {self._timeout_seconds:g} seconds"

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._of_thread, "session", None)
        if session is None:
            session = _Session()
            # Otherwise a .netrc entry for the host would replace the Authorization header.
            session.auth = _as_it_is
            session.headers.update(self._headers)
            session.mount("https://", HTTPAdapter(pool_connections=2, pool_maxsize=1))
            session.mount("http://", HTTPAdapter(pool_connections=2, pool_maxsize=1))
            self._of_thread.session = session
        return session


class _Session(requests.Session):
    """A session without what costs more than it brings, once for each request."""

    def __init__(self) -> None:
        super().__init__()
        self._of_environment: dict[str, t.Any] = {}

    def merge_environment_settings(self, url: t.Any, *settings: t.Any) -> t.Any:  # noqa: ANN401 - handed on as they are
        """Ask the environment for proxies and certificates once for each URL, less its query."""
        place = str(url).partition("?")[0]
        if place not in self._of_environment:
            self._of_environment[place] = super().merge_environment_settings(url, *settings)
        return dict(self._of_environment[place])

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return that there is none: told not to follow one, requests would read it whole."""
        del resp


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _epoch(date: str | None) -> float | None:
    if not date:
        return None
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def retry_after_seconds(header: str | None, now: float) -> float | None:
    """Read a `Retry-After` header: seconds, or a date.

    Args:
        header: The header's text, if it was there.
        now: Epoch seconds by the server's own clock.
    """
    if header is None:
        return None
    number = header.strip()
    if number.isascii() and number.isdigit():
        return float(number[:9])
    moment = _epoch(header)
    return None if moment is None else max(moment - now, 0.0)
