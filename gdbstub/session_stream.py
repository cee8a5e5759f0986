"""A `session.Session` on its stream: moves the bytes, and knows nothing of what they say.

What the stream brings goes to the session, what the session has to say goes to the stream, and both go into
the transcript.  Several tasks may have something to send: a packet is never cut in two by another's, nor by
a cancellation.  Whoever cannot be read from, or does not read for long, has left: the session is closed.
"""

from __future__ import annotations

import trio

from gdbstub.quick_stream import QuickStream
from gdbstub.session import Session
from gdbstub.transcript import FROM_STUB, TO_STUB, Transcript

RECEIVE_SIZE = 65536

# Seconds a client may refuse to read.
SEND_PATIENCE = 10.0


class SessionStream:
    """Moves the bytes of `session` over `stream`.  `name` is what the transcript calls the client."""

    def __init__(self, stream: trio.abc.Stream, session: Session, name: str) -> None:
        self._stream = QuickStream(stream)
        self._session = session
        self._sending = trio.Lock()
        self._transcript = Transcript(name)

    async def receive(self, *, spin: bool = False) -> None:
        """Take what the client sends next; close the session if it is gone.

        `spin` where nothing else goes on meanwhile: see `quick_stream`.
        """
        try:
            data = await self._stream.receive_some(RECEIVE_SIZE, spin=spin)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            data = b""
        if data:
            self._transcript.note(TO_STUB, data)
            self._session.receive(data)
        else:
            self._session.close()

    def receive_now(self) -> None:
        """Take what the client has sent already."""
        if data := self._stream.receive_now(RECEIVE_SIZE):
            self._transcript.note(TO_STUB, data)
            self._session.receive(data)

    async def flush(self) -> None:
        """Send what the session has to say; close it if nobody is there to read."""
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
