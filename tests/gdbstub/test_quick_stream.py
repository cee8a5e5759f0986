"""Sockets read and written without waiting: what a peer may do to them, and that others get their turn."""

import os
import socket
import struct
from collections.abc import Awaitable, Callable
from functools import partial
from types import SimpleNamespace

import pytest
import trio
import trio.testing

from gdbstub.quick_stream import BRISK, QuickStream

Use = Callable[[QuickStream, trio.SocketStream, trio.SocketStream], Awaitable[None]]


def with_pair(use: Use) -> None:
    """Call `use` with our end, the stream below it, and the peer's."""

    async def main() -> None:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        with trio.fail_after(60):
            peer = await trio.open_tcp_stream(*listeners[0].socket.getsockname()[:2])
            async with listeners[0], peer, await listeners[0].accept() as ours:
                await use(QuickStream(ours), ours, peer)

    trio.run(main)


def test_what_is_sent_arrives_both_ways_and_the_end_is_empty() -> None:
    async def use(quick: QuickStream, _ours: trio.SocketStream, peer: trio.SocketStream) -> None:
        await peer.send_all(b"question")
        assert await quick.receive_some(100) == b"question"
        assert quick.send_now(b"answer") == b""
        assert await peer.receive_some() == b"answer"
        await peer.aclose()
        assert await quick.receive_some(100) == b""

    with_pair(use)


def test_a_peer_that_does_not_read_leaves_a_rest_and_gets_it_later_in_order() -> None:
    data = bytes(range(256)) * 40_000

    async def use(quick: QuickStream, _ours: trio.SocketStream, peer: trio.SocketStream) -> None:
        rest = data
        while (left := quick.send_now(rest)) != rest:
            rest = left
        assert 0 < len(rest) < len(data) and data.endswith(rest)
        heard = bytearray()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(quick.send_all, rest)
            while len(heard) < len(data):
                heard += await peer.receive_some()
        assert heard == data

    with_pair(use)


def test_a_reset_connection_is_broken_and_a_closed_one_closed() -> None:
    async def use(quick: QuickStream, ours: trio.SocketStream, peer: trio.SocketStream) -> None:
        # Closing with a linger of no time resets.
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.socket.close()
        with pytest.raises(trio.BrokenResourceError):
            await quick.receive_some(100)
        with pytest.raises(trio.BrokenResourceError):
            while True:
                quick.send_now(b"x" * 1000)
        await ours.aclose()
        with pytest.raises(trio.ClosedResourceError):
            await quick.receive_some(100)
        with pytest.raises(trio.ClosedResourceError):
            quick.send_now(b"x")

    with_pair(use)


def test_one_who_waits_can_be_cancelled() -> None:
    async def use(quick: QuickStream, _ours: trio.SocketStream, _peer: trio.SocketStream) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(quick.receive_some, 100)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()

    with_pair(use)


def test_a_peer_that_never_pauses_leaves_the_others_their_turn() -> None:
    async def use(quick: QuickStream, _ours: trio.SocketStream, peer: trio.SocketStream) -> None:
        # All of it is on the line before the first look: nothing but the budget ends our turn.
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                await trio.lowlevel.checkpoint()
                turns += 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(count)
            nursery.start_soon(peer.send_all, b"x" * 3_000_000)
            left = 3_000_000
            while left:
                left -= len(await quick.receive_some(16))
            nursery.cancel_scope.cancel()
        assert turns > 5

    with_pair(use)


class Readable:
    """Stands for the look at the socket: the peer asks at the third, if he asks at all."""

    def __init__(self, ask: Callable[[], object]) -> None:
        self._ask = ask
        self.looks = 0

    def poll(self, milliseconds: int) -> list[object]:
        assert milliseconds == 0
        self.looks += 1
        if self.looks < 3:
            return []
        self._ask()
        return [self]


@pytest.mark.parametrize(
    ("pause", "spin", "has_company", "looks"),
    [
        (BRISK / 2, True, True, 3),
        (BRISK * 2, True, True, 0),
        (BRISK / 2, False, True, 0),
        (BRISK / 2, True, False, 0),
    ],
)
def test_who_asks_soon_after_the_answer_is_looked_out_for(
    pause: float, spin: bool, has_company: bool, looks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0

    async def use(quick: QuickStream, _ours: trio.SocketStream, peer: trio.SocketStream) -> None:
        readable = Readable(lambda: os.write(peer.socket.fileno(), b"second"))
        monkeypatch.setattr(quick, "_readable", readable)

        async with trio.open_nursery() as nursery:

            async def ask(question: bytes) -> None:
                nonlocal now
                await trio.testing.wait_all_tasks_blocked()
                now += pause
                await peer.send_all(question)

            nursery.start_soon(ask, b"first")
            assert await quick.receive_some(100, spin=spin) == b"first"
            assert readable.looks == 0
            if not looks:
                nursery.start_soon(ask, b"second")
            assert await quick.receive_some(100, spin=spin) == b"second"
            assert readable.looks == looks

    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1} if has_company else {0})
    monkeypatch.setattr("gdbstub.quick_stream.time", SimpleNamespace(monotonic=lambda: now))
    with_pair(use)


def test_who_asks_no_more_is_waited_for_asleep() -> None:
    async def use(quick: QuickStream, _ours: trio.SocketStream, peer: trio.SocketStream) -> None:
        for question in (b"one", b"two"):
            await peer.send_all(question)
            assert await quick.receive_some(100, spin=True) == question
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(quick.receive_some, 100, spin=True))
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()

    with_pair(use)
