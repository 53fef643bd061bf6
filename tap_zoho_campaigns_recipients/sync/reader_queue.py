"""The readers in order, and the requests that are sent ahead for them."""

from __future__ import annotations

import typing as t
from collections import deque
from itertools import islice

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tap_zoho_campaigns_recipients.sync.reader import Call, Reader
    from tap_zoho_campaigns_recipients.sync.request_pool import RequestPool


class ReaderQueue:
    """The readers that are in work, and those behind them."""

    def __init__(self, requests: RequestPool, max_parallel_requests: int) -> None:
        """Start without readers.

        Args:
            requests: Sends the requests.
            max_parallel_requests: The most requests in flight.
        """
        self._requests = requests
        self._most = max_parallel_requests
        self._queue: deque[Reader] = deque()
        self._rest: Iterator[Reader] = iter(())

    def begin(self, readers: Iterator[Reader]) -> None:
        """Work through other readers from now on."""
        while self._queue:
            self._queue.popleft().drop()
        self._rest = readers

    @property
    def readers(self) -> Sequence[Reader]:
        """The readers that were taken from the iterator and are not done, in order."""
        return self._queue

    @property
    def head(self) -> Reader | None:
        """The first reader, whose records are next."""
        return self._reader(0)

    def pop_head(self) -> None:
        """Remove the first reader."""
        self._queue.popleft()

    def ahead(self, count: int) -> Iterator[Reader]:
        """Yield the readers behind the first one."""
        for position in range(1, count + 1):
            reader = self._reader(position)
            if reader is None:
                return
            if not reader.is_done:
                yield reader

    def send_ahead(self) -> None:
        """Send the requests that the readers want, those of the first reader before the others.

        The first reader may have as many pages in flight or in memory as there are threads, and
        the readers behind it twice as many together: while a slow response blocks the queue some
        of them already have theirs, and the threads must not run out of work.
        """
        self._send(self._queue[0].next_requests(self._most))
        room = 0 if self._most == 1 else 2 * self._most
        position = 1
        while (
            room > 0
            and (free := self._most + 1 - self._requests.pending) > 0
            and (reader := self._reader(position))
        ):
            self._send(reader.next_requests(min(reader.pages + free, room)))
            if reader.is_done:
                # It has no records: its list did not change, or its campaign is left out.
                del self._queue[position]
            else:
                room -= max(reader.pages, 1)
                position += 1

    def receive(self) -> None:
        """Wait for a response, and give it to its reader.

        Raises:
            TapError: An error that ends the run.
        """
        call, response, error = self._requests.next()
        call.reader.accept_response(call, response, error)

    def _reader(self, position: int) -> Reader | None:
        """Return the reader at a position of the queue."""
        missing = position + 1 - len(self._queue)
        if missing > 0:
            self._queue.extend(islice(self._rest, missing))
        return self._queue[position] if position < len(self._queue) else None

    def _send(self, calls: list[Call]) -> None:
        for call in calls:
            self._requests.send(call, call.endpoint, call.parameters, call.response_format)
