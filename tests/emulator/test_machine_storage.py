"""Storage, segment and alignment interrupts, instruction by instruction: the vector, DAR, DSISR and SRR1.

One segment is mapped, with a page for every way to refuse.  The expectations are the architecture's (Book
III 2.01, 5.5.3 to 5.5.8), written here by hand.
"""

from __future__ import annotations

import pytest
from oracle import encode
from programs import load_raw_words

from emulator.config import MachineConfig
from emulator.cpu.exits import ExitKind
from emulator.cpu.state import MSR_DR, MSR_FP, MSR_HV, MSR_IR, MSR_ME, MSR_PR, MSR_SF, MSR_VMX
from emulator.isa.sprs import swap_halves
from emulator.machine import Machine

START = 0x4000
TABLE = 0x4_0000
VSID = 1
DATA, READ_ONLY, INHIBITED, WRITE_THROUGH, ABSENT, GUARDED, NOWHERE, KERNEL_ONLY, NO_EXECUTE = (
    0x8000, 0x9000, 0xA000, 0xB000, 0xC000, 0xD000, 0xE000, 0x1_1000, 0x1_2000,
)  # fmt: skip
NO_SEGMENT = 0x1000_0000

#: Page -> (real page, WIMG, N, PP).
PAGES = {
    START: (START, 0x2, 0, 2),
    DATA - 0x1000: (0x7000, 0x2, 0, 2),
    DATA: (DATA, 0x2, 0, 2),
    READ_ONLY: (READ_ONLY, 0x2, 0, 3),
    INHIBITED: (INHIBITED, 0x4, 0, 2),
    WRITE_THROUGH: (WRITE_THROUGH, 0x8, 0, 2),
    GUARDED: (GUARDED, 0x1, 0, 2),
    NOWHERE: (0x0FFF_F000, 0x2, 0, 2),
    KERNEL_ONLY: (0x1_1000, 0x2, 0, 0),
    NO_EXECUTE: (0x1_2000, 0x2, 1, 2),
}

NO_TRANSLATION, NO_EXECUTION, PROTECTION, NOT_CACHED, STORE = (
    0x4000_0000, 0x1000_0000, 0x0800_0000, 0x0400_0000, 0x0200_0000,
)  # fmt: skip
DSI, DATA_SEGMENT, ISI, INSTRUCTION_SEGMENT, ALIGNMENT = 0x300, 0x380, 0x400, 0x480, 0x600
SUPERVISOR = MSR_SF | MSR_HV | MSR_ME | MSR_IR | MSR_DR | MSR_FP | MSR_VMX


@pytest.fixture(params=["reference", "threaded"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def machine(engine: str, *words: int, msr: int = SUPERVISOR) -> Machine:
    built = Machine(MachineConfig(memory=1 << 20, engine=engine), load_raw_words(*words, address=START))
    for page, (real, wimg, no_execute, pp) in PAGES.items():
        number = page >> 12
        group = TABLE + ((VSID ^ number) << 7)
        entry = (VSID << 12 | 1).to_bytes(8, "big")
        entry += (real | wimg << 3 | no_execute << 2 | pp).to_bytes(8, "big")
        built.write_memory(group, entry)
    built.mmu.slbmte(VSID << 12 | 0x400, 1 << 27)
    built.set_registers({"sdr1": TABLE, "msr": msr})
    return built


def mtspr(number: int, register: int) -> int:
    return encode("mtspr", rs=register, spr=swap_halves(number))


def x_form(name: str, **registers: int) -> int:
    """An instruction whose address is R4 + R5."""
    return encode(name, ra0=4, rb=5, **registers)


LOADS = {
    "lbz": encode("lbz", rt=3, ra0=4, d=0),
    "lwzu": encode("lwzu", rt=3, ra=4, d=0),
    "ldx": x_form("ldx", rt=3),
    "lwa": encode("lwa", rt=3, ra0=4, ds=0),
    "lhbrx": x_form("lhbrx", rt=3),
    "lwarx": x_form("lwarx", rt=3),
    "ldarx": x_form("ldarx", rt=3),
    "lmw": encode("lmw", rt=28, ra=4, d=0),
    "lswi": encode("lswi", rt=8, ra0=4, nb=12),
    "lfs": encode("lfs", frt=3, ra0=4, d=0),
    "lfdu": encode("lfdu", frt=3, ra=4, d=0),
    "lvx": x_form("lvx", vrt=3),
    "lvebx": x_form("lvebx", vrt=3),
    "dcbst": x_form("dcbst"),
    "icbi": x_form("icbi"),
}
STORES = {
    "stb": encode("stb", rs=3, ra0=4, d=0),
    "stdu": encode("stdu", rs=3, ra=4, ds=0),
    "sthx": x_form("sthx", rs=3),
    "stwbrx": x_form("stwbrx", rs=3),
    "stwcx_": x_form("stwcx_", rs=3),
    "stdcx_": x_form("stdcx_", rs=3),
    "stmw": encode("stmw", rt=28, ra0=4, d=0),
    "stswi": encode("stswi", rt=8, ra0=4, nb=12),
    "stfd": encode("stfd", frs=3, ra0=4, d=0),
    "stfiwx": x_form("stfiwx", frs=3),
    "stvx": x_form("stvx", vrs=3),
    "stvewx": x_form("stvewx", vrs=3),
    "dcbz": x_form("dcbz"),
    "dcbzl": x_form("dcbzl"),
}


def run(engine: str, word: int, ea: int, msr: int = SUPERVISOR) -> tuple[Machine, dict[str, int]]:
    """Execute `word` with `ea` in R4; return the machine and the registers it had before."""
    emulated = machine(engine, word, msr=msr)
    emulated.set_registers({"r3": 0x3333, "r4": ea, "dar": 0xDA, "dsisr": 0xD5})
    emulated.step()
    return emulated, {"r3": 0x3333, "r4": ea}


def taken(emulated: Machine) -> tuple[int, int, int, int]:
    state = emulated.state
    return state.pc, state.get("srr0"), state.get("dar"), state.get("dsisr")


@pytest.mark.parametrize("name", [*LOADS, *STORES])
@pytest.mark.parametrize(
    ("page", "msr", "cause"),
    [(ABSENT, SUPERVISOR, NO_TRANSLATION), (KERNEL_ONLY, SUPERVISOR | MSR_PR, PROTECTION)],
    ids=["absent", "kernel's"],
)
def test_a_data_storage_interrupt_tells_what_and_where(
    engine: str, name: str, page: int, msr: int, cause: int
) -> None:
    ea = page + 0x80
    emulated, before = run(engine, (LOADS | STORES)[name], ea, msr)
    assert taken(emulated) == (DSI, START, ea, cause | (STORE if name in STORES else 0))
    assert emulated.state.get("srr1") == msr
    assert {register: emulated.state.get("gpr", int(register[1:])) for register in before} == before


@pytest.mark.parametrize("name", STORES)
def test_a_store_to_a_page_for_reading_is_refused(engine: str, name: str) -> None:
    emulated, _ = run(engine, STORES[name], READ_ONLY)
    assert taken(emulated) == (DSI, START, READ_ONLY, PROTECTION | STORE)
    assert emulated.memory.read(READ_ONLY, 256) == bytes(256)


@pytest.mark.parametrize("name", [*LOADS, *STORES])
def test_an_absent_segment_leaves_dsisr_alone(engine: str, name: str) -> None:
    emulated, _ = run(engine, (LOADS | STORES)[name], NO_SEGMENT)
    assert taken(emulated) == (DATA_SEGMENT, START, NO_SEGMENT, 0xD5)


@pytest.mark.parametrize("page", [INHIBITED, WRITE_THROUGH])
@pytest.mark.parametrize("name", ["lwarx", "ldarx", "stwcx_", "stdcx_"])
def test_reservations_are_for_cached_storage(engine: str, name: str, page: int) -> None:
    emulated, _ = run(engine, (LOADS | STORES)[name], page + 8)
    assert taken(emulated) == (DSI, START, page + 8, NOT_CACHED | (STORE if name in STORES else 0))


@pytest.mark.parametrize("page", [INHIBITED, WRITE_THROUGH])
@pytest.mark.parametrize("name", ["dcbz", "dcbzl"])
def test_there_is_no_line_to_clear_in_uncached_storage(engine: str, name: str, page: int) -> None:
    # A store has been there before: nothing an engine keeps of it may get in the way.
    emulated = machine(engine, encode("stb", rs=3, ra0=4, d=0), STORES[name])
    emulated.set_registers({"r3": 0xFF, "r4": page + 9})
    emulated.run(1)
    emulated.step()
    assert emulated.state.pc == ALIGNMENT
    assert (emulated.state.get("srr0"), emulated.state.get("dar")) == (START + 4, page + 9)
    # RA = 4 in the last five bits; opcode bits of 31, 1014.
    assert emulated.state.get("dsisr") & 0x1F == 4
    assert emulated.memory.read(page + 9, 1) == b"\xff"


@pytest.mark.parametrize(
    "name", sorted({*LOADS, *STORES} - {"lwarx", "ldarx", "stwcx_", "stdcx_", "dcbz", "dcbzl"})
)
def test_everything_else_may_be_uncached(engine: str, name: str) -> None:
    emulated, _ = run(engine, (LOADS | STORES)[name], INHIBITED)
    assert emulated.state.pc == START + 4


@pytest.mark.parametrize(("name", "size"), [("lwarx", 4), ("ldarx", 8), ("stwcx_", 4), ("stdcx_", 8)])
def test_a_reservation_is_aligned(engine: str, name: str, size: int) -> None:
    # Before anything about the page: it is not even there.
    emulated, _ = run(engine, (LOADS | STORES)[name], ABSENT + size - 1)
    pc, srr0, dar, _ = taken(emulated)
    assert (pc, srr0, dar) == (ALIGNMENT, START, ABSENT + size - 1)


@pytest.mark.parametrize(("name", "size"), [("ld", 8), ("std", 8), ("lfd", 8), ("stw", 4), ("lhz", 2)])
def test_an_access_that_crosses_into_an_absent_page_names_that_page(
    engine: str, name: str, size: int
) -> None:
    words = {
        "ld": encode("ld", rt=3, ra0=4, ds=0),
        "std": encode("std", rs=3, ra0=4, ds=0),
        "lfd": encode("lfd", frt=3, ra0=4, d=0),
        "stw": encode("stw", rs=3, ra0=4, d=0),
        "lhz": encode("lhz", rt=3, ra0=4, d=0),
    }
    ea = ABSENT - 1
    emulated, _ = run(engine, words[name], ea)
    store = STORE if name.startswith("st") else 0
    assert taken(emulated) == (DSI, START, ABSENT, NO_TRANSLATION | store)
    assert emulated.memory.read(WRITE_THROUGH + 0xFFF, 1) == b"\0"


@pytest.mark.parametrize(
    ("target", "msr", "vector", "cause"),
    [
        (ABSENT, SUPERVISOR, ISI, NO_TRANSLATION),
        (GUARDED, SUPERVISOR, ISI, NO_EXECUTION),
        (NO_EXECUTE, SUPERVISOR, ISI, NO_EXECUTION),
        (KERNEL_ONLY, SUPERVISOR | MSR_PR, ISI, PROTECTION),
        (NO_SEGMENT, SUPERVISOR, INSTRUCTION_SEGMENT, 0),
    ],
)
def test_a_fetch_that_is_refused_tells_srr1(
    engine: str, target: int, msr: int, vector: int, cause: int
) -> None:
    emulated = machine(engine, encode("bclr", bo=20), msr=msr)
    emulated.set_registers({"lr": target, "dar": 0xDA, "dsisr": 0xD5})
    emulated.run(1)
    emulated.step()
    assert taken(emulated) == (vector, target, 0xDA, 0xD5)
    assert emulated.state.get("srr1") == msr | cause


@pytest.mark.parametrize("name", ["lbz", "ldx", "lfs", "stb", "stfd", "dcbz"])
def test_a_real_address_nobody_answers_is_a_machine_check(engine: str, name: str) -> None:
    emulated, _ = run(engine, (LOADS | STORES)[name], NOWHERE)
    state = emulated.state
    assert (state.pc, state.get("srr0")) == (0x200, START)
    assert not state.msr & MSR_ME
    assert state.get("srr1") == SUPERVISOR | 0x10_0000


# IABR.


@pytest.mark.parametrize(("flags", "stops"), [(0, False), (1, False), (3, True)])
def test_iabr_interrupts_before_its_instruction(engine: str, flags: int, stops: bool) -> None:
    nop = 0x6000_0000
    emulated = machine(engine, nop, mtspr(1010, 3), nop, nop, nop, 0x4BFF_FFF4)
    emulated.set_registers({"r3": START + 16 | flags})
    emulated.run(5 if stops else 50)
    state = emulated.state
    if stops:
        assert (state.pc, state.get("srr0"), state.get("srr1")) == (0x1300, START + 16, SUPERVISOR)
        # The handler goes back with IABR as it is: nothing gets done any more.
        state.pc, state.msr = START + 16, SUPERVISOR
        emulated.step()
        assert (state.pc, state.get("srr0")) == (0x1300, START + 16)
    else:
        assert START <= state.pc < 0x1000 + START and state.icount == 50


def test_iabr_means_fetches_in_one_kind_of_mode(engine: str) -> None:
    emulated = machine(engine, *[0x6000_0000] * 8, msr=MSR_SF | MSR_ME)
    emulated.state.put("iabr", START + 8 | 3)
    emulated.run(4)
    assert emulated.state.pc == START + 16
    emulated.state.pc = START
    emulated.state.put("iabr", START + 8 | 2)
    assert emulated.run(3).instructions == 2
    assert (emulated.state.pc, emulated.state.get("srr0")) == (0x1300, START + 8)


def test_a_debuggers_breakpoint_and_iabrs_may_be_one(engine: str) -> None:
    emulated = machine(engine, *[0x6000_0000] * 8)
    emulated.set_breakpoints([START + 8, START + 12])
    # The guest's comes first, and of both only the debugger's stops the run.
    emulated.state.put("iabr", START + 8 | 3)
    assert emulated.run(3).kind is ExitKind.BUDGET
    assert (emulated.state.pc, emulated.state.get("srr0")) == (0x1300, START + 8)
    emulated.set_registers({"pc": START + 12, "msr": SUPERVISOR})
    assert emulated.run(5).kind is ExitKind.BREAKPOINT


# DABR and DABRX.


def watch(emulated: Machine, dabr: int, dabrx: int) -> None:
    emulated.state.put("dabr", dabr)
    emulated.state.put("dabrx", dabrx)
    emulated.mmu.flush()


@pytest.mark.parametrize(
    ("dabrx", "msr", "stops"),
    [
        (0, SUPERVISOR, True),
        (0, SUPERVISOR | MSR_PR, True),
        (7, SUPERVISOR & ~MSR_HV, True),
        (1, SUPERVISOR | MSR_PR, True),
        (1, SUPERVISOR, False),
        (2, SUPERVISOR & ~MSR_HV, True),
        (2, SUPERVISOR, False),
        (2, SUPERVISOR | MSR_PR, False),
        (4, SUPERVISOR, True),
        (4, SUPERVISOR & ~MSR_HV, False),
        (7, SUPERVISOR & ~MSR_DR, False),
        (15, SUPERVISOR & ~MSR_DR, True),
        (8, SUPERVISOR, False),
    ],
)
def test_dabrx_chooses_the_states(engine: str, dabrx: int, msr: int, stops: bool) -> None:
    emulated = machine(engine, STORES["stb"], msr=msr)
    emulated.set_registers({"r3": 1, "r4": DATA + 5})
    watch(emulated, DATA | 4 | 3, dabrx)
    emulated.step()
    if stops:
        assert taken(emulated) == (DSI, START, DATA + 5, 0x0040_0000 | STORE)
        assert emulated.memory.read(DATA + 5, 1) == b"\0"
    else:
        assert emulated.state.pc == START + 4
        assert emulated.memory.read(DATA + 5, 1) == b"\1"
