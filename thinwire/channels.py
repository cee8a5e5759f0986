"""What a channel is joined to: the trio side of one channel.

A `Port` stands beside each channel of the mux. At most one client is its `Holder`: it holds the writing end.
Who that can be is in `clients`.

Output is tried at once, in the task that serves the line (`deliver` for acknowledged bytes, `push` for what
has gathered in the backlog); only what the client does not take is left to the client's own task. Input is
brought in by the server's `Lookout` as it comes, up to a limit, and always before the victim is heard. So
neither a slow nor an absent client costs another channel anything.
"""

import logging
from collections.abc import Callable
from typing import Protocol

import trio

from thinwire.lookout import Lookout
from thinwire.mux import CONSOLE, Channel, Mux

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
