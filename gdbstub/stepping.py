"""Ways to step, as functions: what one instruction needs (`plan_step`), and ranges built of single steps.

Software stepping plants traps where the next stop can be and lets the target run.  A branch needs none of
it: its whole effect is pc, lr and ctr, so it is computed, which also makes a branch to itself, or to a place
where no trap can be written, harmless.  Every other instruction falls through, except for three kinds:

- lwarx..stwcx.: a stop in between loses the reservation and the loop never ends, so the sequence runs as one
  unit to the instruction after the store, or to where a branch leaves it (Power ISA Book II, 4.6.2; gdb does
  the same).
- mtsrr0/mtsrr1..rfid: a stop in between overwrites SRR0 and SRR1, since the stub itself is entered by an
  interrupt; the unit ends where rfid goes, which is known only if the value is in a register now.
- rfid by itself: the stop before it has already overwritten where it would go.

`plan_step` does no I/O and does not know how traps get into memory.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from gdbstub import ppc64
from gdbstub.accesses import loads_several
from gdbstub.ppc64 import INSTRUCTION_SIZE, Flow
from gdbstub.target import SIGINT, SIGTRAP, Action, ActionKind, StopKind, StopReason, Target


class Mode(enum.Enum):
    """How a target that cannot step shall be stepped: the user's `single-step-mode`."""

    AUTO = "auto"
    HARDWARE = "hardware"
    SOFTWARE = "software"


@dataclass(frozen=True, slots=True)
class Compute:
    """The step is done by setting these registers."""

    registers: dict[str, int]


@dataclass(frozen=True, slots=True)
class Run:
    """Plant traps at these addresses and let the target run."""

    traps: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Impossible:
    """Cannot be stepped this way; `reason` is for people."""

    reason: str


Plan = Compute | Run | Impossible

# Instructions looked at from the beginning of a unit.  Real reservation loops are shorter than gdb's limit
# of 16; interrupt exits restore up to 32 registers between mtsrr0 and rfid.
RESERVATION_LIMIT = 16
RETURN_LIMIT = 48

MSR_PR = 0x4000


def window(word: int) -> int:
    """Return how many bytes of code at pc `plan_step` needs for an instruction."""
    match ppc64.flow(word):
        case Flow.LOAD_RESERVED:
            return RESERVATION_LIMIT * INSTRUCTION_SIZE
        case Flow.TO_SRR:
            return RETURN_LIMIT * INSTRUCTION_SIZE
        case _:
            return INSTRUCTION_SIZE


def is_unit(word: int) -> bool:
    """True if no stop may come between this instruction and a later one."""
    return ppc64.flow(word) in (Flow.LOAD_RESERVED, Flow.TO_SRR)


def plan_step(code: bytes, pc: int, register: Callable[[str], int]) -> Plan:
    """Return how to execute the instruction at `pc`, the first word of `code`, in software.

    `code` may be shorter than `window` says where memory ends.  `register` gives a register's value by name.
    """
    words = [int.from_bytes(code[at : at + 4], "big") for at in range(0, len(code) - 3, INSTRUCTION_SIZE)]
    following = pc + INSTRUCTION_SIZE
    match ppc64.flow(words[0]):
        case Flow.BRANCH:
            values = [register(name) for name in ("msr", "cr", "lr", "ctr")]
            done = ppc64.execute_branch(words[0], pc, *values)
            return Compute({"pc": done.pc, "lr": done.lr, "ctr": done.ctr})
        case Flow.LOAD_RESERVED:
            return _plan_reservation(words, pc)
        case Flow.TO_SRR:
            return _plan_return(words, pc, register)
        case Flow.RETURN_FROM_INTERRUPT:
            return Impossible(
                "the stop before rfid has overwritten SRR0 and SRR1; set a breakpoint where it goes"
            )
        case _:
            return Run((following,))


def _plan_reservation(words: list[int], pc: int) -> Plan:
    """Run to the end of lwarx..stwcx., or to where a branch leaves it."""
    places = [pc + INSTRUCTION_SIZE * index for index in range(len(words))]
    end = next((n for n, word in enumerate(words) if ppc64.flow(word) is Flow.STORE_CONDITIONAL), None)
    if end is None:
        # A reservation that nothing uses (or uses far away): nothing to keep together.
        return Run((pc + INSTRUCTION_SIZE,))
    exits = {places[end] + INSTRUCTION_SIZE}
    for place, word in zip(places[:end], words[:end], strict=True):
        if ppc64.flow(word) is Flow.BRANCH:
            target = ppc64.static_target(word, place)
            if target is None:
                return Impossible(f"a branch to a register at {place:#x} leaves the lwarx sequence")
            if not pc <= target <= places[end]:
                exits.add(target)
    return Run(tuple(sorted(exits)))


def _plan_return(words: list[int], pc: int, register: Callable[[str], int]) -> Plan:
    """Run from mtsrr0 or mtsrr1 to where the rfid after it goes."""
    sources: dict[int, int] = {}
    changed: set[int] = set()
    targets: set[int] = set()
    for index, word in enumerate(words):
        place = pc + INSTRUCTION_SIZE * index
        source = word >> 21 & 31
        match ppc64.flow(word):
            case Flow.TO_SRR:
                if source in changed:
                    return Impossible(f"the value that mtspr at {place:#x} will move is not known yet")
                sources[ppc64.spr_of(word)] = register(f"r{source}")
            case Flow.BRANCH:
                target = ppc64.static_target(word, place)
                if target is None or word & 1:
                    return Impossible(f"a branch at {place:#x} lies between mtsrr0 and rfid")
                targets.add(target)
            case Flow.RETURN_FROM_INTERRUPT:
                if ppc64.SRR0 not in sources:
                    return Impossible(
                        "the stop has overwritten SRR0 before rfid; set a breakpoint where it goes"
                    )
                if sources.get(ppc64.SRR1, 0) & MSR_PR:
                    return Impossible("rfid leaves the kernel here")
                ways_out = {target for target in targets if not pc <= target <= place}
                return Run(tuple(sorted({*ways_out, sources[ppc64.SRR0] & ~3})))
            case _:
                changed |= _may_change(word)
    return Impossible("no rfid follows mtsrr0 within reach; set a breakpoint after it")


def _may_change(word: int) -> set[int]:
    """Return the numbers of the general registers that an instruction may write, and perhaps more."""
    if loads_several(word):
        return set(range(32))
    # Either field may name the register written, depending on the instruction: count both.
    return {word >> 21 & 31, word >> 16 & 31}


async def step_range(
    target: Target, actions: list[Action], breakpoints: Collection[int], is_interrupted: Callable[[], bool]
) -> StopReason:
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
    before = -1
    while True:
        await target.resume(steps)
        reason = target.stopped or await target.wait_stop()
        if reason.kind is not StopKind.SIGNAL or reason.signal != SIGTRAP:
            return reason
        raw = reason.registers.get(pc_number) or await target.read_register(reason.thread, pc_number)
        pc = description.decode(raw)
        if is_interrupted():
            return replace(reason, signal=SIGINT)
        if pc not in bounds or pc in breakpoints or pc == before:
            return reason
        before = pc
