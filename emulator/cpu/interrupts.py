"""Interrupts: the exception an instruction raises, and what the processor does with it.

An instruction that cannot complete raises `Interrupt`; registers and pc are then exactly as they were
before it (or, for sc and the trace interrupt, just after it).  Asynchronous interrupts are made by the
machine between two instructions.  `deliver` is the one place that writes SRR0, SRR1 and MSR (PowerPC
Operating Environment Architecture 2.01, chapter 5; 970 user's manual, chapter 4).
"""

from __future__ import annotations

from enum import IntEnum

from emulator.cpu import performance
from emulator.cpu.exits import ExitKind, Leave
from emulator.cpu.state import (
    MSR_HV,
    MSR_IDENTITY,
    MSR_ISF,
    MSR_ME,
    MSR_SF,
    CpuState,
)


class Vector(IntEnum):
    """Interrupt vectors: the real address where each handler begins."""

    RESET = 0x100
    MACHINE_CHECK = 0x200
    DATA_STORAGE = 0x300
    DATA_SEGMENT = 0x380
    INSTRUCTION_STORAGE = 0x400
    INSTRUCTION_SEGMENT = 0x480
    EXTERNAL = 0x500
    ALIGNMENT = 0x600
    PROGRAM = 0x700
    FP_UNAVAILABLE = 0x800
    DECREMENTER = 0x900
    SYSTEM_CALL = 0xC00
    TRACE = 0xD00
    PERFORMANCE_MONITOR = 0xF00
    VMX_UNAVAILABLE = 0xF20
    INSTRUCTION_BREAKPOINT = 0x1300
    VMX_ASSIST = 0x1700


# SRR1 bits of a program interrupt.
PROGRAM_FP_ENABLED = 0x0010_0000
PROGRAM_ILLEGAL = 0x0008_0000
PROGRAM_PRIVILEGED = 0x0004_0000
PROGRAM_TRAP = 0x0002_0000
#: SRR0 names not the instruction that caused the interrupt but the next one.
PROGRAM_NEXT = 0x0001_0000

# DSISR (and, for an instruction storage interrupt, SRR1) bits.
STORAGE_NO_TRANSLATION = 0x4000_0000
STORAGE_PROTECTION = 0x0800_0000
STORAGE_NO_EXECUTE = 0x1000_0000
STORAGE_NOT_CACHED = 0x0400_0000
STORAGE_STORE = 0x0200_0000
STORAGE_DABR_MATCH = 0x0040_0000
STORAGE_NO_SEGMENT = 0x0020_0000

# What SRR1 keeps of the MSR: everything but bits 33-36 and 42-47, which the interrupt's cause replaces.
SRR1_FROM_MSR = ~0x783F_0000 & (1 << 64) - 1
#: What of the MSR an interrupt leaves as it is.
MSR_KEPT = MSR_ME | MSR_HV | MSR_ISF | MSR_IDENTITY


#: HIOR's bits 22-43: where the vectors begin (970 user's manual, 2.1.6).
VECTOR_BASE = 0x3FF_FFF0_0000


class Interrupt(Exception):
    """An interrupt at the current instruction.

    `srr1` holds cause bits only; `dar` and `dsisr` are None where the interrupt leaves them alone;
    `after` is True when SRR0 is to name the next instruction (system call, trace).
    """

    def __init__(
        self,
        vector: Vector,
        srr1: int = 0,
        *,
        dar: int | None = None,
        dsisr: int | None = None,
        after: bool = False,
    ) -> None:
        super().__init__(vector, srr1, dar, dsisr, after)
        self.vector = vector
        self.srr1 = srr1
        self.dar = dar
        self.dsisr = dsisr
        self.after = after


def illegal() -> Interrupt:
    """Return the program interrupt of an illegal instruction."""
    return Interrupt(Vector.PROGRAM, PROGRAM_ILLEGAL)


def privileged() -> Interrupt:
    """Return the program interrupt of a privileged instruction in problem state."""
    return Interrupt(Vector.PROGRAM, PROGRAM_PRIVILEGED)


def deliver(state: CpuState, interrupt: Interrupt) -> None:
    """Enter the handler: SRR0/SRR1 from pc/MSR, MSR to its interrupt value, pc to the vector.

    Raises Leave (CHECKSTOP, the vector as detail) for a machine check with MSR[ME] off; nothing is changed.
    """
    performance.settle(state)
    msr = state.msr
    kept = MSR_KEPT
    if interrupt.vector is Vector.MACHINE_CHECK:
        if not msr & MSR_ME:
            raise Leave(ExitKind.CHECKSTOP, int(interrupt.vector), retry=True)
        kept &= ~MSR_ME
    at = state.pc + 4 if interrupt.after else state.pc
    state.put("srr0", at if msr & MSR_SF else at & 0xFFFF_FFFF)
    state.put("srr1", msr & SRR1_FROM_MSR | interrupt.srr1)
    if interrupt.dar is not None:
        state.put("dar", interrupt.dar)
    if interrupt.dsisr is not None:
        state.put("dsisr", interrupt.dsisr)
    # Costs an instruction's time, so that handlers that only raise the next interrupt do not stop the clock.
    state.put("time_slept", state.get("time_slept") + 1)
    # `interrupt_msr` is HV on a machine of its own and 0 in a partition (970 user's manual, 4.5).
    state.msr = msr & kept | MSR_SF | state.get("interrupt_msr")
    state.pc = state.get("hior") & VECTOR_BASE | int(interrupt.vector)
