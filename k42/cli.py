"""The `k42` command: one parser, one subcommand a module, one way to fail.

A subcommand's module has `register(subparsers)`, which describes its arguments and sets `run`, a function
from the parsed arguments to an exit status.  Whatever the user can mend reaches this module as UserError, or
as the like of it from the three packages, and becomes one line and status 2; Ctrl-C is status 130, SIGTERM
143 and SIGHUP 129, as if the signal had ended us; anything else is our bug and keeps its traceback.
"""

from __future__ import annotations

import argparse
import errno
import logging
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version

from emulator.boot import LoadError
from k42.errors import UserError, only_error
from thinwire import lifetime
from thinwire.arguments import Parser, separate
from thinwire.control import ControlError
from thinwire.endpoints import EndpointError
from thinwire.journal import Handler, Journal
from thinwire.line import LineError
from thinwire.server import ServeError

#: In the order of `k42 --help`; each is k42/NAME.py.
SUBCOMMANDS = (
    "up", "emulate", "mux", "bridge", "console", "gdb", "trace", "rsp", "status", "capture", "doctor",
)  # fmt: skip

#: What the user can mend; each one's text is a line for him.
MISTAKES = (UserError, EndpointError, LineError, ServeError, ControlError, LoadError)

USAGE_ERROR = 2
#: What a shell reports for a program that signal N has ended, less N.
SIGNALLED = 128
INTERRUPTED = SIGNALLED + signal.SIGINT


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    lifetime.keep_standard_descriptors()
    try:
        return _run(argv)
    finally:
        lifetime.flush_output()


def _run(argv: Sequence[str] | None) -> int:
    own, foreign = _split(list(sys.argv[1:] if argv is None else argv))
    parser = build_parser(_needed(own))
    arguments = parser.parse_args(separate(own))
    if foreign and arguments.command != "gdb":
        parser.error(f"{arguments.command} passes nothing on: leave out `--` and what follows it")
    arguments.foreign = foreign
    handler = Handler(Journal(2))
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s"))
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(arguments.verbose, 2)]
    logging.basicConfig(level=level, handlers=[handler])
    try:
        with lifetime.interruptible():
            return int(arguments.run(arguments))
    except BaseException as error:
        match only_error(error):
            case mistake if isinstance(mistake, MISTAKES):
                print(f"k42 {arguments.command}: {mistake}", file=sys.stderr)
                return USAGE_ERROR
            case KeyboardInterrupt():
                return INTERRUPTED
            case lifetime.Terminated(number=number):
                return SIGNALLED + number
            case OSError(errno=errno.ENOSPC) as full:
                print(f"k42 {arguments.command}: {full.strerror}: make room, and try again", file=sys.stderr)
                return USAGE_ERROR
            case BrokenPipeError():
                # `k42 trace show FILE | head`: nobody reads any more, and that is fine.
                return 0
        raise


def _split(argv: list[str]) -> tuple[list[str], list[str]]:
    """Part the arguments at the first `--`: what follows is for the program that a command starts."""
    if "--" not in argv:
        return argv, []
    at = argv.index("--")
    return argv[:at], argv[at + 1 :]


def _needed(own: Sequence[str]) -> Sequence[str]:
    """Return the subcommands the parser must know: importing them all takes longer than most of them run."""
    named = next((word for word in own if not word.startswith("-")), None)
    return (named,) if named in SUBCOMMANDS else SUBCOMMANDS


def build_parser(names: Sequence[str] = SUBCOMMANDS) -> argparse.ArgumentParser:
    """Return the parser of the whole command, or of what of it concerns these subcommands."""
    parser: argparse.ArgumentParser = Parser(
        prog="k42", description="Debug a PPC64 kernel over one wire.", epilog="k42 COMMAND --help tells more."
    )
    parser.add_argument("--version", action="version", version=f"k42 {version('k42-wire')}")
    parser.add_argument(
        "-v", "--verbose", action="count", default=0, help="log what happens; twice: every packet, too"
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in names:
        import_module(f"k42.{name}").register(subparsers)
    return parser
