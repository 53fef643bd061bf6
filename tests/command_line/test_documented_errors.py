"""docs/errors.md quotes what the log of a run really says."""

from __future__ import annotations

import json
import re
import typing as t

import pytest

from sandbox import Sandbox, make_account
from support.documents import read
from support.tap_runs import RECIPIENTS, catalog, run_process, settings

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QUOTES = re.findall(r"^\| `([^`]+)` \|", read("docs/errors.md"), re.MULTILINE)


@pytest.fixture
def zoho() -> Iterator[Sandbox]:
    """Two campaigns of four recipients."""
    with Sandbox(make_account(2, 4)) as it:
        yield it


def pattern(quote: str) -> re.Pattern[str]:
    """A quote as an expression; `…` is anything."""
    return re.compile(".*".join(re.escape(part) for part in quote.split("…")))


def assert_quoted(log: list[str], words: str) -> None:
    """See a line with these words in the log, and in the page a quote that fits it."""
    (said,) = [line for line in log if words in line]
    assert [each for each in QUOTES if words in each and pattern(each).search(said)], said


@pytest.mark.parametrize(
    ("changes", "words", "exit_code"),
    [
        ({"account_timezone": "CET+1"}, "account_timezone must be the IANA name", 2),
        ({"client_secret": None}, "OAuth needs all three", 2),
        ({"auth_token": "x"}, "these clash", 2),
        ({"start_date": "yesterday"}, "start_date must be a date and time", 2),
        ({"rate_limit_store": "redis"}, "rate_limit_store must be", 2),
        (
            {"rate_limit_store": "redis://127.0.0.1:1/0?no_such_option=1"},
            "The Redis server that rate_limit",
            2,
        ),
        ({"rate_limit_store": "redis://127.0.0.1:1/0"}, "The Redis server that rate_limit", 1),
        ({"campaign_keys": ["a b"]}, "campaign_keys must be a list of keys", 2),
        ({"refresh_token": "not-a-word-of-it"}, "refresh_token is wrong, was revoked", 3),
        ({"client_id": "not-a-word-of-it"}, "client_id is wrong or belongs", 3),
        ({"client_secret": "not-a-word-of-it"}, "client_secret is wrong", 3),
        ({"orchestrator": "x"}, "Settings that the tap does not have are ignored", 0),
        ({"campaign_keys": ["3zdeadbeef"]}, "campaigns could not be read whole", 5),
    ],
)
def test_settings_and_credentials(
    zoho: Sandbox, tmp_path: Path, changes: dict[str, t.Any], words: str, exit_code: int
) -> None:
    """What the log says of wrong settings and credentials is quoted, with its exit code."""
    config = {**settings(zoho), **changes}
    config = {name: value for name, value in config.items() if value is not None}
    outcome = run_process(config, tmp_path)
    assert outcome.exit_code == exit_code, outcome.log
    assert_quoted(outcome.log, words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "file is empty: hand over another, or none"),
        ('{"bookmarks": {}}\n{"bookmarks": {}}\n', "file holds several lines"),
        ('{"version": 99, "bookmarks": {}}', "this tap reads versions up to"),
        ('{"bookmarks": {"users": {}}}', "is not one of tap-zoho-campaigns-recipients"),
    ],
)
def test_state_files(zoho: Sandbox, tmp_path: Path, text: str, words: str) -> None:
    """What the log says of a state that cannot be used is quoted."""
    (tmp_path / "state.json").write_text(text)
    outcome = run_process(settings(zoho), tmp_path, "--state", str(tmp_path / "state.json"))
    assert outcome.exit_code == 2, outcome.log
    assert_quoted(outcome.log, words)
    assert zoho.calls(RECIPIENTS) == 0


@pytest.mark.parametrize(
    ("fault", "words", "exit_code"),
    [
        ("6503", "A campaign", 0),
        ("lock", "Zoho locks an endpoint for 30 minutes", 4),
        ("1007", "with code 1007", 3),
        ("500", "Trying ", 5),
    ],
)
def test_what_zoho_answers(
    zoho: Sandbox, tmp_path: Path, fault: str, words: str, exit_code: int
) -> None:
    """What the log says of refusals, locks and trouble is quoted, with its exit code."""
    key = min(zoho.account.campaigns)
    config = settings(zoho, rate_limit_lock_wait=0, retry_wait=0.01)
    if fault == "6503":
        zoho.account.campaigns[key].refusal = fault
    else:
        where = {} if fault in {"lock", "1007"} else {"campaign_key": key}
        zoho.faults.add(fault, endpoint=RECIPIENTS, times=99, **where)
    (tmp_path / "catalog.json").write_text(json.dumps(catalog(["sent_contacts"])))
    outcome = run_process(config, tmp_path, "--catalog", str(tmp_path / "catalog.json"))
    assert outcome.exit_code == exit_code, outcome.log
    said = [line for line in outcome.log if words in line]
    assert_quoted(said[-1:], words)
