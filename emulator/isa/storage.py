"""Effective addresses, and how a helper reaches memory: through translation (and its watches), precisely.

The engines have faster ways for what they can prove harmless (a page of RAM, translated before, nothing
watched); everything else comes here, so this is the one definition of an access.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulator.cpu.mmu import Access
from emulator.cpu.state import MSR_SF
from emulator.memory import PAGE_SIZE

if TYPE_CHECKING:
    from emulator.cpu.processor import Processor
    from emulator.isa.builder import Builder
    from emulator.isa.values import Value


def address(t: Builder, base: Value, displacement: Value) -> Value:
    """Return the effective address base + displacement, in an effect (Book I 1.12.3)."""
    total = base + displacement
    return total if t.is64 else total.zext(32)


def effective(processor: Processor, total: int) -> int:
    """Cut a sum to an effective address, in a helper: 64 bits, or 32 in 32-bit mode (Book I 1.12.3)."""
    return total & (0xFFFF_FFFF_FFFF_FFFF if processor.state.msr & MSR_SF else 0xFFFF_FFFF)


def load(processor: Processor, ea: int, size: int) -> int:
    """Load 1, 2, 4 or 8 bytes, big-endian.  Raises what translation and memory raise."""
    in_page = PAGE_SIZE - ea % PAGE_SIZE
    translate = processor.mmu.translate
    if size <= in_page:
        return processor.memory.load(translate(ea, Access.LOAD, size), size)
    first = translate(ea, Access.LOAD, in_page)
    second = translate(effective(processor, ea + in_page), Access.LOAD, size - in_page)
    head = _load_bytes(processor, first, in_page)
    return head << 8 * (size - in_page) | _load_bytes(processor, second, size - in_page)


def store(processor: Processor, ea: int, size: int, value: int) -> None:
    """Store 1, 2, 4 or 8 bytes, big-endian; both pages are translated before either changes."""
    in_page = PAGE_SIZE - ea % PAGE_SIZE
    translate = processor.mmu.translate
    if size <= in_page:
        processor.memory.store(translate(ea, Access.STORE, size), size, value)
        return
    first = translate(ea, Access.STORE, in_page)
    second = translate(effective(processor, ea + in_page), Access.STORE, size - in_page)
    data = (value & (1 << 8 * size) - 1).to_bytes(size, "big")
    for real, part in ((first, data[:in_page]), (second, data[in_page:])):
        for offset, byte in enumerate(part):
            processor.memory.store(real + offset, 1, byte)


def _load_bytes(processor: Processor, real: int, count: int) -> int:
    value = 0
    for offset in range(count):
        value = value << 8 | processor.memory.load(real + offset, 1)
    return value


def fetch(processor: Processor, ea: int) -> int:
    """Return the instruction word at `ea`.  Raises Interrupt."""
    return processor.memory.load(processor.mmu.translate(ea, Access.FETCH), 4)
