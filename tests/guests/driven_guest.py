"""A running guest and its peer, as the tests drive them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from wire_peer import Peer

CONSOLE, GDB = 0, 1
PROMPT = b"mini> "


class Line(Protocol):
    """How bytes reach the guest.  `exchange` hands over some and returns what came, after waiting a while."""

    def exchange(self, data: bytes) -> bytes: ...


def checksum(body: bytes) -> bytes:
    return b"%02x" % (sum(body) % 256)


def packet(body: bytes) -> bytes:
    return b"$" + body + b"#" + checksum(body)


@dataclass
class Guest:
    """What a test says to the guest and sees of it.  Every wait ends with the condition or with a failure."""

    line: Line
    peer: Peer = field(default_factory=Peer)
    seen: dict[int, int] = field(default_factory=dict)
    #: Exchanges without the expected outcome before a test fails.
    patience: int = 4000
    _to_send: bytes = b""

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        for _ in range(self.patience):
            if condition():
                return
            data, self._to_send = self._to_send, b""
            self._to_send = self.peer.receive(self.line.exchange(data))
            # It would stand still until a key is pressed: whoever reads the console has seen input first.
            starved = self.peer.held is not None and self.peer.held[0] == CONSOLE
            assert not starved, "the guest reads a console that has nothing to say"
        tail = bytes(self.peer.output[CONSOLE][-300:])
        raise AssertionError(f"waited for {what} in vain; the console ends with {tail!r}")

    def offer(self, channel: int, chunk: bytes) -> None:
        self._to_send += self.peer.offer(channel, chunk)

    def say(self, data: bytes) -> None:
        """Bytes for the guest that the peer knows nothing of."""
        self._to_send += data

    def settle(self) -> None:
        """Hand over what is still to be sent, whatever comes of it."""
        self.wait(lambda: not self._to_send, "the line to take everything")

    # --- the console

    def expect(self, text: bytes, channel: int = CONSOLE) -> bytes:
        """Wait for `text` after what was seen before; return everything up to its end."""
        start = self.seen.get(channel, 0)
        output = self.peer.output[channel]
        self.wait(lambda: output.find(text, start) >= 0, repr(text))
        end = output.find(text, start) + len(text)
        self.seen[channel] = end
        return bytes(output[start:end])

    def command(self, line: str, prompt: bytes = PROMPT) -> str:
        """Type a line at the prompt; return what it printed, between the echo and the next prompt."""
        self.offer(CONSOLE, line.encode() + b"\r")
        self.expect(line.encode() + b"\r\n")
        return self.expect(prompt)[: -len(prompt)].decode()

    def boot(self) -> None:
        self.expect(PROMPT)

    # --- the stub

    def stop(self, line: str = "trap") -> None:
        """Type a command that stops the kernel, and wait until the stub reads its channel."""
        self.offer(CONSOLE, line.encode() + b"\r")
        self.stopped()

    def stopped(self) -> None:
        self.wait(lambda: self.peer.held is not None and self.peer.held[0] == GDB, "the stub to read")

    def raw(self, chunk: bytes) -> bytes:
        """One read's worth of bytes to the stub; return what it wrote until it reads again."""
        start = len(self.peer.output[GDB])
        self.offer(GDB, chunk)
        self.stopped()
        return bytes(self.peer.output[GDB][start:])

    def ask(self, body: bytes) -> bytes:
        """A whole command; check the acknowledgement and the frame of the reply, return the reply's body."""
        answer = self.raw(packet(body))
        found = re.fullmatch(rb"\+\$([^#]*)#([0-9a-f]{2})", answer)
        assert found is not None, f"{body!r} was answered by {answer!r}"
        assert checksum(found[1]) == found[2]
        assert self.raw(b"+") == b""
        return found[1]

    def resume(self, body: bytes = b"c") -> None:
        """A command that lets the kernel go on without a reply."""
        start = len(self.peer.output[GDB])
        self.offer(GDB, packet(body))
        self.wait(lambda: len(self.peer.output[GDB]) > start, "the acknowledgement")
        assert self.peer.output[GDB][start : start + 1] == b"+"

    def read_memory(self, address: int, length: int) -> bytes:
        return bytes.fromhex(self.ask(b"m%x,%x" % (address, length)).decode())

    def registers(self) -> bytes:
        return bytes.fromhex(self.ask(b"g").decode())

    def write_registers(self, block: bytes) -> None:
        assert self.ask(b"G" + block.hex().encode()) == b"OK"

    def stopped_again(self, signal: bytes) -> None:
        """Wait for the stop reply of a connected stub, check it, and acknowledge it."""
        start = len(self.peer.output[GDB])
        self.stopped()
        assert bytes(self.peer.output[GDB][start:]) in (packet(signal), b"")
        assert bytes(self.peer.output[GDB]).endswith(packet(signal))
        assert self.raw(b"+") == b""

    def raw_resume(self, body: bytes) -> bool:
        """A command that is answered by OK and then lets the kernel go on."""
        start = len(self.peer.output[GDB])
        self.offer(GDB, packet(body))
        self.offer(GDB, b"+")
        self.wait(lambda: bytes(self.peer.output[GDB][start:]).startswith(b"+$OK#9a"), "the reply")
        return True
