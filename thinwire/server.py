"""The server: one line, one mux, and a port for every channel, pumped until the end.

`serve` is the whole life of a multiplexer; it hands a `Server` to whoever started it once every listening
port is bound. The line is served by one task in a loop that reads all there is, has the mux answer it, offers
new output to the clients and sends the answers in one piece. The loop goes back to the scheduler when the
line is empty and, under a flood, every few milliseconds (`SLICE`).

The order within a round matters: output is offered to clients before the acknowledgement goes out, so a
client that reads promptly has the bytes before the victim hears that they are written.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import trio

from thinwire.attachments import join, watch
from thinwire.capture import Recorder, open_recorder
from thinwire.channels import ChannelBusy, Port
from thinwire.clients import ChannelStream, ObserverStream
from thinwire.endpoints import ChannelSpec, Endpoint, Foreign, Listen, ListenUnix
from thinwire.line import MAX_UNSENT, SPIN, Line, LineReset, LineState
from thinwire.lookout import Lookout
from thinwire.mux import CONSOLE, ChangeSpeed, Direction, Ended, Garbled, Mux, Restarted, Rules
from thinwire.serial_line import Manners
from thinwire.sources import StreamFactory, open_source
from thinwire.switchboard import ABSENCE

log = logging.getLogger("thinwire")

SLICE = 0.002
"""Seconds after which a flooded line lets other tasks run: with the rest of the batch that is being served,
or the wait for a victim that is expected to go on (`lookout.LINGER`), nobody waits more than 10 ms.
"""


class ServeError(Exception):
    """The server cannot start; the message names the thing and the mend."""


class Opener(Protocol):
    """Serves one channel in a way that thinwire does not know; it may attach and detach as often as it likes.

    Call `task_status.started(place)` when the channel can be reached, with words for people. Raise ServeError
    if it cannot.
    """

    async def __call__(
        self, rest: str, server: "Server", number: int, *, task_status: trio.TaskStatus[str]
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class Options:
    """What a user may choose about serving."""

    rules: Rules = Rules()
    manners: Manners = Manners()
    replay: bool = True
    """A later writer of the console first gets the last output again."""
    observe: tuple[tuple[int, Listen | ListenUnix], ...] = ()
    """Further ports, where a channel's output can be seen and nothing typed."""
    capture: str | None = None
    """Record the line to this file; see `capture`."""
    low_latency: bool = False
    """Look for more for a moment before sleeping, while the line is busy: quicker on a CPU of its own."""
    end_on_exit: bool = False
    """Leave `serve` when the victim says '$' instead of waiting for it to come back."""


@dataclass(eq=False, slots=True)
class InProcess:
    """A channel that only code in this process attaches to."""

    name: str = "in this process"


AnyChannel = ChannelSpec | InProcess


@dataclass(eq=False)
class Server:
    """A running multiplexer, for the code around it. Get one from `serve`."""

    options: Options
    mux: Mux
    lookout: Lookout
    ports: dict[int, Port] = field(default_factory=dict)
    place: str = ""
    """Where the line is, for people."""
    ended: trio.Event = field(default_factory=trio.Event)
    """Set when the victim has said '$'."""
    is_line_open: bool = False
    line_lives: int = 0
    recorder: Recorder | None = None
    _line: Line | None = None
    _waits_for_room: bool = False
    _room: trio.Event = field(default_factory=trio.Event)
    _line_is_full: trio.Event = field(default_factory=trio.Event)
    _absence: trio.Event = field(default_factory=trio.Event)
    _waiting: trio.CancelScope | None = None

    def attach(self, number: int, name: str = "in this process", *, take: bool = False) -> ChannelStream:
        """Become the writer of a channel. Raises ChannelBusy unless `take`, which evicts the present one."""
        port = self.ports[number]
        stream = ChannelStream(port, name)
        port.attach(stream, take=take)
        return stream

    async def attach_when_free(self, number: int, name: str = "in this process") -> ChannelStream:
        """Become the writer of a channel as soon as nobody else is."""
        while True:
            await self.ports[number].free.wait()
            try:
                return self.attach(number, name)
            except ChannelBusy:
                await trio.lowlevel.checkpoint()

    def observe(self, number: int) -> ObserverStream:
        """See a channel's output, from the last that was written on."""
        return ObserverStream(self.ports[number])

    async def inject(self, number: int, data: bytes) -> None:
        """Type bytes into a channel beside its writer; waits while the victim leaves too many unread."""
        port = self.ports[number]
        await port.wait_for_room()
        port.typed(data)

    def status(self) -> dict[str, object]:
        """Everything there is to see, as plain values that JSON can hold."""
        mux = self.mux
        return {
            "line": {
                "place": self.place,
                "open": self.is_line_open,
                "phase": mux.phase.value,
                "signals": self.line_state(),
                "lives": self.line_lives,
                "frames": mux.frames,
                "strays": mux.strays,
                "restarts": mux.restarts,
                "discarded": mux.discarded,
            },
            "channels": {str(number): port.status() for number, port in sorted(self.ports.items())},
        }

    def line_state(self) -> LineState:
        """The line's speed and signals, if it is open and has any."""
        return self._line.state() if self._line is not None else {}

    # The line

    def send(self, data: bytes) -> None:
        """Send to the victim what the mux says, and wake the line if a client made room."""
        if data and self._line is not None:
            self._line.push(data)
            if self._line.unsent.size > MAX_UNSENT:
                self.mux.line_full()
                self._line_is_full.set()
        if self._waits_for_room and not self.mux.congested:
            self._room.set()

    async def run_line(self, open_line: Callable[[], Awaitable[Line]], *, reopens: bool) -> None:
        """Serve one life of the line after the other."""
        while True:
            line = await open_line()
            log.info("the line is open: %s", self.place)
            self._line = line
            line.join(self.lookout, partial(self._hear, line))
            line.spin = SPIN if self.options.low_latency else 0.0
            self.line_lives += 1
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(line.run)
                    nursery.start_soon(self._resume_typing, line)
                    self.is_line_open = True
                    self._open_to_typing()
                    await self._converse(line)
                    nursery.cancel_scope.cancel()
            finally:
                self._line = None
                self.is_line_open = False
                self.lookout.ignore_line()
                line.close()
            self.mux.line_closed()
            self._offer_output()
            if self.ended.is_set() and self.options.end_on_exit or not reopens:
                return
            log.warning("the line is lost: %s; the channels stay", self.place)

    async def _converse(self, line: Line) -> None:
        mux, take, now = self.mux, line.take, time.perf_counter
        deadline = now() + SLICE
        while True:
            if mux.is_behind:
                self._answer(line, mux.receive_batch(b""))
            elif data := take():
                self._answer(line, mux.receive_batch(data))
            elif data is None:
                try:
                    if not await self._wait(line):
                        return
                except LineReset as reset:
                    self._start_anew(reset)
                    continue
            else:
                return
            if mux.actions:
                await self._act(line)
                if self.ended.is_set() and self.options.end_on_exit:
                    return
            if mux.congested:
                await self._wait_for_clients()
            if line.unsent.size > MAX_UNSENT:
                await line.drain()
            if now() > deadline:
                # Twice: trio shuffles those who can run, so after the first we may come before the others.
                await trio.lowlevel.checkpoint()
                await trio.lowlevel.checkpoint()
                self.lookout.hurry = True
                deadline = now() + SLICE

    async def _wait(self, line: Line) -> bool:
        """Wait for bytes or silence, and answer; False when the line is lost.  Meanwhile `_hear` may serve
        the line, and leave us what it cannot do.
        """
        mux = self.mux
        with trio.CancelScope() as scope:
            if mux.next_silence() is None:
                self._waiting = scope
            try:
                data = await line.receive(mux.next_silence)
            finally:
                self._waiting = None
            if data is None:
                self._answer(line, mux.silence(mux.next_silence() or 0.0))
            elif data:
                self._answer(line, mux.receive_batch(data))
            return data != b""
        return True

    def _hear(self, line: Line) -> bool:
        """Serve what has come while the line's task waits for it, in the task that brings it; whether there
        was any.  An answer that wants more than to be sent wakes the line's task.
        """
        mux, waiting = self.mux, self._waiting
        if waiting is None or not (data := line.take()):
            return False
        self._waiting = None
        self._answer(line, mux.receive_batch(data))
        is_served = not (mux.is_behind or mux.actions or mux.congested or line.unsent.size > MAX_UNSENT)
        if is_served and mux.next_silence() is None:
            self._waiting = waiting
        else:
            waiting.cancel()
        return True

    def _answer(self, line: Line, reply: bytes) -> None:
        """Give clients and victim what the mux has for them."""
        mux = self.mux
        if mux.changed:
            self._offer_output()
        if reply:
            line.push(reply)
        elif mux.reading:
            self._prompt()
        if mux.relieved:
            self._relieve()

    def _prompt(self) -> None:
        """The victim waits for clients. Those that are tasks of this process must run for that."""
        if any(isinstance(self.ports[number].holder, ChannelStream) for number in self.mux.reading):
            self.lookout.hurry = True

    def _start_anew(self, reason: object) -> None:
        log.warning("%s", reason)
        self.mux.line_closed()
        self._offer_output()
        self._open_to_typing()

    def _open_to_typing(self) -> None:
        self.send(self.mux.line_opened())
        self._relieve()

    async def _resume_typing(self, line: Line) -> None:
        """Let typing wait, before the handshake, while the line does not take what was typed."""
        while True:
            await self._line_is_full.wait()
            await line.drain()
            self._line_is_full = trio.Event()
            self._open_to_typing()

    async def attend_absence(self) -> None:
        """When a client has left while the victim waits for its bytes, wait for a successor, then tell the
        victim, which may hear nothing else meanwhile.
        """
        while True:
            await self._absence.wait()
            self._absence = trio.Event()
            await trio.sleep(ABSENCE)
            self.send(self.mux.tell_absence())

    def bereave(self) -> None:
        """See Port."""
        self._absence.set()

    def _relieve(self) -> None:
        relieved = self.mux.relieved
        while relieved:
            self.ports[relieved.pop()].relieved()

    def _offer_output(self) -> None:
        changed = self.mux.changed
        while changed:
            self.ports[changed.pop()].output()

    async def _wait_for_clients(self) -> None:
        """Leave the line alone until a client has made room or patience has ended."""
        self._room, self._waits_for_room = trio.Event(), True
        with trio.move_on_after(self.mux.patience) as scope:
            await self._room.wait()
        self._waits_for_room = False
        if scope.cancelled_caught:
            self.send(self.mux.give_up())

    async def _act(self, line: Line) -> None:
        actions, self.mux.actions = self.mux.actions, []
        # A victim waits for its echoes; of many requests for a speed at once all but the last are noise.
        obeyed = next((action for action in reversed(actions) if isinstance(action, ChangeSpeed)), None)
        for action in actions:
            match action:
                case ChangeSpeed(speed, echo):
                    self.mux.recorded(Direction.TO_VICTIM, True, echo)
                    self.mux.recorded(Direction.TO_VICTIM, True, echo)
                    line.push(echo)
                    if action is obeyed:
                        await line.drain()
                        await line.change_speed(speed)
                    line.push(echo)
                case Ended():
                    log.warning("received termination request")
                    await line.drain()
                    self.ended.set()
                case Restarted():
                    log.warning("the target has started again")
                case Garbled():
                    if line.return_to_first_speed():
                        self._start_anew("nothing but garbage: the line is back at its first speed")


async def serve(
    line: Endpoint | StreamFactory,
    channels: Mapping[int, AnyChannel],
    options: Options = Options(),
    *,
    openers: Mapping[str, Opener] | None = None,
    task_status: trio.TaskStatus[Server] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run a multiplexer between `line` and `channels` until cancelled, or until the victim's end if the
    options say so.

    `line` is an endpoint or a function that gives a trio stream for every life of the line. `openers` serve
    the channels that are `Foreign` here, by their word. `task_status` is given the `Server` when all channels
    can be reached.

    Raises LineError or ServeError when something cannot be opened.
    """
    mux = Mux(channels, options.rules)
    server = Server(options, mux, Lookout())
    for number in channels:
        server.ports[number] = Port(mux, number, server.send, server.lookout)
        server.ports[number].bereave = server.bereave
        server.ports[number].replays = options.replay and number == CONSOLE
    with ExitStack() as files:
        files.callback(server.lookout.close)
        if options.capture:
            server.recorder = files.enter_context(open_recorder(options.capture))
            mux.record(server.recorder.record)
        await _serve(server, line, channels, openers or {}, task_status)


async def _serve(
    server: Server,
    line: Endpoint | StreamFactory,
    channels: Mapping[int, AnyChannel],
    openers: Mapping[str, Opener],
    task_status: trio.TaskStatus[Server],
) -> None:
    options = server.options
    async with open_source(line, options.manners) as source, trio.open_nursery() as nursery:
        server.place = source.place
        nursery.start_soon(server.lookout.attend)
        nursery.start_soon(server.attend_absence)
        if server.recorder:
            nursery.start_soon(server.recorder.attend)
        for number, spec in channels.items():
            place = await _join(server, number, spec, openers, nursery)
            server.ports[number].places.append(place)
        for number, watched in options.observe:
            if number not in server.ports:
                raise ServeError(f"there is no channel {number} to observe")
            place = await watch(server.ports[number], watched, nursery)
            server.ports[number].places.append(f"{place} (read only)")
        task_status.started(server)
        await server.run_line(source.open, reopens=source.reopens)
        nursery.cancel_scope.cancel()


async def _join(
    server: Server, number: int, spec: AnyChannel, openers: Mapping[str, Opener], nursery: trio.Nursery
) -> str:
    match spec:
        case InProcess(name):
            return name
        case Foreign(word, rest):
            place: str = await nursery.start(openers[word], rest, server, number)
            return place
        case _:
            return await join(server.ports[number], spec, nursery)
