"""The instruction table: bit patterns, what they decode to, and the forms an engine compiles.

    @insn("011111 rt:5 ra:5 rb:5 oe:1 100001010 rc:1")
    def add(t, rt, ra, rb, oe, rc): ...

A pattern is 32 bits of literals and fields (`name:width`), most significant first.  A field in two parts,
such as sh of rldicl, is written twice and concatenated in the order written.  `-:n` are reserved bits; the
hardware ignores them, so they take no part in decoding.  Two patterns that match a common word are an error
at import, unless the narrower one says `special=True` (all its words are taken away from the wider one).

An effect's parameter names choose the operands: each is a field of the pattern or a key of what
`operands=`, a function on plain ints, returns; isa/operands says what a name means.

An instruction *form* is an instruction with its known ints, in 64- or 32-bit mode if that matters to it:
what an engine compiles once.  `decode` turns a word into a form and the numbers that go with it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import import_module
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

from emulator.cpu.interrupts import PROGRAM_ILLEGAL, Vector, illegal
from emulator.isa.builder import Builder
from emulator.isa.operands import KINDS, MAX_SLOTS, Role
from emulator.isa.values import Op, Slot, raises

if TYPE_CHECKING:
    from emulator.cpu.processor import Processor

Effect = Callable[..., None]
FieldFunction = Callable[..., dict[str, int]]


class PatternError(ValueError):
    """An instruction is written down wrongly; raised while the table is being built."""


@dataclass(frozen=True, slots=True, eq=False)
class Instruction:
    """One row of the table.  `fields` maps a name to its parts, each (shift, width), in order."""

    name: str
    pattern: str
    mask: int
    bits: int
    fields: dict[str, tuple[tuple[int, int], ...]]
    effect: Effect
    operands: FieldFunction | None
    operand_fields: tuple[str, ...]
    parameters: tuple[str, ...]
    is_special: bool

    @property
    def section(self) -> str:
        """The module that defines it: branch, arithmetic, ..."""
        return self.effect.__module__.rpartition(".")[2]

    def field(self, name: str, word: int) -> int:
        """Extract a field of `word`, its parts concatenated."""
        value = 0
        for shift, width in self.fields[name]:
            value = value << width | word >> shift & (1 << width) - 1
        return value

    def encode(self, **fields: int) -> int:
        """Build a word; fields not given are 0, and so are reserved bits.  The inverse of `field`."""
        word = self.bits
        for name, value in fields.items():
            for shift, width in reversed(self.fields[name]):
                word |= (value & (1 << width) - 1) << shift
                value >>= width
        return word


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """An instruction with everything known that selects code.  There is one object for each form."""

    instruction: Instruction
    known: tuple[int, ...]
    is64: bool

    @property
    def name(self) -> str:
        """A unique identifier, such as add_oe0_rc1."""
        names = (p for p in self.instruction.parameters if KINDS[p].role is Role.KNOWN)
        parts = [self.instruction.name, *(f"{n}{v}" for n, v in zip(names, self.known, strict=True))]
        return "_".join(parts if self.is64 else [*parts, "mode32"])


class Decoded(NamedTuple):
    """A form and the numbers of one particular word."""

    form: Form
    slots: tuple[int, ...]
    immediate: int
    #: The immediate is the displacement of a branch, relative to the instruction's own address.
    is_relative: bool


#: The files of the instruction set, in the manual's order.
SECTIONS = (
    "branch",
    "arithmetic",
    "logic",
    "load_store",
    "multiple",
    "storage_control",
    "float_move",
    "float_arithmetic",
    "vector_move",
    "vector",
    "system",
    "translation",
)

_instructions: list[Instruction] = []
#: For each primary opcode: (mask, {bits: instruction}), narrowest masks first.
_tables: list[list[tuple[int, dict[int, Instruction]]]] = [[] for _ in range(64)]


def insn(
    pattern: str,
    *,
    special: bool = False,
    operands: FieldFunction | None = None,
    parameters: tuple[str, ...] | None = None,
) -> Callable[[Effect], Effect]:
    """Register the decorated effect for the words that match `pattern`.  Raises PatternError.

    `parameters` names the effect's parameters where its signature does not.
    """

    def register(effect: Effect) -> Effect:
        mask, bits, fields = _parse(pattern)
        name = effect.__name__
        names = parameters or tuple(inspect.signature(effect).parameters)[1:]
        operand_fields = tuple(inspect.signature(operands).parameters) if operands else ()
        _check_parameters(name, names, operand_fields, fields, has_function=operands is not None)
        row = Instruction(name, pattern, mask, bits, fields, effect, operands, operand_fields, names, special)
        _insert(row)
        return effect

    return register


def _parse(pattern: str) -> tuple[int, int, dict[str, tuple[tuple[int, int], ...]]]:
    mask = bits = 0
    fields: dict[str, tuple[tuple[int, int], ...]] = {}
    position = 32
    for token in pattern.split():
        name, _, width_text = token.partition(":")
        width = int(width_text) if width_text else len(name)
        position -= width
        if position < 0:
            break
        if name[0] in "01":
            mask |= ((1 << width) - 1) << position
            bits |= int(name, 2) << position
        elif name != "-":
            fields[name] = (*fields.get(name, ()), (position, width))
    if position:
        raise PatternError(f"pattern {pattern!r} is not 32 bits wide")
    return mask, bits, fields


def _check_parameters(
    name: str,
    parameters: tuple[str, ...],
    operand_fields: tuple[str, ...],
    fields: dict[str, tuple[tuple[int, int], ...]],
    *,
    has_function: bool,
) -> None:
    if missing := set(operand_fields) - set(fields):
        raise PatternError(f"{name}: no field {sorted(missing)}")
    if unknown := set(parameters) - set(KINDS):
        raise PatternError(f"{name}: no kind for {sorted(unknown)}")
    if not has_function and (missing := set(parameters) - set(fields)):
        raise PatternError(f"{name}: no field {sorted(missing)}")
    if not has_function and any(len(fields[p]) > 1 for p in parameters):
        raise PatternError(f"{name}: a field in two parts needs a function to join it")
    roles = [KINDS[p].role for p in parameters]
    if sum(r in (Role.PLACE, Role.SMALL) for r in roles) > MAX_SLOTS:
        raise PatternError(f"{name}: more than {MAX_SLOTS} slots")
    if sum(r in (Role.IMMEDIATE, Role.TARGET) for r in roles) > 1:
        raise PatternError(f"{name}: more than one immediate")


def _insert(row: Instruction) -> None:
    if row.mask >> 26 != 0x3F:
        raise PatternError(f"{row.name}: the primary opcode is not fixed")
    table = _tables[row.bits >> 26]
    for _, rows in table:
        for other in rows.values():
            if (row.bits ^ other.bits) & row.mask & other.mask:
                continue
            narrow, wide = (row, other) if row.is_special else (other, row)
            if not narrow.is_special or wide.is_special or narrow.mask & wide.mask != wide.mask:
                raise PatternError(f"{row.name} and {other.name} overlap")
    for mask, rows in table:
        if mask == row.mask:
            rows[row.bits] = row
            break
    else:
        table.append((row.mask, {row.bits: row}))
        table.sort(key=lambda entry: entry[0].bit_count(), reverse=True)
    _instructions.append(row)


def instructions() -> tuple[Instruction, ...]:
    """Return the whole table, in the order of the ISA's files."""
    _load()
    return tuple(_instructions)


@cache
def _load() -> None:
    for section in SECTIONS:
        import_module(f"emulator.isa.{section}")


@raises(Vector.PROGRAM, PROGRAM_ILLEGAL)
def _raise_illegal(processor: Processor) -> int:
    raise illegal()


def _illegal(t: Builder) -> None:
    """Take the program interrupt of an illegal instruction. Book I 1.8.2."""
    t.stop_if(t.condition(True), _raise_illegal)


#: What every word without a row of its own is.
ILLEGAL = Instruction("illegal", "-:32", 0, 0, {}, _illegal, None, (), (), False)


def find(word: int) -> Instruction:
    """Return the instruction that `word` encodes, or ILLEGAL."""
    _load()
    for mask, rows in _tables[word >> 26]:
        row = rows.get(word & mask)
        if row is not None:
            return row
    return ILLEGAL


@lru_cache(maxsize=65536)
def decode(word: int, is64: bool = True) -> Decoded:
    """Decode a 32-bit word in 64- or 32-bit mode."""
    row = find(word)
    given: dict[str, int] = {}
    if row.operands is not None:
        given = row.operands(*[row.field(name, word) for name in row.operand_fields])
    known: list[int] = []
    slots: list[int] = []
    immediate = 0
    for name, role, shift, mask, finish in _plan(row):
        number = given.get(name, word >> shift & mask)
        match role:
            case Role.PLACE | Role.SMALL:
                slots.append(finish(number))
            case Role.KNOWN:
                known.append(number)
            case _:
                immediate = finish(number)
    is_relative = "aa" in row.fields and not word & 2
    return Decoded(_form(row, tuple(known), is64), tuple(slots), immediate, is_relative)


def pack(word: int, is64: bool) -> tuple[Form, int, int, bool]:
    """Decode a word as `decode` does, its slots 16 bits each in one number, the first lowest.

    For an engine that meets each word once: nothing is kept by word, and what a field can become comes
    from tables.
    """
    row = find(word)
    tables = _tables_of(row, is64)
    if tables is None:
        form, places, immediate, is_relative = decode.__wrapped__(word, is64)
        slots = 0
        for number in reversed(places):
            slots = slots << 16 | number
        return form, slots, immediate, is_relative
    steps, selects, forms_by_bits, (shift, mask, finish) = tables
    slots = 0
    for at, field_mask, table in steps:
        slots |= table[word >> at & field_mask]
    bits = word & selects
    found = forms_by_bits.get(bits)
    if found is None:
        found = forms_by_bits[bits] = decode.__wrapped__(word, is64).form
    return found, slots, finish(word >> shift & mask) if finish else 0, False


#: (shift, mask, what each number becomes in its slot) for the slots; the bits that select a form, and the
#: forms by them; (shift, mask, what the number becomes) for the immediate.
_Tables = tuple[
    list[tuple[int, int, list[int]]],
    int,
    dict[int, Form],
    tuple[int, int, Callable[[int], int] | None],
]


@cache
def _tables_of(row: Instruction, is64: bool) -> _Tables | None:
    """Return the tables of `row`; None where a function of its own chooses the operands."""
    if row.operands is not None or "aa" in row.fields:
        return None
    steps: list[tuple[int, int, list[int]]] = []
    selects = 0
    immediate: tuple[int, int, Callable[[int], int] | None] = (0, 0, None)
    for _, role, shift, mask, finish in _plan(row):
        match role:
            case Role.PLACE | Role.SMALL:
                position = 16 * len(steps)
                steps.append((shift, mask, [finish(number) << position for number in range(mask + 1)]))
            case Role.KNOWN:
                selects |= mask << shift
            case _:
                immediate = (shift, mask, finish)
    return steps, selects, {}, immediate


@cache
def _plan(row: Instruction) -> tuple[tuple[str, Role, int, int, Callable[[int], int]], ...]:
    """Return what `decode` does for each parameter: its name and role, its field, what its number becomes."""
    steps = []
    for name in row.parameters:
        parts = row.fields.get(name, ((0, 0),))
        kind = KINDS[name]
        # A field in two parts always goes through an operands function.
        shift, width = parts[0]
        steps.append((name, kind.role, shift, (1 << width) - 1, kind.finish))
    return tuple(steps)


@cache
def _form(row: Instruction, known: tuple[int, ...], is64: bool) -> Form:
    form = Form(row, known, is64)
    if is64 or any(trace(form, has_host_units=units).is_mode_sensitive for units in (False, True)):
        return form
    return _form(row, known, True)


def forms(row: Instruction, is64: bool) -> list[Form]:
    """Return every form of `row` in a mode; in 32-bit mode, those that differ."""
    domains = [KINDS[name].domain for name in row.parameters if KINDS[name].role is Role.KNOWN]
    candidates = [_form(row, known, is64) for known in product(*domains)]
    return [form for form in candidates if form.is64 == is64]


def trace(form: Form, *, has_host_units: bool = False, is_slow: bool = False) -> Builder:
    """Run the effect of `form` once and return what it recorded."""
    builder = Builder(form.is64, has_host_units, is_slow)
    arguments: list[Any] = []
    known = iter(form.known)
    slots = iter(range(MAX_SLOTS))
    for name in form.instruction.parameters:
        match KINDS[name].role:
            case Role.KNOWN:
                arguments.append(next(known))
            case Role.PLACE:
                arguments.append(Slot(next(slots)))
            case Role.SMALL:
                arguments.append(builder.small(next(slots)))
            case Role.IMMEDIATE:
                arguments.append(builder.immediate())
            case Role.TARGET:
                arguments.append(builder.target())
    form.instruction.effect(builder, *arguments)
    return builder


def operations(form: Form, *, has_host_units: bool = False, is_slow: bool = False) -> list[Op]:
    """Return the steps of `form`'s effect."""
    return trace(form, has_host_units=has_host_units, is_slow=is_slow).trace
