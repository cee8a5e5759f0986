"""Floating point on the host's own unit, where that is exactly what isa/softfloat would do.

An engine that prints host floating-point operations (`Builder.has_host_units`) gets these shortcuts;
whatever they do not cover goes to the helper, and so does everything in the engine that has no such
operations, which is how the two are compared.

A shortcut holds when it raises no enabled exception, rounding is to nearest, and numbers are far enough from
the ends of the range that nothing can overflow or lose bits.  The host tells no inexactness, so the rounding
error is computed: the error of a sum, of a product (by a fused multiply-add) and of a fused multiply-add
are floating-point numbers themselves (Knuth, TAOCP 4.2.2; Boldo and Muller, "Some functions computable with
a fused-mac", 2005). FI says whether the error is zero, FR whether its sign is not the result's.

Where a shortcut does not hold, a slow handler (`Builder.is_slow`) tries longer before it asks the helper: for
the directed rounding modes, since the error tells whether the neighbour of the nearest number is the right
one (`directed`), and for infinities and quiet NaNs among the operands (`with_specials`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from emulator.isa import fpscr
from emulator.isa.builder import Builder
from emulator.isa.softfloat import SIGN
from emulator.isa.values import Value

#: Biased exponents from which on an error term is a normal number, and where numbers end.
_SAFE = 110
_SPECIAL = 2047
_QUIET_BIT = 51
_ONE = 1023 << 52
#: Added to a double below 2^51 and subtracted again, it leaves an integer.
_INTEGER_MAKER = 0x4338 << 48
#: A double whose lower bits lie exactly half way between two singles.
_LOW_BITS = (1 << 29) - 1
_TIE = 1 << 28


@dataclass(frozen=True, slots=True)
class Shortcut:
    """A result, whether it is inexact and went away from zero, and whether all this holds.

    `ulp` is what to add for the next number away from zero, if there is one; `has_room` says so.
    """

    result: Value
    inexact: Value
    up: Value
    holds: Value
    ulp: Value | int
    is_negative: Value
    has_room: Value


def _negate(a: Value) -> Value:
    return a ^ SIGN


def _minus(a: Value, b: Value) -> Value:
    return a.float_add(_negate(b))


def _is_nonzero(a: Value) -> Value:
    return a.zext(63).differs(0)


def _exponent(a: Value) -> Value:
    return (a >> 52).zext(11)


def _exponent_between(a: Value, low: int, high: int) -> Value:
    """Tell whether the biased exponent is in [low, high)."""
    return (_exponent(a) - low).below(high - low)


def _is_finite(a: Value) -> Value:
    return _exponent(a).differs(_SPECIAL)


def _two_sum(a: Value, b: Value) -> tuple[Value, Value]:
    """Return a + b rounded, and its error."""
    total = a.float_add(b)
    part = _minus(total, a)
    return total, _minus(a, _minus(total, part)).float_add(_minus(b, part))


def _from_error(result: Value, error: Value, holds: Value, is_single: bool = False) -> Shortcut:
    """`error` is the exact value minus `result`, or has its sign."""
    inexact = _is_nonzero(error)
    if is_single:
        ulp, has_room = 1 << 29, _exponent_between(result, 899, 1150)
    else:
        ulp, has_room = 1, _exponent_between(result, _SAFE + 1, _SPECIAL - 1)
    return Shortcut(result, inexact, inexact & (error ^ result).bit(63), holds, ulp, result.bit(63), has_room)


def _to_single(
    t: Builder, exact: Shortcut, wide: Value, error: Value, operands: tuple[Value, ...]
) -> Shortcut:
    """Round the double `wide` with its error once more, to single; operands must be singles themselves."""
    result = wide.float_single()
    second = _minus(wide, result)
    low = operands[0]
    for operand in operands[1:]:
        low = low | operand
    are_singles = (low & _LOW_BITS).equals(0)
    # Rounding twice differs from rounding once only where the first result is a tie of the second.
    is_fair = ~((wide & _LOW_BITS).equals(_TIE) & _is_nonzero(error))
    in_range = _exponent_between(result, 898, 1151) | ~_is_nonzero(wide)
    holds = exact.holds & are_singles & is_fair & in_range
    return _from_error(result, t.select(_is_nonzero(second), second, error), holds, is_single=True)


def add(t: Builder, a: Value, b: Value, single: bool) -> Shortcut:
    total, error = _two_sum(a, b)
    holds = _exponent_between(total, _SAFE, _SPECIAL) | (~_is_nonzero(total) & _is_finite(a))
    double = _from_error(total, error, holds)
    return _to_single(t, double, total, error, (a, b)) if single else double


def subtract(t: Builder, a: Value, b: Value, single: bool) -> Shortcut:
    return add(t, a, _negate(b), single)


def multiply(t: Builder, a: Value, c: Value, single: bool) -> Shortcut:
    product = a.float_multiply(c)
    error = a.float_multiply_add(c, _negate(product))
    holds = _exponent_between(product, _SAFE, _SPECIAL) | _is_zero_product(a, c)
    double = _from_error(product, error, holds)
    return _to_single(t, double, product, error, (a, c)) if single else double


def _is_zero_product(a: Value, c: Value) -> Value:
    return ~(_is_nonzero(a) & _is_nonzero(c)) & _is_finite(a) & _is_finite(c)


def divide(t: Builder, a: Value, b: Value, single: bool) -> Shortcut:
    quotient = a.float_divide(b)
    rest = _negate(quotient).float_multiply_add(b, a)
    # The error is rest / b; only its sign matters.
    error = rest ^ (b & SIGN)
    holds = _exponent_between(quotient, _SAFE, _SPECIAL) & _exponent_between(a, 2 * _SAFE, _SPECIAL)
    holds = holds & _exponent_between(b, 1, _SPECIAL)
    double = _from_error(quotient, error, holds)
    return _to_single(t, double, quotient, error, (a, b)) if single else double


def multiply_add(t: Builder, a: Value, c: Value, b: Value, single: bool) -> Shortcut:
    """a * c + b."""
    result = a.float_multiply_add(c, b)
    product = a.float_multiply(c)
    product_error = a.float_multiply_add(c, _negate(product))
    low, low_error = _two_sum(b, product_error)
    high, high_error = _two_sum(product, low)
    error = _minus(high, result).float_add(high_error).float_add(low_error)
    in_range = _exponent_between(product, _SAFE, _SPECIAL - 1) & _exponent_between(result, _SAFE, _SPECIAL)
    is_b = _is_zero_product(a, c) & (_exponent_between(b, 1, _SPECIAL) | ~_is_nonzero(b))
    double = _from_error(result, error, in_range | is_b)
    return _to_single(t, double, result, error, (a, b, c)) if single else double


def square_root(t: Builder, b: Value, single: bool) -> Shortcut:
    root = b.float_square_root()
    error = _negate(root).float_multiply_add(root, b)
    double = _from_error(root, error, _exponent_between(b, 2 * _SAFE, _SPECIAL) & ~b.bit(63))
    return _to_single(t, double, root, error, (b,)) if single else double


def round_to_single(t: Builder, b: Value) -> Shortcut:
    result = b.float_single()
    in_range = _exponent_between(result, 898, 1151) | ~_is_nonzero(b)
    return _from_error(result, _minus(b, result), in_range, is_single=True)


def from_integer(t: Builder, b: Value) -> Shortcut:
    """Convert a signed doubleword; holds below 2^62, where converting back cannot overflow."""
    result = b.to_float()
    back = result.to_integer()
    error = b - back
    return replace(
        _from_error(result, error, (b + (1 << 62)).below(1 << 63)),
        inexact=error.differs(0),
        up=error.differs(0) & (error ^ b).bit(63),
    )


def truncate(t: Builder, b: Value, bits: int) -> Shortcut:
    """Truncate to an integer of `bits` bits, whatever the rounding mode."""
    whole = b.to_integer()
    inexact = whole.to_float().zext(63).differs(b.zext(63))
    fits = _exponent(b).below(1023 + bits - 1)
    return Shortcut(whole, inexact, t.condition(False), fits, 0, b.bit(63), t.condition(True))


def to_integer(t: Builder, b: Value, bits: int) -> Shortcut:
    """Round to an integer of `bits` bits."""
    has_fraction = _exponent(b).below(1023 + 51)
    near = t.select(
        has_fraction, _minus(b.float_add(t.constant(_INTEGER_MAKER)), t.constant(_INTEGER_MAKER)), b
    )
    error = _minus(b, near)
    inexact = _is_nonzero(error)
    # Between 2^51 and 2^52 there are halves that the sum above would lose.
    fits = _exponent(b).below(1023 + bits - 2) & _exponent(b).differs(1023 + 51)
    ulp = t.select(b.bit(63), t.constant((1 << 64) - 1), 1)
    up = inexact & (error ^ b).bit(63)
    return Shortcut(near.to_integer(), inexact, up, fits, ulp, b.bit(63), t.condition(True))


def reciprocal_estimate(t: Builder, b: Value) -> Shortcut:
    return divide(t, t.constant(_ONE), b, True)


def reciprocal_root_estimate(t: Builder, b: Value) -> Shortcut:
    """The root and its reciprocal, both rounded to nearest whatever the mode."""
    shortcut = divide(t, t.constant(_ONE), square_root(t, b, False).result, False)
    return replace(shortcut, holds=shortcut.holds & _exponent_between(b, 1, _SPECIAL) & ~b.bit(63))


def directed(t: Builder, s: Shortcut) -> Shortcut:
    """Return what `s`, which rounds to nearest, is in the rounding mode of FPSCR.

    The exact value lies between the nearest number and one of its neighbours.
    """
    mode = t.get("fpscr") & fpscr.RN
    is_nearest = mode.equals(0)
    away = mode.equals(3) & s.is_negative | mode.equals(2) & ~s.is_negative
    may_step = s.inexact & s.has_room
    forth, back = may_step & away & ~s.up, may_step & ~away & s.up
    stepped = t.select(forth, s.result + s.ulp, t.select(back, s.result - s.ulp, s.result))
    return replace(
        s,
        result=t.select(is_nearest, s.result, stepped),
        up=t.select(is_nearest, s.up, s.inexact & away),
        # Without room there is none for a zero either, whose sign depends on the mode.
        holds=s.holds & (is_nearest | s.has_room),
    )


def with_specials(
    t: Builder, s: Shortcut, *operands: Value, result_of_nan: Callable[[Value], Value]
) -> Shortcut:
    """Return `s`, or what it is if an operand is infinite or a quiet NaN; the first NaN is the result.

    Of infinities the host's result is exact or, where the operation is invalid, a NaN.
    """
    special, nan, signaling = t.condition(False), t.condition(False), t.condition(False)
    first = s.result
    for operand in reversed(operands):
        is_operand_nan = _is_nan(t, operand)
        special = special | ~_is_finite(operand)
        nan = nan | is_operand_nan
        signaling = signaling | is_operand_nan & ~operand.bit(_QUIET_BIT)
        first = t.select(is_operand_nan, result_of_nan(operand), first)
    # An infinity times zero is invalid beside a NaN, too.
    has_infinity = t.condition(False)
    for operand in operands:
        has_infinity = has_infinity | operand.zext(63).equals(_SPECIAL << 52)
    is_exact = t.select(nan, ~signaling & ~has_infinity, ~_is_nan(t, s.result))
    return replace(
        s,
        result=first,
        inexact=s.inexact & ~special,
        up=s.up & ~special,
        holds=t.select(special, is_exact, s.holds),
    )


def _is_nan(t: Builder, a: Value) -> Value:
    return t.constant(_SPECIAL << 52).below(a.zext(63))


def status_after(
    t: Builder, shortcut: Shortcut, *, sets_class: bool, any_mode: bool = False
) -> tuple[Value, Value]:
    """Return whether the shortcut holds with the present FPSCR, and what FPSCR becomes then.

    `any_mode`: it is right in every rounding mode.
    """
    old = t.get("fpscr")
    holds = shortcut.holds & ((old & fpscr.XE).equals(0) | ~shortcut.inexact)
    if not any_mode:
        holds = holds & (old & fpscr.RN).equals(0)
    cleared = fpscr.FR | fpscr.FI | (fpscr.FPRF if sets_class else 0)
    first = t.select(
        (old & fpscr.XX).equals(0), fpscr.FX | fpscr.XX | fpscr.FI, t.constant(fpscr.XX | fpscr.FI)
    )
    after = old & ~cleared | t.select(shortcut.inexact, first, 0)
    after = after | t.select(shortcut.up, t.constant(fpscr.FR), 0)
    if sets_class:
        after = after | _class(t, shortcut.result) << 12
    return holds, after


def _class(t: Builder, result: Value) -> Value:
    """Return FPRF of anything but a denormal; only a slow handler gets at infinities and NaNs."""
    negative = result.bit(63)
    zero = t.select(negative, t.constant(fpscr.CLASS_NEGATIVE_ZERO), fpscr.CLASS_ZERO)
    normal = t.select(negative, t.constant(fpscr.CLASS_NEGATIVE_NORMAL), fpscr.CLASS_NORMAL)
    finite = t.select(_is_nonzero(result), normal, zero)
    if not t.is_slow:
        return finite
    infinite = t.select(negative, t.constant(fpscr.CLASS_NEGATIVE_INFINITY), fpscr.CLASS_INFINITY)
    special = t.select(_is_nan(t, result), fpscr.CLASS_QNAN, infinite)
    return t.select(_is_finite(result), finite, special)


def compare(t: Builder, a: Value, b: Value, ordered: int) -> tuple[Value, Value]:
    """Return whether no exception is due, and LT GT EQ FU."""
    a_is_nan, b_is_nan = _is_nan(t, a), _is_nan(t, b)
    if ordered:
        holds = ~(a_is_nan | b_is_nan)
    else:
        holds = ~(a_is_nan & ~a.bit(_QUIET_BIT) | b_is_nan & ~b.bit(_QUIET_BIT))
    x, y = _ordinal(t, a), _ordinal(t, b)
    order = t.select(x.less(y), 8, t.select(x.equals(y), 2, t.constant(4)))
    return holds, order if ordered else t.select(a_is_nan | b_is_nan, 1, order)


def _ordinal(t: Builder, image: Value) -> Value:
    magnitude = image.zext(63)
    return t.select(image.bit(63), 0 - magnitude, magnitude)
