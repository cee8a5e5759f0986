"""The registers by name: how the debugger, the trace and the monitor see the state block.

`REGISTERS` is the one list: name, width in bits, and where it lives.  A register that instructions keep
in pieces (CR, XER) is put together here; reading anything has no effect on the guest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from emulator.cpu.state import INDEX, CpuState


@dataclass(frozen=True, slots=True)
class Register:
    """One register: `read` and `write` take the state block; values are unsigned, `bits` wide."""

    name: str
    bits: int
    read: Callable[[CpuState], int]
    write: Callable[[CpuState, int], None]


def _word(name: str, word: str, offset: int = 0, bits: int = 64) -> Register:
    index = INDEX[word] + offset
    mask = (1 << bits) - 1

    def read(state: CpuState) -> int:
        return state.words[index] & mask

    def write(state: CpuState, value: int) -> None:
        state.words[index] = value & mask

    return Register(name, bits, read, write)


def _vector(number: int) -> Register:
    return Register(
        f"vr{number}", 128, lambda state: state.vr(number), lambda state, value: state.set_vr(number, value)
    )


def _write_cr(state: CpuState, value: int) -> None:
    state.cr = value


def _write_xer(state: CpuState, value: int) -> None:
    state.xer = value


def _write_pc(state: CpuState, value: int) -> None:
    # The two lowest bits of an instruction's address do not exist (Book I, 1.12.2).
    state.pc = value & ~3


#: What a program sees, in the order people expect.
USER: tuple[Register, ...] = (
    *(_word(f"r{n}", "gpr", n) for n in range(32)),
    Register("pc", 64, lambda state: state.pc, _write_pc),
    _word("msr", "msr"),
    Register("cr", 32, lambda state: state.cr, _write_cr),
    _word("lr", "lr"),
    _word("ctr", "ctr"),
    Register("xer", 32, lambda state: state.xer, _write_xer),
    *(_word(f"f{n}", "fpr", n) for n in range(32)),
    _word("fpscr", "fpscr", bits=32),
    *(_vector(n) for n in range(32)),
    _word("vscr", "vscr", bits=32),
    _word("vrsave", "vrsave", bits=32),
)

#: System registers that are a word of their own.
SYSTEM: tuple[Register, ...] = (
    _word("srr0", "srr0"),
    _word("srr1", "srr1"),
    _word("dar", "dar"),
    _word("dsisr", "dsisr", bits=32),
    *(_word(f"sprg{n}", "sprg", n) for n in range(4)),
    _word("sdr1", "sdr1"),
    _word("asr", "asr"),
    _word("pvr", "pvr", bits=32),
    _word("pir", "pir", bits=32),
    _word("dabr", "dabr"),
    _word("hior", "hior"),
    _word("hsprg0", "hsprg", 0),
    _word("hsprg1", "hsprg", 1),
)

REGISTERS: Mapping[str, Register] = {register.name: register for register in (*USER, *SYSTEM)}
