"""The bridge: gdb on one side, a limited stub on the other, over one stream.

There is nothing here but the joining: `client.connect` makes the stub a Target that can step and has
breakpoints, and `server.serve_listeners` shows that Target to one gdb after the other.  The stub's line is
read for as long as the bridge lives, whoever is attached.
"""

from __future__ import annotations

from collections.abc import Sequence

import trio

from gdbstub.client import connect
from gdbstub.quirks import K42, Quirks
from gdbstub.server import serve_listeners
from gdbstub.surroundings import Surroundings


async def bridge(
    stub: trio.abc.Stream,
    listeners: Sequence[trio.abc.Listener[trio.SocketStream]],
    quirks: Quirks = K42,
    surroundings: Surroundings | None = None,
) -> None:
    """Serve the stub on `stub` to whoever connects to `listeners`, until cancelled."""
    async with connect(stub, quirks, surroundings) as target:
        await serve_listeners(listeners, target)
