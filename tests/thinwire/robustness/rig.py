"""One server process under test, its victim and its clients, all played from here with plain sockets.

A case starts the program as a user's script would, speaks for the victim byte by byte and for the clients
socket by socket, and leaves; the rig then insists that the process still serves (unless the case ended it)
and has not filled a disk with messages.  Everything waits for bytes or for an end, never for a while.
"""

import contextlib
import os
import re
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

BIN = Path(sys.executable).parent
SENTINEL = b"\0**thinwire**\0"
ANNOUNCEMENT = b"Enable thinwire\n\r"
PATIENCE = 30.0
"""Seconds after which what does not come is taken to be missing; a slow machine needs some."""
MESSAGES = 64 * 1024
"""More than this said by a server in one case is a flood."""
TICKS = os.sysconf("SC_CLK_TCK")


def header(kind: bytes, length: int, channel: int) -> bytes:
    """Five bytes, as the K42 sources define them and without the code under test."""
    digits = (length >> 12 & 63, length >> 6 & 63, length & 63)
    return kind + bytes(0x20 + digit for digit in digits) + bytes((0x20 + channel,))


def write(channel: int, data: bytes) -> bytes:
    return header(b"0", len(data), channel) + data


def ack(channel: int, length: int) -> bytes:
    return header(b"A", length, channel)


def tell(channel: int, data: bytes) -> bytes:
    return header(b"#", len(data), channel) + data


def read(channel: int, limit: int = 2046) -> bytes:
    return header(b"A", limit, channel)


def answer(channel: int, data: bytes) -> bytes:
    return header(bytes((0x30 + channel,)), len(data), channel) + data


def select_set(base: int) -> bytes:
    return header(b"!", 0, base)


def ready(base: int, *channels: int) -> bytes:
    mask = sum(1 << channel - base for channel in channels)
    return header(b"!", 4, base) + mask.to_bytes(4, "big")


class Wire:
    """A descriptor with two ways: a socket, or the master of a terminal."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def send(self, data: bytes) -> None:
        """Send everything; the other side must take it."""
        view = memoryview(data)
        while view:
            if not select.select([], [self], [], PATIENCE)[1]:
                raise AssertionError(f"nobody takes the last {len(view)} bytes")
            view = view[os.write(self._descriptor, view[:65536]) :]

    def flood(self, data: bytes) -> int:
        """Send what is taken without waiting for long; return how much that was."""
        os.set_blocking(self._descriptor, False)
        sent = 0
        while sent < len(data) and select.select([], [self], [], 0.3)[1]:
            sent += os.write(self._descriptor, data[sent : sent + 65536])
        os.set_blocking(self._descriptor, True)
        return sent

    def receive(self, limit: int = 65536) -> bytes:
        """Some bytes; none at the end, however it came."""
        if not select.select([self], [], [], PATIENCE)[0]:
            raise AssertionError("nothing comes")
        try:
            return os.read(self._descriptor, limit)
        except OSError:
            return b""

    def expect(self, data: bytes) -> None:
        """The next bytes are exactly these."""
        seen = b""
        while len(seen) < len(data):
            more = self.receive(len(data) - len(seen))
            assert more, f"the end came after {seen[-200:]!r}, before {data[len(seen) :][:200]!r}"
            seen += more
            assert data.startswith(seen), f"{seen[-200:]!r} came, not {data[:200]!r}"

    def until(self, data: bytes) -> bytes:
        """Everything up to and including these bytes."""
        seen = bytearray()
        while data not in seen:
            more = self.receive()
            assert more, f"the end came after {bytes(seen[-200:])!r}, before {data!r}"
            seen += more
        return bytes(seen)

    def count(self, length: int) -> bytes:
        """So many bytes."""
        seen = bytearray()
        while len(seen) < length:
            more = self.receive(length - len(seen))
            assert more, f"the end came after {len(seen)} of {length} bytes"
            seen += more
        return bytes(seen)

    def ended(self) -> bytes:
        """Wait for the end; return what came before it."""
        seen = b""
        while more := self.receive():
            seen += more
        return seen

    def half_close(self) -> None:
        with socket.socket(fileno=os.dup(self._descriptor)) as copy:
            copy.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        with socket.socket(fileno=os.dup(self._descriptor)) as copy:
            copy.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close()

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


@dataclass(frozen=True)
class Face:
    """One of the commands that are a multiplexer."""

    program: str
    words: tuple[str, ...] = ()
    framed: bool = False
    """Speaks frames from the first byte."""
    ends: bool = True
    """Ends when the victim says '$'."""


FACES = {
    "thinwire": Face("thinwire", framed=True),
    "thinwire2": Face("thinwire2"),
    "thinwire3": Face("thinwire3"),
    "mux": Face("k42", ("mux",), ends=False),
}


@dataclass
class Rig:
    """See the module."""

    face: Face
    transport: str
    folder: Path
    environment: dict[str, str]
    stack: contextlib.ExitStack
    process: subprocess.Popen[bytes] = field(init=False)
    line: Wire = field(init=False)
    output: bytes = b""
    over: bool = False
    """The case has ended the process, or means to look at its end itself."""
    most: int = MESSAGES
    _ports: dict[int, int] = field(default_factory=dict)
    _clients: list[Wire] = field(default_factory=list)
    _listener: socket.socket | None = None
    _news: threading.Condition = field(default_factory=threading.Condition)
    _reader: threading.Thread | None = None

    # The process

    def command(self, *words: str) -> list[str]:
        return [str(BIN / self.face.program), *self.face.words, *words]

    def launch(
        self,
        *options: str,
        channels: int = 3,
        specs: tuple[str, ...] = (),
        victim: str = "",
        accept: bool = True,
        descriptors: int = 0,
        file_size: int = 0,
        **popen: object,
    ) -> None:
        """Start the program, answer its call and shake hands if its protocol does."""
        victim = victim or self.prepare_line()
        specs = specs or ("127.0.0.1:0",) * channels

        def limit() -> None:
            if descriptors:
                resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
            if file_size:
                resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))

        arguments: dict[str, object] = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.STDOUT,
            "preexec_fn": limit,
            "env": self.environment,
            "cwd": self.folder,
        }
        self.process = subprocess.Popen(  # type: ignore[call-overload]
            self.command(*options, victim, *specs), **{**arguments, **popen}
        )
        self.stack.callback(self._kill)
        if self.process.stdout is not None:
            self._reader = threading.Thread(target=self._read_output, daemon=True)
            self._reader.start()
            self.hear(rb"(?:victim|\nline) ")
            for number, port in re.findall(rb"channel (\d+) +(?:on )?127\.0\.0\.1:(\d+)", self.output):
                self._ports[int(number)] = int(port)
        if accept:
            self.accept()
            self.shake_hands()

    def hear(self, pattern: bytes) -> None:
        """Wait until the process has said something."""
        with self._news:
            found = self._news.wait_for(lambda: re.search(pattern, self.output), PATIENCE)
        assert found, f"{pattern!r} was not said, only {self.output[-500:]!r}"

    def _read_output(self) -> None:
        assert self.process.stdout is not None
        while data := os.read(self.process.stdout.fileno(), 65536):
            with self._news:
                self.output = (self.output + data)[-8 * MESSAGES :]
                self._news.notify_all()

    def _kill(self) -> None:
        self.process.kill()
        self.process.wait()
        if self._reader:
            self._reader.join()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signal the process and return its status."""
        self.over = True
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        self.over = True
        status = self.process.wait(PATIENCE)
        if self._reader:
            self._reader.join(PATIENCE)
        return status

    def fails(self, *words: str) -> str:
        """Run the program with arguments it refuses; return its one line."""
        done = subprocess.run(
            self.command(*words), capture_output=True, text=True, timeout=PATIENCE, env=self.environment
        )
        assert done.returncode == 2, done
        assert done.stderr.count("\n") == 1 and "Traceback" not in done.stderr, done.stderr
        return done.stderr

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        text = Path(f"/proc/{self.process.pid}/stat").read_text()
        values = text.rpartition(")")[2].split()
        return (int(values[11]) + int(values[12])) / TICKS

    clock = staticmethod(time.monotonic)

    def open_files(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def resident(self) -> int:
        """KiB of memory in use."""
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())
        assert found is not None
        return int(found[1])

    # The victim

    def prepare_line(self) -> str:
        """Make our end of the line; return its name."""
        if self.transport == "pty":
            master, slave = os.openpty()
            tty.setraw(slave)
            self.stack.callback(os.close, slave)
            self.line = self._own(Wire(master))
            return os.ttyname(slave)
        if self.transport == "unix":
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(f"{self.folder}/victim")
            place = f"{self.folder}/victim"
        else:
            listener = socket.create_server(("127.0.0.1", 0))
            place = f"localhost:{listener.getsockname()[1]}"
        listener.settimeout(PATIENCE)
        listener.listen(16)
        self._listener = self.stack.enter_context(listener)
        return place

    def accept(self) -> None:
        """The server's (next) call of the victim."""
        if self._listener is not None:
            sock, _ = self._listener.accept()
            sock.setblocking(True)
            self.line = self._own(Wire(sock.detach()))

    def listening(self) -> socket.socket:
        assert self._listener is not None
        return self._listener

    def listen_again(self, address: tuple[str, int]) -> None:
        """The victim is switched on, where it was before."""
        self._listener = self.stack.enter_context(socket.create_server(address))
        self._listener.settimeout(PATIENCE)

    def shake_hands(self) -> None:
        """Begin the framed phase, and wait until the server has seen that.

        What a client has typed while there was no target is the firmware's, and comes first. A terminal that
        is just being opened throws away what was sent to it before, and is told again.
        """
        for base in range(88, 94):
            if not self.face.framed:
                self.line.send(SENTINEL)
            self.line.send(select_set(base))
            if self.transport != "pty" or select.select([self.line], [], [], PATIENCE / 6)[0]:
                self.line.until(ready(base))
                return
        raise AssertionError("no handshake")

    def come_back(self) -> None:
        """The victim is reset: the line closes, and there is a new one."""
        self.line.close()
        self.accept()
        self.shake_hands()

    def ask(self, request: bytes, reply: bytes) -> None:
        """The victim asks and hears exactly this."""
        self.line.send(request)
        self.line.expect(reply)

    def take(self, number: int, length: int) -> bytes:
        """So many bytes of a channel's input, in as many reads as it takes."""
        seen = b""
        while len(seen) < length:
            seen += self.gulp(number, min(length - len(seen), 16384))
        return seen

    def gulp(self, number: int, limit: int = 16384) -> bytes:
        """What one read gives."""
        self.line.send(read(number, limit))
        head = self.line.count(5)
        return self.line.count(head[3] - 0x20 + 64 * (head[2] - 0x20) + 4096 * (head[1] - 0x20))

    def in_step(self) -> None:
        """Nothing was left unanswered and nothing too much: the next answer is the next question's."""
        self.ask(select_set(88), ready(88))

    # The clients

    def client(self, number: int) -> Wire:
        sock = socket.create_connection(("127.0.0.1", self._ports[number]), PATIENCE)
        sock.setblocking(True)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._clients.append(self._own(Wire(sock.detach())))
        return self._clients[-1]

    def attached(self, number: int) -> Wire:
        """A client that is surely served: what it types arrives."""
        client = self.client(number)
        client.send(b"^")
        self.ask(read(number), answer(number, b"^"))
        return client

    def _own(self, wire: Wire) -> Wire:
        self.stack.callback(wire.close)
        return wire

    # The end of a case

    def still_serves(self) -> None:
        """A fresh target and a fresh client find everything in order."""
        for client in self._clients:
            client.close()
        if self._listener is not None:
            self.come_back()
        assert self.process.poll() is None, self.output
        client = self.client(1)
        client.send(b"hello?")
        seen = b""
        while b"hello?" not in seen:
            seen = seen[-5:] + self.gulp(1)
        self.ask(write(1, b"still here"), ack(1, 10))
        client.until(b"still here")


@contextlib.contextmanager
def rigged(face: str, transport: str, folder: Path) -> Iterator[Rig]:
    """A rig for one case."""
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(folder), "PYTHONUNBUFFERED": ""}
    with contextlib.ExitStack() as stack:
        rig = Rig(FACES[face], transport, folder, environment, stack)
        yield rig
        if not rig.over:
            rig.still_serves()
        assert b"Traceback" not in rig.output, rig.output.decode(errors="replace")
        assert len(rig.output) <= rig.most, f"{len(rig.output)} bytes of messages: {rig.output[:500]!r}"


Case = Callable[[Rig], None]
