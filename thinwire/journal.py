"""What a program of ours says beside its work: messages and listings, to a standard descriptor.

Whoever reads them must not be able to stop the wire. A reader that is slow is waited for, a moment; one that
takes nothing is not waited for again until it does, and what it has missed is counted in a line. The same
kind of message, again and again, is said some times, then every few seconds with the number of those left
out, so that no victim and no client can fill a disk with them.
"""

import logging
import os
import select
import time

from thinwire import descriptors

MOMENT = 0.05
"""Seconds that a full pipe is waited for."""
BURST = 20
"""So many messages of a kind are said before they are counted instead."""
PAUSE = 5.0
"""Seconds between the messages of a kind that has been said too often."""
_KINDS = 256


class Journal:
    """Text to a descriptor that may not take it."""

    def __init__(self, descriptor: int) -> None:
        self._sink = descriptors.reopen(descriptor, os.O_WRONLY)
        self._rest = b""
        self._missed = 0
        self._is_stuck = False

    def write(self, text: str) -> None:
        """Add whole lines."""
        if self._rest and not self._put(b""):
            self._missed += text.count("\n")
            return
        note = f"[{self._missed} lines are missing: nobody read them]\n" if self._missed else ""
        self._missed = 0
        self._put((note + text).encode(errors="replace"))

    def _put(self, data: bytes) -> bool:
        """Write what fits; whether nothing is left over."""
        data = self._rest + data
        while data:
            count = descriptors.write_now(self._sink, [data])
            if count < 0:
                data = b""  # nobody will ever read it
            elif count == 0:
                if self._is_stuck or not select.select([], [self._sink], [], MOMENT)[1]:
                    self._is_stuck = True
                    break
            else:
                self._is_stuck = False
                data = data[count:]
        self._rest = data
        return not data


class Handler(logging.Handler):
    """Log records to a journal."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self._journal = journal
        self.addFilter(Throttle())

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler."""
        self._journal.write(self.format(record) + "\n")


class Throttle(logging.Filter):
    """Lets few of many messages of the same kind through; debugging is left alone."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, int] = {}
        self._left_out: dict[str, int] = {}
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """See logging.Filter. A kind is the message before its arguments are put in."""
        if record.levelno <= logging.DEBUG:
            return True
        kind, now = str(record.msg), time.monotonic()
        if len(self._last) > _KINDS:
            self._said.clear()
            self._last.clear()
        rested = now - self._last.get(kind, -PAUSE)
        if rested > PAUSE * BURST:
            self._said[kind] = 0
        if self._said.get(kind, 0) >= BURST and rested < PAUSE:
            self._left_out[kind] = self._left_out.get(kind, 0) + 1
            return False
        self._said[kind] = self._said.get(kind, 0) + 1
        self._last[kind] = now
        left_out = self._left_out.pop(kind, 0)
        if left_out:
            record.msg = f"{record.msg} ({left_out} more like it)"
        return True
