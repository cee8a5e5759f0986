"""A file of symbols that cannot be a kernel's is refused in one line, before gdb or a bridge starts."""

import subprocess
from pathlib import Path

import pytest

from k42.kernel import guest_kernel

COMMANDS = (
    ["gdb", "127.0.0.1:1", "--kernel"],
    ["bridge", "127.0.0.1:1", "--listen", "0", "--kernel"],
)


def refusal(k42: Path, command: list[str], file: Path) -> str:
    done = subprocess.run([k42, *command, file], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and done.stdout == "", done
    assert done.stderr.count("\n") == 1 and str(file) in done.stderr, done.stderr
    return done.stderr


def patched(tmp_path: Path, at: int, value: bytes) -> Path:
    """Return a copy of our guest with other bytes in its ELF header."""
    image = bytearray(guest_kernel().read_bytes())
    image[at : at + len(value)] = value
    path = tmp_path / "kernel"
    path.write_bytes(image)
    return path


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_relocatable_file_has_no_addresses(k42: Path, command: list[str], tmp_path: Path) -> None:
    source = tmp_path / "part.s"
    source.write_text(".globl part\npart: blr\n")
    unit = tmp_path / "part.o"
    subprocess.run(["powerpc64-linux-gnu-as", "-mbig", "-o", unit, source], check=True)
    assert "is not linked" in refusal(k42, command, unit)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_another_machines_file_is_named(k42: Path, command: list[str], tmp_path: Path) -> None:
    s390 = patched(tmp_path, 18, (22).to_bytes(2, "big"))
    assert "another machine (EM_S390, big-endian)" in refusal(k42, command, s390)


@pytest.mark.parametrize("cut", [3, 40])
def test_a_cut_header_is_no_elf_file(k42: Path, cut: int, tmp_path: Path) -> None:
    path = tmp_path / "kernel"
    path.write_bytes(guest_kernel().read_bytes()[:cut])
    assert "is no ELF file" in refusal(k42, COMMANDS[0], path)
