"""The client's dialogue with K42's stub, in the situations that made the original pair storm (K42 facts C.2,
C.9).
"""

from hypothesis import given
from hypothesis import strategies as st

from gdbstub.dialogue import MAX_DAMAGED, Dialogue, Event, Output, Refused, Reply, State, Stopped
from gdbstub.packet import frame
from gdbstub.quirks import AUTO, K42, KGDB, PLAIN, Quirks
from gdbstub.target import StopReason

S05 = frame(b"S05")


def dialogue(quirks: Quirks = K42) -> Dialogue:
    return Dialogue(quirks)


def events(d: Dialogue) -> list[Event]:
    found = list(d.events)
    d.events.clear()
    return found


def test_a_command_and_its_reply() -> None:
    d = dialogue()
    d.ask(b"m100,4")
    assert d.take_outgoing() == frame(b"m100,4")
    d.receive(b"+")
    assert (d.state, d.take_outgoing()) == (State.ACKED, b"")
    d.receive(frame(b"60000000"))
    assert events(d) == [Reply(b"60000000")]
    assert (d.state, d.take_outgoing()) == (State.QUIET, b"+")


def test_a_resume_has_no_reply_and_its_stop_comes_by_itself() -> None:
    d = dialogue()
    d.ask(b"c", wants_reply=False)
    d.receive(b"+")
    assert events(d) == [Reply(None)]
    d.take_outgoing()
    d.receive(S05)
    assert events(d) == [Stopped(StopReason())]
    assert d.take_outgoing() == b"+"


def test_the_first_stop_is_a_lone_nak() -> None:
    d = dialogue()
    d.receive(b"-")
    assert events(d) == [Stopped(None)]
    assert d.take_outgoing() == b""


def test_the_announcement_that_crosses_our_packet_makes_nobody_repeat() -> None:
    d = dialogue()
    d.ask(b"?")
    d.take_outgoing()
    d.receive(b"-")
    assert (d.state, d.take_outgoing()) == (State.SENT, b"")
    d.receive(b"+" + S05)
    assert events(d) == [Reply(b"S05")]
    assert d.take_outgoing() == b"+"


def test_a_stub_that_waits_for_an_old_acknowledgement_gets_one_and_our_packet_again() -> None:
    # It was left in the middle by a client that vanished: each byte of ours makes it repeat its last reply.
    d = dialogue()
    d.ask(b"?")
    sent = d.take_outgoing()
    old = frame(b"00112233")
    d.receive(old * len(sent))
    assert d.take_outgoing() == b"+" + sent
    assert events(d) == []
    assert d.repeats_seen == len(sent) - 1
    d.receive(b"+" + S05)
    assert events(d) == [Reply(b"S05")]
    assert d.take_outgoing() == b"+"


def test_a_probe_nobody_reads_is_answered_when_the_kernel_stops_unconnected() -> None:
    d = dialogue()
    d.ask(b"?")
    d.take_outgoing()
    assert d.time_out() is False
    # Asked again it is not sent again.
    d.ask(b"?")
    assert d.take_outgoing() == b""
    d.time_out()
    d.receive(b"-")
    d.receive(b"+" + S05)
    assert events(d) == [Stopped(StopReason())]
    assert d.take_outgoing() == b"+"
    assert d.state is State.QUIET


def test_a_probe_nobody_reads_is_eaten_by_a_connected_stop() -> None:
    d = dialogue()
    d.ask(b"?")
    sent = d.take_outgoing()
    d.time_out()
    d.receive(S05 * (1 + len(sent)))
    assert events(d) == [Stopped(StopReason())]
    assert d.take_outgoing() == b"+"
    # The next stop is news again.
    d.ask(b"c", wants_reply=False)
    d.receive(b"+" + S05)
    assert events(d) == [Reply(None), Stopped(StopReason())]


def test_a_refused_resume_is_told() -> None:
    d = dialogue(PLAIN)
    d.ask(b"s", wants_reply=False)
    d.receive(b"+" + frame(b""))
    assert events(d) == [Reply(None), Refused(b"")]


def test_console_text_is_passed_on_and_its_minus_means_nothing() -> None:
    d = dialogue(KGDB)
    d.ask(b"g")
    d.take_outgoing()
    d.receive(b"[ 1.0] foo-bar: 3\r\n")
    assert d.take_outgoing() == b""
    assert b"".join(e.text for e in events(d) if isinstance(e, Output)) == b"[ 1.0] foo-bar: 3\r\n"


def test_a_lost_packet_is_sent_again_where_lines_lose_packets_and_nowhere_else() -> None:
    d = dialogue(KGDB)
    d.ask(b"?")
    assert [d.time_out() for _ in range(KGDB.resends + 1)] == [True] * KGDB.resends + [False]
    assert d.take_outgoing() == frame(b"?") * (1 + KGDB.resends)
    d = dialogue(K42)
    d.ask(b"?")
    assert d.time_out() is False
    assert d.take_outgoing() == frame(b"?")


def test_damage_is_asked_for_again_a_few_times() -> None:
    d = dialogue()
    d.ask(b"g")
    d.take_outgoing()
    d.receive(b"+" + b"$00#99" * (MAX_DAMAGED + 3))
    assert d.take_outgoing() == b"-" * MAX_DAMAGED


def test_console_output_packets_do_not_answer() -> None:
    d = dialogue(PLAIN)
    d.ask(b"qRcmd,00")
    d.receive(b"+" + frame(b"O" + b"hello\n".hex().encode()) + frame(b"OK"))
    assert events(d) == [Output(b"hello\n"), Reply(b"OK")]


@given(
    st.lists(st.sampled_from([b"+", b"-", S05, frame(b"OK"), b"text", b"$m1", b"#00", b"\x03"]), max_size=20),
    st.data(),
)
def test_any_split_and_any_garbage(pieces: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    results = []
    for chunks in ([whole], [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]):
        d = dialogue()
        d.ask(b"?")
        for chunk in chunks:
            d.receive(chunk)
        results.append(([e for e in d.events if not isinstance(e, Output)], d.take_outgoing(), d.state))
    assert results[0] == results[1]
    # Whatever it said, no more than one answer of ours for each thing it said.
    assert len(results[0][1]) <= len(frame(b"?")) * 2 + len(whole)


def test_an_echo_of_our_packet_is_text() -> None:
    d = dialogue(KGDB)
    d.ask(b"g")
    sent = d.take_outgoing()
    d.receive(b"# " + sent)
    assert (d.state, d.take_outgoing()) == (State.SENT, b"")
    assert events(d) == [Output(b"# "), Output(sent)]
    # This one is a console's, and the next echo no answer.
    d.receive(b"+" + sent)
    assert events(d) == [Output(sent)]
    d.receive(b"+")
    d.receive(frame(b"0011"))
    assert events(d) == [Output(b"+"), Reply(b"0011")]


def test_an_echo_may_come_when_the_packet_is_long_answered() -> None:
    # The terminal took the first one for its user's, and echoes when the kernel runs.
    d = dialogue(KGDB)
    d.ask(b"?")
    sent = d.take_outgoing()
    assert d.time_out()
    d.take_outgoing()
    d.receive(b"+" + S05)
    d.ask(b"c", wants_reply=False)
    d.take_outgoing()
    d.receive(b"+" + sent)
    assert d.take_outgoing() == b""
    assert events(d) == [Reply(b"S05"), Reply(None), Output(sent)]


def test_what_looks_like_a_packet_in_a_consoles_text_is_not_answered() -> None:
    d = dialogue(KGDB)
    d.receive(b"costs $5#00 - or + $ ")
    assert (
        b"".join(event.text for event in events(d) if isinstance(event, Output)) == b"costs $5#00 - or + $ "
    )
    assert d.take_outgoing() == b""


def test_a_dash_in_a_firmwares_text_is_no_announcement() -> None:
    d = dialogue(AUTO)
    d.receive(b"No NVRAM common partition, re-initializing...")
    assert not any(isinstance(event, Stopped) for event in events(d))
    d = dialogue(AUTO)
    d.receive(b"-")
    assert events(d) == [Stopped(None)]
