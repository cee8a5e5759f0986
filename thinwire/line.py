"""The line: the one stream to the victim, for as long as it lasts.

`Line` is what the server talks to: `receive` waits for bytes, `push` sends without waiting and keeps what
does not go out at once for `run`. `DescriptorLine` tries a file descriptor first and waits only after EAGAIN;
`SocketLine` has a shorter way to wait for a victim that goes on at once; `StreamLine` is a trio stream in
this process. What a serial line wants in addition is in `serial_line`, and how each kind is opened, and
opened again after a loss, in `sources`.
"""

import os
import resource
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, runtime_checkable

import trio

from thinwire import descriptors
from thinwire.backlog import Backlog
from thinwire.lookout import Lookout

FLOOD = 1024 * 1024
"""Bytes asked for at once when a read of the usual size was not enough: a stream is read in few large pieces,
with as few turns of a CPU that is shared with the victim.
"""
BRISK = 0.0005
"""Seconds within which a victim goes on while it has much to say. One that took longer is waited for in trio.
"""
SPIN = 40e-6
"""Seconds to look for more: somewhat longer than a victim on another CPU takes to answer an answer."""
MISSES = 3
LEFT_OUT = 200
"""See `SocketLine`."""
MAX_UNSENT = 64 * 1024
"""A victim that asks without reading the answers is not read either beyond this."""

_LINGER = struct.pack("ll", 0, 1000)
"""The limit of a read, as SO_RCVTIMEO takes it (socket(7)): 1 ms. The kernel counts it in ticks of its clock;
with 250 of them a second it is 4 to 8 ms, and it needs no timer of its own (see `lookout.LINGER`).
"""

Silence = Callable[[], float | None]
LineState = dict[str, int | bool]
"""What there is to say about a line's speed and signals, by name."""


class LineError(Exception):
    """The line cannot be had, and trying again will not help; the message is for the user."""


def causes(
    group: BaseExceptionGroup[BaseException], expected: tuple[type[BaseException], ...]
) -> list[BaseException]:
    """The single errors in a nursery's group. Raises those that are not `expected`."""
    found, others = group.split(expected)
    if others is not None:
        raise others
    flat: list[BaseException] = []
    pending: list[BaseException] = [found] if found is not None else []
    while pending:
        error = pending.pop()
        if isinstance(error, BaseExceptionGroup):
            pending += reversed(error.exceptions)
        else:
            flat.append(error)
    return flat


class LineReset(Exception):
    """The line is still there, but the target began anew: whatever was under way is void."""


class Line(Protocol):
    """One life of the line."""

    unsent: Backlog
    spin: float
    """Seconds to look for more before sleeping, after something came; 0 sleeps at once."""

    def join(self, lookout: Lookout, hear: Callable[[], bool] | None = None) -> None:
        """Look out for the clients as well before each read; to be called before anything is received.

        A line that is told of what comes calls `hear`, which says whether it has taken any of it.
        """

    def take(self) -> bytes | None:
        """What there is now, as `receive`; None if that is nothing, or not to be known without waiting."""

    async def receive(self, silence: Silence) -> bytes | None:
        """The next bytes; b"" when the line is lost; None after `silence()` seconds without any.

        Raises LineReset.
        """

    def push(self, data: bytes) -> None:
        """Send, as far as possible at once."""

    async def drain(self) -> None:
        """Wait until everything pushed has left this process."""

    async def run(self) -> None:
        """Send what `push` could not; never ends by itself."""

    async def change_speed(self, speed: int | None) -> None:
        """Change the line's speed where it has one; None is the second speed, agreed on by DTR and DSR."""

    def return_to_first_speed(self) -> bool:
        """The target seems to be back at the speed it starts with; returns whether ours was another one."""

    def state(self) -> LineState:
        """The line's speed and signals, where it has any."""

    def close(self) -> None:
        """End this life of the line."""


def _count_evictions() -> int:
    """How often this thread had to leave its CPU to others."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw


class DescriptorLine:
    """A line behind nonblocking descriptors, which it closes."""

    def __init__(self, source: int, sink: int) -> None:
        self.unsent = Backlog()
        self._source = source
        self._sink = sink
        self._send: Callable[[bytes, int], int] = lambda data, _flags: os.write(sink, data)
        self._work = trio.Event()
        self._idle = trio.Event()
        self.spin = 0.0
        self._room = descriptors.CHUNK  # for the next read
        self._is_brisk = False  # the victim has just spoken, and soon after it was waited for
        self._is_answered = False  # something was sent since the victim last spoke

    def join(self, lookout: Lookout, hear: Callable[[], bool] | None = None) -> None:
        """See Line: nobody tells us."""
        self._lookout = lookout
        lookout.watch_line(self._source)

    def take(self) -> bytes | None:
        """See Line."""
        lookout = self._lookout
        if self._is_brisk and not lookout.hurry:
            self._is_brisk = self._look_out(self.spin) or lookout.linger()
        else:
            lookout.hurry = False
            self._is_brisk = lookout.look()
        return self._read() if self._is_brisk else None

    def _read(self) -> bytes | None:
        try:
            data = os.read(self._source, self._room)
        except BlockingIOError:
            return None
        except OSError:
            return b""
        self._room = FLOOD if len(data) >= descriptors.CHUNK else descriptors.CHUNK
        return data

    def _look_out(self, seconds: float) -> bool:
        """Whether the victim goes on within so long; nobody sleeps meanwhile."""
        end = time.perf_counter() + seconds if seconds else 0.0
        while time.perf_counter() < end:
            if self._lookout.look():
                return True
        return False

    async def receive(self, silence: Silence) -> bytes | None:
        """See Line."""
        waited = 0.0
        while True:
            data = DescriptorLine.take(self)  # a serial line takes nothing by itself
            if data is not None:
                self._is_brisk = waited < BRISK
                return data
            limit, begun = silence(), time.perf_counter()
            if limit is None:
                await trio.lowlevel.wait_readable(self._source)
            else:
                with trio.move_on_after(limit) as scope:
                    await trio.lowlevel.wait_readable(self._source)
                if scope.cancelled_caught:
                    return None
            waited += time.perf_counter() - begun

    def push(self, data: bytes) -> None:
        """See Line."""
        self._is_answered = True
        if not self.unsent.size:
            try:
                count = self._send(data, socket.MSG_DONTWAIT)
            except BlockingIOError:
                count = 0
            except OSError:
                return  # the reader finds out why
            if count == len(data):
                return
            data = data[count:]
        self._keep(data)

    def _keep(self, data: bytes) -> None:
        """Leave bytes to `run`."""
        if not self.unsent.size:
            self._idle = trio.Event()
            self._work.set()
        self.unsent.append(data)

    async def drain(self) -> None:
        """See Line."""
        await trio.lowlevel.checkpoint()
        if self.unsent.size:
            await self._idle.wait()

    async def run(self) -> None:
        """See Line."""
        while True:
            await self._work.wait()
            while self.unsent.size:
                await self._may_write()
                try:
                    count = self._send(b"".join(self.unsent.front()), socket.MSG_DONTWAIT)
                except BlockingIOError:
                    count = 0
                except OSError:
                    count = self.unsent.size
                self.unsent.discard(count)
            self._work = trio.Event()
            self._idle.set()

    async def _may_write(self) -> None:
        await trio.lowlevel.wait_writable(self._sink)

    async def change_speed(self, speed: int | None) -> None:
        """See Line: there is none to change."""
        await trio.lowlevel.checkpoint()

    def return_to_first_speed(self) -> bool:
        """See Line."""
        return False

    def state(self) -> LineState:
        """See Line."""
        return {}

    def close(self) -> None:
        """See Line."""
        descriptors.close(self._source, self._sink)


class SocketLine(DescriptorLine):
    """A line that is a connected socket of TCP or Unix.

    A victim that has its answer is the next to speak. It is waited for in the read itself, for a
    moment, and the clients are looked at when its request is here, which asks less of the kernel than to
    wait for both and then read. A client that speaks in the meantime has nobody who waits for it, unless a
    victim asks for more before it has all its answers: then it is heard that much later.

    Before that it is looked out for without sleeping, for `SPIN`, where that pays: to wake a CPU takes longer
    than to serve a request. It does not pay where the victim needs our CPU to go on. That shows: nothing
    comes, or we were made to leave the CPU since the last time. After `MISSES` in a row it is left out, but
    for once in `LEFT_OUT`.

    The socket is a blocking one for this; whatever shall not wait says so.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, descriptor)
        self._socket = socket.socket(fileno=descriptor)
        self._socket.setblocking(True)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _LINGER)
        self._send = self._socket.send
        self._misses = 0
        self._left_out = 0
        self._evictions = _count_evictions()

    def take(self) -> bytes | None:
        """See Line."""
        lookout, is_answered = self._lookout, self._is_answered
        self._is_answered = False
        if not is_answered or not self._is_brisk or lookout.hurry or self.spin:
            return super().take()
        if self._left_out:
            self._left_out -= 1
            if not self._left_out:
                self._evictions = _count_evictions()  # not those that we have not looked out in
        elif self._is_quick():
            return self._read()
        try:
            data = self._socket.recv(self._room)
        except BlockingIOError:
            self._is_brisk = False
            return None
        except OSError:
            return b""
        if ready := lookout.poll_clients(0):
            lookout.bring_in(ready)
        self._room = FLOOD if len(data) >= descriptors.CHUNK else descriptors.CHUNK
        return data

    def _is_quick(self) -> bool:
        """Look out for the victim, and learn whether that pays."""
        is_here = self._look_out(SPIN)
        evictions = _count_evictions()
        if is_here and evictions == self._evictions:
            self._misses = 0
        elif self._misses < MISSES:
            self._misses += 1
        else:
            self._left_out = LEFT_OUT
        self._evictions = evictions
        return is_here

    async def receive(self, silence: Silence) -> bytes | None:
        """See Line."""
        data = await super().receive(silence)
        self._is_answered = False
        return data

    def close(self) -> None:
        """See Line."""
        descriptors.close(self._socket.detach())


@runtime_checkable
class Prompt(Protocol):
    """A stream that can take and bring bytes without a turn of the event loop."""

    def send_now(self, data: bytes) -> int:
        """Take as many of the bytes as there is room for; return how many. Raises as `send_all`."""

    def receive_now(self) -> bytes:
        """What has come already, if anything."""

    def listen(self, listener: Callable[[], bool] | None) -> None:
        """Call `listener` as soon as something has come; it says whether it has taken any of it. What it
        leaves is there for `receive_some`.
        """


class StreamLine:
    """A line that is a trio stream in this process, such as the emulator's end."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.unsent = Backlog()
        self.spin = 0.0
        self._stream = stream
        self._prompt = stream if isinstance(stream, Prompt) else None
        self._work = trio.Event()
        self._idle = trio.Event()

    def join(self, lookout: Lookout, hear: Callable[[], bool] | None = None) -> None:
        """See Line."""
        self._lookout = lookout
        if self._prompt is not None:
            self._prompt.listen(hear)

    def take(self) -> bytes | None:
        """See Line."""
        data = b"" if self._prompt is None else self._prompt.receive_now()
        if not data:
            return None
        self._lookout.look_at_clients()
        return data

    async def receive(self, silence: Silence) -> bytes | None:
        """See Line."""
        limit = silence()
        if limit is None:
            return await self._receive()
        with trio.move_on_after(limit):
            return await self._receive()
        return None

    async def _receive(self) -> bytes:
        try:
            data = bytes(await self._stream.receive_some())
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            data = b""
        self._lookout.look_at_clients()
        return data

    def push(self, data: bytes) -> None:
        """See Line."""
        if self._prompt is not None and not self.unsent.size:
            try:
                data = data[self._prompt.send_now(data) :]
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return  # the reader finds out
            if not data:
                return
        self.unsent.append(data)
        self._idle = trio.Event()
        self._work.set()

    async def drain(self) -> None:
        """See Line."""
        await trio.lowlevel.checkpoint()
        if self.unsent.size:
            await self._idle.wait()

    async def run(self) -> None:
        """See Line."""
        while True:
            await self._work.wait()
            while self.unsent.size:
                data = b"".join(self.unsent.front())
                with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                    await self._stream.send_all(data)
                self.unsent.discard(len(data))
            self._work = trio.Event()
            self._idle.set()

    async def change_speed(self, speed: int | None) -> None:
        """See Line: there is none to change."""
        await trio.lowlevel.checkpoint()

    def return_to_first_speed(self) -> bool:
        """See Line."""
        return False

    def state(self) -> LineState:
        """See Line."""
        return {}

    def close(self) -> None:
        """See Line; the stream is closed by whoever supplied it when its factory is called again or the
        server ends.
        """
        if self._prompt is not None:
            self._prompt.listen(None)
