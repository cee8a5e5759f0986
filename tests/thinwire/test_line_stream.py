"""A line as a trio stream: whoever reads it lets the others have their turn."""

from typing import cast

import trio

from thinwire.line import Line
from thinwire.streams import LineStream

ENOUGH = 1_000_000


class Flood:
    """A line that is never silent, and so never waited for."""

    def join(self, _lookout: object) -> None:
        pass

    async def run(self) -> None:
        await trio.sleep_forever()

    async def receive(self, _silence: object) -> bytes:
        return b"x"

    def close(self) -> None:
        pass


def test_a_line_that_is_never_silent_keeps_nobody_from_his_turn() -> None:
    reads = 0

    async def main() -> None:
        nonlocal reads
        others = trio.Event()
        async with trio.open_nursery() as nursery:
            async with LineStream(cast(Line, Flood()), nursery) as stream:
                nursery.start_soon(set_soon, others)
                while reads < ENOUGH and not others.is_set():
                    await stream.receive_some()
                    reads += 1
            nursery.cancel_scope.cancel()

    async def set_soon(event: trio.Event) -> None:
        await trio.lowlevel.checkpoint()
        event.set()

    trio.run(main)
    assert reads < ENOUGH
