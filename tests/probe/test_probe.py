"""The probe: what it finds out, what it says, what it never says."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import shlex
import subprocess
import sys
import sysconfig
import typing as t
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner

from sandbox import POSITIONS, Account, Moves, Sandbox, Switches, make_account, make_campaign
from sandbox.switches import set_from_probe
from support.documents import ROOT, code, read
from support.planted import WORD, leak, planted_account
from support.tap_runs import FakeClock, legacy, run_tap, settings
from tap_zoho_campaigns_recipients.probe import main
from tap_zoho_campaigns_recipients.probing.answers import QUESTIONS

if t.TYPE_CHECKING:
    from click.testing import Result

    from sandbox import Logged

NAMES = [name for name in QUESTIONS if name in {each.name for each in dataclasses.fields(Switches)}]
MOST_CALLS = 40
INDIA_MINUTES = 330


def rich_account() -> Account:
    """An account that can answer nearly every question."""
    account = Account(timezone="Asia/Kolkata")
    make_campaign(account, "big", recipients=1_100, opened=300, clicked=150, days_ago=3)
    make_campaign(account, "test", recipients=60, type="abtesting", days_ago=5)
    make_campaign(account, "small", recipients=9, opened=4, clicked=2, days_ago=8)
    make_campaign(account, "draft", status="Draft", days_ago=1)
    return account


@pytest.fixture(scope="module")
def account() -> Account:
    """Nobody changes it."""
    return rich_account()


def probe(
    zoho: Sandbox, folder: Path, *arguments: str, config: dict[str, t.Any] | None = None
) -> Result:
    """Run the probe."""
    path = folder / "config.json"
    path.write_text(json.dumps(config or settings(zoho, rate_limit_store="memory")))
    zoho.reset_log()
    output = str(folder / "probe.json")
    result = CliRunner().invoke(main, ["--config", str(path), "--output", output, *arguments])
    assert "Traceback" not in result.output
    assert sum(each.endpoint != "token" for each in zoho.requests) <= MOST_CALLS
    return result


def found(folder: Path) -> dict[str, dict[str, t.Any]]:
    """Return the answers of the file."""
    document = json.loads((folder / "probe.json").read_text())
    return t.cast("dict[str, dict[str, t.Any]]", document["answers"])


def answers_of(account: Account, switches: Switches, folder: Path) -> dict[str, dict[str, t.Any]]:
    """Probe an account whose API stands like this."""
    with Sandbox(account, switches=switches) as zoho:
        result = probe(zoho, folder, "--force")
        assert result.exit_code == 0, result.output
    return found(folder)


def assert_right(answers: dict[str, dict[str, t.Any]], switches: Switches) -> None:
    """See that each answer is the position of its switch, or unknown."""
    for name in NAMES:
        if answers[name]["confidence"] != "unknown":
            truth = getattr(switches, name)
            if name == "utc_offset_minutes" and truth is None:
                truth = INDIA_MINUTES
            assert answers[name]["value"] == truth, (name, answers[name])


CASES = [
    *((name, position) for name in POSITIONS for position in POSITIONS[name]),
    *(("page_bytes", size) for size in (900, 20_000, 100_000)),
    *(("hides_every", number) for number in (3, 11, 100)),
    *(("ends_at", index) for index in (15, 301, 900)),
    *(("moves", Moves(rate=1.0, seed=seed)) for seed in range(5)),
    ("order", "random"),
]
ELSEWHERE = {
    **{("range_error", value): {"range_error_above": 100} for value in ("1001", "1005")},
    ("range_error", "http_400"): {"range_error_above": 100},
    ("utc_offset_minutes", "-300"): {},
    ("utc_offset_minutes", "345"): {},
}


@pytest.mark.parametrize(
    ("name", "position"), [*CASES, *((name, position) for name, position in ELSEWHERE)], ids=str
)
def test_positions(account: Account, tmp_path: Path, name: str, position: object) -> None:
    """For each position of each switch, an answer is that position or unknown."""
    switches = Switches()
    for each, value in {name: position, **ELSEWHERE.get((name, str(position)), {})}.items():
        if isinstance(value, Moves):
            switches.moves, account = value, rich_account()
        else:
            switches.set(each, value)
    assert_right(answers_of(account, switches, tmp_path), switches)


CANNOT_BE_KNOWN = {
    "order": "whether a repeated order is the order of sending",
    "listing_range_cap": "with few campaigns",
    "utc_offset_minutes": "in a zone's own time",
    "reports": "whether they lag",
    "range_error": "where no range is refused",
    "echo": "where no page is cut",
}


def test_defaults(account: Account, tmp_path: Path) -> None:
    """With an account that can tell, nearly every question is answered, in less than 40 calls."""
    answers = answers_of(account, Switches(), tmp_path)
    unknown = {name for name, answer in answers.items() if answer["confidence"] == "unknown"}
    assert unknown == CANNOT_BE_KNOWN.keys() - {"utc_offset_minutes"}
    assert answers["utc_offset_minutes"]["value"] == INDIA_MINUTES
    document = json.loads((tmp_path / "probe.json").read_text())
    assert sum(document["calls"].values()) <= MOST_CALLS
    assert set(document) == {
        *("version", "tap_version", "probed_at", "data_center", "calls", "answers", "shapes")
    }
    assert all(
        set(each) == {"value", "confidence", "evidence", "assumed"} for each in answers.values()
    )


@pytest.mark.parametrize("seed", range(25))
def test_mixtures(account: Account, tmp_path: Path, seed: int) -> None:
    """In any mixture an answer is right or unknown; a sandbox from the file answers the same."""
    rng = random.Random(seed)
    switches = Switches()
    for name, position in rng.sample(CASES, rng.randint(2, 9)):
        if not isinstance(position, Moves):
            switches.set(name, position)
    answers = answers_of(account, switches, tmp_path)
    assert_right(answers, switches)
    again = Switches()
    set_from_probe(again, json.loads((tmp_path / "probe.json").read_text()))
    repeated = answers_of(account, again, tmp_path)
    for name, answer in answers.items():
        if answer["confidence"] != "unknown":
            assert repeated[name]["value"] == answer["value"], name
            assert repeated[name]["confidence"] == answer["confidence"], name


# Accounts that can answer little


def awkward(kind: str) -> Account:
    """Return an account of a kind."""
    account = Account(timezone="Asia/Kolkata")
    if kind == "one campaign":
        make_campaign(account, recipients=3, opened=1, days_ago=2)
    elif kind == "only drafts":
        make_campaign(account, status="Draft", days_ago=2)
        make_campaign(account, status="Draft", days_ago=4)
    elif kind == "only empty lists":
        make_campaign(account, recipients=0, opened=0, days_ago=2)
    elif kind == "no privileges":
        for campaign in make_account(3, 20).campaigns.values():
            campaign.refusal = "6607"
            account.add(campaign)
    return account


@pytest.mark.parametrize(
    "kind", ["none", "one campaign", "only drafts", "only empty lists", "no privileges"]
)
def test_awkward_accounts(tmp_path: Path, kind: str) -> None:
    """An account that can answer little ends in a file that says so, and in no error."""
    with Sandbox(awkward(kind)) as zoho:
        result = probe(zoho, tmp_path)
    assert result.exit_code == 0
    assert "No campaign of this account could answer:" in result.stdout
    answers = found(tmp_path)
    assert answers["openreports"]["confidence"] == "unknown" or kind == "one campaign"
    assert_right(answers, Switches())


def test_legacy(tmp_path: Path) -> None:
    """The legacy API is probed as well; its token leaves in no URL."""
    with Sandbox(rich_account()) as zoho:
        result = probe(zoho, tmp_path, config=legacy(zoho, rate_limit_store="memory"))
        assert result.exit_code == 0
        assert all("authtoken" not in each.path for each in zoho.requests)
    assert found(tmp_path)["empty_list"]["value"] == "6303"
    assert found(tmp_path)["params_from"]["confidence"] == "unknown"


# Ends before the end


@pytest.mark.parametrize("endpoint", ["recentcampaigns", "getcampaignrecipientsdata"])
def test_lock(tmp_path: Path, endpoint: str) -> None:
    """A lock ends the probe with code 4; the file has what was found out before."""
    with Sandbox(rich_account()) as zoho:
        zoho.lock_endpoint(endpoint, 600)
        result = probe(zoho, tmp_path)
        assert result.exit_code == 4
        assert f"The probe ended early. Zoho answered {endpoint}" in result.stderr
        assert zoho.calls(endpoint) == 1
    is_later = endpoint != "recentcampaigns"
    assert (found(tmp_path)["gmt_fields"]["confidence"] == "seen") is is_later


def test_revoked_token(tmp_path: Path) -> None:
    """A token that is revoked in the middle ends it with code 3, and the file is written."""
    with Sandbox(rich_account()) as zoho:

        def revoke(call: Logged) -> None:
            if call.endpoint == "getcampaigndetails":
                zoho.tokens.revoke_access_tokens()
                zoho.tokens.revoke_refresh_token()

        zoho.before_request = revoke
        result = probe(zoho, tmp_path)
    assert result.exit_code == 3
    assert "The probe ended early." in result.stderr
    assert "refresh_token" in result.stderr
    assert found(tmp_path)["gmt_fields"]["value"] is True
    assert found(tmp_path)["past_end"]["confidence"] == "unknown"


def test_no_server(tmp_path: Path) -> None:
    """Where no server answers, that is said in a line."""
    with Sandbox(Account()) as zoho:
        config = settings(zoho, api_url="http://127.0.0.1:9", rate_limit_store="memory")
        result = probe(zoho, tmp_path, config=config)
    assert result.exit_code == 1
    assert "The server could not be reached" in result.stderr
    assert (tmp_path / "probe.json").exists()


def test_existing_file(tmp_path: Path) -> None:
    """A file that exists is replaced only with --force; no call is made before that is known."""
    path = tmp_path / "probe.json"
    path.write_text("mine")
    with Sandbox(rich_account()) as zoho:
        refused = probe(zoho, tmp_path)
        assert refused.exit_code == 2
        assert f"{path} exists: choose --force, or another --output" in refused.stderr
        assert path.read_text() == "mine"
        assert zoho.requests == []
        assert probe(zoho, tmp_path, "--force").exit_code == 0
    assert path.read_text() != "mine"


def test_bad_settings(tmp_path: Path) -> None:
    """Settings are checked as the tap checks them."""
    with Sandbox(Account()) as zoho:
        result = probe(zoho, tmp_path, config=settings(zoho, client_secret=None, page_size=0))
        assert result.exit_code == 2
        assert "page_size must be 1 or more" in result.stderr
        assert zoho.requests == []


def test_budget_is_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its calls count in the account's rate limit, and a lock that it meets is seen by others."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with Sandbox(rich_account()) as zoho:
        config = settings(zoho)
        config.pop("rate_limit_store", None)
        zoho.switches.retry_after = 900
        zoho.lock_endpoint("campaignreports", 900)
        assert probe(zoho, tmp_path, config=config).exit_code == 4
        zoho.unlock()
        again = probe(zoho, tmp_path, "--force", config=config)
        assert again.exit_code == 4
        assert zoho.calls("campaignreports") == 0


# The file


def test_what_is_unexpected_comes_first(tmp_path: Path) -> None:
    """The summary begins with what the tap does not assume, and what to do about it."""
    switches = Switches(gmt_fields=False, timeline="ignored")
    with Sandbox(rich_account(), switches=switches) as zoho:
        result = probe(zoho, tmp_path)
    lines = result.stdout.splitlines()
    assert lines[0] == "Your account's API does not do what the tap assumes in these points:"
    where = lines.index(
        "  Whether XML rows show events with type=open_timeline: ignored (assumed: xml)"
    )
    assert lines[where + 1] == (
        "    Choose response_format json if you want open_events and click_events."
    )
    assert where < lines.index("Seen:")


@pytest.mark.parametrize(
    ("answers", "past_end", "echo"),
    [
        ({"past_end": {"value": "2502", "confidence": "seen"}}, "2502", "asked"),
        ({"past_end": {"value": "2502", "confidence": "unknown"}}, "6303", "asked"),
        ({"no_such": {"value": 1, "confidence": "seen"}, "echo": 5}, "6303", "asked"),
        (
            {
                "past_end": {"value": "of a later version", "confidence": "seen"},
                "echo": {"value": "none", "confidence": "inferred", "more": 1},
            },
            "6303",
            "none",
        ),
    ],
)
def test_files_of_other_versions(answers: dict[str, t.Any], past_end: str, echo: str) -> None:
    """A sandbox takes of a file what it knows, whatever version it is of."""
    switches = Switches()
    set_from_probe(switches, {"version": 99, "answers": answers})
    assert (switches.past_end, switches.echo) == (past_end, echo)


@pytest.mark.parametrize("document", [{}, [], None, {"answers": 5}, "x"])
def test_no_probe_file(document: object) -> None:
    """What is no probe's file is refused."""
    with pytest.raises(ValueError, match="not a probe's"):
        set_from_probe(Switches(), document)


# The documents


def test_the_commands_of_the_page(tmp_path: Path) -> None:
    """The page's commands probe an account, and serve a sandbox that behaves like it."""
    first = code(read("docs/probe.md"), "probe")
    second = code(read("docs/probe.md"), "probe-sandbox")
    switches = Switches(past_end="2502", echo="none", token_limit=None)
    with Sandbox(rich_account(), switches=switches) as zoho:
        env = {
            f"TAP_ZOHO_CAMPAIGNS_RECIPIENTS_{name.upper()}": str(value)
            for name, value in settings(zoho, rate_limit_store="memory").items()
        }
        program = Path(sysconfig.get_path("scripts")) / first
        done = subprocess.run([program], cwd=tmp_path, env=os.environ | env, check=True)
        assert done.returncode == 0
    words = shlex.split(second.replace("8080", "0"))
    path = tmp_path / "zoho-probe.json"
    words[words.index("zoho-probe.json")] = str(path)
    words[0] = sys.executable
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        url = child.stdout.readline().split()[-1]
        with urllib.request.urlopen(f"{url}/_sandbox/switches") as response:
            served = json.load(response)
        child.terminate()
    assert (served["past_end"], served["echo"]) == ("2502", "none")


# Privacy


@pytest.mark.parametrize("seed", range(50))
def test_no_personal_value(tmp_path: Path, seed: int) -> None:
    """Nothing that an account holds is in the file, the output, or the log at DEBUG."""
    assert leak(seed, tmp_path) is None


def test_planted_values_are_served() -> None:
    """The values that must not be found are in the responses."""
    with Sandbox(planted_account(3)) as zoho:
        outcome = run_tap(settings(zoho))
    text = json.dumps(outcome.messages).lower()
    assert text.count(WORD.lower()) > 100


def test_wait_for_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the rate limit makes it wait, it says so."""
    clock = FakeClock()
    monkeypatch.setattr("tap_zoho_campaigns_recipients.probe.Clock", lambda: clock)
    with Sandbox(awkward("none")) as zoho:
        config = settings(zoho, rate_limit_store="memory", rate_limit_calls=1)
        result = probe(zoho, tmp_path, config=config)
    assert result.exit_code == 0
    assert "The rate limit is reached (calls of earlier runs count): waiting …" in result.stderr
    assert sum(clock.slept) > 200
