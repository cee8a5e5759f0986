"""The processor's state: one aligned block of 64-bit words.

Every engine, the debugger and a snapshot see the same memory.  The reference engine indexes `words`; a
native engine adds `8 * index` to `address`.  That is why nothing here is a Python attribute of its own: a
register *is* its word index, and `LAYOUT` is the only place where the order is written down.

Registers that instructions write in pieces are kept in pieces and put together only when somebody looks: XER
as CA, OV, SO and the rest, CR as eight 4-bit fields (LT GT EQ SO from the top).  Word `zero` always holds 0;
an operand of the form "(RA|0)" with RA = 0 simply names it (Power ISA Book I, 3.3.1).

A vector register is two words, high half first.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable

MASK64 = (1 << 64) - 1

#: (name, number of words), in order.
LAYOUT: tuple[tuple[str, int], ...] = (
    ("gpr", 32),
    ("zero", 1),
    ("lr", 1),
    ("ctr", 1),
    # XER in pieces; `xer_rest` holds the byte count of lswx/stswx and nothing else.
    ("ca", 1),
    ("ov", 1),
    ("so", 1),
    ("xer_rest", 1),
    ("cr", 8),
    ("fpr", 32),
    ("fpscr", 1),
    ("vr", 64),
    ("vscr", 1),
    ("vrsave", 1),
    ("pc", 1),
    ("msr", 1),
    ("srr0", 1),
    ("srr1", 1),
    ("dar", 1),
    ("dsisr", 1),
    ("sprg", 4),
    ("sdr1", 1),
    ("asr", 1),
    ("pvr", 1),
    ("pir", 1),
    ("accr", 1),
    ("ctrl", 1),
    ("hior", 1),
    ("dabr", 1),
    ("dabrx", 1),
    ("iabr", 1),
    ("hsprg", 2),
    ("hid", 8),
    ("bats", 16),
    ("pmc", 16),
    ("scratch_spr", 16),
    # SLB: 64 entries of two words, in slbmte's own format (RB's ESID|V, RS's VSID|flags).
    ("slb", 128),
    # The reservation of lwarx/ldarx: real address of the granule, and whether it is held (0 or 1).
    ("reserve_addr", 1),
    ("reserve_held", 1),
    # Instructions completed since power-on, and the clocks derived from them (cpu/timers).
    ("icount", 1),
    ("time_slept", 1),
    ("tb_offset", 1),
    ("dec_zero", 1),
    # MSR bits that every interrupt sets (cpu/interrupts): HV, unless the machine is a partition.
    ("interrupt_msr", 1),
    # What `icount` and the time were when the performance counters were last brought up to date.
    ("pmc_settled", 2),
    # Words only a native engine uses: its budget, exit reason, fault address, callback pointers, and so on.
    ("engine", 64),
)


def _index() -> dict[str, int]:
    index, position = {}, 0
    for name, count in LAYOUT:
        index[name] = position
        position += count
    index["end"] = position
    return index


#: First word of each name; `INDEX["end"]` is the size of the block in words.
INDEX: dict[str, int] = _index()
WORDS = INDEX["end"]

# MSR bits (Power ISA Book III, 2.3; the PPC970 adds ISF of earlier books; K42 facts E.8).
MSR_SF = 1 << 63
MSR_ISF = 1 << 61
MSR_HV = 1 << 60
MSR_SIMULATOR = 0x2000_0000  # set at entry by SimOS and Mambo (K42 facts D.1)
MSR_MAMBO = 0x1000_0000
#: The simulators' identity bits are wired: no interrupt and no write to the MSR changes them.
MSR_IDENTITY = MSR_SIMULATOR | MSR_MAMBO
MSR_VMX = 1 << 25
MSR_POW = 1 << 18
MSR_EE = 0x8000
MSR_PR = 0x4000
MSR_FP = 0x2000
MSR_ME = 0x1000
MSR_FE0 = 0x800
MSR_SE = 0x400
MSR_BE = 0x200
MSR_FE1 = 0x100
MSR_IR = 0x20
MSR_DR = 0x10
MSR_PMM = 0x4
MSR_RI = 0x2
MSR_LE = 0x1

XER_SO = 1 << 31
XER_OV = 1 << 30
XER_CA = 1 << 29


class CpuState:
    """The block itself.  `words[i]` is word i as an int in 0..2^64-1; storing anything else raises."""

    __slots__ = ("_buffer", "address", "words")

    def __init__(self, extra_words: int = 0) -> None:
        """Allocate a zeroed, 128-byte aligned block; `extra_words` follow it for an engine's own tables."""
        size = 8 * (WORDS + extra_words)
        self._buffer = ctypes.create_string_buffer(size + 128)
        raw = ctypes.addressof(self._buffer)
        #: Host address of word 0, for native engines.
        self.address = (raw + 127) & ~127
        start = self.address - raw
        self.words = memoryview(self._buffer).cast("B")[start : start + size].cast("Q")

    def get(self, name: str, offset: int = 0) -> int:
        """Return the word called `name` (plus `offset` words)."""
        return self.words[INDEX[name] + offset]

    def put(self, name: str, value: int, offset: int = 0) -> None:
        """Store `value`, cut to 64 bits, in the word called `name` (plus `offset` words)."""
        self.words[INDEX[name] + offset] = value & MASK64

    @property
    def pc(self) -> int:
        return self.words[_PC]

    @pc.setter
    def pc(self, value: int) -> None:
        self.words[_PC] = value & MASK64

    @property
    def msr(self) -> int:
        return self.words[_MSR]

    @msr.setter
    def msr(self, value: int) -> None:
        self.words[_MSR] = value & MASK64

    @property
    def icount(self) -> int:
        return self.words[_ICOUNT]

    @icount.setter
    def icount(self, value: int) -> None:
        self.words[_ICOUNT] = value & MASK64

    @property
    def cr(self) -> int:
        """The condition register as its 32-bit architected value."""
        return pack_cr(self.words[_CR : _CR + 8])

    @cr.setter
    def cr(self, value: int) -> None:
        for field in range(8):
            self.words[_CR + field] = value >> (28 - 4 * field) & 15

    @property
    def xer(self) -> int:
        """XER as its architected value (SO, OV, CA and the string byte count)."""
        words = self.words
        return (
            (XER_SO if words[_SO] else 0)
            | (XER_OV if words[_OV] else 0)
            | (XER_CA if words[_CA] else 0)
            | words[_XER_REST]
        )

    @xer.setter
    def xer(self, value: int) -> None:
        words = self.words
        words[_SO] = int(bool(value & XER_SO))
        words[_OV] = int(bool(value & XER_OV))
        words[_CA] = int(bool(value & XER_CA))
        words[_XER_REST] = value & 0x7F

    def vr(self, number: int) -> int:
        """Vector register `number` as a 128-bit int."""
        at = _VR + 2 * number
        return self.words[at] << 64 | self.words[at + 1]

    def set_vr(self, number: int, value: int) -> None:
        at = _VR + 2 * number
        self.words[at] = value >> 64 & MASK64
        self.words[at + 1] = value & MASK64


def pack_cr(fields: Iterable[int]) -> int:
    """Put eight CR fields together, field 0 in the top nibble."""
    value = 0
    for field in fields:
        value = value << 4 | field
    return value


_PC, _MSR, _ICOUNT = INDEX["pc"], INDEX["msr"], INDEX["icount"]
_SO, _OV, _CA, _XER_REST = INDEX["so"], INDEX["ov"], INDEX["ca"], INDEX["xer_rest"]
_CR, _VR = INDEX["cr"], INDEX["vr"]
