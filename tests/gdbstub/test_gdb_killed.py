"""The real gdb, SIGKILLed at random moments: the text is whole again, and the next gdb finds it so."""

import random
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import program
import pytest
import trio
import trio.testing
from client_session import bridge
from k42_stub import K42Stub
from machine_target import MachineTarget
from mini_machine import Machine

from gdbstub.quirks import K42
from gdbstub.server import serve_listeners
from gdbstub.surroundings import Surroundings

BUSY = [
    *("break fib", "break sum_table if rounds > 2", "continue", "bt", "stepi 30", "next", "next", "finish"),
    *("watch rounds", "continue", "delete", "print fib(5)", "x/20i $pc", "tbreak say", "continue", "step 10"),
]
# Seconds a gdb may live: from before it has connected to after it is done.
LONGEST_LIFE = 2.0

Serve = Callable[[], AbstractAsyncContextManager[tuple[Machine, int]]]


@asynccontextmanager
async def bridged() -> AsyncIterator[tuple[Machine, int]]:
    """A kernel behind the bridge, whose console key the bridge can press."""
    stub = K42Stub(program.load())

    async def break_in() -> None:
        await trio.lowlevel.checkpoint()
        stub.press_key()

    ours, theirs = trio.testing.memory_stream_pair()
    stub.attach(theirs)
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(stub.run)
        nursery.start_soon(bridge, ours, listeners, K42, Surroundings(break_in=break_in))
        yield stub.machine, listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()
    assert not stub.violations
    assert (stub.naks, stub.repeats) == (0, 0)


@asynccontextmanager
async def served() -> AsyncIterator[tuple[Machine, int]]:
    """A machine with a full stub."""
    machine = program.load()
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(serve_listeners, listeners, MachineTarget(machine))
        yield machine, listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def kill_one(port: int, life: float) -> None:
    """Start a gdb that does a bit of everything, over and over, and kill it after `life` seconds."""
    settings = ["set confirm off", "set pagination off", f"target remote 127.0.0.1:{port}"]
    arguments = [word for line in [*settings, *BUSY * 3] for word in ("-ex", line)]
    async with trio.open_nursery() as nursery:
        command = [program.GDB, "-nx", "-batch", *arguments, str(program.build())]
        run = partial(
            trio.run_process,
            command,
            stdin=b"",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        process: trio.Process = await nursery.start(run)
        await trio.sleep(life)
        process.kill()


def survive(serve: Serve, kills: int) -> None:
    lives = random.Random(kills)

    async def main() -> None:
        async with serve() as (machine, port):
            text_at = program.symbols()["main"] & -program.PAGE
            text = machine.read(text_at, program.PAGE)
            with trio.fail_after(30 * kills + 120):
                for _ in range(kills):
                    await kill_one(port, lives.uniform(0.1, LONGEST_LIFE))
                said = await program.run_gdb(
                    port, "compare-sections .text", "stepi", "info registers pc", "detach"
                )
            assert "matched" in said and "MIS" not in said, said
            assert "\npc " in said, said
            assert machine.read(text_at, program.PAGE) == text

    trio.run(main)


@pytest.mark.parametrize("serve", [bridged, served])
def test_gdb_killed_a_few_times(serve: Serve) -> None:
    survive(serve, 5)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("serve", [bridged, served])
def test_gdb_killed_a_hundred_times_each(serve: Serve) -> None:
    survive(serve, 100)
