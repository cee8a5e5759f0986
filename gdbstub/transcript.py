"""The packet log, which is also the format of recorded sessions: one line for each packet.

    -> $m100,4#5a<TAB>; ReadMemory addr=100 length=4        from the debugger to the stub
    <- +
    <- $60000000#86                                         from the stub to the debugger

What follows a tab is for people: a packet to a stub is explained by its name in `commands` and its arguments
in hex. Bytes that are not printable ASCII are written `\\xNN`, a backslash is doubled.  A packet that
arrives in pieces is one line: `split` gives back what is unfinished.
"""

from __future__ import annotations

import dataclasses
import logging
import re

from gdbstub import commands

TO_STUB = "->"
FROM_STUB = "<-"

log = logging.getLogger("gdbstub.packet")

# One acknowledgement or interrupt, one packet, or a stretch of other bytes.
_TOKEN = re.compile(rb"[+\-\x03]|[$%][^#]*#..|[^$%+\-\x03]+", re.DOTALL)

# Time and logger may come first; the word before the arrow is the conversation's name.
_LINE = re.compile(r"(?:\S+ )*?(?:(\S+) )?(->|<-) ([^\t]*)(?:\t.*)?")

# A packet that does not end is shown in pieces of this size.
MAX_LINE = 1 << 20

# Of an argument that is data, this much is explained.
MAX_SHOWN = 60


def split(data: bytes) -> tuple[list[bytes], bytes]:
    """Return the complete tokens in `data` and the unfinished rest."""
    tokens = []
    position = 0
    while position < len(data) and (found := _TOKEN.match(data, position)):
        tokens.append(found[0])
        position = found.end()
    rest = data[position:]
    return (tokens, rest) if len(rest) < MAX_LINE else ([*tokens, rest], b"")


def escape(raw: bytes) -> str:
    """Return bytes as a line shows them."""
    return "".join(
        chr(byte) if 0x20 <= byte < 0x7F and byte != 0x5C else "\\\\" if byte == 0x5C else f"\\x{byte:02x}"
        for byte in raw
    )


def unescape(text: str) -> bytes:
    """Return the bytes a line shows.  Raises ValueError."""
    raw = re.sub(r"\\(\\|x[0-9a-f]{2})", lambda m: "\\" if m[1] == "\\" else chr(int(m[1][1:], 16)), text)
    return raw.encode("latin-1")


def parse_line(line: str) -> tuple[str, str, bytes] | None:
    """Return conversation, direction and bytes of a line, or None for a comment or an empty line."""
    found = _LINE.fullmatch(line.rstrip("\n"))
    return (found[1] or "", found[2], unescape(found[3])) if found else None


def explain(token: bytes) -> str:
    """Return what a packet to a stub means, for the end of its line; nothing where that is plain."""
    if token[:1] != b"$":
        return ""
    command = commands.parse(token[1:-3])
    if isinstance(command, commands.Unknown):
        return ""
    parts = [type(command).__name__]
    for field in dataclasses.fields(command):
        value = getattr(command, field.name)
        shown = f"{value:x}" if isinstance(value, int) else repr(value)[:MAX_SHOWN]
        parts.append(f"{field.name}={shown}")
    return "\t; " + " ".join(parts)


class Transcript:
    """Logs one connection's traffic, if anybody listens to the logger `gdbstub.packet`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._unfinished = {TO_STUB: b"", FROM_STUB: b""}

    def note(self, direction: str, data: bytes) -> None:
        """Log bytes going in `direction`."""
        if not log.isEnabledFor(logging.DEBUG):
            return
        tokens, self._unfinished[direction] = split(self._unfinished[direction] + data)
        for token in tokens:
            meaning = explain(token) if direction == TO_STUB else ""
            log.debug("%s %s %s%s", self._name, direction, escape(token), meaning)
