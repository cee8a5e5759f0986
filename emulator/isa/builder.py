"""What an effect is handed: a `Builder`, which records what it reads, writes, calls and where it goes on.

The trace and the values in it are isa/values.  Where an effect may stop (load, store, call, require) the
state words it wrote before stay written; effects therefore read everything, do what may stop, and write
registers last.  Both arms of a `select` are evaluated.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NewType

from emulator.cpu.interrupts import PROGRAM_PRIVILEGED, Vector, privileged
from emulator.cpu.state import INDEX, MSR_PR
from emulator.isa.bits import MASK64
from emulator.isa.values import Arg, Helper, Op, Slot, Value, Word, append, raises

if TYPE_CHECKING:
    from emulator.cpu.processor import Processor

# What the slots of an effect's parameters name.  All are slots; the types keep an FPR from being read as a
# GPR.
Gpr = NewType("Gpr", Slot)
Fpr = NewType("Fpr", Slot)
Vr = NewType("Vr", Slot)
CrField = NewType("CrField", Slot)
CrBit = NewType("CrBit", Slot)
AnyWord = NewType("AnyWord", Slot)


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
        return append(self.trace, code, args, bits, lanes)

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
