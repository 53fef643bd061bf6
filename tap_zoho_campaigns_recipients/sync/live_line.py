"""A line at the bottom of the terminal that shows the progress of a run."""

from __future__ import annotations

import logging
import os
import sys
import threading
import typing as t
from contextlib import suppress

LOG_CONFIG_VARIABLE = "SINGER_SDK_LOG_CONFIG"
"""The SDK's variable with the path of a logging configuration, for structured logs."""

DEFAULT_COLUMNS = 80


class LiveLine:
    """A line at the bottom of the terminal, rewritten in place. Log lines appear above it."""

    def __init__(self, terminal: t.TextIO) -> None:
        """Take over the log handlers that write to the terminal; write nothing yet.

        Args:
            terminal: The terminal.
        """
        self._terminal = terminal
        self._lock = threading.Lock()
        self._columns = 0
        self._handlers = [
            handler
            for handler in logging.getLogger().handlers
            if isinstance(handler, logging.StreamHandler) and handler.stream is terminal
        ]
        for handler in self._handlers:
            handler.setStream(t.cast("t.TextIO", self))

    @classmethod
    def at_terminal(cls, logger: logging.Logger) -> LiveLine | None:
        """Return a live line on stderr; None if nobody would see it or it would be in the way.

        It would be in the way of a structured log, and of records written to the same terminal.
        """
        if (
            LOG_CONFIG_VARIABLE in os.environ
            or not logger.isEnabledFor(logging.INFO)
            or not _is_terminal(sys.stderr)
            or _is_terminal(sys.stdout)
        ):
            return None
        return cls(sys.stderr)

    def show(self, text: str) -> None:
        """Show a text in place of the previous one."""
        with self._lock:
            shown = text[: self._width() - 1]
            # Back to the first column: what another program writes must not begin behind it.
            self._put(f"\r{shown:<{self._columns}}\r")
            self._columns = len(shown)

    def write(self, text: str) -> int:
        """Write log text on a line of its own."""
        with self._lock:
            self._put(self._blank() + text)
            return len(text)

    def flush(self) -> None:
        """Do nothing: everything is written at once."""

    def close(self) -> None:
        """Remove the line, and give the terminal back to the log handlers."""
        with self._lock:
            self._put(self._blank())
        for handler in self._handlers:
            handler.setStream(self._terminal)

    def _blank(self) -> str:
        blank = f"\r{'':<{self._columns}}\r" if self._columns else ""
        self._columns = 0
        return blank

    def _put(self, text: str) -> None:
        with suppress(OSError, ValueError):  # the terminal may be closed, the run goes on
            self._terminal.write(text)
            self._terminal.flush()

    def _width(self) -> int:
        try:
            return os.get_terminal_size(self._terminal.fileno()).columns or DEFAULT_COLUMNS
        except (OSError, ValueError):
            return DEFAULT_COLUMNS


def _is_terminal(stream: t.TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False
