"""Logic, rotates and shifts, and moves to and from the condition register (Book I 3.3.11-3.3.13)."""

from __future__ import annotations

from emulator.isa.bits import mask32, mask64
from emulator.isa.builder import Builder, CrField, Gpr
from emulator.isa.decode import insn
from emulator.isa.results import finish
from emulator.isa.values import Value

# 3.3.11 Logic.


def _upper(ui: int) -> dict[str, int]:
    return {"ui_high": ui}


@insn("011100 rs:5 ra:5 ui:16")
def andi_(t: Builder, ra: Gpr, rs: Gpr, ui: Value) -> None:
    """AND Immediate. Book I 3.3.11."""
    finish(t, ra, t.gpr(rs) & ui, 1)


@insn("011101 rs:5 ra:5 ui:16", operands=_upper)
def andis_(t: Builder, ra: Gpr, rs: Gpr, ui_high: Value) -> None:
    """AND Immediate Shifted. Book I 3.3.11."""
    finish(t, ra, t.gpr(rs) & ui_high, 1)


@insn("011000 rs:5 ra:5 ui:16")
def ori(t: Builder, ra: Gpr, rs: Gpr, ui: Value) -> None:
    """OR Immediate. Book I 3.3.11."""
    t.set_gpr(ra, t.gpr(rs) | ui)


@insn("01100000000000000000000000000000", special=True)
def nop(t: Builder) -> None:
    """No-op: the preferred form, ori 0,0,0. Book I 3.3.11."""


@insn("011001 rs:5 ra:5 ui:16", operands=_upper)
def oris(t: Builder, ra: Gpr, rs: Gpr, ui_high: Value) -> None:
    """OR Immediate Shifted. Book I 3.3.11."""
    t.set_gpr(ra, t.gpr(rs) | ui_high)


@insn("011010 rs:5 ra:5 ui:16")
def xori(t: Builder, ra: Gpr, rs: Gpr, ui: Value) -> None:
    """XOR Immediate. Book I 3.3.11."""
    t.set_gpr(ra, t.gpr(rs) ^ ui)


@insn("011011 rs:5 ra:5 ui:16", operands=_upper)
def xoris(t: Builder, ra: Gpr, rs: Gpr, ui_high: Value) -> None:
    """XOR Immediate Shifted. Book I 3.3.11."""
    t.set_gpr(ra, t.gpr(rs) ^ ui_high)


@insn("011111 rs:5 ra:5 rb:5 0000011100 rc:1")
def and_(t: Builder, ra: Gpr, rs: Gpr, rb: Gpr, rc: int) -> None:
    """AND. Book I 3.3.11."""
    finish(t, ra, t.gpr(rs) & t.gpr(rb), rc)


@insn("011111 rs:5 ra:5 rb:5 0110111100 rc:1")
def or_(t: Builder, ra: Gpr, rs: Gpr, rb: Gpr, rc: int) -> None:
    """OR. Book I 3.3.11."""
    finish(t, ra, t.gpr(rs) | t.gpr(rb), rc)


@insn("011111 rs:5 ra:5 rb:5 0100111100 rc:1")
def xor(t: Builder, ra: Gpr, rs: Gpr, rb: Gpr, rc: int) -> None:
    """XOR. Book I 3.3.11."""
    finish(t, ra, t.gpr(rs) ^ t.gpr(rb), rc)


@insn("011111 rs:5 ra:5 rb:5 0111011100 rc:1")
def nand(t: Builder, ra: Gpr, rs: Gpr, rb: Gpr, rc: int) -> None:
    """NAND. Book I 3.3.11."""
    finish(t, ra, ~(t.gpr(rs) & t.gpr(rb)), rc)


@insn("011111 rs:5 ra:5 rb:5 0001111100 rc:1")
def nor(t: Builder, ra: Gpr, rs: Gpr, rb: Gpr, rc: int) -> None:
    """NOR. Book I 3.3.11."""
    finish(t, ra, ~(t.gpr(rs) | t.gpr(rb)), rc)


@insn("011111 rs:5 ra:5 rb:5 0100011100 rc:1")
def eqv(t: Builder, ra: Gpr, rs: Gpr, rb: Gpr, rc: int) -> None:
    """Equivalent. Book I 3.3.11."""
    finish(t, ra, ~(t.gpr(rs) ^ t.gpr(rb)), rc)


@insn("011111 rs:5 ra:5 rb:5 0000111100 rc:1")
def andc(t: Builder, ra: Gpr, rs: Gpr, rb: Gpr, rc: int) -> None:
    """AND with Complement. Book I 3.3.11."""
    finish(t, ra, t.gpr(rs) & ~t.gpr(rb), rc)


@insn("011111 rs:5 ra:5 rb:5 0110011100 rc:1")
def orc(t: Builder, ra: Gpr, rs: Gpr, rb: Gpr, rc: int) -> None:
    """OR with Complement. Book I 3.3.11."""
    finish(t, ra, t.gpr(rs) | ~t.gpr(rb), rc)


@insn("011111 rs:5 ra:5 -:5 1110111010 rc:1")
def extsb(t: Builder, ra: Gpr, rs: Gpr, rc: int) -> None:
    """Extend Sign Byte. Book I 3.3.11."""
    finish(t, ra, t.gpr(rs).sext(8), rc)


@insn("011111 rs:5 ra:5 -:5 1110011010 rc:1")
def extsh(t: Builder, ra: Gpr, rs: Gpr, rc: int) -> None:
    """Extend Sign Halfword. Book I 3.3.11."""
    finish(t, ra, t.gpr(rs).sext(16), rc)


@insn("011111 rs:5 ra:5 -:5 1111011010 rc:1")
def extsw(t: Builder, ra: Gpr, rs: Gpr, rc: int) -> None:
    """Extend Sign Word. Book I 3.3.11."""
    finish(t, ra, t.gpr(rs).sext(32), rc)


@insn("011111 rs:5 ra:5 -:5 0000111010 rc:1")
def cntlzd(t: Builder, ra: Gpr, rs: Gpr, rc: int) -> None:
    """Count Leading Zeros Doubleword. Book I 3.3.11."""
    finish(t, ra, t.gpr(rs).count_leading_zeros(), rc)


@insn("011111 rs:5 ra:5 -:5 0000011010 rc:1")
def cntlzw(t: Builder, ra: Gpr, rs: Gpr, rc: int) -> None:
    """Count Leading Zeros Word. Book I 3.3.11."""
    finish(t, ra, t.gpr(rs).zext(32).count_leading_zeros() - 32, rc)


# 3.3.12 Rotate and shift.


def _mask_word(sh: int, mb: int, me: int) -> dict[str, int]:
    return {"sh": sh, "mask": mask32(mb, me)}


def _mask_word_only(mb: int, me: int) -> dict[str, int]:
    return {"mask": mask32(mb, me)}


def _six(number: int) -> int:
    """Put a six-bit field together: its high-order bit is the last one of the encoding."""
    return number >> 1 | (number & 1) << 5


def _clear_left(sh: int, mb: int) -> dict[str, int]:
    return {"sh": _six(sh), "mask": mask64(_six(mb), 63)}


def _clear_right(sh: int, mb: int) -> dict[str, int]:
    return {"sh": _six(sh), "mask": mask64(0, _six(mb))}


def _clear_both(sh: int, mb: int) -> dict[str, int]:
    return {"sh": _six(sh), "mask": mask64(_six(mb), 63 - _six(sh))}


def _left_mask(mb: int) -> dict[str, int]:
    return {"mask": mask64(_six(mb), 63)}


def _right_mask(mb: int) -> dict[str, int]:
    return {"mask": mask64(0, _six(mb))}


def _shift_six(sh: int) -> dict[str, int]:
    return {"sh": _six(sh)}


def _rotate_word(value: Value, amount: Value) -> Value:
    """ROTL32: the low word twice, rotated as a doubleword (Book I 3.3.12)."""
    low = value.zext(32)
    return (low | low << 32).rotate(amount)


def _insert(t: Builder, ra: Gpr, rotated: Value, mask: Value, rc: int) -> None:
    finish(t, ra, rotated & mask | t.gpr(ra) & ~mask, rc)


@insn("011110 rs:5 ra:5 sh:5 mb:6 000 sh:1 rc:1", operands=_clear_left)
def rldicl(t: Builder, ra: Gpr, rs: Gpr, sh: Value, mask: Value, rc: int) -> None:
    """Rotate Left Doubleword Immediate then Clear Left. Book I 3.3.12."""
    finish(t, ra, t.gpr(rs).rotate(sh) & mask, rc)


@insn("011110 rs:5 ra:5 sh:5 mb:6 001 sh:1 rc:1", operands=_clear_right)
def rldicr(t: Builder, ra: Gpr, rs: Gpr, sh: Value, mask: Value, rc: int) -> None:
    """Rotate Left Doubleword Immediate then Clear Right. Book I 3.3.12."""
    finish(t, ra, t.gpr(rs).rotate(sh) & mask, rc)


@insn("011110 rs:5 ra:5 sh:5 mb:6 010 sh:1 rc:1", operands=_clear_both)
def rldic(t: Builder, ra: Gpr, rs: Gpr, sh: Value, mask: Value, rc: int) -> None:
    """Rotate Left Doubleword Immediate then Clear. Book I 3.3.12."""
    finish(t, ra, t.gpr(rs).rotate(sh) & mask, rc)


@insn("011110 rs:5 ra:5 sh:5 mb:6 011 sh:1 rc:1", operands=_clear_both)
def rldimi(t: Builder, ra: Gpr, rs: Gpr, sh: Value, mask: Value, rc: int) -> None:
    """Rotate Left Doubleword Immediate then Mask Insert. Book I 3.3.12."""
    _insert(t, ra, t.gpr(rs).rotate(sh), mask, rc)


@insn("011110 rs:5 ra:5 rb:5 mb:6 1000 rc:1", operands=_left_mask)
def rldcl(t: Builder, ra: Gpr, rs: Gpr, rb: Gpr, mask: Value, rc: int) -> None:
    """Rotate Left Doubleword then Clear Left. Book I 3.3.12."""
    finish(t, ra, t.gpr(rs).rotate(t.gpr(rb).zext(6)) & mask, rc)


@insn("011110 rs:5 ra:5 rb:5 mb:6 1001 rc:1", operands=_right_mask)
def rldcr(t: Builder, ra: Gpr, rs: Gpr, rb: Gpr, mask: Value, rc: int) -> None:
    """Rotate Left Doubleword then Clear Right. Book I 3.3.12."""
    finish(t, ra, t.gpr(rs).rotate(t.gpr(rb).zext(6)) & mask, rc)


@insn("010101 rs:5 ra:5 sh:5 mb:5 me:5 rc:1", operands=_mask_word)
def rlwinm(t: Builder, ra: Gpr, rs: Gpr, sh: Value, mask: Value, rc: int) -> None:
    """Rotate Left Word Immediate then AND with Mask. Book I 3.3.12."""
    finish(t, ra, _rotate_word(t.gpr(rs), sh) & mask, rc)


@insn("010111 rs:5 ra:5 rb:5 mb:5 me:5 rc:1", operands=_mask_word_only)
def rlwnm(t: Builder, ra: Gpr, rs: Gpr, rb: Gpr, mask: Value, rc: int) -> None:
    """Rotate Left Word then AND with Mask. Book I 3.3.12."""
    finish(t, ra, _rotate_word(t.gpr(rs), t.gpr(rb).zext(5)) & mask, rc)


@insn("010100 rs:5 ra:5 sh:5 mb:5 me:5 rc:1", operands=_mask_word)
def rlwimi(t: Builder, ra: Gpr, rs: Gpr, sh: Value, mask: Value, rc: int) -> None:
    """Rotate Left Word Immediate then Mask Insert. Book I 3.3.12."""
    _insert(t, ra, _rotate_word(t.gpr(rs), sh), mask, rc)


@insn("011111 rs:5 ra:5 rb:5 0000011011 rc:1")
def sld(t: Builder, ra: Gpr, rs: Gpr, rb: Gpr, rc: int) -> None:
    """Shift Left Doubleword. Book I 3.3.12."""
    amount = t.gpr(rb)
    finish(t, ra, t.select(amount.bit(6), 0, t.gpr(rs) << amount.zext(6)), rc)


@insn("011111 rs:5 ra:5 rb:5 1000011011 rc:1")
def srd(t: Builder, ra: Gpr, rs: Gpr, rb: Gpr, rc: int) -> None:
    """Shift Right Doubleword. Book I 3.3.12."""
    amount = t.gpr(rb)
    finish(t, ra, t.select(amount.bit(6), 0, t.gpr(rs) >> amount.zext(6)), rc)


@insn("011111 rs:5 ra:5 rb:5 0000011000 rc:1")
def slw(t: Builder, ra: Gpr, rs: Gpr, rb: Gpr, rc: int) -> None:
    """Shift Left Word. Book I 3.3.12."""
    finish(t, ra, (t.gpr(rs).zext(32) << t.gpr(rb).zext(6)).zext(32), rc)


@insn("011111 rs:5 ra:5 rb:5 1000011000 rc:1")
def srw(t: Builder, ra: Gpr, rs: Gpr, rb: Gpr, rc: int) -> None:
    """Shift Right Word. Book I 3.3.12."""
    finish(t, ra, t.gpr(rs).zext(32) >> t.gpr(rb).zext(6), rc)


def _shift_algebraic(t: Builder, ra: Gpr, value: Value, amount: Value, rc: int) -> None:
    """Shift right, setting CA if the value is negative and ones are shifted out; amount is below 64."""
    result = value.shift_signed(amount)
    t.put("ca", (value.less(0) & (result << amount).differs(value)).as_word())
    finish(t, ra, result, rc)


def _up_to_63(t: Builder, amount: Value, limit: int) -> Value:
    """Cut a register's shift amount to 63 where bit `limit` says that everything is shifted out."""
    return t.select(amount.bit(limit), 63, amount.zext(limit))


@insn("011111 rs:5 ra:5 sh:5 110011101 sh:1 rc:1", operands=_shift_six)
def sradi(t: Builder, ra: Gpr, rs: Gpr, sh: Value, rc: int) -> None:
    """Shift Right Algebraic Doubleword Immediate. Book I 3.3.12."""
    _shift_algebraic(t, ra, t.gpr(rs), sh, rc)


@insn("011111 rs:5 ra:5 sh:5 1100111000 rc:1")
def srawi(t: Builder, ra: Gpr, rs: Gpr, sh: Value, rc: int) -> None:
    """Shift Right Algebraic Word Immediate. Book I 3.3.12."""
    _shift_algebraic(t, ra, t.gpr(rs).sext(32), sh, rc)


@insn("011111 rs:5 ra:5 rb:5 1100011010 rc:1")
def srad(t: Builder, ra: Gpr, rs: Gpr, rb: Gpr, rc: int) -> None:
    """Shift Right Algebraic Doubleword. Book I 3.3.12."""
    value, amount = t.gpr(rs), t.gpr(rb)
    # A shift by 64 or more loses one bit more than a shift by 63: of a negative number, always a one.
    ca = value.less(0) & (amount.bit(6) | _loses_ones(t, value, amount.zext(6)))
    result = value.shift_signed(_up_to_63(t, amount, 6))
    t.put("ca", ca.as_word())
    finish(t, ra, result, rc)


def _loses_ones(t: Builder, value: Value, amount: Value) -> Value:
    return (value.shift_signed(amount) << amount).differs(value)


@insn("011111 rs:5 ra:5 rb:5 1100011000 rc:1")
def sraw(t: Builder, ra: Gpr, rs: Gpr, rb: Gpr, rc: int) -> None:
    """Shift Right Algebraic Word. Book I 3.3.12."""
    # The word is sign-extended, so a shift by 32 to 63 does what the manual asks, CA included.
    _shift_algebraic(t, ra, t.gpr(rs).sext(32), t.gpr(rb).zext(6), rc)


# 3.3.13 Moves between GPRs and the condition register (SPRs: system.py).


def _field_mask_writer(t: Builder, fxm: Value, source: Value) -> None:
    for number in range(8):
        nibble = (source >> (28 - 4 * number)).zext(4)
        t.put("cr", t.select(fxm.bit(7 - number), nibble, t.get("cr", number)), number)


@insn("011111 rs:5 - fxm:8 - 0010010000 -")
def mtcrf(t: Builder, rs: Gpr, fxm: Value) -> None:
    """Move to Condition Register Fields (with one field: mtocrf). Book I 3.3.13."""
    _field_mask_writer(t, fxm, t.gpr(rs))


def _selected_fields(one: int, fxm: int) -> dict[str, int]:
    """Which bits mfcr delivers; for mfocrf the others are undefined, here zero."""
    if not one:
        return {"mask": 0xFFFF_FFFF}
    return {"mask": sum(0xF000_0000 >> 4 * n for n in range(8) if fxm == 0x80 >> n)}


@insn("011111 rt:5 one:1 fxm:8 - 0000010011 -", operands=_selected_fields)
def mfcr(t: Builder, rt: Gpr, mask: Value) -> None:
    """Move from Condition Register (with one field: mfocrf). Book I 3.3.13."""
    value = t.get("cr")
    for number in range(1, 8):
        value = value << 4 | t.get("cr", number)
    t.set_gpr(rt, value & mask)


@insn("011111 bf:3 -:2 -:5 -:5 1000000000 -")
def mcrxr(t: Builder, bf: CrField) -> None:
    """Move to Condition Register from XER. Book I 3.3.13."""
    t.set_cr_field(bf, t.get("so") << 3 | t.get("ov") << 2 | t.get("ca") << 1)
    for name in ("so", "ov", "ca"):
        t.put(name, 0)
