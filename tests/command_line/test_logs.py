"""What a run's log says, and what it leaves to those who ask for more."""

from __future__ import annotations

import json
import os
import re
import typing as t

import pytest

from sandbox import Sandbox, Switches, make_account
from support.documents import ROOT, code, read
from support.tap_runs import RECIPIENTS, catalog, run_process, settings

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOGLEVEL = "TAP_ZOHO_CAMPAIGNS_RECIPIENTS_LOGLEVEL"
LOG_CONFIG = "SINGER_SDK_LOG_CONFIG"
STREAM_LINE = "Beginning sync of 'sent_contacts' in incremental mode"
"""One of those that the SDK writes at INFO."""


@pytest.fixture(scope="module")
def zoho() -> Iterator[Sandbox]:
    """Two campaigns of known size."""
    account = make_account(
        2, 100, opened=30, clicked=10, optout=1, spam=1, hard=2, soft=3, unsent=0
    )
    with Sandbox(account, switches=Switches(token_limit=None)) as it:
        yield it


def lines(
    zoho: Sandbox,
    folder: Path,
    variables: dict[str, str] | None = None,
    streams: list[str] | None = None,
) -> list[str]:
    """The log of a run of some streams, or of all, under these environment variables."""
    kept = {name: text for name, text in os.environ.items() if name not in {LOGLEVEL, LOG_CONFIG}}
    chosen: list[str] = []
    if streams is not None:
        (folder / "catalog.json").write_text(json.dumps(catalog(streams)))
        chosen = ["--catalog", str(folder / "catalog.json")]
    outcome = run_process(settings(zoho), folder, *chosen, env=kept | (variables or {}))
    assert outcome.exit_code == 0, outcome.log
    return outcome.log


def log_config(folder: Path, **changes: t.Any) -> str:
    """The path of the example's configuration with changes."""
    config = json.loads(read("examples/structured-logs.json")) | changes
    path = folder / "logs.json"
    path.write_text(json.dumps(config))
    return str(path)


def texts(log: list[str]) -> list[str]:
    """What structured lines say, except for metrics; each is one JSON object."""
    return [each["message"] for each in map(json.loads, log) if "metric_info" not in each]


def test_the_log_is_the_documented_story(zoho: Sandbox, tmp_path: Path) -> None:
    """At INFO a run's log is what the documents show, line for line, and nothing of the SDK's."""
    streams = ["campaign_reports", "campaigns", "opened_contacts", "sent_contacts"]
    log = lines(zoho, tmp_path, streams=streams)
    version = r" v\S+"
    shown = re.sub(r"\n +", " ", code(read("docs/operation.md"), "story"))
    said = "\n".join(line.split(" | ")[-1] for line in log)
    assert re.sub(version, " v…", said) == re.sub(version, " v…", shown)
    assert all(re.match(r"[\d-]{10} [\d:,]{12} \| INFO +\| tap-zoho-", line) for line in log)


def test_waits_side_by_side_count_once(tmp_path: Path) -> None:
    """The summary says how long the run was held back, however many requests waited at a time."""
    with Sandbox(make_account(8, 20)) as zoho:
        zoho.faults.add("lock", endpoint=RECIPIENTS, seconds=3)
        config = settings(zoho, rate_limit_lock_wait=3, max_parallel_requests=8)
        outcome = run_process(config, tmp_path)
    assert outcome.exit_code == 0, outcome.log
    waited = re.search(r"Waited (\d+) s$", outcome.log[-1])
    assert waited
    assert 3 <= int(waited[1]) <= 5


def test_less_of_the_story(zoho: Sandbox, tmp_path: Path) -> None:
    """At WARNING a run without trouble says nothing."""
    assert lines(zoho, tmp_path, {LOGLEVEL: "WARNING"}) == []


def test_debug_hides_nothing(zoho: Sandbox, tmp_path: Path) -> None:
    """At DEBUG the SDK's own lines are there, as lines at DEBUG, and its metrics."""
    log = lines(zoho, tmp_path, {LOGLEVEL: "debug"})
    (line,) = [line for line in log if STREAM_LINE in line]
    assert "| DEBUG " in line
    assert any("METRIC" in line for line in log)


def test_structured_logs_have_the_story_and_metrics(zoho: Sandbox, tmp_path: Path) -> None:
    """Structured, each line is JSON: the same story, and metrics for machines to read."""
    log = lines(zoho, tmp_path, {LOG_CONFIG: str(ROOT / "examples/structured-logs.json")})
    plain = [line.split(" | ")[-1] for line in lines(zoho, tmp_path)]
    assert texts(log) == plain
    of_metrics = [each for each in map(json.loads, log) if "metric_info" in each]
    metrics = [each["metric_info"] for each in of_metrics]
    assert [each["message"] for each in of_metrics] == [
        f"METRIC {each['tags']['stream']}" for each in metrics
    ]
    counted = {
        each["tags"]["stream"]: each["value"]
        for each in metrics
        if each["metric"] == "record_count"
    }
    assert len(counted) == 15
    assert (counted["sent_contacts"], counted["opened_contacts"]) == (200, 60)


def test_structured_logs_at_debug(zoho: Sandbox, tmp_path: Path) -> None:
    """A configuration of the user's own at DEBUG shows everything."""
    path = log_config(tmp_path, root={"level": "DEBUG", "handlers": ["stderr"]})
    log = [json.loads(line) for line in lines(zoho, tmp_path, {LOG_CONFIG: path})]
    (line,) = [each for each in log if each["message"] == STREAM_LINE]
    assert line["level"] == "debug"


def test_no_query_whatever_is_configured(zoho: Sandbox, tmp_path: Path) -> None:
    """No URL is logged with its query where the user's own configuration asks for it by name."""
    names = ("urllib3", "urllib3.connectionpool", "requests")
    loggers = {name: {"level": "DEBUG"} for name in names}
    path = log_config(tmp_path, loggers=loggers, root={"level": "DEBUG", "handlers": ["stderr"]})
    log = lines(zoho, tmp_path, {LOG_CONFIG: path})
    assert any(STREAM_LINE in line for line in log)
    assert not any("campaignkey=" in line or "POST" in line for line in log)


def test_handlers_choose_their_own_level(zoho: Sandbox, tmp_path: Path) -> None:
    """Where a configuration has several handlers, each shows what its own level allows."""
    file = tmp_path / "all.log"
    path = log_config(
        tmp_path,
        handlers={
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "json",
                "level": "INFO",
                "stream": "ext://sys.stderr",
            },
            "file": {"class": "logging.FileHandler", "formatter": "json", "filename": str(file)},
        },
        root={"level": "DEBUG", "handlers": ["stderr"]},
        loggers={"tap-zoho-campaigns-recipients": {"handlers": ["file"]}},
    )
    log = lines(zoho, tmp_path, {LOG_CONFIG: path})
    assert STREAM_LINE not in texts(log)
    assert STREAM_LINE in texts(file.read_text().splitlines())
