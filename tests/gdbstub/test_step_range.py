"""A range step on a target that only steps: it ends where the range does, and when somebody wants it to."""

from collections.abc import Callable

import trio
from client_session import NOP, words
from machine_target import MachineTarget
from mini_machine import Machine

from gdbstub.stepping import step_range
from gdbstub.target import SIGINT, SIGSEGV, SIGTRAP, Action, ActionKind, StopReason

BACK, AROUND, TO_ITSELF, LOAD = (
    0x4BFFFFFC,
    0x4BFFFFF8,
    0x48000000,
    0x80830000,
)  # b .-4; b .-8; b .; lwz r4,0(r3)


def walk(
    code: list[int],
    bounds: range,
    planted: set[int],
    is_interrupted: Callable[[int], bool] = lambda steps: False,
) -> tuple[StopReason, int, int]:
    """Return the stop, where it is, and how many steps were made."""
    machine = Machine(pc=0x100)
    machine.gpr[3] = 0x6000_0000
    machine.memory[0x100] = words(*code, *[NOP] * 8)
    target = MachineTarget(machine, actions=frozenset({ActionKind.CONTINUE, ActionKind.STEP}))
    action = Action(ActionKind.RANGE_STEP, range=bounds)

    async def main() -> StopReason:
        with trio.fail_after(20):
            return await step_range(target, [action], planted, lambda: is_interrupted(target.resumed))

    return trio.run(main), machine.pc, target.resumed


def test_it_ends_outside_the_range_and_at_a_breakpoint_inside() -> None:
    reason, pc, steps = walk([NOP] * 4, range(0x100, 0x110), set())
    assert (reason.signal, pc, steps) == (SIGTRAP, 0x110, 4)
    reason, pc, steps = walk([NOP] * 4, range(0x100, 0x110), {0x108})
    assert (reason.signal, pc, steps) == (SIGTRAP, 0x108, 2)


def test_a_range_that_is_never_left_ends_when_it_is_interrupted() -> None:
    reason, pc, steps = walk([NOP, BACK], range(0x100, 0x108), set(), lambda steps: steps == 101)
    assert (reason.signal, pc, steps) == (SIGINT, 0x104, 101)


def test_a_branch_to_itself_ends_it() -> None:
    reason, pc, steps = walk([NOP, TO_ITSELF], range(0x100, 0x108), set())
    assert (reason.signal, pc, steps) == (SIGTRAP, 0x104, 2)


def test_whatever_else_stops_the_target_ends_it() -> None:
    reason, pc, steps = walk([NOP, LOAD, AROUND], range(0x100, 0x10C), set())
    assert (reason.signal, pc, steps) == (SIGSEGV, 0x104, 2)
