"""Pure functions on plain ints: sign extension, rotation, and the masks of the rotate instructions.

Bit 0 is the most significant one, as in the manuals.
"""

from __future__ import annotations

MASK64 = (1 << 64) - 1


def sign_extend(value: int, bits: int) -> int:
    """Return the low `bits` of `value` as a signed number."""
    sign = 1 << (bits - 1)
    return (value & (1 << bits) - 1 ^ sign) - sign


def mask64(first: int, last: int) -> int:
    """Return the 64-bit mask of ones from bit `first` to bit `last`, wrapping round if first > last."""
    if first > last:
        return MASK64 ^ mask64(last + 1, first - 1) if last + 1 < first else MASK64
    return (MASK64 >> first) & (MASK64 << (63 - last)) & MASK64


def mask32(first: int, last: int) -> int:
    """Return MASK(first+32, last+32) of rlwinm; if it wraps it fills the high half (Book I 3.3.12)."""
    return mask64(first + 32, last + 32)


def rotate_left(value: int, amount: int, bits: int) -> int:
    """Rotate the low `bits` of `value` left by `amount` (0 <= amount < bits)."""
    mask = (1 << bits) - 1
    value &= mask
    return (value << amount | value >> (bits - amount)) & mask
