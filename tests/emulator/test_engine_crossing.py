"""Accesses over the end of a page: both engines, every size and alignment, pages known and not."""

import random
import struct

import oracle
import pytest
from oracle import encode

from emulator.cpu.state import INDEX, MSR_FP, MSR_HV, MSR_ME, MSR_SF
from emulator.engines.reference import ReferenceEngine
from emulator.engines.threaded import ThreadedEngine
from emulator.isa.decode import instructions

MEMORY, CODE, DATA, PAGE = 1 << 20, 0x1_0000, 0x2_0000, 0x1000
NAMES = (
    "lhzx lhax lwzx lwax ldx sthx stwx stdx lwbrx stwbrx lhbrx sthbrx ldux stdux lfdx stfdx lfsx stfsx lbzx"
)
ROWS = [row for row in instructions() if row.name in NAMES.split()]


def outcome(engine_class, seed, is64):
    """Run random accesses around three ends of pages, one by one; return everything there is to see."""
    rng = random.Random(seed)
    processor = oracle.make_processor(MEMORY)
    engine, state = engine_class(processor), processor.state
    words = []
    for _ in range(300):
        row = rng.choice(ROWS)
        bases = {"ra0": rng.randrange(1, 5), "ra": rng.randrange(1, 5), "rb": rng.randrange(5, 9)}
        fields = {name: bases.get(name, rng.randrange(16, 32)) for name in row.fields}
        words.append(encode(row.name, **fields))
    processor.memory.write(CODE, struct.pack(">300I", *words))
    processor.memory.write(DATA, rng.randbytes(5 * PAGE))
    for n in range(32):
        state.put("gpr", rng.getrandbits(64), n)
        state.put("fpr", rng.getrandbits(64), n)
    state.put("interrupt_msr", MSR_HV)
    state.msr = (MSR_SF if is64 else 0) | MSR_HV | MSR_ME | MSR_FP
    places = []
    for turn in range(900):
        for n in range(1, 5):
            state.put("gpr", DATA + PAGE * rng.randrange(1, 4) - rng.randrange(9), n)
        for n in range(5, 9):
            state.put("gpr", rng.choice([0, 0, 1, 2, 3, -1]), n)
        state.pc = CODE + 4 * (turn % 300)
        engine.run(1)
        places.append(state.pc)
    return places, list(state.words[: INDEX["engine"]]), processor.memory.read(0, MEMORY)


@pytest.mark.parametrize("is64", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_an_access_may_lie_in_two_pages(seed, is64):
    assert outcome(ReferenceEngine, seed, is64) == outcome(ThreadedEngine, seed, is64)
