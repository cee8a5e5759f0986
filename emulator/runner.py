"""The machine in real time: a task that runs it, the lines it talks over, and the debugger's hand on it.

The machine is *running* (this module runs it, slice after slice) or *parked* (nobody does, `parked` holds
the exit that ended it, guest time stands still).  A short slice runs in trio's own thread, the first one
in whoever's task resumes the machine, or brings an idle guest what it waits for: a debugger's step is done
when `resume` returns, and the answer to a frame brings the next frame at once.  A guest that is
still busy after it goes to a worker thread for a few milliseconds at a time.  Only that thread touches the
machine while other tasks run.  Whoever wants it asks for it by `at_rest`, which ends the slice, and has it
until he awaits again.

Guest time follows the host's clock only while the guest is idle (docs/design.md, Time): an idle guest
waits until the host's clock reaches the event it waits for, or a little longer.  A guest that computed
for longer than it has time for is behind or ahead, depending on the engine; up to `FORGIVEN_LAG` it
catches up by idling less, more is forgiven, and so is any lead.  With Pace.VIRTUAL idle time passes at
once.

Input cuts an idle guest's sleep short and is stamped with guest time (`journal`).  Nothing else does, so
`journal.replay` gives the same run.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from functools import partial
from typing import Protocol, runtime_checkable

import trio

from emulator.cpu.exits import Exit, ExitKind, describe
from emulator.cpu.state import MSR_EE
from emulator.cpu.timers import INSTRUCTIONS_PER_SECOND
from emulator.devices.port import Port
from emulator.journal import Input, apply
from emulator.machine import Machine

__all__ = ["FINAL", "MachineRunner", "Pace", "describe"]

_log = logging.getLogger("emulator")

#: Instructions that run in trio's thread before the worker is asked: so many at least (and so many steps a
#: debugger takes at a time), and so many at most where the engine does them in a fraction of a millisecond.
INLINE = 1000
LARGEST_INLINE = 40_000
#: How long a slice in the worker should take, seconds: what a line or the debugger may have to wait.
SLICE_TIME = 0.005
SMALLEST_SLICE = 1000
LARGEST_SLICE = 50_000_000
#: A guest that is this far behind the host's clock, or ahead, is given the difference (seconds).
FORGIVEN_LAG = 1.0
FORGIVEN_LEAD = 0.02
#: An idle guest's events may come this much late (seconds), so that 100 ticks a second need not 100 wake-ups.
IDLE_GRAIN = 0.1
#: So many events are served at a time before the other tasks get their turn.
EVENTS_AT_A_TIME = 16
READ_SIZE = 16384

FINAL = frozenset({ExitKind.SHUTDOWN, ExitKind.CHECKSTOP})
#: Stops that nobody has asked for, so that somebody should hear of them.
_UNASKED = frozenset({ExitKind.SIMULATOR_BREAK, ExitKind.CHECKSTOP})


class Pace(Enum):
    """How guest time passes while the guest is idle."""

    HOST = "host"
    VIRTUAL = "virtual"


@runtime_checkable
class Prompt(Protocol):
    """A stream that can take and bring bytes without a turn of the event loop."""

    def send_now(self, data: bytes) -> int:
        """Take as many of the bytes as there is room for; return how many.  Raises as `send_all`."""

    def receive_now(self, max_bytes: int) -> bytes:
        """Return what has come already, if anything."""

    def listen(self, listener: Callable[[], bool] | None) -> None:
        """Call `listener` as soon as something has come; it says whether it has taken any of it.  What it
        leaves is there for `receive_some`."""


class _Line:
    """A stream joined to a port: bytes on their way out, one write at a time."""

    def __init__(self, port: Port, stream: trio.abc.Stream) -> None:
        self.port = port
        self.stream = stream
        self.prompt = stream if isinstance(stream, Prompt) else None
        self.outgoing = b""
        self.ready = trio.Event()

    def flush(self) -> bool:
        """Take what the guest has put, unless an earlier piece is still being written; whether the stream
        has taken all of it already.
        """
        if not self.outgoing and self.port.pending:
            self.outgoing = self.port.drain()
            if self.prompt is not None:
                # Where that fails, the reader sees it as well.
                with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                    self.outgoing = self.outgoing[self.prompt.send_now(self.outgoing) :]
            if not self.outgoing:
                return True
            self.ready.set()
        return False


class _Steps:
    """How far the debugger wants to step."""

    def __init__(self, count: int | None, within: range | None) -> None:
        self._left = count
        self._within = within
        self.done = False

    def count_down(self, pc: int) -> bool:
        """Count one step that led to `pc`; return whether it was the last."""
        if self._left is not None:
            self._left -= 1
        self.done = self._left == 0 or (self._within is not None and pc not in self._within)
        return self.done


class MachineRunner:
    """Runs one machine.  `run` is the task; everything else may be called from other tasks of the same
    trio."""

    def __init__(
        self,
        machine: Machine,
        *,
        halted: bool = False,
        pace: Pace = Pace.HOST,
    ) -> None:
        """`halted`: begin parked, before the first instruction."""
        self.machine = machine
        self.pace = pace
        #: The exit that parked the machine; None while it runs.
        self.parked: Exit | None = Exit(ExitKind.BUDGET) if halted else None
        #: Told of every input, in order.
        self.journal: Callable[[Input], None] = lambda _: None
        self._lock = trio.Lock()
        self._changed = trio.Event()
        self._slice_done = trio.Event()
        self._written = trio.Event()
        self._lines: list[_Line] = []
        self._halting = False
        self._steps: _Steps | None = None
        self._input_came = False
        self._budget = SMALLEST_SLICE
        self._in_worker = False
        # The exit of a slice that is over and not dealt with.
        self._open_exit: Exit | None = None
        # While the guest is idle: the guest time it waits for.
        self._idle_until: float | None = None
        # While it is: the host time at which it is to be woken at the latest.
        self._due = 0.0
        # Host time when the guest's own event last ended its idling.
        self._last_wake = 0.0
        # Host time at which guest time would have been 0, had it always followed the host.
        self._origin = 0.0

    # The task --------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Run the machine for ever; cancel to end."""
        self._follow_clock()
        while True:
            if self.parked is not None:
                await self._wait_for_change()
                continue
            if self._open_exit is None:
                # Taking the lock is also where the other tasks get their turn.
                async with self._lock:
                    exit_ = self._run_inline()
                    if exit_.kind is ExitKind.BUDGET and self._steps is None:
                        exit_ = await self._run_in_worker()
                    self._end_slice(exit_)
            await self._close_exit()

    def _run_inline(self) -> Exit:
        """Run for a fraction of a millisecond."""
        return self._run_slice() if self._steps is None else self._run_steps(self._steps)

    def _end_slice(self, exit_: Exit) -> None:
        """Send what the guest has put, and park the machine if the slice's end is the run's."""
        for line in self._lines:
            if line.flush():
                self._written.set()
                self._written = trio.Event()
        self._slice_done.set()
        self._slice_done = trio.Event()
        match exit_.kind:
            case ExitKind.BUDGET if self._steps is not None and self._steps.done:
                self._park(exit_)
            case ExitKind.BUDGET | ExitKind.STOP_REQUEST | ExitKind.IDLE:
                self._open_exit = exit_
            case _:
                self._park(exit_)

    async def _close_exit(self) -> None:
        """Do what is to be done between two slices."""
        exit_, self._open_exit = self._open_exit, None
        if exit_ is None:
            return
        if exit_.kind is ExitKind.IDLE:
            await self._idle(exit_)
        if self._halting:
            self._park(Exit(ExitKind.STOP_REQUEST))

    def _run_steps(self, steps: _Steps) -> Exit:
        """Step for a while; BUDGET if nothing came up, with `steps.done` or not."""
        machine = self.machine
        exit_ = Exit(ExitKind.BUDGET)
        for _ in range(INLINE):
            exit_ = machine.serve_interrupt()
            if exit_.kind is not ExitKind.BUDGET:
                return exit_
            exit_ = machine.step(resume=False)
            if exit_.kind is not ExitKind.BUDGET:
                return exit_
            if steps.count_down(machine.state.pc):
                return exit_
        return exit_

    def _run_slice(self) -> Exit:
        machine = self.machine
        self._input_came = False
        inline = min(max(INLINE, self._budget // 8), LARGEST_INLINE)
        exit_ = machine.run(inline)
        for _ in range(EVENTS_AT_A_TIME):
            if exit_.kind is not ExitKind.IDLE or not self._passes_idle_time_at_once(exit_):
                break
            exit_ = machine.run(inline)
        return exit_

    async def _run_in_worker(self) -> Exit:
        self._in_worker = True
        try:
            exit_, took = await trio.to_thread.run_sync(self._run_timed, self._budget)
        finally:
            self._in_worker = False
        if exit_.kind is ExitKind.BUDGET:
            self._adapt(took)
        return exit_

    def _run_timed(self, budget: int) -> tuple[Exit, float]:
        """Run, and return the processor's time it took: on a busy host the clock tells nothing of the
        guest.
        """
        begun = time.thread_time()
        return self.machine.run(budget), time.thread_time() - begun

    def _adapt(self, took: float) -> None:
        """Make the next slice longer or shorter, so that it takes about SLICE_TIME."""
        factor = min(max(SLICE_TIME / max(took, 1e-6), 0.25), 4.0)
        self._budget = min(max(int(self._budget * factor), SMALLEST_SLICE), LARGEST_SLICE)

    def _passes_idle_time_at_once(self, exit_: Exit) -> bool:
        """Let an idle guest sleep to its next event, if that is due already and it has said nothing."""
        if any(line.port.pending for line in self._lines):
            return False
        machine = self.machine
        limit = machine.idle_limit(exit_)
        if limit is None:
            return False
        if self.pace is Pace.HOST:
            self._forgive(exit_)
            if self._host_time(machine.now + limit) > trio.current_time():
                return False
        machine.sleep(limit)
        return True

    async def _idle(self, exit_: Exit) -> None:
        """Let an idle guest's time pass, until its next event, input, or the debugger."""
        machine = self.machine
        limit = machine.idle_limit(exit_)
        if self.pace is Pace.VIRTUAL and limit is not None:
            machine.sleep(limit)
            return
        # What has come since the slice may be what the guest waits for.
        self._forgive(exit_)
        if not self._input_came:
            self._begin_idling(limit)
        # An input ends it, and may begin another one (`_go_on`); nobody holds the lock here.
        while self._idle_until is not None and not self._halting:
            left = self._due - trio.current_time()
            if left <= 0:
                self._last_wake = self._due
                break
            await self._wait_for_change(left)
        self._pass_idle_time()
        self._idle_until = None

    def _begin_idling(self, limit: int | None) -> None:
        """Note what an idle guest waits for, and when somebody has to look after it."""
        self._idle_until = float("inf") if limit is None else self.machine.now + limit
        if limit is None:
            self._announce()
        due = self._host_time(self._idle_until)
        if due > trio.current_time():
            # Waking up is what an idle guest costs: events that are close together are served together.
            due = max(due, self._last_wake + IDLE_GRAIN)
        self._due = due

    def _go_on(self) -> None:
        """Run the first slice after an input that an idle guest has waited for, in the task that brings it.

        A guest in conversation with its line is idle again at once, and the task that runs the machine need
        not even wake up.
        """
        due = self._due
        exit_ = self._run_inline()
        self._end_slice(exit_)
        # What the guest said may have been answered already, and be what it waits for.
        is_idle = exit_.kind is ExitKind.IDLE and not self._input_came
        limit = self.machine.idle_limit(exit_) if is_idle else None
        if is_idle and not (self.pace is Pace.VIRTUAL and limit is not None):
            self._open_exit = None
            self._forgive(exit_)
            self._begin_idling(limit)
            if self._due >= due:
                return
        self._announce()

    def _pass_idle_time(self, at_least: int = 0) -> None:
        """Let an idle guest's time catch up with the host's clock, but not run past what it waits for."""
        if self._idle_until is None:
            return
        host = int((trio.current_time() - self._origin) * INSTRUCTIONS_PER_SECOND)
        until = min(max(host, self.machine.now + at_least), self._idle_until)
        self.machine.sleep(max(int(until) - self.machine.now, 0))

    def _host_time(self, guest_time: float) -> float:
        """Return when the host's clock reaches `guest_time`."""
        return self._origin + guest_time / INSTRUCTIONS_PER_SECOND

    def _forgive(self, exit_: Exit) -> None:
        """Move the origin if guest and host have drifted too far apart.

        A guest that waits for a device with interrupts off (in its debugger, or for the answer to a frame)
        has nothing to catch up with: it would only ask the device again and again.
        """
        guest = self.machine.now / INSTRUCTIONS_PER_SECOND
        lag = trio.current_time() - self._origin - guest
        waits_for_device = exit_.detail and not self.machine.state.msr & MSR_EE
        if lag > (0.0 if waits_for_device else FORGIVEN_LAG) or lag < -FORGIVEN_LEAD:
            self._follow_clock()

    def _follow_clock(self) -> None:
        """Let guest time go on from where it is, at the host's pace from now."""
        self._origin = trio.current_time() - self.machine.now / INSTRUCTIONS_PER_SECOND

    async def _wait_for_change(self, seconds: float = float("inf")) -> None:
        with trio.move_on_after(seconds):
            await self._changed.wait()

    def _announce(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def _park(self, exit_: Exit) -> None:
        self.parked = exit_
        self._halting = False
        level = logging.WARNING if exit_.kind in _UNASKED else logging.INFO
        if _log.isEnabledFor(level):
            _log.log(level, "machine stopped: %s at pc %#x", describe(exit_), self.machine.state.pc)
        self._announce()

    @property
    def is_idle(self) -> bool:
        """Whether the guest has nothing to do and its time waits for the host's clock or for input."""
        return self._idle_until is not None

    # The debugger's side ---------------------------------------------------------------------------------

    async def halt(self) -> Exit:
        """Park the machine, between two instructions, and return why it is parked."""
        self.request_halt()
        return await self.wait_parked()

    def request_halt(self) -> None:
        """Ask for a halt without waiting; `wait_parked` tells."""
        if self.parked is None:
            self._halting = True
            self._interrupt_slice()
            self._announce()

    async def wait_parked(self) -> Exit:
        """Wait until the machine is parked; return why."""
        while self.parked is None:
            await self._changed.wait()
        return self.parked

    async def wait_end(self) -> Exit:
        """Wait until the machine has shut down or can not go on; return that exit."""
        while self.parked is None or self.parked.kind not in FINAL:
            await self._changed.wait()
        return self.parked

    async def wait_shutdown(self) -> Exit:
        """Wait until the machine has shut down: one that can not go on is there for the debugger."""
        while self.parked is None or self.parked.kind is not ExitKind.SHUTDOWN:
            await self._changed.wait()
        return self.parked

    async def wait_end_or_hang(self) -> Exit:
        """As `wait_end`; a guest that waits for ever (`Machine.is_hung`) ends it too, with an IDLE exit."""
        while True:
            if self.parked is not None and self.parked.kind in FINAL:
                return self.parked
            if self.is_idle and self.machine.is_hung():
                return Exit(ExitKind.IDLE)
            await self._changed.wait()

    def resume(self, *, steps: int | None = None, within: range | None = None) -> None:
        """Let a parked machine run, until something comes up or `steps` instructions are done.

        Steps are the program's: an interrupt that comes before one is served first, out of sight.

        With `within` stepping also ends when pc leaves that range.  Steps that are done park the machine with
        a BUDGET exit.  A breakpoint where pc stands is hit at once.  What ends soon has ended on return.
        """
        if self.parked is None:
            return
        if self.parked.kind is ExitKind.SIMULATOR_BREAK:
            self.machine.pass_simulator_break()
        self.parked = None
        self._halting = False
        self._steps = None if steps is None and within is None else _Steps(steps, within)
        self._follow_clock()
        self._end_slice(self._run_inline())
        if self.parked is None:
            self._announce()

    async def step(self, count: int = 1, within: range | None = None) -> Exit:
        """Step a parked machine (see `resume`) and wait until it is parked again."""
        self.resume(steps=count, within=within)
        return await self.wait_parked()

    async def reset(self) -> None:
        """Reset the machine; it is parked at its first instruction afterwards."""
        if self.parked is None:
            await self.halt()
        (await self.at_rest()).reset()
        self._park(Exit(ExitKind.BUDGET))

    async def at_rest(self) -> Machine:
        """Return the machine between two slices, running or parked: the caller's until he awaits again."""
        while self._in_worker:
            self._interrupt_slice()
            async with self._lock:
                pass
        return self.machine

    def _interrupt_slice(self) -> None:
        if self._in_worker:
            self.machine.request_stop()

    # Lines -----------------------------------------------------------------------------------------------

    async def attach(self, stream: trio.abc.Stream, port: Port) -> None:
        """Join `stream` to `port` of the machine until the stream ends; the guest sees a peer meanwhile.

        Raises ValueError if a stream is joined to that port already.
        """
        if any(line.port is port for line in self._lines):
            raise ValueError("this port has a peer already")
        line = _Line(port, stream)
        self._lines.append(line)
        try:
            await self._input(port, connected=True)
            if line.prompt is not None:
                line.prompt.listen(partial(self._take_now, line, line.prompt))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write, line)
                await self._read(line)
                nursery.cancel_scope.cancel()
        finally:
            self._lines.remove(line)
            if line.prompt is not None:
                line.prompt.listen(None)
            with trio.CancelScope(shield=True):
                # At most one slice away.
                await self._input(port, connected=False)

    async def flush(self) -> None:
        """Wait until the streams have taken all that the guest has put so far."""
        while any(line.outgoing or line.port.pending for line in self._lines):
            await self._written.wait()

    async def _read(self, line: _Line) -> None:
        while True:
            while not line.port.room:
                await self._slice_done.wait()
            try:
                data = await line.stream.receive_some(min(READ_SIZE, line.port.room))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
            if not data:
                return
            await self._input(line.port, bytes(data))

    def _take_now(self, line: _Line, prompt: Prompt) -> bool:
        """Bring in what has come, in the task that sends it, unless the worker has the machine."""
        if self._in_worker or not (data := prompt.receive_now(min(READ_SIZE, line.port.room))):
            return False
        self._bring_in(line.port, data)
        return True

    async def _write(self, line: _Line) -> None:
        while True:
            await line.ready.wait()
            line.ready = trio.Event()
            try:
                await line.stream.send_all(line.outgoing)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return  # the reader sees the end as well
            line.outgoing = b""
            async with self._lock:
                line.flush()
            self._written.set()
            self._written = trio.Event()

    async def _input(self, port: Port, data: bytes = b"", connected: bool | None = None) -> None:
        """Bring something into the machine, as soon as the worker has it no more."""
        await self.at_rest()
        self._bring_in(port, data, connected)

    def _bring_in(self, port: Port, data: bytes = b"", connected: bool | None = None) -> None:
        """Bring something into the machine, between two slices, and wake an idle guest."""
        machine = self.machine
        was_idle = self.is_idle
        # At least one instruction's time after the guest went idle, so that a replay goes idle as well.
        self._pass_idle_time(at_least=1)
        self._idle_until = None
        self._input_came = True
        name = "wire" if port is machine.wire else "console"
        come = Input(machine.now, name, data, connected)
        apply(machine, come)
        self.journal(come)
        if was_idle and data and not self._halting:
            self._go_on()
        else:
            self._announce()
