"""The thinwire frame: what a victim asks and what the server answers, as bytes and as values.

A victim (the kernel at the far end of the line) sends requests; the server answers some of them and never
speaks first. Every request starts with five bytes, of which the middle three make a length of 18 bits:

    kind    0x20 + six bits, three times, the high ones first    0x20 + channel

    '0' write, answered     'A' read              'S' set the line's speed, in as many decimal digits
    '#' write, unanswered   '!' select, bits      '$' end; exactly four spaces follow
                            '?' select, nibbles   '/' dump; everything behind the header is text, for ever

Answers swap the letters: a write is acknowledged with 'A', a read is answered with '0' + channel. The literal
vectors, taken from the original programs, are in tests/thinwire/test_frames.py.

`Decoder` takes the line's bytes in any split and yields requests, and `Stray` for bytes that belong to no
frame. A byte starts a frame only if everything of the header that has arrived is legal: digits in 0x20..0x5f,
length at most 16384, channel at most 94, a select with length 0, an end with four spaces. A kernel's `printf`
between frames is therefore text, not a disaster: its first byte is stray and the search for a frame goes on
at the next one. The decoder holds at most one unfinished frame. It knows nothing of time, of which channels
exist, or of the handshake.

It is the hottest code of the package, so two things are cheaper than they could be plain. Headers are looked
up rather than taken apart: a kernel uses few different ones. And the payload of a large write is a view of
the bytes that were fed, not a copy of them.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

HEADER_LENGTH = 5
MAX_PAYLOAD = 16384
CHANNELS = 95
"""Channel bytes run over the printable characters 0x20..0x7e."""
SET_SIZE = 8
"""One select reports on this many channels, and one operating system image owns this many."""

_EXIT = b"$    "
_DUMP = b"/   "


class Write(NamedTuple):
    """Bytes for a channel. Small unanswered writes with one and the same header may arrive merged into one.

    A tuple because it is the one event that is made anew for every frame, and a tuple is made in a third of
    the time.
    """

    channel: int
    data: bytes | memoryview
    acked: bool


@dataclass(frozen=True, slots=True)
class Run:
    """Large unanswered writes to one channel, with one and the same header."""

    channel: int
    parts: list[bytes | memoryview]


@dataclass(frozen=True, slots=True)
class Read:
    """The victim wants at most `limit` bytes from a channel."""

    channel: int
    limit: int


@dataclass(frozen=True, slots=True)
class Select:
    """Which of the eight channels from `base` on have input?"""

    base: int
    nibbles: bool = False


@dataclass(frozen=True, slots=True)
class SetSpeed:
    """The victim is about to change its line speed to `digits`, a decimal number."""

    digits: bytes


@dataclass(frozen=True, slots=True)
class Exit:
    """The victim has no more use for the wire."""


@dataclass(frozen=True, slots=True)
class Dump:
    """From here on the line carries text only."""


@dataclass(frozen=True, slots=True)
class Stray:
    """Bytes outside every frame."""

    data: bytes


Request = Write | Read | Select | SetSpeed | Exit | Dump
Event = Request | Run | Stray


def header(kind: int, length: int, channel: int) -> bytes:
    """Five header bytes; `kind` is the first of them."""
    return bytes(
        (kind, 0x20 + (length >> 12), 0x20 + (length >> 6 & 63), 0x20 + (length & 63), 0x20 + channel)
    )


def encode(request: Request) -> bytes:
    """The bytes a victim sends for a request."""
    match request:
        case Write(channel, data, acked):
            return b"".join((header(ord("0" if acked else "#"), len(data), channel), data))
        case Read(channel, limit):
            return header(ord("A"), limit, channel)
        case Select(base, nibbles):
            return header(ord("?" if nibbles else "!"), 0, base)
        case SetSpeed(digits):
            return header(ord("S"), len(digits), 0) + digits
        case Exit():
            return _EXIT
        case Dump():
            return _DUMP + b" "


@lru_cache(maxsize=1024)
def write_ack(channel: int, length: int) -> bytes:
    """The answer to an acknowledged write of `length` bytes."""
    return header(ord("A"), length, channel)


def read_reply(channel: int, data: bytes) -> bytes:
    """The answer to a read. The first byte wraps past 0xff only for channels that do not exist."""
    return header(0x30 + channel, len(data), channel) + data


@lru_cache(maxsize=1024)
def select_reply(base: int, mask: int) -> bytes:
    """The answer to '!': bit i of the big-endian word is channel base + i."""
    return header(ord("!"), 4, base) + mask.to_bytes(4, "big")


def nibble_reply(base: int, mask: int, *, lossy: bool = False) -> bytes:
    """The answer to '?': eight nibbles, most significant first, each 0x20 + nibble.

    The original servers shift the mask by eight instead of four for every nibble, so channels base+4..base+7
    never show; `lossy` gives that form.
    """
    shift = 8 if lossy else 4
    return header(ord("?"), 8, base) + bytes(
        0x20 + (mask >> shift * place & 15) for place in range(7, -1, -1)
    )


def decode_one(data: bytes) -> Event | None:
    """The one frame that `data` holds, None if it is not whole."""
    events = Decoder(merge=False).feed(data)
    return events[0] if events else None


SMALL = 512
"""Bytes. Longer payloads are handed on as views: copying them would cost more than it saves."""
BATCH = 1024
"""Frames decoded at one go, at most 2 ms of work with their serving. What is behind them waits for the next
`feed`.
"""

_LENGTH = rb"(?:[ -#][ -_][ -_]|\$  )"
_CHANNEL = rb"[ -~]"
_FORMS = (
    rb"[#0A]" + _LENGTH + _CHANNEL,
    rb"[!?]   " + _CHANNEL,
    rb"S  [!-(]" + _CHANNEL,
    rb"\$    ",
    # The machine-check dump of a real kernel has LF for a channel, so the fifth byte is free.
    rb"/   [\x00-\xff]",
)
# What the data may end with while more of a header is to come.
_BEGINNINGS = (
    rb"[#0A](?:[ -#][ -_]{0,2}|\$ {0,2})?",
    rb"[!?] {0,3}",
    rb"S(?: (?: [!-(]?)?)?",
    rb"\$ {0,3}",
    rb"/ {0,3}",
)
_HEADER = re.compile(b"|".join(_FORMS))
_HEADER_OR_BEGINNING = re.compile(b"|".join(_FORMS) + rb"|(?:" + b"|".join(_BEGINNINGS) + rb")\Z")


def payload_length(frame: bytes) -> int:
    """How long the payload of a begun frame will be; 0 where the header is not whole or is none."""
    parsed = parse_header(frame[:HEADER_LENGTH])
    return parsed[2] if parsed else 0


class Decoder:
    """Requests out of the victim's bytes, however those are cut.

    With `merge` false every frame is a request, its payload a copy; otherwise a run of unanswered writes with
    equal headers is one event. Behind an end or a dump everything is stray, until `abandon`.
    """

    def __init__(self, *, merge: bool = True) -> None:
        self.tail = b""
        """What there is of a frame that waits for the rest of it; of more than that while `is_behind`."""
        self.is_behind = False
        """Whether there is more to decode at once, without new bytes: `feed` nothing."""
        self.merged = 0
        """How many frames have gone into others so far."""
        self._merge = merge
        self._over = False
        self._lapsed_at = -1

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes of the line; return what they completed, of at most `BATCH` frames."""
        tail = self.tail
        if not tail:
            return self._decode(data)
        if self._lapsed_at >= 0:
            return self._resume(tail + data)
        parsed = parse_header(tail[:HEADER_LENGTH])
        missing = HEADER_LENGTH + parsed[2] - len(tail) if parsed else 0
        if 0 < missing < len(data) and not self._over:
            # Only the frame that was cut is put together; copying the rest as well would cost more than
            # decoding.
            events = self._decode(tail + data[:missing])
            if self.tail or self._over:
                return events + self.feed(data[missing:])
            return events + self._decode(data, missing)
        return self._decode(tail + data)

    def lapse(self) -> None:
        """The line fell silent in the middle of a frame: if a whole header comes next, believe it.

        The far end may have been reset (then a new frame starts here) or merely halted by a debugger (then
        the payload goes on), and only what comes next can tell.
        """
        if self.tail:
            self._lapsed_at = len(self.tail)

    @property
    def has_lapsed(self) -> bool:
        return self._lapsed_at >= 0

    def abandon(self) -> bytes:
        """Forget the unfinished frame and return its bytes: the far end has started anew."""
        tail, self.tail, self.is_behind, self._lapsed_at, self._over = self.tail, b"", False, -1, False
        return tail

    def _resume(self, data: bytes) -> list[Event]:
        mark = self._lapsed_at
        if _HEADER.match(data, mark):
            self._lapsed_at = -1
            return [Stray(data[:mark]), *self._decode(data[mark:])]
        begins = _HEADER_OR_BEGINNING.match(data, mark)
        if begins:
            # Perhaps a header, perhaps the payload's end: while both are open, a frame that becomes whole
            # wins.
            events = self._decode(data)
            if self.tail != data:
                self._lapsed_at = -1
            return events
        self._lapsed_at = -1
        return self._decode(data)

    def _decode(self, data: bytes, at: int = 0) -> list[Event]:
        """The events in `data` from `at` on; keeps what is unfinished."""
        self.is_behind = False
        if self._over:
            self.tail = b""
            return [Stray(data[at:])] if at < len(data) else []
        events: list[Event] = []
        end = len(data)
        budget = BATCH
        while at < end:
            parsed = parse_header(data[at : at + HEADER_LENGTH])
            if parsed is None:
                found = _HEADER_OR_BEGINNING.search(data, at)
                start = found.start() if found else end
                if start == at:
                    break  # a header that has only begun
                events.append(Stray(data[at:start]))
                at = start
                continue
            kind, channel, length, whole = parsed
            body = at + HEADER_LENGTH
            stop = body + length
            if stop > end:
                break
            if not budget:
                self.is_behind = True
                break
            budget -= 1
            if whole is not None:
                events.append(whole)
            elif kind == _WRITE_QUIETLY and self._merge:
                stop, parts = _find_run(data, at, stop, budget)
                budget -= len(parts) - 1
                if length > SMALL:
                    events.append(Run(channel, parts))
                else:
                    events.append(Write(channel, b"".join(parts), False))
                    self.merged += len(parts) - 1
            elif kind in WRITES:
                whole_payload = (
                    memoryview(data)[body:stop] if length > SMALL and self._merge else data[body:stop]
                )
                events.append(Write(channel, whole_payload, kind == WRITE))
            elif kind == _SET_SPEED and data[body:stop].isdigit():
                events.append(SetSpeed(data[body:stop]))
            elif kind == _SET_SPEED:
                stop = at + 1
                events.append(Stray(data[at:stop]))
            else:
                self._over = True
                events.append(Exit() if kind == _END else Dump())
                if body < end:
                    events.append(Stray(data[body:]))
                stop = end
            at = stop
        self.tail = data[at:]
        return events


def _find_run(data: bytes, at: int, stop: int, limit: int) -> tuple[int, list[bytes | memoryview]]:
    """The payloads of the frame from `at` to `stop` and of those behind it that have the same header, at most
    `limit` of them, and where the last one stops.
    """
    head, size, end = data[at : at + HEADER_LENGTH], stop - at, len(data)
    source = memoryview(data) if size > SMALL else data
    parts: list[bytes | memoryview] = [source[at + HEADER_LENGTH : stop]]
    while stop + size <= end and data.startswith(head, stop) and len(parts) <= limit:
        parts.append(source[stop + HEADER_LENGTH : stop + size])
        stop += size
    return stop, parts


WRITE, _WRITE_QUIETLY, _READ, _SELECT, _SELECT_NIBBLES, _SET_SPEED, _END = b"0#A!?S$"
WRITES = (WRITE, _WRITE_QUIETLY)


@lru_cache(maxsize=4096)
def parse_header(head: bytes) -> tuple[int, int, int, Read | Select | None] | None:
    """Kind, channel and payload length of a whole legal header, and the request if it is one without a
    payload.

    A kernel uses few different headers, so nearly all of them are looked up here.
    """
    if not _HEADER.fullmatch(head):
        return None
    kind, high, middle, low, channel = head
    channel -= 0x20
    length = (high - 0x20 << 12) + (middle - 0x20 << 6) + low - 0x20
    if kind == _READ:
        return kind, channel, 0, Read(channel, length)
    if kind in (_SELECT, _SELECT_NIBBLES):
        return kind, channel, 0, Select(channel, kind == _SELECT_NIBBLES)
    return kind, channel, length, None
