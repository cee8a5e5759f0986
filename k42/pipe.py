"""Two ends of one byte stream within this process."""

from __future__ import annotations

import trio


def stream_pair() -> tuple[trio.SocketStream, trio.SocketStream]:
    """Return the ends of a connected pair; what one sends the other receives."""
    ours, theirs = trio.socket.socketpair()
    return trio.SocketStream(ours), trio.SocketStream(theirs)
