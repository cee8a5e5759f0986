"""BootInfo: what K42's boot program tells the kernel (K42 facts E.5, G.1).

One big-endian structure of 13664 bytes whose address is in r3.  Fields not named here are zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from emulator.config import MachineConfig, MachineKind
from emulator.cpu.timers import INSTRUCTIONS_PER_SECOND, TIMEBASE_FREQUENCY

BOOT_INFO_SIZE = 13664
#: The kernel's parameters have this much room.
BOOT_DATA_MAX = 4096

PLATFORM_PSERIES = 0x100
PLATFORM_LPAR = 0x101

_BOOT_DATA = 0x0C10
_NACA = 0x1C78
_LMB = 0x1CF8
_RTAS_TOKENS = range(0x03A8, 0x03A8 + 14 * 4, 4)
_ABSENT = 0xFFFF_FFFF
_LINE = 128  # bytes in a 970's cache line
_NO_SIMULATOR, _MAMBO = 0, 2
#: What a simulator answers for processorCount.
_UNKNOWN_COUNT = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the boot program has put things: real addresses and bytes."""

    real: int
    virtual: int
    kernel: int
    kernel_size: int
    page_table_log2: int
    reboot: int
    reboot_size: int
    device_tree: int
    device_tree_size: int
    serial_port: int


def boot_info(config: MachineConfig, layout: Layout, parameters: Mapping[str, str]) -> bytes:
    """Return the structure.  Raises ValueError if the parameters are too long."""
    simulated = config.kind is MachineKind.MAMBO
    partition = config.kind is MachineKind.LPAR
    fields: list[tuple[int, int, int]] = [
        # offset, bytes, value
        (0x0010, 4, 1),  # version, major
        (0x0018, 4, PLATFORM_LPAR if partition else PLATFORM_PSERIES),
        (0x001C, 4, config.pvr),
        (0x0020, 8, _UNKNOWN_COUNT if simulated else 1),  # processorCount
        (0x0028, 8, config.memory),
        (0x0038, 8, TIMEBASE_FREQUENCY),  # tb_ticks_per_sec
        (0x0060, 4, 32 << 10),  # first-level data cache and its line, instruction cache and its line
        (0x0064, 4, _LINE),
        (0x0068, 4, 64 << 10),
        (0x006C, 4, _LINE),
        (0x0118, 1, int(partition)),  # onHV
        (0x0119, 1, _MAMBO if simulated else _NO_SIMULATOR),  # onSim
        (0x0138, 8, 1),  # availCPUs
        (0x0348, 8, config.pvr >> 16),  # cpu_version
        (0x0350, 8, INSTRUCTIONS_PER_SECOND),  # clock, bus, timebase frequency
        (0x0358, 8, INSTRUCTIONS_PER_SECOND // 2),
        (0x0360, 8, TIMEBASE_FREQUENCY),
        (0x0368, 8, config.memory),  # physEnd
        (0x0370, 8, layout.kernel),
        (0x0378, 8, layout.kernel_size),
        (0x0380, 8, layout.reboot),
        (0x0388, 8, layout.reboot_size),
        (0x0390, 4, 4 << 20),  # second-level cache and its line
        (0x0394, 4, _LINE),
        (0x0398, 8, layout.device_tree),
        (0x03A0, 8, layout.device_tree_size),
        *((token, 4, _ABSENT) for token in _RTAS_TOKENS),
        (0x1C28, 8, 1),  # simosDisk1Number
        (_NACA + 0x38, 8, layout.serial_port),
        (_NACA + 0x48, 8, 64),  # slb_size
        (_NACA + 0x50, 8, layout.page_table_log2),  # pftSize
        (_NACA + 0x58, 8, layout.virtual),  # systemcfg
        (_LMB + 0x08, 8, config.memory),  # rmo_size
        (_LMB + 0x10, 8, 1),  # memory: one region
        (_LMB + 0x18, 8, config.memory),
        (_LMB + 0x30, 8, config.memory),  # its base and real base are 0
    ]
    info = bytearray(BOOT_INFO_SIZE)
    for offset, length, value in fields:
        info[offset : offset + length] = value.to_bytes(length, "big")
    _put(info, 0x0000, b"SYSTEMCFG:PPC64\0")
    _put(info, _BOOT_DATA, parameter_block(parameters))
    _put(info, 0x1C10, b"emulated 970\0")
    return bytes(info)


def parameter_block(parameters: Mapping[str, str]) -> bytes:
    """Return NAME=VALUE parameters as the kernel reads them (K42 facts G.1).  Raises ValueError if too
    long."""
    strings = "".join(f"{name}={value}\0" for name, value in parameters.items())
    part = b"KBootParms\0" + strings.encode()
    block = (1).to_bytes(4, "big") + (4 + len(part)).to_bytes(4, "big") + part
    if len(block) > BOOT_DATA_MAX:
        raise ValueError(f"boot parameters take {len(block)} bytes, there is room for {BOOT_DATA_MAX}")
    return block


def _put(info: bytearray, offset: int, data: bytes) -> None:
    info[offset : offset + len(data)] = data
