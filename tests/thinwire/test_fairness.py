"""While the line is flooded, everybody else in the process gets a turn every few milliseconds."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import trio

from thinwire.backlog import Backlog
from thinwire.channels import Port
from thinwire.frames import BATCH, Select, Write, encode
from thinwire.line import Line, LineState, Silence
from thinwire.lookout import Lookout
from thinwire.mux import Mux, Rules
from thinwire.server import SLICE, Options, Server

CHUNK = 64 * 1024
ROUND = 0.001
"""Seconds that the clock of these tests gives to every round, far more than `BATCH` frames take."""


class Flood:
    """A line that always has more, `rounds` times."""

    def __init__(self, data: bytes, rounds: int) -> None:
        self.unsent = Backlog()
        self.spin = 0.0
        self._data = data
        self._rounds = rounds

    def join(self, lookout: Lookout, hear: Callable[[], bool] | None = None) -> None:
        pass

    def take(self) -> bytes | None:
        self._rounds -= 1
        return self._data if self._rounds >= 0 else b""

    async def receive(self, silence: Silence) -> bytes | None:
        raise AssertionError("there was more")

    def push(self, data: bytes) -> None:
        pass

    async def drain(self) -> None:
        raise AssertionError("nothing is left unsent")

    async def run(self) -> None:
        await trio.sleep_forever()

    async def change_speed(self, speed: int | None) -> None:
        raise AssertionError("nobody asked")

    def return_to_first_speed(self) -> bool:
        return False

    def state(self) -> LineState:
        return {}

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    "frame",
    [
        encode(Select(0)),
        encode(Write(1, b"", False)),
        encode(Write(1, b"x" * 64, True)),
        encode(Write(1, b"x" * 64, False)),
        encode(Write(1, b"x" * 16384, False)),
        b"\0",
    ],
    ids=lambda frame: f"{frame[:1]!r} of {len(frame)}",
)
def test_a_flood_leaves_a_turn_to_others(frame: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line is served for `SLICE` and one round at a time, and a round is at most `BATCH` frames, whatever
    they are.
    """
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += ROUND
        return now

    monkeypatch.setattr("thinwire.server.time", SimpleNamespace(perf_counter=clock))
    repeat = CHUNK // len(frame)
    flood: Line = Flood(frame * repeat, 12)
    mux = Mux([0, 1], Rules(assume_framed=True, patience=0))
    server = Server(Options(), mux, Lookout())
    server.ports |= {number: Port(mux, number, server.send, server.lookout) for number in mux.channels}
    served: list[int] = []
    batches: list[int] = []

    def receive_batch(data: bytes) -> bytes:
        before = mux.frames
        reply = Mux.receive_batch(mux, data)
        batches.append(mux.frames - before)
        return reply

    monkeypatch.setattr(mux, "receive_batch", receive_batch)

    async def open_line() -> Line:
        await trio.lowlevel.checkpoint()
        return flood

    async def watch() -> None:
        while True:
            served.append(len(batches))
            await trio.lowlevel.checkpoint()

    async def main() -> None:
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(watch)
                await server.run_line(open_line, reopens=False)
                nursery.cancel_scope.cancel()
        server.lookout.close()

    trio.run(main)
    assert len(batches) >= 12
    assert max(batches) <= BATCH
    rounds = [after - before for before, after in zip(served, served[1:], strict=False)]
    assert max(rounds) <= SLICE / ROUND + 1
