"""Which kernel: the file the user names, or our own guest."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from k42.errors import UserError

#: What gdb and the bridge can use: an image linked for big-endian PowerPC, 64 bits or a 32-bit wrapper.
MACHINES = ("EM_PPC64", "EM_PPC")


def guest_kernel() -> Path:
    """Return the path of our own small kernel, which comes with the package."""
    return Path(str(files("emulator.guests") / "mini" / "mini.elf"))


def find_kernel(name: str | None) -> Path:
    """Return the kernel's absolute path.  Raises UserError when there is no such file."""
    return guest_kernel() if name is None else _file(name, "an ELF file, or with --raw a flat image")


def find_symbols(name: str) -> Path:
    """Return the absolute path of a kernel's file with symbols.  Raises UserError when it cannot be one."""
    path = _file(name, wanted := "the kernel's ELF file")
    try:
        with path.open("rb") as file:
            elf = ELFFile(file)
            machine, kind, is_little = elf["e_machine"], elf["e_type"], elf.little_endian
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except ELFError:
        raise UserError(f"{path} is no ELF file and has no symbols: name {wanted}") from None
    if machine not in MACHINES or is_little:
        order = "little" if is_little else "big"
        raise UserError(f"{path} is for another machine ({machine}, {order}-endian): name {wanted}")
    if kind == "ET_REL":
        raise UserError(f"{path} is not linked, so its symbols have no addresses: name {wanted}")
    return path


def _file(name: str, wanted: str) -> Path:
    path = Path(name).absolute()
    if not path.is_file():
        raise UserError(f"{path} is not a file: name {wanted}")
    return path
