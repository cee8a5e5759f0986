"""The clients of a channel. Two kinds can hold its writing end: `DescriptorClient`, for everything with a
file descriptor, and `ChannelStream`, a plain trio stream for code in this process. Observers see output only.
"""

import os
import select
from collections.abc import Callable

import trio

from thinwire import descriptors
from thinwire.channels import Port
from thinwire.mux import Observer


class DescriptorClient:
    """A client behind one or two nonblocking file descriptors (-1: none), which it `closes` in the end."""

    def __init__(
        self,
        port: Port,
        source: int,
        sink: int,
        name: str,
        *,
        outlives_input: bool = False,
        closes: bool = True,
    ) -> None:
        self.name = name
        self.is_evicted = False
        """Whether somebody has taken the channel over."""
        self._closes = closes
        self._outlives_input = outlives_input
        self._port = port
        self._source = source
        self._sink = sink
        self._is_blocked = False
        self._blocked = trio.Event()
        self._scope = trio.CancelScope()

    async def run(self) -> None:
        """Move bytes until the other side is gone or somebody takes the channel over; the caller has attached
        us.
        """
        try:
            with self._scope:
                while True:
                    await self._blocked.wait()
                    await trio.lowlevel.wait_writable(self._sink)
                    self._blocked = trio.Event()
                    self._is_blocked = False
                    self.push()
        finally:
            self._leave()
            if self._closes:
                descriptors.close(*(d for d in (self._source, self._sink) if d >= 0))

    def push(self) -> None:
        """See Holder."""
        outgoing = self._port.channel.outgoing
        if self._sink < 0:
            self._port.taken(outgoing.size)
            return
        if self._is_blocked:
            self._port.lookout.hurry = True
        while outgoing.size and not self._is_blocked:
            count = descriptors.write_now(self._sink, outgoing.front())
            if count > 0:
                self._port.taken(count)
            else:
                self._stop_writing(count)

    def deliver(self, data: bytes | memoryview) -> int:
        """See Holder."""
        if self._is_blocked:
            return 0
        if self._sink < 0:
            return len(data)
        try:
            return os.write(self._sink, data)
        except BlockingIOError:
            self._stop_writing(0)
        except OSError:
            self._stop_writing(-1)
        return 0

    def resume(self) -> None:
        """See Holder."""
        if self._source < 0 or self._port.holder is not self or self._port.is_full:
            return
        try:
            self._port.lookout.watch(self._source, self._bring)
        except PermissionError:  # a plain file is always readable
            while not self._port.is_full and self._source >= 0 and self._bring():
                pass

    def evict(self) -> None:
        """See Holder."""
        self.is_evicted = True
        self._leave()

    def is_gone(self) -> bool:
        """See Holder."""
        poll = select.poll()
        if self._source >= 0:
            poll.register(self._source, select.POLLRDHUP)
        return bool(poll.poll(0))

    def _bring(self) -> bool:
        """Read what the client has sent; whether there may be more."""
        data = descriptors.read_now(self._source)
        if data:
            self._port.typed(data)
            if self._port.is_full:
                self._port.lookout.ignore(self._source)
            return True
        if data is not None:
            self._port.lookout.ignore(self._source)
            if not self._outlives_input:
                self._leave()
        return False

    def _stop_writing(self, count: int) -> None:
        """A write took nothing (0) or failed (-1)."""
        self._is_blocked = True
        if count < 0:
            self._leave()
        else:
            self._blocked.set()
            self._port.lookout.hurry = True

    def _leave(self) -> None:
        """Nothing more either way: make room for the next at once; `run` cleans up."""
        self._is_blocked = True
        self._port.lookout.ignore(self._source)
        if self._port.is_full and self._port.holder is self:
            while unread := descriptors.read_now(self._source):
                self._port.channel.dropped += len(unread)
        self._port.release(self)
        self._scope.cancel()


class ChannelStream(trio.abc.Stream):
    """A channel's writing end as a trio stream, for code in this process."""

    def __init__(self, port: Port, name: str) -> None:
        self.name = name
        self._port = port
        self._wake = trio.Event()
        self._listener: Callable[[], object] | None = None
        self._is_closed = False
        self._is_evicted = False

    def push(self) -> None:
        """See Holder."""
        if self._listener is not None:
            self._listener()
        if self._port.channel.outgoing.size:
            self._wake.set()
        self._port.lookout.hurry = True

    def listen(self, listener: Callable[[], object] | None) -> None:
        """Have `listener` called, by the task that serves the line, as soon as there is output."""
        self._listener = listener

    @property
    def has_room(self) -> bool:
        """Whether bytes can be typed without waiting for the victim to read."""
        return not self._port.is_full

    def send_now(self, data: bytes) -> int:
        """Type bytes if there `has_room`; return how many."""
        self._check()
        if self._port.is_full:
            return 0
        self._port.typed(data)
        return len(data)

    def receive_now(self, max_bytes: int | None = None) -> bytes:
        """The channel's output, as much as there is."""
        outgoing = self._port.channel.outgoing
        if not outgoing.size or self._is_closed or self._is_evicted:
            return b""
        data = b"".join(outgoing.front())[: max_bytes or descriptors.CHUNK]
        self._port.taken(len(data))
        return data

    def deliver(self, data: bytes | memoryview) -> int:
        """See Holder: `receive_some` takes them."""
        return 0

    def resume(self) -> None:
        """See Holder: senders wait for the port's room themselves."""

    def evict(self) -> None:
        """See Holder: the stream ends for its user."""
        self._is_evicted = True
        self._wake.set()

    def is_gone(self) -> bool:
        """See Holder: it says so itself."""
        return False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Type bytes; wait while the victim leaves too many unread."""
        await self.wait_send_all_might_not_block()
        self._port.typed(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        """Wait for room in the channel's input."""
        await trio.lowlevel.checkpoint()
        self._check()
        await self._port.wait_for_room()
        self._check()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """The channel's output; b"" after another client took the channel over."""
        await trio.lowlevel.checkpoint()
        while True:
            if self._is_closed:
                raise trio.ClosedResourceError
            if self._is_evicted:
                return b""
            if data := self.receive_now(max_bytes):
                return data
            self._wake = trio.Event()
            await self._wake.wait()

    async def aclose(self) -> None:
        """Give the channel up; what was not received waits for the next client."""
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """As aclose, at once."""
        self._is_closed = True
        self._wake.set()
        self._port.release(self)

    def _check(self) -> None:
        if self._is_closed:
            raise trio.ClosedResourceError
        if self._is_evicted:
            raise trio.BrokenResourceError(f"channel {self._port.number} is no longer ours")


class ObserverStream(trio.abc.ReceiveStream):
    """A channel's output, starting with the last of what was written before unless `from_now`; losing the
    oldest bytes if not read.
    """

    def __init__(self, port: Port, *, from_now: bool = False) -> None:
        self._port = port
        observer = port.mux.observe(port.number)
        if from_now:
            observer.backlog.discard(observer.backlog.size)
        self._observer: Observer | None = observer

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """The next output; waits for some."""
        await trio.lowlevel.checkpoint()
        while self._observer is not None:
            if self._observer.backlog.size:
                return self._observer.backlog.take(max_bytes or descriptors.CHUNK)
            await self._port.wait_for_output()
        raise trio.ClosedResourceError

    async def aclose(self) -> None:
        """Stop observing."""
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """As aclose, at once."""
        if self._observer is not None:
            self._port.channel.observers.remove(self._observer)
            self._observer = None
            self._port.output()
