"""Watchpoints for stubs that have none: every instruction is looked at before it is stepped.

As a watchpoint should (docs/design.md), it stops before the access, with pc at the instruction and the exact
address.  gdb does the same thing from outside, but asks thirty questions for each step; here a step costs
what the stub costs.  What cannot be looked at one by one - a system call, a unit, a function of the stub's,
an interrupt in between - is found by what it has changed.
"""

from __future__ import annotations

from collections.abc import Iterable

from gdbstub.accesses import DataAccess
from gdbstub.target import Breakpoint, BreakpointKind, StopKind, StopReason

# Seconds between two notes of how far we are.
NOTE_INTERVAL = 3.0

KINDS = {
    BreakpointKind.WRITE: StopKind.WATCH,
    BreakpointKind.READ: StopKind.RWATCH,
    BreakpointKind.ACCESS: StopKind.AWATCH,
}


def find_hit(watches: Iterable[Breakpoint], access: DataAccess) -> StopReason | None:
    """Return the stop that `access` makes, if somebody watches it."""
    for watch in watches:
        low = max(watch.addr, access.addr)
        if low >= min(watch.addr + watch.length, access.addr + access.length):
            continue
        if access.stores and watch.kind is not BreakpointKind.READ:
            return StopReason(KINDS[watch.kind], addr=low)
        if access.loads and watch.kind is not BreakpointKind.WRITE:
            return StopReason(KINDS[watch.kind], addr=low)
    return None


def find_change(before: dict[Breakpoint, bytes], after: dict[Breakpoint, bytes]) -> StopReason | None:
    """Return the stop for watched memory that differs."""
    for watch, old in before.items():
        new = after.get(watch, old)
        if new != old and watch.kind is not BreakpointKind.READ:
            offset = next((n for n, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), 0)
            return StopReason(KINDS[watch.kind], addr=watch.addr + offset)
    return None
