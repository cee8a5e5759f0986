"""Branches, condition-register logic and the system call (Book I chapter 2).

The effect of a direct branch gets its absolute target in `li` or `bd`; whether AA or the instruction's own
address went into it is settled at decode time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulator.cpu.exits import ExitKind, Leave
from emulator.cpu.interrupts import Interrupt, Vector
from emulator.isa import storage
from emulator.isa.builder import Builder, CrBit, CrField
from emulator.isa.context import take
from emulator.isa.decode import insn
from emulator.isa.values import Value

if TYPE_CHECKING:
    from emulator.cpu.processor import Processor

# Bits of BO (Book I 2.4.1, figure 21).
_BO_NO_CONDITION = 0b10000
_BO_TRUE = 0b01000
_BO_NO_COUNT = 0b00100
_BO_ZERO = 0b00010


def _canonical(bo: int, bi: int) -> dict[str, int]:
    """Drop the hint bits of BO, and those that mean nothing beside the others."""
    if bo & _BO_NO_CONDITION:
        bo &= ~_BO_TRUE
    if bo & _BO_NO_COUNT:
        bo &= ~_BO_ZERO
    return {"bo": bo & 0b11110, "bi": bi}


def _is_idle(li: int, aa: int) -> dict[str, int]:
    return {"li": li, "idle": int(li == 0 and not aa)}


def _following(t: Builder) -> Value:
    """Return the address of the next instruction (Book I 1.11.3)."""
    following = t.pc() + 4
    return following if t.is64 else following.zext(32)


def _link(t: Builder, lk: int) -> None:
    if lk:
        t.put("lr", _following(t))


def _condition(t: Builder, bo: int, bi: CrBit) -> Value | None:
    """Decrement CTR and evaluate the condition as BO asks; None: always taken."""
    taken = None
    if not bo & _BO_NO_COUNT:
        count = t.get("ctr") - 1
        t.put("ctr", count)
        if not t.is64:
            count = count.zext(32)
        taken = count.equals(0) if bo & _BO_ZERO else count.differs(0)
    if not bo & _BO_NO_CONDITION:
        bit = t.cr_bit(bi)
        bit = bit if bo & _BO_TRUE else ~bit
        taken = bit if taken is None else taken & bit
    return taken


def _branch(t: Builder, taken: Value | None, target: Value) -> None:
    if taken is None:
        t.branch(target)
    else:
        t.branch_if(taken, target)


def _indirect(t: Builder, register: str) -> Value:
    """Read LR or CTR as a branch target."""
    return t.get(register) & (~3 if t.is64 else 0xFFFF_FFFC)


def _idle(processor: Processor) -> int:
    """A branch to itself waits for an interrupt: complete, and the next instruction is this one again."""
    processor.state.pc -= 4
    raise Leave(ExitKind.IDLE)


@insn("010010 li:24 aa:1 lk:1", operands=_is_idle)
def b(t: Builder, li: Value, idle: int, lk: int) -> None:
    """Branch. Book I 2.4.1."""
    if idle and not lk:
        t.call(_idle)
    _link(t, lk)
    t.branch(li)


@insn("010000 bo:5 bi:5 bd:14 aa:1 lk:1", operands=_canonical)
def bc(t: Builder, bo: int, bi: CrBit, bd: Value, lk: int) -> None:
    """Branch Conditional. Book I 2.4.1."""
    taken = _condition(t, bo, bi)
    _link(t, lk)
    _branch(t, taken, bd)


@insn("010011 bo:5 bi:5 -:3 -:2 0000010000 lk:1", operands=_canonical)
def bclr(t: Builder, bo: int, bi: CrBit, lk: int) -> None:
    """Branch Conditional to Link Register. Book I 2.4.1."""
    target = _indirect(t, "lr")
    taken = _condition(t, bo, bi)
    _link(t, lk)
    _branch(t, taken, target)


@insn("010011 bo:5 bi:5 -:3 -:2 1000010000 lk:1", operands=_canonical)
def bcctr(t: Builder, bo: int, bi: CrBit, lk: int) -> None:
    """Branch Conditional to Count Register; an invalid BO does not decrement. Book I 2.4.1."""
    target = _indirect(t, "ctr")
    taken = _condition(t, bo | _BO_NO_COUNT, bi)
    _link(t, lk)
    _branch(t, taken, target)


def _system_call(processor: Processor, level: int) -> int:
    # The upper bits of LEV are reserved (Book III 2.01, 4.2).
    if level & 1 and processor.hypervisor_call is not None:
        processor.hypervisor_call(processor)
        return 0
    raise Interrupt(Vector.SYSTEM_CALL, after=True)


def _system_call_and_leave(processor: Processor, level: int) -> int:
    _system_call(processor, level)
    return storage.effective(processor, processor.state.pc + 4)


@insn("010001 -:14 lev:7 -:3 1 -")
def sc(t: Builder, lev: Value) -> None:
    """System Call; level 1 calls the hypervisor if there is one. Book I 2.4.2."""
    if not t.has_host_units:
        t.call(_system_call, lev)
        return
    take(t, _following(t), Vector.SYSTEM_CALL, 0, lev.bit(0), _system_call_and_leave, lev)


@insn("010011 bt:5 ba:5 bb:5 0100000001 -")
def crand(t: Builder, bt: CrBit, ba: CrBit, bb: CrBit) -> None:
    """Condition Register AND. Book I 2.4.3."""
    t.set_cr_bit(bt, t.cr_bit(ba) & t.cr_bit(bb))


@insn("010011 bt:5 ba:5 bb:5 0111000001 -")
def cror(t: Builder, bt: CrBit, ba: CrBit, bb: CrBit) -> None:
    """Condition Register OR. Book I 2.4.3."""
    t.set_cr_bit(bt, t.cr_bit(ba) | t.cr_bit(bb))


@insn("010011 bt:5 ba:5 bb:5 0011000001 -")
def crxor(t: Builder, bt: CrBit, ba: CrBit, bb: CrBit) -> None:
    """Condition Register XOR. Book I 2.4.3."""
    t.set_cr_bit(bt, t.cr_bit(ba) ^ t.cr_bit(bb))


@insn("010011 bt:5 ba:5 bb:5 0011100001 -")
def crnand(t: Builder, bt: CrBit, ba: CrBit, bb: CrBit) -> None:
    """Condition Register NAND. Book I 2.4.3."""
    t.set_cr_bit(bt, ~(t.cr_bit(ba) & t.cr_bit(bb)))


@insn("010011 bt:5 ba:5 bb:5 0000100001 -")
def crnor(t: Builder, bt: CrBit, ba: CrBit, bb: CrBit) -> None:
    """Condition Register NOR. Book I 2.4.3."""
    t.set_cr_bit(bt, ~(t.cr_bit(ba) | t.cr_bit(bb)))


@insn("010011 bt:5 ba:5 bb:5 0100100001 -")
def creqv(t: Builder, bt: CrBit, ba: CrBit, bb: CrBit) -> None:
    """Condition Register Equivalent. Book I 2.4.3."""
    t.set_cr_bit(bt, ~(t.cr_bit(ba) ^ t.cr_bit(bb)))


@insn("010011 bt:5 ba:5 bb:5 0010000001 -")
def crandc(t: Builder, bt: CrBit, ba: CrBit, bb: CrBit) -> None:
    """Condition Register AND with Complement. Book I 2.4.3."""
    t.set_cr_bit(bt, t.cr_bit(ba) & ~t.cr_bit(bb))


@insn("010011 bt:5 ba:5 bb:5 0110100001 -")
def crorc(t: Builder, bt: CrBit, ba: CrBit, bb: CrBit) -> None:
    """Condition Register OR with Complement. Book I 2.4.3."""
    t.set_cr_bit(bt, t.cr_bit(ba) | ~t.cr_bit(bb))


@insn("010011 bf:3 -:2 bfa:3 -:2 -:5 0000000000 -")
def mcrf(t: Builder, bf: CrField, bfa: CrField) -> None:
    """Move Condition Register Field. Book I 2.4.4."""
    t.set_cr_field(bf, t.cr_field(bfa))
