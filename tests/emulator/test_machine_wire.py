"""The whole machine: our guest boots over the wire to its prompt, the same way on every kind of machine."""

from __future__ import annotations

import pytest
from wired import WiredMachine

from emulator.config import MachineKind
from emulator.cpu.state import INDEX

KINDS = [MachineKind.HARDWARE, MachineKind.MAMBO]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.value)
def test_guest_boots_to_its_prompt_and_computes(kind: MachineKind) -> None:
    guest = WiredMachine(kind)
    guest.run_until_text("> ")
    guest.type("fib 10\r")
    assert "55" in guest.run_until_text("> ")


def test_two_runs_with_the_same_input_at_the_same_time_are_the_same() -> None:
    def run() -> tuple[int, list[int], bytes]:
        guest = WiredMachine()
        guest.run_until_text("> ")
        guest.type("ticks\r")
        guest.run_until_text("> ")
        return guest.machine.now, guest.machine.state.words[: INDEX["engine"]].tolist(), guest.machine.memory.read(0, 1 << 25)

    assert run() == run()
