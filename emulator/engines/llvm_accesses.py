"""Prints loads and stores: the TLB looked up, RAM reached directly, Python asked for the rest.

An entry of the TLB holds a page's tags, one for loads and one for stores, and what to add to an effective
address to have the host's.  Where the tag does not fit, the second level has the page (`refill_...` of
engines/llvm_module), or the access goes across the end of one (`..._across`), or Python is asked, which may
raise.  All that is the form's slow handler's, if the instruction can still begin again (engines/llvm_source).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from emulator.engines import layout
from emulator.engines.llvm_records import RecordPrinter
from emulator.engines.names import slow_name
from emulator.isa.decode import Form
from emulator.isa.values import Op

#: A page-crossing access shows in the page of its last byte.
PAGE_MASK = -layout.PAGE
#: How many values a helper can get.
MAX_ARGUMENTS = 5
#: What finds a page in the second level, which tag it needs, and what asks Python for it.
_FINDS = {
    "find_load": ("refill_load", 0, layout.FILL_LOAD),
    "find_store": ("refill_store", layout.TLB_STORE_OFFSET, layout.FILL_STORE),
}


@dataclass(slots=True)
class AccessPrinter(RecordPrinter):
    """Prints the accesses of one function."""

    needs_leave: bool = False
    #: What executes the record from its beginning: a form's slow handler, or the record's own;
    #: None: this function is the one.
    restart: Form | Literal["own"] | None = None
    #: Nothing of the instruction's effect has happened so far.
    is_unwritten: bool = True
    #: Instructions whose slow handlers this function goes to, in order.
    left_to_slow: dict[Form, None] = field(default_factory=dict)

    def _lookup(self, ea: str, size: int | str, tag_offset: int) -> tuple[str, str]:
        """Look `ea` up; return a condition (it may be accessed directly) and the table entry."""
        entry = self.tlb_entry("%tlb", ea, layout.TLB_ENTRIES)
        pointer = entry if not tag_offset else self.assign(f"getelementptr i8, ptr {entry}, i64 {tag_offset}")
        if isinstance(size, str):
            size = self.assign(f"sub i64 {size}, 1")
            last = self.assign(f"add i64 {ea}, {size}")
        else:
            last = ea if size == 1 else self.assign(f"add i64 {ea}, {size - 1}")
        wanted = self.assign(f"and i64 {last}, {PAGE_MASK}")
        return self.assign(f"icmp eq i64 {self.assign(f'load i64, ptr {pointer}')}, {wanted}"), entry

    def tlb_entry(self, table: str, ea: str, entries: int) -> str:
        """Return the entry of `table` where the page of `ea` belongs."""
        index = self.assign(f"and i64 {self.assign(f'lshr i64 {ea}, 12')}, {entries - 1}")
        offset = self.assign(f"mul i64 {index}, {layout.TLB_ENTRY_SIZE}")
        return self.assign(f"getelementptr i8, ptr {table}, i64 {offset}")

    def _refill_or_ask(self, name: str, ea: str, size: int | str, fast: str) -> None:
        """Go back to `fast` with an entry from the second level, or go on to ask Python."""
        found = self.assign(f"call i1 @{name}(ptr %s, i64 {ea}, i64 {size}, ptr %tlb)")
        ask = self.fresh("ask")
        self.line(f"br i1 {found}, label %{fast}, label %{ask}")
        self.label(ask)

    def host_address(self, ea: str, entry: str) -> str:
        pointer = self.assign(f"getelementptr i8, ptr {entry}, i64 {layout.TLB_ADDEND_OFFSET}")
        addend = self.assign(f"load i64, ptr {pointer}")
        return self.assign(f"add i64 {ea}, {addend}")

    def _restarts(self, slow: str) -> bool:
        """At label `slow`, leave the instruction to the handler that can do it all, if that is possible."""
        if self.restart is None or not self.is_unwritten:
            return False
        self.label(slow)
        match self.restart:
            case Form():
                self.left_to_slow[self.restart] = None
                self.tail(f"@{slow_name(self.restart)}", self.record)
            case _:
                self.dispatch(self.record)
        return True

    def _load(self, op: Op, size: int) -> None:
        assert op.result is not None
        ea = self.value(op.args[0])
        hit, entry = self._lookup(ea, size, 0)
        fast, slow, done = self.fresh("fast"), self.fresh("slow"), self.fresh("done")
        self.line(f"br i1 {hit}, label %{fast}, label %{slow}, !prof !0")
        is_left = self._restarts(slow)
        self.label(fast)
        value = self.peek(self.host_address(ea, entry), size)
        if is_left:
            self.line(f"{self.value(op.result)} = or i64 {value}, 0")
            return
        self.line(f"br label %{done}")
        self.label(slow)
        self._refill_or_ask("refill_load", ea, size, fast)
        across = self.assign(f"call i1 @load_across(ptr %s, i64 {ea}, i64 {size}, ptr %tlb, i64 0)")
        crossed, ask = self.fresh("crossed"), self.fresh("ask")
        self.line(f"br i1 {across}, label %{crossed}, label %{ask}")
        self.label(crossed)
        both = self.get(layout.ACROSS)
        self.line(f"br label %{done}")
        self.label(ask)
        self.store_place()
        function = self.get_pointer(layout.LOAD)
        slow_value = self.assign(f"call i64 {function}(i64 {ea}, i64 {size}, ptr %s)")
        last = self._leave_if_raised(done)
        self.label(done)
        ways = f"[ {value}, %{fast} ], [ {both}, %{crossed} ], [ {slow_value}, %{last} ]"
        self.line(f"{self.value(op.result)} = phi i64 {ways}")

    def _store(self, op: Op, size: int) -> None:
        ea, value = self.value(op.args[0]), self.value(op.args[1])
        hit, entry = self._lookup(ea, size, layout.TLB_STORE_OFFSET)
        fast, slow, done = self.fresh("fast"), self.fresh("slow"), self.fresh("done")
        self.line(f"br i1 {hit}, label %{fast}, label %{slow}, !prof !0")
        is_left = self._restarts(slow)
        self.is_unwritten = False
        self.label(fast)
        self.poke(self.host_address(ea, entry), size, value)
        if is_left:
            return
        self.line(f"br label %{done}")
        self.label(slow)
        self._refill_or_ask("refill_store", ea, size, fast)
        across = self.assign(f"call i1 @store_across(ptr %s, i64 {ea}, i64 {size}, ptr %tlb, i64 {value})")
        ask = self.fresh("ask")
        self.line(f"br i1 {across}, label %{done}, label %{ask}")
        self.label(ask)
        self.store_place()
        function = self.get_pointer(layout.STORE)
        self.line(f"call void {function}(i64 {ea}, i64 {size}, i64 {value}, ptr %s)")
        self._leave_if_raised(done)
        self.label(done)

    def poke(self, place: str, size: int, value: str) -> None:
        """Store big-endian at a host address."""
        width = 8 * size
        narrow = value if size == 8 else self.assign(f"trunc i64 {value} to i{width}")
        if size > 1:
            narrow = self.assign(f"call i{width} @llvm.bswap.i{width}(i{width} {narrow})")
        pointer = self.assign(f"inttoptr i64 {place} to ptr")
        self.line(f"store i{width} {narrow}, ptr {pointer}, align 1")

    def _find(self, op: Op) -> None:
        refill, tag_offset, fill = _FINDS[op.code]
        assert op.result is not None
        ea, count = map(self.value, op.args)
        hit, entry = self._lookup(ea, count, tag_offset)
        fast, slow, done, again = (self.fresh(stem) for stem in ("fast", "slow", "done", "again"))
        self.line(f"br i1 {hit}, label %{fast}, label %{slow}, !prof !0")
        is_left = self._restarts(slow)
        self.label(fast)
        place = self.host_address(ea, entry)
        if is_left:
            self.line(f"{self.value(op.result)} = or i64 {place}, 0")
            return
        self.line(f"br label %{done}")
        self.label(slow)
        self._refill_or_ask(refill, ea, count, fast)
        self.store_place()
        arguments = ", ".join(f"i64 {v}" for v in [fill, 1, ea, *["0"] * (MAX_ARGUMENTS - 1)])
        self.assign(f"call i64 {self.get_pointer(layout.CALL)}({arguments})")
        self._leave_if_raised(again)
        self.label(again)
        found, _ = self._lookup(ea, count, tag_offset)
        self.line(f"br i1 {found}, label %{fast}, label %{done}")
        self.label(done)
        self.line(f"{self.value(op.result)} = phi i64 [ {place}, %{fast} ], [ 0, %{again} ]")

    def _leave_if_raised(self, done: str) -> str:
        """Go on at `done` unless a callback raised; return the block that goes there."""
        reason = self.get(layout.REASON)
        fine = self.assign(f"icmp eq i64 {reason}, {layout.REASON_NONE}")
        self.line(f"br i1 {fine}, label %{done}, label %leave, !prof !0")
        self.needs_leave = True
        return self.block
