"""Copies of data translations, where native loads and stores look first: two levels of TLB, and devices.

engines/layout says how an entry looks.  Each of the four contexts of a data access has its own tables.  A
page of RAM is copied when Python has made an access there; a page that is watched never is.  What is no
memory has its registers remembered by effective address: a guest that polls comes here for every byte.
"""

from __future__ import annotations

import ctypes
from array import array
from typing import NamedTuple

from emulator.cpu.mmu import Access
from emulator.cpu.processor import Processor
from emulator.cpu.state import INDEX, MASK64, MSR_DR, MSR_PR
from emulator.engines import layout
from emulator.engines.layout import PAGE
from emulator.isa import storage
from emulator.memory import Device


class DeviceRegister(NamedTuple):
    """What answers at an effective address that is no memory."""

    device: Device
    offset: int


class DataCopies:
    """The copies of one engine."""

    def __init__(self, processor: Processor) -> None:
        self._processor = processor
        self._words = words = processor.state.words
        self._tlb = array("Q", [layout.NO_TAG]) * (layout.CONTEXTS * layout.TLB_SIZE // 8)
        self._far_tlb = array("Q", [0]) * (layout.CONTEXTS * layout.FAR_TLB_SIZE // 8)
        self._far_generation = 0
        # Registers of devices by effective address, size and (the TLB of the) context.
        self._device_loads: dict[tuple[int, int, int], DeviceRegister] = {}
        self._device_stores: dict[tuple[int, int, int], DeviceRegister] = {}
        words[layout.TLBS] = self._tlb.buffer_info()[0]
        words[layout.FAR_TLBS] = self._far_tlb.buffer_info()[0]
        words[layout.MEMORY] = processor.memory.address

    def use_context(self) -> int:
        """Make the tables of the present context the ones in use, and return the number of its TLB."""
        context = self._context()
        self._words[layout.FAR_TLB] = self._words[layout.FAR_TLBS] + layout.FAR_TLB_SIZE * context
        return context

    # Accesses that native code leaves to Python.

    def load(self, address: int, size: int) -> int:
        if (found := self._device_loads.get((address, size, self._words[layout.FAR_TLB]))) is not None:
            return found.device.load(found.offset, size)
        value = storage.load(self._processor, address, size)
        self._fill_all(address, Access.LOAD, size)
        return value

    def store(self, address: int, size: int, value: int) -> None:
        if (found := self._device_stores.get((address, size, self._words[layout.FAR_TLB]))) is not None:
            found.device.store(found.offset, size, value & (1 << 8 * size) - 1)
            return
        storage.store(self._processor, address, size, value)
        self._fill_all(address, Access.STORE, size)

    def _fill_all(self, address: int, access: Access, size: int) -> None:
        """Remember where an access that has just been made lies, in both pages if it crosses into another."""
        self._fill(address, access, size)
        if address % PAGE + size > PAGE:
            self._fill(storage.effective(self._processor, address + size - 1), access, 1)

    def _fill(self, address: int, access: Access, size: int) -> None:
        """Remember where `address`, which has just been accessed, lies."""
        processor = self._processor
        if processor.mmu.is_watched(address):
            return
        real = processor.mmu.translate(address, access) & -PAGE
        if not processor.memory.is_ram(real, PAGE):
            self._remember_device(address, access, size)
            return
        if not processor.mmu.is_cached(address):  # some instructions refuse it, and only helpers know
            return
        page, addend = address & -PAGE, processor.memory.address + real - (address & -PAGE) & MASK64
        context = self._context()
        number = context * layout.TLB_ENTRIES + (address >> 12 & layout.TLB_ENTRIES - 1)
        _put_entry(self._tlb, number, access, page, layout.NO_TAG, addend)
        number = context * layout.FAR_TLB_ENTRIES + (address >> 12 & layout.FAR_TLB_ENTRIES - 1)
        _put_entry(self._far_tlb, number, access, page | self._far_generation, 0, addend)

    def offer(self, address: int, access: Access) -> int:
        """Remember where `address`, about to be accessed, lies."""
        self._fill(address, access, 1)
        return 0

    def _remember_device(self, address: int, access: Access, size: int) -> None:
        """Remember whose register lies at `address`: a guest that polls comes here for every byte."""
        processor = self._processor
        real = processor.mmu.translate(address, access)
        for region in processor.memory.regions:
            if region.start <= real and real + size <= region.start + region.length:
                found = self._device_loads if access is Access.LOAD else self._device_stores
                context, offset = self._words[layout.FAR_TLB], real - region.start
                found[address, size, context] = DeviceRegister(region.device, offset)
                if region.native:
                    # All its registers lie in one page; what holds for one of them holds for the others.
                    place = layout.UART_LOADS if access is Access.LOAD else layout.UART_STORES
                    first = address - offset & MASK64
                    self._words[place], self._words[place + 1] = first, context
                    for register in range(region.length):
                        found[first + register, 1, context] = DeviceRegister(region.device, register)

    def _forget_devices(self) -> None:
        self._words[layout.UART_LOADS + 1] = self._words[layout.UART_STORES + 1] = 0
        self._device_loads.clear()
        self._device_stores.clear()

    # Forgetting.

    def forget_all(self) -> None:
        """Empty the TLBs."""
        self._forget_devices()
        ctypes.memset(self._tlb.buffer_info()[0], 0xFF, self._tlb.itemsize * len(self._tlb))
        self._far_generation = self._far_generation % layout.FAR_TLB_GENERATIONS + 1
        if self._far_generation == 1:
            ctypes.memset(self._far_tlb.buffer_info()[0], 0, self._far_tlb.itemsize * len(self._far_tlb))
        self._words[layout.FAR_TLB_GENERATION] = self._far_generation

    def forget(self, mask: int, value: int) -> None:
        """Forget effective addresses with `ea & mask == value`: of a page or a segment.

        What is made without translation stays right.
        """
        if not mask & PAGE:
            self.forget_all()
            return
        self._forget_devices()
        for context in range(layout.CONTEXT_TRANSLATED, layout.CONTEXTS, 2):
            number = context * layout.TLB_ENTRIES + (value >> 12 & layout.TLB_ENTRIES - 1)
            _clear_entry(self._tlb, number, layout.NO_TAG)
            number = context * layout.FAR_TLB_ENTRIES + (value >> 12 & layout.FAR_TLB_ENTRIES - 1)
            _clear_entry(self._far_tlb, number, 0)

    def _context(self) -> int:
        msr = self._words[INDEX["msr"]]
        translated = layout.CONTEXT_TRANSLATED if msr & MSR_DR else 0
        return translated | (layout.CONTEXT_PROBLEM_STATE if msr & MSR_PR else 0)


def _put_entry(table: array[int], number: int, access: Access, tag: int, no_tag: int, addend: int) -> None:
    """Write a TLB entry for one kind of access; the other's tag stays if it is of the same page."""
    entry = number * (layout.TLB_ENTRY_SIZE // 8)
    this, other = (entry + 1, entry) if access is Access.STORE else (entry, entry + 1)
    if table[other] != tag:
        table[other] = no_tag
    table[this] = tag
    table[entry + 2] = addend


def _clear_entry(table: array[int], number: int, no_tag: int) -> None:
    """Take both tags from a TLB entry."""
    entry = number * (layout.TLB_ENTRY_SIZE // 8)
    table[entry] = table[entry + 1] = no_tag
