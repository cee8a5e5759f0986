"""Random programs in every state of the MSR against qemu-system-ppc64: what each interrupt finds.

A program is a row of blocks.  A block begins in a random MSR, 32-bit mode and tracing included, and goes
through accesses that fault, traps, privileged instructions, rfid and mtmsr to other states, changes of the
SLB and the page table.  At each interrupt the driver (programs/system.S) logs vector, SRR0, SRR1, DAR, DSISR,
MSR, CR, XER, LR, CTR and the general registers, and goes on.

Where QEMU 7.2 does otherwise (docs/emulator.md), programs keep clear: ME stays on, nothing is stored
conditionally or enabled in FPSCR, no real address beyond memory; what invalidates is followed by isync.
Multiple and string stores stay out of virtual memory: how much of one is done before it faults is open.
"""

from __future__ import annotations

import random
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import oracle
import pytest
from oracle import encode
from test_isa_interrupts import mfspr, mtspr
from test_mmu_against_qemu import DONE, MEMORY, run_on_qemu

from emulator.boot import load_raw
from emulator.config import MachineConfig, MachineKind
from emulator.cpu.exits import ExitKind
from emulator.cpu.state import (
    MSR_BE,
    MSR_DR,
    MSR_EE,
    MSR_FE0,
    MSR_FP,
    MSR_IR,
    MSR_ME,
    MSR_PR,
    MSR_RI,
    MSR_SE,
    MSR_SF,
    MSR_VMX,
)  # fmt: skip
from emulator.isa.decode import Instruction, instructions
from emulator.machine import Machine

SOURCE = Path(__file__).parent / "programs" / "system.S"
SEGMENTS, CODE, CODE_END, BLOCKS, TABLE = 0x6000, 0x10_0000, 0x12_0000, 0x20_0000, 0x40_0000
DATA, DATA_PAGES, LOG, LOG_END = 0x60_0000, 24, 0x100_0000, 0x180_0000
PLACES = {
    "SEGMENTS": SEGMENTS,
    "BLOCKS": BLOCKS,
    "TABLE": TABLE,
    "LOG": LOG,
    "LOG_END": LOG_END,
    "DONE": DONE,
}
SIZE = 512
GROUPS = 2048

NAMES = ["vector", "srr0", "srr1", "dar", "dsisr", "cr", "xer", "lr", "ctr", "msr", "r1", "r2", "r0"]
NAMES += [f"r{n}" for n in range(3, 32)]
#: DSISR after an alignment interrupt: QEMU gives it only register numbers, and leaves what was there.
DSISR, ALIGNMENT, STORAGE = NAMES.index("dsisr"), 0x600, 0x300

#: ESID -> VSID.  As real addresses all are the same; the last has no SLB entry at first.
SEGMENT_IDS = {0: 0x111, 0x4_0000_0000: 0x222, 0xC_0000_0000: 0x1_C000_0000, 0x2_0000_0000: 0x444}
MISSING = 0x2_0000_0000
#: R16 and R17 are the generator's own, R18 to R21 hold addresses, R24 an index.
TEMPORARY, OTHER, BASES, INDEX = 16, 17, range(18, 22), 24
LAST = encode("addi", rt=0, ra0=0, si=0x7777)

FIXED = [row for row in instructions() if row.section in ("arithmetic", "logic")]
STORAGE_ROWS = [row for row in instructions() if row.section in ("load_store", "multiple")]
STORAGE_ROWS += [row for row in instructions() if row.name in ("dcbz", "dcbst", "lfd", "stfd", "lfs", "lvx")]
PARTIAL = ("stmw", "stswi", "stswx")
CONDITIONAL = ("stwcx_", "stdcx_")


def constant(register: int, value: int) -> list[int]:
    """Words that load 64 bits."""
    high, upper, lower, low = (value >> at & 0xFFFF for at in (48, 32, 16, 0))
    return [
        encode("addis", rt=register, ra0=0, si=high),
        encode("ori", rs=register, ra=register, ui=upper),
        encode("rldicr", rs=register, ra=register, sh=0b000001, mb=0b111110),
        encode("oris", rs=register, ra=register, ui=lower),
        encode("ori", rs=register, ra=register, ui=low),
    ]


class Generator:
    """Draws one image: page table, segments, blocks."""

    def __init__(self, seed: int, translated: bool) -> None:
        self.rng = random.Random(seed)
        self.translated = translated
        self.image = bytearray(LOG)
        self.image[DATA : DATA + 0x1000 * DATA_PAGES] = self.rng.randbytes(0x1000 * DATA_PAGES)
        #: (address of a page table entry, an address it maps)
        self.entries: list[tuple[int, int]] = []
        self.fill_tables()

    def fill_tables(self) -> None:
        flat = []
        for number, (esid, vsid) in enumerate(SEGMENT_IDS.items()):
            keys = self.rng.getrandbits(2) << 10 if esid else 0
            if esid != MISSING:
                flat += [vsid << 12 | keys, esid << 28 | 1 << 27 | number]
                for page in range(DATA >> 12, (DATA >> 12) + DATA_PAGES):
                    if self.rng.random() < 0.75:
                        real = DATA + 0x1000 * self.rng.randrange(DATA_PAGES)
                        low = real | 0x10 | self.rng.choice([2, 2, 2, 0, 1, 3, 0x182])
                        self.entries.append((self.map(vsid, page, low), esid << 28 | page << 12))
        for page in range(CODE >> 12, CODE_END >> 12):
            self.map(SEGMENT_IDS[0], page, page << 12 | 0x192)
        struct.pack_into(f">{len(flat)}Q", self.image, SEGMENTS, *flat)

    def map(self, vsid: int, page: int, low: int) -> int:
        """Enter a page, in its secondary group now and then; return where."""
        secondary = self.rng.random() < 0.3
        hashed = vsid & (1 << 39) - 1 ^ page
        group = TABLE + (~hashed if secondary else hashed) % GROUPS * 128
        slot = next(at for at in range(group, group + 128, 16) if not self.image[at + 7] & 1)
        struct.pack_into(">2Q", self.image, slot, (vsid << 5 | page >> 11) << 7 | secondary << 1 | 1, low)
        return slot

    def msr(self) -> int:
        chances = {MSR_EE: 0.3, MSR_FP: 0.7, MSR_SE: 0.15, MSR_BE: 0.15, MSR_FE0: 0.2, MSR_VMX: 0.3}
        chances |= {MSR_SF: 0.75, MSR_RI: 0.85}
        if self.translated:
            chances |= {MSR_IR: 0.5, MSR_DR: 0.5, MSR_PR: 0.2}
        return MSR_ME | sum(bit for bit, chance in chances.items() if self.rng.random() < chance)

    # What a block is made of.  Each gets the address where its words will stand.

    def register(self) -> int:
        return self.rng.randrange(3, 16)

    def fill(self, count: int) -> list[int]:
        return [encode("addi", rt=self.register(), ra0=self.register(), si=n) for n in range(count)]

    def fixed_point(self, at: int) -> list[int]:
        row = self.rng.choice(FIXED)
        fields = oracle.random_fields(self.rng, row)
        # mfocrf leaves the other fields undefined.
        fields |= {name: self.register() for name in ("rt", "rs", "ra", "rb", "ra0") if name in fields}
        return [row.encode(**fields | ({"one": 0} if "one" in fields else {}))]

    def access(self, at: int) -> list[int]:
        row = self.rng.choice(STORAGE_ROWS)
        if row.name in CONDITIONAL or (self.translated and row.name in PARTIAL):
            return []
        return [row.encode(**self.access_fields(row))]

    def access_fields(self, row: Instruction) -> dict[str, int]:
        fields = oracle.random_fields(self.rng, row)
        fields |= {name: self.register() for name in ("rt", "rs") if name in fields}
        if row.name in ("lmw", "stmw"):
            fields["rt"] = self.rng.randrange(26, 32)
        elif row.section == "multiple":
            fields["rt"] = 4
        fields["ra0" if "ra0" in fields else "ra"] = self.rng.choice(BASES)
        if "rb" in fields:
            fields["rb"] = INDEX
        if "d" in fields:
            fields["d"] = self.rng.randrange(-64, 64) & 0xFFFF
        if "ds" in fields:
            fields["ds"] = self.rng.randrange(-16, 16) & 0x3FFF
        return fields

    def trap(self, at: int) -> list[int]:
        name = self.rng.choice(["tw", "td"])
        return [encode(name, to=self.rng.getrandbits(5), ra=self.register(), rb=self.register())]

    def odd(self, at: int) -> list[int]:
        words = [0, 0x7C00_03FE, 0x0400_0000, encode("sc"), encode("sc"), encode("mfmsr", rt=self.register())]
        return [self.rng.choice(words)]

    def branch(self, at: int) -> list[int]:
        skip, link = self.rng.randrange(1, 5), self.rng.getrandbits(1)
        condition = {"bo": self.rng.choice([0, 2, 4, 8, 10, 12, 16, 18, 20]), "bi": self.rng.randrange(32)}
        word = self.rng.choice([encode("b", li=skip, lk=link), encode("bc", bd=skip, lk=link, **condition)])
        return [word, *self.fill(skip - 1)]

    def special_register(self, at: int) -> list[int]:
        number = self.rng.choice([8, 9, 19, 26, 27, 274])
        return [self.rng.choice([mtspr, mfspr])(self.register(), number)]

    def write_msr(self, at: int) -> list[int]:
        name, wide = self.rng.choice([("mtmsrd", 0), ("mtmsrd", 1), ("mtmsr", 0)])
        return [*constant(TEMPORARY, self.msr()), encode(name, rs=TEMPORARY, wide=wide)]

    def return_from_interrupt(self, at: int) -> list[int]:
        msr, over = self.msr(), self.rng.randrange(3)
        # In 32-bit mode the upper half means nothing, nor do these bits of a real address.
        dirt = 0 if msr & MSR_SF else self.rng.choice([0, 0xC000_0000_0000_0000])
        target = at + 4 * (13 + over) | dirt | self.rng.randrange(4)
        words = [*constant(TEMPORARY, msr), mtspr(TEMPORARY, 27), *constant(OTHER, target), mtspr(OTHER, 26)]
        return [*words, encode("rfid"), *self.fill(over)]

    def change_segment(self, at: int) -> list[int]:
        number = self.rng.randrange(1, len(SEGMENT_IDS))
        esid, vsid = list(SEGMENT_IDS.items())[number]
        words = [*constant(TEMPORARY, esid << 28), encode("slbie", rb=TEMPORARY), encode("isync")]
        if self.rng.random() < 0.6:
            words += constant(TEMPORARY, esid << 28 | 1 << 27 | number)
            words += constant(OTHER, vsid << 12 | self.rng.getrandbits(2) << 10)
            words += [encode("slbmte", rs=OTHER, rb=TEMPORARY), encode("isync")]
        return words

    def read_segment(self, at: int) -> list[int]:
        name = self.rng.choice(["slbmfee", "slbmfev"])
        index = encode("addi", rt=TEMPORARY, ra0=0, si=self.rng.randrange(6))
        return [index, encode(name, rt=self.register(), rb=TEMPORARY)]

    def change_page(self, at: int) -> list[int]:
        entry, ea = self.rng.choice(self.entries)
        entry, bits = self.rng.choice([(entry, 1), *[(entry + 8, bits) for bits in (1, 2, 3, 8)]])
        words = [*constant(TEMPORARY, entry), encode("ld", rt=OTHER, ra0=TEMPORARY, ds=0)]
        words += [encode("xori", rs=OTHER, ra=OTHER, ui=bits), encode("std", rs=OTHER, ra0=TEMPORARY, ds=0)]
        return [*words, *constant(TEMPORARY, ea), encode("tlbie", rb=TEMPORARY), encode("tlbsync")]

    def block(self, at: int) -> list[int]:
        pieces: list[Callable[[int], list[int]]] = [self.fixed_point, self.access, self.access, self.access]
        pieces += [self.trap, self.odd, self.branch, self.special_register, self.write_msr]
        pieces += [self.return_from_interrupt, self.return_from_interrupt]
        if self.translated:
            pieces += [self.change_segment, self.read_segment, self.change_page]
        words: list[int] = []
        for _ in range(self.rng.randrange(4, 24)):
            words += self.rng.choice(pieces)(at + 4 * len(words))
        # A branch, and an interrupt, may fall on any of these.
        return words + [LAST, LAST, encode("sc")] + [LAST, encode("sc")] * 4

    def enter(self, number: int, at: int) -> None:
        """Put down the registers with which a block begins."""
        rng = self.rng
        gprs = [oracle.random64(rng) for _ in range(32)]
        gprs[0] = 0
        for register in BASES:
            offset = rng.choice([0xFF8, 0xFFC, 0xFFE, 0x800, rng.randrange(0x1000)])
            esid = rng.choice(list(SEGMENT_IDS)) if self.translated else 0
            page = (DATA >> 12) + rng.randrange(1, DATA_PAGES - 1)
            gprs[register] = esid << 28 | page << 12 | offset
        gprs[INDEX] = rng.choice([0, 8, 1, (1 << 64) - 8])
        xer, ctr = rng.getrandbits(3) << 29 | rng.randrange(24), rng.choice([0, 1, 2, 1 << 32, (1 << 32) + 1])
        head = [at, self.msr(), xer, rng.getrandbits(64), ctr, rng.getrandbits(32), 0, 0]
        struct.pack_into(">40Q", self.image, BLOCKS + SIZE * number, *head, *gprs)

    def build(self, driver: bytes, blocks: int) -> bytes:
        self.image[: len(driver)] = driver
        at = CODE
        for number in range(blocks):
            self.enter(number, at)
            words = self.block(at)
            struct.pack_into(f">{len(words)}I", self.image, at, *words)
            at += 4 * len(words)
        assert at < CODE_END
        return bytes(self.image)


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    directory = tmp_path_factory.mktemp("driver")
    places = [f"--defsym={name}={value}" for name, value in PLACES.items()]
    assemble = ["powerpc64-linux-gnu-as", "-a64", "-mbig", *places, "-o", "driver.o", str(SOURCE)]
    subprocess.run(assemble, check=True, cwd=directory)
    link = ["powerpc64-linux-gnu-ld", "-Ttext=0", "--oformat=binary", "-e0", "-o", "driver.bin", "driver.o"]
    subprocess.run(link, check=True, cwd=directory)
    return (directory / "driver.bin").read_bytes()


def run_on_machine(image: bytes, directory: Path, engine: str) -> bytes:
    path = directory / "image.bin"
    path.write_bytes(image)
    machine = Machine(MachineConfig(MachineKind.LPAR, MEMORY, engine), load_raw(str(path), 0))
    machine.set_registers({"msr": MSR_SF | MSR_ME})
    exit_ = machine.run(20_000_000)
    assert exit_.kind is ExitKind.IDLE, (exit_, hex(machine.state.pc), hex(machine.state.msr))
    return machine.memory.read(0, MEMORY)


def logged(memory: bytes) -> list[tuple[int, ...]]:
    """Return what the interrupts found."""
    layout = struct.Struct(f">{len(NAMES)}Q")
    found = [layout.unpack_from(memory, at) for at in range(LOG, LOG_END, SIZE)]
    return found[: next(number for number, record in enumerate(found) if not record[0])]


def difference(theirs: list[tuple[int, ...]], ours: list[tuple[int, ...]]) -> str | None:
    """Describe the first interrupt that is not the same, and the one before it."""
    is_open, before = False, "the beginning"
    for number, (a, b) in enumerate(zip(theirs, ours, strict=False)):
        if a[0] in (ALIGNMENT, STORAGE):
            is_open = a[0] == ALIGNMENT
        parts = [
            f"{name} qemu {x:x} ours {y:x}"
            for place, (name, x, y) in enumerate(zip(NAMES, a, b, strict=True))
            if x != y and not (place == DSISR and is_open)
        ]
        if parts:
            return f"interrupt {number} at {a[1]:x}, after {before}: " + "; ".join(parts)
        before = f"{a[0]:x} at {a[1]:x} with MSR {a[2]:x}"
    return None if len(theirs) == len(ours) else f"qemu took {len(theirs)} interrupts, we took {len(ours)}"


@pytest.mark.parametrize("translated", [False, True], ids=["real", "translated"])
@pytest.mark.parametrize("seed", range(2))
def test_interrupts_find_what_qemus_do(tmp_path: Path, driver: bytes, seed: int, translated: bool) -> None:
    image = Generator(seed, translated).build(driver, 120)
    memory = run_on_qemu(image, tmp_path)
    theirs = logged(memory)
    assert len({record[0] for record in theirs}) >= 5, "the programs do too little"
    for engine in ("reference", "threaded"):
        ours = run_on_machine(image, tmp_path, engine)
        assert (found := difference(theirs, logged(ours))) is None, f"{engine}: {found}"
        for start, end in ((TABLE, TABLE + 128 * GROUPS), (DATA, DATA + 0x1000 * DATA_PAGES)):
            assert ours[start:end] == memory[start:end], f"{engine}: memory from {start:x} on"
