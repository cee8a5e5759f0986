"""Software steps through random streams: a subsequence of the machine's own, equal outside the units."""

from client_session import NOP, STEP, machine_pcs, pc_of, stop, stopped_stub, with_stub, words
from hypothesis import given, settings
from hypothesis import strategies as st
from mini_machine import Machine

from gdbstub.client import RemoteTarget
from gdbstub.target import MemoryFault

ADDI, CMPDI, LI = 0x38630001, 0x2C230005, 0x38800003
LWARX, STWCX, BNE_BACK = 0x7CA03828, 0x7CA0392D, 0x4082FFF4
LOOP = (LWARX, 0x38A50001, STWCX, BNE_BACK)

instruction = st.one_of(
    st.sampled_from([ADDI, CMPDI, LI, NOP, 0x4E800020, 0x4E800421, 0x429F0005, 0x7C6803A6]).map(
        lambda w: (w,)
    ),
    st.builds(
        lambda off, link: (0x48000000 | off << 2 & 0x3FFFFFC | link,), st.integers(-6, 6), st.integers(0, 1)
    ),
    st.builds(
        lambda bo, bi, off: (0x40000000 | bo << 21 | bi << 16 | off << 2 & 0xFFFC,),
        st.sampled_from([0, 2, 4, 8, 10, 12, 16, 18, 20]),
        st.integers(0, 3),
        st.integers(-6, 6),
    ),
    st.just(LOOP),
)
CODE, DATA = 0x1000, 0x8000


def stream_machine(code: list[tuple[int, ...]]) -> Machine:
    flat = [word for piece in code for word in piece]
    machine = Machine(pc=CODE + 0x80, lr=CODE + 0x90, ctr=5)
    # Branches may leave the stream a little on either side: into nops, and at their end into a hole.
    machine.memory[CODE] = words(*[NOP] * 32, *flat, *[NOP] * 32)
    machine.memory[DATA] = bytearray(256)
    machine.gpr[7] = DATA
    machine.gpr[3] = CODE + 0x84
    return machine


@settings(max_examples=40)
@given(st.lists(instruction, min_size=1, max_size=12))
def test_software_steps_are_a_subsequence_of_the_machines(code: list[tuple[int, ...]]) -> None:
    reference = stream_machine(code)
    own = machine_pcs(reference, 60)
    seen: list[int] = []

    async def use(target: RemoteTarget) -> None:
        await stop(target)
        for _ in range(12):
            try:
                await target.resume(STEP)
                reason = await target.wait_stop()
            except MemoryFault:
                break
            if reason.signal != 5:
                break
            seen.append(await pc_of(target))

    with_stub(stopped_stub(stream_machine(code)), use)
    remaining = iter(own)
    if len(seen) < len(own):
        assert all(pc in remaining for pc in seen), (seen, own)
    if LOOP not in code:
        assert seen == own[: len(seen)]
