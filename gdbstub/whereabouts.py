"""Where a stub's target stands, or that it runs; and how it is stopped: interrupt, break-in, probe.

    unknown --probe answered--> stopped     unknown --probe unanswered--> running
    running --stop--> stopped --resume--> running

It is unknown at first: a stub whose target runs does not read the line at all, and one that is stopped says
nothing until asked.  While the target does not stand still one *job* of `run_control` waits for the stop or
brings it about by stepping; it belongs to this object, not to a debugger, so a stop is kept for the next
one, and a step whose debugger died in the middle is finished and its traps removed.  A stop at a trap that
nobody wants any more (its gdb was killed while the target ran) is undone: the word restored, the target sent
on.

It does not know what a debugger looks at or changes while the target stands still; `client` does.
"""

from __future__ import annotations

import errno
import logging
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

import trio

from gdbstub import packet
from gdbstub.link import Link, News, Silence
from gdbstub.run_control import RunControl
from gdbstub.stub_breakpoints import StubBreakpoints
from gdbstub.stub_state import StubState
from gdbstub.stub_threads import StubThreads
from gdbstub.surroundings import Surroundings
from gdbstub.target import StopReason, TargetError, TargetLost

log = logging.getLogger("gdbstub")

# Seconds to wait for the answer to "are you there?".  A stub that is stopped answers as fast as the line
# allows.
PROBE_PATIENCE = 1.5

# Seconds a step may take before an interrupt breaks into it; a step over `sc` may never come back.
STEP_PATIENCE = 3.0

# Seconds after which a break-in that brought no stop may be typed again, and for which a stop may be on its
# way: the packet takes 40 ms at 9600 baud.
BREAK_IN_PATIENCE = 5.0
ON_ITS_WAY = 0.15

# Seconds from the keys that stop a kernel until it has stopped.
ENTRY_PATIENCE = 1.0

# The end of a text that is searched for the news of a stop.
LONGEST_SIGN = 100

# Control-U, by which a terminal forgets what has been typed.
ERASE = b"\x15"

Job = Callable[[], Awaitable[StopReason]]


class Whereabouts:
    """Where one stub's target stands.  From the beginning on it listens to the stub, in `nursery`.

    `run` is what the target runs by.  `reason` is why it stands still, or None, whatever has failed since
    (compare `stopped`).  `identify` is asked after each job to find out what kind of stub that was; it
    returns True if nobody knew before.
    """

    def __init__(
        self,
        link: Link,
        state: StubState,
        threads: StubThreads,
        breakpoints: StubBreakpoints,
        surroundings: Surroundings,
        identify: Callable[[], Awaitable[bool]],
        nursery: trio.Nursery,
    ) -> None:
        self.reason: StopReason | None = None
        self._link = link
        self._threads = threads
        self._surroundings = surroundings
        self._identify = identify
        self._nursery = nursery
        self._may_break_in_at = -math.inf
        self._heard = b""
        self._failure: TargetError | None = None
        self._is_known = False
        self._has_job = True
        self._changed = trio.Event()
        self._lost = trio.Event()
        self._news, received = trio.open_memory_channel[News](4)
        self.run = RunControl(link, state, breakpoints, surroundings.describe, received, self._wake)
        nursery.start_soon(self._listen)
        nursery.start_soon(self._carry_out, self.run.await_stop, None)

    @property
    def stopped(self) -> StopReason | None:
        """Why the target stands still, or None while it runs, or nobody knows."""
        return None if self._failure else self.reason

    def standing(self) -> StopReason:
        """Return why the target stands still.  Raises TargetError if it does not."""
        if self.reason is None or self._failure is not None:
            raise TargetError(errno.EBUSY, "the target runs")
        return self.reason

    # What is heard

    async def _listen(self) -> None:
        await self._link.listen()
        # A machine's last word is what became of it, not that its line is closed.
        while self.run.is_arriving:
            await self._changed.wait()
        self._failure = TargetLost("the line to the stub is closed")
        self._wake()
        self._lost.set()

    async def wait_lost(self) -> None:
        """Wait until the line to the stub is closed, and all that came over it is known."""
        await self._lost.wait()

    def hear_text(self, text: bytes) -> None:
        """Look for a stop in what the stub says besides packets."""
        self._heard = (self._heard + text)[-LONGEST_SIGN:]
        if self.reason is None and any(sign in self._heard for sign in self._link.quirks.tells_stop_by_text):
            self._heard = b""
            self.hear_stop(None)

    def hear_stop(self, news: News) -> None:
        """Take the news of a stop, for the job that waits for it."""
        self.run.is_arriving = True
        try:
            self._news.send_nowait(news)
        except trio.WouldBlock:
            log.warning("the stub reports one stop after another; one is dropped")
        self._wake()
        if not self._has_job:
            # It was stopped and stops again: it has been reset behind our back.
            self._start(self.run.await_stop, None)

    def _forget_news(self) -> None:
        """Drop what was told of this stop a second time."""
        while self.run.news.statistics().current_buffer_used:
            self.run.news.receive_nowait()

    # Jobs

    def resume(self, job: Job) -> None:
        """Have `job` send the target on from where it stands.  Raises TargetError if it runs or has ended."""
        before = self.standing()
        if before.is_final:
            raise TargetError(errno.ESRCH, "the target has ended")
        self._forget_news()
        self._is_known = True
        self.run.wants_stop = False
        self._start(job, before)

    async def settle(self, seconds: float) -> None:
        """Wait a moment for the job that has begun to come to its end."""
        with trio.move_on_after(seconds):
            while self._has_job and not self.run.runs_freely:
                await self._changed.wait()

    def let_go(self, is_known: bool) -> None:
        """Note that the target runs without us.  `is_known`: what it does next will be heard."""
        self._forget_news()
        self._is_known = is_known
        self._start(self.run.await_stop, None)

    def _start(self, job: Job, before: StopReason | None) -> None:
        self._has_job = True
        self.run.runs_freely = job == self.run.await_stop
        self._may_break_in_at = -math.inf
        self.run.has_left = before is None
        self.reason = None
        self._threads.forget()
        self._nursery.start_soon(self._carry_out, job, before)
        self._wake()

    async def _carry_out(self, job: Job, before: StopReason | None) -> None:
        """Do `job` until the target stands still.  If it fails before running, the target stands as
        `before`.
        """
        try:
            reason = await job()
            if await self._identify():
                reason = replace(reason, thread=await self.run.current_thread(reason.thread))
            self.reason = replace(reason, thread=self._threads.number(reason.thread))
            self._is_known = True
        except TargetLost as problem:
            self._failure = problem
        except Silence as problem:
            self._failure = problem
            if before is not None and not self.run.has_left:
                self.reason = before
            else:
                self._is_known = False
        except TargetError as problem:
            self._failure = problem
            self.reason = before
        self._has_job = self.run.is_arriving = False
        self._wake()
        if self.reason is None or self.reason.is_final:
            # Whatever comes next comes by itself: a late answer, a stop, a machine switched on again.
            self._has_job = self.run.runs_freely = True
            self._nursery.start_soon(self._carry_out, self.run.await_stop, None)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def wait_stop(self) -> StopReason:
        """Wait until the target stands still.  Raises TargetError if it could not be resumed as asked."""
        while True:
            if self.reason is not None and self.reason.is_final:
                return self.reason
            if self._failure is not None:
                failure = self._failure
                if not self._link.is_lost:
                    self._failure = None
                raise failure
            if self.reason is not None:
                return self.reason
            await self._changed.wait()

    async def answers(self) -> bool:
        """Ask a target that stands still for its stop.  False if nobody answers."""
        return await self._ask_stop() is not None

    async def _ask_stop(self) -> StopReason | None:
        """Ask where the target stands.  None if nobody answers in time, so it runs."""
        with trio.move_on_after(PROBE_PATIENCE), suppress(Silence):
            return await self.run.ask_stop(PROBE_PATIENCE / 3)
        if self._link.dialogue.is_among_text:
            # What we asked stands on somebody's command line now.
            await self._link.type(ERASE)
        return None

    # How a stop is brought about

    async def interrupt(self) -> None:
        """Stop the target: ask where it stands if that is not known, else break in."""
        self.run.wants_stop = True
        # Do not overtake a resume that is still being sent, and let a step come to its end.
        with trio.move_on_after(STEP_PATIENCE):
            while self.stopped is None and not self.run.runs_freely:
                await self._changed.wait()
        if self.stopped is not None or self.run.is_arriving:
            return
        # Keys do no harm to a stub that stands; a question to a kernel that runs ends up on somebody's
        # screen.
        has_keys = self._surroundings.keys != b"" and self._link.quirks.forgets_debugger
        if not self._is_known and not has_keys and await self._probe():
            return
        if self._link.quirks.obeys_interrupts:
            await self._link.type(packet.INTERRUPT)
        elif self._surroundings.keys and self._link.quirks.shares_the_line:
            await self._link.type(self._surroundings.keys)
        elif trio.current_time() >= self._may_break_in_at and not await self._is_on_its_way():
            await self._surroundings.break_in()
            # What is typed twice is read twice: the second time after the next resume.
            self._may_break_in_at = trio.current_time() + BREAK_IN_PATIENCE
        if self._link.quirks.forgets_debugger:
            # It may have been stopped already, or stop without a word.
            with trio.move_on_after(ENTRY_PATIENCE):
                while self.stopped is None and not self.run.is_arriving:
                    await self._changed.wait()
                return
            await self._probe()

    async def _is_on_its_way(self) -> bool:
        """Wait a moment for a stop that is on the line already."""
        with trio.move_on_after(ON_ITS_WAY):
            while self.stopped is None and not self.run.is_arriving:
                await self._changed.wait()
        return self.stopped is not None or self.run.is_arriving

    async def _probe(self) -> bool:
        """Ask where the target stands.  False if it does not answer, so it runs."""
        reason = await self._ask_stop()
        if reason is not None:
            if not self.run.is_arriving:
                self.hear_stop(reason)
            return True
        # A stub that forgets its debugger may stop unheard later on.
        self._is_known = not self._link.quirks.forgets_debugger
        return False

    async def type(self, keys: bytes) -> None:
        """Type on the console that shares the stub's line, as soon as the target runs: a stub that stands
        would take it for packets.
        """
        while self.reason is not None or self.run.is_arriving or not self.run.runs_freely:
            await self._changed.wait()
        await self._link.type(keys)
