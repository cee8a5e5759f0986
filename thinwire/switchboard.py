"""The clients' side of the multiplexer: what each channel has queued, who waits, who is dropped.

`Switchboard` serves single requests (a write, a read, a select) and hears of the clients; `mux.Mux` adds the
line, from which the requests come. The victim is synchronous: it asks, then waits for the answer, interrupts
off. Whatever is not answered stops it, so:

* A read with nothing to give is held, and only it; requests that follow are served.
* A write is acknowledged as soon as its bytes are with the client or in the channel's bounded backlog. If
  that is full and the client may still take something, the acknowledgement waits; an unanswered write makes
  the board `congested` instead, which asks the owner to leave the line alone. Both end when the client takes
  bytes or the owner's patience ends (`give_up`): then the oldest bytes are dropped and counted, and so they
  are for that client until it has caught up.
* A restart of the target forgets held reads and acknowledgements, never a client.

Acknowledged bytes are offered to the client at once (`Channel.deliver`), so that a client that reads promptly
has them before the victim hears that they are written. Unanswered ones are left in the backlog, and the owner
offers what has gathered there (`changed`).

Invariants: nothing here grows without bound; every byte is delivered, still queued, or counted in `dropped`.
Not known here: time, sockets, the bytes of the line, what the channels carry.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from thinwire.backlog import Backlog, Recent
from thinwire.frames import SET_SIZE, nibble_reply, read_reply, select_reply, write_ack
from thinwire.rules import Rules

CONSOLE = 0
MAX_HELD = 16
"""A victim that waits for its answers has one open; more than this many on a channel is noise and is answered
at once.
"""
GRACE = 0.02
"""Seconds that a flood to a channel without a client is held up, once, for one that is just connecting."""
ABSENCE = 0.5
"""Seconds that a read waits for the successor of a client that has left. Then it is answered with nothing,
once, as the originals do at once; the reads that follow are held like any others.
"""
FOREVER = float("inf")


def _take_nothing(_data: bytes | memoryview) -> int:
    """For channels whose client takes its bytes from the backlog, or that have none."""
    return 0


@dataclass(eq=False, slots=True)
class Observer:
    """Someone who sees a channel's output and can do nothing else."""

    backlog: Backlog = field(default_factory=Backlog)
    dropped: int = 0


@dataclass(eq=False, slots=True)
class Channel:
    """One channel's queues and counters."""

    number: int
    history: Recent
    readable: bool = True
    """False for a channel that will never have input (a log file): its reads are answered empty at once."""
    deliver: Callable[[bytes | memoryview], int] = _take_nothing
    """Offers bytes to the client; returns how many it took. May find that it has left, and `detach` it."""
    attached: bool = False
    left: bool = False
    """Whether the last client has left and the victim has not been told, by an empty read."""
    stalled: bool = False
    incoming: Backlog = field(default_factory=Backlog)
    outgoing: Backlog = field(default_factory=Backlog)
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


class Switchboard:
    """See the module. What returns bytes returns what is to be sent to the victim."""

    def __init__(self, channels: Iterable[int], rules: Rules) -> None:
        self.rules = rules
        self.channels = {number: Channel(number, Recent(rules.history)) for number in channels}
        self.changed: set[int] = set()
        """Channels with new output."""
        self.relieved: set[int] = set()
        """Channels whose client may send again."""
        self.congested: set[int] = set()
        """Channels for which the line should not be read until their clients have taken bytes, or patience
        ends.
        """
        self.reading: set[int] = set()
        """Channels with held reads."""
        self.discarded = 0
        """Bytes written to channels that do not exist, or in frames that never became whole."""
        self.watch: Callable[[Transfer], None] | None = None
        """Called with every transfer, if set."""
        self._tell_reply: Callable[[bytes], None] | None = None
        self._limit = rules.output_limit
        self._replies: list[bytes] = []
        self._sets: dict[int, list[Channel]] = {}  # by the base of a select
        self._withholding: set[int] = set()  # channels with withheld acknowledgements

    # What the owner asks and tells

    @property
    def patience(self) -> float:
        """For how many seconds the congested line may be left alone, before `give_up`."""
        patience = self.rules.patience
        waited_for = any(self.channels[number].attached for number in self.congested)
        return patience if waited_for or patience == FOREVER else min(patience, GRACE)

    def next_silence(self) -> float | None:
        """After how many seconds without a byte from the line `silence` is to be called; None for never."""
        if not self.reading and not self._withholding:
            return None
        empty_reads, patience = self.rules.empty_reads, self.rules.patience
        waits = [empty_reads] if empty_reads is not None and self.reading else []
        if any(self.channels[number].left for number in self.reading):
            waits.append(ABSENCE)
        if self._withholding and patience < FOREVER:
            waits.append(patience)
        return min(waits, default=None)

    def silence(self, seconds: float) -> bytes:
        """The line has been silent for so long."""
        if self.rules.empty_reads is not None and seconds >= self.rules.empty_reads:
            self._answer_empty(sorted(self.reading))
        if seconds >= self.rules.patience:
            for number in sorted(self._withholding):
                self._give_up(self.channels[number])
        return self.tell_absence() if seconds >= ABSENCE else self._flush_replies()

    def tell_absence(self) -> bytes:
        """No successor has come for a client that left: `ABSENCE` has passed since, or since the victim asked
        for its bytes.
        """
        self._answer_empty([number for number in sorted(self.reading) if self.channels[number].left])
        return self._flush_replies()

    def typed(self, number: int, data: bytes) -> bytes:
        """The client of a channel sent bytes."""
        channel = self.channels[number]
        channel.received += len(data)
        channel.incoming.append(data)
        if not channel.held_reads:
            return b""
        while channel.held_reads and channel.incoming.size:
            self._replies.append(self._answer_read(channel, channel.held_reads.popleft()))
        if not channel.held_reads:
            self.reading.discard(number)
        return self._flush_replies()

    def taken(self, number: int, count: int) -> bytes:
        """The client of a channel accepted the first `count` bytes of its outgoing backlog."""
        channel = self.channels[number]
        channel.outgoing.discard(count)
        channel.sent += count
        size = channel.outgoing.size
        if size <= self._limit:
            self.congested.discard(number)
            if channel.withheld_acks:
                self._release_acks(channel)
            if not size:
                channel.stalled = False
        return self._flush_replies()

    def attach(self, number: int) -> None:
        """A client takes the channel's writing end."""
        channel = self.channels[number]
        channel.attached, channel.left, channel.stalled = True, False, False

    def detach(self, number: int) -> bytes:
        """The client left. What it did not take waits for its successor."""
        channel = self.channels[number]
        channel.attached, channel.left, channel.deliver = False, True, _take_nothing
        if self.rules.patience < FOREVER and (channel.withheld_acks or channel.outgoing.size > self._limit):
            self._give_up(channel)
        return self._flush_replies()

    def give_up(self) -> bytes:
        """Patience has ended: drop the oldest bytes of every channel that congests the line."""
        for number in list(self.congested):
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

    # Requests; each returns its answer, b"" for none yet

    def _write(self, number: int, data: bytes | memoryview, acked: bool) -> bytes:
        if self.watch:
            self.watch(Transfer(number, True, bytes(data)))
        size = len(data)
        channel = self.channels.get(number)
        if channel is None:
            self.discarded += size
            return write_ack(number, size) if acked else b""
        channel.history.append(data)
        if channel.observers:
            self._show_observers(channel, data)
        outgoing = channel.outgoing
        if acked and not outgoing.size:
            taken = channel.deliver(data)
            channel.sent += taken
            if taken == size:
                return write_ack(number, size)
            data = data[taken:]
        outgoing.append(data)
        self.changed.add(number)
        if outgoing.size > self._limit and not self._overflow(channel, size, acked):
            return b""
        return write_ack(number, size) if acked else b""

    def _write_run(self, number: int, parts: list[bytes | memoryview]) -> None:
        """Unanswered writes of one size."""
        channel = self.channels.get(number)
        if channel is None or channel.observers or self.watch:
            for part in parts:
                self._write(number, part, False)
            return
        for part in parts[-self.rules.history // len(parts[0]) :]:  # rounds to the larger number
            channel.history.append(part)
        channel.outgoing.extend(parts)
        self.changed.add(number)
        if channel.outgoing.size > self._limit:
            self._overflow(channel, 0, False)

    def _overflow(self, channel: Channel, size: int, acked: bool) -> bool:
        """The backlog is full with the write of `size` bytes; whether that is to be acknowledged at once."""
        if not self._may_wait(channel):
            if channel.stalled or not self.rules.patience:
                channel.dropped += channel.outgoing.trim(self._limit)
            else:
                self.congested.add(channel.number)  # a client may be at the door
        elif acked and channel.outgoing.size <= 2 * self._limit and len(channel.withheld_acks) < MAX_HELD:
            channel.withheld_acks.append(size)
            self._withholding.add(channel.number)
            return False
        else:
            self.congested.add(channel.number)
        return True

    def _may_wait(self, channel: Channel) -> bool:
        patience = self.rules.patience
        return patience == FOREVER or (patience > 0 and channel.attached and not channel.stalled)

    def _read(self, number: int, limit: int) -> bytes:
        channel = self.channels.get(number)
        if channel is None or not channel.readable or limit == 0 or len(channel.held_reads) >= MAX_HELD:
            return read_reply(number, b"")
        if channel.incoming.size:
            return self._answer_read(channel, limit)
        channel.held_reads.append(limit)
        self.reading.add(number)
        return b""

    def _answer_read(self, channel: Channel, limit: int) -> bytes:
        incoming = channel.incoming
        was_full = incoming.size >= self.rules.input_limit
        data = incoming.take(limit)
        if self.watch:
            self.watch(Transfer(channel.number, False, data))
        if was_full and incoming.size < self.rules.input_limit:
            self.relieved.add(channel.number)
        return read_reply(channel.number, data)

    def _answer_empty(self, numbers: list[int]) -> None:
        for number in numbers:
            channel = self.channels[number]
            self._replies += [read_reply(number, b"")] * len(channel.held_reads)
            channel.held_reads.clear()
            channel.left = False
            self.reading.discard(number)

    def _select(self, base: int, nibbles: bool) -> bytes:
        mask = 0
        for channel in self._sets.get(base) or self._find_set(base):
            if channel.incoming.size:
                mask |= 1 << channel.number - base
        if self.watch:
            self.watch(Transfer(base, True, b"", mask))
        if nibbles:
            return nibble_reply(base, mask, lossy=self.rules.lossy_nibbles)
        return select_reply(base, mask)

    def _find_set(self, base: int) -> list[Channel]:
        numbers = range(base, base + SET_SIZE)
        self._sets[base] = [self.channels[number] for number in numbers if number in self.channels]
        return self._sets[base]

    # Output

    def _show(self, text: bytes) -> None:
        """Text that came outside frames belongs to the console, and nobody waits for it."""
        if not text:
            return
        console = self.channels.get(CONSOLE)
        if console is None:
            self.discarded += len(text)
            return
        console.history.append(text)
        self._show_observers(console, text)
        console.outgoing.append(text)
        self.changed.add(CONSOLE)
        if console.outgoing.size > self._limit:
            if self._may_wait(console):
                self.congested.add(CONSOLE)
            else:
                console.dropped += console.outgoing.trim(self._limit)

    def _show_observers(self, channel: Channel, data: bytes | memoryview) -> None:
        for observer in channel.observers:
            observer.backlog.append(bytes(data))
            observer.dropped += observer.backlog.trim(self._limit)
        self.changed.add(channel.number)

    def _give_up(self, channel: Channel) -> None:
        channel.stalled = True
        channel.dropped += channel.outgoing.trim(self._limit)
        self.congested.discard(channel.number)
        self._release_acks(channel)

    def _release_acks(self, channel: Channel) -> None:
        while channel.withheld_acks:
            self._replies.append(write_ack(channel.number, channel.withheld_acks.popleft()))
        self._withholding.discard(channel.number)

    def _forget_transactions(self) -> None:
        """Whoever waited for answers is gone."""
        self._replies.clear()
        self.congested.clear()
        self.reading.clear()
        self._withholding.clear()
        for channel in self.channels.values():
            channel.held_reads.clear()
            channel.withheld_acks.clear()
            channel.dropped += channel.outgoing.trim(self._limit)

    def _flush_replies(self) -> bytes:
        replies = self._replies
        if not replies:
            return b""
        if self._tell_reply:
            for reply in replies:
                self._tell_reply(reply)
        if len(replies) == 1:
            return replies.pop()
        reply = b"".join(replies)
        replies.clear()
        return reply
