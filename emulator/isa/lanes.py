"""What the vector instructions compute: functions built from a few ways to treat lanes.

A vector is one int, and lane 0 is the most significant one.  While an engine that prints vector operations
records an effect, a vector is a `Value` instead and its lanes are `Wide`, and the same functions describe the
same computation: here is what the two have in common.  What only ints can do is left out of a recording (the
result is None), and where ints do better than the host's floating point the outcome says so (`unfit`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from emulator.isa import wide
from emulator.isa.bits import sign_extend
from emulator.isa.values import Value
from emulator.isa.wide import WIDTH, Wide

Vector = int | Value
#: One number for each lane.
Lanes = list[int] | Wide
#: On the numbers of a lane: ints, or all lanes at once as Wide.
Lane = Callable[..., Any]
#: VSCR: saturation, and non-Java mode (denormals are zero).
SAT = 1
NJ = 1 << 16


class Outcome(NamedTuple):
    """A result, whether a lane was saturated, and (recorded) when only Python can compute it."""

    vector: Any
    saturated: bool | Value = False
    unfit: Value | None = None


#: (operands, VSCR) -> outcome; None when recorded: not on the host.
Operation = Callable[[Sequence[Any], Any], Outcome | None]


def split(vector: Vector, bits: int, signed: bool = False, room: int = 0) -> Lanes:
    """Return the lanes of a vector; `room`: how many bits are enough for what is done with each."""
    if isinstance(vector, Value):
        return wide.split(vector, bits, signed, room or 2 * bits)
    mask = (1 << bits) - 1
    lanes = [vector >> shift & mask for shift in range(WIDTH - bits, -1, -bits)]
    return [sign_extend(lane, bits) for lane in lanes] if signed else lanes


def join(lanes: Lanes, bits: int) -> Vector:
    """Return the vector of `lanes`, each cut to `bits`."""
    if isinstance(lanes, Wide):
        return lanes.join(bits)
    vector, mask = 0, (1 << bits) - 1
    for lane in lanes:
        vector = vector << bits | lane & mask
    return vector


def each(lane: Lane, *columns: Lanes) -> Lanes:
    """Apply `lane` to the lanes of all columns."""
    if any(isinstance(column, Wide) for column in columns):
        result: Wide = lane(*columns)
        return result
    return [lane(*numbers) for numbers in zip(*columns, strict=True)]


def pick(numbers: Sequence[int], a: Lanes, b: Lanes | None = None) -> Lanes:
    """Return lanes of `a`, and of `b` counted after them, by number."""
    b = a if b is None else b
    if isinstance(a, Wide):
        assert isinstance(b, Wide)
        return a.pick(b, numbers)
    assert isinstance(b, list)
    return [(a + b)[number] for number in numbers]


def fill(number: Vector, bits: int, room: int = 0) -> Lanes:
    """Return a number in every lane of `bits` bits."""
    if isinstance(number, Value):
        return wide.fill(number, room or bits, WIDTH // bits)
    return [number] * (WIDTH // bits)


def choose(condition: Any, yes: Any, no: Any) -> Any:
    """Return `yes` if the condition holds, else `no`."""
    return condition.choose(yes, no) if isinstance(condition, Wide) else yes if condition else no


def clamp(value: Any, bits: int, signed: bool) -> Any:
    """Return the number of the format nearest to `value`."""
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    return choose(value < low, low, choose(value > high, high, value))


def saturated(lanes: Lanes, bits: int, signed: bool) -> Outcome:
    """Join `lanes`, each clamped; tell whether one had to be."""
    clamped = each(lambda lane: clamp(lane, bits, signed), lanes)
    if isinstance(clamped, Wide):
        assert isinstance(lanes, Wide)
        return Outcome(join(clamped, bits), (clamped != lanes).any())
    return Outcome(join(clamped, bits), clamped != lanes)


# Ways to treat lanes.


def modulo(bits: int, lane: Lane, signed: bool = False) -> Operation:
    """Apply `lane` to the lanes of all operands; results wrap."""
    return lambda operands, vscr: Outcome(join(each(lane, *(split(v, bits, signed) for v in operands)), bits))


def saturating(bits: int, lane: Lane, signed: bool) -> Operation:
    """Apply `lane` to the lanes of all operands; results are clamped."""
    return lambda operands, vscr: saturated(
        each(lane, *(split(v, bits, signed) for v in operands)), bits, signed
    )


def bitwise(function: Lane) -> Operation:
    """Apply `function` to the bits, in lanes of whatever width."""
    return modulo(32, function)


def whole(function: Lane) -> Operation:
    """Apply `function` to the vectors themselves, and to numbers."""

    def operate(operands: Sequence[Any], vscr: Any) -> Outcome:
        if not isinstance(operands[0], Value):
            return Outcome(function(*operands) & (1 << WIDTH) - 1)
        columns = [
            split(operand, WIDTH) if operand.lanes else wide.fill(operand, 2 * WIDTH, 0)
            for operand in operands
        ]
        return Outcome(join(function(*columns), WIDTH))

    return operate


def comparing(bits: int, relation: Lane, signed: bool = False) -> Operation:
    """Make lanes of ones where `relation` holds."""
    return modulo(bits, lambda a, b: choose(relation(a, b), -1, 0), signed)


def multiplying(bits: int, first: int, signed: bool) -> Operation:
    """Multiply every second lane, from `first` on, into lanes of twice the width."""
    chosen = range(first, WIDTH // bits, 2)
    return lambda operands, vscr: Outcome(
        join(each(_product, *(pick(chosen, split(v, bits, signed)) for v in operands)), 2 * bits)
    )


def _product(a: Any, b: Any) -> Any:
    return a * b


def _sum(a: Any, b: Any) -> Any:
    return a + b


def summing(bits: int, signs: tuple[bool, bool], accumulate_signed: bool, clamped: bool) -> Operation:
    """Add the products of the lanes in each word of a and b to the word of c."""
    count, lanes, room = 32 // bits, WIDTH // bits, 64 if clamped else 32

    def operate(operands: Sequence[Any], vscr: Any) -> Outcome:
        a, b = (split(v, bits, sign, room) for v, sign in zip(operands, signs, strict=False))
        sums, products = split(operands[2], 32, accumulate_signed, room), each(_product, a, b)
        for first in range(count):
            sums = each(_sum, sums, pick(range(first, lanes, count), products))
        return saturated(sums, 32, accumulate_signed) if clamped else Outcome(join(sums, 32))

    return operate


def sum_across(bits: int, signed: bool, words: int) -> Operation:
    """Add the lanes of a in each group of `words` words to the last word of that group of b, saturating."""
    count, groups = words * 32 // bits, 4 // words
    lasts = [words * group + words - 1 for group in range(groups)]
    # The sums where they belong, and elsewhere one of the zeros behind them.
    places = [lasts.index(word) if word in lasts else groups for word in range(4)]

    def operate(operands: Sequence[Any], vscr: Any) -> Outcome:
        a, b = split(operands[0], bits, signed, 64), split(operands[1], 32, signed, 64)
        sums = pick(lasts, b)
        for first in range(count):
            sums = each(_sum, sums, pick(range(first, WIDTH // bits, count), a))
        zeros = each(lambda lane: lane * 0, sums)
        return saturated(pick(places, sums, zeros), 32, signed)

    return operate


def packing(bits: int, from_signed: bool, to_signed: bool, clamped: bool) -> Operation:
    """Narrow the lanes of a, then b, to half their width."""

    def operate(operands: Sequence[Any], vscr: Any) -> Outcome:
        lanes = _all_lanes(operands, bits, from_signed)
        return saturated(lanes, bits // 2, to_signed) if clamped else Outcome(join(lanes, bits // 2))

    return operate


def _all_lanes(operands: Sequence[Any], bits: int, signed: bool) -> Lanes:
    """Return the lanes of two vectors, one after the other."""
    return pick(range(2 * WIDTH // bits), *(split(v, bits, signed) for v in operands))


def unpacking(bits: int, high: bool, lane: Lane) -> Operation:
    """Widen the lanes of one half to twice their width."""
    half = WIDTH // bits // 2
    chosen = range(half) if high else range(half, 2 * half)
    return lambda operands, vscr: Outcome(
        join(each(lane, pick(chosen, split(operands[0], bits, True))), 2 * bits)
    )


def merging(bits: int, high: bool) -> Operation:
    """Interleave the lanes of one half of a and b."""
    count = WIDTH // bits
    half = range(count // 2) if high else range(count // 2, count)
    chosen = [number for lane in half for number in (lane, count + lane)]
    return lambda operands, vscr: Outcome(
        join(pick(chosen, *(split(v, bits, room=bits) for v in operands)), bits)
    )


def splat(bits: int) -> Operation:
    """Copy lane number (second operand) of the first to all lanes."""

    def operate(operands: Sequence[Any], vscr: Any) -> Outcome:
        lanes, number = split(operands[0], bits, room=bits), operands[1]
        if isinstance(lanes, Wide):
            return Outcome(join(lanes.copy_lane(number), bits))
        return Outcome(join(fill(lanes[number % len(lanes)], bits), bits))

    return operate


def splat_immediate(bits: int) -> Operation:
    """Copy a signed 5-bit number to all lanes."""
    return lambda operands, vscr: Outcome(join(fill((operands[0] ^ 16) - 16, bits), bits))


# Lanes that need more than an expression.


def rotate(bits: int) -> Lane:
    return lambda a, b: a << b % bits | a >> bits - b % bits


def pack_pixel(operands: Sequence[Any], vscr: Any) -> Outcome:
    """1/5/5/5 bits of each word (vpkpx)."""

    def pixel(w: Any) -> Any:
        return (w >> 24 & 1) << 15 | (w >> 19 & 31) << 10 | (w >> 11 & 31) << 5 | w >> 3 & 31

    return Outcome(join(each(pixel, _all_lanes(operands, 32, False)), 16))


def unpack_pixel(h: Any) -> Any:
    return -(h >> 15 & 1) << 24 | (h >> 10 & 31) << 16 | (h >> 5 & 31) << 8 | h & 31


def permute(operands: Sequence[Any], vscr: Any) -> Outcome:
    """Each byte of c chooses one of the 32 of a and b (vperm)."""
    a, b, c = operands
    if isinstance(a, Value):
        return Outcome(wide.permute(a, b, c))
    chosen = split(c, 8)
    assert isinstance(chosen, list)
    return Outcome(join(pick([number & 31 for number in chosen], split(a, 8), split(b, 8)), 8))


def shift_octets_left(a: Any, b: Any) -> Any:
    return a << 8 * (b >> 3 & 15)


def shift_octets_right(a: Any, b: Any) -> Any:
    return a >> 8 * (b >> 3 & 15)


def shift_double(a: Any, b: Any, octets: Any) -> Any:
    return (a << WIDTH | b) >> WIDTH - 8 * octets
