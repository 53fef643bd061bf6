"""The tap's settings: their declaration, the checks a JSON Schema cannot say, and their values."""

from __future__ import annotations

import math
import re
import typing as t
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo, available_timezones

from singer_sdk import typing as th

from tap_zoho_campaigns_recipients.sync.run_settings import RunSettings
from tap_zoho_campaigns_recipients.zoho.connection_settings import ConnectionSettings
from tap_zoho_campaigns_recipients.zoho.urls import is_loopback, is_redis_url, url_problem

if t.TYPE_CHECKING:
    from collections.abc import Mapping


REGIONS = {
    "com": "zoho.com",
    "eu": "zoho.eu",
    "in": "zoho.in",
    "com.au": "zoho.com.au",
    "com.cn": "zoho.com.cn",
    "jp": "zoho.jp",
    "ca": "zohocloud.ca",
    "sa": "zoho.sa",
}
"""Zoho's domain in each data centre: the hosts are `campaigns.` and `accounts.` of it.

From Zoho's page on data centres; `ca` and `sa` are not on it, both were seen to answer, and
`zoho.ca` does not exist.
"""

ZOHO_LIMIT_CALLS, ZOHO_LIMIT_SECONDS = 500, 300
"""What Zoho's documentation says: so many calls of an endpoint in so many seconds, or a lock."""

LONGEST_WAIT_SECONDS = 10**9
"""Thirty years; a few times more and no operating system can wait so long."""

OAUTH_SETTINGS = ("client_id", "client_secret", "refresh_token")

_NOT_IN_KEYS = re.compile(r"""[^\x21-\x7e]|["'\[\](){},;]""")

JSON_SCHEMA = th.PropertiesList(
    th.Property(
        "client_id",
        th.StringType(),
        title="Client ID",
        description="OAuth client ID, from Zoho's API console. Needs client_secret and "
        "refresh_token beside it.",
    ),
    th.Property(
        "client_secret",
        th.StringType(),
        secret=True,
        title="Client secret",
        description="OAuth client secret, from Zoho's API console.",
    ),
    th.Property(
        "refresh_token",
        th.StringType(),
        secret=True,
        title="Refresh token",
        description="OAuth refresh token with the scope ZohoCampaigns.campaign.READ.",
    ),
    th.Property(
        "access_token",
        th.StringType(),
        secret=True,
        title="Access token",
        description="An OAuth access token made elsewhere, instead of the three settings above; "
        "used as it is and never refreshed.",
    ),
    th.Property(
        "auth_token",
        th.StringType(),
        secret=True,
        title="Auth token",
        description="An authtoken of the legacy API, instead of OAuth.",
    ),
    th.Property(
        "data_center",
        th.StringType(),
        allowed_values=list(REGIONS),
        default="com",
        title="Data center",
        description="The Zoho region of the account: it gives the hosts of the API and of the "
        "accounts server.",
    ),
    th.Property(
        "api_url",
        th.StringType(),
        title="API URL",
        description="Scheme and host of the API where data_center does not fit: a proxy, a "
        "sandbox, a region that is not listed. Only https, except on loopback.",
    ),
    th.Property(
        "accounts_url",
        th.StringType(),
        title="Accounts URL",
        description="Scheme and host of the accounts server where data_center does not fit. Only "
        "https, except on loopback.",
    ),
    th.Property(
        "campaign_keys",
        th.ArrayType(th.StringType()),
        title="Campaign keys",
        description="Read only these campaigns. Without it every sent campaign is discovered.",
    ),
    th.Property(
        "start_date",
        th.DateTimeType(),
        title="Start date",
        description="Ignore campaigns sent before this time.",
    ),
    th.Property(
        "response_format",
        th.StringType(),
        allowed_values=["json", "xml"],
        default="json",
        title="Response format",
        description="What to ask of the recipients endpoint. The records are the same except for "
        "what Zoho leaves out: XML rows have neither contact_id nor the time to the second.",
    ),
    th.Property(
        "page_size",
        th.IntegerType(minimum=1, maximum=1000),
        default=1000,
        title="Page size",
        description="Rows asked for in one request: the most that one wants. Zoho was seen to "
        "serve 500; if it serves less than asked for, that costs calls, not rows.",
    ),
    th.Property(
        "engagement_window_days",
        th.IntegerType(minimum=0),
        default=60,
        title="Engagement window (days)",
        description="How many days after sending a campaign's lists may still change.",
    ),
    th.Property(
        "reread_after_days",
        th.IntegerType(minimum=0),
        default=7,
        title="Reread after (days)",
        description="A list of an open campaign whose report shows no change is read again all "
        "the same when its last reading is so many days old. With 0 it is not.",
    ),
    th.Property(
        "account_timezone",
        th.StringType(),
        title="Account time zone",
        description="IANA name of the account's time zone, the zone of Zoho's wall-clock texts. "
        "It gives event_time_utc, and in XML responses sent_time and sent_time_utc.",
    ),
    th.Property(
        "max_parallel_requests",
        th.IntegerType(minimum=1, maximum=16),
        default=4,
        title="Parallel requests",
        description="Requests in flight at the same time.",
    ),
    th.Property(
        "rate_limit_calls",
        th.IntegerType(minimum=1),
        default=480,
        title="Rate limit: calls",
        description="At most so many calls of one endpoint in rate_limit_period. Zoho locks an "
        "endpoint at 500 in 300 seconds; the margin is for requests in flight, which may arrive "
        "late: those of all runs of the account together, of which a run knows only its own.",
    ),
    th.Property(
        "rate_limit_period",
        th.IntegerType(minimum=1),
        default=300,
        title="Rate limit: period (seconds)",
        description="The seconds that rate_limit_calls is counted over.",
    ),
    th.Property(
        "rate_limit_lock_wait",
        th.DecimalType(minimum=0),
        default=1800,
        title="Rate limit: wait when locked (seconds)",
        description="How long to wait when Zoho says that an endpoint is locked. With 0 the run "
        "fails at once.",
    ),
    th.Property(
        "rate_limit_store",
        th.StringType(),
        secret=True,
        default="file",
        title="Rate limit: store",
        description="Where calls are counted: `file` (in the user's cache directory, shared by "
        "all runs of this account on the machine), `memory` (this process only), or a redis:// or "
        "rediss:// URL (shared by several machines).",
    ),
    th.Property(
        "rate_limit_account",
        th.StringType(),
        title="Rate limit: account",
        description="Names the account whose calls are counted together, if one OAuth client "
        "serves many accounts or several clients serve one. Without it, the client ID or the auth "
        "token tells accounts apart. Only its hash is stored.",
    ),
    th.Property(
        "retry_wait",
        th.DecimalType(minimum=0),
        default=1,
        title="Retry wait (seconds)",
        description="The wait before the first retry of a failed request; doubled each time.",
    ),
    th.Property(
        "request_timeout",
        th.DecimalType(exclusive_minimum=0),
        default=60,
        title="Request timeout (seconds)",
        description="How long connecting may take, and then the whole response.",
    ),
    th.Property(
        "user_agent",
        th.StringType(),
        title="User agent",
        description="The User-Agent header. Without it: the tap's name and version.",
    ),
).to_dict()


@dataclass(frozen=True, kw_only=True)
class Settings(ConnectionSettings, RunSettings):
    """The settings of one run, checked. Waits are in seconds."""

    rate_limit_calls: int
    rate_limit_period: int
    rate_limit_store: str
    rate_limit_account: str | None
    request_timeout: float
    user_agent: str

    @classmethod
    def from_config(cls, config: Mapping[str, t.Any], user_agent: str) -> Settings:
        """Return the values of a configuration in which `problems` finds nothing wrong.

        Args:
            config: The configuration, with the defaults.
            user_agent: What to send if the setting is absent.
        """
        domain = REGIONS[config["data_center"]]
        start = config.get("start_date")
        zone = config.get("account_timezone")
        values = {each.name: config.get(each.name) for each in fields(cls)} | {
            "api_url": (config.get("api_url") or f"https://campaigns.{domain}").rstrip("/"),
            "accounts_url": (config.get("accounts_url") or f"https://accounts.{domain}").rstrip(
                "/"
            ),
            "campaign_keys": tuple(dict.fromkeys(config.get("campaign_keys") or ())),
            "start_ms": round(_timestamp(start).timestamp() * 1000) if start else None,
            "account_timezone": ZoneInfo(zone) if zone else None,
            "user_agent": config.get("user_agent") or user_agent,
        }
        return cls(**values)

    @property
    def limit_warning(self) -> str | None:
        """What to say where the limit of this run is too near to Zoho's; None where it is not.

        A window of Zoho's may hold as many of this run's as begin in it, and besides what was let
        go before it and arrived late: no more than is in flight. A loopback address is not Zoho's.
        """
        if is_loopback(urlsplit(self.api_url).hostname or ""):
            return None
        windows = math.ceil(ZOHO_LIMIT_SECONDS / self.rate_limit_period)
        most = windows * self.rate_limit_calls + self.max_parallel_requests
        if most <= ZOHO_LIMIT_CALLS:
            return None
        fitting = (ZOHO_LIMIT_CALLS - self.max_parallel_requests) // windows
        return (
            f"The limit of {self.rate_limit_calls} calls in {self.rate_limit_period} s, with "
            f"{self.max_parallel_requests} requests in flight that may arrive late, lets up to "
            f"{most} calls come to Zoho in {ZOHO_LIMIT_SECONDS} s, which locks an endpoint at "
            f"{ZOHO_LIMIT_CALLS}: set rate_limit_calls to {fitting} or less"
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values that must never be seen in a log, an error or the state."""
        store = urlsplit(self.rate_limit_store)
        return tuple(
            value
            for value in (
                self.client_secret,
                self.refresh_token,
                self.access_token,
                self.auth_token,
                store.password,
                # Redis clients take it from here too.
                *parse_qs(store.query).get("password", ()),
            )
            if value
        )


def problems(config: Mapping[str, t.Any]) -> list[str]:
    """Say, one line each, what is wrong with a configuration whose types are right.

    No line holds the value of a secret.
    """
    found = _login_problems(config)
    for name in ("api_url", "accounts_url"):
        if (url := config.get(name)) and (problem := url_problem(url)):
            found.append(f"{name} {problem}")
    if (start := config.get("start_date")) and not _is_timestamp(start):
        found.append("start_date must be a date and time such as 2026-01-31T00:00:00Z")
    if (zone := config.get("account_timezone")) and not _is_zone(zone):
        found.append(
            "account_timezone must be the IANA name of a time zone such as Europe/Berlin"
            if available_timezones()
            else "account_timezone needs a time zone database, and this system has none: install "
            "the Python package tzdata beside the tap, or the system's package of that name"
        )
    keys = config.get("campaign_keys")
    if keys is not None and (not keys or any(not key.strip() for key in keys)):
        found.append(
            "campaign_keys must have at least one entry and no blank one; leave it out to read "
            "every campaign"
        )
    elif keys is not None and any(_NOT_IN_KEYS.search(key.strip()) for key in keys):
        found.append(
            "campaign_keys must be a list of keys such as 3z1f0a9c: none of them has blanks, "
            "quotation marks, brackets or commas"
        )
    found += [
        f"{name} must be {LONGEST_WAIT_SECONDS} or less"
        for name in ("rate_limit_lock_wait", "retry_wait", "request_timeout")
        if not config.get(name, 0) <= LONGEST_WAIT_SECONDS
    ]
    store = config.get("rate_limit_store", "file")
    if store not in {"file", "memory"} and not is_redis_url(store):
        found.append("rate_limit_store must be file, memory, or a redis:// or rediss:// URL")
    for name in ("user_agent", *OAUTH_SETTINGS, "access_token", "auth_token"):
        if re.search(r"[^\x20-\x7e]", config.get(name) or ""):
            found.append(f"{name} must be printable ASCII on one line")
    return found


def _login_problems(config: Mapping[str, t.Any]) -> list[str]:
    given = [name for name in OAUTH_SETTINGS if config.get(name)]
    ways = [
        *(["/".join(OAUTH_SETTINGS)] if given else []),
        *(name for name in ("access_token", "auth_token") if config.get(name)),
    ]
    if not ways:
        names = "client_id, client_secret and refresh_token, or access_token, or auth_token"
        return [f"No credentials are given: set {names}"]
    found = []
    if len(ways) > 1:
        found.append(f"Only one way to authenticate may be given, these clash: {', '.join(ways)}")
    if given and len(given) < len(OAUTH_SETTINGS):
        missing = [name for name in OAUTH_SETTINGS if name not in given]
        found.append(
            f"{' and '.join(given)} {'is' if len(given) == 1 else 'are'} given without "
            f"{' and '.join(missing)}: OAuth needs all three"
        )
    return found


def _timestamp(text: str) -> datetime:
    timestamp = datetime.fromisoformat(text)
    return timestamp if timestamp.tzinfo else timestamp.replace(tzinfo=UTC)


def _is_timestamp(text: str) -> bool:
    try:
        _timestamp(text).timestamp()
    except (ValueError, OverflowError):
        return False
    return True


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return False
    return True
