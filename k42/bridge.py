"""`k42 bridge STUB --listen HOST:PORT`: a gdb port in front of a limited stub.

Here is also what turns a channel of a multiplexer in this process into a bridge: `open_bridge_channel` serves
the `gdb:PORT` channels of `k42 mux`, and `k42 up` uses the same.
"""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import trio

from emulator.symbols import read_symbols
from gdbstub.client import RemoteTarget, connect
from gdbstub.quirks import AUTO, K42, ROWS, Quirks
from gdbstub.stepping import Mode
from gdbstub.surroundings import Surroundings
from gdbstub.target import TargetError
from k42.errors import UserError, only_error
from k42.gdb_port import add_observe_option, observers_of, serve_gdb_port
from k42.kernel import find_symbols
from k42.packet_log import add_log_option, start_packet_log
from k42.shared_console import SharedConsole, keys, print_text
from k42.stub_code import find_functions, find_register_blocks, find_stub_code, find_text
from k42.subcommand import add_subcommand
from thinwire import lifetime
from thinwire.control import ControlError, inject, observe
from thinwire.endpoints import Control, Endpoint, parse_endpoint
from thinwire.mux import CONSOLE
from thinwire.server import Server
from thinwire.streams import open_streams

# Seconds in which a debugger hears that the line is closed.
FAREWELL = 0.5

Type = Callable[[bytes], Awaitable[None]]
Look = Callable[[], Awaitable[trio.abc.ReceiveStream]]

#: What is there already of a console's output comes at once; gdb is waiting.
LOOK_SECONDS = 0.3
LOOK_BYTES = 4096


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_subcommand(
        subparsers,
        "bridge",
        "a gdb port for a limited stub",
        "k42 bridge localhost:4711 --listen 2103 --kernel kernel.elf",
        "k42 bridge /dev/ttyUSB0 --listen 2103 --console 2102 --break-in ^Og   Linux's KGDB",
    )
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
        "--console",
        metavar="ENDPOINT",
        help="where the console is: control:PATH#0, a multiplexer's (for --break-in); or, for a stub on the "
        "console's own line, a PORT, pty or stdio to put that console on (default: its text is printed)",
    )
    parser.add_argument(
        "--kernel",
        metavar="FILE",
        help="makes steps cheaper, names functions in messages, and is there for a gdb without a file",
    )
    add_bridge_options(parser)
    parser.set_defaults(run=run)


def add_bridge_options(parser: argparse.ArgumentParser) -> None:
    """Declare what every command that runs a bridge lets its user choose."""
    parser.add_argument(
        "--single-step-mode",
        choices=[mode.value for mode in Mode],
        help="how single steps are carried out (default auto; for a NAME, what k42.toml says)",
    )
    parser.add_argument(
        "--break-in",
        metavar="TEXT",
        help="what to type on the console to stop a running kernel, ^X for a control key (`up` knows it for "
        "our guest; Linux on hvc0: ^Og)",
    )
    add_observe_option(parser)
    add_log_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Serve until interrupted."""
    start_packet_log(arguments.log)
    stub = parse_endpoint(arguments.stub)
    listen = parse_endpoint(arguments.listen, listens=True)
    kernel = None if arguments.kernel is None else find_symbols(arguments.kernel)
    quirks, mode = ROWS[arguments.kind], Mode(arguments.single_step_mode or Mode.AUTO)
    console = None if arguments.console is None else parse_endpoint(arguments.console, listens=True)
    if not quirks.shares_the_line and not isinstance(console, Control | None):
        raise UserError(
            f"--console {arguments.console}: a stub of the kind {quirks.name} has a line of its own; "
            "give its multiplexer's control socket, control:PATH#0"
        )
    if not quirks.shares_the_line and console is None and arguments.break_in is not None:
        raise UserError("--break-in needs a place to type: --console control:PATH#0 (see `k42 status`)")
    type_ = partial(inject, console.path, console.channel) if isinstance(console, Control) else None
    look = partial(observe, console.path, console.channel) if isinstance(console, Control) else None
    surroundings = make_surroundings(kernel, arguments.break_in, type_, look)
    shared = None if isinstance(console, Control) else console
    observers = observers_of(arguments)
    try:
        lifetime.run(_bridge, stub, listen, quirks, mode, surroundings, observers, shared)
    except BaseException as error:
        problem = only_error(error)
        if not isinstance(problem, TargetError):
            raise
        raise UserError(
            f"the stub at {arguments.stub}: {problem}; is it there, and of the kind {quirks.name}? (--stub)"
        ) from None
    return 0


async def _bridge(
    stub: Endpoint,
    listen: Endpoint,
    quirks: Quirks,
    mode: Mode,
    surroundings: Surroundings,
    observers: Endpoint | None,
    shared: Endpoint | None,
) -> None:
    """Serve the stub through one life of its line after the other: a machine is switched off and on again."""
    console = SharedConsole()
    surroundings = replace(surroundings, on_text=print_text if shared is None else console.hear)
    async with open_streams(stub) as (place, connect_stub), trio.open_nursery() as nursery:
        current: RemoteTarget | None = None

        async def type_(typed: bytes) -> None:
            if current is not None:
                await current.type(typed)

        if shared is not None:
            print("console ", await nursery.start(console.serve, shared, type_), flush=True)
        while True:
            stream = await connect_stub()
            async with connect(stream, quirks, surroundings) as target, trio.open_nursery() as life:
                current, target.mode = target, mode
                where = await life.start(serve_gdb_port, listen, target, observers)
                print(f"stub  {place}\ngdb   target remote {where}", flush=True)
                await target.wait_lost()
                await trio.sleep(FAREWELL)
                life.cancel_scope.cancel()
            print(f"the line to the stub is closed: waiting for {place}", flush=True)


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


def look_at(server: Server) -> Look:
    """Return what looks at the console of a multiplexer in this process."""

    async def look() -> trio.abc.ReceiveStream:
        await trio.lowlevel.checkpoint()
        return server.observe(CONSOLE)

    return look


async def _recent(look: Look) -> bytes:
    """Return the last of what the console shows."""
    text = b""
    try:
        async with await look() as stream:
            with trio.move_on_after(LOOK_SECONDS):
                while more := await stream.receive_some():
                    text = (text + bytes(more))[-LOOK_BYTES:]
    except (ControlError, OSError, trio.BrokenResourceError):
        pass
    return text


def make_surroundings(
    kernel: Path | None, break_in: str | None, type_: Type | None, look: Look | None = None
) -> Surroundings:
    """Return what the bridge knows around the stub: names, the stub's code, a way to stop the kernel, and
    what `look` sees on the console.
    """
    known = Surroundings()
    if look is not None:
        known = replace(known, console=partial(_recent, look))
    if kernel is not None:
        symbols = read_symbols(str(kernel))
        known = replace(
            known,
            describe=lambda address: symbols.name(address) or hex(address),
            forbidden=find_stub_code(kernel, symbols),
            register_blocks=find_register_blocks(kernel),
            text=find_text(kernel),
            function=find_functions(symbols),
            executable=str(kernel.resolve()),
        )
    if break_in is not None and type_ is not None:
        known = replace(known, break_in=partial(type_, keys(break_in)))
    elif break_in is not None:
        known = replace(known, keys=keys(break_in))
    return known
