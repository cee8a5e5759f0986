"""A machine and the multiplexer's core, joined without a wire or a clock: every run comes out the same.

Guest time is the only time: an idle guest's time passes at once.  Whatever the kernel says on the wire is
answered between two slices.  Text for the console is typed when the kernel first has nothing to do, which is
after it has booted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from emulator.cpu.exits import Exit, ExitKind, describe
from emulator.cpu.timers import INSTRUCTIONS_PER_SECOND
from emulator.machine import Machine
from emulator.trace import Step, record
from k42.errors import UserError
from thinwire.mux import CONSOLE, Mux, Phase

#: Channels a kernel may write to; what it writes is dropped, but for the console's.
CHANNELS = range(5)
SLICE = 100_000


def _ignore(_text: bytes) -> None:
    pass


class WiredMachine:
    """One machine with somebody at the other end of its line; `on_console` hears what the kernel prints."""

    def __init__(
        self, machine: Machine, typing: bytes = b"", on_console: Callable[[bytes], None] = _ignore
    ) -> None:
        self.machine = machine
        self._mux = Mux(CHANNELS)
        self._typing = typing
        self._on_console = on_console
        machine.wire.connected = True
        machine.wire.feed(self._mux.line_opened())
        for number in CHANNELS:
            self._mux.attach(number)

    def run_to(self, address: int, seconds: float, progress: Callable[[int], None]) -> None:
        """Run until pc is `address`, at most `seconds` of guest time; `progress` is told instructions done.

        Raises UserError when the kernel does not get there.
        """
        machine = self.machine
        end = machine.now + int(seconds * INSTRUCTIONS_PER_SECOND)
        machine.set_breakpoints({address})
        try:
            while machine.now < end:
                exit_ = machine.run(SLICE)
                self._exchange()
                progress(machine.state.icount)
                if exit_.kind is ExitKind.BREAKPOINT:
                    return
                self._pass_time(exit_, end)
        finally:
            machine.set_breakpoints(())
        raise UserError(
            f"the kernel does not reach {address:#x} within {seconds:g} seconds of its time: "
            "does it need --type to go there, or a longer --within?"
        )

    def record(self, count: int) -> Iterator[Step]:
        """Step up to `count` times, answering the wire in between; fewer where the machine ends."""
        for step in record(self.machine, count):
            self._exchange()
            yield step

    def _pass_time(self, exit_: Exit, end: int) -> None:
        match exit_.kind:
            case ExitKind.BUDGET:
                return
            case ExitKind.IDLE:
                self._type()
                limit = self.machine.idle_limit(exit_)
                left = max(end - self.machine.now, 0)
                if not self.machine.wire.waiting:
                    self.machine.sleep(left if limit is None else min(limit, left))
            case _:
                raise UserError(f"the machine stopped on the way: {describe(exit_)}")

    def _type(self) -> None:
        if self._typing and self._mux.phase is Phase.FRAMED:
            self.machine.wire.feed(self._mux.typed(CONSOLE, self._typing))
            self._typing = b""

    def _exchange(self) -> None:
        """Let the multiplexer answer what the kernel has said."""
        wire = self.machine.wire
        if not wire.pending:
            return
        wire.feed(self._mux.receive(wire.drain()))
        for number in CHANNELS:
            outgoing = self._mux.channels[number].outgoing
            while outgoing.size:
                text = b"".join(outgoing.front())
                if number == CONSOLE:
                    self._on_console(text)
                wire.feed(self._mux.taken(number, len(text)))
