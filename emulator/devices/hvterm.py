"""The hypervisor's calls, of a partition that has a terminal and nothing else (K42 facts D.8).

`sc 1` with the call's token in r3 and arguments from r4; the status goes to r3, results from r4.  Every
terminal number is the one console.  Calls this hypervisor does not have answer H_FUNCTION, as the
architecture wants (PAPR, "Hypervisor call functions").
"""

from __future__ import annotations

from enum import IntEnum

from emulator.cpu.exits import ExitKind, Leave
from emulator.cpu.processor import Processor
from emulator.cpu.state import INDEX, MASK64, MSR_EE, MSR_PR
from emulator.devices.port import Port

_R3 = INDEX["gpr"] + 3

#: Most bytes in one terminal call: two registers.
TERM_CHUNK = 16


class Token(IntEnum):
    """The calls there are."""

    GET_TERM_CHAR = 0x54
    PUT_TERM_CHAR = 0x58
    CEDE = 0xE0
    YIELD = 0x600C


class Status(IntEnum):
    """Answers, signed."""

    SUCCESS = 0
    BUSY = 1
    FUNCTION = -2
    PRIVILEGE = -3
    PARAMETER = -4


class HypervisorTerminal:
    """Answers hypervisor calls; `call` is the processor's `hypervisor_call`."""

    def __init__(self, console: Port) -> None:
        self.console = console

    def call(self, processor: Processor) -> None:
        """Carry out the call whose token is in r3, unless a user made it.  CEDE and YIELD end the run as
        IDLE."""
        words = processor.state.words
        if processor.state.msr & MSR_PR:
            words[_R3] = Status.PRIVILEGE & MASK64
            return
        token = words[_R3]
        match token:
            case Token.PUT_TERM_CHAR:
                status = self._put(words[_R3 + 2], words[_R3 + 3 : _R3 + 5])
            case Token.GET_TERM_CHAR:
                data = self.console.get(TERM_CHUNK)
                words[_R3 + 1] = len(data)
                padded = data.ljust(TERM_CHUNK, b"\0")
                words[_R3 + 2] = int.from_bytes(padded[:8], "big")
                words[_R3 + 3] = int.from_bytes(padded[8:], "big")
                status = Status.SUCCESS
            case Token.CEDE | Token.YIELD:
                if token == Token.CEDE:
                    # A partition that cedes its processor can be interrupted from then on.
                    processor.state.msr |= MSR_EE
                words[_R3] = Status.SUCCESS
                raise Leave(ExitKind.IDLE)
            case _:
                status = Status.FUNCTION
        words[_R3] = status & MASK64

    def _put(self, length: int, registers: memoryview) -> Status:
        if length > TERM_CHUNK:
            return Status.PARAMETER
        if self.console.space < length and self.console.connected:
            return Status.BUSY
        data = b"".join(word.to_bytes(8, "big") for word in registers)
        self.console.put(data[:length])
        return Status.SUCCESS
