"""Accesses, and addresses watched for them: by the debugger, or by the guest through DABR and IABR."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from emulator.cpu.state import MSR_DR, MSR_HV, MSR_IR, MSR_PR

# DABR: the doubleword, whether it means translated accesses, stores, loads (Book III 2.01, 7.2).
DABR_TRANSLATED = 4
DABR_STORE = 2
DABR_LOAD = 1

# DABRX: whether DABR's translation bit counts, and the states in which it watches.
DABRX_ANY_TRANSLATION = 8
DABRX_HYPERVISOR = 4
DABRX_KERNEL = 2
DABRX_USER = 1


# IABR: the word's address, whether it is watched, and whether that means translated fetches.  The format is
# the 604's and 750's; we know of no public text on the 970's.
IABR_ENABLE = 2
_IABR_TRANSLATED = 1


class Access(IntEnum):
    """What an address is translated for."""

    FETCH = 0
    LOAD = 1
    STORE = 2


@dataclass(frozen=True, slots=True)
class Watch:
    """Addresses [start, start + length) a debugger watches, for loads, stores or both."""

    start: int
    length: int
    loads: bool
    stores: bool

    def matches(self, ea: int, size: int, access: Access) -> bool:
        wanted = self.stores if access is Access.STORE else self.loads
        return wanted and ea < self.start + self.length and self.start < ea + size


def dabr_watch(dabr: int) -> Watch:
    """Return what DABR watches."""
    return Watch(dabr & ~7, 8, bool(dabr & DABR_LOAD), bool(dabr & DABR_STORE))


def is_iabr_match(iabr: int, pc: int, msr: int) -> bool:
    """Tell whether IABR, which is enabled, watches the fetch from `pc` in the state `msr`."""
    return pc == iabr & ~3 and bool(iabr & _IABR_TRANSLATED) == bool(msr & MSR_IR)


def is_dabr_awake(dabr: int, dabrx: int, msr: int) -> bool:
    """Tell whether DABR watches accesses made in the state `msr`.

    Zero, as after reset, means every state: software written for DABR alone knows nothing of DABRX.
    """
    if not dabrx & DABRX_ANY_TRANSLATION and bool(dabr & DABR_TRANSLATED) != bool(msr & MSR_DR):
        return False
    state = DABRX_USER if msr & MSR_PR else DABRX_HYPERVISOR if msr & MSR_HV else DABRX_KERNEL
    return not dabrx or bool(dabrx & state)
