"""Machines by name: `k42.toml` in the current directory, or `~/.config/k42/k42.toml`.

    [machines.k1]
    line = "/dev/serial/by-id/usb-FTDI-if00"
    base = 2102                        # console 2102, gdb through the bridge 2103
    protocol = "auto"
    fixed_speed = 115200               # leave out to let the kernel change the speed
    symbols = "boot_image.dbg"
    single_step_mode = "auto"
    reset_command = "outlet 7 cycle"   # what `k42 console`'s monitor runs for `reset`

Every key but `line` may be left out; `symbols` is looked for beside the file.  Options given to a command
win over the file.  An unknown key is an error: a typing mistake is no default.
"""

from __future__ import annotations

import os
import subprocess
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import trio

from gdbstub.stepping import Mode
from k42.errors import UserError
from k42.ports import DEFAULT_BASE, FURTHER_CHANNELS, Ports
from thinwire.control import Reset
from thinwire.endpoints import Endpoint, EndpointError, parse_endpoint
from thinwire.mux import Protocol, Rules
from thinwire.serial_line import Manners
from thinwire.server import Options

FILE = "k42.toml"
#: A power switch answers within this, or something is wrong with it.
RESET_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Description:
    """One machine of k42.toml; the names are the file's keys."""

    line: str
    base: int = DEFAULT_BASE
    protocol: str | None = None
    fixed_speed: int | None = None
    symbols: str | None = None
    single_step_mode: str = Mode.AUTO.value
    reset_command: str | None = None

    @property
    def step_mode(self) -> Mode:
        return Mode(self.single_step_mode)

    def options(self) -> Options:
        """The multiplexer's options for this machine."""
        speed = self.fixed_speed or Manners().first_speed
        return Options(
            rules=Rules(protocol=Protocol(self.protocol or Protocol.AUTO)),
            manners=Manners(first_speed=speed, fixed_speed=self.fixed_speed is not None),
        )

    def channels(self) -> list[str]:
        """The channels a K42 machine has, at this machine's ports."""
        ports = Ports(self.base)
        return [str(ports.console), f"gdb:{ports.bridge}", *(str(ports.channel(n)) for n in FURTHER_CHANNELS)]


#: What a value must look like, and how to say so.
_CHECKS: dict[str, tuple[Callable[[object], bool], str]] = {
    "line": (lambda v: isinstance(v, str), "an endpoint such as /dev/ttyUSB0 or localhost:2101"),
    "base": (lambda v: isinstance(v, int), "a port number"),
    "protocol": (lambda v: v in {p.value for p in Protocol}, "auto, 1, 2 or 3"),
    "fixed_speed": (lambda v: isinstance(v, int) and v > 0, "a speed such as 115200"),
    "symbols": (lambda v: isinstance(v, str), "the name of an ELF file"),
    "single_step_mode": (lambda v: v in {m.value for m in Mode}, "auto, hardware or software"),
    "reset_command": (lambda v: isinstance(v, str), "a command line"),
}


def ports_of(machine: Description | None, base: int | None) -> Ports:
    """Return the ports that belong to `base` if that is given, else to the machine."""
    return Ports(base if base is not None else machine.base if machine else DEFAULT_BASE)


def places() -> list[Path]:
    """Return where k42.toml is looked for, in order."""
    config = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return [Path(FILE), Path(config).expanduser() / "k42" / FILE]


def find_machine(name: str) -> Description | None:
    """Return the machine called `name`, or None if no file describes it.  Raises UserError for a bad file."""
    for path in places():
        if path.is_file():
            found = read_machines(path).get(name)
            if found is not None:
                return found
    return None


def find_place(text: str) -> Endpoint:
    """Return the endpoint that `text`, the name of no machine, stands for.  Raises UserError."""
    try:
        return parse_endpoint(text)
    except EndpointError as error:
        known = sorted({name for path in places() if path.is_file() for name in read_machines(path)})
        described = ", ".join(known) or "there is none"
        raise UserError(f"{error}, or the name of a machine in {FILE} ({described})") from None


def read_machines(path: Path) -> dict[str, Description]:
    """Read one k42.toml.  Raises UserError that names the file, the key and what belongs there."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{path}: {error}") from None
    machines = content.pop("machines", {})
    if content:
        raise UserError(f"{path}: unknown key {next(iter(content))!r}; machines are [machines.NAME]")
    return {name: _describe(path, name, table) for name, table in machines.items()}


def _describe(path: Path, name: str, table: object) -> Description:
    where = f"{path}: machines.{name}"
    if not isinstance(table, dict) or "line" not in table:
        raise UserError(f"{where}: say where its line is (line = ...)")
    for key, value in table.items():
        if key not in _CHECKS:
            known = ", ".join(field.name for field in fields(Description))
            raise UserError(f"{where}: unknown key {key!r}; there are {known}")
        is_right, wanted = _CHECKS[key]
        if isinstance(value, bool) or not is_right(value):
            raise UserError(f"{where}: {key} = {value!r}: give {wanted}")
    if "symbols" in table:
        table["symbols"] = str(path.absolute().parent / Path(table["symbols"]).expanduser())
    return Description(**table)


def reset_by(command: str | None) -> Reset | None:
    """Return what resets a machine by running `command`; None where there is none."""
    if command is None:
        return None

    async def reset() -> str:
        try:
            with trio.fail_after(RESET_SECONDS):
                done = await trio.run_process(
                    command, shell=True, check=False, capture_stdout=True, stderr=subprocess.STDOUT
                )
        except trio.TooSlowError:
            raise OSError(f"{command!r} did not end within {RESET_SECONDS:g} seconds") from None
        said = done.stdout.decode(errors="replace").strip().replace("\n", "; ")
        if done.returncode:
            raise OSError(f"{command!r} ended with status {done.returncode}: {said}")
        return said or "reset"

    return reset
