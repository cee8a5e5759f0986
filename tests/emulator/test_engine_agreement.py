"""The engines agree: random programs, faults, breakpoints, invalidations, budget cuts at random places."""

import random
import struct
from functools import partial

import oracle
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import encode

from emulator.cpu.exits import ExitKind
from emulator.cpu.state import INDEX, MSR_FE0, MSR_FP, MSR_HV, MSR_ME, MSR_RI, MSR_SF, MSR_VMX
from emulator.engines.pairs import pairs
from emulator.engines.reference import ReferenceEngine
from emulator.engines.threaded import ThreadedEngine
from emulator.isa.decode import decode, instructions

MEMORY = 1 << 20
CODE = 0x1_0FA0
LENGTH = 100
DATA = 0x2_0000

#: Instructions that end everything, or whose outcome is another test's business.
EXCLUDED = {"attn", "simulator_breakpoint", "rfid", "mtmsr", "mtmsrd", "mtspr", "slbmte", "mtsr", "mtsrin"}
ROWS = [row for row in instructions() if row.name not in EXCLUDED]
BRANCHES = [row for row in ROWS if row.name in ("b", "bc", "bclr", "bcctr")]
STORAGE = [row for row in ROWS if {"ra0", "ra"} & set(row.fields) and row.section in oracle.STORAGE_SECTIONS]


def handler():
    """Return an interrupt handler that goes on after the instruction that caused the interrupt."""
    save, restore = 272 & 31, 272 >> 5
    spr = save << 5 | restore
    srr0 = 26 << 5
    words = [
        encode("mtspr", rs=3, spr=spr),
        encode("mfspr", rt=3, spr=srr0),
        encode("addi", rt=3, ra0=3, si=4),
        encode("mtspr", rs=3, spr=srr0),
        encode("mfspr", rt=3, spr=spr),
        encode("rfid"),
    ]
    return struct.pack(">6I", *words)


def random_program(rng):
    words = []
    for at in range(LENGTH):
        kind = rng.random()
        if kind < 0.15:
            row = rng.choice(BRANCHES)
        elif kind < 0.4:
            row = rng.choice(STORAGE)
        elif kind < 0.43:
            words.append(rng.getrandbits(32))
            continue
        else:
            row = rng.choice(ROWS)
        fields = oracle.random_fields(rng, row)
        if "d" in fields:
            fields["d"] = rng.randrange(-200, 200) & 0xFFFF
        if "ds" in fields:
            fields["ds"] = rng.randrange(-50, 50) & 0x3FFF
        if "aa" in fields:
            fields["aa"] = 0
            target = rng.randrange(LENGTH) - at
            name = "li" if row.name == "b" else "bd"
            fields[name] = target & (0xFF_FFFF if name == "li" else 0x3FFF)
        if "ra0" in fields or "ra" in fields:
            fields["ra0" if "ra0" in fields else "ra"] = rng.choice([1, 2, 4, 5, rng.randrange(31)])
        words.append(row.encode(**fields))
    return struct.pack(f">{LENGTH}I", *words)


def program_of_pairs(rng):
    """Return a program of what the threaded engine executes two at a time, few registers among them."""
    words = []
    while len(words) < LENGTH:
        pair = rng.choice(pairs())
        for form in (pair.first, pair.second):
            words.append(encode_form(rng, form, len(words)))
            if rng.random() < 0.1:
                words.append(encode("ori", rs=3, ra=3, ui=0))
    return struct.pack(f">{LENGTH}I", *words[:LENGTH])


def encode_form(rng, form, at):
    """Return a word of `form`, for place `at` of the program."""
    row = form.instruction
    for _ in range(1000):
        fields = oracle.random_fields(rng, row)
        for name in {"rt", "rs", "ra", "rb"} & set(fields):
            fields[name] = rng.choice([3, 6, 7])
        for name in {"bf", "bfa"} & set(fields):
            fields[name] = rng.randrange(2)
        if "bi" in fields:
            fields["bi"] = rng.randrange(8)
        if row.name in ("b", "bc"):
            fields["aa"] = 0
            # Mostly short, over the end of the page or not at all; sometimes to itself.
            fields["li" if row.name == "b" else "bd"] = rng.randrange(LENGTH) - at & 0x3FFF
            if row.name == "b":
                fields["li"] = rng.randrange(LENGTH) - at & 0xFF_FFFF
        if row.section in oracle.STORAGE_SECTIONS:
            fields["ra0" if "ra0" in fields else "ra"] = rng.choice([1, 2, 4, 5])
            if "d" in fields:
                fields["d"] = rng.randrange(-200, 200) & 0xFFFF
            if "ds" in fields:
                fields["ds"] = rng.randrange(-50, 50) & 0x3FFF
        if "spr" in fields:
            fields["spr"] = rng.choice([8, 9]) << 5
        word = row.encode(**fields)
        if decode(word).form is form:
            return word
    raise AssertionError(f"no word found for {form.name}")


class Bench:
    """One engine with a program; the same seed gives the same program and state."""

    def __init__(self, seed, engine_class, make_program=random_program):
        rng = random.Random(seed)
        self.processor = oracle.make_processor(MEMORY)
        memory, state = self.processor.memory, self.processor.state
        for vector in range(0x100, 0x1800, 0x20):
            memory.write(vector, handler()[:0x18])
        self.program = make_program(rng)
        memory.write(CODE, self.program)
        memory.write(DATA, rng.randbytes(0x2000))
        # Running off the end starts again.
        back = encode("b", li=-LENGTH & 0xFF_FFFF)
        memory.write(CODE + 4 * LENGTH, back.to_bytes(4, "big"))
        for n in range(32):
            state.put("gpr", oracle.random64(rng), n)
            state.put("fpr", oracle.random64(rng), n)
            state.put("vr", oracle.random64(rng), 2 * n)
            state.put("vr", oracle.random64(rng), 2 * n + 1)
        for n in (1, 2, 4, 5):
            state.put("gpr", DATA + rng.choice([0x1000, 0xFFA, rng.randrange(0x1000)]), n)
        state.put("lr", CODE + 4 * rng.randrange(LENGTH))
        state.put("ctr", CODE + 4 * rng.randrange(LENGTH))
        state.cr, state.xer = rng.getrandbits(32), rng.getrandbits(32)
        state.put("fpscr", rng.getrandbits(8))
        state.put("interrupt_msr", MSR_HV)
        choice = [0, 0, MSR_FP, MSR_FP | MSR_VMX, MSR_FP | MSR_VMX | MSR_FE0]
        is64 = MSR_SF if rng.random() < 0.7 else 0
        state.msr = is64 | MSR_HV | MSR_ME | MSR_RI | rng.choice(choice)
        state.pc = CODE
        self.engine = engine_class(self.processor)
        self.breakpoints = frozenset()

    def set_breakpoints(self, addresses):
        self.breakpoints = addresses
        self.engine.set_breakpoints(addresses)

    def run_to(self, icount):
        """Run to the count, or to an exit; return its kind."""
        state = self.processor.state
        for attempt in range(20_000):
            left = icount - state.icount
            if left <= 0:
                return None
            # A run that ends early, as any engine may, has not looked at what comes next (machine.run).
            if attempt and state.pc in self.breakpoints and self.processor.is_wanted():
                return ExitKind.BREAKPOINT
            outcome = self.engine.run(left)
            if outcome is not None:
                return outcome.kind
        raise AssertionError("no progress")

    def snapshot(self):
        """Return everything but the words that are an engine's own."""
        words = list(self.processor.state.words[: INDEX["engine"]])
        return words, self.processor.memory.read(0, MEMORY)


def assert_same(a, b, seed):
    (a_words, a_memory), (b_words, b_memory) = a.snapshot(), b.snapshot()
    if a_words != b_words:
        names = {}
        for name, index in INDEX.items():
            names.setdefault(index, name)
        wrong = [
            (max(i for i in names if i <= at), at, hex(x), hex(y))
            for at, (x, y) in enumerate(zip(a_words, b_words, strict=True))
            if x != y
        ]
        text = [f"{names[first]}+{at - first}: {x} {y}" for first, at, x, y in wrong]
        raise AssertionError(f"seed {seed} pc {a_words[INDEX['pc']]:x}: {text[:10]}")
    assert a_memory == b_memory


@settings(max_examples=60)
@given(seed=st.integers(0, 1 << 32))
def test_the_engines_agree_wherever_they_are_cut(seed):
    reference, threaded = Bench(seed, ReferenceEngine), Bench(seed, ThreadedEngine)
    rng = random.Random(seed)
    at = 0
    for _ in range(12):
        at += rng.choice([1, 2, rng.randrange(1, 30), rng.randrange(1, 200)])
        outcomes = reference.run_to(at), threaded.run_to(at)
        assert outcomes[0] == outcomes[1], (seed, outcomes)
        assert_same(reference, threaded, seed)
        if outcomes[0] not in (None, ExitKind.IDLE):
            return


def go_on(benches, seed, rng, count, breakpoints):
    """Run both benches that many instructions on, with so many breakpoints, some of the code changed in
    every fifth case, and compare them."""
    planted = frozenset(CODE + 4 * rng.randrange(LENGTH) for _ in range(breakpoints))
    place, word = CODE + 4 * rng.randrange(LENGTH), rng.choice(ROWS).encode()
    is_patched = rng.random() < 0.2
    at = benches[0].processor.state.icount + count
    outcomes = []
    for bench in benches:
        bench.set_breakpoints(planted)
        if is_patched:
            bench.processor.memory.write(place, word.to_bytes(4, "big"))
            bench.engine.invalidate(place, 4)
        outcomes.append(bench.run_to(at))
    assert outcomes[0] == outcomes[1], (seed, outcomes)
    assert_same(*benches, seed)


@settings(max_examples=60)
@given(seed=st.integers(0, 1 << 32))
def test_pairs_are_two_instructions(seed):
    benches = [Bench(seed, engine, program_of_pairs) for engine in (ReferenceEngine, ThreadedEngine)]
    rng = random.Random(seed)
    for _ in range(12):
        go_on(benches, seed, rng, rng.choice([1, 2, 3, rng.randrange(1, 300)]), rng.randrange(3))


@settings(max_examples=30)
@given(seed=st.integers(0, 1 << 32), data=st.data())
def test_the_engines_stop_at_the_same_breakpoints(seed, data):
    reference, threaded = Bench(seed, ReferenceEngine), Bench(seed, ThreadedEngine)
    chosen = data.draw(st.sets(st.integers(0, LENGTH - 1), max_size=8))
    breakpoints = frozenset(CODE + 4 * n for n in chosen)
    for _ in range(10):
        for bench in (reference, threaded):
            bench.set_breakpoints(breakpoints)
        at = reference.processor.state.icount + 50
        outcomes = reference.run_to(at), threaded.run_to(at)
        assert outcomes[0] == outcomes[1], (seed, outcomes)
        assert_same(reference, threaded, seed)
        if outcomes[0] is ExitKind.BREAKPOINT:
            assert reference.processor.state.pc in breakpoints
        breakpoints = (
            frozenset(data.draw(st.sets(st.sampled_from(sorted(breakpoints)))))
            if breakpoints
            else breakpoints
        )


def _ask(state, places, answers):
    """Note where a breakpoint was reached, and want one in ten."""
    places.append((state.pc, state.icount))
    return answers.random() < 0.1


@settings(max_examples=40)
@given(seed=st.integers(0, 1 << 32), data=st.data())
def test_the_engines_ask_for_the_same_breakpoints_and_pass_the_unwanted(seed, data):
    benches = Bench(seed, ReferenceEngine), Bench(seed, ThreadedEngine)
    chosen = data.draw(st.sets(st.integers(0, LENGTH - 1), max_size=8))
    asked = []
    for bench in benches:
        places = []
        asked.append(places)
        bench.processor.is_wanted = partial(_ask, bench.processor.state, places, random.Random(seed))
        bench.set_breakpoints(frozenset(CODE + 4 * n for n in chosen))
    rng = random.Random(seed)
    for _ in range(10):
        at = benches[0].processor.state.icount + rng.choice([1, 2, 50, rng.randrange(1, 3000)])
        outcomes = [bench.run_to(at) for bench in benches]
        assert outcomes[0] == outcomes[1], (seed, outcomes)
        assert asked[0] == asked[1]
        assert_same(*benches, seed)


@settings(max_examples=20)
@given(seed=st.integers(0, 1 << 32))
def test_the_engines_see_code_that_is_written_from_outside(seed):
    reference, threaded = Bench(seed, ReferenceEngine), Bench(seed, ThreadedEngine)
    rng = random.Random(seed)
    for _ in range(6):
        at = reference.processor.state.icount + rng.randrange(1, 60)
        assert reference.run_to(at) == threaded.run_to(at)
        place, word = CODE + 4 * rng.randrange(LENGTH), ROWS[rng.randrange(40)].encode()
        for bench in (reference, threaded):
            bench.processor.memory.write(place, word.to_bytes(4, "big"))
            bench.engine.invalidate(place, 4)
        assert_same(reference, threaded, seed)
