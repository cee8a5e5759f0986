"""A record of single steps: what one is, the file they are kept in, and how they are shown.

A step is one completed instruction: where it stood, its word, and the registers it left changed, with their
new values.  Steps come from our own machine (`record`) or, through the same `Step`, from any stub that steps.

The file, all numbers big-endian:

    header   8 bytes   "K42STEP1"
             4         length of the rest of the header
             2         length of the program's path, then the path, UTF-8; may be empty
             2         number of registers, then for each: 1 byte length of its name, the name, 1 byte width
                       in bytes
    step     1         bit 7: a pc follows, else it is the previous step's pc + 4; bits 0-6: changed registers
             8         pc, if bit 7 is set
             4         instruction word
             n times   1 byte index into the header's registers, then the value in its width

so that a step costs 5 bytes and 9 more for each register it changed; ten million steps take about 150 MB.
Reading and writing are incremental.  More than 127 changed registers in one step do not occur: there are not
that many a word can change, and what does not fit is an error of the writer's caller.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from emulator.cpu.exits import ExitKind
from emulator.cpu.registers import SYSTEM, USER, Register
from emulator.cpu.state import INDEX, MASK64, CpuState
from emulator.machine import Machine
from emulator.symbols import Symbols

MAGIC = b"K42STEP1"
_HAS_PC = 0x80
MOST_CHANGES = 0x7F
#: A header this long is no header of ours.
LONGEST_HEADER = 1 << 20
_PC = struct.Struct(">Q")
_WORD = struct.Struct(">I")

#: What our machine's traces watch: all but pc, which every step has.
_TRACED = tuple(r for r in (*USER, *SYSTEM) if r.name != "pc")
MACHINE_REGISTERS: Mapping[str, int] = {r.name: r.bits // 8 for r in _TRACED}


class TraceError(Exception):
    """The file is not a trace, or is damaged; one line for the user."""


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction that was executed: `changes` are register name and new value."""

    pc: int
    word: int
    changes: tuple[tuple[str, int], ...] = ()


class TraceWriter:
    """Writes steps to a file as they come."""

    def __init__(
        self, file: BinaryIO, registers: Mapping[str, int] = MACHINE_REGISTERS, path: str = ""
    ) -> None:
        """Write the header: the names of the registers that may change, with their widths in bytes."""
        self._file = file
        self._registers = {name: (index, width) for index, (name, width) in enumerate(registers.items())}
        self._next_pc: int | None = None
        name = path.encode()
        body = len(name).to_bytes(2, "big") + name + len(registers).to_bytes(2, "big")
        for register, width in registers.items():
            encoded = register.encode()
            body += bytes([len(encoded)]) + encoded + bytes([width])
        file.write(MAGIC + _WORD.pack(len(body)) + body)

    def write(self, step: Step) -> None:
        """Append one step.  Raises ValueError for more than 127 changes, KeyError for an unknown register."""
        if len(step.changes) > MOST_CHANGES:
            raise ValueError(f"{len(step.changes)} registers changed in one step")
        follows = step.pc == self._next_pc
        parts = [bytes([len(step.changes) | (0 if follows else _HAS_PC)])]
        if not follows:
            parts.append(_PC.pack(step.pc))
        parts.append(_WORD.pack(step.word))
        for name, value in step.changes:
            index, width = self._registers[name]
            parts.append(bytes([index]) + value.to_bytes(width, "big"))
        self._file.write(b"".join(parts))
        self._next_pc = step.pc + 4 & (1 << 64) - 1


class TraceReader:
    """Reads steps from a file, one after another; `path` is the program's."""

    def __init__(self, file: BinaryIO) -> None:
        """Read the header.  Raises TraceError."""
        self._file = file
        self._offset = 0
        magic = file.read(len(MAGIC))
        self._offset = len(magic)
        if not magic:
            raise TraceError("the trace is empty: its recording did not get to the first step")
        if magic != MAGIC:
            raise TraceError("not a trace file: it does not begin with K42STEP1")
        length = int.from_bytes(self._take(4), "big")
        if length > LONGEST_HEADER:
            raise TraceError("damaged trace file: its header is too long")
        header = self._take(length)
        try:
            self.path, self._registers = _parse_header(header)
        except (IndexError, UnicodeDecodeError) as error:
            raise TraceError("damaged trace file: its header makes no sense") from error

    def __iter__(self) -> Iterator[Step]:
        """Return the steps.  Raises TraceError where the file is damaged or ends within a step."""
        pc = 0
        while first := self._file.read(1):
            self._offset += 1
            count = first[0] & MOST_CHANGES
            if first[0] & _HAS_PC:
                pc = int.from_bytes(self._take(8), "big")
            word = int.from_bytes(self._take(4), "big")
            changes = tuple(self._change() for _ in range(count))
            yield Step(pc, word, changes)
            pc = pc + 4 & (1 << 64) - 1

    def _change(self) -> tuple[str, int]:
        index = self._take(1)[0]
        if index >= len(self._registers):
            raise TraceError(f"damaged trace file: no register {index} at offset {self._offset - 1}")
        name, width = self._registers[index]
        return name, int.from_bytes(self._take(width), "big")

    def _take(self, length: int) -> bytes:
        data = self._file.read(length)
        self._offset += len(data)
        if len(data) < length:
            raise TraceError(f"the trace file ends in the middle of a record, at offset {self._offset}")
        return data


def _parse_header(header: bytes) -> tuple[str, list[tuple[str, int]]]:
    length = int.from_bytes(header[:2], "big")
    path = header[2 : 2 + length].decode()
    at = 2 + length
    count = int.from_bytes(header[at : at + 2], "big")
    at += 2
    registers = []
    for _ in range(count):
        end = at + 1 + header[at]
        registers.append((header[at + 1 : end].decode(), header[end]))
        at = end + 1
    return path, registers


# Recording our own machine ---------------------------------------------------------------------------------


def record(machine: Machine, count: int) -> Iterator[Step]:
    """Step `machine` up to `count` times and return what each step did; ends early where the machine stops.

    An interrupt is a step of its own: the instruction that raised it, or that it came before, with SRR0, SRR1
    and MSR changed.
    """
    changes = _Changes(machine)
    for _ in range(count):
        pc, word = machine.state.pc, machine.next_word()
        if machine.step().kind is not ExitKind.BUDGET:
            return
        yield Step(pc, word, changes.since_last())


class _Changes:
    """Finds which registers have changed, by exclusive-or of all their words as one long number."""

    def __init__(self, machine: Machine) -> None:
        self._state = machine.state
        self._words = machine.state.words[: INDEX["icount"]]
        #: For each word, the register it holds or holds a part of.
        self._register: dict[int, Register] = {}
        scratch = CpuState()
        for index in range(len(self._words)):
            scratch.words[index] = MASK64
            self._register.update((index, register) for register in _TRACED if register.read(scratch))
            scratch.words[index] = 0
        self._before = self._look()

    def _look(self) -> int:
        # Word 0 in the lowest 64 bits, whatever the host's byte order.
        if sys.byteorder == "little":
            return int.from_bytes(self._words, "little")
        return int.from_bytes(b"".join(w.to_bytes(8, "little") for w in self._words), "little")

    def since_last(self) -> tuple[tuple[str, int], ...]:
        now = self._look()
        different = now ^ self._before
        self._before = now
        changed: dict[str, int] = {}
        while different:
            index = (different.bit_length() - 1) // 64
            different &= (1 << 64 * index) - 1
            register = self._register.get(index)
            if register is not None:
                changed[register.name] = register.read(self._state)
        return tuple(reversed(changed.items()))


# Showing ---------------------------------------------------------------------------------------------------


def format_step(number: int, step: Step, symbols: Symbols) -> str:
    """Return one line: number, pc, symbol, instruction word, changed registers."""
    name = symbols.name(step.pc) or "?"
    changes = " ".join(f"{register}={value:x}" for register, value in step.changes)
    return f"{number:8} {step.pc:016x} {name:<32} {step.word:08x}  {changes}".rstrip()


def format_steps(steps: Iterable[Step], symbols: Symbols, first: int = 0) -> Iterator[str]:
    """Return the lines of `steps`, numbered from `first`."""
    for number, step in enumerate(steps, first):
        yield format_step(number, step, symbols)
