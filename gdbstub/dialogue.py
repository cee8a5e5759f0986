"""A client's side of one connection to a stub, without the connection.  The twin of `session`.

    QUIET --ask--> SENT --`+`--> (wants a reply) ACKED --packet--> QUIET
                                 (wants none)    QUIET

What makes it more than a queue is a stub that is not where we think it is.  A stub that waits for the
acknowledgement of its own last reply takes our packet byte by byte for bad acknowledgements, and repeats
that reply once for each.  It shows as a packet that arrives in SENT, before our `+`.  Bytes keep their
order, so the cure needs no clock: send one `+`, which the stub reads after it has eaten our packet, then our
packet once more; everything until our `+` comes is a repeat.  The same happens when the target stops by
itself just as we ask something; then the first of the packets is the news of the stop.

Exactly one `+` is sent for each packet that is no repeat: a stub of this kind takes a surplus one for the
beginning of the next packet.

A packet whose time is up is *given up*, not forgotten: the target may be running, with nobody reading, and
the stub will find the packet when it stops.  Asked once more, the same packet is not sent twice; and when
the stub takes it late, its answer is the news of a stop.

On a line that a terminal shares (`shares_the_line`) all that is no packet is text.  While the target runs the
terminal echoes what it is sent, our own packets too: one that comes back is no reply.

A `-` in QUIET is the announcement of a stop, from a stub that does this (`announces_with_nak`); in SENT it
may be one that was on its way, so nothing is sent again until the shell's clock says that no `+` follows
(`time_out`).
"""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import dataclass

from gdbstub import packet, replies
from gdbstub.packet import Ack, Damaged, Decoder, Interrupt, Nak, Noise, Packet
from gdbstub.quirks import Quirks
from gdbstub.shared_line import SharedLineDecoder
from gdbstub.target import StopReason

# A damaged packet is asked for again, or sent again, so many times; a line worse than that is no line.
MAX_DAMAGED = 5

# Packets whose echo may still come.
MAX_UNREAD = 8


class State(enum.Enum):
    """Where the dialogue stands."""

    QUIET = "quiet"
    SENT = "sent"
    ACKED = "acked"


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to what was asked; `body` is None when the packet was taken and no reply is due."""

    body: bytes | None


@dataclass(frozen=True, slots=True)
class Stopped:
    """The target has stopped; `reason` is None when the stub only announced it."""

    reason: StopReason | None


@dataclass(frozen=True, slots=True)
class Refused:
    """A reply where a stop was due: the target was not resumed.  `body` is empty for "unknown packet"."""

    body: bytes


@dataclass(frozen=True, slots=True)
class Output:
    """Text for the user: an `O` packet, or bytes between packets."""

    text: bytes


Event = Reply | Stopped | Refused | Output


class Dialogue:
    """One stub's conversation.  Take what to send with `take_outgoing`, what happened from `events`."""

    def __init__(self, quirks: Quirks) -> None:
        self.state = State.QUIET
        self.is_acknowledging = True
        self.events: deque[Event] = deque()
        self.repeats_seen = 0
        self._quirks = quirks
        self._decoder = _decoder(quirks)
        self._has_heard_text = False
        self._unread: deque[bytes] = deque(maxlen=MAX_UNREAD)  # packets that the stub may not have got
        self._outgoing: list[bytes] = []
        self._frame = b""
        self._given_up = b""
        self._wants_reply = False
        self._is_orphan = False  # the answer that is due was given up by who asked
        self._was_refused = False  # a `-` came instead of a `+`
        self._resends = self._naks_of_frame = 0
        self._repeating = b""  # the body whose repeats are on their way, and how many may still come
        self._repeats_due = 0
        self._damaged = 0

    @property
    def quirks(self) -> Quirks:
        """What is known of the stub; it may become known in the middle of a conversation."""
        return self._quirks

    @quirks.setter
    def quirks(self, quirks: Quirks) -> None:
        if quirks.shares_the_line != self._quirks.shares_the_line:
            self._decoder = _decoder(quirks)
        self._quirks = quirks

    def ask(self, body: bytes, wants_reply: bool = True) -> None:
        """Send a command.  Only in QUIET."""
        assert self.state is State.QUIET
        frame = packet.frame(body)
        if frame != self._given_up:
            self._outgoing.append(frame)
        self._frame, self._given_up = frame, b""
        self._wants_reply, self._is_orphan = wants_reply, False
        self._was_refused = False
        self._resends = self._naks_of_frame = 0
        self.state = State.SENT
        if not self.is_acknowledging:
            self._on_ack()

    def time_out(self) -> bool:
        """Say that the answer takes too long.  True if the packet was sent again; else it is given up."""
        # Among a console's text the `+` may have been another's.
        is_unsure = self.state is State.ACKED and self.quirks.shares_the_line
        limit = max(self.quirks.resends, self.quirks.shares_the_line and self._was_refused)
        if (self.state is State.SENT or is_unsure) and self._resends < limit:
            self._resends += 1
            self._unread.append(self._frame)
            self.state = State.SENT
            self._outgoing.append(self._frame)
            return True
        self.give_up()
        return False

    def give_up(self) -> None:
        """Say that nobody waits for the answer any more."""
        # Where packets get lost, or a terminal takes them, none waits on the way to be found later.
        if self.state is State.SENT and not self.quirks.resends:
            self._given_up = self._frame
        elif self.state is not State.QUIET:
            self._unread.append(self._frame)
        self.state = State.QUIET

    def receive(self, data: bytes) -> None:
        """Take bytes from the stub."""
        for event in self._decoder.feed(data):
            match event:
                case Packet(body) if self._is_echo(body):
                    self._has_heard_text = True
                    self.events.append(Output(packet.frame(body)))
                case Packet(body):
                    self._damaged = 0
                    self._on_packet(body)
                case Ack():
                    if self._given_up and self.state is State.QUIET:
                        self._adopt()
                    if self.state is State.SENT:
                        self._repeating, self._repeats_due = b"", 0
                        self._on_ack()
                    elif self.is_among_text:
                        self.events.append(Output(packet.ACK))
                case Nak():
                    self._on_nak()
                case Damaged(raw):
                    self._on_damaged(raw)
                case Noise(raw):
                    self._has_heard_text = True
                    self.events.append(Output(raw))
                case Interrupt() if self.quirks.shares_the_line:
                    self.events.append(Output(packet.INTERRUPT))
                case _:
                    pass

    def take_outgoing(self) -> bytes:
        """Return and forget the bytes to send."""
        data = b"".join(self._outgoing)
        self._outgoing.clear()
        return data

    @property
    def is_among_text(self) -> bool:
        """True where a `+` or a `-` may be a console's, and what we send may be read by a terminal."""
        return self.quirks.shares_the_line and (self._has_heard_text or not self.quirks.announces_with_nak)

    def _is_echo(self, body: bytes) -> bool:
        """True for our own packet on its way back, even late: a terminal echoes when somebody reads from it.

        Also after a `+`, which may have been a console's: no stub answers with what it was asked.
        """
        return self.quirks.shares_the_line and packet.frame(body) in (self._frame, *self._unread)

    def _adopt(self) -> None:
        """Wait again for the answer to a packet that had been given up."""
        self._given_up = b""
        self._is_orphan = True
        self.state = State.SENT

    def _on_ack(self) -> None:
        if self._wants_reply:
            self.state = State.ACKED
        else:
            self.state = State.QUIET
            if not self._is_orphan:
                self.events.append(Reply(None))

    def _on_nak(self) -> None:
        self._was_refused = self.state is State.SENT
        if self.state is State.QUIET and self.quirks.announces_with_nak and not self.is_among_text:
            if self._given_up:
                self._adopt()
            else:
                self.events.append(Stopped(None))
        elif self.is_among_text:
            self.events.append(Output(packet.NAK))
        elif (
            self.state is State.SENT
            and not self.quirks.announces_with_nak
            and self._naks_of_frame < MAX_DAMAGED
        ):
            self._naks_of_frame += 1
            self._outgoing.append(self._frame)

    def _on_damaged(self, raw: bytes) -> None:
        if self.quirks.shares_the_line and self.state is not State.ACKED:
            self.events.append(Output(raw))
            return
        self._damaged += 1
        if self.is_acknowledging and self._damaged <= MAX_DAMAGED and raw[-3:-2] == b"#":
            self._outgoing.append(packet.NAK)
        else:
            self.events.append(Output(raw))

    def _on_packet(self, body: bytes) -> None:
        if self._repeating == body and self._repeats_due:
            self._repeats_due -= 1
            self.repeats_seen += 1
            if self.quirks.resends:
                self._outgoing.append(packet.ACK)
            return
        if self.is_acknowledging:
            self._outgoing.append(packet.ACK)
        if body[:1] == b"O" and body != replies.OK:
            self._on_output(body)
        elif self.state is State.ACKED:
            self.state = State.QUIET
            if self._resends:
                # The stub was only slow: it may answer what was sent again as well.
                self._repeating, self._repeats_due = body, self._resends
            if self._is_orphan:
                self._on_unasked(body)
            else:
                self.events.append(Reply(body))
        elif self.state is State.SENT:
            self._repeating, self._repeats_due = body, len(self._frame)
            self._outgoing.append(self._frame)
            self._on_unasked(body)
        else:
            if self._given_up:
                self._repeating, self._repeats_due = body, len(self._given_up)
                self._given_up = b""
            self._on_unasked(body)

    def _on_output(self, body: bytes) -> None:
        try:
            self.events.append(Output(bytes.fromhex(body[1:].decode("ascii"))))
        except ValueError:
            self.events.append(Output(body))

    def _on_unasked(self, body: bytes) -> None:
        reason = replies.parse_stop(body)
        if reason is not None:
            self.events.append(Stopped(reason))
        elif body[:1] in (b"", b"E"):
            self.events.append(Refused(body))


def _decoder(quirks: Quirks) -> Decoder | SharedLineDecoder:
    return SharedLineDecoder() if quirks.shares_the_line else Decoder()
