"""`monitor` on both stubs, and what they say to a command that they do not have."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import trio

from k42.ports import LOOPBACK
from k42.session import Gdb, open_gdb

RunningUp = Callable[..., AbstractAsyncContextManager]


def test_monitor_speaks_its_users_language(running_up: RunningUp) -> None:
    async def answers(gdb: Gdb, port: int, *commands: str) -> list[str]:
        await gdb.connect(f"{LOOPBACK}:{port}")
        return [await gdb.console(f"monitor {command}") for command in commands]

    async def main() -> None:
        async with running_up("--break-in", "trap") as up:
            with trio.fail_after(60):
                async with open_gdb() as gdb:
                    questions = ("help", "slb", "single-step-mode", "single-step-mode sideways")
                    help_, slb, mode, refused = await answers(gdb, up.ports.emulator_gdb, *questions)
                    assert "single-step-mode" in help_ and "esid c00000000" in slb
                    assert "is hardware" in mode and "auto, hardware, software" in refused
                    stays = await gdb.console("monitor single-step-mode software")
                    assert "stays hardware" in stays
                    await gdb.console("detach")
                    help_, slb, mode, refused = await answers(gdb, up.ports.bridge, *questions)
                    assert "single-step-mode" in help_ and "monitor slb: this stub has no monitor" in slb
                    assert "is auto" in mode and "auto, hardware, software" in refused
                    await gdb.console("detach")

    trio.run(main)
