"""`k42 trace` in a gdb on a real terminal: it ends where a step ends it, and when Ctrl-C does."""

import os
import pty
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import trio

from k42.ports import LOOPBACK

RunningUp = Callable[..., AbstractAsyncContextManager]


class Screen:
    """The user's side of gdb's terminal."""

    def __init__(self, master: int) -> None:
        self.stream = trio.lowlevel.FdStream(master)
        self.seen = b""

    async def type(self, text: bytes) -> None:
        """Type, and forget what was on the screen before."""
        self.seen = b""
        await self.stream.send_all(text)

    async def until(self, pattern: bytes) -> str:
        """Wait for a regular expression, and return the screen's text."""
        while not re.search(pattern, self.seen):
            data = await self.stream.receive_some()
            assert data, self.seen
            self.seen += data
        return self.seen.decode(errors="replace")


@asynccontextmanager
async def gdb_on_a_terminal(k42: Path, port: int) -> AsyncIterator[Screen]:
    keyboard, terminal = pty.openpty()
    process = await trio.lowlevel.open_process(
        [str(k42), "gdb", f"{LOOPBACK}:{port}", "--", "-nx", "-ex", "set pagination off"],
        preexec_fn=partial(os.login_tty, terminal),  # Ctrl-C is a signal only where the terminal controls
    )
    os.close(terminal)
    screen = Screen(keyboard)
    try:
        await screen.until(rb"\(gdb\) $")
        yield screen
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
            await screen.stream.aclose()


def test_ctrl_c_ends_it(k42: Path, running_up: RunningUp) -> None:
    async def main() -> str:
        with trio.fail_after(110):
            async with running_up() as up, gdb_on_a_terminal(k42, up.ports.emulator_gdb) as screen:
                await screen.type(b"k42 trace 1000000\r")
                await screen.until(rb"\n +20 0x")
                await screen.type(b"\x03")
                said = await screen.until(rb"\(gdb\) (\x1b\S+)?$")
                await screen.type(b"info registers pc\r")
                await screen.until(rb"pc +0xc0")
                return said

    said = trio.run(main)
    assert "Quit" in said or "ended by SIGINT" in said


def test_a_step_that_is_refused_ends_it(k42: Path, running_up: RunningUp, tmp_path: Path) -> None:
    out = tmp_path / "steps"

    async def main() -> str:
        with trio.fail_after(110):
            async with running_up("--single-step-mode", "software") as up, await up.console() as console:
                await console.expect(console.prompt)
                async with gdb_on_a_terminal(k42, up.ports.bridge) as screen:
                    await screen.type(f"k42 trace 3000 {out}\r".encode())
                    return await screen.until(rb"needs strlen[^\n]*\n(.|\n)*\(gdb\) (\x1b\S+)?$")

    assert trio.run(main).count("needs strlen") == 1
    steps = out.read_text().splitlines()
    assert len(steps) < 3000
    assert "<strlen>" in steps[-1]
