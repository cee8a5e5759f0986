"""Storage control: reservations, caches and barriers (Book II chapter 3).

A reservation is held on a granule of real memory, and its instructions take the alignment interrupt where
other loads and stores would not.  There is no cache and there is one processor, in order: of the cache's
instructions the faults are left, and the news that code changed; of the barriers nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulator.cpu.interrupts import Interrupt, Vector
from emulator.cpu.mmu import Access
from emulator.isa import storage
from emulator.isa.builder import Builder, Gpr
from emulator.isa.decode import insn
from emulator.isa.storage import address
from emulator.isa.values import Value

if TYPE_CHECKING:
    from emulator.cpu.processor import Processor

#: The 970's cache line and reservation granule.
LINE = 128


# 3.3 Reservations.


def _misaligned(processor: Processor, ea: int) -> Interrupt:
    """Return the alignment interrupt of this instruction."""
    word = storage.fetch(processor, processor.state.pc)
    return Interrupt(Vector.ALIGNMENT, dar=ea, dsisr=alignment_dsisr(word))


def _require_aligned(processor: Processor, ea: int, size: int) -> None:
    if ea % size:
        raise _misaligned(processor, ea)


def alignment_dsisr(word: int) -> int:
    """Pack what DSISR tells the alignment handler about an X-form instruction (Book III 5.5.8)."""
    return (word >> 1 & 3) << 15 | (word >> 6 & 1) << 14 | (word >> 7 & 15) << 10 | word >> 16 & 0x3FF


def _load_reserve(processor: Processor, ea: int, size: int) -> int:
    _require_aligned(processor, ea, size)
    real = processor.mmu.translate(ea, Access.LOAD, size)
    processor.mmu.require_cached(ea, Access.LOAD)
    value = processor.memory.load(real, size)
    processor.state.put("reserve_addr", real & -LINE)
    processor.state.put("reserve_held", 1)
    return value


def _store_conditional(processor: Processor, ea: int, size: int, value: int) -> int:
    """Store if the reservation is held on that granule; return CR0's EQ."""
    _require_aligned(processor, ea, size)
    state = processor.state
    real = processor.mmu.translate(ea, Access.STORE, size)
    processor.mmu.require_cached(ea, Access.STORE)
    done = state.get("reserve_held") and state.get("reserve_addr") == real & -LINE
    if done:
        processor.memory.store(real, size, value)
    state.put("reserve_held", 0)
    return int(bool(done))


def _load_reserve_into(processor: Processor, ea: int, size: int, register: int) -> int:
    processor.state.words[register] = _load_reserve(processor, ea, size)
    return 0


def _reserving(t: Builder, rt: Gpr, ea: Value, size: int) -> None:
    """Load and reserve."""
    if not t.has_host_units:
        t.set_gpr(rt, t.call(_load_reserve, ea, size))
        return
    t.instead_if((ea & size - 1).differs(0), _load_reserve_into, ea, size, t.index(rt))
    place = t.find(ea, size)
    t.instead_if(place.equals(0), _load_reserve_into, ea, size, t.index(rt))
    t.put("reserve_addr", t.real(place) & -LINE)
    t.put("reserve_held", 1)
    t.set_gpr(rt, t.peek(place, size))


def _store_conditional_and_record(processor: Processor, ea: int, size: int, value: int) -> int:
    done, state = _store_conditional(processor, ea, size, value), processor.state
    state.put("cr", done << 1 | state.get("so"))
    return 0


def _conditional(t: Builder, rs: Gpr, ea: Value, size: int) -> None:
    """Store if the reservation is held, and record that in CR0."""
    value = t.gpr(rs)
    if not t.has_host_units:
        t.put("cr", t.call(_store_conditional, ea, size, value) << 1 | t.get("so"))
        return
    t.instead_if((ea & size - 1).differs(0), _store_conditional_and_record, ea, size, value)
    place = t.find(ea, size, is_store=True)
    is_ours = t.get("reserve_held").differs(0) & t.get("reserve_addr").equals(t.real(place) & -LINE)
    t.instead_if(place.equals(0), _store_conditional_and_record, ea, size, value)
    t.poke(place, size, t.select(is_ours, value, t.peek(place, size)))
    t.put("reserve_held", 0)
    t.put("cr", is_ours.as_word() << 1 | t.get("so"))


@insn("011111 rt:5 ra0:5 rb:5 0000010100 -")
def lwarx(t: Builder, rt: Gpr, ra0: Gpr, rb: Gpr) -> None:
    """Load Word and Reserve Indexed. Book II 3.3.2."""
    _reserving(t, rt, address(t, t.gpr(ra0), t.gpr(rb)), 4)


@insn("011111 rt:5 ra0:5 rb:5 0001010100 -")
def ldarx(t: Builder, rt: Gpr, ra0: Gpr, rb: Gpr) -> None:
    """Load Doubleword and Reserve Indexed. Book II 3.3.2."""
    _reserving(t, rt, address(t, t.gpr(ra0), t.gpr(rb)), 8)


@insn("011111 rs:5 ra0:5 rb:5 0010010110 1")
def stwcx_(t: Builder, rs: Gpr, ra0: Gpr, rb: Gpr) -> None:
    """Store Word Conditional Indexed. Book II 3.3.2."""
    _conditional(t, rs, address(t, t.gpr(ra0), t.gpr(rb)), 4)


@insn("011111 rs:5 ra0:5 rb:5 0011010110 1")
def stdcx_(t: Builder, rs: Gpr, ra0: Gpr, rb: Gpr) -> None:
    """Store Doubleword Conditional Indexed. Book II 3.3.2."""
    _conditional(t, rs, address(t, t.gpr(ra0), t.gpr(rb)), 8)


# 3.2 Caches.


def _touch(processor: Processor, ea: int) -> int:
    processor.mmu.translate(ea, Access.LOAD)
    return 0


def _dcbz(processor: Processor, ea: int, size: int) -> int:
    """Clear a line; where storage is not cached there is none, which is an alignment interrupt.

    Book III 2.01, 5.5.8.
    """
    line = ea & -size
    real, memory = processor.mmu.translate(line, Access.STORE, size), processor.memory
    if not processor.mmu.is_cached(ea):
        raise _misaligned(processor, ea)
    if memory.is_ram(real, size):
        memory.bytes[real : real + size] = bytes(size)
        return 0
    for offset in range(0, size, 8):
        memory.store(real + offset, 8, 0)
    return 0


def _icbi(processor: Processor, ea: int) -> int:
    real = processor.mmu.translate(ea, Access.LOAD)
    processor.invalidate_code(real & -LINE, LINE)
    return 0


def _line_size(processor: Processor) -> int:
    """Return what dcbz clears: a line, or 32 bytes with HID5[DCBZ_size] set (970 user's manual, 2.1.7)."""
    return 32 if processor.state.get("hid", 5) & _HID5_DCBZ32 else LINE


#: HID5 bit 56 (DCBZ_size); dcbzl, with bit 10 of the word set, clears a whole line whatever it says.
_HID5_DCBZ32 = 1 << 7


def _dcbz_by_hid(processor: Processor, ea: int) -> int:
    return _dcbz(processor, ea, _line_size(processor))


def _dcbz_line(processor: Processor, ea: int) -> int:
    return _dcbz(processor, ea, LINE)


def _touching(t: Builder, ea: Value) -> None:
    """Fault where a load would."""
    if t.has_host_units:
        t.instead_if(t.find(ea, 1).equals(0), _touch, ea)
    else:
        t.call(_touch, ea)


@insn("011111 -:5 ra0:5 rb:5 0000110110 -")
def dcbst(t: Builder, ra0: Gpr, rb: Gpr) -> None:
    """Data Cache Block Store. Book II 3.2.2."""
    _touching(t, address(t, t.gpr(ra0), t.gpr(rb)))


@insn("011111 -:5 ra0:5 rb:5 0001010110 -")
def dcbf(t: Builder, ra0: Gpr, rb: Gpr) -> None:
    """Data Cache Block Flush. Book II 3.2.2."""
    _touching(t, address(t, t.gpr(ra0), t.gpr(rb)))


@insn("011111 -:15 0100010110 -")
def dcbt(t: Builder) -> None:
    """Data Cache Block Touch: a hint. Book II 3.2.2."""


@insn("011111 -:15 0011110110 -")
def dcbtst(t: Builder) -> None:
    """Data Cache Block Touch for Store: a hint. Book II 3.2.2."""


@insn("011111 -:4 0 ra0:5 rb:5 1111110110 -")
def dcbz(t: Builder, ra0: Gpr, rb: Gpr) -> None:
    """Data Cache Block set to Zero. Book II 3.2.2."""
    ea = address(t, t.gpr(ra0), t.gpr(rb))
    if not t.has_host_units:
        t.call(_dcbz_by_hid, ea)
        return
    t.instead_if((t.get("hid", 5) & _HID5_DCBZ32).differs(0), _dcbz_by_hid, ea)
    place = t.find(ea & -LINE, LINE, is_store=True)
    t.instead_if(place.equals(0), _dcbz_by_hid, ea)
    t.clear(place, LINE)


@insn("011111 -:4 1 ra0:5 rb:5 1111110110 -")
def dcbzl(t: Builder, ra0: Gpr, rb: Gpr) -> None:
    """Data Cache Block set to Zero Line: always 128 bytes. 970 user's manual 2.1.7."""
    t.call(_dcbz_line, address(t, t.gpr(ra0), t.gpr(rb)))


@insn("011111 -:5 ra0:5 rb:5 1111010110 -")
def icbi(t: Builder, ra0: Gpr, rb: Gpr) -> None:
    """Instruction Cache Block Invalidate. Book II 3.2.1."""
    t.call(_icbi, address(t, t.gpr(ra0), t.gpr(rb)))


# 3.3 Barriers.


@insn("010011 -:15 0010010110 -")
def isync(t: Builder) -> None:
    """Instruction Synchronize: everything is in order already. Book II 3.3.1."""


@insn("011111 -:15 1001010110 -")
def sync(t: Builder) -> None:
    """Synchronize, lwsync and ptesync too: one processor, in order. Book II 3.3.3."""


@insn("011111 -:15 1101010110 -")
def eieio(t: Builder) -> None:
    """Enforce In-order Execution of I/O: it is in order. Book II 3.3.3."""
