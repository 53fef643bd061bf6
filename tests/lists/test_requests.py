"""How requests go out, and what bounds them."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import logging
import shutil
import socket
import ssl
import subprocess
import threading
import time
import typing as t
from pathlib import Path

import pytest
from singer_sdk.exceptions import ConfigValidationError

from sandbox import Sandbox, make_account
from support.tap_runs import LISTING, RECIPIENTS, REPORT, FakeClock, legacy, run_tap, settings
from tap_zoho_campaigns_recipients.zoho.errors import RunFailed, TransportFailed
from tap_zoho_campaigns_recipients.zoho.transport import (
    MAX_BODY_BYTES,
    Transport,
    retry_after_seconds,
)

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sandbox import Logged
    from support.tap_runs import Outcome


@pytest.fixture
def clock() -> FakeClock:
    """Tells the time to both the tap and the sandbox."""
    return FakeClock()


@pytest.fixture
def zoho(clock: FakeClock) -> Iterator[Sandbox]:
    """An account of three campaigns with five recipients each."""
    with Sandbox(make_account(3, recipients=5, now=clock.now), clock=clock) as it:
        yield it


def whole(outcome: Outcome) -> bool:
    """Whether all sent contacts of the account arrived."""
    rows = outcome.keys("sent_contacts")
    return outcome.error is None and len(rows) == len(set(rows)) == 15


def api_calls(zoho: Sandbox) -> list[Logged]:
    return [each for each in zoho.requests if each.endpoint != "token"]


def secrets_of(zoho: Sandbox) -> list[str]:
    account = zoho.account
    return [
        account.client_secret,
        account.refresh_token,
        account.access_token,
        account.auth_token,
        "sandbox-access-token",
    ]


# Where parameters and credentials stand


def test_request_of_today(zoho: Sandbox, clock: FakeClock) -> None:
    """On API v1.1 a request is a POST with its parameters in the query, the token in the header."""
    assert whole(run_tap(settings(zoho), clock=clock))
    for call in api_calls(zoho):
        assert (call.method, call.where, call.api) == ("POST", "query", "1.1")
        assert call.path == f"/api/v1.1/{call.endpoint}"
        assert call.headers["authorization"] == "Zoho-oauthtoken 1000.sandbox-access-token-000001"
        assert call.params["resfmt"] == "JSON"
    first = next(each for each in zoho.requests if each.endpoint == RECIPIENTS)
    assert set(first.params) == {"campaignkey", "action", "resfmt", "fromindex", "range"}
    assert (first.fromindex, first.range) == (1, 1000)


def test_request_of_the_legacy_api(zoho: Sandbox, clock: FakeClock) -> None:
    """On the legacy API it is a POST with everything in the form, so that no URL has the token."""
    assert whole(run_tap(legacy(zoho), clock=clock))
    for call in zoho.requests:
        assert (call.method, call.where, call.api) == ("POST", "form", "1")
        assert call.path == f"/api/{call.endpoint}"
        assert call.params["authtoken"] == zoho.account.auth_token
        assert call.params["scope"] == "CampaignsAPI"
        assert "authorization" not in call.headers


def test_token_request(zoho: Sandbox, clock: FakeClock) -> None:
    """The token request is a POST with the secrets in the form, in no URL."""
    run_tap(settings(zoho), clock=clock)
    (call,) = [each for each in zoho.requests if each.endpoint == "token"]
    assert (call.method, call.where) == ("POST", "form")
    assert call.params == {
        "grant_type": "refresh_token",
        "client_id": zoho.account.client_id,
        "client_secret": zoho.account.client_secret,
        "refresh_token": zoho.account.refresh_token,
    }


def test_xml_is_for_recipients_only(zoho: Sandbox, clock: FakeClock) -> None:
    """`response_format` is asked of the recipients endpoint; the others are asked for JSON."""
    assert whole(run_tap(settings(zoho, response_format="xml"), clock=clock))
    for call in api_calls(zoho):
        assert call.params["resfmt"] == ("XML" if call.endpoint == RECIPIENTS else "JSON")


def test_user_agent(zoho: Sandbox, clock: FakeClock) -> None:
    """Requests carry the tap's name and version, or what `user_agent` says."""
    run_tap(settings(zoho), streams=["campaigns"], clock=clock)
    assert all(
        each.headers["user-agent"].startswith("tap-zoho-campaigns-recipients/")
        for each in zoho.requests
    )
    zoho.reset_log()
    config = settings(zoho, user_agent="warehouse/1 (ops@example.com)")
    run_tap(config, streams=["campaigns"], clock=clock.fresh())
    assert {each.headers["user-agent"] for each in zoho.requests} == {config["user_agent"]}


# Changing over


@pytest.mark.parametrize("parallel", [1, 8])
@pytest.mark.parametrize("code", ["903", "1003"])
def test_missing_parameter(zoho: Sandbox, clock: FakeClock, code: str, parallel: int) -> None:
    """Where Zoho misses a parameter that was sent, the request is made once more the other way."""
    zoho.before_request = only_from(zoho, RECIPIENTS, "form", code)
    outcome = run_tap(settings(zoho, max_parallel_requests=parallel), clock=clock)
    assert whole(outcome)
    assert not outcome.warnings
    missed = [each for each in api_calls(zoho) if each.code == code]
    assert 1 <= len(missed) <= parallel
    assert all(each.where == "query" for each in missed)
    if parallel == 1:
        asked = [each for each in zoho.requests if each.endpoint == RECIPIENTS]
        assert [each.where for each in asked] == ["query"] + ["form"] * (len(asked) - 1)
        assert asked[0].params == asked[1].params


def only_from(zoho: Sandbox, endpoint: str, where: str, code: str) -> Callable[[Logged], None]:
    """Return a hook: the endpoint misses what does not stand where it looks."""

    def hook(request: Logged) -> None:
        if request.endpoint == endpoint and request.where != where:
            zoho.faults.add(code, when=lambda it, request=request: it is request)

    return hook


@pytest.mark.parametrize("how", [settings, legacy])
@pytest.mark.parametrize("where", ["query", "form"])
def test_parameters_read_from_one_place(
    zoho: Sandbox,
    clock: FakeClock,
    how: t.Any,
    where: t.Literal["query", "form"],
) -> None:
    """Wherever Zoho looks for parameters, one request finds out for the whole run."""
    zoho.switches.params_from = where
    outcome = run_tap(how(zoho), clock=clock)
    assert whole(outcome)
    assert not outcome.warnings
    assert clock.slept == []
    places = [each.where for each in api_calls(zoho)]
    usual = "form" if how is legacy else "query"
    assert places == ([] if where == usual else [usual]) + [where] * (
        len(places) - (where != usual)
    )


def test_missing_either_way(zoho: Sandbox, clock: FakeClock) -> None:
    """A parameter that is missed either way is an error like any other; nothing goes round."""
    zoho.faults.add("1003", endpoint=RECIPIENTS, times=999)
    outcome = run_tap(settings(zoho), streams=["sent_contacts"], clock=clock)
    assert isinstance(outcome.error, RunFailed)
    assert "1003" in str(outcome.error)
    assert zoho.calls(RECIPIENTS) == 3 * 2


def test_missing_after_it_worked(zoho: Sandbox, clock: FakeClock) -> None:
    """Once a way has worked, a parameter that is missed is no reason to change over."""
    zoho.faults.add("903", endpoint=RECIPIENTS, after=1)
    config = settings(zoho, max_parallel_requests=1)
    outcome = run_tap(config, streams=["sent_contacts"], clock=clock)
    assert isinstance(outcome.error, RunFailed)
    assert {each.where for each in api_calls(zoho)} == {"query"}
    assert zoho.calls(RECIPIENTS) == 3


# Other hosts


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("endpoint", ["token", LISTING, REPORT, RECIPIENTS])
def test_redirect(zoho: Sandbox, clock: FakeClock, endpoint: str, status: int) -> None:
    """No redirect is followed: credentials reach no other host, nor does any request."""
    with Sandbox(make_account(1)) as elsewhere:
        zoho.faults.add(
            "redirect", endpoint=endpoint, status=status, location=elsewhere.url, times=999
        )
        outcome = run_tap(settings(zoho), clock=clock)
        assert elsewhere.requests == []
        if endpoint == REPORT:
            assert whole(outcome)
        else:
            assert f"HTTP {status}" in str(outcome.error)


def test_redirect_of_the_legacy_api(zoho: Sandbox, clock: FakeClock) -> None:
    """The same holds for the legacy API."""
    with Sandbox(make_account(1)) as elsewhere:
        zoho.switches.redirect_to = elsewhere.url
        outcome = run_tap(legacy(zoho), clock=clock)
        assert elsewhere.requests == []
        assert "HTTP 302" in str(outcome.error)


def test_api_domain(zoho: Sandbox, clock: FakeClock) -> None:
    """The accounts server's `api_domain` is not followed: requests go to `api_url` only."""
    with Sandbox(make_account(1)) as elsewhere:
        body = (
            b'{"access_token":"' + zoho.account.access_token.encode() + b'","expires_in":3600,'
            b'"api_domain":"' + elsewhere.url.encode() + b'"}'
        )
        zoho.faults.add("body", endpoint="token", body=body)
        assert whole(run_tap(settings(zoho), clock=clock))
        assert elsewhere.requests == []


@pytest.mark.parametrize("setting", ["api_url", "accounts_url"])
@pytest.mark.parametrize(
    "url",
    ["http://campaigns.zoho.com", "http://10.0.0.1", "http://0.0.0.0", "http://localhost.zoho.com"],
)
def test_only_https(zoho: Sandbox, setting: str, url: str) -> None:
    """Plain http is refused for every host but loopback, before any request."""
    with pytest.raises(ConfigValidationError) as caught:
        run_tap(settings(zoho, **{setting: url}))
    assert [each for each in caught.value.errors if setting in each and "https" in each]
    assert zoho.requests == []


def test_netrc(
    zoho: Sandbox, clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Passwords that other programs keep for the host do not replace the tap's credentials."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    assert whole(run_tap(settings(zoho), clock=clock))


# Logs


@pytest.mark.parametrize("how", [settings, legacy])
def test_no_query_in_a_log(zoho: Sandbox, clock: FakeClock, how: t.Any) -> None:
    """No URL is logged with its query, at DEBUG level neither, whether a request works or fails."""
    zoho.switches.params_from = "query"
    for fault in ("500", "reset", "reset_mid_body", "cut", "html", "1007", "2101"):
        zoho.faults.add(fault, endpoint=RECIPIENTS, after=3)
        zoho.faults.add(fault, endpoint=REPORT)
    outcome = run_tap(how(zoho), clock=clock, level=logging.DEBUG)
    text = "\n".join([*outcome.log, str(outcome.error)])
    assert "DEBUG" in text
    for part in ("campaignkey=", "authtoken=", "resfmt", "?", *secrets_of(zoho)):
        assert part not in text


# Time and size


@contextlib.contextmanager
def server(
    answer: Iterable[bytes],
    pause_s: float = 0.0,
    *,
    received: list[bytes] | None = None,
    context: ssl.SSLContext | None = None,
) -> Iterator[str]:
    """Serve one connection: send these pieces, whatever is asked, with a pause between them."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)

        def serve() -> None:
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                if context:
                    connection = context.wrap_socket(connection, server_side=True)
                with connection:
                    request = connection.recv(65_536)
                    if received is not None:
                        received.append(request)
                    for piece in answer:
                        connection.sendall(piece)
                        time.sleep(pause_s)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"{'https' if context else 'http'}://127.0.0.1:{listener.getsockname()[1]}"
    thread.join(10)
    assert not thread.is_alive()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def failure(url: str, timeout_seconds: float) -> tuple[str, float]:
    """Return what a request fails with, and how long that took."""
    transport = Transport(user_agent="test", timeout_seconds=timeout_seconds)
    begin = time.monotonic()
    with pytest.raises(TransportFailed) as caught:
        transport.post(f"{url}/?secret=planted", headers={})
    text = str(caught.value)
    assert "planted" not in text
    assert "\n" not in text
    return text, time.monotonic() - begin


@pytest.mark.parametrize("framing", [b"Content-Length: 1000\r\n\r\n", b"\r\n"])
def test_dripping_body(framing: bytes) -> None:
    """A body that comes byte by byte is given up after `request_timeout`."""
    with server(itertools.chain([HEAD + framing], itertools.repeat(b" ", 40)), 0.05) as url:
        text, seconds = failure(url, 0.3)
    assert "request_timeout, 0.3 seconds" in text
    assert 0.3 <= seconds < 0.9


def test_dripping_chunk() -> None:
    """So is one that is sent in chunks."""
    head = HEAD + b"Transfer-Encoding: chunked\r\n\r\nfff\r\n"
    with server(itertools.chain([head], itertools.repeat(b" ", 40)), 0.05) as url:
        text, seconds = failure(url, 0.3)
    assert "request_timeout" in text
    assert 0.3 <= seconds < 0.9


@pytest.mark.parametrize("start", [b"HTTP/1.1 ", HEAD, HEAD + b"X-Padding: "])
def test_dripping_headers(start: bytes) -> None:
    """So are headers, and a status line, that come byte by byte."""
    with server(itertools.chain([start], itertools.repeat(b"x", 40)), 0.05) as url:
        text, seconds = failure(url, 0.3)
    assert "request_timeout, 0.3 seconds" in text
    assert 0.3 <= seconds < 0.9


def test_silent_server() -> None:
    """A server that never answers is given up after `request_timeout`."""
    with server([b""], 1.0) as url:
        text, seconds = failure(url, 0.3)
    assert "request_timeout" in text
    assert 0.3 <= seconds < 0.9


def test_endless_body() -> None:
    """A body that does not end is given up at 64 MiB."""
    piece = b" " * 1_048_576
    with server(itertools.chain([HEAD + b"\r\n"], itertools.repeat(piece, 200))) as url:
        text, _ = failure(url, 30)
    assert text.startswith("The response is larger than 64 MiB")


def test_compressed_bomb() -> None:
    """A small body that unpacks to a large one is given up at 64 MiB as well."""
    body = gzip.compress(b" " * (MAX_BODY_BYTES * 2))
    head = HEAD + f"Content-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with server([head + body]) as url:
        text, _ = failure(url, 30)
    assert text.startswith("The response is larger than 64 MiB")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        HEAD + b"Content-Length: 10\r\n\r\n{}",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        HEAD + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
        HEAD + b"X: " + b"x" * 100_000 + b"\r\n\r\n",
        HEAD + b"".join(b"X%d: y\r\n" % number for number in range(200)) + b"\r\n",
    ],
)
def test_broken_answers(answer: bytes) -> None:
    """What is no whole response of HTTP is a failed request, in one line."""
    with server([answer]) as url:
        failure(url, 5)


def test_slow_answer_of_a_run(zoho: Sandbox, clock: FakeClock) -> None:
    """A body that stalls in its middle is a failed request of a run, and is asked for again."""
    zoho.faults.add("slow_mid_body", endpoint=RECIPIENTS, seconds=2.5)
    outcome = run_tap(settings(zoho, request_timeout=1.5), clock=clock)
    assert whole(outcome)
    assert len(clock.slept) == 1


def test_large_request_timeout(zoho: Sandbox, clock: FakeClock) -> None:
    """The largest `request_timeout` and `retry_wait` do no harm; no retry waits above a day."""
    zoho.faults.add("500", endpoint=RECIPIENTS)
    assert whole(run_tap(settings(zoho, request_timeout=10**9, retry_wait=10**9), clock=clock))
    assert clock.slept == [86_400]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("Mon, 21 Sep 2026 14:14:00 GMT", 40.0),
        ("Mon, 21 Sep 2026 14:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("9" * 50, 999_999_999.0),
        ("Mon, 99 Sep 2026 14:14:00 GMT", None),
        ("²", None),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    """`Retry-After` is read as seconds or as a date; what is neither is as good as none."""
    assert retry_after_seconds(header, 1_790_000_000.0) == seconds


# What the environment says


PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
OK = HEAD + b"Content-Length: 2\r\n\r\n{}"


@pytest.fixture
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy and no certificates but those of the test."""
    for name in (*PROXIES, *map(str.lower, PROXIES), *BUNDLES):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("bare_environment")
@pytest.mark.parametrize(("variable", "scheme"), [("HTTP_PROXY", "http://"), ("all_proxy", "")])
def test_proxy(monkeypatch: pytest.MonkeyPatch, variable: str, scheme: str) -> None:
    """Requests go through the proxy of the environment, with its name and password."""
    received: list[bytes] = []
    transport = Transport(user_agent="test", timeout_seconds=5)
    with server([OK], received=received) as url:
        monkeypatch.setenv(variable, url.replace("http://", f"{scheme}someone:word@"))
        answer = transport.post("http://127.0.0.2:9/path", headers={}, query={"a": "b c"})
    assert (answer.status, answer.body) == (200, b"{}")
    head = received[0].decode().splitlines()
    assert head[0] == "POST http://127.0.0.2:9/path?a=b+c HTTP/1.1"
    assert "Host: 127.0.0.2:9" in head
    assert "Proxy-Authorization: Basic c29tZW9uZTp3b3Jk" in head


@pytest.mark.usefixtures("bare_environment")
def test_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts that `NO_PROXY` names are asked directly."""
    received: list[bytes] = []
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "example.com,127.0.0.1")
    with server([OK], received=received) as url:
        answer = Transport(user_agent="test", timeout_seconds=5).post(f"{url}/path", headers={})
    assert answer.body == b"{}"
    assert received[0].startswith(b"POST /path HTTP/1.1\r\n")


@pytest.mark.usefixtures("bare_environment")
def test_proxy_that_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """For https a proxy is asked for a tunnel; one that refuses is named, and sees no request."""
    received: list[bytes] = []
    transport = Transport(user_agent="test", timeout_seconds=5)
    with server([b"HTTP/1.1 407 No\r\n\r\n"], received=received) as url:
        monkeypatch.setenv("HTTPS_PROXY", url)
        with pytest.raises(TransportFailed, match="The proxy did not let the request through"):
            transport.post("https://zoho.invalid/path?secret=planted", headers={"A": "planted"})
    assert received[0].startswith(b"CONNECT zoho.invalid:443 HTTP/1")
    assert b"planted" not in received[0]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that nobody vouches for, and its key."""
    if not shutil.which("openssl"):
        pytest.skip("a certificate is made with openssl")
    path = tmp_path_factory.mktemp("certificate") / "both.pem"
    openssl = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext"
    words = f"{openssl} subjectAltName=IP:127.0.0.1 -keyout {path}.key -out {path}.crt".split()
    subprocess.run(words, check=True, capture_output=True)
    path.write_bytes(b"".join(Path(f"{path}.{part}").read_bytes() for part in ("key", "crt")))
    return path


def serving_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.mark.usefixtures("bare_environment")
def test_certificate_of_nobody(certificate: Path) -> None:
    """A certificate that nobody vouches for is refused, in words, and nothing is sent."""
    received: list[bytes] = []
    transport = Transport(user_agent="test", timeout_seconds=5)
    with (
        server([OK], received=received, context=serving_tls(certificate)) as url,
        pytest.raises(TransportFailed, match="certificate could not be verified"),
    ):
        transport.post(url, headers={})
    assert received == []


@pytest.mark.usefixtures("bare_environment")
@pytest.mark.parametrize("variable", BUNDLES)
def test_certificates_of_the_environment(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """Certificates that the environment names are trusted, for the host that they are made for."""
    monkeypatch.setenv(variable, f"{certificate}.crt")
    for host, is_right in (("127.0.0.1", True), ("localhost", False)):
        transport = Transport(user_agent="test", timeout_seconds=5)
        with server([OK], context=serving_tls(certificate)) as url:
            place = f"{url.replace('127.0.0.1', host)}/path"
            if is_right:
                assert transport.post(place, headers={}).body == b"{}"
            else:
                with pytest.raises(TransportFailed, match="could not be verified"):
                    transport.post(place, headers={})


@pytest.mark.usefixtures("bare_environment")
def test_certificates_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the environment names certificates that cannot be read, nothing is trusted."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none"))
    with pytest.raises(TransportFailed, match="REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE"):
        Transport(user_agent="test", timeout_seconds=5).post("https://127.0.0.1:9/", headers={})
