"""The packet log, which is also the format of recorded sessions: one line for each packet.

    -> $m100,4#5a          from the debugger to the stub
    <- +
    <- $60000000#86        from the stub to the debugger

Bytes that are not printable ASCII are written `\\xNN`, a backslash is doubled.  A packet that arrives in
pieces is one line: `split` gives back what is unfinished.
"""

from __future__ import annotations

import logging
import re

TO_STUB = "->"
FROM_STUB = "<-"

log = logging.getLogger("gdbstub.packet")

# One acknowledgement or interrupt, one packet, or a stretch of other bytes.
_TOKEN = re.compile(rb"[+\-\x03]|[$%][^#]*#..|[^$%+\-\x03]+", re.DOTALL)

_LINE = re.compile(r"(?:\S+ )?(->|<-) (.*)")

# A packet that does not end is shown in pieces of this size.
MAX_LINE = 1 << 20


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


def parse_line(line: str) -> tuple[str, bytes] | None:
    """Return direction and bytes of a transcript line, or None for a comment or an empty line."""
    found = _LINE.fullmatch(line.rstrip("\n"))
    return (found[1], unescape(found[2])) if found else None


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
            log.debug("%s %s %s", self._name, direction, escape(token))
