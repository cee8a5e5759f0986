"""RemoteTarget against four stubs: our own server, QEMU's, and the mimics of K42's and kgdb's."""

import subprocess
import tempfile
from functools import partial
from pathlib import Path

import program
import pytest
import trio
import trio.testing
from client_session import GO, PATIENCE, machine_pcs, pc_of, steps, stop, stopped_stub, with_stub
from kgdb_stub import CPU, TASKS, KgdbStub
from machine_target import MachineTarget

from gdbstub.client import RemoteTarget, connect
from gdbstub.quirks import AUTO, K42, KGDB, PLAIN, Quirks
from gdbstub.server import serve
from gdbstub.surroundings import Surroundings
from gdbstub.target import SIGINT, Breakpoint, BreakpointKind, MemoryFault


async def conformance(target: RemoteTarget) -> None:
    """What every stub's target does, whatever is at the other end."""
    await stop(target)
    assert await steps(target, 20) == machine_pcs(program.load(), 20)
    fib = Breakpoint(BreakpointKind.SOFTWARE, program.symbols()["fib"])
    before = await target.read_memory(fib.addr, 16)
    await target.insert(fib)
    assert await target.read_memory(fib.addr, 16) == before
    for _ in range(2):
        await target.resume(GO)
        reason = await target.wait_stop()
        assert reason.signal == 5 and await pc_of(target) == fib.addr
        await target.remove(fib)
        await steps(target, 1)
        await target.insert(fib)
    await target.remove(fib)
    table = program.symbols()["table"]
    assert await target.read_memory(table, 16) == bytes(7) + b"\3" + bytes(7) + b"\1"
    await target.write_memory(table + 6, b"\1\2")
    assert await target.read_memory(table, 8) == bytes(6) + b"\1\2"
    number = target.description.numbers["r20"]
    assert target.stopped is not None
    thread = target.stopped.thread
    await target.write_register(thread, number, bytes(range(8)))
    await steps(target, 2)
    assert await target.read_register(thread, number) == bytes(range(8))
    with pytest.raises(MemoryFault):
        await target.read_memory(0x6000_0000, 4)


def test_conformance_k42() -> None:
    with_stub(stopped_stub(), conformance)


def test_conformance_k42_found_out() -> None:
    async def use(target: RemoteTarget) -> None:
        await conformance(target)
        assert target.quirks is K42

    with_stub(stopped_stub(), use, quirks=AUTO)


@pytest.mark.parametrize("quirks", [PLAIN, AUTO])
def test_conformance_our_own_server(quirks: Quirks) -> None:
    async def main() -> None:
        ours, theirs = trio.testing.memory_stream_pair()
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(serve, theirs, MachineTarget(program.load()))
                async with connect(ours, quirks) as target:
                    await conformance(target)
                    assert target.quirks is PLAIN
                    assert target.description.register("msr").bits == 64
                    await target.resume(GO)
                    await target.interrupt()
                    assert (await target.wait_stop()).signal == SIGINT
                    assert await target.monitor("hello") == "you said hello\n"
                    assert "hardware: the stub steps by itself" in await target.monitor(
                        "single-step-mode hardware"
                    )
                    await target.detach()

    trio.run(main)


@pytest.mark.parametrize("quirks", [KGDB, AUTO])
def test_conformance_kgdb(quirks: Quirks) -> None:
    texts: list[bytes] = []

    async def main() -> None:
        ours, theirs = trio.testing.memory_stream_pair()
        stub = KgdbStub(MachineTarget(program.load()))
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stub.run, theirs)
                async with connect(ours, quirks, Surroundings(on_text=texts.append)) as target:
                    # The greeting is the first thing heard.
                    while quirks is AUTO and target.quirks is AUTO:
                        await trio.lowlevel.checkpoint()
                    await conformance(target)
                    assert target.quirks is KGDB
                    assert [thread.id for thread in await target.threads()] == [CPU & 0x7FFFFFFF, *TASKS]
                    await target.detach()
                nursery.cancel_scope.cancel()

    trio.run(main)
    assert b"usb 1-1: new device" in b"".join(texts)


def test_kgdb_is_found_out_by_its_answers() -> None:
    async def main() -> None:
        ours, theirs = trio.testing.memory_stream_pair()
        stub = KgdbStub(MachineTarget(program.load()), greeting=b"")
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stub.run, theirs)
                async with connect(ours, AUTO) as target:
                    await stop(target)
                    assert target.quirks is KGDB
                nursery.cancel_scope.cancel()

    trio.run(main)


async def when_listening(path: Path) -> trio.SocketStream:
    """QEMU gives no sign when its socket is there."""
    for _ in range(1000):
        try:
            return await trio.open_unix_socket(path)
        except OSError:
            await trio.sleep(0.01)
    raise AssertionError("qemu-ppc64 does not listen")


@pytest.mark.parametrize("quirks", [PLAIN, AUTO])
def test_conformance_qemu(quirks: Quirks) -> None:
    async def main() -> None:
        with tempfile.TemporaryDirectory() as folder, trio.fail_after(PATIENCE):
            path = Path(folder) / "gdb"
            command = ["qemu-ppc64", "-cpu", "970", "-g", str(path), str(program.build())]
            async with trio.open_nursery() as nursery:
                run = partial(trio.run_process, command, check=False, stderr=subprocess.DEVNULL)
                await nursery.start(run)
                stream = await when_listening(path)
                async with connect(stream, quirks) as target:
                    await conformance(target)
                    assert target.quirks is PLAIN
                nursery.cancel_scope.cancel()

    trio.run(main)


def test_a_place_that_does_not_hold_the_registers_is_not_believed() -> None:
    stub = stopped_stub()

    async def use(target: RemoteTarget) -> None:
        await conformance(target)

    with_stub(stub, use, Surroundings(register_blocks=(program.symbols()["table"], 0x6000_0000)))
