"""RemoteTarget's steps on the mimic of K42's stub: modes, units, what they cost, what is refused."""

import program
import pytest
from client_session import GO, NOP, STEP, machine_pcs, pc_of, steps, stop, stopped_stub, with_stub, words
from mini_machine import Machine, Trap

from gdbstub.client import RemoteTarget
from gdbstub.stepping import Impossible, Mode, plan_step
from gdbstub.surroundings import Surroundings
from gdbstub.target import SIGSEGV, Breakpoint, BreakpointKind, StopKind, TargetError

MTSRR0_R3, MTSRR1_R4, RFID = 0x7C7A03A6, 0x7C9B03A6, 0x4C000024


def test_hardware_steps_are_the_machines_own() -> None:
    stub = stopped_stub()

    async def use(target: RemoteTarget) -> None:
        await stop(target)
        target.mode = Mode.HARDWARE
        assert await steps(target, 60) == machine_pcs(program.load(), 60)
        before = stub.transactions
        await target.resume(STEP)
        await target.wait_stop()
        await pc_of(target)
        # K42 facts C.9: D is 8 transactions, g is 4; the instruction's word (a line of memory) 4 more.
        assert stub.transactions - before <= 8 + 4 + 4 + 4
        assert not target.description.value(await target.read_registers(1), "msr") & 0x400
        await target.detach()

    with_stub(stub, use)
    assert not stub.machine.msr & 0x400


def test_a_software_step_costs_no_more_than_the_table_says() -> None:
    stub = stopped_stub()

    async def use(target: RemoteTarget) -> None:
        await stop(target)
        before = stub.transactions
        await steps(target, 60)
        # K42 facts C.9: M, c, S, M, g: 16, and m: 4; the first trap at a place is read back once: 4.  A
        # branch is free, and its G is paid by the step after it.
        assert stub.transactions - before <= 60 * 24

    with_stub(stub, use)


def test_the_trap_of_one_step_moves_to_the_next_by_one_write_and_is_gone_in_the_end() -> None:
    machine = Machine(pc=0x100)
    code = words(*[NOP] * 8, 0x4BFFFFE0, *[NOP] * 23)  # at 0x120: b 0x100
    machine.memory[0x100] = bytearray(code)
    stub = stopped_stub(machine)

    async def use(target: RemoteTarget) -> None:
        await stop(target)
        await steps(target, 9)
        # Each place has been seen to keep its trap.
        stub.log.clear()
        before = stub.transactions
        assert await steps(target, 8) == [0x104 + 4 * n for n in range(8)]
        # M, c, the stop, g, m for the code; and for the branch before a G and an M of its own.
        assert stub.transactions - before <= 8 * 16 + 8
        assert sum(b",8:600000007d821008" in command for command in stub.log) == 7, stub.log
        assert await target.read_memory(0x100, len(code)) == bytes(code)
        assert bytes(machine.memory[0x100]) != bytes(code)

    with_stub(stub, use)
    assert bytes(machine.memory[0x100]) == bytes(code)


BLOCK = 0x7000_0000


def program_text(addr: int, length: int) -> bytes | None:
    """What a kernel's file would say of the program's code."""
    machine = program.load()
    try:
        return machine.read(addr, length)
    except Trap:
        return None


def test_registers_that_lie_in_memory_are_moved_singly() -> None:
    stub = stopped_stub()
    stub.block_at = BLOCK

    async def use(target: RemoteTarget) -> None:
        await stop(target)
        assert len(await target.read_registers(1)) == 556
        # Who wanted all of them at one stop gets all of them at the next.
        assert await steps(target, 1) == machine_pcs(program.load(), 1)
        await target.resume(STEP)
        await target.wait_stop()
        stub.log.clear()
        before = stub.transactions
        pcs = []
        for _ in range(60):
            await target.resume(STEP)
            await target.wait_stop()
            numbers = target.description.numbers
            sent = await target.expedited(1)
            assert set(sent) == {numbers[name] for name in ("pc", "r0", "r1", "lr", "cr", "ctr", "msr")}
            pcs.append(int.from_bytes(sent[numbers["pc"]], "big"))
        assert pcs == machine_pcs(program.load(), 62)[2:]
        # M, c, the stop, M, and two pieces of the block; the first trap at a place is read back.
        assert stub.transactions - before <= 60 * 24
        assert not [command for command in stub.log if command[:1] in (b"g", b"G")]
        # All together they are what `g` says, and they change as with `G`.
        await target.write_register(1, 20, bytes(range(8)))
        await target.write_register(1, target.description.numbers["ctr"], bytes(range(8, 16)))
        block = await target.read_registers(1)
        assert block[160:168] == bytes(range(8)) and block[540:548] == bytes(range(8, 16))
        await target.resume(STEP)
        await target.wait_stop()
        assert await target.read_register(1, 20) == bytes(range(8))

    with_stub(stub, use, Surroundings(register_blocks=(0x6000_0000, BLOCK), text=program_text))


def test_a_trap_that_sticks_in_a_function_is_looked_at_once() -> None:
    machine = Machine(pc=0x100)
    code = words(*[NOP] * 32)
    machine.memory[0x100] = bytearray(code)
    stub = stopped_stub(machine)
    stub.precious = (0x120,)

    def function(addr: int) -> range:
        return range(0x100, 0x120) if addr < 0x120 else range(0x120, 0x180)

    async def use(target: RemoteTarget) -> None:
        await stop(target)
        target.mode = Mode.SOFTWARE
        stub.log.clear()
        await steps(target, 7)
        assert [command for command in stub.log if command.endswith(b",4")] == [b"m104,4"]
        # The next function begins where this one ends: what has been seen here says nothing of it.
        await target.resume(STEP)
        with pytest.raises(TargetError, match="0x120 itself and ignores writes"):
            await target.wait_stop()
        await target.write_register(1, target.description.numbers["pc"], (0x15C).to_bytes(8, "big"))
        stub.log.clear()
        # Its first 64 bytes end at 0x160.
        assert await steps(target, 3) == [0x160, 0x164, 0x168]
        assert not [command for command in stub.log if command.endswith(b",4")]

    with_stub(stub, use, Surroundings(text=lambda addr, length: bytes(code), function=function))
    assert bytes(machine.memory[0x100]) == bytes(code)


def test_without_the_files_code_every_place_is_looked_at() -> None:
    machine = Machine(pc=0x100)
    machine.memory[0x100] = words(*[NOP] * 32)
    stub = stopped_stub(machine)

    async def use(target: RemoteTarget) -> None:
        await stop(target)
        stub.log.clear()
        await steps(target, 3)
        assert [c for c in stub.log if c.endswith(b",4")] == [b"m104,4", b"m108,4", b"m10c,4"]

    other = Surroundings(text=lambda addr, length: bytes(length), function=lambda addr: range(0x100, 0x180))
    with_stub(stub, use, other)


def test_a_branch_goes_with_the_next_resume() -> None:
    machine = Machine(pc=0x100)
    # At 0x104: bl 0x10c; at 0x110: b 0x118.
    machine.memory[0x100] = words(NOP, 0x48000009, NOP, NOP, 0x48000008, *[NOP] * 27)

    async def use(target: RemoteTarget) -> None:
        await stop(target)
        await target.read_registers(1)
        stub.log.clear()
        assert await steps(target, 3) == [0x104, 0x10C, 0x110]
        assert target.description.value(await target.read_registers(1), "lr") == 0x108
        assert [command for command in stub.log if command[:1] == b"c"] == [b"c", b"c10c"]
        # LR has to be sent; of a plain branch nothing else has.
        stub.log.clear()
        assert await steps(target, 2) == [0x118, 0x11C]
        assert not [command for command in stub.log if command[:1] == b"G"]

    stub = stopped_stub(machine)
    with_stub(stub, use)


@pytest.mark.parametrize("block_at", [None, BLOCK])
def test_hardware_steps_with_registers_in_memory(block_at: int | None) -> None:
    stub = stopped_stub()
    stub.block_at = block_at

    async def use(target: RemoteTarget) -> None:
        await stop(target)
        await target.read_registers(1)
        target.mode = Mode.HARDWARE
        assert await steps(target, 60) == machine_pcs(program.load(), 60)
        assert not target.description.value(await target.read_registers(1), "msr") & 0x400
        await target.detach()

    with_stub(stub, use, Surroundings(register_blocks=(BLOCK,), text=program_text))
    assert not stub.machine.msr & 0x400


def test_a_step_from_a_breakpoint_on_a_branch_whose_code_was_looked_at() -> None:
    machine = Machine(pc=0x100)
    machine.memory[0x100] = words(NOP, 0x48000010, *[NOP] * 30)

    async def use(target: RemoteTarget) -> None:
        await stop(target)
        at_branch = Breakpoint(BreakpointKind.SOFTWARE, 0x104)
        await target.insert(at_branch)
        await target.resume(GO)
        assert (await target.wait_stop()).kind is StopKind.SWBREAK
        assert await target.read_memory(0x100, 16) == bytes(words(NOP, 0x48000010, NOP, NOP))
        await target.remove(at_branch)
        assert await steps(target, 1) == [0x114]

    with_stub(stopped_stub(machine), use)


def test_text_that_is_not_the_files_is_fetched_for_each_step() -> None:
    stub = stopped_stub()

    async def use(target: RemoteTarget) -> None:
        await stop(target)
        assert await steps(target, 60) == machine_pcs(program.load(), 60)

    with_stub(stub, use, Surroundings(text=lambda addr, length: bytes(length)))


def test_a_fault_is_a_stop_at_the_instruction_and_leaves_no_trap() -> None:
    machine = Machine(pc=0x100)
    machine.gpr[3] = 0x6000_0000
    machine.memory[0x100] = bytearray((0x80830000).to_bytes(4, "big") + (0x60000000).to_bytes(4, "big") * 7)
    code = bytes(machine.memory[0x100])

    async def use(target: RemoteTarget) -> None:
        await stop(target)
        for mode in (Mode.SOFTWARE, Mode.HARDWARE):
            target.mode = mode
            await target.resume(STEP)
            assert (await target.wait_stop()).signal == SIGSEGV
            assert await pc_of(target) == 0x100
            assert bytes(machine.memory[0x100]) == code

    with_stub(stopped_stub(machine), use)


@pytest.mark.parametrize("mode", list(Mode))
def test_a_return_from_interrupt_is_one_unit(mode: Mode) -> None:
    machine = Machine(pc=0x100)
    machine.memory[0x100] = words(MTSRR0_R3, MTSRR1_R4, NOP, RFID, *[NOP] * 28)
    machine.gpr[3], machine.gpr[4] = 0x140, 1 << 63

    async def use(target: RemoteTarget) -> None:
        await stop(target)
        target.mode = mode
        assert await steps(target, 2) == [0x140, 0x144]

    with_stub(stopped_stub(machine), use)


# lmw r3,0(r1); lswi r2,r1,16; lswx r2,r1,r0: all of them may load r5.
LMW_R3, LSWI_R2, LSWX_R2 = 0xB8610000, 0x7C4184AA, 0x7C41042A


@pytest.mark.parametrize("load", [LMW_R3, LSWI_R2, LSWX_R2])
def test_a_return_to_an_address_that_is_yet_to_be_loaded_is_an_error(load: int) -> None:
    mtsrr0_r5 = 0x7CBA03A6
    code = bytes(words(MTSRR1_R4, load, mtsrr0_r5, RFID))
    assert isinstance(plan_step(code, 0x100, lambda name: 0), Impossible)


@pytest.mark.parametrize("mode", [Mode.AUTO, Mode.SOFTWARE])
def test_a_lone_rfid_is_an_error_not_a_runaway(mode: Mode) -> None:
    machine = Machine(pc=0x100)
    machine.memory[0x100] = words(RFID, *[NOP] * 31)

    async def use(target: RemoteTarget) -> None:
        await stop(target)
        target.mode = mode
        await target.resume(STEP)
        with pytest.raises(TargetError, match="overwritten SRR0"):
            await target.wait_stop()
        assert target.stopped is not None and await pc_of(target) == 0x100

    with_stub(stopped_stub(machine), use)


def test_a_step_into_the_stubs_own_code_is_refused() -> None:
    machine = Machine(pc=0x100)
    machine.memory[0x100] = words(*[NOP] * 32)
    stub = stopped_stub(machine)
    stub.own_code = range(0x104, 0x110)

    async def use(target: RemoteTarget) -> None:
        await stop(target)
        await target.resume(STEP)
        with pytest.raises(TargetError, match="main.4 is the stub's own code"):
            await target.wait_stop()

    with_stub(
        stub, use, Surroundings(describe=lambda addr: f"main+{addr - 0x100}", forbidden=[stub.own_code])
    )


@pytest.mark.parametrize("mode", list(Mode))
def test_a_function_of_the_stubs_is_run_as_one_unit(mode: Mode) -> None:
    call, ret = 0x48000041, 0x4E800020
    machine = Machine(pc=0x100)
    machine.memory[0x100] = words(call, *[NOP] * 15, NOP, NOP, ret, *[NOP] * 13)
    stub = stopped_stub(machine)
    stub.own_code = range(0x140, 0x150)

    async def use(target: RemoteTarget) -> None:
        await stop(target)
        target.mode = mode
        assert await steps(target, 3) == [0x140, 0x104, 0x108]

    with_stub(stub, use, Surroundings(forbidden=[stub.own_code]))


def test_where_no_trap_can_be_auto_steps_by_hardware() -> None:
    machine = Machine(pc=0x100)
    machine.memory[0x100] = words(*[NOP] * 32)
    stub = stopped_stub(machine)
    stub.precious = (0x108,)

    async def use(target: RemoteTarget) -> None:
        await stop(target)
        assert await steps(target, 4) == [0x104, 0x108, 0x10C, 0x110]
        target.mode = Mode.SOFTWARE
        await target.resume(STEP)
        with pytest.raises(TargetError, match="0x114 itself and ignores writes"):
            await target.wait_stop()
        target.mode = Mode.AUTO
        assert await steps(target, 1) == [0x114]
        await target.detach()

    with_stub(stub, use)
    assert bytes(machine.memory[0x100]) == bytes(words(*[NOP] * 32))


def test_monitor_explains_the_mode() -> None:
    async def use(target: RemoteTarget) -> None:
        await stop(target)
        assert "auto: a trap is planted" in await target.monitor("single-step-mode")
        assert "hardware: MSR[SE]" in await target.monitor("single-step-mode hardware")
        assert target.mode is Mode.HARDWARE
        assert "not wild" in await target.monitor("single-step-mode wild")
        assert "single-step-mode" in await target.monitor("help")

    with_stub(stopped_stub(), use)
