"""Playing a recording again, so that every bug report is a test.

`replay_mux` gives the victim's half of a recording to a fresh multiplexer, with the clients' typing taken
from the recorded answers, and returns the first answer that differs. `replay_side` plays either half over a
stream, to a live server or a live victim, and waits each time until the other half has said what it said
before, for as long as that took and `PATIENCE` more.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import trio

from thinwire.capture import Packet
from thinwire.frames import CHANNELS, SET_SIZE, Read, Select, decode_one
from thinwire.mux import ChangeSpeed, Mux, Rules

PATIENCE = 10.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Divergence:
    """Where a replay left the recording: the number of the packet, and what was said there instead."""

    packet: int
    recorded: bytes
    heard: bytes

    def __str__(self) -> str:
        return f"packet {self.packet}: recorded {self.recorded[:60]!r}, now {self.heard[:60]!r}"


def replay_mux(packets: Sequence[Packet], rules: Rules | None = None) -> Divergence | None:
    """Drive a new `Mux` through a recording; None if it answers as it did. Without `rules` those of the
    recording: a line that begins with a frame was framed from its first byte.
    """
    if rules is None:
        rules = Rules(assume_framed=next((p.is_frame for p in packets if not p.to_victim), False))
    mux = Mux(range(CHANNELS), rules)
    typing = _typing(packets)
    answers = _next_answers(packets)
    heard, said = mux.line_opened(), b""
    for number, packet in enumerate(packets):
        if not packet.to_victim:
            awaited = _awaited(packet, answers[number])
            if awaited:
                heard, said = heard + _tell(mux, said), b""
            for channel in awaited:
                if not mux.channels[channel].incoming.size and typing[channel]:
                    heard += mux.typed(channel, typing[channel].popleft())
            said += packet.data
            continue
        # What the victim says without a pause arrives in one piece.
        heard, said = heard + _tell(mux, said), b""
        if not packet.is_frame:  # the console's typing before the handshake is nobody's answer
            continue
        if not heard.startswith(packet.data):
            return Divergence(number, packet.data, heard)
        heard = heard[len(packet.data) :]
    heard += _tell(mux, said)
    return Divergence(len(packets), b"", heard) if heard else None


def _tell(mux: Mux, said: bytes) -> bytes:
    heard = mux.receive(said)
    for action in mux.actions:
        if isinstance(action, ChangeSpeed):
            heard += action.echo * 2
    mux.actions.clear()
    return heard


async def replay_side(
    stream: trio.abc.Stream, packets: Iterable[Packet], *, as_victim: bool
) -> Divergence | None:
    """Play the victim's half (or the server's) over a stream; None if the other half answered as it did."""
    heard = typed = b""
    before = None
    for number, packet in enumerate(packets):
        took = 0 if before is None else packet.time - before
        before = packet.time
        if packet.to_victim is not as_victim:
            await stream.send_all(packet.data)
        elif as_victim and not packet.is_frame:
            typed += packet.data  # at the console before the handshake: it may come again, or not
        else:
            while not heard.removeprefix(typed).startswith(packet.data):
                data = b""
                with trio.move_on_after(max(took, 0) / 1e9 + PATIENCE):
                    data = bytes(await stream.receive_some())
                heard += data
                if not data or not _may_become(heard, packet.data, typed + packet.data):
                    return Divergence(number, packet.data, heard)
            heard = heard.removeprefix(typed)[len(packet.data) :]
            typed = b""
    return None


def _may_become(heard: bytes, *expected: bytes) -> bool:
    """Whether this is the beginning of something expected, or more than that."""
    return any(heard.startswith(each[: len(heard)]) for each in expected)


def _typing(packets: Sequence[Packet]) -> dict[int, deque[bytes]]:
    """What the clients typed, by channel: the data of the answers to reads."""
    typing: dict[int, deque[bytes]] = defaultdict(deque)
    for packet, asked in _answers(packets):
        if len(packet.data) > 5:
            typing[asked.channel].append(packet.data[5:])
    return typing


def _answers(packets: Sequence[Packet]) -> Iterator[tuple[Packet, Read]]:
    """Every read's answer with its request: the earliest still open one that it fits."""
    waiting: dict[bytes, deque[Read]] = defaultdict(deque)
    for packet in packets:
        if not packet.is_frame:
            continue
        if packet.to_victim:
            asked = waiting[packet.data[:1]]
            if asked:
                yield packet, asked.popleft()
        elif isinstance(request := decode_one(packet.data), Read):
            waiting[bytes((0x30 + request.channel,))].append(request)


def _next_answers(packets: Sequence[Packet]) -> list[bytes]:
    """For every packet the first answer behind it."""
    answers = []
    answer = b""
    for packet in reversed(packets):
        answers.append(answer)
        if packet.to_victim and packet.is_frame:
            answer = packet.data
    return answers[::-1]


def _awaited(packet: Packet, answer: bytes) -> list[int]:
    """The channels that must have input before this request is answered as it was."""
    match decode_one(packet.data) if packet.is_frame else None:
        case Read(channel, _) if len(answer) > 5 and answer[0] == 0x30 + channel:
            return [channel]
        case Select(base, False) if answer[:1] == b"!" and len(answer) == 9:
            mask = answer[8]
            return [base + place for place in range(min(SET_SIZE, CHANNELS - base)) if mask >> place & 1]
        case _:
            return []
