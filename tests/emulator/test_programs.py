"""Real programs: what GCC makes of C at several levels of optimisation runs as it does elsewhere.

Portable programs must print what the same source prints on this host; programs for Power, what they print as
a process of qemu-ppc64; what needs interrupts, in a partition of qemu-system-ppc64.  Ours run in a bare
partition on both engines and print by hypervisor calls.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import compiled
import pytest

ENGINES = ("reference", "threaded")
# fmt: off
PORTABLE = (
    "sorting", "digests", "formatting", "text", "wide", "division", "calls", "jumps", "recursion", "floats",
    "conversions",
)
POWER = ("multiple", "strings", "rounding", "reservation", "changing_code", "vectors", "conditions")
# fmt: on
PORTABLE_BUILDS = {
    "O0": "-O0 -mcpu=970 -mno-altivec",
    "O2": "-O2 -mcpu=970 -mno-altivec",
    "O3-vector": "-O3 -mcpu=970 -maltivec",
    "soft-float": "-O2 -mcpu=970 -mno-altivec -msoft-float",
}
POWER_BUILDS = {"O1": "-O1 -mcpu=970 -maltivec", "O3": "-O3 -mcpu=970 -maltivec"}


@pytest.fixture(scope="session")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("programs")


def _sources(first: str, names: tuple[str, ...]) -> list[str]:
    own = tuple(f"{name}.c" for name in names if f"{name}.c" not in compiled.COMMON)
    return compiled.paths((*compiled.COMMON, first, *own))


@cache
def _expected_of_host(directory: Path) -> dict[str, str]:
    return compiled.sections(compiled.run_on_host(directory, _sources("portable.c", PORTABLE)))


@cache
def _portable(directory: Path, build: str) -> compiled.Image:
    sources = _sources("portable.c", PORTABLE)
    if build == "soft-float":
        sources += compiled.paths(("softfloat.c",))
    return compiled.build(directory / f"portable-{build}", PORTABLE_BUILDS[build], sources)


@cache
def _exceptions(directory: Path) -> compiled.Image:
    sources = compiled.paths((*compiled.COMMON, "exceptions.c"))
    options = "-O1 -mcpu=970 -mno-altivec"
    return compiled.build(directory / "exceptions", options, sources, interrupts="none.c")


@cache
def _power(directory: Path, build: str) -> compiled.Image:
    return compiled.build(directory / f"power-{build}", POWER_BUILDS[build], _sources("power.c", POWER))


def _assert_same(output: dict[str, str], expected: dict[str, str], names: tuple[str, ...]) -> None:
    """Compare program by program, so that a failure names them."""
    assert tuple(expected) == (*names, "end")
    wrong = [name for name in expected if output.get(name) != expected[name]]
    assert not wrong, {name: (output.get(name), expected[name]) for name in wrong}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("build", PORTABLE_BUILDS)
def test_portable_programs_print_what_they_print_here(directory: Path, build: str, engine: str) -> None:
    output = compiled.run_on_engine(_portable(directory, build), engine)
    _assert_same(compiled.sections(output), _expected_of_host(directory), PORTABLE)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("build", POWER_BUILDS)
def test_programs_for_power_print_what_they_print_on_qemu(directory: Path, build: str, engine: str) -> None:
    image = _power(directory, build)
    expected = compiled.sections(compiled.run_on_qemu(image))
    _assert_same(compiled.sections(compiled.run_on_engine(image, engine)), expected, POWER)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_program_handles_its_own_interrupts_as_on_qemu(directory: Path, engine: str) -> None:
    image = _exceptions(directory)
    expected = compiled.run_on_qemu_system(image)
    assert "decrementer: 1 1 1" in expected
    assert compiled.run_on_engine(image, engine) == expected
