"""A multiplexer without a wire."""

from thinwire.mux import Mux, Rules

FRAMED = Rules(assume_framed=True)


def framed(*numbers: int, rules: Rules = FRAMED) -> Mux:
    mux = Mux(numbers, rules)
    assert mux.line_opened() == b""
    return mux


def output(mux: Mux, number: int) -> bytes:
    return b"".join(mux.channels[number].outgoing)
