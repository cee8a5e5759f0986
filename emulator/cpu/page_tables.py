"""The tables that translation is done by, as they stand: segments and pages, found but not yet allowed.

A segment comes from the segment lookaside buffer, 64 entries that live in the state block in the format of
slbmte; a processor that has none (not in `SLB_PVRS`) reads the segment table that ASR names.  A page comes
from the hashed page table that SDR1 names, primary and secondary group, 4 KB or (segment's L bit) 16 MB.

Looking changes nothing and raises nothing: debuggers and the monitor look here too.  Whether an access is
allowed, what it marks and what is kept of it is the `Mmu`'s.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from emulator.cpu.state import INDEX, CpuState
from emulator.memory import Memory

#: What a real address can be on a 970 (970 user's manual, 4.1): higher bits are ignored.
REAL_MASK = (1 << 42) - 1
PAGE_MASK = (1 << 64) - 0x1000

SLB_ENTRIES = 64
#: Processors (PVR's upper half) that have one; older ones read a table in memory.  K42 facts E.4.
SLB_PVRS = frozenset({0x35, 0x38, 0x39, 0x3C, 0x44, 0x45, 0x70})

# An SLB entry's first word, from slbmte's RB; and its second, from RS (Book III 2.01, 4.11.3.1).
SLB_ESID = (1 << 64) - (1 << 28)
SLB_VALID = 1 << 27
SLB_KS = 0x800
SLB_KP = 0x400
SLB_NO_EXECUTE = 0x200
SLB_LARGE = 0x100
SLB_CLASS = 0x80
_SLB_FLAGS = SLB_KS | SLB_KP | SLB_NO_EXECUTE | SLB_LARGE | SLB_CLASS

# A segment table entry (K42 facts E.4; PowerPC architecture 1.x, Book III 4.4).
STE_VALID = 0x80
STE_KS = 0x20
STE_KP = 0x10
ASR_VALID = 1
_STE_GROUPS = 32
_STE_PER_GROUP = 8

# A page table entry's two words (Book III 2.01, 4.5.1).
PTE_LARGE = 0x4
PTE_SECONDARY = 0x2
PTE_VALID = 0x1
PTE_REFERENCED = 0x100
PTE_CHANGED = 0x80
PTE_UNCACHED = 0x60  # W, write-through, or I, caching-inhibited
PTE_GUARDED = 0x8
PTE_NO_EXECUTE = 0x4
PTE_PP = 0x3
PTE_PER_GROUP = 8
PTE_GROUP_SIZE = 128
_GROUP = struct.Struct(">16Q")

LARGE_PAGE_BITS = 24
SMALL_PAGE_BITS = 12
SEGMENT_BITS = 28

#: Where the SLB begins in the state block.
SLB = INDEX["slb"]
_SDR1, _ASR, _PVR = INDEX["sdr1"], INDEX["asr"], INDEX["pvr"]


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment as either structure describes it: `flags` in the SLB's bits, `source` for people."""

    vsid: int
    flags: int
    source: str

    @property
    def page_bits(self) -> int:
        return LARGE_PAGE_BITS if self.flags & SLB_LARGE else SMALL_PAGE_BITS

    def denies(self, problem_state: bool) -> bool:
        """Return the storage key: whether PP is read the strict way for this state."""
        return bool(self.flags & (SLB_KP if problem_state else SLB_KS))


@dataclass(frozen=True, slots=True)
class Page:
    """A page table entry that was found: its place and its words."""

    real: int
    high: int
    low: int
    group: int
    slot: int

    @property
    def is_secondary(self) -> bool:
        return bool(self.high & PTE_SECONDARY)


class PageTables:
    """One processor's segments and pages."""

    def __init__(self, state: CpuState, memory: Memory) -> None:
        self._words = state.words
        self._memory = memory

    # Segments.

    def has_slb(self) -> bool:
        """Tell whether this processor has a segment lookaside buffer, not a segment table."""
        return self._words[_PVR] >> 16 in SLB_PVRS

    def segment(self, ea: int) -> Segment | None:
        """Return the segment `ea` lies in."""
        if self.has_slb():
            return self._slb_segment(ea)
        return self._table_segment(ea)

    def _slb_segment(self, ea: int) -> Segment | None:
        entry = next(self.slb_places(ea & SLB_ESID | SLB_VALID), None)
        if entry is None:
            return None
        flags = self._words[entry + 1]
        return Segment(flags >> 12, flags & _SLB_FLAGS, f"SLB entry {(entry - SLB) // 2}")

    def slb_places(self, wanted: int) -> Iterator[int]:
        """Return the places of the SLB entries with that first word, in order."""
        firsts = self._words[SLB : SLB + 2 * SLB_ENTRIES : 2].tolist()
        at = -1
        for _ in range(firsts.count(wanted)):
            at = firsts.index(wanted, at + 1)
            yield SLB + 2 * at

    def _table_segment(self, ea: int) -> Segment | None:
        """Look in the primary and the secondary group of the segment table, 8 entries of 16 bytes each."""
        asr = self._words[_ASR]
        if not asr & ASR_VALID:
            return None
        esid = ea >> SEGMENT_BITS
        for group in (esid & _STE_GROUPS - 1, ~esid & _STE_GROUPS - 1):
            start = (asr & PAGE_MASK) + group * _STE_PER_GROUP * 16
            if not self._memory.is_ram(start, _STE_PER_GROUP * 16):
                return None
            words = _GROUP.unpack(self._memory.bytes[start : start + _STE_PER_GROUP * 16])
            for slot in range(_STE_PER_GROUP):
                first, second = words[2 * slot : 2 * slot + 2]
                if first & STE_VALID and first >> SEGMENT_BITS == esid:
                    flags = (SLB_KS if first & STE_KS else 0) | (SLB_KP if first & STE_KP else 0)
                    where = f"segment table group {group} entry {slot}"
                    return Segment(second >> 12, flags, where)
        return None

    def slb(self) -> Iterator[tuple[int, int, int]]:
        """Return (index, first word, second word) of the valid SLB entries."""
        for index in range(SLB_ENTRIES):
            high, low = self._words[SLB + 2 * index], self._words[SLB + 2 * index + 1]
            if high & SLB_VALID:
                yield index, high, low

    # Pages.

    def page(self, segment: Segment, ea: int) -> Page | None:
        """Return the page table entry of `ea`, which lies in `segment`; None also if the table is nowhere."""
        bits = segment.page_bits
        wanted = (segment.vsid << 5 | (ea >> 23 & 0x1F)) & ((1 << 57) - 1)
        # A 16 MB page's own offset reaches into the lowest bit of the abbreviated page number.
        if bits == LARGE_PAGE_BITS:
            wanted &= ~1
        size_bit = PTE_LARGE if bits == LARGE_PAGE_BITS else 0
        for secondary, group in enumerate(self.groups_of(segment, ea)):
            if not self._memory.is_ram(group, PTE_GROUP_SIZE):
                return None
            entries = _GROUP.unpack(self._memory.bytes[group : group + PTE_GROUP_SIZE])
            tag = wanted << 7 | size_bit | (PTE_SECONDARY if secondary else 0) | PTE_VALID
            for slot in range(PTE_PER_GROUP):
                # Bits 57-60 of the first word are software's.
                if entries[2 * slot] & ~0x78 == tag:
                    low = entries[2 * slot + 1]
                    offset = (1 << bits) - 1
                    real = (low & ~offset | ea & offset) & REAL_MASK
                    return Page(real, entries[2 * slot], low, group, slot)
        return None

    def page_table(self) -> tuple[int, int]:
        """Return the real address of the hashed page table and its number of groups."""
        sdr1 = self._words[_SDR1]
        return sdr1 & 0x3FFF_FFFF_FFFC_0000, 1 << 11 + min(sdr1 & 0x1F, 28)

    def entries(self) -> Iterator[Page]:
        """Return the valid entries of the page table, for showing; `real` is the page's first address."""
        origin, groups = self.page_table()
        for group in range(origin, origin + groups * PTE_GROUP_SIZE, PTE_GROUP_SIZE):
            if not self._memory.is_ram(group, PTE_GROUP_SIZE):
                return
            words = _GROUP.unpack(self._memory.bytes[group : group + PTE_GROUP_SIZE])
            for slot in range(PTE_PER_GROUP):
                high, low = words[2 * slot : 2 * slot + 2]
                if high & PTE_VALID:
                    yield Page(low & REAL_MASK & PAGE_MASK, high, low, group, slot)

    def groups_of(self, segment: Segment, ea: int) -> tuple[int, int]:
        """Return the real addresses of the primary and the secondary group of `ea`, in `segment`."""
        origin, groups = self.page_table()
        index = (ea & (1 << SEGMENT_BITS) - 1) >> segment.page_bits
        hashed = segment.vsid & 0x7F_FFFF_FFFF ^ index
        mask = groups - 1
        return origin | (hashed & mask) << 7, origin | (~hashed & mask) << 7
