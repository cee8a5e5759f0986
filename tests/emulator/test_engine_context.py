"""System calls, returns and MSR changes within native code: the same state at every cut of the budget."""

import random
import struct

import pytest
from oracle import encode

from emulator.boot import SERIAL_PORT, load_raw
from emulator.config import MachineConfig
from emulator.cpu.exits import ExitKind
from emulator.cpu.state import INDEX, MSR_DR, MSR_EE, MSR_HV, MSR_IR, MSR_ME, MSR_PR, MSR_RI, MSR_SF
from emulator.machine import Machine

MEMORY = 1 << 20
KERNEL, USER, DATA, TABLE = 0x1000, 0x3000, 0x5000, 0x40000
KERNEL_MSR = MSR_SF | MSR_HV | MSR_ME | MSR_RI
USER_MSR = MSR_SF | MSR_HV | MSR_ME | MSR_EE | MSR_PR | MSR_IR | MSR_DR
SRR0, SRR1, DEC = 26, 27, 22
VSID = 0x1234
DEVICE, DEVICE_VSID, MEMORY_THERE = SERIAL_PORT & -0x1000, 0x2000, 0x6000
SELF_IS = INDEX["engine"]


def spr(number):
    return (number & 31) << 5 | number >> 5


def count(register):
    return encode("addi", rt=register, ra0=register, si=1)


def kernel():
    """Interrupts on, a system call, interrupts off, then out to the user with translation on."""
    return [
        count(20),
        encode("mtmsrd", rs=10, wide=1),
        encode("sc", lev=0),
        encode("mtmsrd", rs=9, wide=1),
        encode("mfmsr", rt=4),
        encode("std", rs=4, ra0=0, ds=DATA >> 2),
        # The UART's scratch register in real mode; with data translation on there is memory.
        encode("stb", rs=20, ra0=26, d=7),
        encode("lbz", rt=27, ra0=26, d=7),
        encode("mtmsrd", rs=12),
        encode("lbz", rt=28, ra0=26, d=7),
        encode("stb", rs=21, ra0=26, d=7),
        encode("ld", rt=5, ra0=0, ds=DATA >> 2),
        encode("mtmsrd", rs=9),
        encode("mfspr", rt=6, spr=spr(1)),
        encode("mtspr", rs=20, spr=spr(1)),
        encode("mtspr", rs=13, spr=spr(SRR0)),
        encode("mtspr", rs=11, spr=spr(SRR1)),
        encode("rfid"),
    ]


def user():
    """Stores, system calls, and at last what a user may not do."""
    return [
        count(21),
        encode("lwz", rt=7, ra0=0, d=DATA + 4),
        encode("sc", lev=0),
        encode("add", rt=8, ra=8, rb=7),
        encode("stw", rs=8, ra0=0, d=DATA + 16),
        encode("mfspr", rt=14, spr=spr(268)),
        encode("sc", lev=0),
        encode("mfmsr", rt=4),
    ]


HANDLERS = {
    # Privileged: back into the kernel.
    0x700: [encode("mtspr", rs=15, spr=spr(SRR0)), encode("mtspr", rs=9, spr=spr(SRR1)), encode("rfid")],
    0x900: [count(22), encode("mtspr", rs=16, spr=spr(DEC)), encode("rfid")],
    0xC00: [
        count(23),
        encode("mfspr", rt=17, spr=spr(SRR1)),
        encode("add", rt=18, ra=18, rb=17),
        encode("rfid"),
    ],
}


def make_machine(path, engine, decrement):
    machine = Machine(MachineConfig(memory=MEMORY, engine=engine), load_raw(str(path), 0, KERNEL))
    state = machine.state
    for page in range(16):
        group = TABLE + ((VSID ^ page) & 0x7FF) * 128
        # One page to a group: valid, read and write for everybody.
        machine.memory.write(group, struct.pack(">QQ", VSID << 12 | 1, page << 12 | 0x192))
    group = TABLE + ((DEVICE_VSID ^ DEVICE >> 12 & 0xFFFF) & 0x7FF) * 128
    entry = struct.pack(">QQ", DEVICE_VSID << 12 | (DEVICE >> 23 & 31) << 7 | 1, MEMORY_THERE | 0x192)
    machine.memory.write(group, entry)
    machine.mmu.slbmte(DEVICE_VSID << 12, DEVICE & -1 << 28 | 1 << 27 | 1)
    values = {
        9: KERNEL_MSR,
        10: MSR_EE | MSR_RI,
        11: USER_MSR,
        12: KERNEL_MSR | MSR_DR,
        13: USER,
        15: KERNEL,
        26: SERIAL_PORT,
    }
    for register, value in (values | {16: decrement}).items():
        state.put("gpr", value, register)
    state.put("sdr1", TABLE)
    state.msr = KERNEL_MSR
    machine.mmu.slbmte(VSID << 12, 1 << 27)
    machine.timers.set_decrementer(decrement)
    return machine


@pytest.mark.parametrize("seed", range(6))
def test_the_engines_agree_on_changes_of_context(tmp_path, seed):
    image = bytearray(0x4000)
    for at, words in {KERNEL: kernel(), USER: user(), **HANDLERS}.items():
        image[at : at + 4 * len(words)] = struct.pack(f">{len(words)}I", *words)
    path = tmp_path / "image"
    path.write_bytes(image)
    rng = random.Random(seed)
    decrement = rng.choice([7, 20, 61, 200])
    machines = [make_machine(path, engine, decrement) for engine in ("reference", "threaded")]
    for _ in range(40):
        budget = rng.choice([1, 2, 3, rng.randrange(1, 60), rng.randrange(1, 3000)])
        exits = [machine.run(budget) for machine in machines]
        assert exits[0] == exits[1]
        assert exits[0].kind is ExitKind.BUDGET
        states = [list(machine.state.words[:SELF_IS]) for machine in machines]
        differing = {
            name: (hex(states[0][at]), hex(states[1][at]))
            for name, at in INDEX.items()
            if at < SELF_IS and states[0][at] != states[1][at]
        }
        assert states[0] == states[1], differing
        assert machines[0].memory.read(DATA, 0x2000) == machines[1].memory.read(DATA, 0x2000)
    assert machines[1].memory.read(MEMORY_THERE + SERIAL_PORT % 0x1000 + 7, 1) != b"\0"
    # Every way has been gone.
    counts = [machines[1].state.get("gpr", register) for register in (20, 21, 22, 23)]
    assert min(counts) > 3, (counts, hex(machines[1].state.pc), hex(machines[1].state.msr))
