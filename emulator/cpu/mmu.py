"""Address translation: effective to real, the way of the PowerPC architecture 2.01 and the 970.

    effective address --segment--> virtual address --page--> real address

With MSR[IR] (fetches) or MSR[DR] (loads, stores) off, the effective address is the real one, cut to the 42
bits a 970 has.  With it on, the segment comes from the segment lookaside buffer, 64 entries that live in
the state block in the format of slbmte; a processor that has none (not in `SLB_PVRS`) reads the segment table
that ASR names.  The page comes from the hashed page table that SDR1 names, primary and secondary group, 4 KB
or (segment's L bit) 16 MB.  A hit sets the page's R bit, and C for a store, in the table.

What `translate` finds it keeps by 4 KB granule, in `_pages`; a key holds page, context and kind of access, so
that changing MSR needs no flush and a store is kept only once C is set.  Engines keep copies of their own:
`on_forget` tells which are wrong, or `generation` changes, and then any of them may be.  `is_watched` names
granules that must not be copied.

Watched addresses (the debugger's, and DABR) are looked at here, because every access comes by here once its
page is not copied: the debugger's end the run, DABR's is a data storage interrupt, both before the access.

It does not know instructions or engines; `Interrupt` carries DAR, DSISR and SRR1, the engine delivers it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from emulator.cpu.exits import ExitKind, Leave
from emulator.cpu.interrupts import (
    STORAGE_DABR_MATCH,
    STORAGE_NO_EXECUTE,
    STORAGE_NO_SEGMENT,
    STORAGE_NO_TRANSLATION,
    STORAGE_NOT_CACHED,
    STORAGE_PROTECTION,
    STORAGE_STORE,
    Interrupt,
    Vector,
)
from emulator.cpu.state import INDEX, MSR_DR, MSR_IR, MSR_PR, CpuState
from emulator.cpu.watch import DABR_LOAD, DABR_STORE, Access, Watch, dabr_watch, is_dabr_awake
from emulator.memory import Memory

#: What a real address can be on a 970 (970 user's manual, 4.1): higher bits are ignored.
REAL_MASK = (1 << 42) - 1
PAGE_MASK = (1 << 64) - 0x1000

SLB_ENTRIES = 64
#: Processors (PVR's upper half) that have one; older ones read a table in memory.  K42 facts E.4.
SLB_PVRS = frozenset({0x35, 0x38, 0x39, 0x3C, 0x44, 0x45, 0x70})

__all__ = ["Access", "Mmu", "Page", "Segment", "Watch"]

# An SLB entry's first word, from slbmte's RB; and its second, from RS (Book III 2.01, 4.11.3.1).
SLB_ESID = (1 << 64) - (1 << 28)
SLB_VALID = 1 << 27
SLB_KS = 0x800
SLB_KP = 0x400
SLB_NO_EXECUTE = 0x200
SLB_LARGE = 0x100
SLB_CLASS = 0x80

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

#: Translations kept at most: a guest's working set of 256 MB, some 10 MB of ours.
MOST_KEPT = 1 << 16

_SLB = INDEX["slb"]
#: The place of a small page in its segment.
_PAGE_INDEX = 0x0FFF_F000
_PC = INDEX["pc"]
_MSR, _SDR1, _ASR, _PVR = INDEX["msr"], INDEX["sdr1"], INDEX["asr"], INDEX["pvr"]
_DABR, _DABRX = INDEX["dabr"], INDEX["dabrx"]


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


class Mmu:
    """Translation for one processor."""

    def __init__(self, state: CpuState, memory: Memory) -> None:
        self._words = state.words
        self._memory = memory
        self._pages: dict[int, int] = {}
        #: The keys of those made with translation on, by segment and by page within it.
        self._kept: dict[int, dict[int, list[int]]] = {}
        #: Effective pages, met with MSR[DR] on, that are write-through or caching-inhibited.
        self._uncached: set[int] = set()
        #: Whether a large page was met since all was forgotten.
        self._has_large = False
        self._watches: tuple[Watch, ...] = ()
        #: Grows whenever a translation an engine has copied may have become wrong.
        self.generation = 0
        #: An engine that is told, with `mask` and `value`, that what was copied for effective addresses
        #: with `ea & mask == value` is wrong; the generation then stays.
        self.on_forget: Callable[[int, int], None] | None = None

    # Translating -----------------------------------------------------------------------------------------

    def translate(self, ea: int, access: Access, size: int = 1) -> int:
        """Return the real address of `ea` for `access`.

        The access must not cross a granule of 4 KB; `size` matters only where something is watched.  Raises
        Interrupt with the registers it sets, or Leave for a debugger's watch.
        """
        msr = self._words[_MSR]
        page = self._pages.get(ea & PAGE_MASK | msr & (MSR_IR | MSR_DR) | msr >> 8 & 0x40 | access)
        if page is None:
            page = self._find(ea, access, size)
        return page | ea & 0xFFF

    def context(self, msr: int) -> int:
        """Return what of `msr` a copied translation depends on."""
        return msr & (MSR_IR | MSR_DR | MSR_PR)

    def is_watched(self, ea: int) -> bool:
        """Tell whether translations in the granule of `ea` must not be copied."""
        if not self._watches and not self._words[_DABR] & (DABR_LOAD | DABR_STORE):
            return False
        page = ea & PAGE_MASK
        return any(w.start < page + 0x1000 and page < w.start + w.length for w in self._all_watches())

    def require_cached(self, ea: int, access: Access) -> None:
        """Refuse lwarx, stwcx. and their like where storage is write-through or caching-inhibited.

        `ea` has just been translated.  Raises Interrupt (Book III 2.01, 5.5.3).
        """
        if not self.is_cached(ea):
            raise _storage(ea, access, STORAGE_NOT_CACHED)

    def is_cached(self, ea: int) -> bool:
        """Tell whether storage at `ea`, which has just been translated, has neither W nor I."""
        return not (self._uncached and self._words[_MSR] & MSR_DR and ea & PAGE_MASK in self._uncached)

    def probe(self, ea: int, *, translated: bool | None = None) -> int | None:
        """Return the real address of `ea`, None if it has none; for debuggers.

        No interrupt, no R or C bit, no permission asked.  `translated` None: as MSR[IR] or MSR[DR] says.
        """
        ea &= (1 << 64) - 1
        if translated is None:
            translated = bool(self._words[_MSR] & (MSR_DR | MSR_IR))
        if not translated:
            return ea & REAL_MASK
        segment = self.segment(ea)
        page = None if segment is None else self.page(segment, ea)
        return None if page is None else page.real

    def segment(self, ea: int) -> Segment | None:
        """Return the segment `ea` lies in."""
        if self.has_slb():
            return self._slb_segment(ea)
        return self._table_segment(ea)

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

    def _find(self, ea: int, access: Access, size: int) -> int:
        """Translate the long way and keep the result; `ea`'s granule as a real address."""
        msr = self._words[_MSR]
        watched = access is not Access.FETCH and self.is_watched(ea)
        if watched:
            self._check_watches(ea, size, access)
        if not msr & (MSR_IR if access is Access.FETCH else MSR_DR):
            real = ea & REAL_MASK
        else:
            real = self._walk(ea, access, bool(msr & MSR_PR))
        granule = real & ~0xFFF
        if not watched:
            if len(self._pages) >= MOST_KEPT:
                self._pages.clear()
                self._kept.clear()
            key = ea & PAGE_MASK | msr & (MSR_IR | MSR_DR) | msr >> 8 & 0x40 | access
            self._pages[key] = granule
            segment = self._kept.setdefault(ea >> SEGMENT_BITS, {})
            segment.setdefault(ea & _PAGE_INDEX, []).append(key)
        return granule

    def _walk(self, ea: int, access: Access, problem_state: bool) -> int:
        segment = self.segment(ea)
        if segment is None:
            if not self.has_slb():
                # A segment table has no interrupt of its own (PowerPC architecture 1.x; 604 manual, 1-2).
                raise _storage(ea, access, STORAGE_NO_SEGMENT)
            if access is Access.FETCH:
                raise Interrupt(Vector.INSTRUCTION_SEGMENT)
            raise Interrupt(Vector.DATA_SEGMENT, dar=ea)
        if access is Access.FETCH and segment.flags & SLB_NO_EXECUTE:
            raise _storage(ea, access, STORAGE_NO_EXECUTE)
        page = self.page(segment, ea)
        if page is None:
            raise _storage(ea, access, STORAGE_NO_TRANSLATION)
        if access is Access.FETCH and page.low & (PTE_NO_EXECUTE | PTE_GUARDED):
            raise _storage(ea, access, STORAGE_NO_EXECUTE)
        if not _permits(page.low & PTE_PP, segment.denies(problem_state), access):
            raise _storage(ea, access, STORAGE_PROTECTION)
        self._mark(page, access)
        self._has_large |= segment.page_bits == LARGE_PAGE_BITS
        if page.low & PTE_UNCACHED:
            self._uncached.add(ea & PAGE_MASK)
        return page.real

    def _mark(self, page: Page, access: Access) -> None:
        """Set R, and C for a store, in the table, byte by byte as the architecture has it (Book III, 4.8)."""
        low_word = page.group + 16 * page.slot + 8
        if not page.low & PTE_REFERENCED:
            self._memory.store(low_word + 6, 1, page.low >> 8 | PTE_REFERENCED >> 8)
        if access is Access.STORE and not page.low & PTE_CHANGED:
            self._memory.store(low_word + 7, 1, page.low | PTE_CHANGED)

    def groups_of(self, segment: Segment, ea: int) -> tuple[int, int]:
        """Return the real addresses of the primary and the secondary group of `ea`, in `segment`."""
        origin, groups = self.page_table()
        index = (ea & (1 << SEGMENT_BITS) - 1) >> segment.page_bits
        hashed = segment.vsid & 0x7F_FFFF_FFFF ^ index
        mask = groups - 1
        return origin | (hashed & mask) << 7, origin | (~hashed & mask) << 7

    # Segments --------------------------------------------------------------------------------------------

    def has_slb(self) -> bool:
        """Tell whether this processor has a segment lookaside buffer, not a segment table."""
        return self._words[_PVR] >> 16 in SLB_PVRS

    def _slb_segment(self, ea: int) -> Segment | None:
        entry = next(self._slb_entries(ea & SLB_ESID | SLB_VALID), None)
        if entry is None:
            return None
        flags = self._words[entry + 1]
        return Segment(flags >> 12, flags & 0xF80, f"SLB entry {(entry - _SLB) // 2}")

    def _slb_entries(self, wanted: int) -> Iterator[int]:
        """Return the places of the SLB entries with that first word, in order."""
        firsts = self._words[_SLB : _SLB + 2 * SLB_ENTRIES : 2].tolist()
        at = -1
        for _ in range(firsts.count(wanted)):
            at = firsts.index(wanted, at + 1)
            yield _SLB + 2 * at

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
            high, low = self._words[_SLB + 2 * index], self._words[_SLB + 2 * index + 1]
            if high & SLB_VALID:
                yield index, high, low

    # What the instructions call (Book III 2.01, 4.11.3) --------------------------------------------------

    # Where they return a bool, it says that the run under way may go on: nothing that the instructions around
    # pc need has changed, and the engine knows what has.

    def slbmte(self, rs: int, rb: int) -> bool:
        """Write the SLB entry that RB's low bits name."""
        entry = _SLB + 2 * (rb & SLB_ENTRIES - 1)
        before = self._words[entry]
        self._words[entry] = rb & (SLB_ESID | SLB_VALID)
        self._words[entry + 1] = rs & ~0x7F
        # A new segment makes nothing wrong that was right: faults are not kept.
        return not before & SLB_VALID or self._forget_segment(before)

    def slbie(self, rb: int) -> bool:
        """Invalidate the entry of the segment RB names."""
        for entry in self._slb_entries(rb & SLB_ESID | SLB_VALID):
            self._words[entry] &= ~SLB_VALID
        return self._forget_segment(rb)

    def slbia(self) -> None:
        """Invalidate every entry but entry 0."""
        for entry in range(_SLB + 2, _SLB + 2 * SLB_ENTRIES, 2):
            self._words[entry] &= ~SLB_VALID
        self.flush()

    def slbmfev(self, rb: int) -> int:
        """Return the VSID word of the entry RB's low bits name."""
        return self._words[_SLB + 2 * (rb & SLB_ENTRIES - 1) + 1]

    def slbmfee(self, rb: int) -> int:
        """Return the ESID word of the entry RB's low bits name."""
        return self._words[_SLB + 2 * (rb & SLB_ENTRIES - 1)]

    def tlbie(self, rb: int, large: bool) -> bool:
        """Forget the virtual page RB names.

        Our copies are kept by effective page: those go that have its place in whatever segment.
        """
        if large or self._has_large:
            self.flush()
            return False
        page = rb & _PAGE_INDEX
        for segment in self._kept.values():
            for key in segment.pop(page, ()):
                self._pages.pop(key, None)
        return self._tell(_PAGE_INDEX, page)

    def _forget_segment(self, ea: int) -> bool:
        """Forget the pages of the segment of `ea`."""
        for keys in self._kept.pop(ea >> SEGMENT_BITS, {}).values():
            for key in keys:
                self._pages.pop(key, None)
        return self._tell(SLB_ESID, ea & SLB_ESID)

    def _tell(self, mask: int, value: int) -> bool:
        """Tell the engine what copies are wrong; return whether its run may go on."""
        self._uncached = {page for page in self._uncached if page & mask != value}
        if self.on_forget is None:
            self.generation += 1
            return False
        self.on_forget(mask, value)
        return self._words[_PC] & mask != value

    def tlbia(self) -> None:
        """Forget every page."""
        self.flush()

    def tlbsync(self) -> None:
        """Wait for other processors' tlbie: there are none under way."""

    def flush(self) -> None:
        """Forget every kept translation: mtsdr1, mtasr, mtdabr, and the instructions above."""
        self._pages.clear()
        self._kept.clear()
        self._uncached.clear()
        self._has_large = False
        self.generation += 1

    # Watching --------------------------------------------------------------------------------------------

    def set_watches(self, watches: Iterable[Watch]) -> None:
        """Replace what the debugger watches."""
        self._watches = tuple(watches)
        self.flush()

    def _all_watches(self) -> tuple[Watch, ...]:
        dabr = self._words[_DABR]
        if dabr & (DABR_LOAD | DABR_STORE):
            return (*self._watches, dabr_watch(dabr))
        return self._watches

    def _check_watches(self, ea: int, size: int, access: Access) -> None:
        words = self._words
        dabr = words[_DABR]
        if dabr_watch(dabr).matches(ea, size, access) and is_dabr_awake(dabr, words[_DABRX], words[_MSR]):
            raise _storage(ea, access, STORAGE_DABR_MATCH)
        for watch in self._watches:
            if watch.matches(ea, size, access):
                raise Leave(ExitKind.WATCHPOINT, max(ea, watch.start), retry=True)


def _permits(pp: int, key: bool, access: Access) -> bool:
    """Tell whether protection bits `pp` under storage key `key` allow `access` (Book III 2.01, 4.10)."""
    if access is Access.STORE:
        return pp == 2 or (not key and pp != 3)
    return not (key and pp == 0)


def _storage(ea: int, access: Access, cause: int) -> Interrupt:
    if access is Access.FETCH:
        return Interrupt(Vector.INSTRUCTION_STORAGE, cause)
    store = STORAGE_STORE if access is Access.STORE else 0
    return Interrupt(Vector.DATA_STORAGE, dar=ea, dsisr=cause | store)
