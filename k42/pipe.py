"""Two ends of one byte stream within this process.

A machine and its multiplexer exchange a frame and its answer some twenty times for one single step of gdb's;
through a socket each of them cost four system calls and as many turns of the event loop.  Here bytes are
handed over at once, `send_now`, and a turn is taken only to wait.  An end may also be told of what comes
(`listen`), within the sender's `send_now`: the machine then answers a frame before that returns, and whoever
sent it has the next one.

Where both ends listen, an answer brings the next question while the first sender still waits: what comes in
while it is being heard stands in line, and is heard next, by whoever hears already.  So nothing nests, and a
conversation goes on for `TURN` seconds without the event loop.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import trio

#: Bytes on their way before the sender waits; a little more than the largest thing either side sends.
LIMIT = 1 << 17

#: Seconds for which the ends may talk before the other tasks get their turn.
TURN = 0.002


class _Signal:
    """Wakes whoever waits for it."""

    def __init__(self) -> None:
        self._event: trio.Event | None = None

    def set(self) -> None:
        if self._event is not None:
            self._event.set()
            self._event = None

    async def wait(self) -> None:
        if self._event is None:
            self._event = trio.Event()
        await self._event.wait()


class _Way:
    """One direction.  `listener` is told that there is something, and says whether it has taken any of it."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.is_closed = False
        self.listener: Callable[[], bool] | None = None
        self.more = _Signal()
        self.room = _Signal()
        self._is_heard = False

    def tell(self) -> None:
        """There is something: have it heard, or wake who waits for it."""
        if self._is_heard:
            return
        if self.listener is not None:
            self._is_heard, ends = True, time.perf_counter() + TURN
            try:
                while self.data and self.listener is not None and self.listener():
                    if time.perf_counter() > ends:
                        break
            finally:
                self._is_heard = False
        if self.data:
            self.more.set()

    def close(self) -> None:
        self.is_closed = True
        self.more.set()
        self.room.set()


class PipeStream(trio.abc.HalfCloseableStream):
    """One end.  Sending does not give other tasks their turn; receiving does where there is nothing yet."""

    def __init__(self, inward: _Way, outward: _Way) -> None:
        self._inward = inward
        self._outward = outward
        self._is_closed = False

    def listen(self, listener: Callable[[], bool] | None) -> None:
        """Have `listener` called as soon as something has come; it may `receive_now`, and says whether it
        has."""
        self._inward.listener = listener

    def send_now(self, data: bytes) -> int:
        """Send as much as there is room for; return how much.  Raises as `send_all`."""
        self._check()
        way = self._outward
        count = min(len(data), LIMIT - len(way.data))
        if count:
            way.data += data[:count]
            way.tell()
        return count

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything, waiting for room.  Raises BrokenResourceError when the other end is closed."""
        rest = bytes(data)
        await trio.lowlevel.checkpoint_if_cancelled()
        while rest := rest[self.send_now(rest) :]:
            await self._outward.room.wait()

    async def wait_send_all_might_not_block(self) -> None:
        """Wait for room.  Raises as `send_all`."""
        await trio.lowlevel.checkpoint_if_cancelled()
        while self._check() and len(self._outward.data) >= LIMIT:
            await self._outward.room.wait()

    def receive_now(self, max_bytes: int | None = None) -> bytes:
        """Return what there is, if anything."""
        way = self._inward
        data = bytes(way.data[:max_bytes])
        if data:
            del way.data[: len(data)]
            way.room.set()
        return data

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return what there is, waiting for something; b"" after the other end is closed."""
        way = self._inward
        await trio.lowlevel.checkpoint_if_cancelled()
        while not way.data:
            if self._is_closed:
                raise trio.ClosedResourceError("this end is closed")
            if way.is_closed:
                return b""
            await way.more.wait()
        return self.receive_now(max_bytes)

    async def send_eof(self) -> None:
        """Close the way out only."""
        await trio.lowlevel.checkpoint_if_cancelled()
        self._outward.close()

    async def aclose(self) -> None:
        """Close both ways; what has been sent can still be received."""
        self._is_closed = True
        for way in (self._inward, self._outward):
            way.close()
        await trio.lowlevel.checkpoint()

    def _check(self) -> bool:
        if self._is_closed:
            raise trio.ClosedResourceError("this end is closed")
        if self._outward.is_closed:
            raise trio.BrokenResourceError("the stream is closed")
        return True


def stream_pair() -> tuple[PipeStream, PipeStream]:
    """Return the ends of a connected pair; what one sends the other receives."""
    one, other = _Way(), _Way()
    return PipeStream(one, other), PipeStream(other, one)
