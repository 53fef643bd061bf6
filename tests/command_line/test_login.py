"""From nothing to credentials: `tap-zoho-campaigns-recipients-login`."""

from __future__ import annotations

import os
import re
import select
import shlex
import stat
import subprocess
import sys
import sysconfig
import termios
import typing as t

import pytest
from click.testing import CliRunner
from dotenv import dotenv_values

from sandbox import Account, Sandbox, make_account
from support.documents import code, read
from support.project import new_project
from support.tap_runs import LISTING
from support.warehouse import VENVS
from tap_zoho_campaigns_recipients.login import main

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

PREFIX = "TAP_ZOHO_CAMPAIGNS_RECIPIENTS_"
LOGIN = [sys.executable, "-m", "tap_zoho_campaigns_recipients.login"]
# Makes the terminal the one that Ctrl-C reaches the program from, as a login shell's is.
CONTROLLED = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "os.execvp(sys.argv[1], sys.argv[1:])"
)
CTRL_C, CTRL_D = "\x03", "\x04"
TIMEOUT_S = 60


@pytest.fixture
def zoho() -> Iterator[Sandbox]:
    """Three campaigns."""
    with Sandbox(make_account(3, recipients=5)) as it:
        yield it


def hosts(zoho: Sandbox) -> list[str]:
    return ["--api-url", zoho.url, "--accounts-url", zoho.url]


def environment(**variables: str) -> dict[str, str]:
    """This process's environment, but nothing of the tap's or of Meltano's in it."""
    ours = ("TAP_", "TARGET_", "MELTANO_")
    kept = {name: text for name, text in os.environ.items() if not name.startswith(ours)}
    # From a checkout that is not installed the tap is found here.
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))} | variables


def in_shell(lines: str, folder: Path, **variables: str) -> str:
    """Run lines in a folder, and see them succeed; return what they logged."""
    done = subprocess.run(
        ["bash", "-c", lines],
        env=environment(**variables),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def entries(path: Path) -> dict[str, str | None]:
    """An .env file's entries for the tap, without the prefix."""
    return {
        name.removeprefix(PREFIX).lower(): value
        for name, value in dotenv_values(path).items()
        if name.startswith(PREFIX)
    }


def granted(zoho: Sandbox, **more: str) -> dict[str, str | None]:
    """The entries that a login at the sandbox ends in."""
    account = zoho.account
    return {
        "client_id": account.client_id,
        "client_secret": account.client_secret,
        "refresh_token": account.refresh_token,
        "data_center": "com",
        "api_url": zoho.url,
        "accounts_url": zoho.url,
        **more,
    }


def assert_hidden(account: Account, text: str) -> None:
    """No text has a secret of the account."""
    secrets = [account.client_secret, account.grant_code, account.refresh_token, "access-token"]
    assert [secret for secret in secrets if secret in text] == []


def assert_good(folder: Path, before: str = "") -> None:
    """The tap can log in with what it finds in a folder, after a line of shell."""
    tap = f"{shlex.quote(sys.executable)} -m tap_zoho_campaigns_recipients"
    said = in_shell(f"{before}\n{tap} --config=ENV --test", folder)
    assert "Credentials, scope and data center are right" in said


# On a terminal


class Terminal:
    """A program on a pseudo-terminal of its own, as a person uses it."""

    def __init__(self, command: list[str], folder: Path, **variables: str) -> None:
        self._master, slave = os.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-c", CONTROLLED, *command],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=folder,
            env=environment(**variables),
            start_new_session=True,
        )
        os.close(slave)
        self._seen = 0
        self.screen = ""
        """All that it showed so far."""

    def __enter__(self) -> t.Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._master)

    def wait_for(self, text: str) -> None:
        """Read until it shows a text that it has not shown before."""
        while text not in self.screen[self._seen :]:
            assert self._read(), self.screen
        self._seen = self.screen.index(text, self._seen) + len(text)

    def enter(self, text: str) -> None:
        """Type a line."""
        self.press(text + "\n")

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._master, keys.encode())

    def answer(self, **answers: str) -> None:
        """Answer each question when it is asked, in this order."""
        for question, text in answers.items():
            self.wait_for(f"{question.replace('_', ' ')}: ")
            self.enter(text)

    def end(self) -> int:
        """Read until it ends; return its exit code."""
        while self._read():
            pass
        return self._process.wait(TIMEOUT_S)

    def echoes(self) -> bool:
        """Whether it shows what is typed."""
        return bool(termios.tcgetattr(self._master)[3] & termios.ECHO)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._master], [], [], TIMEOUT_S)
        assert ready, self.screen
        try:
            data = os.read(self._master, 65_536)
        except OSError:  # Linux says so that nobody is at the other end
            return False
        self.screen += data.decode().replace("\r\n", "\n")
        return bool(data)


def test_a_person_is_led_from_nothing_to_credentials(zoho: Sandbox, tmp_path: Path) -> None:
    """The login asks, exchanges the code, makes one call and writes .env; it shows no secret."""
    account = zoho.account
    with Terminal([*LOGIN, *hosts(zoho)], tmp_path) as terminal:
        terminal.answer(
            Client_ID=account.client_id,
            Client_secret=f"  {account.client_secret} ",
            Grant_code=account.grant_code,
        )
        assert terminal.end() == 0
    path = tmp_path / ".env"
    (zone,) = (line for line in terminal.screen.splitlines() if "wall clock" in line)
    assert re.fullmatch(
        r"The account's wall clock is UTC-0[45]:00( or UTC-0[45]:00)?, which fits "
        r"America/New_York\. Set account_timezone to have opens and clicks in UTC\.",
        zone,
    )
    assert (
        terminal.screen
        == f"""
1. Open the API console that belongs to {zoho.url} and choose Self Client.
   "Client Secret" shows the client ID and the client secret.
2. Under "Generate Code" enter this scope, choose ten minutes and any description:

   ZohoCampaigns.campaign.READ

3. Create the code. It can be used once, and only until it expires.
   What you enter here for secret and code is not shown.

Client ID: {account.client_id}
Client secret:\x20
Grant code:\x20

It works: 3 campaigns are visible at {zoho.url.removeprefix("http://")}.
{zone}
Written to .env, which only you can read: client_id, client_secret, refresh_token, data_center, \
api_url, accounts_url.
Keep it out of version control.

Meltano and the tap read .env in the folder they run in:

  tap-zoho-campaigns-recipients --config=ENV --test
"""
    )
    assert_hidden(account, terminal.screen)
    assert entries(path) == granted(zoho)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert names_in(tmp_path) == [".env"]
    assert [each.endpoint for each in zoho.requests] == ["token", LISTING]

    assert_good(tmp_path)


def test_the_data_center_chooses_the_console(tmp_path: Path) -> None:
    """The data center is chosen from a list, and the address of its own API console is shown.

    Ctrl-C where a secret is asked for ends cleanly, and gives the terminal its echo back.
    """
    with Terminal(LOGIN, tmp_path) as terminal:
        terminal.wait_for("  com     campaigns.zoho.com\n")
        terminal.wait_for("  ca      campaigns.zohocloud.ca\n")
        terminal.wait_for("Data center [com]: ")
        terminal.enter("us")
        terminal.wait_for("Error: 'us' is not one of 'com', 'eu', 'in',")
        terminal.answer(**{"Data center [com]": "ca"})
        terminal.wait_for("Open https://api-console.zohocloud.ca and choose Self Client.")
        terminal.answer(Client_ID="1000.ABC")
        terminal.wait_for("Client secret: ")
        assert not terminal.echoes()
        terminal.press(CTRL_C)
        assert terminal.end() == 1
        assert terminal.echoes()
    assert terminal.screen.endswith("\nError: Ended before anything was written\n")
    assert names_in(tmp_path) == []


def test_in_a_meltano_project(zoho: Sandbox, tmp_path: Path) -> None:
    """In a Meltano project, the login ends with the command that tests it there."""
    (tmp_path / "meltano.yml").write_text("")
    account = zoho.account
    with Terminal([*LOGIN, *hosts(zoho)], tmp_path) as terminal:
        terminal.answer(
            Client_ID=account.client_id,
            Client_secret=account.client_secret,
            Grant_code=account.grant_code,
        )
        assert terminal.end() == 0
    assert terminal.screen.endswith("\n\n  meltano invoke tap-zoho-campaigns-recipients --test\n")


def test_where_only_standard_output_is_a_terminal(zoho: Sandbox, tmp_path: Path) -> None:
    """Under `meltano invoke`, which takes standard error line by line, questions are seen."""
    account = zoho.account
    taken = ["sh", "-c", 'exec "$@" 2> taken', "sh", *LOGIN]
    with Terminal([*taken, *hosts(zoho)], tmp_path) as terminal:
        terminal.answer(
            Client_ID=account.client_id,
            Client_secret=account.client_secret,
            Grant_code=account.grant_code,
        )
        assert terminal.end() == 0
    assert_hidden(account, terminal.screen)
    assert entries(tmp_path / ".env") == granted(zoho)


def test_com_is_the_default(tmp_path: Path) -> None:
    """The data center is com where nothing is chosen; an end of input ends cleanly."""
    with Terminal(LOGIN, tmp_path) as terminal:
        terminal.answer(**{"Data center [com]": ""})
        terminal.wait_for("Open https://api-console.zoho.com and")
        terminal.wait_for("Client ID: ")
        terminal.press(CTRL_D)
        assert terminal.end() == 1
    assert terminal.screen.endswith("\nError: Ended before anything was written\n")


def test_ctrl_c_while_zoho_is_silent(zoho: Sandbox, tmp_path: Path) -> None:
    """Ctrl-C ends a request that hangs, without a traceback and without a file."""
    zoho.faults.add("slow", endpoint="token", seconds=5)
    account = zoho.account
    with Terminal([*LOGIN, *hosts(zoho), "--client-id", account.client_id], tmp_path) as terminal:
        zoho.before_request = lambda _: terminal.press(CTRL_C)
        terminal.answer(Client_secret=account.client_secret, Grant_code=account.grant_code)
        assert terminal.end() == 1
    assert terminal.screen.endswith("\nError: Ended before anything was written\n")
    assert "Traceback" not in terminal.screen
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("code", ('"invalid_code": the grant code has expired', "another data center")),
        ("client ID", ('"invalid_client": client_id is wrong', "another data_center")),
        ("client secret", ('"invalid_client_secret": client_secret is wrong',)),
        ("pace", ('"Access Denied"', "Wait half an hour, then generate a new code")),
        ("scope", ("1007", 'for the scope "ZohoCampaigns.contact.READ"')),
        ("data center", ("1007", "that data_center is the region of your account")),
    ],
)
def test_a_person_reads_what_is_wrong(
    zoho: Sandbox, tmp_path: Path, wrong: str, words: tuple[str, ...]
) -> None:
    """Each of Zoho's refusals is one line in words on the terminal, and no file is made."""
    account = zoho.account
    if wrong == "pace":
        zoho.switches.token_limit = 0
    if wrong == "scope":
        account.scope = "ZohoCampaigns.contact.READ"
    with Sandbox(Account()) as elsewhere:
        api = elsewhere if wrong == "data center" else zoho
        places = ["--api-url", api.url, "--accounts-url", zoho.url]
        with Terminal([*LOGIN, *places], tmp_path) as terminal:
            terminal.answer(
                Client_ID="1000.OTHER" if wrong == "client ID" else account.client_id,
                Client_secret="other-secret" if wrong == "client secret" else account.client_secret,
                Grant_code="1000.other-code" if wrong == "code" else account.grant_code,
            )
            assert terminal.end() == 1
    *_, line = terminal.screen.splitlines()
    assert line.startswith("Error: ")
    assert [each for each in words if each not in line] == []
    assert_hidden(account, terminal.screen)
    assert names_in(tmp_path) == []


def test_the_documented_login_at_the_sandbox(zoho: Sandbox, tmp_path: Path) -> None:
    """What the documents say for a login at the sandbox works as it stands."""
    line = code(read("docs/credentials.md"), "sandbox-login")
    assert line.count("http://127.0.0.1:8080") == 2
    line = line.replace("http://127.0.0.1:8080", zoho.url)
    line = line.replace("tap-zoho-campaigns-recipients-login", shlex.join(LOGIN))
    in_shell(line, tmp_path)
    assert entries(tmp_path / ".env") == granted(zoho)


def places_of(zoho: Sandbox, *more: str) -> dict[str, str]:
    """Variables that lead a login to a sandbox, and the PATH that has the login on it."""
    programs = [*more, sysconfig.get_path("scripts"), os.environ["PATH"]]
    return {
        f"{PREFIX}API_URL": zoho.url,
        f"{PREFIX}ACCOUNTS_URL": zoho.url,
        "PATH": os.pathsep.join(programs),
    }


def test_the_documented_login(zoho: Sandbox, tmp_path: Path) -> None:
    """The login asks, writes `.env`, and the documented test then succeeds."""
    account = zoho.account
    places = places_of(zoho)
    with Terminal(
        ["bash", "-c", code(read("docs/credentials.md"), "login")], tmp_path, **places
    ) as terminal:
        terminal.answer(
            Client_ID=account.client_id,
            Client_secret=account.client_secret,
            Grant_code=account.grant_code,
        )
        assert terminal.end() == 0
    assert entries(tmp_path / ".env") == granted(zoho)
    in_shell(code(read("docs/credentials.md"), "login-test"), tmp_path, PATH=places["PATH"])


def test_the_documented_login_in_a_meltano_project() -> None:
    """The login through Meltano is a line of what adds the tap to a project, which a test runs."""
    line = code(read("docs/credentials.md"), "login-meltano")
    assert line in code(read("docs/meltano.md"), "meltano-add").splitlines()


def test_the_documented_login_at_the_sandbox_asks(zoho: Sandbox, tmp_path: Path) -> None:
    """At a terminal, the login at the sandbox asks for what the page shows."""
    account = zoho.account
    line = code(read("docs/credentials.md"), "login-at-sandbox")
    line = line.replace("http://127.0.0.1:8080", zoho.url)
    page = read("docs/credentials.md")
    for text in (account.client_id, account.client_secret, account.grant_code):
        assert f"`{text}`" in page
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    with Terminal(["bash", "-c", line], tmp_path, PATH=path) as terminal:
        terminal.answer(
            Client_ID=account.client_id,
            Client_secret=account.client_secret,
            Grant_code=account.grant_code,
        )
        assert terminal.end() == 0
    assert entries(tmp_path / ".env") == granted(zoho)


def test_the_documented_commands_for_meltano(zoho: Sandbox, tmp_path: Path) -> None:
    """`--meltano | sh` asks at the terminal and calls Meltano for each of the four settings."""
    account = zoho.account
    program = tmp_path / "bin" / "meltano"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\ncat > /dev/null\necho "$@" >> {tmp_path}/called\n')
    program.chmod(0o755)
    line = code(read("docs/credentials.md"), "login-shell")
    with Terminal(
        ["bash", "-c", line], tmp_path, **places_of(zoho, str(program.parent))
    ) as terminal:
        terminal.answer(
            Client_ID=account.client_id,
            Client_secret=account.client_secret,
            Grant_code=account.grant_code,
        )
        assert terminal.end() == 0
    assert_hidden(account, terminal.screen)
    called = (tmp_path / "called").read_text()
    for name in ("client_id", "client_secret", "refresh_token", "data_center"):
        assert f" {name}" in called


def test_the_documented_login_without_a_terminal(zoho: Sandbox, tmp_path: Path) -> None:
    """Secret and code come on standard input, all else from options."""
    account = zoho.account
    line = code(read("docs/credentials.md"), "login-no-terminal")
    assert "1000.ABC…" in line
    variables = {"secret": account.client_secret, "code": account.grant_code}
    in_shell(line.replace("1000.ABC…", account.client_id), tmp_path, **places_of(zoho), **variables)
    assert entries(tmp_path / ".env") == granted(zoho, data_center="eu")


@pytest.mark.parametrize("reply", ["y", "n"])
def test_entries_are_replaced_only_when_a_person_agrees(
    zoho: Sandbox, tmp_path: Path, reply: str
) -> None:
    """Entries of the same names are replaced after asking, and before a code is spent."""
    path = tmp_path / "mine.env"
    before = f"{PREFIX}CLIENT_ID=old\n{PREFIX}REFRESH_TOKEN='old too'\n{PREFIX}DATA_CENTER=com\n"
    path.write_text(before)
    account = zoho.account
    with Terminal([*LOGIN, *hosts(zoho), "--env-file", "mine.env"], tmp_path) as terminal:
        terminal.wait_for(
            f"mine.env has {PREFIX}CLIENT_ID, {PREFIX}REFRESH_TOKEN already. Replace? [y/N]: "
        )
        terminal.enter(reply)
        if reply == "n":
            assert terminal.end() == 1
            assert terminal.screen.endswith("\nError: Ended before anything was written\n")
            assert path.read_text() == before
            return
        terminal.answer(
            Client_ID=account.client_id,
            Client_secret=account.client_secret,
            Grant_code=account.grant_code,
        )
        assert terminal.end() == 0
    assert entries(path) == granted(zoho)


def test_commands_with_secrets_are_not_shown(zoho: Sandbox, tmp_path: Path) -> None:
    """`--meltano` refuses to print secrets on a terminal, before it asks for anything."""
    with Terminal([*LOGIN, *hosts(zoho), "--meltano"], tmp_path) as terminal:
        assert terminal.end() == 1
    assert terminal.screen.startswith("Error: The commands hold secrets, so they are not shown")
    assert zoho.requests == []


def test_meltano_takes_the_commands(zoho: Sandbox, tmp_path: Path) -> None:
    """Meltano takes what `--meltano` prints, and keeps a secret in its own .env.

    The terminal shows the questions and no secret.
    """
    new_project(tmp_path)
    account = zoho.account
    # One of the commands stands for all: Meltano needs seconds for each.
    command = f"{shlex.join([*LOGIN, *hosts(zoho), '--meltano'])} | grep refresh_token | sh"
    with Terminal(
        ["sh", "-c", command],
        tmp_path,
        PATH=f"{VENVS / 'meltano/bin'}{os.pathsep}{os.environ['PATH']}",
        MELTANO_SEND_ANONYMOUS_USAGE_STATS="0",
    ) as terminal:
        terminal.answer(
            Client_ID=account.client_id,
            Client_secret=account.client_secret,
            Grant_code=account.grant_code,
        )
        assert terminal.end() == 0
    assert_hidden(account, terminal.screen)
    assert entries(tmp_path / ".env") == {"refresh_token": account.refresh_token}


# Without one


def login(zoho: Sandbox, folder: Path, *arguments: str, **changes: str | None) -> Result:
    """Log in without a terminal.

    Args:
        zoho: Where.
        folder: The file `.env` is in it.
        *arguments: More of the command line.
        **changes: Variables that differ from the account's, without the prefix.
    """
    account = zoho.account
    variables = {
        "CLIENT_ID": account.client_id,
        "CLIENT_SECRET": account.client_secret,
        "GRANT_CODE": account.grant_code,
        "API_URL": zoho.url,
        "ACCOUNTS_URL": zoho.url,
        "RETRY_WAIT": "0",
        **changes,
    }
    result = CliRunner().invoke(
        main,
        ["--env-file", str(folder / ".env"), *arguments],
        env={PREFIX + name: text for name, text in variables.items()},
        input=changes.get("stdin"),
    )
    assert "Traceback" not in result.output
    return result


def refusal(zoho: Sandbox, folder: Path, *arguments: str, **changes: str | None) -> str:
    """The line that a login fails with; no secret is in it, and no file is made."""
    result = login(zoho, folder, *arguments, **changes)
    assert isinstance(result.exception, SystemExit)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert_hidden(zoho.account, result.output)
    assert not (folder / ".env").exists()
    line = result.stderr.splitlines()[-1]
    assert line.startswith("Error: ")
    return line.removeprefix("Error: ").replace(zoho.url.removeprefix("http://"), "HOST")


def test_everything_from_the_environment(zoho: Sandbox, tmp_path: Path) -> None:
    """Without a terminal everything can come from environment variables."""
    result = login(zoho, tmp_path, DATA_CENTER="eu")
    assert result.exit_code == 0, result.output
    assert_hidden(zoho.account, result.output)
    assert entries(tmp_path / ".env") == granted(zoho, data_center="eu")
    assert [each.endpoint for each in zoho.requests] == ["token", LISTING]


def test_options_and_standard_input(zoho: Sandbox, tmp_path: Path) -> None:
    """The client ID can be an option, and the secrets can come on standard input, a line each."""
    account = zoho.account
    result = login(
        zoho,
        tmp_path,
        *("--client-id", account.client_id, "--data-center", "com", "--secrets-stdin"),
        CLIENT_ID=None,
        CLIENT_SECRET=None,
        GRANT_CODE="",
        stdin=f"{account.client_secret}\n{account.grant_code}\n",
    )
    assert result.exit_code == 0, result.output
    assert entries(tmp_path / ".env") == granted(zoho)


def test_secrets_have_no_options() -> None:
    """The help says why the secrets are not options, and what to do instead."""
    text = " ".join(CliRunner().invoke(main, ["--help"]).output.split())
    assert "every user of a machine can read the command lines of all" in text
    assert f"{PREFIX}CLIENT_SECRET and {PREFIX}GRANT_CODE, or use --secrets-stdin" in text
    options = {each for option in main.params for each in option.opts}
    assert not options & {"--client-secret", "--grant-code", "--code", "--refresh-token"}


@pytest.mark.parametrize(
    ("missing", "line"),
    [
        ("CLIENT_ID", f"No client_id was given: set {PREFIX}CLIENT_ID, or use --client-id"),
        (
            "CLIENT_SECRET",
            f"No client_secret was given: set {PREFIX}CLIENT_SECRET, or use --secrets-stdin",
        ),
        ("GRANT_CODE", f"No grant_code was given: set {PREFIX}GRANT_CODE, or use --secrets-stdin"),
    ],
)
@pytest.mark.parametrize("arguments", [[], ["--secrets-stdin"]])
def test_what_is_missing_is_named(
    zoho: Sandbox, tmp_path: Path, missing: str, line: str, arguments: list[str]
) -> None:
    """Without a terminal nothing is asked for: what is missing is named, and how to give it."""
    assert refusal(zoho, tmp_path, *arguments, **{missing: " "}) == line
    assert zoho.requests == []


def test_meltano_commands(zoho: Sandbox, tmp_path: Path) -> None:
    """`--meltano` prints commands and writes no file; no secret is an argument of a program."""
    zoho.account.client_secret = "it's $(not) a command"
    result = login(zoho, tmp_path, "--meltano")
    assert result.exit_code == 0, result.output
    program = tmp_path / "meltano"
    program.write_text('#!/bin/sh\necho "$@"\nif [ "$3" = --from-file ]; then cat; echo; fi\n')
    program.chmod(0o755)
    done = subprocess.run(
        ["sh"],
        input=result.stdout,
        env={"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
        timeout=TIMEOUT_S,
    )
    tap = "tap-zoho-campaigns-recipients"
    account = zoho.account
    assert done.stdout.splitlines()[:6] == [
        f"config set {tap} client_id {account.client_id}",
        f"config set --from-file - {tap} client_secret",
        account.client_secret,
        f"config set --from-file - {tap} refresh_token",
        account.refresh_token,
        f"config set {tap} data_center com",
    ]
    assert names_in(tmp_path) == ["meltano"]


# The file


def test_other_entries_and_comments_stay(zoho: Sandbox, tmp_path: Path) -> None:
    """What else is in the file stays as it is, to the byte; blank entries are filled in."""
    path = tmp_path / ".env"
    before = (
        b"# caf\xe9\r\nOTHER = 'two\n"
        + f"{PREFIX}CLIENT_ID=not an entry'  # but a part of one\n\n\n".encode()
        + f"export {PREFIX}CLIENT_ID=\n".encode()
        + f"{PREFIX}PAGE_SIZE=100\r\n{PREFIX}REFRESH_TOKEN=''\r\n# the end".encode()
    )
    path.write_bytes(before)
    path.chmod(0o644)
    assert login(zoho, tmp_path).exit_code == 0
    account = zoho.account
    assert path.read_bytes() == (
        before.replace(b"CLIENT_ID=\n", f"CLIENT_ID={account.client_id}\n".encode()).replace(
            b"TOKEN=''", f"TOKEN={account.refresh_token}".encode()
        )
        + f"\n{PREFIX}CLIENT_SECRET={account.client_secret}\n{PREFIX}DATA_CENTER=com\n".encode()
        + f"{PREFIX}API_URL={zoho.url}\n{PREFIX}ACCOUNTS_URL={zoho.url}\n".encode()
    )
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_with_a_byte_order_mark(zoho: Sandbox, tmp_path: Path) -> None:
    """A file of Windows tools is read past its mark, and written without."""
    path = tmp_path / ".env"
    path.write_bytes(f"\ufeff{PREFIX}CLIENT_ID=\n".encode())
    assert login(zoho, tmp_path).exit_code == 0
    assert path.read_text().startswith(f"{PREFIX}CLIENT_ID={zoho.account.client_id}\n")


def test_one_host_without_the_other(
    zoho: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With only one of the two hosts, the login says which one is used beside it."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # nothing is sent to Zoho
    refused = login(zoho, tmp_path, ACCOUNTS_URL="")
    assert refused.exit_code == 1
    assert "accounts_url is not given: https://accounts.zoho.com is used beside api_url." in (
        refused.stderr
    )


def test_no_campaign_is_visible(tmp_path: Path) -> None:
    """Where no campaign is visible, the login says what to check."""
    with Sandbox(Account()) as zoho:
        done = login(zoho, tmp_path)
    assert done.exit_code == 0
    assert "no campaigns are visible at" in done.stderr
    assert (
        "If the account has campaigns, check the data center, and that this user may see them."
    ) in done.stderr


def test_a_file_elsewhere(zoho: Sandbox, tmp_path: Path) -> None:
    """For a file that neither Meltano nor the tap would find, a line for the shell is shown."""
    folder = tmp_path / "it's here"
    folder.mkdir()
    (line,) = re.findall(r"^  (set -a; .*)$", login(zoho, folder).stderr, re.MULTILINE)
    assert_good(tmp_path, line)


def test_a_copy_of_the_example_is_filled_in(zoho: Sandbox, tmp_path: Path) -> None:
    """A copy of .env.example has nothing to replace, and is good with the login's entries."""
    (tmp_path / ".env").write_text(read(".env.example"), encoding="utf-8")
    assert login(zoho, tmp_path).exit_code == 0
    assert entries(tmp_path / ".env") == granted(zoho)


def test_entries_are_replaced_on_request_only(zoho: Sandbox, tmp_path: Path) -> None:
    """Without a terminal, entries of the same names stay unless `--replace` is given.

    That is known before a code is spent. An entry that comes twice has one successor.
    """
    path = tmp_path / ".env"
    before = f"{PREFIX}CLIENT_ID=old\n# mine\n{PREFIX}CLIENT_ID=older\n{PREFIX}DATA_CENTER=eu\n"
    path.write_text(before)
    result = login(zoho, tmp_path)
    assert result.exit_code == 1
    assert result.stderr == (
        f"Error: {path} has {PREFIX}CLIENT_ID, {PREFIX}DATA_CENTER already. Choose --replace, or "
        "another --env-file\n"
    )
    assert zoho.requests == []
    assert path.read_text() == before
    assert login(zoho, tmp_path, "--replace").exit_code == 0
    first, comment, second, *_ = path.read_text().splitlines()
    assert first == f"{PREFIX}CLIENT_ID={zoho.account.client_id}"
    assert comment == "# mine"
    assert second == f"{PREFIX}DATA_CENTER=com"


def test_what_does_not_go_with_the_credentials_is_named(zoho: Sandbox, tmp_path: Path) -> None:
    """Another way to log in that the file holds is left there, and named."""
    path = tmp_path / ".env"
    path.write_text(f"{PREFIX}AUTH_TOKEN=legacy\n{PREFIX}ACCESS_TOKEN=\n")
    result = login(zoho, tmp_path)
    assert result.exit_code == 0
    assert (
        f"Take out of it what does not go with these credentials: {PREFIX}AUTH_TOKEN.\n"
        in result.stderr
    )
    assert path.read_text().startswith(f"{PREFIX}AUTH_TOKEN=legacy\n{PREFIX}ACCESS_TOKEN=\n")


def test_a_link_is_followed(zoho: Sandbox, tmp_path: Path) -> None:
    """Where the file is a link, the file that it leads to is written."""
    (tmp_path / "kept").mkdir()
    (tmp_path / ".env").symlink_to("kept/secrets.env")
    assert login(zoho, tmp_path).exit_code == 0
    assert (tmp_path / ".env").is_symlink()
    assert entries(tmp_path / "kept" / "secrets.env") == granted(zoho)
    assert names_in(tmp_path / "kept") == ["secrets.env"]


def test_a_secret_with_any_characters_is_written_as_it_is(zoho: Sandbox, tmp_path: Path) -> None:
    """What is written is what is read again, whatever characters a secret has."""
    secret = zoho.account.client_secret = r"""it's #1 \ "quoted" =x"""
    assert login(zoho, tmp_path).exit_code == 0
    assert entries(tmp_path / ".env") == granted(zoho, client_secret=secret)


def test_a_file_that_cannot_be_written(zoho: Sandbox, tmp_path: Path) -> None:
    """That the file cannot be written is said before a code is spent."""
    assert refusal(zoho, tmp_path / "gone") == (
        f"{tmp_path}/gone/.env cannot be written: its folder is not there, or is not yours"
    )
    assert zoho.requests == []


# What Zoho says


@pytest.mark.parametrize(
    ("account", "visible"),
    [
        (Account(), "no campaigns are"),
        (make_account(1, recipients=1), "1 campaign is"),
        (make_account(120, recipients=1), "120 campaigns are"),
    ],
)
def test_the_campaigns_are_counted(tmp_path: Path, account: Account, visible: str) -> None:
    """One call says how many campaigns are visible."""
    with Sandbox(account) as zoho:
        result = login(zoho, tmp_path)
        host = zoho.url.removeprefix("http://")
        assert f"It works: {visible} visible at {host}.\n" in result.stderr
        assert zoho.calls(LISTING) == 1


def test_the_campaigns_are_counted_as_far_as_one_call_shows_them(tmp_path: Path) -> None:
    """Where Zoho gives no total and the page is full, there may be more."""
    with Sandbox(make_account(120, recipients=1)) as zoho:
        zoho.switches.total_record_count = "absent"
        assert "It works: 100 or more campaigns are" in login(zoho, tmp_path).stderr


def test_a_code_that_was_used(zoho: Sandbox, tmp_path: Path) -> None:
    """A code that is used a second time is refused, with the reasons that there can be."""
    assert login(zoho, tmp_path, "--meltano").exit_code == 0
    assert refusal(zoho, tmp_path) == (
        'The accounts server HOST answered "invalid_code": the grant code has expired (it lives '
        "for three to ten minutes), was used already, or belongs to another data center. Generate "
        "a new one and run this again"
    )


def test_a_code_that_expired(zoho: Sandbox, tmp_path: Path) -> None:
    """A code that is too old is refused in the same words, and so is a wrong one."""
    assert "the grant code has expired" in refusal(zoho, tmp_path, GRANT_CODE="1000.wrong")
    zoho.advance(601)
    assert "the grant code has expired" in refusal(zoho, tmp_path)
    assert zoho.calls(LISTING) == 0


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("CLIENT_ID", '"invalid_client": client_id is wrong or belongs to another data_center'),
        ("CLIENT_SECRET", '"invalid_client_secret": client_secret is wrong'),
    ],
)
def test_a_wrong_client(zoho: Sandbox, tmp_path: Path, name: str, line: str) -> None:
    """A wrong client ID and a wrong client secret are named."""
    said = refusal(zoho, tmp_path, **{name: "1000.of-another"})
    assert said == f"The accounts server HOST answered {line}"


def test_too_many_tokens(zoho: Sandbox, tmp_path: Path) -> None:
    """Where too many tokens were asked for, the wait is named."""
    words = (
        ": too many codes and tokens were asked for. Wait half an hour, then generate a new code "
        "and run this again"
    )
    zoho.switches.token_limit = 0
    assert refusal(zoho, tmp_path) == (
        'The accounts server HOST answered "Access Denied" ("You have made too many requests '
        f'continuously. Please try again after some time."){words}'
    )
    zoho.faults.add("http", endpoint="token", status=429)
    assert refusal(zoho, tmp_path) == (
        f"The accounts server HOST answered HTTP 429 with no JSON{words}"
    )


def test_a_client_of_another_kind(zoho: Sandbox, tmp_path: Path) -> None:
    """A client that is no self client is refused, or gets no refresh token: both are explained."""
    zoho.faults.add("body", endpoint="token", body=b'{"error": "invalid_redirect_uri"}')
    assert refusal(zoho, tmp_path) == (
        'The accounts server HOST answered "invalid_redirect_uri": this is no self client. Choose '
        "Self Client in the API console"
    )
    zoho.faults.add("body", endpoint="token", body=b'{"access_token": "1000.access-token"}')
    assert refusal(zoho, tmp_path) == (
        "Zoho gave an access token but no refresh token: the code was not made by a self client. "
        "Choose Self Client in the API console, and generate the code there"
    )
    assert zoho.calls(LISTING) == 0


def test_a_refusal_of_another_kind(zoho: Sandbox, tmp_path: Path) -> None:
    """Any other refusal is quoted with what there is to check, without a secret in it."""
    secret = zoho.account.client_secret
    body = f'{{"error": "general_error", "error_description": "{secret} \\u001b[2J"}}'
    zoho.faults.add("body", endpoint="token", body=body.encode())
    assert refusal(zoho, tmp_path) == (
        'The accounts server HOST answered "general_error" ("******** [2J"): check client ID, '
        "client secret, code and data center"
    )


@pytest.mark.parametrize(
    "token", ["1000.x\\nTAP_ZOHO_CAMPAIGNS_RECIPIENTS_API_URL=https://elsewhere", "1000.\\u00e9"]
)
def test_a_token_that_cannot_be_one(zoho: Sandbox, tmp_path: Path, token: str) -> None:
    """A refresh token that would not stay on its line of the file is refused."""
    body = f'{{"access_token": "1000.a", "refresh_token": "{token}"}}'
    zoho.faults.add("body", endpoint="token", body=body.encode())
    assert refusal(zoho, tmp_path) == "refresh_token must be printable ASCII on one line"


def test_a_wrong_scope(zoho: Sandbox, tmp_path: Path) -> None:
    """Where the token is refused, both the scope needed and the one there is are named."""
    zoho.account.scope = "ZohoCampaigns.contact.READ"
    assert refusal(zoho, tmp_path) == (
        'Zoho answered recentcampaigns with code 1007: "Unauthorized request.". Check that the '
        "token has the scope ZohoCampaigns.campaign.READ, that data_center is the region of your "
        "account, and that the token was not revoked. Zoho made this one for the scope "
        '"ZohoCampaigns.contact.READ". The code is used up: generate a new one to try again'
    )
    assert zoho.calls(LISTING) == 1


def test_an_accounts_server_that_cannot_be_reached(zoho: Sandbox, tmp_path: Path) -> None:
    """Where no connection comes about, the network and the address are named."""
    assert refusal(zoho, tmp_path, ACCOUNTS_URL="http://127.0.0.1:9") == (
        "The accounts server 127.0.0.1:9 gave no token: The server could not be reached, or closed "
        "the connection. Check the network and accounts_url, or run again later"
    )


@pytest.mark.parametrize("fault", ["reset", "500", "html", "cut"])
def test_an_accounts_server_that_has_trouble(zoho: Sandbox, tmp_path: Path, fault: str) -> None:
    """A code can be used once, so the exchange is not tried again by itself."""
    zoho.faults.add(fault, endpoint="token")
    said = refusal(zoho, tmp_path)
    assert said.startswith("The accounts server HOST ")
    assert said.endswith("Check the network and accounts_url, or run again later")
    assert zoho.calls("token") == 1


def test_trouble_of_the_api_is_tried_again(zoho: Sandbox, tmp_path: Path) -> None:
    """When the code is spent, trouble that passes does not cost the credentials."""
    zoho.faults.add("500", endpoint=LISTING)
    zoho.faults.add("reset", endpoint=LISTING)
    result = login(zoho, tmp_path)
    assert result.exit_code == 0, result.output
    assert "Trying recentcampaigns again in 0.0 s, try 2 failed: " in result.stderr
    assert entries(tmp_path / ".env") == granted(zoho)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("500", 'with HTTP 500: "'),
        ("reset", "closed the connection (recentcampaigns)"),
        ("html", "recentcampaigns answered with a page in HTML"),
        ("locked", "Zoho locks an endpoint for 30 minutes"),
        ("6607", "with code 6607: "),
    ],
)
def test_an_api_that_cannot_be_read(zoho: Sandbox, tmp_path: Path, fault: str, words: str) -> None:
    """Where the proof cannot be had nothing is written, for nobody knows what it would be worth."""
    zoho.faults.add(fault, endpoint=LISTING, times=9)
    said = refusal(zoho, tmp_path)
    assert words in said
    assert said.endswith(". The code is used up: generate a new one to try again")


def test_a_wrong_address(zoho: Sandbox, tmp_path: Path) -> None:
    """No secret goes to an address without encryption, except for this machine's own."""
    assert refusal(zoho, tmp_path, API_URL="http://campaigns.example", ACCOUNTS_URL="zoho") == (
        "api_url must be https: plain http is for loopback addresses only; accounts_url must be a "
        "scheme and a host, such as https://campaigns.zoho.com"
    )


def test_a_wrong_data_center(zoho: Sandbox, tmp_path: Path) -> None:
    """A data center that there is not is refused with those that there are."""
    result = login(zoho, tmp_path, DATA_CENTER="us")
    assert result.exit_code == 2
    assert "'us' is not one of 'com', 'eu', 'in', 'com.au', 'com.cn', 'jp', 'ca', 'sa'" in (
        " ".join(result.stderr.split())
    )
