"""Runs documented lines in a shell, as a user does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
import typing as t

from support.documents import ROOT
from support.warehouse import VENVS

if t.TYPE_CHECKING:
    from pathlib import Path

TIMEOUT_S = 300


def run_in_shell(
    lines: str, folder: Path, *, tap_on_path: bool = True, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run lines in a folder, and see them succeed; the folder has the examples.

    Args:
        lines: What is documented.
        folder: Where.
        tap_on_path: Whether the tap of this environment and target-jsonl are on the PATH.
        **variables: Environment variables; none of this process that could speak of the tap.
    """
    if not (folder / "examples").exists():
        (folder / "examples").symlink_to(ROOT / "examples")
    places = [sysconfig.get_path("scripts"), str(VENVS / "target-jsonl/bin")]
    path = os.pathsep.join([*(places if tap_on_path else []), os.environ["PATH"]])
    kept = {name: text for name, text in os.environ.items() if not name.startswith("TAP_")}
    done = subprocess.run(
        [shutil.which("bash") or "bash", "-euo", "pipefail", "-c", lines],
        cwd=folder,
        env=kept | {"PATH": path} | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stderr
    return done
