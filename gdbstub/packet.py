"""Packets on the wire: `$body#cc`, `+`, `-`, 0x03 and what lies between.

This is the lowest layer of the remote protocol (GDB manual, "Overview" of the remote serial protocol) and
works for both directions.  `Decoder.feed` takes bytes in any split and returns events; `frame` makes a
packet of a body.

Rules it holds:

- A body on the wire may contain neither `$` nor `#`; a `$` inside an unfinished packet means the rest of the
  old one was lost and a new one begins (gdb reads it so too).
- `}` escapes: the next byte is taken exclusive-or 0x20.  `*` repeats the byte before it.  Repeats are undone
  first, escapes second, since gdb does it in that order.  Only replies may use repeats: `frame_reply` does.
- A packet longer than `limit`, a wrong checksum, a repeat of nothing, an escape of nothing: one `Damaged`
  event.
- Everything that is no packet is `Noise`: a serial line carries console text between packets.

It does not know acknowledgement rules (`session`, `client`) nor what a body means (`commands`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from zlib import adler32

# gdb's own upper bound is 16384 unless the stub announces more; a stop reply or a memory dump fits well
# below. The packet size we announce is in `session`; this is what the decoder will hold for one unfinished
# packet.
LIMIT = 0x40000

ACK = b"+"
NAK = b"-"
INTERRUPT = b"\x03"

# A reply of at least so many bytes may use repeats.
SHORTEST_WITH_REPEATS = 4096

# The longest repeat there is: a zero and 97 more, 126 being the last printable byte and 29 less what counts.
_ZEROS = b"0" * 98
_REPEATED_ZERO = b"0*~"

_SPECIAL = re.compile(rb"[#$}*]")
_START = re.compile(rb"[$%+\-\x03]")


@dataclass(frozen=True, slots=True)
class Packet:
    """A good packet; `body` is free of escapes and repeats."""

    body: bytes


@dataclass(frozen=True, slots=True)
class Notification:
    """A good `%` packet: never acknowledged."""

    body: bytes


@dataclass(frozen=True, slots=True)
class Damaged:
    """Bytes that began as a packet and are none; `raw` is what was thrown away."""

    raw: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Noise:
    """Bytes outside any packet."""

    raw: bytes


@dataclass(frozen=True, slots=True)
class Ack:
    """`+`"""


@dataclass(frozen=True, slots=True)
class Nak:
    """`-`"""


@dataclass(frozen=True, slots=True)
class Interrupt:
    """0x03: stop the target."""


Event = Packet | Notification | Damaged | Noise | Ack | Nak | Interrupt

_SINGLE: dict[int, Event] = {ACK[0]: Ack(), NAK[0]: Nak(), INTERRUPT[0]: Interrupt()}


def frame(body: bytes) -> bytes:
    """Return `body` as a packet, escaped where it must be.

    `*` is escaped as well: unescaped in a reply it would be taken for a repeat.
    """
    if _has_special(body):
        body = _SPECIAL.sub(lambda found: b"}" + bytes((found[0][0] ^ 0x20,)), body)
    return b"$%b#%02x" % (body, checksum(body))


def frame_reply(body: bytes) -> bytes:
    """Return a reply as a packet.

    Memory is full of zeros, and gdb, which looks at a packet byte by byte, reads them four times as fast when
    they are sent as repeats.  Short replies are sent as they are: there it gains nothing, and a client that
    somebody has made in an afternoon does not know repeats.
    """
    if len(body) < SHORTEST_WITH_REPEATS or _ZEROS not in body or _has_special(body):
        return frame(body)
    body = body.replace(_ZEROS, _REPEATED_ZERO)
    return b"$%b#%02x" % (body, checksum(body))


def _has_special(body: bytes) -> bool:
    # Four looks for one byte each are a tenth of one look for any of them, and most replies are digits.
    return b"#" in body or b"$" in body or b"}" in body or b"*" in body


def checksum(body: bytes) -> int:
    """Return the sum of the bytes, modulo 256.

    Adler-32 has it in its lower half, less 1 and modulo 65521, ten times as fast as `sum`: 256 bytes at a
    time are always less.
    """
    if len(body) <= 256:
        return adler32(body) - 1 & 0xFF
    view = memoryview(body)
    return sum([adler32(view[at : at + 256]) - 1 for at in range(0, len(body), 256)]) & 0xFF


class Decoder:
    """Turns received bytes into events, whatever pieces they arrive in."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._buffer = b""
        self._searched = 0

    def feed(self, data: bytes) -> list[Event]:
        """Take received bytes, return the events they complete."""
        buffer = self._buffer + data if self._buffer else data
        events: list[Event] = []
        position = 0
        searched = self._searched  # within the unfinished packet: no end and no new beginning before here
        while position < len(buffer):
            first = buffer[position]
            if first == 0x24 or first == 0x25:  # $ or %
                last = position + self._limit
                end = buffer.find(b"#", max(searched, position + 1), last)
                # A `$` where the checksum belongs is a new packet as well.
                cut = buffer.find(b"$", max(searched, position + 1), end + 3 if end >= 0 else last)
                if cut >= 0:
                    events.append(Damaged(buffer[position:cut], "cut short by a new packet"))
                    position = cut
                elif 0 <= end < len(buffer) - 2:
                    events.append(_finish(buffer[position : end + 3]))
                    position = end + 3
                elif end < 0 and len(buffer) >= last:
                    events.append(Damaged(buffer[position:last], "longer than any packet may be"))
                    position = last
                else:
                    searched = end if end >= 0 else len(buffer)
                    break
            elif first in _SINGLE:
                events.append(_SINGLE[first])
                position += 1
            else:
                found = _START.search(buffer, position)
                stop = found.start() if found else len(buffer)
                events.append(Noise(buffer[position:stop]))
                position = stop
            searched = 0
        self._buffer = buffer[position:]
        self._searched = searched - position if self._buffer else 0
        return events


def _finish(raw: bytes) -> Event:
    """Judge a complete `$...#cc`."""
    body = raw[1:-3]
    try:
        wanted = int(raw[-2:], 16) if raw[-2:].isalnum() else -1
    except ValueError:
        wanted = -1
    found = checksum(body)
    if wanted != found:
        return Damaged(raw, f"checksum is {found:02x}")
    if b"*" in body or b"}" in body:
        plain = _expand(body)
        if plain is None:
            return Damaged(raw, "a repeat or an escape of nothing")
        body = plain
    return Packet(body) if raw[0] == 0x24 else Notification(body)


def _expand(body: bytes) -> bytes | None:
    """Undo repeats, then escapes.  None if one of them has nothing to work on."""
    head, *runs = body.split(b"*")
    expanded = bytearray(head)
    for run in runs:
        # `x*N` stands for x and N-29 more of it; printable counts only, so at least 3 more.
        if not expanded or not run or not 0x20 <= run[0] <= 0x7E:
            return None
        expanded += expanded[-1:] * (run[0] - 29)
        expanded += run[1:]
    if b"}" not in expanded:
        return bytes(expanded)
    plain, *escapes = bytes(expanded).split(b"}")
    parts = [plain]
    pending = False
    for piece in escapes:
        if pending:  # the escaped byte is itself a `}`; its own split produced this piece
            parts.append(b"\x5d" + piece)
            pending = False
        elif piece:
            parts.append(bytes((piece[0] ^ 0x20,)) + piece[1:])
        else:
            pending = True
    return None if pending else b"".join(parts)
