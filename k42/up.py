"""`k42 up [KERNEL|NAME]`: machine, multiplexer, bridge and console in one process.

    machine == socket pair == thinwire server --+-- channel 0: this terminal, or a port
       |                                        +-- channel 1: the bridge, a gdb port
       +-- the emulator's own gdb port          +-- channels 2 to 4: ports

A kernel that ends (its `exit`, or gdb's `kill` through the bridge) is started again, as somebody at the reset
button would do; the ports and whoever is connected stay.

With the NAME of a machine in k42.toml the line goes to that machine, and there is no emulator.
"""

from __future__ import annotations

import argparse
import errno
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import trio

from emulator.debug import EmulatorTarget
from emulator.machine import Machine
from emulator.runner import MachineRunner
from gdbstub.quirks import K42
from gdbstub.stepping import Mode
from gdbstub.target import TargetError
from k42.bridge import add_bridge_options, look_at, make_surroundings, serve_bridge, type_on
from k42.errors import UserError
from k42.gdb_port import observers_of, serve_gdb_port
from k42.kernel import find_symbols, guest_kernel
from k42.machine_options import (
    add_machine_options,
    build_machine,
    build_runner,
    line_port,
    prepare,
    refuse_machine_options,
)
from k42.machines import FILE, Description, find_machine, ports_of, reset_by
from k42.monitor import monitor_of
from k42.packet_log import start_packet_log
from k42.pipe import stream_pair
from k42.ports import FURTHER_CHANNELS, LOOPBACK, Ports, add_base_option
from k42.subcommand import add_subcommand
from thinwire import lifetime
from thinwire.console import Command, Leave, is_interactive, run_console
from thinwire.control import Reset, default_path, open_control
from thinwire.endpoints import Endpoint, Listen, parse_endpoint
from thinwire.mux import CONSOLE
from thinwire.rules import Rules
from thinwire.server import AnyChannel, InProcess, Options, Server, serve
from thinwire.sources import StreamFactory

log = logging.getLogger("k42")

BANNER = "[Ctrl-] opens the monitor; `quit` there ends everything]"

#: Ctrl-U drops a half-typed line; then the command that enters the debugger.
GUEST_BREAK_IN = "\x15trap"

GDB_CHANNEL = 1


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_subcommand(
        subparsers,
        "up",
        "machine, multiplexer, bridge and console in one process",
        "k42 up                        our own guest, with its console in this terminal",
        "k42 up kernel.elf             a kernel of yours",
        "k42 up k1                     the machine that k42.toml calls k1, instead of an emulated one",
        "k42 up --no-console --base 3102 &",
    )
    add_machine_options(parser, named=True)
    add_base_option(parser)
    add_bridge_options(parser)
    parser.add_argument(
        "--no-console", action="store_true", help="leave the console to its port, even in a terminal"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run until the user leaves the console, or for ever without one."""
    start_packet_log(arguments.log)
    described = None if arguments.kernel is None else find_machine(arguments.kernel)
    if described is None:
        lifetime.run(_up_emulated, _build(arguments), arguments, ports_of(None, arguments.base))
    else:
        refuse_machine_options(arguments, f"{arguments.kernel}, a machine of {FILE}")
        lifetime.run(_up_described, described, arguments)
    return 0


def _build(arguments: argparse.Namespace) -> Machine:
    """Return the machine to emulate.  Raises UserError, which says what else the name could have been."""
    try:
        return build_machine(arguments)
    except UserError as error:
        if arguments.kernel is None or Path(arguments.kernel).exists():
            raise
        raise UserError(f"{error}; nor does {FILE} describe a machine of that name") from None


async def _up_emulated(machine: Machine, arguments: argparse.Namespace, ports: Ports) -> None:
    """Bring up a machine of our own."""
    runner = build_runner(machine, arguments)
    target = EmulatorTarget(runner)
    ours, theirs = stream_pair()

    async def line() -> trio.abc.Stream:
        return theirs

    def obstacle() -> str:
        if target.stopped is None:
            return ""
        mend = f"`target remote {LOOPBACK}:{ports.emulator_gdb}`, and `detach` there"
        return f"the machine itself is halted, at the emulator's stub: {mend}"

    async with trio.open_nursery() as nursery:
        kernel = Path(machine.program.path)
        # Our guest is entered at once; what is typed before its handshake would be its first answer.
        options = Options(Rules(has_firmware=kernel != guest_kernel()))
        wire = _Wire(
            line,
            arguments,
            ports,
            Mode(arguments.single_step_mode or Mode.AUTO),
            kernel,
            _reset(runner),
            options,
            obstacle,
        )
        console = await wire.start(nursery)
        stub = await nursery.start(serve_gdb_port, Listen(LOOPBACK, ports.emulator_gdb), target)
        wire.server.place += f", the emulator's stub at {stub}"
        print(f"gdb      target remote {stub}   the emulator's stub", flush=True)
        nursery.start_soon(runner.attach, ours, line_port(machine))
        nursery.start_soon(_run, runner)
        nursery.start_soon(_start_again, runner, wire.server)
        await console()
        nursery.cancel_scope.cancel()


async def _up_described(described: Description, arguments: argparse.Namespace) -> None:
    """Bring up everything but the machine, which k42.toml describes."""
    kernel = None if described.symbols is None else find_symbols(described.symbols)
    line = parse_endpoint(described.line)
    options = described.options()
    ports = ports_of(described, arguments.base)
    mode = Mode(arguments.single_step_mode or described.step_mode)
    reset = reset_by(described.reset_command)
    async with trio.open_nursery() as nursery:
        wire = _Wire(line, arguments, ports, mode, kernel, reset, options)
        console = await wire.start(nursery)
        await console()
        nursery.cancel_scope.cancel()


def _no_obstacle() -> str:
    return ""


@dataclass(slots=True)
class _Wire:
    """Everything on our side of one line: multiplexer, control socket, bridge, console.

    `obstacle` says why the kernel cannot be broken into at present, if that is known.
    """

    line: Endpoint | StreamFactory
    arguments: argparse.Namespace
    ports: Ports
    mode: Mode
    kernel: Path | None
    reset: Reset | None
    options: Options = Options()
    obstacle: Callable[[], str] = _no_obstacle
    server: Server = field(init=False)

    async def start(self, nursery: trio.Nursery) -> Callable[[], Awaitable[None]]:
        """Start all of it, say where it is, and return what joins the console to this terminal."""
        has_terminal = is_interactive() and not self.arguments.no_console
        channels = _channels(self.ports)
        self.server = await nursery.start(partial(serve, self.line, channels, self.options))
        await open_control(self.server, default_path("up"), nursery, self.reset)
        bridge = await nursery.start(self._serve_stub)
        self.server.ports[GDB_CHANNEL].places.append(f"gdb: target remote {bridge}")
        console = ", ".join(self.server.ports[CONSOLE].places)
        if has_terminal:
            console = f"this terminal; {console} to look on"
        print(f"kernel   {self.kernel or 'without symbols'}")
        print(f"console  {console}")
        print(f"gdb      target remote {bridge}   the kernel's own stub", flush=True)
        return self._join_terminal if has_terminal else trio.sleep_forever

    async def _serve_stub(self, *, task_status: trio.TaskStatus[str]) -> None:
        """Put the bridge in front of the kernel's own stub."""
        surroundings = make_surroundings(
            self.kernel, self._break_in(), type_on(self.server), look_at(self.server)
        )

        async def break_in() -> None:
            if obstacle := self.obstacle():
                raise TargetError(errno.EBUSY, obstacle)
            await surroundings.break_in()

        await serve_bridge(
            self.server.attach(GDB_CHANNEL, "the bridge"),
            Listen(LOOPBACK, self.ports.bridge),
            K42,
            self.mode,
            replace(surroundings, break_in=break_in),
            observers_of(self.arguments),
            task_status=task_status,
        )

    def _break_in(self) -> str | None:
        """What stops the kernel: for our own guest we know it, for others the user must say."""
        if self.arguments.break_in is None and self.kernel == guest_kernel():
            return GUEST_BREAK_IN
        return self.arguments.break_in or None

    async def _join_terminal(self) -> None:
        """Converse until the user leaves; whoever takes the console over has it until he leaves."""
        monitor = {**monitor_of(self.server, self.reset), "quit": _QUIT}
        console = self.server.ports[CONSOLE]
        while True:
            stream = await self.server.attach_when_free(CONSOLE, "the terminal of `k42 up`")
            async with stream:
                await run_console(stream, monitor=monitor, banner=BANNER)
                if console.holder is stream:
                    return
                if console.holder is not None:
                    print(f"[{console.holder.name} has taken the console; Ctrl-C ends everything]")


async def _leave(_rest: str) -> Leave:
    return Leave()


_QUIT = Command("end everything", _leave)


def _channels(ports: Ports) -> dict[int, AnyChannel]:
    """What each channel is joined to."""
    return {
        CONSOLE: Listen(LOOPBACK, ports.console),
        GDB_CHANNEL: InProcess("the bridge"),
        **{number: Listen(LOOPBACK, ports.channel(number)) for number in FURTHER_CHANNELS},
    }


async def _run(runner: MachineRunner) -> None:
    await prepare(runner.machine)
    await runner.run()


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


def _reset(runner: MachineRunner) -> Reset:
    """Return what the monitor's `reset` does here: press the emulated machine's reset button."""

    async def reset() -> str:
        await runner.reset()
        runner.resume()
        return "the machine is reset"

    return reset


async def _cancel_after(wait: Callable[[], Awaitable[object]], scope: trio.CancelScope) -> None:
    await wait()
    scope.cancel()
