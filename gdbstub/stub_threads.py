"""A stub's threads, as far as it tells of any: who they are, their names, and the registers of those that did
not stop.  What has been asked is kept until the target runs.

gdb keeps a thread's number in 31 bits.  Linux's KGDB numbers its processors' idle threads from -2 downwards,
written in 32 bits; gdb gets them with the uppermost bit gone, and the stub gets back what it said.
"""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable, Sequence

from gdbstub import commands
from gdbstub.commands import Command
from gdbstub.kernel_stack import Read, SleepingStacks
from gdbstub.link import Link
from gdbstub.registers import Description
from gdbstub.stub_registers import decode, standard
from gdbstub.target import TargetError, Thread, Unsupported

# Threads asked for; a stub that goes on listing is broken.
MAX_THREADS = 4096

_TOP = 1 << 31


class StubThreads:
    """The threads of one stub's target.  `ask` raises Unsupported for what the stub does not know."""

    def __init__(self, link: Link, ask: Callable[[Command], Awaitable[bytes]], read: Read) -> None:
        self._link = link
        self._ask = ask
        self._read = read
        self._stacks = SleepingStacks()
        self._listed: list[Thread] = []
        self._names: dict[int, str] = {}
        self._blocks: dict[int, bytes] = {}
        self._cut: set[int] = set()

    def forget(self) -> None:
        """Drop what was known: the target has run."""
        self._listed.clear()
        self._names.clear()
        self._blocks.clear()

    def number(self, told: int) -> int:
        """Return what gdb calls the thread that the stub calls `told`."""
        if told >> 31 != 1:
            return told
        self._cut.add(told & ~_TOP)
        return told & ~_TOP

    def _told(self, number: int) -> int:
        return number | _TOP if number in self._cut else number

    async def list(self) -> Sequence[Thread]:
        """Return the threads the stub lists, none if it knows of none."""
        if not self._listed:
            numbers: list[int] = []
            try:
                body = await self._ask(commands.FirstThreads())
                while body[:1] == b"m" and len(numbers) < MAX_THREADS:
                    numbers += [int(digits, 16) for digits in body[1:].split(b",")]
                    # KGDB's last page is an empty reply, which elsewhere means a packet it does not know.
                    body = await self._link.ask(commands.format(commands.MoreThreads()))
            except (Unsupported, ValueError):
                pass
            self._listed = [Thread(self.number(told)) for told in dict.fromkeys(numbers)]
        return self._listed

    async def name(self, thread: int) -> str:
        """Return what the stub calls a thread.  Raises Unsupported, TargetError."""
        if thread not in self._names:
            told = decode(await self._ask(commands.ThreadExtraInfo(self._told(thread))))
            self._names[thread] = told.partition(b"\0")[0].decode("utf-8", "replace")
        return self._names[thread]

    async def block(self, thread: int, current: int, description: Description) -> bytes:
        """Return the `g` block of a thread other than the `current` one.  Raises TargetError."""
        if thread not in self._blocks:
            await self._ask(commands.SelectThread("g", self._told(thread)))
            try:
                body = await self._link.ask(b"g")
            finally:
                await self._ask(commands.SelectThread("g", self._told(current)))
            self._blocks[thread] = await self._complete(body, thread, description)
        return self._blocks[thread]

    async def _complete(self, body: bytes, thread: int, description: Description) -> bytes:
        quirks, size = self._link.quirks, description.g_size
        try:
            raw = decode(body.replace(b"x", b"0"))
        except TargetError:
            raise TargetError(errno.ESRCH, f"the stub has no registers of thread {thread}") from None
        block = raw.ljust(size, b"\0")[:size]
        if quirks.saved is not None:
            stack = await self._stacks.find(block, description, self._read)
            if stack is not None:
                # Of a thread that sleeps the block is as it ought to be, but for this.
                return description.replace(block, {description.sp: stack})
        return standard(raw, quirks.wire, description).ljust(size, b"\0")[:size]
