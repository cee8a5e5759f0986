"""The whole server over real sockets: the victim's requests, the lives of its line, and what is typed."""

import trio
import trio.testing
from server_bench import ANY, receive, running

from thinwire.endpoints import Connect, parse_endpoint
from thinwire.handshake import SENTINEL
from thinwire.server import InProcess, Options, serve


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
