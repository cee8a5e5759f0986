"""Packets among a console's text."""

from hypothesis import given
from hypothesis import strategies as st
from noise import joined

from gdbstub.packet import Ack, Damaged, Event, Nak, Noise, Packet, frame
from gdbstub.shared_line import SharedLineDecoder

TEXT = st.binary(max_size=20).map(lambda raw: raw.translate(None, b"$+-\x03"))
BODY = st.text("0123456789abcdefOKEQCTml:;,", max_size=20).map(str.encode)


@given(st.lists(st.tuples(TEXT, BODY), max_size=6), st.data())
def test_packets_are_found_among_text_however_the_stream_is_cut(
    pairs: list[tuple[bytes, bytes]], data: st.DataObject
) -> None:
    stream = b"".join(text + frame(body) for text, body in pairs)
    decoder = SharedLineDecoder()
    events: list[Event] = []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        events += decoder.feed(stream[:size])
        stream = stream[size:]
    assert [event for event in events if isinstance(event, Packet)] == [Packet(body) for _, body in pairs]
    texts = b"".join(event.raw for event in events if isinstance(event, Noise))
    assert texts == b"".join(text for text, _ in pairs)


def test_text_with_a_dollar_is_shown_at_once() -> None:
    decoder = SharedLineDecoder()
    assert joined(decoder.feed(b"~ $ ")) == [Noise(b"~ $ ")]
    assert joined(decoder.feed(b"it costs $5 or $6, 50% off\r\n")) == [
        Noise(b"it costs $5 or $6, 50% off\r\n")
    ]
    # What still looks like a packet waits for its next byte.
    assert decoder.feed(b"$") == []
    assert joined(decoder.feed(b" ")) == [Noise(b"$ ")]
    assert decoder.feed(b"$PATH") == []
    assert joined(decoder.feed(b"$PATH\r\n")) == [Noise(b"$PATH$PATH\r\n")]


def test_what_only_looks_like_a_packet_is_damaged() -> None:
    assert [type(event) for event in SharedLineDecoder().feed(b"a $x#00+-")] == [Noise, Damaged, Ack, Nak]


def test_a_packet_without_an_end_is_text_in_the_end() -> None:
    decoder = SharedLineDecoder(limit=100)
    raw = b"$" + bytes(b"a" * 300)
    events = [event for at in range(len(raw)) for event in decoder.feed(raw[at : at + 1])]
    assert joined(events) == [Noise(raw)]
    assert decoder.feed(frame(b"OK")) == [Packet(b"OK")]
    assert decoder.feed(frame(b"a" * 200)) == [Noise(frame(b"a" * 200))]
