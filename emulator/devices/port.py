"""A port: the two byte queues between a device of the guest and the world outside.

The guest's side is `put` and `get`, called by a device while an instruction executes; the outside is
`feed` and `drain`, called between two runs.  Both queues are bounded: a device shows the guest a full
transmitter, or makes it wait, and the outside reads no more than `room` from its peer.

The queues are memory that does not move, and their state is words (`Word`): native code moves a byte as
`get` and `put` do (engines/llvm_uart).
"""

from __future__ import annotations

from array import array
from ctypes import addressof, c_char
from enum import IntEnum

#: Bytes either queue holds: several of thinwire's largest packets (16389 bytes, K42 facts A.2).
PORT_LIMIT = 65536


class Word(IntEnum):
    """Indexes of a port's words."""

    #: What waits for the guest are the inbound bytes [FIRST, LAST).
    FIRST = 0
    LAST = 1
    #: How many outbound bytes there are.
    PENDING = 2
    CONNECTED = 3
    #: Where the queues lie in the host.
    INBOUND = 4
    OUTBOUND = 5


_FIRST, _LAST, _PENDING, _CONNECTED = map(int, (Word.FIRST, Word.LAST, Word.PENDING, Word.CONNECTED))


class Port:
    """Bytes on their way in and out."""

    __slots__ = ("_inbound", "_outbound", "words")

    def __init__(self) -> None:
        self._inbound = bytearray(PORT_LIMIT)
        self._outbound = bytearray(PORT_LIMIT)
        self.words = array("Q", [0]) * len(Word)
        self.words[Word.INBOUND] = addressof(c_char.from_buffer(self._inbound))
        self.words[Word.OUTBOUND] = addressof(c_char.from_buffer(self._outbound))

    @property
    def connected(self) -> bool:
        """Whether somebody is at the other end; a UART shows it as CTS."""
        return bool(self.words[_CONNECTED])

    @connected.setter
    def connected(self, connected: bool) -> None:
        self.words[_CONNECTED] = connected

    def feed(self, data: bytes) -> None:
        """Queue bytes for the guest.  Raises ValueError if there are more than `room`."""
        if len(data) > self.room:
            raise ValueError(f"{len(data)} bytes fed to a port with room for {self.room}")
        words = self.words
        first, last = words[_FIRST], words[_LAST]
        if last + len(data) > PORT_LIMIT:
            self._inbound[: last - first] = self._inbound[first:last]
            first, last = 0, last - first
        self._inbound[last : last + len(data)] = data
        words[_FIRST], words[_LAST] = first, last + len(data)

    def drain(self) -> bytes:
        """Return, and forget, everything the guest has put."""
        data = bytes(self._outbound[: self.words[_PENDING]])
        self.words[_PENDING] = 0
        return data

    @property
    def room(self) -> int:
        """How many bytes `feed` takes now."""
        return PORT_LIMIT - self.waiting

    @property
    def waiting(self) -> int:
        """How many bytes wait for the guest."""
        return self.words[_LAST] - self.words[_FIRST]

    @property
    def pending(self) -> int:
        """How many bytes the guest has put and nobody has drained."""
        return self.words[_PENDING]

    @property
    def space(self) -> int:
        """How many bytes `put` takes now."""
        return PORT_LIMIT - self.words[_PENDING]

    def get(self, length: int) -> bytes:
        """Return up to `length` bytes for the guest."""
        first = self.words[_FIRST]
        data = bytes(self._inbound[first : min(first + length, self.words[_LAST])])
        self.words[_FIRST] = first + len(data)
        return data

    def put(self, data: bytes) -> int:
        """Take bytes from the guest, as many as there is space for; return how many."""
        taken = data[: self.space]
        pending = self.words[_PENDING]
        self._outbound[pending : pending + len(taken)] = taken
        self.words[_PENDING] = pending + len(taken)
        return len(taken)

    def clear(self) -> None:
        """Forget all bytes, as a reset does; who is connected stays connected."""
        self.words[_FIRST] = self.words[_LAST] = self.words[_PENDING] = 0
