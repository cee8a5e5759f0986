"""RemoteTarget: a Target that is a stub at the other end of a line.

What the stub can do it is asked to do.  What it cannot, this makes up from what is there, as `quirks` say:
registers one by one from the whole block, breakpoints from planted traps, steps by `stepping`.  Everything
learned at a stop is kept until the next resume, and what is changed is sent only then (`stub_state`): on a
slow line each exchange counts.

Where the target stands, and how it is stopped, is a matter of its own (`whereabouts`).
"""

from __future__ import annotations

import errno
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import trio

from gdbstub import commands, monitor, negotiation, replies
from gdbstub.commands import Command
from gdbstub.link import Link
from gdbstub.quirks import AUTO, KNOWN_BY_TEXT, Quirks
from gdbstub.registers import Description
from gdbstub.stepping import Mode
from gdbstub.stub_breakpoints import StubBreakpoints
from gdbstub.stub_state import StubState
from gdbstub.stub_threads import StubThreads
from gdbstub.surroundings import Surroundings
from gdbstub.target import (
    Action,
    ActionKind,
    Breakpoint,
    Condition,
    StopReason,
    TargetError,
    Thread,
    Unsupported,
)
from gdbstub.traps import Traps
from gdbstub.whereabouts import PROBE_PATIENCE, Whereabouts

log = logging.getLogger("gdbstub")

# Lines of the console that an error quotes.
LAST_LINES = 3

# Seconds for which a step may keep its debugger from being heard: over a quick line it is made in that time,
# and nobody need listen and wait at once.
MOMENT = 0.01

# What gdb needs to find the frame it is in and its caller's, without a frame pointer.
EXPEDITED = ("pc", "r0", "r1", "lr", "cr", "ctr", "msr")


@asynccontextmanager
async def connect(
    stream: trio.abc.Stream, quirks: Quirks, surroundings: Surroundings | None = None
) -> AsyncIterator[RemoteTarget]:
    """Talk to the stub at the other end of `stream` for as long as the block runs.

    Leaving the block removes the traps that are planted, if the target stands still.  Raises TargetError if
    a stub that ought to answer at once does not.
    """
    async with stream, trio.open_nursery() as nursery:
        target = RemoteTarget(stream, quirks, surroundings or Surroundings(), nursery)
        try:
            if quirks.negotiates:
                await target.negotiate()
            yield target
        finally:
            with trio.move_on_after(PROBE_PATIENCE, shield=True):
                try:
                    await target.withdraw()
                except TargetError as problem:
                    log.warning("the stub keeps what we planted or changed: %s", problem)
            nursery.cancel_scope.cancel()


class RemoteTarget:
    """A stub as a Target.  Made by `connect`."""

    actions = frozenset({ActionKind.CONTINUE, ActionKind.STEP})

    def __init__(
        self, stream: trio.abc.Stream, quirks: Quirks, surroundings: Surroundings, nursery: trio.Nursery
    ) -> None:
        self._output = b""
        self._surroundings = surroundings
        self._link = Link(
            stream,
            quirks,
            lambda news: self._whereabouts.hear_stop(news),
            self._on_text,
            self._last_words,
        )
        self._state = StubState(
            self._link,
            surroundings.describe,
            surroundings.forbidden,
            surroundings.register_blocks,
            surroundings.text,
            surroundings.function,
        )
        self._threads = StubThreads(self._link, self._ask, self._state.read)
        self._breakpoints = StubBreakpoints(self._state, self._ask)
        self._unknown: set[type[Command]] = set()
        self._whereabouts = Whereabouts(
            self._link,
            self._state,
            self._threads,
            self._breakpoints,
            surroundings,
            self._identify,
            nursery,
        )
        self._run = self._whereabouts.run

    @property
    def quirks(self) -> Quirks:
        """What is known of the stub."""
        return self._link.quirks

    async def _identify(self) -> bool:
        """Find out what kind of stub it is, if nobody said: it has just answered for the first time."""
        if self.quirks is AUTO:
            self._adopt(await negotiation.identify(self._link, self._state.registers.block_size))
            if self.quirks.negotiates:
                await self.negotiate()
            return True
        return False

    def _adopt(self, quirks: Quirks) -> None:
        log.info("this is a stub of the kind %s", quirks.name)
        self._link.quirks = quirks
        self._state.registers.description = quirks.default
        self._state.forget()
        self._state.max_read, self._state.max_command = quirks.max_read, quirks.max_command

    async def negotiate(self) -> None:
        """Find out what the stub can do."""
        findings = await negotiation.negotiate(self._link, self.quirks)
        self._state.registers.description = findings.description
        self._state.max_command = findings.packet_size
        self._state.max_read = min(self.quirks.max_read, findings.packet_size // 2 - 8)

    @property
    def mode(self) -> Mode:
        """How steps are made for a stub that has none."""
        return self._run.mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        self._run.mode = mode

    @property
    def watches_by_stepping(self) -> bool:
        """Whether watchpoints that the stub lacks are made of single steps."""
        return self._breakpoints.watches_by_stepping

    @watches_by_stepping.setter
    def watches_by_stepping(self, on: bool) -> None:
        self._breakpoints.watches_by_stepping = on

    @property
    def announce(self) -> Callable[[str], None]:
        """Who hears how far a long run by steps is."""
        return self._run.show

    @announce.setter
    def announce(self, show: Callable[[str], None]) -> None:
        self._run.show = show

    @property
    def packet_size(self) -> int:
        """The longest packet a debugger may send us."""
        return self.quirks.packet_size

    @property
    def description(self) -> Description:
        """The registers there are."""
        return self._state.registers.description

    def _has(self, command: type[Command]) -> bool:
        return self.quirks.has(command) and command not in self._unknown

    async def _ask(self, command: Command) -> bytes:
        """Send a command that the stub may not know.  Raises Unsupported, TargetError."""
        kind = type(command)
        if self._has(kind):
            body = await self._link.ask(commands.format(command))
            if body[:1] == b"E":
                raise TargetError(errno.EIO, f"the stub answers {body[:80].decode('latin-1')}")
            if body:
                return body
            # One kind of breakpoint missing says nothing about the others.
            if kind is not commands.InsertBreakpoint:
                self._unknown.add(kind)
        raise Unsupported(kind.__name__)

    def _on_text(self, text: bytes) -> None:
        self._output = (self._output + text)[-monitor.MAX_OUTPUT :]
        if self.quirks is AUTO:
            for sign, quirks in KNOWN_BY_TEXT:
                if sign in self._output:
                    self._adopt(quirks)
        self._whereabouts.hear_text(text)
        self._surroundings.on_text(text)

    async def _last_words(self) -> str:
        """Return the console's last lines, for a message; the stub's own text where it is all there is."""
        text = await self._surroundings.console() or self._output
        lines = [line.strip() for line in text.decode("latin-1").splitlines()]
        return " | ".join([line for line in lines if line.isprintable() and line][-LAST_LINES:])

    # Standing still and running

    @property
    def stopped(self) -> StopReason | None:
        """Why the target stands still, or None while it runs, or nobody knows."""
        return self._whereabouts.stopped

    async def wait_lost(self) -> None:
        """Wait until the line to the stub is closed, and all that came over it is known."""
        await self._whereabouts.wait_lost()

    async def wait_stop(self) -> StopReason:
        """Wait until the target stands still.  Raises TargetError if it could not be resumed as asked."""
        return await self._whereabouts.wait_stop()

    async def interrupt(self) -> None:
        """Stop the target: ask where it stands if that is not known, else break in."""
        await self._whereabouts.interrupt()

    async def confirm(self) -> None:
        """Ask the stub whether it is still there; without an answer, nothing is known of the target."""
        if self.stopped is not None and not self.stopped.is_final and not await self._whereabouts.answers():
            self._let_go(is_known=False)

    async def type(self, keys: bytes) -> None:
        """Type on the console that shares the stub's line, as soon as the target runs."""
        await self._whereabouts.type(keys)

    async def resume(self, actions: Sequence[Action]) -> None:
        """Start running or stepping; what comes of it is told by `wait_stop`."""
        if actions[0].kind is ActionKind.CONTINUE:
            self._whereabouts.resume(self._run.run)
        else:
            self._whereabouts.resume(self._run.step)
            await self._whereabouts.settle(MOMENT)

    # Registers, memory, breakpoints

    async def read_registers(self, thread: int) -> bytes:
        """Return the `g` block."""
        current = self._whereabouts.standing().thread
        if thread != current:
            return await self._threads.block(thread, current, self.description)
        return await self._state.registers.block()

    async def expedited(self, thread: int) -> dict[int, bytes]:
        """Return the registers to send with a stop: where they come singly, only what gdb always looks at."""
        description, registers = self.description, self._state.registers
        names = [n for n in EXPEDITED if n in description.offsets] if registers.come_singly else ()
        if not names or thread != self._whereabouts.standing().thread:
            block = await self.read_registers(thread)
            return {description.numbers[n]: block[description.span(n)] for n in description.expedite}
        await registers.fetch(names)
        return {description.numbers[name]: await registers.raw(name) for name in names}

    async def write_registers(self, thread: int, block: bytes) -> None:
        """Set the `g` block, when the target runs next."""
        self._own_thread(thread)
        await self._state.registers.set_block(block)

    def _own_thread(self, thread: int) -> None:
        if thread != self._whereabouts.standing().thread:
            raise TargetError(errno.ENOTSUP, "only the thread that stopped can be changed")

    async def read_register(self, thread: int, number: int) -> bytes:
        """Return one register."""
        name = self.description.by_number[number].name
        if name in self.description.offsets and thread == self._whereabouts.standing().thread:
            return await self._state.registers.raw(name)
        if name in self.description.offsets:
            return (await self.read_registers(thread))[self.description.span(name)]
        return bytes.fromhex((await self._ask(commands.ReadRegister(number))).decode("latin-1"))

    async def write_register(self, thread: int, number: int, raw: bytes) -> None:
        """Set one register."""
        self._own_thread(thread)
        name = self.description.by_number[number].name
        if name in self.description.offsets:
            await self._state.registers.change({name: self.description.decode(raw)})
        else:
            await self._ask(commands.WriteRegister(number, raw))

    async def read_memory(self, addr: int, length: int) -> bytes:
        """Return up to `length` bytes, without our traps."""
        self._whereabouts.standing()
        return await self._state.read(addr, length)

    async def write_memory(self, addr: int, data: bytes) -> None:
        """Write memory, around our traps."""
        self._whereabouts.standing()
        await self._state.write(addr, data)

    async def insert(self, breakpoint: Breakpoint, condition: Condition | None = None) -> None:
        """Set a breakpoint."""
        self._whereabouts.standing()
        await self._breakpoints.insert(breakpoint, condition)

    async def remove(self, breakpoint: Breakpoint) -> None:
        """Remove a breakpoint; only the stub's own have to wait until the target stands still."""
        if breakpoint in self._breakpoints.stubs_own:
            self._whereabouts.standing()
        await self._breakpoints.remove(breakpoint)

    # The rest

    async def threads(self) -> Sequence[Thread]:
        """Return the threads the stub lists; the one that stopped if it knows of none."""
        reason = self._whereabouts.reason
        return await self._threads.list() or [Thread(reason.thread if reason else 1)]

    @property
    def names_threads(self) -> bool:
        """True if the stub has names for its threads."""
        return self._has(commands.ThreadExtraInfo) and self.quirks.knows is not None

    async def thread_name(self, thread: int) -> str:
        """Return what the stub calls a thread."""
        return await self._threads.name(thread)

    @property
    def executable_name(self) -> str:
        """The kernel's file, if the stub's owner knows it."""
        return self._surroundings.executable

    async def read_executable(self) -> bytes:
        """Return the file's content: it is read here, not over the stub's line.  Raises TargetError."""
        try:
            return await trio.Path(self.executable_name).read_bytes()
        except OSError as error:
            raise TargetError(
                error.errno or errno.EIO, f"{self.executable_name}: {error.strerror}"
            ) from error

    async def monitor(self, command: str) -> str:
        """Carry out our own commands; hand others to the stub."""
        own = monitor.carry_out(self, command)
        if own is not None:
            return own
        self._output = b""
        try:
            body = await self._ask(commands.MonitorCommand(command.encode()))
        except Unsupported:
            raise TargetError(
                errno.EINVAL,
                f"monitor {command}: this stub has no monitor; `monitor help` lists what works without",
            ) from None
        text = b"" if body == replies.OK else bytes.fromhex(body.decode("latin-1"))
        return (self._output + text).decode("utf-8", "replace")

    async def withdraw(self) -> None:
        """Remove what is planted and send what is pending, if the target stands still."""
        reason = self._whereabouts.reason
        if reason is None or reason.is_final or self._link.is_lost:
            return
        state = self._state
        state.traps.wanted.clear()
        await state.bring_traps_up_to_date()
        if state.registers.is_traced:
            await state.registers.set_trace(False)
        await state.registers.flush()

    async def detach(self) -> None:
        """Let the target run without us; a later stop is kept for whoever comes next."""
        self._whereabouts.standing()
        await self.withdraw()
        if await self._link.ask(b"D") != replies.OK:
            raise TargetError(errno.EPROTO, "the stub refuses to let go")
        self._let_go(is_known=not self.quirks.forgets_debugger)

    async def kill(self) -> None:
        """End the debuggee: for a kernel, its exit."""
        self._whereabouts.standing()
        await self._link.tell(b"k")
        self._state.traps = Traps()
        self._let_go(is_known=False)

    def _let_go(self, is_known: bool) -> None:
        self._state.forget()
        self._breakpoints.stubs_own.clear()
        self._whereabouts.let_go(is_known)
