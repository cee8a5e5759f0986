"""The whole server over real sockets: a victim of ours on the line, clients on the channels."""

import contextlib
import os
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio
import trio.testing

from thinwire.channels import ChannelBusy
from thinwire.endpoints import (
    Connect,
    ConnectUnix,
    Exec,
    Listen,
    ListenUnix,
    LogFile,
    Pty,
    parse_endpoint,
)
from thinwire.frames import Write, encode
from thinwire.handshake import SENTINEL
from thinwire.line import LineError
from thinwire.mux import Rules
from thinwire.server import AnyChannel, InProcess, Options, Server, serve
from thinwire.sources import open_source
from thinwire.victim import Victim

ANY = Listen("127.0.0.1", 0)


@dataclass
class Bench:
    """A server whose line is connected to us."""

    server: Server
    listener: trio.SocketListener
    stream: trio.SocketStream
    victim: Victim
    clients: contextlib.AsyncExitStack

    async def client(self, number: int) -> trio.SocketStream:
        endpoint = parse_endpoint(self.server.ports[number].places[0])
        assert isinstance(endpoint, Connect)
        client = await trio.open_tcp_stream(endpoint.host, endpoint.port)
        await self.clients.enter_async_context(client)
        port = self.server.ports[number]
        while port.holder is None:
            await trio.testing.wait_all_tasks_blocked()
        return client

    async def reset_target(self) -> None:
        await self.stream.aclose()
        self.stream = await self.listener.accept()
        self.victim = Victim(self.stream)


@contextlib.asynccontextmanager
async def running(channels: dict[int, AnyChannel], options: Options | None = None) -> AsyncIterator[Bench]:
    with trio.fail_after(20):
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        async with trio.open_nursery() as nursery, listener, contextlib.AsyncExitStack() as clients:
            line = Connect(*listener.socket.getsockname())
            server = await nursery.start(serve, line, channels, options or Options())
            stream = await listener.accept()
            bench = Bench(server, listener, stream, Victim(stream), clients)
            try:
                yield bench
            finally:
                bench.stream.socket.close()
            nursery.cancel_scope.cancel()


def contents(path: str) -> bytes:
    return Path(path).read_bytes()


async def receive(stream: trio.abc.ReceiveStream, length: int) -> bytes:
    seen = b""
    while len(seen) < length:
        data = await stream.receive_some()
        assert data, seen
        seen += data
    return seen


def test_console_and_debugger_over_one_line() -> None:
    async def main() -> None:
        async with running({0: ANY, 1: ANY}) as bench:
            console, gdb = await bench.client(0), await bench.client(1)
            await bench.victim.say(b"firmware\r\n")
            assert await receive(console, 10) == b"firmware\r\n"
            await console.send_all(b"boot\n")
            assert await receive(bench.stream, 6) == b"boot\n\r"
            await bench.victim.start()
            await bench.victim.write(0, b"hello")
            assert (await receive(console, 22)).endswith(b"hello")
            await gdb.send_all(b"$g#67")
            assert await bench.victim.read(1) == b"$g#67"
            assert await bench.victim.select(0) == set()
            await console.send_all(b"ls\n")
            while not (ready := await bench.victim.select(0)):
                pass
            assert ready == {0}
            assert await bench.victim.read(0, 2) == b"ls"
            assert await bench.victim.read(0, 2) == b"\n"
            await bench.victim.write(1, b"+" + bytes(40000))
            assert await receive(gdb, 40001) == b"+" + bytes(40000)

    trio.run(main)


def test_what_the_client_sent_before_the_select_is_seen_by_it() -> None:
    async def main() -> None:
        async with running({1: ANY}) as bench:
            client = await bench.client(1)
            await bench.victim.start()
            for _ in range(50):
                await client.send_all(b"x")
                assert await bench.victim.select(0) == {1}
                assert await bench.victim.read(1) == b"x"

    trio.run(main)


def test_typing_that_no_firmware_reads_waits_with_whoever_types() -> None:
    """Before the handshake typing goes straight to the line, which may not take it."""

    async def main() -> None:
        async with running({0: ANY}) as bench:
            console = await bench.client(0)
            limit = 32 * 1024 * 1024
            typed = 0

            async def type_on() -> None:
                nonlocal typed
                for _ in range(limit // 65536):
                    await console.send_all(b"\n" * 65536)
                    typed += 65536

            async with trio.open_nursery() as nursery:
                nursery.start_soon(type_on)
                while not bench.server.ports[0].is_full:
                    await trio.testing.wait_all_tasks_blocked(0.01)
                await trio.testing.wait_all_tasks_blocked(0.2)
                assert typed < limit
                heard = 0
                while heard < 2 * limit:
                    heard += len(await bench.stream.receive_some())
            await console.send_all(b"still heard")
            assert await receive(bench.stream, 11) == b"still heard"

    trio.run(main)


def test_typing_for_a_line_that_is_not_there_yet_stops_and_goes_on() -> None:
    async def main() -> None:
        async with running({0: ANY}) as bench:
            console = await bench.client(0)
            port, typed = bench.server.ports[0], 1024 * 1024
            bench.listener.socket.close()
            bench.stream.socket.close()
            while bench.server.is_line_open:
                await trio.testing.wait_all_tasks_blocked()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(console.send_all, bytes(typed))
                while not port.is_full:
                    await trio.testing.wait_all_tasks_blocked(0.01)
                endpoint = parse_endpoint(bench.server.place)
                assert isinstance(endpoint, Connect)
                (listener,) = await trio.open_tcp_listeners(endpoint.port, host=endpoint.host)
                async with listener, await listener.accept() as stream:
                    assert await receive(stream, typed) == bytes(typed)

    trio.run(main)


def test_an_injection_beside_a_client_may_fill_the_channel() -> None:
    async def main() -> None:
        async with running({1: ANY}) as bench:
            client = await bench.client(1)
            await bench.victim.start()
            size = bench.server.mux.rules.input_limit
            await bench.server.inject(1, bytes(size))
            while size:
                size -= len(await bench.victim.read(1))
            await client.send_all(b"typed")
            assert await bench.victim.read(1) == b"typed"

    trio.run(main)


def test_a_read_that_waits_hears_that_its_client_has_left() -> None:
    """A stub that reads while its debugger dies would wait with interrupts off until the next one."""

    async def main() -> None:
        async with running({1: ANY}) as bench:
            await bench.victim.start()
            client = await bench.client(1)
            async with trio.open_nursery() as nursery:

                async def read(expected: bytes) -> None:
                    assert await bench.victim.read(1) == expected

                for _ in range(2):
                    nursery.start_soon(read, b"")
                    while not bench.server.mux.channels[1].held_reads:
                        await trio.testing.wait_all_tasks_blocked()
                    await client.aclose()
                    while bench.server.mux.channels[1].held_reads:
                        await trio.testing.wait_all_tasks_blocked(0.01)
                    client = await bench.client(1)

    trio.run(main)


def test_the_target_comes_back_and_the_clients_never_left() -> None:
    async def main() -> None:
        async with running({0: ANY, 1: ANY}) as bench:
            console = await bench.client(0)
            for turn in range(20):
                await bench.victim.start()
                await bench.victim.write(0, b"turn %d" % turn)
                text = b"Enable thinwire\n\rturn %d" % turn
                assert await receive(console, len(text)) == text
                await bench.stream.send_all(b"0  *!half")
                await bench.reset_target()
            await bench.victim.start()
            assert await bench.victim.select(0) == set()
            assert bench.server.line_lives == 21

    trio.run(main)


def test_clients_come_and_go_and_nothing_is_lost_silently() -> None:
    async def main() -> None:
        async with running({1: ANY}) as bench:
            await bench.victim.start()
            await bench.victim.write(1, b"before anybody came;")
            for turn in range(50):
                client = await bench.client(1)
                await client.send_all(b"hello %d" % turn)
                assert await bench.victim.read(1) == b"hello %d" % turn
                if turn == 0:
                    assert await receive(client, 20) == b"before anybody came;"
                if turn % 2:
                    linger = struct.pack("ii", 1, 0)
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)  # leave with a reset
                await client.aclose()
                await bench.server.ports[1].free.wait()
            await bench.victim.write(1, b"for the successor")
            assert await receive(await bench.client(1), 17) == b"for the successor"

    trio.run(main)


def test_a_write_behind_a_client_that_left_goes_to_its_successor() -> None:
    """The client's end is found by the write itself, not first by some task."""

    async def main() -> None:
        async with running({1: ANY}) as bench:
            await bench.victim.start()
            for turn in range(20):
                client = await bench.client(1)
                await bench.victim.select(0)
                client.socket.close()
                await bench.victim.write(1, b"turn %2d" % turn)
                await bench.server.ports[1].free.wait()
                successor = await bench.client(1)
                assert await receive(successor, 7) == b"turn %2d" % turn
                await successor.aclose()
                await bench.server.ports[1].free.wait()

    trio.run(main)


def test_a_clients_last_words_do_not_hide_its_end() -> None:
    async def main() -> None:
        async with running({1: ANY}) as bench:
            await bench.victim.start()
            for _ in range(20):
                client = await bench.client(1)
                await client.send_all(b"last words")
                await client.aclose()
                await bench.victim.write(1, b"an answer")
                successor = await bench.client(1)
                assert await receive(successor, 9) == b"an answer"
                await successor.aclose()
                assert await bench.victim.read(1) == b"last words"

    trio.run(main)


@pytest.mark.parametrize("acked", [True, False])
def test_a_client_that_does_not_read_holds_up_nobody_else(acked: bool) -> None:
    async def main() -> None:
        rules = Rules(output_limit=50_000, patience=0.01)
        async with running({0: ANY, 2: ANY}, Options(rules)) as bench:
            slow, console = await bench.client(2), await bench.client(0)
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await bench.victim.start()
            await receive(console, 17)
            sent = 0
            while not bench.server.mux.channels[2].dropped:
                if acked:
                    await bench.victim.write(2, bytes(16384))
                else:
                    await bench.stream.send_all(encode(Write(2, bytes(16384), False)))
                sent += 16384
                await bench.victim.write(0, b"x")
                assert await receive(console, 1) == b"x"
            channel = bench.server.mux.channels[2]
            assert channel.sent + channel.dropped + channel.outgoing.size == sent

    trio.run(main)


def test_a_reader_that_keeps_up_loses_nothing_of_a_flood() -> None:
    async def main() -> None:
        async with running({1: ANY}, Options(Rules(output_limit=20_000))) as bench:
            client = await bench.client(1)
            await bench.victim.start()
            flood = b"".join(encode(Write(1, b"%15d\n" % line, False)) for line in range(50_000))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(bench.stream.send_all, flood)
                text = await receive(client, 16 * 50_000)
            assert text == b"".join(b"%15d\n" % line for line in range(50_000))

    trio.run(main)


@pytest.mark.parametrize("acked", [True, False])
def test_a_client_that_is_just_connecting_loses_nothing_of_a_flood(acked: bool) -> None:
    """The kernel has accepted the connection; we have not yet."""

    async def main() -> None:
        async with running({1: ANY}, Options(Rules(output_limit=20_000))) as bench:
            await bench.victim.start()
            place = parse_endpoint(bench.server.ports[1].places[0])
            assert isinstance(place, Connect)
            sock = socket.create_connection((place.host, place.port))
            await bench.stream.socket.send(encode(Write(1, bytes(1000), acked)) * 30)
            sock.setblocking(False)
            async with trio.SocketStream(trio.socket.from_stdlib_socket(sock)) as client:
                assert await receive(client, 30_000) == bytes(30_000)

    trio.run(main)


def test_a_second_client_of_the_console_watches_and_then_writes() -> None:
    async def main() -> None:
        async with running({0: ANY}) as bench:
            first, second = await bench.client(0), await bench.client(0)
            notice = await receive(second, 60)
            assert notice.startswith(b"[thinwire: channel 0 is held by 127.0.0.1:")
            await bench.victim.start()
            await receive(first, 17)
            await receive(second, 17)
            await second.send_all(b"not heard")
            await bench.victim.write(0, b"for both")
            assert await receive(first, 8) == await receive(second, 8) == b"for both"
            assert await bench.victim.select(0) == set()
            await first.aclose()
            seen = b""
            while b"you write now]\r\n" not in seen:
                seen += await second.receive_some()
            await second.send_all(b"heard")
            assert await bench.victim.read(0) == b"heard"

    trio.run(main)


def test_the_writer_of_the_console_watches_whoever_takes_it_over_and_gets_it_back() -> None:
    async def main() -> None:
        async with running({0: ANY}) as bench:
            first = await bench.client(0)
            await bench.victim.start()
            await receive(first, 17)
            second = bench.server.attach(0, "somebody else", take=True)
            assert await receive(second, 17) == b"Enable thinwire\n\r"
            notice = b"[thinwire: somebody else has taken channel 0 over; you are watching,"
            ending = b" and will write when it leaves]\r\n"
            assert await receive(first, len(notice + ending)) == notice + ending
            await first.send_all(b"not heard")
            await bench.victim.write(0, b"for both")
            assert await receive(first, 8) == await receive(second, 8) == b"for both"
            await second.send_all(b"heard")
            assert await bench.victim.read(0) == b"heard"
            await second.aclose()
            assert await receive(first, 27) == b"[thinwire: you write now]\r\n"
            await first.send_all(b"again")
            assert await bench.victim.read(0) == b"again"

    trio.run(main)


def test_a_second_client_of_another_channel_is_told_and_closed() -> None:
    async def main() -> None:
        async with running({1: ANY}) as bench:
            await bench.client(1)
            second = await bench.client(1)
            notice = b""
            while data := await second.receive_some():
                notice += data
            assert b"channel 1 is held by" in notice

    trio.run(main)


def test_observers_see_and_cannot_type() -> None:
    async def main() -> None:
        options = Options(observe=((1, ANY),))
        async with running({1: InProcess()}, options) as bench:
            ours = bench.server.attach(1)
            await bench.victim.start()
            await bench.victim.write(1, b"early")
            place = parse_endpoint(bench.server.ports[1].places[1].split()[0])
            assert isinstance(place, Connect)
            observer = await trio.open_tcp_stream(place.host, place.port)
            await bench.clients.enter_async_context(observer)
            assert await receive(observer, 5) == b"early"
            await observer.send_all(b"typing")
            await bench.victim.write(1, b"late")
            assert await receive(observer, 4) == b"late"
            assert await receive(ours, 9) == b"earlylate"
            assert await bench.victim.select(0) == set()

    trio.run(main)


def test_code_in_the_process_attaches_detaches_injects_and_observes() -> None:
    async def main() -> None:
        async with running({0: InProcess(), 1: InProcess()}) as bench:
            server = bench.server
            await bench.victim.start()
            first = server.attach(1, "the bridge")
            with pytest.raises(ChannelBusy, match="channel 1 is held by the bridge"):
                server.attach(1)
            await first.send_all(b"ab")
            await server.inject(1, b"cd")
            assert await bench.victim.read(1) == b"abcd"
            watched = server.observe(1)
            await bench.victim.write(1, b"one")
            assert await first.receive_some() == await watched.receive_some() == b"one"
            second = server.attach(1, "somebody else", take=True)
            assert await first.receive_some() == b""
            with pytest.raises(trio.BrokenResourceError):
                await first.send_all(b"x")
            await second.aclose()
            with pytest.raises(trio.ClosedResourceError):
                await second.receive_some()
            third = await server.attach_when_free(1)
            await bench.victim.write(1, b"three")
            assert await third.receive_some(3) == b"thr"

    trio.run(main)


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


def test_the_victims_end_ends_the_server_only_if_asked() -> None:
    async def main() -> None:
        with trio.fail_after(20):
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            line = Connect(*listener.socket.getsockname())
            async with trio.open_nursery() as nursery, listener:
                server = await nursery.start(serve, line, {0: InProcess()}, Options(end_on_exit=True))
                async with await listener.accept() as stream:
                    await stream.send_all(SENTINEL + b"$    ")
                    await server.ended.wait()
        async with running({0: InProcess()}) as bench:
            await bench.victim.start()
            await bench.victim.exit()
            await bench.server.ended.wait()
            await bench.victim.start()
            assert await bench.victim.select(0) == set()

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
