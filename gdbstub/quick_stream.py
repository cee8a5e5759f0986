"""A stream that is tried before it is waited for.

trio gives the other tasks their turn at each send and each receive, and each turn asks the kernel about every
open file.  For a question and its answer, both already there, that costs several times as much as the bytes
themselves; gdb asks thirty questions for one `stepi`.  So a socket is read and written at once where it can
be, and waited for only where it cannot.  That others get their turn all the same, even while a client never
pauses, is the budget's affair: after `TURN` seconds it is theirs, whatever has been waited for before.

Who asks his next question soon after our answer is looked out for without sleeping, for `SPIN` seconds at
most: to wake a processor that sleeps takes longer than to answer a packet, and there is one wait for each.
That is for those who have nothing to do meanwhile but to wait for this client, and for machines where he has
a processor of his own.

Other streams than sockets (a test's) are used as they are.
"""

from __future__ import annotations

import os
import select
import time

import trio

# Seconds for which one conversation may keep the other tasks waiting.
TURN = 0.002

# Seconds to look out for the next question: longer than gdb takes for most.
SPIN = 0.001

# Seconds within which a client asks that has nobody at a keyboard to wait for.
BRISK = 0.002


class QuickStream:
    """`stream` with quick ways in and out.  It is closed by whoever owns `stream`."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._socket = stream.socket if isinstance(stream, trio.SocketStream) else None
        self._turn_ends = 0.0
        self._is_brisk = False
        self._readable = select.poll()
        if self._socket is not None:
            self._readable.register(self._socket, select.POLLIN)
        self._has_company = len(os.sched_getaffinity(0)) > 1

    async def receive_some(self, limit: int, *, spin: bool = False) -> bytes:
        """Return up to `limit` bytes, none at the stream's end.  `spin`: nothing else goes on meanwhile.

        Raises trio.BrokenResourceError and trio.ClosedResourceError, as the stream would.
        """
        if self._socket is None:
            return bytes(await self._stream.receive_some(limit))
        begun = time.monotonic()
        if begun >= self._turn_ends:
            await trio.lowlevel.checkpoint()
            begun = time.monotonic()
            self._turn_ends = begun + TURN
        if spin and self._is_brisk and self._has_company:
            while not self._readable.poll(0) and time.monotonic() - begun < SPIN:
                pass
        while True:
            try:
                data = os.read(self._socket.fileno(), limit)
            except BlockingIOError:
                await trio.lowlevel.wait_readable(self._socket)
            except OSError as problem:
                raise self._broken() from problem
            else:
                self._is_brisk = time.monotonic() - begun < BRISK
                return data

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
