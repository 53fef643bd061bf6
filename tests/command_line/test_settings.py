"""Settings: what is refused, by name and before any request, and what each one does."""

from __future__ import annotations

import json
import os
import sys
import typing as t
from datetime import datetime

import pytest
from singer_sdk.exceptions import ConfigValidationError

from sandbox import Sandbox, Switches, make_account
from support.tap_runs import RECIPIENTS, FakeClock, legacy, run_process, run_tap, settings
from tap_zoho_campaigns_recipients.settings import Settings
from tap_zoho_campaigns_recipients.tap import TapZohoCampaignsRecipients

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PREFIX = "TAP_ZOHO_CAMPAIGNS_RECIPIENTS_"

SECRETS = {
    "client_secret": "PLANTED-client-secret-1",
    "refresh_token": "PLANTED-refresh-token-2",
    "access_token": "PLANTED-access-token-3",
    "auth_token": "PLANTED-auth-token-4",
    "rate_limit_store": "redis://user:PLANTED-password-5@127.0.0.1:1/0",
}
OAUTH = {
    "client_id": "1000.ID",
    "client_secret": SECRETS["client_secret"],
    "refresh_token": SECRETS["refresh_token"],
}
"""One complete way to authenticate."""

NOT_HTTPS = "must be https: plain http is for loopback addresses only"
NO_HOST = "must be a scheme and a host, such as https://campaigns.zoho.com"
NO_KEYS = (
    "campaign_keys must have at least one entry and no blank one; leave it out to read every "
    "campaign"
)
LOOPBACK = ("127.0.0.1", "127.8.9.10", "localhost", "[::1]")


@pytest.fixture(scope="module")
def zoho() -> Iterator[Sandbox]:
    """Three campaigns; nobody may have asked it for anything where settings are bad."""
    # Ten tokens in ten minutes are too few for these many runs.
    with Sandbox(make_account(3, 8), switches=Switches(token_limit=None)) as it:
        yield it


@pytest.fixture(autouse=True)
def _fresh_log(zoho: Sandbox) -> None:
    zoho.reset_log()


def refused(config: dict[str, t.Any]) -> list[str]:
    """Return the lines with which the tap refuses a configuration."""
    with pytest.raises(ConfigValidationError) as caught:
        TapZohoCampaignsRecipients(config=config)
    assert "PLANTED" not in str(caught.value)
    return list(caught.value.errors)


ROOT_NEEDED = "storage.root must be the address of a folder, such as file:///data/zoho"

BAD: list[tuple[dict[str, t.Any], str]] = [
    (
        {"data_center": "uk"},
        "data_center must be one of com, eu, in, com.au, com.cn, jp, ca, sa",
    ),
    *(
        ({name: url}, f"{name} {problem}")
        for name in ("api_url", "accounts_url")
        for url, problem in (
            ("http://campaigns.zoho.com", NOT_HTTPS),
            ("http://10.0.0.1:8080", NOT_HTTPS),
            ("http://0.0.0.0", NOT_HTTPS),
            ("http://localhost.example.com", NOT_HTTPS),
            ("http://127.0.0.1.example.com", NOT_HTTPS),
            ("campaigns.zoho.com", NO_HOST),
            ("ftp://campaigns.zoho.com", NO_HOST),
            ("https://campaigns.zoho.com/api/v1.1", NO_HOST),
            ("https://campaigns.zoho.com?x=1", NO_HOST),
            ("https://campaigns.zoho.com#x", NO_HOST),
            ("https://", NO_HOST),
            ("https://campaigns .zoho.com", NO_HOST),
            ("https://campaigns\n.zoho.com", NO_HOST),
            ("https://campaigns.zoho.com:0", NO_HOST),
            ("https://campaigns.zoho.com:99999", "is not a URL"),
            ("https://[::1", "is not a URL"),
            ("https://me:PLANTED@campaigns.zoho.com", "must not hold credentials"),
        )
    ),
    *(
        (
            {"campaign_keys": keys},
            NO_KEYS,
        )
        for keys in ([], [""], ["3zabc", "  "])
    ),
    *(
        (
            {"campaign_keys": ["3zabc", key]},
            (
                "campaign_keys must be a list of keys such as 3z1f0a9c: none of them has blanks, "
                "quotation marks, brackets or commas"
            ),
        )
        for key in ("3zd\nef", "3z\0", "3z\u20281", "3z 1", '["3z1"]', "[3z1]", "3z1,3z2", 'x"y')
    ),
    *(
        ({name: value}, f"{name} is in quotation marks: give it without them")
        for name, value in (
            ("client_secret", '"PLANTED"'),
            ("data_center", "'eu'"),
            ("campaign_keys", ['"3z1"']),
            ("campaign_keys", "'[\"3z1\"]'"),
            ("api_url", ' "https://campaigns.zoho.com"\n'),
            ("page_size", "'100'"),
        )
    ),
    *(
        ({name: "x"}, f"{name} is not the name of a setting: {meant} is meant, or take it out")
        for name, meant in (
            ("datacenter", "data_center"),
            ("campaign_key", "campaign_keys"),
            ("start_data", "start_date"),
            ("refreshtoken", "refresh_token"),
            ("client-id", "client_id"),
            ("stream_map", "stream_maps"),
            ("flattening_enable", "flattening_enabled"),
        )
    ),
    *(
        ({"batch_config": value}, f"batch_config.{line}")
        for value, line in (
            ({"encoding": {"format": "jsonl"}}, ROOT_NEEDED),
            ({"encoding": {"format": "jsonl"}, "storage": {"root": " "}}, ROOT_NEEDED),
            (
                {"encoding": {"format": "jsonl"}, "storage": {"root": "s4://bucket"}},
                "storage.root cannot be used: Unsupported filesystem: 's4'",
            ),
            ({"storage": {"root": "file:///x"}}, "encoding.format must be jsonl"),
            (
                {"encoding": {"format": "jsonl"}, "storage": {"root": "/x"}, "batch_size": 0},
                "batch_size must be a whole number of 1 or more",
            ),
            (
                {"encoding": {"format": "jsonl"}, "storage": {"root": "/x", "bucket": "y"}},
                "storage.bucket is not known: batch_config.storage has root, prefix, params",
            ),
        )
    ),
    *(
        ({"stream_maps": value, "stream_map_config": {"blank": ""}}, line)
        for value, line in (
            (
                {"opened_contact": {"contact_email": "md5(contact_email)"}},
                (
                    'stream_maps names "opened_contact", and no stream is called so: did you mean '
                    "opened_contacts?"
                ),
            ),
            (
                {"copy": {"__source__": "nothing_*"}},
                (
                    'stream_maps names "nothing_*", and no stream is called so: see --discover for '
                    "their names"
                ),
            ),
            (
                {"opened_contacts": {"first_name": " "}},
                (
                    "stream_maps.opened_contacts.first_name is empty: write an expression, or take "
                    "the line out"
                ),
            ),
            ({"__else__": "x"}, "stream_maps.__else__ must be null"),
            (
                {"opened_contacts": {"__else__": "x"}},
                "stream_maps.opened_contacts.__else__ must be null",
            ),
            (
                {"opened_contacts": {"first_name": 5}},
                "stream_maps.opened_contacts.first_name must be null or text",
            ),
            ({"opened_contacts": []}, "stream_maps.opened_contacts must be null or an object"),
            *(
                (
                    {"opened_contacts": {"contact_email": f"config['{name}'] + contact_email"}},
                    (
                        f"stream_map_config has no value for {name}, which "
                        "stream_maps.opened_contacts.contact_email uses"
                    ),
                )
                for name in ("salt", "blank")
            ),
        )
    ),
    ({"campaign_keys": "3zabc"}, "campaign_keys must be a list"),
    ({"campaign_keys": [1]}, "campaign_keys.0 must be text"),
    *(
        ({"start_date": text}, "start_date must be a date and time such as 2026-01-31T00:00:00Z")
        for text in ("yesterday", "2026-13-01", "01.02.2026", "2026-02-30T00:00:00Z")
    ),
    ({"response_format": "csv"}, "response_format must be one of json, xml"),
    ({"response_format": "XML "}, "response_format must be one of json, xml"),
    *(
        ({"account_timezone": name}, line)
        for name in ("Mars/Phobos", "UTC+2", "../../etc/passwd", "America", "/etc/localtime", "\0")
        for line in ("account_timezone must be the IANA name of a time zone such as Europe/Berlin",)
    ),
    ({"page_size": 0}, "page_size must be 1 or more"),
    ({"page_size": 1_001}, "page_size must be 1000 or less"),
    ({"page_size": "many"}, "page_size must be a whole number"),
    ({"page_size": 2.5}, "page_size must be a whole number"),
    ({"page_size": "2.5"}, "page_size must be a whole number"),
    ({"page_size": True}, "page_size must be a whole number"),
    ({"engagement_window_days": -1}, "engagement_window_days must be 0 or more"),
    ({"engagement_window_days": "sixty"}, "engagement_window_days must be a whole number"),
    ({"max_parallel_requests": 0}, "max_parallel_requests must be 1 or more"),
    ({"max_parallel_requests": 17}, "max_parallel_requests must be 16 or less"),
    ({"rate_limit_calls": 0}, "rate_limit_calls must be 1 or more"),
    ({"rate_limit_period": 0}, "rate_limit_period must be 1 or more"),
    ({"rate_limit_period": []}, "rate_limit_period must be a whole number"),
    ({"rate_limit_lock_wait": -0.5}, "rate_limit_lock_wait must be 0 or more"),
    ({"rate_limit_lock_wait": "soon"}, "rate_limit_lock_wait must be a number"),
    ({"rate_limit_lock_wait": float("inf")}, "rate_limit_lock_wait must be 1000000000 or less"),
    ({"retry_wait": -1}, "retry_wait must be 0 or more"),
    ({"retry_wait": float("nan")}, "retry_wait must be 1000000000 or less"),
    ({"request_timeout": 0}, "request_timeout must be more than 0"),
    ({"request_timeout": 10**10}, "request_timeout must be 1000000000 or less"),
    *(
        (
            {"rate_limit_store": store},
            "rate_limit_store must be file, memory, or a redis:// or rediss:// URL",
        )
        for store in (
            "disk",
            "postgres://me:PLANTED@db.example",
            "PLANTED",
            "redis://:a[PLANTED]b@127.0.0.1:6379/0",
            "redis://[::1/0",
            "redis://127.0.0.1:PLANTED/0",
            "redis:///0",
        )
    ),
    ({"rate_limit_store": 6_379}, "rate_limit_store must be text"),
    ({"client_secret": 12_345}, "client_secret must be text"),
    ({"refresh_token": ["PLANTED"]}, "refresh_token must be text"),
    ({"refresh_token": "PLANTED\nX: y"}, "refresh_token must be printable ASCII on one line"),
    ({"client_secret": "PLANTED „quoted“"}, "client_secret must be printable ASCII on one line"),
    ({"user_agent": "two\r\nlines: x"}, "user_agent must be printable ASCII on one line"),
]


@pytest.mark.parametrize(("change", "line"), BAD, ids=lambda value: str(value)[:60])
def test_bad_setting(zoho: Sandbox, change: dict[str, t.Any], line: str) -> None:
    """A bad setting is refused by name before any request, without the value of a secret."""
    assert refused({**settings(zoho), **change}) == [line]
    assert zoho.requests == []


ALL_THREE = "client_id/client_secret/refresh_token"
CLASH = "Only one way to authenticate may be given, these clash:"
NONE_GIVEN = (
    "No credentials are given: set client_id, client_secret and refresh_token, or access_token, "
    "or auth_token"
)


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        ((), [NONE_GIVEN]),
        (
            ("client_id",),
            ["client_id is given without client_secret and refresh_token: OAuth needs all three"],
        ),
        (
            ("client_id", "refresh_token"),
            ["client_id and refresh_token are given without client_secret: OAuth needs all three"],
        ),
        (
            ("client_secret", "refresh_token"),
            ["client_secret and refresh_token are given without client_id: OAuth needs all three"],
        ),
        (
            ("access_token", "auth_token"),
            [
                f"{CLASH} access_token, auth_token",
            ],
        ),
        (
            ("client_id", "client_secret", "refresh_token", "access_token"),
            [f"{CLASH} {ALL_THREE}, access_token"],
        ),
        (
            ("client_id", "client_secret", "refresh_token", "access_token", "auth_token"),
            [f"{CLASH} {ALL_THREE}, access_token, auth_token"],
        ),
        (
            ("refresh_token", "auth_token"),
            [
                f"{CLASH} {ALL_THREE}, auth_token",
                "refresh_token is given without client_id and client_secret: OAuth needs all three",
            ],
        ),
    ],
)
def test_exactly_one_way_to_authenticate(given: tuple[str, ...], lines: list[str]) -> None:
    """None, two or half of a way to authenticate is refused: what is missing, what clashes."""
    values = {"client_id": "1000.ID", **SECRETS}
    assert refused({name: values[name] for name in given}) == lines
    blank = dict.fromkeys(("client_id", *SECRETS), "  ")
    assert refused({**blank, **{name: values[name] for name in given}}) == lines


@pytest.mark.parametrize("way", ["oauth", "access_token", "auth_token"])
def test_three_ways_to_authenticate(zoho: Sandbox, way: str) -> None:
    """Each of the three ways to authenticate gives the same rows."""
    account = zoho.account
    none = dict.fromkeys(("client_id", "client_secret", "refresh_token"))
    config = {
        "oauth": settings(zoho),
        "access_token": settings(zoho, **none, access_token=account.access_token),
        "auth_token": legacy(zoho),
    }[way]
    outcome = run_tap(config, streams=["sent_contacts"])
    assert outcome.error is None
    assert len(outcome.records["sent_contacts"]) == 24
    assert zoho.calls("token") == (1 if way == "oauth" else 0)


def test_every_wrong_setting_has_its_line() -> None:
    """Several bad settings are several lines."""
    assert refused({"page_size": 0, "data_center": "uk", "retry_wait": -1}) == [
        "data_center must be one of com, eu, in, com.au, com.cn, jp, ca, sa",
        "page_size must be 1 or more",
        "retry_wait must be 0 or more",
    ]
    assert refused({"campaign_keys": [], "start_date": "x", "account_timezone": "y"}) == [
        NONE_GIVEN,
        "start_date must be a date and time such as 2026-01-31T00:00:00Z",
        "account_timezone must be the IANA name of a time zone such as Europe/Berlin",
        NO_KEYS,
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"page_size": 0, "access_token": SECRETS["access_token"]},
        {"access_token": SECRETS["access_token"], "auth_token": SECRETS["auth_token"]},
        {"rate_limit_store": SECRETS["rate_limit_store"].replace("redis", "mysql")},
        {"client_secret": [SECRETS["client_secret"]]},
        {"api_url": "https://me:PLANTED-password-6@zoho.example"},
        {"accounts_url": "http://zoho.example/?token=PLANTED-token-7"},
    ],
    ids="+".join,
)
def test_bad_settings_end_the_process(
    zoho: Sandbox, tmp_path: Path, change: dict[str, t.Any]
) -> None:
    """The process ends with code 1, a line, no traceback, no secret and no request."""
    outcome = run_process(
        {"api_url": zoho.url, "accounts_url": zoho.url, **OAUTH, **change}, tmp_path
    )
    assert outcome.exit_code == 2
    assert outcome.messages == []
    errors = [line for line in outcome.log if "ERROR" in line]
    assert errors == outcome.log[-len(errors) :]
    assert any(name in line for line in errors for name in change)
    said = "\n".join(outcome.log)
    assert "Traceback" not in said
    assert "PLANTED" not in said
    assert zoho.requests == []


# Values


@pytest.mark.parametrize(
    ("data_center", "domain"),
    [
        ("com", "zoho.com"),
        ("eu", "zoho.eu"),
        ("in", "zoho.in"),
        ("com.au", "zoho.com.au"),
        ("com.cn", "zoho.com.cn"),
        ("jp", "zoho.jp"),
        ("ca", "zohocloud.ca"),
        ("sa", "zoho.sa"),
    ],
)
def test_hosts_of_a_data_center(data_center: str, domain: str) -> None:
    """`data_center` gives both hosts; `api_url` and `accounts_url` stand above it."""
    tap = TapZohoCampaignsRecipients(config={**OAUTH, "data_center": data_center})
    of_center = Settings.from_config(tap.config, "x")
    assert of_center.api_url == f"https://campaigns.{domain}"
    assert of_center.accounts_url == f"https://accounts.{domain}"
    both = Settings.from_config({**tap.config, "api_url": "https://proxy.example/"}, "x")
    assert both.api_url == "https://proxy.example"
    assert both.accounts_url == f"https://accounts.{domain}"


def test_defaults() -> None:
    """What is not set has the contract's default."""
    tap = TapZohoCampaignsRecipients(config=OAUTH)
    chosen = Settings.from_config(tap.config, "tap/1")
    assert chosen == Settings(
        **OAUTH,
        access_token=None,
        auth_token=None,
        api_url="https://campaigns.zoho.com",
        accounts_url="https://accounts.zoho.com",
        campaign_keys=(),
        start_ms=None,
        response_format="json",
        page_size=1000,
        engagement_window_days=60,
        reread_after_days=7,
        account_timezone=None,
        max_parallel_requests=4,
        rate_limit_calls=480,
        rate_limit_period=300,
        rate_limit_lock_wait=1_800,
        rate_limit_store="file",
        rate_limit_account=None,
        retry_wait=1,
        request_timeout=60,
        user_agent="tap/1",
    )


@pytest.mark.parametrize("host", LOOPBACK)
def test_plain_http_is_for_loopback(host: str) -> None:
    """Only loopback addresses may be asked without https."""
    url = f"http://{host}:8080"
    config = {**OAUTH, "api_url": url, "accounts_url": url}
    assert TapZohoCampaignsRecipients(config=config).config["api_url"] == url


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-31", "2026-01-31T00:00:00+00:00"),
        ("2026-01-31T10:00:00Z", "2026-01-31T10:00:00+00:00"),
        ("2026-01-31 10:00:00", "2026-01-31T10:00:00+00:00"),
        ("2026-01-31T10:00:00.5+02:00", "2026-01-31T08:00:00.500+00:00"),
        ("20260131T100000Z", "2026-01-31T10:00:00+00:00"),
    ],
)
def test_start_dates(text: str, moment: str) -> None:
    """`start_date` may have any offset or none, which is UTC, and a day is its beginning."""
    tap = TapZohoCampaignsRecipients(config={**OAUTH, "start_date": text})
    start_ms = Settings.from_config(tap.config, "x").start_ms
    assert start_ms == datetime.fromisoformat(moment).timestamp() * 1000


def test_numbers_may_be_text(zoho: Sandbox) -> None:
    """Numbers that come as text, and fractions that are whole, are the numbers they mean."""
    config = settings(zoho, page_size="3", retry_wait="0.5", max_parallel_requests=2.0)
    tap = TapZohoCampaignsRecipients(config=config)
    chosen = Settings.from_config(tap.config, "x")
    assert (chosen.page_size, chosen.retry_wait, chosen.max_parallel_requests) == (3, 0.5, 2)
    assert isinstance(chosen.max_parallel_requests, int)


def test_settings_without_an_upper_bound(zoho: Sandbox) -> None:
    """`rate_limit_calls`, `rate_limit_period` and `engagement_window_days` have no upper bound."""
    config = settings(
        zoho, rate_limit_calls=10**18, rate_limit_period=10**18, engagement_window_days=10**18
    )
    outcome = run_tap(config, clock=FakeClock())
    assert outcome.error is None
    assert len(outcome.records["sent_contacts"]) == 24


def test_blank_settings_are_absent(zoho: Sandbox) -> None:
    """An orchestrator hands over an unset variable as an empty text: that is no value."""
    blank = ("start_date", "access_token", "data_center", "page_size", "rate_limit_lock_wait")
    config = {**settings(zoho), **dict.fromkeys(blank, ""), "auth_token": " ", "user_agent": None}
    tap = TapZohoCampaignsRecipients(config=config)
    chosen = Settings.from_config(tap.config, "x")
    assert (chosen.page_size, chosen.rate_limit_lock_wait, chosen.user_agent) == (1000, 1_800, "x")


def test_page_size_is_range(zoho: Sandbox) -> None:
    """`page_size` is what is asked for with `range`."""
    run_tap(settings(zoho, page_size=7), streams=["sent_contacts"])
    assert {each.range for each in zoho.requests if each.endpoint == RECIPIENTS} == {7}


@pytest.mark.parametrize("response_format", ["json", "xml"])
def test_response_format_is_for_recipients(zoho: Sandbox, response_format: str) -> None:
    """`response_format` is asked of the recipients endpoint; the others always give JSON."""
    run_tap(settings(zoho, response_format=response_format), streams=["sent_contacts"])
    asked = {
        (each.endpoint == RECIPIENTS, each.params["resfmt"])
        for each in zoho.requests
        if each.endpoint != "token"
    }
    assert asked == {(True, response_format.upper()), (False, "JSON")}


@pytest.mark.parametrize("user_agent", [None, "My company's warehouse/2 (it@example.com)"])
def test_user_agent(zoho: Sandbox, user_agent: str | None) -> None:
    """`user_agent` is sent with every request, else the tap's name and version."""
    run_tap(settings(zoho, user_agent=user_agent), streams=["sent_contacts"])
    version = TapZohoCampaignsRecipients(validate_config=False).plugin_version
    expected = user_agent or f"tap-zoho-campaigns-recipients/{version}"
    assert {each.headers["user-agent"] for each in zoho.requests} == {expected}


# The environment


def environment(**values: str) -> dict[str, str]:
    """This process's environment with these settings and no others."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(PREFIX)},
        **{PREFIX + name.upper(): value for name, value in values.items()},
        # From a checkout that is not installed it is found here.
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }


@pytest.mark.parametrize("spelling", ["json", "commas", "one"])
def test_settings_from_the_environment_only(zoho: Sandbox, tmp_path: Path, spelling: str) -> None:
    """Every setting can come from an environment variable, as text."""
    keys = list(zoho.account.campaigns)[: 1 if spelling == "one" else 2]
    outcome = run_process(
        {},
        tmp_path,
        "--config=ENV",
        cwd=tmp_path,
        env=environment(
            client_id=zoho.account.client_id,
            client_secret=zoho.account.client_secret,
            refresh_token=zoho.account.refresh_token,
            api_url=zoho.url,
            accounts_url=zoho.url,
            page_size="5",
            rate_limit_store="memory",
            rate_limit_calls="1000000",
            retry_wait="0.5",
            data_center="",
            start_date="2020-01-01T00:00:00Z",
            campaign_keys=json.dumps(keys) if spelling == "json" else ", ".join(keys),
        ),
    )
    assert outcome.exit_code == 0, outcome.log
    assert sorted(record["campaign_key"] for record in outcome.records["campaigns"]) == sorted(keys)
    assert len(outcome.records["sent_contacts"]) == 8 * len(keys)
    assert {each.range for each in zoho.requests if each.endpoint == RECIPIENTS} == {5}


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("page_size", "many", "page_size must be a whole number"),
        ("retry_wait", "PLANTED", "retry_wait must be a number"),
        (
            "campaign_keys",
            "[]",
            NO_KEYS,
        ),
        ("campaign_keys", '{"a": 1}', "campaign_keys must be a list"),
        ("stream_maps", "{sent_contacts: null}", "stream_maps must be an object"),
        ("flattening_enabled", "maybe", "flattening_enabled must be true or false"),
    ],
)
def test_bad_environment(
    zoho: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    name: str,
    text: str,
    line: str,
) -> None:
    """What cannot be read from the environment is refused as it is from a file."""
    monkeypatch.chdir(tmp_path)
    for each, value in {**settings(zoho), name: text}.items():
        monkeypatch.setenv(PREFIX + each.upper(), str(value))
    with pytest.raises(ConfigValidationError) as caught:
        TapZohoCampaignsRecipients(parse_env_config=True)
    assert caught.value.errors == [line]
    assert zoho.requests == []


@pytest.mark.parametrize("blank", ["", "  "])
def test_blank_variables_are_absent(zoho: Sandbox, tmp_path: Path, blank: str) -> None:
    """A blank variable is no value, whatever the type of its setting: what the file says holds."""
    (key, *_) = zoho.account.campaigns
    file = settings(zoho, campaign_keys=[key], page_size=5, flattening_enabled=True)
    file["flattening_max_depth"] = 1
    names = (*file, "start_date", "stream_maps", "stream_map_config", "batch_config")
    env = environment(**dict.fromkeys(names, blank))
    outcome = run_process(file, tmp_path, "--config=ENV", cwd=tmp_path, env=env)
    assert outcome.exit_code == 0, outcome.log
    assert [record["campaign_key"] for record in outcome.records["campaigns"]] == [key]
    assert {type(record["custom_fields"]) for record in outcome.records["sent_contacts"]} == {str}
    assert {each.range for each in zoho.requests if each.endpoint == RECIPIENTS} == {5}


@pytest.mark.parametrize("key", ["1293333000006562002", "12e34"])
def test_a_key_of_digits(zoho: Sandbox, tmp_path: Path, key: str) -> None:
    """A key that could be a number is a key, alone in its variable too."""
    env = environment(campaign_keys=key, retry_wait="0")
    outcome = run_process(settings(zoho), tmp_path, "--config=ENV", cwd=tmp_path, env=env)
    asked = {each.params.get("campaignkey") for each in zoho.requests} - {None}
    assert asked == {key}
    assert f"campaign {key}," in outcome.log[-1]


def test_environment_stands_above_files(zoho: Sandbox, tmp_path: Path) -> None:
    """The environment stands above `.env` in the working folder, and both above the file."""
    variables = {name: str(value) for name, value in settings(zoho).items()}
    file = {"page_size": 3, "engagement_window_days": 9, "user_agent": "from the file"}
    (tmp_path / ".env").write_text(
        f"# A comment\n{PREFIX}PAGE_SIZE=4\n{PREFIX}ENGAGEMENT_WINDOW_DAYS=\n"
        f"{PREFIX}CAMPAIGN_KEYS='{json.dumps(list(zoho.account.campaigns)[:2])}'\n"
        f"{PREFIX}MAX_PARALLEL_REQUESTS=1\n"
    )
    below = tmp_path / "below"
    below.mkdir()
    for folder, page_size, campaigns in ((tmp_path, 4, 2), (below, 3, 3)):
        zoho.reset_log()
        outcome = run_process(
            file, folder, "--config=ENV", env=environment(**variables), cwd=folder
        )
        assert outcome.exit_code == 0, outcome.log
        assert len(outcome.records["sent_contacts"]) == 8 * campaigns
        asked = [each for each in zoho.requests if each.endpoint == RECIPIENTS]
        assert {each.range for each in asked} == {page_size}
        assert {each.headers["user-agent"] for each in asked} == {"from the file"}


@pytest.mark.parametrize("options", [(), ("--test",), ("--discover",)])
def test_dot_env_in_another_encoding(
    zoho: Sandbox, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """A `.env` that is not UTF-8 is one line, before any request."""
    (tmp_path / ".env").write_bytes("# Schlüssel\n".encode("latin-1"))
    arguments = ("--config=ENV", *options)
    outcome = run_process(
        settings(zoho), tmp_path, *arguments, cwd=tmp_path, env=environment(page_size="5")
    )
    assert outcome.exit_code == 2
    assert outcome.log[-1].endswith(f"The file {tmp_path / '.env'} is not text in UTF-8")
    assert "Traceback" not in "\n".join(outcome.log)
    assert zoho.requests == []


def test_dot_env_is_for_config_env_only(zoho: Sandbox, tmp_path: Path) -> None:
    """A run with a configuration file alone takes nothing from the environment."""
    (tmp_path / ".env").write_text(f"{PREFIX}PAGE_SIZE=4\n")
    env = environment(page_size="5")
    outcome = run_process(settings(zoho), tmp_path, env=env, cwd=tmp_path)
    assert outcome.exit_code == 0, outcome.log
    assert {each.range for each in zoho.requests if each.endpoint == RECIPIENTS} == {1000}


def test_fractions_from_a_file(zoho: Sandbox, tmp_path: Path) -> None:
    """A fraction in the configuration file is a number to wait with."""
    zoho.faults.add("500", endpoint=RECIPIENTS, times=2)
    config = settings(zoho, retry_wait=0.01, request_timeout=5.5, rate_limit_lock_wait=0.5)
    outcome = run_process(config, tmp_path)
    assert outcome.exit_code == 0, outcome.log
    assert len(outcome.records["sent_contacts"]) == 24


def test_texts_are_trimmed() -> None:
    """Blanks and line ends around any text are left out, as files and shells add them."""
    tap = TapZohoCampaignsRecipients(
        config={
            "access_token": "token\n",
            "data_center": " eu\n",
            "api_url": " https://proxy.example\n",
            "start_date": "2026-01-31T00:00:00Z\n",
            "account_timezone": "Europe/Berlin ",
            "response_format": "xml ",
        }
    )
    assert {name: tap.config[name] for name in ("access_token", "data_center", "api_url")} == {
        "access_token": "token",
        "data_center": "eu",
        "api_url": "https://proxy.example",
    }
    assert tap.config["start_date"] == "2026-01-31T00:00:00Z"
    assert tap.config["account_timezone"] == "Europe/Berlin"
    assert tap.config["response_format"] == "xml"
