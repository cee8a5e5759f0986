"""Prints traces (isa/values) as LLVM IR: one handler function for each instruction form.

    define preserve_nonecc void @h_add_oe0_rc0(ptr %s, ptr %r, i64 %limit, ptr %tlb)

`s` is the state block, `r` the record being executed (engines/layout), `tlb` what loads and stores look
up.  A handler does its effect and tail-calls the handler of the next record, so the four values stay in
registers and no frame is built on the way.

Counting costs nothing in a straight line.  `limit` is the address of the record before which the budget is
used up if execution goes straight on, as if there were records without end; a jump moves it by as much as
it jumps.  With more than a page of instructions left the next jump comes in time to look again; with less,
`h_near_end` plants the handler `h_stop` at the limit, and whoever comes next takes it away (PLANTED).

A handler that calls something would build a frame for it even where it does not call.  So what needs Python
(a TLB miss, a rare helper) is left, before the instruction has had an effect, to a second function, the
form's slow handler, which begins the instruction again.  A handler of a pair (engines/pairs) executes two
records and leaves each of the two in the same way; it is not there while h_stop is planted at the second.

Leaving is `ret void` with pc and icount exact in the state block.  Before anything that may stop they are
stored; after it, REASON tells whether to leave.

The IR holds no absolute address: everything hangs off `s`, so one compiled object serves every process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from emulator.cpu.state import INDEX, MSR_DR, MSR_IR, MSR_PR
from emulator.engines import layout
from emulator.engines.llvm_lanes import DECLARATIONS, type_of
from emulator.engines.llvm_values import ValuePrinter
from emulator.engines.names import helper_name, helper_number, slow_name, stop_name
from emulator.engines.pairs import Pair
from emulator.isa.context import take
from emulator.isa.decode import Form, operations
from emulator.isa.values import RAISED, Arg, Builder, Helper, Op, Value

#: What every module begins with.
PRELUDE = f"""\
declare i64 @llvm.fshl.i64(i64, i64, i64)
declare i64 @llvm.ctlz.i64(i64, i1)
declare double @llvm.fma.f64(double, double, double)
declare double @llvm.sqrt.f64(double)
declare i64 @llvm.fptosi.sat.i64.f64(double)
declare i16 @llvm.bswap.i16(i16)
declare i32 @llvm.bswap.i32(i32)
declare i64 @llvm.bswap.i64(i64)
{DECLARATIONS}
!0 = !{{!"branch_weights", i32 10000, i32 1}}
!1 = !{{!"branch_weights", i32 1, i32 10000}}
"""
SIGNATURE = "ptr %s, ptr %r, i64 %limit, ptr %tlb"
#: A page-crossing access shows in the page of its last byte.
PAGE_MASK = -layout.PAGE
_RECORD_SHIFT = layout.RECORD_SIZE.bit_length() - 1
#: How many values a helper can get.
MAX_ARGUMENTS = 5


#: What finds a page in the second level, which tag it needs, and what asks Python for it.
_FINDS = {
    "find_load": ("refill_load", 0, layout.FILL_LOAD),
    "find_store": ("refill_store", layout.TLB_STORE_OFFSET, layout.FILL_STORE),
}


@dataclass(slots=True)
class Printer(ValuePrinter):
    """Prints one function."""

    helpers: set[str] = field(default_factory=set)
    #: Handlers that the module does not have: where the state block says what they are.
    elsewhere: Mapping[str, int] = field(default_factory=dict)
    is_near: bool = False
    needs_leave: bool = False
    #: What loads and stores of the next record look up.
    tlb: str = "%tlb"
    #: What executes the record from its beginning: a form's slow handler, or the record's own;
    #: None: this function is the one.
    restart: Form | Literal["own"] | None = None
    #: Nothing of the instruction's effect has happened so far.
    is_unwritten: bool = True
    #: Instructions whose slow handlers this function goes to, in order.
    left_to_slow: dict[Form, None] = field(default_factory=dict)
    #: Helpers that raise, by the names of the handlers that call them.
    stops: dict[str, Helper] = field(default_factory=dict)

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

    # Traces.

    def handler(self, name: str, form: Form) -> str:
        """Return the definition of `form`'s handler."""
        self.restart = None if self.is_near else form
        self._effect(form)
        return self._finish(name)

    def slow_handler(self, form: Form) -> str:
        """Return the definition of the handler that `form`'s others leave to what they cannot do."""
        self._effect(form, is_slow=True)
        return self._finish(slow_name(form), "noinline")

    def pair_handler(self, name: str, pair: Pair) -> str:
        """Return the definition of the handler that executes both of `pair`."""
        self.restart = pair.first
        for op in operations(pair.first, has_host_units=True):
            self._step(op)
        self._go_on_together()
        self.values, self.link = "%w", pair.link
        self._effect(pair.second)
        return self._finish(name)

    def _go_on_together(self) -> None:
        """Go on with the second of a pair here.

        Python forgets the first of a pair together with the second, and what the first cannot do without
        Python its slow handler does, which goes on with the second's record.
        """
        self.record, self.restart, self.is_unwritten = self.next_record(), "own", True

    def _effect(self, form: Form, *, is_slow: bool = False) -> None:
        """Print the effect of an instruction, and the ways to go on."""
        is_ending_run = False
        for op in operations(form, has_host_units=True, is_slow=is_slow):
            match op.code:
                case "context_changed":
                    is_ending_run = True
                case "branch":
                    self._branch(op.args[0], is_ending_run)
                    break
                case "branch_if":
                    self._branch_if(op)
                    break
                case "switch":
                    self._switch(op)
                    break
                case _:
                    self._step(op)
        else:
            if is_ending_run:
                self._end_run(self._next_address())
            else:
                self.goto_next()

    def _finish(self, name: str, attributes: str = "") -> str:
        if self.needs_leave:
            self.leave_block()
        return self.define(name, attributes)

    def _branch(self, target: Arg, is_ending_run: bool) -> None:
        if is_ending_run:
            self._end_run(self.value(target))
        elif self.is_near:
            self.goto_record(self.assign(f"inttoptr i64 {self.value(target)} to ptr"))
        else:
            self.goto_address(self.value(target))

    def _branch_if(self, op: Op) -> None:
        taken, not_taken = self.fresh("taken"), self.fresh("not_taken")
        self.line(f"br i1 {self.value(op.args[0])}, label %{taken}, label %{not_taken}")
        self.label(taken)
        self._branch(op.args[1], False)
        self.label(not_taken)
        self.goto_next()

    def _switch(self, op: Op) -> None:
        """Go on in the context of a new MSR, as ThreadedEngine._use_context would choose it."""
        msr, target = map(self.value, op.args[:2])
        left = self.left_after()
        if op.args[2]:
            # What passes is time, not an instruction: the end of the run comes one instruction sooner.
            for index, step in ((INDEX["time_slept"], 1), (layout.END, -1)):
                self.put(index, self.assign(f"add i64 {self.get(index)}, {step}"))
        self.put(INDEX["msr"], msr)
        problem = self._bit(msr, MSR_PR, 2)
        fetch, data = (self.assign(f"or i64 {problem}, {self._bit(msr, bit, 1)}") for bit in (MSR_IR, MSR_DR))
        self.put(layout.JUMP_CONTEXT, fetch)
        far = self.assign(f"mul i64 {data}, {layout.FAR_TLB_SIZE}")
        self.put(layout.FAR_TLB, self.assign(f"add i64 {self.get(layout.FAR_TLBS)}, {far}"))
        near = self.assign(f"mul i64 {data}, {layout.TLB_SIZE}")
        self.tlb = self.assign(f"getelementptr i8, ptr {self.get_pointer(layout.TLBS)}, i64 {near}")
        self.goto_address(target, left)

    def _bit(self, value: str, mask: int, number: int) -> str:
        """Return `number`, a power of two, if `value` has the bit of `mask`, else 0."""
        shifted = self.assign(f"lshr i64 {value}, {mask.bit_length() - number.bit_length()}")
        return self.assign(f"and i64 {shifted}, {number}")

    def _next_address(self) -> str:
        return self.assign(f"add i64 {self.record_word(layout.PC_OFFSET)}, 4")

    def _end_run(self, next_address: str) -> None:
        """Complete this instruction and leave."""
        self.put(INDEX["icount"], self.assign(f"sub i64 {self.get(layout.END)}, {self.left_after()}"))
        self.put(INDEX["pc"], next_address)
        self.line("ret void")

    def _step(self, op: Op) -> None:
        """Print one op that is not a way to go on."""
        args = op.args
        match op.code:
            case "load1" | "load2" | "load4" | "load8":
                self._load(op, int(op.code[4:]))
            case "store1" | "store2" | "store4" | "store8":
                self._store(op, int(op.code[5:]))
            case "call" | "call_if":
                self._call(op)
            case "stop_if":
                self._stop_if(op)
            case "instead_if" | "leave_instead_if":
                self._instead_if(op)
            case "find_load" | "find_store":
                self._find(op, *_FINDS[op.code])
            case "put":
                self.is_unwritten = False
                self.puts.append(self.value(args[1]))
                kind = type_of(args[1]) if isinstance(args[1], Value) else "i64"
                self.line(f"store {kind} {self.puts[-1]}, ptr {self.place(args[0])}, align 8")
            case "icount":
                assert op.result is not None
                before = self.left_before()
                self.line(f"{self.value(op.result)} = sub i64 {self.get(layout.END)}, {before}")
            case "put_bit":
                self.is_unwritten = False
                self._put_bit(args)
            case "poke4" | "poke8":
                self.is_unwritten = False
                self.poke(self.value(args[0]), int(op.code[4:]), self.value(args[1]))
            case "load_registers" | "store_registers":
                self.is_unwritten = False
                operands = ", ".join(f"i64 {self.value(arg)}" for arg in args)
                self.line(f"call void @{op.code}(ptr %s, {operands})")
            case "clear":
                self.is_unwritten = False
                count, place = args[1], self.assign(f"inttoptr i64 {self.value(args[0])} to ptr")
                assert isinstance(count, int)
                self.line(f"store <{count // 8} x i64> zeroinitializer, ptr {place}, align 1")
            case _:
                assert op.result is not None
                self.line(f"{self.value(op.result)} = {self.expression(op)}")

    def _put_bit(self, args: tuple[Arg, ...]) -> None:
        pointer, shift = self._bit_place(args[0])
        old = self.assign(f"load i64, ptr {pointer}")
        hole = self.assign(f"xor i64 {self.assign(f'shl i64 1, {shift}')}, -1")
        word = self.assign(f"zext i1 {self.operand(args[1], 1)} to i64")
        bit = self.assign(f"shl i64 {word}, {shift}")
        kept = self.assign(f"and i64 {old}, {hole}")
        self.line(f"store i64 {self.assign(f'or i64 {kept}, {bit}')}, ptr {pointer}")

    # What may stop.

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

    def _find(self, op: Op, refill: str, tag_offset: int, fill: int) -> None:
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

    def _call(self, op: Op) -> None:
        assert op.result is not None
        is_rare = op.code == "call_if"
        helper, *values = op.args[2:] if is_rare else op.args
        slow, done, before = self.fresh("slow"), self.fresh("done"), self.block
        if is_rare:
            self.line(f"br i1 {self.value(op.args[0])}, label %{slow}, label %{done}, !prof !1")
            if self._restarts(slow):
                self.label(done)
                self.line(f"{self.value(op.result)} = or i64 {self.value(op.args[1])}, 0")
                return
            self.label(slow)
        result = self._call_python(helper, values)
        last = self._leave_if_raised(done)
        self.label(done)
        if is_rare:
            otherwise = self.value(op.args[1])
            self.line(f"{self.value(op.result)} = phi i64 [ {otherwise}, %{before} ], [ {result}, %{last} ]")
        else:
            self.line(f"{self.value(op.result)} = phi i64 [ {result}, %{last} ]")

    def _stop_if(self, op: Op) -> None:
        condition, helper, *values = op.args
        stop, go_on = self.fresh("stop"), self.fresh("go_on")
        self.line(f"br i1 {self.value(condition)}, label %{stop}, label %{go_on}, !prof !1")
        self.label(stop)
        if values:
            self._call_python(helper, values)
            self.line("ret void")
        else:
            # Everybody who stops for this reason goes the same way.
            assert callable(helper)
            self.stops[stop_name(helper)] = helper
            self.tail(f"@{stop_name(helper)}", self.record)
        self.label(go_on)

    def stop_handler(self, name: str, helper: Helper) -> str:
        """Return the definition of the handler that takes the interrupt that `helper` raises, or calls it."""
        if helper not in RAISED:
            self._call_python(helper, ())
            self.line("ret void")
            return self.define(name, "noinline")
        builder = Builder(True, has_host_units=True)
        take(builder, builder.pc(), *RAISED[helper], builder.condition(False), helper)
        for op in builder.trace:
            if op.code == "switch":
                self._switch(op)
            else:
                self._step(op)
        return self._finish(name, "noinline")

    def _instead_if(self, op: Op) -> None:
        condition, helper, *values = op.args
        slow, unless, done = self.fresh("slow"), self.fresh("unless"), self.fresh("done")
        self.line(f"br i1 {self.value(condition)}, label %{slow}, label %{unless}, !prof !1")
        if not self._restarts(slow):
            self.label(slow)
            result = self._call_python(helper, values)
            self._leave_if_raised(done)
            self.label(done)
            if op.code == "leave_instead_if":
                self._end_run(result)
            else:
                self.goto_next()
        self.label(unless)

    def _call_python(self, helper: Arg, values: Sequence[Arg]) -> str:
        """Call a helper and return its result, which is good unless it has raised."""
        self.is_unwritten = False
        self.store_place()
        assert callable(helper) and len(values) <= MAX_ARGUMENTS
        padded = [*map(self.value, values), *["0"] * MAX_ARGUMENTS][:MAX_ARGUMENTS]
        name = helper_name(helper)
        self.helpers.add(name)
        arguments = ", ".join(f"i64 {v}" for v in [helper_number(name), len(values), *padded])
        return self.assign(f"call i64 {self.get_pointer(layout.CALL)}({arguments})")
