"""The commands as processes: what bad input gets, the parts in processes of their own, the live terminal."""

import os
import pty
import re
import signal
import subprocess
import termios
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import trio

from k42.cli import SUBCOMMANDS, main
from k42.console_session import Console, open_console
from k42.kernel import guest_kernel
from k42.ports import LOOPBACK

RunningUp = Callable[..., AbstractAsyncContextManager]
Command = Callable[..., AbstractAsyncContextManager]


def run(k42: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(k42), *arguments], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
    )


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["up", "/nonexistent"], "/nonexistent"),
        (["up", "--base", "70000"], "70000"),
        (["up", "--memory", "lots"], "lots"),
        (["up", "--memory", "7"], "7"),
        (["emulate", "/etc/passwd"], "--raw"),
        (["emulate", "/bin/true"], "little-endian"),
        (["emulate", "--halt"], "--gdb"),
        (["emulate", "--entry", "0x100"], "--raw"),
        (["emulate", "--raw", "zero", "/etc/passwd"], "zero"),
        (["emulate", "--line", "nowhere"], "nowhere"),
        (["emulate", "--gdb", "rfc2217://a:1"], "rfc2217://a:1"),
        (["mux", "localhost:1", "notaport"], "notaport"),
        (["mux", "localhost:99999", "2102"], "99999"),
        (["console", "nowhere"], "k42.toml"),
        (["console", "--base", "2"], "k42 up"),
        (["gdb", "nowhere"], "k42.toml"),
        (["up", "nowhere"], "k42.toml"),
        (["mux", "nowhere", "2102"], "k42.toml"),
        (["mux", "localhost:1", "exec:"], "colon"),
        (["bridge", "nowhere", "--listen", "0"], "nowhere"),
        (["gdb", "--base", "2"], "k42 up"),
        (["trace", "show", "/nonexistent"], "/nonexistent"),
        (["trace", "show", "/etc/passwd"], "/etc/passwd"),
        (["trace", "record", "--steps", "0", "--out", "/dev/null"], "--steps"),
        (["trace", "record", "--steps", "1", "--out", "/nonexistent/x"], "/nonexistent/x"),
        (["trace", "record", "--steps", "1", "--from", "nosuch", "--out", "/dev/null"], "nosuch"),
        (["trace", "record", "--steps", "1", "--type", "ticks", "--out", "/dev/null"], "--from"),
    ],
)
def test_bad_input_gets_one_line_and_status_2(k42: Path, arguments: list[str], names: str) -> None:
    done = run(k42, *arguments)
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"k42 {arguments[0]}: ")
    assert names in lines[0]


def test_output_that_nobody_reads_any_more_is_no_error(k42: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [str(k42), "doctor"], stdout=writer, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=60
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_the_help_shows_how_it_is_used(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    actions = {"trace": ["", "record", "show"], "rsp": ["", "replay"], "capture": ["", "show", "replay"]}
    for action in actions.get(name, [""]):
        words = [name, action] if action else [name]
        with pytest.raises(SystemExit, match="0"):
            main([*words, "--help"])
        _options, examples = capsys.readouterr().out.split("examples:\n")
        for line in examples.splitlines():
            assert line.startswith("  k42 " + " ".join(words))


def test_a_port_in_use_is_named(k42: Path, running_up: RunningUp) -> None:
    async def main() -> None:
        async with running_up() as up:
            done = run(k42, "up", "--no-console", "--base", str(up.ports.base))
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1
        assert str(up.ports.base) in done.stderr

    trio.run(main)


def test_machine_mux_and_console_in_processes_of_their_own(
    k42: Path, command: Command, tmp_path: Path
) -> None:
    line = tmp_path / "line"

    async def main() -> None:
        async with (
            command("emulate", "--line", f"listen-unix:{line}") as machine,
            command("mux", f"unix:{line}", "0", "gdb:0") as mux,
        ):
            await machine.expect("line ")
            said = await mux.expect("line ")
            console_port, gdb_port = re.findall(r"127\.0\.0\.1:(\d+)", said)
            async with await open_console(LOOPBACK, int(console_port)) as console:
                await console.expect(console.prompt)
                assert "6765" in await console.ask("fib 20")
            gdb = ["gdb-multiarch", "-nx", "-batch", str(guest_kernel()), "-ex", f"target remote :{gdb_port}"]
            refused = await trio.run_process(gdb, capture_stdout=True, capture_stderr=True, check=False)
            assert b"enter its debugger from the console" in refused.stdout + refused.stderr

    trio.run(main)


def test_the_live_terminal_and_its_monitor(k42: Path, free_ports: int) -> None:
    async def main() -> tuple[int | None, list[object], list[object]]:
        keyboard, terminal = pty.openpty()
        before = termios.tcgetattr(terminal)
        process = await trio.lowlevel.open_process(
            [str(k42), "up", "--base", str(free_ports)],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
        )
        with trio.fail_after(100):
            stream = trio.lowlevel.FdStream(keyboard)
            console = Console(_Both(stream))
            await console.expect(console.prompt)
            assert "55" in await console.ask("fib 10")
            await console.type("\x1d")
            await console.expect("monitor>")
            await console.type("quit\r")
            await process.wait()
            after = termios.tcgetattr(terminal)
            await stream.aclose()
        os.close(terminal)
        return process.returncode, before, after

    status, before, after = trio.run(main)
    assert status == 0
    assert before == after


class _Both(trio.abc.Stream):
    """A pty's master as a trio stream, which FdStream all but is."""

    def __init__(self, stream: trio.lowlevel.FdStream) -> None:
        self._stream = stream

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return bytes(await self._stream.receive_some(max_bytes))

    async def aclose(self) -> None:
        await self._stream.aclose()


def test_interrupt_ends_up_with_status_130_and_no_traceback(running_up: RunningUp) -> None:
    async def main() -> tuple[int | None, str]:
        async with running_up() as up:
            up.process.send_signal(signal.SIGINT)
            with trio.fail_after(20):
                await up.process.wait()
            return up.process.returncode, (await up.process.stdout.receive_some()).decode()

    status, rest = trio.run(main)
    assert status == 130
    assert "Traceback" not in rest


def test_a_trace_is_the_same_every_time_and_shows_the_kernels_own_words(k42: Path, tmp_path: Path) -> None:
    files = [tmp_path / "one.trace", tmp_path / "two.trace"]
    for file in files:
        done = run(
            k42,
            "trace",
            "record",
            "--from",
            "fib",
            "--type",
            r"fib 9\r",
            "--steps",
            "300",
            "--out",
            str(file),
        )
        assert (done.returncode, done.stderr) == (0, "")
    assert files[0].read_bytes() == files[1].read_bytes()
    shown = run(k42, "trace", "show", "--disassemble", str(files[0])).stdout.splitlines()
    assert len(shown) == 300
    assert re.match(r"\s+0 c0000000\w{8} fib \s*\w{8}", shown[0])
    listing = subprocess.run(
        ["powerpc64-linux-gnu-objdump", "-d", str(guest_kernel())], capture_output=True, text=True, check=True
    ).stdout
    words = {m[1]: m[2].replace(" ", "") for m in re.finditer(r"^(c0\w{14}):\t((?:\w\w ){4})", listing, re.M)}
    for line in shown:
        _number, pc, _symbol, word = line.split()[:4]
        assert words[pc] == word


def test_a_trace_over_rsp_equals_the_machines_own(k42: Path, command: Command, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours.trace", tmp_path / "theirs.trace"
    run(k42, "trace", "record", "--steps", "200", "--out", str(ours))

    async def main() -> None:
        async with command("emulate", "--halt", "--gdb", "0") as machine:
            said = await machine.expect("line ")
            port = re.search(r"127\.0\.0\.1:(\d+)", said)
            assert port is not None
            arguments = ["trace", "record", "--remote", f"{LOOPBACK}:{port[1]}", "--steps", "200"]
            await trio.run_process([str(k42), *arguments, "--out", str(theirs)])

    trio.run(main)
    general = re.compile(r" r\d+=\w+| lr=\w+| ctr=\w+")
    for mine, other in zip(
        run(k42, "trace", "show", str(ours)).stdout.splitlines(),
        run(k42, "trace", "show", str(theirs)).stdout.splitlines(),
        strict=True,
    ):
        assert mine.split()[:4] == other.split()[:4]
        assert sorted(general.findall(mine)) == sorted(general.findall(other))
