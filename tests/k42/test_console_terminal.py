"""`k42 console` on a real terminal: however it ends, the terminal is as it was."""

import contextlib
import os
import pty
import signal
import termios
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio

Ending = Callable[[trio.Process, "Screen", trio.SocketStream], Awaitable[None]]


class Screen:
    """The user's side of a terminal."""

    def __init__(self, master: int) -> None:
        self.stream = trio.lowlevel.FdStream(master)
        self.seen = b""

    async def until(self, text: bytes) -> None:
        while text not in self.seen:
            data = await self.stream.receive_some()
            assert data, self.seen
            self.seen += data


async def signalled(process: trio.Process, number: signal.Signals) -> None:
    process.send_signal(number)
    await process.wait()


async def by_sigterm(process: trio.Process, screen: Screen, target: trio.SocketStream) -> None:
    await signalled(process, signal.SIGTERM)


async def by_sighup(process: trio.Process, screen: Screen, target: trio.SocketStream) -> None:
    await signalled(process, signal.SIGHUP)


async def by_sigint(process: trio.Process, screen: Screen, target: trio.SocketStream) -> None:
    await signalled(process, signal.SIGINT)


async def by_loss_of_the_server(process: trio.Process, screen: Screen, target: trio.SocketStream) -> None:
    await target.aclose()
    await screen.until(b"is closed")
    await process.wait()


async def by_quitting(process: trio.Process, screen: Screen, target: trio.SocketStream) -> None:
    await screen.stream.send_all(b"\x1d")
    await screen.until(b"monitor>")
    await screen.stream.send_all(b"quit\r")
    await process.wait()


async def by_sigterm_in_the_monitor(process: trio.Process, screen: Screen, target: trio.SocketStream) -> None:
    await screen.stream.send_all(b"\x1d")
    await screen.until(b"monitor>")
    await signalled(process, signal.SIGTERM)


async def by_loss_in_the_monitor(process: trio.Process, screen: Screen, target: trio.SocketStream) -> None:
    await screen.stream.send_all(b"\x1d")
    await screen.until(b"monitor>")
    await target.aclose()
    await screen.until(b"is closed")
    await process.wait()


@pytest.mark.parametrize("kind", ["xterm", "dumb"])
@pytest.mark.parametrize(
    ("end", "status"),
    [
        (by_quitting, 0),
        (by_loss_of_the_server, 0),
        (by_sigterm, 128 + signal.SIGTERM),
        (by_sighup, 128 + signal.SIGHUP),
        (by_sigint, 128 + signal.SIGINT),
        (by_sigterm_in_the_monitor, 128 + signal.SIGTERM),
        (by_loss_in_the_monitor, 0),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_terminal_is_as_it_was(k42: Path, end: Ending, status: int, kind: str) -> None:
    async def main() -> None:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        keyboard, terminal = pty.openpty()
        before = termios.tcgetattr(terminal)
        process = await trio.lowlevel.open_process(
            [str(k42), "console", f"127.0.0.1:{listener.socket.getsockname()[1]}"],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
            env=os.environ | {"TERM": kind},
        )
        screen = Screen(keyboard)
        try:
            with trio.fail_after(60):
                async with listener, await listener.accept() as target:
                    await target.send_all(b"prompt> ")
                    await screen.until(b"prompt> ")
                    while termios.tcgetattr(terminal) == before:
                        await trio.lowlevel.checkpoint()  # nothing tells when the keys are raw
                    await screen.stream.send_all(b"\x03keys\x1a")  # none of them is a signal now
                    heard = b""
                    while len(heard) < 6:
                        heard += await target.receive_some()
                    await end(process, screen, target)
                    assert process.returncode == status
                    assert termios.tcgetattr(terminal) == before
                    said = screen.seen
                    with contextlib.suppress(BlockingIOError):
                        said += os.read(keyboard, 65536)
                    assert b"Traceback" not in said
                    assert said.count(b"\x1b[?2004h") == said.count(b"\x1b[?2004l")  # bracketed paste
                    assert kind != "dumb" or b"\x1b" not in said
        finally:
            process.kill()
            await process.wait()
            await screen.stream.aclose()
            os.close(terminal)

    trio.run(main)
