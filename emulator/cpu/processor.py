"""One processor: the state block and everything an instruction may reach beyond it.

This is what `t.call(helper, ...)` hands to a helper (isa/values), and all an engine knows of the machine around
it.  Helpers change `state`, use `mmu`, `timers` and `memory`, raise `Interrupt`, or raise `Leave` when the run
must end with this instruction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol

from emulator.cpu.mmu import Mmu
from emulator.cpu.state import CpuState
from emulator.cpu.timers import Timers
from emulator.memory import Memory


class ExitKind(Enum):
    """Why `run` came back."""

    BUDGET = auto()  # the instructions asked for are done
    BREAKPOINT = auto()  # pc stands on a debugger's breakpoint, not executed
    WATCHPOINT = auto()  # pc stands on the access that would touch `detail`, not executed
    IDLE = auto()  # nothing to do before the next event
    SIMULATOR_BREAK = auto()  # the guest executed 0x7C0007CE (K42 facts D.2); pc stands on it
    CATCH = auto()  # an interrupt the debugger asked to see is about to be taken; `detail` is its vector
    SHUTDOWN = auto()  # the guest asked to end; `detail` is its code
    CHECKSTOP = auto()  # the machine cannot go on (machine check with ME off, attn); `detail` tells why
    STOP_REQUEST = auto()  # somebody called request_stop()


@dataclass(frozen=True, slots=True)
class Exit:
    """Why and with what `run` came back; `instructions` completed during that run."""

    kind: ExitKind
    instructions: int = 0
    detail: int = 0


class Leave(Exception):
    """Raised by a helper: the current instruction is complete (`retry` False: pc moves on) and the run ends."""

    def __init__(self, kind: ExitKind, detail: int = 0, *, retry: bool = False) -> None:
        super().__init__(kind, detail)
        self.kind = kind
        self.detail = detail
        self.retry = retry


def _no_simulator(processor: Processor, word: int) -> None:
    """Answer a simulator call on a machine that has none: an illegal instruction."""
    from emulator.cpu.interrupts import illegal

    raise illegal()


@dataclass(slots=True)
class Processor:
    """State, translation, time and memory of one CPU."""

    state: CpuState
    memory: Memory
    mmu: Mmu
    timers: Timers
    #: Called for the simulator call words (K42 facts D.2) with the word; set by the machine's devices.
    simulator_call: Callable[[Processor, int], None] = field(default=_no_simulator)
    #: Called for `sc 1` when the machine is a partition; returns after setting r3...; None: an ordinary sc.
    hypervisor_call: Callable[[Processor], None] | None = None


class Engine(Protocol):
    """What executes instructions.  `run` and the rest are called from one thread at a time."""

    def run(self, limit: int) -> Exit | None:
        """Complete at most `limit` instructions, delivering the synchronous interrupts they cause.

        Returns None when the limit is reached *or* when something changed that the machine must look at before
        the next instruction (MSR, decrementer: the `t.context_changed()` of isa/values); the machine tells the
        two apart by `state.icount`, which is exact at every return, as is pc.  An interrupt taken counts no
        instruction.  Returns an `Exit` for everything else.
        """

    def invalidate(self, real: int, length: int) -> None:
        """Forget what was decoded from real addresses [real, real + length)."""

    def flush_translations(self) -> None:
        """Forget every cached translation (SLB, page table or MSR context changed)."""

    def set_breakpoints(self, addresses: frozenset[int]) -> None:
        """Stop *before* an instruction at any of these effective addresses, except for the first one of a run."""
