"""A 16550 UART without its FIFO's interrupts: what a kernel that polls needs (K42 facts D.9).

The transmitter is as fast as the host drains the port; a byte written while nobody is connected is lost,
as on a cable that ends nowhere.  CTS, DSR and DCD show whether somebody is connected.  The divisor is
remembered and shown as `speed` but delays nothing.

A guest that waits for a byte reads the line status register over and over.  After `PATIENCE` such
readings, each soon after the last and none of them of use, the next one ends the run as IDLE instead,
with nothing done and a time the guest may sleep; the time doubles while the silence lasts.  So an idle
guest costs nothing although it polls, and one that looks at the UART now and then while it computes is
left alone.

Half a dozen accesses for each byte that moves: what the guest's loops read and write lies in words
(`Word`), so that native code does the common ones by itself (engines/llvm_uart), and exactly so: it comes
here for everything else.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from enum import IntEnum

from emulator.cpu.exits import ExitKind, Leave
from emulator.devices.port import Port

REGISTERS = 8
#: The crystal divided by 16: the speed for divisor 1, bits/s.
BASE_SPEED = 115200

#: Readings in vain before a guest counts as waiting, and those it may make after each sleep.
PATIENCE = 6
PATIENCE_AFTER_SLEEP = 4
#: A polling loop reads again within this many instructions.
POLL_DISTANCE = 200
#: How long a waiting guest sleeps at most, in instructions: first, and after doubling (1 to 16 ms).
FIRST_SLEEP = 100_000
LONGEST_SLEEP = 1_600_000


class Register(IntEnum):
    """Offsets from the UART's first byte."""

    DATA = 0
    INTERRUPT_ENABLE = 1
    INTERRUPT_ID = 2
    LINE_CONTROL = 3
    MODEM_CONTROL = 4
    LINE_STATUS = 5
    MODEM_STATUS = 6
    SCRATCH = 7


class Word(IntEnum):
    """Indexes of a UART's words."""

    #: Readings in vain that are left to the guest, how long it sleeps then, and when it read last.
    PATIENCE = 0
    SLEEP = 1
    LAST_POLL = 2
    LINE_CONTROL = 3
    MODEM_CONTROL = 4
    #: Address of the port's words.
    PORT = 5


_LINE_STATUS = int(Register.LINE_STATUS)
_PATIENCE, _SLEEP, _LAST_POLL = map(int, (Word.PATIENCE, Word.SLEEP, Word.LAST_POLL))
_LINE_CONTROL, _MODEM_CONTROL = int(Word.LINE_CONTROL), int(Word.MODEM_CONTROL)

LCR_DIVISOR_ACCESS = 0x80
MCR_DTR = 0x01
MCR_RTS = 0x02
MCR_BITS = 0x1F
LSR_DATA_READY = 0x01
LSR_TRANSMITTER_EMPTY = 0x60  # holding register and shift register
MSR_CTS = 0x10
MSR_DSR = 0x20
MSR_DCD = 0x80
_NO_INTERRUPT = 0x01


class Uart16550:
    """One UART; `port` is its cable."""

    def __init__(self, port: Port, now: Callable[[], int]) -> None:
        """Join the UART to `port`; `now` returns the guest time in instructions."""
        self.port = port
        self._now = now
        self.words = array("Q", [0]) * len(Word)
        self.words[Word.PORT] = port.words.buffer_info()[0]
        self.reset()

    def reset(self) -> None:
        """Return to the state after power-on: 9600 bits/s, modem lines off."""
        self._divisor = BASE_SPEED // 9600
        self._interrupt_enable = 0
        self._scratch = 0
        self.words[_LINE_CONTROL] = 3
        self.words[_MODEM_CONTROL] = 0
        self.words[_LAST_POLL] = 0
        self._stop_waiting()

    @property
    def address(self) -> int:
        """Where the words lie in the host, for native engines."""
        return self.words.buffer_info()[0]

    @property
    def speed(self) -> int:
        """Bits per second the guest has asked for, 0 for a divisor of 0."""
        return BASE_SPEED // self._divisor if self._divisor else 0

    @property
    def dtr(self) -> bool:
        """Whether the guest says it is there."""
        return bool(self.words[_MODEM_CONTROL] & MCR_DTR)

    @property
    def rts(self) -> bool:
        """Whether the guest asks for bytes."""
        return bool(self.words[_MODEM_CONTROL] & MCR_RTS)

    def load(self, offset: int, size: int) -> int:
        """Read `size` registers from `offset`; raises Leave when the guest is found to be waiting."""
        if size == 1:
            return self._load(offset)
        value = 0
        for register in range(offset, offset + size):
            value = value << 8 | self._load(register)
        return value

    def store(self, offset: int, size: int, value: int) -> None:
        """Write `size` registers from `offset`."""
        for position in range(size):
            self._store(offset + position, value >> 8 * (size - 1 - position) & 0xFF)

    def _load(self, register: int) -> int:
        if register == _LINE_STATUS:
            # Half of all accesses: once for each byte in either direction.
            port = self.port
            ready = LSR_DATA_READY if port.waiting else 0
            self._poll(bool(ready))
            return ready | (LSR_TRANSMITTER_EMPTY if port.space else 0)
        divisor_access = self.words[_LINE_CONTROL] & LCR_DIVISOR_ACCESS
        match register:
            case Register.DATA if divisor_access:
                return self._divisor & 0xFF
            case Register.INTERRUPT_ENABLE if divisor_access:
                return self._divisor >> 8
            case Register.DATA:
                data = self.port.get(1)
                self._stop_waiting()
                return data[0] if data else 0
            case Register.INTERRUPT_ENABLE:
                return self._interrupt_enable
            case Register.INTERRUPT_ID:
                return _NO_INTERRUPT
            case Register.LINE_CONTROL:
                return self.words[_LINE_CONTROL]
            case Register.MODEM_CONTROL:
                return self.words[_MODEM_CONTROL]
            case Register.MODEM_STATUS:
                self._poll(self.port.connected)
                return MSR_CTS | MSR_DSR | MSR_DCD if self.port.connected else 0
            case _:
                return self._scratch

    def _store(self, register: int, value: int) -> None:
        divisor_access = self.words[_LINE_CONTROL] & LCR_DIVISOR_ACCESS
        match register:
            case Register.DATA if divisor_access:
                self._divisor = self._divisor & 0xFF00 | value
            case Register.INTERRUPT_ENABLE if divisor_access:
                self._divisor = self._divisor & 0xFF | value << 8
            case Register.DATA:
                if self.port.connected:
                    self.port.put(bytes([value]))
                self._stop_waiting()
            case Register.INTERRUPT_ENABLE:
                self._interrupt_enable = value & 0xF
            case Register.LINE_CONTROL:
                self.words[_LINE_CONTROL] = value
            case Register.MODEM_CONTROL:
                self.words[_MODEM_CONTROL] = value & MCR_BITS
            case Register.SCRATCH:
                self._scratch = value

    def _poll(self, useful: bool) -> None:
        """Count a status reading; raise Leave if it is one too many."""
        words, now = self.words, self._now()
        soon = now - words[_LAST_POLL] < POLL_DISTANCE
        words[_LAST_POLL] = now
        if useful or not soon:
            self._stop_waiting()
            return
        if words[_PATIENCE]:
            words[_PATIENCE] -= 1
            return
        sleep = words[_SLEEP]
        words[_PATIENCE] = PATIENCE_AFTER_SLEEP
        words[_SLEEP] = min(2 * sleep, LONGEST_SLEEP)
        # The sleep itself must not look like a computation between two readings.
        words[_LAST_POLL] = now + sleep
        raise Leave(ExitKind.IDLE, sleep, retry=True)

    def _stop_waiting(self) -> None:
        self.words[_PATIENCE] = PATIENCE
        self.words[_SLEEP] = FIRST_SLEEP
