"""The SDK's own tests of a tap, against a sandbox."""

from __future__ import annotations

import typing as t

import pytest
from singer_sdk.testing import SuiteConfig, get_tap_test_class

from sandbox import Sandbox, make_account, make_campaign
from support.tap_runs import RECIPIENT_ACTIONS, settings
from tap_zoho_campaigns_recipients.tap import TapZohoCampaignsRecipients

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CONFIG: dict[str, t.Any] = {
    "client_id": "any",
    "client_secret": "any",
    "refresh_token": "any",
}
"""Holds what is true from the moment at which the sandbox runs: the suite is made before."""


class TapWithAllStreams(TapZohoCampaignsRecipients):
    """The tap with each of its streams selected by default."""

    def discover_streams(self) -> Sequence[t.Any]:
        """Return the streams."""
        streams = super().discover_streams()
        for stream in streams:
            stream.selected_by_default = True
        return streams


def suite(most_records: int | None) -> type:
    """Make the SDK's test class.

    Args:
        most_records: How many of each stream are read; None: all.
    """
    made: type = get_tap_test_class(
        TapWithAllStreams,
        config=CONFIG,
        parse_env_config=False,
        suite_config=SuiteConfig(max_records_limit=most_records),
    )
    return made


@pytest.fixture(scope="class")
def zoho() -> Iterator[Sandbox]:
    """Serves an account in which every list has rows, some of them of forgotten contacts."""
    account = make_account(2, 60, optout=2, spam=2, unsent=2)
    campaign = make_campaign(account, recipients=50, type="abtesting")
    account.forget(campaign.mail.recipients[7])
    with Sandbox(account) as it:
        CONFIG.update(settings(it))
        yield it


@pytest.mark.usefixtures("zoho")
class TestSome(suite(40)):  # type: ignore[misc]
    """The suite where each stream is cut off after so many records."""


@pytest.mark.usefixtures("zoho")
class TestAll(suite(None)):  # type: ignore[misc]
    """The suite over every record."""

    def test_every_row_was_seen(self, zoho: Sandbox, runner: t.Any) -> None:
        """What the suite looked at is every row there is."""
        for stream, action in RECIPIENT_ACTIONS.items():
            there = [
                row for key in zoho.account.campaigns for row in zoho.account.rows(key, action)
            ]
            assert len(runner.records[stream]) == len(there) > 0
