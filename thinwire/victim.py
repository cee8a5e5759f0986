"""The other end of the wire: what a kernel, a simulator or a test says.

`Conversation` is the sans-IO part: `ask` gives the bytes of a request and remembers what its answer looks
like, `feed` gives the answers. It has to remember, because an answer cannot be told from its first byte: the
read of channel 17 is answered with an 'A', like every write.

`Victim` puts a stream around it. Like a kernel it is synchronous: each call sends one request and waits for
its answer. The stream may be a `trio.SocketStream` or anything else with the two methods of `ByteStream`;
this module imports no trio. A simulator that offers a console and echoes channel 1 is this long:

    from contextlib import suppress
    import trio
    from thinwire.victim import Victim

    async def machine(stream):
        victim = Victim(stream)
        with suppress(EOFError, trio.BrokenResourceError):  # the multiplexer has left, and may come back
            await victim.start()
            await victim.print("Hello from the machine\\r\\n")
            while True:
                ready = await victim.select(0)
                if 0 in ready:
                    typed = await victim.read(0, 256)
                    await victim.write(0, b"you typed " + typed)
                if 1 in ready:
                    await victim.write(1, await victim.read(1, 2046))
                if not ready:
                    await trio.sleep(0.1)

    trio.run(trio.serve_tcp, machine, 2101)  # and: thinwire3 localhost:2101 2102 2103
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from thinwire.frames import (
    HEADER_LENGTH,
    MAX_PAYLOAD,
    SET_SIZE,
    Dump,
    Exit,
    Read,
    Request,
    Select,
    SetSpeed,
    Write,
    encode,
    header,
)
from thinwire.handshake import ANNOUNCEMENT, SENTINEL


class AnswerError(Exception):
    """The server's bytes are no answer to what was asked."""


@dataclass(frozen=True, slots=True)
class Written:
    """The write of `length` bytes is accepted."""

    channel: int
    length: int


@dataclass(frozen=True, slots=True)
class Typed:
    """What a read gave, perhaps nothing."""

    channel: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Ready:
    """Which channels of a set have input."""

    channels: frozenset[int]


@dataclass(frozen=True, slots=True)
class SpeedEcho:
    """The server has seen the speed request (first echo) and has changed (second)."""

    digits: bytes


Answer = Written | Typed | Ready | SpeedEcho


class Conversation:
    """Requests out, answers in, in the order asked."""

    def __init__(self) -> None:
        self._expected: deque[Request] = deque()
        self._buffer = b""

    def ask(self, request: Request) -> bytes:
        """The request's bytes; its answers, if it has any, are expected from now on."""
        match request:
            case SetSpeed():
                self._expected += (request, request)
            case Write(_, _, False) | Exit() | Dump():
                pass
            case _:
                self._expected.append(request)
        return encode(request)

    def feed(self, data: bytes) -> list[Answer]:
        """Take the server's bytes, in any split. Raises AnswerError."""
        self._buffer += data
        return list(self._answers())

    def _answers(self) -> Iterator[Answer]:
        while len(self._buffer) >= HEADER_LENGTH:
            if not self._expected:
                raise AnswerError(f"nothing was asked, but {self._buffer[:16]!r} came")
            asked = self._expected[0]
            head, length = self._buffer[:HEADER_LENGTH], _length(self._buffer)
            size = HEADER_LENGTH + (0 if isinstance(asked, Write) else length)
            if not _fits(asked, head, length):
                raise AnswerError(f"{head!r} does not answer {encode(asked)[:HEADER_LENGTH]!r}")
            if len(self._buffer) < size:
                return
            body, self._buffer = self._buffer[HEADER_LENGTH:size], self._buffer[size:]
            self._expected.popleft()
            yield _answer(asked, body)


def _length(buffer: bytes) -> int:
    return (buffer[1] - 0x20 << 12) + (buffer[2] - 0x20 << 6) + buffer[3] - 0x20


def _fits(asked: Request, head: bytes, length: int) -> bool:
    match asked:
        case Write(channel, data, _):
            return head == header(ord("A"), len(data), channel)
        case Read(channel, limit):
            return length <= limit and head == header(0x30 + channel, max(length, 0), channel)
        case Select(base, nibbles):
            return head == (header(ord("?"), 8, base) if nibbles else header(ord("!"), 4, base))
        case SetSpeed(digits):
            return head == header(ord("S"), len(digits), 0)
        case _:
            return False


def _answer(asked: Request, body: bytes) -> Answer:
    match asked:
        case Write(channel, data, _):
            return Written(channel, len(data))
        case Read(channel, _):
            return Typed(channel, body)
        case Select(base, nibbles):
            if nibbles:
                if not all(0x20 <= byte < 0x30 for byte in body):
                    raise AnswerError(f"{body!r} are no eight nibbles")
                mask = int("".join(f"{byte - 0x20:x}" for byte in body), 16)
            else:
                mask = int.from_bytes(body, "big")
            return Ready(frozenset(base + place for place in range(SET_SIZE) if mask >> place & 1))
        case _:
            return SpeedEcho(body)


class ByteStream(Protocol):
    """What `Victim` needs of a stream."""

    async def send_all(self, data: bytes) -> None:
        """Send every byte."""

    async def receive_some(self) -> bytes | bytearray:
        """Some bytes, b"" at the end."""


class Victim:
    """A synchronous victim on a stream. Every call may raise AnswerError, and EOFError when the server is
    gone.
    """

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._conversation = Conversation()
        self._answers: deque[Answer] = deque()

    async def start(self) -> None:
        """Announce ourselves: from here on the line is framed."""
        await self._stream.send_all(ANNOUNCEMENT + SENTINEL)

    async def say(self, text: bytes) -> None:
        """Send bytes outside every frame, as firmware does."""
        await self._stream.send_all(text)

    async def write(self, channel: int, data: bytes) -> None:
        """Write to a channel and wait for the acknowledgement, in pieces if need be."""
        for start in range(0, len(data) or 1, MAX_PAYLOAD):
            await self._ask(Write(channel, data[start : start + MAX_PAYLOAD], True))

    async def print(self, text: str) -> None:
        """Write to the console without waiting."""
        data = text.encode()
        for start in range(0, len(data), MAX_PAYLOAD):
            await self._tell(Write(0, data[start : start + MAX_PAYLOAD], False))

    async def read(self, channel: int, limit: int = MAX_PAYLOAD) -> bytes:
        """What the channel's client sent, at most `limit` bytes; waits for some."""
        answer = await self._ask(Read(channel, limit))
        assert isinstance(answer, Typed)
        return answer.data

    async def select(self, base: int) -> frozenset[int]:
        """Which of the eight channels from `base` on have input."""
        answer = await self._ask(Select(base))
        assert isinstance(answer, Ready)
        return answer.channels

    async def set_speed(self, speed: int) -> None:
        """Announce a new speed and wait for both echoes; the caller changes its own between them where it
        must.
        """
        await self._ask(SetSpeed(b"%d" % speed))
        await self._answer()

    async def exit(self) -> None:
        """Say goodbye."""
        await self._tell(Exit())

    async def _tell(self, request: Request) -> None:
        await self._stream.send_all(self._conversation.ask(request))

    async def _ask(self, request: Request) -> Answer:
        await self._tell(request)
        return await self._answer()

    async def _answer(self) -> Answer:
        while not self._answers:
            data = await self._stream.receive_some()
            if not data:
                raise EOFError("the thinwire server closed the line")
            self._answers.extend(self._conversation.feed(bytes(data)))
        return self._answers.popleft()
