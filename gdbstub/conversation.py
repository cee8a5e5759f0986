"""One client's conversation with a target: the trio shell of a `session.Session`.

It moves bytes between the stream and the session, has `answers` answer what is one question, and does itself
what takes time or ends something: resuming, waiting for the stop, 0x03, detach, kill.
"""

from __future__ import annotations

import errno
import logging
import math
from collections import deque
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from dataclasses import replace
from functools import partial

import trio

from gdbstub import answers, commands, replies
from gdbstub.answers import Attachment
from gdbstub.file_answers import FILE_ANSWERS
from gdbstub.lldb_answers import LLDB_ANSWERS
from gdbstub.packet import Interrupt
from gdbstub.quick_stream import QuickStream
from gdbstub.session import Request, Session, State
from gdbstub.stepping import step_range
from gdbstub.target import (
    SIGINT,
    SIGTRAP,
    Action,
    ActionKind,
    Announces,
    BreakpointKind,
    Breakpoints,
    Detach,
    Expedites,
    Kill,
    Monitor,
    Reset,
    StopKind,
    StopReason,
    Target,
    TargetError,
    TargetLost,
    Unsupported,
)
from gdbstub.transcript import FROM_STUB, TO_STUB, Transcript

log = logging.getLogger("gdbstub")

RECEIVE_SIZE = 65536

# Seconds a running target may take to stop so that a lost client's breakpoints can be removed.
CLEAN_UP_PATIENCE = 5.0

# Seconds a client may refuse to read.
SEND_PATIENCE = 10.0

# Seconds for which a 0x03 that crossed a stop reply holds for the next step.  gdb makes a software watchpoint
# of steps, one after the other, and does not stop by itself; a person does not type that fast.
CROSSING = 0.25

# Texts of breakpoint commands that wait for a client too slow to read them; the oldest are dropped.
MAX_SHOWN = 1000

# Seconds a running target may take to stop when a client comes; gdb waits six for an answer.
ATTACH_PATIENCE = 4.5

answers.ANSWERS.update(FILE_ANSWERS | LLDB_ANSWERS)

INSTRUCTION_KINDS = frozenset({BreakpointKind.SOFTWARE, BreakpointKind.HARDWARE})


class Conversation:
    """One connected client."""

    def __init__(
        self, stream: trio.abc.Stream, target: Target, name: str, access: trio.Lock | None = None
    ) -> None:
        self._stream = QuickStream(stream)
        # Where nobody else looks, taking turns costs nothing.
        self._access: AbstractAsyncContextManager[object] = access or nullcontext()
        self._target = target
        self._session = Session()
        self._attachment = Attachment(target, self._show)
        self._token = trio.lowlevel.current_trio_token()
        # Asked once: looking for a protocol's methods takes as long as a short packet.
        self._expedites = target if isinstance(target, Expedites) else None
        self._announces = target if isinstance(target, Announces) else None
        self._sending = trio.Lock()
        self._shown: deque[str] = deque(maxlen=MAX_SHOWN)
        self._has_shown = trio.Event()
        self._transcript = Transcript(name)
        self._name = name
        self._ending: Request | None = None
        self._is_interrupted = False
        self._crossed_at = -math.inf

    async def converse(self) -> None:
        """Answer requests until the session is closed from either side."""
        is_admitted = False
        while self._session.state is not State.CLOSED:
            await self._receive()
            if not is_admitted and self._session.has_request:
                is_admitted = await self._is_admitted()
            while (request := self._session.next_request()) is not None:
                await self._serve(request)
            await self._flush()

    async def _receive(self) -> None:
        """Take what the client sends next; close the session if it is gone."""
        try:
            data = await self._stream.receive_some(RECEIVE_SIZE)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            data = b""
        if data:
            self._transcript.note(TO_STUB, data)
            self._session.receive(data)
        else:
            self._session.close()

    async def _flush(self) -> None:
        if not self._session.has_outgoing:
            return
        rest = b""
        try:
            if not self._sending.locked():
                rest = self._stream.send_now(self._outgoing())
                if not rest:
                    return
            await self._send_patiently(rest)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._session.close()

    async def _send_patiently(self, rest: bytes) -> None:
        """Send `rest`, which nobody else's packets may cut in two, and what has come together meanwhile.

        A cancelled send must not cut a packet either.  A client that does not read is given up, so that
        nothing waits for it for ever.
        """
        with trio.move_on_after(SEND_PATIENCE, shield=True) as patience:
            # Where there is a rest, the lock is free, and nobody gets between the two of us.
            try:
                self._sending.acquire_nowait()
            except trio.WouldBlock:
                await self._sending.acquire()
            try:
                await self._stream.send_all(rest + self._outgoing())
            finally:
                self._sending.release()
        if patience.cancelled_caught:
            self._session.close()

    def _outgoing(self) -> bytes:
        data = self._session.take_outgoing()
        self._transcript.note(FROM_STUB, data)
        return data

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
            await self._flush()

    def _output_shown(self) -> None:
        while self._shown:
            self._session.output(self._shown.popleft().encode("utf-8", "replace"))

    async def _serve(self, request: Request) -> None:
        session, attachment = self._session, self._attachment
        try:
            match request:
                case commands.QueryStop():
                    await self._query_stop()
                case commands.StartNoAckMode():
                    session.reply(replies.OK)
                    session.stop_acknowledging()
                case commands.MonitorCommand(text):
                    await self._monitor(text.decode("utf-8", "replace"))
                case commands.Detach():
                    await self._detach()
                    session.reply(replies.OK)
                    attachment.holds_target = False
                    if not attachment.is_extended:
                        session.close()
                case commands.Kill():
                    await self._kill()
                    session.close()
                case commands.KillProcess():
                    await self._kill()
                    attachment.holds_target = False
                    session.reply(replies.OK)
                case commands.Attach():
                    await self._stop_target()
                    await self._hold_target()
                case commands.Restart():
                    # Has no reply, whatever comes of it (GDB manual, "Packets").
                    try:
                        await self._reset()
                    except Unsupported as problem:
                        log.warning("%s: %s", self._name, problem)
                case commands.Run():
                    # "Unsupported" would have gdb send `R`, and believe in it.
                    if not isinstance(self._target, Reset):
                        raise TargetError(errno.ENOTSUP, "this target cannot be started again")
                    await self._reset()
                    await self._hold_target()
                case _ if isinstance(request, answers.RESUMING):
                    await self._run(request)
                case Interrupt():
                    # It crossed the stop reply on its way here.
                    self._crossed_at = trio.current_time()
                case _:
                    async with self._access:
                        reply = await answers.answer(attachment, request)
                    session.reply(reply)
        except TargetLost:
            session.close()
            raise
        except Unsupported:
            session.reply(replies.EMPTY)
        except TargetError as problem:
            session.reply(replies.error(problem, attachment.features))

    async def _hold_target(self) -> None:
        """Have something to debug from now on."""
        self._attachment.holds_target = True
        await self._query_stop()

    async def _query_stop(self) -> None:
        """Say why the target stands still."""
        if not self._attachment.holds_target:
            self._session.reply(replies.format_stop(StopReason(StopKind.EXITED)))
            return
        assert self._target.stopped is not None
        self._session.reply(await self._stop_reply(self._target.stopped))

    async def _is_admitted(self) -> bool:
        """Stop the target for a client that has asked its first question: gdb attaches to stopped targets
        only.

        A target that cannot be stopped refuses the client here: gdb 13 shows the text of an `E.` reply to
        its first packet, waits six seconds for it if it must, and takes a closed connection after it well.
        An error in reply to `?` leaves it waiting for a stop, and console output instead of that reply makes
        it spin for ever.

        Without an acknowledgement gdb sends its packet again after two seconds.  With one it sends a `-`
        every two seconds, which must not be taken for one to the reply that it has not had yet.
        """
        await self._flush()
        try:
            await self._stop_target()
        except TargetError as problem:
            self._session.reply(f"E.{problem}".encode())
            await self._flush()
            self._session.close()
            return False
        if data := self._stream.receive_now(RECEIVE_SIZE):
            self._transcript.note(TO_STUB, data)
            self._session.receive(data)
        return True

    async def _stop_target(self) -> None:
        try:
            with trio.fail_after(ATTACH_PATIENCE):
                if self._target.stopped is None:
                    await self._target.interrupt()
                    await self._target.wait_stop()
        except trio.TooSlowError:
            raise TargetError(errno.ETIMEDOUT, "the target does not stop") from None

    async def _stop_reply(self, reason: StopReason) -> bytes:
        """Return the reply that tells of a stop, with the registers gdb would ask for after each."""
        features = self._attachment.features
        if reason.is_final:
            return replies.format_stop(reason, features)
        self._attachment.register_thread = reason.thread
        if self._expedites is not None:
            expedited = await self._expedites.expedited(reason.thread)
        else:
            block = await self._target.read_registers(reason.thread)
            expedited = {number: block[span] for number, span in self._target.description.expedited}
        return replies.format_stop(reason, features, expedited)

    async def _monitor(self, command: str) -> None:
        if not isinstance(self._target, Monitor):
            raise Unsupported("monitor")
        try:
            text = await self._target.monitor(command)
        except TargetLost:
            raise
        except TargetError as problem:
            # gdb shows an E reply as "Protocol error": print the reason ourselves.
            text = f"{problem}\n"
        self._session.output(text.encode("utf-8", "replace"))
        self._session.reply(replies.OK)

    async def _detach(self) -> None:
        await self._remove_breakpoints()
        if isinstance(self._target, Detach):
            await self._target.detach()
        else:
            await self._target.resume([Action()])

    async def _kill(self) -> None:
        if not isinstance(self._target, Kill):
            raise Unsupported("kill")
        await self._remove_breakpoints()
        await self._target.kill()

    async def _reset(self) -> None:
        if not isinstance(self._target, Reset) or not self._attachment.is_extended:
            raise Unsupported("restart")
        await self._target.reset()

    # Running

    async def _run(self, request: Request) -> None:
        target, session = self._target, self._session
        self._is_interrupted = trio.current_time() - self._crossed_at < CROSSING
        self._crossed_at = -math.inf
        if not self._attachment.holds_target:
            raise TargetError(errno.ESRCH, "nothing is being debugged; attach or run")
        actions = await self._actions(request)
        session.run()
        before = target.stopped
        reply: bytes | None = None
        try:
            if before is not None and before.is_final:
                reason: StopReason | None = before
            elif before is not None and self._attachment.refused:
                # As where gdb itself cannot insert a breakpoint, nothing moves.
                for problem in self._attachment.refused.values():
                    session.output(f"Cannot insert a breakpoint: {problem}\n".encode())
                reason = replace(before, kind=StopKind.SIGNAL, signal=0)
            else:
                reason = await self._carry_out(actions)
                if reason is not None and self._is_interrupted and _is_end_of_step(reason, actions):
                    reason = replace(reason, signal=SIGINT)
            if reason is not None:
                reply = await self._stop_reply(reason)
        except TargetLost:
            raise
        except TargetError as problem:
            # gdb shows an error instead of a stop as it is, whatever was announced, and takes it for a stop.
            session.stop(f"E.{problem}".encode())
            return
        self._output_shown()
        if reply is not None:
            session.stop(reply)
        elif self._ending is not None:
            session.abandon_run()
            await self._serve(self._ending)
        else:
            session.close()

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
            await self._target.write_register(self._attachment.register_thread, number, raw)
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
            planted = {
                place.addr for place in self._attachment.breakpoints if place.kind in INSTRUCTION_KINDS
            }
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
            await self._flush()
            await self._receive()

    # Leaving

    async def clean_up(self) -> None:
        """Take away what the client planted, leaving the target running or stopped as it is."""
        target = self._target
        with trio.move_on_after(CLEAN_UP_PATIENCE):
            try:
                try:
                    await self._remove_breakpoints()
                except TargetError:
                    if target.stopped is not None:
                        raise
                    await target.interrupt()
                    await target.wait_stop()
                    await self._remove_breakpoints()
                    await target.resume([Action()])
            except TargetError as problem:
                log.warning("%s: breakpoints of a lost client stay behind: %s", self._name, problem)

    async def _remove_breakpoints(self) -> None:
        target = self._target
        for place in list(self._attachment.breakpoints):
            if isinstance(target, Breakpoints):
                await target.remove(place)
            self._attachment.breakpoints.discard(place)


def _is_end_of_step(reason: StopReason, actions: list[Action]) -> bool:
    """True if nothing else has happened than that a step was made."""
    # gdb steps one thread and continues the others: `vCont;s:1;c`.
    is_step = any(action.kind is not ActionKind.CONTINUE for action in actions)
    return is_step and reason.kind is StopKind.SIGNAL and reason.signal == SIGTRAP
