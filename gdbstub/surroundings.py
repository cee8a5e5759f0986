"""What a stub's owner can do for it: the way around a stub that cannot do everything itself.

The client of a stub knows nothing but the line to it.  Whoever made that line may know more: a console to
type on, a kernel's file, the text beside the packets.
"""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from gdbstub.target import TargetError


async def _no_way_in() -> None:
    raise TargetError(
        errno.EBUSY,
        "the kernel runs and its stub cannot be interrupted: enter its debugger from the console",
    )


async def _no_console() -> bytes:
    return b""


@dataclass(frozen=True)
class Surroundings:
    """What a stub's owner can do for it.

    `break_in` makes a running target enter its debugger, or raises TargetError saying what the user can do.
    `keys` are typed for it on the stub's own line, where that is the console's as well.
    `on_text` hears what the stub says besides packets.  `describe` gives an address its name.  `forbidden`
    are the addresses of the stub's own code, where a trap would kill it.  `register_blocks` are places where
    its registers may lie in memory; they are tried.  `console` brings the last of what the console
    shows.  `text` tells what a kernel's file says is at an address and never changes, and `function` which
    function it has there.  `executable` is that file's absolute name, for a debugger without a
    file.
    """

    break_in: Callable[[], Awaitable[None]] = _no_way_in
    keys: bytes = b""
    on_text: Callable[[bytes], None] = lambda text: None
    describe: Callable[[int], str] = hex
    forbidden: Sequence[range] = ()
    register_blocks: Sequence[int] = ()
    console: Callable[[], Awaitable[bytes]] = _no_console
    text: Callable[[int, int], bytes | None] = lambda addr, length: None
    function: Callable[[int], range | None] = lambda addr: None
    executable: str = ""
