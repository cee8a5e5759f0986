"""A page of decoded instructions (engines/layout says how a record looks), and what has been made of it."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import Any

from emulator.engines.layout import PAGE, RECORD_SIZE

WORDS_PER_RECORD = RECORD_SIZE // 8


@dataclass(frozen=True, slots=True, eq=False)
class CompiledLoop:
    """A loop that runs as one function: the records it covers, and those whose handler it is.

    `code` keeps the function alive.
    """

    covered: frozenset[int]
    entries: frozenset[int]
    code: Any


@dataclass(slots=True, eq=False)
class CodePage:
    """Records of one page.  `words` never changes its size, so `address` stays."""

    start: int
    real: int
    is64: bool
    words: array[int]
    address: int
    #: The word that each record was decoded from, if it was.
    decoded: array[int] = field(default_factory=lambda: array("I", bytes(PAGE)))
    #: Time spent around a record, as far as it was seen (engines/loops), and when to look at it next.
    heat: dict[int, int] = field(default_factory=dict)
    next_look: int = 0
    loops: list[CompiledLoop] = field(default_factory=list)

    def record(self, index: int) -> int:
        """Return the host address of a record."""
        return self.address + RECORD_SIZE * index
