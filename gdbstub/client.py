"""RemoteTarget: a Target that is a stub at the other end of a line.

What the stub can do it is asked to do.  What it cannot, this makes up from what is there, as `quirks` say:
registers one by one from the whole block, breakpoints from planted traps (`traps`), steps by `stepping`.
Everything learned at a stop is kept until the next resume, and what is changed (registers, breakpoints taken
away) is sent only then: on a slow line each exchange counts.

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
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import trio

from gdbstub import commands, replies
from gdbstub.link import Link, Silence
from gdbstub.memory_cache import MemoryCache
from gdbstub.ppc64 import INSTRUCTION_SIZE, MSR_SE
from gdbstub.quirks import Quirks
from gdbstub.registers import Description
from gdbstub.stepping import Compute, Impossible, Mode, is_unit, plan_step, window
from gdbstub.target import (
    SIGTRAP,
    Action,
    ActionKind,
    Breakpoint,
    BreakpointKind,
    Condition,
    MemoryFault,
    StopKind,
    StopReason,
    TargetError,
    TargetLost,
    Thread,
    Unsupported,
)
from gdbstub.traps import TRAP, Traps

log = logging.getLogger("gdbstub")

# Seconds to wait for the answer to "are you there?".  A stub that is stopped answers as fast as the line
# allows.
PROBE_PATIENCE = 1.5

# Reads are cut at these boundaries, so that a hole in memory costs one failed read and not the bytes before
# it.
PAGE = 4096

# Places where a planted trap has been seen to stick; bounded, since it is only there to save a read.
MAX_VERIFIED = 4096


async def _no_way_in() -> None:
    raise TargetError(
        errno.EBUSY,
        "the kernel runs and its stub cannot be interrupted: enter its debugger from the console",
    )


@dataclass(frozen=True)
class Surroundings:
    """What a stub's owner can do for it.

    `break_in` makes a running target enter its debugger, or raises TargetError saying what the user can do.
    `on_text` hears what the stub says besides packets.  `describe` gives an address its name.  `forbidden`
    are the addresses of the stub's own code, where a trap would kill it.
    """

    break_in: Callable[[], Awaitable[None]] = _no_way_in
    on_text: Callable[[bytes], None] = lambda text: None
    describe: Callable[[int], str] = hex
    forbidden: Sequence[range] = ()


@asynccontextmanager
async def connect(
    stream: trio.abc.Stream, quirks: Quirks, surroundings: Surroundings | None = None
) -> AsyncIterator[RemoteTarget]:
    """Talk to the stub at the other end of `stream` for as long as the block runs.

    Leaving the block removes the traps that are planted, if the target stands still.
    """
    async with stream, trio.open_nursery() as nursery:
        target = RemoteTarget(stream, quirks, surroundings or Surroundings(), nursery)
        try:
            yield target
        finally:
            with trio.move_on_after(PROBE_PATIENCE, shield=True):
                await target.withdraw()
            nursery.cancel_scope.cancel()


class RemoteTarget:
    """A stub as a Target.  Made by `connect`."""

    actions = frozenset({ActionKind.CONTINUE, ActionKind.STEP})

    def __init__(
        self, stream: trio.abc.Stream, quirks: Quirks, surroundings: Surroundings, nursery: trio.Nursery
    ) -> None:
        self.quirks = quirks
        self.description: Description = quirks.default
        self.mode = Mode.AUTO
        self.link = Link(stream, quirks, self._on_stop, surroundings.on_text)
        self._surroundings = surroundings
        self._nursery = nursery
        self._stopped: StopReason | None = None
        self._failure: TargetError | None = None
        self._is_known = False
        self._is_arriving = False  # a stop has been heard of; its job is finding out what it is
        self._changed = trio.Event()
        self._has_job = True
        self._raw_in, self._raw_out = trio.open_memory_channel[StopReason | None](4)
        self._block: bytes | None = None
        self._is_dirty = False
        self._is_se_set = False
        self._cache = MemoryCache()
        self._traps = Traps()
        self._verified: set[int] = set()
        nursery.start_soon(self._listen)
        nursery.start_soon(self._job, self._await_stop, None)

    # Standing still and running

    @property
    def stopped(self) -> StopReason | None:
        """Why the target stands still, or None while it runs, or nobody knows."""
        return None if self._failure else self._stopped

    async def _listen(self) -> None:
        await self.link.listen()
        self._failure = TargetLost("the line to the stub is closed")
        self._wake()

    def _on_stop(self, reason: StopReason | None) -> None:
        self._is_arriving = True
        try:
            self._raw_in.send_nowait(reason)
        except trio.WouldBlock:
            log.warning("the stub reports one stop after another; one is dropped")
        if not self._has_job:
            # It was stopped and stops again: it has been reset behind our back.
            self._start(self._await_stop, None)

    def _start(self, work: Callable[[], Awaitable[StopReason]], before: StopReason | None) -> None:
        self._has_job = True
        self._stopped = None
        self._nursery.start_soon(self._job, work, before)

    async def _job(self, work: Callable[[], Awaitable[StopReason]], before: StopReason | None) -> None:
        """Do `work` until the target stands still.  If it fails before running, the target stands as
        `before`.
        """
        try:
            self._stopped = await work()
        except TargetLost as problem:
            self._failure = problem
        except Silence as problem:
            self._failure = problem
            self._is_known = False
        except TargetError as problem:
            self._failure = problem
            self._stopped = before
        self._has_job = self._is_arriving = False
        self._wake()
        if self._stopped is None or self._stopped.is_final:
            # Whatever comes next comes by itself: a late answer, a stop, a machine switched on again.
            self._has_job = True
            self._nursery.start_soon(self._job, self._await_stop, None)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def wait_stop(self) -> StopReason:
        """Do `work` until the target stands still.  If it fails before running, the target stands as
        `before`.
        """
        while True:
            if self._failure is not None:
                failure = self._failure
                if not self.link.is_lost:
                    self._failure = None
                raise failure
            if self._stopped is not None:
                return self._stopped
            await self._changed.wait()

    async def interrupt(self) -> None:
        """Stop the target: ask where it stands if that is not known, else break in."""
        if self.stopped is not None or self._is_arriving:
            return
        if not self._is_known:
            try:
                reason = replies.parse_stop(await self.link.ask(b"?", PROBE_PATIENCE))
            except Silence:
                self._is_known = True
            else:
                self._on_stop(reason)
                return
        await self._surroundings.break_in()

    async def resume(self, actions: Sequence[Action]) -> None:
        """Start running or stepping; what comes of it is told by `wait_stop`."""
        before = self._standing()
        if before.is_final:
            raise TargetError(errno.ESRCH, "the target has ended")
        while self._raw_out.statistics().current_buffer_used:
            self._raw_out.receive_nowait()
        self._is_known = True
        self._start(self._continue if actions[0].kind is ActionKind.CONTINUE else self._step, before)

    def _standing(self) -> StopReason:
        if self._stopped is None or self._failure is not None:
            raise TargetError(errno.EBUSY, "the target runs")
        return self._stopped

    # Jobs

    async def _await_stop(self) -> StopReason:
        """Wait for a stop that somebody wants."""
        while True:
            raw = await self._raw_out.receive()
            self._forget()
            if raw is None:
                raw = replies.parse_stop(await self.link.ask(b"?"))
            reason = raw or StopReason()
            self._is_known = True
            if reason.is_final:
                self._traps = Traps()
                return reason
            pc = await self._pc()
            if reason.signal != SIGTRAP or pc not in self._traps.planted:
                return reason
            if not self._traps.is_stale(pc):
                return replace(reason, kind=StopKind.SWBREAK)
            await self._restore(pc)
            await self._go()

    async def _continue(self) -> StopReason:
        for addr in self._traps.to_restore():
            await self._restore(addr)
        for addr in self._traps.to_plant():
            await self._plant(addr)
        await self._go()
        return await self._await_stop()

    async def _go(self) -> None:
        await self._flush_registers()
        self._is_arriving = False
        await self.link.tell(b"c")
        self._is_se_set = False
        self._forget()

    async def _step(self) -> StopReason:
        pc = await self._pc()
        if pc in self._traps.planted:
            await self._restore(pc)
        self._is_arriving = False
        if self.quirks.has(commands.Step):
            await self._flush_registers()
            await self.link.tell(b"s")
            self._forget()
            return await self._await_stop()
        word = int.from_bytes(await self._read(pc, INSTRUCTION_SIZE), "big")
        if self.mode is Mode.HARDWARE and self.quirks.steps_by_detach and not is_unit(word):
            return await self._step_by_detach(pc)
        plan = plan_step(await self._read(pc, window(word)), pc, self._known_register)
        match plan:
            case Impossible(text):
                raise TargetError(errno.EPERM, f"no step at {self._surroundings.describe(pc)}: {text}")
            case Compute(registers):
                self._change(registers)
                return StopReason()
        planted = [addr for addr in plan.traps if addr not in self._traps.planted]
        try:
            for addr in planted:
                await self._plant(addr)
            await self._go()
            reason = await self._await_step(plan.traps)
        finally:
            with trio.CancelScope(shield=True):
                for addr in planted:
                    if addr in self._traps.planted and addr not in self._traps.wanted:
                        await self._restore(addr)
        return reason

    async def _await_step(self, ends: Sequence[int]) -> StopReason:
        """Wait for the stop at one of the traps planted for a step; nobody wants them, yet they are not
        stale.
        """
        wanted = self._traps.wanted
        self._traps.wanted = wanted | set(ends)
        try:
            reason = await self._await_stop()
        finally:
            self._traps.wanted = wanted
        if reason.kind is StopKind.SWBREAK and await self._pc() in ends:
            return replace(reason, kind=StopKind.SIGNAL)
        return reason

    async def _step_by_detach(self, pc: int) -> StopReason:
        """One instruction with MSR[SE]: detaching does not clear it, so the kernel comes back by a trace
        interrupt.
        """
        if not self._is_se_set:
            self._is_se_set = self._is_dirty = True
        await self._flush_registers()
        if await self.link.ask(b"D") != replies.OK:
            raise TargetError(errno.EPROTO, "the stub refuses to let go for a step")
        raw = await self._raw_out.receive()
        self._forget()
        if raw is None and await self._pc() == pc:
            # Not moved: a branch to itself, or the instruction's own exception.
            raw = replies.parse_stop(await self.link.ask(b"?"))
        return raw or StopReason()

    # Registers

    def _forget(self) -> None:
        self._block = None
        self._is_dirty = False
        self._cache.clear()

    async def _registers(self) -> bytes:
        if self._block is None:
            raw = self._decode(await self.link.ask(b"g"), self.description.g_size)
            if self._is_se_set:
                raw = self._with_se(raw, False)
            self._block = raw
        return self._block

    def _with_se(self, block: bytes, on: bool) -> bytes:
        msr = self.description.value(block, "msr")
        return self.description.replace(block, {"msr": msr | MSR_SE if on else msr & ~MSR_SE})

    def _decode(self, body: bytes, size: int) -> bytes:
        """Return the bytes of a hex reply.  Raises TargetError for an `E` reply or a wrong length."""
        try:
            raw = bytes.fromhex(body.decode("ascii"))
        except ValueError:
            raise TargetError(errno.EIO, f"the stub answers {body[:40].decode('latin-1')}") from None
        if len(raw) != size:
            raise TargetError(errno.EPROTO, f"the stub sends {len(raw)} bytes instead of {size}")
        return raw

    async def _pc(self) -> int:
        return self.description.value(await self._registers(), self.description.pc)

    def _known_register(self, name: str) -> int:
        assert self._block is not None
        return self.description.value(self._block, name)

    def _change(self, values: dict[str, int]) -> None:
        assert self._block is not None
        self._block = self.description.replace(self._block, values)
        self._is_dirty = True

    async def _flush_registers(self) -> None:
        if not self._is_dirty:
            return
        block = await self._registers()
        sent = self._with_se(block, True) if self._is_se_set else block
        if await self.link.ask(b"G" + sent.hex().encode()) != replies.OK:
            raise TargetError(errno.EPROTO, "the stub refuses the registers")
        self._is_dirty = False

    async def read_registers(self, thread: int) -> bytes:
        self._standing()
        return await self._registers()

    async def write_registers(self, thread: int, block: bytes) -> None:
        self._standing()
        self._block = block
        self._is_dirty = True

    async def read_register(self, thread: int, number: int) -> bytes:
        name = self.description.by_number[number].name
        if name not in self.description.offsets:
            raise Unsupported(f"register {name}")
        return (await self.read_registers(thread))[self.description.span(name)]

    async def write_register(self, thread: int, number: int, raw: bytes) -> None:
        name = self.description.by_number[number].name
        if name not in self.description.offsets:
            raise Unsupported(f"register {name}")
        await self.read_registers(thread)
        self._change({name: self.description.decode(raw)})

    # Memory

    async def read_memory(self, addr: int, length: int) -> bytes:
        self._standing()
        return await self._read(addr, length)

    async def _read(self, addr: int, length: int) -> bytes:
        pieces: list[bytes] = []
        end = addr + length
        while addr < end:
            size = min(end, (addr & -PAGE) + PAGE) - addr
            try:
                piece = await self._read_piece(addr, size)
            except MemoryFault:
                if pieces:
                    break
                raise
            pieces.append(self._traps.show(addr, piece))
            addr += size
        return b"".join(pieces)

    async def _read_piece(self, addr: int, length: int) -> bytes:
        """Read within one page, whole lines where that works."""
        known = self._cache.lookup(addr, length)
        if known is None:
            try:
                start, size = self._cache.missing(addr, length)
                self._cache.fill(start, await self._read_raw(start, size))
            except MemoryFault:
                return await self._read_raw(addr, length)
            known = self._cache.lookup(addr, length)
        assert known is not None
        return known

    async def _read_raw(self, addr: int, length: int) -> bytes:
        pieces = []
        for start in range(addr, addr + length, self.quirks.max_read):
            size = min(self.quirks.max_read, addr + length - start)
            body = await self.link.ask(b"m%x,%x" % (start, size))
            if body[:1] == b"E" and len(body) % 2:
                raise MemoryFault(start)
            pieces.append(self._decode(body, size))
        return b"".join(pieces)

    async def write_memory(self, addr: int, data: bytes) -> None:
        self._standing()
        await self._write_raw(addr, self._traps.hide(addr, data))
        self._cache.write(addr, data)
        if self.quirks.ignores_some_writes and data and await self._read_raw(addr, 1) != data[:1]:
            self._cache.clear()
            raise self._ignored(addr)

    async def _write_raw(self, addr: int, data: bytes) -> None:
        # `M`, two numbers of 16 digits, their separators, and the four bytes of the frame.
        room = (self.quirks.max_command - 40) // 2
        for offset in range(0, len(data), room):
            piece = data[offset : offset + room]
            reply = await self.link.ask(b"M%x,%x:%b" % (addr + offset, len(piece), piece.hex().encode()))
            if reply != replies.OK:
                raise MemoryFault(addr + offset)

    def _ignored(self, addr: int) -> TargetError:
        place = self._surroundings.describe(addr)
        return TargetError(errno.EPERM, f"the stub needs {place} itself and ignores writes there")

    # Breakpoints

    async def insert(self, breakpoint: Breakpoint, condition: Condition | None = None) -> None:
        if breakpoint.kind is not BreakpointKind.SOFTWARE or condition is not None:
            raise Unsupported("this kind of breakpoint")
        self._standing()
        if breakpoint.addr not in self._traps.planted:
            await self._plant(breakpoint.addr)
        self._traps.wanted.add(breakpoint.addr)

    async def remove(self, breakpoint: Breakpoint) -> None:
        # The trap stays until the next resume: gdb takes all away at every stop, only to put them back.
        self._traps.wanted.discard(breakpoint.addr)

    async def _plant(self, addr: int) -> None:
        """Put a trap at `addr`, and see that it is there.  Raises TargetError."""
        place = self._surroundings.describe(addr)
        if any(addr in code for code in self._surroundings.forbidden):
            raise TargetError(errno.EPERM, f"{place} is the stub's own code; a trap there would kill it")
        original = await self._read(addr, INSTRUCTION_SIZE)
        if len(original) != INSTRUCTION_SIZE:
            raise MemoryFault(addr)
        await self._write_raw(addr, TRAP)
        self._traps.planted[addr] = original
        if self.quirks.ignores_some_writes and addr not in self._verified:
            if await self._read_raw(addr, INSTRUCTION_SIZE) != TRAP:
                del self._traps.planted[addr]
                raise self._ignored(addr)
            if len(self._verified) >= MAX_VERIFIED:
                self._verified.clear()
            self._verified.add(addr)

    async def _restore(self, addr: int) -> None:
        await self._write_raw(addr, self._traps.planted[addr])
        del self._traps.planted[addr]

    # Leaving

    async def withdraw(self) -> None:
        """Remove what is planted and send what is pending, if the target stands still."""
        if self._stopped is None or self._stopped.is_final or self.link.is_lost:
            return
        self._traps.wanted.clear()
        for addr in self._traps.to_restore():
            await self._restore(addr)
        if self._is_se_set:
            await self._registers()
            self._is_se_set, self._is_dirty = False, True
        await self._flush_registers()

    async def detach(self) -> None:
        """Let the target run without us; a later stop is kept for whoever comes next."""
        self._standing()
        await self.withdraw()
        if await self.link.ask(b"D") != replies.OK:
            raise TargetError(errno.EPROTO, "the stub refuses to let go")
        self._forget()
        self._start(self._await_stop, None)

    async def kill(self) -> None:
        """End the debuggee: for a kernel, its exit."""
        self._standing()
        await self.link.tell(b"k")
        self._traps = Traps()
        self._forget()
        self._is_known = False
        self._start(self._await_stop, None)

    async def threads(self) -> Sequence[Thread]:
        return [Thread(1)]
