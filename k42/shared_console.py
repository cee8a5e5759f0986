"""The console of a kernel whose stub sits on the console's own line: what `k42 bridge --console` makes of it.

Everything on the line that is no packet is the console's text.  It goes to whoever is connected at the
endpoint, or to our standard output where none is named; what he types goes to the line while the kernel
runs, and waits while it stands, since a stub that stands reads packets.  Text that nobody has read is kept,
the last of it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio

from thinwire.endpoints import Endpoint
from thinwire.streams import open_streams

# Bytes of text kept for somebody who comes later.
BACKLOG = 1 << 16

CONTROL_KEY = re.compile(rb"\^([@-_?a-z])")


def keys(text: str) -> bytes:
    """Return what typing `text` sends: ^X is a control key, and Enter follows unless there is one."""
    raw = text.encode("utf-8")
    typed = CONTROL_KEY.sub(lambda found: bytes((found[1].upper()[0] ^ 0x40,)), raw)
    return typed if typed != raw else raw + b"\r"


def print_text(text: bytes) -> None:
    """Write a console's text to standard output as it is."""
    with suppress(BlockingIOError):
        sys.stdout.buffer.write(text)
        sys.stdout.flush()


class SharedConsole:
    """Text from the line, for one reader after the other."""

    def __init__(self) -> None:
        self._text = b""
        self._has_text = trio.Event()

    def hear(self, text: bytes) -> None:
        """Take text from the line."""
        self._text = (self._text + text)[-BACKLOG:]
        self._has_text.set()

    async def serve(
        self,
        endpoint: Endpoint,
        type_: Callable[[bytes], Awaitable[None]],
        *,
        task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Give the text to who connects to `endpoint`, and `type_` what he types, for ever.

        Raises LineError when the endpoint cannot be had.
        """
        async with open_streams(endpoint) as (place, connect):
            task_status.started(place)
            while True:
                stream = await connect()
                async with stream, trio.open_nursery() as nursery:
                    nursery.start_soon(self._show, stream)
                    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                        while data := bytes(await stream.receive_some(4096)):
                            await type_(data)
                    nursery.cancel_scope.cancel()

    async def _show(self, stream: trio.abc.Stream) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while True:
                await self._has_text.wait()
                self._has_text = trio.Event()
                text, self._text = self._text, b""
                await stream.send_all(text)
