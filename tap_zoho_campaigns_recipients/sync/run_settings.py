"""The settings of a run, as far as it needs them."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

if t.TYPE_CHECKING:
    from zoneinfo import ZoneInfo


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Which campaigns are read, and how; named as the settings of the tap."""

    campaign_keys: tuple[str, ...]
    start_ms: int | None
    """`start_date` in epoch milliseconds."""
    response_format: t.Literal["json", "xml"]
    page_size: int
    engagement_window_days: int
    reread_after_days: int
    account_timezone: ZoneInfo | None
    max_parallel_requests: int
