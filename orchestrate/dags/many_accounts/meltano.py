"""Meltano, run in a process of its own, and what its log says of how it ended."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import typing as t
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from many_accounts.accounts import TAP

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from many_accounts.deployment import Deployment

KEPT_OUT = ("AIRFLOW_", "_AIRFLOW_", "TAP_", "TARGET_", "DBT_", "MELTANO_", "PYTHONPATH")
"""Variables of a worker that are not an account's: the secrets of Airflow itself among them."""

END_TIMEOUT_S = 3
"""Airflow kills a task five seconds after it has told it to end."""

_ADDRESS = re.compile(r"(?<![^\s@<>\"'=,;:/])[^\s@<>\"'=,;:/]+(?:@|%40)[^\s@<>\"',;:/]+")
"""A loader's error may quote a row."""

_REFUSED_BY_MELTANO = re.compile(
    "is not a valid choice|invalid literal|could not convert|Invalid isoformat"
)
"""What Meltano says of a value before it runs anything."""


@dataclass
class Outcome:
    """How Meltano ended.

    Args:
        exit_codes: Those of `extractors` and `loaders` that are not 0.
        tap_line: The tap's last error.
        other_line: The last error of another program.
        is_refused: Whether Meltano refused a setting before it ran anything.
        is_busy: Whether another run is under way, so that this one did nothing.
        is_success: Whether all went well.
    """

    exit_codes: dict[str, int] = field(default_factory=dict)
    tap_line: str = ""
    other_line: str = ""
    is_refused: bool = False
    is_busy: bool = False
    is_success: bool = False

    def take(self, entry: dict[str, t.Any]) -> None:
        """Look at one line of Meltano's log."""
        if entry.get("level") in {"error", "critical"}:
            if entry.get("string_id") == TAP:
                self.tap_line = entry["event"]
            else:
                self.other_line = " ".join((entry["err"] or entry["event"]).split())
                self.is_refused = bool(_REFUSED_BY_MELTANO.search(self.other_line))
        if "exit_codes" in entry:
            self.exit_codes = entry["exit_codes"]
            self.is_refused = False
            self.is_busy = "pipeline is already running" in entry["err"]

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
        name: What tells its runs apart from others that may go on beside them.
        variables: What is put into its environment, secrets among it.
        log: Gets its log.
    """

    def __init__(
        self, deployment: Deployment, name: str, variables: dict[str, str], log: logging.Logger
    ) -> None:
        """Run nothing yet."""
        self._name = name
        self._deployment = deployment
        self._variables = variables
        self._log = log
        self._process: subprocess.Popen[str] | None = None
        self._is_ending = False

    def __call__(self, *words: str) -> Outcome:
        """Run it, and forward its log.

        Args:
            *words: Its arguments.
        """
        kept = {name: value for name, value in os.environ.items() if not name.startswith(KEPT_OUT)}
        outcome = Outcome()
        with ExitStack() as stack:
            folder = stack.enter_context(self._own_folder())
            own = {
                "MELTANO_SYS_DIR_ROOT": str(folder),
                "DBT_TARGET_PATH": str(Path(folder, "target")),
                "DBT_LOG_PATH": str(Path(folder, "logs")),
                "DBT_USE_COLORS": "false",
                "DBT_LOG_LEVEL": "warn",
            }
            self._link_plugins(folder)
            # Not the project's .env: what stands there would be of one account, and used for all.
            no_env = folder / "no.env"
            no_env.touch()
            process = subprocess.Popen(
                [
                    self._deployment.meltano,
                    f"--environment={self._deployment.environment}",
                    f"--env-file={no_env}",
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
                # Airflow's signal to the task's group would reach it beside the one of `end`, and
                # told twice, Meltano ends without a word, so that its run counts as under way.
                start_new_session=True,
            )
            # In the end, the other way round: it is told to end, and waited for, and what it left
            # is killed, for that must not go on without the account's lock.
            stack.callback(_kill_group, process.pid)
            stack.enter_context(process)
            stack.callback(self._terminate)
            self._process = process
            if self._is_ending:
                self._terminate()
            for line in process.stdout or ():
                self._take(line, outcome)
            outcome.is_success = process.wait() == 0
        return outcome

    def end(self) -> None:
        """Tell it to end, if it runs or once it does.

        A signal's handler calls this, so it does not wait: `__call__` reads on, and sees the end.
        """
        self._is_ending = True
        self._terminate()

    def _terminate(self) -> None:
        process, self._process = self._process, None
        if process and process.poll() is None:
            process.terminate()
            late = threading.Timer(END_TIMEOUT_S, process.kill)
            late.daemon = True
            late.start()

    @contextmanager
    def _own_folder(self) -> Iterator[Path]:
        """Make a folder for a run: its catalog, its state, and its settings with the secrets.

        A run that was killed leaves it, so the next one of the account begins by removing it.
        """
        folder = Path(tempfile.gettempdir(), f"zoho-campaigns-{os.getuid()}", self._name)
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

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
        """Log a line, without addresses."""
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if not isinstance(entry, dict):
            entry = {"event": line.rstrip()}
        for name in ("event", "err"):
            entry[name] = _ADDRESS.sub("(an address)", str(entry.get(name) or ""))
        outcome.take(entry)
        if entry["event"] and not entry["event"].startswith("METRIC"):
            names = logging.getLevelNamesMapping()
            level = names.get(str(entry.get("level", "")).upper(), logging.INFO)
            program = entry.get("string_id") or entry.get("name") or "meltano"
            self._log.log(level, "%s: %s", program, entry["event"])


def _kill_group(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
