"""Serial manners: what a line with modem signals and a speed wants beyond bytes.

The target's driver raises DTR while it writes and RTS while it reads, and may send only while we assert RTS.
Hence the invariant, from which everything else here follows:

    Whenever we wait for input, RTS is asserted. It is set at open and again before every wait if something
    dropped it; a set that would change nothing is skipped.

(The original servers could wait with RTS down: the victim never sent, and the wait never ended. K42's own
setRTS patch is the same rule.) Options, all in `Manners`:

rts_toggle   drop RTS after every read, as the originals did, so that the victim is quiet while we are busy.
fixed_speed  the line's speed is never changed, whatever the victim asks for (K42's singlespeed patch). The
victim gets its
             two echoes all the same.
hardware     wait for CTS before writing. Where the originals spin for ever, a deadline ends the wait with a
message and the bytes
             are sent.
dtr          what DTR is at open; None leaves it.

Speed changes. Version 3: the victim's request is echoed at the old speed, the output drained, `SETTLE`
seconds given to the victim to switch, the speed set, and the request echoed again. Version 2, after the
sentinel: DTR down, wait for DSR down, change, DTR up, wait for DSR up, both waits with a deadline. A BREAK,
or a run of undecodable bytes (the server's to notice), means that the target is back at its first speed, and
so are we. A change of DSR does not: K42's driver drops DTR after every write.

The signals of a local device are ioctls (`TtyModem`), those behind RFC 2217 are commands in the stream
(`NetworkModem`); a pseudo terminal has a speed and no signals.
"""

import errno
import fcntl
import logging
import struct
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

import serial
import trio

from thinwire import descriptors, rfc2217
from thinwire.line import DescriptorLine, LineError, LineReset, LineState, Silence

log = logging.getLogger("thinwire")

SPEEDS = (
    *(50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400),
    *(4800, 9600, 19200, 38400, 57600, 115200, 230400),
)
"""The speeds that the original servers can be told."""
SETTLE = 1.0
"""Seconds for the victim to switch its UART between the echoes; the originals sleep as long."""
SIGNAL_DEADLINE = 5.0
"""Seconds to wait for CTS or DSR."""
SIGNAL_POLL = 0.005
"""Seconds between looks at a signal; the blocking ioctl would need a thread that cannot be cancelled."""


@dataclass(frozen=True, slots=True)
class Manners:
    """How to treat a serial line. Speeds in bits a second."""

    first_speed: int = 9600
    second_speed: int = 115200
    fixed_speed: bool = False
    rts_toggle: bool = False
    hardware: bool = False
    dtr: bool | None = True
    settle: float = SETTLE
    deadline: float = SIGNAL_DEADLINE


DEFAULT_MANNERS = Manners()


class Modem(Protocol):
    """The signals of one serial line. None for an input means that this line has no such signal."""

    def set_rts(self, on: bool) -> None: ...

    def set_dtr(self, on: bool) -> None: ...

    def set_speed(self, speed: int) -> None: ...

    def cts(self) -> bool | None: ...

    def dsr(self) -> bool | None: ...

    def breaks(self) -> int:
        """How many breaks the target has sent, as far as anybody counts them."""

    async def drain(self) -> None:
        """Wait until what was written has left the transmitter, if that can be known."""

    def close(self) -> None:
        """Close the descriptor."""

    def encode(self, data: bytes) -> bytes:
        """Serial data as the descriptor wants it."""

    def decode(self, data: bytes) -> bytes:
        """The serial data among what the descriptor gave."""


class SerialLine(DescriptorLine):
    """A line with signals and a speed."""

    def __init__(
        self, descriptor: int, modem: Callable[[Callable[[bytes], None]], Modem], manners: Manners
    ) -> None:
        super().__init__(descriptor, descriptor)
        self._descriptor = descriptor
        self._modem = modem(super().push)
        self._manners = manners
        self._rts = False
        self._speed = manners.first_speed
        self._breaks = self._modem.breaks()
        self._warned = False
        self._early = b""  # data that is read and not yet returned
        self._modem.set_speed(manners.first_speed)
        if manners.dtr is not None:
            self._modem.set_dtr(manners.dtr)
        self._set_rts(True)

    def take(self) -> bytes | None:
        """See Line: what there is may be a signal."""
        return None

    async def receive(self, silence: Silence) -> bytes | None:
        """See Line."""
        while True:
            if self._early:
                if self._manners.rts_toggle:
                    self._set_rts(False)
                early, self._early = self._early, b""
                return early
            self._lookout.look_at_clients()
            data = descriptors.read_now(self._descriptor)
            if data is None:
                self._set_rts(True)
                data = await super().receive(silence)
            if not data:
                return data
            self._early = self._modem.decode(data)
            self._check_for_break()

    def push(self, data: bytes) -> None:
        """See Line."""
        data = self._modem.encode(data)
        if self._manners.hardware and data:
            self._keep(data)
        else:
            super().push(data)

    async def change_speed(self, speed: int | None) -> None:
        """See Line."""
        manners = self._manners
        wanted = manners.second_speed if speed is None else speed
        if manners.fixed_speed or (speed is None and wanted == self._speed):
            return
        await self._modem.drain()
        if speed is None:
            self._modem.set_dtr(False)
            await self._wait_for("DSR to fall", lambda: self._dsr() is not True)
            self._set_speed(wanted)
            self._modem.set_dtr(True)
            await self._wait_for("DSR to rise", lambda: self._dsr() is not False)
        else:
            await trio.sleep(manners.settle)
            self._set_speed(wanted)

    def return_to_first_speed(self) -> bool:
        """See Line."""
        before = self._speed
        self._set_speed(self._manners.first_speed)
        return before != self._speed

    def state(self) -> LineState:
        """See Line."""
        inputs = {"cts": self._modem.cts(), "dsr": self._modem.dsr()}
        known = {name: value for name, value in inputs.items() if value is not None}
        return {"speed": self._speed, "rts": self._rts, "breaks": self._modem.breaks(), **known}

    def close(self) -> None:
        """See Line."""
        self._modem.close()

    async def _may_write(self) -> None:
        if self._manners.hardware:
            await self._wait_for("CTS", lambda: self._modem.cts() is not False)
        await super()._may_write()

    def _dsr(self) -> bool | None:
        """DSR as it is now; behind RFC 2217 the news of it comes among the data."""
        if len(self._early) < descriptors.CHUNK and (data := descriptors.read_now(self._descriptor)):
            self._early += self._modem.decode(data)
        return self._modem.dsr()

    def _set_rts(self, on: bool) -> None:
        if self._rts is not on:
            self._modem.set_rts(on)
            self._rts = on

    def _set_speed(self, speed: int) -> None:
        if speed == self._speed:
            return
        try:
            self._modem.set_speed(speed)
        except (ValueError, OSError) as error:
            log.error(
                "the line cannot be set to %d bits a second (%s); it stays at %d", speed, error, self._speed
            )
            return
        self._speed = speed

    def _check_for_break(self) -> None:
        breaks = self._modem.breaks()
        if breaks != self._breaks:
            self._breaks = breaks
            self.return_to_first_speed()
            raise LineReset("the target sent a break: the line is back at its first speed")

    async def _wait_for(self, what: str, holds: Callable[[], bool]) -> None:
        """Wait for a signal, but not for ever: a cable may lack the wire."""
        deadline = trio.current_time() + self._manners.deadline
        while not holds():
            if trio.current_time() >= deadline:
                self._warn(what)
                return
            await trio.sleep(SIGNAL_POLL)

    def _warn(self, what: str) -> None:
        if not self._warned:
            self._warned = True
            log.warning(
                "waited %g s for %s; going on without (is the wire there?)", self._manners.deadline, what
            )


@contextmanager
def _termios_errors() -> Iterator[None]:
    """The errors of termios, which are no OSErrors, as OSErrors."""
    try:
        yield
    except termios.error as error:
        raise OSError(*error.args) from error


class TtyModem:
    """The signals of a local device. A pseudo terminal has none, which shows as ENOTTY or EINVAL."""

    def __init__(self, port: serial.Serial) -> None:
        self._port = port

    def set_rts(self, on: bool) -> None:
        with suppress(OSError):
            self._port.rts = on

    def set_dtr(self, on: bool) -> None:
        with suppress(OSError):
            self._port.dtr = on

    def set_speed(self, speed: int) -> None:
        with _termios_errors():
            self._port.baudrate = speed

    def cts(self) -> bool | None:
        try:
            return bool(self._port.cts)
        except OSError:
            return None

    def dsr(self) -> bool | None:
        try:
            return bool(self._port.dsr)
        except OSError:
            return None

    def breaks(self) -> int:
        counters = bytearray(_COUNTERS.size)
        try:
            fcntl.ioctl(self._port.fileno(), _TIOCGICOUNT, counters)
        except OSError:
            return 0
        return int(_COUNTERS.unpack(counters)[_BREAKS])

    async def drain(self) -> None:
        descriptor = self._port.fileno()
        with suppress(OSError), _termios_errors():  # an adapter that is pulled out ends the line elsewhere
            await trio.to_thread.run_sync(termios.tcdrain, descriptor, abandon_on_cancel=True)

    def close(self) -> None:
        # Not behind pyserial's back: its destructor would close the number again, whoever has it by then.
        trio.lowlevel.notify_closing(self._port.fileno())
        self._port.close()

    def encode(self, data: bytes) -> bytes:
        return data

    def decode(self, data: bytes) -> bytes:
        return data


# linux/serial.h, struct serial_icounter_struct: cts dsr rng dcd rx tx frame overrun parity brk buf_overrun
_TIOCGICOUNT = 0x545D
_COUNTERS = struct.Struct("11i9i")
_BREAKS = 9


class NetworkModem:
    """The signals of a port behind RFC 2217, as commands in the stream of data; `send` puts bytes there."""

    def __init__(self, descriptor: int, send: Callable[[bytes], None]) -> None:
        self._descriptor = descriptor
        self._send = send
        self._telnet = rfc2217.Rfc2217()
        self._warned = False
        send(self._telnet.start())

    def set_rts(self, on: bool) -> None:
        self._send(rfc2217.set_control(rfc2217.RTS_ON if on else rfc2217.RTS_OFF))

    def set_dtr(self, on: bool) -> None:
        self._send(rfc2217.set_control(rfc2217.DTR_ON if on else rfc2217.DTR_OFF))

    def set_speed(self, speed: int) -> None:
        self._send(rfc2217.set_speed(speed))

    def cts(self) -> bool | None:
        return None if self._telnet.refused else self._telnet.cts

    def dsr(self) -> bool | None:
        return None if self._telnet.refused else self._telnet.dsr

    def breaks(self) -> int:
        return self._telnet.breaks

    async def drain(self) -> None:
        await trio.lowlevel.checkpoint()  # the transmitter is elsewhere; the pause that follows has to do

    def close(self) -> None:
        descriptors.close(self._descriptor)

    def encode(self, data: bytes) -> bytes:
        return rfc2217.encode(data)

    def decode(self, data: bytes) -> bytes:
        data = self._telnet.decode(data)
        if self._telnet.answers:
            answers, self._telnet.answers = self._telnet.answers, b""
            self._send(answers)
        if self._telnet.refused and not self._warned:
            self._warned = True
            log.warning("the server does not do com port control (RFC 2217): no speed, no modem signals")
        return data


def open_serial_device(path: str, manners: Manners) -> SerialLine:
    """Open a local device for us alone. Raises OSError; LineError if it is in use."""
    try:
        # timeout=0 alone would make reads return nothing at once (VMIN 0), which looks like the end of the
        # stream.
        port = serial.Serial(
            None, manners.first_speed, timeout=0, inter_byte_timeout=0, exclusive=True, rtscts=False
        )
        port.port = path
        # pyserial raises DTR when it opens unless told, and leaves it alone if it were to serve flow control.
        port.dtr, port.dsrdtr = manners.dtr is not False, manners.dtr is None
        port.open()
    except ValueError as error:
        raise LineError(f"{path} cannot be set to {manners.first_speed} bits a second ({error})") from error
    except serial.SerialException as error:
        if "exclusively lock" in str(error):
            raise LineError(f"{path} is in use by another program") from error
        if isinstance(error.__context__, termios.error):
            raise LineError(f"{path} is no serial device: {error.__context__.args[-1]}") from error
        raise OSError(error.errno or errno.EIO, str(error)) from error
    with suppress(OSError):
        fcntl.ioctl(port.fileno(), termios.TIOCEXCL)
    return SerialLine(port.fileno(), lambda _: TtyModem(port), manners)


def open_network_port(descriptor: int, manners: Manners) -> SerialLine:
    """A line on a connected RFC 2217 socket."""
    return SerialLine(descriptor, lambda send: NetworkModem(descriptor, send), manners)
