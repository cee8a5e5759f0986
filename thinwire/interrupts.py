"""Ctrl-C before and behind a command's work.

Python makes an exception of SIGINT, which serves whoever has something to clean up. While a program is being
imported nobody has, nor while the interpreter ends, and a traceback tells nobody anything: there the signal
ends the process, as it ends one that is written in C. `lifetime.interruptible` is for the time between.

This is the first that a command does, so nothing is imported here that could be interrupted.
"""

import signal


def end_the_process() -> None:
    """From now on Ctrl-C ends the process; whoever started us may have it ignored, and it stays so."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
