"""mini on our own machine, a slice of guest time for each look at the line."""

from __future__ import annotations

from dataclasses import dataclass

from emulator import boot
from emulator.config import MachineConfig, MachineKind
from emulator.cpu.exits import ExitKind
from emulator.devices.port import Port
from emulator.guests import MINI
from emulator.machine import Machine


def machine_with_mini(kind: MachineKind, parameters: dict[str, str] | None = None) -> Machine:
    """A machine before its first instruction, with somebody at the other end of its line."""
    machine = Machine(MachineConfig(kind), boot.load_elf(str(MINI), parameters))
    line_port(machine).connected = True
    return machine


def line_port(machine: Machine) -> Port:
    """The port that thinwire runs over: a partition has nothing but its console."""
    return machine.console if machine.config.kind is MachineKind.LPAR else machine.wire


@dataclass
class MachineLine:
    """Our machine runs only when asked to, and sleeps in no time.  `end` is its exit code once it has one."""

    machine: Machine
    #: Instructions between two looks at the line: a few milliseconds of guest time.
    slice: int = 500_000
    end: int | None = None

    def exchange(self, data: bytes) -> bytes:
        line_port(self.machine).feed(data)
        exit_ = self.machine.run_until(self.machine.now + self.slice)
        if exit_.kind is ExitKind.SHUTDOWN:
            self.end = exit_.detail
        else:
            assert exit_.kind is ExitKind.BUDGET, exit_
        return line_port(self.machine).drain()
