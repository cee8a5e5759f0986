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

Behind the table: how long another task of our process waits while a stream runs (through a server in this
process), and with --memory FRAMES what our server's memory is during a stream of so many.
"""

from __future__ import annotations

import argparse
import logging
import os
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from thinwire import lifetime
from thinwire.endpoints import Connect, Listen
from thinwire.server import serve

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


def cpu_seconds(process: int) -> float:
    """CPU time that a running process has used."""
    return int(Path(f"/proc/{process}/schedstat").read_text().split()[0]) / 1e9


def resident(process: int) -> int:
    """KiB of memory that a running process has in use."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


@contextmanager
def started(
    victim: Path, server: list[str], load: Load, cpus: tuple[int, int], prefix: str = ""
) -> Iterator[tuple[subprocess.Popen[str], subprocess.Popen[bytes]]]:
    """A victim and a server that have met and are about to begin; ends them."""
    for _ in range(5):
        line, first, second = free_ports(3)  # somebody else may be quicker to take them
        words = [str(line), str(second), prefix + load.mode, str(load.size), str(load.count)]
        measuring = subprocess.Popen(
            ["taskset", "-c", str(cpus[0]), victim, *words], stdout=subprocess.PIPE, text=True
        )
        serving = subprocess.Popen(
            ["taskset", "-c", str(cpus[1]), *server, f"127.0.0.1:{line}", str(first), str(second)],
            stdout=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
        )
        try:
            if is_ready(measuring, serving):
                watchdog = threading.Timer(300, measuring.kill)
                watchdog.daemon = True
                watchdog.start()
                yield measuring, serving
                watchdog.cancel()
                return
        finally:
            measuring.kill()
            serving.terminate()
            measuring.wait(timeout=10)
            serving.wait(timeout=10)
    raise SystemExit(f"bench_wire: {' '.join(server)} does not serve the victim")


def is_ready(measuring: subprocess.Popen[str], serving: subprocess.Popen[bytes]) -> bool:
    """Wait until the victim says so; False if the server ends or nothing comes of it."""
    assert measuring.stdout is not None
    for _ in range(100):
        if select.select([measuring.stdout], [], [], 0.1)[0]:
            return measuring.stdout.readline() == "ready\n"
        if serving.poll() is not None:
            return False
    return False


def measure(victim: Path, server: list[str], load: Load, cpus: tuple[int, int], prefix: str) -> Figures:
    """One run of a server under a load; `cpus` are the victim's and the server's."""
    with started(victim, server, load, cpus, prefix) as (measuring, serving):
        before = cpu_seconds(serving.pid)
        assert measuring.stdout is not None
        output = measuring.stdout.read()
        if measuring.wait():
            raise SystemExit(f"bench_wire: {' '.join(server)}: no result of {load} ({serving.poll()})")
        cpu = cpu_seconds(serving.pid) - before
    seconds, median, _, moved = (float(word) for word in output.split())
    return Figures(median, moved / seconds / 1e6, cpu / load.count * 1e6)


def measure_memory(victim: Path, server: list[str], cpus: tuple[int, int], frames: int) -> None:
    """Print what a server's memory is at the start of a long stream, in the middle and at its end."""
    print(f"memory over {frames} unanswered writes of 64 B:", end="", flush=True)
    with started(victim, server, Load("stream", 64, frames), cpus) as (measuring, serving):
        tenth = frames // 10 * 69
        for part in range(11):
            while measuring.poll() is None and read_so_far(serving.pid) < part * tenth:
                time.sleep(0.01)
            print(f" {resident(serving.pid)}", end="", flush=True)
    print(" KiB")


def read_so_far(process: int) -> int:
    """Bytes that a running process has read."""
    return int(Path(f"/proc/{process}/io").read_text().split()[1])


def measure_gap(victim: Path, cpus: tuple[int, int], load: Load) -> None:
    """Print how long another task of the server's process has to wait while a stream runs.

    Wall time shows what other programs do to us as well; CPU time only what the server does.
    """
    logging.disable()
    line, first, second = free_ports(3)
    words = [str(line), str(second), load.mode, str(load.size), str(load.count)]
    walls: list[float] = []
    cpus_used: list[float] = []

    async def tick() -> None:
        while True:
            wall, cpu = time.perf_counter(), time.process_time()
            await trio.sleep(0.001)
            walls.append(time.perf_counter() - wall - 0.001)
            cpus_used.append(time.process_time() - cpu)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            channels = {number: Listen("127.0.0.1", port) for number, port in enumerate((first, second))}
            await nursery.start(serve, Connect("127.0.0.1", line), channels)
            nursery.start_soon(tick)
            with trio.fail_after(120):
                await trio.to_thread.run_sync(measuring.communicate, abandon_on_cancel=True)
            nursery.cancel_scope.cancel()

    with subprocess.Popen(
        ["taskset", "-c", str(cpus[0]), victim, *words], stdout=subprocess.PIPE
    ) as measuring:
        os.sched_setaffinity(0, {cpus[1]})
        lifetime.run(main)  # as a command does
    ours, wall = _describe(cpus_used), _describe(walls)
    print(
        f"a task that wants to run every millisecond during the stream of {load.size} B: the server takes "
        f"{ours} ms of CPU time in between (median, 99 %, worst), and it is late by {wall} ms",
        flush=True,
    )


def _describe(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    return (
        ", ".join(f"{1e3 * ordered[len(ordered) * share // 1000]:.1f}" for share in (500, 990))
        + f", {1e3 * ordered[-1]:.1f}"
    )


def main() -> None:
    """Run the plan and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reference", help="a server program to compare with (default: our own, in C)")
    parser.add_argument(
        "--reference-has-handshake", action="store_true", help="it waits for the sentinel (thinwire2, 3)"
    )
    parser.add_argument("--ours", default=f"{sys.executable} -m thinwire --protocol 3", help="our command")
    parser.add_argument("--low-latency", action="store_true", help="measure ours with --low-latency as well")
    parser.add_argument(
        "--memory", type=int, default=0, metavar="FRAMES", help="watch the memory over a stream"
    )
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
        print()
        if "stream" in given.modes:
            for load in PLAN:
                if load.is_stream:
                    measure_gap(victim, placements["two"], load)
        if given.memory:
            measure_memory(victim, given.ours.split(), placements["two"], given.memory)


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
