"""Floating-point arithmetic, rounding, conversion and comparison (Book I 4.6.5-4.6.7).

The arithmetic itself is isa/softfloat; a helper here connects it with the processor: FPSCR, and the old
value of the target, which stays where an enabled exception forbids a result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from emulator.isa import float_shortcut, fpscr, softfloat
from emulator.isa.builder import Builder, CrField, Fpr
from emulator.isa.decode import insn
from emulator.isa.float_move import finish, require_fp
from emulator.isa.float_shortcut import Shortcut
from emulator.isa.softfloat import Outcome
from emulator.isa.values import Helper, Value

if TYPE_CHECKING:
    from emulator.cpu.processor import Processor


def _settle(processor: Processor, old: int, outcome: Outcome) -> int:
    """Write FPSCR and return what the target becomes."""
    result, status = outcome
    processor.state.put("fpscr", status)
    return old if result is None else result


def _status(processor: Processor) -> int:
    return processor.state.get("fpscr")


def _add(processor: Processor, old: int, a: int, b: int, single: int) -> int:
    return _settle(processor, old, softfloat.add(_status(processor), a, b, bool(single)))


def _subtract(processor: Processor, old: int, a: int, b: int, single: int) -> int:
    return _settle(processor, old, softfloat.subtract(_status(processor), a, b, bool(single)))


def _multiply(processor: Processor, old: int, a: int, c: int, single: int) -> int:
    return _settle(processor, old, softfloat.multiply(_status(processor), a, c, bool(single)))


def _divide(processor: Processor, old: int, a: int, b: int, single: int) -> int:
    return _settle(processor, old, softfloat.divide(_status(processor), a, b, bool(single)))


def _square_root(processor: Processor, old: int, b: int, single: int) -> int:
    return _settle(processor, old, softfloat.square_root(_status(processor), b, bool(single)))


# Variants of multiply-add, in the last argument of its helper.
_SINGLE = 1
_SUBTRACT = 2
_NEGATE = 4


def _multiply_add(processor: Processor, old: int, a: int, c: int, b: int, variant: int) -> int:
    if variant & _SUBTRACT and not softfloat.is_nan(b):
        b ^= softfloat.SIGN
    single, negate = bool(variant & _SINGLE), bool(variant & _NEGATE)
    return _settle(processor, old, softfloat.multiply_add(_status(processor), a, c, b, single, negate))


def _reciprocal_estimate(processor: Processor, old: int, b: int) -> int:
    return _settle(processor, old, softfloat.reciprocal_estimate(_status(processor), b))


def _reciprocal_root_estimate(processor: Processor, old: int, b: int) -> int:
    return _settle(processor, old, softfloat.reciprocal_root_estimate(_status(processor), b))


def _round_to_single(processor: Processor, old: int, b: int) -> int:
    return _settle(processor, old, softfloat.round_to_single(_status(processor), b))


def _to_integer(processor: Processor, old: int, b: int, bits: int, truncate: int) -> int:
    return _settle(processor, old, softfloat.to_integer(_status(processor), b, bits, bool(truncate)))


def _from_integer(processor: Processor, old: int, b: int) -> int:
    return _settle(processor, old, softfloat.from_integer(_status(processor), b))


def _compare(processor: Processor, a: int, b: int, ordered: int) -> int:
    relation, status = softfloat.compare(_status(processor), a, b, bool(ordered))
    processor.state.put("fpscr", status)
    return relation


@dataclass(frozen=True, slots=True)
class _Way:
    """How an instruction's result comes about on the host's own unit: see isa/float_shortcut."""

    shortcut: Callable[[], Shortcut]
    #: Operands whose NaNs it hands on, in order, and what it makes of one; none: NaNs are the helper's.
    nans: tuple[Value, ...] = ()
    result_of_nan: Callable[[Value], Value] = lambda nan: nan
    #: Changes the sign of a result that is no NaN.
    negates: bool = False
    sets_class: bool = True
    #: Is right in every rounding mode.
    any_mode: bool = False
    #: Tells neither inexactness nor rounding.
    is_estimate: bool = False


def _compute(t: Builder, frt: Fpr, rc: int, helper: Helper, *operands: Value | int, way: _Way) -> None:
    """Set FRT to what `helper` returns, or to the shortcut's result where one holds."""
    require_fp(t)
    if not t.has_host_units:
        result = t.call(helper, t.fpr(frt), *operands)
    else:
        short = way.shortcut()
        if t.is_slow and not way.any_mode:
            short = float_shortcut.directed(t, short)
        if way.is_estimate:
            short = replace(short, inexact=t.condition(False), up=t.condition(False))
        if way.negates:
            short = replace(short, result=short.result ^ softfloat.SIGN)
        if t.is_slow and way.nans:
            short = float_shortcut.with_specials(t, short, *way.nans, result_of_nan=way.result_of_nan)
        any_mode = way.any_mode or t.is_slow
        holds, status = float_shortcut.status_after(t, short, sets_class=way.sets_class, any_mode=any_mode)
        result = t.call_if(~holds, helper, t.fpr(frt), *operands, otherwise=short.result)
        t.put("fpscr", t.select(holds, status, t.get("fpscr")))
    t.set_fpr(frt, result)
    finish(t, rc)


def _combine(
    t: Builder,
    frt: Fpr,
    rc: int,
    helper: Helper,
    shortcut: Callable[[Builder, Value, Value, bool], Shortcut],
    a: Value,
    b: Value,
    single: int,
) -> None:
    """Compute with two operands."""
    way = _Way(lambda: shortcut(t, a, b, bool(single)), (a, b))
    _compute(t, frt, rc, helper, a, b, single, way=way)


def _compute_multiply_add(t: Builder, frt: Fpr, rc: int, a: Value, c: Value, b: Value, variant: int) -> None:
    def shortcut() -> Shortcut:
        addend = b ^ softfloat.SIGN if variant & _SUBTRACT else b
        return float_shortcut.multiply_add(t, a, c, addend, bool(variant & _SINGLE))

    way = _Way(shortcut, (a, b, c), negates=bool(variant & _NEGATE))
    _compute(t, frt, rc, _multiply_add, a, c, b, variant, way=way)


def _truncate(t: Builder, frt: Fpr, rc: int, b: Value, bits: int) -> None:
    """Convert to integer toward zero; FPRF stays, being undefined."""
    way = _Way(lambda: float_shortcut.truncate(t, b, bits), sets_class=False, any_mode=True)
    _compute(t, frt, rc, _to_integer, b, bits, 1, way=way)


def _round(t: Builder, frt: Fpr, rc: int, b: Value, bits: int) -> None:
    """Convert to integer in the rounding mode; FPRF stays, being undefined."""
    way = _Way(lambda: float_shortcut.to_integer(t, b, bits), sets_class=False)
    _compute(t, frt, rc, _to_integer, b, bits, 0, way=way)


# 4.6.5 Arithmetic.


@insn("111111 frt:5 fra:5 frb:5 -:5 10101 rc:1")
def fadd(t: Builder, frt: Fpr, fra: Fpr, frb: Fpr, rc: int) -> None:
    """Floating Add. Book I 4.6.5."""
    _combine(t, frt, rc, _add, float_shortcut.add, t.fpr(fra), t.fpr(frb), 0)


@insn("111011 frt:5 fra:5 frb:5 -:5 10101 rc:1")
def fadds(t: Builder, frt: Fpr, fra: Fpr, frb: Fpr, rc: int) -> None:
    """Floating Add Single. Book I 4.6.5."""
    _combine(t, frt, rc, _add, float_shortcut.add, t.fpr(fra), t.fpr(frb), 1)


@insn("111111 frt:5 fra:5 frb:5 -:5 10100 rc:1")
def fsub(t: Builder, frt: Fpr, fra: Fpr, frb: Fpr, rc: int) -> None:
    """Floating Subtract. Book I 4.6.5."""
    _combine(t, frt, rc, _subtract, float_shortcut.subtract, t.fpr(fra), t.fpr(frb), 0)


@insn("111011 frt:5 fra:5 frb:5 -:5 10100 rc:1")
def fsubs(t: Builder, frt: Fpr, fra: Fpr, frb: Fpr, rc: int) -> None:
    """Floating Subtract Single. Book I 4.6.5."""
    _combine(t, frt, rc, _subtract, float_shortcut.subtract, t.fpr(fra), t.fpr(frb), 1)


@insn("111111 frt:5 fra:5 -:5 frc:5 11001 rc:1")
def fmul(t: Builder, frt: Fpr, fra: Fpr, frc: Fpr, rc: int) -> None:
    """Floating Multiply. Book I 4.6.5."""
    _combine(t, frt, rc, _multiply, float_shortcut.multiply, t.fpr(fra), t.fpr(frc), 0)


@insn("111011 frt:5 fra:5 -:5 frc:5 11001 rc:1")
def fmuls(t: Builder, frt: Fpr, fra: Fpr, frc: Fpr, rc: int) -> None:
    """Floating Multiply Single. Book I 4.6.5."""
    _combine(t, frt, rc, _multiply, float_shortcut.multiply, t.fpr(fra), t.fpr(frc), 1)


@insn("111111 frt:5 fra:5 frb:5 -:5 10010 rc:1")
def fdiv(t: Builder, frt: Fpr, fra: Fpr, frb: Fpr, rc: int) -> None:
    """Floating Divide. Book I 4.6.5."""
    _combine(t, frt, rc, _divide, float_shortcut.divide, t.fpr(fra), t.fpr(frb), 0)


@insn("111011 frt:5 fra:5 frb:5 -:5 10010 rc:1")
def fdivs(t: Builder, frt: Fpr, fra: Fpr, frb: Fpr, rc: int) -> None:
    """Floating Divide Single. Book I 4.6.5."""
    _combine(t, frt, rc, _divide, float_shortcut.divide, t.fpr(fra), t.fpr(frb), 1)


@insn("111111 frt:5 -:5 frb:5 -:5 10110 rc:1")
def fsqrt(t: Builder, frt: Fpr, frb: Fpr, rc: int) -> None:
    """Floating Square Root. Book I 4.6.5."""
    b = t.fpr(frb)
    _compute(t, frt, rc, _square_root, b, 0, way=_Way(lambda: float_shortcut.square_root(t, b, False), (b,)))


@insn("111011 frt:5 -:5 frb:5 -:5 10110 rc:1")
def fsqrts(t: Builder, frt: Fpr, frb: Fpr, rc: int) -> None:
    """Floating Square Root Single. Book I 4.6.5."""
    b = t.fpr(frb)
    _compute(t, frt, rc, _square_root, b, 1, way=_Way(lambda: float_shortcut.square_root(t, b, True), (b,)))


@insn("111011 frt:5 -:5 frb:5 -:5 11000 rc:1")
def fres(t: Builder, frt: Fpr, frb: Fpr, rc: int) -> None:
    """Floating Reciprocal Estimate Single. Book I 4.6.5."""
    b = t.fpr(frb)
    way = _Way(lambda: float_shortcut.reciprocal_estimate(t, b), is_estimate=True)
    _compute(t, frt, rc, _reciprocal_estimate, b, way=way)


@insn("111111 frt:5 -:5 frb:5 -:5 11010 rc:1")
def frsqrte(t: Builder, frt: Fpr, frb: Fpr, rc: int) -> None:
    """Floating Reciprocal Square Root Estimate. Book I 4.6.5."""
    b = t.fpr(frb)
    way = _Way(lambda: float_shortcut.reciprocal_root_estimate(t, b), any_mode=True, is_estimate=True)
    _compute(t, frt, rc, _reciprocal_root_estimate, b, way=way)


@insn("111111 frt:5 fra:5 frb:5 frc:5 11101 rc:1")
def fmadd(t: Builder, frt: Fpr, fra: Fpr, frb: Fpr, frc: Fpr, rc: int) -> None:
    """Floating Multiply-Add. Book I 4.6.5."""
    _compute_multiply_add(t, frt, rc, t.fpr(fra), t.fpr(frc), t.fpr(frb), 0)


@insn("111011 frt:5 fra:5 frb:5 frc:5 11101 rc:1")
def fmadds(t: Builder, frt: Fpr, fra: Fpr, frb: Fpr, frc: Fpr, rc: int) -> None:
    """Floating Multiply-Add Single. Book I 4.6.5."""
    _compute_multiply_add(t, frt, rc, t.fpr(fra), t.fpr(frc), t.fpr(frb), _SINGLE)


@insn("111111 frt:5 fra:5 frb:5 frc:5 11100 rc:1")
def fmsub(t: Builder, frt: Fpr, fra: Fpr, frb: Fpr, frc: Fpr, rc: int) -> None:
    """Floating Multiply-Subtract. Book I 4.6.5."""
    _compute_multiply_add(t, frt, rc, t.fpr(fra), t.fpr(frc), t.fpr(frb), _SUBTRACT)


@insn("111011 frt:5 fra:5 frb:5 frc:5 11100 rc:1")
def fmsubs(t: Builder, frt: Fpr, fra: Fpr, frb: Fpr, frc: Fpr, rc: int) -> None:
    """Floating Multiply-Subtract Single. Book I 4.6.5."""
    _compute_multiply_add(t, frt, rc, t.fpr(fra), t.fpr(frc), t.fpr(frb), _SUBTRACT | _SINGLE)


@insn("111111 frt:5 fra:5 frb:5 frc:5 11111 rc:1")
def fnmadd(t: Builder, frt: Fpr, fra: Fpr, frb: Fpr, frc: Fpr, rc: int) -> None:
    """Floating Negative Multiply-Add. Book I 4.6.5."""
    _compute_multiply_add(t, frt, rc, t.fpr(fra), t.fpr(frc), t.fpr(frb), _NEGATE)


@insn("111011 frt:5 fra:5 frb:5 frc:5 11111 rc:1")
def fnmadds(t: Builder, frt: Fpr, fra: Fpr, frb: Fpr, frc: Fpr, rc: int) -> None:
    """Floating Negative Multiply-Add Single. Book I 4.6.5."""
    _compute_multiply_add(t, frt, rc, t.fpr(fra), t.fpr(frc), t.fpr(frb), _NEGATE | _SINGLE)


@insn("111111 frt:5 fra:5 frb:5 frc:5 11110 rc:1")
def fnmsub(t: Builder, frt: Fpr, fra: Fpr, frb: Fpr, frc: Fpr, rc: int) -> None:
    """Floating Negative Multiply-Subtract. Book I 4.6.5."""
    _compute_multiply_add(t, frt, rc, t.fpr(fra), t.fpr(frc), t.fpr(frb), _NEGATE | _SUBTRACT)


@insn("111011 frt:5 fra:5 frb:5 frc:5 11110 rc:1")
def fnmsubs(t: Builder, frt: Fpr, fra: Fpr, frb: Fpr, frc: Fpr, rc: int) -> None:
    """Floating Negative Multiply-Subtract Single. Book I 4.6.5."""
    _compute_multiply_add(t, frt, rc, t.fpr(fra), t.fpr(frc), t.fpr(frb), _NEGATE | _SUBTRACT | _SINGLE)


# 4.6.6 Rounding and conversion.


@insn("111111 frt:5 -:5 frb:5 0000001100 rc:1")
def frsp(t: Builder, frt: Fpr, frb: Fpr, rc: int) -> None:
    """Floating Round to Single-Precision. Book I 4.6.6."""
    b = t.fpr(frb)
    way = _Way(
        lambda: float_shortcut.round_to_single(t, b), (b,), result_of_nan=lambda nan: nan & ~0x1FFF_FFFF
    )
    _compute(t, frt, rc, _round_to_single, b, way=way)


@insn("111111 frt:5 -:5 frb:5 1100101110 rc:1")
def fctid(t: Builder, frt: Fpr, frb: Fpr, rc: int) -> None:
    """Floating Convert to Integer Doubleword. Book I 4.6.6."""
    _round(t, frt, rc, t.fpr(frb), 64)


@insn("111111 frt:5 -:5 frb:5 1100101111 rc:1")
def fctidz(t: Builder, frt: Fpr, frb: Fpr, rc: int) -> None:
    """Floating Convert to Integer Doubleword with Round toward Zero. Book I 4.6.6."""
    _truncate(t, frt, rc, t.fpr(frb), 64)


@insn("111111 frt:5 -:5 frb:5 0000001110 rc:1")
def fctiw(t: Builder, frt: Fpr, frb: Fpr, rc: int) -> None:
    """Floating Convert to Integer Word; the high half is undefined, here the sign. Book I 4.6.6."""
    _round(t, frt, rc, t.fpr(frb), 32)


@insn("111111 frt:5 -:5 frb:5 0000001111 rc:1")
def fctiwz(t: Builder, frt: Fpr, frb: Fpr, rc: int) -> None:
    """Floating Convert to Integer Word with Round toward Zero. Book I 4.6.6."""
    _truncate(t, frt, rc, t.fpr(frb), 32)


@insn("111111 frt:5 -:5 frb:5 1101001110 rc:1")
def fcfid(t: Builder, frt: Fpr, frb: Fpr, rc: int) -> None:
    """Floating Convert from Integer Doubleword. Book I 4.6.6."""
    b = t.fpr(frb)
    _compute(t, frt, rc, _from_integer, b, way=_Way(lambda: float_shortcut.from_integer(t, b)))


# 4.6.7 Comparison and selection.


def _compare_into(t: Builder, bf: CrField, fra: Fpr, frb: Fpr, ordered: int) -> None:
    require_fp(t)
    a, b = t.fpr(fra), t.fpr(frb)
    if t.has_host_units:
        holds, order = float_shortcut.compare(t, a, b, ordered)
        relation = t.call_if(~holds, _compare, a, b, ordered, otherwise=order)
        t.put("fpscr", t.get("fpscr") & ~fpscr.FPCC | relation << 12)
    else:
        relation = t.call(_compare, a, b, ordered)
    t.set_cr_field(bf, relation)
    finish(t, 0)


@insn("111111 bf:3 -:2 fra:5 frb:5 0000000000 -")
def fcmpu(t: Builder, bf: CrField, fra: Fpr, frb: Fpr) -> None:
    """Floating Compare Unordered. Book I 4.6.7."""
    _compare_into(t, bf, fra, frb, 0)


@insn("111111 bf:3 -:2 fra:5 frb:5 0000100000 -")
def fcmpo(t: Builder, bf: CrField, fra: Fpr, frb: Fpr) -> None:
    """Floating Compare Ordered. Book I 4.6.7."""
    _compare_into(t, bf, fra, frb, 1)


@insn("111111 frt:5 fra:5 frb:5 frc:5 10111 rc:1")
def fsel(t: Builder, frt: Fpr, fra: Fpr, frb: Fpr, frc: Fpr, rc: int) -> None:
    """Floating Select: FRC if FRA >= 0 (-0 is), else FRB; no status. Book I 4.6.7."""
    require_fp(t)
    a = t.fpr(fra)
    magnitude = a.zext(63)
    is_nan = t.constant(softfloat.INFINITY).below(magnitude)
    is_negative = a.bit(63) & magnitude.differs(0)
    t.set_fpr(frt, t.select(is_nan | is_negative, t.fpr(frb), t.fpr(frc)))
    if rc:
        t.put("cr", t.get("fpscr") >> 28, 1)
