"""The main job as users will try it: stock gdb against `k42 up`, by the bridge and on the emulator's stub."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
import trio

from k42.console_session import Console
from k42.kernel import guest_kernel
from k42.ports import LOOPBACK
from k42.session import Gdb, open_gdb

RunningUp = Callable[..., AbstractAsyncContextManager]
STUBS = ("bridge", "emulator_gdb")


@asynccontextmanager
async def attached(up, stub: str) -> AsyncIterator[tuple[Gdb, Console]]:
    """A booted kernel that stands still, a gdb connected to it by `stub`, and the console."""
    with trio.fail_after(110):
        async with await up.console() as console:
            await console.expect(console.prompt)
            if stub == "bridge":
                await console.type("trap\r")
                await console.expect("GDB got trap")
            async with open_gdb([str(guest_kernel())]) as gdb:
                said = await gdb.connect(f"{LOOPBACK}:{getattr(up.ports, stub)}")
                assert "warning" not in said.lower() and "Remote failure" not in said
                yield gdb, console


@pytest.mark.parametrize("stub", STUBS)
def test_breakpoints_by_name_by_address_and_with_a_condition(running_up: RunningUp, stub: str) -> None:
    async def main() -> None:
        async with running_up() as up, attached(up, stub) as (gdb, console):
            await gdb.console("break fib if n == 3")
            await gdb.start("continue")
            await console.type("fib 5\r")
            stop = await gdb.wait_stop()
            assert stop.reason == "breakpoint-hit"
            assert stop.frame["func"] == "fib"
            assert await gdb.evaluate("n") == "3"
            callers = (await gdb.console("backtrace")).splitlines()
            assert [line.split()[3] for line in callers[1:3]] == ["fib", "fib"]
            await gdb.console("delete")
            await gdb.console("break *" + hex(stop.pc))
            stop = await gdb.resume("continue")
            assert stop.reason == "breakpoint-hit"
            assert await gdb.evaluate("n") == "2"
            await gdb.console("delete")
            await gdb.start("continue")
            assert "5" in await console.expect(console.prompt)

    trio.run(main)


@pytest.mark.parametrize("stub", STUBS)
def test_finish_step_next_and_a_call_of_a_kernel_function(running_up: RunningUp, stub: str) -> None:
    async def main() -> None:
        async with running_up() as up, attached(up, stub) as (gdb, console):
            await gdb.console("break fib if n == 2")
            await gdb.start("continue")
            await console.type("fib 4\r")
            await gdb.wait_stop()
            await gdb.console("delete")
            finished = await gdb.resume("finish")
            assert finished.reason == "function-finished"
            assert finished.payload["return-value"] == "1"
            assert finished.frame["func"] == "fib"
            line = finished.frame["line"]
            stop = await gdb.resume("next")
            assert stop.reason == "end-stepping-range"
            assert (stop.frame["func"], stop.frame["line"]) != ("fib", line)
            assert await gdb.evaluate("fib(10)") == "55"
            await gdb.start("continue")
            assert "3" in await console.expect(console.prompt)

    trio.run(main)


@pytest.mark.parametrize("stub", STUBS)
def test_a_software_watchpoint_finds_who_writes_a_variable(running_up: RunningUp, stub: str) -> None:
    async def main() -> None:
        async with running_up() as up, attached(up, stub) as (gdb, console):
            await gdb.console("break fib if n == 1")
            await gdb.start("continue")
            await console.type("fib 3\r")
            await gdb.wait_stop()
            await gdb.console("set can-use-hw-watchpoints 0")
            await gdb.console("watch *(long *) ($sp - 8)")
            pc = (await gdb.resume("continue")).pc
            assert pc > 0xC000_0000_0000_0000
            await gdb.console("delete")
            await gdb.start("continue")
            await console.expect(console.prompt)

    trio.run(main)


def test_kill_through_the_bridge_ends_the_kernel_which_boots_again(running_up: RunningUp) -> None:
    async def main() -> None:
        async with running_up() as up, attached(up, "bridge") as (first, console):
            await first.console("kill")
            await console.expect("Enable thinwire")
            await console.expect(console.prompt)
            await console.type("trap\r")
            await console.expect("GDB got trap")
            async with open_gdb([str(guest_kernel())]) as second:
                await second.connect(f"{LOOPBACK}:{up.ports.bridge}")
                assert "breakpoint" in await second.console("backtrace 1")
                await second.start("continue")
                await console.expect(console.prompt)
                assert "fib" in await console.ask("help")

    trio.run(main)


def test_kill_on_the_emulators_stub_resets_the_machine_to_its_entry(running_up: RunningUp) -> None:
    async def main() -> None:
        async with running_up() as up, attached(up, "emulator_gdb") as (gdb, console):
            await gdb.console("kill")
            await gdb.connect(f"{LOOPBACK}:{up.ports.emulator_gdb}")
            assert "start" in await gdb.console("info symbol $pc")
            await gdb.start("continue")
            await console.expect("Enable thinwire")
            await console.expect(console.prompt)
            assert "fib" in await console.ask("help")

    trio.run(main)


def test_through_the_bridge_gdb_stops_a_running_kernel_by_typing(running_up: RunningUp) -> None:
    async def main() -> None:
        with trio.fail_after(110):
            async with running_up() as up, await up.console() as console:
                await console.expect(console.prompt)
                await console.type("half a li")
                await console.expect("half a li")
                async with open_gdb([str(guest_kernel())]) as gdb:
                    said = await gdb.connect(f"{LOOPBACK}:{up.ports.bridge}")
                    assert "breakpoint" in said
                    await gdb.start("continue")
                    assert "21" in await console.ask("fib 8")
                    await gdb.interrupt()
                    assert (await gdb.wait_stop()).frame["func"] == "breakpoint"
                    await gdb.console("detach")
                assert "55" in await console.ask("fib 10")

    trio.run(main)


def test_control_c_stops_the_emulated_machine(running_up: RunningUp) -> None:
    async def main() -> None:
        async with running_up() as up, attached(up, "emulator_gdb") as (gdb, console):
            await gdb.start("continue")
            assert "144" in await console.ask("fib 12")
            await gdb.interrupt()
            stop = await gdb.wait_stop()
            assert (stop.reason, stop.payload["signal-name"]) == ("signal-received", "SIGINT")
            await gdb.console("detach")
            assert "55" in await console.ask("fib 10")

    trio.run(main)


@pytest.mark.parametrize("stub", STUBS)
def test_steps_lead_through_a_change_of_threads(running_up: RunningUp, stub: str) -> None:
    """Half of `thread_switch` is the way into the kernel's debugger as well: a trap there would end it."""

    async def main() -> None:
        async with running_up() as up, attached(up, stub) as (gdb, console):
            await gdb.console("break thread_sleep")
            await gdb.resume("continue")
            await gdb.console("delete")
            await gdb.resume("stepi 300")
            await gdb.start("continue")
            await console.type("fib 5\r")
            assert "5" in await console.expect(console.prompt)

    trio.run(main)
