"""Where calls are counted, as the limiter knows it."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from tap_zoho_campaigns_recipients.zoho.errors import TapError

PROGRAM = "tap-zoho-campaigns-recipients"
STORE_TIMEOUT_SECONDS = 10.0

_ZOHO_PERIOD_SECONDS = 300
"""No call younger than Zoho's own window is thrown away, whatever period this run has."""


class StoreUnavailable(TapError):
    """The store that `rate_limit_store` names cannot be used."""


class StoreMisconfigured(StoreUnavailable):
    """It cannot be used before a setting, or what is installed, is changed."""


@dataclass(frozen=True, slots=True)
class Window:
    """The limit: a number of calls in a number of milliseconds."""

    calls: int
    milliseconds: int

    @property
    def kept_milliseconds(self) -> int:
        """Return how old a call must be to be thrown away."""
        return max(self.milliseconds, _ZOHO_PERIOD_SECONDS * 1000)


class Store(t.Protocol):
    """Where calls and locks are kept. Every method is one short step that never sleeps."""

    def take(self, endpoint: str) -> float:
        """Count a call and return 0; or count nothing and return the seconds to wait."""

    def lock(self, endpoint: str, milliseconds: int) -> None:
        """Lock the endpoint for so long; a longer lock stays."""

    def locked_for(self, endpoint: str) -> float:
        """Return how many seconds the endpoint stays locked."""

    def calls_left(self, endpoint: str) -> int:
        """Return how many calls could be sent now."""

    def seconds_until(self, endpoint: str, calls: int) -> float:
        """Return how long the limit makes so many more calls take."""

    def close(self) -> None:
        """Release the file or the connection."""
