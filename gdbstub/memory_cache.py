"""What is known of a stopped target's memory, in lines, so that a byte is fetched once.

Stock gdb reads code by single words and text by single bytes, and over a slow line each read costs four
transactions.  Nothing is kept over a resume, but for the kernel's text over single steps.  A line that cannot
be read whole is not kept either: what was asked is then read as it was asked, so that memory next to a hole
stays readable, and a device next to memory is not touched twice.
"""

from __future__ import annotations

# A line costs about 25 ms more than a word at 115200 baud and holds 32 instructions: most of a function's
# prologue, which gdb reads word by word after every stop.
LINE = 128

# Lines held; a dump of memory must not become a copy of it.
MAX_LINES = 1024


class MemoryCache:
    """Lines of memory by address."""

    def __init__(self) -> None:
        self._lines: dict[int, bytes] = {}
        self._text: set[int] = set()

    def clear(self, *, keep_text: bool = False) -> None:
        """Forget everything, or everything but text: the target is about to run."""
        self._lines = {start: self._lines[start] for start in self._text} if keep_text else {}
        if not keep_text:
            self._text.clear()

    def lookup(self, addr: int, length: int) -> bytes | None:
        """Return `length` bytes if all of them are known."""
        first = addr & -LINE
        pieces = []
        for start in range(first, addr + length, LINE):
            line = self._lines.get(start)
            if line is None:
                return None
            pieces.append(line)
        return b"".join(pieces)[addr - first : addr - first + length]

    def is_text(self, addr: int) -> bool:
        """True where code is known, and what a file says it is."""
        return addr & -LINE in self._text

    def missing(self, addr: int, length: int) -> tuple[int, int]:
        """Return start and length of the whole lines to fetch so that `addr, length` is known."""
        starts = [start for start in range(addr & -LINE, addr + length, LINE) if start not in self._lines]
        return (starts[0], starts[-1] + LINE - starts[0]) if starts else (addr, 0)

    def fill(self, start: int, data: bytes, text: bytes | None = None) -> None:
        """Remember `data` at `start`, a line's beginning; what was known before may be forgotten, but none of
        `data`, which is less than MAX_LINES.  Lines that equal `text`, what a file says is there, are text.
        """
        if len(self._lines) + len(data) // LINE > MAX_LINES:
            self.clear()
        for offset in range(0, len(data) - LINE + 1, LINE):
            line = self._lines[start + offset] = data[offset : offset + LINE]
            if text is not None and text[offset : offset + LINE] == line:
                self._text.add(start + offset)

    def write(self, addr: int, data: bytes) -> None:
        """Note that `data` has been written at `addr`."""
        for start in range(addr & -LINE, addr + len(data), LINE):
            self._text.discard(start)
            line = self._lines.get(start)
            if line is not None:
                low, high = max(start, addr), min(start + LINE, addr + len(data))
                self._lines[start] = (
                    line[: low - start] + data[low - addr : high - addr] + line[high - start :]
                )
