"""A console under a script: type a line, wait for a text.

    async with await open_console("127.0.0.1", 2102) as console:
        await console.expect("mini> ")
        print(await console.ask("fib 20"))

What arrives is kept until something expected takes it; at most `MAX_KEPT` bytes, the oldest go first.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

#: More than any command prints; a kernel that babbles for a day must not fill the script's memory.
MAX_KEPT = 1 << 20


class ConsoleEnded(Exception):
    """The other end closed the console while a text was awaited; the message holds what came last."""


def _silent(_text: str) -> None:
    pass


class Console:
    """A console stream with something to wait for.  Text is Latin-1, so no byte is ever lost or refused."""

    def __init__(
        self, stream: trio.abc.Stream, prompt: str = "mini> ", echo: Callable[[str], None] = _silent
    ) -> None:
        self.stream = stream
        self.prompt = prompt
        self.echo = echo
        self._kept = ""

    async def __aenter__(self) -> Console:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.stream.aclose()

    async def type(self, text: str) -> None:
        """Send `text` as it stands; a line ends in a carriage return."""
        await self.stream.send_all(text.encode("latin-1"))

    async def expect(self, text: str) -> str:
        """Wait for `text`; return everything before it and forget it.  Raises ConsoleEnded."""
        while text not in self._kept:
            data = await self.stream.receive_some(65536)
            if not data:
                raise ConsoleEnded(f"the console closed before {text!r} came; last: {self._kept[-200:]!r}")
            arrived = bytes(data).decode("latin-1")
            self.echo(arrived)
            self._kept = (self._kept + arrived)[-MAX_KEPT:]
        before, self._kept = self._kept.split(text, 1)
        return before

    async def ask(self, line: str) -> str:
        """Type a command line and return what the kernel prints up to its next prompt, without the echo."""
        await self.type(line + "\r")
        await self.expect(line)
        return (await self.expect(self.prompt)).strip("\r\n")


async def open_console(
    host: str, port: int, prompt: str = "mini> ", echo: Callable[[str], None] = _silent
) -> Console:
    """Connect to a console port.  Raises OSError."""
    return Console(await trio.open_tcp_stream(host, port), prompt, echo)
