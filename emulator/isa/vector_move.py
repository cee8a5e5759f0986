"""AltiVec: vector loads and stores, moves to and from VSCR, and hints (AltiVec PEM, chapter 6).

An address is cut to a multiple of the size of what is moved, so nothing here is unaligned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulator.cpu.interrupts import Interrupt, Vector
from emulator.cpu.state import MSR_VMX
from emulator.isa import lanes
from emulator.isa.builder import Builder, Gpr, Vr
from emulator.isa.decode import insn
from emulator.isa.storage import address
from emulator.isa.values import Value, raises

if TYPE_CHECKING:
    from emulator.cpu.processor import Processor


@raises(Vector.VMX_UNAVAILABLE)
def _raise_unavailable(processor: Processor) -> int:
    raise Interrupt(Vector.VMX_UNAVAILABLE)


def require_vmx(t: Builder) -> None:
    """Take the VMX unavailable interrupt if MSR[VMX] is off."""
    t.require_msr(MSR_VMX, _raise_unavailable)


# Loads and stores.


def _load_vector(t: Builder, vrt: Vr, ra0: Gpr, rb: Gpr) -> None:
    require_vmx(t)
    ea = address(t, t.gpr(ra0), t.gpr(rb)) & ~15
    high = t.load(ea, 8)
    t.set_vr(vrt, high, t.load(ea + 8, 8))


@insn("011111 vrt:5 ra0:5 rb:5 0001100111 -")
def lvx(t: Builder, vrt: Vr, ra0: Gpr, rb: Gpr) -> None:
    """Load Vector Indexed. AltiVec 6.2."""
    _load_vector(t, vrt, ra0, rb)


@insn("011111 vrt:5 ra0:5 rb:5 0101100111 -")
def lvxl(t: Builder, vrt: Vr, ra0: Gpr, rb: Gpr) -> None:
    """Load Vector Indexed LRU. AltiVec 6.2."""
    _load_vector(t, vrt, ra0, rb)


def _store_vector(t: Builder, vrs: Vr, ra0: Gpr, rb: Gpr) -> None:
    require_vmx(t)
    ea = address(t, t.gpr(ra0), t.gpr(rb)) & ~15
    high, low = t.vr(vrs)
    t.store(ea, 8, high)
    t.store(ea + 8, 8, low)


@insn("011111 vrs:5 ra0:5 rb:5 0011100111 -")
def stvx(t: Builder, vrs: Vr, ra0: Gpr, rb: Gpr) -> None:
    """Store Vector Indexed. AltiVec 6.2."""
    _store_vector(t, vrs, ra0, rb)


@insn("011111 vrs:5 ra0:5 rb:5 0111100111 -")
def stvxl(t: Builder, vrs: Vr, ra0: Gpr, rb: Gpr) -> None:
    """Store Vector Indexed LRU. AltiVec 6.2."""
    _store_vector(t, vrs, ra0, rb)


def _place_of(t: Builder, ra0: Gpr, rb: Gpr, size: int) -> tuple[Value, Value, Value]:
    """Return an element's address, whether it lies in the high half, and how far left it lies in its half."""
    ea = address(t, t.gpr(ra0), t.gpr(rb)) & -size
    return ea, (ea & 8).equals(0), (8 - size - (ea & 7)) << 3


def _load_element(t: Builder, vrt: Vr, ra0: Gpr, rb: Gpr, size: int) -> None:
    """Load one element into its place; the others, undefined, stay."""
    require_vmx(t)
    ea, is_high, shift = _place_of(t, ra0, rb, size)
    value = t.load(ea, size) << shift
    mask = ~(t.constant((1 << 8 * size) - 1) << shift)
    high, low = t.vr(vrt)
    t.set_vr(vrt, t.select(is_high, high & mask | value, high), t.select(is_high, low, low & mask | value))


def _store_element(t: Builder, vrs: Vr, ra0: Gpr, rb: Gpr, size: int) -> None:
    require_vmx(t)
    ea, is_high, shift = _place_of(t, ra0, rb, size)
    high, low = t.vr(vrs)
    t.store(ea, size, t.select(is_high, high, low) >> shift)


@insn("011111 vrt:5 ra0:5 rb:5 0000000111 -")
def lvebx(t: Builder, vrt: Vr, ra0: Gpr, rb: Gpr) -> None:
    """Load Vector Element Byte Indexed. AltiVec 6.2."""
    _load_element(t, vrt, ra0, rb, 1)


@insn("011111 vrt:5 ra0:5 rb:5 0000100111 -")
def lvehx(t: Builder, vrt: Vr, ra0: Gpr, rb: Gpr) -> None:
    """Load Vector Element Halfword Indexed. AltiVec 6.2."""
    _load_element(t, vrt, ra0, rb, 2)


@insn("011111 vrt:5 ra0:5 rb:5 0001000111 -")
def lvewx(t: Builder, vrt: Vr, ra0: Gpr, rb: Gpr) -> None:
    """Load Vector Element Word Indexed. AltiVec 6.2."""
    _load_element(t, vrt, ra0, rb, 4)


@insn("011111 vrs:5 ra0:5 rb:5 0010000111 -")
def stvebx(t: Builder, vrs: Vr, ra0: Gpr, rb: Gpr) -> None:
    """Store Vector Element Byte Indexed. AltiVec 6.2."""
    _store_element(t, vrs, ra0, rb, 1)


@insn("011111 vrs:5 ra0:5 rb:5 0010100111 -")
def stvehx(t: Builder, vrs: Vr, ra0: Gpr, rb: Gpr) -> None:
    """Store Vector Element Halfword Indexed. AltiVec 6.2."""
    _store_element(t, vrs, ra0, rb, 2)


@insn("011111 vrs:5 ra0:5 rb:5 0011000111 -")
def stvewx(t: Builder, vrs: Vr, ra0: Gpr, rb: Gpr) -> None:
    """Store Vector Element Word Indexed. AltiVec 6.2."""
    _store_element(t, vrs, ra0, rb, 4)


def _count_upwards(t: Builder, vrt: Vr, first: Value) -> None:
    """Set the bytes of a vector to `first`, `first` + 1 and so on."""
    firsts = first * 0x0101_0101_0101_0101
    t.set_vr(vrt, firsts + 0x0001_0203_0405_0607, firsts + 0x0809_0A0B_0C0D_0E0F)


@insn("011111 vrt:5 ra0:5 rb:5 0000000110 -")
def lvsl(t: Builder, vrt: Vr, ra0: Gpr, rb: Gpr) -> None:
    """Load Vector for Shift Left. AltiVec 6.2."""
    require_vmx(t)
    _count_upwards(t, vrt, (t.gpr(ra0) + t.gpr(rb)).zext(4))


@insn("011111 vrt:5 ra0:5 rb:5 0000100110 -")
def lvsr(t: Builder, vrt: Vr, ra0: Gpr, rb: Gpr) -> None:
    """Load Vector for Shift Right. AltiVec 6.2."""
    require_vmx(t)
    _count_upwards(t, vrt, 16 - (t.gpr(ra0) + t.gpr(rb)).zext(4))


# Hints.


@insn("011111 -:15 0101010110 -")
def dst(t: Builder) -> None:
    """Data Stream Touch: a hint. AltiVec 6.2."""


@insn("011111 -:15 0101110110 -")
def dstst(t: Builder) -> None:
    """Data Stream Touch for Store: a hint. AltiVec 6.2."""


@insn("011111 -:15 1100110110 -")
def dss(t: Builder) -> None:
    """Data Stream Stop: a hint. AltiVec 6.2."""


# The vector status and control register.


@insn("000100 vrt:5 -:10 11000000100")
def mfvscr(t: Builder, vrt: Vr) -> None:
    """Move from VSCR. AltiVec 6.2."""
    require_vmx(t)
    t.set_vr(vrt, t.constant(0), t.get("vscr"))


@insn("000100 -:10 vrb:5 11001000100")
def mtvscr(t: Builder, vrb: Vr) -> None:
    """Move to VSCR. AltiVec 6.2."""
    require_vmx(t)
    t.put("vscr", t.vr(vrb)[1] & (lanes.SAT | lanes.NJ))
