"""Sessions of the real gdb, and one of lldb 14, recorded once: tests/golden/*.rsp.  Run this file to record
them anew; lldb's only where there is one, since it is no tool of ours.

The program they debug is recorded with them (program.elf), so that a compiler's next version changes nothing.
"""

from __future__ import annotations

import logging
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import program
import trio
from machine_target import MachineTarget

from gdbstub.server import serve
from gdbstub.transcript import log

FOLDER = Path(__file__).parent.parent / "golden"
PROGRAM = FOLDER / "program.elf"

BRANCH_TO_ITSELF = "set var *(int *) $pc = 0x48000000"

#: What gdb is told after `target remote`; the name of each is that of its file.
SESSIONS = {
    "attach": ["info registers pc", "info threads", "x/4i $pc", "detach"],
    "breakpoint": ["break fib if n == 1", "continue", "bt", "delete", "detach"],
    "step": ["stepi", "stepi 5", "step", "detach"],
    "next": ["break work", "continue", "next", "next", "info locals", "detach"],
    "finish": ["break fib", "continue", "delete", "finish", "detach"],
    "watch": ["watch rounds", "continue", "continue", "detach"],
    "call": ["break work", "continue", "print sum_table()", "set var table[0] = 1003", "detach"],
    "interrupt": [BRANCH_TO_ITSELF, "continue", "info registers pc", "detach"],
    "kill": ["kill"],
}

#: lldb 14 takes a big-endian file for a little-endian one, so it is given none.
LLDB = "lldb-14"
LLDB_LINES = [
    "register read pc r1 msr f1",
    "disassemble -c 4",
    "memory read 0x1000023c",
    "si",
    "register read pc",
    "breakpoint set --address 0x100000e8",
    "continue",
    "register read pc lr",
    "detach",
]


def make_target() -> MachineTarget:
    """Return the target all sessions begin with."""
    return MachineTarget(program.load(PROGRAM))


@contextmanager
def packets_to(path: Path) -> Iterator[None]:
    """Write the packets to `path`, without times, so that a second recording is the same file."""
    handler = logging.FileHandler(path, mode="w", encoding="ascii")
    handler.setFormatter(logging.Formatter("%(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        log.removeHandler(handler)
        handler.close()


async def _interrupt_when_running(target: MachineTarget, gdb: trio.Process) -> None:
    while target.stopped is not None or target.resumed == 0:
        await trio.lowlevel.checkpoint()
    gdb.send_signal(signal.SIGINT)


def gdb_command(port: int, name: str) -> list[str]:
    """Return the command line of a session."""
    lines = ["set pagination off", "set confirm off", "set width 0", f"target remote 127.0.0.1:{port}"]
    arguments = [item for line in [*lines, *SESSIONS[name]] for item in ("-ex", line)]
    return [program.GDB, "-nx", "-batch", *arguments, str(PROGRAM)]


def lldb_command(port: int) -> list[str]:
    """Return the command line of lldb's session."""
    lines = [f"gdb-remote 127.0.0.1:{port}", *LLDB_LINES]
    arguments = [item for line in lines for item in ("-o", line)]
    return [LLDB, "--no-lldbinit", "--batch", "--script-language", "none", *arguments]


async def run_gdb(port: int, name: str) -> str:
    """Run a session against whoever listens; return what gdb prints."""
    with trio.fail_after(program.PATIENCE):
        done = await trio.run_process(
            gdb_command(port, name), capture_stdout=True, stderr=subprocess.STDOUT, stdin=b""
        )
    return done.stdout.decode("utf-8", "replace")


async def record(name: str) -> None:
    """Run the session with the real gdb and our server."""
    target = make_target()
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        serve_gdb = partial(serve, target=target, name="gdb")
        nursery.start_soon(trio.serve_listeners, serve_gdb, listeners)
        port = listeners[0].socket.getsockname()[1]
        command = lldb_command(port) if name == LLDB else gdb_command(port, name)
        gdb = await trio.lowlevel.open_process(command)
        if name == "interrupt":
            nursery.start_soon(_interrupt_when_running, target, gdb)
        await gdb.wait()
        nursery.cancel_scope.cancel()


def record_all() -> None:
    FOLDER.mkdir(exist_ok=True)
    if not PROGRAM.exists() or "--program" in sys.argv:
        # Small, and without the name of the folder it was made in.
        options = [f"-ffile-prefix-map={program.SOURCE.parent}=.", "-Wl,-z,max-page-size=4096"]
        command = [*program.COMPILE, *options, "-o", str(PROGRAM), program.SOURCE.name]
        subprocess.run(command, check=True, cwd=program.SOURCE.parent)
    for name in [*SESSIONS, *([LLDB] if shutil.which(LLDB) else [])]:
        print(f"== {name}", flush=True)
        with packets_to(FOLDER / f"{name}.rsp"):
            trio.run(record, name)


if __name__ == "__main__":
    record_all()
