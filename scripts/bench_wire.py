#!/usr/bin/env python3
"""How fast is the multiplexer? Measured beside a C server, in one run, interleaved.

    python scripts/bench_wire.py                          both placements, five rounds
    python scripts/bench_wire.py --reference PATH         against another server, called PATH HOST:PORT PORT
    PORT python scripts/bench_wire.py --modes echo --rounds 3 --placements one

The victim is scripts/bench_wire/victim.c. The reference is scripts/bench_wire/reference_server.c, which
stands for the original servers: one thread, one read and one write for each frame. Both sides are pinned:
with both on one CPU ("one") a round trip costs two context switches, on two ("two") two wake-ups across CPUs,
which is several times slower for everybody; unpinned runs flip between the two. So compare medians of the
same placement, and never operations per second, which the scheduler decides.
"""

from __future__ import annotations

import argparse
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent / "bench_wire"


@dataclass(frozen=True)
class Load:
    """One measurement: what the victim does."""

    mode: str
    size: int
    count: int

    @property
    def is_stream(self) -> bool:
        return self.mode == "stream"


PLAN = (
    Load("write", 64, 4000),
    Load("write", 16384, 2000),
    Load("select", 0, 4000),
    Load("echo", 64, 2000),
    Load("stream", 64, 200_000),
    Load("stream", 1024, 80_000),
    Load("stream", 16384, 12_000),
)


@dataclass(frozen=True)
class Figures:
    """What came of it. Times in microseconds."""

    median: float
    megabytes: float
    server_cpu: float


def build(source: str, directory: Path) -> Path:
    """Compile one of our C programs."""
    program = directory / Path(source).stem
    subprocess.run(["cc", "-O2", "-pthread", "-o", program, HERE / source], check=True)
    return program


def free_ports(count: int) -> list[int]:
    """Ports that nobody has now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports: list[int] = [sock.getsockname()[1] for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports


def wait_for(measuring: subprocess.Popen[str], serving: subprocess.Popen[bytes], name: str) -> str:
    """The victim's output; ends everything if the server dies or nothing comes of it."""
    for _ in range(60):
        try:
            output, _ = measuring.communicate(timeout=1)
            return output
        except subprocess.TimeoutExpired:
            if serving.poll() is not None:
                break
    measuring.kill()
    serving.kill()
    raise SystemExit(f"bench_wire: {name}: no result (status {serving.poll()})")


def measure(victim: Path, server: list[str], load: Load, cpus: tuple[int, int], prefix: str) -> Figures:
    """One run of a server under a load; `cpus` are the victim's and the server's."""
    line, first, second = free_ports(3)
    words = [str(line), str(second), prefix + load.mode, str(load.size), str(load.count)]
    measuring = subprocess.Popen(
        ["taskset", "-c", str(cpus[0]), victim, *words], stdout=subprocess.PIPE, text=True
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    serving = subprocess.Popen(
        ["taskset", "-c", str(cpus[1]), *server, f"127.0.0.1:{line}", str(first), str(second)],
        stdout=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    output = wait_for(measuring, serving, " ".join(server))
    serving.terminate()
    serving.wait(timeout=10)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if measuring.returncode:
        raise SystemExit(f"bench_wire: {' '.join(server)}: the victim failed in {load}")
    seconds, median, _, moved = (float(word) for word in output.split())
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return Figures(median, moved / seconds / 1e6, cpu / load.count * 1e6)


def main() -> None:
    """Run the plan and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reference", help="a server program to compare with (default: our own, in C)")
    parser.add_argument(
        "--reference-has-handshake", action="store_true", help="it waits for the sentinel (thinwire2, 3)"
    )
    parser.add_argument("--ours", default=f"{sys.executable} -m thinwire --protocol 3", help="our command")
    parser.add_argument("--low-latency", action="store_true", help="measure ours with --low-latency as well")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="multiply all counts")
    parser.add_argument("--modes", default="write,select,echo,stream")
    parser.add_argument("--placements", default="one,two", help="both on one CPU, on two, or both of these")
    given = parser.parse_args()
    cpus = sorted(os.sched_getaffinity(0))
    placements = {"one": (cpus[0], cpus[0]), "two": (cpus[0], cpus[-1])}
    with tempfile.TemporaryDirectory() as directory:
        victim = build("victim.c", Path(directory))
        reference = given.reference or str(build("reference_server.c", Path(directory)))
        servers = {"C": ([reference], "" if given.reference_has_handshake else "v1-")}
        servers["ours"] = (given.ours.split(), "")
        if given.low_latency:
            servers["low latency"] = ([*given.ours.split(), "--low-latency"], "")
        print("| placement | load | bytes | server | p50 us | MB/s | server CPU us/op | ratio |")
        print("|---|---|---|---|---|---|---|---|")
        for placement in given.placements.split(","):
            for load in PLAN:
                if load.mode in given.modes.split(","):
                    scaled = Load(load.mode, load.size, max(100, int(load.count * given.scale)))
                    compare(placement, placements[placement], victim, servers, scaled, given.rounds)


def compare(
    placement: str,
    cpus: tuple[int, int],
    victim: Path,
    servers: dict[str, tuple[list[str], str]],
    load: Load,
    rounds: int,
) -> None:
    """One load under all servers, a row each; the ratio is to the first: more is better for streams only."""
    figures: dict[str, list[Figures]] = defaultdict(list)
    for turn in range(rounds):
        order = list(servers.items())
        for name, (command, prefix) in order if turn % 2 == 0 else reversed(order):
            figures[name].append(measure(victim, command, load, cpus, prefix))
    base: float | None = None
    for name, runs in figures.items():
        median, megabytes, cpu = (
            statistics.median(getattr(run, what) for run in runs)
            for what in ("median", "megabytes", "server_cpu")
        )
        value = megabytes if load.is_stream else median
        base = base or value
        shown = "-" if load.is_stream else f"{median:.1f}"
        speed = f"{megabytes:.1f}" if load.is_stream else "-"
        print(
            f"| {placement} | {load.mode} | {load.size} | {name} | {shown} | {speed} | {cpu:.1f} "
            f"| {value / base:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
