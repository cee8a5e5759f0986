"""Software steps through the guest's own stub, judged by the emulator's own trace of the same program."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest
import trio

from emulator.boot import load_elf
from emulator.config import MachineConfig
from emulator.machine import Machine
from emulator.symbols import read_symbols
from gdbstub.client import RemoteTarget, connect
from gdbstub.quirks import PLAIN
from gdbstub.target import Action, ActionKind, Breakpoint, BreakpointKind
from k42.kernel import guest_kernel
from k42.ports import LOOPBACK
from k42.wired_machine import WiredMachine

RunningUp = Callable[..., AbstractAsyncContextManager]
STEPS = 150


def own_trace(entry: int) -> list[int]:
    """The machine's own steps from `entry` on: more of them, since interrupts are among them."""
    wired = WiredMachine(Machine(MachineConfig(), load_elf(str(guest_kernel()))), b"fib 9\r")
    wired.run_to(entry, 10.0, lambda done: None)
    return [step.pc for step in wired.record(20 * STEPS)]


async def steps_by(target: RemoteTarget, count: int) -> list[int]:
    pcs = []
    for _ in range(count):
        assert target.stopped is not None
        pcs.append(target.description.value(await target.read_registers(target.stopped.thread), "pc"))
        await target.resume([Action(ActionKind.STEP)])
        await target.wait_stop()
    return pcs


@pytest.mark.parametrize("mode", ["software", "hardware"])
def test_steps_are_the_machines_own_in_order(running_up: RunningUp, mode: str) -> None:
    entry = read_symbols(str(guest_kernel())).address("fib")
    assert entry is not None
    seen: list[int] = []

    async def main() -> None:
        with trio.fail_after(110):
            async with running_up("--single-step-mode", mode) as up, await up.console() as console:
                await console.expect(console.prompt)
                await console.type("trap\r")
                await console.expect("GDB got trap")
                stream = await trio.open_tcp_stream(LOOPBACK, up.ports.bridge)
                async with connect(stream, PLAIN) as target:
                    await target.interrupt()
                    await target.wait_stop()
                    at_fib = Breakpoint(BreakpointKind.SOFTWARE, entry)
                    await target.insert(at_fib)
                    await target.resume([Action()])
                    await console.expect(console.prompt)
                    await console.type("fib 9\r")
                    await target.wait_stop()
                    await target.remove(at_fib)
                    seen.extend(await steps_by(target, STEPS))
                    await target.detach()
                assert "34" in await console.expect(console.prompt)

    trio.run(main)
    own = own_trace(entry)
    # No unit is in there, so not one instruction is missing, but for those of interrupts.
    code = set(seen)
    assert len(seen) == STEPS
    assert [pc for pc in own if pc in code][:STEPS] == seen
