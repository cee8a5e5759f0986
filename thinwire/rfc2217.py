"""RFC 2217 without a socket: a serial port behind Telnet, its data, speed and modem lines.

Telnet marks commands with IAC (0xff), doubled where it is data. `Rfc2217` decodes what the server sends: data
comes out, negotiation is answered, modem and line state are remembered. Everything goes out through `encode`
and the `set_...` functions, in order with the data, and nothing waits for the server's acknowledgement: the
line's manners depend on the order of events, which the stream keeps, and waiting would cost a round trip for
each change of RTS.

References: RFC 854 (Telnet), RFC 856 (binary), RFC 858 (suppress go ahead), RFC 2217 (com port control, its
sections 3 and 4 for the numbers below).
"""

from dataclasses import dataclass

IAC, DONT, DO, WONT, WILL, SB, SE = 255, 254, 253, 252, 251, 250, 240
BINARY, SUPPRESS_GO_AHEAD, COM_PORT = 0, 3, 44

SET_BAUDRATE, SET_DATASIZE, SET_PARITY, SET_STOPSIZE, SET_CONTROL = 1, 2, 3, 4, 5
SET_LINESTATE_MASK, SET_MODEMSTATE_MASK = 10, 11
SERVER = 100
"""Added to a command's number in what the server sends."""
NOTIFY_LINESTATE, NOTIFY_MODEMSTATE = SERVER + 6, SERVER + 7
NO_FLOW_CONTROL, BREAK_ON, BREAK_OFF, DTR_ON, DTR_OFF, RTS_ON, RTS_OFF = 1, 5, 6, 8, 9, 11, 12
CTS, DSR = 0x10, 0x20
BREAK_SEEN = 0x10

_MAX_SUBNEGOTIATION = 64
"""The longest that means anything to us is 7 bytes; a server that sends more is cut off here."""


@dataclass(slots=True)
class Rfc2217:
    """One connection. `answers` collects the bytes that negotiation wants sent."""

    cts: bool = False
    dsr: bool = False
    breaks: int = 0
    refused: bool = False
    """The server does not do com port control: data flows, the rest has no effect."""
    answers: bytes = b""
    _pending: bytes = b""
    _subnegotiation: bytes | None = None

    def start(self) -> bytes:
        """The opening of the negotiation, and notifications switched on."""
        return (
            b"".join(
                bytes((IAC, verb, option))
                for verb, option in (
                    (WILL, COM_PORT),
                    (WILL, BINARY),
                    (DO, BINARY),
                    (WILL, SUPPRESS_GO_AHEAD),
                    (DO, SUPPRESS_GO_AHEAD),
                )
            )
            + command(SET_DATASIZE, b"\x08")
            + command(SET_PARITY, b"\x01")
            + command(SET_STOPSIZE, b"\x01")
            + command(SET_CONTROL, bytes((NO_FLOW_CONTROL,)))
            + command(SET_MODEMSTATE_MASK, b"\xff")
            + command(SET_LINESTATE_MASK, bytes((BREAK_SEEN,)))
        )

    def decode(self, data: bytes) -> bytes:
        """The serial data among what the server sent, in any split."""
        if not self._pending and self._subnegotiation is None and IAC not in data:
            return data
        data, self._pending = self._pending + data, b""
        output = bytearray()
        at = 0
        while at < len(data):
            if data[at] != IAC:
                stop = data.find(IAC, at)
                stop = len(data) if stop < 0 else stop
                self._text(data[at:stop], output)
                at = stop
            elif at + 1 == len(data) or (data[at + 1] in (WILL, WONT, DO, DONT) and at + 2 == len(data)):
                self._pending = data[at:]
                break
            elif data[at + 1] in (WILL, WONT, DO, DONT):
                self._negotiate(data[at + 1], data[at + 2])
                at += 3
            else:
                self._command(data[at + 1], output)
                at += 2
        return bytes(output)

    def _text(self, data: bytes, output: bytearray) -> None:
        if self._subnegotiation is None:
            output += data
        else:
            self._subnegotiation = (self._subnegotiation + data)[:_MAX_SUBNEGOTIATION]

    def _command(self, code: int, output: bytearray) -> None:
        if code == IAC:
            self._text(bytes((IAC,)), output)
        elif code == SB:
            self._subnegotiation = b""
        elif code == SE and self._subnegotiation is not None:
            self._notified(self._subnegotiation)
            self._subnegotiation = None

    def _notified(self, text: bytes) -> None:
        match list(text):
            case [44, 107, state]:
                self.cts, self.dsr = bool(state & CTS), bool(state & DSR)
            case [44, 106, state] if state & BREAK_SEEN:
                self.breaks += 1

    def _negotiate(self, verb: int, option: int) -> None:
        """Answer what we did not ask for with a refusal; the rest confirms or denies what `start` said."""
        known = option in (BINARY, SUPPRESS_GO_AHEAD, COM_PORT)
        if verb == DONT and option == COM_PORT:
            self.refused = True
        elif verb == DO and not known:
            self.answers += bytes((IAC, WONT, option))
        elif verb == WILL and not known:
            self.answers += bytes((IAC, DONT, option))
        elif verb == WILL and option == COM_PORT:
            self.answers += bytes((IAC, DO, option))


def encode(data: bytes) -> bytes:
    """Serial data as it goes over Telnet."""
    return data.replace(b"\xff", b"\xff\xff")


def command(number: int, value: bytes) -> bytes:
    """A com port command to the server."""
    return bytes((IAC, SB, COM_PORT, number)) + encode(value) + bytes((IAC, SE))


def set_speed(speed: int) -> bytes:
    """Bits a second."""
    return command(SET_BAUDRATE, speed.to_bytes(4, "big"))


def set_control(value: int) -> bytes:
    """One of the control values, such as RTS_ON."""
    return command(SET_CONTROL, bytes((value,)))
