"""Special-purpose registers, MSR, return from interrupt, and the simulators' call words (Book III).

Whatever changes MSR, the decrementer or where tables lie ends the run with `context_changed`, so that the
machine can look at pending interrupts and an engine at its caches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulator.cpu import performance
from emulator.cpu.exits import ExitKind, Leave
from emulator.cpu.interrupts import PROGRAM_FP_ENABLED, PROGRAM_NEXT, Interrupt, Vector, illegal
from emulator.cpu.processor import MAMBO_CALL, RTAS_CALL, SIMOS_CALL, SIMULATOR_BREAK
from emulator.cpu.state import (
    INDEX,
    MSR_BE,
    MSR_DR,
    MSR_EE,
    MSR_FE0,
    MSR_FE1,
    MSR_FP,
    MSR_HV,
    MSR_IDENTITY,
    MSR_IR,
    MSR_ISF,
    MSR_ME,
    MSR_PMM,
    MSR_POW,
    MSR_PR,
    MSR_RI,
    MSR_SE,
    MSR_SF,
    MSR_VMX,
)
from emulator.cpu.timers import INSTRUCTIONS_PER_TICK
from emulator.isa import fpscr, sprs, storage
from emulator.isa.builder import AnyWord, Builder, Gpr
from emulator.isa.context import changes_more_than_context
from emulator.isa.decode import insn
from emulator.isa.values import Value

if TYPE_CHECKING:
    from emulator.cpu.processor import Processor

# Moves to and from special-purpose registers.

_USER_WORD = 0
_PRIVILEGED_WORD = 1
_BY_FUNCTION = 2
#: Writing these changes when interrupts come or what addresses mean.
_BY_FUNCTION_ENDING_RUN = 3
#: XER, which is kept in pieces, and the timebase for those who read it: often used, and easily told.
_XER = 4
_TIMEBASE = 5

_XER_NUMBER = 1
_TIMEBASE_NUMBERS = (268, 269)
_ENDS_RUN = frozenset(
    {22, 25, 280, 284, 285, 1010, 1013, 1015, *performance.COUNTERS, performance.MMCR0, performance.MMCR1}
)


def _access(spr: int, *, writing: bool) -> dict[str, int]:
    number = sprs.swap_halves(spr)
    if sprs.is_plain(number, writing=writing):
        how = _PRIVILEGED_WORD if number & sprs.PRIVILEGED_BIT else _USER_WORD
        return {"word": sprs.SPRS[number].word or 0, "number": number, "how": how}
    if number == _XER_NUMBER:
        return {"word": INDEX["zero"], "number": number, "how": _XER}
    if number in _TIMEBASE_NUMBERS and not writing:
        return {"word": INDEX["zero"], "number": number, "how": _TIMEBASE}
    how = _BY_FUNCTION_ENDING_RUN if writing and number in _ENDS_RUN else _BY_FUNCTION
    return {"word": INDEX["zero"], "number": number, "how": how}


def _reading(spr: int) -> dict[str, int]:
    return _access(spr, writing=False)


def _writing(spr: int) -> dict[str, int]:
    return _access(spr, writing=True)


def _read_spr(t: Builder, rt: Gpr, word: AnyWord, number: Value, how: int) -> None:
    if how in (_BY_FUNCTION, _BY_FUNCTION_ENDING_RUN):
        t.set_gpr(rt, t.call(sprs.read, number, t.gpr(rt)))
        return
    if how == _XER:
        t.set_gpr(rt, t.get("so") << 31 | t.get("ov") << 30 | t.get("ca") << 29 | t.get("xer_rest"))
        return
    if how == _TIMEBASE:
        ticks = (t.icount() + t.get("time_slept")).divide(t.constant(INSTRUCTIONS_PER_TICK))
        timebase = ticks + t.get("tb_offset")
        t.set_gpr(rt, t.select(number.bit(0), timebase >> 32, timebase))
        return
    if how == _PRIVILEGED_WORD:
        t.require_privilege()
    t.set_gpr(rt, t.word(word))


@insn("011111 rt:5 spr:10 0101010011 -", operands=_reading)
def mfspr(t: Builder, rt: Gpr, word: AnyWord, number: Value, how: int) -> None:
    """Move from Special-Purpose Register. Book I 3.3.13, Book III 3.4.1."""
    _read_spr(t, rt, word, number, how)


@insn("011111 rt:5 spr:10 0101110011 -", operands=_reading)
def mftb(t: Builder, rt: Gpr, word: AnyWord, number: Value, how: int) -> None:
    """Move from Time Base. Book II 4.2.1."""
    _read_spr(t, rt, word, number, how)


@insn("011111 rs:5 spr:10 0111010011 -", operands=_writing)
def mtspr(t: Builder, rs: Gpr, word: AnyWord, number: Value, how: int) -> None:
    """Move to Special-Purpose Register. Book I 3.3.13, Book III 3.4.1."""
    if how == _XER:
        value = t.gpr(rs)
        for name, position in (("so", 31), ("ov", 30), ("ca", 29)):
            t.put(name, value.bit(position).as_word())
        t.put("xer_rest", value.zext(7))
        return
    if how >= _BY_FUNCTION:
        t.call(sprs.write, number, t.gpr(rs))
        if how == _BY_FUNCTION_ENDING_RUN:
            t.context_changed()
        return
    if how == _PRIVILEGED_WORD:
        t.require_privilege()
    t.set_word(word, t.gpr(rs))


# The machine state register.

#: The bits a 970 has.
MSR_BITS = (MSR_SF | MSR_ISF | MSR_HV | MSR_VMX | MSR_EE | MSR_PR | MSR_FP | MSR_ME) | (
    MSR_FE0 | MSR_SE | MSR_BE | MSR_FE1 | MSR_IR | MSR_DR | MSR_PMM | MSR_RI
)
#: HID0's doze, nap and deep nap: with one of them, MSR[POW] makes the processor wait for an interrupt.
_HID0_NAP = 0x01C0_0000_0000_0000


def _complete_msr(t: Builder, value: Value, old: Value) -> Value:
    """Return what the MSR becomes when `value` is written to it; as `_set_msr` does."""
    forced = t.select((value & MSR_PR).differs(0), MSR_EE | MSR_IR | MSR_DR, t.constant(0))
    return (value | forced) & MSR_BITS | old & MSR_IDENTITY


def _set_msr(processor: Processor, value: int) -> None:
    """Write the MSR; problem state forces EE, IR and DR (Book III 3.4.1)."""
    if value & MSR_PR:
        value |= MSR_EE | MSR_IR | MSR_DR
    state = processor.state
    performance.settle(state)
    state.msr = value & MSR_BITS | state.msr & MSR_IDENTITY


def _is_exception_let_in(processor: Processor) -> bool:
    """Tell whether MSR[FE0, FE1] as they are now let in a floating-point exception that waited in FPSCR[FEX].

    The program interrupt then comes before the next instruction, and SRR1 says so (Book III 2.01, 5.5.9).
    """
    state = processor.state
    return bool(state.msr & (MSR_FE0 | MSR_FE1) and state.get("fpscr") & fpscr.FEX)


def _mtmsrd(processor: Processor, value: int, changes: int) -> int:
    """Replace the bits `changes` of the MSR, and return where the program goes on.

    POW with a nap mode chosen waits for an interrupt.
    """
    state = processor.state
    following = storage.effective(processor, state.pc + 4)
    _set_msr(processor, state.msr & ~changes | value & changes)
    if changes & MSR_FE0 and _is_exception_let_in(processor):
        raise Interrupt(Vector.PROGRAM, PROGRAM_FP_ENABLED | PROGRAM_NEXT, after=True)
    if value & changes & MSR_POW and state.get("hid") & _HID0_NAP:
        raise Leave(ExitKind.IDLE)
    return storage.effective(processor, following)


def _write_msr(t: Builder, value: Value, changes: int) -> None:
    """Replace the bits `changes` of the MSR."""
    t.require_privilege()
    if not t.has_host_units:
        following = t.call(_mtmsrd, value, changes)
        t.context_changed()
        t.branch(following)
        return
    old = t.get("msr")
    new = _complete_msr(t, old & ~changes & _ALL | value & changes, old)
    ends = changes_more_than_context(t, old, new) | (value & changes & MSR_POW).differs(0)
    t.leave_instead_if(ends, _mtmsrd, value, changes)
    if changes & ~_MTMSR_L_BITS:
        t.switch(new, t.pc() + 4 if t.is64 else (t.pc() + 4).zext(32))
    else:
        t.put("msr", new)


_ALL = (1 << 64) - 1
#: What mtmsrd alters: not HV and not ME, which only rfid in hypervisor state does (Book III 3.4.1).
_MTMSRD_BITS = ~(MSR_HV | MSR_ME | MSR_IDENTITY) & (1 << 64) - 1
_MTMSR_BITS = _MTMSRD_BITS & 0xFFFF_FFFF
_MTMSR_L_BITS = MSR_EE | MSR_RI


@insn("011111 rs:5 -:4 wide:1 -:5 0010110010 -")
def mtmsrd(t: Builder, rs: Gpr, wide: int) -> None:
    """Move to Machine State Register Doubleword; with L = 1 only EE and RI. Book III 3.4.1."""
    _write_msr(t, t.gpr(rs), _MTMSR_L_BITS if wide else _MTMSRD_BITS)


@insn("011111 rs:5 -:4 wide:1 -:5 0010010010 -")
def mtmsr(t: Builder, rs: Gpr, wide: int) -> None:
    """Move to Machine State Register: its low half. Book III 3.4.1."""
    _write_msr(t, t.gpr(rs), _MTMSR_L_BITS if wide else _MTMSR_BITS)


@insn("011111 rt:5 -:10 0001010011 -")
def mfmsr(t: Builder, rt: Gpr) -> None:
    """Move from Machine State Register. Book III 3.4.1."""
    t.require_privilege()
    t.set_gpr(rt, t.get("msr"))


def _rfid(processor: Processor) -> int:
    """Set MSR from SRR1 and return SRR0.

    Only in hypervisor state can HV stay and ME change (Book III 3.3.1).
    """
    state = processor.state
    msr, value = state.msr, state.get("srr1")
    if not msr & MSR_HV:
        value = value & ~(MSR_HV | MSR_ME) | msr & MSR_ME
    _set_msr(processor, value)
    target = state.get("srr0") & (~3 if state.msr & MSR_SF else 0xFFFF_FFFC)
    if _is_exception_let_in(processor):
        state.pc = target
        raise Interrupt(Vector.PROGRAM, PROGRAM_FP_ENABLED | PROGRAM_NEXT)
    return target


@insn("010011 -:15 0000010010 -")
def rfid(t: Builder) -> None:
    """Return from Interrupt Doubleword. Book III 3.3.1."""
    t.require_privilege()
    if not t.has_host_units:
        target = t.call(_rfid)
        t.context_changed()
        t.branch(target)
        return
    old, value = t.get("msr"), t.get("srr1")
    guest = value & ~(MSR_HV | MSR_ME) & _ALL | old & MSR_ME
    new = _complete_msr(t, t.select((old & MSR_HV).differs(0), value, guest), old)
    t.leave_instead_if(changes_more_than_context(t, old, new), _rfid)
    t.switch(new, t.get("srr0") & (~3 if t.is64 else 0xFFFF_FFFC))


# Attention, and the words that call a simulator (K42 facts D.2).

#: HID0's bit 31: attn is an instruction.  Firmware leaves it off.
_HID0_ATTENTION = 1 << 32


def _attention(processor: Processor) -> int:
    if not processor.state.get("hid") & _HID0_ATTENTION:
        raise illegal()
    raise Leave(ExitKind.CHECKSTOP, 0, retry=True)


def _breakpoint(processor: Processor) -> int:
    if processor.simulator_call is None:
        raise illegal()
    raise Leave(ExitKind.SIMULATOR_BREAK, retry=True)


def _simulator(processor: Processor, word: int) -> int:
    if processor.simulator_call is None:
        raise illegal()
    processor.simulator_call(processor, word)
    return 0


@insn("000000 -:15 0100000000 -")
def attn(t: Builder) -> None:
    """Support Processor Attention: the machine stops, if HID0 enables it. 970 user's manual 2.1.8."""
    t.call(_attention)


@insn(f"{SIMOS_CALL:032b}")
def simos_call(t: Builder) -> None:
    """SimOS service call. K42 facts D.2."""
    t.call(_simulator, SIMOS_CALL)


@insn(f"{MAMBO_CALL:032b}")
def mambo_call(t: Builder) -> None:
    """Mambo service call. K42 facts D.2."""
    t.call(_simulator, MAMBO_CALL)


@insn(f"{RTAS_CALL:032b}")
def rtas_call(t: Builder) -> None:
    """RTAS emulation entry. K42 facts D.2."""
    t.call(_simulator, RTAS_CALL)


@insn(f"{SIMULATOR_BREAK:032b}")
def simulator_breakpoint(t: Builder) -> None:
    """Simulator breakpoint. K42 facts D.2."""
    t.call(_breakpoint)
