"""The bridge judged by the real gdb, in front of a stub as limited and as unkind as K42's."""

import re
from collections.abc import Awaitable, Callable

import program
import pytest
import trio
import trio.testing
from client_session import bridge
from k42_stub import K42Stub
from mini_machine import M64

from gdbstub.packet import frame
from gdbstub.quirks import K42
from gdbstub.surroundings import Surroundings


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


def test_a_gdb_without_a_file_takes_it_from_the_bridge_and_with_it_the_byte_order() -> None:
    stub = stopped_stub()
    output = ""

    async def use(port: int) -> None:
        nonlocal output
        output = await program.run_gdb(port, "show endian", "break fib if n == 2", "continue", file=False)

    with_bridge(stub, use, Surroundings(executable=str(program.build())))
    assert "currently big endian" in output and "Breakpoint 1, fib (n=n@entry=2)" in output, output
    assert_quiet(stub)


@pytest.mark.parametrize("executable", ["", "/nowhere/kernel.elf"])
def test_a_gdb_with_a_file_does_not_need_the_bridge_s(executable: str) -> None:
    stub = stopped_stub()
    output = debug(
        stub, ["break fib", "continue", "detach"], surroundings=Surroundings(executable=executable)
    )
    assert "Breakpoint 1, fib" in output, output


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


def test_next_and_step_show_source_lines() -> None:
    output = debug(
        stopped_stub(),
        ["break work", "continue", "next", "next", "next", "info locals", "step", "stepi", "detach"],
    )
    assert re.search(r"a = 3", output) and re.search(r"b = 31", output), output
    assert "take_lock (word=" in output, output


def test_a_condition_is_evaluated_by_the_bridge() -> None:
    output = debug(
        stopped_stub(),
        ["break fib if n == 1 && rounds == 1", "continue", "print rounds", "print n", "detach"],
    )
    assert "$1 = 1" in output and "$2 = 1" in output, output


def test_a_reservation_is_passed_as_one_unit() -> None:
    steps = ["stepi"] * 10
    output = debug(stopped_stub(), ["break take_lock", "continue", *steps, "print lock_word", "detach"])
    assert "$1 = 1" in output, output


def test_a_watchpoint_by_steps_stops_where_the_value_changes() -> None:
    output = debug(
        stopped_stub(),
        ["break work", "continue", "delete", "watch rounds", "continue", "print rounds", "bt 1", "detach"],
    )
    assert "Hardware watchpoint 2: rounds" in output, output
    assert "Old value = 0" in output and "New value = 1" in output and "$1 = 1" in output, output


def test_a_read_watchpoint_by_steps_stops_where_the_value_is_read() -> None:
    output = debug(stopped_stub(), ["rwatch table[3]", "continue", "bt 1", "detach"])
    assert "Hardware read watchpoint 1: table[3]" in output and "Value = " in output, output
    assert "#0" in output and "sum_table" in output, output


def test_watching_by_steps_tells_how_far_it_is_and_ends_on_control_c(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gdbstub.run_control.NOTE_INTERVAL", 0.0)
    stub = stopped_stub()
    heard = b""

    async def use(port: int) -> None:
        nonlocal heard
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        for body in (b"QStartNoAckMode", b"Z2,50000000,8", b"vCont;c"):
            await stream.send_all(frame(body))
        while b"watching: 5 steps".hex().encode() not in heard:
            heard += await stream.receive_some()
        await stream.send_all(b"\x03")
        while b"$T02" not in heard:
            heard += await stream.receive_some()
        await stream.send_all(frame(b"D"))
        while not heard.endswith(frame(b"OK")):
            heard += await stream.receive_some()
        await stream.aclose()

    with_bridge(stub, use)
    assert_quiet(stub)


def test_who_watched_and_is_gone_leaves_the_kernel_running_free() -> None:
    stub = stopped_stub()

    async def use(port: int) -> None:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        for body in (b"?", b"Z2,50000000,8", b"vCont;c"):
            await stream.send_all(frame(body))
        while stub.stops < 10:
            await trio.lowlevel.checkpoint()
        await stream.aclose()
        while not stub.machine.output:
            await trio.lowlevel.checkpoint()

    with_bridge(stub, use)
    assert_quiet(stub)


def test_refused_with_a_line_that_says_what_to_do_when_the_kernel_runs() -> None:
    stub = K42Stub(program.load())
    output = ""

    async def use(port: int) -> None:
        nonlocal output
        output = await program.run_gdb(port, "info registers pc")

    with_bridge(stub, use)
    assert "enter its debugger from the console" in output, output


def test_break_in_stops_a_running_kernel_for_each_gdb() -> None:
    stub = K42Stub(program.load())
    presses = 0

    async def break_in() -> None:
        nonlocal presses
        presses += 1
        stub.press_key()

    output = debug(
        stub,
        ["break sum_table", "continue", "detach"],
        ["print rounds > 0", "break fib", "continue", "detach"],
        surroundings=Surroundings(break_in=break_in),
    )
    assert presses == 2
    assert "Breakpoint 1, sum_table" in output and "Breakpoint 1, fib" in output, output


@pytest.mark.parametrize("has_break_in", [True, False])
def test_a_stop_that_a_reset_has_made_void_is_found_out_by_the_next_gdb(has_break_in: bool) -> None:
    """A stub that has stopped, and a kernel that runs where it stood: an error to `?` would make gdb spin."""
    output = ""

    async def main() -> None:
        nonlocal output
        ours, theirs = trio.testing.memory_stream_pair()
        before, after = stopped_stub(), K42Stub(program.load())
        before.attach(theirs)

        async def break_in() -> None:
            after.press_key()

        async with trio.open_nursery() as nursery:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            port = listeners[0].socket.getsockname()[1]
            surroundings = Surroundings(break_in=break_in) if has_break_in else Surroundings()
            nursery.start_soon(bridge, ours, listeners, K42, surroundings)
            with trio.fail_after(program.PATIENCE):
                async with trio.open_nursery() as machine:
                    machine.start_soon(before.run)
                    await program.run_gdb(port, "info registers pc", "disconnect")
                    machine.cancel_scope.cancel()
                after.attach(theirs)
                nursery.start_soon(after.run)
                output = await program.run_gdb(port, "break fib", "continue", "detach")
            nursery.cancel_scope.cancel()

    trio.run(main)
    assert ("Breakpoint 1, fib" if has_break_in else "enter its debugger from the console") in output, output


def test_the_stop_is_kept_for_the_next_gdb() -> None:
    stub = stopped_stub()
    output = debug(
        stub, ["break fib", "continue", "print rounds = 77", "disconnect"], ["print rounds", "bt 1"]
    )
    assert "$1 = 77" in output.split("#0")[0] and "fib (n=" in output, output


def test_the_program_never_sees_a_trap_word() -> None:
    stub = stopped_stub()
    output = debug(
        stub, ["break work", "break fib", "continue", "x/i $pc", "compare-sections .text", "detach"]
    )
    assert "matched" in output, output
    text = stub.machine.memory[min(stub.machine.memory)]
    assert (0x7D821008).to_bytes(4, "big") not in text
    assert (0x7FE00008).to_bytes(4, "big") not in text
    assert not any(b"7fe00008" in command for command in stub.log)


def test_a_breakpoint_in_a_precious_function_is_refused_with_a_line_that_names_it() -> None:
    stub = stopped_stub()
    fib = program.symbols()["fib"]
    stub.precious = (fib,)
    output = ""

    async def use(port: int) -> None:
        nonlocal output
        output = await program.run_gdb(
            port, "break *fib", "continue", "info registers pc", "delete", "stepi", "detach"
        )

    with_bridge(stub, use, Surroundings(describe=lambda addr: f"strlen+{addr - fib}"))
    assert "the stub needs strlen+0 itself" in output, output
    assert "Program stopped" in output, output
    assert "Cannot access memory" not in output, output
    assert_quiet(stub)


def test_the_kernels_exit_is_reported() -> None:
    output = debug(stopped_stub(), ["set var running = 0", "continue"])
    assert "Program terminated with signal SIGKILL" in output, output


def test_control_c_that_cannot_work_says_so_and_the_session_goes_on() -> None:
    stub = stopped_stub()
    heard = b""

    async def use(port: int) -> None:
        nonlocal heard
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        for body in (b"QStartNoAckMode", b"c"):
            await stream.send_all(frame(body))
        while not stub.is_running or stub.stops == 0:
            await trio.lowlevel.checkpoint()
        await stream.send_all(b"\x03")
        # The console's text, not the OK before it: until then the bridge waits for a stop on its way.
        while b"$O" not in heard.replace(b"$OK", b""):
            heard += await stream.receive_some()
        stub.press_key()
        while b"$T05" not in heard:
            heard += await stream.receive_some()
        await stream.send_all(frame(b"qC"))
        assert bytes(await stream.receive_some()) == frame(b"QC1")
        await stream.aclose()

    with_bridge(stub, use)
    assert b"enter its debugger from the console".hex().encode() in heard
    assert_quiet(stub)


def test_gdb_killed_in_mid_run_leaves_no_trap_behind() -> None:
    stub = stopped_stub()

    async def use(port: int) -> None:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        # `say` is called when rounds is 3: not before we are gone.
        stub.machine.write(program.symbols()["rounds"], (-400 & M64).to_bytes(8, "big"))
        text = bytes(stub.machine.memory[min(stub.machine.memory)])
        for body in (b"?", b"Z0,%x,4" % program.symbols()["say"], b"c"):
            await stream.send_all(b"$%b#%02x" % (body, sum(body) & 0xFF))
        while not stub.is_running:
            await trio.lowlevel.checkpoint()
        await stream.aclose()
        while stub.stops < 2:
            await trio.lowlevel.checkpoint()
        while not stub.is_running:
            await trio.lowlevel.checkpoint()
        assert bytes(stub.machine.memory[min(stub.machine.memory)]) == text
        while not stub.machine.output:
            await trio.lowlevel.checkpoint()

    with_bridge(stub, use)
    assert_quiet(stub)
