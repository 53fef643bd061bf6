"""How a run ends before its time, and how a command says so."""

from __future__ import annotations

import sys
import typing as t
from contextlib import contextmanager

import click
from singer_sdk.exceptions import ConfigValidationError

from tap_zoho_campaigns_recipients.singer.files import FileRefused
from tap_zoho_campaigns_recipients.sync.bookmarks import StateRefused
from tap_zoho_campaigns_recipients.zoho.auth import TOO_MANY_TOKENS
from tap_zoho_campaigns_recipients.zoho.errors import (
    InsufficientPrivileges,
    PartlyFailed,
    TapError,
    Throttled,
    TokenRefused,
    Unauthorized,
)
from tap_zoho_campaigns_recipients.zoho.rate_limit.store import StoreMisconfigured

if t.TYPE_CHECKING:
    import logging
    from collections.abc import Iterator

OTHER, SETTINGS, CREDENTIALS, LOCKED, PARTLY = 1, 2, 3, 4, 5
"""The exit codes of failures; 128 + n is that of a run ended by signal n."""


def exit_code_of(error: TapError) -> int:
    """Return the exit code of an expected failure."""
    if isinstance(error, TokenRefused):
        return LOCKED if error.code == TOO_MANY_TOKENS else CREDENTIALS
    for kinds, code in (
        ((StateRefused, FileRefused, StoreMisconfigured, UnusableSettings), SETTINGS),
        ((Unauthorized, InsufficientPrivileges), CREDENTIALS),
        ((Throttled,), LOCKED),
        ((PartlyFailed,), PARTLY),
    ):
        if isinstance(error, kinds):
            return code
    return OTHER


class UnusableSettings(TapError):
    """Settings cannot be used together, which shows only when the streams are known."""


class FileProblem(click.ClickException):
    """A file that was given cannot be used."""

    exit_code = SETTINGS


class Shutdown(BaseException):
    """The run was ended from outside. Not an `Exception`: nothing may hold it up.

    Args:
        reason: For the log's last line.
        exit_code: What the process returns.
    """

    def __init__(self, reason: str, exit_code: int) -> None:
        """Keep both."""
        super().__init__(reason)
        self.exit_code = exit_code


@contextmanager
def closed_on_error(ctx: click.Context) -> Iterator[None]:
    """Close what click has opened, a catalog say: it does so only where it ends the program."""
    try:
        yield
    except BaseException:
        ctx.close()
        raise


class expected_errors:  # noqa: N801 - used as a function is
    """Turn an expected failure into a line of the log and an exit code."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Say what went wrong."""
        if isinstance(error, ConfigValidationError):
            for line in error.errors:
                self._logger.error(line)
            sys.exit(SETTINGS)
        if isinstance(error, TapError):
            self._logger.error("%s", error)
            sys.exit(exit_code_of(error))
        if isinstance(error, Shutdown):
            self._logger.error("%s", error)
            sys.exit(error.exit_code)
        # Of them click knows the end: of a reader who has seen enough of --about, too.
        of_click = (click.ClickException, click.Abort, click.exceptions.Exit, BrokenPipeError)
        if isinstance(error, Exception) and not isinstance(error, of_click):
            # A bug: through the logger, which keeps secrets out of its trace too.
            self._logger.error("Unexpected error, please report it", exc_info=error)
            sys.exit(OTHER)
