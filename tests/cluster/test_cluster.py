"""Many accounts on Airflow with Celery, two workers, Redis and PostgreSQL, on a real clock."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import typing as t
from pathlib import Path

import pytest

from sandbox import Limit, Sandbox, Switches, make_account
from support.airflow import assert_nothing_leaked, install_project, make_databases
from support.cluster import Cluster
from support.project import PREFIX, TAP
from support.redis_server import PASSWORD, run_redis
from support.tap_runs import RECIPIENTS
from support.two_runs import true_lists
from support.warehouse import serve_postgres

if t.TYPE_CHECKING:
    from collections.abc import Iterator

REVOKED = "1000.revoked-refresh-token"
WITHOUT_MODELS = {"models": False}
UNDER_WAY = "is under way: coming back after it"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """All of it, running."""
    folder = tmp_path_factory.mktemp("cluster")
    project = install_project(folder / "project")
    with serve_postgres(folder / "postgres") as postgres:
        make_databases(postgres, "airflow", "meltano", "warehouse")
        (folder / "redis").mkdir()
        (folder / "airflow").mkdir()
        redis, url = run_redis(folder / "redis")
        try:
            with Cluster(folder / "airflow", project, postgres, url).running() as cluster:
                yield cluster
        finally:
            redis.terminate()
            redis.wait(30)


def serve(stack: contextlib.ExitStack, sizes: dict[str, list[int]]) -> dict[str, Sandbox]:
    """Serve an account for each name, with campaigns of these sizes."""
    return {
        name: stack.enter_context(Sandbox(make_account(len(each), each)))
        for name, each in sizes.items()
    }


def assert_loaded(cluster: Cluster, accounts: dict[str, Sandbox]) -> None:
    """See that each account's schema holds its rows, all and once."""
    for name, zoho in accounts.items():
        assert cluster.tables(f"zoho_campaigns_{name}") == true_lists(zoho), name


def test_twenty_accounts(cluster: Cluster) -> None:
    """All rows are in their schemas; a refused account fails alone, a locked one comes back.

    The next run asks for no list; no secret and no address is written anywhere.
    """
    sizes = {f"a{n:02d}": [n * 7 % 60 + 1] * (n % 3 + 1) for n in range(20)}
    with contextlib.ExitStack() as stack:
        accounts = serve(stack, sizes)
        cluster.set_up(
            accounts,
            dict.fromkeys(list(accounts)[3:], WITHOUT_MODELS),
            {"a07": {"extra": json.dumps({"refresh_token": REVOKED})}},
            zoho_campaigns_rate_limits=cluster.rate_limits(),
        )
        accounts["a11"].faults.add("lock", endpoint=RECIPIENTS, seconds=20)
        cluster.trigger("first-night")
        assert cluster.ended("first-night") == "failed"
        tries = cluster.tries("first-night")
        assert {name: each["state"] for name, each in tries.items()} == dict.fromkeys(
            accounts, "success"
        ) | {"a07": "failed"}
        assert {each["try_number"] for each in tries.values()} == {1}
        assert {each["hostname"] for each in tries.values()} == {"first", "second"}
        assert "refresh_token is wrong, was revoked" in cluster.log("first-night", "a07")
        assert "a11" in cluster.log("first-night", "coming back in")
        assert accounts["a07"].calls("recentcampaigns") == 0
        good = {name: zoho for name, zoho in accounts.items() if name != "a07"}
        assert_loaded(cluster, good)
        for name in ("a00", "a01", "a02"):
            assert cluster.models(name) == len(sizes[name])

        for zoho in accounts.values():
            zoho.reset_log()
        cluster.trigger("second-night")
        assert cluster.ended("second-night") == "failed"
        for name, zoho in good.items():
            assert zoho.calls("recentcampaigns") > 0, name
            assert zoho.calls(RECIPIENTS) == 0, name
        assert_nothing_leaked(cluster.written(), accounts, REVOKED, PASSWORD)


def taps(zoho: Sandbox) -> list[int]:
    """Return the processes of taps that read an account: its address is in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (path / "cmdline").read_bytes().decode().split("\0")
            if any(word.endswith(f"bin/{TAP}") for word in words[:2]):
                environment = (path / "environ").read_bytes().decode().split("\0")
                if f"{PREFIX}API_URL={zoho.url}" in environment:
                    found.append(int(path.name))
    return found


def task_of(tap: int) -> int:
    """Return the task's process: it has started Meltano, which has started the tap."""

    def parent(process: int) -> int:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])

    return parent(parent(tap))


def test_killed_worker(cluster: Cluster) -> None:
    """When a worker is killed, the other one ends the run, after what survived has ended.

    Nothing is lost, nothing comes twice, and no account is locked.
    """
    names = [f"k{n}" for n in range(6)]
    with contextlib.ExitStack() as stack:
        accounts = serve(stack, {name: [20, 10, 5] for name in names})
        for zoho in accounts.values():
            zoho.switches.latency_s = 4.0
            zoho.switches.limit = Limit(calls=500, period_s=300, lock_s=1800)
        cluster.set_up(
            accounts,
            dict.fromkeys(names, WITHOUT_MODELS),
            {},
            zoho_campaigns_rate_limits=cluster.rate_limits(),
        )
        cluster.trigger("interrupted")

        def on_second() -> list[str]:
            found = [
                name
                for name, each in cluster.tries("interrupted").items()
                if name in accounts
                and each["state"] == "running"
                and each["hostname"] == "second"
                and accounts[name].calls(RECIPIENTS) > 0
            ]
            return found if len(found) >= 2 else []

        doomed = cluster.wait_for(on_second, "two accounts are read on the second worker")
        lost, survivor, *_ = doomed
        (lost_tap,), (surviving_tap,) = taps(accounts[lost]), taps(accounts[survivor])
        cluster.kill("second")
        # What survives says nothing for a while: a task that cannot log any more ends itself.
        os.kill(surviving_tap, signal.SIGSTOP)
        # Of one account nothing survives, as when a machine loses power.
        for group in (task_of(lost_tap), lost_tap):
            os.killpg(os.getpgid(group), signal.SIGKILL)
        refused = f"Another run of {survivor} {UNDER_WAY}"
        cluster.wait_for(
            lambda: refused in cluster.log("interrupted"), "the survivor is waited for"
        )
        assert taps(accounts[survivor]) == [surviving_tap]
        for zoho in accounts.values():
            zoho.switches.latency_s = 0.5
        os.kill(surviving_tap, signal.SIGCONT)

        assert cluster.ended("interrupted") == "success"
        tries = cluster.tries("interrupted")
        assert all(tries[name]["try_number"] > 1 for name in doomed)
        assert all(each["hostname"] == "first" for each in tries.values())
        assert_loaded(cluster, accounts)
        for name, zoho in accounts.items():
            assert not [each for each in zoho.requests if each.code == "locked"]
            # An interrupted run left what it had delivered, and only the rest was read again.
            most = 3 * 9 if tries[name]["try_number"] == 1 else 2 * 3 * 9 - 1
            assert 3 * 9 <= zoho.calls(RECIPIENTS) <= most, name
            assert cluster.meltano_runs(name)[name]["state"] == "SUCCESS"
        assert "RUNNING" not in cluster.meltano_states()
        assert_nothing_leaked(cluster.written(), accounts, PASSWORD)
    cluster.start_worker("second")


def clear(cluster: Cluster, tap: int) -> None:  # noqa: ARG001 - Airflow finds it
    """Clear the task that runs, as an operator does."""
    cluster.succeed("tasks", "clear", "zoho_campaigns", "--only-running", "--yes")


def stop(cluster: Cluster, tap: int) -> None:  # noqa: ARG001 - it is the process that counts
    """Tell the task's process to end, as a machine does that shuts down."""
    os.kill(task_of(tap), signal.SIGTERM)


@pytest.mark.parametrize("end", [clear, stop])
def test_ended_task(cluster: Cluster, end: t.Callable[[Cluster, int], None]) -> None:
    """A task that is told to end has its programs end at once; its next try goes on."""
    name = f"e_{end.__name__}"
    with contextlib.ExitStack() as stack:
        accounts = serve(stack, {name: [20, 10, 5]})
        zoho = accounts[name]
        cluster.set_up(
            accounts,
            {name: WITHOUT_MODELS},
            {},
            zoho_campaigns_rate_limits=cluster.rate_limits(),
        )
        zoho.switches.latency_s = 4.0
        cluster.trigger(name)
        cluster.wait_for(lambda: zoho.calls(RECIPIENTS) > 9, "the account is read")
        zoho.switches.latency_s = 60.0
        (tap,) = taps(zoho)
        end(cluster, tap)
        cluster.wait_for(lambda: tap not in taps(zoho), "the tap has ended", 30)
        assert zoho.calls(RECIPIENTS) < 3 * 9
        zoho.switches.latency_s = 0.0
        assert cluster.ended(name) == "success"
        assert cluster.tries(name)[name]["try_number"] == 2
        # Meltano had the time to say that its run ended: nothing has to be waited for.
        assert UNDER_WAY not in cluster.log(name)
        assert_loaded(cluster, accounts)


def test_backfill_beside_the_nightly_run(cluster: Cluster) -> None:
    """A backfill beside the nightly run, on another worker, shares its budget: never a lock.

    One into the same schema waits until the nightly run has ended.
    """
    with contextlib.ExitStack() as stack:
        limit = Limit(calls=500, period_s=30, lock_s=180)
        zoho = stack.enter_context(
            Sandbox(make_account(110, [12, 30, 3]), switches=Switches(limit=limit))
        )
        config = {"rate_limit_calls": 480, "rate_limit_period": 30}
        cluster.set_up(
            {"busy": zoho},
            {"busy": WITHOUT_MODELS | {"config": config}},
            {},
            zoho_campaigns_rate_limits=cluster.rate_limits(),
        )
        cluster.trigger("nightly")
        cluster.wait_for(lambda: zoho.calls(RECIPIENTS) > 0, "the nightly run reads")
        (nightly,) = cluster.tries("nightly").values()
        with cluster.without_queue(nightly["hostname"]):
            for run, schema in (("after", ""), ("beside", "zoho_campaigns_busy_again")):
                conf = json.dumps({"account": "busy", "schema": schema})
                cluster.trigger(run, "zoho_campaigns_backfill", "--conf", conf)
            assert [cluster.ended(run) for run in ("nightly", "beside", "after")] == ["success"] * 3
        expected = true_lists(zoho)
        assert cluster.tables("zoho_campaigns_busy") == expected
        assert cluster.tables("zoho_campaigns_busy_again") == expected
        assert zoho.calls(RECIPIENTS) == 3 * 110 * 9
        assert not [each for each in zoho.requests if each.code == "locked"]

        (nightly,), (beside,), (after,) = (
            cluster.tries(run).values() for run in ("nightly", "beside", "after")
        )
        assert beside["hostname"] != nightly["hostname"]
        assert beside["start_date"] < nightly["end_date"]
        assert UNDER_WAY in cluster.log("after")
        assert after["end_date"] > nightly["end_date"]
        runs = cluster.meltano_runs("busy")
        assert runs["busy"]["ended_at"] <= runs["busy_backfill_after"]["started_at"]
