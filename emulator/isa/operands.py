"""From the fields of an encoding to the operands of an effect.

`KINDS` says what each field name means; it is the only place that does.  Whatever depends on the encoding
alone is finished here, at decode time: register numbers become state-word indexes, immediates are extended
and shifted, small flags become known ints that select a variant of the effect.

A decoded instruction carries at most `MAX_SLOTS` numbers of 16 bits and one immediate of 64; the native
engine's record is laid out for exactly that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from emulator.cpu.state import INDEX
from emulator.isa.bits import MASK64, sign_extend

MAX_SLOTS = 4


class Role(Enum):
    """How an operand reaches the effect."""

    KNOWN = auto()  # a Python int; each value is a form of its own
    PLACE = auto()  # a Slot: the index of a state word
    SMALL = auto()  # a Value below 2^16
    IMMEDIATE = auto()  # a Value of 64 bits
    TARGET = auto()  # a Value of 64 bits: the displacement or address of a direct branch


@dataclass(frozen=True, slots=True)
class Kind:
    """The role of an operand, and what its number becomes; `domain`: what a known int can be."""

    role: Role
    finish: Callable[[int], int]
    domain: tuple[int, ...] = ()


def _same(number: int) -> int:
    return number


def _place(first: int, step: int = 1) -> Kind:
    return Kind(Role.PLACE, lambda number: first + step * number)


def _gpr_or_zero(number: int) -> int:
    return INDEX["gpr"] + number if number else INDEX["zero"]


def _signed(bits: int, shift: int = 0) -> Callable[[int], int]:
    return lambda number: sign_extend(number, bits) << shift & MASK64


def _cr_bit(number: int) -> int:
    """Pack a CR bit as word index * 4 + shift: the two things needed to reach it."""
    return (INDEX["cr"] + number // 4) << 2 | 3 - number % 4


def _known(*domain: int) -> Kind:
    return Kind(Role.KNOWN, _same, domain)


_SMALL = Kind(Role.SMALL, _same)
_GPR = _place(INDEX["gpr"])
_FPR = _place(INDEX["fpr"])
_VR = _place(INDEX["vr"], 2)
_CR_FIELD = _place(INDEX["cr"])
_CR_BIT = Kind(Role.PLACE, _cr_bit)

KINDS: dict[str, Kind] = {
    **dict.fromkeys(("rt", "rs", "ra", "rb"), _GPR),
    "ra0": Kind(Role.PLACE, _gpr_or_zero),
    **dict.fromkeys(("frt", "frs", "fra", "frb", "frc"), _FPR),
    **dict.fromkeys(("vrt", "vrs", "vra", "vrb", "vrc"), _VR),
    **dict.fromkeys(("bf", "bfa"), _CR_FIELD),
    **dict.fromkeys(("bt", "ba", "bb", "bi"), _CR_BIT),
    "word": Kind(Role.PLACE, _same),
    # Immediates, extended and shifted as Book I 1.7 says.
    "si": Kind(Role.IMMEDIATE, _signed(16)),
    "si_high": Kind(Role.IMMEDIATE, _signed(16, 16)),
    "ui": Kind(Role.IMMEDIATE, _same),
    "ui_high": Kind(Role.IMMEDIATE, lambda number: number << 16),
    "d": Kind(Role.IMMEDIATE, _signed(16)),
    "ds": Kind(Role.IMMEDIATE, _signed(14, 2)),
    "mask": Kind(Role.IMMEDIATE, _same),
    "simm": Kind(Role.IMMEDIATE, _signed(5)),
    "bd": Kind(Role.TARGET, _signed(14, 2)),
    "li": Kind(Role.TARGET, _signed(24, 2)),
    # Numbers the effect uses as they are.
    **dict.fromkeys(
        (
            "sh",
            "mb",
            "nb",
            "to",
            "fxm",
            "flm",
            "u",
            "uim",
            "shb",
            "number",
            "position",
            "lev",
            "rtn",
            "ran",
            "rbn",
        ),
        _SMALL,
    ),
    # Each value is a form of its own.
    **dict.fromkeys(("rc", "oe", "lk", "wide", "idle"), _known(0, 1)),
    "how": _known(0, 1, 2, 3, 4, 5),
    # BO without its hints (isa/branch).
    "bo": _known(0b00000, 0b00010, 0b00100, 0b01000, 0b01010, 0b01100, 0b10000, 0b10010, 0b10100),
}
