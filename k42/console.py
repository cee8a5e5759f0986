"""`k42 console [ENDPOINT]`: the interactive console on channel 0, with the monitor beside it.

Without an endpoint it is the console of the `k42 up` with our base port, or of a machine in k42.toml.  Where
the multiplexer's control socket is known, the monitor can ask for its status and reset the machine, and
`--take` puts whoever types there out.
"""

from __future__ import annotations

import argparse

import trio

from k42.controls import find_control
from k42.errors import UserError
from k42.machines import find_machine, find_place, ports_of
from k42.monitor import monitor_at
from k42.ports import LOOPBACK, Ports, add_base_option, refuse_base
from k42.subcommand import add_subcommand
from thinwire import lifetime
from thinwire.console import run_console
from thinwire.control import attach, observe
from thinwire.endpoints import Connect, Endpoint
from thinwire.streams import open_streams

BANNER = "[connected to {place}; Ctrl-] opens the monitor, `quit` there leaves]"


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_subcommand(
        subparsers,
        "console",
        "the interactive console on channel 0",
        "k42 console                   that of the `k42 up` that runs here",
        "k42 console --observe         only look on",
        "k42 console labhost:2102",
    )
    parser.add_argument(
        "endpoint",
        nargs="?",
        metavar="ENDPOINT",
        help="such as HOST:PORT, unix:PATH, control:PATH#0, or a name in k42.toml (default: our `k42 up`)",
    )
    add_base_option(parser)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--take", action="store_true", help="become the writer even if somebody else is")
    how.add_argument("--observe", action="store_true", help="only look on")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Converse until the user leaves or the other end is closed."""
    machine = None if arguments.endpoint is None else find_machine(arguments.endpoint)
    if arguments.endpoint is not None and machine is None:
        refuse_base(arguments)
        lifetime.run(_converse, find_place(arguments.endpoint), arguments)
    else:
        lifetime.run(_converse_here, ports_of(machine, arguments.base), arguments)
    return 0


async def _converse_here(ports: Ports, arguments: argparse.Namespace) -> None:
    """Converse with a multiplexer of this machine, which must be there: only another's is waited for."""
    place = Connect(LOOPBACK, ports.console)
    try:
        await (await trio.open_tcp_stream(place.host, place.port)).aclose()
    except OSError:
        raise UserError(
            f"nothing listens on {place}: start `k42 up` first, or say where (k42 console HOST:PORT)"
        ) from None
    await _converse(place, arguments)


async def _converse(endpoint: Endpoint, arguments: argparse.Namespace) -> None:
    control = await find_control(endpoint)
    monitor = monitor_at(control.path) if control else {}
    if arguments.take or arguments.observe:
        if control is None:
            raise UserError(f"{endpoint} has no control socket here, which --take and --observe need")
        if arguments.observe:
            stream = await observe(control.path, control.channel)
        else:
            stream = await attach(control.path, control.channel, take=True)
        async with stream:
            await run_console(stream, monitor=monitor, banner=BANNER.format(place=control))
        return
    async with open_streams(endpoint) as (place, connect), await connect() as stream:
        await run_console(stream, monitor=monitor, banner=BANNER.format(place=place))
