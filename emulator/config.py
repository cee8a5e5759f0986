"""What kind of machine, how much of it: the choices made before power-on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from emulator.memory import PAGE_SIZE

MEGABYTE = 1 << 20
#: Devices answer from 0xF8000000 on, and RAM is one piece from 0.
LARGEST_MEMORY = 3 << 30

#: PVR of a PPC970FX, revision 3.0.
PVR_970FX = 0x003C_0300


class MachineKind(Enum):
    """What the kernel believes to run on (K42 facts D.1)."""

    HARDWARE = "hardware"
    """A pSeries-like board: hypervisor state, a 16550 on the line."""
    MAMBO = "mambo"
    """The Mambo simulator: call words for console, line and time."""
    LPAR = "lpar"
    """A partition: `sc 1` reaches a hypervisor with a terminal."""


@dataclass(frozen=True, slots=True)
class MachineConfig:
    """A machine to be built.  `memory` in bytes; `epoch` is the time of day at power-on, seconds since
    1970."""

    kind: MachineKind = MachineKind.HARDWARE
    memory: int = 128 * MEGABYTE
    engine: str = "auto"
    pvr: int = PVR_970FX
    #: Fixed unless the user wants the host's, so that two runs are alike: 2005-09-08, K42's last summer.
    epoch: int = 1_126_137_600

    def __post_init__(self) -> None:
        """Raise ValueError, in words for the user, for a memory size no machine has."""
        if not PAGE_SIZE <= self.memory <= LARGEST_MEMORY or self.memory % PAGE_SIZE:
            limit = f"{LARGEST_MEMORY >> 30}G"
            raise ValueError(f"memory size {self.memory}: give a multiple of {PAGE_SIZE} bytes up to {limit}")


_SIZE = re.compile(r"(0[xX][0-9a-fA-F]{1,16}|[0-9]{1,16})([kKmMgG]?)(i?[bB])?")
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def parse_size(text: str) -> int:
    """Return the bytes that `128M`, `1G`, `0x1000` mean.  Raises ValueError, in words for the user."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"size {text!r}: give a number, with K, M or G if you like")
    number = match[1].lower()
    return int(number, 16 if number.startswith("0x") else 10) * _UNITS[match[2].lower()]
