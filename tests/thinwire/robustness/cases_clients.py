"""Cases about clients: absent, slow, silent, rude, too many, gone."""

import contextlib
import socket

from rig import SENTINEL, Rig, ack, answer, read, tell, write

WINDOW = 24 << 20
"""Bytes that no socket's buffers hold."""


def replaced_between_writes(rig: Rig) -> None:
    """The victim writes without reading first, after one client has left and another come."""
    rig.launch()
    rig.attached(1).close()
    second = rig.client(1)
    rig.ask(write(1, b"for the second"), ack(1, 14))
    second.expect(b"for the second")


def typed_and_left(rig: Rig) -> None:
    """What a client sent before it left is read, and its successor is neither refused nor robbed."""
    rig.launch()
    for turn in range(20):
        first = rig.attached(1)
        first.send(b"last words")
        first.close()
        second = rig.client(1)
        rig.ask(write(1, b"answer"), ack(1, 6))
        second.expect(b"answer")
        assert rig.take(1, 10) == b"last words", turn
        second.close()


def reset_while_the_victim_streams(rig: Rig) -> None:
    rig.launch()
    client = rig.attached(1)
    rig.line.send(tell(1, bytes(1000)) * 50)
    client.reset()
    rig.line.send(tell(1, bytes(1000)) * 50)
    rig.in_step()
    rig.ask(write(1, b"marker"), ack(1, 6))
    rig.client(1).until(b"marker")


def two_writes_after_the_client_left(rig: Rig) -> None:
    rig.launch()
    rig.attached(1).close()
    rig.ask(write(1, b"one "), ack(1, 4))
    rig.ask(write(1, b"two"), ack(1, 3))
    rig.client(1).expect(b"one two")


def read_on_a_closed_client(rig: Rig) -> None:
    """The victim hears that there is nothing, or what the next client types; it is not left alone."""
    rig.launch()
    rig.attached(1).close()
    rig.ask(read(1), answer(1, b""))
    second = rig.client(1)
    second.send(b"next")
    assert rig.take(1, 4) == b"next"


def successor_answers_a_pending_read(rig: Rig) -> None:
    rig.launch()
    rig.attached(1).close()
    rig.line.send(read(1))
    second = rig.client(1)
    second.send(b"next")
    rig.line.expect(answer(1, b"next"))


def absent_client(rig: Rig) -> None:
    """Nobody is at channel 2; channels 0 and 1 go on, and nothing spins."""
    rig.launch()
    client = rig.attached(1)
    rig.line.send(tell(2, b"anybody?") * 100)
    for _ in range(20):
        rig.ask(write(2, bytes(16384)), ack(2, 16384))
    rig.ask(write(1, b"go on"), ack(1, 5))
    client.expect(b"go on")
    rig.in_step()


def first_words_wait_for_the_first_client(rig: Rig) -> None:
    rig.launch()
    rig.ask(write(2, b"early"), ack(2, 5))
    rig.client(2).expect(b"early")


def pending_read_on_a_silent_channel(rig: Rig) -> None:
    rig.launch()
    silent, client = rig.attached(2), rig.attached(1)
    rig.line.send(read(2))
    for _ in range(10):
        rig.ask(write(1, b"ping"), ack(1, 4))
        client.expect(b"ping")
        client.send(b"pong")
        rig.ask(read(1), answer(1, b"pong"))
    silent.send(b"at last")
    rig.line.expect(answer(2, b"at last"))


def slow_reader(rig: Rig) -> None:
    """A client that never reads costs the others nothing and the server a bounded memory."""
    rig.launch()
    slow, client = rig.attached(2), rig.attached(1)
    before = rig.resident()
    rig.line.send(tell(2, bytes(16384)) * (WINDOW // 16384))
    rig.ask(write(1, b"go on"), ack(1, 5))
    client.expect(b"go on")
    assert rig.resident() - before < 8192
    assert len(slow.receive()) > 0


def slow_reader_of_acknowledged_writes(rig: Rig) -> None:
    rig.launch()
    rig.attached(2)
    client = rig.attached(1)
    for _ in range(WINDOW // 16384):
        rig.ask(write(2, bytes(16384)), ack(2, 16384))
    rig.ask(write(1, b"go on"), ack(1, 5))
    client.expect(b"go on")


def second_client_of_a_protocol(rig: Rig) -> None:
    rig.launch()
    first = rig.attached(1)
    second = rig.client(1)
    assert b"held by" in second.ended()
    rig.ask(write(1, b"to the first"), ack(1, 12))
    first.expect(b"to the first")


def second_client_of_the_console(rig: Rig) -> None:
    rig.launch()
    first = rig.attached(0)
    second = rig.client(0)
    second.until(b"\r\n")
    rig.ask(write(0, b"to both"), ack(0, 7))
    first.expect(b"to both")
    second.until(b"to both")
    first.close()
    second.until(b"you write now")
    second.send(b"mine")
    rig.ask(read(0), answer(0, b"mine"))


def hundreds_of_reconnects(rig: Rig, turns: int = 300) -> None:
    """No descriptor and no memory is left behind by a client."""
    rig.launch()
    for turn in range(turns):
        client = rig.client(1)
        client.send(b"%05d" % turn)
        assert rig.take(1, 5) == b"%05d" % turn
        rig.ask(write(1, b"hello"), ack(1, 5))
        client.expect(b"hello")
        client.reset() if turn % 3 else client.close()
        if turn == turns // 3:
            files, memory = rig.open_files(), rig.resident()
    rig.in_step()
    assert rig.open_files() <= files + 1
    assert rig.resident() <= memory + 1024


def reconnects_without_a_word(rig: Rig) -> None:
    """Connect and leave, faster than anybody is served."""
    rig.launch()
    for _ in range(500):
        rig.client(1).close()
    rig.client(1).reset()
    client = rig.client(1)
    rig.ask(write(1, b"hello"), ack(1, 5))
    client.until(b"hello")


def half_closed_client(rig: Rig) -> None:
    """`printf ... | nc`: the client ends its side at once, and every byte of it arrives."""
    rig.launch()
    client = rig.client(1)
    client.send(b"x" * 200_000)
    client.half_close()
    assert rig.take(1, 200_000) == b"x" * 200_000
    client.ended()


def client_floods_a_victim_that_never_reads(rig: Rig) -> None:
    rig.launch()
    client, other = rig.attached(1), rig.attached(2)
    before = rig.resident()
    client.flood(bytes(10 << 20))
    rig.ask(write(2, b"go on"), ack(2, 5))
    other.expect(b"go on")
    other.send(b"me too")
    rig.ask(read(2), answer(2, b"me too"))
    assert rig.resident() - before < 4096
    client.reset()  # nobody waits for what a debugger that crashed has not been asked


def more_clients_than_descriptors(rig: Rig) -> None:
    """The server runs out of descriptors, and has them again when the crowd is gone."""
    rig.launch(descriptors=40)
    crowd = [rig.client(0) for _ in range(100)]
    rig.in_step()
    for client in crowd:
        client.close()
    rig.in_step()


def crowd_that_watches(rig: Rig) -> None:
    """Fifty watch the console without reading; the writer is not held up."""
    rig.launch()
    writer = rig.attached(0)
    for _ in range(50):
        rig.client(0)
    for _ in range(100):
        rig.ask(write(0, bytes(4096)), ack(0, 4096))
        writer.expect(bytes(4096))


def observers_cannot_type(rig: Rig) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    rig.launch("--observe", f"1={port}")
    writer = rig.attached(1)
    with socket.create_connection(("127.0.0.1", port)) as watcher:
        watcher.sendall(b"nobody hears me")
        rig.ask(write(1, b"seen"), ack(1, 4))
        writer.expect(b"seen")
        seen = b""
        while b"seen" not in seen:
            seen += watcher.recv(100)
        writer.send(b"heard")
        rig.ask(read(1), answer(1, b"heard"))


def rude_first_words(rig: Rig) -> None:
    """A browser or a scanner at the port is bytes like any others."""
    rig.launch()
    client = rig.client(1)
    client.send(b"GET / HTTP/1.1\r\n\r\n" + SENTINEL + b"$    ")
    assert rig.take(1, 18 + 14 + 5).endswith(b"$    ")


def leaves_while_its_read_is_answered(rig: Rig) -> None:
    rig.launch()
    for _ in range(50):
        client = rig.client(1)
        rig.line.send(read(1))
        client.send(b"?")
        client.reset()
        head = rig.line.count(5)
        rig.line.count(head[3] - 0x20)
    rig.in_step()


def unlucky_crowd(rig: Rig) -> None:
    """Clients that come and go on three channels while the victim streams to all."""
    rig.launch()
    for _ in range(30):
        clients = [rig.client(number) for number in range(3)]
        rig.line.send(tell(0, b"a" * 300) + tell(1, b"b" * 3000) + tell(2, b"c" * 10000))
        for client in clients:
            with contextlib.suppress(OSError):
                client.send(b"typed")
            client.reset()
    rig.in_step()
