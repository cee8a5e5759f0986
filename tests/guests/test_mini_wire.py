"""What the guest puts on the line and when, in bytes and in guest time (our machine's time is exact)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import pytest
from driven_guest import CONSOLE, PROMPT, Guest, Line
from machine_line import MachineLine, machine_with_mini
from wire_peer import SENTINEL, digits

from emulator.bootinfo import BOOT_INFO_SIZE
from emulator.config import MachineKind
from emulator.cpu.timers import INSTRUCTIONS_PER_SECOND
from emulator.machine import Machine

TICK = 0.010
SLICE = MachineLine.slice / INSTRUCTIONS_PER_SECOND + 0.001
#: BootInfo lies page-aligned right below the kernel (K42 facts E.4); offsets in it (E.5).
BOOT_INFO = 0xC000_0000_0200_0000 - -(-BOOT_INFO_SIZE // 4096) * 4096
WIRE_CHANNEL_OFFSET, WIRE_INIT = 0x11A, 0x11B


@pytest.fixture(params=MachineKind, ids=lambda kind: kind.value)
def powered(request: pytest.FixtureRequest) -> Machine:
    """A machine of ours before its first instruction."""
    return machine_with_mini(request.param)


def test_the_greeting_comes_before_the_first_request(shared: Guest) -> None:
    assert bytes(shared.peer.greeting) == b"Enable thinwire\n\r"
    assert shared.peer.requests[0][0] == "0"


def test_the_first_bytes_of_the_line(powered: Machine) -> None:
    line = MachineLine(powered)
    sent = line.exchange(b"")
    greeting = b"Enable thinwire\n\r\0**thinwire**\0"
    assert sent.startswith(greeting)
    header, text = sent[len(greeting) :][:5], sent[len(greeting) + 5 :]
    assert header == b"0" + digits(len(text)) + b" "
    assert text.startswith(b"mini: ") and text.endswith(b" Hz\r\n")
    assert line.exchange(b"") == b"", "nothing more until the write is acknowledged"


def test_replies_may_come_a_byte_at_a_time(powered: Machine) -> None:
    guest = Guest(Trickle(MachineLine(powered)))
    guest.boot()
    assert guest.command("fib 10") == "fib(10) = 55\r\n"


@dataclass
class Trickle:
    """A line that carries one byte at a time to the guest."""

    line: Line

    def exchange(self, data: bytes) -> bytes:
        pieces = [data[i : i + 1] for i in range(len(data))] or [b""]
        return b"".join(self.line.exchange(piece) for piece in pieces)


def test_polls_become_rare_and_quick_again(powered: Machine) -> None:
    line = MachineLine(powered)
    guest = Guest(line)
    guest.boot()
    guest.command("echo")

    def gaps(count: int) -> list[float]:
        """Guest seconds between polls, as exact as the slices in which the machine runs."""
        times: list[float] = []
        while len(times) <= count:
            asked = len(guest.peer.requests)
            guest.wait(lambda: len(guest.peer.requests) > asked, "a poll")  # noqa: B023
            assert guest.peer.requests[asked:] == [("!", 0, CONSOLE)]
            times.append(powered.now / INSTRUCTIONS_PER_SECOND)
        return [later - earlier for earlier, later in pairwise(times)]

    resting = gaps(8)
    assert resting[-2:] == pytest.approx([13 * TICK, 13 * TICK], abs=SLICE)
    guest.command("echo")
    first, *_, last = gaps(6)
    assert first < 5 * TICK
    assert last == pytest.approx(13 * TICK, abs=SLICE)


@pytest.mark.parametrize("ticks", [0.5, 1.05, 1.5, 2.1])
def test_input_is_seen_once_however_slow_the_line(ticks: float) -> None:
    """On a line slower than the clock every exchange ends in a change of threads; none sees input twice."""
    machine = machine_with_mini(MachineKind.HARDWARE)
    guest = Guest(MachineLine(machine, slice=int(ticks * TICK * INSTRUCTIONS_PER_SECOND)))
    guest.boot()
    for _ in range(3):
        guest.command("echo")
        guest.command("tasks")
        polls = len(guest.peer.requests)
        guest.wait(lambda: len(guest.peer.requests) > polls + 2, "polls, not a read")  # noqa: B023


def test_nothing_is_said_before_somebody_is_there() -> None:
    machine = machine_with_mini(MachineKind.HARDWARE)
    machine.wire.connected = False
    machine.run_until(machine.now + 50_000_000)
    assert machine.wire.drain() == b""
    assert machine.uart is not None and not machine.uart.dtr and not machine.uart.rts
    machine.wire.connected = True
    machine.run_until(machine.now + 50_000_000)
    assert machine.wire.drain().startswith(b"Enable thinwire")
    assert machine.uart.rts and not machine.uart.dtr, "RTS: it waits for the reply"


def test_the_modem_lines_rest_while_the_guest_does() -> None:
    machine = machine_with_mini(MachineKind.HARDWARE)
    guest = Guest(MachineLine(machine))
    guest.boot()
    guest.settle()
    assert machine.uart is not None
    assert not machine.uart.rts and not machine.uart.dtr
    assert machine.uart.speed == 115200


def test_a_kernel_that_finds_the_wire_up_does_not_greet(powered: Machine) -> None:
    assert powered.write_memory(BOOT_INFO + WIRE_INIT, b"\1") == 1
    guest = Guest(MachineLine(powered))
    guest.peer.framed = True
    guest.boot()
    assert not guest.peer.greeting
    assert guest.command("echo quick") == "quick\r\n"


def test_the_channel_offset_counts_for_select_only(powered: Machine) -> None:
    assert powered.write_memory(BOOT_INFO + WIRE_CHANNEL_OFFSET, b"\x08") == 1
    guest = Guest(MachineLine(powered))
    guest.boot()
    guest.wait(lambda: ("!", 0, 8) in guest.peer.requests, "a poll of the second set")
    assert all(channel == 8 for kind, _, channel in guest.peer.requests if kind == "!")
    assert all(channel == CONSOLE for kind, _, channel in guest.peer.requests if kind == "0")


def test_a_reply_that_does_not_fit_is_the_end(powered: Machine) -> None:
    line = MachineLine(powered)
    line.exchange(b"")
    said = line.exchange(b"A  !'")
    assert said.endswith(b"thinwire: the reply does not fit the request\r\n")
    assert said.startswith(b"#"), "the form that waits for no answer"
    assert line.exchange(b"") == b""


def test_the_wire_is_marked_down_at_the_end(powered: Machine) -> None:
    guest = Guest(MachineLine(powered))
    guest.boot()
    assert powered.read_memory(BOOT_INFO + WIRE_INIT, 1) == b"\1"
    guest.offer(CONSOLE, b"exit\r")
    guest.wait(lambda: guest.peer.exited, "the exit request")
    guest.line.exchange(b"")
    assert powered.read_memory(BOOT_INFO + WIRE_INIT, 1) == b"\0"


@pytest.mark.parametrize(("wanted", "request_"), [("115200", b"S  & 115200"), ("19200", b"S  % 19200")])
def test_a_change_of_speed_takes_two_echoes(wanted: str, request_: bytes) -> None:
    machine = machine_with_mini(MachineKind.HARDWARE, {"MINI_LINE_SPEED": wanted})
    line = MachineLine(machine)
    assert machine.uart is not None
    assert line.exchange(b"") == b"Enable thinwire\n\r" + SENTINEL + request_
    assert machine.uart.speed == 9600
    assert line.exchange(request_) == b""
    assert machine.uart.speed == int(wanted)
    guest = Guest(line)
    guest.peer.framed = True
    guest.say(request_)
    guest.expect(PROMPT)


@pytest.mark.parametrize("wanted", ["", "fast", "0", "230400", "-9600", "115201"])
def test_a_speed_that_cannot_be_is_no_speed(wanted: str) -> None:
    machine = machine_with_mini(MachineKind.HARDWARE, {"MINI_LINE_SPEED": wanted})
    machine.run_until(machine.now + 50_000_000)
    assert machine.wire.drain().startswith(b"Enable thinwire\n\r" + SENTINEL + b"0")
    assert machine.uart is not None and machine.uart.speed == 115200
