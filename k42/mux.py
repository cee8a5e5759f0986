"""`k42 mux VICTIM CHANNEL...`: only the multiplexer, for a machine that is somewhere else."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from functools import partial

import trio

from k42.bridge import open_bridge_channel
from k42.machines import Description, find_machine, find_place, reset_by
from k42.subcommand import add_subcommand
from thinwire import arguments as mux_options
from thinwire import lifetime
from thinwire.control import default_path, open_control
from thinwire.endpoints import Stdio, assign_channels, parse_endpoint
from thinwire.journal import Journal
from thinwire.server import Opener, Server, serve


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_subcommand(
        subparsers,
        "mux",
        "only the multiplexer, for a machine that is somewhere else",
        "k42 mux /dev/ttyUSB0 2102 gdb:2103 2104",
        "k42 mux localhost:2101 2102 gdb:2103 --capture wire.pcapng",
        "k42 mux k1                    the machine that k42.toml calls k1",
        notes="A CHANNEL is PORT, HOST:PORT, unix:PATH, listen-unix:PATH, pty[:LINK], stdio, stdout,\n"
        "stderr, log:FILE, log+time:FILE, exec:COMMAND, gdb:PORT (the bridge to the kernel's stub)\n"
        "or - (not used); channels are numbered from 0, and `:` goes on at the next multiple of 8.",
    )
    parser.add_argument(
        "victim",
        metavar="VICTIM",
        help="where the machine's line is, as localhost:2101, or a name in k42.toml",
    )
    parser.add_argument(
        "channels",
        metavar="CHANNEL",
        nargs="*",
        default=[],
        help="what a channel is joined to (default: 2102 gdb:2103 2104 2105 2106)",
    )
    mux_options.add_arguments(parser)
    parser.add_argument(
        "--control", metavar="PATH", help="where the control socket is (default: `k42 status` finds it)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve until interrupted."""
    lifetime.run(_serve, arguments)
    return 0


async def _serve(arguments: argparse.Namespace) -> None:
    described = find_machine(arguments.victim)
    machine = described or Description(line=arguments.victim)
    if arguments.protocol is None:
        arguments.protocol = machine.protocol
    if arguments.fixed_speed is None:
        arguments.fixed_speed = machine.fixed_speed
    specs = arguments.channels or machine.channels()
    openers: Mapping[str, Opener] = {"gdb": partial(open_bridge_channel, mode=machine.step_mode)}
    channels = assign_channels(specs, openers, bind=arguments.bind)
    control = arguments.control or default_path("mux")
    line = parse_endpoint(machine.line) if described else find_place(machine.line)
    options = mux_options.choose(arguments)

    async def multiplex(*, task_status: trio.TaskStatus[Server]) -> None:
        await serve(line, channels, options, openers=openers, task_status=task_status)
        nursery.cancel_scope.cancel()  # a line that ends only once: stdio

    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(multiplex)
        mux_options.warn_if_open("k42 mux", arguments.bind)
        await open_control(server, control, nursery, reset_by(machine.reset_command))
        messages = Journal(2 if isinstance(line, Stdio) else 1)  # not onto the wire
        for number, port in sorted(server.ports.items()):
            messages.write(f"channel {number:<2}  {', '.join(port.places)}\n")
        messages.write(f"control     {control}\nline        {server.place}\n")
