"""Registers that Linux's KGDB does not tell (64-bit PowerPC, 6.1), found where the kernel keeps them.

The stub's block has the upper halves of ctr and of the word that cr is saved in, which is always zero; and
for a thread that sleeps it has no r1, without which there is no backtrace.  All of it lies in memory:

- A stop is an interrupt, which saves all registers under the stack pointer.  r1 and the size of what is saved
  say where (`Saved`); pc, msr and lr, which the stub does tell, say whether that is the place.
- A thread that sleeps has its r14 to r31 on its stack; the stack pointer to them is in its task structure,
  and one of these registers points there, since the switch to another thread, where all of them sleep, still
  holds it: at the stack pointer itself, or at the structure's beginning.  Which register, and how far from
  where it points, is searched for once (`TaskLayout`), and every use is checked against the registers.

Nothing needs symbols, and nothing is believed that does not fit: another kernel's threads stay as they are.
"""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gdbstub.registers import Description
from gdbstub.target import MemoryFault

Read = Callable[[int, int], Awaitable[bytes]]

WORD = 8
KEPT = tuple(f"r{number}" for number in range(14, 32))

# An ELF frame before the saved registers (back chain, links and a save area), and r14 among them.
FRAME = 112
KEPT_AT = FRAME + 14 * WORD

# A task structure begins with flags and, not far from there, the stack it owns; the stack pointer lies far
# behind.  Stacks are 16 KB, or more in kernels built for hunting bugs.
HEAD = 512
LONGEST_TASK = 0x2000
STACK_SIZES = (0x4000, 0x8000, 0x10000)

# Threads that may fail to show a layout before nobody looks any more: looking costs kilobytes.
MAX_FAILURES = 3


@dataclass(frozen=True, slots=True)
class Saved:
    """Where an interrupt saves the registers: `below` r1, in words named by `order`.  `known` tell that this
    is the place, `wanted` are those that the stub does not tell.
    """

    below: int
    order: tuple[str, ...]
    known: tuple[str, ...]
    wanted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TaskLayout:
    """Where a sleeping thread's stack pointer is: so far from what the register points at."""

    register: str
    offset: int


async def find_saved(
    saved: Saved, block: bytes, description: Description, read: Read
) -> dict[str, tuple[int, int]]:
    """Return address and value of the wanted registers; nothing if the registers are not there."""
    first = min(saved.order.index(name) for name in (*saved.known, *saved.wanted))
    names = saved.order[first:]
    start = description.value(block, description.sp) - saved.below + first * WORD
    try:
        words = dict(zip(names, _words(await read(start, len(names) * WORD)), strict=True))
    except (MemoryFault, ValueError):
        return {}
    if any(words[name] != description.value(block, name) for name in saved.known):
        return {}
    return {name: (start + names.index(name) * WORD, words[name]) for name in saved.wanted}


class SleepingStacks:
    """Finds r1 of threads that sleep."""

    def __init__(self) -> None:
        self._layout: TaskLayout | None = None
        self._failures = 0

    async def find(self, block: bytes, description: Description, read: Read) -> int | None:
        """Return r1 of the thread whose other registers `block` holds, or None if it does not show."""
        kept = [description.value(block, name) for name in KEPT]
        if self._layout is None and self._failures < MAX_FAILURES:
            self._layout = await _find_layout(kept, read)
            self._failures += self._layout is None
        if self._layout is None:
            return None
        task = description.value(block, self._layout.register)
        try:
            (stack,) = _words(await read(task + self._layout.offset, WORD))
            return await _caller(stack, kept, read)
        except (MemoryFault, ValueError):
            return None


async def _find_layout(kept: list[int], read: Read) -> TaskLayout | None:
    pointers = {name: value for name, value in zip(KEPT, kept, strict=True) if _is_kernel(value)}
    for name, value in pointers.items():
        try:
            (stack,) = _words(await read(value, WORD))
        except (MemoryFault, ValueError):
            continue
        if _is_kernel(stack) and await _caller(stack, kept, read) is not None:
            return TaskLayout(name, 0)
    for name, value in pointers.items():
        try:
            head = _words(await read(value, HEAD))
        except MemoryFault:
            continue
        stacks = {word for word in head if _is_kernel(word) and not word % min(STACK_SIZES)}
        for offset, word in enumerate(_words(await _read_far(value, read)) if stacks else ()):
            is_on_stack = word not in stacks and any(word & -size in stacks for size in STACK_SIZES)
            if is_on_stack and await _caller(word, kept, read) is not None:
                return TaskLayout(name, offset * WORD)
    return None


async def _read_far(start: int, read: Read) -> bytes:
    """Return as much of a structure as there is."""
    data = b""
    while len(data) < LONGEST_TASK:
        try:
            piece = await read(start + len(data), HEAD)
        except MemoryFault:
            break
        data += piece
        if len(piece) < HEAD:
            break
    return data


async def _caller(stack: int, kept: list[int], read: Read) -> int | None:
    """Return the stack pointer of who went to sleep there, if these are his registers."""
    try:
        raw = await read(stack, KEPT_AT + len(KEPT) * WORD)
    except MemoryFault:
        return None
    words = _words(raw)
    return words[0] if words[KEPT_AT // WORD :] == kept else None


def _words(raw: bytes) -> list[int]:
    return list(struct.unpack(f">{len(raw) // WORD}Q", raw[: len(raw) & -WORD]))


def _is_kernel(word: int) -> bool:
    """True for an address in the kernel's linear mapping, on the boundary of a word."""
    return word >> 60 == 0xC and not word & 7
