"""A whole server over real sockets: a victim of ours on the line, clients on the channels."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import trio
import trio.testing

from thinwire.endpoints import Connect, Listen, parse_endpoint
from thinwire.server import AnyChannel, Options, Server, serve
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


async def receive(stream: trio.abc.ReceiveStream, length: int) -> bytes:
    seen = b""
    while len(seen) < length:
        data = await stream.receive_some()
        assert data, seen
        seen += data
    return seen
