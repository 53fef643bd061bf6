"""The way from nothing to credentials: `tap-zoho-campaigns-recipients-login`.

It leads through Zoho's self client, exchanges the grant code for a refresh token, proves with one
call of the API that all fits together, and only then writes anything.
"""

from __future__ import annotations

import logging
import os
import shlex
import sys
import typing as t
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import click

from tap_zoho_campaigns_recipients.settings import (
    JSON_SCHEMA,
    REGIONS,
    Settings,
    problems,
)
from tap_zoho_campaigns_recipients.singer.config import without_blanks
from tap_zoho_campaigns_recipients.singer.env_file import bindings, write_values
from tap_zoho_campaigns_recipients.singer.logs import SecretFilter, keep_secrets_out
from tap_zoho_campaigns_recipients.tap import TapZohoCampaignsRecipients
from tap_zoho_campaigns_recipients.zoho.account_offset import advice, observations
from tap_zoho_campaigns_recipients.zoho.auth import TOO_MANY_TOKENS, FixedAccessToken, request_token
from tap_zoho_campaigns_recipients.zoho.campaigns import LISTING_PAGE_ROWS, SENT_STATUS
from tap_zoho_campaigns_recipients.zoho.client import Client
from tap_zoho_campaigns_recipients.zoho.clock import Clock
from tap_zoho_campaigns_recipients.zoho.endpoints import Endpoint
from tap_zoho_campaigns_recipients.zoho.errors import TapError, TokenRefused, Unauthorized, quoted
from tap_zoho_campaigns_recipients.zoho.rate_limit.limiter import Limiter
from tap_zoho_campaigns_recipients.zoho.transport import Transport

if t.TYPE_CHECKING:
    from collections.abc import Mapping

SCOPE = "ZohoCampaigns.campaign.READ"
"""The only scope that the tap needs."""

TAP = TapZohoCampaignsRecipients.name
PREFIX = "TAP_ZOHO_CAMPAIGNS_RECIPIENTS_"

REFUSALS = {
    "invalid_code": "the grant code has expired (it lives for three to ten minutes), was used "
    "already, or belongs to another data center. Generate a new one and run this again",
    "invalid_redirect_uri": "this is no self client. Choose Self Client in the API console",
    TOO_MANY_TOKENS: "too many codes and tokens were asked for. Wait half an hour, then generate a "
    "new code and run this again",
}
"""What refusals of the accounts server mean for a grant code; `auth` knows those of a client.

From Zoho's page on self clients; the last as seen live: it takes up to half an hour to calm down.
"""

CLIENT_REFUSALS = {"invalid_client", "invalid_client_secret"}
"""The texts of `auth` fit these here too."""

USED_UP = "The code is used up: generate a new one to try again"

_KEPT = ("client_id", "client_secret", "refresh_token", "data_center")
_HOSTS = ("api_url", "accounts_url")

_say = partial(click.echo, err=True)
"""Standard output is for commands alone."""


def _setting(name: str, **more: t.Any) -> t.Callable[[t.Any], t.Any]:  # noqa: ANN401 - click's own
    """Return an option for one of the tap's settings."""
    schema = JSON_SCHEMA["properties"][name]
    return click.option(
        f"--{name.replace('_', '-')}",
        envvar=PREFIX + name.upper(),
        show_envvar=True,
        **{"help": schema["description"], **more},
    )


@click.command(context_settings={"max_content_width": 100})
@_setting(
    "data_center",
    type=click.Choice(list(REGIONS)),
    show_default="asked for, else com",
)
@_setting("client_id", help="OAuth client ID, from Zoho's API console.")
@click.option(
    "--secrets-stdin",
    is_flag=True,
    help="Read the client secret and the grant code from standard input, a line each.",
)
@click.option(
    "--env-file",
    type=click.Path(dir_okay=False, path_type=Path),
    default=".env",
    show_default=True,
    help="The file to write. Its other entries stay as they are.",
)
@click.option(
    "--replace", is_flag=True, help="Replace entries of the same names in the file without asking."
)
@click.option(
    "--meltano",
    is_flag=True,
    help="Instead of writing a file, print `meltano config set` commands for a shell to read: "
    "append `| sh`. They hold the secrets, so they are not shown on a terminal.",
)
@_setting("api_url")
@_setting("accounts_url")
@_setting("request_timeout", type=click.FloatRange(min=0, min_open=True))
@_setting("retry_wait", type=click.FloatRange(min=0))
def main(
    *,
    secrets_stdin: bool,
    env_file: Path,
    replace: bool,
    meltano: bool,
    **given: t.Any,  # noqa: ANN401 - the settings
) -> None:
    """Get credentials for Zoho Campaigns, prove that they work, and write them to a file.

    On a terminal it asks for what it needs and shows no secret. Without one, everything comes from
    options and environment variables. The client secret and the grant code have no options of their
    own, for every user of a machine can read the command lines of all: set
    TAP_ZOHO_CAMPAIGNS_RECIPIENTS_CLIENT_SECRET and TAP_ZOHO_CAMPAIGNS_RECIPIENTS_GRANT_CODE, or
    use --secrets-stdin.
    """
    if sys.stdin.isatty() and sys.stdout.isatty() and not sys.stderr.isatty():
        # `meltano invoke` shows standard error line by line, so no question before its answer.
        sys.stderr = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    values = without_blanks(given, JSON_SCHEMA["properties"])
    try:
        _check_before(values, meltano=meltano)
        if "data_center" not in values:
            values["data_center"] = _ask_data_center(values)
        if not meltano:
            _check_file(env_file, values, replace=replace)
        if sys.stdin.isatty():
            _show_console(values)
        values["client_id"] = values.get("client_id") or _take("client_id")
        values["client_secret"] = _take("client_secret", from_stdin=secrets_stdin, hide=True)
        code = _take("grant_code", from_stdin=secrets_stdin, hide=True)
        values["refresh_token"] = _refresh_token(values, code)
        results = {name: str(values[name]) for name in (*_KEPT, *_HOSTS) if name in values}
        if meltano:
            _print_commands(results)
        else:
            write_values(
                env_file, {PREFIX + name.upper(): value for name, value in results.items()}
            )
            _show_end(env_file, results)
    except TapError as error:
        raise click.ClickException(str(error)) from None
    except (click.Abort, KeyboardInterrupt):
        _say()
        msg = "Ended before anything was written"
        raise click.ClickException(msg) from None


# Before any secret is asked for, or a code is spent


def _check_before(values: Mapping[str, object], *, meltano: bool) -> None:
    # Any way to log in will do: only the addresses can be wrong here.
    wrong = problems({**values, "client_id": None, "auth_token": "-"})
    if wrong:
        raise TapError("; ".join(wrong))
    if meltano and sys.stdout.isatty():
        msg = (
            "The commands hold secrets, so they are not shown on a terminal: append `| sh`, or "
            "write them to a file of your own with `> FILE`"
        )
        raise TapError(msg)


def _ask_data_center(values: Mapping[str, object]) -> str:
    """Ask where the account lives, unless both hosts are given or there is nobody to ask."""
    if values.keys() >= set(_HOSTS) or not sys.stdin.isatty():
        return str(JSON_SCHEMA["properties"]["data_center"]["default"])
    _say("Which data center is yours? The address of Zoho Campaigns in your browser tells:\n")
    for name, domain in REGIONS.items():
        _say(f"  {name:<8}campaigns.{domain}")
    _say()
    return click.prompt(
        "Data center",
        type=click.Choice(list(REGIONS)),
        default="com",
        show_choices=False,
        err=True,
    )


def _check_file(path: Path, values: Mapping[str, object], *, replace: bool) -> None:
    """See that the file can be written, and that its owner wants that.

    Raises:
        TapError: It cannot be written, or there is nobody to ask.
        Abort: The user says no.
    """
    known = {PREFIX + name.upper(): str(value) for name, value in values.items()}
    names = known.keys() | {PREFIX + name.upper() for name in _KEPT}
    there = {
        each.key
        for each in bindings(path)
        if each.key in names and each.value and each.value != known.get(each.key)
    }
    if not os.access(path.resolve().parent, os.W_OK):
        raise TapError(f"{path} cannot be written: its folder is not there, or is not yours")
    if not there or replace:
        return
    has = f"{path} has {', '.join(sorted(there))} already"
    if not sys.stdin.isatty():
        raise TapError(f"{has}. Choose --replace, or another --env-file")
    click.confirm(f"{has}. Replace?", abort=True, err=True)


def _show_console(values: Mapping[str, object]) -> None:
    console = f"https://api-console.{REGIONS[str(values['data_center'])]}"
    if "accounts_url" in values:
        console = f"the API console that belongs to {values['accounts_url']}"
    _say(
        f"""
1. Open {console} and choose Self Client.
   "Client Secret" shows the client ID and the client secret.
2. Under "Generate Code" enter this scope, choose ten minutes and any description:

   {SCOPE}

3. Create the code. It can be used once, and only until it expires.
   What you enter here for secret and code is not shown.
"""
    )


def _take(name: str, *, from_stdin: bool = False, hide: bool = False) -> str:
    """Return a value: from its variable, from standard input, or from the user.

    Raises:
        TapError: It is in neither, and there is nobody to ask.
    """
    variable = PREFIX + name.upper()
    label = name.replace("_", " ").capitalize().replace(" id", " ID")
    value = os.environ.get(variable, "").strip()
    if value:
        _say(f"{label}: from {variable}")
    elif sys.stdin.isatty():
        value = click.prompt(label, hide_input=hide, err=True).strip()
    elif from_stdin:
        value = sys.stdin.readline().strip()
    if not value:
        other = "use --secrets-stdin" if hide else f"use --{name.replace('_', '-')}"
        raise TapError(f"No {name} was given: set {variable}, or {other}")
    return value


# Zoho


def _refresh_token(values: dict[str, t.Any], code: str) -> str:
    """Exchange the code, and prove with one call that what comes of it works.

    Raises:
        TapError: Zoho says no, or no response came.
    """
    properties = JSON_SCHEMA["properties"]
    defaults = {name: each["default"] for name, each in properties.items() if "default" in each}
    # A user at a terminal must not wait half an hour.
    config = defaults | {"rate_limit_store": "memory", "rate_limit_lock_wait": 0} | values
    settings = Settings.from_config(config, f"{TAP}/{TapZohoCampaignsRecipients.plugin_version}")
    transport = Transport(user_agent=settings.user_agent, timeout_seconds=settings.request_timeout)
    for name, other in (_HOSTS, _HOSTS[::-1]):
        if name in values and other not in values:
            _say(f"{other} is not given: {getattr(settings, other)} is used beside {name}.")
    keep_secrets_out([*settings.secrets, code])
    form = {
        "grant_type": "authorization_code",
        "client_id": values["client_id"],
        "client_secret": values["client_secret"],
        "code": code,
    }
    try:
        response = request_token(settings.accounts_url, form, transport)
    except TokenRefused as error:
        raise _explained(error) from None
    token = response.get("refresh_token")
    if not isinstance(token, str) or not token:
        msg = (
            "Zoho gave an access token but no refresh token: the code was not made by a self "
            "client. Choose Self Client in the API console, and generate the code there"
        )
        raise TapError(msg)
    keep_secrets_out([token, response["access_token"]])
    if wrong := problems({**values, "refresh_token": token}):
        raise TapError("; ".join(wrong))
    try:
        visible, zone = _visible(settings, response["access_token"], transport)
    except TapError as error:
        why = str(error)
        if isinstance(error, Unauthorized) and (scope := quoted(str(response.get("scope") or ""))):
            why += f'. Zoho made this one for the scope "{scope}"'
        raise TapError(f"{why}. {USED_UP}") from None
    _say(f"\nIt works: {visible} visible at {urlsplit(settings.api_url).netloc}.")
    if visible.startswith("no "):
        _say(
            "If the account has campaigns, check the data center, and that this user may see them."
        )
    if zone:
        _say(zone)
    return token


def _explained(error: TokenRefused) -> TapError:
    """Say what a refusal means of a grant code: `auth` speaks of refresh tokens."""
    if error.code in REFUSALS:
        return TokenRefused(error.says, REFUSALS[error.code], error.code)
    if error.code and error.code not in CLIENT_REFUSALS:
        meaning = "check client ID, client secret, code and data center"
        return TokenRefused(error.says, meaning, error.code)
    return error


def _visible(settings: Settings, access_token: str, transport: Transport) -> tuple[str, str]:
    """Request the listing once; return how many campaigns it has, and what to know of the zone."""
    logger = logging.getLogger(__name__)
    logger.setLevel(logging.INFO)
    logger.handlers = [_Terminal()]
    logger.propagate = False
    clock = Clock()
    limiter = Limiter(
        store=settings.rate_limit_store,
        account=TAP,
        calls=settings.rate_limit_calls,
        period_seconds=settings.rate_limit_period,
        clock=clock,
    )
    client = Client(settings, FixedAccessToken(access_token), transport, limiter, clock, logger)
    parameters = {"status": SENT_STATUS, "fromindex": "1", "range": str(LISTING_PAGE_ROWS)}
    try:
        response = client.call(Endpoint.LISTING, parameters)
    finally:
        limiter.close()
    times = observations(response.rows)
    zone = (
        f"{advice(times)}. Set account_timezone to have opens and clicks in UTC." if times else ""
    )
    count = max(response.total or 0, len(response.rows))
    more = " or more" if count >= LISTING_PAGE_ROWS and response.total is None else ""
    visible = "1 campaign is" if count == 1 else f"{count or 'no'}{more} campaigns are"
    return visible, zone


class _Terminal(logging.Handler):
    """Shows what the client says of waits and retries."""

    def __init__(self) -> None:
        super().__init__()
        self.addFilter(SecretFilter())

    def emit(self, record: logging.LogRecord) -> None:
        """Show a line."""
        _say(record.getMessage())


# What comes of it


def _show_end(path: Path, results: Mapping[str, str]) -> None:
    _say(f"Written to {path}, which only you can read: {', '.join(results)}.")
    others = {"access_token", "auth_token", *_HOSTS} - results.keys()
    names = {PREFIX + name.upper() for name in others}
    clashes = [each.key for each in bindings(path) if each.key in names and each.value]
    if clashes:
        _say(f"Take out of it what does not go with these credentials: {', '.join(clashes)}.")
    _say("Keep it out of version control.\n")
    _say("Meltano and the tap read .env in the folder they run in:\n")
    if path.absolute() != Path.cwd() / ".env":
        _say(f"  set -a; . {shlex.quote(str(path.absolute()))}; set +a # for a file elsewhere")
    is_project = Path("meltano.yml").exists()
    _say(f"  meltano invoke {TAP} --test" if is_project else f"  {TAP} --config=ENV --test")


def _print_commands(results: Mapping[str, str]) -> None:
    """Print commands for a shell; a secret is in no command line that others could read."""
    click.echo("set -e")
    for name, value in results.items():
        if JSON_SCHEMA["properties"][name].get("secret"):
            secret = shlex.quote(value)
            click.echo(f"printf %s {secret} | meltano config set --from-file - {TAP} {name}")
        else:
            # Standard input is the rest of these commands, for the shell alone.
            click.echo(f"meltano config set {TAP} {name} {shlex.quote(value)} < /dev/null")


if __name__ == "__main__":
    main()
