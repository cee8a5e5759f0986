"""The packet codec: bodies survive the wire, every split gives the same events, garbage is named and
bounded.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from noise import joined

from gdbstub.packet import (
    SHORTEST_WITH_REPEATS,
    Ack,
    Damaged,
    Decoder,
    Event,
    Interrupt,
    Nak,
    Noise,
    Notification,
    Packet,
    checksum,
    frame,
    frame_reply,
)

SMALL = 64

wire = st.binary(max_size=200) | st.text(alphabet="$#%*}+-\x03ab01", max_size=60).map(str.encode)


@given(st.binary(max_size=300))
def test_a_body_survives(body: bytes) -> None:
    assert Decoder().feed(frame(body)) == [Packet(body)]


@given(st.binary(max_size=300))
def test_a_framed_body_holds_nothing_special(body: bytes) -> None:
    inner = frame(body)[1:-3]
    assert not set(inner) & set(b"$#*")


@given(st.lists(wire | st.binary(max_size=40).map(frame), max_size=8), st.integers(8, 80), st.data())
def test_any_split_gives_the_same_events(pieces: list[bytes], limit: int, data: st.DataObject) -> None:
    whole = b"".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=10)))
    decoder = Decoder(limit)
    events: list[Event] = []
    for start, stop in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        events += decoder.feed(whole[start:stop])
    assert joined(events) == joined(Decoder(limit).feed(whole))


@given(st.lists(wire, max_size=30))
def test_garbage_is_bounded_and_a_packet_after_it_arrives(pieces: list[bytes]) -> None:
    decoder = Decoder(SMALL)
    for piece in pieces:
        decoder.feed(piece)
    # A packet may have begun in the garbage; the `$` of the good one ends it, whatever it was.
    assert decoder.feed(frame(b"good"))[-1] == Packet(b"good")


def test_an_endless_packet_is_thrown_away() -> None:
    decoder = Decoder(SMALL)
    events = [event for _ in range(3) for event in decoder.feed(b"$" + b"x" * SMALL)]
    assert any(isinstance(event, Damaged) for event in events)


@pytest.mark.parametrize(
    ("raw", "events"),
    [
        (b"+$S05#b8", [Ack(), Packet(b"S05")]),
        (b"-\x03", [Nak(), Interrupt()]),
        (b"$OK#9b", [Damaged(b"$OK#9b", "checksum is 9a")]),
        (b"$OK#zz", [Damaged(b"$OK#zz", "checksum is 9a")]),
        (b"$OK# 9", [Damaged(b"$OK# 9", "checksum is 9a")]),
        (b"$0* #7a", [Packet(b"0000")]),  # the manual's example of a repeat
        (b"$}*&#ce", [Damaged(b"$}*&#ce", "checksum is cd")]),
        (b"$*x#a2", [Damaged(b"$*x#a2", "a repeat or an escape of nothing")]),
        (b"$}#7d", [Damaged(b"$}#7d", "a repeat or an escape of nothing")]),
        (b"$}]#da", [Packet(b"}")]),
        (b"$m12$OK#9a", [Damaged(b"$m12", "cut short by a new packet"), Packet(b"OK")]),
        (b"login: $?#3f", [Noise(b"login: "), Packet(b"?")]),
        (b"%Stop:T05#99", [Notification(b"Stop:T05")]),
        (b"$#00", [Packet(b"")]),
        (b"$S0b#E5", [Packet(b"S0b")]),  # either case of checksum digits
    ],
)
def test_literal_cases(raw: bytes, events: list[Event]) -> None:
    assert Decoder().feed(raw) == events


def test_repeats_are_undone_before_escapes() -> None:
    # `}` then a repeated 'C': gdb expands the C first, and only its first copy is the escaped byte.
    body = b"}C* "
    raw = b"$%b#%02x" % (body, sum(body) & 0xFF)
    assert Decoder().feed(raw) == [Packet(b"cCCC")]


@given(st.integers(0, 30), st.lists(st.integers(0, 400), max_size=6))
def test_a_reply_survives_with_its_repeats(head: int, runs: list[int]) -> None:
    body = b"7" * head + b"".join(b"0" * run + b"a" for run in runs) + b"5" * SHORTEST_WITH_REPEATS
    framed = frame_reply(body)
    assert Decoder().feed(framed) == [Packet(body)]
    assert (len(framed) < len(body)) == any(run >= 98 for run in runs)


def test_a_short_reply_and_one_that_needs_escapes_have_no_repeats() -> None:
    for body in (b"0" * 1000, b"b*" + b"0" * SHORTEST_WITH_REPEATS):
        assert frame_reply(body) == frame(body)
        assert Decoder().feed(frame_reply(body)) == [Packet(body)]


@given(st.binary(max_size=2000))
def test_the_checksum_is_the_sum(body: bytes) -> None:
    assert checksum(body) == sum(body) & 0xFF
