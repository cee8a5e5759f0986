"""The control socket: status, observing, attaching, taking over, injecting, reset."""

import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
import trio.testing

from thinwire import control
from thinwire.handshake import SENTINEL
from thinwire.line import LineError
from thinwire.server import InProcess, Server, serve
from thinwire.victim import Victim


@contextlib.asynccontextmanager
async def controlled(path: str, reset: control.Reset | None = None) -> AsyncIterator[tuple[Server, Victim]]:
    ours, its = trio.testing.memory_stream_pair()

    async def line() -> trio.abc.Stream:
        return its

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            server = await nursery.start(serve, line, {0: InProcess(), 1: InProcess()})
            await control.open_control(server, path, nursery, reset)
            victim = Victim(ours)
            await ours.send_all(SENTINEL)
            yield server, victim
            nursery.cancel_scope.cancel()


async def receive(stream: trio.abc.ReceiveStream, length: int) -> bytes:
    seen = b""
    while len(seen) < length:
        data = await stream.receive_some()
        assert data, seen
        seen += bytes(data)
    return seen


def test_status_names_line_channels_and_counters(tmp_path: Path) -> None:
    async def main() -> None:
        async with controlled(f"{tmp_path}/s") as (server, victim):
            server.attach(1, "the bridge")
            await victim.write(0, b"hello")
            assert await victim.select(0) == set()
            status = await control.ask_status(f"{tmp_path}/s")
            assert status == server.status()
            text = control.describe(status)
            assert "open, framed" in text and "writer the bridge" in text and "(+5)" in text
            assert os.stat(f"{tmp_path}/s").st_mode & 0o777 == 0o600

    trio.run(main)


def test_a_channel_is_observed_attached_and_taken(tmp_path: Path) -> None:
    path = f"{tmp_path}/s"

    async def main() -> None:
        async with controlled(path) as (server, victim):
            await victim.write(1, b"early")
            first = await control.attach(path, 1)
            watched = await control.observe(path, 1)
            assert await receive(first, 5) == await receive(watched, 5) == b"early"
            with pytest.raises(control.ControlError, match="channel 1 is held by process"):
                await control.attach(path, 1)
            second = await control.attach(path, 1, take=True)
            assert await first.receive_some() == b""
            await victim.write(1, b"late")
            assert await receive(second, 4) == await receive(watched, 4) == b"late"
            await second.send_all(b"typed")
            assert await victim.read(1) == b"typed"
            await control.inject(path, 1, b"injected")
            assert await victim.read(1) == b"injected"
            for stream in (first, second, watched):
                await stream.aclose()
            await server.ports[1].free.wait()

    trio.run(main)


def test_the_machine_is_reset_through_it(tmp_path: Path) -> None:
    path = f"{tmp_path}/s"
    done = []

    async def reset() -> str:
        done.append(True)
        if len(done) > 1:
            raise OSError("the power switch does not answer")
        return "power cycled"

    async def main() -> None:
        async with controlled(path, reset):
            assert await control.reset(path) == "power cycled"
            with pytest.raises(control.ControlError, match="power switch"):
                await control.reset(path)
        async with controlled(path):
            with pytest.raises(control.ControlError, match="no reset command"):
                await control.reset(path)

    trio.run(main)


def test_nonsense_is_refused_in_a_line(tmp_path: Path) -> None:
    path = f"{tmp_path}/s"

    async def main() -> None:
        async with controlled(path) as (_, victim):
            for nonsense, mend in (
                (b"\n", "is no command"),
                (b"frobnicate\n", "'frobnicate' is no command; there are status, observe N"),
                (b"attach 7\n", "there is no channel 7"),
                (b"inject 7 x\n", "there is no channel 7"),
                (b"inject 0 x\n", "inject N LENGTH"),
                (b"inject 0\n", "inject N LENGTH"),
                (b"inject 0 99999\n", "at most 65536 bytes"),
                (b"\xff" * 500, "is no command"),
                (b"observe\n", "observe N"),
                ("observe \u00b2\n".encode(), "there is no channel \u00b2"),
                ("inject 0 \u00b2\n".encode(), "inject N LENGTH"),
            ):
                stream = await trio.open_unix_socket(path)
                await stream.send_all(nonsense)
                answer = b"".join([bytes(data) async for data in stream]).decode()
                assert answer.startswith("error ") and answer.count("\n") == 1
                assert mend in answer
                await stream.aclose()
            assert await victim.select(0) == set()

    trio.run(main)


def test_a_client_may_leave_at_any_time(tmp_path: Path) -> None:
    """A Unix socket that is closed with something unread is reset, and a write to it fails."""
    path = f"{tmp_path}/s"

    async def main() -> None:
        async with controlled(path) as (server, victim):
            server.attach(1)
            for command in (b"observe 0\n", b"observe 1\n", b"attach 0\n"):
                stream = await trio.open_unix_socket(path)
                await stream.send_all(command)
                assert await receive(stream, 3) == b"ok\n"
                await victim.write(0, b"unread")
                await victim.write(1, b"unread")
                await trio.lowlevel.wait_readable(stream.socket)
                await stream.aclose()
                while any(channel.observers for channel in server.mux.channels.values()):
                    await trio.testing.wait_all_tasks_blocked(0.01)
                await server.ports[0].free.wait()
            assert await control.ask_status(path) == server.status()

    trio.run(main)


def test_who_leaves_while_the_victim_takes_nothing_holds_nothing(tmp_path: Path) -> None:
    path = f"{tmp_path}/s"

    async def main() -> None:
        async with controlled(path) as (server, victim):
            port = server.ports[1]
            writer = await trio.open_unix_socket(path)
            await writer.send_all(b"attach 1\n" + bytes(port.mux.rules.input_limit))
            while not port.is_full:
                await trio.testing.wait_all_tasks_blocked(0.01)
            await writer.send_all(b"this is not read any more")
            injector = await trio.open_unix_socket(path)
            await injector.send_all(b"inject 1 3\nnor")
            await trio.testing.wait_all_tasks_blocked(0.05)
            await writer.aclose()
            await injector.aclose()
            await port.free.wait()
            await trio.testing.wait_all_tasks_blocked(0.05)
            while await victim.select(0):
                assert not (await victim.read(1)).strip(b"\0")
            assert port.status()["dropped"] == len(b"this is not read any more")

    trio.run(main)


def test_who_is_put_out_may_be_typing(tmp_path: Path) -> None:
    path = f"{tmp_path}/s"

    async def main() -> None:
        async with controlled(path) as (server, _):
            first = await control.attach(path, 1)

            async def type_on() -> None:
                with pytest.raises(trio.BrokenResourceError):
                    while True:
                        await first.send_all(bytes(server.mux.rules.input_limit))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(type_on)
                while not server.ports[1].is_full:
                    await trio.testing.wait_all_tasks_blocked(0.01)
                await trio.testing.wait_all_tasks_blocked(0.1)
                second = await control.attach(path, 1, take=True)
            assert await control.ask_status(path) == server.status()
            await first.aclose()
            await second.aclose()

    trio.run(main)


def test_who_is_not_there_is_named() -> None:
    with pytest.raises(control.ControlError, match="no multiplexer answers at /nowhere"):
        trio.run(control.ask_status, "/nowhere")


def test_sockets_are_made_in_a_private_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert control.default_path("mux") == f"{tmp_path}/k42/mux-{os.getpid()}"
    assert control.find() == []
    (tmp_path / "k42").chmod(0o755)
    with pytest.raises(LineError, match="not a private directory"):
        control.directory()


def test_a_socket_of_a_dead_process_is_replaced(tmp_path: Path) -> None:
    path = f"{tmp_path}/s"

    async def main() -> None:
        dead = trio.socket.socket(trio.socket.AF_UNIX)
        await dead.bind(path)
        dead.close()
        async with controlled(path) as (server, victim):
            assert await control.ask_status(path) == server.status()
            with pytest.raises(LineError, match="Address already in use"):
                async with controlled(path):
                    pass

    with pytest.RaisesGroup(LineError, flatten_subgroups=True):
        trio.run(main)


@pytest.mark.parametrize("last_words", [None, b"", b"ok\n", b'ok\n{"line": {'])
def test_a_multiplexer_that_ends_while_it_is_asked_is_one_error(
    last_words: bytes | None, tmp_path: Path
) -> None:
    """`None`: before it has accepted the connection."""
    path = str(tmp_path / "control")

    async def main() -> None:
        with trio.socket.socket(trio.socket.AF_UNIX) as listener:
            await listener.bind(path)
            listener.listen()

            async def end() -> None:
                if last_words is not None:
                    connection, _ = await listener.accept()
                    with connection:
                        await connection.recv(100)
                        await connection.send(last_words)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(end)
                with pytest.raises(control.ControlError, match="closed the connection"):
                    if last_words is None:
                        await ask_one_that_has_ended(listener, path)
                    await control.ask_status(path)

    trio.run(main)


async def ask_one_that_has_ended(listener: trio.socket.SocketType, path: str) -> None:
    """Have the listener closed between the connection and the question."""
    opened = control.open_unix

    async def open_and_end(place: str) -> trio.socket.SocketType:
        connection = await opened(place)
        listener.close()
        return connection

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(control, "open_unix", open_and_end)
        await control.ask_status(path)
