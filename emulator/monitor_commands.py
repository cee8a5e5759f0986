"""The `monitor` commands of a machine under the debugger; what those that only look show is `monitor`'s."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from emulator.catches import Catches
from emulator.machine import Machine
from emulator.monitor import show_page_table, show_registers, show_slb, show_time, show_translation
from emulator.runner import MachineRunner, Pace

_HELP = """\
help                 this
reset                power off and on; stopped at the first instruction
catch EXCEPTION      stop when it is taken, by name or by vector (0x700); catch: what is caught; catch off
registers            general, special and system registers
slb                  the segment lookaside buffer
translate ADDR       how an effective address becomes real
htab [entries]       the hashed page table: its fill, or its entries
info time            instructions, guest time, timebase, decrementer
single-step-mode     always hardware: the machine executes one instruction
time host|virtual    an idle guest waits for the host's clock, or time jumps to its next event
quit                 end the emulator
"""


class BadCommand(Exception):
    """A command that makes no sense; says why."""


@dataclass(frozen=True, slots=True)
class MonitorCommands:
    """Carries out the commands of one machine.

    `plant` sees to it that the machine stops for the `catches` there are now; `quit` ends the emulator, where
    that is for a debugger to do.
    """

    runner: MachineRunner
    catches: Catches
    plant: Callable[[], Awaitable[None]]
    quit: Callable[[], None] | None

    async def answer(self, command: str) -> str:
        """Carry out a command; return what it says.  Raises BadCommand."""
        match command.split():
            case [] | ["help"]:
                return _HELP
            case ["reset"]:
                await self.runner.reset()
                return f"reset; stopped at {self.runner.machine.state.pc:#x}"
            case ["registers"]:
                return await self._show(show_registers)
            case ["catch"]:
                return self.catches.show()
            case ["catch", which]:
                return await self._catch(which)
            case ["slb"]:
                return await self._show(show_slb)
            case ["translate", text]:
                address = _address(text)
                return await self._show(lambda machine: show_translation(machine, address))
            case ["htab"] | ["htab", "summary"]:
                return await self._show(show_page_table)
            case ["htab", "entries"]:
                return await self._show(lambda machine: show_page_table(machine, entries=True))
            case ["info", "time"]:
                return await self._show(show_time)
            case ["single-step-mode"] | ["single-step-mode", "auto" | "hardware"]:
                return (
                    "single-step-mode is hardware: the machine executes one instruction, interrupts included"
                )
            case ["single-step-mode", "software"]:
                return "single-step-mode stays hardware: the machine steps by itself and plants no traps"
            case ["single-step-mode", mode]:
                return f"single-step-mode is one of auto, hardware, software; not {mode}"
            case ["time", ("host" | "virtual") as pace]:
                self.runner.pace = Pace(pace)
                return f"time: {pace}"
            case ["quit"] if self.quit is not None:
                self.quit()
                return "the emulator ends"
            case _:
                raise BadCommand(f"monitor {command}: unknown; `monitor help` lists the commands")

    async def _catch(self, which: str) -> str:
        if which == "off":
            self.catches.clear()
        else:
            try:
                self.catches.add(which)
            except ValueError as error:
                raise BadCommand(str(error)) from None
        await self.plant()
        return self.catches.show()

    async def _show(self, show: Callable[[Machine], str]) -> str:
        return show(await self.runner.at_rest())


def _address(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise BadCommand(f"{text!r} is not an address; write it as 0xc000000002000000") from None
