"""Joining channels to what their specifications name: listeners, pseudo terminals, files, commands.

`join` prepares one channel and returns its place, for people; the tasks it starts live in the nursery it is
given and go on until that is cancelled. Listening ports are bound before it returns.

A channel has one writer. A second client of the console is told who that is and watches until the writer
leaves, then it is the writer; so does a writer from whom the console is taken. A second client of another
channel, whose bytes are a protocol, is told and closed.
"""

import logging
import os
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext, suppress

import trio

from thinwire import descriptors
from thinwire.channels import ChannelBusy, Port
from thinwire.clients import ChannelStream, DescriptorClient, ObserverStream
from thinwire.endpoints import (
    Connect,
    ConnectUnix,
    Device,
    Endpoint,
    Exec,
    Listen,
    ListenUnix,
    LogFile,
    Output,
    Pty,
    Stdio,
)
from thinwire.line import LineError
from thinwire.mux import CONSOLE
from thinwire.sockets import (
    RETRY,
    SocketFile,
    accept_one,
    connect_tcp,
    connect_unix,
    listen_tcp,
    listen_unix,
)
from thinwire.sources import open_pty

log = logging.getLogger("thinwire")

JoinedSpec = Endpoint | Output | LogFile | Exec


async def join(port: Port, spec: JoinedSpec, nursery: trio.Nursery) -> str:
    """Join `port` to what `spec` names; returns its place. Raises LineError."""
    match spec:
        case Listen() | ListenUnix():
            return await accept_clients(spec, lambda sock: _serve_client(port, sock), nursery)
        case ConnectUnix(path):
            nursery.start_soon(_keep_connected, port, lambda: connect_unix(path), str(spec))
        case Connect(host, number):
            nursery.start_soon(_keep_connected, port, lambda: connect_tcp(host, number), str(spec))
        case Pty(link):
            place: str = await nursery.start(_serve_terminal, port, link)
            return place
        case Stdio():
            source, sink = descriptors.reopen(0, os.O_RDONLY), descriptors.reopen(1, os.O_WRONLY)
            nursery.start_soon(_serve_descriptors, port, source, sink, "stdio")
        case Output(descriptor):
            port.channel.readable = False
            sink = descriptors.reopen(descriptor, os.O_WRONLY)
            nursery.start_soon(_serve_descriptors, port, -1, sink, str(spec))
        case LogFile(path, timestamps):
            port.channel.readable = False
            try:
                sink = descriptors.open_to_write(path, os.O_APPEND)
            except OSError as error:
                raise LineError(error.strerror) from error
            if timestamps:
                nursery.start_soon(_log_with_time, port, sink, path)
            else:
                nursery.start_soon(_log, port, sink, path)
        case Exec(command):
            nursery.start_soon(_serve_command, port, command)
        case Device() | _:
            raise LineError(f"channel {port.number}: {spec} cannot be a channel")
    return str(spec)


async def watch(port: Port, spec: Listen | ListenUnix, nursery: trio.Nursery) -> str:
    """Let any number of clients see the channel's output; what they type goes nowhere. Raises LineError."""

    async def serve(sock: trio.socket.SocketType) -> None:
        descriptor = descriptors.detach_socket(sock)
        try:
            await _show(port, descriptor, trio.Event())
        finally:
            descriptors.close(descriptor)

    return await accept_clients(spec, serve, nursery)


async def accept_clients(
    spec: Listen | ListenUnix,
    serve: Callable[[trio.socket.SocketType], Awaitable[None]],
    nursery: trio.Nursery,
) -> str:
    """Listen and run `serve` for every connection, until `nursery` ends; returns where. Raises LineError."""
    file: AbstractContextManager[None] = nullcontext()
    match spec:
        case Listen(host, number):
            listener = await listen_tcp(host, number)
            place = str(Connect(*listener.getsockname()[:2]))
        case ListenUnix(path):
            listener = listen_unix(path)
            place, file = path, SocketFile(path)

    async def accept() -> None:
        with listener, file:
            async with trio.open_nursery() as clients:
                while True:
                    clients.start_soon(serve, await accept_one(listener))

    nursery.start_soon(accept)
    return place


def peer_name(sock: trio.socket.SocketType) -> str:
    """Who is at the other end of a connected socket, for people."""
    try:
        peer = sock.getpeername()
    except OSError:
        return "a client that left"
    if isinstance(peer, tuple):
        return str(Connect(*peer[:2]))
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return f"process {struct.unpack('3i', credentials)[0]}"


async def _serve_client(port: Port, sock: trio.socket.SocketType) -> None:
    name = peer_name(sock)
    descriptor = descriptors.detach_socket(sock)
    has_watched = False
    try:
        while True:
            client = DescriptorClient(port, descriptor, descriptor, name, closes=False)
            try:
                port.attach(client, has_watched=has_watched)
            except ChannelBusy as busy:
                reason = str(busy)
            else:
                if has_watched:
                    _tell(descriptor, "you write now")
                await client.run()
                if not client.is_evicted:
                    return
                has_watched = True
                if port.holder is None:
                    continue
                reason = f"{port.holder.name} has taken channel {port.number} over"
            if port.number != CONSOLE:
                _tell(descriptor, f"{reason}; try again later")
                return
            _tell(descriptor, f"{reason}; you are watching, and will write when it leaves")
            if not await _show(port, descriptor, port.free, from_now=has_watched):
                return
            has_watched = True
    finally:
        descriptors.close(descriptor)


def _tell(descriptor: int, message: str) -> None:
    """A line from us to a person, as far as there is room for it."""
    descriptors.write_now(descriptor, [f"[thinwire: {message}]\r\n".encode()])


async def _show(port: Port, descriptor: int, until: trio.Event, *, from_now: bool = False) -> bool:
    """Copy the channel's output to a client until it leaves (False) or the event (True)."""
    observer = ObserverStream(port, from_now=from_now)
    stays = False

    async def copy() -> None:
        while data := await observer.receive_some():
            if not await descriptors.write_all(descriptor, data):
                nursery.cancel_scope.cancel()

    async def ignore() -> None:
        while await descriptors.read(descriptor):
            pass
        nursery.cancel_scope.cancel()

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(copy)
            nursery.start_soon(ignore)
            await until.wait()
            stays = True
            nursery.cancel_scope.cancel()
    finally:
        observer.close()
    return stays


async def _serve_descriptors(port: Port, source: int, sink: int, name: str) -> None:
    """Join a channel to descriptors for good; the end of the input leaves the output going."""
    client = DescriptorClient(port, source, sink, name, outlives_input=True)
    port.attach(client)
    await client.run()


async def _serve_terminal(port: Port, link: str | None, *, task_status: trio.TaskStatus[str]) -> None:
    """Join a channel to a pseudo terminal that lasts as long as we do."""
    with open_pty(link) as (master, name):
        task_status.started(name if link is None else f"{link} ({name})")
        copy = os.dup(master)
        await _serve_descriptors(port, copy, copy, name)


async def _keep_connected(port: Port, connect: Callable[[], Awaitable[int]], name: str) -> None:
    """Connect to a server and join it to the channel, again and again."""
    while True:
        with suppress(OSError):
            descriptor = await connect()
            client = DescriptorClient(port, descriptor, descriptor, name)
            port.attach(client, take=True)
            await client.run()
        await trio.sleep(RETRY)


async def _log(port: Port, sink: int, path: str) -> None:
    """Write the channel to a file, until the file takes no more."""
    await _serve_descriptors(port, -1, sink, path)
    log.error("channel %d: %s takes no more", port.number, path)


async def _log_with_time(port: Port, sink: int, path: str) -> None:
    """Write each line with the time at which it began."""
    stream = ChannelStream(port, path)
    port.attach(stream)
    at_start = True
    try:
        while data := await stream.receive_some():
            lines = b""
            for text in data.splitlines(keepends=True):
                lines += (_stamp() if at_start else b"") + text
                at_start = text.endswith(b"\n")
            if not await descriptors.write_all(sink, lines):
                log.error("channel %d: %s takes no more", port.number, path)
                return
    finally:
        stream.close()
        descriptors.close(sink)


def _stamp() -> bytes:
    """The time, for the beginning of a line."""
    now = time.time()
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
    return f"{stamp}.{int(now % 1 * 1000):03d} ".encode()


async def _serve_command(port: Port, command: str) -> None:
    """Run a command with the channel as its standard input and output."""
    ours, its = socket.socketpair()
    descriptor = descriptors.detach_socket(ours)
    client = DescriptorClient(port, descriptor, descriptor, f"exec:{command}")
    port.attach(client)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.run)
        with its:
            done = await trio.run_process(["/bin/sh", "-c", command], stdin=its, stdout=its, check=False)
        log.warning("channel %d: %r ended with status %d", port.number, command, done.returncode)
