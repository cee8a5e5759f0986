"""`k42 gdb`: find a gdb that knows PPC64, give it the kernel's symbols and our commands, and connect it.

gdb replaces this process, so its terminal handling is its own.  Arguments after `--` go to gdb as they are.
"""

from __future__ import annotations

import argparse
import os
import socket
from pathlib import Path

from k42.errors import UserError
from k42.gdb_programs import ARCHITECTURE, find_gdb
from k42.kernel import find_kernel
from k42.machines import find_machine
from k42.ports import LOOPBACK, Ports, add_base_option
from thinwire.endpoints import Connect, ConnectUnix, Device, Endpoint, parse_endpoint

EXTENSION = Path(__file__).with_name("gdb_extension.py")


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "gdb",
        help="start gdb with symbols and our commands, connected",
        usage="k42 gdb [options] [HOST:PORT] [-- GDB-ARGUMENTS...]",
        epilog="What follows -- is passed on to gdb.",
    )
    parser.add_argument(
        "endpoint",
        nargs="?",
        metavar="HOST:PORT",
        help="or a name in k42.toml (default: our `k42 up`)",
    )
    parser.add_argument("--kernel", metavar="FILE", help="the kernel with symbols (default: our own guest)")
    add_base_option(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Become gdb; returns only by raising UserError."""
    program = find_gdb()
    machine = find_machine(arguments.endpoint) if arguments.endpoint else None
    ports = Ports(machine.base if machine else arguments.base)
    if arguments.endpoint and machine is None:
        endpoint = gdb_address(parse_endpoint(arguments.endpoint))
    else:
        endpoint = find_listener(ports)
    kernel = find_kernel(arguments.kernel or (machine.symbols if machine else None))
    command = [program, *connect_arguments(endpoint, kernel), *arguments.foreign]
    try:
        os.execv(program, command)
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
        "-ex", f"target remote {endpoint}",
    ]  # fmt: skip


def gdb_address(endpoint: Endpoint) -> str:
    """Return an endpoint as gdb's `target remote` takes it.  Raises UserError for what gdb cannot reach."""
    match endpoint:
        case Connect():
            return str(endpoint)
        case ConnectUnix(path) | Device(path):
            return path
    raise UserError(f"{endpoint}: gdb connects to HOST:PORT, unix:PATH or a device")


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
