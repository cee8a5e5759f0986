"""Progress of long work: one line on a terminal, rewritten now and then; nothing where nobody watches."""

from __future__ import annotations

import sys
import time

INTERVAL = 0.2


class Progress:
    """`with Progress("steps") as progress: progress.show(done)`"""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._is_watched = sys.stderr.isatty()
        self._next = time.monotonic() + INTERVAL
        self._has_shown = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._has_shown:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()

    def show(self, done: int) -> None:
        """Say how much is done, if it is time to say something again."""
        if self._is_watched and time.monotonic() >= self._next:
            self._next = time.monotonic() + INTERVAL
            self._has_shown = True
            sys.stderr.write(f"\r{done:,} {self._unit}\033[K")
            sys.stderr.flush()
