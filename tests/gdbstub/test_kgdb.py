"""RemoteTarget in front of the mimic of Linux's KGDB: what was seen with the real one."""

from collections.abc import Awaitable, Callable

import program
import pytest
import trio
import trio.testing
from kgdb_stub import BUFFER, CPU, KSP_AT, TASKS, KgdbStub, stack_of
from machine_target import MachineTarget

from gdbstub.client import RemoteTarget, connect
from gdbstub.conversation import ATTACH_PATIENCE
from gdbstub.quirks import AUTO, KGDB, Quirks
from gdbstub.surroundings import Surroundings
from gdbstub.target import (
    Action,
    ActionKind,
    Breakpoint,
    BreakpointKind,
    StopKind,
    TargetError,
)

GO = [Action()]
STEP = [Action(ActionKind.STEP)]
PATIENCE = 30
KEYS = b"\x0fg"

Use = Callable[[RemoteTarget], Awaitable[None]]


def with_kgdb(
    stub: KgdbStub, use: Use, quirks: Quirks = KGDB, keys: bytes = b"", texts: list[bytes] | None = None
) -> bytes:
    """Run `use` on the mimic; return the console's text."""
    texts = [] if texts is None else texts

    async def main() -> None:
        ours, theirs = trio.testing.memory_stream_pair()
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stub.run, theirs)
                surroundings = Surroundings(on_text=texts.append, keys=keys)
                async with connect(ours, quirks, surroundings) as target:
                    await use(target)
                nursery.cancel_scope.cancel()

    trio.run(main)
    return b"".join(texts)


async def within_patience(main: Callable[[], Awaitable[None]]) -> None:
    with trio.fail_after(PATIENCE):
        await main()


async def stop(target: RemoteTarget) -> None:
    if target.stopped is None:
        await target.interrupt()
    await target.wait_stop()


async def when(is_true: Callable[[], bool]) -> None:
    # The mimic's two tasks give no signs.
    while not is_true():  # noqa: ASYNC110
        await trio.sleep(0.001)


def kgdb(**options: object) -> KgdbStub:
    return KgdbStub(MachineTarget(program.load()), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("quirks", [KGDB, AUTO])
def test_its_text_tells_that_it_waits(quirks: Quirks) -> None:
    stub = kgdb()

    async def use(target: RemoteTarget) -> None:
        await target.wait_stop()
        assert target.quirks is KGDB

    text = with_kgdb(stub, use, quirks)
    assert text == stub.greeting


@pytest.mark.parametrize("quirks", [KGDB, AUTO])
def test_the_first_packet_is_lost_on_a_stub_that_waits_for_an_acknowledgement(quirks: Quirks) -> None:
    stub = kgdb(was_attached=True)

    async def use(target: RemoteTarget) -> None:
        await stop(target)
        assert target.quirks is KGDB

    with_kgdb(stub, use, quirks)
    assert stub.naks == 1
    assert stub.log[0] == b"?"


def test_all_threads_are_listed_more_than_once_and_have_names() -> None:
    async def use(target: RemoteTarget) -> None:
        await stop(target)
        for _ in range(2):
            assert [thread.id for thread in await target.threads()] == [CPU & 0x7FFFFFFF, *TASKS]
            await target.resume(STEP)
            await target.wait_stop()
        assert target.names_threads
        assert await target.thread_name(CPU & 0x7FFFFFFF) == "shadowCPU0"
        assert await target.thread_name(7) == "task/7"
        asked = len(stub.log)
        await target.threads()
        await target.threads()
        assert len(stub.log) == asked + 4

    stub = kgdb()
    with_kgdb(stub, use)


def test_the_thread_that_stopped_is_asked_for_where_the_stop_does_not_say() -> None:
    async def use(target: RemoteTarget) -> None:
        await stop(target)
        assert target.stopped is not None and target.stopped.thread == CPU & 0x7FFFFFFF
        before = await target.read_registers(target.stopped.thread)
        assert target.description.value(before, "pc") == stub.target.machine.pc
        await target.resume(STEP)
        assert (await target.wait_stop()).thread == CPU & 0x7FFFFFFF

    stub = kgdb(current=CPU)
    with_kgdb(stub, use)


def test_ctr_is_read_and_written_where_the_interrupt_saved_it() -> None:
    machine = program.load()
    machine.ctr, machine.xer, machine.lr, machine.cr = 0xC000_0000_1234_5678, 0x2000_0000, 0x1000, 0x4200_0000
    stub = KgdbStub(MachineTarget(machine))

    async def use(target: RemoteTarget) -> None:
        await stop(target)
        description = target.description
        block = await target.read_registers(1)
        assert description.value(block, "ctr") == 0xC000_0000_1234_5678
        assert description.value(block, "xer") == 0x2000_0000
        assert description.value(block, "fpscr") == 0
        assert description.value(block, "cr") == 0x4200_0000
        await target.write_register(1, description.numbers["ctr"], bytes.fromhex("c0000000deadbeef"))
        await target.write_register(1, description.numbers["xer"], bytes.fromhex("40000000"))
        await target.write_register(1, description.numbers["cr"], bytes.fromhex("24008202"))
        await target.resume(STEP)
        await target.wait_stop()
        assert (machine.ctr, machine.xer) == (0xC000_0000_DEAD_BEEF, 0x4000_0000)
        assert machine.cr == 0x2400_8202

    with_kgdb(stub, use)


def test_what_cannot_be_set_is_refused_at_once_and_nothing_else_is_lost() -> None:
    stub = kgdb(saves=False)

    async def use(target: RemoteTarget) -> None:
        await stop(target)
        numbers = target.description.numbers
        with pytest.raises(TargetError, match="no way to set ctr"):
            await target.write_register(1, numbers["ctr"], bytes.fromhex("c0000000deadbeef"))
        await target.write_register(1, numbers["r20"], bytes.fromhex("c0000000deadbeef"))
        await target.resume(STEP)
        await target.wait_stop()
        assert stub.target.machine.gpr[20] == 0xC000_0000_DEAD_BEEF

    with_kgdb(stub, use)


@pytest.mark.parametrize("at", [0, KSP_AT])
def test_a_thread_that_sleeps_has_a_stack(at: int) -> None:
    async def use(target: RemoteTarget) -> None:
        await stop(target)
        costs = []
        for tid in (3, 4, 3):
            before = len(stub.log)
            block = await target.read_registers(tid)
            assert target.description.value(block, "r1") == stack_of(tid)
            assert target.description.value(block, "r14") == 0x1000 * tid + 14
            costs.append(len(stub.log) - before)
        # Where to look is found out once; then two words, and nothing for what is known.
        assert costs[1:] == [5, 0]
        with pytest.raises(TargetError, match="only the thread that stopped"):
            await target.write_register(3, 0, bytes(8))

    stub = kgdb(kept_at=at)
    with_kgdb(stub, use)


def test_no_packet_is_longer_than_its_buffer() -> None:
    async def use(target: RemoteTarget) -> None:
        await stop(target)
        data = bytes(range(256)) * 8
        place = program.STACK + 0x1000
        await target.write_memory(place, data)
        assert await target.read_memory(place, len(data)) == data

    stub = kgdb()
    with_kgdb(stub, use)
    assert max(len(body) for body in stub.log) < BUFFER


def test_a_breakpoint_of_the_stubs_own_skips_nothing() -> None:
    async def use(target: RemoteTarget) -> None:
        await stop(target)
        place = Breakpoint(BreakpointKind.SOFTWARE, program.symbols()["fib"])
        visits = 0

        def third(look: object) -> bool:
            nonlocal visits
            visits += 1
            return visits == 3

        await target.insert(place, third)
        # gdb inserts again when a condition changes.
        await target.insert(place, third)
        await target.resume(GO)
        await target.wait_stop()
        assert visits == 3 and stub.target.machine.pc == place.addr
        await target.insert(place)
        await target.resume(GO)
        assert (await target.wait_stop()).kind is StopKind.SWBREAK
        assert stub.target.machine.pc == place.addr
        await target.remove(place)
        await target.remove(place)

    stub = kgdb()
    with_kgdb(stub, use)
    assert stub.skipped == 0


def test_a_question_to_a_running_kernel_is_typed_once_and_wiped_out() -> None:
    stub = kgdb()
    stub.target.machine.write(stub.target.machine.pc, bytes.fromhex("48000000"))

    async def use(target: RemoteTarget) -> None:
        await stop(target)
        await target.detach()
        await when(lambda: stub.runs == 1)
        with pytest.raises(TargetError, match="enter its debugger"):
            await target.interrupt()
        await when(lambda: stub.typed.endswith(b"\x15"))
        assert stub.typed.count(b"$") <= 3
        assert not stub.typed.count(b"+")

    text = with_kgdb(stub, use)
    assert b"$?#3f" in text


@pytest.mark.parametrize("quirks", [KGDB, AUTO])
def test_keys_on_its_own_line_stop_a_running_kernel(quirks: Quirks) -> None:
    stub = kgdb()
    stub.target.machine.write(stub.target.machine.pc, bytes.fromhex("48000000"))

    async def use(target: RemoteTarget) -> None:
        for _ in range(2):
            await stop(target)
            assert target.stopped is not None and target.stopped.signal == 5
            await target.detach()
            await target.type(b"ls\r")
        await stop(target)
        await target.resume(GO)
        await target.interrupt()
        assert (await target.wait_stop()).thread == 1

    text = with_kgdb(stub, use, quirks, KEYS)
    assert stub.typed.count(b"ls\r") == 2
    assert stub.messages in text


def test_a_stop_that_nobody_was_told_of_is_found() -> None:
    stub = kgdb()
    stub.target.machine.write(stub.target.machine.pc, bytes.fromhex("48000000"))

    async def use(target: RemoteTarget) -> None:
        await stop(target)
        await target.detach()
        await when(lambda: stub.runs == 1)
        await stub.target.interrupt()
        await stub.target.wait_stop()
        # The console is quiet: only asking tells.
        await target.interrupt()
        assert (await target.wait_stop()).signal == 5

    with_kgdb(stub, use)


def test_power_off_is_the_end_and_what_the_console_says_then_is_heard() -> None:
    stub = kgdb()
    stub.target.machine.write(stub.target.machine.pc, bytes.fromhex("48000000"))

    async def use(target: RemoteTarget) -> None:
        await stop(target)
        await target.resume(GO)
        stub.switch_off()
        reason = await target.wait_stop()
        assert (reason.kind, reason.status) == (StopKind.EXITED, 3)
        await when(lambda: b"".join(texts).endswith(b"reboot: Power down\r\n"))

    texts: list[bytes] = []
    with_kgdb(stub, use, texts=texts)


def test_nothing_of_a_cancelled_question_stays() -> None:
    stub = kgdb()
    stub.echoes = False
    stub.target.machine.write(stub.target.machine.pc, bytes.fromhex("48000000"))

    async def use(target: RemoteTarget) -> None:
        await stop(target)
        await target.detach()
        await when(lambda: stub.runs == 1)
        with trio.move_on_after(0.05):
            await target.interrupt()
        with pytest.raises(TargetError, match="enter its debugger"):
            await target.interrupt()

    with_kgdb(stub, use)


@pytest.mark.parametrize("has_read_the_question", [True, False])
def test_a_reset_since_the_stop_is_found_out_before_gdb_gives_up(has_read_the_question: bool) -> None:
    before, after = kgdb(), kgdb()
    after.echoes = has_read_the_question

    async def main() -> None:
        ours, theirs = trio.testing.memory_stream_pair()
        async with trio.open_nursery() as nursery, connect(ours, KGDB, Surroundings(keys=KEYS)) as target:
            async with trio.open_nursery() as machine:
                machine.start_soon(before.run, theirs)
                await stop(target)
                machine.cancel_scope.cancel()
            nursery.start_soon(after.boot, theirs)
            with trio.fail_after(ATTACH_PATIENCE):
                await target.confirm()
                assert target.stopped is None
                await stop(target)
            nursery.cancel_scope.cancel()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0.05))
    assert after.typed.rpartition(b"$")[2].endswith(b"\x15")
    assert after.log[0] == b"?"


def test_a_question_to_a_terminal_is_wiped_out_before_anybody_knows_what_stub_it_is() -> None:
    stub = kgdb()

    async def main() -> None:
        ours, theirs = trio.testing.memory_stream_pair()
        async with trio.open_nursery() as nursery, connect(ours, AUTO) as target:
            nursery.start_soon(stub.boot, theirs)
            with pytest.raises(TargetError, match="enter its debugger"):
                await target.interrupt()
            await when(lambda: stub.typed.endswith(b"\x15"))
            nursery.cancel_scope.cancel()

    trio.run(within_patience, main)
    assert stub.typed.startswith(b"$?#3f")


@pytest.mark.parametrize("leave", ["detach", "kill", "resume"])
def test_what_is_typed_while_the_kernel_stands_reaches_it_when_it_runs(leave: str) -> None:
    stub = kgdb()
    stub.target.machine.write(stub.target.machine.pc, bytes.fromhex("48000000"))

    async def use(target: RemoteTarget) -> None:
        await stop(target)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(target.type, b"ls\r")
            await trio.testing.wait_all_tasks_blocked()
            assert not stub.typed
            await (target.resume(GO) if leave == "resume" else getattr(target, leave)())
            await when(lambda: stub.typed == b"ls\r")

    with_kgdb(stub, use)
