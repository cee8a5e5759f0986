"""What a debugger knows of mini: its symbols, and the block of registers its stub sends."""

from __future__ import annotations

import struct

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from emulator.guests import MINI

#: One page above what is mapped at the bottom of the kernel's space.
NOWHERE = 0xC000_0000_0000_3000

TRAP_WORD = bytes.fromhex("7fe00008")  # the compiled-in breakpoint, which is also what gdb plants
TWGE = bytes.fromhex("7d821008")  # a trap that is not

#: Offsets in the block of registers, and bits of its MSR.
PC, MSR, LR = 512, 520, 532
EE, SE, BE = 0x8000, 0x400, 0x200


def symbols() -> dict[str, list[int]]:
    lines = (MINI.parent / "boot_image.map").read_text().splitlines()
    return {name: [int(n, 16) for n in numbers] for name, *numbers in (line.split() for line in lines)}


def elf_symbol(name: str) -> int:
    """A symbol that is local to its file, which the map leaves out."""
    with MINI.open("rb") as stream:
        table = ELFFile(stream).get_section_by_name(".symtab")
        assert isinstance(table, SymbolTableSection)
        found = table.get_symbol_by_name(name)
        assert found is not None and len(found) == 1
        return int(found[0]["st_value"])


def code(name: str) -> int:
    return symbols()[name][1]


def field(block: bytes, offset: int) -> int:
    return int(struct.unpack_from(">Q", block, offset)[0])


def with_field(block: bytes, offset: int, value: int) -> bytes:
    return block[:offset] + struct.pack(">Q", value) + block[offset + 8 :]
