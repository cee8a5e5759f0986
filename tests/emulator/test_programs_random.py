"""Random C programs (random_programs) print on both engines what they print as a process of qemu-ppc64."""

from __future__ import annotations

from pathlib import Path

import compiled
import pytest
import random_programs

# QEMU is the judge and runs the same objects, so the compiler may contract a*b+c here.
OPTIONS = (
    "-O0 -mcpu=970 -mno-altivec",
    "-O2 -mcpu=970 -mno-altivec -ffp-contract=fast",
    "-O3 -mcpu=970 -maltivec -funroll-loops -ffp-contract=fast",
    "-Os -mcpu=power4 -mno-altivec",
)
PER_IMAGE = 13


def _check(directory: Path, seed: int, options: str, engines: tuple[str, ...]) -> None:
    source = directory / f"random-{seed}.c"
    source.write_text(random_programs.source(seed, PER_IMAGE))
    sources = [*compiled.paths(compiled.COMMON), str(source)]
    image = compiled.build(directory / f"image-{seed}", f"{options} -w", sources)
    expected = compiled.sections(compiled.run_on_qemu(image))
    assert len(expected) == PER_IMAGE + 1
    for engine in engines:
        output = compiled.sections(compiled.run_on_engine(image, engine))
        wrong = [name for name in expected if output.get(name) != expected[name]]
        assert not wrong, f"{source} {options}: functions {wrong} on {engine}"


@pytest.mark.parametrize("seed", range(4))
def test_random_programs(tmp_path: Path, seed: int) -> None:
    _check(tmp_path, seed, OPTIONS[seed % 4], ("reference", "threaded"))


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(100, 140))
def test_many_random_programs(tmp_path: Path, seed: int) -> None:
    _check(tmp_path, seed, OPTIONS[seed % 4], ("threaded",))
