"""The runner: lines joined to the machine, idle time, halting, and replay of what was recorded."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
import trio.testing
from programs import load_raw_words

from emulator.boot import load_elf
from emulator.config import MachineConfig, MachineKind
from emulator.cpu.exits import ExitKind
from emulator.cpu.state import INDEX, MSR_EE
from emulator.cpu.timers import INSTRUCTIONS_PER_SECOND
from emulator.devices.uart16550 import LONGEST_SLEEP
from emulator.guests import MINI
from emulator.journal import Input, replay
from emulator.machine import Machine
from emulator.runner import FORGIVEN_LAG, MachineRunner, Pace
from thinwire.mux import Mux


def new_machine(kind: MachineKind = MachineKind.HARDWARE) -> Machine:
    return Machine(MachineConfig(kind), load_elf(str(MINI)))


class Peer:
    """Serves the other end of the line with thinwire's multiplexer."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._mux = Mux([0, 1])
        self._mux.attach(0)
        self._shown = ""
        self._more = trio.Event()

    async def serve(self) -> None:
        while data := await self._stream.receive_some():
            reply = self._mux.receive(bytes(data))
            outgoing = self._mux.channels[0].outgoing
            self._shown += b"".join(outgoing).decode()
            reply += self._mux.taken(0, len(outgoing))
            self._more.set()
            self._more = trio.Event()
            if reply:
                await self._stream.send_all(reply)

    async def type(self, text: str) -> None:
        reply = self._mux.typed(0, text.encode())
        if reply:
            await self._stream.send_all(reply)

    async def wait_for(self, text: str) -> str:
        with trio.fail_after(30):
            while text not in self._shown:
                await self._more.wait()
        shown, self._shown = self._shown, ""
        return shown


def words(machine: Machine) -> list[int]:
    return machine.state.words[: INDEX["engine"]].tolist()


async def talk(runner: MachineRunner) -> None:
    """Boot the runner's guest on a stream and have it compute something."""
    ours, theirs = trio.testing.memory_stream_pair()
    peer = Peer(ours)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(runner.run)
        nursery.start_soon(runner.attach, theirs, runner.machine.wire)
        nursery.start_soon(peer.serve)
        await peer.wait_for("> ")
        await peer.type("fib 10\r")
        assert "55" in await peer.wait_for("> ")
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("pace", Pace, ids=lambda pace: pace.value)
@pytest.mark.parametrize("kind", [MachineKind.HARDWARE, MachineKind.MAMBO], ids=lambda kind: kind.value)
def test_guest_talks_to_a_stream_and_the_run_can_be_replayed(kind: MachineKind, pace: Pace) -> None:
    journal: list[Input] = []
    seen: list[list[int]] = []
    runner = MachineRunner(new_machine(kind), pace=pace)

    def note(come: Input) -> None:
        journal.append(come)
        seen.append(words(runner.machine))

    runner.journal = note
    trio.run(talk, runner)

    machine = new_machine(kind)
    for come, expected in zip(journal, seen, strict=True):
        assert replay(machine, [come], come.time).kind is ExitKind.BUDGET
        machine.wire.drain()
        assert machine.now == come.time
        assert words(machine) == expected


def test_idle_guest_follows_the_host_clock_and_a_long_lag_is_forgiven() -> None:
    async def main() -> None:
        # b . with interrupts on, and a handler of the decrementer: lis r3,16; mtdec r3; rfid.
        machine = Machine(MachineConfig(memory=1 << 20), load_raw_words(0x48000000))
        machine.memory.write(0x900, bytes.fromhex("3C6000107C7603A64C000024"))
        machine.set_registers({"msr": machine.state.msr | MSR_EE})
        machine.timers.set_decrementer(0)
        runner = MachineRunner(machine)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(runner.run)
            for _ in range(100):
                await trio.lowlevel.checkpoint()
            clock.jump(0.5)
            # What is due within the next few hundredths is served together.
            await until(lambda: machine.now >= INSTRUCTIONS_PER_SECOND * 2 // 5)
            before = machine.now
            clock.jump(FORGIVEN_LAG + 10)
            await until(lambda: machine.now > before)
            for _ in range(100):
                await trio.lowlevel.checkpoint()
            assert machine.now - before <= FORGIVEN_LAG * INSTRUCTIONS_PER_SECOND
            nursery.cancel_scope.cancel()

    clock = trio.testing.MockClock()
    trio.run(main, clock=clock)


def test_a_guest_that_waits_for_a_device_in_vain_has_nothing_to_catch_up_with() -> None:
    async def main() -> None:
        # Nobody is on the line: the guest polls for CTS, with longer and longer sleeps.
        machine = new_machine()
        runner = MachineRunner(machine)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(runner.run)
            await settled(runner)
            before = machine.now
            for jump in (0.5, FORGIVEN_LAG + 10):
                clock.jump(jump)
                await settled(runner)
                assert 0 < machine.now - before <= 3 * LONGEST_SLEEP
            nursery.cancel_scope.cancel()

    clock = trio.testing.MockClock()
    trio.run(main, clock=clock)


class PromptPeer(trio.abc.Stream):
    """The line with a multiplexer at its other end that has answered a frame when `send_now` returns."""

    def __init__(self) -> None:
        self.mux = Mux([0, 1])
        self._incoming = b""
        self._more = trio.Event()
        self._listener: Callable[[], bool] | None = None

    def said_on(self, channel: int) -> bytes:
        return b"".join(self.mux.channels[channel].outgoing)

    def type(self, channel: int, data: bytes) -> None:
        """Leave what the machine gets of it to its reading task."""
        self._incoming += self.mux.typed(channel, data)
        self._more.set()

    def listen(self, listener: Callable[[], bool] | None) -> None:
        self._listener = listener

    def send_now(self, data: bytes) -> int:
        self._incoming += self.mux.receive(data)
        if self._incoming and self._listener is not None:
            self._listener()
        return len(data)

    def receive_now(self, max_bytes: int) -> bytes:
        data, self._incoming = self._incoming[:max_bytes], self._incoming[max_bytes:]
        return data

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        while not self._incoming:
            self._more = trio.Event()
            await self._more.wait()
        return self.receive_now(max_bytes or 1)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        raise AssertionError("`send_now` takes everything")

    async def wait_send_all_might_not_block(self) -> None:
        raise AssertionError("`send_now` takes everything")

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


def test_an_answer_that_comes_while_the_guest_is_heard_is_not_slept_through() -> None:
    """The packet comes by the reading task, and what the guest says to it is answered at once."""

    async def main() -> None:
        runner = MachineRunner(new_machine())
        peer = PromptPeer()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(runner.run)
            nursery.start_soon(runner.attach, peer, runner.machine.wire)
            peer.type(0, b"trap\r")
            while b"GDB got trap" not in peer.said_on(0):
                clock.jump(0.1)
                await trio.lowlevel.checkpoint()
            await until(lambda: peer.said_on(1) == b"-")
            await settled(runner)
            peer.type(1, b"$?#3f")
            # No time passes for the guest to wake up by itself.
            await until(lambda: b"#" in peer.said_on(1))
            nursery.cancel_scope.cancel()
        assert peer.said_on(1).startswith(b"-+$S05#")

    clock = trio.testing.MockClock()
    trio.run(main, clock=clock)


def test_time_stands_still_while_halted() -> None:
    async def main() -> None:
        runner = MachineRunner(new_machine())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(runner.run)
            assert (await runner.halt()).kind is ExitKind.STOP_REQUEST
            at = runner.machine.now
            clock.jump(100)
            await runner.step(10)
            assert runner.machine.now == at + 10
            runner.resume()
            await settled(runner)
            assert runner.machine.now - at < 2 * LONGEST_SLEEP
            nursery.cancel_scope.cancel()

    clock = trio.testing.MockClock()
    trio.run(main, clock=clock)


async def until(condition: Callable[[], bool]) -> None:
    """Let the other tasks run until `condition`; the suite's timeout ends a vain wait."""
    while not condition():
        await trio.lowlevel.checkpoint()


async def settled(runner: MachineRunner) -> None:
    """Wait until the guest is idle and waits for the (mock) clock."""
    await until(lambda: runner.is_idle)
    await trio.testing.wait_all_tasks_blocked()


def test_halt_stops_a_guest_that_computes() -> None:
    async def main() -> None:
        spinning = load_raw_words(0x38630001, 0x4BFFFFFC)  # addi r3,r3,1; b .-4
        runner = MachineRunner(Machine(MachineConfig(memory=1 << 20), spinning))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(runner.run)
            for _ in range(3):
                with trio.fail_after(10):
                    exit_ = await runner.halt()
                assert exit_.kind is ExitKind.STOP_REQUEST
                count = runner.machine.state.icount
                assert runner.machine.state.get("gpr", 3) == (count + 1) // 2
                await runner.step(1)
                assert runner.machine.state.icount == count + 1
                runner.resume()
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()

    trio.run(main)


def test_end_of_the_guest_is_visible() -> None:
    async def main() -> None:
        # li r3,31; li r4,7; the simulator's call word: exit with code 7.
        leaving = load_raw_words(0x3860001F, 0x38800007, 0x7C0007CC)
        config = MachineConfig(MachineKind.MAMBO, memory=1 << 20)
        runner = MachineRunner(Machine(config, leaving))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(runner.run)
            with trio.fail_after(10):
                exit_ = await runner.wait_end()
            assert (exit_.kind, exit_.detail) == (ExitKind.SHUTDOWN, 7)
            await runner.reset()
            assert runner.machine.state.icount == 0
            nursery.cancel_scope.cancel()

    trio.run(main)


def test_simulator_breakpoint_is_passed_once_it_was_seen(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        program = load_raw_words(0x7C0007CE, 0x7C0007CE, 0x48000000)
        config = MachineConfig(MachineKind.MAMBO, memory=1 << 20)
        runner = MachineRunner(Machine(config, program))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(runner.run)
            for pc in (0, 4):
                assert (await runner.wait_parked()).kind is ExitKind.SIMULATOR_BREAK
                assert runner.machine.state.pc == pc
                runner.resume()
            await until(lambda: runner.is_idle)
            nursery.cancel_scope.cancel()

    trio.run(main)
    assert "simulator breakpoint at pc 0x4" in caplog.text


def test_lines_come_and_go_one_at_a_time() -> None:
    async def main() -> None:
        runner = MachineRunner(new_machine(MachineKind.MAMBO))
        machine = runner.machine
        async with trio.open_nursery() as nursery:
            nursery.start_soon(runner.run)
            for greeting in (b"Enable thinwire", b""):
                ours, theirs = trio.testing.memory_stream_pair()
                nursery.start_soon(runner.attach, theirs, machine.wire)
                await until(lambda: machine.wire.connected)
                with pytest.raises(ValueError, match="peer"):
                    await runner.attach(theirs, machine.wire)
                # Only the first peer is there for the boot; the second finds a guest that awaits an answer.
                heard = b""
                while len(heard) < len(greeting):
                    heard += bytes(await ours.receive_some())
                assert heard.startswith(greeting)
                await ours.send_eof()
                await until(lambda: not machine.wire.connected)
            nursery.cancel_scope.cancel()

    trio.run(main)


def test_range_steps_end_where_pc_leaves() -> None:
    async def main() -> None:
        # At 0: three times around addi; bdnz, then out.
        program = load_raw_words(0x38600003, 0x7C6903A6, 0x38840001, 0x4200FFFC, 0x60000000, 0x60000000)
        runner = MachineRunner(Machine(MachineConfig(memory=1 << 20), program), halted=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(runner.run)
            runner.resume(within=range(0, 0x10))
            assert (await runner.wait_parked()).kind is ExitKind.BUDGET
            state = runner.machine.state
            assert (state.pc, state.icount, state.get("gpr", 4)) == (0x10, 8, 3)
            nursery.cancel_scope.cancel()

    trio.run(main)
