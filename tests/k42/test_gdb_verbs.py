"""A kernel developer's day with stock gdb: what gdb says must be what its user expects, on both stubs."""

import re
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
PATIENCE = 60


@asynccontextmanager
async def attached(up, stub: str) -> AsyncIterator[tuple[Gdb, Console]]:
    """A gdb at a booted kernel that stands still, and the console.  Needs `--break-in trap`."""
    with trio.fail_after(PATIENCE):
        async with await up.console() as console, open_gdb([str(guest_kernel())]) as gdb:
            await console.expect(console.prompt)
            said = await gdb.connect(f"{LOOPBACK}:{getattr(up.ports, stub)}")
            assert "warning" not in said.lower() and "Remote failure" not in said
            yield gdb, console


async def stop_in(gdb: Gdb, console: Console, place: str, command: str) -> None:
    """Have `command` on the console lead to a temporary breakpoint at `place`."""
    await gdb.console(f"tbreak {place}")
    await gdb.start("continue")
    await console.type(command + "\r")
    assert (await gdb.wait_stop()).reason == "breakpoint-hit"


@pytest.mark.parametrize("stub", STUBS)
def test_places_values_and_ways_to_go_on(running_up: RunningUp, stub: str) -> None:
    async def main() -> None:
        async with running_up("--break-in", "trap") as up, attached(up, stub) as (gdb, console):
            await stop_in(gdb, console, "run_fib", "fib 4")
            await gdb.console("break fib")
            await gdb.console("ignore 2 2")
            stop = await gdb.resume("continue")
            assert (stop.reason, await gdb.evaluate("n")) == ("breakpoint-hit", "2")
            await gdb.console("delete")
            finished = await gdb.resume("finish")
            assert (finished.reason, finished.payload["return-value"]) == ("function-finished", "1")
            stop = await gdb.resume("next")
            assert (stop.reason, stop.frame["line"]) == ("end-stepping-range", "45")
            # A breakpoint inside what `next` steps over is a stop there.
            await gdb.console("tbreak fib")
            stop = await gdb.resume("next")
            assert (stop.reason, stop.frame["func"]) == ("breakpoint-hit", "fib")
            stop = await gdb.resume("advance 45")
            assert stop.frame["line"] == "45"
            assert await gdb.evaluate("fib(6)") == "8"
            assert '"mini> "' in await gdb.console("x/s prompt")
            assert '"shell"' in await gdb.console("print threads[2]")
            assert "commands.c" in await gdb.console("info line fib")
            assert "bl" in await gdb.console("disassemble /s fib")
            await gdb.console("set var prompt[0] = '?'")
            await gdb.start("continue")
            assert "fib(4) = 3" in await console.expect("?ini> ")

    trio.run(main)


@pytest.mark.parametrize("stub", STUBS)
def test_the_description_and_gdbs_layout_agree(running_up: RunningUp, stub: str) -> None:
    async def main() -> None:
        async with running_up("--break-in", "trap") as up, attached(up, stub) as (gdb, _console):
            described = re.findall(
                r'<reg name="(\w+)" bitsize="(\d+)"[^>]* regnum="(\d+)"',
                await gdb.console("maint print xml-tdesc"),
            )
            # Columns: name, number, rel, offset, size, type, remote number, offset in `g`.
            laid_out = {
                row[0]: (row[-2], row[4], row[-1])
                for line in (await gdb.console("maint print remote-registers")).splitlines()
                if len(row := line.split()) >= 8
            }
            offset = 0
            for name, bits, number in sorted(described, key=lambda row: int(row[2])):
                assert laid_out[name] == (number, str(int(bits) // 8), str(offset)), name
                offset += int(bits) // 8
            assert len(described) >= 71

    trio.run(main)


def test_hardware_watchpoints_say_old_and_new_once(running_up: RunningUp) -> None:
    async def main() -> None:
        async with running_up("--break-in", "trap") as up, attached(up, "emulator_gdb") as (gdb, console):
            await stop_in(gdb, console, "sieve", "sieve 20")
            await gdb.console("watch -l *largest")
            for old, new in (("0", "2"), ("2", "3")):
                stop = await gdb.resume("continue")
                assert stop.reason == "watchpoint-trigger"
                assert stop.payload["value"] == {"old": old, "new": new}
            await gdb.console("delete")
            await gdb.console("awatch composite[9]")
            stop = await gdb.resume("continue")
            assert stop.reason == "access-watchpoint-trigger"
            assert stop.payload["value"] == {"old": "0 '\\000'", "new": "1 '\\001'"}
            stop = await gdb.resume("continue")
            assert stop.payload["value"] == {"new": "1 '\\001'"}
            await gdb.console("delete")
            await gdb.console("rwatch composite[17]")
            stop = await gdb.resume("continue")
            assert stop.reason == "read-watchpoint-trigger"
            await gdb.console("delete")
            await gdb.console("hbreak console_print")
            assert (await gdb.resume("continue")).frame["func"] == "console_print"

    trio.run(main)


@pytest.mark.parametrize("stub", STUBS)
def test_control_c_ends_a_software_watchpoint(running_up: RunningUp, stub: str) -> None:
    async def main() -> None:
        async with running_up("--break-in", "trap") as up, attached(up, stub) as (gdb, console):
            await stop_in(gdb, console, "fib", "fib 30")
            await gdb.console("set can-use-hw-watchpoints 0")
            await gdb.console("watch verbosity")
            await gdb.start("continue")
            # gdb takes a Ctrl-C only once it waits; it steps for ever meanwhile, so ask until it does.
            stop = None
            while stop is None:
                await gdb.interrupt()
                with trio.move_on_after(1):
                    stop = await gdb.wait_stop()
            assert stop.payload["signal-name"] == "SIGINT"
            await gdb.console("delete")
            assert (await gdb.resume("stepi")).reason == "end-stepping-range"

    trio.run(main)


@pytest.mark.parametrize("stub", STUBS)
def test_gdb_killed_leaves_no_trap(running_up: RunningUp, stub: str) -> None:
    """While the kernel runs with a breakpoint, and while it stands at one."""

    async def main() -> None:
        async with running_up("--break-in", "trap") as up, attached(up, stub) as (gdb, console):
            await stop_in(gdb, console, "fib", "fib 3")
            await gdb.console("break fib")
            await gdb.resume("continue")
            gdb.process.kill()
            await gdb.process.wait()
            async with open_gdb([str(guest_kernel())]) as second:
                await second.connect(f"{LOOPBACK}:{getattr(up.ports, stub)}")
                assert await second.evaluate("n") == "2"
                assert "std " in await second.console("x/i fib")
                await second.console("break sieve")
                await second.start("continue")
                await console.expect("fib(3) = 2")
                second.process.kill()
                await second.process.wait()
            assert "4 primes" in await console.ask("sieve 7")

    trio.run(main)


def test_a_breakpoint_where_none_can_be_is_refused_by_name(running_up: RunningUp) -> None:
    async def main() -> None:
        async with running_up("--break-in", "trap") as up, attached(up, "bridge") as (gdb, console):
            said: list[str] = []
            gdb.echo = said.append
            for function in ("memcpy", "gdb_trap"):
                await gdb.console(f"break {function}")
                stop = await gdb.resume("continue")
                assert stop.payload["signal-name"] == "0"
                assert re.search(rf"Cannot insert a breakpoint: .*{function}", "".join(said))
                await gdb.console("delete")
            assert "Cannot access memory" not in "".join(said)
            await gdb.start("continue")
            await console.expect(console.prompt)

    trio.run(main)


def test_a_second_gdb_is_told_who_is_there(running_up: RunningUp) -> None:
    async def main() -> None:
        async with running_up("--break-in", "trap") as up, attached(up, "emulator_gdb") as (gdb, console):
            said: list[str] = []
            async with open_gdb([str(guest_kernel())], echo=said.append) as second:
                await second.console(f"echo > target remote {LOOPBACK}:{up.ports.emulator_gdb}")
                with pytest.raises(Exception, match="Target disconnected|closed"):
                    await second.connect(f"{LOOPBACK}:{up.ports.emulator_gdb}")
            await gdb.start("continue")
            assert "55" in await console.ask("fib 10")

    trio.run(main)
