"""Runs: what happens between a client's request to resume and the stop reply.

A run sets the target going and waits for its stop.  Meanwhile the client is listened to: 0x03 interrupts the
target, kill and detach end the run in the stop's place, and a client that is gone ends it too.  What the
breakpoints' commands print is sent as it comes.

A run ends with one stop reply, an error in place of one, or none at all, when the client did not wait for it.

How the target runs is not known here: a stub's is `run_control`, and what it cannot do itself is made up by
`stepping.step_range`.  What else a client may ask is `conversation`'s.
"""

from __future__ import annotations

import errno
import math
from collections import deque
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import replace
from functools import partial

import trio

from gdbstub import commands, replies
from gdbstub.answers import Attachment
from gdbstub.packet import Interrupt
from gdbstub.session import Request, Session, State
from gdbstub.session_stream import SessionStream
from gdbstub.stepping import step_range
from gdbstub.target import (
    INSTRUCTION_KINDS,
    SIGINT,
    SIGTRAP,
    Action,
    ActionKind,
    Announces,
    Expedites,
    StopKind,
    StopReason,
    Target,
    TargetError,
    TargetLost,
)

# Seconds for which a 0x03 that crossed a stop reply holds for the next step.  gdb makes a software watchpoint
# of steps, one after the other, and does not stop by itself; a person does not type that fast.
CROSSING = 0.25

# Texts of breakpoint commands that wait for a client too slow to read them; the oldest are dropped.
MAX_SHOWN = 1000


class Runs:
    """The runs of `target` that one client asks for, one after the other.  `access` is taken to resume.

    `attachment` is that client's; what it is shown is printed here, while the target runs.
    """

    def __init__(
        self,
        stream: SessionStream,
        session: Session,
        target: Target,
        access: AbstractAsyncContextManager[object],
    ) -> None:
        self.attachment = Attachment(target, self._show)
        self._stream = stream
        self._session = session
        self._target = target
        self._access = access
        self._token = trio.lowlevel.current_trio_token()
        # Asked once: looking for a protocol's methods takes as long as a short packet.
        self._expedites = target if isinstance(target, Expedites) else None
        self._announces = target if isinstance(target, Announces) else None
        self._shown: deque[str] = deque(maxlen=MAX_SHOWN)
        self._has_shown = trio.Event()
        self._ending: Request | None = None
        self._is_interrupted = False
        self._crossed_at = -math.inf

    def note_crossing(self) -> None:
        """Note a 0x03 that crossed the stop reply on its way here."""
        self._crossed_at = trio.current_time()

    async def run(self, request: Request) -> Request | None:
        """Carry out a request to resume.  Returns the request that ended the run in the stop's place, which
        is still to be served.

        Raises TargetError if nothing was resumed, TargetLost.
        """
        target, session = self._target, self._session
        self._is_interrupted = trio.current_time() - self._crossed_at < CROSSING
        self._crossed_at = -math.inf
        self._ending = None
        if not self.attachment.holds_target:
            raise TargetError(errno.ESRCH, "nothing is being debugged; attach or run")
        actions = await self._actions(request)
        session.run()
        before = target.stopped
        reply: bytes | None = None
        try:
            if before is not None and before.is_final:
                reason: StopReason | None = before
            elif before is not None and self.attachment.refused:
                # As where gdb itself cannot insert a breakpoint, nothing moves.
                for problem in self.attachment.refused.values():
                    session.output(f"Cannot insert a breakpoint: {problem}\n".encode())
                reason = replace(before, kind=StopKind.SIGNAL, signal=0)
            else:
                reason = await self._carry_out(actions)
                if reason is not None and self._is_interrupted and _is_end_of_step(reason, actions):
                    reason = replace(reason, signal=SIGINT)
            if reason is not None:
                reply = await self.stop_reply(reason)
        except TargetLost:
            raise
        except TargetError as problem:
            # gdb shows an error instead of a stop as it is, whatever was announced, and takes it for a stop.
            session.stop(f"E.{problem}".encode())
            return None
        self._output_shown()
        if reply is not None:
            session.stop(reply)
            return None
        if self._ending is not None:
            session.abandon_run()
            return self._ending
        session.close()
        return None

    async def stop_reply(self, reason: StopReason) -> bytes:
        """Return the reply that tells of a stop, with the registers gdb would ask for after each."""
        features = self.attachment.features
        if reason.is_final:
            return replies.format_stop(reason, features)
        self.attachment.register_thread = reason.thread
        if self._expedites is not None:
            expedited = await self._expedites.expedited(reason.thread)
        else:
            block = await self._target.read_registers(reason.thread)
            expedited = {number: block[span] for number, span in self._target.description.expedited}
        return replies.format_stop(reason, features, expedited)

    async def _actions(self, request: Request) -> list[Action]:
        match request:
            case commands.Resume(wanted):
                actions = [action for action in wanted if isinstance(action, Action)]
                if not actions:
                    raise TargetError(errno.EINVAL, "nothing to resume")
                return actions
            case commands.Continue() | commands.ContinueWithSignal() | commands.ContinueWithSignalAt():
                kind = ActionKind.CONTINUE
            case _:
                kind = ActionKind.STEP
        addr: int | None = getattr(request, "addr", None)
        if addr is not None:
            description = self._target.description
            number = description.numbers[description.pc]
            raw = description.encode(description.pc, addr)
            await self._target.write_register(self.attachment.register_thread, number, raw)
        return [Action(kind, signal=getattr(request, "signal", 0))]

    async def _carry_out(self, actions: list[Action]) -> StopReason | None:
        """Resume and wait for the stop, listening to the client.  None if the client ended it."""
        target = self._target
        if self._announces is not None:
            self._announces.announce = self._show
        if all(action.kind in target.actions for action in actions):
            async with self._access:
                await target.resume(actions)
            if (reason := target.stopped) is not None:
                return reason
            wait = target.wait_stop
        else:
            planted = {place.addr for place in self.attachment.breakpoints if place.kind in INSTRUCTION_KINDS}
            wait = partial(step_range, target, actions, planted, lambda: self._is_interrupted)
        outcome: StopReason | TargetError | None = None

        async def await_stop(scope: trio.CancelScope) -> None:
            nonlocal outcome
            try:
                outcome = await wait()
            except TargetError as problem:
                outcome = problem
            scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(await_stop, nursery.cancel_scope)
            nursery.start_soon(self._print)
            await self._listen()
            nursery.cancel_scope.cancel()
        if isinstance(outcome, TargetError):
            raise outcome
        return outcome

    async def _listen(self) -> None:
        """Serve a client while the target runs; return when it is gone or wants to end the run."""
        while self._session.state is State.RUNNING:
            # First what came together with the request to run: a client may send both at once.
            while (request := self._session.next_request()) is not None:
                if not isinstance(request, Interrupt):
                    self._ending = request
                    return
                self._is_interrupted = True
                try:
                    await self._target.interrupt()
                except TargetError as problem:
                    self._session.output(f"{problem}\n".encode())
            await self._stream.flush()
            await self._stream.receive()

    # What is printed meanwhile

    def _show(self, text: str) -> None:
        """Have gdb print `text`, as long as the target runs: called from the machine's thread."""
        self._shown.append(text)
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(lambda: self._has_shown.set())

    async def _print(self) -> None:
        """Send what is shown while the target runs."""
        while True:
            await self._has_shown.wait()
            self._has_shown = trio.Event()
            self._output_shown()
            await self._stream.flush()

    def _output_shown(self) -> None:
        while self._shown:
            self._session.output(self._shown.popleft().encode("utf-8", "replace"))


def _is_end_of_step(reason: StopReason, actions: list[Action]) -> bool:
    """True if nothing else has happened than that a step was made."""
    # gdb steps one thread and continues the others: `vCont;s:1;c`.
    is_step = any(action.kind is not ActionKind.CONTINUE for action in actions)
    return is_step and reason.kind is StopKind.SIGNAL and reason.signal == SIGTRAP
