"""A mimic of the Linux kernel's KGDB on a serial console that it shares with everybody, as one was seen to
behave (6.1, 64-bit PowerPC, big-endian).

- Nobody is attached: a stop is told by a line of text at most, and the stub waits for `$`.
- Somebody is: a stop is a packet, and the stub waits for one character.  `+` ends the waiting, `$` makes it
  say `-`, which loses the packet that begins so, anything else has it repeat.
- While the kernel runs nobody reads packets: a terminal echoes what is typed, and ^O g stops the kernel.
- A packet longer than the buffer is swallowed without a word.
- The register block has nothing of cr, half of ctr, and xer in eight bytes; the saved registers lie under the
  stack pointer.
- Another thread's block has no r1; its task and its stack do.
- Threads come in pages of 17, the processor's idle thread first under a negative number; an empty reply ends
  the list.
- Setting a breakpoint twice is an error, and so is removing one that is not there; `?` removes them all.
- One that is set where the kernel goes on makes it skip that instruction.
"""

from __future__ import annotations

from contextlib import suppress

import trio
from machine_target import MachineTarget

from gdbstub.packet import frame
from gdbstub.target import SIGTRAP, Action, ActionKind, Breakpoint, BreakpointKind, MemoryFault

BUFFER = 1624
BLOCK = 556
CPU = 0xFFFFFFFE
PAGE = 17
TASKS = list(range(1, 44))
MESSAGE = b"[   12.3] usb 1-1: new device + 2 ports - ok, 50% of $5\r\n"
WAITING = b"KGDB: Waiting for connection from remote gdb...\r\n"
ENTERING = b"sysrq: DEBUG\r\nKGDB: Entering KGDB\r\n"

# Where the kernel saves the registers of what it interrupted: so far under the stack pointer, and in it after
# r0 to r31, pc, msr and the original r3.
SAVED = 288 + 384
CTR_AT = 256 + 8 * 3
CR_AT = 256 + 8 * 6

# What other threads' tasks and stacks look like, in memory that nothing else uses.
TASK_AREA = 0xC000_0000_0200_0000
# A task structure, and behind it its stack.
TASK_SIZE = 0x4000
STACK_SIZE = 0x4000
KSP_AT = 0x6F0
SWITCH_FRAME = 112 + 8 * 14
CALLER_FRAME = 0x180


class KgdbStub:
    """Answers on a stream for ever.  The kernel has stopped at first, with or without a debugger before."""

    def __init__(
        self,
        target: MachineTarget,
        greeting: bytes = WAITING,
        current: int = 1,
        was_attached: bool = False,
        kept_at: int = 0,
        saves: bool = True,
    ) -> None:
        self.kept_at = kept_at
        self.saves = saves
        self.target = target
        self.greeting = greeting
        self.current = current
        self.log: list[bytes] = []
        self.typed = b""
        self.echoes = True
        self.messages = MESSAGE
        self.naks = 0
        self.skipped = 0
        self.runs = 0
        self._is_attached = was_attached
        self._breakpoints: set[int] = set()
        self._selected = current
        self._page = 0
        self._input = b""
        self._power_off = trio.Event()
        self._has_keys = trio.Event()
        for tid in TASKS:
            self._build_task(tid)

    # The line

    async def run(self, stream: trio.abc.Stream) -> None:
        """Serve until the line is closed."""
        self._stream = stream
        try:
            if self._is_attached:
                await self._await_ack(b"T05thread:01;")
            else:
                await self._stream.send_all(self.greeting)
            while True:
                await self._debug()
                await self._run_kernel()
        except* (trio.EndOfChannel, trio.BrokenResourceError):
            pass

    async def boot(self, stream: trio.abc.Stream) -> None:
        """Serve from a reset on: the kernel is idle, nobody is attached, and it stops once, at the keys."""
        self._stream = stream
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen_as_a_terminal)
            await self._has_keys.wait()
            nursery.cancel_scope.cancel()
        await self._debug()

    async def _get(self) -> bytes:
        while not self._input:
            with suppress(trio.ClosedResourceError):
                self._input = bytes(await self._stream.receive_some())
            if not self._input:
                raise trio.EndOfChannel
        first, self._input = self._input[:1], self._input[1:]
        return first

    async def _get_packet(self) -> bytes:
        while True:
            while await self._get() != b"$":
                pass
            self._is_attached = True
            body = b""
            while len(body) < BUFFER - 1 and (byte := await self._get()) != b"#":
                body += byte
            if len(body) == BUFFER - 1:
                continue
            given = await self._get() + await self._get()
            if given == frame(body)[-2:]:
                await self._stream.send_all(b"+")
                return body
            await self._stream.send_all(b"-")

    async def _put_packet(self, body: bytes) -> None:
        await self._stream.send_all(frame(body))
        await self._await_ack(body)

    async def _await_ack(self, body: bytes) -> None:
        while True:
            byte = await self._get()
            if byte == b"\3":
                byte = await self._get()
            if byte == b"+":
                return
            if byte == b"$":
                self.naks += 1
                await self._stream.send_all(b"-")
                return
            await self._stream.send_all(frame(body))

    # Stopped and running

    async def _debug(self) -> None:
        """Answer until the kernel is to run."""
        self._save_registers()
        self._selected = self.current
        while True:
            body = await self._get_packet()
            self.log.append(body)
            match body[:1]:
                case b"c" | b"s":
                    self._verb = body
                    return
                case b"D":
                    self._breakpoints.clear()
                    self._is_attached = False
                    self._verb = b"c"
                    await self._put_packet(b"OK")
                    return
                case b"k":
                    self._breakpoints.clear()
                    self._is_attached = False
                    self._verb = b"c"
                    return
                case _:
                    await self._put_packet(await self._answer(body))

    async def _run_kernel(self) -> None:
        """Run to the next stop, with a terminal on the line."""
        target = self.target
        await self._stream.send_all(self.messages)
        if target.machine.pc in self._breakpoints:
            self.skipped += 1
            target.machine.pc += 4
        if self._verb == b"s":
            target.breakpoints.clear()
            await target.resume([Action(ActionKind.STEP)])
            reason = await target.wait_stop()
        else:
            target.breakpoints = {
                Breakpoint(BreakpointKind.SOFTWARE, addr): None for addr in self._breakpoints
            }
            await target.resume([Action()])
            self.runs += 1
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._listen_as_a_terminal)
                nursery.start_soon(self._await_power_off)
                reason = await target.wait_stop()
                nursery.cancel_scope.cancel()
        if self._is_attached:
            await self._put_packet(b"T%02xthread:%b;" % (reason.signal or SIGTRAP, _pack(self.current)))
        # Somebody who is not attached is told by text, if by anything.

    async def _listen_as_a_terminal(self) -> None:
        is_key = False
        while True:
            byte = await self._get()
            if is_key and byte == b"g":
                if not self._is_attached:
                    await self._stream.send_all(ENTERING)
                await self.target.interrupt()
                self._has_keys.set()
            elif byte != b"\x0f":
                self.typed += byte
                if self.echoes:
                    await self._stream.send_all(byte)
            is_key = byte == b"\x0f"

    def switch_off(self) -> None:
        """Have the kernel power off while it runs."""
        self._power_off.set()

    async def _await_power_off(self) -> None:
        await self._power_off.wait()
        if self._is_attached:
            await self._stream.send_all(frame(b"W03"))
        await self._stream.send_all(b"reboot: Power down\r\n")
        await self._stream.aclose()
        raise trio.EndOfChannel

    # Answers

    async def _answer(self, body: bytes) -> bytes:
        target = self.target
        try:
            match body[:1]:
                case b"?":
                    self._breakpoints.clear()
                    return b"S05"
                case b"g":
                    return (await self._block()).hex().encode()
                case b"G":
                    return await self._set_block(bytes.fromhex(body[1:].decode()))
                case b"m":
                    addr, length = (int(part, 16) for part in body[1:].split(b","))
                    data = await target.read_memory(addr, length)
                    return data.hex().encode() if len(data) == length else b"E22"
                case b"M":
                    place, digits = body[1:].split(b":")
                    await target.write_memory(int(place.split(b",")[0], 16), bytes.fromhex(digits.decode()))
                    self._load_saved()
                    return b"OK"
                case b"Z" | b"z":
                    return self._breakpoint(body)
                case b"H":
                    tid = int(body[2:], 16) & 0xFFFFFFFF
                    if tid not in (CPU, *TASKS):
                        return b"E22"
                    if body[1:2] == b"g":
                        self._selected = tid
                    return b"OK"
                case b"T":
                    return b"OK" if int(body[1:], 16) & 0xFFFFFFFF in (CPU, *TASKS) else b"E22"
                case b"q":
                    return self._query(body)
                case _:
                    return b""
        except MemoryFault:
            return b"E22"

    def _breakpoint(self, body: bytes) -> bytes:
        addr = int(body.split(b",")[1], 16)
        if body[1:2] != b"0":
            return b""
        if (body[:1] == b"Z") == (addr in self._breakpoints):
            return b"E17" if body[:1] == b"Z" else b"E02"
        (self._breakpoints.add if body[:1] == b"Z" else self._breakpoints.remove)(addr)
        return b"OK"

    def _query(self, body: bytes) -> bytes:
        if body == b"qC":
            return b"QC" + _pack(self.current)
        if body.startswith(b"qThreadExtraInfo,"):
            tid = int(body[17:], 16) & 0xFFFFFFFF
            return (b"shadowCPU0" if tid == CPU else b"task/%d" % tid).ljust(16, b"\0").hex().encode()
        if body in (b"qfThreadInfo", b"qsThreadInfo"):
            self._page = 0 if body[1:2] == b"f" else self._page + 1
            page = TASKS[PAGE * self._page : PAGE * (self._page + 1)]
            listed = [CPU, *page] if body[1:2] == b"f" else page
            return b"m" + b",".join(_pack(tid) for tid in listed) if listed else b""
        return b""

    # Registers

    async def _block(self) -> bytes:
        if self._selected not in (self.current, CPU):
            return self._sleeping(self._selected)
        block = await self.target.read_registers(1)
        ctr, xer = self.target.machine.ctr, self.target.machine.xer
        # As far as msr it is what a debugger expects.
        short = block[: 66 * 8] + bytes(4) + block[66 * 8 + 4 : 66 * 8 + 4 + 8]
        return (short + (ctr >> 32).to_bytes(4, "big") + xer.to_bytes(8, "big")).ljust(BLOCK, b"\0")

    async def _set_block(self, block: bytes) -> bytes:
        if self._selected != self.current:
            return b"E22"
        assert len(block) == BLOCK, len(block)
        machine = self.target.machine
        old_cr, old_ctr = machine.cr, machine.ctr
        await self.target.write_registers(1, block)
        at = 66 * 8 + 4 + 8
        machine.cr = old_cr
        machine.ctr = int.from_bytes(block[at : at + 4], "big") << 32 | old_ctr & 0xFFFFFFFF
        machine.xer = int.from_bytes(block[at + 4 : at + 12], "big") & 0xFFFFFFFF
        self._save_registers()
        return b"OK"

    def _save_registers(self) -> None:
        if not self.saves:
            return
        machine = self.target.machine
        words = [*machine.gpr, machine.pc, machine.msr, 0, machine.ctr, machine.lr, machine.xer, machine.cr]
        self._saved_at = machine.gpr[1] - SAVED
        machine.write(self._saved_at, b"".join(word.to_bytes(8, "big") for word in words))

    def _load_saved(self) -> None:
        if not self.saves:
            return
        machine = self.target.machine
        machine.ctr = int.from_bytes(machine.read(self._saved_at + CTR_AT, 8), "big")
        machine.cr = int.from_bytes(machine.read(self._saved_at + CR_AT + 4, 4), "big")

    # Threads that sleep

    def _build_task(self, tid: int) -> None:
        area = bytearray(TASK_SIZE + STACK_SIZE)
        task = TASK_AREA + (TASK_SIZE + STACK_SIZE) * tid
        ksp = task + TASK_SIZE + 0x800
        area[KSP_AT : KSP_AT + 8] = ksp.to_bytes(8, "big")
        area[0x108:0x110] = (task + TASK_SIZE).to_bytes(8, "big")
        stack = TASK_SIZE + 0x800
        area[stack : stack + 8] = (ksp + CALLER_FRAME).to_bytes(8, "big")
        for number, value in enumerate(self._kept(tid)):
            at = stack + SWITCH_FRAME + 8 * number
            area[at : at + 8] = value.to_bytes(8, "big")
        self.target.machine.memory[task] = area

    def _kept(self, tid: int) -> list[int]:
        """r14 to r31 of a thread that sleeps: one of them points into its task."""
        values = [0x1000 * tid + number for number in range(14, 32)]
        values[30 - 14] = self.kept_at + TASK_AREA + (TASK_SIZE + STACK_SIZE) * tid
        values[20 - 14] = 0xC000_0000_0FF0_0000
        return values

    def _sleeping(self, tid: int) -> bytes:
        gprs = [0] * 14 + self._kept(tid)
        head = b"".join(value.to_bytes(8, "big") for value in gprs) + bytes(256)
        return (head + (0x1234).to_bytes(8, "big")).ljust(BLOCK, b"\0")


def stack_of(tid: int) -> int:
    """Return r1 of a thread that sleeps: its caller's, when it comes back."""
    return TASK_AREA + (TASK_SIZE + STACK_SIZE) * tid + TASK_SIZE + 0x800 + CALLER_FRAME


def _pack(tid: int) -> bytes:
    text = b"%x" % tid
    return text.zfill(len(text) + len(text) % 2)
