"""Floating-point loads, stores, moves, and the FPSCR (Book I 4.6.2-4.6.4 and 4.6.8).

A floating-point register is its 64-bit image.  Single precision exists only in memory; loads widen it and
stores narrow it bit by bit, without rounding, so a NaN keeps its payload and is not made quiet (Book I
4.6.2, 4.6.3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulator.cpu.interrupts import PROGRAM_FP_ENABLED, Interrupt, Vector
from emulator.cpu.state import MSR_FE0, MSR_FE1, MSR_FP
from emulator.isa import fpscr
from emulator.isa.bits import MASK64
from emulator.isa.builder import Builder, CrField, Fpr, Gpr
from emulator.isa.decode import insn
from emulator.isa.storage import address
from emulator.isa.values import Value, raises

if TYPE_CHECKING:
    from emulator.cpu.processor import Processor

# What floating-point instructions share.


@raises(Vector.FP_UNAVAILABLE)
def _raise_unavailable(processor: Processor) -> int:
    raise Interrupt(Vector.FP_UNAVAILABLE)


def require_fp(t: Builder) -> None:
    """Take the FP unavailable interrupt if MSR[FP] is off."""
    t.require_msr(MSR_FP, _raise_unavailable)


@raises(Vector.PROGRAM, PROGRAM_FP_ENABLED)
def _raise_enabled(processor: Processor) -> int:
    raise Interrupt(Vector.PROGRAM, PROGRAM_FP_ENABLED)


def finish(t: Builder, rc: int) -> None:
    """End an instruction that may have changed FPSCR: CR1 if asked, the interrupt of an enabled exception.

    The 970 treats both imprecise modes as precise, so the interrupt comes here (970 user's manual, 4.5.7).
    """
    status = t.get("fpscr")
    if rc:
        t.put("cr", status >> 28, 1)
    enabled = status.bit(30) & (t.get("msr") & (MSR_FE0 | MSR_FE1)).differs(0)
    t.stop_if(enabled, _raise_enabled)


# 4.6.2 Loads.


def widen(image: int) -> int:
    """Return the double image of a single image (Book I 4.6.2)."""
    sign, exponent, fraction = image >> 31, image >> 23 & 0xFF, image & 0x7F_FFFF
    if exponent == 255:
        exponent = 2047
    elif exponent:
        exponent += 896
    elif fraction:
        shift = 24 - fraction.bit_length()
        exponent, fraction = 897 - shift, fraction << shift & 0x7F_FFFF
    return sign << 63 | exponent << 52 | fraction << 29


def narrow(image: int) -> int:
    """Return the single image that stfs stores of a double image (Book I 4.6.3)."""
    exponent = image >> 52 & 0x7FF
    if exponent > 896 or image & MASK64 >> 1 == 0:
        return (image >> 62) << 30 | image >> 29 & 0x3FFF_FFFF
    fraction = image & (1 << 52) - 1 | 1 << 52
    # Below exponent 874 the result is undefined; the shift then leaves zero.
    return (image >> 63) << 31 | fraction >> min(29 + 897 - exponent, 63)


def _widen(processor: Processor, image: int) -> int:
    return widen(image)


def _narrow(processor: Processor, image: int) -> int:
    return narrow(image)


def _load_single(t: Builder, ea: Value) -> Value:
    image = t.load(ea, 4)
    sign = (image >> 31) << 63
    exponent = (image >> 23).zext(8)
    is_normal = (exponent - 1).below(254)
    is_zero = image.zext(31).equals(0)
    normal = (exponent + 896) << 52 | image.zext(23) << 29
    plain = sign | t.select(is_zero, 0, normal)
    return t.call_if(~(is_normal | is_zero), _widen, image, otherwise=plain)


def _single(t: Builder, value: Value) -> Value:
    plain = (value >> 62) << 30 | (value >> 29).zext(30)
    is_tiny = (value >> 52).zext(11).below(897) & value.zext(63).differs(0)
    return t.call_if(is_tiny, _narrow, value, otherwise=plain)


@insn("110000 frt:5 ra0:5 d:16")
def lfs(t: Builder, frt: Fpr, ra0: Gpr, d: Value) -> None:
    """Load Floating-Point Single. Book I 4.6.2."""
    require_fp(t)
    t.set_fpr(frt, _load_single(t, address(t, t.gpr(ra0), d)))


@insn("011111 frt:5 ra0:5 rb:5 1000010111 -")
def lfsx(t: Builder, frt: Fpr, ra0: Gpr, rb: Gpr) -> None:
    """Load Floating-Point Single Indexed. Book I 4.6.2."""
    require_fp(t)
    t.set_fpr(frt, _load_single(t, address(t, t.gpr(ra0), t.gpr(rb))))


@insn("110001 frt:5 ra:5 d:16")
def lfsu(t: Builder, frt: Fpr, ra: Gpr, d: Value) -> None:
    """Load Floating-Point Single with Update. Book I 4.6.2."""
    require_fp(t)
    ea = address(t, t.gpr(ra), d)
    t.set_fpr(frt, _load_single(t, ea))
    t.set_gpr(ra, ea)


@insn("011111 frt:5 ra:5 rb:5 1000110111 -")
def lfsux(t: Builder, frt: Fpr, ra: Gpr, rb: Gpr) -> None:
    """Load Floating-Point Single with Update Indexed. Book I 4.6.2."""
    require_fp(t)
    ea = address(t, t.gpr(ra), t.gpr(rb))
    t.set_fpr(frt, _load_single(t, ea))
    t.set_gpr(ra, ea)


@insn("110010 frt:5 ra0:5 d:16")
def lfd(t: Builder, frt: Fpr, ra0: Gpr, d: Value) -> None:
    """Load Floating-Point Double. Book I 4.6.2."""
    require_fp(t)
    t.set_fpr(frt, t.load(address(t, t.gpr(ra0), d), 8))


@insn("011111 frt:5 ra0:5 rb:5 1001010111 -")
def lfdx(t: Builder, frt: Fpr, ra0: Gpr, rb: Gpr) -> None:
    """Load Floating-Point Double Indexed. Book I 4.6.2."""
    require_fp(t)
    t.set_fpr(frt, t.load(address(t, t.gpr(ra0), t.gpr(rb)), 8))


@insn("110011 frt:5 ra:5 d:16")
def lfdu(t: Builder, frt: Fpr, ra: Gpr, d: Value) -> None:
    """Load Floating-Point Double with Update. Book I 4.6.2."""
    require_fp(t)
    ea = address(t, t.gpr(ra), d)
    t.set_fpr(frt, t.load(ea, 8))
    t.set_gpr(ra, ea)


@insn("011111 frt:5 ra:5 rb:5 1001110111 -")
def lfdux(t: Builder, frt: Fpr, ra: Gpr, rb: Gpr) -> None:
    """Load Floating-Point Double with Update Indexed. Book I 4.6.2."""
    require_fp(t)
    ea = address(t, t.gpr(ra), t.gpr(rb))
    t.set_fpr(frt, t.load(ea, 8))
    t.set_gpr(ra, ea)


# 4.6.3 Stores.


@insn("110100 frs:5 ra0:5 d:16")
def stfs(t: Builder, frs: Fpr, ra0: Gpr, d: Value) -> None:
    """Store Floating-Point Single. Book I 4.6.3."""
    require_fp(t)
    t.store(address(t, t.gpr(ra0), d), 4, _single(t, t.fpr(frs)))


@insn("011111 frs:5 ra0:5 rb:5 1010010111 -")
def stfsx(t: Builder, frs: Fpr, ra0: Gpr, rb: Gpr) -> None:
    """Store Floating-Point Single Indexed. Book I 4.6.3."""
    require_fp(t)
    t.store(address(t, t.gpr(ra0), t.gpr(rb)), 4, _single(t, t.fpr(frs)))


@insn("110101 frs:5 ra:5 d:16")
def stfsu(t: Builder, frs: Fpr, ra: Gpr, d: Value) -> None:
    """Store Floating-Point Single with Update. Book I 4.6.3."""
    require_fp(t)
    ea = address(t, t.gpr(ra), d)
    t.store(ea, 4, _single(t, t.fpr(frs)))
    t.set_gpr(ra, ea)


@insn("011111 frs:5 ra:5 rb:5 1010110111 -")
def stfsux(t: Builder, frs: Fpr, ra: Gpr, rb: Gpr) -> None:
    """Store Floating-Point Single with Update Indexed. Book I 4.6.3."""
    require_fp(t)
    ea = address(t, t.gpr(ra), t.gpr(rb))
    t.store(ea, 4, _single(t, t.fpr(frs)))
    t.set_gpr(ra, ea)


@insn("110110 frs:5 ra0:5 d:16")
def stfd(t: Builder, frs: Fpr, ra0: Gpr, d: Value) -> None:
    """Store Floating-Point Double. Book I 4.6.3."""
    require_fp(t)
    t.store(address(t, t.gpr(ra0), d), 8, t.fpr(frs))


@insn("011111 frs:5 ra0:5 rb:5 1011010111 -")
def stfdx(t: Builder, frs: Fpr, ra0: Gpr, rb: Gpr) -> None:
    """Store Floating-Point Double Indexed. Book I 4.6.3."""
    require_fp(t)
    t.store(address(t, t.gpr(ra0), t.gpr(rb)), 8, t.fpr(frs))


@insn("110111 frs:5 ra:5 d:16")
def stfdu(t: Builder, frs: Fpr, ra: Gpr, d: Value) -> None:
    """Store Floating-Point Double with Update. Book I 4.6.3."""
    require_fp(t)
    ea = address(t, t.gpr(ra), d)
    t.store(ea, 8, t.fpr(frs))
    t.set_gpr(ra, ea)


@insn("011111 frs:5 ra:5 rb:5 1011110111 -")
def stfdux(t: Builder, frs: Fpr, ra: Gpr, rb: Gpr) -> None:
    """Store Floating-Point Double with Update Indexed. Book I 4.6.3."""
    require_fp(t)
    ea = address(t, t.gpr(ra), t.gpr(rb))
    t.store(ea, 8, t.fpr(frs))
    t.set_gpr(ra, ea)


@insn("011111 frs:5 ra0:5 rb:5 1111010111 -")
def stfiwx(t: Builder, frs: Fpr, ra0: Gpr, rb: Gpr) -> None:
    """Store Floating-Point as Integer Word Indexed. Book I 4.6.3."""
    require_fp(t)
    t.store(address(t, t.gpr(ra0), t.gpr(rb)), 4, t.fpr(frs))


# 4.6.4 Moves: no status, any bits.

_SIGN = 1 << 63


def _move(t: Builder, frt: Fpr, value: Value, rc: int) -> None:
    t.set_fpr(frt, value)
    if rc:
        t.put("cr", t.get("fpscr") >> 28, 1)


@insn("111111 frt:5 -:5 frb:5 0001001000 rc:1")
def fmr(t: Builder, frt: Fpr, frb: Fpr, rc: int) -> None:
    """Floating Move Register. Book I 4.6.4."""
    require_fp(t)
    _move(t, frt, t.fpr(frb), rc)


@insn("111111 frt:5 -:5 frb:5 0000101000 rc:1")
def fneg(t: Builder, frt: Fpr, frb: Fpr, rc: int) -> None:
    """Floating Negate. Book I 4.6.4."""
    require_fp(t)
    _move(t, frt, t.fpr(frb) ^ _SIGN, rc)


@insn("111111 frt:5 -:5 frb:5 0100001000 rc:1")
def fabs(t: Builder, frt: Fpr, frb: Fpr, rc: int) -> None:
    """Floating Absolute Value. Book I 4.6.4."""
    require_fp(t)
    _move(t, frt, t.fpr(frb) & ~_SIGN, rc)


@insn("111111 frt:5 -:5 frb:5 0010001000 rc:1")
def fnabs(t: Builder, frt: Fpr, frb: Fpr, rc: int) -> None:
    """Floating Negative Absolute Value. Book I 4.6.4."""
    require_fp(t)
    _move(t, frt, t.fpr(frb) | _SIGN, rc)


# 4.6.8 The status and control register.


def _write_fpscr(t: Builder, value: Value, mask: Value) -> None:
    """Replace the bits `mask`; FEX and VX always follow from the others (as in isa/fpscr.settle)."""
    plain = (t.get("fpscr") & ~mask | value & mask) & fpscr.STORED
    whole = plain | t.select((plain & fpscr.INVALID).differs(0), t.constant(fpscr.VX), 0)
    is_enabled = (whole >> fpscr.ENABLE_DISTANCE & whole & fpscr.ENABLES).differs(0)
    t.put("fpscr", whole | t.select(is_enabled, t.constant(fpscr.FEX), 0))


#: What mcrfs clears of the field it has copied: the exception bits.
_STICKY = fpscr.EXCEPTIONS | fpscr.FX


def _source_field(bfa: int, bf: int) -> dict[str, int]:
    return {"bf": bf, "number": bfa}


def _field_mask(flm: int) -> dict[str, int]:
    return {"mask": sum(0xF000_0000 >> 4 * n for n in range(8) if flm & 0x80 >> n)}


def _immediate_field(bf: int, u: int) -> dict[str, int]:
    return {"mask": 0xF000_0000 >> 4 * bf, "u": u}


def _bit_position(bt: int) -> dict[str, int]:
    return {"position": bt}


@insn("111111 frt:5 -:10 1001000111 rc:1")
def mffs(t: Builder, frt: Fpr, rc: int) -> None:
    """Move from FPSCR; the high half is undefined, here zero. Book I 4.6.8."""
    require_fp(t)
    _move(t, frt, t.get("fpscr"), rc)


@insn("111111 bf:3 -:2 bfa:3 -:2 -:5 0001000000 -", operands=_source_field)
def mcrfs(t: Builder, bf: CrField, number: Value) -> None:
    """Move to Condition Register from FPSCR. Book I 4.6.8."""
    require_fp(t)
    status, shift = t.get("fpscr"), 28 - (number << 2)
    _write_fpscr(t, t.constant(0), t.constant(0xF) << shift & _STICKY)
    t.set_cr_field(bf, (status >> shift).zext(4))


@insn("111111 bf:3 -:2 -:5 u:4 - 0010000110 rc:1", operands=_immediate_field)
def mtfsfi(t: Builder, mask: Value, u: Value, rc: int) -> None:
    """Move to FPSCR Field Immediate. Book I 4.6.8."""
    require_fp(t)
    _write_fpscr(t, u * 0x1111_1111, mask)
    finish(t, rc)


@insn("111111 - flm:8 - frb:5 1011000111 rc:1", operands=_field_mask)
def mtfsf(t: Builder, mask: Value, frb: Fpr, rc: int) -> None:
    """Move to FPSCR Fields. Book I 4.6.8."""
    require_fp(t)
    _write_fpscr(t, t.fpr(frb), mask)
    finish(t, rc)


@insn("111111 bt:5 -:10 0001000110 rc:1", operands=_bit_position)
def mtfsb0(t: Builder, position: Value, rc: int) -> None:
    """Move to FPSCR Bit 0. Book I 4.6.8."""
    require_fp(t)
    _write_fpscr(t, t.constant(0), t.constant(1) << 31 - position)
    finish(t, rc)


@insn("111111 bt:5 -:10 0000100110 rc:1", operands=_bit_position)
def mtfsb1(t: Builder, position: Value, rc: int) -> None:
    """Move to FPSCR Bit 1. Book I 4.6.8."""
    require_fp(t)
    bit = t.constant(1) << 31 - position
    is_news = (bit & ~t.get("fpscr") & fpscr.EXCEPTIONS).differs(0)
    bits = bit | t.select(is_news, t.constant(fpscr.FX), 0)
    _write_fpscr(t, bits, bits)
    finish(t, rc)
