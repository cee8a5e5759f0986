"""A mimic of the Linux kernel's KGDB on a serial console: what makes it different from a stub on a line of
its own.

The first packet is lost, kernel messages come between packets, the register block ends before fpscr, bad
memory is E22, threads come in pages, and it steps and has breakpoints of its own.
"""

from __future__ import annotations

import trio
from machine_target import MachineTarget

from gdbstub.packet import Decoder, Event, Packet, frame
from gdbstub.target import SIGTRAP, Action, ActionKind, Breakpoint, BreakpointKind, MemoryFault

BLOCK = 552
THREADS = list(range(1, 21))
MESSAGE = b"[   12.3] usb 1-1: new device + 2 ports - ok\r\n"


class KgdbStub:
    """Answers on a stream for ever."""

    def __init__(self, target: MachineTarget, greeting: bytes = b"", loses_the_first: bool = True) -> None:
        self.target = target
        self.greeting = greeting
        self.loses_the_first = loses_the_first
        self.log: list[bytes] = []

    async def run(self, stream: trio.abc.Stream) -> None:
        decoder = Decoder()
        if self.greeting:
            await stream.send_all(self.greeting)
        is_first = self.loses_the_first
        queue: list[Event] = []
        while True:
            while not queue:
                data = await stream.receive_some()
                if not data:
                    return
                queue = decoder.feed(bytes(data))
            event = queue.pop(0)
            if not isinstance(event, Packet):
                continue
            if is_first:
                is_first = False
                continue
            self.log.append(event.body)
            await stream.send_all(b"+" + MESSAGE)
            reply = await self._answer(event.body)
            if reply is not None:
                await stream.send_all(frame(reply) + MESSAGE)

    async def _answer(self, body: bytes) -> bytes | None:
        target = self.target
        try:
            match body[:1]:
                case b"?":
                    return b"S05"
                case b"g":
                    return (await target.read_registers(1))[:BLOCK].hex().encode()
                case b"G":
                    assert len(body) == 1 + 2 * BLOCK, len(body)
                    rest = (await target.read_registers(1))[BLOCK:]
                    await target.write_registers(1, bytes.fromhex(body[1:].decode()) + rest)
                    return b"OK"
                case b"m":
                    addr, length = (int(part, 16) for part in body[1:].split(b","))
                    data = await target.read_memory(addr, length)
                    return data.hex().encode() if len(data) == length else b"E22"
                case b"M":
                    place, digits = body[1:].split(b":")
                    await target.write_memory(int(place.split(b",")[0], 16), bytes.fromhex(digits.decode()))
                    return b"OK"
                case b"Z" | b"z":
                    addr = int(body.split(b",")[1], 16)
                    place_ = Breakpoint(BreakpointKind.SOFTWARE, addr)
                    if body[1:2] != b"0":
                        return b""
                    await (target.insert(place_) if body[:1] == b"Z" else target.remove(place_))
                    return b"OK"
                case b"c" | b"s":
                    await target.resume([Action(ActionKind.STEP if body == b"s" else ActionKind.CONTINUE)])
                    reason = await target.wait_stop()
                    return b"T%02xthread:1;" % (reason.signal or SIGTRAP)
                case b"q" if body == b"qC":
                    return b"QC%016x" % THREADS[0]
                case b"q" if body == b"qfThreadInfo":
                    return b"m" + b",".join(b"%016x" % n for n in THREADS[:17])
                case b"q" if body == b"qsThreadInfo":
                    done = self.log.count(b"qsThreadInfo") % 2 == 0
                    return b"l" if done else b"m" + b",".join(b"%016x" % n for n in THREADS[17:])
                case b"D":
                    return b"OK"
                case _:
                    return b""
        except MemoryFault:
            return b"E22"
