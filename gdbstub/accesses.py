"""What an instruction is about to load or store: address and length, from its word and the registers.

For watchpoints made of single steps, where nobody but us looks before the instruction runs.  The tables are
the storage access instructions of the Power ISA, Book I and II (fixed-point, floating-point, vector) and
dcbz; what is not in them touches no memory that a program means.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

_M64 = (1 << 64) - 1

# Bytes of a cache block, which dcbz clears (970 user's manual, 3.3).
CACHE_BLOCK = 128


@dataclass(frozen=True, slots=True)
class DataAccess:
    """`length` bytes at `addr`, loaded or stored or, for a reservation's pair, both."""

    addr: int
    length: int
    loads: bool
    stores: bool


# Primary opcode -> (length, is a store) with a 16-bit displacement.
_D_FORM = {
    32: (4, False), 33: (4, False), 34: (1, False), 35: (1, False),
    36: (4, True), 37: (4, True), 38: (1, True), 39: (1, True),
    40: (2, False), 41: (2, False), 42: (2, False), 43: (2, False), 44: (2, True), 45: (2, True),
    48: (4, False), 49: (4, False), 50: (8, False), 51: (8, False),
    52: (4, True), 53: (4, True), 54: (8, True), 55: (8, True),
}  # fmt: skip
_LMW, _STMW, _LD, _STD, _INDEXED = 46, 47, 58, 62, 31

# Extended opcode -> (length, loads, stores), address from two registers.
_X_FORM = {
    **{xo: (1, True, False) for xo in (87, 119, 7)},
    **{xo: (2, True, False) for xo in (279, 311, 343, 375, 790, 39)},
    **{xo: (4, True, False) for xo in (23, 55, 341, 373, 534, 535, 567, 71)},
    **{xo: (8, True, False) for xo in (21, 53, 532, 599, 631)},
    **{xo: (16, True, False) for xo in (103, 359)},
    **{xo: (1, False, True) for xo in (215, 247, 135)},
    **{xo: (2, False, True) for xo in (407, 439, 918, 167)},
    **{xo: (4, False, True) for xo in (151, 183, 662, 663, 695, 983, 199)},
    **{xo: (8, False, True) for xo in (149, 181, 660, 727, 759)},
    **{xo: (16, False, True) for xo in (231, 487)},
    # The beginning of a unit stands for all of it: the store is to the same place.
    20: (4, True, True), 84: (8, True, True), 52: (1, True, True), 116: (2, True, True),
    150: (4, False, True), 214: (8, False, True), 694: (1, False, True), 726: (2, False, True),
    1014: (CACHE_BLOCK, False, True),
}  # fmt: skip
# These ignore the low bits of the address: vectors as wide as what they move, dcbz a block.
_ALIGNED = frozenset({7, 39, 71, 103, 359, 135, 167, 199, 231, 487, 1014})
_LSWI, _STSWI, _LSWX, _STSWX = 597, 725, 533, 661


def loads_several(word: int) -> bool:
    """True for an instruction that loads more than one general register: lmw, lswi, lswx."""
    return word >> 26 == _LMW or (word >> 26 == _INDEXED and word >> 1 & 0x3FF in (_LSWI, _LSWX))


def data_access(word: int, register: Callable[[str], int]) -> DataAccess | None:
    """Return what the instruction `word` will touch; `register` gives a register's value by name.

    Addresses are of 64-bit mode, in which kernels run.
    """
    primary, ra, rb = word >> 26, word >> 16 & 31, word >> 11 & 31

    def base() -> int:
        return register(f"r{ra}") if ra else 0

    def at(displacement: int) -> int:
        return base() + displacement & _M64

    displacement = (word & 0xFFFF ^ 0x8000) - 0x8000
    if primary in _D_FORM:
        length, stores = _D_FORM[primary]
        return DataAccess(at(displacement), length, not stores, stores)
    if primary in (_LMW, _STMW):
        length = 4 * (32 - (word >> 21 & 31))
        return DataAccess(at(displacement), length, primary == _LMW, primary == _STMW)
    if primary == _LD:
        return DataAccess(at(displacement & ~3), 4 if word & 3 == 2 else 8, True, False)
    if primary == _STD:
        return DataAccess(at(displacement & ~3), 8, False, True)
    if primary != _INDEXED:
        return None
    extended = word >> 1 & 0x3FF
    if extended in (_LSWI, _STSWI):
        return DataAccess(at(0), rb or 32, extended == _LSWI, extended == _STSWI)
    if extended in (_LSWX, _STSWX):
        count = register("xer") & 0x7F
        place = at(register(f"r{rb}"))
        return DataAccess(place, count, extended == _LSWX, extended == _STSWX) if count else None
    if extended not in _X_FORM:
        return None
    length, loads, stores = _X_FORM[extended]
    addr = at(register(f"r{rb}"))
    return DataAccess(addr & -length if extended in _ALIGNED else addr, length, loads, stores)
