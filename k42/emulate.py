"""`k42 emulate [KERNEL]`: only the machine, with its line at an endpoint and its own gdb stub.

Ends when the guest does, with the guest's exit code as status; a gdb that is connected hears of it first.  A
guest that waits for ever, in a branch to itself with interrupts off, has ended as well, unless there is a
line or a gdb port by which somebody may yet look at it.  A checkstop ends nothing where there is a gdb port.
"""

from __future__ import annotations

import argparse
import sys

import trio

from emulator.config import MachineKind
from emulator.cpu.exits import Exit, ExitKind, describe
from emulator.debug import EmulatorTarget
from emulator.machine import Machine
from emulator.runner import MachineRunner
from k42.errors import UserError
from k42.gdb_port import add_observe_option, observers_of, serve_gdb_port
from k42.machine_options import (
    add_machine_options,
    build_machine,
    build_runner,
    line_port,
    machine_kind,
    prepare,
)
from k42.packet_log import add_log_option, start_packet_log
from k42.pipe import stream_pair
from k42.ports import DEFAULT_BASE, LOOPBACK, Ports
from k42.subcommand import add_subcommand
from thinwire import lifetime
from thinwire.console import run_console
from thinwire.endpoints import Endpoint, parse_endpoint
from thinwire.line import LineError
from thinwire.streams import open_streams

CHECKSTOP_STATUS = 1
#: What the guest has printed last gets this long (seconds) to be written; a peer may have stopped reading.
LAST_WORDS = 2.0


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_subcommand(
        subparsers,
        "emulate",
        "only the machine, with its line and its own gdb stub at ports",
        "k42 emulate                                our guest; `k42 mux localhost:2101` joins its line",
        "k42 emulate kernel.elf --halt --gdb 1234   `target remote :1234` in gdb",
        "k42 emulate --machine lpar --console stdio --raw 0 --entry 0x100 image.bin",
    )
    add_machine_options(parser)
    parser.add_argument(
        "--line",
        metavar="ENDPOINT",
        help=f"where the machine's line is (default listen:{Ports(DEFAULT_BASE).line}; none for lpar, or "
        "with --console)",
    )
    parser.add_argument("--gdb", metavar="HOST:PORT", help="offer the emulator's own gdb stub there")
    add_observe_option(parser)
    add_log_option(parser)
    parser.add_argument("--halt", action="store_true", help="wait for gdb before the first instruction")
    parser.add_argument(
        "--console", choices=("stdio",), help="join the console of mambo or lpar to standard input and output"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the machine to its end."""
    _check(arguments)
    start_packet_log(arguments.log)
    line = _line(arguments)
    gdb = None if arguments.gdb is None else parse_endpoint(arguments.gdb, listens=True)
    machine = build_machine(arguments)
    exit_ = lifetime.run(_emulate, machine, arguments, line, gdb)
    match exit_.kind:
        case ExitKind.IDLE:
            words, status = f"the guest waits for ever at pc {machine.state.pc:#x}", 0
        case ExitKind.SHUTDOWN:
            words, status = describe(exit_), exit_.detail & 0xFF
        case _:
            words, status = describe(exit_), CHECKSTOP_STATUS
    print(f"k42 emulate: {words}", file=sys.stderr)
    return status


def _check(arguments: argparse.Namespace) -> None:
    """Raise UserError for an option that would come to nothing."""
    if arguments.gdb is None:
        if arguments.halt:
            raise UserError("--halt waits for gdb: say where with --gdb PORT")
        if arguments.observe is not None:
            raise UserError("--observe is for those who look beside the gdb of --gdb: give that as well")
        if arguments.log is not None:
            raise UserError("--log is for the packets of gdb: say where it connects, with --gdb PORT")
    if arguments.console is not None:
        kind = machine_kind(arguments)
        if kind is MachineKind.HARDWARE:
            raise UserError(
                "--console: a hardware machine has no console beside its line: choose --machine mambo or "
                "lpar, or see the line's with `k42 up`"
            )
        if kind is MachineKind.LPAR and arguments.line is not None:
            raise UserError("--line: the line of an lpar machine is its console: leave out this or --console")


def _line(arguments: argparse.Namespace) -> Endpoint | None:
    if arguments.line is not None:
        return parse_endpoint(arguments.line)
    if machine_kind(arguments) is MachineKind.LPAR or arguments.console is not None:
        return None
    return parse_endpoint(f"listen:{Ports(DEFAULT_BASE).line}")


async def _emulate(
    machine: Machine, arguments: argparse.Namespace, line: Endpoint | None, gdb: Endpoint | None
) -> Exit:
    runner = build_runner(machine, arguments, halted=arguments.halt)
    async with trio.open_nursery() as nursery:
        if gdb is not None:
            await prepare(machine)
            place = await nursery.start(serve_gdb_port, gdb, EmulatorTarget(runner), observers_of(arguments))
            print(f"gdb   target remote {place}", file=sys.stderr, flush=True)
        if line is not None:
            place = await _start_line(nursery, runner, line, arguments.line is None)
            print(f"line  {place}", file=sys.stderr, flush=True)
        console = Console(runner) if arguments.console == "stdio" else None
        if console is not None:
            nursery.start_soon(console.run)
        nursery.start_soon(runner.run)
        match line, gdb:
            case None, None:
                exit_ = await runner.wait_end_or_hang()
            case _, None:
                exit_ = await runner.wait_end()
            case _:
                exit_ = await runner.wait_shutdown()
        with trio.move_on_after(LAST_WORDS):
            await runner.flush()
            if console is not None:
                await console.finish()
        nursery.cancel_scope.cancel()
    return exit_


async def _start_line(nursery: trio.Nursery, runner: MachineRunner, line: Endpoint, is_default: bool) -> str:
    """Serve the line and return its place; a second machine's default line is wherever there is room."""
    try:
        return str(await nursery.start(serve_line, runner, line))
    except LineError:
        if not is_default:
            raise
        return str(await nursery.start(serve_line, runner, parse_endpoint(f"listen:{LOOPBACK}:0")))


async def serve_line(
    runner: MachineRunner, endpoint: Endpoint, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
) -> None:
    """Join the machine's wire to whoever is at `endpoint`, one peer after the other."""
    async with open_streams(endpoint) as (place, connect):
        task_status.started(place)
        while True:
            async with await connect() as stream:
                await runner.attach(stream, line_port(runner.machine))


class Console:
    """The machine's console port joined to our terminal; leaving it leaves the machine running."""

    def __init__(self, runner: MachineRunner) -> None:
        self._runner = runner
        self._ours, self._theirs = stream_pair()
        self._left = trio.Event()

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._runner.attach, self._theirs, self._runner.machine.console)
            await run_console(self._ours)
            self._left.set()
            nursery.cancel_scope.cancel()

    async def finish(self) -> None:
        """Wait until the terminal shows what the console has been given."""
        if not self._left.is_set():
            await self._theirs.send_eof()
            await self._left.wait()
