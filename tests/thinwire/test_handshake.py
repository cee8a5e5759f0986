"""The sentinel is found wherever it stands, however the line is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinwire.handshake import ANNOUNCEMENT, SENTINEL, Handshake, find_restart


@pytest.mark.parametrize(
    ("before", "sentinel"),
    [
        (b"", SENTINEL),
        (b"", b"***thinwire***"),
        (b"", b"\0**thinwire***"),
        (b"", b"***thinwire**\0"),
        (b"*", b"***thinwire***"),
        (b"\0", SENTINEL),
        (b"*", SENTINEL),
        (b"\0**thin", SENTINEL),
        (b"\0**thinwireX", SENTINEL),
        (b"Enable thinwire\n\r", SENTINEL),
    ],
)
def test_every_form_is_found_behind_anything(before: bytes, sentinel: bytes) -> None:
    found = Handshake().feed(before + sentinel + b"!    ")
    assert (found.text, found.rest) == (before, b"!    ")


text = st.lists(st.sampled_from([b"*", b"\0", b"**thin", b"**thinwire", b"wire**", b"boot\r\n"])).map(
    b"".join
)


@given(text, st.lists(st.integers(0, 10**6)), st.lists(st.booleans()))
def test_text_and_rest_do_not_depend_on_the_split(data: bytes, cuts: list[int], idle: list[bool]) -> None:
    data += b"." + SENTINEL + b"rest"
    whole = Handshake().feed(data)
    handshake, shown = Handshake(), b""
    places = sorted({0, len(data), *(cut % len(data) for cut in cuts)})
    for place, (start, stop) in enumerate(zip(places, places[1:], strict=False)):
        found = handshake.feed(data[start:stop])
        shown += found.text
        if found.rest is not None:
            assert found.rest + data[stop:] == whole.rest
            break
        if place < len(idle) and idle[place]:
            shown += handshake.flush()
    else:
        pytest.fail("the sentinel was not found")
    # Idle moments may show the beginning of what became a sentinel, nothing else differs.
    assert shown.startswith(whole.text)
    assert data.startswith(shown) and (any(idle) or shown == whole.text)


@given(text)
def test_flush_shows_every_byte_of_text(data: bytes) -> None:
    handshake = Handshake()
    found = handshake.feed(data)
    if found.rest is None:
        assert found.text + handshake.flush() == data
        assert not handshake.holds_text


def test_a_restart_is_the_whole_announcement() -> None:
    whole = ANNOUNCEMENT + SENTINEL
    assert find_restart(b"abc" + whole + b"d") == (3, 3 + len(whole))
    assert find_restart(b"Enable thinwire without it") is None
    assert find_restart(SENTINEL) is None
