"""The traps that we plant in a target's memory, and the words that were there.

A breakpoint is *wanted* when the debugger asks for it, and *planted* when the trap is in memory.  The two
are brought together only when the target is about to run: gdb removes all its breakpoints at every stop and
inserts them at every resume, which over a slow line would cost two writes for each and change nothing.
Therefore memory as shown to the debugger is memory with the original words in place, and a write into a
planted word changes the original.

No I/O: the owner reads and writes, this says what.
"""

from __future__ import annotations

from collections.abc import Iterable

from gdbstub.ppc64 import INSTRUCTION_SIZE, PLANTED_TRAP

TRAP = PLANTED_TRAP.to_bytes(INSTRUCTION_SIZE, "big")


class Traps:
    """Wanted breakpoints and planted words."""

    def __init__(self) -> None:
        self.wanted: set[int] = set()
        self.planted: dict[int, bytes] = {}

    def to_plant(self) -> Iterable[int]:
        """Return the addresses that lack their trap."""
        return sorted(self.wanted - self.planted.keys())

    def to_restore(self) -> Iterable[int]:
        """Return the addresses that hold a trap nobody wants any more."""
        return sorted(self.planted.keys() - self.wanted)

    def is_stale(self, addr: int) -> bool:
        """True at a trap that is still in memory but wanted by nobody."""
        return addr in self.planted and addr not in self.wanted

    def show(self, addr: int, data: bytes) -> bytes:
        """Return memory read at `addr` as it would be without our traps."""
        shown = bytearray(data)
        for place, original in self._within(addr, len(data)):
            _overlay(shown, addr, place, original)
        return bytes(shown)

    def hide(self, addr: int, data: bytes) -> bytes:
        """Take note of a write; return what to write so that the traps stay in place."""
        written = bytearray(data)
        for place, original in self._within(addr, len(data)):
            changed = bytearray(original)
            _overlay(changed, place, addr, data)
            self.planted[place] = bytes(changed)
            _overlay(written, addr, place, TRAP)
        return bytes(written)

    def _within(self, addr: int, length: int) -> list[tuple[int, bytes]]:
        return [
            (place, original)
            for place, original in self.planted.items()
            if addr - INSTRUCTION_SIZE < place < addr + length
        ]


def _overlay(base: bytearray, base_addr: int, addr: int, data: bytes) -> None:
    """Copy the part of `data` at `addr` that lies within `base` at `base_addr`."""
    low, high = max(base_addr, addr), min(base_addr + len(base), addr + len(data))
    if low < high:
        base[low - base_addr : high - base_addr] = data[low - addr : high - addr]
