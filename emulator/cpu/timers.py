"""Time: timebase and decrementer, derived from the number of instructions executed.

The unit of guest time is one instruction.  `elapsed` is the instructions completed since power-on, plus one
for each interrupt taken, plus the time an idle guest slept through (the word `time_slept` holds both);
everything here follows from it, so two runs with the same input read the same clocks (docs/design.md, Time).
The whole state is four words of the state block.

    ticks       = elapsed / INSTRUCTIONS_PER_TICK, the raw counter of the clock chip
    timebase    = ticks + tb_offset                      (mod 2^64; mttbl/mttbu change the offset)
    decrementer = dec_zero - ticks                       (mod 2^32; mtdec changes dec_zero)

The decrementer exception is a level: it exists while the decrementer, taken as a signed number, is negative.
What the host's clock says is the runner's affair.
"""

from __future__ import annotations

from emulator.cpu.state import INDEX, MASK64, CpuState

#: Instructions in a second of guest time: a PPC970 is faster, our slowest engine much slower.
INSTRUCTIONS_PER_SECOND = 100_000_000
INSTRUCTIONS_PER_TICK = 4
#: What BootInfo reports as timebase frequency, Hz.
TIMEBASE_FREQUENCY = INSTRUCTIONS_PER_SECOND // INSTRUCTIONS_PER_TICK

_ICOUNT, _SLEPT = INDEX["icount"], INDEX["time_slept"]
_TB_OFFSET, _DEC_ZERO = INDEX["tb_offset"], INDEX["dec_zero"]
_MASK32 = 0xFFFF_FFFF
_SIGN32 = 0x8000_0000


class Timers:
    """The clocks of one processor."""

    __slots__ = ("_words",)

    def __init__(self, state: CpuState) -> None:
        """Keep the clocks of `state`."""
        self._words = state.words
        self.reset()

    def reset(self) -> None:
        """Begin with the decrementer as far away as it goes."""
        self.set_decrementer(_SIGN32 - 1)

    def elapsed(self) -> int:
        """Return the guest time since power-on, in instructions."""
        return self._words[_ICOUNT] + self._words[_SLEPT]

    def sleep(self, instructions: int) -> None:
        """Let guest time pass without executing anything."""
        self._words[_SLEPT] += instructions

    def timebase(self) -> int:
        """Return the 64-bit timebase."""
        return self._ticks() + self._words[_TB_OFFSET] & MASK64

    def set_timebase(self, value: int) -> None:
        """Set all 64 bits of the timebase."""
        self._words[_TB_OFFSET] = value - self._ticks() & MASK64

    def decrementer(self) -> int:
        """Return the 32-bit decrementer."""
        return self._words[_DEC_ZERO] - self._ticks() & _MASK32

    def set_decrementer(self, value: int) -> None:
        """Set the decrementer to the low 32 bits of `value`."""
        self._words[_DEC_ZERO] = (value & _MASK32) + self._ticks() & MASK64

    def is_decrementer_pending(self) -> bool:
        """Tell whether the decrementer exception exists."""
        return self.decrementer() >= _SIGN32

    def next_event(self) -> int:
        """Return the instructions until the decrementer goes negative; 0 if it is."""
        decrementer = self.decrementer()
        if decrementer >= _SIGN32:
            return 0
        return INSTRUCTIONS_PER_TICK * (self._ticks() + decrementer + 1) - self.elapsed()

    def _ticks(self) -> int:
        return (self._words[_ICOUNT] + self._words[_SLEPT]) // INSTRUCTIONS_PER_TICK
