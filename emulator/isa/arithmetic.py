"""Fixed-point arithmetic, comparisons and traps (Book I 3.3.8-3.3.10).

Where a result is undefined (divide by zero, the high half of a word product) the choice is written beside
it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulator.cpu.interrupts import PROGRAM_TRAP, Interrupt, Vector
from emulator.isa.bits import MASK64
from emulator.isa.builder import Builder, CrField, Gpr
from emulator.isa.decode import insn
from emulator.isa.results import compare, finish
from emulator.isa.values import Value, raises

if TYPE_CHECKING:
    from emulator.cpu.processor import Processor


# 3.3.8 Fixed-point arithmetic.


def _sum_overflow(t: Builder, a: Value, b: Value, total: Value) -> Value:
    """Tell whether the signed sum `total` of `a` and `b` (and a carry) overflowed."""
    return ((a ^ total) & (b ^ total)).bit(63 if t.is64 else 31)


def _sum_carry(t: Builder, a: Value, b: Value, carry_in: Value | None, total: Value) -> Value:
    """Return the carry out of a + b + carry_in, as a word."""
    if not t.is64:
        wide = a.zext(32) + b.zext(32)
        return (wide if carry_in is None else wide + carry_in) >> 32
    if carry_in is None:
        return total.below(a).as_word()
    # total == a with a carry coming in means that b was all ones and the sum went all the way round.
    return (total.below(a) | (total.equals(a) & carry_in.differs(0))).as_word()


def _add(
    t: Builder, rt: Gpr, a: Value, b: Value, carry_in: Value | None, sets_carry: bool, oe: int, rc: int
) -> None:
    """The whole family of additions; a subtraction adds ~a with a carry."""
    total = a + b if carry_in is None else a + b + carry_in
    if sets_carry:
        t.put("ca", _sum_carry(t, a, b, carry_in, total))
    finish(t, rt, total, rc, _sum_overflow(t, a, b, total) if oe else None)


@insn("001110 rt:5 ra0:5 si:16")
def addi(t: Builder, rt: Gpr, ra0: Gpr, si: Value) -> None:
    """Add Immediate. Book I 3.3.8."""
    t.set_gpr(rt, t.gpr(ra0) + si)


def _shifted(si: int) -> dict[str, int]:
    return {"si_high": si}


@insn("001111 rt:5 ra0:5 si:16", operands=_shifted)
def addis(t: Builder, rt: Gpr, ra0: Gpr, si_high: Value) -> None:
    """Add Immediate Shifted. Book I 3.3.8."""
    t.set_gpr(rt, t.gpr(ra0) + si_high)


@insn("011111 rt:5 ra:5 rb:5 oe:1 100001010 rc:1")
def add(t: Builder, rt: Gpr, ra: Gpr, rb: Gpr, oe: int, rc: int) -> None:
    """Add. Book I 3.3.8."""
    _add(t, rt, t.gpr(ra), t.gpr(rb), None, False, oe, rc)


@insn("011111 rt:5 ra:5 rb:5 oe:1 000101000 rc:1")
def subf(t: Builder, rt: Gpr, ra: Gpr, rb: Gpr, oe: int, rc: int) -> None:
    """Subtract From. Book I 3.3.8."""
    _add(t, rt, ~t.gpr(ra), t.gpr(rb), t.constant(1), False, oe, rc)


@insn("001100 rt:5 ra:5 si:16")
def addic(t: Builder, rt: Gpr, ra: Gpr, si: Value) -> None:
    """Add Immediate Carrying. Book I 3.3.8."""
    _add(t, rt, t.gpr(ra), si, None, True, 0, 0)


@insn("001101 rt:5 ra:5 si:16")
def addic_(t: Builder, rt: Gpr, ra: Gpr, si: Value) -> None:
    """Add Immediate Carrying and Record. Book I 3.3.8."""
    _add(t, rt, t.gpr(ra), si, None, True, 0, 1)


@insn("001000 rt:5 ra:5 si:16")
def subfic(t: Builder, rt: Gpr, ra: Gpr, si: Value) -> None:
    """Subtract From Immediate Carrying. Book I 3.3.8."""
    _add(t, rt, ~t.gpr(ra), si, t.constant(1), True, 0, 0)


@insn("011111 rt:5 ra:5 rb:5 oe:1 000001010 rc:1")
def addc(t: Builder, rt: Gpr, ra: Gpr, rb: Gpr, oe: int, rc: int) -> None:
    """Add Carrying. Book I 3.3.8."""
    _add(t, rt, t.gpr(ra), t.gpr(rb), None, True, oe, rc)


@insn("011111 rt:5 ra:5 rb:5 oe:1 000001000 rc:1")
def subfc(t: Builder, rt: Gpr, ra: Gpr, rb: Gpr, oe: int, rc: int) -> None:
    """Subtract From Carrying. Book I 3.3.8."""
    _add(t, rt, ~t.gpr(ra), t.gpr(rb), t.constant(1), True, oe, rc)


@insn("011111 rt:5 ra:5 rb:5 oe:1 010001010 rc:1")
def adde(t: Builder, rt: Gpr, ra: Gpr, rb: Gpr, oe: int, rc: int) -> None:
    """Add Extended. Book I 3.3.8."""
    _add(t, rt, t.gpr(ra), t.gpr(rb), t.get("ca"), True, oe, rc)


@insn("011111 rt:5 ra:5 rb:5 oe:1 010001000 rc:1")
def subfe(t: Builder, rt: Gpr, ra: Gpr, rb: Gpr, oe: int, rc: int) -> None:
    """Subtract From Extended. Book I 3.3.8."""
    _add(t, rt, ~t.gpr(ra), t.gpr(rb), t.get("ca"), True, oe, rc)


@insn("011111 rt:5 ra:5 -:5 oe:1 011101010 rc:1")
def addme(t: Builder, rt: Gpr, ra: Gpr, oe: int, rc: int) -> None:
    """Add to Minus One Extended. Book I 3.3.8."""
    _add(t, rt, t.gpr(ra), t.constant(MASK64), t.get("ca"), True, oe, rc)


@insn("011111 rt:5 ra:5 -:5 oe:1 011101000 rc:1")
def subfme(t: Builder, rt: Gpr, ra: Gpr, oe: int, rc: int) -> None:
    """Subtract From Minus One Extended. Book I 3.3.8."""
    _add(t, rt, ~t.gpr(ra), t.constant(MASK64), t.get("ca"), True, oe, rc)


@insn("011111 rt:5 ra:5 -:5 oe:1 011001010 rc:1")
def addze(t: Builder, rt: Gpr, ra: Gpr, oe: int, rc: int) -> None:
    """Add to Zero Extended. Book I 3.3.8."""
    _add(t, rt, t.gpr(ra), t.constant(0), t.get("ca"), True, oe, rc)


@insn("011111 rt:5 ra:5 -:5 oe:1 011001000 rc:1")
def subfze(t: Builder, rt: Gpr, ra: Gpr, oe: int, rc: int) -> None:
    """Subtract From Zero Extended. Book I 3.3.8."""
    _add(t, rt, ~t.gpr(ra), t.constant(0), t.get("ca"), True, oe, rc)


@insn("011111 rt:5 ra:5 -:5 oe:1 001101000 rc:1")
def neg(t: Builder, rt: Gpr, ra: Gpr, oe: int, rc: int) -> None:
    """Negate. Book I 3.3.8."""
    _add(t, rt, ~t.gpr(ra), t.constant(0), t.constant(1), False, oe, rc)


@insn("000111 rt:5 ra:5 si:16")
def mulli(t: Builder, rt: Gpr, ra: Gpr, si: Value) -> None:
    """Multiply Low Immediate. Book I 3.3.8."""
    t.set_gpr(rt, t.gpr(ra) * si)


@insn("011111 rt:5 ra:5 rb:5 oe:1 011101001 rc:1")
def mulld(t: Builder, rt: Gpr, ra: Gpr, rb: Gpr, oe: int, rc: int) -> None:
    """Multiply Low Doubleword. Book I 3.3.8."""
    a, b = t.gpr(ra), t.gpr(rb)
    product = a * b
    overflow = a.multiply_high_signed(b).differs(product.shift_signed(63)) if oe else None
    finish(t, rt, product, rc, overflow)


@insn("011111 rt:5 ra:5 rb:5 oe:1 011101011 rc:1")
def mullw(t: Builder, rt: Gpr, ra: Gpr, rb: Gpr, oe: int, rc: int) -> None:
    """Multiply Low Word. Book I 3.3.8."""
    product = t.gpr(ra).sext(32) * t.gpr(rb).sext(32)
    finish(t, rt, product, rc, product.differs(product.sext(32)) if oe else None)


@insn("011111 rt:5 ra:5 rb:5 - 001001001 rc:1")
def mulhd(t: Builder, rt: Gpr, ra: Gpr, rb: Gpr, rc: int) -> None:
    """Multiply High Doubleword. Book I 3.3.8."""
    finish(t, rt, t.gpr(ra).multiply_high_signed(t.gpr(rb)), rc)


@insn("011111 rt:5 ra:5 rb:5 - 000001001 rc:1")
def mulhdu(t: Builder, rt: Gpr, ra: Gpr, rb: Gpr, rc: int) -> None:
    """Multiply High Doubleword Unsigned. Book I 3.3.8."""
    finish(t, rt, t.gpr(ra).multiply_high(t.gpr(rb)), rc)


@insn("011111 rt:5 ra:5 rb:5 - 001001011 rc:1")
def mulhw(t: Builder, rt: Gpr, ra: Gpr, rb: Gpr, rc: int) -> None:
    """Multiply High Word; the high half is undefined, here zero. Book I 3.3.8."""
    finish(t, rt, (t.gpr(ra).sext(32) * t.gpr(rb).sext(32)) >> 32, rc)


@insn("011111 rt:5 ra:5 rb:5 - 000001011 rc:1")
def mulhwu(t: Builder, rt: Gpr, ra: Gpr, rb: Gpr, rc: int) -> None:
    """Multiply High Word Unsigned; the high half is undefined, here zero. Book I 3.3.8."""
    finish(t, rt, (t.gpr(ra).zext(32) * t.gpr(rb).zext(32)) >> 32, rc)


def _divide(t: Builder, rt: Gpr, a: Value, b: Value, oe: int, rc: int, *, signed: bool, minimum: int) -> None:
    """Divide; an undefined quotient is the dividend (its divisor is taken as 1)."""
    is_undefined = b.equals(0)
    if signed:
        is_undefined = is_undefined | (a.equals(minimum) & b.equals(-1))
    divisor = t.select(is_undefined, 1, b)
    quotient = a.divide_signed(divisor) if signed else a.divide(divisor)
    if minimum == _MINIMUM32:
        quotient = quotient.zext(32)
    finish(t, rt, quotient, rc, is_undefined if oe else None)


_MINIMUM64 = -(1 << 63)
_MINIMUM32 = -(1 << 31)


@insn("011111 rt:5 ra:5 rb:5 oe:1 111101001 rc:1")
def divd(t: Builder, rt: Gpr, ra: Gpr, rb: Gpr, oe: int, rc: int) -> None:
    """Divide Doubleword. Book I 3.3.8."""
    _divide(t, rt, t.gpr(ra), t.gpr(rb), oe, rc, signed=True, minimum=_MINIMUM64)


@insn("011111 rt:5 ra:5 rb:5 oe:1 111001001 rc:1")
def divdu(t: Builder, rt: Gpr, ra: Gpr, rb: Gpr, oe: int, rc: int) -> None:
    """Divide Doubleword Unsigned. Book I 3.3.8."""
    _divide(t, rt, t.gpr(ra), t.gpr(rb), oe, rc, signed=False, minimum=_MINIMUM64)


@insn("011111 rt:5 ra:5 rb:5 oe:1 111101011 rc:1")
def divw(t: Builder, rt: Gpr, ra: Gpr, rb: Gpr, oe: int, rc: int) -> None:
    """Divide Word; the high half is undefined, here zero. Book I 3.3.8."""
    _divide(t, rt, t.gpr(ra).sext(32), t.gpr(rb).sext(32), oe, rc, signed=True, minimum=_MINIMUM32)


@insn("011111 rt:5 ra:5 rb:5 oe:1 111001011 rc:1")
def divwu(t: Builder, rt: Gpr, ra: Gpr, rb: Gpr, oe: int, rc: int) -> None:
    """Divide Word Unsigned; the high half is undefined, here zero. Book I 3.3.8."""
    _divide(t, rt, t.gpr(ra).zext(32), t.gpr(rb).zext(32), oe, rc, signed=False, minimum=_MINIMUM32)


# 3.3.9 Fixed-point compare.


def _narrow(value: Value, wide: int, *, signed: bool) -> Value:
    """Take 64 bits (L = 1) or 32 of a compare's operand."""
    if wide:
        return value
    return value.sext(32) if signed else value.zext(32)


@insn("001011 bf:3 - wide:1 ra:5 si:16")
def cmpi(t: Builder, bf: CrField, wide: int, ra: Gpr, si: Value) -> None:
    """Compare Immediate. Book I 3.3.9."""
    t.set_cr_field(bf, compare(t, _narrow(t.gpr(ra), wide, signed=True), si, signed=True))


@insn("011111 bf:3 - wide:1 ra:5 rb:5 0000000000 -")
def cmp(t: Builder, bf: CrField, wide: int, ra: Gpr, rb: Gpr) -> None:
    """Compare. Book I 3.3.9."""
    a, b = _narrow(t.gpr(ra), wide, signed=True), _narrow(t.gpr(rb), wide, signed=True)
    t.set_cr_field(bf, compare(t, a, b, signed=True))


@insn("001010 bf:3 - wide:1 ra:5 ui:16")
def cmpli(t: Builder, bf: CrField, wide: int, ra: Gpr, ui: Value) -> None:
    """Compare Logical Immediate. Book I 3.3.9."""
    t.set_cr_field(bf, compare(t, _narrow(t.gpr(ra), wide, signed=False), ui, signed=False))


@insn("011111 bf:3 - wide:1 ra:5 rb:5 0000100000 -")
def cmpl(t: Builder, bf: CrField, wide: int, ra: Gpr, rb: Gpr) -> None:
    """Compare Logical. Book I 3.3.9."""
    a, b = _narrow(t.gpr(ra), wide, signed=False), _narrow(t.gpr(rb), wide, signed=False)
    t.set_cr_field(bf, compare(t, a, b, signed=False))


# 3.3.10 Traps.


@raises(Vector.PROGRAM, PROGRAM_TRAP)
def _take_trap(processor: Processor) -> int:
    raise Interrupt(Vector.PROGRAM, PROGRAM_TRAP)


def _trap(t: Builder, to: Value, a: Value, b: Value) -> None:
    """Trap if any condition that TO asks for holds."""
    holds = (to.bit(4) & a.less(b)) | (to.bit(3) & a.greater(b)) | (to.bit(2) & a.equals(b))
    holds = holds | (to.bit(1) & a.below(b)) | (to.bit(0) & a.above(b))
    t.stop_if(holds, _take_trap)


@insn("000010 to:5 ra:5 si:16")
def tdi(t: Builder, to: Value, ra: Gpr, si: Value) -> None:
    """Trap Doubleword Immediate. Book I 3.3.10."""
    _trap(t, to, t.gpr(ra), si)


@insn("000011 to:5 ra:5 si:16")
def twi(t: Builder, to: Value, ra: Gpr, si: Value) -> None:
    """Trap Word Immediate. Book I 3.3.10."""
    # Both operands sign-extended: extension keeps the unsigned order of 32-bit numbers too.
    _trap(t, to, t.gpr(ra).sext(32), si)


@insn("011111 to:5 ra:5 rb:5 0001000100 -")
def td(t: Builder, to: Value, ra: Gpr, rb: Gpr) -> None:
    """Trap Doubleword. Book I 3.3.10."""
    _trap(t, to, t.gpr(ra), t.gpr(rb))


@insn("011111 to:5 ra:5 rb:5 0000000100 -")
def tw(t: Builder, to: Value, ra: Gpr, rb: Gpr) -> None:
    """Trap Word. Book I 3.3.10."""
    _trap(t, to, t.gpr(ra).sext(32), t.gpr(rb).sext(32))
