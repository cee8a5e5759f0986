"""What software does to translation: SLB, segment registers, TLB (Book III 4.11).

All of it is privileged, and all of it a call of the MMU.  Whatever changes what addresses mean ends the run,
so that an engine can look at its caches, unless it was told already and pc is somewhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulator.cpu.interrupts import illegal
from emulator.isa import storage
from emulator.isa.builder import Builder, Gpr
from emulator.isa.decode import insn
from emulator.isa.values import Value

if TYPE_CHECKING:
    from emulator.cpu.processor import Processor


def _following(processor: Processor) -> int:
    return storage.effective(processor, processor.state.pc + 4)


def _go_on_if(t: Builder, may_go_on: Value) -> None:
    """End the run unless the MMU says that it may go on; the reference engine's always ends."""
    if t.has_host_units:
        t.leave_instead_if(may_go_on.equals(0), _following)
    else:
        t.context_changed()


# The segment lookaside buffer (Book III 4.11.3.1).


def _require_slb(processor: Processor) -> None:
    """Refuse what names SLB entries on a processor that has a segment table instead (K42 facts E.4)."""
    if not processor.mmu.tables.has_slb():
        raise illegal()


def _slbmte(processor: Processor, rs: int, rb: int) -> int:
    _require_slb(processor)
    return int(processor.mmu.slbmte(rs, rb))


def _slbie(processor: Processor, rb: int) -> int:
    return int(processor.mmu.slbie(rb))


def _slbia(processor: Processor) -> int:
    processor.mmu.slbia()
    return 0


def _slbmfev(processor: Processor, rb: int) -> int:
    _require_slb(processor)
    return processor.mmu.slbmfev(rb)


def _slbmfee(processor: Processor, rb: int) -> int:
    _require_slb(processor)
    return processor.mmu.slbmfee(rb)


def _tlbie(processor: Processor, rb: int, large: int) -> int:
    return int(processor.mmu.tlbie(rb, bool(large)))


def _tlbia(processor: Processor) -> int:
    processor.mmu.tlbia()
    return 0


def _tlbsync(processor: Processor) -> int:
    processor.mmu.tlbsync()
    return 0


@insn("011111 rs:5 -:5 rb:5 0110010010 -")
def slbmte(t: Builder, rs: Gpr, rb: Gpr) -> None:
    """SLB Move to Entry. Book III 4.11.3.1."""
    t.require_privilege()
    _go_on_if(t, t.call(_slbmte, t.gpr(rs), t.gpr(rb)))


@insn("011111 -:10 rb:5 0110110010 -")
def slbie(t: Builder, rb: Gpr) -> None:
    """SLB Invalidate Entry. Book III 4.11.3.1."""
    t.require_privilege()
    _go_on_if(t, t.call(_slbie, t.gpr(rb)))


@insn("011111 -:15 0111110010 -")
def slbia(t: Builder) -> None:
    """SLB Invalidate All. Book III 4.11.3.1."""
    t.require_privilege()
    t.call(_slbia)
    t.context_changed()


@insn("011111 rt:5 -:5 rb:5 1101010011 -")
def slbmfev(t: Builder, rt: Gpr, rb: Gpr) -> None:
    """SLB Move from Entry VSID. Book III 4.11.3.1."""
    t.require_privilege()
    t.set_gpr(rt, t.call(_slbmfev, t.gpr(rb)))


@insn("011111 rt:5 -:5 rb:5 1110010011 -")
def slbmfee(t: Builder, rt: Gpr, rb: Gpr) -> None:
    """SLB Move from Entry ESID. Book III 4.11.3.1."""
    t.require_privilege()
    t.set_gpr(rt, t.call(_slbmfee, t.gpr(rb)))


# Segment registers, the 32-bit bridge: SLB entries 0 to 15 (Book III 4.11.3.2).

_SR_KEYS_AND_NO_EXECUTE = 0x7000_0000
_SR_VSID = 0x07FF_FFFF


def _write_segment_register(processor: Processor, number: int, value: int) -> int:
    keys = (value & _SR_KEYS_AND_NO_EXECUTE) >> 28 << 9
    return int(processor.mmu.slbmte((value & _SR_VSID) << 12 | keys, number << 28 | 1 << 27 | number))


def _read_segment_register(processor: Processor, number: int) -> int:
    entry = processor.mmu.slbmfev(number)
    return (entry >> 9 & 7) << 28 | entry >> 12 & _SR_VSID


def _segment_number(sr: int) -> dict[str, int]:
    return {"number": sr}


@insn("011111 rs:5 - sr:4 -:5 0011010010 -", operands=_segment_number)
def mtsr(t: Builder, rs: Gpr, number: Value) -> None:
    """Move to Segment Register. Book III 4.11.3.2."""
    t.require_privilege()
    _go_on_if(t, t.call(_write_segment_register, number, t.gpr(rs)))


@insn("011111 rs:5 -:5 rb:5 0011110010 -")
def mtsrin(t: Builder, rs: Gpr, rb: Gpr) -> None:
    """Move to Segment Register Indirect. Book III 4.11.3.2."""
    t.require_privilege()
    _go_on_if(t, t.call(_write_segment_register, (t.gpr(rb) >> 28).zext(4), t.gpr(rs)))


@insn("011111 rt:5 - sr:4 -:5 1001010011 -", operands=_segment_number)
def mfsr(t: Builder, rt: Gpr, number: Value) -> None:
    """Move from Segment Register. Book III 4.11.3.2."""
    t.require_privilege()
    t.set_gpr(rt, t.call(_read_segment_register, number))


@insn("011111 rt:5 -:5 rb:5 1010010011 -")
def mfsrin(t: Builder, rt: Gpr, rb: Gpr) -> None:
    """Move from Segment Register Indirect. Book III 4.11.3.2."""
    t.require_privilege()
    t.set_gpr(rt, t.call(_read_segment_register, (t.gpr(rb) >> 28).zext(4)))


@insn("011111 -:4 wide:1 -:5 rb:5 0100110010 -")
def tlbie(t: Builder, rb: Gpr, wide: int) -> None:
    """TLB Invalidate Entry; L = 1 for a large page. Book III 4.11.3.3."""
    t.require_privilege()
    _go_on_if(t, t.call(_tlbie, t.gpr(rb), wide))


@insn("011111 -:4 wide:1 -:5 rb:5 0100010010 -")
def tlbiel(t: Builder, rb: Gpr, wide: int) -> None:
    """TLB Invalidate Entry Local. Book III 4.11.3.3."""
    t.require_privilege()
    _go_on_if(t, t.call(_tlbie, t.gpr(rb), wide))


@insn("011111 -:15 0101110010 -")
def tlbia(t: Builder) -> None:
    """TLB Invalidate All. Book III 4.11.3.3."""
    t.require_privilege()
    t.call(_tlbia)
    t.context_changed()


@insn("011111 -:15 1000110110 -")
def tlbsync(t: Builder) -> None:
    """TLB Synchronize. Book III 4.11.3.3."""
    t.require_privilege()
    t.call(_tlbsync)
