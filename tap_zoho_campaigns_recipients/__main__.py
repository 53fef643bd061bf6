"""Run the tap with ``python -m tap_zoho_campaigns_recipients``; all console scripts begin here.

Importing the rest takes half a second. Whoever presses Ctrl-C meanwhile sees no traceback.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import warnings
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
    # The SDK says it at each start. Where warnings are errors, no run should fail because of it.
    warnings.filterwarnings("ignore", r"Python 3\.\d+ .*end of life", FutureWarning)
    with _ending_at_once():
        from tap_zoho_campaigns_recipients.singer.logs import repair_log_level  # noqa: PLC0415
        from tap_zoho_campaigns_recipients.tap import TapZohoCampaignsRecipients  # noqa: PLC0415
    repair_log_level("TAP_ZOHO_CAMPAIGNS_RECIPIENTS_", os.environ)
    try:
        TapZohoCampaignsRecipients.cli()
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


def login() -> None:
    """Get credentials."""
    with _ending_at_once():
        from tap_zoho_campaigns_recipients import login as command  # noqa: PLC0415
    command.main()


def probe() -> None:
    """Find out how the API of an account behaves."""
    with _ending_at_once():
        from tap_zoho_campaigns_recipients import probe as command  # noqa: PLC0415
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
