"""Moves a `dialogue`'s bytes: asks a stub on a stream, with patience, and hears what it says unasked.

The link reads all the time, whoever is attached: a stub that stops by itself must be acknowledged and its
stop kept for the next debugger.  Every packet is one write, since a stub behind a multiplexer may take one
write for one read.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

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

    async def _exchange(self, body: bytes, wants_reply: bool, patience: float | None) -> bytes | None:
        is_probe = patience is not None
        if patience is None:
            patience = min(self.quirks.patience, SILENT_PATIENCE if self._is_silent else LONGEST_PATIENCE)
        async with self._asking:
            with trio.move_on_after(patience):
                while self.dialogue.state is not State.QUIET and not self._is_lost:
                    await self._progress.wait()
            self.dialogue.give_up()
            self._reply = None
            self.dialogue.ask(body, wants_reply)
            self._hand_out()
            try:
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

    async def _await_reply(self) -> bytes | None:
        await self._flush()
        while self._reply is None:
            if self._is_lost:
                raise TargetLost("the line to the stub is closed")
            await self._progress.wait()
        return self._reply.body

    async def _flush(self) -> None:
        data = self.dialogue.take_outgoing()
        if data:
            await self._send(data)

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
        try:
            while data := bytes(await self._stream.receive_some(RECEIVE_SIZE)):
                self._transcript.note(FROM_STUB, data)
                self.dialogue.receive(data)
                # Who has closed the line does not hear our answer, but may have more to say.
                with suppress(TargetLost):
                    await self._flush()
                self._hand_out()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            log.info("the line to the stub broke")
        self._is_lost = True
        self._wake()

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
