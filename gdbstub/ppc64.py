"""What the debugger must know about the 64-bit PowerPC: its registers and its breakpoint words.

gdb accepts a description only if the standard features hold every register it expects under the name it
expects; otherwise it silently falls back to the host's idea of things.  `org.gnu.gdb.power.core` and `.fpu`
are required for `powerpc:common64` (GDB manual, "PowerPC Features").  Numbers are gdb's legacy PowerPC
numbers: r0-r31 0..31, f0-f31 32..63, pc 64, msr, cr, lr, ctr, xer, fpscr 70, then AltiVec from 71.  With
these the packed block of core and fpu is the 556 bytes that gdb assumes when it is told nothing at all, and
the block K42's kernel stub sends; gdb then assumes AltiVec's behind it, where our emulator has them.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from gdbstub.registers import Description, Feature, Register

INSTRUCTION_SIZE = 4

# twge r2,r2: always traps, and pc stays.  Not tw 31,0,0, which gdb plants itself: K42's stub takes exactly
# that word for a compiled-in breakpoint and moves pc past it.
PLANTED_TRAP = 0x7D821008

CORE = Feature(
    "org.gnu.gdb.power.core",
    (
        *(Register(n, f"r{n}", 64, "uint64") for n in range(32)),
        Register(64, "pc", 64, "code_ptr"),
        Register(65, "msr", 64, "uint64"),
        Register(66, "cr", 32, "uint32"),
        Register(67, "lr", 64, "code_ptr"),
        Register(68, "ctr", 64, "uint64"),
        Register(69, "xer", 32, "uint32"),
    ),
)

FPU = Feature(
    "org.gnu.gdb.power.fpu",
    (
        # "float" is the one of this size for gdb, and the only one that lldb 14 knows.
        *(Register(32 + n, f"f{n}", 64, "float") for n in range(32)),
        Register(70, "fpscr", 32, "uint32", "float"),
    ),
)

# gdb's predefined vec128 shapes are per architecture; PowerPC descriptions define the union themselves.
VECTOR_TYPES = """\
<vector id="v4f" type="ieee_single" count="4"/>
<vector id="v4i32" type="int32" count="4"/>
<vector id="v8i16" type="int16" count="8"/>
<vector id="v16i8" type="int8" count="16"/>
<union id="vec128">
<field name="uint128" type="uint128"/>
<field name="v4_float" type="v4f"/>
<field name="v4_int32" type="v4i32"/>
<field name="v8_int16" type="v8i16"/>
<field name="v16_int8" type="v16i8"/>
</union>
"""

ALTIVEC = Feature(
    "org.gnu.gdb.power.altivec",
    (
        *(Register(71 + n, f"vr{n}", 128, "vec128") for n in range(32)),
        Register(103, "vscr", 32, "int", "vector"),
        Register(104, "vrsave", 32, "int", "vector"),
    ),
    VECTOR_TYPES,
)

# Where system registers go: gdb takes any number above the ones it knows, for features it does not know.
FIRST_SPR = 128


def spr_feature(names: tuple[str, ...]) -> Feature:
    """Return a feature of 64-bit system registers, fetched one by one with `p`."""
    return Feature(
        "org.k42.ppc64.system",
        tuple(
            Register(FIRST_SPR + index, name, 64, "uint64", "spr", in_g=False)
            for index, name in enumerate(names)
        ),
    )


def describe(*extra: Feature) -> Description:
    """Return the description of a 64-bit PowerPC with core and fpu registers and the `extra` features.

    Expedited is what gdb reads after every stop to find the frame it is in.
    """
    return Description(
        architecture="powerpc:common64",
        features=(CORE, FPU, *extra),
        pc="pc",
        sp="r1",
        expedite=("pc", "r0", "r1", "lr", "cr", "ctr", "msr", "r30", "r31"),
    )


# The 556 bytes of K42's kernel stub, and of gdb without a target description.
BASIC = describe()

_M64 = (1 << 64) - 1

# Machine state register bits.
MSR_SF = 1 << 63
MSR_SE = 0x400


class Flow(enum.Enum):
    """What an instruction means to somebody who wants to stop after it."""

    STRAIGHT = "falls through"
    BRANCH = "branches"
    LOAD_RESERVED = "takes a reservation"
    STORE_CONDITIONAL = "stores if the reservation holds"
    SYSTEM_CALL = "enters the system call handler and comes back"
    TO_SRR = "moves to SRR0 or SRR1"
    RETURN_FROM_INTERRUPT = "returns from an interrupt"


# Primary opcode 31, extended opcodes (Power ISA Book II, 4.6.2): lbarx, lharx, lwarx, ldarx, and their
# stores.
_LOAD_RESERVED = frozenset({52, 116, 20, 84})
_STORE_CONDITIONAL = frozenset({694, 726, 150, 214})
_MTSPR = 467
SRR0, SRR1 = 26, 27


def flow(word: int) -> Flow:
    """Return what an instruction does to the stream of instructions."""
    primary, extended = word >> 26, word >> 1 & 0x3FF
    match primary:
        case 16 | 18:
            return Flow.BRANCH
        case 17:
            return Flow.SYSTEM_CALL
        case 19 if extended in (16, 528):  # bclr, bcctr
            return Flow.BRANCH
        case 19 if extended in (18, 274):  # rfid, hrfid
            return Flow.RETURN_FROM_INTERRUPT
        case 31 if extended in _LOAD_RESERVED:
            return Flow.LOAD_RESERVED
        case 31 if extended in _STORE_CONDITIONAL:
            return Flow.STORE_CONDITIONAL
        case 31 if extended == _MTSPR and spr_of(word) in (SRR0, SRR1):
            return Flow.TO_SRR
        case _:
            return Flow.STRAIGHT


def spr_of(word: int) -> int:
    """Return the number of the special register that mtspr or mfspr names; its halves are swapped in the
    word.
    """
    return word >> 16 & 31 | word >> 6 & 0x3E0


def static_target(word: int, pc: int) -> int | None:
    """Return where a b or bc goes if it is taken; None for branches to a register."""
    match word >> 26:
        case 18:
            offset = (word & 0x3FFFFFC ^ 0x2000000) - 0x2000000
        case 16:
            offset = (word & 0xFFFC ^ 0x8000) - 0x8000
        case _:
            return None
    return (offset if word & 2 else pc + offset) & _M64


@dataclass(frozen=True, slots=True)
class Branched:
    """The whole effect of a branch: a machine that executed it differs in nothing else."""

    pc: int
    lr: int
    ctr: int


def execute_branch(word: int, pc: int, msr: int, cr: int, lr: int, ctr: int) -> Branched:
    """Return what b, bc, bclr or bcctr does (Power ISA Book I, 2.4).

    With MSR[SF] clear addresses are 32 bits wide, and so is the count that is compared with zero.
    """
    width = _M64 if msr & MSR_SF else 0xFFFFFFFF
    options, bit = word >> 21 & 31, word >> 16 & 31
    is_unconditional = word >> 26 == 18
    counts = not is_unconditional and not options & 4 and (word >> 26 == 16 or word >> 1 & 0x3FF == 16)
    new_ctr = (ctr - 1) & _M64 if counts else ctr
    count_ok = not counts or (new_ctr & width != 0) != bool(options & 2)
    condition_ok = bool(options & 16) or cr >> (31 - bit) & 1 == options >> 3 & 1
    target = static_target(word, pc)
    if target is None:
        target = (lr if word >> 1 & 0x3FF == 16 else ctr) & ~3
    taken = is_unconditional or (count_ok and condition_ok)
    following = (pc + INSTRUCTION_SIZE) & width
    return Branched(target & width if taken else following, following if word & 1 else lr, new_ctr)
