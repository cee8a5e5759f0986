"""Debuggers that vanish in the middle of anything: the kernel's text is whole again, its stub was never
disturbed.
"""

import program
import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st
from k42_stub import K42Stub

from gdbstub.client import connect
from gdbstub.packet import frame
from gdbstub.quirks import K42
from gdbstub.server import serve
from gdbstub.surroundings import Surroundings
from gdbstub.target import SIGINT, Action, ActionKind, Breakpoint, BreakpointKind, StopKind, StopReason

FIB = program.symbols()["fib"]
SAY = program.symbols()["say"]

packets = st.sampled_from(
    [
        b"?",
        b"g",
        b"m%x,40" % FIB,
        b"P3=0000000000000001",
        b"Z0,%x,4" % FIB,
        b"z0,%x,4" % FIB,
        b"Z0,%x,4" % SAY,
        b"vCont;s",
        b"vCont;r%x,%x" % (FIB, FIB + 64),
        b"vCont;c",
        b"qXfer:threads:read::0,1000",
        b"\x03",
    ]
)
sessions = st.lists(st.tuples(st.lists(packets, max_size=6), st.integers(0, 60)), min_size=1, max_size=4)


@settings(max_examples=50)
@given(sessions)
def test_a_client_may_vanish_at_any_moment(plan: list[tuple[list[bytes], int]]) -> None:
    stub = K42Stub(program.load())
    stub.press_key()
    text_at = min(stub.machine.memory)
    text = bytes(stub.machine.memory[text_at])

    async def break_in() -> None:
        stub.press_key()

    async def main() -> None:
        ours, theirs = trio.testing.memory_stream_pair()
        stub.attach(theirs)
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stub.run)
                async with connect(ours, K42, Surroundings(break_in=break_in)) as target:
                    for bodies, moments in plan:
                        here, there = trio.testing.memory_stream_pair()
                        async with trio.open_nursery() as session:
                            session.start_soon(serve, there, target)
                            for body in bodies:
                                await here.send_all(body if body == b"\x03" else frame(body))
                            for _ in range(moments):
                                await trio.lowlevel.checkpoint()
                            await here.aclose()
                    # Somebody comes back, finds the text as it was, and lets the kernel go.
                    await target.interrupt()
                    await target.wait_stop()
                    assert await target.read_memory(text_at, len(text)) == text
                    await target.detach()
                    assert bytes(stub.machine.memory[text_at]) == text
                nursery.cancel_scope.cancel()

    # Fifty examples with many interrupts each would be minutes of waiting for stops that do not come.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gdbstub.whereabouts.ON_ITS_WAY", 0.002)
        trio.run(main)
    assert not stub.violations
    assert (stub.naks, stub.repeats) == (0, 0), stub.log


def test_a_stop_nobody_wants_any_more_ends_an_interrupt() -> None:
    """The trap of a debugger that left is met while its successor waits: that is where the kernel stands.

    Going on from there would lose the interrupt, which saw a stop coming and typed nothing.
    """
    stub = K42Stub(program.load())
    stub.press_key()
    typed = 0
    at_fib = Breakpoint(BreakpointKind.SOFTWARE, FIB)

    async def break_in() -> None:
        nonlocal typed
        typed += 1

    async def main() -> StopReason:
        ours, theirs = trio.testing.memory_stream_pair()
        stub.attach(theirs)
        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stub.run)
                async with connect(ours, K42, Surroundings(break_in=break_in)) as target:
                    await target.wait_stop()
                    await target.insert(at_fib)
                    await target.resume([Action(ActionKind.CONTINUE)])
                    while stub.stops < 2:
                        await trio.lowlevel.checkpoint()
                    await target.remove(at_fib)
                    await target.interrupt()
                    reason = await target.wait_stop()
                    await target.detach()
                nursery.cancel_scope.cancel()
        return reason

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gdbstub.whereabouts.ON_ITS_WAY", 20.0)
        reason = trio.run(main)
    assert (reason.kind, reason.signal, typed) == (StopKind.SIGNAL, SIGINT, 0)
