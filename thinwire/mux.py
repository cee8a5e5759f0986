"""The multiplexer itself, without a wire: requests in, replies out, and what each channel has queued.

The owner (`server`, or a test) tells the mux what happens and moves the bytes it is given:

    receive(bytes from the line)            -> bytes for the line
    typed(channel, bytes from its client)   -> bytes for the line
    taken(channel, count)                   -> bytes for the line: the client accepted so much of `outgoing`
    line_opened() / line_closed() / silence()  likewise

After each call `changed` names the channels with new output and `actions` what else is to be done (speed,
end, restart).

States of the line:  TEXT    everything is console text, typing goes straight to the victim (LF becomes LF CR)
                     FRAMED  requests and replies; stray bytes are console text
                     ENDED   after '$' or '/': like TEXT, waiting for the target to come back

The victim is synchronous: it asks, then waits for the answer, interrupts off. Whatever is not answered stops
it, so:

* A read with nothing to give is held, and only it; requests that follow are served.
* A write is acknowledged as soon as its bytes are in the channel's bounded backlog. If that is full and the
  client may still take something, the acknowledgement waits; an unanswered write makes the mux `congested`
  instead, which asks the owner to leave the line alone. Both end when the client takes bytes or the owner's
  patience ends (`give_up`): then the oldest bytes are dropped and counted, and so they are for that client
  until it has caught up.
* A restart of the target (line closed, or its announcement seen) forgets held reads and acknowledgements,
  never a client.

Invariants: nothing here grows without bound; every byte is delivered, still queued, or counted in `dropped`.
The mux does not know of time, of sockets, or what the channels carry.
"""

import enum
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from thinwire.backlog import Backlog
from thinwire.frames import (
    SET_SIZE,
    Decoder,
    Dump,
    Event,
    Exit,
    Read,
    Select,
    SetSpeed,
    Stray,
    Write,
    encode,
    nibble_reply,
    read_reply,
    select_reply,
    write_ack,
)
from thinwire.handshake import SENTINEL, Handshake, find_restart, find_sentinel

CONSOLE = 0
MAX_HELD = 16
"""A victim that waits for its answers has one open; more than this many on a channel is noise and is answered
at once.
"""


GRACE = 0.02
"""Seconds that a flood to a channel without a client is held up, once, for one that is just connecting."""
MAX_GARBAGE = 64
"""So many bytes that are neither frames nor text, without a frame between them, are `Garbled`."""
_TEXT = bytes([*range(7, 14), 27, *range(32, 127)])


class Protocol(enum.Enum):
    """Versions of the original servers. AUTO is text until a sentinel, then frames, like 3."""

    AUTO = "auto"
    V1 = "1"  # frames from the first byte, no handshake
    V2 = "2"  # after the sentinel the server changes the speed, with the modem lines for a handshake
    V3 = "3"  # the victim asks for a speed with 'S'


class Phase(enum.Enum):
    TEXT = "text"
    FRAMED = "framed"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Rules:
    """What a user may choose about the protocol. Sizes in bytes, times in seconds."""

    protocol: Protocol = Protocol.AUTO
    assume_framed: bool = False
    lossy_nibbles: bool = False
    output_limit: int = 256 * 1024
    input_limit: int = 64 * 1024
    history: int = 16 * 1024
    patience: float = 1.0
    """How long a full backlog may hold up its writer before bytes are dropped; infinity never drops, 0 never
    waits.
    """
    empty_reads: float | None = None
    """Answer a held read with no bytes after so long; None holds it until there are some."""
    frame_timeout: float = 2.0
    """Silence after which an unfinished frame may be given up for a new one."""
    text_timeout: float = 0.05
    """Silence after which text that looks like the beginning of a sentinel is shown."""


@dataclass(frozen=True, slots=True)
class ChangeSpeed:
    """Send `echo`, set the line to `speed` (None: the configured second speed), send `echo` again."""

    speed: int | None
    echo: bytes = b""


@dataclass(frozen=True, slots=True)
class Ended:
    """The victim said '$'."""


@dataclass(frozen=True, slots=True)
class Restarted:
    """The target began anew while it was framed."""


@dataclass(frozen=True, slots=True)
class Garbled:
    """A long run of bytes that are neither frames nor text: the two ends may disagree about the speed."""


Action = ChangeSpeed | Ended | Restarted | Garbled


class Direction(enum.Enum):
    FROM_VICTIM = enum.auto()
    TO_VICTIM = enum.auto()


@dataclass(frozen=True, slots=True)
class Passage:
    """What a recorder is told: one frame, or text outside frames, as it was on the line."""

    direction: Direction
    is_frame: bool
    data: bytes


def _pull_nothing() -> None:
    """For clients that push their input themselves."""


@dataclass(eq=False, slots=True)
class Observer:
    """Someone who sees a channel's output and can do nothing else."""

    backlog: Backlog = field(default_factory=Backlog)
    dropped: int = 0


@dataclass(eq=False, slots=True)
class Channel:
    """One channel's queues and counters."""

    number: int
    readable: bool = True
    """False for a channel that will never have input (a log file): its reads are answered empty at once."""
    pull: Callable[[], None] = _pull_nothing
    """Called before the channel is reported empty, and before a write to it is acknowledged: bring in (by
    `typed`) what the client has sent, or say (by `detach`) that it has left.
    """
    attached: bool = False
    stalled: bool = False
    incoming: Backlog = field(default_factory=Backlog)
    outgoing: Backlog = field(default_factory=Backlog)
    history: Backlog = field(default_factory=Backlog)
    observers: list[Observer] = field(default_factory=list)
    held_reads: deque[int] = field(default_factory=deque)
    withheld_acks: deque[int] = field(default_factory=deque)
    received: int = 0
    sent: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Transfer:
    """What a watcher is told: bytes from the victim to a client or back, or the mask of a select."""

    channel: int
    to_client: bool
    data: bytes
    mask: int | None = None


class Mux:
    """See the module."""

    def __init__(self, channels: Iterable[int], rules: Rules = Rules()) -> None:
        self.rules = rules
        self._limit = rules.output_limit
        self._history = rules.history
        self.channels = {number: Channel(number) for number in channels}
        self.changed: set[int] = set()
        self.relieved: set[int] = set()
        """Channels whose client may send again."""
        self.wanted: set[int] = set()
        """Channels whose client the victim waits for."""
        self.actions: list[Action] = []
        self.frames = 0
        self.strays = 0
        self.restarts = 0
        self.discarded = 0
        """Bytes written to channels that do not exist, or in frames that never became whole."""
        self.watch: Callable[[Transfer], None] | None = None
        """Called with every transfer, if set."""
        self._record: Callable[[Passage], None] | None = None
        self._line_is_up = False
        self._decoder = Decoder()
        self._handshake = Handshake()
        self._garbage = 0  # bytes since the last frame that are no text
        self._replies: list[bytes] = []
        self._sets: dict[int, list[Channel]] = {}  # by the base of a select
        self._reading: set[int] = set()  # channels with held reads
        self._withholding: set[int] = set()  # channels with withheld acknowledgements
        self._congested: set[int] = set()
        self.phase = self._first_phase()

    # What the owner asks

    @property
    def congested(self) -> bool:
        """Whether the line should not be read until a client has taken bytes, or patience ends."""
        return bool(self._congested)

    def record(self, recorder: Callable[[Passage], None]) -> None:
        """Tell `recorder` of everything that passes on the line from now on, frame by frame."""
        self._record = recorder
        self._decoder = Decoder(merge=False)

    def recorded(self, direction: Direction, is_frame: bool, data: bytes) -> None:
        """Something passes on the line."""
        if self._record and data:
            self._record(Passage(direction, is_frame, data))

    @property
    def patience(self) -> float:
        """For how many seconds the congested line may be left alone, before `give_up`."""
        patience = self.rules.patience
        waited_for = any(self.channels[number].attached for number in self._congested)
        return patience if waited_for or patience == float("inf") else min(patience, GRACE)

    def next_silence(self) -> float | None:
        """After how many seconds without a byte from the line `silence` is to be called; None for never."""
        waits: list[float] = []
        if self._handshake.holds_text:
            waits.append(self.rules.text_timeout)
        if self._decoder.unfinished and not self._decoder.has_lapsed:
            waits.append(self.rules.frame_timeout)
        if self.rules.empty_reads is not None and self._reading:
            waits.append(self.rules.empty_reads)
        if self.rules.patience < float("inf") and self._withholding:
            waits.append(self.rules.patience)
        return min(waits, default=None)

    # What happened

    def line_opened(self) -> bytes:
        """The line is up. What the console typed meanwhile goes out if the victim speaks text."""
        self._line_is_up = True
        console = self.channels.get(CONSOLE)
        if console and self.phase is not Phase.FRAMED:
            self._type_text(console.incoming.take(console.incoming.size))
        return self._flush_replies()

    def line_closed(self) -> None:
        """The line is gone: whatever was under way on it is void."""
        self._line_is_up = False
        self._show(self._handshake.flush())
        tail = self._decoder.abandon()
        self.recorded(Direction.FROM_VICTIM, False, tail)
        self.discarded += len(tail)
        self._forget_transactions()
        self._handshake = Handshake()
        self.phase = self._first_phase()

    def receive(self, data: bytes) -> bytes:
        """Take bytes from the line; return what to send back."""
        while data:
            data = self._receive_framed(data) if self.phase is Phase.FRAMED else self._receive_text(data)
        return self._flush_replies()

    def silence(self, seconds: float) -> bytes:
        """The line has been silent for so long."""
        rules = self.rules
        if seconds >= rules.text_timeout and self._handshake.holds_text:
            self._show(self._handshake.flush())
        if seconds >= rules.frame_timeout and self._decoder.unfinished:
            self._lapse()
        if rules.empty_reads is not None and seconds >= rules.empty_reads:
            for number in sorted(self._reading):
                held = self.channels[number].held_reads
                self._replies += [read_reply(number, b"")] * len(held)
                held.clear()
            self._reading.clear()
        if seconds >= rules.patience:
            for number in sorted(self._withholding):
                self._give_up(self.channels[number])
        return self._flush_replies()

    def typed(self, number: int, data: bytes) -> bytes:
        """The client of a channel sent bytes."""
        channel = self.channels[number]
        channel.received += len(data)
        if number == CONSOLE and self.phase is not Phase.FRAMED and self._line_is_up:
            self._type_text(data)
        else:
            channel.incoming.append(data)
            self._answer_reads(channel)
        return self._flush_replies()

    def taken(self, number: int, count: int) -> bytes:
        """The client of a channel accepted the first `count` bytes of its outgoing backlog."""
        channel = self.channels[number]
        channel.outgoing.discard(count)
        channel.sent += count
        size = channel.outgoing.size
        if size <= self._limit:
            if self._congested:
                self._congested.discard(number)
            if channel.withheld_acks:
                self._release_acks(channel)
            if not size:
                channel.stalled = False
        return self._flush_replies()

    def attach(self, number: int) -> None:
        """A client takes the channel's writing end."""
        channel = self.channels[number]
        channel.attached, channel.stalled = True, False

    def detach(self, number: int) -> bytes:
        """The client left. What it did not take waits for its successor."""
        channel = self.channels[number]
        channel.attached = False
        if self.rules.patience < float("inf") and (
            channel.withheld_acks or channel.outgoing.size > self._limit
        ):
            self._give_up(channel)
        return self._flush_replies()

    def give_up(self) -> bytes:
        """Patience has ended: drop the oldest bytes of every channel that congests the line."""
        for number in list(self._congested):
            self._give_up(self.channels[number])
        return self._flush_replies()

    def observe(self, number: int) -> Observer:
        """A new observer, which first sees the last output."""
        channel = self.channels[number]
        observer = Observer()
        observer.backlog.append(channel.history.tail(self.rules.history))
        channel.observers.append(observer)
        return observer

    def replay(self, number: int) -> None:
        """Put the last output in front of what the coming client will get anyway."""
        channel = self.channels[number]
        if channel.history.size > channel.outgoing.size:
            again = channel.history.tail(max(self.rules.history, channel.outgoing.size))
            channel.outgoing.discard(channel.outgoing.size)
            channel.outgoing.append(again)
            self.changed.add(number)

    # The line's bytes

    def _first_phase(self) -> Phase:
        framed = self.rules.assume_framed or self.rules.protocol is Protocol.V1
        return Phase.FRAMED if framed else Phase.TEXT

    def _receive_text(self, data: bytes) -> bytes:
        found = self._handshake.feed(data)
        self._show(found.text)
        if self._record:
            self.recorded(Direction.FROM_VICTIM, False, data[: len(data) - len(found.rest or b"")])
        if found.rest is None:
            return b""
        self.phase = Phase.FRAMED
        if self.rules.protocol is Protocol.V2:
            self.actions.append(ChangeSpeed(None))
        return found.rest

    def _receive_framed(self, data: bytes) -> bytes:
        """Serve the frames in `data`; return what stands behind a change of phase."""
        rest = self._serve(self._decoder.feed(data))
        if rest or not self._decoder.unfinished:
            return rest
        # A payload that does not end may be one that a reset has cut off.
        restart = find_restart(self._decoder.tail)
        if restart is None:
            return b""
        tail = self._decoder.abandon()
        start, stop = restart
        self.recorded(Direction.FROM_VICTIM, False, tail[:stop])
        self.discarded += start
        self._show(tail[start : stop - len(SENTINEL)])
        self._restart()
        return tail[stop:]

    def _serve(self, events: list[Event]) -> bytes:
        for place, event in enumerate(events):
            if self._record:
                is_frame = not isinstance(event, Stray)
                self.recorded(
                    Direction.FROM_VICTIM, is_frame, event.data if isinstance(event, Stray) else encode(event)
                )
            match event:
                case Write(number, data, acked):
                    self._write(number, data, acked)
                case Read(number, limit):
                    self._read(number, limit)
                case Select(base, nibbles):
                    self._select(base, nibbles)
                case Stray(data):
                    self.strays += len(data)
                    self._stray(data)
                    continue
                case SetSpeed(digits):
                    self.actions.append(ChangeSpeed(int(digits), encode(event)))
                case Exit() | Dump():
                    self._decoder.abandon()
                    if isinstance(event, Exit):
                        self.actions.append(Ended())
                    self._forget_transactions()
                    self.phase = Phase.ENDED
                    return b"".join(rest.data for rest in events[place + 1 :] if isinstance(rest, Stray))
            self.frames += 1
            self._garbage = 0
        return b""

    def _stray(self, data: bytes) -> None:
        """Text between frames: the console's, unless it is the sentinel of a target that starts again."""
        self._garbage += len(data.translate(None, _TEXT))
        if self._garbage >= MAX_GARBAGE:
            self._garbage = 0
            self.actions.append(Garbled())
        found = self._handshake.feed(data)
        self._show(found.text)
        if found.rest is not None:
            self._restart()
            self._stray(found.rest)

    def _lapse(self) -> None:
        """Silence inside a frame: either a sentinel has been swallowed by its payload, or the next header
        decides.
        """
        tail = self._decoder.abandon()
        if sentinel := find_sentinel(tail):
            self.recorded(Direction.FROM_VICTIM, False, tail[: sentinel[1]])
            self._show(tail[: sentinel[0]])
            self._restart()
            self._serve(self._decoder.feed(tail[sentinel[1] :]))
        else:
            self._decoder.feed(tail)
            self._decoder.lapse()

    def _restart(self) -> None:
        self._forget_transactions()
        self.restarts += 1
        self.actions.append(Restarted())
        if self.rules.protocol is Protocol.V2:
            self.actions.append(ChangeSpeed(None))

    def _forget_transactions(self) -> None:
        self._replies.clear()
        self._congested.clear()
        self._reading.clear()
        self._withholding.clear()
        for channel in self.channels.values():
            channel.held_reads.clear()
            channel.withheld_acks.clear()
            channel.dropped += channel.outgoing.trim(self.rules.output_limit)

    # Requests

    def _write(self, number: int, data: bytes, acked: bool) -> None:
        if self.watch:
            self.watch(Transfer(number, True, data))
        channel = self.channels.get(number)
        if channel is None:
            self.discarded += len(data)
            if acked:
                self._replies.append(write_ack(number, len(data)))
            return
        if acked:
            channel.pull()  # finds out whether the client is still there before we promise anything
        self._output(channel, data)
        limit = self._limit
        if channel.outgoing.size > limit:
            if not self._may_wait(channel):
                if acked or channel.stalled or not self.rules.patience:
                    channel.dropped += channel.outgoing.trim(limit)
                else:
                    self._congested.add(number)  # a client may be at the door
            elif acked and channel.outgoing.size <= 2 * limit and len(channel.withheld_acks) < MAX_HELD:
                channel.withheld_acks.append(len(data))
                self._withholding.add(number)
                return
            else:
                self._congested.add(number)
        if acked:
            self._replies.append(write_ack(number, len(data)))

    def _may_wait(self, channel: Channel) -> bool:
        patience = self.rules.patience
        return patience == float("inf") or (patience > 0 and channel.attached and not channel.stalled)

    def _read(self, number: int, limit: int) -> None:
        channel = self.channels.get(number)
        if channel is None or not channel.readable or limit == 0 or len(channel.held_reads) >= MAX_HELD:
            self._replies.append(read_reply(number, b""))
            return
        if not channel.incoming:
            channel.pull()
        channel.held_reads.append(limit)
        self._reading.add(number)
        self._answer_reads(channel)
        if channel.held_reads:
            self.wanted.add(number)

    def _answer_reads(self, channel: Channel) -> None:
        while channel.held_reads and channel.incoming:
            was_full = channel.incoming.size >= self.rules.input_limit
            data = channel.incoming.take(channel.held_reads.popleft())
            if self.watch:
                self.watch(Transfer(channel.number, False, data))
            if was_full and channel.incoming.size < self.rules.input_limit:
                self.relieved.add(channel.number)
            self._replies.append(read_reply(channel.number, data))
        if not channel.held_reads:
            self._reading.discard(channel.number)

    def _select(self, base: int, nibbles: bool) -> None:
        mask = 0
        for channel in self._sets.get(base) or self._find_set(base):
            if not channel.incoming.size:
                channel.pull()
            if channel.incoming.size:
                mask |= 1 << channel.number - base
        if self.watch:
            self.watch(Transfer(base, True, b"", mask))
        if nibbles:
            self._replies.append(nibble_reply(base, mask, lossy=self.rules.lossy_nibbles))
        else:
            self._replies.append(select_reply(base, mask))

    def _find_set(self, base: int) -> list[Channel]:
        numbers = range(base, base + SET_SIZE)
        self._sets[base] = [self.channels[number] for number in numbers if number in self.channels]
        return self._sets[base]

    # Clients

    def _type_text(self, data: bytes) -> None:
        """Typing before the handshake: the firmware wants LF CR where the terminal sends LF."""
        if data:
            self._replies.append(data.replace(b"\n", b"\n\r"))

    def _show(self, text: bytes) -> None:
        """Text that came outside frames belongs to the console, and nobody waits for it."""
        if not text:
            return
        console = self.channels.get(CONSOLE)
        if console is None:
            self.discarded += len(text)
            return
        self._output(console, text)
        if console.outgoing.size > self.rules.output_limit:
            if self._may_wait(console):
                self._congested.add(CONSOLE)
            else:
                console.dropped += console.outgoing.trim(self.rules.output_limit)

    def _output(self, channel: Channel, data: bytes) -> None:
        channel.outgoing.append(data)
        history = channel.history
        history.append(data)
        if history.size > 2 * self._history:
            history.trim(self._history)
        for observer in channel.observers:
            observer.backlog.append(data)
            observer.dropped += observer.backlog.trim(self.rules.output_limit)
        self.changed.add(channel.number)

    def _give_up(self, channel: Channel) -> None:
        channel.stalled = True
        channel.dropped += channel.outgoing.trim(self.rules.output_limit)
        self._congested.discard(channel.number)
        self._release_acks(channel)

    def _release_acks(self, channel: Channel) -> None:
        while channel.withheld_acks:
            self._replies.append(write_ack(channel.number, channel.withheld_acks.popleft()))
        self._withholding.discard(channel.number)

    def _flush_replies(self) -> bytes:
        if not self._replies:
            return b""
        replies = self._replies
        if self._record:
            for reply in replies:
                self.recorded(Direction.TO_VICTIM, self.phase is Phase.FRAMED, reply)
        reply = replies[0] if len(replies) == 1 else b"".join(replies)
        replies.clear()
        return reply
