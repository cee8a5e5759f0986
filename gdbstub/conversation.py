"""One client's conversation with a target: which request is served by whom.

What is one question and one answer is `answers`' to answer, and what resumes the target is one of its `runs`.
Here are the beginning and the end: whether a client is admitted, attach, detach, kill, and what is taken away
when a client leaves.  A `session_stream` moves the bytes.
"""

from __future__ import annotations

import errno
import logging
from contextlib import AbstractAsyncContextManager, nullcontext

import trio

from gdbstub import answers, commands, replies
from gdbstub.file_answers import FILE_ANSWERS
from gdbstub.lldb_answers import LLDB_ANSWERS
from gdbstub.packet import Interrupt
from gdbstub.runs import Runs
from gdbstub.session import Request, Session, State
from gdbstub.session_stream import SessionStream
from gdbstub.target import (
    Action,
    Breakpoints,
    Confirm,
    Detach,
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

log = logging.getLogger("gdbstub")

# Seconds a running target may take to stop so that a lost client's breakpoints can be removed.
CLEAN_UP_PATIENCE = 5.0

# Seconds a running target may take to stop when a client comes; gdb waits six for an answer.
ATTACH_PATIENCE = 4.5

answers.ANSWERS.update(FILE_ANSWERS | LLDB_ANSWERS)


class Conversation:
    """One connected client."""

    def __init__(
        self, stream: trio.abc.Stream, target: Target, name: str, access: trio.Lock | None = None
    ) -> None:
        self._session = Session()
        self._stream = SessionStream(stream, self._session, name)
        # Where nobody else looks, taking turns costs nothing.
        self._access: AbstractAsyncContextManager[object] = access or nullcontext()
        self._runs = Runs(self._stream, self._session, target, self._access)
        self._attachment = self._runs.attachment
        self._target = target
        self._name = name

    async def converse(self) -> None:
        """Answer requests until the session is closed from either side."""
        is_admitted = False
        while self._session.state is not State.CLOSED:
            await self._stream.receive(spin=self._target.stopped is not None)
            if not is_admitted and self._session.has_request:
                is_admitted = await self._is_admitted()
            while (request := self._session.next_request()) is not None:
                await self._serve(request)
            await self._stream.flush()

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
                    if (ending := await self._runs.run(request)) is not None:
                        await self._serve(ending)
                case Interrupt():
                    self._runs.note_crossing()
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
        reason = self._target.stopped
        assert reason is not None
        try:
            reply = await self._runs.stop_reply(reason)
        except TargetLost:
            raise
        except TargetError as problem:
            # gdb cannot take an error here (`_is_admitted`), and asks for the registers itself.
            log.warning("%s: the stop is told without its registers: %s", self._name, problem)
            reply = replies.format_stop(reason, self._attachment.features)
        self._session.reply(reply)

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
        await self._stream.flush()
        try:
            await self._stop_target()
        except TargetError as problem:
            self._session.reply(f"E.{problem}".encode())
            await self._stream.flush()
            self._session.close()
            return False
        self._stream.receive_now()
        return True

    async def _stop_target(self) -> None:
        try:
            with trio.fail_after(ATTACH_PATIENCE):
                if isinstance(self._target, Confirm):
                    await self._target.confirm()
                if self._target.stopped is None:
                    await self._target.interrupt()
                    await self._target.wait_stop()
        except trio.TooSlowError:
            raise TargetError(errno.ETIMEDOUT, "the target does not stop") from None

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
