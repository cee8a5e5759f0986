"""Every command of the protocol we know: one catalogue between wire syntax and dataclasses.

The server parses with it, the client formats with it, and the tests check that the two are inverse.  Adding a
packet means a class here, its name in `Command`, and an answer in the server.  A class says of itself only
what its packet's pattern (`syntax`) does not.

`parse` never raises: a packet nobody knows is `Unknown` (to be answered with an empty reply), one with a
known name and a wrong shape is `Malformed` (to be answered with an error).  Meanings are the GDB manual's
("Packets", "General Query Packets", "Host I/O Packets").
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias, TypeVar, dataclass_transform

from gdbstub.syntax import NO_EXTRAS, BreakpointExtras, Syntax
from gdbstub.target import Action

C = TypeVar("C")

# In the order of this file; of two patterns that fit a packet the first one has it.
TABLE: list[Syntax[Any]] = []


@dataclass_transform(frozen_default=True)
def packet(pattern: str) -> Callable[[type[C]], type[C]]:
    """Make a dataclass of a class, and enter it into `TABLE` as what `pattern` says on the wire."""

    def enter(fields: type[C]) -> type[C]:
        command = dataclass(frozen=True, slots=True)(fields)
        TABLE.append(Syntax(command, pattern))
        return command

    return enter


@dataclass(frozen=True, slots=True)
class Unknown:
    """A packet that is none of the others."""

    body: bytes


@dataclass(frozen=True, slots=True)
class Malformed:
    """A packet of known name whose arguments make no sense."""

    body: bytes


@packet("?")
class QueryStop:
    """Why does the target stand still?"""


@packet("g")
class ReadRegisters:
    """All of them, as one block."""


@packet("G{block:hex}")
class WriteRegisters:
    block: bytes


@packet("p{number:x}")
class ReadRegister:
    number: int


@packet("P{number:x}={raw:hex}")
class WriteRegister:
    number: int
    raw: bytes


@packet("m{addr:x},{length:x}")
class ReadMemory:
    addr: int
    length: int


@packet("M{addr:x},{length:x}:{data:hex}")
class WriteMemory:
    addr: int
    length: int
    data: bytes


@packet("x{addr:x},{length:x}")
class ReadBinary:
    """Like `m`, answered `b` and raw bytes."""

    addr: int
    length: int


@packet("X{addr:x},{length:x}:{data:bytes}")
class WriteBinary:
    """Like `M`, raw bytes; of length 0 it asks whether X is known."""

    addr: int
    length: int
    data: bytes


@packet("c{addr:x?}")
class Continue:
    addr: int | None = None


@packet("C{signal:xx}")
class ContinueWithSignal:
    signal: int


@packet("C{signal:xx};{addr:x}")
class ContinueWithSignalAt:
    signal: int
    addr: int


@packet("s{addr:x?}")
class Step:
    addr: int | None = None


@packet("S{signal:xx}")
class StepWithSignal:
    signal: int


@packet("S{signal:xx};{addr:x}")
class StepWithSignalAt:
    signal: int
    addr: int


@packet("vCont;{actions:actions}")
class Resume:
    """`t` stands for a request to stop, which only means something in non-stop mode."""

    actions: tuple[Action | str, ...]


@packet("vCont?")
class QueryResume:
    """Which actions may a `vCont` have?"""


@packet("Z{kind:x},{addr:x},{length:x}{extras:extras}")
class InsertBreakpoint:
    """`extras` are its conditions and commands."""

    kind: int
    addr: int
    length: int
    extras: BreakpointExtras = NO_EXTRAS


@packet("z{kind:x},{addr:x},{length:x}")
class RemoveBreakpoint:
    kind: int
    addr: int
    length: int


@packet("H{operation:letter}{thread:thread}")
class SelectThread:
    """The thread for the next operations of that kind."""

    operation: str
    thread: int


@packet("T{thread:thread}")
class IsThreadAlive:
    thread: int


@packet("qC")
class CurrentThread:
    """Which thread is meant where none is named?"""


@packet("qfThreadInfo")
class FirstThreads:
    """The first piece of the list of threads."""


@packet("qsThreadInfo")
class MoreThreads:
    """The next piece of that list."""


@packet("qThreadExtraInfo,{thread:thread}")
class ThreadExtraInfo:
    thread: int


@packet("qAttached{process::suffix}")
class Attached:
    """Did we find the process running, or start it?  `process` may be left out."""

    process: str = ""


@packet("qSupported{features::suffix}")
class Supported:
    """What the other side can do."""

    features: str = ""


@packet("QStartNoAckMode")
class StartNoAckMode:
    """No more `+` and `-` from here on."""


@packet("qRcmd,{text:hex}")
class MonitorCommand:
    text: bytes


@packet("qXfer:{object:word}:read:{annex:word}:{offset:x},{length:x}")
class ReadObject:
    object: str
    annex: str
    offset: int
    length: int


@packet("qSymbol:{rest:rest}")
class Symbols:
    """gdb offers to look symbols up for us; we need none."""

    rest: str


@packet("qHostInfo")
class HostInfo:
    """lldb asks what machine we are."""


@packet("qProcessInfo")
class ProcessInfo:
    """lldb asks what is being debugged."""


@packet("qCRC:{addr:x},{length:x}")
class Checksum:
    addr: int
    length: int


@packet("qSearch:memory:{addr:x};{length:x};{pattern:bytes}")
class Search:
    addr: int
    length: int
    pattern: bytes


@packet("D{process:;suffix}")
class Detach:
    """`process` may be left out."""

    process: str = ""


@packet("k")
class Kill:
    """No reply."""


@packet("vKill;{process:x}")
class KillProcess:
    process: int


@packet("R{ignored:x?}")
class Restart:
    """No reply."""

    ignored: int | None = None


@packet("!")
class ExtendedMode:
    """The client stays when there is nothing to debug any more."""


@packet("vRun;{arguments:rest}")
class Run:
    arguments: str


@packet("vAttach;{process:x}")
class Attach:
    process: int


@packet("vFile:setfs:{process:x}")
class FileSetRoot:
    process: int


@packet("vFile:open:{name:hex},{flags:x},{mode:x}")
class FileOpen:
    name: bytes
    flags: int
    mode: int


@packet("vFile:pread:{file:x},{count:x},{offset:x}")
class FileRead:
    file: int
    count: int
    offset: int


@packet("vFile:fstat:{file:x}")
class FileStatus:
    file: int


@packet("vFile:close:{file:x}")
class FileClose:
    file: int


@packet("vFile:{operation:rest}")
class FileOther:
    """Any other operation."""

    operation: str


Command: TypeAlias = (
    Unknown
    | Malformed
    | QueryStop
    | ReadRegisters
    | WriteRegisters
    | ReadRegister
    | WriteRegister
    | ReadMemory
    | WriteMemory
    | ReadBinary
    | WriteBinary
    | Continue
    | ContinueWithSignal
    | ContinueWithSignalAt
    | Step
    | StepWithSignal
    | StepWithSignalAt
    | Resume
    | QueryResume
    | InsertBreakpoint
    | RemoveBreakpoint
    | SelectThread
    | IsThreadAlive
    | CurrentThread
    | FirstThreads
    | MoreThreads
    | ThreadExtraInfo
    | Attached
    | Supported
    | StartNoAckMode
    | MonitorCommand
    | ReadObject
    | Symbols
    | HostInfo
    | ProcessInfo
    | Checksum
    | Search
    | Detach
    | Kill
    | KillProcess
    | Restart
    | ExtendedMode
    | Run
    | Attach
    | FileSetRoot
    | FileOpen
    | FileRead
    | FileStatus
    | FileClose
    | FileOther
)

_BY_FIRST_BYTE: dict[int, list[Syntax[Any]]] = {}
for _row in TABLE:
    _BY_FIRST_BYTE.setdefault(_row.name[0], []).append(_row)

_BY_CLASS = {row.make: row for row in TABLE}


# A debugger says the same few things again and again: those are read once.
MAX_KEPT = 1024
LONGEST_KEPT = 64


def parse(body: bytes) -> Command:
    """Return the command in a packet's body."""
    return _parse_again(body) if len(body) <= LONGEST_KEPT else _parse(body)


def _parse(body: bytes) -> Command:
    is_named = False
    for row in _BY_FIRST_BYTE.get(body[0], ()) if body else ():
        command: Command | None = row.parse(body)
        if command is not None:
            return command
        is_named = is_named or (row.has_fields and body.startswith(row.name))
    return Malformed(body) if is_named else Unknown(body)


_parse_again = lru_cache(MAX_KEPT)(_parse)


def format(command: Command) -> bytes:
    """Return the packet body of a command; `parse` is its inverse."""
    if isinstance(command, Unknown | Malformed):
        return command.body
    return _BY_CLASS[type(command)].format(command)
