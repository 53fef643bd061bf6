"""The warnings of a run: some kinds are worth only one line."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    import logging


class RunLog:
    """Logs the warnings of one run."""

    def __init__(self, logger: logging.Logger) -> None:
        """Start without any warning.

        Args:
            logger: Gets the warnings.
        """
        self._logger = logger
        self._kinds: set[str] = set()

    def warning(self, text: str, *details: object) -> None:
        """Log a warning.

        Args:
            text: The text, with the placeholders of `logging`.
            *details: What is put in their place.
        """
        self._logger.warning(text, *details)

    def warning_once(self, kind: str, text: str, *details: object) -> None:
        """Log a warning, unless the run has logged one of this kind before."""
        if kind not in self._kinds:
            self._kinds.add(kind)
            self.warning(text, *details)
