"""A first start has the processor to compile; whoever asks `k42 up` something meanwhile is answered."""

import os
import re
import subprocess
import sys
from pathlib import Path

import trio

from k42.console_session import open_console
from k42.ports import LOOPBACK, Ports

#: `k42` that says of every group of handlers whether the event loop stood still for it.
TELLING = """
import sys, trio
from emulator.engines import native
from k42.cli import main

compile_group = native._compile

def compile_and_tell(group):
    print("compiled", group.name, "in the loop" if trio.lowlevel.in_trio_run() else "beside it", flush=True)
    return compile_group(group)

native._compile = compile_and_tell
sys.exit(main(sys.argv[1:]))
"""


def test_nothing_is_compiled_in_the_event_loop(free_ports: int, tmp_path: Path) -> None:
    ports = Ports(free_ports)

    async def main() -> str:
        command = [sys.executable, "-c", TELLING, "up", "--no-console", "--base", str(ports.base)]
        environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
        process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, env=environment)
        assert process.stdout is not None
        said = ""
        try:
            with trio.fail_after(110):
                while str(ports.emulator_gdb) not in said:
                    said += (await process.stdout.receive_some()).decode()
                async with await open_console(LOOPBACK, ports.console) as console:
                    await console.expect(console.prompt)
                    assert "55" in await console.ask("fib 10")
                process.terminate()
                while more := await process.stdout.receive_some():
                    said += more.decode()
        finally:
            process.kill()
            await process.wait()
        return said

    compiled = dict(re.findall(r"compiled (\S+) (.*)", trio.run(main)))
    assert compiled["pairs.o"] == "beside it"
    assert [name for name, where in compiled.items() if where == "in the loop"] == []
