#!/usr/bin/env python3
"""How fast is the emulator's gdb stub? Measured beside QEMU's, in one run, interleaved.

    python scripts/bench_rsp.py                       three rounds
    python scripts/bench_rsp.py --rounds 1 --steps 200

Both machines run one small program in real mode (scripts/bench_rsp/loop.s). A plain client on a socket
measures round trips; the installed gdb measures what its user sees, bare and with the settings of `k42 gdb`.
Packets are counted in gdb's own log of the line. "Chain" is gdb, the bridge, the multiplexer, and our guest's
own stub in the emulator (`k42 up`); QEMU has no such thing.

Both machines are up at the same time, asked in turn, and idle when they are not asked. Compare within one
run: the host's other work is in all figures alike, or nearly so; trust the median of several rounds.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gdbstub.packet import Decoder, Packet, frame
from k42.gdb import cache_arguments
from k42.gdb_programs import find_gdb
from k42.kernel import guest_kernel
from k42.ports import Ports

HERE = Path(__file__).resolve().parent / "bench_rsp"
ENTRY = 0x100
# Two stretches of memory: one is filled with what does not repeat, the next is zero.
DUMP_ADDRESS, DUMP_SIZE = 0x20_0000, 1 << 20
START_SECONDS = 30.0


STEPI = "stepi/s ({})"
# Packets that one server gets before it is the other's turn.
BATCH = 20

# What we want: a figure of ours by one of QEMU's, and how much that shall be.
GOALS: tuple[tuple[str, str, str, float], ...] = (
    ("vCont;s p50, us", "vCont;s p50, us", "<=", 1.0),
    ("m, MB/s", "m, MB/s", ">=", 2.0),
    (STEPI.format("k42 gdb"), STEPI.format("bare"), ">=", 3.0),
    (STEPI.format("chain"), STEPI.format("bare"), ">=", 1.0),
    ("false conditions/s (bare)", "false conditions/s (bare)", ">=", 100.0),
    ("dump, MB/s (bare)", "dump, MB/s (bare)", ">=", 2.0),
    ("dump of zeros, MB/s (bare)", "dump of zeros, MB/s (bare)", ">=", 2.0),
)


class Client:
    """A client as simple as one can be; no acknowledgements where the server allows it."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._decoder = Decoder(1 << 20)
        self._acknowledges = True
        features = self.ask(b"qSupported:swbreak+;hwbreak+;vContSupported+")
        found = re.search(rb"PacketSize=([0-9a-f]+)", features)
        self.packet_size = int(found[1], 16) if found else 400
        if b"QStartNoAckMode+" in features:
            self.ask(b"QStartNoAckMode")
            self._acknowledges = False
        # QEMU dies of a `g` from somebody who has not read its description.
        self.ask(b"qXfer:features:read:target.xml:0,400")
        self.ask(b"?")

    def ask(self, body: bytes) -> bytes:
        self._socket.sendall(frame(body))
        while True:
            data = self._socket.recv(1 << 18)
            if not data:
                sys.exit(f"the server has closed the connection after {body[:40]!r}")
            for event in self._decoder.feed(data):
                if isinstance(event, Packet):
                    if self._acknowledges:
                        self._socket.sendall(b"+")
                    return event.body

    def close(self) -> None:
        self._socket.close()


def time_packets(clients: dict[str, Client], body: bytes, count: int) -> dict[str, float]:
    """Return the median round trip to each server in microseconds; they are asked in turn."""
    taken: dict[str, list[float]] = {server: [] for server in clients}
    for _ in range(0, count, BATCH):
        for server, client in clients.items():
            for _ in range(BATCH):
                begin = time.perf_counter()
                client.ask(body)
                taken[server].append(time.perf_counter() - begin)
    return {server: statistics.median(times) * 1e6 for server, times in taken.items()}


def time_transfer(clients: dict[str, Client], request: Callable[[int, int], bytes]) -> dict[str, float]:
    """Return MB/s of `request(offset, length)` over the whole stretch, in the largest packets allowed."""
    taken = {}
    for server, client in clients.items():
        piece = min(client.packet_size // 2 - 32, 1 << 16)
        begin = time.perf_counter()
        for offset in range(0, DUMP_SIZE, piece):
            client.ask(request(offset, min(piece, DUMP_SIZE - offset)))
        taken[server] = DUMP_SIZE / 1e6 / (time.perf_counter() - begin)
    return taken


def measure_raw(ports: dict[str, int], steps: int) -> Iterator[tuple[str, dict[str, float]]]:
    clients = {server: Client(port) for server, port in ports.items()}
    filling = random.Random(1).randbytes(DUMP_SIZE).hex().encode()

    def write(offset: int, length: int) -> bytes:
        return b"M%x,%x:%b" % (DUMP_ADDRESS + offset, length, filling[2 * offset : 2 * (offset + length)])

    def read(offset: int, length: int) -> bytes:
        return b"m%x,%x" % (DUMP_ADDRESS + offset, length)

    try:
        yield "vCont;s p50, us", time_packets(clients, b"vCont;s:1", steps)
        yield "g p50, us", time_packets(clients, b"g", steps)
        yield "m of 4 bytes p50, us", time_packets(clients, b"m%x,4" % ENTRY, steps)
        yield "M, MB/s", time_transfer(clients, write)
        yield "m, MB/s", time_transfer(clients, read)
    finally:
        for client in clients.values():
            client.close()


def measure_gdb(
    port: int,
    program: Path,
    steps: int,
    folder: Path,
    settings: list[str],
    *,
    counts: bool = False,
    dumps: bool = True,
) -> dict[str, float]:
    """Run gdb with scripts/bench_rsp/measure.py inside: it counts packets, or takes times."""
    plan = {
        "target": f"127.0.0.1:{port}",
        "steps": steps,
        "log": str(folder / "packets.log") if counts else "",
        "dump": str(folder / "dump.bin"),
        "dumps": {"dump": DUMP_ADDRESS, "dump of zeros": DUMP_ADDRESS + DUMP_SIZE} if dumps else {},
        "dump_size": DUMP_SIZE,
    }
    command = [find_gdb(), "-nx", "-batch", "-ex", "set architecture powerpc:common64"]
    command += ["-ex", f"file {program}", *settings, "-ex", f"python plan = {plan!r}"]
    command += ["-ex", f"source {HERE / 'measure.py'}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    found = re.search(r"^FIGURES (.*)$", done.stdout, re.MULTILINE)
    if found is None:
        sys.exit(f"gdb says:\n{done.stdout}{done.stderr}")
    return dict(json.loads(found[1]))


def build(folder: Path) -> tuple[Path, Path]:
    """Return the program as an ELF file for gdb and as an image for the machines."""
    unit, elf, image = folder / "loop.o", folder / "loop.elf", folder / "loop.bin"
    for command in (
        ["powerpc64-linux-gnu-as", "-g", "-mbig", "-mpower4", "-o", str(unit), str(HERE / "loop.s")],
        ["powerpc64-linux-gnu-ld", "-Ttext", hex(ENTRY), "-e", "_start", "-o", str(elf), str(unit)],
        ["powerpc64-linux-gnu-objcopy", "-O", "binary", "-j", ".text", str(elf), str(image)],
    ):
        subprocess.run(command, check=True)
    return elf, image


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(server: str, image: Path) -> Iterator[int]:
    """Start a machine, halted; gives its stub's port."""
    port = free_port()
    command = {
        "ours": [
            *(str(Path(sys.executable).with_name("k42")), "emulate", str(image), "--raw", hex(ENTRY)),
            *("--memory", "64M", "--halt", "--line", "listen:127.0.0.1:0", "--gdb", f"127.0.0.1:{port}"),
        ],
        "qemu": [
            *("qemu-system-ppc64", "-M", "none", "-cpu", "970fx", "-m", "64", "-nodefaults", "-nographic"),
            *("-S", "-gdb", f"tcp:127.0.0.1:{port}"),
            *("-device", f"loader,file={image},addr={ENTRY:#x},force-raw=on"),
            *("-device", f"loader,addr={ENTRY:#x},cpu-num=0"),
        ],
    }[server]
    with serving(command, port):
        yield port


@contextmanager
def running_chain() -> Iterator[int]:
    """Start everything with our own guest; gives the bridge's port."""
    base = free_port()
    command = [str(Path(sys.executable).with_name("k42")), "up", "--no-console", "--base", str(base)]
    with serving(command, Ports(base).bridge):
        yield Ports(base).bridge


@contextmanager
def serving(command: list[str], port: int) -> Iterator[None]:
    """Run a command that listens on `port`."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port, process)
        yield
    finally:
        process.terminate()
        process.wait()


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until the port is listened on, without connecting: both serve one client at a time."""
    deadline = time.monotonic() + START_SECONDS
    wanted = f"0100007F:{port:04X}"
    while time.monotonic() < deadline and process.poll() is None:
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        # State 0A is LISTEN.
        if any(row[1] == wanted and row[3] == "0A" for row in rows):
            return
        time.sleep(0.05)
    sys.exit(f"nobody listens on port {port}: {' '.join(map(str, process.args))}")  # type: ignore[arg-type]


def main() -> None:
    parser = argparse.ArgumentParser(description="The emulator's gdb stub beside QEMU's.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=500)
    arguments = parser.parse_args()
    figures: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        elf, image = build(folder)
        for _ in range(arguments.rounds):
            with running("ours", image) as ours, running("qemu", image) as qemu:
                ports = {"ours": ours, "qemu": qemu}
                for what, by_server in measure_raw(ports, arguments.steps):
                    for server, figure in by_server.items():
                        figures[what][server].append(figure)
                for kind, settings in (("bare", []), ("k42 gdb", cache_arguments(elf))):
                    for counts in (True, False):
                        for server, port in ports.items():
                            found = measure_gdb(port, elf, arguments.steps, folder, settings, counts=counts)
                            for what, figure in found.items():
                                figures[f"{what} ({kind})"][server].append(figure)
            figures[STEPI.format("chain")]["ours"].append(measure_chain(arguments.steps, folder))
    report(figures)


def measure_chain(steps: int, folder: Path) -> float:
    """Return how many `stepi` a second gdb makes with the kernel's own stub at the far end."""
    kernel = guest_kernel()
    with running_chain() as port:
        found = measure_gdb(port, kernel, steps, folder, cache_arguments(kernel), dumps=False)
    return found["stepi/s"]


def report(figures: dict[str, dict[str, list[float]]]) -> None:
    medians = {
        what: {server: statistics.median(taken) for server, taken in by_server.items()}
        for what, by_server in figures.items()
    }
    print(f"{'':44} {'ours':>10} {'qemu':>10} {'ratio':>7}")
    for what, figure in medians.items():
        ours, qemu = figure["ours"], figure.get("qemu")
        beside = "" if qemu is None else f" {qemu:10.1f} {ours / qemu if qemu else 1:7.2f}"
        print(f"{what:44} {ours:10.1f}{beside}")
    print(f"\n{'ours by QEMU':62} {'is':>7} {'wanted':>8}")
    for mine, theirs, relation, bound in GOALS:
        words = mine if mine == theirs else f"{mine} by {theirs}"
        ratio = medians[mine]["ours"] / medians[theirs]["qemu"]
        print(f"{words:62} {ratio:7.2f} {relation:>3} {bound:g}")


if __name__ == "__main__":
    main()
