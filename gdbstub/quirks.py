"""How stubs differ from the manual, as rows of data.

Nobody tests a stub's name: the code asks the row.  A new stub is a new row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gdbstub import commands, ppc64
from gdbstub.commands import Command
from gdbstub.kernel_stack import Saved
from gdbstub.registers import Description, Feature, Register


@dataclass(frozen=True, slots=True)
class Quirks:
    """One kind of stub: what it knows, and where it does otherwise than the manual says."""

    name: str
    #: The commands that do more than return an empty reply; None: ask the stub and see.
    knows: frozenset[type[Command]] | None = None
    #: The longest packet it takes in bytes, framing included, and the most bytes that one `m` may ask for.
    max_command: int = 0x4000
    max_read: int = 0x1000
    #: How often a packet that nobody acknowledged is sent again.  A `c` sent twice runs twice, so this is
    #: only for lines that lose bytes.
    resends: int = 0
    negotiates: bool = True
    #: A `-` out of the blue means that it has stopped and nobody was connected.
    announces_with_nak: bool = False
    #: `G` with MSR[SE] and then `D` executes one instruction.
    steps_by_detach: bool = False
    #: It answers OK to writes into its own vital functions and does not do them.
    ignores_some_writes: bool = False
    #: Which ones: those that begin in the first bytes of such a function, so many.
    vital_bytes: int = 64
    #: Its `c` takes an address.
    continues_at: bool = False
    #: Console text comes between packets, so a `-` may be anybody's, and while the target runs a terminal
    #: reads the line and echoes.
    shares_the_line: bool = False
    #: What a stop prints when nobody is attached; there is no packet then.
    tells_stop_by_text: tuple[bytes, ...] = ()
    #: `D` and `k` make nobody attached, so that the next stop may come without a word.
    forgets_debugger: bool = False
    #: Resumed at an address where it has a breakpoint of its own, it skips the instruction.
    skips_at_own_trap: bool = False
    #: What its `g` block really holds, where that is not `default`.
    wire: Description | None = None
    #: Where the interrupt that stopped it has saved the registers, for those that `wire` lacks.
    saved: Saved | None = None
    #: It stops on 0x03.
    obeys_interrupts: bool = True
    #: Its register block is a variable that `m` shows and `M` changes.
    answers_g_from_memory: bool = False
    #: The longest packet a debugger may send us for it; what that asks for must cross the line in a few
    #: seconds.
    packet_size: int = 0x4000
    #: Seconds without an answer after which it counts as silent.  The longest packet of 2 KB takes 2.4 s at
    #: 9600 baud.
    patience: float = 6.0
    #: The registers of a stub that has no target description.
    default: Description = ppc64.BASIC

    def has(self, command: type[Command]) -> bool:
        """True if it is worth sending `command`."""
        return self.knows is None or command in self.knows


_MINIMUM: frozenset[type[Command]] = frozenset(
    {
        commands.QueryStop,
        commands.ReadRegisters,
        commands.WriteRegisters,
        commands.ReadMemory,
        commands.WriteMemory,
        commands.Continue,
        commands.Detach,
        commands.Kill,
    }
)

# At 9600 baud the 2 KB of binary data in it are written, and the 1 KB it asks for are read, in 4 s.
SLOW_LINE_PACKET = 0x800

# A stub that follows the manual; what it can do is found out by asking.
PLAIN = Quirks("plain")

# The kernel debugger stub of K42: 2048-byte buffers, one whole packet for each read.  Its reply buffer has
# room for 1022 bytes of memory, and beyond that it overruns; half of that is a round number.
K42 = Quirks(
    "k42",
    knows=_MINIMUM,
    max_command=2046,
    max_read=512,
    packet_size=SLOW_LINE_PACKET,
    negotiates=False,
    obeys_interrupts=False,
    announces_with_nak=True,
    steps_by_detach=True,
    ignores_some_writes=True,
    continues_at=True,
    answers_g_from_memory=True,
)

# What the Linux kernel's stub sends for a 64-bit PowerPC: as far as msr it is what everybody expects.  Then
# come the first four bytes of the eight that cr is saved in, lr, the upper half of ctr and a long xer, and
# what was in the buffer before.
_KGDB_WIRE = Description(
    "powerpc:common64",
    (
        Feature("general", tuple(replace(r, in_g=True) for r in ppc64.CORE.registers if r.number < 66)),
        Feature("floating point", tuple(r for r in ppc64.FPU.registers if r.number < 64)),
        Feature(
            "the rest",
            (
                Register(66, "cr_upper", 32),
                Register(67, "lr", 64),
                Register(68, "ctr_upper", 32),
                Register(69, "xer", 64),
                Register(70, "filler", 32),
            ),
        ),
    ),
    pc="pc",
    sp="r1",
)

# The kernel's pt_regs, under the 288 bytes that a leaf function may use without saying so (ELF ABI); it has
# 48 words in Linux 6.1.
_PT_REGS = Saved(
    below=288 + 48 * 8,
    order=(*(f"r{n}" for n in range(32)), "pc", "msr", "orig_r3", "ctr", "lr", "xer", "cr"),
    known=("pc", "msr", "lr"),
    wanted=("cr", "ctr"),
)

# The Linux kernel's: it knows stepping, breakpoints and threads, loses the first packet on a serial console,
# and reports bad memory as E22.  Its buffers are 2 * 556 + 512 bytes,
# the body's closing zero included; what is longer vanishes.
KGDB = Quirks(
    "kgdb",
    knows=_MINIMUM
    | {
        commands.Step,
        commands.InsertBreakpoint,
        commands.RemoveBreakpoint,
        commands.FirstThreads,
        commands.MoreThreads,
        commands.ThreadExtraInfo,
        commands.CurrentThread,
        commands.SelectThread,
        commands.IsThreadAlive,
        commands.MonitorCommand,
    },
    max_command=1600,
    max_read=512,
    packet_size=SLOW_LINE_PACKET,
    resends=3,
    negotiates=False,
    shares_the_line=True,
    obeys_interrupts=False,
    tells_stop_by_text=(b"KGDB: Waiting for", b"KGDB: Entering KGDB"),
    forgets_debugger=True,
    skips_at_own_trap=True,
    wire=_KGDB_WIRE,
    saved=_PT_REGS,
    patience=2.0,
)

# A stub nobody has named.  Until it answers it is treated as the most delicate one is.  Where there is text
# on the line, a `-` announces nothing: it is not K42's, which has a channel of its own.
AUTO = replace(K42, name="auto", shares_the_line=True)

# What we tell a stub we understand.
SUPPORTED = commands.Supported("swbreak+;hwbreak+;vContSupported+;error-message+;xmlRegisters=powerpc")

# Questions for a stub nobody has named; the first one that has an answer, neither empty nor an error, tells.
# No stub takes harm from a question it does not know.
KNOWN_BY_ANSWER: tuple[tuple[Command, Quirks], ...] = ((SUPPORTED, PLAIN), (commands.CurrentThread(), KGDB))

# What a stub prints on the line before anybody asks: "KGDB: Waiting for connection from remote gdb...".
KNOWN_BY_TEXT: tuple[tuple[bytes, Quirks], ...] = ((b"KGDB:", KGDB),)

ROWS = {row.name: row for row in (AUTO, PLAIN, K42, KGDB)}
