"""`k42 up [KERNEL]`: machine, multiplexer, bridge and console in one process.

    machine == socket pair == thinwire server --+-- channel 0: this terminal, or a port
       |                                        +-- channel 1: the bridge, a gdb port
       +-- the emulator's own gdb port          +-- channels 2 to 4: ports

A kernel that ends (its `exit`, or gdb's `kill` through the bridge) is started again, as somebody at the reset
button would do; the ports and whoever is connected stay.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

from emulator.debug import EmulatorTarget
from emulator.machine import Machine
from emulator.runner import MachineRunner
from gdbstub.quirks import K42
from gdbstub.stepping import Mode
from k42.bridge import add_bridge_options, make_surroundings, serve_bridge, type_on
from k42.gdb_port import serve_gdb_port
from k42.machine_options import add_machine_options, build_machine, build_runner, line_port
from k42.ports import LOOPBACK, Ports, add_base_option
from k42.socket_pair import stream_pair
from thinwire.console import is_interactive, run_console
from thinwire.control import Reset, default_path, open_control
from thinwire.endpoints import Listen
from thinwire.mux import CONSOLE
from thinwire.server import AnyChannel, InProcess, Server, serve

log = logging.getLogger("k42")

GDB_CHANNEL = 1
#: K42 uses 2 and 4 for its network relay and 3 for its object debugger (K42 facts B).
FURTHER_CHANNELS = (2, 3, 4)


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("up", help="machine, multiplexer, bridge and console in one process")
    add_machine_options(parser)
    add_base_option(parser)
    add_bridge_options(parser)
    parser.add_argument(
        "--no-console", action="store_true", help="leave the console to its port, even in a terminal"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run until the user leaves the console, or for ever without one."""
    ports = Ports(arguments.base)
    trio.run(_up, build_machine(arguments), arguments, ports)
    return 0


async def _up(machine: Machine, arguments: argparse.Namespace, ports: Ports) -> None:
    runner = build_runner(machine, arguments)
    has_terminal = is_interactive() and not arguments.no_console
    ours, theirs = stream_pair()
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(_serve_wire, theirs, _channels(ports, has_terminal))
        bridge = await nursery.start(_serve_stub, server, arguments, Path(machine.program.path), ports)
        stub = await nursery.start(
            serve_gdb_port, Listen(LOOPBACK, ports.emulator_gdb), EmulatorTarget(runner)
        )
        await open_control(server, default_path("up"), nursery, runner_reset(runner))
        console = "this terminal" if has_terminal else ", ".join(server.ports[CONSOLE].places)
        _announce(machine, console, bridge, stub)
        nursery.start_soon(runner.attach, ours, line_port(machine))
        nursery.start_soon(runner.run)
        nursery.start_soon(_start_again, runner, server)
        if has_terminal:
            stream = server.attach(CONSOLE, "the terminal of `k42 up`")
            await run_console(stream, banner="[Ctrl-] opens the monitor; `quit` there ends everything]")
            nursery.cancel_scope.cancel()


def _channels(ports: Ports, has_terminal: bool) -> dict[int, AnyChannel]:
    """What each channel is joined to."""
    return {
        CONSOLE: InProcess() if has_terminal else Listen(LOOPBACK, ports.console),
        GDB_CHANNEL: InProcess("the bridge"),
        **{number: Listen(LOOPBACK, ports.channel(number)) for number in FURTHER_CHANNELS},
    }


async def _serve_wire(
    stream: trio.abc.Stream, channels: dict[int, AnyChannel], *, task_status: trio.TaskStatus[Server]
) -> None:
    """Serve thinwire on our end of the machine's line."""

    async def line() -> trio.abc.Stream:
        return stream

    await serve(line, channels, task_status=task_status)


async def _serve_stub(
    server: Server,
    arguments: argparse.Namespace,
    kernel: Path,
    ports: Ports,
    *,
    task_status: trio.TaskStatus[str],
) -> None:
    """Put the bridge in front of the kernel's own stub."""
    await serve_bridge(
        server.attach(GDB_CHANNEL, "the bridge"),
        Listen(LOOPBACK, ports.bridge),
        K42,
        Mode(arguments.single_step_mode),
        make_surroundings(kernel, arguments.break_in, type_on(server)),
        task_status=task_status,
    )


def _announce(machine: Machine, console: str, bridge: str, stub: str) -> None:
    """Say where everything is."""
    kernel = machine.program.path
    print(f"kernel   {kernel}")
    print(f"console  {console}")
    print(f"gdb      target remote {bridge}   the kernel's own stub, over the wire; `trap` stops the kernel")
    print(f"gdb      target remote {stub}   the emulator's stub")
    sys.stdout.flush()


async def _start_again(runner: MachineRunner, server: Server) -> None:
    """Boot the kernel anew whenever it has ended: on the wire (`$`), or by shutting the machine down."""
    while True:
        server.ended = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_after, server.ended.wait, nursery.cancel_scope)
            nursery.start_soon(_cancel_after, runner.wait_end, nursery.cancel_scope)
        log.warning("the kernel has ended; it is started again")
        await runner.reset()
        runner.resume()


def runner_reset(runner: MachineRunner) -> Reset:
    """Return what the monitor's `reset` does here: press the emulated machine's reset button."""

    async def reset() -> str:
        await runner.reset()
        runner.resume()
        return "the machine is reset"

    return reset


async def _cancel_after(wait: Callable[[], Awaitable[object]], scope: trio.CancelScope) -> None:
    await wait()
    scope.cancel()
