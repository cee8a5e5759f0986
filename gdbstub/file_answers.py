"""The kernel's file, for a gdb that was started without it: the reading half of `vFile`.

One file is on offer, the target's executable; every other name does not exist.  gdb opens it by the name
`qXfer:exec-file` gave, asks its size and reads it in pieces (GDB manual, "Host I/O Packets").  Error numbers
and the layout of `fstat` are the protocol's own, not the host's.
"""

from __future__ import annotations

import struct
from typing import Any

from gdbstub import commands
from gdbstub.answers import MAX_TRANSFER, Answer, Attachment
from gdbstub.target import Executable

ENOENT, EBADF, EINVAL, ENOSYS = 2, 9, 22, 88

REGULAR_READ_ONLY = 0o100444

# The only descriptor there is: gdb opens one file at a time, and opening it twice reads the same bytes.
DESCRIPTOR = 3


def _failure(code: int) -> bytes:
    return b"F-1,%x" % code


async def _set_root(attachment: Attachment, command: commands.FileSetRoot) -> bytes:
    return b"F0"


async def _open(attachment: Attachment, command: commands.FileOpen) -> bytes:
    target = attachment.target
    if not isinstance(target, Executable) or command.name != target.executable_name.encode():
        return _failure(ENOENT)
    attachment.file = await target.read_executable()
    return b"F%x" % DESCRIPTOR


async def _read(attachment: Attachment, command: commands.FileRead) -> bytes:
    if command.file != DESCRIPTOR or attachment.file is None:
        return _failure(EBADF)
    piece = attachment.file[command.offset : command.offset + min(command.count, MAX_TRANSFER)]
    return b"F%x;%b" % (len(piece), piece)


async def _status(attachment: Attachment, command: commands.FileStatus) -> bytes:
    if command.file != DESCRIPTOR or attachment.file is None:
        return _failure(EBADF)
    # dev, ino, mode, nlink, uid, gid, rdev: 4 bytes each; size, blksize, blocks: 8; three times: 4; all
    # big-endian.
    size = len(attachment.file)
    status = struct.pack(">7I3Q3I", 0, 0, REGULAR_READ_ONLY, 1, 0, 0, 0, size, 512, -(-size // 512), 0, 0, 0)
    return b"F%x;%b" % (len(status), status)


async def _close(attachment: Attachment, command: commands.FileClose) -> bytes:
    if command.file != DESCRIPTOR or attachment.file is None:
        return _failure(EBADF)
    attachment.file = None
    return b"F0"


FILE_ANSWERS: dict[type[Any], Answer[Any]] = {
    commands.FileSetRoot: _set_root,
    commands.FileOpen: _open,
    commands.FileRead: _read,
    commands.FileStatus: _status,
    commands.FileClose: _close,
}
