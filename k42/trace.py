"""`k42 trace record` and `k42 trace show`: single steps in a file, and the file as text."""

from __future__ import annotations

import argparse
import os
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Literal

import capstone

from emulator.symbols import Symbols, read_symbols
from emulator.trace import MACHINE_REGISTERS, Step, TraceError, TraceReader, TraceWriter, format_step
from gdbstub.quirks import AUTO, ROWS
from k42.errors import UserError, only_error
from k42.kernel import find_kernel, find_symbols
from k42.machine_options import add_machine_options, build_machine, parse_number, refuse_machine_options
from k42.progress import Progress
from k42.remote_trace import record_remote
from k42.subcommand import add_subcommand
from k42.wired_machine import WiredMachine
from thinwire import lifetime
from thinwire.endpoints import is_number

MOST_STEPS = 999_999_999
#: Guest time (seconds) to get to where the recording begins.
WITHIN = 60.0


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_subcommand(
        subparsers,
        "trace",
        "record and show single-step traces",
        "k42 trace record --steps 1000 --out boot.trace",
        "k42 trace show -d boot.trace",
        notes="k42 trace record --help and k42 trace show --help tell more.",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="record|show")
    _register_record(
        add_subcommand(
            actions,
            "record",
            "step and write down what each step did",
            r"k42 trace record --from fib --type 'fib 9\r' --steps 1000 --out fib.trace",
            "k42 trace record --remote 127.0.0.1:2112 --steps 1000 --out other.trace",
        )
    )
    _register_show(
        add_subcommand(
            actions,
            "show",
            "print a recorded trace, a line a step",
            "k42 trace show -d fib.trace",
            "k42 trace show --skip 100 --count 20 fib.trace",
        )
    )


def _register_record(parser: argparse.ArgumentParser) -> None:
    add_machine_options(parser, has_clock=False)
    parser.add_argument(
        "--from",
        dest="start",
        metavar="SYMBOL|ADDR",
        help="run there first (default: begin where the machine stands)",
    )
    parser.add_argument("--steps", type=_steps, required=True, metavar="N", help="how many instructions")
    parser.add_argument("--out", required=True, metavar="FILE", help="the file to write")
    parser.add_argument(
        "--type", type=_keys, metavar="TEXT", help=r"type this on the way to --from; \r is Enter"
    )
    parser.add_argument(
        "--within",
        type=_seconds,
        metavar="SECONDS",
        help=f"guest time to get to --from (default {WITHIN:g})",
    )
    parser.add_argument(
        "--remote", metavar="ENDPOINT", help="step whatever this stub debugs instead of a machine of our own"
    )
    parser.add_argument(
        "--stub",
        choices=sorted(ROWS),
        help=f"the kind of that stub (default {AUTO.name})",
    )
    parser.set_defaults(run=run_record)


def _register_show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a file `k42 trace record` wrote")
    parser.add_argument("--kernel", metavar="FILE", help="symbols (default: the file the trace names)")
    parser.add_argument("--skip", type=_steps, default=0, metavar="N", help="leave out the first N steps")
    parser.add_argument("--count", type=_steps, metavar="N", help="show no more than N steps")
    parser.add_argument("-d", "--disassemble", action="store_true", help="show the instruction, too")
    parser.set_defaults(run=run_show)


def _steps(text: str) -> int:
    if not is_number(text, MOST_STEPS):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of steps up to {MOST_STEPS}")
    return int(text)


def _keys(text: str) -> bytes:
    """Return what typing `text` sends: its bytes, and what a backslash stands for."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("unicode_escape").encode("latin-1")
    except UnicodeError:
        raise argparse.ArgumentTypeError(rf"{text!r}: a backslash is \\, and a byte \r, \t or \x1d") from None


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return seconds


# Recording.


def run_record(arguments: argparse.Namespace) -> int:
    """Record; what was recorded until Ctrl-C stays in the file."""
    if arguments.steps < 1:
        raise UserError(f"--steps {arguments.steps}: give a number from 1 to {MOST_STEPS}")
    if arguments.remote is not None:
        if arguments.type:
            raise UserError("--type is for a machine of our own: with --remote, type on its console")
        refuse_machine_options(arguments, "--remote", "within")
    elif arguments.stub is not None:
        raise UserError("--stub is the kind of a stub elsewhere: say where that is with --remote")
    for name in ("type", "within"):
        if getattr(arguments, name) is not None and arguments.start is None:
            raise UserError(f"--{name} is for the way to --from: say where that is, such as --from main")
    kernel = find_kernel(arguments.kernel)
    symbols = read_symbols(str(kernel))
    start = None if arguments.start is None else find_address(arguments.start, symbols, kernel)
    # What an older trace holds is kept until there is a new one.
    with open_file(arguments.out, "ab") as file:
        recording = _Recording(file, str(kernel), arguments.steps)
        try:
            if arguments.remote is None:
                _record_here(arguments, start, recording)
            else:
                lifetime.run(_record_remote, arguments, start, recording)
        except BaseException as error:
            if isinstance(only_error(error), KeyboardInterrupt):
                so_far = f"the steps so far are in {arguments.out}" if recording.done else "no step was made"
                print(f"interrupted; {so_far}", file=sys.stderr)
            raise
        file.flush()
        written = os.fstat(file.fileno())
    size = f" ({written.st_size} bytes)" if stat.S_ISREG(written.st_mode) else ""
    is_our_output = os.path.samestat(written, os.fstat(1))
    print(
        f"{recording.done} steps in {arguments.out}{size}", file=sys.stderr if is_our_output else sys.stdout
    )
    return 0


def open_file(name: str, mode: Literal["rb", "ab"]) -> BinaryIO:
    """Open a file.  Raises UserError."""
    try:
        return open(name, mode)
    except OSError as error:
        verb = "read" if mode == "rb" else "write"
        raise UserError(f"cannot {verb} {name}: {error.strerror}") from None


def find_address(text: str, symbols: Symbols, kernel: Path) -> int:
    """Return the address that a symbol or a number means.  Raises UserError."""
    try:
        return symbols.address(text)
    except KeyError:
        pass
    if text[:1].isdigit():
        return parse_number(text, "--from")
    raise UserError(f"--from {text}: {kernel} has no such symbol (an address is written 0x...)")


@dataclass(slots=True)
class _Recording:
    """A trace on its way into a file."""

    file: BinaryIO
    kernel: str
    steps: int
    done: int = 0

    @contextmanager
    def write(self, widths: Mapping[str, int]) -> Iterator[Callable[[Step], None]]:
        """Begin the trace, in place of whatever the file held; gives what appends a step to it."""
        with suppress(OSError):  # a pipe or a device holds nothing
            self.file.truncate(0)
        writer = TraceWriter(self.file, widths, self.kernel)
        with Progress("steps", of=self.steps) as progress:

            def write(step: Step) -> None:
                writer.write(step)
                self.done += 1
                progress.show(self.done)

            yield write


def _record_here(arguments: argparse.Namespace, start: int | None, recording: _Recording) -> None:
    wired = WiredMachine(build_machine(arguments), arguments.type or b"")
    with Progress("instructions on the way") as progress:
        if start is not None:
            wired.run_to(start, arguments.within or WITHIN, progress.show)
    with recording.write(MACHINE_REGISTERS) as write:
        for step in wired.record(arguments.steps):
            write(step)


async def _record_remote(arguments: argparse.Namespace, start: int | None, recording: _Recording) -> None:
    kind = ROWS[arguments.stub or AUTO.name]
    async with record_remote(arguments.remote, kind, start, arguments.steps) as (widths, steps):
        with recording.write(widths) as write:
            async for step in steps:
                write(step)


# Showing.


def run_show(arguments: argparse.Namespace) -> int:
    """Print a line a step."""
    named = None if arguments.kernel is None else find_symbols(arguments.kernel)
    with open_file(arguments.file, "rb") as file:
        try:
            reader = TraceReader(file)
            symbols = _symbols(reader.path) if named is None else read_symbols(str(named))
            for line in _lines(reader, symbols, arguments):
                print(line)
        except TraceError as error:
            sys.stdout.flush()
            raise UserError(f"{arguments.file}: {error}") from None
    return 0


def _symbols(path: str) -> Symbols:
    """Return the symbols of the file a trace names, which need not be here."""
    try:
        return read_symbols(path)
    except OSError:
        return Symbols([])


def _lines(reader: TraceReader, symbols: Symbols, arguments: argparse.Namespace) -> Iterator[str]:
    first = arguments.skip
    last = None if arguments.count is None else first + arguments.count
    disassembler = capstone.Cs(capstone.CS_ARCH_PPC, capstone.CS_MODE_64 | capstone.CS_MODE_BIG_ENDIAN)
    for number, step in enumerate(islice(reader, first, last), first):
        line = format_step(number, step, symbols)
        if arguments.disassemble:
            line += f"  ; {disassemble(disassembler, step)}"
        yield line


def disassemble(disassembler: capstone.Cs, step: Step) -> str:
    """Return the instruction of a step in words, `.long` for what capstone does not know."""
    for _address, _size, mnemonic, operands in disassembler.disasm_lite(
        step.word.to_bytes(4, "big"), step.pc
    ):
        return f"{mnemonic} {operands}".strip()
    return f".long {step.word:#010x}"
