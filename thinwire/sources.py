"""Where lines come from: how each kind of endpoint is opened, and opened again after a loss.

`open_source` prepares an endpoint (binds what must listen, makes a pseudo terminal) and gives a `Source`,
whose `open` is awaited once for every life of the line: a target that is reset closes its socket, or goes
away and comes back, and waiting for it is this module's business.
"""

import errno
import logging
import os
import pty
import select
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
from thinwire.line import DescriptorLine, Line, LineError, SocketLine, StreamLine
from thinwire.serial_line import DEFAULT_MANNERS, Manners, open_network_port, open_serial_device
from thinwire.sockets import (
    RETRY,
    SocketFile,
    accept_one,
    connect_tcp,
    connect_unix,
    listen_tcp,
    listen_unix,
    reason,
)

log = logging.getLogger("thinwire")

HESITATION = 50e-6
"""Seconds that each of many short lives of a line adds to the pause before the next."""

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
            yield Source(str(origin), _Persistent(origin, lambda: _connect(host, port)).open)
        case ConnectUnix(path):
            yield Source(path, _Persistent(origin, lambda: _connect_unix(path)).open)
        case Listen(host, port):
            listener = await listen_tcp(host, port)
            with listener:
                place = "{}:{}".format(*listener.getsockname()[:2])
                yield Source(f"listen:{place}", lambda: _accept(listener))
        case ListenUnix(path):
            with listen_unix(path) as listener, SocketFile(path):
                yield Source(str(origin), lambda: _accept(listener))
        case Pty(link):
            with open_pty(link) as (master, name):
                yield Source(name if link is None else f"{link} ({name})", lambda: _duplicate(master))
        case Stdio():
            yield Source("stdio", _stdio, reopens=False)
        case Device(path):
            yield Source(path, _Persistent(origin, lambda: _open_device(path, manners)).open)
        case Rfc2217(host, port):
            yield Source(str(origin), _Persistent(origin, lambda: _open_network(host, port, manners)).open)
        case Control():
            raise LineError(f"{origin} cannot be a line")
        case factory:
            yield Source("in this process", lambda: _stream(factory))


class _Persistent:
    """Opens what may not be there yet, or is gone for the moment: tries until it works.

    Only what was never open can be a mistake of the user's (an unknown host, a device he may not use). Later
    the same errors pass: a name server sleeps, a hot-plugged device gets its permissions a moment after its
    name. Something that accepts and hangs up at once is called again more and more slowly.
    """

    def __init__(self, origin: Endpoint, attempt: Callable[[], Awaitable[Line]]) -> None:
        self._origin = origin
        self._attempt = attempt
        self._opened_at = float("-inf")
        self._hasty = 0  # lives in a row that were shorter than RETRY

    async def open(self) -> Line:
        """The next life. Raises LineError if there was none yet and trying again will not help."""
        is_first = self._opened_at == float("-inf")
        is_hasty = trio.current_time() - self._opened_at < RETRY
        self._hasty = self._hasty + 1 if is_hasty else 0
        if self._hasty:
            await trio.sleep(min(RETRY, self._hasty * HESITATION))
        told = ""
        while True:
            try:
                line = await self._attempt()
            except (OSError, LineError) as error:
                if is_first:
                    self._judge(error)
                why = reason(error)
                if why != told:
                    log.warning("waiting for %s: %s", self._origin, why)
                    told = why
            else:
                self._opened_at = trio.current_time()
                return line
            await trio.sleep(RETRY)

    def _judge(self, error: OSError | LineError) -> None:
        """Raise LineError for what does not pass by itself."""
        if isinstance(error, LineError):
            raise error
        if isinstance(error, socket.gaierror) and error.errno != socket.EAI_AGAIN:
            raise LineError(f"{self._origin}: the host is not known ({error.strerror})") from error
        if error.errno == errno.EACCES:
            raise LineError(f"{self._origin}: permission denied") from error


async def _connect(host: str, port: int) -> Line:
    return SocketLine(await connect_tcp(host, port))


async def _connect_unix(path: str) -> Line:
    return SocketLine(await connect_unix(path))


async def _accept(listener: trio.socket.SocketType) -> Line:
    return SocketLine(descriptors.detach_socket(await accept_one(listener)))


async def _duplicate(descriptor: int) -> Line:
    await trio.lowlevel.checkpoint()
    copy = os.dup(descriptor)
    return DescriptorLine(copy, copy)


async def _stdio() -> Line:
    await trio.lowlevel.checkpoint()
    try:
        with select.epoll() as probe:
            probe.register(0)
    except PermissionError:
        # Nobody could wait for a file or a null device: there is always more, or the end.
        raise LineError(
            "stdio: standard input cannot be a line; give it a pipe, a socket or a terminal"
        ) from None
    return DescriptorLine(descriptors.reopen(0, os.O_RDONLY), descriptors.reopen(1, os.O_WRONLY))


async def _stream(factory: StreamFactory) -> Line:
    return StreamLine(await factory())


async def _open_device(path: str, manners: Manners) -> Line:
    mode = os.stat(path).st_mode
    if stat.S_ISSOCK(mode):
        return await _connect_unix(path)
    if not stat.S_ISCHR(mode):
        raise LineError(f"{path} is neither a serial device nor a Unix socket")
    return open_serial_device(path, manners)


async def _open_network(host: str, port: int, manners: Manners) -> Line:
    return open_network_port(await connect_tcp(host, port), manners)


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
        self._name = name
        if self._link:
            try:
                if self._is_stale():
                    os.unlink(self._link)
                os.symlink(name, self._link)
            except OSError as error:
                descriptors.close(self._master, self._slave)
                raise LineError(
                    f"cannot make the link {self._link}: {os.strerror(error.errno or 0)}"
                ) from error
        return self._master, name

    def _is_stale(self) -> bool:
        """Whether the link is one that we may replace: to a terminal, or to nothing."""
        assert self._link is not None
        return os.path.islink(self._link) and (
            os.readlink(self._link).startswith("/dev/pts/") or not os.path.exists(self._link)
        )

    def __exit__(self, *exc: object) -> None:
        if self._link:
            with suppress(OSError):
                if os.readlink(self._link) == self._name:  # not somebody's who has replaced ours
                    os.unlink(self._link)
        descriptors.close(self._master, self._slave)
