"""`k42 bridge STUB --listen HOST:PORT`: a gdb port in front of a limited stub.

Here is also what turns a channel of a multiplexer in this process into a bridge: `open_bridge_channel` serves
the `gdb:PORT` channels of `k42 mux`, and `k42 up` uses the same.
"""

from __future__ import annotations

import argparse
from functools import partial

import trio

from gdbstub.client import Surroundings, connect
from gdbstub.quirks import K42, KGDB, PLAIN, Quirks
from gdbstub.stepping import Mode
from k42.gdb_port import serve_gdb_port
from thinwire.endpoints import Endpoint, parse_endpoint
from thinwire.server import Server
from thinwire.streams import open_streams

STUBS = {quirks.name: quirks for quirks in (K42, KGDB, PLAIN)}
CONSOLE_CHANNEL = 0


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("bridge", help="a gdb port for a limited stub")
    parser.add_argument("stub", metavar="STUB", help="where it is: a channel's port, a device, unix:PATH")
    parser.add_argument(
        "--listen", required=True, metavar="HOST:PORT", help="where gdb connects to (or listen-unix:PATH)"
    )
    parser.add_argument(
        "--stub",
        dest="kind",
        choices=sorted(STUBS),
        default=K42.name,
        help="what kind of stub (default %(default)s)",
    )
    add_step_option(parser)
    parser.set_defaults(run=run)


def add_step_option(parser: argparse.ArgumentParser) -> None:
    """Declare `--single-step-mode`, for every command that runs a bridge."""
    parser.add_argument(
        "--single-step-mode",
        choices=[mode.value for mode in Mode],
        default=Mode.AUTO.value,
        help="how single steps are carried out (default %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until interrupted."""
    stub = parse_endpoint(arguments.stub)
    listen = parse_endpoint(arguments.listen, listens=True)
    trio.run(_bridge, stub, listen, STUBS[arguments.kind], Mode(arguments.single_step_mode))
    return 0


async def _bridge(stub: Endpoint, listen: Endpoint, quirks: Quirks, mode: Mode) -> None:
    async with open_streams(stub) as (place, connect_stub), trio.open_nursery() as nursery:
        stream = await connect_stub()
        where = await nursery.start(partial(serve_bridge, stream, listen, quirks, mode))
        print(f"stub  {place}\ngdb   target remote {where}", flush=True)


async def serve_bridge(
    stream: trio.abc.Stream,
    listen: Endpoint,
    quirks: Quirks = K42,
    mode: Mode = Mode.AUTO,
    surroundings: Surroundings | None = None,
    *,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve the stub at the other end of `stream` to gdb at `listen`, until cancelled."""
    async with connect(stream, quirks, surroundings) as target:
        target.mode = mode
        await serve_gdb_port(listen, target, task_status=task_status)


async def open_bridge_channel(
    rest: str, server: Server, number: int, *, task_status: trio.TaskStatus[str]
) -> None:
    """Serve a channel of `server` to gdb at the address `rest`: the opener of `gdb:PORT` channels."""
    listen = parse_endpoint(rest, listens=True)
    stream = server.attach(number, "the bridge")
    async with trio.open_nursery() as nursery:
        place = await nursery.start(partial(serve_bridge, stream, listen))
        task_status.started(f"gdb: target remote {place}")


def break_in_by_typing(server: Server, text: str) -> Surroundings:
    """Return surroundings that stop the kernel by typing `text` and a carriage return on its console."""

    async def type_it() -> None:
        await server.inject(CONSOLE_CHANNEL, text.encode("latin-1") + b"\r")

    return Surroundings(break_in=type_it)
