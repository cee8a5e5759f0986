"""File descriptors as this package uses them: nonblocking, read and written at once when they can be, waited
for when they cannot.

Sockets, pseudo terminals, serial devices, pipes and log files all end up here, so that there is one way to
move bytes. trio is asked to wait only after EAGAIN: a wait costs more than the transfer itself.
"""

import errno
import os
import socket
import stat
from contextlib import suppress

import trio

CHUNK = 64 * 1024
"""Bytes asked for at once: four of the largest frames."""


def read_now(descriptor: int, limit: int = CHUNK) -> bytes | None:
    """What can be read without waiting: None if nothing yet, b"" at the end of the stream or after an error.

    A pseudo terminal says EIO, and a reset socket ECONNRESET, where others say end of file; both mean that
    nobody is there any more.
    """
    try:
        return os.read(descriptor, limit)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def write_now(descriptor: int, chunks: list[bytes | memoryview] | list[bytes]) -> int:
    """How many bytes went out without waiting; -1 if the other side is gone."""
    try:
        return os.writev(descriptor, chunks)
    except BlockingIOError:
        return 0
    except OSError:
        return -1


async def read(descriptor: int) -> bytes:
    """Some bytes, b"" at the end; for the interactive paths."""
    while True:
        data = read_now(descriptor)
        if data is not None:
            return data
        await trio.lowlevel.wait_readable(descriptor)


async def write_all(descriptor: int, data: bytes) -> bool:
    """Write everything; false if the other side is gone."""
    while data:
        count = write_now(descriptor, [data])
        if count < 0:
            return False
        if count == 0:
            await trio.lowlevel.wait_writable(descriptor)
        data = data[count:]
    return True


def detach_socket(sock: socket.socket | trio.socket.SocketType) -> int:
    """Turn a connected socket into a nonblocking descriptor of ours, without Nagle's delay and with
    keep-alive where it is TCP.
    """
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    descriptor = sock.detach()
    os.set_blocking(descriptor, False)
    return descriptor


def reopen(descriptor: int, flags: int) -> int:
    """A private nonblocking descriptor for standard input or output.

    O_NONBLOCK belongs to the open file, which we share with the shell that started us, so terminals and
    pipes are opened anew. A plain file never blocks and is duplicated: its position is shared as well, and
    what others write to it must come before or behind ours. A socket cannot be opened anew; it is duplicated
    and made nonblocking for everybody.
    """
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return os.dup(descriptor)
    with suppress(OSError):
        return os.open(f"/proc/self/fd/{descriptor}", flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    copy = os.dup(descriptor)
    os.set_blocking(copy, False)
    return copy


def open_to_write(path: str, how: int) -> int:
    """A new nonblocking descriptor for the file `path`; `how` is O_APPEND or O_TRUNC.

    Raises OSError with the reason for people.
    """
    try:
        return os.open(path, how | os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
    except OSError as error:
        reason = "nobody reads this pipe yet" if error.errno == errno.ENXIO else os.strerror(error.errno or 0)
        raise OSError(error.errno, f"cannot write {path}: {reason}") from error


def close(*descriptors: int) -> None:
    """Close descriptors that tasks may be waiting for: the waits end with trio.ClosedResourceError."""
    for descriptor in set(descriptors):
        trio.lowlevel.notify_closing(descriptor)
        with suppress(OSError):
            os.close(descriptor)
