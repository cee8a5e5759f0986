"""Which two instructions in a row the threaded engine executes with one handler, and what it gains by it.

A pair's handler stands in the record of its first instruction and reads both records; the second keeps its
own handler, for whoever comes to it by a jump.  One dispatch is saved, and where the second instruction
reads what the first has just written (a *link*) the value stays in a register of the host instead of
going through the state block.

The table names forms (isa/decode) as compilers like to put them side by side.  What it lacks runs as well,
only slower; a row that does not gain costs compile time at the first start, nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from emulator.isa.decode import Form, forms, instructions, operations
from emulator.isa.values import Op, Place, Slot, Word

_SUMS = "addi add_oe0_rc0 or__rc0"
_SHIFTS = "rlwinm_rc0 rldicl_rc0 rldicr_rc0"
_COMPARES = "cmp_wide0 cmp_wide1 cmpi_wide0 cmpi_wide1 cmpl_wide0 cmpl_wide1 cmpli_wide0 cmpli_wide1"
_LOADS = "lbz lwz ld"
_STORES = "stb stw std stbx"
_IF = "bc_bo12_lk0 bc_bo4_lk0"
_COUNT = "bc_bo16_lk0"

#: Every form of the left side with every form of the right.
_TABLE = (
    # Choices and loops.
    (f"{_COMPARES} andi_ rlwinm_rc1 or__rc1", _IF),
    (f"{_STORES} addi", _IF),
    (f"{_STORES} addi add_oe0_rc0 xor_rc0 stwu stdu", _COUNT),
    ("addi add_oe0_rc0", _COMPARES),
    ("rlwinm_rc0 or__rc0 lbz lwz ld", "cmpi_wide0 cmpi_wide1"),
    # Arithmetic.
    (f"{_SUMS} {_SHIFTS}", f"{_SUMS} {_SHIFTS}"),
    ("mulld_oe0_rc0 mullw_oe0_rc0 xor_rc0", "addi add_oe0_rc0 rldicl_rc0"),
    ("addi add_oe0_rc0", "mullw_oe0_rc0 andi_ xor_rc0"),
    ("addis", "addi addis ld ori"),
    # Memory.
    ("addi add_oe0_rc0 rldicl_rc0", f"{_LOADS} {_STORES}"),
    (_LOADS, "addi add_oe0_rc0 rlwinm_rc0"),
    ("cmpl_wide0 cmpl_wide1 cmpli_wide1", "std stbx"),
    ("lbz", "lbz"),
    ("lwz", "lwz"),
    ("stb stw std", "addi"),
    ("stb", "stb"),
    ("stw", "stw"),
    # Calls: saving, restoring, arguments.
    ("std", "std stdu or__rc0"),
    ("or__rc0", "std stdu ld"),
    ("mfspr_how0", "std"),
    ("ld", "ld mtspr_how0 bclr_bo20_lk0"),
    ("mtspr_how0", "bclr_bo20_lk0"),
    ("addi or__rc0 std", "b_idle0_lk0 b_idle0_lk1"),
)


@dataclass(frozen=True, slots=True)
class Link:
    """The first instruction's put number `put`, into `place`, is what the second reads by slot `slot`.

    `is_bit`: the slot names a bit of that place (isa/operands).
    """

    put: int
    place: Place
    slot: int
    is_bit: bool

    def holds(self, first: int, second: int) -> bool:
        """Tell whether it is so for two instructions with these slots, 16 bits each."""
        read = second >> 16 * self.slot & 0xFFFF
        match self.place:
            case Word(index):
                written = index
            case Slot(number, offset):
                written = (first >> 16 * number & 0xFFFF) + offset
        return written == (read >> 2 if self.is_bit else read)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two forms, and the link their handler makes use of, if any."""

    first: Form
    second: Form
    link: Link | None

    @property
    def name(self) -> str:
        link = self.link
        used = f"_put{link.put}_slot{link.slot}" if link else ""
        return f"{self.first.name}_then_{self.second.name}{used}"


def pairs() -> tuple[Pair, ...]:
    """Return every pair that has a handler."""
    return tuple(pair for name in _seconds() for pair in pairs_of(_forms()[name]))


@cache
def pairs_of(first: Form) -> tuple[Pair, ...]:
    """Return the pairs that `first` begins; of two forms, those with a link first, then the one without."""
    seconds = [_forms()[name] for name in _seconds().get(first.name, ())]
    return tuple(Pair(first, second, link) for second in seconds for link in (*_links(first, second), None))


@cache
def _seconds() -> dict[str, dict[str, None]]:
    """Return the table's seconds by their firsts."""
    found: dict[str, dict[str, None]] = {}
    for firsts, seconds in _TABLE:
        for first in firsts.split():
            found.setdefault(first, {}).update(dict.fromkeys(seconds.split()))
    return found


@cache
def _forms() -> dict[str, Form]:
    return {form.name: form for row in instructions() for form in forms(row, is64=True)}


def _links(first: Form, second: Form) -> list[Link]:
    puts, links = _puts(first), []
    # The last put first: of two into one place, it is the one that is read.
    for number, place in reversed(list(enumerate(puts))):
        for op in _early_reads(second):
            source = op.args[0]
            assert isinstance(source, Slot)
            is_bit = op.code == "get_bit"
            if (is_bit and number < len(puts) - 1) or (not is_bit and isinstance(place, Word)):
                continue  # A condition is put last, and nothing else is put into a word without a slot.
            link = Link(number, place, source.number, is_bit)
            if not source.offset and link not in links:
                links.append(link)
    return links


@cache
def _puts(form: Form) -> tuple[Place, ...]:
    """Return the places the effect puts something into, in order."""
    places = [op.args[0] for op in operations(form, has_host_units=True) if op.code == "put"]
    return tuple(place for place in places if isinstance(place, Slot | Word))


@cache
def _early_reads(form: Form) -> tuple[Op, ...]:
    """Return the reads of named registers before the effect writes one."""
    reads = []
    for op in operations(form, has_host_units=True):
        if op.code in ("put", "put_bit") and isinstance(op.args[0], Slot):
            break
        if op.code in ("get", "get_bit") and isinstance(op.args[0], Slot):
            reads.append(op)
    return tuple(reads)
