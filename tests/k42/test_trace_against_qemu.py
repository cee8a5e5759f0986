"""`k42 trace record --remote` on QEMU's stub, and the same image on our machine: two judges of it."""

import subprocess
import time
from pathlib import Path

from emulator.trace import Step, TraceReader
from k42.cli import main

ENTRY = 0x100
STEPS = 300
PATIENCE = 60

#: What both describe; QEMU's description has many more, some of which count by themselves.
COMPARED = {f"r{n}" for n in range(32)} | {"cr", "lr", "ctr", "xer", "msr"}

PROGRAM = """
        .globl _start
_start: lis 4, 0x10
        ori 4, 4, 0x1000
        li 3, 0
        li 5, 7
        mtctr 5
loop:   addi 3, 3, 3
        bl leaf
        stdu 3, 8(4)
        lwz 6, 4(4)
        subfc 7, 6, 3
        adde. 8, 7, 3
        cmpdi 3, 3, 12
        rldicl 9, 8, 13, 7
        srawi. 10, 9, 3
        bdnz loop
        mtctr 5
        b loop
leaf:   mulld 11, 3, 3
        divdu 12, 11, 5
        neg. 12, 12
        blr
"""


def build_image(folder: Path) -> Path:
    source, unit, image = folder / "loop.s", folder / "loop.o", folder / "loop.bin"
    source.write_text(PROGRAM)
    subprocess.run(["powerpc64-linux-gnu-as", "-mbig", "-mpower4", "-o", str(unit), str(source)], check=True)
    subprocess.run(
        ["powerpc64-linux-gnu-objcopy", "-O", "binary", "-j", ".text", str(unit), str(image)], check=True
    )
    return image


def record_on_qemu(image: Path, socket: Path, out: Path) -> int:
    """Start QEMU, halted, and let the command step it."""
    command = [
        *("qemu-system-ppc64", "-M", "none", "-cpu", "970fx", "-m", "64", "-nodefaults", "-nographic", "-S"),
        *("-gdb", f"unix:{socket},server=on,wait=off"),
        *("-device", f"loader,file={image},addr={ENTRY:#x},force-raw=on"),
        *("-device", f"loader,addr={ENTRY:#x},cpu-num=0"),
    ]
    record = ["trace", "record", "--remote", f"unix:{socket}", "--steps", str(STEPS), "--out", str(out)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as qemu:
        try:
            wait_for_listener(socket, qemu)
            return main(record)
        finally:
            qemu.terminate()


def wait_for_listener(socket: Path, qemu: subprocess.Popen[bytes]) -> None:
    """Wait until the kernel's list of Unix sockets shows `socket` as listening (SO_ACCEPTCON, 0x10000)."""
    for _ in range(PATIENCE * 100):
        assert qemu.poll() is None, "QEMU has ended"
        lines = Path("/proc/net/unix").read_text().splitlines()
        if any(line.endswith(f" {socket}") and line.split()[3] == "00010000" for line in lines):
            return
        time.sleep(0.01)
    raise AssertionError("QEMU does not listen")


def read_trace(path: Path) -> list[Step]:
    with path.open("rb") as file:
        return list(TraceReader(file))


def test_both_traces_are_the_same(tmp_path: Path) -> None:
    image = build_image(tmp_path)
    ours, theirs = tmp_path / "ours.trace", tmp_path / "theirs.trace"
    own = ["trace", "record", str(image), "--raw", hex(ENTRY), "--steps", str(STEPS), "--out", str(ours)]
    assert main(own) == 0
    assert record_on_qemu(image, tmp_path / "gdb", theirs) == 0

    def shown(step: Step) -> tuple[int, int, dict[str, int]]:
        return step.pc, step.word, {name: value for name, value in step.changes if name in COMPARED}

    seen = [shown(step) for step in read_trace(theirs)]
    assert len(seen) == STEPS
    assert len({pc for pc, _word, _changed in seen}) == 21
    assert seen == [shown(step) for step in read_trace(ours)]
