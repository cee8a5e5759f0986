"""A PPC64 of some forty instructions: enough to run compiled C, small enough to be believed by reading.

It is the debuggee of this folder's tests, and an opinion on branches that owes nothing to gdbstub.ppc64.
Real mode, big-endian, no devices: a store to `OUT` prints a byte.  `step` executes one instruction or raises
`Trap` with the machine exactly at the instruction, as an exception would.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

M64 = (1 << 64) - 1
OUT = 0x7000_0000

PROGRAM_ILLEGAL = 0x80000
PROGRAM_TRAP = 0x20000


class Trap(Exception):
    """An exception: the vector, and the SRR1 bits that name the cause."""

    def __init__(self, vector: int, cause: int = 0, addr: int | None = None) -> None:
        super().__init__(f"vector {vector:#x} cause {cause:#x} addr {addr}")
        self.vector = vector
        self.cause = cause
        self.addr = addr


def s64(value: int) -> int:
    value &= M64
    return value - (1 << 64) if value >> 63 else value


def s32(value: int) -> int:
    value &= 0xFFFFFFFF
    return value - (1 << 32) if value >> 31 else value


def s16(value: int) -> int:
    value &= 0xFFFF
    return value - (1 << 16) if value >> 15 else value


def mask64(start: int, stop: int) -> int:
    """Ones from bit `start` to bit `stop` in IBM numbering, wrapping."""
    if start <= stop:
        return (M64 >> start) & (M64 << (63 - stop)) & M64
    return ~mask64(stop + 1, start - 1) & M64


@dataclass
class Machine:
    """Registers and memory.  `memory` maps a segment's start to its bytes."""

    gpr: list[int] = field(default_factory=lambda: [0] * 32)
    fpr: list[int] = field(default_factory=lambda: [0] * 32)
    pc: int = 0
    msr: int = 0x8000_0000_0000_0000
    cr: int = 0
    lr: int = 0
    ctr: int = 0
    xer: int = 0
    fpscr: int = 0
    srr0: int = 0
    srr1: int = 0
    memory: dict[int, bytearray] = field(default_factory=dict)
    reservation: int | None = None
    output: bytearray = field(default_factory=bytearray)
    watch: Callable[[int, int, bool], None] | None = None

    def _segment(self, addr: int, length: int) -> tuple[bytearray, int]:
        for start, data in self.memory.items():
            if start <= addr and addr + length <= start + len(data):
                return data, addr - start
        raise Trap(0x300, addr=addr)

    def read(self, addr: int, length: int) -> bytes:
        data, offset = self._segment(addr & M64, length)
        return bytes(data[offset : offset + length])

    def write(self, addr: int, raw: bytes) -> None:
        data, offset = self._segment(addr & M64, len(raw))
        data[offset : offset + len(raw)] = raw

    def load(self, addr: int, length: int) -> int:
        if self.watch:
            self.watch(addr & M64, length, False)
        return int.from_bytes(self.read(addr, length), "big")

    def store(self, addr: int, length: int, value: int) -> None:
        if self.watch:
            self.watch(addr & M64, length, True)
        if addr == OUT:
            self.output.append(value & 0xFF)
            return
        self.write(addr, (value & ((1 << 8 * length) - 1)).to_bytes(length, "big"))

    def cr_bit(self, bit: int) -> int:
        return self.cr >> (31 - bit) & 1

    def set_cr_field(self, index: int, value: int) -> None:
        shift = 4 * (7 - index)
        self.cr = self.cr & ~(15 << shift) | value << shift

    def compare(self, index: int, a: int, b: int) -> None:
        self.set_cr_field(index, (8 if a < b else 4 if a > b else 2) | self.xer >> 31 & 1)

    def step(self) -> None:
        """Execute one instruction."""
        word = int.from_bytes(self.fetch(), "big")
        handler = PRIMARY.get(word >> 26)
        if handler is None:
            raise Trap(0x700, PROGRAM_ILLEGAL)
        following = handler(self, word)
        self.pc = (self.pc + 4 if following is None else following) & M64

    def fetch(self) -> bytes:
        try:
            return self.read(self.pc, 4)
        except Trap:
            raise Trap(0x400) from None

    def base(self, word: int) -> int:
        ra = word >> 16 & 31
        return self.gpr[ra] if ra else 0

    def branch_taken(self, word: int, may_count: bool = True) -> bool:
        bo, bi = word >> 21 & 31, word >> 16 & 31
        if not bo & 4 and may_count:
            self.ctr = (self.ctr - 1) & M64
        counted = bool(bo & 4) or (self.ctr != 0) != bool(bo & 2)
        return counted and (bool(bo & 16) or self.cr_bit(bi) == bo >> 3 & 1)


def addi(m: Machine, w: int) -> None:
    m.gpr[w >> 21 & 31] = m.base(w) + s16(w) & M64


def addis(m: Machine, w: int) -> None:
    m.gpr[w >> 21 & 31] = m.base(w) + (s16(w) << 16) & M64


def mulli(m: Machine, w: int) -> None:
    m.gpr[w >> 21 & 31] = m.gpr[w >> 16 & 31] * s16(w) & M64


def logical_immediate(operate: Callable[[int, int], int], shift: int) -> Callable[[Machine, int], None]:
    def execute(m: Machine, w: int) -> None:
        m.gpr[w >> 16 & 31] = operate(m.gpr[w >> 21 & 31], (w & 0xFFFF) << shift)

    return execute


def andi_dot(m: Machine, w: int) -> None:
    m.gpr[w >> 16 & 31] = m.gpr[w >> 21 & 31] & w & 0xFFFF
    m.compare(0, s64(m.gpr[w >> 16 & 31]), 0)


def compare_immediate(m: Machine, w: int) -> None:
    a = m.gpr[w >> 16 & 31]
    m.compare(w >> 23 & 7, s64(a) if w >> 21 & 1 else s32(a), s16(w))


def compare_logical_immediate(m: Machine, w: int) -> None:
    a = m.gpr[w >> 16 & 31]
    m.compare(w >> 23 & 7, a if w >> 21 & 1 else a & 0xFFFFFFFF, w & 0xFFFF)


def load_d(length: int, update: bool = False) -> Callable[[Machine, int], None]:
    def execute(m: Machine, w: int) -> None:
        addr = m.base(w) + s16(w) & M64
        m.gpr[w >> 21 & 31] = m.load(addr, length)
        if update:
            m.gpr[w >> 16 & 31] = addr

    return execute


def store_d(length: int, update: bool = False) -> Callable[[Machine, int], None]:
    def execute(m: Machine, w: int) -> None:
        addr = m.base(w) + s16(w) & M64
        m.store(addr, length, m.gpr[w >> 21 & 31])
        if update:
            m.gpr[w >> 16 & 31] = addr

    return execute


def load_ds(m: Machine, w: int) -> None:
    addr = m.base(w) + s16(w & 0xFFFC) & M64
    match w & 3:
        case 0:
            m.gpr[w >> 21 & 31] = m.load(addr, 8)
        case 1:
            m.gpr[w >> 21 & 31] = m.load(addr, 8)
            m.gpr[w >> 16 & 31] = addr
        case 2:
            m.gpr[w >> 21 & 31] = s32(m.load(addr, 4)) & M64
        case _:
            raise Trap(0x700, PROGRAM_ILLEGAL)


def store_ds(m: Machine, w: int) -> None:
    addr = m.base(w) + s16(w & 0xFFFC) & M64
    if w & 2:
        raise Trap(0x700, PROGRAM_ILLEGAL)
    m.store(addr, 8, m.gpr[w >> 21 & 31])
    if w & 1:
        m.gpr[w >> 16 & 31] = addr


def branch(m: Machine, w: int) -> int:
    offset = w & 0x3FFFFFC
    offset -= (offset & 0x2000000) << 1
    if w & 1:
        m.lr = m.pc + 4 & M64
    return offset if w & 2 else m.pc + offset


def branch_conditional(m: Machine, w: int) -> int | None:
    here = m.pc
    taken = m.branch_taken(w)
    if w & 1:
        m.lr = here + 4 & M64
    offset = s16(w & 0xFFFC)
    return (offset if w & 2 else here + offset) if taken else None


def system_call(m: Machine, w: int) -> None:
    raise Trap(0xC00)


def rotate_word(m: Machine, w: int) -> None:
    shift, start, stop = w >> 11 & 31, w >> 6 & 31, w >> 1 & 31
    low = m.gpr[w >> 21 & 31] & 0xFFFFFFFF
    both = low << 32 | low
    m.gpr[w >> 16 & 31] = (both << shift | both >> 64 - shift) & M64 & mask64(start + 32, stop + 32)
    if w & 1:
        m.compare(0, s64(m.gpr[w >> 16 & 31]), 0)


def rotate_doubleword(m: Machine, w: int) -> None:
    shift, edge, kind = w >> 11 & 31 | w << 4 & 32, w >> 6 & 31 | w & 32, w >> 2 & 7
    value = m.gpr[w >> 21 & 31]
    rotated = (value << shift | value >> 64 - shift) & M64
    match kind:
        case 0:
            result = rotated & mask64(edge, 63)
        case 1:
            result = rotated & mask64(0, edge)
        case 2:
            result = rotated & mask64(edge, 63 - shift)
        case 3:
            mask = mask64(edge, 63 - shift)
            result = rotated & mask | m.gpr[w >> 16 & 31] & ~mask & M64
        case _:
            raise Trap(0x700, PROGRAM_ILLEGAL)
    m.gpr[w >> 16 & 31] = result
    if w & 1:
        m.compare(0, s64(result), 0)


def condition_register(m: Machine, w: int) -> int | None:
    """Opcode 19: branches to registers, CR logic, rfid, isync."""
    extended = w >> 1 & 0x3FF
    match extended:
        case 16 | 528:
            here, target = m.pc, (m.lr if extended == 16 else m.ctr) & ~3
            taken = m.branch_taken(w, may_count=extended == 16)
            if w & 1:
                m.lr = here + 4 & M64
            return target if taken else None
        case 150:
            return None
        case 18:
            m.msr = m.srr1
            return m.srr0 & ~3
        case 193 | 289:
            a, b = m.cr_bit(w >> 16 & 31), m.cr_bit(w >> 11 & 31)
            bit = 31 - (w >> 21 & 31)
            m.cr = m.cr & ~(1 << bit) | (a ^ b ^ (extended == 289)) << bit
            return None
        case _:
            raise Trap(0x700, PROGRAM_ILLEGAL)


def trap_word(m: Machine, w: int) -> None:
    a, b = m.gpr[w >> 16 & 31], m.gpr[w >> 11 & 31]
    conditions = (
        s32(a) < s32(b),
        s32(a) > s32(b),
        s32(a) == s32(b),
        a & 0xFFFFFFFF < b & 0xFFFFFFFF,
        a & 0xFFFFFFFF > b & 0xFFFFFFFF,
    )
    if any(w >> 25 - index & 1 and holds for index, holds in enumerate(conditions)):
        raise Trap(0x700, PROGRAM_TRAP)


def extended_31(m: Machine, w: int) -> None:
    rt, ra, rb, extended = w >> 21 & 31, w >> 16 & 31, w >> 11 & 31, w >> 1 & 0x3FF
    g = m.gpr
    indexed = m.base(w) + g[rb] & M64
    match extended:
        case 0:
            a, b = (s64(g[ra]), s64(g[rb])) if w >> 21 & 1 else (s32(g[ra]), s32(g[rb]))
            m.compare(w >> 23 & 7, a, b)
            return
        case 32:
            mask = M64 if w >> 21 & 1 else 0xFFFFFFFF
            m.compare(w >> 23 & 7, g[ra] & mask, g[rb] & mask)
            return
        case 4:
            trap_word(m, w)
            return
        case 20 | 84:
            m.reservation = indexed
            g[rt] = m.load(indexed, 4 if extended == 20 else 8)
            return
        case 150 | 214:
            stored = m.reservation == indexed
            if stored:
                m.store(indexed, 4 if extended == 150 else 8, g[rt])
            m.reservation = None
            m.set_cr_field(0, 2 * stored | m.xer >> 31 & 1)
            return
        case 19:
            g[rt] = m.cr
            return
        case 144:
            for index in range(8):
                if w >> 19 - index & 1:
                    m.set_cr_field(index, g[rt] >> 4 * (7 - index) & 15)
            return
        case 83:
            g[rt] = m.msr
            return
        case 146 | 178:
            m.msr = g[rt]
            return
        case 339:
            g[rt] = {8: m.lr, 9: m.ctr, 1: m.xer}.get(ra, 0)
            return
        case 467:
            if ra == 8:
                m.lr = g[rt]
            elif ra == 9:
                m.ctr = g[rt]
            elif ra == 1:
                m.xer = g[rt] & 0xFFFFFFFF
            elif ra == 26:
                m.srr0 = g[rt]
            elif ra == 27:
                m.srr1 = g[rt]
            return
        case 54 | 86 | 246 | 278 | 598 | 854 | 982:
            return
        case 87 | 23 | 21 | 279:
            g[rt] = m.load(indexed, {87: 1, 23: 4, 21: 8, 279: 2}[extended])
            return
        case 341:
            g[rt] = s32(m.load(indexed, 4)) & M64
            return
        case 215 | 151 | 149 | 407:
            m.store(indexed, {215: 1, 151: 4, 149: 8, 407: 2}[extended], g[rt])
            return
        case 266 | 40 | 235 | 233 | 104 | 491 | 489:
            g[rt] = ARITHMETIC[extended](s64(g[ra]), s64(g[rb])) & M64
            result = g[rt]
        case 444 | 28 | 316 | 124 | 60 | 986 | 954 | 922 | 24 | 27 | 536 | 539 | 824 | 794 | 26 | 58:
            g[ra] = LOGICAL[extended](g[rt], g[rb], rb) & M64
            result = g[ra]
        case 826 | 827:
            shift = rb | w << 4 & 32
            g[ra] = s64(g[rt]) >> shift & M64
            result = g[ra]
        case _:
            raise Trap(0x700, PROGRAM_ILLEGAL)
    if w & 1:
        m.compare(0, s64(result), 0)


def divide(a: int, b: int) -> int:
    return 0 if b == 0 else abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


ARITHMETIC: dict[int, Callable[[int, int], int]] = {
    266: lambda a, b: a + b,
    40: lambda a, b: b - a,
    104: lambda a, b: -a,
    235: lambda a, b: s32(a) * s32(b),
    233: lambda a, b: a * b,
    491: lambda a, b: divide(s32(a), s32(b)),
    489: divide,
}

LOGICAL: dict[int, Callable[[int, int, int], int]] = {
    444: lambda s, b, field: s | b,
    28: lambda s, b, field: s & b,
    316: lambda s, b, field: s ^ b,
    124: lambda s, b, field: ~(s | b),
    60: lambda s, b, field: s & ~b,
    986: lambda s, b, field: s32(s),
    954: lambda s, b, field: (s & 0xFF) - ((s & 0x80) << 1),
    922: lambda s, b, field: s16(s),
    24: lambda s, b, field: (s & 0xFFFFFFFF) << (b & 63) & 0xFFFFFFFF if not b & 32 else 0,
    27: lambda s, b, field: s << (b & 63) if not b & 64 else 0,
    536: lambda s, b, field: (s & 0xFFFFFFFF) >> (b & 63),
    539: lambda s, b, field: s >> (b & 63) if not b & 64 else 0,
    824: lambda s, b, field: s32(s) >> field,
    794: lambda s, b, field: s64(s) >> (b & 127 if b & 127 < 64 else 63),
    26: lambda s, b, field: 32 - (s & 0xFFFFFFFF).bit_length(),
    58: lambda s, b, field: 64 - s.bit_length(),
}

PRIMARY: dict[int, Callable[[Machine, int], int | None]] = {
    7: mulli,
    10: compare_logical_immediate,
    11: compare_immediate,
    14: addi,
    15: addis,
    16: branch_conditional,
    17: system_call,
    18: branch,
    19: condition_register,
    21: rotate_word,
    24: logical_immediate(lambda a, b: a | b, 0),
    25: logical_immediate(lambda a, b: a | b, 16),
    26: logical_immediate(lambda a, b: a ^ b, 0),
    27: logical_immediate(lambda a, b: a ^ b, 16),
    28: andi_dot,
    30: rotate_doubleword,
    31: extended_31,
    32: load_d(4),
    33: load_d(4, update=True),
    34: load_d(1),
    35: load_d(1, update=True),
    36: store_d(4),
    37: store_d(4, update=True),
    38: store_d(1),
    39: store_d(1, update=True),
    40: load_d(2),
    44: store_d(2),
    58: load_ds,
    62: store_ds,
}
