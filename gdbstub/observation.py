"""Observers: any number of debuggers that may look and not touch, beside the one that holds the target.

An observer reads registers, memory and threads while the target stands still.  What would change anything is
refused with an error that says so.  `continue` resumes nothing: it waits for the next stop, whoever causes
it, and Ctrl-C ends the waiting.  A target that runs is not stopped for an observer; he is asked to come back.

The holder of the target and its observers take turns by one lock, a command at a time.  A target tells of a
stop only to the one who waits for it, so an observer looks several times a second instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import trio

from gdbstub import answers, commands, replies
from gdbstub.answers import Attachment
from gdbstub.packet import Interrupt
from gdbstub.session import Request, Session, State
from gdbstub.target import SIGINT, Action, ActionKind, StopKind, StopReason, Target, TargetError
from gdbstub.transcript import FROM_STUB, TO_STUB, Transcript

RECEIVE_SIZE = 65536

# Seconds between two looks of an observer that waits for a stop.
LOOK_INTERVAL = 0.05

RUNNING = b"E.the target runs: observe it when it stands still"

LOOKING = (
    commands.Unknown
    | commands.Malformed
    | commands.Supported
    | commands.Symbols
    | commands.QueryResume
    | commands.Attached
    | commands.ReadRegisters
    | commands.ReadRegister
    | commands.ReadMemory
    | commands.ReadBinary
    | commands.Checksum
    | commands.Search
    | commands.SelectThread
    | commands.IsThreadAlive
    | commands.CurrentThread
    | commands.FirstThreads
    | commands.MoreThreads
    | commands.ThreadExtraInfo
    | commands.ReadObject
    | commands.FileSetRoot
    | commands.FileOpen
    | commands.FileRead
    | commands.FileStatus
    | commands.FileClose
)


async def serve_observers(
    listeners: Sequence[trio.abc.Listener[trio.SocketStream]], target: Target, access: trio.Lock
) -> None:
    """Let everybody who connects to `listeners` look at `target`, for ever."""

    async def handle(stream: trio.SocketStream) -> None:
        await observe(stream, target, access)

    await trio.serve_listeners(handle, list(listeners))


async def observe(stream: trio.abc.Stream, target: Target, access: trio.Lock, name: str = "observer") -> None:
    """Serve one observer until it leaves."""
    async with stream:
        await _Observer(stream, target, access, name).converse()


class _Observer:
    def __init__(self, stream: trio.abc.Stream, target: Target, access: trio.Lock, name: str) -> None:
        self._stream = stream
        self._target = target
        self._access = access
        self._session = Session()
        self._attachment = Attachment(target, lambda text: None)
        self._transcript = Transcript(name)
        self._seen: tuple[StopReason, bytes] | None = None

    async def converse(self) -> None:
        """Answer until the session is closed from either side."""
        session = self._session
        is_admitted = False
        try:
            while session.state is not State.CLOSED:
                await self._receive()
                if not is_admitted and session.has_request:
                    # The first question is the one whose error gdb shows (see `conversation`).
                    is_admitted = self._target.stopped is not None
                    if not is_admitted:
                        session.reply(RUNNING)
                        await self._flush()
                        session.close()
                while (request := session.next_request()) is not None:
                    await self._serve(request)
                await self._flush()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    async def _receive(self) -> None:
        data = bytes(await self._stream.receive_some(RECEIVE_SIZE))
        if data:
            self._transcript.note(TO_STUB, data)
            self._session.receive(data)
        else:
            self._session.close()

    async def _flush(self) -> None:
        data = self._session.take_outgoing()
        if data:
            self._transcript.note(FROM_STUB, data)
            await self._stream.send_all(data)

    async def _serve(self, request: Request) -> None:
        session = self._session
        match request:
            case commands.StartNoAckMode():
                session.reply(replies.OK)
                session.stop_acknowledging()
            case commands.MonitorCommand():
                # Of an error gdb would show no text here.
                session.output(b"an observer only looks\n")
                session.reply(replies.OK)
            case commands.Detach():
                session.reply(replies.OK)
                session.close()
            case commands.Kill():
                session.close()
            case commands.QueryStop():
                reason = await self._look()
                if reason is None:
                    session.reply(RUNNING)
                    session.close()
                else:
                    session.reply(replies.format_stop(reason, self._attachment.features))
            case commands.Resume((Action(ActionKind.CONTINUE), *_)):
                await self._wait()
            case commands.Continue(None) | commands.ContinueWithSignal():
                await self._wait()
            case Interrupt():
                pass
            case _ if isinstance(request, LOOKING):
                async with self._access:
                    session.reply(await answers.answer(self._attachment, request))
            case _:
                # gdb shows the text of such a reply whether or not it announced error-message+.
                session.reply(b"E.an observer only looks")

    async def _look(self) -> StopReason | None:
        """Return why the target stands still, with the registers gdb asks for; None while it runs."""
        async with self._access:
            reason = self._target.stopped
            self._seen = None
            if reason is None or reason.is_final:
                return reason
            try:
                block = await self._target.read_registers(reason.thread)
            except TargetError:
                # It has been resumed meanwhile.
                return None
            self._seen = (reason, block)
            self._attachment.register_thread = reason.thread
            description = self._target.description
            expedited = {
                description.numbers[name]: block[description.span(name)] for name in description.expedite
            }
            # A breakpoint is its holder's: gdb resumes silently where it is told of one that it has not set.
            return replace(
                reason, kind=StopKind.SIGNAL, addr=None, registers={**expedited, **reason.registers}
            )

    async def _wait(self) -> None:
        """Answer with the next stop, or with SIGINT when the observer tires of waiting."""
        session = self._session
        before = self._seen
        session.run()
        await self._flush()
        reason = StopReason(signal=SIGINT)

        async def await_stop(scope: trio.CancelScope) -> None:
            nonlocal reason
            has_run = False
            while True:
                found = await self._look()
                has_run = has_run or found is None
                if found is not None and (has_run or self._seen != before):
                    reason = found
                    scope.cancel()
                await trio.sleep(LOOK_INTERVAL)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(await_stop, nursery.cancel_scope)
            while session.state is State.RUNNING and not isinstance(session.next_request(), Interrupt):
                await self._receive()
            nursery.cancel_scope.cancel()
        session.stop(replies.format_stop(reason, self._attachment.features))
