"""Cases about the line itself: lost, back again, silent, or never there."""

import os
import select

from rig import SENTINEL, Rig, ack, answer, header, read, ready, select_set, tell, write


def victim_comes_back(rig: Rig) -> None:
    """The clients never left; what was pending is void."""
    rig.launch()
    console, client = rig.attached(0), rig.attached(1)
    rig.line.send(read(1))
    for _ in range(10):
        rig.come_back()
        rig.ask(write(0, b"again"), ack(0, 5))
        console.until(b"again")
        client.send(b"typed")
        rig.ask(read(1), answer(1, b"typed"))


def victim_reset_by_rst(rig: Rig) -> None:
    rig.launch()
    client = rig.attached(1)
    rig.line.reset()
    rig.accept()
    rig.shake_hands()
    rig.ask(write(1, b"again"), ack(1, 5))
    client.expect(b"again")


def victim_vanishes_in_mid_frame(rig: Rig) -> None:
    rig.launch()
    client = rig.attached(1)
    for cut in range(1, 12):
        rig.line.send(write(1, b"never whole")[:cut])
        rig.come_back()
    rig.line.send(header(b"0", 16384, 1) + bytes(10000))
    rig.come_back()
    rig.ask(write(1, b"whole"), ack(1, 5))
    client.expect(b"whole")


def hundreds_of_lives(rig: Rig) -> None:
    rig.launch()
    for turn in range(200):
        rig.come_back()
        rig.in_step()
        if turn == 50:
            files, memory = rig.open_files(), rig.resident()
    assert rig.open_files() <= files + 1
    assert rig.resident() <= memory + 1024


def victim_hangs_up_at_once(rig: Rig) -> None:
    """Something accepts and closes, again and again: no spin, no flood of messages."""
    rig.launch()
    before, turns = rig.cpu_seconds(), 0
    listener = rig.listening()
    rig.line.close()
    deadline = rig.clock() + 2.0
    while rig.clock() < deadline:
        if select.select([listener], [], [], 0.1)[0]:
            listener.accept()[0].close()
            turns += 1
    assert turns < 400
    assert rig.cpu_seconds() - before < 0.5
    rig.accept()
    rig.shake_hands()
    rig.in_step()


def victim_does_not_read_its_answers(rig: Rig) -> None:
    """It asks and asks: the server stops reading it, and keeps its memory."""
    rig.launch()
    before = rig.resident()
    taken = rig.line.flood(b"!    " * (8 << 20))
    assert taken < 5 * (8 << 20)
    assert rig.resident() - before < 16 << 10
    rig.line.count(9)


def victim_listens_later(rig: Rig) -> None:
    """The server is started before its machine."""
    victim = rig.prepare_line()
    address = rig.listening().getsockname()
    rig.listening().close()
    rig.launch(victim=victim, accept=False)
    rig.hear(b"waiting for")
    rig.listen_again(address)
    rig.accept()
    rig.shake_hands()
    rig.in_step()


def streams_into_nothing(rig: Rig) -> None:
    """Channel 1 has no client for the whole of a long stream."""
    rig.launch()
    rig.line.send(tell(1, bytes(4096)) * 2000)
    rig.in_step()


def idle_costs_nothing(rig: Rig) -> None:
    """With a victim, clients, a held read and a second watcher, all silent: measured in CPU time."""
    rig.launch()
    rig.attached(0)
    rig.client(0)
    rig.attached(1)
    rig.line.send(read(1))
    rig.line.send(header(b"0", 100, 1) + b"half a frame")
    before = rig.cpu_seconds()
    select.select([rig.line], [], [], 3.0)
    assert rig.cpu_seconds() - before <= 0.15


def on_a_terminal_the_device_is_raw(rig: Rig) -> None:
    """Nothing on the way is translated: neither LF nor Ctrl-C nor XON."""
    rig.launch()
    client = rig.attached(1)
    data = bytes(range(256)) * 4
    rig.ask(write(1, data), ack(1, len(data)))
    client.expect(data)
    client.send(data)
    assert rig.take(1, len(data)) == data


def unplugged_device(rig: Rig) -> None:
    """The adapter is pulled out; the path comes back as another device."""
    path = f"{rig.folder}/by-id-{'x' * 100}"
    os.symlink(rig.prepare_line(), path)
    rig.launch(victim=path, accept=False)
    rig.shake_hands()
    os.unlink(path)
    rig.line.close()
    rig.hear(b"is lost")
    os.symlink(rig.prepare_line(), path)
    # What is said before the device is open is lost, as on any serial line.
    while not select.select([rig.line], [], [], 0.5)[0]:
        rig.line.send(SENTINEL + select_set(88))
    rig.line.until(ready(88))
    rig.end()
