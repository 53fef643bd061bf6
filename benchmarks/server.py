"""A sandbox in a process of its own."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
import typing as t
import urllib.request
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from sandbox import ACTIONS, load_account

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parent.parent

Shape = dict[str, t.Any]
"""Arguments of the sandbox's `make_account`."""

Row = tuple[str, str, str]
"""Campaign key, Zoho's name of the list, address in lower case."""

DAYS_BETWEEN_CAMPAIGNS = 0.01
"""So close that all are within their engagement window: nothing can be left out."""


@dataclass(frozen=True, slots=True)
class Server:
    """A sandbox that serves an account."""

    url: str
    shape: Shape

    def reset(self) -> None:
        """Forget the calls so far."""
        self._ask("reset", {})

    def wait_before_answers(self, seconds: float) -> None:
        """Have each response wait so long."""
        self._ask("switches", {"latency_s": seconds})

    def calls(self) -> Counter[str]:
        """Return the calls of each endpoint since the last `reset`."""
        return Counter(self._ask("counts")["calls"])

    def truth(self, actions: Sequence[str] = ACTIONS) -> Counter[Row]:
        """Return the rows of some lists of all campaigns, as often as each should arrive."""
        account = load_account(json.dumps(self.shape))
        return Counter(
            (key, action, row["email"].lower())
            for key in account.campaigns
            for action in actions
            for row in account.rows(key, action)
        )

    def _ask(self, command: str, values: object = None) -> t.Any:  # noqa: ANN401 - it is JSON
        data = None if values is None else json.dumps(values).encode()
        with urllib.request.urlopen(f"{self.url}/_sandbox/{command}", data) as answer:
            return json.load(answer)


@contextlib.contextmanager
def serving(campaigns: int, recipients: int) -> Iterator[Server]:
    """Serve an account of so many campaigns with so many recipients each."""
    shape: Shape = {
        "campaigns": campaigns,
        "recipients": recipients,
        "spacing_days": DAYS_BETWEEN_CAMPAIGNS,
    }
    with tempfile.TemporaryDirectory() as folder:
        address = Path(folder, "address")
        command = [sys.executable, "-m", "sandbox", "--account", json.dumps(shape)]
        process = subprocess.Popen(
            [*command, "--port-file", str(address)], cwd=ROOT, stdout=subprocess.DEVNULL
        )
        try:
            while not address.exists():
                if process.poll() is not None:
                    raise SystemExit("The sandbox did not start")
                time.sleep(0.02)
            yield Server(address.read_text(encoding="utf-8"), shape)
        finally:
            process.terminate()
            process.wait()
