"""Loading programs: entry states, and one clear line for everything that cannot be loaded."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest

from emulator.boot import Entry, LoadError, Program, load_elf, load_raw
from emulator.bootinfo import parameter_block
from emulator.config import MachineConfig, MachineKind, parse_size
from emulator.cpu.mmu import Access
from emulator.guests import MINI
from emulator.machine import Machine

MB = 1 << 20


def elf(
    segments: list[tuple[int, int, bytes, int, int]],
    entry: int,
    *,
    ident: bytes = b"\x7fELF\x02\x02\x01",
    machine: int = 21,
    kind: int = 2,
) -> bytes:
    """Return an ELF file of (virtual, physical, bytes, memory size, flags) segments; PF_X is 1, PF_W 2."""
    order = ">" if ident[5] == 2 else "<"
    data_at = 64 + 56 * len(segments)
    headers, body = b"", b""
    for virtual, physical, data, size, flags in segments:
        place = (data_at + len(body), virtual, physical, len(data), size, 4)
        headers += struct.pack(order + "IIQQQQQQ", 1, flags, *place)
        body += data
    head = struct.pack(
        order + "16sHHIQQQIHHHHHH",
        *(ident.ljust(16, b"\0"), kind, machine, 1, entry, 64, 0, 0, 64, 56, len(segments), 64, 0, 0),
    )
    return head + headers + body


def load(tmp_path: Path, image: bytes) -> Program:
    path = tmp_path / "kernel"
    path.write_bytes(image)
    return load_elf(str(path))


def machine(program: Program, kind: MachineKind = MachineKind.HARDWARE, memory: int = 128 * MB) -> Machine:
    return Machine(MachineConfig(kind, memory=memory), program)


CODE = b"\x60\0\0\0" * 4


def test_bare_elf_is_entered_in_real_mode_at_its_physical_addresses(tmp_path: Path) -> None:
    program = load(tmp_path, elf([(0x1000, 0x3000, CODE, 32, 5)], 0x1004))
    state = machine(program, memory=MB).state
    assert (program.entry, state.pc, state.msr) == (Entry.BARE, 0x1004, 1 << 63)
    assert state.words[:32].tolist() == [0] * 32


def test_entry_in_data_is_a_descriptor(tmp_path: Path) -> None:
    descriptor = (0x1008).to_bytes(8, "big") + (0x9000).to_bytes(8, "big") + bytes(8)
    image = elf([(0x1000, 0x1000, CODE, 16, 5), (0x2000, 0x2000, descriptor, 64, 6)], 0x2000)
    assert load(tmp_path, image).pc == 0x1008


def test_a_descriptor_may_share_its_segment_with_the_code(tmp_path: Path) -> None:
    source, path = tmp_path / "program.c", tmp_path / "program.elf"
    source.write_text("void _start(void) { for (;;); }\n")
    options = ["-nostdlib", "-static", "-Wl,-N,-Ttext=0x1000,--build-id=none,--no-warn-rwx-segments"]
    subprocess.run(["powerpc64-linux-gnu-gcc", *options, "-o", path, source], check=True)
    assert load_elf(str(path)).pc == 0x1000


def test_zeroed_memory_follows_the_bytes_of_a_segment(tmp_path: Path) -> None:
    emulated = machine(load(tmp_path, elf([(0x1000, 0x1000, CODE, 0x100, 5)], 0x1000)), memory=MB)
    emulated.memory.write(0x1010, b"dirt")
    emulated.reset()
    assert emulated.memory.read(0x1000, 0x20) == CODE + bytes(16)


@pytest.mark.parametrize("kind", MachineKind, ids=lambda kind: kind.value)
def test_kernel_is_entered_as_the_boot_program_leaves_it(kind: MachineKind) -> None:
    emulated = machine(load_elf(str(MINI)), kind)
    state, mmu, memory = emulated.state, emulated.mmu, emulated.memory
    hypervisor = 0 if kind is MachineKind.LPAR else 1 << 60
    simulator = 0x3000_0000 if kind is MachineKind.MAMBO else 0
    assert state.msr == 1 << 63 | 1 << 61 | hypervisor | 0x1030 | simulator
    assert state.get("gpr", 1) == 0xC000_0000_01FF_BF00
    assert state.get("gpr", 3) == 0xC000_0000_01FF_C000
    assert (state.get("sdr1"), state.get("asr")) == (0x500_0000, 0x504_0001)
    assert list(mmu.tables.slb()) == [(0, 0xC000_0000_0800_0000, 0x0001_C000_0000_0400)]
    # The kernel's 48 MB, three low pages, BootInfo and the stack, and nothing beside them.
    for virtual, real in (
        (0x200_0000, 0x200_0000),
        (0x4FF_F000, 0x4FF_F000),
        (0x2000, 0x2000),
        (0x1FE_8000, 0x1FE_8000),
    ):
        assert mmu.translate(0xC000_0000_0000_0000 + virtual, Access.STORE) == real
    for absent in (0x500_0000, 0x3000, 0x1FE_7000):
        assert mmu.probe(0xC000_0000_0000_0000 + absent) is None
    info = memory.read(0x1FF_C000, 0x3560)
    assert info[:16] == b"SYSTEMCFG:PPC64\0"
    assert int.from_bytes(info[0x28:0x30], "big") == 128 * MB
    assert int.from_bytes(info[0x348:0x350], "big") == 0x3C
    assert int.from_bytes(info[0x360:0x368], "big") == 25_000_000
    assert info[0x118:0x11A] == bytes([kind is MachineKind.LPAR, 2 if kind is MachineKind.MAMBO else 0])
    port = int.from_bytes(info[0x1CB0:0x1CB8], "big")
    assert port == (0xF800_03F8 if kind is MachineKind.HARDWARE else 0)


def test_an_older_processor_finds_the_kernel_by_its_segment_table() -> None:
    emulated = Machine(MachineConfig(pvr=0x0033_0000), load_elf(str(MINI)))
    assert list(emulated.mmu.tables.slb()) == []
    assert emulated.mmu.translate(0xC000_0000_0200_0000, Access.FETCH) == 0x200_0000
    assert emulated.run(100).instructions == 100


def test_serial_page_is_in_the_table_but_has_no_segment() -> None:
    emulated = machine(load_elf(str(MINI)))
    address = 0xFFFF_0000_F800_03F8
    assert emulated.mmu.probe(address) is None
    esid = address >> 28
    emulated.mmu.slbmte((esid | 1 << 36) << 12 | 0x400, esid << 28 | 1 << 27 | 1)
    assert emulated.mmu.translate(address, Access.LOAD) == 0xF800_03F8


def test_kernel_parameters_are_in_boot_data() -> None:
    emulated = machine(load_elf(str(MINI), {"K42_EARLY_BREAKPOINT": "1", "A": "b"}))
    block = emulated.memory.read(0x1FF_C000 + 0xC10, 64)
    assert block.startswith(b"\0\0\0\1\0\0\0\x2aKBootParms\0K42_EARLY_BREAKPOINT=1\0A=b\0")


def test_parameters_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="4096"):
        parameter_block({"A": "x" * 4096})


def test_raw_image_is_entered_where_told(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(CODE)
    state = machine(load_raw(str(path), 0x700, 0x704), memory=MB).state
    assert (state.pc, state.msr) == (0x704, 1 << 63)
    assert machine(load_raw(str(path), 0x700), memory=MB).state.pc == 0x700


GOOD = (0x1000, 0x1000, CODE, 16, 5)

BAD_FILES = {
    "no ELF": (b"#!/bin/sh\n", "not an ELF file"),
    "32 bits": (elf([GOOD], 0x1000, ident=b"\x7fELF\x01\x02\x01"), "32-bit"),
    "little-endian": (elf([GOOD], 0x1000, ident=b"\x7fELF\x02\x01\x01"), "little-endian"),
    "other machine": (elf([GOOD], 0x1000, machine=62), "EM_X86_64"),
    "relocatable": (elf([GOOD], 0x1000, kind=1), "ET_REL"),
    "shared": (elf([GOOD], 0x1000, kind=3), "ET_DYN"),
    "empty": (elf([], 0x1000), "nothing to load"),
    "truncated": (elf([GOOD], 0x1000)[:-4], "truncated"),
    "headers cut": (elf([GOOD], 0x1000)[:100], "damaged"),
    "header cut": (elf([GOOD], 0x1000)[:4], "truncated"),
    "overlap": (elf([GOOD, (0x1008, 0x1008, CODE, 16, 6)], 0x1000), "overlap"),
    "entry nowhere": (elf([GOOD], 0x9000), "lies in no segment"),
    "bad descriptor": (elf([GOOD, (0x2000, 0x2000, bytes(24), 24, 6)], 0x2000), "descriptor"),
    "kernel too far": (
        elf([(3 << 62, 0, CODE, 16, 5), ((3 << 62) + 50 * MB, 0, CODE, 16, 6)], 3 << 62), "48 MB",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    image, wanted = BAD_FILES[name]
    with pytest.raises(LoadError) as caught:
        load(tmp_path, image)
    text = str(caught.value)
    assert wanted in text and "kernel" in text and "\n" not in text


@pytest.mark.parametrize("length", [*range(0, 200, 7)])
def test_a_file_cut_anywhere_is_refused_with_the_named_error(tmp_path: Path, length: int) -> None:
    with pytest.raises(LoadError):
        load(tmp_path, MINI.read_bytes()[:length])


def test_missing_file_and_directory_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(LoadError, match=str(path)):
            load_elf(str(path))


def test_raw_entry_must_be_an_instruction(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(CODE)
    with pytest.raises(LoadError, match="--entry"):
        load_raw(str(path), 0x100, 0x102)


@pytest.mark.parametrize("entry", [MB, 1 << 63, 1 << 64, (1 << 64) + 0x100])
def test_a_raw_image_is_not_entered_where_no_memory_is(tmp_path: Path, entry: int) -> None:
    path = tmp_path / "image"
    path.write_bytes(CODE)
    with pytest.raises(LoadError, match=rf"{entry:#x} lies outside the 1 MB .* --entry"):
        machine(load_raw(str(path), 0x100, entry), memory=MB)


def test_a_raw_image_has_an_address(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(CODE)
    with pytest.raises(LoadError, match="--raw -0x4"):
        load_raw(str(path), -4, 0x100)


def test_what_does_not_fit_into_memory_names_the_mend(tmp_path: Path) -> None:
    far = load(tmp_path, elf([(0x100000, 0x100000, CODE, 16, 5)], 0x100000))
    with pytest.raises(LoadError, match="--memory"):
        machine(far, memory=MB)
    with pytest.raises(LoadError, match="--memory"):
        machine(load_elf(str(MINI)), memory=64 * MB)
    with pytest.raises(LoadError, match="--memory 114M"):
        machine(load_elf(str(MINI)), memory=112 * MB)
    machine(load_elf(str(MINI)), memory=114 * MB)


@pytest.mark.parametrize(
    ("text", "size"),
    [("128M", 128 * MB), ("1G", 1 << 30), ("0x1000", 4096), ("64k", 65536), ("1GiB", 1 << 30), ("010", 10)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "M", "12Q", "-1", "1.5G", "0x", "9" * 5000])
def test_absurd_sizes_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="size"):
        parse_size(text)


@pytest.mark.parametrize("memory", [0, -4096, 4097, 1 << 50])
def test_absurd_memory_is_refused(memory: int) -> None:
    with pytest.raises(ValueError, match="memory size"):
        MachineConfig(memory=memory)
