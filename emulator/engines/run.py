"""What every engine does around executing: interrupts, exits, single-step traces, and the count.

An engine brings `execute(count, is_first)`: complete `count` instructions, leaving pc and icount exact.  It
returns True if it ended earlier because the context changed, and raises `Interrupt` or `Leave` with the
state of before the instruction that raised.
"""

from __future__ import annotations

from collections.abc import Callable

from emulator.cpu.exits import Exit, Leave
from emulator.cpu.interrupts import Interrupt, Vector, deliver
from emulator.cpu.processor import Processor
from emulator.cpu.state import MSR_BE, MSR_SE
from emulator.isa import storage
from emulator.isa.decode import decode

Execute = Callable[[int, bool], bool]


def run(processor: Processor, execute: Execute, limit: int) -> Exit | None:
    """Complete at most `limit` instructions (emulator.cpu.processor.Engine)."""
    state = processor.state
    start = state.icount
    interrupts = 0
    is_first = True
    while (left := limit - (state.icount - start) - interrupts) > 0:
        try:
            try:
                if state.msr & (MSR_SE | MSR_BE):
                    changed = _execute_traced(processor, execute)
                else:
                    changed = execute(left, is_first)
                if changed:
                    return None
            except Interrupt as interrupt:
                # It counts against the limit, so that a handler that faults at once cannot hold us here.
                interrupts += 1
                deliver(state, interrupt)
        except Leave as leave:
            if not leave.retry:
                state.pc += 4
                state.icount += 1
            return Exit(leave.kind, state.icount - start, leave.detail)
        is_first = False
    return None


def _execute_traced(processor: Processor, execute: Execute) -> bool:
    """Run one instruction under MSR[SE] or MSR[BE], then take the trace interrupt (Book III 5.5.13)."""
    state = processor.state
    msr, pc = state.msr, state.pc
    name = decode(storage.fetch(processor, pc)).form.instruction.name
    changed = execute(1, True)
    # rfid is never traced.  The interrupt's own MSR is what the machine must look at afterwards.
    if name != "rfid" and (msr & MSR_SE or name in ("b", "bc", "bclr", "bcctr")):
        raise Interrupt(Vector.TRACE)
    return changed
