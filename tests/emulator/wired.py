"""A machine joined to thinwire's multiplexer without sockets, tasks or a clock: the whole wire in one
thread."""

from __future__ import annotations

from emulator.boot import load_elf
from emulator.config import MachineConfig, MachineKind
from emulator.cpu.exits import ExitKind
from emulator.guests import MINI
from emulator.machine import Machine
from thinwire.mux import Mux

#: Guest time after which a test gives up: ten seconds.
PATIENCE = 1_000_000_000


class WiredMachine:
    """Our guest on a machine of `kind`; `text` is what channel 0 has shown so far."""

    def __init__(self, kind: MachineKind = MachineKind.HARDWARE, engine: str = "auto") -> None:
        self.machine = Machine(MachineConfig(kind, engine=engine), load_elf(str(MINI)))
        self.machine.wire.connected = True
        self.mux = Mux([0, 1])
        self.mux.attach(0)
        self.machine.wire.feed(self.mux.line_opened())
        self.text = ""

    def type(self, text: str) -> None:
        self.machine.wire.feed(self.mux.typed(0, text.encode()))

    def run_until_text(self, wanted: str) -> str:
        """Run until channel 0 has shown `wanted` since the last call; return what it showed."""
        deadline = self.machine.now + PATIENCE
        while wanted not in self.text:
            assert self.machine.now < deadline, f"no {wanted!r} in {self.text!r}"
            self.advance()
        shown, self.text = self.text, ""
        return shown

    def advance(self) -> None:
        """Run until the guest waits, then carry what it said."""
        machine, shown = self.machine, self.mux.channels[0].outgoing
        exit_ = machine.run(1_000_000)
        reply = self.mux.receive(machine.wire.drain())
        self.text += b"".join(shown).decode()
        reply += self.mux.taken(0, len(shown))
        if reply:
            machine.wire.feed(reply)
        elif exit_.kind is ExitKind.IDLE:
            limit = machine.idle_limit(exit_)
            assert limit is not None, "the guest waits for input that nobody will give"
            machine.sleep(limit)
        else:
            assert exit_.kind is ExitKind.BUDGET, exit_
