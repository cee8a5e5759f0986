"""The performance monitor: eight counters, what they count, and the interrupt when one goes negative.

The 970 chooses among some 250 signals by MMCR0 and MMCR1; two of them mean something here, and both follow
from guest time: instructions completed, and cycles, one to each unit of time (cpu/timers).  So nothing is
counted while the guest runs.  `settle` adds what has passed since it was called last; it is called before
anything that decides about counting changes (MSR, MMCRs) and before anybody looks.

A counter is negative when its bit 0 is set.  If MMCR0 cares about that one (PMC1CE, PMCjCE), it freezes
the counters (FCECE) and raises an alert (PMXE): PMXE goes off, PMAO on, SIAR names the next instruction.
PMAO is a level, which interrupts while MSR[EE] is on and until software clears it.  `next_event` lets the
machine stop on the very instruction (970 user's manual, chapter 10; PowerPC architecture 2.01, Book III,
appendix on the performance monitor).

Not there: other events (such a counter stands still), TRIGGER, time base events, sampling, SDAR.
"""

from __future__ import annotations

from emulator.cpu.state import INDEX, MSR_HV, MSR_PMM, MSR_PR, CpuState

#: A register's place in the words `pmc` is its number less this.
FIRST_NUMBER = 784
MMCRA, MMCR0, SIAR, SDAR, MMCR1 = 786, 795, 796, 797, 798
COUNTERS = range(787, 795)

# MMCR0.
FREEZE = 0x8000_0000
_FREEZE_SUPERVISOR = 0x4000_0000
_FREEZE_PROBLEM = 0x2000_0000
_FREEZE_MARKED = 0x1000_0000
_FREEZE_UNMARKED = 0x0800_0000
EXCEPTION_ENABLE = 0x0400_0000
FREEZE_ON_CONDITION = 0x0200_0000
FIRST_COUNTS = 0x8000
OTHERS_COUNT = 0x4000
ALERT = 0x80
_FREEZE_HYPERVISOR = 1

#: Where the selectors of five bits lie: two in MMCR0, six in MMCR1.
_SELECTORS = ((MMCR0, 8), (MMCR0, 1), *((MMCR1, shift) for shift in (27, 22, 17, 12, 7, 2)))
#: Selectors that every counter understands.
_INSTRUCTIONS = frozenset({1, 9})
_CYCLES = frozenset({7, 15})

NEGATIVE = 0x8000_0000
#: What `next_event` returns when nothing is due: more than any run.
NEVER = 1 << 62

_ICOUNT, _SLEPT, _SETTLED = INDEX["icount"], INDEX["time_slept"], INDEX["pmc_settled"]
_MSR, _PC = INDEX["msr"], INDEX["pc"]


def _word(number: int) -> int:
    return INDEX["pmc"] + number - FIRST_NUMBER


_MMCR0, _MMCR1 = _word(MMCR0), _word(MMCR1)
_FIRST_COUNTER = _word(COUNTERS[0])


def settle(state: CpuState) -> None:
    """Bring counters and alert up to this moment."""
    words = state.words
    if not words[_MMCR0] | words[_MMCR1]:
        return
    time = words[_ICOUNT] + words[_SLEPT]
    instructions, cycles = words[_ICOUNT] - words[_SETTLED], time - words[_SETTLED + 1]
    words[_SETTLED], words[_SETTLED + 1] = words[_ICOUNT], time
    if not _is_frozen(words[_MMCR0], words[_MSR]):
        for at, selector in enumerate(_selectors(state), _FIRST_COUNTER):
            passed = instructions if selector in _INSTRUCTIONS else cycles if selector in _CYCLES else 0
            words[at] = words[at] + passed & 0xFFFF_FFFF
    if any(words[at] & NEGATIVE for at in _watched_counters(words[_MMCR0])):
        _react(state)


def write(state: CpuState, number: int, value: int) -> None:
    """Write a counter or a control register."""
    settle(state)
    state.words[_word(number)] = value
    state.words[_SETTLED] = state.words[_ICOUNT]
    state.words[_SETTLED + 1] = state.words[_ICOUNT] + state.words[_SLEPT]


def read(state: CpuState, number: int) -> int:
    """Read a counter or a control register."""
    settle(state)
    return state.words[_word(number)]


def is_alert(state: CpuState) -> bool:
    """Tell whether the performance monitor exception exists, as of the last `settle`."""
    return bool(state.words[_MMCR0] & ALERT)


def next_event(state: CpuState) -> int:
    """Return a time, in instructions, within which there is no alert or freeze; just after `settle`."""
    words = state.words
    mmcr0 = words[_MMCR0]
    if mmcr0 & FREEZE or not mmcr0 & (EXCEPTION_ENABLE | FREEZE_ON_CONDITION):
        return NEVER
    selectors = _selectors(state)
    # Whatever state of the processor freezes them now: an interrupt may thaw the counters within the run.
    left = [
        NEGATIVE - words[at]
        for at in _watched_counters(mmcr0)
        if words[at] < NEGATIVE and selectors[at - _FIRST_COUNTER] in _INSTRUCTIONS | _CYCLES
    ]
    return min(left, default=NEVER)


def _selectors(state: CpuState) -> list[int]:
    return [state.words[_word(number)] >> shift & 31 for number, shift in _SELECTORS]


def _watched_counters(mmcr0: int) -> range:
    """Return the words of the counters whose going negative counts."""
    first = _FIRST_COUNTER if mmcr0 & FIRST_COUNTS else _FIRST_COUNTER + 1
    last = _FIRST_COUNTER + (len(COUNTERS) if mmcr0 & OTHERS_COUNT else 1)
    return range(first, last)


def _is_frozen(mmcr0: int, msr: int) -> bool:
    """Tell whether MMCR0 lets nothing count in the processor's state."""
    if msr & MSR_PR:
        state = _FREEZE_PROBLEM
    elif msr & MSR_HV:
        state = _FREEZE_HYPERVISOR
    else:
        state = _FREEZE_SUPERVISOR
    mark = _FREEZE_MARKED if msr & MSR_PMM else _FREEZE_UNMARKED
    return bool(mmcr0 & (FREEZE | state | mark))


def _react(state: CpuState) -> None:
    words = state.words
    if words[_MMCR0] & FREEZE_ON_CONDITION:
        words[_MMCR0] |= FREEZE
    if words[_MMCR0] & EXCEPTION_ENABLE:
        words[_MMCR0] = words[_MMCR0] & ~EXCEPTION_ENABLE | ALERT
        words[_word(SIAR)] = words[_PC]
