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

#: Beginnings of the names of a stub's source files: our guest's, and K42's gdb-stub.C and GDBIO*.C.
STUB_FILES = ("gdb_", "gdb-stub", "gdbio")


def find_stub_code(kernel: Path) -> list[range]:
    """Return the stub's address ranges; empty where the file does not say."""
    try:
        elf = ELFFile(io.BytesIO(kernel.read_bytes()))
        return list(_stub_units(elf.get_dwarf_info())) if elf.has_dwarf_info() else []
    except (OSError, ELFError, DWARFError):
        return []


def _stub_units(dwarf: Any) -> Iterator[range]:
    for unit in dwarf.iter_CUs():
        attributes = unit.get_top_DIE().attributes
        name = attributes.get("DW_AT_name")
        low, high = attributes.get("DW_AT_low_pc"), attributes.get("DW_AT_high_pc")
        if name is None or low is None or high is None:
            continue
        if not PurePosixPath(name.value.decode()).name.lower().startswith(STUB_FILES):
            continue
        is_address = describe_form_class(high.form) == "address"
        yield range(low.value, high.value if is_address else low.value + high.value)
