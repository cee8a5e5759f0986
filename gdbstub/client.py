"""RemoteTarget: a Target that is a stub at the other end of a line.

What the stub can do it is asked to do.  What it cannot, this makes up from what is there, as `quirks` say:
registers one by one from the whole block, breakpoints from planted traps, steps by `stepping`.  Everything
learned at a stop is kept until the next resume, and what is changed is sent only then (`stub_state`): on a
slow line each exchange counts.

Where the target stands:

    unknown --probe answered--> stopped     unknown --probe unanswered--> running
    running --stop--> stopped --resume--> running

It is unknown at first: a stub whose target runs does not read the line at all, and one that is stopped says
nothing until asked.  While the target does not stand still one *job* waits for the stop or brings it about
by stepping; it belongs to this object, not to a debugger, so a stop is kept for the next one, and a step
whose debugger died in the middle is finished and its traps removed.  A stop at a trap that nobody wants any
more (its gdb was killed while the target ran) is undone: the word restored, the target sent on.
"""

from __future__ import annotations

import errno
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace

import trio

from gdbstub import commands, monitor, negotiation, packet, replies, watching
from gdbstub.commands import Command
from gdbstub.link import Link, News, Silence
from gdbstub.quirks import AUTO, KNOWN_BY_TEXT, Quirks
from gdbstub.registers import Description
from gdbstub.run_control import RunControl
from gdbstub.stepping import Mode
from gdbstub.stub_state import StubState
from gdbstub.stub_threads import StubThreads
from gdbstub.target import (
    Action,
    ActionKind,
    Breakpoint,
    BreakpointKind,
    Condition,
    StopReason,
    TargetError,
    TargetLost,
    Thread,
    Unsupported,
)
from gdbstub.traps import Traps

log = logging.getLogger("gdbstub")

# Seconds to wait for the answer to "are you there?".  A stub that is stopped answers as fast as the line
# allows.
PROBE_PATIENCE = 1.5

# Seconds a step may take before an interrupt breaks into it; a step over `sc` may never come back.
STEP_PATIENCE = 3.0

# Lines of the console that an error quotes.
LAST_LINES = 3

# Seconds after which a break-in that brought no stop may be typed again, and for which a stop may be on its
# way: the packet takes 40 ms at 9600 baud.
BREAK_IN_PATIENCE = 5.0
ON_ITS_WAY = 0.15

# What is watched by stepping is read again and again.
MAX_WATCHES = 32
LONGEST_WATCH = 1024

# What gdb needs to find the frame it is in and its caller's, without a frame pointer.
EXPEDITED = ("pc", "r0", "r1", "lr", "cr", "ctr", "msr")

# Seconds from the keys that stop a kernel until it has stopped.
ENTRY_PATIENCE = 1.0

# The end of a text that is searched for the news of a stop.
LONGEST_SIGN = 100


async def _no_way_in() -> None:
    raise TargetError(
        errno.EBUSY,
        "the kernel runs and its stub cannot be interrupted: enter its debugger from the console",
    )


async def _no_console() -> bytes:
    return b""


@dataclass(frozen=True)
class Surroundings:
    """What a stub's owner can do for it.

    `break_in` makes a running target enter its debugger, or raises TargetError saying what the user can do.
    `keys` are typed for it on the stub's own line, where that is the console's as well.
    `on_text` hears what the stub says besides packets.  `describe` gives an address its name.  `forbidden`
    are the addresses of the stub's own code, where a trap would kill it.  `register_blocks` are places where
    its registers may lie in memory; they are tried.  `console` brings the last of what the console
    shows.  `text` tells what a kernel's file says is at an address and never changes.
    """

    break_in: Callable[[], Awaitable[None]] = _no_way_in
    keys: bytes = b""
    on_text: Callable[[bytes], None] = lambda text: None
    describe: Callable[[int], str] = hex
    forbidden: Sequence[range] = ()
    register_blocks: Sequence[int] = ()
    console: Callable[[], Awaitable[bytes]] = _no_console
    text: Callable[[int, int], bytes | None] = lambda addr, length: None


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
        self.watches_by_stepping = True
        self._may_break_in_at = -math.inf
        self._output = b""
        self._surroundings = surroundings
        self._nursery = nursery
        self._link = Link(stream, quirks, self._on_stop, self._on_text, self._last_words)
        self._state = StubState(
            self._link,
            surroundings.describe,
            surroundings.forbidden,
            surroundings.register_blocks,
            surroundings.text,
        )
        self._threads = StubThreads(self._link, self._ask, self._state.read)
        self._unknown: set[type[Command]] = set()
        self._heard = b""
        self._stopped: StopReason | None = None
        self._failure: TargetError | None = None
        self._is_known = False
        self._has_job = True
        self._changed = trio.Event()
        self._lost = trio.Event()
        self._news, received = trio.open_memory_channel[News](4)
        self._run = RunControl(self._link, self._state, surroundings.describe, received, self._wake)
        nursery.start_soon(self._listen)
        nursery.start_soon(self._job, self._run.await_stop, None)

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
            self._unknown.add(kind)
        raise Unsupported(kind.__name__)

    # Standing still and running

    @property
    def stopped(self) -> StopReason | None:
        """Why the target stands still, or None while it runs, or nobody knows."""
        return None if self._failure else self._stopped

    async def _listen(self) -> None:
        await self._link.listen()
        # A machine's last word is what became of it, not that its line is closed.
        while self._run.is_arriving:
            await self._changed.wait()
        self._failure = TargetLost("the line to the stub is closed")
        self._wake()
        self._lost.set()

    async def wait_lost(self) -> None:
        """Wait until the line to the stub is closed, and all that came over it is known."""
        await self._lost.wait()

    def _on_text(self, text: bytes) -> None:
        self._output = (self._output + text)[-monitor.MAX_OUTPUT :]
        if self.quirks is AUTO:
            for sign, quirks in KNOWN_BY_TEXT:
                if sign in self._output:
                    self._adopt(quirks)
        self._heard = (self._heard + text)[-LONGEST_SIGN:]
        if self._stopped is None and any(sign in self._heard for sign in self.quirks.tells_stop_by_text):
            self._heard = b""
            self._on_stop(None)
        self._surroundings.on_text(text)

    async def _last_words(self) -> str:
        """Return the console's last lines, for a message; the stub's own text where it is all there is."""
        text = await self._surroundings.console() or self._output
        lines = [line.strip() for line in text.decode("latin-1").splitlines()]
        return " | ".join([line for line in lines if line.isprintable() and line][-LAST_LINES:])

    def _on_stop(self, news: News) -> None:
        self._run.is_arriving = True
        try:
            self._news.send_nowait(news)
        except trio.WouldBlock:
            log.warning("the stub reports one stop after another; one is dropped")
        self._wake()
        if not self._has_job:
            # It was stopped and stops again: it has been reset behind our back.
            self._start(self._run.await_stop, None)

    def _start(self, work: Callable[[], Awaitable[StopReason]], before: StopReason | None) -> None:
        self._has_job = True
        self._run.runs_freely = work == self._run.await_stop
        self._may_break_in_at = -math.inf
        self._run.has_left = before is None
        self._stopped = None
        self._threads.forget()
        self._nursery.start_soon(self._job, work, before)

    async def _job(self, work: Callable[[], Awaitable[StopReason]], before: StopReason | None) -> None:
        """Do `work` until the target stands still.  If it fails before running, the target stands as
        `before`.
        """
        try:
            reason = await work()
            if await self._identify():
                reason = replace(reason, thread=await self._run.current_thread(reason.thread))
            self._stopped = replace(reason, thread=self._threads.number(reason.thread))
            self._is_known = True
        except TargetLost as problem:
            self._failure = problem
        except Silence as problem:
            self._failure = problem
            if before is not None and not self._run.has_left:
                self._stopped = before
            else:
                self._is_known = False
        except TargetError as problem:
            self._failure = problem
            self._stopped = before
        self._has_job = self._run.is_arriving = False
        self._wake()
        if self._stopped is None or self._stopped.is_final:
            # Whatever comes next comes by itself: a late answer, a stop, a machine switched on again.
            self._has_job = self._run.runs_freely = True
            self._nursery.start_soon(self._job, self._run.await_stop, None)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def wait_stop(self) -> StopReason:
        """Wait until the target stands still.  Raises TargetError if it could not be resumed as asked."""
        while True:
            if self._stopped is not None and self._stopped.is_final:
                return self._stopped
            if self._failure is not None:
                failure = self._failure
                if not self._link.is_lost:
                    self._failure = None
                raise failure
            if self._stopped is not None:
                return self._stopped
            await self._changed.wait()

    async def interrupt(self) -> None:
        """Stop the target: ask where it stands if that is not known, else break in."""
        self._run.wants_stop = True
        # Do not overtake a resume that is still being sent, and let a step come to its end.
        with trio.move_on_after(STEP_PATIENCE):
            while self.stopped is None and not self._run.runs_freely:
                await self._changed.wait()
        if self.stopped is not None or self._run.is_arriving:
            return
        # Keys do no harm to a stub that stands; a question to a kernel that runs ends up on somebody's
        # screen.
        has_keys = self._surroundings.keys != b"" and self.quirks.forgets_debugger
        if not self._is_known and not has_keys and await self._probe():
            return
        if self.quirks.obeys_interrupts:
            await self._link.type(packet.INTERRUPT)
        elif self._surroundings.keys and self.quirks.shares_the_line:
            await self._link.type(self._surroundings.keys)
        elif trio.current_time() >= self._may_break_in_at and not await self._is_on_its_way():
            await self._surroundings.break_in()
            # What is typed twice is read twice: the second time after the next resume.
            self._may_break_in_at = trio.current_time() + BREAK_IN_PATIENCE
        if self.quirks.forgets_debugger:
            # It may have been stopped already, or stop without a word.
            with trio.move_on_after(ENTRY_PATIENCE):
                while self.stopped is None and not self._run.is_arriving:
                    await self._changed.wait()
                return
            await self._probe()

    async def _is_on_its_way(self) -> bool:
        """Wait a moment for a stop that is on the line already."""
        with trio.move_on_after(ON_ITS_WAY):
            while self.stopped is None and not self._run.is_arriving:
                await self._changed.wait()
        return self.stopped is not None or self._run.is_arriving

    async def _probe(self) -> bool:
        """Ask where the target stands.  False if it does not answer, so it runs."""
        reason: StopReason | None = None
        with trio.move_on_after(PROBE_PATIENCE):
            with suppress(Silence):
                reason = await self._run.ask_stop(PROBE_PATIENCE / 3)
        if reason is not None:
            if not self._run.is_arriving:
                self._on_stop(reason)
            return True
        # A stub that forgets its debugger may stop unheard later on.
        self._is_known = not self.quirks.forgets_debugger
        if self.quirks.erase:
            # What we asked stands on somebody's command line now.
            await self._link.type(self.quirks.erase)
        return False

    async def type(self, keys: bytes) -> None:
        """Type on the console that shares the stub's line, as soon as the target runs: a stub that stands
        would take it for packets.
        """
        while self._stopped is not None or self._run.is_arriving or not self._run.runs_freely:
            await self._changed.wait()
        await self._link.type(keys)

    async def resume(self, actions: Sequence[Action]) -> None:
        """Start running or stepping; what comes of it is told by `wait_stop`."""
        before = self._standing()
        if before.is_final:
            raise TargetError(errno.ESRCH, "the target has ended")
        self._forget_news()
        self._is_known = True
        self._run.wants_stop = False
        self._start(self._run.run if actions[0].kind is ActionKind.CONTINUE else self._run.step, before)

    def _forget_news(self) -> None:
        """Drop what was told of this stop a second time."""
        while self._run.news.statistics().current_buffer_used:
            self._run.news.receive_nowait()

    def _standing(self) -> StopReason:
        if self._stopped is None or self._failure is not None:
            raise TargetError(errno.EBUSY, "the target runs")
        return self._stopped

    # Registers, memory, breakpoints

    async def read_registers(self, thread: int) -> bytes:
        """Return the `g` block."""
        current = self._standing().thread
        if thread != current:
            return await self._threads.block(thread, current, self.description)
        return await self._state.registers.block()

    async def expedited(self, thread: int) -> dict[int, bytes]:
        """Return the registers to send with a stop: where they come singly, only what gdb always looks at."""
        description, registers = self.description, self._state.registers
        names = [n for n in EXPEDITED if n in description.offsets] if registers.come_singly else ()
        if not names or thread != self._standing().thread:
            block = await self.read_registers(thread)
            return {description.numbers[n]: block[description.span(n)] for n in description.expedite}
        await registers.fetch(names)
        return {description.numbers[name]: await registers.raw(name) for name in names}

    async def write_registers(self, thread: int, block: bytes) -> None:
        """Set the `g` block, when the target runs next."""
        self._own_thread(thread)
        await self._state.registers.set_block(block)

    def _own_thread(self, thread: int) -> None:
        if thread != self._standing().thread:
            raise TargetError(errno.ENOTSUP, "only the thread that stopped can be changed")

    async def read_register(self, thread: int, number: int) -> bytes:
        """Return one register."""
        name = self.description.by_number[number].name
        if name in self.description.offsets and thread == self._standing().thread:
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
        self._standing()
        return await self._state.read(addr, length)

    async def write_memory(self, addr: int, data: bytes) -> None:
        """Write memory, around our traps."""
        self._standing()
        await self._state.write(addr, data)

    async def insert(self, breakpoint: Breakpoint, condition: Condition | None = None) -> None:
        """Set a breakpoint: the stub's own if it has them, a planted trap if not."""
        self._standing()
        if breakpoint.kind in (BreakpointKind.SOFTWARE, BreakpointKind.HARDWARE):
            self._run.conditions.pop(breakpoint.addr, None)
            if condition is not None:
                self._run.conditions[breakpoint.addr] = condition
        elif condition is not None:
            raise Unsupported("a condition on data")
        if breakpoint in self._run.stubs_own:
            return
        if self._has(commands.InsertBreakpoint):
            try:
                await self._ask(
                    commands.InsertBreakpoint(breakpoint.kind.value, breakpoint.addr, breakpoint.length)
                )
                self._run.stubs_own.add(breakpoint)
                return
            except Unsupported:
                # One kind missing says nothing about the others.
                self._unknown.discard(commands.InsertBreakpoint)
        if breakpoint.kind in watching.KINDS and self.watches_by_stepping:
            self._watch(breakpoint)
            return
        if breakpoint.kind is not BreakpointKind.SOFTWARE:
            raise Unsupported("this kind of breakpoint")
        if breakpoint.addr not in self._state.traps.planted:
            await self._state.plant(breakpoint.addr)
        self._state.traps.wanted.add(breakpoint.addr)

    def _watch(self, watch: Breakpoint) -> None:
        if len(self._run.watches) >= MAX_WATCHES or not 0 < watch.length <= LONGEST_WATCH:
            raise TargetError(
                errno.ENOSPC, f"at most {MAX_WATCHES} places of {LONGEST_WATCH} bytes are watched by stepping"
            )
        if watch not in self._run.watches:
            self._run.watches.append(watch)

    async def remove(self, breakpoint: Breakpoint) -> None:
        """Remove a breakpoint; a planted trap stays until the next resume, since gdb mostly puts it back."""
        self._run.conditions.pop(breakpoint.addr, None)
        if breakpoint.kind is BreakpointKind.SOFTWARE and breakpoint.addr in self._state.traps.wanted:
            self._state.traps.wanted.discard(breakpoint.addr)
        elif breakpoint in self._run.watches:
            self._run.watches.remove(breakpoint)
        elif breakpoint in self._run.stubs_own:
            self._standing()
            await self._ask(
                commands.RemoveBreakpoint(breakpoint.kind.value, breakpoint.addr, breakpoint.length)
            )
            self._run.stubs_own.discard(breakpoint)

    # The rest

    async def threads(self) -> Sequence[Thread]:
        """Return the threads the stub lists; the one that stopped if it knows of none."""
        return await self._threads.list() or [Thread(self._stopped.thread if self._stopped else 1)]

    @property
    def names_threads(self) -> bool:
        """True if the stub has names for its threads."""
        return self._has(commands.ThreadExtraInfo) and self.quirks.knows is not None

    async def thread_name(self, thread: int) -> str:
        """Return what the stub calls a thread."""
        return await self._threads.name(thread)

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
        if self._stopped is None or self._stopped.is_final or self._link.is_lost:
            return
        state = self._state
        state.traps.wanted.clear()
        await state.bring_traps_up_to_date()
        if state.registers.is_traced:
            await state.registers.set_trace(False)
        await state.registers.flush()

    async def detach(self) -> None:
        """Let the target run without us; a later stop is kept for whoever comes next."""
        self._standing()
        await self.withdraw()
        if await self._link.ask(b"D") != replies.OK:
            raise TargetError(errno.EPROTO, "the stub refuses to let go")
        self._let_go()

    async def kill(self) -> None:
        """End the debuggee: for a kernel, its exit."""
        self._standing()
        await self._link.tell(b"k")
        self._state.traps = Traps()
        self._let_go()
        self._is_known = False

    def _let_go(self) -> None:
        self._forget_news()
        self._state.forget()
        self._run.stubs_own.clear()
        self._is_known = not self.quirks.forgets_debugger
        self._start(self._run.await_stop, None)
