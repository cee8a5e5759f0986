"""The batch oracle: many (instruction, state) records in one flat image, run by QEMU and by our engines.

The image holds a driver and one record after another.  For each record the driver loads the state the record
carries, jumps to the record's few words of code, stores the state it finds afterwards into the record, and
goes on.  The same bytes run on `qemu-ppc64` (wrapped in an ELF header) and on an engine (loaded at the same
address), and afterwards the records are compared field by field.

The driver is written with the instruction table's own `encode`; QEMU decodes it, so a wrong encoding shows.
R31 holds the record's address throughout; LR is the address of the record's code; everything else is random.
"""

import random
import struct
import subprocess
from dataclasses import dataclass, field

from emulator.cpu.mmu import Mmu
from emulator.cpu.processor import ExitKind, Processor
from emulator.cpu.state import MSR_FP, MSR_SF, MSR_VMX, CpuState
from emulator.cpu.timers import Timers
from emulator.isa.decode import Instruction, decode, instructions
from emulator.memory import Memory

ROWS = {row.name: row for row in instructions()}
#: The files of the instruction set whose rows with a base register reach memory.
STORAGE_SECTIONS = ("load_store", "multiple", "storage_control")
#: ... and those of fixed-point computations.
INTEGER_SECTIONS = ("arithmetic", "logic")
BASE = 0x0100_0000
HEADER = 0x1000
POINTER = 31
SCRATCH_BYTES = 256

# A record's layout, in 8-byte words: input, output, then what both share.
_GPRS = 31
IN_GPR, IN_CR, IN_XER, IN_CTR, IN_FPSCR, CODE = 0, 31, 32, 33, 34, 35
IN_FPR, IN_VSCR, IN_VR = 36, 68, 70
OUT = 134
OUT_GPR, OUT_CR, OUT_XER, OUT_CTR, OUT_LR, OUT_FPSCR = OUT, OUT + 31, OUT + 32, OUT + 33, OUT + 34, OUT + 35
OUT_FPR, OUT_VSCR, OUT_VR = OUT + 36, OUT + 68, OUT + 70
#: Begins and ends with a cache line, so that dcbz leaves the neighbours alone.
SCRATCH = OUT + 138
WORDS = SCRATCH + SCRATCH_BYTES // 8
SIZE = 8 * WORDS

BOUNDARY64 = [0, 1, 2, 31, 32, 63, 64, 1 << 31, (1 << 31) - 1, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1]


def encode(name: str, **fields: int) -> int:
    """Encode one instruction by name."""
    return ROWS[name].encode(**fields)


@dataclass
class Record:
    """One case: the words to run, and the state before."""

    name: str
    code: list[int]
    gpr: list[int]
    cr: int
    xer: int
    ctr: int
    fpscr: int = 0
    fpr: list[int] = field(default_factory=lambda: [0] * 32)
    vscr: int = 0
    vr: list[int] = field(default_factory=lambda: [0] * 32)
    scratch: bytes = bytes(SCRATCH_BYTES)
    #: Bits of output words that the architecture leaves undefined here.
    ignore: dict[int, int] = field(default_factory=dict)

    def data(self, code_address: int) -> bytes:
        """Return the record as it lies in memory."""
        words = [0] * WORDS
        words[IN_GPR : IN_GPR + _GPRS] = self.gpr[:_GPRS]
        words[IN_CR], words[IN_XER], words[IN_CTR], words[IN_FPSCR] = self.cr, self.xer, self.ctr, self.fpscr
        words[CODE] = code_address
        words[IN_FPR : IN_FPR + 32] = self.fpr
        words[IN_VSCR + 1] = self.vscr
        for n, value in enumerate(self.vr):
            words[IN_VR + 2 * n], words[IN_VR + 2 * n + 1] = value >> 64, value & (1 << 64) - 1
        image = bytearray(struct.pack(f">{WORDS}Q", *words))
        image[8 * SCRATCH :] = self.scratch
        return bytes(image)


def scratch_address(index: int, count: int) -> int:
    """Return where record `index` of `count` has its scratch memory."""
    return record_address(index) + 8 * SCRATCH


def record_address(index: int) -> int:
    return BASE + HEADER + index * SIZE


def driver(*, with_float: bool, with_vector: bool, end: int) -> tuple[list[int], int]:
    """Return the driver's words and the index in them of the `sc` where it ends."""

    def ld(register: int, word: int) -> int:
        return encode("ld", rt=register, ra0=POINTER, ds=2 * word)

    def std(register: int, word: int) -> int:
        return encode("std", rs=register, ra0=POINTER, ds=2 * word)

    def vector(name: str, register: int, word: int) -> list[int]:
        target = {"lvx": "vrt", "stvx": "vrs"}[name]
        li = encode("addi", rt=30, ra0=POINTER, si=8 * word)
        return [li, encode(name, ra0=0, rb=30, **{target: register})]

    def spr(number: int) -> int:
        return (number & 31) << 5 | number >> 5

    enter = [
        ld(0, IN_CR),
        encode("mtcrf", rs=0, fxm=255),
        ld(0, IN_XER),
        encode("mtspr", rs=0, spr=spr(1)),
        ld(0, IN_CTR),
        encode("mtspr", rs=0, spr=spr(9)),
        ld(0, CODE),
        encode("mtspr", rs=0, spr=spr(8)),
    ]
    if with_float:
        enter += [encode("lfd", frt=0, ra0=POINTER, d=8 * IN_FPSCR), encode("mtfsf", flm=255, frb=0)]
        enter += [encode("lfd", frt=n, ra0=POINTER, d=8 * (IN_FPR + n)) for n in range(32)]
    if with_vector:
        enter += [*vector("lvx", 0, IN_VSCR), encode("mtvscr", vrb=0)]
        for n in range(32):
            enter += vector("lvx", n, IN_VR + 2 * n)
    enter += [ld(n, IN_GPR + n) for n in range(_GPRS)]
    enter.append(encode("bclr", bo=20))

    leave = [std(n, OUT_GPR + n) for n in range(_GPRS)]
    for name, number, word in (("mfspr", 8, OUT_LR), ("mfspr", 1, OUT_XER), ("mfspr", 9, OUT_CTR)):
        leave += [encode(name, rt=0, spr=spr(number)), std(0, word)]
    leave += [encode("mfcr", rt=0), std(0, OUT_CR)]
    if with_float:
        leave += [encode("stfd", frs=n, ra0=POINTER, d=8 * (OUT_FPR + n)) for n in range(32)]
        leave += [encode("mffs", frt=0), encode("stfd", frs=0, ra0=POINTER, d=8 * OUT_FPSCR)]
    if with_vector:
        for n in range(32):
            leave += vector("stvx", n, OUT_VR + 2 * n)
        leave += [encode("mfvscr", vrt=0), *vector("stvx", 0, OUT_VSCR)]
    leave += [encode("addi", rt=POINTER, ra0=POINTER, si=SIZE), ld(0, CODE)]
    leave.append(encode("cmpi", bf=0, wide=1, ra=0, si=0))

    start = [encode("addis", rt=POINTER, ra0=0, si=(BASE + HEADER) >> 16)]
    start.append(encode("ori", rs=POINTER, ra=POINTER, ui=(BASE + HEADER) & 0xFFFF))
    words = start + enter
    entry = len(words)
    words += leave
    # bne back to `enter`
    words.append(encode("bc", bo=4, bi=2, bd=(len(start) - len(words)) & 0x3FFF))
    length = end - BASE
    words += [encode("addi", rt=0, ra0=0, si=4), encode("addi", rt=3, ra0=0, si=1)]
    words += [encode("addis", rt=4, ra0=0, si=BASE >> 16)]
    words += [encode("addis", rt=5, ra0=0, si=length >> 16), encode("ori", rs=5, ra=5, ui=length & 0xFFFF)]
    stop = len(words)
    words += [
        encode("sc"),
        encode("addi", rt=0, ra0=0, si=1),
        encode("addi", rt=3, ra0=0, si=0),
        encode("sc"),
    ]
    assert 4 * len(words) <= HEADER
    driver.epilogue = BASE + 4 * entry  # type: ignore[attr-defined]
    return words, stop


@dataclass
class Image:
    """A built image: bytes from BASE, and where it stops."""

    data: bytes
    stop: int
    records: list[Record]


def build(records: list[Record], *, with_float: bool = False, with_vector: bool = False) -> Image:
    """Put the driver, the records and their code together."""
    code_base = record_address(len(records)) + SIZE
    code = bytearray()
    addresses = []
    total = code_base + sum(4 * (len(r.code) + 1) for r in records)
    words, stop = driver(with_float=with_float, with_vector=with_vector, end=record_address(len(records)))
    epilogue = driver.epilogue  # type: ignore[attr-defined]
    for record in records:
        at = code_base + len(code)
        addresses.append(at)
        back = at + 4 * len(record.code)
        jump = encode("b", li=(epilogue - back >> 2) & 0xFF_FFFF)
        code += struct.pack(f">{len(record.code) + 1}I", *record.code, jump)
    head = struct.pack(f">{len(words)}I", *words).ljust(HEADER, b"\0")
    body = b"".join(r.data(at) for r, at in zip(records, addresses, strict=True))
    data = head + body + bytes(SIZE) + bytes(code)
    assert len(data) == total - BASE
    return Image(data, BASE + 4 * stop, records)


def run_on_qemu(image: Image, directory) -> bytes:
    """Run the image as a user program and return its memory up to the end of the records."""
    # ELF header, one program header, then a function descriptor for the entry, in a page of their own.
    descriptor = BASE - 0x1000 + 0x100
    header = struct.pack(
        ">4s5B7x2HI3QI6H", b"\x7fELF", 2, 2, 1, 0, 0, 2, 21, 1, descriptor, 64, 0, 1, 64, 56, 1, 64, 0, 0
    )
    size = 0x1000 + len(image.data)
    program = struct.pack(">2I6Q", 1, 7, 0, BASE - 0x1000, BASE - 0x1000, size, size, 0x1000)
    page = (header + program).ljust(0x100, b"\0") + struct.pack(">3Q", BASE, 0, 0)
    path = directory / "image.elf"
    path.write_bytes(page.ljust(0x1000, b"\0") + image.data)
    path.chmod(0o755)
    done = subprocess.run(
        ["qemu-ppc64", "-cpu", "970fx", str(path)], capture_output=True, timeout=100, check=False
    )
    assert done.returncode == 0, (done.returncode, done.stderr)
    return done.stdout


def make_processor(memory_size: int) -> Processor:
    """Return a bare 970FX in real mode."""
    state = CpuState()
    memory = Memory(memory_size)
    processor = Processor(state, memory, Mmu(state, memory), Timers(state))
    state.put("pvr", 0x003C_0300)
    return processor


def run_on_engine(image: Image, engine_class) -> bytes:
    """Run the image on one of our engines and return the same piece of memory."""
    end = BASE + len(image.data)
    processor = make_processor(end + 0xFFFF & ~0xFFFF)
    processor.memory.write(BASE, image.data)
    state = processor.state
    state.msr = MSR_SF | MSR_FP | MSR_VMX
    state.pc = BASE
    # QEMU's user mode gives its programs a dcbz of 32 bytes.
    state.put("hid", 0x80, 5)
    engine = engine_class(processor)
    engine.set_breakpoints(frozenset({image.stop}))
    left = 50_000 * (len(image.records) + 1)
    while left > 0:
        before = state.icount
        outcome = engine.run(left)
        left -= max(state.icount - before, 1)
        if outcome is not None:
            break
    assert outcome is not None and outcome.kind is ExitKind.BREAKPOINT, (outcome, hex(state.pc), state.icount)
    return processor.memory.read(BASE, record_address(len(image.records)) - BASE)


def differences(image: Image, theirs: bytes, ours: bytes) -> list[str]:
    """Compare the records' outputs and return one line for each field that differs."""
    lines = []
    for index, record in enumerate(image.records):
        start = record_address(index) - BASE
        a = struct.unpack_from(f">{WORDS}Q", theirs, start)
        b = struct.unpack_from(f">{WORDS}Q", ours, start)
        for word in range(OUT, WORDS):
            mask = ~record.ignore.get(word, 0)
            if (a[word] ^ b[word]) & mask:
                lines.append(f"{describe(record)}: {word_name(word)} qemu {a[word]:016x} ours {b[word]:016x}")
    return lines


def word_name(word: int) -> str:
    names = {OUT_CR: "cr", OUT_XER: "xer", OUT_CTR: "ctr", OUT_LR: "lr", OUT_FPSCR: "fpscr"}
    if word in names:
        return names[word]
    if word >= SCRATCH:
        return f"memory+{8 * (word - SCRATCH)}"
    for first, count, name, width in ((OUT_GPR, 31, "r", 1), (OUT_FPR, 32, "f", 1), (OUT_VR, 64, "v", 2)):
        if first <= word < first + count:
            return f"{name}{(word - first) // width}" + (f".{(word - first) % width}" if width == 2 else "")
    return f"vscr.{word - OUT_VSCR}"


def describe(record: Record) -> str:
    """Return a record in one line, with the registers its instruction names."""
    parts = [record.name, " ".join(f"{w:08x}" for w in record.code)]
    word = record.code[0]
    decoded = decode(word)
    if decoded is not None:
        row = decoded.form.instruction
        for name in row.fields:
            number = row.field(name, word)
            bank = {"f": record.fpr, "v": record.vr}.get(name[0], record.gpr)
            if (
                name in ("rs", "ra", "rb", "ra0", "rt", "fra", "frb", "frc", "vra", "vrb", "vrc")
                and number < 31
            ):
                parts.append(f"{name}=r{number}={bank[number]:x}")
            else:
                parts.append(f"{name}={number}")
    parts.append(f"cr={record.cr:08x} xer={record.xer:08x} fpscr={record.fpscr:08x}")
    return " ".join(parts)


def random64(rng: random.Random) -> int:
    """Return a 64-bit number, often an interesting one."""
    match rng.randrange(6):
        case 0:
            return rng.choice(BOUNDARY64)
        case 1:
            return rng.choice(BOUNDARY64) + rng.randrange(-3, 4) & (1 << 64) - 1
        case 2:
            return rng.getrandbits(rng.randrange(1, 65))
        case 3:
            return (1 << 64) - 1 - rng.getrandbits(rng.randrange(1, 65))
        case _:
            return rng.getrandbits(64)


def random_record(rng: random.Random, name: str, code: list[int]) -> Record:
    return Record(
        name,
        code,
        gpr=[random64(rng) for _ in range(31)],
        cr=rng.getrandbits(32),
        xer=rng.getrandbits(3) << 29 | rng.choice([0, 0, rng.randrange(40)]),
        ctr=random64(rng),
        scratch=rng.randbytes(SCRATCH_BYTES),
    )


def random_fields(rng: random.Random, row: Instruction) -> dict[str, int]:
    """Return random fields; general registers keep clear of R31, the driver's own."""
    fields = {}
    for name, parts in row.fields.items():
        bits = sum(width for _, width in parts)
        value = rng.getrandbits(bits)
        if name in ("rt", "rs", "ra", "rb", "ra0"):
            value = rng.randrange(31)
        fields[name] = value
    return fields
