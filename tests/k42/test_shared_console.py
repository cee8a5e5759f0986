"""The console of a kernel whose stub shares its line: what is typed, who reads."""

import subprocess
import sys
from pathlib import Path

import pytest
import trio

from k42.shared_console import BACKLOG, SharedConsole, keys
from thinwire.endpoints import Listen

PATIENCE = 30


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("trap", b"trap\r"),
        ("^Og", b"\x0fg"),
        ("^C", b"\x03"),
        ("^[q", b"\x1bq"),
        ("^?", b"\x7f"),
        ("echo g > /proc/sysrq-trigger", b"echo g > /proc/sysrq-trigger\r"),
    ],
)
def test_keys(text: str, typed: bytes) -> None:
    assert keys(text) == typed


def test_text_waits_for_a_reader_and_typing_goes_to_the_line() -> None:
    typed: list[bytes] = []
    arrived = trio.Event()

    async def type_(data: bytes) -> None:
        typed.append(data)
        arrived.set()

    async def main() -> None:
        console = SharedConsole()
        console.hear(b"x" * BACKLOG + b"the last words")
        async with trio.open_nursery() as nursery:
            place = await nursery.start(console.serve, Listen("127.0.0.1", 0), type_)
            port = int(place.rpartition(":")[2])
            for greeting in (b"x" * (BACKLOG - 14) + b"the last words", b"second"):
                stream = await trio.open_tcp_stream("127.0.0.1", port)
                if greeting == b"second":
                    console.hear(greeting)
                data = b""
                while len(data) < len(greeting):
                    data += await stream.receive_some()
                assert data == greeting
                await stream.aclose()
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            await stream.send_all(b"ls\r")
            await arrived.wait()
            await stream.aclose()
            nursery.cancel_scope.cancel()

    async def patiently() -> None:
        with trio.fail_after(PATIENCE):
            await main()

    trio.run(patiently)
    assert b"".join(typed) == b"ls\r"


def refusal(*arguments: str) -> str:
    done = subprocess.run(
        [Path(sys.executable).parent / "k42", *arguments], capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done
    return done.stderr


def test_a_stub_with_a_line_of_its_own_has_no_console_there(tmp_path: Path) -> None:
    stub = f"unix:{tmp_path}/none"
    assert "control:PATH#0" in refusal("bridge", stub, "--listen", "0", "--stub", "k42", "--console", "0")
    assert "--console" in refusal("bridge", stub, "--listen", "0", "--stub", "k42", "--break-in", "trap")
