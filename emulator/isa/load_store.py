"""Fixed-point loads and stores, storage control and synchronization (Book I 3.3.2-3.3.7, Book II chapter 3).

A base register of 0 means no base (`ra0`).  An update form with RA = 0, or RA = RT in a load, is invalid;
here it updates all the same, the loaded value winning.  The 970 does unaligned accesses itself, except
those with a reservation, which take the alignment interrupt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulator.cpu.interrupts import Interrupt, Vector
from emulator.cpu.mmu import Access
from emulator.cpu.state import INDEX
from emulator.isa import storage
from emulator.isa.decode import insn
from emulator.isa.values import Builder, Gpr, Value

if TYPE_CHECKING:
    from emulator.cpu.processor import Processor

#: The 970's cache line and reservation granule.
LINE = 128


def address(t: Builder, base: Value, displacement: Value) -> Value:
    """Return the effective address base + displacement (Book I 1.12.3)."""
    total = base + displacement
    return total if t.is64 else total.zext(32)


# 3.3.2 Loads.  Each is one of these three shapes.


def _load(t: Builder, rt: Gpr, ea: Value, size: int, *, signed: bool = False) -> None:
    value = t.load(ea, size)
    t.set_gpr(rt, value.sext(8 * size) if signed else value)


def _load_update(t: Builder, rt: Gpr, ra: Gpr, ea: Value, size: int, *, signed: bool = False) -> None:
    value = t.load(ea, size)
    t.set_gpr(ra, ea)
    t.set_gpr(rt, value.sext(8 * size) if signed else value)


@insn("100010 rt:5 ra0:5 d:16")
def lbz(t: Builder, rt: Gpr, ra0: Gpr, d: Value) -> None:
    """Load Byte and Zero. Book I 3.3.2."""
    _load(t, rt, address(t, t.gpr(ra0), d), 1)


@insn("011111 rt:5 ra0:5 rb:5 0001010111 -")
def lbzx(t: Builder, rt: Gpr, ra0: Gpr, rb: Gpr) -> None:
    """Load Byte and Zero Indexed. Book I 3.3.2."""
    _load(t, rt, address(t, t.gpr(ra0), t.gpr(rb)), 1)


@insn("100011 rt:5 ra:5 d:16")
def lbzu(t: Builder, rt: Gpr, ra: Gpr, d: Value) -> None:
    """Load Byte and Zero with Update. Book I 3.3.2."""
    _load_update(t, rt, ra, address(t, t.gpr(ra), d), 1)


@insn("011111 rt:5 ra:5 rb:5 0001110111 -")
def lbzux(t: Builder, rt: Gpr, ra: Gpr, rb: Gpr) -> None:
    """Load Byte and Zero with Update Indexed. Book I 3.3.2."""
    _load_update(t, rt, ra, address(t, t.gpr(ra), t.gpr(rb)), 1)


@insn("101000 rt:5 ra0:5 d:16")
def lhz(t: Builder, rt: Gpr, ra0: Gpr, d: Value) -> None:
    """Load Halfword and Zero. Book I 3.3.2."""
    _load(t, rt, address(t, t.gpr(ra0), d), 2)


@insn("011111 rt:5 ra0:5 rb:5 0100010111 -")
def lhzx(t: Builder, rt: Gpr, ra0: Gpr, rb: Gpr) -> None:
    """Load Halfword and Zero Indexed. Book I 3.3.2."""
    _load(t, rt, address(t, t.gpr(ra0), t.gpr(rb)), 2)


@insn("101001 rt:5 ra:5 d:16")
def lhzu(t: Builder, rt: Gpr, ra: Gpr, d: Value) -> None:
    """Load Halfword and Zero with Update. Book I 3.3.2."""
    _load_update(t, rt, ra, address(t, t.gpr(ra), d), 2)


@insn("011111 rt:5 ra:5 rb:5 0100110111 -")
def lhzux(t: Builder, rt: Gpr, ra: Gpr, rb: Gpr) -> None:
    """Load Halfword and Zero with Update Indexed. Book I 3.3.2."""
    _load_update(t, rt, ra, address(t, t.gpr(ra), t.gpr(rb)), 2)


@insn("101010 rt:5 ra0:5 d:16")
def lha(t: Builder, rt: Gpr, ra0: Gpr, d: Value) -> None:
    """Load Halfword Algebraic. Book I 3.3.2."""
    _load(t, rt, address(t, t.gpr(ra0), d), 2, signed=True)


@insn("011111 rt:5 ra0:5 rb:5 0101010111 -")
def lhax(t: Builder, rt: Gpr, ra0: Gpr, rb: Gpr) -> None:
    """Load Halfword Algebraic Indexed. Book I 3.3.2."""
    _load(t, rt, address(t, t.gpr(ra0), t.gpr(rb)), 2, signed=True)


@insn("101011 rt:5 ra:5 d:16")
def lhau(t: Builder, rt: Gpr, ra: Gpr, d: Value) -> None:
    """Load Halfword Algebraic with Update. Book I 3.3.2."""
    _load_update(t, rt, ra, address(t, t.gpr(ra), d), 2, signed=True)


@insn("011111 rt:5 ra:5 rb:5 0101110111 -")
def lhaux(t: Builder, rt: Gpr, ra: Gpr, rb: Gpr) -> None:
    """Load Halfword Algebraic with Update Indexed. Book I 3.3.2."""
    _load_update(t, rt, ra, address(t, t.gpr(ra), t.gpr(rb)), 2, signed=True)


@insn("100000 rt:5 ra0:5 d:16")
def lwz(t: Builder, rt: Gpr, ra0: Gpr, d: Value) -> None:
    """Load Word and Zero. Book I 3.3.2."""
    _load(t, rt, address(t, t.gpr(ra0), d), 4)


@insn("011111 rt:5 ra0:5 rb:5 0000010111 -")
def lwzx(t: Builder, rt: Gpr, ra0: Gpr, rb: Gpr) -> None:
    """Load Word and Zero Indexed. Book I 3.3.2."""
    _load(t, rt, address(t, t.gpr(ra0), t.gpr(rb)), 4)


@insn("100001 rt:5 ra:5 d:16")
def lwzu(t: Builder, rt: Gpr, ra: Gpr, d: Value) -> None:
    """Load Word and Zero with Update. Book I 3.3.2."""
    _load_update(t, rt, ra, address(t, t.gpr(ra), d), 4)


@insn("011111 rt:5 ra:5 rb:5 0000110111 -")
def lwzux(t: Builder, rt: Gpr, ra: Gpr, rb: Gpr) -> None:
    """Load Word and Zero with Update Indexed. Book I 3.3.2."""
    _load_update(t, rt, ra, address(t, t.gpr(ra), t.gpr(rb)), 4)


@insn("111010 rt:5 ra0:5 ds:14 10")
def lwa(t: Builder, rt: Gpr, ra0: Gpr, ds: Value) -> None:
    """Load Word Algebraic. Book I 3.3.2."""
    _load(t, rt, address(t, t.gpr(ra0), ds), 4, signed=True)


@insn("011111 rt:5 ra0:5 rb:5 0101010101 -")
def lwax(t: Builder, rt: Gpr, ra0: Gpr, rb: Gpr) -> None:
    """Load Word Algebraic Indexed. Book I 3.3.2."""
    _load(t, rt, address(t, t.gpr(ra0), t.gpr(rb)), 4, signed=True)


@insn("011111 rt:5 ra:5 rb:5 0101110101 -")
def lwaux(t: Builder, rt: Gpr, ra: Gpr, rb: Gpr) -> None:
    """Load Word Algebraic with Update Indexed. Book I 3.3.2."""
    _load_update(t, rt, ra, address(t, t.gpr(ra), t.gpr(rb)), 4, signed=True)


@insn("111010 rt:5 ra0:5 ds:14 00")
def ld(t: Builder, rt: Gpr, ra0: Gpr, ds: Value) -> None:
    """Load Doubleword. Book I 3.3.2."""
    _load(t, rt, address(t, t.gpr(ra0), ds), 8)


@insn("011111 rt:5 ra0:5 rb:5 0000010101 -")
def ldx(t: Builder, rt: Gpr, ra0: Gpr, rb: Gpr) -> None:
    """Load Doubleword Indexed. Book I 3.3.2."""
    _load(t, rt, address(t, t.gpr(ra0), t.gpr(rb)), 8)


@insn("111010 rt:5 ra:5 ds:14 01")
def ldu(t: Builder, rt: Gpr, ra: Gpr, ds: Value) -> None:
    """Load Doubleword with Update. Book I 3.3.2."""
    _load_update(t, rt, ra, address(t, t.gpr(ra), ds), 8)


@insn("011111 rt:5 ra:5 rb:5 0000110101 -")
def ldux(t: Builder, rt: Gpr, ra: Gpr, rb: Gpr) -> None:
    """Load Doubleword with Update Indexed. Book I 3.3.2."""
    _load_update(t, rt, ra, address(t, t.gpr(ra), t.gpr(rb)), 8)


# 3.3.3 Stores.


def _store_update(t: Builder, rs: Gpr, ra: Gpr, ea: Value, size: int) -> None:
    t.store(ea, size, t.gpr(rs))
    t.set_gpr(ra, ea)


@insn("100110 rs:5 ra0:5 d:16")
def stb(t: Builder, rs: Gpr, ra0: Gpr, d: Value) -> None:
    """Store Byte. Book I 3.3.3."""
    t.store(address(t, t.gpr(ra0), d), 1, t.gpr(rs))


@insn("011111 rs:5 ra0:5 rb:5 0011010111 -")
def stbx(t: Builder, rs: Gpr, ra0: Gpr, rb: Gpr) -> None:
    """Store Byte Indexed. Book I 3.3.3."""
    t.store(address(t, t.gpr(ra0), t.gpr(rb)), 1, t.gpr(rs))


@insn("100111 rs:5 ra:5 d:16")
def stbu(t: Builder, rs: Gpr, ra: Gpr, d: Value) -> None:
    """Store Byte with Update. Book I 3.3.3."""
    _store_update(t, rs, ra, address(t, t.gpr(ra), d), 1)


@insn("011111 rs:5 ra:5 rb:5 0011110111 -")
def stbux(t: Builder, rs: Gpr, ra: Gpr, rb: Gpr) -> None:
    """Store Byte with Update Indexed. Book I 3.3.3."""
    _store_update(t, rs, ra, address(t, t.gpr(ra), t.gpr(rb)), 1)


@insn("101100 rs:5 ra0:5 d:16")
def sth(t: Builder, rs: Gpr, ra0: Gpr, d: Value) -> None:
    """Store Halfword. Book I 3.3.3."""
    t.store(address(t, t.gpr(ra0), d), 2, t.gpr(rs))


@insn("011111 rs:5 ra0:5 rb:5 0110010111 -")
def sthx(t: Builder, rs: Gpr, ra0: Gpr, rb: Gpr) -> None:
    """Store Halfword Indexed. Book I 3.3.3."""
    t.store(address(t, t.gpr(ra0), t.gpr(rb)), 2, t.gpr(rs))


@insn("101101 rs:5 ra:5 d:16")
def sthu(t: Builder, rs: Gpr, ra: Gpr, d: Value) -> None:
    """Store Halfword with Update. Book I 3.3.3."""
    _store_update(t, rs, ra, address(t, t.gpr(ra), d), 2)


@insn("011111 rs:5 ra:5 rb:5 0110110111 -")
def sthux(t: Builder, rs: Gpr, ra: Gpr, rb: Gpr) -> None:
    """Store Halfword with Update Indexed. Book I 3.3.3."""
    _store_update(t, rs, ra, address(t, t.gpr(ra), t.gpr(rb)), 2)


@insn("100100 rs:5 ra0:5 d:16")
def stw(t: Builder, rs: Gpr, ra0: Gpr, d: Value) -> None:
    """Store Word. Book I 3.3.3."""
    t.store(address(t, t.gpr(ra0), d), 4, t.gpr(rs))


@insn("011111 rs:5 ra0:5 rb:5 0010010111 -")
def stwx(t: Builder, rs: Gpr, ra0: Gpr, rb: Gpr) -> None:
    """Store Word Indexed. Book I 3.3.3."""
    t.store(address(t, t.gpr(ra0), t.gpr(rb)), 4, t.gpr(rs))


@insn("100101 rs:5 ra:5 d:16")
def stwu(t: Builder, rs: Gpr, ra: Gpr, d: Value) -> None:
    """Store Word with Update. Book I 3.3.3."""
    _store_update(t, rs, ra, address(t, t.gpr(ra), d), 4)


@insn("011111 rs:5 ra:5 rb:5 0010110111 -")
def stwux(t: Builder, rs: Gpr, ra: Gpr, rb: Gpr) -> None:
    """Store Word with Update Indexed. Book I 3.3.3."""
    _store_update(t, rs, ra, address(t, t.gpr(ra), t.gpr(rb)), 4)


@insn("111110 rs:5 ra0:5 ds:14 00")
def std(t: Builder, rs: Gpr, ra0: Gpr, ds: Value) -> None:
    """Store Doubleword. Book I 3.3.3."""
    t.store(address(t, t.gpr(ra0), ds), 8, t.gpr(rs))


@insn("011111 rs:5 ra0:5 rb:5 0010010101 -")
def stdx(t: Builder, rs: Gpr, ra0: Gpr, rb: Gpr) -> None:
    """Store Doubleword Indexed. Book I 3.3.3."""
    t.store(address(t, t.gpr(ra0), t.gpr(rb)), 8, t.gpr(rs))


@insn("111110 rs:5 ra:5 ds:14 01")
def stdu(t: Builder, rs: Gpr, ra: Gpr, ds: Value) -> None:
    """Store Doubleword with Update. Book I 3.3.3."""
    _store_update(t, rs, ra, address(t, t.gpr(ra), ds), 8)


@insn("011111 rs:5 ra:5 rb:5 0010110101 -")
def stdux(t: Builder, rs: Gpr, ra: Gpr, rb: Gpr) -> None:
    """Store Doubleword with Update Indexed. Book I 3.3.3."""
    _store_update(t, rs, ra, address(t, t.gpr(ra), t.gpr(rb)), 8)


# 3.3.4 Byte reversal.


@insn("011111 rt:5 ra0:5 rb:5 1100010110 -")
def lhbrx(t: Builder, rt: Gpr, ra0: Gpr, rb: Gpr) -> None:
    """Load Halfword Byte-Reverse Indexed. Book I 3.3.4."""
    t.set_gpr(rt, t.load(address(t, t.gpr(ra0), t.gpr(rb)), 2).byte_reverse(2))


@insn("011111 rt:5 ra0:5 rb:5 1000010110 -")
def lwbrx(t: Builder, rt: Gpr, ra0: Gpr, rb: Gpr) -> None:
    """Load Word Byte-Reverse Indexed. Book I 3.3.4."""
    t.set_gpr(rt, t.load(address(t, t.gpr(ra0), t.gpr(rb)), 4).byte_reverse(4))


@insn("011111 rs:5 ra0:5 rb:5 1110010110 -")
def sthbrx(t: Builder, rs: Gpr, ra0: Gpr, rb: Gpr) -> None:
    """Store Halfword Byte-Reverse Indexed. Book I 3.3.4."""
    t.store(address(t, t.gpr(ra0), t.gpr(rb)), 2, t.gpr(rs).byte_reverse(2))


@insn("011111 rs:5 ra0:5 rb:5 1010010110 -")
def stwbrx(t: Builder, rs: Gpr, ra0: Gpr, rb: Gpr) -> None:
    """Store Word Byte-Reverse Indexed. Book I 3.3.4."""
    t.store(address(t, t.gpr(ra0), t.gpr(rb)), 4, t.gpr(rs).byte_reverse(4))


# 3.3.5 and 3.3.6 Multiple words and strings.  Helpers, with register numbers as small ints.


def _load_registers(processor: Processor, ea: int, count: int, first: int, *, avoid: int | None) -> None:
    """Load `count` bytes into registers from `first` on, four to each, all memory read before any is written.

    `avoid` is the base register, which an invalid form would overwrite: it is left alone (Book I 3.3.5).
    """
    data = bytearray()
    for offset in range(0, count, 4):
        length = min(4, count - offset)
        data += _load_part(processor, storage.effective(processor, ea + offset), length)
    words = processor.state.words
    for number, offset in enumerate(range(0, count, 4)):
        register = (first + number) % 32
        if register != avoid:
            words[INDEX["gpr"] + register] = int.from_bytes(data[offset : offset + 4].ljust(4, b"\0"), "big")


def _load_part(processor: Processor, ea: int, length: int) -> bytes:
    if length == 4:
        return storage.load(processor, ea, 4).to_bytes(4, "big")
    return bytes(storage.load(processor, storage.effective(processor, ea + n), 1) for n in range(length))


def _store_registers(processor: Processor, ea: int, count: int, first: int) -> None:
    """Store `count` bytes from registers from `first` on, four from each."""
    words = processor.state.words
    for number, offset in enumerate(range(0, count, 4)):
        value = words[INDEX["gpr"] + (first + number) % 32] & 0xFFFF_FFFF
        at = storage.effective(processor, ea + offset)
        length = min(4, count - offset)
        if length == 4:
            storage.store(processor, at, 4, value)
            continue
        for n in range(length):
            storage.store(processor, storage.effective(processor, at + n), 1, value >> (24 - 8 * n))


def _lmw(processor: Processor, ea: int, first: int, base: int) -> int:
    _load_registers(processor, ea, 4 * (32 - first), first, avoid=base or None)
    return 0


def _stmw(processor: Processor, ea: int, first: int) -> int:
    _store_registers(processor, ea, 4 * (32 - first), first)
    return 0


def _lsw(processor: Processor, ea: int, count: int, first: int) -> int:
    _load_registers(processor, ea, count, first, avoid=None)
    return 0


def _stsw(processor: Processor, ea: int, count: int, first: int) -> int:
    _store_registers(processor, ea, count, first)
    return 0


def _multiple(rt: int, ra: int, d: int) -> dict[str, int]:
    return {"rtn": rt, "ran": ra, "ra0": ra, "d": d}


def _string(rt: int, nb: int) -> dict[str, int]:
    return {"rtn": rt, "nb": nb or 32}


def _first_register(rt: int) -> dict[str, int]:
    return {"rtn": rt}


def _words(first: Value) -> Value:
    """Return how many bytes R`first` to R31 hold."""
    return (32 - first) << 2


@insn("101110 rt:5 ra:5 d:16", operands=_multiple)
def lmw(t: Builder, rtn: Value, ran: Value, ra0: Gpr, d: Value) -> None:
    """Load Multiple Word. Book I 3.3.5."""
    ea = address(t, t.gpr(ra0), d)
    if not t.has_host_units:
        t.call(_lmw, ea, rtn, ran)
        return
    t.instead_if(~ran.below(rtn) & ran.differs(0), _lmw, ea, rtn, ran)
    place = t.find(ea, _words(rtn))
    t.instead_if(place.equals(0), _lmw, ea, rtn, ran)
    t.load_registers(place, rtn, _words(rtn))


@insn("101111 rt:5 ra0:5 d:16", operands=_first_register)
def stmw(t: Builder, rtn: Value, ra0: Gpr, d: Value) -> None:
    """Store Multiple Word. Book I 3.3.5."""
    ea = address(t, t.gpr(ra0), d)
    if not t.has_host_units:
        t.call(_stmw, ea, rtn)
        return
    place = t.find(ea, _words(rtn), is_store=True)
    t.instead_if(place.equals(0), _stmw, ea, rtn)
    t.store_registers(place, rtn, _words(rtn))


def _load_string(t: Builder, ea: Value, count: Value, first: Value) -> None:
    """Load `count` bytes into registers from number `first` on; no bytes, no access."""
    if not t.has_host_units:
        t.call(_lsw, ea, count, first)
        return
    t.instead_if(count.equals(0), _lsw, ea, count, first)
    place = t.find(ea, count)
    t.instead_if(place.equals(0), _lsw, ea, count, first)
    t.load_registers(place, first, count)


def _store_string(t: Builder, ea: Value, count: Value, first: Value) -> None:
    if not t.has_host_units:
        t.call(_stsw, ea, count, first)
        return
    t.instead_if(count.equals(0), _stsw, ea, count, first)
    place = t.find(ea, count, is_store=True)
    t.instead_if(place.equals(0), _stsw, ea, count, first)
    t.store_registers(place, first, count)


@insn("011111 rt:5 ra0:5 nb:5 1001010101 -", operands=_string)
def lswi(t: Builder, rtn: Value, ra0: Gpr, nb: Value) -> None:
    """Load String Word Immediate. Book I 3.3.6."""
    _load_string(t, address(t, t.gpr(ra0), t.constant(0)), nb, rtn)


@insn("011111 rt:5 ra0:5 rb:5 1000010101 -", operands=_first_register)
def lswx(t: Builder, rtn: Value, ra0: Gpr, rb: Gpr) -> None:
    """Load String Word Indexed; the count is in XER. Book I 3.3.6."""
    _load_string(t, address(t, t.gpr(ra0), t.gpr(rb)), t.get("xer_rest"), rtn)


@insn("011111 rt:5 ra0:5 nb:5 1011010101 -", operands=_string)
def stswi(t: Builder, rtn: Value, ra0: Gpr, nb: Value) -> None:
    """Store String Word Immediate. Book I 3.3.6."""
    _store_string(t, address(t, t.gpr(ra0), t.constant(0)), nb, rtn)


@insn("011111 rt:5 ra0:5 rb:5 1010010101 -", operands=_first_register)
def stswx(t: Builder, rtn: Value, ra0: Gpr, rb: Gpr) -> None:
    """Store String Word Indexed; the count is in XER. Book I 3.3.6."""
    _store_string(t, address(t, t.gpr(ra0), t.gpr(rb)), t.get("xer_rest"), rtn)


# Book II 3.3 Reservations.


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


# Book II 3.2 Caches.  There is no cache: what is left are the faults, and the news that code changed.


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


@insn("010011 -:15 0010010110 -")
def isync(t: Builder) -> None:
    """Instruction Synchronize: everything is in order already. Book II 3.3.1."""


@insn("011111 -:15 1001010110 -")
def sync(t: Builder) -> None:
    """Synchronize, lwsync and ptesync too: one processor, in order. Book II 3.3.3."""


@insn("011111 -:15 1101010110 -")
def eieio(t: Builder) -> None:
    """Enforce In-order Execution of I/O: it is in order. Book II 3.3.3."""
