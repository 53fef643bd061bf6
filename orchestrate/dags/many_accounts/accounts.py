"""The list of accounts, and the credentials in their connections."""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import dataclass, field

from airflow.sdk import BaseHook, Variable
from airflow.sdk.exceptions import AirflowFailException
from airflow.sdk.log import mask_secret
from sqlalchemy import URL

if t.TYPE_CHECKING:
    from airflow.sdk import Connection

    from many_accounts.deployment import Deployment

TAP = "tap-zoho-campaigns-recipients"
TAP_PREFIX = "TAP_ZOHO_CAMPAIGNS_RECIPIENTS_"
SECRETS = ("client_id", "client_secret", "refresh_token", "access_token", "auth_token")
"""What the connection of an account keeps: each in a field of this name in its extra; client_id and
client_secret as login and password as well."""

WAYS = (
    {"client_id", "client_secret", "refresh_token"},
    {"access_token"},
    {"auth_token"},
)
"""A connection has all of one of them: what it lacks must not come from elsewhere."""

TLS = ("sslmode", "sslrootcert", "sslcert", "sslkey")
"""What is taken over from the extra of a PostgreSQL connection."""

WAREHOUSE = "zoho_campaigns_warehouse"
MELTANO_DATABASE = "zoho_campaigns_meltano"
RATE_LIMITS = "zoho_campaigns_rate_limits"
"""Connections that all accounts share: the loader's database, Meltano's, and the Redis that counts
the calls."""

SETTINGS = frozenset(
    [
        "data_center",
        "api_url",
        "accounts_url",
        "campaign_keys",
        "start_date",
        "response_format",
        "page_size",
        "engagement_window_days",
        "reread_after_days",
        "account_timezone",
        "max_parallel_requests",
        "rate_limit_calls",
        "rate_limit_period",
        "rate_limit_lock_wait",
        "rate_limit_account",
        "retry_wait",
        "request_timeout",
        "user_agent",
        "stream_maps",
        "stream_map_config",
        "faker_config",
        "flattening_enabled",
        "flattening_max_depth",
        "flattening_max_key_length",
        "flattening_separator",
        "batch_config",
    ]
)
"""What `config` of an account may hold. Meltano drops what it does not know without a word."""


class UnusableAccount(ValueError):
    """An entry of the list, or a connection, cannot be used; the text says why."""


@dataclass(frozen=True)
class Account:
    """An entry of the list. It is shown in XComs and in the UI, so it must hold no secret.

    Args:
        name: Small letters, digits and underscores.
        schema: Where the loader makes its tables.
        connection: The Airflow connection with the credentials.
        config: Settings of the tap that are no secrets.
        state: What the state of its runs is kept under.
        models: Whether the models are built, in the schema `analytics_` and the name.
    """

    name: str
    schema: str = ""
    connection: str = ""
    config: dict[str, t.Any] = field(default_factory=dict)
    state: str = ""
    models: bool = True

    def __post_init__(self) -> None:
        """Fill in what follows from the name.

        Raises:
            UnusableAccount: The name is invalid, or `config` holds a secret or an unknown name.
        """
        if not re.fullmatch("[a-z][a-z0-9_]{0,40}", self.name):
            raise UnusableAccount(
                f"The account's name {self.name!r} is not made of small letters, digits and"
                " underscores, at most 41, a letter first"
            )
        if secrets := sorted({*SECRETS, "rate_limit_store"} & self.config.keys()):
            raise UnusableAccount(
                f"The list of accounts is no place for {', '.join(secrets)} of {self.name}:"
                f" put it into the connection zoho_campaigns_{self.name}"
            )
        if unknown := sorted(self.config.keys() - SETTINGS):
            raise UnusableAccount(
                f"{', '.join(unknown)} of {self.name} is no setting of the tap: check the spelling"
            )
        for name, default in (
            ("schema", f"zoho_campaigns_{self.name}"),
            ("connection", f"zoho_campaigns_{self.name}"),
            ("state", self.name),
        ):
            object.__setattr__(self, name, getattr(self, name) or default)

    @classmethod
    def of(cls, entry: t.Mapping[str, t.Any]) -> t.Self:
        """Read an entry of the list.

        Raises:
            UnusableAccount: It cannot be used.
        """
        if why := entry.get("unusable"):
            raise UnusableAccount(why)
        try:
            return cls(**entry)
        except TypeError as error:
            raise UnusableAccount(
                f"The account {entry.get('name')}: {error}".replace("Account.__init__()", "it")
            ) from None


def read_accounts(deployment: Deployment) -> list[dict[str, t.Any]]:
    """Return the list of accounts, from the file if there is one, or else from the Variable.

    An entry that cannot be used says why instead, so that only its own task fails.

    Raises:
        AirflowFailException: Two accounts have the same name or schema.
    """
    if deployment.accounts.exists():
        entries = json.loads(deployment.accounts.read_text(encoding="utf-8"))
    else:
        entries = Variable.get("zoho_campaigns_accounts", deserialize_json=True)
    read: list[dict[str, t.Any]] = []
    accounts = []
    for entry in entries:
        try:
            accounts.append(Account.of(entry))
            read.append(entry)
        except UnusableAccount as error:
            read.append({"name": str(entry.get("name")), "unusable": str(error)})
    for what in ("name", "schema"):
        values = [getattr(account, what) for account in accounts]
        if twice := sorted({value for value in values if values.count(value) > 1}):
            raise AirflowFailException(f"Two accounts have the same {what}: {', '.join(twice)}")
    return read


def variables_of(account: Account, deployment: Deployment) -> dict[str, str]:
    """Return the environment of an account's run, its secrets included, which are masked in logs.

    Raises:
        UnusableAccount: The connection holds no credentials.
        AirflowNotFoundException: A connection that is needed does not exist.
    """
    return {
        **_tap_variables(account, deployment),
        **_warehouse_variables(account, deployment),
        **meltano_variables(),
    }


def meltano_variables() -> dict[str, str]:
    """Return where Meltano keeps states and runs."""
    return {"MELTANO_DATABASE_URI": _url(BaseHook.get_connection(MELTANO_DATABASE))}


def _tap_variables(account: Account, deployment: Deployment) -> dict[str, str]:
    connection = BaseHook.get_connection(account.connection)
    known = {"client_id": connection.login, "client_secret": connection.password}
    secrets = {
        name: value
        for name in SECRETS
        if (value := connection.extra_dejson.get(name) or known.get(name))
    }
    if set(secrets) not in WAYS:
        raise UnusableAccount(
            f"The connection {account.connection} needs client_id as login, client_secret as"
            " password and refresh_token in its extra, or in its extra access_token or auth_token"
            " alone"
        )
    settings = {
        # A run that met a lock ends, and comes back after it: see meltano_run.py.
        "rate_limit_lock_wait": 0,
        "rate_limit_account": account.name,
        **account.config,
        **secrets,
    }
    if deployment.shared_limits:
        store = BaseHook.get_connection(RATE_LIMITS)
        settings["rate_limit_store"] = _secret(
            URL.create(
                "rediss" if store.extra_dejson.get("ssl") else "redis",
                store.login or "",
                store.password,
                store.host,
                store.port,
                str(store.extra_dejson.get("db", store.schema or 0)),
            )
        )
    for value in secrets.values():
        mask_secret(value)
    return {TAP_PREFIX + name.upper(): _text(value) for name, value in settings.items()}


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _warehouse_variables(account: Account, deployment: Deployment) -> dict[str, str]:
    warehouse = BaseHook.get_connection(WAREHOUSE)
    loader = deployment.target.upper().replace("-", "_")
    variables = {
        f"{loader}_DEFAULT_TARGET_SCHEMA": account.schema,
        "DBT_ZOHO_CAMPAIGNS_SCHEMA": account.schema,
        "DBT_SCHEMA": f"analytics_{account.name}",
    }
    if warehouse.conn_type == "postgres":
        variables |= {
            f"{loader}_SQLALCHEMY_URL": _url(warehouse),
            "DBT_POSTGRES_HOST": warehouse.host or "",
            "DBT_POSTGRES_PORT": str(warehouse.port or 5432),
            "DBT_POSTGRES_USER": warehouse.login or "",
            "DBT_POSTGRES_PASSWORD": warehouse.password or "",
            "DBT_POSTGRES_DATABASE": warehouse.schema or "",
            # libpq reads these wherever nothing else is said.
            **{f"PG{name.upper()}": value for name, value in _tls(warehouse).items()},
        }
    # Of another database, the variables that its loader and dbt need.
    given: dict[str, t.Any] = warehouse.extra_dejson.get("environment", {})
    texts = {
        name: _text(value).replace("{schema}", account.schema) for name, value in given.items()
    }
    for text in texts.values():
        mask_secret(text)
    return variables | texts


def database_of(connection: Connection) -> dict[str, t.Any]:
    """Return how libpq gets to a PostgreSQL database."""
    return {
        "host": connection.host,
        "port": connection.port or 5432,
        "user": connection.login,
        "password": connection.password,
        "dbname": connection.schema,
        **_tls(connection),
    }


def _tls(connection: Connection) -> dict[str, str]:
    return {name: value for name in TLS if (value := connection.extra_dejson.get(name))}


def _url(connection: Connection) -> str:
    place = database_of(connection)
    is_socket = place["host"].startswith("/")
    return _secret(
        URL.create(
            "postgresql+psycopg",
            place["user"],
            place["password"] or None,
            None if is_socket else place["host"],
            None if is_socket else place["port"],
            place["dbname"],
            _tls(connection)
            | ({"host": place["host"], "port": str(place["port"])} if is_socket else {}),
        )
    )


def _secret(url: URL) -> str:
    text = url.render_as_string(hide_password=False)
    if url.password:
        mask_secret(url.password)
        mask_secret(text)
    return text
