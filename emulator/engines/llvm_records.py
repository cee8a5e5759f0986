"""Prints how a handler goes on with the next record, counts, and leaves.

    define preserve_nonecc void @h_add_oe0_rc0(ptr %s, ptr %r, i64 %limit, ptr %tlb)

`s` is the state block, `r` the record being executed (engines/layout), `tlb` what loads and stores look
up.  A handler does its effect and tail-calls the handler of the next record, so the four values stay in
registers and no frame is built on the way.

Counting costs nothing in a straight line.  `limit` is the address of the record before which the budget is
used up if execution goes straight on, as if there were records without end; a jump moves it by as much as
it jumps.  With more than a page of instructions left the next jump comes in time to look again; with less,
`h_near_end` plants the handler `h_stop` at the limit, and whoever comes next takes it away (PLANTED).

Leaving is `ret void` with pc and icount exact in the state block.  Before anything that may stop they are
stored; after it, REASON tells whether to leave.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from emulator.cpu.state import INDEX
from emulator.engines import layout
from emulator.engines.llvm_values import ValuePrinter

SIGNATURE = "ptr %s, ptr %r, i64 %limit, ptr %tlb"
_RECORD_SHIFT = layout.RECORD_SIZE.bit_length() - 1


@dataclass(slots=True)
class RecordPrinter(ValuePrinter):
    """Prints what joins one record's function to the others."""

    #: Handlers that the module does not have: where the state block says what they are.
    elsewhere: Mapping[str, int] = field(default_factory=dict)
    #: What loads and stores of the next record look up.
    tlb: str = "%tlb"

    def define(self, name: str, attributes: str = "") -> str:
        body = "\n".join(self.lines)
        return f"define preserve_nonecc void @{name}({SIGNATURE}) {attributes} {{\nentry:\n{body}\n}}\n"

    def leave_block(self) -> None:
        self.label("leave")
        self.line("ret void")

    def left_before(self) -> str:
        """Return how many instructions are left before this one."""
        return self.assign(f"ashr exact i64 {self.bytes_left()}, {_RECORD_SHIFT}")

    def bytes_left(self) -> str:
        """Return how far the limit is from this record."""
        here = self.assign(f"ptrtoint ptr {self.record} to i64")
        return self.assign(f"sub i64 %limit, {here}")

    def limit_at(self, record: str, left: str) -> str:
        """Return the limit of somebody at `record` with so many instructions left."""
        start = self.assign(f"ptrtoint ptr {record} to i64")
        return self.assign(f"add i64 {start}, {self.assign(f'shl i64 {left}, {_RECORD_SHIFT}')}")

    def left_after(self) -> str:
        """Return how many instructions are left after this one."""
        return self.assign(f"sub i64 {self.left_before()}, 1")

    def store_place(self) -> None:
        """Make pc and icount exact, as they are before this instruction."""
        self.put(INDEX["pc"], self.record_word(layout.PC_OFFSET))
        self.put(INDEX["icount"], self.assign(f"sub i64 {self.get(layout.END)}, {self.left_before()}"))

    def unplant(self, done: str) -> None:
        """Take away the planted h_stop, if there is one; go on at label `done`."""
        planted = self.get_pointer(layout.PLANTED)
        is_planted = self.assign(f"icmp ne ptr {planted}, null")
        self.line(f"br i1 {is_planted}, label %planted, label %{done}")
        self.label("planted")
        self.put(layout.PLANTED, "0")
        # If it is not there any more, the record was forgotten meanwhile.
        handler = self.assign(f"load ptr, ptr {planted}")
        is_stop = self.assign(f"icmp eq ptr {handler}, {self.get_pointer(layout.STOP_HANDLER)}")
        self.line(f"br i1 {is_stop}, label %restore, label %before")
        self.label("restore")
        self.line(f"store i64 {self.get(layout.PLANTED_HANDLER)}, ptr {planted}")
        self.line("br label %before")
        # The record before it, if that was of a pair, gets the pair's handler back.
        self.label("before")
        before = self.get_pointer(layout.PARTED)
        is_parted = self.assign(f"icmp ne ptr {before}, null")
        self.line(f"br i1 {is_parted}, label %parted, label %{done}")
        self.label("parted")
        handler = self.assign(f"load i64, ptr {before}")
        is_single = self.assign(f"icmp eq i64 {handler}, {self.get(layout.PARTED_SINGLE)}")
        self.line(f"br i1 {is_single}, label %join, label %{done}")
        self.label("join")
        self.line(f"store i64 {self.get(layout.PARTED_HANDLER)}, ptr {before}")
        self.line(f"br label %{done}")
        self.label(done)

    # Going on.

    def dispatch(self, record: str, limit: str = "%limit") -> None:
        """Execute `record`."""
        function = self.assign(f"load ptr, ptr {record}")
        self.tail(function, record, limit)

    def tail(self, function: str, record: str, limit: str = "%limit") -> None:
        if function in self.elsewhere:
            function = self.get_pointer(self.elsewhere[function])
        arguments = f"ptr %s, ptr {record}, i64 {limit}, ptr {self.tlb}"
        self.line(f"musttail call preserve_nonecc void {function}({arguments})")
        self.line("ret void")

    def next_record(self) -> str:
        return self.assign(f"getelementptr i8, ptr {self.record}, i64 {layout.RECORD_SIZE}")

    def goto_next(self) -> None:
        """Complete this instruction and go on with the next record."""
        self.dispatch(self.next_record())

    def goto_record(self, record: str, left: str | None = None) -> None:
        """Complete this instruction (unless `left` is given) and jump to `record`."""
        if left is None:
            rest, least = self.bytes_left(), layout.RECORD_SIZE * (layout.RECORDS_PER_PAGE + 1)
            start = self.assign(f"ptrtoint ptr {record} to i64")
            limit = self.assign(f"sub i64 {self.assign(f'add i64 {start}, {rest}')}, {layout.RECORD_SIZE}")
        else:
            rest, least, limit = left, layout.RECORDS_PER_PAGE, self.limit_at(record, left)
        is_far = self.assign(f"icmp sgt i64 {rest}, {least}")
        go, near = self.fresh("go"), self.fresh("near")
        self.line(f"br i1 {is_far}, label %{go}, label %{near}, !prof !0")
        self.label(go)
        self.dispatch(record, limit)
        self.label(near)
        self.tail("@h_near_end", record, limit)

    def goto_address(self, address: str, left: str | None = None) -> None:
        """Complete this instruction (unless `left` is given) and go on at `address`, by the jump table."""
        number = self.assign(f"lshr i64 {address}, 2")
        offset = self.assign(f"and i64 {number}, {layout.JUMP_ENTRIES - 1}")
        offset = self.assign(f"mul i64 {offset}, {layout.JUMP_ENTRY_SIZE}")
        table = self.get_pointer(layout.JUMPS)
        entry = self.assign(f"getelementptr i8, ptr {table}, i64 {offset}")
        key = self.assign(f"or i64 {address}, {self.get(layout.JUMP_CONTEXT)}")
        hit = self.assign(f"icmp eq i64 {self.assign(f'load i64, ptr {entry}')}, {key}")
        known, miss = self.fresh("known"), self.fresh("miss")
        self.line(f"br i1 {hit}, label %{known}, label %{miss}, !prof !0")
        self.label(known)
        pointer = self.assign(f"getelementptr i8, ptr {entry}, i64 8")
        self.goto_record(self.assign(f"load ptr, ptr {pointer}"), left)
        self.label(miss)
        self.put(INDEX["pc"], address)
        self.tail("@h_miss", "%r", self.limit_at("%r", left or self.left_after()))

    def _next_address(self) -> str:
        return self.assign(f"add i64 {self.record_word(layout.PC_OFFSET)}, 4")

    def _end_run(self, next_address: str) -> None:
        """Complete this instruction and leave."""
        self.put(INDEX["icount"], self.assign(f"sub i64 {self.get(layout.END)}, {self.left_after()}"))
        self.put(INDEX["pc"], next_address)
        self.line("ret void")
