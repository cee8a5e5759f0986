"""The integer, branch and storage instructions against QEMU, in one batch."""

import os
import random

import oracle
import pytest
from oracle import SCRATCH_BYTES, Record, encode, random64

from emulator.engines.reference import ReferenceEngine
from emulator.engines.threaded import ThreadedEngine
from emulator.isa.decode import instructions

SECTIONS = ("branch", *oracle.INTEGER_SECTIONS, *oracle.STORAGE_SECTIONS)
PER_ROW = int(os.environ.get("ORACLE_RECORDS", "24"))

#: Rows that no user program can run to the end; test_isa_system and test_isa_interrupts have them.
NOT_FOR_USERS = {
    "sc": "is the driver's way out; a system call",
    "attn": "stops the machine",
    "simos_call": "is our simulator's own",
    "mambo_call": "is our simulator's own",
    "rtas_call": "is our simulator's own",
    "simulator_breakpoint": "is our simulator's own",
    "mftb": "reads a clock",
    "mtspr": "checked by hand: only LR, CTR and XER are the user's",
    "mfspr": "checked by hand",
    "icbi": "no visible effect on data",
    **dict.fromkeys(
        (
            "mtmsrd",
            "mtmsr",
            "mfmsr",
            "rfid",
            "slbmte",
            "slbie",
            "slbia",
            "slbmfev",
            "slbmfee",
            "mtsr",
            "mtsrin",
        )
        + ("mfsr", "mfsrin", "tlbie", "tlbiel", "tlbia", "tlbsync"),
        "privileged",
    ),
}

STORAGE = {
    row.name
    for row in instructions()
    if row.section in oracle.STORAGE_SECTIONS
    and row.name not in ("isync", "sync", "eieio", "dcbt", "dcbtst", "icbi")
}
BRANCHES = {"b", "bc", "bclr", "bcctr"}
TRAPS = {"tw", "twi", "td", "tdi"}
ALIGNED = {"lwarx": 4, "ldarx": 8, "stwcx_": 4, "stdcx_": 8}


def storage_record(rng, row, index):
    """Aim base and index at the middle of the record's scratch memory."""
    fields = oracle.random_fields(rng, row)
    record = oracle.random_record(rng, row.name, [])
    base = oracle.scratch_address(index, 0) + SCRATCH_BYTES // 2
    target = base + rng.randrange(-48, 48)
    if (size := ALIGNED.get(row.name)) is not None:
        target &= -size
    register = fields.get("ra", fields.get("ra0", 0))
    is_update = "u" in row.name[2:] and row.name not in ("dcbst",) and "ra" in fields
    target_register = fields.get("rt", fields.get("rs"))
    while (
        (is_update and register in (0, target_register))
        or register == 0
        or (row.name in ("lmw", "lswi", "lswx") and register >= 24)
    ):
        register = rng.randrange(1, 24)
    fields["ra" if "ra" in fields else "ra0"] = register
    if row.name in ("lmw", "stmw"):
        # R31 is loaded too: with the record's own address, which it must keep.
        fields["rt"] = rng.randrange(24, 31)
        at = 4 * (31 - fields["rt"])
        target = base
        scratch = bytearray(record.scratch)
        scratch[128 + at : 132 + at] = oracle.record_address(index).to_bytes(4, "big")
        record.scratch = bytes(scratch)
    if row.name in ("lswi", "lswx"):
        fields["rt"] = rng.randrange(2, 6)
        register = fields["ra0"] = rng.randrange(24, 28)
        if "rb" in fields:
            fields["rb"] = 28
        record.xer = record.xer & ~0x7F | rng.randrange(0, 64)
    if row.name in ("stswi", "stswx"):
        fields["rt"] = rng.randrange(32)
        # R31 holds the same in both worlds.
        record.xer = record.xer & ~0x7F | rng.randrange(0, 64)
    if "rb" in fields:
        offset = random64(rng)
        while fields["rb"] == register:
            fields["rb"] = rng.randrange(31)
        record.gpr[fields["rb"]] = offset
        record.gpr[register] = target - offset & (1 << 64) - 1
        if row.name == "lswx" or (row.name.startswith("stsw") and fields["rb"] == fields["rt"]):
            record.gpr[register] = target - offset & (1 << 64) - 1
    elif "d" in fields or "ds" in fields:
        name, shift = ("d", 0) if "d" in fields else ("ds", 2)
        number = fields[name] = rng.getrandbits(16 - shift)
        signed = (number ^ 1 << 15 - shift) - (1 << 15 - shift) << shift
        record.gpr[register] = target - signed & (1 << 64) - 1
    else:
        record.gpr[register] = target
    record.code = [row.encode(**fields)]
    if row.name in ("stwcx_", "stdcx_") and rng.random() < 0.7:
        load = {"stwcx_": "lwarx", "stdcx_": "ldarx"}[row.name]
        record.code.insert(0, encode(load, rt=29, ra0=register, rb=fields["rb"]))
        if 29 in (register, fields["rb"], fields["rs"]):
            record.code.pop(0)
    return record


def branch_record(rng, row, number):
    """Branch over an instruction that counts in R3, or not; `number` goes through every BO and LK."""
    fields = oracle.random_fields(rng, row) | {"lk": number & 1}
    if "bo" in fields:
        fields["bo"] = number >> 1 & 31
    if "aa" in fields:
        fields["aa"] = 0
    record = oracle.random_record(rng, row.name, [])
    record.ctr = rng.choice([0, 1, 2, random64(rng)])
    mark = encode("addi", rt=3, ra0=3, si=1)
    if row.name in ("b", "bc"):
        fields["li" if row.name == "b" else "bd"] = 2
        record.code = [row.encode(**fields), mark]
        return record
    # Make the target from the code's own address: LR points at it when the record is entered.
    setter = {"bclr": 8, "bcctr": 9}[row.name]
    if row.name == "bcctr":
        fields["bo"] |= 4
    target = [
        encode("mfspr", rt=12, spr=8 << 5),
        encode("addi", rt=12, ra0=12, si=20),
        encode("mtspr", rs=12, spr=setter << 5),
    ]
    record.code = [*target, row.encode(**fields), mark]
    if row.name == "bclr":
        return record
    return record


def plain_record(rng, row):
    fields = oracle.random_fields(rng, row)
    record = oracle.random_record(rng, row.name, [])
    if row.name in TRAPS:
        # A trap that is taken ends a user program: ask for the one condition that does not hold.
        fields["to"] = 0
    record.code = [row.encode(**fields)]
    if row.name == "mfcr" and fields["one"]:
        fields["fxm"] = 1 << rng.randrange(8)
        record.code = [row.encode(**fields)]
    if row.name == "mtcrf":
        record.code = [row.encode(**fields)]
    return record


def spr_records(rng):
    for name, register in (("mfspr", "rt"), ("mtspr", "rs")):
        for number in (1, 8, 9):
            fields = {register: rng.randrange(31), "spr": number << 5}
            record = oracle.random_record(rng, name, [encode(name, **fields)])
            # XER's reserved bits: QEMU keeps what was written, the 970 has no such bits.
            record.ignore[oracle.OUT_XER] = 0x1FFF_FF80
            yield record


def make_records(seed, per_row):
    rng = random.Random(seed)
    records: list[Record] = []
    for row in instructions():
        if row.name in NOT_FOR_USERS or row.section not in SECTIONS:
            continue
        for number in range(max(per_row, 128) if row.name in BRANCHES else per_row):
            if row.name in STORAGE:
                record = storage_record(rng, row, len(records))
            elif row.name in BRANCHES:
                record = branch_record(rng, row, number)
            else:
                record = plain_record(rng, row)
            records.append(record)
    records += spr_records(rng)
    return records


@pytest.mark.parametrize("engine", [ReferenceEngine, ThreadedEngine], ids=lambda engine: engine.__name__)
def test_user_instructions_do_what_qemu_does(tmp_path, engine):
    image = oracle.build(make_records(970, PER_ROW))
    theirs = oracle.run_on_qemu(image, tmp_path)
    ours = oracle.run_on_engine(image, engine)
    found = oracle.differences(image, theirs, ours)
    assert not found, "\n".join(found[:40])
