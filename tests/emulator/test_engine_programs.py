"""Compiled C on both engines, at several levels of optimization, against answers computed in Python."""

import hashlib
import struct
import subprocess
import zlib
from pathlib import Path

import oracle
import pytest

from emulator.cpu.exits import ExitKind
from emulator.cpu.state import MSR_FP, MSR_SF, MSR_VMX
from emulator.engines.reference import ReferenceEngine
from emulator.engines.threaded import ThreadedEngine

SOURCE = Path(__file__).with_name("programs.c")
ANSWERS = 0x8_0000
COMMON = (
    "-ffreestanding -nostdlib -static -fno-pic -fno-builtin -ffp-contract=off -Wl,--build-id=none,-n,-e,0"
)

START = """
    .section .start, "ax"
    li 1, 0
    ori 1, 1, toc@l
    ld 2, 0(1)
    lis 1, 0x0f
    bl run
    nop
    b .
    .balign 8
toc: .quad .TOC.@tocbase
"""
LINK = """
SECTIONS { . = 0; .text : { *(.start) *(.text .text.*) } .rodata : { *(.rodata*) }
  .data : { *(.data .data.*) } .opd : { *(.opd) } .got : ALIGN(256) { *(.got .toc) }
  .bss : { *(.bss .bss.*) *(COMMON) } /DISCARD/ : { *(.comment) *(.eh_frame) *(.note*) *(.gnu*) } }
"""


def build(folder, options):
    (folder / "start.S").write_text(START)
    (folder / "link.ld").write_text(LINK)
    target = folder / "program.elf"
    sources = [str(folder / "start.S"), str(SOURCE)]
    command = [
        "powerpc64-linux-gnu-gcc",
        *COMMON.split(),
        *options,
        "-T",
        str(folder / "link.ld"),
        "-o",
        str(target),
    ]
    subprocess.run([*command, *sources], check=True, capture_output=True, timeout=60)
    flat = folder / "program.bin"
    subprocess.run(
        ["powerpc64-linux-gnu-objcopy", "-O", "binary", str(target), str(flat)], check=True, timeout=60
    )
    return flat.read_bytes()


def single(value):
    return struct.unpack(">f", struct.pack(">f", value))[0]


def image(value):
    return struct.unpack(">Q", struct.pack(">d", value))[0]


def expected():
    state = 12345

    def following():
        nonlocal state
        state = (state * 1103515245 + 12345) & 0xFFFF_FFFF
        return state >> 8

    data = bytes(following() & 0xFF for _ in range(1000))
    numbers = sorted(following() - (1 << 23) for _ in range(500))
    total = 0
    for number in numbers:
        total = (total * 31 + number) & (1 << 64) - 1
    sha = struct.unpack(">4Q", hashlib.sha256(data).digest())
    mean = 0.0
    for number in numbers:
        mean += number * 0.1
    root = 2.0
    for _ in range(8):
        root = (root + 2 / root) * 0.5
    series = 0.0
    for i in range(1, 1000):
        series += (1.0 if i & 1 else -1.0) / (2 * i - 1)
    short = 1.0
    for i in range(1, 100):
        short = single(single(short * single(1.1)) - single(i / 7))
    converted = int(series * 1e15) + int(root * -1e6)
    remainder = -(1234567890123 % 1000003)
    divided = 0x123456789ABCDEF // (numbers[499] | 1) + remainder & (1 << 64) - 1
    words = [zlib.crc32(data), total, *sha, image(mean / 500), image(root), image(series * 4), image(short)]
    text = b"-9223372036854775808 1234567890123456789\0"
    return [*words, converted, divided], text


OPTIONS = {
    "O0": ["-O0", "-mcpu=970"],
    "O2": ["-O2", "-mcpu=970"],
    "Os": ["-Os", "-mcpu=970"],
    "vectors": ["-O3", "-mcpu=970", "-maltivec", "-ftree-vectorize"],
}


@pytest.mark.parametrize("engine", [ReferenceEngine, ThreadedEngine], ids=lambda engine: engine.__name__)
@pytest.mark.parametrize("name", OPTIONS)
def test_compiled_programs_compute(tmp_path, engine, name):
    processor = oracle.make_processor(1 << 20)
    processor.memory.write(0, build(tmp_path, OPTIONS[name]))
    processor.state.msr = MSR_SF | MSR_FP | MSR_VMX
    processor.state.pc = 0
    outcome = engine(processor).run(10_000_000)
    assert outcome is not None and outcome.kind is ExitKind.IDLE
    words, text = expected()
    assert list(struct.unpack(f">{len(words)}Q", processor.memory.read(ANSWERS, 8 * len(words)))) == words
    assert processor.memory.read(ANSWERS + 8 * len(words), len(text)) == text
