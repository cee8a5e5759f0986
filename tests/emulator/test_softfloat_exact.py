"""Floating-point results and their FPSCR against exact fractions: FR above all, which QEMU never sets.

The judge knows nothing of images but their values.  It rounds the exact result as Book I 4.3.6 and 4.4 say
and tells what FI, FR, XX, UX and OX have to be.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction
from math import isqrt

import pytest

from emulator.isa import fpscr, softfloat

NEAREST, ZERO, UP, DOWN = range(4)
#: Binary digits of a square root that are looked at; what lies below is only told from zero.
ROOT_DIGITS = 1200


def value(image: int) -> Fraction:
    mantissa, exponent = softfloat.split(image)
    number = mantissa * Fraction(2) ** exponent
    return -number if image >> 63 else number


def root(number: Fraction) -> Fraction:
    """Return a number on the same side of every rounding boundary as the square root."""
    near = Fraction(isqrt((number.numerator << 2 * ROOT_DIGITS) // number.denominator), 1 << ROOT_DIGITS)
    return near if near * near == number else near + Fraction(1, 1 << ROOT_DIGITS + 3)


def rounded(exact: Fraction, mode: int, single: bool) -> tuple[Fraction, int]:
    """Return the rounded number and the bits of FPSCR; an overflowing one as if exponents had no end."""
    precision, lowest, highest = (24, -126, 127) if single else (53, -1022, 1023)
    size = abs(exact)
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    exponent -= Fraction(2) ** exponent > size
    unit = Fraction(2) ** (max(exponent, lowest) - precision + 1)
    units = size // unit
    rest = size / unit - units
    half = Fraction(1, 2)
    away = {
        NEAREST: rest > half or (rest == half and units % 2 == 1),
        ZERO: False,
        UP: rest > 0 and exact > 0,
        DOWN: rest > 0 and exact < 0,
    }[mode]
    result = (units + away) * unit
    if result >= Fraction(2) ** (highest + 1):
        return result, fpscr.OX | fpscr.XX | fpscr.FI
    bits = fpscr.XX | fpscr.FI if rest else 0
    bits |= fpscr.FR if away else 0
    bits |= fpscr.UX if rest and exponent < lowest else 0
    return (result if exact > 0 else -result), bits


def operand(rng: random.Random, single: bool) -> int:
    """Return a finite number's image, often near a boundary of the format."""
    if single:
        exponent = rng.choice([rng.randrange(874, 1151), rng.randrange(1018, 1030), 1150, 897])
        fraction = rng.choice([rng.getrandbits(23), 0, (1 << 23) - 1, rng.getrandbits(3)]) << 29
    else:
        exponent = rng.choice([rng.randrange(2047), rng.randrange(1015, 1032), rng.randrange(4), 2046])
        fraction = rng.choice([rng.getrandbits(52), 0, (1 << 52) - 1, rng.getrandbits(3)])
    return rng.getrandbits(1) << 63 | exponent << 52 | fraction


SIGN = 1 << 63
#: Name -> (the operation on images, the exact one on their values).
OPERATIONS: dict[str, tuple[Callable[..., softfloat.Outcome], Callable[..., Fraction]]] = {
    "add": (lambda mode, a, b, c, single: softfloat.add(mode, a, b, single), lambda a, b, c: a + b),
    "subtract": (lambda mode, a, b, c, single: softfloat.subtract(mode, a, b, single), lambda a, b, c: a - b),
    "multiply": (lambda mode, a, b, c, single: softfloat.multiply(mode, a, b, single), lambda a, b, c: a * b),
    "divide": (
        lambda mode, a, b, c, single: softfloat.divide(mode, a, b, single),
        lambda a, b, c: a / b if b else Fraction(0),
    ),
    "multiply_add": (
        lambda mode, a, b, c, single: softfloat.multiply_add(mode, a, c, b, single, False),
        lambda a, b, c: a * c + b,
    ),
    "square_root": (
        lambda mode, a, b, c, single: softfloat.square_root(mode, a & ~SIGN, single),
        lambda a, b, c: root(abs(a)),
    ),
}


@pytest.mark.parametrize("single", [False, True], ids=["double", "single"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_results_and_status_are_those_of_exact_arithmetic(name: str, single: bool) -> None:
    operate, compute = OPERATIONS[name]
    rng = random.Random(name)
    watched = fpscr.OX | fpscr.UX | fpscr.XX | fpscr.FI | fpscr.FR
    compared = 0
    while compared < 400:
        mode = rng.randrange(4)
        images = [operand(rng, single) for _ in range(3)]
        exact = compute(*map(value, images))
        if not exact:
            continue
        compared += 1
        expected, bits = rounded(exact, mode, single)
        image, status = operate(mode, *images, single)
        case = name, mode, [f"{image:x}" for image in images]
        assert image is not None
        if bits & fpscr.OX:
            # The manual leaves FR undefined.
            assert status & watched & ~fpscr.FR == bits, case
        else:
            assert (value(image), status & watched) == (expected, bits), case
            assert image >> 63 == (exact < 0), case
