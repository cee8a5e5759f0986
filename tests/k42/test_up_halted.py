"""Two gdbs at one `k42 up`: one on the emulator's stub halts the machine under the other one's bridge."""

import subprocess
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import trio

from k42.kernel import guest_kernel
from k42.ports import LOOPBACK
from k42.session import open_gdb

RunningUp = Callable[..., AbstractAsyncContextManager]


async def run_gdb(place: str, command: str) -> str:
    """Return what gdb prints that connects to `place`, runs `command` and ends."""
    arguments = ["-nx", "-batch", "-ex", f"target remote {place}", "-ex", command, str(guest_kernel())]
    done = await trio.run_process(
        ["gdb-multiarch", *arguments],
        stdin=b"",
        capture_stdout=True,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return done.stdout.decode()


def test_a_bridge_whose_machine_is_halted_says_so_and_what_lets_it_go(running_up: RunningUp) -> None:
    async def main() -> None:
        async with running_up() as up:
            below, bridge = f"{LOOPBACK}:{up.ports.emulator_gdb}", f"{LOOPBACK}:{up.ports.bridge}"
            with trio.fail_after(110):
                async with await up.console() as console:
                    await console.expect(console.prompt)
                async with open_gdb([str(guest_kernel())]) as gdb:
                    await gdb.connect(below)
                    said = await run_gdb(bridge, "detach")
                    assert (
                        f"the machine itself is halted, at the emulator's stub: `target remote {below}`"
                        in said
                    )
                    await gdb.console("detach")
                said = await run_gdb(bridge, "print $pc != 0")
                assert "= 1" in said and "halted" not in said, said

    trio.run(main)
