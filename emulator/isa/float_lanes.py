"""Single-precision lanes: what the vector floating-point instructions compute, rounded to nearest, without
status (AltiVec 3.2).

Each computation has two forms, as in isa/float_shortcut: on double images by isa/softfloat, for every operand
there is, and recorded for the host's vector unit, which agrees but for NaNs and denormals; then the outcome
is `unfit` and softfloat does it after all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isnan, log2
from struct import pack, unpack
from typing import Any

from emulator.isa import softfloat, wide
from emulator.isa.float_move import narrow, widen
from emulator.isa.lanes import NJ, Lane, Operation, Outcome, choose, fill, join, saturated, split
from emulator.isa.values import Value
from emulator.isa.wide import Wide

_MAGNITUDE = 0x7FFF_FFFF
_SIGN = -1 << 31
_INFINITY = 0x7F80_0000
_SMALLEST_NORMAL = 0x0080_0000
_ONE_SINGLE = 0x3F80_0000


def floating(function: Callable[..., int]) -> Operation:
    """Apply `function`, on double images, to single lanes; non-Java mode makes denormals zero."""
    return _floating(function, _ON_HOST.get(function))


def to_integral(mode: int) -> Operation:
    """Round single lanes to integral numbers in rounding mode `mode` of FPSCR[RN]."""
    return _floating(rounding(mode), lambda b: b.on_unit(f"fround{mode}"))


def _floating(function: Callable[..., int], host: Lane | None) -> Operation:
    def operate(operands: Sequence[Any], vscr: Any) -> Outcome | None:
        if isinstance(vscr, Value):
            return None if host is None else _on_host(host, operands, vscr)
        columns = zip(*(_numbers(v, vscr) for v in operands), strict=True)
        flush = _flushed if vscr & NJ else int
        return Outcome(join([flush(narrow(function(*column))) for column in columns], 32))

    return operate


def _numbers(vector: int, vscr: int) -> list[int]:
    """Return the single lanes of a vector as double images."""
    flush = _flushed if vscr & NJ else int
    lanes = split(vector, 32)
    assert isinstance(lanes, list)
    return [widen(flush(lane)) for lane in lanes]


def _on_host(host: Lane, operands: Sequence[Value], vscr: Value) -> Outcome:
    columns = [wide.split(v, 32, True, 32) for v in operands]
    result: Wide = host(*columns)
    everything = [*columns, result]
    return Outcome(join(result, 32), False, _any(_is_nan, everything) | _any(_is_denormal, everything))


def _any(test: Callable[[Wide], Wide], columns: Sequence[Wide]) -> Value:
    found = test(columns[0])
    for column in columns[1:]:
        found = found | test(column)
    return found.any()


def _is_nan(x: Wide) -> Wide:
    return (x & _MAGNITUDE) > _INFINITY


def _is_denormal(x: Wide) -> Wide:
    magnitude = x & _MAGNITUDE
    return (magnitude < _SMALLEST_NORMAL) & (magnitude > 0)


def _ordinal(x: Wide) -> Wide:
    """Return a number that compares as the lane does; both zeros are 0."""
    magnitude = x & _MAGNITUDE
    result: Wide = choose(x < 0, -magnitude, magnitude)
    return result


def _rank(x: Wide) -> Wide:
    """As `_ordinal`, but -0 is below +0."""
    return x ^ (x >> 31 & _MAGNITUDE)


# In plain ints.


def has_denormal(vector: int) -> bool:
    """Tell whether a single lane of `vector` is denormal."""
    lanes = [vector >> shift & _MAGNITUDE for shift in (96, 64, 32, 0)]
    return any(0 < lane < _SMALLEST_NORMAL for lane in lanes)


def _flushed(single: int) -> int:
    return single if single >> 23 & 0xFF else single & 1 << 31


def add(a: int, b: int) -> int:
    return softfloat.add(0, a, b, True)[0] or 0


def subtract(a: int, b: int) -> int:
    return softfloat.subtract(0, a, b, True)[0] or 0


def multiply_add(a: int, b: int, c: int) -> int:
    """a * c + b (vmaddfp's operand order)."""
    return softfloat.multiply_add(0, a, c, b, True, False)[0] or 0


def negative_multiply_subtract(a: int, b: int, c: int) -> int:
    """-(a * c - b)."""
    minus_b = b if softfloat.is_nan(b) else b ^ softfloat.SIGN
    return softfloat.multiply_add(0, a, c, minus_b, True, True)[0] or 0


def reciprocal(b: int) -> int:
    return softfloat.divide(0, _ONE, b, True)[0] or 0


def reciprocal_root(b: int) -> int:
    root = softfloat.square_root(0, b, True)[0] or 0
    return softfloat.divide(0, _ONE, root, True)[0] or 0


_ONE = 0x3FF << 52


def power_of_two(b: int) -> int:
    """2^b, an estimate."""
    if softfloat.is_nan(b):
        return b | softfloat.QUIET
    value = _to_float(b)
    if value > 128:
        return softfloat.INFINITY
    if value < -160:
        return 0
    return _single_of(2.0**value)


def logarithm(b: int) -> int:
    """log2 b, an estimate."""
    if softfloat.is_nan(b):
        return b | softfloat.QUIET
    if softfloat.is_zero(b):
        return softfloat.SIGN | softfloat.INFINITY
    if b & softfloat.SIGN:
        return softfloat.DEFAULT_NAN
    if softfloat.is_infinite(b):
        return b
    return _single_of(log2(_to_float(b)))


def _to_float(image: int) -> float:
    value: float = unpack(">d", pack(">Q", image))[0]
    return value


def _single_of(value: float) -> int:
    """Round a Python float to single and return its double image."""
    if value == 0 or isnan(value):
        return 0
    (image,) = unpack(">Q", pack(">d", value))
    return softfloat.round_to_single(0, image)[0] or 0


def maximum(a: int, b: int) -> int:
    return _extreme(a, b, larger=True)


def minimum(a: int, b: int) -> int:
    return _extreme(a, b, larger=False)


def _extreme(a: int, b: int, *, larger: bool) -> int:
    for operand in (a, b):
        if softfloat.is_nan(operand):
            return operand | softfloat.QUIET
    # -0 is below +0 here.
    keys = [(softfloat.ordinal(x), not x & softfloat.SIGN) for x in (a, b)]
    return a if (keys[0] > keys[1]) == larger else b


def rounding(mode: int) -> Callable[[int], int]:
    """Round to an integral number in rounding mode `mode` of FPSCR[RN]."""

    def to_integral(b: int) -> int:
        if softfloat.is_nan(b):
            return b | softfloat.QUIET
        if softfloat.is_infinite(b) or b >> 52 & 0x7FF >= 1075:
            return b
        number = softfloat.to_integer(mode, b, 64, False)[0] or 0
        return softfloat.from_integer(0, number)[0] or b & softfloat.SIGN

    return to_integral


# On the host's unit, by the names of what softfloat does below.


def _host_add(a: Wide, b: Wide) -> Wide:
    return a.on_unit("fadd", b)


def _host_subtract(a: Wide, b: Wide) -> Wide:
    return a.on_unit("fadd", b ^ _SIGN)


def _host_multiply_add(a: Wide, b: Wide, c: Wide) -> Wide:
    return a.on_unit("fma", c, b)


def _host_negative_multiply_subtract(a: Wide, b: Wide, c: Wide) -> Wide:
    return a.on_unit("fma", c, b ^ _SIGN) ^ _SIGN


def _host_reciprocal(b: Wide) -> Wide:
    return (b * 0 + _ONE_SINGLE).on_unit("fdiv", b)


def _host_reciprocal_root(b: Wide) -> Wide:
    return _host_reciprocal(b.on_unit("fsqrt"))


def _host_maximum(a: Wide, b: Wide) -> Wide:
    larger: Wide = choose(_rank(a) > _rank(b), a, b)
    return larger


def _host_minimum(a: Wide, b: Wide) -> Wide:
    smaller: Wide = choose(_rank(a) < _rank(b), a, b)
    return smaller


_ON_HOST: dict[Callable[..., int], Lane] = {
    add: _host_add,
    subtract: _host_subtract,
    multiply_add: _host_multiply_add,
    negative_multiply_subtract: _host_negative_multiply_subtract,
    reciprocal: _host_reciprocal,
    reciprocal_root: _host_reciprocal_root,
    maximum: _host_maximum,
    minimum: _host_minimum,
}


# Conversions and comparisons.


def from_fixed(signed: bool) -> Operation:
    """Convert words to single, divided by 2 to the second operand."""

    def operate(operands: Sequence[Any], vscr: Any) -> Outcome:
        words, exponent = split(operands[0], 32, signed, 32), operands[1]
        if isinstance(words, Wide):
            scale = fill(127 - exponent << 23, 32)
            assert isinstance(scale, Wide)
            return Outcome(join(words.on_unit("sitofp" if signed else "uitofp").on_unit("fmul", scale), 32))
        results = []
        for word in words:
            image = softfloat.from_integer(0, word & (1 << 64) - 1)[0] or 0
            image = softfloat.round_to_single(0, image)[0] or 0
            results.append(narrow(image - (exponent << 52) if image else 0))
        return Outcome(join(results, 32))

    return operate


def to_fixed(signed: bool) -> Operation:
    """Convert single lanes times 2 to the second operand to words, towards zero, saturating; NaN is 0."""

    def operate(operands: Sequence[Any], vscr: Any) -> Outcome:
        if isinstance(vscr, Value):
            return _host_to_fixed(signed, *operands)
        numbers = []
        for image in _numbers(operands[0], vscr):
            if softfloat.is_nan(image):
                numbers.append(0)
            elif softfloat.is_infinite(image):
                numbers.append(-(1 << 64) if image & softfloat.SIGN else 1 << 64)
            else:
                mantissa, exponent = softfloat.split(image)
                exponent += operands[1]
                size = mantissa << exponent if exponent > 0 else mantissa >> -exponent
                numbers.append(-size if image & softfloat.SIGN else size)
        return saturated(numbers, 32, signed)

    return operate


#: 2^31, 2^32 and 1 as singles: from where on a number does not fit.
_TWO_TO_31, _TWO_TO_32 = 0x4F00_0000, 0x4F80_0000


def _host_to_fixed(signed: bool, vector: Value, exponent: Value) -> Outcome:
    given, scale = wide.split(vector, 32, True, 32), fill(exponent + 127 << 23, 32)
    assert isinstance(scale, Wide)
    x = given.on_unit("fmul", scale)
    number = _ordinal(x)
    if signed:
        result, outside = x.on_unit("fptosi"), (number >= _TWO_TO_31) | (number < -_TWO_TO_31)
    else:
        result, outside = x.on_unit("fptoui"), (number >= _TWO_TO_32) | (number < 1 - _ONE_SINGLE)
    return Outcome(join(result, 32), outside.any(), _is_nan(x).any() | _is_denormal(given).any())


def comparing(relation: Lane) -> Operation:
    """Make lanes of ones where `relation` of the numbers holds; never with a NaN."""

    def lane(a: int, b: int) -> int:
        if softfloat.is_nan(a) or softfloat.is_nan(b):
            return 0
        return -int(relation(softfloat.ordinal(a), softfloat.ordinal(b)))

    def host(a: Wide, b: Wide) -> Wide:
        result: Wide = choose(relation(_ordinal(a), _ordinal(b)), -1, 0)
        return result

    return _comparison(lane, host)


def _comparison(lane: Callable[[int, int], int], host: Lane) -> Operation:
    def operate(operands: Sequence[Any], vscr: Any) -> Outcome:
        if isinstance(vscr, Value):
            return _on_host(host, operands, vscr)
        columns = zip(*(_numbers(v, vscr) for v in operands), strict=True)
        return Outcome(join([lane(a, b) for a, b in columns], 32))

    return operate


def _out_of_bounds(a: int, b: int) -> int:
    if softfloat.is_nan(a) or softfloat.is_nan(b):
        return 3 << 30
    x, y = softfloat.ordinal(a), softfloat.ordinal(b)
    return int(x > y) << 31 | int(x < -y) << 30


def _host_out_of_bounds(a: Wide, b: Wide) -> Wide:
    x, y = _ordinal(a), _ordinal(b)
    result: Wide = choose(x > y, _SIGN, 0) | choose(x < -y, 1 << 30, 0)
    return result


#: Bit 0 of a lane: not a <= b; bit 1: not a >= -b (vcmpbfp).
bounds = _comparison(_out_of_bounds, _host_out_of_bounds)
