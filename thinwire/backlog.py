"""Bytes on their way from one party to another that is not ready for them yet.

A `Backlog` keeps the chunks as they came (a 16 KiB frame is never copied to be queued) and gives them out as
a list for one gathered write. It does not bound itself: whoever appends decides what happens at the limit,
because that differs (a client that types is made to wait, an observer loses the oldest bytes, a writer's
policy is an option). `Recent` is the other kind of memory: the end of what has passed.

Chunks may be views of what was read from the line. A backlog that keeps bytes for longer than the round in
which they came is told to `own` them, or a small view would keep a large buffer alive.
"""

from collections import deque
from collections.abc import Iterator
from itertools import islice

GATHER = 256
"""Chunks offered to one gathered write; the system's own limit (IOV_MAX) is 1024."""


class Backlog:
    """A first-in first-out queue of bytes."""

    __slots__ = ("_chunks", "_has_views", "size")

    def __init__(self) -> None:
        self._chunks: deque[bytes | memoryview] = deque()
        self._has_views = False
        self.size = 0

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[bytes | memoryview]:
        return iter(self._chunks)

    def append(self, data: bytes | memoryview) -> None:
        """Add bytes at the end."""
        if data:
            self._chunks.append(data)
            self.size += len(data)
            if type(data) is memoryview:
                self._has_views = True

    def extend(self, views: list[bytes | memoryview]) -> None:
        """Add views that are all of one size."""
        self._chunks.extend(views)
        self.size += len(views) * len(views[0])
        self._has_views = True

    def own(self) -> None:
        """Copy what is a view of somebody else's buffer."""
        if self._has_views:
            self._has_views = False
            self._chunks = deque(map(bytes, self._chunks))

    def front(self) -> list[bytes | memoryview]:
        """The first chunks, for a gathered write; `discard` what was written."""
        return list(islice(self._chunks, GATHER))

    def discard(self, count: int) -> None:
        """Remove the first `count` bytes."""
        chunks = self._chunks
        self.size -= count
        while count:
            first = chunks[0]
            if len(first) > count:
                chunks[0] = first[count:]
                return
            count -= len(first)
            chunks.popleft()

    def take(self, limit: int) -> bytes:
        """Remove and return at most `limit` bytes from the front."""
        if self.size <= limit:
            data = b"".join(self._chunks)
            self._chunks.clear()
            self.size = 0
            return data
        parts: list[bytes | memoryview] = []
        missing = limit
        while missing:
            first = self._chunks[0]
            parts.append(first[:missing])
            if len(first) > missing:
                self._chunks[0] = first[missing:]
                break
            missing -= len(first)
            self._chunks.popleft()
        self.size -= limit
        return b"".join(parts)

    def trim(self, limit: int) -> int:
        """Drop the oldest bytes until at most `limit` are left; return how many went."""
        surplus = self.size - limit
        if surplus <= 0:
            return 0
        self.discard(surplus)
        return surplus


class Recent:
    """The last bytes of a stream: `limit` of them once so many have passed, and never more than twice."""

    __slots__ = ("_bytes", "_limit", "_most")

    def __init__(self, limit: int) -> None:
        self._bytes = bytearray()
        self._limit = limit
        self._most = 2 * limit

    @property
    def size(self) -> int:
        return len(self._bytes)

    def append(self, data: bytes | memoryview) -> None:
        """Add bytes at the end."""
        self._bytes += data
        if len(self._bytes) > self._most:
            del self._bytes[: -self._limit or None]

    def tail(self, count: int) -> bytes:
        """A copy of the last `count` bytes, or of all there are."""
        return bytes(self._bytes[max(0, len(self._bytes) - count) :])
