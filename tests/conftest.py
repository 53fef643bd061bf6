"""What all tests share."""

from __future__ import annotations

import os
import shutil
import typing as t

import pytest
from hypothesis import Phase, settings

from documents import ROOT, code, read
from project import TAP, new_project
from warehouse import serve_postgres

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from project import Project
    from warehouse import Postgres


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


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A Meltano project as the README describes it, with the examples, installed.

    Each test keeps its files and its state in a folder of its own, see `project.variables`.
    """
    project = new_project(tmp_path_factory.mktemp("project"))
    shutil.copytree(ROOT / "examples", project.folder / "examples")
    with (project.folder / "meltano.yml").open("a", encoding="utf-8") as file:
        file.write(code(read("README.md"), "include") + "\n")
    project.succeed("install", TAP, "target-jsonl", "target-csv", "target-postgres")
    return project
