"""Register descriptions as data, and everything that follows from them.

A `Description` is what gdb calls a target description: features holding registers, in the order of their
numbers.  From it this module derives the XML that `qXfer:features:read:target.xml` answers, the layout of
the packed `g` block, and the number a `p` or `P` packet names.  Nothing else in the package writes down a
register number or an offset.

The `g` block is the concatenation of the registers with `in_g`, by ascending number, without padding, each
in the target's byte order.  gdb finds out from the block's length which registers it holds and asks for the
rest with `p` (GDB manual, "Target Description Format" and `g` in "Packets"), so the registers outside the
block must be the ones with the highest numbers; `Description` checks it.

It does not know what any register means: `ppc64` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

ByteOrder = Literal["big", "little"]


@dataclass(frozen=True, slots=True)
class Register:
    """One register as gdb sees it: `bits` wide, `type` a gdb type name, `in_g` if the `g` block holds it."""

    number: int
    name: str
    bits: int
    type: str = "int"
    group: str = ""
    in_g: bool = True

    @property
    def size(self) -> int:
        """Width in bytes."""
        return self.bits // 8


@dataclass(frozen=True, slots=True)
class Feature:
    """A named set of registers; `types` is the XML of types they need beyond gdb's predefined ones."""

    name: str
    registers: tuple[Register, ...]
    types: str = ""


@dataclass(frozen=True)
class Description:
    """A machine's registers.  `pc` and `sp` are names, `expedite` those worth sending with every stop;
    `expedited` are their numbers and where they lie in the `g` block.
    """

    architecture: str
    features: tuple[Feature, ...]
    pc: str
    sp: str
    expedite: tuple[str, ...] = ()
    byte_order: ByteOrder = "big"
    registers: tuple[Register, ...] = field(init=False)
    numbers: Mapping[str, int] = field(init=False)
    by_number: Mapping[int, Register] = field(init=False)
    offsets: Mapping[str, int] = field(init=False)
    spans: Mapping[str, slice] = field(init=False)
    g_size: int = field(init=False)
    expedited: tuple[tuple[int, slice], ...] = field(init=False)

    def __post_init__(self) -> None:
        ordered = sorted((r for f in self.features for r in f.registers), key=lambda r: r.number)
        by_number = {r.number: r for r in ordered}
        numbers = {r.name: r.number for r in ordered}
        if not len(by_number) == len(numbers) == len(ordered):
            raise ValueError(f"{self.architecture}: a register name or number is used twice")
        if [r.in_g for r in ordered] != sorted((r.in_g for r in ordered), reverse=True):
            raise ValueError(f"{self.architecture}: a register outside the g block precedes one inside it")
        offsets: dict[str, int] = {}
        spans: dict[str, slice] = {}
        position = 0
        for register in ordered:
            if register.in_g:
                offsets[register.name] = position
                spans[register.name] = slice(position, position + register.size)
                position += register.size
        set_ = object.__setattr__
        set_(self, "registers", tuple(ordered))
        set_(self, "numbers", numbers)
        set_(self, "by_number", by_number)
        set_(self, "offsets", offsets)
        set_(self, "spans", spans)
        set_(self, "g_size", position)
        set_(self, "expedited", tuple((numbers[name], spans[name]) for name in self.expedite))

    def register(self, name: str) -> Register:
        """Return the register called `name`.  Raises KeyError."""
        return self.by_number[self.numbers[name]]

    def span(self, name: str) -> slice:
        """Return where `name` lies in the `g` block.  Raises KeyError if it is not in it."""
        return self.spans[name]

    def value(self, block: bytes, name: str) -> int:
        """Return register `name` out of a `g` block, as an unsigned number."""
        return int.from_bytes(block[self.spans[name]], self.byte_order)

    def replace(self, block: bytes, values: Mapping[str, int]) -> bytes:
        """Return `block` with the named registers changed; values are taken modulo the register's width."""
        changed = bytearray(block)
        for name, value in values.items():
            changed[self.spans[name]] = self.encode(name, value)
        return bytes(changed)

    def encode(self, name: str, value: int) -> bytes:
        """Return `value` as register `name` is written on the wire."""
        register = self.register(name)
        return (value & ((1 << register.bits) - 1)).to_bytes(register.size, self.byte_order)

    def decode(self, raw: bytes) -> int:
        """Return the number that a register's wire bytes stand for."""
        return int.from_bytes(raw, self.byte_order)

    def pack(self, values: Mapping[str, int]) -> bytes:
        """Return the `g` block holding `values`; registers not named are zero."""
        # Once for every stop: as short as it can be.
        order = self.byte_order
        return b"".join(
            [
                (values.get(name, 0) & ((1 << 8 * (span.stop - span.start)) - 1)).to_bytes(
                    span.stop - span.start, order
                )
                for name, span in self.spans.items()
            ]
        )

    def unpack(self, block: bytes) -> dict[str, int]:
        """Return every register of a `g` block by name."""
        order = self.byte_order
        return {name: int.from_bytes(block[span], order) for name, span in self.spans.items()}

    def xml(self) -> str:
        """Return the target description document (GDB manual, "Target Description Format")."""
        return "".join(_document(self))


def _document(description: Description) -> Iterable[str]:
    yield '<?xml version="1.0"?>\n<!DOCTYPE target SYSTEM "gdb-target.dtd">\n<target version="1.0">\n'
    yield f"<architecture>{description.architecture}</architecture>\n"
    expected = 0
    for feature in description.features:
        yield f'<feature name="{feature.name}">\n{feature.types}'
        for register in feature.registers:
            # gdb reads the document in pieces of 4 KB, a round trip each: say nothing that is understood.
            number = "" if register.number == expected else f' regnum="{register.number}"'
            group = f' group="{register.group}"' if register.group else ""
            shape = f'bitsize="{register.bits}" type="{register.type}"'
            yield f'<reg name="{register.name}" {shape}{group}{number}/>\n'
            expected = register.number + 1
        yield "</feature>\n"
    yield "</target>\n"
