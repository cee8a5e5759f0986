"""Translation against a small model that knows mappings, not tables.

The model keeps segments and pages in dictionaries and answers from them.  The tables are filled by functions
written here from the architecture's text (Book III 2.01, chapter 4), not with the code under test.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.cpu.interrupts import Interrupt, Vector
from emulator.cpu.mmu import Access, Mmu
from emulator.cpu.state import MSR_DR, MSR_IR, MSR_PR, MSR_SF, CpuState
from emulator.memory import Memory

MEMORY = 1 << 20
TABLE = 0x40000
GROUPS = 2048
SEGMENT_TABLE = 0x1000
PVR_WITH_SLB, PVR_WITHOUT = 0x0039_0000, 0x0033_0000

NO_TRANSLATION, NO_EXECUTE, PROTECTION, STORE = 0x4000_0000, 0x1000_0000, 0x0800_0000, 0x0200_0000
#: Segment table search failed: bit 10 of DSISR, bit 42 of SRR1 (PowerPC architecture 1.x).
NO_SEGMENT = 0x0020_0000


@dataclass(frozen=True)
class PageModel:
    real: int
    pp: int
    no_execute: bool
    guarded: bool
    secondary: bool


@dataclass(frozen=True)
class SegmentModel:
    vsid: int
    ks: bool
    kp: bool
    no_execute: bool
    large: bool
    pages: dict[int, PageModel] = field(default_factory=dict)  # by page number in the segment


@dataclass
class World:
    """The model, and the machine parts that must agree with it."""

    segments: dict[int, SegmentModel]  # by ESID
    has_slb: bool

    def build(self) -> tuple[CpuState, Memory, Mmu]:
        state, memory = CpuState(), Memory(MEMORY)
        state.put("pvr", PVR_WITH_SLB if self.has_slb else PVR_WITHOUT)
        state.put("sdr1", TABLE)
        state.put("asr", SEGMENT_TABLE | 1)
        mmu = Mmu(state, memory)
        for index, (esid, segment) in enumerate(self.segments.items()):
            if self.has_slb:
                flags = segment.ks << 11 | segment.kp << 10 | segment.no_execute << 9 | segment.large << 8
                mmu.slbmte(segment.vsid << 12 | flags, esid << 28 | 1 << 27 | index)
            else:
                put_segment(memory, esid, segment)
            for number, page in segment.pages.items():
                put_page(memory, segment, number, page)
        return state, memory, mmu

    def expected(self, ea: int, access: Access, problem: bool) -> int | tuple[Vector, int, int | None]:
        """The real address; or vector, SRR1 or DSISR bits, and DAR."""

        def storage(cause: int) -> tuple[Vector, int, int | None]:
            if access is Access.FETCH:
                return Vector.INSTRUCTION_STORAGE, cause, None
            return Vector.DATA_STORAGE, cause | (STORE if access is Access.STORE else 0), ea

        segment = self.segments.get(ea >> 28)
        if segment is None:
            if not self.has_slb:
                return storage(NO_SEGMENT)
            if access is Access.FETCH:
                return Vector.INSTRUCTION_SEGMENT, 0, None
            return Vector.DATA_SEGMENT, 0, ea
        if access is Access.FETCH and segment.no_execute:
            return storage(NO_EXECUTE)
        bits = 24 if segment.large else 12
        page = segment.pages.get((ea & 0xFFF_FFFF) >> bits)
        if page is None:
            return storage(NO_TRANSLATION)
        if access is Access.FETCH and (page.no_execute or page.guarded):
            return storage(NO_EXECUTE)
        key = segment.kp if problem else segment.ks
        may = {0: "" if key else "rw", 1: "r" if key else "rw", 2: "rw", 3: "r"}[page.pp]
        if ("w" if access is Access.STORE else "r") not in may:
            return storage(PROTECTION)
        return page.real + ea % (1 << bits)


def put_page(memory: Memory, segment: SegmentModel, number: int, page: PageModel) -> None:
    """Enter a page in the group its hash names, or in the secondary one."""
    bits = 24 if segment.large else 12
    hashed = (segment.vsid & (1 << 39) - 1) ^ number
    if page.secondary:
        hashed = ~hashed
    group = TABLE + hashed % GROUPS * 128
    # AVPN: the virtual address above its low 23 bits.
    virtual = segment.vsid << 28 | number << bits
    high = (virtual >> 23) << 7 | (4 if segment.large else 0) | (2 if page.secondary else 0) | 1
    low = page.real | page.guarded << 3 | page.no_execute << 2 | page.pp
    for slot in range(group, group + 128, 16):
        if not memory.read(slot + 7, 1)[0] & 1:
            memory.write(slot, high.to_bytes(8, "big") + low.to_bytes(8, "big"))
            return
    raise AssertionError("the drawn pages overfill a group")


def put_segment(memory: Memory, esid: int, segment: SegmentModel) -> None:
    """Enter a segment in its primary group of the segment table, or in the secondary when that is full."""
    high = esid << 28 | 0x80 | segment.ks << 5 | segment.kp << 4
    for group in (esid % 32, ~esid % 32):
        for slot in range(SEGMENT_TABLE + group * 128, SEGMENT_TABLE + group * 128 + 128, 16):
            if not memory.read(slot + 7, 1)[0] & 0x80:
                memory.write(slot, high.to_bytes(8, "big") + (segment.vsid << 12).to_bytes(8, "big"))
                return
    raise AssertionError("the drawn segments overfill the table")


ESIDS = st.sampled_from([0, 1, 2, 0xC_0000_0000, 0xC_0000_0001, 0xF_FFFF_FFFF, 0x20, 0x40])
NUMBERS = st.sampled_from([0, 1, 2, 0x7F, 0x80, 0x1000, 0xFFFF])


@st.composite
def worlds(draw: st.DrawFn) -> World:
    has_slb = draw(st.booleans())
    vsids = draw(
        st.lists(st.integers(0, (1 << 37) - 1), min_size=8, max_size=8, unique_by=lambda v: v % GROUPS)
    )
    segments = {}
    for esid in draw(st.lists(ESIDS, max_size=5, unique=True)):
        large = has_slb and draw(st.booleans())
        pages = {}
        for number in draw(st.lists(NUMBERS, max_size=3, unique=True)):
            real = draw(st.integers(0, (1 << 42) - 1)) >> 24 << 24
            real = real if large else real | draw(st.integers(0, 0xFFF)) << 12
            page = PageModel(real, *draw(st.tuples(st.integers(0, 3), *[st.booleans()] * 3)))
            pages[number & 0xF if large else number] = page
        no_execute = has_slb and draw(st.booleans())
        flags = (draw(st.booleans()), draw(st.booleans()), no_execute, large)
        segments[esid] = SegmentModel(vsids.pop(), *flags, pages)
    return World(segments, has_slb)


@st.composite
def addresses(draw: st.DrawFn) -> int:
    esid, number, offset = draw(ESIDS), draw(NUMBERS), draw(st.integers(0, 0xFFF))
    return esid << 28 | draw(st.sampled_from([number << 12, number % 16 << 24])) | offset


@settings(max_examples=300)
@given(
    worlds(),
    st.lists(st.tuples(addresses(), st.sampled_from(Access), st.booleans()), min_size=1, max_size=20),
)
def test_translation_agrees_with_the_model(world: World, uses: list[tuple[int, Access, bool]]) -> None:
    state, _, mmu = world.build()
    for ea, access, problem in uses:
        state.msr = MSR_SF | MSR_IR | MSR_DR | (MSR_PR if problem else 0)
        assert outcome(mmu, ea, access) == world.expected(ea, access, problem)


def outcome(mmu: Mmu, ea: int, access: Access) -> int | tuple[Vector, int, int | None]:
    try:
        return mmu.translate(ea, access)
    except Interrupt as interrupt:
        bits = interrupt.srr1 if interrupt.dsisr is None else interrupt.dsisr
        return interrupt.vector, bits, interrupt.dar


ONE_PAGE = {
    0x20: SegmentModel(0x123, False, True, False, False, {5: PageModel(0x7000, 2, False, False, False)})
}
EA = 0x2_0000_5018


def referenced_changed(memory: Memory) -> tuple[bool, bool]:
    group = TABLE + (0x123 ^ 5) % GROUPS * 128
    low = int.from_bytes(memory.read(group + 8, 8), "big")
    return bool(low & 0x100), bool(low & 0x80)


def test_reference_and_change_bits_follow_the_accesses() -> None:
    state, memory, mmu = World(dict(ONE_PAGE), True).build()
    state.msr = MSR_SF | MSR_DR | MSR_IR
    assert mmu.probe(EA) == 0x7018
    assert referenced_changed(memory) == (False, False)
    mmu.translate(EA, Access.LOAD)
    assert referenced_changed(memory) == (True, False)
    mmu.translate(EA, Access.STORE)
    assert referenced_changed(memory) == (True, True)


def test_store_after_store_sets_change_again_only_after_tlbie() -> None:
    state, memory, mmu = World(dict(ONE_PAGE), True).build()
    state.msr = MSR_SF | MSR_DR
    mmu.translate(EA, Access.STORE)
    group = TABLE + (0x123 ^ 5) % GROUPS * 128
    memory.store(group + 15, 1, 2)  # the guest clears C
    before = mmu.generation
    mmu.tlbie(EA, False)
    assert mmu.generation != before
    mmu.translate(EA, Access.STORE)
    assert referenced_changed(memory) == (True, True)


def test_refused_access_leaves_the_bits_alone() -> None:
    segment = SegmentModel(0x123, False, True, False, False, {5: PageModel(0x7000, 1, False, False, False)})
    state, memory, mmu = World({0x20: segment}, True).build()
    state.msr = MSR_SF | MSR_DR | MSR_PR
    with pytest.raises(Interrupt):
        mmu.translate(EA, Access.STORE)
    assert referenced_changed(memory) == (False, False)


def test_context_is_part_of_what_is_kept() -> None:
    segment = SegmentModel(0x123, False, True, False, False, {5: PageModel(0x7000, 0, False, False, False)})
    state, _, mmu = World({0x20: segment}, True).build()
    state.msr = MSR_SF | MSR_DR
    assert mmu.translate(EA, Access.STORE) == 0x7018
    state.msr = MSR_SF | MSR_DR | MSR_PR
    with pytest.raises(Interrupt) as caught:
        mmu.translate(EA, Access.STORE)
    assert caught.value.dsisr == PROTECTION | STORE
    state.msr = MSR_SF
    assert mmu.translate(EA, Access.STORE) == EA


def test_real_mode_ignores_high_bits() -> None:
    state, _, mmu = World({}, True).build()
    state.msr = MSR_SF
    assert mmu.translate(0xC000_0000_0200_0004, Access.FETCH) == 0x200_0004


def test_slb_instructions() -> None:
    state, _, mmu = World(dict(ONE_PAGE), True).build()
    state.msr = MSR_SF | MSR_DR
    assert mmu.slbmfee(0) == 0x20 << 28 | 1 << 27
    assert mmu.slbmfev(0) == 0x123 << 12 | 0x400
    mmu.slbmte(0x456 << 12 | 0x80, 0x30 << 28 | 1 << 27 | 9)
    mmu.slbia()
    assert [index for index, _, _ in mmu.tables.slb()] == [0]
    mmu.slbie(0x20 << 28)
    assert list(mmu.tables.slb()) == []
    with pytest.raises(Interrupt) as caught:
        mmu.translate(EA, Access.LOAD)
    assert caught.value.vector is Vector.DATA_SEGMENT


def test_replacing_a_valid_segment_forgets_its_pages() -> None:
    state, _, mmu = World(dict(ONE_PAGE), True).build()
    state.msr = MSR_SF | MSR_DR
    assert mmu.translate(EA, Access.LOAD) == 0x7018
    mmu.slbmte(0x124 << 12, 0x20 << 28 | 1 << 27)
    with pytest.raises(Interrupt):
        mmu.translate(EA, Access.LOAD)


def test_page_table_outside_memory_holds_nothing() -> None:
    state, _, mmu = World(dict(ONE_PAGE), True).build()
    state.put("sdr1", 0x3FFF_FFFF_FFFC_0000)
    state.msr = MSR_SF | MSR_DR
    with pytest.raises(Interrupt):
        mmu.translate(EA, Access.LOAD)
    assert list(mmu.tables.entries()) == []


def test_dabr_matches_kind_and_translation() -> None:
    state, _, mmu = World(dict(ONE_PAGE), True).build()
    state.msr = MSR_SF | MSR_DR
    state.put("dabr", EA & ~7 | 4 | 2)  # translated stores
    mmu.flush()
    mmu.translate(EA, Access.LOAD, 8)
    assert mmu.is_watched(EA)
    with pytest.raises(Interrupt) as caught:
        mmu.translate(EA, Access.STORE, 8)
    assert (caught.value.dsisr, caught.value.dar) == (0x0240_0000, EA)
    state.msr = MSR_SF
    mmu.translate(EA, Access.STORE, 8)
