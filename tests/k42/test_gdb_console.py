"""`k42 gdb` knows the console of the machine it is connected to, however that was named."""

import subprocess
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import trio

from k42.ports import LOOPBACK, Ports

RunningUp = Callable[..., AbstractAsyncContextManager]


@pytest.mark.parametrize("host", [LOOPBACK, "localhost"])
def test_the_console_of_a_machine_that_is_named_by_its_port(
    k42: Path, running_up: RunningUp, host: str
) -> None:
    async def main() -> str:
        async with running_up() as up, await up.console() as console:
            await console.expect("mini> ")
            with trio.fail_after(90):
                result = await trio.run_process(
                    [str(k42), "gdb", f"{host}:{up.ports.emulator_gdb}", "--"]
                    + ["-nx", "-batch", "-ex", "tbreak fib", "-ex", "k42 console fib 9", "-ex", "continue"],
                    capture_stdout=True,
                    stderr=subprocess.STDOUT,
                )
            return result.stdout.decode()

    assert "fib (n=n@entry=9)" in trio.run(main)


def test_both_of_our_gdb_ports_name_their_set() -> None:
    ports = Ports(3102)
    for port in (ports.bridge, ports.emulator_gdb):
        assert ports in Ports.around_gdb(port)
    assert Ports.around_gdb(1) == []
