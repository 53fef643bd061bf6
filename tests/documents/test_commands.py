"""Every command and every query of the documents is run by a test."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from support.documents import ROOT, code, fences, read

if TYPE_CHECKING:
    from support.documents import Fence

TESTS = "\n".join(path.read_text(encoding="utf-8") for path in ROOT.glob("tests/**/test_*.py"))
COMMANDS = fences("bash", "console", "sh", "sql")


@pytest.mark.parametrize("fence", COMMANDS, ids=lambda each: f"{each.document}:{each.name}")
def test_every_command_has_a_test(fence: Fence) -> None:
    """Commands and queries of README and docs stand between marks that a test names."""
    assert fence.name, f"{fence.document} has code without a mark:\n{fence.text}"
    places = "|".join(
        re.escape(each.document) for each in COMMANDS if (each.name, each.text) == fence[2:]
    )
    reads = rf'"(?:{places})"[^"]{{1,20}}"{re.escape(fence.name)}"'
    if fence.kind == "sql":
        reads = f'"{re.escape(fence.name)}"'
    assert re.search(reads, TESTS), f"no test runs {fence.name}"


def test_the_same_mark_is_the_same_code() -> None:
    """What two documents show under one mark is the same in both."""
    for fence in COMMANDS:
        others = {each.text for each in COMMANDS if each.name == fence.name}
        assert others == {fence.text}, fence.name


@pytest.mark.parametrize(
    "lines",
    [
        code(read("docs/index.md"), "demo"),
        code(read("docs/contributing.md"), "make"),
        code(read("docs/contributing.md"), "contributing"),
    ],
)
def test_make_targets(lines: str) -> None:
    """The Makefile has each documented target, and takes its variables."""
    for line in lines.splitlines():
        words = shlex.split(line, comments=True)
        if words[0] != "make":
            assert words == [".venv/bin/python", "-m", "pytest", "tests/units"]
            continue
        done = subprocess.run(
            ["make", "--dry-run", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_the_sandbox_starts() -> None:
    """Each documented line starts a sandbox, or lists its switches."""
    for line in code(read("docs/sandbox.md"), "sandbox").splitlines():
        assert_serves(line)
    assert_serves(code(read("docs/sandbox.md"), "sandbox-demo"))


def test_the_sandbox_of_the_login_starts() -> None:
    """The sandbox that the login is tried at starts as documented."""
    assert_serves(code(read("docs/credentials.md"), "login-sandbox"))


def assert_serves(line: str) -> None:
    """See a command line of the sandbox say where it serves, or list switches."""
    words = shlex.split(line, comments=True)
    assert words[0] in {"python", "python3"}
    words[0] = sys.executable
    if "--list-switches" not in words:
        words = [word if word != "8080" else "0" for word in words]
        words += [] if "--port" in words else ["--port", "0"]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        first = child.stdout.readline()
        if "--list-switches" in words:
            assert first.strip()
            child.communicate()
            assert child.returncode == 0
            return
        child.terminate()
    assert first.startswith("Zoho Campaigns sandbox at http://127.0.0.1:")
