"""What tlbie, slbie and slbmte make wrong is forgotten, also under way: both engines, random tables."""

import random
import struct

import oracle
import pytest
from oracle import encode
from test_engine_agreement import handler

from emulator.cpu.state import INDEX, MSR_DR, MSR_HV, MSR_IR, MSR_ME, MSR_SF
from emulator.engines.reference import ReferenceEngine
from emulator.engines.threaded import ThreadedEngine

MEMORY, TABLE, GROUPS, FRAMES = 1 << 20, 0x4_0000, 2048, 0x8_0000
CODE, STUB, LENGTH = 0x3000, 0x2000, 200
#: Two of the pages share an entry of the first-level TLB, and all a place with a page of another segment.
PAGES = [5, 6, 0x405, 9]
SEGMENTS = [0, 1, 2]
PLACES = [segment << 28 | page << 12 for segment in SEGMENTS for page in PAGES]
#: Registers with places, a segment to make, and what to make of it.
ADDRESSES, NEW_SEGMENT, NEW_ENTRY, INVALID = range(1, 10), 28, 29, 30


def program(rng):
    """Return loads and stores, and what invalidates."""
    words = []
    while len(words) < LENGTH:
        address = rng.choice(ADDRESSES)
        kind = rng.random()
        if kind < 0.6:
            words.append(encode("ld", rt=rng.randrange(10, 26), ra0=address, ds=rng.randrange(8)))
        elif kind < 0.9:
            words.append(encode("std", rs=rng.randrange(10, 26), ra0=address, ds=rng.randrange(8)))
        elif kind < 0.96:
            words.append(encode("tlbie", rb=address))
        elif kind < 0.98:
            words.append(encode("slbie", rb=address))
        else:
            words.append(encode("slbmte", rs=NEW_SEGMENT, rb=NEW_ENTRY))
    words.append(encode("b", li=-LENGTH & 0xFF_FFFF))
    return struct.pack(f">{LENGTH + 1}I", *words)


def map_page(memory, vsid, page, real):
    """Map a page, in the first slot of its primary group that has it or is free; real None: unmap it."""
    high = vsid << 12 | page >> 11 << 7 | 1
    group = TABLE + 128 * ((vsid ^ page) & GROUPS - 1)
    slots = [group + 16 * n for n in range(8)]
    found = {slot: int.from_bytes(memory.read(slot, 8), "big") for slot in slots}
    slot = next((s for s in slots if found[s] == high), None) or next(s for s in slots if not found[s] & 1)
    memory.write(slot, struct.pack(">2Q", high if real is not None else 0, real or 0))


class Bench:
    def __init__(self, engine_class, seed):
        rng = random.Random(seed)
        self.processor = oracle.make_processor(MEMORY)
        self.memory, self.state = self.processor.memory, self.processor.state
        self.engine = engine_class(self.processor)
        for vector in range(0x100, 0x1800, 0x20):
            self.memory.write(vector, handler()[:0x18])
        self.memory.write(CODE, program(rng))
        self.memory.write(STUB, encode("tlbie", rb=9).to_bytes(4, "big"))
        self.memory.write(FRAMES, rng.randbytes(0x1_0000))
        self.state.put("sdr1", TABLE)
        self.state.put("interrupt_msr", MSR_HV)
        for vsid in (0x10, 0x11, 0x12, 0x13):
            map_page(self.memory, vsid, CODE >> 12, CODE)
            for page in PAGES:
                map_page(self.memory, vsid, page, FRAMES + 0x1000 * rng.randrange(16) | 2)
        for segment in SEGMENTS:
            self.processor.mmu.slbmte(0x10 + segment << 12, segment << 28 | 1 << 27 | segment)
        self.state.msr = MSR_SF | MSR_HV | MSR_ME | MSR_DR | MSR_IR
        self.state.pc = CODE

    def step(self, rng):
        """Choose places, sometimes remap one, and go on for a while."""
        for register in ADDRESSES:
            self.state.put("gpr", rng.choice(PLACES), register)
        valid = {high >> 28 for _, high, _ in self.processor.mmu.tables.slb()}
        for segment in set(SEGMENTS) - valid:
            self.processor.mmu.slbmte(0x10 + segment << 12, segment << 28 | 1 << 27 | segment)
        segment = rng.choice(SEGMENTS)
        self.state.put("gpr", rng.randrange(0x10, 0x14) << 12, NEW_SEGMENT)
        self.state.put("gpr", segment << 28 | 1 << 27 | segment, NEW_ENTRY)
        if rng.random() < 0.5:
            page = rng.choice(PAGES)
            real = rng.choice([None, *[FRAMES + 0x1000 * rng.randrange(16) | 2] * 3])
            map_page(self.memory, rng.randrange(0x10, 0x14), page, real)
            at, msr = self.state.pc, self.state.msr
            self.state.put("gpr", page << 12, 9)
            self.state.pc, self.state.msr = STUB, msr & ~(MSR_IR | MSR_DR)
            self.engine.run(1)
            self.state.pc, self.state.msr = at, msr
        end = self.state.icount + rng.choice([1, 3, 30, 500])
        for _ in range(2000):
            if self.state.icount >= end:
                return
            self.engine.run(end - self.state.icount)

    def snapshot(self):
        return list(self.state.words[: INDEX["engine"]]), self.memory.read(0, MEMORY)


@pytest.mark.parametrize("seed", range(12))
def test_what_is_invalidated_is_forgotten(seed):
    benches = [Bench(engine, seed) for engine in (ReferenceEngine, ThreadedEngine)]
    for turn in range(60):
        for bench in benches:
            bench.step(random.Random(seed << 8 | turn))
        (words, memory), (other_words, other_memory) = (bench.snapshot() for bench in benches)
        wrong = [
            (at, hex(a), hex(b)) for at, (a, b) in enumerate(zip(words, other_words, strict=True)) if a != b
        ]
        assert not wrong, (turn, wrong)
        assert memory == other_memory
