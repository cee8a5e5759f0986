"""The breakpoints of one stub: its own where it has that kind, else a planted trap, or a look at each step.

What the stub has set is its business.  A trap that is wanted is planted at once and kept up to date by
`stub_state`, and a watchpoint that the stub lacks is only noted here: while there are any, `run_control`
steps and looks (`watching`).  Conditions are judged by us in all three cases.
"""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable

from gdbstub import commands, watching
from gdbstub.commands import Command
from gdbstub.stub_registers import Missing
from gdbstub.stub_state import StubState
from gdbstub.target import (
    INSTRUCTION_KINDS,
    Breakpoint,
    BreakpointKind,
    Condition,
    MemoryFault,
    TargetError,
    Unsupported,
)

# What is watched by stepping is read again and again.
MAX_WATCHES = 32
LONGEST_WATCH = 1024

# Places in memory that one condition may look at.
MAX_FETCHES = 64


class StubBreakpoints:
    """What a debugger wants its target to stop at.

    `ask` sends a command that the stub may not know.  `stubs_own` are the breakpoints that the stub itself
    has set; `watches` are the watchpoints made by stepping, which `watches_by_stepping` allows.
    """

    def __init__(self, state: StubState, ask: Callable[[Command], Awaitable[bytes]]) -> None:
        self.stubs_own: set[Breakpoint] = set()
        self.watches: list[Breakpoint] = []
        self.watches_by_stepping = True
        self._state = state
        self._ask = ask
        self._conditions: dict[int, Condition] = {}

    async def insert(self, breakpoint: Breakpoint, condition: Condition | None = None) -> None:
        """Set a breakpoint.  Raises Unsupported, TargetError."""
        if breakpoint.kind in INSTRUCTION_KINDS:
            self._conditions.pop(breakpoint.addr, None)
            if condition is not None:
                self._conditions[breakpoint.addr] = condition
        elif condition is not None:
            raise Unsupported("a condition on data")
        if breakpoint in self.stubs_own:
            return
        try:
            await self._ask(
                commands.InsertBreakpoint(breakpoint.kind.value, breakpoint.addr, breakpoint.length)
            )
            self.stubs_own.add(breakpoint)
        except Unsupported:
            await self._make_up(breakpoint)

    async def _make_up(self, breakpoint: Breakpoint) -> None:
        if breakpoint.kind in watching.KINDS and self.watches_by_stepping:
            self._watch(breakpoint)
        elif breakpoint.kind is BreakpointKind.SOFTWARE:
            if breakpoint.addr not in self._state.traps.planted:
                await self._state.plant(breakpoint.addr)
            self._state.traps.wanted.add(breakpoint.addr)
        else:
            raise Unsupported("this kind of breakpoint")

    def _watch(self, watch: Breakpoint) -> None:
        if len(self.watches) >= MAX_WATCHES or not 0 < watch.length <= LONGEST_WATCH:
            raise TargetError(
                errno.ENOSPC, f"at most {MAX_WATCHES} places of {LONGEST_WATCH} bytes are watched by stepping"
            )
        if watch not in self.watches:
            self.watches.append(watch)

    async def remove(self, breakpoint: Breakpoint) -> None:
        """Remove a breakpoint; a planted trap stays until the next resume, since gdb mostly puts it back."""
        self._conditions.pop(breakpoint.addr, None)
        if breakpoint.kind is BreakpointKind.SOFTWARE and breakpoint.addr in self._state.traps.wanted:
            self._state.traps.wanted.discard(breakpoint.addr)
        elif breakpoint in self.watches:
            self.watches.remove(breakpoint)
        elif breakpoint in self.stubs_own:
            await self._ask(
                commands.RemoveBreakpoint(breakpoint.kind.value, breakpoint.addr, breakpoint.length)
            )
            self.stubs_own.discard(breakpoint)

    async def counts(self, pc: int) -> bool:
        """True unless a breakpoint at `pc` has a condition that does not hold: somebody wants that stop."""
        condition = self._conditions.get(pc)
        return condition is None or await self._holds(condition)

    async def _holds(self, condition: Condition) -> bool:
        """Ask a condition, fetching what it turns out to look at."""
        for _ in range(MAX_FETCHES):
            try:
                return condition(self._state)
            except Missing as missing:
                try:
                    await missing.fetch()
                except MemoryFault:
                    return True
            except TargetError:
                return True
        return True

    async def watched(self) -> dict[Breakpoint, bytes]:
        """Read what is watched; what cannot be read is not there yet."""
        found = {}
        for watch in self.watches:
            try:
                found[watch] = await self._state.read(watch.addr, watch.length)
            except MemoryFault:
                continue
        return found
