"""Which kernel: the file the user names, or our own guest."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from k42.errors import UserError


def guest_kernel() -> Path:
    """Return the path of our own small kernel, which comes with the package."""
    return Path(str(files("emulator.guests") / "mini" / "mini.elf"))


def find_kernel(name: str | None) -> Path:
    """Return the kernel's absolute path.  Raises UserError when there is no such file."""
    path = Path(name).absolute() if name else guest_kernel()
    if not path.is_file():
        raise UserError(f"{path} is not a file: name an ELF file, or with --raw a flat image")
    return path
