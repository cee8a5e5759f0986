"""The server: gdb on a stream, a Target behind it.

`serve` holds one client until it leaves (`conversation`).  `serve_listeners` takes connections and lets one
client in at a time.

What stays behind when a client leaves:

- detach: breakpoints removed, the target runs;
- kill: the target decides (`Kill`);
- connection lost: breakpoints removed, the target stays as it was, running or stopped, for the next client.

Nothing a client sends ends the server; only the target's own failure (`TargetLost`) ends the session.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress

import trio

from gdbstub.conversation import Conversation
from gdbstub.session import Session
from gdbstub.session_stream import RECEIVE_SIZE
from gdbstub.target import Target, TargetLost

log = logging.getLogger("gdbstub")

# Seconds.  How long a new client waits for one that is leaving, since its successor may connect before we
# have read the end of the old connection; how long a client turned away may take to ask its first question.
SEAT_PATIENCE = 0.5
TURN_AWAY_PATIENCE = 5.0

# Seconds a client may take to close its end when we have closed ours.
PARTING_PATIENCE = 1.0


async def serve(
    stream: trio.abc.Stream, target: Target, name: str = "gdb", access: trio.Lock | None = None
) -> None:
    """Serve one client until it detaches, kills, or is gone.  `name` is what the log calls it; `access` is
    the lock it shares with observers.

    Raises TargetLost when the target is gone; the client's connection is closed in any case.
    """
    async with stream:
        conversation = Conversation(stream, target, name, access)
        try:
            await conversation.converse()
        finally:
            with trio.CancelScope(shield=True):
                await conversation.clean_up()
        await _part(stream)


async def _part(stream: trio.abc.Stream) -> None:
    """Let the client read our last words before the connection is closed.

    A socket closed with something unread resets the connection, which takes back what the client has not read
    yet: why it is refused, for one, since gdb sends a `-` every two seconds that it waits.
    """
    if not isinstance(stream, trio.abc.HalfCloseableStream):
        return
    with trio.move_on_after(PARTING_PATIENCE), suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        await stream.send_eof()
        while await stream.receive_some(RECEIVE_SIZE):
            pass


async def serve_listeners(
    listeners: Sequence[trio.abc.Listener[trio.SocketStream]], target: Target, access: trio.Lock | None = None
) -> None:
    """Serve `target` to one client after the other, for ever.

    A second client is told who holds the target, and its connection is closed.
    """
    seat = _Seat()

    async def handle(stream: trio.SocketStream) -> None:
        name = _peer(stream)
        if await seat.take(name):
            try:
                await serve(stream, target, name, access)
            except TargetLost as problem:
                log.error("%s: %s", name, problem)
            except Exception:
                # Our bug, and one client's loss: the machine and the next client are worth more than a
                # clean crash.
                log.exception("%s: the session ended with an error of ours", name)
            finally:
                seat.leave()
        else:
            await _turn_away(stream, seat.holder)

    await trio.serve_listeners(handle, list(listeners))


class _Seat:
    """The one place at a target."""

    def __init__(self) -> None:
        self.holder = ""
        self._free = trio.Event()
        self._free.set()

    async def take(self, name: str) -> bool:
        """Take the place, waiting a moment for a client that is just leaving."""
        with trio.move_on_after(SEAT_PATIENCE):
            while self.holder:
                await self._free.wait()
        if self.holder:
            return False
        self.holder = name
        self._free = trio.Event()
        return True

    def leave(self) -> None:
        self.holder = ""
        self._free.set()


def _peer(stream: trio.SocketStream) -> str:
    try:
        address = stream.socket.getpeername()
    except OSError:
        return "a client that has gone"
    return f"{address[0]}:{address[1]}" if isinstance(address, tuple) else "local client"


async def _turn_away(stream: trio.SocketStream, holder: str) -> None:
    """Answer the first packet with the reason, whatever it asks, and close."""
    session = Session()
    async with stream:
        with trio.move_on_after(TURN_AWAY_PATIENCE):
            try:
                while session.next_request() is None:
                    data = await stream.receive_some(RECEIVE_SIZE)
                    if not data:
                        return
                    session.receive(bytes(data))
                session.reply(f"E.the target is held by gdb at {holder}".encode())
                await stream.send_all(session.take_outgoing())
                await _part(stream)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
