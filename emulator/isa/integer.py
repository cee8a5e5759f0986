"""Fixed-point arithmetic, logic, rotates and shifts, and moves to and from user registers (Book I
3.3.8-3.3.13).

CA, OV, SO and the CR fields are state words of their own.  In 32-bit mode (MSR[SF] = 0) carry, overflow and
the comparison of a result with zero look at the low 32 bits; results are 64 bits wide all the same.

Where a result is undefined (divide by zero, the high half of a word product) the choice is written beside
it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulator.cpu.interrupts import PROGRAM_TRAP, Interrupt, Vector
from emulator.isa.bits import MASK64, mask32, mask64
from emulator.isa.decode import insn
from emulator.isa.values import Builder, CrField, Gpr, Value

if TYPE_CHECKING:
    from emulator.cpu.processor import Processor


# What arithmetic instructions share.


def _compare(t: Builder, a: Value, b: Value | int, *, signed: bool) -> Value:
    """Return the CR field of a comparison: LT, GT or EQ, and SO."""
    is_less = a.less(b) if signed else a.below(b)
    return t.select(is_less, 8, t.select(a.equals(b), 2, t.constant(4))) | t.get("so")


def record(t: Builder, result: Value) -> None:
    """Set CR0 from a signed comparison of `result` with zero (Book I 3.1.1)."""
    t.put("cr", _compare(t, result if t.is64 else result.sext(32), 0, signed=True))


def _set_overflow(t: Builder, overflow: Value) -> None:
    """Set OV, and SO with it."""
    word = overflow.as_word()
    t.put("ov", word)
    t.put("so", t.get("so") | word)


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
    if oe:
        _set_overflow(t, _sum_overflow(t, a, b, total))
    t.set_gpr(rt, total)
    if rc:
        record(t, total)


# 3.3.8 Fixed-point arithmetic.


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


def _finish(t: Builder, rt: Gpr, result: Value, rc: int, overflow: Value | None = None) -> None:
    if overflow is not None:
        _set_overflow(t, overflow)
    t.set_gpr(rt, result)
    if rc:
        record(t, result)


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
    _finish(t, rt, product, rc, overflow)


@insn("011111 rt:5 ra:5 rb:5 oe:1 011101011 rc:1")
def mullw(t: Builder, rt: Gpr, ra: Gpr, rb: Gpr, oe: int, rc: int) -> None:
    """Multiply Low Word. Book I 3.3.8."""
    product = t.gpr(ra).sext(32) * t.gpr(rb).sext(32)
    _finish(t, rt, product, rc, product.differs(product.sext(32)) if oe else None)


@insn("011111 rt:5 ra:5 rb:5 - 001001001 rc:1")
def mulhd(t: Builder, rt: Gpr, ra: Gpr, rb: Gpr, rc: int) -> None:
    """Multiply High Doubleword. Book I 3.3.8."""
    _finish(t, rt, t.gpr(ra).multiply_high_signed(t.gpr(rb)), rc)


@insn("011111 rt:5 ra:5 rb:5 - 000001001 rc:1")
def mulhdu(t: Builder, rt: Gpr, ra: Gpr, rb: Gpr, rc: int) -> None:
    """Multiply High Doubleword Unsigned. Book I 3.3.8."""
    _finish(t, rt, t.gpr(ra).multiply_high(t.gpr(rb)), rc)


@insn("011111 rt:5 ra:5 rb:5 - 001001011 rc:1")
def mulhw(t: Builder, rt: Gpr, ra: Gpr, rb: Gpr, rc: int) -> None:
    """Multiply High Word; the high half is undefined, here zero. Book I 3.3.8."""
    _finish(t, rt, (t.gpr(ra).sext(32) * t.gpr(rb).sext(32)) >> 32, rc)


@insn("011111 rt:5 ra:5 rb:5 - 000001011 rc:1")
def mulhwu(t: Builder, rt: Gpr, ra: Gpr, rb: Gpr, rc: int) -> None:
    """Multiply High Word Unsigned; the high half is undefined, here zero. Book I 3.3.8."""
    _finish(t, rt, (t.gpr(ra).zext(32) * t.gpr(rb).zext(32)) >> 32, rc)


def _divide(t: Builder, rt: Gpr, a: Value, b: Value, oe: int, rc: int, *, signed: bool, minimum: int) -> None:
    """Divide; an undefined quotient is the dividend (its divisor is taken as 1)."""
    is_undefined = b.equals(0)
    if signed:
        is_undefined = is_undefined | (a.equals(minimum) & b.equals(-1))
    divisor = t.select(is_undefined, 1, b)
    quotient = a.divide_signed(divisor) if signed else a.divide(divisor)
    if minimum == _MINIMUM32:
        quotient = quotient.zext(32)
    _finish(t, rt, quotient, rc, is_undefined if oe else None)


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
    t.set_cr_field(bf, _compare(t, _narrow(t.gpr(ra), wide, signed=True), si, signed=True))


@insn("011111 bf:3 - wide:1 ra:5 rb:5 0000000000 -")
def cmp(t: Builder, bf: CrField, wide: int, ra: Gpr, rb: Gpr) -> None:
    """Compare. Book I 3.3.9."""
    a, b = _narrow(t.gpr(ra), wide, signed=True), _narrow(t.gpr(rb), wide, signed=True)
    t.set_cr_field(bf, _compare(t, a, b, signed=True))


@insn("001010 bf:3 - wide:1 ra:5 ui:16")
def cmpli(t: Builder, bf: CrField, wide: int, ra: Gpr, ui: Value) -> None:
    """Compare Logical Immediate. Book I 3.3.9."""
    t.set_cr_field(bf, _compare(t, _narrow(t.gpr(ra), wide, signed=False), ui, signed=False))


@insn("011111 bf:3 - wide:1 ra:5 rb:5 0000100000 -")
def cmpl(t: Builder, bf: CrField, wide: int, ra: Gpr, rb: Gpr) -> None:
    """Compare Logical. Book I 3.3.9."""
    a, b = _narrow(t.gpr(ra), wide, signed=False), _narrow(t.gpr(rb), wide, signed=False)
    t.set_cr_field(bf, _compare(t, a, b, signed=False))


# 3.3.10 Traps.


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


# 3.3.11 Logic.


def _upper(ui: int) -> dict[str, int]:
    return {"ui_high": ui}


@insn("011100 rs:5 ra:5 ui:16")
def andi_(t: Builder, ra: Gpr, rs: Gpr, ui: Value) -> None:
    """AND Immediate. Book I 3.3.11."""
    _finish(t, ra, t.gpr(rs) & ui, 1)


@insn("011101 rs:5 ra:5 ui:16", operands=_upper)
def andis_(t: Builder, ra: Gpr, rs: Gpr, ui_high: Value) -> None:
    """AND Immediate Shifted. Book I 3.3.11."""
    _finish(t, ra, t.gpr(rs) & ui_high, 1)


@insn("011000 rs:5 ra:5 ui:16")
def ori(t: Builder, ra: Gpr, rs: Gpr, ui: Value) -> None:
    """OR Immediate. Book I 3.3.11."""
    t.set_gpr(ra, t.gpr(rs) | ui)


@insn("01100000000000000000000000000000", special=True)
def nop(t: Builder) -> None:
    """No-op: the preferred form, ori 0,0,0. Book I 3.3.11."""


@insn("011001 rs:5 ra:5 ui:16", operands=_upper)
def oris(t: Builder, ra: Gpr, rs: Gpr, ui_high: Value) -> None:
    """OR Immediate Shifted. Book I 3.3.11."""
    t.set_gpr(ra, t.gpr(rs) | ui_high)


@insn("011010 rs:5 ra:5 ui:16")
def xori(t: Builder, ra: Gpr, rs: Gpr, ui: Value) -> None:
    """XOR Immediate. Book I 3.3.11."""
    t.set_gpr(ra, t.gpr(rs) ^ ui)


@insn("011011 rs:5 ra:5 ui:16", operands=_upper)
def xoris(t: Builder, ra: Gpr, rs: Gpr, ui_high: Value) -> None:
    """XOR Immediate Shifted. Book I 3.3.11."""
    t.set_gpr(ra, t.gpr(rs) ^ ui_high)


@insn("011111 rs:5 ra:5 rb:5 0000011100 rc:1")
def and_(t: Builder, ra: Gpr, rs: Gpr, rb: Gpr, rc: int) -> None:
    """AND. Book I 3.3.11."""
    _finish(t, ra, t.gpr(rs) & t.gpr(rb), rc)


@insn("011111 rs:5 ra:5 rb:5 0110111100 rc:1")
def or_(t: Builder, ra: Gpr, rs: Gpr, rb: Gpr, rc: int) -> None:
    """OR. Book I 3.3.11."""
    _finish(t, ra, t.gpr(rs) | t.gpr(rb), rc)


@insn("011111 rs:5 ra:5 rb:5 0100111100 rc:1")
def xor(t: Builder, ra: Gpr, rs: Gpr, rb: Gpr, rc: int) -> None:
    """XOR. Book I 3.3.11."""
    _finish(t, ra, t.gpr(rs) ^ t.gpr(rb), rc)


@insn("011111 rs:5 ra:5 rb:5 0111011100 rc:1")
def nand(t: Builder, ra: Gpr, rs: Gpr, rb: Gpr, rc: int) -> None:
    """NAND. Book I 3.3.11."""
    _finish(t, ra, ~(t.gpr(rs) & t.gpr(rb)), rc)


@insn("011111 rs:5 ra:5 rb:5 0001111100 rc:1")
def nor(t: Builder, ra: Gpr, rs: Gpr, rb: Gpr, rc: int) -> None:
    """NOR. Book I 3.3.11."""
    _finish(t, ra, ~(t.gpr(rs) | t.gpr(rb)), rc)


@insn("011111 rs:5 ra:5 rb:5 0100011100 rc:1")
def eqv(t: Builder, ra: Gpr, rs: Gpr, rb: Gpr, rc: int) -> None:
    """Equivalent. Book I 3.3.11."""
    _finish(t, ra, ~(t.gpr(rs) ^ t.gpr(rb)), rc)


@insn("011111 rs:5 ra:5 rb:5 0000111100 rc:1")
def andc(t: Builder, ra: Gpr, rs: Gpr, rb: Gpr, rc: int) -> None:
    """AND with Complement. Book I 3.3.11."""
    _finish(t, ra, t.gpr(rs) & ~t.gpr(rb), rc)


@insn("011111 rs:5 ra:5 rb:5 0110011100 rc:1")
def orc(t: Builder, ra: Gpr, rs: Gpr, rb: Gpr, rc: int) -> None:
    """OR with Complement. Book I 3.3.11."""
    _finish(t, ra, t.gpr(rs) | ~t.gpr(rb), rc)


@insn("011111 rs:5 ra:5 -:5 1110111010 rc:1")
def extsb(t: Builder, ra: Gpr, rs: Gpr, rc: int) -> None:
    """Extend Sign Byte. Book I 3.3.11."""
    _finish(t, ra, t.gpr(rs).sext(8), rc)


@insn("011111 rs:5 ra:5 -:5 1110011010 rc:1")
def extsh(t: Builder, ra: Gpr, rs: Gpr, rc: int) -> None:
    """Extend Sign Halfword. Book I 3.3.11."""
    _finish(t, ra, t.gpr(rs).sext(16), rc)


@insn("011111 rs:5 ra:5 -:5 1111011010 rc:1")
def extsw(t: Builder, ra: Gpr, rs: Gpr, rc: int) -> None:
    """Extend Sign Word. Book I 3.3.11."""
    _finish(t, ra, t.gpr(rs).sext(32), rc)


@insn("011111 rs:5 ra:5 -:5 0000111010 rc:1")
def cntlzd(t: Builder, ra: Gpr, rs: Gpr, rc: int) -> None:
    """Count Leading Zeros Doubleword. Book I 3.3.11."""
    _finish(t, ra, t.gpr(rs).count_leading_zeros(), rc)


@insn("011111 rs:5 ra:5 -:5 0000011010 rc:1")
def cntlzw(t: Builder, ra: Gpr, rs: Gpr, rc: int) -> None:
    """Count Leading Zeros Word. Book I 3.3.11."""
    _finish(t, ra, t.gpr(rs).zext(32).count_leading_zeros() - 32, rc)


# 3.3.12 Rotate and shift.


def _mask_word(sh: int, mb: int, me: int) -> dict[str, int]:
    return {"sh": sh, "mask": mask32(mb, me)}


def _mask_word_only(mb: int, me: int) -> dict[str, int]:
    return {"mask": mask32(mb, me)}


def _six(number: int) -> int:
    """Put a six-bit field together: its high-order bit is the last one of the encoding."""
    return number >> 1 | (number & 1) << 5


def _clear_left(sh: int, mb: int) -> dict[str, int]:
    return {"sh": _six(sh), "mask": mask64(_six(mb), 63)}


def _clear_right(sh: int, mb: int) -> dict[str, int]:
    return {"sh": _six(sh), "mask": mask64(0, _six(mb))}


def _clear_both(sh: int, mb: int) -> dict[str, int]:
    return {"sh": _six(sh), "mask": mask64(_six(mb), 63 - _six(sh))}


def _left_mask(mb: int) -> dict[str, int]:
    return {"mask": mask64(_six(mb), 63)}


def _right_mask(mb: int) -> dict[str, int]:
    return {"mask": mask64(0, _six(mb))}


def _shift_six(sh: int) -> dict[str, int]:
    return {"sh": _six(sh)}


def _rotate_word(value: Value, amount: Value) -> Value:
    """ROTL32: the low word twice, rotated as a doubleword (Book I 3.3.12)."""
    low = value.zext(32)
    return (low | low << 32).rotate(amount)


def _insert(t: Builder, ra: Gpr, rotated: Value, mask: Value, rc: int) -> None:
    _finish(t, ra, rotated & mask | t.gpr(ra) & ~mask, rc)


@insn("011110 rs:5 ra:5 sh:5 mb:6 000 sh:1 rc:1", operands=_clear_left)
def rldicl(t: Builder, ra: Gpr, rs: Gpr, sh: Value, mask: Value, rc: int) -> None:
    """Rotate Left Doubleword Immediate then Clear Left. Book I 3.3.12."""
    _finish(t, ra, t.gpr(rs).rotate(sh) & mask, rc)


@insn("011110 rs:5 ra:5 sh:5 mb:6 001 sh:1 rc:1", operands=_clear_right)
def rldicr(t: Builder, ra: Gpr, rs: Gpr, sh: Value, mask: Value, rc: int) -> None:
    """Rotate Left Doubleword Immediate then Clear Right. Book I 3.3.12."""
    _finish(t, ra, t.gpr(rs).rotate(sh) & mask, rc)


@insn("011110 rs:5 ra:5 sh:5 mb:6 010 sh:1 rc:1", operands=_clear_both)
def rldic(t: Builder, ra: Gpr, rs: Gpr, sh: Value, mask: Value, rc: int) -> None:
    """Rotate Left Doubleword Immediate then Clear. Book I 3.3.12."""
    _finish(t, ra, t.gpr(rs).rotate(sh) & mask, rc)


@insn("011110 rs:5 ra:5 sh:5 mb:6 011 sh:1 rc:1", operands=_clear_both)
def rldimi(t: Builder, ra: Gpr, rs: Gpr, sh: Value, mask: Value, rc: int) -> None:
    """Rotate Left Doubleword Immediate then Mask Insert. Book I 3.3.12."""
    _insert(t, ra, t.gpr(rs).rotate(sh), mask, rc)


@insn("011110 rs:5 ra:5 rb:5 mb:6 1000 rc:1", operands=_left_mask)
def rldcl(t: Builder, ra: Gpr, rs: Gpr, rb: Gpr, mask: Value, rc: int) -> None:
    """Rotate Left Doubleword then Clear Left. Book I 3.3.12."""
    _finish(t, ra, t.gpr(rs).rotate(t.gpr(rb).zext(6)) & mask, rc)


@insn("011110 rs:5 ra:5 rb:5 mb:6 1001 rc:1", operands=_right_mask)
def rldcr(t: Builder, ra: Gpr, rs: Gpr, rb: Gpr, mask: Value, rc: int) -> None:
    """Rotate Left Doubleword then Clear Right. Book I 3.3.12."""
    _finish(t, ra, t.gpr(rs).rotate(t.gpr(rb).zext(6)) & mask, rc)


@insn("010101 rs:5 ra:5 sh:5 mb:5 me:5 rc:1", operands=_mask_word)
def rlwinm(t: Builder, ra: Gpr, rs: Gpr, sh: Value, mask: Value, rc: int) -> None:
    """Rotate Left Word Immediate then AND with Mask. Book I 3.3.12."""
    _finish(t, ra, _rotate_word(t.gpr(rs), sh) & mask, rc)


@insn("010111 rs:5 ra:5 rb:5 mb:5 me:5 rc:1", operands=_mask_word_only)
def rlwnm(t: Builder, ra: Gpr, rs: Gpr, rb: Gpr, mask: Value, rc: int) -> None:
    """Rotate Left Word then AND with Mask. Book I 3.3.12."""
    _finish(t, ra, _rotate_word(t.gpr(rs), t.gpr(rb).zext(5)) & mask, rc)


@insn("010100 rs:5 ra:5 sh:5 mb:5 me:5 rc:1", operands=_mask_word)
def rlwimi(t: Builder, ra: Gpr, rs: Gpr, sh: Value, mask: Value, rc: int) -> None:
    """Rotate Left Word Immediate then Mask Insert. Book I 3.3.12."""
    _insert(t, ra, _rotate_word(t.gpr(rs), sh), mask, rc)


@insn("011111 rs:5 ra:5 rb:5 0000011011 rc:1")
def sld(t: Builder, ra: Gpr, rs: Gpr, rb: Gpr, rc: int) -> None:
    """Shift Left Doubleword. Book I 3.3.12."""
    amount = t.gpr(rb)
    _finish(t, ra, t.select(amount.bit(6), 0, t.gpr(rs) << amount.zext(6)), rc)


@insn("011111 rs:5 ra:5 rb:5 1000011011 rc:1")
def srd(t: Builder, ra: Gpr, rs: Gpr, rb: Gpr, rc: int) -> None:
    """Shift Right Doubleword. Book I 3.3.12."""
    amount = t.gpr(rb)
    _finish(t, ra, t.select(amount.bit(6), 0, t.gpr(rs) >> amount.zext(6)), rc)


@insn("011111 rs:5 ra:5 rb:5 0000011000 rc:1")
def slw(t: Builder, ra: Gpr, rs: Gpr, rb: Gpr, rc: int) -> None:
    """Shift Left Word. Book I 3.3.12."""
    _finish(t, ra, (t.gpr(rs).zext(32) << t.gpr(rb).zext(6)).zext(32), rc)


@insn("011111 rs:5 ra:5 rb:5 1000011000 rc:1")
def srw(t: Builder, ra: Gpr, rs: Gpr, rb: Gpr, rc: int) -> None:
    """Shift Right Word. Book I 3.3.12."""
    _finish(t, ra, t.gpr(rs).zext(32) >> t.gpr(rb).zext(6), rc)


def _shift_algebraic(t: Builder, ra: Gpr, value: Value, amount: Value, rc: int) -> None:
    """Shift right, setting CA if the value is negative and ones are shifted out; amount is below 64."""
    result = value.shift_signed(amount)
    t.put("ca", (value.less(0) & (result << amount).differs(value)).as_word())
    _finish(t, ra, result, rc)


def _up_to_63(t: Builder, amount: Value, limit: int) -> Value:
    """Cut a register's shift amount to 63 where bit `limit` says that everything is shifted out."""
    return t.select(amount.bit(limit), 63, amount.zext(limit))


@insn("011111 rs:5 ra:5 sh:5 110011101 sh:1 rc:1", operands=_shift_six)
def sradi(t: Builder, ra: Gpr, rs: Gpr, sh: Value, rc: int) -> None:
    """Shift Right Algebraic Doubleword Immediate. Book I 3.3.12."""
    _shift_algebraic(t, ra, t.gpr(rs), sh, rc)


@insn("011111 rs:5 ra:5 sh:5 1100111000 rc:1")
def srawi(t: Builder, ra: Gpr, rs: Gpr, sh: Value, rc: int) -> None:
    """Shift Right Algebraic Word Immediate. Book I 3.3.12."""
    _shift_algebraic(t, ra, t.gpr(rs).sext(32), sh, rc)


@insn("011111 rs:5 ra:5 rb:5 1100011010 rc:1")
def srad(t: Builder, ra: Gpr, rs: Gpr, rb: Gpr, rc: int) -> None:
    """Shift Right Algebraic Doubleword. Book I 3.3.12."""
    value, amount = t.gpr(rs), t.gpr(rb)
    # A shift by 64 or more loses one bit more than a shift by 63: of a negative number, always a one.
    ca = value.less(0) & (amount.bit(6) | _loses_ones(t, value, amount.zext(6)))
    result = value.shift_signed(_up_to_63(t, amount, 6))
    t.put("ca", ca.as_word())
    _finish(t, ra, result, rc)


def _loses_ones(t: Builder, value: Value, amount: Value) -> Value:
    return (value.shift_signed(amount) << amount).differs(value)


@insn("011111 rs:5 ra:5 rb:5 1100011000 rc:1")
def sraw(t: Builder, ra: Gpr, rs: Gpr, rb: Gpr, rc: int) -> None:
    """Shift Right Algebraic Word. Book I 3.3.12."""
    # The word is sign-extended, so a shift by 32 to 63 does what the manual asks, CA included.
    _shift_algebraic(t, ra, t.gpr(rs).sext(32), t.gpr(rb).zext(6), rc)


# 3.3.13 Moves between GPRs and the condition register (SPRs: system.py).


def _field_mask_writer(t: Builder, fxm: Value, source: Value) -> None:
    for number in range(8):
        nibble = (source >> (28 - 4 * number)).zext(4)
        t.put("cr", t.select(fxm.bit(7 - number), nibble, t.get("cr", number)), number)


@insn("011111 rs:5 - fxm:8 - 0010010000 -")
def mtcrf(t: Builder, rs: Gpr, fxm: Value) -> None:
    """Move to Condition Register Fields (with one field: mtocrf). Book I 3.3.13."""
    _field_mask_writer(t, fxm, t.gpr(rs))


def _selected_fields(one: int, fxm: int) -> dict[str, int]:
    """Which bits mfcr delivers; for mfocrf the others are undefined, here zero."""
    if not one:
        return {"mask": 0xFFFF_FFFF}
    return {"mask": sum(0xF000_0000 >> 4 * n for n in range(8) if fxm == 0x80 >> n)}


@insn("011111 rt:5 one:1 fxm:8 - 0000010011 -", operands=_selected_fields)
def mfcr(t: Builder, rt: Gpr, mask: Value) -> None:
    """Move from Condition Register (with one field: mfocrf). Book I 3.3.13."""
    value = t.get("cr")
    for number in range(1, 8):
        value = value << 4 | t.get("cr", number)
    t.set_gpr(rt, value & mask)


@insn("011111 bf:3 -:2 -:5 -:5 1000000000 -")
def mcrxr(t: Builder, bf: CrField) -> None:
    """Move to Condition Register from XER. Book I 3.3.13."""
    t.set_cr_field(bf, t.get("so") << 3 | t.get("ov") << 2 | t.get("ca") << 1)
    for name in ("so", "ov", "ca"):
        t.put(name, 0)
