"""Progress of long work: one line on a terminal, rewritten now and then; nothing where nobody watches."""

from __future__ import annotations

import sys
import time

INTERVAL = 0.2


class Progress:
    """`with Progress("steps", of=1000) as progress: progress.show(done)`; a failure leaves its line."""

    def __init__(self, unit: str, of: int | None = None) -> None:
        self._unit = unit if of is None else f"of {of:,} {unit}"
        self._is_watched = sys.stderr.isatty()
        self._next = time.monotonic() + INTERVAL
        self._has_shown = False
        self._done = 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, failure: object, *_exc: object) -> None:
        if self._has_shown:
            # In spaces: not every terminal knows how to clear a line.
            sys.stderr.write(f"\r{' ' * len(self._line)}\r" if failure is None else f"\r{self._line}\n")
            sys.stderr.flush()

    def show(self, done: int) -> None:
        """Say how much is done, if it is time to say something again."""
        self._done = done
        if self._is_watched and time.monotonic() >= self._next:
            self._next = time.monotonic() + INTERVAL
            self._has_shown = True
            sys.stderr.write(f"\r{self._line}")
            sys.stderr.flush()

    @property
    def _line(self) -> str:
        return f"{self._done:,} {self._unit}"
