"""`k42 mux VICTIM CHANNEL...`: only the multiplexer, for a machine that is somewhere else."""

from __future__ import annotations

import argparse

import trio

from k42.bridge import open_bridge_channel
from thinwire.endpoints import assign_channels, parse_endpoint
from thinwire.mux import Protocol, Rules
from thinwire.server import Options, Server, serve


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "mux",
        help="only the multiplexer",
        epilog="A CHANNEL is PORT, HOST:PORT, stdio, stdout, stderr or gdb:PORT (the bridge to the kernel's "
        "stub); channels are numbered from 0, and `:` goes on at the next multiple of 8.",
    )
    parser.add_argument(
        "victim", metavar="VICTIM", help="where the machine's line is, such as localhost:2101"
    )
    parser.add_argument("channels", metavar="CHANNEL", nargs="+", help="what a channel is joined to")
    parser.add_argument(
        "--protocol",
        choices=[protocol.value for protocol in Protocol],
        default=Protocol.AUTO.value,
        help="version of the wire protocol (default %(default)s: text until the sentinel, then frames)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve until interrupted."""
    trio.run(_serve, arguments)
    return 0


async def _serve(arguments: argparse.Namespace) -> None:
    openers = {"gdb": open_bridge_channel}
    line = parse_endpoint(arguments.victim)
    channels = assign_channels(arguments.channels, openers)
    options = Options(Rules(protocol=Protocol(arguments.protocol)))
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(_start, line, channels, options, openers)
        for number, port in sorted(server.ports.items()):
            print(f"channel {number:<2}  {', '.join(port.places)}")
        print(f"line        {server.place}", flush=True)


async def _start(line, channels, options, openers, *, task_status: trio.TaskStatus[Server]) -> None:  # type: ignore[no-untyped-def]
    await serve(line, channels, options, openers=openers, task_status=task_status)
