"""Translation against QEMU's: loads, stores, fetches, changes of the tables; for the kernel and for users.

One image runs on `qemu-system-ppc64 -M none` and on a whole machine of ours.  Its page table and SLB are
drawn at random; a driver goes through records, each a stub of one instruction entered by rfid, and stores
what the interrupt it ends in finds.  Then memory is compared, the table with its R and C bits included.
"""

from __future__ import annotations

import json
import random
import socket
import struct
import subprocess
import time
from pathlib import Path

import pytest
from oracle import encode
from test_isa_interrupts import branch, ld, load_address, mfspr, mtspr, std

from emulator.boot import load_raw
from emulator.config import MachineConfig, MachineKind
from emulator.cpu.exits import ExitKind
from emulator.cpu.state import MSR_DR, MSR_EE, MSR_IR, MSR_ME, MSR_PR, MSR_RI, MSR_SF
from emulator.machine import Machine

MEMORY = 32 << 20
START, SETUP, STUBS, SLB_LIST, DONE = 0x3000, 0x3800, 0x4000, 0x6000, 0x7000
RECORDS, RECORD_SIZE = 0x8_0000, 128
TABLE, GROUPS = 0x10_0000, 2048
DATA, DATA_END = 0x20_0000, 0x40_0000
LARGE_PAGE = 0x100_0000

# Words of a record.
STUB, IN_MSR, ADDRESS, VALUE, OTHER, OUT = 0, 1, 2, 3, 4, 5
OUTPUTS = ["vector", "srr0", "srr1", "dar", "dsisr", "r5"]
VECTORS = (0x200, 0x300, 0x380, 0x400, 0x480, 0x600, 0x700, 0x900, 0xC00, 0xD00, 0xF20)
MSR = MSR_SF | MSR_ME | MSR_RI

CODE_VSID = 0x777
VSIDS = [0x1, 0x1_0000_0002, 0x7F_FFFF_FFFF_F, 0x123_4567_89AB, 0x800]
ESIDS = [0x1, 0x20, 0xC_0000_0000, 0xF_FFFF_FFFF]
# The segments' N bit stays off: QEMU's TLB forgets it once data of the page was accessed.
#: Page numbers whose hashes and abbreviations differ in all kinds of bits.
NUMBERS = [0, 1, 2, 0x7F, 0x80, 0x7FF, 0x800, 0x1000, 0xFFFF]


def pattern(start: int, end: int) -> bytes:
    """Memory in which a fetch at a multiple of 16 finds `sc`, and the next word says where it is."""
    return b"".join(struct.pack(">4I", 0x4400_0002, at, 0, 0) for at in range(start, end, 16))


def put_page(
    image: bytearray, vsid: int, number: int, low: int, *, secondary: bool, large: bool
) -> int | None:
    """Enter a page; return where its entry is, None if the group is full."""
    bits = 24 if large else 12
    hashed = (vsid & (1 << 39) - 1) ^ number
    group = TABLE + (~hashed if secondary else hashed) % GROUPS * 128
    high = (vsid << 28 | number << bits) >> 23 << 7 | large << 2 | secondary << 1 | 1
    for slot in range(group, group + 128, 16):
        if not image[slot + 7] & 1:
            struct.pack_into(">2Q", image, slot, high, low)
            return slot
    return None


STUB_WORDS = {
    "lwz": [encode("lwz", rt=5, ra0=4, d=4)],
    "stw": [encode("stw", rs=5, ra0=4, d=8)],
    "ld across": [encode("ld", rt=5, ra0=4, ds=0x3FF)],  # 0xFFC on
    "std across": [encode("std", rs=5, ra0=4, ds=0x3FF)],
    "lwarx": [encode("lwarx", rt=5, ra0=0, rb=4)],
    "dcbz": [encode("dcbz", ra0=0, rb=4)],
    "dcbst": [encode("dcbst", ra0=0, rb=4)],
    "slbie": [encode("slbie", rb=4)],
    "slbia": [encode("slbia")],
    # A segment must not have two entries, nor change under what is kept of it (Book III 2.01, 4.11.3.1).
    "slbmte": [encode("slbie", rb=6), encode("slbmte", rs=5, rb=4)],
    "slbmfee": [encode("slbmfee", rt=5, rb=4)],
    "slbmfev": [encode("slbmfev", rt=5, rb=4)],
    "pte": [encode("std", rs=5, ra0=4, ds=0), encode("tlbie", rb=6)],
    "tlbie": [encode("tlbie", rb=4)],
}
STUB_ADDRESSES = {name: STUBS + 16 * n for n, name in enumerate(STUB_WORDS)}
#: Segments vanish less often than they come, or little else would be seen.
CHANGES = ["pte", "tlbie", "slbie", "slbmfee", "slbmfev", *["slbmte"] * 9, *["pte"] * 4]
ACCESSES = ["lwz", "stw", "ld across", "std across", "lwarx", "dcbz", "dcbst", "fetch"]


def put(image: bytearray, address: int, words: list[int]) -> None:
    struct.pack_into(f">{len(words)}I", image, address, *words)


def driver(image: bytearray) -> None:
    """Put the driver, the vectors and the stubs into the image."""
    enter, common = START + 0x80, START + 0x100
    # An interrupt before the first record: from then on the MSR is the same for all.
    put(image, 0, [branch(0, START)])
    put(image, START, [*load_address(31, RECORDS - RECORD_SIZE), encode("sc")])
    # Entries until one is 0.
    words = [*load_address(3, TABLE), mtspr(3, 25), encode("slbia"), *load_address(30, SLB_LIST)]
    loop = SETUP + 4 * len(words)
    words += [encode("ld", rt=4, ra0=30, ds=2), encode("cmpi", bf=0, wide=1, ra=4, si=0)]
    words += [encode("bc", bo=12, bi=2, bd=5), encode("ld", rt=3, ra0=30, ds=0)]
    words += [encode("slbmte", rs=3, rb=4), encode("addi", rt=30, ra0=30, si=16)]
    put(image, SETUP, [*words, branch(SETUP + 4 * len(words), loop), encode("sc")])
    words = [ld(0, STUB), mtspr(0, 26), ld(0, IN_MSR), mtspr(0, 27), encode("addi", rt=0, ra0=0, si=0)]
    words += [mtspr(0, 19), mtspr(0, 18)]
    put(image, enter, [*words, ld(4, ADDRESS), ld(5, VALUE), ld(6, OTHER), encode("rfid")])
    words = [std(0, OUT)]
    for at, number in enumerate((26, 27, 19, 18), OUT + 1):
        words += [mfspr(0, number), std(0, at)]
    words += [std(5, OUT + 5), encode("addi", rt=31, ra0=31, si=RECORD_SIZE), ld(0, STUB)]
    words.append(encode("cmpi", bf=0, wide=1, ra=0, si=0))
    words.append(encode("bc", bo=4, bi=2, bd=(enter - (common + 4 * len(words)) >> 2) & 0x3FFF))
    words += [encode("addi", rt=3, ra0=0, si=1), encode("stw", rs=3, ra0=0, d=DONE), encode("b", li=0)]
    put(image, common, words)
    for vector in VECTORS:
        put(image, vector, [encode("addi", rt=0, ra0=0, si=vector), branch(vector + 4, common)])
    for name, words in STUB_WORDS.items():
        put(image, STUB_ADDRESSES[name], [*words, encode("sc")])


def build(seed: int, count: int) -> tuple[bytes, list[str]]:
    """Return an image with `count` records, and what each record does."""
    rng = random.Random(seed)
    image = bytearray(DATA) + pattern(DATA, DATA_END)
    image += bytes(LARGE_PAGE - len(image)) + pattern(LARGE_PAGE, MEMORY)
    driver(image)
    # Segment 0 holds the stubs, for users and everybody; the others are drawn.
    entries = [(CODE_VSID << 12, 1 << 27)]
    put_page(image, CODE_VSID, STUBS >> 12, STUBS | 2, secondary=False, large=False)
    pages: list[tuple[int, int]] = []
    segments = {}
    for esid in rng.sample(ESIDS, rng.randrange(3, 5)):
        large = rng.random() < 0.3
        vsid = rng.choice(VSIDS)
        segments[esid] = vsid, large
        entries.append(
            (vsid << 12 | rng.getrandbits(2) << 10 | large << 8, esid << 28 | 1 << 27 | ESIDS.index(esid) + 1)
        )
        for number in NUMBERS:
            if rng.random() < 0.7:
                real = LARGE_PAGE if large else DATA + rng.randrange((DATA_END - DATA) >> 12) * 0x1000
                low = (
                    real | rng.choice([0, 0, 0, 1]) << 3 | rng.choice([0, 0, 0, 1]) << 2 | rng.getrandbits(2)
                )
                low |= rng.choice([0, 0, 0x100, 0x180]) | 0x10
                slot = put_page(
                    image,
                    vsid,
                    number & 0xF if large else number,
                    low,
                    secondary=rng.random() < 0.3,
                    large=large,
                )
                if slot is not None:
                    pages.append((slot, esid << 28 | number << 12))
    flat = [word for entry in entries for word in entry]
    struct.pack_into(f">{len(flat)}Q", image, SLB_LIST, *flat)
    names = ["setup"]
    struct.pack_into(">2Q", image, RECORDS, SETUP, MSR)
    for number in range(1, count):
        name = rng.choice(ACCESSES if rng.random() < 0.8 else CHANGES)
        name = "slbia" if rng.random() < 0.01 else name
        esid = rng.choice(ESIDS)
        ea = esid << 28 | rng.choice(NUMBERS) << 12 | rng.randrange(0, 0xF00, 16)
        value, other, msr = rng.getrandbits(64), 0, MSR | MSR_DR
        stub = STUB_ADDRESSES.get(name, ea)
        match name:
            case "fetch":
                msr |= MSR_IR
            case "slbie":
                ea, msr = esid << 28, MSR
            case "slbmte":
                vsid, large = segments.get(esid, (VSIDS[0], False))
                value = vsid << 12 | rng.getrandbits(2) << 10 | large << 8
                ea, other, msr = esid << 28 | 1 << 27 | ESIDS.index(esid) + 1, esid << 28, MSR
            case "slbmfee" | "slbmfev":
                ea, msr = rng.randrange(8), MSR
            case "pte":
                slot, other = rng.choice(pages)
                ea, msr = slot + 8, MSR
                value = struct.unpack_from(">Q", image, ea)[0] ^ rng.choice([1, 2, 3, 4, 8])
            case "slbia" | "tlbie":
                msr = MSR
            case _:
                # Users' translation of instructions is on as well; R and C must not depend on who was first.
                msr |= rng.choice([0, MSR_PR | MSR_IR | MSR_EE])
        if name == "fetch":
            msr |= rng.choice([0, MSR_PR | MSR_EE])
        struct.pack_into(">5Q", image, RECORDS + RECORD_SIZE * number, stub, msr, ea, value, other)
        names.append(f"{number} {name} {ea:x} msr {msr:x}")
    return bytes(image), names


def run_on_qemu(image: bytes, directory: Path) -> bytes:
    path, control, dump = directory / "image.bin", directory / "qmp", directory / "dump"
    path.write_bytes(image)
    command = ["qemu-system-ppc64", "-M", "none", "-cpu", "970fx", "-accel", "tcg", "-m", "32", "-nographic"]
    command += [
        "-nodefaults",
        "-device",
        f"loader,file={path},addr=0,cpu-num=0,force-raw=on",
        "-serial",
        "null",
    ]
    command += ["-monitor", "none", "-qmp", f"unix:{control},server=on,wait=on"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as qemu:
        try:
            with socket.socket(socket.AF_UNIX) as wire:
                deadline = time.monotonic() + 60
                while True:
                    try:
                        wire.connect(str(control))
                        break
                    except OSError:
                        assert time.monotonic() < deadline and qemu.poll() is None
                        time.sleep(0.01)
                wire.settimeout(60)
                lines = wire.makefile("rw")
                lines.readline()

                def ask(name: str, **arguments: object) -> object:
                    lines.write(json.dumps({"execute": name, "arguments": arguments}))
                    lines.flush()
                    while "return" not in (answer := json.loads(lines.readline())):
                        assert "error" not in answer, answer
                    return answer["return"]

                ask("qmp_capabilities")
                # Without a device to tell of the end, look for it.
                while "0x00000001" not in str(
                    ask("human-monitor-command", **{"command-line": f"xp /1wx {DONE}"})
                ):
                    assert time.monotonic() < deadline
                    time.sleep(0.01)
                ask("pmemsave", val=0, size=MEMORY, filename=str(dump))
        finally:
            qemu.kill()
    return dump.read_bytes()


def run_on_machine(image: bytes, directory: Path, engine: str) -> bytes:
    path = directory / "image.bin"
    path.write_bytes(image)
    machine = Machine(MachineConfig(MachineKind.LPAR, MEMORY, engine), load_raw(str(path), 0))
    machine.set_registers({"msr": MSR_SF | MSR_ME})
    exit_ = machine.run(5_000_000)
    assert exit_.kind is ExitKind.IDLE, (exit_, hex(machine.state.pc))
    return machine.memory.read(0, MEMORY)


def differences(names: list[str], theirs: bytes, ours: bytes) -> list[str]:
    lines = []
    for number, name in enumerate(names):
        at = RECORDS + RECORD_SIZE * number + 8 * OUT
        a, b = (struct.unpack_from(f">{len(OUTPUTS)}Q", memory, at) for memory in (theirs, ours))
        for output, x, y in zip(OUTPUTS, a, b, strict=True):
            if x != y:
                lines.append(f"{name}: {output} qemu {x:x} ours {y:x}")
    for start in (TABLE, DATA, LARGE_PAGE):
        end = {TABLE: TABLE + 128 * GROUPS, DATA: DATA_END, LARGE_PAGE: MEMORY}[start]
        if theirs[start:end] != ours[start:end]:
            wrong = next(at for at in range(start, end, 8) if theirs[at : at + 8] != ours[at : at + 8])
            x, y = (memory[wrong : wrong + 8].hex() for memory in (theirs, ours))
            lines.append(f"memory at {wrong:x}: qemu {x} ours {y}")
    return lines


@pytest.mark.parametrize("seed", range(3))
def test_translation_is_qemus(tmp_path: Path, seed: int) -> None:
    image, names = build(seed, 400)
    theirs = run_on_qemu(image, tmp_path)
    for engine in ("reference", "threaded"):
        found = differences(names, theirs, run_on_machine(image, tmp_path, engine))
        assert not found, f"{engine}: {len(found)}\n" + "\n".join(found[:40])
