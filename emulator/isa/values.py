"""The alphabet in which effects are written: values, and the trace that records what is done to them.

An effect (isa/decode) is a function that is run ONCE for each instruction form, with a `Builder`
(isa/builder) and operands that stand for "whatever the decoded instruction names".  It computes nothing:
every operator on a `Value` appends one `Op` to the builder's trace.  An engine prints the trace in its own
language, Python source or LLVM IR, and runs that.  So a Python `if` in an effect can only depend on the
encoding; a `Value` refuses to be one.

A value is 64 bits wide, or one bit (a condition), or a row of equal lanes that an operator treats all at
once (isa/wide makes those, for an engine with `has_host_units`).  Every operation is total on its stated
domain: shift and rotate amounts must be below the width, divisors not zero, quotients representable; an
effect selects a harmless operand first.

`OPERATIONS` lists every op code, the builder's among them; an engine's printer knows how to print each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from emulator.isa.bits import MASK64

#: A function that does in Python what is not worth emitting.  Gets the processor and unsigned 64-bit ints.
Helper = Callable[..., int]

#: The vector and the bits of SRR1 of each helper that does nothing but raise one interrupt: an engine may
#: take it without asking Python.
RAISED: dict[Helper, tuple[int, int]] = {}


def raises(vector: int, cause: int = 0) -> Callable[[Helper], Helper]:
    """Say of a helper that it raises the interrupt of that vector and does nothing else."""

    def note(helper: Helper) -> Helper:
        RAISED[helper] = vector, cause
        return helper

    return note


@dataclass(frozen=True, slots=True)
class Slot:
    """Operand number `number` of the decoded instruction, plus a constant: a word index or a small number."""

    number: int
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Word:
    """A state word known by name: the same in every instruction of the form."""

    index: int


Place = Slot | Word


@dataclass(frozen=True, slots=True, eq=False)
class Op:
    """One step of a trace.  `result` is the value it defines, or None."""

    code: str
    args: tuple[Arg, ...]
    result: Value | None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Value:
    """Something known only when the instruction runs.

    `bits` is 64, or 1 for a condition; with `lanes`, the width of each of so many.
    """

    trace: list[Op]
    number: int
    bits: int
    lanes: int = 0

    def operate(self, code: str, *others: Arg, bits: int | None = None, lanes: int | None = None) -> Value:
        """Append the op `code` on this and `others`; its result is as wide as this unless said otherwise."""
        width, count = self.bits if bits is None else bits, self.lanes if lanes is None else lanes
        return append(self.trace, code, (self, *others), width, count)

    def _binary(self, code: str, other: Value | int, bits: int | None = None) -> Value:
        return self.operate(code, other, bits=bits)

    def _reversed(self, code: str, other: int) -> Value:
        return append(self.trace, code, (other, self), self.bits, self.lanes)

    def __bool__(self) -> NoReturn:
        raise TypeError("a Value is only known when the instruction runs: use select or branch_if")

    def __add__(self, other: Value | int) -> Value:
        return self._binary("add", other)

    def __sub__(self, other: Value | int) -> Value:
        return self._binary("sub", other)

    def __rsub__(self, other: int) -> Value:
        return self._reversed("sub", other)

    def __mul__(self, other: Value | int) -> Value:
        return self._binary("mul", other)

    def __and__(self, other: Value | int) -> Value:
        return self._binary("and", other)

    def __or__(self, other: Value | int) -> Value:
        return self._binary("or", other)

    def __xor__(self, other: Value | int) -> Value:
        return self._binary("xor", other)

    def __invert__(self) -> Value:
        return self._binary("xor", 1 if self.bits == 1 else MASK64)

    def __lshift__(self, amount: Value | int) -> Value:
        return self._binary("shl", amount)

    def __rshift__(self, amount: Value | int) -> Value:
        """Shift right, zeros coming in."""
        return self._binary("lshr", amount)

    def shift_signed(self, amount: Value | int) -> Value:
        """Shift right, copies of the sign coming in."""
        return self._binary("ashr", amount)

    def rotate(self, amount: Value | int) -> Value:
        """Rotate left; ROTL64 of the manuals."""
        return self._binary("rotl", amount)

    def multiply_high(self, other: Value) -> Value:
        """Return the high 64 bits of the unsigned 128-bit product."""
        return self._binary("mulhu", other)

    def multiply_high_signed(self, other: Value) -> Value:
        """Return the high 64 bits of the signed 128-bit product."""
        return self._binary("mulhs", other)

    def divide(self, other: Value) -> Value:
        """Divide as unsigned; `other` is not zero."""
        return self._binary("udiv", other)

    def divide_signed(self, other: Value) -> Value:
        """Divide as signed, towards zero; `other` is not zero and the quotient fits."""
        return self._binary("sdiv", other)

    def count_leading_zeros(self) -> Value:
        return append(self.trace, "clz", (self,), 64)

    def zext(self, bits: int) -> Value:
        """Keep the low `bits`, zeros above."""
        return self._binary("and", (1 << bits) - 1)

    def sext(self, bits: int) -> Value:
        """Keep the low `bits` (8, 16 or 32), copies of their sign above."""
        return append(self.trace, f"sext{bits}", (self,), 64)

    def byte_reverse(self, size: int) -> Value:
        """Reverse the low `size` bytes (2, 4 or 8); zeros above."""
        return append(self.trace, f"bswap{size}", (self,), 64)

    # Host floating point, rounded to nearest: double images, or single ones in lanes
    # (Builder.has_host_units).

    def float_add(self, other: Value) -> Value:
        return self._binary("fadd", other)

    def float_multiply(self, other: Value) -> Value:
        return self._binary("fmul", other)

    def float_divide(self, other: Value) -> Value:
        return self._binary("fdiv", other)

    def float_multiply_add(self, factor: Value, addend: Value) -> Value:
        """Return self * factor + addend, rounded once."""
        return self.operate("fma", factor, addend)

    def float_square_root(self) -> Value:
        return self.operate("fsqrt")

    def float_single(self) -> Value:
        """Round to single precision."""
        return append(self.trace, "fsingle", (self,), 64)

    def to_float(self) -> Value:
        """Convert a signed number."""
        return self.operate("sitofp")

    def to_integer(self) -> Value:
        """Truncate; the nearest number there is if the result does not fit, 0 for a NaN."""
        return self.operate("fptosi")

    def equals(self, other: Value | int) -> Value:
        return self._binary("eq", other, 1)

    def differs(self, other: Value | int) -> Value:
        return self._binary("ne", other, 1)

    def below(self, other: Value | int) -> Value:
        """Compare as unsigned."""
        return self._binary("ult", other, 1)

    def above(self, other: Value) -> Value:
        """Compare as unsigned."""
        return other.below(self)

    def less(self, other: Value | int) -> Value:
        """Compare as signed."""
        return self._binary("slt", other, 1)

    def greater(self, other: Value) -> Value:
        """Compare as signed."""
        return other.less(self)

    def as_word(self) -> Value:
        """Turn a condition into 0 or 1."""
        return append(self.trace, "word", (self,), 64)

    def bit(self, position: Value | int) -> Value:
        """Return bit `position`, counted from the least significant one, as a condition."""
        return ((self >> position) & 1).differs(0)


#: What an op's arguments may be: values, constants (64-bit or condition), places, helpers, lane numbers.
Arg = Value | int | Place | Helper | tuple[int, ...]


def append(trace: list[Op], code: str, args: Sequence[Arg], bits: int, lanes: int = 0) -> Value:
    """Append the op `code`; return its result."""
    args = tuple(arg & MASK64 if type(arg) is int else arg for arg in args)
    result = Value(trace, len(trace), bits, lanes)
    trace.append(Op(code, args, result))
    return result


#: Every op code and the width of its result (0: none; 64 also where the arguments decide).
OPERATIONS: dict[str, int] = {
    **dict.fromkeys(("const", "add", "sub", "mul", "and", "or", "xor", "shl", "lshr", "ashr", "rotl"), 64),
    **dict.fromkeys(("mulhu", "mulhs", "udiv", "sdiv", "clz", "sext8", "sext16", "sext32"), 64),
    **dict.fromkeys(("bswap2", "bswap4", "bswap8", "word", "select", "pc", "imm", "small", "target"), 64),
    **dict.fromkeys(("fadd", "fmul", "fdiv", "fma", "fsqrt", "fsingle", "sitofp", "fptosi"), 64),
    **dict.fromkeys(("eq", "ne", "ult", "slt", "get_bit"), 1),
    **dict.fromkeys(("get", "load1", "load2", "load4", "load8", "call", "call_if"), 64),
    **dict.fromkeys(("put", "put_bit", "store1", "store2", "store4", "store8"), 0),
    **dict.fromkeys(("stop_if", "instead_if", "leave_instead_if"), 0),
    **dict.fromkeys(("branch", "branch_if", "switch", "context_changed"), 0),
    **dict.fromkeys(("icount", "allows_interrupts"), 64),
    # Plain RAM.
    **dict.fromkeys(("find_load", "find_store", "peek4", "peek8", "real"), 64),
    **dict.fromkeys(("poke4", "poke8", "load_registers", "store_registers", "clear"), 0),
    # Lanes (isa/wide).
    **dict.fromkeys(("split", "join", "fill", "shuffle", "copy_lane", "permute"), 64),
    **dict.fromkeys(("fround0", "fround1", "fround2", "fround3", "uitofp", "fptoui"), 64),
    "any": 1,
}
