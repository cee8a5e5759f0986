"""Where a stub's target stands: found out late, silent, on its way, broken into."""

import program
import pytest
import trio
import trio.testing
from client_session import GO, PATIENCE, STEP, machine_pcs, pc_of, steps, stop, stopped_stub, with_stub
from k42_stub import K42Stub

from gdbstub.client import RemoteTarget, connect
from gdbstub.quirks import AUTO, K42
from gdbstub.surroundings import Surroundings
from gdbstub.target import TargetError


def test_a_running_stub_is_found_out_when_it_stops() -> None:
    stub = K42Stub(program.load())

    async def use(target: RemoteTarget) -> None:
        with pytest.raises(TargetError, match="enter its debugger"):
            await target.interrupt()
        assert target.quirks is AUTO
        stub.press_key()
        await target.wait_stop()
        assert target.quirks is K42
        await steps(target, 3)

    with_stub(stub, use, quirks=AUTO)


def test_a_silent_stub_is_an_error_that_quotes_the_console(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gdbstub.link.LONGEST_PATIENCE", 0.2)

    async def console() -> bytes:
        return b"boot\r\none\r\ntwo\r\n\r\nTrap in Debugger at pc c000\r\n\x1b[0m\r\n"

    async def main() -> None:
        ours, theirs = trio.testing.memory_stream_pair()
        stub = stopped_stub()
        stub.attach(theirs)
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stub.run)
                async with connect(ours, K42, Surroundings(console=console)) as target:
                    await stop(target)
                    nursery.cancel_scope.cancel()
                    quoted = pytest.raises(TargetError, match="last lines: one . two . Trap in Debugger")
                    with trio.CancelScope(shield=True), quoted:
                        await target.read_memory(0x100, 4)

    trio.run(main)


def test_a_stub_that_wakes_up_again_is_where_it_was_without_a_trap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gdbstub.link.LONGEST_PATIENCE", 0.2)
    monkeypatch.setattr("gdbstub.link.SILENT_PATIENCE", 0.2)
    stub = stopped_stub()
    text_at = min(stub.machine.memory)
    text = bytes(stub.machine.memory[text_at])

    async def use(target: RemoteTarget) -> None:
        await stop(target)
        assert await steps(target, 2) == machine_pcs(program.load(), 2)
        pc = await pc_of(target)
        await target.read_memory(pc, 4)
        stub.frozen = trio.Event()
        await target.resume(STEP)
        with pytest.raises(TargetError, match="does not answer"):
            await target.wait_stop()
        assert target.stopped is not None
        stub.frozen.set()
        stub.frozen = None
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert await steps(target, 3) == machine_pcs(program.load(), 5)[2:]
        await target.detach()
        assert bytes(stub.machine.memory[text_at])[:4096] == text[:4096]

    with_stub(stub, use)


def test_a_stop_that_is_on_its_way_is_waited_for_and_nothing_is_typed() -> None:
    stub = stopped_stub()
    stub.delay = 0.02
    typed = 0

    async def break_in() -> None:
        nonlocal typed
        typed += 1

    async def use(target: RemoteTarget) -> None:
        await stop(target)
        await target.resume(GO)
        while not stub.is_running:
            await trio.lowlevel.checkpoint()
        stub.press_key()
        await target.interrupt()
        await target.wait_stop()
        assert typed == 0

    with_stub(stub, use, Surroundings(break_in=break_in))


def test_a_break_in_is_typed_once_for_a_run_however_often_somebody_presses_control_c() -> None:
    stub = stopped_stub()
    typed = 0

    async def break_in() -> None:
        nonlocal typed
        typed += 1

    async def use(target: RemoteTarget) -> None:
        await stop(target)
        for run in (1, 2):
            await target.resume(GO)
            while not stub.is_running:
                await trio.lowlevel.checkpoint()
            for _ in range(3):
                await target.interrupt()
            assert typed == run
            stub.press_key()
            await target.wait_stop()
        await target.detach()
        await target.interrupt()
        assert typed == 3

    with_stub(stub, use, Surroundings(break_in=break_in))
