"""Address translation: effective to real, the way of the PowerPC architecture 2.01 and the 970.

    effective address --segment--> virtual address --page--> real address

With MSR[IR] (fetches) or MSR[DR] (loads, stores) off, the effective address is the real one, cut to the 42
bits a 970 has.  With it on, segment and page are looked up in `page_tables`.  A hit sets the page's R bit,
and C for a store, in the table.

What `translate` finds it keeps by 4 KB granule, in `_pages`; a key holds page, context and kind of access, so
that changing MSR needs no flush and a store is kept only once C is set.  Engines keep copies of their own:
`on_forget` tells which are wrong, or `generation` changes, and then any of them may be.  `is_watched` names
granules that must not be copied.

Watched addresses (the debugger's, and DABR) are looked at here, because every access comes by here once its
page is not copied: the debugger's end the run, DABR's is a data storage interrupt, both before the access.

It does not know instructions or engines; `Interrupt` carries DAR, DSISR and SRR1, the engine delivers it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

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
from emulator.cpu.page_tables import (
    LARGE_PAGE_BITS,
    PAGE_MASK,
    PTE_CHANGED,
    PTE_GUARDED,
    PTE_NO_EXECUTE,
    PTE_PP,
    PTE_REFERENCED,
    PTE_UNCACHED,
    REAL_MASK,
    SEGMENT_BITS,
    SLB,
    SLB_ENTRIES,
    SLB_ESID,
    SLB_NO_EXECUTE,
    SLB_VALID,
    Page,
    PageTables,
)
from emulator.cpu.state import INDEX, MSR_DR, MSR_IR, MSR_PR, CpuState
from emulator.cpu.watch import DABR_LOAD, DABR_STORE, Access, Watch, dabr_watch, is_dabr_awake
from emulator.memory import Memory

__all__ = ["Access", "Mmu", "Watch"]

#: Translations kept at most: a guest's working set of 256 MB, some 10 MB of ours.
MOST_KEPT = 1 << 16

#: The place of a small page in its segment.
_PAGE_INDEX = 0x0FFF_F000
_PC = INDEX["pc"]
_MSR = INDEX["msr"]
_DABR, _DABRX = INDEX["dabr"], INDEX["dabrx"]


class Mmu:
    """Translation for one processor."""

    def __init__(self, state: CpuState, memory: Memory) -> None:
        self._words = state.words
        self._memory = memory
        self.tables = PageTables(state, memory)
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
        segment = self.tables.segment(ea)
        page = None if segment is None else self.tables.page(segment, ea)
        return None if page is None else page.real

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
        segment = self.tables.segment(ea)
        if segment is None:
            if not self.tables.has_slb():
                # A segment table has no interrupt of its own (PowerPC architecture 1.x; 604 manual, 1-2).
                raise _storage(ea, access, STORAGE_NO_SEGMENT)
            if access is Access.FETCH:
                raise Interrupt(Vector.INSTRUCTION_SEGMENT)
            raise Interrupt(Vector.DATA_SEGMENT, dar=ea)
        if access is Access.FETCH and segment.flags & SLB_NO_EXECUTE:
            raise _storage(ea, access, STORAGE_NO_EXECUTE)
        page = self.tables.page(segment, ea)
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

    # What the instructions call (Book III 2.01, 4.11.3) --------------------------------------------------

    # Where they return a bool, it says that the run under way may go on: nothing that the instructions around
    # pc need has changed, and the engine knows what has.

    def slbmte(self, rs: int, rb: int) -> bool:
        """Write the SLB entry that RB's low bits name."""
        entry = SLB + 2 * (rb & SLB_ENTRIES - 1)
        before = self._words[entry]
        self._words[entry] = rb & (SLB_ESID | SLB_VALID)
        self._words[entry + 1] = rs & ~0x7F
        # A new segment makes nothing wrong that was right: faults are not kept.
        return not before & SLB_VALID or self._forget_segment(before)

    def slbie(self, rb: int) -> bool:
        """Invalidate the entry of the segment RB names."""
        for entry in self.tables.slb_places(rb & SLB_ESID | SLB_VALID):
            self._words[entry] &= ~SLB_VALID
        return self._forget_segment(rb)

    def slbia(self) -> None:
        """Invalidate every entry but entry 0."""
        for entry in range(SLB + 2, SLB + 2 * SLB_ENTRIES, 2):
            self._words[entry] &= ~SLB_VALID
        self.flush()

    def slbmfev(self, rb: int) -> int:
        """Return the VSID word of the entry RB's low bits name."""
        return self._words[SLB + 2 * (rb & SLB_ENTRIES - 1) + 1]

    def slbmfee(self, rb: int) -> int:
        """Return the ESID word of the entry RB's low bits name."""
        return self._words[SLB + 2 * (rb & SLB_ENTRIES - 1)]

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
