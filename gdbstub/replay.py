"""Recorded conversations played again: a client's side to a server, or a server's side to a client.

A transcript (`transcript`) is cut into exchanges: what the client sent, and the packets that came until it
sent the next thing.  Acknowledgements are not part of it; both players make their own, and stop making them
after QStartNoAckMode as the recorded ones did.

`ClientPlayer` sends each request when the replies to the one before have come, and notes every reply that is
not the recorded one.  `ServerPlayer` looks each request up, forward from the one it answered last and then
from the beginning, since a client may leave out or repeat what another one asked.

No I/O; the owner moves the bytes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gdbstub import packet, replies
from gdbstub.packet import Decoder, Interrupt, Packet
from gdbstub.transcript import FROM_STUB, TO_STUB, escape, parse_line

NO_ACK = b"QStartNoAckMode"

# This question carries what the client can do, so two clients ask it differently.
SUPPORTED = b"qSupported"

# Differences kept; a server of another kind gives one for each reply.
MAX_KEPT = 1000


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request's body, or 0x03, and the bodies that came before the next one."""

    request: bytes
    replies: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """A reply that is not the recorded one; None where there was none."""

    request: bytes
    recorded: bytes | None
    received: bytes | None

    def __str__(self) -> str:
        recorded, received = (
            "nothing" if body is None else f"`{escape(body)}`" for body in (self.recorded, self.received)
        )
        return f"to `{escape(self.request)}` was recorded {recorded}, came {received}"


def read_conversations(lines: Iterable[str]) -> dict[str, list[Exchange]]:
    """Return the conversations of a transcript by name.  Raises ValueError for a line that is no text of
    ours.
    """
    exchanges: dict[str, list[Exchange]] = {}
    decoders: dict[tuple[str, str], Decoder] = {}
    for line in lines:
        parsed = parse_line(line)
        if parsed is None:
            continue
        name, direction, raw = parsed
        conversation = exchanges.setdefault(name, [])
        for event in decoders.setdefault((name, direction), Decoder()).feed(raw):
            match event, direction:
                case Packet(body), _ if direction == TO_STUB:
                    conversation.append(Exchange(body, ()))
                case Interrupt(), _ if direction == TO_STUB:
                    conversation.append(Exchange(packet.INTERRUPT, ()))
                case Packet(body), _ if direction == FROM_STUB and conversation:
                    last = conversation[-1]
                    conversation[-1] = Exchange(last.request, (*last.replies, body))
                case _:
                    pass
    return exchanges


def _wire(request: bytes) -> bytes:
    return request if request == packet.INTERRUPT else packet.frame(request)


class ClientPlayer:
    """Plays a client.  Send `take_outgoing` until `is_done`, and feed what comes to `receive`."""

    def __init__(self, exchanges: Sequence[Exchange]) -> None:
        self.differences: list[Difference] = []
        self._exchanges = deque(exchanges)
        self._request = b""
        self._due: deque[bytes] = deque()
        self._decoder = Decoder()
        self._is_acknowledging = True
        self._outgoing: list[bytes] = []
        self._advance()

    @property
    def is_done(self) -> bool:
        """True when all is sent and answered."""
        return not self._exchanges and not self._due

    def take_outgoing(self) -> bytes:
        """Return and forget the bytes to send."""
        data = b"".join(self._outgoing)
        self._outgoing.clear()
        return data

    def receive(self, data: bytes) -> None:
        """Take bytes from the server."""
        for event in self._decoder.feed(data):
            if isinstance(event, Packet):
                self._on_reply(event.body)

    def give_up(self) -> None:
        """Note that nothing more comes."""
        for recorded in self._due:
            self._note(Difference(self._request, recorded, None))

    def _on_reply(self, body: bytes) -> None:
        if self._is_acknowledging:
            self._outgoing.append(packet.ACK)
        recorded = self._due.popleft() if self._due else None
        if body != recorded:
            self._note(Difference(self._request, recorded, body))
        if self._request == NO_ACK and body == replies.OK:
            self._is_acknowledging = False
        self._advance()

    def _note(self, difference: Difference) -> None:
        if len(self.differences) < MAX_KEPT:
            self.differences.append(difference)

    def _advance(self) -> None:
        while self._exchanges and not self._due:
            exchange = self._exchanges.popleft()
            self._request = exchange.request
            self._due.extend(exchange.replies)
            self._outgoing.append(_wire(exchange.request))


class ServerPlayer:
    """Plays a server.  `unknown` are the requests that nobody asked when the transcript was made."""

    def __init__(self, exchanges: Sequence[Exchange]) -> None:
        self.unknown: list[bytes] = []
        self._exchanges = exchanges
        self._position = 0
        self._decoder = Decoder()
        self._is_acknowledging = True

    def receive(self, data: bytes) -> bytes:
        """Take bytes from the client; return what to send."""
        outgoing = b""
        for event in self._decoder.feed(data):
            match event:
                case Packet(body):
                    outgoing += packet.ACK if self._is_acknowledging else b""
                    outgoing += self._answer(body)
                    if body == NO_ACK:
                        self._is_acknowledging = False
                case Interrupt():
                    outgoing += self._answer(packet.INTERRUPT)
                case _:
                    pass
        return outgoing

    def _answer(self, request: bytes) -> bytes:
        count = len(self._exchanges)
        for index in (*range(self._position, count), *range(self._position)):
            exchange = self._exchanges[index]
            is_same = exchange.request == request
            if is_same or (request.startswith(SUPPORTED) and exchange.request.startswith(SUPPORTED)):
                self._position = index + 1
                return b"".join(packet.frame(body) for body in exchange.replies)
        if len(self.unknown) < MAX_KEPT:
            self.unknown.append(request)
        return b"" if request == packet.INTERRUPT else packet.frame(replies.EMPTY)
