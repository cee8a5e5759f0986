"""A mimic of K42's in-kernel gdb stub over the mini machine, as unkind as the original.

It is written from the observed behaviour: one read is one chunk of the channel, and a chunk that is not
exactly one packet is answered `-`; an acknowledgement is one byte, and every byte but `+` makes it send the
whole reply again; no `s`, no `Z`, no `P`; OK to writes into precious functions that are not done;
reservations and SRR0/SRR1 lost at a stop.  Where the original would overrun a buffer or take garbage for
data, the mimic notes a violation as well, and tests assert that there is none.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field

import trio
from mini_machine import Machine, Trap

BUFMAX = 2048
MAX_READ = BUFMAX - 2
MAX_MEMORY_READ = 1022
SE = 0x400
GDB_TRAP = 0x7FE00008
SLICE = 500


class Resume(enum.Enum):
    CONTINUE = enum.auto()
    KILLED = enum.auto()


@dataclass
class K42Stub:
    """The stub, its machine, and what an onlooker would count.

    `block_at` is where its register block lies in memory, if that can be read.
    While there is `frozen`, it takes nothing before that event.

    `log` holds the commands taken; `console` what it prints there; `naks` and `repeats` what a noisy client
    causes.
    """

    machine: Machine
    precious: Sequence[int] = ()
    own_code: range = range(0)
    block_at: int | None = None
    frozen: trio.Event | None = None
    delay: float = 0.0
    connected: bool = False
    console: bytearray = field(default_factory=bytearray)
    log: list[bytes] = field(default_factory=list)
    naks: int = 0
    repeats: int = 0
    transactions: int = 0
    violations: list[str] = field(default_factory=list)
    is_running: bool = True
    stops: int = 0

    def __post_init__(self) -> None:
        self._stream: trio.abc.Stream | None = None
        self._channel = b""
        self._has_client = trio.Event()
        self._key = False
        self._signal = 5
        self._ps = 0

    # The channel

    def attach(self, stream: trio.abc.Stream) -> None:
        """Give the channel a client."""
        self._stream = stream
        self._channel = b""
        self._has_client.set()

    async def _read(self, limit: int) -> bytes:
        self.transactions += 1
        while not self._channel:
            await self._has_client.wait()
            assert self._stream is not None
            try:
                self._channel = bytes(await self._stream.receive_some(65536))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self._channel = b""
            if not self._channel:
                self._has_client = trio.Event()
            elif self.delay:
                await trio.sleep(self.delay)
        if self.frozen is not None:
            await self.frozen.wait()
        chunk, self._channel = self._channel[:limit], self._channel[limit:]
        return chunk

    async def _write(self, data: bytes) -> None:
        self.transactions += 1
        await self._has_client.wait()
        assert self._stream is not None
        if self.delay:
            await trio.sleep(self.delay)
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._has_client = trio.Event()

    async def _read_packet(self) -> bytes:
        while True:
            chunk = await self._read(MAX_READ)
            body = chunk[1:-3]
            checksum = b"%02x" % (sum(body) & 0xFF)
            if len(chunk) < 4 or chunk[0:1] != b"$" or chunk[-3:-2] != b"#" or chunk[-2:].lower() != checksum:
                self.naks += 1
                await self._write(b"-")
                continue
            await self._write(b"+")
            if len(chunk) >= 7 and chunk[3:4] == b":":
                await self._write(chunk[1:3])
                body = body[3:]
            self.log.append(body)
            return body

    async def _send_packet(self, body: bytes) -> None:
        if len(body) > BUFMAX - 4:
            self.violations.append(f"reply of {len(body)} bytes overruns the buffer")
        packet = b"$%b#%02x" % (body, sum(body) & 0xFF)
        await self._write(packet)
        while await self._read(1) != b"+":
            self.repeats += 1
            await self._write(packet)

    # The kernel

    def press_key(self) -> None:
        """Enter the debugger from the console."""
        self._key = True

    async def run(self) -> None:
        """Run the kernel until it is killed or switches itself off."""
        while True:
            trap = await self._run_machine()
            self.is_running = False
            if trap is None:
                if self.connected:
                    await self._send_packet(b"X09")
                return
            self.stops += 1
            if await self._handle(trap) is Resume.KILLED:
                return
            self.is_running = True

    async def _run_machine(self) -> Trap | None:
        machine = self.machine
        while True:
            for _ in range(SLICE):
                try:
                    if self._key:
                        self._key = False
                        return Trap(0x700, 0x20000)
                    machine.step()
                except Trap as trap:
                    return None if trap.vector == 0xC00 else trap
                if machine.msr & SE:
                    return Trap(0xD00)
            await trio.lowlevel.checkpoint()

    def _signal_of(self, trap: Trap) -> int:
        match trap.vector:
            case 0x300 | 0x400:
                return 11
            case 0x600 | 0xD00:
                return 5
            case 0x700 if trap.cause & 0x100000:
                return 8
            case 0x700 if trap.cause & 0xC0000:
                return 4
            case 0x700 if trap.cause & 0x20000:
                return 5
            case _:
                return 7

    async def _handle(self, trap: Trap) -> Resume:
        machine = self.machine
        # The kernel calls this code, too, and may be traced there; a planted trap is met by the stub first.
        if machine.pc in self.own_code and trap.vector == 0x700:
            self.violations.append(f"trap in the debugger at {machine.pc:#x}")
        machine.srr0, machine.srr1 = machine.pc, machine.msr | trap.cause
        machine.reservation = None
        self._ps = machine.msr | trap.cause
        self._signal = self._signal_of(trap)
        if trap.vector == 0x700 and trap.cause & 0x20000 and self._word(machine.pc) == GDB_TRAP:
            machine.pc += 4
        if self.connected:
            await self._send_packet(b"S%02x" % self._signal)
        else:
            self.console += b"GDB got trap: Program\npc %x\nwaiting for gdb on thinwire\n" % machine.pc
            self.connected = True
            await self._write(b"-")
        while True:
            command = await self._read_packet()
            resume = await self._obey(command)
            if resume is not None:
                return resume

    def _word(self, addr: int) -> int:
        try:
            return int.from_bytes(self.machine.read(addr, 4), "big")
        except Trap:
            return 0

    async def _obey(self, command: bytes) -> Resume | None:
        machine = self.machine
        arguments = command[1:]
        match command[:1]:
            case b"?":
                await self._send_packet(b"S%02x" % self._signal)
            case b"g":
                await self._send_packet(self._registers().hex().encode())
            case b"G":
                self._set_registers(arguments)
                await self._send_packet(b"OK")
            case b"m":
                await self._send_packet(self._read_memory(arguments))
            case b"M":
                await self._send_packet(self._write_memory(arguments))
            case b"c" | b"C":
                # The address of `C` never has an effect.
                if command[:1] == b"c" and arguments:
                    machine.pc = int(arguments, 16)
                self._ps &= ~SE
                machine.msr = self._ps & ~0x783F0000
                return Resume.CONTINUE
            case b"D":
                await self._send_packet(b"OK")
                self.connected = False
                machine.msr = self._ps & ~0x783F0000
                return Resume.CONTINUE
            case b"k":
                self.connected = False
                return Resume.KILLED
            case _:
                await self._send_packet(b"")
        return None

    def _registers(self) -> bytes:
        m = self.machine
        block = b"".join(value.to_bytes(8, "big") for value in (*m.gpr, *m.fpr, m.pc, self._ps))
        block += m.cr.to_bytes(4, "big") + m.lr.to_bytes(8, "big") + m.ctr.to_bytes(8, "big")
        return block + m.xer.to_bytes(4, "big") + m.fpscr.to_bytes(4, "big")

    def _set_registers(self, digits: bytes) -> None:
        if len(digits) != 1112:
            self.violations.append(f"G with {len(digits)} digits")
            return
        block = bytes.fromhex(digits.decode())
        m = self.machine
        m.gpr[:] = [int.from_bytes(block[8 * n : 8 * n + 8], "big") for n in range(32)]
        m.fpr[:] = [int.from_bytes(block[256 + 8 * n : 264 + 8 * n], "big") for n in range(32)]
        m.pc, self._ps = (int.from_bytes(block[at : at + 8], "big") for at in (512, 520))
        m.cr, m.xer, m.fpscr = (int.from_bytes(block[at : at + 4], "big") for at in (528, 548, 552))
        m.lr, m.ctr = (int.from_bytes(block[at : at + 8], "big") for at in (532, 540))

    def _read_memory(self, arguments: bytes) -> bytes:
        try:
            addr, length = (int(part, 16) for part in arguments.split(b","))
        except ValueError:
            return b"E01"
        if length > MAX_MEMORY_READ:
            self.violations.append(f"m of {length} bytes overruns the buffer")
        try:
            if self.block_at is not None and 0 <= addr - self.block_at < 556:
                return self._registers()[addr - self.block_at :][:length].hex().encode()
            return self.machine.read(addr, length).hex().encode() if length else b""
        except Trap:
            return b"E03"

    def _write_memory(self, arguments: bytes) -> bytes:
        try:
            place, digits = arguments.split(b":")
            addr, length = (int(part, 16) for part in place.split(b","))
        except ValueError:
            return b"E02"
        if len(digits) != 2 * length:
            self.violations.append(f"M of {length} bytes with {len(digits)} digits")
        if any(start <= addr < start + 64 for start in self.precious):
            return b"OK"
        if addr in self.own_code:
            self.violations.append(f"write into the stub's own code at {addr:#x}")
        if self.block_at is not None and 0 <= addr - self.block_at < 556:
            block, at = self._registers(), addr - self.block_at
            self._set_registers(
                (block[:at] + bytes.fromhex(digits.decode()) + block[at + length :]).hex().encode()
            )
            return b"OK"
        for offset, value in enumerate(bytes.fromhex(digits.decode())):
            try:
                self.machine.write(addr + offset, bytes((value,)))
            except Trap:
                return b"E03"
        return b"OK"
