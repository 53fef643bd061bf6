"""The tap in a Meltano project, as users run it: the repository's `meltano.yml`, real Meltano."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import typing as t

import pytest
import yaml

from sandbox import Sandbox, make_account
from support.documents import ROOT, code, read
from support.project import PREFIX, TAP, addresses, empty_project, new_project
from support.tap_runs import DETAILS, RECIPIENT_ACTIONS, RECIPIENTS
from support.truth import expected_list, sent_campaigns
from support.warehouse import SCHEMA, by_key, drop, from_warehouse, without_read_at

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.project import Project
    from support.warehouse import Postgres

pytestmark = pytest.mark.xdist_group("meltano")

RUN = ("run", TAP, "target-jsonl")


@pytest.fixture
def zoho() -> Iterator[Sandbox]:
    """Three campaigns."""
    with Sandbox(make_account(3, [25, 12, 4])) as it:
        yield it


@pytest.fixture
def own(project: Project, zoho: Sandbox, tmp_path: Path) -> dict[str, str]:
    """Variables for the test's own sandbox and folder."""
    return project.variables(zoho, tmp_path)


def loaded(folder: Path, stream: str) -> list[dict[str, t.Any]]:
    """The records of a stream that the JSONL loader wrote."""
    path = folder / f"{stream}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def package(folder: Path) -> dict[str, bytes]:
    """The files of a package, by their path in it."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


def test_install_takes_the_clone_as_it_is(project: Project) -> None:
    """`meltano install` with a clone's path installs the code and the schemas that stand there."""
    assert package(project.installed()) == {
        **package(ROOT / "tap_zoho_campaigns_recipients"),
        **{f"schemas/{name}": text for name, text in package(ROOT / "schemas").items()},
    }


def test_config_test_says_whether_the_settings_work(project: Project, own: dict[str, str]) -> None:
    """`meltano config test` succeeds with the right credentials and fails with wrong ones."""
    command = ("--environment=sandbox", "config", "test", TAP)
    assert "Plugin configuration is valid" in project.succeed(*command, **own)
    wrong = {f"{PREFIX}CLIENT_SECRET": "wrong"}
    done = project(*command, **own, **wrong)
    assert done.returncode != 0
    assert "client_secret" in done.stdout + done.stderr


def test_invoke_discover_prints_the_catalog(project: Project) -> None:
    """`meltano invoke … --discover` prints the catalog of all streams, and nothing else."""
    catalog = json.loads(project.succeed("invoke", TAP, "--discover"))
    assert sorted(stream["tap_stream_id"] for stream in catalog["streams"]) == sorted(
        [
            *RECIPIENT_ACTIONS,
            "campaign_details",
            "campaign_locations",
            "campaign_reports",
            "campaigns",
            "click_events",
            "list_readings",
            "open_events",
        ]
    )


def test_runs_read_what_is_new_and_a_full_refresh_reads_all(
    project: Project, zoho: Sandbox, own: dict[str, str], tmp_path: Path
) -> None:
    """A second `meltano run` asks for no list, a third for what changed, a full refresh for all."""
    project.succeed(*RUN, **own)
    for stream in RECIPIENT_ACTIONS:
        records = [
            without_read_at(record)
            for key in sent_campaigns(zoho)
            for record in expected_list(zoho, stream, key, read_at=0)
        ]
        assert by_key(map(without_read_at, loaded(tmp_path, stream))) == by_key(records), stream
    first = zoho.calls(RECIPIENTS)

    zoho.reset_log()
    done = project(*RUN, **own)
    assert done.returncode == 0, done.stderr
    assert zoho.calls(RECIPIENTS) == 0
    assert zoho.calls("campaignreports") == 3
    # Meltano shows the tap's story, and its metrics; of the SDK's own lines none.
    tap = re.findall(rf"\] {TAP} +(.*?)(?:  .*)?$", done.stderr, re.MULTILINE)
    story = [line for line in tap if not line.startswith("METRIC ")]
    assert [line.split(" ")[0] for line in story] == [
        TAP,
        "Reading",
        "event_time_utc",  # is null without account_timezone
        "Found",
        "Run",
    ]
    metrics = set(tap) - set(story)
    assert {f"METRIC {stream}" for stream in RECIPIENT_ACTIONS} <= metrics

    zoho.reset_log()
    key = sent_campaigns(zoho)[0]
    late = zoho.account.rows(key, "unopenedcontacts")[-1]["email"]
    zoho.account.open(key, late)
    project.succeed(*RUN, **own)
    assert {call.campaign_key for call in zoho.requests if call.action} == {key}
    assert late.lower() in {row["contact_email"] for row in loaded(tmp_path, "opened_contacts")}

    zoho.reset_log()
    project.succeed("run", "--full-refresh", *RUN[1:], **own)
    assert zoho.calls(RECIPIENTS) == first


def test_select_chooses_streams(
    project: Project, zoho: Sandbox, own: dict[str, str], tmp_path: Path
) -> None:
    """After `meltano select` of one stream only its list is asked for, after `--clear` the rest.

    The opened list is read once more, for its events and for its reading.
    """
    mine = new_project(tmp_path)
    (tmp_path / ".meltano").symlink_to(project.folder / ".meltano")
    mine.succeed("select", TAP, "opened_contacts", "*", **own)
    mine.succeed(*RUN, **own)
    assert {call.action for call in zoho.requests if call.action} == {"openedcontacts"}
    assert sorted(path.stem for path in tmp_path.glob("*.jsonl")) == ["opened_contacts"]

    zoho.reset_log()
    mine.succeed("select", "--clear", TAP, **own)
    mine.succeed(*RUN, **own)
    assert {call.action for call in zoho.requests if call.action} == {*RECIPIENT_ACTIONS.values()}


def test_details_are_left_out(
    project: Project, zoho: Sandbox, own: dict[str, str], tmp_path: Path
) -> None:
    """Meltano selects `campaign_details` as well; two documented commands leave them out."""
    mine = new_project(tmp_path)
    (tmp_path / ".meltano").symlink_to(project.folder / ".meltano")
    mine.succeed(*RUN, **own)
    assert zoho.calls(DETAILS) == len(zoho.account.campaigns)
    zoho.reset_log()
    for line in code(read("docs/meltano.md"), "no-details").splitlines():
        mine.succeed(*shlex.split(line)[1:], **own)
    mine.succeed(*RUN[:1], "--full-refresh", *RUN[1:], **own)
    assert zoho.calls(DETAILS) == 0
    assert {call.action for call in zoho.requests if call.action} == {*RECIPIENT_ACTIONS.values()}


def test_three_streams_are_selected(
    project: Project, zoho: Sandbox, own: dict[str, str], tmp_path: Path
) -> None:
    """The documented lines leave three streams, and only their lists are asked for."""
    mine = new_project(tmp_path)
    (tmp_path / ".meltano").symlink_to(project.folder / ".meltano")
    for line in code(read("docs/meltano.md"), "select-three").splitlines():
        mine.succeed(*shlex.split(line)[1:], **own)
    mine.succeed(*RUN, **own)
    assert {call.action for call in zoho.requests if call.action} == {
        "openedcontacts",
        "clickedcontacts",
    }
    assert sorted(path.stem for path in tmp_path.glob("*.jsonl")) == [
        "campaigns",
        "clicked_contacts",
        "opened_contacts",
    ]


def test_useful_commands(
    project: Project, own: dict[str, str], postgres: Postgres, tmp_path: Path
) -> None:
    """Each of the documented useful commands succeeds."""
    mine = new_project(tmp_path)
    shutil.copytree(project.folder / ".meltano", tmp_path / ".meltano", symlinks=True)
    # The schedule builds the models.
    ignored = shutil.ignore_patterns("target", "logs", "__pycache__")
    shutil.copytree(ROOT / "transform", tmp_path / "transform", ignore=ignored)
    places = {
        **own,
        "MELTANO_ENVIRONMENT": "sandbox",
        "TARGET_POSTGRES_SQLALCHEMY_URL": postgres.loader_uri,
        "DBT_POSTGRES_HOST": postgres.folder,
    }
    for line in code(read("docs/meltano.md"), "meltano-useful").splitlines():
        words = shlex.split(line, comments=True)
        assert words[0] == "meltano"
        mine.succeed(*words[1:], **places)
    assert postgres.rows(f"select 1 as one from {SCHEMA}.campaigns")
    assert postgres.rows("select 1 as one from analytics.zoho_campaigns__campaigns")
    drop(postgres)
    drop(postgres, "analytics")


def test_the_documented_run_at_the_sandbox(
    project: Project, own: dict[str, str], tmp_path: Path
) -> None:
    """The documented line loads the sandbox's account into files."""
    words = shlex.split(code(read("docs/sandbox.md"), "sandbox-meltano"))
    project.succeed(*words[1:], **own)
    assert len(loaded(tmp_path, "campaigns")) == 3


@pytest.mark.parametrize("place", ["environment", ".env"])
def test_variables_are_enough(
    project: Project, zoho: Sandbox, own: dict[str, str], tmp_path: Path, place: str
) -> None:
    """In the environment `prod`, all settings come from variables: the process's own, or `.env`."""
    keys = sent_campaigns(zoho)[:2]
    account = zoho.account
    mine = {
        "CLIENT_ID": account.client_id,
        "CLIENT_SECRET": account.client_secret,
        "REFRESH_TOKEN": account.refresh_token,
        "CAMPAIGN_KEYS": json.dumps(keys),
        "START_DATE": "2020-01-01T00:00:00Z",
        "PAGE_SIZE": "11",
        "RATE_LIMIT_STORE": "memory",
        "RETRY_WAIT": "0.5",
    }
    settings = {f"{PREFIX}{name}": value for name, value in mine.items()}
    options = ["--environment=prod"]
    if place == ".env":
        file = tmp_path / "mine.env"
        file.write_text("".join(f"{name}='{value}'\n" for name, value in settings.items()))
        options.append(f"--env-file={file}")
        settings = {}
    project.succeed(*options, *RUN, **own, **settings)
    calls = [call for call in zoho.requests if call.endpoint == RECIPIENTS]
    assert {call.campaign_key for call in calls} == set(keys)
    assert {call.range for call in calls} == {11}
    assert len(loaded(tmp_path, "sent_contacts")) == 25 + 12


def test_a_run_without_credentials_says_which_settings_are_missing(
    project: Project, zoho: Sandbox, own: dict[str, str]
) -> None:
    """Without credentials `meltano run` fails, names the settings and asks Zoho nothing."""
    done = project("--environment=prod", *RUN, **own)
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert "client_id" in said
    assert "Traceback" not in said
    assert zoho.requests == []


def test_the_project_has_two_environments_and_a_schedule() -> None:
    """meltano.yml has the environments sandbox and prod, and a nightly run with the models."""
    file = yaml.safe_load(read("meltano.yml"))
    assert [each["name"] for each in file["environments"]] == ["sandbox", "prod"]
    assert file["default_environment"] == "sandbox"
    (schedule,) = file["schedules"]
    (job,) = file["jobs"]
    assert schedule["job"] == job["name"]
    assert job["tasks"] == [f"{TAP} target-postgres dbt:build"]


def test_a_copy_of_the_project_works_as_documented(
    zoho: Sandbox, postgres: Postgres, tmp_path: Path
) -> None:
    """From an empty folder to rows in PostgreSQL, with only what the documents say.

    `meltano invoke … --test` reads no list, and tells how many campaigns are visible.
    """
    project = new_project(tmp_path)
    account = zoho.account
    mine = {
        "1000.ABC…": account.client_id,
        "5f0e…": account.client_secret,
        "1000.def…": account.refresh_token,
        "postgresql+psycopg://user:password@host/database": postgres.loader_uri,
    }
    lines = code(read("docs/meltano.md"), "meltano").splitlines()
    (environment,) = [line for line in lines if line.startswith("export ")]
    name, _, value = environment.removeprefix("export ").partition("=")
    lines.remove(environment)
    assert all(line.startswith("meltano ") for line in lines)
    for line in lines:
        words = [mine.pop(word, word) for word in shlex.split(line, comments=True)[1:]]
        done = project(*words, **addresses(zoho), **{name: value})
        assert done.returncode == 0, done.stderr
        if "--test" in words:
            assert "3 campaigns" in done.stdout + done.stderr
            assert zoho.calls(RECIPIENTS) == 0
    assert mine == {}
    assert re.search(r"^\s+client_id: ", (tmp_path / "meltano.yml").read_text(), re.MULTILINE)
    assert account.refresh_token in (tmp_path / ".env").read_text()
    rows = postgres.rows("select contact_email from zoho_campaigns.sent_contacts")
    assert len(rows) == 25 + 12 + 4
    drop(postgres)


def test_one_command_adds_the_tap_to_a_project(
    zoho: Sandbox, postgres: Postgres, tmp_path: Path
) -> None:
    """In a project without plugins, what the documents say adds the tap, logs in and fills tables.

    A second `meltano add` changes nothing. No line of a metric is without its stream.
    """
    project = empty_project(tmp_path)
    account = zoho.account
    answers = {  # of somebody who logs in without a terminal
        f"{PREFIX}CLIENT_ID": account.client_id,
        f"{PREFIX}CLIENT_SECRET": account.client_secret,
        f"{PREFIX}GRANT_CODE": account.grant_code,
        **addresses(zoho),
    }
    uri = "postgresql+psycopg://user:password@host/database"
    make, *lines = (
        line.replace("/path/to/the/clone", str(ROOT)).replace(uri, postgres.loader_uri)
        for line in code(read("docs/meltano.md"), "meltano-add").splitlines()
    )
    subprocess.run(shlex.split(make), check=True, capture_output=True)
    assert [line.split()[:3] for line in lines][:2] == [
        ["meltano", "add", TAP],
        ["meltano", "add", "target-postgres"],
    ]
    log = ""
    for line in lines:
        words = shlex.split(line)[1:]
        done = project(*words, **(answers if f"{TAP}:login" in words else {}))
        log = done.stdout + done.stderr
        assert done.returncode == 0, log
        assert account.client_secret not in log
    for stream in RECIPIENT_ACTIONS:
        records = [
            without_read_at(record)
            for key in sent_campaigns(zoho)
            for record in expected_list(zoho, stream, key, read_at=0)
        ]
        rows = postgres.rows(f"select * from {SCHEMA}.{stream}")
        assert by_key(without_read_at(from_warehouse(row)) for row in rows) == by_key(records)
    drop(postgres)
    metrics = [line for line in log.splitlines() if "METRIC" in line]
    streams = sorted(path.stem for path in ROOT.glob("schemas/*.json"))
    assert len(metrics) > len(streams)
    assert [line for line in metrics if not any(stream in line for stream in streams)] == []

    file = tmp_path / "meltano.yml"
    before = file.read_text()
    project.succeed(*shlex.split(lines[0])[1:], "--no-install")
    assert file.read_text() == before
