"""DAGs that load many accounts of Zoho Campaigns, every night or again, and see what is stale."""

from __future__ import annotations

import logging
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
select regexp_replace(job_name, '^.*:', ''), max(ended_at)
from runs where state = 'SUCCESS' and job_name like %s group by 1
"""
"""Meltano's own record of each state's runs; its times are UTC."""


@task(**RETRIED)
def migrate() -> None:
    """Let one process bring Meltano's database up to date, for many at once get into a muddle."""
    meltano = Meltano(
        Deployment.from_environment(), meltano_variables(), logging.getLogger(__name__)
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
            description="Where to put the tables. Empty: the account's own, and the run waits for"
            " the nightly one to end. In another schema it goes on beside it, within one budget.",
        ),
        "start_date": Param(
            "", type="string", description="Campaigns sent before are left out. Empty: none is."
        ),
    },
)
def zoho_campaigns_backfill() -> None:
    """Read everything of one account again."""

    @task(**RETRIED)
    def account(params: dict[str, t.Any]) -> dict[str, t.Any]:
        """Find the account, and say what is different."""
        for entry in read_accounts(Deployment.from_environment()):
            if entry["name"] == params["account"]:
                break
        else:
            raise AirflowFailException(f"No account in the list is named {params['account']}")
        own = Account.of(entry)
        config = dict(own.config)
        if params["start_date"]:
            config["start_date"] = params["start_date"]
        return entry | {
            "config": config,
            "schema": params["schema"] or own.schema,
            "state": f"{own.name}_backfill",
            "models": params["schema"] in {"", own.schema},
            "full_refresh": True,
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
            last = dict(database.execute(LAST_SUCCESSES, [runs]).fetchall())
        oldest = datetime.now(UTC).replace(tzinfo=None) - deployment.stale_after
        names = [Account.of(entry).state for entry in read_accounts(deployment)]
        if stale := [name for name in names if name not in last or last[name] < oldest]:
            raise AirflowFailException(
                f"No successful run for {deployment.stale_after}: {', '.join(stale)}"
            )

    fresh()


zoho_campaigns()
zoho_campaigns_backfill()
zoho_campaigns_freshness()
