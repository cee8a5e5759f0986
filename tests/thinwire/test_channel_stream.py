"""A channel's stream for code in this process: the ways in and out that need no turn of the event loop."""

import pytest
import trio

from thinwire.channels import Port
from thinwire.clients import ChannelStream
from thinwire.frames import Read, Write, encode
from thinwire.lookout import Lookout
from thinwire.mux import Mux, Rules
from thinwire.rules import Protocol

CHANNEL = 1
RULES = Rules(protocol=Protocol.V1, input_limit=8)


class Bench:
    """A multiplexer that speaks frames, and a client of channel 1; `answers` is what its victim is sent."""

    def __init__(self) -> None:
        self.mux = Mux([CHANNEL], RULES)
        self.answers = b""
        self.port = Port(self.mux, CHANNEL, self.answer, Lookout())
        self.stream = ChannelStream(self.port, "here")
        self.answer(self.mux.line_opened())
        self.port.attach(self.stream)

    def answer(self, data: bytes) -> None:
        self.answers += data

    def victim_says(self, request: Read | Write) -> None:
        self.answer(self.mux.receive(encode(request)))
        if self.mux.changed:
            self.mux.changed.clear()
            self.port.output()


def test_output_is_told_at_once_and_may_be_left() -> None:
    bench = Bench()
    heard: list[bytes] = []
    bench.stream.listen(lambda: heard.append(bench.stream.receive_now(2)))
    bench.victim_says(Write(CHANNEL, b"abc", True))
    assert heard == [b"ab"]
    assert trio.run(bench.stream.receive_some) == b"c"
    bench.stream.listen(None)
    bench.victim_says(Write(CHANNEL, b"d", True))
    assert (heard, bench.stream.receive_now(), bench.stream.receive_now()) == ([b"ab"], b"d", b"")


def test_a_listener_may_answer_before_the_victim_hears_that_its_write_is_done() -> None:
    bench = Bench()

    def acknowledge() -> None:
        bench.stream.receive_now()
        bench.stream.send_now(b"+")

    bench.stream.listen(acknowledge)
    bench.victim_says(Write(CHANNEL, b"$OK#9a", True))
    bench.victim_says(Read(CHANNEL, 1))
    assert bench.answers.endswith(b"+")


def test_what_the_victim_does_not_read_fills_the_channel() -> None:
    bench = Bench()
    assert bench.stream.has_room
    assert bench.stream.send_now(b"more than 8 bytes") == 17
    assert not bench.stream.has_room
    assert bench.stream.send_now(b"x") == 0
    bench.victim_says(Read(CHANNEL, 2046))
    assert bench.stream.has_room
    assert bench.answers.endswith(b"more than 8 bytes")


def test_a_client_that_is_put_out_neither_types_nor_reads() -> None:
    bench = Bench()
    bench.port.attach(ChannelStream(bench.port, "somebody else"), take=True)
    bench.victim_says(Write(CHANNEL, b"abc", True))
    assert bench.stream.receive_now() == b""
    with pytest.raises(trio.BrokenResourceError):
        bench.stream.send_now(b"x")
