"""32-bit mode (MSR[SF] off): addresses end at 4 GB, whatever the upper halves of registers hold."""

from __future__ import annotations

import struct

import oracle
import pytest
from oracle import encode

from emulator.cpu.state import MSR_DR, MSR_EE, MSR_HV, MSR_IR, MSR_ME, MSR_SF
from emulator.engines.reference import ReferenceEngine
from emulator.engines.threaded import ThreadedEngine

NARROW = MSR_HV | MSR_ME
CODE = 0x1_0000
DIRT = 0xABCD << 32

#: The last page of 4 GB, the first one, and one beyond; where each lies.
PAGES = {0xFFFF_F000: 0x2_0000, 0: 0x3_0000, DIRT: 0x5_0000}
TABLE = 0x8_0000
LAST = 0xFFFF_FFFC
TRANSLATED = NARROW | MSR_IR | MSR_DR
ADD_ONE = encode("addi", rt=3, ra0=3, si=1)

engines = pytest.mark.parametrize("engine", [ReferenceEngine, ThreadedEngine], ids=lambda e: e.__name__)


def finish(engine, state, count):
    """Complete `count` instructions; interrupts are not expected."""
    for _ in range(count):
        assert engine.run(count - state.icount) is None
        if state.icount == count:
            return
    raise AssertionError(f"stuck at {state.pc:x}, SRR0 {state.get('srr0'):x}, {state.icount} done")


def run(engine_class, words, msr, count=1, **registers):
    processor = oracle.make_processor(1 << 20)
    processor.memory.write(CODE, struct.pack(f">{len(words)}I", *words))
    state = processor.state
    for name, value in registers.items():
        state.put(name, value)
    state.msr, state.pc = msr, CODE
    finish(engine_class(processor), state, count)
    return state


@engines
@pytest.mark.parametrize("before", [NARROW, NARROW | MSR_SF])
def test_rfid_to_32_bit_mode_drops_the_upper_half_of_srr0(engine, before):
    state = run(engine, [encode("rfid")], before, srr0=DIRT | 0x2_0000, srr1=NARROW)
    assert (state.pc, state.msr) == (0x2_0000, NARROW)


@engines
def test_rfid_from_32_bit_mode_to_64_bit_mode_keeps_it(engine):
    state = run(engine, [encode("rfid")], NARROW, srr0=DIRT | 0x2_0003, srr1=NARROW | MSR_SF)
    assert (state.pc, state.msr) == (DIRT | 0x2_0000, NARROW | MSR_SF)


def run_translated(engine_class, pc, words, *, count=1, msr=TRANSLATED, hypervisor_call=None, **registers):
    """Run `words` from `pc` on; everywhere else in the mapped pages R3 counts instructions."""
    processor = oracle.make_processor(1 << 20)
    memory, mmu, state = processor.memory, processor.mmu, processor.state
    processor.hypervisor_call = hypervisor_call
    state.put("sdr1", TABLE)
    for number, (page, real) in enumerate(PAGES.items()):
        mmu.slbmte(number << 12, page >> 28 << 28 | 1 << 27 | number)
        group, _ = mmu.tables.groups_of(mmu.tables.segment(page), page)
        memory.write(group, struct.pack(">2Q", (number << 5 | page >> 23 & 0x1F) << 7 | 1, real | 0x192))
        memory.write(real, struct.pack(">I", ADD_ONE) * 1024)
    memory.write(PAGES[pc & -0x1000] + pc % 0x1000, struct.pack(f">{len(words)}I", *words))
    for name, value in registers.items():
        state.put(name, value)
    state.msr, state.pc = msr, pc
    finish(engine_class(processor), state, count)
    return state


@engines
def test_code_goes_on_at_zero(engine):
    state = run_translated(engine, LAST - 4, [], count=5)
    assert (state.pc, state.get("gpr", 3)) == (12, 5)


@engines
@pytest.mark.parametrize("word", [encode("b", li=2, lk=1), encode("bc", bo=20, bd=2, lk=1)])
def test_a_call_at_the_end_returns_to_zero(engine, word):
    state = run_translated(engine, LAST, [word])
    assert (state.pc, state.get("lr")) == (4, 0)


@engines
@pytest.mark.parametrize("name", ["bclr", "bcctr"])
def test_a_computed_call_at_the_end_returns_to_zero(engine, name):
    state = run_translated(engine, LAST, [encode(name, bo=20, lk=1)], lr=DIRT | 0x101, ctr=DIRT | 0x103)
    assert (state.pc, state.get("lr")) == (0x100, 0)


@engines
@pytest.mark.parametrize("name", ["mtmsrd", "mtmsr"])
@pytest.mark.parametrize("change", [0, MSR_EE, MSR_ME, MSR_DR])
def test_a_change_of_the_msr_at_the_end_goes_on_at_zero(engine, name, change):
    state = run_translated(engine, LAST, [encode(name, rs=0)], count=2, gpr=TRANSLATED ^ change)
    assert (state.pc, state.get("gpr", 3)) == (4, 1)


@engines
def test_leaving_64_bit_mode_drops_the_upper_half_of_the_pc(engine):
    at = DIRT | 0x100
    state = run_translated(engine, at, [encode("mtmsrd", rs=0)], msr=TRANSLATED | MSR_SF, gpr=TRANSLATED)
    assert (state.pc, state.msr) == (0x104, TRANSLATED)


@engines
def test_entering_64_bit_mode_at_the_end_stays_below_4_gb(engine):
    state = run_translated(engine, LAST, [encode("mtmsrd", rs=0)], gpr=TRANSLATED | MSR_SF)
    assert state.pc == 0


@engines
def test_a_hypervisor_call_at_the_end_returns_to_zero(engine):
    calls = []
    state = run_translated(engine, LAST, [encode("sc", lev=1)], count=2, hypervisor_call=calls.append)
    assert (state.pc, len(calls)) == (4, 1)
