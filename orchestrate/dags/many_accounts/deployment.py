"""What differs from one installation to another: environment variables of scheduler and workers."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

if t.TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "ZOHO_CAMPAIGNS_"
ROOT = Path(__file__).resolve().parent.parent.parent.parent


@dataclass(frozen=True)
class Deployment:
    """An installation; each field is set by ZOHO_CAMPAIGNS_ and its name in capitals."""

    project: Path = ROOT
    """The Meltano project; the same path on each worker."""
    meltano: str = "meltano"
    """The program."""
    environment: str = "prod"
    """The environment of the Meltano project."""
    target: str = "target-postgres"
    """The loader."""
    models: bool = True
    """Whether the utility `dbt` builds the models after each load."""
    accounts: Path = ROOT / "orchestrate" / "accounts.json"
    """The list of accounts; if it does not exist: the Variable `zoho_campaigns_accounts`."""
    shared_limits: bool = True
    """Whether calls are counted in the Redis of the connection, for all workers together."""
    schedule: str = "0 3 * * *"
    """When the nightly run begins: a cron expression, or a preset such as @daily; empty: never."""
    pool: str = "zoho_campaigns"
    """The pool that bounds how many accounts run at once."""
    retries: int = 3
    """How often a failed account is tried again; waits for a lock are not counted."""
    retry_delay: timedelta = timedelta(minutes=10)
    """The wait before that; in the variable, seconds, like the next three."""
    lock_wait: timedelta = timedelta(minutes=31)
    """The wait after a lock: Zoho's half hour, and a minute."""
    busy_wait: timedelta = timedelta(minutes=1)
    """The wait while another run of the account is under way."""
    stale_after: timedelta = timedelta(hours=26)
    """An account without a successful run for so long is stale."""

    @classmethod
    def from_environment(cls, variables: Mapping[str, str] = os.environ) -> t.Self:
        """Read the variables.

        Raises:
            ValueError: A variable holds no number where one is needed.
        """
        defaults = cls()
        given: dict[str, t.Any] = {}
        for name, default in vars(defaults).items():
            text = variables.get(PREFIX + name.upper())
            if text is None:
                continue
            if isinstance(default, bool):
                given[name] = text.lower() in {"1", "true", "yes"}
            elif isinstance(default, timedelta):
                given[name] = timedelta(seconds=float(text))
            else:
                given[name] = type(default)(text)
        return cls(**given)
