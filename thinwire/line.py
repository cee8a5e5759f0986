"""The line: the one stream to the victim, in each of its forms, and how it is opened again after a loss.

`Line` is what the server talks to: `receive` waits for bytes, `push` sends without waiting and keeps what
does not go out at once for `run`. Two kinds exist: `DescriptorLine`, tried first and waited for only after
EAGAIN, and `StreamLine` for a trio stream in this process.

`open_source` prepares an endpoint (binds what must listen, makes a pseudo terminal) and gives a `Source`,
whose `open` is awaited once for every life of the line: a target that is reset closes its socket, or goes
away and comes back, and all that is this module's business. What a serial line wants in addition is in
`serial_line`.
"""

import errno
import logging
import os
import pty
import socket
import stat
import tty
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

import trio

from thinwire import descriptors
from thinwire.backlog import Backlog
from thinwire.endpoints import (
    Connect,
    ConnectUnix,
    Control,
    Device,
    Endpoint,
    Listen,
    ListenUnix,
    Pty,
    Rfc2217,
    Stdio,
)

log = logging.getLogger("thinwire")

RETRY = 0.25
"""Seconds between attempts to open a line that is not there yet."""

MAX_UNSENT = 64 * 1024
"""A victim that asks without reading the answers is not read either beyond this."""

StreamFactory = Callable[[], Awaitable[trio.abc.Stream]]
Silence = Callable[[], float | None]


class LineError(Exception):
    """The line cannot be had, and trying again will not help; the message is for the user."""


class Line(Protocol):
    """One life of the line."""

    unsent: Backlog

    async def receive(self, silence: Silence) -> bytes | None:
        """The next bytes; b"" when the line is lost; None after `silence()` seconds without any."""

    def push(self, data: bytes) -> None:
        """Send, as far as possible at once."""

    async def drain(self) -> None:
        """Wait until everything pushed has left this process."""

    async def run(self) -> None:
        """Send what `push` could not; never ends by itself."""

    async def set_speed(self, speed: int) -> None:
        """Change the line's speed where it has one."""

    def close(self) -> None:
        """End this life of the line."""


class DescriptorLine:
    """A line behind nonblocking descriptors, which it closes."""

    def __init__(self, source: int, sink: int) -> None:
        self.unsent = Backlog()
        self._source = source
        self._sink = sink
        self._work = trio.Event()
        self._idle = trio.Event()

    async def receive(self, silence: Silence) -> bytes | None:
        """See Line."""
        while True:
            data = descriptors.read_now(self._source)
            if data is not None:
                return data
            limit = silence()
            if limit is None:
                await trio.lowlevel.wait_readable(self._source)
                continue
            with trio.move_on_after(limit) as scope:
                await trio.lowlevel.wait_readable(self._source)
            if scope.cancelled_caught:
                return None

    def push(self, data: bytes) -> None:
        """See Line."""
        if not self.unsent.size:
            count = descriptors.write_now(self._sink, [data])
            if count == len(data):
                return
            if count < 0:
                return  # the reader finds out why
            data = data[count:]
            self._idle = trio.Event()
            self._work.set()
        self.unsent.append(data)

    async def drain(self) -> None:
        """See Line."""
        await trio.lowlevel.checkpoint()
        if self.unsent.size:
            await self._idle.wait()

    async def run(self) -> None:
        """See Line."""
        while True:
            await self._work.wait()
            while self.unsent.size:
                await trio.lowlevel.wait_writable(self._sink)
                count = descriptors.write_now(self._sink, self.unsent.front())
                self.unsent.discard(count if count >= 0 else self.unsent.size)
            self._work = trio.Event()
            self._idle.set()

    async def set_speed(self, speed: int) -> None:
        """See Line: a socket has none."""
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """See Line."""
        descriptors.close(self._source, self._sink)


class StreamLine:
    """A line that is a trio stream in this process, such as the emulator's end."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.unsent = Backlog()
        self._stream = stream
        self._work = trio.Event()
        self._idle = trio.Event()

    async def receive(self, silence: Silence) -> bytes | None:
        """See Line."""
        limit = silence()
        with trio.move_on_after(float("inf") if limit is None else limit):
            try:
                return bytes(await self._stream.receive_some())
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return b""
        return None

    def push(self, data: bytes) -> None:
        """See Line."""
        self.unsent.append(data)
        self._idle = trio.Event()
        self._work.set()

    async def drain(self) -> None:
        """See Line."""
        await trio.lowlevel.checkpoint()
        if self.unsent.size:
            await self._idle.wait()

    async def run(self) -> None:
        """See Line."""
        while True:
            await self._work.wait()
            while self.unsent.size:
                data = b"".join(self.unsent.front())
                with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                    await self._stream.send_all(data)
                self.unsent.discard(len(data))
            self._work = trio.Event()
            self._idle.set()

    async def set_speed(self, speed: int) -> None:
        """See Line."""
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """See Line; the stream is closed by whoever supplied it when its factory is called again or the
        server ends.
        """


@dataclass(frozen=True, slots=True)
class Source:
    """Where lines come from: await `open` for each life; `place` is for people; `reopens` is false for what
    ends only once.
    """

    place: str
    open: Callable[[], Awaitable[Line]]
    reopens: bool = True


@asynccontextmanager
async def open_source(origin: Endpoint | StreamFactory) -> AsyncIterator[Source]:
    """Prepare the line that `origin` names; the listening sockets and terminals last as long as the context.

    Raises LineError when that cannot work.
    """
    match origin:
        case Connect(host, port):
            yield Source(str(origin), lambda: _insist(origin, lambda: _connect(host, port)))
        case ConnectUnix(path):
            yield Source(path, lambda: _insist(origin, lambda: _connect_unix(path)))
        case Listen(host, port):
            listener = await _listen(origin, host, port)
            with listener:
                place = "{}:{}".format(*listener.getsockname()[:2])
                yield Source(f"listen:{place}", lambda: _accept(listener))
        case ListenUnix(path):
            with listen_unix(path) as listener:
                try:
                    yield Source(str(origin), lambda: _accept(listener))
                finally:
                    with suppress(OSError):
                        os.unlink(path)
        case Pty(link):
            with open_pty(link) as (master, name):
                yield Source(name if link is None else f"{link} ({name})", lambda: _duplicate(master))
        case Stdio():
            yield Source("stdio", _stdio, reopens=False)
        case Device(path):
            yield Source(path, lambda: _insist(origin, lambda: _open_device(path)))
        case Rfc2217() | Control():
            raise LineError(f"{origin} cannot be a line")
        case factory:
            yield Source("in this process", lambda: _stream(factory))


async def _insist(origin: Endpoint, attempt: Callable[[], Awaitable[Line]]) -> Line:
    """Try until it works: the machine may not have been switched on yet."""
    told = ""
    while True:
        try:
            return await attempt()
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            if isinstance(error, socket.gaierror):
                raise LineError(f"{origin}: the host is not known ({error.strerror})") from error
            if error.errno == errno.EACCES:
                raise LineError(f"{origin}: permission denied") from error
            if reason != told:
                log.warning("waiting for %s: %s", origin, reason)
                told = reason
        await trio.sleep(RETRY)


async def _connect(host: str, port: int) -> Line:
    stream = await trio.open_tcp_stream(host, port)
    descriptor = descriptors.detach_socket(stream.socket)
    return DescriptorLine(descriptor, descriptor)


async def _connect_unix(path: str) -> Line:
    sock = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        await sock.connect(path)
    except BaseException:
        sock.close()
        raise
    descriptor = descriptors.detach_socket(sock)
    return DescriptorLine(descriptor, descriptor)


async def _accept(listener: trio.socket.SocketType) -> Line:
    sock, _ = await listener.accept()
    descriptor = descriptors.detach_socket(sock)
    return DescriptorLine(descriptor, descriptor)


async def _duplicate(descriptor: int) -> Line:
    await trio.lowlevel.checkpoint()
    copy = os.dup(descriptor)
    return DescriptorLine(copy, copy)


async def _stdio() -> Line:
    await trio.lowlevel.checkpoint()
    return DescriptorLine(descriptors.reopen(0, os.O_RDONLY), descriptors.reopen(1, os.O_WRONLY))


async def _stream(factory: StreamFactory) -> Line:
    return StreamLine(await factory())


async def _open_device(path: str) -> Line:
    if stat.S_ISSOCK(os.stat(path).st_mode):
        return await _connect_unix(path)
    raise LineError(f"{path} is no socket")


async def _listen(origin: Endpoint, host: str, port: int) -> trio.socket.SocketType:
    try:
        return await listen_tcp(host, port)
    except OSError as error:
        raise LineError(f"cannot listen on {host}:{port}: {os.strerror(error.errno or 0)}") from error


async def listen_tcp(host: str, port: int) -> trio.socket.SocketType:
    """A listening socket; port 0 lets the system choose. Raises OSError."""
    found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, address = found[0]
    listener = trio.socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        await listener.bind(address)
        listener.listen(8)
    except BaseException:
        listener.close()
        raise
    return listener


def listen_unix(path: str) -> trio.socket.SocketType:
    """A listening Unix socket that only its owner can reach. A socket file that nobody serves any more is
    replaced.

    Raises LineError.
    """
    with suppress(OSError):
        if stat.S_ISSOCK(os.lstat(path).st_mode):
            with socket.socket(socket.AF_UNIX) as probe:
                try:
                    probe.connect(path)
                except ConnectionRefusedError:
                    os.unlink(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        sock.bind(path)
    except OSError as error:
        sock.close()
        raise LineError(f"cannot listen on {path}: {os.strerror(error.errno or 0)}") from error
    finally:
        os.umask(before)
    sock.listen(8)
    return trio.socket.from_stdlib_socket(sock)


class open_pty:
    """A raw pseudo terminal: its master descriptor, nonblocking, and its name; `link` points to it while the
    context lasts.

    We keep the other side open too, so that a peer may come and go without the master seeing errors in
    between.
    """

    def __init__(self, link: str | None) -> None:
        self._link = link

    def __enter__(self) -> tuple[int, str]:
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        name = os.ttyname(self._slave)
        if self._link:
            with suppress(OSError):
                if os.path.islink(self._link):
                    os.unlink(self._link)
            try:
                os.symlink(name, self._link)
            except OSError as error:
                descriptors.close(self._master, self._slave)
                raise LineError(
                    f"cannot make the link {self._link}: {os.strerror(error.errno or 0)}"
                ) from error
        return self._master, name

    def __exit__(self, *exc: object) -> None:
        if self._link:
            with suppress(OSError):
                os.unlink(self._link)
        descriptors.close(self._master, self._slave)
