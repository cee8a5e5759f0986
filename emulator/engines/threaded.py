"""The threaded engine: predecoded records, each executed by a native handler that tail-calls the next one's.

A code page is 1,024 records (engines/layout) for the words of a 4 KB page, and one more whose handler goes
on in the next page.  It belongs to an effective page, a real page and a mode.  What stands in its records is
engines/record_writer's; a record that is not decoded yet comes back here.

Native code comes to Python for what it cannot do itself: a load or store whose page is not in the TLB (but
for most of the UART's registers, engines/llvm_uart), a helper, a jump whose target is not in the jump table.
An exception in such a callback is kept, the handler leaves with pc and icount as before its instruction, and
`_execute` raises it again.

Tags in the TLB and keys in the jump table carry the MSR bits translation depends on, so an interrupt's
change of context costs nothing; a new `mmu.generation` empties both.
"""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Callable

from emulator.cpu.exits import Exit, ExitKind, Leave
from emulator.cpu.mmu import Access
from emulator.cpu.processor import Processor
from emulator.cpu.state import INDEX, MASK64, MSR_IR, MSR_PR, MSR_SF
from emulator.engines import layout, native
from emulator.engines.code_page import CodePage
from emulator.engines.data_copies import DataCopies
from emulator.engines.hot_loops import HotLoops
from emulator.engines.layout import PAGE, RECORD_SIZE, RECORDS_PER_PAGE
from emulator.engines.prepared import Preparer
from emulator.engines.record_writer import RecordWriter
from emulator.engines.run import run
from emulator.isa.values import Helper

_PC, _ICOUNT, _SLEPT = INDEX["pc"], INDEX["icount"], INDEX["time_slept"]
_LOAD = ctypes.CFUNCTYPE(ctypes.c_uint64, *[ctypes.c_uint64] * 3)
_STORE = ctypes.CFUNCTYPE(None, *[ctypes.c_uint64] * 4)
_CALL = ctypes.CFUNCTYPE(ctypes.c_uint64, *[ctypes.c_uint64] * 7)
_LOOKUP = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_uint64)
_ENTER = ctypes.CFUNCTYPE(None, *[ctypes.c_uint64] * 4)

#: Code pages kept before all are dropped: 33 MB of records.
MAX_CODE_PAGES = 1024


class ThreadedEngine:
    """Executes one processor's instructions."""

    def __init__(self, processor: Processor) -> None:
        self._processor = processor
        self._words = processor.state.words
        common = native.handlers(native.Group("branch", True))
        self._stop_handler = common.address("h_stop")
        self._enter = _ENTER(common.address("enter"))
        self._data = data = DataCopies(processor)
        self._helpers: dict[int, Helper] = {
            layout.FILL_LOAD: lambda _, address: data.offer(address, Access.LOAD),
            layout.FILL_STORE: lambda _, address: data.offer(address, Access.STORE),
        }
        preparer = Preparer(self._helpers)
        self._pages: dict[tuple[int, int, bool], CodePage] = {}
        self._pages_of_real: dict[int, list[CodePage]] = {}
        self._pages_of_start: dict[int, list[CodePage]] = {}
        self._fetches: dict[int, CodePage] = {}
        self._generation = -1
        self._is64 = True
        self._raised: BaseException | None = None
        self._jumps = array("Q", [0]) * (layout.JUMP_ENTRIES * layout.JUMP_ENTRY_SIZE // 8)
        self._code_pages = array("Q", [0]) * (layout.CODE_PAGE_ENTRIES * layout.JUMP_ENTRY_SIZE // 8)
        self._callbacks = (_LOAD(self._load), _STORE(self._store), _CALL(self._call), _LOOKUP(self._lookup))
        self.loops = HotLoops(self._jumps, preparer.forms)
        self._records = RecordWriter(processor, preparer, self.loops)
        processor.invalidate_code = self.invalidate
        processor.mmu.on_forget = self._forget_translations
        self._connect()

    def run(self, limit: int) -> Exit | None:
        """Complete at most `limit` instructions (emulator.cpu.processor.Engine)."""
        self._words[layout.RUN_MSR] = self._words[INDEX["msr"]]
        return run(self._processor, self._execute, limit)

    def invalidate(self, real: int, length: int) -> None:
        """Forget what was decoded from real addresses [real, real + length) and is different there now."""
        if length > PAGE * len(self._pages_of_real):
            touched = [page for page in self._pages_of_real if page + PAGE > real and page < real + length]
        else:
            touched = list(range(real & -PAGE, real + length, PAGE))
        for page in touched:
            first = max(real - page, 0) // 4
            last = min(real + length - page + 3, PAGE) // 4
            for code in self._pages_of_real.get(page, ()):
                self._records.renew(code, first, last)

    def flush_translations(self) -> None:
        """Forget every cached translation."""
        self._generation = -1

    def set_breakpoints(self, addresses: frozenset[int]) -> None:
        """Stop before an instruction at any of these addresses, except the first of a run."""
        changed = addresses ^ self._records.breakpoints
        self._records.breakpoints = addresses
        for address in changed:
            for code in self._pages_of_start.get(address & -PAGE, ()):
                self._records.forget_breakpoint(code, (address & PAGE - 1) >> 2)

    # Running.

    def _connect(self) -> None:
        """Write the addresses native code needs into the state block."""
        words = self._words
        for index, callback in zip(
            (layout.LOAD, layout.STORE, layout.CALL, layout.LOOKUP), self._callbacks, strict=True
        ):
            words[index] = ctypes.cast(callback, ctypes.c_void_p).value or 0
        words[layout.PYTHON_LOAD], words[layout.PYTHON_STORE] = words[layout.LOAD], words[layout.STORE]
        uart = next((region.native for region in self._processor.memory.regions if region.native), 0)
        if uart:
            native_uart = native.handlers(native.UART)
            words[layout.UART] = uart
            words[layout.LOAD] = native_uart.address("device_load")
            words[layout.STORE] = native_uart.address("device_store")
        words[layout.STOP_HANDLER] = self._stop_handler
        words[layout.PLANTED] = 0
        common = native.handlers(native.Group("branch", True))
        words[layout.NEAR_END] = common.address("h_near_end")
        words[layout.MISS] = common.address("h_miss")
        words[layout.JUMPS] = self._jumps.buffer_info()[0]
        words[layout.CODE_PAGES] = self._code_pages.buffer_info()[0]

    def _execute(self, count: int, is_first: bool) -> bool:
        """Run for the time of `count` instructions; True: less, since the context changed.

        Time, since an interrupt that native code takes costs as much as an instruction and completes none.
        """
        words = self._words
        end = words[_ICOUNT] + words[_SLEPT] + count
        state_address = self._processor.state.address
        while (left := end - words[_ICOUNT] - words[_SLEPT]) > 0:
            # Native code may have changed the context since.
            tlb = words[layout.TLBS] + layout.TLB_SIZE * self._use_context()
            pc = words[_PC]
            code = self._page(pc)
            index = (pc & PAGE - 1) >> 2
            record = code.address + RECORD_SIZE * index
            if is_first and pc in self._records.breakpoints:
                record = self._records.put_aside(code, index)
            is_first = False
            words[layout.END] = words[_ICOUNT] + left
            words[layout.REASON] = layout.REASON_NONE
            self._enter(state_address, record, left, tlb)
            if words[layout.PLANTED]:
                self._unplant()
            match words[layout.REASON]:
                case layout.REASON_NONE:
                    if words[_ICOUNT] < words[layout.END]:
                        return True
                    self._note(left)
                case layout.REASON_DECODE:
                    pc = words[_PC]
                    self._records.decode_line(self._page(pc), (pc & PAGE - 1) >> 2, RECORDS_PER_PAGE)
                case layout.REASON_BREAKPOINT:
                    if self._processor.is_wanted():
                        raise Leave(ExitKind.BREAKPOINT, retry=True)
                    is_first = True
                case _:
                    raise self._take_kept()
        return False

    def _note(self, count: int) -> None:
        """A run of `count` instructions has ended at pc, as far as anybody can tell by chance."""
        pc = self._words[_PC]
        code = self._fetches.get(pc & -PAGE | self._words[layout.JUMP_CONTEXT])
        if code is not None:
            self.loops.note(code, (pc & PAGE - 1) >> 2, count)

    def _unplant(self) -> None:
        """Take away the h_stop that native code left behind (engines/llvm_records)."""
        handler = ctypes.c_uint64.from_address(self._words[layout.PLANTED])
        if handler.value == self._stop_handler:
            handler.value = self._words[layout.PLANTED_HANDLER]
        if self._words[layout.PARTED]:
            handler = ctypes.c_uint64.from_address(self._words[layout.PARTED])
            if handler.value == self._words[layout.PARTED_SINGLE]:
                handler.value = self._words[layout.PARTED_HANDLER]
        self._words[layout.PLANTED] = 0

    def _take_kept(self) -> BaseException:
        """Return what a callback has raised.  Raised by who has no name for it: a name in a frame of its own
        traceback would leave both to the garbage collector.
        """
        kept, self._raised = self._raised, None
        assert kept is not None
        return kept

    def _use_context(self) -> int:
        """Drop cached translations that are stale, and return the number of the TLB to use."""
        msr = self._words[INDEX["msr"]]
        generation, is64 = self._processor.mmu.generation, bool(msr & MSR_SF)
        if generation != self._generation:
            self._generation = generation
            self._data.forget_all()
            self._fetches.clear()
            self._forget_jumps()
        if is64 != self._is64:
            self._is64 = is64
            self._fetches.clear()
            self._forget_jumps()
        self._words[layout.JUMP_CONTEXT] = (1 if msr & MSR_IR else 0) | (2 if msr & MSR_PR else 0)
        return self._data.use_context()

    def _forget_translations(self, mask: int, value: int) -> None:
        """Forget what was copied for effective addresses with `ea & mask == value`."""
        self._data.forget(mask, value)
        gone = [key for key in self._fetches if key & mask & -PAGE == value]
        for key in gone:
            del self._fetches[key]
        if gone:
            self._forget_jumps()

    # Code pages.

    def _page(self, pc: int) -> CodePage:
        """Return the code page of `pc`.  Raises Interrupt."""
        key = pc & -PAGE | self._words[layout.JUMP_CONTEXT]
        code = self._fetches.get(key)
        if code is None:
            real = self._processor.mmu.translate(pc, Access.FETCH) & -PAGE
            identity = (pc & -PAGE, real, self._is64)
            code = self._pages.get(identity) or self._new_page(identity)
            self._fetches[key] = code
        return code

    def _new_page(self, identity: tuple[int, int, bool]) -> CodePage:
        if len(self._pages) >= MAX_CODE_PAGES:
            for kept in (self._pages, self._pages_of_real, self._pages_of_start, self._fetches):
                kept.clear()
            self._records.forget_copies()
            self._words[layout.PLANTED] = 0
            self._forget_jumps()
        start, real, is64 = identity
        code = self._records.blank(start, real, is64)
        self._pages[identity] = code
        self._pages_of_real.setdefault(real, []).append(code)
        self._pages_of_start.setdefault(start, []).append(code)
        return code

    def _forget_jumps(self) -> None:
        """Empty the jump table and the table of code pages.

        0 is no key of any entry but the first, and 4 is none of that.
        """
        for table in (self._jumps, self._code_pages):
            ctypes.memset(table.buffer_info()[0], 0, table.itemsize * len(table))
            table[0] = 4

    # Callbacks.  None of them lets an exception into native code.

    def _load(self, address: int, size: int, _state: int) -> int:
        return self._guarded(lambda: self._data.load(address, size))

    def _store(self, address: int, size: int, value: int, _state: int) -> None:
        try:
            self._data.store(address, size, value)
        except BaseException as error:
            self._keep(error)

    def _call(self, number: int, count: int, *arguments: int) -> int:
        return self._guarded(lambda: self._helpers[number](self._processor, *arguments[:count]) & MASK64)

    def _lookup(self, address: int) -> int:
        return self._guarded(lambda: self._record_at(address))

    def _guarded(self, action: Callable[[], int]) -> int:
        try:
            return action()
        except BaseException as error:
            return self._keep(error)

    def _keep(self, error: BaseException) -> int:
        """Have native code leave; `_execute` raises `error` again."""
        self._raised = error
        self._words[layout.REASON] = layout.REASON_RAISED
        return 0

    def _record_at(self, address: int) -> int:
        """Return the address of the record of `address`, and remember it in the jump table."""
        code = self._page(address)
        record = code.address + RECORD_SIZE * ((address & PAGE - 1) >> 2)
        context = self._words[layout.JUMP_CONTEXT]
        entry = 2 * (address >> 2 & layout.JUMP_ENTRIES - 1)
        self._jumps[entry], self._jumps[entry + 1] = address | context, record
        entry = 2 * (address >> 12 & layout.CODE_PAGE_ENTRIES - 1)
        self._code_pages[entry], self._code_pages[entry + 1] = address & -PAGE | context, code.address
        return record
