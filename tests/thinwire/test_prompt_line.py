"""A line in this process that tells of what comes: it is served by whoever brings it, and the same answers go
out.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from thinwire.frames import Read, Select, SetSpeed, Write, encode, write_ack
from thinwire.handshake import SENTINEL
from thinwire.mux import Mux, Rules
from thinwire.server import InProcess, Options, Server, serve

FRAMED = Rules(assume_framed=True)
CHANNELS = {0: InProcess(), 1: InProcess()}


class PromptStream(trio.abc.Stream):
    """The multiplexer's end of a line, with the victim's hand on it: `say`, and `heard`."""

    def __init__(self) -> None:
        self.heard = b""
        self.on_heard: Callable[[], None] = lambda: None
        self._said = bytearray()
        self._more = trio.Event()
        self._listener: Callable[[], bool] | None = None

    def say(self, data: bytes) -> None:
        self._said += data
        while self._said and self._listener is not None and self._listener():
            pass
        if self._said:
            self._more.set()

    def listen(self, listener: Callable[[], bool] | None) -> None:
        self._listener = listener

    def send_now(self, data: bytes) -> int:
        self.heard += data
        self.on_heard()
        return len(data)

    def receive_now(self) -> bytes:
        said = bytes(self._said)
        self._said.clear()
        return said

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        raise AssertionError("`send_now` takes everything")

    async def wait_send_all_might_not_block(self) -> None:
        raise AssertionError("`send_now` takes everything")

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        while not self._said:
            self._more = trio.Event()
            await self._more.wait()
        return self.receive_now()

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


@asynccontextmanager
async def serving(rules: Rules = FRAMED) -> AsyncIterator[tuple[PromptStream, Server]]:
    """A server that waits for its victim's first word."""
    line = PromptStream()

    async def connect() -> trio.abc.Stream:
        return line

    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve, connect, CHANNELS, Options(rules))
        await trio.testing.wait_all_tasks_blocked()
        yield line, server
        nursery.cancel_scope.cancel()


def test_frame_after_frame_is_answered_without_a_turn_of_the_event_loop() -> None:
    async def main() -> None:
        async with serving() as (line, server):
            victim = server.attach(1)
            for count in range(1, 100):
                line.say(encode(Write(1, b"x", True)))
                assert line.heard == write_ack(1, 1) * count
                assert victim.receive_now() == b"x"
            assert server.mux.frames == 99

    trio.run(main)


def test_a_request_for_a_speed_is_left_to_the_lines_task() -> None:
    async def main() -> None:
        async with serving() as (line, server):
            line.say(encode(SetSpeed(b"9600")) + encode(Select(0)))
            await trio.testing.wait_all_tasks_blocked()
            assert line.heard.count(encode(SetSpeed(b"9600"))) == 2
            line.say(encode(Write(0, b"more", True)))
            assert server.mux.frames == 3

    trio.run(main)


def test_a_target_that_starts_again_is_noticed() -> None:
    async def main() -> None:
        async with serving() as (line, server):
            line.say(encode(Read(1, 10)))
            line.say(SENTINEL + encode(Write(0, b"boot", True)))
            await trio.testing.wait_all_tasks_blocked()
            assert (server.mux.restarts, line.heard) == (1, write_ack(0, 4))
            server.attach(1).send_now(b"for nobody's read")
            assert line.heard == write_ack(0, 4)

    trio.run(main)


frames = st.one_of(
    st.builds(Write, st.integers(0, 1), st.binary(min_size=1, max_size=40), st.booleans()),
    st.builds(Read, st.integers(0, 1), st.integers(1, 40)),
)


@given(
    st.lists(st.one_of(frames.map(encode), st.just(b"text\r\n")), max_size=12),
    st.lists(st.tuples(st.integers(1, 60), st.booleans()), min_size=1, max_size=30),
)
def test_the_answers_are_the_same_however_it_comes(said: list[bytes], cuts: list[tuple[int, bool]]) -> None:
    """Whatever the pieces are, and whether the line's task has had a turn between two of them."""
    whole = b"".join(said)
    judge = Mux(CHANNELS, FRAMED)
    judge.line_opened()

    async def main() -> None:
        async with serving() as (line, server):
            rest = whole
            while rest:
                for size, has_turn in cuts:
                    line.say(rest[:size])
                    rest = rest[size:]
                    if has_turn:
                        await trio.testing.wait_all_tasks_blocked()
            await trio.testing.wait_all_tasks_blocked()
            assert line.heard == judge.receive(whole)
            assert (server.mux.frames, server.mux.strays) == (judge.frames, judge.strays)

    trio.run(main, clock=trio.testing.MockClock())
