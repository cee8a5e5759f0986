"""A port: the two byte queues between a device of the guest and the world outside.

The guest's side is `put` and `get`, called by a device while an instruction executes; the outside is
`feed` and `drain`, called between two runs.  Both queues are bounded: a device shows the guest a full
transmitter, or makes it wait, and the outside reads no more than `room` from its peer.
"""

from __future__ import annotations

#: Bytes either queue holds: several of thinwire's largest packets (16389 bytes, K42 facts A.2).
PORT_LIMIT = 65536


class Port:
    """Bytes on their way in and out."""

    __slots__ = ("_inbound", "_outbound", "connected")

    def __init__(self) -> None:
        self._inbound = bytearray()
        self._outbound = bytearray()
        #: Whether somebody is at the other end; a UART shows it as CTS.
        self.connected = False

    def feed(self, data: bytes) -> None:
        """Queue bytes for the guest.  Raises ValueError if there are more than `room`."""
        if len(data) > self.room:
            raise ValueError(f"{len(data)} bytes fed to a port with room for {self.room}")
        self._inbound += data

    def drain(self) -> bytes:
        """Return, and forget, everything the guest has put."""
        data = bytes(self._outbound)
        self._outbound.clear()
        return data

    @property
    def room(self) -> int:
        """How many bytes `feed` takes now."""
        return PORT_LIMIT - len(self._inbound)

    @property
    def waiting(self) -> int:
        """How many bytes wait for the guest."""
        return len(self._inbound)

    @property
    def pending(self) -> int:
        """How many bytes the guest has put and nobody has drained."""
        return len(self._outbound)

    @property
    def space(self) -> int:
        """How many bytes `put` takes now."""
        return PORT_LIMIT - len(self._outbound)

    def get(self, length: int) -> bytes:
        """Return up to `length` bytes for the guest."""
        data = bytes(self._inbound[:length])
        del self._inbound[:length]
        return data

    def put(self, data: bytes) -> int:
        """Take bytes from the guest, as many as there is space for; return how many."""
        taken = data[: self.space]
        self._outbound += taken
        return len(taken)

    def clear(self) -> None:
        """Forget all bytes, as a reset does; who is connected stays connected."""
        self._inbound.clear()
        self._outbound.clear()
