"""`k42 gdb`: find a gdb that knows PPC64, give it the kernel's symbols and our commands, and connect it.

gdb replaces this process, so its terminal handling is its own.  Arguments after `--` go to gdb as they are.
"""

from __future__ import annotations

import argparse
import os
import socket
from pathlib import Path

import trio
from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from gdbstub.memory_cache import LINE
from k42.controls import find_control
from k42.errors import UserError
from k42.gdb_programs import ARCHITECTURE, find_gdb
from k42.kernel import find_symbols, guest_kernel
from k42.machines import find_machine, find_place, ports_of
from k42.ports import LOOPBACK, Ports, add_base_option, refuse_base
from k42.subcommand import add_subcommand
from thinwire.endpoints import Connect, ConnectUnix, Device, Endpoint

EXTENSION = Path(__file__).with_name("gdb_extension.py")


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_subcommand(
        subparsers,
        "gdb",
        "start gdb with symbols and our commands, connected",
        "k42 gdb                       to the `k42 up` that runs here: the kernel's own stub",
        "k42 gdb localhost:2112        the emulator's stub",
        "k42 gdb localhost:2103 --kernel boot_image.dbg -- -x commands.gdb",
        usage="k42 gdb [options] [HOST:PORT|NAME] [-- GDB-ARGUMENTS...]",
        notes="What follows -- is passed on to gdb.",
    )
    parser.add_argument(
        "endpoint",
        nargs="?",
        metavar="HOST:PORT|NAME",
        help="a stub, or a machine of k42.toml (default: our `k42 up`)",
    )
    parser.add_argument("--kernel", metavar="FILE", help="the kernel with symbols (default: our own guest)")
    add_base_option(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Become gdb; returns only by raising UserError."""
    program = find_gdb()
    machine = None if arguments.endpoint is None else find_machine(arguments.endpoint)
    if arguments.endpoint is not None and machine is None:
        refuse_base(arguments)
        place = find_place(arguments.endpoint)
        endpoint, neighbours = gdb_address(place), ports_around(place)
    else:
        neighbours = [ports_of(machine, arguments.base)]
        endpoint = find_listener(neighbours[0])
    symbols = arguments.kernel or (machine.symbols if machine else None)
    kernel = guest_kernel() if symbols is None else find_symbols(symbols)
    command = [program, *connect_arguments(endpoint, kernel), *arguments.foreign]
    environment = dict(os.environ)
    # Another machine's console must not be typed on.
    environment.pop("K42_CONTROL", None)
    for ports in neighbours:
        control = trio.run(find_control, Connect(LOOPBACK, ports.console))
        if control is not None:
            environment["K42_CONTROL"] = control.path
    try:
        os.execve(program, command, environment)
    except OSError as error:
        raise UserError(f"cannot start {program}: {error.strerror}") from None


def connect_arguments(endpoint: str, kernel: Path) -> list[str]:
    """Return gdb's arguments: architecture, symbols, our commands, and the connection."""
    return [
        "-q",
        "-ex", f"set architecture {ARCHITECTURE}",
        "-ex", f"file {kernel}",
        "-ex", f"directory {kernel.parent}",
        "-ex", f"source {EXTENSION}",
        *cache_arguments(kernel),
        "-ex", f"target remote {endpoint}",
    ]  # fmt: skip


def cache_arguments(kernel: Path) -> list[str]:
    """Return what makes gdb ask less: it keeps what it has read of the kernel's own memory until the next
    stop, and leaves breakpoints in while the kernel stands still.

    gdb for Power reads code word by word, and the same words several times for each stop.  Only the kernel's
    segments are kept in lines; devices lie elsewhere, and are read as they are asked for.
    """
    commands = [f"set dcache line-size {LINE}", "set breakpoint always-inserted on"]
    segments = _segments(kernel)
    if segments:
        commands += [f"mem {low:#x} {high:#x} rw cache" for low, high in segments]
        commands.append("set mem inaccessible-by-default off")
    return [word for command in commands for word in ("-ex", command)]


def _segments(kernel: Path) -> list[tuple[int, int]]:
    """Return the bounds of the kernel's segments, in whole lines; none for a file that is no ELF.

    A line that a region cuts in two costs gdb two reads after every stop.
    """
    try:
        with kernel.open("rb") as file:
            bounds = sorted(
                (segment["p_vaddr"] & -LINE, -(-(segment["p_vaddr"] + segment["p_memsz"]) // LINE) * LINE)
                for segment in ELFFile(file).iter_segments("PT_LOAD")
                if segment["p_memsz"]
            )
    except (OSError, ELFError):
        return []
    # gdb takes no regions that overlap, and none that are empty.
    cut = [
        (low, min([high, *(start for start, _ in bounds[index + 1 :])]))
        for index, (low, high) in enumerate(bounds)
    ]
    return [(low, high) for low, high in cut if low < high]


def gdb_address(endpoint: Endpoint) -> str:
    """Return an endpoint as gdb's `target remote` takes it.  Raises UserError for what gdb cannot reach."""
    match endpoint:
        case Connect():
            return str(endpoint)
        case ConnectUnix(path) | Device(path):
            return path
    raise UserError(f"{endpoint}: gdb connects to HOST:PORT, unix:PATH or a device")


def ports_around(endpoint: Endpoint) -> list[Ports]:
    """Return the sets of our ports that `endpoint` may belong to: none if it is not on this machine."""
    match endpoint:
        case Connect(host, port) if host in ("localhost", LOOPBACK):
            return Ports.around_gdb(port)
    return []


def find_listener(ports: Ports) -> str:
    """Return the first of our gdb ports where somebody listens.  Raises UserError that says what to start."""
    for port in (ports.bridge, ports.emulator_gdb):
        with socket.socket() as probe:
            probe.settimeout(1.0)
            if probe.connect_ex((LOOPBACK, port)) == 0:
                return f"{LOOPBACK}:{port}"
    raise UserError(
        f"nothing listens on {LOOPBACK}:{ports.bridge} or :{ports.emulator_gdb}: "
        "start `k42 up` first, or say where (k42 gdb HOST:PORT)"
    )
