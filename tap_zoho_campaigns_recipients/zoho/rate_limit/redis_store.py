"""Counts calls in Redis, which several machines share."""

from __future__ import annotations

import typing as t
import uuid
from contextlib import contextmanager, suppress

from tap_zoho_campaigns_recipients.zoho.rate_limit.store import (
    PROGRAM,
    STORE_TIMEOUT_SECONDS,
    StoreMisconfigured,
    StoreUnavailable,
)

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from redis import Redis

    from tap_zoho_campaigns_recipients.zoho.rate_limit.store import Window

_MOST_IN_REDIS = 2**32
"""No sorted set has more members."""

_REDIS_TAKE = """
-- Returns {milliseconds to wait, calls left}; counts a call when `member` is not empty.
local calls_key, lock_key = KEYS[1], KEYS[2]
local limit, period, keep = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local member = ARGV[4]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZREMRANGEBYSCORE', calls_key, '-inf', now - keep - 1)
for _, ahead in ipairs(redis.call('ZRANGEBYSCORE', calls_key, '(' .. now, '+inf')) do
    redis.call('ZADD', calls_key, now, ahead)
end
local calls = redis.call('ZCOUNT', calls_key, now - period, '+inf')
local left = math.max(math.min(limit, 2^53) - calls, 0)
local locked = redis.call('PTTL', lock_key)
if locked > 0 then return {locked, left} end
if left == 0 then
    local oldest = redis.call('ZRANGE', calls_key, -limit, -limit, 'WITHSCORES')
    return {oldest[2] + period - now + 1, left}
end
if member ~= '' then
    redis.call('ZADD', calls_key, now, member)
    redis.call('PEXPIRE', calls_key, keep + 1)
end
return {0, left}
"""

_REDIS_LOCK = """
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then
    redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])
end
"""


class RedisStore:
    """A Redis server, version 5 or later, that several machines share.

    No text of redis-py's errors is passed on: the URL may hold a password.

    Args:
        url: The Redis URL.
        account: Goes into the names of the keys.
        window: The limit.

    Raises:
        StoreMisconfigured: When the package is missing, or the URL or its password is wrong.
        StoreUnavailable: When the server cannot be used. So do all methods.
    """

    def __init__(self, url: str, account: str, window: Window) -> None:
        try:
            from redis import (  # noqa: PLC0415 - an extra of the package
                AuthenticationError,
                Redis,
                RedisError,
            )
        except ImportError:
            raise StoreMisconfigured(
                "rate_limit_store is a Redis URL, which needs a package that is not installed: "
                f"install {PROGRAM}[redis]"
            ) from None
        # These are about the URL: its password, a port that is no number, an option that there is
        # not, one that is not meant to be text, an encoding that nobody knows.
        self._lasting = (AuthenticationError, ValueError, TypeError, AttributeError, LookupError)
        self._failures = (RedisError, OSError, *self._lasting)
        self._prefix = f"{PROGRAM}:{{{account}}}"  # braces: all keys in one place of a cluster
        self._arguments = [window.calls, window.milliseconds, window.kept_milliseconds]
        with self._asking():
            self._client: Redis = Redis.from_url(
                url,
                socket_timeout=STORE_TIMEOUT_SECONDS,
                socket_connect_timeout=STORE_TIMEOUT_SECONDS,
            )
            self._take = self._client.register_script(_REDIS_TAKE)
            self._lock = self._client.register_script(_REDIS_LOCK)
            self._client.ping()

    def take(self, endpoint: str) -> float:
        """Count a call and return 0; or count nothing and return the seconds to wait."""
        wait_milliseconds, _ = self._ask(endpoint, uuid.uuid4().hex)
        return wait_milliseconds / 1000

    def lock(self, endpoint: str, milliseconds: int) -> None:
        """Lock the endpoint for so long; a longer lock stays."""
        with self._asking():
            self._lock(keys=[f"{self._prefix}:{endpoint}:lock"], args=[milliseconds])

    def locked_for(self, endpoint: str) -> float:
        """Return how many seconds the endpoint stays locked."""
        with self._asking():
            left: t.Any = self._client.pttl(f"{self._prefix}:{endpoint}:lock")
        return max(int(left), 0) / 1000

    def calls_left(self, endpoint: str) -> int:
        """Return how many calls could be sent now."""
        return self._ask(endpoint, "")[1]

    def seconds_until(self, endpoint: str, calls: int) -> float:
        """Return how long the limit makes so many more calls take."""
        limit, period, _ = self._arguments
        rounds, place = divmod(calls - 1, limit)
        whole_seconds = rounds * period / 1000
        locked_seconds = self.locked_for(endpoint)
        if locked_seconds or limit - place > _MOST_IN_REDIS:
            return locked_seconds + whole_seconds
        with self._asking():
            now: t.Any = self._client.time()
            before: t.Any = self._client.zrange(
                f"{self._prefix}:{endpoint}:calls", place - limit, place - limit, withscores=True
            )
        if not before:
            return whole_seconds
        now_seconds = float(now[0] + now[1] / 1e6)
        ends_seconds = (float(before[0][1]) + period + 1) / 1000
        return max(ends_seconds - now_seconds, 0.0) + whole_seconds

    def close(self) -> None:
        """Release the file or the connection."""
        with suppress(StoreUnavailable), self._asking():
            self._client.close()

    def _ask(self, endpoint: str, member: str) -> tuple[int, int]:
        keys = [f"{self._prefix}:{endpoint}:calls", f"{self._prefix}:{endpoint}:lock"]
        with self._asking():
            wait, left = self._take(keys=keys, args=[*self._arguments, member])
        return int(wait), int(left)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except self._failures as error:
            kind = StoreMisconfigured if isinstance(error, self._lasting) else StoreUnavailable
            raise kind(
                "The Redis server that rate_limit_store names cannot be used "
                f"({type(error).__name__}): check that it runs and that the URL and its password "
                "are right, or set rate_limit_store to file"
            ) from None
