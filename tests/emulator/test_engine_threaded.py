"""What only the threaded engine has: code pages, jump table, planted stops, small caches."""

import struct

import oracle
import pytest
from oracle import encode

from emulator.cpu.exits import ExitKind
from emulator.cpu.state import MSR_ME, MSR_SF
from emulator.engines import layout, threaded
from emulator.engines.pairs import pairs
from emulator.engines.reference import ReferenceEngine
from emulator.engines.threaded import ThreadedEngine
from emulator.isa.decode import operations

MEMORY = 1 << 20


def start(words, at=0x1000, engine=ThreadedEngine):
    processor = oracle.make_processor(MEMORY)
    processor.memory.write(at, struct.pack(f">{len(words)}I", *words))
    processor.state.msr = MSR_SF
    processor.state.pc = at
    return processor, engine(processor)


def count_down(register=3):
    """addi r,r,1; bdnz back."""
    return [encode("addi", rt=register, ra0=register, si=1), encode("bc", bo=16, bd=-1 & 0x3FFF)]


@pytest.mark.parametrize("limit", [1, 2, 3, 1023, 1024, 1025, 1026, 2048, 5000, 100_001])
def test_a_loop_stops_on_the_exact_instruction(limit):
    processor, engine = start(count_down())
    processor.state.put("ctr", 1 << 40)
    assert engine.run(limit) is None
    assert processor.state.icount == limit
    assert processor.state.get("gpr", 3) == (limit + 1) // 2
    assert processor.state.pc == 0x1000 + 4 * (limit % 2)


@pytest.mark.parametrize("limit", [1, 7, 1023, 1024, 1025, 3000])
def test_a_straight_line_over_pages_stops_on_the_exact_instruction(limit):
    words = [encode("addi", rt=3, ra0=3, si=1)] * 4000
    processor, engine = start(words, at=0x1FF0)
    assert engine.run(limit) is None
    assert (processor.state.icount, processor.state.pc) == (limit, 0x1FF0 + 4 * limit)
    assert processor.state.get("gpr", 3) == limit


def test_a_planted_stop_leaves_no_trace():
    processor, engine = start(count_down())
    processor.state.put("ctr", 1 << 40)
    for _ in range(100):
        engine.run(3)
    assert processor.state.icount == 300
    engine.run(10_000)
    assert processor.state.get("gpr", 3) == 10_300 // 2


def test_code_written_by_the_guest_counts_after_icbi():
    patched = encode("addi", rt=4, ra0=0, si=77)
    words = [
        encode("addi", rt=4, ra0=0, si=1),
        encode("stw", rs=5, ra0=6, d=0),
        encode("icbi", ra0=0, rb=6),
        encode("isync"),
        encode("b", li=-4 & 0xFF_FFFF),
    ]
    processor, engine = start(words)
    processor.state.put("gpr", patched, 5)
    processor.state.put("gpr", 0x1000, 6)
    engine.run(6)
    assert processor.state.get("gpr", 4) == 77


def test_the_code_pages_are_bounded(monkeypatch):
    monkeypatch.setattr(threaded, "MAX_CODE_PAGES", 4)
    hop = [encode("b", li=0x400)]
    processors = []
    for engine_class in (ThreadedEngine, ReferenceEngine):
        processor, engine = start(hop, engine=engine_class)
        for page in range(0x1000, 0x2_0000, 0x1000):
            processor.memory.write(page, hop[0].to_bytes(4, "big"))
        processor.memory.write(
            0x2_0000, encode("b", li=(0x1000 - 0x2_0000 >> 2) & 0xFF_FFFF).to_bytes(4, "big")
        )
        engine.run(100)
        processors.append(processor)
        if engine_class is ThreadedEngine:
            assert len(engine._pages) <= 4
    assert processors[0].state.pc == processors[1].state.pc


def test_every_interrupt_counts_against_the_limit():
    processor, engine = start([0])
    assert engine.run(1000) is None
    assert processor.state.icount == 0
    assert processor.state.pc == 0x700


@pytest.mark.parametrize("engine", [ReferenceEngine, ThreadedEngine], ids=lambda engine: engine.__name__)
def test_more_pages_than_the_tlb_holds(engine):
    pages = 3 * layout.TLB_ENTRIES
    words = [
        encode("addi", rt=6, ra0=0, si=3),
        # Three times over all pages: add what lies there to R4, store it a page further on.
        encode("addis", rt=5, ra0=0, si=2),
        encode("mtspr", rs=7, spr=9 << 5),
        encode("ldux", rt=3, ra=5, rb=8),
        encode("add", rt=4, ra=4, rb=3),
        encode("addi", rt=3, ra0=3, si=1),
        encode("std", rs=3, ra0=5, ds=0),
        encode("bc", bo=16, bd=-4 & 0x3FFF),
        encode("addi", rt=6, ra0=6, si=-1 & 0xFFFF),
        encode("cmpi", bf=0, wide=1, ra=6, si=0),
        encode("bc", bo=4, bi=2, bd=-9 & 0x3FFF),
    ]
    processor = oracle.make_processor(16 << 20)
    processor.memory.write(0x1000, struct.pack(f">{len(words)}I", *words))
    state = processor.state
    state.msr, state.pc = MSR_SF, 0x1000
    state.put("gpr", pages, 7)
    state.put("gpr", 4096, 8)
    executor = engine(processor)
    executor.set_breakpoints(frozenset({0x1000 + 4 * len(words)}))
    for _ in range(2000):
        if executor.run(100) is not None:
            break
        # Now and then everything is forgotten.
        if state.icount % 700 == 0:
            processor.mmu.flush()
    assert state.pc == 0x1000 + 4 * len(words)
    # 0, 1 and 2 for each page.
    assert state.get("gpr", 4) == 3 * pages


def test_generations_of_the_second_level_come_round():
    processor, engine = start([encode("lbz", rt=3, ra0=0, d=0x100), encode("b", li=-1 & 0xFF_FFFF)])
    for number in range(layout.FAR_TLB_GENERATIONS + 3):
        processor.memory.write(0x100, bytes([number & 0xFF]))
        processor.mmu.flush()
        engine.run(2)
        assert processor.state.get("gpr", 3) == number & 0xFF


def test_a_breakpoint_on_the_second_of_a_pair_stops_a_loop_that_has_run():
    processor, engine = start(count_down())
    processor.state.put("ctr", 1 << 40)
    assert engine.run(10_000) is None
    engine.set_breakpoints(frozenset({0x1004}))
    outcome = engine.run(10_000)
    assert outcome is not None and (outcome.kind, outcome.instructions) == (ExitKind.BREAKPOINT, 1)
    assert (processor.state.pc, processor.state.get("gpr", 3)) == (0x1004, 5001)
    engine.set_breakpoints(frozenset())
    assert engine.run(9_999) is None
    assert processor.state.get("gpr", 3) == 10_000


def test_a_fault_in_the_second_of_a_pair_is_the_seconds():
    words = [encode("addi", rt=3, ra0=3, si=1), encode("lwz", rt=4, ra0=3, d=0)]
    processor, engine = start(words)
    processor.state.msr = MSR_SF | MSR_ME
    processor.state.put("gpr", 1 << 40, 3)
    assert engine.run(2) is None
    state = processor.state
    assert (state.icount, state.get("srr0"), state.get("gpr", 3)) == (1, 0x1004, (1 << 40) + 1)


def test_the_table_of_pairs_names_what_can_be_executed_together():
    for pair in pairs():
        codes = {op.code for op in operations(pair.first, has_host_units=True)}
        assert not codes & {"branch", "branch_if", "context_changed", "call", "put_bit"}, pair.name
        assert pair.first.is64 and pair.second.is64
    assert len({pair.name for pair in pairs()}) == len(pairs())
