"""Requests in threads, their results in one queue.

Not `concurrent.futures`: at exit the interpreter waits for its threads, and a run that was told to
end would hang on the slowest response. And the queue is what a signal handler may put into safely,
so that the main thread can wait for a result and for the end at the same place.
"""

from __future__ import annotations

import queue
import threading
import typing as t
from dataclasses import dataclass
from functools import partial

from tap_zoho_campaigns_recipients.zoho.clock import Stopped
from tap_zoho_campaigns_recipients.zoho.errors import (
    TapError,
    Throttled,
    TokenRefused,
    Unauthorized,
)
from tap_zoho_campaigns_recipients.zoho.rate_limit.store import StoreUnavailable

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from tap_zoho_campaigns_recipients.zoho.client import Client
    from tap_zoho_campaigns_recipients.zoho.endpoints import Endpoint, ResponseFormat
    from tap_zoho_campaigns_recipients.zoho.responses import Response


@dataclass(slots=True)
class Done:
    """A piece of work that ended."""

    ticket: t.Any
    """What it was handed in with."""
    result: t.Any = None
    error: BaseException | None = None


class WorkerThreads:
    """Threads that work off what is handed in, in order."""

    def __init__(self, count: int, at_end: Callable[[], None]) -> None:
        """Start no thread yet.

        Args:
            count: The most pieces of work at the same time.
            at_end: Called by each thread before it ends.
        """
        self._count = count
        self._at_end = at_end
        self._work: queue.SimpleQueue[tuple[t.Any, Callable[[], t.Any]] | None] = (
            queue.SimpleQueue()
        )
        self._done: queue.SimpleQueue[Done] = queue.SimpleQueue()
        self._threads = 0
        self.pending = 0
        """Pieces of work that were handed in and not taken back."""

    def submit(self, ticket: object, work: Callable[[], t.Any]) -> None:
        """Hand in a piece of work."""
        self.pending += 1
        self._work.put((ticket, work))
        if self._threads < min(self._count, self.pending):
            self._threads += 1
            threading.Thread(target=self._run, name=f"request-{self._threads}", daemon=True).start()

    def next(self, timeout_seconds: float | None = None) -> Done | None:
        """Wait for a piece of work to end.

        Args:
            timeout_seconds: How long to wait; None: as long as it takes.

        Returns:
            It, or None when the time is over.

        Raises:
            BaseException: What `interrupt` was given.
        """
        try:
            done = self._done.get(timeout=timeout_seconds)
        except queue.Empty:
            return None
        if done.ticket is self:
            assert done.error is not None  # noqa: S101 - `interrupt` puts one in
            raise done.error
        self.pending -= 1
        return done

    def interrupt(self, error: BaseException) -> None:
        """Have `next` raise; may be called from a signal handler."""
        self._done.put(Done(self, error=error))

    def close(self) -> None:
        """Let the threads end, and with each its connection, as soon as their work is done."""
        for _ in range(self._threads):
            self._work.put(None)

    def _run(self) -> None:
        try:
            while piece := self._work.get():
                ticket, work = piece
                done = Done(ticket)
                try:
                    done.result = work()
                except Stopped:
                    return
                except BaseException as error:  # noqa: BLE001 - it is handed to the main thread
                    done.error = error
                self._done.put(done)
        finally:
            self._at_end()


ENDS_THE_RUN = (Unauthorized, TokenRefused, Throttled, StoreUnavailable)
"""Errors that no campaign is to blame for, whatever was asked."""


class RequestPool:
    """A run's requests: sent in threads, their responses taken one by one."""

    def __init__(
        self, client: Client, workers: WorkerThreads, while_waiting: Callable[[], None]
    ) -> None:
        """Send nothing yet.

        Args:
            client: Sends a request until it has a response.
            workers: The threads.
            while_waiting: Called at least once a second while a response is waited for.
        """
        self.client = client
        self._workers = workers
        self._while_waiting = while_waiting

    @property
    def pending(self) -> int:
        """Requests whose responses were not taken yet."""
        return self._workers.pending

    def send(
        self,
        ticket: object,
        endpoint: Endpoint,
        parameters: dict[str, str],
        response_format: ResponseFormat = "json",
    ) -> None:
        """Have a request sent; `next` returns its response under the ticket."""
        self._workers.submit(
            ticket, partial(self.client.call, endpoint, parameters, response_format)
        )

    def next(self) -> tuple[t.Any, Response | None, TapError | None]:
        """Wait for a response.

        Returns:
            The ticket, and the response or what became of it.

        Raises:
            TapError: Where it is one that no campaign is to blame for.
        """
        if not self._workers.pending:
            msg = "Waiting, though nothing is under way"
            raise RuntimeError(msg)
        done = None
        while done is None:
            done = self._workers.next(timeout_seconds=1)
            self._while_waiting()
        if done.error is None:
            return done.ticket, done.result, None
        if not isinstance(done.error, TapError) or isinstance(done.error, ENDS_THE_RUN):
            raise done.error
        if done.error is self.client.final:  # maybe another request's, which has not come yet
            raise done.error
        return done.ticket, None, done.error

    def call(self, endpoint: Endpoint, parameters: dict[str, str]) -> Response:
        """Send a request and wait for its response, while no other is under way.

        Raises:
            TapError: What became of it.
        """
        self.send(None, endpoint, parameters)
        _, response, error = self.next()
        if response is None:
            raise error or AssertionError
        return response
