"""What a peer is told to read: the one argument of every program here is a JSON file with it."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

LISTING_PAGE_ROWS = 100

ACTIONS = (
    "sentcontacts",
    "openedcontacts",
    "clickedcontacts",
    "unopenedcontacts",
    "optoutcontacts",
    "spamcontacts",
    "senthardbounce",
    "sentsoftbounce",
    "unsentcontacts",
)


@dataclass(frozen=True, slots=True)
class Order:
    """What to read, and how."""

    url: str
    """Scheme and host of the API."""
    access_token: str
    page_size: int
    """Rows to ask for with one request."""
    in_flight: int
    """The most requests at the same time, where the peer can do more than one."""
    actions: tuple[str, ...]
    """Zoho's names of the lists to read, of every sent campaign."""
    folder: str
    """An empty folder, for what is not written to stdout."""

    @property
    def authorization(self) -> str:
        """The header that every request carries."""
        return f"Zoho-oauthtoken {self.access_token}"


def order_of_command_line() -> Order:
    """Read the order that the command line names."""
    values = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    return Order(**values | {"actions": tuple(values["actions"])})
