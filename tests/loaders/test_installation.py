"""From a clone to files without Meltano: what docs/pipe.md says, line by line."""

from __future__ import annotations

import json
import typing as t

import pytest

from sandbox import Sandbox, make_account
from support.documents import ROOT, code, read
from support.shell import run_in_shell
from support.tap_runs import RECIPIENT_ACTIONS, RECIPIENTS, settings
from support.truth import expected_list, sent_campaigns
from support.warehouse import by_key, without_read_at

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def zoho() -> Iterator[Sandbox]:
    """Three campaigns; nobody changes them."""
    with Sandbox(make_account(3, [30, 12, 4])) as it:
        yield it


def test_from_a_clone_to_files(zoho: Sandbox, tmp_path: Path) -> None:
    """The lines install tap and loader, discover, read all, and then only what is new."""
    (tmp_path / "config.json").write_text(json.dumps(settings(zoho)))
    lines = [
        f"cd {ROOT}",
        code(read("docs/pipe.md"), "install"),
        f"cd {tmp_path}",
        code(read("docs/pipe.md"), "pipe"),
    ]
    done = run_in_shell("\n".join(lines), tmp_path, tap_on_path=False, HOME=str(tmp_path))
    assert "\ntap-zoho-campaigns-recipients v" in done.stdout
    lists = [
        (call.campaign_key, call.action) for call in zoho.requests if call.endpoint == RECIPIENTS
    ]
    assert len(lists) == len(set(lists)) == 3 * len(RECIPIENT_ACTIONS)
    (file,) = tmp_path.glob("sent_contacts-*.jsonl")
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    expected = [
        without_read_at(record)
        for key in sent_campaigns(zoho)
        for record in expected_list(zoho, "sent_contacts", key, read_at=0)
    ]
    assert by_key(map(without_read_at, rows)) == by_key(expected)


def test_the_settings_can_be_checked(zoho: Sandbox, tmp_path: Path) -> None:
    """`--test` reads no list, and says that the settings are right."""
    (tmp_path / "config.json").write_text(json.dumps(settings(zoho)))
    done = run_in_shell(code(read("docs/settings.md"), "test"), tmp_path)
    assert "Credentials, scope and data center are right" in done.stderr
    assert zoho.calls(RECIPIENTS) == 0


def test_the_pipe_fails_with_the_tap(zoho: Sandbox, tmp_path: Path) -> None:
    """With the documented `set -o pipefail`, the pipe fails when the tap does."""
    config = settings(zoho, refresh_token="wrong")
    (tmp_path / "config.json").write_text(json.dumps(config))
    option, *lines = code(read("docs/pipe.md"), "pipe").splitlines()
    assert option == "set -o pipefail"
    first = "\n".join(lines[:3])
    said = run_in_shell(
        f"set +e +o pipefail; {{ {first}; }} 2>/dev/null; echo without $?; "
        f"{option}; {{ {first}; }} 2>/dev/null; echo with $?",
        tmp_path,
    ).stdout
    assert said.split() == ["without", "0", "with", "3"]
