"""A Target over the mini machine, written only against gdbstub.target: what the emulator's will look like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import trio
from mini_machine import Machine, Trap

from gdbstub import ppc64
from gdbstub.target import (
    SIGILL,
    SIGINT,
    SIGSEGV,
    SIGTRAP,
    Action,
    ActionKind,
    Breakpoint,
    BreakpointKind,
    Condition,
    MemoryFault,
    MemoryKind,
    MemoryRegion,
    StopKind,
    StopReason,
    TargetError,
    Thread,
)

SLICE = 500

INSTRUCTION_KINDS = {
    BreakpointKind.SOFTWARE: StopKind.SWBREAK,
    BreakpointKind.HARDWARE: StopKind.HWBREAK,
}
WATCH_KINDS = {
    BreakpointKind.WRITE: StopKind.WATCH,
    BreakpointKind.READ: StopKind.RWATCH,
    BreakpointKind.ACCESS: StopKind.AWATCH,
}


@dataclass
class _Look:
    machine: Machine

    def register(self, number: int) -> int:
        name = ppc64.BASIC.by_number[number].name
        return self.machine.gpr[number] if number < 32 else int(getattr(self.machine, name))

    def memory(self, addr: int, length: int) -> bytes:
        try:
            return self.machine.read(addr, length)
        except Trap:
            raise MemoryFault(addr) from None


class _Watched(Exception):
    def __init__(self, kind: StopKind, addr: int) -> None:
        self.kind = kind
        self.addr = addr


@dataclass
class MachineTarget:
    """Debugs a `Machine`.  `resumed` counts runs, `killed` and `detached` say what the client did last."""

    machine: Machine
    actions: frozenset[ActionKind] = frozenset({ActionKind.CONTINUE, ActionKind.STEP})
    stopped: StopReason | None = field(default_factory=StopReason)
    breakpoints: dict[Breakpoint, Condition | None] = field(default_factory=dict)
    resumed: int = 0
    killed: bool = False
    detached: bool = False
    resets: int = 0
    executable_name: str = ""
    description = ppc64.BASIC

    def __post_init__(self) -> None:
        self._wish = False
        self.entry = self.machine.pc
        self._range = range(0)
        self._is_ranging = False
        self.machine.watch = self._on_access

    async def threads(self) -> Sequence[Thread]:
        return [Thread(1, "cpu0", 0, "stopped" if self.stopped else "running")]

    async def read_registers(self, thread: int) -> bytes:
        m = self.machine
        values = {f"r{n}": v for n, v in enumerate(m.gpr)} | {f"f{n}": v for n, v in enumerate(m.fpr)}
        for name in ("pc", "msr", "cr", "lr", "ctr", "xer", "fpscr"):
            values[name] = getattr(m, name)
        return self.description.pack(values)

    async def write_registers(self, thread: int, block: bytes) -> None:
        values = self.description.unpack(block)
        m = self.machine
        m.gpr[:] = [values[f"r{n}"] for n in range(32)]
        m.fpr[:] = [values[f"f{n}"] for n in range(32)]
        for name in ("pc", "msr", "cr", "lr", "ctr", "xer", "fpscr"):
            setattr(m, name, values[name])

    async def read_register(self, thread: int, number: int) -> bytes:
        block = await self.read_registers(thread)
        return block[self.description.span(self.description.by_number[number].name)]

    async def write_register(self, thread: int, number: int, raw: bytes) -> None:
        block = bytearray(await self.read_registers(thread))
        block[self.description.span(self.description.by_number[number].name)] = raw
        await self.write_registers(thread, bytes(block))

    async def read_memory(self, addr: int, length: int) -> bytes:
        for start, data in self.machine.memory.items():
            if start <= addr < start + len(data):
                return bytes(data[addr - start : addr - start + length])
        raise MemoryFault(addr)

    async def write_memory(self, addr: int, data: bytes) -> None:
        try:
            self.machine.write(addr, data)
        except Trap:
            raise MemoryFault(addr) from None

    async def insert(self, breakpoint: Breakpoint, condition: Condition | None = None) -> None:
        self.breakpoints[breakpoint] = condition

    async def remove(self, breakpoint: Breakpoint) -> None:
        self.breakpoints.pop(breakpoint, None)

    async def resume(self, actions: Sequence[Action]) -> None:
        assert self.stopped is not None
        self.resumed += 1
        self.stopped = None
        self._wish = False
        self._range = actions[0].range
        self._is_ranging = actions[0].kind is ActionKind.RANGE_STEP
        if actions[0].kind is ActionKind.STEP:
            self.stopped = self._step() or StopReason()

    async def wait_stop(self) -> StopReason:
        while self.stopped is None:
            for _ in range(SLICE):
                self.stopped = self._step()
                if self._is_ranging and not self.stopped and self.machine.pc not in self._range:
                    self.stopped = StopReason()
                if self.stopped:
                    break
            else:
                if self._wish:
                    self.stopped = StopReason(signal=SIGINT)
            await trio.lowlevel.checkpoint()
        return self.stopped

    async def interrupt(self) -> None:
        self._wish = True

    async def detach(self) -> None:
        self.detached = True
        self.stopped = None

    async def kill(self) -> None:
        self.killed = True
        self.stopped = StopReason(StopKind.TERMINATED, 9)

    async def reset(self) -> None:
        self.resets += 1
        self.machine.pc = self.entry
        self.stopped = StopReason()

    async def memory_map(self) -> Sequence[MemoryRegion]:
        return [MemoryRegion(MemoryKind.RAM, 0, 1 << 64)]

    async def read_executable(self) -> bytes:
        return await trio.Path(self.executable_name).read_bytes()

    async def monitor(self, command: str) -> str:
        return f"you said {command}\n"

    def _holds(self, condition: Condition | None) -> bool:
        try:
            return condition is None or condition(_Look(self.machine))
        except TargetError:
            return True

    def _on_access(self, addr: int, length: int, is_write: bool) -> None:
        for place in self.breakpoints:
            kind = WATCH_KINDS.get(place.kind)
            if kind is None or addr + length <= place.addr or place.addr + place.length <= addr:
                continue
            if kind is StopKind.AWATCH or (kind is StopKind.WATCH) == is_write:
                raise _Watched(kind, max(addr, place.addr))

    def _step(self) -> StopReason | None:
        for place, condition in self.breakpoints.items():
            kind = INSTRUCTION_KINDS.get(place.kind)
            if place.addr == self.machine.pc and kind is not None and self._holds(condition):
                return StopReason(kind)
        try:
            self.machine.step()
        except _Watched as watched:
            return StopReason(watched.kind, addr=watched.addr)
        except Trap as trap:
            if trap.vector == 0xC00:
                return StopReason(StopKind.EXITED, status=self.machine.gpr[3] & 0xFF)
            if trap.vector == 0x700:
                return StopReason(signal=SIGTRAP if trap.cause & 0x20000 else SIGILL)
            return StopReason(signal=SIGSEGV)
        return None
