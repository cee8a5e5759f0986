"""Jobs: how a stub's target is set running and brought to a stop again.

A job begins with the target standing still, or (`await_stop`) running already, and ends when it stands still
for a reason somebody wants to hear: `run` with a breakpoint whose condition holds, a fault, the end; `step`
after one instruction.  The traps that a step needs are planted here, and removed before
the target runs from there.

It does not know who waits for the job, nor that a job can be interrupted; `whereabouts` does.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

import trio

from gdbstub import commands, replies
from gdbstub.accesses import data_access
from gdbstub.dialogue import Refused
from gdbstub.link import Link, News, Silence
from gdbstub.ppc64 import INSTRUCTION_SIZE, Flow, flow
from gdbstub.stepping import Compute, Impossible, Mode, is_unit, plan_step, window
from gdbstub.stub_breakpoints import StubBreakpoints
from gdbstub.stub_registers import Missing
from gdbstub.stub_state import OwnCode, StubState
from gdbstub.target import (
    SIGINT,
    SIGTRAP,
    Breakpoint,
    StopKind,
    StopReason,
    TargetError,
)
from gdbstub.traps import Traps
from gdbstub.watching import NOTE_INTERVAL, find_change, find_hit

log = logging.getLogger("gdbstub")

T = TypeVar("T")

# Seconds from a stub's text to its listening.
ENTRY_TIME = 0.1


class RunControl:
    """Sets one stub's target running, by the means it has.

    `news` delivers what the stub says unasked.  `is_arriving`: a stop has been heard of, and a job is finding
    out what it is.  `runs_freely`: nothing is on its way to the stub, only a stop can come; `on_free` is told
    when that begins.  `has_left`: the target may have moved since the job began.

    While `breakpoints` has watchpoints that the stub has not, `run` steps, tells by `show` how far it is, and
    ends soon after `wants_stop` is set.
    """

    def __init__(
        self,
        link: Link,
        state: StubState,
        breakpoints: StubBreakpoints,
        describe: Callable[[int], str],
        news: trio.MemoryReceiveChannel[News],
        on_free: Callable[[], None],
    ) -> None:
        self.mode = Mode.AUTO
        self.is_arriving = False
        self.runs_freely = True
        self.has_left = True
        self.news = news
        self._link = link
        self._state = state
        self._breakpoints = breakpoints
        self._describe = describe
        self._on_free = on_free
        self.wants_stop = False
        self.show: Callable[[str], None] = log.info
        self._thread = 1
        self._steps = False  # what runs, runs for one instruction or so

    async def _await_news(self) -> StopReason | None:
        news = await self.news.receive()
        if isinstance(news, Refused):
            raise TargetError(
                errno.EPERM, f"the stub refuses to run: {news.body.decode('latin-1') or 'unknown'}"
            )
        self._state.forget(has_stepped=self._steps)
        return news

    async def ask_stop(self, patience: float | None = None) -> StopReason:
        """Ask why the target stands still.  Raises Silence."""
        body = await self._link.ask(b"?", patience)
        if self._link.quirks.forgets_debugger:
            # It takes the question for a new debugger's, who has no breakpoints yet.
            self._breakpoints.stubs_own.clear()
        reason = replies.parse_stop(body) or StopReason()
        if body[:1] == b"S":
            return replace(reason, thread=await self.current_thread(reason.thread))
        return reason

    async def current_thread(self, guess: int) -> int:
        """Return the thread that stopped, where the stub tells."""
        quirks = self._link.quirks
        if quirks.knows is None or not quirks.has(commands.CurrentThread):
            return guess
        body = await self._link.ask(commands.format(commands.CurrentThread()))
        try:
            return int(body.removeprefix(b"QC"), 16)
        except ValueError:
            return guess

    async def await_stop(self) -> StopReason:
        """Wait for a stop that somebody wants."""
        state = self._state
        while True:
            reason = await self._await_news()
            if reason is None:
                if self._link.quirks.tells_stop_by_text:
                    # The text comes first; what we ask before the stub listens is typed on a terminal.
                    await trio.sleep(ENTRY_TIME)
                reason = await self.ask_stop()
            self._thread = reason.thread
            if reason.is_final:
                state.traps = Traps()
                self._breakpoints.stubs_own.clear()
                return reason
            if reason.signal != SIGTRAP or not state.traps.planted:
                return reason
            pc = await state.registers.pc()
            if pc not in state.traps.planted:
                return reason
            if not state.traps.is_stale(pc):
                return replace(reason, kind=StopKind.SWBREAK)
            await state.restore(pc)
            if self.wants_stop:
                # Whoever interrupts may have seen this stop coming, and waits for no other.
                return StopReason(signal=SIGINT, thread=self._thread)
            await self._go()

    async def run(self) -> StopReason:
        """Run until something stops the target, a breakpoint only if its condition holds."""
        if self._breakpoints.watches:
            return await self.run_watching()
        while True:
            await self._state.bring_traps_up_to_date()
            self._steps = False
            if self._link.quirks.skips_at_own_trap and await self._own_at_pc():
                reason = StopReason(StopKind.SWBREAK, thread=self._thread)
            else:
                await self._go()
                self.runs_freely = True
                self._on_free()
                reason = await self.await_stop()
            if reason.is_final or reason.signal != SIGTRAP:
                return reason
            if await self._breakpoints.counts(await self._state.registers.pc()):
                return reason
            # The step's own stop is an end of this run only if it is not the plain end of a step.
            reason = await self.step()
            if reason.kind is not StopKind.SIGNAL or reason.signal != SIGTRAP:
                return reason
            if self.wants_stop:
                return replace(reason, signal=SIGINT)

    async def run_watching(self) -> StopReason:
        """Run by single steps until something watched is touched, or something else stops the target.

        Every step that may touch more than it shows is followed by a look at what is watched.
        """
        state = self._state
        values = await self._breakpoints.watched()
        begun = noted = trio.current_time()
        count = 0
        while self._breakpoints.watches:
            pc = await state.registers.pc()
            if count and pc in state.traps.wanted and await self._breakpoints.counts(pc):
                return StopReason(StopKind.SWBREAK, thread=self._thread)
            word = int.from_bytes(await state.read(pc, INSTRUCTION_SIZE), "big")
            access = (
                None
                if state.is_own_code(pc)
                else await self._look(partial(data_access, word, state.registers.value))
            )
            if access is not None and (hit := find_hit(self._breakpoints.watches, access)) is not None:
                return replace(hit, thread=self._thread)
            if self.wants_stop:
                return StopReason(signal=SIGINT, thread=self._thread)
            is_opaque = state.is_own_code(pc) or is_unit(word) or flow(word) is Flow.SYSTEM_CALL
            reason = await self.step()
            count += 1
            if reason.is_final or reason.kind is not StopKind.SIGNAL or reason.signal != SIGTRAP:
                return reason
            now = trio.current_time()
            if is_opaque or now - noted >= NOTE_INTERVAL:
                changed = await self._breakpoints.watched()
                if (hit := find_change(values, changed)) is not None:
                    return replace(hit, thread=self._thread)
                values = changed
            if now - noted >= NOTE_INTERVAL:
                noted = now
                where = self._describe(await state.registers.pc())
                self.show(f"watching: {count} steps in {now - begun:.0f} s, at {where}; Ctrl-C ends it\n")
        # Whoever watched is gone.
        return await self.run()

    async def _look(self, look: Callable[[], T]) -> T:
        """Return what `look` finds, fetching the registers it turns out to need."""
        while True:
            try:
                return look()
            except Missing as missing:
                await missing.fetch()

    async def _go(self, verb: bytes = b"c") -> None:
        registers = self._state.registers
        if verb == b"c" and self._link.quirks.continues_at and (pc := registers.changed_pc) is not None:
            await registers.flush(but=frozenset({registers.description.pc}))
            verb += b"%x" % pc
        else:
            await registers.flush()
        self.is_arriving = False
        self.has_left = True
        await self._link.tell(verb)
        # `c` clears MSR[SE] in the stubs that step by it.
        self._state.registers.is_traced = False
        self._state.forget(has_stepped=self._steps)

    async def step(self) -> StopReason:
        """Execute one instruction, or one unit that no stop may come between."""
        state, self._steps = self._state, True
        pc = await state.registers.pc()
        if self._link.quirks.has(commands.Step):
            await self._clear_the_way(pc)
            return await self._step_by_stub()
        if state.is_own_code(pc):
            return await self._run_out(pc)
        word = int.from_bytes(await state.read(pc, INSTRUCTION_SIZE), "big")
        # A stop inside a unit spoils it however it comes about: only a trap behind it will do.
        if self.mode is Mode.HARDWARE and not is_unit(word):
            return await self._step_by_detach(pc)
        code = await state.read(pc, window(word))
        match await self._look(partial(plan_step, code, pc, state.registers.value)):
            case Impossible(text):
                raise TargetError(errno.EPERM, f"no step at {self._describe(pc)}: {text}")
            case Compute(registers):
                await state.registers.change(registers)
                return StopReason()
            case plan:
                try:
                    await self._plant_ends(plan.traps, pc)
                except (OwnCode, Silence):
                    raise
                except TargetError:
                    if self.mode is not Mode.AUTO or not self._link.quirks.steps_by_detach or is_unit(word):
                        raise
                    log.info(
                        "%s: no place for a trap behind it; stepped by hardware",
                        self._describe(pc),
                    )
                    return await self._step_by_detach(pc)
                return await self._run_to(plan.traps)

    async def _own_at_pc(self) -> list[Breakpoint]:
        """Return the stub's breakpoints where the target stands."""
        pc = await self._state.registers.pc() if self._breakpoints.stubs_own else 0
        return [place for place in self._breakpoints.stubs_own if place.addr == pc]

    async def _step_by_stub(self) -> StopReason:
        """Execute one instruction by `s`, also where the stub has a breakpoint."""
        in_the_way = await self._own_at_pc()
        for place in in_the_way:
            await self._link.ask(commands.format(commands.RemoveBreakpoint(place.kind.value, place.addr, 4)))
        await self._go(b"s")
        reason = await self.await_stop()
        for place in in_the_way if not reason.is_final else ():
            await self._link.ask(commands.format(commands.InsertBreakpoint(place.kind.value, place.addr, 4)))
        return reason

    async def _run_out(self, pc: int) -> StopReason:
        """Run a function of the stub, or one that carries its packets, to its end, whatever the mode.

        No trap may stand in it, and a stop in the middle of a packet would put another packet in there.
        Outside of the stub LR is where the function returns to, until it calls another one.
        """
        await self._state.registers.fetch(("lr",))
        end = self._state.registers.value("lr") & ~3
        if self._state.is_own_code(end):
            raise OwnCode(self._describe(pc))
        await self._plant_ends((end,), pc)
        return await self._run_to((end,))

    def _in_the_way(self, pc: int) -> list[int]:
        """Return the traps that must not be there for a step from `pc`: one at `pc`, and what earlier steps
        have left.
        """
        traps = self._state.traps
        return sorted({*traps.to_restore(), *({pc} & traps.planted.keys())})

    async def _clear_the_way(self, pc: int) -> None:
        for addr in self._in_the_way(pc):
            await self._state.restore(addr)

    async def _plant_ends(self, ends: Sequence[int], pc: int) -> None:
        """Plant the traps of one step from `pc`, all or none, and take away those that are in its way."""
        state = self._state
        planted: list[int] = []
        try:
            for addr in self._in_the_way(pc):
                following = addr + INSTRUCTION_SIZE
                if following in ends and following not in state.traps.planted:
                    await state.move(addr, following)
                    planted.append(following)
                elif addr not in ends:
                    await state.restore(addr)
            for addr in ends:
                # One that is left of a step in which the stub fell silent may never have arrived.
                if addr not in state.traps.planted or state.traps.is_stale(addr) and addr not in planted:
                    await state.plant(addr)
                    planted.append(addr)
        except Silence:
            # They are known to be there, and removed before the target runs freely.
            raise
        except TargetError:
            for addr in planted:
                await state.restore(addr)
            raise

    async def _run_to(self, ends: Sequence[int]) -> StopReason:
        """Run to one of the traps planted for a step.

        The trap of a step that went as planned stays until the target is to run again: the next step mostly
        moves it by a word, which is one write, and nobody sees it meanwhile (`traps`).
        """
        state = self._state
        wanted = state.traps.wanted
        # While the step lasts somebody does want them: they are not stale.
        state.traps.wanted = wanted | set(ends)
        try:
            await self._go()
            reason = await self.await_stop()
            at_end = reason.kind is StopKind.SWBREAK and await state.registers.pc() in ends
        finally:
            state.traps.wanted = wanted
        for addr in ends:
            if state.traps.is_stale(addr) and not (at_end and len(ends) == 1):
                await state.restore(addr)
        return replace(reason, kind=StopKind.SIGNAL) if at_end else reason

    async def _step_by_detach(self, pc: int) -> StopReason:
        """Execute one instruction with MSR[SE]: `D` does not clear it, so a trace interrupt brings the
        kernel back.
        """
        if not self._link.quirks.steps_by_detach:
            raise TargetError(
                errno.ENOTSUP, "this stub cannot step by hardware: use single-step-mode software"
            )
        state = self._state
        await self._clear_the_way(pc)
        if not state.registers.is_traced:
            await state.registers.set_trace(True)
        await state.registers.flush()
        self.is_arriving = False
        self.has_left = True
        if await self._link.ask(b"D") != replies.OK:
            raise TargetError(errno.EPROTO, "the stub refuses to let go for a step")
        reason = await self._await_news()
        if reason is None and await state.registers.pc() == pc:
            # Not moved: a branch to itself, or the instruction's own exception.
            reason = replies.parse_stop(await self._link.ask(b"?"))
        return reason or StopReason()
