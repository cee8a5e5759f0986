"""Where the kernel's own debugger stub lies: the addresses a trap must never be planted at.

A trap in the code that handles traps kills the kernel (K42 facts C.9).  The debug information says which
functions were compiled from the stub's files.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from elftools.common.exceptions import DWARFError, ELFError
from elftools.dwarf.descriptions import describe_form_class
from elftools.elf.elffile import ELFFile

#: Beginnings of the names of the source files whose code runs while the stub does: the stub itself (our
#: guest's; K42's gdb-stub.C and GDBIO*.C), and what carries its bytes (the wire, and the devices under it).
STUB_FILES = (
    "gdb_", "gdb-stub", "gdbio",
    "wire.", "thinwire", "port.", "uart", "zilog", "comport", "hypervisor.", "hvchan", "simulator.",
)  # fmt: skip


def find_stub_code(kernel: Path) -> list[range]:
    """Return the stub's address ranges; empty where the file does not say."""
    try:
        elf = ELFFile(io.BytesIO(kernel.read_bytes()))
        return list(_stub_units(elf.get_dwarf_info())) if elf.has_dwarf_info() else []
    except (OSError, ELFError, DWARFError):
        return []


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
