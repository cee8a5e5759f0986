"""The wire's bytes: vectors from the original programs, and properties of the decoder."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from thinwire.frames import (
    CHANNELS,
    MAX_PAYLOAD,
    Decoder,
    Dump,
    Event,
    Exit,
    Read,
    Request,
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

VECTORS: list[tuple[Request, bytes]] = [
    (Read(1, 2046), b"A ?^!"),
    (Read(1, 1), b"A  !!"),
    (Write(1, b"+", True), b"0  !!+"),
    (Write(1, b"$S05#b8", True), b"0  '!$S05#b8"),
    (Write(0, b"seventeen letters", True), b"0  1 seventeen letters"),
    (Write(0, b"oops", False), b"#  $ oops"),
    (Select(0), b"!    "),
    (Select(8), b"!   ("),
    (Select(0, nibbles=True), b"?    "),
    (Read(94, MAX_PAYLOAD), b"A$  ~"),
    (SetSpeed(b"115200"), b"S  & 115200"),
    (Exit(), b"$    "),
    (Write(1, bytes(MAX_PAYLOAD), True), b"0$  !" + bytes(MAX_PAYLOAD)),
]

REPLIES = [
    (write_ack(1, 3), b"A  #!"),
    (write_ack(1, 7), b"A  '!"),
    (write_ack(1, 1116), b"A 1<!"),
    (write_ack(0, 17), b"A  1 "),
    (read_reply(1, b"hel"), b"1  #!hel"),
    (read_reply(1, b"+"), b"1  !!+"),
    (read_reply(10, b""), b":   *"),
    (read_reply(94, b"x")[:1], b"\x8e"),
    (select_reply(0, 0x15), b"!  $ \0\0\0\x15"),
    (select_reply(8, 0), b"!  $(\0\0\0\0"),
    (nibble_reply(0, 0x15, lossy=True), b"?  (        %"),
    (nibble_reply(0, 0x15), b"?  (       !%"),
    (nibble_reply(0, 0xF3), b"?  (       /#"),
]


@pytest.mark.parametrize(("request_", "data"), VECTORS)
def test_requests_have_the_original_bytes(request_: Request, data: bytes) -> None:
    assert encode(request_) == data
    assert Decoder().feed(data) == [request_]


@pytest.mark.parametrize(("reply", "data"), REPLIES)
def test_replies_have_the_original_bytes(reply: bytes, data: bytes) -> None:
    assert reply == data


channels = st.integers(0, CHANNELS - 1)
live_requests = st.one_of(
    st.builds(Write, channels, st.binary(max_size=80), st.booleans()),
    st.builds(Read, channels, st.integers(0, MAX_PAYLOAD)),
    st.builds(Select, channels, st.booleans()),
    st.builds(SetSpeed, st.integers(0, 10**8 - 1).map(lambda speed: b"%d" % speed)),
)
noise = st.binary(max_size=12) | st.text(alphabet="0#A!?S$/ \n\0abc", max_size=12).map(str.encode)


def merged(events: list[Event]) -> list[Event]:
    """Neighbouring unanswered writes and stray bytes as one, since a split may keep them apart."""
    result: list[Event] = []
    for event in events:
        match (result[-1] if result else None), event:
            case Stray(first), Stray(second):
                result[-1] = Stray(first + second)
            case Write(number, first, False), Write(other, second, False) if number == other:
                result[-1] = Write(number, first + second, False)
            case _:
                result.append(event)
    return result


def feed_in_pieces(decoder: Decoder, data: bytes, cuts: list[int]) -> list[Event]:
    events: list[Event] = []
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, stop in zip(places, places[1:], strict=False):
        events += decoder.feed(data[start:stop])
    return events


@given(st.lists(live_requests, max_size=12), st.lists(st.integers(0, 10**6)))
def test_every_split_gives_the_same_requests(requests: list[Request], cuts: list[int]) -> None:
    data = b"".join(map(encode, requests))
    assert feed_in_pieces(Decoder(merge=False), data, cuts) == requests
    assert merged(feed_in_pieces(Decoder(), data, cuts)) == merged(list(requests))


@given(st.lists(noise | live_requests.map(encode)).map(b"".join), st.lists(st.integers(0, 10**6)))
@example(b"#$ !!", [1])
@example(b"A0#A", [])
@example(b'S  #!9x0  "a!    ', [6])
def test_garbage_splits_alike_and_loses_nothing(data: bytes, cuts: list[int]) -> None:
    whole, pieces = Decoder(), Decoder()
    expected = whole.feed(data)
    assert merged(feed_in_pieces(pieces, data, cuts)) == merged(expected)
    assert whole.tail == pieces.tail
    again = b"".join(e.data if isinstance(e, Stray) else encode(e) for e in Decoder(merge=False).feed(data))
    dump_channel = sum(isinstance(e, Dump) for e in expected)  # the one byte that is not kept
    assert len(again) + len(whole.tail) == len(data) and (dump_channel or data.startswith(again))


@pytest.mark.parametrize(
    "data",
    [
        b"\0",
        b"x",
        b"panic: oops\n",
        b"$g#67",
        b"/dev/console",
        b"0$  " + b"\x7f",  # channel 95
        b"0$ ! ",  # 16385 bytes
        b"A$!  ",
        b"0\x1f   ",  # a digit below the smallest
        b"!  ! ",  # a select that claims a payload
        b"$g   ",
        b"S    ",
        b"S  # 9xy",
        b"0  \x7f ",  # a digit above the largest
    ],
)
def test_what_is_no_frame_is_stray_and_the_next_frame_is_found(data: bytes) -> None:
    events = merged(Decoder().feed(data + b"!    "))
    assert events == [Stray(data), Select(0)]


def test_the_rejected_header_does_not_hide_an_end() -> None:
    """The originals took the '$' inside this rejected header for the exit command."""
    assert merged(Decoder().feed(b"#$ !!" + encode(Read(0, 1)))) == [Stray(b"#$ !!"), Read(0, 1)]


def test_behind_the_end_everything_is_text() -> None:
    decoder = Decoder()
    assert decoder.feed(b"$    A  !!") == [Exit(), Stray(b"A  !!")]
    assert decoder.feed(b"!    ") == [Stray(b"!    ")]
    decoder.abandon()
    assert decoder.feed(b"!    ") == [Select(0)]


def test_a_machine_check_dump_may_have_a_line_feed_for_a_channel() -> None:
    assert Decoder().feed(b"/   \n0123 4567") == [Dump(), Stray(b"0123 4567")]


def test_runs_of_equal_frames_are_one_write() -> None:
    assert Decoder().feed(b"#  $!abcd" * 3 + b'#  $"abcd') == [
        Write(1, b"abcdabcdabcd", False),
        Write(2, b"abcd", False),
    ]


def test_a_new_frame_after_silence_replaces_the_unfinished_one() -> None:
    decoder = Decoder()
    assert decoder.feed(b"0  *!half") == []
    decoder.lapse()
    assert decoder.feed(b"!    ") == [Stray(b"0  *!half"), Select(0)]


def test_a_payload_that_goes_on_after_silence_is_kept() -> None:
    decoder = Decoder()
    assert decoder.feed(b"0  *!half") == []
    decoder.lapse()
    assert decoder.feed(b" done") == []
    assert decoder.feed(b".") == [Write(1, b"half done.", True)]


def test_after_silence_a_payload_may_end_like_a_header_begins() -> None:
    decoder = Decoder()
    decoder.feed(b"0  '!half")
    decoder.lapse()
    assert decoder.feed(b"A  ") == [Write(1, b"halfA  ", True)]


@given(st.lists(noise | live_requests.map(encode)), st.lists(st.booleans()))
def test_lapses_never_break_the_decoder(pieces: list[bytes], lapses: list[bool]) -> None:
    decoder = Decoder(merge=False)
    total = 0
    for place, piece in enumerate(pieces):
        for event in decoder.feed(piece):
            total += len(event.data) if isinstance(event, Stray) else len(encode(event))
        if place < len(lapses) and lapses[place]:
            decoder.lapse()
    assert total + len(decoder.tail) == sum(map(len, pieces))
