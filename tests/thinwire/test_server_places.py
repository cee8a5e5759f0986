"""Where a server finds its line and its clients: every kind of line and of channel."""

import os
import socket
from pathlib import Path

import pytest
import trio
import trio.testing
from server_bench import ANY, receive, running

from thinwire.endpoints import Connect, ConnectUnix, Exec, Listen, ListenUnix, LogFile, Pty, parse_endpoint
from thinwire.line import LineError
from thinwire.server import AnyChannel, InProcess, Server, serve
from thinwire.sources import open_source
from thinwire.victim import Victim


def contents(path: str) -> bytes:
    return Path(path).read_bytes()


def test_channels_on_unix_sockets_terminals_files_and_commands(tmp_path: Path) -> None:
    async def main() -> None:
        log, times, link, path = (f"{tmp_path}/{name}" for name in ("log", "times", "link", "socket"))
        channels: dict[int, AnyChannel] = {
            0: LogFile(log),
            1: ListenUnix(path),
            2: Pty(link),
            3: Exec("exec cat"),
            4: LogFile(times, timestamps=True),
        }
        async with running(channels) as bench:
            victim = bench.victim
            await victim.start()
            await victim.write(0, b"logged")
            assert contents(log) == b"Enable thinwire\n\rlogged"
            assert await victim.read(0) == b""
            assert os.stat(path).st_mode & 0o777 == 0o600
            local = await bench.clients.enter_async_context(await trio.open_unix_socket(path))
            await local.send_all(b"hello")
            assert await victim.read(1) == b"hello"
            terminal = os.open(link, os.O_RDWR | os.O_NOCTTY)
            os.write(terminal, b"typed\n")
            assert await victim.read(2) == b"typed\n"
            await victim.write(2, b"shown")
            assert os.read(terminal, 100) == b"shown"
            os.close(terminal)
            await victim.write(3, b"shout\n" * 2000)
            seen = b""
            while len(seen) < 12000:
                seen += await victim.read(3)
            assert seen == b"shout\n" * 2000
            await victim.write(4, b"one\ntwo")
            while contents(times).count(b":") < 4:
                await trio.testing.wait_all_tasks_blocked()
            assert [line.split(b" ", 2)[2] for line in contents(times).splitlines()] == [b"one", b"two"]

    trio.run(main)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "times"]


def test_the_line_may_be_any_stream() -> None:
    async def main() -> None:
        ours, its = trio.testing.memory_stream_pair()

        async def line() -> trio.abc.Stream:
            return its

        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                server = await nursery.start(serve, line, {0: InProcess()})
                console = server.attach(0)
                victim = Victim(ours)
                await victim.start()
                await victim.write(0, b"hello")
                assert await receive(console, 22) == b"Enable thinwire\n\rhello"
                await console.send_all(b"ls")
                assert await victim.read(0) == b"ls"
                nursery.cancel_scope.cancel()

    trio.run(main)


@pytest.mark.parametrize("kind", ["listen", "unix", "listen-unix", "pty"])
def test_lines_of_every_kind(kind: str, tmp_path: Path) -> None:
    path = str(tmp_path / "line")

    async def connect(server: Server) -> trio.abc.Stream:
        match kind:
            case "listen":
                endpoint = parse_endpoint(server.place.removeprefix("listen:"))
                assert isinstance(endpoint, Connect)
                return await trio.open_tcp_stream(endpoint.host, endpoint.port)
            case "listen-unix":
                return await trio.open_unix_socket(path)
            case _:
                return trio.lowlevel.FdStream(os.open(path, os.O_RDWR | os.O_NOCTTY))

    async def main() -> None:
        line = {
            "listen": ANY,
            "unix": ConnectUnix(path),
            "listen-unix": ListenUnix(path),
            "pty": Pty(path),
        }[kind]
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                sock = trio.socket.socket(socket.AF_UNIX)
                if kind == "unix":
                    await sock.bind(path)
                    sock.listen(1)
                server = await nursery.start(serve, line, {0: InProcess()})
                console = server.attach(0)
                for _ in range(2):
                    if kind == "unix":
                        connection, _ = await sock.accept()
                        stream: trio.abc.Stream = trio.SocketStream(connection)
                    else:
                        stream = await connect(server)
                    async with stream:
                        victim = Victim(stream)
                        await victim.start()
                        await victim.write(0, b"hello")
                        assert await receive(console, 22) == b"Enable thinwire\n\rhello"
                sock.close()
                nursery.cancel_scope.cancel()

    trio.run(main)


def test_a_socket_that_somebody_else_serves_by_now_is_left_alone(tmp_path: Path) -> None:
    """Whoever removes our socket's file and serves its own there keeps it when we end."""

    async def main() -> None:
        async with (
            running({1: ListenUnix(f"{tmp_path}/channel")}),
            open_source(ListenUnix(f"{tmp_path}/line")),
        ):
            for name in ("channel", "line"):
                os.unlink(tmp_path / name)
                with socket.socket(socket.AF_UNIX) as other:
                    other.bind(f"{tmp_path}/{name}")
        assert sorted(os.listdir(tmp_path)) == ["channel", "line"]

    trio.run(main)


def test_a_port_that_is_taken_is_named() -> None:
    async def main() -> None:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        taken = Listen(*listener.socket.getsockname())
        async with listener:
            expected = pytest.RaisesExc(LineError, match=f"cannot listen on 127.0.0.1:{taken.port}")
            with pytest.RaisesGroup(expected, flatten_subgroups=True):
                async with trio.open_nursery() as nursery:
                    await nursery.start(serve, Listen("127.0.0.1", 0), {3: taken})

    trio.run(main)
