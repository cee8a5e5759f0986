"""IEEE arithmetic on 64-bit images with an exact FPSCR, in plain ints (Book I 4.3-4.6).

Every operation takes the FPSCR and operand images and returns (result, FPSCR); the result is None where an
enabled invalid-operation or zero-divide exception leaves the target alone (Book I 4.4).  `single` rounds to
single precision; the result is a double image all the same.

Finite numbers are handled exactly, as mantissa * 2^exponent with Python's unbounded ints, and rounded once,
in `_round`.  Tininess is detected before rounding.  FI and FR tell whether the last rounding was inexact
and went away from zero; where the manual leaves FR undefined (overflow) that is what it tells too.

NaNs: the first NaN operand in the order FRA, FRB, FRC, made quiet, is the result (Book I 4.3.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

from emulator.isa import fpscr

SIGN = 1 << 63
FRACTION = (1 << 52) - 1
QUIET = 1 << 51
INFINITY = 0x7FF << 52
DEFAULT_NAN = INFINITY | QUIET

Outcome = tuple[int | None, int]

_NEAREST, _ZERO, _UP, _DOWN = range(4)


@dataclass(frozen=True, slots=True)
class _Format:
    """Precision with the hidden bit, exponents of normal numbers, and the adjustment of a trapped result."""

    precision: int
    lowest: int
    highest: int
    adjustment: int


_DOUBLE = _Format(53, -1022, 1023, 1536)
_SINGLE = _Format(24, -126, 127, 192)


def is_nan(image: int) -> bool:
    return image & ~SIGN > INFINITY


def is_signaling(image: int) -> bool:
    return is_nan(image) and not image & QUIET


def is_infinite(image: int) -> bool:
    return image & ~SIGN == INFINITY


def is_zero(image: int) -> bool:
    return image & ~SIGN == 0


def split(image: int) -> tuple[int, int]:
    """Return a finite number's magnitude as (mantissa, exponent): mantissa * 2^exponent."""
    exponent = image >> 52 & 0x7FF
    if exponent:
        return image & FRACTION | 1 << 52, exponent - 1075
    return image & FRACTION, -1074


def class_of(image: int, single: bool = False) -> int:
    """Return FPRF for a result; `single`: what counts as denormal is the single format's range."""
    negative = bool(image & SIGN)
    if is_nan(image):
        return fpscr.CLASS_QNAN
    if is_infinite(image):
        return fpscr.CLASS_NEGATIVE_INFINITY if negative else fpscr.CLASS_INFINITY
    if is_zero(image):
        return fpscr.CLASS_NEGATIVE_ZERO if negative else fpscr.CLASS_ZERO
    if image >> 52 & 0x7FF < (897 if single else 1):
        return fpscr.CLASS_NEGATIVE_DENORMAL if negative else fpscr.CLASS_DENORMAL
    return fpscr.CLASS_NEGATIVE_NORMAL if negative else fpscr.CLASS_NORMAL


# How an operation ends.


def _deliver(status: int, image: int, raised: int, single: bool) -> Outcome:
    """Set the result's class and whatever exceptions came with it; `raised` may hold FI and FR."""
    status &= ~(fpscr.FR | fpscr.FI | fpscr.FPRF)
    return image, fpscr.raise_bits(status | class_of(image, single) << 12, raised)


def _exact(status: int, image: int) -> Outcome:
    return _deliver(status, image, 0, False)


def _refuse(status: int, enable: int, image: int, raised: int) -> Outcome:
    """End with an invalid operation or a division by zero, whose exponent bits are `raised`."""
    if status & enable:
        return None, fpscr.raise_bits(status & ~(fpscr.FR | fpscr.FI), raised)
    return _deliver(status, image, raised, False)


def _invalid(status: int, raised: int, image: int = DEFAULT_NAN) -> Outcome:
    return _refuse(status, fpscr.VE, image, raised)


def _propagate(status: int, operands: tuple[int, ...], raised: int = 0) -> Outcome:
    """End with the first NaN of `operands`."""
    image = next(o for o in operands if is_nan(o)) | QUIET
    if any(map(is_signaling, operands)):
        raised |= fpscr.VXSNAN
    return _invalid(status, raised, image) if raised else _exact(status, image)


def _round_up(mode: int, negative: bool, odd: bool, rest: int, half: int) -> bool:
    """Tell whether a magnitude with `rest` below its last place (whose half is `half`) goes up."""
    match mode:
        case 0:
            return rest > half or (rest == half and odd)
        case 1:
            return False
        case 2:
            return rest > 0 and not negative
    return rest > 0 and negative


def _round(status: int, negative: bool, mantissa: int, exponent: int, single: bool) -> Outcome:
    """Round mantissa * 2^exponent (mantissa > 0) and set everything that follows from it."""
    form = _SINGLE if single else _DOUBLE
    top = exponent + mantissa.bit_length() - 1
    tiny = top < form.lowest
    raised = 0
    # The weight of the last place kept: below the lowest exponent it stays, and precision is lost.
    last = max(top, form.lowest) - form.precision + 1
    if tiny and status & fpscr.UE:
        # The trap handler gets a normalized number with an adjusted exponent (Book I 4.4.4).
        raised |= fpscr.UX
        exponent += form.adjustment
        last = top - form.precision + 1 + form.adjustment
        tiny = single = False
    kept, rest = mantissa, 0
    if last > exponent:
        rest = mantissa & (1 << last - exponent) - 1
        kept = mantissa >> last - exponent
        if _round_up(status & fpscr.RN, negative, bool(kept & 1), rest, 1 << last - exponent - 1):
            kept += 1
            raised |= fpscr.FR
    else:
        kept = mantissa << exponent - last
    if rest:
        raised |= fpscr.FI | fpscr.XX
        if tiny:
            raised |= fpscr.UX
    if kept.bit_length() > form.precision:
        kept >>= 1
        last += 1
    sign = SIGN if negative else 0
    if kept and last + form.precision - 1 > form.highest and kept.bit_length() == form.precision:
        raised |= fpscr.OX
        if status & fpscr.OE:
            last -= form.adjustment
        else:
            return _overflow(status, sign, raised, single)
    return _deliver(status, sign | _join(kept, last), raised, single)


def _overflow(status: int, sign: int, raised: int, single: bool) -> Outcome:
    """Deliver infinity or the largest number, as the rounding mode says (Book I 4.4.3)."""
    mode = status & fpscr.RN
    to_infinity = mode == _NEAREST or mode == (_DOWN if sign else _UP)
    largest = 0x47EF_FFFF_E000_0000 if single else 0x7FEF_FFFF_FFFF_FFFF
    raised = raised & ~fpscr.FR | fpscr.FI | fpscr.XX | (fpscr.FR if to_infinity else 0)
    return _deliver(status, sign | (INFINITY if to_infinity else largest), raised, single)


def _join(mantissa: int, exponent: int) -> int:
    """Return the image of a number that is representable as a double.

    Others come from single operations on doubles that no single can hold, with a trap enabled, where even
    the adjusted exponent does not fit.  The architecture leaves their result open: zero's or infinity's side.
    """
    if mantissa == 0:
        return 0
    shift = 53 - mantissa.bit_length()
    if exponent - shift < -1074:
        shift = exponent + 1074
        return mantissa << shift if shift >= 0 else mantissa >> -shift
    if exponent - shift > 971:
        return INFINITY
    return (exponent - shift + 1075) << 52 | mantissa << shift & FRACTION


# Operations.


def add(status: int, a: int, b: int, single: bool) -> Outcome:
    """a + b."""
    if is_nan(a) or is_nan(b):
        return _propagate(status, (a, b))
    if is_infinite(a) or is_infinite(b):
        if is_infinite(a) and is_infinite(b) and (a ^ b) & SIGN:
            return _invalid(status, fpscr.VXISI)
        return _exact(status, a if is_infinite(a) else b)
    return _sum(status, a & SIGN, *split(a), b, single)


def _sum(status: int, sign: int, mantissa: int, exponent: int, b: int, single: bool) -> Outcome:
    """Add the finite numbers (sign, mantissa * 2^exponent) and `b`."""
    b_mantissa, b_exponent = split(b)
    low = min(exponent, b_exponent)
    x, y = mantissa << exponent - low, b_mantissa << b_exponent - low
    total = (-x if sign else x) + (-y if b & SIGN else y)
    if total == 0:
        # An exact zero: of operands of one sign that sign, else + but in rounding mode "down".
        both = sign == b & SIGN and mantissa == 0
        zero = sign if both else SIGN if status & fpscr.RN == _DOWN else 0
        return _exact(status, zero)
    return _round(status, total < 0, abs(total), low, single)


def subtract(status: int, a: int, b: int, single: bool) -> Outcome:
    """a - b; a NaN keeps its sign."""
    return add(status, a, b if is_nan(b) else b ^ SIGN, single)


def multiply(status: int, a: int, c: int, single: bool) -> Outcome:
    """a * c."""
    if is_nan(a) or is_nan(c):
        return _propagate(status, (a, c))
    sign = (a ^ c) & SIGN
    if is_infinite(a) or is_infinite(c):
        if is_zero(a) or is_zero(c):
            return _invalid(status, fpscr.VXIMZ)
        return _exact(status, sign | INFINITY)
    if is_zero(a) or is_zero(c):
        return _exact(status, sign)
    (x, x_exponent), (y, y_exponent) = split(a), split(c)
    return _round(status, bool(sign), x * y, x_exponent + y_exponent, single)


def divide(status: int, a: int, b: int, single: bool) -> Outcome:
    """a / b."""
    if is_nan(a) or is_nan(b):
        return _propagate(status, (a, b))
    sign = (a ^ b) & SIGN
    if is_infinite(a):
        return _invalid(status, fpscr.VXIDI) if is_infinite(b) else _exact(status, sign | INFINITY)
    if is_infinite(b):
        return _exact(status, sign)
    if is_zero(b):
        if is_zero(a):
            return _invalid(status, fpscr.VXZDZ)
        return _refuse(status, fpscr.ZE, sign | INFINITY, fpscr.ZX)
    if is_zero(a):
        return _exact(status, sign)
    (x, x_exponent), (y, y_exponent) = split(a), split(b)
    # 120 more bits than the quotient of two mantissas can lack, and one that is not zero if anything is left.
    quotient, rest = divmod(x << 120, y)
    return _round(status, bool(sign), quotient << 1 | (rest != 0), x_exponent - y_exponent - 121, single)


def multiply_add(status: int, a: int, c: int, b: int, single: bool, negate: bool) -> Outcome:
    """a * c + b rounded once; `negate` changes the sign of a result that is no NaN."""
    is_product_invalid = (is_infinite(a) and is_zero(c)) or (is_zero(a) and is_infinite(c))
    raised = fpscr.VXIMZ if is_product_invalid else 0
    if is_nan(a) or is_nan(b) or is_nan(c):
        return _propagate(status, (a, b, c), raised)
    if raised:
        return _invalid(status, raised)
    sign = (a ^ c) & SIGN
    flip = SIGN if negate else 0
    if is_infinite(a) or is_infinite(c):
        if is_infinite(b) and sign != b & SIGN:
            return _invalid(status, fpscr.VXISI)
        return _exact(status, (sign | INFINITY) ^ flip)
    if is_infinite(b):
        return _exact(status, b ^ flip)
    (x, x_exponent), (y, y_exponent) = split(a), split(c)
    result, after = _sum(status, sign, x * y, x_exponent + y_exponent, b, single)
    if negate and result is not None:
        return _deliver(after, result ^ SIGN, after & (fpscr.FR | fpscr.FI), single)
    return result, after


def square_root(status: int, b: int, single: bool) -> Outcome:
    """The square root of b."""
    if is_nan(b):
        return _propagate(status, (b,))
    if is_zero(b):
        return _exact(status, b)
    if b & SIGN:
        return _invalid(status, fpscr.VXSQRT)
    if is_infinite(b):
        return _exact(status, b)
    mantissa, exponent = split(b)
    shift = 120 + (exponent & 1)
    root = isqrt(mantissa << shift)
    rest = root * root != mantissa << shift
    return _round(status, False, root << 1 | rest, (exponent - shift) // 2 - 1, single)


def reciprocal_estimate(status: int, b: int) -> Outcome:
    """fres: within 1/256 of 1/b; here the nearest single, which the 970 does not reach (Book I appendix)."""
    if is_nan(b):
        return _propagate(status, (b,))
    if is_zero(b):
        return _refuse(status, fpscr.ZE, b & SIGN | INFINITY, fpscr.ZX)
    if is_infinite(b):
        return _exact(status, b & SIGN)
    return _without_inexact(status, divide(status, 1023 << 52, b, True))


def reciprocal_root_estimate(status: int, b: int) -> Outcome:
    """frsqrte: within 1/32 of 1/sqrt(b); here the reciprocal of the root, both rounded to nearest."""
    if is_nan(b):
        return _propagate(status, (b,))
    if is_zero(b):
        return _refuse(status, fpscr.ZE, b & SIGN | INFINITY, fpscr.ZX)
    if b & SIGN:
        return _invalid(status, fpscr.VXSQRT)
    if is_infinite(b):
        return _exact(status, 0)
    root, _ = square_root(0, b, False)
    assert root is not None
    return _without_inexact(status, divide(status & ~fpscr.RN, 1023 << 52, root, False))


def _without_inexact(before: int, outcome: Outcome) -> Outcome:
    """Take back XX, which an estimate does not set; FR and FI are undefined after one, here zero.

    RN, too, is as before the estimate.
    """
    result, after = outcome
    unchanged = fpscr.RN | fpscr.XX | (fpscr.FX if after & ~before & fpscr.EXCEPTIONS == fpscr.XX else 0)
    after = after & ~(unchanged | fpscr.FR | fpscr.FI) | before & unchanged
    return result, fpscr.settle(after)


def round_to_single(status: int, b: int) -> Outcome:
    """frsp.  A NaN is cut to single; other operations leave its low bits."""
    if is_nan(b):
        image = (b | QUIET) & ~0x1FFF_FFFF
        return _invalid(status, fpscr.VXSNAN, image) if is_signaling(b) else _exact(status, image)
    if is_infinite(b) or is_zero(b):
        return _exact(status, b)
    return _round(status, bool(b & SIGN), *split(b), True)


def to_integer(status: int, b: int, bits: int, truncate: bool) -> Outcome:
    """fctiw, fctid and their z forms: a two's-complement number of `bits` bits, in a 64-bit image."""
    mask = (1 << 64) - 1
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    raised = fpscr.VXCVI
    if is_nan(b):
        raised |= fpscr.VXSNAN if is_signaling(b) else 0
        return _unconvertible(status, low, raised)
    negative = bool(b & SIGN)
    if is_infinite(b):
        return _unconvertible(status, low if negative else high, raised)
    mantissa, exponent = split(b)
    # Beyond 2^65 everything is out of range, whatever its exact value.
    number, rest, half = mantissa << min(max(exponent, 0), 66), 0, 1
    if exponent < 0:
        shift = min(-exponent, 60)
        rest = mantissa & (1 << shift) - 1
        number, half = mantissa >> shift, 1 << shift - 1
    up = _round_up(_ZERO if truncate else status & fpscr.RN, negative, bool(number & 1), rest, half)
    number += up
    value = -number if negative else number
    if not low <= value <= high:
        return _unconvertible(status, low if negative else high, raised)
    inexact = fpscr.FI | fpscr.XX | (fpscr.FR if up else 0) if rest else 0
    return value & mask, fpscr.raise_bits(status & ~(fpscr.FR | fpscr.FI), inexact)


def _unconvertible(status: int, value: int, raised: int) -> Outcome:
    status = fpscr.raise_bits(status & ~(fpscr.FR | fpscr.FI), raised)
    return (None if status & fpscr.VE else value & (1 << 64) - 1), status


def from_integer(status: int, image: int) -> Outcome:
    """fcfid."""
    value = image - (1 << 64) if image >> 63 else image
    if value == 0:
        return _exact(status, 0)
    return _round(status, value < 0, abs(value), 0, False)


def compare(status: int, a: int, b: int, ordered: bool) -> tuple[int, int]:
    """Return (LT GT EQ FU as a number, FPSCR)."""
    if is_nan(a) or is_nan(b):
        relation, raised = 1, 0
        if is_signaling(a) or is_signaling(b):
            raised = fpscr.VXSNAN
            if ordered and not status & fpscr.VE:
                raised |= fpscr.VXVC
        elif ordered:
            raised = fpscr.VXVC
        status = fpscr.raise_bits(status, raised)
    else:
        x, y = ordinal(a), ordinal(b)
        relation = 8 if x < y else 4 if x > y else 2
    return relation, status & ~fpscr.FPCC | relation << 12


def ordinal(image: int) -> int:
    """Map images to ints of the same order, both zeros to 0."""
    magnitude = image & ~SIGN
    return -magnitude if image & SIGN else magnitude
