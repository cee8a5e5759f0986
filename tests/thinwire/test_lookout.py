"""Who is waited for in the kernel, where no other task can run: a victim that goes on at once."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import trio

from thinwire.backlog import Backlog
from thinwire.channels import Port
from thinwire.clients import DescriptorClient
from thinwire.frames import Read, encode
from thinwire.line import BRISK, DescriptorLine
from thinwire.lookout import Lookout
from thinwire.mux import Mux, Rules
from thinwire.server import Options, Server


@contextmanager
def a_line(lookout: Lookout) -> Iterator[tuple[DescriptorLine, socket.socket]]:
    """A line and its victim's end."""
    ours, victim = socket.socketpair()
    ours.setblocking(False)
    line = DescriptorLine(ours.fileno(), ours.fileno())
    line.join(lookout)
    with ours, victim:
        yield line, victim
    lookout.close()


def count_lingering(lookout: Lookout, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """A list that grows with what each wait in the kernel came to."""
    lingered: list[bool] = []
    linger = lookout.linger

    def counted() -> bool:
        lingered.append(linger())
        return lingered[-1]

    monkeypatch.setattr(lookout, "linger", counted)
    return lingered


@pytest.mark.parametrize(("pause", "lingers"), [(BRISK / 2, True), (BRISK * 2, False)])
def test_only_a_quick_victim_is_lingered_for(
    pause: float, lingers: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("thinwire.line.time", SimpleNamespace(perf_counter=lambda: now))
    lookout = Lookout()
    lingered = count_lingering(lookout, monkeypatch)

    async def main() -> None:
        nonlocal now
        with a_line(lookout) as (line, victim), trio.fail_after(60):
            assert line.take() is None
            async with trio.open_nursery() as nursery:

                async def speak() -> None:
                    nonlocal now
                    now += pause
                    victim.send(b"first")

                nursery.start_soon(speak)
                assert await line.receive(lambda: None) == b"first"
            assert not lingered
            victim.send(b"second")
            assert line.take() == b"second"
            assert bool(lingered) is lingers

    trio.run(main)


def test_a_victim_that_was_lingered_for_in_vain_is_not_again(monkeypatch: pytest.MonkeyPatch) -> None:
    lookout = Lookout()
    lingered = count_lingering(lookout, monkeypatch)

    async def main() -> None:
        with a_line(lookout) as (line, victim):
            victim.send(b"first")
            assert line.take() == b"first"
            assert line.take() is None
            assert line.take() is None

    trio.run(main)
    assert lingered == [False]


def test_a_task_that_was_woken_is_not_lingered_away(monkeypatch: pytest.MonkeyPatch) -> None:
    lookout = Lookout()
    monkeypatch.setattr(lookout, "linger", lambda: pytest.fail("a task waits"))

    async def main() -> None:
        with a_line(lookout) as (line, victim):
            victim.send(b"first")
            assert line.take() == b"first"
            lookout.hurry = True
            assert line.take() is None

    trio.run(main)


class Asking:
    """What `Server` needs of a line to hear one read and the end."""

    def __init__(self, lookout: Lookout) -> None:
        self.unsent = Backlog()
        self._left = [encode(Read(1, 16)), b""]
        self._lookout = lookout
        self.hurries: list[bool] = []

    def take(self) -> bytes:
        self.hurries.append(self._lookout.hurry)
        return self._left.pop(0)


@pytest.mark.parametrize("in_process", [True, False])
def test_a_read_that_a_task_must_answer_ends_the_lingering(in_process: bool) -> None:
    """A client with a descriptor wakes the wait in the kernel; a task of this process cannot."""

    async def main() -> None:
        lookout = Lookout()
        mux = Mux([0, 1], Rules(assume_framed=True))
        server = Server(Options(), mux, lookout)
        server.ports |= {number: Port(mux, number, server.send, lookout) for number in mux.channels}
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            if in_process:
                server.attach(1)
            else:
                client = DescriptorClient(server.ports[1], ours.fileno(), ours.fileno(), "a client")
                server.ports[1].attach(client)
            lookout.hurry = False
            line = Asking(lookout)
            line_as_it_is: DescriptorLine = line  # type: ignore[assignment]
            await server._converse(line_as_it_is)
            assert line.hurries == [False, in_process]
        lookout.close()

    trio.run(main)
