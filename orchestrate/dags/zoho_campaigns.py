"""DAGs that load many accounts of Zoho Campaigns, every night or again, and see what is stale."""

from __future__ import annotations

import logging
import os
import re
import typing as t
from datetime import UTC, datetime

import psycopg
from airflow.sdk import BaseHook, Param, dag, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from many_accounts.accounts import (
    MELTANO_DATABASE,
    TAP,
    Account,
    database_of,
    meltano_variables,
    read_accounts,
)
from many_accounts.alerts import tell
from many_accounts.deployment import Deployment
from many_accounts.meltano import Meltano
from many_accounts.meltano_run import MeltanoRun

DEPLOYMENT = Deployment.from_environment()
SINCE = datetime(2026, 1, 1, tzinfo=UTC)
RETRIED: dict[str, t.Any] = {
    "retries": DEPLOYMENT.retries,
    "retry_delay": DEPLOYMENT.retry_delay,
    "on_failure_callback": tell,
}
LOAD: dict[str, t.Any] = {
    **RETRIED,
    "pool": DEPLOYMENT.pool,
    "map_index_template": "{{ task.account['name'] }}",
}
NO_OTHER_BOUND = 10_000
"""The pool bounds how many tasks run at once; Airflow's own bound for a DAG is 16."""
LAST_SUCCESSES = """
select regexp_replace(job_name, '^.*:', ''), max(ended_at) at time zone 'UTC'
from runs where state = 'SUCCESS' and job_name like %s group by 1
"""
"""Meltano's own record of each state's runs; its times are UTC."""


@task(**RETRIED)
def migrate() -> None:
    """Migrate Meltano's database once. Concurrent migrations fail."""
    meltano = Meltano(
        Deployment.from_environment(),
        f"migrate-{os.getpid()}",
        meltano_variables(),
        logging.getLogger("airflow.task"),
    )
    outcome = meltano("state", "list", "--pattern", "none")
    if not outcome.is_success:
        raise AirflowException(outcome.why)


@task(**RETRIED)
def accounts() -> list[dict[str, t.Any]]:
    """Read the list of accounts."""
    return read_accounts(Deployment.from_environment())


@dag(
    schedule=DEPLOYMENT.schedule or None,
    start_date=SINCE,
    catchup=False,
    # An account that waits for a lock does not hold up the next night's run.
    max_active_runs=2,
    max_active_tasks=NO_OTHER_BOUND,
    tags=["zoho-campaigns"],
)
def zoho_campaigns() -> None:
    """Load all accounts, each in a task of its own."""
    migrate() >> MeltanoRun.partial(task_id="load", **LOAD).expand(account=accounts())


@dag(
    schedule=None,
    start_date=SINCE,
    tags=["zoho-campaigns"],
    params={
        "account": Param(type="string", description="Its name in the list of accounts."),
        "schema": Param(
            "",
            type="string",
            description="Schema of the tables. Empty: the account's own; the run then waits for"
            " the nightly one to end. With another one both run at once, within one budget.",
        ),
        "start_date": Param(
            "",
            type="string",
            description="Leave out campaigns sent before. Empty: as in the list.",
        ),
    },
)
def zoho_campaigns_backfill() -> None:
    """Read everything of one account again."""

    @task(**RETRIED)
    def account(params: dict[str, t.Any], run_id: str) -> dict[str, t.Any]:
        """Find the account, and say what is different."""
        for entry in read_accounts(Deployment.from_environment()):
            if entry["name"] == params["account"]:
                break
        else:
            raise AirflowFailException(f"No account in the list is named {params['account']}")
        if why := entry.get("unusable"):
            raise AirflowFailException(why)
        own = Account.of(entry)
        config = dict(own.config)
        if params["start_date"]:
            config["start_date"] = params["start_date"]
        return entry | {
            "config": config,
            "schema": params["schema"] or own.schema,
            # Of this run alone, so that it begins from nothing, and goes on when it is tried again.
            "state": re.sub(r"\W", "_", f"{own.name}_backfill_{run_id}"),
            "models": own.models and params["schema"] in {"", own.schema},
        }

    migrate() >> MeltanoRun(task_id="load", account=account(), **LOAD)


@dag(
    schedule="@hourly", start_date=SINCE, catchup=False, max_active_runs=1, tags=["zoho-campaigns"]
)
def zoho_campaigns_freshness() -> None:
    """Fail while an account has had no successful run for too long."""

    @task(retries=0, on_failure_callback=tell)
    def fresh() -> None:
        """Ask Meltano's database."""
        deployment = Deployment.from_environment()
        runs = f"{deployment.environment}:{TAP}-to-{deployment.target}:%"
        place = database_of(BaseHook.get_connection(MELTANO_DATABASE))
        with psycopg.connect(**place) as database:
            ((exists,),) = database.execute("select to_regclass('runs') is not null").fetchall()
            last = dict(database.execute(LAST_SUCCESSES, [runs]).fetchall()) if exists else {}
        oldest = datetime.now(UTC) - deployment.stale_after
        states = {
            entry["name"]: entry.get("state", entry["name"]) for entry in read_accounts(deployment)
        }
        if stale := [
            name for name, state in states.items() if state not in last or last[state] < oldest
        ]:
            raise AirflowFailException(
                f"No successful run for {deployment.stale_after}: {', '.join(stale)}"
            )

    fresh()


zoho_campaigns()
zoho_campaigns_backfill()
zoho_campaigns_freshness()
