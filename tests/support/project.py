"""Meltano projects of one's own, run as a user runs them."""

from __future__ import annotations

import os
import shutil
import subprocess
import typing as t

from support.documents import ROOT, read
from support.warehouse import VENVS

if t.TYPE_CHECKING:
    from pathlib import Path

    from sandbox import Sandbox

TAP = "tap-zoho-campaigns-recipients"
PREFIX = "TAP_ZOHO_CAMPAIGNS_RECIPIENTS_"
TIMEOUT_S = 180


class Project(t.NamedTuple):
    """A folder with a `meltano.yml`."""

    folder: Path

    def __call__(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run Meltano in it.

        Args:
            *arguments: The command line. Options of Meltano itself come first.
            **variables: Environment variables; no variable of this process that could
                speak of the tap, of a loader or of Meltano reaches it.
        """
        # Packages just installed are compiled once, not in every run.
        ours = ("TAP_", "TARGET_", "MELTANO_", "PYTHONDONTWRITEBYTECODE")
        kept = {name: text for name, text in os.environ.items() if not name.startswith(ours)}
        return subprocess.run(
            [VENVS / "meltano/bin/meltano", *arguments],
            cwd=self.folder,
            env=kept | {"NO_COLOR": "1", "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "0"} | variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )

    def succeed(self, *arguments: str, **variables: str) -> str:
        """Run Meltano, see it succeed, and return what it printed."""
        done = self(*arguments, **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def installed(self) -> Path:
        """The tap's package as Meltano installed it."""
        (package,) = (self.folder / ".meltano/extractors" / TAP / "venv").glob(
            "lib/python*/site-packages/tap_zoho_campaigns_recipients"
        )
        return package

    def variables(self, zoho: Sandbox, folder: Path) -> dict[str, str]:
        """What leads the environment `sandbox` to a sandbox, and keeps files and state apart.

        Args:
            zoho: The sandbox.
            folder: Where loaders write their files, and Meltano its state.
        """
        # A copy, for Meltano needs two seconds to make an empty one.
        shutil.copy(self.folder / ".meltano" / "meltano.db", folder)
        return {
            **addresses(zoho),
            "TARGET_JSONL_DESTINATION_PATH": str(folder),
            "TARGET_CSV_OUTPUT_PATH": str(folder),
            "MELTANO_DATABASE_URI": f"sqlite:///{folder}/meltano.db",
        }


def new_project(folder: Path) -> Project:
    """Make a project as the documents say: the repository's own, with the address of a clone.

    Args:
        folder: Where.
    """
    text = read("meltano.yml")
    assert "    pip_url: -e .\n" in text
    text = text.replace("    pip_url: -e .\n", f"    pip_url: {ROOT}\n")
    (folder / "meltano.yml").write_text(text, encoding="utf-8")
    return Project(folder)


def empty_project(folder: Path) -> Project:
    """Make a project that has no plugins yet.

    Args:
        folder: Where.
    """
    project = Project(folder)
    project.succeed("init", ".")
    return project


def addresses(zoho: Sandbox) -> dict[str, str]:
    """The variables that lead the environment `sandbox` to a sandbox."""
    return {f"{PREFIX}API_URL": zoho.url, f"{PREFIX}ACCOUNTS_URL": zoho.url}
