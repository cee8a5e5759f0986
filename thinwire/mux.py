"""The multiplexer itself, without a wire: the victim's bytes in, answers out.

The owner (`server`, or a test) tells the mux what happens and moves the bytes it is given:

    receive(bytes from the line)            -> bytes for the line
    typed(channel, bytes from its client)   -> bytes for the line
    taken(channel, count)                   -> bytes for the line: the client accepted so much of `outgoing`
    line_opened() / line_closed() / line_full() / silence()  likewise

After each call `changed` names the channels with new output and `actions` what else is to be done (speed,
end, restart). What clients have sent should be told before the bytes of the line that came after it.

This module is the line's side: where text ends and frames begin, when the target has started anew. What
becomes of the requests is `switchboard`, which a `Mux` is as well.

States of the line:  TEXT    everything is console text, typing goes straight to the victim (LF becomes LF CR)
                     FRAMED  requests and replies; stray bytes are console text
                     ENDED   after '$' or '/': like TEXT, waiting for the target to come back

A target that starts anew in the middle of a frame is the hard case, for its announcement then stands where a
payload is expected. `handshake` says what it looks like, `_find_restart` and `_lapse` where we look for it.
The mux does not know of time, of sockets, or what the channels carry.
"""

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from thinwire.frames import (
    HEADER_LENGTH,
    SMALL,
    WRITE,
    WRITES,
    Decoder,
    Dump,
    Event,
    Exit,
    Read,
    Run,
    Select,
    SetSpeed,
    Stray,
    Write,
    encode,
    parse_header,
    payload_length,
)
from thinwire.handshake import SENTINEL, Handshake, find_restart, find_sentinel, find_swallowed
from thinwire.rules import Protocol, Rules
from thinwire.switchboard import CONSOLE, Channel, Observer, Switchboard, Transfer

__all__ = [
    "CONSOLE", "Action", "ChangeSpeed", "Channel", "Direction", "Ended", "Garbled", "Mux", "Observer",
    "Passage", "Phase", "Protocol", "Restarted", "Rules", "Transfer",
]  # fmt: skip

MAX_GARBAGE = 64
"""So many bytes that are neither frames nor text, with silence behind them and no frame, are `Garbled`."""
GARBAGE_SILENCE = 0.25
"""Seconds: a target that prints such bytes at the right speed says a frame soon after, one that starts anew
at its first speed pauses now and then without one.
"""
_TEXT = bytes([*range(7, 14), 27, *range(32, 127)])


class Phase(enum.Enum):
    TEXT = "text"
    FRAMED = "framed"
    ENDED = "ended"


_FRAMED = Phase.FRAMED  # finding a member in its class costs as much as a call


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
    """Many bytes that were neither frames nor text, then silence: the ends may disagree about the speed."""


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


class Mux(Switchboard):
    """See the module."""

    def __init__(self, channels: Iterable[int], rules: Rules | None = None) -> None:
        super().__init__(channels, rules or Rules())
        self.actions: list[Action] = []
        self.frames = 0
        self.strays = 0
        self.restarts = 0
        self.is_behind = False
        """Whether `receive_batch` has left something to do, for which no bytes need come."""
        self._record: Callable[[Passage], None] | None = None
        self._takes_typing = False
        self._decoder = Decoder()
        self._handshake = Handshake()
        self._garbage = 0  # bytes since the last frame that are no text
        self._is_text = False  # whether there were strays since the last frame
        self.phase = self._first_phase()

    def record(self, recorder: Callable[[Passage], None]) -> None:
        """Tell `recorder` of everything that passes on the line from now on, frame by frame."""
        self._record = recorder
        self._tell_reply = lambda reply: self.recorded(Direction.TO_VICTIM, self.phase is Phase.FRAMED, reply)
        self._decoder = Decoder(merge=False)

    def recorded(self, direction: Direction, is_frame: bool, data: bytes) -> None:
        """Something passes on the line."""
        if self._record and data:
            self._record(Passage(direction, is_frame, data))

    def next_silence(self) -> float | None:
        """After how many seconds without a byte from the line `silence` is to be called; None for never."""
        wait = super().next_silence()
        if self._handshake.holds_text and (wait is None or self.rules.text_timeout < wait):
            wait = self.rules.text_timeout
        decoder = self._decoder
        if decoder.tail and not decoder.has_lapsed and (wait is None or self.rules.frame_timeout < wait):
            wait = self.rules.frame_timeout
        if self._garbage >= MAX_GARBAGE and (wait is None or wait > GARBAGE_SILENCE):
            wait = GARBAGE_SILENCE
        return wait

    # What happened

    def line_opened(self) -> bytes:
        """The line is up. What the console typed meanwhile goes out if the victim speaks text."""
        self._takes_typing = True
        console = self.channels.get(CONSOLE)
        if console and self._speaks_text:
            if console.incoming.size >= self.rules.input_limit:
                self.relieved.add(CONSOLE)
            self._type_text(console.incoming.take(console.incoming.size))
        return self._flush_replies()

    def line_full(self) -> None:
        """The line takes nothing for now: typing waits for the next `line_opened`."""
        self._takes_typing = False

    def line_closed(self) -> None:
        """The line is gone: whatever was under way on it is void."""
        self._takes_typing = False
        self._show(self._handshake.flush())
        tail, self.is_behind = self._decoder.abandon(), False
        self.recorded(Direction.FROM_VICTIM, False, tail)
        self.discarded += len(tail)
        self._forget_transactions()
        self._handshake = Handshake()
        self._garbage = 0
        self.phase = self._first_phase()

    def receive(self, data: bytes) -> bytes:
        """Take bytes from the line; return what to send back."""
        reply = self.receive_batch(data)
        while self.is_behind:
            reply += self.receive_batch(b"")
        return reply

    def receive_batch(self, data: bytes) -> bytes:
        """As `receive`, but a long piece is served in several goes, so that whoever else is in the process
        gets a turn: call again with nothing while `is_behind`.
        """
        if self._decoder.tail or self._is_text or self._record or self.phase is not _FRAMED:
            return self._receive_any(data)
        # A victim that waits for its answers sends one request at a time, for which there is a shorter way.
        parsed = parse_header(data[:HEADER_LENGTH])
        if parsed is None:
            return self._receive_any(data)
        kind, channel, length, request = parsed
        if len(data) != HEADER_LENGTH + length:
            return self._receive_any(data)
        if kind in WRITES:
            payload = data[HEADER_LENGTH:] if length <= SMALL else memoryview(data)[HEADER_LENGTH:]
            reply = self._write(channel, payload, kind == WRITE)
        elif type(request) is Read:
            reply = self._read(channel, request.limit)
        elif type(request) is Select:
            reply = self._select(channel, request.nibbles)
        else:
            return self._receive_any(data)
        self.frames += 1
        self._garbage = 0
        return reply

    def silence(self, seconds: float) -> bytes:
        """The line has been silent for so long."""
        if seconds >= self.rules.text_timeout and self._handshake.holds_text:
            self._show(self._handshake.flush())
        if seconds >= self.rules.frame_timeout and self._decoder.tail:
            self._lapse()
        if seconds >= GARBAGE_SILENCE and self._garbage >= MAX_GARBAGE:
            self._garbage = 0
            self.actions.append(Garbled())
        self.is_behind = self._decoder.is_behind
        return super().silence(seconds)

    def typed(self, number: int, data: bytes) -> bytes:
        """The client of a channel sent bytes."""
        if number == CONSOLE and self._speaks_text and self._takes_typing:
            self.channels[number].received += len(data)
            self._type_text(data)
            return self._flush_replies()
        return super().typed(number, data)

    @property
    def _speaks_text(self) -> bool:
        """Whether what is typed goes to the target as it is."""
        return self.phase is not Phase.FRAMED and self.rules.has_firmware

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

    def _receive_any(self, data: bytes) -> bytes:
        """As `receive_batch`, whatever the bytes are."""
        if self.phase is _FRAMED:
            data = self._receive_framed(data)
        while data:
            data = self._receive_framed(data) if self.phase is Phase.FRAMED else self._receive_text(data)
        self.is_behind = self._decoder.is_behind
        return self._flush_replies()

    def _receive_framed(self, data: bytes) -> bytes:
        """Serve the frames in `data`; return what stands behind a change of phase."""
        decoder = self._decoder
        merged = decoder.merged
        begun, has_lapsed = b"" if decoder.is_behind else decoder.tail, decoder.has_lapsed
        events = decoder.feed(data)
        self.frames += decoder.merged - merged
        if len(begun) > HEADER_LENGTH and events and isinstance(events[0], Write | Run):
            # A payload that came in pieces: a reset may have cut it off, and what came next completed it.
            place = HEADER_LENGTH + payload_length(begun) - len(begun)
            if restart := find_swallowed(begun, data, place, bare=has_lapsed):
                decoder.abandon()
                return self._begin_anew(begun + data, restart)
            self._serve(events[:1])
            del events[0]
            last = begun[-len(SENTINEL) :] + data[max(0, place - len(SENTINEL)) : place]
            if self._handshake.expect(last):
                self._is_text = True
        rest = self._serve(events)
        if rest or not decoder.tail or decoder.is_behind:
            return rest
        # A payload that does not end may be one that a reset has cut off.
        if restart := find_restart(decoder.tail):
            return self._begin_anew(decoder.abandon(), restart)
        return b""

    def _begin_anew(self, said: bytes, restart: tuple[int, int]) -> bytes:
        """The target has started again in the middle of a frame; returns what it said since."""
        start, stop = restart
        self.recorded(Direction.FROM_VICTIM, False, said[:stop])
        self.discarded += start
        self._show(said[start : stop - len(SENTINEL)])
        self._restart()
        return said[stop:]

    def _serve(self, events: list[Event]) -> bytes:
        for place, event in enumerate(events):
            if self._record:
                self._record_event(event)
            if self._is_text and not isinstance(event, Stray):
                self._end_text()
            match event:
                case Write(number, data, acked):
                    self._reply(self._write(number, data, acked))
                case Run(number, parts):
                    self._write_run(number, parts)
                    self.frames += len(parts) - 1
                case Read(number, limit):
                    self._reply(self._read(number, limit))
                case Select(base, nibbles):
                    self._reply(self._select(base, nibbles))
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

    def _reply(self, reply: bytes) -> None:
        if reply:
            self._replies.append(reply)

    def _end_text(self) -> None:
        """A frame comes: what looked like the beginning of a sentinel was text, and goes first."""
        self._show(self._handshake.flush())
        self._handshake = Handshake()
        self._is_text = False

    def _record_event(self, event: Event) -> None:
        """Tell the recorder; there are no runs while it listens."""
        if isinstance(event, Stray):
            self.recorded(Direction.FROM_VICTIM, False, event.data)
        elif not isinstance(event, Run):
            self.recorded(Direction.FROM_VICTIM, True, encode(event))

    def _stray(self, data: bytes) -> None:
        """Text between frames: the console's, unless it is the sentinel of a target that starts again."""
        self._garbage += len(data.translate(None, _TEXT))
        self._is_text = True
        rest: bytes | None = data
        while rest is not None:
            found = self._handshake.feed(rest)
            self._show(found.text)
            rest = found.rest
            if rest is not None:
                self._restart()

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
        self._garbage = 0
        self.restarts += 1
        self.actions.append(Restarted())
        if self.rules.protocol is Protocol.V2:
            self.actions.append(ChangeSpeed(None))

    def _type_text(self, data: bytes) -> None:
        """Typing before the handshake: the firmware wants LF CR where the terminal sends LF."""
        if data:
            self._replies.append(data.replace(b"\n", b"\n\r"))
