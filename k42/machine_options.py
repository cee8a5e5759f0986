"""The options that describe a machine, shared by every command that builds one."""

from __future__ import annotations

import argparse

import trio

from emulator.boot import Program, load_elf, load_raw
from emulator.config import MachineConfig, MachineKind, parse_size
from emulator.devices.port import Port
from emulator.engines import NAMES, preparations
from emulator.machine import Machine
from emulator.runner import MachineRunner, Pace
from k42.errors import UserError
from k42.kernel import find_kernel

#: The options by which a user says what to emulate; None where he has not said.
_OPTIONS = ("machine", "memory", "engine", "time", "raw", "entry")
_MEMORY = "128M"


def add_machine_options(
    parser: argparse.ArgumentParser, *, named: bool = False, has_clock: bool = True
) -> None:
    """Declare them; `build_machine` and `build_runner` read them.

    `named`: a name in k42.toml will do.  `has_clock`: the host's clock may matter.
    """
    parser.add_argument(
        "kernel",
        nargs="?",
        metavar="KERNEL|NAME" if named else "KERNEL",
        help="an ELF file, or an image with --raw"
        + (", or a machine of k42.toml" if named else "")
        + " (default: our own guest)",
    )
    parser.add_argument(
        "--machine",
        choices=[kind.value for kind in MachineKind],
        help=f"what the kernel believes to run on (default {MachineKind.HARDWARE.value})",
    )
    parser.add_argument("--memory", metavar="SIZE", help=f"such as 256M or 1G (default {_MEMORY})")
    parser.add_argument(
        "--engine",
        choices=NAMES,
        help=f"what executes the instructions (default {NAMES[0]})",
    )
    if has_clock:
        parser.add_argument(
            "--time",
            choices=[pace.value for pace in Pace],
            help=f"an idle guest waits for the host's clock, or time jumps on (default {Pace.HOST.value})",
        )
    parser.add_argument("--raw", metavar="ADDR", help="the image is raw and goes to this real address")
    parser.add_argument(
        "--entry", metavar="ADDR", help="where a raw image is entered (default: where it begins)"
    )


def refuse_machine_options(arguments: argparse.Namespace, instead: str, *others: str) -> None:
    """Raise UserError if an option, one of `others` perhaps, is for a machine of our own, where there is
    `instead` of one.
    """
    for name in (*_OPTIONS, *others):
        if getattr(arguments, name, None) is not None:
            raise UserError(f"--{name} is for a machine of our own: leave it out with {instead}")


def machine_kind(arguments: argparse.Namespace) -> MachineKind:
    """Return what the kernel is to believe to run on."""
    return MachineKind(arguments.machine or MachineKind.HARDWARE)


def build_machine(arguments: argparse.Namespace) -> Machine:
    """Return the machine the options describe, at its first instruction.  Raises UserError, LoadError."""
    try:
        memory = parse_size(_MEMORY if arguments.memory is None else arguments.memory)
    except ValueError as error:
        raise UserError(f"--memory: {error}") from None
    try:
        config = MachineConfig(machine_kind(arguments), memory, arguments.engine or NAMES[0])
        return Machine(config, load_program(arguments))
    except ValueError as error:
        raise UserError(str(error)) from None


def load_program(arguments: argparse.Namespace) -> Program:
    """Read the kernel's file.  Raises UserError, LoadError."""
    if arguments.raw is None:
        if arguments.entry is not None:
            raise UserError("--entry goes with --raw: an ELF file names its own entry")
        return load_elf(str(find_kernel(arguments.kernel)))
    if arguments.kernel is None:
        raise UserError("--raw needs the name of an image")
    address = parse_number(arguments.raw, "--raw")
    entry = address if arguments.entry is None else parse_number(arguments.entry, "--entry")
    return load_raw(str(find_kernel(arguments.kernel)), address, entry)


async def prepare(machine: Machine) -> None:
    """Compile what a first start has to compile, beside trio's thread: whoever asks for the status, or
    interrupts the machine, has seconds to wait otherwise.
    """
    for compile_ in preparations(machine.config.engine):
        await trio.to_thread.run_sync(compile_)


def build_runner(machine: Machine, arguments: argparse.Namespace, *, halted: bool = False) -> MachineRunner:
    """Return the runner for `machine`."""
    return MachineRunner(machine, halted=halted, pace=Pace(arguments.time or Pace.HOST))


def parse_number(text: str, option: str) -> int:
    """Return a number written in decimal or, with 0x, in hex.  Raises UserError."""
    try:
        return int(text, 0)
    except ValueError:
        raise UserError(f"{option} {text}: give a number, such as 0x100") from None


def line_port(machine: Machine) -> Port:
    """Return the port thinwire runs over: a partition has nothing but its hypervisor terminal."""
    return machine.console if machine.config.kind is MachineKind.LPAR else machine.wire
