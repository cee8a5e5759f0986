"""Special-purpose registers: one row each (Book I 3.3.13, Book III 3.3; 970 user's manual, table 2-1).

A register is a state word, a pair of functions, or both (a word whose writing has an effect).  Bit 0x10 of
the number says that it takes a privileged state (Book III 3.3.2).  A number without a row is an illegal
instruction in problem state; in privileged state the 970 does nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from emulator.cpu import performance
from emulator.cpu.interrupts import illegal, privileged
from emulator.cpu.state import INDEX, MASK64, MSR_PR

if TYPE_CHECKING:
    from emulator.cpu.processor import Processor

PRIVILEGED_BIT = 0x10
_LOW32 = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class Spr:
    """`word` is its state word; `read` and `write` replace plain access; `mask`: the bits it keeps."""

    name: str
    word: int | None = None
    read: Callable[[Processor], int] | None = None
    write: Callable[[Processor, int], None] | None = None
    mask: int = MASK64
    is_read_only: bool = False


def _word(name: str, state_name: str, offset: int = 0, mask: int = MASK64) -> Spr:
    return Spr(name, INDEX[state_name] + offset, mask=mask)


def _write_xer(processor: Processor, value: int) -> None:
    processor.state.xer = value


def _write_timebase_low(processor: Processor, value: int) -> None:
    timers = processor.timers
    timers.set_timebase(timers.timebase() & ~_LOW32 | value & _LOW32)


def _write_timebase_high(processor: Processor, value: int) -> None:
    timers = processor.timers
    timers.set_timebase(timers.timebase() & _LOW32 | (value & _LOW32) << 32)


def _flushing(word: str) -> Callable[[Processor, int], None]:
    """Return a writer of `word` on which translation depends."""

    def write(processor: Processor, value: int) -> None:
        processor.state.put(word, value)
        processor.mmu.flush()

    return write


_PERFORMANCE = {
    performance.MMCRA: "MMCRA",
    **{number: f"PMC{n}" for n, number in enumerate(performance.COUNTERS, 1)},
    performance.MMCR0: "MMCR0",
    performance.SIAR: "SIAR",
    performance.SDAR: "SDAR",
    performance.MMCR1: "MMCR1",
}


def _performance(name: str, number: int) -> Spr:
    """Return the row of a register of the performance monitor (cpu/performance)."""
    word = INDEX["pmc"] + number - performance.FIRST_NUMBER
    if number in (performance.MMCRA, performance.SIAR, performance.SDAR):
        return Spr(name, word)
    return Spr(
        name,
        word,
        read=lambda p: performance.read(p.state, number),
        write=lambda p, value: performance.write(p.state, number, value),
        mask=MASK64 if number == performance.MMCR1 else _LOW32,
    )


def _rows() -> dict[int, Spr]:
    table = {
        1: Spr("XER", read=lambda p: p.state.xer, write=_write_xer),
        8: _word("LR", "lr"),
        9: _word("CTR", "ctr"),
        18: _word("DSISR", "dsisr", mask=_LOW32),
        19: _word("DAR", "dar"),
        22: Spr("DEC", read=lambda p: p.timers.decrementer(), write=lambda p, v: p.timers.set_decrementer(v)),
        25: Spr("SDR1", INDEX["sdr1"], write=_flushing("sdr1")),
        26: _word("SRR0", "srr0"),
        27: _word("SRR1", "srr1"),
        29: _word("ACCR", "accr"),
        136: Spr("CTRL", INDEX["ctrl"], is_read_only=True),
        152: _word("CTRL", "ctrl", mask=_LOW32),
        256: _word("VRSAVE", "vrsave", mask=_LOW32),
        259: Spr("SPRG3", INDEX["sprg"] + 3, is_read_only=True),
        268: Spr("TB", read=lambda p: p.timers.timebase(), is_read_only=True),
        269: Spr("TBU", read=lambda p: p.timers.timebase() >> 32, is_read_only=True),
        280: Spr("ASR", INDEX["asr"], write=_flushing("asr")),
        284: Spr("TBL", read=lambda p: p.timers.timebase() & _LOW32, write=_write_timebase_low),
        285: Spr("TBU", read=lambda p: p.timers.timebase() >> 32, write=_write_timebase_high),
        287: Spr("PVR", INDEX["pvr"], is_read_only=True),
        311: _word("HIOR", "hior"),
        1010: Spr("IABR", INDEX["iabr"], write=lambda p, v: p.state.put("iabr", v)),
        1013: Spr("DABR", INDEX["dabr"], write=_flushing("dabr")),
        1015: Spr("DABRX", INDEX["dabrx"], write=_flushing("dabrx")),
        1023: Spr("PIR", INDEX["pir"], is_read_only=True),
    }
    table |= {272 + n: _word(f"SPRG{n}", "sprg", n) for n in range(4)}
    table |= {304 + n: _word(f"HSPRG{n}", "hsprg", n) for n in range(2)}
    table |= {528 + n: _word(f"BAT{n}", "bats", n) for n in range(16)}
    for number, name in _PERFORMANCE.items():
        table[number] = _performance(name, number)
        # Users read it at another number.
        table[number - 16] = replace(table[number], is_read_only=True, write=None)
    hids = {1008: ("HID0", 0), 1009: ("HID1", 1), 1012: ("HID4", 4), 1014: ("HID5", 5), 1017: ("HID6", 6)}
    table |= {number: _word(name, "hid", at) for number, (name, at) in hids.items()}
    # SCOM and trigger registers: kept, without effect.
    scratch = {276: "SCOMC", 277: "SCOMD", 976: "TRIG0", 977: "TRIG1", 978: "TRIG2"}
    table |= {number: _word(name, "scratch_spr", at) for at, (number, name) in enumerate(scratch.items())}
    return table


SPRS: dict[int, Spr] = _rows()


def swap_halves(spr: int) -> int:
    """Return the register number an encoding means: its two halves of five bits are exchanged."""
    return spr >> 5 | (spr & 31) << 5


def is_plain(number: int, *, writing: bool) -> bool:
    """Tell whether an access is nothing but reading or writing a state word."""
    row = SPRS.get(number)
    if row is None or row.word is None:
        return False
    if writing:
        return row.write is None and row.mask == MASK64 and not row.is_read_only
    return row.read is None


def read(processor: Processor, number: int, current: int) -> int:
    """Return the value of register `number`; `current`, what RT holds, where the 970 does nothing."""
    row = _allowed(processor, number)
    if row is None:
        return current
    if row.read is not None:
        return row.read(processor) & MASK64
    return processor.state.words[row.word or 0]


def write(processor: Processor, number: int, value: int) -> int:
    """Write register `number`."""
    row = _allowed(processor, number)
    if row is not None and not row.is_read_only:
        value &= row.mask
        if row.write is not None:
            row.write(processor, value)
        elif row.word is not None:
            processor.state.words[row.word] = value
    return 0


def _allowed(processor: Processor, number: int) -> Spr | None:
    row = SPRS.get(number)
    if processor.state.msr & MSR_PR:
        if number & PRIVILEGED_BIT:
            raise privileged()
        if row is None:
            raise illegal()
    return row
