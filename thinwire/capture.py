"""Recordings of the line: every frame with its direction and time, in a file that Wireshark opens.

The format is pcapng (draft-ietf-opsawg-pcapng): a section header, one interface and an enhanced packet for
each frame. The link type is USER0 (147); a packet's data are

    byte 0     0 from the victim, 1 to the victim
    byte 1     0 text outside frames, 1 a frame
    then       the bytes as they were on the line; a frame's channel is in its header (see frames)

Times are nanoseconds since 1970. The direction is in the packet's flags as well (inbound is from the victim),
so that Wireshark's own columns show it. `thinwire.lua` beside this file dissects the rest:

    tshark -X lua_script:thinwire.lua -r FILE

`Recorder` writes to any binary file, `read` takes a file's bytes, of either byte order and even if the end is
missing: a recording of a crash is the one that matters. `describe` is a line for people.
"""

import logging
import os
import struct
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import BinaryIO

import trio

from thinwire import descriptors
from thinwire.frames import Read, Select, SetSpeed, Stray, Write, decode_one
from thinwire.line import LineError
from thinwire.mux import Direction, Passage

log = logging.getLogger("thinwire")

LINK_TYPE = 147
_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_BYTE_ORDER = 0x1A2B3C4D
_OPTION_END, _INTERFACE_NAME, _TIME_RESOLUTION, _PACKET_FLAGS = 0, 2, 9, 2
_NANOSECONDS = 9
_INBOUND, _OUTBOUND = 1, 2
_SMALLEST = 12  # bytes of a block without a body
_SHORTEST = 28
"""Bytes of a section header without options."""


LATE = 1024 * 1024
"""Bytes that wait for the reader of a pipe: some seconds of a fast line."""


class CaptureError(ValueError):
    """The file is no recording of ours; the message says why."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One frame or piece of text; `time` in nanoseconds since 1970."""

    time: int
    to_victim: bool
    is_frame: bool
    data: bytes


class Recorder:
    """Writes passages to a file, unbuffered, so that nothing is missing after a crash. When the file takes no
    more, the recording ends with the last whole packet; the line goes on.

    The file may be a pipe that Wireshark reads, opened not to block. What it does not take waits here, up to
    `LATE` bytes; then packets are left out. `attend` writes it when there is room.
    """

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._late = trio.Event()
        self._is_over = False
        self._has_gap = False
        self._waiting = bytearray()
        self._written = 0
        self._size = 0  # of the whole packets
        options = _option(_INTERFACE_NAME, b"thinwire") + _option(_TIME_RESOLUTION, bytes((_NANOSECONDS,)))
        section = struct.pack("<IHHq", _BYTE_ORDER, 1, 0, -1)
        interface = struct.pack("<HHI", LINK_TYPE, 0, 0) + options + _option(_OPTION_END, b"")
        self._waiting += _block(_SECTION, section) + _block(_INTERFACE, interface)
        self._write_waiting()

    def record(self, passage: Passage) -> None:
        """Add what passed on the line just now."""
        to_victim = passage.direction is Direction.TO_VICTIM
        self.write(Packet(time.time_ns(), to_victim, passage.is_frame, passage.data))

    def write(self, packet: Packet) -> None:
        """Add a packet."""
        data = bytes((packet.to_victim, packet.is_frame)) + packet.data
        head = struct.pack("<IIIII", 0, packet.time >> 32, packet.time & 0xFFFFFFFF, len(data), len(data))
        flags = struct.pack("<I", _OUTBOUND if packet.to_victim else _INBOUND)
        body = head + _padded(data) + _option(_PACKET_FLAGS, flags) + _option(_OPTION_END, b"")
        if self._is_over:
            return
        if len(self._waiting) > LATE:
            if not self._has_gap:
                log.warning("the recording has a gap: its reader is too slow")
            self._has_gap = True
            return
        self._waiting += _block(_PACKET, body)
        if not self.catch_up():
            self._late.set()

    def catch_up(self) -> bool:
        """Write what waits; whether nothing is left of it."""
        try:
            return self._write_waiting()
        except OSError as error:
            self._is_over = True
            self._waiting.clear()
            log.error("the recording ends here: %s", os.strerror(error.errno or 0))
            with suppress(OSError):
                self._out.truncate(self._size)
            return True

    async def attend(self) -> None:
        """Write what waits whenever the pipe takes more, for ever."""
        while True:
            self._late = trio.Event()
            if self.catch_up():
                await self._late.wait()
            await trio.lowlevel.wait_writable(self._out)

    def _write_waiting(self) -> bool:
        while self._waiting:  # an unbuffered file takes less when the disk is nearly full
            count = self._out.write(self._waiting)
            if not count:
                return False
            del self._waiting[:count]
            self._written += count
        self._size, self._has_gap = self._written, False
        return True


@contextmanager
def open_recorder(path: str) -> Iterator[Recorder]:
    """A recorder that writes to the file or pipe `path`. Raises LineError."""
    try:
        out = open(descriptors.open_to_write(path, os.O_TRUNC), "wb", buffering=0)
    except OSError as error:
        raise LineError(error.strerror) from error
    with out:
        try:
            recorder = Recorder(out)
        except OSError as error:
            raise LineError(f"cannot write {path}: {os.strerror(error.errno or 0)}") from error
        yield recorder


def read(data: bytes) -> Iterator[Packet]:
    """The packets of a recording. Raises CaptureError where the file stops making sense; a cut-off end is an
    end, see `cut_off`.
    """
    if len(data) < _SHORTEST:
        raise CaptureError("this is no pcapng file")
    at, order = 0, "<"
    resolutions: list[int] = []
    while at + _SMALLEST <= len(data):
        (kind,) = struct.unpack_from(order + "I", data, at)
        if kind == _SECTION:
            order = _byte_order(data, at)
            resolutions = []
        elif at == 0:
            raise CaptureError("this is no pcapng file")
        (length,) = struct.unpack_from(order + "I", data, at + 4)
        if length < _SMALLEST or length % 4:
            raise CaptureError(f"a block at byte {at} has the impossible length {length}")
        if at + length > len(data):
            return
        body = data[at + 8 : at + length - 4]
        if kind == _INTERFACE:
            resolutions.append(_resolution(order, body))
        elif kind == _PACKET and len(body) >= 20:
            yield _packet(order, body, resolutions)
        at += length


def cut_off(data: bytes) -> int | None:
    """Where a recording's last block begins if the file ends within it: the recorder was killed, or its disk
    was full. None if it is whole. For files that `read` accepts.
    """
    at, order = 0, "<"
    while at + 8 <= len(data):
        order = _byte_order(data, at) if data[at : at + 4] == b"\n\r\r\n" else order
        (length,) = struct.unpack_from(order + "I", data, at + 4)
        if at + length > len(data):
            return at
        at += length
    return at if at < len(data) else None


def show(path: str) -> Iterator[str]:
    """A recording's file, line by line for people. Raises OSError, CaptureError."""
    with open(path, "rb") as file:
        data = file.read()
    start: int | None = None
    for packet in read(data):
        start = packet.time if start is None else start
        yield describe(packet, start)


def describe(packet: Packet, start: int) -> str:
    """One line: seconds since `start`, direction, and what it is."""
    seconds = (packet.time - start) / 1e9
    arrow = "<" if packet.to_victim else ">"
    return f"{seconds:12.6f} {arrow} {_what(packet)}"


def _what(packet: Packet) -> str:
    data = packet.data
    if not packet.is_frame:
        return f"text {_shown(data)}"
    if packet.to_victim:
        return _answer(data)
    match decode_one(data):
        case Write(channel, payload, acked):
            return f"write{'' if acked else ' unacked'} {channel} {_shown(bytes(payload))}"
        case Read(channel, limit):
            return f"read {channel} up to {limit}"
        case Select(base, nibbles):
            return f"select {base}{' nibbles' if nibbles else ''}"
        case SetSpeed(digits):
            return f"speed {digits.decode()}"
        case Stray() | None:
            return f"? {_shown(data)}"
        case other:
            return type(other).__name__.lower()


def _answer(data: bytes) -> str:
    """An answer; which it is follows from its first byte and length."""
    channel, payload = data[4] - 0x20 if len(data) > 4 else -1, data[5:]
    match data[:1]:
        case b"!" | b"?":
            return f"ready from {channel}: {payload.hex()}"
        case b"S":
            return f"speed {payload.decode(errors='replace')}"
        case first if first == bytes((0x30 + channel & 0xFF,)) and not (first == b"A" and not payload):
            return f"data {channel} {_shown(payload)}"
        case _:
            return f"written {channel}"


def _shown(data: bytes) -> str:
    text = repr(data[:60])[1:]
    return f"{len(data)} bytes {text}{'...' if len(data) > 60 else ''}"


def _byte_order(data: bytes, at: int) -> str:
    magic = data[at + 8 : at + 12]
    for order in "<>":
        if magic == struct.pack(order + "I", _BYTE_ORDER):
            return order
    raise CaptureError("this is no pcapng file: its section header has no byte order")


def _resolution(order: str, body: bytes) -> int:
    """Ticks per second of an interface; microseconds unless an option says otherwise."""
    if len(body) < 8:
        raise CaptureError("an interface block is too short")
    if struct.unpack_from(order + "H", body)[0] != LINK_TYPE:
        raise CaptureError("the recording is of another link type; thinwire is 147 (USER0)")
    for code, value in _options(order, body[8:]):
        if code == _TIME_RESOLUTION and len(value) == 1:
            return int((2 if value[0] & 0x80 else 10) ** (value[0] & 0x7F))
    return 10**6


def _packet(order: str, body: bytes, resolutions: list[int]) -> Packet:
    interface, high, low, length, _ = struct.unpack_from(order + "IIIII", body)
    data = body[20 : 20 + length]
    if interface >= len(resolutions) or len(data) < 2 or len(data) < length:
        raise CaptureError("a packet block is malformed")
    ticks = high << 32 | low
    return Packet(ticks * 10**9 // resolutions[interface], bool(data[0]), bool(data[1]), data[2:])


def _options(order: str, data: bytes) -> Iterable[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(data):
        code, length = struct.unpack_from(order + "HH", data, at)
        if code == _OPTION_END:
            return
        yield code, data[at + 4 : at + 4 + length]
        at += 4 + length + -length % 4


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + _padded(value)


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
