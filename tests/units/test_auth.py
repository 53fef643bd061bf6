"""Tokens: one for the whole run, renewed in time, and seen by nobody."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import threading
import typing as t

import pytest

from sandbox import Sandbox, make_account
from support.tap_runs import (
    LISTING,
    RECIPIENTS,
    REPORT,
    FakeClock,
    command,
    legacy,
    run_tap,
    settings,
)
from tap_zoho_campaigns_recipients.zoho.auth import lifetime_seconds
from tap_zoho_campaigns_recipients.zoho.errors import TokenRefused, quoted
from tap_zoho_campaigns_recipients.zoho.redaction import add_secrets, without_secrets

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sandbox import Logged
    from support.tap_runs import (
        Outcome,
    )


@pytest.fixture
def clock() -> FakeClock:
    """Tells the time to both the tap and the sandbox."""
    return FakeClock()


def sandbox(clock: FakeClock | None, campaigns: int = 3, recipients: int = 5) -> Sandbox:
    now = clock.now if clock else None
    return Sandbox(make_account(campaigns, recipients=recipients, now=now), clock=clock)


def whole(outcome: Outcome, campaigns: int, recipients: int = 5) -> bool:
    """Whether all sent contacts arrived, once each."""
    rows = outcome.keys("sent_contacts")
    return outcome.error is None and len(rows) == len(set(rows)) == campaigns * recipients


def refused(zoho: Sandbox) -> list[Logged]:
    return [each for each in zoho.requests if each.code == "1007"]


# One token


def test_one_token(clock: FakeClock) -> None:
    """One token serves all streams, campaigns and requests in flight of a run."""
    with sandbox(clock, 40) as zoho:
        at_once = threading.Barrier(8, timeout=10)

        def together(request: Logged) -> None:
            """Hold the first requests until eight of them are here."""
            if request.endpoint == RECIPIENTS and zoho.calls(RECIPIENTS) <= 8:
                at_once.wait()

        zoho.before_request = together
        outcome = run_tap(settings(zoho, max_parallel_requests=8, page_size=500), clock=clock)
        assert whole(outcome, 40)
        assert zoho.peak_in_flight == 8
        assert zoho.calls("token") == 1
        assert len({each.headers.get("authorization") for each in zoho.requests} - {None}) == 1


@pytest.mark.parametrize("unit", ["seconds", "milliseconds"])
def test_renewed_before_it_expires(
    clock: FakeClock, unit: t.Literal["seconds", "milliseconds"]
) -> None:
    """A token is renewed before Zoho refuses it, in whatever unit its lifetime is told."""
    with sandbox(clock, 20) as zoho:
        zoho.switches.expires_in = unit
        zoho.switches.token_limit = None
        zoho.before_request = lambda _: clock.advance(60)
        outcome = run_tap(settings(zoho, max_parallel_requests=1), clock=clock)
        assert whole(outcome, 20)
        assert refused(zoho) == []
        hours = (zoho.requests[-1].at - zoho.requests[0].at) / 3600
        assert hours > 3
        assert hours < zoho.calls("token") <= hours * 3600 / (3600 - 180) + 1


def test_short_lived_token(clock: FakeClock) -> None:
    """A token that lives for a minute is used for half of it, not for one request only."""
    with sandbox(clock, 10) as zoho:
        zoho.switches.token_lifetime_s = 60
        zoho.before_request = lambda _: clock.advance(1)
        outcome = run_tap(settings(zoho, max_parallel_requests=1), clock=clock)
        assert whole(outcome, 10)
        assert refused(zoho) == []
        assert zoho.calls("token") <= len(zoho.requests) / 29 + 1


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        ({"expires_in": 3600}, 3600),
        ({"expires_in": "3600"}, 3600),
        ({"expires_in": 3_600_000}, 3600),
        ({"expires_in": 3_600_000, "expires_in_sec": 1800}, 1800),
        ({}, 3600),
        ({"expires_in": None}, 3600),
        ({"expires_in": "soon"}, 3600),
        ({"expires_in": -1}, 3600),
        ({"expires_in": 0}, 3600),
        ({"expires_in": "nan"}, 3600),
        ({"expires_in": [3600]}, 3600),
    ],
)
def test_lifetime(answer: dict[str, t.Any], seconds: float) -> None:
    """A lifetime above a day is in milliseconds; one that cannot be read is an hour."""
    assert lifetime_seconds(answer) == seconds


@pytest.mark.parametrize(
    "token", ["", None, 7, ["1000.token"], "1000.\r\nX-Injected: yes", "1000.tökèn", "1000.\x00"]
)
def test_no_token_in_the_answer(clock: FakeClock, token: t.Any) -> None:
    """What could not stand in a header is no token; the run says so and stops."""
    with sandbox(clock) as zoho:
        body = json.dumps({"access_token": token, "expires_in": 3600}).encode()
        zoho.faults.add("body", endpoint="token", body=body, times=99)
        outcome = run_tap(settings(zoho), clock=clock)
        assert isinstance(outcome.error, TokenRefused)
        assert "neither token nor refusal" in str(outcome.error)
        assert zoho.calls("token") == len(zoho.requests) == 5


# Revoked in the middle


def revoke_at(zoho: Sandbox, call: int) -> Callable[[Logged], None]:
    """Return a hook: all access tokens are revoked before the nth recipients request."""

    def hook(request: Logged) -> None:
        if request.endpoint == RECIPIENTS and zoho.calls(RECIPIENTS) == call:
            zoho.tokens.revoke_access_tokens()

    return hook


def test_single_flight(clock: FakeClock) -> None:
    """When several requests are refused at once, one refreshes the token for all."""
    with sandbox(clock, 40) as zoho:
        at_once = threading.Barrier(8, timeout=10)

        def together(request: Logged) -> None:
            """Hold eight requests until all of them are here, then revoke their token."""
            if request.endpoint == RECIPIENTS and 41 <= number(request) <= 48:
                at_once.wait()
                zoho.tokens.revoke_access_tokens()
                at_once.wait()

        def number(request: Logged) -> int:
            calls = [each for each in zoho.requests if each.endpoint == RECIPIENTS]
            return calls.index(request) + 1

        zoho.before_request = together
        outcome = run_tap(settings(zoho, max_parallel_requests=8, page_size=500), clock=clock)
        assert whole(outcome, 40)
        assert len(refused(zoho)) == 8
        assert zoho.calls("token") == 2


def test_revoked_in_the_middle(clock: FakeClock) -> None:
    """A token revoked in the middle of a run costs one refused request and one refresh."""
    with sandbox(clock, 10) as zoho:
        zoho.before_request = revoke_at(zoho, 30)
        outcome = run_tap(settings(zoho, max_parallel_requests=1), clock=clock)
        assert whole(outcome, 10)
        assert not outcome.warnings
        assert len(refused(zoho)) == 1
        assert zoho.calls("token") == 2


@pytest.mark.parametrize("parallel", [1, 8])
def test_refresh_token_revoked_in_the_middle(clock: FakeClock, parallel: int) -> None:
    """A refresh token revoked as well stops the run with what it finished, after one request."""
    with sandbox(clock, 10) as zoho:
        zoho.tokens.revoke_access_tokens()

        def hook(request: Logged) -> None:
            if request.endpoint == RECIPIENTS and zoho.calls(RECIPIENTS) == 30:
                zoho.tokens.revoke_access_tokens()
                zoho.tokens.revoke_refresh_token()

        zoho.before_request = hook
        outcome = run_tap(settings(zoho, max_parallel_requests=parallel), clock=clock)
        assert isinstance(outcome.error, TokenRefused)
        assert "refresh_token is wrong, was revoked" in str(outcome.error)
        assert zoho.calls("token") == 2
        partitions = outcome.state["bookmarks"]["clicked_contacts"]["partitions"]
        assert len(partitions) == 10
        assert len(outcome.records["campaign_reports"]) == 10


def test_access_token_is_used_as_it_is(clock: FakeClock) -> None:
    """`access_token` is sent as it is and never refreshed, however long the run takes."""
    with sandbox(clock) as zoho:
        zoho.before_request = lambda _: clock.advance(3600)
        config = settings(
            zoho,
            client_id=None,
            client_secret=None,
            refresh_token=None,
            access_token=zoho.account.access_token,
        )
        outcome = run_tap(config, clock=clock)
        assert whole(outcome, 3)
        assert zoho.calls("token") == 0
        token = f"Zoho-oauthtoken {zoho.account.access_token}"
        assert {each.headers["authorization"] for each in zoho.requests} == {token}


# Secrets

PLANTED = {
    "client_secret": "planted1+secret/with=odd&chars%41",
    "refresh_token": "1000.planted2.refresh",
    "access_token": "1000.planted3.access",
    "auth_token": "planted4authtoken",
}


def planted(zoho: Sandbox) -> Sandbox:
    """Give the account secrets that are easy to find again."""
    for name, value in PLANTED.items():
        setattr(zoho.account, name, value)
    return zoho


def by_access_token(zoho: Sandbox, **changes: t.Any) -> dict[str, t.Any]:
    """Return a configuration with an access token made elsewhere."""
    return settings(
        zoho,
        client_id=None,
        client_secret=None,
        refresh_token=None,
        access_token=zoho.account.access_token,
        **changes,
    )


def everything(
    config: dict[str, t.Any], folder: Path, *, debug: bool = True
) -> tuple[subprocess.CompletedProcess[str], str]:
    """Run the tap as a process; return it, and all that left it: output, log, and its files."""
    cache = folder / "cache"
    env = {**os.environ, "XDG_CACHE_HOME": str(cache), "HOME": str(folder)}
    if debug:
        env["TAP_ZOHO_CAMPAIGNS_RECIPIENTS_LOGLEVEL"] = env["LOGLEVEL"] = "DEBUG"
    done = subprocess.run(
        command(config, folder), capture_output=True, text=True, check=False, timeout=60, env=env
    )
    files = [each.read_bytes().decode("latin-1") for each in cache.rglob("*") if each.is_file()]
    assert files
    if debug:
        assert "DEBUG" in done.stderr
    assert "Traceback" not in done.stderr
    return done, "\n".join([done.stdout, done.stderr, *files])


@pytest.mark.parametrize("how", [settings, legacy, by_access_token])
def test_no_secret_leaves_the_process(tmp_path: Path, how: t.Any) -> None:
    """No secret is in a record, a state, a log line at DEBUG, or the limiter's file."""
    with planted(sandbox(None)) as zoho:
        faults = ("500", "reset", "reset_mid_body", "html", "other_format", "2101")
        for number, fault in enumerate(faults):
            # Not one after the other: then a single request might meet five of them.
            zoho.faults.add(fault, endpoint=RECIPIENTS, after=2 + 2 * number)
            zoho.faults.add(fault, endpoint="token")
        zoho.switches.token_limit = None
        config = how(zoho, rate_limit_store="file", retry_wait=0, response_format="xml")
        done, text = everything(config, tmp_path)
        assert done.returncode == 0
        assert sum(zoho.faults.injected.values()) >= 6
        assert "planted" not in text
        assert "sandbox-access-token" not in text


@pytest.mark.parametrize("endpoint", ["token", LISTING, REPORT, RECIPIENTS])
@pytest.mark.parametrize("how", [settings, legacy, by_access_token])
def test_no_secret_that_a_server_echoes(clock: FakeClock, how: t.Any, endpoint: str) -> None:
    """A secret that a server echoes in an error is left out, also where its message is cut."""
    with planted(sandbox(clock)) as zoho:
        if endpoint == "token" and how is not settings:
            return
        config = how(zoho)
        echoes = [config[name] for name in PLANTED if name in config]
        if how is settings and endpoint != "token":
            echoes.append("1000.sandbox-access-token-000001")
        for words in (
            *echoes,
            " and ".join(echoes),
            *("x" * (195 - len(each) // 2) + each for each in echoes),
        ):
            zoho.faults.clear()
            message = {"message": words, "error_description": words, "error": words}
            body = json.dumps({"status": "error", "code": "4711", **message}).encode()
            zoho.faults.add("body", endpoint=endpoint, body=body, times=99)
            clock = clock.fresh()
            outcome = run_tap(config, clock=clock, level=logging.DEBUG)
            text = "\n".join([*outcome.log, str(outcome.error), json.dumps(outcome.messages)])
            assert "4711" in text or endpoint == "token"
            assert not [each for each in echoes if each[:7] in text]


@pytest.mark.parametrize("wrong", ["client_secret", "refresh_token", "access_token", "auth_token"])
def test_no_secret_in_a_refusal(tmp_path: Path, wrong: str) -> None:
    """A credential that is refused is named, and its value is not."""
    how = {"access_token": by_access_token, "auth_token": legacy}.get(wrong, settings)
    with sandbox(None) as zoho:
        config = {**how(zoho, rate_limit_store="file"), wrong: PLANTED[wrong]}
        done, text = everything(config, tmp_path)
        assert done.returncode == 3
        assert "planted" not in text


@pytest.mark.parametrize(
    "url",
    [
        "redis://:planted-password@127.0.0.1:1/0",
        "redis://planted:planted%2Fpass@127.0.0.1:1/0",
        "rediss://:planted-password@127.0.0.1:port/0",
    ],
)
def test_no_redis_password(tmp_path: Path, url: str) -> None:
    """The password in `rate_limit_store` is in no line, whatever is wrong with the server."""
    with sandbox(None) as zoho:
        done = subprocess.run(
            command(settings(zoho, rate_limit_store=url), tmp_path),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**os.environ, "TAP_ZOHO_CAMPAIGNS_RECIPIENTS_LOGLEVEL": "DEBUG"},
        )
        assert done.returncode == (2 if ":port" in url else 1)
        assert "rate_limit_store" in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr
        assert "planted" not in done.stdout + done.stderr


def test_no_address_in_the_log(clock: FakeClock) -> None:
    """No recipient's e-mail address is in a log line at any level, nor one that Zoho echoes."""
    with sandbox(clock) as zoho:
        addresses = {
            row["email"]
            for key in zoho.account.campaigns
            for row in zoho.account.rows(key, "sentcontacts")
        }
        echo = next(iter(addresses))
        refused = next(iter(zoho.account.campaigns.values()))
        echoes = [echo, f"<{echo.upper()}>", f"mailto:{echo}"]
        echoes += [f"/x?email={echo.replace('@', at)}&y=1" for at in ("%40", "&#64;")]
        refused.refusal = ("6601", f"Not for {', '.join(echoes)}.")
        outcome = run_tap(settings(zoho), clock=clock, level=logging.DEBUG)
        assert outcome.error is None
        text = "\n".join(outcome.log).lower()
        assert "not for (an address)" in text
        assert not [each for each in addresses if each.lower() in text]
        assert echo.partition("@")[0].lower() not in text


@pytest.mark.parametrize(
    ("secret", "line"),
    [
        ("abc+def/ghi", "token=abc%2Bdef%2Fghi."),
        ("abc+def/ghi", "token=abc+def/ghi"),
        ("abc def", "token=abc+def"),
        ('abc"def', '{"token": "abc\\"def"}'),
        ("p%2Fword", "redis password p/word"),
    ],
)
def test_spellings_of_a_secret(secret: str, line: str) -> None:
    """A secret is left out in each spelling that URLs, JSON and people give it."""
    add_secrets([secret])
    assert "def" not in without_secrets(line)
    assert "word" not in without_secrets(line).replace("password", "")


def test_quoted() -> None:
    """A server's words become one short line, without control characters."""
    assert quoted("a\r\nb\x00c\x1b[31m\u2028d  e") == "a b c [31m d e"
    assert quoted("x" * 500) == "x" * 199 + "…"
