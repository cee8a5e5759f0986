"""What the bridge learns from the kernel's file: where the kernel's own debugger stub lies, and the code.

A trap in the code that handles traps kills the kernel (K42 facts C.9).  The debug information says which
functions were compiled from the stub's files; the way from a trap to the stub and back goes through some
more, in files that are not otherwise the stub's.  The stub's register block is a variable among the symbols.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from elftools.common.exceptions import DWARFError, ELFError
from elftools.dwarf.descriptions import describe_form_class
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from emulator.symbols import Symbols
from gdbstub.quirks import K42

#: Beginnings of the names of the source files whose code runs while the stub does: the stub itself (our
#: guest's; K42's gdb-stub.C and GDBIO*.C), K42's way in (E.7), and what carries the stub's bytes (the wire,
#: and the devices under it).
STUB_FILES = (
    "gdb_", "gdb-stub", "gdbio", "lolita.", "exceptionlocalasm.",
    "wire.", "thinwire", "port.", "uart", "zilog", "comport", "hypervisor.", "hvchan", "simulator.",
)  # fmt: skip

#: Our guest's way in and out, `thread_switch`, which shares the part that saves a frame, and what the stub
#: reads and writes memory by that may not be there.
TRAP_FUNCTIONS = (
    "vector_stub", "trap_entry", "thread_switch", "frame_resume",
    "trap_dispatch", "memory_fault_taken", "segment_miss", "segment_map", "clock_after_trap",
    "memory_read", "memory_write", "expect_fault", "access_succeeded",
)  # fmt: skip

#: A variable may be this much longer than what is in it, and so many of its size are tried.
BLOCK_PADDING = 4
MOST_BLOCKS = 4


def find_stub_code(kernel: Path, symbols: Symbols) -> list[range]:
    """Return the stub's address ranges; empty where the file does not say."""
    try:
        elf = ELFFile(io.BytesIO(kernel.read_bytes()))
        units = list(_stub_units(elf.get_dwarf_info())) if elf.has_dwarf_info() else []
    except (OSError, ELFError, DWARFError):
        units = []
    return [*units, *_trap_functions(symbols)]


def _trap_functions(symbols: Symbols) -> Iterator[range]:
    function = find_functions(symbols)
    for name in TRAP_FUNCTIONS:
        with suppress(KeyError):
            if (found := function(symbols.address(name))) is not None:
                yield found


def _stub_units(dwarf: Any) -> Iterator[range]:
    for unit in dwarf.iter_CUs():
        top = unit.get_top_DIE()
        name = top.attributes.get("DW_AT_name")
        if name is not None and PurePosixPath(name.value.decode()).name.lower().startswith(STUB_FILES):
            yield from _ranges(dwarf, top)


def _ranges(dwarf: Any, top: Any) -> Iterator[range]:
    """Return a unit's code: a list of ranges where it lies in several sections, else two ends."""
    low, high = top.attributes.get("DW_AT_low_pc"), top.attributes.get("DW_AT_high_pc")
    listed = top.attributes.get("DW_AT_ranges")
    if listed is not None:
        base = low.value if low is not None else 0
        for entry in dwarf.range_lists().get_range_list_at_offset(listed.value, top.cu):
            yield range(base + entry.begin_offset, base + entry.end_offset)
    elif low is not None and high is not None:
        is_address = describe_form_class(high.form) == "address"
        yield range(low.value, high.value if is_address else low.value + high.value)


def find_register_blocks(kernel: Path) -> list[int]:
    """Return where the stub's register block may lie: variables of its size.  Which one it is, the stub
    itself will tell (gdbstub.stub_registers).
    """
    size = K42.default.g_size
    try:
        with kernel.open("rb") as file:
            table = ELFFile(file).get_section_by_name(".symtab")
            if not isinstance(table, SymbolTableSection):
                return []
            return sorted(
                {
                    symbol["st_value"]
                    for symbol in table.iter_symbols()
                    if symbol["st_info"]["type"] == "STT_OBJECT"
                    and size <= symbol["st_size"] <= size + BLOCK_PADDING
                }
            )[:MOST_BLOCKS]
    except (OSError, ELFError):
        return []


def find_functions(symbols: Symbols) -> Callable[[int], range | None]:
    """Return what tells which function of the file is at an address, as far as its size is known too."""

    def function(addr: int) -> range | None:
        found = symbols.symbol(addr)
        if found is None or not found.is_function or not found.length:
            return None
        return range(found.address, found.address + found.length)

    return function


def find_text(kernel: Path) -> Callable[[int, int], bytes | None]:
    """Return what tells the bytes that the file has at an address and that the kernel does not write."""
    try:
        with kernel.open("rb") as file:
            sections = [
                (section["sh_addr"], section.data())
                for section in ELFFile(file).iter_sections("SHT_PROGBITS")
                if section["sh_flags"] & SH_FLAGS.SHF_EXECINSTR
            ]
    except (OSError, ELFError):
        sections = []

    def text(addr: int, length: int) -> bytes | None:
        for start, data in sections:
            if start <= addr and addr + length <= start + len(data):
                return data[addr - start : addr - start + length]
        return None

    return text
