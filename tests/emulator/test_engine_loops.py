"""Compiled loops (emulator/engines/hot_loops): the same as one instruction after the other, wherever cut."""

import random
import struct

import llvmlite.binding as llvm
import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import encode
from test_engine_agreement import (
    BRANCHES,
    CODE,
    DATA,
    LENGTH,
    ROWS,
    STORAGE,
    Bench,
    encode_form,
    go_on,
    program_of_pairs,
    random_program,
)

from emulator.cpu.exits import ExitKind
from emulator.cpu.state import MSR_SF
from emulator.engines import hot_loops, native, object_cache
from emulator.engines.llvm_loop import print_loop
from emulator.engines.loops import Loop, Step, can_contain
from emulator.engines.reference import ReferenceEngine
from emulator.engines.threaded import ThreadedEngine
from emulator.isa.decode import forms, instructions

#: What a loop can contain but branches.
PLAIN = [
    form
    for row in ROWS
    if row not in BRANCHES and (row in STORAGE or row.section not in oracle.STORAGE_SECTIONS)
    for form in forms(row, is64=True)
    if can_contain(form) and row.name not in ("mfspr", "mftb") and not row.section.startswith("vector")
]
CONDITIONAL = [form for row in BRANCHES for form in forms(row, is64=True) if row.name == "bc"]


@pytest.fixture(autouse=True)
def every_loop_is_compiled(monkeypatch):
    monkeypatch.setattr(hot_loops, "WORTH", 0)
    monkeypatch.setattr(hot_loops, "FIRST_LOOK", 1)
    monkeypatch.setattr(native, "_loop_file", lambda key: "loop-of-a-test.o")


def program_of_loops(rng):
    """Return a program of loops: short backward jumps, calls and returns, and few registers."""
    words = []
    while len(words) < LENGTH:
        at, kind = len(words), rng.random()
        if kind < 0.12:
            form = rng.choice(CONDITIONAL)
            word = encode_form(rng, form, at)
            back = rng.randrange(-min(at, 25), 12)
            word = word & ~0xFFFC | 4 * back & 0xFFFC
            if form.known[0] in (0b10000, 0b00000, 0b01000):  # counts down: not for ever
                words.append(encode("addi", rt=3, ra0=0, si=rng.randrange(2, 60)))
                words.append(encode("mtspr", rs=3, spr=9 << 5))
            words.append(word)
        elif kind < 0.16:
            words.append(encode("b", li=rng.randrange(-min(at, 30), 20) & 0xFF_FFFF, lk=1))
            words.append(encode("ori", rs=3, ra=3, ui=0))
        elif kind < 0.19:
            words.append(encode("bclr", bo=rng.choice([0b10100, 12, 4]), bi=rng.randrange(8)))
        else:
            words.append(encode_form(rng, rng.choice(PLAIN), at))
    return struct.pack(f">{LENGTH}I", *words[:LENGTH])


def check(seed, make_program):
    """Run both engines side by side, with breakpoints and changes of the code; return the loops compiled."""
    benches = [Bench(seed, engine, make_program) for engine in (ReferenceEngine, ThreadedEngine)]
    rng = random.Random(seed)
    for _ in range(8):
        count = rng.choice([1, 50, 3000, rng.randrange(1, 6000)])
        go_on(benches, seed, rng, count, rng.choice([0, 0, 1]))
    return benches[1].engine.loops.compiled


@pytest.mark.parametrize("make_program", [program_of_loops, program_of_pairs, random_program])
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 1 << 32))
def test_loops_are_their_instructions(make_program, seed):
    check(seed, make_program)


def summing():
    """Return a threaded engine at a loop that adds R4 to R3, CTR times, and stores the sum."""
    words = [
        encode("add", rt=3, ra=3, rb=4),
        encode("std", rs=3, ra0=1, ds=0),
        encode("bc", bo=0b10000, bd=-2 & 0x3FFF),
        encode("ori", rs=5, ra=5, ui=1),
    ]
    bench = Bench(0, ThreadedEngine, lambda _: struct.pack(">4I", *words) + bytes(4 * (LENGTH - 4)))
    state = bench.processor.state
    state.msr |= MSR_SF
    for register, value in ((1, DATA), (3, 0), (4, 7), (5, 0)):
        state.put("gpr", value, register)
    state.put("ctr", 1_000_000)
    return bench


def test_a_loop_is_compiled_once_and_runs_to_the_exact_instruction():
    bench = summing()
    state = bench.processor.state
    for count in (10_000, 1_000_001, 2_000_003):
        assert bench.run_to(count) is None
        rounds, rest = divmod(count, 3)
        assert (state.icount, state.pc) == (count, CODE + 4 * rest)
        assert state.get("gpr", 3) == 7 * (rounds + (rest > 0))
        assert state.get("ctr") == 1_000_000 - rounds
    assert bench.run_to(3_000_001) is None
    assert (state.get("gpr", 3), state.get("gpr", 5), state.pc) == (7_000_000, 1, CODE + 16)
    assert bench.engine.loops.compiled == 1


def test_a_breakpoint_in_a_compiled_loop_stops_it():
    bench = summing()
    bench.run_to(30_000)
    assert bench.engine.loops.compiled == 1
    bench.set_breakpoints(frozenset({CODE + 4}))
    assert bench.run_to(60_000) is ExitKind.BREAKPOINT
    assert (bench.processor.state.icount, bench.processor.state.pc) == (30_001, CODE + 4)


def test_a_changed_instruction_ends_a_compiled_loop():
    bench = summing()
    bench.run_to(30_000)
    bench.processor.memory.write(CODE, encode("addi", rt=3, ra0=3, si=1).to_bytes(4, "big"))
    bench.engine.invalidate(CODE, 4)
    bench.run_to(60_000)
    assert bench.processor.state.get("gpr", 3) == 70_000 + 10_000


def test_a_loop_that_walks_out_of_its_page_goes_on():
    bench = summing()
    memory, state = bench.processor.memory, bench.processor.state
    memory.write(CODE + 4, encode("stdu", rs=3, ra=1, ds=2).to_bytes(4, "big"))
    bench.engine.invalidate(CODE + 4, 4)
    bench.run_to(30_000)
    assert state.get("gpr", 1) == DATA + 80_000
    assert memory.read(DATA + 8, 80_000) == b"".join((7 * n).to_bytes(8, "big") for n in range(1, 10_001))


def test_what_was_compiled_is_found_again(monkeypatch):
    files = {}
    fetch, keep = object_cache.fetch, object_cache.keep

    def fetch_loop(name, key):
        return files.get(key) if name.startswith("loop") else fetch(name, key)

    def keep_loop(name, key, compiled):
        files.__setitem__(key, compiled) if name.startswith("loop") else keep(name, key, compiled)

    monkeypatch.setattr(object_cache, "fetch", fetch_loop)
    monkeypatch.setattr(object_cache, "keep", keep_loop)
    summing().run_to(30_000)
    assert len(files) == 1
    monkeypatch.setattr(hot_loops, "WORTH", 1 << 60)
    bench = summing()
    bench.run_to(30_000)
    assert bench.engine.loops.compiled == 1
    assert bench.processor.state.get("gpr", 3) == 70_000


def test_every_form_that_a_loop_can_contain_is_printed():
    back = next(form for row in BRANCHES for form in forms(row, True) if form.name == "b_idle0_lk0")
    count = 0
    for is64 in (True, False):
        for form in (form for row in instructions() for form in forms(row, is64)):
            if not can_contain(form):
                continue
            steps = {
                5: Step(5, form, 0x0003_0002_0001_0000, 64, 0x1014, None),
                6: Step(6, back, 0, 0, 0x1018, 5),
            }
            text, _ = print_loop(Loop(steps, frozenset({5}), frozenset({5})))
            llvm.parse_assembly(text).verify()
            count += 1
    assert count > 300
