"""Loads and stores of several registers: multiple words, and strings of bytes (Book I 3.3.5, 3.3.6).

Registers wrap round from R31 to R0 in a string.  A host that has the bytes at hand moves them at once
(`t.find`); what may fault, and a load that would overwrite its own base, is left to the helpers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulator.cpu.state import INDEX
from emulator.isa import storage
from emulator.isa.builder import Builder, Gpr
from emulator.isa.decode import insn
from emulator.isa.storage import address
from emulator.isa.values import Value

if TYPE_CHECKING:
    from emulator.cpu.processor import Processor


# The helpers, with register numbers as small ints.


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
