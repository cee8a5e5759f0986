"""Scripted gdb sessions: a gdb child driven through GDB/MI, waiting for records and never for the clock.

    async with open_gdb(["kernel.elf"]) as gdb:
        await gdb.connect("127.0.0.1:2103")
        await gdb.console("break fib")
        stop = await gdb.resume("continue")
        print(stop.reason, stop.frame["func"], await gdb.console("backtrace"))

gdb answers every command with one result record (`^done`, `^running`, `^error`) that carries the command's
token, and tells of stops with `*stopped` records (GDB manual, "GDB/MI Output Records").  A reader task sorts
them; `command` waits for its result and `resume` for the next stop.  pygdbmi parses the records; its own
controller waits for a timeout after each answer, so it is not used.

Nothing here gives up by itself: put `trio.fail_after` around what must end.

Nothing here knows what gdb is connected to.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import trio
from pygdbmi import gdbmiparser

from k42.errors import UserError, only_error
from k42.gdb_programs import find_gdb

#: A record is one line; gdb's longest (a big memory dump) stay far below this.
MAX_LINE = 4 << 20


class GdbError(Exception):
    """gdb refused a command, or died; the text is gdb's own."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A `*stopped` record: why (`breakpoint-hit`, `signal-received`, `end-stepping-range`, ...) and where.

    `reason` is empty where gdb gives none (attaching); `frame` has MI's names: addr, func, file, line.
    """

    reason: str
    frame: Mapping[str, str]
    payload: Mapping[str, object]

    @property
    def pc(self) -> int:
        """The program counter.  Raises KeyError when the record has no frame."""
        return int(self.frame["addr"], 16)


@dataclass(slots=True)
class Result:
    """A result record: its class (`done`, `running`, ...), its values, and the text printed meanwhile."""

    status: str
    payload: Mapping[str, object]
    text: str


@dataclass(slots=True)
class Gdb:
    """A running gdb.  One task at a time talks to it; `open_gdb` makes one."""

    process: trio.Process
    echo: Callable[[str], None]
    _token: int = 0
    _text: list[str] = field(default_factory=list)
    _results: dict[int, tuple[str, Mapping[str, object]]] = field(default_factory=dict)
    _stops: list[Stop] = field(default_factory=list)
    _news: trio.Condition = field(default_factory=trio.Condition)
    _ended: bool = False

    async def command(self, mi: str) -> Result:
        """Send one MI command (`-break-insert main`) and return its result.  Raises GdbError."""
        assert self.process.stdin is not None
        self._token += 1
        token = self._token
        self._text.clear()
        try:
            await self.process.stdin.send_all(f"{token}{mi}\n".encode())
        except trio.BrokenResourceError:
            raise GdbError(f"gdb ended before it could answer {mi!r}") from None
        async with self._news:
            while token not in self._results:
                if self._ended:
                    raise GdbError(f"gdb ended while it worked on {mi!r}")
                await self._news.wait()
        status, payload = self._results.pop(token)
        text = "".join(self._text)
        if status == "error":
            raise GdbError(str(payload.get("msg", "unknown error")))
        return Result(status, payload, text)

    async def console(self, line: str) -> str:
        """Type `line` at gdb's prompt and return what it prints; `resume` is for what lets the target run."""
        return (await self.command(f"-interpreter-exec console {_quote(line)}")).text

    async def connect(self, endpoint: str) -> str:
        """`target remote ENDPOINT`; returns what gdb printed, so that a script can look for warnings."""
        return await self.console(f"target remote {endpoint}")

    async def resume(self, line: str) -> Stop:
        """Type a command that lets the target run (`continue`, `next`) and wait for the stop it ends in."""
        await self.start(line)
        return await self.wait_stop()

    async def start(self, line: str) -> None:
        """Type a command that lets the target run, and return when it does; `wait_stop` takes the stop."""
        self._stops.clear()
        await self.command(f"-interpreter-exec console {_quote(line)}")

    async def wait_stop(self) -> Stop:
        """Return the oldest stop not yet taken.  Raises GdbError when gdb ends."""
        async with self._news:
            while not self._stops:
                if self._ended:
                    raise GdbError("gdb ended while the target ran")
                await self._news.wait()
            return self._stops.pop(0)

    async def interrupt(self) -> None:
        """Press Ctrl-C in gdb, which passes it on to the target; `wait_stop` takes the stop.

        gdb 13 loses a Ctrl-C that comes while it is still setting the target going, some milliseconds after
        `start` returns: see a sign of life of the target first.
        """
        self.process.send_signal(signal.SIGINT)
        await trio.lowlevel.checkpoint()

    async def evaluate(self, expression: str) -> str:
        """Return the value of a C expression as gdb prints it."""
        result = await self.command(f"-data-evaluate-expression {_quote(expression)}")
        return str(result.payload["value"])

    async def _read(self) -> None:
        """Sort gdb's records until it ends."""
        assert self.process.stdout is not None
        pending = bytearray()
        async for chunk in self.process.stdout:
            pending += chunk
            *lines, rest = bytes(pending).split(b"\n")
            pending = bytearray(rest[-MAX_LINE:])
            async with self._news:
                for line in lines:
                    self._take(line.decode("utf-8", "replace").rstrip("\r"))
                self._news.notify_all()
        async with self._news:
            self._ended = True
            self._news.notify_all()

    def _take(self, line: str) -> None:
        if not line or line.startswith("(gdb)"):
            return
        record = gdbmiparser.parse_response(line)
        payload = record["payload"]
        match record["type"]:
            case "result":
                if record["token"] is not None:
                    self._results[record["token"]] = (record["message"], _mapping(payload))
            case "notify" if record["message"] == "stopped":
                values = _mapping(payload)
                frame = cast(Mapping[str, str], values.get("frame", {}))
                self._stops.append(Stop(str(values.get("reason", "")), frame, values))
            case "console" | "target" | "output" if isinstance(payload, str):
                self._text.append(payload)
                self.echo(payload)
            case _:
                pass  # logs echo the command, and the other notifications say nothing a script needs


def _quote(text: str) -> str:
    """Return `text` as an MI c-string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _mapping(payload: object) -> Mapping[str, object]:
    return payload if isinstance(payload, dict) else {}


def _silent(_text: str) -> None:
    pass


@asynccontextmanager
async def open_gdb(
    arguments: Sequence[str] = (),
    *,
    program: str | None = None,
    echo: Callable[[str], None] = _silent,
) -> AsyncIterator[Gdb]:
    """Start a gdb that knows PPC64, without the user's init files, and end it on the way out.

    `arguments` go to gdb (a kernel's file, `-ex` commands); `echo` is handed everything gdb prints.
    Raises UserError when there is no such gdb.
    """
    program = program or find_gdb()
    command = [program, "--interpreter=mi3", "-nx", "-q", *arguments]
    try:
        process = await trio.lowlevel.open_process(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    except OSError as error:
        raise UserError(f"cannot start {program}: {error.strerror}") from None
    gdb = Gdb(process, echo)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(gdb._read)
            for setting in ("confirm off", "pagination off", "width 0", "height 0"):
                await gdb.command(f"-gdb-set {setting}")
            yield gdb
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        # The reader raises nothing of its own: what the nursery wrapped is the caller's error.
        raise only_error(group) from None
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
