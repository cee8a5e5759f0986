"""The waist: what every debuggee can do, as seen by the server, the bridge and the traces.

A `Target` is a machine one can look into while it stands still.  The emulator, a stub at the end of a wire,
QEMU and a test's dictionary all are Targets, and nobody wraps one to change what it does: strategies (how to
step, how to break in) are passed, not stacked.

States: *stopped* (`stopped` holds the reason) and *running* (`stopped` is None).

    stopped --resume(actions)--> running --wait_stop() returns--> stopped

- Registers, memory and breakpoints are touched only while stopped; a Target asked while running raises
  TargetError(EBUSY) or, if it can answer anyway (the emulator can read memory), answers.
- `interrupt` only asks.  The stop it causes comes out of `wait_stop`, as every stop does; asked while
  stopped it does nothing.
- `wait_stop` may be cancelled and called again: the target goes on running and no stop is lost.  Called while
  stopped it returns `stopped` at once.
- One task at a time uses a Target, with one exception: `interrupt` may be called while another awaits
  `wait_stop`.

Threads are what gdb calls threads: for a machine, its processors, numbered from 1.  Every register access
names one.  Memory is the memory that thread 1 would see, addresses are 64-bit numbers.

Registers travel as bytes laid out by `Target.description`: the packed `g` block as a whole, or one register
by its number.  That is what the wire carries, so a round trip costs no dictionary; `Description.unpack`
gives names.

Required of everybody is `Target`.  The small protocols below it are abilities, found with isinstance.
Having the method does not oblige: `Unsupported` from it means the same as not having it (RemoteTarget learns
only from its peer's answer), and gdb gets the empty reply that means "unknown packet".
"""

from __future__ import annotations

import enum
import errno
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from gdbstub.registers import Description

# Signal numbers as gdb numbers them (GDB manual, "Stop Reply Packets"; they are gdb's own, not the host's).
SIGNAL_NONE = 0
SIGINT = 2
SIGILL = 4
SIGTRAP = 5
SIGEMT = 7
SIGFPE = 8
SIGBUS = 10
SIGSEGV = 11


class TargetError(Exception):
    """The target refuses this request; the session goes on.

    `code` is the errno-like number of the `Enn` reply, the text is for people (gdb shows it where the peer
    announced `error-message+`, and for monitor commands always).
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code & 0xFF


class MemoryFault(TargetError):
    """No memory at `addr`."""

    def __init__(self, addr: int) -> None:
        super().__init__(errno.EFAULT, f"no memory at {addr:#x}")
        self.addr = addr


class Unsupported(TargetError):
    """This target does not have the ability at all; gdb gets an empty reply."""

    def __init__(self, what: str) -> None:
        super().__init__(errno.ENOSYS, f"{what} is not supported by this target")


class TargetLost(TargetError):
    """The line to the target, or the target, is gone; the session cannot go on."""

    def __init__(self, text: str) -> None:
        super().__init__(errno.EIO, text)


class StopKind(enum.Enum):
    """Why a target stands still."""

    SIGNAL = "signal"
    """An exception, an interrupt request or a finished step: `signal` says which."""
    SWBREAK = "swbreak"
    HWBREAK = "hwbreak"
    WATCH = "watch"
    """A write watchpoint at data address `addr`.  The access has not happened, pc is at the instruction."""
    RWATCH = "rwatch"
    AWATCH = "awatch"
    EXITED = "exited"
    """The machine switched itself off; `status` is its exit code.  Nothing can be resumed."""
    TERMINATED = "terminated"
    """The machine died of `signal`."""


@dataclass(frozen=True, slots=True)
class StopReason:
    """One stop.  `registers` are values the target had at hand: register number -> wire bytes."""

    kind: StopKind = StopKind.SIGNAL
    signal: int = SIGTRAP
    thread: int = 1
    core: int | None = None
    addr: int | None = None
    status: int = 0
    registers: Mapping[int, bytes] = field(default_factory=dict)

    @property
    def is_final(self) -> bool:
        """True when there is nothing left to debug."""
        return self.kind in (StopKind.EXITED, StopKind.TERMINATED)


class ActionKind(enum.Enum):
    """What `resume` may be asked for."""

    CONTINUE = "continue"
    STEP = "step"
    """Execute one instruction."""
    RANGE_STEP = "range step"
    """Execute until pc leaves `range`, at least one instruction.  Breakpoints and interrupts end it early."""


@dataclass(frozen=True, slots=True)
class Action:
    """What one thread, or (thread None) every thread without an action of its own, shall do.

    `signal` is what gdb wants delivered; a machine has nothing to deliver and ignores it.
    """

    kind: ActionKind = ActionKind.CONTINUE
    thread: int | None = None
    signal: int = SIGNAL_NONE
    range: range = range(0)


@dataclass(frozen=True, slots=True)
class Thread:
    """A processor as gdb lists it: `name` and `state` are shown to people."""

    id: int
    name: str = ""
    core: int | None = None
    state: str = ""


@runtime_checkable
class Target(Protocol):
    """What every debuggee can do.  See the module's text for states and rules."""

    @property
    def description(self) -> Description:
        """The registers and their layout; constant for the life of the target."""

    @property
    def actions(self) -> frozenset[ActionKind]:
        """What `resume` can do.  The server builds RANGE_STEP out of STEP where only that is there."""

    @property
    def stopped(self) -> StopReason | None:
        """Why the target stands still, or None while it runs."""

    async def threads(self) -> Sequence[Thread]:
        """Return the threads there are, at least one."""

    async def read_registers(self, thread: int) -> bytes:
        """Return the `g` block: `description.g_size` bytes."""

    async def write_registers(self, thread: int, block: bytes) -> None:
        """Set all registers of the `g` block; `block` has exactly `description.g_size` bytes."""

    async def read_register(self, thread: int, number: int) -> bytes:
        """Return one register, in the block or outside it.  Raises TargetError if it cannot be had."""

    async def write_register(self, thread: int, number: int, raw: bytes) -> None:
        """Set one register; `raw` has exactly the register's size."""

    async def read_memory(self, addr: int, length: int) -> bytes:
        """Return up to `length` bytes at `addr`, fewer where memory ends.  Raises MemoryFault if none."""

    async def write_memory(self, addr: int, data: bytes) -> None:
        """Write `data` at `addr`.  Raises MemoryFault; bytes before the fault may have been written."""

    async def resume(self, actions: Sequence[Action]) -> None:
        """Start running.  The first action that names a thread, or names none, applies to it.

        An instruction breakpoint at the very pc a thread resumes at is hit at once, as a planted trap would
        be; gdb removes it first when it wants to pass.
        """

    async def wait_stop(self) -> StopReason:
        """Wait until the target stands still and say why.  Raises TargetLost."""

    async def interrupt(self) -> None:
        """Ask the target to stop, as soon as it can; the stop is a SIGNAL with SIGINT.

        Raises Unsupported with a text saying what the user can do instead if there is no way in.
        """


class Inspection(Protocol):
    """A synchronous look at a stopped thread, for conditions that are evaluated at full speed."""

    def register(self, number: int) -> int:
        """Return a register as an unsigned number.  Raises TargetError."""

    def memory(self, addr: int, length: int) -> bytes:
        """Return exactly `length` bytes.  Raises MemoryFault."""


Condition = Callable[[Inspection], bool]


class BreakpointKind(enum.Enum):
    """The number in gdb's `Z` and `z` packets."""

    SOFTWARE = 0
    HARDWARE = 1
    WRITE = 2
    READ = 3
    ACCESS = 4


#: Those that stop before an instruction; the others watch data.
INSTRUCTION_KINDS = frozenset({BreakpointKind.SOFTWARE, BreakpointKind.HARDWARE})


@dataclass(frozen=True, slots=True)
class Breakpoint:
    """A place to stop: an instruction's address, or `length` watched bytes at `addr`."""

    kind: BreakpointKind
    addr: int
    length: int = 4


@runtime_checkable
class Breakpoints(Protocol):
    """Z and z packets.  Inserting what is there and removing what is not are both fine."""

    async def insert(self, breakpoint: Breakpoint, condition: Condition | None = None) -> None:
        """Stop at `breakpoint` when `condition` holds (None: always).  Replaces an earlier condition.

        The condition is called by the machine itself, between two instructions, with the target standing
        still; it must not await.  A target that cannot do that raises Unsupported when it is given one.
        """

    async def remove(self, breakpoint: Breakpoint) -> None:
        """Forget `breakpoint`.

        Also called while the target runs, when a client is lost; a target that cannot do it then raises
        TargetError and is stopped for it.
        """


@runtime_checkable
class Monitor(Protocol):
    """`monitor COMMAND` in gdb."""

    async def monitor(self, command: str) -> str:
        """Carry out a command line and return what to print.  Raises TargetError; its text is shown."""


@runtime_checkable
class Expedites(Protocol):
    """A target that has reasons of its own which registers to send with a stop."""

    async def expedited(self, thread: int) -> Mapping[int, bytes]:
        """Return registers by number, as they travel; gdb will ask for what it misses."""


@runtime_checkable
class NamesThreads(Protocol):
    """A target that must be asked for the name of each thread, so that only who wants to see them pays."""

    @property
    def names_threads(self) -> bool:
        """True if it has any."""

    async def thread_name(self, thread: int) -> str:
        """Return a thread's name.  Raises TargetError."""


@runtime_checkable
class Announces(Protocol):
    """A target that has something to tell while it runs."""

    announce: Callable[[str], None]
    """Has the debugger print a text, with its line feed; set by whoever waits for the stop."""


@runtime_checkable
class Kill(Protocol):
    """gdb's `kill`: end what is being debugged."""

    async def kill(self) -> None:
        """End the debuggee.  The target may be stopped afterwards (reset), or final."""


@runtime_checkable
class Detach(Protocol):
    """gdb's `detach`: remove what the debugger planted and let the target run on its own."""

    async def detach(self) -> None:
        """Let go.  A target without this ability is told to CONTINUE."""


@runtime_checkable
class Confirm(Protocol):
    """A target that may have been reset while no debugger looked."""

    async def confirm(self) -> None:
        """Find out whether it still stands where it stopped; afterwards `stopped` is None if it does not."""


@runtime_checkable
class Reset(Protocol):
    """Start again, for `R` and `vRun` in extended-remote."""

    async def reset(self) -> None:
        """Reset the machine; it is stopped at its first instruction afterwards."""


class MemoryKind(enum.Enum):
    """gdb's memory types (GDB manual, "Memory Map Format")."""

    RAM = "ram"
    ROM = "rom"


@dataclass(frozen=True, slots=True)
class MemoryRegion:
    """A stretch of memory the debugger may touch."""

    kind: MemoryKind
    start: int
    length: int


@runtime_checkable
class MemoryMap(Protocol):
    """`qXfer:memory-map:read`.  What the map leaves out gdb refuses to touch: leave nothing out."""

    async def memory_map(self) -> Sequence[MemoryRegion]:
        """Return the regions, sorted, not overlapping."""


@runtime_checkable
class Unhurried(Protocol):
    """A target whose memory is far away: gdb must not ask for much of it at a time.

    gdb 13 waits six seconds for a reply (three times its `remotetimeout`).  After that it takes every reply
    for that of the next question, and the session is lost.
    """

    @property
    def packet_size(self) -> int:
        """The longest packet whose question can be answered in good time."""


@runtime_checkable
class Executable(Protocol):
    """`qXfer:exec-file:read`, and vFile so that gdb can fetch the file from us."""

    @property
    def executable_name(self) -> str:
        """Absolute name of the file, as gdb shall show it; empty if there is none."""

    async def read_executable(self) -> bytes:
        """Return the file's content.  Raises TargetError."""
