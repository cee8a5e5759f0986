"""Exceptions that a debugger wants to hear of, by the vector they enter their handler at (`monitor catch`).

A catch is a stop at the first instruction of the handler, with SRR0 and SRR1 telling where it came from: no
engine is slower for it.  What jumps to a vector by itself is caught as well.
"""

from __future__ import annotations

from emulator.cpu.interrupts import Vector


class Catches:
    """The vectors that are caught, and which of them is being left."""

    def __init__(self) -> None:
        self.vectors: set[Vector] = set()
        self._left: tuple[int, int] | None = None

    def add(self, text: str) -> None:
        """Catch the exception of a name or a vector's number.  Raises ValueError."""
        self.vectors.add(_vector(text))

    def clear(self) -> None:
        """Catch nothing."""
        self.vectors.clear()

    def show(self) -> str:
        """Return what is caught, in words."""
        if not self.vectors:
            return "no exception is caught; `monitor catch NAME` or `monitor catch 0x700` catches one"
        return "\n".join(f"catches {_name(vector)} ({vector:#x})" for vector in sorted(self.vectors))

    def leave(self, pc: int, icount: int) -> None:
        """Note where and when the machine goes on: it is not stopped once more by the same exception."""
        self._left = pc, icount

    def is_caught(self, pc: int, icount: int) -> bool:
        """Tell whether a machine that has come to `pc` has taken an exception to stop for."""
        return pc in self.vectors and self._left != (pc, icount)


def _name(vector: Vector) -> str:
    return vector.name.lower().replace("_", "-")


def _vector(text: str) -> Vector:
    try:
        return Vector(int(text, 0))
    except ValueError:
        named = {_name(vector): vector for vector in Vector}
        if text.lower().replace("_", "-") in named:
            return named[text.lower().replace("_", "-")]
    known = ", ".join(f"{_name(vector)} ({vector:#x})" for vector in Vector)
    raise ValueError(f"there is no exception {text}; there are {known}")
