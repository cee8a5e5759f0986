"""Memory and clocks, each alone."""

from __future__ import annotations

import ctypes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.cpu.interrupts import Interrupt, Vector
from emulator.cpu.registers import REGISTERS
from emulator.cpu.state import CpuState
from emulator.cpu.timers import INSTRUCTIONS_PER_TICK, Timers
from emulator.memory import Memory, NoMemory

SIZE = 1 << 16


class Recorder:
    """A device that remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, ...]] = []

    def load(self, offset: int, size: int) -> int:
        self.asked.append((offset, size))
        return 0xAB

    def store(self, offset: int, size: int, value: int) -> None:
        self.asked.append((offset, size, value))


@given(st.integers(0, SIZE - 8), st.sampled_from([1, 2, 4, 8]), st.integers(0, (1 << 64) - 1))
def test_memory_is_big_endian_and_one_buffer_for_the_host(real: int, size: int, value: int) -> None:
    memory = Memory(SIZE)
    memory.store(real, size, value)
    cut = value & (1 << 8 * size) - 1
    assert memory.load(real, size) == cut
    assert memory.read(real, size) == cut.to_bytes(size, "big")
    assert ctypes.string_at(memory.address + real, size) == cut.to_bytes(size, "big")


def test_devices_answer_in_their_region_only() -> None:
    memory, device = Memory(SIZE), Recorder()
    memory.add_device(0xF000_0000, 8, device)
    assert memory.load(0xF000_0002, 4) == 0xAB
    memory.store(0xF000_0007, 1, 5)
    assert device.asked == [(2, 4), (7, 1, 5)]
    for real, size in ((0xF000_0006, 4), (0xEFFF_FFFF, 1), (SIZE, 1), (SIZE - 2, 4)):
        with pytest.raises(Interrupt) as caught:
            memory.load(real, size)
        assert caught.value.vector is Vector.MACHINE_CHECK


@pytest.mark.parametrize("start", [0, SIZE - 4, 0xF000_0004, 0xEFFF_FFFF])
def test_devices_must_not_overlap(start: int) -> None:
    memory = Memory(SIZE)
    memory.add_device(0xF000_0000, 8, Recorder())
    with pytest.raises(ValueError, match="overlaps"):
        memory.add_device(start, 8, Recorder())


def test_outside_writes_are_announced_and_all_or_nothing() -> None:
    memory = Memory(SIZE)
    heard: list[tuple[int, int]] = []
    memory.on_write.append(lambda real, length: heard.append((real, length)))
    memory.write(0x100, b"abc")
    memory.store(0x200, 4, 1)
    with pytest.raises(NoMemory) as caught:
        memory.write(SIZE - 1, b"xy")
    assert (heard, memory.read(SIZE - 1, 1), caught.value.real) == ([(0x100, 3)], b"\0", SIZE)
    memory.clear()
    assert memory.read(0, SIZE) == bytes(SIZE)


@pytest.mark.parametrize("size", [0, -4096, 100])
def test_memory_is_whole_pages(size: int) -> None:
    with pytest.raises(ValueError, match="multiple"):
        Memory(size)


@given(
    st.integers(0, (1 << 64) - 1),
    st.integers(0, (1 << 32) - 1),
    st.integers(0, 1 << 40),
    st.integers(0, 1 << 40),
)
def test_clocks_count_with_the_instructions(
    timebase: int, decrementer: int, before: int, passed: int
) -> None:
    state = CpuState()
    timers = Timers(state)
    state.icount = before
    timers.set_timebase(timebase)
    timers.set_decrementer(decrementer)
    assert (timers.timebase(), timers.decrementer()) == (timebase, decrementer)
    state.icount += passed // 2
    timers.sleep(passed - passed // 2)
    ticks = (before + passed) // INSTRUCTIONS_PER_TICK - before // INSTRUCTIONS_PER_TICK
    assert timers.elapsed() == before + passed
    assert timers.timebase() == (timebase + ticks) % (1 << 64)
    assert timers.decrementer() == (decrementer - ticks) % (1 << 32)


@given(st.integers(0, (1 << 31) - 1), st.integers(0, 1000))
def test_next_event_is_the_instruction_on_which_the_decrementer_turns(decrementer: int, before: int) -> None:
    state = CpuState()
    timers = Timers(state)
    state.icount = before
    timers.set_decrementer(decrementer)
    left = timers.next_event()
    assert left > 0
    timers.sleep(left - 1)
    assert not timers.is_decrementer_pending()
    timers.sleep(1)
    assert timers.is_decrementer_pending()
    assert timers.next_event() == 0


@given(st.sampled_from(sorted(REGISTERS)), st.integers(0, (1 << 128) - 1))
def test_registers_keep_what_fits_and_touch_nothing_else(name: str, value: int) -> None:
    state = CpuState()
    others = {n: r.read(state) for n, r in REGISTERS.items() if n != name}
    register = REGISTERS[name]
    register.write(state, value)
    kept = register.read(state)
    assert kept >> register.bits == 0
    match name:
        case "xer":
            assert kept == value & 0xE000_007F
        case "pc":
            assert kept == value & ((1 << 64) - 4)
        case _:
            assert kept == value & ((1 << register.bits) - 1)
    assert {n: r.read(state) for n, r in REGISTERS.items() if n != name} == others
