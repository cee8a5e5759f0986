"""The simulator interface: what SimOS and Mambo do for a kernel (K42 facts D.2, D.3).

A kernel asks by executing a call word.  r3 holds the function code, r4.. the arguments, and the result
goes to r3; no other register changes.  Pointers are real addresses.  Both call words mean the same here,
for every code.

Two ports: `console` (codes 0 and 60) and `wire`, thinwire's line (codes 61 and 62).  A call that must
wait ends the run as IDLE: a read of an empty wire takes `EMPTY_READ_TIME` and answers 0, a write to a
full port is made again when the guest comes back.  A port that is full although nobody is connected loses
what comes.

A code that does not exist answers -1 and is logged, once for each code.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from emulator.cpu.exits import ExitKind, Leave
from emulator.cpu.processor import RTAS_CALL, Processor
from emulator.cpu.state import INDEX, MASK64
from emulator.cpu.timers import INSTRUCTIONS_PER_SECOND
from emulator.devices.port import PORT_LIMIT, Port
from emulator.memory import PAGE_SIZE, NoMemory

_log = logging.getLogger("emulator")

_R3 = INDEX["gpr"] + 3

#: Guest time that a read of the empty wire costs, and the longest sleep before a blocked write: 1 ms.
EMPTY_READ_TIME = INSTRUCTIONS_PER_SECOND // 1000
#: Longest piece that codes 61 and 62 move (K42 facts D.3).
WIRE_CHUNK = 256
NO_CHARACTER = 0xFF
FAILED = MASK64
#: Code 42: a version; the boot program prints it shifted right by 8.
SIMULATOR_VERSION = 1 << 8
#: What code 126 sleeps: until the next event.
_UNTIL_EVENT = 0


class SimulatorCalls:
    """Answers the calls; `call` is the processor's `simulator_call`."""

    def __init__(self, console: Port, wire: Port, epoch: int) -> None:
        """`epoch` is the time of day at power-on, in seconds since 1970."""
        self.console = console
        self.wire = wire
        self._epoch = epoch
        self._unknown: set[int] = set()
        self._codes: dict[int, Callable[[Processor, int, int, int], int]] = {
            0: self._console_write,
            31: _exit,
            42: lambda *_: SIMULATOR_VERSION,
            60: self._console_read,
            61: self._wire_read,
            62: self._wire_write,
            66: lambda processor, *_: processor.state.icount,
            67: lambda *_: 1,
            68: lambda processor, what, *_: processor.memory.size if what == 1 else 1,
            69: _copy,
            70: self._time_of_day,
            71: _fill,
            126: _idle,
        }

    def call(self, processor: Processor, word: int) -> None:
        """Carry out the call whose code is in r3.  Raises Leave where the run ends with it."""
        words = processor.state.words
        code, *arguments = words[_R3 : _R3 + 4]
        # RTAS emulation has no functions here: it answers like a code nobody knows.
        function = None if word == RTAS_CALL else self._codes.get(code)
        if function is None:
            result = FAILED
            if code not in self._unknown and len(self._unknown) < 1000:
                self._unknown.add(code)
                _log.warning(
                    "simulator call %d at pc %#x is not known; it answers -1", code, processor.state.pc
                )
        else:
            try:
                result = function(processor, *arguments)
            except NoMemory as error:
                _log.warning("simulator call %d at pc %#x: %s", code, processor.state.pc, error)
                result = FAILED
        words[_R3] = result & MASK64

    def _console_write(self, processor: Processor, buffer: int, length: int, virtual: int) -> int:
        # The caller has switched MSR[DR] off around the call, so flag 1 asks for translation by itself.
        if length > PORT_LIMIT:
            return FAILED
        data = bytearray()
        while len(data) < length:
            at = buffer + len(data)
            real = processor.mmu.probe(at, translated=bool(virtual))
            if real is None:
                return FAILED
            data += processor.memory.read(real, min(length - len(data), PAGE_SIZE - at % PAGE_SIZE))
        return _put(self.console, bytes(data))

    def _console_read(self, processor: Processor, *_: int) -> int:
        data = self.console.get(1)
        return data[0] if data else NO_CHARACTER

    def _wire_read(self, processor: Processor, buffer: int, length: int, _: int) -> int:
        processor.memory.read(buffer, min(length, WIRE_CHUNK))  # fails before a byte is taken
        data = self.wire.get(min(length, WIRE_CHUNK))
        if not data:
            processor.state.words[_R3] = 0
            raise Leave(ExitKind.IDLE, EMPTY_READ_TIME)
        processor.memory.write(buffer, data)
        return len(data)

    def _wire_write(self, processor: Processor, buffer: int, length: int, _: int) -> int:
        return _put(self.wire, processor.memory.read(buffer, min(length, WIRE_CHUNK)))

    def _time_of_day(self, processor: Processor, *_: int) -> int:
        microseconds = processor.timers.elapsed() * 1_000_000 // INSTRUCTIONS_PER_SECOND
        seconds, rest = divmod(microseconds, 1_000_000)
        return self._epoch + seconds << 32 | rest


def _put(port: Port, data: bytes) -> int:
    """Send all of `data` or, while somebody is there to make room, wait."""
    if len(data) > port.space and port.connected:
        raise Leave(ExitKind.IDLE, EMPTY_READ_TIME, retry=True)
    port.put(data)
    return len(data)


def _exit(processor: Processor, code: int, *_: int) -> int:
    raise Leave(ExitKind.SHUTDOWN, code)


def _copy(processor: Processor, to: int, source: int, length: int) -> int:
    processor.memory.write(to, processor.memory.read(source, length))
    return 0


def _fill(processor: Processor, start: int, value: int, length: int) -> int:
    processor.memory.read(start, 1)
    if not processor.memory.is_ram(start, length):
        raise NoMemory(processor.memory.size)
    processor.memory.write(start, bytes([value & 0xFF]) * length)
    return 0


def _idle(processor: Processor, *_: int) -> int:
    processor.state.words[_R3] = 0
    raise Leave(ExitKind.IDLE, _UNTIL_EVENT)
