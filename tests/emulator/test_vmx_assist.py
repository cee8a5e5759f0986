"""Denormals in AltiVec's Java mode: a 970 leaves them to the handler at 0x1700, other machines compute."""

from __future__ import annotations

import pytest
from oracle import ROWS, encode
from programs import load_raw_words

from emulator.config import MachineConfig, MachineKind
from emulator.cpu.state import MSR_HV, MSR_SF, MSR_VMX
from emulator.machine import Machine

START = 0x4000
NON_JAVA = 1 << 16
ONE = 0x3F80_0000_3F80_0000_3F80_0000_3F80_0000
DENORMAL = 0x3F80_0000_3F80_0000_0000_0001_3F80_0000
TINY = 0x0080_0000_0080_0000_0080_0000_0080_0000
HALF = 0x3F00_0000_3F00_0000_3F00_0000_3F00_0000

ASSISTED = ["vaddfp", "vsubfp", "vmaddfp", "vnmsubfp", "vrefp", "vrsqrtefp", "vexptefp", "vlogefp"] + [
    "vrfin", "vrfiz", "vrfip", "vrfim", "vctuxs", "vctsxs",
]  # fmt: skip
#: Comparisons and the like need no help with a denormal operand.
UNASSISTED = ["vmaxfp", "vminfp", "vcmpeqfp", "vcmpgtfp", "vcmpbfp", "vcfsx", "vadduwm"]


@pytest.fixture(params=["reference", "threaded"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def run(
    engine: str, name: str, *, kind: MachineKind = MachineKind.HARDWARE, vscr: int = 0, **registers: int
) -> Machine:
    """Execute `name` on V2, V3 and V4, with V5 as target; all hold 1.0 but those given."""
    fields = {"vrt": 5, "vra": 2, "vrb": 3, "vrc": 4}
    word = encode(name, **{field: number for field, number in fields.items() if field in ROWS[name].fields})
    machine = Machine(MachineConfig(kind, memory=1 << 20, engine=engine), load_raw_words(word, address=START))
    for number in range(2, 6):
        machine.state.set_vr(number, registers.get(f"v{number}", ONE))
    machine.set_registers({"msr": MSR_SF | MSR_HV | MSR_VMX, "vscr": vscr})
    machine.step()
    return machine


@pytest.mark.parametrize("name", ASSISTED)
def test_a_denormal_operand_calls_the_handler(engine: str, name: str) -> None:
    state = run(engine, name, v3=DENORMAL).state
    assert (state.pc, state.get("srr0"), state.get("srr1")) == (0x1700, START, MSR_SF | MSR_HV | MSR_VMX)
    assert state.vr(5) == ONE
    assert not state.msr & MSR_VMX


def test_a_denormal_result_calls_the_handler(engine: str) -> None:
    # 2^-126 * 0.5 + 0, (vmaddfp: VRA * VRC + VRB).
    assert run(engine, "vmaddfp", v2=TINY, v4=HALF, v3=0).state.pc == 0x1700


@pytest.mark.parametrize("name", ASSISTED)
def test_not_in_the_other_mode(engine: str, name: str) -> None:
    assert run(engine, name, v3=DENORMAL, vscr=NON_JAVA).state.pc == START + 4


@pytest.mark.parametrize("kind", [MachineKind.LPAR, MachineKind.MAMBO])
@pytest.mark.parametrize("name", ASSISTED)
def test_not_on_the_other_machines(engine: str, name: str, kind: MachineKind) -> None:
    assert run(engine, name, v3=DENORMAL, kind=kind).state.pc == START + 4


@pytest.mark.parametrize("name", [*ASSISTED, *UNASSISTED])
def test_not_for_normal_numbers(engine: str, name: str) -> None:
    assert run(engine, name).state.pc == START + 4


@pytest.mark.parametrize("name", UNASSISTED)
def test_not_where_none_is_needed(engine: str, name: str) -> None:
    assert run(engine, name, v3=DENORMAL).state.pc == START + 4
