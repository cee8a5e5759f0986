"""A stream that is tried before it is waited for.

trio gives the other tasks their turn at each send and each receive, and each turn asks the kernel about every
open file.  For a question and its answer, both already there, that costs several times as much as the bytes
themselves; gdb asks thirty questions for one `stepi`.  So a socket is read and written at once where it can
be, and waited for only where it cannot.  That others get their turn all the same, even while a client never
pauses, is the budget's affair: after `TURN` seconds it is theirs, whatever has been waited for before.

Other streams than sockets (a test's) are used as they are.
"""

from __future__ import annotations

import os
import time

import trio

# Seconds for which one conversation may keep the other tasks waiting.
TURN = 0.002


class QuickStream:
    """`stream` with quick ways in and out.  It is closed by whoever owns `stream`."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._socket = stream.socket if isinstance(stream, trio.SocketStream) else None
        self._turn_ends = 0.0

    async def receive_some(self, limit: int) -> bytes:
        """Return up to `limit` bytes, none at the stream's end.

        Raises trio.BrokenResourceError and trio.ClosedResourceError, as the stream would.
        """
        if self._socket is None:
            return bytes(await self._stream.receive_some(limit))
        if time.monotonic() >= self._turn_ends:
            await trio.lowlevel.checkpoint()
            self._turn_ends = time.monotonic() + TURN
        while True:
            try:
                return os.read(self._socket.fileno(), limit)
            except BlockingIOError:
                await trio.lowlevel.wait_readable(self._socket)
            except OSError as problem:
                raise self._broken() from problem

    def receive_now(self, limit: int) -> bytes:
        """Return what has come already; nothing, too, at the stream's end and where that cannot be known."""
        try:
            return b"" if self._socket is None else os.read(self._socket.fileno(), limit)
        except OSError:
            return b""

    def send_now(self, data: bytes) -> bytes:
        """Send what can be sent without waiting, and return the rest.  Raises as `receive_some`."""
        if self._socket is None:
            return data
        try:
            return data[os.write(self._socket.fileno(), data) :]
        except BlockingIOError:
            return data
        except OSError as problem:
            raise self._broken() from problem

    async def send_all(self, data: bytes) -> None:
        """Send `data`, waiting as long as it takes.  Raises as `receive_some`."""
        await self._stream.send_all(data)

    def _broken(self) -> trio.BrokenResourceError | trio.ClosedResourceError:
        is_closed = self._socket is not None and self._socket.fileno() < 0
        return (
            trio.ClosedResourceError("closed") if is_closed else trio.BrokenResourceError("the peer is gone")
        )
