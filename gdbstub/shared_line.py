"""Finds a stub's packets on a line that also carries a console's text.

A kernel's stub on the serial console says nothing but printable bytes without a space; a person's text soon
has something else.  So what begins with `$` is a packet in the making for as long as it looks like one, and
text from the first byte that does not: a shell's prompt, or a price, is shown at once and not when the next
packet comes.  `%` begins nothing here, since such a stub has no notifications.

The events are `packet`'s.  What looks like a packet and has a wrong checksum is `Damaged`: whether it was
text can only be told by who waits for a packet.
"""

from __future__ import annotations

import re

from gdbstub.packet import ACK, INTERRUPT, LIMIT, NAK, Ack, Decoder, Event, Interrupt, Nak, Noise

_PACKET = re.compile(rb"\$[!\"%-~]*#[!-~]{2}")
_UNFINISHED = re.compile(rb"\$[!\"%-~]*(?:#[!-~]?)?\Z")
_TEXT = re.compile(rb"[^$+\-\x03]+")
_SINGLE: dict[bytes, Event] = {ACK: Ack(), NAK: Nak(), INTERRUPT: Interrupt()}


class SharedLineDecoder:
    """Turns received bytes into events, whatever pieces they arrive in."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._buffer = b""

    def feed(self, data: bytes) -> list[Event]:
        """Take received bytes, return the events they complete."""
        buffer = self._buffer + data
        events: list[Event] = []
        position = 0
        while position < len(buffer):
            if text := _TEXT.match(buffer, position):
                events.append(Noise(text[0]))
                position = text.end()
            elif single := _SINGLE.get(buffer[position : position + 1]):
                events.append(single)
                position += 1
            elif found := _PACKET.match(buffer, position):
                is_short = len(found[0]) <= self._limit
                events += Decoder().feed(found[0]) if is_short else [Noise(found[0])]
                position = found.end()
            elif _UNFINISHED.match(buffer, position) and len(buffer) - position < self._limit:
                break
            else:
                events.append(Noise(b"$"))
                position += 1
        self._buffer = buffer[position:]
        return events
