"""The alphabet in which effects are written: values, and the trace that records what is done to them.

An effect (isa/decode) is a function that is run ONCE for each instruction form, with a `Builder` and
operands that stand for "whatever the decoded instruction names".  It computes nothing: every operator on a
`Value` appends one `Op` to the builder's trace.  An engine prints the trace in its own language, Python
source or LLVM IR, and runs that.  So a Python `if` in an effect can only depend on the encoding; a `Value`
refuses to be one.

A value is 64 bits wide, or one bit (a condition), or a row of equal lanes that an operator treats all at
once (isa/wide makes those, for an engine with `has_host_units`).  Every operation is total on its stated
domain: shift and rotate amounts must be below the width, divisors not zero, quotients representable; an
effect selects a harmless operand first.  Both arms of a `select` are evaluated.

Where an effect may stop (load, store, call, require) the state words it wrote before stay written; effects
therefore read everything, do what may stop, and write registers last.

`OPERATIONS` lists every op code; an engine's printer knows how to print each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NewType, NoReturn

from emulator.cpu.interrupts import PROGRAM_PRIVILEGED, Vector, privileged
from emulator.cpu.state import INDEX, MSR_PR
from emulator.isa.bits import MASK64

if TYPE_CHECKING:
    from emulator.cpu.processor import Processor

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

# What the slots of an effect's parameters name.  All are slots; the types keep an FPR from being read as a
# GPR.
Gpr = NewType("Gpr", Slot)
Fpr = NewType("Fpr", Slot)
Vr = NewType("Vr", Slot)
CrField = NewType("CrField", Slot)
CrBit = NewType("CrBit", Slot)
AnyWord = NewType("AnyWord", Slot)


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
        return _append(self.trace, code, (self, *others), width, count)

    def _binary(self, code: str, other: Value | int, bits: int | None = None) -> Value:
        return self.operate(code, other, bits=bits)

    def _reversed(self, code: str, other: int) -> Value:
        return _append(self.trace, code, (other, self), self.bits, self.lanes)

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
        return _append(self.trace, "clz", (self,), 64)

    def zext(self, bits: int) -> Value:
        """Keep the low `bits`, zeros above."""
        return self._binary("and", (1 << bits) - 1)

    def sext(self, bits: int) -> Value:
        """Keep the low `bits` (8, 16 or 32), copies of their sign above."""
        return _append(self.trace, f"sext{bits}", (self,), 64)

    def byte_reverse(self, size: int) -> Value:
        """Reverse the low `size` bytes (2, 4 or 8); zeros above."""
        return _append(self.trace, f"bswap{size}", (self,), 64)

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
        return _append(self.trace, "fsingle", (self,), 64)

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
        return _append(self.trace, "word", (self,), 64)

    def bit(self, position: Value | int) -> Value:
        """Return bit `position`, counted from the least significant one, as a condition."""
        return ((self >> position) & 1).differs(0)


#: What an op's arguments may be: values, constants (64-bit or condition), places, helpers, lane numbers.
Arg = Value | int | Place | Helper | tuple[int, ...]


def _append(trace: list[Op], code: str, args: Sequence[Arg], bits: int, lanes: int = 0) -> Value:
    args = tuple(arg & MASK64 if type(arg) is int else arg for arg in args)
    result = Value(trace, len(trace), bits, lanes)
    trace.append(Op(code, args, result))
    return result


@dataclass(slots=True)
class Builder:
    """Records one effect.  `is64` is MSR[SF], known from the encoding's context as any other variant is.

    `has_host_units`: the engine prints what the host's floating-point and vector units do, and can tell
    where RAM lies; else helpers do all that.
    """

    _is64: bool
    has_host_units: bool = False
    #: The effect is for the handler of the rare cases (engines/llvm_source): it may take longer.
    is_slow: bool = False
    trace: list[Op] = field(default_factory=list)
    #: Set when the effect looked at `is64`: then 32-bit mode needs its own form.
    is_mode_sensitive: bool = False

    @property
    def is64(self) -> bool:
        """Whether the processor is in 64-bit mode (MSR[SF])."""
        self.is_mode_sensitive = True
        return self._is64

    def _value(self, code: str, *args: Arg, bits: int = 64, lanes: int = 0) -> Value:
        return _append(self.trace, code, args, bits, lanes)

    def _step(self, code: str, *args: Arg) -> None:
        masked = tuple(arg & MASK64 if type(arg) is int else arg for arg in args)
        self.trace.append(Op(code, masked, None))

    def constant(self, value: int) -> Value:
        return self._value("const", value)

    def condition(self, value: bool) -> Value:
        return self._value("const", int(value), bits=1)

    # State words.

    def get(self, name: str, offset: int = 0) -> Value:
        """Read the state word called `name` in cpu/state.LAYOUT."""
        return self._value("get", Word(INDEX[name] + offset))

    def put(self, name: str, value: Value | int, offset: int = 0) -> None:
        """Write the state word called `name`."""
        self._step("put", Word(INDEX[name] + offset), value)

    def gpr(self, register: Gpr) -> Value:
        return self._value("get", register)

    def set_gpr(self, register: Gpr, value: Value) -> None:
        self._step("put", register, value)

    def fpr(self, register: Fpr) -> Value:
        """Read a floating-point register as its 64-bit image."""
        return self._value("get", register)

    def set_fpr(self, register: Fpr, value: Value) -> None:
        self._step("put", register, value)

    def vr(self, register: Vr) -> tuple[Value, Value]:
        """Read a vector register as (high, low) halves."""
        return self._value("get", register), self._value("get", Slot(register.number, 1))

    def set_vr(self, register: Vr, high: Value, low: Value) -> None:
        self._step("put", register, high)
        self._step("put", Slot(register.number, 1), low)

    def vector(self, register: Vr) -> Value:
        """Read a vector register as two lanes, the high half first."""
        return self._value("get", register, bits=64, lanes=2)

    def set_vector(self, register: Vr, value: Value) -> None:
        """Write a vector register from two lanes."""
        self._step("put", register, value)

    def index(self, register: Gpr | Vr) -> Value:
        """Return where a register lies: the index of its first state word, for a helper."""
        return self.small(register.number)

    def cr_field(self, register: CrField) -> Value:
        """Read a CR field as a number 0..15 (LT GT EQ SO)."""
        return self._value("get", register)

    def set_cr_field(self, register: CrField, value: Value) -> None:
        self._step("put", register, value)

    def cr_bit(self, register: CrBit) -> Value:
        """Read one CR bit as a condition."""
        return self._value("get_bit", register, bits=1)

    def set_cr_bit(self, register: CrBit, value: Value) -> None:
        self._step("put_bit", register, value)

    def word(self, register: AnyWord) -> Value:
        """Read the state word that the decoded instruction names (a special-purpose register)."""
        return self._value("get", register)

    def set_word(self, register: AnyWord, value: Value) -> None:
        self._step("put", register, value)

    # Where the instruction stands.

    def pc(self) -> Value:
        """Return the address of this instruction."""
        return self._value("pc")

    def icount(self) -> Value:
        """Return how many instructions have completed since power-on, before this one."""
        return self._value("icount")

    def small(self, number: int) -> Value:
        """Return slot `number` itself, a number below 2^16."""
        return self._value("small", Slot(number))

    def immediate(self) -> Value:
        """Return the immediate of the decoded instruction."""
        return self._value("imm")

    def target(self) -> Value:
        """Return the absolute target of a direct branch; meant for `branch` and `branch_if` only."""
        return self._value("target")

    # Memory.

    def load(self, address: Value, size: int) -> Value:
        """Load `size` bytes (1, 2, 4, 8), big-endian, zero-extended.  May stop."""
        return self._value(f"load{size}", address)

    def store(self, address: Value, size: int, value: Value) -> None:
        """Store the low `size` bytes of `value`, big-endian.  May stop."""
        self._step(f"store{size}", address, value)

    # Plain RAM, for an engine with `has_host_units`.

    def find(self, address: Value, count: Value | int, *, is_store: bool = False) -> Value:
        """Return where in the host `count` bytes lie, if they are RAM, in one page and not watched; else 0.

        Stops where an access to the first byte would.
        """
        return self._value("find_store" if is_store else "find_load", address, count)

    def peek(self, place: Value, size: int) -> Value:
        """Load `size` bytes, big-endian, where `find` has found them."""
        return self._value(f"peek{size}", place)

    def poke(self, place: Value, size: int, value: Value) -> None:
        """Store `size` bytes, big-endian, where `find` has found them."""
        self._step(f"poke{size}", place, value)

    def load_registers(self, place: Value, first: Value, count: Value) -> None:
        """Load `count` bytes found into general registers, four to each, from `first` on, R0 after R31."""
        self._step("load_registers", place, first, count)

    def store_registers(self, place: Value, first: Value, count: Value) -> None:
        """Store `count` bytes where `find` has found them; the counterpart of `load_registers`."""
        self._step("store_registers", place, first, count)

    def clear(self, place: Value, count: int) -> None:
        """Clear `count` bytes that `find` has found."""
        self._step("clear", place, count)

    def real(self, place: Value) -> Value:
        """Return the real address of what `find` has found."""
        return self._value("real", place)

    # Choice and control.

    def select(self, condition: Value, yes: Value | int, no: Value | int) -> Value:
        bits = next((arm.bits for arm in (yes, no) if isinstance(arm, Value)), 64)
        return self._value("select", condition, yes, no, bits=bits)

    def call(self, helper: Helper, *args: Value | int) -> Value:
        """Call `helper(processor, *args)`.  It sees state, pc and icount exact.  May stop."""
        return self._value("call", helper, *args)

    def call_if(self, condition: Value, helper: Helper, *args: Value | int, otherwise: Value | int) -> Value:
        """Call `helper(processor, *args)` when `condition` holds, the rare case; else `otherwise`."""
        return self._value("call_if", condition, otherwise, helper, *args)

    def stop_if(self, condition: Value, helper: Helper, *args: Value | int) -> None:
        """Call `helper`, which always raises, when `condition` holds."""
        self._step("stop_if", condition, helper, *args)

    def instead_if(self, condition: Value, helper: Helper, *args: Value | int) -> None:
        """Let `helper(processor, *args)` do the whole instruction when `condition` holds, the rare case."""
        self._step("instead_if", condition, helper, *args)

    def leave_instead_if(self, condition: Value, helper: Helper, *args: Value | int) -> None:
        """As `instead_if`; the run ends after the instruction, at the address that the helper returns."""
        self._step("leave_instead_if", condition, helper, *args)

    def require_privilege(self) -> None:
        """Take a privileged-instruction program interrupt in problem state (Book III 4.3)."""
        self.stop_if((self.get("msr") & MSR_PR).differs(0), _raise_privileged)

    def require_msr(self, mask: int, refuse: Helper) -> None:
        """Call `refuse`, which raises, unless the MSR has all bits of `mask`."""
        self.stop_if((self.get("msr") & mask).differs(mask), refuse)

    def branch(self, target: Value) -> None:
        """Continue at `target`; the last step of an effect."""
        self._step("branch", target)

    def branch_if(self, condition: Value, target: Value) -> None:
        """Continue at `target` if `condition` holds, else at the next instruction; the last step."""
        self._step("branch_if", condition, target)

    def allows_interrupts(self) -> Value:
        """Tell, where there are `has_host_units`, whether the run ends in time for the next interrupt.

        So it does if interrupts were enabled when it began.  A nonzero number means yes.
        """
        return self._value("allows_interrupts")

    def switch(self, msr: Value, target: Value, *, is_interrupt: bool = False) -> None:
        """Write the MSR, SF as it is, and continue at `target`, without ending the run; the last step.

        `is_interrupt`: what took the time was an interrupt; the instruction did not complete.
        """
        self._step("switch", msr, target, int(is_interrupt))

    def context_changed(self) -> None:
        """End the run after this instruction: MSR, translation or decrementer changed."""
        self._step("context_changed")


@raises(Vector.PROGRAM, PROGRAM_PRIVILEGED)
def _raise_privileged(processor: Processor) -> int:
    raise privileged()


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
