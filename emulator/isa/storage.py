"""How a helper reaches memory: by effective address, through translation (and its watches), precisely.

The engines have faster ways for what they can prove harmless (a page of RAM, translated before, nothing
watched); everything else comes here, so this is the one definition of an access.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulator.cpu.mmu import Access
from emulator.cpu.state import MSR_SF

if TYPE_CHECKING:
    from emulator.cpu.processor import Processor

PAGE = 4096


def effective(processor: Processor, address: int) -> int:
    """Cut a sum to an effective address: 64 bits, or 32 in 32-bit mode (Book I 1.12.3)."""
    return address & (0xFFFF_FFFF_FFFF_FFFF if processor.state.msr & MSR_SF else 0xFFFF_FFFF)


def load(processor: Processor, address: int, size: int) -> int:
    """Load 1, 2, 4 or 8 bytes, big-endian.  Raises what translation and memory raise."""
    in_page = PAGE - address % PAGE
    translate = processor.mmu.translate
    if size <= in_page:
        return processor.memory.load(translate(address, Access.LOAD, size), size)
    first = translate(address, Access.LOAD, in_page)
    second = translate(effective(processor, address + in_page), Access.LOAD, size - in_page)
    head = _load_bytes(processor, first, in_page)
    return head << 8 * (size - in_page) | _load_bytes(processor, second, size - in_page)


def store(processor: Processor, address: int, size: int, value: int) -> None:
    """Store 1, 2, 4 or 8 bytes, big-endian; both pages are translated before either changes."""
    in_page = PAGE - address % PAGE
    translate = processor.mmu.translate
    if size <= in_page:
        processor.memory.store(translate(address, Access.STORE, size), size, value)
        return
    first = translate(address, Access.STORE, in_page)
    second = translate(effective(processor, address + in_page), Access.STORE, size - in_page)
    data = (value & (1 << 8 * size) - 1).to_bytes(size, "big")
    for real, part in ((first, data[:in_page]), (second, data[in_page:])):
        for offset, byte in enumerate(part):
            processor.memory.store(real + offset, 1, byte)


def _load_bytes(processor: Processor, real: int, count: int) -> int:
    value = 0
    for offset in range(count):
        value = value << 8 | processor.memory.load(real + offset, 1)
    return value


def fetch(processor: Processor, address: int) -> int:
    """Return the instruction word at `address`.  Raises Interrupt."""
    return processor.memory.load(processor.mmu.translate(address, Access.FETCH), 4)
