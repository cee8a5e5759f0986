"""Ctrl-C before and behind a command's work.

Python makes an exception of SIGINT, which serves whoever has something to clean up. While a program is being
imported nobody has, nor while the interpreter ends, and a traceback tells nobody anything: there the signal
ends the process, as it ends one that is written in C. A SIGINT that whoever started us has ignored stays
ignored.

Nothing is imported here but `signal`: this is the first that a command does.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


def end_the_process() -> None:
    """From now on Ctrl-C ends the process, but for `raised`."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def raised() -> Iterator[None]:
    """Ctrl-C is KeyboardInterrupt here, as it is in a Python that nobody has told otherwise."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
