"""The other end of a guest's line, for tests: a thinwire server that does nothing by itself.

Bytes in, bytes out.  What the guest writes is kept; what it may read is put there by the test, one chunk for
one read, so that a test decides what a read returns.  A read with nothing to say is held, as a server holds
it.  Written from the description of the wire alone, without the product's own server: a second opinion.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field

SENTINEL = b"\0**thinwire**\0"


def digits(length: int) -> bytes:
    return bytes(0x20 + (length >> shift & 0x3F) for shift in (12, 6, 0))


def length_of(header: bytes) -> int:
    return (header[1] - 0x20) << 12 | (header[2] - 0x20) << 6 | header[3] - 0x20


@dataclass
class Peer:
    """State of one line.  `requests` lists what the guest asked: kind, length, channel."""

    greeting: bytearray = field(default_factory=bytearray)
    framed: bool = False
    exited: bool = False
    requests: list[tuple[str, int, int]] = field(default_factory=list)
    output: dict[int, bytearray] = field(default_factory=lambda: defaultdict(bytearray))
    writes: list[tuple[int, bytes]] = field(default_factory=list)
    emergency: bytearray = field(default_factory=bytearray)
    chunks: dict[int, deque[bytes]] = field(default_factory=lambda: defaultdict(deque))
    held: tuple[int, int] | None = None
    unread: bytearray = field(default_factory=bytearray)

    def receive(self, data: bytes) -> bytes:
        """Take bytes from the guest; return the replies they call for."""
        if self.exited:
            raise AssertionError(f"the guest speaks after its exit: {data!r}")
        self.unread += data
        if not self.framed:
            before, found, rest = bytes(self.unread).partition(SENTINEL)
            if not found:
                return b""
            self.greeting += before
            self.framed = True
            self.unread = bytearray(rest)
        replies = bytearray()
        while (request := self._take_request()) is not None:
            replies += self._answer(*request)
        return bytes(replies)

    def _take_request(self) -> tuple[str, int, int, bytes] | None:
        if len(self.unread) < 5:
            return None
        header = bytes(self.unread[:5])
        kind, length, channel = chr(header[0]), length_of(header), header[4] - 0x20
        payload = length if kind in "0#" else 0
        if len(self.unread) < 5 + payload:
            return None
        body = bytes(self.unread[5 : 5 + payload])
        del self.unread[: 5 + payload]
        self.requests.append((kind, length, channel))
        return kind, length, channel, body

    def _answer(self, kind: str, length: int, channel: int, body: bytes) -> bytes:
        if self.held is not None and kind != "#":
            raise AssertionError(f"the guest asks {kind!r} while it waits for a read")
        match kind:
            case "0":
                self.output[channel] += body
                self.writes.append((channel, body))
                return b"A" + digits(length) + bytes([0x20 + channel])
            case "#":
                self.emergency += body
                return b""
            case "A":
                self.held = channel, length
                return self._serve_held_read()
            case "!":
                mask = sum(1 << bit for bit in range(8) if self.chunks[channel + bit])
                return b"!" + digits(4) + bytes([0x20 + channel]) + mask.to_bytes(4, "big")
            case "$":
                self.exited = True
                return b""
            case _:
                raise AssertionError(f"the guest asks {kind!r}")

    def offer(self, channel: int, chunk: bytes) -> bytes:
        """Let a read of `channel` return `chunk`; return the reply if one is waiting for it."""
        self.chunks[channel].append(chunk)
        return self._serve_held_read()

    def _serve_held_read(self) -> bytes:
        if self.held is None or not self.chunks[self.held[0]]:
            return b""
        channel, limit = self.held
        self.held = None
        chunk = self.chunks[channel].popleft()
        now, later = chunk[:limit], chunk[limit:]
        if later:
            self.chunks[channel].appendleft(later)
        return bytes([0x30 + channel]) + digits(len(now)) + bytes([0x20 + channel]) + now
