"""How many packets a gdb with `k42 gdb`'s settings sends: few, and no more than the documentation says."""

import re
import subprocess
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import trio

from gdbstub.replay import Exchange, read_conversations
from k42.gdb import connect_arguments
from k42.gdb_programs import find_gdb
from k42.kernel import guest_kernel

SCRIPT = ("break bootinfo_open", "continue", *["stepi"] * 20, "disconnect")
SECONDS = 60


def record(command: Callable[..., AbstractAsyncContextManager], log: Path) -> list[Exchange]:
    """Run a gdb session on our guest and return its packets."""
    arguments = ("emulate", "--halt", "--line", "listen:127.0.0.1:0", "--gdb", "0", "--log", str(log))

    async def use() -> bytes:
        async with command(*arguments) as machine:
            said = await machine.expect("line ")
            place = re.search(r"127\.0\.0\.1:\d+", said)
            assert place
            gdb = [find_gdb(), "-nx", "-batch", *connect_arguments(place[0], guest_kernel())]
            gdb += [word for line in SCRIPT for word in ("-ex", line)]
            with trio.fail_after(SECONDS):
                done = await trio.run_process(gdb, capture_stdout=True, stderr=subprocess.STDOUT, stdin=b"")
            return done.stdout

    output = trio.run(use)
    assert b"Breakpoint 1, bootinfo_open" in output and b"rror" not in output, output
    with log.open() as file:
        (talk,) = read_conversations(file).values()
    return talk


def test_attach_and_stepi_cost_what_the_documentation_says(
    command: Callable[..., AbstractAsyncContextManager], tmp_path: Path
) -> None:
    requests = [exchange.request for exchange in record(command, tmp_path / "log")]
    first_breakpoint = next(index for index, body in enumerate(requests) if body.startswith(b"Z0"))
    assert first_breakpoint <= 20, requests[:first_breakpoint]
    steps = [index for index, body in enumerate(requests) if body.startswith(b"vCont;s")]
    assert len(steps) == 20
    # In a new function gdb looks at its caller, too: those are the exceptions.
    costs = sorted(later - earlier for earlier, later in zip(steps, steps[1:], strict=False))
    assert costs[len(costs) // 2] <= 4 and costs[-4] <= 6, costs
