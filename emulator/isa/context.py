"""What a change of the MSR means to a run under way: whether it can go on (Builder.switch) or has to end.

An interrupt is such a change, too (`take`).

Only the machine can look at what else becomes possible: an interrupt that waited, a step to be traced, a
counter that thaws, 32-bit mode.  Translation and privilege are the engine's own affair.
"""

from __future__ import annotations

from emulator.cpu.interrupts import MSR_KEPT, SRR1_FROM_MSR, VECTOR_BASE
from emulator.cpu.performance import FIRST_NUMBER, MMCR0, MMCR1
from emulator.cpu.state import (
    MSR_DR,
    MSR_EE,
    MSR_FE0,
    MSR_FE1,
    MSR_FP,
    MSR_HV,
    MSR_IR,
    MSR_ME,
    MSR_PMM,
    MSR_PR,
    MSR_RI,
    MSR_SF,
    MSR_VMX,
)
from emulator.isa import fpscr
from emulator.isa.builder import Builder
from emulator.isa.values import Helper, Value

_FE = MSR_FE0 | MSR_FE1
#: Bits that may change within a run.
_ORDINARY = MSR_EE | MSR_RI | MSR_ME | MSR_FP | MSR_VMX | MSR_IR | MSR_DR | MSR_PR | MSR_HV | MSR_PMM | _FE


def changes_more_than_context(t: Builder, old: Value, new: Value) -> Value:
    """Tell whether the machine has to see that the MSR changes from `old` to `new`."""
    is_extraordinary = ((old ^ new) & ~_ORDINARY).differs(0)
    lets_in_interrupt = (~old & new & MSR_EE).differs(0) & t.allows_interrupts().equals(0)
    lets_in_exception = (new & _FE).differs(0) & (t.get("fpscr") & fpscr.FEX).differs(0)
    control = t.get("pmc", MMCR0 - FIRST_NUMBER) | t.get("pmc", MMCR1 - FIRST_NUMBER)
    return is_extraordinary | lets_in_interrupt | lets_in_exception | control.differs(0)


def take(
    t: Builder, at: Value, vector: int, cause: int, ends: Value, helper: Helper, *args: Value | int
) -> None:
    """Take an interrupt with SRR0 = `at` as cpu/interrupts.deliver does; the last step of an effect.

    If `ends` holds, or the machine has to see it, `helper(processor, *args)` does it all (leave_instead_if).
    """
    old = t.get("msr")
    new = old & MSR_KEPT | MSR_SF | t.get("interrupt_msr")
    t.leave_instead_if(ends | changes_more_than_context(t, old, new), helper, *args)
    t.put("srr0", at)
    t.put("srr1", old & SRR1_FROM_MSR | cause)
    t.switch(new, t.get("hior") & VECTOR_BASE | vector, is_interrupt=True)
