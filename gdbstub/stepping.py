"""Ways to step, as functions over a Target.

`step_range` builds range stepping out of single steps.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from gdbstub.target import SIGTRAP, Action, ActionKind, StopKind, StopReason, Target


async def step_range(target: Target, actions: list[Action], breakpoints: Collection[int]) -> StopReason:
    """Step until pc leaves the range of the range-stepping action, or something else stops the target.

    `breakpoints` are the addresses at which an instruction breakpoint is set: arriving at one ends the
    range, so that it is reported as a stop before its instruction, as a planted trap would.
    """
    bounds = next(action.range for action in actions if action.kind is ActionKind.RANGE_STEP)
    steps = [
        replace(action, kind=ActionKind.STEP) if action.kind is ActionKind.RANGE_STEP else action
        for action in actions
    ]
    description = target.description
    pc_number = description.numbers[description.pc]
    while True:
        await target.resume(steps)
        reason = target.stopped or await target.wait_stop()
        if reason.kind is not StopKind.SIGNAL or reason.signal != SIGTRAP:
            return reason
        raw = reason.registers.get(pc_number) or await target.read_register(reason.thread, pc_number)
        pc = description.decode(raw)
        if pc not in bounds or pc in breakpoints:
            return reason
