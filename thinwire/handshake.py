"""Finding the sentinel: where text ends and frames begin.

A kernel first talks plain text (its firmware, then "Enable thinwire" LF CR) and then sends fourteen bytes,
NUL ``**thinwire**`` NUL or fourteen characters with stars at both ends; either end may be either. Text before
it belongs to the console, frames follow.

`Handshake` is fed the line and returns the text and, once, whatever came behind the sentinel. It gives text
out as soon as it cannot be the beginning of a sentinel; what might be one is held (at most thirteen bytes)
until more comes or `flush` says that the line is idle, after which the held bytes are shown but still count
towards a match. The originals give up on a mismatch without trying the mismatching byte again, and then miss
the sentinel behind a stray NUL or star for ever; here any suffix of the text may start the sentinel.

`find_restart` recognises the whole announcement in a framed stream, where it means that the far end was
reset, wherever in a payload it stands. A payload that holds those 31 bytes for another reason does not exist
outside recordings.
"""

import re
from dataclasses import dataclass

SENTINEL = b"\0**thinwire**\0"
ANNOUNCEMENT = b"Enable thinwire\n\r"

_MIDDLE = b"**thinwire**"
_RARE = b"w"  # a byte of it: one byte is looked for ten times as fast as several
_WHOLE = re.compile(rb"[*\0]\*\*thinwire\*\*[*\0]")
# A proper prefix of the sentinel at the very end of the text.
_BEGUN = re.compile(rb"[*\0](?:\*(?:\*(?:t(?:h(?:i(?:n(?:w(?:i(?:r(?:e(?:\*(?:\*)?)?)?)?)?)?)?)?)?)?)?)?\Z")
_RESTART = re.compile(re.escape(ANNOUNCEMENT) + _WHOLE.pattern)


@dataclass(frozen=True, slots=True)
class Found:
    """What one feed came to: text for the console, and what stands behind the sentinel or None if there was
    none.
    """

    text: bytes
    rest: bytes | None


class Handshake:
    """Watches text for the sentinel."""

    def __init__(self) -> None:
        self._held = b""
        self._shown = 0

    @property
    def holds_text(self) -> bool:
        """Whether `flush` would return anything."""
        return len(self._held) > self._shown

    def expect(self, text: bytes) -> bool:
        """`text` has gone elsewhere and is not to be shown; whether a sentinel may have begun at its end."""
        begun = _BEGUN.search(text)
        self._held = text[begun.start() :] if begun else b""
        self._shown = len(self._held)
        return begun is not None

    def feed(self, data: bytes) -> Found:
        """Take the next bytes. After a sentinel was found the next call starts afresh."""
        data = self._held + data
        shown, self._held, self._shown = self._shown, b"", 0
        if whole := _WHOLE.search(data) if _MIDDLE in data else None:
            return Found(data[shown : whole.start()], data[whole.end() :])
        if begun := _BEGUN.search(data, max(0, len(data) - len(SENTINEL) + 1)):
            self._held = data[begun.start() :]
            self._shown = max(0, shown - begun.start())
            data = data[: begun.start()]
        return Found(data[shown:], None)

    def flush(self) -> bytes:
        """The line is idle: show what was held. It may still turn out to be the start of a sentinel."""
        text = self._held[self._shown :]
        self._shown = len(self._held)
        return text


def find_restart(data: bytes) -> tuple[int, int] | None:
    """Where the announcement and the sentinel behind it start and stop, or None."""
    if _RARE not in data or ANNOUNCEMENT not in data:
        return None
    found = _RESTART.search(data)
    return found.span() if found else None


def find_sentinel(data: bytes) -> tuple[int, int] | None:
    """Where a bare sentinel starts and stops, or None."""
    found = _WHOLE.search(data)
    return found.span() if found else None


def find_swallowed(begun: bytes, rest: bytes, end: int, *, bare: bool) -> tuple[int, int] | None:
    """Where in `begun + rest` a restart stands that was taken for a part of a frame, or None. The frame ends
    at `end` of `rest`.

    A restart is the whole announcement, or a sentinel that the frame's end cuts in two; and a bare sentinel
    inside it only if `bare`, for it might be meant.
    """
    overlap = len(SENTINEL) - 1
    in_rest = rest.find(_RARE, 0, end + overlap) >= 0 and rest.find(_MIDDLE, 0, end + overlap) >= 0
    if (
        not in_rest
        and _MIDDLE not in begun[-overlap:] + rest[:overlap]
        and (_RARE not in begun or _MIDDLE not in begun)
    ):
        return None  # in nearly every case, and without copying a large payload
    text = begun + rest[: end + overlap]
    if restart := find_restart(text):
        return restart
    found = _WHOLE.search(text, 0 if bare else max(0, len(begun) + end - overlap))
    return found.span() if found else None
