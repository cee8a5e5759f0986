"""What is committed is what the sources give, in the shape a boot program and a module loader want."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from emulator.guests import MINI

ROOT = Path(__file__).parents[2]
COMPILER = "powerpc64-linux-gnu-gcc"
KERNEL = 0xC000_0000_0200_0000
EXECUTABLE, WRITABLE, READABLE = 1, 2, 4


def segments(elf: Path) -> list[tuple[int, int, int, int, bytes]]:
    """Flags, virtual and physical address, size in memory, and bytes of each loadable segment."""
    with elf.open("rb") as stream:
        loadable = ELFFile(stream).iter_segments("PT_LOAD")
        return [(s["p_flags"], s["p_vaddr"], s["p_paddr"], s["p_memsz"], s.data()) for s in loadable]


def map_lines() -> dict[str, list[int]]:
    lines = (MINI.parent / "boot_image.map").read_text().splitlines()
    return {name: [int(n, 16) for n in numbers] for name, *numbers in (line.split() for line in lines)}


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("rebuilt")
    subprocess.run([sys.executable, ROOT / "scripts/build-guests", "--into", into], check=True)
    return into


def test_the_sources_give_the_committed_kernel(rebuilt: Path) -> None:
    version = subprocess.run([COMPILER, "--version"], capture_output=True, text=True, check=True)
    if version.stdout.splitlines()[0] == (MINI.parent / "compiler.txt").read_text().strip():
        assert segments(rebuilt / "mini.elf") == segments(MINI)
        assert (rebuilt / "boot_image.map").read_text() == (MINI.parent / "boot_image.map").read_text()
    else:
        # Another compiler: other code, the same names.  How the committed kernel behaves, the others test.
        fresh = {line.split()[0] for line in (rebuilt / "boot_image.map").read_text().splitlines()}
        assert fresh == set(map_lines())


def test_the_segments_are_what_the_boot_program_takes() -> None:
    (flags, text, text_real, text_size, text_bytes), (data_flags, data, data_real, _, data_bytes) = segments(
        MINI
    )
    assert flags == READABLE | EXECUTABLE
    assert (text, text_real, text_size) == (KERNEL, 0x200_0000, len(text_bytes))
    assert data_flags == READABLE | WRITABLE
    assert data - data_real == text - text_real
    assert data >= text + text_size
    with MINI.open("rb") as stream:
        entry = ELFFile(stream)["e_entry"]
    assert data <= entry < data + len(data_bytes), "e_entry names a descriptor in the data"
    offset = entry - data
    code = int.from_bytes(data_bytes[offset : offset + 8], "big")
    assert text <= code < text + text_size


def test_the_map_names_functions_by_descriptor_entry_and_toc() -> None:
    symbols = map_lines()
    (text_start,) = symbols["text_start"]
    (text_end,) = symbols["text_end"]
    descriptor, entry, toc = symbols["fib"]
    assert text_start <= entry < text_end <= descriptor < toc
    assert symbols["breakpoint"][1] < text_end
    assert len(symbols["prompt"]) == 1
    assert "count_seconds" not in symbols, "local symbols are not in the map"


def test_the_map_lists_what_nm_calls_global_and_defined() -> None:
    listed = subprocess.run(
        ["powerpc64-linux-gnu-nm", "--extern-only", "--defined-only", MINI],
        capture_output=True,
        text=True,
        check=True,
    )
    names = {(line.split()[2], int(line.split()[0], 16)) for line in listed.stdout.splitlines()}
    assert names == {(name, numbers[0]) for name, numbers in map_lines().items()}


def test_line_numbers_lead_to_the_sources() -> None:
    found = subprocess.run(
        ["powerpc64-linux-gnu-addr2line", "-e", MINI, "-f", hex(map_lines()["fib"][1])],
        capture_output=True,
        text=True,
        check=True,
    )
    function, place = found.stdout.split()
    file, _, line = place.partition(":")
    assert function == "fib"
    assert "u64 fib(u64 n)" in (ROOT / file).read_text().splitlines()[int(line) - 2]
