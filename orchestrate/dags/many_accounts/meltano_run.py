"""One run of one account, and what follows from how it ends."""

from __future__ import annotations

import typing as t
from contextlib import contextmanager

import psycopg
from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import BaseHook, BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from many_accounts.accounts import (
    MELTANO_DATABASE,
    TAP,
    Account,
    UnusableAccount,
    database_of,
    variables_of,
)
from many_accounts.deployment import Deployment
from many_accounts.meltano import Meltano, Outcome

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta

    from airflow.sdk import Context

SETTINGS, CREDENTIALS, LOCKED, PARTLY = 2, 3, 4, 5
"""Exit codes of the tap."""

FINAL = {SETTINGS, CREDENTIALS, LOCKED}
"""Those after which another try is of no use: a lock has had its waits by then."""

MOST_LOCKS = 6
MOST_WAITS = 240
"""A try comes back so often from a lock, and from another run of the account."""


@contextmanager
def account_lock(name: str) -> Iterator[bool]:
    """Hold the lock of an account: it is in PostgreSQL, so it ends with this process.

    Meltano refuses a second run of a state as well, but looks and begins in two steps, and lets go
    while the models are built.

    Args:
        name: The schema of the account's tables.

    Yields:
        Whether it was free.
    """
    place = database_of(BaseHook.get_connection(MELTANO_DATABASE))
    # Both sides notice within two minutes that the other one's machine is gone.
    alive = "-c tcp_keepalives_idle=60 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=6"
    with psycopg.connect(**place, autocommit=True, keepalives_idle=60, options=alive) as database:
        found = database.execute("select pg_try_advisory_lock(hashtextextended(%s, 0))", [name])
        ((is_free,),) = found.fetchall()
        yield is_free


class MeltanoRun(BaseOperator):
    """Loads one account, and builds its models.

    Args:
        account: An entry of the list of accounts.
    """

    template_fields = ("account",)

    def __init__(self, *, account: dict[str, t.Any], **arguments: t.Any) -> None:  # noqa: ANN401
        super().__init__(**arguments)
        self.account = account
        self._meltano: Meltano | None = None
        self._is_ending = False

    def execute(self, context: Context) -> None:
        """Run once.

        Raises:
            AirflowFailException: Trying again is of no use: settings or credentials.
            AirflowException: It may be of use.
            TaskDeferred: The account is locked or busy; no worker is held until then.
        """
        self.come_back(context)

    def come_back(
        self,
        context: Context,  # noqa: ARG002 - Airflow hands it over, as the next
        event: object = None,  # noqa: ARG002
        locks: int = 0,
        waits: int = 0,
    ) -> None:
        """Run, after so many locks and waits of this try."""
        deployment = Deployment.from_environment()
        try:
            account = Account.of(self.account)
            variables = variables_of(account, deployment)
        except UnusableAccount as error:
            raise AirflowFailException(str(error)) from None
        self._meltano = Meltano(deployment, account.schema, variables, self.log)
        if self._is_ending:
            self._meltano.end()
        with account_lock(account.schema) as is_free:
            if is_free:
                outcome = _load(account, deployment, self._meltano)
            else:
                outcome = Outcome(is_busy=True, other_line="another run has not ended")
        if outcome.is_success:
            return
        why = f"{account.name}: {outcome.why}"
        if outcome.is_busy and waits < MOST_WAITS:
            self.log.warning("Another run of %s is under way: coming back after it", account.name)
            self._defer(deployment.busy_wait, locks, waits + 1)
        if outcome.tap_code == LOCKED and locks < MOST_LOCKS:
            self.log.warning("%s: coming back in %s", why, deployment.lock_wait)
            self._defer(deployment.lock_wait, locks + 1, waits)
        if outcome.tap_code in FINAL or outcome.is_refused:
            raise AirflowFailException(why)
        raise AirflowException(why)

    def on_kill(self) -> None:
        """End Meltano, also if it is not there yet."""
        self._is_ending = True
        if self._meltano:
            self._meltano.end()

    def _defer(self, wait: timedelta, locks: int, waits: int) -> None:
        self.defer(
            trigger=TimeDeltaTrigger(wait),
            method_name="come_back",
            kwargs={"locks": locks, "waits": waits},
        )


def _load(account: Account, deployment: Deployment, meltano: Meltano) -> Outcome:
    builds = ["dbt:build"] if account.models and deployment.models else []
    state = f"--state-id-suffix={account.state}"
    outcome = meltano("run", state, TAP, deployment.target, *builds)
    if builds and outcome.tap_code == PARTLY:
        # All but a few lists was delivered, and Meltano stopped before the models.
        meltano("run", *builds)
    return outcome
