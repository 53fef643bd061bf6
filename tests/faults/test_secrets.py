"""No secret leaves the process by any way: all that it wrote is searched for planted values.

What servers echo, and faults in the middle of a run, are in test_auth.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import redis

from sandbox import Sandbox, make_account
from support.redis_server import PASSWORD, run_redis
from support.tap_runs import LISTING, RECIPIENTS, command, legacy, settings

if t.TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX = "TAP_ZOHO_CAMPAIGNS_RECIPIENTS_"
LOGIN = [sys.executable, "-m", "tap_zoho_campaigns_recipients.login"]
PLANTED = {
    "client_secret": "planted1+secret/with=odd&chars%41",
    "refresh_token": "1000.planted2.refresh",
    "access_token": "1000.planted3.access",
    "auth_token": "planted4authtoken",
    "grant_code": "1000.planted5.grant",
}
ISSUED = "sandbox-access-token"
"""A part of each access token that the sandbox issues, and of the refresh token."""


@pytest.fixture
def zoho() -> Iterator[Sandbox]:
    """An account whose secrets are easy to find again."""
    account = make_account(2, recipients=5)
    for name, value in PLANTED.items():
        setattr(account, name, value)
    with Sandbox(account) as it:
        it.switches.token_limit = None
        yield it


def by_access_token(zoho: Sandbox, **changes: t.Any) -> dict[str, t.Any]:
    """Return a configuration with an access token made elsewhere."""
    none = dict.fromkeys(("client_id", "client_secret", "refresh_token"))
    return settings(zoho, access_token=zoho.account.access_token, **none, **changes)


def everything(
    words: list[str], folder: Path, *, typed: str | None = None, **variables: str
) -> tuple[int, str]:
    """Run a program at DEBUG; return its exit code, and all that it said and left in its cache."""
    cache = folder / "cache"
    cache.mkdir(exist_ok=True)
    env = {
        **{name: text for name, text in os.environ.items() if not name.startswith(PREFIX)},
        "XDG_CACHE_HOME": str(cache),
        "HOME": str(folder),
        "LOGLEVEL": "DEBUG",
        f"{PREFIX}LOGLEVEL": "DEBUG",
        "PYTHONPATH": str(Path(__file__).parents[2]),
        **variables,
    }
    done = subprocess.run(
        words, capture_output=True, check=False, timeout=60, env=env, cwd=folder,
        input=typed.encode() if typed is not None else None,
    )  # fmt: skip
    files = [each.read_bytes() for each in cache.rglob("*") if each.is_file()]
    text = b"\n".join([done.stdout, done.stderr, *files]).decode("latin-1")
    assert "Traceback" not in text or "Unexpected error" in text
    return done.returncode, text


def assert_hidden(text: str) -> None:
    """No text has a planted value, a part of one, or a token that was issued."""
    assert "planted" not in text
    assert ISSUED not in text
    assert PASSWORD not in text


@pytest.mark.parametrize("how", [settings, legacy, by_access_token])
def test_settings_of_the_environment(zoho: Sandbox, tmp_path: Path, how: t.Any) -> None:
    """Secrets that come from the environment are hidden as those of a file are."""
    variables = {f"{PREFIX}{name.upper()}": str(value) for name, value in how(zoho).items()}
    variables[f"{PREFIX}RATE_LIMIT_STORE"] = "file"
    words = [sys.executable, "-m", "tap_zoho_campaigns_recipients", "--config=ENV"]
    code, text = everything(words, tmp_path, **variables)
    assert code == 0
    assert "DEBUG" in text
    assert '"type":"RECORD"' in text
    assert_hidden(text)


@pytest.mark.parametrize("option", ["--test", "--discover", "--about"])
@pytest.mark.parametrize("right", [True, False], ids=["right", "wrong"])
@pytest.mark.parametrize("how", [settings, legacy, by_access_token])
def test_other_commands(
    zoho: Sandbox, tmp_path: Path, how: t.Any, option: str, *, right: bool
) -> None:
    """No command shows one, whether they are right or refused."""
    config = how(zoho, rate_limit_store="file")
    for name in PLANTED.keys() & config.keys():
        config[name] += "" if right else "-planted-wrong"
    code, text = everything(command(config, tmp_path, option), tmp_path)
    assert (code == 0) is (right or option != "--test")
    assert_hidden(text)


def test_a_store_with_a_password(zoho: Sandbox, tmp_path: Path) -> None:
    """The password of a Redis that works is nowhere, and nothing else is in the store itself."""
    (tmp_path / "redis").mkdir()
    server, url = run_redis(tmp_path / "redis")
    try:
        config = settings(zoho, rate_limit_store=url, rate_limit_lock_wait=1)
        zoho.faults.add("lock", endpoint=RECIPIENTS, after=2, seconds=0.1)
        code, text = everything(command(config, tmp_path), tmp_path)
        assert code == 0
        with redis.Redis.from_url(url) as store:
            kept = b"".join(key + (store.dump(key) or b"") for key in store.scan_iter("*"))
    finally:
        server.kill()
        server.wait()
    assert kept
    assert_hidden(text + kept.decode("latin-1"))
    assert zoho.account.client_id not in kept.decode("latin-1")


@pytest.mark.parametrize("end", ["whole", "locked", "500", "killed token"])
@pytest.mark.parametrize("how", [settings, legacy, by_access_token])
def test_state_and_store_of_a_run_that_fails(
    zoho: Sandbox, tmp_path: Path, how: t.Any, end: str
) -> None:
    """However a run ends, its state, its last line and the file of calls hold no secret."""
    if end == "locked":
        zoho.faults.add("lock", endpoint=RECIPIENTS, after=3, seconds=1800)
    elif end == "500":
        zoho.faults.add("500", endpoint=RECIPIENTS, after=3, times=10**6)
    elif end == "killed token":
        zoho.faults.add("1007", endpoint=RECIPIENTS, after=3, times=10**6)
    config = how(zoho, rate_limit_store="file", rate_limit_lock_wait=0, retry_wait=0)
    code, text = everything(command(config, tmp_path), tmp_path)
    assert (code == 0) is (end == "whole")
    assert any(path.stat().st_size for path in (tmp_path / "cache").rglob("*") if path.is_file())
    assert '"type":"STATE"' in text
    assert_hidden(text)


FAILING = """
import sys
from tap_zoho_campaigns_recipients import tap
from tap_zoho_campaigns_recipients.zoho import client
secret = sys.argv.pop()
def fail(self, *given, **named):
    raise RuntimeError(f"with {secret}", {"Authorization": secret})
client.Client.call = fail
tap.TapZohoCampaignsRecipients.cli(sys.argv[1:])
"""


def test_unexpected_error(zoho: Sandbox, tmp_path: Path) -> None:
    """The traceback of an unexpected error is kept, without the secrets that are in its words.

    A STATE and the summary go out before it.
    """
    words = command(settings(zoho), tmp_path)
    for name in ("client_secret", "refresh_token"):
        run = [words[0], "-c", FAILING, *words[3:], PLANTED[name]]
        code, text = everything(run, tmp_path)
        assert code == 1
        assert "Unexpected error" in text
        assert "RuntimeError" in text
        assert '"type":"STATE"' in text
        assert text.index("Run failed. ") < text.index("Unexpected error")
        assert_hidden(text)


@pytest.mark.parametrize(
    "fault", [None, "500", "reset", "reset_mid_body", "html", "echo", "echo later", "refused"]
)
def test_login(zoho: Sandbox, tmp_path: Path, fault: str | None) -> None:
    """The login writes secrets to its file alone, whatever comes of grant code and client."""
    secrets = [PLANTED[name] for name in ("client_secret", "grant_code", "refresh_token")]
    if fault == "refused":
        zoho.account.grant_code = "1000.another"
    elif fault in {"echo", "echo later"}:
        endpoint = "token" if fault == "echo" else LISTING
        said = " ".join(secrets[:2] if fault == "echo" else secrets)
        words = dict.fromkeys(("error", "error_description", "message"), said) | {"code": "4711"}
        zoho.faults.add("body", endpoint=endpoint, body=json.dumps(words).encode(), times=9)
    elif fault:
        zoho.faults.add(fault, endpoint="token", times=9)
    code, text = everything(
        [*LOGIN, "--secrets-stdin", "--api-url", zoho.url, "--accounts-url", zoho.url,
         "--client-id", zoho.account.client_id, "--retry-wait", "0"],
        tmp_path,
        typed="\n".join(secrets[:2]) + "\n",
    )  # fmt: skip
    assert (code == 0) is (fault is None), text
    assert_hidden(text)
    written = (tmp_path / ".env").read_text() if fault is None else ""
    assert (PLANTED["refresh_token"] in written) is (fault is None)
    assert PLANTED["grant_code"] not in written


@pytest.mark.parametrize("name", ["api_url", "accounts_url"])
@pytest.mark.parametrize("tail", ["", "/path?planted", "#planted"])
def test_address_with_a_password(zoho: Sandbox, tmp_path: Path, name: str, tail: str) -> None:
    """An address with a user and a password in it is refused, and shown without them."""
    config = {**settings(zoho), name: f"https://user:planted-password@zoho.example{tail}"}
    code, text = everything(command(config, tmp_path), tmp_path)
    assert code == 2
    assert name in text
    assert_hidden(text)
