"""Loops: the instructions of a code page that lead back to each other, found from one of them.

Everything is read from records, never from the guest's memory, which may have changed since.  A loop stays
within its page; what it cannot contain (`can_contain`) is a way out of it.  Where an indirect jump leads,
somebody else must know.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache

from emulator.engines.layout import RECORDS_PER_PAGE
from emulator.engines.names import is_direct_branch
from emulator.isa.decode import Form, operations

#: A loop of more instructions is left to its inner ones.
LONGEST = 400
#: What needs Python, ends a run, or goes by register numbers known at run time only.
_FOREIGN = frozenset({"call", "switch", "context_changed", "load_registers", "store_registers"})
_WRITES = ("put", "put_bit", "store", "poke", "clear")
_MAY_STOP = ("load", "store", "find", "call_if", "instead_if", "leave_instead_if")


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction: its record's number and contents, and where it branches to."""

    index: int
    form: Form
    slots: int
    immediate: int
    pc: int
    #: The record that a direct branch goes to, if it is in the page.
    target: int | None

    @property
    def name(self) -> str:
        """All that the code depends on, without host addresses."""
        number = self.immediate if self.target is None else self.target
        return f"{self.index} {self.form.name} {self.slots:x} {number:x} {self.target is None} {self.pc:x}"

    @property
    def ending(self) -> str:
        """The last op, if it is a branch."""
        return _ending(self.form)

    @property
    def is_indirect(self) -> bool:
        return bool(self.ending) and not is_direct_branch(self.form)


@dataclass(frozen=True, slots=True)
class Loop:
    """Instructions by their records, the entries among them, and where indirect jumps may lead."""

    steps: Mapping[int, Step]
    entries: frozenset[int]
    targets: frozenset[int]

    @property
    def name(self) -> str:
        """All that the code depends on."""
        parts = [step.name for step in self.steps.values()]
        return "\n".join([*sorted(parts), repr(sorted(self.entries)), repr(sorted(self.targets))])


@cache
def _ending(form: Form) -> str:
    codes = [op.code for op in operations(form, has_host_units=True)]
    return codes[-1] if codes and codes[-1] in ("branch", "branch_if") else ""


@cache
def can_contain(form: Form) -> bool:
    """Tell whether an instruction may be part of a loop."""
    is_written = False
    for op in operations(form, has_host_units=True):
        with_values = op.code == "stop_if" and len(op.args) > 2
        if op.code in _FOREIGN or (is_written and (op.code.startswith(_MAY_STOP) or with_values)):
            return False
        is_written = is_written or op.code.startswith(_WRITES)
    return True


def successors(step: Step, targets: Collection[int]) -> list[int]:
    """Return the records where execution may go on within the page; `targets`: of indirect jumps."""
    following: list[int] = []
    if step.ending != "branch":
        following.append(step.index + 1)
    if step.target is not None:
        following.append(step.target)
    elif step.is_indirect:
        following.extend(targets)
    return following


def find_loop(step_at: Callable[[int], Step | None], targets: frozenset[int], index: int) -> dict[int, Step]:
    """Return the instructions on ways from `index` back to it, by their records; none: nothing goes round.

    If they are more than LONGEST, those of the smallest backward jump around `index`.
    """
    reached = _reach(step_at, targets, index, range(RECORDS_PER_PAGE))
    loop = _leading_to(reached, targets, index)
    if len(loop) > LONGEST:
        jumps = [
            range(to, step.index + 1)
            for step in loop.values()
            for to in successors(step, ())
            if to <= index <= step.index
        ]
        for inside in sorted(jumps, key=len):
            loop = _leading_to(_reach(step_at, targets, index, inside), targets, index)
            if loop:
                break
    return loop if len(loop) <= LONGEST else {}


def _reach(
    step_at: Callable[[int], Step | None], targets: frozenset[int], index: int, inside: range
) -> dict[int, Step]:
    reached: dict[int, Step] = {}
    ahead = [index]
    while ahead:
        at = ahead.pop()
        if at in reached or at not in inside:
            continue
        step = step_at(at)
        if step is not None:
            reached[at] = step
            ahead += successors(step, targets)
    return reached


def _leading_to(reached: dict[int, Step], targets: frozenset[int], index: int) -> dict[int, Step]:
    """Return those of the instructions reached that lead back to `index`."""
    before: dict[int, list[int]] = {}
    for step in reached.values():
        for to in successors(step, targets):
            before.setdefault(to, []).append(step.index)
    leading: dict[int, Step] = {}
    ahead = list(before.get(index, ()))
    while ahead:
        at = ahead.pop()
        if at not in leading:
            leading[at] = reached[at]
            ahead += before.get(at, ())
    return leading
