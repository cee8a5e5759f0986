"""Modules of handlers: those of a group of forms, and the ones that belong to no instruction.

The common handlers are in every module, so that a jump to them is direct; `h_stop` is compared by address,
and there the state block says which one is meant (engines/layout, STOP_HANDLER).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from emulator.cpu.state import INDEX
from emulator.engines import layout
from emulator.engines.llvm_accesses import PAGE_MASK
from emulator.engines.llvm_records import SIGNATURE
from emulator.engines.llvm_source import PRELUDE, Printer
from emulator.engines.names import handler_name, variants
from emulator.engines.pairs import Pair
from emulator.isa.decode import Form
from emulator.isa.values import Helper

ENTER = f"""\
define void @enter(ptr %s, ptr %r, i64 %left, ptr %tlb) {{
  %start = ptrtoint ptr %r to i64
  %distance = mul i64 %left, {layout.RECORD_SIZE}
  %limit = add i64 %start, %distance
  call preserve_nonecc void @h_near_end({SIGNATURE})
  ret void
}}
"""


def print_module(entries: Iterable[Form | Pair], helpers: set[str]) -> str:
    """Return the IR of a module with a handler for each of `entries`, and near ones of direct branches.

    The names of the helpers it calls are added to `helpers`.
    """
    parts = [PRELUDE, ENTER, *_common_handlers(), *(_refill(name, tag) for name, tag in _REFILLS.items())]
    parts += [_across("load_across", "refill_load"), _across("store_across", "refill_store")]
    parts += [_load_registers(), _store_registers()]
    slow: dict[Form, None] = {}
    stops: dict[str, Helper] = {}
    for entry in entries:
        for is_near in variants(entry):
            printer = Printer(helpers=helpers, is_near=is_near)
            name = handler_name(entry, is_near)
            match entry:
                case Form():
                    parts.append(printer.handler(name, entry))
                case Pair():
                    parts.append(printer.pair_handler(name, entry))
            slow |= printer.left_to_slow
            stops |= printer.stops
    for form in slow:
        printer = Printer(helpers=helpers)
        parts.append(printer.slow_handler(form))
        stops |= printer.stops
    parts += (Printer(helpers=helpers).stop_handler(name, helper) for name, helper in stops.items())
    return "\n".join(parts)


def _common_handlers() -> list[str]:
    """Handlers that belong to no instruction."""

    def handler(name: str, write: Callable[[Printer], None]) -> str:
        printer = Printer()
        write(printer)
        # Inlined into a hot handler, a call would cost it a frame.
        return printer.define(name, "noinline")

    def leave_for(reason: int) -> Callable[[Printer], None]:
        def write(p: Printer) -> None:
            p.store_place()
            p.put(layout.REASON, str(reason))
            p.line("ret void")

        return write

    def stop(p: Printer) -> None:
        """The budget is used up before this record."""
        p.unplant("gone")
        p.store_place()
        p.line("ret void")

    def near_end(p: Printer) -> None:
        """Go on at `r`, which has just been jumped to; make sure that execution stops in time."""
        p.unplant("unplanted")
        left = p.left_before()
        p.line("%more = icmp sgt i64 " + left + ", 0")
        p.line("br i1 %more, label %plan, label %over")
        p.label("over")
        p.put(INDEX["pc"], p.record_word(layout.PC_OFFSET))
        p.put(INDEX["icount"], p.assign(f"sub i64 {p.get(layout.END)}, {left}"))
        p.line("ret void")
        p.label("plan")
        index = p.assign(f"and i64 {p.record_word(layout.PC_OFFSET)}, {layout.PAGE - 1}")
        number = p.assign(f"lshr i64 {index}, 2")
        last = p.assign(f"add i64 {number}, {left}")
        is_here = p.assign(f"icmp ult i64 {last}, {layout.RECORDS_PER_PAGE}")
        p.line(f"br i1 {is_here}, label %plant, label %go")
        p.label("plant")
        place = p.assign("inttoptr i64 %limit to ptr")
        p.line(f"store ptr {place}, ptr {p.word_pointer(layout.PLANTED)}")
        p.put(layout.PLANTED_HANDLER, p.assign(f"load i64, ptr {place}"))
        p.line(f"store ptr {p.get_pointer(layout.STOP_HANDLER)}, ptr {place}")
        # A pair that ends there must be parted.  The handlers of firsts alone lie behind the records.
        before = p.assign(f"getelementptr i8, ptr {place}, i64 {-layout.RECORD_SIZE}")
        page = p.assign(
            f"getelementptr [{layout.RECORD_SIZE} x i8], ptr %r, i64 {p.assign(f'sub i64 0, {number}')}"
        )
        singles = p.assign(f"getelementptr i8, ptr {page}, i64 {layout.SINGLES_OFFSET}")
        entry = p.assign(f"getelementptr i64, ptr {singles}, i64 {p.assign(f'sub i64 {last}, 1')}")
        single = p.assign(f"load i64, ptr {entry}")
        is_pair = p.assign(f"icmp ne i64 {single}, 0")
        parted = p.assign(f"select i1 {is_pair}, ptr {before}, ptr null")
        p.line(f"store ptr {parted}, ptr {p.word_pointer(layout.PARTED)}")
        p.line(f"br i1 {is_pair}, label %part, label %go")
        p.label("part")
        p.put(layout.PARTED_HANDLER, p.assign(f"load i64, ptr {before}"))
        p.put(layout.PARTED_SINGLE, single)
        p.line(f"store i64 {single}, ptr {before}")
        p.line("br label %go")
        p.label("go")
        p.dispatch("%r")

    def miss(p: Printer) -> None:
        """Continue at the pc of the state block, which the jump table lacks; the limit is seen from `r`."""
        left = p.left_before()
        p.put(INDEX["icount"], p.assign(f"sub i64 {p.get(layout.END)}, {left}"))
        p.line("%more = icmp sgt i64 " + left + ", 0")
        p.line("br i1 %more, label %search, label %leave")
        p.label("search")
        address, context = p.get(INDEX["pc"]), p.get(layout.JUMP_CONTEXT)
        page = p.assign(f"and i64 {address}, {PAGE_MASK}")
        entry = _table_entry(p, layout.CODE_PAGES, f"lshr i64 {address}, 12", layout.CODE_PAGE_ENTRIES)
        key = p.assign(f"load i64, ptr {entry}")
        known = p.assign(f"icmp eq i64 {key}, {p.assign(f'or i64 {page}, {context}')}")
        p.line(f"br i1 {known}, label %known, label %ask")
        p.label("known")
        records = p.assign(f"load ptr, ptr {p.assign(f'getelementptr i8, ptr {entry}, i64 8')}")
        number = p.assign(f"lshr i64 {p.assign(f'and i64 {address}, {layout.PAGE - 1}')}, 2")
        record = p.assign(f"getelementptr [{layout.RECORD_SIZE} x i8], ptr {records}, i64 {number}")
        jump = _table_entry(p, layout.JUMPS, f"lshr i64 {address}, 2", layout.JUMP_ENTRIES)
        p.line(f"store i64 {p.assign(f'or i64 {address}, {context}')}, ptr {jump}")
        p.line(f"store ptr {record}, ptr {p.assign(f'getelementptr i8, ptr {jump}, i64 8')}")
        p.tail("@h_near_end", record, p.limit_at(record, left))
        p.label("ask")
        function = p.get_pointer(layout.LOOKUP)
        record = p.assign(f"call ptr {function}(i64 {p.get(INDEX['pc'])})")
        found = p.assign(f"icmp ne ptr {record}, null")
        p.line(f"br i1 {found}, label %go, label %leave")
        p.label("go")
        p.tail("@h_near_end", record, p.limit_at(record, left))
        p.leave_block()

    def page_end(p: Printer) -> None:
        p.goto_address(p.record_word(layout.PC_OFFSET), p.left_before())

    return [
        handler("h_decode", leave_for(layout.REASON_DECODE)),
        handler("h_breakpoint", leave_for(layout.REASON_BREAKPOINT)),
        handler("h_stop", stop),
        handler("h_near_end", near_end),
        handler("h_miss", miss),
        handler("h_page_end", page_end),
    ]


def _table_entry(p: Printer, table: int, number: str, entries: int) -> str:
    """Return the entry where `number` belongs in the jump table or the table of code pages."""
    index = p.assign(f"and i64 {p.assign(number)}, {entries - 1}")
    offset = p.assign(f"mul i64 {index}, {layout.JUMP_ENTRY_SIZE}")
    return p.assign(f"getelementptr i8, ptr {p.get_pointer(table)}, i64 {offset}")


#: Functions that look in the second-level TLB, and the tag that matters to each.
_REFILLS = {"refill_load": 0, "refill_store": layout.TLB_STORE_OFFSET}


def _refill(name: str, tag_offset: int) -> str:
    """Return a function that copies an entry from the second level; false if there is none."""
    p = Printer()
    offset = p.assign(f"and i64 %ea, {layout.PAGE - 1}")
    last = p.assign(f"add i64 {offset}, %size")
    p.line(f"br i1 {p.assign(f'icmp ule i64 {last}, {layout.PAGE}')}, label %inside, label %no")
    p.label("inside")
    page = p.assign(f"and i64 %ea, {PAGE_MASK}")
    wanted = p.assign(f"or i64 {page}, {p.get(layout.FAR_TLB_GENERATION)}")
    far = p.tlb_entry(p.get_pointer(layout.FAR_TLB), "%ea", layout.FAR_TLB_ENTRIES)
    tag = p.assign(f"load i64, ptr {p.assign(f'getelementptr i8, ptr {far}, i64 {tag_offset}')}")
    p.line(f"br i1 {p.assign(f'icmp eq i64 {tag}, {wanted}')}, label %yes, label %no")
    p.label("yes")
    near = p.tlb_entry("%tlb", "%ea", layout.TLB_ENTRIES)
    for at in (0, layout.TLB_STORE_OFFSET):
        old = p.assign(f"load i64, ptr {p.assign(f'getelementptr i8, ptr {far}, i64 {at}')}")
        good = p.assign(f"icmp eq i64 {old}, {wanted}")
        new = p.assign(f"select i1 {good}, i64 {page}, i64 -1")
        p.line(f"store i64 {new}, ptr {p.assign(f'getelementptr i8, ptr {near}, i64 {at}')}")
    source, target = (
        p.assign(f"getelementptr i8, ptr {entry}, i64 {layout.TLB_ADDEND_OFFSET}") for entry in (far, near)
    )
    p.line(f"store i64 {p.assign(f'load i64, ptr {source}')}, ptr {target}")
    p.line("ret i1 true")
    p.label("no")
    p.line("ret i1 false")
    body = "\n".join(p.lines)
    return f"define i1 @{name}(ptr %s, i64 %ea, i64 %size, ptr %tlb) noinline {{\nentry:\n{body}\n}}\n"


def _across(name: str, refill: str) -> str:
    """Return a function that does an access over the end of a page, if both pages are known; tells if so.

    It leaves what it has loaded in ACROSS.
    """
    p = Printer()
    offset = p.assign(f"and i64 %ea, {layout.PAGE - 1}")
    p.line(f"%in_page = sub i64 {layout.PAGE}, {offset}")
    p.line(f"br i1 {p.assign('icmp ult i64 %in_page, %size')}, label %crosses, label %no")
    p.label("crosses")
    # At the end of 32 bits the next page may be the first.
    p.line("%second = add i64 %ea, %in_page")
    low = p.assign("trunc i64 %second to i32")
    p.line(f"br i1 {p.assign(f'icmp ne i32 {low}, 0')}, label %first, label %no")
    p.label("first")
    p.line(f"%has_first = call i1 @{refill}(ptr %s, i64 %ea, i64 1, ptr %tlb)")
    p.line("br i1 %has_first, label %next, label %no")
    p.label("next")
    p.line(f"%has_second = call i1 @{refill}(ptr %s, i64 %second, i64 1, ptr %tlb)")
    p.line("br i1 %has_second, label %move, label %no")
    p.label("move")
    here, there = (
        p.host_address(ea, p.tlb_entry("%tlb", ea, layout.TLB_ENTRIES)) for ea in ("%ea", "%second")
    )
    p.line(f"%beyond = sub i64 {there}, %in_page")
    p.line("%top = sub i64 %size, 1")
    p.line("br label %octet")
    p.label("octet")
    p.line("%done = phi i64 [ 0, %move ], [ %done_next, %octet ]")
    p.line("%sum = phi i64 [ 0, %move ], [ %sum_next, %octet ]")
    is_here = p.assign("icmp ult i64 %done, %in_page")
    place = p.assign(f"add i64 %done, {p.assign(f'select i1 {is_here}, i64 {here}, i64 %beyond')}")
    if refill == "refill_load":
        p.line(f"%sum_next = or i64 {p.peek(place, 1)}, {p.assign('shl i64 %sum, 8')}")
    else:
        shift = p.assign(f"shl i64 {p.assign('sub i64 %top, %done')}, 3")
        p.poke(place, 1, p.assign(f"lshr i64 %value, {shift}"))
        p.line("%sum_next = add i64 0, 0")
    p.line("%done_next = add i64 %done, 1")
    p.line(f"br i1 {p.assign('icmp ult i64 %done_next, %size')}, label %octet, label %yes")
    p.label("yes")
    p.put(layout.ACROSS, "%sum_next")
    p.line("ret i1 true")
    p.label("no")
    p.line("ret i1 false")
    body = "\n".join(p.lines)
    signature = "ptr %s, i64 %ea, i64 %size, ptr %tlb, i64 %value"
    return f"define internal i1 @{name}({signature}) noinline {{\nentry:\n{body}\n}}\n"


def _each_register(name: str, word: Callable[[Printer], None], octet: Callable[[Printer], None]) -> str:
    """Return a function that goes over registers and memory: whole words, then single bytes."""
    p = Printer()
    p.line("br label %words")
    p.label("words")
    p.line("%place = phi i64 [ %start, %entry ], [ %place_next, %word ]")
    p.line("%number = phi i64 [ %first, %entry ], [ %number_next, %word ]")
    p.line("%left = phi i64 [ %count, %entry ], [ %left_next, %word ]")
    p.line("%modulo = and i64 %number, 31")
    p.line(f"%index = add i64 %modulo, {INDEX['gpr']}")
    p.line("%register = getelementptr i64, ptr %s, i64 %index")
    p.line("%is_word = icmp uge i64 %left, 4")
    p.line("br i1 %is_word, label %word, label %rest")
    p.label("word")
    word(p)
    p.line("%place_next = add i64 %place, 4")
    p.line("%number_next = add i64 %number, 1")
    p.line("%left_next = sub i64 %left, 4")
    p.line("br label %words")
    p.label("rest")
    p.line("%is_whole = icmp eq i64 %left, 0")
    p.line("br i1 %is_whole, label %done, label %octets")
    p.label("octets")
    octet(p)
    p.label("done")
    p.line("ret void")
    body = "\n".join(p.lines)
    return (
        f"define internal void @{name}(ptr %s, i64 %start, i64 %first, i64 %count) noinline {{\n"
        f"entry:\n{body}\n}}\n"
    )


def _octets(p: Printer, move: Callable[[Printer], None]) -> None:
    """Do `move` for `left` bytes, the shift of each in %shift and where it lies in %at; then go on."""
    p.line("br label %octet")
    p.label("octet")
    p.line("%at = phi i64 [ %place, %octets ], [ %at_next, %octet ]")
    p.line("%shift = phi i64 [ 24, %octets ], [ %shift_next, %octet ]")
    p.line("%todo = phi i64 [ %left, %octets ], [ %todo_next, %octet ]")
    move(p)
    p.line("%at_next = add i64 %at, 1")
    p.line("%shift_next = sub i64 %shift, 8")
    p.line("%todo_next = sub i64 %todo, 1")
    p.line("%is_more = icmp ne i64 %todo_next, 0")
    p.line("br i1 %is_more, label %octet, label %octets_done")
    p.label("octets_done")


def _load_registers() -> str:
    """Return the function behind Builder.load_registers."""

    def word(p: Printer) -> None:
        p.line(f"store i64 {p.peek('%place', 4)}, ptr %register")

    def move(p: Printer) -> None:
        p.line("%sum = phi i64 [ 0, %octets ], [ %sum_next, %octet ]")
        octet = p.peek("%at", 1)
        p.line(f"%sum_next = or i64 %sum, {p.assign(f'shl i64 {octet}, %shift')}")

    def octets(p: Printer) -> None:
        _octets(p, move)
        p.line("store i64 %sum_next, ptr %register")
        p.line("br label %done")

    return _each_register("load_registers", word, octets)


def _store_registers() -> str:
    """Return the function behind Builder.store_registers."""

    def word(p: Printer) -> None:
        p.poke("%place", 4, p.assign("load i64, ptr %register"))

    def move(p: Printer) -> None:
        p.poke("%at", 1, p.assign(f"lshr i64 {p.assign('load i64, ptr %register')}, %shift"))

    def octets(p: Printer) -> None:
        _octets(p, move)
        p.line("br label %done")

    return _each_register("store_registers", word, octets)
