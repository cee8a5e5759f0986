"""The devices, each alone: UART registers and its patience, simulator calls, the hypervisor's terminal."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from programs import load_raw_words

from emulator.config import MachineConfig, MachineKind
from emulator.cpu.exits import ExitKind, Leave
from emulator.cpu.state import INDEX, MSR_EE, MSR_PR, MSR_SF
from emulator.devices import uart16550
from emulator.devices.port import PORT_LIMIT, Port
from emulator.devices.uart16550 import Register, Uart16550
from emulator.machine import Machine

_GPR = INDEX["gpr"]


class Bench:
    """A UART on a table: its cable and a clock that moves by hand."""

    def __init__(self) -> None:
        self.now = 0
        self.port = Port()
        self.uart = Uart16550(self.port, lambda: self.now)

    def poll(self, register: Register = Register.LINE_STATUS) -> int | None:
        """Read a status register a few instructions later; None if the guest was sent to sleep."""
        self.now += 5
        try:
            return self.uart.load(register, 1)
        except Leave as leave:
            assert (leave.kind, leave.retry) == (ExitKind.IDLE, True)
            self.now += leave.detail
            return None


def test_cts_dsr_dcd_show_the_peer() -> None:
    bench = Bench()
    assert bench.poll(Register.MODEM_STATUS) == 0
    bench.port.connected = True
    assert bench.poll(Register.MODEM_STATUS) == 0xB0


def test_bytes_go_both_ways() -> None:
    bench = Bench()
    bench.port.connected = True
    assert bench.poll() == 0x60
    for byte in b"out":
        bench.uart.store(Register.DATA, 1, byte)
    assert bench.port.drain() == b"out"
    bench.port.feed(b"in")
    assert bench.poll() == 0x61
    assert [bench.uart.load(Register.DATA, 1) for _ in range(3)] == [*b"in", 0]
    assert bench.poll() == 0x60


def test_bytes_sent_to_nobody_are_lost() -> None:
    bench = Bench()
    bench.uart.store(Register.DATA, 1, 65)
    assert bench.port.pending == 0


def test_full_port_is_a_busy_transmitter() -> None:
    bench = Bench()
    bench.port.connected = True
    bench.port.put(bytes(PORT_LIMIT))
    assert bench.poll() == 0
    bench.port.drain()
    assert bench.poll() == 0x60


def test_divisor_sets_the_speed_and_hides_the_data() -> None:
    bench = Bench()
    assert bench.uart.speed == 9600
    bench.port.feed(b"x")
    bench.uart.store(Register.LINE_CONTROL, 1, 0x83)
    bench.uart.store(Register.DATA, 1, 1)
    bench.uart.store(Register.INTERRUPT_ENABLE, 1, 0)
    assert bench.uart.load(Register.DATA, 1) == 1
    bench.uart.store(Register.LINE_CONTROL, 1, 3)
    assert (bench.uart.speed, bench.uart.load(Register.DATA, 1)) == (115200, ord("x"))


def test_modem_control_is_visible() -> None:
    bench = Bench()
    bench.uart.store(Register.MODEM_CONTROL, 1, 3)
    assert (bench.uart.dtr, bench.uart.rts) == (True, True)
    bench.uart.store(Register.MODEM_CONTROL, 1, 2)
    assert (bench.uart.dtr, bench.uart.rts) == (False, True)


def test_a_waiting_guest_sleeps_longer_and_longer() -> None:
    bench = Bench()
    assert all(bench.poll() is not None for _ in range(uart16550.PATIENCE))
    sleeps = []
    for _ in range(8):
        before = bench.now
        assert bench.poll() is None
        sleeps.append(bench.now - before - 5)
        assert all(bench.poll() is not None for _ in range(uart16550.PATIENCE_AFTER_SLEEP))
    assert sleeps[:5] == [uart16550.FIRST_SLEEP << n for n in range(5)]
    assert sleeps[-1] == uart16550.LONGEST_SLEEP


def test_a_byte_makes_the_guest_patient_again() -> None:
    bench = Bench()
    while bench.poll() is not None:
        pass
    bench.port.feed(b"x")
    assert bench.poll() == 0x61
    bench.uart.load(Register.DATA, 1)
    assert all(bench.poll() is not None for _ in range(uart16550.PATIENCE))


def test_a_guest_that_computes_between_readings_is_left_alone() -> None:
    bench = Bench()
    for _ in range(1000):
        bench.now += uart16550.POLL_DISTANCE
        assert bench.poll() is not None


@given(st.lists(st.one_of(st.binary(max_size=300), st.integers(0, 400)), max_size=40))
def test_a_port_keeps_every_byte_in_order(uses: list[bytes | int]) -> None:
    port = Port()
    sent = received = b""
    for use in uses:
        if isinstance(use, bytes):
            assert port.put(use) == len(use)
            port.feed(use)
            sent += use
        else:
            received += port.get(use)
        assert port.waiting == len(sent) - len(received)
    assert received + port.get(PORT_LIMIT) == sent == port.drain()


def test_a_port_is_bounded() -> None:
    port = Port()
    assert port.put(bytes(PORT_LIMIT + 5)) == PORT_LIMIT
    with pytest.raises(ValueError, match="room"):
        port.feed(bytes(PORT_LIMIT + 1))


# Simulator calls -------------------------------------------------------------------------------------------

CALL_WORDS = [0x7C00_07CC, 0x000E_AEB0]


def simulator(word: int = CALL_WORDS[0], kind: MachineKind = MachineKind.MAMBO) -> Machine:
    return Machine(MachineConfig(kind, memory=1 << 20, engine="reference"), load_raw_words(word, word, word))


def call(machine: Machine, code: int, *arguments: int) -> int:
    """Make one call as the guest does; return its result as a signed number."""
    machine.state.pc = 0
    machine.set_registers({f"r{3 + n}": value for n, value in enumerate((code, *arguments))})
    exit_ = machine.run(1)
    assert exit_.kind is ExitKind.BUDGET, exit_
    value = machine.state.words[_GPR + 3]
    return value - (1 << 64) if value >> 63 else value


@pytest.mark.parametrize("word", CALL_WORDS, ids=hex)
def test_both_words_make_calls_and_only_r3_changes(word: int) -> None:
    machine = simulator(word)
    machine.set_registers({f"r{n}": n for n in range(32)})
    assert call(machine, 68, 1) == 1 << 20
    kept = [machine.state.words[_GPR + n] for n in range(32) if n not in (3, 4)]
    assert kept == [n for n in range(32) if n not in (3, 4)]


def test_console_writes_real_and_virtual_and_reads() -> None:
    machine = simulator()
    machine.memory.write(0x5000, b"hello")
    assert call(machine, 0, 0x5000, 5, 0) == 5
    assert machine.console.drain() == b"hello"
    assert call(machine, 0, 0xC000_0000_0000_5000, 5, 1) == -1  # no translation there
    assert call(machine, 60) == 0xFF
    machine.console.feed(b"y")
    assert call(machine, 60) == ord("y")


def test_wire_moves_at_most_256_bytes() -> None:
    machine = simulator()
    machine.memory.write(0x5000, bytes(range(256)) * 2)
    assert call(machine, 62, 0x5000, 300) == 256
    assert machine.wire.drain() == bytes(range(256))
    machine.wire.feed(b"abc")
    assert call(machine, 61, 0x6000, 300) == 3
    assert machine.memory.read(0x6000, 4) == b"abc\0"


def test_empty_wire_ends_the_run_with_the_call_done() -> None:
    machine = simulator()
    machine.set_registers({"r3": 61, "r4": 0x6000, "r5": 16})
    exit_ = machine.run(10)
    assert exit_.kind is ExitKind.IDLE
    assert (machine.state.pc, machine.state.words[_GPR + 3]) == (4, 0)
    assert machine.idle_limit(exit_) == 100_000


def test_full_wire_makes_a_connected_guest_wait_and_try_again() -> None:
    machine = simulator()
    machine.wire.connected = True
    machine.wire.put(bytes(PORT_LIMIT))
    machine.set_registers({"r3": 62, "r4": 0x6000, "r5": 16})
    assert machine.run(10).kind is ExitKind.IDLE
    assert (machine.state.pc, machine.state.words[_GPR + 3]) == (0, 62)
    machine.wire.drain()
    assert machine.run(1).kind is ExitKind.BUDGET
    assert machine.wire.pending == 16


def test_copy_and_fill() -> None:
    machine = simulator()
    machine.memory.write(0x5000, b"abcd")
    assert call(machine, 69, 0x7000, 0x5000, 4) == 0
    assert call(machine, 71, 0x7002, ord("z"), 3) == 0
    assert machine.memory.read(0x7000, 6) == b"abzzz\0"


@pytest.mark.parametrize(
    ("code", "arguments"),
    [(69, (0, 1 << 40, 8)), (69, (1 << 40, 0, 8)), (71, (0, 1, 1 << 60)), (61, (1 << 40, 8)),
     (62, (1 << 40, 8)), (0, (1 << 40, 8, 0)), (0, (0, 1 << 40, 0)), (69, (0, 0, (1 << 64) - 8))],
)  # fmt: skip
def test_pointers_outside_memory_fail(code: int, arguments: tuple[int, ...]) -> None:
    machine = simulator()
    machine.wire.feed(b"kept")
    assert call(machine, code, *arguments) == -1
    assert machine.wire.waiting == 4


def test_time_of_day_counts_guest_time() -> None:
    machine = simulator()
    first = call(machine, 70)
    machine.sleep(250_000_000)
    second = call(machine, 70)
    assert first >> 32 == machine.config.epoch
    assert (second >> 32) - (first >> 32) == 2
    assert 500_000 <= second & 0xFFFF_FFFF < 500_010


def test_counts() -> None:
    machine = simulator()
    assert call(machine, 67) == 1
    assert call(machine, 68, 0) == 1
    assert call(machine, 66) == 2
    assert call(machine, 42) >> 8 == 1


def test_unknown_code_fails_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    machine = simulator()
    with caplog.at_level(logging.WARNING, "emulator"):
        assert call(machine, 80) == -1
        assert call(machine, 80) == -1
    assert [record.getMessage() for record in caplog.records] == [
        "simulator call 80 at pc 0x0 is not known; it answers -1"
    ]


def test_rtas_is_not_there() -> None:
    machine = simulator(0x7C00_07CA)
    assert call(machine, 68, 1) == -1


def test_exit_and_idle_end_the_run() -> None:
    machine = simulator()
    machine.set_registers({"r3": 126})
    assert machine.run(10).kind is ExitKind.IDLE
    machine.set_registers({"r3": 31, "r4": 17})
    exit_ = machine.run(10)
    assert (exit_.kind, exit_.detail) == (ExitKind.SHUTDOWN, 17)


@pytest.mark.parametrize("word", [*CALL_WORDS, 0x7C00_07CE], ids=hex)
def test_hardware_has_no_simulator(word: int) -> None:
    machine = simulator(word, MachineKind.HARDWARE)
    machine.step()
    assert machine.state.pc == 0x700


def test_simulator_breakpoint_stops_at_itself() -> None:
    machine = simulator(0x7C00_07CE)
    assert machine.run(10).kind is ExitKind.SIMULATOR_BREAK
    assert machine.state.pc == 0


# The hypervisor --------------------------------------------------------------------------------------------


def partition() -> Machine:
    words = [0x4400_0022] * 3  # sc 1
    return Machine(
        MachineConfig(MachineKind.LPAR, memory=1 << 20, engine="reference"), load_raw_words(*words)
    )


def test_terminal_puts_and_gets_sixteen_bytes() -> None:
    machine = partition()
    eight = [int.from_bytes(text, "big") for text in (b"hello, w", b"orld!\n\0\0")]
    assert call(machine, 0x58, 0, 14, *eight) == 0
    assert machine.console.drain() == b"hello, world!\n"
    assert call(machine, 0x58, 0, 17, *eight) == -4
    machine.console.feed(b"abcdefghijklmnopqr")
    assert call(machine, 0x54, 0) == 0
    words = machine.state.words
    assert words[_GPR + 4] == 16
    assert words[_GPR + 5].to_bytes(8, "big") + words[_GPR + 6].to_bytes(8, "big") == b"abcdefghijklmnop"
    assert call(machine, 0x54, 0) == 0
    assert words[_GPR + 4] == 2
    assert call(machine, 0x54, 0) == 0
    assert words[_GPR + 4] == 0


def test_a_user_may_not_call_the_hypervisor() -> None:
    machine = partition()
    machine.set_registers({"msr": MSR_SF | MSR_PR})
    assert call(machine, 0x58, 0, 1, 0, 0) == -3
    assert machine.console.drain() == b""


def test_busy_while_the_reader_is_behind() -> None:
    machine = partition()
    machine.console.connected = True
    machine.console.put(bytes(PORT_LIMIT - 1))
    assert call(machine, 0x58, 0, 8, 0, 0) == 1
    machine.console.drain()
    assert call(machine, 0x58, 0, 8, 0, 0) == 0


def test_unknown_hypervisor_call_answers_function() -> None:
    assert call(partition(), 0x4) == -2


def test_cede_sleeps_interruptibly() -> None:
    machine = partition()
    machine.set_registers({"r3": 0xE0})
    assert machine.run(10).kind is ExitKind.IDLE
    assert machine.state.msr & MSR_EE
    assert (machine.state.words[_GPR + 3], machine.state.pc) == (0, 4)
