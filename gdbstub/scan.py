"""Looking at much memory for one packet: what `qCRC` and `qSearch` ask of a target.

gdb leaves the work to the stub because the memory is near it.  Where it is not, on a slow line, the scan is
refused, and gdb reads piece by piece.
"""

from __future__ import annotations

import errno
import zlib

from gdbstub.target import MemoryFault, Target, TargetError, Unhurried, Unsupported

# More than a packet's worth, piece by piece; bounds what one packet can cost.
MAX_SCAN = 64 << 20
SCAN_PIECE = 64 << 10


async def read(target: Target, addr: int, length: int) -> bytes:
    """Read exactly `length` bytes.

    Raises MemoryFault, Unsupported where it would take too long, and TargetError.
    """
    if isinstance(target, Unhurried):
        raise Unsupported("a scan")
    if length > MAX_SCAN:
        raise TargetError(errno.E2BIG, f"{length} bytes are more than one packet may ask for")
    pieces = []
    while length:
        piece = await target.read_memory(addr, min(length, SCAN_PIECE))
        if not piece:
            raise MemoryFault(addr)
        pieces.append(piece)
        addr += len(piece)
        length -= len(piece)
    return b"".join(pieces)


_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def checksum(data: bytes) -> int:
    """Return the CRC that `compare-sections` wants.

    Polynomial 0x04c11db7, most significant bit first, start 0xffffffff, no final inversion (GDB manual,
    `qCRC`).  zlib computes its mirror image, with a final inversion.
    """
    mirrored = zlib.crc32(data.translate(_MIRRORED)) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)
