"""Cases about bytes on the line: frames, what is none, and the handshake."""

import random

from rig import (
    ANNOUNCEMENT,
    SENTINEL,
    Case,
    Rig,
    ack,
    answer,
    header,
    read,
    ready,
    select_set,
    tell,
    write,
)

STORM = 2_000_000
"""Bytes of a storm: the originals make a hundred times as much log of it."""


def conversation() -> tuple[bytes, bytes, bytes]:
    """Requests, their answers, and what channel 1's client gets."""
    payloads = [bytes((n & 255,)) * n for n in (0, 1, 5, 64, 1000)]
    asked = b"".join(write(1, data) + tell(1, data) + select_set(8) for data in payloads)
    answers = b"".join(ack(1, len(data)) + ready(8) for data in payloads)
    return asked, answers, b"".join(data * 2 for data in payloads)


def cut_at_random(rig: Rig) -> None:
    rig.launch()
    client, dice = rig.attached(1), random.Random(1)
    for _ in range(5):
        asked, answers, output = conversation()
        while asked:
            size = dice.randint(1, 300)
            rig.line.send(asked[:size])
            asked = asked[size:]
        rig.line.expect(answers)
        client.expect(output)


def byte_by_byte(rig: Rig) -> None:
    rig.launch()
    client = rig.attached(1)
    asked, answers, output = conversation()
    for byte in asked:
        rig.line.send(bytes((byte,)))
    rig.line.expect(answers)
    client.expect(output)


def all_at_once(rig: Rig) -> None:
    rig.launch()
    client = rig.attached(1)
    asked, answers, output = conversation()
    rig.line.send(asked * 20)
    rig.line.expect(answers * 20)
    client.expect(output * 20)


def twenty_of_the_largest(rig: Rig) -> None:
    rig.launch()
    client = rig.attached(1)
    for number in range(20):
        data = bytes((number,)) * 16384
        rig.ask(write(1, data), ack(1, 16384))
        client.expect(data)
    for number in range(20):
        rig.line.send(tell(1, bytes((number,)) * 16384))
        client.expect(bytes((number,)) * 16384)
    client.send(bytes(16384))
    assert len(rig.take(1, 16384)) == 16384


def stray(text: bytes) -> Case:
    """A case: this text stands between frames; the console has it, and nobody else is disturbed."""

    def case(rig: Rig) -> None:
        rig.launch()
        console = rig.attached(0)
        rig.ask(write(0, b"[") + text + write(0, b"]"), ack(0, 1) + ack(0, 1))
        console.expect(b"[" + text + b"]")
        rig.in_step()

    return case


def every_single_stray_byte(rig: Rig) -> None:
    """Bytes that could begin a header are judged with what follows."""
    rig.launch()
    console = rig.attached(0)
    for byte in range(256):
        rig.ask(bytes((byte,)) + write(0, b"."), ack(0, 1))
    seen = console.count(512)
    assert seen == b"".join(bytes((byte, 0x2E)) for byte in range(256))


def length_beyond_the_largest(rig: Rig) -> None:
    rig.launch()
    console = rig.attached(0)
    for kind in (b"0", b"#", b"A"):
        bad = kind + b"$ !!"
        rig.ask(bad + write(0, b"."), ack(0, 1))
        console.expect(bad + b".")
    rig.in_step()


def rejected_header_hides_no_exit(rig: Rig) -> None:
    """`#$ !!` is no header, and what begins at its second byte is no end."""
    rig.launch()
    rig.line.send(b"#$ !!" + b"x" * 100 + b"#$ !!$   !")
    rig.in_step()


def length_bytes_below_space(rig: Rig) -> None:
    rig.launch()
    console = rig.attached(0)
    for bad in (b"0\x1f  !", b"0 \x01 !", b"0  \0!", b"A\x1f\x1f\x1f!", b"#\xff\xff\xff!"):
        rig.ask(bad + write(0, b"."), ack(0, 1))
        console.expect(bad + b".")
    rig.in_step()


def channel_out_of_range(rig: Rig) -> None:
    rig.launch()
    console = rig.attached(0)
    for byte in (0x00, 0x1F, 0x7F, 0x80, 0xFF):
        for kind in (b"0", b"A", b"!"):
            bad = kind + b"   " + bytes((byte,))
            rig.ask(bad + write(0, b"."), ack(0, 1))
            console.expect(bad + b".")
    rig.in_step()


def unconfigured_channel(rig: Rig) -> None:
    rig.launch()
    rig.line.send(tell(5, b"nobody") + tell(94, b"nobody"))
    rig.ask(write(5, b"nobody"), ack(5, 6))
    rig.ask(write(94, b""), ack(94, 0))
    rig.ask(read(5), answer(5, b""))
    rig.ask(read(94, 16384), answer(94, b""))
    rig.in_step()


def skipped_channel(rig: Rig) -> None:
    """What a `:` leaves out is unconfigured as well."""
    rig.launch(specs=("127.0.0.1:0", "127.0.0.1:0", ":", "127.0.0.1:0"))
    rig.ask(write(2, b"x"), ack(2, 1))
    rig.ask(read(7), answer(7, b""))
    eight = rig.client(8)
    rig.ask(write(8, b"set two"), ack(8, 7))
    eight.expect(b"set two")
    eight.send(b"x")
    rig.ask(read(8, 1), answer(8, b"x"))


def select_at_every_base(rig: Rig) -> None:
    rig.launch()
    for base in range(95):
        rig.ask(select_set(base), ready(base))
    client = rig.attached(1)
    client.send(b"input")
    while True:
        rig.line.send(select_set(0))
        reply = rig.line.count(9)
        if reply == ready(0, 1):
            break
        assert reply == ready(0)
    rig.ask(select_set(1), ready(1, 1))


def nibbles_show_every_channel(rig: Rig) -> None:
    rig.launch(channels=8)
    for number in range(8):
        client = rig.attached(number)
        client.send(b"!")
        while True:
            rig.line.send(select_set(number))
            if rig.line.count(9)[-1] & 1:
                break
    rig.ask(b"?    ", b"?  ( " + b"      //")


def nibbles_as_the_original(rig: Rig) -> None:
    rig.launch("--bug-compatible", channels=8)
    client = rig.attached(4)
    client.send(b"!")
    while True:
        rig.line.send(select_set(4))
        if rig.line.count(9)[-1] & 1:
            break
    rig.ask(b"?    ", b"?  ( " + b"        ")


def reads_of_any_size(rig: Rig) -> None:
    rig.launch()
    client = rig.attached(1)
    rig.ask(read(1, 0), answer(1, b""))
    client.send(b"abcdef")
    rig.ask(read(1, 1), answer(1, b"a"))
    assert rig.take(1, 5) == b"bcdef"


def speed_request(rig: Rig) -> None:
    """On a line without a speed the victim has its two echoes all the same."""
    rig.launch()
    rig.ask(b"S  & 115200", b"S  & 115200" * 2)
    rig.in_step()


def speed_requests_that_are_none(rig: Rig) -> None:
    rig.launch()
    console = rig.attached(0)
    for bad in (b"S    ", b"S  & 11x200", b"S  ) 123456789", b"S$   "):
        rig.ask(bad + write(0, b"."), ack(0, 1))
        console.expect(bad + b".")
    rig.ask(b"S  ( 99999999", b"S  ( 99999999" * 2)


def speed_request_storm(rig: Rig) -> None:
    rig.launch()
    for _ in range(50):
        rig.ask(b"S  & 115200" * 20, b"S  & 115200" * 40)


def requests_nobody_waits_for(rig: Rig) -> None:
    """A thousand reads on a silent channel are noise, and bounded."""
    rig.launch()
    rig.attached(1)
    rig.line.send(read(1) * 1000)
    rig.line.expect(answer(1, b"") * 984)
    rig.in_step()


def garbage_storm(rig: Rig) -> None:
    rig.launch()
    console = rig.attached(0)
    dice = random.Random(7)
    letters = bytes(byte for byte in range(256) if byte not in b"0#A!?S$/*\0")
    chunk = bytes(dice.choice(letters) for _ in range(STORM // 20))
    for _ in range(20):
        rig.line.send(chunk)
        assert console.count(len(chunk)) == chunk
    rig.in_step()


def random_storm(rig: Rig) -> None:
    """Everything that can be on a line, headers by accident among it."""
    rig.launch()
    dice = random.Random(11)
    for _ in range(20):
        rig.line.flood(dice.randbytes(STORM // 20).replace(b"$    ", b"").replace(b"/   ", b""))


def storm_of_sentinels(rig: Rig) -> None:
    rig.launch()
    for _ in range(50):
        rig.line.send(SENTINEL * 400)
    rig.in_step()


def storm_of_announcements_in_payloads(rig: Rig) -> None:
    rig.launch()
    for _ in range(50):
        rig.line.send((header(b"#", 16000, 1) + b"cut off" + ANNOUNCEMENT + SENTINEL) * 40)
    rig.in_step()


# The handshake: for versions that have one


def sentinel_behind(text: bytes, sentinel: bytes = SENTINEL) -> Case:
    """A case: the handshake is found behind this."""

    def case(rig: Rig) -> None:
        rig.launch(accept=False)
        rig.accept()
        rig.line.send(text + sentinel)
        rig.in_step()

    return case


def sentinel_byte_by_byte(rig: Rig) -> None:
    rig.launch(accept=False)
    rig.accept()
    for byte in b"boot\r\n\0**thin" + SENTINEL:
        rig.line.send(bytes((byte,)))
    rig.in_step()


def frames_behind_the_sentinel_in_one_piece(rig: Rig) -> None:
    """The originals' leftovers: whole frames and a cut one right behind the sentinel."""
    rig.launch(accept=False)
    rig.accept()
    rig.line.send(SENTINEL + select_set(0) + b"A ")
    rig.line.expect(ready(0))
    rig.line.send(b" %%")
    rig.line.expect(answer(5, b""))


def typing_before_the_handshake(rig: Rig) -> None:
    rig.launch(accept=False)
    rig.accept()
    console = rig.client(0)
    rig.line.send(b"ok> ")
    console.expect(b"ok> ")
    console.send(b"ab\ncd\r")
    rig.line.expect(b"ab\n\rcd\r")
    rig.shake_hands()
    console.send(b"ab\n")
    assert rig.take(0, 3) == b"ab\n"


def long_text_before_the_handshake(rig: Rig) -> None:
    rig.launch(accept=False)
    rig.accept()
    console = rig.client(0)
    text = b"firmware %d\r\n" * 4000
    rig.line.send(text)
    assert console.count(len(text)) == text
    rig.shake_hands()
    rig.in_step()


def console_leaves_before_the_handshake(rig: Rig) -> None:
    rig.launch(accept=False)
    rig.accept()
    first = rig.client(0)
    rig.line.send(b"one")
    first.expect(b"one")
    first.close()
    rig.line.send(b"two")
    second = rig.client(0)
    second.until(b"two")
    second.send(b"boot\n")
    rig.line.expect(b"boot\n\r")
    rig.shake_hands()
    rig.in_step()


def nobody_at_the_console_before_the_handshake(rig: Rig) -> None:
    rig.launch(accept=False)
    rig.accept()
    rig.line.send(b"firmware" + SENTINEL)
    rig.in_step()
    rig.client(0).until(b"firmware")


def second_handshake(rig: Rig) -> None:
    rig.launch()
    console = rig.attached(0)
    rig.line.send(read(1))
    rig.line.send(ANNOUNCEMENT + SENTINEL)
    rig.in_step()
    console.until(b"Enable thinwire\n\r")
    console.send(b"y")
    rig.ask(read(0), answer(0, b"y"))


def second_handshake_in_a_payload(rig: Rig) -> None:
    rig.launch()
    rig.attached(1)
    rig.line.send(header(b"0", 5000, 1) + b"cut off")
    rig.line.send(ANNOUNCEMENT + SENTINEL)
    rig.in_step()


def dump_is_text(rig: Rig) -> None:
    rig.launch()
    console = rig.attached(0)
    rig.line.send(b"/   \n" + b"deadbeef\r\n" * 100)
    console.until(b"deadbeef\r\n" * 100)


def end(rig: Rig) -> None:
    """The compatible faces leave with the original's status; `k42 mux` waits for the target."""
    rig.launch()
    rig.line.send(b"$    ")
    if rig.face.ends:
        assert rig.wait() == 255
        assert b"received termination request" in rig.output
    else:
        rig.line.send(ANNOUNCEMENT + SENTINEL)
        rig.in_step()
