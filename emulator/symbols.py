"""Names and source lines of a kernel's addresses, from its ELF file.

In the ELFv1 ABI a function's symbol names its descriptor in .opd, whose first doubleword is the code's
address; here a function's address is its code.  Line numbers are read from DWARF when first asked for.
"""

from __future__ import annotations

import io
import posixpath
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elftools.common.exceptions import DWARFError, ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

_KINDS = ("STT_FUNC", "STT_OBJECT", "STT_NOTYPE")


@dataclass(frozen=True, slots=True)
class Symbol:
    """A named stretch of memory; `length` 0 if the file does not say."""

    name: str
    address: int
    length: int
    is_function: bool


@dataclass(frozen=True, slots=True)
class Line:
    """Where an instruction comes from."""

    file: str
    number: int

    def __str__(self) -> str:
        return f"{self.file}:{self.number}"


class Symbols:
    """The symbols of one file, or none at all."""

    def __init__(self, symbols: list[Symbol], elf: ELFFile | None = None) -> None:
        # Of several names for one address the first is kept: functions before objects before labels.
        ranked = sorted(symbols, key=lambda s: (s.address, not s.is_function, s.length == 0, s.name))
        self._symbols = [s for i, s in enumerate(ranked) if i == 0 or ranked[i - 1].address != s.address]
        self._addresses = [s.address for s in self._symbols]
        self._by_name = {s.name: s for s in reversed(ranked)}
        self._elf = elf
        self._lines: tuple[list[int], list[Line | None]] | None = None

    def name(self, address: int) -> str | None:
        """Return `function` or `function+0x1c`; None outside everything that has a name."""
        symbol = self.symbol(address)
        if symbol is None:
            return None
        offset = address - symbol.address
        return f"{symbol.name}+{offset:#x}" if offset else symbol.name

    def symbol(self, address: int) -> Symbol | None:
        """Return the symbol `address` lies in."""
        at = bisect_right(self._addresses, address) - 1
        if at < 0:
            return None
        symbol = self._symbols[at]
        if symbol.length == 0 or address < symbol.address + symbol.length:
            return symbol
        return None

    def address(self, name: str) -> int:
        """Return the address of a function's code or of an object.  Raises KeyError."""
        return self._by_name[name].address

    def line(self, address: int) -> Line | None:
        """Return the source line of the instruction at `address`, if the file knows it."""
        if self._lines is None:
            self._lines = _read_lines(self._elf)
        starts, lines = self._lines
        at = bisect_right(starts, address) - 1
        return lines[at] if at >= 0 else None


def read_symbols(path: str) -> Symbols:
    """Read the symbols of an ELF file.  A file that is no ELF, or has none, has no symbols.  Raises
    OSError."""
    data = Path(path).read_bytes()
    try:
        elf = ELFFile(io.BytesIO(data))
        return Symbols(_read_table(elf), elf)
    except (ELFError, ValueError, KeyError):
        return Symbols([])


def _read_table(elf: ELFFile) -> list[Symbol]:
    descriptors = elf.get_section_by_name(".opd")
    symbols = []
    for section in elf.iter_sections():
        if not isinstance(section, SymbolTableSection):
            continue
        for entry in section.iter_symbols():
            kind = entry["st_info"]["type"]
            if not entry.name or kind not in _KINDS or entry["st_shndx"] in ("SHN_UNDEF", "SHN_ABS"):
                continue
            address, is_function = entry["st_value"], kind == "STT_FUNC"
            if is_function and descriptors is not None:
                address = _code_address(descriptors, address)
            symbols.append(Symbol(entry.name, address, entry["st_size"], is_function))
    return symbols


def _code_address(descriptors: Any, address: int) -> int:
    """Follow a function descriptor; an address outside .opd is code already."""
    offset = address - descriptors["sh_addr"]
    if not 0 <= offset <= descriptors["sh_size"] - 8:
        return address
    return int.from_bytes(descriptors.data()[offset : offset + 8], "big")


def _read_lines(elf: ELFFile | None) -> tuple[list[int], list[Line | None]]:
    """Return the beginnings of stretches of code, sorted, and the line of each; None ends a stretch."""
    rows: list[tuple[int, bool, Line | None]] = []
    try:
        if elf is not None and elf.has_dwarf_info():
            dwarf = elf.get_dwarf_info()
            for unit in dwarf.iter_CUs():
                program = dwarf.line_program_for_CU(unit)
                if program is not None:
                    rows += _rows(program)
    except (DWARFError, ELFError, KeyError, ValueError, AssertionError):
        pass  # a damaged line table: what was read of it is still right
    # Where one stretch ends and another begins, the beginning counts.
    rows.sort(key=lambda row: (row[0], row[1]))
    return [row[0] for row in rows], [row[2] for row in rows]


def _rows(program: Any) -> list[tuple[int, bool, Line | None]]:
    names = program["file_entry"]
    # DWARF 5 counts files from 0, earlier versions from 1.
    first = 0 if program["version"] >= 5 else 1
    rows: list[tuple[int, bool, Line | None]] = []
    for entry in program.get_entries():
        state = entry.state
        if state is None:
            continue
        if state.end_sequence:
            rows.append((state.address, False, None))
            continue
        index = state.file - first
        name = names[index].name.decode(errors="replace") if 0 <= index < len(names) else "?"
        rows.append((state.address, True, Line(posixpath.basename(name), state.line)))
    return rows
