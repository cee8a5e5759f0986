"""Fixed-point loads and stores of one register (Book I 3.3.2-3.3.4).

A base register of 0 means no base (`ra0`).  An update form with RA = 0, or RA = RT in a load, is invalid;
here it updates all the same, the loaded value winning.  The 970 does unaligned accesses itself, except
those with a reservation (storage_control).
"""

from __future__ import annotations

from emulator.isa.builder import Builder, Gpr
from emulator.isa.decode import insn
from emulator.isa.storage import address
from emulator.isa.values import Value

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
