"""`monitor` commands that a stub's client carries out itself, as a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gdbstub import commands
from gdbstub.stepping import Mode

if TYPE_CHECKING:
    from gdbstub.client import RemoteTarget

# Text of a stub kept for the answer to one monitor command.
MAX_OUTPUT = 1 << 16


def _single_step_mode(target: RemoteTarget, argument: str) -> str:
    """[auto|hardware|software]: how a step is made"""
    if argument:
        try:
            target.mode = Mode(argument)
        except ValueError:
            return f"single-step-mode is one of auto, hardware, software; not {argument}\n"
    return f"single-step-mode is {target.mode.value}: {explain(target)}\n"


def explain(target: RemoteTarget) -> str:
    """Return what the mode means for this stub."""
    if target.quirks.has(commands.Step):
        return "the stub steps by itself"
    if target.mode is Mode.HARDWARE:
        return "MSR[SE] and a detach, with three lines on the console for each step"
    return "a trap is planted behind the instruction; branches are computed"


def _help(target: RemoteTarget, argument: str) -> str:
    """: this text"""
    return "".join(f"{name} {entry.__doc__}\n" for name, entry in COMMANDS.items())


def _watch_by_stepping(target: RemoteTarget, argument: str) -> str:
    """[on|off]: whether watchpoints that the stub lacks are made of single steps"""
    if argument:
        if argument not in ("on", "off"):
            return f"watch-by-stepping is on or off; not {argument}\n"
        target.watches_by_stepping = argument == "on"
    if target.watches_by_stepping:
        return "watch-by-stepping is on: with a watchpoint set, continue looks at each instruction\n"
    return "watch-by-stepping is off: a watchpoint that the stub does not have is refused\n"


COMMANDS: dict[str, Callable[[RemoteTarget, str], str]] = {
    "single-step-mode": _single_step_mode,
    "watch-by-stepping": _watch_by_stepping,
    "help": _help,
}


def carry_out(target: RemoteTarget, line: str) -> str | None:
    """Return the text of a command of ours, or None if `line` is none."""
    name, _, argument = line.strip().partition(" ")
    entry = COMMANDS.get(name)
    return None if entry is None else entry(target, argument.strip())
