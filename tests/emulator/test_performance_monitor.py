"""The performance monitor as a kernel sees it: counters, freezing, and the interrupt on its instruction."""

from __future__ import annotations

import pytest
from oracle import encode
from programs import load_raw_words

from emulator.config import MachineConfig, MachineKind
from emulator.cpu import performance
from emulator.cpu.exits import ExitKind
from emulator.cpu.state import INDEX, MSR_EE, MSR_HV, MSR_PMM, MSR_PR, MSR_SF
from emulator.isa.sprs import swap_halves
from emulator.machine import Machine

START = 0x4000
NOP = 0x6000_0000
RFID = 0x4C00_0024
ADD_ONE = 0x3863_0001  # addi r3,r3,1
BACK = 0x4BFF_FFFC  # b .-4
SC = 0x4400_0002

PMC1, PMC2, PMC8 = 787, 788, 794
#: PMC1 counts instructions, PMC2 cycles; the others' selector 8 counts nothing.
INSTRUCTIONS_AND_CYCLES = 9 << 8 | 15 << 1
NOTHING = sum(8 << shift for shift in (27, 22, 17, 12, 7, 2))


def mtspr(number: int, register: int) -> int:
    return encode("mtspr", rs=register, spr=swap_halves(number))


def mfspr(register: int, number: int) -> int:
    return encode("mfspr", rt=register, spr=swap_halves(number))


@pytest.fixture(params=["reference", "threaded"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def machine(engine: str, *words: int, msr: int = 0, kind: MachineKind = MachineKind.LPAR) -> Machine:
    """Return a machine whose program is `words` at START; every vector holds nop, rfid."""
    built = Machine(MachineConfig(kind, memory=1 << 20, engine=engine), load_raw_words(*words, address=START))
    for vector in range(0x100, 0x1800, 0x20):
        built.write_memory(vector, NOP.to_bytes(4, "big") + RFID.to_bytes(4, "big"))
    built.set_registers({"msr": MSR_SF | msr})
    return built


def program(emulated: Machine, mmcr0: int, *counters: tuple[int, int]) -> None:
    """Write the monitor's registers as a kernel does, MMCR0 last."""
    for number, value in ((performance.MMCR1, NOTHING), *counters, (performance.MMCR0, mmcr0)):
        performance.write(emulated.state, number, value)


def counter(emulated: Machine, number: int) -> int:
    return performance.read(emulated.state, number)


def test_a_guest_counts_its_own_instructions(engine: str) -> None:
    words = (mtspr(795, 4), mfspr(5, 787), NOP, NOP, NOP, mfspr(6, 787), mfspr(7, 771), mfspr(8, 772))
    emulated = machine(engine, *words)
    emulated.set_registers({"r4": INSTRUCTIONS_AND_CYCLES})
    emulated.run(len(words))
    r5, r6, r7, r8 = (emulated.state.get("gpr", n) for n in range(5, 9))
    # The mtspr itself is counted from its end on: it is complete when the next instruction looks.
    assert (r6 - r5, r7 - r6, r8 - r5) == (4, 1, 6)


def test_interrupts_are_cycles_but_no_instructions(engine: str) -> None:
    emulated = machine(engine, SC, NOP)
    program(emulated, INSTRUCTIONS_AND_CYCLES)
    emulated.run(4)  # the interrupt, nop, rfid, nop
    assert emulated.state.pc == START + 8
    assert (counter(emulated, PMC1), counter(emulated, PMC2)) == (3, 4)


@pytest.mark.parametrize(
    ("freeze", "msr", "kind", "counted"),
    [
        (0x8000_0000, 0, MachineKind.LPAR, 0),
        (0x4000_0000, 0, MachineKind.LPAR, 0),
        (0x4000_0000, MSR_HV, MachineKind.HARDWARE, 10),
        (0x0000_0001, MSR_HV, MachineKind.HARDWARE, 0),
        (0x0000_0001, 0, MachineKind.LPAR, 10),
        (0x2000_0000, 0, MachineKind.LPAR, 10),
        (0x2000_0000, MSR_PR, MachineKind.LPAR, 0),
        (0x4000_0001, MSR_PR, MachineKind.LPAR, 10),
        (0x1000_0000, MSR_PMM, MachineKind.LPAR, 0),
        (0x1000_0000, 0, MachineKind.LPAR, 10),
        (0x0800_0000, MSR_PMM, MachineKind.LPAR, 10),
        (0x0800_0000, 0, MachineKind.LPAR, 0),
    ],
)
def test_each_state_can_be_frozen(
    engine: str, freeze: int, msr: int, kind: MachineKind, counted: int
) -> None:
    emulated = machine(engine, ADD_ONE, BACK, msr=msr, kind=kind)
    program(emulated, freeze | INSTRUCTIONS_AND_CYCLES)
    emulated.run(10)
    assert counter(emulated, PMC1) == counted


@pytest.mark.parametrize(("freeze", "counted"), [(0x4000_0000, 2), (0x2000_0000, 17), (0, 19)])
def test_an_interrupt_freezes_and_thaws(engine: str, freeze: int, counted: int) -> None:
    emulated = machine(engine, ADD_ONE, ADD_ONE, SC, msr=MSR_PR)
    emulated.write_memory(0xC00, NOP.to_bytes(4, "big") + BACK.to_bytes(4, "big"))
    program(emulated, freeze | INSTRUCTIONS_AND_CYCLES)
    emulated.run(20)  # two, the interrupt, and the handler's 17
    assert counter(emulated, PMC1) == counted


def test_an_alert_in_a_handler_that_thaws_is_exact_too(engine: str) -> None:
    emulated = machine(engine, ADD_ONE, SC, msr=MSR_PR)
    emulated.write_memory(0xC00, NOP.to_bytes(4, "big") + BACK.to_bytes(4, "big"))
    wanted = performance.FREEZE_ON_CONDITION | performance.FIRST_COUNTS | 0x2000_0000
    program(emulated, wanted | INSTRUCTIONS_AND_CYCLES, (PMC1, 0x8000_0000 - 7), (PMC2, 0))
    emulated.run(500)
    # Seven instructions, and the cycle in which the interrupt was taken.
    assert (counter(emulated, PMC1), counter(emulated, PMC2)) == (0x8000_0000, 8)


@pytest.mark.parametrize("number", range(PMC1, PMC8 + 1))
def test_the_interrupt_comes_on_its_instruction(engine: str, number: int) -> None:
    emulated = machine(engine, ADD_ONE, BACK, msr=MSR_EE)
    enable = performance.FIRST_COUNTS if number == PMC1 else performance.OTHERS_COUNT
    everything = sum(9 << shift for shift in (27, 22, 17, 12, 7, 2))
    performance.write(emulated.state, performance.MMCR1, everything)
    performance.write(emulated.state, number, 0x8000_0000 - 777)
    performance.write(
        emulated.state, performance.MMCR0, 9 << 8 | 9 << 1 | enable | performance.EXCEPTION_ENABLE
    )
    emulated.run(777)
    assert emulated.state.pc == START + 4
    assert emulated.step().kind is ExitKind.BUDGET
    state = emulated.state
    assert (state.pc, state.get("srr0"), state.icount) == (0xF00, START + 4, 777)
    assert state.get("srr1") == MSR_SF | MSR_EE
    assert counter(emulated, performance.SIAR) == START + 4
    mmcr0 = counter(emulated, performance.MMCR0)
    assert (mmcr0 & performance.EXCEPTION_ENABLE, mmcr0 & performance.ALERT) == (0, performance.ALERT)


def test_a_counter_nobody_cares_about_raises_nothing(engine: str) -> None:
    emulated = machine(engine, ADD_ONE, BACK, msr=MSR_EE)
    program(
        emulated,
        INSTRUCTIONS_AND_CYCLES | performance.EXCEPTION_ENABLE | performance.FIRST_COUNTS,
        (PMC2, 0x7FFF_FFF0),
    )
    emulated.run(100)
    assert emulated.state.pc in (START, START + 4)
    assert counter(emulated, PMC2) == 0x8000_0054


def test_the_alert_is_a_level_until_software_clears_it(engine: str) -> None:
    emulated = machine(engine, ADD_ONE, BACK)
    enabled = INSTRUCTIONS_AND_CYCLES | performance.EXCEPTION_ENABLE | performance.FIRST_COUNTS
    program(emulated, enabled, (PMC1, 0x8000_0000 - 10))
    emulated.run(50)
    # With EE off it waits.
    assert emulated.state.pc in (START, START + 4)
    emulated.set_registers({"msr": MSR_SF | MSR_EE})
    emulated.run(30)
    assert emulated.state.get("gpr", 3) == 25
    program(emulated, INSTRUCTIONS_AND_CYCLES)
    emulated.run(30)
    assert emulated.state.get("gpr", 3) > 25


def test_counters_freeze_where_the_condition_appears(engine: str) -> None:
    emulated = machine(engine, ADD_ONE, BACK)
    wanted = performance.FREEZE_ON_CONDITION | performance.FIRST_COUNTS
    program(emulated, INSTRUCTIONS_AND_CYCLES | wanted, (PMC1, 0x8000_0000 - 10), (PMC2, 0))
    emulated.run(50)
    assert (counter(emulated, PMC1), counter(emulated, PMC2)) == (0x8000_0000, 10)
    assert counter(emulated, performance.MMCR0) & performance.FREEZE


def test_counters_wrap(engine: str) -> None:
    emulated = machine(engine, ADD_ONE, BACK)
    program(emulated, INSTRUCTIONS_AND_CYCLES, (PMC1, 0xFFFF_FFFF))
    emulated.run(5)
    assert counter(emulated, PMC1) == 4


def test_decrementer_goes_before_the_performance_monitor(engine: str) -> None:
    emulated = machine(engine, ADD_ONE, BACK, msr=MSR_EE)
    emulated.timers.set_decrementer(0xFFFF_FFFF)
    program(emulated, performance.ALERT)
    emulated.step()
    assert emulated.state.pc == 0x900
    emulated.timers.set_decrementer(1000)
    emulated.set_registers({"msr": MSR_SF | MSR_EE})
    emulated.step()
    assert emulated.state.pc == 0xF00


def test_an_idle_guest_is_woken_by_its_cycles(engine: str) -> None:
    emulated = machine(engine, 0x4800_0000, msr=MSR_EE)
    enabled = INSTRUCTIONS_AND_CYCLES | performance.EXCEPTION_ENABLE | performance.OTHERS_COUNT
    program(emulated, enabled, (PMC2, 0x8000_0000 - 5000))
    exit_ = emulated.run(100_000)
    assert exit_.kind is ExitKind.IDLE
    limit = emulated.idle_limit(exit_)
    assert limit is not None and emulated.now + limit == 5000
    emulated.sleep(limit)
    emulated.step()
    assert emulated.state.pc == 0xF00


def test_pieces_of_a_run_are_the_run(engine: str) -> None:
    whole, pieces = (machine(engine, ADD_ONE, SC, BACK - 4, msr=MSR_EE) for _ in range(2))
    for emulated in (whole, pieces):
        enabled = performance.EXCEPTION_ENABLE | performance.FIRST_COUNTS | performance.OTHERS_COUNT
        program(emulated, INSTRUCTIONS_AND_CYCLES | enabled, (PMC1, 0x8000_0000 - 300))
    whole.run(1000)
    for budget in (1, 2, 297, 3, 5, 600, 92):
        pieces.run(budget)
    for emulated in (whole, pieces):
        performance.settle(emulated.state)
    architected = INDEX["engine"]
    assert whole.state.words[:architected].tolist() == pieces.state.words[:architected].tolist()


def test_users_read_and_do_not_write(engine: str) -> None:
    emulated = machine(engine, mfspr(5, 771), mtspr(771, 6), mfspr(7, 787), msr=MSR_PR)
    program(emulated, 0, (PMC1, 1234))
    emulated.set_registers({"r6": 99})
    emulated.run(3)
    assert emulated.state.get("gpr", 5) == counter(emulated, PMC1) == 1234
    assert (emulated.state.pc, emulated.state.get("srr1") & 0x4_0000) == (0x700, 0x4_0000)
