"""The programs as K42's wrapper scripts call them."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio

from thinwire.cli import _modern, run
from thinwire.frames import Read, Select, Write, encode
from thinwire.handshake import SENTINEL
from thinwire.mux import Protocol, Transfer
from thinwire.transfers import describe
from thinwire.victim import Victim

BIN = Path(sys.executable).parent


class Output:
    """A process's output, line by line."""

    def __init__(self, stream: trio.abc.ReceiveStream) -> None:
        self._stream = stream
        self.text = b""

    async def until(self, wanted: bytes) -> None:
        while wanted not in self.text:
            data = await self._stream.receive_some()
            assert data, self.text
            self.text += bytes(data)


def with_program(
    program: str,
    words: list[str],
    script: Callable[[trio.SocketStream, trio.Process, Output], Awaitable[None]],
    *,
    status: int,
) -> Output:
    """Run a program against a victim of ours that the script plays."""
    outputs = []

    async def main() -> None:
        with trio.fail_after(30):
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            line = f"localhost:{listener.socket.getsockname()[1]}"
            command = [str(BIN / program), *(line if word == "LINE" else word for word in words)]
            async with listener:
                process = await trio.lowlevel.open_process(command, stdout=-1, stderr=-1)
                assert process.stdout is not None and process.stderr is not None
                output = Output(process.stdout)
                outputs.append(output)
                try:
                    async with await listener.accept() as stream, process.stdout, process.stderr:
                        await script(stream, process, output)
                        await process.wait()
                        for rest in (process.stdout, process.stderr):
                            output.text += b"".join([bytes(data) async for data in rest])
                finally:
                    process.kill()
                    await process.wait()
            assert process.returncode == status

    trio.run(main)
    return outputs[0]


@pytest.mark.parametrize(
    ("program", "begins"), [("thinwire", b""), ("thinwire2", SENTINEL), ("thinwire3", SENTINEL)]
)
def test_the_name_chooses_the_protocol_and_the_victims_end_the_status(program: str, begins: bytes) -> None:
    async def script(stream: trio.SocketStream, process: trio.Process, output: Output) -> None:
        await stream.send_all(begins + encode(Write(1, b"x", True)))
        assert await stream.receive_some() == b"A  !!"
        await stream.send_all(b"$    ")

    output = with_program(program, ["LINE", "127.0.0.1:0", ":", "127.0.0.1:0"], script, status=255)
    assert b"received termination request" in output.text
    assert output.text.count(b"on 127.0.0.1:") == 2


def test_the_wrappers_channel_list_is_understood() -> None:
    """thinwire_mambo.sh gives stdout and three sets, with -verbose and -debug."""

    async def script(stream: trio.SocketStream, process: trio.Process, output: Output) -> None:
        victim = Victim(stream)
        await victim.start()
        await victim.write(0, b"on the terminal\n")
        await output.until(b"on the terminal\n")
        assert await victim.read(0) == b""
        await output.until(b"channel 17 on")
        process.send_signal(signal.SIGINT)

    specs = ["stdout", "0", "0", "0", "0", ":", "0", "0", ":", "0", "0", ":"]
    words = ["-debug", "-verbose", "-s", "9600", "57600", "-hw", "LINE", *specs]
    output = with_program("thinwire3", words, script, status=0)
    assert b"00 > 0016 on the terminal.  |  6f 6e" in output.text


def test_a_terminated_server_leaves_no_link_behind(tmp_path: Path) -> None:
    async def script(stream: trio.SocketStream, process: trio.Process, output: Output) -> None:
        await output.until(b"victim")
        assert os.readlink(f"{tmp_path}/console").startswith("/dev/pts/")
        process.send_signal(signal.SIGTERM)

    with_program("thinwire3", ["LINE", f"pty:{tmp_path}/console"], script, status=0)
    assert list(tmp_path.iterdir()) == []


def test_the_first_versions_have_unused_channels_and_one_terminal() -> None:
    """Port 0 and what is no SPEC leave a channel out; the first stdout can be typed on."""

    async def script(stream: trio.SocketStream, process: trio.Process, output: Output) -> None:
        for number in (0, 1):
            await stream.send_all(encode(Write(number, b"x", True)) + encode(Read(number, 5)))
            assert await stream.receive_some() == b"A  !" + bytes((0x20 + number,))[:1] + encode_empty(number)
        await stream.send_all(encode(Write(2, b"on the terminal\n", True)))
        await output.until(b"on the terminal\n")
        await stream.send_all(encode(Write(3, b"first on three", False)))
        await output.until(b"awaiting connection on channel 3 (127.0.0.1:")
        await stream.send_all(b"$    ")

    output = with_program("thinwire", ["LINE", "0", "none", "stdout", "127.0.0.1:0"], script, status=255)
    assert b"'none' names no port" not in output.text.split(b"warning")[0]
    assert b"channel is not used" in output.text


def encode_empty(number: int) -> bytes:
    return bytes((0x30 + number,)) + b"   " + bytes((0x20 + number,))


@pytest.mark.parametrize("spec", ["rfc2217://localhost:1", "lgo:file", "localhost:"])
def test_the_first_versions_refuse_what_an_original_would_not_have_been_told(
    spec: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("thinwire", ["no-such-host.invalid:1", spec]) == 2
    error = capsys.readouterr().err
    assert spec in error and "not used" not in error


def test_ports_are_written_as_in_c_for_the_third(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("thinwire3", ["localhost:1", "0x836", "192.0.2.1:0"]) == 2
    assert "192.0.2.1" in capsys.readouterr().err
    assert _modern(["0x836", "04066", "2102", "stdout"], Protocol.V3, "") == [
        "2102",
        "2102",
        "2102",
        "stdout",
    ]
    assert _modern(["04066", "00", "stdout", "stdout"], Protocol.V1, "") == ["04066", "-", "stdio", "stdout"]


def test_a_lost_connection_is_told_in_the_originals_words() -> None:
    async def script(stream: trio.SocketStream, process: trio.Process, output: Output) -> None:
        await output.until(b"victim localhost")
        found = re.search(rb"channel 0 on 127\.0\.0\.1:(\d+)", output.text)
        assert found is not None
        client = await trio.open_tcp_stream("127.0.0.1", int(found[1]))
        await output.until(b"connection on channel 0")
        await client.aclose()
        await output.until(b"connection lost on channel 0 (127.0.0.1:")
        process.terminate()

    with_program("thinwire3", ["LINE", "127.0.0.1:0"], script, status=0)


def test_debugging_lists_the_lines_bytes() -> None:
    async def script(stream: trio.SocketStream, process: trio.Process, output: Output) -> None:
        await stream.send_all(encode(Write(0, b"hel", True)))
        assert await stream.receive_some() == b"A  # "
        await stream.send_all(b"$    ")

    output = with_program("thinwire", ["-debug", "LINE", "127.0.0.1:0"], script, status=255)
    assert b"-> 30 20 20 23 20 68 65 6c\n" in output.text and b"<- 41 20 20 23 20\n" in output.text


def test_a_socket_victim_by_path(tmp_path: Path) -> None:
    async def main() -> None:
        with trio.fail_after(30):
            path = f"{tmp_path}/longer-than-14-characters"
            sock = trio.socket.socket(trio.socket.AF_UNIX)
            await sock.bind(path)
            sock.listen(1)
            process = await trio.lowlevel.open_process(
                [str(BIN / "thinwire"), path, "127.0.0.1:0"], stdout=-1
            )
            assert process.stdout is not None
            connection, _ = await sock.accept()
            sock.close()
            async with trio.SocketStream(connection) as stream, process.stdout:
                await stream.send_all(encode(Read(5, 10)))
                assert await stream.receive_some() == b"5   %"
                process.terminate()
                await process.wait()

    trio.run(main)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["localhost:1", "99999"], "'99999' is no port number"),
        (["localhost:1", *["0"] * 96], "there are 95, 0 to 94"),
        (["localhost:http", "0"], "'http' is no port number"),
        (["-s", "9600", "123", "localhost:1", "0"], "-s 123: no such speed"),
        (["-s", "\u00b2", "9600", "localhost:1", "0"], "-s \u00b2: no such speed"),
        (["", "0"], "names no port"),
        (["localhost:1", "frobnicate:"], "no port number"),
        (["no-such-host.invalid:1", "0"], "the host is not known"),
        (["localhost:1", "192.0.2.1:0"], "cannot listen on 192.0.2.1:0"),
        (["localhost:1", "0", "--observe", "3=0"], "no channel 3 to observe"),
    ],
)
def test_mistakes_are_named_in_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("thinwire3", words) == 2
    error = capsys.readouterr().err
    assert message in error and error.startswith("thinwire3: ") and error.count("\n") == 1


def test_an_open_port_is_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("thinwire3", ["--bind", "192.0.2.1", "localhost:1", "0"]) == 2
    assert "warning: anybody who can reach 192.0.2.1" in capsys.readouterr().err


def test_the_verbose_listing_is_the_originals() -> None:
    assert describe(Transfer(1, True, b"a\0b\xff\n")) == ["01 > 0005 a.b..             |  61 00 62 ff 0a"]
    assert describe(Transfer(8, True, b"", 5)) == ["   !(1) 05"]
    long = describe(Transfer(0, False, bytes(range(0x41, 0x41 + 20))))
    assert long[0] == "00 < 0020 ABCDEFGHIJKLMNOP  |  41 42 43 44 45 46 47 48 49 4a 4b 4c 4d 4e 4f 50"
    assert long[1] == "          QRST              |  51 52 53 54"


@pytest.mark.parametrize("command", [["thinwire3"], ["k42", "mux"]])
def test_standard_input_and_output_are_a_line(command: list[str], tmp_path: Path) -> None:
    """For a simulator that starts us: nothing but the wire is on standard output, and its end is ours."""
    log = tmp_path / "log"
    done = subprocess.run(
        [str(BIN / command[0]), *command[1:], "--control", f"{tmp_path}/c", "stdio", f"log:{log}"],
        input=SENTINEL + encode(Write(0, b"hello", True)) + encode(Select(8)),
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == b"A  % " + b"!  $(\0\0\0\0"
    assert b"stdio" in done.stderr
    assert log.read_bytes() == b"hello"


@pytest.mark.parametrize("command", [["thinwire3"], ["k42", "mux"]])
@pytest.mark.parametrize("path", ["/dev/null", __file__])
def test_what_cannot_be_waited_for_is_no_line(command: list[str], path: str, tmp_path: Path) -> None:
    with open(path) as file:
        done = subprocess.run(
            [str(BIN / command[0]), *command[1:], "--control", f"{tmp_path}/c", "stdio", "-"],
            stdin=file,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 2 and not done.stdout
    assert "standard input cannot be a line" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
