"""What came into a machine from outside and when, so that its run can be had again.

Everything else in a run follows from the program: time counts instructions, and an idle guest sleeps
until its own next event or until an input.  The debugger's halts are not input; a run that was halted
while the guest was idle is not repeated exactly from there on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from emulator.cpu.exits import Exit, ExitKind
from emulator.machine import Machine


@dataclass(frozen=True, slots=True)
class Input:
    """Something that came from outside at guest time `time`: bytes, or a peer that came or went."""

    time: int
    port: str
    data: bytes = b""
    connected: bool | None = None


def replay(machine: Machine, inputs: Iterable[Input], until: int) -> Exit:
    """Run `machine` to guest time `until` with a journal's inputs, in virtual time; return why it ended.

    The guest must not fill a port between two inputs: nobody drains it.
    """
    for each in inputs:
        exit_ = machine.run_until(each.time)
        if exit_.kind is not ExitKind.BUDGET:
            return exit_
        apply(machine, each)
    return machine.run_until(until)


def apply(machine: Machine, come: Input) -> None:
    """Let one input reach the machine, now."""
    port = machine.wire if come.port == "wire" else machine.console
    if come.connected is not None:
        port.connected = come.connected
        # What was on its way to the peer that left goes with it.
        if not come.connected:
            port.drain()
    port.feed(come.data)
