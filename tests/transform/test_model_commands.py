"""The documented commands of the models."""

from __future__ import annotations

import json
import shlex
import subprocess
import typing as t

import pytest
import yaml

from sandbox import Account, Sandbox
from support.documents import ROOT, code, read
from support.incremental import add, run
from support.models import Dbt
from support.tap_runs import FakeClock
from support.warehouse import VENVS, drop, load_into

if t.TYPE_CHECKING:
    from pathlib import Path

    from support.warehouse import Postgres

pytestmark = pytest.mark.xdist_group("models")

(UTILITY,) = yaml.safe_load(read("meltano.yml"))["plugins"]["utilities"]


def program(words: list[str]) -> list[str]:
    """Return what Meltano runs for `dbt:NAME` and arguments."""
    command = UTILITY["commands"][words[0].removeprefix("dbt:")]
    executable = VENVS / "dbt/bin" / command.get("executable", UTILITY["executable"])
    arguments = command["args"].replace("$MELTANO_PROJECT_ROOT", str(ROOT))
    return [str(executable), *shlex.split(arguments), *words[1:]]


def test_documented_commands(postgres: Postgres, tmp_path: Path) -> None:
    """Each documented command of dbt does what it says, in the order of the page."""
    clock, account = FakeClock(), Account()
    with Sandbox(account, clock=clock) as zoho:
        add(account, "news", 3, recipients=60, opened=25, clicked=11)
        messages = run(zoho, clock, streams=None).messages
    lines = "".join(json.dumps(each) + "\n" for each in messages)
    load_into(postgres, tmp_path, lines.encode())
    dbt = Dbt(postgres, tmp_path)
    said = []
    try:
        for line in (
            code(read("docs/models.md"), "models-run").replace("run tap", "invoke tap"),
            code(read("docs/models.md"), "models-page"),
            *code(read("docs/models.md"), "models-forgotten").splitlines(),
        ):
            words = shlex.split(line)
            start = next(n for n, word in enumerate(words) if word.startswith("dbt:"))
            done = subprocess.run(
                program(words[start:]),
                cwd=tmp_path,
                env=dbt.environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=180,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            said.append(done.stdout)
    finally:
        drop(postgres)
        drop(postgres, "analytics")
    assert "ERROR=0" in said[0]
    assert "Funnel of news" in (tmp_path / "campaigns.html").read_text()
    assert all("No row of a forgotten contact was found" in each for each in said[2:4])
    assert "ERROR=0" in said[4]
