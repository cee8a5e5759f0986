"""What a fixed-point instruction leaves besides its result: CR0, OV and SO (Book I 3.1.1).

CA, OV, SO and the CR fields are state words of their own.  In 32-bit mode (MSR[SF] = 0) carry, overflow and
the comparison of a result with zero look at the low 32 bits; results are 64 bits wide all the same.
"""

from __future__ import annotations

from emulator.isa.builder import Builder, Gpr
from emulator.isa.values import Value


def compare(t: Builder, a: Value, b: Value | int, *, signed: bool) -> Value:
    """Return the CR field of a comparison: LT, GT or EQ, and SO."""
    is_less = a.less(b) if signed else a.below(b)
    return t.select(is_less, 8, t.select(a.equals(b), 2, t.constant(4))) | t.get("so")


def _record(t: Builder, result: Value) -> None:
    """Set CR0 from a signed comparison of `result` with zero (Book I 3.1.1)."""
    t.put("cr", compare(t, result if t.is64 else result.sext(32), 0, signed=True))


def _set_overflow(t: Builder, overflow: Value) -> None:
    """Set OV, and SO with it."""
    word = overflow.as_word()
    t.put("ov", word)
    t.put("so", t.get("so") | word)


def finish(t: Builder, rt: Gpr, result: Value, rc: int, overflow: Value | None = None) -> None:
    """Put `result` into RT, with CR0 if Rc is set and OV and SO if there is an `overflow`."""
    if overflow is not None:
        _set_overflow(t, overflow)
    t.set_gpr(rt, result)
    if rc:
        _record(t, result)
