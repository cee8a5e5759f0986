"""The other end of the wire as a library: its documented example, as a program."""

import contextlib
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from thinwire import victim
from thinwire.frames import Read, Request, Select, SetSpeed, Write, header
from thinwire.victim import Answer, AnswerError, Conversation, Ready, SpeedEcho, Typed, Written

BIN = Path(sys.executable).parent


def documented_example() -> str:
    """The indented paragraphs of the docstring."""
    assert victim.__doc__ is not None
    code = [line for line in victim.__doc__.splitlines() if line.startswith("    ") or not line]
    return textwrap.dedent("\n".join(code)).strip()


async def receive(stream: trio.SocketStream, expected: bytes) -> None:
    seen = b""
    while not seen.endswith(expected):
        data = await stream.receive_some()
        assert data, seen
        seen += data


@contextlib.asynccontextmanager
async def multiplexer(line: int) -> AsyncIterator[list[trio.SocketStream]]:
    """`thinwire3` on that port, and a client of each of two channels."""
    command = [str(BIN / "thinwire3"), f"localhost:{line}", "127.0.0.1:0", "127.0.0.1:0"]
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        said = b""
        while b"victim" not in said:
            said += await process.stdout.receive_some()
        ports = [int(text.rsplit(b":", 1)[1].rstrip(b".")) for text in said.splitlines()[:2]]
        async with contextlib.AsyncExitStack() as clients:
            connected = [await trio.open_tcp_stream("127.0.0.1", port) for port in ports]
            yield [await clients.enter_async_context(client) for client in connected]
    finally:
        process.kill()
        await process.wait()
        await process.stdout.aclose()


def test_the_documented_example_is_a_machine_that_outlives_its_multiplexer() -> None:
    code = documented_example()
    assert len(code.splitlines()) <= 20

    async def main() -> None:
        with trio.fail_after(100):
            (probe,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            port = int(probe.socket.getsockname()[1])
            await probe.aclose()
            machine = await trio.lowlevel.open_process(
                [sys.executable, "-c", code.replace("2101", str(port))], stderr=subprocess.PIPE
            )
            try:
                for _ in range(2):
                    async with multiplexer(port) as (console, debugger):
                        await receive(console, b"Hello from the machine\r\n")
                        await console.send_all(b"ls")
                        await receive(console, b"you typed ls")
                        await debugger.send_all(b"$g#67")
                        await receive(debugger, b"$g#67")
                assert machine.returncode is None
            finally:
                machine.kill()
                assert machine.stderr is not None
                assert not await machine.stderr.receive_some()
                await machine.wait()
                await machine.stderr.aclose()

    trio.run(main)


def test_what_is_no_answer_is_said_in_a_line() -> None:
    """However much was written."""
    conversation = Conversation()
    conversation.ask(Write(1, bytes(16384), True))
    with pytest.raises(AnswerError) as refusal:
        conversation.feed(b"!  $ \0\0\0\0")
    assert str(refusal.value) == "b'!  $ ' does not answer b'0$  !'"


QUESTIONS = st.one_of(
    st.builds(Write, st.integers(0, 94), st.binary(max_size=300), st.booleans()),
    st.builds(Read, st.integers(0, 94), st.integers(0, 400)),
    st.builds(Select, st.integers(0, 94), st.booleans()),
    st.builds(SetSpeed, st.integers(0, 99999999).map(lambda speed: b"%d" % speed)),
)


@given(st.lists(st.tuples(QUESTIONS, st.binary(max_size=400)), max_size=8), st.lists(st.integers(0, 10**4)))
def test_answers_are_the_same_however_the_line_is_cut(
    exchange: list[tuple[Request, bytes]], cuts: list[int]
) -> None:
    """The multiplexer's answers to all of it, cut anywhere, are what was typed, acknowledged and ready."""
    conversation, wire = Conversation(), b""
    expected: list[Answer] = []
    for asked, data in exchange:
        conversation.ask(asked)
        match asked:
            case Write(channel, written, True):
                wire += header(ord("A"), len(written), channel)
                expected.append(Written(channel, len(written)))
            case Read(channel, limit):
                typed = data[:limit]
                wire += header(0x30 + channel, len(typed), channel) + typed
                expected.append(Typed(channel, typed))
            case Select(base, nibbles):
                ready = {bit for bit in range(8) if data[:1] and data[0] >> bit & 1}
                mask = sum(1 << bit for bit in ready)
                body = bytes(0x20 + (mask >> shift & 15) for shift in range(28, -4, -4))
                if nibbles:
                    wire += header(ord("?"), 8, base) + body
                else:
                    wire += header(ord("!"), 4, base) + mask.to_bytes(4, "big")
                expected.append(Ready(frozenset(base + bit for bit in ready)))
            case SetSpeed(digits):
                wire += 2 * (header(ord("S"), len(digits), 0) + digits)
                expected += 2 * [SpeedEcho(digits)]
    ends = sorted({cut % (len(wire) + 1) for cut in cuts} | {0, len(wire)})
    heard = [
        answer
        for start, end in zip(ends, ends[1:], strict=False)
        for answer in conversation.feed(wire[start:end])
    ]
    assert heard == expected


@given(st.lists(QUESTIONS, min_size=1, max_size=4), st.binary(max_size=60), st.data())
def test_garbage_is_one_named_error(asked: list[Request], garbage: bytes, data: st.DataObject) -> None:
    conversation = Conversation()
    for question in asked:
        conversation.ask(question)
    start = data.draw(st.sampled_from([b"", b"?  ( ", b"!  $ ", b"A    ", b"S  &5"]))
    with contextlib.suppress(AnswerError):
        conversation.feed(start + garbage)


def test_nibbles_that_are_none_are_no_answer() -> None:
    for body in (b"\x10       ", b"\x7f       ", b"       0"):
        conversation = Conversation()
        conversation.ask(Select(0, nibbles=True))
        with pytest.raises(AnswerError):
            conversation.feed(b"?  ( " + body)
