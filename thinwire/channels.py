"""What a channel is joined to: the trio side of one channel, and the clients that attach to it.

A `Port` stands beside each channel of the mux. At most one client holds its writing end. Two kinds of holder
exist: `DescriptorClient` for everything with a file descriptor, and `ChannelStream`, a plain trio stream for
code in the same process. Observers see output only.

Output is tried at once, in the task that serves the line (`deliver` for acknowledged bytes, `push` for what
has gathered in the backlog); only what the client does not take is left to the client's own task. Input is
brought in by the server's `Lookout` as it comes, up to a limit, and always before the victim is heard. So
neither a slow nor an absent client costs another channel anything.
"""

import logging
import os
import select
from collections.abc import Callable
from typing import Protocol

import trio

from thinwire import descriptors
from thinwire.lookout import Lookout
from thinwire.mux import CONSOLE, Channel, Mux, Observer

CONNECTIONS = logging.getLogger("thinwire.connections")
"""Clients coming, leaving and missing, in the words of the original servers."""


class ChannelBusy(Exception):
    """Another client holds the channel's writing end; the message names it."""


class Holder(Protocol):
    """Whoever holds the writing end of a channel."""

    name: str

    def push(self) -> None:
        """There is output in the backlog."""

    def deliver(self, data: bytes | memoryview) -> int:
        """Take bytes at once, with none before them in the backlog; returns how many were taken."""

    def resume(self) -> None:
        """The victim has read: there is room for more input."""

    def evict(self) -> None:
        """Somebody else takes the channel over."""

    def is_gone(self) -> bool:
        """Whether nobody is there any more, though the victim has not read all that was sent."""


class Port:
    """The trio side of one channel."""

    def __init__(self, mux: Mux, number: int, send: Callable[[bytes], None], lookout: Lookout) -> None:
        self.number = number
        self.mux = mux
        self.lookout = lookout
        self.channel: Channel = mux.channels[number]
        self.holder: Holder | None = None
        self.places: list[str] = []
        """Where a client finds this channel, for people."""
        self.replays = False
        """Whether a later writer first gets the last output again."""
        self.clients = 0
        """How many clients there have been."""
        self.bereave: Callable[[], None] = lambda: None
        """Called when a client leaves while the victim waits for what it would have sent."""
        self.free = trio.Event()
        """Set while nobody holds the channel."""
        self.free.set()
        self._send = send
        self._room = trio.Event()
        self._observed = trio.Event()
        self._observers_wait = False
        self._is_awaited = False  # whether the user knows that a client is missing

    def status(self) -> dict[str, object]:
        """Who is here and what is queued, as plain values; sizes in bytes."""
        channel = self.channel
        return {
            "places": self.places,
            "writer": self.holder.name if self.holder else None,
            "clients": self.clients,
            "observers": len(channel.observers),
            "received": channel.received,
            "sent": channel.sent,
            "queued_in": channel.incoming.size,
            "queued_out": channel.outgoing.size,
            "held_reads": len(channel.held_reads),
            "withheld_acks": len(channel.withheld_acks),
            "dropped": channel.dropped,
        }

    # Attaching

    def attach(self, holder: Holder, *, take: bool = False, has_watched: bool = False) -> None:
        """Make `holder` the writer. Raises ChannelBusy unless `take`, which evicts the present one.

        One that has gone is evicted anyway, with what we have not read of it: half a debugger's packet is
        nothing to wait for. What was typed on the console is.
        """
        self.lookout.look_at_clients()  # the holder may have left without our knowing yet
        if self.holder is not None:
            if not take and (self.number == CONSOLE or not self.holder.is_gone()):
                raise ChannelBusy(f"channel {self.number} is held by {self.holder.name}")
            evicted, self.holder = self.holder, None
            evicted.evict()
        self.holder = holder
        self.free = trio.Event()
        self.clients += 1
        self.channel.deliver = holder.deliver
        self.mux.attach(self.number)
        if self.replays and self.clients > 1 and not has_watched:
            self.mux.replay(self.number)
        self._is_awaited = False
        CONNECTIONS.info("connection on channel %d (%s)", self.number, holder.name)
        holder.resume()
        self.lookout.look_at_clients()
        if self.holder is holder:  # and has not gone again already
            holder.push()

    def release(self, holder: Holder) -> None:
        """The holder leaves; anybody else may call this without effect."""
        if self.holder is not holder:
            return
        self.holder = None
        self.free.set()
        CONNECTIONS.info("connection lost on channel %d (%s)", self.number, holder.name)
        self._send(self.mux.detach(self.number))
        if self.channel.held_reads:
            self.bereave()

    # Moving bytes

    def output(self) -> None:
        """The channel has new output."""
        if self.holder is not None:
            self.holder.push()
        else:
            self.lookout.hurry = True  # one may be at the door
        if self.holder is None and not self._is_awaited:
            self._is_awaited = True
            CONNECTIONS.info("awaiting connection on channel %d (%s)", self.number, ", ".join(self.places))
        self.channel.outgoing.own()
        if self._observers_wait:
            self._observers_wait = False
            self._observed.set()
            self._observed = trio.Event()
            self.lookout.hurry = True

    def typed(self, data: bytes) -> None:
        """The client, or an injection, sends bytes to the victim."""
        reply = self.mux.typed(self.number, data)
        if reply:
            self._send(reply)

    def taken(self, count: int) -> None:
        """The client accepted the first bytes of the backlog."""
        self._send(self.mux.taken(self.number, count))

    @property
    def is_full(self) -> bool:
        """Whether the client should not send more for now."""
        return self.channel.incoming.size >= self.mux.rules.input_limit

    def relieved(self) -> None:
        """The victim has read: there is room for input again."""
        if self.holder is not None:
            self.holder.resume()
        self._room.set()
        self._room = trio.Event()

    async def wait_for_room(self) -> None:
        """Wait until the victim has read enough for more input."""
        while self.is_full:
            await self._room.wait()

    async def wait_for_output(self) -> None:
        """Wait until the channel writes something, for observers."""
        self._observers_wait = True
        await self._observed.wait()


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
