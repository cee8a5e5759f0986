"""The bridge judged by the real gdb, in front of a stub as limited and as unkind as K42's."""

import re
from collections.abc import Awaitable, Callable

import program
import pytest
import trio
import trio.testing
from k42_stub import K42Stub

from gdbstub.bridge import bridge
from gdbstub.client import Surroundings
from gdbstub.quirks import K42


def with_bridge(
    stub: K42Stub, use: Callable[[int], Awaitable[None]], surroundings: Surroundings | None = None
) -> None:
    async def main() -> None:
        ours, theirs = trio.testing.memory_stream_pair()
        stub.attach(theirs)
        async with trio.open_nursery() as nursery:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            nursery.start_soon(stub.run)
            nursery.start_soon(bridge, ours, listeners, K42, surroundings)
            with trio.fail_after(program.PATIENCE):
                await use(listeners[0].socket.getsockname()[1])
            nursery.cancel_scope.cancel()

    trio.run(main)


def debug(stub: K42Stub, *scripts: list[str], surroundings: Surroundings | None = None) -> str:
    """Run gdb over the bridge, once for each script; return all the output, free of warnings."""
    output = ""

    async def use(port: int) -> None:
        nonlocal output
        for script in scripts:
            output += await program.run_gdb(port, *script)

    with_bridge(stub, use, surroundings)
    assert "warning" not in output.lower(), output
    assert "Remote failure" not in output, output
    assert_quiet(stub)
    return output


def assert_quiet(stub: K42Stub) -> None:
    assert not stub.violations
    assert (stub.naks, stub.repeats) == (0, 0), stub.log


def stopped_stub(delay: float = 0.0) -> K42Stub:
    """A kernel that entered its debugger before the first instruction."""
    stub = K42Stub(program.load(), delay=delay)
    stub.press_key()
    return stub


@pytest.mark.parametrize("delay", [0.0, 0.0001, 0.003, 0.03])
def test_attach_is_quiet_at_any_delay(delay: float) -> None:
    stub = stopped_stub(delay)
    output = debug(stub, ["info registers pc", "detach"])
    assert "<main" in output, output


def test_breakpoint_backtrace_finish_print_call() -> None:
    output = debug(
        stopped_stub(),
        [
            *("break fib if n == 1", "continue", "bt", "delete", "finish", "print table[5]"),
            *("set var table[0] = 1003", "print sum_table()", "detach"),
        ],
    )
    assert "Breakpoint 1, fib (n=n@entry=1)" in output, output
    assert re.search(r"#\d+ .*work \(n=n@entry=4\)", output), output
    assert "Value returned is $1 = 1" in output, output
    assert "$2 = 9" in output and "$3 = 1031" in output, output


def test_steps_are_those_of_the_machine() -> None:
    machine = program.load()
    pcs = []
    for _ in range(40):
        machine.step()
        pcs.append(machine.pc)
    output = debug(stopped_stub(), [*["stepi", 'printf "pc %lx\\n", $pc'] * 40, "detach"])
    assert [int(pc, 16) for pc in re.findall(r"pc (\w+)", output)] == pcs


def test_next_step_and_reservation() -> None:
    stub = stopped_stub()
    output = debug(
        stub,
        ["break work", "continue", "next", "next", "next", "info locals", "stepi", "detach"],
        ["break take_lock", "continue", *["stepi"] * 12, "print lock_word", "detach"],
    )
    assert re.search(r"a = 3", output) and re.search(r"b = 31", output), output
