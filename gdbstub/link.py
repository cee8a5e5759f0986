"""Moves a `dialogue`'s bytes: asks a stub on a stream, with patience, and hears what it says unasked.

The link reads all the time, whoever is attached: a stub that stops by itself must be acknowledged and its
stop kept for the next debugger.  Every packet is one write, since a stub behind a multiplexer may take one
write for one read.

A stream in this process may be quicker than a turn of the event loop (`Prompt`).  What comes over it is heard
and acknowledged by whoever brings it, so that a question costs its asker one wait, and the line none.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol, runtime_checkable

import trio

from gdbstub.dialogue import Dialogue, Output, Refused, Reply, State, Stopped
from gdbstub.quirks import Quirks
from gdbstub.target import StopReason, TargetError, TargetLost
from gdbstub.transcript import FROM_STUB, TO_STUB, Transcript

log = logging.getLogger("gdbstub")

RECEIVE_SIZE = 65536

# Seconds after which a stub is silent at the latest: gdb 13 gives up after six, and has to be told why first.
# The longest packet of 2 KB takes 2.1 s at 9600 baud.
LONGEST_PATIENCE = 4.5

# Seconds to wait for a stub that has just been found silent: gdb asks on after an error, and its user waits.
SILENT_PATIENCE = 0.7


class Silence(TargetError):
    """The stub did not answer in time."""

    def __init__(self, body: bytes, last_words: str = "") -> None:
        asked = body[:20].decode("latin-1")
        said = f"; the console's last lines: {last_words}" if last_words else ""
        super().__init__(errno.ETIMEDOUT, f"the stub does not answer `{asked}`{said}")


async def _nobody_speaks() -> str:
    return ""


# What a stub says unasked: a stop and its reason, a stop without one, or that it did not resume after all.
News = StopReason | None | Refused


@runtime_checkable
class Prompt(Protocol):
    """A stream that takes and brings bytes without a turn of the event loop."""

    @property
    def has_room(self) -> bool:
        """Whether `send_now` takes what it is given."""

    def send_now(self, data: bytes) -> int:
        """Take the bytes as `send_all` does; return how many have been taken, all or none."""

    def receive_now(self, max_bytes: int) -> bytes:
        """Return what has come already, if anything."""

    def listen(self, listener: Callable[[], None] | None) -> None:
        """Call `listener` as soon as something has come; what it leaves is there for `receive_some`."""


class Link:
    """A connection to a stub.  `on_stop` hears its news, `on_output` its text; neither may block.

    `last_words` tells what the console says when the stub says nothing.
    """

    def __init__(
        self,
        stream: trio.abc.Stream,
        quirks: Quirks,
        on_stop: Callable[[News], None],
        on_output: Callable[[bytes], None],
        last_words: Callable[[], Awaitable[str]] = _nobody_speaks,
    ) -> None:
        self.dialogue = Dialogue(quirks)
        self._stream = stream
        self._prompt = stream if isinstance(stream, Prompt) else None
        self._on_stop = on_stop
        self._on_output = on_output
        self._last_words = last_words
        self._asking = trio.Lock()
        self._sending = trio.Lock()
        self._progress = trio.Event()
        self._reply: Reply | None = None
        self._is_lost = False
        self._is_silent = False
        self._words = ""  # the console's last, when the stub fell silent
        self._transcript = Transcript("stub")

    async def ask(self, body: bytes, patience: float | None = None) -> bytes:
        """Send a command and return its reply.  Raises Silence, TargetLost."""
        reply = await self._exchange(body, True, patience)
        assert reply is not None
        return reply

    async def tell(self, body: bytes, patience: float | None = None) -> None:
        """Send a command that has no reply, and see it acknowledged.  Raises Silence, TargetLost."""
        await self._exchange(body, False, patience)

    async def type(self, keys: bytes) -> None:
        """Send bytes that are no packet: an interrupt, or what a terminal's user types."""
        await self._send(keys)
        await self._flush()

    async def _exchange(self, body: bytes, wants_reply: bool, patience: float | None) -> bytes | None:
        is_probe = patience is not None
        if patience is None:
            patience = min(self.quirks.patience, SILENT_PATIENCE if self._is_silent else LONGEST_PATIENCE)
        try:
            self._asking.acquire_nowait()  # without a turn of the event loop
        except trio.WouldBlock:
            await self._asking.acquire()
        try:
            if self.dialogue.state is not State.QUIET:
                with trio.move_on_after(patience):
                    await self._await_quiet()
            self.dialogue.give_up()
            self._reply = None
            self.dialogue.ask(body, wants_reply)
            self._hand_out()
            while True:
                with trio.move_on_after(patience):
                    return await self._await_reply()
                if not self.dialogue.time_out():
                    if is_probe:
                        raise Silence(body)
                    if not self._is_silent:
                        self._is_silent = True
                        self._words = await self._last_words()
                    raise Silence(body, self._words)
        finally:
            # Cancelled in between: whatever comes for this packet comes for nobody.
            self.dialogue.give_up()
            self._asking.release()

    async def _await_quiet(self) -> None:
        while self.dialogue.state is not State.QUIET and not self._is_lost:
            await self._progress.wait()

    async def _await_reply(self) -> bytes | None:
        await self._flush()
        while self._reply is None:
            if self._is_lost:
                raise TargetLost("the line to the stub is closed")
            await self._progress.wait()
        return self._reply.body

    async def _flush(self) -> None:
        self._flush_now()
        while data := self.dialogue.take_outgoing():
            await self._send(data)

    def _flush_now(self) -> None:
        """Send what there is to send, if the stream takes it at once."""
        if self._prompt is None or self._sending.locked() or not self._prompt.has_room:
            return
        if data := self.dialogue.take_outgoing():
            self._transcript.note(TO_STUB, data)
            try:
                self._prompt.send_now(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self._is_lost = True

    async def _send(self, data: bytes) -> None:
        async with self._sending:
            self._transcript.note(TO_STUB, data)
            try:
                await self._stream.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as problem:
                self._is_lost = True
                raise TargetLost("the line to the stub is closed") from problem

    async def listen(self) -> None:
        """Read until the line is closed."""
        prompt = self._prompt
        try:
            if prompt is not None:
                prompt.listen(lambda: self._hear_now(prompt))
            while data := bytes(await self._stream.receive_some(RECEIVE_SIZE)):
                self._hear(data)
                # Who has closed the line does not hear our answer, but may have more to say.
                with suppress(TargetLost):
                    await self._flush()
                self._hand_out()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            log.info("the line to the stub broke")
        finally:
            if prompt is not None:
                prompt.listen(None)
        self._is_lost = True
        self._wake()

    def _hear_now(self, prompt: Prompt) -> None:
        """Take what the stub says in the task that brings it, if it can be acknowledged there."""
        while not self._sending.locked() and prompt.has_room and (data := prompt.receive_now(RECEIVE_SIZE)):
            self._hear(data)
            self._flush_now()
            self._hand_out()

    def _hear(self, data: bytes) -> None:
        self._transcript.note(FROM_STUB, data)
        self.dialogue.receive(data)

    @property
    def quirks(self) -> Quirks:
        """What is known of the stub."""
        return self.dialogue.quirks

    @quirks.setter
    def quirks(self, quirks: Quirks) -> None:
        self.dialogue.quirks = quirks

    @property
    def is_lost(self) -> bool:
        """True when the line is closed."""
        return self._is_lost

    def _hand_out(self) -> None:
        events = self.dialogue.events
        while events:
            match events.popleft():
                case Reply() as reply:
                    self._reply = reply
                    self._is_silent = False
                case Stopped(reason):
                    self._on_stop(reason)
                case Refused() as refused:
                    self._on_stop(refused)
                case Output(text):
                    self._on_output(text)
        self._wake()

    def _wake(self) -> None:
        self._progress.set()
        self._progress = trio.Event()
