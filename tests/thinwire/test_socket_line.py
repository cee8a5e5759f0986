"""A line that is a socket: who is waited for in the read itself, and that nothing else waits."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from thinwire.line import LEFT_OUT, MISSES, SocketLine
from thinwire.lookout import Lookout

MUCH = b"0123456789" * 200_000
"""More than any socket buffer takes by itself."""


@contextmanager
def a_line(*, looks_out: bool = False) -> Iterator[tuple[SocketLine, socket.socket, Lookout]]:
    """A line, its victim's end, and who looks out for it.  `looks_out`: without sleeping, before it waits."""
    lookout = Lookout()
    ours, victim = socket.socketpair()
    ours.setblocking(False)
    line = SocketLine(ours.detach())
    line.join(lookout)
    line._left_out = 0 if looks_out else 1_000_000
    with victim:
        yield line, victim, lookout
    lookout.ignore_line()
    line.close()
    lookout.close()


def converse(line: SocketLine, victim: socket.socket) -> None:
    """A request that was quick to come, and its answer."""
    victim.send(b"request")
    assert line.take() == b"request"
    line.push(b"answer")
    assert victim.recv(100) == b"answer"


def forbid_waiting(lookout: Lookout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail when the line is looked for among the clients."""
    monkeypatch.setattr(lookout, "look", lambda: pytest.fail("looked"))
    monkeypatch.setattr(lookout, "linger", lambda: pytest.fail("lingered"))


def test_a_victim_that_was_answered_is_waited_for_in_the_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        with a_line() as (line, victim, lookout):
            converse(line, victim)
            forbid_waiting(lookout, monkeypatch)
            for _ in range(3):
                converse(line, victim)

    trio.run(main)


@pytest.mark.parametrize("why", ["nothing comes", "another needs the CPU"])
def test_looking_out_is_left_out_where_it_does_not_pay(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    evictions = looks = 0

    def look_out(seconds: float) -> bool:
        nonlocal evictions, looks
        looks += 1
        evictions += why == "another needs the CPU"
        return why != "nothing comes"

    monkeypatch.setattr("thinwire.line._count_evictions", lambda: evictions)

    async def main() -> None:
        with a_line(looks_out=True) as (line, victim, _lookout):
            converse(line, victim)
            monkeypatch.setattr(line, "_look_out", look_out)
            for _ in range(MISSES + 1 + LEFT_OUT):
                converse(line, victim)
            assert looks == MISSES + 1
            converse(line, victim)
            assert looks == MISSES + 2
            converse(line, victim)
            assert looks == MISSES + 2

    trio.run(main)


def test_looking_out_goes_on_where_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thinwire.line._count_evictions", lambda: 0)

    async def main() -> None:
        with a_line(looks_out=True) as (line, victim, lookout):
            converse(line, victim)
            monkeypatch.setattr(line, "_look_out", lambda seconds: lookout.look())
            for _ in range(3 * LEFT_OUT):
                converse(line, victim)
            assert (line._misses, line._left_out) == (0, 0)

    trio.run(main)


@pytest.mark.parametrize("looks_out", [False, True])
def test_what_a_client_said_comes_before_the_request_that_was_waited_for(looks_out: bool) -> None:
    async def main() -> None:
        with a_line(looks_out=looks_out) as (line, victim, lookout):
            ours, client = socket.socketpair()
            with ours, client:
                ours.setblocking(False)
                brought: list[bytes] = []

                def bring() -> bool:
                    brought.append(ours.recv(100))
                    return False

                lookout.watch(ours.fileno(), bring)
                converse(line, victim)
                client.send(b"typed")
                victim.send(b"request")
                assert line.take() == b"request"
                assert brought == [b"typed"]
                lookout.ignore(ours.fileno())

    trio.run(main)


def test_a_victim_that_goes_on_too_late_is_waited_for_in_trio() -> None:
    async def main() -> None:
        with a_line() as (line, victim, _):
            converse(line, victim)
            assert line.take() is None
            victim.send(b"late")
            assert await line.receive(lambda: None) == b"late"

    trio.run(main)


@pytest.mark.parametrize("received", [False, True])
def test_a_victim_without_its_answer_is_waited_for_among_the_clients(
    received: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it asked for may have to come from one of them."""

    async def main() -> None:
        with a_line() as (line, victim, lookout), trio.fail_after(60):
            converse(line, victim)
            if received:
                assert line.take() is None
                line.push(b"answer")
                victim.send(b"a read that is held")
                assert await line.receive(lambda: None) == b"a read that is held"
            else:
                victim.send(b"a read that is held")
                assert line.take() == b"a read that is held"
            looks = 0

            def look() -> bool:
                nonlocal looks
                looks += 1
                return False

            monkeypatch.setattr(lookout, "look", look)
            monkeypatch.setattr(lookout, "linger", look)
            assert line.take() is None
            assert looks == 1

    trio.run(main)


def test_a_task_that_was_woken_is_not_made_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        with a_line() as (line, victim, lookout):
            converse(line, victim)
            lookout.hurry = True
            monkeypatch.setattr(lookout, "linger", lambda: pytest.fail("a task waits"))
            assert line.take() is None

    trio.run(main)


def test_a_victim_that_does_not_read_makes_nobody_wait() -> None:
    """Though the socket is a blocking one: what it does not take is kept, and sent as soon as it does."""

    async def main() -> None:
        with a_line() as (line, victim, _), trio.fail_after(60):
            victim.setblocking(False)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(line.run)
                line.push(MUCH)
                assert line.unsent.size
                line.push(b"the end")
                await trio.testing.wait_all_tasks_blocked()
                heard = b""
                while len(heard) < len(MUCH) + len(b"the end"):
                    await trio.lowlevel.wait_readable(victim)
                    heard += victim.recv(1 << 20)
                assert heard == MUCH + b"the end"
                await line.drain()
                assert not line.unsent.size
                nursery.cancel_scope.cancel()

    trio.run(main)


@pytest.mark.parametrize("in_the_read", [False, True])
def test_a_victim_that_hangs_up_ends_the_line(in_the_read: bool) -> None:
    async def main() -> None:
        with a_line() as (line, victim, _):
            converse(line, victim)
            line.push(b"unread: for some sockets the end is a reset")
            victim.close()
            if not in_the_read:
                line._is_answered = False
            assert line.take() == b""
            line.push(b"nobody takes it")
            assert not line.unsent.size

    trio.run(main)


def test_closing_ends_a_wait() -> None:
    async def main() -> None:
        lookout = Lookout()
        ours, victim = socket.socketpair()
        line = SocketLine(ours.detach())
        line.join(lookout)
        with victim, trio.fail_after(60):
            async with trio.open_nursery() as nursery:

                async def wait() -> None:
                    with pytest.raises(trio.ClosedResourceError):
                        await line.receive(lambda: None)

                nursery.start_soon(wait)
                await trio.testing.wait_all_tasks_blocked()
                lookout.ignore_line()
                line.close()
        lookout.close()

    trio.run(main)


pieces = st.lists(st.tuples(st.binary(min_size=1, max_size=200), st.booleans(), st.booleans()), max_size=12)


@settings(max_examples=50)
@given(pieces)
def test_every_byte_comes_in_order_however_it_is_waited_for(sent: list[tuple[bytes, bool, bool]]) -> None:
    """Each piece is answered or not, and a task is woken in between or not."""

    async def main() -> None:
        with a_line() as (line, victim, lookout), trio.fail_after(60):
            for data, is_answered, is_woken in sent:
                victim.send(data)
                lookout.hurry = is_woken
                heard = line.take()
                if heard is None:
                    heard = await line.receive(lambda: None)
                assert heard == data
                if is_answered:
                    line.push(data[::-1])
                    assert victim.recv(1000) == data[::-1]

    trio.run(main)
