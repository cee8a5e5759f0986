"""Prints how native code serves the UART by itself.

A guest that speaks to its debugger reads the line status for each byte in either direction, and then moves
the byte: two thousand accesses for one single step of gdb's, and Python would cost more for each of them than
everything the guest does between two.

`device_load` and `device_store` stand in the place of the callbacks (engines/layout, LOAD and STORE), which a
load or store comes to when its page is no memory.  They do what devices/uart16550 does, in the words of its
state, and only where that is simple: a byte moves that is there, or for which there is room; the status is
read, and the guest has not waited for too long.  Everything else goes on to Python, which finds the state as
if every access had come to it.
"""

from __future__ import annotations

from dataclasses import dataclass

from emulator.cpu.state import INDEX
from emulator.devices import port as ports
from emulator.devices import uart16550 as uarts
from emulator.devices.uart16550 import Register
from emulator.engines import layout
from emulator.engines.llvm_source import Printer


@dataclass(slots=True)
class _Words:
    """The words that begin at `base`, for a function in the making."""

    printer: Printer
    base: str

    def place(self, index: int) -> str:
        return self.printer.assign(f"getelementptr i64, ptr {self.base}, i64 {int(index)}")

    def get(self, index: int) -> str:
        return self.printer.assign(f"load i64, ptr {self.place(index)}")

    def pointer(self, index: int) -> str:
        return self.printer.assign(f"load ptr, ptr {self.place(index)}")

    def put(self, index: int, value: str | int) -> None:
        self.printer.line(f"store i64 {value}, ptr {self.place(index)}")


def print_uart() -> str:
    """Return the IR of a module with `device_load` and `device_store`."""
    return f"{_device_load()}\n{_device_store()}"


def _device_load() -> str:
    p = Printer()
    uart, port = _choose(p, layout.UART_LOADS, {Register.DATA: "data", Register.LINE_STATUS: "status"})
    p.label("data")
    first, is_waiting = _waiting(p, port)
    _require(p, _both(p, _is_data(p, uart), is_waiting), "take")
    byte = p.assign(f"getelementptr i8, ptr {port.pointer(ports.Word.INBOUND)}, i64 {first}")
    taken = p.assign(f"zext i8 {p.assign(f'load i8, ptr {byte}')} to i64")
    port.put(ports.Word.FIRST, p.assign(f"add i64 {first}, 1"))
    _stop_waiting(uart)
    p.line(f"ret i64 {taken}")

    p.label("status")
    _, is_waiting = _waiting(p, port)
    now = p.assign(f"add i64 {p.get(INDEX['icount'])}, {p.get(INDEX['time_slept'])}")
    distance = p.assign(f"sub i64 {now}, {uart.get(uarts.Word.LAST_POLL)}")
    is_soon = p.assign(f"icmp slt i64 {distance}, {uarts.POLL_DISTANCE}")
    is_in_vain = _both(p, is_soon, p.assign(f"xor i1 {is_waiting}, true"))
    p.line(f"br i1 {is_in_vain}, label %in_vain, label %useful")
    p.label("in_vain")
    patience = uart.get(uarts.Word.PATIENCE)
    _require(p, p.assign(f"icmp ne i64 {patience}, 0"), "patient")
    uart.put(uarts.Word.PATIENCE, p.assign(f"sub i64 {patience}, 1"))
    p.line("br label %answer")
    p.label("useful")
    _stop_waiting(uart)
    p.line("br label %answer")
    p.label("answer")
    uart.put(uarts.Word.LAST_POLL, now)
    _, is_room = _room(p, port)
    ready = p.assign(f"select i1 {is_waiting}, i64 {uarts.LSR_DATA_READY}, i64 0")
    empty = p.assign(f"select i1 {is_room}, i64 {uarts.LSR_TRANSMITTER_EMPTY}, i64 0")
    p.line(f"ret i64 {p.assign(f'or i64 {ready}, {empty}')}")

    p.label("python")
    callback = p.get_pointer(layout.PYTHON_LOAD)
    p.line(f"ret i64 {p.assign(f'call i64 {callback}(i64 %ea, i64 %size, ptr %s)')}")
    return _define("i64 @device_load(i64 %ea, i64 %size, ptr %s)", p)


def _device_store() -> str:
    p = Printer()
    uart, port = _choose(p, layout.UART_STORES, {Register.DATA: "data", Register.MODEM_CONTROL: "modem"})
    p.label("data")
    is_connected = p.assign(f"icmp ne i64 {port.get(ports.Word.CONNECTED)}, 0")
    pending, is_room = _room(p, port)
    _require(p, _both(p, _is_data(p, uart), _both(p, is_connected, is_room)), "put")
    byte = p.assign(f"getelementptr i8, ptr {port.pointer(ports.Word.OUTBOUND)}, i64 {pending}")
    p.line(f"store i8 {p.assign('trunc i64 %value to i8')}, ptr {byte}")
    port.put(ports.Word.PENDING, p.assign(f"add i64 {pending}, 1"))
    _stop_waiting(uart)
    p.line("ret void")

    p.label("modem")
    uart.put(uarts.Word.MODEM_CONTROL, p.assign(f"and i64 %value, {uarts.MCR_BITS}"))
    p.line("ret void")

    p.label("python")
    callback = p.get_pointer(layout.PYTHON_STORE)
    p.line(f"call void {callback}(i64 %ea, i64 %size, i64 %value, ptr %s)")
    p.line("ret void")
    return _define("void @device_store(i64 %ea, i64 %size, i64 %value, ptr %s)", p)


def _define(signature: str, p: Printer) -> str:
    body = "\n".join(p.lines)
    return f"define {signature} {{\nentry:\n{body}\n}}\n"


def _choose(p: Printer, place: int, labels: dict[Register, str]) -> tuple[_Words, _Words]:
    """Go on at the label of the register at `ea`; return the words of the UART and of its port.

    At `place` of the state block is where the UART's registers are accessed by bytes, and then the context in
    which that is known (ThreadedEngine).
    """
    is_known = p.assign(f"icmp eq i64 {p.get(layout.FAR_TLB)}, {p.get(place + 1)}")
    is_byte = p.assign("icmp eq i64 %size, 1")
    register = p.assign(f"sub i64 %ea, {p.get(place)}")
    uart = _Words(p, p.get_pointer(layout.UART))
    _require(p, _both(p, is_known, is_byte), "uart")
    port = _Words(p, uart.pointer(uarts.Word.PORT))
    cases = " ".join(f"i64 {int(register)}, label %{label}" for register, label in labels.items())
    p.line(f"switch i64 {register}, label %python [ {cases} ]")
    return uart, port


def _require(p: Printer, condition: str, label: str) -> None:
    """Go on at `label` if `condition` holds, else in Python."""
    p.line(f"br i1 {condition}, label %{label}, label %python")
    p.label(label)


def _both(p: Printer, one: str, other: str) -> str:
    return p.assign(f"and i1 {one}, {other}")


def _is_data(p: Printer, uart: _Words) -> str:
    """Return whether the first register is that of the data, not of the divisor."""
    divisor = p.assign(f"and i64 {uart.get(uarts.Word.LINE_CONTROL)}, {uarts.LCR_DIVISOR_ACCESS}")
    return p.assign(f"icmp eq i64 {divisor}, 0")


def _waiting(p: Printer, port: _Words) -> tuple[str, str]:
    """Return which is the next byte for the guest, and whether there is one."""
    first = port.get(ports.Word.FIRST)
    return first, p.assign(f"icmp ne i64 {first}, {port.get(ports.Word.LAST)}")


def _room(p: Printer, port: _Words) -> tuple[str, str]:
    """Return how many bytes the guest has put, and whether there is room for one more."""
    pending = port.get(ports.Word.PENDING)
    return pending, p.assign(f"icmp ult i64 {pending}, {ports.PORT_LIMIT}")


def _stop_waiting(uart: _Words) -> None:
    uart.put(uarts.Word.PATIENCE, uarts.PATIENCE)
    uart.put(uarts.Word.SLEEP, uarts.FIRST_SLEEP)
