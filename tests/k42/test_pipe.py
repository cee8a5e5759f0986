"""The stream between a machine and its multiplexer in one process: nothing lost, nothing without end."""

import inspect
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from k42.pipe import LIMIT, TURN, PipeStream, stream_pair


@given(st.lists(st.binary(max_size=2000), max_size=20), st.integers(1, 3000))
def test_bytes_arrive_in_order_whatever_the_pieces(pieces: list[bytes], limit: int) -> None:
    async def main() -> None:
        one, other = stream_pair()
        received = bytearray()

        async def receive() -> None:
            while data := await other.receive_some(limit):
                assert len(data) <= limit
                received.extend(data)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            for piece in pieces:
                await one.send_all(piece)
            await one.aclose()
        assert bytes(received) == b"".join(pieces)

    trio.run(main)


def test_a_sender_waits_for_room() -> None:
    async def main() -> None:
        one, other = stream_pair()
        assert one.send_now(bytes(LIMIT + 5)) == LIMIT
        assert one.send_now(b"x") == 0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.send_all, b"rest")
            nursery.start_soon(one.wait_send_all_might_not_block)
            await trio.testing.wait_all_tasks_blocked()
            assert await other.receive_some() == bytes(LIMIT)
        assert await other.receive_some() == b"rest"

    trio.run(main)


def test_both_ends_see_a_close_whoever_waits() -> None:
    async def main() -> None:
        one, other = stream_pair()

        async def closed_here() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await one.receive_some()

        async def closed_there() -> None:
            assert await other.receive_some() == b""
            with pytest.raises(trio.BrokenResourceError):
                await other.send_all(b"x")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(closed_here)
            nursery.start_soon(closed_there)
            await trio.testing.wait_all_tasks_blocked()
            await one.aclose()
        with pytest.raises(trio.ClosedResourceError):
            one.send_now(b"x")

    trio.run(main)


def test_half_of_it_can_be_closed() -> None:
    async def main() -> None:
        one, other = stream_pair()
        await one.send_all(b"last")
        await one.send_eof()
        assert await other.receive_some() == b"last"
        assert await other.receive_some() == b""
        await other.send_all(b"answer")
        assert await one.receive_some() == b"answer"

    trio.run(main)


def test_a_listener_takes_what_comes_before_send_now_returns_or_leaves_it() -> None:
    async def main() -> None:
        one, other = stream_pair()
        heard: list[bytes] = []

        def take_two_once() -> bool:
            if not heard:
                heard.append(other.receive_now(2))
                return True
            return False

        other.listen(take_two_once)
        assert one.send_now(b"all") == 3
        assert heard == [b"al"]
        assert await other.receive_some() == b"l"
        other.listen(None)
        one.send_now(b"more")
        assert (other.receive_now(), other.receive_now(), heard) == (b"more", b"", [b"al"])

    trio.run(main)


def answer(stream: PipeStream, say: Callable[[bytes], bytes]) -> None:
    """Have `stream` answer whatever comes at once."""

    def listen() -> bool:
        stream.send_now(say(stream.receive_now()))
        return True

    stream.listen(listen)


def test_who_answers_at_once_has_answered_when_send_now_returns() -> None:
    async def main() -> None:
        one, other = stream_pair()
        answer(other, bytes.upper)
        one.send_now(b"frame")
        assert one.receive_now() == b"FRAME"

    trio.run(main)


def test_two_that_answer_each_other_talk_without_nesting_and_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    depths: list[int] = []

    def say(heard: bytes) -> bytes:
        nonlocal now
        now += TURN / 1000
        depths.append(len(inspect.stack(0)))
        return heard

    async def main() -> None:
        one, other = stream_pair()
        answer(one, say)
        answer(other, say)
        one.send_now(b"word")
        assert 1000 <= len(depths) <= 1010
        assert len(set(depths)) == 2
        # What is left waits for whoever receives.
        assert await other.receive_some() == b"word"

    monkeypatch.setattr("k42.pipe.time", SimpleNamespace(perf_counter=lambda: now))
    trio.run(main)
