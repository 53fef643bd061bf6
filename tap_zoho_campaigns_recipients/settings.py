"""The tap's settings: their declaration, the checks a JSON Schema cannot say, and their values."""

from __future__ import annotations

import ipaddress
import json
import math
import re
import typing as t
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

from singer_sdk import typing as th

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jsonschema import ValidationError

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
        "sandbox, a region that is not listed. Only https, but for loopback.",
    ),
    th.Property(
        "accounts_url",
        th.StringType(),
        title="Accounts URL",
        description="Scheme and host of the accounts server where data_center does not fit. Only "
        "https, but for loopback.",
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
        description="Ignore campaigns sent before this moment.",
    ),
    th.Property(
        "response_format",
        th.StringType(),
        allowed_values=["json", "xml"],
        default="json",
        title="Response format",
        description="What to ask of the recipients endpoint. The records are the same but for "
        "what Zoho leaves out: XML rows have neither contact_id nor the time to the second.",
    ),
    th.Property(
        "page_size",
        th.IntegerType(minimum=1, maximum=1000),
        default=500,
        title="Page size",
        description="Rows asked for in one request.",
    ),
    th.Property(
        "engagement_window_days",
        th.IntegerType(minimum=0),
        default=60,
        title="Engagement window (days)",
        description="How many days after sending a campaign's lists may still change.",
    ),
    th.Property(
        "account_timezone",
        th.StringType(),
        title="Account time zone",
        description="IANA name of the account's time zone, in which XML answers give their times. "
        "It affects sent_time and sent_time_utc there and nothing else.",
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
        description="How long connecting may take, and then the whole answer.",
    ),
    th.Property(
        "user_agent",
        th.StringType(),
        title="User agent",
        description="The User-Agent header. Without it: the tap's name and version.",
    ),
).to_dict()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one run, checked. Times are epoch milliseconds, waits are seconds."""

    client_id: str | None
    client_secret: str | None
    refresh_token: str | None
    access_token: str | None
    auth_token: str | None
    api_url: str
    accounts_url: str
    campaign_keys: tuple[str, ...]
    start_ms: int | None
    response_format: t.Literal["json", "xml"]
    page_size: int
    engagement_window_days: int
    account_timezone: ZoneInfo | None
    max_parallel_requests: int
    rate_limit_calls: int
    rate_limit_period: int
    rate_limit_lock_wait: float
    rate_limit_store: str
    retry_wait: float
    request_timeout: float
    user_agent: str

    @classmethod
    def from_config(cls, config: Mapping[str, t.Any], user_agent: str) -> Settings:
        """Take the values of a configuration that `problems` finds nothing wrong with.

        Args:
            config: The configuration, defaults filled in.
            user_agent: What to send where the setting is absent.
        """
        domain = REGIONS[config["data_center"]]
        start = config.get("start_date")
        zone = config.get("account_timezone")
        return cls(
            client_id=config.get("client_id"),
            client_secret=config.get("client_secret"),
            refresh_token=config.get("refresh_token"),
            access_token=config.get("access_token"),
            auth_token=config.get("auth_token"),
            api_url=(config.get("api_url") or f"https://campaigns.{domain}").rstrip("/"),
            accounts_url=(config.get("accounts_url") or f"https://accounts.{domain}").rstrip("/"),
            campaign_keys=tuple(dict.fromkeys(config.get("campaign_keys") or ())),
            start_ms=round(_moment(start).timestamp() * 1000) if start else None,
            response_format=config["response_format"],
            page_size=config["page_size"],
            engagement_window_days=config["engagement_window_days"],
            account_timezone=ZoneInfo(zone) if zone else None,
            max_parallel_requests=config["max_parallel_requests"],
            rate_limit_calls=config["rate_limit_calls"],
            rate_limit_period=config["rate_limit_period"],
            rate_limit_lock_wait=config["rate_limit_lock_wait"],
            rate_limit_store=config["rate_limit_store"],
            retry_wait=config["retry_wait"],
            request_timeout=config["request_timeout"],
            user_agent=config.get("user_agent") or user_agent,
        )

    @property
    def limit_warning(self) -> str | None:
        """What to say where the limit of this run is too near to Zoho's; None where it is not.

        A window of Zoho's may hold as many of this run's as begin in it, and besides what was let
        go before it and arrived late: no more than is in flight. A loopback address is not Zoho's.
        """
        if _is_loopback(urlsplit(self.api_url).hostname or ""):
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


def without_blanks(config: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Leave out what is blank, and read numbers that came as something else.

    Orchestrators hand over an unset variable as an empty text, environment variables are text
    whatever they mean, and the SDK reads fractions as `Decimal`.
    """
    cleaned: dict[str, t.Any] = {}
    for name, value in config.items():
        if value is None or (isinstance(value, str) and not value.strip()):
            continue
        kinds = JSON_SCHEMA["properties"].get(name, {}).get("type", [])
        if "integer" in kinds or "number" in kinds:
            cleaned[name] = _number(value, is_whole="integer" in kinds)
        elif isinstance(value, str) and name in {*OAUTH_SETTINGS, "access_token", "auth_token"}:
            cleaned[name] = value.strip()
        else:
            cleaned[name] = value
    return cleaned


def _number(value: object, *, is_whole: bool) -> object:
    """Return what a value means as a number; the value itself where it means none."""
    if isinstance(value, str):
        match = re.fullmatch(r"\s*([+-]?[0-9]{1,18})(\.[0-9]{1,18})?\s*", value)
        if match is None or (match[2] and is_whole):
            return value
        return float(value) if match[2] else int(match[1])
    if is_whole:
        if isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value):
            return int(value)
        return value
    return float(value) if isinstance(value, Decimal) else value


def schema_problem(error: ValidationError) -> str:  # noqa: PLR0911 - a table
    """Say what a schema violation is without the value: it may be a secret."""
    name = ".".join(str(part) for part in error.absolute_path) or "The configuration"
    limit: t.Any = error.validator_value
    match error.validator:
        case "type":
            kinds = [limit] if isinstance(limit, str) else limit
            said = [_KINDS.get(kind, kind) for kind in kinds if kind != "null"]
            return f"{name} must be {' or '.join(said)}"
        case "enum":
            return f"{name} must be one of {', '.join(str(value) for value in limit)}"
        case "minimum":
            return f"{name} must be {limit} or more"
        case "exclusiveMinimum":
            return f"{name} must be more than {limit}"
        case "maximum":
            return f"{name} must be {limit} or less"
        case "format":
            return f"{name} must be a {limit}"
        case _:
            return f"{name} is not valid: it breaks the rule {error.validator}"


_KINDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "array": "a list",
    "object": "an object",
    "boolean": "true or false",
}


def problems(config: Mapping[str, t.Any]) -> list[str]:
    """Say, one line each, what is wrong with a configuration whose types are right.

    No line holds the value of a secret.
    """
    found = _login_problems(config)
    for name in ("api_url", "accounts_url"):
        if (url := config.get(name)) and (problem := _url_problem(url)):
            found.append(f"{name} {problem}")
    if (start := config.get("start_date")) and not _is_moment(start):
        found.append("start_date must be a date and time such as 2026-01-31T00:00:00Z")
    if (zone := config.get("account_timezone")) and not _is_zone(zone):
        found.append("account_timezone must be the IANA name of a time zone such as Europe/Berlin")
    keys = config.get("campaign_keys")
    if keys is not None and (not keys or any(not key.strip() for key in keys)):
        found.append(
            "campaign_keys must have at least one entry and no blank one; leave it out to read "
            "every campaign"
        )
    elif keys is not None and not all(key.isprintable() for key in keys):
        # It would break a line of the log in two.
        found.append("campaign_keys must be printable, each on one line")
    found += [
        f"{name} must be {LONGEST_WAIT_SECONDS} or less"
        for name in ("rate_limit_lock_wait", "retry_wait", "request_timeout")
        if not config.get(name, 0) <= LONGEST_WAIT_SECONDS
    ]
    store = config.get("rate_limit_store", "file")
    if store not in {"file", "memory"} and not _is_redis_url(store):
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


def _url_problem(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "is not a URL"
    if parts.username is not None or parts.password is not None:
        return "must not hold credentials"
    if (
        parts.scheme not in {"http", "https"}
        or not parts.hostname
        # Spaces: `urlsplit` passes over some of them, and takes others out.
        or re.search(r"[\s\x00-\x1f\x7f]", url)
        or port == 0
        or parts.path not in {"", "/"}
        or parts.query
        or parts.fragment
    ):
        return "must be a scheme and a host, such as https://campaigns.zoho.com"
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        return "must be https: plain http is for loopback addresses only"
    return None


def _is_redis_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"redis", "rediss"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _is_moment(text: str) -> bool:
    try:
        _moment(text).timestamp()
    except (ValueError, OverflowError):
        return False
    return True


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return False
    return True


_TRUTH = {
    **dict.fromkeys(("true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off"), False),
}


def value_from_text(text: str, kinds: Sequence[str]) -> object:
    """Return what a variable's text means as a setting of these types; the text if it means none.

    A list is JSON, or its entries with commas between. One that is only digits is a key: JSON would
    make a number of it.
    """
    if not text.strip():
        return text
    if "boolean" in kinds:
        return _TRUTH.get(text.strip().lower(), text)
    if "array" not in kinds and "object" not in kinds:
        return text
    with suppress(ValueError, RecursionError):
        value = json.loads(text)
        if type(value) not in {int, float}:
            return value
    return [part.strip() for part in text.split(",") if part.strip()]


def environment_values(
    names: Sequence[str], prefix: str, environ: Mapping[str, str]
) -> dict[str, str]:
    """Return what the environment says of these settings, as text.

    Args:
        names: Names of settings.
        prefix: What their variables begin with, such as ``TAP_ZOHO_CAMPAIGNS_RECIPIENTS_``.
        environ: The environment.
    """
    variables = {name: prefix + name.upper() for name in names}
    return {name: environ[variable] for name, variable in variables.items() if variable in environ}
