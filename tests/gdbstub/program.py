"""Builds program.c, loads it into a mini machine, and runs the real gdb against a port."""

from __future__ import annotations

import functools
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import trio
from elftools.elf.elffile import ELFFile
from mini_machine import OUT, Machine

SOURCE = Path(__file__).parent / "program.c"
COMPILE = (
    *("powerpc64-linux-gnu-gcc", "-mabi=elfv1", "-mbig-endian", "-mcpu=970", "-mno-altivec"),
    *("-g", "-O1", "-fno-inline", "-ffreestanding", "-nostdlib", "-static", "-no-pie"),
    *("-fno-stack-protector", "-fno-asynchronous-unwind-tables", "-fno-tree-vectorize"),
    *("-Wl,-e,main", "-Wl,--build-id=none"),
)
PAGE = 4096
STACK = 0x4000_0000
STACK_SIZE = 0x10000

GDB = "gdb-multiarch"
PATIENCE = 60


@functools.cache
def build() -> Path:
    """Compile the program; the folder lasts as long as the tests do."""
    folder = tempfile.TemporaryDirectory(prefix="gdbstub-program-")
    _FOLDERS.append(folder)
    path = Path(folder.name) / "program.elf"
    subprocess.run([*COMPILE, "-o", str(path), str(SOURCE)], check=True)
    return path


_FOLDERS: list[tempfile.TemporaryDirectory[str]] = []


@functools.cache
def symbols() -> dict[str, int]:
    """Return the program's data and code symbols; a function's is its code, not its descriptor."""
    with build().open("rb") as file:
        elf: Any = ELFFile(file)
        opd = elf.get_section_by_name(".opd")
        found = {}
        for symbol in elf.get_section_by_name(".symtab").iter_symbols():
            value = symbol["st_value"]
            if symbol["st_info"]["type"] == "STT_FUNC":
                offset = value - opd["sh_addr"]
                value = int.from_bytes(opd.data()[offset : offset + 8], "big")
            found[symbol.name] = value
        return found


def load(path: Path | None = None) -> Machine:
    """Return a machine with the program in memory, about to execute main's first instruction."""
    machine = Machine()
    with (path or build()).open("rb") as file:
        elf: Any = ELFFile(file)
        for segment in elf.iter_segments("PT_LOAD"):
            data = bytearray(segment["p_memsz"] + PAGE)
            data[: segment["p_filesz"]] = segment.data()
            machine.memory[segment["p_vaddr"]] = data
        opd = elf.get_section_by_name(".opd")
        offset = elf["e_entry"] - opd["sh_addr"]
        machine.pc = int.from_bytes(opd.data()[offset : offset + 8], "big")
        machine.gpr[2] = int.from_bytes(opd.data()[offset + 8 : offset + 16], "big")
    machine.memory[STACK] = bytearray(STACK_SIZE)
    machine.gpr[1] = STACK + STACK_SIZE - 512
    machine.memory[OUT] = bytearray(1)
    return machine


async def run_gdb(port: int, *commands: str, file: bool = True, connect: str = "remote") -> str:
    """Run gdb in batch mode, connected to `port`; return what it printed, errors included.

    It is given the program, unless `file` is False.
    """
    lines = ["set pagination off", "set confirm off", "set width 0", "set style enabled off"]
    lines += [f"target {connect} 127.0.0.1:{port}"]
    arguments = [item for line in [*lines, *commands] for item in ("-ex", line)]
    with trio.fail_after(PATIENCE):
        done = await trio.run_process(
            [GDB, "-nx", "-batch", *arguments, *([str(build())] if file else [])],
            capture_stdout=True,
            stderr=subprocess.STDOUT,
            stdin=b"",
            check=False,
        )
    return done.stdout.decode("utf-8", "replace")
