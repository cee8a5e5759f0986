"""The reference engine: each instruction a Python closure.  Slow, obviously right, and the judge of the
others.

A code page is 1,024 steps, one for each word of a 4 KB page, made when first reached.  It belongs to an
effective page, a real page and a mode, so that pc and branch targets are constants in its steps.  The state
block is exact after every instruction: a step that raises has not moved pc or icount.

Loads and stores go through two small dictionaries from effective page to offset in RAM; what is not in them
(not yet translated, a device, a watched page, an access that crosses a page) takes isa/storage.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from struct import Struct

from emulator.cpu.exits import Exit, ExitKind, Leave
from emulator.cpu.mmu import Access
from emulator.cpu.processor import Processor
from emulator.cpu.state import INDEX, MASK64, MSR_SF
from emulator.engines.python_source import Factory, Step, compile_form
from emulator.engines.run import run
from emulator.isa import storage
from emulator.isa.decode import Form, decode

PAGE = 4096
STEPS_PER_PAGE = PAGE // 4

#: Code pages kept before all are dropped.
MAX_CODE_PAGES = 256

_PC, _ICOUNT = INDEX["pc"], INDEX["icount"]

#: The steps of one code page, in word order; None: not decoded yet.
CodePage = list[Step | None]


class _Changed(Exception):
    """Raised by a complete step after which the machine must look: `target` is the next instruction."""

    def __init__(self, target: int) -> None:
        super().__init__(target)
        self.target = target


@cache
def _factory(form: Form) -> Factory:
    return compile_form(form)


class ReferenceEngine:
    """Executes one processor's instructions."""

    def __init__(self, processor: Processor) -> None:
        self._processor = processor
        self._code: dict[tuple[int, int, bool], CodePage] = {}
        self._keys_of_real: dict[int, list[CodePage]] = {}
        #: Code pages by effective page, and RAM offsets by effective page, in the context of `_context`.
        self._fetches: dict[int, CodePage] = {}
        self._reads: dict[int, int] = {}
        self._writes: dict[int, int] = {}
        self._context: tuple[int, int, bool] | None = None
        self._breakpoints: frozenset[int] = frozenset()
        self._loads = {size: self._loader(size) for size in (1, 2, 4, 8)}
        self._stores = {size: self._storer(size) for size in (1, 2, 4, 8)}
        processor.invalidate_code = self.invalidate

    def run(self, limit: int) -> Exit | None:
        """Complete at most `limit` instructions (emulator.cpu.processor.Engine)."""
        return run(self._processor, self._execute, limit)

    def invalidate(self, real: int, length: int) -> None:
        """Forget the steps decoded from real addresses [real, real + length)."""
        for page in range(real & -PAGE, real + length, PAGE):
            first = max(real - page, 0) // 4
            last = min(real + length - page + 3, PAGE) // 4
            for steps in self._keys_of_real.get(page, ()):
                # In place: the page may be running.
                steps[first:last] = [None] * (last - first)

    def flush_translations(self) -> None:
        """Forget every cached translation."""
        self._context = None

    def set_breakpoints(self, addresses: frozenset[int]) -> None:
        """Stop before an instruction at any of these addresses, except the first of a run."""
        self._breakpoints = addresses

    def _execute(self, count: int, is_first: bool) -> bool:
        """Run `count` instructions; True: fewer, since the context changed."""
        words = self._processor.state.words
        breakpoints = self._breakpoints
        is64 = self._use_context()
        pc = words[_PC]
        icount = words[_ICOUNT]
        last = icount + count
        try:
            while icount < last:
                page = pc >> 12
                steps = self._fetches.get(page)
                if steps is None:
                    steps = self._code_page(pc, is64)
                while icount < last and pc >> 12 == page:
                    if pc in breakpoints and not is_first and self._processor.is_wanted():
                        raise Leave(ExitKind.BREAKPOINT, retry=True)
                    step = steps[(pc & 0xFFF) >> 2]
                    if step is None:
                        step = self._decode(steps, pc, is64)
                    pc = step()
                    icount += 1
                    words[_PC] = pc
                    words[_ICOUNT] = icount
                    is_first = False
        except _Changed as changed:
            words[_PC] = changed.target
            words[_ICOUNT] = icount + 1
            return True
        return False

    def _use_context(self) -> bool:
        """Drop cached translations that are not of the present context; return whether the mode is 64-bit."""
        mmu, msr = self._processor.mmu, self._processor.state.msr
        is64 = bool(msr & MSR_SF)
        context = (mmu.generation, mmu.context(msr), is64)
        if context != self._context:
            self._context = context
            for kept in (self._fetches, self._reads, self._writes):
                kept.clear()
        return is64

    def _code_page(self, pc: int, is64: bool) -> CodePage:
        real = self._processor.mmu.translate(pc, Access.FETCH) & -PAGE
        key = (pc & -PAGE, real, is64)
        steps = self._code.get(key)
        if steps is None:
            if len(self._code) >= MAX_CODE_PAGES:
                for kept in (self._code, self._keys_of_real, self._fetches):
                    kept.clear()
            steps = self._code[key] = [None] * STEPS_PER_PAGE
            self._keys_of_real.setdefault(real, []).append(steps)
        self._fetches[pc >> 12] = steps
        return steps

    def _decode(self, steps: CodePage, pc: int, is64: bool) -> Step:
        word = storage.fetch(self._processor, pc)
        decoded = decode(word, is64)
        address_mask = MASK64 if is64 else 0xFFFF_FFFF
        slots = (*decoded.slots, 0, 0, 0, 0)[:4]
        target = decoded.immediate + (pc if decoded.is_relative else 0) & address_mask
        make = _factory(decoded.form)
        step = make(
            self._processor.state.words,
            self._processor,
            *self._loads.values(),
            *self._stores.values(),
            _Changed,
            *slots,
            decoded.immediate,
            target,
            pc,
            pc + 4 & address_mask,
        )
        steps[(pc & 0xFFF) >> 2] = step
        return step

    def _loader(self, size: int) -> Callable[[int], int]:
        """Return the function that loads `size` bytes."""
        processor, reads, ram = self._processor, self._reads, self._processor.memory.bytes
        unpack = Struct(_FORMATS[size]).unpack_from
        last = PAGE - size

        def load(address: int) -> int:
            base = reads.get(address >> 12)
            offset = address & 0xFFF
            if base is not None and offset <= last:
                value: int = unpack(ram, base + offset)[0]
                return value
            value = storage.load(processor, address, size)
            self._keep(reads, address, Access.LOAD)
            return value

        return load

    def _storer(self, size: int) -> Callable[[int, int], None]:
        """Return the function that stores `size` bytes."""
        processor, writes, ram = self._processor, self._writes, self._processor.memory.bytes
        pack = Struct(_FORMATS[size]).pack_into
        last = PAGE - size
        mask = (1 << 8 * size) - 1

        def store(address: int, value: int) -> None:
            base = writes.get(address >> 12)
            offset = address & 0xFFF
            if base is not None and offset <= last:
                pack(ram, base + offset, value & mask)
                return
            storage.store(processor, address, size, value)
            self._keep(writes, address, Access.STORE)

        return store

    def _keep(self, pages: dict[int, int], address: int, access: Access) -> None:
        """Remember where `address`, which has just been accessed, lies, if it is plain RAM."""
        processor = self._processor
        if processor.mmu.is_watched(address):
            return
        real = processor.mmu.translate(address, access) & -PAGE
        if processor.memory.is_ram(real, PAGE):
            pages[address >> 12] = real


_FORMATS = {1: ">B", 2: ">H", 4: ">I", 8: ">Q"}
