"""What reaches a running multiplexer from beside: status, a second console, reset, recordings."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest
import trio

from k42.console_session import Console
from k42.ports import LOOPBACK

RunningUp = Callable[..., AbstractAsyncContextManager]
Command = Callable[..., AbstractAsyncContextManager]


class Piped(trio.abc.Stream):
    """The standard input and output of a process as one stream."""

    def __init__(self, process: trio.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._stapled = trio.StapledStream(process.stdin, process.stdout)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stapled.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stapled.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return bytes(await self._stapled.receive_some(max_bytes))

    async def aclose(self) -> None:
        await self._stapled.aclose()


async def start(k42: Path, nursery: trio.Nursery, *arguments: str) -> Console:
    """A `k42` process with its standard streams as a console."""
    run = partial(trio.run_process, stdin=subprocess.PIPE, stdout=subprocess.PIPE, check=False)
    process = await nursery.start(partial(run, [str(k42), *arguments]))
    return Console(Piped(process))


async def status(k42: Path, *arguments: str) -> str:
    done = await trio.run_process([str(k42), "status", *arguments], capture_stdout=True, check=False)
    return done.stdout.decode()


def test_status_names_whoever_does_not_answer(
    k42: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "k42").mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "k42" / "up-1"))
        silent.listen()
        done = subprocess.run([str(k42), "status"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "up-1 does not answer" in done.stderr


def test_status_names_the_ports_and_counts_the_bytes(k42: Path, running_up: RunningUp) -> None:
    async def main() -> None:
        async with running_up() as up, await up.console() as console:
            await console.expect(console.prompt)
            await console.ask("fib 10")
            place = f"{LOOPBACK}:{up.ports.console}"
            assert f"channel  0 at {place}" in await status(k42)
            answers = json.loads(await status(k42, "--json"))
            mine = next(a for a in answers.values() if a["channels"]["0"]["places"] == [place])
            assert mine["line"]["phase"] == "framed"
            assert f"{LOOPBACK}:{up.ports.emulator_gdb}" in mine["line"]["place"]
            assert f"gdb: target remote {LOOPBACK}:{up.ports.bridge}" in mine["channels"]["1"]["places"]
            assert mine["channels"]["0"]["received"] == len("fib 10\r")
            assert mine["channels"]["0"]["writer"].startswith(LOOPBACK)

    trio.run(main)


def test_a_second_console_looks_on_or_takes_over(k42: Path, running_up: RunningUp) -> None:
    async def main() -> None:
        with trio.fail_after(100):
            async with running_up() as up, await up.console() as first, trio.open_nursery() as nursery:
                await first.expect(first.prompt)
                base = str(up.ports.base)
                observer = await start(k42, nursery, "console", "--base", base, "--observe")
                await observer.expect(observer.prompt)
                await observer.type("echo ignored\r")
                assert await first.ask("echo seen by both") == "seen by both"
                assert "ignored" not in await observer.expect("seen by both")
                taker = await start(k42, nursery, "console", f"localhost:{base}", "--take")
                await taker.expect(taker.prompt)
                await taker.expect(taker.prompt)
                assert await taker.ask("echo mine now") == "mine now"
                nursery.cancel_scope.cancel()

    trio.run(main)


def test_the_line_is_recorded_shown_and_replayed(k42: Path, command: Command, tmp_path: Path) -> None:
    line, recording = tmp_path / "line", tmp_path / "line.pcapng"

    async def main() -> None:
        async with (
            command("emulate", "--line", f"listen-unix:{line}") as machine,
            command("mux", f"unix:{line}", "0", "--capture", str(recording)) as mux,
        ):
            await machine.expect("line ")
            port = (await mux.expect("line ")).split("127.0.0.1:")[1].split()[0]
            async with Console(await trio.open_tcp_stream(LOOPBACK, int(port))) as console:
                await console.expect(console.prompt)
                await console.ask("fib 10")

    trio.run(main)
    shown = capture(k42, "show", recording)
    assert "fib 10" in shown.stdout
    replayed = capture(k42, "replay", recording)
    assert (replayed.returncode, "every answer as recorded" in replayed.stdout) == (0, True)
    damaged = tmp_path / "damaged"
    damaged.write_bytes(b"not a recording")
    refused = capture(k42, "show", damaged)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
    damaged.write_bytes(recording.read_bytes()[:-5])
    cut = capture(k42, "show", damaged)
    assert (cut.returncode, len(cut.stderr.splitlines())) == (2, 1)
    assert "is cut off" in cut.stderr and "fib 10" in cut.stdout
    played = capture(k42, "replay", damaged)
    assert "is cut off" in played.stderr and "packets: " in played.stdout
    data = bytearray(recording.read_bytes())
    data[32:36] = b"\1\0\0\0"  # the length of the second block
    damaged.write_bytes(data)
    for action in ("show", "replay"):
        broken = capture(k42, action, damaged)
        assert (broken.returncode, len(broken.stderr.splitlines())) == (2, 1), broken


def capture(k42: Path, action: str, file: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([k42, "capture", action, file], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "command_line", [["up", "--no-console", "--base"], ["mux", "localhost:1", "127.0.0.1:0"]]
)
def test_sigterm_leaves_no_control_socket(
    k42: Path, free_ports: int, command_line: list[str], tmp_path: Path
) -> None:
    words = [*command_line, str(free_ports)] if command_line[0] == "up" else command_line
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    with subprocess.Popen([k42, *words], stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        while not process.stdout.readline().startswith((b"gdb ", b"line ")):
            assert process.poll() is None
        assert len(list((tmp_path / "k42").iterdir())) == 1
        process.terminate()
        assert process.wait(60) == 128 + signal.SIGTERM
    assert list((tmp_path / "k42").iterdir()) == []
