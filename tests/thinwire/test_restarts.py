"""How a target begins, ends and begins anew, as the multiplexer sees it on the line."""

import pytest
from mux_bench import framed, output

from thinwire.frames import Read, Select, Write, encode, write_ack
from thinwire.handshake import ANNOUNCEMENT, SENTINEL
from thinwire.mux import Ended, Garbled, Mux, Phase, Restarted


def test_text_is_the_consoles_until_the_sentinel() -> None:
    mux = Mux([0, 1])
    mux.line_opened()
    assert mux.receive(b"boot A  !!\r\n" + ANNOUNCEMENT + SENTINEL + b"0  #!hel") == b"A  #!"
    assert output(mux, 0) == b"boot A  !!\r\n" + ANNOUNCEMENT
    assert output(mux, 1) == b"hel"


def test_after_the_end_the_line_is_text_until_the_target_comes_back() -> None:
    mux = framed(0, 1)
    mux.receive(encode(Read(1, 1)))
    assert (
        mux.receive(b"$    " + b"halted A  !!" + ANNOUNCEMENT + SENTINEL + encode(Select(0)))
        == b"!  $ \0\0\0\0"
    )
    assert mux.actions == [Ended()]
    assert output(mux, 0) == b"halted A  !!" + ANNOUNCEMENT
    assert mux.typed(1, b"not asked for") == b""


def test_a_dump_is_text_and_a_restart_ends_it() -> None:
    mux = framed(0)
    assert mux.receive(b"/   \n0123 A  !! 89ab") == b""
    assert mux.phase is Phase.ENDED
    assert mux.receive(SENTINEL + encode(Select(0))) == b"!  $ \0\0\0\0"
    assert output(mux, 0) == b"0123 A  !! 89ab"


@pytest.mark.parametrize("unfinished", [b"", b"0  \x5f!half", b"A  ", b"#$  !" + bytes(5000)])
def test_the_announcement_restarts_even_inside_a_payload(unfinished: bytes) -> None:
    mux = framed(0, 1)
    mux.receive(encode(Read(1, 9)))
    whole = ANNOUNCEMENT + SENTINEL
    for cut in range(len(whole)):
        mux.receive(encode(Read(1, 9)) + unfinished + whole[:cut])
        assert mux.receive(whole[cut:] + encode(Select(0))) == b"!  $ \0\0\0\0"
        assert mux.restarts == cut + 1
    assert mux.typed(1, b"x") == b""
    assert set(mux.actions) == {Restarted()}


def test_a_bare_sentinel_between_frames_restarts() -> None:
    mux = framed(0, 1)
    mux.receive(encode(Read(1, 9)))
    assert mux.receive(b"***thinwire***" + encode(Select(0))) == b"!  $ \0\0\0\0"
    assert mux.typed(1, b"for the new kernel") == b""
    assert mux.restarts == 1


def test_a_bare_sentinel_swallowed_by_a_payload_restarts_after_silence() -> None:
    mux = framed(0, 1)
    assert mux.receive(encode(Write(1, b"x" * 100, True))[:50] + SENTINEL + encode(Select(0))) == b""
    assert mux.silence(mux.next_silence() or 0) == b"!  $ \0\0\0\0"
    assert mux.restarts == 1


WHOLE = ANNOUNCEMENT + SENTINEL


@pytest.mark.parametrize("acked", [True, False])
@pytest.mark.parametrize("swallowed", [0, 3, 5, 14])
def test_an_announcement_that_completes_a_payload_restarts(acked: bool, swallowed: int) -> None:
    """The reset cut a payload off, and the next kernel's first bytes were just as many as it lacked."""
    mux = framed(0, 1)
    said = WHOLE + encode(Select(0)) * 3
    header = encode(Write(1, b"x" * (10 + len(WHOLE) + swallowed), acked))[:5]
    assert mux.receive(header + b"x" * 10) == b""
    assert mux.receive(said) == b"!  $ \0\0\0\0" * 3
    assert (mux.restarts, mux.discarded) == (1, 15)
    assert output(mux, 0) == ANNOUNCEMENT
    assert output(mux, 1) == b""


@pytest.mark.parametrize("inside", range(1, len(SENTINEL)))
@pytest.mark.parametrize("later", range(len(SENTINEL)))
def test_a_sentinel_that_the_end_of_a_payload_cuts_in_two_restarts(inside: int, later: int) -> None:
    mux = framed(0, 1)
    frame = encode(Write(1, b"x" * 10 + SENTINEL[:inside], True))
    mux.receive(frame[:9])
    rest = frame[9:] + SENTINEL[inside:] + b"!    "
    cut = len(rest) - later
    heard = mux.receive(rest[:cut]) + mux.receive(rest[cut:])
    # An acknowledgement that was sent before the sentinel was whole cannot be taken back.
    assert heard in (b"!  $ \0\0\0\0", write_ack(1, 10 + inside) + b"!  $ \0\0\0\0")
    assert mux.restarts == 1
    assert output(mux, 0) == b""


def test_a_payload_that_ends_like_a_sentinel_begins_is_a_payload() -> None:
    mux = framed(0, 1)
    frame = encode(Write(1, b"*** stars **", True))
    mux.receive(frame[:9])
    assert mux.receive(frame[9:]) == b"A  ,!"
    assert mux.receive(encode(Select(0))) == b"!  $ \0\0\0\0"
    mux.receive(b"thinwire**\0")
    assert mux.restarts == 0
    assert output(mux, 0) == b"thinwire**"


def test_a_bare_sentinel_in_a_payload_is_a_restart_only_after_silence() -> None:
    frame = encode(Write(1, b"x" * 10 + SENTINEL + b"x" * 10, True))
    mux = framed(0, 1)
    mux.receive(frame[:9])
    assert mux.receive(frame[9:]) == write_ack(1, 34)
    assert mux.restarts == 0
    mux.receive(frame[:9])
    mux.silence(mux.next_silence() or 0)
    assert mux.receive(frame[9:-10] + encode(Select(0)) * 2) == b"!  $ \0\0\0\0" * 2
    assert mux.restarts == 1


def test_a_halted_victim_may_finish_its_frame_at_any_time() -> None:
    mux = framed(0, 1)
    frame = encode(Write(1, b"payload", True))
    mux.receive(frame[:8])
    assert mux.silence(mux.next_silence() or 0) == b""
    assert mux.next_silence() is None
    assert mux.receive(frame[8:]) == b"A  '!"
    assert output(mux, 1) == b"payload"


def test_a_lost_line_forgets_transactions_and_waits_for_a_sentinel() -> None:
    mux = Mux([0, 1])
    mux.line_opened()
    mux.receive(SENTINEL + encode(Read(1, 9)) + b"0  *!half")
    mux.line_closed()
    assert mux.phase is Phase.TEXT
    assert mux.line_opened() == b""
    assert mux.typed(1, b"x") == b""
    assert mux.receive(b"text" + SENTINEL + encode(Read(1, 9))) == b"1  !!x"


def test_text_that_might_begin_a_sentinel_stays_before_the_frame_that_ends_it() -> None:
    mux = framed(0)
    assert mux.receive(b"\0" + encode(Write(0, b"]", True)) + b"*") == b"A  ! "
    assert output(mux, 0) == b"\0]"
    assert mux.receive(encode(Write(0, b".", False)) + b"*thinwire**\0") == b""
    assert output(mux, 0) == b"\0]*.*thinwire**"
    assert mux.restarts == 0


def test_any_number_of_sentinels_in_one_piece_is_served() -> None:
    mux = framed(0)
    assert mux.receive(SENTINEL * 5000 + encode(Select(0))) == b"!  $ \0\0\0\0"
    assert mux.restarts == 5000


def test_bytes_that_are_no_text_are_garbage_only_if_silence_follows_and_no_frame() -> None:
    """A target at the right speed goes on with a frame, at once or soon; one at a wrong speed pauses."""
    mux = framed(0)
    above, request = bytes(range(128, 256)), encode(Select(0))
    assert mux.receive(above + request) == b"!  $ \0\0\0\0"
    assert mux.receive(above) == b""
    assert mux.receive(request) == b"!  $ \0\0\0\0"
    assert mux.actions == [] and mux.next_silence() is None
    mux.receive(above)
    assert mux.actions == []
    mux.silence(mux.next_silence() or 0)
    assert mux.actions == [Garbled()] and mux.next_silence() is None
