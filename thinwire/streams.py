"""An endpoint as a trio stream, for code that wants bytes and not a multiplexer: the bridge, the console, a
machine.

`open_streams` prepares an endpoint as `sources.open_source` does and gives a function that connects; await it
once for every life of the endpoint.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from thinwire import control
from thinwire.endpoints import Control, Endpoint
from thinwire.line import Line
from thinwire.lookout import Lookout
from thinwire.sources import StreamFactory, open_source

# Seconds for which a line that is never silent may keep the other tasks waiting.
TURN = 0.002


class LineStream(trio.abc.Stream):
    """One life of a line as a trio stream."""

    def __init__(self, line: Line, nursery: trio.Nursery) -> None:
        self._line: Line | None = line
        self._turn_ends = 0.0
        self._lookout = Lookout()
        line.join(self._lookout)
        self._scope = trio.CancelScope()
        nursery.start_soon(self._run, line)

    async def _run(self, line: Line) -> None:
        with self._scope:
            await line.run()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send, and wait until it has left this process."""
        line = self._open_line()
        line.push(bytes(data))
        await line.drain()

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until everything sent has left this process."""
        await self._open_line().drain()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """The next bytes, however many came at once; b"" when the line is lost."""
        if trio.current_time() >= self._turn_ends:
            await trio.lowlevel.checkpoint()
            self._turn_ends = trio.current_time() + TURN
        while True:
            data = await self._open_line().receive(lambda: None)
            if data is not None:
                return data

    async def aclose(self) -> None:
        """Close the line."""
        if self._line is not None:
            line, self._line = self._line, None
            self._scope.cancel()
            self._lookout.close()
            line.close()
        await trio.lowlevel.checkpoint()

    def _open_line(self) -> Line:
        if self._line is None:
            raise trio.ClosedResourceError
        return self._line


@asynccontextmanager
async def open_streams(endpoint: Endpoint) -> AsyncIterator[tuple[str, StreamFactory]]:
    """Prepare `endpoint`; gives its place, for people, and the function that connects.

    Raises LineError when that cannot work; connecting through a control socket raises ControlError.
    """
    if isinstance(endpoint, Control):

        async def attach() -> trio.abc.Stream:
            return await control.attach(endpoint.path, endpoint.channel)

        yield str(endpoint), attach
        return
    async with open_source(endpoint) as source, trio.open_nursery() as nursery:

        async def connect() -> trio.abc.Stream:
            return LineStream(await source.open(), nursery)

        yield source.place, connect
        nursery.cancel_scope.cancel()
