"""How every command runs its async part: a Ctrl-C arrives where everything can be cleaned up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar, TypeVarTuple

import trio

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")


def run_async(main: Callable[[*Arguments], Awaitable[Result]], *arguments: *Arguments) -> Result:
    """Run `main` under trio.  Ctrl-C becomes KeyboardInterrupt, alone or in a group, when all is closed."""
    return trio.run(main, *arguments, restrict_keyboard_interrupt_to_checkpoints=True)
