"""Which kernel: the file the user names, or our own guest."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from k42.errors import UserError

ELF_MAGIC = b"\x7fELF"


def guest_kernel() -> Path:
    """Return the path of our own small kernel, which comes with the package."""
    return Path(str(files("emulator.guests") / "mini" / "mini.elf"))


def find_kernel(name: str | None) -> Path:
    """Return the kernel's absolute path.  Raises UserError when there is no such file."""
    return guest_kernel() if name is None else _file(name, "an ELF file, or with --raw a flat image")


def find_symbols(name: str) -> Path:
    """Return the absolute path of a kernel's file with symbols.  Raises UserError when it is no ELF file."""
    path = _file(name, wanted := "the kernel's ELF file")
    try:
        with path.open("rb") as file:
            magic = file.read(len(ELF_MAGIC))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    if magic != ELF_MAGIC:
        raise UserError(f"{path} is no ELF file and has no symbols: name {wanted}")
    return path


def _file(name: str, wanted: str) -> Path:
    path = Path(name).absolute()
    if not path.is_file():
        raise UserError(f"{path} is not a file: name {wanted}")
    return path
