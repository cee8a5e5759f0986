"""What a software step does about code that must not be stopped in: plans, and the same on K42's stub."""

import pytest
from client_session import NOP, pc_of, steps, stop, stopped_stub, with_stub, words
from mini_machine import Machine

from gdbstub.client import RemoteTarget
from gdbstub.stepping import Impossible, Mode, Plan, Run, plan_step
from gdbstub.target import Breakpoint, BreakpointKind, Unsupported

# lwarx r5,0,r3; cmpw r5,r4; bne +0x10 (past the stwcx. and its loop); stwcx. r6,0,r3; bne -0x10
LWARX, CMPW, BNE_OUT, STWCX, BNE_BACK = 0x7CA01828, 0x7C052000, 0x40820010, 0x7CC0192D, 0x4082FFF0
COMPARE_AND_SWAP = (LWARX, CMPW, BNE_OUT, STWCX, BNE_BACK, NOP, NOP)
BCTR = 0x4E800420
MTSRR0_R3, MTSRR1_R4, RFID = 0x7C7A03A6, 0x7C9B03A6, 0x4C000024
WORD = 0x200


def plan(*code: int, **registers: int) -> Plan:
    return plan_step(bytes(words(*code)), 0x100, lambda name: registers.get(name, 0))


def test_a_reservation_is_one_unit_with_all_its_exits() -> None:
    assert plan(*COMPARE_AND_SWAP) == Run((0x110, 0x118))


def test_a_reservation_without_a_store_within_reach_is_nothing_special() -> None:
    assert plan(LWARX, *[NOP] * 15) == Run((0x104,))
    assert plan(LWARX) == Run((0x104,))


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize(("expected", "at"), [(7, 0x110), (8, 0x118)])
def test_compare_and_swap_leaves_where_the_machine_does(mode: Mode, expected: int, at: int) -> None:
    machine = Machine(pc=0x100)
    machine.gpr[3], machine.gpr[4], machine.gpr[6] = WORD, expected, 9
    machine.memory[0x100] = words(*COMPARE_AND_SWAP, *[NOP] * 25)
    machine.memory[WORD] = words(7)

    async def use(target: RemoteTarget) -> None:
        await stop(target)
        target.mode = mode
        assert await steps(target, 2) == [at, at + 4]
        await target.detach()

    with_stub(stopped_stub(machine), use)
    assert machine.memory[WORD] == words(9 if expected == 7 else 7)
    assert bytes(machine.memory[0x100][:28]) == bytes(words(*COMPARE_AND_SWAP))


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ((LWARX, BCTR, STWCX), "branch to a register at 0x104"),
        ((MTSRR0_R3, BCTR, RFID), "branch at 0x104 lies between mtsrr0 and rfid"),
        ((MTSRR0_R3, 0x48000101, RFID), "branch at 0x104 lies between"),  # bl
        ((MTSRR1_R4, RFID), "overwritten SRR0"),
        ((MTSRR0_R3, *[NOP] * 47), "no rfid follows"),
        ((MTSRR0_R3,), "no rfid follows"),
    ],
)
def test_where_a_unit_ends_cannot_always_be_known(code: tuple[int, ...], why: str) -> None:
    found = plan(*code, r3=0x140)
    assert isinstance(found, Impossible) and why in found.reason


def test_a_return_to_user_code_is_refused_and_one_with_a_way_out_has_two_ends() -> None:
    found = plan(MTSRR0_R3, MTSRR1_R4, RFID, r3=0x140, r4=0x4000)
    assert isinstance(found, Impossible) and "leaves the kernel" in found.reason
    beq_out = 0x41820040
    assert plan(MTSRR0_R3, beq_out, RFID, r3=0x182) == Run((0x144, 0x180))


@pytest.mark.parametrize("offset", [8, 0xC, 0xFFFC])
def test_a_branch_inside_a_return_is_no_way_out_of_it(offset: int) -> None:
    beq = 0x41820000 | offset
    assert plan(MTSRR0_R3, beq, NOP, MTSRR1_R4, RFID, r3=0x180) == Run((0x180,))


def test_watchpoints_are_made_of_steps_unless_switched_off() -> None:
    watch = Breakpoint(BreakpointKind.WRITE, WORD, 4)
    machine = Machine(pc=0x100)
    machine.memory[0x100] = words(*[NOP] * 32)
    machine.memory[WORD] = words(7)

    async def use(target: RemoteTarget) -> None:
        await stop(target)
        assert "is on" in await target.monitor("watch-by-stepping")
        assert "is on or off; not maybe" in await target.monitor("watch-by-stepping maybe")
        await target.insert(watch)
        await target.remove(watch)
        assert "is off" in await target.monitor("watch-by-stepping off")
        with pytest.raises(Unsupported):
            await target.insert(watch)
        assert "is on" in await target.monitor("watch-by-stepping on")
        await target.insert(watch)
        await target.remove(watch)
        assert await pc_of(target) == 0x100

    with_stub(stopped_stub(machine), use)
