"""Where lines come from: how each kind of endpoint is opened, and opened again after a loss.

`open_source` prepares an endpoint (binds what must listen, makes a pseudo terminal) and gives a `Source`,
whose `open` is awaited once for every life of the line: a target that is reset closes its socket, or goes
away and comes back, and waiting for it is this module's business.
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

import trio

from thinwire import descriptors
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
from thinwire.line import DescriptorLine, Line, LineError, StreamLine
from thinwire.serial_line import DEFAULT_MANNERS, Manners, open_network_port, open_serial_device

log = logging.getLogger("thinwire")

RETRY = 0.25
"""Seconds between attempts to open a line that is not there yet."""

BACKLOG = 1024
"""Connections that may wait to be accepted; beyond it the system makes clients wait a second and try again.
"""

StreamFactory = Callable[[], Awaitable[trio.abc.Stream]]


@dataclass(frozen=True, slots=True)
class Source:
    """Where lines come from: await `open` for each life; `place` is for people; `reopens` is false for what
    ends only once.
    """

    place: str
    open: Callable[[], Awaitable[Line]]
    reopens: bool = True


@asynccontextmanager
async def open_source(
    origin: Endpoint | StreamFactory, manners: Manners = DEFAULT_MANNERS
) -> AsyncIterator[Source]:
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
            yield Source(path, lambda: _insist(origin, lambda: _open_device(path, manners)))
        case Rfc2217(host, port):
            yield Source(str(origin), lambda: _insist(origin, lambda: _open_network(host, port, manners)))
        case Control():
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


async def connect_unix(path: str) -> int:
    """A nonblocking descriptor connected to a Unix socket. Raises OSError."""
    sock = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        await sock.connect(path)
    except BaseException:
        sock.close()
        raise
    return descriptors.detach_socket(sock)


async def _connect_unix(path: str) -> Line:
    descriptor = await connect_unix(path)
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


async def _open_device(path: str, manners: Manners) -> Line:
    if stat.S_ISSOCK(os.stat(path).st_mode):
        return await _connect_unix(path)
    return open_serial_device(path, manners)


async def _open_network(host: str, port: int, manners: Manners) -> Line:
    stream = await trio.open_tcp_stream(host, port)
    return open_network_port(descriptors.detach_socket(stream.socket), manners)


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
        listener.listen(BACKLOG)
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
    sock.listen(BACKLOG)
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
