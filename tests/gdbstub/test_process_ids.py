"""Process ids: we announce none, and there is one machine whatever a gdb calls it."""

from functools import partial
from pathlib import Path

import golden
import program
import pytest
import trio
from machine_target import MachineTarget

from gdbstub.replay import read_conversations
from gdbstub.server import serve

SESSION = (
    *("info threads", "thread 1", "break fib", "continue", "bt 1", "stepi", "next", "detach"),
    *("attach 1", "thread 1", "kill", "run", "bt 1", "delete", "detach"),
)


def debug(target: MachineTarget, multiprocess: str) -> str:
    """Run one gdb over a server after `set remote multiprocess-feature-packet`."""

    async def main() -> str:
        async with trio.open_nursery() as nursery:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            nursery.start_soon(trio.serve_listeners, partial(serve, target=target, name="gdb"), listeners)
            port = listeners[0].socket.getsockname()[1]
            again = ("disconnect", f"set remote multiprocess-feature-packet {multiprocess}")
            connect = f"target extended-remote 127.0.0.1:{port}"
            output = await program.run_gdb(port, *again, connect, *SESSION)
            nursery.cancel_scope.cancel()
        return output

    return trio.run(main)


@pytest.mark.parametrize("multiprocess", ["on", "off", "auto"])
def test_gdb_may_name_a_process_or_not(multiprocess: str, tmp_path: Path) -> None:
    target = MachineTarget(program.load(), executable_name=str(program.build()))
    log = tmp_path / "packets"
    with golden.packets_to(log):
        output = debug(target, multiprocess)
    assert "rror" not in output and "Remote failure" not in output and "warning" not in output, output
    assert output.count("Breakpoint 1, fib") == 2 and output.count("#0  fib") == 2, output
    assert (target.resets, target.killed, target.detached) == (1, True, True), output
    with log.open() as file:
        requests = [exchange.request for exchange in read_conversations(file)["gdb"]]
    says_process = [body for body in requests if body.startswith((b"Hgp", b"vCont;c:p", b"vCont;s:p", b"D;"))]
    assert bool(says_process) == (multiprocess == "on"), says_process
