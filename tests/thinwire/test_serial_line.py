"""Serial manners behind RFC 2217, judged by pyserial's server, which records what it is told in its order."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
import serial.rfc2217
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from thinwire import rfc2217
from thinwire.endpoints import Rfc2217
from thinwire.frames import SetSpeed, encode
from thinwire.handshake import SENTINEL
from thinwire.mux import Phase, Protocol, Rules
from thinwire.serial_line import Manners, NetworkModem
from thinwire.server import InProcess, Options, Server, serve

Event = tuple[str, object]
QUICK = Manners(settle=0.0, deadline=0.05)
FRAMED = Rules(assume_framed=True)
SELECT, NOTHING = b"!    ", b"!  $ \0\0\0\0"
SPEED = encode(SetSpeed(b"115200"))


class RecordingPort:
    """What pyserial's PortManager needs of a serial port; every change to it is an event."""

    cts = dsr = cd = True
    ri = False
    rts = dtr = break_condition = False
    baudrate, bytesize, parity, stopbits = 9600, 8, "N", 1
    rtscts = xonxoff = False

    def __init__(self, events: list[Event]) -> None:
        self._events = events

    def __setattr__(self, name: str, value: object) -> None:
        if not name.startswith("_"):
            self._events.append((name, value))
        super().__setattr__(name, value)

    def reset_input_buffer(self) -> None:
        """PortManager purges when asked to."""

    reset_output_buffer = reset_input_buffer


class Peer:
    """An RFC 2217 server for one connection; behind it is the victim, which the test plays."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.events: list[Event] = []
        self.port = RecordingPort(self.events)
        self._stream = stream
        self._to_send = bytearray()
        self._manager = serial.rfc2217.PortManager(self.port, self)

    def write(self, data: bytes) -> None:
        """PortManager answers through this."""
        self._to_send += data

    async def send(self, data: bytes) -> None:
        """The victim speaks."""
        self.events.append(("sent", data))
        self._to_send += b"".join(self._manager.escape(data))
        await self._flush()

    async def change(self, **inputs: bool) -> None:
        """Modem inputs change on the server's side."""
        for name, value in inputs.items():
            vars(self.port)[name] = value
        self._manager.check_modem_lines()
        await self._flush()

    async def hear(self, *wanted: Event) -> None:
        """Take what the server says until all this has come, in this order, since the last thing sent."""
        while not self._ends_with(wanted):
            data = await self._stream.receive_some()
            assert data, self.events
            for byte in self._manager.filter(data):
                match self.events[-1] if self.events else None:
                    case "heard", bytes(before):
                        self.events[-1] = ("heard", before + byte)
                    case _:
                        self.events.append(("heard", byte))
            await self._flush()

    def _ends_with(self, wanted: tuple[Event, ...]) -> bool:
        return self.events[-len(wanted) :] == list(wanted)

    async def send_break(self) -> None:
        """The victim sends a break; PortManager has no line state, so this is said for it (RFC 2217, 106)."""
        self._to_send += rfc2217.command(rfc2217.NOTIFY_LINESTATE, bytes((rfc2217.BREAK_SEEN,)))
        await self._flush()

    async def _flush(self) -> None:
        data = bytes(self._to_send)
        self._to_send.clear()
        await self._stream.send_all(data)


def with_peer(
    script: Callable[[Peer, Server], Awaitable[None]], manners: Manners = QUICK, rules: Rules = FRAMED
) -> None:
    """Run the whole server on an RFC 2217 line against a recording peer."""

    async def main() -> None:
        with trio.fail_after(20):
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            port = listener.socket.getsockname()[1]
            async with trio.open_nursery() as nursery, listener:
                options = Options(rules, manners)
                server = await nursery.start(serve, Rfc2217("127.0.0.1", port), {0: InProcess()}, options)
                async with await listener.accept() as stream:
                    peer = Peer(stream)
                    await peer.hear(("baudrate", 9600), ("dtr", True), ("rts", True))
                    await script(peer, server)
                    nursery.cancel_scope.cancel()

    trio.run(main)


def test_rts_stays_asserted_while_nothing_drops_it() -> None:
    async def script(peer: Peer, server: Server) -> None:
        for _ in range(3):
            await peer.send(SELECT)
            await peer.hear(("sent", SELECT), ("heard", NOTHING))
        assert ("rts", False) not in peer.events

    with_peer(script)


def test_with_the_toggle_rts_falls_after_each_read_and_is_up_again_before_each_wait() -> None:
    """The rule of K42's setRTS patch: were the last event missing, the victim could never send again."""

    async def script(peer: Peer, server: Server) -> None:
        for _ in range(3):
            await peer.send(SELECT)
            await peer.hear(("sent", SELECT), ("rts", False), ("heard", NOTHING), ("rts", True))

    with_peer(script, replace(QUICK, rts_toggle=True))


def test_a_speed_request_is_echoed_then_obeyed_then_echoed_again() -> None:
    async def script(peer: Peer, server: Server) -> None:
        await peer.send(SPEED)
        await peer.hear(("sent", SPEED), ("heard", SPEED), ("baudrate", 115200), ("heard", SPEED))
        assert server.line_state()["speed"] == 115200

    with_peer(script)


def test_of_many_speed_requests_at_once_the_last_is_obeyed_and_all_are_echoed() -> None:
    """A victim waits for its echoes, so these are noise; a second of settling for each would be hours."""

    async def script(peer: Peer, server: Server) -> None:
        noise = encode(SetSpeed(b"300")) * 3
        await peer.send(noise + SPEED)
        await peer.hear(("heard", 2 * noise + SPEED), ("baudrate", 115200), ("heard", SPEED))

    with_peer(script)


def test_a_fixed_speed_is_kept_and_the_victim_has_its_echoes() -> None:
    """The rule of K42's singlespeed patch."""

    async def script(peer: Peer, server: Server) -> None:
        await peer.send(SPEED)
        await peer.hear(("sent", SPEED), ("heard", SPEED + SPEED))
        assert server.line_state()["speed"] == 9600

    with_peer(script, replace(QUICK, fixed_speed=True))


def test_version_two_changes_the_speed_behind_a_dance_of_dtr_and_dsr() -> None:
    async def script(peer: Peer, server: Server) -> None:
        await peer.send(SENTINEL)
        await peer.hear(("sent", SENTINEL), ("dtr", False))
        await peer.change(dsr=False)
        await peer.hear(("dtr", False), ("baudrate", 57600), ("dtr", True))
        await peer.change(dsr=True)
        await peer.send(SELECT)
        await peer.hear(("sent", SELECT), ("heard", NOTHING))

    with_peer(script, Manners(second_speed=57600, settle=0.0, deadline=60), Rules(protocol=Protocol.V2))


def test_a_victim_that_does_not_dance_is_not_waited_for_for_ever() -> None:
    async def script(peer: Peer, server: Server) -> None:
        await peer.send(SENTINEL)
        await peer.hear(("sent", SENTINEL), ("dtr", False), ("baudrate", 115200), ("dtr", True))

    with_peer(script, rules=Rules(protocol=Protocol.V2))


def test_garbage_returns_the_line_to_its_first_speed() -> None:
    async def script(peer: Peer, server: Server) -> None:
        await peer.send(SENTINEL)
        await peer.send(SPEED)
        await peer.hear(("sent", SPEED), ("heard", SPEED), ("baudrate", 115200), ("heard", SPEED))
        assert server.mux.phase is Phase.FRAMED
        garbage = b"\x80\xfe\xff\0" * 16
        await peer.send(garbage)
        await peer.hear(("sent", garbage), ("baudrate", 9600))
        await peer.send(SENTINEL + SELECT)
        await peer.hear(("heard", NOTHING))

    with_peer(script, rules=Rules())


def test_a_break_returns_the_line_to_its_first_speed() -> None:
    async def script(peer: Peer, server: Server) -> None:
        await peer.send(SENTINEL + SPEED)
        await peer.hear(("heard", SPEED), ("baudrate", 115200), ("heard", SPEED))
        await peer.send_break()
        await peer.hear(("baudrate", 9600))
        await peer.send(SENTINEL + SELECT)
        await peer.hear(("heard", NOTHING))

    with_peer(script, rules=Rules())


def test_hardware_flow_control_waits_for_clear_to_send() -> None:
    async def script(peer: Peer, server: Server) -> None:
        await peer.change(cts=False)
        await peer.send(SELECT)
        await peer.change(cts=True)
        await peer.hear(("heard", NOTHING))

    with_peer(script, Manners(hardware=True, deadline=60))


def test_a_missing_wire_is_waited_for_only_so_long(caplog: pytest.LogCaptureFixture) -> None:
    async def script(peer: Peer, server: Server) -> None:
        await peer.change(cts=False)
        await peer.send(SELECT)
        await peer.hear(("sent", SELECT), ("heard", NOTHING))
        assert "waited 0.05 s for CTS" in caplog.text
        await peer.change(cts=True)

    with_peer(script, replace(QUICK, hardware=True))


def test_bytes_that_telnet_would_take_for_commands_pass_both_ways() -> None:
    async def script(peer: Peer, server: Server) -> None:
        console = server.attach(0)
        await peer.send(b'0  " \xff\xf0')
        await peer.hear(("heard", b'A  " '))
        assert await console.receive_some() == b"\xff\xf0"
        await console.send_all(b"\xff\xfa")
        await peer.send(b"A  ) ")
        await peer.hear(("heard", b'0  " \xff\xfa'))

    with_peer(script)


@given(st.binary(), st.lists(st.integers(0, 10**6)))
def test_data_survives_telnet_in_any_split(data: bytes, cuts: list[int]) -> None:
    wire = rfc2217.command(rfc2217.NOTIFY_MODEMSTATE, b"\x30") + rfc2217.encode(data)
    codec = rfc2217.Rfc2217()
    places = sorted({0, len(wire), *(cut % len(wire) for cut in cuts)})
    pieces = [codec.decode(wire[start:stop]) for start, stop in zip(places, places[1:], strict=False)]
    assert b"".join(pieces) == data
    assert codec.cts and codec.dsr


@given(st.binary(max_size=200))
def test_telnet_garbage_is_survived(data: bytes) -> None:
    codec = rfc2217.Rfc2217()
    assert len(codec.decode(data)) <= len(data)


def test_a_server_without_com_port_control_has_no_signals_to_wait_for() -> None:
    modem = NetworkModem(-1, lambda data: None)
    assert (modem.cts(), modem.dsr()) == (False, False)
    assert modem.decode(bytes((rfc2217.IAC, rfc2217.DONT, rfc2217.COM_PORT)) + b"data") == b"data"
    assert (modem.cts(), modem.dsr()) == (None, None)
