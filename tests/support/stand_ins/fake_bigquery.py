"""Runs z3-target-bigquery with a client that keeps tables in a file, FOLDER/bigquery.json.

    python fake_bigquery.py FOLDER --config config.json < messages

It runs in the loader's environment. Load jobs check each value against its column, and MERGE, as
the loader spells it, is carried out; the wait for tables to appear everywhere is left out.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
import types
import typing as t
from datetime import datetime
from pathlib import Path

import target_bigquery.batch_job
import target_bigquery.core
from google.api_core.exceptions import BadRequest, NotFound
from target_bigquery.target import TargetBigQuery

if t.TYPE_CHECKING:
    from google.cloud.bigquery import Dataset, LoadJobConfig, SchemaField, Table, TableReference

Record = dict[str, t.Any]

SCALARS: dict[str, type | tuple[type, ...]] = {
    "BOOLEAN": bool,
    "FLOAT": (int, float),
    "INTEGER": int,
    "NUMERIC": (int, float),
    "STRING": str,
    "TIMESTAMP": str,
}


class Done:
    """A job that is over."""

    def result(self) -> None:
        """Wait for nothing."""


class Client:
    """What the loader uses of BigQuery's client."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: dict[str, list[Record]] = json.loads(path.read_text()) if path.exists() else {}
        self._tables: dict[str, Table] = {}

    def save(self) -> None:
        """Keep the tables for the next run."""
        self._path.write_text(json.dumps(self._rows))

    def get_dataset(self, reference: object) -> object:
        """Every dataset is there."""
        return reference

    def create_dataset(self, dataset: Dataset) -> Dataset:
        """Every dataset is there."""
        return dataset

    def get_table(self, reference: TableReference) -> object:
        """Return a table that is there."""
        if str(reference) not in self._rows:
            raise NotFound(str(reference))
        return reference

    def create_table(self, table: Table) -> Table:
        """Make a table."""
        self._rows[str(table.reference)] = []
        return table

    def load_table_from_file(
        self, file: t.IO[bytes], table: TableReference, *, job_config: LoadJobConfig, **_: object
    ) -> Done:
        """Append rows, and none of them where one does not fit its columns."""
        rows = [json.loads(line) for line in gzip.decompress(file.read()).splitlines()]
        self._rows[str(table)] += [fitted(row, job_config.schema) for row in rows]
        return Done()

    def query(self, sql: str) -> Done:
        """Merge one table into another and drop it."""
        match = re.fullmatch(
            r"SELECT 1 AS _no_op; MERGE `(.*?)` AS target USING `(.*?)` AS source ON (.*?) "
            r"WHEN MATCHED THEN UPDATE SET .* WHEN NOT MATCHED THEN INSERT \((.*?)\) VALUES .*; "
            r"DROP TABLE IF EXISTS .*;",
            sql,
        )
        if not match:
            raise BadRequest(sql)
        target, source, condition, columns = match.groups()
        keys = re.findall(r"target\.`(\w+)` = source\.`\w+`", condition)
        names = re.findall(r"`(\w+)`", columns)
        by_key = {tuple(row[key] for key in keys): row for row in self._rows[target]}
        merged = set()
        for row in self._rows.pop(source):
            key = tuple(row[key] for key in keys)
            if key in merged:
                raise BadRequest("MERGE must match at most one source row for each target row")
            merged.add(key)
            by_key[key] = {name: row.get(name) for name in names}
        self._rows[target] = list(by_key.values())
        return Done()


def fitted(row: Record, fields: t.Iterable[SchemaField]) -> Record:
    """Return what of a row has a column; unknown values are ignored, as the loader asks."""
    return {field.name: value_of(row.get(field.name), field) for field in fields}


def value_of(value: t.Any, field: SchemaField) -> t.Any:
    """Return a value that fits its column, or refuse it."""
    if field.mode == "REPEATED":
        return None if value is None else [one_of(each, field) for each in value]
    return None if value is None else one_of(value, field)


def one_of(value: t.Any, field: SchemaField) -> t.Any:
    """Return a single value."""
    if field.field_type == "JSON":
        return value
    if field.field_type == "RECORD":
        return fitted(value, field.fields)
    if not isinstance(value, SCALARS[field.field_type]):
        raise BadRequest(f"{field.name}: {value!r} is no {field.field_type}")
    if field.field_type == "TIMESTAMP":
        datetime.fromisoformat(str(value))
    return value


if __name__ == "__main__":
    client = Client(Path(sys.argv.pop(1)) / "bigquery.json")
    core = target_bigquery.core
    core.bigquery_client_factory = lambda _: client
    target_bigquery.batch_job.bigquery_client_factory = lambda _: client
    core.time = types.SimpleNamespace(**{**vars(core.time), "sleep": lambda _: None})
    try:
        TargetBigQuery.cli()
    finally:
        client.save()
