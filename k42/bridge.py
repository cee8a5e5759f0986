"""`k42 bridge STUB --listen HOST:PORT`: a gdb port in front of a limited stub.

Here is also what turns a channel of a multiplexer in this process into a bridge: `open_bridge_channel` serves
the `gdb:PORT` channels of `k42 mux`, and `k42 up` uses the same.
"""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import trio

from emulator.symbols import read_symbols
from gdbstub.client import Surroundings, connect
from gdbstub.quirks import AUTO, K42, ROWS, Quirks
from gdbstub.stepping import Mode
from k42.errors import UserError
from k42.gdb_port import add_observe_option, observers_of, serve_gdb_port
from k42.kernel import find_kernel
from k42.packet_log import add_log_option, start_packet_log
from k42.running import run_async
from k42.stub_code import find_register_blocks, find_stub_code, find_text
from thinwire.control import inject
from thinwire.endpoints import Control, Endpoint, parse_endpoint
from thinwire.mux import CONSOLE
from thinwire.server import Server
from thinwire.streams import open_streams

Type = Callable[[bytes], Awaitable[None]]


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("bridge", help="a gdb port for a limited stub")
    parser.add_argument("stub", metavar="STUB", help="where it is: a channel's port, a device, unix:PATH")
    parser.add_argument(
        "--listen", required=True, metavar="HOST:PORT", help="where gdb connects to (or listen-unix:PATH)"
    )
    parser.add_argument(
        "--stub",
        dest="kind",
        choices=sorted(ROWS),
        default=AUTO.name,
        help="what kind of stub (default %(default)s)",
    )
    parser.add_argument(
        "--console", metavar="control:PATH#0", help="the multiplexer's control socket, for --break-in"
    )
    parser.add_argument("--kernel", metavar="FILE", help="its symbols name functions in messages")
    add_bridge_options(parser)
    parser.set_defaults(run=run)


def add_bridge_options(parser: argparse.ArgumentParser) -> None:
    """Declare what every command that runs a bridge lets its user choose."""
    parser.add_argument(
        "--single-step-mode",
        choices=[mode.value for mode in Mode],
        default=Mode.AUTO.value,
        help="how single steps are carried out (default %(default)s)",
    )
    parser.add_argument(
        "--break-in",
        metavar="TEXT",
        help="what to type on the console to stop a running kernel (`up` knows it for our guest)",
    )
    add_observe_option(parser)
    add_log_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Serve until interrupted."""
    start_packet_log(arguments.log)
    stub = parse_endpoint(arguments.stub)
    listen = parse_endpoint(arguments.listen, listens=True)
    kernel = None if arguments.kernel is None else find_kernel(arguments.kernel)
    surroundings = make_surroundings(kernel, arguments.break_in, _console(arguments))
    quirks, mode = ROWS[arguments.kind], Mode(arguments.single_step_mode)
    run_async(_bridge, stub, listen, quirks, mode, surroundings, observers_of(arguments))
    return 0


def _console(arguments: argparse.Namespace) -> Type | None:
    """Return what types on the console of the multiplexer that `--console` names."""
    if arguments.console is None:
        if arguments.break_in is not None:
            raise UserError("--break-in needs a place to type: --console control:PATH#0 (see `k42 status`)")
        return None
    match parse_endpoint(arguments.console):
        case Control(path, channel):
            return partial(inject, path, channel)
    raise UserError(f"--console {arguments.console}: give a multiplexer's control socket, control:PATH#0")


async def _bridge(
    stub: Endpoint,
    listen: Endpoint,
    quirks: Quirks,
    mode: Mode,
    surroundings: Surroundings,
    observers: Endpoint | None,
) -> None:
    async with open_streams(stub) as (place, connect_stub), trio.open_nursery() as nursery:
        stream = await connect_stub()
        serve = partial(serve_bridge, stream, listen, quirks, mode, surroundings, observers)
        where = await nursery.start(serve)
        print(f"stub  {place}\ngdb   target remote {where}", flush=True)


async def serve_bridge(
    stream: trio.abc.Stream,
    listen: Endpoint,
    quirks: Quirks = K42,
    mode: Mode = Mode.AUTO,
    surroundings: Surroundings | None = None,
    observers: Endpoint | None = None,
    *,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve the stub at the other end of `stream` to gdb at `listen`, and to those who only look at
    `observers`, until cancelled.
    """
    async with connect(stream, quirks, surroundings) as target:
        target.mode = mode
        await serve_gdb_port(listen, target, observers, task_status=task_status)


async def open_bridge_channel(
    rest: str, server: Server, number: int, *, mode: Mode = Mode.AUTO, task_status: trio.TaskStatus[str]
) -> None:
    """Serve a channel of `server` to gdb at the address `rest`: the opener of `gdb:PORT` channels."""
    listen = parse_endpoint(rest, listens=True)
    stream = server.attach(number, "the bridge")
    async with trio.open_nursery() as nursery:
        place = await nursery.start(partial(serve_bridge, stream, listen, mode=mode))
        task_status.started(f"gdb: target remote {place}")


def type_on(server: Server) -> Type:
    """Return what types on the console of a multiplexer in this process."""
    return partial(server.inject, CONSOLE)


def make_surroundings(kernel: Path | None, break_in: str | None, type_: Type | None) -> Surroundings:
    """Return what the bridge knows around the stub: names, the stub's code, a way to stop the kernel."""
    values: dict[str, object] = {}
    if kernel is not None:
        symbols = read_symbols(str(kernel))
        values["describe"] = lambda address: symbols.name(address) or hex(address)
        values["forbidden"] = find_stub_code(kernel)
        values["register_blocks"] = find_register_blocks(kernel)
        values["text"] = find_text(kernel)
    if break_in is not None and type_ is not None:
        values["break_in"] = partial(type_, break_in.encode("latin-1", "replace") + b"\r")
    return Surroundings(**values)  # type: ignore[arg-type]
