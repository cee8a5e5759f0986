"""Accesses, and addresses that are watched for them: by the debugger, or by the guest through DABR."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

# DABR: the doubleword, whether it means translated accesses, stores, loads (Book III 2.01, 7.2).  DABRX,
# which narrows it to some states of the processor, is kept but not asked.
DABR_TRANSLATED = 4
DABR_STORE = 2
DABR_LOAD = 1


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
