"""How many calls may be sent, and when: one budget for all that use the same Zoho account.

Zoho's documentation: an endpoint is locked for 30 minutes after 500 calls in 5 minutes. So calls
are counted before they are sent, per endpoint, in a sliding window, and where several runs can
see the count.

Who counts, and why:

- On one machine SQLite, which every Python has: ``BEGIN IMMEDIATE`` makes looking and counting
  one step for all processes, and a killed one leaves nothing behind. Calls are numbered, so that
  the one that must leave the window first is found by its number, however many there are.
- In memory the same, on a database without a file.
- On Redis a script, which is one step too. It takes Redis's time, the only one that several
  machines share.

pyrate-limiter 4.5, the best kept of the libraries, was tried first and measured. Its
``SQLiteBucket`` looks and counts in two steps, unless under a second file's lock that costs as
much again, and counts the whole window for each call: 0.6 ms at 45 000 calls, which a run with a
high limit reaches, against 0.06 ms here at any number. Its ``RedisBucket`` overlooks the calls of
a machine whose clock is ahead, and fails for good when Redis was restarted. The library `limits`
has no file store, and on Redis takes the caller's time too.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
import re
import sqlite3
import threading
import uuid
from bisect import bisect_left
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from platformdirs import user_cache_path

from tap_zoho_campaigns_recipients.clock import Stopped
from tap_zoho_campaigns_recipients.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from redis import Redis

    from tap_zoho_campaigns_recipients.clock import Clock

_T = TypeVar("_T")

_PROGRAM = "tap-zoho-campaigns-recipients"
_ZOHO_PERIOD_SECONDS = 300
"""No call younger than Zoho's own window is thrown away, whatever period this run has."""
_LONGEST_SECONDS = 10 * 365 * 86_400
"""A longer period or lock means the same, and would not fit into a database's integer."""
_LONGEST_SLEEP_SECONDS = 60.0
"""The store is looked at again at least so often: the machine's clock may have been set."""
_STORE_TIMEOUT_SECONDS = 10.0
_LARGEST_NUMBER = 2**62
_CLEANED_EVERY = 32
"""Old calls of an endpoint are thrown away with a run's first one and every so-manieth, which is
cheaper than with each, and enough for many runs of few calls."""
_UNREADABLE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
"""What SQLite says of a file that is damaged, no database, or one with other tables."""


class StoreUnavailable(TapError):
    """The store that `rate_limit_store` names cannot be used."""


class Limiter:
    """The budget of one account. Safe for use by many threads.

    Args:
        store: The setting `rate_limit_store`: ``file``, ``memory`` or a Redis URL.
        account: Names the account in the store; holds no secret.
        calls: So many calls of one endpoint may be sent …
        period_seconds: … in any so many seconds.
        clock: Tells the time that calls are counted under, and waits.
        directory: Where the file is, instead of the user's cache directory.
        logger: Gets a warning when the file is made anew or cannot be used.

    Raises:
        StoreUnavailable: When the store is Redis and cannot be used.
    """

    def __init__(
        self,
        *,
        store: str,
        account: str,
        calls: int,
        period_seconds: float,
        clock: Clock,
        directory: Path | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        self._clock = clock
        window = _Window(calls, math.ceil(min(period_seconds, _LONGEST_SECONDS) * 1000))
        self._store: _Store
        if store.startswith(("redis://", "rediss://")):
            self._store = _RedisStore(store, account, window)
        elif store in {"file", "memory"}:
            path = None if store == "memory" else _file_of(account, directory)
            warn = (logger or logging.getLogger(__name__)).warning
            self._store = _DatabaseStore(path, window, clock, warn)
        else:
            raise StoreUnavailable(
                "rate_limit_store must be file, memory, or a URL redis://… or rediss://…"
            )

    def acquire(self, endpoint: str, before_wait: Callable[[], None] | None = None) -> float:
        """Wait until a call of this endpoint may be sent, and count it.

        Args:
            endpoint: The endpoint's name.
            before_wait: Called whenever there is reason to wait, at least once a minute; what it
                raises ends the wait.

        Returns:
            The seconds waited; 0 when the call could be sent at once.

        Raises:
            Stopped: When the run ends.
            StoreUnavailable: When Redis has gone away.
        """
        waited_seconds = 0.0
        while True:
            self._clock.check()
            wait_seconds = self._store.take(endpoint)
            if not wait_seconds:
                return waited_seconds
            if before_wait:
                before_wait()
            wait_seconds = min(wait_seconds, _LONGEST_SLEEP_SECONDS)
            self._clock.sleep(wait_seconds)
            waited_seconds += wait_seconds

    def lock(self, endpoint: str, seconds: float) -> None:
        """Let every process of this account wait for so long; a longer lock stays as it is."""
        if seconds > 0:
            self._store.lock(endpoint, math.ceil(min(seconds, _LONGEST_SECONDS) * 1000))

    def locked_for(self, endpoint: str) -> float:
        """Return how many seconds the endpoint stays locked; 0 when it is not."""
        return self._store.locked_for(endpoint)

    def calls_left(self, endpoint: str) -> int:
        """Return how many calls could be sent now without waiting for the window."""
        return self._store.calls_left(endpoint)

    def seconds_until(self, endpoint: str, calls: int) -> float:
        """Return how long the limit makes so many more calls take, were they all sent at once.

        Nobody can know what other runs of the account will send meanwhile.
        """
        return self._store.seconds_until(endpoint, max(calls, 1))

    def close(self) -> None:
        """Let go of the file or the connection."""
        self._store.close()


@dataclass(frozen=True, slots=True)
class _Window:
    """So many calls in so many milliseconds."""

    calls: int
    milliseconds: int

    @property
    def kept_milliseconds(self) -> int:
        """Return how old a call must be to be thrown away."""
        return max(self.milliseconds, _ZOHO_PERIOD_SECONDS * 1000)


class _Store(Protocol):
    """Where calls and locks are kept. Every method is one short step that never sleeps."""

    def take(self, endpoint: str) -> float:
        """Count a call and return 0; or count nothing and return the seconds to wait."""

    def lock(self, endpoint: str, milliseconds: int) -> None: ...

    def locked_for(self, endpoint: str) -> float: ...

    def calls_left(self, endpoint: str) -> int: ...

    def seconds_until(self, endpoint: str, calls: int) -> float: ...

    def close(self) -> None: ...


def _file_of(account: str, directory: Path | None) -> Path:
    """Return the account's file: a name to recognise it by, and a hash that keeps it apart."""
    name = re.sub(r"[^A-Za-z0-9.-]+", "_", account)[:80]
    digest = hashlib.sha256(account.encode()).hexdigest()[:8]
    return (directory or user_cache_path(_PROGRAM, appauthor=False)) / f"{name}-{digest}.sqlite3"


class _DatabaseStore:
    """A file that the runs of one machine share; memory where there is none to be had.

    A file that cannot be read is made anew once, then memory serves, each with one warning. What
    the file knows goes into memory with it, as far as it can be read: a full disk often can.
    """

    def __init__(
        self, path: Path | None, window: _Window, clock: Clock, warn: Callable[..., None]
    ) -> None:
        self._path, self._window, self._clock, self._warn = path, window, clock, warn
        self._mutex = threading.Lock()
        self._database: _Database | None = None
        self._identity: tuple[int, int] | None = None
        self._made_anew = False
        self._is_closed = False
        self._use(lambda _: None)

    def take(self, endpoint: str) -> float:
        return self._use(lambda database: database.take(endpoint))

    def lock(self, endpoint: str, milliseconds: int) -> None:
        self._use(lambda database: database.lock(endpoint, milliseconds))

    def locked_for(self, endpoint: str) -> float:
        return self._use(lambda database: database.locked_for(endpoint))

    def calls_left(self, endpoint: str) -> int:
        return self._use(lambda database: database.calls_left(endpoint))

    def seconds_until(self, endpoint: str, calls: int) -> float:
        return self._use(lambda database: database.seconds_until(endpoint, calls))

    def close(self) -> None:
        with self._mutex:
            self._is_closed = True
            self._drop()

    def _use(self, work: Callable[[_Database], _T]) -> _T:
        with self._mutex:
            if self._is_closed:  # a thread that the run did not wait for opens nothing anew
                raise Stopped
            while True:
                try:
                    # Another process may have made the file anew, or the user removed it.
                    if not self._database or self._identity != _identity(self._path):
                        self._open()
                    return work(cast("_Database", self._database))
                except (OSError, sqlite3.Error) as error:
                    if not self._path:
                        raise
                    self._recover(self._path, error)

    def _open(self) -> None:
        self._drop()
        if self._path:
            if not self._path.is_absolute():
                raise OSError("there is no home directory")
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with suppress(FileExistsError):
                os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        self._identity = _identity(self._path)
        self._database = _Database(self._path or ":memory:", self._window, self._clock)

    def _recover(self, path: Path, error: OSError | sqlite3.Error) -> None:
        # The low byte is the kind of the error, the rest its circumstances.
        kind = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if kind in _UNREADABLE and not self._made_anew:
            self._made_anew = True
            self._drop()
            if _identity(path) == self._identity:
                with suppress(OSError):
                    Path(f"{path}-journal").unlink(missing_ok=True)
                    path.unlink()
            self._warn(
                "The file that counts the calls, %s, cannot be read (%s) and is made anew: "
                "calls before now are not counted",
                path,
                error,
            )
            return
        memory = _Database(":memory:", self._window, self._clock)
        if self._database and kind != sqlite3.SQLITE_BUSY:  # a copy would wait for ever
            with suppress(sqlite3.Error):
                self._database.copy_to(memory)
        self._drop()
        self._path, self._identity, self._database = None, None, memory
        self._warn(
            "The file that counts the calls, %s, cannot be used (%s): this run counts in memory "
            "and does not see other runs of the account. Make the directory writable, make room "
            "on the disk, or set rate_limit_store",
            path,
            error,
        )

    def _drop(self) -> None:
        if self._database:
            with suppress(sqlite3.Error):
                self._database.close()
            self._database = None


def _identity(path: Path | None) -> tuple[int, int] | None:
    """Return what tells a file from another of the same name; None where there is none."""
    try:
        status = path.stat() if path else None
    except FileNotFoundError:
        return None
    return (status.st_dev, status.st_ino) if status else None


_TABLES = (
    """CREATE TABLE IF NOT EXISTS calls (
        endpoint TEXT, number INTEGER, at INTEGER, PRIMARY KEY (endpoint, number)
    ) WITHOUT ROWID""",
    "CREATE TABLE IF NOT EXISTS locks (endpoint TEXT PRIMARY KEY, since INTEGER, until INTEGER)",
)


_TAKE = """
INSERT INTO calls
SELECT :endpoint, last.number + 1, clock.now
FROM (SELECT now() AS now) AS clock,
    (SELECT number, at FROM calls WHERE endpoint = :endpoint ORDER BY number DESC LIMIT 1) AS last
WHERE last.at <= clock.now
    AND NOT EXISTS (SELECT 1 FROM locks WHERE endpoint = :endpoint AND until > clock.now)
    AND NOT EXISTS (
        SELECT 1 FROM calls AS first
        WHERE first.endpoint = :endpoint AND first.number = last.number + 1 - :calls
            AND first.at + :milliseconds >= clock.now
    )
"""
"""Counts a call where nothing speaks against it: in one statement, for between any two of them
Python's threads change places, which takes longer than the statement."""


class _Database:
    """An open SQLite database of calls, numbered from 1 per endpoint in their order, and of locks.

    Times are whole milliseconds of the clock, taken while no other process can write: so they
    grow, but for a clock that is set back. Then what lies in the future is pulled back to now: it
    still counts, and for no longer than if it had happened now.

    Args:
        path: The file, or ``:memory:``.
        window: The limit.
        clock: Tells the time.

    Raises:
        sqlite3.Error: When it cannot be read or written. So do all methods.
    """

    def __init__(self, path: Path | str, window: _Window, clock: Clock) -> None:
        self._window, self._clock = window, clock
        self._taken: Counter[str] = Counter()
        self._connection = sqlite3.connect(
            path, timeout=_STORE_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            # Half the time of the default. WAL is faster still, but closing it deletes a file by
            # its name, which may be another's by then.
            self._connection.execute("PRAGMA journal_mode = PERSIST")
            # Killed processes lose nothing by this; a machine without power loses minutes.
            self._connection.execute("PRAGMA synchronous = OFF")
            with self._writing():
                for statement in _TABLES:
                    self._connection.execute(statement)
            # Asked for its time when the statement has shut other processes out.
            self._connection.create_function("now", 0, self._now)
        except sqlite3.Error:
            self._connection.close()
            raise

    def take(self, endpoint: str) -> float:
        if self._taken[endpoint] % _CLEANED_EVERY == 0:
            # Before the call is counted, not between that and its being sent.
            with self._writing() as now:
                self._clean(endpoint, now - self._window.kept_milliseconds)
        taken = self._connection.execute(
            _TAKE,
            {
                "endpoint": endpoint,
                "calls": min(self._window.calls, _LARGEST_NUMBER),
                "milliseconds": self._window.milliseconds,
            },
        )
        if taken.rowcount == 1:
            self._taken[endpoint] += 1
            return 0.0
        with self._writing() as now:
            locked_seconds = self._locked_for(endpoint, now)
            if locked_seconds:
                return locked_seconds
            last = self._last(endpoint, now)
            leaves_first = self._at(endpoint, last + 1 - self._window.calls)
            if leaves_first is not None and leaves_first + self._window.milliseconds >= now:
                return (leaves_first + self._window.milliseconds + 1 - now) / 1000
            self._connection.execute(
                "INSERT INTO calls VALUES (?, ?, ?)", [endpoint, last + 1, now]
            )
            return 0.0

    def lock(self, endpoint: str, milliseconds: int) -> None:
        with self._writing() as now:
            self._locked_for(endpoint, now)
            self._connection.execute(
                "INSERT INTO locks VALUES (?, ?, ?) ON CONFLICT (endpoint) DO UPDATE"
                " SET since = excluded.since, until = excluded.until"
                " WHERE excluded.until > until",
                [endpoint, now, now + milliseconds],
            )

    def locked_for(self, endpoint: str) -> float:
        with self._writing() as now:
            return self._locked_for(endpoint, now)

    def calls_left(self, endpoint: str) -> int:
        with self._writing() as now:
            numbers = range(self._first(endpoint), self._last(endpoint, now) + 1)
            before = bisect_left(
                numbers,
                now - self._window.milliseconds,
                key=lambda number: self._at(endpoint, number) or 0,
            )
        return max(self._window.calls - (len(numbers) - before), 0)

    def seconds_until(self, endpoint: str, calls: int) -> float:
        rounds, place = divmod(calls - 1, self._window.calls)
        whole_seconds = rounds * self._window.milliseconds / 1000
        with self._writing() as now:
            locked_seconds = self._locked_for(endpoint, now)
            # The call that must leave the window before the last of these may be sent.
            at = self._at(endpoint, self._last(endpoint, now) + 1 + place - self._window.calls)
        if locked_seconds or at is None:
            return locked_seconds + whole_seconds
        return max(at + self._window.milliseconds + 1 - now, 0) / 1000 + whole_seconds

    def copy_to(self, other: _Database) -> None:
        self._connection.backup(other._connection)

    def close(self) -> None:
        self._connection.close()

    def _now(self) -> int:
        return int(self._clock.time() * 1000)

    @contextmanager
    def _writing(self) -> Iterator[int]:
        """Shut other processes out, and give the time in milliseconds."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._now()
            self._connection.commit()
        except BaseException:
            with suppress(sqlite3.Error):
                self._connection.rollback()
            raise

    def _last(self, endpoint: str, now: int) -> int:
        """Return the number of the latest call, 0 if there is none; no call is later than now."""
        number, at = self._numbers(
            "SELECT number, at FROM calls WHERE endpoint = ? ORDER BY number DESC LIMIT 1", endpoint
        ) or (0, 0)
        if at > now:
            self._connection.execute(
                "UPDATE calls SET at = ? WHERE endpoint = ? AND at > ?", [now, endpoint, now]
            )
        return number

    def _first(self, endpoint: str) -> int:
        """Return the number of the oldest call that is kept, 1 if there is none."""
        numbers = self._numbers(
            "SELECT number FROM calls WHERE endpoint = ? ORDER BY number LIMIT 1", endpoint
        )
        return numbers[0] if numbers else 1

    def _at(self, endpoint: str, number: int) -> int | None:
        """Return when a call was, None where it is not kept or never was."""
        if number < 1:
            return None
        numbers = self._numbers(
            "SELECT at FROM calls WHERE endpoint = ? AND number = ?", endpoint, number
        )
        return numbers[0] if numbers else None

    def _clean(self, endpoint: str, before: int) -> None:
        """Throw old calls away; more than come until the next time, but not all at once."""
        self._connection.execute(
            "DELETE FROM calls WHERE endpoint = ? AND number < ? AND at < ?",
            [endpoint, self._first(endpoint) + 2 * _CLEANED_EVERY, before],
        )

    def _locked_for(self, endpoint: str, now: int) -> float:
        since, until = self._numbers(
            "SELECT since, until FROM locks WHERE endpoint = ?", endpoint
        ) or (0, 0)
        if since > now:
            until = now + until - since
            self._connection.execute(
                "UPDATE locks SET since = ?, until = ? WHERE endpoint = ?", [now, until, endpoint]
            )
        return max(until - now, 0) / 1000

    def _numbers(self, query: str, *values: str | int) -> tuple[int, ...] | None:
        row: tuple[int, ...] | None = self._connection.execute(query, values).fetchone()
        return row


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


class _RedisStore:
    """A Redis server, version 5 or later, that several machines share.

    No text of redis-py's errors is passed on: the URL may hold a password.

    Args:
        url: The Redis URL.
        account: Goes into the names of the keys.
        window: The limit.

    Raises:
        StoreUnavailable: When the package is missing, or the server cannot be used. So do all
            methods.
    """

    def __init__(self, url: str, account: str, window: _Window) -> None:
        try:
            from redis import Redis, RedisError  # noqa: PLC0415 - an extra of the package
        except ImportError:
            raise StoreUnavailable(
                "rate_limit_store is a Redis URL, which needs a package that is not installed: "
                f"install {_PROGRAM}[redis]"
            ) from None
        # The last four are about the URL: a port that is no number, an option that there is not,
        # one that is not meant to be text, an encoding that nobody knows.
        self._failures = (RedisError, OSError, ValueError, TypeError, AttributeError, LookupError)
        self._prefix = f"{_PROGRAM}:{{{account}}}"  # braces: all keys in one place of a cluster
        self._arguments = [window.calls, window.milliseconds, window.kept_milliseconds]
        with self._asking():
            self._client: Redis = Redis.from_url(
                url,
                socket_timeout=_STORE_TIMEOUT_SECONDS,
                socket_connect_timeout=_STORE_TIMEOUT_SECONDS,
            )
            self._take = self._client.register_script(_REDIS_TAKE)
            self._lock = self._client.register_script(_REDIS_LOCK)
            self._client.ping()

    def take(self, endpoint: str) -> float:
        wait_milliseconds, _ = self._ask(endpoint, uuid.uuid4().hex)
        return wait_milliseconds / 1000

    def lock(self, endpoint: str, milliseconds: int) -> None:
        with self._asking():
            self._lock(keys=[f"{self._prefix}:{endpoint}:lock"], args=[milliseconds])

    def locked_for(self, endpoint: str) -> float:
        with self._asking():
            left: Any = self._client.pttl(f"{self._prefix}:{endpoint}:lock")
        return max(int(left), 0) / 1000

    def calls_left(self, endpoint: str) -> int:
        return self._ask(endpoint, "")[1]

    def seconds_until(self, endpoint: str, calls: int) -> float:
        limit, period, _ = self._arguments
        rounds, place = divmod(calls - 1, limit)
        whole_seconds = rounds * period / 1000
        locked_seconds = self.locked_for(endpoint)
        if locked_seconds or limit - place > _MOST_IN_REDIS:
            return locked_seconds + whole_seconds
        with self._asking():
            now: Any = self._client.time()
            before: Any = self._client.zrange(
                f"{self._prefix}:{endpoint}:calls", place - limit, place - limit, withscores=True
            )
        if not before:
            return whole_seconds
        now_seconds = float(now[0] + now[1] / 1e6)
        ends_seconds = (float(before[0][1]) + period + 1) / 1000
        return max(ends_seconds - now_seconds, 0.0) + whole_seconds

    def close(self) -> None:
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
            raise StoreUnavailable(
                "The Redis server that rate_limit_store names cannot be used "
                f"({type(error).__name__}): check that it runs and that the URL and its password "
                "are right, or set rate_limit_store to file"
            ) from None
