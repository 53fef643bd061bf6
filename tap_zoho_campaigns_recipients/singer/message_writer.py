"""Messages to stdout: whole lines, whatever happens to the process or to the reader.

A pipe takes a write of up to 4096 bytes whole or not at all, and a larger one as well while there
is room for all of it. Lines go out in groups of such sizes: a process that is killed leaves no half
of a line, and one that is told to end while the reader stalls is not caught in the middle of one.
The SDK's writers flush line by line through Python's buffer, which a signal can cut anywhere.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import select
import sys
import time
import typing as t
from array import array
from datetime import UTC, datetime

import msgspec
from singer_sdk.singerlib.encoding.base import GenericSingerWriter
from singer_sdk.singerlib.messages import Message, RecordMessage, StateMessage

from tap_zoho_campaigns_recipients.singer.exit_codes import Shutdown

if sys.platform == "linux":
    import fcntl
    import termios

ATOMIC_BYTES = 4096
"""What POSIX calls PIPE_BUF, on Linux; elsewhere it is 512 at least, and often this."""

GROUP_BYTES = 32 * 1024
"""Records are written when there are so many bytes of them: half of what a pipe holds."""

POLL_MILLISECONDS = 200
READER_IS_GONE = "The reader of the output is gone"
PATIENCE_SECONDS = 5.0
"""How long a run that is told to end waits for a reader that takes nothing."""


class MessageWriter(GenericSingerWriter[bytes, Message]):
    """Writes Singer messages to stdout."""

    def __init__(self) -> None:
        """Write nothing yet."""
        self._encoder = msgspec.json.Encoder(enc_hook=_text)
        self._lines = bytearray()
        self._end: Shutdown | None = None
        self._is_patient = False
        self._end_of_record = b""
        self.extracted_at = datetime.now(UTC)
        self.written_bytes = 0
        self.state_bytes = 0
        """Those of STATE messages among them."""
        self.last_state_bytes = 0

    def serialize_message(self, message: Message) -> bytes:
        """Return a message as JSON, without the line's end."""
        if isinstance(message, StateMessage):
            # Its own way would copy all of the state first.
            return self._encoder.encode({"type": "STATE", "value": message.value})
        return self._encoder.encode(message.to_dict())

    def write_message(self, message: Message) -> None:
        """Write a message; records in groups, everything else at once.

        Raises:
            Shutdown: When the run was told to end, or the reader is gone. Lines that were not
                written yet are kept for `close`.
        """
        line = self.serialize_message(message)
        if isinstance(message, StateMessage):
            self.state_bytes += len(line)
            self.last_state_bytes = len(line)
        self._lines += line
        self._lines += b"\n"
        if len(self._lines) >= GROUP_BYTES or not isinstance(message, RecordMessage):
            self.flush()

    def write_record(self, stream: str, record: dict[str, t.Any]) -> None:
        """Write a record, without making a message object of it first.

        Args:
            stream: The stream's name.
            record: The record.

        Raises:
            Shutdown: As `write_message`.
        """
        line = self._encoder.encode(record)
        lines = self._lines
        lines += _start_of_record(stream)
        lines += line
        lines += self._end_of_record
        if len(lines) >= GROUP_BYTES:
            self.flush()

    @property
    def extracted_at(self) -> datetime:
        """When the records were extracted that are written next."""
        return self._extracted_at

    @extracted_at.setter
    def extracted_at(self, time: datetime) -> None:
        self._extracted_at = time
        self._end_of_record = b',"time_extracted":"%s"}\n' % time.isoformat().encode()

    def end(self, reason: Shutdown) -> None:
        """Have the next write raise; may be called from a signal handler."""
        self._end = reason

    def close(self, message: Message | None) -> bool:
        """Write what is left and a last message, unless the reader does not take it in time.

        Returns:
            Whether everything was written.
        """
        self._is_patient = True
        try:
            self.flush()
            if message is not None:
                self.write_message(message)
        except Shutdown:
            return False
        return True

    def check(self) -> None:
        """Look whether there is still a reader; for a run that has nothing to write just now.

        Raises:
            Shutdown: There is no reader any more.
        """
        descriptor = _descriptor(sys.stdout)
        if descriptor is not None and _poll(descriptor, 0) & _GONE:
            raise Shutdown(READER_IS_GONE, 1)

    def flush(self) -> None:
        """Write the lines that are held back.

        Raises:
            Shutdown: As `write_message`.
        """
        if self._end and not self._is_patient:
            raise self._end
        if not self._lines:
            return
        self.written_bytes += len(self._lines)
        if sys.stdout is None:  # closed by whoever started the process
            self._lines.clear()
            raise Shutdown("There is no standard output to write to", 1)
        descriptor = _descriptor(sys.stdout)
        if descriptor is None:
            sys.stdout.write(self._lines.decode())
            sys.stdout.flush()
            self._lines.clear()
            return
        try:
            while self._lines:
                room = _empty_pipe(descriptor)
                if not room:
                    self._wait(descriptor)
                group = self._group(max(room, ATOMIC_BYTES))
                written = os.write(descriptor, self._lines[:group])
                del self._lines[:written]
        except OSError as error:
            self._lines.clear()
            is_gone = isinstance(error, BrokenPipeError | ConnectionResetError)
            reason = READER_IS_GONE if is_gone else f"The output takes no more: {error.strerror}"
            raise Shutdown(reason, 1) from None

    def _group(self, room: int) -> int:
        """Return how many bytes to write at once: whole lines, or a part of one that is longer."""
        if len(self._lines) <= room:
            return room
        return self._lines.rfind(b"\n", 0, room) + 1 or ATOMIC_BYTES

    def _wait(self, descriptor: int) -> None:
        """Wait until the reader takes something."""
        begin = time.monotonic()
        while not _poll(descriptor, POLL_MILLISECONDS):
            if self._is_patient:
                if time.monotonic() - begin > PATIENCE_SECONDS:
                    raise self._end or Shutdown("The reader of the output takes nothing", 1)
            elif self._end:
                raise self._end


if hasattr(select, "poll"):
    _GONE = select.POLLERR | select.POLLHUP

    def _poll(descriptor: int, milliseconds: int) -> int:
        """Wait until it can be written to, and return what is so; `_GONE` may be among it."""
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        return sum(event for _, event in poll.poll(milliseconds))

else:  # pragma: no cover - Windows
    _GONE = 0

    def _poll(descriptor: int, milliseconds: int) -> int:
        """Say that it can be written to: nothing tells."""
        del descriptor, milliseconds
        return 1


def _descriptor(stream: t.TextIO) -> int | None:
    """Return what to write to past Python's buffers; None where stdout is only an object."""
    try:
        return stream.fileno()
    except (AttributeError, io.UnsupportedOperation, ValueError):
        return None


def _empty_pipe(descriptor: int) -> int:
    """Return how many bytes an empty pipe takes whole and at once; 0 where nothing tells.

    Half of what it holds, for a process may log to the same one meanwhile.
    """
    if sys.platform == "linux":
        waiting = array("i", [0])
        with contextlib.suppress(OSError):
            fcntl.ioctl(descriptor, termios.FIONREAD, waiting)
            if not waiting[0]:
                return fcntl.fcntl(descriptor, fcntl.F_GETPIPE_SZ) // 2
    return 0


@functools.cache
def _start_of_record(stream: str) -> bytes:
    return b'{"type":"RECORD","stream":%s,"record":' % msgspec.json.encode(stream)


def _text(value: object) -> str:
    return str(value)
