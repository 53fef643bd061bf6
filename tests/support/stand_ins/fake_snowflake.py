"""Runs target-snowflake with fakesnow, which keeps its databases in files of DuckDB.

    python fake_snowflake.py FOLDER --config config.json < messages

It runs in the loader's environment. fakesnow has no stage to put files into, so a stage is a table
here, which the loader's own MERGE reads. Sinks are drained one after the other, for there is one
connection.
"""

from __future__ import annotations

import contextlib
import gzip
import re
import sys
import typing as t
from pathlib import Path
from urllib.parse import unquote, urlsplit

import fakesnow
from sqlalchemy import text
from target_snowflake.connector import SnowflakeConnector
from target_snowflake.sinks import SnowflakeSink
from target_snowflake.target import TargetSnowflake

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection


class Connector(SnowflakeConnector):
    """The loader's connector, with a table in place of each stage."""

    @contextlib.contextmanager
    def _in_schema(self) -> Iterator[Connection]:
        with self._connect() as connection, connection.begin():
            schema = f"{self.config['database']}.{self.config['schema']}"
            connection.execute(text(f"use schema {schema}"))
            yield connection

    def put_batches_to_stage(self, sync_id: str, files: Sequence[str]) -> None:
        """Put the lines of files into the table."""
        del sync_id
        lines = [
            line.decode()
            for file in files
            for line in gzip.decompress(
                Path(unquote(urlsplit(file).path)).read_bytes()
            ).splitlines()
        ]
        with self._in_schema() as connection:
            connection.execute(text("create or replace table staged (number integer, line text)"))
            # In plain DuckDB, for fakesnow takes a while for each row.
            duckdb = connection.connection._duck_conn  # noqa: SLF001
            duckdb.execute(
                "insert into staged select unnest(range(len($1))), unnest($1)",
                [lines],
            )

    def merge_from_stage(self, *args: t.Any, **kwargs: t.Any) -> int:
        """Merge what is in the table; in two steps, for fakesnow cannot in one."""
        statement, _ = self._get_merge_from_stage_statement(*args, **kwargs)
        match = re.fullmatch(
            r"(merge into .*? d using )\((select .*) from '@~.*?'\(.*?\) (QUALIFY .*?)\)( s on .*)",
            str(statement),
        )
        assert match
        merge, select, qualify, on = match.groups()
        selected = f"{select} from staged {qualify}"
        selected = selected.replace("$1:", "parse_json(line):").replace("SEQ8()", "number")
        with self._in_schema() as connection:
            for sql in (
                f"create or replace table selected as {selected}",
                f"{merge}selected{on}",
            ):
                count: int = connection.execute(text(sql.replace(":", r"\:"))).rowcount
        return count

    def create_file_format(self, *args: t.Any, **kwargs: t.Any) -> None:
        """Do without."""

    def drop_file_format(self, *args: t.Any, **kwargs: t.Any) -> None:
        """Do without."""

    def remove_staged_files(self, *args: t.Any, **kwargs: t.Any) -> None:
        """Leave the table to the next."""


if __name__ == "__main__":
    SnowflakeSink.connector_class = Connector
    TargetSnowflake.max_parallelism = 1
    with fakesnow.patch(db_path=sys.argv.pop(1)):
        TargetSnowflake.cli()
