"""What happens between two instructions: decrementer, external and trace interrupts, idling, exact
budgets."""

from __future__ import annotations

import pytest
from programs import load_raw_words

from emulator.config import MachineConfig, MachineKind
from emulator.cpu.exits import ExitKind
from emulator.cpu.mmu import Watch
from emulator.cpu.state import INDEX, MSR_BE, MSR_EE, MSR_HV, MSR_IR, MSR_ME, MSR_SE, MSR_SF
from emulator.machine import Machine

ENGINES = ["reference", "threaded"]
NOP = 0x6000_0000
ADD_ONE = 0x3863_0001  # addi r3,r3,1
BACK = 0x4BFF_FFFC  # b .-4
HERE = 0x4800_0000  # b .
RFID = 0x4C00_0024
SC = 0x4400_0002
START = 0x4000


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def machine(engine: str, *words: int, kind: MachineKind = MachineKind.HARDWARE, msr: int = 0) -> Machine:
    """Return a machine with 1 MB whose program is `words` at START; every vector holds nop, rfid."""
    built = Machine(MachineConfig(kind, memory=1 << 20, engine=engine), load_raw_words(*words, address=START))
    for vector in range(0x100, 0x1800, 0x80):
        built.write_memory(vector, NOP.to_bytes(4, "big") + RFID.to_bytes(4, "big"))
    built.set_registers({"msr": MSR_SF | msr})
    return built


@pytest.mark.parametrize("budget", [1, 2, 3, 7, 100, 12345])
def test_a_run_ends_on_the_exact_instruction(engine: str, budget: int) -> None:
    emulated = machine(engine, ADD_ONE, BACK)
    exit_ = emulated.run(budget)
    assert (exit_.kind, exit_.instructions) == (ExitKind.BUDGET, budget)
    assert emulated.state.icount == budget
    assert emulated.state.get("gpr", 3) == (budget + 1) // 2
    assert emulated.state.pc == START + 4 * (budget % 2)


def test_pieces_of_a_run_are_the_run(engine: str) -> None:
    whole, pieces = (machine(engine, ADD_ONE, BACK, msr=MSR_EE) for _ in range(2))
    for emulated in (whole, pieces):
        emulated.timers.set_decrementer(100)
    whole.run(1000)
    for budget in (1, 2, 397, 3, 5, 500, 92):
        pieces.run(budget)
    architected = INDEX["engine"]
    assert whole.state.words[:architected].tolist() == pieces.state.words[:architected].tolist()


def test_decrementer_comes_on_its_instruction_and_only_with_ee(engine: str) -> None:
    emulated = machine(engine, ADD_ONE, BACK)
    emulated.timers.set_decrementer(10)
    emulated.run(200)
    assert emulated.timers.is_decrementer_pending()
    assert emulated.state.pc in (START, START + 4)
    emulated.set_registers({"msr": MSR_SF | MSR_EE})
    emulated.run(1)
    assert emulated.state.pc == 0x900
    assert emulated.state.get("srr1") == MSR_SF | MSR_EE
    assert emulated.state.msr == MSR_SF | MSR_HV


def test_decrementer_is_a_level(engine: str) -> None:
    emulated = machine(engine, ADD_ONE, BACK, msr=MSR_EE)
    emulated.timers.set_decrementer(0xFFFF_FFFF)
    # The handler returns without reloading it: it comes again before anything else is done.
    assert emulated.run(300).kind is ExitKind.BUDGET
    assert emulated.state.get("gpr", 3) == 0
    emulated.timers.set_decrementer(1000)
    emulated.run(100)
    assert emulated.state.get("gpr", 3) > 0


def test_decrementer_interrupts_where_the_timebase_says(engine: str) -> None:
    emulated = machine(engine, ADD_ONE, BACK, msr=MSR_EE)
    emulated.timers.set_decrementer(50)
    left = emulated.timers.next_event()
    emulated.run(left - 1)
    assert not emulated.timers.is_decrementer_pending()
    emulated.run(1)
    assert emulated.timers.is_decrementer_pending()
    assert emulated.state.pc < 0x4008
    emulated.step()
    assert emulated.state.pc == 0x900


def test_external_goes_before_decrementer(engine: str) -> None:
    emulated = machine(engine, ADD_ONE, BACK, msr=MSR_EE)
    emulated.timers.set_decrementer(0xFFFF_FFFF)
    emulated.external_interrupt = True
    emulated.step()
    assert emulated.state.pc == 0x500
    emulated.external_interrupt = False
    emulated.step()
    emulated.step()  # rfid
    emulated.step()
    assert emulated.state.pc == 0x900


def test_single_step_trace_enters_d00_after_one_instruction(engine: str) -> None:
    emulated = machine(engine, ADD_ONE, ADD_ONE, NOP, msr=MSR_SE)
    emulated.run(1)
    state = emulated.state
    assert (state.pc, state.get("srr0"), state.get("gpr", 3)) == (0xD00, START + 4, 1)
    assert state.get("srr1") == MSR_SF | MSR_SE
    assert state.msr & MSR_SE == 0


def test_rfid_into_a_traced_context_is_not_traced_itself(engine: str) -> None:
    emulated = machine(engine, RFID, ADD_ONE, ADD_ONE)
    emulated.set_registers({"srr0": START + 4, "srr1": MSR_SF | MSR_SE})
    emulated.step()
    assert emulated.state.pc == START + 4
    emulated.step()
    assert (emulated.state.pc, emulated.state.get("srr0")) == (0xD00, START + 8)


def test_branch_trace_lets_other_instructions_pass(engine: str) -> None:
    emulated = machine(engine, ADD_ONE, ADD_ONE, 0x4800_0008, NOP, NOP, msr=MSR_BE)
    emulated.run(2)
    assert emulated.state.pc == START + 8
    emulated.run(1)
    assert (emulated.state.pc, emulated.state.get("srr0")) == (0xD00, START + 16)


def test_system_call_is_not_traced(engine: str) -> None:
    emulated = machine(engine, SC, NOP, msr=MSR_SE)
    emulated.step()
    assert (emulated.state.pc, emulated.state.get("srr0")) == (0xC00, START + 4)


def test_step_stops_where_an_interrupt_leads(engine: str) -> None:
    emulated = machine(engine, 0x0000_0000, NOP)
    assert emulated.step().kind is ExitKind.BUDGET
    assert (emulated.state.pc, emulated.state.get("srr0")) == (0x700, START)
    assert emulated.state.get("srr1") & 0x80000


def test_machine_check_from_nowhere_and_checkstop_without_me(engine: str) -> None:
    load_nowhere = (0x3C80_0FFF, 0x8064_0000)  # lis r4,0x0fff; lwz r3,0(r4)
    emulated = machine(engine, *load_nowhere, msr=MSR_ME)
    emulated.run(2)
    assert emulated.state.pc == 0x200
    assert emulated.state.msr & MSR_ME == 0
    assert emulated.state.get("srr0") == START + 4
    emulated = machine(engine, *load_nowhere)
    exit_ = emulated.run(10)
    assert exit_.kind is ExitKind.CHECKSTOP
    assert emulated.state.pc == START + 4


def test_a_storm_of_interrupts_ends_with_the_budget(engine: str) -> None:
    emulated = machine(engine, 0)
    emulated.write_memory(0x700, bytes(8))  # the handler is illegal too
    exit_ = emulated.run(5000)
    assert (exit_.kind, exit_.instructions) == (ExitKind.BUDGET, 0)
    assert emulated.now == 5000
    # From now on nothing changes any more: the guest hangs, which costs nothing.
    exit_ = emulated.run(5000)
    assert (exit_.kind, emulated.idle_limit(exit_)) == (ExitKind.IDLE, None)


def test_idle_guest_says_how_long_it_may_sleep(engine: str) -> None:
    emulated = machine(engine, HERE, msr=MSR_EE)
    emulated.timers.set_decrementer(1000)
    exit_ = emulated.run(10_000)
    assert exit_.kind is ExitKind.IDLE
    limit = emulated.idle_limit(exit_)
    assert limit is not None and 3990 < limit <= 4004
    emulated.sleep(limit)
    emulated.step()
    assert emulated.state.pc == 0x900
    emulated.set_registers({"msr": MSR_SF})
    assert emulated.idle_limit(exit_) is None


def test_run_until_passes_idle_time(engine: str) -> None:
    emulated = machine(engine, HERE)
    assert emulated.run_until(1_000_000).kind is ExitKind.BUDGET
    assert emulated.now == 1_000_000
    assert emulated.state.icount < 100


def test_breakpoint_stops_before_and_resume_passes(engine: str) -> None:
    emulated = machine(engine, ADD_ONE, ADD_ONE, ADD_ONE, BACK)
    emulated.set_breakpoints([START + 8])
    assert emulated.run(100).kind is ExitKind.BREAKPOINT
    assert (emulated.state.pc, emulated.state.get("gpr", 3)) == (START + 8, 2)
    assert emulated.run(100).kind is ExitKind.BREAKPOINT
    assert emulated.state.get("gpr", 3) == 2
    exit_ = emulated.run(100, resume=True)
    assert (exit_.kind, exit_.instructions) == (ExitKind.BREAKPOINT, 2)
    assert emulated.state.get("gpr", 3) == 3
    emulated.set_breakpoints([])
    assert emulated.run(100).kind is ExitKind.BUDGET


def test_breakpoint_is_seen_at_the_beginning_of_every_slice(engine: str) -> None:
    emulated = machine(engine, ADD_ONE, ADD_ONE, BACK)
    emulated.set_breakpoints([START + 4])
    assert emulated.run(1).kind is ExitKind.BUDGET
    assert emulated.run(1).kind is ExitKind.BREAKPOINT


@pytest.mark.parametrize("loads", [False, True])
@pytest.mark.parametrize("offset", [-1, 0, 3, 4])
def test_watch_stops_before_the_access(engine: str, loads: bool, offset: int) -> None:
    word = 0x80A4_0000 if loads else 0x90A4_0000  # lwz/stw r5,0(r4)
    emulated = machine(engine, NOP, word, NOP, NOP)
    emulated.set_registers({"r4": 0x8000, "r5": 0x1234})
    emulated.run(1)
    emulated.set_watches([Watch(0x8000 + offset, 1, loads=loads, stores=not loads)])
    exit_ = emulated.run(2)
    if 0 <= offset < 4:
        assert (exit_.kind, exit_.detail) == (ExitKind.WATCHPOINT, 0x8000 + offset)
        assert (emulated.state.pc, emulated.state.icount) == (START + 4, 1)
        emulated.set_watches([])
        assert emulated.run(2).kind is ExitKind.BUDGET
    else:
        assert exit_.kind is ExitKind.BUDGET
    assert emulated.memory.load(0x8000, 4) == (0 if loads else 0x1234)


def test_a_debugger_steps_past_an_interrupt(engine: str) -> None:
    emulated = machine(engine, ADD_ONE, ADD_ONE, BACK, msr=MSR_EE)
    # The handler: mfdec r9; addis r9,r9,1; mtdec r9; rfid.
    handler = (0x7D36_02A6, 0x3D29_0001, 0x7D36_03A6, RFID)
    emulated.write_memory(0x900, b"".join(word.to_bytes(4, "big") for word in handler))
    emulated.timers.set_decrementer(0xFFFF_FFFF)
    assert emulated.serve_interrupt().kind is ExitKind.BUDGET
    assert (emulated.state.pc, emulated.state.icount) == (START, 4)
    assert emulated.serve_interrupt().kind is ExitKind.BUDGET
    assert emulated.step().kind is ExitKind.BUDGET
    assert (emulated.state.pc, emulated.state.icount) == (START + 4, 5)


def test_a_breakpoint_in_the_handler_is_not_stepped_past(engine: str) -> None:
    emulated = machine(engine, ADD_ONE, BACK, msr=MSR_EE)
    emulated.timers.set_decrementer(0xFFFF_FFFF)
    emulated.set_breakpoints([0x904])
    assert emulated.serve_interrupt().kind is ExitKind.BREAKPOINT
    assert emulated.state.pc == 0x904
    assert emulated.breakpoints == {0x904}


def test_a_handler_that_does_not_return_ends_the_step(engine: str) -> None:
    emulated = machine(engine, ADD_ONE, BACK, msr=MSR_EE)
    emulated.write_memory(0x900, 0x6000_0000.to_bytes(4, "big") + 0x4BFF_FFFC.to_bytes(4, "big"))
    emulated.timers.set_decrementer(0xFFFF_FFFF)
    assert emulated.serve_interrupt().kind is ExitKind.STOP_REQUEST
    assert emulated.state.pc in (0x900, 0x904)


def test_stop_request_ends_a_run(engine: str) -> None:
    emulated = machine(engine, ADD_ONE, BACK)
    emulated.request_stop()
    assert emulated.run(10**9).kind is ExitKind.STOP_REQUEST
    assert emulated.run(10).kind is ExitKind.BUDGET


def test_reset_is_power_on(engine: str) -> None:
    emulated = Machine(MachineConfig(memory=1 << 20, engine=engine), load_raw_words(ADD_ONE, BACK))
    before = emulated.state.words[: INDEX["engine"]].tolist()
    emulated.run(1000)
    emulated.memory.write(0x100, b"x")
    emulated.reset()
    assert emulated.state.words[: INDEX["engine"]].tolist() == before
    assert emulated.memory.read(0x100, 1) == b"\0"
    emulated.run(3)
    assert emulated.state.get("gpr", 3) == 2


def test_changed_code_runs_after_the_debugger_writes_it(engine: str) -> None:
    emulated = machine(engine, ADD_ONE, BACK)
    emulated.run(10)
    emulated.write_memory(START, 0x3863_0064.to_bytes(4, "big"))  # addi r3,r3,100
    emulated.run(2)
    assert emulated.state.get("gpr", 3) == 105


@pytest.mark.parametrize(("word", "vector"), [(SC, 0xC00), (0, 0x700)])
def test_hior_says_where_the_vectors_begin(engine: str, word: int, vector: int) -> None:
    config = MachineConfig(memory=4 << 20, engine=engine)
    # mtspr 311,r3; the word.
    emulated = Machine(config, load_raw_words(0x7C77_4BA6, word, NOP, address=START))
    emulated.set_registers({"r3": 0xFFF0_0000_0010_0FFF})
    emulated.run(2)
    assert emulated.state.pc == 0x10_0000 + vector


@pytest.mark.parametrize("kind", [MachineKind.HARDWARE, MachineKind.LPAR])
def test_the_next_instruction_is_a_word_address_in_32_bit_mode(engine: str, kind: MachineKind) -> None:
    # Real mode sees 42 bits, so the last word below 4 GB is mapped: SLB entry 0, one page.
    emulated = machine(engine, NOP, kind=kind)
    emulated.write_memory(0x8FFC, SC.to_bytes(4, "big"))
    esid, page = 0xF, 0xFFFF
    group = 0x4_0000 + ((1 ^ page) & 2047) * 128
    entry = (1 << 12 | (page >> 11 & 31) << 7 | 1).to_bytes(8, "big") + (0x8000 | 2).to_bytes(8, "big")
    emulated.write_memory(group, entry)
    emulated.mmu.slbmte(1 << 12, esid << 28 | 1 << 27)
    emulated.set_registers({"sdr1": 0x4_0000, "pc": 0xFFFF_FFFC, "msr": MSR_IR})
    emulated.step()
    assert (emulated.state.pc, emulated.state.get("srr0")) == (0xC00, 0)
