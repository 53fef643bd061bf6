"""Finding out how the API of an account behaves: `tap-zoho-campaigns-recipients-probe`.

It answers, as far as an account's data allow, what nobody could find out without one, and writes
nothing that Zoho says of campaigns or contacts.
"""

from __future__ import annotations

import signal
import sys
import typing as t
from pathlib import Path
from urllib.parse import urlsplit

import click
from singer_sdk.exceptions import ConfigValidationError

from tap_zoho_campaigns_recipients.probing.asking import MOST_CALLS, Asker
from tap_zoho_campaigns_recipients.probing.findings import document_of, summary_of, text_of
from tap_zoho_campaigns_recipients.probing.run import ask_everything
from tap_zoho_campaigns_recipients.probing.survey import Survey
from tap_zoho_campaigns_recipients.settings import Settings
from tap_zoho_campaigns_recipients.singer.exit_codes import exit_code_of
from tap_zoho_campaigns_recipients.singer.logs import keep_secrets_out
from tap_zoho_campaigns_recipients.tap import TapZohoCampaignsRecipients, account_name
from tap_zoho_campaigns_recipients.zoho.auth import credentials
from tap_zoho_campaigns_recipients.zoho.clock import Clock
from tap_zoho_campaigns_recipients.zoho.errors import TapError
from tap_zoho_campaigns_recipients.zoho.rate_limit.limiter import Limiter
from tap_zoho_campaigns_recipients.zoho.transport import Transport

if t.TYPE_CHECKING:
    from singer_sdk.plugin_base import _ConfigInput

SETTINGS_CODE = 2
"""The exit code for settings and files."""


@click.command(context_settings={"max_content_width": 100})
@click.option(
    "--config",
    multiple=True,
    default=("ENV",),
    callback=TapZohoCampaignsRecipients.cb_config,
    help="A file with the tap's settings, or ENV for environment variables and .env. "
    "May be repeated.  [default: ENV]",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default="zoho-probe.json",
    show_default=True,
    help="The file to write.",
)
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
def main(*, config: _ConfigInput, output: Path, force: bool) -> None:
    """Find out how Zoho's API behaves for your account, with at most 40 calls that only read.

    It writes one file without personal data: field names, codes, counts, and what values look like.
    Send it to the maintainers to make the tap better, or if something looks wrong.
    """
    if output.exists() and not force:
        _end(f"{output} exists: choose --force, or another --output", SETTINGS_CODE)
    if not output.absolute().parent.is_dir():
        _end(f"{output} cannot be written: its folder does not exist", SETTINGS_CODE)
    settings, data_center = _settings(config)
    clock = Clock()
    try:
        survey = _survey(settings, clock)
    except TapError as error:
        _end(str(error), exit_code_of(error))
    message, code = "", 0
    try:
        ask_everything(survey)
    except TapError as error:
        message, code = str(error), exit_code_of(error)
    except KeyboardInterrupt:
        message, code = "Ended by you", 128 + signal.SIGINT
    document = document_of(
        survey,
        tap_version=TapZohoCampaignsRecipients.plugin_version,
        data_center=data_center,
        probed_at=clock.time(),
    )
    click.echo("", err=True)
    click.echo(summary_of(survey))
    try:
        output.write_text(text_of(document), encoding="utf-8")
    except OSError as error:
        _end(f"{output} cannot be written: {error.strerror}", SETTINGS_CODE)
    click.echo(f"\nWritten to {output}. It has no personal data: look at it, and send it.")
    if message:
        _end(f"The probe ended early. {message}", code)


def _settings(config: _ConfigInput) -> tuple[Settings, str]:
    """Return the tap's settings, checked as the tap checks them, and the data center."""
    try:
        tap = TapZohoCampaignsRecipients(
            config=config.config, parse_env_config=config.parse_env, setup_mapper=False
        )
    except ConfigValidationError as error:
        _end("\n".join(error.errors), SETTINGS_CODE)
    except TapError as error:
        _end(str(error), exit_code_of(error))
    data_center = "other" if tap.config.get("api_url") else tap.config["data_center"]
    return Settings.from_config(tap.config, f"{tap.name}/{tap.plugin_version}"), data_center


def _survey(settings: Settings, clock: Clock) -> Survey:
    keep_secrets_out(settings.secrets)
    transport = Transport(user_agent=settings.user_agent, timeout_seconds=settings.request_timeout)
    limiter = Limiter(
        store=settings.rate_limit_store,
        account=account_name(settings),
        calls=settings.rate_limit_calls,
        period_seconds=settings.rate_limit_period,
        clock=clock,
    )
    host = urlsplit(settings.api_url).netloc
    click.echo(f"Asking {host}, with at most {MOST_CALLS} calls that only read …", err=True)
    return Survey(
        Asker(
            settings.api_url,
            credentials(settings, transport, clock),
            transport,
            limiter,
            clock,
            _show_progress,
            _show_wait,
        )
    )


def _show_progress(call: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r  call {call} of at most {MOST_CALLS}", nl=False, err=True)


def _show_wait() -> None:
    click.echo("The rate limit is reached (calls of earlier runs count): waiting …", err=True)


def _end(message: str, code: int) -> t.NoReturn:
    """End with a line for each error."""
    for line in message.splitlines():
        click.echo(f"Error: {line}", err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
