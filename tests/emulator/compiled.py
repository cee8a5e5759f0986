"""C programs, built by GCC and run: on this host, as Linux processes by QEMU, and on our machine.

The sources are in tests/emulator/programs; program.h says what they share.  An image holds several programs
and prints a line `== NAME` before the output of each.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from emulator.boot import load_raw
from emulator.config import MachineConfig, MachineKind
from emulator.cpu.exits import ExitKind
from emulator.machine import Machine

SOURCES = Path(__file__).parent / "programs"
#: What every image holds besides its programs.
COMMON = ("main.c", "print.c", "text.c")
FLAGS = (
    # Overflow and plain char mean the same on every machine; so does a*b+c.
    *("-fwrapv", "-funsigned-char", "-ffp-contract=off"),
    *("-ffreestanding", "-fno-tree-loop-distribute-patterns", "-fno-stack-protector"),
    *("-fno-asynchronous-unwind-tables", "-fno-pic", f"-I{SOURCES}"),
    *("-Wall", "-Werror", "-Wno-parentheses", "-Wno-misleading-indentation"),
)
CROSS = ("powerpc64-linux-gnu-gcc", "-nostdlib", "-static", "-mno-pointers-to-nested-functions")
LINK = ("-Wl,--no-warn-rwx-segments", "-Wl,--build-id=none")
#: In front of the image's end, a 4, nothing else is printed that is not text.
END = b"\x04"
ENTRY = 0x100
MEMORY = 4 << 20
#: More than any image needs; one that hangs is found out soon.
BUDGET = 40_000_000
SLICE = 100_000


@dataclass(frozen=True, slots=True)
class Image:
    """The same objects twice: a flat image for a bare partition, an ELF file for Linux."""

    partition: Path
    process: Path


def paths(names: tuple[str, ...]) -> list[str]:
    return [str(SOURCES / name) for name in names]


def build(directory: Path, options: str, sources: list[str], *, interrupts: str = "unexpected.c") -> Image:
    """Compile `sources` with `options` and link the two programs."""
    directory.mkdir()
    compile_ = [*CROSS, *FLAGS, *options.split(), "-c", *sources]
    subprocess.run(compile_, check=True, cwd=directory)
    objects = sorted(str(path) for path in directory.glob("*.o"))
    vector = "0x200" if "-maltivec" in options.split() else "0"
    partition, process = directory / "partition.elf", directory / "process.elf"
    subprocess.run(
        [*CROSS, *FLAGS, "-O1", "-mcpu=970", "-mno-altivec", f"-DMSR_VECTOR={vector}", *LINK]
        + [f"-Wl,-T,{SOURCES / 'partition.ld'}", "-o", str(partition), str(SOURCES / "partition.S")]
        + [*objects, str(SOURCES / interrupts), "-lgcc"],
        check=True,
    )
    flat = directory / "partition.bin"
    subprocess.run(["powerpc64-linux-gnu-objcopy", "-O", "binary", partition, flat], check=True)
    if interrupts == "unexpected.c":
        # -N: programs may write their own code.
        subprocess.run(
            [*CROSS, *LINK, "-Wl,-N", "-o", str(process), str(SOURCES / "process.S"), *objects, "-lgcc"],
            check=True,
        )
    return Image(flat, process)


def run_on_host(directory: Path, sources: list[str]) -> str:
    """Compile `sources` for this host, run them, and return what they print."""
    program = directory / "host"
    options = [*FLAGS, "-O1", "-DHOST", "-no-pie", "-o", str(program)]
    subprocess.run(["gcc", *options, *sources, str(SOURCES / "host.c")], check=True)
    return subprocess.run([str(program)], check=True, capture_output=True, timeout=60).stdout.decode()


def run_on_qemu(image: Image) -> str:
    """Run the image as a Linux process on QEMU's 970FX."""
    done = subprocess.run(
        ["qemu-ppc64", "-cpu", "970fx", str(image.process)], check=True, capture_output=True, timeout=60
    )
    return done.stdout.decode()


def run_on_qemu_system(image: Image) -> str:
    """Run the image in a partition of QEMU's pseries machine, until its end; then QEMU is killed."""
    machine = "pseries,cap-htm=off,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,cap-ccf-assist=off"
    command = ["qemu-system-ppc64", "-M", machine, "-accel", "tcg", "-cpu", "970_v2.2", "-m", "256"]
    command += [
        "-nographic",
        "-nodefaults",
        "-serial",
        "stdio",
        "-monitor",
        "none",
        "-bios",
        str(image.partition),
    ]
    output = bytearray()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, bufsize=0) as qemu:
        assert qemu.stdout is not None
        while not output.endswith(END) and (byte := qemu.stdout.read(1)):
            output += byte
        qemu.kill()
    assert output.endswith(END), bytes(output)
    return output[:-1].decode().replace("\r\n", "\n")


def run_on_engine(image: Image, engine: str, *, kind: MachineKind = MachineKind.LPAR) -> str:
    """Run the image on our machine until it ends, or to the budget's end."""
    config = MachineConfig(kind, memory=MEMORY, engine=engine)
    machine = Machine(config, load_raw(str(image.partition), 0, ENTRY))
    output = bytearray()
    while machine.now < BUDGET:
        exit_ = machine.run(SLICE)
        output += machine.console.drain()
        if output.endswith(END):
            return output[:-1].decode()
        if exit_.kind is ExitKind.IDLE:
            limit = machine.idle_limit(exit_)
            assert limit is not None, f"hangs at {machine.state.pc:#x} after {bytes(output)!r}"
            machine.sleep(limit)
        else:
            assert exit_.kind is ExitKind.BUDGET, (exit_, bytes(output))
    raise AssertionError(f"no end in {BUDGET} instructions, pc {machine.state.pc:#x}: {bytes(output)!r}")


def sections(output: str) -> dict[str, str]:
    """Return what each program of an image printed, by name."""
    pieces = ("\n" + output).split("\n== ")
    return {name: text for name, _, text in (piece.partition("\n") for piece in pieces[1:])}
