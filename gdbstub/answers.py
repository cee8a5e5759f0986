"""What the server answers: one function for each command, from the target's state to a reply's body.

Resuming is not here but in `runs`, attaching and ending a session in `conversation`; everything that is one
question and one answer is; what somebody asks who has no file, and what only lldb asks, in `file_answers` and
`lldb_answers`.  `ANSWERS` is filled by the decorator `answers`, and with theirs by `conversation`; a command
without an entry gets the empty reply, which tells gdb that we do not know the packet.

A `TargetError` raised here becomes the `E` reply, `Unsupported` the empty one.
"""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeGuard, TypeVar

from gdbstub import agent, commands, conditions, replies, scan
from gdbstub.session import PACKET_SIZE
from gdbstub.syntax import ALL_THREADS, ANY_THREAD
from gdbstub.target import (
    Breakpoint,
    BreakpointKind,
    Breakpoints,
    Executable,
    MemoryFault,
    MemoryMap,
    NamesThreads,
    Target,
    TargetError,
    TargetLost,
    Thread,
    Unhurried,
    Unsupported,
)

# The most memory one command may make us hold: a reply is two digits a byte, and must fit a packet.
MAX_TRANSFER = PACKET_SIZE // 2 - 16


@dataclass
class Attachment:
    """One client's view of a target: what it selected, planted and announced.

    `show` has the client print text; a breakpoint's commands call it from whatever thread the machine runs
    in.  `refused` are breakpoints the target will not have, and why: gdb 13 shows no text that comes with the
    refusal ("Cannot access memory at address" whatever it says), so it is told when it wants to run.
    """

    target: Target
    show: Callable[[str], None]
    features: frozenset[str] = frozenset()
    register_thread: int = 1
    breakpoints: set[Breakpoint] = field(default_factory=set)
    refused: dict[Breakpoint, str] = field(default_factory=dict)
    is_extended: bool = False
    # In extended mode a client stays after it has killed or let go, with nothing to debug until it runs or
    # attaches again.
    holds_target: bool = True
    file: bytes | None = None
    unhurried: Unhurried | None = field(init=False)

    def __post_init__(self) -> None:
        # Asked once: looking for a protocol's methods costs as much as a short read.
        self.unhurried = self.target if isinstance(self.target, Unhurried) else None

    @property
    def packet_size(self) -> int:
        """The longest packet that gdb is to send or to ask for."""
        return PACKET_SIZE if self.unhurried is None else self.unhurried.packet_size

    async def pick(self, thread: int) -> int:
        """Return the thread a thread-id means: any and all mean the one that stopped."""
        if thread in (ANY_THREAD, ALL_THREADS):
            return self.target.stopped.thread if self.target.stopped else 1
        return thread


C = TypeVar("C")
Answer: TypeAlias = Callable[[Attachment, C], Awaitable[bytes]]
ANSWERS: dict[type[Any], Answer[Any]] = {}


def answers(kind: type[C]) -> Callable[[Answer[C]], Answer[C]]:
    """Enter a function into `ANSWERS`."""

    def enter(answer: Answer[C]) -> Answer[C]:
        ANSWERS[kind] = answer
        return answer

    return enter


async def answer(attachment: Attachment, command: commands.Command) -> bytes:
    """Return the reply to a command that neither resumes nor ends anything."""
    entry = ANSWERS.get(type(command))
    if entry is None:
        return replies.EMPTY
    try:
        return await entry(attachment, command)
    except Unsupported:
        return replies.EMPTY
    except TargetError as problem:
        # gdb 13 shows the text of such an error without having announced that it does, but takes it for
        # memory where it has asked for some.  A number is not enough to know that nobody answers any more.
        is_shown = problem.code == errno.ETIMEDOUT and not isinstance(command, MEMORY_READS)
        return replies.error(problem, SHOWS_ERRORS if is_shown else attachment.features)


MEMORY_READS = (commands.ReadMemory, commands.ReadBinary)
SHOWS_ERRORS = frozenset({"error-message"})


@answers(commands.Malformed)
async def _malformed(attachment: Attachment, command: commands.Malformed) -> bytes:
    raise TargetError(errno.EINVAL, "malformed packet")


# What can we do for each other?


def _names_threads(target: Target) -> TypeGuard[NamesThreads]:
    return isinstance(target, NamesThreads) and target.names_threads


@answers(commands.Supported)
async def _supported(attachment: Attachment, command: commands.Supported) -> bytes:
    attachment.features = replies.parse_features(command.features)
    target = attachment.target
    offers = [
        f"PacketSize={attachment.packet_size:x}",
        "QStartNoAckMode+",
        "qXfer:features:read+",
        # gdb reads that list at every stop, and wants to have the names in it.
        *(() if _names_threads(target) else ("qXfer:threads:read+",)),
        "vContSupported+",
        "binary-upload+",
    ]
    if isinstance(target, Breakpoints):
        offers += ["swbreak+", "hwbreak+", "ConditionalBreakpoints+", "BreakpointCommands+"]
    if isinstance(target, MemoryMap):
        offers.append("qXfer:memory-map:read+")
    if isinstance(target, Executable) and target.executable_name:
        offers.append("qXfer:exec-file:read+")
    if "error-message" in attachment.features:
        offers.append("error-message+")
    return ";".join(offers).encode()


@answers(commands.ExtendedMode)
async def _extended(attachment: Attachment, command: commands.ExtendedMode) -> bytes:
    attachment.is_extended = True
    return replies.OK


@answers(commands.Symbols)
async def _symbols(attachment: Attachment, command: commands.Symbols) -> bytes:
    return replies.OK


@answers(commands.QueryResume)
async def _query_resume(attachment: Attachment, command: commands.QueryResume) -> bytes:
    # gdb uses vCont only if C and S are there as well, whether or not signals mean anything to us.
    return b"vCont;c;C;s;S;r"


@answers(commands.Attached)
async def _attached(attachment: Attachment, command: commands.Attached) -> bytes:
    # 1: we were attached to something that ran before, so gdb detaches rather than kills when it quits.
    return b"1"


# Registers


@answers(commands.ReadRegisters)
async def _read_registers(attachment: Attachment, command: commands.ReadRegisters) -> bytes:
    return (await attachment.target.read_registers(attachment.register_thread)).hex().encode()


@answers(commands.WriteRegisters)
async def _write_registers(attachment: Attachment, command: commands.WriteRegisters) -> bytes:
    size = attachment.target.description.g_size
    if len(command.block) != size:
        raise TargetError(errno.EINVAL, f"the register block has {size} bytes, not {len(command.block)}")
    await attachment.target.write_registers(attachment.register_thread, command.block)
    return replies.OK


@answers(commands.ReadRegister)
async def _read_register(attachment: Attachment, command: commands.ReadRegister) -> bytes:
    if command.number not in attachment.target.description.by_number:
        raise TargetError(errno.EINVAL, f"there is no register {command.number}")
    return (await attachment.target.read_register(attachment.register_thread, command.number)).hex().encode()


@answers(commands.WriteRegister)
async def _write_register(attachment: Attachment, command: commands.WriteRegister) -> bytes:
    register = attachment.target.description.by_number.get(command.number)
    if register is None or register.size != len(command.raw):
        raise TargetError(errno.EINVAL, f"register {command.number} is not {len(command.raw)} bytes")
    await attachment.target.write_register(attachment.register_thread, command.number, command.raw)
    return replies.OK


# Memory


async def _read(attachment: Attachment, addr: int, length: int) -> bytes:
    if length == 0:
        return b""
    limit = min(MAX_TRANSFER, attachment.packet_size // 2)
    return await attachment.target.read_memory(addr, min(length, limit))


@answers(commands.ReadMemory)
async def _read_memory(attachment: Attachment, command: commands.ReadMemory) -> bytes:
    return (await _read(attachment, command.addr, command.length)).hex().encode()


@answers(commands.ReadBinary)
async def _read_binary(attachment: Attachment, command: commands.ReadBinary) -> bytes:
    return b"b" + await _read(attachment, command.addr, command.length)


@answers(commands.WriteMemory)
async def _write_memory(attachment: Attachment, command: commands.WriteMemory) -> bytes:
    return await _write(attachment, command.addr, command.length, command.data)


@answers(commands.WriteBinary)
async def _write_binary(attachment: Attachment, command: commands.WriteBinary) -> bytes:
    return await _write(attachment, command.addr, command.length, command.data)


async def _write(attachment: Attachment, addr: int, length: int, data: bytes) -> bytes:
    if len(data) != length:
        raise TargetError(errno.EINVAL, f"{length} bytes announced, {len(data)} sent")
    if data:
        await attachment.target.write_memory(addr, data)
    return replies.OK


@answers(commands.Checksum)
async def _checksum(attachment: Attachment, command: commands.Checksum) -> bytes:
    return b"C%x" % scan.checksum(await scan.read(attachment.target, command.addr, command.length))


@answers(commands.Search)
async def _search(attachment: Attachment, command: commands.Search) -> bytes:
    # `length` is the region searched; a match has to lie in it whole.
    found = (await scan.read(attachment.target, command.addr, command.length)).find(command.pattern)
    return b"0" if found < 0 else b"1,%x" % (command.addr + found)


# Breakpoints


def _breakpoint(command: commands.InsertBreakpoint | commands.RemoveBreakpoint) -> Breakpoint:
    try:
        kind = BreakpointKind(command.kind)
    except ValueError:
        raise Unsupported(f"breakpoint type {command.kind}") from None
    return Breakpoint(kind, command.addr, command.length)


@answers(commands.InsertBreakpoint)
async def _insert(attachment: Attachment, command: commands.InsertBreakpoint) -> bytes:
    if not isinstance(attachment.target, Breakpoints):
        return replies.EMPTY
    breakpoint = _breakpoint(command)
    extras = command.extras
    condition = None
    if extras.conditions or extras.commands:
        for code in (*extras.conditions, *extras.commands):
            agent.check(code)
        condition = conditions.judge(extras.conditions, extras.commands, attachment.show)
    try:
        await attachment.target.insert(breakpoint, condition)
    except (MemoryFault, TargetLost, Unsupported):
        raise
    except TargetError as problem:
        attachment.refused[breakpoint] = str(problem)
    else:
        attachment.breakpoints.add(breakpoint)
    return replies.OK


@answers(commands.RemoveBreakpoint)
async def _remove(attachment: Attachment, command: commands.RemoveBreakpoint) -> bytes:
    if not isinstance(attachment.target, Breakpoints):
        return replies.EMPTY
    breakpoint = _breakpoint(command)
    if attachment.refused.pop(breakpoint, None) is not None:
        return replies.OK
    await attachment.target.remove(breakpoint)
    attachment.breakpoints.discard(breakpoint)
    return replies.OK


# Threads


@answers(commands.SelectThread)
async def _select_thread(attachment: Attachment, command: commands.SelectThread) -> bytes:
    if command.operation == "g":
        attachment.register_thread = await _existing(attachment, command.thread)
    return replies.OK


async def _threads(attachment: Attachment) -> Sequence[Thread]:
    return await attachment.target.threads() if attachment.holds_target else ()


async def _existing(attachment: Attachment, thread: int) -> int:
    picked = await attachment.pick(thread)
    if picked not in [known.id for known in await _threads(attachment)]:
        raise TargetError(errno.ESRCH, f"there is no thread {thread}")
    return picked


@answers(commands.IsThreadAlive)
async def _is_alive(attachment: Attachment, command: commands.IsThreadAlive) -> bytes:
    await _existing(attachment, command.thread)
    return replies.OK


@answers(commands.CurrentThread)
async def _current_thread(attachment: Attachment, command: commands.CurrentThread) -> bytes:
    return b"QC%x" % await attachment.pick(ANY_THREAD)


@answers(commands.FirstThreads)
async def _first_threads(attachment: Attachment, command: commands.FirstThreads) -> bytes:
    threads = await _threads(attachment)
    return b"m" + b",".join([b"%x" % thread.id for thread in threads]) if threads else b"l"


@answers(commands.MoreThreads)
async def _more_threads(attachment: Attachment, command: commands.MoreThreads) -> bytes:
    return b"l"


@answers(commands.ThreadExtraInfo)
async def _thread_info(attachment: Attachment, command: commands.ThreadExtraInfo) -> bytes:
    target = attachment.target
    for thread in await target.threads():
        if thread.id == command.thread:
            name = await target.thread_name(thread.id) if _names_threads(target) else thread.name
            return ", ".join(filter(None, (name, thread.state))).encode().hex().encode()
    raise TargetError(errno.ESRCH, f"there is no thread {command.thread}")


# Objects


async def _features_object(attachment: Attachment, annex: str) -> str:
    if annex != "target.xml":
        raise TargetError(errno.ENOENT, f"there is no {annex}")
    return attachment.target.description.xml()


async def _threads_object(attachment: Attachment, annex: str) -> str:
    return replies.thread_list(await _threads(attachment))


async def _memory_map_object(attachment: Attachment, annex: str) -> str:
    if not isinstance(attachment.target, MemoryMap):
        raise Unsupported("a memory map")
    return replies.memory_map(await attachment.target.memory_map())


async def _exec_file_object(attachment: Attachment, annex: str) -> str:
    if not isinstance(attachment.target, Executable) or not attachment.target.executable_name:
        raise Unsupported("an executable")
    return attachment.target.executable_name


OBJECTS: dict[str, Callable[[Attachment, str], Awaitable[str]]] = {
    "features": _features_object,
    "threads": _threads_object,
    "memory-map": _memory_map_object,
    "exec-file": _exec_file_object,
}


@answers(commands.ReadObject)
async def _read_object(attachment: Attachment, command: commands.ReadObject) -> bytes:
    if command.object not in OBJECTS:
        return replies.EMPTY
    document = (await OBJECTS[command.object](attachment, command.annex)).encode()
    return replies.chunk(document, command.offset, min(command.length, MAX_TRANSFER))


RESUMING = (
    commands.Continue
    | commands.ContinueWithSignal
    | commands.ContinueWithSignalAt
    | commands.Step
    | commands.StepWithSignal
    | commands.StepWithSignalAt
    | commands.Resume
)
