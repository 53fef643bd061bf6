"""Who is measured: how each is started, and where its rows are found afterwards."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import tempfile
import typing as t
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from benchmarks.peers.order import ACTIONS, Order
from benchmarks.server import ROOT
from sandbox import Account

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.server import Row, Server

PAGE_SIZE = 500
TAP = "tap_zoho_campaigns_recipients"
READ_BYTES = 1 << 20
VERBOSE_TAIL_CHARACTERS = 2_000

Json = dict[str, t.Any]


@dataclass(slots=True)
class Costs:
    """What one run cost, and what it brought."""

    wall_s: float
    cpu_s: float
    """User and system time of the whole process."""
    peak_bytes: int
    """The most resident memory."""
    rows: int
    """Recipient rows that it delivered."""
    output_bytes: int
    state_bytes: int
    """Of these, the bytes of STATE messages."""
    calls: Counter[str]
    delivered: Counter[Row] = field(default_factory=Counter)
    """The rows themselves, where asked for."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A program that reads the lists."""

    name: str
    python: Path
    arguments: Callable[[Order], list[str]]
    row: Callable[[Json], Row]
    """Finds in a record what makes the row."""
    writes_files: bool = False
    """Whether the rows are in its folder rather than in its output."""

    def run(
        self,
        server: Server,
        *,
        in_flight: int,
        actions: tuple[str, ...] = ACTIONS,
        keeps_rows: bool = False,
        page_size: int = PAGE_SIZE,
    ) -> Costs:
        """Run it once.

        Raises:
            SystemExit: When it fails.
        """
        server.reset()
        with tempfile.TemporaryDirectory() as folder:
            order = Order(
                url=server.url,
                access_token=Account().access_token,
                page_size=page_size,
                in_flight=in_flight,
                actions=actions,
                folder=folder,
            )
            output = _Output(self, keeps_rows=keeps_rows)
            values = self._measured(order, output)
            if self.writes_files:
                for path in Path(folder).rglob("*.typed-jsonl*"):
                    output.read_file(path)
        return Costs(
            **values,
            rows=output.rows,
            output_bytes=output.size,
            state_bytes=output.state_size,
            calls=server.calls(),
            delivered=output.delivered(),
        )

    def _measured(self, order: Order, output: _Output) -> Json:
        costs, errors = Path(order.folder, "costs.json"), Path(order.folder, "errors")
        measure = [sys.executable, "-I", "-S", str(ROOT / "benchmarks" / "measure.py"), str(costs)]
        with errors.open("wb") as log:
            process = subprocess.Popen(
                [*measure, str(self.python), *self.arguments(order)],
                cwd=order.folder,
                env=_environment(order),
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=READ_BYTES,
            )
            assert process.stdout is not None
            for line in process.stdout:
                output.read_line(line)
        if process.wait():
            tail = errors.read_text(encoding="utf-8")[-VERBOSE_TAIL_CHARACTERS:]
            raise SystemExit(f"{self.name} failed:\n{tail}")
        values: Json = json.loads(costs.read_text(encoding="utf-8"))
        return values


def _environment(order: Order) -> dict[str, str]:
    """Nothing of the user's own settings, and a cache of its own."""
    kept = {name: text for name, text in os.environ.items() if name in {"PATH", "TMPDIR"}}
    own = {"HOME": order.folder, "XDG_CACHE_HOME": order.folder, "PYTHONPATH": str(ROOT)}
    return kept | own


class _Output:
    """Counts what comes in; cheaply, for it runs beside what is measured."""

    def __init__(self, contender: Contender, *, keeps_rows: bool) -> None:
        self._contender = contender
        self._keeps_rows = keeps_rows
        self.rows = self.size = self.state_size = 0
        self._kept: list[bytes] = []
        self._found: Counter[Row] = Counter()

    def delivered(self) -> Counter[Row]:
        """Return the rows, parsed only now that nothing is measured any more."""
        self._found.update(self._contender.row(json.loads(line)["record"]) for line in self._kept)
        self._kept.clear()
        return self._found

    def read_line(self, line: bytes) -> None:
        """Take a line of the output."""
        self.size += len(line)
        start = line[:24]
        if b"RECORD" in start and b'"action"' in line:
            self.rows += 1
            if self._keeps_rows:
                self._kept.append(line)
        elif b"STATE" in start:
            self.state_size += len(line)

    def read_file(self, path: Path) -> None:
        """Take a file of many rows a line."""
        self.size += path.stat().st_size
        if path.name.partition(".")[0] not in ACTIONS:
            return
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for line in file:
                rows = json.loads(line)
                self.rows += len(rows)
                if self._keeps_rows:
                    self._found.update(map(self._contender.row, rows))


# The tap


def _tap(response_format: str) -> Callable[[Order], list[str]]:
    """Return what writes the tap's settings and its catalog.

    The limit is so high that it never holds anything up, but calls are counted all the same.
    """

    def arguments(order: Order) -> list[str]:
        settings = {
            "access_token": order.access_token,
            "api_url": order.url,
            "accounts_url": order.url,
            "page_size": order.page_size,
            "max_parallel_requests": order.in_flight,
            "response_format": response_format,
            "account_timezone": Account().timezone,
            "rate_limit_calls": 1_000_000,
            "rate_limit_period": 1,
        }
        config = _written(order, "config.json", settings)
        command = ["-m", TAP, "--config", config]
        return [*command, "--catalog", _written(order, "catalog.json", _catalog(order, command))]

    return arguments


def _catalog(order: Order, command: list[str]) -> Json:
    """Select the streams of the lists; with all of them, the campaigns and reports too."""
    discovered = subprocess.run(
        [sys.executable, *command, "--discover"],
        check=False,
        capture_output=True,
        cwd=order.folder,
        env=_environment(order),
    )
    if discovered.returncode:
        raise SystemExit(
            f"Discovery failed:\n{discovered.stderr.decode()[-VERBOSE_TAIL_CHARACTERS:]}"
        )
    catalog: Json = json.loads(discovered.stdout)
    for stream in catalog["streams"]:
        name = stream["tap_stream_id"]
        is_wanted = ZOHO_NAMES.get(name) in order.actions or (
            order.actions == ACTIONS and name in {"campaigns", "campaign_reports"}
        )
        for part in stream["metadata"]:
            if not part["breadcrumb"]:
                part["metadata"]["selected"] = is_wanted
    return catalog


ZOHO_NAMES = {
    "sent_contacts": "sentcontacts",
    "opened_contacts": "openedcontacts",
    "clicked_contacts": "clickedcontacts",
    "unopened_contacts": "unopenedcontacts",
    "optout_contacts": "optoutcontacts",
    "spam_contacts": "spamcontacts",
    "hard_bounce_contacts": "senthardbounce",
    "soft_bounce_contacts": "sentsoftbounce",
    "unsent_contacts": "unsentcontacts",
}


def _row_of_tap(record: Json) -> Row:
    return record["campaign_key"], record["action"], record["contact_email"]


# The others


def _peer(module: str, *options: str) -> Callable[[Order], list[str]]:
    def arguments(order: Order) -> list[str]:
        path = _written(order, "order.json", asdict(order))
        return ["-m", f"benchmarks.peers.{module}", path, *options]

    return arguments


def _written(order: Order, name: str, value: object) -> str:
    path = Path(order.folder, name)
    path.write_text(json.dumps(value), encoding="utf-8")
    return str(path)


def _row_of_peer(record: Json) -> Row:
    return record["campaign_key"], record["action"], record["contactemailaddress"].lower()


def _row_of_airbyte(record: Json) -> Row:
    return _row_of_peer(record["data"])


def _row_of_dlt(record: Json) -> Row:
    return _row_of_peer(record | {"campaign_key": record["_campaigns_campaign_key"]})


HERE = Path(sys.executable)
TAP_JSON = Contender("this tap, JSON", HERE, _tap("json"), _row_of_tap)
TAP_XML = Contender("this tap, XML", HERE, _tap("xml"), _row_of_tap)
BARE_LOOP = Contender("a bare loop (the floor)", HERE, _peer("bare_loop"), _row_of_peer)
PLAIN_SDK = Contender("a plain SDK tap", HERE, _peer("plain_sdk"), _row_of_peer)
DLT = Contender(
    "dlt's REST source, extraction",
    ROOT / ".venvs" / "bench-dlt" / "bin" / "python",
    _peer("dlt_rest"),
    _row_of_dlt,
    writes_files=True,
)
DLT_UNCOMPRESSED = replace(
    DLT, name=f"{DLT.name}, uncompressed", arguments=_peer("dlt_rest", "--uncompressed")
)
AIRBYTE = Contender(
    "Airbyte's declarative source",
    ROOT / ".venvs" / "bench-airbyte" / "bin" / "python",
    _peer("airbyte_declarative"),
    _row_of_airbyte,
)


def versions() -> Iterator[str]:
    """Yield name and version of what is compared."""
    for python, package in (
        (HERE, "singer-sdk"),
        (DLT.python, "dlt"),
        (AIRBYTE.python, "airbyte-cdk"),
    ):
        code = f"from importlib.metadata import version; print(version({package!r}))"
        found = subprocess.run(
            [str(python), "-c", code], check=True, capture_output=True, text=True
        )
        yield f"{package} {found.stdout.strip()}"
