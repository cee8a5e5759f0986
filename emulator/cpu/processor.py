"""One processor: the state block and everything an instruction may reach beyond it.

This is what `t.call(helper, ...)` hands to a helper (isa/builder), and all an engine knows of the machine
around it.  Helpers change `state`, use `mmu`, `timers` and `memory`, raise `Interrupt`, or raise `Leave` when
the run must end with this instruction; so may a load or store through `mmu.translate` or `memory`, and
`interrupts.deliver` itself (checkstop).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from emulator.cpu.exits import Exit, ExitKind, Leave
from emulator.cpu.mmu import Mmu
from emulator.cpu.state import CpuState
from emulator.cpu.timers import Timers
from emulator.memory import Memory

__all__ = ["Engine", "Exit", "ExitKind", "Leave", "Processor"]

# The words by which a kernel calls its simulator: for a service, for RTAS (r3 is a pointer then, not a code),
# for the simulator's debugger (K42 facts D.2).
SIMOS_CALL = 0x7C00_07CC
MAMBO_CALL = 0x000E_AEB0
RTAS_CALL = 0x7C00_07CA
SIMULATOR_BREAK = 0x7C00_07CE


def _no_code(real: int, length: int) -> None:
    """Forget decoded instructions when there is no engine that has any."""


def _always() -> bool:
    """Want every breakpoint."""
    return True


@dataclass(slots=True)
class Processor:
    """State, translation, time and memory of one CPU."""

    state: CpuState
    memory: Memory
    mmu: Mmu
    timers: Timers
    #: Called for the simulator's words (K42 facts D.2) with the word; None: a machine that is no simulator,
    #: where they are illegal instructions.
    simulator_call: Callable[[Processor, int], None] | None = None
    #: Called for `sc 1` when the machine is a partition; returns after setting r3...; None: an ordinary sc.
    hypervisor_call: Callable[[Processor], None] | None = None
    #: Whether denormals in AltiVec's Java mode are a handler's work, as on a 970, or are computed at once.
    takes_vmx_assist: bool = False
    #: Told by icbi that the code at real addresses [real, real + length) changed; set by the engine.
    invalidate_code: Callable[[int, int], None] = field(default=_no_code)
    #: Asked when a breakpoint at pc is reached, with the state exact: False lets the run go on.
    is_wanted: Callable[[], bool] = field(default=_always)


class Engine(Protocol):
    """What executes instructions.  `run` and the rest are called from one thread at a time."""

    def run(self, limit: int) -> Exit | None:
        """Complete at most `limit` instructions, delivering the synchronous interrupts they cause.

        Returns None when the limit is reached *or* when something changed that the machine must look at
        before the next instruction (MSR, decrementer: the `t.context_changed()` of isa/builder); the machine
        tells the two apart by `state.icount`, which is exact at every return, as is pc.  An interrupt taken
        counts no instruction.  Returns an `Exit` for everything else.
        """

    def invalidate(self, real: int, length: int) -> None:
        """Forget what was decoded from real addresses [real, real + length)."""

    def flush_translations(self) -> None:
        """Forget every cached translation (SLB, page table or MSR context changed)."""

    def set_breakpoints(self, addresses: frozenset[int]) -> None:
        """Stop *before* an instruction at any of these effective addresses, if `Processor.is_wanted`.

        The first instruction of a run is not looked at: the machine has done that.
        """
