"""The control socket: how other programs see a running multiplexer and reach its channels.

It is a Unix socket that only its owner can open. A client sends one line and gets one line, `ok` or `error`
and the reason; what follows depends on the command:

    status              a JSON object, then the end
    observe N           channel N's output, beginning with the last of it, until either side closes
    attach N            channel N both ways, as its writer; an error if somebody else writes
    take N              the same; the present writer is put out
    inject N LENGTH     LENGTH bytes from the client are typed into channel N beside its writer
    reset               runs the machine's reset command

The first half of this module is the server's side, the second the client's. Sockets are made in
`directory()`, one for each process, so that `find` can list what runs here.
"""

import json
import os
import select
import stat
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import trio

from thinwire.attachments import accept_clients, peer_name
from thinwire.channels import ChannelBusy, Port
from thinwire.endpoints import ListenUnix
from thinwire.line import LineError
from thinwire.server import Server
from thinwire.sockets import open_unix, reason

Reset = Callable[[], Awaitable[str]]
"""Resets the machine; returns what to tell the user, raises OSError if it failed."""

_CLOSED = "the multiplexer closed the connection"
_COMMANDS = "status, observe N, attach N, take N, inject N LENGTH, reset"
MAX_LINE = 200
MAX_INJECTION = 64 * 1024


class ControlError(Exception):
    """The other side refused, or is not there; the message is for the user."""


async def open_control(server: Server, path: str, nursery: trio.Nursery, reset: Reset | None = None) -> None:
    """Serve the control socket of `server` at `path`, until `nursery` ends. Raises LineError."""

    async def serve(sock: trio.socket.SocketType) -> None:
        # A client that leaves, or is put out, ends nothing but itself. `suppress` would not do: an error of a
        # nursery comes in a group.
        async with trio.SocketStream(sock) as stream:
            try:
                await _serve_client(server, stream, peer_name(sock), reset)
            except* (trio.BrokenResourceError, trio.ClosedResourceError):
                pass

    await accept_clients(ListenUnix(path), serve, nursery)


async def _serve_client(server: Server, stream: trio.SocketStream, name: str, reset: Reset | None) -> None:
    line, rest = await _read_line(stream)
    match line.split():
        case ["status"]:
            await stream.send_all(b"ok\n" + json.dumps(server.status()).encode() + b"\n")
        case ["observe", number] if _is_channel(server, number):
            async with server.observe(int(number)) as channel:
                await stream.send_all(b"ok\n")
                await _join(channel, stream, _ignore)
        case ["attach" | "take" as word, number] if _is_channel(server, number):
            try:
                writer = server.attach(int(number), name, take=word == "take")
            except ChannelBusy as busy:
                await _refuse(stream, str(busy))
                return
            port = server.ports[int(number)]

            async def type_(data: bytes) -> bool:
                if await _wait_for_room(port, stream):
                    await writer.send_all(data)
                    return True
                port.channel.dropped += len(data)
                return False

            async with writer:
                await stream.send_all(b"ok\n")
                if not rest or await type_(rest):
                    await _join(writer, stream, type_)
        case ["inject", number, length] if _is_channel(server, number) and length.isdecimal():
            await _inject(server, stream, int(number), int(length), rest)
        case ["reset"]:
            await _reset(stream, reset)
        case ["observe" | "attach" | "take" | "inject", number, *_] if not _is_channel(server, number):
            await _refuse(stream, f"there is no channel {number}")
        case _:
            await _refuse(stream, f"{line[:40]!r} is no command; there are {_COMMANDS}")


async def _inject(server: Server, stream: trio.SocketStream, number: int, length: int, data: bytes) -> None:
    if length > MAX_INJECTION:
        await _refuse(stream, f"at most {MAX_INJECTION} bytes at once")
        return
    while len(data) < length:
        more = await stream.receive_some()
        if not more:
            return
        data += more
    if await _wait_for_room(server.ports[number], stream):
        await server.inject(number, data[:length])
        await stream.send_all(b"ok\n")


async def _reset(stream: trio.SocketStream, reset: Reset | None) -> None:
    if reset is None:
        await _refuse(stream, "no reset command is configured (reset_command in k42.toml)")
        return
    try:
        message = await reset()
    except OSError as error:
        await _refuse(stream, str(error))
        return
    await stream.send_all(b"ok\n" + message.encode() + b"\n")


def _is_channel(server: Server, number: str) -> bool:
    return number.isdecimal() and int(number) in server.ports


async def _refuse(stream: trio.SocketStream, reason: str) -> None:
    await stream.send_all(b"error " + reason.encode() + b"\n")


async def _ignore(_data: bytes) -> bool:
    return True


async def _wait_for_room(port: Port, client: trio.SocketStream) -> bool:
    """Wait until the victim takes more of the channel's input, which may be never; false if the client has
    left before that. Nothing is read from it meanwhile that could say so, but the system knows of a hang-up.
    """
    if not port.is_full:
        return True
    is_there = False
    with select.epoll() as hangup:
        hangup.register(client.socket.fileno(), select.EPOLLHUP)
        async with trio.open_nursery() as nursery:

            async def give_up() -> None:
                await trio.lowlevel.wait_readable(hangup.fileno())
                nursery.cancel_scope.cancel()

            nursery.start_soon(give_up)
            await port.wait_for_room()
            is_there = True
            nursery.cancel_scope.cancel()
    return is_there


async def _join(
    channel: trio.abc.ReceiveStream, client: trio.SocketStream, type_: Callable[[bytes], Awaitable[bool]]
) -> None:
    """Pump until either side ends, or typing does."""

    async def show() -> None:
        while data := await channel.receive_some():
            await client.send_all(data)
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(show)
        while data := await client.receive_some():
            if not await type_(bytes(data)):
                break
        nursery.cancel_scope.cancel()


async def _read_line(stream: trio.abc.ReceiveStream) -> tuple[str, bytes]:
    """One line without its end, and what came behind it."""
    data = b""
    while b"\n" not in data and len(data) <= MAX_LINE:
        more = await stream.receive_some()
        if not more:
            break
        data += bytes(more)
    line, _, rest = data.partition(b"\n")
    return line.decode(errors="replace"), rest


# The client's side


class _Rest(trio.abc.Stream):
    """A stream of which the beginning has been read already."""

    def __init__(self, stream: trio.SocketStream, rest: bytes) -> None:
        self._stream = stream
        self._rest = rest

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if self._rest:
            await trio.lowlevel.checkpoint()
            count = max_bytes or len(self._rest)
            data, self._rest = self._rest[:count], self._rest[count:]
            return data
        return bytes(await self._stream.receive_some(max_bytes))

    async def aclose(self) -> None:
        await self._stream.aclose()


async def attach(path: str, number: int, *, take: bool = False) -> trio.abc.Stream:
    """Become the writer of a channel of the multiplexer at `path`. Raises ControlError."""
    return await _ask(path, f"{'take' if take else 'attach'} {number}")


async def observe(path: str, number: int) -> trio.abc.Stream:
    """See a channel's output, beginning with the last of it. Raises ControlError."""
    return await _ask(path, f"observe {number}")


async def inject(path: str, number: int, data: bytes) -> None:
    """Type into a channel beside its writer. Raises ControlError."""
    async with await _ask(path, f"inject {number} {len(data)}", data):
        pass


async def reset(path: str) -> str:
    """Run the machine's reset command; returns what it says. Raises ControlError."""
    async with await _ask(path, "reset") as stream:
        return (await _read_line(stream))[0]


async def ask_status(path: str) -> dict[str, object]:
    """What the multiplexer at `path` says of itself; see Server.status. Raises ControlError."""
    text = b""
    try:
        async with await _ask(path, "status") as stream:
            while more := await stream.receive_some():
                text += bytes(more)
        status: dict[str, object] = json.loads(text)
    except (trio.BrokenResourceError, ValueError) as error:
        raise ControlError(_CLOSED) from error
    return status


async def _ask(path: str, command: str, body: bytes = b"") -> trio.abc.Stream:
    try:
        stream = trio.SocketStream(await open_unix(path))
    except OSError as error:
        raise ControlError(f"no multiplexer answers at {path} ({reason(error)}); is it running?") from error
    try:
        await stream.send_all(command.encode() + b"\n" + body)
        line, rest = await _read_line(stream)
        if line != "ok":
            raise ControlError(line.removeprefix("error ") or _CLOSED)
    except trio.BrokenResourceError as error:
        await trio.aclose_forcefully(stream)
        raise ControlError(_CLOSED) from error
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return _Rest(stream, rest)


def directory() -> Path:
    """Where this user's control sockets are: private, and gone after a reboot. Raises LineError."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    place = Path(runtime) / "k42" if runtime else Path(tempfile.gettempdir()) / f"k42-{os.getuid()}"
    with suppress(OSError):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        found = place.lstat()
    except OSError as error:
        raise LineError(f"cannot make {place}: {os.strerror(error.errno or 0)}") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise LineError(f"{place} is not a private directory of yours; remove it, or set XDG_RUNTIME_DIR")
    return place


def default_path(name: str = "thinwire") -> str:
    """A control socket's path for this process."""
    return str(directory() / f"{name}-{os.getpid()}")


def find() -> list[str]:
    """The control sockets in our directory, of running processes and perhaps of dead ones."""
    return sorted(str(path) for path in directory().iterdir() if path.is_socket())


def describe(status: dict[str, object]) -> str:
    """A status for people, a line for each channel."""
    line = status["line"]
    assert isinstance(line, dict)
    channels = status["channels"]
    assert isinstance(channels, dict)
    signals = " ".join(f"{name}={value}" for name, value in line["signals"].items())
    lines = [
        f"line {line['place']}: {'open' if line['open'] else 'waiting'}, {line['phase']}"
        + (f", {signals}" if signals else ""),
        f"  frames {line['frames']}, stray bytes {line['strays']}, restarts {line['restarts']},"
        f" connections {line['lives']}, discarded {line['discarded']}",
    ]
    for number, channel in channels.items():
        lines.append(
            f"  channel {number:>2} at {', '.join(channel['places'])}: writer {channel['writer'] or 'none'},"
            f" observers {channel['observers']}, to client {channel['sent']} (+{channel['queued_out']}),"
            f" to target {channel['received']} (+{channel['queued_in']}), dropped {channel['dropped']}"
            + (f", {channel['held_reads']} reads wait" if channel["held_reads"] else "")
        )
    return "\n".join(lines)
