"""Every command of the protocol we know: one table between wire syntax and dataclasses.

The server parses with it, the client formats with it, and the tests check that the two are inverse.  Adding a
packet means a dataclass here, a row in `TABLE`, and a case in the server.

`parse` never raises: a packet nobody knows is `Unknown` (to be answered with an empty reply), one with a
known name and a wrong shape is `Malformed` (to be answered with an error).  Meanings are the GDB manual's
("Packets", "General Query Packets", "Host I/O Packets"); docstrings keep the wire's spelling.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

from gdbstub.syntax import NO_EXTRAS, BreakpointExtras, Syntax
from gdbstub.target import Action


@dataclass(frozen=True, slots=True)
class Unknown:
    """A packet with no row in the table."""

    body: bytes


@dataclass(frozen=True, slots=True)
class Malformed:
    """A packet of known name whose arguments make no sense."""

    body: bytes


@dataclass(frozen=True, slots=True)
class QueryStop:
    """`?`: why does the target stand still?"""


@dataclass(frozen=True, slots=True)
class ReadRegisters:
    """`g`"""


@dataclass(frozen=True, slots=True)
class WriteRegisters:
    """`G`"""

    block: bytes


@dataclass(frozen=True, slots=True)
class ReadRegister:
    """`p`"""

    number: int


@dataclass(frozen=True, slots=True)
class WriteRegister:
    """`P`"""

    number: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class ReadMemory:
    """`m`"""

    addr: int
    length: int


@dataclass(frozen=True, slots=True)
class WriteMemory:
    """`M`"""

    addr: int
    length: int
    data: bytes


@dataclass(frozen=True, slots=True)
class ReadBinary:
    """`x`: like `m`, answered `b` and raw bytes."""

    addr: int
    length: int


@dataclass(frozen=True, slots=True)
class WriteBinary:
    """`X`: like `M`, raw bytes; of length 0 it asks whether X is known."""

    addr: int
    length: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Continue:
    """`c`"""

    addr: int | None = None


@dataclass(frozen=True, slots=True)
class ContinueWithSignal:
    """`C`"""

    signal: int


@dataclass(frozen=True, slots=True)
class ContinueWithSignalAt:
    """`C sig;addr`"""

    signal: int
    addr: int


@dataclass(frozen=True, slots=True)
class Step:
    """`s`"""

    addr: int | None = None


@dataclass(frozen=True, slots=True)
class StepWithSignal:
    """`S`"""

    signal: int


@dataclass(frozen=True, slots=True)
class StepWithSignalAt:
    """`S sig;addr`"""

    signal: int
    addr: int


@dataclass(frozen=True, slots=True)
class Resume:
    """`vCont;...`; "t" stands for a request to stop, which only means something in non-stop mode."""

    actions: tuple[Action | str, ...]


@dataclass(frozen=True, slots=True)
class QueryResume:
    """`vCont?`"""


@dataclass(frozen=True, slots=True)
class InsertBreakpoint:
    """`Z kind,addr,length[;conditions][;cmds:persist,commands]`"""

    kind: int
    addr: int
    length: int
    extras: BreakpointExtras = NO_EXTRAS


@dataclass(frozen=True, slots=True)
class RemoveBreakpoint:
    """`z`"""

    kind: int
    addr: int
    length: int


@dataclass(frozen=True, slots=True)
class SelectThread:
    """`Hg`, `Hc`: the thread for the next operations of that kind."""

    operation: str
    thread: int


@dataclass(frozen=True, slots=True)
class IsThreadAlive:
    """`T`"""

    thread: int


@dataclass(frozen=True, slots=True)
class CurrentThread:
    """`qC`"""


@dataclass(frozen=True, slots=True)
class FirstThreads:
    """`qfThreadInfo`"""


@dataclass(frozen=True, slots=True)
class MoreThreads:
    """`qsThreadInfo`"""


@dataclass(frozen=True, slots=True)
class ThreadExtraInfo:
    """`qThreadExtraInfo`"""

    thread: int


@dataclass(frozen=True, slots=True)
class Attached:
    """`qAttached`, with or without a process"""

    process: str = ""


@dataclass(frozen=True, slots=True)
class Supported:
    """`qSupported`: what the other side can do."""

    features: str = ""


@dataclass(frozen=True, slots=True)
class StartNoAckMode:
    """`QStartNoAckMode`"""


@dataclass(frozen=True, slots=True)
class MonitorCommand:
    """`qRcmd`"""

    text: bytes


@dataclass(frozen=True, slots=True)
class ReadObject:
    """`qXfer:object:read:annex:offset,length`"""

    object: str
    annex: str
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Symbols:
    """`qSymbol:...`: gdb offers to look symbols up for us; we need none."""

    rest: str


@dataclass(frozen=True, slots=True)
class HostInfo:
    """`qHostInfo`: lldb asks what machine we are"""


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """`qProcessInfo`: lldb asks what is being debugged"""


@dataclass(frozen=True, slots=True)
class Checksum:
    """`qCRC`"""

    addr: int
    length: int


@dataclass(frozen=True, slots=True)
class Search:
    """`qSearch:memory`"""

    addr: int
    length: int
    pattern: bytes


@dataclass(frozen=True, slots=True)
class Detach:
    """`D`, with or without a process"""

    process: str = ""


@dataclass(frozen=True, slots=True)
class Kill:
    """`k`: no reply"""


@dataclass(frozen=True, slots=True)
class KillProcess:
    """`vKill`"""

    process: int


@dataclass(frozen=True, slots=True)
class Restart:
    """`R`: no reply"""

    ignored: int | None = None


@dataclass(frozen=True, slots=True)
class ExtendedMode:
    """`!`"""


@dataclass(frozen=True, slots=True)
class Run:
    """`vRun;filename;arguments`"""

    arguments: str


@dataclass(frozen=True, slots=True)
class Attach:
    """`vAttach`"""

    process: int


@dataclass(frozen=True, slots=True)
class FileSetRoot:
    """`vFile:setfs`"""

    process: int


@dataclass(frozen=True, slots=True)
class FileOpen:
    """`vFile:open`"""

    name: bytes
    flags: int
    mode: int


@dataclass(frozen=True, slots=True)
class FileRead:
    """`vFile:pread`"""

    file: int
    count: int
    offset: int


@dataclass(frozen=True, slots=True)
class FileStatus:
    """`vFile:fstat`"""

    file: int


@dataclass(frozen=True, slots=True)
class FileClose:
    """`vFile:close`"""

    file: int


@dataclass(frozen=True, slots=True)
class FileOther:
    """Any other `vFile:` operation"""

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

TABLE: tuple[Syntax[Any], ...] = (
    Syntax(QueryStop, "?"),
    Syntax(ReadRegisters, "g"),
    Syntax(WriteRegisters, "G{block:hex}"),
    Syntax(ReadRegister, "p{number:x}"),
    Syntax(WriteRegister, "P{number:x}={raw:hex}"),
    Syntax(ReadMemory, "m{addr:x},{length:x}"),
    Syntax(WriteMemory, "M{addr:x},{length:x}:{data:hex}"),
    Syntax(ReadBinary, "x{addr:x},{length:x}"),
    Syntax(WriteBinary, "X{addr:x},{length:x}:{data:bytes}"),
    Syntax(Continue, "c{addr:x?}"),
    Syntax(ContinueWithSignal, "C{signal:xx}"),
    Syntax(ContinueWithSignalAt, "C{signal:xx};{addr:x}"),
    Syntax(Step, "s{addr:x?}"),
    Syntax(StepWithSignal, "S{signal:xx}"),
    Syntax(StepWithSignalAt, "S{signal:xx};{addr:x}"),
    Syntax(QueryResume, "vCont?"),
    Syntax(Resume, "vCont;{actions:actions}"),
    Syntax(InsertBreakpoint, "Z{kind:x},{addr:x},{length:x}{extras:extras}"),
    Syntax(RemoveBreakpoint, "z{kind:x},{addr:x},{length:x}"),
    Syntax(SelectThread, "H{operation:letter}{thread:thread}"),
    Syntax(IsThreadAlive, "T{thread:thread}"),
    Syntax(CurrentThread, "qC"),
    Syntax(FirstThreads, "qfThreadInfo"),
    Syntax(MoreThreads, "qsThreadInfo"),
    Syntax(ThreadExtraInfo, "qThreadExtraInfo,{thread:thread}"),
    Syntax(Attached, "qAttached{process::suffix}"),
    Syntax(Supported, "qSupported{features::suffix}"),
    Syntax(StartNoAckMode, "QStartNoAckMode"),
    Syntax(MonitorCommand, "qRcmd,{text:hex}"),
    Syntax(ReadObject, "qXfer:{object:word}:read:{annex:word}:{offset:x},{length:x}"),
    Syntax(Symbols, "qSymbol:{rest:rest}"),
    Syntax(HostInfo, "qHostInfo"),
    Syntax(ProcessInfo, "qProcessInfo"),
    Syntax(Checksum, "qCRC:{addr:x},{length:x}"),
    Syntax(Search, "qSearch:memory:{addr:x};{length:x};{pattern:bytes}"),
    Syntax(Detach, "D{process:;suffix}"),
    Syntax(Kill, "k"),
    Syntax(KillProcess, "vKill;{process:x}"),
    Syntax(Restart, "R{ignored:x?}"),
    Syntax(ExtendedMode, "!"),
    Syntax(Run, "vRun;{arguments:rest}"),
    Syntax(Attach, "vAttach;{process:x}"),
    Syntax(FileSetRoot, "vFile:setfs:{process:x}"),
    Syntax(FileOpen, "vFile:open:{name:hex},{flags:x},{mode:x}"),
    Syntax(FileRead, "vFile:pread:{file:x},{count:x},{offset:x}"),
    Syntax(FileStatus, "vFile:fstat:{file:x}"),
    Syntax(FileClose, "vFile:close:{file:x}"),
    Syntax(FileOther, "vFile:{operation:rest}"),
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
