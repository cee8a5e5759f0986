"""The machine under the real gdb: registers, memory, breakpoints, watchpoints, steps, interrupt, kill,
monitor."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from emulator.boot import load_elf
from emulator.config import MachineConfig
from emulator.debug import EmulatorTarget
from emulator.guests import MINI
from emulator.machine import Machine
from emulator.runner import MachineRunner
from gdbstub.server import serve_listeners


@asynccontextmanager
async def debugged_guest(*, halted: bool = True) -> AsyncIterator[tuple[MachineRunner, int]]:
    """Run our guest with a silent peer on its line, and a gdb port; the port's number comes with the
    runner."""
    machine = Machine(MachineConfig(), load_elf(str(MINI)))
    machine.wire.connected = True
    runner = MachineRunner(machine, halted=halted)
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(runner.run)
        nursery.start_soon(serve_listeners, listeners, EmulatorTarget(runner))
        yield runner, port
        nursery.cancel_scope.cancel()


async def gdb(port: int, *commands: str) -> str:
    """Run gdb on the guest's ELF against `port`; return what it says, errors included."""
    arguments = ["gdb-multiarch", "-nx", "-batch", "-ex", f"target remote 127.0.0.1:{port}"]
    for command in commands:
        arguments += ["-ex", command]
    with trio.fail_after(20):
        done = await trio.run_process(
            [*arguments, str(MINI)], capture_stdout=True, stderr=subprocess.STDOUT, check=False
        )
    return done.stdout.decode()


def run_gdb(*commands: str, halted: bool = True) -> str:
    async def main() -> str:
        async with debugged_guest(halted=halted) as (_, port):
            return await gdb(port, *commands)

    return trio.run(main)


def test_gdb_sees_the_entry_state_without_a_warning() -> None:
    said = run_gdb("info registers pc msr r3", "x/i $pc", "p/x $vr1.uint128", "p $sprg0", "p $f1")
    assert "warning" not in said.lower()
    assert "<start>" in said or "start" in said
    assert "0xb000000000001030" in said  # SF ISF HV ME IR DR
    assert "0xc000000001ffc000" in said  # BootInfo


def test_breakpoint_steps_and_backtrace() -> None:
    threads = ("info threads", "continue", "info threads")
    said = run_gdb("break uart_open", *threads, "bt 1", "stepi", "info registers pc", "next", "kill")
    assert '"cpu0" (halted) start' in said and '"cpu0" (breakpoint) uart_open' in said
    assert "Breakpoint 1, uart_open" in said
    assert "#0  uart_open" in said


def test_conditional_breakpoint_in_a_loop() -> None:
    said = run_gdb("break uart_write if count == 14", "continue", "p count", "p bytes[2]")
    assert "Breakpoint 1, uart_write" in said
    assert "$1 = 14" in said  # the sentinel, after the announcement
    assert "42 '*'" in said


def test_watchpoint_stops_before_the_store_and_gdb_shows_old_and_new() -> None:
    said = run_gdb("watch *(char *)&modem_control", "continue", "continue")
    assert "Hardware watchpoint 1" in said
    assert "Old value" in said and "New value" in said


def test_read_and_access_watchpoints() -> None:
    said = run_gdb("rwatch *(char *)&modem_control", "continue", "delete", "awatch registers", "continue")
    # uart_write loads modem_control to switch DTR on.
    assert "Hardware read watchpoint 1" in said
    assert "Hardware access (read/write) watchpoint 2" in said
    assert said.count("Value = ") == 2


def test_interrupt_of_a_running_guest() -> None:
    async def main() -> str:
        async with debugged_guest(halted=False) as (_, port):
            return await gdb(port, "info registers pc", "bt 2")

    said = trio.run(main)
    # Its peer does not answer the first request.
    assert "uart_read" in said


def test_memory_can_be_changed_and_code_with_it() -> None:
    said = run_gdb(
        "hbreak uart_open", "continue", "set var *(unsigned *)$pc = 0x38600007", "stepi", "p $r3",
        "set var $r4 = 0x1234", "p/x $r4", "set var $f3 = 1.5", "p $f3",
    )  # fmt: skip
    assert "= 7" in said
    assert "= 0x1234" in said
    assert "= 1.5" in said


def test_kill_resets_and_monitor_answers() -> None:
    said = run_gdb(
        "stepi 5", "monitor reset", "monitor slb", "monitor translate 0xc000000002000000", "monitor htab",
        "monitor info time", "monitor registers", "monitor nonsense",
    )  # fmt: skip
    assert "esid c00000000  vsid 0001c00000000  Kp" in said
    assert "real 0x2000000" in said
    assert "page table at 0x5000000, 2048 groups" in said
    assert "0 instructions" in said
    assert "msr = SF ISF HV ME IR DR" in said
    assert "monitor help" in said


def test_detach_lets_the_guest_run_and_gdb_can_come_back() -> None:
    async def main() -> tuple[str, bool, str]:
        async with debugged_guest() as (runner, port):
            first = await gdb(port, "break uart_open", "continue", "detach")
            running = runner.parked is None
            return first, running, await gdb(port, "bt 2")

    first, running, second = trio.run(main)
    assert "Breakpoint 1, uart_open" in first
    assert running
    assert "uart_read" in second


def test_load_and_compare_sections_use_the_addresses_the_kernel_was_loaded_at() -> None:
    said = run_gdb(
        "set var *(int *)&fib = 0",
        "compare-sections",
        "load",
        "compare-sections",
        "break fib",
        "p *(char *)0x2fffff",
    )
    before, load, after = said.partition("Start address")
    assert "MIS-MATCHED" in before and "matched" in after and "MIS-MATCHED" not in after, said
    # Elsewhere a real address is nothing that the kernel could use either.
    assert "Cannot access memory at address 0x2fffff" in after


def test_special_registers_are_a_group_of_their_own_as_on_qemu() -> None:
    said = run_gdb("info registers spr")
    assert "srr0" in said and "sprg3" in said and "r31" not in said, said
