"""The whole machine: our guest boots over the wire to its prompt, the same way on every kind and engine."""

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


def session(kind: MachineKind, engine: str) -> tuple[int, list[int], bytes]:
    """Boot and use the guest; return its time, every register, and the memory it has touched."""
    guest = WiredMachine(kind, engine)
    guest.run_until_text("> ")
    for command in ("ticks", "fib 12", "tasks"):
        guest.type(command + "\r")
        guest.run_until_text("> ")
    machine = guest.machine
    return machine.now, machine.state.words[: INDEX["engine"]].tolist(), machine.memory.read(0, 0x510_0000)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.value)
def test_the_same_input_gives_the_same_run_on_both_engines(kind: MachineKind) -> None:
    first = session(kind, "threaded")
    assert session(kind, "threaded") == first
    assert session(kind, "reference") == first
