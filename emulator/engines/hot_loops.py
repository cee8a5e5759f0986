"""Hot loops: where the time goes, and when a loop is worth compiling.

A native run ends where its budget happens to end, which is as good as a sample: a page's `heat` adds up the
lengths of the runs that ended in it, by record.  When a page has become hot enough to be looked at, the loop
around its hottest record is found (engines/loops), and if as much time has been spent on it as compiling it
would take, or if it was compiled in another run, its function (engines/llvm_loop) becomes the handler of
its *entries*: the places that are jumped to.

What a loop does not contain it leaves to the records' own handlers, and so it does with the end of the
budget, faults, and whatever is rare.  Forgetting any record that a loop covers ends the loop.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping

from emulator.engines import layout, native
from emulator.engines.code_page import WORDS_PER_RECORD, CodePage, CompiledLoop
from emulator.engines.layout import RECORD_SIZE, RECORDS_PER_PAGE
from emulator.engines.loops import Loop, Step, can_contain, find_loop, successors
from emulator.isa.decode import Form

#: Instructions executed in a loop, for each of its own, before it is compiled: about the time it takes.
WORTH = 500_000
#: Instructions executed in a page before it is looked at; then half as many more, and so on.
FIRST_LOOK = 2_000_000
#: Loops compiled at most: a guest whose code always changes shall not have it compiled for ever.
MOST_LOOPS = 500
_FIRST_SINGLE = layout.SINGLES_OFFSET // 8


class HotLoops:
    """Finds and compiles the loops of one engine.

    `forms` tells of a handler's address whose it is and whether it is a near one.
    """

    def __init__(self, jumps: array[int], forms: Mapping[int, tuple[Form, bool]]) -> None:
        self._jumps = jumps
        self._forms = forms
        #: Loops made so far.
        self.compiled = 0

    def note(self, code: CodePage, index: int, count: int) -> None:
        """A run of `count` instructions has ended at record `index`."""
        if any(index in loop.covered for loop in code.loops):
            return
        heat = code.heat
        heat[index] = heat.get(index, 0) + count
        if not code.next_look:
            code.next_look = FIRST_LOOK
        if sum(heat.values()) >= code.next_look and self.compiled < MOST_LOOPS:
            code.next_look += code.next_look // 2
            self._look(code, max(heat, key=heat.__getitem__))

    def forget(self, code: CodePage, first: int, last: int, decode_handler: int) -> None:
        """Take away the loops that cover any of the records [first, last)."""
        for loop in [loop for loop in code.loops if any(first <= index < last for index in loop.covered)]:
            for index in loop.entries:
                code.words[WORDS_PER_RECORD * index] = decode_handler
                code.words[_FIRST_SINGLE + index] = 0
            code.loops.remove(loop)

    def _look(self, code: CodePage, index: int) -> None:
        targets = self._jump_targets(code)
        steps = find_loop(lambda at: self._step(code, at), targets, index)
        if not steps:
            code.heat.pop(index)
            return
        entries = {to for step in steps.values() for to in successors(step, targets) if to <= step.index}
        targets &= steps.keys()
        loop = Loop(steps, frozenset((entries | targets) & steps.keys()), targets)
        compiled = native.kept_loop(loop)
        if compiled is None:
            if sum(code.heat.get(at, 0) for at in steps) < WORTH * len(steps):
                return
            compiled = native.compile_loop(loop)
        for at in steps:
            code.heat.pop(at, None)
        code.next_look = FIRST_LOOK
        self.compiled += 1
        self._install(code, loop, compiled)

    def _install(self, code: CodePage, loop: Loop, compiled: native.Handlers) -> None:
        for index in loop.entries:
            at, single = WORDS_PER_RECORD * index, _FIRST_SINGLE + index
            code.words[single] = code.words[single] or code.words[at]
            code.words[at] = compiled.address("loop")
        code.loops.append(CompiledLoop(frozenset(loop.steps), loop.entries, compiled))

    def _jump_targets(self, code: CodePage) -> frozenset[int]:
        """Return the records of a page that indirect jumps have led to lately."""
        first = 2 * (code.start >> 2 & layout.JUMP_ENTRIES - 1)
        records = self._jumps[first + 1 : first + 2 * RECORDS_PER_PAGE : 2]
        end = code.record(RECORDS_PER_PAGE)
        return frozenset((r - code.address) // RECORD_SIZE for r in records if code.address <= r < end)

    def _step(self, code: CodePage, index: int) -> Step | None:
        """Return the instruction of a record; None if a loop cannot contain it."""
        if index >= RECORDS_PER_PAGE:
            return None
        at = WORDS_PER_RECORD * index
        handler = code.words[_FIRST_SINGLE + index] or code.words[at]
        found = self._forms.get(handler)
        if found is None or not can_contain(found[0]):
            return None
        form, is_near = found
        immediate = code.words[at + 1]
        target = (immediate - code.address) // RECORD_SIZE if is_near else None
        return Step(index, form, code.words[at + 2], immediate, code.words[at + 3], target)
