"""A server's side of one connection, without the connection: bytes in, requests out; replies in, bytes out.

States:

    IDLE --run()--> RUNNING --stop(reply)--> IDLE        any --close()--> CLOSED

IDLE: every request is owed exactly one reply, in order.  RUNNING: the target runs and one stop reply is
owed; only `O` packets may precede it.  gdb in all-stop mode says nothing but 0x03 then, but a client may do
anything: its requests wait until the stop, except the ones that end the run (`ENDS_A_RUN`).

Acknowledgements: until the client asks for QStartNoAckMode each good packet is answered `+`, a damaged one
`-`, and a `-` from the client repeats the last reply.  The reply to QStartNoAckMode itself is still
acknowledged (GDB manual, "Packet Acknowledgment").  Afterwards acks are noise, and a damaged packet, which
cannot be asked for again, is answered with an error so that its sender does not wait for ever.

It does not know what requests mean, nor the target.
"""

from __future__ import annotations

import enum
from collections import deque

from gdbstub import commands, packet
from gdbstub.commands import Command
from gdbstub.packet import Damaged, Decoder, Interrupt, Packet

# Announced to the client.  A memory read or write carries half of it.  A dump likes long packets, but none
# that a socket does not take at once: Linux lets 64 KB wait for a reader, and whoever has more to send is
# woken again and again to send the rest.  Packets of 128 KB made a dump three times as slow on a busy host.
PACKET_SIZE = 0x8000

# Repeats of one reply before the line counts as unusable; gdb itself gives up after three.
MAX_REPEATS = 10

# Requests that a client may have waiting while the target runs.  gdb sends none.
MAX_WAITING = 16

ENDS_A_RUN = commands.Kill | commands.KillProcess | commands.Detach

Request = Command | Interrupt


class State(enum.Enum):
    """Where a session stands."""

    IDLE = "idle"
    RUNNING = "running"
    CLOSED = "closed"


class Session:
    """One client's dialogue.  `outgoing` collects the bytes to send; take them with `take_outgoing`."""

    def __init__(self) -> None:
        self.state = State.IDLE
        self.is_acknowledging = True
        self._decoder = Decoder(2 * PACKET_SIZE)
        self._requests: deque[Request] = deque()
        self._outgoing: list[bytes] = []
        self._last_reply = b""
        self._repeats = 0

    def receive(self, data: bytes) -> None:
        """Take bytes from the client."""
        for event in self._decoder.feed(data):
            match event:
                case Packet(body):
                    if self.is_acknowledging:
                        self._outgoing.append(packet.ACK)
                    self._repeats = 0
                    self._queue(commands.parse(body))
                case Interrupt():
                    self._queue(event)
                case packet.Nak() if self.is_acknowledging and self._last_reply:
                    self._repeats += 1
                    if self._repeats > MAX_REPEATS:
                        self.close()
                    else:
                        self._outgoing.append(self._last_reply)
                case Damaged(raw) if self.is_acknowledging:
                    self._outgoing.append(packet.NAK)
                case Damaged(raw):
                    self._queue(commands.Malformed(raw))
                case _:
                    pass

    def _queue(self, request: Request) -> None:
        if self.state is State.RUNNING and len(self._requests) >= MAX_WAITING:
            self.close()
        else:
            self._requests.append(request)

    @property
    def has_request(self) -> bool:
        """True when something has been asked and not served."""
        return bool(self._requests)

    def next_request(self) -> Request | None:
        """Return the next request to serve in the present state, or None if there is none.

        While RUNNING these are interrupts and what ends a run; the others keep their place.  An interrupt
        that comes while IDLE crossed the stop reply on its way.
        """
        if self.state is State.RUNNING:
            for index, request in enumerate(self._requests):
                if isinstance(request, Interrupt | ENDS_A_RUN):
                    del self._requests[index]
                    return request
            return None
        return self._requests.popleft() if self._requests and self.state is State.IDLE else None

    def reply(self, body: bytes) -> None:
        """Answer the request served last."""
        self._last_reply = packet.frame_reply(body)
        self._outgoing.append(self._last_reply)

    def run(self) -> None:
        """Note that the target runs; the next reply is a stop."""
        self.state = State.RUNNING

    def stop(self, body: bytes) -> None:
        """Answer a run with a stop reply."""
        if self.state is State.RUNNING:
            self.state = State.IDLE
            self.reply(body)

    def abandon_run(self) -> None:
        """Note that the run ended without a stop reply, since the client did not wait for one."""
        self.state = State.IDLE

    def output(self, text: bytes) -> None:
        """Have gdb print `text`: only while the target runs, or before the reply to a monitor command."""
        # A third of the packet for safety: every byte becomes two digits.
        for start in range(0, len(text), PACKET_SIZE // 3):
            self.reply(b"O" + text[start : start + PACKET_SIZE // 3].hex().encode())

    def stop_acknowledging(self) -> None:
        """Enter no-ack mode, after the OK that grants it has been queued."""
        self.is_acknowledging = False

    def close(self) -> None:
        """End the dialogue; what is queued to be sent may still be sent."""
        self.state = State.CLOSED
        self._requests.clear()

    @property
    def has_outgoing(self) -> bool:
        """True when there are bytes to send."""
        return bool(self._outgoing)

    def take_outgoing(self) -> bytes:
        """Return and forget the bytes to send."""
        data = b"".join(self._outgoing)
        self._outgoing.clear()
        return data
