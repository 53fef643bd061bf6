"""What a new user reads where a setting does not do what was meant."""

from __future__ import annotations

import os
import subprocess
import sys
import typing as t

import pytest

from sandbox import Sandbox, make_account
from support.tap_runs import LISTING, run_process, run_tap, settings

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandbox import Account
    from support.tap_runs import FakeClock

PREFIX = "TAP_ZOHO_CAMPAIGNS_RECIPIENTS_"
STREAM = "sent_contacts"


@pytest.fixture
def zoho() -> Iterator[Sandbox]:
    """Two campaigns of three contacts."""
    with Sandbox(make_account(2, 3)) as sandbox:
        yield sandbox


# An expression that fails on a record


@pytest.mark.parametrize(
    ("maps", "expression", "kind"),
    [
        ({"__filter__": "int(contact_email) > 3"}, "int(contact_email) > 3", "ValueError"),
        ({"domain": "contact_email.split('#')[1]"}, "contact_email.split('#')[1]", "IndexError"),
        ({"shout": "company_name + 1"}, "company_name + 1", "TypeError"),
        ({"year": "sent_time['year']"}, "sent_time['year']", "TypeError"),
        ({"x": "no_such_field"}, "no_such_field", "MapExpressionError"),
    ],
)
@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
def test_expression_that_fails(
    zoho: Sandbox, tmp_path: Path, maps: dict[str, str], expression: str, kind: str, level: str
) -> None:
    """The last line names stream and expression; STATE and summary precede it; no row is shown."""
    config = settings(zoho, stream_maps={STREAM: maps})
    outcome = run_process(config, tmp_path, env={f"{PREFIX}LOGLEVEL": level})
    assert outcome.exit_code == 1
    assert outcome.log[-1].endswith(
        f'stream_maps: the expression "{expression}" failed on a record of {STREAM} ({kind}): '
        "change it so that it fits every record"
    )
    assert outcome.messages[-1]["type"] == "STATE"
    assert not outcome.records[STREAM]
    assert f"{STREAM} 0." in next(line for line in outcome.log if "Run failed" in line)
    said = "\n".join(outcome.log)
    assert "Traceback" not in said
    for contact in zoho.account.contacts:
        assert str(contact.email) not in said


def test_rows_that_left_are_counted(zoho: Sandbox) -> None:
    """The summary counts the rows before the one that an expression fails on, and no other."""
    emails = [
        row["email"] for row in zoho.account.rows(next(iter(zoho.account.campaigns)), STREAM_ACTION)
    ]
    fails = f"contact_email if contact_email != '{emails[1]}' else contact_email['x']"
    outcome = run_tap(settings(zoho, stream_maps={STREAM: {"x": fails}}), streams=[STREAM])
    (summary,) = (line for line in outcome.log if "Run failed" in line)
    assert f"Rows: {STREAM} {len(outcome.records[STREAM])}." in summary
    assert len(outcome.records[STREAM]) in {1, 4}


STREAM_ACTION = "sentcontacts"


# Maps of streams that are not selected


@pytest.mark.parametrize("pattern", ["opened_contacts", "*_contacts", "*"])
def test_maps_of_deselected_streams(zoho: Sandbox, pattern: str) -> None:
    """A map that fits streams which are not selected is ignored for them, and applied to others."""
    maps = {pattern: {"contact_email": "md5(contact_email)", "first_name": "__NULL__"}}
    outcome = run_tap(settings(zoho, stream_maps=maps), streams=[STREAM])
    assert outcome.error is None
    records = outcome.records[STREAM]
    assert len(records) == 6
    is_mapped = pattern != "opened_contacts"
    assert all(("@" not in each["contact_email"]) is is_mapped for each in records)
    assert all(("first_name" not in each) is is_mapped for each in records)


# Nothing to read


def empty_account(kind: str, now: float) -> Account:
    """Return an account without a campaign to read."""
    account = make_account(0 if kind == "none" else 3, 2, now=now)
    if kind == "drafts":
        for campaign in account.campaigns.values():
            campaign.status = "Draft"
    return account


NOTHING = [
    (
        "none",
        {},
        (
            "Zoho lists no campaign for these credentials. If there are some, check data_center "
            "and which campaigns the user may see"
        ),
    ),
    (
        "old",
        {"start_date": "2040-01-01T00:00:00Z"},
        "Of 3 campaigns 3 were sent before start_date",
    ),
]


@pytest.mark.parametrize(("kind", "change", "why"), NOTHING)
def test_nothing_to_read(
    tmp_path: Path, kind: str, change: dict[str, t.Any], why: str, clock: FakeClock
) -> None:
    """A run and `--test` say why there is no campaign to read, and succeed."""
    with Sandbox(empty_account(kind, clock.now)) as zoho:
        config = settings(zoho, **change)
        tested = run_process(config, tmp_path, "--test")
        assert tested.exit_code == 0
        host = zoho.url.partition("://")[2]
        assert tested.log[-1].endswith(
            f"{host} accepts the credentials and shows no campaign. {why}"
        )
        outcome = run_process(config, tmp_path)
        assert outcome.exit_code == 0
        assert any(line.endswith(f"Found 0 campaigns. {why}") for line in outcome.log)
        warnings = [line for line in outcome.log if "WARNING" in line]
        is_future = "start_date is in the future: campaigns sent until then are not read"
        assert [line for line in warnings if line.endswith(is_future)] == warnings
        assert len(warnings) == ("start_date" in change)


def test_drafts_only(zoho: Sandbox) -> None:
    """Where all listed campaigns have another status than Sent, that is said."""
    zoho.switches.listing_status_filter = False
    for campaign in zoho.account.campaigns.values():
        campaign.status = "Scheduled"
    outcome = run_tap(settings(zoho))
    assert outcome.error is None
    assert "INFO Found 0 campaigns. Of 2 campaigns 2 have another status than Sent" in outcome.log


# Names of settings


def test_unknown_settings(zoho: Sandbox) -> None:
    """Names that are unlike any setting's get one warning, except for those that begin with _."""
    more = {"flavour": "x", "tap_size": 3, "_select": ["*"], "sampling": None}
    outcome = run_tap({**settings(zoho), **more}, streams=["campaigns"])
    assert outcome.error is None
    assert [line for line in outcome.log if line.startswith("WARNING")] == [
        "WARNING Settings that the tap does not have are ignored: flavour, tap_size"
    ]


def process(cwd: Path, env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the tap with these variables."""
    words = [sys.executable, "-m", "tap_zoho_campaigns_recipients", *arguments]
    return subprocess.run(
        words,
        capture_output=True,
        check=False,
        timeout=60,
        cwd=cwd,
        text=True,
        env={**os.environ, **env},
    )


def variables(zoho: Sandbox) -> dict[str, str]:
    """Return the settings for the sandbox as variables."""
    return {PREFIX + name.upper(): str(value) for name, value in settings(zoho).items()}


def test_misspelled_variable(zoho: Sandbox, tmp_path: Path) -> None:
    """A variable whose name is nearly that of a setting is refused, and the right one named."""
    env = {**variables(zoho), f"{PREFIX}DATACENTER": "eu", f"{PREFIX}_SELECT": "x"}
    done = process(tmp_path, env, "--config=ENV", "--test")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith(
        "datacenter is not the name of a setting: data_center is meant, or take it out"
    )
    assert zoho.requests == []


@pytest.mark.parametrize("name", ["CAMPAIGN_KEYS", "CLIENT_SECRET", "START_DATE"])
@pytest.mark.parametrize("mark", ["'", '"'])
def test_variables_in_quotation_marks(zoho: Sandbox, tmp_path: Path, name: str, mark: str) -> None:
    """Quotation marks that a tool hands on literally are refused by name."""
    value = {"CAMPAIGN_KEYS": '["3z1"]', "CLIENT_SECRET": "PLANTED", "START_DATE": "2026-01-01"}
    env = {**variables(zoho), PREFIX + name: f"{mark}{value[name]}{mark}"}
    done = process(tmp_path, env, "--config=ENV", "--test")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith(
        f"{name.lower()} is in quotation marks: give it without them"
    )
    assert "PLANTED" not in done.stderr
    assert zoho.requests == []


@pytest.mark.parametrize("ending", ["\n", "\r\n", "  ", "\t"])
def test_values_are_trimmed(zoho: Sandbox, tmp_path: Path, ending: str) -> None:
    """Blanks and line ends around a value are left out, whatever its setting is."""
    more = {
        PREFIX + "DATA_CENTER": "com",
        PREFIX + "START_DATE": "2020-01-01T00:00:00Z",
        PREFIX + "RESPONSE_FORMAT": "json",
        PREFIX + "PAGE_SIZE": "500",
        PREFIX + "CAMPAIGN_KEYS": next(iter(zoho.account.campaigns)),
    }
    env = {name: value + ending for name, value in {**variables(zoho), **more}.items()}
    done = process(tmp_path, env, "--config=ENV", "--test")
    assert done.returncode == 0, done.stderr
    assert "shows 1 campaigns to read" in done.stderr


# The system


def test_no_time_zone_database(zoho: Sandbox, tmp_path: Path) -> None:
    """Without a database of time zones, `account_timezone` is not called wrong."""
    env = {**variables(zoho), "PYTHONTZPATH": str(tmp_path), "PYTHONPATH": str(tmp_path)}
    (tmp_path / "tzdata.py").write_text("raise ImportError")
    done = process(tmp_path, env, "--config=ENV", "--test")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith(
        "account_timezone needs a time zone database, and this system has none: install the "
        "Python package tzdata beside the tap, or the system's package of that name"
    )


@pytest.mark.parametrize(
    ("level", "has_debug"), [("trace", True), ("verbose", True), ("nonsense", False), ("10", False)]
)
def test_log_level_of_another_program(
    zoho: Sandbox, tmp_path: Path, level: str, *, has_debug: bool
) -> None:
    """A `LOGLEVEL` that Python does not know does not stop a run."""
    done = process(tmp_path, {**variables(zoho), "LOGLEVEL": level}, "--config=ENV", "--test")
    assert done.returncode == 0
    assert ("| DEBUG " in done.stderr) is has_debug
    assert zoho.calls(LISTING) == 1


def test_help(tmp_path: Path) -> None:
    """`--help` says what `--test` does."""
    said = " ".join(process(tmp_path, {}, "--help").stdout.split())
    assert "Read the list of campaigns, say whether credentials and settings work" in said
