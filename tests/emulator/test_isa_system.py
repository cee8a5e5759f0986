"""Privileged instructions, special-purpose registers and the simulator's words, one by one."""

import struct

import oracle
import pytest
from oracle import encode

from emulator.cpu.exits import ExitKind, Leave
from emulator.cpu.state import (
    MSR_DR,
    MSR_EE,
    MSR_FE0,
    MSR_FE1,
    MSR_HV,
    MSR_IR,
    MSR_ME,
    MSR_POW,
    MSR_PR,
    MSR_RI,
    MSR_SF,
)
from emulator.engines.reference import ReferenceEngine
from emulator.engines.threaded import ThreadedEngine
from emulator.isa import fpscr, sprs
from emulator.isa.decode import instructions

PRIVILEGED = [
    row
    for row in instructions()
    if row.section in ("system", "translation")
    and "Book III" in (row.effect.__doc__ or "")
    and row.name not in ("mfspr", "mtspr")
]


def spr(number):
    return (number & 31) << 5 | number >> 5


@pytest.fixture(params=[ReferenceEngine, ThreadedEngine], ids=lambda engine: engine.__name__)
def run(request):
    """Return a function that runs words at 0x1000 and returns (processor, exit)."""

    def go(*words, msr=MSR_SF | MSR_HV | MSR_ME, steps=None, setup=None):
        processor = oracle.make_processor(1 << 20)
        processor.memory.write(0x1000, struct.pack(f">{len(words)}I", *words))
        processor.state.msr, processor.state.pc = msr, 0x1000
        processor.state.put("interrupt_msr", MSR_HV)
        if setup is not None:
            setup(processor)
        engine = request.param(processor)
        target = steps or len(words)
        outcome = None
        for _ in range(target):
            if outcome is None and processor.state.icount < target:
                outcome = engine.run(target - processor.state.icount)
        return processor, outcome

    return go


def identity_in_problem_state(processor):
    """Make problem state's forced translation harmless: one segment, one page, by hand."""
    state, mmu = processor.state, processor.mmu
    mmu.slbmte(0x1000 | 0x400, 1 << 27)
    state.put("sdr1", 0x4_0000)
    mmu.flush()
    # VSID 1, page 1: hash 0, group 0.  PP 2 reads and writes in any state.
    processor.memory.write(0x4_0000 + 0, struct.pack(">QQ", 1 << 12 | 1, 0x1000 | 0x190 | 2))


@pytest.mark.parametrize("row", PRIVILEGED, ids=lambda row: row.name)
def test_problem_state_may_not(run, row):
    processor, _ = run(row.encode(), msr=MSR_SF | MSR_PR | MSR_IR | MSR_DR, setup=identity_in_problem_state)
    assert processor.state.pc == 0x700
    assert processor.state.get("srr0") == 0x1000
    assert processor.state.get("srr1") & 0x783F_0000 == 0x4_0000


@pytest.mark.parametrize(("number", "vector_bit"), [(26, 0x4_0000), (1008, 0x4_0000), (2, 0x8_0000)])
@pytest.mark.parametrize("name", ["mfspr", "mtspr"])
def test_problem_state_and_registers(run, name, number, vector_bit):
    register = {"rt": 3} if name == "mfspr" else {"rs": 3}
    msr = MSR_SF | MSR_PR | MSR_IR | MSR_DR
    processor, _ = run(encode(name, **register, spr=spr(number)), msr=msr, setup=identity_in_problem_state)
    assert processor.state.pc == 0x700
    assert processor.state.get("srr1") & 0x783F_0000 == vector_bit


@pytest.mark.parametrize("number", sorted(sprs.SPRS))
def test_a_register_reads_what_was_written(run, number):
    def setup(processor):
        processor.state.put("gpr", 0x1234_5678_8765_4321, 3)

    processor, _ = run(
        encode("mtspr", rs=3, spr=spr(number)), encode("mfspr", rt=4, spr=spr(number)), setup=setup
    )
    row, read = sprs.SPRS[number], processor.state.get("gpr", 4)
    if row.word is not None and not row.is_read_only:
        assert read == 0x1234_5678_8765_4321 & row.mask
    elif row.name == "DEC":
        assert read == 0x8765_4321
    elif row.name == "XER":
        assert read == 0x8000_0021
    elif row.name in ("TBL", "TBU") and not row.is_read_only:
        assert read == 0x8765_4321
    else:
        assert row.is_read_only and read != 0x1234_5678_8765_4321


def test_an_unknown_register_does_nothing_in_privileged_state(run):
    processor, _ = run(
        encode("addi", rt=3, ra0=0, si=9),
        encode("mfspr", rt=3, spr=spr(999)),
        encode("mtspr", rs=3, spr=spr(999)),
    )
    assert (processor.state.get("gpr", 3), processor.state.pc) == (9, 0x100C)


def test_the_timebase_follows_the_count(run):
    processor, _ = run(
        encode("mftb", rt=3, spr=spr(268)), *[encode("nop")] * 40, encode("mftb", rt=4, spr=spr(268))
    )
    # 41 instructions lie between the two, 4 to a tick.
    assert processor.state.get("gpr", 4) - processor.state.get("gpr", 3) in (10, 11)


def test_mtmsrd_leaves_hv_and_me_alone(run):
    processor, _ = run(encode("mtmsrd", rs=3))
    assert processor.state.msr == MSR_HV | MSR_ME


def test_mtmsr_changes_the_low_half(run):
    processor, _ = run(encode("mtmsr", rs=3), setup=lambda p: p.state.put("gpr", MSR_EE | MSR_RI | 1, 3))
    assert processor.state.msr == MSR_SF | MSR_HV | MSR_ME | MSR_EE | MSR_RI


def test_mtmsrd_l_changes_ee_and_ri_only(run):
    processor, _ = run(encode("mtmsrd", rs=3, wide=1), setup=lambda p: p.state.put("gpr", (1 << 64) - 1, 3))
    assert processor.state.msr == MSR_SF | MSR_HV | MSR_ME | MSR_EE | MSR_RI


def test_problem_state_forces_ee_ir_dr(run):
    processor, _ = run(encode("mtmsrd", rs=3), setup=lambda p: p.state.put("gpr", MSR_SF | MSR_PR, 3))
    assert processor.state.msr & (MSR_EE | MSR_IR | MSR_DR) == MSR_EE | MSR_IR | MSR_DR


def test_nap_waits_for_an_interrupt(run):
    def setup(processor):
        processor.state.put("gpr", MSR_SF | MSR_EE | MSR_POW, 3)
        processor.state.put("hid", 1 << 54)

    processor, outcome = run(encode("mtmsrd", rs=3), setup=setup)
    assert outcome is not None and outcome.kind is ExitKind.IDLE
    assert (processor.state.pc, processor.state.icount) == (0x1004, 1)
    assert not processor.state.msr & MSR_POW


def test_a_branch_to_itself_is_idle(run):
    processor, outcome = run(encode("b", li=0), steps=50)
    assert outcome is not None and outcome.kind is ExitKind.IDLE
    assert (processor.state.pc, processor.state.icount) == (0x1000, 1)


def test_rfid_without_hv_cannot_gain_it(run):
    def setup(processor):
        processor.state.put("srr0", 0x2003)
        processor.state.put("srr1", MSR_SF | MSR_HV | MSR_ME)

    processor, _ = run(encode("rfid"), msr=MSR_SF, setup=setup)
    assert (processor.state.pc, processor.state.msr) == (0x2000, MSR_SF)


def test_slb_entries_are_written_and_read(run):
    def setup(processor):
        processor.state.put("gpr", 0x1234_5000 | 0xC80, 3)
        processor.state.put("gpr", 0xC000_0000_0000_0000 | 1 << 27 | 5, 4)
        processor.state.put("gpr", 5, 5)

    processor, _ = run(
        encode("slbmte", rs=3, rb=4),
        encode("slbmfev", rt=6, rb=5),
        encode("slbmfee", rt=7, rb=5),
        encode("slbie", rb=4),
        encode("slbmfee", rt=8, rb=5),
        setup=setup,
    )
    assert processor.state.get("gpr", 6) == 0x1234_5C80
    assert processor.state.get("gpr", 7) == 0xC000_0000_0800_0000
    assert not processor.state.get("gpr", 8) & 1 << 27


def test_segment_registers_are_slb_entries(run):
    def setup(processor):
        processor.state.put("gpr", 0x6012_3456, 3)
        processor.state.put("gpr", 0x7000_0000, 4)

    processor, _ = run(
        encode("mtsr", rs=3, sr=7), encode("mfsr", rt=5, sr=7), encode("mfsrin", rt=6, rb=4), setup=setup
    )
    assert processor.state.get("gpr", 5) == processor.state.get("gpr", 6) == 0x6012_3456
    assert processor.mmu.tables.segment(0x7000_0000).vsid == 0x12_3456


@pytest.mark.parametrize(
    "words",
    [["slbia"], ["tlbie"], ["tlbiel"], ["tlbia"], ["mtsrin"], ["tlbsync"]],
    ids=lambda words: words[0],
)
def test_translation_is_forgotten(run, words, monkeypatch):
    forgotten = []
    monkeypatch.setattr(ThreadedEngine, "_forget_translations", lambda _, *what: forgotten.append(what))
    processor, _ = run(*(encode(word) for word in words))
    assert processor.state.pc == 0x1004
    is_forgotten = processor.mmu.generation > 0 or forgotten == [(0x0FFF_F000, 0)]
    assert words == ["tlbsync"] or is_forgotten or words == ["mtsrin"]


@pytest.mark.parametrize("word", [0x7C00_07CC, 0x000E_AEB0, 0x7C00_07CA])
def test_the_simulator_is_called_with_the_word(run, word):
    calls = []

    def setup(processor):
        processor.simulator_call = lambda p, w: calls.append((p.state.pc, w))

    processor, outcome = run(word, setup=setup)
    assert (calls, outcome, processor.state.pc) == ([(0x1000, word)], None, 0x1004)


def test_a_machine_without_simulator_takes_an_illegal_instruction(run):
    processor, _ = run(0x7C00_07CC)
    assert (processor.state.pc, processor.state.get("srr1") & 0x783F_0000) == (0x700, 0x8_0000)


def test_the_simulator_may_end_the_run(run):
    def call(processor, word):
        raise Leave(ExitKind.SHUTDOWN, 17)

    processor, outcome = run(0x000E_AEB0, setup=lambda p: setattr(p, "simulator_call", call))
    assert outcome is not None and (outcome.kind, outcome.detail, outcome.instructions) == (
        ExitKind.SHUTDOWN,
        17,
        1,
    )
    assert processor.state.pc == 0x1004


STOPS = [(0x7C00_07CE, ExitKind.SIMULATOR_BREAK), (0x0000_0200, ExitKind.CHECKSTOP)]


@pytest.mark.parametrize(("word", "kind"), STOPS)
def test_words_that_stop_stand_where_they_are(run, word, kind):
    def setup(processor):
        processor.simulator_call = lambda p, w: None
        processor.state.put("hid", 1 << 32)

    processor, outcome = run(word, setup=setup)
    assert outcome is not None and (outcome.kind, outcome.instructions) == (kind, 0)
    assert processor.state.pc == 0x1000


@pytest.mark.parametrize("word", [word for word, _ in STOPS])
def test_words_that_stop_are_illegal_where_nothing_asked_for_them(run, word):
    processor, _ = run(word)
    assert (processor.state.pc, processor.state.get("srr0")) == (0x700, 0x1000)
    assert processor.state.get("srr1") & 0x783F_0000 == 0x8_0000


# Divide by zero happened, and its exception is enabled: FEX.
FEX_WAITS = fpscr.settle(fpscr.FX | fpscr.ZX | fpscr.ZE)


@pytest.mark.parametrize("enable", [MSR_FE0, MSR_FE1, MSR_FE0 | MSR_FE1])
@pytest.mark.parametrize("name", ["mtmsr", "mtmsrd"])
def test_an_exception_that_waited_is_let_in_by_mtmsr(run, name, enable):
    def setup(processor):
        processor.state.put("fpscr", FEX_WAITS)
        processor.state.put("gpr", MSR_SF | MSR_RI | enable, 3)

    processor, _ = run(encode(name, rs=3), setup=setup)
    state = processor.state
    assert (state.pc, state.get("srr0")) == (0x700, 0x1004)
    # Bit 47: SRR0 is not the culprit.
    assert state.get("srr1") == MSR_SF | MSR_HV | MSR_ME | MSR_RI | enable | 0x11_0000


def test_an_exception_that_waited_is_let_in_by_rfid(run):
    def setup(processor):
        processor.state.put("fpscr", FEX_WAITS)
        processor.state.put("srr0", 0x4000)
        processor.state.put("srr1", MSR_SF | MSR_HV | MSR_FE1)

    processor, _ = run(encode("rfid"), setup=setup)
    state = processor.state
    assert (state.pc, state.get("srr0")) == (0x700, 0x4000)
    assert state.get("srr1") == MSR_SF | MSR_HV | MSR_FE1 | 0x11_0000


@pytest.mark.parametrize(("status", "msr"), [(FEX_WAITS, 0), (FEX_WAITS & ~fpscr.FEX, MSR_FE0)])
def test_nothing_is_let_in_where_nothing_waits_or_nothing_lets(run, status, msr):
    def setup(processor):
        processor.state.put("fpscr", status)
        processor.state.put("gpr", MSR_SF | msr, 3)

    processor, _ = run(encode("mtmsrd", rs=3), setup=setup)
    assert processor.state.pc == 0x1004


def test_mtmsrd_l_lets_no_exception_in(run):
    # It does not write FE0 and FE1.  That they are on and nothing came is our setting up.
    processor, _ = run(
        encode("mtmsrd", rs=3, wide=1),
        msr=MSR_SF | MSR_FE0,
        setup=lambda p: p.state.put("fpscr", FEX_WAITS),
    )
    assert processor.state.pc == 0x1004


@pytest.mark.parametrize(
    ("level", "pc", "r3"), [(0, 0xC00, 0), (1, 0x1004, 42), (2, 0xC00, 0), (3, 0x1004, 42)]
)
def test_the_hypervisor_is_called_if_there_is_one(run, level, pc, r3):
    def setup(processor):
        processor.hypervisor_call = lambda p: p.state.put("gpr", 42, 3)

    processor, _ = run(encode("sc", lev=level), setup=setup)
    assert (processor.state.get("gpr", 3), processor.state.pc) == (r3, pc)


@pytest.mark.parametrize("level", [0, 1])
def test_without_a_hypervisor_every_system_call_is_the_kernels(run, level):
    processor, _ = run(encode("sc", lev=level))
    assert (processor.state.pc, processor.state.get("srr0")) == (0xC00, 0x1004)
    assert processor.state.get("srr1") == MSR_SF | MSR_HV | MSR_ME


@pytest.mark.parametrize(
    "word", [encode("slbmte", rs=3, rb=4), encode("slbmfev", rt=3, rb=4), encode("slbmfee", rt=3, rb=4)]
)
def test_a_processor_with_a_segment_table_has_no_slb_to_write(run, word):
    processor, _ = run(word, steps=1, setup=lambda p: p.state.put("pvr", 0x0034_0000))
    assert (processor.state.pc, processor.state.get("srr1") & 0x783F_0000) == (0x700, 0x8_0000)
