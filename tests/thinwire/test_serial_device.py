"""Serial manners on a local device: a pseudo terminal has data and a speed, a recording port the signals."""

import os
import pty
import termios
import tty
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import cast

import pytest
import serial
import trio
import trio.testing

from thinwire.endpoints import Device
from thinwire.frames import SetSpeed, encode
from thinwire.line import LineError, LineReset
from thinwire.lookout import Lookout
from thinwire.mux import Rules
from thinwire.serial_line import Manners, SerialLine, TtyModem, open_serial_device
from thinwire.server import InProcess, Options, serve

Event = tuple[str, object]
QUICK = Manners(settle=0.0, deadline=0.05)
FRAMED = Rules(assume_framed=True)
SELECT, NOTHING = b"!    ", b"!  $ \0\0\0\0"
SPEED = encode(SetSpeed(b"115200"))


def on_a_pty(script: Callable[[int, str], Awaitable[None]]) -> None:
    """The script gets the victim's side of a serial device and the device's name."""

    async def main() -> None:
        master, slave = pty.openpty()
        tty.setraw(slave)
        os.set_blocking(master, False)
        try:
            with trio.fail_after(20):
                await script(master, os.ttyname(slave))
        finally:
            os.close(master)
            os.close(slave)

    trio.run(main)


async def receive(descriptor: int, length: int) -> bytes:
    seen = b""
    while len(seen) < length:
        await trio.lowlevel.wait_readable(descriptor)
        seen += os.read(descriptor, 1000)
    return seen


def test_a_device_without_signals_has_data_and_speed() -> None:
    async def script(victim: int, path: str) -> None:
        async with trio.open_nursery() as nursery:
            server = await nursery.start(
                serve, Device(path), {0: InProcess()}, Options(FRAMED, replace(QUICK, first_speed=19200))
            )
            while not server.is_line_open:
                await trio.lowlevel.checkpoint()
            os.write(victim, SELECT)  # before that it would be flushed away
            assert await receive(victim, 9) == NOTHING
            assert termios.tcgetattr(victim)[4:6] == [termios.B19200] * 2
            os.write(victim, SPEED)
            assert await receive(victim, 22) == SPEED + SPEED
            assert termios.tcgetattr(victim)[4:6] == [termios.B115200] * 2
            assert server.line_state() == {"speed": 115200, "rts": True, "breaks": 0}
            nursery.cancel_scope.cancel()

    on_a_pty(script)


def test_a_speed_that_the_device_has_not_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(port: object, speed: int) -> None:
        raise ValueError("Failed to set custom baud rate")

    async def script(victim: int, path: str) -> None:
        with pytest.raises(LineError, match=f"{path} cannot be set to 12345 bits a second"):
            open_serial_device(path, replace(QUICK, first_speed=12345))

    monkeypatch.setattr(serial.Serial, "_set_special_baudrate", refuse)
    on_a_pty(script)


def test_a_device_is_opened_once() -> None:
    async def script(victim: int, path: str) -> None:
        line = open_serial_device(path, QUICK)
        with pytest.raises((LineError, OSError), match="in use|busy|Busy"):
            open_serial_device(path, QUICK)
        line.close()

    on_a_pty(script)


class Wired:
    """A serial port with signals, as pyserial shows a local one, and a terminal for its data. What is set is
    an event; CTS follows what the test says, DSR our DTR as a victim's that dances.
    """

    def __init__(self, slave: int, events: list[Event]) -> None:
        self._slave = slave
        self._events = events
        self.inputs = {"cts": True, "dsr": True}
        self.is_pulled_out = False

    def fileno(self) -> int:
        return self._slave

    def close(self) -> None:
        self._events.append(("closed", True))

    def _set(self, name: str, value: object) -> None:
        if self.is_pulled_out:
            raise termios.error(5, "Input/output error")
        self._events.append((name, value))

    rts = property(fset=lambda self, on: self._set("rts", on))
    baudrate = property(fset=lambda self, speed: self._set("baudrate", speed))
    cts = property(lambda self: self.inputs["cts"])
    dsr = property(lambda self: self.inputs["dsr"])

    @property
    def dtr(self) -> bool:
        return True

    @dtr.setter
    def dtr(self, on: bool) -> None:
        self._set("dtr", on)
        self.inputs["dsr"] = on


def on_wires(
    script: Callable[[int, SerialLine, Wired, list[Event]], Awaitable[None]],
    manners: Manners = QUICK,
    clock: trio.testing.MockClock | None = None,
) -> list[Event]:
    """The script gets the victim's data, our line, its signals and what happens."""
    events: list[Event] = []

    async def main() -> None:
        master, slave = pty.openpty()
        tty.setraw(slave)
        os.set_blocking(master, False)
        os.set_blocking(slave, False)
        port = Wired(slave, events)
        try:
            with trio.fail_after(20):
                line = SerialLine(slave, lambda _: TtyModem(cast(serial.Serial, port)), manners)
                line.join(Lookout())
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(line.run)
                    await script(master, line, port, events)
                    nursery.cancel_scope.cancel()
                line.close()
        finally:
            os.close(master)
            os.close(slave)

    trio.run(main, clock=clock)
    return events


def test_a_local_devices_signals_are_set_in_order() -> None:
    async def script(victim: int, line: SerialLine, port: Wired, events: list[Event]) -> None:
        os.write(victim, b"asks")
        assert await line.receive(lambda: None) == b"asks"
        line.push(b"answer")
        assert await receive(victim, 6) == b"answer"
        events.append(("answered", True))
        assert await line.receive(lambda: 0.01) is None
        assert line.state() == {"speed": 9600, "rts": True, "breaks": 0, "cts": True, "dsr": True}

    opened: list[Event] = [("baudrate", 9600), ("dtr", True), ("rts", True)]
    closed: list[Event] = [("closed", True)]
    assert on_wires(script) == [*opened, ("answered", True), *closed]
    toggling = replace(QUICK, rts_toggle=True, dtr=None)
    assert on_wires(script, toggling) == [
        *(("baudrate", 9600), ("rts", True), ("rts", False), ("answered", True), ("rts", True)),
        *closed,
    ]


def test_a_local_device_waits_for_cts_but_not_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    async def patient(victim: int, line: SerialLine, port: Wired, events: list[Event]) -> None:
        port.inputs["cts"] = False
        line.push(b"held")
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(BlockingIOError):
            os.read(victim, 10)
        port.inputs["cts"] = True
        assert await receive(victim, 4) == b"held"

    async def wireless(victim: int, line: SerialLine, port: Wired, events: list[Event]) -> None:
        port.inputs["cts"] = False
        line.push(b"sent all the same")
        assert await receive(victim, 17) == b"sent all the same"

    on_wires(patient, replace(QUICK, hardware=True, deadline=60))
    assert not caplog.records
    on_wires(wireless, replace(QUICK, hardware=True))
    assert "waited 0.05 s for CTS; going on without" in caplog.text


def test_the_wait_for_a_wire_ends_by_the_clock(caplog: pytest.LogCaptureFixture) -> None:
    """Each look may take its time on a busy machine, and there is no number of them to be done."""
    clock = trio.testing.MockClock(autojump_threshold=0.01)

    class Sluggish(dict[str, bool]):
        def __getitem__(self, name: str) -> bool:
            clock.jump(1.0)
            return False

    async def script(victim: int, line: SerialLine, port: Wired, events: list[Event]) -> None:
        port.inputs = Sluggish()
        line.push(b"sent in time")
        assert await receive(victim, 12) == b"sent in time"

    on_wires(script, replace(QUICK, hardware=True, deadline=5.0), clock)
    assert "waited 5 s for CTS" in caplog.text


def test_a_local_device_dances_with_dtr_and_dsr(caplog: pytest.LogCaptureFixture) -> None:
    async def script(victim: int, line: SerialLine, port: Wired, events: list[Event]) -> None:
        await line.change_speed(None)

    async def alone(victim: int, line: SerialLine, port: Wired, events: list[Event]) -> None:
        port._set = lambda name, value: events.append((name, value))  # type: ignore[method-assign]
        await line.change_speed(None)
        port.inputs["dsr"] = False

    danced: list[Event] = [("dtr", False), ("baudrate", 115200), ("dtr", True), ("closed", True)]
    assert on_wires(script, replace(QUICK, deadline=60))[3:] == danced
    assert not caplog.records
    assert on_wires(alone)[3:] == danced


def test_a_local_devices_break_is_counted_by_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    breaks = 3

    def count(descriptor: int, request: int, counters: bytearray) -> int:
        assert request == 0x545D  # TIOCGICOUNT
        counters[36:40] = breaks.to_bytes(4, "little")
        return 0

    async def script(victim: int, line: SerialLine, port: Wired, events: list[Event]) -> None:
        nonlocal breaks
        await line.change_speed(115200)
        os.write(victim, b"fine")
        assert await line.receive(lambda: None) == b"fine"
        breaks += 1
        os.write(victim, b"\0boot")  # a break is a NUL among the data
        with pytest.raises(LineReset, match="sent a break"):
            await line.receive(lambda: None)
        assert await line.receive(lambda: None) == b"\0boot"
        assert events[-1] == ("baudrate", 9600)

    monkeypatch.setattr("thinwire.serial_line.fcntl.ioctl", count)
    on_wires(script)


def test_an_adapter_pulled_out_in_a_speed_change_ends_nothing_but_the_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def script(victim: int, line: SerialLine, port: Wired, events: list[Event]) -> None:
        port.is_pulled_out = True
        await line.change_speed(115200)
        assert line.state()["speed"] == 9600

    on_wires(script)
    assert "stays at 9600" in caplog.text


@pytest.mark.parametrize("dtr", [True, False, None])
def test_dtr_is_never_what_was_not_asked_for(dtr: bool | None, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    monkeypatch.setattr(
        "serial.Serial._update_dtr_state", lambda port: seen.append(port._dtr_state), raising=True
    )

    async def script(victim: int, path: str) -> None:
        open_serial_device(path, replace(QUICK, dtr=dtr)).close()

    on_a_pty(script)
    assert set(seen) == ({dtr} if dtr is not None else set())
