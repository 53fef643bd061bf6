"""What the listing shows of the account's time zone, and what is said about it."""

from __future__ import annotations

import typing as t

import pytest

from support.incremental import add, run
from support.tap_runs import run_process, settings

if t.TYPE_CHECKING:
    from pathlib import Path

    from sandbox import Sandbox
    from support.tap_runs import FakeClock


@pytest.mark.parametrize("zone", ["America/New_York", "America/Toronto", "US/Eastern"])
def test_zone_that_fits(zoho: Sandbox, clock: FakeClock, zone: str) -> None:
    """A zone with the offset of the listing's times is not warned of."""
    for age in (3, 200):
        add(zoho.account, f"{age}", age)
    assert run(zoho, clock, streams=None, account_timezone=zone).warnings == []


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Panama", "UTC"])
def test_zone_that_contradicts_the_listing(zoho: Sandbox, clock: FakeClock, zone: str) -> None:
    """A zone that does not fit is warned of once, with what was seen and which zone would fit."""
    for age in (3, 200):
        add(zoho.account, f"{age}", age)
    (warning,) = run(zoho, clock, streams=None, account_timezone=zone).warnings
    assert warning.startswith(f"account_timezone {zone} contradicts the listing, by which 2026-")
    assert "UTC-04:00. The account's wall clock is UTC-04:00 or UTC-05:00" in warning
    assert warning.endswith("which fits America/New_York")


def test_one_odd_time_proves_nothing(zoho: Sandbox, clock: FakeClock) -> None:
    """One time among many that does not fit is not taken for a wrong zone."""
    for age in range(2, 12):
        add(zoho.account, f"{age}", age)
    odd = add(zoho.account, "odd", 20)
    odd.skew_ms = 3_600_000
    assert run(zoho, clock, streams=None, account_timezone="America/New_York").warnings == []


def test_events_without_a_zone(zoho: Sandbox, clock: FakeClock) -> None:
    """Without account_timezone one warning says that the times of events are null in UTC.

    Only if event streams are selected.
    """
    add(zoho.account, "news", 3)
    outcome = run(zoho, clock, streams=None, account_timezone=None)
    (warning,) = outcome.warnings
    assert warning == (
        "event_time_utc is null without account_timezone. The account's wall clock is UTC-04:00, "
        "which fits America/New_York"
    )
    assert {each["event_time_utc"] for each in outcome.records["open_events"]} == {None}
    assert run(zoho, clock, account_timezone=None).warnings == []


def test_listing_that_shows_no_offset(zoho: Sandbox, clock: FakeClock) -> None:
    """Where the listing has no true times, nothing is said against a zone."""
    add(zoho.account, "news", 3)
    zoho.switches.gmt_fields = False
    assert run(zoho, clock, streams=None, account_timezone="Asia/Tokyo").warnings == []


def test_connection_test_says_the_offset(zoho: Sandbox, tmp_path: Path) -> None:
    """`--test` says what the account's offset is, and which common zones fit."""
    add(zoho.account, "news", 3)
    outcome = run_process(settings(zoho), tmp_path, "--test")
    assert "The account's wall clock is UTC-04:00, which fits America/New_York" in outcome.log[-1]
