"""Prints a loop as one function: the effects of its instructions, with the registers in the host's.

The function is a handler like any other (engines/llvm_records), of every record that begins a round.  At
its start it takes the state words it uses into variables, which LLVM makes registers of the host; what an
instruction's record says is part of the code.  It leaves by `exit` (to a record's handler) or by `exit_far`
(to an address), where everything that may have been written goes back into the state block.

An instruction that meets something rare is left, before it has had an effect, to its own handler.  The
budget is looked at where execution goes back: while it lasts for the longest way without going back and a
page more, nothing is planted and nothing has to be (engines/llvm_records); with less, the records' own
handlers go on.

Vector registers stay in the state block.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from emulator.cpu.state import INDEX
from emulator.engines import layout
from emulator.engines.llvm_source import PRELUDE, Printer
from emulator.engines.loops import Loop, Step
from emulator.engines.names import stop_name
from emulator.isa.decode import operations
from emulator.isa.values import Arg, Op, Slot, Word

#: Handlers that belong to no instruction.
_COMMON = {"@h_near_end": layout.NEAR_END, "@h_miss": layout.MISS}
_VECTORS = range(INDEX["vr"], INDEX["vr"] + 64)


def print_loop(loop: Loop) -> tuple[str, set[str]]:
    """Return the IR of a module with the function `loop`, and the helpers it calls."""
    printer = LoopPrinter(loop=loop, elsewhere=_COMMON)
    for index in sorted(loop.steps):
        printer.step(loop.steps[index])
    body = printer.lines
    printer.lines = []
    printer.begin()
    printer.lines += body
    printer.end()
    stops = [
        Printer(helpers=printer.helpers, elsewhere=_COMMON).stop_handler(*stop)
        for stop in printer.stops.items()
    ]
    return "\n".join([PRELUDE, printer.define("loop"), *stops]), printer.helpers


@dataclass(slots=True)
class LoopPrinter(Printer):
    """Prints the function of one loop."""

    loop: Loop = field(kw_only=True)
    now: Step = field(init=False)
    #: State words that have a variable, and those of them that are written.
    used: dict[int, None] = field(default_factory=dict)
    written: dict[int, None] = field(default_factory=dict)
    has_variables: bool = True

    # The frame.

    def begin(self) -> None:
        """Print the beginning: the variables, and the way to the entry that the loop is entered by."""
        for name in (*(f"%w{index}" for index in self.used), "%at_limit", "%to", "%to_left"):
            self.line(f"{name} = alloca i64")
        self.line("store i64 %limit, ptr %at_limit")
        for index in self.used:
            place = self.assign(f"getelementptr i64, ptr %s, i64 {index}")
            self.line(f"store i64 {self.assign(f'load i64, ptr {place}')}, ptr %w{index}")
        self.line("%here = ptrtoint ptr %r to i64")
        pc = self.assign(f"getelementptr i8, ptr %r, i64 {layout.PC_OFFSET}")
        number = self.assign(f"and i64 {self.assign(f'load i64, ptr {pc}')}, {layout.PAGE - 1}")
        self.line(f"%base = sub i64 %here, {self.assign(f'mul i64 {number}, {layout.RECORD_SIZE // 4}')}")
        enough = self.is_enough("%limit", "%here")
        self.line(f"br i1 {enough}, label %begin, label %alone")
        self.label("begin")
        arms = " ".join(f"i64 {4 * n}, label %i{n}" for n in sorted(self.loop.entries))
        self.line(f"switch i64 {number}, label %alone [ {arms} ]")
        self.label("alone")
        self.tail(self._own_handler("%r", self.assign(f"lshr i64 {number}, 2")), "%r")

    def end(self) -> None:
        """Print the ends: all that was written goes back."""
        self.has_variables = False
        for way in ("exit", "exit_own", *self.stops):
            self.label(way)
            self._write_back()
            number = self.assign("load i64, ptr %to")
            record = self.assign(f"inttoptr i64 {self.record_at(number)} to ptr")
            match way:
                case "exit":
                    handler = self.assign(f"load ptr, ptr {record}")
                case "exit_own":
                    handler = self._own_handler(record, number)
                case _:
                    handler = f"@{way}"
            self.tail(handler, record, self.limit())
        self.label("exit_far")
        self._write_back()
        self.goto_address(self.assign("load i64, ptr %to"), self.assign("load i64, ptr %to_left"))

    def _write_back(self) -> None:
        for index in self.written:
            place = self.assign(f"getelementptr i64, ptr %s, i64 {index}")
            self.line(f"store i64 {self.assign(f'load i64, ptr %w{index}')}, ptr {place}")

    def _own_handler(self, record: str, number: str) -> str:
        """Return the handler of a record's instruction alone: it may lie behind the records."""
        offset = self.assign(f"shl i64 {number}, 3")
        base = self.assign("inttoptr i64 %base to ptr")
        singles = self.assign(f"getelementptr i8, ptr {base}, i64 {layout.SINGLES_OFFSET}")
        single = self.assign(f"load ptr, ptr {self.assign(f'getelementptr i8, ptr {singles}, i64 {offset}')}")
        has_single = self.assign(f"icmp ne ptr {single}, null")
        own = self.assign(f"load ptr, ptr {record}")
        return self.assign(f"select i1 {has_single}, ptr {single}, ptr {own}")

    def record_at(self, number: int | str) -> str:
        """Return the address of a record of the page."""
        if isinstance(number, int):
            return self.assign(f"add i64 %base, {layout.RECORD_SIZE * number}")
        return self.assign(f"add i64 %base, {self.assign(f'mul i64 {number}, {layout.RECORD_SIZE}')}")

    def is_enough(self, limit: str, here: str) -> str:
        """Return the condition that the budget lasts for every way on without going back, and a page."""
        least = layout.RECORD_SIZE * (layout.RECORDS_PER_PAGE + 1 + len(self.loop.steps))
        return self.assign(f"icmp sgt i64 {self.assign(f'sub i64 {limit}, {here}')}, {least}")

    # Instructions.

    def step(self, step: Step) -> None:
        """Print one instruction."""
        self.now, self.values, self.restart, self.is_unwritten = step, f"%i{step.index}v", "own", True
        self.label(f"i{step.index}")
        for op in operations(step.form, has_host_units=True):
            if op.code in ("put", "put_bit"):
                index = self._index(op.args[0]) >> (2 if op.code == "put_bit" else 0)
                if index not in _VECTORS:
                    self.written[index] = None
        self._effect(step.form)

    def _index(self, place: Arg) -> int:
        match place:
            case Word(index):
                return index
            case Slot(number, offset):
                packed = self.now.slots >> 16 * number & 0xFFFF
                return packed + offset
        raise TypeError(f"not a place: {place!r}")

    def slot(self, number: int) -> str:
        return str(self.now.slots >> 16 * number & 0xFFFF)

    def record_word(self, offset: int) -> str:
        word = self.now.immediate if offset == layout.IMMEDIATE_OFFSET else self.now.pc
        return self.value(word)

    def word_pointer(self, index: int) -> str:
        if not self.has_variables or index in _VECTORS or index >= INDEX["engine"]:
            return self.assign(f"getelementptr i64, ptr %s, i64 {index}")
        self.used[index] = None
        return f"%w{index}"

    def place(self, place: Arg) -> str:
        return self.word_pointer(self._index(place))

    def _bit_place(self, place: Arg) -> tuple[str, str]:
        packed = self._index(place)
        return self.word_pointer(packed >> 2), str(packed & 3)

    # Going on.

    def limit(self) -> str:
        return self.assign("load i64, ptr %at_limit")

    def bytes_left(self) -> str:
        return self.assign(f"sub i64 {self.limit()}, {self.record_at(self.now.index)}")

    def goto_next(self) -> None:
        self._go_to(self.now.index + 1)

    def _go_to(self, index: int) -> None:
        """Complete this instruction and go on with another record of the page."""
        distance = index - self.now.index - 1
        if distance:
            moved = self.assign(f"add i64 {self.limit()}, {layout.RECORD_SIZE * distance}")
            self.line(f"store i64 {moved}, ptr %at_limit")
        if index not in self.loop.steps:
            self._leave("exit", index)
        elif distance >= 0:
            self.line(f"br label %i{index}")
        else:
            short, enough = self.fresh("short"), self.is_enough(moved, self.record_at(index))
            self.line(f"br i1 {enough}, label %i{index}, label %{short}, !prof !0")
            self.label(short)
            self._leave("exit", index)

    def _leave(self, way: str, index: int) -> None:
        self.line(f"store i64 {index}, ptr %to")
        self.line(f"br label %{way}")

    def _branch(self, target: Arg, is_ending_run: bool) -> None:
        if self.now.target is not None:
            self._go_to(self.now.target)
            return
        address = self.value(target)
        if self.now.is_indirect:
            known = {self.fresh(f"to{n}_"): n for n in sorted(self.loop.targets & self.loop.steps.keys())}
            other = self.fresh("other")
            arms = " ".join(
                f"i64 {self.value(self.loop.steps[n].pc)}, label %{to}" for to, n in known.items()
            )
            self.line(f"switch i64 {address}, label %{other} [ {arms} ]")
            for to, n in known.items():
                self.label(to)
                self._go_to(n)
            self.label(other)
        self.line(f"store i64 {self.left_after()}, ptr %to_left")
        self.line(f"store i64 {address}, ptr %to")
        self.line("br label %exit_far")

    # What may stop.

    def _restarts(self, slow: str) -> bool:
        assert self.is_unwritten
        self.label(slow)
        self._leave("exit_own", self.now.index)
        return True

    def _stop_if(self, op: Op) -> None:
        condition, helper, *values = op.args
        stop, go_on = self.fresh("stop"), self.fresh("go_on")
        self.line(f"br i1 {self.value(condition)}, label %{stop}, label %{go_on}, !prof !1")
        if values:
            self._restarts(stop)
        else:
            assert callable(helper)
            self.stops[stop_name(helper)] = helper
            self.label(stop)
            self._leave(stop_name(helper), self.now.index)
        self.label(go_on)
