"""Where the threaded engine keeps things: its words of the state block, its records, its two tables.

Both the IR that emulator/engines/llvm_source prints and the Python that drives it read this file, so it is
the one place that knows an offset.

A *record* is one decoded instruction, 32 bytes:

    handler: 8   address of the function that executes it
    immediate: 8 its 64-bit immediate, or for a direct branch the record or the address it goes to
    slots: 4 x 2 word indexes and small numbers (isa/operands)
    pc: 8        its effective address

A *page table copy* (TLB), one for each of the four contexts of a data access, has an entry of 32 bytes for
each effective page that hashes there: a tag for loads and one for stores, each the page's address or
NO_TAG, and the addend that makes a host address.  Behind it lies a second one, larger and slower, whose
tags also hold the generation they were made in, so that forgetting it is counting. The *jump table* has 16
bytes: an address | context, and the record that lies there; where it fails, the *table of code pages* has
for a page's address | context the first of its records.
"""

from __future__ import annotations

import struct

from emulator.cpu.state import INDEX

# Words of the state block that only this engine uses (cpu/state, "engine").
_FIRST = INDEX["engine"]
#: icount at the end of the present run.
END = _FIRST
#: Why native code came back: one of the reasons below.
REASON = _FIRST + 1
#: Addresses of what native code calls: load(ea, size, state), store(ea, size, value, state),
#: call(helper, ...), lookup(ea).
LOAD = _FIRST + 2
STORE = _FIRST + 3
CALL = _FIRST + 4
LOOKUP = _FIRST + 5
#: Address of the jump table, and what is ORed into its keys.
JUMPS = _FIRST + 6
JUMP_CONTEXT = _FIRST + 7
#: Address of the record that holds h_stop in place of its own handler, or 0; and that handler.
PLANTED = _FIRST + 8
PLANTED_HANDLER = _FIRST + 9
#: Address of h_stop: every module has one, this is the one that is planted.
STOP_HANDLER = _FIRST + 10

#: Address of the present context's second-level TLB, and the generation that is good.
FAR_TLB = _FIRST + 11
FAR_TLB_GENERATION = _FIRST + 12

#: Host address of the guest's RAM.
MEMORY = _FIRST + 13
#: The MSR at the beginning of the present run.
RUN_MSR = _FIRST + 14

#: Addresses of the TLBs of all contexts: a context's are its number times their size further on.
TLBS = _FIRST + 15
FAR_TLBS = _FIRST + 16

#: Address of the first record of a pair that is parted while h_stop is planted at its second, or 0; the
#: pair's handler, and the first's own that is there meanwhile.
PARTED = _FIRST + 17
PARTED_HANDLER = _FIRST + 18
PARTED_SINGLE = _FIRST + 19

#: What native code leaves to Python of the loads and stores above (llvm_uart): addresses of callbacks.
PYTHON_LOAD = _FIRST + 20
PYTHON_STORE = _FIRST + 21
#: Address of the UART's words; the effective address where its registers may be loaded, and the FAR_TLB of
#: the context in which that holds, or 0; the same two for stores.
UART = _FIRST + 22
UART_LOADS = _FIRST + 23
UART_STORES = _FIRST + 25

#: Addresses of h_near_end and h_miss, for who has none of his own.
NEAR_END = _FIRST + 30
MISS = _FIRST + 31
#: Address of the table of code pages.
CODE_PAGES = _FIRST + 32

#: What was loaded from two pages.
ACROSS = _FIRST + 33

#: Numbers by which handlers ask for a page to be put into the TLB; no helper's (names.helper_number).
FILL_LOAD = 1
FILL_STORE = 2

REASON_NONE = 0  # the budget is used up, or the context changed: icount tells
REASON_RAISED = 1  # a callback raised
REASON_DECODE = 2  # the record at pc has not been decoded yet
REASON_BREAKPOINT = 3  # pc is on a breakpoint

RECORD = struct.Struct("=QQ4HQ")
RECORD_SIZE = RECORD.size
IMMEDIATE_OFFSET = 8
SLOT_OFFSET = 16
PC_OFFSET = 24

PAGE = 4096
RECORDS_PER_PAGE = PAGE // 4
#: Behind the records of a page, for each that holds the handler of a pair or a loop, the handler of its
#: instruction alone.
SINGLES_OFFSET = RECORD_SIZE * (RECORDS_PER_PAGE + 1)
#: The size of all that, in words.
PAGE_WORDS = SINGLES_OFFSET // 8 + RECORDS_PER_PAGE

TLB_ENTRIES = 1024
TLB_ENTRY_SIZE = 32
TLB_SIZE = TLB_ENTRIES * TLB_ENTRY_SIZE
TLB_STORE_OFFSET = 8
TLB_ADDEND_OFFSET = 16
#: No page's address has all bits set.
NO_TAG = (1 << 64) - 1
# What of the MSR a data translation depends on, as the number of a TLB (llvm_source._switch knows it too).
CONTEXT_TRANSLATED = 1
CONTEXT_PROBLEM_STATE = 2
CONTEXTS = 4

#: The second level: as many entries that a miss in the first costs Python only for a new page.
FAR_TLB_ENTRIES = 16384
FAR_TLB_SIZE = FAR_TLB_ENTRIES * TLB_ENTRY_SIZE
#: Generations fit where a page's address has zeros; 0 is none, for an empty table.
FAR_TLB_GENERATIONS = 4095

JUMP_ENTRIES = 4096
JUMP_ENTRY_SIZE = 16

#: As large as an entry of the jump table.
CODE_PAGE_ENTRIES = 1024
