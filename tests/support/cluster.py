"""Airflow as it is run for many accounts: Celery, two workers, Redis and PostgreSQL, all local."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
import typing as t
from pathlib import Path

from support.airflow import Airflow, in_database
from support.documents import ROOT
from support.project import TAP
from support.redis_server import PASSWORD, free_port
from support.warehouse import VENVS

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from support.warehouse import Postgres, Record

SLOTS = 3
"""How many accounts a worker runs at once."""
HEARTBEAT_TIMEOUT_S = 40
POLL_S = 0.5
RUN_TIMEOUT_S = 900
PROGRAMS = ("api-server", "scheduler", "dag-processor", "triggerer")
WORKERS = ("first", "second")


class Cluster(Airflow):
    """The installation, with its processes.

    Args:
        folder: Where it keeps what it makes.
        project: The Meltano project.
        postgres: The server with all databases.
        redis: The URL of the broker.
    """

    def __init__(self, folder: Path, project: Path, postgres: Postgres, redis: str) -> None:
        """Start nothing yet."""
        self.port = free_port()
        self.redis = redis
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.command_lines: set[str] = set()
        metadata = in_database(postgres, "airflow")
        self.metadata = metadata
        database = metadata.loader_uri.replace("+psycopg:", "+psycopg2:")
        url = f"http://127.0.0.1:{self.port}"
        super().__init__(
            folder,
            project,
            postgres,
            AIRFLOW__CORE__EXECUTOR="CeleryExecutor",
            AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS="True",
            AIRFLOW__CORE__EXECUTION_API_SERVER_URL=f"{url}/execution/",
            AIRFLOW__CORE__PARALLELISM="32",
            AIRFLOW__API__BASE_URL=url,
            AIRFLOW__API__PORT=str(self.port),
            AIRFLOW__API__WORKERS="1",
            AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=database,
            AIRFLOW__CELERY__BROKER_URL=redis,
            AIRFLOW__CELERY__RESULT_BACKEND=f"db+{database}",
            AIRFLOW__CELERY__WORKER_CONCURRENCY=str(SLOTS),
            AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC="2",
            AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT=str(HEARTBEAT_TIMEOUT_S),
            AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL="2",
            AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK="False",
            ZOHO_CAMPAIGNS_MELTANO=str(_script(folder, "meltano_with_short_heartbeats.py")),
            ZOHO_CAMPAIGNS_SCHEDULE="",
            ZOHO_CAMPAIGNS_RETRY_DELAY="5",
            ZOHO_CAMPAIGNS_LOCK_WAIT="15",
            ZOHO_CAMPAIGNS_BUSY_WAIT="3",
        )

    def rate_limits(self) -> dict[str, t.Any]:
        """Return the connection of the Redis that counts calls: another database of Celery's."""
        host, _, port = self.redis.removesuffix("/0").rpartition("@")[2].partition(":")
        return {
            "conn_type": "redis",
            "host": host,
            "port": int(port),
            "password": PASSWORD,
            "extra": '{"db": 1}',
        }

    def start(self, name: str, *words: str, **variables: str) -> None:
        """Start a program of Airflow in a process group of its own."""
        with (self.folder / f"{name}.out").open("wb") as output:
            self.processes[name] = subprocess.Popen(
                [VENVS / "airflow/bin/airflow", *words],
                env=self.environment | variables,
                cwd=self.folder,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def start_worker(self, name: str) -> None:
        """Start a worker; both are on this machine, so each is told the name that it has."""
        names = "".join(f'def {each}():\n    return "{each}"\n\n' for each in WORKERS)
        (self.folder / "worker_names.py").write_text(names)
        self.start(
            name,
            *("celery", "worker", "--celery-hostname", f"{name}@%h", "--skip-serve-logs"),
            AIRFLOW__CORE__HOSTNAME_CALLABLE=f"worker_names.{name}",
            PYTHONPATH=str(self.folder),
        )

    @contextlib.contextmanager
    def running(self) -> Iterator[Cluster]:
        """Run all of it."""
        self.succeed("db", "migrate")
        self.succeed(
            "pools", "set", "zoho_campaigns", str(SLOTS * len(WORKERS)), "accounts at once"
        )
        try:
            for program in PROGRAMS:
                self.start(program, program)
            for name in WORKERS:
                self.start_worker(name)
            self.wait_for(self._is_parsed, "the DAGs were parsed", 180)
            for dag in ("zoho_campaigns", "zoho_campaigns_backfill"):
                self.succeed("dags", "unpause", dag)
            yield self
        finally:
            for process in self.processes.values():
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
            for process in self.processes.values():
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)

    @contextlib.contextmanager
    def without_queue(self, name: str) -> Iterator[None]:
        """Let a worker take no more tasks."""
        place = ("-H", f"{name}@{socket.gethostname()}", "-q", "default")
        self.succeed("celery", "remove-queue", *place)
        try:
            yield
        finally:
            self.succeed("celery", "add-queue", *place)

    def written(self) -> dict[str, str]:
        """Return the files, what the databases hold, and the command lines that were seen."""
        databases = {
            f"the database {each.uri}": subprocess.run(
                [f"{each.programs}/pg_dump", "--data-only", "--inserts", each.uri],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            for each in (self.metadata, self.meltano)
        }
        lines = "\n".join(self.command_lines)
        assert TAP in lines
        return super().written() | databases | {"command lines": lines}

    def meltano_runs(self, name: str) -> dict[str, Record]:
        """Return how and when Meltano last ran an account, by the name of the state."""
        rows = self.meltano.rows(
            "select regexp_replace(job_name, '^.*:', '') as name, state, started_at, ended_at"
            f" from runs where job_name like '%:{name}%' order by started_at"
        )
        return {row["name"]: row for row in rows}

    def meltano_states(self) -> set[str]:
        """Return the states that Meltano's runs are in."""
        return {row["state"] for row in self.meltano.rows("select distinct state from runs")}

    def _is_parsed(self) -> bool:
        return len(self.query("select dag_id from dag where dag_id like 'zoho_campaigns%'")) == 3

    def kill(self, name: str) -> None:
        """Kill a worker and all of its process group, and see it gone."""
        process = self.processes.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)
        self.wait_for(lambda: not _alive(process.pid), f"the processes of {name} ended")

    def query(self, sql: str) -> list[Record]:
        """Ask Airflow's database."""
        return self.metadata.rows(sql)

    def trigger(self, run: str, dag: str = "zoho_campaigns", *words: str) -> None:
        """Begin a run of a DAG."""
        self.succeed("dags", "trigger", dag, "--run-id", run, *words)

    def ended(self, run: str) -> str:
        """Wait for a run to end, and return its state."""

        def state() -> str | None:
            (row,) = self.query(f"select state from dag_run where run_id = '{run}'")
            return row["state"] if row["state"] in {"success", "failed"} else None

        return str(self.wait_for(state, f"{run} ended"))

    def tries(self, run: str) -> dict[str, Record]:
        """Return the last try of each account in a run, by its name; at first by its index."""
        rows = self.query(
            "select coalesce(rendered_map_index, map_index::text) as name, state, try_number,"
            " hostname, start_date, end_date"
            f" from task_instance where run_id = '{run}' and task_id = 'load'"
        )
        return {row["name"]: row for row in rows}

    def log(self, run: str, *words: str) -> str:
        """Return the log of a run's tasks."""
        return "\n".join(
            path.read_text()
            for path in sorted((self.folder / "logs").glob(f"*/run_id={run}/**/*.log"))
            if all(word in path.read_text() for word in words)
        )

    def wait_for(
        self, condition: t.Callable[[], t.Any], what: str, timeout_s: float = RUN_TIMEOUT_S
    ) -> t.Any:
        """Wait until a condition holds: here real programs run, on a real clock."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            self.command_lines |= _command_lines()
            if found := condition():
                return found
            time.sleep(POLL_S)
        raise AssertionError(f"Not within {timeout_s:.0f} s: {what}")


def _command_lines() -> set[str]:
    """Return those of all processes but Redis's own, which the test has started."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.add(path.read_bytes().decode(errors="replace").replace("\0", " "))
    return {line for line in found if "redis-server" not in line}


def _alive(group: int) -> bool:
    """Whether a process of a group runs; one that has ended may be in it for long."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, of_group = path.read_text().rpartition(")")[2].split()[:3]
            if int(of_group) == group and state != "Z":
                return True
    return False


def _script(folder: Path, name: str) -> Path:
    """Make a program of a module of this folder, for Meltano's Python."""
    path = folder / name.removesuffix(".py")
    module = ROOT / "tests/support" / name
    path.write_text(f'#!/bin/sh\nexec {VENVS}/meltano/bin/python {module} "$@"\n')
    path.chmod(0o755)
    return path
