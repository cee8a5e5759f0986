"""32-bit mode (MSR[SF] off): addresses end at 4 GB, whatever the upper halves of registers hold."""

from __future__ import annotations

import struct

import oracle
import pytest
from oracle import encode

from emulator.cpu.state import MSR_HV, MSR_ME, MSR_SF
from emulator.engines.reference import ReferenceEngine
from emulator.engines.threaded import ThreadedEngine

NARROW = MSR_HV | MSR_ME
CODE = 0x1_0000
DIRT = 0xABCD << 32

engines = pytest.mark.parametrize("engine", [ReferenceEngine, ThreadedEngine], ids=lambda e: e.__name__)


def run(engine_class, words, msr, count=1, **registers):
    processor = oracle.make_processor(1 << 20)
    processor.memory.write(CODE, struct.pack(f">{len(words)}I", *words))
    state = processor.state
    for name, value in registers.items():
        state.put(name, value)
    state.msr, state.pc = msr, CODE
    engine = engine_class(processor)
    while state.icount < count:
        assert engine.run(count - state.icount) is None
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
