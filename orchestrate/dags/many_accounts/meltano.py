"""Meltano, run in a process of its own, and what its log says of how it ended."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import tempfile
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from many_accounts.accounts import TAP

if t.TYPE_CHECKING:
    from many_accounts.deployment import Deployment

KEPT_OUT = ("AIRFLOW_", "_AIRFLOW_", "TAP_", "TARGET_", "DBT_", "MELTANO_", "PYTHONPATH")
"""Variables of a worker that are not an account's: the secrets of Airflow itself among them."""

END_TIMEOUT_S = 60

_ADDRESS = re.compile(r"[^\s@<>\"'=,;:/]+(?:@|%40)[^\s@<>\"',;:/]+")
"""A loader's error may quote a row."""


@dataclass
class Outcome:
    """How Meltano ended.

    Args:
        exit_codes: Those of `extractors` and `loaders` that are not 0.
        tap_line: The tap's last error.
        other_line: The last error of another program.
        has_begun: Whether a run began: before it, Meltano looks at its settings.
        is_busy: Whether another run is under way, so that this one did nothing.
        is_success: Whether all went well.
    """

    exit_codes: dict[str, int] = field(default_factory=dict)
    tap_line: str = ""
    other_line: str = ""
    has_begun: bool = False
    is_busy: bool = False
    is_success: bool = False

    def take(self, entry: dict[str, t.Any]) -> None:
        """Look at one line of Meltano's log."""
        if entry["event"].startswith("Running job with name"):
            self.has_begun = True
        if entry.get("level") in {"error", "critical"}:
            if entry.get("string_id") == TAP:
                self.tap_line = entry["event"]
            else:
                self.other_line = str(entry.get("err") or entry["event"])
        if "exit_codes" in entry:
            self.exit_codes = entry["exit_codes"]
            self.is_busy = "pipeline is already running" in str(entry.get("err"))

    @property
    def tap_code(self) -> int:
        """The exit code of the tap; 0 as well where it was not run."""
        return self.exit_codes.get("extractors", 0)

    @property
    def why(self) -> str:
        """What to say of a failure, in one line."""
        return (self.tap_code and self.tap_line) or self.other_line or "meltano failed"


class Meltano:
    """The program.

    Args:
        deployment: Where it is, and its project.
        variables: What is put into its environment, secrets among it.
        log: Gets its log.
    """

    def __init__(
        self, deployment: Deployment, variables: dict[str, str], log: logging.Logger
    ) -> None:
        """Run nothing yet."""
        self._deployment = deployment
        self._variables = variables
        self._log = log
        self._process: subprocess.Popen[str] | None = None

    def __call__(self, *words: str) -> Outcome:
        """Run it, and hand on its log.

        Args:
            *words: Its command line.
        """
        kept = {name: value for name, value in os.environ.items() if not name.startswith(KEPT_OUT)}
        outcome = Outcome()
        with tempfile.TemporaryDirectory(prefix="zoho-campaigns-") as folder:
            own = {
                "MELTANO_SYS_DIR_ROOT": folder,
                "DBT_TARGET_PATH": str(Path(folder, "target")),
                "DBT_LOG_PATH": str(Path(folder, "logs")),
                "DBT_USE_COLORS": "false",
                "DBT_LOG_LEVEL": "warn",
            }
            self._link_plugins(Path(folder))
            self._process = subprocess.Popen(
                [
                    self._deployment.meltano,
                    f"--environment={self._deployment.environment}",
                    "--log-format=json",
                    *words,
                ],
                cwd=self._deployment.project,
                env=kept | own | self._variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
            try:
                for line in self._process.stdout or ():
                    self._take(line, outcome)
                outcome.is_success = self._process.wait() == 0
            finally:
                self.end()
        return outcome

    def end(self) -> None:
        """End it, if it still runs; it ends the tap and the loader."""
        if self._process and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(END_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()

    def _link_plugins(self, folder: Path) -> None:
        """Give a run the installed plugins, but not the files of other runs.

        Meltano keeps a run's catalog, state and configuration in files whose names do not tell
        accounts apart.
        """
        usual = self._deployment.project / ".meltano"
        for path in Path(os.environ.get("MELTANO_SYS_DIR_ROOT", usual)).iterdir():
            if path.is_dir() and path.name != "run":
                (folder / path.name).symlink_to(path.resolve())

    def _take(self, line: str, outcome: Outcome) -> None:
        """Hand a line on, without what no log is to hold."""
        try:
            entry = json.loads(line)
        except ValueError:
            entry = {"event": line.rstrip()}
        entry["event"] = _ADDRESS.sub("(an address)", str(entry.get("event", "")))
        outcome.take(entry)
        if entry["event"] and not entry["event"].startswith("METRIC"):
            names = logging.getLevelNamesMapping()
            level = names.get(str(entry.get("level", "")).upper(), logging.INFO)
            program = entry.get("string_id") or entry.get("name") or "meltano"
            self._log.log(level, "%s: %s", program, entry["event"])
