"""The host's vector unit computes what Python computes, in non-Java mode and with every operand too."""

import random
import struct

import oracle
import pytest

from emulator.cpu.state import INDEX, MSR_SF, MSR_VMX
from emulator.engines.reference import ReferenceEngine
from emulator.engines.threaded import ThreadedEngine
from emulator.isa.decode import instructions
from emulator.isa.lanes import NJ, SAT
from emulator.isa.vector import ROWS as COMPUTATIONS

NAMES = {row.name for row in COMPUTATIONS}
ROWS = [row for row in instructions() if row.name in NAMES]
TIMES = 40
CODE = 0x1000
WORDS = INDEX["engine"]

WORDS_OF_NOTE = [
    0x0000_0000, 0x8000_0000, 0x3F80_0000, 0xBF80_0000, 0x7F80_0000, 0xFF80_0000, 0x7FC0_0000, 0xFFC0_0001,
    0x7F80_0001, 0x0000_0001, 0x807F_FFFF, 0x0080_0000, 0x8080_0000, 0x7F7F_FFFF, 0x4F00_0000, 0xCF00_0000,
    0x4F80_0000, 0xCF00_0001, 0x3F00_0000, 0x4020_0000, 0x4EFF_FFFF, 0xC060_0000, 0xFFFF_FFFF, 0x7FFF_FFFF,
]  # fmt: skip


def random_word(rng):
    match rng.randrange(4):
        case 0:
            return rng.choice(WORDS_OF_NOTE)
        case 1:
            return rng.getrandbits(1) << 31 | rng.randrange(100, 165) << 23 | rng.getrandbits(23)
        case 2:
            return int.from_bytes(
                bytes(rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(32)]) for _ in range(4)), "big"
            )
        case _:
            return rng.getrandbits(32)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_both_engines_compute_the_same(row):
    rng = random.Random(row.name)
    benches = []
    for engine in (ReferenceEngine, ThreadedEngine):
        processor = oracle.make_processor(1 << 16)
        benches.append((processor, engine(processor)))
    for _ in range(TIMES):
        fields = oracle.random_fields(rng, row)
        vectors = [random_word(rng) for _ in range(128)]
        vscr = rng.choice([0, SAT, NJ, NJ, NJ | SAT])
        results = []
        for processor, engine in benches:
            state = processor.state
            processor.memory.write(CODE, struct.pack(">I", row.encode(**fields)))
            engine.invalidate(CODE, 4)
            state.msr, state.pc = MSR_SF | MSR_VMX, CODE
            state.put("vscr", vscr)
            state.cr = 0x1234_5678
            for register in range(32):
                lanes = vectors[4 * register : 4 * register + 4]
                state.set_vr(register, sum(lane << 32 * n for n, lane in enumerate(lanes)))
            assert engine.run(1) is None
            results.append(list(state.words[:WORDS]))
        assert results[0] == results[1], (fields, vscr)
