"""Where everything listens: fixed distances from one base port, as the K42 people are used to.

Base 2102 is the console and 2103 what one types after `target remote` (K42 facts: gdb is at base + 1).
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from k42.errors import UserError
from thinwire.endpoints import is_number

DEFAULT_BASE = 2102
LOOPBACK = "127.0.0.1"
#: K42 uses 2 and 4 for its network relay and 3 for its object debugger (K42 facts B).
FURTHER_CHANNELS = (2, 3, 4)
#: The emulator's own gdb stub, well clear of the 8 channels of a set.
_EMULATOR_GDB = 10
LOWEST, HIGHEST = 2, 65535 - _EMULATOR_GDB


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports that belong to one base."""

    base: int = DEFAULT_BASE

    def __post_init__(self) -> None:
        if not LOWEST <= self.base <= HIGHEST:
            raise UserError(f"base port {self.base}: choose one between {LOWEST} and {HIGHEST}")

    @property
    def line(self) -> int:
        """Where a machine that is not in this process offers its line."""
        return self.base - 1

    @property
    def console(self) -> int:
        return self.base

    @property
    def bridge(self) -> int:
        """gdb by way of the kernel's own stub."""
        return self.base + 1

    @property
    def emulator_gdb(self) -> int:
        """gdb by way of the emulator's stub."""
        return self.base + _EMULATOR_GDB

    @classmethod
    def around_gdb(cls, port: int) -> list[Ports]:
        """The sets of ports in which `port` is one that gdb connects to."""
        bases = (port - 1, port - _EMULATOR_GDB)
        return [cls(base) for base in bases if LOWEST <= base <= HIGHEST]

    def channel(self, number: int) -> int:
        """The port of a further thinwire channel."""
        return self.base + number


def add_base_option(parser: argparse.ArgumentParser) -> None:
    """Declare `--base`, for every command that finds or offers our ports."""
    parser.add_argument(
        "--base",
        type=_base,
        metavar="PORT",
        help=f"base port (default {DEFAULT_BASE}, or what k42.toml says)",
    )


def _base(text: str) -> int:
    if not is_number(text, HIGHEST) or int(text) < LOWEST:
        raise argparse.ArgumentTypeError(f"{text!r} is no port between {LOWEST} and {HIGHEST}")
    return int(text)


def refuse_base(arguments: argparse.Namespace) -> None:
    """Raise UserError if there is a base beside an endpoint that is a whole place already."""
    if arguments.base is not None:
        raise UserError(f"--base finds the ports of this machine: leave it out with {arguments.endpoint}")
