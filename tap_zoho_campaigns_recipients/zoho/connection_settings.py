"""The settings of the connection to Zoho."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ConnectionSettings:
    """Where Zoho is, how to log in, and how long to wait; named as the settings of the tap."""

    client_id: str | None
    client_secret: str | None
    refresh_token: str | None
    access_token: str | None
    auth_token: str | None
    api_url: str
    """Scheme and host."""
    accounts_url: str
    """Scheme and host."""
    rate_limit_lock_wait: float
    """Seconds."""
    retry_wait: float
    """Seconds."""
    max_parallel_requests: int
