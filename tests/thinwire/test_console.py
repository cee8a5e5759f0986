"""The console on a real terminal: keys go through raw, the escape key opens the monitor, the mode is
restored.
"""

import os
import pty
import sys
import termios
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
import trio
import trio.testing

from thinwire.console import Command, Leave, run_console

Terminal = trio.lowlevel.FdStream


async def until(stream: trio.abc.ReceiveStream, text: bytes) -> bytes:
    seen = b""
    while text not in seen:
        data = await stream.receive_some()
        assert data, seen
        seen += data
    return seen


def on_a_terminal(
    script: Callable[[Terminal, trio.abc.Stream], Awaitable[None]], monitor: dict[str, Command] | None = None
) -> None:
    """Run the console on a pty; `script` gets the user's side of it and the target's side of the stream."""

    async def main() -> None:
        with trio.fail_after(100):
            master, slave = pty.openpty()
            before = termios.tcgetattr(slave)
            ours, targets = trio.testing.memory_stream_pair()
            async with Terminal(os.dup(master)) as user, trio.open_nursery() as nursery:

                async def console() -> None:
                    await run_console(ours, monitor=monitor, source=slave, sink=slave)
                    nursery.cancel_scope.cancel()

                nursery.start_soon(console)
                await script(user, targets)
                await trio.sleep_forever()
            assert termios.tcgetattr(slave) == before
            os.close(master)
            os.close(slave)

    trio.run(main)


def test_every_key_goes_to_the_target_and_its_output_to_the_screen() -> None:
    async def script(user: Terminal, target: trio.abc.Stream) -> None:
        await target.send_all(b"prompt> ")
        await until(user, b"prompt> ")
        await user.send_all(b"ls\r\x03\x1a\x04")
        await until(target, b"ls\r\x03\x1a\x04")
        await user.send_all(b"\x1d")
        await until(user, b"monitor>")
        await user.send_all(b"quit\r")

    on_a_terminal(script)


def test_the_monitor_runs_commands_and_comes_back() -> None:
    async def greet(rest: str) -> str:
        return f"hello {rest}!"

    async def leave(rest: str) -> Leave:
        return Leave("bye now")

    monitor = {"greet": Command("says hello", greet), "leave": Command("goes away", leave)}

    async def script(user: Terminal, target: trio.abc.Stream) -> None:
        for typed, answer in [
            (b"help\r", b"leave the console"),
            (b"greet you\r", b"hello you!"),
            (b"xyzzy\r", b"no command"),
            (b"\x03", b""),  # Ctrl-C at the prompt only closes it
        ]:
            await user.send_all(b"abc\x1d")
            await until(target, b"abc")
            await until(user, b"monitor>")
            await user.send_all(typed)
            assert answer in await until(user, b"[back on the console]")
        await user.send_all(b"\x1d")
        await until(user, b"monitor>")
        await user.send_all(b"leave\r")
        await until(user, b"bye now")

    on_a_terminal(script, monitor)


async def greet(rest: str) -> str:
    return f"hello {rest}!"


GREETING = {"greet-again": Command("says hello", greet)}


def test_the_monitor_completes_and_remembers() -> None:
    async def script(user: Terminal, target: trio.abc.Stream) -> None:
        await user.send_all(b"\x1d")
        await until(user, b"monitor>")
        await user.send_all(b"gre\t")
        await until(user, b"t-again")
        await user.send_all(b" you\r")
        await until(user, b"[back on the console]")
        await user.send_all(b"\x1d")
        await until(user, b"monitor>")
        await user.send_all(b"\x1b[A")
        await until(user, b"greet-again you")
        await user.send_all(b"\r")
        assert b"hello you!" in await until(user, b"[back on the console]")
        await user.send_all(b"\x1d")
        await until(user, b"monitor>")
        await user.send_all(b"\x1d")  # the escape key at the prompt closes it
        await until(user, b"[back on the console]")
        await user.send_all(b"\x1d")
        await until(user, b"monitor>")
        await user.send_all(b"quit\r")

    on_a_terminal(script, GREETING)


TERMINALS = pytest.mark.parametrize("terminal", ["xterm", "dumb"])


@TERMINALS
def test_what_is_typed_with_the_escape_key_is_for_the_monitor(
    terminal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to the end of the line; what comes behind that is the target's again."""
    monkeypatch.setenv("TERM", terminal)

    async def script(user: Terminal, target: trio.abc.Stream) -> None:
        await user.send_all(b"abc")
        await until(target, b"abc")  # the keys are raw now
        await user.send_all(b"\x1dgreet-again you\rdef\x1dquit\r")
        await until(target, b"def")
        await until(user, b"hello you!")

    on_a_terminal(script, GREETING)


@TERMINALS
def test_half_a_line_typed_with_the_escape_key_is_gone_on_with_at_the_prompt(
    terminal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fast fingers: the prompt is not there yet when they have typed the first letters, and loses none."""
    monkeypatch.setenv("TERM", terminal)

    async def script(user: Terminal, target: trio.abc.Stream) -> None:
        await user.send_all(b"abc")
        await until(target, b"abc")
        await user.send_all(b"\x1dgreet-ag")
        seen = await until(user, b"monitor>")
        await user.send_all(b"ain you\r")
        seen += await until(user, b"[back on the console]")
        assert seen.index(b"monitor>") < seen.rindex(b"greet-ag") < seen.index(b"hello you!")
        await user.send_all(b"\x1dquit\r")

    on_a_terminal(script, GREETING)


def test_keys_typed_ahead_edit_the_line_as_any_key_does() -> None:
    async def script(user: Terminal, target: trio.abc.Stream) -> None:
        await user.send_all(b"abc")
        await until(target, b"abc")
        await user.send_all(b"\x1dgre\tx\x7f you\r\x1dquit\r")  # Tab completes, Backspace takes the x away
        await until(user, b"hello you!")

    on_a_terminal(script, GREETING)


def test_what_is_typed_at_the_prompt_behind_the_line_is_for_the_target() -> None:
    """As a script does that sends all at once."""

    async def script(user: Terminal, target: trio.abc.Stream) -> None:
        await user.send_all(b"\x1d")
        await until(user, b"monitor>")
        await user.send_all(b"greet-again you\rdef\x1b[A\x80\x03")
        await until(target, b"def\x1b[A\x80\x03")
        await until(user, b"hello you!")
        await user.send_all(b"\x1dquit\r")

    on_a_terminal(script, GREETING)


def test_a_dumb_terminal_is_sent_no_escape_sequences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")

    async def script(user: Terminal, target: trio.abc.Stream) -> None:
        await user.send_all(b"\x1d")
        seen = await until(user, b"monitor>")
        await user.send_all(b"greet-again you\n")
        seen += await until(user, b"[back on the console]")
        assert b"hello you!" in seen
        assert b"\x1b" not in seen
        await user.send_all(b"\x1dquit\r")

    on_a_terminal(script, GREETING)


def test_the_end_of_the_stream_ends_the_console() -> None:
    async def script(user: Terminal, target: trio.abc.Stream) -> None:
        await target.send_all(b"x")
        await until(user, b"x")
        await target.aclose()
        await until(user, b"is closed")

    on_a_terminal(script)


def test_without_a_terminal_bytes_are_pumped() -> None:
    program = """
import trio, trio.testing
from thinwire.console import run_console
async def main():
    ours, target = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_console, ours)
        seen = b""
        while b"end" not in seen:
            seen += await target.receive_some()
        await target.send_all(seen.upper())
        await target.aclose()
trio.run(main)
"""

    async def main() -> None:
        with trio.fail_after(100):
            done = await trio.run_process(
                [sys.executable, "-c", program], stdin=b"\x03raw\x1d bytes end", capture_stdout=True
            )
        assert done.stdout == b"\x03RAW\x1d BYTES END"

    trio.run(main)


def test_the_end_of_whoever_reads_the_output_ends_the_pump() -> None:
    """As in `k42 console | head`: the target may be silent for hours, and is not waited for."""

    async def main() -> None:
        with trio.fail_after(20):
            ours, targets = trio.testing.memory_stream_pair()
            keys, keyboard = os.pipe()
            reader, screen = os.pipe()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(partial(run_console, ours, source=keys, sink=screen))
                os.close(reader)
                await targets.send_all(b"nobody sees this")
            for descriptor in (keys, keyboard, screen):
                os.close(descriptor)

    trio.run(main)
