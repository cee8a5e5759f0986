"""A scripted console over an in-memory stream."""

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import memory_stream_pair

from k42.console_session import MAX_KEPT, Console, ConsoleEnded


@given(st.lists(st.integers(1, 7), max_size=12))
def test_any_split_of_the_answer_is_found(cuts: list[int]) -> None:
    answer = b"fib 20\r\n6765\r\nmini> "

    async def main() -> None:
        ours, theirs = memory_stream_pair()
        rest = answer
        for cut in cuts:
            await theirs.send_all(rest[:cut])
            rest = rest[cut:]
        await theirs.send_all(rest)
        assert await Console(ours).ask("fib 20") == "6765"
        assert await theirs.receive_some() == b"fib 20\r"

    trio.run(main)


def test_what_comes_after_the_awaited_text_is_kept() -> None:
    async def main() -> None:
        ours, theirs = memory_stream_pair()
        console = Console(ours)
        await theirs.send_all(b"one two three")
        assert await console.expect(" ") == "one"
        assert await console.expect("three") == "two "

    trio.run(main)


def test_a_closed_console_names_what_was_awaited() -> None:
    async def main() -> None:
        ours, theirs = memory_stream_pair()
        await theirs.send_all(b"panic: no more")
        await theirs.aclose()
        with pytest.raises(ConsoleEnded, match="'mini> '.*no more"):
            await Console(ours).expect("mini> ")

    trio.run(main)


def test_babble_does_not_fill_the_memory() -> None:
    async def main() -> None:
        ours, theirs = memory_stream_pair()
        console = Console(ours)

        async def babble() -> None:
            for _ in range(3):
                await theirs.send_all(b"x" * MAX_KEPT)
            await theirs.send_all(b"!")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(babble)
            assert len(await console.expect("!")) < MAX_KEPT

    trio.run(main)
