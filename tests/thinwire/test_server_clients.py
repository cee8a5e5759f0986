"""The server's clients, who come, go, are slow, are many, or are code of ours."""

import socket
import struct

import pytest
import trio
import trio.testing
from server_bench import ANY, receive, running

from thinwire.channels import ChannelBusy
from thinwire.endpoints import Connect, parse_endpoint
from thinwire.frames import Write, encode
from thinwire.mux import Rules
from thinwire.server import InProcess, Options


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
