"""Counts calls in an SQLite database: a file that the runs of a machine share, or memory."""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
import threading
import typing as t
from bisect import bisect_left
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path

from platformdirs import user_cache_path

from tap_zoho_campaigns_recipients.zoho.clock import Stopped
from tap_zoho_campaigns_recipients.zoho.rate_limit.store import PROGRAM, STORE_TIMEOUT_SECONDS

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_zoho_campaigns_recipients.zoho.clock import Clock
    from tap_zoho_campaigns_recipients.zoho.rate_limit.store import Window

T = t.TypeVar("T")

_CLEANED_EVERY = 32
"""Old calls of an endpoint are thrown away with the first call of a run and every so many calls."""
_UNREADABLE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
"""What SQLite says of a file that is damaged, not a database, or one with other tables."""


def file_of(account: str, directory: Path | None) -> Path:
    """Return the account's file: a name to recognise it by, and a hash that keeps it apart."""
    name = re.sub(r"[^A-Za-z0-9.-]+", "_", account)[:80]
    digest = hashlib.sha256(account.encode()).hexdigest()[:8]
    return (directory or user_cache_path(PROGRAM, appauthor=False)) / f"{name}-{digest}.sqlite3"


class SqliteStore:
    """A file that the runs of one machine share; memory if there is no usable file.

    A file that cannot be read is made anew once, then memory serves, each with one warning. What
    the file knows goes into memory with it, as far as it can be read: a full disk often can.
    """

    def __init__(
        self, path: Path | None, window: Window, clock: Clock, warn: Callable[..., None]
    ) -> None:
        self._path, self._window, self._clock, self._warn = path, window, clock, warn
        self._mutex = threading.Lock()
        self._database: _Database | None = None
        self._identity: tuple[int, int] | None = None
        self._made_anew = False
        self._is_closed = False
        self._use(lambda _: None)

    def take(self, endpoint: str) -> float:
        """Count a call and return 0; or count nothing and return the seconds to wait."""
        return self._use(lambda database: database.take(endpoint))

    def lock(self, endpoint: str, milliseconds: int) -> None:
        """Lock the endpoint for so long; a longer lock stays."""
        self._use(lambda database: database.lock(endpoint, milliseconds))

    def locked_for(self, endpoint: str) -> float:
        """Return how many seconds the endpoint stays locked."""
        return self._use(lambda database: database.locked_for(endpoint))

    def calls_left(self, endpoint: str) -> int:
        """Return how many calls could be sent now."""
        return self._use(lambda database: database.calls_left(endpoint))

    def seconds_until(self, endpoint: str, calls: int) -> float:
        """Return how long the limit makes so many more calls take."""
        return self._use(lambda database: database.seconds_until(endpoint, calls))

    def close(self) -> None:
        """Release the file or the connection."""
        with self._mutex:
            self._is_closed = True
            self._drop()

    def _use(self, work: Callable[[_Database], T]) -> T:
        with self._mutex:
            if self._is_closed:  # a thread that the run did not wait for opens nothing anew
                raise Stopped
            while True:
                try:
                    # Another process may have made the file anew, or the user removed it.
                    if not self._database or self._identity != _identity(self._path):
                        self._open()
                    return work(t.cast("_Database", self._database))
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
    """Return what distinguishes a file from another of the same name; None if it does not exist."""
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


class _Database:
    """An open SQLite database of calls, numbered from 1 per endpoint in their order, and of locks.

    Times are whole milliseconds of the clock, taken while no other process can write: so they
    grow, except if the clock is set back. Then what is in the future is pulled back to now: it
    still counts, and for no longer than if it had happened now.

    Args:
        path: The file, or ``:memory:``.
        window: The limit.
        clock: Tells the time.

    Raises:
        sqlite3.Error: When it cannot be read or written. So do all methods.
    """

    def __init__(self, path: Path | str, window: Window, clock: Clock) -> None:
        self._window, self._clock = window, clock
        self._taken: Counter[str] = Counter()
        self._connection = sqlite3.connect(
            path, timeout=STORE_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False
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
            self._taken[endpoint] += 1
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
