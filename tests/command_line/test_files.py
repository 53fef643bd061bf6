"""The files that a user hands over, as people and their tools write them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import typing as t

import pytest

from sandbox import Sandbox, make_account
from support.tap_runs import LISTING, Outcome, catalog, command, run_process, settings

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STREAM = "sent_contacts"
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16")


@pytest.fixture
def zoho() -> Iterator[Sandbox]:
    """Two campaigns of three contacts."""
    with Sandbox(make_account(2, 3)) as sandbox:
        yield sandbox


def run_with(zoho: Sandbox, folder: Path, **files: bytes) -> Outcome:
    """Run the tap with files of this content in place of its usual ones."""
    arguments: list[str] = []
    for name, content in files.items():
        path = folder / f"given-{name}.json"
        path.write_bytes(content)
        if name != "config":
            arguments += [f"--{name}", str(path)]
    config = settings(zoho)
    if "config" not in files:
        return run_process(config, folder, *arguments)
    words = command(config, folder, *arguments)
    words[words.index("--config") + 1] = str(folder / "given-config.json")
    done = subprocess.run(words, capture_output=True, check=False, timeout=60)
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    return Outcome(messages, None, done.stderr.decode().splitlines(), done.returncode)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("name", ["config", "catalog", "state"])
def test_encodings(zoho: Sandbox, tmp_path: Path, name: str, encoding: str) -> None:
    """Configuration, catalog and state are read with the byte order marks of Windows tools."""
    value = {"config": settings(zoho), "catalog": catalog([STREAM]), "state": {}}[name]
    outcome = run_with(zoho, tmp_path, **{name: json.dumps(value).encode(encoding)})
    assert outcome.exit_code == 0
    assert len(outcome.keys(STREAM)) == 6


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_encodings_of_dot_env(zoho: Sandbox, tmp_path: Path, encoding: str) -> None:
    """So is `.env`."""
    lines = [
        f"TAP_ZOHO_CAMPAIGNS_RECIPIENTS_{name.upper()}={value}"
        for name, value in settings(zoho).items()
    ]
    (tmp_path / ".env").write_bytes("\n".join(lines).encode(encoding))
    words = [sys.executable, "-m", "tap_zoho_campaigns_recipients", "--config=ENV", "--test"]
    done = subprocess.run(words, capture_output=True, check=False, timeout=60, cwd=tmp_path)
    assert done.returncode == 0
    assert b"shows 2 campaigns to read" in done.stderr


def test_configuration_from_a_pipe(zoho: Sandbox, tmp_path: Path) -> None:
    """A configuration that can be read only once, as `<(sops -d …)` gives it, is enough."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    text = json.dumps(settings(zoho))
    writer = threading.Thread(target=pipe.write_text, args=[text])
    writer.start()
    words = [sys.executable, "-m", "tap_zoho_campaigns_recipients", "--config", str(pipe), "--test"]
    done = subprocess.run(words, capture_output=True, check=False, timeout=60)
    writer.join()
    assert done.returncode == 0
    assert zoho.calls(LISTING) == 1


def test_last_configuration_file_wins(zoho: Sandbox, tmp_path: Path) -> None:
    """Of several configuration files, the later ones take precedence, setting by setting."""
    more = tmp_path / "more.json"
    more.write_text(json.dumps({"campaign_keys": [next(iter(zoho.account.campaigns))]}))
    outcome = run_process(settings(zoho), tmp_path, "--config", str(more))
    assert outcome.exit_code == 0
    assert len(outcome.keys(STREAM)) == 3


def test_states_of_a_target(zoho: Sandbox, tmp_path: Path) -> None:
    """All lines of a target's output are refused as a state; a STATE message is taken."""
    first = run_process(settings(zoho), tmp_path)
    state = json.dumps(first.state)
    refused = run_with(zoho, tmp_path, state=f"{{}}\n{state}\n".encode())
    assert refused.exit_code == 2
    assert refused.log[-1].endswith(
        "The state file holds several lines: only the last one is wanted (tail -n 1): hand over "
        "another, or none"
    )
    message = json.dumps({"type": "STATE", "value": first.state})
    second = run_with(zoho, tmp_path, state=message.encode())
    assert second.exit_code == 0
    assert second.keys(STREAM) == []


@pytest.mark.parametrize("text", ["false", "False", " false ", "no", "0"])
def test_selection_that_is_text(zoho: Sandbox, tmp_path: Path, text: str) -> None:
    """`selected` may be text, as Meltano's configuration stores it, and means what it says."""
    given = catalog([STREAM, "campaigns", "opened_contacts"])
    for entry in given["streams"]:
        if entry["tap_stream_id"] == STREAM:
            entry["metadata"][-1]["metadata"]["selected"] = text
            next(each["metadata"] for each in entry["metadata"] if not each["breadcrumb"])[
                "selected"
            ] = text
    outcome = run_with(zoho, tmp_path, catalog=json.dumps(given).encode())
    assert outcome.exit_code == 0
    schemas = {each["stream"] for each in outcome.messages if each["type"] == "SCHEMA"}
    assert schemas == {"campaigns", "opened_contacts"}
    assert {call.action for call in zoho.requests if call.action} == {"openedcontacts"}


def test_selection_that_means_nothing(zoho: Sandbox, tmp_path: Path) -> None:
    """Any other text is refused before any request."""
    given = catalog([STREAM])
    for entry in given["streams"]:
        for each in entry["metadata"]:
            if not each["breadcrumb"]:
                each["metadata"]["selected"] = "perhaps"
    outcome = run_with(zoho, tmp_path, catalog=json.dumps(given).encode())
    assert outcome.exit_code == 2
    assert outcome.log[-1].endswith(
        "The catalog file has selected of campaign_details neither true nor false"
    )
    assert zoho.requests == []


def test_stream_names_of_a_catalog(zoho: Sandbox, tmp_path: Path) -> None:
    """Streams are known by `tap_stream_id`; another `stream` beside it changes nothing."""
    given = catalog([STREAM])
    for entry in given["streams"]:
        entry["stream"] = f"zoho {entry['tap_stream_id']}"
    outcome = run_with(zoho, tmp_path, catalog=json.dumps(given).encode())
    assert outcome.exit_code == 0
    assert len(outcome.keys(STREAM)) == 6
