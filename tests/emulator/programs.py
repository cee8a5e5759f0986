"""Small programs for the machine, given as instruction words."""

from __future__ import annotations

from emulator.boot import Entry, Program, Segment


def load_raw_words(*words: int, address: int = 0) -> Program:
    """Return a bare program of these words at real `address`, entered at the first."""
    data = b"".join(word.to_bytes(4, "big") for word in words)
    return Program("words", Entry.BARE, (Segment(address, data, len(data), True),), address, is_elf=False)
