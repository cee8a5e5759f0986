"""The server spoken to byte by byte: what real gdbs do not send, and what nobody should."""

import errno
import socket
import struct
from collections.abc import Awaitable, Callable

import program
import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st
from machine_target import MachineTarget

from gdbstub.commands import TABLE
from gdbstub.packet import Ack, Decoder, Nak, Packet, frame
from gdbstub.server import serve, serve_listeners
from gdbstub.target import Action, StopKind, StopReason, TargetError

Stream = trio.StapledStream[trio.testing.MemorySendStream, trio.testing.MemoryReceiveStream]


class Client:
    """A client of few words."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self._decoder = Decoder()
        self.bodies: list[bytes] = []
        self.naks = 0

    async def ask(self, body: bytes) -> bytes:
        """Send a packet, return the next packet that comes; b"(closed)" when none will."""
        try:
            await self.stream.send_all(frame(body))
        except trio.BrokenResourceError:
            return b"(closed)"
        return await self.hear()

    async def hear(self) -> bytes:
        while not self.bodies:
            data = await self.stream.receive_some()
            if not data:
                return b"(closed)"
            for event in self._decoder.feed(bytes(data)):
                match event:
                    case Packet(body):
                        self.bodies.append(body)
                    case Nak():
                        self.naks += 1
                    case Ack():
                        pass
                    case _:
                        raise AssertionError(event)
        return self.bodies.pop(0)


def converse(target: MachineTarget, use: Callable[[Client], Awaitable[None]]) -> None:
    async def main() -> None:
        ours, theirs = trio.testing.memory_stream_pair()
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(serve, theirs, target)
                await use(Client(ours))
                await ours.aclose()

    trio.run(main)


def replies(target: MachineTarget, *bodies: bytes) -> list[bytes]:
    answers: list[bytes] = []

    async def use(client: Client) -> None:
        for body in bodies:
            answers.append(await client.ask(body))

    converse(target, use)
    return answers


def test_literal_replies() -> None:
    target = MachineTarget(program.load())
    fib = program.symbols()["fib"]
    asked = {
        b"vMustReplyEmpty": b"",
        b"qTStatus": b"",
        b"vCont?": b"vCont;c;C;s;S;r",
        b"qAttached": b"1",
        b"qC": b"QC1",
        b"qfThreadInfo": b"m1",
        b"qsThreadInfo": b"l",
        b"Hg0": b"OK",
        b"Hg5": b"E03",
        b"T1": b"OK",
        b"T9": b"E03",
        b"qThreadExtraInfo,1": b"cpu0, stopped".hex().encode(),
        b"m%x,4" % fib: target.machine.read(fib, 4).hex().encode(),
        b"x%x,4" % fib: b"b" + target.machine.read(fib, 4),
        b"m60000000,4": b"E0e",
        b"m": b"E16",
        b"G00": b"E16",
        b"p3": b"0" * 16,
        b"pfff": b"E16",
        b"P3=0011223344556677": b"OK",
        b"P3=00": b"E16",
        b"X%x,0:" % fib: b"OK",
        b"M%x,4:00" % fib: b"E16",
        b"Z9,100,4": b"",
        b"Z0,100,4;X1,01": b"E16",
        b"qXfer:features:read:other.xml:0,10": b"E02",
        b"qXfer:auxv:read::0,10": b"",
        b"qSymbol::": b"OK",
        b"QStartNoAckMode": b"OK",
        b"vCont;t": b"E16",
        b"vFile:open:2f6574632f706173737764,0,0": b"F-1,2",
        b"vFile:pread:7,10,0": b"F-1,9",
        b"vFile:unlink:2f61": b"",
    }
    assert replies(target, *asked) == list(asked.values())


def test_every_one_of_the_stops_is_told_once_per_resume() -> None:
    target = MachineTarget(program.load())
    answers = replies(target, b"?", b"s", b"vCont;s:1", b"vCont;s:p1.1", b"?")
    assert all(answer.startswith(b"T05") and b"thread:1;" in answer for answer in answers)
    assert target.resumed == 3


def test_a_bad_checksum_is_asked_for_again_and_a_nak_repeats_the_reply() -> None:
    async def use(client: Client) -> None:
        await client.stream.send_all(b"$qC#00")
        await client.stream.send_all(frame(b"qC"))
        assert await client.hear() == b"QC1"
        assert client.naks == 1
        await client.stream.send_all(b"-")
        assert await client.hear() == b"QC1"
        for _ in range(11):
            await client.stream.send_all(b"-")
        answer = b""
        while answer != b"(closed)":
            answer = await client.hear()

    converse(MachineTarget(program.load()), use)


def test_requests_during_a_run_wait_and_detach_ends_it() -> None:
    target = MachineTarget(program.load())

    async def use(client: Client) -> None:
        await client.stream.send_all(frame(b"c") + frame(b"qC") + b"\x03")
        assert (await client.hear()).startswith(b"T02")
        assert await client.hear() == b"QC1"
        await client.stream.send_all(frame(b"c") + frame(b"D"))
        assert await client.hear() == b"OK"
        assert await client.hear() == b"(closed)"

    converse(target, use)
    assert target.detached


def test_an_ended_target_stays_ended() -> None:
    target = MachineTarget(program.load(), stopped=StopReason(StopKind.EXITED, status=3))
    assert replies(target, b"?", b"c", b"vCont;s") == [b"W03", b"W03", b"W03"]


@pytest.mark.parametrize("running", [False, True])
def test_a_lost_client_leaves_the_target_as_it_is_without_its_breakpoints(running: bool) -> None:
    target = MachineTarget(program.load())

    async def use(client: Client) -> None:
        assert await client.ask(b"Z0,100,4") == b"OK"
        assert await client.ask(b"Z2,200,8") == b"OK"
        if running:
            await client.stream.send_all(frame(b"c"))
            while target.stopped is not None:
                await trio.lowlevel.checkpoint()

    converse(target, use)
    assert not target.breakpoints
    assert (target.stopped is None) is running


def test_a_lost_client_does_not_kill_a_second_time() -> None:
    target = MachineTarget(program.load())

    async def use(client: Client) -> None:
        assert await client.ask(b"!") == b"OK"
        await client.stream.send_all(frame(b"c") + frame(b"vKill;1"))
        assert await client.hear() == b"OK"
        assert (await client.ask(b"vRun;")).startswith(b"T")
        target.killed = False
        await client.stream.send_all(frame(b"c"))
        while target.stopped is not None:
            await trio.lowlevel.checkpoint()

    converse(target, use)
    assert target.resets == 1
    assert not target.killed


names = st.sampled_from([row.name for row in TABLE])
bodies = st.one_of(
    st.binary(max_size=30),
    st.builds(lambda name, rest: name + rest, names, st.binary(max_size=30)),
    st.builds(lambda name, rest: name + rest.encode(), names, st.text("0123456789abcdef,;:=X-", max_size=30)),
)
noise = st.binary(max_size=20) | bodies.map(frame) | st.sampled_from([b"+", b"-", b"\x03", b"$m0,", b"#"])


@settings(max_examples=60)
@given(st.lists(noise, max_size=12))
def test_nothing_a_client_sends_ends_the_server(pieces: list[bytes]) -> None:
    target = MachineTarget(program.load(), actions=MachineTarget(program.load()).actions)

    async def use(client: Client) -> None:
        with trio.move_on_after(0.2):
            for piece in pieces:
                try:
                    await client.stream.send_all(piece)
                except trio.BrokenResourceError:
                    return

    converse(target, use)
    # The next client finds a target that answers.
    if target.stopped is not None and not target.stopped.is_final:
        assert replies(target, b"qC") == [b"QC1"]


def test_an_interrupt_between_two_steps_ends_the_second() -> None:
    """Or a software watchpoint, which is steps without end, could hardly be stopped."""
    stops: list[bytes] = []

    async def use(client: Client) -> None:
        stops.append(await client.ask(b"vCont;s:1;c"))
        await client.stream.send_all(b"\x03" + frame(b"vCont;s:1;c"))
        stops.append(await client.hear())
        stops.append(await client.ask(b"vCont;s:1;c"))

    converse(MachineTarget(program.load()), use)
    assert [stop[:3] for stop in stops] == [b"T05", b"T02", b"T05"]


def test_a_restart_that_does_not_happen_has_no_reply() -> None:
    """gdb would take one for the reply to its next question."""
    heard: list[bytes] = []

    async def use(client: Client) -> None:
        await client.stream.send_all(frame(b"R00"))
        heard.append(await client.ask(b"qC"))

    converse(MachineTarget(program.load()), use)
    assert heard == [b"QC1"]


def test_a_client_that_resets_before_it_is_accepted_ends_nothing() -> None:
    async def main() -> None:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        address = listeners[0].socket.getsockname()[:2]
        for _ in range(3):
            with socket.create_connection(address) as hasty:
                # Closing with a linger of no time resets.
                hasty.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(serve_listeners, listeners, MachineTarget(program.load()))
                async with await trio.open_tcp_stream(*address) as stream:
                    await stream.send_all(frame(b"qC"))
                    assert await stream.receive_some() == b"+" + frame(b"QC1")
                nursery.cancel_scope.cancel()

    trio.run(main)


def test_a_client_that_has_to_wait_for_the_stop_is_acknowledged_and_answered_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What gdb 13 does: `-` after two and after four seconds, if it has had its `+`; else its packet again.
    async def main() -> None:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        target = MachineTarget(program.load(), stopped=None)
        may_stop = trio.Event()

        async def stop() -> StopReason:
            await may_stop.wait()
            target.stopped = StopReason()
            return target.stopped

        monkeypatch.setattr(target, "wait_stop", stop)
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(serve_listeners, listeners, target)
                async with await trio.open_tcp_stream(*listeners[0].socket.getsockname()[:2]) as stream:
                    await stream.send_all(frame(b"qC"))
                    assert await stream.receive_some() == b"+"
                    await stream.send_all(b"--")
                    may_stop.set()
                    heard = b""
                    while frame(b"QC1") not in heard:
                        heard += await stream.receive_some()
                    await stream.send_all(b"+" + frame(b"qC"))
                    while heard.count(b"+") == 0:
                        heard += await stream.receive_some()
                    assert heard in (frame(b"QC1") + b"+", frame(b"QC1") + b"+" + frame(b"QC1"))
                nursery.cancel_scope.cancel()

    trio.run(main)


def test_a_refusal_is_read_by_a_client_that_has_asked_on_meanwhile() -> None:
    """gdb sends a `-` every two seconds; a socket that is closed with that unread takes the text back."""

    has_asked_on = trio.Event()

    class Unstoppable(MachineTarget):
        async def interrupt(self) -> None:
            await has_asked_on.wait()
            raise TargetError(errno.EBUSY, "it runs on")

    async def main() -> None:
        target = Unstoppable(program.load())
        await target.resume([Action()])
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_listeners, listeners, target)
            address = listeners[0].socket.getsockname()[:2]
            with trio.fail_after(20):
                async with await trio.open_tcp_stream(*address) as client:
                    await client.send_all(frame(b"qSupported"))
                    heard = await client.receive_some()
                    await client.send_all(b"-")
                    has_asked_on.set()
                    while data := await client.receive_some():
                        heard += data
            nursery.cancel_scope.cancel()
        assert frame(b"E.it runs on") in heard

    trio.run(main)
