#!/usr/bin/env python3
"""How fast is the emulator? Measured beside qemu-system-ppc64 (TCG), in one run, interleaved, in CPU time.

    python scripts/bench_emulator.py                    all loops, five rounds, a Markdown table
    python scripts/bench_emulator.py --rounds 3 --loops arithmetic,paging
    python scripts/bench_emulator.py --profile paging   where Python spends its time in one of them

The loops are in scripts/bench_emulator.  Both run the same flat image, in real mode but for `paging` and
`pointers`, on a bare machine: QEMU with `-M none -cpu 970fx` and its memory in a file, so that this script
sees the guest's marks there; ours in a process of its own, with a breakpoint at the first mark.  Only what
lies between the marks counts, the translation of the code included (ours: decoding), the start of the
emulator not.  CPU time of all threads: wall clock says nothing on a machine with other work.  The ratio is
QEMU's time to ours: more is faster.

`cold` is straight code of 20,000 instructions that each run once.  The last line is the time from the start
of `k42 emulate` until the guest's first instructions have printed a character, with a warm cache (wall
clock).  RSS is that of the process, Python and LLVM included.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import math
import mmap
import os
import pstats
import random
import resource
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent / "bench_emulator"
GCC = "powerpc64-linux-gnu-gcc"
FLAGS = (
    *("-O2", "-mcpu=970", "-mno-altivec", "-ffp-contract=fast", "-ffreestanding", "-nostdlib", "-static"),
    *("-fno-tree-loop-distribute-patterns", "-fno-asynchronous-unwind-tables", "-fno-pic"),
    *("-mno-pointers-to-nested-functions", "-Wl,--build-id=none", "-Wl,--no-warn-rwx-segments"),
)
MEMORY = 64 << 20
ENTRY = 0x100
# Places of bench_emulator/start.S.
STAGE, WORK, RESULT = 0x08, 0x10, 0x18
BEGIN, END = 0x180, 0x1C0
STARTED, DONE = 1, 2
#: How often the marks are looked at (seconds), and how long they may take.
POLL = 0.0002
PATIENCE = 120.0
COLD_INSTRUCTIONS = 20_000

#: How much each loop does: about half a second of QEMU's.
LOOPS = {
    "arithmetic": 80_000_000,
    "checksum": 2500,
    "memory": 500,
    "calls": 36,
    "floats": 2500,
    "paging": 150,
    "pointers": 500_000,
    "bytes": 500,
    "dispatch": 1_000_000,
    "sorting": 60,
    "singles": 2500,
    "vectors": 3000,
    "strings": 600_000,
    "locks": 3_000_000,
    "privileged": 1_000_000,
    "syscalls": 300_000,
    "patching": 20_000,
    "digest": 250_000,
    "bignum": 60_000,
    "conditions": 8_000_000,
    "carries": 12_000_000,
    "rounding": 600_000,
    "unaligned": 2_000_000,
    "traps": 300_000,
    "wide": 200_000,
    "invalidation": 50_000,
    "cold": 1,
}
#: What a loop needs beside FLAGS.
EXTRA_FLAGS = {"vectors": ("-maltivec", "-mabi=altivec"), "singles": ("-fno-math-errno",)}


@dataclass(frozen=True)
class Outcome:
    """One run: CPU seconds between the marks, and what the guest computed."""

    seconds: float
    result: str
    instructions: int = 0
    rss_megabytes: float = 0


def build(directory: Path) -> dict[str, Path]:
    """Compile every loop to a flat image that knows how much to do."""
    cold = directory / "cold.S"
    cold.write_text(cold_source())
    images = {}
    for name, work in LOOPS.items():
        source = cold if name == "cold" else next(HERE.glob(f"{name}.[cS]"))
        images[name] = flat_image(directory / name, [HERE / "start.S", source], EXTRA_FLAGS.get(name, ()))
        data = bytearray(images[name].read_bytes())
        data[WORK : WORK + 8] = struct.pack(">Q", work)
        images[name].write_bytes(data)
    images["console"] = flat_image(directory / "console", [HERE / "console.S"])
    return images


def flat_image(path: Path, sources: list[Path], flags: tuple[str, ...] = ()) -> Path:
    """Compile and link `sources` into an image for real address 0."""
    elf, flat = path.with_suffix(".elf"), path.with_suffix(".bin")
    flags = (*FLAGS, *flags, f"-Wl,-T,{HERE / 'image.ld'}", "-e", "0")
    subprocess.run([GCC, *flags, "-o", elf, *sources], check=True)
    subprocess.run(["powerpc64-linux-gnu-objcopy", "-O", "binary", elf, flat], check=True)
    return flat


def cold_source() -> str:
    """Assembly of functions whose instructions all run once: loads, stores, arithmetic, short branches."""
    rng = random.Random(1)
    lines = [
        '.section .opd,"aw"',
        ".globl workload",
        "workload: .quad .Lwork, .TOC.@tocbase, 0",
        ".text",
        ".Lwork:",
    ]
    lines += ["mflr 31", "li 4, 0", "lis 30, 0x10"]
    functions = COLD_INSTRUCTIONS // 25
    lines += [f"bl .Lf{n}" for n in range(functions)]
    lines += ["mtlr 31", "blr"]
    plain: tuple[str, ...] = (
        "add {0},{1},{2}",
        "xor {0},{1},{2}",
        "addi {0},{1},77",
        "rlwinm {0},{1},5,2,29",
        "mulld {0},{1},{2}",
    )
    plain += (
        "subf {0},{1},{2}",
        "ld {0},16(30)",
        "std {1},24(30)",
        "lwz {0},8(30)",
        "stb {2},40(30)",
        "cmpd {1},{2}",
    )
    for n in range(functions):
        lines.append(f".Lf{n}:")
        for k in range(24):
            if k % 8 == 7:
                lines += [f"bne 1f; b 1f; 1: # {k}"]
                continue
            lines.append(rng.choice(plain).format(*(rng.randrange(5, 12) for _ in range(3))))
        lines += ["add 3,3,5", "blr"]
    return "\n".join(lines) + "\n"


def run_qemu(image: Path, directory: Path) -> Outcome:
    """Run an image on QEMU and measure between the marks."""
    ram = directory / "memory"
    ram.write_bytes(image.read_bytes())
    os.truncate(ram, MEMORY)
    backend = f"memory-backend-file,id=ram,size={MEMORY},mem-path={ram},share=on"
    command = ["qemu-system-ppc64", "-accel", "tcg", "-M", "none,memory-backend=ram", "-object", backend]
    command += [
        "-cpu",
        "970fx",
        "-m",
        f"{MEMORY >> 20}M",
        "-display",
        "none",
        "-nodefaults",
        "-monitor",
        "none",
    ]
    command += ["-device", f"loader,addr={ENTRY},cpu-num=0"]
    with ram.open("r+b") as file, mmap.mmap(file.fileno(), MEMORY) as memory:
        with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
            clock = ~process.pid << 3 | 2  # the process's CPU time (linux: MAKE_PROCESS_CPUCLOCK)
            try:
                begun = wait_for_stage(memory, process, STARTED, clock)
                ended = wait_for_stage(memory, process, DONE, clock)
            finally:
                process.kill()
        return Outcome(ended - begun, memory[RESULT : RESULT + 8].hex())


def wait_for_stage(memory: mmap.mmap, process: subprocess.Popen[bytes], stage: int, clock: int) -> float:
    """Wait until the guest has reached a mark; the CPU time QEMU has used so far."""
    limit = time.monotonic() + PATIENCE
    while memory[STAGE + 7] < stage:
        if process.poll() is not None or time.monotonic() > limit:
            raise SystemExit(f"bench_emulator: QEMU did not get to stage {stage} (status {process.poll()})")
        time.sleep(POLL)
    return time.clock_gettime(clock)


def run_ours(image: Path, engine: str) -> Outcome:
    """Run an image on our machine, in a process of its own."""
    command = [sys.executable, __file__, "--child", str(image), "--engine", engine]
    return Outcome(**json.loads(subprocess.run(command, check=True, capture_output=True).stdout))


def execute(image: Path, engine: str) -> Outcome:
    """Run an image in this process."""
    from emulator.boot import load_raw
    from emulator.config import MachineConfig
    from emulator.cpu.exits import ExitKind
    from emulator.machine import Machine

    machine = Machine(MachineConfig(memory=MEMORY, engine=engine), load_raw(str(image), 0, ENTRY))
    machine.set_breakpoints([BEGIN])
    arrival = machine.run(1000)
    assert arrival.kind is ExitKind.BREAKPOINT, arrival
    machine.set_breakpoints([])
    start, before = machine.state.icount, time.process_time()
    while (exit_ := machine.run(50_000_000)).kind is not ExitKind.IDLE:
        assert exit_.kind is ExitKind.BUDGET, exit_
    seconds = time.process_time() - before
    assert machine.state.pc == END, hex(machine.state.pc)
    result = machine.read_memory(RESULT, 8).hex()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Outcome(seconds, result, machine.state.icount - start, peak)


def first_character(image: Path) -> float:
    """Seconds from the start of `k42 emulate` until the guest has printed."""
    command = [sys.executable, "-c", "import sys; from k42.cli import main; sys.exit(main())", "emulate"]
    command += ["--raw", "0", "--entry", hex(ENTRY)]
    command += ["--machine", "lpar", "--console", "stdio", str(image)]
    begun = time.perf_counter()
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        byte = os.read(process.stdout.fileno(), 1)
        took = time.perf_counter() - begun
        process.kill()
    if byte != b"S":
        raise SystemExit(f"bench_emulator: k42 emulate printed {byte!r}")
    return took


def compare(name: str, image: Path, directory: Path, rounds: int, engine: str) -> float:
    """Run one loop on both, print its row, and return the median of the ratios."""
    pairs = []
    for turn in range(rounds):
        runs: list[Callable[[], Outcome]] = [
            lambda: run_qemu(image, directory),
            lambda: run_ours(image, engine),
        ]
        if turn % 2:
            second, first = (run() for run in reversed(runs))
        else:
            first, second = (run() for run in runs)
        if first.result != second.result:
            raise SystemExit(f"bench_emulator: {name}: QEMU computes {first.result}, we {second.result}")
        pairs.append((first, second))
    ratios = sorted(theirs.seconds / ours.seconds for theirs, ours in pairs)
    middle = statistics.median(ratios)
    theirs = statistics.median(pair[0].seconds for pair in pairs)
    ours = statistics.median(pair[1].seconds for pair in pairs)
    count = pairs[0][1].instructions
    print(
        f"| {name} | {count / 1e6:.2f} | {theirs:.3f} | {ours:.3f} | {count / ours / 1e6:.0f} "
        f"| {ratios[0]:.2f} {middle:.2f} {ratios[-1]:.2f} | {pairs[0][1].rss_megabytes:.0f} |",
        flush=True,
    )
    return middle


def show_profile(image: Path, engine: str) -> None:
    """Print where Python spends its time."""
    profiler = cProfile.Profile()
    outcome = profiler.runcall(execute, image, engine)
    print(f"{outcome.instructions} instructions, {outcome.seconds:.3f} s")
    pstats.Stats(profiler).sort_stats("tottime").print_stats(15)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--loops", default=",".join(LOOPS), help="which, separated by commas (default: all)")
    parser.add_argument("--engine", default="threaded")
    parser.add_argument("--profile", metavar="LOOP", help="run one loop under Python's profiler")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(vars(execute(given.child, given.engine))))
        return
    loops = given.loops.split(",")
    if unknown := set(loops) - set(LOOPS):
        parser.error(f"no loop {', '.join(sorted(unknown))}: there are {', '.join(LOOPS)}")
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        directory = Path(name)
        images = build(directory)
        if given.profile:
            show_profile(images[given.profile], given.engine)
            return
        # Compiles the handlers, if the cache does not have them.
        for loop in loops:
            run_ours(images[loop], given.engine)
        print(
            "| loop | million instructions | QEMU s | ours s | ours MIPS | ratio min, median, max | RSS MB |"
        )
        print("|---|---|---|---|---|---|---|")
        ratios = {n: compare(n, images[n], directory, given.rounds, given.engine) for n in loops}
        warm = [ratio for loop, ratio in ratios.items() if loop != "cold"]
        if warm:
            print(f"\ngeometric mean of the loops: {math.exp(statistics.fmean(map(math.log, warm))):.2f}")
        starts = [first_character(images["console"]) for _ in range(given.rounds + 1)][1:]
        print(f"`k42 emulate` to the guest's first character: {statistics.median(starts):.2f} s")


if __name__ == "__main__":
    main()
