"""`k42 emulate [KERNEL]`: only the machine, with its line at an endpoint and its own gdb stub.

Ends when the guest does, with the guest's exit code as status; a gdb that is connected hears of it first.
"""

from __future__ import annotations

import argparse
import sys

import trio

from emulator.config import MachineKind
from emulator.cpu.exits import Exit, ExitKind
from emulator.debug import EmulatorTarget
from emulator.machine import Machine
from emulator.runner import MachineRunner, describe
from k42.errors import UserError
from k42.gdb_port import serve_gdb_port
from k42.machine_options import add_machine_options, build_machine, build_runner, line_port
from k42.packet_log import add_log_option, start_packet_log
from k42.ports import DEFAULT_BASE, Ports
from k42.running import run_async
from k42.socket_pair import stream_pair
from thinwire.console import run_console
from thinwire.endpoints import Endpoint, parse_endpoint
from thinwire.streams import open_streams

CHECKSTOP_STATUS = 1


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("emulate", help="only the machine")
    add_machine_options(parser)
    parser.add_argument(
        "--line",
        metavar="ENDPOINT",
        help=f"where the machine's line is (default listen:{Ports(DEFAULT_BASE).line}; none for lpar)",
    )
    parser.add_argument("--gdb", metavar="HOST:PORT", help="offer the emulator's own gdb stub there")
    add_log_option(parser)
    parser.add_argument("--halt", action="store_true", help="wait for gdb before the first instruction")
    parser.add_argument(
        "--console", choices=("stdio",), help="join the console of mambo or lpar to standard input and output"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the machine to its end."""
    start_packet_log(arguments.log)
    if arguments.halt and arguments.gdb is None:
        raise UserError("--halt waits for gdb: say where with --gdb PORT")
    line = _line(arguments)
    gdb = None if arguments.gdb is None else parse_endpoint(arguments.gdb, listens=True)
    exit_ = run_async(_emulate, build_machine(arguments), arguments, line, gdb)
    print(f"k42 emulate: {describe(exit_)}", file=sys.stderr)
    return exit_.detail & 0xFF if exit_.kind is ExitKind.SHUTDOWN else CHECKSTOP_STATUS


def _line(arguments: argparse.Namespace) -> Endpoint | None:
    if arguments.line is not None:
        return parse_endpoint(arguments.line)
    if arguments.machine == MachineKind.LPAR.value or arguments.console is not None:
        return None
    return parse_endpoint(f"listen:{Ports(DEFAULT_BASE).line}")


async def _emulate(
    machine: Machine, arguments: argparse.Namespace, line: Endpoint | None, gdb: Endpoint | None
) -> Exit:
    runner = build_runner(machine, arguments, halted=arguments.halt)
    async with trio.open_nursery() as nursery:
        if gdb is not None:
            place = await nursery.start(serve_gdb_port, gdb, EmulatorTarget(runner))
            print(f"gdb   target remote {place}", file=sys.stderr, flush=True)
        if line is not None:
            place = await nursery.start(serve_line, runner, line)
            print(f"line  {place}", file=sys.stderr, flush=True)
        if arguments.console == "stdio":
            nursery.start_soon(_join_console, runner)
        nursery.start_soon(runner.run)
        exit_ = await runner.wait_end()
        nursery.cancel_scope.cancel()
    return exit_


async def serve_line(
    runner: MachineRunner, endpoint: Endpoint, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
) -> None:
    """Join the machine's wire to whoever is at `endpoint`, one peer after the other."""
    async with open_streams(endpoint) as (place, connect):
        task_status.started(place)
        while True:
            async with await connect() as stream:
                await runner.attach(stream, line_port(runner.machine))


async def _join_console(runner: MachineRunner) -> None:
    """Join the machine's console port to our terminal; leaving it leaves the machine running."""
    ours, theirs = stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(runner.attach, theirs, runner.machine.console)
        await run_console(ours)
        nursery.cancel_scope.cancel()
