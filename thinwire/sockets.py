"""Sockets by name: TCP and Unix, to listen on and to connect to.

A Unix socket's address holds 107 bytes of a path (unix(7)), and a file may have a longer one. What is
connected to is the file, whatever it is called: a long one is opened and reached by the descriptor's name
under /proc, and made under a short name in a folder beside its place, then linked there.

A listening Unix socket is for its owner alone (mode 0600) and replaces the file of a socket that nobody
serves any more, but no other file. `SocketFile` removes it in the end.
"""

import errno
import logging
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from tempfile import TemporaryDirectory

import trio

from thinwire import descriptors
from thinwire.line import LineError

log = logging.getLogger("thinwire")

RETRY = 0.25
"""Seconds between attempts at what does not work for the moment."""

BACKLOG = 1024
"""Connections that may wait to be accepted; beyond it the system makes clients wait a second and try again.
"""

_LONGEST = 100
"""Bytes of a path that is an address as it stands; the rest is for a file's name behind it."""
_SCARCE = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def reason(error: Exception) -> str:
    """What went wrong, for people; with each address of a host it may have been something else."""
    # trio says that all attempts failed; people want to know how.
    attempts = error.__cause__.exceptions if isinstance(error.__cause__, ExceptionGroup) else [error]
    return ", ".join(dict.fromkeys(map(_words, attempts)))


def _words(error: Exception) -> str:
    if isinstance(error, socket.gaierror):
        return str(error.strerror)  # its number is none of the system's
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number) if number else str(error)


async def connect_tcp(host: str, port: int) -> int:
    """A nonblocking descriptor connected to a port. Raises OSError."""
    return descriptors.detach_socket((await trio.open_tcp_stream(host, port)).socket)


async def connect_unix(path: str) -> int:
    """A nonblocking descriptor connected to a Unix socket. Raises OSError."""
    return descriptors.detach_socket(await open_unix(path))


async def open_unix(path: str) -> trio.socket.SocketType:
    """A connection to a Unix socket. Raises OSError."""
    sock = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _address(path) as address:
            await sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


async def listen_tcp(host: str, port: int) -> trio.socket.SocketType:
    """A listening socket; port 0 lets the system choose. Raises LineError."""
    try:
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
    except OSError as error:
        raise LineError(f"cannot listen on {host}:{port}: {reason(error)}") from error
    return listener


def listen_unix(path: str) -> trio.socket.SocketType:
    """A listening Unix socket. Raises LineError."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_dead_socket(path)
        if _is_short(path):
            _bind(sock, path)
        else:
            with TemporaryDirectory(dir=os.path.dirname(path) or ".") as beside, _address(beside) as address:
                _bind(sock, f"{address}/socket")
                os.link(f"{beside}/socket", path)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise LineError(f"cannot listen on {path}: {reason(error)}") from error
    return trio.socket.from_stdlib_socket(sock)


def _bind(sock: socket.socket, path: str) -> None:
    before = os.umask(0o177)
    try:
        sock.bind(path)
    finally:
        os.umask(before)


def _remove_dead_socket(path: str) -> None:
    """Remove the file of a socket that refuses connections."""
    with suppress(OSError):
        if stat.S_ISSOCK(os.lstat(path).st_mode):
            with socket.socket(socket.AF_UNIX) as probe, _address(path) as address:
                probe.setblocking(False)  # a living one may have many who wait
                try:
                    probe.connect(address)
                except ConnectionRefusedError:
                    os.unlink(path)


def _is_short(path: str) -> bool:
    return len(os.fsencode(path)) <= _LONGEST


@contextmanager
def _address(path: str) -> Iterator[str]:
    """A short name for what is at `path`. Raises OSError."""
    if _is_short(path):
        yield path
        return
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


class SocketFile:
    """The file of a socket that we serve, to be removed before the socket is closed: until then no other file
    has its number. What somebody else has put in its place is left alone.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._number = os.lstat(path).st_ino

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        with suppress(OSError):
            if os.lstat(self._path).st_ino == self._number:
                os.unlink(self._path)


async def accept_one(listener: trio.socket.SocketType) -> trio.socket.SocketType:
    """The next connection. When descriptors or memory have run out, those who call wait until there are some
    again.
    """
    while True:
        try:
            sock, _ = await listener.accept()
            return sock
        except OSError as error:
            if error.errno in _SCARCE:
                log.warning("cannot take a connection: %s", reason(error))
                await trio.sleep(RETRY)
            elif error.errno in (errno.EBADF, errno.ENOTSOCK, errno.EINVAL):
                raise
