"""The packet log: what is logged can be read back."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdbstub.packet import frame
from gdbstub.transcript import FROM_STUB, TO_STUB, Transcript, escape, explain, parse_line, split, unescape


@given(st.binary(max_size=50))
def test_escapes_are_undone(raw: bytes) -> None:
    assert unescape(escape(raw)) == raw
    assert escape(raw).isascii() and escape(raw).isprintable()
    assert parse_line(f"-> {escape(raw)}") == ("", TO_STUB, raw)
    assert parse_line(f"127.0.0.1:1 -> {escape(raw)}\n") == ("127.0.0.1:1", TO_STUB, raw)
    assert parse_line(f"-> {escape(raw)}") == ("", TO_STUB, raw)
    assert parse_line(f"12:00:00.123 gdb -> {escape(raw)}\t; {explain(raw)}\n") == ("gdb", TO_STUB, raw)


@given(
    st.lists(
        st.binary(max_size=20).map(frame) | st.sampled_from([b"+", b"-", b"\x03", b"login: "]), max_size=8
    )
)
def test_a_line_for_each_packet_and_nothing_lost(pieces: list[bytes]) -> None:
    tokens, rest = split(b"".join(pieces))
    assert b"".join(tokens) + rest == b"".join(pieces)
    assert rest == b""
    assert all(frame_ in tokens for frame_ in pieces if frame_[:1] == b"$")


def test_a_packet_in_pieces_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    transcript = Transcript("gdb")
    with caplog.at_level(logging.DEBUG, "gdbstub.packet"):
        for piece in (b"+$m10", b"0,4#", b"5a", b"\x03"):
            transcript.note(TO_STUB, piece)
        transcript.note(FROM_STUB, b"$\\\xff#5b")
    assert caplog.messages == [
        "gdb -> +",
        "gdb -> $m100,4#5a\t; ReadMemory addr=100 length=4",
        "gdb -> \\x03",
        "gdb <- $\\\\\\xff#5b",
    ]


@pytest.mark.parametrize("line", ["", "# a comment", "gdb said something"])
def test_other_lines_are_comments(line: str) -> None:
    assert parse_line(line) is None
