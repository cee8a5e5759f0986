"""What the tests of `gdbstub.client` share: a target that is a stub's, its steps, and a bridge to it."""

from collections.abc import Awaitable, Callable, Sequence

import program
import trio
import trio.testing
from k42_stub import K42Stub
from mini_machine import Machine, Trap

from gdbstub.client import RemoteTarget, connect
from gdbstub.quirks import K42, Quirks
from gdbstub.server import serve_listeners
from gdbstub.surroundings import Surroundings
from gdbstub.target import Action, ActionKind, StopKind

STEP = [Action(ActionKind.STEP)]
GO = [Action()]
PATIENCE = 30

Use = Callable[[RemoteTarget], Awaitable[None]]


def machine_pcs(machine: Machine, count: int) -> list[int]:
    pcs = []
    for _ in range(count):
        try:
            machine.step()
        except Trap:
            break
        pcs.append(machine.pc)
    return pcs


async def bridge(
    stub: trio.abc.Stream,
    listeners: Sequence[trio.abc.Listener[trio.SocketStream]],
    quirks: Quirks,
    surroundings: Surroundings | None = None,
) -> None:
    """Serve the stub on `stub` to one gdb after the other, until cancelled."""
    async with connect(stub, quirks, surroundings) as target:
        await serve_listeners(listeners, target)


async def pc_of(target: RemoteTarget) -> int:
    assert target.stopped is not None
    return target.description.value(await target.read_registers(target.stopped.thread), "pc")


async def stop(target: RemoteTarget) -> None:
    await target.interrupt()
    await target.wait_stop()


async def steps(target: RemoteTarget, count: int) -> list[int]:
    pcs = []
    for _ in range(count):
        await target.resume(STEP)
        reason = await target.wait_stop()
        assert reason.kind is StopKind.SIGNAL and reason.signal == 5, reason
        pcs.append(await pc_of(target))
    return pcs


def with_stub(
    stub: K42Stub, use: Use, surroundings: Surroundings | None = None, quirks: Quirks = K42
) -> None:
    """Run `use` on a target that is the mimic of K42's stub; it must have been a quiet client."""

    async def main() -> None:
        ours, theirs = trio.testing.memory_stream_pair()
        stub.attach(theirs)
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stub.run)
                async with connect(ours, quirks, surroundings) as target:
                    await use(target)
                nursery.cancel_scope.cancel()

    trio.run(main)
    assert not stub.violations
    assert (stub.naks, stub.repeats) == (0, 0), stub.log


def stopped_stub(machine: Machine | None = None) -> K42Stub:
    stub = K42Stub(machine or program.load())
    stub.press_key()
    return stub


NOP = 0x60000000


def words(*values: int) -> bytearray:
    return bytearray(b"".join(value.to_bytes(4, "big") for value in values))
