"""`k42 trace` as it is used: what it refuses, and what a Ctrl-C leaves behind."""

import os
import pty
import re
import signal
import subprocess
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import trio

from k42.ports import LOOPBACK

RunningUp = Callable[..., AbstractAsyncContextManager]
Command = Callable[..., AbstractAsyncContextManager]


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "--skip", "-1"],
        ["show", "--skip", "99999999999999999999"],
        ["show", "--count", "-1"],
        ["show", "--count", "many"],
        ["record", "--out", "/dev/null", "--steps", "-5"],
        ["record", "--out", "/dev/null", "--steps", "5", "--within", "-1"],
        ["record", "--out", "/dev/null", "--steps", "5", "--within", "nan"],
    ],
)
def test_a_number_that_is_none_is_named(k42: Path, arguments: list[str]) -> None:
    action, *options = arguments
    done = subprocess.run(
        [str(k42), "trace", action, *options, "/dev/null"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert options[-1] in line
    assert options[-2] in line


def test_an_interrupted_recording_lets_the_target_go(
    k42: Path, running_up: RunningUp, tmp_path: Path
) -> None:
    out = tmp_path / "steps.trace"

    async def main() -> tuple[int | None, str]:
        with trio.fail_after(110):
            async with running_up() as up, await up.console() as console:
                await console.expect(console.prompt)
                terminal, stderr = pty.openpty()  # only who watches is shown progress
                where = ["--remote", f"{LOOPBACK}:{up.ports.emulator_gdb}"]
                process = await trio.lowlevel.open_process(
                    [str(k42), "trace", "record", *where, "--steps", "10000000", "--out", str(out)],
                    stdout=subprocess.DEVNULL,
                    stderr=stderr,
                )
                os.close(stderr)
                said = ""
                async with trio.lowlevel.FdStream(terminal) as screen:
                    while "of 10,000,000 steps" not in said:
                        said += (await screen.receive_some()).decode()
                    process.send_signal(signal.SIGINT)
                    while "interrupted" not in said:
                        said += (await screen.receive_some()).decode()
                    await process.wait()
                assert "55" in await console.ask("fib 10")
                return process.returncode, said

    status, said = trio.run(main)
    assert status == 130
    assert str(out) in said
    shown = subprocess.run([str(k42), "trace", "show", str(out)], capture_output=True, text=True, timeout=60)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout


def test_a_full_disk_is_one_line(k42: Path, tmp_path: Path) -> None:
    out = tmp_path / "steps.trace"
    record = [str(k42), "trace", "record", "--steps", "3000", "--out", str(out)]
    subprocess.run(record, check=True, stdout=subprocess.DEVNULL, timeout=90)
    for command in [*record[:-1], "/dev/full"], [str(k42), "trace", "show", str(out)]:
        with open("/dev/full", "w") as full:
            done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=90)
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert "No space left" in line


def test_a_trace_on_standard_output_has_nothing_beside_it(k42: Path, tmp_path: Path) -> None:
    record = [str(k42), "trace", "record", "--steps", "300", "--out"]
    out = tmp_path / "steps.trace"
    subprocess.run([*record, str(out)], check=True, stdout=subprocess.DEVNULL, timeout=90)
    piped = subprocess.run([*record, "/dev/stdout"], capture_output=True, timeout=90)
    assert (piped.returncode, piped.stdout) == (0, out.read_bytes())
    assert piped.stderr == b"300 steps in /dev/stdout\n"


def test_what_did_not_begin_leaves_the_older_trace(k42: Path, tmp_path: Path) -> None:
    out = tmp_path / "steps.trace"
    out.write_bytes(b"a trace that took a night")
    record = [str(k42), "trace", "record", "--out", str(out), "--steps", "9", "--from", "0x10"]
    terminal, stderr = pty.openpty()
    process = subprocess.Popen(record, stdout=subprocess.DEVNULL, stderr=stderr)
    os.close(stderr)
    said = b""
    while b"on the way" not in said:
        said += os.read(terminal, 4096)
    process.send_signal(signal.SIGINT)
    while b"no step was made" not in said:
        said += os.read(terminal, 4096)
    assert process.wait(60) == 130
    os.close(terminal)
    assert out.read_bytes() == b"a trace that took a night"


def test_an_empty_trace_is_called_so(k42: Path) -> None:
    shown = subprocess.run(
        [str(k42), "trace", "show", "/dev/null"], capture_output=True, text=True, timeout=60
    )
    assert shown.returncode == 2
    assert "the trace is empty" in shown.stderr


def test_ctrl_c_on_the_way_to_a_remote_place_takes_the_breakpoint_out(
    k42: Path, command: Command, tmp_path: Path
) -> None:
    log = tmp_path / "packets"
    os.mkfifo(log)
    reader = os.open(log, os.O_RDONLY | os.O_NONBLOCK)

    async def main() -> tuple[int | None, str, str]:
        with trio.fail_after(110):
            async with (
                command("emulate", "--halt", "--gdb", "0", "--log", str(log)) as machine,
                trio.lowlevel.FdStream(reader) as packets,
            ):
                port = re.search(r"127\.0\.0\.1:(\d+)", await machine.expect("line "))
                assert port is not None
                record = [str(k42), "trace", "record", "--remote", f"{LOOPBACK}:{port[1]}", "--from", "0x10"]
                process = await trio.lowlevel.open_process(
                    [*record, "--steps", "5", "--out", str(tmp_path / "steps.trace")], stderr=subprocess.PIPE
                )
                assert process.stderr is not None
                sent = ""
                while "-> $c#63" not in sent:
                    sent += (await packets.receive_some()).decode()
                process.send_signal(signal.SIGINT)
                said = b""
                while more := await process.stderr.receive_some():
                    said += bytes(more)
                await process.wait()
                while "-> $D#44" not in sent:
                    sent += (await packets.receive_some()).decode()
                return process.returncode, said.decode(), sent

    status, said, sent = trio.run(main)
    assert (status, said) == (130, "interrupted; no step was made\n")
    assert sent.index("-> $Z0,10,4#") < sent.index("-> $c#63") < sent.index("-> $z0,10,4#")
