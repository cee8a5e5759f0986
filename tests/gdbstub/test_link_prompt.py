"""A link over a stream in the same process: heard and acknowledged at once; slowly where it must be."""

import pytest
import trio
import trio.testing

from gdbstub.link import Link, Prompt
from gdbstub.packet import frame
from gdbstub.quirks import K42
from gdbstub.target import TargetLost


class StubAtHand(trio.abc.Stream):
    """A stub that answers each question with its letter at once, and notes what was `said`."""

    def __init__(self) -> None:
        self.said = b""
        self.has_room = True
        self._output = b""
        self._listener = None
        self._more = trio.Event()
        self._is_closed = False

    def listen(self, listener) -> None:
        self._listener = listener

    def say(self, data: bytes) -> None:
        self._output += data
        if self._listener is not None:
            self._listener()
        self._more.set()

    def send_now(self, data: bytes) -> int:
        assert self.has_room
        if self._is_closed:
            raise trio.BrokenResourceError
        self.said += data
        if data[:1] == b"$":
            self.say(b"+" + frame(data[1:2]))
        return len(data)

    def receive_now(self, max_bytes: int) -> bytes:
        data, self._output = self._output[:max_bytes], self._output[max_bytes:]
        return data

    async def send_all(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self.has_room = True
        self.send_now(data)

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        while not self._output and not self._is_closed:
            self._more = trio.Event()
            await self._more.wait()
        return self.receive_now(max_bytes or 4096)

    async def aclose(self) -> None:
        self._is_closed = True
        self._more.set()
        await trio.lowlevel.checkpoint()


def run(conversation) -> None:
    async def main() -> None:
        stub = StubAtHand()
        assert isinstance(stub, Prompt)
        news: list[object] = []
        link = Link(stub, K42, news.append, lambda text: None)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.listen)
            await trio.testing.wait_all_tasks_blocked()
            with trio.fail_after(20):
                await conversation(stub, link, news)
            nursery.cancel_scope.cancel()

    trio.run(main)


def test_each_reply_is_acknowledged_once_before_the_next_question() -> None:
    async def conversation(stub, link, news) -> None:
        assert [await link.ask(body) for body in (b"m1,4", b"?", b"g")] == [b"m", b"?", b"g"]
        assert stub.said == b"".join(frame(body) + b"+" for body in (b"m1,4", b"?", b"g"))

    run(conversation)


def test_a_stop_is_acknowledged_by_whoever_brings_it() -> None:
    async def conversation(stub, link, news) -> None:
        stub.say(frame(b"S05"))
        assert stub.said == b"+"
        assert len(news) == 1

    run(conversation)


def test_without_room_the_acknowledgement_waits_for_it() -> None:
    async def conversation(stub, link, news) -> None:
        stub.has_room = False
        stub.say(frame(b"S05"))
        assert (stub.said, news) == (b"", [])
        await trio.testing.wait_all_tasks_blocked()
        assert stub.said == b"+"
        assert len(news) == 1

    run(conversation)


def test_a_line_that_breaks_while_a_question_is_sent_is_lost() -> None:
    async def conversation(stub, link, news) -> None:
        await stub.aclose()
        with pytest.raises(TargetLost):
            await link.ask(b"?")

    run(conversation)
