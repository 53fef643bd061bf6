"""What all tests share."""

from __future__ import annotations

import os
import shutil
import sys
import typing as t

import pytest
from hypothesis import Phase, settings

from sandbox import Account, Sandbox
from support.documents import ROOT, code, read
from support.project import TAP, new_project
from support.tap_runs import FakeClock
from support.warehouse import SCHEMA, Duckdb, drop, serve_postgres
from tap_zoho_campaigns_recipients.zoho import redaction

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.project import Project
    from support.warehouse import Postgres, Warehouse


# In the last months of a Python version the SDK says so on stderr, where tests count lines.
os.environ["PYTHONWARNINGS"] = "ignore:Python 3."

# For make mutants: the same examples in each run, and none looked for that is shorter.
settings.register_profile(
    "mutants",
    database=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A PostgreSQL server; whoever uses it loads into a schema of their own."""
    with serve_postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(params=["postgresql", "duckdb"])
def warehouse(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Warehouse]:
    """A database without tables."""
    if request.param == "duckdb":
        if sys.version_info >= (3, 12):
            pytest.skip("target-duckdb 0.8 does not run on Python 3.12 and later")
        yield Duckdb(tmp_path / "warehouse.duckdb")
        return
    server: Postgres = request.getfixturevalue("postgres")
    assert server.rows(f"select 1 from pg_namespace where nspname = '{SCHEMA}'") == []
    yield server
    drop(server)


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A Meltano project as the documents describe it, with the examples, installed.

    Each test keeps its files and its state in a folder of its own, see `project.variables`.
    """
    project = new_project(tmp_path_factory.mktemp("project"))
    shutil.copytree(ROOT / "examples", project.folder / "examples")
    with (project.folder / "meltano.yml").open("a", encoding="utf-8") as file:
        file.write(code(read("docs/examples.md"), "include") + "\n")
    project.succeed("install", TAP, "target-jsonl", "target-csv", "target-postgres")
    return project


@pytest.fixture(autouse=True)
def _no_secrets_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tap keeps secrets for the process: one test's "null" is a word of another's log line."""
    monkeypatch.setattr(redaction, "_spellings", ())


@pytest.fixture
def clock() -> FakeClock:
    """Stands still until a test moves it."""
    return FakeClock()


@pytest.fixture
def account(clock: FakeClock) -> Account:
    """Has no campaigns yet."""
    account = Account()
    account.now = clock.time
    return account


@pytest.fixture
def zoho(account: Account, clock: FakeClock) -> Iterator[Sandbox]:
    """Serves the account."""
    with Sandbox(account, clock=clock) as it:
        yield it
