"""The names of streams: one grammar for every option and argument that means one.

    HOST:PORT             connect              listen:HOST:PORT      wait for a connection
    unix:PATH             connect              listen-unix:PATH      wait for one (mode 0600)
    pty, pty:LINK         make a pseudo terminal, and a symbolic link to it
    rfc2217://HOST:PORT   a serial port behind a network server
    /dev/...              a serial device; a path that turns out to be a Unix socket is connected to
    stdio                 standard input and output
    control:PATH#CHANNEL  a channel of a running multiplexer, through its control socket

Where the meaning is to listen (a channel, a gdb port), a bare PORT or HOST:PORT is the address to listen on,
127.0.0.1 unless a host is given. An IPv6 address stands in brackets: [::1]:2102.

A channel may also be:

    stdout, stderr, stdin (the original's word for stdio)        log:FILE, log+time:FILE
    -                     nothing: the channel is not used
    exec:COMMAND          WORD:REST with a word that the caller has an opener for, such as gdb:PORT

Parsing is pure; `line` and `channels` open what is named here.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from thinwire.frames import CHANNELS, SET_SIZE

LOOPBACK = "127.0.0.1"
UNUSED = "-"
"""The spec of a channel that is not used: writes to it are acknowledged and counted away."""


class EndpointError(ValueError):
    """The text names no endpoint; the message says which text and what is expected."""


@dataclass(frozen=True, slots=True)
class Connect:
    host: str
    port: int

    def __str__(self) -> str:
        return _address(self.host, self.port)


@dataclass(frozen=True, slots=True)
class Listen:
    host: str
    port: int

    def __str__(self) -> str:
        return "listen:" + _address(self.host, self.port)


@dataclass(frozen=True, slots=True)
class ConnectUnix:
    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


@dataclass(frozen=True, slots=True)
class ListenUnix:
    path: str

    def __str__(self) -> str:
        return f"listen-unix:{self.path}"


@dataclass(frozen=True, slots=True)
class Pty:
    link: str | None = None

    def __str__(self) -> str:
        return f"pty:{self.link}" if self.link else "pty"


@dataclass(frozen=True, slots=True)
class Rfc2217:
    host: str
    port: int

    def __str__(self) -> str:
        return "rfc2217://" + _address(self.host, self.port)


@dataclass(frozen=True, slots=True)
class Device:
    path: str

    def __str__(self) -> str:
        return self.path


@dataclass(frozen=True, slots=True)
class Stdio:
    def __str__(self) -> str:
        return "stdio"


@dataclass(frozen=True, slots=True)
class Control:
    path: str
    channel: int

    def __str__(self) -> str:
        return f"control:{self.path}#{self.channel}"


Endpoint = Connect | Listen | ConnectUnix | ListenUnix | Pty | Rfc2217 | Device | Stdio | Control


@dataclass(frozen=True, slots=True)
class Output:
    """Standard output (1) or error (2) of this process, for writing only."""

    descriptor: int

    def __str__(self) -> str:
        return {1: "stdout", 2: "stderr"}[self.descriptor]


@dataclass(frozen=True, slots=True)
class LogFile:
    path: str
    timestamps: bool = False

    def __str__(self) -> str:
        return f"{'log+time' if self.timestamps else 'log'}:{self.path}"


@dataclass(frozen=True, slots=True)
class Exec:
    command: str

    def __str__(self) -> str:
        return f"exec:{self.command}"


@dataclass(frozen=True, slots=True)
class Foreign:
    """A kind of channel that thinwire does not know: the caller opens it."""

    word: str
    rest: str

    def __str__(self) -> str:
        return f"{self.word}:{self.rest}"


ChannelSpec = Endpoint | Output | LogFile | Exec | Foreign


def parse_endpoint(text: str, *, listens: bool = False, bind: str = LOOPBACK) -> Endpoint:
    """The endpoint that `text` names; `listens` says what a bare address means, `bind` the host it lacks.

    Raises EndpointError.
    """
    if text == "stdio":
        return Stdio()
    if text == "pty":
        return Pty()
    if text.startswith("/"):
        return Device(text)
    if text.startswith("rfc2217://"):
        return Rfc2217(*_split_address(text, text.removeprefix("rfc2217://").rstrip("/")))
    word, colon, rest = text.partition(":")
    match word:
        case "listen" if colon:
            return Listen(*_split_address(text, rest, default_host=bind))
        case "unix" if rest:
            return ConnectUnix(rest)
        case "listen-unix" if rest:
            return ListenUnix(rest)
        case "pty" if rest:
            return Pty(rest)
        case "control" if rest:
            path, mark, number = rest.rpartition("#")
            if not mark:
                return Control(rest, 0)
            if path and is_number(number, CHANNELS - 1):
                return Control(path, int(number))
            raise EndpointError(f"{text!r}: after the # comes a channel number, 0 to {CHANNELS - 1}")
    if listens:
        return Listen(*_split_address(text, text, default_host=bind))
    return Connect(*_split_address(text, text))


def parse_channel(text: str, foreign: Collection[str] = (), *, bind: str = LOOPBACK) -> ChannelSpec:
    """What one channel is joined to; `foreign` are the words that the caller has openers for.

    Raises EndpointError.
    """
    match text:
        case "stdout":
            return Output(1)
        case "stderr":
            return Output(2)
        case "stdin":
            return Stdio()
    word, colon, rest = text.partition(":")
    if colon and not rest and word in ("log", "log+time", "exec", *foreign):
        raise EndpointError(f"{text!r}: nothing follows the colon")
    if colon and rest:
        match word:
            case "log":
                return LogFile(rest)
            case "log+time":
                return LogFile(rest, timestamps=True)
            case "exec":
                return Exec(rest)
            case _ if word in foreign:
                return Foreign(word, rest)
    endpoint = parse_endpoint(text, listens=True, bind=bind)
    if isinstance(endpoint, Control | Rfc2217):
        raise EndpointError(
            f"{text!r} cannot be a channel; it names a line or a channel of another multiplexer"
        )
    return endpoint


def assign_channels(
    specs: Sequence[str], foreign: Collection[str] = (), *, bind: str = LOOPBACK
) -> dict[int, ChannelSpec]:
    """Channel numbers for a list of specs: 0, 1, 2 and so on; ":" goes on at the next multiple of SET_SIZE,
    at least by one, and "-" leaves one out.

    Raises EndpointError.
    """
    channels: dict[int, ChannelSpec] = {}
    number = 0
    for spec in specs:
        if spec.startswith(":"):
            number = (number // SET_SIZE + 1) * SET_SIZE
            continue
        if number >= CHANNELS:
            raise EndpointError(
                f"{spec!r} would be channel {number}; there are {CHANNELS}, 0 to {CHANNELS - 1}"
            )
        if spec != UNUSED:
            channels[number] = parse_channel(spec, foreign, bind=bind)
        number += 1
    return channels


def _split_address(whole: str, text: str, default_host: str | None = None) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon and default_host is None:
        raise EndpointError(
            f"{whole!r} names no port; write HOST:PORT, unix:PATH, a device path, pty or stdio"
        )
    host = host.removeprefix("[").removesuffix("]")
    least = 1 if default_host is None else 0  # where we listen, 0 lets the system choose
    if not colon and not port.isdigit():
        raise EndpointError(
            f"{whole!r} is no port number ({least} to 65535); write PORT, HOST:PORT, unix:PATH, "
            "listen-unix:PATH, a device path, pty or stdio"
        )
    if not is_number(port, 65535) or int(port) < least:
        raise EndpointError(f"{whole!r}: {port!r} is no port number ({least} to 65535)")
    try:
        host = host.encode("idna").decode()
    except UnicodeError as error:
        raise EndpointError(f"{whole!r}: {host!r} is no host name") from error
    return host or default_host or LOOPBACK, int(port)


def is_number(text: str, most: int) -> bool:
    """Whether `text` is a number up to `most`, in few enough digits for int()."""
    return text.isascii() and text.isdigit() and len(text) <= 9 and int(text) <= most


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
