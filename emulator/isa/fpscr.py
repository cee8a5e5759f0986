"""The floating-point status and control register (Book I 4.2.2).

FEX and VX are summaries of other bits; `settle` recomputes them, and every writer goes through it.
"""

from __future__ import annotations

FX = 1 << 31
FEX = 1 << 30
VX = 1 << 29
OX = 1 << 28
UX = 1 << 27
ZX = 1 << 26
XX = 1 << 25
VXSNAN = 1 << 24
VXISI = 1 << 23
VXIDI = 1 << 22
VXZDZ = 1 << 21
VXIMZ = 1 << 20
VXVC = 1 << 19
FR = 1 << 18
FI = 1 << 17
FPRF = 0x1F << 12
FPCC = 0xF << 12
VXSOFT = 1 << 10
VXSQRT = 1 << 9
VXCVI = 1 << 8
VE = 1 << 7
OE = 1 << 6
UE = 1 << 5
ZE = 1 << 4
XE = 1 << 3
NI = 1 << 2
RN = 3

_RESERVED = 1 << 11
#: Bits that are not made of others.
STORED = 0xFFFF_FFFF & ~(FEX | VX | _RESERVED)
ENABLES = VE | OE | UE | ZE | XE
#: VX OX UX ZX XX and VE OE UE ZE XE stand in the same order, so far apart.
ENABLE_DISTANCE = 22

#: The invalid-operation causes that VX summarizes.
INVALID = VXSNAN | VXISI | VXIDI | VXZDZ | VXIMZ | VXVC | VXSOFT | VXSQRT | VXCVI
#: Bits that set FX when they go from 0 to 1.
EXCEPTIONS = INVALID | OX | UX | ZX | XX

# FPRF: class and FPCC of a result (Book I figure 34).
CLASS_QNAN = 0b10001
CLASS_INFINITY = 0b00101
CLASS_NORMAL = 0b00100
CLASS_DENORMAL = 0b10100
CLASS_ZERO = 0b00010
CLASS_NEGATIVE_INFINITY = 0b01001
CLASS_NEGATIVE_NORMAL = 0b01000
CLASS_NEGATIVE_DENORMAL = 0b11000
CLASS_NEGATIVE_ZERO = 0b10010


def settle(value: int) -> int:
    """Return `value` with FEX and VX as its other bits say, and without the reserved bit."""
    value &= STORED
    if value & INVALID:
        value |= VX
    if value >> ENABLE_DISTANCE & value & ENABLES:
        value |= FEX
    return value


def raise_bits(value: int, bits: int) -> int:
    """Return `value` with exception `bits` set; FX too if one of them was not."""
    if bits & ~value & EXCEPTIONS:
        value |= FX
    return settle(value | bits)
