"""The AltiVec instructions against QEMU, in one batch."""

import os
import random

import oracle
import pytest
from oracle import OUT_VR, OUT_VSCR, SCRATCH_BYTES

from emulator.engines.reference import ReferenceEngine
from emulator.engines.threaded import ThreadedEngine
from emulator.isa.decode import instructions

PER_ROW = int(os.environ.get("ORACLE_RECORDS", "24"))
#: Hints without effect, which QEMU's 970 does not know.
UNKNOWN_TO_QEMU = {"dst", "dstst"}
ROWS = [
    row
    for row in instructions()
    if row.section in ("vector_move", "vector") and row.name not in UNKNOWN_TO_QEMU
]
STORAGE = {row.name for row in ROWS if row.name[:2] in ("lv", "st") and row.name not in ("lvsl", "lvsr")}

SINGLES = [
    0x0000_0000, 0x8000_0000, 0x3F80_0000, 0xBF80_0000, 0x7F80_0000, 0xFF80_0000, 0x7FC0_0000, 0xFFC0_0001,
    0x7F80_0001, 0x0000_0001, 0x807F_FFFF, 0x0080_0000, 0x7F7F_FFFF, 0x4F00_0000, 0xCF00_0000, 0x4F80_0000,
    0x3F00_0000, 0x4020_0000, 0x4EFF_FFFF, 0x4060_0000,
]  # fmt: skip
ESTIMATES = {"vrefp", "vrsqrtefp", "vexptefp", "vlogefp"}


def random_vector(rng, with_float):
    if with_float:
        lanes = [
            rng.choice(
                [
                    rng.choice(SINGLES),
                    rng.getrandbits(32),
                    rng.getrandbits(1) << 31 | rng.randrange(110, 160) << 23 | rng.getrandbits(23),
                ]
            )
            for _ in range(4)
        ]
        return sum(lane << 32 * n for n, lane in enumerate(lanes))
    match rng.randrange(3):
        case 0:
            return int.from_bytes(
                bytes(rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)]) for _ in range(16)), "big"
            )
        case 1:
            return rng.getrandbits(8) * 0x01010101010101010101010101010101
        case _:
            return rng.getrandbits(128)


def make_record(rng, row, index):
    fields = oracle.random_fields(rng, row)
    record = oracle.random_record(rng, row.name, [])
    is_float = row.name.endswith("fp") or row.name.startswith(("vrfi", "vct"))
    record.vr = [random_vector(rng, is_float) for _ in range(32)]
    record.vscr = rng.choice([0, 0, 1, 1 << 16, 1 << 16 | 1])
    if row.name in ESTIMATES:
        # Positive normal numbers of moderate size: what the estimates are for.
        record.vr = [
            sum((rng.randrange(120, 134) << 23 | rng.getrandbits(23)) << 32 * n for n in range(4))
            for _ in range(32)
        ]
    if row.name == "vexptefp":
        # QEMU's series is far off for arguments that are not small.
        record.vr = [v & ~(0x0F80_0000 * 0x1_0000_0001_0000_0001_0000_0001) for v in record.vr]
    if row.name == "mtvscr":
        # VSCR's reserved bits: QEMU keeps them.
        record.ignore[OUT_VSCR + 1] = ~0x1_0001 & 0xFFFF_FFFF
    if row.name in STORAGE:
        register = fields["ra0"] = rng.randrange(1, 24)
        fields["rb"] = 25
        target = oracle.scratch_address(index, 0) + SCRATCH_BYTES // 2 + rng.randrange(-48, 48)
        record.gpr[register] = target - record.gpr[25] & (1 << 64) - 1
    if row.name in ("vsl", "vsr"):
        # The shift must be the same in all bytes; else the result is undefined.
        record.vr[fields["vrb"]] = rng.randrange(8) * 0x01010101010101010101010101010101
    if row.name in ("lvebx", "lvehx", "lvewx"):
        record.ignore = undefined_elements(record, fields, row.name)
    if row.name in ESTIMATES:
        for half in (0, 1):
            record.ignore[OUT_VR + 2 * fields["vrt"] + half] = 0x0000_0FFF_0000_0FFF
    record.code = [row.encode(**fields)]
    return record


def undefined_elements(record, fields, name):
    """Which bits of the target the element loads do not define."""
    size = {"lvebx": 1, "lvehx": 2, "lvewx": 4}[name]
    ea = record.gpr[fields["ra0"]] + record.gpr[25] & (1 << 64) - 1
    at = ea % 16 // size * size
    defined = ((1 << 8 * size) - 1) << 8 * (16 - size - at)
    undefined = ~defined & (1 << 128) - 1
    first = OUT_VR + 2 * fields["vrt"]
    return {first: undefined >> 64, first + 1: undefined & (1 << 64) - 1}


@pytest.mark.parametrize("engine", [ReferenceEngine, ThreadedEngine], ids=lambda engine: engine.__name__)
def test_altivec_does_what_qemu_does(tmp_path, engine):
    rng = random.Random(128)
    records = []
    for row in ROWS:
        records += [make_record(rng, row, len(records) + n) for n in range(PER_ROW)]
    image = oracle.build(records, with_vector=True)
    theirs = oracle.run_on_qemu(image, tmp_path)
    ours = oracle.run_on_engine(image, engine)
    found = oracle.differences(image, theirs, ours)
    assert not found, f"{len(found)}\n" + "\n".join(found[:40])
