"""What the vector instructions compute: functions on 128-bit ints, built from a few ways to treat lanes.

A vector is one int; lane 0 is the most significant one.  An `Operation` gets the operand vectors and VSCR
and returns the result and whether anything saturated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isnan, log2
from struct import pack, unpack

from emulator.isa import softfloat
from emulator.isa.bits import sign_extend
from emulator.isa.float_move import narrow, widen

#: (operands, VSCR) -> (result, has saturated)
Operation = Callable[[Sequence[int], int], tuple[int, bool]]
Lane = Callable[..., int]

WIDTH = 128
#: VSCR: saturation, and non-Java mode (denormals are zero).
SAT = 1
NJ = 1 << 16


def split(vector: int, bits: int, signed: bool = False) -> list[int]:
    """Return the lanes of a vector."""
    mask = (1 << bits) - 1
    lanes = [vector >> shift & mask for shift in range(WIDTH - bits, -1, -bits)]
    return [sign_extend(lane, bits) for lane in lanes] if signed else lanes


def join(lanes: Sequence[int], bits: int) -> int:
    """Return the vector of `lanes`, each cut to `bits`."""
    vector, mask = 0, (1 << bits) - 1
    for lane in lanes:
        vector = vector << bits | lane & mask
    return vector


def clamp(value: int, bits: int, signed: bool) -> int:
    """Return the number of the format nearest to `value`."""
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    return max(low, min(high, value))


def saturated(lanes: Sequence[int], bits: int, signed: bool) -> tuple[int, bool]:
    """Join `lanes`, each clamped; tell whether one had to be."""
    clamped = [clamp(lane, bits, signed) for lane in lanes]
    return join(clamped, bits), clamped != list(lanes)


# Ways to treat lanes.


def modulo(bits: int, lane: Lane, signed: bool = False) -> Operation:
    """Apply `lane` to the lanes of all operands; results wrap."""

    def operate(operands: Sequence[int], vscr: int) -> tuple[int, bool]:
        columns = zip(*(split(v, bits, signed) for v in operands), strict=True)
        return join([lane(*column) for column in columns], bits), False

    return operate


def saturating(bits: int, lane: Lane, signed: bool) -> Operation:
    """Apply `lane` to the lanes of all operands; results are clamped."""

    def operate(operands: Sequence[int], vscr: int) -> tuple[int, bool]:
        columns = zip(*(split(v, bits, signed) for v in operands), strict=True)
        return saturated([lane(*column) for column in columns], bits, signed)

    return operate


def whole(function: Lane) -> Operation:
    """Apply `function` to the vectors themselves."""
    return lambda operands, vscr: (function(*operands) & (1 << WIDTH) - 1, False)


def comparing(bits: int, relation: Callable[[int, int], bool], signed: bool = False) -> Operation:
    """Make lanes of ones where `relation` holds."""
    return modulo(bits, lambda a, b: -int(relation(a, b)), signed)


def multiplying(bits: int, first: int, signed: bool) -> Operation:
    """Multiply every second lane, from `first` on, into lanes of twice the width."""

    def operate(operands: Sequence[int], vscr: int) -> tuple[int, bool]:
        a, b = (split(v, bits, signed)[first::2] for v in operands)
        return join([x * y for x, y in zip(a, b, strict=True)], 2 * bits), False

    return operate


def summing(bits: int, signs: tuple[bool, bool], accumulate_signed: bool, clamped: bool) -> Operation:
    """Add the products of the lanes in each word of a and b to the word of c."""

    def operate(operands: Sequence[int], vscr: int) -> tuple[int, bool]:
        a, b = split(operands[0], bits, signs[0]), split(operands[1], bits, signs[1])
        c = split(operands[2], 32, accumulate_signed)
        count = 32 // bits
        sums = [c[n // count] + _dot(a[n : n + count], b[n : n + count]) for n in range(0, len(a), count)]
        return saturated(sums, 32, accumulate_signed) if clamped else (join(sums, 32), False)

    return operate


def _dot(a: Sequence[int], b: Sequence[int]) -> int:
    return sum(x * y for x, y in zip(a, b, strict=True))


def sum_across(bits: int, signed: bool, words: int) -> Operation:
    """Add the lanes of a in each group of `words` words to the last word of that group of b, saturating."""

    def operate(operands: Sequence[int], vscr: int) -> tuple[int, bool]:
        a, b = split(operands[0], bits, signed), split(operands[1], 32, signed)
        count = words * 32 // bits
        sums = [0] * 4
        for group in range(4 // words):
            last = words * group + words - 1
            sums[last] = b[last] + sum(a[count * group : count * (group + 1)])
        return saturated(sums, 32, signed)

    return operate


def packing(bits: int, from_signed: bool, to_signed: bool, clamped: bool) -> Operation:
    """Narrow the lanes of a, then b, to half their width."""

    def operate(operands: Sequence[int], vscr: int) -> tuple[int, bool]:
        lanes = split(operands[0], bits, from_signed) + split(operands[1], bits, from_signed)
        return saturated(lanes, bits // 2, to_signed) if clamped else (join(lanes, bits // 2), False)

    return operate


def unpacking(bits: int, high: bool, lane: Lane) -> Operation:
    """Widen the lanes of one half to twice their width."""

    def operate(operands: Sequence[int], vscr: int) -> tuple[int, bool]:
        lanes = split(operands[0], bits, True)
        half = len(lanes) // 2
        return join([lane(x) for x in (lanes[:half] if high else lanes[half:])], 2 * bits), False

    return operate


def merging(bits: int, high: bool) -> Operation:
    """Interleave the lanes of one half of a and b."""

    def operate(operands: Sequence[int], vscr: int) -> tuple[int, bool]:
        a, b = (split(v, bits) for v in operands)
        half = len(a) // 2
        chosen = slice(0, half) if high else slice(half, None)
        return join([lane for pair in zip(a[chosen], b[chosen], strict=True) for lane in pair], bits), False

    return operate


def splat(bits: int) -> Operation:
    """Copy lane number (second operand) of the first to all lanes."""

    def operate(operands: Sequence[int], vscr: int) -> tuple[int, bool]:
        lanes = split(operands[0], bits)
        return join([lanes[operands[1] % len(lanes)]] * len(lanes), bits), False

    return operate


def splat_immediate(bits: int) -> Operation:
    """Copy a signed 5-bit number to all lanes."""
    return lambda operands, vscr: (join([sign_extend(operands[0], 5)] * (WIDTH // bits), bits), False)


# Lanes that need more than an expression.


def rotate(bits: int) -> Lane:
    return lambda a, b: a << b % bits | a >> bits - b % bits


def pack_pixel(operands: Sequence[int], vscr: int) -> tuple[int, bool]:
    """1/5/5/5 bits of each word (vpkpx)."""
    words = split(operands[0], 32) + split(operands[1], 32)
    pixels = [(w >> 24 & 1) << 15 | (w >> 19 & 31) << 10 | (w >> 11 & 31) << 5 | w >> 3 & 31 for w in words]
    return join(pixels, 16), False


def unpack_pixel(h: int) -> int:
    return -(h >> 15 & 1) << 24 | (h >> 10 & 31) << 16 | (h >> 5 & 31) << 8 | h & 31


def permute(a: int, b: int, c: int) -> int:
    source = split(a, 8) + split(b, 8)
    return join([source[n & 31] for n in split(c, 8)], 8)


def shift_octets_left(a: int, b: int) -> int:
    return a << 8 * (b >> 3 & 15)


def shift_octets_right(a: int, b: int) -> int:
    return a >> 8 * (b >> 3 & 15)


# Single-precision lanes.  Results are rounded to nearest, without status (AltiVec 3.2).


def floating(function: Callable[..., int]) -> Operation:
    """Apply `function`, on double images, to single lanes; non-Java mode makes denormals zero."""

    def operate(operands: Sequence[int], vscr: int) -> tuple[int, bool]:
        columns = zip(*(split(v, 32) for v in operands), strict=True)
        flush = _flushed if vscr & NJ else int
        return join(
            [flush(narrow(function(*(widen(flush(x)) for x in column)))) for column in columns], 32
        ), False

    return operate


def _flushed(single: int) -> int:
    return single if single >> 23 & 0xFF else single & 1 << 31


def float_add(a: int, b: int) -> int:
    return softfloat.add(0, a, b, True)[0] or 0


def float_subtract(a: int, b: int) -> int:
    return softfloat.subtract(0, a, b, True)[0] or 0


def float_multiply_add(a: int, b: int, c: int) -> int:
    """a * c + b (vmaddfp's operand order)."""
    return softfloat.multiply_add(0, a, c, b, True, False)[0] or 0


def float_negative_multiply_subtract(a: int, b: int, c: int) -> int:
    """-(a * c - b)."""
    minus_b = b if softfloat.is_nan(b) else b ^ softfloat.SIGN
    return softfloat.multiply_add(0, a, c, minus_b, True, True)[0] or 0


def float_reciprocal(b: int) -> int:
    return softfloat.divide(0, _ONE, b, True)[0] or 0


def float_reciprocal_root(b: int) -> int:
    root = softfloat.square_root(0, b, True)[0] or 0
    return softfloat.divide(0, _ONE, root, True)[0] or 0


_ONE = 0x3FF << 52


def float_power_of_two(b: int) -> int:
    """2^b, an estimate."""
    if softfloat.is_nan(b):
        return b | softfloat.QUIET
    value = _to_float(b)
    if value > 128:
        return softfloat.INFINITY
    if value < -160:
        return 0
    return _single_of(2.0**value)


def float_logarithm(b: int) -> int:
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


def float_maximum(a: int, b: int) -> int:
    return _extreme(a, b, larger=True)


def float_minimum(a: int, b: int) -> int:
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


def from_fixed(signed: bool) -> Operation:
    """Convert words to single, divided by 2 to the second operand."""

    def operate(operands: Sequence[int], vscr: int) -> tuple[int, bool]:
        results = []
        for word in split(operands[0], 32, signed):
            image = softfloat.from_integer(0, word & (1 << 64) - 1)[0] or 0
            image = softfloat.round_to_single(0, image)[0] or 0
            results.append(narrow(image - (operands[1] << 52) if image else 0))
        return join(results, 32), False

    return operate


def to_fixed(signed: bool) -> Operation:
    """Convert single lanes times 2 to the second operand to words, towards zero, saturating; NaN is 0."""

    def operate(operands: Sequence[int], vscr: int) -> tuple[int, bool]:
        numbers = []
        for single in split(operands[0], 32):
            image = widen(_flushed(single) if vscr & NJ else single)
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


def float_comparing(relation: Callable[[int, int], bool]) -> Operation:
    """Make lanes of ones where `relation` of the numbers holds; never with a NaN."""

    def lane(a: int, b: int) -> int:
        if softfloat.is_nan(a) or softfloat.is_nan(b):
            return 0
        return -int(relation(softfloat.ordinal(a), softfloat.ordinal(b)))

    def operate(operands: Sequence[int], vscr: int) -> tuple[int, bool]:
        return join([lane(a, b) for a, b in _pairs(operands, vscr)], 32), False

    return operate


def bounds(operands: Sequence[int], vscr: int) -> tuple[int, bool]:
    """Bit 0 of a lane: not a <= b; bit 1: not a >= -b (vcmpbfp)."""

    def lane(a: int, b: int) -> int:
        if softfloat.is_nan(a) or softfloat.is_nan(b):
            return 3 << 30
        x, y = softfloat.ordinal(a), softfloat.ordinal(b)
        return int(x > y) << 31 | int(x < -y) << 30

    return join([lane(a, b) for a, b in _pairs(operands, vscr)], 32), False


def _pairs(operands: Sequence[int], vscr: int) -> list[tuple[int, int]]:
    """Return the single lanes of two vectors as double images."""
    flush = _flushed if vscr & NJ else int
    a, b = (split(v, 32) for v in operands)
    return [(widen(flush(x)), widen(flush(y))) for x, y in zip(a, b, strict=True)]


def shift_double(a: int, b: int, octets: int) -> int:
    return (a << WIDTH | b) >> WIDTH - 8 * octets
