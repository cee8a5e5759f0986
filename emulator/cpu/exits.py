"""Why a run ends: the value `run` returns, and the exception that makes an instruction end it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


class ExitKind(Enum):
    """Why `run` came back."""

    BUDGET = auto()  # the instructions asked for are done
    BREAKPOINT = auto()  # pc stands on a debugger's breakpoint, not executed
    WATCHPOINT = auto()  # pc stands on the access that would touch `detail`, not executed
    IDLE = auto()  # nothing to do before the next event, or for `detail` instructions' time if that is not 0
    SIMULATOR_BREAK = auto()  # the guest executed 0x7C0007CE (K42 facts D.2); pc stands on it
    SHUTDOWN = auto()  # the guest asked to end; `detail` is its code
    CHECKSTOP = auto()  # the machine cannot go on (machine check with ME off, attn); `detail` tells why
    STOP_REQUEST = auto()  # somebody called request_stop()


@dataclass(frozen=True, slots=True)
class Exit:
    """Why and with what `run` came back; `instructions` completed during that run."""

    kind: ExitKind
    instructions: int = 0
    detail: int = 0


class Leave(Exception):
    """Ends the run with this instruction.

    `retry` False: the instruction is complete and pc moves on.  `retry` True: it had no effect at all and pc
    stays; a load from a device or from a watched address leaves this way.
    """

    def __init__(self, kind: ExitKind, detail: int = 0, *, retry: bool = False) -> None:
        super().__init__(kind, detail)
        self.kind = kind
        self.detail = detail
        self.retry = retry


def describe(exit_: Exit) -> str:
    """Return an exit in words for people."""
    match exit_.kind:
        case ExitKind.BUDGET:
            return "halted"
        case ExitKind.SHUTDOWN:
            return f"the guest shut down with code {exit_.detail}"
        case ExitKind.CHECKSTOP:
            return f"checkstop ({exit_.detail:#x})"
        case ExitKind.WATCHPOINT:
            return f"watchpoint at {exit_.detail:#x}"
        case ExitKind.SIMULATOR_BREAK:
            return "simulator breakpoint"
        case kind:
            return kind.name.lower().replace("_", " ")
