"""Writes the records of code pages: decoded instructions, pairs, branches, breakpoints.

A record is born with the handler `decode`, which has Python come here when it is met; a breakpoint is the
handler `breakpoint`; forgetting is writing `decode` again.  A line is decoded at a time, up to a jump beyond
which nothing leads.

It knows records, not where a page is found or what else is kept of it; that is the engine's
(engines/threaded).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable

from emulator.cpu.processor import Processor
from emulator.cpu.state import MASK64
from emulator.engines import layout, native
from emulator.engines.code_page import WORDS_PER_RECORD, CodePage
from emulator.engines.hot_loops import HotLoops
from emulator.engines.layout import PAGE, RECORD_SIZE, RECORDS_PER_PAGE
from emulator.engines.prepared import Prepared, Preparer

_FIRST_SINGLE = layout.SINGLES_OFFSET // 8


class RecordWriter:
    """Writes the records of one engine's pages.  `breakpoints` are the addresses to stop at."""

    def __init__(self, processor: Processor, preparer: Preparer, loops: HotLoops) -> None:
        self.breakpoints: frozenset[int] = frozenset()
        self._words = processor.state.words
        self._memory = processor.memory
        self._prepare = preparer.prepare
        self._loops = loops
        common = native.handlers(native.Group("branch", True))
        self._decode_handler = common.address("h_decode")
        self._breakpoint_handler = common.address("h_breakpoint")
        self._page_end_handler = common.address("h_page_end")
        # The instructions under breakpoints, by their records, and a page where one of them is executed, at
        # its own place; h_stop may be planted behind it and does not matter there.
        self._copies: dict[int, array[int]] = {}
        self._aside = array("Q", [0]) * layout.PAGE_WORDS

    def blank(self, start: int, real: int, is64: bool) -> CodePage:
        """Return a page of which nothing is decoded."""
        words = array("Q", [0]) * layout.PAGE_WORDS
        words[3:_FIRST_SINGLE:WORDS_PER_RECORD] = array("Q", range(start, start + PAGE, 4)) + array(
            "Q", [start + PAGE & (MASK64 if is64 else 0xFFFF_FFFF)]
        )
        words[WORDS_PER_RECORD * RECORDS_PER_PAGE] = self._page_end_handler
        code = CodePage(start, real, is64, words, words.buffer_info()[0])
        self.forget(code, 0, RECORDS_PER_PAGE)
        return code

    # Forgetting.

    def forget(self, code: CodePage, first: int, last: int) -> None:
        """Make records [first, last) undecoded, and the one before, which may execute the first as well."""
        first = max(first - 1, 0)
        if code.loops:
            self._loops.forget(code, first, last, self._decode_handler)
        handlers = array("Q", [self._decode_handler]) * (last - first)
        code.words[WORDS_PER_RECORD * first : WORDS_PER_RECORD * last : WORDS_PER_RECORD] = handlers
        code.words[_FIRST_SINGLE + first : _FIRST_SINGLE + last] = array("Q", [0]) * (last - first)

    def renew(self, code: CodePage, first: int, last: int) -> None:
        """Forget those of the records [first, last) whose words are not those they were decoded from.

        One changed word is what a guest does that patches its code again and again: it is decoded at once.
        """
        now, then = (
            array("I", self._code_words(code.real + 4 * first, last - first)),
            code.decoded[first:last],
        )
        if now == then:
            return
        code.decoded[first:last] = now
        # As one number, since most often it is one word of 32.
        difference = int.from_bytes(now, "little") ^ int.from_bytes(then, "little")
        changed = 0
        while difference:
            place = ((difference & -difference).bit_length() - 1) // 32
            index = first + place
            difference &= ~(0xFFFF_FFFF << 32 * place)
            changed += 1
            self.forget(code, index, index + 1)
        # Where h_stop is planted it must be met, or a record that comes here.
        if changed == 1 and not self._words[layout.PLANTED]:
            self.decode_line(code, max(index - 1, 0), 3)

    def forget_breakpoint(self, code: CodePage, index: int) -> None:
        """Make a record undecoded where a breakpoint has come or gone."""
        self.forget(code, index, index + 1)
        self._copies.pop(code.address + RECORD_SIZE * index, None)

    def forget_copies(self) -> None:
        """Drop what is kept of the instructions under breakpoints: the pages are gone."""
        self._copies.clear()

    # Decoding.

    def decode_line(
        self, code: CodePage, first: int, count: int, *, ignore_breakpoints: bool = False
    ) -> None:
        """Decode up to `count` records from `first` on, until one already decoded, or a jump beyond which
        nothing of this line leads."""
        words, prepare, breakpoints = code.words, self._prepare, self.breakpoints
        furthest = first
        last = min(first + count, RECORDS_PER_PAGE)
        before: Prepared | None = None
        for index, word in enumerate(self._code_words(code.real + 4 * first, last - first), first):
            at = WORDS_PER_RECORD * index
            if words[at] != self._decode_handler and index != first:
                if before is not None and before.followers is not None:
                    self._fuse(words, at, before, prepare(code.decoded[index], code.is64))
                return
            code.decoded[index] = word
            pc = code.start + 4 * index
            if breakpoints and pc in breakpoints and not ignore_breakpoints:
                words[at] = self._breakpoint_handler
                words[at + 1] = 0  # no copy of what is under it yet
                before = None
                continue
            entry = prepare(word, code.is64)
            words[at + 2] = entry.slots
            if entry.near_handler:
                furthest = max(furthest, self._place_branch(code, at, pc, entry))
            else:
                words[at + 1] = entry.immediate
                words[at] = entry.handler
            if before is not None and before.followers is not None:
                self._fuse(words, at, before, entry)
            if not entry.ends_line:
                before = entry
            elif index < furthest:
                before = None
            else:
                return

    def _fuse(self, words: array[int], at: int, first: Prepared, second: Prepared) -> None:
        """Let the record before `at` execute the one at `at` as well, if the two are a pair."""
        assert first.followers is not None
        own = words[_FIRST_SINGLE + at // WORDS_PER_RECORD] or words[at]
        if own not in (second.handler, second.near_handler):
            return
        for link, handler, near_handler in first.followers.get(second.form, ()):
            if link is None or link.holds(first.slots, second.slots):
                is_near = second.near_handler == own != second.handler
                words[_FIRST_SINGLE + at // WORDS_PER_RECORD - 1] = words[at - WORDS_PER_RECORD]
                words[at - WORDS_PER_RECORD] = near_handler if is_near else handler
                return

    def _code_words(self, real: int, count: int) -> Iterable[int]:
        """Return `count` instruction words at real address `real`."""
        memory = self._memory
        if not memory.is_ram(real, 4 * count):
            return (memory.load(real + 4 * n, 4) for n in range(count))
        words = array("I", memory.read(real, 4 * count))
        words.byteswap()
        return words

    def _place_branch(self, code: CodePage, at: int, pc: int, entry: Prepared) -> int:
        """Write a direct branch: to a record if it stays in the page, else to an address.

        Returns the number of that record, or 0.
        """
        mask = MASK64 if code.is64 else 0xFFFF_FFFF
        target = entry.immediate + (pc if entry.is_relative else 0) & mask
        if target & -PAGE == code.start:
            number = (target & PAGE - 1) >> 2
            code.words[at + 1] = code.address + RECORD_SIZE * number
            code.words[at] = entry.near_handler
            return number
        code.words[at + 1] = target
        code.words[at] = entry.handler
        return 0

    def put_aside(self, code: CodePage, index: int) -> int:
        """Return the address of a copy of the record under a breakpoint, which goes on behind the breakpoint.

        There is one place for such copies: nothing comes back to one.
        """
        words, at = code.words, WORDS_PER_RECORD * index
        record = code.address + RECORD_SIZE * index
        if words[at] != self._breakpoint_handler:
            self.decode_line(code, index, 1)
        if not words[at + 1]:
            self.decode_line(code, index, 1, ignore_breakpoints=True)
            following = words[at + 3] + 4 & (MASK64 if code.is64 else 0xFFFF_FFFF)
            copy = words[at : at + WORDS_PER_RECORD] + array("Q", [self._page_end_handler, 0, 0, following])
            self._copies[record] = copy
            words[at] = self._breakpoint_handler
            words[at + 1] = 1
        self._aside[at : at + 2 * WORDS_PER_RECORD] = self._copies[record]
        return self._aside.buffer_info()[0] + RECORD_SIZE * index
