"""The interactive console: a terminal on one side, a channel's byte stream on the other.

When standard input is a terminal it is put into raw mode (through prompt_toolkit, which knows how to put it
back) and every key goes to the target as it is, Ctrl-C as 0x03. The escape key, Ctrl-] unless told otherwise,
opens a small monitor: a prompt with line editing where `help` lists the commands. When standard input is no
terminal, bytes are pumped as they come until the other side ends.

`run_console` works on any trio stream. The monitor's commands are a table from words to functions, so that
whoever owns the stream can add its own (status, reset, a debugger). What the target writes meanwhile waits
until the monitor is closed.

prompt_toolkit is imported where a terminal needs it: that takes a tenth of a second, which every command that
merely can open a console would pay.
"""

import os
import sys
import termios
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import trio

from thinwire import descriptors

ESCAPE = b"\x1d"
"""Ctrl-], as in telnet."""
PROMPT = "monitor> "
_PASTE_UNMARKED = b"\x1b[?2004l\r\n"
"""Ends the prompt's bracketed paste mode (xterm control sequences)."""


@dataclass(frozen=True, slots=True)
class Leave:
    """What a monitor command returns to end the console; `message` is printed."""

    message: str = ""


@dataclass(frozen=True, slots=True)
class Command:
    """One word of the monitor. `run` gets the rest of the line and returns text to print, or Leave."""

    help: str
    run: Callable[[str], Awaitable[str | Leave]]


Monitor = Mapping[str, Command]


async def run_console(
    stream: trio.abc.Stream,
    *,
    monitor: Monitor | None = None,
    escape: bytes = ESCAPE,
    source: int = 0,
    sink: int = 1,
    banner: str = "",
) -> None:
    """Join a terminal (or pipes) to `stream` until the user leaves or the stream ends; the stream stays open.

    `source` and `sink` are file descriptors. The terminal's mode is restored however this ends.
    """
    if not os.isatty(source):
        await _pump(stream, source, sink)
        return
    screen = descriptors.reopen(sink, os.O_WRONLY)
    mode = termios.tcgetattr(source)
    console = _Console(stream, monitor or {}, escape, source, sink, screen)
    try:
        if banner:
            _print(sink, banner)
        await console.run()
    finally:
        descriptors.close(screen)
        with suppress(OSError, termios.error):  # the terminal itself may be gone
            if console.is_prompting:  # the prompt is cut off in its thread and cleans nothing up
                os.write(sink, _PASTE_UNMARKED)
            termios.tcsetattr(source, termios.TCSANOW, mode)


async def _pump(stream: trio.abc.Stream, source: int, sink: int) -> None:
    """Bytes both ways; the end of our input leaves the output running until the target is silent for good."""
    private = descriptors.reopen(source, os.O_RDONLY)
    output = descriptors.reopen(sink, os.O_WRONLY)

    async def send() -> None:
        while data := await descriptors.read(private):
            await stream.send_all(data)

    async def receive() -> None:
        while data := await _receive(stream):
            if not await descriptors.write_all(output, data):
                return  # nobody reads on

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            await receive()
            nursery.cancel_scope.cancel()
    finally:
        descriptors.close(private, output)


class _Console:
    """A raw terminal and the monitor behind the escape key."""

    def __init__(
        self,
        stream: trio.abc.Stream,
        monitor: Monitor,
        escape: bytes,
        source: int,
        sink: int,
        screen: int,
    ) -> None:
        self._stream = stream
        self._escape = escape
        self._source = source
        self._sink = sink
        self._screen = screen  # the sink again, nonblocking
        self._commands = {**self._own_commands(), **monitor}
        self._may_print = trio.Event()
        self._may_print.set()
        self._ahead = b""  # typed behind the escape key or, then, behind the monitor's line
        self._asked: list[str] = []
        self.is_prompting = False
        """Whether prompt_toolkit has the screen."""

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._show, nursery.cancel_scope)
            while True:
                async with _raw_terminal(self._source) as keyboard:
                    if not await self._type(keyboard):
                        break
                self._may_print = trio.Event()
                left = await self._monitor()
                self._may_print.set()
                if left is not None:
                    if left.message:
                        _print(self._sink, left.message)
                    break
                _print(self._sink, "[back on the console]")
            nursery.cancel_scope.cancel()

    async def _show(self, scope: trio.CancelScope) -> None:
        """What the target writes."""
        while data := await _receive(self._stream):
            await self._may_print.wait()
            await descriptors.write_all(self._screen, data)
        _print(self._sink, "\r\n[the console's other end is closed]")
        scope.cancel()

    async def _type(self, keyboard: int) -> bool:
        """Send keys until the escape key (then True) or the terminal's end."""
        while data := self._ahead or await descriptors.read(keyboard):
            before, escape, self._ahead = data.partition(self._escape)
            if before:
                await self._stream.send_all(before)
            if escape:
                return True
        return False

    async def _monitor(self) -> Leave | None:
        """The prompt, for one command or none."""
        line = await trio.to_thread.run_sync(self._ask, abandon_on_cancel=True)
        word, _, rest = line.strip().partition(" ")
        if not word:
            return None
        command = self._commands.get(word)
        if command is None:
            _print(self._sink, f"{word!r} is no command; help lists them")
            return None
        answer = await command.run(rest.strip())
        if isinstance(answer, Leave):
            return answer
        if answer:
            _print(self._sink, answer)
        return None

    def _ask(self) -> str:
        """Edit one line, in a thread: prompt_toolkit has its own event loop. What was typed ahead are its
        first keys, and what it has read behind the line is the target's.
        """
        from prompt_toolkit import PromptSession
        from prompt_toolkit.completion import WordCompleter
        from prompt_toolkit.data_structures import Size
        from prompt_toolkit.history import InMemoryHistory
        from prompt_toolkit.input import create_input
        from prompt_toolkit.input.typeahead import get_typeahead, store_typeahead
        from prompt_toolkit.input.vt100_parser import Vt100Parser
        from prompt_toolkit.key_binding import KeyBindings, KeyPress, KeyPressEvent
        from prompt_toolkit.output import ColorDepth
        from prompt_toolkit.output.vt100 import Vt100_Output
        from prompt_toolkit.shortcuts import CompleteStyle
        from prompt_toolkit.utils import is_dumb_terminal

        def size() -> Size:
            columns, rows = os.get_terminal_size(self._sink)
            return Size(rows=rows or 24, columns=columns or 80)

        keys = KeyBindings()

        @keys.add("c-]")
        def leave(event: KeyPressEvent) -> None:
            event.app.exit(result="")

        with os.fdopen(os.dup(self._source)) as keyboard, os.fdopen(os.dup(self._sink), "w") as screen:
            if is_dumb_terminal():
                # What was typed while the keys were not raw has a line feed for the return.
                typed, enter, self._ahead = self._ahead.replace(b"\n", b"\r").partition(b"\r")
                line = typed.decode(errors="replace")
                print(f"\n{PROMPT}{line}", end="\n" if enter else "", file=screen, flush=True)
                return line if enter else line + keyboard.readline()
            source = create_input(keyboard)
            typed_ahead: list[KeyPress] = []
            Vt100Parser(typed_ahead.append).feed_and_flush(self._ahead.decode(errors="surrogateescape"))
            store_typeahead(source, typed_ahead)
            session: PromptSession[str] = PromptSession(
                input=source,
                # No questions about the cursor: not every terminal answers, and the prompt would wait.
                output=Vt100_Output(screen, size, term=os.environ.get("TERM"), enable_cpr=False),
                color_depth=ColorDepth.DEPTH_1_BIT,
                completer=WordCompleter(sorted(self._commands), sentence=True),
                complete_style=CompleteStyle.READLINE_LIKE,
                complete_while_typing=False,
                history=InMemoryHistory(self._asked),
                key_bindings=keys,
            )
            self.is_prompting = True
            try:
                line = session.prompt(f"\n{PROMPT}")
            except (EOFError, KeyboardInterrupt):
                line = ""
            self.is_prompting = False
            behind = "".join(key.data for key in get_typeahead(source))
            self._ahead = behind.encode(errors="surrogateescape")
        if line.strip():
            self._asked.append(line)
        return line

    def _own_commands(self) -> dict[str, Command]:
        async def show_help(rest: str) -> str:
            width = max(map(len, self._commands))
            return "\n".join(f"  {word:{width}}  {c.help}" for word, c in sorted(self._commands.items()))

        async def leave(rest: str) -> Leave:
            return Leave()

        async def send_escape(rest: str) -> str:
            await self._stream.send_all(self._escape)
            return ""

        return {
            "help": Command("this list", show_help),
            "quit": Command("leave the console; the target goes on", leave),
            "send-escape": Command("send the escape key itself to the target", send_escape),
        }


@asynccontextmanager
async def _raw_terminal(source: int) -> AsyncIterator[int]:
    """The terminal in raw mode and a private nonblocking descriptor for its keys."""
    from prompt_toolkit.input import create_input

    private = descriptors.reopen(source, os.O_RDONLY)
    try:
        with os.fdopen(os.dup(source)) as keyboard, create_input(keyboard).raw_mode():
            yield private
    finally:
        descriptors.close(private)


def _print(sink: int, text: str) -> None:
    """A message of ours, in lines that a raw terminal shows as lines."""
    os.write(sink, ("\r\n".join(text.split("\n")) + "\r\n").encode(errors="replace"))


async def _receive(stream: trio.abc.Stream) -> bytes:
    """The next bytes; none when the other end is gone, however it went."""
    try:
        return bytes(await stream.receive_some())
    except trio.BrokenResourceError:
        return b""


def is_interactive() -> bool:
    """Whether standard input and output are a terminal."""
    return sys.stdin.isatty() and sys.stdout.isatty()
