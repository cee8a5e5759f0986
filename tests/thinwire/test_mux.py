"""The multiplexer's answers and queues, without a wire."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mux_bench import FRAMED, framed, output

from thinwire.frames import Read, Request, Select, SetSpeed, Write, encode
from thinwire.handshake import SENTINEL
from thinwire.mux import ChangeSpeed, Mux, Protocol, Rules

FOREVER = float("inf")


def test_typing_before_the_handshake_goes_to_the_firmware_with_line_feeds_doubled() -> None:
    mux = Mux([0, 1])
    assert mux.typed(0, b"early\n") == b""
    assert mux.line_opened() == b"early\n\r"
    assert mux.typed(0, b"ab\ncd\r") == b"ab\n\rcd\r"
    assert mux.typed(1, b"waits") == b""
    mux.receive(SENTINEL)
    assert mux.typed(0, b"ab\n") == b""
    assert mux.receive(encode(Read(0, 10)) + encode(Read(1, 10))) == b"0  # ab\n" + b"1  %!waits"


def test_without_firmware_what_is_typed_waits_for_the_kernel() -> None:
    mux = Mux([0], Rules(has_firmware=False))
    assert mux.typed(0, b"early") == b""
    assert mux.line_opened() == b""
    assert mux.typed(0, b" keys") == b""
    assert mux.receive(SENTINEL + encode(Read(0, 20))) == b"0  * early keys"


def test_without_a_console_text_is_counted_away() -> None:
    mux = Mux([8])
    mux.line_opened()
    assert mux.receive(b"firmware" + SENTINEL + b"stray" + encode(Select(8))) == b"!  $(\0\0\0\0"
    assert mux.discarded == len(b"firmwarestray")


def test_select_and_read_give_what_was_typed() -> None:
    mux = framed(0, 2, 9)
    mux.typed(2, b"abcdef")
    mux.typed(9, b"x")
    assert mux.receive(encode(Select(0))) == b"!  $ \0\0\0\x04"
    assert mux.receive(encode(Select(8, nibbles=True))) == b'?  ((       "'
    assert mux.receive(encode(Read(2, 4))) == b'2  $"abcd'
    assert mux.receive(encode(Read(2, 4))) == b'2  ""ef'
    assert mux.receive(encode(Select(0)) + encode(Select(88))) == b"!  $ \0\0\0\0" + b"!  $x\0\0\0\0"


def test_acknowledged_bytes_are_offered_to_the_client_at_once_and_the_rest_queued() -> None:
    offered = []

    def deliver(data: bytes | memoryview) -> int:
        offered.append(bytes(data))
        return min(len(data), 3)

    mux = framed(0, 1)
    mux.attach(1)
    mux.channels[1].deliver = deliver
    assert mux.receive(encode(Write(1, b"abc", True))) == b"A  #!"
    assert mux.receive(encode(Write(1, b"defgh", True))) == b"A  %!"
    assert mux.receive(encode(Write(1, b"ij", True))) == b'A  "!'
    assert offered == [b"abc", b"defgh"]
    assert output(mux, 1) == b"ghij"
    assert mux.channels[1].sent == 6
    mux.detach(1)
    mux.taken(1, 4)
    assert mux.receive(encode(Write(1, b"kl", True))) == b'A  "!'
    assert output(mux, 1) == b"kl"


def test_only_the_read_without_data_is_held() -> None:
    mux = framed(0, 1, 2)
    assert mux.receive(encode(Read(1, 100)) + encode(Select(0)) + encode(Write(2, b"x", True))) == (
        b"!  $ \0\0\0\0" + b'A  !"'
    )
    assert mux.typed(1, b"$g#67") == b"1  %!$g#67"


def test_channels_that_cannot_answer_do_so_at_once() -> None:
    mux = framed(0, 1)
    mux.channels[1].readable = False
    assert mux.receive(encode(Read(1, 5))) == b"1   !"
    assert mux.receive(encode(Read(0, 0))) == b"0    "
    assert mux.receive(encode(Read(7, 5)) + encode(Write(7, b"abc", True))) == b"7   'A  #'"
    assert mux.discarded == 3


def test_reads_beyond_the_limit_are_answered_empty() -> None:
    mux = framed(1)
    assert mux.receive(encode(Read(1, 1)) * 20) == b"1   !" * 4
    assert mux.typed(1, b"x" * 30) == b"1  !!x" * 16


def test_empty_reads_are_answered_after_silence_if_asked() -> None:
    mux = framed(1, rules=replace(FRAMED, empty_reads=0.01))
    mux.receive(encode(Read(1, 1)))
    assert mux.next_silence() == 0.01
    assert mux.silence(0.01) == b"1   !"
    assert mux.next_silence() is None
    assert mux.typed(1, b"x") == b""


@pytest.mark.parametrize("rules", [FRAMED, Rules(protocol=Protocol.V1)])
def test_stray_bytes_are_console_text(rules: Rules) -> None:
    mux = framed(0, 1, rules=rules)
    assert mux.receive(b"\0printf in the kernel\n" + encode(Write(1, b"x", True))) == b"A  !!"
    assert output(mux, 0) == b"\0printf in the kernel\n"
    mux.receive(b"\0")
    limit = mux.next_silence()
    assert limit is not None and limit < 1
    mux.silence(limit)
    assert output(mux, 0).endswith(b"\n\0")


def test_a_speed_request_is_an_action_with_its_echo() -> None:
    mux = framed(0)
    assert mux.receive(encode(SetSpeed(b"115200"))) == b""
    assert mux.actions == [ChangeSpeed(115200, b"S  & 115200")]


def test_version_two_changes_the_speed_after_each_sentinel() -> None:
    mux = Mux([0], Rules(protocol=Protocol.V2))
    mux.line_opened()
    mux.receive(SENTINEL)
    assert mux.actions == [ChangeSpeed(None)]


def small(patience: float) -> Rules:
    return replace(FRAMED, output_limit=100, history=10, patience=patience)


def test_without_a_client_writes_are_acknowledged_and_the_oldest_bytes_dropped() -> None:
    mux = framed(0, 1, rules=small(0.2))
    for letter in b"abcd":
        assert mux.receive(encode(Write(1, bytes([letter]) * 40, True))) == b"A  H!"
        if letter == ord("c"):  # one may be at the door
            assert mux.congested and mux.patience == 0.02
            mux.give_up()
    assert not mux.congested
    assert output(mux, 1) == b"b" * 20 + b"c" * 40 + b"d" * 40
    assert mux.channels[1].dropped == 60


def test_a_full_client_holds_up_its_writer_only_and_not_for_ever() -> None:
    mux = framed(0, 1, rules=small(0.2))
    mux.attach(1)
    frame = encode(Write(1, b"x" * 80, True))
    assert mux.receive(frame) == b"A !0!"
    assert mux.receive(frame) == b""
    assert mux.receive(encode(Select(0))) == b"!  $ \0\0\0\0"
    assert mux.taken(1, 59) == b""
    assert mux.taken(1, 1) == b"A !0!"
    assert mux.receive(frame) == b""
    assert mux.next_silence() == 0.2
    assert mux.silence(0.2) == b"A !0!"
    assert mux.channels[1].dropped == 80
    assert mux.receive(frame) == b"A !0!"  # has been given up until it has caught up
    assert mux.taken(1, 60) == b""
    assert mux.receive(frame) == b"A !0!"
    assert mux.taken(1, mux.channels[1].outgoing.size) == b""
    assert mux.receive(frame) == b"A !0!"
    assert mux.receive(frame) == b""


def test_unanswered_writes_congest_the_line_instead() -> None:
    mux = framed(0, 1, rules=small(0.2))
    mux.attach(1)
    mux.receive(encode(Write(1, b"x" * 101, False)))
    assert mux.congested
    mux.taken(1, 1)
    assert not mux.congested
    mux.receive(encode(Write(1, b"x" * 101, False)))
    mux.give_up()
    assert not mux.congested
    assert mux.channels[1].outgoing.size == 100


def test_a_flood_without_a_client_is_held_up_once_for_one_at_the_door() -> None:
    mux = framed(0, 1, rules=small(0.2))
    flood = encode(Write(1, b"x" * 101, False))
    mux.receive(flood)
    assert mux.congested and mux.patience == 0.02
    mux.give_up()
    mux.receive(flood)
    assert not mux.congested
    mux.attach(1)
    mux.receive(flood)
    assert mux.congested and mux.patience == 0.2
    mux.detach(1)
    assert not mux.congested


def test_a_client_that_leaves_frees_the_line_and_its_successor_gets_the_rest() -> None:
    mux = framed(0, 1, rules=small(5.0))
    mux.attach(1)
    mux.receive(encode(Write(1, b"a" * 60, True)))
    assert mux.receive(encode(Write(1, b"b" * 60, True))) == b""
    assert mux.detach(1) == b"A  \\!"
    assert output(mux, 1) == b"a" * 40 + b"b" * 60
    assert mux.channels[1].dropped == 20


def test_blocking_for_ever_drops_nothing() -> None:
    mux = framed(0, 1, rules=small(FOREVER))
    mux.receive(encode(Write(1, b"x" * 100, True)))
    assert mux.receive(encode(Write(1, b"y" * 50, True))) == b""
    assert mux.next_silence() is None
    mux.attach(1)
    assert mux.detach(1) == b""
    assert mux.taken(1, 50) == b"A  R!"
    assert mux.channels[1].dropped == 0


def test_observers_and_late_writers_get_the_last_output() -> None:
    mux = framed(0, rules=small(0.2))
    mux.receive(encode(Write(0, b"0123456789abcde", True)))
    observer = mux.observe(0)
    assert b"".join(observer.backlog) == b"56789abcde"
    mux.receive(encode(Write(0, b"fg", True)))
    assert b"".join(observer.backlog) == b"56789abcdefg"
    mux.taken(0, 17)
    mux.replay(0)
    assert output(mux, 0).endswith(b"789abcdefg")
    mux.receive(encode(Write(0, b"z" * 300, False)))
    assert observer.dropped + observer.backlog.size == 312


def test_frames_that_are_served_as_one_are_counted_each() -> None:
    mux = Mux([0, 1], FRAMED)
    for size in (1, 600):
        before = mux.frames
        mux.receive(encode(Write(1, b"x" * size, False)) * 3)
        assert mux.frames == before + 3


requests = st.one_of(
    st.builds(Write, st.integers(0, 4), st.binary(max_size=40), st.booleans()),
    st.builds(Read, st.integers(0, 4), st.integers(0, 40)),
    st.builds(Select, st.sampled_from([0, 8]), st.booleans()),
)


@given(st.lists(requests, max_size=20), st.lists(st.integers(0, 10**6)))
def test_replies_do_not_depend_on_how_the_line_is_cut(asked: list[Request], cuts: list[int]) -> None:
    data = SENTINEL + b"".join(map(encode, asked))
    replies, outputs = [], []
    for places in ([0, len(data)], sorted({0, len(data), *(cut % len(data) for cut in cuts)})):
        mux = Mux([0, 1, 2])
        mux.line_opened()
        mux.typed(1, b"some input that will not last for ever")
        reply = [mux.receive(data[start:stop]) for start, stop in zip(places, places[1:], strict=False)]
        replies.append(b"".join(reply) + mux.typed(1, b"x" * 1000))
        outputs.append([output(mux, number) for number in (0, 1, 2)])
    assert replies[0] == replies[1]
    assert outputs[0] == outputs[1]


@given(st.lists(requests, max_size=20), st.lists(st.integers(0, 40), min_size=20, max_size=20))
def test_a_request_that_comes_alone_is_served_like_one_among_others(
    asked: list[Request], room: list[int]
) -> None:
    """It goes a shorter way, unless somebody records the line. The client takes so many bytes of each
    acknowledged write.
    """
    served: list[tuple[object, ...]] = []
    for is_recorded in (False, True):
        mux = Mux([0, 1, 2], Rules(assume_framed=True, output_limit=60))
        if is_recorded:
            mux.record(lambda _passage: None)
        mux.typed(1, b"some input that will not last for ever")
        observer = mux.observe(2)
        taken, left = bytearray(), list(room)

        def deliver(data: bytes | memoryview, taken: bytearray = taken, left: list[int] = left) -> int:
            count = min(len(data), left.pop(0))
            taken += data[:count]
            return count

        mux.attach(1)
        mux.channels[1].deliver = deliver
        replies = [mux.receive(encode(request)) for request in asked]
        counts = [(c.sent, c.dropped, c.history.tail(1000), c.held_reads) for c in mux.channels.values()]
        outputs = [output(mux, number) for number in (0, 1, 2)]
        seen = observer.backlog.take(1000)
        asides = mux.frames, mux.discarded, mux.reading, mux.changed, mux.congested
        served.append((replies, bytes(taken), counts, outputs, seen, asides))
    assert served[0] == served[1]


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("line"), requests.map(encode) | st.binary(max_size=20)),
            st.tuples(st.just("take"), st.integers(0, 200)),
            st.tuples(st.sampled_from(["attach", "detach", "silence", "give up", "close"]), st.none()),
        )
    ),
    st.sampled_from([0.0, 0.2, FOREVER]),
)
def test_every_byte_is_delivered_queued_or_counted(
    steps: list[tuple[str, bytes | int | None]], patience: float
) -> None:
    mux = framed(0, 1, 2, rules=small(patience))
    observer = mux.observe(1)
    for what, value in steps:
        match what, value:
            case "line", bytes(data):
                if not mux.congested:
                    mux.receive(data)
            case "take", int(count):
                mux.taken(1, min(count, mux.channels[1].outgoing.size))
            case "attach", _:
                mux.attach(1)
            case "detach", _:
                mux.detach(1)
            case "silence", _:
                mux.silence(mux.next_silence() or 0)
            case "give up", _:
                mux.give_up()
            case _:
                mux.line_closed()
                mux.line_opened()
    channel = mux.channels[1]
    assert channel.sent + channel.outgoing.size + channel.dropped == observer.backlog.size + observer.dropped
    assert channel.outgoing.size <= 2 * 100 + 40


def test_a_read_on_a_channel_whose_client_left_is_answered_empty_once() -> None:
    mux = framed(1)
    mux.attach(1)
    mux.detach(1)
    assert mux.receive(encode(Read(1, 10))) == b""
    assert mux.next_silence() == 0.5
    assert mux.silence(0.5) == b"1   !"
    assert mux.receive(encode(Read(1, 10))) == b""
    assert mux.next_silence() is None
    assert mux.typed(1, b"x") == b"1  !!x"
    mux.attach(1)
    mux.detach(1)
    mux.receive(encode(Read(1, 10)))
    mux.attach(1)
    assert mux.next_silence() is None
    assert mux.typed(1, b"x") == b"1  !!x"


def test_a_read_that_waits_when_the_client_leaves_is_answered_empty_unless_a_successor_comes() -> None:
    mux = framed(1)
    mux.attach(1)
    assert mux.receive(encode(Read(1, 10))) == b""
    mux.detach(1)
    mux.attach(1)
    assert mux.tell_absence() == b""
    mux.detach(1)
    assert mux.tell_absence() == b"1   !"
    assert mux.tell_absence() == b""
