"""Loaders that people use beside those of the repository's `meltano.yml`.

Each as released, in an environment of its own. What needs a service has a stand-in for it: its
limits are in docs/loaders.md.
"""

from __future__ import annotations

import json
import os
import sys
import typing as t

import pytest

from support.s3 import BUCKET, serve_s3
from support.two_runs import TABLES, last_state, two_runs
from support.warehouse import (
    SCHEMA,
    Snowflake,
    by_key,
    drop,
    from_warehouse,
    key_of,
    lists,
    load,
    without_read_at,
)

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from support.s3 import S3
    from support.two_runs import Lists, Record, TwoRuns
    from support.warehouse import Postgres

pytestmark = pytest.mark.xdist_group("more loaders")


until_3_11 = pytest.mark.skipif(
    sys.version_info >= (3, 12), reason="the loader does not run on Python 3.12 and later"
)
until_3_12 = pytest.mark.skipif(
    sys.version_info >= (3, 13), reason="the loader does not run on Python 3.13 and later"
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> TwoRuns:
    """A full run and an incremental one, with the default settings."""
    return two_runs(tmp_path_factory.mktemp("runs"))


def latest(rows: Iterable[Record]) -> list[Record]:
    """The last row of each key, in the order of the key."""
    return by_key({key_of(row): without_read_at(row) for row in rows}.values())


def test_stitch(runs: TwoRuns, tmp_path: Path) -> None:
    """target-stitch finds every batch valid, and would send each row as it is."""
    rows: Lists = {stream: [] for stream in TABLES}
    for messages, expected in ((runs.first, runs.before), (runs.second, runs.after)):
        sent = tmp_path / "requests"
        states = load(
            "target-stitch", None, tmp_path, messages, "--dry-run", "--output-file", str(sent)
        )
        assert json.loads(states.splitlines()[-1]) == last_state(messages)
        for request in map(json.loads, sent.read_text().splitlines()):
            if request["table_name"] in rows:
                rows[request["table_name"]] += [each["data"] for each in request["messages"]]
        assert {stream: latest(rows[stream]) for stream in TABLES} == expected


def escaped(value: t.Any) -> t.Any:
    """A text with the escapes of line breaks and tabs in their place."""
    if isinstance(value, str):
        return value.replace("\n", "\\n").replace("\t", "\\t")
    return value


@until_3_12
def test_pipelinewise_postgres(runs: TwoRuns, postgres: Postgres, tmp_path: Path) -> None:
    """PipelineWise's loader for PostgreSQL keeps every row, except for line breaks and tabs.

    Its known fault: in a text they arrive as the two characters of their escape.
    """
    config = {
        "host": postgres.folder,
        "port": 5432,
        "user": "postgres",
        "password": "unused",
        "dbname": "postgres",
        "default_target_schema": SCHEMA,
    }
    queries = {stream: f"select * from {SCHEMA}.{stream}" for stream in TABLES}
    try:
        for messages, expected in ((runs.first, runs.before), (runs.second, runs.after)):
            states = load("pipelinewise-target-postgres", config, tmp_path, messages)
            assert json.loads(states.splitlines()[-1]) == last_state(messages)
            arrived = lists(postgres, queries)
            assert arrived != expected
            assert arrived == {
                stream: [{name: escaped(value) for name, value in row.items()} for row in rows]
                for stream, rows in expected.items()
            }
    finally:
        drop(postgres)


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    """An S3 without objects."""
    with serve_s3() as it:
        yield it


def s3_config(s3: S3, format_type: str) -> Record:
    """The settings of plinxore-target-s3."""
    aws = {
        "aws_access_key_id": "anybody",
        "aws_secret_access_key": "anything",
        "aws_region": "us-east-1",
        "aws_bucket": BUCKET,
        "aws_endpoint_override": s3.url,
    }
    return {
        "format": {"format_type": format_type},
        "cloud_provider": {"cloud_provider_type": "aws", "aws": aws},
        "prefix": format_type,
    }


@until_3_12
def test_s3_jsonl(runs: TwoRuns, s3: S3, tmp_path: Path) -> None:
    """JSON lines in S3 hold every row; the second run adds files, and the latest row counts."""
    for messages, expected in ((runs.first, runs.before), (runs.second, runs.after)):
        states = load("target-s3", s3_config(s3, "jsonl"), tmp_path, messages)
        assert json.loads(states.splitlines()[-1]) == last_state(messages)
        for stream in TABLES:
            rows = map(from_warehouse, s3.jsonl_rows(f"jsonl/{stream}/"))
            assert latest(rows) == expected[stream], stream


@until_3_12
def test_s3_parquet(s3: S3, tmp_path: Path) -> None:
    """Parquet in S3 holds every row of a flattened run, with nested fields as texts of JSON."""
    runs = two_runs(tmp_path, flattening_enabled=True, flattening_max_depth=1)
    for messages, expected in ((runs.first, runs.before), (runs.second, runs.after)):
        states = load("target-s3", s3_config(s3, "parquet"), tmp_path, messages)
        assert json.loads(states.splitlines()[-1]) == last_state(messages)
        rows = s3.parquet_rows("parquet/", tmp_path)
        arrived = {
            stream: latest(map(unflattened, map(from_warehouse, rows[stream]))) for stream in TABLES
        }
        assert arrived == expected


NESTED = {"open_reports", "click_reports", "clicked_urls", "url_clicks", "custom_fields"}


def unflattened(row: Record) -> Record:
    """A row of a flattened run with its nested fields as they were."""
    texts = {name: row[name] for name in NESTED & row.keys() if row[name] is not None}
    return {**row, **{name: json.loads(text) for name, text in texts.items()}}


def test_batches_in_s3(s3: S3, postgres: Postgres, tmp_path: Path) -> None:
    """BATCH files in S3, written by the tap and read by target-postgres, hold every row.

    Both need the extra `s3`, and take the credentials from the environment.
    """
    batch_config = {
        "encoding": {"format": "jsonl", "compression": "gzip"},
        "storage": {"root": f"s3://{BUCKET}/batches"},
    }
    env = {**os.environ, **s3.variables}
    runs = two_runs(tmp_path, env, batch_config=batch_config)
    queries = {stream: f"select * from {SCHEMA}.{stream}" for stream in TABLES}
    config = postgres.loader_config(SCHEMA)
    try:
        for messages, expected in ((runs.first, runs.before), (runs.second, runs.after)):
            assert b'"type":"RECORD"' not in messages
            states = load("target-postgres-s3", config, tmp_path, messages, **s3.variables)
            assert json.loads(states.splitlines()[-1]) == last_state(messages)
            assert lists(postgres, queries) == expected
    finally:
        drop(postgres)
    assert len(s3.objects("batches/")) > len(TABLES)


OF_EACH_KIND = ("opened_contacts", "clicked_contacts", "click_events")
"""Streams that have every kind of field; for stand-ins that take long for a table."""


def only(streams: Iterable[str], messages: bytes) -> bytes:
    """The messages of some streams, and the states."""
    return b"\n".join(
        line
        for line in messages.splitlines()
        if (message := json.loads(line))["type"] == "STATE" or message["stream"] in streams
    )


def test_snowflake(runs: TwoRuns, tmp_path: Path) -> None:
    """MeltanoLabs' loader for Snowflake keeps every row; nested fields become VARIANT."""
    database = Snowflake(tmp_path / "ZOHO.db")
    queries = {stream: f"select * from {SCHEMA}.{stream}" for stream in OF_EACH_KIND}
    for messages, expected in ((runs.first, runs.before), (runs.second, runs.after)):
        some = only(OF_EACH_KIND, messages)
        config = database.loader_config(SCHEMA)
        states = load(database.loader, config, tmp_path, some, str(tmp_path))
        assert json.loads(states.splitlines()[-1]) == last_state(messages)
        assert lists(database, queries) == {stream: expected[stream] for stream in OF_EACH_KIND}


@until_3_11
def test_bigquery(runs: TwoRuns, tmp_path: Path) -> None:
    """z3's loader for BigQuery keeps every row in load jobs with columns of their own, by key."""
    config = {
        "credentials_json": "{}",
        "project": "lake",
        "dataset": SCHEMA,
        "method": "batch_job",
        "denormalized": True,
        "upsert": True,
    }
    for messages, expected in ((runs.first, runs.before), (runs.second, runs.after)):
        states = load("target-bigquery", config, tmp_path, messages, str(tmp_path))
        assert json.loads(states.splitlines()[-1]) == last_state(messages)
        tables = json.loads((tmp_path / "bigquery.json").read_text())
        assert {
            stream: by_key(
                without_read_at(from_warehouse(row)) for row in tables[f"lake.{SCHEMA}.{stream}"]
            )
            for stream in TABLES
        } == expected
