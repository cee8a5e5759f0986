#!/usr/bin/env python3
"""How fast is the emulator's gdb stub? Measured beside QEMU's, in one run, interleaved.

    python scripts/bench_rsp.py                       three rounds
    python scripts/bench_rsp.py --rounds 1 --steps 200

Both machines run one small program in real mode (scripts/bench_rsp/loop.s). A plain client on a socket
measures round trips; the installed gdb measures what its user sees, bare and with the settings of `k42 gdb`.
Packets are counted in gdb's own log of the line. Compare within one run: the machine's other work is in all
figures alike.
"""

from __future__ import annotations

import argparse
import json
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gdbstub.packet import Decoder, Packet, frame
from k42.gdb import cache_arguments
from k42.gdb_programs import find_gdb

HERE = Path(__file__).resolve().parent / "bench_rsp"
ENTRY = 0x100
DUMP_ADDRESS, DUMP_SIZE = 0x20_0000, 1 << 20
START_SECONDS = 30.0

SERVERS = ("ours", "qemu")


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


def time_packets(client: Client, body: bytes, count: int) -> float:
    """Return the median round trip in microseconds."""
    taken = []
    for _ in range(count):
        begin = time.perf_counter()
        client.ask(body)
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken) * 1e6


def measure_raw(port: int, steps: int) -> Iterator[tuple[str, float]]:
    client = Client(port)
    try:
        yield "vCont;s p50, us", time_packets(client, b"vCont;s:1", steps)
        yield "g p50, us", time_packets(client, b"g", steps)
        piece = min(client.packet_size // 2 - 32, 1 << 16)
        begin = time.perf_counter()
        for at in range(DUMP_ADDRESS, DUMP_ADDRESS + DUMP_SIZE, piece):
            client.ask(b"m%x,%x" % (at, piece))
        yield "m, MB/s", DUMP_SIZE / 1e6 / (time.perf_counter() - begin)
    finally:
        client.close()


def measure_gdb(
    port: int, program: Path, steps: int, folder: Path, settings: list[str], *, counts: bool
) -> dict[str, float]:
    """Run gdb with scripts/bench_rsp/measure.py inside: it counts packets, or takes times."""
    plan = {
        "target": f"127.0.0.1:{port}",
        "steps": steps,
        "log": str(folder / "packets.log") if counts else "",
        "dump": str(folder / "dump.bin"),
        "dump_range": [DUMP_ADDRESS, DUMP_ADDRESS + DUMP_SIZE],
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
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port, process)
        yield port
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
            for server in SERVERS:
                with running(server, image) as port:
                    for what, figure in measure_raw(port, arguments.steps):
                        figures[what][server].append(figure)
                    for kind, settings in (("bare", []), ("k42 gdb", cache_arguments(elf))):
                        for counts in (True, False):
                            found = measure_gdb(port, elf, arguments.steps, folder, settings, counts=counts)
                            for what, figure in found.items():
                                figures[f"{what} ({kind})"][server].append(figure)
    print(f"{'':44} {'ours':>10} {'qemu':>10} {'ratio':>7}")
    for what, by_server in figures.items():
        ours, qemu = (statistics.median(by_server[server]) for server in SERVERS)
        print(f"{what:44} {ours:10.1f} {qemu:10.1f} {ours / qemu:7.2f}")


if __name__ == "__main__":
    main()
