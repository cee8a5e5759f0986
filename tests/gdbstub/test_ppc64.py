"""Branch decoding against the mini machine, which decodes them on its own."""

from hypothesis import example, given
from hypothesis import strategies as st
from mini_machine import M64, Machine

from gdbstub import ppc64
from gdbstub.ppc64 import Flow, execute_branch, flow

word64 = st.integers(0, M64) | st.integers(0, 3)
pcs = st.integers(0, M64 >> 2).map(lambda n: n << 2)
branches = st.one_of(
    st.integers(0, 0x3FFFFFF).map(lambda rest: 18 << 26 | rest),
    st.integers(0, 0x3FFFFFF).map(lambda rest: 16 << 26 | rest),
    st.builds(
        # bcctr that counts down CTR is an invalid form.
        lambda bo, bi, extended, link: (
            19 << 26 | (bo | (extended == 528) * 4) << 21 | bi << 16 | extended << 1 | link
        ),
        st.integers(0, 31),
        st.integers(0, 31),
        st.sampled_from([16, 528]),
        st.integers(0, 1),
    ),
)


@given(branches, pcs, st.integers(0, 2**32 - 1), word64, word64)
@example(18 << 26 | 0, 0x1000, 0, 0, 0)  # b .
@example(0x42000000, 0x1000, 0, 0, 1)  # bdnz . with the last count
@example(0x429F0005, 0x1000, 0, 0, 0)  # bcl 20,31,$+4
def test_a_branch_does_what_the_machine_does(word: int, pc: int, cr: int, lr: int, ctr: int) -> None:
    machine = Machine(pc=pc, cr=cr, lr=lr, ctr=ctr)
    machine.memory[pc] = bytearray(word.to_bytes(4, "big"))
    machine.step()
    done = execute_branch(word, pc, ppc64.MSR_SF, cr, lr, ctr)
    assert (done.pc, done.lr, done.ctr) == (machine.pc, machine.lr, machine.ctr)
    assert flow(word) is Flow.BRANCH


def test_in_32_bit_mode_addresses_wrap_and_half_the_count_counts() -> None:
    # bdnzl +8 at the top of the 32-bit space: CTR's low word becomes 0, its high word is not looked at.
    done = execute_branch(0x42000009, 0xFFFFFFFC, 0, 0, 5, 0x1_0000_0001)
    assert done == ppc64.Branched(pc=0, lr=0, ctr=0x1_0000_0000)
    done = execute_branch(0x42000009, 0xFFFFFFFC, 0, 0, 5, 2)
    assert done == ppc64.Branched(pc=4, lr=0, ctr=1)


def test_flow_of_literal_words() -> None:
    words = {
        0x60000000: Flow.STRAIGHT,  # nop
        0x4C00012C: Flow.STRAIGHT,  # isync: opcode 19, but no branch
        0x7C001828: Flow.LOAD_RESERVED,  # lwarx r0,0,r3
        0x7C0018A8: Flow.LOAD_RESERVED,  # ldarx
        0x7C00192D: Flow.STORE_CONDITIONAL,  # stwcx. r0,0,r3
        0x7C0019AD: Flow.STORE_CONDITIONAL,  # stdcx.
        0x44000002: Flow.SYSTEM_CALL,
        0x4C000024: Flow.RETURN_FROM_INTERRUPT,
        0x7C7A03A6: Flow.TO_SRR,  # mtsrr0 r3
        0x7C7B03A6: Flow.TO_SRR,  # mtsrr1 r3
        0x7C6803A6: Flow.STRAIGHT,  # mtlr r3
    }
    assert {word: flow(word) for word in words} == words
