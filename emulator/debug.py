"""The machine as gdb's Target: the only file of the emulator that knows gdbstub.

A parked machine is a stopped target.  Memory can also be read and written while the guest runs, between
two of its slices; registers cannot.  Stepping is one instruction of the machine, MSR[SE] untouched.
`kill` and `reset` put the machine back to its first instruction and leave it there.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import trio

from emulator.catches import Catches
from emulator.cpu.exits import Exit, ExitKind
from emulator.cpu.interrupts import Vector
from emulator.cpu.mmu import Watch
from emulator.cpu.registers import REGISTERS, SYSTEM
from emulator.cpu.state import INDEX, CpuState
from emulator.machine import Machine
from emulator.monitor_commands import BadCommand, MonitorCommands
from emulator.runner import FINAL, MachineRunner, describe
from gdbstub.ppc64 import ALTIVEC, spr_feature
from gdbstub.ppc64 import describe as describe_ppc64
from gdbstub.target import (
    INSTRUCTION_KINDS,
    SIGBUS,
    SIGEMT,
    SIGFPE,
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
    StopKind,
    StopReason,
    TargetError,
    Thread,
)

DESCRIPTION = describe_ppc64(ALTIVEC, spr_feature(tuple(register.name for register in SYSTEM)))

#: gdb watches at most a doubleword; a region is as long as the user likes, but not for ever.
LONGEST_WATCH = 1 << 20

_STOP_OF_BREAKPOINT = {
    BreakpointKind.SOFTWARE: StopKind.SWBREAK,
    BreakpointKind.HARDWARE: StopKind.HWBREAK,
    BreakpointKind.WRITE: StopKind.WATCH,
    BreakpointKind.READ: StopKind.RWATCH,
    BreakpointKind.ACCESS: StopKind.AWATCH,
}

#: What a caught exception is to gdb, whose users know signals; the others are SIGEMT, since gdb takes a
#: SIGTRAP for the end of the step it came in.
_SIGNAL_OF_EXCEPTION: dict[int, int] = {
    Vector.MACHINE_CHECK: SIGBUS,
    Vector.DATA_STORAGE: SIGSEGV,
    Vector.DATA_SEGMENT: SIGSEGV,
    Vector.INSTRUCTION_STORAGE: SIGSEGV,
    Vector.INSTRUCTION_SEGMENT: SIGSEGV,
    Vector.ALIGNMENT: SIGBUS,
    Vector.PROGRAM: SIGILL,
    Vector.FP_UNAVAILABLE: SIGFPE,
    Vector.VMX_UNAVAILABLE: SIGFPE,
    Vector.VMX_ASSIST: SIGFPE,
}

_READ = {register.number: REGISTERS[register.name].read for register in DESCRIPTION.registers}

# The `g` block: three files of 32 registers as they lie in the state, and the ones named here.
_BLOCK = struct.Struct(">64Q QQI QQI I 64Q II")
_GPR, _FPR, _VR = INDEX["gpr"], INDEX["fpr"], INDEX["vr"]
_BETWEEN, _LAST = ("pc", "msr", "cr", "lr", "ctr", "xer", "fpscr"), ("vscr", "vrsave")
_READ_BETWEEN, _READ_LAST = ([REGISTERS[name].read for name in names] for names in (_BETWEEN, _LAST))
_R, _F, _V = ([f"{file}{n}" for n in range(32)] for file in ("r", "f", "vr"))
assert [*_R, *_F, *_BETWEEN, *_V, *_LAST] == list(DESCRIPTION.offsets)

# What goes with every stop: number, bytes, and how it is read.
_EXPEDITED = [
    (DESCRIPTION.numbers[name], DESCRIPTION.register(name).size, REGISTERS[name].read)
    for name in DESCRIPTION.expedite
]


def _pack(state: CpuState) -> bytes:
    words = state.words
    return _BLOCK.pack(
        *words[_GPR : _GPR + 32],
        *words[_FPR : _FPR + 32],
        *[read(state) for read in _READ_BETWEEN],
        *words[_VR : _VR + 64],
        *[read(state) for read in _READ_LAST],
    )


class _Inspection:
    """A look at the machine from inside a breakpoint's condition (gdbstub.target.Inspection)."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def register(self, number: int) -> int:
        read = _READ.get(number)
        if read is None:
            raise _no_register(number)
        return read(self._machine.state)

    def memory(self, addr: int, length: int) -> bytes:
        data = self._machine.read_memory(addr, length)
        if len(data) < length:
            raise MemoryFault(addr + len(data))
        return data


class EmulatorTarget:
    """A MachineRunner that speaks Target, with breakpoints, monitor, kill, detach, reset and its
    executable."""

    description = DESCRIPTION
    actions = frozenset(ActionKind)

    def __init__(self, runner: MachineRunner, quit_emulator: Callable[[], None] | None = None) -> None:
        """`quit_emulator` is what `monitor quit` calls."""
        self._runner = runner
        self._machine = runner.machine
        self._breakpoints: dict[Breakpoint, Condition | None] = {}
        self._catches = Catches()
        self._commands = MonitorCommands(runner, self._catches, self._plant, quit_emulator)
        self._look = _Inspection(self._machine)
        self._told: tuple[Exit, StopReason] | None = None
        # What the breakpoints of an address ask for: breakpoints are reached far more often than planted.
        self._conditions: dict[int, list[Condition | None]] = {}
        self._machine.processor.is_wanted = self._is_wanted

    # State -----------------------------------------------------------------------------------------------

    @property
    def stopped(self) -> StopReason | None:
        exit_ = self._runner.parked
        if exit_ is None:
            return None
        # Asked several times for one stop, and what gdb does meanwhile does not change why it came.
        if self._told is None or self._told[0] is not exit_:
            self._told = exit_, self._reason(exit_)
        return self._told[1]

    async def threads(self) -> Sequence[Thread]:
        exit_ = self._runner.parked
        return [Thread(1, "cpu0", 0, "running" if exit_ is None else describe(exit_))]

    async def resume(self, actions: Sequence[Action]) -> None:
        action = next((a for a in actions if a.thread in (None, 1)), Action())
        self._require_alive()
        self._catches.leave(self._machine.state.pc, self._machine.state.icount)
        match action.kind:
            case ActionKind.CONTINUE:
                self._runner.resume()
            case ActionKind.STEP:
                self._runner.resume(steps=1)
            case ActionKind.RANGE_STEP:
                self._runner.resume(within=action.range)

    async def wait_stop(self) -> StopReason:
        return self._reason(await self._runner.wait_parked())

    async def interrupt(self) -> None:
        self._runner.request_halt()

    def _reason(self, exit_: Exit) -> StopReason:
        match exit_.kind:
            case ExitKind.BREAKPOINT:
                at = self._machine.state.pc
                kind = next(
                    (b.kind for b in self._breakpoints if b.kind in INSTRUCTION_KINDS and b.addr == at), None
                )
                if kind is not None:
                    return StopReason(_STOP_OF_BREAKPOINT[kind], SIGTRAP, core=0)
                if at in self._catches.vectors:
                    return StopReason(signal=_SIGNAL_OF_EXCEPTION.get(at, SIGEMT), core=0)
            case ExitKind.WATCHPOINT:
                for breakpoint in self._breakpoints:
                    inside = breakpoint.addr <= exit_.detail < breakpoint.addr + breakpoint.length
                    if breakpoint.kind not in INSTRUCTION_KINDS and inside:
                        kind_of_stop = _STOP_OF_BREAKPOINT[breakpoint.kind]
                        return StopReason(kind_of_stop, SIGTRAP, core=0, addr=exit_.detail)
            case ExitKind.SHUTDOWN:
                return StopReason(StopKind.EXITED, status=exit_.detail & 0xFF)
            case ExitKind.STOP_REQUEST:
                return StopReason(signal=SIGINT, core=0)
            case ExitKind.CHECKSTOP:
                return StopReason(signal=SIGBUS, core=0)
        return StopReason(core=0)

    def _require_parked(self) -> None:
        if self._runner.parked is None:
            raise TargetError(errno.EBUSY, "the machine is running")

    def _require_alive(self) -> None:
        # A checkstop has changed nothing: with other registers the instruction may succeed.
        exit_ = self._runner.parked
        if exit_ is not None and exit_.kind is ExitKind.SHUTDOWN:
            raise TargetError(errno.ESRCH, f"{describe(exit_)}; `monitor reset` starts it again")

    # Registers and memory --------------------------------------------------------------------------------

    async def read_registers(self, thread: int) -> bytes:
        self._require_parked()
        return _pack(self._machine.state)

    async def expedited(self, thread: int) -> dict[int, bytes]:
        state = self._machine.state
        return {number: read(state).to_bytes(size, "big") for number, size, read in _EXPEDITED}

    async def write_registers(self, thread: int, block: bytes) -> None:
        self._require_parked()
        self._machine.set_registers(DESCRIPTION.unpack(block))

    async def read_register(self, thread: int, number: int) -> bytes:
        self._require_parked()
        name = _name(number)
        return DESCRIPTION.encode(name, REGISTERS[name].read(self._machine.state))

    async def write_register(self, thread: int, number: int, raw: bytes) -> None:
        self._require_parked()
        self._machine.set_registers({_name(number): DESCRIPTION.decode(raw)})

    async def read_memory(self, addr: int, length: int) -> bytes:
        data = (await self._runner.at_rest()).read_memory(addr, length)
        if length and not data:
            raise MemoryFault(addr)
        return data

    async def write_memory(self, addr: int, data: bytes) -> None:
        done = (await self._runner.at_rest()).write_memory(addr, data)
        if done < len(data):
            raise MemoryFault(addr + done)

    # Breakpoints -----------------------------------------------------------------------------------------

    async def insert(self, breakpoint: Breakpoint, condition: Condition | None = None) -> None:
        if breakpoint.kind in INSTRUCTION_KINDS:
            # A comparator may hold any address, and never matches.
            if breakpoint.addr % 4 and breakpoint.kind is BreakpointKind.SOFTWARE:
                raise TargetError(errno.EINVAL, f"no instruction begins at {breakpoint.addr:#x}")
        elif not 0 < breakpoint.length <= LONGEST_WATCH:
            raise TargetError(errno.EINVAL, f"cannot watch {breakpoint.length} bytes")
        self._breakpoints[breakpoint] = condition
        await self._plant()

    async def remove(self, breakpoint: Breakpoint) -> None:
        self._breakpoints.pop(breakpoint, None)
        await self._plant()

    async def _plant(self) -> None:
        watches = [
            Watch(
                b.addr,
                b.length,
                loads=b.kind in (BreakpointKind.READ, BreakpointKind.ACCESS),
                stores=b.kind in (BreakpointKind.WRITE, BreakpointKind.ACCESS),
            )
            for b in self._breakpoints
            if b.kind not in INSTRUCTION_KINDS
        ]
        machine = await self._runner.at_rest()
        self._conditions = {}
        for place, condition in self._breakpoints.items():
            if place.kind in INSTRUCTION_KINDS and place.addr % 4 == 0:
                self._conditions.setdefault(place.addr, []).append(condition)
        machine.set_breakpoints([*self._conditions, *self._catches.vectors])
        machine.set_watches(watches)

    def _is_wanted(self) -> bool:
        """Ask the conditions of the breakpoints at pc; one without, or that cannot be evaluated, is wanted.

        So is an exception to be caught.
        """
        if self._catches.vectors and self._catches.is_caught(
            self._machine.state.pc, self._machine.state.icount
        ):
            return True
        try:
            for condition in self._conditions.get(self._machine.state.pc, ()):
                if condition is None or condition(self._look):
                    return True
        except TargetError:
            return True
        return False

    # The whole machine -----------------------------------------------------------------------------------

    async def kill(self) -> None:
        await self._runner.reset()

    async def reset(self) -> None:
        await self._runner.reset()

    async def detach(self) -> None:
        self._breakpoints.clear()
        self._catches.clear()
        await self._plant()
        if self._runner.parked is not None and self._runner.parked.kind not in FINAL:
            self._runner.resume()

    @property
    def executable_name(self) -> str:
        program = self._machine.program
        return str(Path(program.path).resolve()) if program.is_elf else ""

    async def read_executable(self) -> bytes:
        try:
            return await trio.Path(self._machine.program.path).read_bytes()
        except OSError as error:
            raise TargetError(
                error.errno or errno.EIO, f"{self._machine.program.path}: {error.strerror}"
            ) from error

    async def monitor(self, command: str) -> str:
        try:
            return (await self._commands.answer(command)).rstrip() + "\n"
        except BadCommand as error:
            raise TargetError(errno.EINVAL, str(error)) from None


def _name(number: int) -> str:
    """Return the name of a register by gdb's number.  Raises TargetError."""
    register = DESCRIPTION.by_number.get(number)
    if register is None:
        raise _no_register(number)
    return register.name


def _no_register(number: int) -> TargetError:
    return TargetError(errno.EINVAL, f"there is no register {number}")
