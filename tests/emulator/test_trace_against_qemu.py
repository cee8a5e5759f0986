"""MSR[SE] and MSR[BE] against qemu-system-ppc64: when the trace interrupt comes, and what registers hold."""

from __future__ import annotations

from pathlib import Path

import test_isa_interrupts as cases
from oracle import encode

from emulator.boot import load_raw
from emulator.config import MachineConfig, MachineKind
from emulator.cpu.exits import ExitKind
from emulator.cpu.state import MSR_BE, MSR_FP, MSR_SE
from emulator.machine import Machine

ADD_ONE = encode("addi", rt=3, ra0=3, si=1)
SCRATCH = 0x20_0000

PROGRAMS = {
    "add": [ADD_ONE, ADD_ONE],
    "branch": [ADD_ONE, encode("b", li=2), ADD_ONE, ADD_ONE],
    "branch taken": [encode("bc", bo=20, bi=0, bd=2), ADD_ONE, ADD_ONE],
    "branch not taken": [encode("bc", bo=12, bi=2, bd=2), ADD_ONE],
    "call": [encode("b", li=2, lk=1), ADD_ONE, ADD_ONE],
    "return": [
        cases.mfspr(5, 26), encode("addi", rt=5, ra0=5, si=16), cases.mtspr(5, 8), encode("bclr", bo=20),
    ],
    "jump not taken": [encode("bcctr", bo=12, bi=2), ADD_ONE],
    "load": [encode("lwz", rt=4, ra0=8, d=0), ADD_ONE],
    "store with update": [encode("stdu", rs=4, ra=8, ds=4), ADD_ONE],
    "float": [encode("fadd", frt=3, fra=4, frb=5), ADD_ONE],
    "cr": [encode("crxor", bt=1, ba=2, bb=3), ADD_ONE],
    "tracing switched off": [encode("mtmsrd", rs=9), ADD_ONE],
    "sc": [encode("sc")],
    "illegal": [0],
    "trap": [encode("tw", to=31, ra=3, rb=3)],
    "no trap": [encode("tw", to=0, ra=3, rb=3), ADD_ONE],
    "alignment": [encode("lwarx", rt=4, ra0=0, rb=10)],
}  # fmt: skip


def run_on_machine(image: bytes, directory: Path, engine: str) -> bytes:
    path = directory / "image.bin"
    path.write_bytes(image)
    config = MachineConfig(MachineKind.LPAR, memory=cases.MEMORY, engine=engine)
    machine = Machine(config, load_raw(str(path), 0, 0x100))
    machine.set_registers({"msr": cases.MSR})
    exit_ = machine.run(100_000)
    assert exit_.kind is ExitKind.IDLE and machine.console.drain() == b"E", exit_
    return machine.memory.read(0, cases.MEMORY)


def test_the_trace_interrupt_comes_where_qemu_takes_it(tmp_path: Path) -> None:
    found = []
    for bits in (MSR_SE, MSR_BE, MSR_SE | MSR_BE):
        for name, words in PROGRAMS.items():
            gprs = [7, 2, 0, 0, 0, SCRATCH, cases.MSR, SCRATCH + 1, 5, 6]
            found.append((f"{name} {bits:x}", words, cases.MSR | MSR_FP | bits, 0, gprs, [1 << 62] * 10))
    image = cases.build([case[1:] for case in found])
    theirs = cases.run_on_qemu(image, tmp_path)
    for engine in ("reference", "threaded"):
        wrong = cases.differences(found, theirs, run_on_machine(image, tmp_path, engine))
        assert not wrong, f"{engine}: {len(wrong)}\n" + "\n".join(wrong[:60])
