"""`--log` and `k42 rsp replay`: a session written by one command is played by another."""

import re
import subprocess
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import trio

from gdbstub.packet import frame
from k42.cli import main
from k42.gdb_programs import find_gdb

GOLDEN = Path(__file__).parent.parent / "golden"


def test_a_logged_session_is_played_again(
    command: Callable[..., AbstractAsyncContextManager], tmp_path: Path
) -> None:
    log, twin = tmp_path / "log", tmp_path / "twin"
    arguments = ("emulate", "--halt", "--line", "listen:127.0.0.1:0", "--gdb", "0", "--log", str(log))

    async def use() -> int:
        async with command(*arguments) as machine:
            said = await machine.expect("line ")
            port = int(re.search(r"127\.0\.0\.1:(\d+)", said)[1])  # type: ignore[index]
            async with await trio.open_tcp_stream("127.0.0.1", port) as gdb:
                for body in (b"QStartNoAckMode", b"vMustReplyEmpty", b"?"):
                    await gdb.send_all(frame(body))
                heard = b""
                while b"$T05" not in heard:
                    heard += await gdb.receive_some()
            twin.write_bytes(log.read_bytes())
            return await trio.to_thread.run_sync(
                main, ["rsp", "replay", str(twin), "--to", f"127.0.0.1:{port}"]
            )

    assert trio.run(use) == 0
    assert "-> $?#3f\t; QueryStop" in twin.read_text()


def test_a_log_that_cannot_be_written_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bridge", "127.0.0.1:1", "--listen", "0", "--log", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"k42 bridge: --log {tmp_path}: Is a directory\n"


def test_a_recorded_session_says_what_to_type_in_gdb(
    command: Callable[..., AbstractAsyncContextManager],
) -> None:
    recorded = GOLDEN / "step.rsp"

    async def use() -> tuple[str, int]:
        async with command("rsp", "replay", str(recorded), "--as-server", "0") as server:
            said = await server.expect("target remote ")
            connect = re.search(r"target remote \S+", said)
            assert connect
            lines = (connect[0], "stepi", "stepi 5", "step", "detach")
            gdb = [find_gdb(), "-nx", "-batch", str(GOLDEN / "program.elf")]
            gdb += [word for line in lines for word in ("-ex", line)]
            with trio.fail_after(60):
                done = await trio.run_process(gdb, capture_stdout=True, stderr=subprocess.STDOUT, stdin=b"")
                return done.stdout.decode(), await server.process.wait()

    output, status = trio.run(use)
    assert "detached" in output and "rror" not in output and status == 0, output
