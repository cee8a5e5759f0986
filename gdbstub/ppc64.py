"""What the debugger must know about the 64-bit PowerPC: its registers and its breakpoint words.

gdb accepts a description only if the standard features hold every register it expects under the name it
expects; otherwise it silently falls back to the host's idea of things.  `org.gnu.gdb.power.core` and `.fpu`
are required for `powerpc:common64` (GDB manual, "PowerPC Features").  Numbers are gdb's legacy PowerPC
numbers: r0-r31 0..31, f0-f31 32..63, pc 64, msr, cr, lr, ctr, xer, fpscr 70, then AltiVec from 71.  With
these the packed block of core and fpu is the 556 bytes that gdb assumes when it is told nothing at all, and
the block K42's kernel stub sends.
"""

from __future__ import annotations

from gdbstub.registers import Description, Feature, Register

INSTRUCTION_SIZE = 4

# tw 31,0,0: what gdb plants itself.  K42's stub takes exactly this word for a compiled-in breakpoint and
# moves pc past it, so a planted one must be another trap.
GDB_TRAP = 0x7FE00008
# twge r2,r2: always traps, and pc stays.
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
        *(Register(32 + n, f"f{n}", 64, "ieee_double") for n in range(32)),
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
        *(Register(71 + n, f"vr{n}", 128, "vec128", in_g=False) for n in range(32)),
        Register(103, "vscr", 32, "int", "vector", in_g=False),
        Register(104, "vrsave", 32, "int", "vector", in_g=False),
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
            Register(FIRST_SPR + index, name, 64, "uint64", "system", in_g=False)
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
        expedite=("pc", "r1", "lr", "cr", "ctr", "msr", "r31"),
    )


# The 556 bytes of K42's kernel stub, and of gdb without a target description.
BASIC = describe()
