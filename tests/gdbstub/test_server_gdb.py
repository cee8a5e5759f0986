"""The server judged by the real gdb, debugging a compiled program on the mini machine."""

import re
import signal
import subprocess
from collections.abc import Awaitable, Callable
from functools import partial

import program
import trio
from machine_target import MachineTarget

from gdbstub import ppc64
from gdbstub.server import serve_listeners
from gdbstub.target import ActionKind

RANGES = frozenset(ActionKind)


def with_server(target: MachineTarget, use: Callable[[int], Awaitable[None]]) -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            nursery.start_soon(serve_listeners, listeners, target)
            with trio.fail_after(program.PATIENCE):
                await use(listeners[0].socket.getsockname()[1])
            nursery.cancel_scope.cancel()

    trio.run(main)


def debug(target: MachineTarget, *commands: str, file: bool = True, connect: str = "remote") -> str:
    """Run one gdb over the server and return its output, free of warnings."""
    output = ""

    async def use(port: int) -> None:
        nonlocal output
        output = await program.run_gdb(port, *commands, file=file, connect=connect)

    with_server(target, use)
    # gdb's own advice when it fetches the program from us, as it was asked to.
    assert "warning" not in output.replace("warning: File transfers", "").lower(), output
    assert "Remote failure" not in output, output
    return output


def test_attach_shows_where_the_program_stands() -> None:
    output = debug(MachineTarget(program.load()), "info registers pc", "x/i $pc", "detach")
    assert re.search(r"pc +0x10000\w+ +0x10000\w+ <main", output), output


def test_every_register_reads_as_set() -> None:
    machine = program.load()
    machine.gpr[3:32] = [0x0123456789ABCDEF + n for n in range(3, 32)]
    machine.fpr[:] = [n << 52 for n in range(32)]
    machine.cr, machine.lr, machine.ctr, machine.xer, machine.fpscr = 0x12345678, 0x10000000, 77, 5, 0xF00D
    names = [*ppc64.BASIC.offsets]
    wanted = {f"r{n}": v for n, v in enumerate(machine.gpr)} | {f"f{n}": v for n, v in enumerate(machine.fpr)}
    for name in ("pc", "msr", "cr", "lr", "ctr", "xer", "fpscr"):
        wanted[name] = getattr(machine, name)
    output = debug(
        MachineTarget(machine), *[f"p/z ${name}" for name in names if name[0] != "f" or name == "fpscr"]
    )
    printed = [int(value, 16) for value in re.findall(r"\$\d+ = 0x(\w+)", output)]
    assert printed == [wanted[name] for name in names if name[0] != "f" or name == "fpscr"], output
    output = debug(MachineTarget(machine), *[f"info registers f{n}" for n in range(32)])
    raw = [int(value, 16) for value in re.findall(r"raw 0x(\w+)", output)]
    assert raw == machine.fpr, output


def test_gdb_sees_the_registers_we_describe() -> None:
    output = debug(MachineTarget(program.load()), "maint print remote-registers")
    rows = re.findall(r"^ *(\w+) +(\d+) +\d+ +\d+ +(\d+) +\S+.*? (\d+) +(\d+)", output, re.MULTILINE)
    seen = {name: (int(number), int(offset)) for name, _, _, number, offset in rows}
    description = ppc64.BASIC
    for name, offset in description.offsets.items():
        assert seen.get(name) == (description.numbers[name], offset), (name, output)


def test_breakpoint_backtrace_finish_print() -> None:
    output = debug(
        MachineTarget(program.load()),
        *(
            "break fib if n == 1",
            "continue",
            "bt",
            "delete",
            "finish",
            "print table[5]",
            "print sizeof(table)",
        ),
    )
    assert "Breakpoint 1, fib (n=n@entry=1)" in output, output
    assert re.search(r"#\d+ .*work \(n=n@entry=4\)", output), output
    assert "Value returned is $1 = 1" in output, output
    assert "$2 = 9" in output, output


def test_a_condition_is_evaluated_by_the_target() -> None:
    target = MachineTarget(program.load())
    output = debug(target, "break fib if n == 1 && rounds == 2", "continue", "print rounds", "print n")
    assert "$1 = 2" in output and "$2 = 1" in output, output
    assert target.resumed == 1


def test_dprintf_by_the_agent_prints_without_stopping() -> None:
    target = MachineTarget(program.load())
    output = debug(
        target,
        *("set dprintf-style agent", 'dprintf sum_table,"round %ld\\n", rounds', "break say", "continue"),
    )
    assert "round 0\nround 1\nround 2\n" in output, output
    assert target.resumed == 1


def test_next_and_step_are_the_same_with_and_without_range_stepping() -> None:
    shown = []
    for actions in (RANGES, RANGES - {ActionKind.RANGE_STEP}):
        target = MachineTarget(program.load(), actions=actions)
        shown.append(debug(target, "break work", "continue", "next", "next", "step", "info locals", "stepi"))
        assert "sum_table ()" in shown[-1], shown[-1]
    assert shown[0] == shown[1]


def test_stepi_executes_one_instruction() -> None:
    machine = program.load()
    start = machine.pc
    target = MachineTarget(machine)
    debug(target, "stepi", "stepi", "stepi")
    assert target.resumed == 3
    assert machine.pc == start + 3 * 4


def test_hardware_breakpoint_and_watchpoints() -> None:
    output = debug(
        MachineTarget(program.load()),
        *("hbreak sum_table", "continue", "delete", "watch rounds", "continue", "continue"),
        *("delete", "rwatch lock_word", "continue"),
    )
    assert "Breakpoint 1, sum_table" in output, output
    assert "Old value = 0" in output and "New value = 1" in output, output
    assert "Old value = 1" in output and "New value = 2" in output, output
    # gdb passes the lwarx by running to the end of its sequence, so the lock is already taken when it looks.
    assert "Value = 3" in output, output


def test_write_memory_and_registers_call_a_function() -> None:
    machine = program.load()
    output = debug(
        MachineTarget(machine),
        *(
            "break work",
            "continue",
            "set var table[0] = 1003",
            "print sum_table()",
            "set $r31 = 0x1122334455667788",
        ),
        *("print fib(10)", "p/x $r31"),
    )
    assert "= 1031" in output and "= 55" in output, output
    assert "= 0x1122334455667788" in output, output


def test_exit_is_reported() -> None:
    output = debug(MachineTarget(program.load()), "set var running = 0", "continue")
    assert re.search(r"\[Inferior 1 \(.*\) exited", output), output


def test_kill_and_detach_reach_the_target() -> None:
    target = MachineTarget(program.load())
    debug(target, "kill")
    assert target.killed
    target = MachineTarget(program.load())
    debug(target, "break fib", "continue", "detach")
    assert target.detached and not target.breakpoints


def test_monitor_prints() -> None:
    assert "you said hello world\n" in debug(MachineTarget(program.load()), "monitor hello world")


def test_memory_beyond_the_machine_is_an_error_line() -> None:
    output = debug(MachineTarget(program.load()), "x/4x 0x60000000")
    assert "Cannot access memory at address 0x60000000" in output, output


def test_compare_sections_and_find() -> None:
    output = debug(
        MachineTarget(program.load()),
        "compare-sections .text",
        "find &table[0], +sizeof(table), (long)9",
    )
    assert re.search(r"Section .text, .*: matched", output), output
    assert "<table+40>" in output and "1 pattern found" in output, output


def test_a_running_target_is_stopped_by_attaching_and_by_interrupting() -> None:
    target = MachineTarget(program.load(), stopped=None)
    output = debug(target, "info registers pc", "set $first = rounds", "detach")
    assert "<" in output, output


def test_control_c_stops_a_run() -> None:
    output = b""

    async def use(port: int) -> None:
        nonlocal output
        arguments = ["-ex", f"target remote 127.0.0.1:{port}", "-ex", "break say", "-ex", "continue"]
        arguments += ["-ex", "delete", "-ex", "continue", "-ex", "print rounds > 3", "-ex", "detach"]
        command = [program.GDB, "-nx", "-batch", *arguments, str(program.build())]
        async with trio.open_nursery() as nursery:
            run = partial(trio.run_process, command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            process = await nursery.start(run)
            while target.machine.output[-6:] != b"three\n":
                await trio.lowlevel.checkpoint()
            process.send_signal(signal.SIGINT)
            async for data in process.stdout:
                output += data

    target = MachineTarget(program.load())
    with_server(target, use)
    assert b"Program received signal SIGINT, Interrupt." in output, output.decode()
    assert b"$1 = 1" in output, output.decode()


def test_second_client_is_told_who_is_there() -> None:
    target = MachineTarget(program.load())
    output = ""

    async def use(port: int) -> None:
        nonlocal output
        holder = await trio.open_tcp_stream("127.0.0.1", port)
        await holder.send_all(b"$?#3f")
        await holder.receive_some()
        name = f"127.0.0.1:{holder.socket.getsockname()[1]}"
        output = await program.run_gdb(port)
        assert f"the target is held by gdb at {name}" in output, output
        await holder.aclose()
        output = await program.run_gdb(port, "info registers pc")
        assert "<main" in output, output

    with_server(target, use)


def test_gdb_without_a_file_fetches_it_from_us() -> None:
    target = MachineTarget(program.load(), executable_name=str(program.build()))
    output = debug(target, "break fib if n == 2", "continue", file=False)
    assert "Breakpoint 1, fib (n=n@entry=2)" in output, output


def test_extended_remote_runs_again() -> None:
    target = MachineTarget(program.load(), executable_name=str(program.build()))
    output = debug(target, "break work", "run", "bt", "run", "bt", connect="extended-remote")
    assert target.resets == 2, output
    assert output.count("Breakpoint 1, work") == 2, output


def test_extended_remote_stays_after_detach_and_kill() -> None:
    let_go = ("detach", "info threads", "attach 1", "info registers pc")
    killed = ("kill", "info threads", "tbreak work", "run", "bt")
    output = debug(MachineTarget(program.load()), *let_go, *killed, connect="extended-remote")
    assert output.count("No threads.") == 2, output
    assert re.search(r"pc +0x10000\w+.*#0 +work", output, re.DOTALL), output


def test_the_memory_map_is_shown() -> None:
    output = debug(MachineTarget(program.load()), "info mem")
    assert re.search(r"0x0+ +0x80+ rw", output) and re.search(r"0x80+ +\S+ +rw", output), output
