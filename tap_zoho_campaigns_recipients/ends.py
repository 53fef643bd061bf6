"""How a run ends before its time, and how a command says so."""

from __future__ import annotations

import sys
import typing as t
from contextlib import contextmanager

import click
from singer_sdk.exceptions import ConfigValidationError

from tap_zoho_campaigns_recipients.errors import TapError

if t.TYPE_CHECKING:
    import logging
    from collections.abc import Iterator


class Ended(BaseException):
    """The run was told to end from outside. Not an `Exception`: nothing may hold it up.

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
            sys.exit(1)
        if isinstance(error, TapError):
            self._logger.error("%s", error)
            sys.exit(1)
        if isinstance(error, Ended):
            self._logger.error("%s", error)
            sys.exit(error.exit_code)
        # Of them click knows the end: of a reader who has seen enough of --about, too.
        of_click = (click.ClickException, click.Abort, click.exceptions.Exit, BrokenPipeError)
        if isinstance(error, Exception) and not isinstance(error, of_click):
            # A mistake of ours: through the logger, which keeps secrets out of its trace too.
            self._logger.error("This should not happen, please report it", exc_info=error)
            sys.exit(1)
