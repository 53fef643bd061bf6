"""Airflow with the project's DAGs, and what a deployment of many accounts consists of beside it."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import shutil
import subprocess
import typing as t

from support.documents import ROOT
from support.project import new_project
from support.two_runs import TABLES
from support.warehouse import VENVS, lists

if t.TYPE_CHECKING:
    from pathlib import Path

    from sandbox import Sandbox
    from support.warehouse import Postgres, Record

TIMEOUT_S = 600
ADDRESS = re.compile(r"[\w.+-]+(?:@|%40)mail\d\.example", re.IGNORECASE)
DAGS = ROOT / "orchestrate/dags"
WAREHOUSE_PASSWORD = "s3cret-of-warehouse"
MELTANO_PASSWORD = "s3cret-of-meltano"


def install_project(folder: Path) -> Path:
    """Make a Meltano project with the tap, a loader and the models; return its folder."""
    folder.mkdir()
    project = new_project(folder)
    definition = folder / "meltano.yml"
    text = definition.read_text(encoding="utf-8")
    definition.write_text(text.replace(f"pip_url: {ROOT}\n", f"pip_url: {ROOT}[redis]\n"))
    (folder / "transform").symlink_to(ROOT / "transform")
    project.succeed("install", "tap-zoho-campaigns-recipients", "target-postgres", "dbt")
    return folder


def make_databases(postgres: Postgres, *names: str) -> None:
    """Make databases in a server."""
    for name in names:
        subprocess.run(
            [
                f"{postgres.programs}/psql",
                "-X",
                "-q",
                "-c",
                f"create database {name}",
                postgres.uri,
            ],
            check=True,
        )


def in_database(postgres: Postgres, name: str) -> Postgres:
    """Return the server with another of its databases."""
    return postgres._replace(
        uri=postgres.uri.replace("/postgres?", f"/{name}?"),
        loader_uri=postgres.loader_uri.replace("/postgres?", f"/{name}?"),
    )


class Airflow:
    """An installation of Airflow, with folder, environment, accounts and connections of its own.

    Args:
        folder: Where it keeps what it makes.
        project: The Meltano project.
        postgres: The server with Meltano's database and the warehouse.
        **variables: More of its environment.
    """

    def __init__(self, folder: Path, project: Path, postgres: Postgres, **variables: str) -> None:
        """Run nothing yet."""
        self.folder = folder
        self.postgres = postgres
        self.warehouse = in_database(postgres, "warehouse")
        self.meltano = in_database(postgres, "meltano")
        programs = VENVS / "airflow/bin"
        ours = ("AIRFLOW", "TAP_", "TARGET_", "MELTANO_", "DBT_", "ZOHO_CAMPAIGNS_")
        kept = {name: text for name, text in os.environ.items() if not name.startswith(ours)}
        self.environment = {
            **kept,
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "PATH": f"{programs}:{os.environ['PATH']}",
            "NO_COLOR": "1",
            "AIRFLOW_HOME": str(folder),
            "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(os.urandom(32)).decode(),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder}/airflow.db",
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(32),
            "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "0",
            "ZOHO_CAMPAIGNS_PROJECT": str(project),
            "ZOHO_CAMPAIGNS_MELTANO": str(VENVS / "meltano/bin/meltano"),
            **variables,
        }

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the command line program."""
        return self._run("airflow", *words)

    def shell(self, lines: str) -> subprocess.CompletedProcess[str]:
        """Run documented lines."""
        return self._run("bash", "-euo", "pipefail", "-c", lines)

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [shutil.which(words[0], path=self.environment["PATH"]) or words[0], *words[1:]],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )

    def succeed(self, *words: str) -> str:
        """Run it, see it succeed, and return what it printed."""
        done = self(*words)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    def set_up(
        self,
        accounts: dict[str, Sandbox],
        settings: dict[str, dict[str, t.Any]],
        credentials: dict[str, dict[str, t.Any]],
        **connections: dict[str, t.Any],
    ) -> None:
        """Tell Airflow what an operator tells it.

        Args:
            accounts: The sandbox of each account, by its name.
            settings: What is different in an account's entry of the list.
            credentials: What is different in an account's connection.
            **connections: More connections.
        """
        place = {"conn_type": "postgres", "host": self.postgres.folder, "login": "postgres"}
        entries = {
            "zoho_campaigns_warehouse": place
            | {"schema": "warehouse", "password": WAREHOUSE_PASSWORD},
            "zoho_campaigns_meltano": place | {"schema": "meltano", "password": MELTANO_PASSWORD},
            **connections,
        }
        for name, zoho in accounts.items():
            account = zoho.account
            entries[f"zoho_campaigns_{name}"] = {
                "conn_type": "generic",
                "login": account.client_id,
                "password": account.client_secret,
                "extra": json.dumps({"refresh_token": account.refresh_token}),
            } | credentials.get(name, {})
        listed = []
        for name, zoho in accounts.items():
            config = {
                "api_url": zoho.url,
                "accounts_url": zoho.url,
                "account_timezone": zoho.account.timezone,
            }
            own = settings.get(name, {})
            listed.append({"name": name} | own | {"config": config | own.get("config", {})})
        for what, text in (
            ("connections", entries),
            ("variables", {"zoho_campaigns_accounts": listed}),
        ):
            path = self.folder / f"{what}.json"
            path.write_text(json.dumps(text))
            self.succeed(what, "import", str(path))
            path.unlink()

    def tables(self, schema: str) -> dict[str, list[Record]]:
        """Return what the tables of lists and events of an account hold."""
        return lists(
            self.warehouse, {stream: f"select * from {schema}.{stream}" for stream in TABLES}
        )

    def models(self, name: str) -> int:
        """Return how many campaigns the models of an account show."""
        table = f"analytics_{name}.zoho_campaigns__campaigns"
        ((number,),) = (
            row.values() for row in self.warehouse.rows(f"select count(*) from {table}")
        )
        return int(number)

    def written(self) -> dict[str, str]:
        """Return each file that Airflow, Meltano and the programs under them have written."""
        return {
            str(path): path.read_bytes().decode(errors="replace")
            for path in self.folder.rglob("*")
            if path.is_file() and path.suffix not in {".db", ".pyc"}
        }


def assert_nothing_leaked(texts: dict[str, str], accounts: dict[str, Sandbox], *more: str) -> None:
    """See that no text holds a secret, or an address of a contact.

    Args:
        texts: What was written, by where.
        accounts: The sandbox of each account.
        *more: More secrets.
    """
    secrets_of_all = {WAREHOUSE_PASSWORD, MELTANO_PASSWORD, *more}.union(
        *({each.account.client_secret, each.account.refresh_token} for each in accounts.values())
    )
    assert texts
    for where, text in texts.items():
        assert not ADDRESS.search(text), where
        for secret in secrets_of_all:
            assert secret not in text, where
