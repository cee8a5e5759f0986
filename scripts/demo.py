"""The main job, as a script: boot, console, gdb through the bridge, gdb on the emulator, a trace.

Starts `k42 up` as a user would, talks to its ports, and prints everything that passes.  Each step states what
it expects; the first expectation that fails ends the demonstration with status 1.
"""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from k42.console_session import Console, ConsoleEnded, open_console
from k42.errors import only_error
from k42.gdb import connect_arguments
from k42.kernel import guest_kernel
from k42.ports import LOOPBACK, Ports
from k42.session import Gdb, GdbError, Stop, open_gdb

K42 = Path(sys.executable).with_name("k42")
STEP_SECONDS = 120


class Unexpected(Exception):
    """The demonstration did not go as it should."""


def expect(condition: bool, what: str) -> None:
    """Print that `what` held, or end the demonstration."""
    if not condition:
        raise Unexpected(what)
    print(f"    ok: {what}", flush=True)


def title(text: str) -> None:
    print(f"\n--- {text}", flush=True)


def show(source: str, text: str) -> None:
    """Print what came from `source`, a line at a time, with its name in front."""
    for line in text.splitlines():
        if line.strip():
            print(f"{source:>8} | {line}", flush=True)


async def main() -> None:
    ports = Ports(free_base())
    async with running_machine(ports), await open_console(LOOPBACK, ports.console) as console:
        await boot(console)
        async with gdb_on(ports.bridge) as gdb:
            await attach_through_the_bridge(gdb, console)
            await break_and_step(gdb, console)
            await change_a_variable(gdb, console)
        async with gdb_on(ports.emulator_gdb) as gdb:
            await attach_to_the_emulator(gdb, console)
    await record_a_trace()


async def boot(console: Console) -> None:
    title("boot to the shell prompt, channel 0")
    show("console", await console.expect(console.prompt))
    answer = await console.ask("fib 20")
    show("console", f"fib 20\n{answer}")
    expect("6765" in answer, "the kernel says that fib(20) is 6765")


async def attach_through_the_bridge(gdb: Gdb, console: Console) -> None:
    title("`trap` on the console enters the kernel's own debugger stub; gdb attaches over channel 1")
    await console.type("trap\r")
    await console.expect("GDB got trap")
    show("console", "GDB got trap" + await console.expect("its port.") + "its port.")
    said = await gdb_command(gdb, f"target remote {LOOPBACK}:{gdb_port(gdb)}")
    expect("warning" not in said.lower() and "Remote failure" not in said, "gdb connects without a warning")


async def break_and_step(gdb: Gdb, console: Console) -> None:
    title("a breakpoint in a C function, reached by typing on the console")
    await gdb_command(gdb, "break fib")
    await gdb.start("continue")
    await console.type("fib 5\r")
    stop = report(await gdb.wait_stop())
    expect(
        stop.reason == "breakpoint-hit" and stop.frame["func"] == "fib", "gdb reports the breakpoint by name"
    )
    expect("line" in stop.frame, f"with its source line, {stop.frame.get('file')}:{stop.frame.get('line')}")
    trace = await gdb_command(gdb, "backtrace")
    expect("fib" in trace.splitlines()[0] and len(trace.splitlines()) > 1, "the backtrace leads out of fib")
    await gdb_command(gdb, "info registers pc lr")
    title("three single steps over a stub that cannot step")
    for _ in range(3):
        before, instruction = await instruction_at_pc(gdb)
        stop = report(await gdb.resume("stepi"), instruction)
        expect(stop.pc in successors(before, instruction), f"pc went from {before:#x} to {stop.pc:#x}")
    line = int(stop.frame["line"])
    stop = report(await gdb.resume("next"))
    expect(stop.frame["func"] == "fib" and int(stop.frame["line"]) != line, "`next` moves on by a line")
    await gdb_command(gdb, "print n")
    expect(await gdb.evaluate("n") == "5", "the argument n is 5")
    await gdb_command(gdb, "delete")
    await gdb.start("continue")
    show("console", await console.expect(console.prompt))


async def change_a_variable(gdb: Gdb, console: Console) -> None:
    title("a C variable written by gdb shows on the console")
    await console.type("trap\r")
    report(await gdb.wait_stop())
    await gdb_command(gdb, 'set variable prompt = "changed> "')
    await gdb.start("continue")
    console.prompt = "changed> "
    await console.expect(console.prompt)
    answer = await console.ask("echo hello")
    show("console", f"changed> echo hello\n{answer}\nchanged>")
    expect(answer == "hello", "the kernel prompts with the text gdb wrote")
    await console.type("trap\r")
    report(await gdb.wait_stop())
    await gdb_command(gdb, "detach")
    expect("55" in await console.ask("fib 10"), "after `detach` the kernel goes on by itself")


async def attach_to_the_emulator(gdb: Gdb, console: Console) -> None:
    title("the emulator's own stub: Ctrl-C, step, detach")
    await gdb_command(gdb, f"target remote {LOOPBACK}:{gdb_port(gdb)}")
    await gdb.start("continue")
    expect("144" in await console.ask("fib 12"), "the machine runs under gdb")
    await gdb.interrupt()
    stop = report(await gdb.wait_stop())
    expect(stop.reason == "signal-received", "Ctrl-C stops the machine")
    before, instruction = await instruction_at_pc(gdb)
    stop = report(await gdb.resume("stepi"), instruction)
    expect(stop.pc in successors(before, instruction), f"pc went from {before:#x} to {stop.pc:#x}")
    await gdb_command(gdb, "detach")
    expect("21" in await console.ask("fib 8"), "after `detach` the machine goes on by itself")


async def record_a_trace() -> None:
    title("a trace of 1000 instructions from fib on")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "fib.trace"
        command = [str(K42), "trace", "record", "--from", "fib", "--type", "fib 9\r", "--steps", "1000"]
        await trio.run_process([*command, "--out", str(file)])
        shown = await trio.run_process([str(K42), "trace", "show", str(file)], capture_stdout=True)
    lines = shown.stdout.decode().splitlines()
    show("trace", "\n".join(lines[:8]))
    steps = [line for line in lines if re.match(r"\s*\d+\s", line)]
    expect(len(steps) == 1000 and "fib" in steps[0], "1000 steps, the first of them in fib")


# How the parts above reach the machine.


@asynccontextmanager
async def running_machine(ports: Ports) -> AsyncIterator[None]:
    """`k42 up` in a process of its own, as long as the block runs; its announcement is printed."""
    title("k42 up: machine, multiplexer, bridge in one process")
    command = [str(K42), "up", "--no-console", "--base", str(ports.base)]
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        said = b""
        with trio.fail_after(STEP_SECONDS):
            while str(ports.emulator_gdb).encode() not in said:
                chunk = await process.stdout.receive_some()
                if not chunk:
                    raise Unexpected(f"k42 up ended: {said.decode()}")
                said += chunk
        show("k42 up", said.decode())
        yield
    finally:
        process.terminate()
        with trio.CancelScope(shield=True):
            await process.wait()


@asynccontextmanager
async def gdb_on(port: int) -> AsyncIterator[Gdb]:
    """A gdb with the guest's symbols, not yet connected to `port`."""
    *arguments, _, _target = connect_arguments(f"{LOOPBACK}:{port}", guest_kernel())
    async with open_gdb(arguments) as gdb:
        _PORTS[id(gdb)] = port
        yield gdb


_PORTS: dict[int, int] = {}


def gdb_port(gdb: Gdb) -> int:
    return _PORTS[id(gdb)]


async def gdb_command(gdb: Gdb, line: str) -> str:
    """Type a gdb command and print what it says."""
    show("(gdb)", line)
    said = await gdb.console(line)
    show("gdb", said)
    return said


def report(stop: Stop, instruction: str = "") -> Stop:
    """Print a stop as a person would read it."""
    frame = stop.frame
    source = f"{frame.get('file', '?')}:{frame.get('line', '?')}"
    where = f"{frame.get('addr')} in {frame.get('func', '??')} at {source}"
    show("gdb", f"{stop.reason or 'stopped'}: {where}" + (f", after `{instruction}`" if instruction else ""))
    return stop


async def instruction_at_pc(gdb: Gdb) -> tuple[int, str]:
    """Return pc and the instruction there, as gdb disassembles it."""
    said = await gdb.console("x/i $pc")
    match = re.search(r"0x([0-9a-f]+)[^:]*:\s*(.*)", said)
    if match is None:
        raise Unexpected(f"gdb shows no instruction at pc: {said!r}")
    return int(match[1], 16), re.sub(r"\s+", " ", match[2]).strip()


def successors(pc: int, instruction: str) -> set[int]:
    """Where an instruction may lead: the next one, and for a branch its target."""
    target = re.search(r"^b\S* .*?0x([0-9a-f]+)", instruction)
    return {pc + 4} | ({int(target[1], 16)} if target else set())


def free_base() -> int:
    """Return a base whose ports are free: somebody may have a `k42 up` of his own running."""
    for base in range(2102, 60000, 100):
        ports = Ports(base)
        if all(is_free(port) for port in (ports.console, ports.bridge, ports.emulator_gdb)):
            return base
    raise Unexpected("no free ports on this machine")


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


async def _limited() -> None:
    with trio.fail_after(600):
        await main()


if __name__ == "__main__":
    try:
        trio.run(_limited)
    except BaseException as group:
        match only_error(group):
            case Unexpected() | GdbError() | ConsoleEnded() | trio.TooSlowError() as error:
                sys.exit(f"\ndemo: NOT as expected: {error or 'it took too long'}")
            case KeyboardInterrupt():
                sys.exit(130)
        raise
    print("\ndemo: everything went as expected")
