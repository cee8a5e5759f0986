"""How long a program of ours runs: until its work ends, an interrupt, or a request to terminate.

`run` is `trio.run` with SIGTERM and SIGHUP heard: they cancel the work, so that links, sockets and terminals
are put back, and then raise `Terminated`. Ctrl-C arrives as KeyboardInterrupt where trio can clean up, if it
is an exception at all (`interruptible`). A signal that whoever started us has ignored stays ignored: `nohup`
does that to SIGHUP, and a script's shell does it to the SIGINT of what it puts into the background. The
second SIGTERM is the system's own: it ends the process whatever that is doing.

What has been imported until then is kept from the garbage collector, which would look through all of it now
and then, and let nothing else run for 15 ms.

`keep_standard_descriptors` belongs at the very start of a program: a descriptor that is closed (`>&-`) would
otherwise be taken by the next socket, and messages would go there. `flush_output` belongs at its end.
"""

import gc
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar, TypeVarTuple

import trio

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")

_REQUESTS = (signal.SIGTERM, signal.SIGHUP)


class Terminated(BaseException):
    """A signal has asked us to end, and everything is cleaned up."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.strsignal(number))
        self.number = number


def run(main: Callable[[*Arguments], Awaitable[Result]], *arguments: *Arguments) -> Result:
    """Run `main` under trio. Raises Terminated, and KeyboardInterrupt alone or in a group, when all is
    closed.
    """
    gc.freeze()
    return trio.run(_run, main, arguments, restrict_keyboard_interrupt_to_checkpoints=True)


async def _run(main: Callable[[*Arguments], Awaitable[Result]], arguments: tuple[*Arguments]) -> Result:
    heard = [number for number in _REQUESTS if signal.getsignal(number) is not signal.SIG_IGN]
    requested: list[int] = []
    scope = trio.CancelScope()

    async def listen() -> None:
        with trio.open_signal_receiver(*heard) as signals:
            requested.append(await anext(signals))
        scope.cancel()

    # Another thread than the first cannot hear signals: who runs us there ends us in his own way.
    if heard and threading.current_thread() is threading.main_thread():
        trio.lowlevel.spawn_system_task(listen)
    with scope:
        return await main(*arguments)
    raise Terminated(requested[0])


@contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C is KeyboardInterrupt here, although `interrupts.end_the_process` was called before."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def keep_standard_descriptors() -> None:
    """Put the null device where standard input, output or error is closed."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free


def flush_output() -> None:
    """Write what `print` has gathered; if nobody takes it, let the interpreter not complain of it either."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
