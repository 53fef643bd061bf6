"""Run the tap with ``python -m tap_zoho_campaigns_recipients``; both console scripts begin here.

Importing the rest takes half a second. Whoever presses Ctrl-C meanwhile sees no traceback.
"""

from __future__ import annotations

import gc
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

NEW_OBJECTS = 10_000
"""So many, and Python looks for circles of garbage. With its own 700 that takes a tenth of a run,
in vain: rows hold none."""


def main() -> None:
    """Run the tap."""
    gc.set_threshold(NEW_OBJECTS)
    with _ending_at_once():
        from tap_zoho_campaigns_recipients.tap import TapZohoCampaignsRecipients  # noqa: PLC0415
    try:
        TapZohoCampaignsRecipients.cli()
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


def login() -> None:
    """Get credentials."""
    with _ending_at_once():
        from tap_zoho_campaigns_recipients import login as command  # noqa: PLC0415
    command.main()


@contextmanager
def _ending_at_once() -> Iterator[None]:
    """Have SIGINT end the process as SIGTERM does: there is nothing yet to be put in order.

    An exception in the middle of an import could end anywhere, or be taken for something else.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGINT, before)


if __name__ == "__main__":
    main()
