"""Physical memory: one piece of RAM at real address 0, and the registers of devices.

There are two ways in.  `load` and `store` are the processor's: 1, 2, 4 or 8 bytes, big-endian, to RAM or to
a device.  `read` and `write` are everybody else's (the boot program, the debugger, a simulator call that
copies): any length, RAM only, and `write` tells the listeners in `on_write`, because an engine that has
decoded those bytes must forget them.  The processor's own stores tell nobody: PowerPC code that changes code
says so with icbi.

RAM is one ctypes buffer.  `address` is where it lies in the host, so that a native engine reaches it with one
addition; `bytes` is the same memory for Python.

An address where nothing answers is a machine check (970 user's manual, 4.5.2), which `load` and `store`
raise; `read` and `write` raise `NoMemory`, since their callers are not the guest.
"""

from __future__ import annotations

import mmap
import sys
from collections.abc import Callable
from ctypes import addressof, c_char
from dataclasses import dataclass
from typing import Protocol

from emulator.cpu.interrupts import Interrupt, Vector

PAGE_SIZE = 4096

#: SRR1 of a machine check: a load or store found nobody at its real address.
MACHINE_CHECK_NO_ANSWER = 0x0010_0000


class Device(Protocol):
    """What answers in an MMIO region.  Either may raise `Leave` with `retry`, having done nothing."""

    def load(self, offset: int, size: int) -> int:
        """Return the register at `offset` as the processor sees it, `size` bytes wide."""

    def store(self, offset: int, size: int, value: int) -> None:
        """Write the register at `offset`."""


class NoMemory(Exception):
    """There is no RAM at real address `real`."""

    def __init__(self, real: int) -> None:
        super().__init__(f"no memory at real address {real:#x}")
        self.real = real


@dataclass(frozen=True, slots=True)
class Region:
    """Real addresses [start, start + length) that `device` answers."""

    start: int
    length: int
    device: Device
    #: Host address of the state of a device that native code knows as well (engines/llvm_uart); 0: of none.
    native: int = 0


class Memory:
    """RAM and the device regions of one machine."""

    def __init__(self, size: int) -> None:
        """Make `size` bytes of zeroed RAM, a multiple of a page."""
        if size <= 0 or size % PAGE_SIZE:
            raise ValueError(f"memory size {size} is not a positive multiple of {PAGE_SIZE}")
        self.size = size
        # An anonymous mapping, not a bytearray: guest memory nobody touches then costs the host nothing.
        self._mapping = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.bytes = memoryview(self._mapping)
        #: Host address of real address 0, for native engines.
        self.address = addressof(c_char.from_buffer(self._mapping))
        self.regions: list[Region] = []
        #: Called with (real address, length) after `write`.
        self.on_write: list[Callable[[int, int], None]] = []

    def add_device(self, start: int, length: int, device: Device, native: int = 0) -> None:
        """Let `device` answer at [start, start + length).  Raises ValueError if something else does."""
        end = start + length
        if start < self.size or any(start < r.start + r.length and r.start < end for r in self.regions):
            raise ValueError(f"device at {start:#x} overlaps memory or another device")
        self.regions.append(Region(start, length, device, native))

    def clear(self) -> None:
        """Make all RAM zero, telling nobody."""
        if sys.platform == "linux":
            # Linux forgets the pages of a private anonymous mapping and gives zeroed ones on the next touch.
            self._mapping.madvise(mmap.MADV_DONTNEED)
        else:
            for start in range(0, self.size, PAGE_SIZE):
                self.bytes[start : start + PAGE_SIZE] = bytes(PAGE_SIZE)

    def is_ram(self, real: int, length: int = 1) -> bool:
        """Tell whether all of [real, real + length) is RAM."""
        return real >= 0 and real + length <= self.size

    def load(self, real: int, size: int) -> int:
        """Return `size` bytes at `real` as an unsigned big-endian number.

        Raises Interrupt (machine check) where nothing answers; a device may raise Leave.
        """
        end = real + size
        if end <= self.size:
            return int.from_bytes(self.bytes[real:end], "big")
        region = self._region(real, end)
        return region.device.load(real - region.start, size)

    def store(self, real: int, size: int, value: int) -> None:
        """Store the low `size` bytes of `value` at `real`, big-endian.  Raises what `load` raises."""
        end = real + size
        if end <= self.size:
            self.bytes[real:end] = (value & (1 << 8 * size) - 1).to_bytes(size, "big")
            return
        region = self._region(real, end)
        region.device.store(real - region.start, size, value)

    def read(self, real: int, length: int) -> bytes:
        """Return `length` bytes of RAM.  Raises NoMemory."""
        self._require_ram(real, length)
        return bytes(self.bytes[real : real + length])

    def write(self, real: int, data: bytes | bytearray | memoryview) -> None:
        """Write RAM from outside the processor and tell `on_write`.  Raises NoMemory before any change."""
        self._require_ram(real, len(data))
        self.bytes[real : real + len(data)] = data
        for listener in self.on_write:
            listener(real, len(data))

    def _require_ram(self, real: int, length: int) -> None:
        if not self.is_ram(real, length):
            raise NoMemory(max(real, self.size) if real >= 0 else real)

    def _region(self, real: int, end: int) -> Region:
        for region in self.regions:
            if region.start <= real and end <= region.start + region.length:
                return region
        raise Interrupt(Vector.MACHINE_CHECK, MACHINE_CHECK_NO_ANSWER, dar=real)
