"""Many accounts on Airflow, the short way: one process runs the DAG, with a few accounts."""

from __future__ import annotations

import contextlib
import http.server
import json
import re
import sqlite3
import subprocess
import threading
import typing as t
from datetime import UTC, datetime

import pytest

from sandbox import Sandbox, make_account
from support.airflow import Airflow, assert_nothing_leaked, install_project, make_databases
from support.documents import code, read
from support.project import PREFIX
from support.tap_runs import RECIPIENTS
from support.two_runs import true_lists
from support.warehouse import serve_postgres

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIZES = {"brazil": [30, 5], "germany": [12], "japan": [7], "mexico": [3]}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Meltano project, installed."""
    return install_project(tmp_path_factory.mktemp("meltano") / "project")


@pytest.fixture
def place(project: Path, tmp_path: Path) -> Iterator[Airflow]:
    """An installation, with databases."""
    with serve_postgres(tmp_path / "postgres") as postgres:
        make_databases(postgres, "meltano", "warehouse")
        (tmp_path / "airflow").mkdir()
        place = Airflow(
            tmp_path / "airflow",
            project,
            postgres,
            ZOHO_CAMPAIGNS_RETRIES="0",
            ZOHO_CAMPAIGNS_LOCK_WAIT="1",
            ZOHO_CAMPAIGNS_BUSY_WAIT="1",
            ZOHO_CAMPAIGNS_SHARED_LIMITS="false",
        )
        place.succeed("db", "migrate")
        yield place


@pytest.fixture
def accounts() -> Iterator[dict[str, Sandbox]]:
    """Four accounts."""
    with contextlib.ExitStack() as stack:
        yield {
            name: stack.enter_context(Sandbox(make_account(len(sizes), sizes)))
            for name, sizes in SIZES.items()
        }


@contextlib.contextmanager
def serve_webhook(posts: list[bytes]) -> Iterator[str]:
    """Take what is posted to a webhook; yield its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posts.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/hook"
        server.shutdown()


def texts(posts: list[bytes]) -> list[str]:
    """Return what the posts say."""
    read_posts = [json.loads(post) for post in posts]
    assert all(set(post) == {"text"} for post in read_posts)
    return [post["text"] for post in read_posts]


def test_no_account_stops_another(place: Airflow, accounts: dict[str, Sandbox]) -> None:
    """Each account gets its rows, a locked one after its lock; a refused one fails alone."""
    revoked, token = "1000.revoked-refresh-token", "webhook-token-9c1e"
    place.set_up(
        accounts,
        {"mexico": {"config": {"account_timezone": "CET+1"}}},
        {"japan": {"extra": json.dumps({"refresh_token": revoked})}},
        zoho_campaigns_alerts={"conn_type": "http", "password": f"http://127.0.0.1:1/{token}"},
    )
    accounts["germany"].faults.add("lock", endpoint=RECIPIENTS, seconds=20)
    done = place.shell(code(read("docs/many-accounts.md"), "airflow-pool"))
    assert done.returncode == 0, done.stderr
    done = place.shell(code(read("docs/many-accounts.md"), "airflow-test"))
    assert "No data found" in done.stdout
    assert done.returncode != 0
    for name in ("brazil", "germany"):
        assert place.tables(f"zoho_campaigns_{name}") == true_lists(accounts[name]), name
        assert place.models(name) == len(SIZES[name])
    assert "germany: Zoho answered getcampaignrecipientsdata" in done.stdout
    assert "coming back in 0:00:01" in done.stdout
    assert "japan: The accounts server" in done.stdout
    assert "mexico: account_timezone must be the IANA name" in done.stdout
    assert "The webhook cannot be reached: ConnectionError" in done.stdout
    assert accounts["japan"].calls("recentcampaigns") == 0
    query = code(read("docs/many-accounts.md"), "last-successes.sql")
    found = {row["account"] for row in place.meltano.rows(query.removesuffix(";"))}
    assert found == {"brazil", "germany"}
    assert_nothing_leaked(
        place.written() | {"output": done.stdout + done.stderr}, accounts, revoked, token
    )


def test_models_follow_a_run_that_delivered_all_but_one_list(
    place: Airflow, accounts: dict[str, Sandbox], project: Path
) -> None:
    """After exit code 5 the models are built, and the task fails with the tap's line."""
    # Another run holds the account's lock meanwhile, and the project has credentials of another.
    (project / ".env").write_text(
        f"{PREFIX}REFRESH_TOKEN=of-another\n{PREFIX}START_DATE=2040-01-01\n"
    )
    lock = "select pg_advisory_lock(hashtextextended('zoho_campaigns_brazil', 0)), pg_sleep(30)"
    other_run = subprocess.Popen(
        [f"{place.postgres.programs}/psql", "-X", "-c", lock, place.meltano.uri],
        stdout=subprocess.DEVNULL,
    )
    accounts["brazil"].faults.add("500", endpoint=RECIPIENTS, action="spamcontacts", times=99)
    posts: list[bytes] = []
    with serve_webhook(posts) as url:
        alerts = {"conn_type": "http", "password": url}
        place.set_up({"brazil": accounts["brazil"]}, {}, {}, zoho_campaigns_alerts=alerts)
        done = place("dags", "test", "zoho_campaigns")
    assert done.returncode != 0
    (project / ".env").unlink()
    assert other_run.wait(60) == 0
    assert "Another run of brazil is under way" in done.stdout
    assert place.models("brazil") == len(SIZES["brazil"])
    (text,) = texts(posts)
    why, link = text.rsplit(" (", 1)
    assert why.startswith("zoho_campaigns load: brazil: 2 of 2 campaigns could not be read whole")
    assert re.fullmatch(
        r"http://localhost:8080/dags/zoho_campaigns/runs/\S+/tasks/load/mapped/0\?try_number=1\)",
        link,
    )


def test_backfill_and_freshness(place: Airflow, accounts: dict[str, Sandbox]) -> None:
    """A backfill reads what is asked for into its schema; an account never loaded is stale."""
    posts: list[bytes] = []
    with serve_webhook(posts) as url:
        alerts = {"conn_type": "http", "password": url}
        place.set_up({"germany": accounts["germany"]}, {}, {}, zoho_campaigns_alerts=alerts)
        (campaign,) = accounts["germany"].account.campaigns.values()
        since = datetime.fromtimestamp((campaign.sent_at or 0) - 60, UTC).isoformat()
        conf = {"account": "germany", "schema": "germany_again", "start_date": since}
        done = place("dags", "test", "zoho_campaigns_backfill", "--conf", json.dumps(conf))
        assert done.returncode == 0, done.stdout[-3000:]
        assert place.tables("germany_again") == true_lists(accounts["germany"])
        assert posts == []
        done = place("dags", "test", "zoho_campaigns_freshness")
        assert done.returncode != 0
    (text,) = texts(posts)
    stale = "zoho_campaigns_freshness fresh: No successful run for 1 day, 2:00:00: germany ("
    assert text.startswith(stale)
    lines = code(read("docs/many-accounts.md"), "airflow-backfill")
    done = place.shell("airflow dags reserialize\n" + lines)
    assert done.returncode == 0, done.stderr
    with contextlib.closing(sqlite3.connect(place.folder / "airflow.db")) as database:
        found = database.execute("select conf from dag_run where state = 'queued'").fetchall()
    assert sorted((json.loads(conf) for (conf,) in found), key=len) == [
        {"account": "germany"},
        {"account": "germany", "start_date": "2026-01-01T00:00:00Z", "schema": "germany_again"},
    ]
