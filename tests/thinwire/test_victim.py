"""The other end of the wire as a library: its documented example, as a program."""

import contextlib
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from thinwire import victim
from thinwire.frames import Write
from thinwire.victim import AnswerError, Conversation

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
