"""What gdbstub.accesses says an instruction touches, judged by the emulator's own watchpoints."""

from pathlib import Path

import pytest

from emulator.boot import load_raw
from emulator.config import MachineConfig
from emulator.cpu.exits import ExitKind
from emulator.cpu.mmu import Watch
from emulator.machine import Machine
from gdbstub.accesses import _X_FORM, data_access

ENTRY = 0x100
BASE, INDEX_VALUE, SIZE = 0x8004, 0x1FC, 1 << 20
RT, RA, RB = 5, 6, 7
#: A 970 does not have these: lbarx, lharx, ldbrx, stdbrx, stbcx., sthcx.
NEWER = {52, 116, 532, 660, 694, 726}
FP_AND_VECTOR = 0x2000 | 1 << 25


def x_form(extended: int) -> int:
    conditional = extended in (150, 214, 694, 726)
    rt = 0 if extended == 1014 else RT
    return 31 << 26 | rt << 21 | RA << 16 | RB << 11 | extended << 1 | conditional


def d_form(primary: int, displacement: int = -8, low: int = 0) -> int:
    rt = 27 if primary in (46, 47) else RT
    return primary << 26 | rt << 21 | RA << 16 | displacement & 0xFFFC | low


WORDS = {
    **{f"d{primary}": d_form(primary) for primary in (*range(32, 46), 46, 47, *range(48, 56))},
    **{f"ds58.{low}": d_form(58, 16, low) for low in (0, 1, 2)},
    **{f"ds62.{low}": d_form(62, 16, low) for low in (0, 1)},
    **{f"x{extended}": x_form(extended) for extended in _X_FORM if extended not in NEWER},
    "lswi": 31 << 26 | RT << 21 | RA << 16 | 9 << 11 | 597 << 1,
    "stswi": 31 << 26 | RT << 21 | RA << 16 | 9 << 11 | 725 << 1,
    "lswx": 31 << 26 | 9 << 21 | RA << 16 | RB << 11 | 533 << 1,
    "stswx": 31 << 26 | 9 << 21 | RA << 16 | RB << 11 | 661 << 1,
    "addi": 14 << 26 | RT << 21 | RA << 16 | 4,
    "or": 31 << 26 | RT << 21 | RA << 16 | RB << 11 | 444 << 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    path: Path = tmp_path_factory.mktemp("accesses") / "image"
    path.write_bytes(bytes(64))
    return Machine(MachineConfig(memory=SIZE), load_raw(str(path), ENTRY, ENTRY))


def first_touched(machine: Machine, word: int, watch: Watch) -> int | None:
    """Return the address at which `watch` stops the instruction."""
    machine.reset()
    machine.memory.write(ENTRY, word.to_bytes(4, "big"))
    machine.set_registers(
        {
            "msr": machine.state.msr | FP_AND_VECTOR,
            "pc": ENTRY,
            "xer": 9,
            f"r{RA}": BASE,
            f"r{RB}": INDEX_VALUE,
        }
    )
    machine.set_watches([watch])
    exit_ = machine.step()
    machine.set_watches([])
    return exit_.detail if exit_.kind is ExitKind.WATCHPOINT else None


@pytest.mark.parametrize("name", sorted(WORDS))
def test_the_machine_touches_what_is_foretold(machine: Machine, name: str) -> None:
    word = WORDS[name]
    values = {f"r{RA}": BASE, f"r{RB}": INDEX_VALUE, "xer": 9}
    foretold = data_access(word, values.__getitem__)
    # Where a reservation's load is taken for its store as well, the machine does one of the two.
    is_reservation = name in ("x20", "x84")
    for loads in (True, False):
        everything = Watch(0x1000, SIZE - 0x1000, loads=loads, stores=not loads)
        seen = first_touched(machine, word, everything)
        if foretold is None or not (foretold.loads if loads else foretold.stores):
            assert seen is None
        elif loads or not is_reservation:
            assert seen == foretold.addr
            # Its last byte is touched, and the one behind it is not.
            last = foretold.addr + foretold.length - 1
            for at, is_hit in ((last, True), (last + 1, False), (foretold.addr - 1, False)):
                one = Watch(at, 1, loads=loads, stores=not loads)
                assert (first_touched(machine, word, one) is not None) is is_hit
