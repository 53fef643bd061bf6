"""Checks of the URLs in settings."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit


def url_problem(url: str) -> str | None:
    """Describe what is wrong with the URL of a host; None if nothing is."""
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
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        return "must be https: plain http is for loopback addresses only"
    return None


def is_redis_url(url: str) -> bool:
    """Whether a text is the URL of a Redis server."""
    try:
        parts = urlsplit(url)
        return parts.scheme in {"redis", "rediss"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
