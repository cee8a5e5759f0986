"""What every engine does around executing: interrupts, exits, and the count.

An engine brings `execute(count, is_first)`: complete `count` instructions, leaving pc and icount exact.  It
returns True if it ended earlier because the context changed, and raises `Interrupt` or `Leave` with the
state of before the instruction that raised.  The trace interrupt of MSR[SE] is the machine's
(emulator/machine).
"""

from __future__ import annotations

from collections.abc import Callable

from emulator.cpu.exits import Exit, Leave
from emulator.cpu.interrupts import Interrupt, deliver
from emulator.cpu.processor import Processor

Execute = Callable[[int, bool], bool]


def run(processor: Processor, execute: Execute, limit: int) -> Exit | None:
    """Complete at most `limit` instructions (emulator.cpu.processor.Engine)."""
    state, elapsed = processor.state, processor.timers.elapsed
    start, end = state.icount, elapsed() + limit
    is_first = True
    while (left := end - elapsed()) > 0:
        try:
            try:
                if execute(left, is_first):
                    return None
            except Interrupt as interrupt:
                # It takes time, so that a handler that faults at once cannot hold us here.
                deliver(state, interrupt)
        except Leave as leave:
            if not leave.retry:
                state.pc += 4
                state.icount += 1
            return Exit(leave.kind, state.icount - start, leave.detail)
        is_first = False
    return None
